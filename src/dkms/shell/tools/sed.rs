//! A small part of sed: `s`, `p`, `d`, `q`, `y`, `=`-free scripts with simple addresses, on a text in memory.
//!
//! Must not read or write files; a script with anything else is not understood (`None`).

use regex::Regex;

use super::super::pattern::{self, LONGEST};
use super::super::{Flow, Shell};
use super::{Answer, Source};

pub(super) fn sed(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    let (mut quiet, mut extended, mut scripts, mut files) = (false, false, Vec::new(), Vec::new());
    let mut i = 0;
    while i < arguments.len() {
        match arguments[i].as_str() {
            "-n" | "--quiet" | "--silent" => quiet = true,
            "-E" | "-r" | "--regexp-extended" => extended = true,
            "-e" => {
                i += 1;
                scripts.extend(arguments.get(i).cloned());
            }
            "-ne" => {
                quiet = true;
                i += 1;
                scripts.extend(arguments.get(i).cloned());
            }
            "-nE" | "-nr" | "-En" | "-rn" => {
                quiet = true;
                extended = true;
            }
            argument if argument.starts_with('-') && argument.len() > 1 => return Ok(Answer::Unknown),
            argument => files.push(argument.to_owned()),
        }
        i += 1;
    }
    if scripts.is_empty() {
        if files.is_empty() {
            return Ok(Answer::Fails(String::new(), 1));
        }
        scripts.push(files.remove(0));
    }
    let Some(program) = Program::parse(&scripts.join("\n"), extended) else {
        return Ok(Answer::Unknown);
    };
    match shell.source_of(&files)? {
        Source::Text(text) => {
            let mut budget = pattern::TRIES;
            let out = program.run(&text, quiet, &mut budget);
            shell.charge_tries(budget)?;
            Ok(out.map_or(Answer::Unknown, |out| Answer::Known(out, 0)))
        }
        Source::Absent(_) => Ok(Answer::Fails(String::new(), 2)),
        Source::Unknown => Ok(Answer::Unknown),
    }
}

struct Program {
    commands: Vec<Command>,
}

struct Command {
    first: Option<Address>,
    last: Option<Address>,
    negated: bool,
    action: Action,
}

enum Address {
    Line(usize),
    End,
    Match(Regex),
}

enum Action {
    Substitute { regex: Regex, replacement: Vec<Piece>, all: bool, nth: usize, print: bool },
    Print,
    Delete,
    Quit,
    Translate(Vec<char>, Vec<char>),
    Begin,
    End,
}

enum Piece {
    Text(String),
    Group(usize),
}

impl Program {
    fn parse(script: &str, extended: bool) -> Option<Self> {
        let mut rest = script;
        let mut commands = Vec::new();
        let mut depth = 0usize;
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\n', ';']);
            if rest.is_empty() {
                break;
            }
            if rest.starts_with('#') {
                rest = rest.split_once('\n').map_or("", |(_, tail)| tail);
                continue;
            }
            let (command, tail) = parse_command(rest, extended)?;
            match command.action {
                Action::Begin => depth += 1,
                Action::End => depth = depth.checked_sub(1)?,
                _ => {}
            }
            commands.push(command);
            rest = tail;
        }
        (depth == 0).then_some(Self { commands })
    }

    /// Runs it; `None`: something that is not supported came up, or the budget of [`pattern::is_longest`] is spent.
    fn run(&self, text: &str, quiet: bool, budget: &mut usize) -> Option<String> {
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        let mut active = vec![false; self.commands.len()];
        let mut out = String::new();
        for (number, line) in lines.iter().enumerate() {
            let mut space = (*line).to_owned();
            let last = number + 1 == lines.len();
            let (mut deleted, mut quit) = (false, false);
            let mut i = 0;
            while i < self.commands.len() {
                let command = &self.commands[i];
                let selected = command.selects(number + 1, last, &space, &mut active[i]) != command.negated;
                if !selected {
                    i = if matches!(command.action, Action::Begin) { self.end_of(i) } else { i } + 1;
                    continue;
                }
                match &command.action {
                    Action::Begin | Action::End => {}
                    Action::Print => {
                        out.push_str(&space);
                        out.push('\n');
                    }
                    Action::Delete => deleted = true,
                    Action::Quit => quit = true,
                    Action::Translate(from, to) => {
                        space = space
                            .chars()
                            .map(|c| from.iter().position(|x| *x == c).map_or(c, |at| to[at]))
                            .collect();
                    }
                    Action::Substitute { regex, replacement, all, nth, print } => {
                        let (changed, hit) = substitute(&space, regex, replacement, (*all, *nth), budget)?;
                        space = changed;
                        if hit && *print {
                            out.push_str(&space);
                            out.push('\n');
                        }
                    }
                }
                if deleted || quit {
                    break;
                }
                i += 1;
            }
            if !deleted && !quiet {
                out.push_str(&space);
                out.push('\n');
            }
            if quit {
                break;
            }
            if out.len() > LONGEST {
                return None;
            }
        }
        if !text.ends_with('\n') && out.ends_with('\n') && !quiet {
            out.pop();
        }
        Some(out)
    }

    fn end_of(&self, begin: usize) -> usize {
        let mut depth = 0;
        for (i, command) in self.commands.iter().enumerate().skip(begin) {
            match command.action {
                Action::Begin => depth += 1,
                Action::End => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return i;
            }
        }
        self.commands.len()
    }
}

