//! What a driver is given as: a folder, an archive, or a commit of a repository; in the end it is a folder.
//!
//! Archives and commits are written to a scratch folder that goes away with the value.

pub mod source;
pub mod unpack;
pub mod version;

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::error::{Error, Result};
use crate::base::temporary::TemporaryFolder;
use crate::output::Stop;

/// The findings of this layer.
pub const CODES: &[&Code] = &[&SUBMODULE];

const SUBMODULE: Code = Code {
    id: "K0408",
    title: "a submodule is not packaged",
    explanation: "\
The commit has a submodule, whose files are in another repository. With `--ref`
only the files of the commit itself are read. Check the commit out with its
submodules (`git worktree add` and `git submodule update --init`) and give that
folder, or leave the submodule out if the driver does not need it.",
};

pub struct Input {
    /// Where its files are.
    pub folder: PathBuf,
    /// What it is called in messages.
    pub shown: PathBuf,
    /// The name that the folder has where it is from: of an unpacked archive, of the folder that a commit was read for.
    pub name: Option<String>,
    /// The name of the archive that it is from, without its ending.
    pub archive: Option<String>,
    /// Notes and warnings.
    pub diagnostics: Vec<Diagnostic>,
    scratch: Option<TemporaryFolder>,
}

impl Input {
    /// Opens a folder or an archive, or the commit `revision` of the repository around a folder; `scratch` is a folder for what
    /// has to be written for it.
    pub fn open(path: &Path, revision: Option<&str>, scratch: &Path, stop: &Stop) -> Result<Self> {
        let new_folder = || {
            TemporaryFolder::new(scratch)
                .map_err(|error| Error::io("cannot make a folder in", scratch, error))
        };
        if let Some(revision) = revision {
            let scratch = new_folder()?;
            let checkout = source::checkout(path, revision, scratch.path())?;
            let warn = |submodule: &String| {
                let text = format!("the submodule `{submodule}` is not part of the commit and is left out");
                Diagnostic::warning(&SUBMODULE, text)
            };
            return Ok(Self {
                folder: checkout.folder,
                shown: PathBuf::from(format!("{revision}:")),
                name: fs::canonicalize(path)
                    .ok()
                    .and_then(|path| path.file_name()?.to_str().map(str::to_owned)),
                archive: None,
                diagnostics: checkout.submodules.iter().map(warn).collect(),
                scratch: Some(scratch),
            });
        }
        if path.is_file() {
            let scratch = new_folder()?;
            let (folder, name) = unpack::unpack(path, scratch.path(), stop)?;
            return Ok(Self {
                folder,
                shown: path.to_owned(),
                name: Some(name),
                archive: Some(unpack::stem(path)),
                diagnostics: Vec::new(),
                scratch: Some(scratch),
            });
        }
        let (folder, shown) = (path.to_owned(), path.to_owned());
        Ok(Self { folder, shown, name: None, archive: None, diagnostics: Vec::new(), scratch: None })
    }

    /// A path below the folder, as messages call it.
    #[must_use]
    pub fn shown(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.folder) {
            Ok(inside) if self.scratch.is_some() => self.shown.join(inside),
            _ => path.to_owned(),
        }
    }
}
