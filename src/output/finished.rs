//! Artifacts that an earlier run wrote and that still lie where they were put: they need not be written again.
//!
//! Only for packages of finished builds: a plan names files and does not hold their bytes, and those of a driver's tree may change.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::temporary;
use crate::output::Written;
use crate::package::{Content, Entry, EntryKind, Package};

/// The memory of what was written.
#[derive(Debug, Clone)]
pub struct Finished {
    folder: PathBuf,
    builds: PathBuf,
    program: String,
}

/// An artifact as it was written.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    name: String,
    size: u64,
    sha256: String,
}

impl Finished {
    /// Kept in a folder, which need not be there; files below `builds` are known never to change under their names.
    #[must_use]
    pub fn new(folder: PathBuf, builds: PathBuf) -> Self {
        // another program may write the same package in other bytes
        let program = fs::metadata("/proc/self/exe").map_or_else(
            |_| env!("CARGO_PKG_VERSION").to_owned(),
            |file| format!("{} {}.{}", file.len(), file.mtime(), file.mtime_nsec()),
        );
        Self { folder, builds, program }
    }

    /// Where a package is remembered, when what it holds is determined by its plan.
    fn record(&self, format: &str, package: &Package) -> Option<PathBuf> {
        let is_settled = |entry: &Entry| match &entry.kind {
            EntryKind::File { content: Content::Disk { path, .. }, .. } => path.starts_with(&self.builds),
            _ => true,
        };
        if !package.payload.entries().iter().all(is_settled) {
            return None;
        }
        let plan = serde_json::to_string(&(&self.program, format, package)).ok()?;
        Some(self.folder.join(format!("{:x}.json", Sha256::digest(plan))))
    }

    /// The artifacts of a package in a folder, when all of them are there with the bytes that they were written with.
    #[must_use]
    pub fn find(&self, format: &str, package: &Package, folder: &Path) -> Option<Vec<Written>> {
        let text = fs::read_to_string(self.record(format, package)?).ok()?;
        let records: Vec<Record> = serde_json::from_str(&text).ok()?;
        let is_there = |record: Record| {
            let path = folder.join(&record.name);
            let metadata = fs::symlink_metadata(&path).ok()?;
            let same =
                metadata.is_file() && metadata.len() == record.size && digest(&path).ok()? == record.sha256;
            same.then_some(Written { path, size: record.size })
        };
        records.into_iter().map(is_there).collect()
    }

    /// Remembers what was written; what cannot be remembered is written again next time.
    pub fn remember(&self, format: &str, package: &Package, written: &[Written]) {
        let record = |written: &Written| {
            let name = written.path.file_name()?.to_str()?.to_owned();
            Some(Record { name, size: written.size, sha256: digest(&written.path).ok()? })
        };
        let records: Option<Vec<_>> = written.iter().map(record).collect();
        let text = records.and_then(|records| serde_json::to_string(&records).ok());
        if let (Some(text), Some(path)) = (text, self.record(format, package))
            && fs::create_dir_all(&self.folder).is_ok()
        {
            // whole or not at all, so that a later run reads no half of it
            let _ignored = temporary::file(&self.folder)
                .and_then(|file| fs::write(file.path(), text).map(|()| file))
                .map(|file| file.persist(path));
        }
    }
}

fn digest(path: &Path) -> io::Result<String> {
    let mut sha256 = Sha256::new();
    io::copy(&mut File::open(path)?, &mut sha256)?;
    Ok(format!("{:x}", sha256.finalize()))
}
