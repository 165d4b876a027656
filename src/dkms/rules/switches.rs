//! Switches that are yes or no, AUTOINSTALL above all.
//!
//! Works on facts and on what dkms sees; must not evaluate shell.

use super::super::supported::Extent;
use super::super::{Fact, Facts, codes};
use super::Checker;
use crate::base::diagnostic::{Diagnostic, Edit, Severity};

impl Checker<'_> {
    pub(super) fn check_switches(&mut self) {
        for (name, since) in SWITCHES {
            let Fact::Known(text) = self.seen.element(name, 0) else { continue };
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

    pub(super) fn check_autoinstall_no(&mut self) {
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
    pub(super) fn check_autoinstall(&mut self, facts: &Facts) {
        let may_be_set = ["K0202", "K0205", "K0210", "K0215"];
        let is_open = self
            .seen
            .evaluation
            .diagnostics
            .iter()
            .any(|finding| finding.severity == Severity::Error || may_be_set.contains(&finding.code.id));
        let text = &self.seen.conf.source.text;
        if facts.autoinstall.is_present()
            || facts.name == Fact::Absent
            || facts.modules.is_empty()
            || self.seen.elements("AUTOINSTALL").is_some()
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
            finding = finding.fix(Edit::replace(&self.seen.conf.source, text.len()..text.len(), line));
        }
        let finding = self.seen.conf.mark(finding, "PACKAGE_NAME");
        self.diagnostics.push(finding);
    }

    /// The edit that replaces `NAME=VALUE`, where that stands in the file and nothing is computed.
    pub(super) fn replacement(&self, name: &str, value: &str, text: &str) -> Option<Edit> {
        let place = self.seen.conf.place(self.seen.span(name, 0)?);
        is_literal(&place.source.text[place.span.clone()], name, value)
            .then(|| Edit::replace(&place.source, place.span, text))
    }
}

/// Switches, and the first version that takes nothing but `yes` and `no` for them.
const SWITCHES: [(&str, &str); 3] =
    [("AUTOINSTALL", "3.1.7"), ("NO_WEAK_MODULES", "3.2.0"), ("BUILD_DEPENDS_REBUILD", "3.2.0")];

/// What stands between quotes or alone behind `NAME=`, where that is all.
fn is_literal(text: &str, name: &str, value: &str) -> bool {
    let quoted = [value.to_owned(), format!("\"{value}\""), format!("'{value}'")];
    let rest = text.strip_prefix(name).map(|rest| rest.strip_prefix("[0]").unwrap_or(rest));
    rest.and_then(|rest| rest.strip_prefix('=')).is_some_and(|rest| quoted.iter().any(|text| text == rest))
}
