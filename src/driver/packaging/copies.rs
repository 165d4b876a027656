//! Lines of Makefiles, shell scripts, spec files and debhelper's lists that copy files, read without running anything.
//!
//! What a line cannot be known to mean gives nothing. A value that nobody can know, such as `$(DESTDIR)`, stays in a destination
//! as a mark with its name, because the folders behind it often say enough.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use crate::dkms::tree_path;

/// Around the name of a value that is unknown.
pub(super) const UNKNOWN: [char; 2] = ['\u{1}', '\u{2}'];
/// The longest value that is made, and how deep values may name others.
const LONGEST: usize = 1 << 14;
const DEEPEST: u32 = 8;
/// How many references of a text are looked up: values that name each other grow without end.
const REFERENCES: u32 = 20_000;
/// How many words a command or a list may have.
const WORDS: usize = 1000;

/// How a text spells things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// Makefiles, and `debian/rules`.
    Make,
    /// Scripts for sh and bash.
    Shell,
    /// `%install` of a spec.
    Spec,
}

/// Files that are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Copy {
    /// The line, counted from 1.
    pub(super) line: usize,
    /// Paths below the tree's root, perhaps with wildcards; those in the root's parent or unknown are left out.
    pub(super) sources: Vec<String>,
    /// Where, with marks for what is unknown.
    pub(super) to: String,
    /// Whether that is certainly a folder.
    pub(super) into: bool,
    /// Whether a folder's files are copied, and not the folder itself: `SRC/.` and rsync's `SRC/`.
    pub(super) contents: bool,
    /// Whether folders are copied with what is in them.
    pub(super) folders: bool,
}

/// A text with what is known about it.
pub(super) struct Script<'a> {
    pub(super) language: Language,
    pub(super) text: &'a str,
    /// The folder, relative to the tree's root, in which its commands start.
    pub(super) folder: &'a str,
    /// Values that it does not set itself.
    pub(super) given: &'a [(&'a str, &'a str)],
}

/// Every copy that a text makes.
pub(super) fn copies(script: &Script<'_>) -> Vec<Copy> {
    let lines = logical_lines(script.text);
    let variables = Variables::collect(script, &lines);
    let mut reader = Reader {
        script,
        variables,
        made: BTreeSet::new(),
        copies: Vec::new(),
        references: Cell::new(REFERENCES),
    };
    let mut folder = Some(script.folder.to_owned());
    let mut is_install = false;
    for (number, line) in &lines {
        match script.language {
            Language::Make => {
                // every line of a recipe starts anew
                folder = Some(script.folder.to_owned());
                if !line.starts_with('\t') {
                    continue;
                }
            }
            Language::Spec => {
                if let Some(section) = section(line) {
                    is_install = section == "%install";
                    folder = Some(script.folder.to_owned());
                    continue;
                }
                if !is_install {
                    continue;
                }
            }
            Language::Shell => {}
        }
        reader.line(*number, line, &mut folder);
    }
    reader.copies
}

/// The name of a spec's section, where a line begins one.
pub(super) fn section(line: &str) -> Option<&str> {
    const SECTIONS: [&str; 19] = [
        "%description",
        "%package",
        "%prep",
        "%generate_buildrequires",
        "%conf",
        "%build",
        "%install",
        "%check",
        "%clean",
        "%files",
        "%changelog",
        "%pre",
        "%post",
        "%preun",
        "%postun",
        "%pretrans",
        "%posttrans",
        "%triggerin",
        "%triggerun",
    ];
    let word = line.split_whitespace().next()?;
    SECTIONS.contains(&word).then_some(word).filter(|_| line.starts_with('%'))
}

/// Lines with their numbers; one that ends in a backslash goes on in the next.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    for (index, line) in text.lines().enumerate() {
        let (line, continues) = match line.strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        match lines.last_mut().filter(|_| goes_on) {
            Some((_, whole)) if whole.len() < LONGEST => {
                whole.push(' ');
                whole.push_str(line.trim_start());
            }
            Some(_) => {}
            None => lines.push((index + 1, line.to_owned())),
        }
        goes_on = continues;
    }
    lines
}

/// The values that a text gives to names; nothing where it gives several.
struct Variables(BTreeMap<String, Option<String>>);

