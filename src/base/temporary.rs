//! Files and folders that end with their maker. Each is locked as long as somebody works there (`flock(2)`), so that the next run can
//! tell and remove those whose maker was killed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FlockOperation, OFlags, flock};
use tempfile::NamedTempFile;

use crate::base::beneath;

/// How they are called.
const PREFIX: &str = ".kpkg-";

/// What this process works in; nothing once it all has gone.
static ALIVE: Mutex<Option<BTreeSet<PathBuf>>> = Mutex::new(Some(BTreeSet::new()));

fn note(path: &Path) -> io::Result<()> {
    if let Some(alive) = ALIVE.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
        alive.insert(path.to_owned());
        return Ok(());
    }
    // whoever ends the process has been here
    remove(path);
    Err(io::ErrorKind::Interrupted.into())
}

/// Removes all that this process works in, for who ends it in the midst of its work; there is nothing new from then on.
pub fn remove_all() {
    let alive = ALIVE.lock().unwrap_or_else(PoisonError::into_inner).take();
    alive.into_iter().flatten().for_each(|path| remove(&path));
}

fn remove(path: &Path) {
    // what cannot be removed is in nobody's way
    let _left = fs::remove_file(path).or_else(|_| beneath::remove(path));
}

/// A folder that goes with all that is in it.
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
    _lock: File,
}

impl TemporaryFolder {
    /// A new folder in `parent`.
    pub fn new(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        loop {
            let path = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?.keep();
            note(&path)?;
            if let Some(lock) = locked(&path)? {
                return Ok(Self { path, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _left = beneath::remove(&self.path);
        if let Some(alive) = ALIVE.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            alive.remove(&self.path);
        }
    }
}

/// Writes a file in one step.
pub fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = file(path.parent().unwrap_or(Path::new("/")))?;
    file.write_all(bytes)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// A new file in `parent`, for its user alone.
pub fn file(parent: &Path) -> io::Result<NamedTempFile> {
    sweep(parent);
    loop {
        let file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(parent)?;
        note(file.path())?;
        // a file system without locks has no sweepers either
        let _unlocked = flock(file.as_file(), FlockOperation::LockExclusive);
        if is_at(file.as_file(), file.path()) {
            return Ok(file);
        }
    }
}

/// The lock on a new folder; nothing if a sweeper was there before it.
fn locked(path: &Path) -> io::Result<Option<File>> {
    let lock = match File::open(path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let _unlocked = flock(&lock, FlockOperation::LockExclusive);
    Ok(is_at(&lock, path).then_some(lock))
}

fn is_at(file: &File, path: &Path) -> bool {
    let same =
        |one: &fs::Metadata, other: &fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    file.metadata().is_ok_and(|file| fs::symlink_metadata(path).is_ok_and(|found| same(&file, &found)))
}

/// Removes our own in `parent` that nobody works in any more.
pub fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if !entry.file_name().as_encoded_bytes().starts_with(PREFIX.as_bytes()) {
            continue;
        }
        let path = entry.path();
        // neither a link nor a FIFO is ours
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let Ok(left) = fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(&path)
        else {
            continue;
        };
        let is_ours = left.metadata().is_ok_and(|left| {
            left.uid() == rustix::process::geteuid().as_raw() && (left.is_file() || left.is_dir())
        });
        if is_ours && flock(&left, FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _left = fs::remove_file(&path).or_else(|_| beneath::remove(&path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_worked_in_stays_and_the_rest_goes() {
        let parent = tempfile::tempdir().unwrap();
        let at = parent.path();
        fs::write(at.join(".kpkg-dead"), "half").unwrap();
        fs::create_dir_all(at.join(".kpkg-folder/deep")).unwrap();
        std::os::unix::fs::symlink("elsewhere", at.join(".kpkg-link")).unwrap();
        fs::write(at.join("other"), "").unwrap();
        let alive = file(at).unwrap();
        let folder = TemporaryFolder::new(at).unwrap();
        let another = file(at).unwrap();
        let mut names: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        let mut expected = vec![at.join(".kpkg-link"), at.join("other"), folder.path().to_owned()];
        expected.extend([alive.path().to_owned(), another.path().to_owned()]);
        expected.sort();
        assert_eq!(names, expected);
        drop((alive, folder, another));
        assert_eq!(fs::read_dir(at).unwrap().count(), 2);
    }
}
