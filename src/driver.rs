//! The model of what a vendor ships: name, version, modules, source files, limits.
//!
//! Knows no format and no distribution. Reads the tree, `dkms.conf` and what the sources say about themselves; runs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{Config, DriverConfig};
use crate::diagnostic::{Code, Diagnostic, Edit, Severity};
use crate::dkms::{self, Conf, Decision, Fact, Facts, Inputs, ReadTree};
use crate::error::{Error, Result};
use crate::find::{self, Found};
use crate::infer::{self, Inferred};
use crate::input::Input;
use crate::kbuild;
use crate::machine::Machine;
use crate::output::Stop;
use crate::source::{self, LeftOut, SourceFile, SourceKind};
use crate::version::{self, Claim};

/// What a vendor ships.
#[derive(Debug, Clone, Serialize)]
pub struct Driver {
    /// `PACKAGE_NAME`, verbatim.
    pub name: String,
    /// `PACKAGE_VERSION`, verbatim, or what the user said instead.
    pub version: String,
    /// In the order of dkms.conf.
    pub modules: Vec<Module>,
    /// The files of the source, by path.
    #[serde(skip)]
    pub tree: Vec<SourceFile>,
    /// What was left out of the source, and why.
    #[serde(skip)]
    pub left_out: Vec<LeftOut>,
    /// Files whose packaged text differs from the one on disk: path to text.
    #[serde(skip)]
    pub rewritten: BTreeMap<String, String>,
    /// What it says about itself.
    pub about: About,
    /// Where name, version and files are from.
    pub origin: Origin,
    /// The kernels it is meant for.
    pub limits: Limits,
    /// The versions of dkms that its directives take.
    pub needs_dkms: Vec<DkmsNeed>,
    /// What dkms does with it, for each kernel asked about.
    pub kernels: Vec<ForKernel>,
    /// When it was made, in seconds since 1970.
    pub stamp: u32,
}

/// One `.ko`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Module {
    /// The name it is installed under, without suffix.
    pub name: String,
}

/// Where what is packaged comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The dkms.conf, or what it was made from.
    pub conf: String,
    /// The root of the source.
    pub root: PathBuf,
    /// Who says the version, in words.
    pub version: String,
    /// Whether dkms.conf lies where dkms wants it.
    #[serde(skip)]
    pub is_plain: bool,
}

impl Origin {
    /// Whether there is nothing to say about it.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        self.is_plain && matches!(self.version.as_str(), OWN_VERSION | "given")
    }
}

/// What a driver says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct About {
    /// One line.
    pub summary: Option<String>,
    /// Paragraphs.
    pub description: Option<String>,
    /// An SPDX expression.
    pub license: Option<String>,
    /// Notices.
    pub copyright: Vec<String>,
    /// `Name <address>`.
    pub maintainer: Option<String>,
    /// An address.
    pub homepage: Option<String>,
}

/// The kernels a driver is meant for, as `BUILD_EXCLUSIVE_*` says; absent where it says nothing, or something that depends on the
/// kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
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

/// What dkms does with a driver for one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForKernel {
    /// The release.
    pub kernel: String,
    /// The answer.
    #[serde(flatten)]
    pub decision: Decision,
}

/// A version of dkms that something in dkms.conf takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DkmsNeed {
    /// At least.
    pub version: String,
    /// What takes it.
    pub why: String,
    /// Whether an older dkms would install a wrong module, rather than fail or ignore it.
    pub wrong_module: bool,
}

/// How a driver is read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Instead of the version that dkms.conf and kpkg.toml give.
    pub version: Option<String>,
    /// The folder artifacts go to: no source, wherever it lies.
    pub output: Option<PathBuf>,
    /// Instead of the time that the source gives.
    pub stamp: Option<u32>,
    /// The machines to ask about; those without a kernel change nothing.
    pub machines: Vec<Machine>,
    /// The stop flag.
    pub stop: Stop,
}

/// The findings of this layer.
pub const CODES: &[&Code] =
    &[&NO_CONF, &MISSING_PATCH, &DEAD_HOOK, &NORMALISED, &BAD_VERSION, &COLON, &PER_KERNEL, &VERSION_FROM];

const NO_CONF: Code = Code {
    id: "K0101",
    title: "there is no dkms.conf",
    explanation: "Without a dkms.conf kpkg reads the Makefiles as kbuild does, and makes one from the modules that they name,\n\
                  the folder they are in, and what the driver's own Makefile needs. `kpkg init` writes it into the tree, with\n\
                  a comment on each line that says where it is from. Where no Makefile makes a module there is no driver.",
};
const MISSING_PATCH: Code = Code {
    id: "K0102",
    title: "a patch is missing",
    explanation: "dkms looks for the files that PATCH names in the folder `patches` of the source, and fails the build with\n\
                  status 5 when one is not there. The file does not exist, or is left out of the package: see\n\
                  `kpkg show --files`.",
};
const DEAD_HOOK: Code = Code {
    id: "K0103",
    title: "a script of dkms.conf will not run",
    explanation: "dkms runs PRE_BUILD, POST_INSTALL and their like only when the file exists and is executable; otherwise it\n\
                  prints a warning and goes on with success, so that the step is silently missing on every machine.",
};
const NORMALISED: Code = Code {
    id: "K0104",
    title: "the packaged dkms.conf differs from the one in the tree",
    explanation: "Line ends of CR LF break dkms before 3.1.5, and a version given from outside has to stand in the file as well.\n\
                  The file in the package is the corrected one; the one\n\
                  in the tree is left alone.",
};
const BAD_VERSION: Code = Code {
    id: "K0105",
    title: "a given version cannot be used",
    explanation: "The version becomes part of a path, of arguments to dkms and of package versions: letters, digits and\n\
                  `. _ + ~ : -` are possible, and the first character is a letter or a digit.",
};

