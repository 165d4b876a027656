//! A finished .rpm written again with other contents: payload, header and signature header, in which only what depends on the contents
//! changes (rpm's `docs/manual/format_v4.md`).
//!
//! Must not change anything else, and never keeps a signature over what is no longer there.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use digest::{Digest, DynDigest};
use md5::Md5;
use rpm::{IndexSignatureTag as S, IndexTag as T};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

use super::super::{Exchange, Nobody, ReadPackage};
use super::cpio::{CpioEntry, read_cpio};
use super::header::{IMMUTABLE, Tags};
use super::payload::{cpio_padding, digits};
use super::read::{LEAD, hex, read, read_headers};
use super::sign::signature_tags;
use crate::archive::{self, Blind, Compressor, Reader, Same, Stretch, Tapped};
use crate::base::beneath::open_regular;
use crate::base::error::{Error, Result};
use crate::output::{Means, Output, Scratch};
use crate::package::{Codec, Compression};

/// Signatures of the header, and of header and payload.
pub(super) const VOID: [(u32, &str); 5] = [
    (S::RPMSIGTAG_DSA as u32, "DSAHEADER"),
    (S::RPMSIGTAG_RSA as u32, "RSAHEADER"),
    (S::RPMSIGTAG_OPENPGP as u32, "OPENPGP"),
    (S::RPMSIGTAG_PGP as u32, "SIGPGP"),
    (S::RPMSIGTAG_GPG as u32, "SIGGPG"),
];
/// Signatures of single files, with what belongs to them.
const OF_FILES: [(u32, &str); 4] = [
    (S::RPMSIGTAG_FILESIGNATURES as u32, "FILESIGNATURES"),
    (S::RPMSIGTAG_FILESIGNATURE_LENGTH as u32, "FILESIGNATURELENGTH"),
    (S::RPMSIGTAG_VERITYSIGNATURES as u32, "VERITYSIGNATURES"),
    (S::RPMSIGTAG_VERITYSIGNATUREALGO as u32, "VERITYSIGNATUREALGO"),
];
/// What else is computed from what changes, and that kpkg does not compute: of rpm 6's own format, and a digest of its.
const UNKNOWN: [u32; 2] = [T::RPMTAG_RPMFORMAT as u32, S::RPMSIGTAG_SHA3_256 as u32];

/// Writes it; the names of the tags that held signatures, which are left out when anything changes.
pub(super) fn rewrite(path: &Path, exchange: &Exchange, out: &mut dyn Output) -> Result<Vec<String>> {
    let unreadable = |error| Error::io("cannot read the package", path, error).as_usage();
    let Some(found) = read(path, &mut Nobody)? else {
        return Err(Error::usage("is no package:").at(path));
    };
    let mut file = open_regular(path).map_err(unreadable)?;
    let (headers, at) = read_headers(&mut file).map_err(unreadable)?;
    let file = Arc::new(file);
    let stored = Stretch::rest(&file, headers.len() as u64).map_err(unreadable)?;
    let means = out.means().clone();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |error| Error::io("cannot write", &name, error);
    let refused = |why: &str| Error::usage(format!("{why}:")).at(path);
    let (mut tags, mut signature) = parsed(&headers, at, exchange).map_err(refused)?;
    let mut payload = Payload {
        found: &found,
        exchange,
        algorithm: tags.numbers_of(T::RPMTAG_FILEDIGESTALGO as u32).first().copied(),
        digests: tags.strings_of(T::RPMTAG_FILEDIGESTS as u32).into_iter().map(<[u8]>::to_vec).collect(),
        reader: Reader::new(&means),
    };
    let mut content = None;
    if !exchange.files.is_empty() {
        let written = payload.written(&stored, level(&tags), &*out)?;
        tags.set_strings(T::RPMTAG_FILEDIGESTS as u32, &payload.digests);
        tags.set_strings(T::RPMTAG_PAYLOADSHA256 as u32, [&written.stored]);
        tags.set_strings(T::RPMTAG_PAYLOADSHA256ALT as u32, [&written.uncompressed]);
        if !sizes(&mut tags, &found, exchange) {
            return Err(refused("would need 64 bits for its sizes"));
        }
        content = Some(written);
    }
    for (name, text) in &exchange.scripts {
        let tag = script_tag(name).ok_or_else(|| refused(&format!("has no one `{name}` to exchange")))?;
        tags.set_strings(tag, [text]);
    }
    let of_files = OF_FILES.iter().filter(|_| !exchange.files.is_empty());
    let void = VOID.iter().chain(of_files);
    let void = void.filter(|(tag, _)| signature.remove(*tag)).map(|(_, name)| (*name).to_owned());
    let void = void.collect();
    let header = tags.header();
    if !signature_sizes(&mut signature, &header, content.as_ref(), &stored) {
        return Err(refused("would need 64 bits for its sizes"));
    }
    let hole = signature.clone().signature().len() as u64;
    out.artifact(&name, &mut |stream| {
        stream.write_all(&headers[..LEAD]).map_err(failed)?;
        archive::zeros(stream, hole).map_err(failed)?;
        // over header and payload
        let mut both = Tapped::new(&mut *stream, Md5::new());
        both.write_all(&header).map_err(failed)?;
        match &mut content {
            Some(content) => io::copy(&mut content.scratch.read().map_err(failed)?, &mut both),
            None => io::copy(&mut stored.clone(), &mut both),
        }
        .map_err(failed)?;
        signature.set(S::RPMSIGTAG_MD5 as u32, both.tap.finalize().to_vec());
        stream.seek(io::SeekFrom::Start(LEAD as u64)).map_err(failed)?;
        stream.write_all(&signature.clone().signature()).map_err(failed)
    })?;
    Ok(void)
}

