//! What `--json` prints: JSON Lines, an event a line, version 1.
//!
//! The contract with programs. Within a version kinds, fields and values may be added; none is removed, renamed or given another type or
//! meaning (`tests/it/events.rs` compares with the last frozen copy of the schema). Who reads them skips kinds, fields and values that he
//! does not know, which these types do, and takes an absent field for one that is null. A run that fails ends its stream with an
//! [`Event::Error`], one that a signal ended with an [`Event::Interrupted`].
//!
//! One answer is no stream: `kpkg show --dkms-conf FILE --json` prints [`Directives`], an object.
//!
//! Depends on nothing of ours: what kpkg is inside may change, and this may not.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the contract.
pub const VERSION: u32 = 1;

/// A line of the stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// [`VERSION`].
    pub schema: u32,
    /// What is told.
    #[serde(flatten)]
    pub event: Event,
}

impl Line {
    /// The line for an event, with the newline that ends it.
    #[must_use]
    pub fn text(event: Event) -> String {
        let line = Self { schema: VERSION, event };
        // strings, numbers and maps of strings always have a JSON form
        serde_json::to_string(&line).unwrap_or_default() + "\n"
    }
}

/// What a line tells; its `reason` is the kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Event {
    /// A driver, and what is or would be packaged of it (`show`, `--dry-run`).
    Plan(Box<Plan>),
    /// A package or another file was written, or lies there from an earlier run.
    Artifact(Artifact),
    /// How compiling went for a kernel (`--prebuilt`).
    Kernel(KernelResult),
    /// How building the source went for a kernel (`--check-build`, `check --build`).
    BuildCheck(KernelResult),
    /// Something that would hurt, or may.
    Finding(Finding),
    /// What modules, and the package that they are in, say of themselves (`show FILE`).
    Modules(ModuleFile),
    /// What differs between two packages (`diff`).
    Difference(Difference),
    /// A file whose modules were signed (`sign`).
    Signed(Signed),
    /// A digest for somebody who signs elsewhere (`sign --export`).
    Exported(Exported),
    /// A key or certificate that was made (`sign --new-key`).
    Key(NewKey),
    /// What a signature is worth (`verify`).
    Verification(Verification),
    /// Whether a kernel loads the modules of a file (`check --against`).
    Served(Served),
    /// A file that `init` wrote or would write.
    File(WrittenFile),
    /// What a code means (`explain`).
    Explanation(Explanation),
    /// A kernel whose headers are installed (`kernels list`).
    InstalledKernel(InstalledKernel),
    /// Headers that are kept without being installed (`kernels`).
    HeaderPackage(HeaderPackage),
    /// A kernel of kernels.lock (`kernels list`).
    LockedKernel(LockedKernel),
    /// What became of a kernel since the last lock (`kernels update`).
    KernelChange(KernelChange),
    /// What is to be built for a kernel, or several (`matrix`).
    PlannedJob(PlannedJob),
    /// A job of a plan that is done (`build --plan`).
    FinishedJob(FinishedJob),
    /// Which kernels are supported (`merge`).
    Support(SupportRow),
    /// What packages can be made for (`targets`).
    Target(Target),
    /// What would be compiled and packaged (`--prebuilt --dry-run`).
    Job(Job),
    /// The run failed; the last line.
    Error(Failure),
    /// A signal ended the run; the last line.
    Interrupted(Interrupted),
    /// A kind that this version of the types does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// What dkms reads from a `dkms.conf`: directive to value, or to index and value of each element. What cannot be known is null.
pub type Directives = BTreeMap<String, Directive>;

/// The value of a directive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Directive {
    /// One value.
    One(Option<String>),
    /// Elements of an array, by index.
    Many(BTreeMap<String, Option<String>>),
}