const COLON: Code = Code {
    id: "K0106",
    title: "the version holds a colon",
    explanation: "dkms builds in /var/lib/dkms/NAME/VERSION/build, and kbuild refuses a folder with a colon in its path\n\
                  (Linux 6.1: `module directory path cannot contain ':'`). The package can be made, with the part\n\
                  before the colon as its epoch, but the driver will not build. Give a version without a colon.",
};

const PER_KERNEL: Code = Code {
    id: "K0107",
    title: "the name or version depends on the kernel",
    explanation: "dkms keeps one registration NAME/VERSION for all kernels, and a package has one name and one version. A file\n\
                  that sets another PACKAGE_NAME or PACKAGE_VERSION for some kernels is registered once and not found again.\n\
                  Give the version with `--driver-version`, or write one value.",
};

const VERSION_FROM: Code = Code {
    id: "K0110",
    title: "the version is not in dkms.conf",
    explanation: "PACKAGE_VERSION is empty, a template's marker, or computed by a program. kpkg then takes, in this order:\n\
                  `--driver-version`, `version` in kpkg.toml, the nearest git tag, MODULE_VERSION or a #define in the\n\
                  sources, Makefile, configure.ac, VERSION, debian/changelog, a spec file, and the name of the folder or\n\
                  archive. It says which one it was, and warns when they disagree. The dkms.conf in the package has the\n\
                  version; the one in the tree is left alone.",
};

/// What dkms reads at most of a `dkms.conf` before we call it unusable.
const LARGEST_CONF: u64 = 1 << 20;

impl Driver {
    /// Reads a driver of `input`; findings that do not stop it come along.
    pub fn read(
        input: &Input,
        found: &Found,
        config: &Config,
        options: &Options,
    ) -> Result<(Self, Vec<Diagnostic>)> {
        let mut selection = source::select(
            &found.root,
            &source::Options {
                exclude: config.source.exclude.clone(),
                include: config.source.include.clone(),
                output: options.output.clone(),
                interrupted: &|| options.stop.is_set(),
            },
        )?;
        let mut findings = std::mem::take(&mut selection.diagnostics);
        let wanted = Wanted {
            name: config.driver.name.clone(),
            version: options.version.clone().or_else(|| config.driver.version.clone()),
        }
        .checked()?;
        let mut inferred_conf = None;
        let (path, bytes) = if let Some(path) = &found.conf {
            (path.clone(), read_conf(path)?)
        } else {
            let made = inferred(input, &found.root, &selection.files, &wanted)?;
            findings.push(made.finding());
            let text = made.text.clone();
            inferred_conf = Some(made);
            (find::below(&found.root, CONF_NAME), text.into_bytes())
        };
        let is_plain = found.conf.as_ref() == Some(&find::below(&found.root, CONF_NAME));
        if !is_plain {
            place_conf(&mut selection.files, &path, bytes.len());
        }
        let path = input.shown(&path);
        let tree = Tree::new(&selection.files);
        let (_, of_bytes) = Conf::parse(&path, &bytes);
        findings.extend(of_bytes);
        let (packaged, version_from) = wanted
            .settle(&path, &bytes, &tree, &|modules| claims(input, &found.root, &selection.files, modules));
        let facts = &packaged.facts;
        findings.extend(packaged.findings.iter().cloned());
        check_files(facts, &packaged.conf, &tree, &mut findings);
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(Error::diagnostics(findings));
        }
        // without these, `settle` reported an error
        let (Some(name), Some(version)) = (facts.name.known().cloned(), facts.version.known().cloned())
        else {
            return Err(Error::diagnostics(findings));
        };
        if version.contains(':') {
            let text =
                format!("kernels do not build a driver in a folder with a colon, such as `{name}/{version}`");
            findings.push(
                Diagnostic::warning(&COLON, text)
                    .hint("give a version without it: `--driver-version VERSION`"),
            );
        }
        let mut kernels = Vec::new();
        for machine in &options.machines {
            kernels.extend(packaged.for_kernel(machine, &tree, (&name, &version), &mut findings));
        }
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(Error::diagnostics(findings));
        }
        let modules = modules(facts);
        let about = About::new(&config.driver, &tree, &modules)?;
        let driver = Self {
            name,
            version,
            about,
            origin: Origin {
                conf: inferred_conf.as_ref().map_or_else(|| path.display().to_string(), Inferred::origin),
                root: input.shown(&found.root),
                version: inferred_conf.as_ref().map_or(version_from, |made| made.version_from.clone()),
                is_plain,
            },
            limits: limits(facts),
            needs_dkms: needs_dkms(facts),
            kernels,
            stamp: options.stamp.unwrap_or(selection.newest),
            modules,
            rewritten: packaged
                .rewritten
                .or(inferred_conf.map(|made| made.text))
                .map(|text| (CONF_NAME.to_owned(), text))
                .into_iter()
                .collect(),
            left_out: selection.left_out,
            tree: selection.files,
        };
        Ok((driver, findings))
    }

    /// The text of a file of the source as it is packaged; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        if let Some(text) = self.rewritten.get(path) {
            return Some(text.clone());
        }
        let bytes = Tree::new(&self.tree).read(path, ABOUT_BYTES)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// How the Makefile of a folder wants to be called, and its path; nothing where there is none.
    #[must_use]
    pub fn wrapper(&self, folder: &str) -> Option<(String, kbuild::Wrapper)> {
        kbuild::wrapper(&Tree::new(&self.tree), folder)
    }

    /// The licence texts in the root of the source.
    pub fn license_files(&self) -> impl Iterator<Item = &str> {
        self.tree.iter().map(|file| file.path.as_str()).filter(|path| {
            let upper = path.to_ascii_uppercase();
            ["LICENSE", "LICENCE", "COPYING"].iter().any(|stem| upper.starts_with(stem))
                && !path.contains('/')
        })
    }

    /// How many bytes of source it has.
    #[must_use]
    pub fn source_size(&self) -> u64 {
        let size = |file: &SourceFile| if let SourceKind::File { size, .. } = file.kind { size } else { 0 };
        self.tree.iter().map(size).sum()
    }
}