/// The entries of the header and of the signature header, or why they cannot be changed.
fn parsed(headers: &[u8], at: usize, exchange: &Exchange) -> Result<(Tags, Tags), &'static str> {
    let tags =
        Tags::parse(&headers[at..], IMMUTABLE).ok_or("has a header that cannot be written again as it is")?;
    let signature = signature_tags(&headers[LEAD..at])
        .ok_or("has a signature header that cannot be written again as it is")?;
    if UNKNOWN.iter().any(|tag| tags.has(*tag) || signature.has(*tag)) {
        return Err("has digests of rpm 6 that kpkg does not compute");
    }
    let forbids = !exchange.files.is_empty() && !exchange.drops_file_signatures;
    if forbids && OF_FILES.iter().any(|(tag, _)| signature.has(*tag)) {
        return Err(
            "has signatures of its files (IMA or fs-verity) that would be void; `--drop-file-signatures` leaves them out",
        );
    }
    Ok((tags, signature))
}

/// The level that the header says, such as `6`, `19T8` or `w9.xzdio`.
fn level(tags: &Tags) -> Option<u32> {
    let flags = tags.strings_of(T::RPMTAG_PAYLOADFLAGS as u32).first().map(|text| text.to_vec())?;
    let flags = String::from_utf8(flags).ok()?;
    let digits = flags.trim_start_matches(|next: char| !next.is_ascii_digit());
    digits.split(|next: char| !next.is_ascii_digit()).next()?.parse().ok()
}

/// The tag of a script by its name; triggers share theirs.
fn script_tag(name: &str) -> Option<u32> {
    Some(match name {
        "%pretrans" => T::RPMTAG_PRETRANS,
        "%pre" => T::RPMTAG_PREIN,
        "%post" => T::RPMTAG_POSTIN,
        "%preun" => T::RPMTAG_PREUN,
        "%postun" => T::RPMTAG_POSTUN,
        "%posttrans" => T::RPMTAG_POSTTRANS,
        _ => return None,
    } as u32)
}

/// The sizes of the files, and of all together; false where they need more bits.
fn sizes(tags: &mut Tags, found: &ReadPackage, exchange: &Exchange) -> bool {
    let mut is_held = true;
    let (mut grown, mut shrunk) = (0, 0);
    for tag in [T::RPMTAG_FILESIZES as u32, T::RPMTAG_LONGFILESIZES as u32] {
        let mut sizes = tags.numbers_of(tag);
        for (size, file) in sizes.iter_mut().zip(&found.files) {
            if let Some(content) = exchange.files.get(&file.path) {
                shrunk += *size;
                *size = content.size();
                grown += *size;
            }
        }
        is_held = tags.set_numbers(tag, &sizes) && is_held;
    }
    for tag in [T::RPMTAG_SIZE as u32, T::RPMTAG_LONGSIZE as u32] {
        let sizes: Vec<_> =
            tags.numbers_of(tag).into_iter().map(|size| (size + grown).saturating_sub(shrunk)).collect();
        is_held = tags.set_numbers(tag, &sizes) && is_held;
    }
    is_held
}

/// The digests of the header and the sizes; false where they need more bits.
fn signature_sizes(signature: &mut Tags, header: &[u8], written: Option<&Written>, stored: &Stretch) -> bool {
    signature.set_strings(S::RPMSIGTAG_SHA1 as u32, [hex(Sha1::digest(header))]);
    signature.set_strings(S::RPMSIGTAG_SHA256 as u32, [hex(Sha256::digest(header))]);
    let payload = written.map_or(stored.length(), |written| written.stored_size);
    let mut sizes = vec![(S::RPMSIGTAG_SIZE as u32, payload), (S::RPMSIGTAG_LONGSIZE as u32, payload)];
    for (_, size) in &mut sizes {
        *size += header.len() as u64;
    }
    if let Some(written) = written {
        let size = written.uncompressed_size;
        sizes.push((S::RPMSIGTAG_PAYLOADSIZE as u32, size));
        sizes.push((S::RPMSIGTAG_LONGARCHIVESIZE as u32, size));
    }
    sizes.iter().all(|(tag, size)| !signature.has(*tag) || signature.set_numbers(*tag, &[*size]))
}

