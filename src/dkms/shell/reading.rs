//! The builtins that read standard input: `read` and `mapfile` (bash manual, "Bash Builtin Commands").
//!
//! Must not know where standard input comes from.

use std::rc::Rc;

use super::builtins::is_identifier;
use super::state::{Data, Input, is_unknown, unknown};
use super::{Flow, Shell};

/// A character, and whether a backslash stood before it, so that it separates nothing.
type Letter = (char, bool);

/// What `read` was told.
#[derive(Default)]
struct ReadFlags {
    raw: bool,
    array: Option<String>,
    /// `-d`; nothing: NUL, which no text has.
    delimiter: Option<char>,
    /// `-n`.
    most: Option<usize>,
    /// `-N`.
    exactly: Option<usize>,
    /// It reads something else than standard input, or in a way that is not modelled.
    elsewhere: bool,
    names: Vec<String>,
}

impl ReadFlags {
    /// Nothing: a wrong use.
    fn parse(arguments: &[String]) -> Option<Self> {
        let mut options = Self { delimiter: Some('\n'), ..Self::default() };
        let mut i = 0;
        while let Some(flags) = arguments.get(i).and_then(|argument| argument.strip_prefix('-')) {
            i += 1;
            if flags == "-" || flags.is_empty() {
                i -= usize::from(flags.is_empty());
                break;
            }
            let mut letters = flags.chars();
            while let Some(letter) = letters.next() {
                let mut value = || {
                    let inline = letters.as_str();
                    letters = "".chars();
                    if inline.is_empty() {
                        i += 1;
                        arguments.get(i - 1).cloned()
                    } else {
                        Some(inline.to_owned())
                    }
                };
                match letter {
                    'r' => options.raw = true,
                    's' => {}
                    'a' => options.array = Some(value()?),
                    'd' => options.delimiter = value()?.chars().next(),
                    'n' => options.most = Some(value()?.parse().ok()?),
                    'N' => options.exactly = Some(value()?.parse().ok()?),
                    'p' => drop(value()?),
                    // with input at hand the time does not matter, unless there is none of it
                    't' => options.elsewhere |= value()?.parse::<u32>().unwrap_or(0) == 0,
                    'u' => options.elsewhere |= value()? != "0",
                    'i' => {
                        value()?;
                        options.elsewhere = true;
                    }
                    'e' => options.elsewhere = true,
                    _ => return None,
                }
            }
        }
        options.names = arguments.get(i..).unwrap_or_default().to_vec();
        Some(options)
    }

    fn targets(&self) -> Vec<String> {
        match &self.array {
            Some(array) => vec![array.clone()],
            None if self.names.is_empty() => vec!["REPLY".to_owned()],
            None => self.names.clone(),
        }
    }
}

