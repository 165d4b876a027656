//! What would hurt users later: rules for drivers' trees and for finished packages, one file each.
//!
//! Only looks. Rules about scripts are data, in `lints/`; what needs more than a pattern is code, in a file beside this one.
//! What makes a dkms.conf invalid is not repeated here: it comes from reading it.

mod bare_make;
mod build_git;
mod build_kernel;
mod build_network;
mod build_objects;
mod build_text;
mod calls;
mod contents;
mod folder_name;
mod hidden_text;
mod kbuild_names;
mod not_executable;
mod old_templates;
mod package_files;
mod package_lacks;
mod package_names;
mod package_register;
mod package_source;
mod packaged;
mod running_kernel;
mod scan;
mod script;
mod script_arguments;
mod script_failure;
mod script_kernel;
mod script_removal;
mod shell;
mod source_archive;
mod version;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::diagnostic::{Code, Diagnostic, Place, SourceText};
use crate::dkms::{self, Conf, ConfFile, Facts, Inputs, Supported};
use crate::driver::Driver;
use crate::driver::layout::Layout;
use crate::format::ReadPackage;
use crate::input::version::Claim;
use build_text::Piece;
pub use contents::Confs;
use packaged::Packaged;
pub use scan::Kind;

/// A rule about a driver's tree.
struct TreeRule {
    code: &'static Code,
    check: fn(&Tree<'_>) -> Vec<Diagnostic>,
}

/// A rule about a finished package.
struct PackageRule {
    code: &'static Code,
    check: fn(&Package<'_>) -> Vec<Diagnostic>,
}

const TREE_RULES: &[&TreeRule] = &[
    &bare_make::RULE,
    &running_kernel::RULE,
    &kbuild_names::FLAGS,
    &kbuild_names::SUBDIRS,
    &not_executable::RULE,
    &build_git::RULE,
    &build_network::RULE,
    &build_kernel::RUNNING,
    &build_kernel::FIXED,
    &build_objects::RULE,
    &folder_name::RULE,
    &version::RULE,
    &source_archive::RULE,
    &old_templates::RULE,
    &hidden_text::TREE,
];

const PACKAGE_RULES: &[&PackageRule] = &[
    &package_lacks::RULE,
    &package_files::RULE,
    &package_names::RULE,
    &package_source::RULE,
    &package_source::HOOKS,
    &package_register::ADDS,
    &package_register::REMOVES,
    &package_register::REBUILDS,
    &hidden_text::PACKAGE,
];

/// The findings of this layer.
pub fn codes() -> impl Iterator<Item = &'static Code> {
    let trees = TREE_RULES.iter().map(|rule| rule.code);
    trees.chain(PACKAGE_RULES.iter().map(|rule| rule.code)).chain(script::codes())
}

/// A driver's tree, as rules see it.
pub struct Tree<'a> {
    pub driver: &'a Driver,
    /// What its folder is called.
    pub folder_name: Option<String>,
    /// The facts of the packaged dkms.conf for some kernel: what a rule is about is seldom another one for the next.
    pub facts: Facts,
    /// What the tree says its version is.
    pub claims: Vec<Claim>,
    /// What its build enters, makes and reads.
    layout: Layout,
    /// What its build runs, once somebody asked.
    pieces: OnceCell<Vec<Piece>>,
    /// The files of the build that somebody asked for.
    sources: RefCell<BTreeMap<String, Option<Arc<SourceText>>>>,
}

impl<'a> Tree<'a> {
    /// A driver, and the name of its folder.
    #[must_use]
    pub fn new(driver: &'a Driver, folder_name: Option<String>, claims: Vec<Claim>) -> Self {
        let inputs = Inputs {
            processors: Some(1),
            module: Some((driver.name.clone(), driver.version.clone())),
            ..Inputs::of_some_kernel()
        };
        let facts = dkms::facts(&driver.conf, &dkms::evaluate(&driver.conf, &inputs)).0;
        let layout = driver.layout(&facts);
        let (pieces, sources) = Default::default();
        Self { driver, folder_name, facts, claims, layout, pieces, sources }
    }

