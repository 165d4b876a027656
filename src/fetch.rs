//! Files from mirrors, by HTTP or from a folder, kept under what they are.
//!
//! Only a digest is trusted: who names a file says its SHA-256, and nothing else gets a place among what is kept. What was cut off goes on
//! where it stopped, also in another run. What a file means is for others.

#[cfg(feature = "fetch")]
mod forward;
#[cfg(feature = "fetch")]
mod http;
#[cfg(not(feature = "fetch"))]
#[path = "fetch/none.rs"]
mod http;
#[cfg(feature = "fetch")]
mod names;
pub mod proxies;

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use self::proxies::Proxies;

use crate::base::beneath;
use crate::base::error::{Error, Result};
use crate::base::temporary;
use crate::output::Stop;

/// How much is read at a time.
const CHUNK: usize = 128 * 1024;
/// How often the same is tried while nothing comes.
const TRIES: u32 = 3;
/// How often a file is gone on with.
const PIECES: u32 = 100;
/// How long the first wait is; each further one takes twice as long.
const WAIT: Duration = Duration::from_millis(500);
/// The longest wait that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A file that is known before it is here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// In hexadecimal digits.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
}

/// How far it is, for who shows it.
#[derive(Debug, Clone, Default)]
pub struct Downloads {
    bytes: Arc<AtomicU64>,
    total: Arc<AtomicU64>,
    name: Arc<Mutex<String>>,
}

impl Downloads {
    /// Bytes that came, and those that are expected in all.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }

