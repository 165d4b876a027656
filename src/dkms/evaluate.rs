//! The two sourcings of dkms: the file in a subshell, its directives through `echo`, and that text in the main shell.
//!
//! Must not decide whether a value is good; that is in [`super::rules`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;

use super::codes;
use super::directives::{VARIABLES, may_mean_a_directive};
use super::host::{DKMS, Host};
use super::shell::{
    self, Data, Ends, Finding, Flow, MAYBE, Remark, Shell, ShellOptions, Sink, State, UNKNOWN, Variable,
    is_unknown, os_release_field, reaches_on, unknown,
};
use super::versions::is_at_least;
use super::{CONF, Conf, Directive, Evaluation, Inputs, ReadTree, Value, words};
use crate::base::diagnostic::{Diagnostic, Edit, Place, Severity, SourceText};

/// Bytes of stack to parse and evaluate on; pages that are not used cost nothing.
const STACK: usize = 512 << 20;

/// What `safe_source` of dkms 3.4.3 runs for each name, with the carriage return it strips since 3.1.5.
const EXPORT: &str = r#"for _i in $(eval echo \${!$_export_env[@]}); do
eval echo '$_export_env[$_i]=\"${'$_export_env'[$_i]%'$'\r''}\"'
done"#;

/// The same before 3.1.5.
const EXPORT_OLD: &str = r#"for _i in $(eval echo \${!$_export_env[@]}); do
eval echo '$_export_env[$_i]=\"${'$_export_env'[$_i]}\"'
done"#;

thread_local! {
    static CATCHES: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is caught and ends in a finding, as one of the parser does: a program may keep that panic's message to
/// itself.
#[must_use]
pub fn catches_panics() -> bool {
    CATCHES.get()
}

/// Why something that may recurse did not come to its end.
enum NoEnd {
    Panic,
    /// So much stack could not be had.
    NoStack,
}

/// Runs something that may recurse with enough stack.
fn with_stack<T>(run: impl FnOnce() -> T) -> Result<T, NoEnd> {
    let has_begun = Cell::new(false);
    let run = || {
        has_begun.set(true);
        run()
    };
    let outer = CATCHES.replace(true);
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| stacker::grow(STACK, run)));
    CATCHES.set(outer);
    ended.map_err(|_| if has_begun.get() { NoEnd::Panic } else { NoEnd::NoStack })
}

/// The finding where no stack could be had, which is no fault of the file.
fn no_stack() -> Diagnostic {
    let text = format!("this machine gives no {} MiB of stack to read the file on", STACK >> 20);
    Diagnostic::error(&codes::LIMIT, text).hint("allow more: `ulimit -v unlimited`")
}

