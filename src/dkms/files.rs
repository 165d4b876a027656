//! Which file a path of the build machine means: the driver's tree, the kernel headers, a given fact, or nothing known.
//!
//! Reads through the two trees only.

use super::machine::{Flow, Machine};
use super::pattern::Glob;
use super::state::is_unknown;

/// The most that is read of one file.
const FILE: usize = 1 << 20;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// In the driver's tree, relative to its root.
    Source(String),
    /// In the kernel headers.
    Headers(String),
    /// `/dev/null`.
    Null,
    /// The os-release file.
    OsRelease,
    /// A directory that every system has.
    Directory,
    /// Known not to exist.
    Absent,
    /// Not there on a machine that is described; see [`super::plain`].
    NotMentioned,
    /// Not known.
    Unknown,
}

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

impl Machine<'_> {
    /// Where a path leads, and a note where that is taken from what the machine is said to have.
    fn locate(&mut self, path: &str) -> Location {
        let location = self.look_up(path);
        if location != Location::NotMentioned {
            return location;
        }
        self.note_assumed(&format!("`{path}`"));
        Location::Absent
    }

    fn look_up(&self, path: &str) -> Location {
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
                return if self.inputs.os_release.is_some() {
                    Location::OsRelease
                } else {
                    Location::Unknown
                };
            }
            "/" | "/usr" | "/etc" | "/var" | "/usr/src" | "/lib/modules" | "/lib" | "/tmp" | "/usr/bin"
            | "/bin" => {
                return Location::Directory;
            }
            _ => {}
        }
        if let Some(location) = self.locate_headers(&path) {
            return location;
        }
        if let Some(location) = self.locate_source(&path) {
            return location;
        }
        let first = path[1..].split('/').next().unwrap_or("");
        if !ROOT.contains(&first) {
            return Location::Absent;
        }
        if self.inputs.is_described() && super::plain::lacks(&path) {
            return Location::NotMentioned;
        }
        Location::Unknown
    }

    fn locate_headers(&self, path: &str) -> Option<Location> {
        let kernel = self.inputs.kernel.as_deref()?;
        let rest = path.strip_prefix("/lib/modules/").or_else(|| path.strip_prefix("/usr/lib/modules/"))?;
        let rest = rest.strip_prefix(kernel)?;
        if rest.is_empty() {
            return Some(if self.inputs.headers.is_some() { Location::Directory } else { Location::Unknown });
        }
        let inside = rest.strip_prefix('/')?;
        let rest = match inside.strip_prefix("build") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
            // an installed kernel has more than headers, and not every one a link to its source
            _ if inside.starts_with("source") => return None,
            _ => return Some(Location::Unknown),
        };
        Some(match self.inputs.headers {
            Some(_) => Location::Headers(rest.trim_start_matches('/').to_owned()),
            None => Location::Unknown,
        })
    }

    /// Whether a path is one of the folders that dkms has the driver's source in.
    pub(super) fn is_of_the_source(&self, path: &str) -> bool {
        !is_unknown(path) && self.source_root(&normalise(&self.state.directory, path)).is_some()
    }

    /// The folder of the driver's source that a path lies in.
    fn source_root(&self, path: &str) -> Option<String> {
        let mut roots = Vec::new();
        if let Some((name, version)) = &self.identity {
            roots.push(format!("/usr/src/{name}-{version}"));
            roots.push(format!("/var/lib/dkms/{name}/{version}/source"));
            roots.push(format!("/var/lib/dkms/{name}/{version}/build"));
        }
        if let Some((folder, _)) = self.script_path.rsplit_once('/') {
            roots.push(folder.to_owned());
        }
        roots.into_iter().find(|root| path == root.as_str() || path.starts_with(&format!("{root}/")))
    }

    fn locate_source(&self, path: &str) -> Option<Location> {
        self.note_look(path);
        let root = self.source_root(path)?;
        self.inputs.source_tree?;
        let rest = path[root.len()..].trim_start_matches('/');
        let folder = self.inputs.conf_dir.as_deref().unwrap_or("").trim_matches('/');
        Some(Location::Source(match (folder, rest) {
            ("", rest) => rest.to_owned(),
            (folder, "") => folder.to_owned(),
            (folder, rest) => format!("{folder}/{rest}"),
        }))
    }

    /// Notes that the answer may depend on the name and version of the driver.
    fn note_look(&self, path: &str) {
        if ["/usr/src", "/var/lib/dkms"].iter().any(|folder| path.starts_with(folder)) {
            self.looked_at_files.set(true);
        }
    }

    /// Reads a file.
    pub(super) fn read_file(&mut self, path: &str) -> Read {
        let read = |bytes: Option<Vec<u8>>| match bytes {
            Some(bytes) => Read::Text(super::clean_text(&bytes)),
            None => Read::Absent,
        };
        match self.locate(path) {
            Location::Source(path) => match self.inputs.source_tree {
                Some(tree) => read(tree.read(&path, FILE)),
                None => Read::Unknown,
            },
            Location::Headers(path) => match self.inputs.headers {
                Some(tree) => read(tree.read(&path, FILE)),
                None => Read::Unknown,
            },
            Location::OsRelease => match &self.inputs.os_release {
                Some(text) => Read::Text(super::clean_text(text.as_bytes())),
                None => Read::Unknown,
            },
            Location::Null => Read::Text(String::new()),
            Location::Absent | Location::NotMentioned | Location::Directory => Read::Absent,
            Location::Unknown => Read::Unknown,
        }
    }

    /// The answer of `test -X path`; `None`: not known.
    pub(super) fn test_file(&mut self, kind: char, path: &str) -> Option<bool> {
        let tree = |tree: Option<&dyn super::ReadTree>, path: &str| {
            let tree = tree?;
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
            Location::Source(path) => tree(self.inputs.source_tree, &path),
            Location::Headers(path) if path.is_empty() && matches!(kind, 'L' | 'h') => None,
            Location::Headers(path) => tree(self.inputs.headers, &path),
            Location::Null => Some(matches!(kind, 'e' | 'r' | 'w' | 'c' | 'a')),
            Location::OsRelease => match kind {
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
            Location::Source(path) => Some(self.inputs.source_tree?.list(&path)),
            Location::Headers(path) => Some(self.inputs.headers?.list(&path)),
            Location::Absent | Location::NotMentioned => Some(Vec::new()),
            Location::Directory if self.inputs.is_described() => self.list_mentioned(path),
            _ => None,
        }
    }

    /// The names in the folders that hold drivers, on a machine that is described.
    fn list_mentioned(&mut self, path: &str) -> Option<Vec<String>> {
        let path_there = normalise(&self.state.directory, path);
        self.note_look(&path_there);
        let own = match (path_there.as_str(), &self.identity) {
            ("/usr/src", Some((name, version))) => vec![format!("{name}-{version}")],
            ("/usr/src", None) => Vec::new(),
            _ => return None,
        };
        self.note_assumed(&format!("everything else in `{path}`"));
        Some(own)
    }

    /// The paths that a pattern matches, sorted; `None`: not known.
    pub(super) fn glob_paths(&mut self, pattern: &str) -> Result<Option<Vec<String>>, Flow> {
        self.looked_at_files.set(true);
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
        // No file is called like the words of dkms's own export, `NAME[0]="…` and `${!NAME[@]}`.
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