/// A payload that was written again.
struct Written {
    scratch: Scratch,
    /// SHA-256 of it as it is stored, and before compression.
    stored: String,
    uncompressed: String,
    stored_size: u64,
    uncompressed_size: u64,
}

/// What a payload is written of.
struct Payload<'a> {
    found: &'a ReadPackage,
    exchange: &'a Exchange,
    /// How files are digested, in the numbering of OpenPGP.
    algorithm: Option<u64>,
    /// Those of all files, in hexadecimal digits.
    digests: Vec<Vec<u8>>,
    reader: Reader<'a>,
}

/// A digest of any kind, on the way.
struct Any(Box<dyn DynDigest>);

impl digest::Update for Any {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

impl Payload<'_> {
    fn written(&mut self, stored: &Stretch, level: Option<u32>, out: &dyn Output) -> Result<Written> {
        let unreadable = |error| Error::io("cannot read", "the package", error).as_usage();
        let failed = |error| Error::io("cannot write", "the package", error);
        let means: &Means = out.means();
        let codec = archive::stream_codec(stored).map_err(unreadable)?;
        let level = level.filter(|level| codec.levels().contains(level)).unwrap_or(codec.default_level());
        let cpio = || archive::decompressed(stored.clone()).map_err(unreadable);
        let mut same = Same::new(cpio()?);
        self.copy(cpio()?, false, &mut same)
            .and_then(|()| same.end().map_err(failed))
            .map_err(|_| Error::usage("its payload cannot be written again as it is"))?;
        let mut measured = Tapped::new(io::sink(), Blind);
        self.copy(cpio()?, true, &mut measured)?;
        let compression = Compression { codec, level: if codec == Codec::None { 0 } else { level } };
        let stored = Tapped::new(out.scratch()?, Sha256::new());
        let compressor = Compressor::new(stored, compression, measured.count, means)?;
        let mut again = Tapped::new(compressor, Sha256::new());
        self.copy(cpio()?, true, &mut again)?;
        let uncompressed = hex(again.tap.finalize());
        let stored = again.out.finish().map_err(failed)?;
        Ok(Written {
            stored: hex(stored.tap.finalize()),
            uncompressed,
            stored_size: stored.count,
            uncompressed_size: again.count,
            scratch: stored.out,
        })
    }

    /// Copies a payload, with the other contents or as it is.
    fn copy(&mut self, cpio: impl Read, exchanging: bool, out: &mut dyn Write) -> Result<()> {
        let mut failed = None;
        let end = read_cpio(cpio, &self.found.files, &mut |entry, content| {
            let is_other = exchanging && entry.is_file && self.exchange.files.contains_key(&entry.path);
            if !is_other {
                out.write_all(&entry.head)?;
                let size = io::copy(content, out)?;
                return archive::zeros(out, cpio_padding(size));
            }
            self.exchanged(entry, out).map_err(|error| {
                failed = Some(error);
                io::ErrorKind::Other.into()
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let copied = end.and_then(|end| out.write_all(&end));
        copied.map_err(|error| Error::io("cannot write", "the package", error))
    }

    /// An entry with another content.
    fn exchanged(&mut self, mut entry: CpioEntry, out: &mut dyn Write) -> Result<()> {
        let failed = |error| Error::io("cannot write", "the package", error);
        let content = &self.exchange.files[&entry.path];
        if entry.is_sized {
            let size = u32::try_from(content.size());
            let size = size.map_err(|_| Error::usage("is too large for the package:").at(&entry.path))?;
            entry.head[54..62].copy_from_slice(&digits(size));
        }
        let digest: Box<dyn DynDigest> = match self.algorithm {
            None | Some(1) => Box::new(Md5::new()),
            Some(2) => Box::new(Sha1::new()),
            Some(8) => Box::new(Sha256::new()),
            Some(9) => Box::new(Sha384::new()),
            Some(10) => Box::new(Sha512::new()),
            Some(_) => return Err(Error::usage("its files have digests that kpkg does not know")),
        };
        let mut digest = Any(digest);
        out.write_all(&entry.head).map_err(failed)?;
        self.reader.copy(content, out, &mut digest, &failed)?;
        archive::zeros(out, cpio_padding(content.size())).map_err(failed)?;
        let at = self.found.files.iter().position(|file| file.path == entry.path);
        if let Some(stated) = at.and_then(|at| self.digests.get_mut(at)) {
            *stated = hex(digest.0.finalize()).into_bytes();
        }
        Ok(())
    }
}