    /// The file that comes.
    #[must_use]
    pub fn name(&self) -> String {
        self.name.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// So many bytes are going to come.
    pub fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    fn begin(&self, url: &str) {
        url.rsplit('/')
            .next()
            .unwrap_or(url)
            .clone_into(&mut self.name.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Who brings files.
pub struct Fetcher {
    cache: PathBuf,
    is_offline: bool,
    client: http::Client,
    stop: Stop,
    pub downloads: Downloads,
}

/// What a server says, and what it gives.
struct Answer {
    status: u16,
    etag: Option<String>,
    /// The byte that the content begins with.
    begin: u64,
    body: Box<dyn Read>,
}

/// Why there is no answer.
enum Trouble {
    /// It may be better the next time, after a wait that the server asks for.
    Passing {
        why: String,
        wait: Option<Duration>,
    },
    Lasting(Error),
}

/// What a server gives out.
enum Fresh {
    /// Nothing new since.
    Same,
    Bytes {
        bytes: Vec<u8>,
        etag: Option<String>,
    },
    /// It has no such file.
    Missing,
}

impl Trouble {
    fn passing(why: impl Into<String>) -> Self {
        Self::Passing { why: why.into(), wait: None }
    }
}

impl Fetcher {
    /// What is kept lies in the folder `cache`, which need not be there yet. Offline nothing else is looked at.
    pub fn new(cache: &Path, is_offline: bool, proxies: Proxies, stop: &Stop) -> Self {
        let client = http::Client::new(proxies, stop);
        let downloads = Downloads::default();
        Self { cache: cache.to_owned(), is_offline, client, stop: stop.clone(), downloads }
    }

    /// A file by what it is, at the place where it is kept; of a folder, in that folder.
    pub fn file(&self, url: &str, known: &Known) -> Result<PathBuf> {
        if let Some(path) = local(url) {
            let found = match digest(path, &self.stop) {
                Ok(found) => found,
                Err(error) => return Err(Error::io("cannot read", path, error)),
            };
            return if found == *known { Ok(path.to_owned()) } else { Err(other(url, known, &found)) };
        }
        let place = self.place(known);
        if self.is_kept(known)? {
            return Ok(place);
        }
        if self.is_offline {
            return Err(Error::lacking("is not here, and nothing is fetched offline:")
                .at(url)
                .hint("run it once without `--offline`"));
        }
        self.bring(url, known, &place)?;
        Ok(place)
    }

    /// Whether a file is kept, and still what it was.
    pub fn is_kept(&self, known: &Known) -> Result<bool> {
        let place = self.place(known);
        match digest(&place, &self.stop) {
            Ok(found) if found == *known => Ok(true),
            // damaged: it comes anew
            Ok(_) => fs::remove_file(&place)
                .map(|()| false)
                .map_err(|error| Error::io("cannot remove from the cache", place, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("cannot read the cache", place, error)),
        }
    }

    /// A file that changes, of at most `limit` bytes; nothing where the mirror has none. Offline as it was the last time.
    pub fn current(&self, url: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        if let Some(path) = local(url) {
            let read = beneath::open_regular(path).and_then(|file| bounded(file, limit));
            return match read {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Error::io("cannot read", path, error)),
            };
        }
        let folder = self.cache.join("index");
        let place = folder.join(format!("{:x}", Sha256::digest(url)));
        let mark = place.with_extension("etag");
        let kept = fs::read(&place).ok();
        if self.is_offline {
            return kept.map(Some).ok_or_else(|| {
                Error::lacking("was never fetched, and is not offline:")
                    .at(url)
                    .hint("run it once without `--offline`")
            });
        }
        let etag = kept.as_ref().and_then(|_| fs::read_to_string(&mark).ok());
        match self.fresh(url, etag.as_deref(), limit)? {
            Fresh::Same => Ok(kept),
            Fresh::Missing => Ok(None),
            Fresh::Bytes { bytes, etag } => {
                let write = || {
                    fs::create_dir_all(&folder)?;
                    // a mark is never of an older file than the one beside it
                    let _none = fs::remove_file(&mark);
                    temporary::place(&place, &bytes)?;
                    etag.map_or(Ok(()), |etag| temporary::place(&mark, etag.as_bytes()))
                };
                write().map_err(|error| Error::io("cannot write to the cache", &folder, error))?;
                Ok(Some(bytes))
            }
        }
    }

    /// Keeps bytes by what they are.
    pub fn keep(&self, bytes: &[u8]) -> Result<Known> {
        let known = Known { sha256: format!("{:x}", Sha256::digest(bytes)), size: bytes.len() as u64 };
        let place = self.place(&known);
        let write = || {
            fs::create_dir_all(place.parent().unwrap_or(&place))?;
            temporary::place(&place, bytes)
        };
        write().map_err(|error| Error::io("cannot write to the cache", &place, error))?;
        Ok(known)
    }

    /// Where a file is kept.
    #[must_use]
    pub fn place(&self, known: &Known) -> PathBuf {
        self.cache.join("sha256").join(&known.sha256)
    }

    /// A changing file from its server.
    fn fresh(&self, url: &str, etag: Option<&str>, limit: u64) -> Result<Fresh> {
        self.downloads.begin(url);
        let mut tries = 0;
        loop {
            let trouble = match self.client.get(url, 0, etag) {
                Ok(answer) => match answer.status {
                    304 => return Ok(Fresh::Same),
                    404 | 410 => return Ok(Fresh::Missing),
                    _ => {
                        let etag = answer.etag.clone();
                        match self.counted(answer.body, limit) {
                            Ok(bytes) => return Ok(Fresh::Bytes { bytes, etag }),
                            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                                return Err(too_large(url, limit));
                            }
                            Err(error) => Trouble::passing(reason(&error)),
                        }
                    }
                },
                Err(trouble) => trouble,
            };
            self.bear(url, trouble, &mut tries, None)?;
        }
    }

    fn counted(&self, mut body: impl Read, limit: u64) -> io::Result<Vec<u8>> {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; CHUNK]);
        loop {
            let count = body.read(&mut buffer)?;
            if count == 0 {
                return Ok(bytes);
            }
            self.downloads.bytes.fetch_add(count as u64, Ordering::Relaxed);
            if bytes.len() as u64 + count as u64 > limit {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            bytes.extend_from_slice(&buffer[..count]);
        }
    }

    /// A file, piece by piece, to its place.
    fn bring(&self, url: &str, known: &Known, place: &Path) -> Result<()> {
        self.downloads.begin(url);
        let unwritable = |error| Error::io("cannot write to the cache", place, error);
        let part = place.with_extension("part");
        fs::create_dir_all(part.parent().unwrap_or(place)).map_err(unwritable)?;
        let options = || File::options().read(true).append(true).create(true).open(&part);
        let mut file = options().map_err(unwritable)?;
        // of several runs one fetches; the others find what it brought
        flock(&file, FlockOperation::LockExclusive).map_err(|error| unwritable(error.into()))?;
        if self.is_kept(known)? {
            return Ok(());
        }
        // whoever was first took the name away
        if !part.exists() {
            file = options().map_err(unwritable)?;
        }
        let (mut tries, mut pieces, mut is_whole) = (0, 0, file.metadata().map_err(unwritable)?.len() == 0);
        loop {
            let begin = file.metadata().map_err(unwritable)?.len();
            if begin < known.size || begin == 0 {
                pieces += 1;
                if let Err(trouble) = self.piece(url, known, begin, &mut file) {
                    let now = file.metadata().map_err(unwritable)?.len();
                    let is_further = now > begin && pieces < PIECES;
                    if is_further {
                        tries = 0;
                    }
                    self.bear(url, trouble, &mut tries, Some(known))?;
                    continue;
                }
            }
            let found = digest_of(&mut file, &self.stop).map_err(unwritable)?;
            if found == *known {
                file.sync_all().map_err(unwritable)?;
                return fs::rename(&part, place).map_err(unwritable);
            }
            file.set_len(0).map_err(unwritable)?;
            if is_whole {
                let _removed = fs::remove_file(&part);
                return Err(other(url, known, &found));
            }
            // what lay there was of something else
            is_whole = true;
        }
    }

    /// What is missing of a file, as far as it comes.
    fn piece(&self, url: &str, known: &Known, begin: u64, file: &mut File) -> Result<(), Trouble> {
        let mut answer = self.client.get(url, begin, None)?;
        let lasting = |error| Trouble::Lasting(Error::io("cannot write to the cache", &self.cache, error));
        let mut at = begin;
        match answer.status {
            206 if answer.begin == begin => {}
            404 | 410 => {
                let error = Error::failed("the mirror has no longer").at(url);
                return Err(Trouble::Lasting(error.hint(
                    "`kpkg kernels update` reads what it has now; `--mirror TARGET=URL` names one that keeps old files",
                )));
            }
            // it gives the whole
            200 => {
                file.set_len(0).map_err(lasting)?;
                at = 0;
            }
            // it would not go on: the next try begins anew
            _ => {
                file.set_len(0).map_err(lasting)?;
                return Err(Trouble::passing(format!("status {}", answer.status)));
            }
        }
        let mut buffer = vec![0; CHUNK];
        loop {
            self.stop.check().map_err(Trouble::Lasting)?;
            match answer.body.read(&mut buffer) {
                Ok(0) if at < known.size => {
                    return Err(Trouble::passing(format!("it ended after {at} of {} bytes", known.size)));
                }
                Ok(0) => return Ok(()),
                Ok(count) => {
                    at += count as u64;
                    if at > known.size {
                        file.set_len(0).map_err(lasting)?;
                        return Err(Trouble::Lasting(too_large(url, known.size)));
                    }
                    self.downloads.bytes.fetch_add(count as u64, Ordering::Relaxed);
                    file.write_all(&buffer[..count]).map_err(lasting)?;
                }
                Err(error) => return Err(Trouble::passing(reason(&error))),
            }
        }
    }

    /// Waits after trouble that may pass; an error after too much of it.
    fn bear(&self, url: &str, trouble: Trouble, tries: &mut u32, known: Option<&Known>) -> Result<()> {
        self.stop.check()?;
        let (why, asked) = match trouble {
            Trouble::Lasting(error) => return Err(error),
            Trouble::Passing { why, wait } => (why, wait),
        };
        *tries += 1;
        if *tries >= TRIES {
            let rest = known.map_or("", |_| "; what came is kept, and the next run goes on there");
            return Err(Error::failed(format!("cannot be fetched: {why}{rest}:")).at(url).hint(
                "is the mirror there? HTTPS_PROXY, HTTP_PROXY and NO_PROXY say which way it is reached",
            ));
        }
        let mut left = asked.unwrap_or(WAIT * 2u32.pow(*tries - 1)).min(LONGEST_WAIT);
        while !left.is_zero() {
            self.stop.check()?;
            let step = left.min(Duration::from_millis(100));
            std::thread::sleep(step);
            left -= step;
        }
        Ok(())
    }
}

/// The path of a file that lies on this machine.
#[must_use]
pub fn local(url: &str) -> Option<&Path> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return None;
    }
    let path = url.strip_prefix("file:").unwrap_or(url);
    Some(Path::new(path.strip_prefix("//").unwrap_or(path)))
}

