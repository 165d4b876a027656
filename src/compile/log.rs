//! What the log of a build says went wrong, among everything that make says because of it.
//!
//! Reads words, and decides nothing about the build. Sources of the words: GNU make, GCC, LLVM, binutils, dash, bash, coreutils, curl
//! and git; modpost of Linux.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// As much of a log as is read.
const LARGEST: u64 = 64 << 20;

/// A line of a log in which a compiler, make or a script reports an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    line: String,
    /// What the line begins with where it is about a file of the source, and what stands for it where people read it.
    home: Option<(String, String)>,
}

/// How much a line says; what says more comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// An error of a compiler, the linker or modpost.
    Code,
    /// What a Makefile says itself, with `$(error …)`.
    Refusal,
    /// Something is not there or not allowed.
    Words,
    /// make gives up, and says why.
    Stop,
    /// make tells that a command failed.
    Failed,
}

/// Words of lines that say more than that a command failed.
const WORDS: [&str; 9] = [
    "rror:",
    "No such file",
    "not found",
    "cannot ",
    "can't ",
    "annot open",
    "ermission denied",
    "Read-only",
    "ould not resolve",
];

impl Said {
    /// The line of a log that says most, and of those that say as much, the first.
    pub(super) fn first(log: &Path) -> Option<Self> {
        // a build may say anything, and as much as it likes
        let file = BufReader::new(File::open(log).ok()?.take(LARGEST));
        Self::of(file.split(b'\n').map_while(Result::ok).map(|line| one_line(&line)))
    }

    fn of(lines: impl Iterator<Item = String>) -> Option<Self> {
        let mut best: Option<(Rank, String)> = None;
        for line in lines {
            let Some(rank) = rank(&line) else { continue };
            if best.as_ref().is_none_or(|(known, _)| rank < *known) {
                best = Some((rank, line));
            }
            if rank == Rank::Code {
                break;
            }
        }
        best.map(|(_, line)| Self { line, home: None })
    }

    /// A line that something else said.
    #[cfg(test)]
    pub(super) fn new(line: &str) -> Self {
        Self { line: line.to_owned(), home: None }
    }

    /// The whole line.
    pub(super) fn line(&self) -> &str {
        &self.line
    }

    /// With the place that a reader knows, where it is about a file that `is_source` says is one; the folder of the build ends in `build`.
    pub(super) fn at_home(self, build: &str, root: &Path, is_source: impl Fn(&str) -> bool) -> Self {
        let place = self.line.trim_start().split(':').next().unwrap_or_default();
        let file = place.split_once(build).filter(|(_, file)| place.starts_with('/') && is_source(file));
        let root = root.strip_prefix(".").unwrap_or(root).display().to_string();
        let root = if root.is_empty() { root } else { format!("{root}/") };
        let home = file.map(|(above, _)| (format!("{above}{build}"), root));
        Self { home, ..self }
    }
}

/// The sentence: the line, or the text of `$(error …)` in it.
impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = refusal(&self.line).unwrap_or_else(|| self.line.trim());
        match &self.home {
            Some((build, root)) => f.write_str(&said.replacen(build.as_str(), root, 1)),
            None => f.write_str(said),
        }
    }
}

fn rank(line: &str) -> Option<Rank> {
    if line.contains(" error: ") || line.contains("ERROR: ") {
        return Some(Rank::Code);
    }
    // of dkms, and what make goes on after
    if line.starts_with('#') || line.trim_end().ends_with("(ignored)") {
        return None;
    }
    if refusal(line).is_some() {
        return Some(Rank::Refusal);
    }
    if line.contains("*** [") || line.contains("FAILED") {
        return Some(Rank::Failed);
    }
    if line.contains("*** ") {
        return Some(Rank::Stop);
    }
    WORDS.iter().any(|words| line.contains(words)).then_some(Rank::Words)
}

/// The text in `FILE:LINE: *** TEXT.  Stop.`: what make prints of `$(error TEXT)`, and of what it cannot read in a Makefile.
fn refusal(line: &str) -> Option<&str> {
    let (place, text) = line.split_once(": *** ")?;
    let (_, number) = place.rsplit_once(':')?;
    let is_place = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let text = text.trim();
    let text = text.strip_suffix("Stop.").map_or(text, |text| text.trim_end());
    let text = text.strip_suffix('.').unwrap_or(text);
    (is_place && !text.is_empty() && !text.starts_with('[')).then_some(text)
}

/// The start of a line, with nothing in it that a terminal would obey.
fn one_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]);
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(log: &str) -> String {
        Said::of(log.lines().map(|line| one_line(line.as_bytes())))
            .map_or_else(String::new, |said| said.to_string())
    }

    #[test]
    fn the_line_that_says_most_is_told_rather_than_what_make_says_of_it() {
        const END: &str = "make[1]: *** [Makefile:9: all] Error 2\nmake: *** [Makefile:3: all] Error 2";
        for (log, sentence) in [
            // what went wrong, whatever is said before and after
            ("/bin/sh: 1: foo: not found", "/bin/sh: 1: foo: not found"),
            ("make[2]: *** [x.mk:1: a] Error 1\n/bin/sh: 1: foo: not found", "/bin/sh: 1: foo: not found"),
            (
                "cat: VERSION: No such file or directory\nMakefile:12: *** no kernel headers.  Stop.",
                "no kernel headers",
            ),
            (
                "sub/common.mk:85: *** \u{1b}kernel-devel, and try again.  Stop.",
                "kernel-devel, and try again",
            ),
            ("Makefile:3: *** missing separator.  Stop.", "missing separator"),
            (
                "x: not found\na.c:1:10: fatal error: x.h: No such file or directory",
                "a.c:1:10: fatal error: x.h: No such file or directory",
            ),
            (
                "make[2]: *** [scripts/Makefile.modpost:126: Module.symvers] Error 1\nERROR: modpost: \"x\" [toy.ko] undefined!",
                "ERROR: modpost: \"x\" [toy.ko] undefined!",
            ),
            (
                "/bin/sh: 1: cd: can't cd to src\nmake: *** No targets.  Stop.",
                "/bin/sh: 1: cd: can't cd to src",
            ),
            (
                "make[1]: *** No rule to make target 'x.o'.  Stop.",
                "make[1]: *** No rule to make target 'x.o'.  Stop.",
            ),
            // nothing of a failure that make ignored
            ("rm: cannot remove 'x'  (ignored)", "make[1]: *** [Makefile:9: all] Error 2"),
            ("# command not found", "make[1]: *** [Makefile:9: all] Error 2"),
        ] {
            assert_eq!(said(&format!("CC a.o\n{log}\n{END}\n")), sentence, "{log}");
        }
        assert_eq!(said("all is well\n"), "");
    }
}