impl Command {
    fn selects(&self, number: usize, last: bool, line: &str, active: &mut bool) -> bool {
        let fits = |address: &Address| match address {
            Address::Line(wanted) => *wanted == number,
            Address::End => last,
            Address::Match(regex) => regex.is_match(line),
        };
        match (&self.first, &self.last) {
            (None, _) => true,
            (Some(address), None) => fits(address),
            (Some(first), Some(end)) => {
                if *active {
                    *active = match end {
                        Address::Line(wanted) => number < *wanted,
                        other => !fits(other),
                    };
                    return !matches!(end, Address::Line(wanted) if number > *wanted);
                }
                if fits(first) {
                    *active = !matches!(end, Address::Line(wanted) if *wanted <= number);
                    return true;
                }
                false
            }
        }
    }
}

/// The line and whether it changed; nothing when it gets too long.
fn substitute(
    line: &str,
    regex: &Regex,
    replacement: &[Piece],
    (all, nth): (bool, usize),
    budget: &mut usize,
) -> Option<(String, bool)> {
    let (mut out, mut copied, mut hit) = (String::new(), 0, false);
    for (count, captures) in regex.captures_iter(line).enumerate() {
        if !pattern::is_sure(regex, line, &captures, budget) {
            return None;
        }
        if count + 1 < nth {
            continue;
        }
        let Some(whole) = captures.get(0) else { continue };
        hit = true;
        out.push_str(&line[copied..whole.start()]);
        for piece in replacement {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Group(group) => out.push_str(captures.get(*group).map_or("", |m| m.as_str())),
            }
            if out.len() > LONGEST {
                return None;
            }
        }
        copied = whole.end();
        if !all {
            break;
        }
    }
    out.push_str(&line[copied..]);
    Some((out, hit))
}

fn compile(text: &str, extended: bool, ignore_case: bool) -> Option<Regex> {
    if extended { pattern::extended(text, ignore_case) } else { pattern::basic(text, ignore_case) }
}

fn parse_address(text: &str, extended: bool) -> Option<(Option<Address>, &str)> {
    match text.chars().next()? {
        '0'..='9' => {
            let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
            let line = text[..end].parse().ok().filter(|line| *line > 0)?;
            Some((Some(Address::Line(line)), &text[end..]))
        }
        '$' => Some((Some(Address::End), &text[1..])),
        '/' => {
            let (body, rest) = delimited(&text[1..], '/')?;
            Some((Some(Address::Match(compile(&body, extended, false)?)), rest))
        }
        _ => Some((None, text)),
    }
}

fn parse_command(text: &str, extended: bool) -> Option<(Command, &str)> {
    let (first, mut rest) = parse_address(text, extended)?;
    let mut last = None;
    if first.is_some() {
        rest = rest.trim_start();
        if let Some(tail) = rest.strip_prefix(',') {
            let (address, tail) = parse_address(tail.trim_start(), extended)?;
            last = Some(address?);
            rest = tail;
        }
    }
    rest = rest.trim_start();
    let negated = rest.starts_with('!');
    rest = rest.trim_start_matches('!').trim_start();
    let name = rest.chars().next()?;
    let tail = &rest[name.len_utf8()..];
    let (action, rest) = match name {
        's' => parse_substitute(tail, extended)?,
        'y' => {
            let delimiter = tail.chars().next()?;
            let (from, tail) = delimited(&tail[delimiter.len_utf8()..], delimiter)?;
            let (to, tail) = delimited(tail, delimiter)?;
            let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
            if from.len() != to.len() || from.contains(&'\\') {
                return None;
            }
            (Action::Translate(from, to), tail)
        }
        'p' => (Action::Print, tail),
        'd' => (Action::Delete, tail),
        'q' => (Action::Quit, tail),
        '{' => (Action::Begin, tail),
        '}' => (Action::End, tail),
        _ => return None,
    };
    let rest = rest.trim_start_matches([' ', '\t']);
    let complete = rest.is_empty() || rest.starts_with([';', '\n', '}', '#']) || name == '{';
    complete.then_some((Command { first, last, negated, action }, rest))
}

