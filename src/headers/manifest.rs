//! What an unpacked package consists of, so that nothing is compiled with headers that somebody has changed since.
//!
//! Two records lie beside the files. The first look compares what the file system says of them with the one; only where that differs are
//! they read and compared with the other.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Stat};
use sha2::{Digest, Sha256};

use crate::beneath::Folder;
use crate::output::Stop;

/// A line for each file and link, sorted by path: mode in octal digits, SHA-256 digest of the content or of the link's target, path.
const MANIFEST: &str = "manifest";
/// A digest of names, modes, sizes and the time of the last change of each (ctime), in the order of the folders.
const SEEN: &str = "seen";

/// Writes the records of the files in `root` to the folder `place`.
pub(super) fn record(place: &Path, root: &Path, stop: &Stop) -> io::Result<()> {
    let mut text = String::new();
    for (path, what) in contents(root, stop)? {
        let _infallible = writeln!(text, "{what} {path}");
    }
    fs::write(place.join(MANIFEST), text)?;
    fs::write(place.join(SEEN), seen(root)?)
}

/// The first path at which the files in `root` are not those that were recorded.
pub(super) fn difference(place: &Path, root: &Path, stop: &Stop) -> io::Result<Option<String>> {
    let now = seen(root)?;
    if fs::read_to_string(place.join(SEEN)).is_ok_and(|before| before == now) {
        return Ok(None);
    }
    let text = fs::read_to_string(place.join(MANIFEST))?;
    let recorded: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.match_indices(' ').nth(1))
        .zip(text.lines())
        .map(|((at, _), line)| (&line[at + 1..], &line[..at]))
        .collect();
    let found = contents(root, stop)?;
    let paths = recorded.keys().copied().chain(found.keys().map(String::as_str));
    let first =
        paths.filter(|path| recorded.get(path).copied() != found.get(*path).map(String::as_str)).min();
    if first.is_none() {
        // moved, or put back from a copy
        fs::write(place.join(SEEN), now)?;
    }
    Ok(first.map(ToOwned::to_owned))
}

/// Calls `visit` with everything in a folder and below: the folder that it is in, with its path, and its name.
fn walk(
    folder: &Folder,
    path: &Path,
    visit: &mut dyn FnMut(&Folder, &Path, &OsStr, &Stat) -> io::Result<()>,
) -> io::Result<()> {
    for (name, stat) in folder.entries()? {
        visit(folder, path, &name, &stat)?;
        if kind(&stat) == FileType::Directory {
            walk(&folder.folder(&name)?, &path.join(&name), visit)?;
        }
    }
    Ok(())
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

fn seen(root: &Path) -> io::Result<String> {
    let mut sha256 = Sha256::new();
    walk(&Folder::open(root)?, Path::new(""), &mut |_, _, name, stat| {
        sha256.update(name.as_bytes());
        // a name has no NUL
        sha256.update([0]);
        sha256.update(stat.st_mode.to_le_bytes());
        sha256.update(stat.st_size.to_le_bytes());
        sha256.update(stat.st_ctime.to_le_bytes());
        sha256.update(stat.st_ctime_nsec.to_le_bytes());
        Ok(())
    })?;
    Ok(format!("{:x}", sha256.finalize()))
}

fn contents(root: &Path, stop: &Stop) -> io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    walk(&Folder::open(root)?, Path::new(""), &mut |folder, path, name, stat| {
        if stop.is_set() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let digest = match kind(stat) {
            FileType::Directory => return Ok(()),
            FileType::Symlink => Sha256::digest(folder.target(name)?.as_bytes()),
            _ => {
                let mut sha256 = Sha256::new();
                let file = folder.file(name.as_ref())?.ok_or(io::ErrorKind::NotFound)?;
                io::copy(&mut file.take(stat.st_size.cast_unsigned()), &mut sha256)?;
                sha256.finalize()
            }
        };
        let path = path.join(name).as_os_str().as_bytes().escape_ascii().to_string();
        found.insert(path, format!("{:o} {digest:x}", stat.st_mode));
        Ok(())
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_changed_is_named_and_what_was_moved_is_not() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("include/empty")).unwrap();
        let header = root.join("include/a.h");
        fs::write(&header, "a").unwrap();
        symlink("a.h", root.join("include/b.h")).unwrap();
        let stop = Stop::default();
        record(place.path(), &root, &stop).unwrap();
        let difference = || super::difference(place.path(), &root, &stop).unwrap();
        assert_eq!(difference(), None);
        // the same again with other times
        fs::copy(&header, root.join("copy")).unwrap();
        fs::rename(root.join("copy"), &header).unwrap();
        assert_eq!(difference(), None);
        type Change = fn(&Path);
        let changes: [(&str, Change); 5] = [
            ("include/a.h", |root| fs::write(root.join("include/a.h"), "b").unwrap()),
            ("include/a.h", |root| {
                fs::set_permissions(root.join("include/a.h"), fs::Permissions::from_mode(0o755)).unwrap()
            }),
            ("include/a.h", |root| fs::remove_file(root.join("include/a.h")).unwrap()),
            ("include/c.h", |root| fs::write(root.join("include/c.h"), "").unwrap()),
            ("include/b.h", |root| {
                fs::remove_file(root.join("include/b.h")).unwrap();
                symlink("/etc/passwd", root.join("include/b.h")).unwrap();
            }),
        ];
        for (path, change) in changes {
            fs::remove_dir_all(&root).unwrap();
            fs::create_dir_all(root.join("include")).unwrap();
            fs::write(&header, "a").unwrap();
            symlink("a.h", root.join("include/b.h")).unwrap();
            record(place.path(), &root, &stop).unwrap();
            change(&root);
            assert_eq!(difference().as_deref(), Some(path));
            assert_eq!(difference().as_deref(), Some(path), "once more");
        }
    }
}
