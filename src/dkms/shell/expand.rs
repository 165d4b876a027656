//! Word expansion as bash does it: braces, tilde, parameters, commands, arithmetic, splitting, globbing, quote removal.
//!
//! Works on the raw text of a word, because what a backslash or a quote means depends on where it stands. Must not run commands itself.

use super::escapes::{Style, decode};
use super::pattern::{Glob, Part};
use super::scan::{end_of_ansi, end_of_arithmetic, end_of_substitution};
use super::state::{Data, MAYBE, UNKNOWN, is_unknown, unknown};
use super::variables::BASH_MAJOR;
use super::{Flow, Shell};

/// How text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mode {
    /// Inside double quotes or a here-document.
    pub double: bool,
    /// `"` is an ordinary character (here-documents).
    pub document: bool,
    /// `~` expands at the start.
    pub tilde: bool,
    /// `~` expands after a colon (assignments).
    pub colon_tilde: bool,
    /// Unquoted literal text is split too: the word of `${x:-a b}`.
    pub split_literals: bool,
}

const WORD: Mode =
    Mode { double: false, document: false, tilde: true, colon_tilde: false, split_literals: false };
const ASSIGNED: Mode = Mode { colon_tilde: true, ..WORD };
const QUOTED: Mode = Mode { double: true, tilde: false, ..WORD };
const DOCUMENT: Mode = Mode { document: true, ..QUOTED };

/// A word while it is being built.
#[derive(Debug, Clone, Default)]
pub(super) struct Field {
    pub text: String,
    /// The same as a pattern: quoted characters carry a backslash.
    pub pattern: String,
    quoted: bool,
    active: bool,
    /// An expansion brought a backslash, which quotes nothing everywhere.
    has_backslash: bool,
}

/// Words while they are being built.
pub(super) struct Builder {
    fields: Vec<Field>,
    current: Field,
    started: bool,
    split: bool,
    ifs: Option<String>,
    /// An unquoted unknown text may be any number of words.
    pub uncertain: bool,
}

/// The words of a command.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    pub list: Vec<String>,
    /// There may be more or fewer of them.
    pub uncertain: bool,
}

impl Builder {
    fn new(split: bool, ifs: Option<String>) -> Self {
        Self { fields: Vec::new(), current: Field::default(), started: false, split, ifs, uncertain: false }
    }

    fn quoted(&mut self, text: &str) {
        self.started = true;
        self.current.quoted = true;
        self.current.text.push_str(text);
        for c in text.chars() {
            if c.is_ascii_punctuation() {
                self.current.pattern.push('\\');
            }
            self.current.pattern.push(c);
        }
    }

    fn literal(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        self.started = true;
        self.current.has_backslash |= text.contains('\\');
        self.current.active |= text.contains(['*', '?', '[', '(']);
        self.current.text.push_str(text);
        self.current.pattern.push_str(text);
    }

    fn finish_field(&mut self) {
        if self.started {
            self.fields.push(std::mem::take(&mut self.current));
        }
        self.started = false;
        self.current = Field::default();
    }

    /// The result of an unquoted expansion: split at IFS (bash manual, "Word Splitting").
    fn expansion(&mut self, text: &str) {
        if !self.split {
            self.literal(text);
            return;
        }
        // that one is a number in any case
        if is_unknown(text) && text != BASH_MAJOR {
            self.uncertain = true;
        }
        let ifs = self.ifs.clone().unwrap_or_else(|| " \t\n".to_owned());
        let blank = |c: char| matches!(c, ' ' | '\t' | '\n') && ifs.contains(c);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if !ifs.contains(c) {
                self.literal(c.encode_utf8(&mut [0; 4]));
                continue;
            }
            let mut hard = !blank(c);
            while let Some(next) = chars.peek().copied() {
                if blank(next) || (!hard && ifs.contains(next)) {
                    hard |= !blank(next);
                    chars.next();
                } else {
                    break;
                }
            }
            if hard {
                self.started = true;
            }
            self.finish_field();
        }
    }

    fn into_single(mut self) -> Field {
        if self.fields.is_empty() {
            return self.current;
        }
        self.finish_field();
        let mut joined = Field::default();
        for (i, field) in self.fields.into_iter().enumerate() {
            if i > 0 {
                joined.text.push(' ');
                joined.pattern.push(' ');
            }
            joined.has_backslash |= field.has_backslash;
            joined.text.push_str(&field.text);
            joined.pattern.push_str(&field.pattern);
        }
        joined
    }
}

/// The result of a parameter expansion before quoting is looked at.
enum Expansion {
    Unset,
    One(String),
    /// `star`: `*` rather than `@`.
    Many {
        values: Vec<String>,
        star: bool,
        uncertain: bool,
    },
}

/// A parameter as written.
struct Parameter {
    name: String,
    subscript: Option<String>,
}

fn is_name_start(b: u8) -> bool {
    b.is_ascii_alphabetic() || b == b'_'
}

fn is_name(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

/// The end of a bracketed part that begins at `at` (just behind the opener), honouring quotes; the offset of the closer.
pub(super) fn closing(text: &str, at: usize, open: u8, close: u8, double: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut i, mut depth) = (at, 0usize);
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b'\'' if !double => {
                i += 1;
                while i < bytes.len() && bytes[i] != b'\'' {
                    i += 1;
                }
            }
            b'"' => i = end_of_double(text, i + 1)?,
            b'`' => {
                i += 1;
                while i < bytes.len() && bytes[i] != b'`' {
                    i += 1 + usize::from(bytes[i] == b'\\');
                }
            }
            b'$' if bytes.get(i + 1) == Some(&b'\'') && !double => i = end_of_ansi(text, i + 2),
            b'$' if bytes.get(i + 1) == Some(&b'$') => i += 1,
            b'$' if bytes.get(i + 1) == Some(&b'{') && open != b'{' => {
                i = closing(text, i + 2, b'{', b'}', double)?;
            }
            b'$' if bytes.get(i + 1) == Some(&b'{') => {
                depth += 1;
                i += 1;
            }
            b'$' if bytes.get(i + 1) == Some(&b'(') && open != b'(' => {
                i = end_of_substitution(text, i + 2)?;
            }
            b'#' if open == b'(' && i > 0 && matches!(bytes[i - 1], b' ' | b'\n' | b'\t' | b';') => {
                while i < bytes.len() && bytes[i] != b'\n' {
                    i += 1;
                }
                continue;
            }
            b if b == close && depth == 0 => return Some(i),
            b if b == close => depth -= 1,
            b if b == open && open != b'{' => depth += 1,
            _ => {}
        }
        i += 1;
    }
    None
}

