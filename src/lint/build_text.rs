//! What a build runs, as rules see it: MAKE, recipes, `$(shell …)` and scripts, each read as shell, with its place.

use std::sync::Arc;

use super::Tree;
use super::calls;
use super::shell::{self, Command};
use crate::base::diagnostic::{Code, Diagnostic, Place, Severity, SourceText};
use crate::driver::layout::Run;

/// A text that a shell runs.
pub(super) struct Piece {
    /// The shell's text.
    pub(super) text: String,
    pub(super) commands: Vec<Command>,
    pub(super) from: From,
}

/// Who has a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// dkms.conf.
    Make,
    /// A line of a Makefile.
    Makefile { path: String, line: usize },
    /// A script, with who runs it.
    Script { path: String, run: Run },
}

impl From {
    /// As messages call it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Make => "MAKE".to_owned(),
            Self::Makefile { path, .. } => format!("`{path}`"),
            Self::Script { path, run } => format!("`{path}`, which {} runs,", shown_by(&run.by)),
        }
    }
}

/// Somebody who runs something: a directive or a file.
pub(super) fn shown_by(by: &str) -> String {
    let is_directive = by.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    if is_directive { by.to_owned() } else { format!("`{by}`") }
}

impl Piece {
    fn new(text: &str, from: From) -> Self {
        Self { text: text.to_owned(), commands: shell::read(text).commands, from }
    }

    /// The place of a command.
    pub(super) fn place(&self, tree: &Tree<'_>, command: &Command) -> Option<Place> {
        match &self.from {
            From::Make => tree.driver.conf.place_of("MAKE"),
            From::Makefile { path, line } => tree.place(path, *line),
            From::Script { path, .. } => Some(Place::new(&tree.source(path)?, command.span.clone())),
        }
    }

    /// A command as messages show it.
    pub(super) fn shown(&self, command: &Command) -> String {
        shell::shown(self.text.get(command.span.clone()).unwrap_or_default())
            .replace(['\u{E010}', '\u{E011}'], "")
            .replace("@BUILD@", ".")
    }

    /// The text of the command's line, with what other commands are in it.
    pub(super) fn line(&self, command: &Command) -> &str {
        let (before, after) = (self.text.get(..command.span.start), self.text.get(command.span.end..));
        let from = before.and_then(|text| text.rfind('\n')).map_or(0, |at| at + 1);
        let to = after.and_then(|text| text.find('\n')).map_or(self.text.len(), |at| command.span.end + at);
        self.text.get(from..to).unwrap_or_default()
    }

    /// The texts of the conditions that a command hangs on.
    pub(super) fn conditions(&self, command: &Command) -> impl Iterator<Item = &str> {
        command.conditions.iter().filter_map(|span| self.text.get(span.clone()))
    }
}

/// Everything that a build runs and that is known.
pub(super) fn pieces(tree: &Tree<'_>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for command in tree.facts.make.iter().filter_map(|rule| rule.command.known()) {
        pieces.push(Piece::new(command, From::Make));
    }
    for line in &tree.layout.commands {
        let text = line.text.trim_start_matches(['@', '-', '+', ' ', '\t']);
        pieces.push(Piece::new(text, From::Makefile { path: line.path.clone(), line: line.line }));
    }
    for (path, run) in &tree.layout.scripts {
        let Some(source) = tree.source(path) else { continue };
        pieces.push(Piece::new(&source.text, From::Script { path: path.clone(), run: run.clone() }));
    }
    pieces
}

/// The program of a command and its arguments, as far as each is known.
pub(super) fn program(command: &Command) -> Option<(&str, Vec<&str>)> {
    let arguments = calls::arguments(command).iter().map(|word| word.value().unwrap_or("$"));
    Some((calls::program_name(command)?, arguments.collect()))
}

/// Findings of one rule, one for each file: the worst, with the lines of the others.
pub(super) struct Findings {
    code: &'static Code,
    found: Vec<Diagnostic>,
    /// How many may still come.
    left: usize,
}

impl Findings {
    pub(super) fn new(code: &'static Code) -> Self {
        Self { code, found: Vec::new(), left: FINDINGS }
    }

    pub(super) fn add(
        &mut self,
        severity: Severity,
        message: String,
        place: impl FnOnce() -> Option<Place>,
        hint: &str,
    ) {
        let Some(left) = self.left.checked_sub(1) else { return };
        self.left = left;
        let place = place();
        let finding = Diagnostic { place, ..Diagnostic::new(self.code, severity, message).hint(hint) };
        let file = |finding: &Diagnostic| finding.place.as_ref().map(|place| Arc::clone(&place.source));
        let same = |other: &Diagnostic| match (file(other), file(&finding)) {
            (Some(one), Some(other)) => one.path == other.path,
            (None, None) => true,
            _ => false,
        };
        let line = |finding: &Diagnostic| finding.place.as_ref().map(|place| place.line_column().0);
        match self.found.iter_mut().find(|other| same(other)) {
            Some(other) if other.severity >= severity => {
                let note = line(&finding).map(|line| format!("the same in line {line}"));
                let is_new = line(other) != line(&finding) && other.notes.len() < LINES;
                if let Some(note) = note.filter(|note| is_new && !other.notes.contains(note)) {
                    other.notes.push(note);
                }
            }
            Some(other) => *other = finding,
            None => self.found.push(finding),
        }
    }

    pub(super) fn finish(self) -> Vec<Diagnostic> {
        self.found
    }
}

/// How many findings one rule looks at.
const FINDINGS: usize = 200;
/// How many further lines a finding names.
const LINES: usize = 5;

/// The place of a line.
pub(super) fn line_of(source: &Arc<SourceText>, line: usize) -> Place {
    let mut at = 0;
    for (index, text) in source.text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            let from = at + (text.len() - text.trim_start().len());
            return Place::new(source, from..(at + text.trim_end().len()).max(from));
        }
        at += text.len();
    }
    Place::new(source, 0..0)
}
