//! Files and folders that somebody else may have made or named: opened step by step, never through a link, or as a regular file at least;
//! written the same way; and taken away whatever is in them.
//!
//! What may be done with files, and nothing about what is in them: no format, no message to the user but that of the error.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, chmodat, openat, readlinkat, renameat, statat, unlinkat,
};

/// A folder that is open, so that what happens to its path changes nothing.
#[derive(Debug)]
pub struct Folder(OwnedFd);

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// Without waiting for whoever writes to a pipe.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Folder {
    /// A folder of ours; its last part is no link.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, FOLDER, Mode::empty())?))
    }

    /// A regular file at a relative path; nothing where a part of the path is a link, or the last one anything else.
    pub fn file(&self, path: &Path) -> io::Result<Option<File>> {
        let Some((above, name)) = self.above(path)? else { return Ok(None) };
        let folder = above.as_ref().unwrap_or(&self.0);
        let file = match openat(folder, name, FILE, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(error) if is_absent(error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(file.metadata()?.is_file().then_some(file))
    }

    /// The names in a folder at a relative path, sorted; none where a part of the path is a link or no folder.
    pub fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let inside = match self.above(path)? {
            None => return Ok(Vec::new()),
            Some((above, name)) => {
                match openat(above.as_ref().unwrap_or(&self.0), name, FOLDER, Mode::empty()) {
                    Ok(folder) => folder,
                    Err(error) if is_absent(error) => return Ok(Vec::new()),
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let mut names: Vec<_> = Dir::read_from(&inside)?
            .filter_map(|entry| match entry {
                Ok(entry) if [c".", c".."].contains(&entry.file_name()) => None,
                entry => Some(entry.map(|entry| OsStr::from_bytes(entry.file_name().to_bytes()).to_owned())),
            })
            .collect::<Result<_, _>>()?;
        names.sort();
        Ok(names)
    }

    /// What is in it, in no order, without following links.
    pub fn entries(&self) -> io::Result<Vec<(OsString, Stat)>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            if ![c".", c".."].contains(&name) {
                let stat = statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
                entries.push((OsStr::from_bytes(name.to_bytes()).to_owned(), stat));
            }
        }
        Ok(entries)
    }

    /// What the file system says of a name in it, without following a link, or of the folder itself.
    pub fn stat(&self, name: Option<&OsStr>) -> io::Result<Stat> {
        Ok(match name {
            Some(name) => statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?,
            None => rustix::fs::fstat(&self.0)?,
        })
    }

    /// A folder in it.
    pub fn folder(&self, name: &OsStr) -> io::Result<Self> {
        Ok(Self(openat(&self.0, name, FOLDER, Mode::empty())?))
    }

    /// What a link in it leads to.
    pub fn target(&self, name: &OsStr) -> io::Result<CString> {
        Ok(readlinkat(&self.0, name, Vec::new())?)
    }

    /// The folder of the last part of a relative path, nothing for this one, and that part.
    fn above<'p>(&self, path: &'p Path) -> io::Result<Option<(Option<OwnedFd>, &'p OsStr)>> {
        let Some(mut names) = parts(path) else { return Ok(None) };
        let Some(last) = names.pop() else { return Ok(None) };
        let mut folder = None;
        for name in names {
            match openat(folder.as_ref().unwrap_or(&self.0), name, FOLDER, Mode::empty()) {
                Ok(next) => folder = Some(next),
                Err(error) if is_absent(error) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some((folder, last)))
    }

    // ---- writing ----------------------------------------------------------------------------------------------------------------

    /// Makes a folder at a relative path, and those above it, as far as they are not there.
    pub fn make(&self, path: &Path) -> io::Result<()> {
        let names = parts(path).ok_or_else(|| leads_out(path))?;
        self.made(&names, path).map(drop)
    }

    /// A new file at a relative path; the folders above it are made. One that is there already is an error.
    pub fn create(&self, path: &Path, executable: bool) -> io::Result<File> {
        let (folder, name) = self.made_above(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = if executable { 0o755 } else { 0o644 };
        Ok(openat(folder.as_ref().unwrap_or(&self.0), name, flags, Mode::from_raw_mode(mode))?.into())
    }

    /// A new link at a relative path, to whatever it says.
    pub fn link(&self, target: &OsStr, path: &Path) -> io::Result<()> {
        let (folder, name) = self.made_above(path)?;
        Ok(rustix::fs::symlinkat(target, folder.as_ref().unwrap_or(&self.0), name)?)
    }

    /// A second name for a regular file.
    pub fn name_again(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.file(from)?.is_none() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("there is no file `{}`", from.display()),
            ));
        }
        let (to_folder, to_name) = self.made_above(to)?;
        let (from_folder, from_name) = self.made_above(from)?;
        let (from_folder, to_folder) =
            (from_folder.as_ref().unwrap_or(&self.0), to_folder.as_ref().unwrap_or(&self.0));
        Ok(rustix::fs::linkat(from_folder, from_name, to_folder, to_name, AtFlags::empty())?)
    }

    fn made_above<'p>(&self, path: &'p Path) -> io::Result<(Option<OwnedFd>, &'p OsStr)> {
        let mut names = parts(path).ok_or_else(|| leads_out(path))?;
        let name = names.pop().ok_or_else(|| leads_out(path))?;
        Ok((self.made(&names, path)?, name))
    }

    /// The folder of these names, made as far as it is not there; nothing for this one.
    fn made(&self, names: &[&OsStr], path: &Path) -> io::Result<Option<OwnedFd>> {
        let mut folder: Option<OwnedFd> = None;
        for name in names {
            let above = folder.as_ref().unwrap_or(&self.0);
            match rustix::fs::mkdirat(above, *name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let next = openat(above, *name, FOLDER, Mode::empty()).map_err(|error| {
                if is_absent(error) {
                    let text = format!("`{}` goes through what is no folder", path.display());
                    return io::Error::new(io::ErrorKind::InvalidData, text);
                }
                error.into()
            })?;
            folder = Some(next);
        }
        Ok(folder)
    }
}