/// The offset of the `"` that ends a double-quoted part which begins at `at`.
pub(super) fn end_of_double(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut i = at;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b'"' => return Some(i),
            b'`' => {
                i += 1;
                while i < bytes.len() && bytes[i] != b'`' {
                    i += 1 + usize::from(bytes[i] == b'\\');
                }
            }
            b'$' if bytes.get(i + 1) == Some(&b'{') => i = closing(text, i + 2, b'{', b'}', true)?,
            b'$' if bytes.get(i + 1) == Some(&b'(') => i = end_of_substitution(text, i + 2)?,
            _ => {}
        }
        i += 1;
    }
    None
}

impl Shell<'_> {
    /// A word as one string without splitting or globbing: the value of an assignment.
    pub(super) fn expand_assigned(&mut self, text: &str) -> Result<String, Flow> {
        Ok(self.expand_single(text, ASSIGNED)?.text)
    }

    /// A word as one string: `[[ ]]`, `case`, redirections, here-strings.
    pub(super) fn expand_string(&mut self, text: &str) -> Result<String, Flow> {
        Ok(self.expand_single(text, WORD)?.text)
    }

    /// A word as a pattern whose quoted characters carry a backslash.
    pub(super) fn expand_pattern(&mut self, text: &str) -> Result<String, Flow> {
        Ok(self.expand_single(text, WORD)?.pattern)
    }

    /// The body of a here-document.
    pub(super) fn expand_document(&mut self, text: &str) -> Result<String, Flow> {
        Ok(self.expand_single(text, DOCUMENT)?.text)
    }

    fn expand_single(&mut self, text: &str, mode: Mode) -> Result<Field, Flow> {
        self.enter()?;
        let mut builder = Builder::new(false, None);
        let result = self.expand_into(text, mode, &mut builder);
        self.leave();
        result?;
        Ok(builder.into_single())
    }

    /// Words of a command or of an array: everything expands.
    pub(super) fn expand_words<'t>(
        &mut self,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Result<Words, Flow> {
        let mut words = Words::default();
        for text in texts {
            if !text.contains(['$', '`', '\\', '\'', '"', '{', '~', '*', '?', '[', '(', MAYBE, UNKNOWN]) {
                words.list.push(text.to_owned());
                continue;
            }
            let braces = self.state.options.braceexpand;
            let braced = if braces { self.brace_expand(text)? } else { vec![text.to_owned()] };
            for text in braced {
                self.step(1)?;
                let mut builder = Builder::new(true, self.scalar("IFS"));
                self.enter()?;
                // what looks like an assignment has tildes where one has
                let name = text.split_once('=').map_or("", |(name, _)| name);
                let result = if super::builtins::is_identifier(name) && text.contains('~') {
                    builder.literal(&text[..=name.len()]);
                    self.expand_into(&text[name.len() + 1..], ASSIGNED, &mut builder)
                } else {
                    self.expand_into(&text, WORD, &mut builder)
                };
                self.leave();
                result?;
                builder.finish_field();
                words.uncertain |= builder.uncertain;
                for field in builder.fields {
                    self.glob(field, &mut words)?;
                }
            }
        }
        self.check_size(words.list.len())?;
        self.check_list(words.list.iter())?;
        Ok(words)
    }

    /// Expands `text` into `builder`.
    fn expand_into(&mut self, text: &str, mode: Mode, builder: &mut Builder) -> Result<(), Flow> {
        let bytes = text.as_bytes();
        let mut i = 0;
        if mode.tilde && text.starts_with('~') {
            i = self.tilde(text, 0, mode, builder);
        }
        while i < bytes.len() {
            match bytes[i] {
                b'\\' => i = backslash(text, i, mode, builder),
                b'\'' if !mode.double => {
                    let end = text[i + 1..].find('\'').map_or(text.len(), |end| i + 1 + end);
                    builder.quoted(&text[i + 1..end]);
                    i = end + 1;
                }
                b'"' if !mode.document => {
                    if mode.double {
                        // A quote inside `"${x:-"a"}"` only toggles; the text in it stays quoted.
                        i += 1;
                        continue;
                    }
                    let end = end_of_double(text, i + 1).unwrap_or(text.len());
                    self.double_quoted(&text[i + 1..end], builder)?;
                    i = end + 1;
                }
                b'`' => {
                    let (command, next) = backquoted(text, i + 1, mode.double && !mode.document);
                    let output = self.substitute(&command)?;
                    emit(Expansion::One(output), mode, builder, "");
                    i = next;
                }
                b'$' => i = self.dollar(text, i, mode, builder)?,
                b'<' | b'>' if !mode.double && bytes.get(i + 1) == Some(&b'(') => {
                    let end = end_of_substitution(text, i + 2).unwrap_or(text.len());
                    builder.quoted(&unknown());
                    i = (end + 1).min(text.len());
                }
                _ => {
                    let mut end = i + 1;
                    while end < bytes.len()
                        && !matches!(bytes[end], b'\\' | b'\'' | b'"' | b'`' | b'$' | b'<' | b'>')
                        && !(mode.colon_tilde && bytes[end] == b'~' && bytes[end - 1] == b':')
                    {
                        end += 1;
                    }
                    if mode.colon_tilde && bytes[i] == b'~' && i > 0 && bytes[i - 1] == b':' {
                        i = self.tilde(text, i, mode, builder);
                        continue;
                    }
                    let part = &text[i..end];
                    if mode.double {
                        builder.quoted(part);
                    } else if mode.split_literals {
                        builder.expansion(part);
                    } else {
                        builder.literal(part);
                    }
                    i = end;
                }
            }
        }
        Ok(())
    }

    fn double_quoted(&mut self, text: &str, builder: &mut Builder) -> Result<(), Flow> {
        // `"$@"` with no parameters is no word at all, so the mark of being quoted comes from the parts.
        if text.is_empty() {
            builder.quoted("");
            return Ok(());
        }
        self.enter()?;
        let result = self.expand_into(text, QUOTED, builder);
        self.leave();
        result
    }

    fn tilde(&mut self, text: &str, at: usize, mode: Mode, builder: &mut Builder) -> usize {
        let rest = &text[at + 1..];
        let end = rest.find(|c: char| c == '/' || (mode.colon_tilde && c == ':')).unwrap_or(rest.len());
        let user = &rest[..end];
        let value = match user {
            "" => self.scalar("HOME").or_else(|| Some("/root".to_owned())),
            "+" => Some(self.state.directory.clone()),
            "root" => Some("/root".to_owned()),
            // a user's, or a place of the stack of folders
            _ if user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte)) => {
                Some(unknown())
            }
            _ => None,
        };
        if let Some(value) = value {
            builder.quoted(&value);
            at + 1 + end
        } else {
            builder.literal("~");
            at + 1
        }
    }

    /// What begins with `$` at `at`; returns the offset behind it.
    fn dollar(&mut self, text: &str, at: usize, mode: Mode, builder: &mut Builder) -> Result<usize, Flow> {
        let bytes = text.as_bytes();
        let next = bytes.get(at + 1).copied();
        match next {
            Some(b'\'') if !mode.double => {
                let mut end = at + 2;
                while end < bytes.len() && bytes[end] != b'\'' {
                    end += 1 + usize::from(bytes[end] == b'\\');
                }
                let end = end.min(text.len());
                builder.quoted(&decode(&text[at + 2..end], Style::Quoted).0);
                Ok((end + 1).min(text.len()))
            }
            Some(b'"') if !mode.double => {
                let end = end_of_double(text, at + 2).unwrap_or(text.len());
                self.double_quoted(&text[at + 2..end], builder)?;
                Ok((end + 1).min(text.len()))
            }
            Some(b'(') => self.dollar_parenthesis(text, at, mode, builder),
            Some(b'[') => {
                let Some(end) = closing(text, at + 2, b'[', b']', mode.double) else {
                    return Err(self.fatal("`$[` is not closed"));
                };
                self.emit_arithmetic(&text[at + 2..end], mode, builder)?;
                Ok(end + 1)
            }
            Some(b'{') => {
                let Some(end) = closing(text, at + 2, b'{', b'}', mode.double) else {
                    return Err(self.fatal("`${` is not closed"));
                };
                let inner = super::syntax::unmasked(&text[at + 2..end]);
                self.braced(&inner, mode, builder)?;
                Ok(end + 1)
            }
            Some(b) if is_name_start(b) => {
                let mut end = at + 2;
                while end < bytes.len() && is_name(bytes[end]) {
                    end += 1;
                }
                self.emit_parameter(&text[at + 1..end], mode, builder)?;
                Ok(end)
            }
            Some(b'0'..=b'9' | b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!') => {
                self.emit_parameter(&text[at + 1..at + 2], mode, builder)?;
                Ok(at + 2)
            }
            _ => {
                if mode.double {
                    builder.quoted("$");
                } else {
                    builder.literal("$");
                }
                Ok(at + 1)
            }
        }
    }

    fn dollar_parenthesis(
        &mut self,
        text: &str,
        at: usize,
        mode: Mode,
        builder: &mut Builder,
    ) -> Result<usize, Flow> {
        let Some(end) = end_of_substitution(text, at + 2) else {
            return Err(self.fatal("`$(` is not closed"));
        };
        let inner = &super::syntax::unmasked(&text[at + 2..end]);
        if let Some(expression) = inner.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')) {
            // `$((…))` unless the parentheses do not belong together, as in `$((a);(b))`.
            if end_of_arithmetic(&format!("{inner})"), 0) == Some(inner.len()) {
                self.emit_arithmetic(expression, mode, builder)?;
                return Ok(end + 1);
            }
        }
        let output = self.substitute(inner)?;
        emit(Expansion::One(output), mode, builder, "");
        Ok(end + 1)
    }

    fn emit_arithmetic(&mut self, text: &str, mode: Mode, builder: &mut Builder) -> Result<(), Flow> {
        let value = self.evaluate_arithmetic(text)?;
        let text = value.map_or_else(unknown, |value| value.to_string());
        emit(Expansion::One(text), mode, builder, "");
        Ok(())
    }

    /// `((…))`: its status; what is no expression fails.
    pub(super) fn arithmetic_status(&mut self, text: &str) -> Result<Option<u8>, Flow> {
        let expanded = self.expand_single(text, QUOTED)?.text;
        let value = self.tolerated(|shell| shell.arithmetic(&expanded, 0))?;
        Ok(value.map_or(Some(1), |value| value.map(|value| u8::from(value == 0))))
    }

    /// Expands and evaluates an arithmetic expression.
    pub(super) fn evaluate_arithmetic(&mut self, text: &str) -> Result<Option<i64>, Flow> {
        let expanded = self.expand_single(text, QUOTED)?.text;
        self.arithmetic(&expanded, 0)
    }

    fn emit_parameter(&mut self, name: &str, mode: Mode, builder: &mut Builder) -> Result<(), Flow> {
        let parameter = Parameter { name: name.to_owned(), subscript: None };
        let value = self.value(&parameter)?;
        let value = self.checked(value, name)?;
        let separator = self.separator();
        emit(value, mode, builder, &separator);
        Ok(())
    }

    /// `set -u`.
    fn checked(&mut self, value: Expansion, name: &str) -> Result<Expansion, Flow> {
        if self.state.options.nounset && matches!(&value, Expansion::One(text) if text.contains(MAYBE)) {
            self.lose(&format!("whether `{name}` is set, which `set -u` asks,"));
        }
        if matches!(value, Expansion::Unset) && self.state.options.nounset && !matches!(name, "@" | "*") {
            return Err(self.fatal(&format!("`{name}` is not set, and `set -u` is on")));
        }
        Ok(value)
    }

    fn separator(&self) -> String {
        match self.scalar("IFS") {
            None => " ".to_owned(),
            Some(ifs) => ifs.chars().next().map(String::from).unwrap_or_default(),
        }
    }

    fn value(&mut self, parameter: &Parameter) -> Result<Expansion, Flow> {
        let name = parameter.name.as_str();
        if let Some(subscript) = &parameter.subscript {
            if subscript == "@" || subscript == "*" {
                let (values, uncertain) = self.elements(name);
                return Ok(Expansion::Many { values, star: subscript == "*", uncertain });
            }
            let value = self.element_by_subscript(name, subscript)?;
            return Ok(value.map_or(Expansion::Unset, Expansion::One));
        }
        Ok(match name {
            "@" | "*" => Expansion::Many {
                uncertain: self.state.positional.iter().any(|value| value.contains(MAYBE)),
                values: self.state.positional.to_vec(),
                star: name == "*",
            },
            "#" if self.state.is_positional_open() => Expansion::One(unknown()),
            "#" => Expansion::One(self.state.positional.len().to_string()),
            "?" => Expansion::One(self.state.status.map_or_else(unknown, |status| status.to_string())),
            "-" if self.state.options.others => Expansion::One(unknown()),
            "-" => {
                let options = &self.state.options;
                let letters =
                    [('a', options.allexport), ('e', options.errexit), ('f', options.noglob), ('h', true)];
                let last = [('u', options.nounset), ('B', true)];
                let on = letters.iter().chain(&last).filter(|(_, on)| *on).map(|(letter, _)| letter);
                Expansion::One(on.collect())
            }
            "$" => Expansion::One(unknown()),
            "!" => self.scalar("!").map_or(Expansion::Unset, Expansion::One),
            "0" => Expansion::One(self.outside.program().to_owned()),
            _ if name.starts_with(|c: char| c.is_ascii_digit()) => {
                let index: usize = name.parse().unwrap_or(usize::MAX);
                if self.state.is_positional_open() {
                    return Ok(Expansion::One(MAYBE.to_string()));
                }
                match self.state.positional.get(index.saturating_sub(1)) {
                    Some(value) => Expansion::One(value.clone()),
                    None => Expansion::Unset,
                }
            }
            _ => self.scalar(name).map_or(Expansion::Unset, Expansion::One),
        })
    }

    /// The inside of `${…}`.
    fn braced(&mut self, text: &str, mode: Mode, builder: &mut Builder) -> Result<(), Flow> {
        let separator = self.separator();
        if let Some(rest) = text.strip_prefix('#')
            && !rest.is_empty()
            && let Some((parameter, "")) = parse_parameter(rest)
        {
            let length = self.length(&parameter)?;
            emit(Expansion::One(length), mode, builder, &separator);
            return Ok(());
        }
        let (indirect, body) = match text.strip_prefix('!') {
            Some(rest)
                if rest == "#" || rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') =>
            {
                (true, rest)
            }
            Some(rest) if !rest.is_empty() => {
                self.note_unknown(&format!("`${{{text}}}`"));
                emit(Expansion::One(MAYBE.to_string()), mode, builder, &separator);
                return Ok(());
            }
            _ => (false, text),
        };
        let Some((mut parameter, operation)) = parse_parameter(body) else {
            return Err(self.fatal(&format!("`${{{text}}}` is not a valid expansion")));
        };
        if indirect {
            match (&parameter.subscript, operation) {
                (None, "*" | "@") => {
                    let found =
                        self.state.variables.iter().filter(|(name, _)| name.starts_with(&parameter.name));
                    // whoever has the script run may have more of short names
                    let uncertain = parameter.name.len() < 3
                        || self.state.open_names
                        || found.clone().any(|(_, variable)| variable.place.is_none());
                    let names: Vec<String> = found.map(|(name, _)| name.clone()).collect();
                    let value = Expansion::Many { values: names, star: operation == "*", uncertain };
                    emit(value, mode, builder, &separator);
                    return Ok(());
                }
                (Some(subscript), "") if subscript == "@" || subscript == "*" => {
                    let (values, uncertain) = self.keys(&parameter.name);
                    emit(
                        Expansion::Many { values, star: subscript == "*", uncertain },
                        mode,
                        builder,
                        &separator,
                    );
                    return Ok(());
                }
                _ => {}
            }
            let Expansion::One(target) = self.value(&parameter)? else {
                return Err(self.fatal(&format!("`${{{text}}}`: nothing to refer to")));
            };
            if is_unknown(&target) {
                // what is no name ends the file
                self.lose("what a name that is not known refers to");
                emit(Expansion::One(unknown()), mode, builder, &separator);
                return Ok(());
            }
            match parse_parameter(&target) {
                Some((target, "")) => parameter = target,
                _ => return Err(self.fatal(&format!("`{target}` is not a variable name"))),
            }
        }
        self.operate(text, &parameter, operation, mode, builder)
    }

    fn length(&mut self, parameter: &Parameter) -> Result<String, Flow> {
        let counts = parameter.subscript.is_some();
        let computed =
            !self.state.variables.contains_key(&parameter.name) && self.scalar(&parameter.name).is_some();
        if counts && self.state.options.nounset && !computed {
            let name = &parameter.name;
            match self.state.variables.get(name).map(|variable| &variable.data) {
                // bash takes what is no list for not set here
                None | Some(Data::Unset | Data::Scalar(_)) => {
                    return Err(self.fatal(&format!("`{name}` is not set, and `set -u` is on")));
                }
                // one that was declared and not assigned is not set
                Some(Data::Indexed(values)) if values.is_empty() => {
                    self.lose("a list without elements under `set -u`");
                }
                Some(Data::Associative(values)) if values.is_empty() => {
                    self.lose("a list without elements under `set -u`");
                }
                _ => {}
            }
        }
        let mut value = self.value(parameter)?;
        // without a process in the background this one has no characters, whatever `set -u` says
        if parameter.name != "!" {
            value = self.checked(value, &parameter.name)?;
        }
        Ok(match value {
            Expansion::Unset => "0".to_owned(),
            Expansion::One(text) if is_unknown(&text) || self.is_of_a_locale(&text) => unknown(),
            Expansion::One(text) => text.chars().count().to_string(),
            Expansion::Many { uncertain: true, .. } => unknown(),
            Expansion::Many { values, .. } => values.len().to_string(),
        })
    }

    fn operate(
        &mut self,
        whole: &str,
        parameter: &Parameter,
        operation: &str,
        mode: Mode,
        builder: &mut Builder,
    ) -> Result<(), Flow> {
        let separator = self.separator();
        let value = self.value(parameter)?;
        if operation.is_empty() {
            let value = self.checked(value, &parameter.name)?;
            emit(value, mode, builder, &separator);
            return Ok(());
        }
        let colon = operation.starts_with(':');
        let test = if colon { &operation[1..] } else { operation };
        if let Some(kind @ ('-' | '=' | '?' | '+')) = test.chars().next() {
            return self.operate_on_absence(parameter, value, colon, kind, &test[1..], mode, builder);
        }
        if colon && test.is_empty() {
            return Err(self.fatal(&format!("`${{{whole}}}` is not a valid expansion")));
        }
        if operation == "@a" && parameter.subscript.is_none() && is_name_start(parameter.name.as_bytes()[0]) {
            let flags = self.attributes(&parameter.name);
            emit(Expansion::One(flags), mode, builder, &separator);
            return Ok(());
        }
        if colon {
            let value = self.checked(value, &parameter.name)?;
            let value = self.slice(parameter, value, test)?;
            emit(value, mode, builder, &separator);
            return Ok(());
        }
        let value = self.checked(value, &parameter.name)?;
        let Some(change) = self.parse_change(operation, parameter)? else {
            return Err(self.fatal(&format!("`${{{whole}}}` is not a valid expansion")));
        };
        let brings_quotes = |text: &String| text.contains(['"', '\\', '`', '$']);
        let reaches = match &value {
            Expansion::Unset => false,
            Expansion::One(text) => brings_quotes(text),
            Expansion::Many { values, .. } => values.iter().any(brings_quotes),
        };
        if matches!(change, Change::Unknown) && reaches {
            self.lose(&format!("`${{{whole}}}` of quotes"));
        }
        let apply = |text: &str| if self.is_of_a_locale(text) { unknown() } else { apply(&change, text) };
        let value = match value {
            Expansion::Unset => Expansion::Unset,
            Expansion::One(text) => Expansion::One(apply(&text)),
            Expansion::Many { values, star, uncertain } => {
                Expansion::Many { values: values.iter().map(|text| apply(text)).collect(), star, uncertain }
            }
        };
        emit(value, mode, builder, &separator);
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one operator")]
    fn operate_on_absence(
        &mut self,
        parameter: &Parameter,
        value: Expansion,
        colon: bool,
        kind: char,
        word: &str,
        mode: Mode,
        builder: &mut Builder,
    ) -> Result<(), Flow> {
        let separator = self.separator();
        // Some(true): counts as absent.
        let absent = match &value {
            Expansion::Unset => Some(true),
            Expansion::One(text) if text.contains(MAYBE) => None,
            Expansion::One(text) if text.contains(UNKNOWN) && colon => {
                (text.chars().count() > 1).then_some(false)
            }
            Expansion::One(text) => Some(colon && text.is_empty()),
            Expansion::Many { uncertain: true, .. } => None,
            Expansion::Many { values, .. } => {
                Some(values.is_empty() || (colon && values.iter().all(String::is_empty) && values.len() == 1))
            }
        };
        let word_mode = Mode { tilde: !mode.double, split_literals: !mode.double, ..mode };
        match (kind, absent) {
            ('+', Some(true)) | ('?', None) => {}
            ('+', Some(false)) | ('-', Some(true)) => {
                self.expand_into(word, word_mode, builder)?;
                // A quoted empty word is still a word.
                if mode.double {
                    builder.quoted("");
                }
                return Ok(());
            }
            (_, None) => {
                if kind == '=' {
                    self.assign(&parameter.name, parameter.subscript.as_deref(), unknown(), false)?;
                }
                emit(Expansion::One(unknown()), mode, builder, &separator);
                return Ok(());
            }
            ('=', Some(true)) => {
                let text = self.expand_single(word, Mode { split_literals: false, ..word_mode })?.text;
                self.assign(&parameter.name, parameter.subscript.as_deref(), text.clone(), false)?;
                emit(Expansion::One(text), mode, builder, &separator);
                return Ok(());
            }
            ('?', Some(true)) => {
                return Err(self.fatal(&format!("`{}` is not set: {word}", parameter.name)));
            }
            _ => {
                emit(value, mode, builder, &separator);
                return Ok(());
            }
        }
        let rest = if kind == '?' { value } else { Expansion::Unset };
        emit(rest, mode, builder, &separator);
        Ok(())
    }

    /// `${x:offset:length}`.
    fn slice(&mut self, parameter: &Parameter, value: Expansion, text: &str) -> Result<Expansion, Flow> {
        let cut = split_slice(text);
        let offset = self.evaluate_arithmetic(&text[..cut])?;
        let length = match text.get(cut + 1..) {
            Some(length) => Some(self.evaluate_arithmetic(length)?),
            None => None,
        };
        let (Some(offset), length) = (offset, length) else { return Ok(Expansion::One(unknown())) };
        let length = match length {
            None => None,
            Some(None) => return Ok(Expansion::One(unknown())),
            Some(Some(length)) => Some(length),
        };
        Ok(match value {
            Expansion::Unset => Expansion::Unset,
            Expansion::One(text) if is_unknown(&text) || self.is_of_a_locale(&text) => {
                Expansion::One(unknown())
            }
            Expansion::One(text) => {
                let chars: Vec<char> = text.chars().collect();
                let Some(slice) = slice_of(&chars, offset, length) else {
                    return Err(self.fatal("a substring ends before it begins"));
                };
                Expansion::One(slice.iter().collect())
            }
            Expansion::Many { .. } if length.is_some_and(|length| length < 0) => {
                return Err(self.fatal("a length is less than 0"));
            }
            Expansion::Many { star, uncertain: true, .. } => {
                Expansion::Many { values: vec![MAYBE.to_string()], star, uncertain: true }
            }
            Expansion::Many { values, star, uncertain } => {
                let values = if parameter.subscript.is_none() {
                    // For positional parameters index 0 is `$0`.
                    let mut all = vec![self.outside.program().to_owned()];
                    all.extend(values);
                    slice_of(&all, offset, length).unwrap_or_default().to_vec()
                } else {
                    self.elements_from(&parameter.name, offset, length, values)
                };
                Expansion::Many { values, star, uncertain }
            }
        })
    }

    /// `${x[@]:offset:length}`: the offset counts indices, the length elements.
    fn elements_from(
        &self,
        name: &str,
        offset: i64,
        length: Option<i64>,
        values: Vec<String>,
    ) -> Vec<String> {
        let count = length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(0));
        let is_map = matches!(
            self.state.variables.get(name).map(|variable| &variable.data),
            Some(Data::Associative(_))
        );
        if is_map {
            // bash counts from 1 there
            let skipped = usize::try_from(offset).unwrap_or(usize::MAX).saturating_sub(1);
            return values.into_iter().skip(skipped).take(count).collect();
        }
        let elements = self.indexed(name);
        let end = elements.keys().next_back().map_or(0, |last| last + 1);
        let start =
            if offset < 0 { i64::try_from(end).unwrap_or(i64::MAX).saturating_add(offset) } else { offset };
        match usize::try_from(start) {
            Ok(start) => elements.range(start..).take(count).map(|(_, value)| value.clone()).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// `${x@a}`.
    fn attributes(&self, name: &str) -> String {
        let Some(variable) = self.state.variables.get(name) else {
            return self.scalar(name).map_or_else(String::new, |_| unknown());
        };
        let list = match variable.data {
            Data::Indexed(_) => "a",
            Data::Associative(_) => "A",
            _ => "",
        };
        // what was set before the script has others
        if variable.odd
            || variable.place.is_none()
            || self.state.options.allexport
            || matches!(variable.data, Data::Unknown)
        {
            return unknown();
        }
        let flags = [
            (variable.integer, 'i'),
            (variable.readonly, 'r'),
            (variable.exported, 'x'),
            (variable.upper == Some(false), 'l'),
            (variable.upper == Some(true), 'u'),
        ];
        let set = flags.iter().filter(|(on, _)| *on).map(|(_, letter)| letter);
        list.chars().chain(set.copied()).collect()
    }

    fn parse_change(&mut self, operation: &str, parameter: &Parameter) -> Result<Option<Change>, Flow> {
        let ignore_case = self.state.options.nocasematch;
        for (prefix, part) in [
            ("##", Part::LongestPrefix),
            ("#", Part::ShortestPrefix),
            ("%%", Part::LongestSuffix),
            ("%", Part::ShortestSuffix),
        ] {
            if let Some(pattern) = operation.strip_prefix(prefix) {
                let pattern = self.expand_pattern(pattern)?;
                return Ok(Some(if is_unknown(&pattern) {
                    Change::Unknown
                } else {
                    Change::Remove(self.glob_of(&pattern, false), part)
                }));
            }
        }
        if let Some(rest) = operation.strip_prefix('/') {
            let (rest, kind) = match rest.chars().next() {
                Some(c @ ('/' | '#' | '%')) => (&rest[1..], c),
                _ => (rest, ' '),
            };
            let cut = split_replacement(rest);
            let pattern = self.expand_pattern(&rest[..cut])?;
            let written = rest.get(cut + 1..).unwrap_or_default();
            let field = self.expand_single(written, WORD)?;
            let replacement = if self.state.options.patsub_replacement {
                replacement(field)
            } else {
                Some(vec![Some(field.text)])
            };
            let Some(replacement) =
                replacement.filter(|parts| !parts.iter().flatten().any(|text| is_unknown(text)))
            else {
                return Ok(Some(Change::Unknown));
            };
            if is_unknown(&pattern) {
                return Ok(Some(Change::Unknown));
            }
            return Ok(Some(Change::Replace {
                glob: self.glob_of(&pattern, ignore_case),
                empty: pattern.is_empty(),
                replacement,
                kind,
            }));
        }
        for (prefix, upper, all) in [
            ("^^", Some(true), true),
            ("^", Some(true), false),
            (",,", Some(false), true),
            (",", Some(false), false),
            ("~~", None, true),
            ("~", None, false),
        ] {
            if let Some(pattern) = operation.strip_prefix(prefix) {
                let pattern = self.expand_pattern(pattern)?;
                if is_unknown(&pattern) {
                    return Ok(Some(Change::Unknown));
                }
                let glob = (!pattern.is_empty()).then(|| self.glob_of(&pattern, false));
                return Ok(Some(Change::Case { upper, all, glob }));
            }
        }
        Ok(match operation {
            "@Q" => Some(Change::Quote),
            "@E" => Some(Change::Escapes),
            "@U" => Some(Change::Case { upper: Some(true), all: true, glob: None }),
            "@u" => Some(Change::Case { upper: Some(true), all: false, glob: None }),
            "@L" => Some(Change::Case { upper: Some(false), all: true, glob: None }),
            "@A" => {
                let variable = self.state.variables.get(&parameter.name);
                let plain = variable.is_some_and(|variable| matches!(variable.data, Data::Scalar(_)))
                    && parameter.subscript.is_none()
                    && self.attributes(&parameter.name).is_empty();
                Some(if plain { Change::Assignment(parameter.name.clone()) } else { Change::Unknown })
            }
            "@a" if parameter.subscript.is_some() => Some(Change::Constant(self.attributes(&parameter.name))),
            "@a" | "@P" | "@K" | "@k" => Some(Change::Unknown),
            _ => None,
        })
    }
}

/// What an operator does to each value.
enum Change {
    Unknown,
    Remove(Glob, Part),
    Replace {
        glob: Glob,
        empty: bool,
        replacement: Vec<Piece>,
        kind: char,
    },
    /// Without `upper`, each letter gets the other case.
    Case {
        upper: Option<bool>,
        all: bool,
        glob: Option<Glob>,
    },
    Quote,
    Escapes,
    Assignment(String),
    Constant(String),
}

fn apply(change: &Change, text: &str) -> String {
    if is_unknown(text) {
        return unknown();
    }
    let changed = match change {
        Change::Unknown => Err(()),
        Change::Remove(glob, part) => glob.find(text, *part).map(|found| match found {
            Some(range) => format!("{}{}", &text[..range.start], &text[range.end..]),
            None => text.to_owned(),
        }),
        Change::Replace { empty: true, kind: ' ' | '/', .. } => Ok(text.to_owned()),
        Change::Replace { glob, replacement, kind, .. } => match kind {
            '#' => glob.find(text, Part::LongestPrefix).map(|found| match found {
                Some(range) => format!("{}{}", filled(replacement, &text[range.clone()]), &text[range.end..]),
                None => text.to_owned(),
            }),
            '%' => glob.find(text, Part::LongestSuffix).map(|found| match found {
                Some(range) => {
                    format!("{}{}", &text[..range.start], filled(replacement, &text[range.clone()]))
                }
                None => text.to_owned(),
            }),
            kind => glob.replace(text, *kind == '/', |matched| filled(replacement, matched)),
        },
        Change::Case { upper, all, glob } => {
            let mut out = String::new();
            for (i, c) in text.chars().enumerate() {
                let fits = glob.as_ref().is_none_or(|glob| glob.matches(&c.to_string()) == Some(true));
                out.push(if fits && (i == 0 || *all) {
                    other_case(c, upper.unwrap_or(!c.is_uppercase()))
                } else {
                    c
                });
            }
            Ok(out)
        }
        Change::Quote => Ok(single_quote(text)),
        Change::Escapes => Ok(decode(text, Style::Quoted).0),
        Change::Assignment(name) => Ok(format!("{name}={}", single_quote(text))),
        Change::Constant(value) => Ok(value.clone()),
    };
    changed.unwrap_or_else(|()| unknown())
}

/// A part of a replacement; nothing: what was matched.
type Piece = Option<String>;

/// A replacement, where a `&` that is not quoted is what was matched; nothing: it cannot be said which is quoted.
fn replacement(field: Field) -> Option<Vec<Piece>> {
    if !field.text.contains('&') {
        return Some(vec![Some(field.text)]);
    }
    if field.has_backslash {
        return None;
    }
    let mut pieces = vec![Some(String::new())];
    let mut chars = field.pattern.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '&' => {
                pieces.extend([None, Some(String::new())]);
                continue;
            }
            '\\' => chars.next()?,
            c => c,
        };
        if let Some(Some(last)) = pieces.last_mut() {
            last.push(c);
        }
    }
    Some(pieces)
}