/// Where dkms looks for its file, in the root of the source.
pub const CONF_NAME: &str = "dkms.conf";

/// The file that counts becomes `dkms.conf` in the root, wherever it lies.
fn place_conf(files: &mut Vec<SourceFile>, path: &Path, size: usize) {
    files.retain(|file| file.path != CONF_NAME);
    let at = files.partition_point(|file| file.path.as_str() < CONF_NAME);
    let kind = SourceKind::File { on_disk: path.to_owned(), size: size as u64, executable: false };
    files.insert(at, SourceFile { path: CONF_NAME.to_owned(), kind });
}

/// What the tree says its version is.
#[must_use]
pub fn claims(input: &Input, root: &Path, files: &[SourceFile], modules: &[String]) -> Vec<Claim> {
    let folder_name = input.name.as_deref();
    version::claims(&version::Places { folder: &input.folder, root, files, modules, folder_name })
}

/// A dkms.conf for a tree that has none, and what to say about it.
fn inferred(input: &Input, root: &Path, files: &[SourceFile], wanted: &Wanted) -> Result<Inferred> {
    let own_name = || std::fs::canonicalize(root).ok()?.file_name()?.to_str().map(str::to_owned);
    let folder_name = input.name.clone().or_else(own_name);
    let given = infer::Given {
        name: wanted.name.as_deref(),
        folder_name: folder_name.as_deref(),
        version: wanted.version.as_deref(),
    };
    let tree = Tree::new(files);
    let made = infer::infer(&tree, files, &given, &|modules| claims(input, root, files, modules));
    made.ok_or_else(|| {
        let text = format!(
            "there is no dkms.conf in `{}`, and no Makefile that makes a module",
            input.shown.display()
        );
        let hint = "go to the folder of a driver, or name it: `kpkg DIR`";
        Error::diagnostics(vec![Diagnostic::error(&NO_CONF, text).hint(hint)])
    })
}

impl Inferred {
    fn origin(&self) -> String {
        format!("a dkms.conf made from `{}`", self.from)
    }

    fn finding(&self) -> Diagnostic {
        let modules = match self.modules.as_slice() {
            [only] => format!("module `{only}`"),
            several => format!("{} modules", several.len()),
        };
        let text = format!("there is no dkms.conf; one was made from `{}`: {modules}", self.from);
        let hint = "`kpkg init` writes it, so that you can read, correct and keep it";
        Diagnostic::warning(&NO_CONF, text).hint(hint)
    }
}

/// The dkms.conf that `kpkg init` writes for a tree without one, and findings about it.
pub fn init(input: &Input, config: &Config, options: &Options) -> Result<(PathBuf, String, Vec<Diagnostic>)> {
    let selected = source::Options {
        exclude: config.source.exclude.clone(),
        include: config.source.include.clone(),
        output: options.output.clone(),
        interrupted: &|| options.stop.is_set(),
    };
    let selection = source::select(&input.folder, &selected)?;
    let wanted = Wanted {
        name: config.driver.name.clone(),
        version: options.version.clone().or_else(|| config.driver.version.clone()),
    }
    .checked()?;
    let made = inferred(input, &input.folder, &selection.files, &wanted)?;
    let mut findings = selection.diagnostics;
    findings.push(Diagnostic { severity: Severity::Note, hint: None, ..made.finding() });
    let text = made.text;
    let path = find::below(&input.folder, CONF_NAME);
    let (conf, found) = Conf::parse(&path, text.as_bytes());
    let tree = Tree::new(&selection.files);
    let evaluation = dkms::evaluate(&conf, &Inputs { source_tree: Some(&tree), ..Inputs::default() });
    findings.extend(found);
    let (facts, of_facts) = dkms::facts(&conf, &evaluation);
    if facts.version.known().is_some_and(|version| dkms::is_placeholder(version)) {
        let text = "nothing in the tree says a version";
        findings.push(Diagnostic::error(&VERSION_FROM, text).hint("give it: `--driver-version VERSION`"));
    } else {
        findings.extend(of_facts);
    }
    Ok((path, text, findings))
}