#[cfg(test)]
thread_local! {
    /// Every text that this thread had parsed.
    pub(crate) static PARSED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// See [`Conf::parse`].
pub(super) fn parse(path: &Path, bytes: &[u8]) -> (Conf, Vec<Diagnostic>) {
    let shown = String::from_utf8_lossy(bytes);
    #[cfg(test)]
    PARSED.with_borrow_mut(|all| all.push(shown.clone().into_owned()));
    let mut diagnostics = Vec::new();
    let source = Arc::new(SourceText { path: path.to_owned(), text: shown.into_owned() });
    let broken = |message: &str| shell::Script {
        parts: Vec::new(),
        error: Some(shell::SyntaxError { at: 0, caret: 0, message: message.to_owned(), ends: Ends::Reader }),
    };
    if bytes.len() > CONF {
        let message = format!("the file has {} bytes; at most {CONF} are read", bytes.len());
        diagnostics.push(Diagnostic::error(&codes::LIMIT, message).at(Place::new(&source, 0..0)));
        let source = Arc::new(SourceText { path: path.to_owned(), text: String::new() });
        return (Conf { source, text: Arc::from(""), script: Arc::new(broken("too large")) }, diagnostics);
    }
    let text = shell::clean_text(bytes);
    let read = || {
        let mut script = shell::parse(&text);
        script.error = script.error.or_else(|| shell::misspelt_substitution(&text));
        script
    };
    let script = match with_stack(read) {
        Ok(script) => script,
        Err(NoEnd::Panic) => broken("the parser failed"),
        Err(NoEnd::NoStack) => {
            diagnostics.push(no_stack().at(Place::new(&source, 0..0)));
            let source = Arc::new(SourceText { path: path.to_owned(), text: String::new() });
            return (Conf { source, text: Arc::from(""), script: Arc::new(broken("not read")) }, diagnostics);
        }
    };
    let conf = Conf { source, text: text.into(), script: Arc::new(script) };
    byte_findings(&conf, bytes, &mut diagnostics);
    if let Some(error) = &conf.script.error {
        let end = conf.text[error.at..].find('\n').map_or(conf.text.len(), |end| error.at + end);
        // bash goes no further than the line that the command begins in, though a quote of a later one may be what has no end
        let (start, message) = if error.caret < end {
            (error.caret, error.message.clone())
        } else {
            let (line, column) = conf.place(error.caret..error.caret).line_column();
            (error.at, format!("{}, in line {line}, column {column}", error.message))
        };
        let (code, text, hint) = match error.ends {
            Ends::Rest => (
                &codes::SYNTAX,
                "the file does not parse from here on, so bash does not run the rest",
                "check the file with `bash -n`",
            ),
            Ends::Shell => (
                &codes::SYNTAX,
                "a command substitution does not parse, so bash ends here, and nothing of the file is known",
                "check the file with `bash -n`",
            ),
            Ends::Reader => (
                &codes::LIMIT,
                "the file cannot be read from here on, so that nothing of it is known",
                "write it simpler",
            ),
        };
        let finding = Diagnostic::error(code, format!("{text}: {message}"));
        diagnostics.push(finding.at(conf.place(start..end)).hint(hint));
    }
    (conf, diagnostics)
}

fn byte_findings(conf: &Conf, bytes: &[u8], diagnostics: &mut Vec<Diagnostic>) {
    let source = &conf.source;
    if std::str::from_utf8(bytes).is_err() {
        let at = source.text.find('\u{FFFD}').unwrap_or(0);
        diagnostics.push(
            Diagnostic::warning(&codes::NOT_UTF8, "the file has bytes that are not UTF-8")
                .at(Place::new(source, at..at + 3))
                .hint("convert the file to UTF-8"),
        );
    }
    if let Some(at) = source.text.find('\0') {
        diagnostics.push(
            Diagnostic::warning(&codes::NUL, "the file has NUL bytes, which bash drops")
                .at(Place::new(source, at..at + 1)),
        );
    }
    if source.text.starts_with('\u{FEFF}') {
        diagnostics.push(
            Diagnostic::error(
                &codes::BOM,
                "the file starts with a byte order mark, so its first line is lost",
            )
            .at(Place::new(source, 0..3))
            .hint("save the file as UTF-8 without a byte order mark")
            .fix(Edit::replace(source, 0..3, "")),
        );
    }
    if let Some(at) = source.text.find("\r\n") {
        diagnostics.push(
            Diagnostic::warning(
                &codes::CRLF,
                "lines end in carriage returns; dkms before 3.1.5 keeps them in the values",
            )
            .at(Place::new(source, at..at + 1))
            .hint("run `sed -i 's/\\r$//' dkms.conf`")
            .fix(Edit::replace(source, 0..source.text.len(), source.text.replace("\r\n", "\n"))),
        );
    }
}

/// Byte ranges of a range of characters.
struct Offsets {
    bytes: Option<Vec<usize>>,
    length: usize,
}

impl Offsets {
    fn new(text: &str) -> Self {
        let bytes = (!text.is_ascii())
            .then(|| text.char_indices().map(|(at, _)| at).chain(std::iter::once(text.len())).collect());
        Self { bytes, length: text.len() }
    }

    fn range(&self, characters: Range<usize>) -> Range<usize> {
        let at = |index: usize| match &self.bytes {
            None => index.min(self.length),
            Some(bytes) => bytes.get(index).copied().unwrap_or(self.length),
        };
        at(characters.start)..at(characters.end)
    }
}

/// The options of dkms's shell, which a file may change.
const OPTIONS: ShellOptions = ShellOptions { extglob: true, ..ShellOptions::new() };

/// What one reading of the file gives.
struct Reading {
    /// The variables after the first sourcing, but for a kernel's configuration, which some files source.
    first: BTreeMap<String, Variable>,
    directives: BTreeMap<String, Directive>,
    beginnings: BTreeMap<String, String>,
    findings: Vec<Finding>,
    ended: bool,
    /// See [`Host::was_looked_at`].
    was_looked_at: bool,
}

/// Evaluates a file as `read_conf` of dkms would see it. Pure: the same inputs give the same result.
///
/// When `inputs.module` is `None`, the file is read once before, as `dkms add DIR` does, to learn name and version.
#[must_use]
pub fn evaluate(conf: &Conf, inputs: &Inputs) -> Evaluation {
    with_stack(|| evaluate_here(conf, inputs)).unwrap_or_else(|why| {
        let finding = match why {
            NoEnd::Panic => Diagnostic::error(&codes::LIMIT, "the evaluation failed"),
            NoEnd::NoStack => no_stack(),
        };
        Evaluation { diagnostics: vec![finding.at(conf.place(0..0))], ..Evaluation::default() }
    })
}

fn evaluate_here(conf: &Conf, inputs: &Inputs) -> Evaluation {
    if inputs.module.is_some() {
        return report(conf, read(conf, inputs, inputs.module.as_ref()));
    }
    let first = read(conf, inputs, None);
    let identity = identity(&first.directives);
    if identity.is_none() || !first.was_looked_at && !may_ask_who_it_is(&conf.text) {
        return report(conf, first);
    }
    report(conf, read(conf, inputs, identity.as_ref()))
}

/// Whether a file could find out the name and version that dkms knows it by, so that a second reading may differ from the first.
/// Only words that can lead there count; a comment that expands nothing does not.
fn may_ask_who_it_is(text: &str) -> bool {
    const WAYS: &[&str] = &[
        "module",
        "module_version",
        "BASH_SOURCE",
        "BASH_ARGV",
        "caller",
        "eval",
        "declare",
        "typeset",
        "compgen",
        "set",
        "export",
        "readonly",
        "env",
        "printenv",
        "source",
    ];
    let comment = |line: &&str| line.trim_start().starts_with('#') && !line.contains(['$', '`', '\\']);
    let asks = |line: &str| {
        line.contains("${!")
            || line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| WAYS.contains(&word))
    };
    text.lines().filter(|line| !comment(line)).any(asks)
}