/// The address of a file below a mirror's.
#[must_use]
pub fn below(root: &str, path: &str) -> String {
    let joined = format!("{}/{path}", root.trim_end_matches('/'));
    if local(root).is_some() {
        return joined;
    }
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:@!$&'()*+,;=%".contains(&byte) || byte >= 0x80;
    joined.bytes().fold(String::new(), |mut url, byte| {
        if is_plain(byte) && byte.is_ascii() {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
        url
    })
}

/// Whether a path that a mirror names lies below it.
#[must_use]
pub fn is_below(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(|c: char| c.is_control() || c == '\\')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.contains("//")
        && !path.split('/').next().unwrap_or_default().contains(':')
}

/// What a file on this machine is.
pub fn known(path: &Path, stop: &Stop) -> Result<Known> {
    digest(path, stop).map_err(|error| Error::io("cannot read", path, error).as_usage())
}

fn digest(path: &Path, stop: &Stop) -> io::Result<Known> {
    digest_of(&mut beneath::open_regular(path)?, stop)
}

fn digest_of(file: &mut File, stop: &Stop) -> io::Result<Known> {
    file.seek(SeekFrom::Start(0))?;
    let (mut sha256, mut size, mut buffer) = (Sha256::new(), 0, vec![0; CHUNK]);
    loop {
        if stop.is_set() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        match file.read(&mut buffer)? {
            0 => return Ok(Known { sha256: format!("{:x}", sha256.finalize()), size }),
            count => {
                size += count as u64;
                sha256.update(&buffer[..count]);
            }
        }
    }
}

fn bounded(source: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

fn too_large(url: &str, limit: u64) -> Error {
    Error::failed(format!("is larger than the {limit} bytes that it may have:"))
        .at(url)
        .hint("the mirror changes, or gives something else: try again, or name another one")
}

fn other(url: &str, known: &Known, found: &Known) -> Error {
    let text = if known.size == found.size {
        format!("has the SHA-256 {}, and {} is expected:", found.sha256, known.sha256)
    } else {
        format!("has {} bytes, and {} are expected:", found.size, known.size)
    };
    Error::failed(text)
        .at(url)
        .hint("the mirror changes, or gives something else: try again, or name another one")
}

/// A reason in the style of our messages.
fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::TimedOut {
        return "it gave nothing for too long".to_owned();
    }
    error.to_string().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_mirror_lie_below_it() {
        for path in
            ["pool/a_1.deb", "a+b~1.rpm", "x/../y", "/etc/passwd", "", "a//b", "http://x/y", "a\nb", "./a"]
        {
            assert_eq!(is_below(path), ["pool/a_1.deb", "a+b~1.rpm"].contains(&path), "{path}");
        }
        assert_eq!(below("http://m/x/", "a b+c"), "http://m/x/a%20b+c");
        assert_eq!(below("file:/srv/m", "a b"), "file:/srv/m/a b");
        assert_eq!(local("file:///srv"), Some(Path::new("/srv")));
        assert_eq!(local("file:rel/x"), Some(Path::new("rel/x")));
        assert_eq!(local("https://x"), None);
    }
}
