//! What `read_conf` of dkms derives from the directives, typed, and the rules by which a file is invalid or will hurt.
//!
//! Must not evaluate shell; works on what dkms sees after its second sourcing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::codes;
use super::directives::{FAMILIES, FOREIGN, family_of, last_assignment, nearest};
use super::marker;
use super::shell::{extended, refusal};
use super::supported::{Extent, Supported};
use super::versions::compare_versions;
use super::{Conf, Directive, Evaluation, Value};
use crate::diagnostic::{Code, Diagnostic, Edit, Place, Severity};

/// A value that the file may leave out, or that may not be known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Fact<T> {
    /// The file does not say, or says an empty value where dkms takes that for the same.
    #[default]
    Absent,
    /// What dkms uses.
    Known(T),
    /// Depends on what is not known; the evaluation's diagnostics say on what.
    Unknown,
}

impl<T> Fact<T> {
    /// The value, when it is there and known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            _ => None,
        }
    }

    /// Whether the file says something, known or not.
    pub fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    fn map<U>(self, change: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Absent => Fact::Absent,
            Self::Known(value) => Fact::Known(change(value)),
            Self::Unknown => Fact::Unknown,
        }
    }
}

/// One module, as dkms numbers them from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleFacts {
    /// Its index in the arrays.
    pub index: usize,
    /// Name of the `.ko` without suffix; `PACKAGE_NAME` if there is one module only and no `BUILT_MODULE_NAME`.
    pub name: Fact<String>,
    /// Directory of the `.ko` relative to the driver's root, without `/` at the end; `Absent` means the root. It begins with
    /// `..` only where it leads to the source beside the build.
    pub location: Fact<String>,
    /// The name it is installed under; `BUILT_MODULE_NAME` if not given.
    pub installed_name: Fact<String>,
    /// `DEST_MODULE_LOCATION` as written; most distributions replace it (dkms, `override_dest_module_location`).
    pub destination: Fact<String>,
    /// Whether dkms strips debug symbols; `Unknown` when STRIP is.
    pub strip: Fact<bool>,
    /// `BUILD_EXCLUSIVE_*[index]` where the index is above 0; see [`Facts::exclusive`] for element 0.
    pub exclusive: Exclusive,
}

impl ModuleFacts {
    /// Where the build leaves it, below the build folder, without suffix; nothing where that is not known.
    #[must_use]
    pub fn built(&self) -> Option<String> {
        let name = self.name.known()?;
        match &self.location {
            Fact::Absent => Some(name.clone()),
            Fact::Known(folder) => Some(format!("{folder}/{name}")),
            Fact::Unknown => None,
        }
    }
}

/// MAKE\[i\] with `MAKE_MATCH`\[i\].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MakeRule {
    /// Its index in the arrays.
    pub index: usize,
    /// The command line.
    pub command: Fact<String>,
    /// A bash regular expression for kernel releases; absent for the default rule at index 0.
    pub matches: Fact<String>,
}

/// PATCH\[i\] with `PATCH_MATCH`\[i\].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchFacts {
    /// Its index in the arrays.
    pub index: usize,
    /// File below `patches/`, applied with `patch -p1`.
    pub file: Fact<String>,
    /// A bash regular expression for kernel releases; absent means all.
    pub matches: Fact<String>,
}

/// When a hook script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HookKind {
    /// Before the build, in the build directory.
    PreBuild,
    /// After the build, in the build directory.
    PostBuild,
    /// Before installation for a kernel.
    PreInstall,
    /// After installation for a kernel, before depmod.
    PostInstall,
    /// After `dkms add`.
    PostAdd,
    /// After each uninstallation for a kernel.
    PostRemove,
}

impl HookKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::PreBuild,
        Self::PostBuild,
        Self::PreInstall,
        Self::PostInstall,
        Self::PostAdd,
        Self::PostRemove,
    ];

    /// The directive that names the script.
    #[must_use]
    pub const fn directive(self) -> &'static str {
        match self {
            Self::PreBuild => "PRE_BUILD",
            Self::PostBuild => "POST_BUILD",
            Self::PreInstall => "PRE_INSTALL",
            Self::PostInstall => "POST_INSTALL",
            Self::PostAdd => "POST_ADD",
            Self::PostRemove => "POST_REMOVE",
        }
    }
}

/// A hook script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// When it runs.
    pub kind: HookKind,
    /// Script and arguments.
    pub command: Fact<String>,
    /// The script alone: the command up to the first blank.
    pub script: Fact<String>,
}

/// `BUILD_EXCLUSIVE`_*: for which kernels dkms builds at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exclusive {
    /// A bash regular expression that the kernel release must match.
    pub kernel: Fact<String>,
    /// A bash regular expression that the architecture must match.
    pub arch: Fact<String>,
    /// The lowest kernel, compared as padded text.
    pub kernel_min: Fact<String>,
    /// The highest kernel, compared as padded text.
    pub kernel_max: Fact<String>,
    /// `CONFIG_X` and `!CONFIG_X`, separated by blanks.
    pub config: Fact<String>,
}

impl Exclusive {
    /// Whether it says anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A lowest version of dkms that a used feature needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The version.
    pub version: &'static str,
    /// The feature, in words.
    pub why: String,
    /// Whether an older dkms would install a wrong module, rather than fail or do something harmless.
    pub wrong_module: bool,
    /// Whether an older dkms does the same as long as nothing fails.
    pub is_harmless: bool,
}

/// What dkms derives from the file, in its own terms (`read_conf` of dkms 3.4.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// `PACKAGE_NAME`.
    pub name: Fact<String>,
    /// `PACKAGE_VERSION`.
    pub version: Fact<String>,
    /// The modules, by index.
    pub modules: Vec<ModuleFacts>,
    /// Whether there may be other modules than these, because an array is not known.
    pub modules_unknown: bool,
    /// The MAKE rules.
    pub make: Vec<MakeRule>,
    /// The patches.
    pub patches: Vec<PatchFacts>,
    /// Names of dkms modules that must be installed for the same kernel.
    pub build_depends: Vec<Fact<String>>,
    /// Whether dependents are rebuilt when a dependency changes.
    pub build_depends_rebuild: Fact<bool>,
    /// The hook scripts.
    pub hooks: Vec<Hook>,
    /// `BUILD_EXCLUSIVE`_* for the whole package: element 0.
    pub exclusive: Exclusive,
    /// Whether elements above 0 of `BUILD_EXCLUSIVE`_* are used.
    pub per_module_exclusive: bool,
    /// AUTOINSTALL.
    pub autoinstall: Fact<bool>,
    /// `NO_WEAK_MODULES`.
    pub no_weak_modules: bool,
    /// CLEAN, which no current dkms runs.
    pub clean: Fact<String>,
    /// `REMAKE_INITRD`, ignored since 2.8.8.
    pub remake_initrd: Fact<String>,
    /// `OBSOLETE_BY`, deprecated since 3.4.0.
    pub obsolete_by: Fact<String>,
    /// Versions of dkms that the file needs.
    pub minimum_dkms: Vec<Requirement>,
}

