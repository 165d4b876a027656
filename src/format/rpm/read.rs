//! A finished .rpm or .src.rpm as a package: rpm's `docs/manual/format_v4.md`, `lib/header.c`, cpio(5).
//!
//! Must not hold what it reads but for headers; nothing of a foreign package is trusted.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::path::Path;

use digest::Digest;
use rpm::{DependencyFlags, IndexSignatureTag, IndexTag, PackageMetadata};
use sha2::Sha256;

use super::super::{Contents, ReadFile, ReadPackage, ReadScript, kind_of};
use super::LARGEST_HEADER;
use super::cpio::read_cpio;
use super::spell::KERNELS;
use crate::archive;
use crate::base::beneath::open_regular;
use crate::base::error::{Error, Result};
use crate::package::{Bound, Capability, Comparison, Relation, RelationKind, When};

/// Reads an `.rpm`: the header by the `rpm` crate, the payload entry by entry.
pub(super) fn read(path: &Path, contents: &mut dyn Contents) -> Result<Option<ReadPackage>> {
    let unreadable = |error: io::Error| Error::io("cannot read the package", path, error).as_usage();
    let invalid =
        |error: rpm::Error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error.to_string()));
    let mut file = io::BufReader::new(open_regular(path).map_err(unreadable)?);
    if !file.fill_buf().map_err(unreadable)?.starts_with(&LEAD_MAGIC) {
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
    let mut found =
        ReadPackage { format: "rpm", name: text(metadata.get_name()), version, ..ReadPackage::default() };
    found.arch = text(metadata.get_arch());
    found.requires = metadata.get_requires().map_err(invalid)?.into_iter().map(|need| need.name).collect();
    found.format = if header.entry_is_present(IndexTag::RPMTAG_SOURCEPACKAGE) { "srpm" } else { "rpm" };
    read_metadata(&metadata, &mut found).map_err(invalid)?;
    let scripts = [
        ("%pretrans", None, metadata.get_pre_trans_script()),
        ("%pre", Some(When::BeforeInstall), metadata.get_pre_install_script()),
        ("%post", Some(When::AfterInstall), metadata.get_post_install_script()),
        ("%preun", Some(When::BeforeRemove), metadata.get_pre_uninstall_script()),
        ("%postun", Some(When::AfterRemove), metadata.get_post_uninstall_script()),
        ("%posttrans", Some(When::AfterTransaction), metadata.get_post_trans_script()),
    ];
    for (name, when, script) in scripts {
        let Ok(script) = script else { continue };
        if !script.script.is_empty() {
            let program = script.program.and_then(|program| program.into_iter().next());
            found.scripts.push(ReadScript { name: name.to_owned(), when, text: script.script, program });
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
            let is_ours = name == "%transfiletrigger"
                && trigger.conditions.iter().all(|condition| KERNELS.contains(&condition.name.as_str()));
            let when = is_ours.then_some(When::AfterKernels);
            found.scripts.push(ReadScript { name: name.to_owned(), when, text: trigger.script, program });
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
        found.files.push(ReadFile {
            path: format!("/{}", entry.path().to_string_lossy().trim_start_matches('/')),
            mode: mode & 0o7777,
            owner: format!("{}:{}", entry.user(), entry.group()),
            kind: kind_of(
                mode & 0o170_000 == 0o040_000,
                entry.linkto().filter(|target| !target.is_empty()).map(str::to_owned),
                entry.size() as u64,
                mode,
            ),
            checksum: entry.digest().map(|digest| digest.as_hex().to_owned()),
        });
    }
    if weak {
        found.lacks.push("SHA-256 digests of the files; MD5 and SHA-1 do not work in FIPS mode".to_owned());
    }
    if found.files.iter().any(|file| contents.wants(&file.path)) {
        let mut stored = Hashed { inner: file, sha256: Sha256::new() };
        let reader = archive::decompressed(&mut stored).map_err(unreadable)?;
        read_payload(reader, &found.files, contents).map_err(unreadable)?;
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

pub(super) fn hex(digest: impl AsRef<[u8]>) -> String {
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

/// How long the lead is.
pub(super) const LEAD: usize = 96;
/// What that begins with.
pub(super) const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];

/// Lead, signature header and header as they stand in the file, and where the header begins, when every entry of their indexes lies
/// within its store: the `rpm` crate, which reads them next, takes that for granted.
pub(super) fn read_headers(reader: &mut dyn Read) -> io::Result<(Vec<u8>, usize)> {
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

/// What [`ReadPackage`] keeps beside name, version and files.
fn read_metadata(metadata: &PackageMetadata, found: &mut ReadPackage) -> std::result::Result<(), rpm::Error> {
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
    let of = |kind: RelationKind, list: Vec<rpm::Dependency>| {
        let mut relations: Vec<_> =
            list.into_iter().filter(|need| !need.name.starts_with("rpmlib(")).map(capability).collect();
        relations.dedup();
        relations.into_iter().map(move |capability| Relation { kind, any_of: vec![capability] })
    };
    let requires = of(RelationKind::Requires, metadata.get_requires()?);
    if found.format == "srpm" {
        found.build_requires.extend(requires);
    } else {
        found.relations.extend(requires);
    }
    for (kind, list) in [
        (RelationKind::Recommends, metadata.get_recommends()?),
        (RelationKind::Suggests, metadata.get_suggests()?),
        (RelationKind::Supplements, metadata.get_supplements()?),
        (RelationKind::Enhances, metadata.get_enhances()?),
        (RelationKind::Conflicts, metadata.get_conflicts()?),
        (RelationKind::Replaces, metadata.get_obsoletes()?),
        (RelationKind::Provides, metadata.get_provides()?),
    ] {
        found.relations.extend(of(kind, list));
    }
    Ok(())
}

/// A name and its bound; a rich dependency is a name.
fn capability(need: rpm::Dependency) -> Capability {
    let has = |flag: DependencyFlags| need.flags.contains(flag);
    let comparison = match [DependencyFlags::LESS, DependencyFlags::EQUAL, DependencyFlags::GREATER].map(has)
    {
        [true, true, false] => Comparison::AtMost,
        [true, ..] => Comparison::Less,
        [_, true, true] => Comparison::AtLeast,
        [.., true] => Comparison::Greater,
        [_, true, _] => Comparison::Equal,
        _ => return Capability::named(need.name),
    };
    Capability { name: need.name, bound: Some((comparison, Bound::Native(need.version))) }
}

/// Shows the files of a payload.
fn read_payload(reader: impl Read, files: &[ReadFile], contents: &mut dyn Contents) -> io::Result<()> {
    // of a file with several names only the last has the content
    let mut names_of: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let end = read_cpio(reader, files, &mut |entry, content| {
        if !entry.is_file || !contents.wants(&entry.path) {
            return Ok(());
        }
        if entry.links > 1 && entry.size == 0 {
            names_of.entry(entry.inode).or_default().push(entry.path);
            return Ok(());
        }
        contents.take(&entry.path, content)?;
        for name in names_of.remove(&entry.inode).unwrap_or_default() {
            contents.same(&name, &entry.path)?;
        }
        Ok(())
    });
    end.map(drop)
}
