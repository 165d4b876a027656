//! Where in the text of a dkms.conf a variable gets another value, so that everything that uses it sees the new one.
//!
//! Works on text and evaluates nothing; who calls it evaluates the result.

use std::ops::Range;

/// Lines are put in at most so often.
const INSERTIONS: usize = 50;
/// So many lines are looked at for one at which a command begins.
const LINES: usize = 500;

/// A text with other values in it.
pub(super) struct Changed {
    pub(super) text: String,
    /// A use that comes behind an assignment in the same command, so that nothing can be put between them.
    pub(super) unreachable: Option<Range<usize>>,
}

/// Puts an assignment before the first command that uses the variable, and before every one that uses it after something else may
/// have set it. `is_whole` says whether a text is a sequence of whole commands.
pub(super) fn before_uses(
    text: &str,
    variable: &str,
    value: &str,
    is_whole: &dyn Fn(&str) -> bool,
) -> Changed {
    let word = format!("{variable}=\"{value}\"");
    let mut changed = Changed { text: text.to_owned(), unreachable: None };
    let mut next = 0;
    for _ in 0..INSERTIONS {
        let text = &changed.text;
        let is_own = |at: usize| text[at..].starts_with(&word) && is_certain(text, at, is_whole);
        let is_set = |at: usize| {
            let own = assignments(text, variable).filter(|own| *own < at && is_own(*own)).last();
            own.is_some_and(|own| !setters(text, variable).any(|setter| (own + 1..at).contains(&setter)))
        };
        let Some(at) = uses(text, variable).find(|at| *at >= next && !is_set(*at)) else { break };
        let start = command_start(text, at, is_whole);
        next = at + 1;
        if text[..start].ends_with(&format!("{word}\n")) {
            // behind our line, and in a command that reads another file before
            continue;
        }
        let sets = assignments(text, variable).any(|other| (start..at).contains(&other));
        if sets && !assigns_itself(text, variable, start, at) {
            changed.unreachable = Some(at..at + variable.len() + 1);
            break;
        }
        changed.text.insert_str(start, &format!("{word}\n"));
        next += word.len() + 1;
    }
    changed
}

/// Whether an assignment is made whatever happens: not in a branch, a function or a pipe.
fn is_certain(text: &str, at: usize, is_whole: &dyn Fn(&str) -> bool) -> bool {
    let line = line_before(text, at);
    let words = ["if", "then", "else", "for", "while", "until", "do", "case"];
    is_whole(&text[..at - line.len()])
        && !line.contains(['&', '|', '(', '{'])
        && !line.split_whitespace().any(|word| words.contains(&word))
}

/// Whether the assignment before a use is the one that uses it: `X=${X%-*}`.
fn assigns_itself(text: &str, variable: &str, start: usize, at: usize) -> bool {
    let last = assignments(text, variable).filter(|other| (start..at).contains(other)).last();
    last.is_some_and(|other| other + word_length(&text[other..]) > at)
}

/// The text with another value in the last assignment to a variable.
pub(super) fn in_assignment(text: &str, variable: &str, value: &str) -> Option<String> {
    let at = assignments(text, variable).last()?;
    let (before, rest) = text.split_at(at);
    Some(format!("{before}{variable}=\"{value}\"{}", &rest[word_length(rest)..]))
}

/// The variable whose value the last assignment to another one takes over: `Y` of `X="$Y"`.
pub(super) fn taken_over<'a>(text: &'a str, variable: &str) -> Option<&'a str> {
    let at = assignments(text, variable).last()?;
    let word = &text[at..at + word_length(&text[at..])];
    let value = word.split_once('=')?.1.trim_matches('"');
    let name = value
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'))
        .or_else(|| value.strip_prefix('$'))?;
    let is_name = !name.is_empty() && name.bytes().all(is_name_byte) && !name.as_bytes()[0].is_ascii_digit();
    is_name.then_some(name)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Where `$X` and `${X…}` stand, but for comments and `${X:=…}`, which sets it.
pub(super) fn uses<'a>(text: &'a str, variable: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices('$').map(|(at, _)| at).filter(move |at| {
        let rest = &text[at + 1..];
        let (rest, braced) = rest.strip_prefix('{').map_or((rest, false), |rest| (rest, true));
        let Some(after) = rest.strip_prefix(variable) else { return false };
        let ends = !after.bytes().next().is_some_and(is_name_byte);
        let sets = braced && (after.starts_with(":=") || after.starts_with('='));
        ends && !sets && !is_comment(text, *at)
    })
}

/// Where a variable is assigned to in so many words, outside of quotes and comments.
pub(super) fn assignments<'a>(text: &'a str, variable: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(variable).map(|(at, _)| at).filter(move |at| {
        let after = &text[at + variable.len()..];
        let assigns = after.starts_with('=') || after.starts_with("+=") || after.starts_with("[0]=");
        let before = text[..*at].bytes().next_back();
        assigns
            && before.is_none_or(|byte| byte.is_ascii_whitespace() || b";&|(!".contains(&byte))
            && !is_comment(text, *at)
            && quotes(text, *at) == (false, false)
    })
}

