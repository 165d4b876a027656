//! Source packages: a spec, the driver's source, and the files that are installed beside it (rpmbuild(8), `docs/manual/spec.md`).
//!
//! What the spec builds is the package that would have been written at once.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use digest::Digest;
use rpm::IndexTag;
use sha2::Sha256;

use super::super::unspeakable_value;
use super::header::Tags;
use super::payload::{NEWC_HEADER, TRAILER, cpio_padding, end_payload, newc_header};
use super::spell::{Dependency, EQUAL, KERNELS, LESS, RPMLIB, architecture, dependency, evr, version};
use super::write::{
    Digests, FileDigest, Listing, assembled, changelog, dependency_list, file_lists, fill, identity,
    payload_tags,
};
use crate::archive::{self, Compressor, Sha256s, Tapped};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::output::{Means, Output, Scratch, Stream};
use crate::package::{
    Arch, Codec, Compression, Content, Entry, EntryKind, Package, Relation, RelationKind, Role, Script,
    Source, When, wrapped,
};

/// What every rpmbuild reads.
const COMPRESSION: Compression = Compression { codec: Codec::Xz, level: 6 };
/// The archives are compressed already.
const PAYLOAD: Compression = Compression { codec: Codec::Gzip, level: 1 };
/// `RPMFILE_SPECFILE` (`rpmfiles.h`).
const SPEC_FILE: u32 = 1 << 5;

/// What the packaging has beside the spec, and the spec's own part.
fn scripts(source: &Source) -> impl Iterator<Item = (&str, &str)> {
    texts(source).filter(|(path, _)| !path.ends_with(".spec"))
}

fn texts(source: &Source) -> impl Iterator<Item = (&str, &str)> {
    source.packaging.iter().filter_map(|entry| match &entry.kind {
        EntryKind::File { content: Content::Text(text), .. } => Some((entry.path.as_str(), text.as_str())),
        _ => None,
    })
}

/// The names of the two archives.
fn archives(package: &Package, source: &Source) -> [String; 2] {
    [format!("{}.tar.xz", source.folder), format!("{}-files.tar.xz", package.name)]
}

pub(super) fn artifact(package: &Package) -> String {
    format!("{}-{}-{}.src.rpm", package.name, version(&package.version), package.version.revision)
}

/// A file of the package with its bytes.
struct Member {
    entry: Entry,
    digest: [u8; 32],
    data: Scratch,
}

pub(super) fn write(package: &Package, source: &Source, out: &mut dyn Output) -> Result<()> {
    let failed = |error| Error::io("cannot write", "the temporary file", error);
    let mut members = Vec::new();
    let [upstream, files] = archives(package, source);
    for (name, folder, entries) in
        [(upstream, source.folder.as_str(), &source.upstream), (files, "", &source.files)]
    {
        let tapped = Tapped::new(out.scratch()?, Sha256::new());
        let Tapped { out: data, tap, count } =
            archive::tarball(tapped, folder, entries, COMPRESSION, package.stamp, out.means())?;
        members.push(member(name, count, tap.finalize().into(), data));
    }
    let spec = (format!("{}.spec", package.name), spec_text(package, source));
    let others = scripts(source).map(|(path, text)| (path.to_owned(), text.to_owned()));
    for (name, text) in std::iter::once(spec).chain(others) {
        let mut data = out.scratch()?;
        data.write_all(text.as_bytes()).map_err(failed)?;
        members.push(member(name, text.len() as u64, Sha256::digest(&text).into(), data));
    }
    members.sort_by(|one, other| one.entry.path.cmp(&other.entry.path));

    let name = artifact(package);
    let entries: Vec<_> = members.iter().map(|member| member.entry.clone()).collect();
    let files: Vec<_> = members.iter().map(|member| Some(member.digest)).collect();
    let length = payload_length(&entries);
    let hole = metadata(package, source, &entries, &Digests::of(files.clone(), length)).len() as u64;
    let means = out.means().clone();
    out.artifact(&name, &mut |stream| {
        let failed = |error| Error::io("cannot write", &name, error);
        archive::zeros(stream, hole).map_err(failed)?;
        let digests = write_payload(package, &mut members, files.clone(), stream, &means, &failed)?;
        fill(stream, hole, &metadata(package, source, &entries, &digests)).map_err(failed)
    })
}

