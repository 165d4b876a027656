//! What a shell remembers while a script runs: variables, functions, options, output; and how two possible pasts merge.
//!
//! Must not evaluate anything and must not read files.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut, Range};
use std::rc::Rc;

use brush_parser::ast;

/// Stands in a string for a part that is set but cannot be known; a Unicode noncharacter, removed from every input.
pub(crate) const UNKNOWN: char = '\u{10FFFE}';
/// Stands for a variable or element that may also be unset.
pub(crate) const MAYBE: char = '\u{10FFFF}';

/// Whether any part of the text cannot be known.
pub(crate) fn is_unknown(text: &str) -> bool {
    // Both noncharacters start with the byte F4, which no common text contains.
    text.as_bytes().contains(&0xF4) && text.contains([UNKNOWN, MAYBE])
}

/// The string whose whole content cannot be known.
pub(crate) fn unknown() -> String {
    UNKNOWN.to_string()
}

/// Bytes as text for the evaluator: UTF-8 or U+FFFD, without NUL, without the characters that stand for the unknown.
pub(crate) fn clean_text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.as_bytes().contains(&0) || is_unknown(&text) {
        return text
            .chars()
            .filter(|c| *c != '\0')
            .map(|c| if matches!(c, UNKNOWN | MAYBE) { '\u{FFFD}' } else { c })
            .collect();
    }
    text.into_owned()
}

/// The content of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    /// Declared without a value.
    Unset,
    /// A plain value.
    Scalar(String),
    /// An indexed array; may be sparse.
    Indexed(BTreeMap<usize, String>),
    /// An associative array.
    Associative(BTreeMap<String, String>),
    /// Not even the set of its elements is known.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub data: Data,
    pub readonly: bool,
    pub integer: bool,
    /// `declare -l` (Some(false)) or `-u` (Some(true)).
    pub upper: Option<bool>,
    pub exported: bool,
    /// It has attributes that are not modelled: what is assigned to it is not what it holds.
    pub odd: bool,
    /// It may hold, or have held before it became unknown, a quote that does not end in its value.
    pub stray: bool,
    /// Where it was last assigned, in the main file.
    pub place: Option<Range<usize>>,
}

impl Variable {
    /// A variable with a content and no attributes.
    pub(super) fn new(data: Data) -> Self {
        Self {
            data,
            readonly: false,
            integer: false,
            upper: None,
            exported: false,
            odd: false,
            stray: false,
            place: None,
        }
    }

    /// Makes the content unknown.
    pub(super) fn forget(&mut self) {
        self.stray |= self.data.any(reaches_on);
        self.data = Data::Unknown;
    }
}

impl Data {
    /// Whether one of its values is like this.
    pub(crate) fn any(&self, is_so: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Scalar(text) => is_so(text),
            Self::Indexed(values) => values.values().any(|text| is_so(text)),
            Self::Associative(values) => values.values().any(|text| is_so(text)),
            Self::Unset | Self::Unknown => false,
        }
    }
}

/// Whether a value takes what is behind it along when it is written between double quotes and read again.
pub(crate) fn reaches_on(text: &str) -> bool {
    let odd = |quote: char| text.matches(quote).count() % 2 == 1;
    odd('"') || odd('`') || text.ends_with('\\')
}

/// Shell options that change a result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is an independent switch of bash")]
pub(crate) struct ShellOptions {
    pub errexit: bool,
    pub nounset: bool,
    pub noglob: bool,
    pub nullglob: bool,
    pub failglob: bool,
    pub dotglob: bool,
    pub nocasematch: bool,
    pub pipefail: bool,
    pub allexport: bool,
    pub lastpipe: bool,
    pub extglob: bool,
    pub braceexpand: bool,
    pub patsub_replacement: bool,
    pub xpg_echo: bool,
    pub expand_aliases: bool,
    /// `set -x` or `-v`: commands appear on standard error.
    pub traces: bool,
    /// Others were switched that `$-` shows.
    pub others: bool,
}

impl ShellOptions {
    /// Those of a bash that is not interactive.
    pub(crate) const fn new() -> Self {
        Self {
            errexit: false,
            nounset: false,
            noglob: false,
            nullglob: false,
            failglob: false,
            dotglob: false,
            nocasematch: false,
            pipefail: false,
            allexport: false,
            lastpipe: false,
            extglob: false,
            braceexpand: true,
            patsub_replacement: true,
            xpg_echo: false,
            expand_aliases: false,
            traces: false,
            others: false,
        }
    }
}

