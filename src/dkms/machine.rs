//! The evaluator's core: limits, findings, variables, subshells, and branches that are both possible.
//!
//! Has no way to run a program or to open a file; the two trees of [`super::Inputs`] are all it can see.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;

use super::Inputs;
use super::codes;
use super::pattern::Glob;
use super::state::{Data, MAYBE, Sink, State, UNKNOWN, Variable, is_unknown, merge, reaches_on, unknown};
use super::syntax::{self, Script};
use crate::diagnostic::{Code, Severity};

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
pub(super) enum Flow {
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

/// A finding before the file it belongs to is attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub code: &'static Code,
    pub severity: Severity,
    pub message: String,
    pub place: Option<Range<usize>>,
    pub hint: Option<String>,
}

/// A running shell.
pub(super) struct Machine<'a> {
    pub inputs: &'a Inputs<'a>,
    pub state: State,
    pub findings: Vec<Finding>,
    /// Where the command of the main file that is running stands.
    pub place: Option<Range<usize>>,
    /// What is being assigned, for findings.
    pub assigning: Option<String>,
    /// Above zero: inside text that is not the main file.
    pub foreign: usize,
    /// Name and version as the directories under /usr/src and /var/lib/dkms know them.
    pub identity: Option<(String, String)>,
    /// The path that `BASH_SOURCE` shows.
    pub script_path: String,
    /// Whether it asked for paths where the driver may lie, or sourced a file that holds more than assignments.
    pub looked_at_files: Cell<bool>,
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
    pub sources: Vec<String>,
    /// Line of the running command.
    pub line: usize,
    /// Characters and lines before the part of the main file that is running.
    pub offset: (usize, usize),
    steps: u64,
    depth: usize,
    scripts: HashMap<String, Rc<Script>>,
}