impl Shell<'_> {
    pub(super) fn read_command(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let Some(options) = ReadFlags::parse(arguments) else { return self.finish(2) };
        let targets = options.targets();
        let base = |name: &String| name.split('[').next().unwrap_or_default().to_owned();
        if !targets.iter().all(|name| is_identifier(&base(name))) {
            return self.finish(1);
        }
        let (line, complete) = self.read_line(&options);
        let text: String = line.iter().map(|(c, _)| *c).collect();
        let counted = options.most.is_some() || options.exactly.is_some();
        let readonly =
            |name: &String| self.state.variables.get(&base(name)).is_some_and(|variable| variable.readonly);
        let is_open = options.elsewhere || is_unknown(&text) || counted && self.is_of_a_locale(&text);
        if targets.iter().any(readonly) {
            self.lose("`read` into what is readonly");
        } else if is_open {
            for name in &targets {
                self.blur(&base(name));
            }
        } else {
            self.assign_line(&options, &line, text)?;
            return self.finish(u8::from(!complete));
        }
        if is_open {
            self.note_unknown("what `read` reads");
        }
        self.state.status = None;
        Ok(Flow::Next)
    }

    fn assign_line(&mut self, options: &ReadFlags, line: &[Letter], text: String) -> Result<(), Flow> {
        let ifs = self.scalar("IFS").unwrap_or_else(|| " \t\n".to_owned());
        if let Some(name) = &options.array {
            let values = split_fields(line, &ifs, usize::MAX);
            // its elements are assigned like those of a new list
            if self
                .state
                .variables
                .get(name)
                .is_some_and(|variable| matches!(variable.data, Data::Associative(_)))
            {
                self.blur(name);
                return Ok(());
            }
            return self.assign_array(name, vec![(None, values)], false, false);
        }
        if options.names.is_empty() {
            return self.assign("REPLY", None, text, false);
        }
        let mut values = match options.exactly {
            Some(_) => vec![text],
            None => split_fields(line, &ifs, options.names.len()),
        }
        .into_iter();
        for name in &options.names {
            let value = values.next().unwrap_or_default();
            match name.split_once('[') {
                Some((base, rest)) => self.assign(base, Some(rest.trim_end_matches(']')), value, false)?,
                None => self.assign(name, None, value, false)?,
            }
        }
        Ok(())
    }

    /// One line of standard input without its end; whether it came to one.
    fn read_line(&mut self, options: &ReadFlags) -> (Vec<Letter>, bool) {
        let Some(Input { text, position }) = self.state.input.clone() else {
            // Standard input is whatever the caller has.
            return (unknown().chars().map(|c| (c, false)).collect(), true);
        };
        let delimiter = match options.exactly {
            Some(_) => None,
            None => options.delimiter,
        };
        let most = options.exactly.or(options.most).unwrap_or(usize::MAX);
        let (mut line, mut at, mut complete) = (Vec::new(), position, most == 0);
        let mut chars = text[position..].chars();
        while line.len() < most {
            let Some(c) = chars.next() else { break };
            at += c.len_utf8();
            if Some(c) == delimiter {
                complete = true;
                break;
            }
            if c == '\\' && !options.raw {
                if let Some(next) = chars.next() {
                    at += next.len_utf8();
                    if next != '\n' {
                        line.push((next, true));
                    }
                }
            } else {
                line.push((c, false));
            }
            complete = line.len() == most;
        }
        self.state.input = Some(Input { text, position: at });
        (line, complete)
    }

    pub(super) fn mapfile(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let (mut strip, mut most, mut skipped, mut origin, mut delimiter) = (false, 0, 0, None, Some('\n'));
        let mut elsewhere = false;
        let mut i = 0;
        while let Some(flags) = arguments.get(i).and_then(|argument| argument.strip_prefix('-')) {
            i += 1;
            if flags == "-" {
                break;
            }
            let mut letters = flags.chars();
            while let Some(letter) = letters.next() {
                if letter == 't' {
                    strip = true;
                    continue;
                }
                let inline = std::mem::replace(&mut letters, "".chars()).as_str().to_owned();
                let value = if inline.is_empty() {
                    i += 1;
                    arguments.get(i - 1).cloned()
                } else {
                    Some(inline)
                };
                let number = || value.as_deref().and_then(|value| value.parse::<usize>().ok());
                let known = match (letter, &value) {
                    ('d', Some(value)) => {
                        delimiter = value.chars().next();
                        true
                    }
                    ('n', _) => number().map(|number| most = number).is_some(),
                    ('s', _) => number().map(|number| skipped = number).is_some(),
                    ('O', _) => number().map(|number| origin = Some(number)).is_some(),
                    ('u', Some(fd)) => {
                        elsewhere |= fd != "0";
                        true
                    }
                    ('C' | 'c', Some(_)) => {
                        // it runs a command for some of the lines
                        self.lose("`mapfile -C`");
                        true
                    }
                    _ => false,
                };
                if !known {
                    return self.finish(if "nsO".contains(letter) { 1 } else { 2 });
                }
            }
        }
        let name = arguments.get(i).cloned().unwrap_or_else(|| "MAPFILE".to_owned());
        if !is_identifier(&name) {
            return self.finish(1);
        }
        if self.state.variables.get(&name).is_some_and(|variable| variable.readonly) {
            self.lose("`mapfile` into what is readonly");
        }
        let is_map = |variable: &super::state::Variable| {
            variable.readonly || matches!(variable.data, Data::Associative(_))
        };
        elsewhere |= self.state.variables.get(&name).is_some_and(is_map);
        let Some(Input { text, position }) = self.state.input.clone().filter(|_| !elsewhere) else {
            self.note_unknown("what `mapfile` reads");
            self.blur(&name);
            self.state.status = None;
            return Ok(Flow::Next);
        };
        let rest = &text[position..];
        let pieces: Vec<&str> = match delimiter {
            Some(delimiter) => rest.split_inclusive(delimiter).collect(),
            None if rest.is_empty() => Vec::new(),
            None => vec![rest],
        };
        let taken = pieces.len().min(if most == 0 { usize::MAX } else { skipped.saturating_add(most) });
        let end = position + pieces[..taken].iter().map(|piece| piece.len()).sum::<usize>();
        let stripped = |piece: &str| match delimiter {
            Some(delimiter) if strip => piece.strip_suffix(delimiter).unwrap_or(piece).to_owned(),
            _ => piece.to_owned(),
        };
        let lines: Vec<String> = pieces[..taken].iter().skip(skipped).map(|piece| stripped(piece)).collect();
        let uncertain = is_unknown(rest);
        match origin {
            None => self.assign_array(&name, vec![(None, lines)], false, uncertain)?,
            Some(_) if uncertain => self.blur(&name),
            Some(origin) => {
                for (at, line) in lines.into_iter().enumerate() {
                    self.assign(&name, Some(&(origin + at).to_string()), line, false)?;
                }
            }
        }
        self.state.input = Some(Input { position: end, text: Rc::clone(&text) });
        self.finish(0)
    }
}

/// Splits a line as `read` does; the last field takes the rest.
fn split_fields(line: &[Letter], ifs: &str, most: usize) -> Vec<String> {
    let separates = |letter: &Letter| !letter.1 && ifs.contains(letter.0);
    let blank = |letter: &Letter| separates(letter) && matches!(letter.0, ' ' | '\t' | '\n');
    let text = |letters: &[Letter]| letters.iter().map(|(c, _)| *c).collect::<String>();
    let start = |letters: &[Letter]| letters.iter().take_while(|letter| blank(letter)).count();
    let end =
        |letters: &[Letter]| letters.len() - letters.iter().rev().take_while(|letter| blank(letter)).count();
    let mut rest = &line[start(line)..];
    rest = &rest[..end(rest)];
    let mut fields = Vec::new();
    while !rest.is_empty() {
        if fields.len() + 1 == most {
            // One delimiter at the very end goes, if it is the only one left.
            let trimmed = &rest[..end(rest)];
            if let Some((last, before)) = trimmed.split_last()
                && separates(last)
                && !blank(last)
                && !before.iter().any(separates)
            {
                fields.push(text(before));
                return fields;
            }
            fields.push(text(trimmed));
            return fields;
        }
        let length = rest.iter().position(separates).unwrap_or(rest.len());
        fields.push(text(&rest[..length]));
        rest = &rest[length..];
        rest = &rest[start(rest)..];
        if let Some((first, tail)) = rest.split_first()
            && separates(first)
            && !blank(first)
        {
            rest = &tail[start(tail)..];
        }
    }
    fields
}