/// Makes a folder, unless it is there; whether it is a folder that belongs to who runs this, and that nobody else may write to.
pub fn own(path: &Path) -> io::Result<bool> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let stat = statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let is_own = stat.st_uid == rustix::process::geteuid().as_raw();
    Ok(is_folder && is_own && stat.st_mode & 0o022 == 0)
}

/// Whether what is in a folder can only be taken away by who runs this, or by root: nobody else may write to it, or it is sticky.
pub fn keeps(path: &Path) -> io::Result<bool> {
    let stat = statat(CWD, path, AtFlags::empty())?;
    let is_trusted = [0, rustix::process::geteuid().as_raw()].contains(&stat.st_uid);
    Ok(is_trusted && (stat.st_mode & 0o022 == 0 || stat.st_mode & 0o1000 != 0))
}

/// A regular file at a path that somebody gave, through links; anything else, such as a pipe that nobody writes to, is an error.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = File::from(openat(CWD, path, FILE.difference(OFlags::NOFOLLOW), Mode::empty())?);
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
}

/// The text of such a file, which may have so many bytes.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::with_capacity(limit.min(PIECE) as usize);
    open_regular(path)?.take(limit + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")));
    }
    Ok(text)
}

/// Bytes that most files end within; without such a place for them they are read in steps, from 32 bytes on.
const PIECE: u64 = 8 << 10;