/// A driver and its packages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Plan {
    /// What is packaged.
    pub driver: Driver,
    /// The packages, of every target and format.
    pub packages: Vec<PlannedPackage>,
    /// What was found on the way. Those of `--dry-run` are events of their own.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// What a vendor ships.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Driver {
    /// `PACKAGE_NAME`.
    pub name: String,
    /// `PACKAGE_VERSION`, or what the user said instead.
    pub version: String,
    /// In the order of dkms.conf.
    pub modules: Vec<DriverModule>,
    /// Whether there may be other modules, since dkms.conf names some by what is not known here.
    pub modules_unknown: bool,
    /// What the driver says about itself.
    pub about: About,
    /// Where name, version and files are from.
    pub origin: Origin,
    /// The kernels that it is meant for.
    pub limits: Limits,
    /// The versions of dkms that its directives take.
    pub needs_dkms: Vec<DkmsNeed>,
    /// What dkms does with it, for each kernel that was asked about.
    pub kernels: Vec<KernelDecision>,
    /// When its source was made, in seconds since 1970.
    pub stamp: u32,
}

/// A module that a driver makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DriverModule {
    /// The name it is installed under, without suffix.
    pub name: String,
}

/// What a driver says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct About {
    /// One line.
    pub summary: Option<String>,
    /// Paragraphs.
    pub description: Option<String>,
    /// An SPDX expression.
    pub license: Option<String>,
    /// Notices, without the word.
    pub copyright: Vec<String>,
    /// `Name <address>`.
    pub maintainer: Option<String>,
    /// An address.
    pub homepage: Option<String>,
}

/// Where what is packaged comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Origin {
    /// The dkms.conf, or what it was made from, in words.
    pub conf: String,
    /// The root of the source.
    pub root: String,
    /// Who says the version, in words.
    pub version: String,
}

/// The kernels that a driver is meant for, as `BUILD_EXCLUSIVE_*` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// A regular expression on the machine.
    pub arch: Option<String>,
    /// A regular expression on the release.
    pub kernel: Option<String>,
    /// The oldest release.
    pub kernel_min: Option<String>,
    /// The newest release.
    pub kernel_max: Option<String>,
    /// Kernel options.
    pub config: Option<String>,
}

/// A version of dkms that something in dkms.conf takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DkmsNeed {
    /// At least.
    pub version: String,
    /// What takes it.
    pub why: String,
    /// Whether an older dkms would install a wrong module, rather than fail or ignore it.
    pub wrong_module: bool,
}

/// What dkms does with a driver for one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KernelDecision {
    /// The release, as `uname -r` prints it.
    pub kernel: String,
    /// Whether dkms builds the driver for it.
    pub verdict: Verdict,
    /// Why not, or what is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The command line; null where it is not known.
    pub make: Option<String>,
    /// The patches, in order.
    pub patches: Vec<String>,
    /// The command before the build.
    pub pre_build: Option<String>,
    /// The command after the build.
    pub post_build: Option<String>,
    /// Names of dkms modules that have to be there before.
    pub build_depends: Vec<String>,
    /// By their index.
    pub modules: Vec<ModuleDecision>,
    /// Directives of a build whose value is not known.
    pub unknown: Vec<String>,
    /// Whether there may be other modules than these.
    pub modules_unknown: bool,
}

/// What dkms does with one module for one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ModuleDecision {
    /// The name it is installed under; null where it is not known.
    pub name: Option<String>,
    /// `DEST_MODULE_LOCATION` as written.
    pub destination: Option<String>,
    /// Where the build leaves it, below its folder, without suffix.
    pub built: Option<String>,
    /// Whether debug information is taken out.
    pub strip: Option<bool>,
    /// Whether dkms builds it.
    pub verdict: Verdict,
    /// Why not, or what is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Whether dkms builds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It does.
    Builds,
    /// It does not, as dkms.conf says.
    Excluded,
    /// It depends on what is not known here.
    #[serde(other)]
    Unknown,
}

