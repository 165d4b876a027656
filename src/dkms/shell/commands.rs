//! Answers for external commands that only compute: `grep`, `sed`, `cut`, `uname`, `nproc` and their like, from given facts.
//!
//! Never runs a program; whatever is not answered here is unknown, with a finding that says so.

use super::expand::Words;
use super::files::Read;
use super::findings::Remark;
use super::outside::os_release_field;
use super::pattern;
use super::state::{Input, is_unknown, unknown};
use super::{Flow, Shell};

/// What a command does.
enum Answer {
    /// Its output and status.
    Known(String, u8),
    /// It fails with a message on standard error after this output.
    Fails(String, u8),
    /// Not known.
    Unknown,
}

/// The text that a filter reads.
enum Source {
    Text(String),
    Unknown,
    /// A file that does not exist, and the text of the others.
    Absent(String),
}

/// What running a program is charged: it looks through folders, and files of any size may go through it.
const COMMAND: u64 = 100;

/// Stands for the packages that are installed, as `dpkg -l` lists them: not known, but for what only other software brings.
const PACKAGES: &str = "\u{10FFFE}dpkg -l\u{10FFFE}";

/// What `expr` does not take for a text where it begins.
const EXPR: [&str; 8] = ["length", "match", "substr", "index", "+", "(", ")", "!"];