/// The name and version that dkms knows a driver by, after it read the file for the first time.
pub(crate) fn identity(directives: &BTreeMap<String, Directive>) -> Option<(String, String)> {
    let known = |name: &str| match directives.get(name)?.get(&0)? {
        Value::Known(text) if is_folder_name(text) => Some(text.clone()),
        _ => None,
    };
    known("PACKAGE_NAME").zip(known("PACKAGE_VERSION"))
}

/// Whether a name or version can be a directory.
fn is_folder_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['/', ' ', '\n', '\t']) && text != "." && text != ".."
}

/// The variables of dkms that a file sees, and what a caller's environment gives; what is not known is marked.
pub(crate) fn settings(inputs: &Inputs, identity: Option<&(String, String)>) -> Vec<(&'static str, String)> {
    let kernel = inputs.kernel.clone().unwrap_or_else(unknown);
    let arch = inputs.arch.clone().unwrap_or_else(unknown);
    let build = format!("/lib/modules/{kernel}/build");
    let config =
        inputs.headers.map_or_else(unknown, |headers| format!("{build}/{}", kernel_config(headers, inputs)));
    let (name, version) = identity.cloned().unwrap_or_default();
    let distribution = inputs.os_release.as_deref().map_or_else(unknown, running_distribution);
    let jobs = inputs.processors.map_or_else(unknown, |count| count.to_string());
    vec![
        ("kernelver", kernel.clone()),
        ("arch", arch),
        ("kernel_source_dir", build),
        ("kernel_config", config),
        ("source_tree", "/usr/src".to_owned()),
        ("dkms_tree", "/var/lib/dkms".to_owned()),
        ("install_tree", "/lib/modules".to_owned()),
        ("module", name),
        ("module_version", version),
        ("current_kernel", inputs.running.clone().unwrap_or(kernel)),
        ("current_os", distribution.clone()),
        ("running_distribution", distribution),
        ("tmp_location", "/tmp".to_owned()),
        ("parallel_jobs", jobs),
        ("HOME", "/root".to_owned()),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
    ]
}