impl Variables {
    fn collect(script: &Script<'_>, lines: &[(usize, String)]) -> Self {
        let mut variables = Self(BTreeMap::new());
        for (_, line) in lines {
            let trimmed = line.trim_start();
            match script.language {
                Language::Make if !line.starts_with('\t') => variables.make(trimmed),
                Language::Make => {}
                Language::Spec if trimmed.starts_with('%') => {
                    let mut words = trimmed.splitn(3, [' ', '\t']);
                    if let (Some("%define" | "%global"), Some(name), Some(value)) =
                        (words.next(), words.next(), words.next())
                    {
                        variables.set(name, value.trim());
                    }
                }
                Language::Spec => match trimmed.split_once(':') {
                    Some((tag, value)) if is_name(tag) => variables.tag(tag, value.trim()),
                    _ => variables.shell(trimmed),
                },
                Language::Shell => variables.shell(trimmed),
            }
        }
        for (name, value) in script.given {
            variables.0.entry((*name).to_owned()).or_insert_with(|| Some((*value).to_owned()));
        }
        variables
    }

    fn set(&mut self, name: &str, value: &str) {
        let value = Some(value.to_owned());
        self.0
            .entry(name.to_owned())
            .and_modify(|old| {
                if *old != value {
                    *old = None;
                }
            })
            .or_insert(value);
    }

    fn tag(&mut self, tag: &str, value: &str) {
        let upper = tag.to_ascii_uppercase();
        match upper.as_str() {
            "NAME" | "VERSION" | "RELEASE" => self.set(&tag.to_ascii_lowercase(), value),
            _ if upper.starts_with("SOURCE") => {
                // what is fetched lies beside the spec
                let name = value.rsplit('/').next().unwrap_or(value);
                self.set(if upper == "SOURCE" { "SOURCE0" } else { &upper }, name);
            }
            _ => {}
        }
    }

    fn make(&mut self, line: &str) {
        let line = line.strip_prefix("export ").or_else(|| line.strip_prefix("override ")).unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { return };
        let sign = name.trim_end_matches(|sign| ":?+!".contains(sign));
        let (name, sign) = (sign.trim(), &name[sign.len()..]);
        if !is_name(name) {
            return;
        }
        let value = value.split(" #").next().unwrap_or_default().trim();
        match sign {
            "+" => {
                if let Some(Some(old)) =
                    self.0.get_mut(name).filter(|old| old.as_ref().is_none_or(|old| old.len() < LONGEST))
                {
                    old.push(' ');
                    old.push_str(value);
                } else {
                    self.set(name, value);
                }
            }
            "?" if self.0.contains_key(name) => {}
            "!" => drop(self.0.insert(name.to_owned(), None)),
            _ => self.set(name, value),
        }
    }

    fn shell(&mut self, line: &str) {
        let keywords = ["export ", "readonly ", "local ", "declare -r "];
        let line = keywords.iter().find_map(|word| line.strip_prefix(word)).unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else { return };
        if is_name(name) {
            let mut value = split(value, Language::Shell).into_iter().flatten();
            self.set(name, &value.next().unwrap_or_default());
        }
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The words of each command of a line, as they are spelled; `>` is a word of its own.
fn split(line: &str, language: Language) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word = String::new();
    let (mut quote, mut depth) = (None, 0_u32);
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let end = |word: &mut String, commands: &mut Vec<Vec<String>>| {
            if let (false, Some(command)) = (word.is_empty(), commands.last_mut()) {
                command.push(std::mem::take(word));
            }
        };
        match character {
            '\\' if quote != Some('\'') => {
                word.push(character);
                word.extend(characters.next());
                continue;
            }
            '\'' | '"' if quote.is_none() => quote = Some(character),
            _ if quote == Some(character) => quote = None,
            _ if quote == Some('\'') => {}
            '(' | '{' if word.ends_with(['$', '%']) || depth > 0 => depth += 1,
            ')' | '}' if depth > 0 => depth -= 1,
            _ if depth > 0 || quote.is_some() => {}
            ' ' | '\t' => {
                end(&mut word, &mut commands);
                continue;
            }
            '#' if word.is_empty() && language != Language::Spec
                || word.is_empty() && characters.peek() == Some(&' ') =>
            {
                break;
            }
            ';' | '&' | '|' | '(' | ')' => {
                end(&mut word, &mut commands);
                commands.push(Vec::new());
                continue;
            }
            '>' => {
                end(&mut word, &mut commands);
                while characters.next_if_eq(&'>').is_some() {}
                word.push('>');
                end(&mut word, &mut commands);
                continue;
            }
            _ => {}
        }
        word.push(character);
    }
    if let (false, Some(command)) = (word.is_empty(), commands.last_mut()) {
        command.push(word);
    }
    commands.retain(|command| !command.is_empty());
    commands
}

