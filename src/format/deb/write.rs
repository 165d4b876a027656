//! A package as the members of a .deb: `deb(5)`, in the order and with the names that dpkg-deb writes.
//!
//! Must not decide what is in it.

use std::io::{self, Write};

use jiff::fmt::rfc2822;

use super::super::folders_above;
use super::super::item::{Item, ItemKind};
use super::spell::{CONFLICTS, architecture, description, modaliases, relations, script_name, spelled};
use crate::archive::{self, Compressor, Md5s, Member, TAR_END, Tapped};
use crate::base::error::{Error, Result};
use crate::output::Means;
use crate::package::{Change, Package, Payload, RelationKind, wrapped};

/// The largest member: ten decimal digits (`deb(5)`).
pub(super) const LARGEST_MEMBER: u64 = 9_999_999_999;

/// Before the names that dpkg writes: `./`, `./usr/src/`, `./usr/src/file`.
const PREFIX: &str = "./";

/// Payload, changelog (Policy 12.7) and every folder above them: dpkg refuses members without parents. In the order of dpkg-deb, which
/// compares paths name by name, so that `one/two` comes before `one.h`.
pub(super) fn items(package: &Package) -> Vec<Item<'_>> {
    let mut items: Vec<_> = package.payload.entries().iter().map(Item::of).collect();
    let changelog = format!("usr/share/doc/{}/{}.gz", package.name, changelog_name(package));
    items.push(Item::bytes(changelog, archive::gzip(changelog_text(package).as_bytes())));
    let parents = folders_above(items.iter().map(|item| item.path.as_ref()));
    items.push(Item::folder(String::new()));
    items.extend(parents.into_iter().map(Item::folder));
    items.sort_by(|one, other| one.path.split('/').cmp(other.path.split('/')));
    items
}

