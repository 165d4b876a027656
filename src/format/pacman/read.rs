//! A finished package of pacman as a package.
//!
//! Must not hold what it reads but for what describes it; nothing of a foreign package is trusted.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use super::super::{Contents, ENTRIES, ReadPackage, ReadScript, TEXT, take_entry};
use super::spell::FIELDS;
use crate::archive;
use crate::base::beneath::open_regular;
use crate::package::{Bound, Capability, Comparison, Relation};

/// What describes a package, in its root: one of them comes first.
const OWN: [&str; 5] = [".BUILDINFO", ".CHANGELOG", ".INSTALL", ".MTREE", ".PKGINFO"];
/// The most that is read of an mtree, unpacked.
pub(super) const MTREE: u64 = 64 << 20;

/// Reads a `.pkg.tar`; nothing where the first member is none that describes a package.
pub(super) fn read(path: &Path, contents: &mut dyn Contents) -> io::Result<Option<ReadPackage>> {
    let mut start = [0; 512];
    let begins = |start: &mut [u8]| archive::decompressed(open_regular(path)?)?.read_exact(start);
    if begins(&mut start).is_err() {
        return Ok(None);
    }
    let name = start.split(|byte| *byte == 0).next().unwrap_or_default();
    if !OWN.iter().any(|own| own.as_bytes() == name) || &start[257..262] != b"ustar" {
        return Ok(None);
    }
    let mut found = ReadPackage { format: "pacman", ..ReadPackage::default() };
    let mut sums = None;
    let mut is_described = false;
    archive::read_tar(archive::decompressed(open_regular(path)?)?, ENTRIES, &mut |entry, content| {
        let text = |content: &mut dyn Read| -> io::Result<String> {
            let mut bytes = Vec::new();
            content.take(TEXT).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        match entry.name.as_str() {
            ".PKGINFO" => {
                read_info(&text(content)?, &mut found);
                is_described = true;
            }
            ".INSTALL" => {
                let (name, program) = (entry.name, Some("/bin/sh".to_owned()));
                found.scripts.push(ReadScript { name, when: None, text: text(content)?, program });
            }
            ".MTREE" => {
                let mut bytes = Vec::new();
                archive::decompressed(content)?.take(MTREE).read_to_end(&mut bytes)?;
                sums = Some(read_sums(&String::from_utf8_lossy(&bytes)));
            }
            own if OWN.contains(&own) => {}
            _ => found.files.push(take_entry(entry, content, contents, |_| None)?),
        }
        Ok(())
    })?;
    if !is_described {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it has no .PKGINFO"));
    }
    match sums {
        Some(mut sums) => {
            for file in &mut found.files {
                file.checksum = sums.remove(&file.path);
            }
        }
        None => found.lacks.push("the digests of `.MTREE` that `pacman -Qkk` needs".to_owned()),
    }
    Ok(Some(found))
}

fn read_info(text: &str, found: &mut ReadPackage) {
    for (name, value) in text.lines().filter_map(|line| line.split_once(" = ")) {
        let value = value.trim();
        let field = FIELDS.iter().find(|(field, _)| *field == name);
        if let Some((field, [kind, ..])) = field {
            // what an optional one is for stands behind a colon
            let text =
                if *field == "optdepend" { value.split(": ").next().unwrap_or_default() } else { value };
            let relation = Relation { kind: *kind, any_of: vec![capability(text)] };
            if *field == "depend" {
                found.requires.push(relation.any_of[0].name.clone());
            }
            found.relations.push(relation);
            continue;
        }
        let key = match name {
            "pkgname" => {
                value.clone_into(&mut found.name);
                continue;
            }
            "pkgver" => {
                value.clone_into(&mut found.version);
                continue;
            }
            "arch" => {
                value.clone_into(&mut found.arch);
                continue;
            }
            "pkgdesc" => "summary",
            "url" => "homepage",
            "packager" => "maintainer",
            own => own,
        };
        let all: &mut String = found.metadata.entry(key.to_owned()).or_default();
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(value);
    }
}

/// `name>=1.0`.
fn capability(text: &str) -> Capability {
    let is_sign = |next: char| "<=>".contains(next);
    let Some(at) = text.find(is_sign) else { return Capability::named(text) };
    let version = text[at..].trim_start_matches(is_sign);
    let comparison = match &text[at..text.len() - version.len()] {
        "<" => Comparison::Less,
        "<=" => Comparison::AtMost,
        "=" => Comparison::Equal,
        ">=" => Comparison::AtLeast,
        ">" => Comparison::Greater,
        _ => return Capability::named(text),
    };
    Capability { name: text[..at].to_owned(), bound: Some((comparison, Bound::Native(version.to_owned()))) }
}

/// The digests of an mtree, by absolute path.
fn read_sums(text: &str) -> BTreeMap<String, String> {
    let sum = |line: &str| {
        let mut words = line.split(' ');
        let path = unquoted(words.next()?.strip_prefix('.')?);
        Some((path, words.find_map(|word| word.strip_prefix("sha256digest="))?.to_owned()))
    };
    text.lines().filter_map(sum).collect()
}

/// A word with bytes in octal digits as mtree(5) writes them.
pub(super) fn unquoted(word: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes();
    while let [first, others @ ..] = rest {
        let digits =
            others.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = &others[3..];
        } else {
            bytes.push(*first);
            rest = others;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_by_the_path_that_is_quoted() {
        let text = "#mtree\n/set type=file\n./.PKGINFO size=1 sha256digest=aa\n./usr/a\\040\\303\\244 time=1.0 size=2 sha256digest=bb\n\
                    ./usr type=dir\n";
        let sums = read_sums(text);
        assert_eq!(sums.get("/usr/a ä").map(String::as_str), Some("bb"));
        assert_eq!(sums.len(), 2);
    }
}
