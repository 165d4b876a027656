//! Unpacks the archive of a driver into an empty folder: tar (plain, gzip, xz, Zstandard) and zip, told apart by their bytes.
//!
//! What an archive says is believed by nobody: names stay inside, links stay inside, and there are limits of size and number.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use crate::archive;
use crate::base::beneath::open_regular;
use crate::base::error::{Error, Result};
use crate::output::Stop;

/// At most so many bytes of files come out of one archive: 4 GiB.
pub const BYTES: u64 = 4 << 30;
/// At most so many entries.
pub const ENTRIES: u64 = 500_000;

/// At most so many bytes are read to get from one entry's content to the next: headers are kept in memory.
const HEADERS: u64 = 1 << 20;

/// A reader that stops after so many bytes.
struct Metered<R> {
    reader: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "an entry's headers, or its content, do not end",
            ));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.reader.read(&mut buffer[..most])?;
        self.left.set(left - count as u64);
        Ok(count)
    }
}

/// What is written below the folder.
struct Target<'a> {
    archive: &'a Path,
    folder: &'a Path,
    bytes: u64,
    entries: u64,
    links: BTreeSet<PathBuf>,
    stop: &'a Stop,
}

/// Unpacks the archive at `path` below `folder`, which is empty; gives the folder that holds everything, and the name it has.
pub fn unpack(path: &Path, folder: &Path, stop: &Stop) -> Result<(PathBuf, String)> {
    let read_error = |error| Error::io("cannot read", path, error).as_usage();
    let mut file = open_regular(path).map_err(read_error)?;
    let mut start = [0; 4];
    let length = read_up_to(&mut file, &mut start).map_err(read_error)?;
    file.rewind().map_err(read_error)?;
    let start = &start[..length];
    let mut target = Target { archive: path, folder, bytes: 0, entries: 0, links: BTreeSet::new(), stop };
    if start.starts_with(b"PK\x03\x04") {
        target.zip(file)?;
    } else {
        let mut reader = archive::decompressed(file).map_err(read_error)?;
        let mut block = vec![0; 512];
        let length = read_up_to(&mut reader, &mut block).map_err(read_error)?;
        if block.get(257..262) != Some(b"ustar") {
            return Err(Error::usage("is neither a folder nor an archive that can be read:").at(path).hint(
                "give a folder, a .tar, .tar.gz, .tar.xz, .tar.zst or .zip; other archives have to be unpacked first",
            ));
        }
        block.truncate(length);
        target.tar(io::Cursor::new(block).chain(reader))?;
    }
    Ok(target.top())
}

fn read_up_to(file: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..])? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

