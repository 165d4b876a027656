//! The model of what a vendor ships: name, version, modules, source files, limits.
//!
//! Knows no format and no distribution. Reads the tree, `dkms.conf` and what the sources say about themselves; runs nothing.

mod about;
mod assign;
pub mod bash;
mod conf;
pub mod find;
pub mod infer;
pub mod kbuild;
mod lacks;
pub mod layout;
pub mod packaging;
mod replaced;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;

use about::ABOUT_BYTES;
pub use about::{About, is_mailbox};
use conf::{GIVEN_VERSION, OWN_VERSION, PackagedConf, Reader, Reading, Wanted};
use replaced::{Marked, Replacement};
use tree::Tree;

use crate::base::diagnostic::{Code, Diagnostic, Edit, Place, Severity};
use crate::base::error::{Error, Result};
use crate::config::Config;
use crate::dkms::{self, Conf, ConfFile, Decision, Fact, Facts, Inputs, ReadTree};
use crate::input::Input;
use crate::input::source::{self, LeftOut, SourceFile, SourceKind};
use crate::input::version::{self, Claims};
use crate::kernel::machine::Machine;
use crate::output::Stop;
use bash::ConfShell;
use find::Found;
use infer::Inferred;
use layout::Layout;

/// What a vendor ships.
#[derive(Debug, Clone, Serialize)]
pub struct Driver {
    /// `PACKAGE_NAME`, verbatim.
    pub name: String,
    /// `PACKAGE_VERSION`, verbatim, or what the user said instead.
    pub version: String,
    /// In the order of dkms.conf.
    pub modules: Vec<Module>,
    /// Whether there may be other modules than these, because dkms.conf names some by what is not known here.
    pub modules_unknown: bool,
    /// The files of the source, by path.
    #[serde(skip)]
    pub tree: Vec<SourceFile>,
    /// What was left out of the source, and why.
    #[serde(skip)]
    pub left_out: Vec<LeftOut>,
    /// Files whose packaged text differs from the one on disk: path to text.
    #[serde(skip)]
    pub rewritten: BTreeMap<String, String>,
    /// The packaged dkms.conf.
    #[serde(skip)]
    pub conf: Conf,
    /// What it says about itself.
    pub about: About,
    /// Where name, version and files are from.
    pub origin: Origin,
    /// The kernels it is meant for.
    pub limits: Limits,
    /// What dkms builds before it.
    #[serde(skip)]
    pub build_depends: BuildDepends,
    /// Whether `REMAKE_INITRD` says that it belongs in an initramfs, as dkms before 2.8.8 took it.
    #[serde(skip)]
    pub remake_initrd: bool,
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

/// What stands before the Makefile that a dkms.conf was made from.
const MADE_FROM: &str = "a dkms.conf made from ";

impl Origin {
    /// The Makefile that the dkms.conf was made from, or the dkms.conf.
    #[must_use]
    pub fn from(&self) -> &str {
        self.conf.strip_prefix(MADE_FROM).map_or(&self.conf, |from| from.trim_matches('`'))
    }

    /// Whether there is nothing to say about it.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        self.is_plain && matches!(self.version.as_str(), OWN_VERSION | GIVEN_VERSION)
    }
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
    pub config: Option<String>,
}

/// What `BUILD_DEPENDS` says without regard to a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildDepends {
    /// The drivers it names.
    pub names: Vec<String>,
    /// Whether there are others that nobody can know here.
    pub has_unknown: bool,
    pub place: Option<Place>,
}

/// What dkms does with a driver for one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForKernel {
    pub kernel: String,
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
    /// Whether an older dkms does the same as long as nothing fails.
    #[serde(skip)]
    pub is_harmless: bool,
}

/// How a driver is read.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Instead of the version that dkms.conf and kpkg.toml give.
    pub version: Option<String>,
    /// The folder artifacts go to: no source, wherever it lies.
    pub output: Vec<PathBuf>,
    /// See [`source::Filter::only_tracked`].
    pub only_tracked: bool,
    /// Instead of the time that the source gives.
    pub stamp: Option<u32>,
    /// The machines to ask about; those without a kernel change nothing.
    pub machines: Vec<Machine>,
    /// Who reads dkms.conf for them.
    pub conf_shell: ConfShell,
    /// The versions of dkms that the driver is packaged for.
    pub supported: dkms::Supported,
    pub stop: Stop,
}