fn member(name: String, size: u64, digest: [u8; 32], data: Scratch) -> Member {
    // the path of what is in the temporary stream; only its size is looked at
    let content = Content::Disk { path: Path::new(&name).into(), size };
    let entry = Entry { path: name, kind: EntryKind::File { content, executable: false }, role: Role::Plain };
    Member { entry, digest, data }
}

/// Names have no folder in a source package.
fn payload_length(entries: &[Entry]) -> u64 {
    let padded = |length: u64| length + cpio_padding(length);
    let entry = |entry: &Entry| padded(NEWC_HEADER + entry.path.len() as u64 + 1) + padded(entry.size());
    entries.iter().map(entry).sum::<u64>() + padded(NEWC_HEADER + TRAILER.len() as u64 + 1)
}

fn write_payload(
    package: &Package,
    members: &mut [Member],
    files: Vec<FileDigest>,
    stream: &mut dyn Stream,
    means: &Means,
    failed: &dyn Fn(io::Error) -> Error,
) -> Result<Digests> {
    let entries: Vec<_> = members.iter().map(|member| member.entry.clone()).collect();
    let stored = Tapped::new(stream, Sha256::new());
    let compressor = Compressor::new(stored, PAYLOAD, payload_length(&entries), means)?;
    let mut cpio = Tapped::new(compressor, Sha256s::default());
    for (index, member) in members.iter_mut().enumerate() {
        let size = member.entry.size();
        let (inode, small) = (u32::try_from(index + 1), u32::try_from(size));
        let too_large =
            |_| failed(io::Error::other("an archive of more than 4 GiB does not fit into a source package"));
        let (inode, small) = (inode.map_err(too_large)?, small.map_err(too_large)?);
        newc_header(&mut cpio, &member.entry.path, inode, 0o100_644, 1, package.stamp, small)
            .map_err(failed)?;
        let written =
            member.data.read().and_then(|mut data| io::copy(&mut data, &mut cpio)).map_err(failed)?;
        if written != size {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        archive::zeros(&mut cpio, cpio_padding(size)).map_err(failed)?;
    }
    end_payload(cpio, files).map_err(failed)
}

/// The header: what building takes stands where other packages have what installing takes.
fn metadata(package: &Package, source: &Source, entries: &[Entry], digests: &Digests) -> Vec<u8> {
    use IndexTag as T;
    let mut tags = Tags::default();
    identity(&mut tags, package);
    tags.number(T::RPMTAG_SOURCEPACKAGE, 1);
    let [upstream, files] = archives(package, source);
    let sources = [upstream, files].into_iter().chain(scripts(source).map(|(path, _)| path.to_owned()));
    tags.texts(T::RPMTAG_SOURCE, sources);
    changelog(&mut tags, package);
    let listing = Listing {
        entries,
        stamp: package.stamp,
        digests,
        top: "",
        is_large: false,
        flags: |entry| if entry.path.ends_with(".spec") { SPEC_FILE } else { 0 },
    };
    file_lists(&mut tags, &listing);
    let own = Dependency { name: package.name.clone(), flags: EQUAL, version: evr(&package.version) };
    dependency_list(
        &mut tags,
        [T::RPMTAG_PROVIDENAME, T::RPMTAG_PROVIDEFLAGS, T::RPMTAG_PROVIDEVERSION],
        &[own],
    );
    let rpmlib =
        [("CompressedFileNames", "3.0.4-1"), ("FileDigests", "4.6.0-1")].map(|(feature, version)| {
            let name = format!("rpmlib({feature})");
            Dependency { name, flags: RPMLIB | LESS | EQUAL, version: version.to_owned() }
        });
    let requires: Vec<_> = source.build_requires.iter().map(dependency).chain(rpmlib).collect();
    dependency_list(
        &mut tags,
        [T::RPMTAG_REQUIRENAME, T::RPMTAG_REQUIREFLAGS, T::RPMTAG_REQUIREVERSION],
        &requires,
    );
    if package.arch == Arch::Any && source.is_built {
        tags.texts(T::RPMTAG_BUILDARCHS, [architecture(package.arch)]);
    }
    payload_tags(&mut tags, PAYLOAD, digests);
    assembled(package, tags, digests, false)
}

// ---- spec -------------------------------------------------------------------------------------------------------------------

/// The first year whose days a changelog may have (`build/parseChangelog.c`), in seconds.
const FIRST_CHANGE: u32 = 631_152_000;

/// What a spec cannot say of a package.
pub(super) fn check(package: &Package, source: &Source) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let paragraphs = package.paragraphs();
    // sections and comments are looked for after macros are expanded, so that there is no way to write such a line
    let commands =
        paragraphs.iter().filter_map(|lines| lines.first()).filter(|line| line.starts_with(['%', '#']));
    found.extend(commands.map(|line| {
        let message = format!(
            "a paragraph of the description begins with `{}`, which a spec takes for its own",
            &line[..1]
        );
        unspeakable_value(&package.description, message).hint("begin it with a word")
    }));
    let scripts: &[Script] = if source.is_built { &package.scripts } else { &[] };
    let lines = scripts.iter().flat_map(|script| script.body.lines());
    found.extend(lines.filter(|line| line.trim_start().starts_with('%')).map(|line| {
        let message =
            format!("a script has the line `{}`, which a spec takes for its own", line.trim().escape_debug());
        unspeakable_value(line, message)
            .hint("let it begin with something else than `%`, or leave source packages out")
    }));
    let oldest = package.changelog.iter().map(|change| change.time).min();
    if let Some(time) = oldest.filter(|time| *time < FIRST_CHANGE) {
        let message = format!(
            "{time} seconds since 1970 is a time before 1990, which the changelog of a spec cannot hold"
        );
        let finding = unspeakable_value(&time.to_string(), message);
        found.push(finding.hint("set SOURCE_DATE_EPOCH to a later time"));
    }
    found
}