/// The bytes of a dkms.conf, as far as one may be long.
pub fn read_conf(path: &Path) -> Result<Vec<u8>> {
    // a pipe would be waited for without end
    let open = || match std::fs::metadata(path)? {
        metadata if metadata.is_file() => File::open(path),
        _ => Err(std::io::Error::other("it is no regular file")),
    };
    let file = match open() {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("there is no `{}`", path.display());
            return Err(Error::diagnostics(vec![Diagnostic::error(&NO_CONF, text)]));
        }
        Err(error) => return Err(Error::io("cannot read", path, error).as_usage()),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST_CONF + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("cannot read", path, error).as_usage())?;
    Ok(bytes)
}

/// The selected files, as the evaluator may see them.
struct Tree<'a> {
    files: BTreeMap<&'a str, &'a SourceFile>,
}

impl<'a> Tree<'a> {
    fn new(files: &'a [SourceFile]) -> Self {
        Self { files: files.iter().map(|file| (file.path.as_str(), file)).collect() }
    }

    /// The file at a path, through links that stay in the tree.
    fn find(&self, path: &str) -> Option<&'a SourceFile> {
        let mut path = path.to_owned();
        for _ in 0..8 {
            let file = *self.files.get(path.as_str())?;
            let SourceKind::Symlink { target } = &file.kind else { return Some(file) };
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            path = normalised(folder, target)?;
        }
        None
    }
}

/// `folder/target` without `.` and `..`; `None` when it leaves the root.
fn normalised(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn read_start(path: &Path, limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(limit as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

impl ReadTree for Tree<'_> {
    fn read(&self, path: &str, limit: usize) -> Option<Vec<u8>> {
        match &self.find(path)?.kind {
            SourceKind::File { on_disk, .. } => read_start(on_disk, limit),
            _ => None,
        }
    }

    fn exists(&self, path: &str) -> bool {
        path.is_empty() || self.find(path).is_some()
    }

    fn is_dir(&self, path: &str) -> bool {
        path.is_empty() || self.find(path).is_some_and(|file| matches!(file.kind, SourceKind::Directory))
    }

    fn list(&self, dir: &str) -> Vec<String> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let below = self.files.keys().filter_map(|path| path.strip_prefix(&prefix));
        below.filter(|rest| !rest.is_empty() && !rest.contains('/')).map(str::to_owned).collect()
    }

    fn is_executable(&self, path: &str) -> bool {
        matches!(self.find(path).map(|file| &file.kind), Some(SourceKind::File { executable: true, .. }))
    }
}

/// Patches and scripts that dkms.conf names have to be in the package.
fn check_files(facts: &Facts, conf: &Conf, tree: &Tree<'_>, findings: &mut Vec<Diagnostic>) {
    let placed = |finding: Diagnostic, directive: &str| match conf.place_of(directive) {
        Some(place) => finding.at(place),
        None => finding,
    };
    for patch in facts.patches.iter().filter_map(|patch| patch.file.known()) {
        let path = format!("patches/{patch}");
        if !tree.exists(&path) {
            let finding =
                Diagnostic::error(&MISSING_PATCH, format!("the patch `{path}` is not in the source"));
            findings.push(placed(finding, "PATCH").hint("add the file, or drop the entry from PATCH"));
        }
    }
    for hook in &facts.hooks {
        let Some(script) = hook.script.known() else { continue };
        let directive = hook.kind.directive();
        let Some(path) = normalised("", script) else { continue };
        let finding = if !tree.exists(&path) {
            let text =
                format!("{directive} names `{script}`, which is not in the source: dkms goes on without it");
            Diagnostic::warning(&DEAD_HOOK, text).hint("add the file, or drop the directive")
        } else if !tree.is_executable(&path) {
            let text =
                format!("{directive} names `{script}`, which is not executable: dkms goes on without it");
            let on_disk = tree.find(&path).and_then(|file| match &file.kind {
                SourceKind::File { on_disk, .. } => Some(on_disk.clone()),
                _ => None,
            });
            let finding = Diagnostic::warning(&DEAD_HOOK, text).hint(format!("run `chmod +x {script}`"));
            match on_disk {
                Some(path) => finding.fix(Edit::MakeExecutable(path)),
                None => finding,
            }
        } else {
            continue;
        };
        findings.push(placed(finding, directive));
    }
}

fn checked_version(version: String) -> Result<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~:-".contains(&byte);
    if version.bytes().all(allowed)
        && version.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
    {
        return Ok(version);
    }
    let finding = Diagnostic::error(&BAD_VERSION, format!("`{}` is no version", version.escape_debug()));
    Err(Error::diagnostics(vec![finding.hint("use letters, digits and `. _ + ~ : -`")]))
}

