//! The rules by which a dkms.conf is invalid or will hurt: what every one of them needs, and their order.
//!
//! Must not evaluate shell; works on facts and on what dkms sees after its second sourcing.

mod commands;
mod identity;
mod kernels;
mod modules;
mod names;
mod switches;

use super::codes;
use super::derive::Seen;
use super::supported::{Extent, Supported};
use super::{Conf, Evaluation, Facts, Value};
use crate::base::diagnostic::{Code, Diagnostic, Place, Severity};

/// Derives the facts and checks them for every dkms; see [`facts_for`].
#[must_use]
pub fn facts(conf: &Conf, evaluation: &Evaluation) -> (Facts, Vec<Diagnostic>) {
    facts_for(conf, evaluation, &Supported::default())
}

/// Derives the facts and checks them: what every dkms of `supported` rejects is an error, what some reject or what hurts a warning.
#[must_use]
pub fn facts_for(conf: &Conf, evaluation: &Evaluation, supported: &Supported) -> (Facts, Vec<Diagnostic>) {
    let seen = Seen { conf, evaluation };
    let facts = seen.derive();
    let mut checker = Checker { seen, supported, diagnostics: Vec::new() };
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

struct Checker<'a> {
    seen: Seen<'a>,
    supported: &'a Supported,
    diagnostics: Vec<Diagnostic>,
}

impl Checker<'_> {
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
        if let Some(span) = self.seen.span(name, index) {
            diagnostic = diagnostic.at(self.seen.conf.place(span));
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

    fn check(&mut self, facts: &Facts) {
        if let Some(finding) = web_page(self.seen.conf) {
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

    /// Newlines cannot survive the second sourcing; other control characters can.
    fn check_controls(&mut self) {
        let evaluation = self.seen.evaluation;
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