impl Shell<'_> {
    /// Runs what is neither a function nor a builtin.
    pub(super) fn run_external(&mut self, name: &str, words: &Words) -> Flow {
        let arguments = words.list[1..].to_vec();
        if let Err(flow) = self.step(COMMAND) {
            return flow;
        }
        if name == "uname" {
            self.note_uname(&arguments);
        }
        let path = self.scalar("PATH");
        let lost = !name.contains('/') && path.as_deref().is_some_and(|path| !path.contains("/bin"));
        if lost {
            // With a PATH that leads nowhere no command is found.
            self.complain();
            self.state.status = Some(127);
            return Flow::Next;
        }
        let short = name
            .strip_prefix("/usr/bin/")
            .or_else(|| name.strip_prefix("/bin/"))
            .or_else(|| name.strip_prefix("/usr/sbin/"))
            .or_else(|| name.strip_prefix("/sbin/"))
            .unwrap_or(name);
        let unknown_arguments = words.uncertain || arguments.iter().any(|argument| is_unknown(argument));
        let answer = if unknown_arguments { Ok(Answer::Unknown) } else { self.answer(short, &arguments) };
        match answer {
            Ok(Answer::Known(output, status)) => {
                self.state.status = Some(status);
                self.print(&output).map_or_else(|flow| flow, |()| Flow::Next)
            }
            Ok(Answer::Fails(output, status)) => {
                self.complain();
                self.state.status = Some(status);
                self.print(&output).map_or_else(|flow| flow, |()| Flow::Next)
            }
            Ok(Answer::Unknown) => {
                if self.is_harmless(short) {
                    self.state.status = None;
                    return Flow::Next;
                }
                self.note_unknown(&format!("the result of `{}`", shown(name, &arguments)));
                self.unknown_result()
            }
            Err(flow) => flow,
        }
    }

    /// Commands that print nothing and change nothing that the file sees.
    fn is_harmless(&mut self, name: &str) -> bool {
        if matches!(
            name,
            "mkdir" | "rm" | "cp" | "mv" | "touch" | "chmod" | "chown" | "ln" | "install" | "tar" | "make"
        ) {
            self.remark(Remark::Changes(name.to_owned()));
            return true;
        }
        matches!(name, "sleep" | "sync" | "logger")
    }

    fn note_uname(&mut self, arguments: &[String]) {
        if arguments.iter().any(|argument| argument.starts_with('-') && argument.contains(['r', 'a'])) {
            self.remark(Remark::AsksForTheKernel);
        }
    }

    #[allow(clippy::too_many_lines, reason = "one line a command")]
    fn answer(&mut self, name: &str, arguments: &[String]) -> Result<Answer, Flow> {
        Ok(match name {
            "nproc" => match self.outside.processors() {
                Some(count) => Answer::Known(format!("{count}\n"), 0),
                None => Answer::Unknown,
            },
            "getconf" => match arguments {
                [name] if name == "_NPROCESSORS_ONLN" => match self.outside.online_processors() {
                    Some(count) => Answer::Known(format!("{count}\n"), 0),
                    None => Answer::Unknown,
                },
                [name] if name == "LONG_BIT" => match self.outside.arch() {
                    Some("x86_64" | "aarch64" | "ppc64le" | "s390x" | "riscv64") => {
                        Answer::Known("64\n".to_owned(), 0)
                    }
                    Some("i686" | "armv7l") => Answer::Known("32\n".to_owned(), 0),
                    _ => Answer::Unknown,
                },
                _ => Answer::Unknown,
            },
            "dpkg" if self.outside.is_described() && arguments == ["-l"] => {
                Answer::Known(format!("{PACKAGES}\n"), 0)
            }
            "uname" => self.uname(arguments),
            "grep" | "egrep" | "fgrep" => self.grep(name, arguments)?,
            "sed" => self.sed(arguments)?,
            "cut" => self.cut(arguments)?,
            "tr" => self.tr(arguments)?,
            "sort" => self.sort(arguments)?,
            "uniq" => self.uniq(arguments)?,
            "head" => self.head_tail(arguments, true)?,
            "tail" => self.head_tail(arguments, false)?,
            "wc" => self.count(arguments)?,
            "cat" => self.filter(arguments, |text| Some(text.to_owned()))?,
            "tac" => self.filter(arguments, |text| {
                if !text.is_empty() && !text.ends_with('\n') {
                    return None;
                }
                let mut lines: Vec<String> =
                    text.split_terminator('\n').map(|line| format!("{line}\n")).collect();
                lines.reverse();
                Some(lines.concat())
            })?,
            "rev" => self.filter(arguments, |text| {
                Some(
                    text.split('\n')
                        .map(|line| line.chars().rev().collect())
                        .collect::<Vec<String>>()
                        .join("\n"),
                )
            })?,
            "awk" | "gawk" | "mawk" => self.awk(arguments)?,
            "dirname" => dirnames(arguments),
            "basename" => basenames(arguments),
            "readlink" | "realpath" => match arguments {
                [path] if name == "realpath" && !path.starts_with('-') => match self.test_file('e', path) {
                    Some(true) if !path.starts_with("/lib/modules") => Answer::Known(
                        format!("{}\n", super::files::normalise(&self.state.directory, path)),
                        0,
                    ),
                    _ => Answer::Unknown,
                },
                [flag, path] if ["-f", "-m", "-e"].contains(&flag.as_str()) && !path.starts_with('-') => {
                    match self.test_file('e', path) {
                        Some(true) if !path.starts_with("/lib/modules") => Answer::Known(
                            format!("{}\n", super::files::normalise(&self.state.directory, path)),
                            0,
                        ),
                        _ => Answer::Unknown,
                    }
                }
                _ => Answer::Unknown,
            },
            "which" => self.which(arguments),
            "lsb_release" => self.lsb_release(arguments),
            "ls" => self.list(arguments),
            "pkg-config" if self.outside.is_described() => {
                self.note_assumed(&format!("what `{}` looks for", shown(name, arguments)));
                Answer::Fails(String::new(), 1)
            }
            "find" => self.find_files(arguments)?,
            "expr" => Self::expr(arguments),
            "seq" => seq(arguments),
            "id" => match arguments {
                [flag] if flag == "-u" || flag == "-g" => Answer::Known("0\n".to_owned(), 0),
                flags if flags == ["-u", "-n"] || flags == ["-un"] => Answer::Known("root\n".to_owned(), 0),
                _ => Answer::Unknown,
            },
            "whoami" => Answer::Known("root\n".to_owned(), 0),
            "arch" => match self.outside.arch() {
                Some(arch) => Answer::Known(format!("{arch}\n"), 0),
                None => Answer::Unknown,
            },
            "env" if arguments.is_empty() => Answer::Unknown,
            "sleep" | "sync" => Answer::Known(String::new(), 0),
            _ => {
                if let Some(output) = self.outside.call(name, arguments) {
                    Answer::Known(output, 0)
                } else if self.is_nonsense(name) || self.lacks_program(name) {
                    Answer::Fails(String::new(), 127)
                } else {
                    Answer::Unknown
                }
            }
        })
    }

    /// A name that no command can have, such as a variable with a blank before `=`.
    fn is_nonsense(&mut self, name: &str) -> bool {
        let variable = self.outside.is_variable(name);
        let marker =
            name.is_empty() || name.starts_with(['<', '>', '=', '@', '#', '\u{FEFF}']) || name.contains("__");
        if variable || marker {
            self.remark(Remark::NoCommand(name.to_owned()));
            return true;
        }
        if !name.contains('/') {
            return name.contains(|c: char| !c.is_ascii_alphanumeric() && !"_-.+[".contains(c));
        }
        let absent = self.test_file('e', name) == Some(false);
        if absent {
            self.remark(Remark::NoProgram(name.to_owned()));
        }
        absent
    }

    fn uname(&mut self, arguments: &[String]) -> Answer {
        let mut fields = Vec::new();
        for argument in arguments {
            let letters = match argument.as_str() {
                "--kernel-release" => "r",
                "--machine" => "m",
                "--kernel-name" => "s",
                "--operating-system" => "o",
                _ => match argument.strip_prefix('-') {
                    Some(letters) if !letters.starts_with('-') => letters,
                    _ => return Answer::Unknown,
                },
            };
            fields.extend(letters.chars());
        }
        if fields.is_empty() {
            fields.push('s');
        }
        let mut parts = Vec::new();
        for field in ['s', 'n', 'r', 'v', 'm', 'p', 'i', 'o'] {
            if !fields.contains(&field) {
                continue;
            }
            let value = match field {
                's' => Some("Linux".to_owned()),
                'o' => Some("GNU/Linux".to_owned()),
                'r' => self.outside.release().map(str::to_owned),
                'm' => self.outside.arch().map(str::to_owned),
                _ => None,
            };
            match value {
                Some(value) => parts.push(value),
                None => return Answer::Unknown,
            }
        }
        if fields.iter().any(|field| !"snrvmpio".contains(*field)) {
            return Answer::Unknown;
        }
        Answer::Known(parts.join(" ") + "\n", 0)
    }

    /// The text of the named files, or of standard input.
    fn source_of(&mut self, files: &[String]) -> Result<Source, Flow> {
        if files.is_empty() || files == ["-"] {
            return Ok(match self.state.input.take() {
                Some(Input { text, position }) => {
                    let rest = text[position..].to_owned();
                    self.state.input = Some(Input { position: text.len(), text });
                    if is_unknown(&rest) { Source::Unknown } else { Source::Text(rest) }
                }
                None => Source::Unknown,
            });
        }
        let (mut all, mut absent) = (String::new(), false);
        for file in files {
            match self.read_file(file) {
                Read::Text(text) => all.push_str(&text),
                Read::Absent => absent = true,
                Read::Unknown => return Ok(Source::Unknown),
            }
            self.check_length(&all)?;
        }
        self.step(u64::try_from(all.len() / 256).unwrap_or(u64::MAX))?;
        Ok(if absent { Source::Absent(all) } else { Source::Text(all) })
    }

    fn filter(
        &mut self,
        arguments: &[String],
        change: impl Fn(&str) -> Option<String>,
    ) -> Result<Answer, Flow> {
        if arguments.iter().any(|argument| argument.starts_with('-') && argument != "-") {
            return Ok(Answer::Unknown);
        }
        self.filter_files(arguments, change)
    }

    /// `change`: nothing for what is not modelled.
    fn filter_files(
        &mut self,
        files: &[String],
        change: impl Fn(&str) -> Option<String>,
    ) -> Result<Answer, Flow> {
        Ok(match self.source_of(files)? {
            Source::Text(text) => change(&text).map_or(Answer::Unknown, |out| Answer::Known(out, 0)),
            Source::Absent(text) if text.is_empty() => Answer::Fails(String::new(), 1),
            Source::Absent(text) => change(&text).map_or(Answer::Unknown, |out| Answer::Fails(out, 1)),
            Source::Unknown => Answer::Unknown,
        })
    }

    /// `$(< file)`.
    pub(super) fn print_file_word(&mut self, word: &str) -> Flow {
        let path = match self.expand_string(word) {
            Ok(path) => path,
            Err(flow) => return flow,
        };
        let text = match self.read_file(&path) {
            Read::Text(text) => {
                self.state.status = Some(0);
                text
            }
            Read::Absent => {
                self.state.status = Some(1);
                String::new()
            }
            Read::Unknown => {
                self.note_unknown(&format!("the file `{path}`"));
                self.state.status = None;
                unknown()
            }
        };
        self.print(&text).map_or_else(|flow| flow, |()| Flow::Next)
    }

    fn grep(&mut self, name: &str, arguments: &[String]) -> Result<Answer, Flow> {
        let mut flags = String::new();
        let mut patterns = Vec::new();
        let mut rest = Vec::new();
        let mut most = usize::MAX;
        let mut i = 0;
        while i < arguments.len() {
            let argument = arguments[i].as_str();
            match argument {
                "--" => {
                    rest.extend(arguments[i + 1..].iter().cloned());
                    break;
                }
                "--quiet" | "--silent" => flags.push('q'),
                "--extended-regexp" => flags.push('E'),
                "--fixed-strings" => flags.push('F'),
                "--ignore-case" => flags.push('i'),
                "--count" => flags.push('c'),
                "--only-matching" => flags.push('o'),
                "--invert-match" => flags.push('v'),
                "--no-messages" => flags.push('s'),
                "--color=never" | "--color=auto" => {}
                _ if argument.starts_with("--") => return Ok(Answer::Unknown),
                _ if argument.starts_with('-') && argument.len() > 1 => {
                    let letters: Vec<char> = argument[1..].chars().collect();
                    for (k, letter) in letters.iter().enumerate() {
                        if matches!(letter, 'e' | 'm') {
                            let inline: String = letters[k + 1..].iter().collect();
                            let value = if inline.is_empty() {
                                i += 1;
                                arguments.get(i).cloned().unwrap_or_default()
                            } else {
                                inline
                            };
                            if *letter == 'e' {
                                patterns.push(value);
                            } else {
                                let Ok(number) = value.parse() else { return Ok(Answer::Unknown) };
                                most = number;
                            }
                            break;
                        }
                        flags.push(*letter);
                    }
                }
                _ => rest.push(argument.to_owned()),
            }
            i += 1;
        }
        if flags.contains(|c| !"qEFGicovswxhHna".contains(c)) {
            return Ok(Answer::Unknown);
        }
        if patterns.is_empty() {
            if rest.is_empty() {
                return Ok(Answer::Fails(String::new(), 2));
            }
            patterns.push(rest.remove(0));
        }
        if rest.is_empty() && flags.is_empty() && self.reads_packages() {
            // a base system has no headers of libraries, and no drivers
            let brought = |name: &String| {
                let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
                plain && ["-dev", "-devel", "-dkms"].iter().any(|ending| name.ends_with(ending))
            };
            if patterns.iter().all(brought) {
                self.note_assumed(&format!("the package `{}`", patterns.join("`, `")));
                return Ok(Answer::Known(String::new(), 1));
            }
        }
        let is_word = |text: &String| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if flags.contains('w') && !patterns.iter().all(is_word) || flags.contains('E') && flags.contains('F')
        {
            return Ok(Answer::Unknown);
        }
        let extended = flags.contains('E') || name == "egrep";
        let fixed = flags.contains('F') || name == "fgrep";
        let Some(regexes) = compile_patterns(&patterns, extended, fixed, &flags) else {
            return Ok(Answer::Unknown);
        };
        let prefix = rest.len() > 1 && !flags.contains('h') || flags.contains('H');
        if prefix && !flags.contains(['q', 'c']) || flags.contains('n') {
            return Ok(Answer::Unknown);
        }
        let (text, absent) = match self.source_of(&rest)? {
            Source::Text(text) => (text, false),
            Source::Absent(text) => (text, true),
            Source::Unknown => return Ok(Answer::Unknown),
        };
        let mut out = String::new();
        let mut count = 0;
        let mut budget = pattern::TRIES;
        for line in text.split_terminator('\n') {
            if count >= most {
                break;
            }
            let hit = regexes.iter().any(|regex| regex.is_match(line));
            if hit == flags.contains('v') {
                continue;
            }
            count += 1;
            if flags.contains('o') {
                let [regex] = regexes.as_slice() else { return Ok(Answer::Unknown) };
                for found in regex.find_iter(line).filter(|found| !found.is_empty()) {
                    if !pattern::is_longest(regex, line, found.range(), &mut budget) {
                        return Ok(Answer::Unknown);
                    }
                    out.push_str(found.as_str());
                    out.push('\n');
                }
            } else {
                out.push_str(line);
                out.push('\n');
            }
        }
        self.charge_tries(budget)?;
        if flags.contains('q') {
            out.clear();
            if count > 0 {
                return Ok(Answer::Known(out, 0));
            }
        } else if flags.contains('c') {
            if rest.len() > 1 {
                return Ok(Answer::Unknown);
            }
            out = if absent { String::new() } else { format!("{count}\n") };
        }
        Ok(if absent { Answer::Fails(out, 2) } else { Answer::Known(out, u8::from(count == 0)) })
    }

    /// Charges the tries that were taken from a budget.
    fn charge_tries(&mut self, left: usize) -> Result<(), Flow> {
        self.step(u64::try_from((pattern::TRIES - left) / 16).unwrap_or(u64::MAX))
    }

    /// Whether standard input is the list of installed packages.
    fn reads_packages(&self) -> bool {
        self.state.input.as_ref().is_some_and(|input| input.text[input.position..].trim_end() == PACKAGES)
    }

    fn cut(&mut self, arguments: &[String]) -> Result<Answer, Flow> {
        let (mut delimiter, mut fields, mut chars, mut only) = ("\t".to_owned(), None, None, false);
        let mut files = Vec::new();
        let mut i = 0;
        while i < arguments.len() {
            let argument = arguments[i].as_str();
            let (letter, inline) = match argument {
                "-s" | "--only-delimited" => {
                    only = true;
                    i += 1;
                    continue;
                }
                _ if argument.starts_with("--delimiter=") => ('d', &argument[12..]),
                _ if argument.starts_with("--fields=") => ('f', &argument[9..]),
                _ if argument.starts_with("--") => return Ok(Answer::Unknown),
                _ if argument.starts_with('-') && argument.len() > 1 => {
                    (argument[1..].chars().next().unwrap_or(' '), argument.get(2..).unwrap_or(""))
                }
                _ => {
                    files.push(argument.to_owned());
                    i += 1;
                    continue;
                }
            };
            let value = if inline.is_empty() {
                i += 1;
                arguments.get(i).cloned().unwrap_or_default()
            } else {
                inline.to_owned()
            };
            match letter {
                'd' => delimiter = value,
                'f' => fields = parse_ranges(&value),
                'c' | 'b' => chars = parse_ranges(&value),
                _ => return Ok(Answer::Unknown),
            }
            i += 1;
        }
        if delimiter.is_empty() || !delimiter.is_ascii() || chars.is_some() && only {
            return Ok(Answer::Unknown);
        }
        let valid =
            |ranges: &Vec<(usize, usize)>| ranges.iter().all(|(first, last)| *first > 0 && first <= last);
        if delimiter.len() != 1
            || fields.is_some() == chars.is_some()
            || !fields.iter().chain(&chars).all(valid)
        {
            return Ok(Answer::Fails(String::new(), 1));
        }
        self.filter_files(&files, |text| {
            // a character is a byte to some versions
            if chars.is_some() && !text.is_ascii() {
                return None;
            }
            let mut out = String::new();
            for line in text.split_terminator('\n') {
                if let Some(ranges) = &chars {
                    let kept =
                        line.chars().enumerate().filter(|(i, _)| in_ranges(ranges, i + 1)).map(|(_, c)| c);
                    out.extend(kept);
                } else if let Some(ranges) = &fields {
                    if line.contains(delimiter.as_str()) {
                        let parts: Vec<&str> = line
                            .split(delimiter.as_str())
                            .enumerate()
                            .filter(|(i, _)| in_ranges(ranges, i + 1))
                            .map(|(_, part)| part)
                            .collect();
                        out.push_str(&parts.join(&delimiter));
                    } else {
                        if only {
                            continue;
                        }
                        out.push_str(line);
                    }
                }
                out.push('\n');
            }
            Some(out)
        })
    }

    fn tr(&mut self, arguments: &[String]) -> Result<Answer, Flow> {
        let (mut delete, mut squeeze, mut complement) = (false, false, false);
        let mut sets = Vec::new();
        for argument in arguments {
            match argument.strip_prefix('-') {
                Some(flags)
                    if !flags.is_empty() && sets.is_empty() && flags.chars().all(|c| "dscC".contains(c)) =>
                {
                    delete |= flags.contains('d');
                    squeeze |= flags.contains('s');
                    complement |= flags.contains(['c', 'C']);
                }
                Some(flags) if !flags.is_empty() && sets.is_empty() => return Ok(Answer::Unknown),
                _ => sets.push(argument.clone()),
            }
        }
        let wanted = match (delete, squeeze) {
            (true, false) => 1..=1,
            (false, true) => 1..=2,
            _ => 2..=2,
        };
        if !wanted.contains(&sets.len()) || !delete && sets.get(1).is_some_and(String::is_empty) {
            return Ok(Answer::Fails(String::new(), 1));
        }
        let Some(first) = sets.first().and_then(|set| tr_set(set)) else { return Ok(Answer::Unknown) };
        let second = match sets.get(1) {
            Some(set) => match tr_set(set) {
                Some(set) => Some(set),
                None => return Ok(Answer::Unknown),
            },
            None => None,
        };
        self.filter_files(&[], |text| {
            if !text.is_ascii() {
                return None;
            }
            let inside = |c: char| first.contains(&c) != complement;
            let mut out = String::new();
            let mut last = None;
            for c in text.chars() {
                let hit = inside(c);
                if delete && hit {
                    continue;
                }
                let mapped = match (&second, hit && !delete) {
                    (Some(second), true) => {
                        let at = if complement {
                            usize::MAX
                        } else {
                            first.iter().rposition(|x| *x == c).unwrap_or(0)
                        };
                        second.get(at).or(second.last()).copied().unwrap_or(c)
                    }
                    _ => c,
                };
                let squeezable = match (&second, delete) {
                    (Some(second), _) => second.contains(&mapped),
                    (None, _) => hit,
                };
                if squeeze && squeezable && last == Some(mapped) {
                    continue;
                }
                last = Some(mapped);
                out.push(mapped);
            }
            Some(out)
        })
    }

    fn sort(&mut self, arguments: &[String]) -> Result<Answer, Flow> {
        let mut flags = String::new();
        let mut files = Vec::new();
        for argument in arguments {
            match argument.as_str() {
                "--version-sort" => flags.push('V'),
                "--reverse" => flags.push('r'),
                "--unique" => flags.push('u'),
                "--check" | "--check=quiet" | "--check=silent" => flags.push('C'),
                "--numeric-sort" => flags.push('n'),
                "-" => files.push(argument.clone()),
                _ if argument.starts_with("--") => return Ok(Answer::Unknown),
                _ => match argument.strip_prefix('-') {
                    Some(letters) => flags.push_str(letters),
                    None => files.push(argument.clone()),
                },
            }
        }
        if flags.contains(|c| !"VrunCc".contains(c)) {
            return Ok(Answer::Unknown);
        }
        let (text, absent) = match self.source_of(&files)? {
            Source::Text(text) => (text, false),
            Source::Absent(text) => (text, true),
            Source::Unknown => return Ok(Answer::Unknown),
        };
        if absent {
            return Ok(Answer::Fails(String::new(), 2));
        }
        let compare = |a: &&str, b: &&str| {
            let ordering = if flags.contains('V') {
                compare_versions(a, b)
            } else if flags.contains('n') {
                leading_number(a).total_cmp(&leading_number(b))
            } else {
                a.cmp(b)
            };
            let ordering = if flags.contains('u') { ordering } else { ordering.then_with(|| a.cmp(b)) };
            if flags.contains('r') { ordering.reverse() } else { ordering }
        };
        // a locale has an order of its own
        if !text.is_ascii() {
            return Ok(Answer::Unknown);
        }
        let mut lines: Vec<&str> = text.split_terminator('\n').collect();
        self.step(u64::try_from(lines.len()).unwrap_or(u64::MAX))?;
        if flags.contains(['C', 'c']) {
            let strict = flags.contains('u');
            let sorted = lines.windows(2).all(|pair| {
                let ordering = compare(&pair[0], &pair[1]);
                ordering.is_lt() || (ordering.is_eq() && !strict)
            });
            return Ok(if sorted || flags.contains('C') {
                Answer::Known(String::new(), u8::from(!sorted))
            } else {
                Answer::Fails(String::new(), 1)
            });
        }
        lines.sort_by(compare);
        if flags.contains('u') {
            lines.dedup_by(|a, b| compare(&&**a, &&**b).is_eq());
        }
        Ok(Answer::Known(lines.iter().flat_map(|line| [*line, "\n"]).collect(), 0))
    }

    fn uniq(&mut self, arguments: &[String]) -> Result<Answer, Flow> {
        if arguments.len() > 1 {
            return Ok(Answer::Unknown);
        }
        self.filter(arguments, |text| {
            let mut lines: Vec<&str> = text.split_terminator('\n').collect();
            lines.dedup();
            Some(lines.iter().flat_map(|line| [*line, "\n"]).collect())
        })
    }

    fn head_tail(&mut self, arguments: &[String], head: bool) -> Result<Answer, Flow> {
        let (mut count, mut bytes) = ("10".to_owned(), false);
        let mut files = Vec::new();
        let mut i = 0;
        while i < arguments.len() {
            let argument = arguments[i].as_str();
            match argument {
                "-n" | "-c" => {
                    bytes = argument == "-c";
                    i += 1;
                    count = arguments.get(i).cloned().unwrap_or_default();
                }
                "-q" => {}
                _ if argument.starts_with("-n") => argument[2..].clone_into(&mut count),
                _ if argument.starts_with("--lines=") => argument[8..].clone_into(&mut count),
                _ if argument.starts_with("-c") => {
                    bytes = true;
                    argument[2..].clone_into(&mut count);
                }
                _ if argument.len() > 1 && argument.starts_with('-') => {
                    if !argument[1..].bytes().all(|b| b.is_ascii_digit()) {
                        return Ok(Answer::Unknown);
                    }
                    argument[1..].clone_into(&mut count);
                }
                _ => files.push(argument.to_owned()),
            }
            i += 1;
        }
        if files.len() > 1 || files.iter().any(|file| file.starts_with('+')) {
            return Ok(Answer::Unknown);
        }
        let sign = count.chars().next().filter(|c| matches!(c, '-' | '+'));
        let Ok(number) = count.trim_start_matches(['-', '+']).parse::<usize>() else {
            return Ok(Answer::Unknown);
        };
        self.filter_files(&files, |text| {
            if bytes && !text.is_ascii() {
                return None;
            }
            let pieces: Vec<String> = if bytes {
                text.chars().map(String::from).collect()
            } else {
                text.split_inclusive('\n').map(str::to_owned).collect()
            };
            let range = match (head, sign) {
                (true, Some('-')) => 0..pieces.len().saturating_sub(number),
                (true, _) => 0..number.min(pieces.len()),
                (false, Some('+')) => number.saturating_sub(1).min(pieces.len())..pieces.len(),
                (false, _) => pieces.len().saturating_sub(number)..pieces.len(),
            };
            Some(pieces[range].concat())
        })
    }

    fn count(&mut self, arguments: &[String]) -> Result<Answer, Flow> {
        let files: Vec<String> =
            arguments.iter().filter(|a| !a.starts_with('-') || *a == "-").cloned().collect();
        let flags: String =
            arguments.iter().filter(|a| a.starts_with('-')).flat_map(|a| a[1..].chars()).collect();
        if files.len() > 1 || flags.chars().count() != 1 {
            return Ok(Answer::Unknown);
        }
        let name = files.first().map(|file| format!(" {file}")).unwrap_or_default();
        let flag = flags.chars().next().unwrap_or('l');
        if !"lwcm".contains(flag) {
            return Ok(Answer::Unknown);
        }
        self.filter_files(&files, |text| {
            if flag == 'm' && !text.is_ascii() {
                return None;
            }
            let count = match flag {
                'l' => text.matches('\n').count(),
                'w' => text.split_whitespace().count(),
                'c' => text.len(),
                _ => text.chars().count(),
            };
            Some(format!("{count}{name}\n"))
        })
    }

    /// Whether a program is not there, because nobody mentioned the software it belongs to.
    fn lacks_program(&mut self, name: &str) -> bool {
        let lacks = self.outside.has_program(name) == Some(false);
        if lacks {
            self.note_assumed(&format!("the program `{name}`"));
        }
        lacks
    }

    fn which(&mut self, arguments: &[String]) -> Answer {
        match arguments {
            // Where it is differs between distributions; that it is there does not.
            [name] if self.outside.has_program(name) == Some(true) => {
                Answer::Known(format!("{}\n", unknown()), 0)
            }
            [name] if self.lacks_program(name) => Answer::Fails(String::new(), 1),
            _ => Answer::Unknown,
        }
    }

    /// `command -v`, `type`, `hash`.
    pub(super) fn locate_commands(&mut self, names: &[String]) -> Result<Flow, Flow> {
        for name in names.iter().filter(|name| !name.starts_with('-')) {
            if self.state.functions.contains_key(name) || super::builtins::BUILTINS.contains(&name.as_str()) {
                self.print(&format!("{name}\n"))?;
                self.state.status = Some(0);
            } else if self.outside.has_program(name) == Some(true) {
                self.print(&format!("{}\n", unknown()))?;
                self.state.status = Some(0);
            } else if self.lacks_program(name) {
                self.state.status = Some(1);
            } else {
                self.note_unknown(&format!("whether `{name}` is installed"));
                return Ok(self.unknown_result());
            }
        }
        Ok(Flow::Next)
    }

    /// A field of the os-release file.
    pub(super) fn os_release(&self, key: &str) -> Option<String> {
        os_release_field(self.outside.os_release()?, key)
    }

    fn lsb_release(&mut self, arguments: &[String]) -> Answer {
        let flags: String =
            arguments.iter().flat_map(|argument| argument.trim_start_matches('-').chars()).collect();
        if !flags.contains('s') || self.outside.os_release().is_none() {
            return Answer::Unknown;
        }
        // beyond Debian and its kin it comes with a package that nobody mentioned
        let usual = matches!(self.os_release("ID").as_deref(), Some("debian" | "ubuntu"))
            || self.os_release("ID_LIKE").is_some_and(|like| like.contains("debian"));
        if !usual && self.outside.is_described() {
            self.note_assumed("the program `lsb_release`");
            return Answer::Fails(String::new(), 127);
        }
        let value = match flags.replace('s', "").as_str() {
            "c" => self.os_release("VERSION_CODENAME"),
            "r" => self.os_release("VERSION_ID"),
            "i" => match self.os_release("ID").as_deref() {
                Some("debian") => Some("Debian".to_owned()),
                Some("ubuntu") => Some("Ubuntu".to_owned()),
                _ => None,
            },
            _ => None,
        };
        value.map_or(Answer::Unknown, |value| Answer::Known(format!("{value}\n"), 0))
    }

    fn list(&mut self, arguments: &[String]) -> Answer {
        let paths = operands(arguments);
        let flags: String =
            arguments.iter().filter(|a| a.starts_with('-')).flat_map(|a| a[1..].chars()).collect();
        if flags.contains(|c| !"1dA".contains(c)) {
            return Answer::Unknown;
        }
        let mut out = String::new();
        let mut failed = false;
        for path in &paths {
            match (self.test_file('d', path), self.test_file('e', path)) {
                (_, Some(false)) => failed = true,
                (Some(true), _) if !flags.contains('d') && paths.len() == 1 => {
                    let Some(mut names) = self.list_directory(path) else { return Answer::Unknown };
                    names.retain(|name| flags.contains('A') || !name.starts_with('.'));
                    names.sort();
                    for name in names {
                        out.push_str(&format!("{name}\n"));
                    }
                }
                (Some(false), Some(true)) => out.push_str(&format!("{path}\n")),
                (Some(true), _) if flags.contains('d') => out.push_str(&format!("{path}\n")),
                _ => return Answer::Unknown,
            }
        }
        if paths.is_empty() {
            return Answer::Unknown;
        }
        if failed { Answer::Fails(out, 2) } else { Answer::Known(out, 0) }
    }

    /// `find [FOLDER…]` with tests on names, types and depth; no actions but `-print`.
    fn find_files(&mut self, arguments: &[String]) -> Result<Answer, Flow> {
        let Some(search) = FindSearch::parse(arguments) else { return Ok(Answer::Unknown) };
        let mut out = String::new();
        let mut seen = 0;
        let mut failed = false;
        for start in &search.starts {
            match self.test_file('e', start) {
                Some(true) => {}
                Some(false) => {
                    failed = true;
                    continue;
                }
                None => return Ok(Answer::Unknown),
            }
            let mut left = vec![(start.clone(), 0)];
            while let Some((path, depth)) = left.pop() {
                self.step(1)?;
                let Some(named) = search.accepts(&path, depth) else { return Ok(Answer::Unknown) };
                let descends = depth < search.deepest;
                let mut is_folder = false;
                if descends || named && search.folders.is_some() {
                    let Some(known) = self.test_file('d', &path) else { return Ok(Answer::Unknown) };
                    is_folder = known;
                }
                if named && search.folders.is_none_or(|folders| folders == is_folder) {
                    out.push_str(&format!("{path}\n"));
                }
                if is_folder && descends {
                    let Some(mut names) = self.list_directory(&path) else { return Ok(Answer::Unknown) };
                    // the order of a directory is nobody's promise; bytes, last first since this is a stack
                    names.sort_unstable_by(|one, other| other.cmp(one));
                    let folder = path.trim_end_matches('/');
                    left.extend(names.into_iter().map(|name| (format!("{folder}/{name}"), depth + 1)));
                }
                seen += 1;
                self.check_size(seen)?;
            }
        }
        Ok(if failed { Answer::Fails(out, 1) } else { Answer::Known(out, 0) })
    }

    fn expr(arguments: &[String]) -> Answer {
        let truth =
            |value: &str| u8::from(value.strip_prefix('-').unwrap_or(value).bytes().all(|byte| byte == b'0'));
        let first = arguments.first().map_or("", String::as_str);
        let is_length = first == "length" && arguments.len() == 2;
        if first.starts_with("--") || EXPR.contains(&first) && !is_length {
            return Answer::Unknown;
        }
        match arguments {
            [text, colon, regex] if colon == ":" => {
                if regex.contains("\\|") {
                    return Answer::Unknown;
                }
                let Some(regex) = pattern::basic(&format!("^{regex}"), false) else { return Answer::Unknown };
                let result = match regex.captures(text) {
                    Some(captures) if !pattern::is_sure(&regex, text, &captures, &mut { pattern::TRIES }) => {
                        return Answer::Unknown;
                    }
                    Some(captures) if captures.len() > 1 => {
                        captures.get(1).map_or("", |m| m.as_str()).to_owned()
                    }
                    Some(captures) => captures[0].chars().count().to_string(),
                    None if regex.captures_len() > 1 => String::new(),
                    None => "0".to_owned(),
                };
                let status = truth(&result);
                Answer::Known(result + "\n", status)
            }
            [a, operator, b] => {
                let numbers = (a.parse::<i64>(), b.parse::<i64>());
                let result = match (operator.as_str(), &numbers) {
                    ("+", (Ok(a), Ok(b))) => a.checked_add(*b),
                    ("-", (Ok(a), Ok(b))) => a.checked_sub(*b),
                    ("*", (Ok(a), Ok(b))) => a.checked_mul(*b),
                    ("/", (Ok(a), Ok(b))) => a.checked_div(*b),
                    ("%", (Ok(a), Ok(b))) => a.checked_rem(*b),
                    ("<" | "<=" | "=" | "==" | "!=" | ">=" | ">", (Ok(a), Ok(b))) => {
                        Some(i64::from(ordered(operator, a.cmp(b))))
                    }
                    ("<" | "<=" | "=" | "==" | "!=" | ">=" | ">", _) => {
                        Some(i64::from(ordered(operator, a.cmp(b))))
                    }
                    _ => None,
                };
                match result {
                    Some(value) => Answer::Known(format!("{value}\n"), u8::from(value == 0)),
                    None => Answer::Unknown,
                }
            }
            [word, text] if word == "length" => {
                Answer::Known(format!("{}\n", text.chars().count()), truth(text))
            }
            [text] => Answer::Known(format!("{text}\n"), truth(text)),
            _ => Answer::Unknown,
        }
    }

    /// One-liners of the form `/regex/ {print $N}`.
    fn awk(&mut self, arguments: &[String]) -> Result<Answer, Flow> {
        let mut separator = None;
        let mut i = 0;
        while let Some(argument) = arguments.get(i) {
            if argument == "-F" {
                separator = arguments.get(i + 1).cloned();
                i += 2;
            } else if let Some(value) = argument.strip_prefix("-F") {
                separator = Some(value.to_owned());
                i += 1;
            } else {
                break;
            }
        }
        let Some(program) = arguments.get(i) else { return Ok(Answer::Unknown) };
        if arguments.get(i).is_some_and(|argument| argument.starts_with('-')) {
            return Ok(Answer::Unknown);
        }
        // a script or a file that looks like an assignment is one
        let odd = arguments[i + 1..].iter().any(|file| file.contains('=') || file.starts_with('-'));
        let Some(program) = AwkProgram::parse(program, separator.as_deref()).filter(|_| !odd) else {
            return Ok(Answer::Unknown);
        };
        self.filter_files(&arguments[i + 1..], |text| Some(program.run(text)))
    }

    fn sed(&mut self, arguments: &[String]) -> Result<Answer, Flow> {
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
        let Some(program) = super::sed::Program::parse(&scripts.join("\n"), extended) else {
            return Ok(Answer::Unknown);
        };
        match self.source_of(&files)? {
            Source::Text(text) => {
                let mut budget = pattern::TRIES;
                let out = program.run(&text, quiet, &mut budget);
                self.charge_tries(budget)?;
                Ok(out.map_or(Answer::Unknown, |out| Answer::Known(out, 0)))
            }
            Source::Absent(_) => Ok(Answer::Fails(String::new(), 2)),
            Source::Unknown => Ok(Answer::Unknown),
        }
    }
}

