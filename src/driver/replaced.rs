//! Template markers that the vendor's own Makefile or scripts replace, `sed -e "s/@X@/$(Y)/"`, and markers in the sources' versions.
//!
//! Runs nothing: a value that the same file does not say is unknown. Reads a bounded number of files, and decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::tree::text_of;
use crate::config;
use crate::dkms;
use crate::driver::find;
use crate::input::source::{self, SourceFile, SourceKind};
use crate::input::version;

/// How much of a file is read.
const BYTES: usize = 256 << 10;
/// How many scripts, and how many sources, are read.
const FILES: usize = 400;
/// A line may be so long.
const LINE: usize = 4096;
/// A variable may have its value from others so often.
const DEPTH: usize = 4;
/// Folders of a tree in which its packaging lies.
const FOLDERS: [&str; 7] = ["packages", "packaging", "scripts", "dkms", "debian/", "dist", "contrib"];

/// A marker that a command replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replacement {
    pub(super) marker: String,
    /// The file and the line.
    pub(super) place: String,
    /// The value as it stands there.
    pub(super) written: String,
    /// What the value consists of; nothing where that is not known here.
    parts: Option<Vec<Part>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The version of the package.
    Version,
    /// A variable of make that nothing sets, and so empty.
    Unset(String),
}

impl Replacement {
    /// The value, when it is known and text to every reader.
    pub(super) fn value(&self, version: Option<&str>) -> Option<String> {
        let mut value = String::new();
        for part in self.parts.as_ref()? {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Version => value.push_str(version?),
                Part::Unset(_) => {}
            }
        }
        (!value.contains('$') && config::unsafe_in_bash(&value).is_none()).then_some(value)
    }

    /// The variables that nothing sets.
    pub(super) fn unset(&self) -> Vec<&str> {
        let parts = self.parts.iter().flatten();
        parts
            .filter_map(|part| if let Part::Unset(name) = part { Some(name.as_str()) } else { None })
            .collect()
    }
}

/// What the Makefiles and scripts in folders, and in those where packaging lies below the first, replace; `shown` is how messages
/// call a path.
pub(super) fn replacements(folders: &[&Path], shown: &dyn Fn(&Path) -> PathBuf) -> Vec<Replacement> {
    let top = folders.first().copied();
    let below = top.iter().flat_map(|top| FOLDERS.map(|name| find::below(top, name)));
    let all: Vec<PathBuf> = folders.iter().map(|folder| folder.to_path_buf()).chain(below).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut left = FILES;
    for folder in all {
        if !fs::canonicalize(&folder).is_ok_and(|path| seen.insert(path)) {
            continue;
        }
        let names = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut names: Vec<_> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        for name in names.into_iter().filter(|name| is_script(name)).take(left) {
            left = left.saturating_sub(1);
            let path = find::below(&folder, &name);
            let Some(bytes) = source::read_start(&path, BYTES as u64) else { continue };
            let script = Script { text: &String::from_utf8_lossy(&bytes), is_make: is_makefile(&name) };
            let place = |line: usize| format!("{}:{line}", shown(&path).display());
            found.extend(script.replacements().map(|(line, marker, written, parts)| Replacement {
                marker,
                place: place(line),
                written,
                parts,
            }));
        }
    }
    found
}

fn is_makefile(name: &str) -> bool {
    name.to_ascii_lowercase().contains("makefile") || name.ends_with(".mk") || name == "rules"
}

fn is_script(name: &str) -> bool {
    is_makefile(name)
        || [".sh", ".bash", ".spec", ".spec.in"].iter().any(|ending| name.ends_with(ending))
        || ["install", "dkms-install", "configure"].contains(&name)
}

struct Script<'a> {
    text: &'a str,
    is_make: bool,
}

