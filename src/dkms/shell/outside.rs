//! What a script can see and call that is not the shell's own: facts of the machine, files, the words of whoever runs it.
//!
//! Must not answer anything itself: without an implementation nothing is known.

/// A tree of files that an evaluation may read from.
pub trait ReadTree: Sync {
    /// The first `limit` bytes of a file; the path is relative and has no `..`. `None`: no such file.
    fn read(&self, path: &str, limit: usize) -> Option<Vec<u8>>;
    /// Whether there is a file or directory.
    fn exists(&self, path: &str) -> bool;
    /// Whether there is a directory.
    fn is_dir(&self, path: &str) -> bool;
    /// The names in a directory.
    fn list(&self, dir: &str) -> Vec<String>;
    /// Whether there is a file that can be executed.
    fn is_executable(&self, path: &str) -> bool;
}

/// A tree in memory: path to text.
#[cfg(test)]
pub(crate) struct Files(pub(crate) std::collections::BTreeMap<&'static str, &'static str>);

#[cfg(test)]
impl ReadTree for Files {
    fn read(&self, path: &str, limit: usize) -> Option<Vec<u8>> {
        self.0.get(path).map(|text| text.as_bytes()[..text.len().min(limit)].to_vec())
    }
    fn exists(&self, path: &str) -> bool {
        self.0.contains_key(path) || self.is_dir(path)
    }
    fn is_dir(&self, path: &str) -> bool {
        path.is_empty() || self.0.keys().any(|name| name.starts_with(&format!("{path}/")))
    }
    fn list(&self, dir: &str) -> Vec<String> {
        let names = self.0.keys().filter_map(|name| {
            let rest = if dir.is_empty() { name } else { name.strip_prefix(dir)?.strip_prefix('/')? };
            rest.split('/').next().map(str::to_owned)
        });
        names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }
    fn is_executable(&self, _: &str) -> bool {
        false
    }
}

/// A path of a tree, relative to its root, without `.`, `..` and empty parts; nothing when it leaves the root.
#[must_use]
pub fn tree_path(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Where a path leads.
pub(crate) enum Location<'a> {
    /// Into a tree: the path relative to its root; and whether it may be a link that leads there.
    Tree { tree: &'a dyn ReadTree, path: String, may_be_link: bool },
    /// `/dev/null`.
    Null,
    /// To the os-release file, with this text.
    OsRelease(&'a str),
    /// To a directory that every system has.
    Directory,
    /// It is known not to exist.
    Absent,
    /// It is not there unless somebody mentioned it, and nobody did.
    NotMentioned,
    /// Not known.
    Unknown,
}

/// Whoever has the script run, and the machine that is for. Paths are absolute, and without `.`, `..` and empty parts.
pub(crate) trait Outside {
    /// What `$0` is.
    fn program(&self) -> &'static str {
        "bash"
    }
    /// What `uname -r` prints.
    fn release(&self) -> Option<&str> {
        None
    }
    /// What `uname -m` prints.
    fn arch(&self) -> Option<&str> {
        None
    }
    /// What `nproc` prints.
    fn processors(&self) -> Option<u32> {
        None
    }
    /// What `getconf _NPROCESSORS_ONLN` prints.
    fn online_processors(&self) -> Option<u32> {
        None
    }
    /// The text of the os-release file.
    fn os_release(&self) -> Option<&str> {
        None
    }
    /// Whether the machine is described so far that software nobody mentioned may be taken as absent.
    fn is_described(&self) -> bool {
        false
    }
    /// Whether a program, named without a folder, is installed.
    fn has_program(&self, _name: &str) -> Option<bool> {
        None
    }
    /// Where a path leads that is not one of those which every system has; nothing where that is decided by what systems have.
    fn locate(&self, _path: &str) -> Option<Location<'_>> {
        None
    }
    /// Whether there is nothing at a path, because nobody mentioned it.
    fn lacks(&self, _path: &str) -> bool {
        false
    }
    /// The names in a folder that every system has, as far as somebody mentioned them, where everything else is taken as absent.
    fn mentioned(&self, _folder: &str) -> Option<Vec<String>> {
        None
    }
    /// Whether a path leads into a tree that should be there, but is not given.
    fn lacks_tree(&self, _path: &str) -> bool {
        false
    }
    /// The script goes by what files there are, or by what a file of commands says.
    fn note_look(&self) {}
    /// Whether a variable is an array by nature, also where a plain value is assigned to it.
    fn is_array(&self, _name: &str) -> bool {
        false
    }
    /// Whether a word can only be meant as the name of a variable, not of a command.
    fn is_variable(&self, _word: &str) -> bool {
        false
    }
    /// The output of a function that whoever runs the script has defined; nothing where there is none of that name.
    fn call(&self, _function: &str, _arguments: &[String]) -> Option<String> {
        None
    }
}

/// A field of an os-release text: os-release(5).
pub(crate) fn os_release_field(text: &str, key: &str) -> Option<String> {
    text.split_terminator('\n').rev().find_map(|line| {
        let value = line.trim().strip_prefix(key)?.strip_prefix('=')?.trim();
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .or_else(|| value.strip_prefix('\'').and_then(|value| value.strip_suffix('\'')))
            .unwrap_or(value);
        Some(value.to_owned())
    })
}