/// A package of the plan, for one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedPackage {
    /// The release it is for.
    pub target: String,
    /// What `--format` calls it.
    pub format: String,
    /// The files that it is written to.
    pub artifacts: Vec<String>,
    /// What it will be.
    pub package: Package,
}

/// Metadata, scripts and files of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Package {
    /// In the target's package namespace.
    pub name: String,
    /// In parts: each format has its own spelling.
    pub version: Version,
    /// `any`, or the machine as `uname -m` prints it.
    pub arch: String,
    /// One line.
    pub summary: String,
    /// Paragraphs.
    pub description: String,
    /// An SPDX expression.
    pub license: String,
    /// `Name <address>`.
    pub maintainer: String,
    /// An address, or empty.
    pub homepage: String,
    /// What it needs, offers and excludes.
    pub relations: Vec<Relation>,
    /// What runs as root on the target.
    pub scripts: Vec<Script>,
    /// What else calls them, in the format's own words: lines of deb-triggers(5).
    pub triggers: Vec<String>,
    /// Newest first.
    pub changelog: Vec<Change>,
    /// The kernel modules that it brings, ready to be loaded.
    pub modules: Vec<CarriedModule>,
    /// What is installed.
    pub files: Vec<PlannedFile>,
    /// Of a source package, how it is built: texts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packaging: Vec<PlannedFile>,
    /// How its members are compressed.
    pub compression: Compression,
    /// Fields that only the format has.
    pub fields: BTreeMap<String, String>,
    /// Every time in the artifact, in seconds since 1970.
    pub stamp: u32,
}

/// A version in parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Version {
    /// What is compared first.
    pub epoch: Option<u32>,
    /// The driver's.
    pub upstream: String,
    /// The part that sorts before the release: `~rc1`.
    pub pre: Option<String>,
    /// The package's own.
    pub revision: String,
}

/// What a package needs, offers or excludes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Relation {
    /// `requires`, `recommends`, `suggests`, `conflicts`, `breaks`, `replaces`, `provides`, `supplements`.
    pub kind: String,
    /// One of these.
    pub any_of: Vec<Capability>,
}

/// A name in a relation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Capability {
    /// A package, or what one offers.
    pub name: String,
    /// `at-least`, `equal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<String>,
    /// As the target's format spells it, unless it is the package's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version of the package itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_version: Option<Version>,
}

/// A maintainer script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Script {
    /// `before-install`, `after-install`, `before-remove`, `after-remove`, `after-transaction`.
    pub when: String,
    /// Its text.
    pub body: String,
}

/// An entry of the changelog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Change {
    /// The package's at that time.
    pub version: Version,
    /// `Name <address>`.
    pub author: String,
    /// What changed.
    pub lines: Vec<String>,
    /// Seconds since 1970.
    pub time: u32,
}

/// A module in a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CarriedModule {
    /// Without suffix.
    pub name: String,
    /// `MODULE_VERSION`.
    pub version: Option<String>,
    /// The hardware that it is loaded for.
    pub aliases: Vec<String>,
}

/// A file, folder or link that will be in a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedFile {
    /// Without a leading slash.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// In octal digits: `0644`.
    pub mode: String,
    /// In bytes: of the content, or of what a link says.
    pub size: u64,
    /// `plain`, `documentation`, `license`.
    pub role: String,
    /// What a link says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The content, where kpkg made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The file that the content is read from, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A folder.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// Something that this version of the types does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// How a package is compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Compression {
    /// `none`, `gzip`, `xz`, `zstd`.
    pub codec: String,
    /// The codec's.
    pub level: u32,
}

/// A file of the output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Artifact {
    /// Where it lies.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// The release it is for.
    pub target: String,
    /// What `--format` calls it.
    pub format: String,
    /// Whether this run wrote it.
    pub fresh: bool,
}

