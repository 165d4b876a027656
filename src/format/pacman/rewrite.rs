//! A finished package of pacman written again with other contents: its tar, and what `.PKGINFO` and `.MTREE` say of the contents.
//!
//! Must not change anything else: order, headers and compression stay.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::super::{ENTRIES, Exchange, TEXT, with_lines};
use super::read::{MTREE as MOST, unquoted};
use super::write::{Digests, Hashers, MTREE};
use crate::archive::{self, Reader, Stretch, TarEntry};
use crate::base::beneath::open_regular;
use crate::base::error::{Error, Result};
use crate::output::{Means, Output};
use crate::package::Content;

const INFO: &str = ".PKGINFO";
const INSTALL: &str = ".INSTALL";

pub(super) fn rewrite(path: &Path, exchange: &Exchange, out: &mut dyn Output) -> Result<()> {
    let unreadable = |error| Error::io("cannot read the package", path, error).as_usage();
    let file = Arc::new(open_regular(path).map_err(unreadable)?);
    let stored = Stretch::rest(&file, 0).map_err(unreadable)?;
    let means = out.means().clone();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut others = Others { members: BTreeMap::new(), reader: Reader::new(&means) };
    others.prepare(stored.clone(), exchange, &means).map_err(|error| error.at(path))?;
    let compression = archive::compression_of(&stored, &means)?;
    out.artifact(&name, &mut |stream| {
        archive::exchange_tar(&stored, compression, ENTRIES, &mut others, stream, &means).map(drop)
    })
}

/// Other contents of members, by name, with their digests, which stand before them.
struct Others<'a> {
    members: BTreeMap<String, (Held, Digests)>,
    reader: Reader<'a>,
}

/// What a member is to hold.
enum Held {
    Content(Content),
    Bytes(Vec<u8>),
}

impl Held {
    fn size(&self) -> u64 {
        match self {
            Self::Content(content) => content.size(),
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Writes it; its digests.
    fn copied(&self, reader: &mut Reader<'_>, out: &mut dyn Write) -> Result<Digests> {
        let failed = |error| Error::io("cannot write", "the package", error);
        let mut seen = Hashers::default();
        match self {
            Self::Content(content) => reader.copy(content, out, &mut seen, &failed)?,
            Self::Bytes(bytes) => {
                archive::Tap::see(&mut seen, bytes);
                out.write_all(bytes).map_err(failed)?;
            }
        }
        Ok(seen.finish())
    }
}

impl Others<'_> {
    /// Takes what is exchanged, and what the package says of it.
    fn prepare(&mut self, stored: Stretch, exchange: &Exchange, means: &Means) -> Result<()> {
        let unreadable = |error| Error::io("cannot read", "the package", error).as_usage();
        let (mut info, mut list, mut grown) = (Vec::new(), Vec::new(), 0);
        archive::read_tar(
            archive::decompressed(stored).map_err(unreadable)?,
            ENTRIES,
            &mut |entry, content| {
                match entry.name.as_str() {
                    INFO => drop(content.take(TEXT).read_to_end(&mut info)?),
                    MTREE => drop(content.take(MOST).read_to_end(&mut list)?),
                    _ => {
                        if let Some(content) = exchange.files.get(&entry.path()) {
                            let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
                            grown += size(content.size()) - size(entry.size);
                        }
                    }
                }
                Ok(())
            },
        )
        .map_err(unreadable)?;
        for (path, content) in &exchange.files {
            self.hold(&path[1..], Held::Content(content.clone()))?;
        }
        if let Some(text) = exchange.scripts.get(INSTALL) {
            self.hold(INSTALL, Held::Bytes(text.clone().into_bytes()))?;
        }
        self.hold(INFO, Held::Bytes(with_size(&info, grown)))?;
        means.stop.check()?;
        let mut text = Vec::new();
        archive::decompressed(list.as_slice())
            .and_then(|list| list.take(MOST).read_to_end(&mut text))
            .map_err(unreadable)?;
        let new = self.listed(&text);
        if new != text {
            self.hold(MTREE, Held::Bytes(archive::gzip(&new)))?;
        }
        Ok(())
    }

    fn hold(&mut self, name: &str, held: Held) -> Result<()> {
        let digests = held.copied(&mut self.reader, &mut io::sink())?;
        self.members.insert(name.to_owned(), (held, digests));
        Ok(())
    }

    /// The list with other sizes and digests, mtree(5).
    fn listed(&self, list: &[u8]) -> Vec<u8> {
        with_lines(list, |line| {
            let path = unquoted(line.split(' ').next()?.strip_prefix("./")?);
            let (held, Digests { md5, sha256 }) = self.members.get(&path)?;
            let word = |word: &str| match word.split_once('=') {
                Some(("size", _)) => format!("size={}", held.size()),
                Some(("md5digest", _)) => format!("md5digest={md5}"),
                Some(("sha256digest", _)) => format!("sha256digest={sha256}"),
                _ => word.to_owned(),
            };
            Some(line.split(' ').map(word).collect::<Vec<_>>().join(" "))
        })
    }

    fn of(&self, entry: &TarEntry) -> Option<&(Held, Digests)> {
        self.members.get(&entry.path()[1..])
    }
}

impl archive::Substitutes for Others<'_> {
    fn size(&self, entry: &TarEntry) -> Option<u64> {
        Some(self.of(entry)?.0.size())
    }

    fn write(&mut self, entry: &TarEntry, out: &mut dyn Write) -> Result<()> {
        let Some((held, stated)) = self.members.get(&entry.path()[1..]) else { return Ok(()) };
        if held.copied(&mut self.reader, out)? != *stated {
            return Err(Error::failed("changed while it was read:").at(&entry.name));
        }
        Ok(())
    }
}

/// The same description with another size of all files.
fn with_size(info: &[u8], grown: i64) -> Vec<u8> {
    with_lines(info, |line| {
        let size = line.strip_prefix("size = ").filter(|_| grown != 0)?.trim().parse::<i64>().ok()?;
        Some(format!("size = {}", (size + grown).max(0)))
    })
}
