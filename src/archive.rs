//! Deterministic archives: compression, GNU tar, digests, and the reading of a payload's bytes exactly once.
//!
//! Shared by the families; knows neither packages of a format nor where artifacts go.

mod again;
mod compress;
mod md5;
mod sha256;

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::base::error::{Error, Result};
use crate::output::Means;
use crate::package::{Codec, Compression, Content, Entry, EntryKind};
pub use again::{Same, Stretch, Substitutes, compression_of, exchange_tar, stream_codec};
pub use compress::{Compressor, gzip, least_memory};
pub use md5::Md5s;
pub use sha256::Sha256s;

/// How much is read at a time.
const CHUNK: usize = 128 * 1024;

/// The first bytes of what [`decompressed`] can read.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const XZ: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What gzip, xz or Zstandard packed, told apart by their first bytes; anything else as it is.
///
/// Memory is bounded: 256 MiB for the dictionary of xz, more than any of its levels takes; 128 MiB for the window of Zstandard,
/// what its own program reads without being told more.
pub fn decompressed<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    // a reader may give fewer bytes than tell the codec
    let (mut source, mut start) = (source, Vec::new());
    source.by_ref().take(XZ.len() as u64).read_to_end(&mut start)?;
    let source = io::BufReader::with_capacity(CHUNK, io::Cursor::new(start.clone()).chain(source));
    Ok(match codec_of(&start) {
        Codec::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(source)),
        Codec::Xz => {
            let stream =
                liblzma::stream::Stream::new_stream_decoder(256 << 20, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(source, stream))
        }
        Codec::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
            decoder.window_log_max(27)?;
            Box::new(decoder)
        }
        Codec::None => Box::new(source),
    })
}

/// The codec of what begins so.
#[must_use]
pub fn codec_of(start: &[u8]) -> Codec {
    if start.starts_with(&GZIP) {
        Codec::Gzip
    } else if start.starts_with(&XZ) {
        Codec::Xz
    } else if start.starts_with(&ZSTD) {
        Codec::Zstd
    } else {
        Codec::None
    }
}

/// Something that sees the bytes on their way: a digest.
pub trait Tap {
    /// The next bytes.
    fn see(&mut self, bytes: &[u8]);
}

impl<D: digest::Update> Tap for D {
    fn see(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

impl Tap for Md5s {
    fn see(&mut self, bytes: &[u8]) {
        Md5s::see(self, bytes);
    }
}

/// A tap that does not look.
pub struct Blind;

impl digest::Update for Blind {
    fn update(&mut self, _: &[u8]) {}
}

/// A writer that shows every byte to a tap and counts.
pub struct Tapped<W, T> {
    /// The writer below.
    pub out: W,
    /// Who sees the bytes.
    pub tap: T,
    /// Bytes so far.
    pub count: u64,
}

impl<W, T> Tapped<W, T> {
    /// Starts at zero.
    pub fn new(out: W, tap: T) -> Self {
        Self { out, tap, count: 0 }
    }
}

impl<W: Write, T: Tap> Write for Tapped<W, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.tap.see(&bytes[..written]);
        self.count += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Reads the contents of entries: the one place where source bytes are read.
pub struct Reader<'a> {
    buffer: Vec<u8>,
    means: &'a Means,
}

impl<'a> Reader<'a> {
    /// Has read nothing.
    #[must_use]
    pub fn new(means: &'a Means) -> Self {
        Self { buffer: Vec::new(), means }
    }

    /// Copies a content's bytes to `out` and shows them to `tap`.
    ///
    /// A file that is no regular file any more, or whose length is not the planned one, is an error: the archive's header already
    /// states its size. `failed` turns a write error into ours.
    pub fn copy(
        &mut self,
        content: &Content,
        out: &mut dyn Write,
        tap: &mut dyn Tap,
        failed: &dyn Fn(io::Error) -> Error,
    ) -> Result<()> {
        match content {
            Content::Text(text) => {
                tap.see(text.as_bytes());
                out.write_all(text.as_bytes()).map_err(failed)
            }
            Content::Bytes(bytes) => {
                tap.see(bytes);
                out.write_all(bytes).map_err(failed)
            }
            Content::Disk { path, size } => self.copy_file(path, *size, out, tap, failed),
            Content::Packaged { .. } => Err(Error::failed("its content is in another package")),
        }
    }