fn filled(replacement: &[Piece], matched: &str) -> String {
    replacement.iter().map(|piece| piece.as_deref().unwrap_or(matched)).collect()
}

/// A letter in upper or lower case, where that is one letter, as C has it.
pub(super) fn other_case(c: char, upper: bool) -> char {
    let single =
        |mut letters: Box<dyn Iterator<Item = char>>| letters.next().filter(|_| letters.next().is_none());
    let changed = if upper { single(Box::new(c.to_uppercase())) } else { single(Box::new(c.to_lowercase())) };
    changed.unwrap_or(c)
}

/// `'…'` as `${x@Q}` prints it.
pub(crate) fn single_quote(text: &str) -> String {
    if text.chars().any(|c| c.is_ascii_control()) {
        let mut out = String::from("$'");
        for c in text.chars() {
            match c {
                '\x07' => out.push_str("\\a"),
                '\x08' => out.push_str("\\b"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\x0b' => out.push_str("\\v"),
                '\x0c' => out.push_str("\\f"),
                '\r' => out.push_str("\\r"),
                '\x1b' => out.push_str("\\E"),
                '\'' | '\\' => out.extend(['\\', c]),
                c if c.is_ascii_control() => out.push_str(&format!("\\{:03o}", u32::from(c))),
                c => out.push(c),
            }
        }
        out.push('\'');
        return out;
    }
    if text == "'" {
        return "\\'".to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Nothing: the end lies before the beginning.
fn slice_of<T>(items: &[T], offset: i64, length: Option<i64>) -> Option<&[T]> {
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let start = if offset < 0 { count.saturating_add(offset) } else { offset };
    if start < 0 || start > count {
        return Some(&[]);
    }
    let end = match length {
        None => count,
        Some(length) if length < 0 => count.saturating_add(length),
        Some(length) => start.saturating_add(length).min(count),
    };
    items.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

/// The offset of the `:` between offset and length; a `? :` belongs together.
fn split_slice(text: &str) -> usize {
    let (mut depth, mut questions) = (0, 0);
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            b'?' => questions += 1,
            b':' if depth == 0 && questions > 0 => questions -= 1,
            b':' if depth == 0 => return i,
            _ => {}
        }
    }
    text.len()
}

/// The offset of the `/` between pattern and replacement.
fn split_replacement(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            b'/' => return i,
            b'\'' => {
                i += 1;
                while i < bytes.len() && bytes[i] != b'\'' {
                    i += 1;
                }
            }
            b'"' => i = end_of_double(text, i + 1).unwrap_or(bytes.len()),
            b'$' if bytes.get(i + 1) == Some(&b'{') => {
                i = closing(text, i + 2, b'{', b'}', false).unwrap_or(bytes.len());
            }
            b'$' if bytes.get(i + 1) == Some(&b'(') => {
                i = end_of_substitution(text, i + 2).unwrap_or(bytes.len());
            }
            _ => {}
        }
        i += 1;
    }
    text.len()
}