/// The findings of this layer.
pub const CODES: &[&Code] = &[
    &MISSING_PATCH,
    &DEAD_HOOK,
    &NORMALISED,
    &BAD_VERSION,
    &COLON,
    &PER_KERNEL,
    &VERSION_FROM,
    &lacks::NOTHING_THERE,
    &lacks::NOT_MADE_THERE,
    &lacks::NO_SOURCE,
    &lacks::NOT_INCLUDED,
    &lacks::NO_SUBMODULE,
    &lacks::UNKNOWN_FOLDER,
    &lacks::OTHER_VERSION,
    &USED_BEFORE,
    &FOREIGN_TAGS,
    &MARKED_SOURCE,
    &TOLD_KERNEL,
    &UNKNOWN_NAME,
];

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
                  archive. The changelog counts before git where dh_dkms fills the file from it (debian/NAME.dkms, or\n\
                  `#MODULE_VERSION#`), and an archive's name where it goes on behind what the first of them says, as in\n\
                  toy-1.2-rc4.tar.gz. Where none of them is there, it is `0~gitYYYYMMDD.HASH` of the newest commit, unless\n\
                  the clone is shallow. kpkg says which one it was, and warns when they disagree. The dkms.conf in the\n\
                  package has the version; the one in the tree is left alone.",
};

const NOT_THERE: Code = Code {
    id: "K0131",
    title: "a text that kpkg.toml replaces is not in dkms.conf",
    explanation: "The keys of `substitute` under `[driver]` in kpkg.toml are texts of dkms.conf, such as the markers of a template,\n\
                  which are replaced in the package. One that is not there replaces nothing: it is misspelled, or the file no\n\
                  longer has it.",
};

const FOREIGN_TAGS: Code = Code {
    id: "K0130",
    title: "the tags of the repository are of other components",
    explanation: "A repository of several drivers has tags such as `one_1.2` and `two_2.0`. Those count that are called like a\n\
                  module, the folder of the driver or the repository. Here none is, so no tag says which version the driver\n\
                  has, and another place does. `--driver-version` or `version` in the `[driver]` table of kpkg.toml decides.",
};

const MARKED_SOURCE: Code = Code {
    id: "K0135",
    title: "the version in the sources is a template's marker",
    explanation: "MODULE_VERSION is a marker such as `#VERSION#`, which the vendor's own installer replaces. Where it is known\n\
                  from a `sed` in the tree's Makefile or scripts what it becomes, the packaged source has the version; the one\n\
                  in the tree is left alone. Otherwise `modinfo` shows the marker, and dkms, which compares the versions of\n\
                  modules, cannot tell which is newer. `substitute` in the `[driver]` table of kpkg.toml replaces it.",
};

const TOLD_KERNEL: Code = Code {
    id: "K0136",
    title: "MAKE does not say which kernel is built for",
    explanation: "A Makefile that the kernel's build reads takes `uname -r` for the kernel to build for unless a variable says\n\
                  another one, and stops with an error, or lacks a file to include, where that kernel has no headers. dkms\n\
                  builds for kernels that do not run. The dkms.conf in the package gives the variable in MAKE; the one in\n\
                  the tree is left alone.",
};

const UNKNOWN_NAME: Code = Code {
    id: "K0137",
    title: "the name of the driver is not known",
    explanation: "PACKAGE_NAME is the output of a command, or depends on something that only the target knows. The name is part\n\
                  of paths and of the package's name, so that nothing can be packaged without one. kpkg runs no commands of\n\
                  dkms.conf. Write the name into the file, or `name` under `[driver]` in kpkg.toml.",
};

const USED_BEFORE: Code = Code {
    id: "K0134",
    title: "a given name or version does not reach everything that uses it",
    explanation: "A name or version that is given or found has to stand in the dkms.conf of the package where the file uses it:\n\
                  the path that dkms builds in is /var/lib/dkms/NAME/VERSION/build, and a MAKE with another one enters a\n\
                  folder that does not exist. kpkg sets it before the first use, and again after what may set it anew;\n\
                  where that is not possible, or a directive holds the other one in so many words, nothing is packaged.",
};

