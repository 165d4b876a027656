//! The machine that a dkms.conf is read on, as its shell sees it: [`Inputs`], the folders of dkms, and dkms's own functions.
//!
//! Must not evaluate anything.

use std::cell::Cell;

use super::directives::{is_array_directive, is_directive_like};
use super::shell::{Location, Outside};
use super::versions::padded_version;
use super::{Inputs, plain};

/// dkms itself, which sources the file.
pub(super) const DKMS: &str = "/usr/sbin/dkms";

/// Programs that every Debian and RPM system has: their packages are essential or depended on by dkms.
const PRESENT: [&str; 42] = [
    "awk", "basename", "bash", "cat", "chmod", "cp", "cut", "date", "dirname", "dkms", "echo", "expr",
    "find", "grep", "head", "id", "ls", "make", "mkdir", "mktemp", "modinfo", "modprobe", "depmod", "mv",
    "nproc", "printf", "readlink", "rm", "sed", "seq", "sh", "sort", "tail", "tac", "test", "touch", "tr",
    "uname", "uniq", "wc", "gcc", "xargs",
];

/// A machine, and the driver whose file is read on it.
pub(super) struct Host<'a> {
    inputs: &'a Inputs<'a>,
    /// Name and version as the directories under /usr/src and /var/lib/dkms know them.
    identity: Option<&'a (String, String)>,
    /// The path that dkms reads the file by.
    script_path: String,
    /// Whether the file asked for paths where the driver may lie, or went by what files there are.
    was_looked_at: Cell<bool>,
}

impl<'a> Host<'a> {
    pub(super) fn new(inputs: &'a Inputs<'a>, identity: Option<&'a (String, String)>) -> Self {
        let script_path = script_path(identity);
        Self { inputs, identity, script_path, was_looked_at: Cell::new(false) }
    }

    /// The path that dkms reads the file by.
    pub(super) fn script_path(&self) -> &str {
        &self.script_path
    }

    /// Whether what the file says may depend on the name and version that dkms knows the driver by.
    pub(super) fn was_looked_at(&self) -> bool {
        self.was_looked_at.get()
    }

    fn locate_headers(&self, path: &str) -> Option<Location<'a>> {
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
            Some(tree) => {
                let path = rest.trim_start_matches('/').to_owned();
                Location::Tree { tree, path, may_be_link: true }
            }
            None => Location::Unknown,
        })
    }

    /// The folder of the driver's source that a path lies in.
    fn source_root(&self, path: &str) -> Option<String> {
        let mut roots = Vec::new();
        if let Some((name, version)) = self.identity {
            roots.push(format!("/usr/src/{name}-{version}"));
            roots.push(format!("/var/lib/dkms/{name}/{version}/source"));
            roots.push(format!("/var/lib/dkms/{name}/{version}/build"));
        }
        if let Some((folder, _)) = self.script_path.rsplit_once('/') {
            roots.push(folder.to_owned());
        }
        roots.into_iter().find(|root| path == root.as_str() || path.starts_with(&format!("{root}/")))
    }

    fn locate_source(&self, path: &str) -> Option<Location<'a>> {
        self.note_path(path);
        let root = self.source_root(path)?;
        let tree = self.inputs.source_tree?;
        let rest = path[root.len()..].trim_start_matches('/');
        let folder = self.inputs.conf_dir.as_deref().unwrap_or("").trim_matches('/');
        let path = match (folder, rest) {
            ("", rest) => rest.to_owned(),
            (folder, "") => folder.to_owned(),
            (folder, rest) => format!("{folder}/{rest}"),
        };
        Some(Location::Tree { tree, path, may_be_link: false })
    }

    /// Notes that the answer may depend on the name and version of the driver.
    fn note_path(&self, path: &str) {
        if ["/usr/src", "/var/lib/dkms"].iter().any(|folder| path.starts_with(folder)) {
            self.note_look();
        }
    }
}

impl Outside for Host<'_> {
    fn program(&self) -> &'static str {
        DKMS
    }

    fn release(&self) -> Option<&str> {
        self.inputs.running.as_deref().or(self.inputs.kernel.as_deref())
    }

    fn arch(&self) -> Option<&str> {
        self.inputs.arch.as_deref()
    }

    fn processors(&self) -> Option<u32> {
        self.inputs.processors
    }

    fn online_processors(&self) -> Option<u32> {
        self.inputs.online_processors
    }

    fn os_release(&self) -> Option<&str> {
        self.inputs.os_release.as_deref()
    }

    fn is_described(&self) -> bool {
        self.inputs.is_described()
    }

    fn has_program(&self, name: &str) -> Option<bool> {
        if PRESENT.contains(&name) {
            return Some(true);
        }
        (self.inputs.is_described() && plain::lacks_program(name)).then_some(false)
    }

    fn locate(&self, path: &str) -> Option<Location<'_>> {
        self.locate_headers(path).or_else(|| self.locate_source(path))
    }

    fn lacks(&self, path: &str) -> bool {
        self.inputs.is_described() && plain::lacks(path)
    }

    fn mentioned(&self, folder: &str) -> Option<Vec<String>> {
        if !self.inputs.is_described() {
            return None;
        }
        self.note_path(folder);
        match (folder, self.identity) {
            ("/usr/src", Some((name, version))) => Some(vec![format!("{name}-{version}")]),
            ("/usr/src", None) => Some(Vec::new()),
            _ => None,
        }
    }

    fn lacks_tree(&self, path: &str) -> bool {
        self.inputs.source_tree.is_none() && self.source_root(path).is_some()
    }

    fn note_look(&self) {
        self.was_looked_at.set(true);
    }

    fn is_array(&self, name: &str) -> bool {
        is_array_directive(name)
    }

    fn is_variable(&self, word: &str) -> bool {
        is_directive_like(word)
    }

    fn call(&self, function: &str, arguments: &[String]) -> Option<String> {
        if function != "VER" {
            return None;
        }
        Some(arguments.first().map_or_else(String::new, |version| padded_version(version)) + "\n")
    }
}

/// Where dkms reads the file of a driver from.
pub(crate) fn script_path(identity: Option<&(String, String)>) -> String {
    match identity {
        Some((name, version)) => format!("/var/lib/dkms/{name}/{version}/source/dkms.conf"),
        None => "/usr/src/src/dkms.conf".to_owned(),
    }
}
