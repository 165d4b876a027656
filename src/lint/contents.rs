//! What is read of a package's files: the `dkms.conf` of every driver, and what says how it is built.

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::format::Contents;

/// How much of a file is read.
const FILE: u64 = 1 << 20;
/// How much is kept of a package.
const ALL: u64 = 8 << 20;
/// Files that are read beside dkms.conf, by their beginning.
const NAMES: &[&str] = &["Makefile", "makefile", "GNUmakefile", "Kbuild", "VERSION", "version"];
/// And by their end.
const ENDINGS: &[&str] = &[".mk", ".mak", ".conf", ".config", ".sh"];

/// The `dkms.conf` of every driver's source in a package, and the files that its build is described in, by path.
#[derive(Debug, Clone, Default)]
pub struct Confs {
    texts: BTreeMap<String, Vec<u8>>,
    kept: u64,
}

impl Confs {
    /// Whether there is no driver.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.confs().next().is_none()
    }

    /// The `dkms.conf` files.
    pub(super) fn confs(&self) -> impl Iterator<Item = (&String, &Vec<u8>)> {
        self.texts.iter().filter(|(path, _)| path.ends_with("/dkms.conf"))
    }

    /// What was kept of a file.
    pub(super) fn text(&self, path: &str) -> Option<&[u8]> {
        self.texts.get(path).map(Vec::as_slice)
    }

    fn keep(&mut self, path: &str, bytes: Vec<u8>) {
        self.kept += (path.len() + bytes.len()) as u64;
        self.texts.insert(path.to_owned(), bytes);
    }
}

impl Contents for Confs {
    fn wants(&self, path: &str) -> bool {
        let Some(inside) = path.strip_prefix("/usr/src/") else { return false };
        let name = inside.rsplit('/').next().unwrap_or(inside);
        let is_conf = name == "dkms.conf" && inside != name;
        let is_read = NAMES.iter().any(|start| name.starts_with(start))
            || ENDINGS.iter().any(|end| name.ends_with(end));
        (is_conf || is_read) && self.kept < ALL
    }

    fn take(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()> {
        let limit = FILE.min(ALL.saturating_sub(self.kept));
        let mut bytes = Vec::new();
        content.take(limit + 1).read_to_end(&mut bytes)?;
        let is_whole = bytes.len() as u64 <= limit;
        // of a dkms.conf that is too large the beginning is enough to say so
        if is_whole || path.ends_with("/dkms.conf") {
            self.keep(path, bytes);
        }
        Ok(())
    }

    fn same(&mut self, path: &str, as_path: &str) -> io::Result<()> {
        if let Some(bytes) = self.texts.get(as_path).cloned() {
            self.keep(path, bytes);
        }
        Ok(())
    }
}
