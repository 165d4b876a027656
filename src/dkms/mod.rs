//! Reads `dkms.conf` files: evaluation per kernel as dkms does it, in the bash of `shell`, and the typed facts that follow.
//!
//! Must not run commands, open files or look at the environment: everything comes in through [`Inputs`].

mod codes;
mod decision;
mod derive;
mod directives;
mod evaluate;
mod facts;
mod host;
mod marker;
mod plain;
mod rules;
mod shell;
mod supported;
#[cfg(test)]
mod tests;
mod versions;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

pub use codes::CODES;
pub use decision::{Decision, Verdict};
#[cfg(test)]
pub(crate) use evaluate::PARSED;
pub(crate) use evaluate::{carried_over, export, identity, settings};
pub use evaluate::{catches_panics, evaluate};
pub use facts::{Exclusive, Fact, Facts, Hook, HookKind, MakeRule, ModuleFacts, PatchFacts, Requirement};
pub(crate) use host::script_path;
pub(crate) use rules::web_page;
pub use rules::{facts, facts_for, is_web_page};
#[cfg(test)]
pub(crate) use shell::Files;
pub(crate) use shell::compare_versions;
pub(crate) use shell::single_quote;
pub use shell::{ReadTree, tree_path};
pub use supported::{Release, Supported};

use crate::base::diagnostic::{Diagnostic, Edit, Place, Severity, SourceText};

/// The most that a `dkms.conf` may weigh, in bytes.
const CONF: usize = 1 << 20;

/// What the evaluation is given; nothing else can be seen by the file. `None` means unknown.
///
/// With kernel, architecture, headers and os-release the machine counts as described: what software outside a base system would
/// bring, such as `/usr/src/OTHER` or `/etc/OTHER.conf`, is then taken as absent, and a note says so at the place.
#[derive(Default, Clone)]
pub struct Inputs<'a> {
    /// The kernel release to build for.
    pub kernel: Option<String>,
    /// What `uname -r` prints, where that is not the kernel to build for.
    pub running: Option<String>,
    /// The architecture as `uname -m` prints it.
    pub arch: Option<String>,
    /// What `nproc` prints.
    pub processors: Option<u32>,
    /// What `getconf _NPROCESSORS_ONLN` prints: unlike `nproc`, it counts those too that a process may not use.
    pub online_processors: Option<u32>,
    /// The text of an os-release file.
    pub os_release: Option<String>,
    /// The version of dkms; `None` means a current one.
    pub dkms_version: Option<String>,
    /// The driver's files.
    pub source_tree: Option<&'a dyn ReadTree>,
    /// What the file sees as `/lib/modules/KERNEL/build`.
    pub headers: Option<&'a dyn ReadTree>,
    /// Name and version where they are known already, as after `dkms add`.
    pub module: Option<(String, String)>,
    /// The directory of `dkms.conf` relative to the root of `source_tree`; empty for the root.
    pub conf_dir: Option<String>,
}

/// The release of [`Inputs::of_some_kernel`].
pub const SOME_KERNEL: &str = "6.1.0-0";

impl Inputs<'_> {
    /// Some kernel, for what is the same for every one: where values point to.
    #[must_use]
    pub fn of_some_kernel() -> Self {
        Self { kernel: Some(SOME_KERNEL.to_owned()), arch: Some("x86_64".to_owned()), ..Self::default() }
    }

    /// Whether the machine is described so far that software nobody mentioned may be taken as absent.
    fn is_described(&self) -> bool {
        self.kernel.is_some() && self.arch.is_some() && self.headers.is_some() && self.os_release.is_some()
    }
}

/// A parsed file; a copy shares everything.
#[derive(Debug, Clone)]
pub struct Conf {
    source: Arc<SourceText>,
    /// What is evaluated: without NUL bytes and without the characters that stand for the unknown.
    text: Arc<str>,
    script: Arc<shell::Script>,
}

/// A dkms.conf that was read, and parsed once for all who look at it.
#[derive(Debug, Clone)]
pub struct ConfFile {
    /// Where it was read.
    pub path: PathBuf,
    /// What is in it.
    pub bytes: Arc<[u8]>,
    /// The same, parsed.
    pub conf: Conf,
    /// What is wrong with its bytes or its syntax.
    pub findings: Vec<Diagnostic>,
}

impl ConfFile {
    /// Parses what is in a file.
    #[must_use]
    pub fn new(path: PathBuf, bytes: Vec<u8>) -> Self {
        let (conf, findings) = Conf::parse(&path, &bytes);
        Self { path, bytes: bytes.into(), conf, findings }
    }

    /// The same under another name: what the user calls it.
    #[must_use]
    pub fn shown_as(&self, shown: &Path) -> Self {
        let conf = self.conf.shown_as(shown);
        let place = |place: &Place| Place::new(&conf.source, place.span.clone());
        let edit = |edit: &Edit| match edit {
            Edit::Replace { place: at, text } => Edit::Replace { place: place(at), text: text.clone() },
            other @ Edit::MakeExecutable(_) => other.clone(),
        };
        let named = |finding: &Diagnostic| Diagnostic {
            place: finding.place.as_ref().map(place),
            fix: finding.fix.as_ref().map(edit),
            ..finding.clone()
        };
        let findings = self.findings.iter().map(named).collect();
        Self { conf, findings, ..self.clone() }
    }
}

impl Conf {
    /// Parses a file; what is wrong with its bytes or its syntax comes back beside it.
    pub fn parse(path: &Path, bytes: &[u8]) -> (Conf, Vec<Diagnostic>) {
        evaluate::parse(path, bytes)
    }

