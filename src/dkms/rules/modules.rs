//! The modules: their names, where they are built and where they go.
//!
//! Works on facts and on what dkms sees; must not evaluate shell.

use std::collections::BTreeSet;

use super::super::derive::{Location, location};
use super::super::supported::Extent;
use super::super::{Fact, Facts, ModuleFacts, codes, marker, tree_path};
use super::{Checker, bad_path_part};
use crate::base::diagnostic::Severity;

impl Checker<'_> {
    pub(super) fn check_modules(&mut self, facts: &Facts) {
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

    pub(super) fn check_module(&mut self, module: &ModuleFacts) {
        let index = module.index;
        // dkms before 3.2.2 does not look behind the number of elements
        let lacking = if index < self.seen.counted_modules() {
            Extent::Everybody(Vec::new())
        } else {
            self.supported.since("3.2.2")
        };
        if module.name == Fact::Absent {
            self.refused(
                &codes::NO_MODULE_NAME,
                (self.seen.array_with(index, "BUILT_MODULE_NAME"), index),
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
                let own = self.seen.elements(directive).is_some_and(|elements| elements.contains_key(&index));
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
                (self.seen.array_with(index, "DEST_MODULE_LOCATION"), index),
                lacking,
                format!("module {index} has no DEST_MODULE_LOCATION[{index}]"),
                &format!("write DEST_MODULE_LOCATION[{index}]=\"/updates/dkms\""),
            ),
            Fact::Known(text) => self.check_destination(index, text),
            Fact::Unknown => {}
        }
        if let Fact::Known(text) = self.seen.element("BUILT_MODULE_LOCATION", index) {
            self.check_location(index, &text);
        }
    }

    pub(super) fn check_location(&mut self, index: usize, text: &str) {
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
    pub(super) fn check_destination(&mut self, index: usize, text: &str) {
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
        match tree_path(text) {
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

    pub(super) fn check_duplicates(&mut self, facts: &Facts) {
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
}