/// Where standard output or standard error goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sink {
    /// Into [`State::output`].
    Capture,
    /// Nowhere that the file could see again.
    Away,
}

/// Standard input: a text and how far it has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Input {
    pub text: Rc<str>,
    pub position: usize,
}

pub(super) type Function = Rc<ast::FunctionDefinition>;

/// A value that copies share until one of them changes it: every subshell and branch copies the state, few change much.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shared<T>(Rc<T>);

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self(Rc::new(value))
    }
}

impl<T: Clone> Shared<T> {
    pub(super) fn into_inner(self) -> T {
        Rc::unwrap_or_clone(self.0)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Rc::make_mut(&mut self.0)
    }
}

/// Everything that a branch of a condition can change.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub variables: Shared<BTreeMap<String, Variable>>,
    /// What `local` hid, a map a function call.
    pub frames: Shared<Vec<BTreeMap<String, Option<Variable>>>>,
    /// `None`: defined in one of two possible branches.
    pub functions: Shared<BTreeMap<String, Option<Function>>>,
    pub positional: Shared<Vec<String>>,
    pub options: ShellOptions,
    /// `None`: not known.
    pub status: Option<u8>,
    /// The statuses of the last pipeline; `None`: it was one command. Without any, they are not known.
    pub pipe: Option<Rc<[Option<u8>]>>,
    pub output: String,
    pub stdout: Sink,
    pub stderr: Sink,
    pub input: Option<Input>,
    pub directory: String,
    /// Those that `popd` comes back to.
    pub folders: Shared<Vec<String>>,
    /// A file that cannot be read was sourced: a variable that is not set may be set.
    pub open_names: bool,
    /// The same for a kernel configuration, which sets `CONFIG_…` only.
    pub open_config: bool,
    /// The command of `trap … EXIT`.
    pub exit_trap: Option<String>,
}

impl State {
    /// An empty shell in the root directory.
    pub(crate) fn new() -> Self {
        Self {
            variables: Shared::default(),
            frames: Shared::default(),
            functions: Shared::default(),
            positional: Shared::default(),
            options: ShellOptions::new(),
            status: Some(0),
            pipe: None,
            output: String::new(),
            stdout: Sink::Capture,
            stderr: Sink::Away,
            input: None,
            directory: "/".to_owned(),
            folders: Shared::default(),
            open_names: false,
            open_config: false,
            exit_trap: None,
        }
    }

    /// Whether it is not known how many positional parameters there are.
    pub(super) fn is_positional_open(&self) -> bool {
        self.positional.iter().any(|value| value.contains(MAYBE))
    }

    /// Sets a scalar without any checks.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.variables.insert(name.to_owned(), Variable::new(Data::Scalar(value.into())));
    }

    /// A rough size, for charging copies against the limit of steps.
    pub(super) fn weight(&self) -> u64 {
        self.variables.len() as u64 / 8 + self.output.len() as u64 / 4096 + 1
    }

    /// Makes every variable that differs from `before` unknown; returns whether one newly was.
    pub(super) fn blur_changes(&mut self, before: &State) -> bool {
        let mut changed = false;
        for (name, variable) in self.variables.iter_mut() {
            let old = before.variables.get(name).map(|variable| &variable.data);
            if old != Some(&variable.data) && variable.data != Data::Unknown {
                variable.forget();
                variable.stray |= old.is_some_and(|old| old.any(reaches_on));
                changed = true;
            }
        }
        for (name, old) in before.variables.iter() {
            if !self.variables.contains_key(name) {
                let mut unset = old.clone();
                unset.forget();
                self.variables.insert(name.clone(), unset);
                changed = true;
            }
        }
        if self.output != before.output {
            self.output.clone_from(&before.output);
            self.output.push(UNKNOWN);
        }
        if self.directory != before.directory {
            self.directory = unknown();
        }
        self.input.clone_from(&before.input);
        self.status = None;
        changed
    }
}

fn merge_text(a: &str, b: &str) -> String {
    if a == b {
        a.to_owned()
    } else if a.contains(MAYBE) || b.contains(MAYBE) {
        MAYBE.to_string()
    } else {
        unknown()
    }
}

