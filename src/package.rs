//! One package with nothing left to decide: what the plan hands to a family.
//!
//! Depends on nothing of ours. Names no format: how a version, a relation or a script is spelled is a family's business.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

/// A package: metadata, scripts and payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Package {
    /// The name in the target's package namespace.
    pub name: String,
    /// The version, in parts; see [`Version`].
    pub version: Version,
    /// For which machines.
    pub arch: Arch,
    /// One line, no final period.
    pub summary: String,
    /// Paragraphs separated by an empty line, each a line of running text.
    pub description: String,
    /// An SPDX expression.
    pub license: String,
    /// `Name <address>`.
    pub maintainer: String,
    /// An address, or empty.
    pub homepage: String,
    /// What it needs, offers and excludes.
    pub relations: Vec<Relation>,
    /// What runs as root on the target, in the order of [`When`].
    pub scripts: Vec<Script>,
    /// What else calls them, in the format's own words: lines of deb-triggers(5).
    pub triggers: Vec<String>,
    /// Newest first.
    pub changelog: Vec<Change>,
    /// The kernel modules that it brings, ready to be loaded.
    pub carries: Vec<Module>,
    /// The hardware that it is for, by module: also where that is built on the target.
    pub hardware: Vec<Hardware>,
    /// What it provides for the sake of these, where the target's packages say so.
    pub offers: Vec<Capability>,
    /// The newest kernel of those that it is for, where it only leads to that one's package.
    pub newest_of: Option<String>,
    pub payload: Payload,
    /// How its members are compressed.
    pub compression: Compression,
    /// Native extras, verbatim from the profile: field name to value.
    pub fields: BTreeMap<String, String>,
    /// Every time in the artifact, in seconds since 1970: the only clock.
    pub stamp: u32,
}

impl Package {
    /// The description as paragraphs of lines that fit a terminal; both formats' lints ask for that.
    #[must_use]
    pub fn paragraphs(&self) -> Vec<Vec<String>> {
        self.description.split("\n\n").map(wrapped).filter(|lines| !lines.is_empty()).collect()
    }
}

/// What no line of running text begins with: descriptions of packages and of how they are built take such lines for commands, comments
/// or marks of their own.
pub const SIGNS: [char; 3] = ['%', '#', '.'];

/// Lines of at most 78 characters; longer words stand alone, and words that no line may begin with follow the one before them.
#[must_use]
pub fn wrapped(paragraph: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in paragraph.split_whitespace() {
        match lines.last_mut() {
            Some(line)
                if word.starts_with(SIGNS) || line.chars().count() + 1 + word.chars().count() <= 78 =>
            {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A version in parts, never joined here: each format has its own spelling and order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Version {
    /// Orders before everything else; absent = 0.
    pub epoch: Option<u32>,
    /// The driver's version without epoch and pre-release part.
    pub upstream: String,
    /// A pre-release tag such as `rc1`, which sorts before the version without one. It begins with what stands before it in the
    /// driver's version, unless that is a dash: `~rc1`, `_rc1`, `.rc1`; `+rc1` where nothing stands there.
    pub pre: Option<String>,
    /// The package's own revision (`-1` in deb, Release in rpm). Empty, or only an addition that begins with `~`, where driver and
    /// packaging are released as one.
    pub revision: String,
}

impl Version {
    /// Adds a text behind what the driver says of its version.
    pub fn follow(&mut self, text: &str) {
        self.pre.as_mut().unwrap_or(&mut self.upstream).push_str(text);
    }

    /// Whether the package has revisions apart from the driver's versions.
    #[must_use]
    pub fn has_revision(&self) -> bool {
        self.revision.starts_with(|first: char| first.is_ascii_alphanumeric())
    }
}

/// For which machines a package is; each format has its own names for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// Every machine: `all` in deb, `noarch` in rpm.
    Any,
    /// PCs and servers with 64 bits.
    X86_64,
    /// PCs with 32 bits.
    I686,
    /// ARM with 64 bits.
    Aarch64,
    /// ARM with 32 bits and hardware floating point.
    Armv7,
    /// POWER with 64 bits, little-endian.
    Ppc64le,
    /// IBM Z.
    S390x,
    /// RISC-V with 64 bits.
    Riscv64,
    /// `LoongArch` with 64 bits.
    Loongarch64,
}

impl Arch {
    /// The machine that `uname -m` names.
    #[must_use]
    pub fn of_machine(name: &str) -> Option<Self> {
        Some(match name {
            "x86_64" => Self::X86_64,
            "i386" | "i486" | "i586" | "i686" => Self::I686,
            "aarch64" => Self::Aarch64,
            "armv7l" => Self::Armv7,
            "ppc64le" => Self::Ppc64le,
            "s390x" => Self::S390x,
            "riscv64" => Self::Riscv64,
            "loongarch64" => Self::Loongarch64,
            _ => return None,
        })
    }
}

/// A kernel module in a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Module {
    /// The name that `lsmod` shows.
    pub name: String,
    /// `MODULE_VERSION`, where it has one.
    pub version: Option<String>,
}

/// The hardware that a module is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hardware {
    pub module: String,
    /// In the notation of `modules.alias`.
    pub aliases: Vec<String>,
}

/// How a capability stands to a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelationKind {
    /// Must be there.
    Requires,
    /// Installed unless the user says otherwise.
    Recommends,
    /// Offered to the user.
    Suggests,
    /// Cannot be installed at the same time.
    Conflicts,
    /// May be there, but not configured and working, at the same time; where a format does not tell these, as if it conflicted.
    Breaks,
    /// Takes the place of an installed package, which goes.
    Replaces,
    /// Is an answer to another package's need.
    Provides,
    /// Is installed along with another package, unless the user says otherwise.
    Supplements,
    /// Is offered to the user of another package.
    Enhances,
}

