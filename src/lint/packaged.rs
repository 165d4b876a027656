//! A finished package as dkms will meet it: the drivers below /usr/src with what is read of their files, and the scripts as commands.
//!
//! What cannot be known, such as what another program does, stays unknown and is said to be so.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Confs;
use super::calls::{self, Action, Call};
use super::scan::Kind;
use super::shell::{self, Script};
use crate::base::diagnostic::{Place, SourceText};
use crate::dkms::{self, Conf, ConfFile, Facts, Inputs, ReadTree};
use crate::format::{ReadFile, ReadPackage, ReadScript};

/// How many dkms.conf files of a package are read as such.
const CONFS: usize = 64;
/// How many drivers of a package are looked at.
const DRIVERS: usize = 16;
/// How many scripts of a package are looked at.
const SCRIPTS: usize = 64;
/// How many names are looked at for the listings of one driver.
const LISTED: usize = 4_000_000;
/// How many links are followed.
const LINKS: usize = 8;

/// What a package is for dkms.
pub(super) struct Packaged<'a> {
    /// Every file by its path.
    pub files: Arc<BTreeMap<&'a str, &'a ReadFile>>,
    /// Every dkms.conf, by its path, as messages show it.
    pub conf_files: Vec<(&'a str, ConfFile)>,
    pub drivers: Vec<PackagedDriver<'a>>,
    /// The scripts that a shell runs.
    pub scripts: Vec<PackagedScript>,
    /// Whether every script is one that a shell runs.
    only_shell: bool,
}

/// A driver below /usr/src.
pub(super) struct PackagedDriver<'a> {
    /// `/usr/src/NAME-VERSION`.
    pub folder: String,
    pub conf: Conf,
    /// What that says, for some kernel.
    pub facts: Facts,
    /// `PACKAGE_NAME` and `PACKAGE_VERSION`, where they are known.
    pub identity: Option<(String, String)>,
    pub tree: PackageTree<'a>,
}

/// A script of the package.
pub(super) struct PackagedScript {
    /// As the format calls it.
    pub name: String,
    /// When it runs; triggers have no kind.
    pub kind: Option<Kind>,
    pub source: Arc<SourceText>,
    pub script: Script,
}

impl PackagedScript {
    fn new(path: &Path, found: &ReadScript) -> Self {
        let path = PathBuf::from(format!("{} ({})", path.display(), found.name));
        let source = Arc::new(SourceText { path, text: found.text.clone() });
        let script = shell::read(&source.text);
        Self { name: found.name.clone(), kind: Kind::of(&found.name), source, script }
    }

    /// What it tells dkms.
    pub(super) fn calls(&self) -> Vec<Call<'_>> {
        calls::of(&self.script)
    }

    /// Where a command stands.
    pub(super) fn place(&self, call: &Call<'_>) -> Place {
        Place::new(&self.source, call.command.span.clone())
    }

    /// A command as messages show it.
    pub(super) fn shown(&self, call: &Call<'_>) -> String {
        super::shell::shown(self.source.text.get(call.command.span.clone()).unwrap_or_default())
    }

    /// Whether it runs when the files are there: after installation, and triggers.
    pub(super) fn installs(&self) -> bool {
        match self.kind {
            Some(kind) => kind.installs() && !matches!(self.name.as_str(), "preinst" | "%pre" | "%pretrans"),
            None => true,
        }
    }

    /// Whether it runs when the package goes: triggers may.
    pub(super) fn removes(&self) -> bool {
        self.kind.is_none_or(Kind::removes)
    }
}

/// Programs that register nothing and take nothing away, whatever they are told.
const HARMLESS: &str = "\
    . : [ [[ test true false echo printf cat set exit return shift trap cd pwd umask unset export local \
    readonly read break continue wait sleep type which hash grep egrep fgrep sed awk cut tr sort uniq \
    head tail wc basename dirname readlink realpath uname id stat ls mkdir rmdir rm cp mv ln touch chmod \
    chown chgrp install mktemp depmod modprobe insmod rmmod lsmod modinfo weak-modules update-initramfs \
    dracut mkinitrd mkinitcpio ldconfig udevadm update-grub mokutil getent adduser addgroup useradd \
    groupadd usermod deluser userdel groupdel dpkg dpkg-query dpkg-architecture dpkg-trigger dpkg-divert \
    dpkg-maintscript-helper rpm update-alternatives logger command date nproc kill killall pkill expr \
    tee";