/// A command line for a message.
/// What a `find` looks for.
struct FindSearch {
    starts: Vec<String>,
    shallowest: usize,
    deepest: usize,
    folders: Option<bool>,
    /// Patterns, whether they are about the whole path, and whether case matters.
    patterns: Vec<(String, bool, bool)>,
}

impl FindSearch {
    fn parse(arguments: &[String]) -> Option<Self> {
        let first =
            arguments.iter().position(|word| word.starts_with(['-', '(', '!'])).unwrap_or(arguments.len());
        let (starts, tests) = arguments.split_at(first);
        let mut search = Self {
            starts: if starts.is_empty() { vec![".".to_owned()] } else { starts.to_vec() },
            shallowest: 0,
            deepest: usize::MAX,
            folders: None,
            patterns: Vec::new(),
        };
        let mut tests = tests.iter().map(String::as_str);
        while let Some(test) = tests.next() {
            match test {
                "-print" => {}
                "-maxdepth" => search.deepest = tests.next()?.parse().ok()?,
                "-mindepth" => search.shallowest = tests.next()?.parse().ok()?,
                "-type" => {
                    search.folders = Some(match tests.next()? {
                        "d" => true,
                        "f" => false,
                        _ => return None,
                    });
                }
                "-name" | "-iname" | "-path" | "-wholename" => {
                    let whole = matches!(test, "-path" | "-wholename");
                    search.patterns.push((tests.next()?.to_owned(), whole, test == "-iname"));
                }
                _ => return None,
            }
        }
        Some(search)
    }