    /// The same under another name.
    #[must_use]
    pub fn shown_as(&self, shown: &Path) -> Self {
        let source = SourceText { path: shown.to_owned(), text: self.source.text.clone() };
        Self { source: Arc::new(source), ..self.clone() }
    }

    /// The file's text.
    #[must_use]
    pub fn source(&self) -> &Arc<SourceText> {
        &self.source
    }

    /// The place of the last assignment to a directive.
    #[must_use]
    pub fn place_of(&self, directive: &str) -> Option<Place> {
        directives::last_assignment(&self.text, directive).map(|span| self.place(span))
    }

    /// A finding at the last assignment to a directive, where there is one.
    #[must_use]
    pub fn mark(&self, finding: Diagnostic, directive: &str) -> Diagnostic {
        match self.place_of(directive) {
            Some(place) => finding.at(place),
            None => finding,
        }
    }

    /// The edit that quotes a bare `make` in MAKE, so that dkms leaves the command as it is.
    #[must_use]
    pub fn quoted_make(&self) -> Option<Edit> {
        let place = self.place_of("MAKE")?;
        let words = &place.source.text[place.span.clone()];
        let at = words.find("=\"make ").or_else(|| words.find("=\"make\""))?;
        let from = place.span.start + at + 2;
        Some(Edit::replace(&place.source, from..from + 4, "'make'"))
    }

    /// A place by byte offsets of the evaluated text.
    pub(crate) fn place(&self, span: std::ops::Range<usize>) -> Place {
        // NUL bytes are the only ones that the shown text has and the evaluated text has not.
        if self.text.len() == self.source.text.len() {
            return Place::new(&self.source, span);
        }
        let shift = |offset: usize| {
            let mut seen = 0;
            for (at, b) in self.source.text.bytes().enumerate() {
                if seen == offset && b != 0 {
                    return at;
                }
                seen += usize::from(b != 0);
            }
            self.source.text.len()
        };
        Place::new(&self.source, shift(span.start)..shift(span.end))
    }
}

/// The value of an element of a directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// What dkms sees.
    Known(String),
    /// Depends on something that is not known; a diagnostic says on what.
    Unknown,
}

/// The elements of a directive by index; `X=v` is element 0.
pub type Directive = BTreeMap<usize, Value>;

/// What dkms sees after its second sourcing.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    /// The directives that are set, or may be.
    pub directives: BTreeMap<String, Directive>,
    /// What is to say about the evaluation.
    pub diagnostics: Vec<Diagnostic>,
    /// Names that may be meant for dkms, which does not know them, with their places.
    pub(crate) strangers: Vec<(String, Option<std::ops::Range<usize>>)>,
    /// Places of the last assignments.
    pub(crate) places: BTreeMap<String, std::ops::Range<usize>>,
    /// What element 0 of a directive with an unknown value begins with.
    pub(crate) beginnings: BTreeMap<String, String>,
}

/// A directive in the shape of the JSON schema of [`Evaluation::to_schema`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum SchemaValue {
    /// A scalar directive.
    One(Option<String>),
    /// An array directive, or a scalar one that is set as an array.
    Many(BTreeMap<String, Option<String>>),
}

impl Evaluation {
    /// With the values that somebody else found; what only said that they were not known is gone.
    #[must_use]
    pub(crate) fn with_directives(mut self, directives: BTreeMap<String, Directive>) -> Self {
        let unknown = [&codes::UNKNOWN_COMMAND, &codes::UNKNOWN_CONDITION, &codes::NOT_MENTIONED];
        self.diagnostics.retain(|finding| unknown.iter().all(|code| finding.code.id != code.id));
        Self { directives, beginnings: BTreeMap::new(), ..self }
    }

    /// The directives as a flat object: arrays as `{"0": …}`, others as `"value"`, unknown as null.
    #[must_use]
    pub fn to_schema(&self) -> BTreeMap<String, SchemaValue> {
        let text = |value: &Value| match value {
            Value::Known(text) => Some(text.clone()),
            Value::Unknown => None,
        };
        self.directives
            .iter()
            .map(|(name, elements)| {
                let single = elements.len() == 1 && elements.contains_key(&0);
                let value = match elements.get(&0) {
                    Some(value) if single && !directives::is_array_directive(name) => {
                        SchemaValue::One(text(value))
                    }
                    _ => SchemaValue::Many(
                        elements.iter().map(|(i, value)| (i.to_string(), text(value))).collect(),
                    ),
                };
                (name.clone(), value)
            })
            .collect()
    }
}

/// The template's marker in a value that nobody replaced: `@X@`, `#X#`, `__X__`, `${X}`, `%X%`.
#[must_use]
pub fn marker(text: &str) -> Option<String> {
    self::marker::in_name(text)
}

/// The template's marker that a line consists of.
#[must_use]
pub fn line_marker(line: &str) -> Option<&str> {
    self::marker::line(line)
}

/// Whether a finding is about a marker that nobody replaced.
#[must_use]
pub fn is_about_a_marker(finding: &Diagnostic) -> bool {
    finding.code.id == codes::PLACEHOLDER.id && finding.severity == Severity::Error
}

/// A finding about a marker that something replaces.
#[must_use]
pub fn replaced_marker(severity: Severity, message: String) -> Diagnostic {
    Diagnostic::new(&codes::PLACEHOLDER, severity, message)
}

/// Whether there is such a [`marker`].
#[must_use]
pub fn is_placeholder(text: &str) -> bool {
    marker(text).is_some()
}