/// The name and version that dkms.conf shall say, where somebody gave them.
struct Wanted {
    name: Option<String>,
    version: Option<String>,
}

/// Words for a version that the file itself says.
const OWN_VERSION: &str = "dkms.conf";

impl Wanted {
    fn checked(self) -> Result<Self> {
        let version = self.version.map(checked_version).transpose()?;
        Ok(Self { version, ..self })
    }

    /// The file with what was given, or else with what the tree says where the file has no version of its own; and where the
    /// version is from. `claims` gets the names of the modules.
    fn settle(
        self,
        path: &Path,
        bytes: &[u8],
        tree: &Tree<'_>,
        claims: &dyn Fn(&[String]) -> Vec<Claim>,
    ) -> (PackagedConf, String) {
        let packaged = PackagedConf::new(path, bytes, &self, tree);
        if self.version.is_some() {
            return (packaged, "given".to_owned());
        }
        let missing = match &packaged.facts.version {
            Fact::Known(version) => dkms::is_placeholder(version),
            Fact::Absent | Fact::Unknown => true,
        };
        if !missing {
            return (packaged, OWN_VERSION.to_owned());
        }
        let says = packaged.version_text(bytes);
        if packaged.facts.version == Fact::Unknown && PackagedConf::depends_on_kernel(path, bytes, tree) {
            return (packaged.with_kernel_error(), OWN_VERSION.to_owned());
        }
        let names: Vec<String> =
            packaged.facts.modules.iter().filter_map(|module| module.name.known().cloned()).collect();
        let claims = claims(&names);
        let Some(claim) = claims.first() else {
            return (packaged.without_version(), OWN_VERSION.to_owned());
        };
        let wanted = Self { version: Some(claim.version.clone()), ..self };
        let mut packaged = PackagedConf::new(path, bytes, &wanted, tree);
        packaged.findings.push(found_version(&says, &claims));
        (packaged, claim.from.clone())
    }
}

/// How a value gets into dkms.conf.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// In the place of `@X@`, wherever that stands in the file.
    Marker,
    /// In the last assignment, so that what follows it and uses the value sees the right one.
    Assignment,
    /// In a line at the end.
    Line,
}

/// What to say about a version that was found.
fn found_version(says: &str, claims: &[Claim]) -> Diagnostic {
    let [claim, others @ ..] = claims else { return Diagnostic::note(&VERSION_FROM, says) };
    let text = format!("{says}; the version is {}, from {}", claim.version, claim.from);
    let differing: Vec<_> =
        others.iter().filter(|other| !version::agree(&other.version, &claim.version)).collect();
    if differing.is_empty() {
        let agreeing = others.iter().map(|other| format!("{} says the same", other.from));
        return agreeing.fold(Diagnostic::note(&VERSION_FROM, text), Diagnostic::with_note);
    }
    let others = differing.into_iter().map(|other| format!("{} says {}", other.from, other.version));
    others
        .fold(Diagnostic::warning(&VERSION_FROM, text), Diagnostic::with_note)
        .hint("`--driver-version` or `version` in the `[driver]` table of kpkg.toml decides")
}

/// The dkms.conf of the package, evaluated as dkms will see it: without a kernel, whose values stay unknown.
struct PackagedConf {
    conf: Conf,
    facts: Facts,
    findings: Vec<Diagnostic>,
    /// Its text, where that is not the one in the tree.
    rewritten: Option<String>,
}

impl PackagedConf {
    /// Corrects line ends, and states what is wanted where the file says something else.
    fn new(path: &Path, bytes: &[u8], wanted: &Wanted, tree: &Tree<'_>) -> Self {
        let original = String::from_utf8_lossy(bytes);
        let mut text = original.replace("\r\n", "\n");
        let mut packaged = Self::evaluate(path, if text == original { bytes } else { text.as_bytes() }, tree);
        for (directive, value) in [("PACKAGE_NAME", &wanted.name), ("PACKAGE_VERSION", &wanted.version)] {
            let Some(value) = value else { continue };
            // each way is tried on what the one before has left; the last assignment of all counts
            for way in [Way::Marker, Way::Assignment, Way::Line] {
                if packaged.says(directive, value) {
                    break;
                }
                if let Some(changed) = packaged.changed(way, &text, directive, value) {
                    packaged = Self::evaluate(path, changed.as_bytes(), tree);
                    text = changed;
                }
            }
            if !packaged.says(directive, value) {
                let message = format!(
                    "`{directive}` cannot be set to `{value}`: dkms.conf ends early, or sets it read-only"
                );
                let hint = "write the value into dkms.conf";
                packaged.findings.push(Diagnostic::error(&NORMALISED, message).hint(hint));
            }
        }
        if text != original {
            packaged
                .findings
                .push(Diagnostic::note(&NORMALISED, "the dkms.conf in the package is a corrected one"));
            packaged.rewritten = Some(text);
        }
        packaged
    }