impl Target<'_> {
    fn refused(&self, name: &Path, why: &str) -> Error {
        let name = name.to_string_lossy().escape_debug().to_string();
        Error::usage(format!("the archive cannot be used: `{name}` {why}:"))
            .at(self.archive)
            .hint("unpack it yourself, look at it, and give the folder")
    }

    fn tar(&mut self, reader: impl Read) -> Result<()> {
        let unreadable = |archive: &Path, error| Error::io("cannot unpack", archive, error).as_usage();
        let left = Rc::new(Cell::new(HEADERS));
        let mut archive = tar::Archive::new(Metered { reader, left: Rc::clone(&left) });
        let mut entries = archive.entries().map_err(|error| unreadable(self.archive, error))?;
        loop {
            left.set(HEADERS);
            let Some(entry) = entries.next() else { break };
            let mut entry = entry.map_err(|error| unreadable(self.archive, error))?;
            left.set(BYTES);
            let kind = entry.header().entry_type();
            if kind.is_pax_global_extensions() {
                continue;
            }
            let name = PathBuf::from(std::ffi::OsStr::from_bytes(&entry.path_bytes()));
            let mode = entry.header().mode().unwrap_or(0);
            let time = entry.header().mtime().unwrap_or(0);
            let link =
                entry.link_name_bytes().map(|bytes| PathBuf::from(std::ffi::OsStr::from_bytes(&bytes)));
            match (kind, link) {
                (tar::EntryType::Directory, _) => self.make_folder(&name)?,
                (tar::EntryType::Regular | tar::EntryType::Continuous, _) => {
                    self.file(&name, &mut entry, mode & 0o111 != 0, time)?;
                }
                (tar::EntryType::Symlink, Some(link)) => self.link(&name, &link)?,
                (tar::EntryType::Link, Some(link)) => self.copy(&name, &link)?,
                _ => return Err(self.refused(&name, "is no file, folder or link")),
            }
        }
        // the checksum of what was compressed stands behind it
        left.set(HEADERS);
        let rest = io::copy(&mut archive.into_inner(), &mut io::sink());
        rest.map(drop).map_err(|error| unreadable(self.archive, error))
    }

    fn zip(&mut self, file: File) -> Result<()> {
        let invalid = |error: zip::result::ZipError| io::Error::other(error.to_string());
        let unreadable = |archive: &Path, error| Error::io("cannot unpack", archive, error).as_usage();
        let mut archive =
            zip::ZipArchive::new(file).map_err(|error| unreadable(self.archive, invalid(error)))?;
        for index in 0..archive.len() {
            let mut entry =
                archive.by_index(index).map_err(|error| unreadable(self.archive, invalid(error)))?;
            let name = PathBuf::from(std::ffi::OsStr::from_bytes(entry.name_raw()));
            let mode = entry.unix_mode().unwrap_or(0);
            let time = entry.last_modified().map_or(0, seconds);
            if entry.is_dir() {
                self.make_folder(&name)?;
            } else if entry.is_symlink() {
                let mut link = Vec::new();
                let read = (&mut entry).take(4096).read_to_end(&mut link);
                read.map_err(|error| unreadable(self.archive, error))?;
                self.link(&name, Path::new(std::ffi::OsStr::from_bytes(&link)))?;
            } else {
                self.file(&name, &mut entry, mode & 0o111 != 0, time)?;
            }
        }
        Ok(())
    }

    /// The place of a name below the folder, with the folders above it; nothing for the folder itself.
    fn place(&mut self, name: &Path) -> Result<Option<PathBuf>> {
        if self.stop.is_set() {
            return Err(Error::interrupted());
        }
        self.entries += 1;
        if self.entries > ENTRIES {
            return Err(self.refused(name, &format!("is one entry too many; at most {ENTRIES} are unpacked")));
        }
        let mut inside = PathBuf::new();
        for part in name.components() {
            match part {
                Component::CurDir => {}
                Component::Normal(part) => {
                    if self.links.contains(&inside) {
                        return Err(self.refused(name, "goes through a link"));
                    }
                    inside.push(part);
                }
                _ => return Err(self.refused(name, "leads out of the archive")),
            }
        }
        if inside.as_os_str().is_empty() {
            return Ok(None);
        }
        if self.links.contains(&inside) {
            return Err(self.refused(name, "comes twice, once as a link"));
        }
        let place = self.folder.join(&inside);
        let above = place.parent().unwrap_or(self.folder);
        fs::create_dir_all(above).map_err(|error| Error::io("cannot write", above, error))?;
        Ok(Some(place))
    }

    fn make_folder(&mut self, name: &Path) -> Result<()> {
        let Some(place) = self.place(name)? else { return Ok(()) };
        fs::create_dir_all(&place).map_err(|error| Error::io("cannot write", place, error))
    }

    fn file(&mut self, name: &Path, content: &mut dyn Read, executable: bool, time: u64) -> Result<()> {
        let Some(place) = self.place(name)?.filter(|_| !leads_to_a_repository(name)) else { return Ok(()) };
        let write_error = |error| Error::io("cannot write", &place, error);
        let mut file = File::create(&place).map_err(write_error)?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => return Err(Error::io("cannot unpack", self.archive, error).as_usage()),
            };
            self.bytes += count as u64;
            if self.bytes > BYTES {
                return Err(self.refused(name, &format!("makes it larger than {BYTES} bytes")));
            }
            if self.stop.is_set() {
                return Err(Error::interrupted());
            }
            file.write_all(&buffer[..count]).map_err(write_error)?;
        }
        let mode = if executable { 0o755 } else { 0o644 };
        file.set_permissions(Permissions::from_mode(mode)).map_err(write_error)?;
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time.min(u64::from(u32::MAX)));
        file.set_modified(time).map_err(write_error)
    }

    fn link(&mut self, name: &Path, target: &Path) -> Result<()> {
        if !stays_inside(name, target) {
            return Err(
                self.refused(name, &format!("is a link to `{}`, out of the archive", target.display()))
            );
        }
        let Some(place) = self.place(name)?.filter(|_| !leads_to_a_repository(name)) else { return Ok(()) };
        symlink(target, &place).map_err(|error| Error::io("cannot write", &place, error))?;
        if let Ok(inside) = place.strip_prefix(self.folder) {
            self.links.insert(inside.to_owned());
        }
        Ok(())
    }

    /// A hard link becomes a file of its own.
    fn copy(&mut self, name: &Path, target: &Path) -> Result<()> {
        let Some(from) = self.place(target)? else { return Err(self.refused(name, "is a link to a folder")) };
        let Some(place) = self.place(name)? else { return Ok(()) };
        if !fs::symlink_metadata(&from).is_ok_and(|metadata| metadata.is_file()) {
            return Err(self.refused(name, "is a link to what is not there"));
        }
        let written = fs::copy(&from, &place).map_err(|error| Error::io("cannot write", &place, error))?;
        self.bytes += written;
        if self.bytes > BYTES {
            return Err(self.refused(name, &format!("makes it larger than {BYTES} bytes")));
        }
        Ok(())
    }

    /// The only folder at the top, or everything; and its name, or the archive's without its endings.
    fn top(&self) -> (PathBuf, String) {
        let mut names: Vec<_> = fs::read_dir(self.folder).into_iter().flatten().flatten().collect();
        if let (Some(only), true) = (names.pop(), names.is_empty())
            && only.file_type().is_ok_and(|kind| kind.is_dir())
            && let Ok(name) = only.file_name().into_string()
        {
            return (only.path(), name);
        }
        (self.folder.to_owned(), stem(self.archive))
    }
}

