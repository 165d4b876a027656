//! The builtins of bash that a `dkms.conf` may use (bash manual, "Shell Builtin Commands").
//!
//! Must not know external commands; `None` from [`Machine::run_builtin`] means that the name is not a builtin.

use std::rc::Rc;

use brush_parser::ast;

use super::codes;
use super::expand::{Words, ansi_c, single_quote};
use super::machine::{Flow, Machine};
use super::state::{Data, Input, Variable, is_unknown, unknown};
use crate::diagnostic::Severity;

impl Machine<'_> {
    /// Runs a builtin.
    pub(super) fn run_builtin(
        &mut self,
        name: &str,
        words: &Words,
        suffix: &[ast::CommandPrefixOrSuffixItem],
    ) -> Option<Flow> {
        let arguments = &words.list[1..];
        if words.uncertain
            && !matches!(name, "echo" | "printf" | "eval" | ":" | "true" | "test" | "[" | "exit" | "return")
        {
            return self.run_uncertain(name, arguments);
        }
        let result = match name {
            ":" | "true" | "umask" | "alias" | "unalias" | "wait" | "ulimit" | "enable" | "bind"
            | "complete" | "disown" | "jobs" | "history" | "times" => self.finish(0),
            "false" => self.finish(1),
            "echo" => self.echo(words, arguments),
            "printf" => self.printf(words, arguments),
            "test" => self.test_command(words, arguments),
            "[" => match arguments.split_last() {
                Some((last, rest)) if last == "]" => self.test_command(words, rest),
                _ => self.finish(2),
            },
            "declare" | "typeset" | "local" | "export" | "readonly" => self.declare(name, arguments, suffix),
            "unset" => self.unset_command(arguments),
            "shift" => self.shift(arguments),
            "set" => self.set_command(arguments),
            "shopt" => self.shopt(arguments),
            "eval" => self.eval_command(words, arguments),
            "read" => self.read_command(arguments),
            "mapfile" | "readarray" => self.mapfile(arguments),
            "let" => self.let_command(arguments),
            "return" => self.leave_with(arguments, words.uncertain, Flow::Return),
            "exit" => {
                self.find(
                    &codes::EXIT,
                    Severity::Warning,
                    "`exit` ends the shell that dkms reads the file in: every directive is lost".to_owned(),
                    Some("use `return`, or a condition"),
                );
                self.leave_with(arguments, words.uncertain, Flow::Exit)
            }
            "break" => Ok(self.loop_exit(arguments, Flow::Break)),
            "continue" => Ok(self.loop_exit(arguments, Flow::Continue)),
            "source" | "." => self.source_command(arguments),
            "cd" => self.change_directory(arguments),
            "pwd" => {
                let directory = format!("{}\n", self.state.directory);
                self.print(&directory).and_then(|()| self.finish(0))
            }
            "builtin" => return Some(self.run_named_builtin(words)),
            "command" => return Some(self.run_command_builtin(words)),
            "type" | "hash" => self.locate_commands(arguments),
            "trap" => self.trap(arguments),
            "exec" if arguments.is_empty() => self.finish(0),
            "exec" => {
                // The shell would be replaced: nothing after it runs.
                self.state.status = None;
                Ok(Flow::Exit)
            }
            "getopts" => {
                self.note_unknown("the result of `getopts`");
                self.state.status = None;
                Ok(Flow::Next)
            }
            _ => return None,
        };
        Some(result.unwrap_or_else(|flow| flow))
    }

    /// A builtin whose arguments are not all known.
    fn run_uncertain(&mut self, name: &str, arguments: &[String]) -> Option<Flow> {
        match name {
            "read" | "unset" | "declare" | "typeset" | "local" | "export" | "readonly" | "mapfile"
            | "readarray" => {
                for argument in arguments {
                    let name = argument.split(['=', '[']).next().unwrap_or("");
                    if !is_unknown(name) && is_identifier(name) {
                        self.blur(name);
                    }
                }
                self.state.status = None;
                Some(Flow::Next)
            }
            "set" => {
                self.state.positional = vec![super::state::MAYBE.to_string()].into();
                self.state.status = Some(0);
                Some(Flow::Next)
            }
            "source" | "." => {
                self.source_unknown("a file");
                Some(Flow::Next)
            }
            "cd" => {
                self.state.directory = unknown();
                self.state.status = None;
                Some(Flow::Next)
            }
            "builtin" | "command" | "let" | "shift" | "shopt" | "exec" | "break" | "continue" | "trap"
            | "type" | "hash" => Some(self.unknown_result()),
            _ => None,
        }
    }

    /// Sets the status; a `Result` because every builtin ends with it.
    #[allow(clippy::unnecessary_wraps, reason = "the shape of a builtin")]
    pub(super) fn finish(&mut self, status: u8) -> Result<Flow, Flow> {
        self.state.status = Some(status);
        Ok(Flow::Next)
    }

    fn echo(&mut self, words: &Words, arguments: &[String]) -> Result<Flow, Flow> {
        let (mut newline, mut escapes, mut start) = (true, false, 0);
        for argument in arguments {
            match argument.strip_prefix('-') {
                Some(flags) if !flags.is_empty() && flags.chars().all(|c| matches!(c, 'n' | 'e' | 'E')) => {
                    for flag in flags.chars() {
                        match flag {
                            'n' => newline = false,
                            'e' => escapes = true,
                            _ => escapes = false,
                        }
                    }
                    start += 1;
                }
                _ => break,
            }
        }
        let mut text = arguments[start..].join(" ");
        if words.uncertain && !is_unknown(&text) {
            text.push_str(&unknown());
        }
        if escapes {
            text = ansi_c(&text.replace("\\'", "\\\\'").replace("\\\"", "\\\\\""));
        }
        if newline {
            text.push('\n');
        }
        self.print(&text)?;
        self.finish(0)
    }

    fn printf(&mut self, words: &Words, arguments: &[String]) -> Result<Flow, Flow> {
        let (variable, rest) = match arguments {
            [flag, name, rest @ ..] if flag == "-v" => (Some(name.clone()), rest),
            [flag, rest @ ..] if flag == "--" => (None, rest),
            rest => (None, rest),
        };
        let Some((format, values)) = rest.split_first() else { return self.finish(2) };
        let text = if words.uncertain || is_unknown(format) {
            Some(unknown())
        } else {
            let text = format_printf(format, values);
            if let Some(text) = &text {
                self.check_length(text)?;
            }
            text
        };
        let status = u8::from(text.is_none());
        let text = text.unwrap_or_else(unknown);
        match variable {
            Some(name) => match name.split_once('[') {
                Some((name, rest)) => self.assign(name, Some(rest.trim_end_matches(']')), text, false)?,
                None => self.assign(&name, None, text, false)?,
            },
            None => self.print(&text)?,
        }
        self.state.status = if status == 0 { Some(0) } else { None };
        Ok(Flow::Next)
    }

    fn test_command(&mut self, words: &Words, arguments: &[String]) -> Result<Flow, Flow> {
        if words.uncertain {
            // `[ -n $x ]` with an unknown x may be seen with any number of words.
            self.state.status = None;
            return Ok(Flow::Next);
        }
        self.state.status = match self.plain_test(arguments)? {
            Ok(answer) => answer.map(|yes| u8::from(!yes)),
            Err(()) => Some(2),
        };
        Ok(Flow::Next)
    }

    /// `declare`, `local`, `export`, `readonly`.
    fn declare(
        &mut self,
        command: &str,
        arguments: &[String],
        suffix: &[ast::CommandPrefixOrSuffixItem],
    ) -> Result<Flow, Flow> {
        let mut flags = String::new();
        let mut names = Vec::new();
        for argument in arguments {
            match argument.strip_prefix('-') {
                Some(letters) if names.is_empty() => flags.push_str(letters),
                _ if argument.starts_with('+') => {}
                _ => names.push(argument.clone()),
            }
        }
        if flags.contains(['f', 'F', 'p']) {
            self.state.status = if flags.contains('p') { None } else { Some(0) };
            return Ok(Flow::Next);
        }
        let local = matches!(command, "local" | "declare" | "typeset") && !flags.contains('g');
        self.state.status = Some(0);
        let written: Vec<&ast::Assignment> = suffix
            .iter()
            .filter_map(|item| match item {
                ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => Some(assignment),
                _ => None,
            })
            .collect();
        for name in names {
            // `declare "$name=value"`: an assignment that only shows after expansion.
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (name, None),
            };
            let append = name.ends_with('+');
            let name = name.trim_end_matches('+').to_owned();
            let (base, subscript) = match name.split_once('[') {
                Some((base, rest)) => (base.to_owned(), Some(rest.trim_end_matches(']').to_owned())),
                None => (name, None),
            };
            if !is_identifier(&base) {
                self.state.status = Some(1);
                continue;
            }
            self.prepare(&base, &flags, local);
            if let Some(value) = value {
                self.assign(&base, subscript.as_deref(), value, append)?;
            }
            self.seal(command, &base, &flags);
        }
        for assignment in written {
            let base = match &assignment.name {
                ast::AssignmentName::VariableName(name) | ast::AssignmentName::ArrayElementName(name, _) => {
                    name.clone()
                }
            };
            // The value is expanded before the name becomes local.
            let scalar = match &assignment.value {
                ast::AssignmentValue::Scalar(word) => Some(self.expand_assigned(&word.value)?),
                ast::AssignmentValue::Array(_) => None,
            };
            let status = self.state.status;
            self.prepare(&base, &flags, local);
            match (scalar, &assignment.name) {
                (Some(value), ast::AssignmentName::VariableName(_)) => {
                    self.assign(&base, None, value, assignment.append)?;
                }
                (Some(value), ast::AssignmentName::ArrayElementName(_, subscript)) => {
                    self.assign(&base, Some(subscript), value, assignment.append)?;
                }
                (None, _) => self.assign_written(assignment)?,
            }
            self.state.status = status.and(Some(0));
            self.seal(command, &base, &flags);
        }
        Ok(Flow::Next)
    }

    fn prepare(&mut self, name: &str, flags: &str, local: bool) {
        if local {
            self.make_local(name);
        }
        let variable =
            self.state.variables.entry(name.to_owned()).or_insert_with(|| Variable::new(Data::Unset));
        if flags.contains('A') && !matches!(variable.data, Data::Associative(_)) {
            variable.data = Data::Associative(std::collections::BTreeMap::new());
        } else if flags.contains('a') {
            match std::mem::replace(&mut variable.data, Data::Unset) {
                Data::Scalar(value) => {
                    variable.data = Data::Indexed(std::collections::BTreeMap::from([(0, value)]));
                }
                Data::Unset => variable.data = Data::Indexed(std::collections::BTreeMap::new()),
                data => variable.data = data,
            }
        }
        variable.integer |= flags.contains('i');
        if flags.contains('u') {
            variable.upper = Some(true);
        } else if flags.contains('l') {
            variable.upper = Some(false);
        }
    }

    fn seal(&mut self, command: &str, name: &str, flags: &str) {
        if (command == "readonly" || flags.contains('r'))
            && let Some(variable) = self.state.variables.get_mut(name)
        {
            variable.readonly = true;
        }
    }

    fn unset_command(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        self.state.status = Some(0);
        let mut functions = false;
        for argument in arguments {
            match argument.as_str() {
                "-f" => functions = true,
                "-v" | "-n" => {}
                name if functions => {
                    self.state.functions.remove(name);
                }
                name => match name.split_once('[') {
                    Some((base, rest)) => self.unset(base, Some(rest.trim_end_matches(']')))?,
                    None => {
                        if self.state.variables.contains_key(name) {
                            self.unset(name, None)?;
                        } else {
                            self.state.functions.remove(name);
                        }
                    }
                },
            }
        }
        Ok(Flow::Next)
    }

    fn shift(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let count: usize = arguments.first().map_or(Ok(1), |text| text.parse()).unwrap_or(usize::MAX);
        if count > self.state.positional.len() {
            return self.finish(1);
        }
        self.state.positional.drain(..count);
        self.finish(0)
    }

    fn set_command(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        if arguments.is_empty() {
            self.print(&unknown())?;
            return self.finish(0);
        }
        let mut i = 0;
        while i < arguments.len() {
            let argument = &arguments[i];
            if argument == "--" || argument == "-" {
                self.state.positional = arguments[i + 1..].to_vec().into();
                return self.finish(0);
            }
            let (on, letters) = match (argument.strip_prefix('-'), argument.strip_prefix('+')) {
                (Some(letters), _) => (true, letters),
                (_, Some(letters)) => (false, letters),
                _ => {
                    self.state.positional = arguments[i..].to_vec().into();
                    return self.finish(0);
                }
            };
            let mut names = Vec::new();
            for letter in letters.chars() {
                match letter {
                    'e' => names.push("errexit".to_owned()),
                    'u' => names.push("nounset".to_owned()),
                    'f' => names.push("noglob".to_owned()),
                    'a' => names.push("allexport".to_owned()),
                    'o' => {
                        i += 1;
                        names.extend(arguments.get(i).cloned());
                    }
                    _ => {}
                }
            }
            for name in names {
                self.set_option(&name, on);
            }
            i += 1;
        }
        self.finish(0)
    }

    fn set_option(&mut self, name: &str, on: bool) {
        let options = &mut self.state.options;
        match name {
            "errexit" => options.errexit = on,
            "nounset" => options.nounset = on,
            "noglob" => options.noglob = on,
            "nullglob" => options.nullglob = on,
            "failglob" => options.failglob = on,
            "dotglob" => options.dotglob = on,
            "nocasematch" => options.nocasematch = on,
            "pipefail" => options.pipefail = on,
            "allexport" => options.allexport = on,
            "lastpipe" => options.lastpipe = on,
            _ => {}
        }
    }

    fn shopt(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let on = match arguments.first().map(String::as_str) {
            Some("-s") => true,
            Some("-u") => false,
            Some("-q") => {
                let options = &self.state.options;
                let answer = match arguments.get(1).map(String::as_str) {
                    Some("nullglob") => Some(options.nullglob),
                    Some("failglob") => Some(options.failglob),
                    Some("nocasematch") => Some(options.nocasematch),
                    Some("extglob") => None,
                    _ => Some(false),
                };
                self.state.status = answer.map(|yes| u8::from(!yes));
                return Ok(Flow::Next);
            }
            _ => return self.finish(0),
        };
        for name in &arguments[1..] {
            self.set_option(name, on);
        }
        self.finish(0)
    }

    fn eval_command(&mut self, words: &Words, arguments: &[String]) -> Result<Flow, Flow> {
        let arguments = match arguments {
            [first, rest @ ..] if first == "--" => rest,
            rest => rest,
        };
        let text = arguments.join(" ");
        self.check_length(&text)?;
        if words.uncertain || is_unknown(&text) {
            return self.eval_unknown(&text);
        }
        self.state.status = Some(0);
        Ok(self.run_text(&text))
    }

    /// `eval` of a text with an unknown part: only plain `name=…` is understood.
    #[allow(clippy::unnecessary_wraps, reason = "the shape of a builtin")]
    fn eval_unknown(&mut self, text: &str) -> Result<Flow, Flow> {
        let script = self.script(text);
        let names: Option<Vec<String>> = script
            .parts
            .iter()
            .flat_map(|part| &part.program.complete_commands)
            .flat_map(|list| &list.0)
            .map(|item| match item.0.first.seq.as_slice() {
                [ast::Command::Simple(simple)]
                    if simple.word_or_name.is_none() && item.0.additional.is_empty() =>
                {
                    Some(simple.prefix.iter().flat_map(|prefix| &prefix.0).filter_map(|item| match item {
                        ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => {
                            match &assignment.name {
                                ast::AssignmentName::VariableName(name)
                                | ast::AssignmentName::ArrayElementName(name, _) => Some(name.clone()),
                            }
                        }
                        _ => None,
                    }))
                }
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map(|lists| lists.into_iter().flatten().collect());
        match names {
            Some(names) if script.error.is_none() && !names.is_empty() => {
                for name in names {
                    self.blur(&name);
                }
                self.state.status = Some(0);
            }
            _ => self.source_unknown("eval"),
        }
        Ok(Flow::Next)
    }

    fn read_command(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let (mut raw, mut array, mut delimiter, mut names) = (false, None, Some('\n'), Vec::new());
        let mut i = 0;
        while i < arguments.len() {
            let argument = arguments[i].as_str();
            match argument.strip_prefix('-') {
                Some(flags) if names.is_empty() && !flags.is_empty() => {
                    for (k, flag) in flags.char_indices() {
                        let rest = &flags[k + flag.len_utf8()..];
                        let mut value = || {
                            if rest.is_empty() {
                                i += 1;
                                arguments.get(i).cloned().unwrap_or_default()
                            } else {
                                rest.to_owned()
                            }
                        };
                        match flag {
                            'r' => raw = true,
                            'a' => {
                                array = Some(value());
                                break;
                            }
                            'd' => {
                                delimiter = value().chars().next();
                                break;
                            }
                            'n' | 'N' | 'p' | 't' | 'u' | 'i' => {
                                value();
                                break;
                            }
                            _ => {}
                        }
                    }
                }
                _ => names.push(argument.to_owned()),
            }
            i += 1;
        }
        let (line, complete) = self.read_line(delimiter, raw);
        let targets: Vec<String> = array.iter().cloned().chain(names.iter().cloned()).collect();
        if is_unknown(&line) {
            for name in if targets.is_empty() { vec!["REPLY".to_owned()] } else { targets } {
                self.blur(&name);
            }
            self.state.status = None;
            return Ok(Flow::Next);
        }
        let ifs = self.scalar("IFS").unwrap_or_else(|| " \t\n".to_owned());
        if let Some(name) = array {
            let values = split_fields(&line, &ifs, usize::MAX);
            self.assign_array(&name, vec![(None, values)], false, false)?;
        } else if names.is_empty() {
            self.assign("REPLY", None, line, false)?;
        } else {
            let mut values = split_fields(&line, &ifs, names.len()).into_iter();
            for name in names {
                let value = values.next().unwrap_or_default();
                match name.split_once('[') {
                    Some((base, rest)) => {
                        self.assign(base, Some(rest.trim_end_matches(']')), value, false)?;
                    }
                    None => self.assign(&name, None, value, false)?,
                }
            }
        }
        self.finish(u8::from(!complete))
    }

    /// One line of standard input without its end; whether the end was there.
    fn read_line(&mut self, delimiter: Option<char>, raw: bool) -> (String, bool) {
        let Some(Input { text, position }) = self.state.input.clone() else {
            // Standard input of dkms is whatever the caller has.
            return (unknown(), true);
        };
        let mut line = String::new();
        let mut at = position;
        let mut complete = false;
        let mut chars = text[position..].chars();
        while let Some(c) = chars.next() {
            at += c.len_utf8();
            if Some(c) == delimiter {
                complete = true;
                break;
            }
            if c == '\\' && !raw {
                if let Some(next) = chars.next() {
                    at += next.len_utf8();
                    if next != '\n' {
                        line.push(next);
                    }
                }
                continue;
            }
            line.push(c);
        }
        self.state.input = Some(Input { text, position: at });
        (line, complete)
    }

    fn mapfile(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let strip = arguments.iter().any(|argument| argument == "-t");
        let name = arguments.iter().rfind(|argument| !argument.starts_with('-')).cloned();
        let name = name.unwrap_or_else(|| "MAPFILE".to_owned());
        let Some(Input { text, position }) = self.state.input.clone() else {
            self.blur(&name);
            return self.finish(0);
        };
        let rest = &text[position..];
        let lines: Vec<String> = rest
            .split_inclusive('\n')
            .map(|line| if strip { line.trim_end_matches('\n') } else { line }.to_owned())
            .collect();
        let uncertain = is_unknown(rest);
        self.assign_array(&name, vec![(None, lines)], false, uncertain)?;
        self.state.input = Some(Input { position: text.len(), text: Rc::clone(&text) });
        self.finish(0)
    }

    fn let_command(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let mut value = Some(0);
        for argument in arguments {
            value = self.arithmetic(argument, 0)?;
        }
        self.state.status = value.map(|value| u8::from(value == 0));
        Ok(Flow::Next)
    }

    #[allow(clippy::unnecessary_wraps, reason = "the shape of a builtin")]
    fn leave_with(&mut self, arguments: &[String], uncertain: bool, flow: Flow) -> Result<Flow, Flow> {
        if let Some(text) = arguments.first() {
            self.state.status = if uncertain {
                None
            } else {
                text.parse::<i64>().ok().and_then(|n| u8::try_from(n & 0xFF).ok())
            };
        }
        Ok(flow)
    }

    fn loop_exit(&mut self, arguments: &[String], make: fn(u32) -> Flow) -> Flow {
        let count = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(1);
        self.state.status = Some(0);
        make(count.max(1))
    }

    fn source_command(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let Some(path) = arguments.first().cloned() else { return self.finish(2) };
        if is_unknown(&path) {
            self.source_unknown("a file");
            return Ok(Flow::Next);
        }
        match self.read_file(&path) {
            super::files::Read::Text(text) => {
                let positional = (arguments.len() > 1)
                    .then(|| std::mem::replace(&mut self.state.positional, arguments[1..].to_vec().into()));
                self.state.status = Some(0);
                // whatever it holds, but for a kernel's configuration
                if super::eval::plain_assignments(&text).is_none() {
                    self.looked_at_files.set(true);
                }
                let flow = self.source_text(&path, &text);
                if let Some(positional) = positional {
                    self.state.positional = positional;
                }
                Ok(flow)
            }
            super::files::Read::Absent => {
                let relative = !path.starts_with('/');
                self.find(
                    &codes::ABSENT_FILE,
                    Severity::Warning,
                    format!("`{path}` is sourced but does not exist where dkms would look for it"),
                    relative.then_some(
                        "dkms reads the file from another directory: write `$dkms_tree/$module/$module_version/source/…`",
                    ),
                );
                self.complain();
                self.finish(1)
            }
            super::files::Read::Unknown => {
                self.source_unknown(&path);
                Ok(Flow::Next)
            }
        }
    }

    fn change_directory(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let target =
            arguments.iter().find(|argument| !argument.starts_with("--") && argument.as_str() != "-P");
        let target = target.cloned().unwrap_or_else(|| "/root".to_owned());
        match self.test_file('d', &target) {
            Some(true) => {
                self.state.directory = super::files::normalise(&self.state.directory, &target);
                self.finish(0)
            }
            Some(false) => {
                self.complain();
                self.finish(1)
            }
            None => {
                self.note_unknown("whether a directory exists that is changed to");
                self.state.directory = unknown();
                self.state.status = None;
                Ok(Flow::Next)
            }
        }
    }

    fn run_named_builtin(&mut self, words: &Words) -> Flow {
        let rest = Words { list: words.list[1..].to_vec(), uncertain: words.uncertain };
        let Some(name) = rest.list.first().cloned() else {
            self.state.status = Some(0);
            return Flow::Next;
        };
        self.run_builtin(&name, &rest, &[]).unwrap_or_else(|| {
            self.state.status = Some(1);
            Flow::Next
        })
    }

    fn run_command_builtin(&mut self, words: &Words) -> Flow {
        let mut list = words.list[1..].to_vec();
        match list.first().map(String::as_str) {
            Some("-v" | "-V") => return self.locate_commands(&list[1..]).unwrap_or_else(|flow| flow),
            Some("-p" | "--") => {
                list.remove(0);
            }
            _ => {}
        }
        let rest = Words { list, uncertain: words.uncertain };
        let Some(name) = rest.list.first().cloned() else {
            self.state.status = Some(0);
            return Flow::Next;
        };
        match self.run_builtin(&name, &rest, &[]) {
            Some(flow) => flow,
            None => self.run_external(&name, &rest),
        }
    }

    fn trap(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        if let [command, signals @ ..] = arguments
            && signals.iter().any(|signal| signal == "EXIT" || signal == "0")
        {
            self.state.exit_trap = (command != "-").then(|| command.clone());
        }
        self.finish(0)
    }
}

/// Whether a text can name a variable.
pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Splits a line as `read` does; the last field takes the rest.
fn split_fields(line: &str, ifs: &str, most: usize) -> Vec<String> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\n') && ifs.contains(c);
    let mut rest = line.trim_matches(blank);
    let mut fields = Vec::new();
    while !rest.is_empty() {
        if fields.len() + 1 == most {
            // One delimiter at the very end goes, if it is the only one left.
            let trimmed = rest.trim_end_matches(blank);
            let last = trimmed.char_indices().next_back();
            if let Some((at, c)) = last
                && ifs.contains(c)
                && !blank(c)
                && !trimmed[..at].contains(|c: char| ifs.contains(c))
            {
                fields.push(trimmed[..at].to_owned());
                return fields;
            }
            fields.push(trimmed.to_owned());
            return fields;
        }
        let end = rest.find(|c: char| ifs.contains(c)).unwrap_or(rest.len());
        fields.push(rest[..end].to_owned());
        rest = rest[end..].trim_start_matches(blank);
        if let Some(c) = rest.chars().next()
            && ifs.contains(c)
            && !blank(c)
        {
            rest = rest[c.len_utf8()..].trim_start_matches(blank);
        }
    }
    fields
}