impl<'a> Machine<'a> {
    /// A shell with nothing set.
    pub(super) fn new(inputs: &'a Inputs<'a>) -> Self {
        Self {
            inputs,
            state: State::new(),
            findings: Vec::new(),
            place: None,
            assigning: None,
            foreign: 0,
            identity: None,
            script_path: String::new(),
            looked_at_files: Cell::new(false),
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

    // --- findings -------------------------------------------------------------------------------------------------

    /// Adds a finding at the running command, once.
    pub(super) fn find(
        &mut self,
        code: &'static Code,
        severity: Severity,
        message: String,
        hint: Option<&str>,
    ) {
        let finding =
            Finding { code, severity, message, place: self.place.clone(), hint: hint.map(str::to_owned) };
        if self.findings.len() < 500 && !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    /// An error that ends the shell, as bash does for a bad expansion or an assignment to a readonly variable.
    pub(super) fn fatal(&mut self, message: &str) -> Flow {
        self.find(
            &codes::RUNTIME,
            Severity::Error,
            format!("{message}: bash ends here, and dkms sees no directive at all"),
            None,
        );
        self.state.status = Some(1);
        Flow::Exit
    }

    /// An error of arithmetic, which ends the shell only in an expansion.
    pub(super) fn arithmetic_fails(&mut self, message: &str) -> Flow {
        if !self.tolerant {
            return self.fatal(message);
        }
        self.find(&codes::RUNTIME, Severity::Warning, format!("{message}: the command fails"), None);
        Flow::Failed
    }

    /// A limit is exceeded.
    pub(super) fn limit(&mut self, message: &str) -> Flow {
        self.find(&codes::LIMIT, Severity::Error, message.to_owned(), None);
        Flow::Limit
    }

    /// Something of the build machine decides; `what` says what.
    pub(super) fn note_unknown(&mut self, what: &str) {
        let target =
            self.assigning.as_ref().map(|name| format!(", so `{name}` is unknown")).unwrap_or_default();
        self.find(
            &codes::UNKNOWN_COMMAND,
            Severity::Note,
            format!("{what} is not known here{target}"),
            Some("state the fact in the file, or give it to kpkg"),
        );
    }

    /// Something whose effects are not imitated: from here on nothing is known.
    pub(super) fn lose(&mut self, what: &str) {
        self.note_unknown(&format!("{what} is not imitated: what follows"));
        self.lost = true;
    }

    /// Something that only other software would bring.
    pub(super) fn note_assumed(&mut self, what: &str) {
        self.find(
            &codes::NOT_MENTIONED,
            Severity::Note,
            format!("{what} is taken as absent, as on a machine without further software"),
            None,
        );
    }

    /// A pattern that would list files which are not known.
    pub(super) fn note_unknown_glob(&mut self, pattern: &str) {
        self.note_unknown(&format!("the list of files that `{pattern}` matches"));
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

    /// Comes back from [`Machine::enter`].
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
    pub(super) fn print(&mut self, text: &str) -> Result<(), Flow> {
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

    // --- variables ------------------------------------------------------------------------------------------------

    /// The value of `$name`: element 0 of an array; `None` when unset.
    pub(super) fn scalar(&self, name: &str) -> Option<String> {
        let Some(variable) = self.state.variables.get(name) else { return self.dynamic(name) };
        match &variable.data {
            Data::Unset => None,
            Data::Scalar(value) => Some(value.clone()),
            Data::Indexed(values) => values.get(&0).cloned(),
            Data::Associative(values) => values.get("0").cloned(),
            Data::Unknown => Some(MAYBE.to_string()),
        }
    }

    /// Variables that bash computes.
    fn dynamic(&self, name: &str) -> Option<String> {
        Some(match name {
            // bash counts anew in what it parses anew
            "LINENO" if self.foreign == 0 && self.function_names.is_empty() => self.line.to_string(),
            "FUNCNAME" => self.function_names.last().cloned().unwrap_or_else(|| "source".to_owned()),
            "BASH_SOURCE" => self.sources.last().cloned().unwrap_or_default(),
            "BASH_VERSINFO" => BASH_MAJOR.to_owned(),
            "OPTERR" => "1".to_owned(),
            "PIPESTATUS" => match &self.state.pipe {
                None => self.state.status,
                Some(statuses) => statuses.first().copied().flatten(),
            }
            .map_or_else(unknown, |status| status.to_string()),
            _ if COMPUTED.contains(&name) => unknown(),
            _ if OF_THE_CALLER.contains(&name) || name.starts_with("LC_") => MAYBE.to_string(),
            _ if self.state.open_names || (self.state.open_config && name.starts_with("CONFIG_")) => {
                MAYBE.to_string()
            }
            _ => return None,
        })
    }

    /// The element that a written subscript names.
    pub(super) fn element_by_subscript(
        &mut self,
        name: &str,
        subscript: &str,
    ) -> Result<Option<String>, Flow> {
        match self.state.variables.get(name).map(|variable| &variable.data) {
            Some(Data::Associative(_)) => {
                let key = self.expand_string(subscript)?;
                if is_unknown(&key) {
                    return Ok(Some(MAYBE.to_string()));
                }
                let Some(Data::Associative(values)) = self.state.variables.get(name).map(|v| &v.data) else {
                    return Ok(None);
                };
                Ok(values.get(&key).cloned())
            }
            Some(Data::Unknown) => Ok(Some(MAYBE.to_string())),
            _ => {
                let Some(index) = self.evaluate_arithmetic(subscript)? else {
                    return Ok(Some(MAYBE.to_string()));
                };
                let values = self.indexed(name);
                let Some(index) = resolve(index, &values) else { return Ok(None) };
                let open = values.values().any(|value| value.contains(MAYBE));
                let beyond = open && !self.state.variables.contains_key(name);
                Ok(values.get(&index).cloned().or_else(|| beyond.then(|| MAYBE.to_string())))
            }
        }
    }

    /// A variable as an indexed array.
    pub(super) fn indexed(&self, name: &str) -> BTreeMap<usize, String> {
        match self.state.variables.get(name).map(|variable| &variable.data) {
            Some(Data::Indexed(values)) => values.clone(),
            Some(Data::Scalar(value)) => BTreeMap::from([(0, value.clone())]),
            Some(Data::Unset | Data::Associative(_) | Data::Unknown) => BTreeMap::new(),
            None if name == "BASH_SOURCE" || name == "FUNCNAME" => self.calls(name == "FUNCNAME"),
            None if name == "BASH_VERSINFO" => {
                let numbers = [BASH_MAJOR, "", "", "", "release", ""].map(str::to_owned).into_iter();
                numbers.map(|text| if text.is_empty() { unknown() } else { text }).enumerate().collect()
            }
            None if name == "PIPESTATUS" => match &self.state.pipe {
                Some(statuses) if statuses.is_empty() => BTreeMap::from([(0, MAYBE.to_string())]),
                Some(statuses) => {
                    let text = |status: &Option<u8>| status.map_or_else(unknown, |status| status.to_string());
                    statuses.iter().map(text).enumerate().collect()
                }
                None => self.dynamic(name).map(|value| BTreeMap::from([(0, value)])).unwrap_or_default(),
            },
            None => self.dynamic(name).map(|value| BTreeMap::from([(0, value)])).unwrap_or_default(),
        }
    }

    /// `FUNCNAME` or `BASH_SOURCE`: who called dkms's reader of the file is not known.
    fn calls(&self, names: bool) -> BTreeMap<usize, String> {
        let functions = self.function_names.len();
        let mut calls: Vec<String> = if names {
            self.function_names.iter().rev().cloned().chain([String::from("source")]).collect()
        } else {
            vec![self.sources.last().cloned().unwrap_or_default(); functions + 1]
        };
        // with a file in a file the two mix
        if self.sources.len() > 2 {
            calls.truncate(1);
        }
        calls.push(MAYBE.to_string());
        calls.into_iter().enumerate().collect()
    }

    /// A pattern as the options of the shell have it.
    pub(super) fn glob_of(&mut self, pattern: &str, ignore_case: bool) -> Glob {
        if !self.state.options.extglob && super::pattern::has_group(pattern) {
            // written in the file it is a syntax error, and otherwise it means itself
            self.lose("an extended pattern where `extglob` is off");
        }
        Glob::new(pattern, ignore_case)
    }

    /// All elements, and whether there may be more or fewer.
    pub(super) fn elements(&self, name: &str) -> (Vec<String>, bool) {
        let values: Vec<String> = match self.state.variables.get(name).map(|variable| &variable.data) {
            Some(Data::Associative(values)) => {
                in_hash_order(values).into_iter().map(|(_, value)| value.clone()).collect()
            }
            Some(Data::Unknown) => vec![MAYBE.to_string()],
            _ => self.indexed(name).into_values().collect(),
        };
        let uncertain = values.iter().any(|value| value.contains(MAYBE));
        (values, uncertain)
    }

    /// All indices or keys, and whether there may be more or fewer.
    pub(super) fn keys(&self, name: &str) -> (Vec<String>, bool) {
        let keys = match self.state.variables.get(name).map(|variable| &variable.data) {
            Some(Data::Associative(values)) => {
                in_hash_order(values).into_iter().map(|(key, _)| key.clone()).collect()
            }
            _ => self.indexed(name).keys().map(ToString::to_string).collect(),
        };
        (keys, self.elements(name).1)
    }

    /// Forgets what a variable is.
    pub(super) fn blur(&mut self, name: &str) {
        if self.state.variables.get(name).is_some_and(|variable| variable.integer) {
            // what is no number ends the file
            self.lose("a number of a text that is not known");
        }
        let place = self.place.clone();
        let variable =
            self.state.variables.entry(name.to_owned()).or_insert_with(|| Variable::new(Data::Unset));
        variable.forget();
        variable.place = place;
    }

    /// Checks that a variable may be changed.
    fn writable(&mut self, name: &str) -> Result<(), Flow> {
        if self.state.variables.get(name).is_some_and(|variable| variable.readonly) {
            return Err(self.arithmetic_fails(&format!("`{name}` is readonly")));
        }
        Ok(())
    }

    fn shaped(&mut self, name: &str, text: String) -> Result<String, Flow> {
        let (integer, upper, odd) = match self.state.variables.get(name) {
            Some(variable) => (variable.integer, variable.upper, variable.odd),
            None => (false, None, false),
        };
        let text = if integer {
            if is_unknown(&text) {
                // one that is no number ends the file
                self.lose("a number of a text that is not known");
            }
            self.arithmetic(&text, 0)?.map_or_else(unknown, |value| value.to_string())
        } else {
            text
        };
        if odd || COMPUTED.contains(&name) {
            return Ok(unknown());
        }
        Ok(match upper {
            Some(upper) => text.chars().map(|c| super::expand::other_case(c, upper)).collect(),
            None => text,
        })
    }

    /// Whether the file chose a locale, in which a character may be a byte.
    pub(super) fn is_locale_chosen(&self) -> bool {
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().any(|name| self.state.variables.contains_key(*name))
    }

    /// Whether a text has other characters in another locale.
    pub(super) fn is_of_a_locale(&self, text: &str) -> bool {
        !text.is_ascii() && self.is_locale_chosen()
    }

    /// Assigns a scalar or an element.
    pub(super) fn assign(
        &mut self,
        name: &str,
        subscript: Option<&str>,
        text: String,
        append: bool,
    ) -> Result<(), Flow> {
        self.check_length(&text)?;
        self.writable(name)?;
        if is_nonsense_name(name) {
            return Ok(());
        }
        if append && self.state.variables.get(name).is_some_and(|variable| variable.integer) {
            let old = match subscript {
                Some(subscript) => self.element_by_subscript(name, subscript)?,
                None => self.scalar(name),
            };
            let old = old.unwrap_or_default();
            if is_unknown(&old) || is_unknown(&text) {
                return self.assign(name, subscript, unknown(), false);
            }
            let (old, more) = (self.arithmetic(&old, 0)?, self.arithmetic(&text, 0)?);
            let sum = old.zip(more).map_or_else(unknown, |(old, more)| old.wrapping_add(more).to_string());
            return self.assign(name, subscript, sum, false);
        }
        let text = self.shaped(name, text)?;
        let place = self.place.clone();
        let associative = matches!(
            self.state.variables.get(name).map(|variable| &variable.data),
            Some(Data::Associative(_))
        );
        if associative {
            let key = match subscript {
                Some(subscript) => self.expand_string(subscript)?,
                None => "0".to_owned(),
            };
            if is_unknown(&key) {
                self.blur(name);
                return Ok(());
            }
            if let Some(Variable { data: Data::Associative(values), .. }) = self.state.variables.get_mut(name)
            {
                let value = values.entry(key).or_default();
                if append { value.push_str(&text) } else { *value = text }
            }
            return Ok(());
        }
        let Some(subscript) = subscript else {
            let variable =
                self.state.variables.entry(name.to_owned()).or_insert_with(|| Variable::new(Data::Unset));
            variable.place = place;
            match &mut variable.data {
                Data::Indexed(values) => {
                    let value = values.entry(0).or_default();
                    if append { value.push_str(&text) } else { *value = text }
                }
                Data::Scalar(value) if append => value.push_str(&text),
                Data::Unknown if append || super::is_array_directive(name) => {}
                data => *data = Data::Scalar(text),
            }
            return self.check_value(name);
        };
        let Some(index) = self.evaluate_arithmetic(subscript)? else {
            self.blur(name);
            return Ok(());
        };
        if matches!(self.state.variables.get(name).map(|variable| &variable.data), Some(Data::Unknown)) {
            return Ok(());
        }
        let mut values = self.indexed(name);
        let Some(index) = resolve(index, &values) else {
            return Err(self.fatal(&format!("`{name}[{subscript}]` is not a valid subscript")));
        };
        let value = values.entry(index).or_default();
        if append {
            value.push_str(&text);
        } else {
            *value = text;
        }
        self.check_size(values.len())?;
        self.check_list(values.values())?;
        let variable =
            self.state.variables.entry(name.to_owned()).or_insert_with(|| Variable::new(Data::Unset));
        variable.data = Data::Indexed(values);
        variable.place = place;
        Ok(())
    }

    fn check_value(&mut self, name: &str) -> Result<(), Flow> {
        let length = match self.state.variables.get(name).map(|variable| &variable.data) {
            Some(Data::Scalar(value)) => value.len(),
            _ => 0,
        };
        if length > STRING {
            return Err(self.limit("a value gets too long"));
        }
        Ok(())
    }

    /// Assigns an array from `name=(…)`; elements are an optional written subscript and a value.
    pub(super) fn assign_array(
        &mut self,
        name: &str,
        elements: Vec<(Option<String>, Vec<String>)>,
        append: bool,
        uncertain: bool,
    ) -> Result<(), Flow> {
        self.writable(name)?;
        let place = self.place.clone();
        let associative = matches!(
            self.state.variables.get(name).map(|variable| &variable.data),
            Some(Data::Associative(_))
        );
        let mut variable =
            self.state.variables.get(name).cloned().unwrap_or_else(|| Variable::new(Data::Unset));
        variable.place = place;
        let lost = append
            && (matches!(variable.data, Data::Unknown) || self.elements(name).1)
            && elements.iter().any(|(subscript, _)| subscript.is_none());
        if uncertain || lost {
            variable.forget();
            variable.stray |= elements.iter().flat_map(|(_, values)| values).any(|value| reaches_on(value));
            self.state.variables.insert(name.to_owned(), variable);
            return Ok(());
        }
        if associative && variable.integer {
            self.lose("a map of numbers");
        }
        if associative {
            let mut map = match (&variable.data, append) {
                (Data::Associative(values), true) => values.clone(),
                _ => BTreeMap::new(),
            };
            // `(key value …)`, where nothing has a subscript
            let mut key = None;
            for (subscript, values) in elements {
                for value in values {
                    let at = match (&subscript, key.take()) {
                        (Some(subscript), _) => self.expand_string(subscript)?,
                        (None, Some(key)) => key,
                        (None, None) => {
                            key = Some(value);
                            continue;
                        }
                    };
                    let value = self.shaped(name, value)?;
                    map.insert(at, value);
                }
            }
            map.extend(key.map(|key| (key, String::new())));
            variable.data =
                if map.keys().any(|key| is_unknown(key)) { Data::Unknown } else { Data::Associative(map) };
            self.state.variables.insert(name.to_owned(), variable);
            return Ok(());
        }
        let mut map = if append { self.indexed(name) } else { BTreeMap::new() };
        let mut next = map.keys().next_back().map_or(0, |last| last + 1);
        for (subscript, values) in elements {
            if let Some(subscript) = subscript {
                let Some(index) = self.evaluate_arithmetic(&subscript)? else {
                    self.blur(name);
                    return Ok(());
                };
                let Some(index) = resolve(index, &map) else {
                    return Err(self.fatal(&format!("`[{subscript}]` is not a valid subscript of `{name}`")));
                };
                next = index;
            }
            for value in values {
                let value = self.shaped(name, value)?;
                map.insert(next, value);
                next = next.saturating_add(1);
            }
        }
        self.check_size(map.len())?;
        self.check_list(map.values())?;
        // the whole list is copied each time
        self.step(u64::try_from(map.len() / 2).unwrap_or(u64::MAX))?;
        variable.data = Data::Indexed(map);
        self.state.variables.insert(name.to_owned(), variable);
        Ok(())
    }

    /// `unset name` or `unset name[i]`.
    pub(super) fn unset(&mut self, name: &str, subscript: Option<&str>) -> Result<(), Flow> {
        if self.state.variables.get(name).is_some_and(|variable| variable.readonly) {
            self.state.status = Some(1);
            return Ok(());
        }
        let Some(subscript) = subscript else {
            if COMPUTED.contains(&name) || is_nonsense_name(name) || name == "BASH_VERSINFO" {
                // it is a plain variable from now on
                self.lose(&format!("`unset {name}`"));
            }
            let hides = |frame: &BTreeMap<String, Option<Variable>>| frame.contains_key(name);
            if let [outer @ .., inner] = &self.state.frames[..]
                && !hides(inner)
                && outer.iter().skip(1).any(hides)
            {
                self.lose("`unset` of what a calling function holds");
            }
            self.state.variables.remove(name);
            return Ok(());
        };
        if subscript == "@" || subscript == "*" {
            self.state.variables.remove(name);
            return Ok(());
        }
        if matches!(self.state.variables.get(name).map(|variable| &variable.data), Some(Data::Associative(_)))
        {
            let key = self.expand_string(subscript)?;
            if let Some(Variable { data: Data::Associative(values), .. }) = self.state.variables.get_mut(name)
            {
                values.remove(&key);
            }
            return Ok(());
        }
        let Some(index) = self.evaluate_arithmetic(subscript)? else {
            self.blur(name);
            return Ok(());
        };
        let mut values = self.indexed(name);
        if let Some(index) = resolve(index, &values) {
            values.remove(&index);
        }
        if let Some(variable) = self.state.variables.get_mut(name) {
            match variable.data {
                Data::Indexed(_) => variable.data = Data::Indexed(values),
                Data::Scalar(_) if values.is_empty() => variable.data = Data::Unset,
                _ => {}
            }
        }
        Ok(())
    }

    /// Makes a variable local to the running function; `inherits`: with the value that it has.
    pub(super) fn make_local(&mut self, name: &str, inherits: bool) {
        let old = self.state.variables.get(name).cloned();
        if let Some(frame) = self.state.frames.last_mut()
            && !frame.contains_key(name)
        {
            frame.insert(name.to_owned(), old);
            if !inherits {
                self.state.variables.remove(name);
            }
        }
    }

    // --- branches -------------------------------------------------------------------------------------------------

    /// Runs two ways on from here, both possible, and goes on with what they have in common.
    pub(super) fn fork(
        &mut self,
        first: impl FnOnce(&mut Self) -> Flow,
        second: impl FnOnce(&mut Self) -> Flow,
    ) -> Flow {
        let weight = self.state.weight();
        if self.step(weight).is_err() || self.pending.len() > 200 {
            return self.limit("too many conditions depend on what is not known");
        }
        let base = self.state.clone();
        let flow_a = first(self);
        let state_a = std::mem::replace(&mut self.state, base);
        let flow_b = second(self);
        if flow_a == Flow::Limit || flow_b == Flow::Limit {
            return Flow::Limit;
        }
        if flow_a == flow_b {
            let state_b = std::mem::replace(&mut self.state, State::new());
            self.state = merge(state_a, state_b);
            return flow_a;
        }
        if flow_b == Flow::Next {
            self.pending.push((flow_a, state_a));
            flow_b
        } else {
            let state_b = std::mem::replace(&mut self.state, state_a);
            self.pending.push((flow_b, state_b));
            flow_a
        }
    }

    /// Merges the states of branches that left early in a way that ends here.
    pub(super) fn join_pending(&mut self, mark: usize, ends: impl Fn(Flow) -> bool) {
        let mut i = mark;
        while i < self.pending.len() {
            if ends(self.pending[i].0) {
                let (_, state) = self.pending.remove(i);
                let current = std::mem::replace(&mut self.state, State::new());
                self.state = merge(current, state);
            } else {
                i += 1;
            }
        }
    }

    /// Runs something in a copy of the shell; only output, status and findings come back.
    pub(super) fn subshell(&mut self, run: impl FnOnce(&mut Self) -> Flow) -> Flow {
        let weight = self.state.weight();
        if let Err(flow) = self.step(weight) {
            return flow;
        }
        if let Err(flow) = self.enter() {
            return flow;
        }
        // what is printed goes on growing, and is no part of what is restored
        let output = std::mem::take(&mut self.state.output);
        let saved = self.state.clone();
        self.state.output = output;
        self.state.exit_trap = None;
        let loops = self.loops;
        let mark = self.pending.len();
        let flow = run(self);
        self.leave();
        self.loops = loops;
        if flow == Flow::Limit {
            return flow;
        }
        self.join_pending(mark, |_| true);
        let flow = self.run_exit_trap();
        if flow == Flow::Limit {
            return flow;
        }
        let ended = std::mem::replace(&mut self.state, saved);
        self.state.output = ended.output;
        self.state.status = ended.status;
        self.state.input = ended.input;
        Flow::Next
    }

    /// Runs the command of `trap … EXIT`.
    pub(super) fn run_exit_trap(&mut self) -> Flow {
        let Some(command) = self.state.exit_trap.take() else { return Flow::Next };
        let status = self.state.status;
        let flow = self.run_text(&command);
        // unless the command has a word in it
        if flow != Flow::Exit {
            self.state.status = status;
        }
        flow
    }

    /// `$(command)`: its output without the final newlines.
    pub(super) fn substitute(&mut self, command: &str) -> Result<String, Flow> {
        if is_unknown(command) {
            self.state.status = None;
            self.substituted = true;
            return Ok(unknown());
        }
        let saved = (std::mem::take(&mut self.state.output), self.state.stdout, self.lenient);
        let tolerant = std::mem::replace(&mut self.tolerant, false);
        self.state.stdout = Sink::Capture;
        self.lenient = 0;
        // Bash switches `set -e` off in command substitutions unless in POSIX mode (bash manual, "Command Execution Environment").
        let errexit = std::mem::replace(&mut self.state.options.errexit, false);
        let flow = if let Some(path) =
            command.trim().strip_prefix('<').filter(|rest| !rest.starts_with(['<', '(']))
        {
            let path = path.trim().to_owned();
            self.subshell(|machine| machine.print_file_word(&path))
        } else {
            self.subshell(|machine| machine.run_text(command))
        };
        self.state.options.errexit = errexit;
        let output = std::mem::replace(&mut self.state.output, saved.0);
        self.state.stdout = saved.1;
        self.lenient = saved.2;
        self.tolerant = tolerant;
        self.substituted = true;
        if flow == Flow::Limit {
            return Err(flow);
        }
        self.check_length(&output)?;
        Ok(output.trim_end_matches('\n').replace('\0', ""))
    }
}

/// The elements of an associative array as bash 5 lists them: by their places in a table of hashes.
fn in_hash_order(values: &BTreeMap<String, String>) -> Vec<(&String, &String)> {
    const BUCKETS: u32 = 1024;
    let bucket = |key: &str| {
        let hash = key.bytes().fold(2_166_136_261u32, |hash, byte| {
            hash.wrapping_mul(16_777_619) ^ i32::from(byte.cast_signed()).cast_unsigned()
        });
        hash & (BUCKETS - 1)
    };
    let mut list: Vec<_> = values.iter().collect();
    list.sort_by_key(|(key, _)| bucket(key));
    list
}

/// A written index as a position: negative counts from behind the last element.
fn resolve(index: i64, values: &BTreeMap<usize, String>) -> Option<usize> {
    if index >= 0 {
        return usize::try_from(index).ok();
    }
    let end = values.keys().next_back().map_or(0, |last| last + 1);
    usize::try_from(i64::try_from(end).ok()? + index).ok()
}

/// Variables that bash ignores assignments to.
pub(super) fn is_nonsense_name(name: &str) -> bool {
    matches!(
        name,
        "FUNCNAME" | "GROUPS" | "BASH_SOURCE" | "PIPESTATUS" | "BASH_LINENO" | "BASH_ARGC" | "BASH_ARGV"
    )
}

/// Stands for `${BASH_VERSINFO[0]}`: not known, but for that it is 4 or more on every system that has a supported dkms.
pub(super) const BASH_MAJOR: &str = "\u{10FFFE}bash\u{10FFFE}";

/// Variables that bash computes or that depend on how it was built and called; assignments do not fix most of them.
const COMPUTED: [&str; 30] = [
    "BASH",
    "BASHOPTS",
    "BASHPID",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_ARGV0",
    "BASH_COMMAND",
    "BASH_LINENO",
    "BASH_SUBSHELL",
    "BASH_VERSION",
    "COLUMNS",
    "COMP_WORDBREAKS",
    "DIRSTACK",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "GROUPS",
    "HISTCMD",
    "HOSTNAME",
    "LINENO",
    "LINES",
    "MACHTYPE",
    "OPTARG",
    "PPID",
    "PS4",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "_",
];

/// Variables of whoever calls dkms.
const OF_THE_CALLER: [&str; 20] = [
    "BASH_ENV",
    "CDPATH",
    "COPROC",
    "DISPLAY",
    "EDITOR",
    "HISTFILE",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "MAIL",
    "OLDPWD",
    "PAGER",
    "PS1",
    "SHELL",
    "SUDO_USER",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_RUNTIME_DIR",
];
