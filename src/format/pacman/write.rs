//! A package as the members of its tar: what makepkg(8) writes, in its order.
//!
//! Must not decide what is in it. Files are read twice, as their digests stand before them.

use std::fmt::Write as _;
use std::io::{self, Write};

use md5::Md5;
use sha2::{Digest, Sha256};

use super::super::folders_above;
use super::super::item::{Item, ItemKind};
use super::spell::{FIELDS, architecture, capability, version};
use crate::archive::{self, Compressor, Reader, TAR_END};
use crate::base::error::{Error, Result};
use crate::output::{Means, Output};
use crate::package::{Entry, EntryKind, Package, When};

/// MD5, which pacman before 6.1 compares, and SHA-256 of a file, in hexadecimal digits.
#[derive(PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) md5: String,
    pub(super) sha256: String,
}

/// Bytes on their way, for both.
#[derive(Default)]
pub(super) struct Hashers(Md5, Sha256);

impl Hashers {
    pub(super) fn finish(self) -> Digests {
        Digests { md5: format!("{:x}", self.0.finalize()), sha256: format!("{:x}", self.1.finalize()) }
    }
}

impl archive::Tap for Hashers {
    fn see(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
        self.1.update(bytes);
    }
}

pub(super) fn write(package: &Package, name: &str, out: &mut dyn Output) -> Result<()> {
    let means = out.means().clone();
    let mut items = items(package);
    let mut digests = Vec::new();
    for item in &items {
        digests.push(copied(item, &mut io::sink(), &means, name)?);
    }
    let list = archive::gzip(mtree(&items, &digests, package.stamp).as_bytes());
    // where its name belongs: `.I` comes before, `.P` behind it
    let at = items.partition_point(|item| *item.path < *MTREE);
    items.insert(at, Item::bytes(MTREE.to_owned(), list));
    digests.insert(at, None);
    let length = items.iter().map(|item| archive::tar_length(&item.tar_name(""), item.member())).sum::<u64>();
    out.artifact(name, &mut |stream| {
        let failed = |error| Error::io("cannot write", name, error);
        let mut tar = Compressor::new(&mut *stream, package.compression, length + TAR_END, &means)?;
        for (item, stated) in items.iter().zip(&digests) {
            archive::tar_header(&mut tar, &item.tar_name(""), item.member(), item.mode, package.stamp)
                .map_err(failed)?;
            let digest = copied(item, &mut tar, &means, name)?;
            if stated.is_some() && digest != *stated {
                return Err(Error::failed("changed while it was read:").at(&*item.path));
            }
            archive::tar_padding(&mut tar, item.size()).map_err(failed)?;
        }
        archive::tar_end(&mut tar).map_err(failed)?;
        tar.finish().map(drop).map_err(failed)
    })
}

pub(super) const MTREE: &str = ".MTREE";

/// Copies the bytes of a file, and gives their digests; nothing for what has none.
fn copied(item: &Item<'_>, out: &mut dyn Write, means: &Means, name: &str) -> Result<Option<Digests>> {
    let failed = |error| Error::io("cannot write", name, error);
    let mut seen = Hashers::default();
    match &item.kind {
        ItemKind::Directory | ItemKind::Symlink(_) => return Ok(None),
        ItemKind::Content(content) => Reader::new(means).copy(content, out, &mut seen, &failed)?,
        ItemKind::Bytes(text) => {
            archive::Tap::see(&mut seen, text);
            out.write_all(text).map_err(failed)?;
        }
    }
    Ok(Some(seen.finish()))
}

/// What describes the package, and its payload with every folder above it, in byte order.
fn items(package: &Package) -> Vec<Item<'_>> {
    let entries = package.payload.entries();
    let mut items: Vec<_> = entries.iter().map(Item::of).collect();
    let folders = folders_above(entries.iter().map(|entry| entry.path.as_str()));
    items.extend(folders.into_iter().map(Item::folder));
    items.push(Item::bytes(".BUILDINFO".to_owned(), build_info(package)));
    items.push(Item::bytes(".PKGINFO".to_owned(), package_info(package)));
    let install = install(package);
    items.extend((!install.is_empty()).then(|| Item::bytes(".INSTALL".to_owned(), install)));
    items.sort_by(|one, other| one.path.cmp(&other.path));
    items
}