/// A parameter at the start of the inside of `${…}`, and what follows it.
fn parse_parameter(text: &str) -> Option<(Parameter, &str)> {
    let bytes = text.as_bytes();
    let first = *bytes.first()?;
    let mut end = 1;
    if is_name_start(first) {
        while end < bytes.len() && is_name(bytes[end]) {
            end += 1;
        }
        if bytes.get(end) == Some(&b'[') {
            let close = closing(text, end + 1, b'[', b']', false)?;
            let subscript = text[end + 1..close].to_owned();
            if subscript.is_empty() {
                return None;
            }
            let parameter = Parameter { name: text[..end].to_owned(), subscript: Some(subscript) };
            return Some((parameter, &text[close + 1..]));
        }
    } else if first.is_ascii_digit() {
        while end < bytes.len() && bytes[end].is_ascii_digit() {
            end += 1;
        }
    } else if !matches!(first, b'@' | b'*' | b'#' | b'?' | b'-' | b'$' | b'!') {
        return None;
    }
    let rest = &text[end..];
    if !rest.is_empty()
        && !rest.starts_with([':', '-', '=', '?', '+', '#', '%', '/', '^', ',', '~', '@', '*'])
    {
        return None;
    }
    Some((Parameter { name: text[..end].to_owned(), subscript: None }, rest))
}