impl<'a> Packaged<'a> {
    pub(super) fn new(path: &Path, found: &'a ReadPackage, confs: &'a Confs) -> Self {
        let shell = found.scripts.iter().filter(|script| script.is_shell());
        let scripts: Vec<_> = shell.take(SCRIPTS).map(|script| PackagedScript::new(path, script)).collect();
        let only_shell = scripts.len() == found.scripts.len();
        // a source package installs nothing, and most packages hold no driver
        let is_driver = !confs.is_empty();
        let files = found.files.iter().filter(|_| is_driver).map(|file| (file.path.as_str(), file)).collect();
        let files = Arc::new(files);
        let read = |(at, bytes): (&'a String, &Vec<u8>)| {
            let shown = PathBuf::from(format!("{} ({at})", path.display()));
            (at.as_str(), ConfFile::new(shown, bytes.clone()))
        };
        let conf_files: Vec<_> = confs.confs().take(CONFS).map(read).collect();
        let mut drivers: Vec<PackagedDriver<'a>> = Vec::new();
        for (at, file) in &conf_files {
            let Some(folder) = at.strip_suffix("/dkms.conf") else { continue };
            let is_inside = drivers.iter().any(|driver| folder.starts_with(&format!("{}/", driver.folder)));
            if is_inside || drivers.len() >= DRIVERS {
                continue;
            }
            drivers.push(PackagedDriver::new(file.conf.clone(), folder, &files, confs));
        }
        Self { files, conf_files, drivers, scripts, only_shell }
    }

    /// Whether one of the scripts of a kind may do what `does` says of a call; `None`: another program may.
    pub(super) fn any(
        &self,
        runs: impl Fn(&PackagedScript) -> bool,
        does: impl Fn(&Call<'_>) -> bool,
    ) -> Option<bool> {
        let mut is_known = self.only_shell;
        for script in self.scripts.iter().filter(|script| runs(script)) {
            let calls = script.calls();
            if calls.iter().any(&does) {
                return Some(true);
            }
            is_known = is_known
                && (script.script.is_whole || !may_run_more(&script.source.text))
                && !calls.iter().any(|call| call.action == Action::Unknown)
                && script.script.commands.iter().all(|command| {
                    let is_call = calls.iter().any(|call| std::ptr::eq(call.command, command));
                    is_call
                        || calls::program_name(command).is_some_and(|name| {
                            HARMLESS.split_whitespace().any(|word| word == name) && !is_sourced(name, command)
                                || script.script.functions.contains(name)
                        })
                });
        }
        is_known.then_some(false)
    }

    /// Whether a script may put files below /usr/src that the package does not have.
    pub(super) fn scripts_make_sources(&self) -> bool {
        const ONLY_LOOK: &str = "[ [[ test echo printf rm rmdir ls grep cat export";
        self.scripts.iter().any(|script| {
            let calls = script.calls();
            let text = script.source.text.as_str();
            !script.script.is_whole && text.contains("/usr/src")
                || script.script.commands.iter().any(|command| {
                    let words = text.get(command.span.clone()).unwrap_or_default();
                    let is_call = calls.iter().any(|call| std::ptr::eq(call.command, command));
                    let only_looks = calls::program_name(command)
                        .is_some_and(|name| ONLY_LOOK.split(' ').any(|word| word == name));
                    !is_call
                        && !only_looks
                        && (words.contains("/usr/src")
                            || command
                                .words
                                .iter()
                                .any(|word| word.values.iter().any(|value| value.contains("/usr/src"))))
                })
        })
    }

    /// Whether there is something at a path.
    pub(super) fn exists(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        let below = format!("{path}/");
        self.files.contains_key(path)
            || self.files.range(below.as_str()..).next().is_some_and(|(next, _)| next.starts_with(&below))
    }
}

/// `. FILE` runs what nobody here knows; debconf's library is known.
fn is_sourced(name: &str, command: &shell::Command) -> bool {
    let is_known = |word: &shell::Word| word.value().is_some_and(|path| path.contains("/debconf/"));
    name == "." && !calls::arguments(command).first().is_some_and(is_known)
}

/// Whether a text that could not be read as a script could do anything at all.
fn may_run_more(text: &str) -> bool {
    !text.trim().is_empty()
}

impl<'a> PackagedDriver<'a> {
    fn new(conf: Conf, folder: &str, files: &Arc<BTreeMap<&'a str, &'a ReadFile>>, confs: &'a Confs) -> Self {
        let tree = PackageTree {
            folder: folder.to_owned(),
            files: Arc::clone(files),
            confs,
            missed: AtomicBool::new(false),
            listed: AtomicUsize::new(0),
        };
        let evaluate = |module: Option<(String, String)>| {
            let with = |source_tree| {
                let inputs = Inputs {
                    processors: Some(1),
                    module: module.clone(),
                    source_tree,
                    ..Inputs::of_some_kernel()
                };
                dkms::evaluate(&conf, &inputs)
            };
            tree.missed.store(false, Ordering::Relaxed);
            let evaluation = with(Some(&tree));
            // it wanted a file that is in the package and was not kept
            if tree.missed.load(Ordering::Relaxed) { with(None) } else { evaluation }
        };
        let first = dkms::facts(&conf, &evaluate(None)).0;
        let identity = first.name.known().cloned().zip(first.version.known().cloned());
        let identity =
            identity.filter(|(name, version)| !dkms::is_placeholder(name) && !dkms::is_placeholder(version));
        let facts = match &identity {
            Some(identity) => dkms::facts(&conf, &evaluate(Some(identity.clone()))).0,
            None => first,
        };
        Self { folder: folder.to_owned(), conf, facts, identity, tree }
    }