/// The length of the uncompressed data member.
pub(super) fn data_length(items: &[Item<'_>]) -> u64 {
    items.iter().map(|item| archive::tar_length(&item.tar_name(PREFIX), item.member())).sum::<u64>() + TAR_END
}

/// Writes the data member to `data`; returns the text of `md5sums`, and how long the member is.
pub(super) fn write_data(
    package: &Package,
    items: &[Item<'_>],
    data: &mut dyn Write,
    means: &Means,
) -> Result<(String, u64)> {
    let failed = |error| Error::io("cannot write", "the temporary file", error);
    let counted = Tapped::new(data, archive::Blind);
    let mut tar = Compressor::new(counted, package.compression, data_length(items), means)?;
    let mut reader = archive::Reader::new(means);
    let mut sums = Md5s::default();
    let mut paths = Vec::new();
    for item in items {
        archive::tar_header(&mut tar, &item.tar_name(PREFIX), item.member(), item.mode, package.stamp)
            .map_err(failed)?;
        match &item.kind {
            ItemKind::Directory | ItemKind::Symlink(_) => continue,
            ItemKind::Content(content) => reader.copy(content, &mut tar, &mut sums, &failed)?,
            ItemKind::Bytes(bytes) => {
                sums.see(bytes);
                tar.write_all(bytes).map_err(failed)?;
            }
        }
        sums.end();
        paths.push(&item.path);
        archive::tar_padding(&mut tar, item.size()).map_err(failed)?;
    }
    archive::tar_end(&mut tar).map_err(failed)?;
    let length = tar.finish().map_err(failed)?.count;
    let lines = sums.finish().into_iter().zip(paths);
    let text = lines.map(|(sum, path)| format!("{:032x}  {path}\n", u128::from_be_bytes(sum))).collect();
    Ok((text, length))
}

/// The file that says what else calls the scripts, deb-triggers(5); empty where there is nothing.
pub(super) fn triggers_text(package: &Package) -> String {
    package.triggers.iter().map(|line| format!("{line}\n")).collect()
}

/// The control member, compressed: `control`, `md5sums`, `triggers` and the scripts, in byte order.
pub(super) fn control_member(
    package: &Package,
    items: &[Item<'_>],
    sums: &str,
    means: &Means,
) -> Result<Vec<u8>> {
    let control = control_text(package, installed_size(package, items));
    let triggers = triggers_text(package);
    let mut files: Vec<(&str, &str, u16)> = vec![("control", &control, 0o644), ("md5sums", sums, 0o644)];
    if !triggers.is_empty() {
        files.push(("triggers", &triggers, 0o644));
    }
    files.extend(
        package
            .scripts
            .iter()
            .filter_map(|script| Some((script_name(script.when)?, script.body.as_str(), 0o755))),
    );
    files.sort_unstable();
    let names: Vec<_> = files.iter().map(|(name, ..)| format!("./{name}")).collect();
    let members = || names.iter().zip(&files).map(|(name, (_, text, mode))| (name.as_str(), *text, *mode));
    let length = members()
        .map(|(name, text, _)| archive::tar_length(name, Member::File(text.len() as u64)))
        .sum::<u64>()
        + archive::tar_length("./", Member::Directory)
        + TAR_END;
    let mut tar = Compressor::new(Vec::new(), package.compression, length, means)?;
    let mut write = || -> io::Result<()> {
        archive::tar_header(&mut tar, "./", Member::Directory, 0o755, package.stamp)?;
        for (name, text, mode) in members() {
            archive::tar_header(&mut tar, name, Member::File(text.len() as u64), mode, package.stamp)?;
            tar.write_all(text.as_bytes())?;
            archive::tar_padding(&mut tar, text.len() as u64)?;
        }
        archive::tar_end(&mut tar)
    };
    let written = write().and_then(|()| tar.finish());
    written.map_err(|error| Error::io("cannot compress", "control.tar", error))
}

/// In KiB, as dpkg-gencontrol and dpkg-deb count it: every file rounded up, one for each folder and link, one more, the
/// scripts, and what calls them.
fn installed_size(package: &Package, items: &[Item<'_>]) -> u64 {
    let kib = |bytes: u64| bytes.div_ceil(1024);
    let data: u64 =
        items.iter().map(|item| if let Member::File(size) = item.member() { kib(size) } else { 1 }).sum();
    let scripts: u64 = package.scripts.iter().map(|script| kib(script.body.len() as u64)).sum();
    data + 1 + scripts + kib(triggers_text(package).len() as u64)
}

/// The fields in the order of dpkg-gencontrol; those it does not know follow the description.
pub(super) fn control_text(package: &Package, installed_size: u64) -> String {
    use RelationKind as Kind;
    let mut extras = package.fields.clone();
    let mut extra = |name: &str| extras.remove(name).unwrap_or_default();
    let fields = [
        ("Package", package.name.clone()),
        ("Source", extra("Source")),
        ("Version", spelled(&package.version)),
        ("Architecture", architecture(package.arch).to_owned()),
        ("Maintainer", package.maintainer.clone()),
        ("Installed-Size", installed_size.to_string()),
        ("Depends", relations(package, &[Kind::Requires])),
        ("Recommends", relations(package, &[Kind::Recommends])),
        ("Suggests", relations(package, &[Kind::Suggests])),
        // the reverse of Recommends does not exist; the reverse of Suggests does
        ("Enhances", relations(package, &[Kind::Supplements])),
        ("Conflicts", relations(package, CONFLICTS)),
        ("Breaks", relations(package, &[Kind::Breaks])),
        ("Replaces", relations(package, &[Kind::Replaces])),
        ("Provides", relations(package, &[Kind::Provides])),
        ("Section", extra("Section")),
        ("Priority", extra("Priority")),
        ("Multi-Arch", extra("Multi-Arch")),
        ("Homepage", package.homepage.clone()),
        ("Description", description(package)),
        ("Modaliases", modaliases(package)),
    ];
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(extras);
    fields.filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}: {value}\n")).collect()
}

/// The name without the compression's: a native package has no other changelog (Policy 12.7).
fn changelog_name(package: &Package) -> &'static str {
    if package.version.has_revision() { "changelog.Debian" } else { "changelog" }
}

/// `changelog.Debian` (`deb-changelog(5)`).
pub(super) fn changelog_text(package: &Package) -> String {
    let distribution = match &package.payload {
        Payload::Source(source) => &source.distribution,
        Payload::Install(_) => "unstable",
    };
    let text = |change| change_text(&package.name, distribution, change);
    package.changelog.iter().map(text).collect::<Vec<_>>().join("\n")
}

fn change_text(name: &str, distribution: &str, change: &Change) -> String {
    let lines: String =
        change.lines.iter().map(|line| format!("  * {}\n", wrapped(line).join("\n    "))).collect();
    let version = spelled(&change.version);
    let date = date(change.time);
    format!("{name} ({version}) {distribution}; urgency=medium\n\n{lines}\n -- {}  {date}\n", change.author)
}

/// `Thu, 01 Jan 1970 00:00:00 +0000`.
pub(super) fn date(time: u32) -> String {
    let stamp = jiff::Timestamp::from_second(i64::from(time)).unwrap_or_default();
    rfc2822::to_string(&stamp.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default()
}

/// A member's header: name, time, owner 0, group 0, mode, size in decimal (`deb(5)`).
pub(super) fn ar_header(out: &mut dyn Write, name: &str, stamp: u32, size: u64) -> io::Result<()> {
    write!(out, "{name:<16}{stamp:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, "100644")
}

pub(super) fn ar_member(out: &mut dyn Write, name: &str, stamp: u32, bytes: &[u8]) -> io::Result<()> {
    ar_header(out, name, stamp, bytes.len() as u64)?;
    out.write_all(bytes)?;
    ar_padding(out, bytes.len() as u64)
}

/// Members begin at even offsets.
pub(super) fn ar_padding(out: &mut dyn Write, size: u64) -> io::Result<()> {
    if size % 2 == 1 { out.write_all(b"\n") } else { Ok(()) }
}