/// One need, offer or exclusion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Relation {
    /// How it stands to the package.
    pub kind: RelationKind,
    /// Alternatives, best first; never empty.
    pub any_of: Vec<Capability>,
}

/// A named thing that packages provide, optionally at a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capability {
    /// A package name or virtual name.
    pub name: String,
    /// A bound on its version.
    pub bound: Option<(Comparison, Bound)>,
}

/// How a version is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// Earlier.
    Less,
    AtMost,
    /// Exactly.
    Equal,
    AtLeast,
    /// Later.
    Greater,
}

impl Comparison {
    /// The sign that people read.
    #[must_use]
    pub fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "=",
            Self::AtLeast => ">=",
            Self::Greater => ">",
        }
    }
}

/// A version to compare with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Bound {
    /// In the target's own spelling.
    Native(String),
    /// The package's own version, spelled by the family.
    Own(Version),
}

/// When a script runs, in the words of the life cycle; each family maps it to its calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Before the files are unpacked.
    BeforeInstall,
    /// After the files are unpacked.
    AfterInstall,
    /// Before the files are deleted.
    BeforeRemove,
    /// After the files are deleted.
    AfterRemove,
    /// At the end of the whole transaction, where the format has such a moment.
    AfterTransaction,
    /// Once at the end of each transaction that brought files of a kernel, those below `/lib/modules` and `/usr/lib/modules`, whichever packages
    /// did it, where the format has such a moment.
    AfterKernels,
}

impl When {
    /// All of them, in order.
    pub const ALL: [Self; 6] = [
        Self::BeforeInstall,
        Self::AfterInstall,
        Self::BeforeRemove,
        Self::AfterRemove,
        Self::AfterTransaction,
        Self::AfterKernels,
    ];

    /// As kpkg.toml and the profiles name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeInstall => "before-install",
            Self::AfterInstall => "after-install",
            Self::BeforeRemove => "before-remove",
            Self::AfterRemove => "after-remove",
            Self::AfterTransaction => "after-transaction",
            Self::AfterKernels => "after-kernels",
        }
    }
}

/// A maintainer script for `/bin/sh`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Script {
    pub when: When,
    /// Its text, with `#!/bin/sh` as the first line.
    pub body: String,
}

/// One entry of the changelog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The version it is about.
    pub version: Version,
    /// Who made it: `Name <address>`.
    pub author: String,
    /// One line each, without a bullet.
    pub lines: Vec<String>,
    /// Seconds since 1970.
    pub time: u32,
}

