//! The sources that a package brings to `/usr/src`, in a folder of their own: of a planned package, or of a finished file.
//!
//! Written below a scratch folder as they will lie on a target, within limits; what a file says about itself is believed by nobody.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::temporary::TemporaryFolder;
use crate::format::{self, Contents};
use crate::input::source::{SourceFile, SourceKind};
use crate::input::unpack::{BYTES, ENTRIES};
use crate::output::Stop;
use crate::package::{Content, Entry, EntryKind, Package, Payload};

/// Where sources lie on a target, with slashes.
const SOURCES: &str = "/usr/src/";
/// What a folder of sources has.
const CONF: &str = "dkms.conf";

/// A folder of `/usr/src`.
#[derive(Debug)]
pub struct PackagedSource {
    pub name: String,
    /// Where it is on this machine.
    pub root: PathBuf,
    pub files: Vec<SourceFile>,
    _scratch: Arc<TemporaryFolder>,
}

/// The sources of a planned package; nothing where it brings none.
pub fn planned<'a>(package: &'a Package, scratch: &Path, stop: &Stop) -> Result<Option<PackagedSource>> {
    let (folder, entries): (&'a str, Vec<(&'a str, &'a Entry)>) = match &package.payload {
        Payload::Source(source) => {
            (&source.folder, source.upstream.iter().map(|entry| (entry.path.as_str(), entry)).collect())
        }
        Payload::Install(entries) => {
            let folder = |entry: &'_ Entry| {
                let (folder, rest) = entry.path.strip_prefix(&SOURCES[1..])?.split_once('/')?;
                (rest == CONF).then_some(folder.len())
            };
            let conf = entries.iter().find_map(|entry| Some((&entry.path, folder(entry)?)));
            let Some((conf, length)) = conf else { return Ok(None) };
            let at = SOURCES.len() - 1;
            let prefix = &conf[..=at + length];
            let inside = |entry: &'a Entry| Some((entry.path.strip_prefix(prefix)?, entry));
            (&conf[at..at + length], entries.iter().filter_map(inside).collect())
        }
    };
    let mut target = Target::new(scratch)?;
    for (path, entry) in entries {
        stop.check()?;
        let path = format!("{folder}/{path}");
        match &entry.kind {
            EntryKind::Directory => target.folder(&path)?,
            EntryKind::Symlink { target: link } => target.link(&path, link)?,
            EntryKind::File { content, executable } => {
                let place = target.place(&path)?;
                match content {
                    Content::Text(text) => fs::write(&place, text),
                    Content::Bytes(bytes) => fs::write(&place, bytes),
                    Content::Disk { path, .. } => fs::copy(path, &place).map(drop),
                    Content::Packaged { .. } => Err(io::Error::other("it is in another package")),
                }
                .map_err(|error| Error::io("cannot copy the source to", &place, error))?;
                target.mark(&path, &place, *executable)?;
            }
        }
    }
    Ok(target.sources().into_iter().next())
}

/// The folders of sources in a finished package that have a dkms.conf, and its family; nothing when the file is no package.
pub fn unpacked(
    path: &Path,
    scratch: &Path,
    stop: &Stop,
) -> Result<Option<(&'static str, Vec<PackagedSource>)>> {
    let mut contents = Unpacked { target: Target::new(scratch)?, bytes: 0, stop };
    let Some(found) = format::open(path, &mut contents)? else { return Ok(None) };
    let mut target = contents.target;
    if found.files.len() as u64 > ENTRIES {
        return Err(Error::usage("has too many files:").at(path));
    }
    // links come last, so that nothing is written through one
    let below = |path: &str| path.strip_prefix(SOURCES).map(str::to_owned);
    for file in &found.files {
        let Some(inside) = below(&file.path) else { continue };
        match file.target() {
            Some(_) => {}
            None if file.is_folder() => target.folder(&inside)?,
            None => {
                let place = target.folder.path().join(&inside);
                if place.is_file() {
                    target.mark(&inside, &place, file.mode & 0o111 != 0)?;
                }
            }
        }
    }
    for file in &found.files {
        if let (Some(inside), Some(link)) = (below(&file.path), file.target()) {
            target.link(&inside, link)?;
        }
    }
    let family = format::for_format(found.format).map_or(found.format, |family| family.name());
    Ok(Some((family, target.sources())))
}