/// How it went for a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KernelResult {
    /// `PACKAGE_NAME`.
    pub driver: String,
    /// The release.
    pub kernel: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why nothing came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The first error that the compiler, the linker or make told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler_error: Option<String>,
    /// Where the log of the build is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Whether this run compiled the modules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<bool>,
    /// The version of the compiler that compiled them, which need not be that of the kernel's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
    /// The names of the modules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modules: Option<Vec<String>>,
    /// Whose fault a failure is: `driver`, `kernel-range`, `headers`, `machine` and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// What tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_why: Option<String>,
    /// The kernel whose modules load in this one, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

/// What came of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Modules that are packaged.
    Packaged,
    /// Modules.
    Built,
    /// The driver is not for this kernel.
    Skipped,
    /// It failed.
    Failed,
    /// Another kernel failed before.
    NotTried,
    /// The modules for another kernel load in it.
    Served,
    /// Something that this version of the types does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// Something that would hurt users later, or may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// Stable: `K0203`; `kpkg explain` tells more.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub message: String,
    /// Where it is.
    pub place: Option<Place>,
    /// What belongs to it.
    pub notes: Vec<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Whether `kpkg check --fix` repairs it.
    pub fixable: bool,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It may hurt.
    Warning,
    /// It hurts.
    Error,
    /// Something that this version of the types does not know.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Place {
    /// As it was given, or below what was given.
    pub path: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// Modules, and the package that they are in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ModuleFile {
    /// Null where the file is a module.
    pub package: Option<FoundPackage>,
    /// By path.
    pub modules: Vec<FoundModule>,
}

/// A finished package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FoundPackage {
    /// `deb`, `rpm`.
    pub format: String,
    /// Its name.
    pub name: String,
    /// As the format spells it.
    pub version: String,
    /// Names of what it needs.
    pub requires: Vec<String>,
    /// The maintainer scripts.
    pub scripts: Vec<FoundScript>,
    /// What it installs.
    pub files: Vec<FoundFile>,
}

/// A maintainer script of a finished package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FoundScript {
    /// As the format calls it: `postinst`, `%post`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// A file, folder or link of a finished package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FoundFile {
    /// Absolute.
    pub path: String,
    /// In octal digits.
    pub mode: String,
    /// `root:root`.
    pub owner: String,
    /// Whether it is a folder.
    pub folder: bool,
}

/// A module in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FoundModule {
    /// In the package, or of the file.
    pub path: String,
    /// The kernel it is for, by its vermagic.
    pub kernel: Option<String>,
    /// What it says of itself.
    pub module: Module,
}

/// What a kernel module says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Module {
    /// Its own name.
    pub name: Option<String>,
    /// As `uname -m` prints it.
    pub arch: String,
    /// Key and value of each line of `.modinfo`, in order.
    pub info: Vec<(String, String)>,
    /// Symbols that others have to export.
    pub needs: Vec<Symbol>,
    /// Symbols that it exports.
    pub exports: Vec<Export>,
    /// What is appended to it.
    pub signature: Option<Signature>,
}

/// A symbol, with its checksum where there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// `CONFIG_MODVERSIONS`.
    pub crc: Option<u32>,
    /// Whether the module loads without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
}

/// A symbol that a module exports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Export {
    /// Its name.
    pub name: String,
    /// `CONFIG_MODVERSIONS`.
    pub crc: Option<u32>,
    /// Whether only modules under the GPL may use it.
    pub gpl: bool,
}

/// A signature that is appended to a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Signature {
    /// Which kind: `PKCS#7`.
    pub kind: String,
    /// In bytes.
    pub size: u32,
    /// Who signed, as it says itself.
    #[serde(default)]
    pub signers: Vec<Signer>,
    /// SHA-256 of each certificate in it.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Why a kernel refuses it, and what else is odd.
    #[serde(default)]
    pub doubts: Vec<String>,
}

