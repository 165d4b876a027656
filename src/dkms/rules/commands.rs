//! MAKE, PATCH and hooks: elements that are never used, and paths that lead out.
//!
//! Works on facts and on what dkms sees; must not evaluate shell.

use super::super::supported::Extent;
use super::super::{Facts, codes, tree_path};
use super::Checker;

impl Checker<'_> {
    pub(super) fn check_rules(&mut self, facts: &Facts) {
        for name in ["MAKE", "PATCH"] {
            let Some(elements) = self.seen.elements(name) else { continue };
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
                let extent = match tree_path(&format!("patches/{file}")) {
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
}
