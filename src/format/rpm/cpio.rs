//! Payloads entry by entry: the "new ASCII" format, cpio(5), and rpm's own for large files, which names only the place of a file in the
//! header's lists (rpm's `lib/cpio.c`).
//!
//! Must not hold what it reads but for names.

use std::io::{self, Read};

use super::super::{ENTRIES, ReadFile};
use super::payload::{NEWC_HEADER, STRIPPED_HEADER, TRAILER, cpio_padding};
use crate::package::EntryKind;

/// An entry of a payload.
pub(super) struct CpioEntry {
    /// Its header, its name and what fills them up, as they stand there.
    pub(super) head: Vec<u8>,
    /// Absolute.
    pub(super) path: String,
    pub(super) size: u64,
    pub(super) inode: u64,
    /// How many names the file has.
    pub(super) links: u64,
    pub(super) is_file: bool,
    /// Whether the header has the size.
    pub(super) is_sized: bool,
}

/// Calls `look` with every entry and its content; what stands behind the last one.
pub(super) fn read_cpio(
    mut reader: impl Read,
    files: &[ReadFile],
    look: &mut dyn FnMut(CpioEntry, &mut dyn Read) -> io::Result<()>,
) -> io::Result<Vec<u8>> {
    for _ in 0..ENTRIES {
        let mut head = vec![0; to_usize(STRIPPED_HEADER)];
        reader.read_exact(&mut head)?;
        let entry = if head.starts_with(b"07070X") {
            stripped(&mut reader, head, files)?
        } else {
            named(&mut reader, head)?
        };
        if entry.path == format!("/{TRAILER}") {
            let mut end = entry.head;
            reader.take(MOST_BEHIND).read_to_end(&mut end)?;
            return Ok(end);
        }
        let size = entry.size;
        let mut content = (&mut reader).take(size);
        look(entry, &mut content)?;
        let left = content.limit();
        skip(&mut reader, left + cpio_padding(size))?;
    }
    Err(invalid())
}

/// How much may stand behind the last entry.
const MOST_BEHIND: u64 = 1 << 20;

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its payload is no cpio archive")
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A number of eight hexadecimal digits.
fn number(head: &[u8], at: usize) -> io::Result<u64> {
    let text = head.get(at..at + 8).and_then(|digits| std::str::from_utf8(digits).ok());
    text.and_then(|text| u64::from_str_radix(text, 16).ok()).ok_or_else(invalid)
}

/// An entry of rpm's own format.
fn stripped(reader: &mut dyn Read, mut head: Vec<u8>, files: &[ReadFile]) -> io::Result<CpioEntry> {
    let file = files.get(to_usize(number(&head, 6)?)).ok_or_else(invalid)?;
    more(reader, &mut head, cpio_padding(STRIPPED_HEADER))?;
    let (size, is_file) = match &file.kind {
        EntryKind::Directory => (0, false),
        EntryKind::Symlink { target } => (target.len() as u64, false),
        EntryKind::File { content, .. } => (content.size(), true),
    };
    Ok(CpioEntry { head, path: file.path.clone(), size, inode: 0, links: 1, is_file, is_sized: false })
}

/// An entry of which the beginning was read.
fn named(reader: &mut dyn Read, mut head: Vec<u8>) -> io::Result<CpioEntry> {
    if !matches!(&head[..6], b"070701" | b"070702") {
        return Err(invalid());
    }
    more(reader, &mut head, NEWC_HEADER - STRIPPED_HEADER)?;
    let name_size = number(&head, 94)?;
    if name_size > 1 << 16 {
        return Err(invalid());
    }
    more(reader, &mut head, name_size + cpio_padding(NEWC_HEADER + name_size))?;
    let name = &head[to_usize(NEWC_HEADER)..to_usize(NEWC_HEADER + name_size)];
    let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
    let path = format!("/{}", name.trim_start_matches("./").trim_start_matches('/'));
    Ok(CpioEntry {
        path,
        size: number(&head, 54)?,
        inode: number(&head, 6)?,
        links: number(&head, 38)?,
        is_file: number(&head, 14)? & 0o170_000 == 0o100_000,
        is_sized: true,
        head,
    })
}

fn more(reader: &mut dyn Read, head: &mut Vec<u8>, count: u64) -> io::Result<()> {
    if reader.take(count).read_to_end(head)? as u64 == count {
        return Ok(());
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

fn skip(reader: &mut dyn Read, count: u64) -> io::Result<()> {
    if io::copy(&mut reader.take(count), &mut io::sink())? == count {
        return Ok(());
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}