fn base_state(inputs: &Inputs, identity: Option<&(String, String)>) -> State {
    let mut state = State::new();
    state.options = OPTIONS;
    for (variable, value) in settings(inputs, identity) {
        state.set(variable, value);
    }
    let arch = inputs.arch.clone().unwrap_or_else(unknown);
    for (variable, value) in [
        ("IFS", " \t\n"),
        ("PWD", "/"),
        ("UID", "0"),
        ("EUID", "0"),
        ("OSTYPE", "linux-gnu"),
        ("HOSTTYPE", &arch),
        ("OPTIND", "1"),
    ] {
        state.set(variable, value);
    }
    // Both sourcings happen in `safe_source`, whose remaining arguments are the names of directives, which grow with dkms.
    state.positional = vec![MAYBE.to_string()].into();
    state
}

/// What dkms takes as `$kernel_config`, relative to the headers: `auto.conf` since 3.1.4, where there is one.
pub(super) fn kernel_config(headers: &dyn ReadTree, inputs: &Inputs<'_>) -> &'static str {
    const AUTO: &str = "include/config/auto.conf";
    if headers.exists(AUTO) && is_at_least(inputs, "3.1.4") { AUTO } else { ".config" }
}

/// `distro_version` of dkms 3.x: `ID` for ubuntu, else `ID_LIKE`, else `ID`.
fn running_distribution(text: &str) -> String {
    let field = |key| os_release_field(text, key);
    let id = field("ID").unwrap_or_default();
    if id == "ubuntu" {
        return id;
    }
    field("ID_LIKE").filter(|like| !like.is_empty()).unwrap_or(id)
}

/// One `read_conf`: both sourcings.
fn read(conf: &Conf, inputs: &Inputs, identity: Option<&(String, String)>) -> Reading {
    let host = Host::new(inputs, identity);
    let mut shell = Shell::new(&host);
    shell.state = base_state(inputs, identity);
    shell.sources.push(DKMS.to_owned());
    shell.sources.push(host.script_path().to_owned());
    shell.state.frames.push(BTreeMap::new());
    shell.state.stdout = Sink::Away;
    let mut flow = shell.run_script(&conf.script);
    shell.lost |= conf.script.error.as_ref().is_some_and(|error| error.ends != Ends::Rest);
    if shell.state.options.errexit && flow != Flow::Exit && shell.state.status != Some(0) {
        // the command that reads the file has its status
        shell.lose("`set -e` where the file itself ends with a failure");
    }
    shell.place = None;
    shell.sources.pop();
    if flow == Flow::Return || matches!(flow, Flow::Break(_) | Flow::Continue(_)) {
        flow = Flow::Next;
    }
    shell.join_pending(0, |flow| matches!(flow, Flow::Return | Flow::Break(_) | Flow::Continue(_)));
    let first = own_variables(&shell.state);
    shell.state.stdout = Sink::Capture;
    shell.state.output.clear();
    let open = shell.open_directives;
    let is_stray = directives(&shell.state).any(|variable| variable.stray);
    let blurred = settle(&mut shell.state);
    let open_value = has_value(&shell.state, is_unknown);
    let has_quote =
        |text: &str| text.contains(['"', '`', '\\']) || text.contains("$(") || text.contains("${");
    if !blurred.is_empty() && has_value(&shell.state, has_quote)
        || open_value && has_value(&shell.state, reaches_on)
        || is_stray
    {
        // what is not known may stand in the middle of it
        shell.lose("a quote that does not end in its value");
    }
    let mut ended = flow != Flow::Next;
    if flow == Flow::Next {
        let conditional = !shell.pending.is_empty();
        flow = export_all(inputs, &mut shell);
        ended = flow != Flow::Next;
        if flow != Flow::Limit {
            shell.run_exit_trap();
        }
        if conditional {
            shell.note_unknown("whether the file ends early");
        }
    } else if flow == Flow::Exit {
        shell.run_exit_trap();
    }
    let text = std::mem::take(&mut shell.state.output);
    let mut findings = std::mem::take(&mut shell.findings);
    let (mut directives, lost) = if flow == Flow::Limit {
        (BTreeMap::new(), false)
    } else {
        second(inputs, identity, &host, &text, &mut findings)
    };
    let lost = lost || shell.lost;
    for name in &blurred {
        directives.insert(name.clone(), Directive::from([(0, Value::Unknown)]));
    }
    if open && !ended || lost {
        for name in VARIABLES.iter().filter(|name| name.starts_with(|c: char| c.is_ascii_uppercase())) {
            directives.entry((*name).to_owned()).or_insert_with(|| Directive::from([(0, Value::Unknown)]));
        }
    }
    let beginnings = if shell.pending.is_empty() && !lost { beginnings(&first) } else { BTreeMap::new() };
    if lost {
        // also an array's elements that are not even known to be there
        for elements in directives.values_mut() {
            elements.entry(0).or_insert(Value::Unknown);
        }
    }
    if !shell.pending.is_empty() || lost {
        for value in directives.values_mut().flat_map(BTreeMap::values_mut) {
            *value = Value::Unknown;
        }
    }
    let was_looked_at = host.was_looked_at();
    Reading { first, directives, beginnings, findings, ended, was_looked_at }
}

fn own_variables(state: &State) -> BTreeMap<String, Variable> {
    let own = state.variables.iter().filter(|(name, _)| !name.starts_with("CONFIG_"));
    own.map(|(name, variable)| (name.clone(), variable.clone())).collect()
}

/// What partly unknown values begin with, where the second sourcing leaves the known part alone.
fn beginnings(first: &BTreeMap<String, Variable>) -> BTreeMap<String, String> {
    let known = |name: &&str| {
        let text = match &first.get(*name)?.data {
            Data::Scalar(text) => text,
            Data::Indexed(values) => values.get(&0)?,
            _ => return None,
        };
        let (known, _) = text.split_once([UNKNOWN, MAYBE])?;
        let plain = !known.contains(['"', '$', '`', '\\', '*', '?', '[']);
        plain.then(|| ((*name).to_owned(), known.to_owned()))
    };
    VARIABLES.iter().filter_map(known).collect()
}

/// Prepares what is not known for the export; returns the directives of which not even the elements are known.
fn settle(state: &mut State) -> Vec<String> {
    state.open_names = false;
    state.open_config = false;
    let mut blurred = Vec::new();
    for name in VARIABLES {
        let Some(variable) = state.variables.get_mut(*name) else { continue };
        match &mut variable.data {
            Data::Unknown => {
                blurred.push((*name).to_owned());
                state.variables.remove(*name);
            }
            Data::Scalar(value) if value.contains(MAYBE) => *value = unknown(),
            Data::Indexed(values) => {
                values
                    .values_mut()
                    .filter(|value| value.contains(MAYBE))
                    .for_each(|value| *value = unknown());
            }
            Data::Associative(values) => {
                values
                    .values_mut()
                    .filter(|value| value.contains(MAYBE))
                    .for_each(|value| *value = unknown());
            }
            _ => {}
        }
    }
    blurred
}

/// Whether a directive has such a value.
fn has_value(state: &State, is_so: impl Fn(&str) -> bool) -> bool {
    directives(state).any(|variable| variable.data.any(&is_so))
}

fn directives(state: &State) -> impl Iterator<Item = &Variable> {
    VARIABLES.iter().filter_map(|name| state.variables.get(*name))
}

/// Whether this dkms carries a directive from the subshell into its own: newer ones are lost to an older dkms.
fn is_exported(inputs: &Inputs, name: &str) -> bool {
    match name {
        "BUILD_EXCLUSIVE_KERNEL_MIN" | "BUILD_EXCLUSIVE_KERNEL_MAX" => is_at_least(inputs, "3.0.11"),
        "BUILD_DEPENDS_REBUILD" => is_at_least(inputs, "3.2.0"),
        _ => true,
    }
}

/// The directives that this dkms carries over, in its order: a quote that does not end in one takes those behind it along.
pub(crate) fn carried_over(inputs: &Inputs) -> Vec<&'static str> {
    let mut names: Vec<_> = VARIABLES.iter().copied().filter(|name| is_exported(inputs, name)).collect();
    if !is_at_least(inputs, "3.1.8") {
        // read in 3.0.10; CLEAN was deprecated in 3.1.8, and stands behind the others in 3.2.2
        names.sort_by_key(|name| *name != "CLEAN");
        let exclusive = names.iter().take_while(|name| **name != "build_exclude").count();
        names[..exclusive]
            .sort_by_key(|name| matches!(*name, "BUILD_EXCLUSIVE_ARCH" | "BUILD_EXCLUSIVE_CONFIG"));
    }
    names
}

