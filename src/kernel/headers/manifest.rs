//! What an unpacked package consists of, so that nothing is compiled with headers that somebody has changed since.
//!
//! Records lie beside the files. The first look compares what the file system says of them; only where that differs are they read and
//! compared byte for byte.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use sha2::{Digest, Sha256};

use crate::base::beneath::Folder;
use crate::output::Stop;

/// A line for each file and link, sorted by path: mode in octal digits, SHA-256 digest of the content or of the link's target, path.
const MANIFEST: &str = "manifest";
/// Every folder with the names of what the first look looks at in it, each followed by a NUL, and a NUL at the end of a folder.
const NAMES: &str = "names";
/// A digest of the modes, sizes and times of the last change (ctime) of all these, and of the folders.
const SEEN: &str = "seen";

/// Writes the records of the files in `root` to the folder `place`.
pub(super) fn record(place: &Path, root: &Path, stop: &Stop) -> io::Result<()> {
    let mut text = String::new();
    for (path, what) in contents(root, stop)? {
        let _infallible = writeln!(text, "{what} {path}");
    }
    fs::write(place.join(MANIFEST), text)?;
    note(place, root)
}

/// The first path at which the files in `root` are not those that were recorded.
pub(super) fn difference(place: &Path, root: &Path, stop: &Stop) -> io::Result<Option<String>> {
    let before = fs::read_to_string(place.join(SEEN)).ok();
    if before.is_some()
        && before == fs::read(place.join(NAMES)).ok().and_then(|names| look(root, &names).ok())
    {
        return Ok(None);
    }
    let text = fs::read_to_string(place.join(MANIFEST))?;
    let recorded: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| {
            let (at, _) = line.match_indices(' ').nth(1)?;
            Some((&line[at + 1..], &line[..at]))
        })
        .collect();
    let found = contents(root, stop)?;
    let paths = recorded.keys().copied().chain(found.keys().map(String::as_str));
    let first =
        paths.filter(|path| recorded.get(path).copied() != found.get(*path).map(String::as_str)).min();
    if first.is_none() {
        // moved, or put back from a copy
        note(place, root)?;
    }
    Ok(first.map(ToOwned::to_owned))
}

/// Writes what the first look compares with.
fn note(place: &Path, root: &Path) -> io::Result<()> {
    let mut folders: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::from([(PathBuf::from("."), Vec::new())]);
    walk(&Folder::open(root)?, Path::new("."), &mut |_, path, name, stat| {
        if kind(stat) == FileType::Directory {
            folders.insert(path.join(name), Vec::new());
        } else if stat.st_size > 0 || !path.ends_with(MARKERS) {
            let names = folders.entry(path.to_owned()).or_default();
            names.extend_from_slice(name.as_bytes());
            names.push(0);
        }
        Ok(())
    })?;
    let mut names = Vec::new();
    for (folder, inside) in folders {
        names.extend_from_slice(folder.as_os_str().as_bytes());
        names.push(0);
        names.extend(inside);
        names.push(0);
    }
    fs::write(place.join(SEEN), look(root, &names)?)?;
    fs::write(place.join(NAMES), names)
}

/// Where a kernel has an empty file for each of its options, thousands of them, of which make looks at the time only.
const MARKERS: &str = "include/config";

/// What the file system says of the files with these names.
fn look(root: &Path, names: &[u8]) -> io::Result<String> {
    let mut hasher = DefaultHasher::new();
    // two numbers, as there are many files: sizes have less than 48 bits, seconds less than 34, nanoseconds 30
    let mut add = |stat: Stat| {
        hasher.write_u64((u64::from(stat.st_mode) << 48) | stat.st_size.cast_unsigned());
        hasher.write_u64((stat.st_ctime.cast_unsigned() << 30) | stat.st_ctime_nsec);
    };
    let mut names = names.split(|byte| *byte == 0).map(OsStr::from_bytes);
    while let Some(path) = names.next().filter(|path| !path.is_empty()) {
        let folder = Folder::open(&root.join(path))?;
        add(folder.stat(None)?);
        for name in names.by_ref().take_while(|name| !name.is_empty()) {
            add(folder.stat(Some(name))?);
        }
    }
    Ok(format!("{:x}", hasher.finish()))
}

/// Calls `visit` with everything in a folder and below, in no order: the folder that it is in, with its path, and its name.
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

    type Change = fn(&Path);

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
        let changes: [(&str, Change); 5] = [
            ("include/a.h", |root| fs::write(root.join("include/a.h"), "b").unwrap()),
            ("include/a.h", |root| {
                fs::set_permissions(root.join("include/a.h"), fs::Permissions::from_mode(0o755)).unwrap();
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