fn emit(value: Expansion, mode: Mode, builder: &mut Builder, separator: &str) {
    match value {
        Expansion::Unset => {
            if mode.double {
                builder.quoted("");
            }
        }
        Expansion::One(text) if mode.double => builder.quoted(&text),
        Expansion::One(text) => builder.expansion(&text),
        Expansion::Many { values, star, uncertain } => {
            builder.uncertain |= uncertain && builder.split;
            if !builder.split || (star && mode.double) {
                let joined =
                    if uncertain { unknown() } else { values.join(if star { separator } else { " " }) };
                builder.quoted(&joined);
                return;
            }
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    builder.finish_field();
                }
                if mode.double { builder.quoted(value) } else { builder.expansion(value) }
            }
        }
    }
}

fn backslash(text: &str, at: usize, mode: Mode, builder: &mut Builder) -> usize {
    let Some(raw) = text[at + 1..].chars().next() else {
        if mode.double {
            builder.quoted("\\");
        } else {
            builder.literal("\\");
        }
        return at + 1;
    };
    let end = at + 1 + raw.len_utf8();
    if raw == '\n' {
        return end;
    }
    let c = super::syntax::unmasked_letter(raw);
    let quotes = !mode.double || matches!(c, '$' | '`' | '\\') || (c == '"' && !mode.document);
    if !quotes {
        builder.quoted("\\");
        return at + 1;
    }
    builder.quoted(c.encode_utf8(&mut [0; 4]));
    end
}

