//! Where artifacts go: a folder, or memory for tests and embedding.
//!
//! An artifact appears whole or not at all, and a name is written once. Knows nothing about formats.

pub mod finished;

#[cfg(any(test, feature = "internals"))]
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::{SpooledData, SpooledTempFile};

use crate::base::error::{Error, Result};
use crate::base::{beneath, temporary};

/// How much is collected before it is handed to the system.
const BUFFER: usize = 128 * 1024;
/// How much is moved from file to file at a time.
const PIECE: u64 = 64 << 20;

/// A stop flag that a signal handler may set; whoever writes or reads looks at it, and leaves there how far it is.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    /// Entries of trees that were met, and bytes of files that went into packages.
    done: Arc<[AtomicU64; 2]>,
}

impl Stop {
    /// The flag itself, for a signal handler.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.flag)
    }

    /// Counts entries of a tree; whether somebody asked to stop.
    #[must_use]
    pub fn meets(&self, entries: usize) -> bool {
        self.done[0].fetch_add(entries as u64, Ordering::Relaxed);
        self.is_set()
    }

    /// How many entries of trees were met.
    #[must_use]
    pub fn met(&self) -> u64 {
        self.done[0].load(Ordering::Relaxed)
    }

    /// Counts bytes of files that went into packages.
    pub fn moves(&self, bytes: usize) {
        self.done[1].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How many bytes of files went into packages.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.done[1].load(Ordering::Relaxed)
    }

    /// Fails once the flag is set.
    pub fn check(&self) -> Result<()> {
        if self.is_set() { Err(Error::interrupted()) } else { Ok(()) }
    }

    /// Whether somebody asked to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}

/// What writing may use of the machine. It changes no byte of an artifact.
#[derive(Debug, Clone)]
pub struct Means {
    /// Whether to go on.
    pub stop: Stop,
    /// How many threads may compress.
    pub threads: NonZeroU32,
    /// How much memory they may take together.
    pub memory: MemoryLimit,
}

/// A limit on the memory of a compressor, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// Fewer threads are used, but always one.
    Gentle(u64),
    /// It is an error when one thread takes more.
    Strict(u64),
}

impl Default for Means {
    /// As many threads as there are processors, and eight at most; as much memory as they take.
    fn default() -> Self {
        let most = NonZeroU32::new(8).unwrap_or(NonZeroU32::MIN);
        let processors = std::thread::available_parallelism().ok().and_then(|count| count.try_into().ok());
        Self {
            stop: Stop::default(),
            threads: processors.unwrap_or(NonZeroU32::MIN).min(most),
            memory: MemoryLimit::Gentle(u64::MAX),
        }
    }
}

/// What a family writes an artifact to.
pub trait Stream: Write + Seek {
    /// Moves what a scratch holds behind what was written; the scratch is empty then.
    fn append(&mut self, scratch: &mut Scratch) -> io::Result<()>;
}

/// What a family puts aside until it is needed: in memory while it is small, else in a temporary file. It vanishes when it is dropped.
#[derive(Debug)]
pub struct Scratch(SpooledTempFile);

impl Scratch {
    /// In a file of that folder, once it is larger than `most` bytes.
    fn new(folder: &Path, most: usize) -> Self {
        Self(tempfile::spooled_tempfile_in(most, folder))
    }

    /// What it holds, from the beginning; it is empty then.
    pub fn read(&mut self) -> io::Result<impl Read + use<>> {
        let mut file = self.take();
        file.rewind()?;
        Ok(file)
    }

