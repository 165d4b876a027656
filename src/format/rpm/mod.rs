//! RPM binary packages, format version 4: lead, signature header, header, cpio payload.
//!
//! The header's length is known before the payload is written, because every value that depends on the payload has a fixed width:
//! a hole is left, the payload is streamed, and the header is written last. Never renders a template and never decides what is in
//! a package. Sources of the rules: rpm's `include/rpm/rpmtag.h`, `docs/manual/format_v4.md`, and rpmbuild 4.18's own output.

mod header;
mod relation;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use digest::Digest;
use header::{Signature, Tags};
use rpm::{DependencyFlags, IndexSignatureTag, IndexTag, PackageMetadata};
use sha1::Sha1;
use sha2::Sha256;

use super::{
    Contents, ENTRIES, Family, Format, Found, FoundFile, FoundScript, TOO_LARGE, UNSPEAKABLE_NAME,
    UNSPEAKABLE_SCRIPT,
};
use crate::archive::{self, Blind, Compressor, Sha256s, Tapped};
use crate::beneath::open_regular;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::output::{Means, Output, Stream};
use crate::package::{
    Arch, Bound, Capability, Codec, Comparison, Compression, Entry, EntryKind, Module, Package, Payload,
    Relation, RelationKind, Role, Version, When,
};

/// The family of the `.rpm` family.
pub(super) struct Rpm;

/// The largest file of the plain cpio format; larger ones need rpm's own variant (`rpmlib(LargeFiles)`).
const LARGEST_PLAIN_FILE: u64 = u32::MAX as u64;
/// rpm refuses headers beyond this (`lib/header.c`, `headerMaxbytes`).
const LARGEST_HEADER: u64 = 256 << 20;
/// The hexadecimal text of a SHA-256 digest, before it is known.
const UNKNOWN_SHA256: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// SHA-256 in the numbering of OpenPGP (RFC 9580, 9.5), which rpm uses.
const SHA256: u32 = 8;

/// The fields that a user may set.
const FIELDS: [&str; 2] = ["Group", "Vendor"];
/// The last second of the last day whose noon, which stands for it in changelogs, fits into 32 bits.
const LATEST: u32 = u32::MAX / 86_400 * 86_400 - 1;

/// Reads an `.rpm`: the header by the `rpm` crate, the payload entry by entry.
fn read(path: &Path, contents: &mut dyn Contents) -> Result<Option<Found>> {
    let unreadable = |error: io::Error| Error::io("cannot read the package", path, error).as_usage();
    let invalid =
        |error: rpm::Error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
    let mut file = io::BufReader::new(open_regular(path).map_err(unreadable)?);
    if !file.fill_buf().map_err(unreadable)?.starts_with(&[0xed, 0xab, 0xee, 0xdb]) {
        return Ok(None);
    }
    let (headers, header_at) = read_headers(&mut file).map_err(unreadable)?;
    let metadata = PackageMetadata::parse(&mut headers.as_slice()).map_err(invalid)?;
    let header = &metadata.header;
    let stated = metadata.signature.get_entry_data_as_string(IndexSignatureTag::RPMSIGTAG_SHA256);
    if stated.is_ok_and(|stated| !stated.eq_ignore_ascii_case(&hex(Sha256::digest(&headers[header_at..])))) {
        return Err(damaged("its header").at(path));
    }
    let text = |value: std::result::Result<&str, rpm::Error>| value.unwrap_or_default().to_owned();
    let version = format!("{}-{}", text(metadata.get_version()), text(metadata.get_release()));
    let mut found = Found { format: "rpm", name: text(metadata.get_name()), version, ..Found::default() };
    found.arch = text(metadata.get_arch());
    found.requires = metadata.get_requires().map_err(invalid)?.into_iter().map(|need| need.name).collect();
    found.format = if header.entry_is_present(IndexTag::RPMTAG_SOURCEPACKAGE) { "srpm" } else { "rpm" };
    read_metadata(&metadata, &mut found).map_err(invalid)?;
    let scripts = [
        ("%pretrans", metadata.get_pre_trans_script()),
        ("%pre", metadata.get_pre_install_script()),
        ("%post", metadata.get_post_install_script()),
        ("%preun", metadata.get_pre_uninstall_script()),
        ("%postun", metadata.get_post_uninstall_script()),
        ("%posttrans", metadata.get_post_trans_script()),
    ];
    for (name, script) in scripts {
        let Ok(script) = script else { continue };
        if !script.script.is_empty() {
            let program = script.program.and_then(|program| program.into_iter().next());
            found.scripts.push(FoundScript { name: name.to_owned(), text: script.script, program });
        }
    }
    let triggers = [
        ("%trigger", metadata.get_triggers()),
        ("%filetrigger", metadata.get_file_triggers()),
        ("%transfiletrigger", metadata.get_trans_file_triggers()),
    ];
    for (name, list) in triggers {
        for trigger in list.unwrap_or_default().into_iter().filter(|trigger| !trigger.script.is_empty()) {
            let program = trigger.program.into_iter().next();
            found.scripts.push(FoundScript { name: name.to_owned(), text: trigger.script, program });
        }
    }
    for (tag, what) in [
        (IndexTag::RPMTAG_PAYLOADSHA256, "a SHA-256 digest of the payload (rpm 4.14 and later verify it)"),
        (IndexTag::RPMTAG_LICENSE, "a licence, which rpm wants"),
        (IndexTag::RPMTAG_SUMMARY, "a summary, which rpm wants"),
    ] {
        if !header.entry_is_present(tag) {
            found.lacks.push(what.to_owned());
        }
    }
    let mut weak = false;
    for entry in metadata.get_file_entries().map_err(invalid)? {
        let mode = u32::from(entry.mode().raw_mode());
        weak = weak || entry.digest().is_some_and(|digest| digest.as_hex().len() < 64);
        found.files.push(FoundFile {
            path: format!("/{}", entry.path().to_string_lossy().trim_start_matches('/')),
            mode: mode & 0o7777,
            owner: format!("{}:{}", entry.user(), entry.group()),
            is_folder: mode & 0o170_000 == 0o040_000,
            target: entry.linkto().filter(|target| !target.is_empty()).map(str::to_owned),
            checksum: entry.digest().map(|digest| digest.as_hex().to_owned()),
        });
    }
    if weak {
        found.lacks.push("SHA-256 digests of the files; MD5 and SHA-1 do not work in FIPS mode".to_owned());
    }
    if found.files.iter().any(|file| contents.wants(&file.path)) {
        let mut stored = Hashed { inner: file, sha256: Sha256::new() };
        let reader = archive::decompressed(&mut stored).map_err(unreadable)?;
        read_payload(reader, contents).map_err(unreadable)?;
        io::copy(&mut stored, &mut io::sink()).map_err(unreadable)?;
        let stated =
            header.get_entry_data_as_string_array(IndexTag::RPMTAG_PAYLOADSHA256).unwrap_or_default();
        let own = hex(stored.sha256.finalize());
        if stated.first().is_some_and(|stated| !stated.eq_ignore_ascii_case(&own)) {
            return Err(damaged("its payload").at(path));
        }
    }
    Ok(Some(found))
}