impl Driver {
    /// Reads a driver of `input`; findings that do not stop it come along.
    pub fn read(
        input: &Input,
        found: &Found,
        config: &Config,
        options: &Surroundings,
    ) -> Result<(Self, Vec<Diagnostic>)> {
        let mut selection = source::select(
            &found.root,
            &source::Filter {
                exclude: config.source.exclude.clone(),
                include: config.source.include.clone(),
                output: options.output.clone(),
                only_tracked: options.only_tracked,
                interrupted: &|met| options.stop.meets(met),
            },
        )?;
        let mut findings = std::mem::take(&mut selection.diagnostics);
        selection.files = source::move_files(selection.files, &found.map)?;
        let mut wanted = Wanted {
            name: config.driver.name.clone(),
            version: options.version.clone().or_else(|| config.driver.version.clone()),
            modules: config.driver.modules.clone(),
            substitute: config.driver.substitute.clone(),
        }
        .checked()?;
        let (file, inferred_conf) = conf_file(input, found, &selection.files, &wanted, &mut findings)?;
        let on_disk = found.conf.as_ref().map(|file| file.path.as_path());
        let is_plain = on_disk == Some(&find::below(&found.root, CONF_NAME));
        if !is_plain {
            place_conf(&mut selection.files, &file.path, file.bytes.len());
        }
        let file = file.shown_as(&input.shown(&file.path));
        let bytes = &file.bytes;
        let tree = Tree::new(&selection.files);
        if let Some(finding) = dkms::web_page(&file.conf) {
            return Err(Error::diagnostics([findings, vec![finding]].concat()));
        }
        findings.extend(file.findings.iter().cloned());
        let is_made = inferred_conf.is_some();
        let reading = Reading { file: &file, tree: &tree, supported: &options.supported, is_made };
        let marked = replaced::marked(&selection.files);
        let of_sources = keys_of_sources(&mut wanted, &marked, bytes);
        let template = on_disk.filter(|path| is_changelog_template(path, bytes));
        let claims = |modules: &[String]| claims(input, &found.root, &selection.files, modules, template);
        let (mut packaged, mut version_from) = wanted.settle(&reading, &claims);
        let (mut layout, mut lacking) = packaged.layout(input, found, &tree, &selection.left_out);
        let is_marked = packaged.findings.iter().chain(&lacking).any(dkms::is_about_a_marker);
        let replacements = if is_marked || !marked.is_empty() {
            let beside = on_disk.and_then(Path::parent).filter(|folder| folder.is_dir());
            let folders = [Some(input.folder.as_path()), Some(found.root.as_path()), beside];
            let folders: Vec<_> = folders.into_iter().flatten().collect();
            replaced::replacements(&folders, &|path| input.shown(path))
        } else {
            Vec::new()
        };
        if is_marked {
            let (known, of_markers) = known_markers(&packaged, bytes, &replacements);
            if !known.is_empty() {
                wanted.substitute.extend(known);
                (packaged, version_from) = wanted.settle(&reading, &claims);
                (layout, lacking) = packaged.layout(input, found, &tree, &selection.left_out);
                findings.extend(of_markers);
            }
        }
        if !is_made {
            packaged = packaged.told_kernel(&layout, &reading);
        }
        let facts = &packaged.facts;
        findings.extend(packaged.findings.iter().cloned());
        let executable = check_scripts(facts, &packaged.conf, &tree, is_plain, &mut findings);
        findings.extend(lacking);
        note_values(&mut findings, &replacements);
        if let Some(first) = findings.iter_mut().find(|finding| finding.severity == Severity::Error) {
            first.notes.extend(lacks::generated(&tree));
            return Err(stopped(findings));
        }
        let (name, version) = identity(&packaged, &mut findings)?;
        let reader = Reader {
            tree: &tree,
            root: &found.root,
            shell: options.conf_shell,
            stop: &options.stop,
            supported: &options.supported,
        };
        let mut kernels = Vec::new();
        for machine in &options.machines {
            kernels.extend(packaged.for_kernel(machine, &reader, (&name, &version), &mut findings)?);
        }
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(stopped(findings));
        }
        let modules = modules(facts);
        let about = About::new(config, &tree, &modules, &input.folder)?;
        let settled = Settled { version: &version, of_sources: &of_sources, replacements: &replacements };
        let (mut rewritten, of_marked) = settled.sources(&marked, &tree);
        findings.extend(of_marked);
        let conf_text = packaged.rewritten.or(inferred_conf.as_ref().map(|made| made.text.clone()));
        rewritten.extend(conf_text.map(|text| (CONF_NAME.to_owned(), text)));
        let origin = file.conf.source().path.display().to_string();
        let driver = Self {
            name,
            version,
            about,
            conf: packaged.conf.clone(),
            origin: Origin {
                conf: origin,
                root: input.shown(&found.root),
                version: inferred_conf.as_ref().map_or(version_from, |made| made.version_from.clone()),
                is_plain,
            },
            modules_unknown: facts.modules_unknown,
            limits: limits(facts),
            build_depends: build_depends(facts, &packaged.conf),
            remake_initrd: facts.remake_initrd.known().is_some_and(|value| value.starts_with(['y', 'Y'])),
            needs_dkms: needs_dkms(facts),
            kernels,
            stamp: options.stamp.unwrap_or(selection.newest),
            modules,
            rewritten,
            left_out: selection.left_out,
            tree: with_executable(selection.files, &executable),
        };
        Ok((driver, findings))
    }

    /// The driver whose source lies in a folder as a package brings it: its files and its dkms.conf as they are.
    pub fn as_packaged(
        root: &Path,
        files: Vec<SourceFile>,
        options: &Surroundings,
    ) -> Result<(Self, Vec<Diagnostic>)> {
        let file = find::read_file(root.join(CONF_NAME))?;
        let tree = Tree::new(&files);
        let reading = Reading { file: &file, tree: &tree, supported: &options.supported, is_made: false };
        let packaged = PackagedConf::new(&reading, &Wanted::default());
        let mut findings = file.findings.clone();
        findings.extend(packaged.findings.iter().cloned());
        let facts = &packaged.facts;
        let (Some(name), Some(version)) = (facts.name.known().cloned(), facts.version.known().cloned())
        else {
            return Err(Error::diagnostics(findings));
        };
        let reader = Reader {
            tree: &tree,
            root,
            shell: options.conf_shell,
            stop: &options.stop,
            supported: &options.supported,
        };
        let mut kernels = Vec::new();
        for machine in &options.machines {
            kernels.extend(packaged.for_kernel(machine, &reader, (&name, &version), &mut findings)?);
        }
        let modules = modules(facts);
        let driver = Self {
            about: About::new(&Config::default(), &tree, &modules, root)?,
            name,
            version,
            origin: Origin {
                conf: file.path.display().to_string(),
                root: root.to_owned(),
                version: OWN_VERSION.to_owned(),
                is_plain: true,
            },
            modules_unknown: facts.modules_unknown,
            build_depends: build_depends(facts, &packaged.conf),
            remake_initrd: facts.remake_initrd.known().is_some_and(|value| value.starts_with(['y', 'Y'])),
            limits: limits(facts),
            needs_dkms: needs_dkms(facts),
            kernels,
            stamp: options.stamp.unwrap_or_default(),
            conf: packaged.conf,
            modules,
            rewritten: BTreeMap::new(),
            left_out: Vec::new(),
            tree: files,
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

    /// What a build of it enters, makes and reads.
    #[must_use]
    pub fn layout(&self, facts: &Facts) -> Layout {
        layout::examine(&Tree::new(&self.tree), facts)
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

/// The files with some that become executable.
fn with_executable(mut files: Vec<SourceFile>, paths: &[String]) -> Vec<SourceFile> {
    for file in &mut files {
        if let (SourceKind::File { executable, .. }, true) = (&mut file.kind, paths.contains(&file.path)) {
            *executable = true;
        }
    }
    files
}

/// The dkms.conf that was found, or the one that follows from the Makefiles.
fn conf_file(
    input: &Input,
    found: &Found,
    files: &[SourceFile],
    wanted: &Wanted,
    findings: &mut Vec<Diagnostic>,
) -> Result<(ConfFile, Option<Inferred>)> {
    if let Some(file) = &found.conf {
        return Ok((file.clone(), None));
    }
    let made = inferred(input, &found.root, files, wanted)?;
    findings.push(made.finding());
    if wanted.version.is_none() && !made.claims.all.is_empty() {
        let is_doubtful = made.claims.all[0].is_made || !made.claims.differing().is_empty();
        let says = "there is no dkms.conf";
        findings.extend(is_doubtful.then(|| conf::found_version(says, &made.claims)));
        findings.extend(conf::foreign_tags(&made.claims));
    }
    // no file that could be looked for
    let file = ConfFile::new(made.origin().into(), made.text.clone().into_bytes());
    Ok((file, Some(made)))
}

/// Name and version, which dkms has to know whatever the kernel is.
fn identity(packaged: &PackagedConf, findings: &mut Vec<Diagnostic>) -> Result<(String, String)> {
    let facts = &packaged.facts;
    if facts.name == Fact::Unknown {
        let text = "the name of the driver is not known here: dkms.conf computes it";
        let finding = Diagnostic::error(&UNKNOWN_NAME, text)
            .hint("write it into the file, or `name = \"NAME\"` under `[driver]` in kpkg.toml");
        findings.push(packaged.conf.mark(finding, "PACKAGE_NAME"));
    }
    // without these, it was reported above, or before
    let (Some(name), Some(version)) = (facts.name.known().cloned(), facts.version.known().cloned()) else {
        return Err(stopped(std::mem::take(findings)));
    };
    if version.contains(':') {
        let text =
            format!("kernels do not build a driver in a folder with a colon, such as `{name}/{version}`");
        let finding = Diagnostic::warning(&COLON, text);
        findings.push(finding.hint("give a version without it: `--driver-version VERSION`"));
    }
    Ok((name, version))
}

/// Adds to findings about markers what the tree's own build replaces these with.
fn note_values(findings: &mut [Diagnostic], replacements: &[Replacement]) {
    for finding in findings.iter_mut().filter(|finding| dkms::is_about_a_marker(finding)) {
        let is_named = |one: &&Replacement| finding.message.contains(&format!("`{}`", one.marker));
        let named: Vec<_> = replacements.iter().filter(is_named).take(NAMED).map(unknown_value).collect();
        finding.notes.extend(named);
    }
}

/// An error without what is said about packages that are then not written.
#[must_use]
pub fn stopped(findings: Vec<Diagnostic>) -> Error {
    let is_said =
        |finding: &Diagnostic| finding.code.id != NORMALISED.id || finding.severity == Severity::Error;
    Error::diagnostics(findings.into_iter().filter(is_said).collect())
}

/// Where dkms looks for its file, in the root of the source.
pub const CONF_NAME: &str = "dkms.conf";

/// The file that counts becomes `dkms.conf` in the root, wherever it lies.
fn place_conf(files: &mut Vec<SourceFile>, path: &Path, size: usize) {
    files.retain(|file| file.path != CONF_NAME);
    let at = files.partition_point(|file| file.path.as_str() < CONF_NAME);
    let kind = SourceKind::File { on_disk: path.into(), size: size as u64, executable: false };
    files.insert(at, SourceFile { path: CONF_NAME.to_owned(), kind });
}

/// What the tree says its version is; `template` is a dkms.conf that is filled from debian/changelog.
#[must_use]
pub fn claims(
    input: &Input,
    root: &Path,
    files: &[SourceFile],
    modules: &[String],
    template: Option<&Path>,
) -> Claims {
    version::claims(&version::Places {
        folder: &input.folder,
        root,
        files,
        modules,
        folder_name: input.name.as_deref(),
        archive: input.archive.as_deref(),
        template,
    })
}

/// Whether `dh_dkms` fills a dkms.conf with the upstream version of debian/changelog.
fn is_changelog_template(path: &Path, bytes: &[u8]) -> bool {
    let is_dkms = path.file_name().is_some_and(|name| name == "dkms")
        || path.extension().is_some_and(|end| end == "dkms");
    let is_debian = path.parent().and_then(Path::file_name).is_some_and(|folder| folder == "debian");
    is_dkms && is_debian || is_in_version(&String::from_utf8_lossy(bytes), "#MODULE_VERSION#")
}

/// Whether a marker is part of the version that a dkms.conf gives.
fn is_in_version(text: &str, marker: &str) -> bool {
    text.lines().any(|line| line.trim_start().starts_with("PACKAGE_VERSION=") && line.contains(marker))
}

/// How many files, and how many places, a finding names.
const NAMED: usize = 3;

/// Takes the texts to replace that only sources have out of those of dkms.conf; returns all that sources have.
fn keys_of_sources(wanted: &mut Wanted, marked: &Marked, bytes: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes);
    let keys = wanted.substitute.iter().filter(|(key, _)| marked.contains_key(*key));
    let of_sources = keys.map(|(key, value)| (key.clone(), value.clone())).collect();
    let is_own = |key: &str, value: &str| {
        // the version that dkms.conf gives cannot be itself
        text.contains(key) && !(value.contains("$PACKAGE_VERSION") && is_in_version(&text, key))
    };
    wanted.substitute.retain(|key, value| !marked.contains_key(key) || is_own(key, value));
    of_sources
}

/// The markers of a dkms.conf whose value the vendor's own commands say, with findings.
fn known_markers(
    packaged: &PackagedConf,
    bytes: &[u8],
    replacements: &[Replacement],
) -> (Vec<(String, String)>, Vec<Diagnostic>) {
    let own = String::from_utf8_lossy(bytes);
    let text = packaged.rewritten.as_deref().unwrap_or(&own);
    let version = packaged.facts.version.known().filter(|version| !dkms::is_placeholder(version));
    let (mut known, mut findings) = (Vec::new(), Vec::new());
    let markers: BTreeSet<&str> = replacements.iter().map(|one| one.marker.as_str()).collect();
    for marker in markers.into_iter().filter(|marker| text.contains(marker)) {
        let Some((value, from)) = value_of(marker, replacements, version.map(String::as_str)) else {
            continue;
        };
        let becomes = if value.is_empty() { "empty".to_owned() } else { format!("`{value}`") };
        let unset = from.unset();
        let (severity, why) = if unset.is_empty() {
            (Severity::Note, String::new())
        } else {
            (Severity::Warning, format!(", where nothing sets `{}`", unset.join("`, `")))
        };
        let text = format!(
            "the marker `{marker}` in dkms.conf becomes {becomes}, as `{}` replaces it{why}",
            from.place
        );
        let hint = format!(
            "`substitute = {{ \"{marker}\" = \"VALUE\" }}` under `[driver]` in kpkg.toml says it otherwise"
        );
        findings.push(dkms::replaced_marker(severity, text).hint(hint));
        known.push((marker.to_owned(), value));
    }
    (known, findings)
}

/// The one value that commands give a marker, and one of them.
fn value_of<'a>(
    marker: &str,
    replacements: &'a [Replacement],
    version: Option<&str>,
) -> Option<(String, &'a Replacement)> {
    let own = replacements.iter().filter(|one| one.marker == marker);
    let mut known = own.filter_map(|one| Some((one.value(version)?, one)));
    let first = known.next()?;
    known.all(|(value, _)| value == first.0).then_some(first)
}

/// Words for a command whose value does not count.
fn unknown_value(one: &Replacement) -> String {
    format!("`{}` replaces it by `{}`, which is not one value that is known here", one.place, one.written)
}

/// What is known when the version is.
struct Settled<'a> {
    version: &'a str,
    /// What kpkg.toml replaces in sources.
    of_sources: &'a BTreeMap<String, String>,
    replacements: &'a [Replacement],
}