    /// What its build runs.
    fn pieces(&self) -> &[Piece] {
        self.pieces.get_or_init(|| build_text::pieces(self))
    }

    /// A file that the build reads, as it is called in the tree.
    fn source(&self, path: &str) -> Option<Arc<SourceText>> {
        let mut sources = self.sources.borrow_mut();
        let source = sources.entry(path.to_owned()).or_insert_with(|| {
            let text = self.driver.text(path)?;
            Some(Arc::new(SourceText { path: self.driver.origin.root.join(path), text }))
        });
        source.clone()
    }

    /// A line of such a file, counted from 1.
    fn place(&self, path: &str, line: usize) -> Option<Place> {
        Some(build_text::line_of(&self.source(path)?, line))
    }

    /// The folder, relative to the root, in which a command of MAKE starts the driver's own Makefile; nothing where it starts
    /// the kernel's.
    fn own_makefile(&self, command: &str) -> Option<String> {
        let build = format!("/var/lib/dkms/{}/{}/build", self.driver.name, self.driver.version);
        let mut words = command.split_whitespace().map(|word| word.trim_matches(['\'', '"', ';']));
        let mut folder = String::new();
        while let Some(word) = words.next() {
            let target = match word {
                "-C" | "cd" => words.next(),
                word if word.starts_with("M=") || word.starts_with("SUBDIRS=") => return None,
                word => word.strip_prefix("-C").filter(|target| !target.is_empty()),
            };
            let Some(target) = target else { continue };
            let inside = target.strip_prefix(&build).unwrap_or(target);
            if inside.starts_with('/') && inside.len() == target.len() || inside.contains("..") {
                return None;
            }
            inside.trim_matches('/').trim_start_matches("./").clone_into(&mut folder);
        }
        command.contains("make").then_some(folder)
    }

    /// The places of `MAKE` in dkms.conf, with the command and the folder of the driver's own Makefile that it starts.
    fn own_makes(&self) -> impl Iterator<Item = (&str, String)> {
        let commands = self.facts.make.iter().filter_map(|rule| rule.command.known());
        commands.filter_map(|command| Some((command.as_str(), self.own_makefile(command)?)))
    }
}

/// A finished package, as rules see it.
pub struct Package<'a> {
    pub found: &'a ReadPackage,
    /// The `dkms.conf` files in it.
    pub confs: &'a Confs,
    pub path: &'a Path,
    /// What it is for dkms.
    packaged: Packaged<'a>,
}

/// Every rule about a tree; `scripts` are the texts that run as root, with what they are for.
#[must_use]
pub fn tree(tree: &Tree<'_>, scripts: &[(PathBuf, String, Kind)]) -> Vec<Diagnostic> {
    let mut findings: Vec<_> = TREE_RULES.iter().flat_map(|rule| (rule.check)(tree)).collect();
    for (path, text, kind) in scripts {
        let source = Arc::new(SourceText { path: path.clone(), text: text.clone() });
        let is_removed_before =
            is_removed_before(*kind, scripts.iter().map(|(_, text, kind)| (*kind, text.as_str())));
        findings.extend(script::check(&source, 0..text.len(), *kind, is_removed_before));
    }
    findings.extend(conf(&tree.driver.conf));
    findings
}

/// Everything about a dkms.conf alone: what reading it says, and every rule.
#[must_use]
pub fn conf_file(file: &ConfFile, supported: &Supported) -> Vec<Diagnostic> {
    let conf = &file.conf;
    if let Some(finding) = dkms::web_page(conf) {
        return vec![finding];
    }
    let evaluation = dkms::evaluate(conf, &Inputs::default());
    let (_, of_facts) = dkms::facts_for(conf, &evaluation, supported);
    let mut findings = file.findings.clone();
    findings.extend(evaluation.diagnostics.into_iter().chain(of_facts));
    findings.extend(self::conf(conf));
    findings
}

