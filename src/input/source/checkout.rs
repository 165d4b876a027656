//! Writes the files of a commit into an empty folder, with as much of a repository beside them as [`super::select`] needs.
//!
//! Reads the objects in-process; never touches the work tree, the index or a reference of the repository it reads.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, ByteSlice};
use gix_object::Find;

use super::repository::{Found, Repository, reason};
use crate::base::beneath::Folder;
use crate::base::error::{Error, Result};

/// A commit as a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The folder that was asked about, in the commit.
    pub folder: PathBuf,
    /// Submodules, whose files are in other repositories.
    pub submodules: Vec<String>,
}

/// Writes the commit that `revision` names in the repository around `folder` below `into`, which is empty.
///
/// A revision is a tag, a branch, or the hash of a commit, shortened or not.
pub fn checkout(folder: &Path, revision: &str, into: &Path) -> Result<Checkout> {
    let hint = "a revision is a tag, a branch or the hash of a commit";
    let fail = |why: String| {
        Error::usage(format!("`{}` cannot be read from git: {why}", revision.escape_debug())).hint(hint)
    };
    let top = fs::canonicalize(folder).map_err(|error| Error::io("cannot read", folder, error).as_usage())?;
    let repository = match Repository::around(&top) {
        Found::Repository(repository) => repository,
        Found::Nothing => return Err(fail(format!("`{}` is in no repository", folder.display()))),
        Found::Broken(why) => return Err(fail(why)),
    };
    let commit = repository.resolve(revision).map_err(fail)?;
    let inside = top.strip_prefix(repository.top()).unwrap_or(Path::new("")).to_owned();
    let index = repository.index_of(&commit).map_err(fail)?;
    let objects = repository.objects().map_err(fail)?;
    // a tree may name one path twice, as a link and as a folder
    let root = Folder::open(into).map_err(|error| Error::io("cannot write", into, error))?;
    let mut submodules = Vec::new();
    let mut buffer = Vec::new();
    for entry in index.entries() {
        let path = entry.path(&index);
        let target = safe_path(path).ok_or_else(|| fail(format!("it has a path `{path}`")))?;
        let write_error = |error: io::Error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::AlreadyExists => {
                fail(format!("it has the path `{path}` twice, or below what is no folder"))
            }
            _ => Error::io("cannot write", into.join(target), error),
        };
        let mode = entry.mode;
        if mode == gix_index::entry::Mode::COMMIT {
            submodules.push(path.to_string());
            continue;
        }
        let blob = objects
            .try_find(&entry.id, &mut buffer)
            .map_err(|error| fail(format!("`{path}`: {}", reason(&error))))?
            .ok_or_else(|| {
                fail(format!("the content of `{path}` is missing; a shallow or partial clone?"))
            })?;
        if mode == gix_index::entry::Mode::SYMLINK {
            root.link(OsStr::from_bytes(blob.data), target).map_err(write_error)?;
        } else {
            let executable = mode == gix_index::entry::Mode::FILE_EXECUTABLE;
            let written = root.create(target, executable).and_then(|mut file| file.write_all(blob.data));
            written.map_err(write_error)?;
        }
    }
    repository
        .write_beside(into, &commit, index)
        .map_err(|why| Error::failed(format!("cannot write the index of `{revision}`: {why}")).at(into))?;
    let folder = into.join(inside);
    if !folder.is_dir() {
        return Err(fail("it does not have the folder".to_owned()));
    }
    Ok(Checkout { folder, submodules })
}

/// No `..`, nothing absolute, no repository of its own.
fn safe_path(path: &BStr) -> Option<&Path> {
    let path = Path::new(OsStr::from_bytes(path.as_bytes()));
    let normal = path.components().all(|part| match part {
        std::path::Component::Normal(name) => !name.eq_ignore_ascii_case(".git"),
        _ => false,
    });
    normal.then_some(path)
}
