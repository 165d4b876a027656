//! Errors that carry the path and what to do next; the kind decides the exit code.
//!
//! Never prints and never decides what a caller does with an error.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::base::diagnostic::Diagnostic;

/// What kind of trouble an error is; design of the command line: one exit code a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The work failed: I/O, disk full, a file that changed. Exit code 1.
    Failed,
    /// Usage, configuration or unusable input. Exit code 2.
    Usage,
    /// The environment lacks something, which the error names. Exit code 5.
    Lacking,
    /// A signal asked to stop. Exit code 130 or 143, which the caller knows.
    Interrupted,
}

/// An error of the library.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    path: Option<PathBuf>,
    hint: Option<String>,
    diagnostics: Vec<Diagnostic>,
    source: Option<io::Error>,
}

/// The result of everything in this library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), path: None, hint: None, diagnostics: Vec::new(), source: None }
    }

    /// Unusable input or configuration.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Work that failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    /// Something that has to be installed or allowed first.
    pub fn lacking(message: impl Into<String>) -> Self {
        Self::new(Kind::Lacking, message)
    }

    /// Asked to stop.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    /// An I/O error at a path; `action` is what was tried, such as `cannot read`.
    pub fn io(action: &str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { path: Some(path.into()), source: Some(source), ..Self::new(Kind::Failed, action) }
    }

    /// Findings that leave nothing to work with.
    #[must_use]
    pub fn diagnostics(diagnostics: Vec<Diagnostic>) -> Self {
        Self { diagnostics, ..Self::new(Kind::Usage, "the driver cannot be packaged as it is") }
    }

    /// Makes it unusable input instead of failed work.
    #[must_use]
    pub fn as_usage(mut self) -> Self {
        self.kind = Kind::Usage;
        self
    }

    /// With the path that it is about, in the message.
    #[must_use]
    pub fn at(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with its findings as `change` makes them.
    #[must_use]
    pub fn map_findings(mut self, change: impl Fn(Diagnostic) -> Diagnostic) -> Self {
        self.diagnostics = self.diagnostics.into_iter().map(change).collect();
        self
    }

    /// The same without findings that are told already, as long as others are left.
    #[must_use]
    pub fn without_findings(mut self, told: &[Diagnostic]) -> Self {
        let rest: Vec<_> =
            self.diagnostics.iter().filter(|finding| !told.contains(finding)).cloned().collect();
        if !rest.is_empty() {
            self.diagnostics = rest;
        }
        self
    }

    /// What the program's exit code follows from.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The file or folder that it is about.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What to do next.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The findings behind it; empty when it is an error of another sort.
    #[must_use]
    pub fn findings(&self) -> &[Diagnostic] {
        &self.diagnostics
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(path) = &self.path {
            write!(f, " `{}`", path.display())?;
        }
        if let Some(source) = &self.source {
            write!(f, ": {}", io_reason(source))?;
        }
        Ok(())
    }
}

/// The nearest of the keys that serde's message lists, or of `others`: ``unknown field `x`, expected one of `a`, `b` ``.
pub(crate) fn nearest_in(message: &str, others: &[&str]) -> Option<String> {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let wrong = quoted.next()?;
    // one of the others may be known, and not there
    let known: Vec<_> = quoted.chain(others.iter().copied()).filter(|key| *key != wrong).collect();
    if message.contains("expected") { nearest(wrong, &known) } else { None }
}

/// The candidate that differs least, when it differs little.
pub(crate) fn nearest(wrong: &str, known: &[impl AsRef<str>]) -> Option<String> {
    let known = known.iter().map(AsRef::as_ref);
    let (distance, best) = known.map(|key: &str| (strsim::damerau_levenshtein(key, wrong), key)).min()?;
    (distance <= 1 + wrong.len() / 3).then(|| best.to_owned())
}

/// The reason without Rust's `(os error N)`, in the style of our messages.
fn io_reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|error| error as _)
    }
}
