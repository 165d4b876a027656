//! The selected files, as the evaluator and the readers of Makefiles may see them.
//!
//! Follows links only as far as they stay inside; reads nothing that was not selected.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use bstr::ByteVec;

use crate::base::beneath;
use crate::dkms::{self, ReadTree};
use crate::input::source::{SourceFile, SourceKind};

/// The selected files, as the evaluator may see them.
pub(super) struct Tree<'a> {
    pub(super) files: BTreeMap<&'a str, &'a SourceFile>,
}

impl<'a> Tree<'a> {
    pub(super) fn new(files: &'a [SourceFile]) -> Self {
        Self { files: files.iter().map(|file| (file.path.as_str(), file)).collect() }
    }

    /// The file at a path, through links that stay in the tree.
    pub(super) fn find(&self, path: &str) -> Option<&'a SourceFile> {
        let mut path = path.to_owned();
        for _ in 0..8 {
            let file = *self.files.get(path.as_str())?;
            let SourceKind::Symlink { target } = &file.kind else { return Some(file) };
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            path = dkms::tree_path(&format!("{folder}/{target}"))?;
        }
        None
    }
}

/// The first bytes of a file; whoever asks knows that it is one.
pub(super) fn read_start(path: &Path, limit: usize) -> Option<Vec<u8>> {
    beneath::start(File::open(path).ok()?, limit as u64).ok()
}

/// The beginning of a file as text; nothing of what is no file.
pub(super) fn text_of(file: &SourceFile, limit: usize) -> Option<String> {
    let SourceKind::File { on_disk, .. } = &file.kind else { return None };
    Some(read_start(on_disk, limit)?.into_string_lossy())
}

impl ReadTree for Tree<'_> {
    fn read(&self, path: &str, limit: usize) -> Option<Vec<u8>> {
        match &self.find(path)?.kind {
            SourceKind::File { on_disk, .. } => read_start(on_disk, limit),
            _ => None,
        }
    }

    fn exists(&self, path: &str) -> bool {
        path.is_empty() || self.find(path).is_some()
    }

    fn is_dir(&self, path: &str) -> bool {
        path.is_empty() || self.find(path).is_some_and(|file| matches!(file.kind, SourceKind::Directory))
    }

    fn list(&self, dir: &str) -> Vec<String> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let below = self.files.keys().filter_map(|path| path.strip_prefix(&prefix));
        below.filter(|rest| !rest.is_empty() && !rest.contains('/')).map(str::to_owned).collect()
    }

    fn is_executable(&self, path: &str) -> bool {
        matches!(self.find(path).map(|file| &file.kind), Some(SourceKind::File { executable: true, .. }))
    }
}