/// What may set a variable: assignments, and commands that read other files or evaluate other texts.
fn setters<'a>(text: &'a str, variable: &'a str) -> impl Iterator<Item = usize> + 'a {
    let mut offset = 0;
    let sourced = text.split_inclusive('\n').filter_map(move |line| {
        let at = offset;
        offset += line.len();
        let reads = line.split([';', '&', '|', '(']).any(|command| {
            let words = command.split_whitespace().skip_while(|word| {
                matches!(*word, "then" | "else" | "do" | "{" | "if" | "!" | "builtin" | "command")
            });
            matches!(words.take(1).next(), Some("." | "source" | "eval" | "read"))
        });
        (reads && !line.trim_start().starts_with('#')).then_some(at)
    });
    assignments(text, variable).chain(sourced)
}

/// Whether something else than an assignment may set a variable between its last assignment and a use.
pub(super) fn is_set_by_others(text: &str, variable: &str) -> bool {
    let last = assignments(text, variable).last().unwrap_or(0);
    let used = uses(text, variable).last().unwrap_or(0);
    setters(text, variable).any(|setter| (last..used).contains(&setter) && setter != last)
}

/// The line that a byte is in, up to it.
fn line_before(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    &text[start..at]
}

/// Whether a byte is inside single and double quotes, as far as its line tells.
fn quotes(text: &str, at: usize) -> (bool, bool) {
    let (mut single, mut double, mut escaped) = (false, false, false);
    for byte in line_before(text, at).bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if !single => escaped = true,
            b'\'' if !double => single = !single,
            b'"' if !single => double = !double,
            _ => {}
        }
    }
    (single, double)
}

fn is_comment(text: &str, at: usize) -> bool {
    let line = line_before(text, at);
    let start = at - line.len();
    line.match_indices('#').any(|(hash, _)| {
        let begins =
            line[..hash].bytes().next_back().is_none_or(|byte| byte.is_ascii_whitespace() || byte == b';');
        begins && quotes(text, start + hash) == (false, false)
    })
}

/// The start of the line, at or before a byte, where a command of the whole file begins.
fn command_start(text: &str, at: usize, is_whole: &dyn Fn(&str) -> bool) -> usize {
    let mut start = at - line_before(text, at).len();
    for _ in 0..LINES {
        if start == 0 || !text[..start].ends_with("\\\n") && is_whole(&text[..start]) {
            return start;
        }
        start -= line_before(text, start - 1).len() + 1;
    }
    0
}

/// How long a word of bash is: quotes, substitutions and arrays belong to it.
fn word_length(text: &str) -> usize {
    let (mut single, mut double, mut escaped, mut backtick) = (false, false, false, false);
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if !single => escaped = true,
            b'\'' if !double => single = !single,
            _ if single => {}
            b'`' => backtick = !backtick,
            b'"' => double = !double,
            b'(' => open += 1,
            b')' if open > 0 => open -= 1,
            _ if double || backtick || open > 0 => {}
            _ if byte.is_ascii_whitespace() || b";&|)<>".contains(&byte) => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> String {
        let is_whole = |text: &str| !text.contains("if ") || text.contains("fi\n");
        before_uses(text, "V", "9", &is_whole).text
    }

    #[test]
    fn an_assignment_stands_before_the_first_use() {
        assert_eq!(set(". f\nM=\"a $V\"\n"), ". f\nV=\"9\"\nM=\"a $V\"\n");
        assert_eq!(set("if x; then\nM=${V}\nfi\n"), "V=\"9\"\nif x; then\nM=${V}\nfi\n");
        assert_eq!(set("A=\"$V\"\n. f\nB=$V\nC=$V\n"), "V=\"9\"\nA=\"$V\"\n. f\nV=\"9\"\nB=$V\nC=$V\n");
        assert_eq!(set("# $V\n: ${V:=1}\nA=$VX\n"), "# $V\n: ${V:=1}\nA=$VX\n");
        assert_eq!(set("A='$V' # $V\n"), "V=\"9\"\nA='$V' # $V\n");
        // what is handed to make is no assignment
        assert_eq!(set("V=1\nM=\"make V=$V\"\nN=$V\n"), "V=1\nV=\"9\"\nM=\"make V=$V\"\nN=$V\n");
    }

    #[test]
    fn a_use_behind_an_assignment_in_one_command_cannot_be_reached() {
        let is_whole = |text: &str| !text.contains("if ") || text.contains("fi\n");
        let text = "if x; then\nV=1\nM=$V\nfi\n";
        assert_eq!(before_uses(text, "V", "9", &is_whole).unreachable, Some(17..19));
    }

    #[test]
    fn an_assignment_is_replaced_word_by_word() {
        for (text, changed) in [
            ("V=1; M=2\n", "V=\"9\"; M=2\n"),
            ("export V=$(cat \"a b\" | sed 's/)//') # x\n", "export V=\"9\" # x\n"),
            ("readonly V=`a b`\n", "readonly V=\"9\"\n"),
            ("declare V=\"a\nb\"\nM=\"V=1\"", "declare V=\"9\"\nM=\"V=1\""),
        ] {
            assert_eq!(in_assignment(text, "V", "9").as_deref(), Some(changed));
        }
        assert_eq!(in_assignment("M=\"make V=1\" # V=2\n", "V", "9"), None);
    }

    #[test]
    fn a_value_may_be_taken_over() {
        assert_eq!(taken_over("V=\"${OWN}\"\n", "V"), Some("OWN"));
        assert_eq!(taken_over("V=$OWN\n", "V"), Some("OWN"));
        assert_eq!(taken_over("V=\"${OWN}-1\"\n", "V"), None);
    }
}
