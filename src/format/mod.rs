//! The families of formats: a package as bytes, and bytes as a package.
//!
//! Encoding only: same package, same bytes. A family decides nothing, changes nothing and never looks at another one.

pub mod deb;
mod item;
mod pacman;
mod rpm;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use crate::archive::TarEntry;
use crate::base::beneath::open_regular;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::error::{Error, Result};
use crate::output::Output;
use crate::package::{Arch, Content, EntryKind, Package, Payload, Relation, Version, When};

/// What users type after `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    pub name: &'static str,
    /// Whether its packages are built by others first.
    pub is_source: bool,
    /// Whether it is made to be uploaded to an archive: signed, for a release, and with a description of what made it.
    pub is_uploaded: bool,
    /// Whether its packages, or the texts beside them, hold a signature.
    pub is_signed: bool,
    /// What it is, for who has to ask for it by name; nothing: it belongs to all that a user may ask for at once.
    pub special: Option<&'static str>,
}

/// One family of formats.
pub trait Family: Sync {
    /// The formats it writes, the one that is installed first: targets name that one.
    fn formats(&self) -> &'static [Format];

    /// What the family is called: as the format that is installed.
    fn name(&self) -> &'static str {
        self.formats()[0].name
    }

    /// A machine in this format's spelling.
    fn architecture(&self, arch: Arch) -> &'static str;

    /// The names of the artifacts it would write, before any byte of them.
    fn artifacts(&self, package: &Package) -> Vec<String>;

    /// A version in this format's spelling.
    #[cfg_attr(not(feature = "internals"), allow(dead_code, reason = "checks use the family's own"))]
    fn version(&self, version: &Version) -> String;

    /// Why a version has no spelling here, in words; nothing where it has one.
    fn unspeakable(&self, version: &Version) -> Option<String>;

    /// What this format cannot say of the package; empty = nothing is lost.
    fn check(&self, package: &Package) -> Vec<Diagnostic>;

    /// Reads a finished package, ours or a foreign one; nothing when the file begins like none of this family's.
    ///
    /// Bounded in memory and streaming: of the files only the names are kept, and `contents` sees those that it wants.
    fn read(&self, path: &Path, contents: &mut dyn Contents) -> Result<Option<ReadPackage>>;

    fn write(&self, package: &Package, out: &mut dyn Output) -> Result<()>;

    /// Writes a finished package again, under its name, with other contents, of which there are some: what it says of these follows, everything
    /// else stays. Gives the names of the signatures that are void then and were left out.
    fn rewrite(&self, path: &Path, exchange: &Exchange, out: &mut dyn Output) -> Result<Vec<String>>;

    /// Whether packages of this family hold a signature of their own.
    fn own_signature(&self) -> OwnSignature {
        OwnSignature::None
    }

    /// The signatures of a finished file itself; nothing when the file begins like none of this family's.
    fn own_signatures(&self, path: &Path) -> io::Result<Option<Vec<OwnSigned>>>;

    /// Writes a finished package again, under its name, with the signature of the package itself that `ask` gives; an error where packages
    /// of this family hold none. Gives how it is signed, `rsa-sha256`, where package managers look at that.
    fn sign(&self, path: &Path, _ask: &AskDetached<'_>, _out: &mut dyn Output) -> Result<Option<String>> {
        Err(Error::usage(format!("a package of the format {} holds no signature:", self.name()))
            .at(path)
            .hint("sign the index of the repository that it goes to; that is what apt and pacman check"))
    }
}

/// A signature that a finished file holds of itself.
pub struct OwnSigned {
    /// Where it stands in it; nothing: around all of it.
    pub name: Option<String>,
    pub form: SignedForm,
    /// Why the content is not what was signed, whoever signed that.
    pub misfit: Option<String>,
}

/// How a signature and what it is of belong together.
pub enum SignedForm {
    Detached {
        signature: Vec<u8>,
        signed: Box<dyn Read + Send>,
    },
    /// A text with its signature around it (RFC 9580, 7).
    Clear(Vec<u8>),
}

