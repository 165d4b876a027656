//! Names and versions, and the markers of templates that nobody replaced.
//!
//! Works on facts and on what dkms sees; must not evaluate shell.

use super::super::derive::MODULE_ARRAYS;
use super::super::{Fact, Facts, Value, codes, marker};
use super::{Checker, bad_path_part};
use crate::base::diagnostic::Diagnostic;

impl Checker<'_> {
    pub(super) fn check_identity(&mut self, facts: &Facts) {
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
    pub(super) fn check_markers(&mut self) {
        let conf = self.seen.conf;
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
        let evaluation = self.seen.evaluation;
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