/// The name of an archive without its ending.
#[must_use]
pub fn stem(archive: &Path) -> String {
    let name = archive.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let endings = [".zip", ".tar", ".tgz", ".txz", ".tar.gz", ".tar.xz", ".tar.zst"];
    let stem = endings.iter().rev().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    // as Debian calls what is upstream's
    stem.strip_suffix(".orig").unwrap_or(stem).to_owned()
}

/// Whether git would take it for the name of a repository that lies elsewhere: a file or link `.git`, gitrepository-layout(5).
fn leads_to_a_repository(name: &Path) -> bool {
    name.file_name().is_some_and(|name| name == ".git")
}

/// Whether a link called `name` to `target` leads to a place below the top, by its words.
fn stays_inside(name: &Path, target: &Path) -> bool {
    let mut depth = name.components().filter(|part| matches!(part, Component::Normal(_))).count();
    // from the folder that the link is in
    depth = depth.saturating_sub(1);
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}

/// Seconds since 1970 of a time that has no zone, taken as UTC; 0 where it is none.
fn seconds(time: zip::DateTime) -> u64 {
    let of_jiff = jiff::civil::DateTime::try_from(time).ok();
    let zoned = of_jiff.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC).ok());
    zoned.and_then(|time| u64::try_from(time.timestamp().as_second()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tar of entries: name, kind, content or target.
    fn tar(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(if name.ends_with(".sh") { 0o700 } else { 0o600 });
            header.set_mtime(1_700_000_000);
            // the builder refuses the names that an attacker writes
            let field = &mut header.as_gnu_mut().unwrap().name;
            field[..name.len()].copy_from_slice(name.as_bytes());
            let body = if kind.is_file() { text.as_bytes() } else { b"" };
            if !kind.is_file() {
                let field = &mut header.as_gnu_mut().unwrap().linkname;
                field[..text.len()].copy_from_slice(text.as_bytes());
            }
            header.set_size(body.len() as u64);
            header.set_cksum();
            builder.append(&header, body).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Result<(PathBuf, String)>) {
        let scratch = tempfile::tempdir().unwrap();
        let archive = scratch.path().join("toy-1.2.tar.gz");
        fs::write(&archive, bytes).unwrap();
        let folder = scratch.path().join("out");
        fs::create_dir(&folder).unwrap();
        let result = unpack(&archive, &folder, &Stop::default());
        (scratch, result)
    }

    use tar::EntryType::{Directory, Link, Regular, Symlink};

    const GOOD: &[(&str, tar::EntryType, &str)] = &[
        ("./", Directory, ""),
        ("./toy-1.2/", Directory, ""),
        ("./toy-1.2/a.sh", Regular, "text"),
        ("./toy-1.2/sub/b", Regular, ""),
        ("./toy-1.2/sub/l", Symlink, "../a.sh"),
        ("./toy-1.2/h", Link, "toy-1.2/a.sh"),
    ];

    #[test]
    fn every_packing_of_a_tar_is_read() {
        let plain = tar(GOOD);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
        xz.write_all(&plain).unwrap();
        for bytes in [
            plain.clone(),
            gzip.finish().unwrap(),
            xz.finish().unwrap(),
            zstd::encode_all(&plain[..], 1).unwrap(),
        ] {
            let (_scratch, result) = unpacked(&bytes);
            let (folder, name) = result.unwrap();
            assert_eq!(name, "toy-1.2");
            assert_eq!(fs::read(folder.join("h")).unwrap(), b"text");
            assert_eq!(fs::read_link(folder.join("sub/l")).unwrap(), Path::new("../a.sh"));
            let metadata = fs::metadata(folder.join("a.sh")).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o755);
            let modified = metadata.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(modified.as_secs(), 1_700_000_000);
        }
    }

    #[test]
    fn no_file_of_an_archive_names_a_repository() {
        let bytes = tar(&[
            ("t/a", tar::EntryType::Regular, "text"),
            ("t/.git", tar::EntryType::Regular, "gitdir: /other/.git\n"),
            ("t/s/.git", tar::EntryType::Symlink, "../a"),
            ("t/s/b", tar::EntryType::Regular, "text"),
        ]);
        let (_scratch, result) = unpacked(&bytes);
        let (folder, _) = result.unwrap();
        assert!(folder.join("a").exists() && folder.join("s/b").exists());
        assert!(fs::symlink_metadata(folder.join(".git")).is_err());
        assert!(fs::symlink_metadata(folder.join("s/.git")).is_err());
    }

    #[test]
    fn checksums_behind_what_is_compressed_are_looked_at() {
        let plain = tar(GOOD);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
        xz.write_all(&plain).unwrap();
        let mut zstd = zstd::Encoder::new(Vec::new(), 1).unwrap();
        zstd.include_checksum(true).unwrap();
        zstd.write_all(&plain).unwrap();
        let packed = [gzip.finish().unwrap(), xz.finish().unwrap(), zstd.finish().unwrap()];
        // the sum of the content: in gzip before its length, in xz before index and footer, in zstd last
        for (bytes, from_end) in packed.iter().zip([6, 33, 2]) {
            assert!(unpacked(bytes).1.is_ok());
            let mut damaged = bytes.clone();
            let at = damaged.len() - from_end;
            damaged[at] ^= 1;
            assert!(unpacked(&damaged).1.is_err(), "{from_end}");
            assert!(unpacked(&bytes[..bytes.len() - 3]).1.is_err(), "{from_end}");
        }
    }

    #[test]
    fn a_zip_is_read() {
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        let time = zip::DateTime::from_date_and_time(2024, 2, 29, 12, 0, 2).unwrap();
        let options =
            zip::write::SimpleFileOptions::default().last_modified_time(time).unix_permissions(0o755);
        writer.start_file("toy-1.2/a.sh", options).unwrap();
        writer.write_all(b"text").unwrap();
        let bytes = writer.finish().unwrap().into_inner();
        let (_scratch, result) = unpacked(&bytes);
        let (folder, name) = result.unwrap();
        assert_eq!(name, "toy-1.2");
        let metadata = fs::metadata(folder.join("a.sh")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o755);
        let modified = metadata.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(modified.as_secs(), 1_709_208_002);
    }

    #[test]
    fn without_one_folder_at_the_top_the_name_is_the_archives() {
        let (_scratch, result) = unpacked(&tar(&[("a", Regular, ""), ("b", Regular, "")]));
        assert_eq!(result.unwrap().1, "toy-1.2");
    }

    #[test]
    fn what_leads_out_or_is_no_file_is_refused() {
        let bad: &[&[(&str, tar::EntryType, &str)]] = &[
            &[("../x", Regular, "")],
            &[("/tmp/x", Regular, "")],
            &[("a/../../x", Regular, "")],
            &[("l", Symlink, "/etc/passwd")],
            &[("l", Symlink, "..")],
            &[("a/l", Symlink, "../../x")],
            &[("l", Symlink, "a"), ("l/x", Regular, "")],
            &[("l", Symlink, "a"), ("l", Regular, "")],
            &[("h", Link, "../x")],
            &[("h", Link, "x")],
            &[("p", tar::EntryType::Fifo, "")],
            &[("d", tar::EntryType::Block, "")],
        ];
        for entries in bad {
            let (scratch, result) = unpacked(&tar(entries));
            assert!(result.is_err(), "{entries:?}");
            assert!(!scratch.path().join("x").exists(), "{entries:?}");
        }
    }

    #[test]
    fn what_is_no_archive_or_is_cut_is_an_error() {
        let whole = tar(GOOD);
        for bytes in [&b""[..], b"hello", &whole[..700], &[0x1f, 0x8b, 8, 0], b"PK\x03\x04xx"] {
            assert!(unpacked(bytes).1.is_err());
        }
    }

    #[test]
    fn a_name_without_end_is_not_kept_in_memory() {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(3 << 30);
        header.set_cksum();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(header.as_bytes()).unwrap();
        gzip.write_all(&vec![b'x'; 4 << 20]).unwrap();
        let (_scratch, result) = unpacked(&gzip.finish().unwrap());
        assert!(result.unwrap_err().to_string().contains("do not end"));
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let scratch = tempfile::tempdir().unwrap();
        let stop = Stop::default();
        let mut target = Target {
            archive: Path::new("bomb.tar"),
            folder: scratch.path(),
            bytes: BYTES - 10,
            entries: 0,
            links: BTreeSet::new(),
            stop: &stop,
        };
        assert!(target.file(Path::new("a"), &mut io::repeat(0), false, 0).is_err());
        target.entries = ENTRIES;
        assert!(target.make_folder(Path::new("b")).is_err());
    }
}