/// The place for a signature in packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnSignature {
    None,
    /// There is one, and nobody looks at it unless he was told to.
    Unusual,
    /// Package managers check it.
    Usual,
}

/// Somebody who gives a detached OpenPGP signature of bytes.
pub type AskDetached<'a> = dyn Fn(&mut (dyn Read + Send)) -> Result<Vec<u8>> + 'a;

/// What a finished package holds instead of what it held.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// Contents of regular files, by absolute path.
    pub files: BTreeMap<String, Content>,
    /// Texts of maintainer scripts, by the names of [`ReadScript`].
    pub scripts: BTreeMap<String, String>,
    /// Whether signatures of single files (IMA, fs-verity) are left out, where they would be void; else they forbid it.
    pub drops_file_signatures: bool,
}

impl Exchange {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.scripts.is_empty()
    }
}

/// Somebody who looks at the files of a package while it is read.
pub trait Contents {
    /// Whether the file at an absolute path is looked at.
    fn wants(&self, path: &str) -> bool;

    /// The content of such a file; what is left of it is skipped.
    fn take(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()>;

    /// A file that is another name of one that was taken.
    fn same(&mut self, _path: &str, _as_path: &str) -> io::Result<()> {
        Ok(())
    }
}

/// A package as it was found in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadPackage {
    /// What kind of package it is, as `--format` takes it.
    pub format: &'static str,
    /// What the package is called, in its own words.
    pub name: String,
    /// The version as the format spells it.
    pub version: String,
    /// The machines it is for, as the format names them.
    pub arch: String,
    /// The names of what it needs.
    pub requires: Vec<String>,
    /// What else it says about itself: `summary`, `description`, `maintainer`, `homepage`, `license`, and fields that only the format
    /// has under its own names.
    pub metadata: BTreeMap<String, String>,
    /// What it needs, offers and excludes. Without what the format itself takes.
    pub relations: Vec<Relation>,
    /// What building it takes, where it is a source package.
    pub build_requires: Vec<Relation>,
    /// The maintainer scripts, in the order of the format.
    pub scripts: Vec<ReadScript>,
    /// The files, links and folders.
    pub files: Vec<ReadFile>,
    /// What the format has and this package lacks, in words: `a SHA-256 digest of the payload`.
    pub lacks: Vec<String>,
}

/// A maintainer script of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadScript {
    /// As the format calls it: `postinst`, `%post`.
    pub name: String,
    /// When it runs; nothing where only this format has such a moment.
    pub when: Option<When>,
    pub text: String,
    /// The program that runs it, where the format says one; otherwise the first line of the text does.
    pub program: Option<String>,
}

impl ReadScript {
    /// Whether a shell runs it.
    #[must_use]
    pub fn is_shell(&self) -> bool {
        let first = self.text.lines().next().unwrap_or_default();
        let named = first.strip_prefix("#!").map(str::to_owned);
        let line = self.program.clone().or(named).unwrap_or_else(|| "/bin/sh".to_owned());
        let mut words = line.split_whitespace();
        let program = words.next().filter(|word| !word.ends_with("/env")).or_else(|| words.next());
        let name = program.unwrap_or_default().rsplit('/').next().unwrap_or_default();
        matches!(name, "sh" | "bash" | "dash" | "ash" | "ksh" | "busybox")
    }
}

/// An entry of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadFile {
    /// Absolute, without `.` in front.
    pub path: String,
    /// The permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// Who owns it: `root:root`.
    pub owner: String,
    /// What it is; the content of a file is where it was read.
    pub kind: EntryKind,
    /// The checksum of its content, in hexadecimal digits: MD5 in a .deb, mostly SHA-256 in an .rpm.
    pub checksum: Option<String>,
}

impl ReadFile {
    /// Whether it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.kind == EntryKind::Directory
    }

    /// What a symbolic link says.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match &self.kind {
            EntryKind::Symlink { target } => Some(target),
            _ => None,
        }
    }
}