    fn take(&mut self) -> SpooledTempFile {
        std::mem::replace(&mut self.0, SpooledTempFile::new(0))
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Where a family puts its artifacts.
pub trait Output {
    /// Writes one artifact by calling `fill` with an empty stream; if `fill` fails, nothing remains.
    ///
    /// A second artifact of the same name in this output is an error; a file of that name from an earlier run is replaced
    /// in one step.
    fn artifact(&mut self, name: &str, fill: &mut dyn FnMut(&mut dyn Stream) -> Result<()>) -> Result<()>;

    /// An empty scratch.
    fn scratch(&self) -> Result<Scratch>;

    /// What an artifact of that name holds that an earlier run wrote.
    fn earlier(&self, name: &str) -> Result<Option<Box<dyn Read>>>;

    /// The text of an artifact of that name with a signature around it, where artifacts are signed.
    fn signed(&self, name: &str, text: String) -> Result<String>;

    /// What writing may use.
    fn means(&self) -> &Means;
}

/// Signs with OpenPGP.
#[derive(Clone)]
pub struct Signer(pub Arc<dyn Sign>);

/// What a [`Signer`] can.
pub trait Sign: Send + Sync {
    /// The text of a file of this name with a signature around it (RFC 9580, section 7).
    fn clear(&self, file: &Path, text: &str) -> Result<String>;

    /// The signature of bytes, which are of a file of this name, as a packet (RFC 9580, 5.2).
    fn detached(&self, file: &Path, bytes: &mut (dyn Read + Send)) -> Result<Vec<u8>>;

    /// Whether packages are signed too of which nobody looks at a signature unless he was told to.
    fn signs_unusual(&self) -> bool;
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

/// An artifact that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its path: the folder as the user gave it, and the name.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
}

/// A folder on disk.
#[derive(Debug)]
pub struct Dir {
    path: PathBuf,
    means: Means,
    signer: Option<Signer>,
    written: Vec<Written>,
}

impl Dir {
    /// A folder, made with its parents when the first artifact is written. What killed runs left there is removed.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, means: Means) -> Self {
        let path = path.into();
        temporary::sweep(&path);
        Self { path, means, signer: None, written: Vec::new() }
    }

    /// Signs what can be signed.
    #[must_use]
    pub fn with_signer(self, signer: Option<Signer>) -> Self {
        Self { signer, ..self }
    }

    /// What was written so far, in order.
    #[must_use]
    pub fn written(&self) -> &[Written] {
        &self.written
    }

    fn ready(&self) -> Result<()> {
        fs::create_dir_all(&self.path).map_err(|error| {
            Error::io("cannot make the output folder", &self.path, error)
                .hint("choose another folder with `--output`")
        })
    }

    fn temporary(&self) -> Result<tempfile::NamedTempFile> {
        self.ready()?;
        temporary::file(&self.path).map_err(|error| {
            Error::io("cannot write to the output folder", &self.path, error)
                .hint("choose another folder with `--output`")
        })
    }
}

impl Output for Dir {
    fn artifact(&mut self, name: &str, fill: &mut dyn FnMut(&mut dyn Stream) -> Result<()>) -> Result<()> {
        let path = self.path.join(name);
        if self.written.iter().any(|written| written.path == path) {
            return Err(duplicate(name));
        }
        self.means.stop.check()?;
        let temporary = self.temporary()?;
        let mut stream = Checked {
            inner: BufWriter::with_capacity(BUFFER, temporary.as_file()),
            stop: &self.means.stop,
            path: &path,
        };
        fill(&mut stream)?;
        let cannot_write = |error| Error::io("cannot write", &path, error);
        stream.flush().map_err(cannot_write)?;
        drop(stream);
        // it is meant to be handed on
        temporary.as_file().set_permissions(fs::Permissions::from_mode(PUBLIC)).map_err(cannot_write)?;
        temporary.as_file().sync_all().map_err(cannot_write)?;
        self.means.stop.check()?;
        let file = temporary.persist(&path).map_err(|error| Error::io("cannot write", &path, error.error))?;
        sync_folder(&self.path);
        let size = file.metadata().map_err(cannot_write)?.len();
        self.written.push(Written { path, size });
        Ok(())
    }

    fn scratch(&self) -> Result<Scratch> {
        self.ready()?;
        Ok(Scratch::new(&self.path, BUFFER))
    }

    fn earlier(&self, name: &str) -> Result<Option<Box<dyn Read>>> {
        let path = self.path.join(name);
        match beneath::open_regular(&path) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("cannot read", path, error)),
        }
    }

    fn signed(&self, name: &str, text: String) -> Result<String> {
        match &self.signer {
            Some(signer) => signer.0.clear(&self.path.join(name), &text),
            None => Ok(text),
        }
    }

    fn means(&self) -> &Means {
        &self.means
    }
}

/// Writes a file that is not there yet, whole or not at all.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = beside(path, bytes, fs::Permissions::from_mode(PUBLIC))?;
    temporary.persist_noclobber(path).map_err(|error| Error::io("cannot write", path, error.error))?;
    sync_folder(folder_of(path));
    Ok(())
}

/// Writes a file, whether it is there or not, whole or not at all.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.exists() {
        return rewrite(path, bytes);
    }
    write_new(path, bytes)
}

/// Writes a file that is there anew, with its mode, whole or not at all.
pub fn rewrite(path: &Path, bytes: &[u8]) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|error| Error::io("cannot write", path, error))?;
    let temporary = beside(path, bytes, metadata.permissions())?;
    temporary.persist(path).map_err(|error| Error::io("cannot write", path, error.error))?;
    sync_folder(folder_of(path));
    Ok(())
}