impl Script<'_> {
    /// Lines, markers, values as written and what they consist of.
    fn replacements(&self) -> impl Iterator<Item = (usize, String, String, Option<Vec<Part>>)> {
        let mut is_sed = false;
        let mut goes_on = false;
        self.text.lines().enumerate().flat_map(move |(number, line)| {
            let line = if line.len() > LINE || line.trim_start().starts_with('#') { "" } else { line };
            is_sed = line.contains("sed") || goes_on && is_sed;
            goes_on = line.ends_with('\\');
            let commands = if is_sed { substitutions(line) } else { Vec::new() };
            commands.into_iter().filter_map(move |command| {
                let (marker, written) = replacement(&command)?;
                let parts = self.value(&command, &written);
                Some((number + 1, marker, written, parts))
            })
        })
    }

    fn value(&self, command: &Substitution<'_>, written: &str) -> Option<Vec<Part>> {
        // a shell does not look into single quotes, make does
        let mut single = command.is_quoted;
        let mut plain = String::new();
        for character in written.chars() {
            match character {
                '\'' => single = !single,
                '"' => {}
                '$' if single && !self.is_make => return None,
                '&' => return None,
                _ => plain.push(character),
            }
        }
        self.parts(&unescaped(&plain)?, DEPTH)
    }

    /// What a value consists of, with the variables that the same file sets.
    fn parts(&self, text: &str, depth: usize) -> Option<Vec<Part>> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once('$') {
            parts.push(Part::Text(before.to_owned()));
            let close = match tail.chars().next()? {
                '{' => Some('}'),
                '(' if self.is_make => Some(')'),
                _ => None,
            };
            let (name, after) = match close {
                Some(close) => tail[1..].split_once(close)?,
                None if self.is_make => return None,
                None => tail.split_at(tail.find(|c: char| !is_word(c)).unwrap_or(tail.len())),
            };
            if name.is_empty() || !name.chars().all(is_word) {
                return None;
            }
            parts.extend(self.variable(name, depth)?);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        (!text.contains('`')).then_some(parts)
    }

    fn variable(&self, name: &str, depth: usize) -> Option<Vec<Part>> {
        let values: BTreeSet<&str> = self.definitions(name).collect();
        if is_version(name) && (self.is_make || !values.is_empty()) {
            return Some(vec![Part::Version]);
        }
        let mut values = values.into_iter();
        match (values.next(), values.next()) {
            (Some(value), None) => self.parts(value, depth.checked_sub(1)?),
            (None, _) if self.is_make && !self.text.contains("include ") => {
                Some(vec![Part::Unset(name.to_owned())])
            }
            _ => None,
        }
    }

    /// The values that a variable gets, without quotes.
    fn definitions<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        const BEFORE: [&str; 5] = ["export ", "local ", "readonly ", "declare ", "override "];
        self.text.lines().filter_map(move |line| {
            let line = line.trim_start();
            let line = BEFORE.iter().find_map(|word| line.strip_prefix(word)).unwrap_or(line);
            let rest = line.strip_prefix(name)?;
            let rest = if self.is_make { rest.trim_start() } else { rest };
            let value = ["::=", ":=", "?=", "+=", "="].iter().find_map(|sign| rest.strip_prefix(sign))?;
            let value = value.split(" #").next().unwrap_or(value).trim();
            let quoted =
                ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
            Some(quoted.unwrap_or(value))
        })
    }
}

/// The marker and its value of a command, where it replaces one.
fn replacement(command: &Substitution<'_>) -> Option<(String, String)> {
    let (mut pattern, mut value) = (command.pattern, command.replacement);
    // `s/"@X@"/"$(Y)"/`
    if let (Some(inner), Some(inner_value)) = (without_quotes(pattern), without_quotes(value)) {
        (pattern, value) = (inner, inner_value);
    }
    let marker = unescaped(pattern)?;
    // more than a word, which could be the name of a variable
    let is_certain = marker.starts_with("__")
        || marker.contains("PLACEHOLDER")
        || marker.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    (is_certain && marker.len() > 2 && dkms::marker(&marker).as_ref() == Some(&marker))
        .then(|| (marker, value.to_owned()))
}

fn without_quotes(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"')
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// Whether a variable is called as the version of a driver is.
fn is_version(name: &str) -> bool {
    const OTHERS: [&str; 9] = ["dkms", "driver", "drv", "mod", "module", "package", "pcie", "pkg", "release"];
    let name = name.to_ascii_lowercase();
    let is_one = |word: &str| matches!(word, "version" | "ver" | "pkgver");
    name.split('_').any(is_one) && name.split('_').all(|word| is_one(word) || OTHERS.contains(&word))
}

/// Without the backslashes before what they keep as it is; nothing where one means something else.
fn unescaped(text: &str) -> Option<String> {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => characters.next().filter(|next| !next.is_ascii_alphanumeric())?,
            other => other,
        });
    }
    Some(plain)
}