/// Macros of rpm, as far as every distribution agrees on them.
const MACROS: [(&str, &str); 26] = [
    ("buildroot", ""),
    ("RPM_BUILD_ROOT", ""),
    ("_udevrulesdir", "/usr/lib/udev/rules.d"),
    ("_udevhwdbdir", "/usr/lib/udev/hwdb.d"),
    ("_udevdir", "/usr/lib/udev"),
    ("_modprobedir", "/usr/lib/modprobe.d"),
    ("_modulesloaddir", "/usr/lib/modules-load.d"),
    ("_modulesdir", "/usr/lib/modules-load.d"),
    ("_depmoddir", "/usr/lib/depmod.d"),
    ("_firmwaredir", "/usr/lib/firmware"),
    ("_firmwarepath", "/usr/lib/firmware"),
    ("_unitdir", "/usr/lib/systemd/system"),
    ("_tmpfilesdir", "/usr/lib/tmpfiles.d"),
    ("_sysusersdir", "/usr/lib/sysusers.d"),
    ("_dracutdir", "/usr/lib/dracut"),
    ("_dracutmodulesdir", "/usr/lib/dracut/modules.d"),
    ("_dracutmoddir", "/usr/lib/dracut/modules.d"),
    ("_usrsrc", "/usr/src"),
    ("_sysconfdir", "/etc"),
    ("_prefix", "/usr"),
    ("_usr", "/usr"),
    ("_prefix_lib", "/usr/lib"),
    ("_datadir", "/usr/share"),
    ("_datarootdir", "/usr/share"),
    ("_bindir", "/usr/bin"),
    ("_sbindir", "/usr/sbin"),
];
/// What stands for the folder that a Makefile is in, or the tree.
const HERE: [&str; 8] =
    ["CURDIR", "PWD", "srcdir", "src", "shell pwd", "pwd", "_builddir/%{name}-%{version}", "M"];

struct Reader<'a> {
    script: &'a Script<'a>,
    variables: Variables,
    /// Folders that were made.
    made: BTreeSet<String>,
    copies: Vec<Copy>,
    /// How many more references are looked up.
    references: Cell<u32>,
}