    /// Nothing: a pattern is beyond us.
    fn accepts(&self, path: &str, depth: usize) -> Option<bool> {
        let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path);
        for (text, whole, ignore_case) in &self.patterns {
            let glob = pattern::Glob::new(text, *ignore_case);
            if !glob.matches(if *whole { path } else { name })? {
                return Some(false);
            }
        }
        Some(depth >= self.shallowest)
    }
}

fn shown(name: &str, arguments: &[String]) -> String {
    let mut text = name.to_owned();
    for argument in arguments {
        text.push(' ');
        text.push_str(if is_unknown(argument) { "…" } else { argument });
    }
    if text.chars().count() > 80 { text.chars().take(79).chain("…".chars()).collect() } else { text }
}

fn operands(arguments: &[String]) -> Vec<String> {
    arguments.iter().filter(|argument| !argument.starts_with('-') || argument.len() == 1).cloned().collect()
}

fn compile_patterns(
    patterns: &[String],
    extended: bool,
    fixed: bool,
    flags: &str,
) -> Option<Vec<regex::Regex>> {
    let ignore_case = flags.contains('i');
    let mut regexes = Vec::new();
    for pattern in patterns.iter().flat_map(|pattern| pattern.split('\n')) {
        let body = if fixed {
            pattern::quote(pattern)
        } else if extended {
            pattern.to_owned()
        } else {
            pattern::basic_to_extended(pattern)
        };
        let body = if flags.contains('x') {
            format!("^({body})$")
        } else if flags.contains('w') {
            format!("\\b({body})\\b")
        } else {
            body
        };
        regexes.push(pattern::extended(&body, ignore_case)?);
    }
    Some(regexes)
}