    fn copy_file(
        &mut self,
        path: &Path,
        size: u64,
        out: &mut dyn Write,
        tap: &mut dyn Tap,
        failed: &dyn Fn(io::Error) -> Error,
    ) -> Result<()> {
        // one byte more than a chunk, so that the end of a small file shows in its one read
        self.buffer.resize(CHUNK + 1, 0);
        let mut file = open_regular(path)?;
        let mut left = size;
        loop {
            self.means.stop.check()?;
            let want = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK) + 1;
            let got =
                file.read(&mut self.buffer[..want]).map_err(|error| Error::io("cannot read", path, error))?;
            if got as u64 > left || got == 0 && left > 0 {
                return Err(Error::failed("changed while it was read:")
                    .at(path)
                    .hint("let nothing write to the tree while it is packaged"));
            }
            let bytes = &self.buffer[..got];
            tap.see(bytes);
            out.write_all(bytes).map_err(failed)?;
            self.means.stop.moves(got);
            left -= got as u64;
            // fewer than asked for: the end of a regular file
            if left == 0 && got < want {
                return Ok(());
            }
        }
    }
}

/// Opens a file that must still be a regular one: not a link, not a pipe that would block for ever.
fn open_regular(path: &Path) -> Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|error| Error::io("cannot read", path, error))?;
    let metadata = file.metadata().map_err(|error| Error::io("cannot read", path, error))?;
    if metadata.is_file() { Ok(file) } else { Err(Error::failed("is no regular file any more:").at(path)) }
}

/// Size of a tar block.
const BLOCK: u64 = 512;
/// What a ustar header holds of a name or a link target.
const NAME_FIELD: usize = 100;

/// What a tar member is.
#[derive(Debug, Clone, Copy)]
pub enum Member<'a> {
    /// A folder; its name ends in `/`.
    Directory,
    /// A file of this many bytes.
    File(u64),
    /// A symbolic link to this target.
    Symlink(&'a str),
}

/// Writes one member's header: GNU format, root's, at `stamp`. A file's bytes and [`tar_padding`] follow.
///
/// GNU long names (`L`, `K`) for what does not fit: dpkg refuses PAX headers (`deb(5)`).
pub fn tar_header(
    out: &mut dyn Write,
    name: &str,
    member: Member<'_>,
    mode: u16,
    stamp: u32,
) -> io::Result<()> {
    let (kind, size, target) = match member {
        Member::Directory => (tar::EntryType::Directory, 0, ""),
        Member::File(size) => (tar::EntryType::Regular, size, ""),
        Member::Symlink(target) => (tar::EntryType::Symlink, 0, target),
    };
    if target.len() > NAME_FIELD {
        long_field(out, tar::EntryType::GNULongLink, target)?;
    }
    if name.len() > NAME_FIELD {
        long_field(out, tar::EntryType::GNULongName, name)?;
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(u32::from(mode));
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(u64::from(stamp));
    header.set_username("root")?;
    header.set_groupname("root")?;
    fill(&mut header.as_old_mut().name, name);
    fill(&mut header.as_old_mut().linkname, target);
    set_sum(&mut header);
    out.write_all(header.as_bytes())
}

/// The `tar` crate's own setters strip the leading `./` that dpkg wants, so names are put into the field as they are.
fn fill(field: &mut [u8; NAME_FIELD], text: &str) {
    let length = text.len().min(NAME_FIELD);
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}

/// As GNU tar and dpkg-deb write it, which packs a little better: six digits, a zero byte and a blank instead of seven digits and a zero
/// byte.
fn set_sum(header: &mut tar::Header) {
    header.set_cksum();
    let field = &mut header.as_old_mut().cksum;
    field.copy_within(1.., 0);
    field[field.len() - 1] = b' ';
}

fn long_field(out: &mut dyn Write, kind: tar::EntryType, text: &str) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    let size = text.len() as u64 + 1;
    fill(&mut header.as_old_mut().name, "././@LongLink");
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    set_sum(&mut header);
    out.write_all(header.as_bytes())?;
    out.write_all(text.as_bytes())?;
    out.write_all(&[0])?;
    tar_padding(out, size)
}

/// Fills the last block after `size` bytes.
pub fn tar_padding(out: &mut dyn Write, size: u64) -> io::Result<()> {
    zeros(out, padding(size, BLOCK))
}