/// `printf`; `None`: a format that is not supported.
fn format_printf(format: &str, values: &[String]) -> Option<String> {
    let mut out = String::new();
    let mut values = values.iter();
    loop {
        let mut used = false;
        let mut chars = format.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => {
                    let mut end = at + 1;
                    if let Some((_, next)) = chars.next() {
                        end += next.len_utf8();
                        if next.is_digit(8) || next == 'x' {
                            while chars.peek().is_some_and(|(_, c)| c.is_ascii_hexdigit()) && end - at < 4 {
                                chars.next();
                                end += 1;
                            }
                        }
                    }
                    out.push_str(&ansi_c(&format[at..end]));
                }
                '%' => {
                    let mut spec = String::new();
                    let conversion = loop {
                        let (_, c) = chars.next()?;
                        if c.is_ascii_alphabetic() || c == '%' {
                            break c;
                        }
                        spec.push(c);
                    };
                    if conversion == '%' {
                        out.push('%');
                        continue;
                    }
                    if spec.contains('*') {
                        return None;
                    }
                    used = true;
                    let value = values.next().cloned();
                    out.push_str(&convert(conversion, &spec, value.as_deref())?);
                }
                c => out.push(c),
            }
        }
        if !used || values.len() == 0 || out.len() > 1 << 20 {
            return Some(out);
        }
    }
}