/// `1,3-5,7-` as inclusive ranges.
fn parse_ranges(text: &str) -> Option<Vec<(usize, usize)>> {
    text.split(',')
        .map(|part| match part.split_once('-') {
            None => part.parse().ok().map(|n| (n, n)),
            Some(("", end)) => end.parse().ok().map(|end| (1, end)),
            Some((start, "")) => start.parse().ok().map(|start| (start, usize::MAX)),
            Some((start, end)) => Some((start.parse().ok()?, end.parse().ok()?)),
        })
        .collect()
}

fn in_ranges(ranges: &[(usize, usize)], position: usize) -> bool {
    ranges.iter().any(|(start, end)| (*start..=*end).contains(&position))
}

/// A set of `tr`: characters, ranges, classes, escapes.
fn tr_set(text: &str) -> Option<Vec<char>> {
    let mut set = Vec::new();
    let mut rest = text;
    if !text.is_ascii() {
        return None;
    }
    while let Some(c) = rest.chars().next() {
        let repeats =
            rest.starts_with('[') && (rest[1..].starts_with(['=', '.']) || rest[1..].get(1..2) == Some("*"));
        if repeats {
            return None;
        }
        if let Some((name, tail)) = rest.strip_prefix("[:").and_then(|tail| tail.split_once(":]")) {
            let all = (0u8..128).map(char::from);
            let class: Vec<char> = match name {
                "upper" => all.filter(char::is_ascii_uppercase).collect(),
                "lower" => all.filter(char::is_ascii_lowercase).collect(),
                "digit" => all.filter(char::is_ascii_digit).collect(),
                "alpha" => all.filter(char::is_ascii_alphabetic).collect(),
                "alnum" => all.filter(char::is_ascii_alphanumeric).collect(),
                "punct" => all.filter(char::is_ascii_punctuation).collect(),
                "space" => " \t\n\r\x0b\x0c".chars().collect(),
                "blank" => " \t".chars().collect(),
                _ => return None,
            };
            set.extend(class);
            rest = tail;
            continue;
        }
        let (first, used) = tr_char(rest, c)?;
        rest = &rest[used..];
        if let Some(tail) = rest.strip_prefix('-')
            && let Some(end) = tail.chars().next()
        {
            let (last, used) = tr_char(tail, end)?;
            if last < first || u32::from(last) - u32::from(first) > 300 {
                return None;
            }
            set.extend(first..=last);
            rest = &tail[used..];
            continue;
        }
        set.push(first);
    }
    Some(set)
}