/// The kind of an entry with these permission bits that was read.
fn kind_of(is_folder: bool, target: Option<String>, size: u64, mode: u32) -> EntryKind {
    match target {
        Some(target) => EntryKind::Symlink { target },
        None if is_folder => EntryKind::Directory,
        None => EntryKind::File { content: Content::Packaged { size }, executable: mode & 0o111 != 0 },
    }
}

/// The folders above these paths that are not among them, without the root.
fn folders_above<'a>(paths: impl Iterator<Item = &'a str> + Clone) -> BTreeSet<String> {
    let mut folders = BTreeSet::new();
    for mut path in paths.clone() {
        while let Some((folder, _)) = path.rsplit_once('/') {
            if !folders.insert(folder.to_owned()) {
                break;
            }
            path = folder;
        }
    }
    for path in paths {
        folders.remove(path);
    }
    folders
}

/// An entry of a tar that holds the files of a package: shows its content to who wants it, and notes it.
fn take_entry(
    entry: TarEntry,
    content: &mut dyn Read,
    contents: &mut dyn Contents,
    checksum: impl FnOnce(&str) -> Option<String>,
) -> io::Result<ReadFile> {
    let path = entry.path();
    if entry.is_file && contents.wants(&path) {
        contents.take(&path, content)?;
    }
    if let Some(other) = entry.same_as.filter(|_| contents.wants(&path)) {
        contents.same(&path, &format!("/{}", other.trim_start_matches("./")))?;
    }
    let kind = kind_of(entry.is_folder, entry.target, entry.size, entry.mode);
    Ok(ReadFile { mode: entry.mode, owner: entry.owner, kind, checksum: checksum(&path), path })
}

/// Lines of which some are others now, by what they say; what is no text stays.
fn with_lines(text: &[u8], other: impl Fn(&str) -> Option<String>) -> Vec<u8> {
    let line = |line: &[u8]| Some(other(std::str::from_utf8(line).ok()?.trim_end_matches('\n'))? + "\n");
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    lines.flat_map(|old| line(old).map_or_else(|| old.to_vec(), String::into_bytes)).collect()
}

/// How much of a script is read.
const TEXT: u64 = 1 << 20;
/// How many entries are read.
const ENTRIES: usize = 1_000_000;

/// All of them.
pub const FAMILIES: &[&dyn Family] = &[&deb::Deb, &rpm::Rpm, &pacman::Pacman];

/// Every format with the family that writes it, in the order of [`FAMILIES`].
pub fn writers() -> impl Iterator<Item = (&'static dyn Family, &'static Format)> {
    FAMILIES.iter().flat_map(|family| family.formats().iter().map(|format| (*family, format)))
}