impl Reader<'_> {
    fn line(&mut self, number: usize, line: &str, folder: &mut Option<String>) {
        let line = line.trim_start();
        let line = if self.script.language == Language::Make {
            line.trim_start_matches(['@', '-', '+'])
        } else {
            line
        };
        let mut loops: Vec<(String, Vec<String>)> = Vec::new();
        for mut command in split(line, self.script.language) {
            let first = command.first().map(String::as_str);
            match first {
                Some("for") if command.get(2).is_some_and(|word| word == "in") => {
                    let words =
                        command[3..].iter().flat_map(|word| self.words(word, &[])).take(WORDS).collect();
                    loops.push((command[1].clone(), words));
                    continue;
                }
                Some("done") => {
                    loops.pop();
                    continue;
                }
                Some("do" | "then" | "else" | "sudo" | "!" | "{") => drop(command.remove(0)),
                _ => {}
            }
            if command.first().is_some_and(|word| word == "sudo") {
                command.remove(0);
            }
            self.command(number, &command, &loops, folder);
        }
    }

    fn command(
        &mut self,
        line: usize,
        command: &[String],
        loops: &[(String, Vec<String>)],
        folder: &mut Option<String>,
    ) {
        let words: Vec<String> =
            command.iter().flat_map(|word| self.words(word, loops)).take(WORDS).collect();
        let Some((program, arguments)) = words.split_first() else { return };
        let program = program_of(program);
        if program == "cd" || program == "pushd" {
            *folder = match (folder.take(), arguments.first()) {
                (Some(folder), Some(to)) => in_folder(&folder, to),
                _ => None,
            };
            return;
        }
        if program == "mkdir" {
            self.made
                .extend(arguments.iter().filter(|word| !word.starts_with('-')).map(|path| trimmed(path)));
            return;
        }
        let redirected = arguments.iter().position(|word| word == ">");
        let copy = match (program, redirected) {
            ("sed" | "cat" | "m4" | "envsubst", Some(at)) => {
                let (sources, to) = arguments.split_at(at);
                let (Some(source), [_, to]) = (sources.last(), to) else { return };
                Arguments { sources: vec![source.clone()], to: Some(to.clone()), ..Arguments::default() }
            }
            ("install" | "cp" | "rsync" | "dh_install", None) => match Arguments::of(program, arguments) {
                Some(arguments) => arguments,
                None => return,
            },
            _ => return,
        };
        if copy.makes_folders {
            self.made.extend(copy.sources.iter().chain(&copy.to).map(|path| trimmed(path)));
            return;
        }
        let Some(to) = copy.to else { return };
        let contents = copy.sources.iter().any(|source| {
            source.ends_with("/.") || source == "." || program == "rsync" && source.ends_with('/')
        });
        let into = copy.into
            || to.ends_with('/')
            || copy.sources.len() > 1
            || copy.sources.iter().any(|source| source.contains(['*', '?', '[']))
            || self.made.contains(&trimmed(&to));
        let Some(folder) = folder.as_deref() else { return };
        let sources: Vec<_> = copy.sources.iter().filter_map(|source| in_folder(folder, source)).collect();
        if !sources.is_empty() {
            self.copies.push(Copy { line, sources, to, into, contents, folders: program != "install" });
        }
    }

    /// A word as it is spelled, as words: a reference that stands bare may be several.
    fn words(&self, word: &str, loops: &[(String, Vec<String>)]) -> Vec<String> {
        for (name, values) in loops {
            for spelling in
                [format!("$${{{name}}}"), format!("$${name}"), format!("${{{name}}}"), format!("${name}")]
            {
                if word.contains(&spelling) {
                    let values = values.iter().take(WORDS);
                    return values.map(|value| self.expand(&word.replace(&spelling, value), 0)).collect();
                }
            }
        }
        let expanded = self.expand(word, 0);
        let is_bare = word.starts_with(['$', '%']) && !word.contains('"');
        if is_bare && !expanded.contains(UNKNOWN) {
            expanded.split_whitespace().map(str::to_owned).collect()
        } else {
            vec![expanded]
        }
    }

    /// A word without its quotes, and with the values of what it names.
    fn expand(&self, word: &str, depth: u32) -> String {
        let mut out = String::new();
        let mut rest = word;
        let mut quote = None;
        while let Some(character) = rest.chars().next() {
            if out.len() > LONGEST {
                return unknown("");
            }
            let after = &rest[character.len_utf8()..];
            match character {
                '\'' | '"' if quote.is_none() => quote = Some(character),
                _ if quote == Some(character) => quote = None,
                '\\' if quote.is_none() => {
                    let next = after.chars().next();
                    out.extend(next);
                    rest = &after[next.map_or(0, char::len_utf8)..];
                    continue;
                }
                '`' => {
                    let end = after.find('`').map_or(after.len(), |end| end + 1);
                    out.push_str(&self.named(after[..end].trim_end_matches('`'), depth));
                    rest = &after[end..];
                    continue;
                }
                '$' | '%' if character == '$' || self.script.language == Language::Spec => {
                    let (value, left) = self.reference(after, depth);
                    out.push_str(&value);
                    rest = left;
                    continue;
                }
                _ => out.push(character),
            }
            rest = after;
        }
        out
    }

    /// The value of what follows a `$` or a `%`, and what is behind it.
    fn reference<'t>(&self, after: &'t str, depth: u32) -> (String, &'t str) {
        if self.script.language == Language::Make
            && let Some(shell) = after.strip_prefix('$')
        {
            return self.reference(shell, depth);
        }
        if let Some(inside) = after.strip_prefix(['(', '{']) {
            let mut level = 1_u32;
            for (at, byte) in inside.bytes().enumerate() {
                match byte {
                    b'(' | b'{' => level += 1,
                    b')' | b'}' => level -= 1,
                    _ => {}
                }
                if level == 0 {
                    return (self.named(&inside[..at], depth), &inside[at + 1..]);
                }
            }
            return (unknown(""), "");
        }
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
        let end = if self.script.language == Language::Make { end.min(1) } else { end };
        if end == 0 {
            let next = after.chars().next().map_or(0, char::len_utf8);
            return (unknown(""), &after[next..]);
        }
        (self.named(&after[..end], depth), &after[end..])
    }

    /// Every word of a list between two texts.
    fn each(&self, before: &str, after: &str, list: &str, depth: u32) -> String {
        let (before, after) = (self.expand(before.trim(), depth + 1), self.expand(after, depth + 1));
        let list = self.expand(list.trim(), depth + 1);
        if list.contains(UNKNOWN) {
            return unknown("");
        }
        let words = list.split_whitespace().take(WORDS);
        let mut whole = String::new();
        for word in words {
            if whole.len() > LONGEST {
                return unknown("");
            }
            whole.push_str(&format!("{before}{word}{after} "));
        }
        whole.trim_end().to_owned()
    }

    fn named(&self, name: &str, depth: u32) -> String {
        let Some(left) = self.references.get().checked_sub(1).filter(|_| depth <= DEEPEST) else {
            return unknown("");
        };
        self.references.set(left);
        let name = name.trim().trim_start_matches('?');
        if let Some(pattern) = name.strip_prefix("wildcard ") {
            return self.expand(pattern, depth + 1);
        }
        if let Some((prefix, list)) = name.strip_prefix("addprefix ").and_then(|list| list.split_once(',')) {
            return self.each(prefix, "", list, depth);
        }
        // `$(LIST:%=folder/%)`
        if let Some((list, (from, to))) =
            name.split_once(':').and_then(|(list, rule)| Some((list, rule.split_once('=')?)))
            && from == "%"
            && let Some((before, after)) = to.split_once('%')
        {
            return self.each(before, after, &format!("$({list})"), depth);
        }
        if let Some(value) = self.variables.0.get(name) {
            return match value {
                // the outermost name says most: `UDEVDIR` more than the command that gives its value
                Some(value) => match self.expand(value, depth + 1) {
                    value
                        if value.starts_with(UNKNOWN[0])
                            && value.find(UNKNOWN[1]) == Some(value.len() - 1) =>
                    {
                        unknown(name)
                    }
                    value => value,
                },
                None => unknown(name),
            };
        }
        let name = name.split(":-").next().unwrap_or(name);
        if let Some((_, value)) = MACROS.iter().find(|(macro_name, _)| *macro_name == name) {
            return (*value).to_owned();
        }
        let is_own_folder =
            name.starts_with("dirname ") && (name.contains("$0") || name.contains("BASH_SOURCE"));
        if HERE.contains(&name) || is_own_folder {
            return ".".to_owned();
        }
        unknown(name)
    }
}