impl Settled<'_> {
    /// The texts of sources whose version is a marker that is replaced, with findings about all markers.
    fn sources(&self, marked: &Marked, tree: &Tree<'_>) -> (BTreeMap<String, String>, Vec<Diagnostic>) {
        let mut rewritten = BTreeMap::new();
        let mut findings = Vec::new();
        for (marker, places) in marked {
            let given = self.of_sources.get(marker).map(|value| {
                let value = value.replace("${PACKAGE_VERSION}", self.version);
                (value.replace("$PACKAGE_VERSION", self.version), "kpkg.toml".to_owned())
            });
            let found = || value_of(marker, self.replacements, Some(self.version));
            let value = given.or_else(|| found().map(|(value, from)| (value, from.place.clone())));
            let mut left: Vec<&str> = Vec::new();
            for (path, literal) in places {
                let changed = value.as_ref().and_then(|(value, _)| {
                    let file = tree.find(path)?;
                    let new = literal.replace(marker.as_str(), value);
                    replaced::with_literal(file, rewritten.get(path), literal, &new)
                });
                match changed {
                    Some(text) => drop(rewritten.insert(path.clone(), text)),
                    None => left.push(path),
                }
            }
            if let (Some((value, from)), true) = (&value, left.len() < places.len()) {
                let count = counted(places.len() - left.len());
                let text = format!(
                    "the version `{marker}` in {count} becomes `{value}` in the package, as `{from}` says"
                );
                findings.push(Diagnostic::note(&MARKED_SOURCE, text));
            }
            if !left.is_empty() {
                let not_text = value.is_some();
                findings.push(self.marked_source(marker, &left, not_text));
            }
        }
        (rewritten, findings)
    }

    fn marked_source(&self, marker: &str, paths: &[&str], not_text: bool) -> Diagnostic {
        let named = paths.iter().take(NAMED).map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
        let more = if paths.len() > NAMED { " and more" } else { "" };
        let text = format!(
            "the version in {} is the template marker `{marker}`, and `modinfo` will show it: {named}{more}",
            counted(paths.len())
        );
        let mut finding = Diagnostic::warning(&MARKED_SOURCE, text);
        if not_text {
            return finding
                .with_note("what replaces it is no version, or the file is no UTF-8 text or too long for it")
                .hint("write the version into the sources");
        }
        for one in self.replacements.iter().filter(|one| one.marker == marker).take(NAMED) {
            finding = finding.with_note(unknown_value(one));
        }
        finding.hint(format!(
            "write `substitute = {{ \"{marker}\" = \"$PACKAGE_VERSION\" }}` under `[driver]` in kpkg.toml"
        ))
    }
}

