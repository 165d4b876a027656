//! What a family puts into a tar: entries of the package, folders above them, and texts of the format's own.
//!
//! Must not know a format: which texts there are, and in which order, is a family's business.

use std::borrow::Cow;

use crate::archive::Member;
use crate::package::{Content, Entry, EntryKind};

/// A member of a tar.
pub(super) struct Item<'a> {
    /// Relative; the root is empty.
    pub(super) path: Cow<'a, str>,
    pub(super) kind: ItemKind<'a>,
    pub(super) mode: u16,
}

pub(super) enum ItemKind<'a> {
    Directory,
    Symlink(&'a str),
    Content(&'a Content),
    Bytes(Vec<u8>),
}

impl<'a> Item<'a> {
    pub(super) fn of(entry: &'a Entry) -> Self {
        let kind = match &entry.kind {
            EntryKind::Directory => ItemKind::Directory,
            EntryKind::File { content, .. } => ItemKind::Content(content),
            EntryKind::Symlink { target } => ItemKind::Symlink(target),
        };
        Self { path: entry.path.as_str().into(), kind, mode: entry.mode() }
    }

    pub(super) fn folder(path: String) -> Self {
        Self { path: path.into(), kind: ItemKind::Directory, mode: 0o755 }
    }

    pub(super) fn bytes(path: String, bytes: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), kind: ItemKind::Bytes(bytes.into()), mode: 0o644 }
    }

    pub(super) fn size(&self) -> u64 {
        match &self.kind {
            ItemKind::Directory | ItemKind::Symlink(_) => 0,
            ItemKind::Content(content) => content.size(),
            ItemKind::Bytes(bytes) => bytes.len() as u64,
        }
    }

    pub(super) fn member(&self) -> Member<'_> {
        match &self.kind {
            ItemKind::Directory => Member::Directory,
            ItemKind::Symlink(target) => Member::Symlink(target),
            ItemKind::Content(_) | ItemKind::Bytes(_) => Member::File(self.size()),
        }
    }

    /// The name in the tar behind a prefix: folders end with a slash.
    pub(super) fn tar_name(&self, prefix: &str) -> String {
        let slash = if matches!(self.kind, ItemKind::Directory) && !self.path.is_empty() { "/" } else { "" };
        format!("{prefix}{}{slash}", self.path)
    }
}