/// The command inside backquotes and the offset behind the closing one.
fn backquoted(text: &str, at: usize, double: bool) -> (String, usize) {
    let mut command = String::new();
    let mut chars = text[at..].char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '`' => return (command, at + i + 1),
            '\\' => match chars.next() {
                Some((_, c @ ('`' | '\\' | '$'))) => command.push(c),
                Some((_, '"')) if double => command.push('"'),
                Some((_, c)) => {
                    command.push('\\');
                    command.push(c);
                }
                None => command.push('\\'),
            },
            _ => command.push(c),
        }
    }
    (command, text.len())
}

// --- braces -----------------------------------------------------------------------------------------------------------

impl Shell<'_> {
    /// Brace expansion (bash manual, "Brace Expansion") of a word's raw text.
    pub(super) fn brace_expand(&mut self, text: &str) -> Result<Vec<String>, Flow> {
        if !text.contains('{') {
            return Ok(vec![text.to_owned()]);
        }
        self.enter()?;
        let result = self.brace_expand_inner(text);
        self.leave();
        result
    }

    fn brace_expand_inner(&mut self, text: &str) -> Result<Vec<String>, Flow> {
        let mut from = 0;
        while let Some((open, close, commas)) = find_brace(text, from) {
            let inner = &text[open + 1..close];
            let items = if commas.is_empty() {
                match sequence(inner) {
                    Some(Ok(items)) => items,
                    Some(Err(())) => return Err(self.limit("a brace expansion makes too many words")),
                    None => {
                        from = open + 1;
                        continue;
                    }
                }
            } else {
                let mut items = Vec::new();
                let mut start = open + 1;
                for end in commas.into_iter().chain(std::iter::once(close)) {
                    items.extend(self.brace_expand(&text[start..end])?);
                    start = end + 1;
                }
                items
            };
            let tails = self.brace_expand(&text[close + 1..])?;
            let count = items.len().saturating_mul(tails.len());
            self.check_size(count)?;
            let size = count.saturating_mul(text.len());
            self.step(u64::try_from(size / 64).unwrap_or(u64::MAX))?;
            let mut out = Vec::with_capacity(count);
            for item in &items {
                for tail in &tails {
                    out.push(format!("{}{item}{tail}", &text[..open]));
                }
            }
            return Ok(out);
        }
        Ok(vec![text.to_owned()])
    }
}