/// A text in which nothing is a macro. Where rpm looks for the end of one, a backslash takes away the meaning of the sign behind it.
fn plain(text: &str) -> String {
    text.replace('%', "%%").replace("\\%", "\\%{nil}%")
}

/// A path in `%files`. Macros in it are expanded again and again, and quotes, blanks and patterns count, differently in each version of
/// rpm. So what is more than a letter is `?` there: what a pattern finds is taken as it is, and all that lies there is ours.
fn path(path: &str) -> String {
    if path.chars().all(is_literal) {
        return format!("\"/{path}\"");
    }
    let pattern = path.chars().map(|next| if is_literal(next) { next } else { '?' });
    std::iter::once('/').chain(pattern).collect()
}

fn is_literal(character: char) -> bool {
    character.is_ascii_alphanumeric() || "/._+-@=:,~^".contains(character) || !character.is_ascii()
}

fn relation(relation: &Relation) -> String {
    let Dependency { name, flags, version } = dependency(relation);
    let sign = match flags {
        0 => return plain(&name),
        EQUAL => "=",
        _ => ">=",
    };
    plain(&format!("{name} {sign} {version}"))
}

fn spec_text(package: &Package, source: &Source) -> String {
    let mut text = String::from(
        "# the driver's source stays as it is: nothing is stripped, compressed or given another interpreter\n",
    );
    for global in &source.globals {
        text.push_str(&format!("%global {global}\n"));
    }
    text.push('\n');
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let name = format!("{name}:");
            text.push_str(&format!("{name:<16}{value}\n"));
        }
    };
    let extra = |name: &str| package.fields.get(name).map(|value| plain(value)).unwrap_or_default();
    line("Name", &package.name);
    line("Epoch", &package.version.epoch.map(|epoch| epoch.to_string()).unwrap_or_default());
    line("Version", &version(&package.version));
    line("Release", &package.version.revision);
    line("Summary", &plain(&package.summary));
    line("License", &plain(&package.license));
    line("Group", &extra("Group"));
    line("Vendor", &extra("Vendor"));
    line("Packager", &plain(&package.maintainer));
    line("URL", &plain(&package.homepage));
    if package.arch == Arch::Any && source.is_built {
        line("BuildArch", architecture(package.arch));
    }
    let [upstream, files] = archives(package, source);
    line("Source0", &plain(&upstream));
    line("Source1", &plain(&files));
    scripts(source).enumerate().for_each(|(at, (path, _))| line(&format!("Source{}", at + 2), &plain(path)));
    // what the packages of modules need is for their builder's own generators to say
    line("AutoReqProv", if source.is_built { "no" } else { "" });
    source.build_requires.iter().for_each(|need| line("BuildRequires", &relation(need)));
    let relations: &[Relation] = if source.is_built { &package.relations } else { &[] };
    for (kind, name) in [
        (RelationKind::Requires, "Requires"),
        (RelationKind::Recommends, "Recommends"),
        (RelationKind::Suggests, "Suggests"),
        (RelationKind::Conflicts, "Conflicts"),
        (RelationKind::Breaks, "Conflicts"),
        (RelationKind::Replaces, "Obsoletes"),
        (RelationKind::Provides, "Provides"),
        (RelationKind::Supplements, "Supplements"),
        (RelationKind::Enhances, "Enhances"),
    ] {
        let list = relations.iter().filter(|relation| relation.kind == kind);
        list.for_each(|one| line(name, &relation(one)));
    }
    let paragraphs: Vec<_> = package.paragraphs().into_iter().map(|lines| lines.join("\n")).collect();
    text.push_str(&format!("\n%description\n{}\n", plain(&paragraphs.join("\n\n"))));
    for (_, body) in texts(source).filter(|(path, _)| path.ends_with(".spec")) {
        text.push_str(&format!("\n{body}"));
    }
    if source.is_built {
        text.push_str(&built_text(package, source));
    }
    text.push_str("\n%changelog\n");
    for change in &package.changelog {
        let date = jiff::Timestamp::from_second(i64::from(change.time)).unwrap_or_default();
        let date = date.strftime("%a %b %d %Y");
        text.push_str(&format!("* {date} {} - {}\n", plain(&change.author), evr(&change.version)));
        for line in &change.lines {
            text.push_str(&format!("- {}\n", plain(&wrapped(line).join("\n  "))));
        }
        text.push('\n');
    }
    text
}