fn counted(files: usize) -> String {
    if files == 1 { "a source".to_owned() } else { format!("{files} sources") }
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
    let made = infer::infer(&tree, files, &given, &|modules| claims(input, root, files, modules, None));
    made.ok_or_else(|| {
        let text = format!(
            "there is no dkms.conf in `{}`, and no Makefile that makes a module",
            input.shown.display()
        );
        let finding = Diagnostic::error(&find::NO_CONF, text);
        Error::diagnostics(vec![match lacks::generated(&tree) {
            Some(sentence) => finding.hint(sentence),
            None => finding.hint("go to the folder of a driver, or name it: `kpkg DIR`"),
        }])
    })
}

impl Inferred {
    fn origin(&self) -> String {
        format!("{MADE_FROM}`{}`", self.from)
    }

    fn finding(&self) -> Diagnostic {
        let modules = match self.modules.as_slice() {
            [only] => format!("module `{only}`"),
            several => format!("{} modules", several.len()),
        };
        let text = format!("there is no dkms.conf; one was made from `{}`: {modules}", self.from);
        let hint = "`kpkg init` writes it, so that you can read, correct and keep it";
        let finding = Diagnostic::warning(&find::NO_CONF, text).hint(hint);
        if self.is_open {
            return finding
                .with_note("for some kernels the Makefiles may make others, which are not listed because that is not known here");
        }
        finding
    }
}

