//! What a script does that its author should know: kinds and places, without words.
//!
//! Must not say what follows from it; that depends on who runs the script.

use std::ops::Range;

use super::{Flow, Shell};

/// The most that is kept of them.
const MOST: usize = 500;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remark {
    /// An error, in words, that ends the shell.
    Ends(String),
    /// An error of arithmetic, in words, that fails its command.
    Fails(String),
    /// A limit, in words, is exceeded, and nothing more is run.
    Limit(String),
    /// A text that is run does not parse: its first line, and why.
    Syntax(String, String),
    /// This depends on the machine, and is not known.
    Unknown {
        what: String,
        assigning: Option<String>,
    },
    /// With `set -e`, a command that may fail may end the script.
    MayEnd {
        assigning: Option<String>,
    },
    /// Both ways of a condition are possible.
    Condition,
    /// This is taken as absent, since nobody mentioned it.
    Assumed(String),
    Exit,
    /// This file is sourced, and there is none.
    NoFile(String),
    /// A program is run by this path, and there is none.
    NoProgram(String),
    /// This is run as a command, and no command can have such a name.
    NoCommand(String),
    /// A command of this name changes files, which is not imitated.
    Changes(String),
    /// Output goes into this file, which is not imitated.
    Writes(String),
    /// It asks which kernel runs.
    AsksForTheKernel,
}

/// A remark, and where in the script the command stands that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub remark: Remark,
    /// In characters.
    pub place: Option<Range<usize>>,
}

impl Shell<'_> {
    /// Adds a finding at the running command, once.
    pub(super) fn remark(&mut self, remark: Remark) {
        let finding = Finding { remark, place: self.place.clone() };
        if self.findings.len() < MOST && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// An error that ends the shell, as bash does for a bad expansion or an assignment to a readonly variable.
    pub(super) fn fatal(&mut self, message: &str) -> Flow {
        self.remark(Remark::Ends(message.to_owned()));
        self.state.status = Some(1);
        Flow::Exit
    }

    /// An error of arithmetic, which ends the shell only in an expansion.
    pub(super) fn arithmetic_fails(&mut self, message: &str) -> Flow {
        if !self.tolerant {
            return self.fatal(message);
        }
        self.remark(Remark::Fails(message.to_owned()));
        Flow::Failed
    }

    /// A limit is exceeded.
    pub(super) fn limit(&mut self, message: &str) -> Flow {
        self.remark(Remark::Limit(message.to_owned()));
        Flow::Limit
    }

    /// Something of the machine decides; `what` says what.
    pub(crate) fn note_unknown(&mut self, what: &str) {
        self.remark(Remark::Unknown { what: what.to_owned(), assigning: self.assigning.clone() });
    }

    /// Something whose effects are not imitated: from here on nothing is known.
    pub(crate) fn lose(&mut self, what: &str) {
        self.note_unknown(&format!("{what} is not imitated: what follows"));
        self.lost = true;
    }

    /// Something that only other software would bring.
    pub(super) fn note_assumed(&mut self, what: &str) {
        self.remark(Remark::Assumed(what.to_owned()));
    }

    /// A pattern that would list files which are not known.
    pub(super) fn note_unknown_glob(&mut self, pattern: &str) {
        self.note_unknown(&format!("the list of files that `{pattern}` matches"));
    }
}