/// One of those who signed a module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Signer {
    /// As the signature says it.
    pub name: String,
    /// The digest, as `CONFIG_MODULE_SIG_HASH` names it; null for one that is not known.
    pub hash: Option<String>,
}

/// A file whose modules were signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Signed {
    /// Where it lies.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// How many modules were signed.
    pub modules: u64,
    /// Signatures of the package, or of files beside it, that are void since.
    pub void: Vec<String>,
}

/// A digest for somebody who signs elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Exported {
    /// The file that was given.
    pub file: String,
    /// The module, in it.
    pub path: String,
    /// The digest's name, as `CONFIG_MODULE_SIG_HASH` has it.
    pub hash: String,
    /// The digest, in hexadecimal digits.
    pub digest: String,
    /// SHA-256 of the module without a signature, which names the files.
    pub sha256: String,
    /// Bytes of the module without a signature.
    pub size: u64,
}

/// A key or certificate that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct NewKey {
    /// Where it lies.
    pub path: String,
    /// `ca-key`, `ca-certificate`, `key`, `certificate`.
    pub kind: String,
}

/// What a signature is worth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Verification {
    /// The file that was given.
    pub file: String,
    /// `module`, or `package` for what signs the file itself.
    #[serde(default)]
    pub subject: String,
    /// The module, or the place of the signature, in it.
    pub path: String,
    /// `good`, `unknown-key`, `wrong`, `unsigned`.
    pub verdict: String,
    /// Who signed, as the signatures say themselves.
    pub signers: Vec<String>,
    /// What is wrong with it.
    #[serde(default)]
    pub why: Option<String>,
}

/// A difference between two packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// `metadata`, `relations`, `scripts`, `files`, `modules`.
    pub section: String,
    /// A field, a relation, a script, a path.
    pub what: String,
    /// Null where only the second has it.
    pub old: Option<String>,
    /// Null where only the first has it.
    pub new: Option<String>,
}

/// Whether a kernel loads the modules of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Served {
    /// The file that was given.
    pub file: String,
    /// The kernels that its modules were built for.
    pub built_for: Vec<String>,
    /// The release of the kernel, or where its symbols were read.
    pub kernel: String,
    /// Whether it does.
    pub serves: bool,
    /// Why it does not.
    pub obstacles: Vec<Obstacle>,
    /// Needed symbols that modules of the kernel export, with these.
    pub from_modules: BTreeMap<String, String>,
}

/// What keeps modules from being loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Obstacle {
    /// `machine`, `no-versions`, `magic`, `minor`, `layout`, `missing`, `checksum`, `gpl`, `namespace`.
    pub kind: String,
    /// The symbol, where it is about one.
    pub symbol: Option<String>,
    /// The checksum that the modules need.
    pub needed: Option<u32>,
    /// The checksum that the kernel has.
    pub found: Option<u32>,
    /// Whether the symbol is on a list of stable ones, where there is such a list.
    pub stable: Option<bool>,
    /// In words.
    pub text: String,
}

/// A file that `init` makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WrittenFile {
    /// Where it lies, or would.
    pub path: String,
    /// Its content.
    pub text: String,
    /// Whether it was written.
    pub written: bool,
}

/// What a code means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// `K0203`.
    pub code: String,
    /// One line.
    pub title: String,
    /// Lines.
    pub explanation: String,
}

/// A kernel whose headers are installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct InstalledKernel {
    /// As `uname -r` prints it.
    pub kernel: String,
}

/// Kept headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct HeaderPackage {
    /// The package's name.
    pub name: String,
    /// As its format spells it.
    pub version: String,
    /// As its format names it.
    pub arch: String,
    /// The kernels whose build folder it has.
    pub kernels: Vec<String>,
    /// Of its files, in bytes.
    pub size: u64,
    /// SHA-256 of the package file, in hexadecimal digits.
    pub digest: String,
    /// `kept`, `added`, `removed`.
    pub state: String,
}