/// Lines of `name = value`; those without a value are left out, and a value is one line.
fn lines<'a>(fields: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let line = |(name, value): (&str, String)| {
        let value: Vec<_> = value.split_whitespace().collect();
        if value.is_empty() { String::new() } else { format!("{name} = {}\n", value.join(" ")) }
    };
    fields.into_iter().map(line).collect()
}

/// `.PKGINFO`, in the order of makepkg(8).
fn package_info(package: &Package) -> String {
    let size: u64 = package.payload.entries().iter().filter(|entry| is_file(entry)).map(Entry::size).sum();
    let head = [
        ("pkgname", package.name.clone()),
        ("pkgbase", package.name.clone()),
        ("pkgver", version(&package.version)),
        ("pkgdesc", package.summary.clone()),
        ("url", package.homepage.clone()),
        ("builddate", package.stamp.to_string()),
        ("packager", package.maintainer.clone()),
        ("size", size.to_string()),
        ("arch", architecture(package.arch).to_owned()),
        ("license", package.license.clone()),
    ];
    let relations = FIELDS.iter().flat_map(|(field, kinds)| {
        let all = package.relations.iter().filter(|relation| kinds.contains(&relation.kind));
        all.flat_map(|relation| &relation.any_of).map(|one| (*field, capability(one)))
    });
    format!("# Generated by kpkg\n{}", lines(head.into_iter().chain(relations)))
}

fn is_file(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::File { .. })
}

/// `.BUILDINFO`, BUILDINFO(5). No recipe of makepkg's was run and no package was installed for it.
fn build_info(package: &Package) -> String {
    lines([
        ("format", "2".to_owned()),
        ("pkgname", package.name.clone()),
        ("pkgbase", package.name.clone()),
        ("pkgver", version(&package.version)),
        ("pkgarch", architecture(package.arch).to_owned()),
        ("packager", package.maintainer.clone()),
        ("builddate", package.stamp.to_string()),
        ("builddir", "/".to_owned()),
        ("startdir", "/".to_owned()),
        ("buildtool", "kpkg".to_owned()),
    ])
}

/// The functions of `.INSTALL` that are called at a moment, PKGBUILD(5); none where there is no such moment.
pub(super) fn functions(when: When) -> &'static [&'static str] {
    match when {
        When::BeforeInstall => &["pre_install", "pre_upgrade"],
        When::AfterInstall => &["post_install", "post_upgrade"],
        When::BeforeRemove => &["pre_remove"],
        When::AfterRemove => &["post_remove"],
        When::AfterTransaction | When::AfterKernels => &[],
    }
}

/// `.INSTALL`: each script in a subshell, so that it may end with `exit` as scripts do.
fn install(package: &Package) -> String {
    let mut text = String::new();
    for script in &package.scripts {
        let [first, others @ ..] = functions(script.when) else { continue };
        let _infallible = write!(text, "{first}() (\n{}\n)\n", script.body.trim_end());
        for other in others {
            let _infallible = write!(text, "{other}() {{\n    {first} \"$@\"\n}}\n");
        }
    }
    text
}

/// `.MTREE`, mtree(5): everything but itself.
fn mtree(items: &[Item<'_>], digests: &[Option<Digests>], stamp: u32) -> String {
    let mut text = String::from("#mtree\n/set type=file uid=0 gid=0 mode=644\n");
    for (item, digest) in items.iter().zip(digests) {
        let path = quoted(&item.path);
        let mode = if item.mode == 0o644 { String::new() } else { format!(" mode={:o}", item.mode) };
        let rest = match (&item.kind, digest) {
            (ItemKind::Directory, _) => " type=dir".to_owned(),
            (ItemKind::Symlink(target), _) => format!(" type=link link={}", quoted(target)),
            (_, Some(Digests { md5, sha256 })) => {
                format!(" size={} md5digest={md5} sha256digest={sha256}", item.size())
            }
            (_, None) => format!(" size={}", item.size()),
        };
        let _infallible = writeln!(text, "./{path} time={stamp}.0{mode}{rest}");
    }
    text
}

/// What may not stand in a word of an mtree as it is, in octal digits.
fn quoted(text: &str) -> String {
    text.bytes().fold(String::new(), |mut quoted, byte| {
        if byte.is_ascii_alphanumeric() || b"._/+~@:,%-".contains(&byte) {
            quoted.push(char::from(byte));
        } else {
            let _infallible = write!(quoted, "\\{byte:03o}");
        }
        quoted
    })
}