/// A character and its length as written; nothing for codes, which are not modelled.
fn tr_char(text: &str, c: char) -> Option<(char, usize)> {
    if c != '\\' {
        return Some((c, 1));
    }
    Some(match text[1..].chars().next() {
        Some('n') => ('\n', 2),
        Some('t') => ('\t', 2),
        Some('r') => ('\r', 2),
        Some(other) if other.is_ascii_alphanumeric() => return None,
        Some(other) => (other, 2),
        None => ('\\', 1),
    })
}

fn leading_number(text: &str) -> f64 {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with('-'));
    let mut dots = 0;
    let end = text[sign..].find(|c: char| {
        dots += usize::from(c == '.');
        !c.is_ascii_digit() && (c != '.' || dots > 1)
    });
    text[..end.map_or(text.len(), |end| sign + end)].parse().unwrap_or(0.0)
}

/// GNU `sort -V`: gnulib's filevercmp for names without file suffixes.
#[allow(clippy::many_single_char_names, reason = "two positions in two texts")]
pub(crate) fn compare_versions(a: &str, b: &str) -> std::cmp::Ordering {
    let order = |c: Option<u8>| match c {
        None => -1i32,
        Some(b'~') => -2,
        Some(b) if b.is_ascii_digit() => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(b),
        Some(b) => i32::from(b) + 256,
    };
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (mut i, mut k) = (0, 0);
    while i < a.len() || k < b.len() {
        while (i < a.len() && !a[i].is_ascii_digit()) || (k < b.len() && !b[k].is_ascii_digit()) {
            let (x, y) = (order(a.get(i).copied()), order(b.get(k).copied()));
            if x != y {
                return x.cmp(&y);
            }
            i += 1;
            k += 1;
        }
        while a.get(i) == Some(&b'0') {
            i += 1;
        }
        while b.get(k) == Some(&b'0') {
            k += 1;
        }
        let digits = |text: &[u8], from: usize| {
            text[from.min(text.len())..].iter().take_while(|b| b.is_ascii_digit()).count()
        };
        let (x, y) = (digits(a, i), digits(b, k));
        let (left, right) =
            (&a[i.min(a.len())..(i + x).min(a.len())], &b[k.min(b.len())..(k + y).min(b.len())]);
        let ordering = x.cmp(&y).then_with(|| left.cmp(right));
        if ordering.is_ne() {
            return ordering;
        }
        i += x;
        k += y;
    }
    std::cmp::Ordering::Equal
}