/// Reads a finished package, ours or a foreign one; nothing where no family knows it.
pub fn open(path: &Path, contents: &mut dyn Contents) -> Result<Option<ReadPackage>> {
    for family in FAMILIES {
        if let Some(found) = family.read(path, contents)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Writes a finished package again, as [`Family::rewrite`] does; nothing where no family knows it. What is to be exchanged has to be there.
pub fn rewrite(path: &Path, exchange: &Exchange, out: &mut dyn Output) -> Result<Option<Vec<String>>> {
    let mut several = SeveralNames::default();
    let Some(found) = open(path, &mut several)? else { return Ok(None) };
    if let Some(name) = exchange.files.keys().find(|path| several.0.contains(*path)) {
        let text = format!(
            "`{}` is one of several names of a file, which cannot be exchanged in",
            name.escape_debug()
        );
        return Err(Error::usage(text).at(path));
    }
    let is_file = |file: &&ReadFile| matches!(file.kind, EntryKind::File { .. });
    let files: BTreeSet<_> = found.files.iter().filter(is_file).map(|file| &file.path).collect();
    let scripts: BTreeSet<_> = found.scripts.iter().map(|script| &script.name).collect();
    let lacking = exchange.files.keys().find(|path| !files.contains(path));
    if let Some(name) = lacking.or_else(|| exchange.scripts.keys().find(|name| !scripts.contains(name))) {
        return Err(Error::usage(format!("there is no `{}` to exchange in", name.escape_debug())).at(path));
    }
    if exchange.is_empty() {
        let failed = |error| Error::io("cannot read the package", path, error);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut file = open_regular(path).map_err(failed)?;
        out.artifact(&name, &mut |stream| io::copy(&mut file, stream).map(drop).map_err(failed))?;
        return Ok(Some(Vec::new()));
    }
    let Some(family) = for_format(found.format) else { return Ok(None) };
    family.rewrite(path, exchange, out).map(Some)
}

/// Signs a finished package itself, as [`Family::sign`] does, and gives the family too; an error where it is none, or of a family that holds no signature.
pub fn sign(
    path: &Path,
    ask: &AskDetached<'_>,
    out: &mut dyn Output,
) -> Result<Option<(&'static str, String)>> {
    for family in FAMILIES {
        if family.read(path, &mut Nobody)?.is_some() {
            return Ok(family.sign(path, ask, out)?.map(|how| (family.name(), how)));
        }
    }
    Err(Error::usage("is no package:").at(path))
}

/// The signatures of a finished file itself; an error where no family knows it.
pub fn own_signatures(path: &Path) -> Result<Vec<OwnSigned>> {
    let unreadable = |error| Error::io("cannot read the package", path, error).as_usage();
    for family in FAMILIES {
        if let Some(found) = family.own_signatures(path).map_err(unreadable)? {
            return Ok(found);
        }
    }
    Err(Error::usage("is no package:").at(path))
}

/// A reader that wants the content of no file.
pub struct Nobody;

impl Contents for Nobody {
    fn wants(&self, _path: &str) -> bool {
        false
    }

    fn take(&mut self, _path: &str, _content: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
}

/// The files that have several names.
#[derive(Default)]
struct SeveralNames(BTreeSet<String>);

impl Contents for SeveralNames {
    fn wants(&self, _path: &str) -> bool {
        true
    }

    fn take(&mut self, _path: &str, _content: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }

    fn same(&mut self, path: &str, as_path: &str) -> io::Result<()> {
        self.0.extend([path.to_owned(), as_path.to_owned()]);
        Ok(())
    }
}

/// The family that writes `format`.
#[must_use]
pub fn for_format(format: &str) -> Option<&'static dyn Family> {
    writers().find(|(_, known)| known.name == format).map(|(family, _)| family)
}

/// Every format, in the order of [`FAMILIES`].
pub fn formats() -> impl Iterator<Item = &'static Format> {
    writers().map(|(_, format)| format)
}

/// The formats as the help of `--format` lists them.
#[must_use]
pub fn listed() -> String {
    let mut all: Vec<_> = formats().collect();
    all.sort_by_key(|format| (format.special.is_some(), format.is_source));
    let usual: Vec<_> =
        all.iter().filter(|format| format.special.is_none()).map(|format| format.name).collect();
    let special = all.iter().filter_map(|format| Some(format!("; {}, {}", format.name, format.special?)));
    format!("{}, or all of these{}", usual.join(", "), special.collect::<String>())
}

/// The findings of this layer.
pub const CODES: &[&Code] = &[
    &UNSPEAKABLE_NAME,
    &UNSPEAKABLE_VERSION,
    &UNSPEAKABLE_RELATION,
    &UNSPEAKABLE_SCRIPT,
    &TOO_LARGE,
    &UNSPEAKABLE_VALUE,
];

const UNSPEAKABLE_NAME: Code = Code {
    id: "K0701",
    title: "the format has no such package name",
    explanation: "Package names of a .deb are two or more of a-z 0-9 + - . and begin with a letter or digit\n\
                  (Debian Policy, 5.6.7). Names in an .rpm consist of letters, digits and . _ + - and begin with a\n\
                  letter, digit or underscore. Set another name with `[driver] package-name` in kpkg.toml; the\n\
                  name that dkms sees stays as it is.",
};
const UNSPEAKABLE_VERSION: Code = Code {
    id: "K0702",
    title: "the format has no such version",
    explanation: "The driver's version has to be mapped to what the format allows (deb-version(7); rpm-version(7)), and\n\
                  the mapping has to give different results for different versions. This one holds a character that has\n\
                  no place there, or two separators in a row. Give another one with `--driver-version`.",
};
const UNSPEAKABLE_RELATION: Code = Code {
    id: "K0703",
    title: "the format cannot express this relation",
    explanation: "Alternatives (`a | b`) exist in Depends, Recommends and Suggests of a .deb and as rich requirements\n\
                  in an .rpm; conflicts and provides have none. Write one relation for each name. In a .deb a name has\n\
                  letters, digits and `+ - .`, maybe with `:any` behind it, and Provides takes `=` only (Debian Policy,\n\
                  7.1 and 7.5). In an .rpm it may be a path or hold parentheses, such as `pkgconfig(x)`, and what begins\n\
                  with one is a rich dependency (rpm's dependencies.md and boolean_dependencies.md). What only one format\n\
                  has stands under `[format.deb.relations]` or `[format.rpm.relations]` in kpkg.toml.",
};
const UNSPEAKABLE_SCRIPT: Code = Code {
    id: "K0704",
    title: "the format has no moment for this script",
    explanation: "A .deb has no script that runs at the end of the whole transaction, and an .rpm has no triggers as\n\
                  deb-triggers(5) describes them.",
};
const TOO_LARGE: Code = Code {
    id: "K0705",
    title: "the package is larger than the format can carry",
    explanation: "The size field of a member of a .deb has ten decimal digits (deb(5), ar format): 9,999,999,999 bytes.\n\
                  An .rpm holds at most 65,535 folders and files of one name length; its header is limited to 256 MiB.",
};

const UNSPEAKABLE_VALUE: Code = Code {
    id: "K0706",
    title: "the format cannot hold this value",
    explanation: "A package manager would refuse the package, or a builder would make another package of the source package:\n\
                  a field that kpkg writes itself, or one that the format does not have; a homepage of several words; a\n\
                  time that is no date of the format's changelog; a name that no file system takes; a paragraph or a line\n\
                  of a script that a spec file or debhelper takes for a command. Nothing is written, in any format, until\n\
                  the value is another one or the format is left out.",
};

/// A finding about a value that a format cannot hold.
fn unspeakable_value(value: &str, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(&UNSPEAKABLE_VALUE, message).about(value)
}

/// A relation that a format cannot express.
fn unspeakable_relation(relation: &Relation, format: &str, reason: &str) -> Diagnostic {
    let text = relation.to_string();
    let message = format!("{format} cannot express `{}`: {reason}", text.escape_debug());
    Diagnostic::error(&UNSPEAKABLE_RELATION, message).about(text)
}

/// The bytes of a name and of a path that every file system takes; `PATH_MAX` is 4096, with what stands before it.
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 4000;

/// What no format can hold.
fn unspeakable_values(package: &Package, artifacts: &[String]) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if package.scripts.iter().any(|script| script.body.contains('\0')) {
        found.push(
            unspeakable_value("\0", "a script has a zero byte")
                .hint("write it without, such as `printf '\\000'`"),
        );
    }
    if package.homepage.contains(char::is_whitespace) {
        let message = format!("the homepage `{}` is no address: it has blanks", package.homepage);
        found
            .push(unspeakable_value(&package.homepage, message).hint("write them as `%20`, or leave it out"));
    }
    let installed = match &package.payload {
        Payload::Install(entries) => entries.iter().chain(&[]),
        Payload::Source(source) => source.upstream.iter().chain(&source.files),
    };
    let paths = installed.map(|entry| entry.path.as_str()).chain(artifacts.iter().map(String::as_str));
    let is_long =
        |path: &&str| path.len() > LONGEST_PATH || path.split('/').any(|name| name.len() > LONGEST_NAME);
    if let Some(path) = paths.into_iter().find(is_long) {
        let message = format!("`{}` is longer than file systems allow", path.escape_debug());
        let name = path.rsplit('/').next().unwrap_or(path);
        found.push(unspeakable_value(name, message).hint("a name has 255 bytes at most"));
    }
    found
}