/// What it runs for each.
pub(crate) fn export(inputs: &Inputs) -> &'static str {
    if is_at_least(inputs, "3.1.5") { EXPORT } else { EXPORT_OLD }
}

/// Prints every directive as `safe_source` does.
fn export_all(inputs: &Inputs, shell: &mut Shell<'_>) -> Flow {
    let script = export(inputs);
    // A name that is not set prints nothing, unless the file changed what these commands do.
    let changed = shell.state.options.failglob || !shell.state.functions.is_empty();
    for name in carried_over(inputs) {
        if !changed && !shell.state.variables.contains_key(name) {
            continue;
        }
        if let Some(lines) = plain_export(&shell.state, name) {
            if let Err(flow) = shell.print(&lines) {
                return flow;
            }
            continue;
        }
        shell.state.set("_export_env", name);
        let flow = shell.run_text(script);
        if flow != Flow::Next {
            return flow;
        }
    }
    let mut lines = String::new();
    for (name, variable) in shell.state.variables.iter() {
        // `set | grep ^DKMS_DIRECTIVE | cut -d = -f 2-3`, split into words.
        let Data::Scalar(value) = &variable.data else { continue };
        if !name.starts_with("DKMS_DIRECTIVE") {
            continue;
        }
        let shown = if value.contains(|c: char| !c.is_ascii_alphanumeric() && !"_-./:=@%+,".contains(c)) {
            shell::single_quote(value)
        } else {
            value.clone()
        };
        let cut: Vec<&str> = shown.split('=').take(2).collect();
        for word in cut.join("=").split_whitespace() {
            let (name, _) = word.split_once('=').unwrap_or((word, ""));
            let value = word.split_once('=').map_or(word, |(_, value)| value);
            lines.push_str(&format!("{name}=\"{value}\"\n"));
        }
    }
    shell.print(&lines).map_or_else(|flow| flow, |()| Flow::Next)
}

