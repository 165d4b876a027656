//! What was written before, written again: with which compression, and a tar with other contents for some of its members.
//!
//! Must not change what it is not asked to; a stream that cannot be written again as it was is an error.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::{Compressor, TarEntry, decompressed, read_tar, rounded, set_sum, tar_padding, zeros};
use crate::base::error::{Error, Result};
use crate::output::Means;
use crate::package::{Codec, Compression};

/// A stretch of a file; each copy of it reads from its own place.
#[derive(Debug, Clone)]
pub struct Stretch {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Stretch {
    /// So many bytes from a place on.
    #[must_use]
    pub fn new(file: &Arc<File>, at: u64, length: u64) -> Self {
        Self { file: Arc::clone(file), at, end: at.saturating_add(length) }
    }

    /// From a place to the end of the file.
    pub fn rest(file: &Arc<File>, at: u64) -> io::Result<Self> {
        Ok(Self { file: Arc::clone(file), at, end: file.metadata()?.len() })
    }

    /// How many bytes are left.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.end - self.at
    }
}

impl Read for Stretch {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// With what a stream was compressed, where it is to be compressed again. The level stands nowhere in it: it is the one that gives the same
/// bytes, the codec's usual one first, and that one too where none does, as with other programs' streams.
pub fn compression_of(stream: &Stretch, means: &Means) -> Result<Compression> {
    let codec = stream_codec(stream).map_err(unreadable)?;
    let length = io::copy(&mut decompressed(stream.clone()).map_err(unreadable)?, &mut io::sink());
    let length = length.map_err(unreadable)?;
    let usual = codec.default_level();
    for level in std::iter::once(usual).chain(codec.levels().rev().filter(|level| *level != usual)) {
        let compression = Compression { codec, level };
        if gives(compression, stream, length, means)? {
            return Ok(compression);
        }
    }
    Ok(Compression { codec, level: usual })
}

/// Which codec a stream was compressed with.
pub fn stream_codec(stream: &Stretch) -> io::Result<Codec> {
    let mut start = Vec::new();
    stream.clone().take(super::XZ.len() as u64).read_to_end(&mut start)?;
    Ok(super::codec_of(&start))
}

fn unreadable(error: io::Error) -> Error {
    Error::io("cannot read", "the package", error).as_usage()
}

fn unwritable(error: io::Error) -> Error {
    Error::io("cannot write", "the package", error)
}

/// Whether a stream, unpacked and compressed so, is the same again.
fn gives(compression: Compression, stream: &Stretch, length: u64, means: &Means) -> Result<bool> {
    let same = Same::new(io::BufReader::new(stream.clone()));
    let mut again = Compressor::new(same, compression, length, means)?;
    let copied = decompressed(stream.clone()).and_then(|mut reader| io::copy(&mut reader, &mut again));
    match copied.and_then(|_| again.finish()?.end()) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(false),
        end => end.map(|()| true).map_err(unreadable),
    }
}

/// A writer that fails at the first byte that is another one than expected.
pub struct Same<R> {
    expected: R,
}

impl<R: Read> Same<R> {
    /// Expects what a reader gives.
    pub fn new(expected: R) -> Self {
        Self { expected }
    }

    /// Fails when more was expected.
    pub fn end(mut self) -> io::Result<()> {
        if self.expected.read(&mut [0])? == 0 { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

impl<R: Read> Write for Same<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut expected = [0; 8192];
        let count = bytes.len().min(expected.len());
        let expected = &mut expected[..count];
        let is_same = self.expected.read_exact(expected).is_ok() && *expected == bytes[..count];
        if is_same { Ok(count) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Other contents for members of a tar.
pub trait Substitutes {
    /// How many bytes a member shall have; nothing where it stays as it is.
    fn size(&self, entry: &TarEntry) -> Option<u64>;

    /// Writes them.
    fn write(&mut self, entry: &TarEntry, out: &mut dyn Write) -> Result<()>;
}

/// No other contents at all.
struct Unchanged;

impl Substitutes for Unchanged {
    fn size(&self, _: &TarEntry) -> Option<u64> {
        None
    }

    fn write(&mut self, _: &TarEntry, _: &mut dyn Write) -> Result<()> {
        Ok(())
    }
}

/// Writes a compressed tar again, with other contents: headers, order and what stands behind its end stay. Fails before a byte is written
/// where it could not be written as it is, such as one with bytes where there is nothing to say.
pub fn exchange_tar<W: Write>(
    stored: &Stretch,
    compression: Compression,
    most: usize,
    contents: &mut dyn Substitutes,
    out: W,
    means: &Means,
) -> Result<W> {
    let tar = || decompressed(stored.clone()).map_err(unreadable);
    let mut same = Same::new(tar()?);
    copy_tar(tar()?, most, &mut Unchanged, &mut same)
        .and_then(|_| same.end().map_err(unreadable))
        .map_err(|_| Error::usage("its tar cannot be written again as it is"))?;
    let length = copy_tar(tar()?, most, &mut Sizes(contents), &mut io::sink())?;
    let mut out = Compressor::new(out, compression, length, means)?;
    copy_tar(tar()?, most, contents, &mut out)?;
    out.finish().map_err(unwritable)
}

/// The sizes of other contents, without these.
struct Sizes<'a>(&'a dyn Substitutes);

impl Substitutes for Sizes<'_> {
    fn size(&self, entry: &TarEntry) -> Option<u64> {
        self.0.size(entry)
    }

    fn write(&mut self, entry: &TarEntry, out: &mut dyn Write) -> Result<()> {
        let size = self.0.size(entry).unwrap_or(entry.size);
        zeros(out, size).map_err(unwritable)
    }
}

/// Copies a tar; how many bytes it has then.
fn copy_tar(
    reader: impl Read,
    most: usize,
    contents: &mut dyn Substitutes,
    out: &mut dyn Write,
) -> Result<u64> {
    let mut counted = Counted { reader, count: 0 };
    // what was read of entries, and what was written of them
    let (mut old, mut new) = (0, 0);
    let mut failed = None;
    let read = read_tar(&mut counted, most, &mut |entry, content| {
        let size = contents.size(&entry).filter(|_| entry.is_file);
        let mut headers = entry.headers.clone();
        if let Some(size) = size.filter(|size| *size != entry.size) {
            set_size(&mut headers, size);
        }
        out.write_all(&headers)?;
        if let Some(size) = size {
            if let Err(error) = contents.write(&entry, out) {
                failed = Some(error);
                return Err(io::ErrorKind::Other.into());
            }
            tar_padding(out, size)?;
        } else {
            let size = io::copy(content, out)?;
            tar_padding(out, size)?;
        }
        old += headers.len() as u64 + rounded(entry.size);
        new += headers.len() as u64 + rounded(size.unwrap_or(entry.size));
        Ok(())
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let copied = read.and_then(|()| {
        io::copy(&mut counted, &mut io::sink())?;
        let end = counted.count.saturating_sub(old);
        zeros(out, end)?;
        Ok(new + end)
    });
    copied.map_err(unwritable)
}

/// Puts another size into a member's own header, the last of its headers.
fn set_size(headers: &mut [u8], size: u64) {
    let Some(block) = headers.last_chunk_mut::<512>() else { return };
    let mut header = tar::Header::from_byte_slice(block).clone();
    header.set_size(size);
    set_sum(&mut header);
    block.copy_from_slice(header.as_bytes());
}

/// A reader that counts.
struct Counted<R> {
    reader: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}