/// Derives the facts and checks them for every dkms; see [`facts_for`].
#[must_use]
pub fn facts(conf: &Conf, evaluation: &Evaluation) -> (Facts, Vec<Diagnostic>) {
    facts_for(conf, evaluation, &Supported::default())
}

/// Derives the facts and checks them: what every dkms of `supported` rejects is an error, what some reject or what hurts a warning.
#[must_use]
pub fn facts_for(conf: &Conf, evaluation: &Evaluation, supported: &Supported) -> (Facts, Vec<Diagnostic>) {
    let mut checker = Checker { conf, evaluation, supported, diagnostics: Vec::new() };
    let facts = checker.derive();
    checker.check(&facts);
    (facts, checker.diagnostics)
}

/// Whether a file is the page of a web server, as a download leaves it that went wrong.
#[must_use]
pub fn is_web_page(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]);
    let start = start.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    ["<!doctype", "<html", "<head", "<body", "<title", "<?xml"].iter().any(|tag| start.starts_with(tag))
}

/// The only thing to say about a [`is_web_page`].
pub(crate) fn web_page(conf: &Conf) -> Option<Diagnostic> {
    let text = &conf.source.text;
    if !is_web_page(text.as_bytes()) {
        return None;
    }
    let start = text.len() - text.trim_start_matches('\u{feff}').trim_start().len();
    let length = text[start..].find(['\r', '\n']).unwrap_or(text.len() - start);
    let finding = Diagnostic::error(&codes::WEB_PAGE, "this is a web page, not a dkms.conf")
        .at(Place::new(&conf.source, start..start + length))
        .hint("get the file itself, for instance from the project's release or with git");
    Some(finding)
}

/// Where `BUILT_MODULE_LOCATION` leads from the folder of the build.
enum Location {
    /// Into it: this folder below it.
    Inside(String),
    /// To the source beside it, where a command may build as well.
    Source,
    /// Anywhere else.
    Outside,
}

fn location(text: &str) -> Location {
    if text.starts_with('/') {
        return Location::Outside;
    }
    let mut parts = vec!["build"];
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Location::Outside;
                }
            }
            part => parts.push(part),
        }
    }
    match parts.as_slice() {
        ["build", inside @ ..] => Location::Inside(inside.join("/")),
        ["source", ..] => Location::Source,
        _ => Location::Outside,
    }
}

/// What stands between quotes or alone behind `NAME=`, where that is all.
fn is_literal(text: &str, name: &str, value: &str) -> bool {
    let quoted = [value.to_owned(), format!("\"{value}\""), format!("'{value}'")];
    let rest = text.strip_prefix(name).map(|rest| rest.strip_prefix("[0]").unwrap_or(rest));
    rest.and_then(|rest| rest.strip_prefix('=')).is_some_and(|rest| quoted.iter().any(|text| text == rest))
}

/// Whether a text uses a variable, and does not only set it.
fn is_used(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let without_comment = |line: &str| -> usize {
        let trimmed = line.trim_start();
        if trimmed.starts_with('#') { 0 } else { line.len() }
    };
    text.lines().any(|line| {
        let line = &line[..without_comment(line)];
        line.match_indices(name).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let is_whole = !line[at + name.len()..].starts_with(is_word);
            is_whole && matches!(before, Some('$' | '{' | '!' | '#'))
        })
    })
}

/// Removes the lines of an assignment that has them for itself.
fn without_line(place: &Place) -> Option<Edit> {
    let text = &place.source.text;
    let alone_before = place.span.start == 0 || text[..place.span.start].ends_with('\n');
    let rest = &text[place.span.end..];
    let line_end = rest.find('\n').map_or(rest.len(), |at| at + 1);
    let after = rest[..line_end].trim();
    (alone_before && (after.is_empty() || after.starts_with('#')))
        .then(|| Edit::replace(&place.source, place.span.start..place.span.end + line_end, ""))
}

/// The four arrays that count modules.
const MODULE_ARRAYS: [&str; 4] =
    ["BUILT_MODULE_NAME", "BUILT_MODULE_LOCATION", "DEST_MODULE_NAME", "DEST_MODULE_LOCATION"];

const EXCLUSIVE: [&str; 5] = [
    "BUILD_EXCLUSIVE_KERNEL",
    "BUILD_EXCLUSIVE_ARCH",
    "BUILD_EXCLUSIVE_KERNEL_MIN",
    "BUILD_EXCLUSIVE_KERNEL_MAX",
    "BUILD_EXCLUSIVE_CONFIG",
];

/// A directive that current versions of dkms ignore or deprecate.
struct Dead {
    name: &'static str,
    /// What to say.
    what: &'static str,
    /// The first version, and the first one that does not do it any more; nothing where all do.
    obeyed: Option<(&'static str, &'static str)>,
}

const fn dead(name: &'static str, what: &'static str, obeyed: Option<(&'static str, &'static str)>) -> Dead {
    Dead { name, what, obeyed }
}

const OLD_DKMS: Option<(&str, &str)> = Some(("0", "2.8.8"));

const DEAD: [Dead; 8] = [
    dead("CLEAN", "is never run since dkms 3.1.8", Some(("0", "3.1.8"))),
    dead("REMAKE_INITRD", "is ignored since dkms 2.8.8", OLD_DKMS),
    dead("MODULES_CONF", "is ignored since dkms 2.8.8", OLD_DKMS),
    dead("MODULES_CONF_ALIAS_TYPE", "is ignored since dkms 2.8.8", OLD_DKMS),
    dead("MODULES_CONF_OBSOLETES", "is ignored since dkms 2.8.8", OLD_DKMS),
    dead("MODULES_CONF_OBSOLETE_ONLY", "is ignored since dkms 2.8.8", OLD_DKMS),
    dead("OBSOLETE_BY", "is deprecated since dkms 3.4.0, in favour of BUILD_EXCLUSIVE_KERNEL_MAX", None),
    dead("SIGN_TOOL", "worked in dkms 2.8.1 only", Some(("2.8.1", "2.8.2"))),
];