/// What the export prints for a directive whose values hold nothing but text, in a shell that the file did not change: most of them.
/// Blanks collapse as `echo` makes them.
fn plain_export(state: &State, name: &str) -> Option<String> {
    let usual = state.functions.is_empty()
        && state.options == OPTIONS
        && state.exit_trap.is_none()
        && ["_i", "_export_env"]
            .iter()
            .all(|name| !state.variables.get(*name).is_some_and(|own| own.readonly))
        && matches!(&state.variables.get("IFS")?.data, Data::Scalar(value) if value == " \t\n");
    let special = |c: char| "*?[(\\\r".contains(c) || matches!(c, UNKNOWN | MAYBE);
    let line = |(index, value): (usize, &String)| {
        let words = value.split([' ', '\t', '\n']);
        let mut text = String::new();
        for (at, word) in words.enumerate() {
            // runs of blanks end in one
            if at > 0 && !text.ends_with(' ') {
                text.push(' ');
            }
            text.push_str(word);
        }
        (usual && !value.contains(special)).then(|| format!("{name}[{index}]=\"{text}\"\n"))
    };
    match &state.variables.get(name)?.data {
        Data::Scalar(value) => line((0, value)),
        Data::Indexed(values) => values.iter().map(|(index, value)| line((*index, value))).collect(),
        _ => None,
    }
}

