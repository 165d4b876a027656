//! How the facts follow from the directives, as `read_conf` of dkms derives them.
//!
//! Must not evaluate shell, and not judge; works on what dkms sees after its second sourcing.

use std::collections::BTreeMap;
use std::ops::Range;

use super::directives::last_assignment;
use super::{
    Conf, Directive, Evaluation, Exclusive, Fact, Facts, Hook, HookKind, MakeRule, ModuleFacts, PatchFacts,
    Requirement, Value,
};

/// The four arrays that count modules.
pub(super) const MODULE_ARRAYS: [&str; 4] =
    ["BUILT_MODULE_NAME", "BUILT_MODULE_LOCATION", "DEST_MODULE_NAME", "DEST_MODULE_LOCATION"];

pub(super) const EXCLUSIVE: [&str; 5] = [
    "BUILD_EXCLUSIVE_KERNEL",
    "BUILD_EXCLUSIVE_ARCH",
    "BUILD_EXCLUSIVE_KERNEL_MIN",
    "BUILD_EXCLUSIVE_KERNEL_MAX",
    "BUILD_EXCLUSIVE_CONFIG",
];

/// Where `BUILT_MODULE_LOCATION` leads from the folder of the build.
pub(super) enum Location {
    /// Into it: this folder below it.
    Inside(String),
    /// To the source beside it, where a command may build as well.
    Source,
    /// Anywhere else.
    Outside,
}

pub(super) fn location(text: &str) -> Location {
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

/// What dkms sees of a file.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) conf: &'a Conf,
    pub(super) evaluation: &'a Evaluation,
}

impl Seen<'_> {
    pub(super) fn elements(&self, name: &str) -> Option<&Directive> {
        self.evaluation.directives.get(name)
    }

    /// An element; empty counts as absent, as `[[ $x ]]` does in dkms.
    pub(super) fn element(&self, name: &str, index: usize) -> Fact<String> {
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

    pub(super) fn derive(&self) -> Facts {
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

    pub(super) fn counted_modules(&self) -> usize {
        let counted = MODULE_ARRAYS.iter().filter_map(|name| self.elements(name)).map(BTreeMap::len).max();
        counted.unwrap_or(0)
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

    /// The place of an element if it can be told, else of the directive.
    pub(super) fn span(&self, name: &str, index: usize) -> Option<Range<usize>> {
        let element = format!("{name}[{index}]");
        last_assignment(&self.conf.text, &element)
            .or_else(|| self.evaluation.places.get(name).cloned())
            .or_else(|| last_assignment(&self.conf.text, name))
    }

    /// The directive that brings a module into being, for a finding about what the module lacks.
    pub(super) fn array_with(&self, index: usize, otherwise: &'static str) -> &'static str {
        MODULE_ARRAYS
            .into_iter()
            .find(|name| self.elements(name).is_some_and(|elements| elements.contains_key(&index)))
            .unwrap_or(otherwise)
    }
}