/// What a package carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// Files to install and the folders that the package owns, in byte order of their paths. Folders above them that other
    /// packages share are not listed; a format that needs them adds them.
    Install(Vec<Entry>),
    /// What a distribution's own builder makes the package of, on its own machines.
    Source(Box<Source>),
}

impl Payload {
    /// What is installed, or the driver's source.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match self {
            Self::Install(entries) => entries,
            Self::Source(source) => &source.upstream,
        }
    }
}

/// A source package, of which a package is built that is equal to the one that would have been written at once: name, relations and
/// scripts are that package's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// `NAME-VERSION`: the top folder of the source's archive, and its place below `usr/src` on the target.
    pub folder: String,
    /// The driver's source, below that folder.
    pub upstream: Vec<Entry>,
    /// Whether the package itself is built of it; else the packaging says which others are.
    pub is_built: bool,
    /// What the built package holds beside the source, as it is installed.
    pub files: Vec<Entry>,
    /// How it is built: texts, by path.
    pub packaging: Vec<Entry>,
    /// What building takes.
    pub build_requires: Vec<Relation>,
    /// Native fields of the source package itself.
    pub fields: BTreeMap<String, String>,
    /// What its description sets for the builder, in the format's own notation.
    pub globals: Vec<String>,
    /// The release of the distribution that it is uploaded for.
    pub distribution: String,
    /// The machine that it was made on, where a description of that shall go along.
    pub made_on: Option<Arch>,
}

/// One file, folder or link of the payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Absolute, without the leading slash: `usr/src/ixgbe-6.3.4/Makefile`.
    pub path: String,
    pub kind: EntryKind,
    /// What it is for.
    pub role: Role,
}

impl Entry {
    /// The permission bits: 0755 for folders and executable files, 0644 for other files, 0777 for links.
    #[must_use]
    pub fn mode(&self) -> u16 {
        match &self.kind {
            EntryKind::Directory | EntryKind::File { executable: true, .. } => 0o755,
            EntryKind::File { .. } => 0o644,
            EntryKind::Symlink { .. } => 0o777,
        }
    }

    /// The size in bytes of what is stored: a file's content, a link's target.
    #[must_use]
    pub fn size(&self) -> u64 {
        match &self.kind {
            EntryKind::Directory => 0,
            EntryKind::File { content, .. } => content.size(),
            EntryKind::Symlink { target } => target.len() as u64,
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EntryKind {
    Directory,
    File {
        /// Where its bytes come from.
        content: Content,
        /// Whether it may be run.
        executable: bool,
    },
    Symlink {
        /// Verbatim.
        target: String,
    },
}

/// Where a file's bytes come from; never the bytes of a file on disk themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// A file, read once while the artifact is written.
    Disk {
        /// Where; shared by the packages of all targets.
        #[serde(serialize_with = "path_text")]
        path: Arc<Path>,
        /// How many bytes it had when the plan was made; another size later is an error.
        size: u64,
    },
    /// Text made by the plan.
    Text(String),
    /// What is no text, and in no file.
    Bytes(Vec<u8>),
    /// In the package that was read.
    Packaged { size: u64 },
}

fn path_text<S: serde::Serializer>(path: &Arc<Path>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    path.as_ref().serialize(serializer)
}

impl Content {
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Disk { size, .. } | Self::Packaged { size } => *size,
            Self::Text(text) => text.len() as u64,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

/// What an entry is for; formats mark some of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Nothing special.
    Plain,
    Documentation,
}

/// How an artifact's members are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compression {
    pub codec: Codec,
    /// How hard, on the codec's own scale.
    pub level: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// Stored as it is.
    None,
    /// gzip, levels 1 to 9.
    Gzip,
    /// xz, levels 0 to 9.
    Xz,
    /// Zstandard, levels 1 to 19.
    Zstd,
}

impl Codec {
    pub const ALL: [Self; 4] = [Self::None, Self::Gzip, Self::Xz, Self::Zstd];

    /// The name that users and profiles write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }

    /// What is appended to the name of a file that it compressed.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    /// The levels it knows.
    #[must_use]
    pub fn levels(self) -> std::ops::RangeInclusive<u32> {
        match self {
            Self::None => 0..=0,
            Self::Gzip => 1..=9,
            Self::Xz => 0..=9,
            Self::Zstd => 1..=19,
        }
    }