/// Switches, and the first version that takes nothing but `yes` and `no` for them.
const SWITCHES: [(&str, &str); 3] =
    [("AUTOINSTALL", "3.1.7"), ("NO_WEAK_MODULES", "3.2.0"), ("BUILD_DEPENDS_REBUILD", "3.2.0")];

struct Checker<'a> {
    conf: &'a Conf,
    evaluation: &'a Evaluation,
    supported: &'a Supported,
    diagnostics: Vec<Diagnostic>,
}

impl Checker<'_> {
    // --- derivation -----------------------------------------------------------------------------------------------

    fn elements(&self, name: &str) -> Option<&Directive> {
        self.evaluation.directives.get(name)
    }

    /// An element; empty counts as absent, as `[[ $x ]]` does in dkms.
    fn element(&self, name: &str, index: usize) -> Fact<String> {
        match self.elements(name).and_then(|elements| elements.get(&index)) {
            None => Fact::Absent,
            Some(Value::Known(text)) if text.is_empty() => Fact::Absent,
            Some(Value::Known(text)) => Fact::Known(text.clone()),
            Some(Value::Unknown) => Fact::Unknown,
        }
    }

    fn exclusive(&self, index: usize) -> Exclusive {
        Exclusive {
            kernel: self.element("BUILD_EXCLUSIVE_KERNEL", index),
            arch: self.element("BUILD_EXCLUSIVE_ARCH", index),
            kernel_min: self.element("BUILD_EXCLUSIVE_KERNEL_MIN", index),
            kernel_max: self.element("BUILD_EXCLUSIVE_KERNEL_MAX", index),
            config: self.element("BUILD_EXCLUSIVE_CONFIG", index),
        }
    }

    fn derive(&self) -> Facts {
        let name = self.element("PACKAGE_NAME", 0);
        let count = self.module_count();
        let modules: Vec<ModuleFacts> = (0..count).map(|index| self.module(index, count, &name)).collect();
        let per_module_exclusive = EXCLUSIVE
            .iter()
            .any(|name| self.elements(name).is_some_and(|elements| elements.keys().any(|index| *index > 0)));
        let mut facts = Facts {
            version: self.element("PACKAGE_VERSION", 0),
            modules,
            modules_unknown: MODULE_ARRAYS.iter().any(|name| {
                self.elements(name).is_some_and(|e| e.values().any(|value| *value == Value::Unknown))
            }),
            make: self.pairs("MAKE", "MAKE_MATCH", |index, command, matches| MakeRule {
                index,
                command,
                matches,
            }),
            patches: self.pairs("PATCH", "PATCH_MATCH", |index, file, matches| PatchFacts {
                index,
                file,
                matches,
            }),
            build_depends: self
                .elements("BUILD_DEPENDS")
                .map(|elements| {
                    elements.keys().map(|index| self.element("BUILD_DEPENDS", *index)).collect::<Vec<_>>()
                })
                .unwrap_or_default()
                .into_iter()
                .filter(Fact::is_present)
                .collect(),
            build_depends_rebuild: self.switch("BUILD_DEPENDS_REBUILD"),
            hooks: self.hooks(),
            exclusive: self.exclusive(0),
            per_module_exclusive,
            autoinstall: self.switch("AUTOINSTALL"),
            no_weak_modules: self.switch("NO_WEAK_MODULES") == Fact::Known(true),
            clean: self.element("CLEAN", 0),
            remake_initrd: self.element("REMAKE_INITRD", 0),
            obsolete_by: self.element("OBSOLETE_BY", 0),
            minimum_dkms: Vec::new(),
            name,
        };
        facts.minimum_dkms = self.requirements(&facts);
        facts
    }

    /// Highest index + 1 over the four arrays: dkms 3.2.2 and later.
    fn module_count(&self) -> usize {
        MODULE_ARRAYS
            .iter()
            .filter_map(|name| self.elements(name)?.keys().next_back().map(|last| last + 1))
            .max()
            .unwrap_or(0)
            .min(10_000)
    }

    fn module(&self, index: usize, count: usize, package: &Fact<String>) -> ModuleFacts {
        let mut name = self.element("BUILT_MODULE_NAME", index);
        if name == Fact::Absent && count == 1 {
            name = package.clone();
        }
        let installed_name = match self.element("DEST_MODULE_NAME", index) {
            Fact::Absent => name.clone(),
            given => given,
        };
        let first = match self.element("STRIP", 0) {
            Fact::Known(text) => Fact::Known(!text.starts_with(['n', 'N'])),
            Fact::Absent => Fact::Known(true),
            Fact::Unknown => Fact::Unknown,
        };
        let strip = match self.element("STRIP", index) {
            Fact::Absent => first,
            given => given.map(|text| !text.starts_with(['n', 'N'])),
        };
        let mut place = match self.element("BUILT_MODULE_LOCATION", index) {
            Fact::Known(text) => match location(&text) {
                Location::Inside(folder) if folder.is_empty() => Fact::Absent,
                Location::Inside(folder) => Fact::Known(folder),
                Location::Source | Location::Outside => Fact::Known(text.trim_end_matches('/').to_owned()),
            },
            other => other,
        };
        // dkms joins both, and needs another name for the installed file then
        if let (Some((folder, base)), true) =
            (name.known().and_then(|name| name.rsplit_once('/')), installed_name != name)
            && place != Fact::Unknown
        {
            let folder = match place.known() {
                Some(outer) => format!("{outer}/{folder}"),
                None => folder.to_owned(),
            };
            (place, name) = (Fact::Known(folder), Fact::Known(base.to_owned()));
        }
        ModuleFacts {
            index,
            name,
            location: place,
            installed_name,
            destination: self.element("DEST_MODULE_LOCATION", index),
            strip,
            exclusive: if index == 0 { Exclusive::default() } else { self.exclusive(index) },
        }
    }

    /// Elements below the element count, as dkms loops over them.
    fn pairs<T>(
        &self,
        values: &str,
        matches: &str,
        make: impl Fn(usize, Fact<String>, Fact<String>) -> T,
    ) -> Vec<T> {
        let Some(elements) = self.elements(values) else { return Vec::new() };
        (0..elements.len())
            .filter(|index| self.element(values, *index).is_present())
            .map(|index| make(index, self.element(values, index), self.element(matches, index)))
            .collect()
    }

    fn switch(&self, name: &str) -> Fact<bool> {
        self.element(name, 0).map(|text| !text.eq_ignore_ascii_case("no"))
    }

    fn hooks(&self) -> Vec<Hook> {
        HookKind::ALL
            .iter()
            .filter_map(|kind| {
                let command = self.element(kind.directive(), 0);
                command.is_present().then(|| Hook {
                    kind: *kind,
                    script: self.script(kind.directive(), &command),
                    command,
                })
            })
            .collect()
    }

    /// The first word; known also where only what follows it is unknown.
    fn script(&self, directive: &str, command: &Fact<String>) -> Fact<String> {
        if let Some(text) = command.known() {
            return Fact::Known(text.split_whitespace().next().unwrap_or_default().to_owned());
        }
        let beginning = self.evaluation.beginnings.get(directive).map(|text| text.trim_start());
        match beginning.and_then(|text| text.split_once(char::is_whitespace)) {
            Some((script, _)) if !script.is_empty() => Fact::Known(script.to_owned()),
            _ => Fact::Unknown,
        }
    }

    fn requirements(&self, facts: &Facts) -> Vec<Requirement> {
        let mut list = Vec::new();
        let mut need = |version, why: &str, wrong_module| {
            list.push(Requirement { version, why: why.to_owned(), wrong_module, is_harmless: false });
        };
        let present = |name: &str| self.elements(name).is_some();
        if facts.autoinstall.is_present() {
            need("2.2.0.0", "AUTOINSTALL", false);
        }
        if !facts.build_depends.is_empty() {
            need("2.3", "BUILD_DEPENDS (enforced since 3.1.4)", false);
        }
        if facts.no_weak_modules {
            need("2.3", "NO_WEAK_MODULES", false);
        }
        for (name, version) in [
            ("BUILD_EXCLUSIVE_KERNEL_MIN", "3.0.11"),
            ("BUILD_EXCLUSIVE_KERNEL_MAX", "3.0.11"),
            // Debian's packages have it since 3.0.3-4, and nobody else shipped those versions for long
            ("BUILD_EXCLUSIVE_CONFIG", "3.0.3"),
        ] {
            if present(name) {
                // An older dkms tries to build for kernels that were excluded.
                need(version, name, false);
            }
        }
        if facts.modules.is_empty() && !facts.modules_unknown {
            need("3.0.11", "a package without modules", false);
        }
        if self.conf.source().text.contains("\r\n") {
            need("3.1.5", "carriage returns at line ends", false);
        }
        if facts.hooks.iter().any(|hook| matches!(hook.kind, HookKind::PreBuild | HookKind::PostBuild)) {
            need("3.1.7", "PRE_BUILD or POST_BUILD that stops the build when it fails", false);
        }
        if let Some(hooks) = list.last_mut().filter(|last| last.version == "3.1.7") {
            hooks.is_harmless = true;
        }
        let mut need = |version, why: &str, wrong_module| {
            list.push(Requirement { version, why: why.to_owned(), wrong_module, is_harmless: false });
        };
        if facts.build_depends_rebuild.is_present() {
            need("3.2.0", "BUILD_DEPENDS_REBUILD", false);
        }
        if self.has_sparse_modules() {
            need("3.2.2", "module arrays with gaps", false);
        }
        if facts.per_module_exclusive {
            need("3.3.0", "BUILD_EXCLUSIVE_* for single modules", true);
        }
        list
    }

    /// Until 3.2.2 the number of modules was the longest element count.
    fn has_sparse_modules(&self) -> bool {
        self.counted_modules() < self.module_count()
    }

    fn counted_modules(&self) -> usize {
        let counted = MODULE_ARRAYS.iter().filter_map(|name| self.elements(name)).map(BTreeMap::len).max();
        counted.unwrap_or(0)
    }

    // --- findings -------------------------------------------------------------------------------------------------

    /// The place of an element if it can be told, else of the directive.
    fn span(&self, name: &str, index: usize) -> Option<Range<usize>> {
        let element = format!("{name}[{index}]");
        last_assignment(&self.conf.text, &element)
            .or_else(|| self.evaluation.places.get(name).cloned())
            .or_else(|| last_assignment(&self.conf.text, name))
    }

    /// The directive that brings a module into being, for a finding about what the module lacks.
    fn array_with(&self, index: usize, otherwise: &'static str) -> &'static str {
        MODULE_ARRAYS
            .into_iter()
            .find(|name| self.elements(name).is_some_and(|elements| elements.contains_key(&index)))
            .unwrap_or(otherwise)
    }

    fn report(
        &mut self,
        code: &'static Code,
        severity: Severity,
        name: &str,
        index: usize,
        message: String,
        hint: &str,
    ) {
        let mut diagnostic = Diagnostic::new(code, severity, message);
        if let Some(span) = self.span(name, index) {
            diagnostic = diagnostic.at(self.conf.place(span));
        }
        if !hint.is_empty() {
            diagnostic = diagnostic.hint(hint);
        }
        self.diagnostics.push(diagnostic);
    }

    fn error(&mut self, code: &'static Code, name: &str, index: usize, message: String, hint: &str) {
        self.report(code, Severity::Error, name, index, message, hint);
    }

    fn warn(&mut self, code: &'static Code, name: &str, index: usize, message: String, hint: &str) {
        self.report(code, Severity::Warning, name, index, message, hint);
    }

    /// What some versions of dkms refuse: an error where all do that will read the file, and a note where none does.
    fn refused(
        &mut self,
        code: &'static Code,
        (name, index): (&str, usize),
        extent: Extent,
        message: String,
        hint: &str,
    ) {
        let (severity, who) = match extent {
            Extent::Everybody(who) => (Severity::Error, who),
            Extent::Some(who) => (Severity::Warning, who),
            Extent::Nobody => (Severity::Note, Vec::new()),
        };
        self.report(code, severity, name, index, message, hint);
        if let Some(finding) = self.diagnostics.last_mut().filter(|_| !who.is_empty()) {
            finding.notes.push(format!("refused by {}", who.join(", ")));
        }
    }

    /// The edit that replaces `NAME=VALUE`, where that stands in the file and nothing is computed.
    fn replacement(&self, name: &str, value: &str, text: &str) -> Option<Edit> {
        let place = self.conf.place(self.span(name, 0)?);
        is_literal(&place.source.text[place.span.clone()], name, value)
            .then(|| Edit::replace(&place.source, place.span, text))
    }

    fn check(&mut self, facts: &Facts) {
        if let Some(finding) = web_page(self.conf) {
            self.diagnostics.push(finding);
            return;
        }
        self.check_identity(facts);
        self.check_markers();
        self.check_modules(facts);
        self.check_duplicates(facts);
        self.check_switches();
        self.check_autoinstall(facts);
        self.check_rules(facts);
        self.check_exclusive(facts);
        self.check_controls();
        self.check_dead();
        self.check_typos();
    }

    fn check_identity(&mut self, facts: &Facts) {
        if facts.name == Fact::Absent {
            self.error(
                &codes::NO_NAME,
                "PACKAGE_NAME",
                0,
                "there is no PACKAGE_NAME".to_owned(),
                "write PACKAGE_NAME=\"name\"",
            );
        }
        if facts.version == Fact::Absent {
            self.error(
                &codes::NO_VERSION,
                "PACKAGE_VERSION",
                0,
                "there is no PACKAGE_VERSION, or it is empty".to_owned(),
                "write PACKAGE_VERSION=\"1.0\"",
            );
        }
        for (directive, fact) in [("PACKAGE_NAME", &facts.name), ("PACKAGE_VERSION", &facts.version)] {
            let Some(text) = fact.known() else { continue };
            if let Some(marker) = marker::in_name(text) {
                self.error(
                    &codes::PLACEHOLDER,
                    directive,
                    0,
                    format!("`{directive}` is the template marker `{marker}`"),
                    if directive == "PACKAGE_NAME" {
                        "write `name = \"NAME\"` under `[driver]` in kpkg.toml"
                    } else {
                        "give it: `--driver-version VERSION`, or `version` under `[driver]` in kpkg.toml"
                    },
                );
            } else if let Some(reason) = bad_identity(directive, text) {
                self.error(
                    &codes::BAD_NAME,
                    directive,
                    0,
                    format!("`{directive}` has {reason}, which cannot be part of a path or a package"),
                    "use letters, digits, `.`, `_`, `+` and `-`",
                );
            }
        }
    }

    /// Markers elsewhere than in name and version.
    fn check_markers(&mut self) {
        let conf = self.conf;
        let mut offset = 0;
        for line in conf.text.split_inclusive('\n') {
            let start = offset + line.len() - line.trim_start().len();
            offset += line.len();
            let Some(marker) = marker::line(line) else { continue };
            let message = format!("the line is the template marker `{marker}`");
            let hint = if marker.contains("MODULE") {
                "write `modules = [\"FOLDER/NAME\"]` under `[driver]` in kpkg.toml".to_owned()
            } else {
                format!("write `substitute = {{ \"{marker}\" = \"\" }}` under `[driver]` in kpkg.toml")
            };
            let place = conf.place(start..start + marker.len());
            self.diagnostics.push(Diagnostic::error(&codes::PLACEHOLDER, message).at(place).hint(hint));
        }
        let evaluation = self.evaluation;
        for (name, elements) in &evaluation.directives {
            if matches!(name.as_str(), "PACKAGE_NAME" | "PACKAGE_VERSION") {
                continue;
            }
            for (index, value) in elements {
                let Value::Known(text) = value else { continue };
                let Some(marker) = marker::in_value(text) else { continue };
                let hint = if MODULE_ARRAYS.contains(&name.as_str()) {
                    "write `modules = [\"FOLDER/NAME\"]` under `[driver]` in kpkg.toml".to_owned()
                } else {
                    format!(
                        "write `substitute = {{ \"{marker}\" = \"VALUE\" }}` under `[driver]` in kpkg.toml"
                    )
                };
                let message = format!("`{name}` has the template marker `{marker}`");
                self.error(&codes::PLACEHOLDER, name, *index, message, &hint);
            }
        }
    }

    fn check_modules(&mut self, facts: &Facts) {
        if facts.modules.is_empty() && !facts.modules_unknown {
            // where nobody refuses it, nothing is built all the same
            let extent = match self.supported.before("3.0.11") {
                Extent::Nobody => Extent::Some(Vec::new()),
                extent => extent,
            };
            self.refused(
                &codes::NO_MODULES,
                ("DEST_MODULE_LOCATION", 0),
                extent,
                "the file names no module; dkms before 3.0.11 rejects that".to_owned(),
                "set BUILT_MODULE_NAME[0] and DEST_MODULE_LOCATION[0]",
            );
        }
        for module in &facts.modules {
            self.check_module(module);
        }
    }

    fn check_module(&mut self, module: &ModuleFacts) {
        let index = module.index;
        // dkms before 3.2.2 does not look behind the number of elements
        let lacking = if index < self.counted_modules() {
            Extent::Everybody(Vec::new())
        } else {
            self.supported.since("3.2.2")
        };
        if module.name == Fact::Absent {
            self.refused(
                &codes::NO_MODULE_NAME,
                (self.array_with(index, "BUILT_MODULE_NAME"), index),
                lacking.clone(),
                format!("module {index} has no BUILT_MODULE_NAME[{index}]"),
                "name it, or number the modules without gaps",
            );
        }
        for (directive, fact) in
            [("BUILT_MODULE_NAME", &module.name), ("DEST_MODULE_NAME", &module.installed_name)]
        {
            let Some(text) = fact.known() else { continue };
            if directive == "DEST_MODULE_NAME" && fact == &module.name {
                continue;
            }
            if text.ends_with(".o") || text.ends_with(".ko") {
                self.error(
                    &codes::KO_SUFFIX,
                    directive,
                    index,
                    format!("`{directive}[{index}]` ends in `.o` or `.ko`"),
                    "write the name without the suffix",
                );
            } else if let Some(reason) = bad_path_part(text).filter(|_| marker::in_value(text).is_none()) {
                let own = self.elements(directive).is_some_and(|elements| elements.contains_key(&index));
                if own {
                    self.error(
                        &codes::BAD_NAME,
                        directive,
                        index,
                        format!("`{directive}[{index}]` has {reason}, which a module name cannot have"),
                        "",
                    );
                }
            }
        }
        match &module.destination {
            Fact::Absent => self.refused(
                &codes::NO_DESTINATION,
                (self.array_with(index, "DEST_MODULE_LOCATION"), index),
                lacking,
                format!("module {index} has no DEST_MODULE_LOCATION[{index}]"),
                &format!("write DEST_MODULE_LOCATION[{index}]=\"/updates/dkms\""),
            ),
            Fact::Known(text) => self.check_destination(index, text),
            Fact::Unknown => {}
        }
        if let Fact::Known(text) = self.element("BUILT_MODULE_LOCATION", index) {
            self.check_location(index, &text);
        }
    }

    fn check_location(&mut self, index: usize, text: &str) {
        let directive = "BUILT_MODULE_LOCATION";
        let start = format!("`{directive}[{index}]` is `{text}`, which");
        match location(text) {
            Location::Outside => self.error(
                &codes::BAD_LOCATION,
                directive,
                index,
                format!("{start} leads out of the source tree"),
                "write a directory relative to the root of the driver",
            ),
            Location::Source => self.warn(
                &codes::ODD_LOCATION,
                directive,
                index,
                format!("{start} leads out of the folder that dkms builds in"),
                "write a directory relative to the root of the driver",
            ),
            Location::Inside(folder) if text.split('/').any(|part| part == "..") => self.report(
                &codes::ODD_LOCATION,
                Severity::Note,
                directive,
                index,
                format!("{start} comes to the same as `{}`", if folder.is_empty() { "." } else { &folder }),
                "",
            ),
            Location::Inside(_) => {}
        }
    }

    /// dkms looks at how it begins, and at nothing else.
    fn check_destination(&mut self, index: usize, text: &str) {
        let directive = "DEST_MODULE_LOCATION";
        let start = format!("`{directive}[{index}]` is `{text}`,");
        let roots = ["/kernel", "/updates", "/extra"];
        if !roots.iter().any(|root| text.starts_with(root)) {
            self.error(
                &codes::BAD_DESTINATION,
                directive,
                index,
                format!("{start} not below `/kernel`, `/updates` or `/extra`"),
                "write \"/updates/dkms\"",
            );
            return;
        }
        let is_below = |path: &str| {
            roots.iter().any(|root| {
                path.strip_prefix(&root[1..]).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        };
        match super::tree_path(text) {
            None => self.warn(
                &codes::ODD_DESTINATION,
                directive,
                index,
                format!("{start} which leads out of `/lib/modules/KERNEL`"),
                "write \"/updates/dkms\"",
            ),
            Some(path) if !is_below(&path) || text.split('/').any(|part| part == "..") => self.report(
                &codes::ODD_DESTINATION,
                Severity::Note,
                directive,
                index,
                format!("{start} which is `/{path}`: dkms takes it for how it begins"),
                "write \"/updates/dkms\"",
            ),
            Some(_) => {}
        }
    }

    fn check_duplicates(&mut self, facts: &Facts) {
        let (mut built, mut installed) = (BTreeSet::new(), BTreeSet::new());
        for module in &facts.modules {
            let location = match &module.location {
                Fact::Known(text) => text.clone(),
                Fact::Absent => String::new(),
                Fact::Unknown => continue,
            };
            if let Some(name) = module.name.known()
                && !built.insert((location, name.clone()))
            {
                let extent = self.supported.since("3.1.7");
                self.refused(
                    &codes::DUPLICATE,
                    ("BUILT_MODULE_NAME", module.index),
                    extent,
                    format!("two modules are built as `{name}`; dkms 3.1.7 and later reject the file"),
                    "remove one of them",
                );
                continue;
            }
            if let Some(name) = module.installed_name.known()
                && !installed.insert(name.clone())
            {
                // one of two files takes the place of the other
                let extent = match self.supported.since("3.1.7") {
                    Extent::Nobody => Extent::Some(Vec::new()),
                    extent => extent,
                };
                self.refused(
                    &codes::DUPLICATE,
                    ("DEST_MODULE_NAME", module.index),
                    extent,
                    format!("two modules are installed as `{name}`; dkms 3.1.7 and later reject the file"),
                    "give one another DEST_MODULE_NAME",
                );
            }
        }
    }

    fn check_switches(&mut self) {
        for (name, since) in SWITCHES {
            let Fact::Known(text) = self.element(name, 0) else { continue };
            if text.eq_ignore_ascii_case("yes") {
                continue;
            }
            if text.eq_ignore_ascii_case("no") {
                if name == "AUTOINSTALL" {
                    self.check_autoinstall_no();
                }
                continue;
            }
            let extent = self.supported.since(since);
            // earlier versions take any text for yes
            let means_no = matches!(text.to_ascii_lowercase().as_str(), "n" | "0" | "false" | "off" | "none");
            let hint = if means_no {
                format!("remove the line, or write {name}=\"yes\", which is what older versions take it for")
            } else {
                format!("write {name}=\"yes\"")
            };
            self.refused(
                &codes::BAD_BOOLEAN,
                (name, 0),
                extent,
                format!("`{name}` is `{text}`; dkms {since} and later accept `yes` and `no` only"),
                &hint,
            );
            let fix = self.replacement(name, &text, &format!("{name}=\"yes\"")).filter(|_| !means_no);
            if let Some(finding) = self.diagnostics.last_mut() {
                finding.fix = fix;
            }
        }
    }

    fn check_autoinstall_no(&mut self) {
        let (severity, who) = match self.supported.before("3.1.7") {
            Extent::Everybody(who) | Extent::Some(who) => (Severity::Warning, who),
            Extent::Nobody => (Severity::Note, Vec::new()),
        };
        let message = match severity {
            Severity::Note => {
                "`AUTOINSTALL` is `no`: dkms does not build the driver for kernels that come later"
            }
            _ => "`AUTOINSTALL=\"no\"` means yes to dkms before 3.1.7",
        };
        let hint = if severity == Severity::Note { "" } else { "remove the line, which means no to all" };
        self.report(&codes::AUTOINSTALL_NO, severity, "AUTOINSTALL", 0, message.to_owned(), hint);
        if let Some(finding) = self.diagnostics.last_mut().filter(|_| !who.is_empty()) {
            finding.notes.push(format!("taken for yes by {}", who.join(", ")));
        }
    }

    /// Without it the next kernel has no module. A file that names it somewhere has said something, if only for some kernels.
    fn check_autoinstall(&mut self, facts: &Facts) {
        let may_be_set = ["K0202", "K0205", "K0210", "K0215"];
        let is_open = self
            .evaluation
            .diagnostics
            .iter()
            .any(|finding| finding.severity == Severity::Error || may_be_set.contains(&finding.code.id));
        let text = &self.conf.source.text;
        if facts.autoinstall.is_present()
            || facts.name == Fact::Absent
            || facts.modules.is_empty()
            || self.elements("AUTOINSTALL").is_some()
            || text.lines().any(|line| !line.trim_start().starts_with('#') && line.contains("AUTOINSTALL"))
            || is_open && text.lines().any(|line| matches!(line.trim_start().get(..2), Some(". " | "so")))
        {
            return;
        }
        let mut finding = Diagnostic::warning(
            &codes::NO_AUTOINSTALL,
            "there is no AUTOINSTALL: dkms does not build the driver for kernels that come later",
        )
        .hint("add the line AUTOINSTALL=\"yes\"");
        let last = text.trim_end_matches(['\r', '\n']).chars().next_back();
        if last.is_some_and(|last| last != '\\') {
            let newline = if text.ends_with('\n') { "" } else { "\n" };
            let line = format!("{newline}AUTOINSTALL=\"yes\"\n");
            finding = finding.fix(Edit::replace(&self.conf.source, text.len()..text.len(), line));
        }
        let finding = self.conf.mark(finding, "PACKAGE_NAME");
        self.diagnostics.push(finding);
    }

    fn check_rules(&mut self, facts: &Facts) {
        for name in ["MAKE", "PATCH"] {
            let Some(elements) = self.elements(name) else { continue };
            let count = elements.len();
            let lost: Vec<usize> = elements.keys().copied().filter(|index| *index >= count).collect();
            for index in lost {
                self.warn(
                    &codes::SPARSE,
                    name,
                    index,
                    format!("`{name}[{index}]` is never used: there are {count} elements, and dkms looks below {count}"),
                    "number the elements without gaps",
                );
            }
        }
        for rule in &facts.make {
            self.check_regex("MAKE_MATCH", rule.index, &rule.matches);
        }
        for patch in &facts.patches {
            self.check_regex("PATCH_MATCH", patch.index, &patch.matches);
            let Some(file) = patch.file.known() else { continue };
            if file.split('/').any(|part| part == "..") {
                let extent = match super::tree_path(&format!("patches/{file}")) {
                    Some(_) => self.supported.since("3.1.2"),
                    None => Extent::Everybody(Vec::new()),
                };
                self.refused(
                    &codes::TRAVERSAL,
                    ("PATCH", patch.index),
                    extent,
                    format!("`PATCH[{}]` is `{file}`, which leads out of `patches/`", patch.index),
                    "put the patch below `patches/`",
                );
            }
        }
        for hook in &facts.hooks {
            let Some(script) = hook.script.known() else { continue };
            if script.starts_with('/') || script.split('/').any(|part| part == "..") {
                self.warn(
                    &codes::TRAVERSAL,
                    hook.kind.directive(),
                    0,
                    format!("`{}` runs `{script}`, which is not in the driver's tree", hook.kind.directive()),
                    "name a script relative to the root of the driver",
                );
            }
        }
    }

    fn check_regex(&mut self, name: &str, index: usize, fact: &Fact<String>) {
        let Some(text) = fact.known() else { return };
        let Some(why) = refusal(text) else { return };
        let effect = match name {
            "BUILD_EXCLUSIVE_KERNEL" | "BUILD_EXCLUSIVE_ARCH" => "so dkms builds for no kernel",
            _ => "so it matches no kernel",
        };
        let shown = if index == 0 { name.to_owned() } else { format!("{name}[{index}]") };
        self.warn(
            &codes::BAD_REGEX,
            name,
            index,
            format!("bash refuses the regular expression `{text}` of `{shown}`, {effect}"),
            "try it: `[[ 6.1.0 =~ EXPRESSION ]]` in bash fails with status 2",
        );
        if let Some(finding) = self.diagnostics.last_mut() {
            finding.notes.push(why.to_owned());
        }
    }

    /// An expression that says which series there are, and does not say the next one.
    fn check_end(&mut self, fact: &Fact<String>) {
        let Some(text) = fact.known() else { return };
        let Some((major, minor)) = extended(text, false).and_then(|regex| first_left_out(&regex)) else {
            return;
        };
        self.report(
            &codes::ENDS,
            Severity::Note,
            "BUILD_EXCLUSIVE_KERNEL",
            0,
            format!("`BUILD_EXCLUSIVE_KERNEL` matches no kernel from {major}.{minor} on"),
            "write an expression that later kernels match as well, if they are meant",
        );
    }

    fn check_exclusive(&mut self, facts: &Facts) {
        self.check_regex("BUILD_EXCLUSIVE_KERNEL", 0, &facts.exclusive.kernel);
        self.check_end(&facts.exclusive.kernel);
        self.check_regex("BUILD_EXCLUSIVE_ARCH", 0, &facts.exclusive.arch);
        if let Some(text) = facts.exclusive.kernel_max.known()
            && text.split(['.', '-']).filter(|part| part.starts_with(|c: char| c.is_ascii_digit())).count()
                < 3
        {
            self.warn(
                &codes::MAX_PATCH_LEVEL,
                "BUILD_EXCLUSIVE_KERNEL_MAX",
                0,
                format!(
                    "`BUILD_EXCLUSIVE_KERNEL_MAX` is `{text}`, which excludes {text}.0 and all that follow"
                ),
                &format!("write \"{text}.99\" to include the series"),
            );
        }
        for (name, fact) in [
            ("BUILD_EXCLUSIVE_KERNEL_MIN", &facts.exclusive.kernel_min),
            ("BUILD_EXCLUSIVE_KERNEL_MAX", &facts.exclusive.kernel_max),
        ] {
            let long =
                |text: &&String| text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 3);
            if let Some(text) = fact.known().filter(long) {
                self.warn(
                    &codes::FOUR_DIGITS,
                    name,
                    0,
                    format!("`{name}` is `{text}`: numbers above 999 sort before smaller ones"),
                    "use BUILD_EXCLUSIVE_KERNEL for such kernels",
                );
            }
        }
        if facts.per_module_exclusive {
            let name = EXCLUSIVE.iter().find(|name| {
                self.elements(name).is_some_and(|elements| elements.contains_key(&0) && elements.len() > 1)
            });
            if let Some(name) = name.copied() {
                self.warn(
                    &codes::GLOBAL_ELEMENT,
                    name,
                    0,
                    format!("`{name}[0]` also decides about the whole package, not only about module 0"),
                    "set elements above 0 only, or one rule for all",
                );
            }
        }
    }

    /// Newlines cannot survive the second sourcing; other control characters can.
    fn check_controls(&mut self) {
        let evaluation = self.evaluation;
        for (name, elements) in &evaluation.directives {
            for (index, value) in elements {
                let Value::Known(text) = value else { continue };
                let bad = text.chars().find(|c| c.is_control() && *c != '\t');
                if let Some(c) = bad {
                    let character = if c == '\r' { "a carriage return".to_owned() } else { format!("{c:?}") };
                    self.error(
                        &codes::CONTROL,
                        name,
                        *index,
                        format!("the value of `{name}` has {character} in it"),
                        "remove the character",
                    );
                }
            }
        }
    }

    fn check_dead(&mut self) {
        let evaluation = self.evaluation;
        for Dead { name, what, obeyed } in DEAD {
            let stranger = evaluation.strangers.iter().any(|(stranger, _)| stranger == name);
            let value = self.element(name, 0);
            // `CLEAN=true` and empty values say the same as nothing; dkms does not warn about them.
            let harmless = match &value {
                Fact::Absent => true,
                Fact::Known(text) => {
                    name == "CLEAN" && matches!(text.as_str(), "true" | "/bin/true" | "/usr/bin/true")
                }
                Fact::Unknown => false,
            };
            let set = evaluation.directives.get(name).is_some_and(|elements| elements.len() > 1) || !harmless;
            if !set && !stranger {
                continue;
            }
            self.report(&codes::DEAD, Severity::Note, name, 0, format!("`{name}` {what}"), "");
            let is_no = name == "REMAKE_INITRD"
                && matches!(&value, Fact::Known(text) if !text.starts_with(['y', 'Y']));
            let unused = obeyed.is_some_and(|(first, end)| {
                self.supported.is_extinct(|dkms| {
                    compare_versions(dkms, first).is_ge() && compare_versions(dkms, end).is_lt()
                })
            });
            let who = obeyed.map_or_else(Vec::new, |(_, end)| match self.supported.before(end) {
                Extent::Everybody(who) | Extent::Some(who) => who,
                Extent::Nobody => Vec::new(),
            });
            let Some(finding) = self.diagnostics.last_mut() else { continue };
            if unused || is_no {
                finding.hint = Some("remove the line".to_owned());
                finding.fix = finding.place.as_ref().and_then(without_line);
            } else if !who.is_empty() && name != "SIGN_TOOL" {
                finding.notes.push(format!("still obeyed by {}", who.join(", ")));
            }
        }
    }

    fn check_typos(&mut self) {
        let evaluation = self.evaluation;
        for (name, place) in &evaluation.strangers {
            if is_used(&self.conf.text, name) || DEAD.iter().any(|dead| dead.name == name) {
                continue;
            }
            let foreign = FOREIGN.iter().find(|(foreign, _)| foreign == name);
            let hint = match (foreign, nearest(name)) {
                (Some((_, what)), _) => (*what).to_owned(),
                (None, Some(known)) => format!("did you mean `{known}`?"),
                (None, None) => match FAMILIES.iter().find(|family| name.starts_with(**family)) {
                    Some(family) => {
                        format!("the directives that begin with `{family}` are {}", family_of(family))
                    }
                    None => continue,
                },
            };
            let mut diagnostic = Diagnostic::warning(
                &codes::TYPO,
                format!("`{name}` is not a directive of dkms.conf: dkms ignores it"),
            )
            .hint(hint);
            if let Some(place) = place {
                diagnostic = diagnostic.at(self.conf.place(place.clone()));
            }
            self.diagnostics.push(diagnostic);
        }
    }
}

/// The series of the kernel until now and a few years on: the last minor number of each major one, where it is known.
const SERIES: [(u32, u32); 7] = [(3, 19), (4, 20), (5, 19), (6, 19), (7, 19), (8, 19), (9, 19)];

/// The series behind the last one that an expression matches; nothing where it matches none, or has no end.
fn first_left_out(regex: &regex::Regex) -> Option<(u32, u32)> {
    let all: Vec<_> =
        SERIES.iter().flat_map(|(major, last)| (0..=*last).map(move |minor| (*major, minor))).collect();
    let matches = |(major, minor): &(u32, u32)| {
        ["", "-1-generic", "-100.fc40.x86_64"]
            .iter()
            .any(|rest| regex.is_match(&format!("{major}.{minor}.0{rest}")))
    };
    let last = all.iter().rposition(matches)?;
    all.get(last + 1).copied()
}

/// Why a text cannot be the name or version of a driver.
fn bad_identity(directive: &str, text: &str) -> Option<String> {
    let of_versions = |c: &char| "~:^".contains(*c);
    let is_name = directive == "PACKAGE_NAME";
    bad_path_part(text).or_else(|| match text.chars().next()? {
        first if first.is_ascii_alphanumeric() || is_name && first == '_' => {
            text.chars().find(of_versions).filter(|_| is_name).map(|c| format!("the character `{c}`"))
        }
        first => Some(format!("a `{first}` at its start")),
    })
}

/// Why a text cannot be a part of a path, an argument and a package name.
fn bad_path_part(text: &str) -> Option<String> {
    if text.contains("..") {
        return Some("`..`".to_owned());
    }
    if text.starts_with('-') {
        return Some("a `-` at its start".to_owned());
    }
    let bad = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "._+-~:^".contains(*c)))?;
    Some(match bad {
        ' ' => "a blank".to_owned(),
        c if c.is_control() => format!("the control character {c:?}"),
        c => format!("the character `{c}`"),
    })
}
