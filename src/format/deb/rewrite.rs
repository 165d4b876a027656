//! A finished .deb written again with other contents: its members, deb(5), and what these say of the contents.
//!
//! Must not change anything else: members without a change keep their bytes, and those with one their order, headers and compression.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

use md5::{Digest, Md5};

use super::super::{ENTRIES, Exchange, TEXT, with_lines};
use super::read::{ArMember, SUMS, members};
use super::write::ar_padding;
use crate::archive::{self, Reader, Stretch, Tapped, TarEntry};
use crate::base::beneath::open_regular;
use crate::base::error::{Error, Result};
use crate::output::{Means, Output, Scratch};

/// Writes it; the names of its members that held signatures (debsigs(1)), which are left out when anything else changes.
pub(super) fn rewrite(path: &Path, exchange: &Exchange, out: &mut dyn Output) -> Result<Vec<String>> {
    let unreadable = |error| Error::io("cannot read the package", path, error).as_usage();
    let mut file = open_regular(path).map_err(unreadable)?;
    file.read_exact(&mut [0; 8]).map_err(unreadable)?;
    let members = members(&mut file).map_err(unreadable)?;
    let file = Arc::new(file);
    let part = |member: &ArMember| Stretch::new(&file, member.at, member.size);
    let named = |begin: &str| members.iter().position(|member| member.name().starts_with(begin));
    let (Some(control), Some(data)) = (named("control.tar"), named("data.tar")) else {
        return Err(Error::usage("is no binary package:").at(path));
    };
    let means = out.means().clone();
    let mut changed: BTreeMap<usize, (Scratch, u64)> = BTreeMap::new();
    let mut files = Files { exchange, reader: Reader::new(&means), sums: BTreeMap::new(), grown: 0 };
    if !exchange.files.is_empty() {
        changed.insert(data, written(&part(&members[data]), &mut files, &*out)?);
    }
    let mut texts = control_texts(part(&members[control]), exchange, &files).map_err(unreadable)?;
    changed.insert(control, written(&part(&members[control]), &mut texts, &*out)?);
    let is_void = |member: &&ArMember| member.name().starts_with("_gpg");
    let void = members.iter().filter(is_void).map(ArMember::name).collect();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    out.artifact(&name, &mut |stream| {
        let failed = |error| Error::io("cannot write", &name, error);
        stream.write_all(b"!<arch>\n").map_err(failed)?;
        for (index, member) in members.iter().enumerate().filter(|(_, member)| !is_void(member)) {
            let mut header = member.header;
            let size = if let Some((content, size)) = changed.get_mut(&index) {
                header[48..58].copy_from_slice(format!("{size:<10}").as_bytes());
                stream.write_all(&header).map_err(failed)?;
                stream.append(content).map_err(failed)?;
                *size
            } else {
                stream.write_all(&header).map_err(failed)?;
                io::copy(&mut part(member), stream).map_err(failed)?
            };
            ar_padding(stream, size).map_err(failed)?;
        }
        Ok(())
    })?;
    Ok(void)
}

/// A member's tar with other contents, compressed as it was, and how long that is.
fn written(
    stored: &Stretch,
    contents: &mut dyn archive::Substitutes,
    out: &dyn Output,
) -> Result<(Scratch, u64)> {
    let means: &Means = out.means();
    let compression = archive::compression_of(stored, means)?;
    let counted = Tapped::new(out.scratch()?, archive::Blind);
    let counted = archive::exchange_tar(stored, compression, ENTRIES, contents, counted, means)?;
    Ok((counted.out, counted.count))
}

/// As it is counted in `Installed-Size`.
fn kib(bytes: u64) -> i64 {
    i64::try_from(bytes.div_ceil(1024)).unwrap_or(i64::MAX)
}

/// Other files.
struct Files<'a> {
    exchange: &'a Exchange,
    reader: Reader<'a>,
    /// Their checksums, by the path without the slash in front.
    sums: BTreeMap<String, String>,
    /// How much more they take, in KiB.
    grown: i64,
}

impl archive::Substitutes for Files<'_> {
    fn size(&self, entry: &TarEntry) -> Option<u64> {
        Some(self.exchange.files.get(&entry.path())?.size())
    }

    fn write(&mut self, entry: &TarEntry, out: &mut dyn Write) -> Result<()> {
        let path = entry.path();
        let Some(content) = self.exchange.files.get(&path) else { return Ok(()) };
        let mut sum = Md5::new();
        self.reader.copy(content, out, &mut sum, &|error| Error::io("cannot write", &path, error))?;
        self.grown += kib(content.size()) - kib(entry.size);
        self.sums.insert(path[1..].to_owned(), format!("{:x}", sum.finalize()));
        Ok(())
    }
}

/// Other texts of a control archive, by name.
struct Texts(BTreeMap<String, Vec<u8>>);

impl Texts {
    fn of(&self, entry: &TarEntry) -> Option<&Vec<u8>> {
        self.0.get(&entry.path()[1..])
    }
}

impl archive::Substitutes for Texts {
    fn size(&self, entry: &TarEntry) -> Option<u64> {
        Some(self.of(entry)?.len() as u64)
    }

    fn write(&mut self, entry: &TarEntry, out: &mut dyn Write) -> Result<()> {
        let text = self.of(entry).map(Vec::as_slice).unwrap_or_default();
        out.write_all(text).map_err(|error| Error::io("cannot write", &entry.name, error))
    }
}

/// The scripts that are exchanged, and what the control archive says of files and sizes.
fn control_texts(stored: Stretch, exchange: &Exchange, files: &Files<'_>) -> io::Result<Texts> {
    let mut texts: BTreeMap<_, _> = BTreeMap::new();
    let (mut control, mut sums) = (Vec::new(), Vec::new());
    let mut grown = files.grown;
    archive::read_tar(archive::decompressed(stored)?, ENTRIES, &mut |entry, content| {
        match &entry.path()[1..] {
            "control" => drop(content.take(TEXT).read_to_end(&mut control)?),
            "md5sums" => drop(content.take(SUMS).read_to_end(&mut sums)?),
            name => {
                if let Some(text) = exchange.scripts.get(name) {
                    grown += kib(text.len() as u64) - kib(entry.size);
                    texts.insert(name.to_owned(), text.clone().into_bytes());
                }
            }
        }
        Ok(())
    })?;
    texts.insert("control".to_owned(), with_size(&control, grown));
    texts.insert("md5sums".to_owned(), with_sums(&sums, &files.sums));
    Ok(Texts(texts))
}

/// The same fields with another `Installed-Size`, where there is one.
fn with_size(control: &[u8], grown: i64) -> Vec<u8> {
    with_lines(control, |line| {
        let size = line.strip_prefix("Installed-Size:").filter(|_| grown != 0)?.trim().parse::<i64>().ok()?;
        Some(format!("Installed-Size: {}", (size + grown).max(0)))
    })
}

/// The same lines of `md5sums` with other checksums: the digits, two blanks, the path.
fn with_sums(lines: &[u8], sums: &BTreeMap<String, String>) -> Vec<u8> {
    with_lines(lines, |line| {
        let path = line.get(34..)?;
        Some(format!("{}  {path}", sums.get(path)?))
    })
}