/// The next `{…}` with its top-level commas; quotes and `${` are skipped.
fn find_brace(text: &str, from: usize) -> Option<(usize, usize, Vec<usize>)> {
    let bytes = text.as_bytes();
    let mut i = from;
    while i < bytes.len() {
        match bytes[i] {
            b'{' => {
                if let Some((close, commas)) = match_brace(text, i) {
                    return Some((i, close, commas));
                }
                i += 1;
            }
            _ => i = skip_quoted(text, i),
        }
    }
    None
}

fn match_brace(text: &str, open: usize) -> Option<(usize, Vec<usize>)> {
    let bytes = text.as_bytes();
    let (mut i, mut depth) = (open + 1, 0);
    let mut commas = Vec::new();
    while i < bytes.len() {
        match bytes[i] {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some((i, commas)),
            b'}' => depth -= 1,
            b',' if depth == 0 => commas.push(i),
            _ => {
                i = skip_quoted(text, i);
                continue;
            }
        }
        i += 1;
    }
    None
}

/// The offset behind a quoted part or a `$` expansion at `at`, or behind one character.
fn skip_quoted(text: &str, at: usize) -> usize {
    let bytes = text.as_bytes();
    let end = match bytes[at] {
        b'\\' => at + 2,
        b'\'' => text[at + 1..].find('\'').map_or(bytes.len(), |end| at + end + 2),
        b'"' => end_of_double(text, at + 1).map_or(bytes.len(), |end| end + 1),
        b'`' => text[at + 1..].find('`').map_or(bytes.len(), |end| at + end + 2),
        b'$' if bytes.get(at + 1) == Some(&b'{') => {
            closing(text, at + 2, b'{', b'}', false).map_or(bytes.len(), |end| end + 1)
        }
        b'$' if bytes.get(at + 1) == Some(&b'(') => {
            end_of_substitution(text, at + 2).map_or(bytes.len(), |end| end + 1)
        }
        _ => at + 1,
    };
    let mut end = end.min(bytes.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    end
}

/// `a..b` or `a..b..step`; `Err`: too long.
fn sequence(inner: &str) -> Option<Result<Vec<String>, ()>> {
    let parts: Vec<&str> = inner.split("..").collect();
    let (start, end, step) = match parts.as_slice() {
        [start, end] => (*start, *end, 1),
        [start, end, step] => (*start, *end, step.parse::<i64>().ok()?),
        _ => return None,
    };
    let step = step.unsigned_abs().max(1);
    if let (Ok(first), Ok(last)) = (start.parse::<i64>(), end.parse::<i64>()) {
        let padded = |text: &str| {
            text.trim_start_matches('-').starts_with('0') && text.trim_start_matches('-').len() > 1
        };
        let width = if padded(start) || padded(end) { start.len().max(end.len()) } else { 0 };
        return Some(numbers(first, last, step).map(|list| list.map(|n| format!("{n:0width$}")).collect()));
    }
    let one = |text: &str| {
        let mut chars = text.chars();
        chars.next().filter(|c| c.is_ascii_alphabetic() && chars.next().is_none())
    };
    let (first, last) = (one(start)?, one(end)?);
    let list = numbers(i64::from(u32::from(first)), i64::from(u32::from(last)), step);
    Some(list.map(|list| {
        list.map(|n| u32::try_from(n).ok().and_then(char::from_u32).map(String::from).unwrap_or_default())
            .collect()
    }))
}

fn numbers(first: i64, last: i64, step: u64) -> Result<impl Iterator<Item = i64>, ()> {
    let count = first.abs_diff(last) / step + 1;
    if count > 100_000 {
        return Err(());
    }
    let direction = if first <= last { 1i128 } else { -1 };
    let count = i128::from(count);
    Ok((0..count)
        .filter_map(move |i| i64::try_from(i128::from(first) + direction * i * i128::from(step)).ok()))
}

// --- globbing ---------------------------------------------------------------------------------------------------------

impl Shell<'_> {
    fn glob(&mut self, field: Field, words: &mut Words) -> Result<(), Flow> {
        if !field.active || self.state.options.noglob || is_unknown(&field.text) || !has_glob(&field.pattern)
        {
            words.list.push(field.text);
            return Ok(());
        }
        match self.glob_paths(&field.pattern)? {
            Some(paths) if paths.is_empty() => {
                if self.state.options.failglob {
                    return Err(
                        self.fatal(&format!("no file matches `{}`, and `failglob` is on", field.text))
                    );
                }
                if !self.state.options.nullglob {
                    words.list.push(field.text);
                }
            }
            Some(paths) => words.list.extend(paths),
            None => {
                self.note_unknown_glob(&field.text);
                words.uncertain = true;
                // The written text stays in front, so that the quotes of a line that is made to be read again stay balanced.
                words.list.push(field.text + &unknown());
            }
        }
        Ok(())
    }
}

/// Whether a pattern has an unquoted special character that is complete.
fn has_glob(pattern: &str) -> bool {
    let mut chars = pattern.char_indices();
    let mut previous = ' ';
    while let Some((i, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '*' | '?' => return true,
            '(' if matches!(previous, '@' | '!' | '+') => return true,
            '[' if pattern[i + 1..].contains(']') => return true,
            _ => {}
        }
        previous = c;
    }
    false
}