/// The beginning of a file, of at most so many bytes.
pub fn start(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(limit.min(PIECE) as usize);
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The parts of a relative path; nothing where it leads out.
fn parts(path: &Path) -> Option<Vec<&OsStr>> {
    let part = |part| if let Component::Normal(name) = part { Some(name) } else { None };
    path.components().map(part).collect()
}

fn leads_out(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{}` leads out", path.display()))
}

/// Nothing there, a link, or no folder on the way; a device or a socket.
fn is_absent(error: rustix::io::Errno) -> bool {
    use rustix::io::Errno;
    [Errno::NOENT, Errno::LOOP, Errno::NOTDIR, Errno::NXIO, Errno::NODEV].contains(&error)
}

/// Removes a folder with all that is in it, however deep it is and whatever its modes say. What is in it is followed nowhere.
pub fn remove(path: &Path) -> io::Result<()> {
    let top = match openat(CWD, path, FOLDER, Mode::empty()) {
        Ok(top) => top,
        Err(error) if is_absent(error) => return Ok(()),
        Err(rustix::io::Errno::ACCESS) => {
            chmodat(CWD, path, Mode::RWXU, AtFlags::empty())?;
            openat(CWD, path, FOLDER, Mode::empty())?
        }
        Err(error) => return Err(error.into()),
    };
    // a folder in it is moved to the top before its turn comes, so that neither paths nor open folders add up
    let mut count = 0_u64;
    let mut waiting: Vec<CString> = clear(&top, &top, &mut count)?;
    while let Some(name) = waiting.pop() {
        let folder = openat(&top, &name, FOLDER, Mode::empty())?;
        waiting.extend(clear(&folder, &top, &mut count)?);
        unlinkat(&top, &name, AtFlags::REMOVEDIR)?;
    }
    Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?)
}

/// Removes the files of a folder and moves its folders to `top`; their names there.
fn clear(folder: &OwnedFd, top: &OwnedFd, count: &mut u64) -> io::Result<Vec<CString>> {
    // what it holds cannot be taken out of a folder that its owner may not write to
    rustix::fs::fchmod(folder, Mode::RWXU)?;
    let names: Vec<(CString, FileType)> = Dir::read_from(folder)?
        .filter_map(|entry| {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return Some(Err(error)),
            };
            let is_real = ![c".", c".."].contains(&entry.file_name());
            is_real.then(|| Ok((entry.file_name().to_owned(), entry.file_type())))
        })
        .collect::<Result<_, _>>()?;
    let mut moved = Vec::new();
    for (name, kind) in names {
        if !is_folder(folder, &name, kind)? {
            unlinkat(folder, &name, AtFlags::empty())?;
            continue;
        }
        // to move a folder changes what is in it
        chmodat(folder, &name, Mode::RWXU, AtFlags::empty())?;
        let place = loop {
            *count += 1;
            let place = CString::new(format!(".removed-{count}")).map_err(io::Error::other)?;
            // an empty folder of that name would be replaced, another one is not
            if statat(top, &place, AtFlags::SYMLINK_NOFOLLOW).is_err() {
                break place;
            }
        };
        renameat(folder, &name, top, &place)?;
        moved.push(place);
    }
    Ok(moved)
}

fn is_folder(folder: &OwnedFd, name: &CStr, kind: FileType) -> io::Result<bool> {
    if kind != FileType::Unknown {
        return Ok(kind == FileType::Directory);
    }
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn only_regular_files_below_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        fs::create_dir_all(own.join("a/b")).unwrap();
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("secret"), "secret").unwrap();
        fs::write(own.join("a/b/file"), "text").unwrap();
        symlink(&other, own.join("a/link")).unwrap();
        symlink(other.join("secret"), own.join("secret")).unwrap();
        symlink("a/b/file", own.join("inside")).unwrap();
        rustix::fs::mknodat(CWD, own.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(own.join("socket")).unwrap();
        let handle = Folder::open(&own).unwrap();
        let read = |path: &str| {
            let file = handle.file(Path::new(path)).unwrap();
            file.map(|file| io::read_to_string(file).unwrap())
        };
        assert_eq!(read("a/b/file").as_deref(), Some("text"));
        for path in [
            "a/link/secret",
            "secret",
            "inside",
            "pipe",
            "socket",
            "a/b",
            "none",
            "a/b/file/x",
            "../other/secret",
            "",
            ".",
            "/etc/passwd",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
        let text = |path: &str| read_text(&own.join(path), 6).map_err(|error| error.kind());
        assert_eq!(text("secret").as_deref(), Ok("secret"));
        assert_eq!(text("a/b/file").as_deref(), Ok("text"));
        assert_eq!(read_text(&own.join("secret"), 5).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(text("pipe"), Err(io::ErrorKind::InvalidInput));
        assert_eq!(text("a"), Err(io::ErrorKind::InvalidInput));
        assert_eq!(read_text(Path::new("/dev/zero"), 5).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        // the path leads elsewhere now
        fs::rename(&own, folder.path().join("moved")).unwrap();
        symlink(&other, &own).unwrap();
        assert_eq!(read("secret"), None);
        assert!(Folder::open(&own).is_err());
    }

    #[test]
    fn whatever_is_in_a_folder_goes_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        fs::create_dir_all(&other).unwrap();
        fs::write(other.join("kept"), "kept").unwrap();
        fs::create_dir_all(own.join("closed/deep")).unwrap();
        fs::create_dir_all(own.join(".removed-1/x")).unwrap();
        fs::write(own.join("closed/deep/file"), "").unwrap();
        symlink(&other, own.join("link")).unwrap();
        symlink(&other, own.join("closed/link")).unwrap();
        rustix::fs::mknodat(CWD, own.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        for path in ["closed/deep", "closed"] {
            fs::set_permissions(own.join(path), fs::Permissions::from_mode(0o000)).unwrap();
        }
        // deeper than a path can be, and than folders can be open
        let mut at = openat(CWD, &own, FOLDER, Mode::empty()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, c"d", Mode::RWXU).unwrap();
            at = openat(&at, c"d", FOLDER, Mode::empty()).unwrap();
        }
        drop(at);
        remove(&own).unwrap();
        assert!(!own.exists());
        assert_eq!(fs::read_to_string(other.join("kept")).unwrap(), "kept");
        // a link is not its target
        symlink(&other, &own).unwrap();
        remove(&own).unwrap();
        assert!(other.join("kept").exists());
        remove(&folder.path().join("none")).unwrap();
    }
}