/// The dkms.conf that `kpkg init` writes for a tree without one, and findings about it.
pub fn init(
    input: &Input,
    config: &Config,
    options: &Surroundings,
) -> Result<(PathBuf, String, Vec<Diagnostic>)> {
    let selected = source::Filter {
        exclude: config.source.exclude.clone(),
        include: config.source.include.clone(),
        output: options.output.clone(),
        only_tracked: options.only_tracked,
        interrupted: &|met| options.stop.meets(met),
    };
    let selection = source::select(&input.folder, &selected)?;
    let wanted = Wanted {
        name: config.driver.name.clone(),
        version: options.version.clone().or_else(|| config.driver.version.clone()),
        modules: config.driver.modules.clone(),
        substitute: config.driver.substitute.clone(),
    }
    .checked()?;
    let made = inferred(input, &input.folder, &selection.files, &wanted)?;
    let mut findings = selection.diagnostics;
    findings.push(Diagnostic { severity: Severity::Note, hint: None, ..made.finding() });
    let text = made.text;
    let path = find::below(&input.folder, CONF_NAME);
    let ConfFile { conf, findings: found, .. } = ConfFile::new(path.clone(), text.clone().into_bytes());
    let tree = Tree::new(&selection.files);
    let evaluation = dkms::evaluate(&conf, &Inputs { source_tree: Some(&tree), ..Inputs::default() });
    findings.extend(found);
    let (facts, of_facts) = dkms::facts(&conf, &evaluation);
    if facts.version.known().is_some_and(|version| dkms::is_placeholder(version)) {
        findings.push(conf::no_version());
    } else {
        findings.extend(of_facts);
    }
    Ok((path, text, findings))
}

