//! The header of a package: tags of what it is and of every file it brings, with digests of a fixed width.
//!
//! Must not decide what is in it.

use std::collections::BTreeSet;
use std::io;

use digest::Digest;
use rpm::IndexTag;
use sha1::Sha1;
use sha2::Sha256;

use super::header::{Signature, Tags};
use super::payload::{LARGEST_PLAIN_FILE, file_mode, is_large, payload_length};
use super::spell::{
    Dependency, EQUAL, KERNELS, SHELL, TRIGGER_IN, architecture, dependency, evr, interpreters, offers,
    own_for_machine, rpmlib, script_tags, version,
};
use crate::output::Stream;
use crate::package::{Codec, Compression, Entry, EntryKind, Package, Payload, RelationKind, Role, When};

/// The hexadecimal text of a SHA-256 digest, before it is known.
const UNKNOWN_SHA256: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// SHA-256 in the numbering of OpenPGP (RFC 9580, 9.5), which rpm uses.
const SHA256: u32 = 8;

/// Writes lead and headers into the hole that was left for them.
pub(super) fn fill(stream: &mut dyn Stream, hole: u64, bytes: &[u8]) -> io::Result<()> {
    if bytes.len() as u64 != hole {
        let text = format!("the header changed its length from {hole} to {}", bytes.len());
        return Err(io::Error::other(text));
    }
    stream.rewind()?;
    stream.write_all(bytes)
}

/// SHA-256 of a file's content; nothing for what is no regular file.
pub(super) type FileDigest = Option<[u8; 32]>;

/// What is known only after the payload was written.
pub(super) struct Digests {
    /// Of each entry.
    pub(super) files: Vec<FileDigest>,
    /// SHA-256 of the payload as it is stored.
    pub(super) payload: String,
    /// SHA-256 of the payload before compression.
    pub(super) uncompressed: String,
    /// Bytes of the payload as it is stored.
    pub(super) payload_size: u64,
    /// Bytes of the payload before compression.
    pub(super) uncompressed_size: u64,
}

impl Digests {
    /// Values of the same width, for measuring the header.
    pub(super) fn unknown(package: &Package) -> Self {
        let file = |entry: &Entry| is_file(entry).then_some([0; 32]);
        Self::of(entries(package).iter().map(file).collect(), payload_length(package))
    }

    /// With those of the files, before the payload is written.
    pub(super) fn of(files: Vec<FileDigest>, uncompressed_size: u64) -> Self {
        Self {
            files,
            payload: UNKNOWN_SHA256.to_owned(),
            uncompressed: UNKNOWN_SHA256.to_owned(),
            payload_size: 0,
            uncompressed_size,
        }
    }
}

pub(super) fn entries(package: &Package) -> &[Entry] {
    package.payload.entries()
}

pub(super) fn is_file(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::File { .. })
}

// ---- header -----------------------------------------------------------------------------------------------------------------

/// More than the header can take, at little cost: names, 128 bytes of digest and numbers for each file, and room for all else.
pub(super) fn header_at_most(package: &Package) -> u64 {
    let texts = |entry: &Entry| entry.path.len() as u64 * 2 + link_target(entry).len() as u64 + 128;
    entries(package).iter().map(texts).sum::<u64>() + (64 << 20)
}

/// Lead, signature header and header.
pub(super) fn metadata(package: &Package, digests: &Digests) -> Vec<u8> {
    assembled(package, header_tags(package, digests), digests, is_large(package))
}