/// A kernel module as the kernel and kmod of every distribution can read it: xz with CRC32 and a dictionary of 1 MiB, which is what
/// the kernel's own decompressor takes (`scripts/Makefile.modinst`).
pub fn compressed_module(bytes: &[u8], codec: Codec) -> io::Result<Vec<u8>> {
    use liblzma::stream::{Check, Filters, LzmaOptions, Stream};
    if codec == Codec::Xz {
        let mut options = LzmaOptions::new_preset(6).map_err(io::Error::other)?;
        options.dict_size(1 << 20);
        let mut filters = Filters::new();
        filters.lzma2(&options);
        let stream = Stream::new_stream_encoder(&filters, Check::Crc32).map_err(io::Error::other)?;
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(bytes)?;
        return encoder.finish();
    }
    let compression = Compression { codec, level: codec.default_level() };
    let compressor = Compressor::new(Vec::new(), compression, bytes.len() as u64, &Means::default());
    let mut compressor = compressor.map_err(io::Error::other)?;
    compressor.write_all(bytes)?;
    compressor.finish()
}

/// An entry of a tar that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TarEntry {
    /// As it is written in the archive.
    pub name: String,
    /// The permission bits.
    pub mode: u32,
    /// `user:group`, by name where it has one.
    pub owner: String,
    /// How many bytes its content has.
    pub size: u64,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Whether it is a regular file.
    pub is_file: bool,
    /// What a symbolic link says.
    pub target: Option<String>,
    /// The entry that this one is another name of.
    pub same_as: Option<String>,
    /// Its headers as they stand there, with those that hold long names; its own is the last.
    pub headers: Vec<u8>,
}

impl TarEntry {
    /// Its place below the root, with a slash in front and none behind.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/{}", self.name.trim_start_matches("./").trim_end_matches('/'))
    }
}

/// How long a name may be in a tar that is read, and how much an extended header may hold.
const LONG: u64 = 1 << 16;

/// Calls `look` with every entry of a tar and its content; at most so many entries.
///
/// Long names and extended headers are put together here: the `tar` crate would read them whole, whatever they claim to hold.
pub fn read_tar(
    reader: impl Read,
    most: usize,
    look: &mut dyn FnMut(TarEntry, &mut dyn Read) -> io::Result<()>,
) -> io::Result<()> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let (mut long_name, mut long_link) = (None, None);
    let mut headers = Vec::new();
    for (count, entry) in tar::Archive::new(reader).entries()?.raw(true).enumerate() {
        if count >= most {
            return Err(invalid(format!("it has more than {most} entries")));
        }
        let mut entry = entry?;
        let header = entry.header().clone();
        let kind = header.entry_type();
        headers.extend(header.as_bytes());
        if kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions() {
            if header.entry_size()? > LONG {
                return Err(invalid("one of its names is too long".to_owned()));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            headers.extend(&bytes);
            tar_padding(&mut headers, bytes.len() as u64)?;
            if kind.is_pax_local_extensions() {
                for extension in tar::PaxExtensions::new(&bytes) {
                    let extension = extension?;
                    match extension.key_bytes() {
                        b"path" => long_name = Some(extension.value_bytes().to_vec()),
                        b"linkpath" => long_link = Some(extension.value_bytes().to_vec()),
                        _ => {}
                    }
                }
            } else {
                while bytes.last() == Some(&0) {
                    bytes.pop();
                }
                *(if kind.is_gnu_longname() { &mut long_name } else { &mut long_link }) = Some(bytes);
            }
            continue;
        }
        if kind.is_pax_global_extensions() {
            let size = entry.take(LONG).read_to_end(&mut headers)?;
            tar_padding(&mut headers, size as u64)?;
            continue;
        }
        let named = |name: Option<&str>, id: u64| match name {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ if id == 0 => "root".to_owned(),
            _ => id.to_string(),
        };
        let user = named(header.username().unwrap_or_default(), header.uid()?);
        let group = named(header.groupname().unwrap_or_default(), header.gid()?);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let name = long_name.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let link = long_link.take().or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let link = link.map(|link| text(&link));
        let found = TarEntry {
            name: text(&name),
            mode: header.mode()? & 0o7777,
            owner: format!("{user}:{group}"),
            size: header.size()?,
            is_folder: kind.is_dir(),
            is_file: kind.is_file(),
            target: link.clone().filter(|_| kind.is_symlink()),
            same_as: link.filter(|_| kind.is_hard_link()),
            headers: std::mem::take(&mut headers),
        };
        look(found, &mut entry)?;
    }
    Ok(())
}

