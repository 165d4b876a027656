//! The payload: files in rpm's cpio formats, and their digests on the way.
//!
//! Must not hold a file in memory.

use std::io::{self, Write};

use digest::Digest;
use sha2::Sha256;

use super::write::{Digests, FileDigest, entries, hexadecimal};
use crate::archive::{self, Blind, Compressor, Sha256s, Tapped};
use crate::base::error::{Error, Result};
use crate::output::{Means, Stream};
use crate::package::{Entry, EntryKind, Package};

/// The largest file of the plain cpio format; larger ones need rpm's own variant (`rpmlib(LargeFiles)`).
pub(super) const LARGEST_PLAIN_FILE: u64 = u32::MAX as u64;

/// Whether a file, or all of them together, need 64-bit sizes.
pub(super) fn is_large(package: &Package) -> bool {
    entries(package).iter().any(|entry| entry.size() > LARGEST_PLAIN_FILE)
}

// ---- payload ----------------------------------------------------------------------------------------------------------------

/// Names in the payload are `./` and the path.
fn cpio_name(entry: &Entry) -> String {
    format!("./{}", entry.path)
}

pub(super) const TRAILER: &str = "TRAILER!!!";

/// A `newc` header: a magic number of 6 characters and 13 fields of 8 hexadecimal digits (`cpio(5)`).
pub(super) const NEWC_HEADER: u64 = 110;

/// rpm's header for packages with large files: a magic number and the index of the file in the header's lists.
pub(super) const STRIPPED_HEADER: u64 = 14;

pub(super) fn cpio_padding(length: u64) -> u64 {
    archive::padding(length, 4)
}

/// Bytes of the payload before compression.
pub(super) fn payload_length(package: &Package) -> u64 {
    let large = is_large(package);
    let entry_length = |entry: &Entry| {
        let header = if large { STRIPPED_HEADER } else { NEWC_HEADER + cpio_name(entry).len() as u64 + 1 };
        let header = header + cpio_padding(header);
        let size = entry.size();
        header + size + cpio_padding(size)
    };
    let trailer = NEWC_HEADER + TRAILER.len() as u64 + 1;
    entries(package).iter().map(entry_length).sum::<u64>() + trailer + cpio_padding(trailer)
}

pub(super) fn write_payload(
    package: &Package,
    stream: &mut dyn Stream,
    means: &Means,
    failed: &dyn Fn(io::Error) -> Error,
) -> Result<Digests> {
    let stored = Tapped::new(stream, Sha256::new());
    let compressor = Compressor::new(stored, package.compression, payload_length(package), means)?;
    let mut cpio = Tapped::new(compressor, Sha256s::default());
    let mut reader = archive::Reader::new(means);
    let mut files = Vec::with_capacity(entries(package).len());
    let large = is_large(package);
    for (index, entry) in entries(package).iter().enumerate() {
        cpio_header(&mut cpio, entry, index, package.stamp, large).map_err(failed)?;
        match &entry.kind {
            EntryKind::Directory => files.push(None),
            EntryKind::Symlink { target } => {
                cpio.write_all(target.as_bytes()).map_err(failed)?;
                files.push(None);
            }
            EntryKind::File { content, .. } => {
                cpio.tap.begin();
                reader.copy(content, &mut cpio, &mut Blind, failed)?;
                files.push(Some(cpio.tap.end()));
            }
        }
        archive::zeros(&mut cpio, cpio_padding(entry.size())).map_err(failed)?;
    }
    end_payload(cpio, files).map_err(failed)
}

/// A payload on its way: before compression, and as it is stored.
type Cpio<W> = Tapped<Compressor<Tapped<W, Sha256>>, Sha256s>;

/// The trailer, and what is known behind it.
pub(super) fn end_payload<W: Write>(mut cpio: Cpio<W>, files: Vec<FileDigest>) -> io::Result<Digests> {
    newc_header(&mut cpio, TRAILER, 0, 0, 1, 0, 0)?;
    let (uncompressed, uncompressed_size) = (hexadecimal(&Some(cpio.tap.finish())), cpio.count);
    let stored = cpio.out.finish()?;
    let payload = format!("{:x}", stored.tap.finalize());
    Ok(Digests { files, payload, uncompressed, payload_size: stored.count, uncompressed_size })
}

fn cpio_header(out: &mut dyn Write, entry: &Entry, index: usize, stamp: u32, large: bool) -> io::Result<()> {
    let index = u32::try_from(index).map_err(io::Error::other)?;
    if large {
        out.write_all(b"07070X")?;
        out.write_all(&digits(index))?;
        return archive::zeros(out, cpio_padding(STRIPPED_HEADER));
    }
    let size = u32::try_from(entry.size()).map_err(io::Error::other)?;
    let links = if matches!(entry.kind, EntryKind::Directory) { 2 } else { 1 };
    newc_header(out, &cpio_name(entry), index + 1, u32::from(file_mode(entry)), links, stamp, size)
}

pub(super) fn newc_header(
    out: &mut dyn Write,
    name: &str,
    inode: u32,
    mode: u32,
    links: u32,
    stamp: u32,
    size: u32,
) -> io::Result<()> {
    let name_size = u32::try_from(name.len() + 1).map_err(io::Error::other)?;
    // magic; inode, mode, uid, gid, links, mtime, size, device (2), special device (2), name length, checksum; name
    let fields = [inode, mode, 0, 0, links, stamp, size, 0, 0, 0, 0, name_size, 0];
    let mut header = Vec::with_capacity(128 + name.len());
    header.extend(b"070701");
    header.extend(fields.into_iter().flat_map(digits));
    header.extend(name.as_bytes());
    header.push(0);
    out.write_all(&header)?;
    archive::zeros(out, cpio_padding(header.len() as u64))
}

/// A number in hexadecimal digits.
pub(super) fn digits(number: u32) -> [u8; 8] {
    let bytes = number.to_be_bytes();
    std::array::from_fn(|at| {
        let half = if at % 2 == 0 { bytes[at / 2] >> 4 } else { bytes[at / 2] & 15 };
        b"0123456789abcdef"[usize::from(half)]
    })
}

/// File type and permission bits as `stat(2)` has them.
pub(super) fn file_mode(entry: &Entry) -> u16 {
    let kind = match entry.kind {
        EntryKind::Directory => 0o040_000,
        EntryKind::File { .. } => 0o100_000,
        EntryKind::Symlink { .. } => 0o120_000,
    };
    kind | entry.mode()
}