    /// The level used when nobody asks for one.
    #[must_use]
    pub fn default_level(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Gzip => 9,
            Self::Xz => 6,
            Self::Zstd => 19,
        }
    }
}

impl RelationKind {
    /// As kpkg.toml and the profiles name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requires => "requires",
            Self::Recommends => "recommends",
            Self::Suggests => "suggests",
            Self::Conflicts => "conflicts",
            Self::Breaks => "breaks",
            Self::Replaces => "replaces",
            Self::Provides => "provides",
            Self::Supplements => "supplements",
            Self::Enhances => "enhances",
        }
    }
}

/// `name`, `name >= version`, and alternatives of them between `|`; a bound on the package's own version has no text here.
impl fmt::Display for Relation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, capability) in self.any_of.iter().enumerate() {
            write!(out, "{}{capability}", if index > 0 { " | " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.bound {
            Some((comparison, Bound::Native(version))) => {
                write!(out, "{} {} {version}", self.name, comparison.sign())
            }
            _ => out.write_str(&self.name),
        }
    }
}

impl Relation {
    /// Reads `name`, `name >= version`, `name = version` and alternatives of them between `|`; what stands in parentheses is a
    /// format's own notation; anything else is `None`.
    #[must_use]
    pub fn parse(kind: RelationKind, text: &str) -> Option<Self> {
        if text.starts_with('(') && text.ends_with(')') && !text.chars().any(char::is_control) {
            let words: Vec<_> = text.split_whitespace().collect();
            return Some(Self { kind, any_of: vec![Capability::named(words.join(" "))] });
        }
        let any_of: Option<Vec<_>> = text.split('|').map(Capability::parse).collect();
        Some(Self { kind, any_of: any_of? })
    }
}

impl Capability {
    /// A name without a bound.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), bound: None }
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<_> = text.split_whitespace().collect();
        let is_word =
            |word: &str| word.bytes().all(|byte| byte.is_ascii_graphic() && !b",|<>=\"'`\\".contains(&byte));
        let (name, bound) = match words.as_slice() {
            [name] => (*name, None),
            [name, sign, version] if is_word(version) => {
                // those of Debian, and of rpm
                let comparison = match *sign {
                    "<<" | "<" => Comparison::Less,
                    "<=" => Comparison::AtMost,
                    "=" => Comparison::Equal,
                    ">=" => Comparison::AtLeast,
                    ">>" | ">" => Comparison::Greater,
                    _ => return None,
                };
                (*name, Some((comparison, Bound::Native((*version).to_owned()))))
            }
            _ => return None,
        };
        is_word(name).then(|| Self { name: name.to_owned(), bound })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_but_the_first_begins_with_a_sign() {
        let long = "x".repeat(70);
        for sign in SIGNS {
            let lines = wrapped(&format!("{sign}a {long} b {sign}post and what follows it"));
            assert_eq!(lines, [format!("{sign}a {long} b {sign}post"), "and what follows it".to_owned()]);
        }
    }

    #[test]
    fn relations_are_names_bounds_and_alternatives() {
        let parse = |text| Relation::parse(RelationKind::Requires, text);
        assert_eq!(parse("gcc | c-compiler").map(|relation| relation.any_of.len()), Some(2));
        let bound = Some((Comparison::AtLeast, Bound::Native("3.0".to_owned())));
        assert_eq!(parse("dkms >= 3.0").map(|relation| relation.any_of[0].bound.clone()), Some(bound));
        for (text, comparison) in [
            ("a << 1", Comparison::Less),
            ("a < 1", Comparison::Less),
            ("a <= 1", Comparison::AtMost),
            ("a >> 1", Comparison::Greater),
        ] {
            let found = parse(text).and_then(|relation| relation.any_of[0].bound.clone());
            assert_eq!(found, Some((comparison, Bound::Native("1".to_owned()))), "{text}");
        }
        for bad in ["", "a b", "a >= ", "a >>> 1", "a, b", "a |", "a\u{7f}", "a`id`"] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }
}
