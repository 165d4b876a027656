//! A bash that runs no program and opens no file: syntax, variables, expansion, builtins, and imitations of tools that only compute.
//!
//! Must not know what dkms makes of a script: what it sees of the outside comes in through [`Outside`], and what it has to say goes
//! out as a [`Remark`], which others put into words.

mod arithmetic;
mod attributes;
mod branches;
mod builtins;
mod escapes;
mod eval;
mod expand;
mod files;
mod findings;
mod outside;
mod pattern;
mod printf;
mod reading;
mod refusal;
mod scan;
mod state;
mod syntax;
mod test;
mod tools;
mod variables;

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

pub(crate) use expand::single_quote;
pub(super) use findings::{Finding, Remark};
#[cfg(test)]
pub(crate) use outside::Files;
pub(super) use outside::{Location, Outside, os_release_field};
pub use outside::{ReadTree, tree_path};
pub(super) use pattern::extended;
pub(super) use refusal::refusal;
pub(super) use state::{
    Data, MAYBE, ShellOptions, Sink, State, UNKNOWN, Variable, clean_text, is_unknown, reaches_on, unknown,
};
pub(super) use syntax::{Ends, Script, SyntaxError, misspelt_substitution, parse};
pub(crate) use tools::compare_versions;

/// Steps one evaluation may take; a few hundred thousand take well below a second.
pub(super) const STEPS: u64 = 400_000;
/// Nested calls, expansions and substitutions.
const DEPTH: usize = 300;
/// Characters of one string or of an output.
const STRING: usize = 1 << 20;
/// Words of one command or elements of one array.
const LIST: usize = 100_000;
/// Bytes of all of them together.
const LIST_BYTES: usize = 16 << 20;

/// Why a command list stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It does not.
    Next,
    Break(u32),
    Continue(u32),
    Return,
    /// An arithmetic error, which fails the command.
    Failed,
    /// The (sub)shell ends.
    Exit,
    /// A limit was exceeded: the evaluation ends.
    Limit,
}

pub(crate) struct Shell<'a> {
    pub outside: &'a dyn Outside,
    pub state: State,
    pub findings: Vec<Finding>,
    /// Where the command of the main file that is running stands.
    pub place: Option<Range<usize>>,
    /// What is being assigned, for findings.
    pub assigning: Option<String>,
    /// Above zero: inside text that is not the main file.
    pub foreign: usize,
    /// States of branches that may have left early, with how.
    pub pending: Vec<(Flow, State)>,
    /// Above zero: a failing command does not end a `set -e` shell.
    pub lenient: usize,
    /// A regular expression was none.
    pub refused: bool,
    /// A redirection may have failed.
    pub doubtful: bool,
    /// Loops around the running command.
    pub loops: u32,
    /// The running command held a command substitution.
    pub substituted: bool,
    /// Something unknown may have set directives.
    pub open_directives: bool,
    /// From some place on nothing is known any more.
    pub lost: bool,
    /// An arithmetic error fails the command only.
    pub tolerant: bool,
    pub function_names: Vec<String>,
    /// The files that are being sourced; the innermost is what `BASH_SOURCE` shows.
    pub sources: Vec<String>,
    /// Line of the running command.
    pub line: usize,
    /// Characters and lines before the part of the main file that is running.
    pub offset: (usize, usize),
    steps: u64,
    depth: usize,
    scripts: HashMap<String, Rc<Script>>,
}

impl<'a> Shell<'a> {
    /// A shell with nothing set.
    pub(crate) fn new(outside: &'a dyn Outside) -> Self {
        Self {
            outside,
            state: State::new(),
            findings: Vec::new(),
            place: None,
            assigning: None,
            foreign: 0,
            pending: Vec::new(),
            lenient: 0,
            refused: false,
            doubtful: false,
            loops: 0,
            substituted: false,
            open_directives: false,
            lost: false,
            tolerant: false,
            function_names: Vec::new(),
            sources: Vec::new(),
            line: 0,
            offset: (0, 0),
            steps: 0,
            depth: 0,
            scripts: HashMap::new(),
        }
    }

    // --- limits ---------------------------------------------------------------------------------------------------

    /// Charges work.
    pub(super) fn step(&mut self, count: u64) -> Result<(), Flow> {
        self.steps = self.steps.saturating_add(count);
        if self.steps > STEPS {
            return Err(self.limit("the file needs too many steps; does a loop end?"));
        }
        Ok(())
    }

    /// Goes one level deeper.
    pub(super) fn enter(&mut self) -> Result<(), Flow> {
        if self.depth >= DEPTH {
            return Err(self.limit("the file is nested too deeply or calls itself without end"));
        }
        self.depth += 1;
        Ok(())
    }

    /// Comes back from [`Shell::enter`].
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Checks the length of a list.
    pub(super) fn check_size(&mut self, count: usize) -> Result<(), Flow> {
        if count > LIST {
            return Err(self.limit("a list gets too long"));
        }
        self.step(u64::try_from(count / 16).unwrap_or(u64::MAX))
    }

    /// Checks how much a list holds, which is copied each time it changes.
    pub(super) fn check_list<'t>(&mut self, texts: impl Iterator<Item = &'t String>) -> Result<(), Flow> {
        let total: usize = texts.map(String::len).sum();
        if total > LIST_BYTES {
            return Err(self.limit("a list gets too long"));
        }
        self.step(u64::try_from(total / 512).unwrap_or(u64::MAX))
    }

    /// Checks the length of a string.
    pub(super) fn check_length(&mut self, text: &str) -> Result<(), Flow> {
        if text.len() > STRING {
            return Err(self.limit("a value gets too long"));
        }
        self.step(u64::try_from(text.len() / 1024).unwrap_or(u64::MAX))
    }

    /// The parsed form of a text, remembered.
    pub(super) fn script(&mut self, text: &str) -> Rc<Script> {
        if let Some(script) = self.scripts.get(text) {
            return Rc::clone(script);
        }
        let script = Rc::new(syntax::parse(text));
        if self.scripts.len() < 1000 {
            self.scripts.insert(text.to_owned(), Rc::clone(&script));
        }
        script
    }

    // --- output ---------------------------------------------------------------------------------------------------

    /// Writes to standard output.
    pub(crate) fn print(&mut self, text: &str) -> Result<(), Flow> {
        if self.state.stdout == Sink::Capture {
            self.state.output.push_str(text);
            if self.state.output.len() > 4 * STRING {
                return Err(self.limit("a command prints too much"));
            }
        }
        self.step(u64::try_from(text.len() / 1024).unwrap_or(u64::MAX))
    }

    /// A message on standard error whose words are not imitated.
    pub(super) fn complain(&mut self) {
        if self.state.stderr == Sink::Capture {
            self.state.output.push(UNKNOWN);
        }
    }
}