/// Writes entries below a folder, and the folders above them, as a compressed tar.
pub fn tarball<W: Write>(
    out: W,
    folder: &str,
    entries: &[Entry],
    compression: Compression,
    stamp: u32,
    means: &Means,
) -> Result<W> {
    /// A folder, or one of the entries.
    struct Piece<'a> {
        name: String,
        entry: Option<&'a Entry>,
    }
    impl Piece<'_> {
        fn member(&self) -> Member<'_> {
            match self.entry.map(|entry| (&entry.kind, entry.size())) {
                Some((EntryKind::File { .. }, size)) => Member::File(size),
                Some((EntryKind::Symlink { target }, _)) => Member::Symlink(target),
                Some((EntryKind::Directory, _)) | None => Member::Directory,
            }
        }
    }
    let below = |path: &str| if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") };
    let is_folder = |entry: &&Entry| matches!(entry.kind, EntryKind::Directory);
    let files = entries.iter().filter(|entry| !is_folder(entry));
    let mut pieces: Vec<_> =
        files.map(|entry| Piece { name: below(&entry.path), entry: Some(entry) }).collect();
    let mut folders: BTreeSet<String> =
        entries.iter().filter(is_folder).map(|entry| format!("{}/", below(&entry.path))).collect();
    for name in pieces.iter().map(|piece| piece.name.clone()).chain(folders.clone()) {
        folders.extend(name.match_indices('/').map(|(at, _)| name[..=at].to_owned()));
    }
    pieces.extend(folders.into_iter().map(|name| Piece { name, entry: None }));
    pieces.sort_by(|one, other| one.name.as_bytes().cmp(other.name.as_bytes()));

    let failed = |error| Error::io("cannot write", "the temporary file", error);
    let length = pieces.iter().map(|piece| tar_length(&piece.name, piece.member())).sum::<u64>() + TAR_END;
    let mut tar = Compressor::new(out, compression, length, means)?;
    let mut reader = Reader::new(means);
    for piece in &pieces {
        let mode = piece.entry.map_or(0o755, Entry::mode);
        tar_header(&mut tar, &piece.name, piece.member(), mode, stamp).map_err(failed)?;
        if let Some(Entry { kind: EntryKind::File { content, .. }, .. }) = piece.entry {
            reader.copy(content, &mut tar, &mut Blind, &failed)?;
            tar_padding(&mut tar, content.size()).map_err(failed)?;
        }
    }
    tar_end(&mut tar).map_err(failed)?;
    tar.finish().map_err(failed)
}

/// The two empty blocks at the end.
pub fn tar_end(out: &mut dyn Write) -> io::Result<()> {
    zeros(out, 2 * BLOCK)
}

/// How many bytes a member takes in the archive, headers and padding included.
#[must_use]
pub fn tar_length(name: &str, member: Member<'_>) -> u64 {
    let long = |text: &str| if text.len() > NAME_FIELD { BLOCK + rounded(text.len() as u64 + 1) } else { 0 };
    let (content, target) = match member {
        Member::Directory => (0, ""),
        Member::File(size) => (rounded(size), ""),
        Member::Symlink(target) => (0, target),
    };
    BLOCK + long(name) + long(target) + content
}

/// How many bytes [`tar_end`] writes.
pub const TAR_END: u64 = 2 * BLOCK;

fn rounded(size: u64) -> u64 {
    size + padding(size, BLOCK)
}

/// How many bytes are missing to the next multiple of `unit`.
#[must_use]
pub fn padding(size: u64, unit: u64) -> u64 {
    (unit - size % unit) % unit
}