fn ordered(operator: &str, ordering: std::cmp::Ordering) -> bool {
    match operator {
        "<" => ordering.is_lt(),
        "<=" => ordering.is_le(),
        "!=" => ordering.is_ne(),
        ">=" => ordering.is_ge(),
        ">" => ordering.is_gt(),
        _ => ordering.is_eq(),
    }
}

/// `dirname PATH…`.
fn dirnames(arguments: &[String]) -> Answer {
    let paths = match arguments {
        [first, rest @ ..] if first == "--" => rest,
        all if all.iter().any(|argument| argument.starts_with('-')) => return Answer::Unknown,
        all => all,
    };
    match paths {
        [] => Answer::Fails(String::new(), 1),
        paths => Answer::Known(paths.iter().map(|path| dirname(path) + "\n").collect(), 0),
    }
}

/// `basename PATH [SUFFIX]` and `basename -a [-s SUFFIX] PATH…`.
fn basenames(arguments: &[String]) -> Answer {
    let (mut many, mut suffix, mut i) = (false, None, 0);
    while let Some(flags) = arguments.get(i).and_then(|argument| argument.strip_prefix('-')) {
        i += 1;
        match flags {
            "" => {
                i -= 1;
                break;
            }
            "-" => break,
            "a" | "-multiple" => many = true,
            "s" | "as" => {
                suffix = arguments.get(i).cloned();
                i += 1;
            }
            _ => match flags.strip_prefix("-suffix=").or_else(|| flags.strip_prefix('s')) {
                Some(text) => suffix = Some(text.to_owned()),
                None => return Answer::Unknown,
            },
        }
    }
    let paths = arguments.get(i..).unwrap_or_default();
    let suffix = suffix.as_deref();
    match paths {
        [] => Answer::Fails(String::new(), 1),
        [path, ending] if !many && suffix.is_none() => Answer::Known(basename(path, ending) + "\n", 0),
        [_, _, _, ..] if !many && suffix.is_none() => Answer::Fails(String::new(), 1),
        paths => {
            Answer::Known(paths.iter().map(|path| basename(path, suffix.unwrap_or("")) + "\n").collect(), 0)
        }
    }
}