/// Where sources are written.
struct Target {
    folder: TemporaryFolder,
    /// By path below the folder.
    files: BTreeMap<String, SourceKind>,
}

impl Target {
    fn new(scratch: &Path) -> Result<Self> {
        let folder = TemporaryFolder::new(scratch)
            .map_err(|error| Error::io("cannot make a folder in", scratch, error))?;
        Ok(Self { folder, files: BTreeMap::new() })
    }

    /// The place of a path, with the folders above it.
    fn place(&self, path: &str) -> Result<PathBuf> {
        let is_plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || path.is_empty() {
            return Err(Error::usage(format!("`{}` is no path below {SOURCES}", path.escape_debug())));
        }
        let place = self.folder.path().join(path);
        let above = place.parent().unwrap_or(self.folder.path());
        fs::create_dir_all(above).map_err(|error| Error::io("cannot write", above, error))?;
        Ok(place)
    }

    fn folder(&mut self, path: &str) -> Result<()> {
        let place = self.place(path)?;
        fs::create_dir_all(&place).map_err(|error| Error::io("cannot write", &place, error))?;
        self.files.insert(path.to_owned(), SourceKind::Directory);
        Ok(())
    }

    fn link(&mut self, path: &str, target: &str) -> Result<()> {
        let place = self.place(path)?;
        symlink(target, &place).map_err(|error| Error::io("cannot write", &place, error))?;
        self.files.insert(path.to_owned(), SourceKind::Symlink { target: target.to_owned() });
        Ok(())
    }

    /// A file that was written.
    fn mark(&mut self, path: &str, place: &Path, executable: bool) -> Result<()> {
        let failed = |error| Error::io("cannot write", place, error);
        let mode = if executable { 0o755 } else { 0o644 };
        fs::set_permissions(place, Permissions::from_mode(mode)).map_err(failed)?;
        let size = fs::metadata(place).map_err(failed)?.len();
        self.files.insert(path.to_owned(), SourceKind::File { on_disk: place.into(), size, executable });
        Ok(())
    }

    fn sources(self) -> Vec<PackagedSource> {
        let mut names: Vec<String> = Vec::new();
        for path in self.files.keys() {
            if let Some((name, CONF)) = path.split_once('/') {
                names.push(name.to_owned());
            }
        }
        let scratch = Arc::new(self.folder);
        let source = |name: String| {
            let prefix = format!("{name}/");
            let files = self.files.iter().filter_map(|(path, kind)| {
                Some(SourceFile { path: path.strip_prefix(&prefix)?.to_owned(), kind: kind.clone() })
            });
            let files = files.collect();
            PackagedSource { root: scratch.path().join(&name), name, files, _scratch: scratch.clone() }
        };
        names.into_iter().map(source).collect()
    }
}

/// Writes the files of a package below `/usr/src`.
struct Unpacked<'a> {
    target: Target,
    bytes: u64,
    stop: &'a Stop,
}

impl Contents for Unpacked<'_> {
    fn wants(&self, path: &str) -> bool {
        path.starts_with(SOURCES)
    }

    fn take(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()> {
        if self.stop.is_set() {
            return Err(io::Error::other("interrupted"));
        }
        let place =
            self.target.place(&path[SOURCES.len()..]).map_err(|error| io::Error::other(error.to_string()))?;
        let left = BYTES - self.bytes;
        let mut file = File::options().write(true).create_new(true).open(place)?;
        let count = io::copy(&mut content.take(left + 1), &mut file)?;
        if count > left {
            return Err(io::Error::other(format!("more than {BYTES} bytes of sources")));
        }
        self.bytes += count;
        Ok(())
    }

    fn same(&mut self, path: &str, as_path: &str) -> io::Result<()> {
        let place = |path: &str| {
            let inside = path.strip_prefix(SOURCES).ok_or_else(|| io::Error::other("is no source"))?;
            self.target.place(inside).map_err(|error| io::Error::other(error.to_string()))
        };
        let (from, to) = (place(as_path)?, place(path)?);
        self.bytes += fs::metadata(&from)?.len();
        if self.bytes > BYTES {
            return Err(io::Error::other(format!("more than {BYTES} bytes of sources")));
        }
        fs::copy(from, to).map(drop)
    }
}