/// The directives in lines that hold nothing but text, which sourcing leaves as it is; nothing when one holds more.
fn plain_directives(text: &str) -> Option<BTreeMap<String, Directive>> {
    let mut directives: BTreeMap<String, Directive> = BTreeMap::new();
    for line in text.split_terminator('\n') {
        let (name, rest) = line.split_once('[')?;
        let (index, rest) = rest.split_once("]=\"")?;
        let value = rest.strip_suffix('"')?;
        let special = |c: char| "\"$`\\".contains(c) || matches!(c, UNKNOWN | MAYBE);
        if value.contains(special) || !VARIABLES.contains(&name) {
            return None;
        }
        let elements = directives.entry(name.to_owned()).or_default();
        elements.insert(index.parse().ok()?, Value::Known(value.to_owned()));
    }
    Some(directives)
}

/// Sources the exported text in dkms's own shell.
fn second(
    inputs: &Inputs,
    identity: Option<&(String, String)>,
    host: &Host<'_>,
    text: &str,
    findings: &mut Vec<Finding>,
) -> (BTreeMap<String, Directive>, bool) {
    if let Some(directives) = plain_directives(text) {
        return (directives, false);
    }
    let mut shell = Shell::new(host);
    shell.state = base_state(inputs, identity);
    shell.state.stdout = Sink::Away;
    shell.sources.push(DKMS.to_owned());
    shell.state.frames.push(BTreeMap::new());
    shell.lenient = 1;
    let flow = shell.source_text("/tmp/dkms.conf", text);
    shell.join_all();
    findings.extend(
        shell
            .findings
            .drain(..)
            .filter(|finding| matches!(finding.remark, Remark::Ends(_) | Remark::Limit(_))),
    );
    let mut directives = BTreeMap::new();
    if flow == Flow::Exit {
        // dkms itself has ended
        return (directives, shell.lost);
    }
    for name in VARIABLES {
        let Some(variable) = shell.state.variables.get(*name) else { continue };
        let elements: Directive = match &variable.data {
            Data::Unset | Data::Associative(_) => continue,
            Data::Unknown => Directive::from([(0, Value::Unknown)]),
            _ => shell
                .indexed(name)
                .into_iter()
                .map(|(index, text)| {
                    (index, if is_unknown(&text) { Value::Unknown } else { Value::Known(text) })
                })
                .collect(),
        };
        if !elements.is_empty() {
            directives.insert((*name).to_owned(), elements);
        }
    }
    (directives, shell.lost)
}