    /// The text with another value for a directive; nothing where this way is not to be had.
    fn changed(&self, way: Way, text: &str, directive: &str, value: &str) -> Option<String> {
        match way {
            Way::Marker => {
                let marker = dkms::marker(self.fact(directive).known()?)?;
                text.contains(&marker).then(|| text.replace(&marker, value))
            }
            Way::Assignment => {
                let place = self.conf.place_of(directive)?;
                if place.source.text != text || !text[place.span.clone()].starts_with(directive) {
                    return None;
                }
                let (before, after) = (&text[..place.span.start], &text[place.span.end..]);
                Some(format!("{before}{directive}=\"{value}\"{after}"))
            }
            Way::Line => {
                let newline = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
                Some(format!("{text}{newline}{directive}=\"{value}\"\n"))
            }
        }
    }

    fn fact(&self, directive: &str) -> &Fact<String> {
        if directive == "PACKAGE_NAME" { &self.facts.name } else { &self.facts.version }
    }

    fn says(&self, directive: &str, value: &str) -> bool {
        self.fact(directive).known().is_some_and(|own| own == value)
    }

    /// What the file says about its version, in words.
    fn version_text(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        let raw = self.conf.place_of("PACKAGE_VERSION").filter(|place| place.source.text == text);
        match (raw.map(|place| text[place.span].trim().to_owned()), &self.facts.version) {
            (Some(raw), Fact::Absent) => format!("`{raw}` is empty"),
            (None, Fact::Absent) => "dkms.conf has no PACKAGE_VERSION".to_owned(),
            (Some(raw), Fact::Unknown) => format!("what `{raw}` gives is not known here"),
            (Some(raw), Fact::Known(_)) => format!("`{raw}` is a template's marker"),
            (None, _) => "the version in dkms.conf cannot be used".to_owned(),
        }
    }

    /// Whether the version is known as soon as the kernel is.
    fn depends_on_kernel(path: &Path, bytes: &[u8], tree: &Tree<'_>) -> bool {
        let (conf, _) = Conf::parse(path, bytes);
        let inputs = Inputs {
            source_tree: Some(tree),
            kernel: Some("6.1.0-0".to_owned()),
            arch: Some("x86_64".to_owned()),
            ..Inputs::default()
        };
        dkms::facts(&conf, &dkms::evaluate(&conf, &inputs)).0.version.known().is_some()
    }

    fn with_kernel_error(mut self) -> Self {
        let finding =
            Diagnostic::error(&PER_KERNEL, "`PACKAGE_VERSION` depends on the kernel or the architecture")
                .hint("write one version, or give it: `--driver-version VERSION`");
        self.findings.push(match self.conf.place_of("PACKAGE_VERSION") {
            Some(place) => finding.at(place),
            None => finding,
        });
        self
    }

    /// An error where `facts` reported none, and where a version was looked for.
    fn without_version(mut self) -> Self {
        let looked = "looked at git's tags, MODULE_VERSION and #define in the sources, Makefile, configure.ac, VERSION, \
                      debian/changelog, *.spec and the folder's name";
        let hint = "give it: `--driver-version VERSION`, or `version` in the `[driver]` table of kpkg.toml";
        if self.facts.version == Fact::Unknown {
            let text = "the version is not known here, and nothing in the tree says it";
            let finding = Diagnostic::error(&VERSION_FROM, text);
            self.findings.push(match self.conf.place_of("PACKAGE_VERSION") {
                Some(place) => finding.at(place),
                None => finding,
            });
        }
        let last = self.findings.iter_mut().rfind(|finding| {
            finding.severity == Severity::Error && finding.message.contains("PACKAGE_VERSION")
                || finding.code.id == VERSION_FROM.id
        });
        if let Some(finding) = last {
            finding.notes.push(looked.to_owned());
            finding.hint = Some(hint.to_owned());
        }
        self
    }

    fn evaluate(path: &Path, text: &[u8], tree: &Tree<'_>) -> Self {
        let (conf, _) = Conf::parse(path, text);
        let evaluation = dkms::evaluate(&conf, &Inputs { source_tree: Some(tree), ..Inputs::default() });
        let (facts, found) = dkms::facts(&conf, &evaluation);
        let findings = evaluation.diagnostics.into_iter().chain(found).collect();
        Self { conf, facts, findings, rewritten: None }
    }

    /// What dkms does for the kernel of a machine; findings about values that no kernel may change.
    fn for_kernel(
        &self,
        machine: &Machine,
        tree: &Tree<'_>,
        (name, version): (&String, &String),
        findings: &mut Vec<Diagnostic>,
    ) -> Option<ForKernel> {
        let kernel = machine.kernel.clone()?;
        let inputs = Inputs { source_tree: Some(tree), ..machine.inputs() };
        let evaluation = dkms::evaluate(&self.conf, &inputs);
        let (facts, found) = dkms::facts(&self.conf, &evaluation);
        findings.extend(evaluation.diagnostics.into_iter().chain(found));
        for (directive, value, usual) in
            [("PACKAGE_NAME", &facts.name, name), ("PACKAGE_VERSION", &facts.version, version)]
        {
            if value.known().is_some_and(|value| value != usual) {
                let text = format!("`{directive}` is another one for the kernel `{kernel}`");
                let finding = Diagnostic::error(&PER_KERNEL, text);
                findings.push(match self.conf.place_of(directive) {
                    Some(place) => finding.at(place),
                    None => finding,
                });
            }
        }
        Some(ForKernel { decision: facts.decide(&inputs), kernel })
    }
}