/// Scripts and files of the package itself.
fn built_text(package: &Package, source: &Source) -> String {
    let mut text = String::new();
    for script in &package.scripts {
        let name = match script.when {
            When::BeforeInstall => "%pre",
            When::AfterInstall => "%post",
            When::BeforeRemove => "%preun",
            When::AfterRemove => "%postun",
            When::AfterTransaction => "%posttrans",
            When::AfterKernels => &format!("%transfiletriggerin -- {}", KERNELS.join(" ")),
        };
        text.push_str(&format!("\n{name}\n{}\n", plain(script.body.trim_end())));
    }
    text.push_str(&format!(
        "\n%files\n%defattr(-,root,root,-)\n{}\n",
        path(&format!("usr/src/{}", source.folder))
    ));
    let mut patterns = BTreeSet::new();
    for entry in &source.files {
        let own = path(&entry.path);
        let is_pattern = !own.starts_with('"');
        let mark = match (&entry.kind, entry.role) {
            // a pattern may find more than the folder, and all below it is ours as well
            (EntryKind::Directory, _) if is_pattern => "",
            (EntryKind::Directory, _) => "%dir ",
            (_, Role::Documentation) => "%doc ",
            _ => "",
        };
        let is_above = |(at, _): (usize, &str)| patterns.contains(&own[..at]);
        if is_pattern && (patterns.contains(&own) || own.match_indices('/').any(is_above)) {
            continue;
        }
        text.push_str(&format!("{mark}{own}\n"));
        patterns.insert(own);
    }
    text
}
