//! Findings: a stable code, a place in a file, and a hint that can be acted on.
//!
//! Renders them as text and never prints. Depends on nothing of ours, so every layer may report one.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing has to be done.
    Note,
    /// Works, but will hurt somebody: a user, a release, a later change.
    Warning,
    /// No package can be written.
    Error,
}

/// The stable identity of a kind of finding, with the text that `kpkg explain` prints.
///
/// Each module owns its codes as constants and lists them in a `CODES` table.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `K` and four digits; never reused for another meaning.
    pub id: &'static str,
    /// One line, lower case, no final period.
    pub title: &'static str,
    /// What it means, why it matters, what to do. Plain text, lines of at most 80 characters.
    pub explanation: &'static str,
}

/// A file's text together with the name it is shown under.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceText {
    /// The path as the user knows it.
    pub path: PathBuf,
    /// The whole text; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Whether a terminal obeys a character instead of showing it, or changes the order of what is read.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A range of bytes in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub source: Arc<SourceText>,
    /// Byte offsets into [`SourceText::text`]; may be empty, never out of range.
    pub span: Range<usize>,
}

impl Place {
    /// A place in `source`; a span that does not fit is cut to the text.
    #[must_use]
    pub fn new(source: &Arc<SourceText>, span: Range<usize>) -> Self {
        let end = source.text.len();
        let mut start = span.start.min(end);
        let mut stop = span.end.clamp(start, end);
        while !source.text.is_char_boundary(start) {
            start -= 1;
        }
        while !source.text.is_char_boundary(stop) {
            stop += 1;
        }
        Self { source: Arc::clone(source), span: start..stop }
    }

    /// Line and column, both counted from 1; the column counts characters.
    #[must_use]
    pub fn line_column(&self) -> (usize, usize) {
        let before = &self.source.text[..self.span.start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }
}

/// A change that makes a finding go away and needs no thought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Other text in the place of a range.
    Replace { place: Place, text: String },
    /// A file becomes executable.
    MakeExecutable(PathBuf),
}

impl Edit {
    /// Other text in the place of a range of bytes.
    #[must_use]
    pub fn replace(source: &Arc<SourceText>, span: Range<usize>, text: impl Into<String>) -> Self {
        Self::Replace { place: Place::new(source, span), text: text.into() }
    }
}

/// One thing that there is to say about a driver or a package, with its code, place and hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of finding this is.
    pub code: &'static Code,
    /// How much it matters here.
    pub severity: Severity,
    /// What is the matter: lower case, no final period, backticks around literals.
    pub message: String,
    /// Where it is, when it is in a file that was read.
    pub place: Option<Place>,
    /// Text beside the caret.
    pub label: Option<String>,
    /// Further facts, one a line.
    pub notes: Vec<String>,
    /// An edit or a command that makes it go away.
    pub hint: Option<String>,
    /// The edit that `kpkg check --fix` makes.
    pub fix: Option<Edit>,
    /// The text that it is about, for whoever knows where that stands.
    pub about: Option<String>,
}

impl Diagnostic {
    /// A finding with a message and nothing else yet.
    pub fn new(code: &'static Code, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            message: message.into(),
            place: None,
            label: None,
            notes: Vec::new(),
            hint: None,
            fix: None,
            about: None,
        }
    }

    /// An error; see [`Diagnostic::new`].
    pub fn error(code: &'static Code, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message)
    }

    /// A warning; see [`Diagnostic::new`].
    pub fn warning(code: &'static Code, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message)
    }

    /// A note; see [`Diagnostic::new`].
    pub fn note(code: &'static Code, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Note, message)
    }

    /// With the place that it is about.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds the text beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds a further fact.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the text that it is about.
    #[must_use]
    pub fn about(mut self, text: impl Into<String>) -> Self {
        self.about = Some(text.into());
        self
    }

    /// With the edit that `kpkg check --fix` makes.
    #[must_use]
    pub fn fix(mut self, edit: Edit) -> Self {
        self.fix = Some(edit);
        self
    }

    /// The finding as text for a terminal, with the line it is about and a caret.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let title = level.primary_title(&self.message).id(self.code.id);
        let path;
        let mut group = match &self.place {
            Some(place) => {
                path = place.source.path.display().to_string();
                let mut annotation = AnnotationKind::Primary.span(place.span.clone());
                if let Some(label) = &self.label {
                    annotation = annotation.label(label);
                }
                title.element(Snippet::source(&place.source.text).path(&path).annotation(annotation))
            }
            None => Group::with_title(title),
        };
        for note in &self.notes {
            group = group.element(Level::NOTE.message(note));
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(hint));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

/// The short form for logs and tests: `K0203 error: file:3:17: message`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        write!(f, "{} {severity}: ", self.code.id)?;
        if let Some(place) = &self.place {
            let (line, column) = place.line_column();
            write!(f, "{}:{line}:{column}: ", place.source.path.display())?;
        }
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: Code = Code { id: "K0000", title: "a title", explanation: "a text" };

    #[test]
    fn a_place_is_cut_to_characters_of_the_text() {
        let source = Arc::new(SourceText { path: "dkms.conf".into(), text: "a\nbé".into() });
        let place = Place::new(&source, 4..99);
        assert_eq!(place.span, 3..5);
        assert_eq!(place.line_column(), (2, 2));
    }

    #[test]
    fn rendering_shows_code_place_caret_note_and_hint() {
        let source = Arc::new(SourceText { path: "dkms.conf".into(), text: "A=1\nB=x\n".into() });
        let text = Diagnostic::warning(&CODE, "`B` is odd")
            .at(Place::new(&source, 6..7))
            .label("here")
            .with_note("more")
            .hint("write B=1")
            .render(false);
        for part in
            ["warning[K0000]: `B` is odd", "dkms.conf:2:3", "B=x", "^ here", "note: more", "help: write B=1"]
        {
            assert!(text.contains(part), "{part} not in\n{text}");
        }
    }
}