fn modules(facts: &Facts) -> Vec<Module> {
    let known = facts.modules.iter().filter_map(|module| module.installed_name.known());
    known.map(|name| Module { name: name.clone() }).collect()
}

fn limits(facts: &Facts) -> Limits {
    let exclusive = &facts.exclusive;
    let known = |fact: &dkms::Fact<String>| fact.known().cloned();
    Limits {
        arch: known(&exclusive.arch),
        kernel: known(&exclusive.kernel),
        kernel_min: known(&exclusive.kernel_min),
        kernel_max: known(&exclusive.kernel_max),
        config: known(&exclusive.config),
    }
}

fn needs_dkms(facts: &Facts) -> Vec<DkmsNeed> {
    let need = |requirement: &dkms::Requirement| DkmsNeed {
        version: requirement.version.to_owned(),
        why: requirement.why.clone(),
        wrong_module: requirement.wrong_module,
    };
    facts.minimum_dkms.iter().map(need).collect()
}

// ---- what the sources say about themselves ----------------------------------------------------------------------------------

/// How much of the sources is read for that at most.
const ABOUT_FILES: usize = 64;
const ABOUT_BYTES: usize = 512 << 10;

impl About {
    fn new(config: &DriverConfig, tree: &Tree<'_>, modules: &[Module]) -> Result<Self> {
        let sources = module_sources(tree, modules);
        Ok(Self {
            summary: checked_line("summary", config.summary.clone())?,
            description: checked_text("description", config.description.clone())?,
            license: checked_line("license", config.license.clone())?.or_else(|| license(&sources)),
            copyright: if config.copyright.is_empty() {
                copyright_notices(&sources)
            } else {
                let checked = |notice: &String| {
                    checked_line("copyright", Some(notice.clone())).map(Option::unwrap_or_default)
                };
                config.copyright.iter().map(checked).collect::<Result<_>>()?
            },
            maintainer: match &config.maintainer {
                Some(maintainer) if is_mailbox(maintainer) => Some(maintainer.clone()),
                Some(maintainer) => {
                    return Err(Error::usage(format!("`{}` is no maintainer", maintainer.escape_debug()))
                        .hint("write `maintainer = \"Name <address>\"` under `[driver]` in kpkg.toml"));
                }
                None => sources
                    .iter()
                    .flat_map(|text| macro_texts(text, "MODULE_AUTHOR"))
                    .find(|author| is_mailbox(author)),
            },
            homepage: checked_line("homepage", config.homepage.clone())?,
        })
    }
}

fn checked_line(key: &str, value: Option<String>) -> Result<Option<String>> {
    match value {
        Some(value) if value.trim().is_empty() || value.chars().any(char::is_control) => {
            Err(Error::usage(format!("`{key}` under `[driver]` in kpkg.toml is not one line of text")))
        }
        value => Ok(value),
    }
}

fn checked_text(key: &str, value: Option<String>) -> Result<Option<String>> {
    match value {
        Some(value) if value.chars().any(|character| character.is_control() && character != '\n') => {
            Err(Error::usage(format!("`{key}` under `[driver]` in kpkg.toml holds control characters")))
        }
        value => Ok(value.map(|value| value.trim().to_owned())),
    }
}

/// `Name <local@domain.tld>` on one line, without the characters that separate addresses.
fn is_mailbox(text: &str) -> bool {
    let Some((name, address)) = text.strip_suffix('>').and_then(|text| text.split_once(" <")) else {
        return false;
    };
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>@,\"'`\\".contains(&byte))
    };
    let Some((local, domain)) = address.split_once('@') else { return false };
    let name_ok = !name.trim().is_empty()
        && !name.chars().any(|character| character.is_control() || "<>@,\"".contains(character));
    name_ok
        && word(local)
        && word(domain)
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
}

/// The texts of the C files that are named like a module, else of the first C files there are.
fn module_sources(tree: &Tree<'_>, modules: &[Module]) -> Vec<String> {
    let plain = |name: &str| name.replace('-', "_");
    let names: BTreeSet<_> = modules.iter().map(|module| plain(&module.name)).collect();
    let c_files: Vec<_> = tree.files.values().filter(|file| file.path.ends_with(".c")).collect();
    let is_module = |path: &str| {
        let base = path.rsplit('/').next().unwrap_or(path);
        names.contains(&plain(base.trim_end_matches(".c")))
    };
    let mut chosen: Vec<_> = c_files.iter().filter(|file| is_module(&file.path)).collect();
    if chosen.is_empty() {
        chosen = c_files.iter().collect();
    }
    let read = |file: &SourceFile| match &file.kind {
        SourceKind::File { on_disk, .. } => read_start(on_disk, ABOUT_BYTES),
        _ => None,
    };
    let texts = chosen.into_iter().take(ABOUT_FILES).filter_map(|file| read(file));
    texts.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
}

