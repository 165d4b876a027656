//! The builtins of bash that a script may use which only sets variables (bash manual, "Shell Builtin Commands").
//!
//! Must not know external commands; `None` from [`Shell::run_builtin`] means that the name is not a builtin.

use brush_parser::ast;

use super::escapes::{Style, decode};
use super::expand::Words;
use super::findings::Remark;
use super::state::{MAYBE, is_unknown, unknown};
use super::{Flow, Shell};

impl Shell<'_> {
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
            ":" | "true" => self.finish(0),
            "alias" | "enable" | "kill" | "history" | "unalias" | "wait" | "umask" | "ulimit" | "times"
            | "jobs" | "disown" | "bind" | "complete" | "pushd" | "popd" => self.rare(name, arguments),
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
                self.remark(Remark::Exit);
                self.leave_with(arguments, words.uncertain, Flow::Exit)
            }
            "break" => self.loop_exit(arguments, Flow::Break),
            "continue" => self.loop_exit(arguments, Flow::Continue),
            "source" | "." => self.source_command(arguments),
            "cd" => self.change_directory(arguments),
            "pwd" => {
                let directory = format!("{}\n", self.state.directory);
                self.print(&directory).and_then(|()| self.finish(0))
            }
            "builtin" => return Some(self.run_named_builtin(words)),
            "command" => return Some(self.run_command_builtin(words)),
            "type" => self.locate_typed(arguments),
            "hash" => Ok(self.unknown_result()),
            "trap" => self.trap(arguments),
            "exec" if arguments.is_empty() => self.finish(0),
            "exec" => {
                // The shell is replaced: nothing after it runs.
                let rest = Words { list: arguments.to_vec(), uncertain: false };
                Ok(match self.run_program(&rest) {
                    Flow::Next => Flow::Exit,
                    flow => flow,
                })
            }
            "getopts" => {
                self.note_unknown("the result of `getopts`");
                for name in ["OPTIND", "OPTARG"].into_iter().chain(arguments.get(1).map(String::as_str)) {
                    self.blur(name);
                }
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
            | "readarray" | "getopts" => {
                for argument in arguments {
                    let name = argument.split(['=', '[']).next().unwrap_or("");
                    if is_unknown(name) {
                        self.state.open_names = true;
                    } else if is_identifier(name) {
                        self.blur(name);
                    }
                }
                Some(self.unknown_result())
            }
            "set" => {
                self.state.positional = vec![MAYBE.to_string()].into();
                self.state.status = Some(0);
                Some(Flow::Next)
            }
            "shift" => {
                self.state.positional = vec![MAYBE.to_string()].into();
                self.state.status = None;
                Some(Flow::Next)
            }
            "source" | "." => {
                self.source_unknown(arguments.first().map_or("a file", String::as_str));
                Some(Flow::Next)
            }
            "cd" | "pushd" | "popd" => {
                self.state.directory = unknown();
                self.blur("PWD");
                Some(self.unknown_result())
            }
            "shopt" | "exec" | "break" | "continue" | "trap" | "kill" | "enable" | "alias" | "let" => {
                self.lose(&format!("`{name}` with words that are not known"));
                Some(self.unknown_result())
            }
            "builtin" | "command" => {
                let known = arguments.first().is_some_and(|name| !is_unknown(name));
                let run =
                    known.then(|| arguments.first().filter(|name| BUILTINS.contains(&name.as_str())))?;
                match run {
                    Some(name) => {
                        self.run_uncertain(name, &arguments[1..]).or_else(|| Some(self.unknown_result()))
                    }
                    None => Some(self.unknown_result()),
                }
            }
            _ if BUILTINS.contains(&name) && !["return", "exit", "eval"].contains(&name) => {
                Some(self.unknown_result())
            }
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
        let (mut newline, mut escapes, mut start) = (true, self.state.options.xpg_echo, 0);
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
            let (decoded, stops) = decode(&text, Style::Echo);
            text = decoded;
            newline &= !stops;
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
            [flag, name] if flag.starts_with("-v") && flag.len() > 2 => {
                (Some(flag[2..].to_owned()), std::slice::from_ref(name))
            }
            rest => (None, rest),
        };
        let rest = match rest {
            [flag, rest @ ..] if flag == "--" => rest,
            [flag, ..] if flag.starts_with('-') && flag.len() > 1 => return self.finish(2),
            rest => rest,
        };
        let Some((format, values)) = rest.split_first() else { return self.finish(2) };
        if let Some(name) = &variable {
            let base = name.split('[').next().unwrap_or_default();
            if !is_identifier(base) {
                return self.finish(2);
            }
            if self.state.variables.get(base).is_some_and(|variable| variable.readonly) {
                self.complain();
                return self.finish(1);
            }
        }
        let text = if words.uncertain || is_unknown(format) {
            Some(unknown())
        } else {
            let odd = std::iter::once(format).chain(values).any(|text| self.is_of_a_locale(text));
            let text = if odd { None } else { super::printf::format(format, values) };
            if text.is_none() {
                self.note_unknown(&format!("what `printf '{format}'` prints"));
            }
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

    fn unset_command(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        self.state.status = Some(0);
        let (mut functions, mut variables, mut names) = (false, false, arguments);
        while let [flag, rest @ ..] = names
            && let Some(letters) = flag.strip_prefix('-').filter(|letters| !letters.is_empty())
        {
            names = rest;
            if letters == "-" {
                break;
            }
            if letters.contains(|letter| !"fvn".contains(letter)) {
                return self.finish(2);
            }
            functions |= letters.contains('f');
            variables |= letters.contains(['v', 'n']);
        }
        if functions && variables {
            return self.finish(1);
        }
        for name in names {
            if functions {
                self.state.functions.remove(name);
                continue;
            }
            let (base, subscript) = match name.split_once('[') {
                Some((base, rest)) => (base, Some(rest.trim_end_matches(']'))),
                None => (name.as_str(), None),
            };
            if !is_identifier(base) {
                self.state.status = (!variables).then_some(0);
            } else if subscript.is_some()
                || variables
                || self.state.variables.contains_key(name)
                || !self.state.functions.contains_key(name)
            {
                self.unset(base, subscript)?;
            } else {
                self.state.functions.remove(name);
            }
        }
        Ok(Flow::Next)
    }

    fn shift(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        if arguments.len() > 1 {
            return Err(self.fatal("`shift` takes one number"));
        }
        let count = arguments.first().map_or(Ok(1), |text| text.trim().parse::<i64>());
        let Some(count) = count.ok().and_then(|count| usize::try_from(count).ok()) else {
            return self.finish(1);
        };
        if self.state.is_positional_open() {
            self.state.status = None;
            return Ok(Flow::Next);
        }
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
                // a single `-` leaves the parameters when nothing follows
                if argument == "--" || i + 1 < arguments.len() {
                    self.state.positional = arguments[i + 1..].to_vec().into();
                }
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
            if letters.contains(|letter| !"abefhkmnoptuvxBCEHPT".contains(letter)) {
                return self.finish(2);
            }
            for letter in letters.chars() {
                if letter == 'o' {
                    i += 1;
                    let Some(name) = arguments.get(i) else {
                        self.print(&unknown())?;
                        return self.finish(0);
                    };
                    if !SET.iter().any(|(_, known)| known == name) {
                        return self.finish(2);
                    }
                    self.set_option(name, on);
                } else if let Some((_, name)) = SET.iter().find(|(known, _)| *known == letter) {
                    self.set_option(name, on);
                }
            }
            i += 1;
        }
        self.finish(0)
    }

    fn set_option(&mut self, name: &str, on: bool) {
        let options = &mut self.state.options;
        let before = options.clone();
        match name {
            "errexit" => options.errexit = on,
            "nounset" => options.nounset = on,
            "noglob" => options.noglob = on,
            "nullglob" => options.nullglob = on,
            "failglob" => options.failglob = on,
            "dotglob" => options.dotglob = on,
            "extglob" => options.extglob = on,
            "nocasematch" => options.nocasematch = on,
            "pipefail" => options.pipefail = on,
            "allexport" => options.allexport = on,
            "lastpipe" => options.lastpipe = on,
            "braceexpand" => options.braceexpand = on,
            "patsub_replacement" => options.patsub_replacement = on,
            "xpg_echo" => options.xpg_echo = on,
            "expand_aliases" => options.expand_aliases = on,
            "xtrace" | "verbose" => options.traces = on,
            _ if HARMLESS.contains(&name) => options.others |= SET.iter().any(|(_, known)| *known == name),
            _ => self.lose(&format!("the option `{name}`")),
        }
        // the answer of `$-` and `set -o`
        let changed = self.state.options != before && SET.iter().any(|(_, known)| *known == name);
        self.state.options.others |=
            changed && !matches!(name, "errexit" | "nounset" | "noglob" | "allexport");
    }

    fn shopt(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let flags: Vec<&str> = arguments
            .iter()
            .take_while(|argument| argument.starts_with('-'))
            .map(|flags| &flags[1..])
            .collect();
        let names = &arguments[flags.len()..];
        let flags = flags.concat();
        if flags.contains(|flag| !"supqo".contains(flag)) {
            return self.finish(2);
        }
        if flags.contains('s') && flags.contains('u') {
            return self.finish(1);
        }
        let of_set = flags.contains('o');
        let is_known = |name: &&String| {
            SET.iter().any(|(_, known)| of_set && known == name)
                || !of_set && (SHOPT.contains(&name.as_str()) || HARMLESS.contains(&name.as_str()))
        };
        let on = flags.contains('s');
        if names.is_empty() || !on && !flags.contains('u') {
            if !flags.contains('q') {
                self.print(&unknown())?;
            }
            let answers: Option<Vec<bool>> = names.iter().map(|name| self.is_option_on(name)).collect();
            let wrong = !names.iter().all(|name| is_known(&name));
            self.state.status =
                if wrong { Some(1) } else { answers.map(|on| u8::from(!on.iter().all(|on| *on))) };
            return Ok(Flow::Next);
        }
        self.state.status = Some(0);
        for name in names {
            if is_known(&name) {
                self.set_option(name, on);
            } else {
                self.state.status = Some(1);
            }
        }
        Ok(Flow::Next)
    }

    /// Whether an option of `set -o` or `shopt` is on; nothing for those that are not modelled.
    pub(super) fn is_option_on(&self, name: &str) -> Option<bool> {
        let options = &self.state.options;
        Some(match name {
            "errexit" => options.errexit,
            "nounset" => options.nounset,
            "noglob" => options.noglob,
            "nullglob" => options.nullglob,
            "failglob" => options.failglob,
            "dotglob" => options.dotglob,
            "extglob" => options.extglob,
            "nocasematch" => options.nocasematch,
            "pipefail" => options.pipefail,
            "allexport" => options.allexport,
            "lastpipe" => options.lastpipe,
            "braceexpand" => options.braceexpand,
            "xpg_echo" => options.xpg_echo,
            "expand_aliases" => options.expand_aliases,
            _ => return None,
        })
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

    fn let_command(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        if arguments.is_empty() {
            self.complain();
            return self.finish(1);
        }
        let mut value = Some(0);
        for argument in arguments {
            value = match self.tolerated(|shell| shell.arithmetic(argument, 0))? {
                Some(value) => value,
                None => return self.finish(1),
            };
        }
        self.state.status = value.map(|value| u8::from(value == 0));
        Ok(Flow::Next)
    }

    /// Runs arithmetic of which an error fails the command and no more; nothing: it did.
    pub(super) fn tolerated<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, Flow>,
    ) -> Result<Option<T>, Flow> {
        let before = std::mem::replace(&mut self.tolerant, true);
        let result = run(self);
        self.tolerant = before;
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Flow::Failed) => {
                self.complain();
                Ok(None)
            }
            Err(flow) => Err(flow),
        }
    }

    fn leave_with(&mut self, arguments: &[String], uncertain: bool, flow: Flow) -> Result<Flow, Flow> {
        let arguments = match arguments {
            [first, rest @ ..] if first == "--" => rest,
            arguments => arguments,
        };
        if arguments.len() > 1 && !uncertain {
            return Err(self.fatal("`return` and `exit` take one number"));
        }
        if let Some(text) = arguments.first() {
            self.state.status = if uncertain {
                None
            } else {
                text.trim().parse::<i64>().ok().and_then(|n| u8::try_from(n & 0xFF).ok())
            };
        }
        Ok(flow)
    }

    fn loop_exit(&mut self, arguments: &[String], make: fn(u32) -> Flow) -> Result<Flow, Flow> {
        if self.loops == 0 {
            return self.finish(0);
        }
        let count = match arguments {
            [] => Some(1),
            [count] => count.trim().parse::<i64>().ok(),
            _ => None,
        };
        let Some(count) = count else { return Err(self.fatal("`break` and `continue` take one number")) };
        self.state.status = Some(u8::from(count <= 0));
        if count <= 0 {
            return Ok(Flow::Break(self.loops));
        }
        Ok(make(u32::try_from(count).unwrap_or(u32::MAX).min(self.loops)))
    }

    /// Builtins that no file needs: what they print is not imitated, nor what they change.
    fn rare(&mut self, name: &str, arguments: &[String]) -> Result<Flow, Flow> {
        match (name, arguments) {
            ("wait" | "history", []) => self.finish(0),
            ("umask", [mask]) if !mask.starts_with('-') => {
                let valid = mask.len() <= 4 && mask.bytes().all(|b| (b'0'..=b'7').contains(&b));
                self.state.status = valid.then_some(0);
                Ok(Flow::Next)
            }
            ("alias", [_, ..])
                if !self.state.options.expand_aliases && arguments.iter().all(|word| word.contains('=')) =>
            {
                self.finish(0)
            }
            ("kill", [flag, ..]) if ["-0", "-l", "-L"].contains(&flag.as_str()) => {
                self.note_unknown("the result of `kill`");
                Ok(self.unknown_result())
            }
            ("pushd", [folder]) if !folder.starts_with(['+', '-']) => self.push_folder(folder),
            ("popd", []) => {
                if let Some(folder) = self.state.folders.pop() {
                    self.print(&unknown())?;
                    self.enter_folder(&folder)
                } else {
                    self.complain();
                    self.finish(1)
                }
            }
            ("pushd" | "popd", _) => {
                self.note_unknown("the folder");
                self.state.directory = unknown();
                self.blur("PWD");
                Ok(self.unknown_result())
            }
            ("kill" | "enable" | "alias", [_, ..]) => {
                self.lose(&format!("`{name}`"));
                Ok(self.unknown_result())
            }
            _ => {
                self.note_unknown(&format!("the result of `{name}`"));
                Ok(self.unknown_result())
            }
        }
    }

    fn source_command(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let Some(path) = arguments.first().cloned() else {
            self.complain();
            return self.finish(2);
        };
        if is_unknown(&path) || ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].contains(&path.as_str()) {
            self.source_unknown(&path);
            return Ok(Flow::Next);
        }
        match self.read_file(&path) {
            super::files::Read::Text(text) => {
                let positional = (arguments.len() > 1)
                    .then(|| std::mem::replace(&mut self.state.positional, arguments[1..].to_vec().into()));
                // whatever it holds, but for a kernel's configuration
                if super::eval::plain_assignments(&text).is_none() {
                    self.outside.note_look();
                }
                let flow = self.source_text(&path, &text);
                if let Some(positional) = positional {
                    self.state.positional = positional;
                }
                Ok(flow)
            }
            super::files::Read::Absent => {
                self.remark(Remark::NoFile(path));
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
        let flags = arguments.iter().take_while(|argument| argument.starts_with('-') && argument.len() > 1);
        let flags: Vec<&str> = flags.map(String::as_str).collect();
        if flags.iter().any(|flag| !["-L", "-P", "--", "-e", "-@"].contains(flag)) {
            self.complain();
            return self.finish(2);
        }
        let target = match &arguments[flags.len()..] {
            [] => self.scalar("HOME").unwrap_or_else(unknown),
            [target] => target.clone(),
            _ => {
                self.complain();
                return self.finish(1);
            }
        };
        let searched = !target.starts_with(['/', '.'])
            && self.scalar("CDPATH").is_some_and(|path| path != MAYBE.to_string());
        let there = match target.as_str() {
            "" | "-" => None,
            _ if searched => None,
            target => self.test_file('d', target),
        };
        match there {
            Some(true) => self.enter_folder(&target),
            Some(false) => {
                self.complain();
                self.finish(1)
            }
            None => {
                self.note_unknown("whether a directory exists that is changed to");
                self.state.directory = unknown();
                self.blur("PWD");
                self.state.status = None;
                Ok(Flow::Next)
            }
        }
    }

    fn enter_folder(&mut self, folder: &str) -> Result<Flow, Flow> {
        self.state.directory = super::files::normalise(&self.state.directory, folder);
        let directory = self.state.directory.clone();
        self.assign("PWD", None, directory, false)?;
        self.finish(0)
    }

    fn push_folder(&mut self, folder: &str) -> Result<Flow, Flow> {
        let before = self.state.directory.clone();
        // where it is not given, nothing of it is there
        let absent = !is_unknown(folder)
            && self.outside.lacks_tree(&super::files::normalise(&self.state.directory, folder));
        let flow = if absent { self.finish(1)? } else { self.change_directory(&[folder.to_owned()])? };
        if self.state.status != Some(1) {
            self.state.folders.push(before);
            self.print(&unknown())?;
        }
        Ok(flow)
    }

    fn run_named_builtin(&mut self, words: &Words) -> Flow {
        let rest = Words { list: words.list[1..].to_vec(), uncertain: words.uncertain };
        let Some(name) = rest.list.first().cloned() else {
            self.state.status = Some(0);
            return Flow::Next;
        };
        self.run_builtin(&name, &rest, &[]).unwrap_or_else(|| self.unknown_result())
    }

    fn run_command_builtin(&mut self, words: &Words) -> Flow {
        let mut list = words.list[1..].to_vec();
        match list.first().map(String::as_str) {
            Some("-v") => return self.locate_commands(&list[1..]).unwrap_or_else(|flow| flow),
            Some("-V") => return self.unknown_result(),
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

    /// What `exec` runs: a program, also where there is a builtin of that name.
    fn run_program(&mut self, words: &Words) -> Flow {
        let name = words.list[0].clone();
        if name.starts_with('-') {
            self.note_unknown("the result of `exec`");
            return self.unknown_result();
        }
        match name.as_str() {
            "echo" | "true" | "false" | "printf" => self.run_builtin(&name, words, &[]),
            _ => None,
        }
        .unwrap_or_else(|| self.run_external(&name, words))
    }

    /// `type`.
    fn locate_typed(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let (names, kinds) = match arguments {
            [flag, names @ ..] if flag == "-t" => (names, true),
            names => (names, false),
        };
        let function = |name: &String| matches!(self.state.functions.get(name), Some(Some(_)));
        match names {
            [name] if kinds && function(name) => {
                self.print("function\n")?;
                self.finish(0)
            }
            [name] if kinds && BUILTINS.contains(&name.as_str()) => {
                self.print("builtin\n")?;
                self.finish(0)
            }
            [name] if kinds && KEYWORDS.contains(&name.as_str()) => {
                self.print("keyword\n")?;
                self.finish(0)
            }
            _ => {
                let known = !names.is_empty()
                    && names.iter().all(|name| function(name) || BUILTINS.contains(&name.as_str()));
                if !known {
                    let shown = names.join(" ");
                    self.note_unknown(&format!("what `{shown}` is"));
                }
                self.print(&unknown())?;
                self.state.status = known.then_some(0);
                Ok(Flow::Next)
            }
        }
    }

    fn trap(&mut self, arguments: &[String]) -> Result<Flow, Flow> {
        let (command, signals) = match arguments {
            [first, rest @ ..] if first == "--" => match rest.split_first() {
                Some((command, signals)) => (command.as_str(), signals),
                None => ("", rest),
            },
            [flag, ..] if flag.starts_with('-') && flag.len() > 1 => {
                self.print(&unknown())?;
                self.state.status = None;
                return Ok(Flow::Next);
            }
            [] => {
                self.print(&unknown())?;
                return self.finish(0);
            }
            // a signal alone, or a number first, is set back
            [signal] => ("-", std::slice::from_ref(signal)),
            [number, ..] if number.parse::<u8>().is_ok() => ("-", arguments),
            [command, signals @ ..] => (command.as_str(), signals),
        };
        self.state.status = Some(0);
        for signal in signals {
            let upper = signal.to_ascii_uppercase();
            match upper.strip_prefix("SIG").unwrap_or(&upper) {
                "EXIT" | "0" => self.state.exit_trap = (command != "-").then(|| command.to_owned()),
                "DEBUG" | "ERR" | "RETURN" if !["-", ""].contains(&command) => {
                    self.lose(&format!("`trap` for {upper}"));
                }
                "DEBUG" | "ERR" | "RETURN" => {}
                name if SIGNALS.contains(&name) || name.parse::<u8>().is_ok_and(|number| number < 32) => {}
                _ => self.state.status = Some(1),
            }
        }
        Ok(Flow::Next)
    }
}

/// Options of `set`: the letter, where there is one, and the name.
pub(super) const SET: [(char, &str); 27] = [
    ('a', "allexport"),
    ('B', "braceexpand"),
    (' ', "emacs"),
    ('e', "errexit"),
    ('E', "errtrace"),
    ('T', "functrace"),
    ('h', "hashall"),
    ('H', "histexpand"),
    (' ', "history"),
    (' ', "ignoreeof"),
    (' ', "interactive-comments"),
    ('k', "keyword"),
    ('m', "monitor"),
    ('C', "noclobber"),
    ('n', "noexec"),
    ('f', "noglob"),
    (' ', "nolog"),
    ('b', "notify"),
    ('u', "nounset"),
    ('t', "onecmd"),
    ('P', "physical"),
    (' ', "pipefail"),
    (' ', "posix"),
    ('p', "privileged"),
    ('v', "verbose"),
    (' ', "vi"),
    ('x', "xtrace"),
];

/// Options that change nothing that a file could see, but `$-`.
const HARMLESS: [&str; 37] = [
    "cdspell",
    "checkhash",
    "checkjobs",
    "checkwinsize",
    "cmdhist",
    "complete_fullquote",
    "direxpand",
    "dirspell",
    "emacs",
    "errtrace",
    "extquote",
    "force_fignore",
    "functrace",
    "gnu_errfmt",
    "hashall",
    "histappend",
    "histreedit",
    "histverify",
    "history",
    "hostcomplete",
    "huponexit",
    "ignoreeof",
    "lithist",
    "login_shell",
    "mailwarn",
    "monitor",
    "no_empty_cmd_completion",
    "noclobber",
    "nolog",
    "notify",
    "privileged",
    "progcomp",
    "progcomp_alias",
    "promptvars",
    "shift_verbose",
    "sourcepath",
    "vi",
];

/// The other options of `shopt`.
const SHOPT: [&str; 28] = [
    "assoc_expand_once",
    "autocd",
    "compat31",
    "compat32",
    "compat40",
    "compat41",
    "compat42",
    "compat43",
    "compat44",
    "dotglob",
    "execfail",
    "expand_aliases",
    "extdebug",
    "extglob",
    "failglob",
    "globasciiranges",
    "globskipdots",
    "globstar",
    "inherit_errexit",
    "interactive_comments",
    "lastpipe",
    "localvar_inherit",
    "localvar_unset",
    "nocaseglob",
    "nocasematch",
    "nullglob",
    "patsub_replacement",
    "xpg_echo",
];

/// Names of signals that every Linux has.
const SIGNALS: [&str; 17] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "CHLD", "CONT",
];

/// Builtins of every bash since 4.
pub(super) const BUILTINS: [&str; 48] = [
    ".", ":", "[", "alias", "bg", "break", "builtin", "caller", "cd", "command", "continue", "declare",
    "dirs", "disown", "echo", "eval", "exec", "exit", "export", "false", "fg", "getopts", "hash", "help",
    "history", "jobs", "kill", "let", "local", "mapfile", "popd", "printf", "pushd", "pwd", "read",
    "readonly", "return", "set", "shift", "shopt", "source", "test", "trap", "true", "type", "typeset",
    "unset", "wait",
];

const KEYWORDS: [&str; 20] = [
    "if", "then", "else", "elif", "fi", "case", "esac", "for", "select", "while", "until", "do", "done",
    "in", "function", "time", "{", "}", "!", "[[",
];

/// Whether a text can name a variable.
pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