/// Turns a reading into the public form, with findings where dkms's value differs from bash's.
fn report(conf: &Conf, reading: Reading) -> Evaluation {
    let offsets = Offsets::new(&conf.text);
    let mut places = BTreeMap::new();
    let mut strangers = Vec::new();
    for (name, variable) in &reading.first {
        let Some(place) = &variable.place else { continue };
        let place = offsets.range(place.clone());
        if VARIABLES.contains(&name.as_str()) {
            places.insert(name.clone(), place);
        } else if may_mean_a_directive(name) {
            strangers.push((name.clone(), Some(place)));
        }
    }
    let mut diagnostics: Vec<Diagnostic> = reading
        .findings
        .iter()
        .map(|finding| {
            let diagnostic = words::finding(&finding.remark);
            match &finding.place {
                Some(place) => diagnostic.at(conf.place(offsets.range(place.clone()))),
                None => diagnostic,
            }
        })
        .collect();
    if !reading.ended {
        compare_readings(conf, &reading, &places, &mut diagnostics);
    }
    Evaluation {
        directives: reading.directives,
        diagnostics,
        strangers,
        places,
        beginnings: reading.beginnings,
    }
}

/// What bash has and what dkms makes of it.
fn compare_readings(
    conf: &Conf,
    reading: &Reading,
    places: &BTreeMap<String, Range<usize>>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for name in VARIABLES {
        let Some(variable) = reading.first.get(*name) else { continue };
        let elements: Vec<(usize, &String)> = match &variable.data {
            Data::Scalar(value) => vec![(0, value)],
            Data::Indexed(values) => values.iter().map(|(index, value)| (*index, value)).collect(),
            _ => continue,
        };
        for (index, text) in elements {
            if text.contains([UNKNOWN, MAYBE]) {
                continue;
            }
            let seen = reading.directives.get(*name).and_then(|elements| elements.get(&index));
            let stripped = text.strip_suffix('\r').unwrap_or(text);
            let same = matches!(seen, Some(Value::Known(seen)) if seen == stripped || seen == text);
            if same {
                continue;
            }
            let shown = if index == 0 { (*name).to_owned() } else { format!("{name}[{index}]") };
            let mut diagnostic = describe_difference(&shown, text, seen);
            if let Some(place) = places.get(*name) {
                diagnostic = diagnostic.at(conf.place(place.clone()));
            }
            diagnostics.push(diagnostic);
        }
    }
}

fn describe_difference(name: &str, text: &str, seen: Option<&Value>) -> Diagnostic {
    let seen_text = match seen {
        Some(Value::Known(seen)) => format!("dkms reads `{seen}`"),
        Some(Value::Unknown) => "what dkms reads is not known".to_owned(),
        None => "dkms does not see the directive at all".to_owned(),
    };
    if text.contains('"') {
        let message = format!("`{name}` has a double quote inside its value: {seen_text}");
        let diagnostic = match seen {
            None => Diagnostic::error(&codes::LOST_QUOTE, message),
            Some(_) => Diagnostic::warning(&codes::LOST_QUOTE, message),
        };
        return diagnostic.hint("use single quotes inside the value");
    }
    if seen.is_none() {
        return Diagnostic::error(&codes::LOST, format!("`{name}` is set, but {seen_text}"));
    }
    let severity = match seen {
        Some(Value::Known(seen)) if seen.split_whitespace().eq(text.split_whitespace()) => Severity::Note,
        _ => Severity::Warning,
    };
    Diagnostic::new(&codes::ROUND_TRIP, severity, format!("`{name}` is read twice: {seen_text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_said_to_be_while_it_happens() {
        assert!(!catches_panics());
        let caught = with_stack(|| {
            // within another one
            let inner: Result<(), _> = with_stack(|| panic!("of the parser"));
            assert!(matches!(inner, Err(NoEnd::Panic)));
            catches_panics()
        });
        assert!(caught.is_ok_and(|caught| caught));
        assert!(!catches_panics());
    }

    #[test]
    fn there_is_stack_for_what_recurses_as_deep_as_a_file_says() {
        fn depth(left: usize) -> usize {
            let frame = std::hint::black_box([left; 1 << 10]);
            if left == 0 { 0 } else { depth(frame[0] - 1) + 1 }
        }
        // 80 MiB and more; a thread of tests has 2
        assert!(with_stack(|| depth(10_000)).is_ok_and(|depth| depth == 10_000));
    }
}