fn convert(conversion: char, spec: &str, value: Option<&str>) -> Option<String> {
    let left = spec.starts_with('-');
    let zero = spec.starts_with('0');
    let (width, precision) = match spec.trim_start_matches(['-', '0', '+', ' ', '#']).split_once('.') {
        Some((width, precision)) => (width, Some(precision.parse::<usize>().unwrap_or(0))),
        None => (spec.trim_start_matches(['-', '0', '+', ' ', '#']), None),
    };
    let width: usize = width.parse().unwrap_or(0);
    if width > 4096 {
        return None;
    }
    let value = value.unwrap_or("");
    if is_unknown(value) {
        return Some(unknown());
    }
    let text = match conversion {
        's' => match precision {
            Some(precision) => value.chars().take(precision).collect(),
            None => value.to_owned(),
        },
        'b' => ansi_c(value),
        'q' => quote_for_printf(value),
        'c' => value.chars().take(1).collect(),
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
            let trimmed = value.trim();
            let number = if trimmed.is_empty() {
                0
            } else if let Some(c) = trimmed.strip_prefix(['\'', '"']) {
                c.chars().next().map_or(0, |c| i64::from(u32::from(c)))
            } else if let Some(digits) = trimmed.strip_prefix('-') {
                super::arithmetic::parse_number(digits)?.wrapping_neg()
            } else {
                super::arithmetic::parse_number(trimmed.trim_start_matches('+'))?
            };
            match conversion {
                'x' => format!("{number:x}"),
                'X' => format!("{number:X}"),
                'o' => format!("{number:o}"),
                _ => number.to_string(),
            }
        }
        _ => return None,
    };
    let missing = width.saturating_sub(text.chars().count());
    Some(if left {
        format!("{text}{}", " ".repeat(missing))
    } else if zero && conversion != 's' {
        match text.strip_prefix('-') {
            Some(digits) => format!("-{}{digits}", "0".repeat(missing)),
            None => format!("{}{text}", "0".repeat(missing)),
        }
    } else {
        format!("{}{text}", " ".repeat(missing))
    })
}

fn quote_for_printf(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        return single_quote(text);
    }
    let mut out = String::new();
    for c in text.chars() {
        if !(c.is_alphanumeric() || "_-./:=@%+,".contains(c)) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}