fn unknown(name: &str) -> String {
    let name: String =
        name.chars().filter(|name| name.is_ascii_alphanumeric() || *name == '_').take(40).collect();
    format!("{}{name}{}", UNKNOWN[0], UNKNOWN[1])
}

/// A path of the tree's own, from a folder of it.
fn in_folder(folder: &str, path: &str) -> Option<String> {
    // `$(CURDIR)/x` became `./x`; what else is absolute is not the tree's
    if path.contains(UNKNOWN) || path.starts_with('/') || path.chars().any(char::is_control) {
        return None;
    }
    tree_path(&format!("{folder}/{path}"))
}

fn trimmed(path: &str) -> String {
    path.trim_end_matches('/').to_owned()
}

/// `$(INSTALL_DATA)` and `/usr/bin/install` are install.
fn program_of(word: &str) -> &str {
    let name = word.trim_matches(UNKNOWN);
    let name = name.rsplit('/').next().unwrap_or(name);
    match name.to_ascii_lowercase().trim_start_matches('_') {
        lower if lower == "install" || lower == "ginstall" || lower.starts_with("install_") => "install",
        "cp" => "cp",
        "rsync" => "rsync",
        "mkdir" => "mkdir",
        _ => name,
    }
}

#[derive(Default)]
struct Arguments {
    sources: Vec<String>,
    to: Option<String>,
    into: bool,
    makes_folders: bool,
}

impl Arguments {
    /// The operands of a command; nothing where an option is not understood.
    fn of(program: &str, arguments: &[String]) -> Option<Self> {
        let takes_value: &[&str] = match program {
            "install" => &["-m", "-o", "-g", "--mode", "--owner", "--group", "-S"],
            "rsync" => {
                &["--exclude", "--include", "-f", "--filter", "--exclude-from", "-e", "--chmod", "--chown"]
            }
            "dh_install" => &["-p", "-X", "--package", "--exclude", "--sourcedir"],
            _ => &["-S"],
        };
        let mut found = Self { into: program == "dh_install", ..Self::default() };
        let mut words = arguments.iter();
        let mut only_operands = false;
        while let Some(word) = words.next() {
            let is_option = word.starts_with('-') && word.len() > 1 && !only_operands;
            if !is_option {
                found.sources.push(word.clone());
            } else if word == "--" {
                only_operands = true;
            } else if let Some(folder) = word.strip_prefix("--target-directory=") {
                found.to = Some(folder.to_owned());
            } else if program != "dh_install"
                && program != "rsync"
                && !word.starts_with("--")
                && word.ends_with('t')
            {
                found.to = Some(words.next()?.clone());
            } else if program == "install"
                && (word == "--directory" || !word.starts_with("--") && word.contains('d'))
            {
                found.makes_folders = true;
                if word.ends_with('m') {
                    words.next();
                }
            } else if takes_value.contains(&word.as_str())
                || program == "install" && !word.starts_with("--") && word.ends_with(['m', 'o', 'g'])
            {
                words.next();
            } else if word == "--sourcedir" || word.starts_with("--sourcedir=") {
                return None;
            }
        }
        if found.to.is_some() {
            found.into = true;
        } else if !found.makes_folders {
            found.to = found.sources.pop();
        }
        Some(found)
    }
}