/// A kernel of kernels.lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LockedKernel {
    /// The name of the target.
    pub target: String,
    /// As `uname -r` prints it there.
    pub kernel: String,
    /// As `uname -m` prints it there.
    pub arch: String,
    /// The version of the package.
    pub version: String,
    /// `cloud`, `generic`, `rt`; `plain` where the release says nothing.
    pub flavour: String,
    /// `current`, `gone`, `retired`.
    pub status: String,
    /// The day when it was first seen, such as `2026-11-26`.
    pub seen: String,
    /// The SHA-256 digests of the packages of its headers, in hexadecimal digits.
    pub headers: Vec<String>,
    /// What compiled it, where its headers were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
}

/// What became of a kernel since the last lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KernelChange {
    /// `new`, `changed`, `gone`, `back`, `dropped`.
    pub change: String,
    /// The name of the target.
    pub target: String,
    /// As `uname -r` prints it there.
    pub kernel: String,
    /// As `uname -m` prints it there.
    pub arch: String,
    /// The version of the package.
    pub version: String,
    /// The version before, where it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// A job of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PlannedJob {
    /// Its name.
    pub job: String,
    /// The shard that it is in.
    pub shard: String,
    /// The name of the target.
    pub target: String,
    /// As `uname -m` prints it there.
    pub arch: String,
    /// The releases that are compiled for.
    pub kernels: Vec<String>,
    /// SHA-256 of all that decides about the packages, in hexadecimal digits; every machine computes the same.
    pub key: String,
}

/// A job that is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct FinishedJob {
    /// Its name.
    pub job: String,
    /// `built`, `there` from an earlier run, `reused` from somebody else's.
    pub how: String,
    /// `ok`, `skip`, `fail`: the worst of its kernels.
    pub state: String,
    /// The names of its packages.
    pub packages: Vec<String>,
    /// How long it took, where it was built.
    pub seconds: f64,
}

/// A kernel of a target, and whether the driver supports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct SupportRow {
    /// `PACKAGE_NAME`.
    pub driver: String,
    /// The name of the target.
    pub target: String,
    /// As `uname -m` prints it there.
    pub arch: String,
    /// As `uname -r` prints it there.
    pub kernel: String,
    /// `ok`, `skip`, `fail`, `unknown`.
    pub state: String,
    /// Why there are no modules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The first error of the compiler, the linker or make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler_error: Option<String>,
    /// The day since when it is so, such as `2026-11-26`.
    pub since: String,
}

/// A driver for a target, in a format, for a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Job {
    /// `PACKAGE_NAME`, as dkms has it.
    pub driver: String,
    /// `PACKAGE_VERSION`, as dkms has it.
    pub version: String,
    /// The name of the target.
    pub target: String,
    /// As `--format` takes it.
    pub format: String,
    /// The release that is compiled for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// Why nothing would be compiled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// SHA-256 of all that decides about the packages, in hexadecimal digits; every machine computes the same.
    pub key: String,
}

/// A release of a distribution, or all of a family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Target {
    /// As `--target` takes it.
    pub name: String,
    /// Other names that it takes, such as a codename.
    pub aliases: Vec<String>,
    /// Its name for people.
    pub title: String,
    /// Its kind of packages, by the format that is installed.
    pub family: String,
    /// The version of dkms that it ships, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dkms: Option<String>,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// What kind of trouble it is.
    pub kind: FailureKind,
    /// One line.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// What kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// Arguments, configuration or input that cannot be used.
    Usage,
    /// Something has to be installed or allowed first.
    Lacking,
    /// The work failed.
    #[serde(other)]
    Failed,
}

/// The signal that ended a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Interrupted {
    /// Its number, signal(7): 2, 15.
    pub signal: u8,
}

/// The JSON schema of a line: `events.schema.json`.
#[must_use]
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(Line);
    schema.insert("$id".to_owned(), "urn:kpkg:schema:events:1".into());
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