/// The arguments of a module macro: `MODULE_AUTHOR("a" "b")` gives `ab`.
fn macro_texts(source: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, _) in source.match_indices(name) {
        let rest = source[index + name.len()..].trim_start();
        let Some(mut rest) = rest.strip_prefix('(').map(str::trim_start) else { continue };
        let mut text = String::new();
        while let Some(after) = rest.strip_prefix('"') {
            let Some(end) = after.find('"') else { break };
            text.push_str(&after[..end]);
            rest = after[end + 1..].trim_start();
        }
        if rest.starts_with(')') && !text.contains('\\') {
            found.push(text);
        }
    }
    found
}

/// SPDX identifiers first; `MODULE_LICENSE` where a file has none, as the kernel's `process/license-rules.rst` explains its values.
fn license(sources: &[String]) -> Option<String> {
    let mut found = BTreeSet::new();
    for text in sources {
        let spdx = text.lines().take(10).find_map(spdx_identifier);
        let declared =
            || macro_texts(text, "MODULE_LICENSE").iter().find_map(|license| module_license(license));
        found.extend(spdx.or_else(|| declared().map(str::to_owned)));
    }
    let grouped = |license: String| if license.contains(' ') { format!("({license})") } else { license };
    match found.len() {
        0 => None,
        1 => found.pop_first(),
        _ => Some(found.into_iter().map(grouped).collect::<Vec<_>>().join(" AND ")),
    }
}

/// What follows `Copyright` and a year in the heads of the sources, without signs: `2020 Jane Doe <jane@example.org>`.
fn copyright_notices(sources: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let heads = sources.iter().flat_map(|text| text.lines().take(60));
    for (_, rest) in heads.filter_map(|line| line.split_once("Copyright")) {
        let notice = rest.replace("(c)", "").replace("(C)", "").replace(['\u{a9}', ':', '\t'], " ");
        let notice =
            notice.split("*/").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let is_year = |word: &str| word.len() >= 4 && word.bytes().take(4).all(|byte| byte.is_ascii_digit());
        let is_notice =
            notice.split(' ').next().is_some_and(is_year) && notice.contains(' ') && notice.len() < 200;
        if is_notice && !notice.chars().any(char::is_control) && !found.contains(&notice) {
            found.push(notice);
        }
    }
    found.truncate(20);
    found
}

fn spdx_identifier(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("SPDX-License-Identifier:")?;
    let text = rest.trim().trim_end_matches("*/").trim();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.+() ".contains(&byte);
    let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    (!text.is_empty() && text.bytes().all(allowed)).then(|| text.to_owned())
}

fn module_license(text: &str) -> Option<&'static str> {
    Some(match text {
        "GPL" | "GPL v2" => "GPL-2.0-only",
        "GPL and additional rights" => "GPL-2.0-or-later",
        "Dual MIT/GPL" => "MIT OR GPL-2.0-only",
        "Dual BSD/GPL" => "BSD-3-Clause OR GPL-2.0-only",
        "Dual MPL/GPL" => "MPL-1.1 OR GPL-2.0-only",
        "Proprietary" => "LicenseRef-Proprietary",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_come_from_spdx_lines_and_module_macros() {
        let spdx = "// SPDX-License-Identifier: GPL-2.0 OR MIT\n".to_owned();
        let declared = "MODULE_LICENSE(\"GPL v2\");\n".to_owned();
        assert_eq!(license(std::slice::from_ref(&spdx)).as_deref(), Some("GPL-2.0 OR MIT"));
        assert_eq!(license(&[spdx, declared]).as_deref(), Some("(GPL-2.0 OR MIT) AND GPL-2.0-only"));
        assert_eq!(license(&["int x;".to_owned()]), None);
    }

    #[test]
    fn copyright_notices_begin_with_a_year() {
        let text = "/*\n * Copyright (C) 2011-2013  Jane Doe <jane@example.org> */\n// Copyright holders agree\n// \u{a9} Copyright: 2020 X\n";
        assert_eq!(
            copyright_notices(&[text.to_owned()]),
            ["2011-2013 Jane Doe <jane@example.org>", "2020 X"]
        );
    }

    #[test]
    fn mailboxes_have_a_name_and_an_address() {
        assert!(is_mailbox("Jane Doe <jane@example.org>"));
        for bad in ["Jane", "<a@b.c>", "Jane <a@b>", "A, B <a@b.c>", "J\nX: y <a@b.c>", "J <a@b.c> "] {
            assert!(!is_mailbox(bad), "{bad:?}");
        }
    }

    #[test]
    fn module_macros_join_their_strings() {
        assert_eq!(macro_texts("MODULE_AUTHOR(\"A \"\n  \"<a@b.c>\");", "MODULE_AUTHOR"), ["A <a@b.c>"]);
        assert!(macro_texts("MODULE_AUTHOR(NAME)", "MODULE_AUTHOR").is_empty());
    }

    #[test]
    fn paths_are_normalised_and_stay_inside() {
        assert_eq!(normalised("a/b", "../c").as_deref(), Some("a/c"));
        assert_eq!(normalised("a", "../../c"), None);
    }
}