fn merge_maps<K: Ord + Clone>(a: &BTreeMap<K, String>, b: &BTreeMap<K, String>) -> BTreeMap<K, String> {
    let mut merged = BTreeMap::new();
    for key in a.keys().chain(b.keys()) {
        let value = match (a.get(key), b.get(key)) {
            (Some(a), Some(b)) => merge_text(a, b),
            _ => MAYBE.to_string(),
        };
        merged.insert(key.clone(), value);
    }
    merged
}

fn as_indexed(data: &Data) -> Option<BTreeMap<usize, String>> {
    match data {
        Data::Unset => Some(BTreeMap::new()),
        Data::Scalar(value) => Some(BTreeMap::from([(0, value.clone())])),
        Data::Indexed(values) => Some(values.clone()),
        Data::Associative(_) | Data::Unknown => None,
    }
}

fn merge_data(a: &Data, b: &Data) -> Data {
    if a == b {
        return a.clone();
    }
    match (a, b) {
        (Data::Scalar(a), Data::Scalar(b)) => Data::Scalar(merge_text(a, b)),
        (Data::Scalar(_), Data::Unset) | (Data::Unset, Data::Scalar(_)) => Data::Scalar(MAYBE.to_string()),
        (Data::Associative(a), Data::Associative(b)) => Data::Associative(merge_maps(a, b)),
        _ => match (as_indexed(a), as_indexed(b)) {
            (Some(a), Some(b)) => Data::Indexed(merge_maps(&a, &b)),
            _ => Data::Unknown,
        },
    }
}

fn merge_variables(
    a: Shared<BTreeMap<String, Variable>>,
    b: Shared<BTreeMap<String, Variable>>,
) -> Shared<BTreeMap<String, Variable>> {
    if Rc::ptr_eq(&a.0, &b.0) {
        return a;
    }
    let (a, mut b) = (a.into_inner(), b.into_inner());
    let mut merged = BTreeMap::new();
    for (name, mut variable) in a {
        let other = b.remove(&name);
        if other.as_ref().is_none_or(|other| other.data != variable.data) {
            variable.stray |= variable.data.any(reaches_on);
        }
        match other {
            Some(other) => {
                variable.stray |= other.stray || variable.data != other.data && other.data.any(reaches_on);
                variable.data = merge_data(&variable.data, &other.data);
                variable.readonly |= other.readonly;
                variable.odd |= other.odd
                    || (variable.integer, variable.upper, variable.exported)
                        != (other.integer, other.upper, other.exported);
                variable.place = variable.place.or(other.place);
            }
            None => variable.data = merge_data(&variable.data, &Data::Unset),
        }
        merged.insert(name, variable);
    }
    for (name, mut variable) in b {
        variable.stray |= variable.data.any(reaches_on);
        variable.data = merge_data(&variable.data, &Data::Unset);
        merged.insert(name, variable);
    }
    merged.into()
}

/// The state that stands for both: what is equal stays, what differs becomes unknown.
pub(super) fn merge(a: State, b: State) -> State {
    let mut merged = State {
        variables: merge_variables(a.variables, b.variables),
        frames: if a.frames.len() >= b.frames.len() { a.frames } else { b.frames },
        functions: a.functions,
        status: if a.status == b.status { a.status } else { None },
        pipe: if a.pipe == b.pipe { a.pipe } else { Some(Rc::from([])) },
        directory: if a.directory == b.directory { a.directory } else { unknown() },
        open_names: a.open_names || b.open_names,
        open_config: a.open_config || b.open_config,
        output: a.output,
        ..b
    };
    if merged.positional != a.positional {
        merged.positional = vec![MAYBE.to_string()].into();
    }
    if merged.folders != a.folders {
        merged.folders = vec![unknown()].into();
    }
    if merged.output != b.output {
        let common = merged.output.bytes().zip(b.output.bytes()).take_while(|(a, b)| a == b).count();
        let mut cut = common;
        while !merged.output.is_char_boundary(cut) {
            cut -= 1;
        }
        merged.output.truncate(cut);
        merged.output.push(UNKNOWN);
    }
    for (name, function) in b.functions.into_inner() {
        match merged.functions.get(&name) {
            Some(Some(known)) if function.as_ref().is_some_and(|other| Rc::ptr_eq(known, other)) => {}
            _ => {
                merged.functions.insert(name, None);
            }
        }
    }
    merged
}