    /// Its folder, or something in it, as messages show it.
    pub(super) fn shown(&self, path: &str) -> String {
        let full = if path.is_empty() { self.folder.clone() } else { format!("{}/{path}", self.folder) };
        super::shell::shown(&full)
    }

    /// The name of its folder.
    pub(super) fn folder_name(&self) -> &str {
        self.folder.rsplit('/').next().unwrap_or(&self.folder)
    }
}

/// The files of a driver in a package: all names, and the contents of those that were kept.
pub(super) struct PackageTree<'a> {
    folder: String,
    files: Arc<BTreeMap<&'a str, &'a ReadFile>>,
    confs: &'a Confs,
    /// Somebody wanted the content of a file that was not kept.
    missed: AtomicBool,
    listed: AtomicUsize,
}

impl<'a> PackageTree<'a> {
    /// The file at a path, through links that stay in the driver's folder.
    fn find(&self, path: &str) -> Option<&'a ReadFile> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let full = if path.is_empty() { self.folder.clone() } else { format!("{}/{path}", self.folder) };
            let file = *self.files.get(full.as_str())?;
            let Some(target) = file.target() else { return Some(file) };
            let parent = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            path = match target.strip_prefix(&format!("{}/", self.folder)) {
                Some(inside) => dkms::tree_path(inside)?,
                None if target.starts_with('/') => return None,
                None => dkms::tree_path(&format!("{parent}/{target}"))?,
            };
        }
        None
    }

    /// The files below the folder, with their paths relative to it.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a ReadFile)> + '_ {
        let below = format!("{}/", self.folder);
        let from = self.files.range::<str, _>((Excluded(below.as_str()), Unbounded));
        let length = below.len();
        from.take_while(move |(path, _)| path.starts_with(&below))
            .map(move |(path, file)| (&path[length..], *file))
    }

    /// Whether there is a folder, also where the package lists only what is in it.
    fn has_folder(&self, path: &str) -> bool {
        let below = format!("{}/{path}/", self.folder);
        self.files.range(below.as_str()..).next().is_some_and(|(next, _)| next.starts_with(&below))
    }

    /// Whether a link leads out of the folder, so that more may be there than the package shows.
    pub(super) fn has_outside_links(&self) -> bool {
        self.entries().any(|(path, file)| file.target().is_some() && self.find(path).is_none())
    }

    /// What `ask` finds out, when it did not need a file that was not kept.
    pub(super) fn certain<T>(&self, ask: impl FnOnce(&Self) -> T) -> Option<T> {
        self.missed.store(false, Ordering::Relaxed);
        let answer = ask(self);
        (!self.missed.load(Ordering::Relaxed)).then_some(answer)
    }
}

impl ReadTree for PackageTree<'_> {
    fn read(&self, path: &str, limit: usize) -> Option<Vec<u8>> {
        let file = self.find(path)?;
        if file.is_folder() {
            return None;
        }
        let bytes = self.confs.text(&file.path);
        if bytes.is_none() {
            self.missed.store(true, Ordering::Relaxed);
        }
        bytes.map(|bytes| bytes[..bytes.len().min(limit)].to_vec())
    }

    fn exists(&self, path: &str) -> bool {
        path.is_empty() || self.find(path).is_some() || self.has_folder(path)
    }

    fn is_dir(&self, path: &str) -> bool {
        path.is_empty()
            || self.find(path).is_some_and(crate::format::ReadFile::is_folder)
            || self.has_folder(path)
    }

    fn list(&self, dir: &str) -> Vec<String> {
        let below =
            if dir.is_empty() { format!("{}/", self.folder) } else { format!("{}/{dir}/", self.folder) };
        let mut names = BTreeSet::new();
        let mut from = below.clone();
        while let Some((path, _)) = self.files.range::<str, _>((Excluded(from.as_str()), Unbounded)).next() {
            let Some(rest) = path.strip_prefix(&below) else { break };
            if self.listed.fetch_add(1, Ordering::Relaxed) > LISTED {
                self.missed.store(true, Ordering::Relaxed);
                break;
            }
            from = match rest.split_once('/') {
                // behind everything in that folder: `0` follows `/`
                Some((name, _)) => format!("{below}{name}0"),
                None => (*path).to_owned(),
            };
            names.insert(rest.split('/').next().unwrap_or(rest).to_owned());
            if rest.contains('/') && self.files.contains_key(from.as_str()) {
                names.insert(from[below.len()..].to_owned());
            }
        }
        names.into_iter().collect()
    }

    fn is_executable(&self, path: &str) -> bool {
        self.find(path).is_some_and(|file| !file.is_folder() && file.mode & 0o111 != 0)
    }
}