/// Writes that many zero bytes.
pub fn zeros(out: &mut dyn Write, mut count: u64) -> io::Result<()> {
    const ZEROS: [u8; 4096] = [0; 4096];
    while count > 0 {
        let now = count.min(ZEROS.len() as u64);
        out.write_all(&ZEROS[..usize::try_from(now).unwrap_or(ZEROS.len())])?;
        count -= now;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_is_told_from_bytes_that_come_one_at_a_time() {
        for codec in [Codec::None, Codec::Gzip, Codec::Xz, Codec::Zstd] {
            let packed = compress(Compression { codec, level: codec.default_level() }, b"text");
            for first in 0..packed.len() {
                let (start, rest) = packed.split_at(first);
                let mut text = String::new();
                decompressed(start.chain(rest)).unwrap().read_to_string(&mut text).unwrap();
                assert_eq!(text, "text", "{codec:?} {first}");
            }
        }
    }

    fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
        let mut compressor =
            Compressor::new(Vec::new(), compression, bytes.len() as u64, &Means::default()).unwrap();
        compressor.write_all(bytes).unwrap();
        compressor.finish().unwrap()
    }

    #[test]
    fn every_codec_and_level_reads_back() {
        let text = "static int __init v(void) { return 0; }\n".repeat(300);
        for codec in Codec::ALL {
            for level in codec.levels() {
                let packed = compress(Compression { codec, level }, text.as_bytes());
                let mut unpacked = Vec::new();
                match codec {
                    Codec::None => unpacked = packed,
                    Codec::Gzip => {
                        flate2::read::GzDecoder::new(&packed[..])
                            .read_to_end(&mut unpacked)
                            .map(drop)
                            .unwrap();
                    }
                    Codec::Xz => liblzma::read::XzDecoder::new(&packed[..])
                        .read_to_end(&mut unpacked)
                        .map(drop)
                        .unwrap(),
                    Codec::Zstd => unpacked = zstd::decode_all(&packed[..]).unwrap(),
                }
                assert!(unpacked == text.as_bytes(), "{codec:?} {level}");
            }
        }
    }

    #[test]
    fn members_take_the_length_that_was_announced() {
        let long = "x".repeat(300);
        for (name, member) in [
            ("./", Member::Directory),
            ("./a", Member::File(0)),
            ("./a", Member::File(513)),
            (long.as_str(), Member::File(7)),
            ("./l", Member::Symlink(&long)),
        ] {
            let mut out = Vec::new();
            tar_header(&mut out, name, member, 0o644, 1).unwrap();
            if let Member::File(size) = member {
                out.extend(std::iter::repeat_n(b'x', usize::try_from(size).unwrap()));
                tar_padding(&mut out, size).unwrap();
            }
            assert_eq!(out.len() as u64, tar_length(name, member), "{name}");
        }
    }

    #[test]
    fn long_names_are_put_together_and_bounded() {
        let long = "x/".repeat(200);
        let mut bytes = Vec::new();
        tar_header(&mut bytes, &long, Member::Symlink(&long), 0o777, 1).unwrap();
        // another tar of the same kind of names, as pax has them
        let record = |key: &str, value: &str| {
            let rest = format!(" {key}={value}\n");
            (10..1000)
                .map(|size: usize| format!("{size}{rest}"))
                .find(|text| text.split(' ').next() == Some(&text.len().to_string()))
                .unwrap()
        };
        let extended = record("path", &long);
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_size(extended.len() as u64);
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(extended.as_bytes());
        tar_padding(&mut bytes, extended.len() as u64).unwrap();
        tar_header(&mut bytes, "short", Member::File(0), 0o644, 1).unwrap();
        tar_end(&mut bytes).unwrap();
        let mut found = Vec::new();
        read_tar(&bytes[..], 9, &mut |entry, _| {
            found.push((entry.name, entry.target));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, [(long.clone(), Some(long.clone())), (long, None)]);
        // a name that never ends
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(1 << 40);
        header.set_cksum();
        let endless = header.as_bytes().chain(io::repeat(b'x'));
        assert!(read_tar(endless, 9, &mut |_, _| Ok(())).is_err());
    }

    #[test]
    fn a_file_of_another_size_than_planned_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, "12345").unwrap();
        for (size, good) in [(4, false), (5, true), (6, false)] {
            let content = Content::Disk { path: path.as_path().into(), size };
            let mut tap = <::md5::Md5 as digest::Digest>::new();
            let means = Means::default();
            let result = Reader::new(&means)
                .copy(&content, &mut Vec::new(), &mut tap, &|error| Error::io("x", "y", error));
            assert_eq!(result.is_ok(), good, "{size}");
        }
    }
}