/// Every rule about the text of a dkms.conf.
fn conf(conf: &Conf) -> Vec<Diagnostic> {
    let source = conf.source();
    script::check(source, 0..source.text.len(), Kind::Conf, false)
}

/// Whether one of the scripts takes the driver from dkms before a script of this kind runs.
fn is_removed_before<'a>(kind: Kind, mut scripts: impl Iterator<Item = (Kind, &'a str)>) -> bool {
    kind.is_late()
        && scripts.any(|(other, text)| other.removes() && !other.is_late() && script::removes_from_dkms(text))
}

/// Every rule about a finished package.
#[must_use]
pub fn package(path: &Path, found: &ReadPackage, confs: &Confs) -> Vec<Diagnostic> {
    let package = Package { found, confs, path, packaged: Packaged::new(path, found, confs) };
    let mut findings: Vec<_> = PACKAGE_RULES.iter().flat_map(|rule| (rule.check)(&package)).collect();
    let kinds = || package.packaged.scripts.iter().filter_map(|script| Some((script.kind?, script)));
    for (kind, script) in kinds() {
        let others = kinds().map(|(kind, script)| (kind, script.source.text.as_str()));
        let is_removed_before = is_removed_before(kind, others);
        findings.extend(script::check(&script.source, 0..script.source.text.len(), kind, is_removed_before));
    }
    for (_, file) in &package.packaged.conf_files {
        findings.extend(conf_file(file, &Supported::default()));
    }
    // nothing in a finished package can be edited
    findings.into_iter().map(|finding| Diagnostic { fix: None, ..finding }).collect()
}

/// What runs as root of a tree's own packaging: debhelper's scripts, and the scriptlets of spec files.
#[must_use]
pub fn packaging_kind(path: &str) -> Option<PackagingFile> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if name.ends_with(".spec") || name.ends_with(".spec.in") {
        return Some(PackagingFile::Spec);
    }
    let in_folder = path.split('/').rev().nth(1).is_some_and(|folder| folder == "debian");
    let script = name.rsplit('.').next().unwrap_or(name).trim_end_matches(".in");
    let kind = Kind::of(script).filter(|_| in_folder && !script.starts_with('%'))?;
    Some(PackagingFile::Script(kind))
}

/// A file of a tree's own packaging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackagingFile {
    Script(Kind),
    /// Scriptlets in sections.
    Spec,
}

/// The findings about a spec file's scriptlets.
#[must_use]
pub fn spec(path: &Path, text: &str) -> Vec<Diagnostic> {
    let source = Arc::new(SourceText { path: path.to_owned(), text: text.to_owned() });
    let mut findings = Vec::new();
    let mut sections: Vec<(Kind, std::ops::Range<usize>)> = Vec::new();
    let mut section: Option<(Kind, usize)> = None;
    let mut at = 0;
    let mut end = |section: Option<(Kind, usize)>, at: usize| {
        sections.extend(section.map(|(kind, from)| (kind, from..at)));
    };
    for line in text.split_inclusive('\n') {
        let word = line.split_whitespace().next().unwrap_or_default();
        let begins = word.starts_with('%')
            && word.len() > 2
            && word[1..].bytes().all(|byte| byte.is_ascii_lowercase());
        let names =
            ["%description", "%prep", "%build", "%install", "%check", "%files", "%changelog", "%package"];
        let kind = Kind::of(word);
        if begins && (kind.is_some() || names.contains(&word)) {
            end(section, at);
            // `-p <lua>`, `-p /sbin/ldconfig`
            let is_shell = !line.contains(" -p ") || line.trim_end().ends_with("sh");
            section = kind.filter(|_| is_shell).map(|kind| (kind, at + line.len()));
        }
        at += line.len();
    }
    end(section, text.len());
    for (kind, range) in &sections {
        let is_removed_before =
            is_removed_before(*kind, sections.iter().map(|(kind, range)| (*kind, &text[range.clone()])));
        findings.extend(script::check(&source, range.clone(), *kind, is_removed_before));
    }
    findings
}