/// `s/PATTERN/REPLACEMENT/`.
struct Substitution<'a> {
    pattern: &'a str,
    replacement: &'a str,
    /// Whether the replacement begins in single quotes.
    is_quoted: bool,
}

/// The substitutions of sed in a line.
fn substitutions(line: &str) -> Vec<Substitution<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    while let Some(at) = line[start..].find('s').map(|at| at + start) {
        start = at + 1;
        let begins = line[..at].chars().next_back().is_none_or(|before| " \t'\";{".contains(before));
        let Some(mark) = line[start..].chars().next().filter(|mark| begins && "/|#,@!%:~+".contains(*mark))
        else {
            continue;
        };
        let rest = &line[start + 1..];
        let Some(middle) = unescaped_end(rest, mark) else { continue };
        let Some(length) = unescaped_end(&rest[middle + 1..], mark) else { continue };
        let replaced = start + 1 + middle + 1;
        found.push(Substitution {
            pattern: &rest[..middle],
            replacement: &line[replaced..replaced + length],
            is_quoted: line[..replaced].matches('\'').count() % 2 == 1,
        });
        start = replaced + length;
    }
    found
}

/// Where a mark stands that no backslash is before, and that is not inside of `${…}`.
fn unescaped_end(text: &str, mark: char) -> Option<usize> {
    let (mut escaped, mut depth) = (false, 0_usize);
    text.char_indices().find_map(|(at, character)| {
        match character {
            '{' if text[..at].ends_with('$') => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let is_end = character == mark && !escaped && depth == 0;
        escaped = character == '\\' && !escaped;
        is_end.then_some(at)
    })
}

// ---- markers in sources -------------------------------------------------------------------------------------------------------

/// The sources whose version is a marker, by marker: the path, and the text between quotes that has it.
pub(super) type Marked = BTreeMap<String, Vec<(String, String)>>;

/// The markers that `MODULE_VERSION("…")` and `#define X_VERSION "…"` of sources have.
pub(super) fn marked(files: &[SourceFile]) -> Marked {
    let mut marked = Marked::new();
    let sources = files.iter().filter(|file| file.path.ends_with(".c") || file.path.ends_with(".h"));
    for file in sources.take(FILES) {
        let Some(text) = text_of(file, BYTES) else { continue };
        for line in text.lines().filter(|line| line.contains("VERSION")) {
            let Some(literal) = version_literal(line) else { continue };
            if let Some(marker) = dkms::marker(literal).filter(|marker| marker.len() > 2) {
                let one = (file.path.clone(), literal.to_owned());
                let of_marker: &mut Vec<_> = marked.entry(marker).or_default();
                if !of_marker.contains(&one) {
                    of_marker.push(one);
                }
            }
        }
    }
    marked
}

/// The text in quotes that a line gives as the version.
fn version_literal(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let value = if let Some(rest) = line.strip_prefix("MODULE_VERSION") {
        rest.trim_start().strip_prefix('(')?
    } else {
        let rest = line.strip_prefix('#')?.trim_start().strip_prefix("define")?;
        let (name, value) = rest.trim_start().split_once([' ', '\t'])?;
        let is_own = ["MODULE_VERSION", "DRIVER_VERSION", "DRV_VERSION"].contains(&name);
        is_own.then_some(value)?
    };
    value.trim_start().strip_prefix('"')?.split('"').next()
}

/// The text of a source with another one between the same quotes; nothing where it is too long or no UTF-8, which would change more.
pub(super) fn with_literal(
    file: &SourceFile,
    changed: Option<&String>,
    from: &str,
    to: &str,
) -> Option<String> {
    version::sane(to)?;
    let text = match (changed, &file.kind) {
        (Some(text), _) => text.clone(),
        (None, SourceKind::File { on_disk, size, .. }) if *size < BYTES as u64 => {
            String::from_utf8(source::read_start(on_disk, BYTES as u64)?).ok()?
        }
        _ => return None,
    };
    Some(text.replace(&format!("\"{from}\""), &format!("\"{to}\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, is_make: bool) -> Vec<(String, Option<String>)> {
        let script = Script { text, is_make };
        let of = |(_, marker, written, parts)| {
            let one = Replacement { marker, place: String::new(), written, parts };
            (one.marker.clone(), one.value(Some("9")))
        };
        script.replacements().map(of).collect()
    }

    #[test]
    fn what_a_makefile_replaces_is_known_from_itself() {
        let value = |text: &str| values(text, true).pop().and_then(|(_, value)| value);
        for (text, known) in [
            ("FLAGS := -O2 # x\nall:\n\tsed -e 's/@FLAGS@/$(FLAGS)/' a >b\n", Some("-O2")),
            ("all:\n\tsed -e \"s|@FLAGS@|${FLAGS}|g\" \\\n\t-i a\n", Some("")),
            ("all:\n\tsed -e 's/a/b/' \\\n\t-e 's/@V@/$(VERSION)/' a\n", Some("9")),
            ("VERSION := $(shell git describe)\nall:\n\tsed 's/\\#V\\#/v$(VERSION)/' a\n", Some("v9")),
            ("A = $(B)\nB = x\nall:\n\tsed 's/@A@/$(A)/' a\n", Some("x")),
            ("A = $(A)\nall:\n\tsed 's/@A@/$(A)/' a\n", None),
            ("A = 1\nA = 2\nall:\n\tsed 's/@A@/$(A)/' a\n", None),
            ("include x.mk\nall:\n\tsed 's/@A@/$(A)/' a\n", None),
            ("all:\n\tsed 's/@A@/$$x/' a\n", None),
            ("all:\n\tsed 's/@A@/$(shell id)/' a\n", None),
            ("all:\n\tsed 's/@A@/x&y/' a\n", None),
            ("all:\n\tsed 's/@A@/a;b/' a\n", None),
            ("all:\n\tsed 's/@A@/`id`/' a\n", None),
        ] {
            assert_eq!(value(text).as_deref(), known, "{text}");
        }
        for text in ["# sed s/@A@/x/\n", "all:\n\techo s/@A@/x/\n", "all:\n\tsed 's/PACKAGE_VERSION/x/' a\n"]
        {
            assert!(values(text, true).is_empty(), "{text}");
        }
    }

    #[test]
    fn what_a_script_replaces_is_known_from_itself() {
        let value = |text: &str| values(text, false).pop().and_then(|(_, value)| value);
        for (text, known) in [
            ("version=$(git describe || echo x)\nsed -i \"s/#VERSION#/$version/\" {} +\n", Some("9")),
            ("FLAGS=\"-O2\"\nsed -i 's/@F@/'\"$FLAGS\"'/' a\n", Some("-O2")),
            ("FLAGS=-O2\nsed -i 's/@F@/$FLAGS/' a\n", None),
            ("sed -i \"s/@F@/$FLAGS/\" a\n", None),
            ("L=a/b\nsed -i \"s/@L@/${L//\\//\\\\/}/g\" a\n", None),
            ("sed -i \"s/\\\"@F@\\\"/\\\"x\\\"/\" a\n", None),
            ("sed -i 's/\"@F@\"/\"x\"/' a\n", Some("x")),
            ("sed -i 's/\"/\"/; s/\"@F@\"/\"/' a\n", None),
            ("sed -i s,__PREFIX__,/usr/src,g a\n", Some("/usr/src")),
        ] {
            assert_eq!(value(text).as_deref(), known, "{text}");
        }
    }

    #[test]
    fn names_of_versions_are_those_of_drivers() {
        for name in ["VERSION", "version", "DRIVER_VERSION", "PKGVER", "dkms_ver"] {
            assert!(is_version(name), "{name}");
        }
        for name in ["KERNEL_VERSION", "CUDA_VERSION", "KVER", "FULL_VERSION", "DRIVER", "reversion"] {
            assert!(!is_version(name), "{name}");
        }
    }

    #[test]
    fn versions_that_are_markers_are_seen() {
        for (line, literal) in [
            ("MODULE_VERSION(\"#VERSION#\");", Some("#VERSION#")),
            ("# define DRV_VERSION \"@V@\" /* \"x\" */", Some("@V@")),
            ("#define OTHER_VERSION \"@V@\"", None),
            ("MODULE_VERSION(DRV_VERSION);", None),
            ("MODULE_VERSION(\"", Some("")),
        ] {
            assert_eq!(version_literal(line), literal, "{line}");
        }
    }
}