/// A part of a package that has not the digest that the package states.
fn damaged(what: &str) -> Error {
    Error::usage(format!("the package is damaged: {what} has not the digest that it states:"))
        .hint("fetch the file again")
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Bytes on their way to a reader.
struct Hashed<R> {
    inner: R,
    sha256: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.sha256.update(&buffer[..count]);
        Ok(count)
    }
}

/// Lead, signature header and header as they stand in the file, and where the header begins, when every entry of their indexes lies
/// within its store: the `rpm` crate, which reads them next, takes that for granted.
fn read_headers(reader: &mut dyn Read) -> io::Result<(Vec<u8>, usize)> {
    const LEAD: usize = 96;
    let mut bytes = vec![0; LEAD];
    reader.read_exact(&mut bytes)?;
    let mut begin = 0;
    // the store of the signature header is padded to 8 bytes (`lib/signature.c`)
    for unit in [8, 1] {
        let intro = bytes.len();
        begin = intro;
        read_more(reader, &mut bytes, 16)?;
        let number = |at: usize, bytes: &[u8]| {
            let field: [u8; 4] = bytes[at..at + 4].try_into().unwrap_or_default();
            u64::from(u32::from_be_bytes(field))
        };
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("its header {what}"));
        let (count, size) = (number(intro + 8, &bytes), number(intro + 12, &bytes));
        // rpm's own limit for the index is 64 Ki entries (`hdrchkTags`)
        if count > 1 << 16 || size > LARGEST_HEADER {
            return Err(invalid("is larger than rpm allows"));
        }
        let (index, store) = (bytes.len(), bytes.len() + to_usize(count * 16));
        read_more(reader, &mut bytes, count * 16 + size + archive::padding(size, unit))?;
        let end = store + to_usize(size);
        for entry in (index..store).step_by(16) {
            let (kind, offset, length) =
                (number(entry + 4, &bytes), number(entry + 8, &bytes), number(entry + 12, &bytes));
            let data =
                bytes.get(store + to_usize(offset)..end).ok_or_else(|| invalid("points out of itself"))?;
            let fits = match kind {
                // NULL; CHAR, INT8, BIN; INT16; INT32; INT64
                0 => true,
                1 | 2 | 7 => length <= data.len() as u64,
                3 => length * 2 <= data.len() as u64,
                4 => length * 4 <= data.len() as u64,
                5 => length * 8 <= data.len() as u64,
                // STRING, STRING_ARRAY, I18NSTRING
                6 | 8 | 9 => {
                    data.iter().filter(|byte| **byte == 0).take(to_usize(length)).count() as u64 == length
                }
                _ => false,
            };
            if !fits || length == 0 && kind != 0 {
                return Err(invalid("points out of itself"));
            }
        }
    }
    Ok((bytes, begin))
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Reads so many bytes, and takes memory only as they come.
fn read_more(reader: &mut dyn Read, bytes: &mut Vec<u8>, count: u64) -> io::Result<()> {
    if reader.take(count).read_to_end(bytes)? as u64 == count {
        return Ok(());
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// What [`Found`] keeps beside name, version and files.
fn read_metadata(metadata: &PackageMetadata, found: &mut Found) -> std::result::Result<(), rpm::Error> {
    let texts = [
        ("summary", metadata.get_summary()),
        ("description", metadata.get_description()),
        ("maintainer", metadata.get_packager()),
        ("homepage", metadata.get_url()),
        ("license", metadata.get_license()),
        ("Group", metadata.get_group()),
        ("Vendor", metadata.get_vendor()),
    ];
    for (name, text) in texts {
        if let Some(text) = text.ok().filter(|text| !text.is_empty()) {
            found.metadata.insert(name.to_owned(), text.to_owned());
        }
    }
    if let Some(epoch) = metadata.get_epoch().ok().filter(|epoch| *epoch > 0) {
        found.version = format!("{epoch}:{}", found.version);
    }
    let text = |need: rpm::Dependency| {
        let has = |flag: DependencyFlags| need.flags.contains(flag);
        let sign =
            [("<", DependencyFlags::LESS), (">", DependencyFlags::GREATER), ("=", DependencyFlags::EQUAL)];
        let sign: String = sign.into_iter().filter(|(_, flag)| has(*flag)).map(|(text, _)| text).collect();
        let is_own = need.name.starts_with("rpmlib(");
        (!is_own).then(|| {
            if sign.is_empty() { need.name } else { format!("{} {sign} {}", need.name, need.version) }
        })
    };
    let requires = if found.format == "srpm" { "build-requires" } else { "requires" };
    for (kind, list) in [
        (requires, metadata.get_requires()?),
        ("recommends", metadata.get_recommends()?),
        ("suggests", metadata.get_suggests()?),
        ("supplements", metadata.get_supplements()?),
        ("conflicts", metadata.get_conflicts()?),
        ("replaces", metadata.get_obsoletes()?),
        ("provides", metadata.get_provides()?),
    ] {
        let mut texts: Vec<_> = list.into_iter().filter_map(text).collect();
        texts.dedup();
        if !texts.is_empty() {
            found.relations.insert(kind, texts);
        }
    }
    Ok(())
}

/// The files of a cpio archive in the "new ASCII" format, cpio(5).
fn read_payload(mut reader: impl Read, contents: &mut dyn Contents) -> io::Result<()> {
    let invalid = || io::Error::new(io::ErrorKind::InvalidData, "its payload is no cpio archive");
    // of a file with several names only the last has the content
    let mut names_of: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for _ in 0..ENTRIES {
        let mut head = [0; 110];
        reader.read_exact(&mut head)?;
        if !matches!(&head[..6], b"070701" | b"070702") {
            // large files have a format of rpm's own, without names
            return Ok(());
        }
        let number = |at: usize| {
            let text = std::str::from_utf8(&head[at..at + 8]).ok()?;
            u64::from_str_radix(text, 16).ok()
        };
        let (size, name_size) = (number(54).ok_or_else(invalid)?, number(94).ok_or_else(invalid)?);
        let (inode, links) = (number(6).ok_or_else(invalid)?, number(38).ok_or_else(invalid)?);
        let is_file = number(14).ok_or_else(invalid)? & 0o170_000 == 0o100_000;
        if name_size > 1 << 16 {
            return Err(invalid());
        }
        let mut name = vec![0; usize::try_from(name_size).map_err(|_| invalid())?];
        reader.read_exact(&mut name)?;
        skip(&mut reader, archive::padding(110 + name_size, 4))?;
        let name = String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned();
        if name == "TRAILER!!!" {
            break;
        }
        let path = format!("/{}", name.trim_start_matches("./").trim_start_matches('/'));
        let wanted = is_file && contents.wants(&path);
        if wanted && links > 1 && size == 0 {
            names_of.entry(inode).or_default().push(path);
            continue;
        }
        let mut content = (&mut reader).take(size);
        if wanted {
            contents.take(&path, &mut content)?;
            for name in names_of.remove(&inode).unwrap_or_default() {
                contents.same(&name, &path)?;
            }
        }
        let left = content.limit();
        skip(&mut reader, left + archive::padding(size, 4))?;
    }
    Ok(())
}

fn skip(reader: &mut dyn Read, count: u64) -> io::Result<()> {
    if io::copy(&mut reader.take(count), &mut io::sink())? == count {
        return Ok(());
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

impl Family for Rpm {
    fn read(&self, path: &Path, contents: &mut dyn Contents) -> Result<Option<Found>> {
        read(path, contents)
    }

    fn formats(&self) -> &'static [Format] {
        &[
            Format { name: "rpm", is_source: false, is_usual: true },
            Format { name: "srpm", is_source: true, is_usual: true },
            Format { name: "kmod", is_source: true, is_usual: false },
        ]
    }

    fn artifacts(&self, package: &Package) -> Vec<String> {
        if let Payload::Source(_) = package.payload {
            return vec![source::artifact(package)];
        }
        let (version, release) = (version(&package.version), &package.version.revision);
        vec![format!("{}-{version}-{release}.{}.rpm", package.name, architecture(package.arch))]
    }

    fn version(&self, version: &Version) -> String {
        evr(version)
    }

    fn unspeakable(&self, version: &Version) -> Option<String> {
        unspeakable(version)
    }

    fn check(&self, package: &Package) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let is_named = is_name(&package.name);
        if !is_named {
            let message = format!("`{}` is no name for an .rpm", package.name);
            found.push(
                Diagnostic::error(&UNSPEAKABLE_NAME, message)
                    .about(&package.name)
                    .hint("set `package-name` under `[driver]` in kpkg.toml"),
            );
        }
        found.extend(super::unspeakable_version("an .rpm", &package.version, unspeakable(&package.version)));
        found.extend(super::unspeakable_values(package, &self.artifacts(package)));
        // some relations are made of the name
        for relation in package.relations.iter().filter(|_| is_named) {
            if let Some(reason) = relation::unspeakable(relation) {
                found.push(super::unspeakable_relation(relation, "an .rpm", &reason));
            }
        }
        found.extend(package.fields.keys().filter(|name| !FIELDS.contains(&name.as_str())).map(|name| {
            let message = format!("kpkg knows no field `{name}` of an .rpm");
            let hint = format!("those that can be set are {}", FIELDS.join(" and "));
            super::unspeakable_value(name, message).hint(hint)
        }));
        let times = package.changelog.iter().map(|change| change.time).chain([package.stamp]);
        if let Some(time) = times.max().filter(|time| *time > LATEST) {
            let message =
                format!("{time} seconds since 1970 is a time that the changelog of an .rpm cannot hold");
            let finding = super::unspeakable_value(&time.to_string(), message);
            found.push(finding.hint("set SOURCE_DATE_EPOCH to a time before 7 February 2106"));
        }
        if let Payload::Source(source) = &package.payload {
            found.extend(source::check(package, source));
        }
        if let Some(line) = package.triggers.first() {
            let message = format!("an .rpm has no trigger `{line}`");
            found.push(Diagnostic::error(&UNSPEAKABLE_SCRIPT, message));
        }
        if header_at_most(package) > LARGEST_HEADER
            && metadata(package, &Digests::unknown(package)).len() as u64 > LARGEST_HEADER
        {
            found.push(Diagnostic::error(&TOO_LARGE, "more files than the header of an .rpm can list"));
        }
        found
    }

    fn write(&self, package: &Package, out: &mut dyn Output) -> Result<()> {
        if let Payload::Source(source) = &package.payload {
            return source::write(package, source, out);
        }
        let name = self.artifacts(package).remove(0);
        let means = out.means().clone();
        let hole = metadata(package, &Digests::unknown(package)).len() as u64;
        out.artifact(&name, &mut |stream| {
            let failed = |error| Error::io("cannot write", &name, error);
            archive::zeros(stream, hole).map_err(failed)?;
            let digests = write_payload(package, stream, &means, &failed)?;
            fill(stream, hole, &metadata(package, &digests)).map_err(failed)
        })
    }
}

/// Writes lead and headers into the hole that was left for them.
fn fill(stream: &mut dyn Stream, hole: u64, bytes: &[u8]) -> io::Result<()> {
    if bytes.len() as u64 != hole {
        let text = format!("the header changed its length from {hole} to {}", bytes.len());
        return Err(io::Error::other(text));
    }
    stream.rewind()?;
    stream.write_all(bytes)
}

/// SHA-256 of a file's content; nothing for what is no regular file.
type FileDigest = Option<[u8; 32]>;

/// What is known only after the payload was written.
struct Digests {
    /// Of each entry.
    files: Vec<FileDigest>,
    /// SHA-256 of the payload as it is stored.
    payload: String,
    /// SHA-256 of the payload before compression.
    uncompressed: String,
    /// Bytes of the payload as it is stored.
    payload_size: u64,
    /// Bytes of the payload before compression.
    uncompressed_size: u64,
}

impl Digests {
    /// Values of the same width, for measuring the header.
    fn unknown(package: &Package) -> Self {
        let file = |entry: &Entry| is_file(entry).then_some([0; 32]);
        Self::of(entries(package).iter().map(file).collect(), payload_length(package))
    }

    /// With those of the files, before the payload is written.
    fn of(files: Vec<FileDigest>, uncompressed_size: u64) -> Self {
        Self {
            files,
            payload: UNKNOWN_SHA256.to_owned(),
            uncompressed: UNKNOWN_SHA256.to_owned(),
            payload_size: 0,
            uncompressed_size,
        }
    }
}

fn entries(package: &Package) -> &[Entry] {
    package.payload.entries()
}

fn is_file(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::File { .. })
}

/// Whether a file, or all of them together, need 64-bit sizes.
fn is_large(package: &Package) -> bool {
    entries(package).iter().any(|entry| entry.size() > LARGEST_PLAIN_FILE)
}

// ---- payload ----------------------------------------------------------------------------------------------------------------

/// Names in the payload are `./` and the path.
fn cpio_name(entry: &Entry) -> String {
    format!("./{}", entry.path)
}

const TRAILER: &str = "TRAILER!!!";
/// A `newc` header: a magic number of 6 characters and 13 fields of 8 hexadecimal digits (`cpio(5)`).
const NEWC_HEADER: u64 = 110;
/// rpm's header for packages with large files: a magic number and the index of the file in the header's lists.
const STRIPPED_HEADER: u64 = 14;

fn cpio_padding(length: u64) -> u64 {
    archive::padding(length, 4)
}

/// Bytes of the payload before compression.
fn payload_length(package: &Package) -> u64 {
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

fn write_payload(
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
fn end_payload<W: Write>(mut cpio: Cpio<W>, files: Vec<FileDigest>) -> io::Result<Digests> {
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

fn newc_header(
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
fn digits(number: u32) -> [u8; 8] {
    let bytes = number.to_be_bytes();
    std::array::from_fn(|at| {
        let half = if at % 2 == 0 { bytes[at / 2] >> 4 } else { bytes[at / 2] & 15 };
        b"0123456789abcdef"[usize::from(half)]
    })
}

/// File type and permission bits as `stat(2)` has them.
fn file_mode(entry: &Entry) -> u16 {
    let kind = match entry.kind {
        EntryKind::Directory => 0o040_000,
        EntryKind::File { .. } => 0o100_000,
        EntryKind::Symlink { .. } => 0o120_000,
    };
    kind | entry.mode()
}

// ---- header -----------------------------------------------------------------------------------------------------------------

/// More than the header can take, at little cost: names, 128 bytes of digest and numbers for each file, and room for all else.
fn header_at_most(package: &Package) -> u64 {
    let texts = |entry: &Entry| entry.path.len() as u64 * 2 + link_target(entry).len() as u64 + 128;
    entries(package).iter().map(texts).sum::<u64>() + (64 << 20)
}

/// Lead, signature header and header.
fn metadata(package: &Package, digests: &Digests) -> Vec<u8> {
    assembled(package, header_tags(package, digests), digests, is_large(package))
}

fn assembled(package: &Package, tags: Tags, digests: &Digests, large: bool) -> Vec<u8> {
    let header = tags.header();
    let signature = Signature {
        sha1: format!("{:x}", Sha1::digest(&header)),
        sha256: format!("{:x}", Sha256::digest(&header)),
        size: header.len() as u64 + digests.payload_size,
        payload: digests.uncompressed_size,
        // decided by what is known before the payload is written, so that the width of the header does not change
        is_large: large || digests.uncompressed_size + (header.len() as u64) > LARGEST_PLAIN_FILE,
    };
    let name = format!("{}-{}-{}", package.name, version(&package.version), package.version.revision);
    let is_source = matches!(package.payload, Payload::Source(_));
    [header::lead(&name, is_source), signature.encoded(), header].concat()
}

fn header_tags(package: &Package, digests: &Digests) -> Tags {
    let mut tags = Tags::default();
    identity(&mut tags, package);
    let source =
        format!("{}-{}-{}.src.rpm", package.name, version(&package.version), package.version.revision);
    tags.text(IndexTag::RPMTAG_SOURCERPM, source);
    scripts(&mut tags, package);
    changelog(&mut tags, package);
    let listing = Listing {
        entries: entries(package),
        stamp: package.stamp,
        digests,
        top: "/",
        is_large: is_large(package),
        flags: file_flags,
    };
    file_lists(&mut tags, &listing);
    relations(&mut tags, package);
    payload_tags(&mut tags, package.compression, digests);
    tags
}

fn identity(tags: &mut Tags, package: &Package) {
    use IndexTag as T;
    let extra = |name: &str| package.fields.get(name).cloned();
    tags.texts(T::RPMTAG_HEADERI18NTABLE, ["C"]);
    tags.text(T::RPMTAG_NAME, &package.name);
    tags.text(T::RPMTAG_VERSION, version(&package.version));
    tags.text(T::RPMTAG_RELEASE, &package.version.revision);
    if let Some(epoch) = package.version.epoch {
        tags.number(T::RPMTAG_EPOCH, epoch);
    }
    tags.translated(T::RPMTAG_SUMMARY, &package.summary);
    let paragraphs: Vec<_> = package.paragraphs().into_iter().map(|lines| lines.join("\n")).collect();
    tags.translated(T::RPMTAG_DESCRIPTION, paragraphs.join("\n\n"));
    tags.number(T::RPMTAG_BUILDTIME, package.stamp);
    tags.text(T::RPMTAG_BUILDHOST, "localhost");
    if let Some(vendor) = extra("Vendor") {
        tags.text(T::RPMTAG_VENDOR, vendor);
    }
    tags.text(T::RPMTAG_LICENSE, &package.license);
    tags.text(T::RPMTAG_PACKAGER, &package.maintainer);
    tags.translated(T::RPMTAG_GROUP, extra("Group").unwrap_or_else(|| "Unspecified".to_owned()));
    if !package.homepage.is_empty() {
        tags.text(T::RPMTAG_URL, &package.homepage);
    }
    tags.text(T::RPMTAG_OS, "linux");
    tags.text(T::RPMTAG_ARCH, architecture(package.arch));
    tags.text(T::RPMTAG_PLATFORM, format!("{}-linux", architecture(package.arch)));
    tags.text(T::RPMTAG_RPMVERSION, concat!("kpkg-", env!("CARGO_PKG_VERSION")));
    tags.text(T::RPMTAG_ENCODING, "utf-8");
}

/// The tags of a script, of its interpreter, and the flag that its interpreter's requirement carries (`rpmds.h`).
fn script_tags(when: When) -> (IndexTag, IndexTag, u32) {
    use IndexTag as T;
    match when {
        When::BeforeInstall => (T::RPMTAG_PREIN, T::RPMTAG_PREINPROG, 1 << 9),
        When::AfterInstall => (T::RPMTAG_POSTIN, T::RPMTAG_POSTINPROG, 1 << 10),
        When::BeforeRemove => (T::RPMTAG_PREUN, T::RPMTAG_PREUNPROG, 1 << 11),
        When::AfterRemove => (T::RPMTAG_POSTUN, T::RPMTAG_POSTUNPROG, 1 << 12),
        When::AfterTransaction => (T::RPMTAG_POSTTRANS, T::RPMTAG_POSTTRANSPROG, 1 << 5),
    }
}

const SHELL: &str = "/bin/sh";

fn scripts(tags: &mut Tags, package: &Package) {
    for script in &package.scripts {
        let (body, program, _) = script_tags(script.when);
        // rpmbuild takes blank lines off the end
        tags.text(body, script.body.trim_end());
        tags.text(program, SHELL);
    }
}

fn changelog(tags: &mut Tags, package: &Package) {
    use IndexTag as T;
    if package.changelog.is_empty() {
        return;
    }
    // rpm sets every entry to noon of its day, as the format of specs has no time of day
    let noon = |time: u32| time - time % 86_400 + 43_200;
    tags.numbers(T::RPMTAG_CHANGELOGTIME, package.changelog.iter().map(|change| noon(change.time)));
    let names =
        package.changelog.iter().map(|change| format!("{} - {}", change.author, evr(&change.version)));
    tags.texts(T::RPMTAG_CHANGELOGNAME, names);
    let text = |lines: &[String]| lines.iter().map(|line| format!("- {line}")).collect::<Vec<_>>().join("\n");
    tags.texts(T::RPMTAG_CHANGELOGTEXT, package.changelog.iter().map(|change| text(&change.lines)));
}

/// What the lists of files are made of.
struct Listing<'a> {
    entries: &'a [Entry],
    stamp: u32,
    digests: &'a Digests,
    /// The folder of a path without one.
    top: &'a str,
    /// Whether sizes take 64 bits.
    is_large: bool,
    flags: fn(&Entry) -> u32,
}

fn file_lists(tags: &mut Tags, listing: &Listing<'_>) {
    use IndexTag as T;
    let Listing { entries, digests, .. } = listing;
    let total: u64 = entries.iter().map(Entry::size).sum();
    if total > LARGEST_PLAIN_FILE {
        tags.longs(T::RPMTAG_LONGSIZE, [total]);
    } else {
        tags.number(T::RPMTAG_SIZE, u32::try_from(total).unwrap_or(u32::MAX));
    }
    if entries.is_empty() {
        return;
    }
    let sizes =
        entries.iter().map(|entry| if let EntryKind::Directory = entry.kind { 0 } else { entry.size() });
    if listing.is_large {
        tags.longs(T::RPMTAG_LONGFILESIZES, sizes);
    } else {
        tags.numbers(T::RPMTAG_FILESIZES, sizes.map(|size| u32::try_from(size).unwrap_or(u32::MAX)));
    }
    let all = |value: u32| std::iter::repeat_n(value, entries.len());
    let text = |value: &'static str| std::iter::repeat_n(value, entries.len());
    tags.shorts(T::RPMTAG_FILEMODES, entries.iter().map(file_mode));
    tags.shorts(T::RPMTAG_FILERDEVS, entries.iter().map(|_| 0));
    tags.numbers(T::RPMTAG_FILEMTIMES, all(listing.stamp));
    tags.texts(T::RPMTAG_FILEDIGESTS, digests.files.iter().map(hexadecimal));
    tags.texts(T::RPMTAG_FILELINKTOS, entries.iter().map(link_target));
    tags.numbers(T::RPMTAG_FILEFLAGS, entries.iter().map(listing.flags));
    tags.texts(T::RPMTAG_FILEUSERNAME, text("root"));
    tags.texts(T::RPMTAG_FILEGROUPNAME, text("root"));
    tags.numbers(T::RPMTAG_FILEVERIFYFLAGS, all(u32::MAX));
    tags.numbers(T::RPMTAG_FILEDEVICES, all(1));
    tags.numbers(T::RPMTAG_FILEINODES, (1..).take(entries.len()));
    tags.texts(T::RPMTAG_FILELANGS, text(""));
    tags.number(T::RPMTAG_FILEDIGESTALGO, SHA256);
    directories(tags, entries, listing.top);
}

/// The digits of a digest; nothing where there is none.
fn hexadecimal(digest: &FileDigest) -> String {
    let (halves, _) = digest.as_ref().map(|bytes| bytes.as_chunks::<16>()).unwrap_or_default();
    halves.iter().map(|half| format!("{:032x}", u128::from_be_bytes(*half))).collect()
}

fn link_target(entry: &Entry) -> &str {
    if let EntryKind::Symlink { target } = &entry.kind { target } else { "" }
}

/// `RPMFILE_DOC`, `RPMFILE_LICENSE` (`rpmfiles.h`).
fn file_flags(entry: &Entry) -> u32 {
    match (entry.role, is_file(entry)) {
        (Role::Documentation, true) => 1 << 1,
        (Role::License, true) => 1 << 7,
        _ => 0,
    }
}

fn folder_and_name(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// The paths as a list of folders, and for each file its name and the index of its folder.
fn directories(tags: &mut Tags, entries: &[Entry], top: &str) {
    use IndexTag as T;
    let mut names: Vec<String> = Vec::new();
    let mut index_of = std::collections::HashMap::new();
    let mut indexes = Vec::with_capacity(entries.len());
    for entry in entries {
        let (folder, _) = folder_and_name(&entry.path);
        let next = names.len();
        let index = *index_of.entry(folder).or_insert_with(|| {
            names.push(if folder.is_empty() { top.to_owned() } else { format!("/{folder}/") });
            next
        });
        indexes.push(u32::try_from(index).unwrap_or(u32::MAX));
    }
    tags.numbers(T::RPMTAG_DIRINDEXES, indexes);
    tags.texts(T::RPMTAG_BASENAMES, entries.iter().map(|entry| folder_and_name(&entry.path).1));
    tags.texts(T::RPMTAG_DIRNAMES, names);
}

/// A dependency as the header stores it.
struct Dependency {
    name: String,
    flags: u32,
    version: String,
}

const GREATER: u32 = 1 << 2;
const LESS: u32 = 1 << 1;
const EQUAL: u32 = 1 << 3;
const INTERPRETER: u32 = 1 << 8;
const RPMLIB: u32 = 1 << 24;

fn relations(tags: &mut Tags, package: &Package) {
    use IndexTag as T;
    let of = |kind: RelationKind| {
        package.relations.iter().filter(move |relation| relation.kind == kind).map(dependency)
    };
    let own = Dependency { name: package.name.clone(), flags: EQUAL, version: evr(&package.version) };
    let provides = std::iter::once(own)
        .chain(own_for_machine(package))
        .chain(of(RelationKind::Provides))
        .chain(of_modules(package))
        .collect();
    let requires = of(RelationKind::Requires).chain(interpreters(package)).chain(rpmlib(package)).collect();
    let lists: [([IndexTag; 3], Vec<Dependency>); 7] = [
        ([T::RPMTAG_PROVIDENAME, T::RPMTAG_PROVIDEFLAGS, T::RPMTAG_PROVIDEVERSION], provides),
        ([T::RPMTAG_REQUIRENAME, T::RPMTAG_REQUIREFLAGS, T::RPMTAG_REQUIREVERSION], requires),
        (
            [T::RPMTAG_CONFLICTNAME, T::RPMTAG_CONFLICTFLAGS, T::RPMTAG_CONFLICTVERSION],
            of(RelationKind::Conflicts).collect(),
        ),
        (
            [T::RPMTAG_OBSOLETENAME, T::RPMTAG_OBSOLETEFLAGS, T::RPMTAG_OBSOLETEVERSION],
            of(RelationKind::Replaces).collect(),
        ),
        (
            [T::RPMTAG_RECOMMENDNAME, T::RPMTAG_RECOMMENDFLAGS, T::RPMTAG_RECOMMENDVERSION],
            of(RelationKind::Recommends).collect(),
        ),
        (
            [T::RPMTAG_SUGGESTNAME, T::RPMTAG_SUGGESTFLAGS, T::RPMTAG_SUGGESTVERSION],
            of(RelationKind::Suggests).collect(),
        ),
        (
            [T::RPMTAG_SUPPLEMENTNAME, T::RPMTAG_SUPPLEMENTFLAGS, T::RPMTAG_SUPPLEMENTVERSION],
            of(RelationKind::Supplements).collect(),
        ),
    ];
    for (names, mut list) in lists {
        // rpmbuild writes what is said twice once
        let mut known = BTreeSet::new();
        list.retain(|one| known.insert((one.name.clone(), one.flags, one.version.clone())));
        dependency_list(tags, names, &list);
    }
}

/// Names, flags and versions of dependencies of one kind.
fn dependency_list(tags: &mut Tags, [name, flags, version]: [IndexTag; 3], list: &[Dependency]) {
    if !list.is_empty() {
        tags.texts(name, list.iter().map(|dependency| &dependency.name));
        tags.numbers(flags, list.iter().map(|dependency| dependency.flags));
        tags.texts(version, list.iter().map(|dependency| &dependency.version));
    }
}

/// `NAME(x86-64) = VERSION`, where the package is for one kind of machine: rpm's `%{?_isa}`.
fn own_for_machine(package: &Package) -> Option<Dependency> {
    let machine = match package.arch {
        Arch::Any => return None,
        Arch::X86_64 => "x86-64",
        Arch::I686 => "x86-32",
        Arch::Aarch64 => "aarch-64",
        Arch::Armv7 => "armv7hl-32",
        Arch::Ppc64le => "ppc-64",
        Arch::S390x => "s390-64",
        Arch::Riscv64 => "riscv-64",
        Arch::Loongarch64 => "loongarch-64",
    };
    Some(Dependency {
        name: format!("{}({machine})", package.name),
        flags: EQUAL,
        version: evr(&package.version),
    })
}

/// `kmod(NAME.ko)` and `modalias(ALIAS) = VERSION`, as the generators of kernel-srpm-macros and of rpm-config-SUSE write them.
fn of_modules(package: &Package) -> impl Iterator<Item = Dependency> {
    let module = |module: &Module| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~^".contains(&byte);
        let version =
            module.version.clone().filter(|version| !version.is_empty() && version.bytes().all(is_plain));
        let flags = if version.is_some() { EQUAL } else { 0 };
        let version = version.unwrap_or_default();
        let allowed = |next: char| next.is_ascii_alphanumeric() || "._:*?/-".contains(next);
        let alias = |alias: &String| Dependency {
            name: format!(
                "modalias({})",
                alias.chars().map(|next| if allowed(next) { next } else { '_' }).collect::<String>()
            ),
            flags,
            version: version.clone(),
        };
        let own = Dependency { name: format!("kmod({}.ko)", module.name), flags: 0, version: String::new() };
        let aliases: Vec<_> = module.aliases.iter().map(alias).collect();
        std::iter::once(own).chain(aliases)
    };
    package.modules.iter().flat_map(module)
}

/// Alternatives become a rich dependency: `(a or b >= 1)`.
fn dependency(relation: &Relation) -> Dependency {
    if let [capability] = relation.any_of.as_slice() {
        let (flags, version) = bound(capability);
        return Dependency { name: capability.name.clone(), flags, version };
    }
    let alternatives: Vec<_> = relation.any_of.iter().map(rich).collect();
    Dependency { name: format!("({})", alternatives.join(" or ")), flags: 0, version: String::new() }
}

fn rich(capability: &Capability) -> String {
    let (flags, version) = bound(capability);
    match flags {
        0 => capability.name.clone(),
        EQUAL => format!("{} = {version}", capability.name),
        _ => format!("{} >= {version}", capability.name),
    }
}

fn bound(capability: &Capability) -> (u32, String) {
    match &capability.bound {
        None => (0, String::new()),
        Some((comparison, bound)) => {
            let flags = match comparison {
                Comparison::AtLeast => GREATER | EQUAL,
                Comparison::Equal => EQUAL,
            };
            let version = match bound {
                Bound::Native(text) => text.clone(),
                Bound::Own(version) => evr(version),
            };
            (flags, version)
        }
    }
}

/// rpmbuild adds the interpreter of every script; so must a direct writer.
fn interpreters(package: &Package) -> impl Iterator<Item = Dependency> {
    package.scripts.iter().map(|script| {
        let (_, _, flag) = script_tags(script.when);
        Dependency { name: SHELL.to_owned(), flags: INTERPRETER | flag, version: String::new() }
    })
}

/// The features of rpm that reading this package takes, with the versions rpmbuild writes (`lib/rpmds.c`).
fn rpmlib(package: &Package) -> Vec<Dependency> {
    let mut needs: Vec<(&str, &str)> = Vec::new();
    if !entries(package).is_empty() {
        needs.extend([
            ("CompressedFileNames", "3.0.4-1"),
            ("FileDigests", "4.6.0-1"),
            ("PayloadFilesHavePrefix", "4.0-1"),
        ]);
    }
    match package.compression.codec {
        Codec::Xz => needs.push(("PayloadIsXz", "5.2-1")),
        Codec::Zstd => needs.push(("PayloadIsZstd", "5.4.18-1")),
        Codec::Gzip | Codec::None => {}
    }
    let capabilities = || package.relations.iter().flat_map(|relation| &relation.any_of);
    let native = capabilities().filter_map(|capability| match &capability.bound {
        Some((_, Bound::Native(text))) => Some(text.clone()),
        _ => None,
    });
    let versions: Vec<_> = native.chain([evr(&package.version)]).collect();
    let rich = |relation: &Relation| relation.any_of.len() > 1 || relation.any_of[0].name.starts_with('(');
    if package.relations.iter().any(rich) {
        needs.push(("RichDependencies", "4.12.0-1"));
    }
    if versions.iter().any(|version| version.contains('~')) {
        needs.push(("TildeInVersions", "4.10.0-1"));
    }
    if versions.iter().any(|version| version.contains('^')) {
        needs.push(("CaretInVersions", "4.15.0-1"));
    }
    if is_large(package) {
        needs.push(("LargeFiles", "4.12.0-1"));
    }
    let need = |(feature, version): (&str, &str)| Dependency {
        name: format!("rpmlib({feature})"),
        flags: RPMLIB | LESS | EQUAL,
        version: version.to_owned(),
    };
    needs.into_iter().map(need).collect()
}

fn payload_tags(tags: &mut Tags, compression: Compression, digests: &Digests) {
    use IndexTag as T;
    tags.text(T::RPMTAG_PAYLOADFORMAT, "cpio");
    let compressor = match compression.codec {
        Codec::None => None,
        Codec::Gzip => Some("gzip"),
        Codec::Xz => Some("xz"),
        Codec::Zstd => Some("zstd"),
    };
    if let Some(compressor) = compressor {
        tags.text(T::RPMTAG_PAYLOADCOMPRESSOR, compressor);
        tags.text(T::RPMTAG_PAYLOADFLAGS, compression.level.to_string());
    }
    tags.texts(T::RPMTAG_PAYLOADSHA256, [&digests.payload]);
    tags.number(T::RPMTAG_PAYLOADSHA256ALGO, SHA256);
    // for payloads that are compressed anew (rpm 4.16 and later)
    tags.texts(T::RPMTAG_PAYLOADSHA256ALT, [&digests.uncompressed]);
}

// ---- spelling ---------------------------------------------------------------------------------------------------------------

fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::Any => "noarch",
        Arch::X86_64 => "x86_64",
        Arch::I686 => "i686",
        Arch::Aarch64 => "aarch64",
        Arch::Armv7 => "armv7hl",
        Arch::Ppc64le => "ppc64le",
        Arch::S390x => "s390x",
        Arch::Riscv64 => "riscv64",
        Arch::Loongarch64 => "loongarch64",
    }
}

/// `VERSION[~PRE]`, without epoch and release.
///
/// The mapping is injective over what [`unspeakable`] accepts: `-`, which separates version and release, becomes `_`; a `_` of the
/// driver's own is doubled, since a single one stands for a dash; a pre-release tag stands behind a `~`, and between them what
/// stood before it in the driver's version, see [`Version::pre`].
fn version(version: &Version) -> String {
    let pre = version.pre.as_ref().map(|pre| format!("~{}", mapped(pre))).unwrap_or_default();
    format!("{}{pre}", mapped(&version.upstream))
}

fn mapped(text: &str) -> String {
    text.replace('_', "__").replace('-', "_")
}

fn evr(full: &Version) -> String {
    let epoch = full.epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
    format!("{epoch}{}-{}", version(full), full.revision)
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    name.bytes().all(allowed)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
}

/// Why a version has no spelling, rpm-version(7).
fn unspeakable(version: &Version) -> Option<String> {
    if !version.has_revision() {
        return Some("has no release, which an .rpm needs".to_owned());
    }
    if evr(version).contains("..") {
        return Some("has `..`, which rpmbuild refuses".to_owned());
    }
    super::bad_version(version, ".+~-_^", b"-_~")
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::format::spelling::{assert_spelled, version as parts};

    /// rpm-version(7) and rpm's `docs/manual/spec.md`: `[epoch:]version-release`; both have letters, digits and `. _ + ~ ^`, and no
    /// dash; `~` sorts before the end.
    #[test]
    fn versions_are_spelled_as_rpm_reads_them() {
        let rows = [
            (None, "1.2.0", "", "1", Ok("1.2.0-1")),
            (Some(2), "1.2", "", "3", Ok("2:1.2-3")),
            (Some(0), "1.2", "", "3", Ok("0:1.2-3")),
            // before the release
            (None, "1.0", "rc1", "1", Ok("1.0~rc1-1")),
            (None, "1.0", "+rc1", "1", Ok("1.0~+rc1-1")),
            (None, "1.0", "_rc1", "1", Ok("1.0~__rc1-1")),
            (None, "1.0", "beta-2", "1", Ok("1.0~beta_2-1")),
            // no dash, and its own underscores are told from those in its place
            (None, "1-5", "", "1", Ok("1_5-1")),
            (None, "1_0", "", "1", Ok("1__0-1")),
            (None, "1.0^git5", "", "1", Ok("1.0^git5-1")),
            // it may begin with a letter
            (None, "r5", "", "1", Ok("r5-1")),
            (None, "1.0", "", "1~x1", Ok("1.0-1~x1")),
            // there is no package without a release
            (None, "1.0", "", "", Err("has no release, which an .rpm needs")),
            (None, "1.0", "", "~x1", Err("has no release, which an .rpm needs")),
            (None, "1.0", "", "1-1", Err("has the revision `1-1`, which may hold no `-`")),
            // what no version has
            (None, "", "", "1", Err("is empty")),
            (None, "1..0", "", "1", Err("has `..`, which rpmbuild refuses")),
            (None, "1 0", "", "1", Err("has the character ` `")),
            (None, "1:0", "", "1", Err("has the character `:`")),
            // others could be spelled the same
            (None, "1__0", "", "1", Err("has `__`, two separators in a row")),
            (None, "1-_0", "", "1", Err("has `-_`, two separators in a row")),
            (None, "1.0~+rc1", "", "1", Err("has `~+`, two separators in a row")),
        ];
        assert_spelled(&rows, evr, unspeakable);
    }

    /// rpm's `docs/manual/dependencies.md`: a name, flags and a version; `docs/manual/boolean_dependencies.md`: alternatives are one
    /// name in parentheses, with what it compares within.
    #[test]
    fn relations_are_stored_as_rpm_reads_them() {
        for (text, expected) in [
            ("dkms", ("dkms", 0, "")),
            ("dkms >= 3.0.10", ("dkms", GREATER | EQUAL, "3.0.10")),
            ("a = 1:2-3", ("a", EQUAL, "1:2-3")),
            ("kernel-devel | kernel-default-devel", ("(kernel-devel or kernel-default-devel)", 0, "")),
            ("a >= 1 | b = 2 | c", ("(a >= 1 or b = 2 or c)", 0, "")),
            ("(a and b = 1)", ("(a and b = 1)", 0, "")),
        ] {
            let relation = Relation::parse(RelationKind::Requires, text).unwrap();
            let Dependency { name, flags, version } = dependency(&relation);
            assert_eq!((name.as_str(), flags, version.as_str()), expected);
        }
        let own = Bound::Own(parts(Some(1), "2.0", "rc1", "1"));
        let own = Capability { name: "a".to_owned(), bound: Some((Comparison::AtLeast, own)) };
        assert_eq!(rich(&own), "a >= 1:2.0~rc1-1");
    }
}