pub(super) fn assembled(package: &Package, tags: Tags, digests: &Digests, large: bool) -> Vec<u8> {
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
    [super::header::lead(&name, is_source), signature.encoded(), header].concat()
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

pub(super) fn identity(tags: &mut Tags, package: &Package) {
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

pub(super) fn scripts(tags: &mut Tags, package: &Package) {
    use IndexTag as T;
    for script in &package.scripts {
        let (body, program, _) = script_tags(script.when);
        // rpmbuild takes blank lines off the end
        let text = script.body.trim_end();
        if script.when != When::AfterKernels {
            tags.text(body, text);
            tags.text(program, SHELL);
            continue;
        }
        // one trigger, which each of the folders sets off
        tags.texts(body, [text]);
        tags.texts(program, [SHELL]);
        tags.texts(T::RPMTAG_TRANSFILETRIGGERNAME, KERNELS);
        tags.texts(T::RPMTAG_TRANSFILETRIGGERVERSION, KERNELS.map(|_| ""));
        tags.numbers(T::RPMTAG_TRANSFILETRIGGERFLAGS, KERNELS.map(|_| TRIGGER_IN));
        tags.numbers(T::RPMTAG_TRANSFILETRIGGERINDEX, KERNELS.map(|_| 0));
        // rpmbuild's own, where a spec names none
        tags.numbers(T::RPMTAG_TRANSFILETRIGGERPRIORITIES, [1_000_000]);
    }
}

pub(super) fn changelog(tags: &mut Tags, package: &Package) {
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
pub(super) struct Listing<'a> {
    pub(super) entries: &'a [Entry],
    pub(super) stamp: u32,
    pub(super) digests: &'a Digests,
    /// The folder of a path without one.
    pub(super) top: &'a str,
    /// Whether sizes take 64 bits.
    pub(super) is_large: bool,
    pub(super) flags: fn(&Entry) -> u32,
}

pub(super) fn file_lists(tags: &mut Tags, listing: &Listing<'_>) {
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
pub(super) fn hexadecimal(digest: &FileDigest) -> String {
    let (halves, _) = digest.as_ref().map(|bytes| bytes.as_chunks::<16>()).unwrap_or_default();
    halves.iter().map(|half| format!("{:032x}", u128::from_be_bytes(*half))).collect()
}

fn link_target(entry: &Entry) -> &str {
    if let EntryKind::Symlink { target } = &entry.kind { target } else { "" }
}

/// `RPMFILE_DOC` (`rpmfiles.h`).
fn file_flags(entry: &Entry) -> u32 {
    match (entry.role, is_file(entry)) {
        (Role::Documentation, true) => 1 << 1,
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

pub(super) fn relations(tags: &mut Tags, package: &Package) {
    use IndexTag as T;
    let of = |kind: RelationKind| {
        package.relations.iter().filter(move |relation| relation.kind == kind).map(dependency)
    };
    let own = Dependency { name: package.name.clone(), flags: EQUAL, version: evr(&package.version) };
    let provides = std::iter::once(own)
        .chain(own_for_machine(package))
        .chain(of(RelationKind::Provides))
        .chain(offers(package))
        .collect();
    let requires = of(RelationKind::Requires).chain(interpreters(package)).chain(rpmlib(package)).collect();
    let lists: [([IndexTag; 3], Vec<Dependency>); 8] = [
        ([T::RPMTAG_PROVIDENAME, T::RPMTAG_PROVIDEFLAGS, T::RPMTAG_PROVIDEVERSION], provides),
        ([T::RPMTAG_REQUIRENAME, T::RPMTAG_REQUIREFLAGS, T::RPMTAG_REQUIREVERSION], requires),
        (
            [T::RPMTAG_CONFLICTNAME, T::RPMTAG_CONFLICTFLAGS, T::RPMTAG_CONFLICTVERSION],
            of(RelationKind::Conflicts).chain(of(RelationKind::Breaks)).collect(),
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
        (
            [T::RPMTAG_ENHANCENAME, T::RPMTAG_ENHANCEFLAGS, T::RPMTAG_ENHANCEVERSION],
            of(RelationKind::Enhances).collect(),
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
pub(super) fn dependency_list(tags: &mut Tags, [name, flags, version]: [IndexTag; 3], list: &[Dependency]) {
    if !list.is_empty() {
        tags.texts(name, list.iter().map(|dependency| &dependency.name));
        tags.numbers(flags, list.iter().map(|dependency| dependency.flags));
        tags.texts(version, list.iter().map(|dependency| &dependency.version));
    }
}

pub(super) fn payload_tags(tags: &mut Tags, compression: Compression, digests: &Digests) {
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