/// Scripts that dkms.conf names have to be executable in the package. Where the file does not lie where dkms wants it, the vendor's own
/// packaging puts them in place, and so does this one: the paths of those that become executable.
fn check_scripts(
    facts: &Facts,
    conf: &Conf,
    tree: &Tree<'_>,
    is_plain: bool,
    findings: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let mut executable = Vec::new();
    for hook in &facts.hooks {
        let Some(script) = hook.script.known() else { continue };
        let directive = hook.kind.directive();
        let Some(path) = dkms::tree_path(script) else { continue };
        if !tree.exists(&path) || tree.is_executable(&path) {
            continue;
        }
        if !is_plain {
            let text = format!("{directive} names `{script}`, which is not executable; in the package it is");
            findings.push(conf.mark(Diagnostic::note(&DEAD_HOOK, text), directive));
            executable.push(path);
            continue;
        }
        let text = format!("{directive} names `{script}`, which is not executable: dkms goes on without it");
        let mut finding = Diagnostic::warning(&DEAD_HOOK, text).hint(format!("run `chmod +x {script}`"));
        if let Some(SourceKind::File { on_disk, .. }) = tree.find(&path).map(|file| &file.kind) {
            finding = finding.fix(Edit::MakeExecutable(on_disk.to_path_buf()));
        }
        findings.push(conf.mark(finding, directive));
    }
    executable
}