/// Text up to an unescaped delimiter; an escaped delimiter loses its backslash.
fn delimited(text: &str, delimiter: char) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    let mut class = false;
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => {
                let (_, next) = chars.next()?;
                if next == delimiter && delimiter.is_ascii_punctuation() {
                    if matches!(
                        next,
                        '.' | '*' | '[' | ']' | '^' | '$' | '+' | '?' | '(' | ')' | '{' | '}' | '|'
                    ) {
                        return None;
                    }
                    out.push(next);
                } else {
                    out.push('\\');
                    out.push(next);
                }
                continue;
            }
            '[' => class = true,
            ']' => class = false,
            _ if c == delimiter && !class => return Some((out, &text[i + c.len_utf8()..])),
            _ if c == delimiter && !text[i + 1..].contains(']') => {
                return Some((out, &text[i + c.len_utf8()..]));
            }
            _ => {}
        }
        out.push(c);
    }
    None
}

fn parse_substitute(text: &str, extended: bool) -> Option<(Action, &str)> {
    let delimiter = text.chars().next()?;
    let (body, rest) = delimited(&text[delimiter.len_utf8()..], delimiter)?;
    let (replacement, mut rest) = delimited(rest, delimiter)?;
    let (mut all, mut nth, mut print, mut ignore_case) = (false, 1, false, false);
    while let Some(flag) = rest.chars().next() {
        match flag {
            'g' => all = true,
            'p' => print = true,
            'i' | 'I' => ignore_case = true,
            '1'..='9' => nth = flag as usize - '0' as usize,
            _ => break,
        }
        rest = &rest[1..];
    }
    let regex = compile(&body, extended, ignore_case)?;
    let pieces = parse_replacement(&replacement)?;
    let groups = regex.captures_len();
    if pieces.iter().any(|piece| matches!(piece, Piece::Group(group) if *group >= groups)) {
        return None;
    }
    Some((Action::Substitute { regex, replacement: pieces, all, nth, print }, rest))
}

fn parse_replacement(text: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut chars = text.chars();
    let mut plain = String::new();
    while let Some(c) = chars.next() {
        let group = match c {
            '&' => Some(0),
            '\\' => match chars.next()? {
                c @ '0'..='9' => Some(c as usize - '0' as usize),
                'n' => {
                    plain.push('\n');
                    None
                }
                't' => {
                    plain.push('\t');
                    None
                }
                other if other.is_alphanumeric() => return None,
                other => {
                    plain.push(other);
                    None
                }
            },
            other => {
                plain.push(other);
                None
            }
        };
        if let Some(group) = group {
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
            pieces.push(Piece::Group(group));
        }
    }
    pieces.push(Piece::Text(plain));
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agree, are_unknown};

    #[test]
    fn scripts_do_what_sed_does() {
        agree(
            "sed",
            &[
                (&["s/a/b/"], "aa\nca\n", "ba\ncb\n", 0),
                (&["s/a/b/g"], "aa\n", "bb\n", 0),
                (&["s/a/b/2"], "aaa\n", "aba\n", 0),
                (&["s/A/b/I"], "a\n", "b\n", 0),
                (&["s|/|-|g"], "a/b\n", "a-b\n", 0),
                (&["s/\\(a*\\)b/[\\1&]/"], "aab\n", "[aaaab]\n", 0),
                (&["-E", "s/(a+)/<\\1>/g"], "aab\n", "<aa>b\n", 0),
                (&["-n", "s/^CONFIG_\\(X\\)=\\(.\\)/\\2\\1/p"], "CONFIG_X=y\nb\n", "yX\n", 0),
                (&["-n", "2p"], "a\nb\nc\n", "b\n", 0),
                (&["-n", "$p"], "a\nb\n", "b\n", 0),
                (&["2,3d"], "a\nb\nc\nd\n", "a\nd\n", 0),
                (&["/b/,/c/d"], "a\nb\nc\nd\n", "a\nd\n", 0),
                (&["/b/!d"], "a\nb\n", "b\n", 0),
                (&["2q"], "a\nb\nc\n", "a\nb\n", 0),
                (&["y/ab/xy/"], "abc\n", "xyc\n", 0),
                (&["-n", "/b/{s/b/x/;p}"], "a\nb\n", "x\n", 0),
                (&["-e", "s/a/b/", "-e", "s/b/c/"], "a\n", "c\n", 0),
                (&["s/x/y/"], "no newline x", "no newline y", 0),
                (&["s/=.*//", "config"], "", "CONFIG_X\n# CONFIG_Y is not set\nCONFIG_DRM\n", 0),
                (&["p", "nothing"], "", "", 2),
                (&[], "", "", 1),
            ],
        );
    }

    #[test]
    fn what_writes_or_is_no_script_is_not_known() {
        are_unknown(
            "sed",
            &[
                (&["-i", "s/a/b/", "config"], ""),
                (&["s/a/b"], "a\n"),
                (&["w file"], "a\n"),
                (&["N;P;D"], "a\n"),
                (&["-E", "s/(a+)|b/<\\1>/g"], "aab\n"),
            ],
        );
    }
}