fn dirname(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return if path.is_empty() { "." } else { "/" }.to_owned();
    }
    match trimmed.rfind('/') {
        None => ".".to_owned(),
        Some(at) => {
            let parent = trimmed[..at].trim_end_matches('/');
            if parent.is_empty() { "/".to_owned() } else { parent.to_owned() }
        }
    }
}

fn basename(path: &str, suffix: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return if path.is_empty() { "" } else { "/" }.to_owned();
    }
    let name = trimmed.rsplit('/').next().unwrap_or(trimmed);
    match name.strip_suffix(suffix) {
        Some(stem) if !stem.is_empty() => stem.to_owned(),
        _ => name.to_owned(),
    }
}

fn seq(arguments: &[String]) -> Answer {
    let numbers: Option<Vec<i64>> = arguments.iter().map(|argument| argument.parse().ok()).collect();
    let (first, step, last) = match numbers.as_deref() {
        Some([last]) => (1, 1, *last),
        Some([first, last]) => (*first, 1, *last),
        Some([first, step, last]) if *step != 0 => (*first, *step, *last),
        _ => return Answer::Unknown,
    };
    if first.abs_diff(last) / step.unsigned_abs() > 100_000 {
        return Answer::Unknown;
    }
    let (mut out, mut value) = (String::new(), first);
    while (step > 0 && value <= last) || (step < 0 && value >= last) {
        out.push_str(&format!("{value}\n"));
        match value.checked_add(step) {
            Some(next) => value = next,
            None => break,
        }
    }
    Answer::Known(out, 0)
}

/// A tiny part of awk: an optional pattern and a `print` of fields and strings.
struct AwkProgram {
    separator: Option<regex::Regex>,
    condition: Option<regex::Regex>,
    line: Option<usize>,
    items: Vec<AwkItem>,
    exits: bool,
}

enum AwkItem {
    Field(usize),
    Last,
    Text(String),
    Space,
}

impl AwkProgram {
    fn parse(program: &str, separator: Option<&str>) -> Option<Self> {
        let separator = match separator {
            None | Some(" ") => None,
            Some("\\t" | "t") => Some(pattern::extended("\t", false)?),
            Some(text) if text.len() > 1 && text.contains(['|', '?', '*', '{', '^']) => return None,
            Some(text) if text.chars().count() == 1 => Some(pattern::extended(&pattern::quote(text), false)?),
            Some(text) => Some(pattern::extended(text, false)?),
        };
        let program = program.trim();
        let (condition, action) = program.split_once('{')?;
        let action = action.trim().strip_suffix('}')?.trim().trim_end_matches(';').trim();
        let (action, exits) = match action.rsplit_once(';') {
            Some((action, last)) if last.trim() == "exit" => (action.trim(), true),
            Some(_) => return None,
            None => (action, false),
        };
        let condition = condition.trim();
        let (condition, line) = if condition.is_empty() {
            (None, None)
        } else if let Some(number) =
            condition.strip_prefix("NR==").or_else(|| condition.strip_prefix("NR == "))
        {
            (None, Some(number.trim().parse().ok()?))
        } else {
            let body = condition.strip_prefix('/')?.strip_suffix('/')?;
            if body.contains('/') && !body.contains("\\/") || body.contains('{') {
                return None;
            }
            (Some(pattern::extended(body, false)?), None)
        };
        let list = action.strip_prefix("print")?;
        Some(Self { separator, condition, line, items: Self::items(list)?, exits })
    }

    fn items(list: &str) -> Option<Vec<AwkItem>> {
        let mut items = Vec::new();
        let mut rest = list.trim_start();
        while let Some(c) = rest.chars().next() {
            match c {
                ' ' => rest = rest.trim_start(),
                ',' => {
                    items.push(AwkItem::Space);
                    rest = &rest[1..];
                }
                '"' => {
                    let end = rest[1..].find('"')?;
                    let text = &rest[1..=end];
                    if text.contains('\\') {
                        return None;
                    }
                    items.push(AwkItem::Text(text.to_owned()));
                    rest = &rest[end + 2..];
                }
                '$' if rest.starts_with("$NF") => {
                    items.push(AwkItem::Last);
                    rest = &rest[3..];
                }
                '$' => {
                    let end = rest[1..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| end + 1);
                    items.push(AwkItem::Field(rest[1..end].parse().ok()?));
                    rest = &rest[end..];
                }
                _ => return None,
            }
        }
        if items.is_empty() {
            items.push(AwkItem::Field(0));
        }
        Some(items)
    }

    fn run(&self, text: &str) -> String {
        let mut out = String::new();
        for (i, line) in text.split_terminator('\n').enumerate() {
            if self.condition.as_ref().is_some_and(|regex| !regex.is_match(line)) {
                continue;
            }
            if self.line.is_some_and(|wanted| wanted != i + 1) {
                continue;
            }
            let fields: Vec<&str> = match &self.separator {
                None => line.split([' ', '\t']).filter(|field| !field.is_empty()).collect(),
                Some(_) if line.is_empty() => Vec::new(),
                Some(regex) => regex.split(line).collect(),
            };
            for item in &self.items {
                match item {
                    AwkItem::Field(0) => out.push_str(line),
                    AwkItem::Field(n) => out.push_str(fields.get(n - 1).unwrap_or(&"")),
                    AwkItem::Last => out.push_str(fields.last().unwrap_or(&line)),
                    AwkItem::Text(text) => out.push_str(text),
                    AwkItem::Space => out.push(' '),
                }
            }
            out.push('\n');
            if self.exits {
                break;
            }
        }
        out
    }
}