fn modules(facts: &Facts) -> Vec<Module> {
    let known = facts.modules.iter().filter_map(|module| module.installed_name.known());
    known.map(|name| Module { name: name.clone() }).collect()
}

fn limits(facts: &Facts) -> Limits {
    let exclusive = &facts.exclusive;
    let known = |fact: &Fact<String>| fact.known().cloned();
    Limits {
        arch: known(&exclusive.arch),
        kernel: known(&exclusive.kernel),
        kernel_min: known(&exclusive.kernel_min),
        kernel_max: known(&exclusive.kernel_max),
        config: known(&exclusive.config),
    }
}

fn build_depends(facts: &Facts, conf: &Conf) -> BuildDepends {
    BuildDepends {
        names: facts.build_depends.iter().filter_map(|name| name.known().cloned()).collect(),
        has_unknown: facts.build_depends.iter().any(|name| name.known().is_none()),
        place: conf.place_of("BUILD_DEPENDS"),
    }
}

fn needs_dkms(facts: &Facts) -> Vec<DkmsNeed> {
    let need = |requirement: &dkms::Requirement| DkmsNeed {
        version: requirement.version.to_owned(),
        why: requirement.why.clone(),
        wrong_module: requirement.wrong_module,
        is_harmless: requirement.is_harmless,
    };
    facts.minimum_dkms.iter().map(need).collect()
}