/// What a family, which users know as `title`, cannot say of the name, the version, the values and the relations of a package.
fn unspeakable_parts(
    family: &dyn Family,
    title: &str,
    package: &Package,
    is_named: bool,
    relation: fn(&Relation) -> Option<String>,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if !is_named {
        let message = format!("`{}` is no name for {title}", package.name);
        found.push(
            Diagnostic::error(&UNSPEAKABLE_NAME, message)
                .about(&package.name)
                .hint("set `package-name` under `[driver]` in kpkg.toml"),
        );
    }
    found.extend(unspeakable_version(title, &package.version, family.unspeakable(&package.version)));
    found.extend(unspeakable_values(package, &family.artifacts(package)));
    // some relations are made of the name
    for one in package.relations.iter().filter(|_| is_named) {
        found.extend(relation(one).map(|reason| unspeakable_relation(one, title, &reason)));
    }
    found
}

/// The finding about a version that has no spelling.
fn unspeakable_version(format: &str, version: &Version, reason: Option<String>) -> Option<Diagnostic> {
    let text = format!("the version `{}` cannot be spelled in {format}: it {}", as_given(version), reason?);
    Some(Diagnostic::error(&UNSPEAKABLE_VERSION, text).hint("give another one: `--driver-version VERSION`"))
}