/// The bytes on the disk, in a temporary file beside `path`.
fn beside(path: &Path, bytes: &[u8], mode: fs::Permissions) -> Result<tempfile::NamedTempFile> {
    let write = || -> io::Result<tempfile::NamedTempFile> {
        let mut temporary = temporary::file(folder_of(path))?;
        temporary.write_all(bytes)?;
        temporary.as_file().set_permissions(mode)?;
        temporary.as_file().sync_all()?;
        Ok(temporary)
    };
    write().map_err(|error| Error::io("cannot write", path, error))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The mode of a file that `cat > file` makes under umask 022.
const PUBLIC: u32 = 0o644;

/// Makes the rename durable; a file system that cannot is no reason to fail.
fn sync_folder(path: &Path) {
    if let Ok(folder) = File::open(path) {
        let _ignored = folder.sync_all();
    }
}

/// A file that collects small writes, and looks at the stop flag before each.
struct Checked<'a> {
    inner: BufWriter<&'a File>,
    stop: &'a Stop,
    path: &'a Path,
}

impl Checked<'_> {
    fn check(&self) -> io::Result<()> {
        if self.stop.is_set() {
            return Err(io::Error::other(format!("interrupted while writing {}", self.path.display())));
        }
        Ok(())
    }
}

impl Write for Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Seek for Checked<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

impl Stream for Checked<'_> {
    fn append(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        match scratch.take().into_inner() {
            SpooledData::InMemory(bytes) => self.write_all(bytes.get_ref()),
            SpooledData::OnDisk(mut file) => {
                file.rewind()?;
                self.inner.flush()?;
                // between two files the kernel copies; in pieces, to look at the stop flag
                let mut out: &File = self.inner.get_ref();
                loop {
                    self.check()?;
                    if io::copy(&mut (&mut file).take(PIECE), &mut out)? < PIECE {
                        return Ok(());
                    }
                }
            }
        }
    }
}

impl Stream for Cursor<Vec<u8>> {
    fn append(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        io::copy(&mut scratch.read()?, self).map(drop)
    }
}

#[cfg(any(test, feature = "internals"))]
/// Memory: for tests, and for programs that send artifacts elsewhere.
#[derive(Debug, Default)]
pub struct Memory {
    means: Means,
    files: BTreeMap<String, Vec<u8>>,
}

#[cfg(any(test, feature = "internals"))]
impl Memory {
    /// Empty.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The artifacts by name.
    #[must_use]
    pub fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }
}

#[cfg(any(test, feature = "internals"))]
impl Output for Memory {
    fn artifact(&mut self, name: &str, fill: &mut dyn FnMut(&mut dyn Stream) -> Result<()>) -> Result<()> {
        if self.files.contains_key(name) {
            return Err(duplicate(name));
        }
        let mut stream = Cursor::new(Vec::new());
        fill(&mut stream)?;
        self.files.insert(name.to_owned(), stream.into_inner());
        Ok(())
    }

    fn scratch(&self) -> Result<Scratch> {
        Ok(Scratch::new(Path::new(""), usize::MAX))
    }

    fn earlier(&self, _name: &str) -> Result<Option<Box<dyn Read>>> {
        Ok(None)
    }

    fn signed(&self, _name: &str, text: String) -> Result<String> {
        Ok(text)
    }

    fn means(&self) -> &Means {
        &self.means
    }
}

/// Fails when two of the names are the same; for telling before anything is written.
pub fn refuse_duplicates<'a>(names: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(duplicate(name));
        }
    }
    Ok(())
}

fn duplicate(name: &str) -> Error {
    Error::usage(format!("two artifacts would be named `{name}`"))
        .hint("give each its own folder: several `--target` go to OUT/TARGET/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_appears_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let mut dir = Dir::new(folder.path().join("a/b"), Means::default());
        let error = dir.artifact("x.deb", &mut |stream| {
            stream.write_all(b"half").unwrap();
            Err(Error::failed("no"))
        });
        assert!(error.is_err());
        assert_eq!(fs::read_dir(folder.path().join("a/b")).unwrap().count(), 0);
        dir.artifact("x.deb", &mut |stream| {
            stream.write_all(b"whole").unwrap();
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read(folder.path().join("a/b/x.deb")).unwrap(), b"whole");
        assert_eq!(dir.written()[0].size, 5);
        assert!(dir.artifact("x.deb", &mut |_| Ok(())).is_err(), "a name is written once");
    }

    #[test]
    fn a_stop_ends_the_writing_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let stop = Stop::default();
        let means = Means { stop: stop.clone(), ..Means::default() };
        let mut dir = Dir::new(folder.path(), means);
        let error = dir
            .artifact("x.deb", &mut |stream| {
                stop.flag().store(true, Ordering::Relaxed);
                stream.write_all(b"x").map_err(|error| Error::io("cannot write", "x", error))
            })
            .unwrap_err();
        assert_eq!(error.kind(), crate::base::error::Kind::Failed);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
