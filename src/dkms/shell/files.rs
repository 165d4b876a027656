//! Which file a path means, and what follows for tests, reading and patterns: what every system has, and what [`Outside`] knows.
//!
//! Must not open files; it reads through [`ReadTree`] only.
//!
//! [`Outside`]: super::Outside

use super::outside::{Location, ReadTree};
use super::pattern::Glob;
use super::state::{clean_text, is_unknown, unknown};
use super::{Flow, Shell};

/// The most that is read of one file.
const FILE: usize = 1 << 20;

/// What reading gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Read {
    Text(String),
    Absent,
    Unknown,
}

/// Names in the root directory of every system: FHS 3.0, section 3.2, plus /proc, /sys and /run.
const ROOT: [&str; 22] = [
    "bin",
    "boot",
    "dev",
    "etc",
    "home",
    "lib",
    "lib32",
    "lib64",
    "libx32",
    "lost+found",
    "media",
    "mnt",
    "opt",
    "proc",
    "root",
    "run",
    "sbin",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var",
];

/// An absolute path without `.`, `..` and empty parts.
pub(super) fn normalise(directory: &str, path: &str) -> String {
    let joined = if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

impl<'a> Shell<'a> {
    /// Where a path leads, and a note where that is taken from what the machine is said to have.
    fn locate(&mut self, path: &str) -> Location<'a> {
        let location = self.look_up(path);
        if matches!(location, Location::NotMentioned) {
            self.note_assumed(&format!("`{path}`"));
            return Location::Absent;
        }
        location
    }

    fn look_up(&self, path: &str) -> Location<'a> {
        if is_unknown(path) || is_unknown(&self.state.directory) {
            return Location::Unknown;
        }
        if path.is_empty() {
            return Location::Absent;
        }
        let path = normalise(&self.state.directory, path);
        match path.as_str() {
            "/dev/null" => return Location::Null,
            "/etc/os-release" | "/usr/lib/os-release" => {
                return self.outside.os_release().map_or(Location::Unknown, Location::OsRelease);
            }
            "/" | "/usr" | "/etc" | "/var" | "/usr/src" | "/lib/modules" | "/lib" | "/tmp" | "/usr/bin"
            | "/bin" => {
                return Location::Directory;
            }
            _ => {}
        }
        if let Some(location) = self.outside.locate(&path) {
            return location;
        }
        let first = path[1..].split('/').next().unwrap_or("");
        if !ROOT.contains(&first) {
            return Location::Absent;
        }
        if self.outside.lacks(&path) { Location::NotMentioned } else { Location::Unknown }
    }

    pub(super) fn read_file(&mut self, path: &str) -> Read {
        let read = |bytes: Option<Vec<u8>>| match bytes {
            Some(bytes) => Read::Text(clean_text(&bytes)),
            None => Read::Absent,
        };
        match self.locate(path) {
            Location::Tree { tree, path, .. } => read(tree.read(&path, FILE)),
            Location::OsRelease(text) => Read::Text(clean_text(text.as_bytes())),
            Location::Null => Read::Text(String::new()),
            Location::Absent | Location::NotMentioned | Location::Directory => Read::Absent,
            Location::Unknown => Read::Unknown,
        }
    }

    /// `$(< file)`: prints the file that a word names.
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

    /// The answer of `test -X path`; `None`: not known.
    pub(super) fn test_file(&mut self, kind: char, path: &str) -> Option<bool> {
        let in_tree = |tree: &dyn ReadTree, path: &str| {
            let directory = path.is_empty() || tree.is_dir(path);
            let exists = directory || tree.exists(path);
            match kind {
                'e' | 'r' | 'w' | 'a' | 'O' | 'G' => Some(exists),
                'f' => Some(exists && !directory),
                'd' => Some(directory),
                'x' => Some(directory || tree.is_executable(path)),
                's' => Some(directory || tree.read(path, 1).is_some_and(|bytes| !bytes.is_empty())),
                'L' | 'h' if !exists => Some(false),
                'b' | 'c' | 'p' | 'S' | 'u' | 'g' | 'k' => Some(false),
                _ => None,
            }
        };
        match self.locate(path) {
            Location::Tree { path, may_be_link: true, .. }
                if path.is_empty() && matches!(kind, 'L' | 'h') =>
            {
                None
            }
            Location::Tree { tree, path, .. } => in_tree(tree, &path),
            Location::Null => Some(matches!(kind, 'e' | 'r' | 'w' | 'c' | 'a')),
            Location::OsRelease(_) => match kind {
                'e' | 'r' | 'f' | 's' | 'a' => Some(true),
                'd' | 'x' | 'b' | 'c' | 'p' | 'S' => Some(false),
                _ => None,
            },
            Location::Directory => match kind {
                'e' | 'r' | 'd' | 'x' | 's' | 'a' => Some(true),
                'f' | 'b' | 'c' | 'p' | 'S' => Some(false),
                _ => None,
            },
            Location::Absent | Location::NotMentioned => Some(false),
            Location::Unknown if matches!(kind, 'e' | 'f' | 'x' | 'r') && is_common_command(path) => {
                Some(true)
            }
            Location::Unknown if matches!(kind, 'e' | 'f' | 'r') && COMMON.contains(&path) => Some(true),
            Location::Unknown => None,
        }
    }

    /// The names in a directory; `None`: not known.
    pub(super) fn list_directory(&mut self, path: &str) -> Option<Vec<String>> {
        match self.locate(path) {
            Location::Tree { tree, path, .. } => Some(tree.list(&path)),
            Location::Absent | Location::NotMentioned => Some(Vec::new()),
            Location::Directory => {
                let mentioned = self.outside.mentioned(&normalise(&self.state.directory, path))?;
                self.note_assumed(&format!("everything else in `{path}`"));
                Some(mentioned)
            }
            _ => None,
        }
    }

    /// The paths that a pattern matches, sorted; `None`: not known.
    pub(super) fn glob_paths(&mut self, pattern: &str) -> Result<Option<Vec<String>>, Flow> {
        self.outside.note_look();
        let absolute = pattern.starts_with('/');
        let mut found = vec![if absolute { "/".to_owned() } else { String::new() }];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            self.step(1)?;
            let special = super::pattern::glob_to_regex(part).is_none() || part.contains(['*', '?', '[']);
            let mut next = Vec::new();
            for base in found {
                if special {
                    match self.glob_part(&base, part) {
                        Some(names) => next.extend(names.into_iter().map(|name| join(&base, &name))),
                        None => return Ok(None),
                    }
                } else {
                    let path = join(&base, &part.replace('\\', ""));
                    match self.test_file('e', &path) {
                        Some(true) => next.push(path),
                        Some(false) => {}
                        None if is_plain_directory(&normalise(&self.state.directory, &path)) => {
                            next.push(path);
                        }
                        None => return Ok(None),
                    }
                }
            }
            self.check_size(next.len())?;
            found = next;
            if found.is_empty() {
                break;
            }
        }
        found.sort();
        Ok(Some(found))
    }

    /// The names below `base` that one part of a pattern matches.
    fn glob_part(&mut self, base: &str, part: &str) -> Option<Vec<String>> {
        // No file is called like what a script makes that writes assignments, `NAME[0]="…` and `${!NAME[@]}`.
        if part.contains('$') || (part.contains('=') && part.contains('"')) {
            return Some(Vec::new());
        }
        let glob = Glob::new(part, false);
        let matcher = glob.matcher();
        let here = if base.is_empty() { "." } else { base };
        let matches = |name: &str| {
            (part.starts_with('.') || part.starts_with("\\.") || !name.starts_with('.'))
                && matcher.as_ref().and_then(|matcher| matcher(name)) != Some(false)
        };
        if normalise(&self.state.directory, here) == "/" {
            // The root holds the names that every system has; whether it holds more is not known, and not likely.
            return if ROOT.iter().any(|name| matches(name)) { None } else { Some(Vec::new()) };
        }
        let names = self.list_directory(here)?;
        Some(names.into_iter().filter(|name| matches(name)).collect())
    }
}

/// What every kernel shows.
const COMMON: [&str; 5] =
    ["/proc/version", "/proc/cpuinfo", "/proc/meminfo", "/proc/modules", "/proc/cmdline"];

/// `/bin/sh` and others that every system has in both places, since /bin is a link or holds the essential ones.
fn is_common_command(path: &str) -> bool {
    let name = path.strip_prefix("/usr/bin/").or_else(|| path.strip_prefix("/bin/"));
    matches!(
        name,
        Some(
            "nproc"
                | "awk"
                | "sed"
                | "grep"
                | "cut"
                | "tr"
                | "sort"
                | "bash"
                | "sh"
                | "cat"
                | "uname"
                | "head"
                | "tail"
                | "ls"
        )
    )
}

fn is_plain_directory(path: &str) -> bool {
    path[1..].split('/').count() == 1 && ROOT.contains(&&path[1..])
}

fn join(base: &str, name: &str) -> String {
    if base.is_empty() || base.ends_with('/') { format!("{base}{name}") } else { format!("{base}/{name}") }
}
