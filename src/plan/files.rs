//! The files that belong to a driver's modules: firmware, and what udev, modprobe and others read.
//!
//! Where they go is the target's to say.

use super::{MISSING_FILE, content, folder, text_file};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::config::FileConfig;
use crate::config::request::Request;
use crate::driver::Driver;
use crate::input::source::{SourceFile, SourceKind};
use crate::package::{Entry, EntryKind, Role};
use crate::plan::profile::Target;

/// Every file that kpkg.toml names under `[files]`, and those that say what it has under `[modules]`; `base` names the latter.
pub(super) fn entries(driver: &Driver, target: &Target, request: &Request, base: &str) -> Result<Vec<Entry>> {
    let (files, folders) = (&request.files, &target.folders);
    let lists = [
        (&files.firmware, Some(&folders.firmware), Mode::Data),
        (&files.udev, Some(&folders.udev), Mode::Data),
        (&files.hwdb, Some(&folders.hwdb), Mode::Data),
        (&files.modprobe, Some(&folders.modprobe), Mode::Data),
        (&files.modules_load, Some(&folders.modules_load), Mode::Data),
        (&files.depmod, Some(&folders.depmod), Mode::Data),
        (&files.systemd, Some(&folders.systemd), Mode::Data),
        (&files.initramfs_tools, folders.initramfs_tools.as_ref(), Mode::Hooks),
        (&files.dracut, Some(&folders.dracut), Mode::Scripts),
    ];
    let mut entries: Vec<Entry> = Vec::new();
    for (named_files, place, mode) in lists {
        for named_file in named_files {
            let found = named(driver, named_file)?;
            let Some(place) = place else { continue };
            for (file, below) in found {
                let executable = mode.of(file, &below);
                let kind = EntryKind::File { content: content(driver, file), executable };
                entries.push(Entry { path: format!("{place}/{below}"), kind, role: Role::Plain });
                // folders of our own, such as those of firmware by vendor
                for (at, _) in below.match_indices('/') {
                    entries.push(folder(format!("{place}/{}", &below[..at])));
                }
            }
        }
    }
    let options: String = request
        .modules
        .options
        .iter()
        .map(|(module, options)| format!("options {module} {options}\n"))
        .collect();
    if !options.is_empty() {
        entries.push(text_file(format!("{}/{base}.conf", folders.modprobe), options, Role::Plain));
    }
    let load: String = request.modules.load.iter().map(|module| format!("{module}\n")).collect();
    if !load.is_empty() {
        entries.push(text_file(format!("{}/{base}.conf", folders.modules_load), load, Role::Plain));
    }
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    entries.dedup_by(|one, other| one == other);
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].path == pair[1].path) {
        return Err(Error::usage(format!("two files of kpkg.toml would be `/{}`", pair[0].path))
            .hint("give them different names"));
    }
    Ok(entries)
}

/// Which files of a kind may be run.
#[derive(Clone, Copy)]
enum Mode {
    /// None, whatever the tree says: systemd complains about units that are executable, and checkouts on some file systems make
    /// everything so.
    Data,
    /// Those in `hooks` and `scripts`: initramfs-tools leaves out what is not executable there.
    Hooks,
    /// Those that are in the tree, and `*.sh`: dracut sources `module-setup.sh`, and its older releases ask for the bit.
    Scripts,
}

impl Mode {
    /// For a file, which goes to a path below the folder of its kind.
    fn of(self, file: &SourceFile, below: &str) -> bool {
        match self {
            Self::Data => false,
            Self::Hooks => ["hooks/", "scripts/"].iter().any(|folder| below.starts_with(folder)),
            Self::Scripts => {
                file.path.ends_with(".sh") || matches!(file.kind, SourceKind::File { executable: true, .. })
            }
        }
    }
}

/// A file, or all files of a folder, each with its path below the folder of its kind.
fn named<'a>(driver: &'a Driver, wanted: &FileConfig) -> Result<Vec<(&'a SourceFile, String)>> {
    let path = wanted.path();
    if let Some(name) = wanted.name().filter(|name| !is_inside(name)) {
        return Err(Error::usage(format!(
            "the name `{}` under `[files]` in kpkg.toml is no path below a folder",
            name.escape_debug()
        ))
        .hint("write the name that the file has on the target, such as `name = \"60-toy.rules\"`"));
    }
    let is_file = |file: &&SourceFile| matches!(file.kind, SourceKind::File { .. });
    let mut found = Vec::new();
    for file in driver.tree.iter().filter(is_file) {
        if file.path == path {
            let own = || file.path.rsplit('/').next().unwrap_or(&file.path);
            found.push((file, wanted.name().unwrap_or_else(own).to_owned()));
        } else if let Some(below) = file.path.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')) {
            let place = wanted.name().map_or_else(|| below.to_owned(), |name| format!("{name}/{below}"));
            found.push((file, place));
        }
    }
    if found.is_empty() {
        let finding =
            Diagnostic::error(&MISSING_FILE, format!("there is no `{path}` in the packaged source"))
                .about(path);
        return Err(Error::diagnostics(vec![finding.hint("correct the path under `[files]` in kpkg.toml")]));
    }
    Ok(found)
}

/// Whether a path stays in the folder that it counts from, and survives in lists of files.
fn is_inside(path: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    path.split('/').all(is_part) && !path.chars().any(char::is_control)
}