/// Why no mapping of a part of a version would be injective: a character that has no place, or two separators in a row, since some
/// are written as two and a `~` before another one says that a pre-release follows.
fn bad_part(text: &str, others: &str, doubled: &[u8]) -> Option<String> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || others.contains(character);
    if let Some(bad) = text.chars().find(|character| !allowed(*character)) {
        return Some(format!("has the character `{}`", bad.escape_debug()));
    }
    let joins = |pair: &&[u8]| {
        pair.iter().all(|byte| doubled.contains(byte)) || pair[0] == b'~' && b"-_~+".contains(&pair[1])
    };
    let pair = text.as_bytes().windows(2).find(joins)?;
    Some(format!("has `{}`, two separators in a row", String::from_utf8_lossy(pair)))
}

/// Why the whole of a version has none; see [`bad_part`].
fn bad_version(version: &Version, others: &str, doubled: &[u8]) -> Option<String> {
    if version.upstream.is_empty() {
        return Some("is empty".to_owned());
    }
    if version.revision.contains('-') {
        return Some(format!("has the revision `{}`, which may hold no `-`", version.revision));
    }
    bad_part(&as_given(version), others, doubled)
}

/// The driver's version, without its epoch.
fn as_given(version: &Version) -> String {
    let Version { upstream, pre, .. } = version;
    match pre.as_deref() {
        None => upstream.clone(),
        Some(pre) if pre.starts_with(['~', '_', '.']) => format!("{upstream}{pre}"),
        Some(pre) => match pre.strip_prefix('+') {
            Some(joined) => format!("{upstream}{joined}"),
            None => format!("{upstream}-{pre}"),
        },
    }
}

/// How the tables of the formats try the spelling of versions.
#[cfg(test)]
mod spelling {
    use crate::package::Version;

    /// Epoch, upstream, what is before the release, revision; the spelling, or why there is none.
    type Row = (Option<u32>, &'static str, &'static str, &'static str, Result<&'static str, &'static str>);

    pub(super) fn version(epoch: Option<u32>, upstream: &str, pre: &str, revision: &str) -> Version {
        let pre = (!pre.is_empty()).then(|| pre.to_owned());
        Version { epoch, upstream: upstream.to_owned(), pre, revision: revision.to_owned() }
    }

    pub(super) fn assert_spelled(
        rows: &[Row],
        spelled: fn(&Version) -> String,
        unspeakable: fn(&Version) -> Option<String>,
    ) {
        for (epoch, upstream, pre, revision, expected) in rows {
            let version = version(*epoch, upstream, pre, revision);
            match expected {
                Ok(text) => assert_eq!((spelled(&version).as_str(), unspeakable(&version)), (*text, None)),
                Err(reason) => assert_eq!(unspeakable(&version).as_deref(), Some(*reason), "{version:?}"),
            }
        }
    }
}
