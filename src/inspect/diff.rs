//! What differs between two finished packages, ours or foreign ones, also of different formats.
//!
//! Bounded in memory: files are read once, as a stream, and only their digests are kept; of kernel modules what they say.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use md5::Md5;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::archive;
use crate::base::error::{Error, Result};
use crate::format::{self, Contents, ReadFile, ReadPackage};
use crate::kernel::ko::{KernelModule, is_module};

/// How many bytes of content a package may have: more than any driver, and an end for archives that only pretend.
const CONTENT: u64 = 16 << 30;

/// Where a difference is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Name, version, description and their like.
    Metadata,
    /// What the package needs, offers and excludes.
    Relations,
    /// Maintainer scripts.
    Scripts,
    /// Files, folders and links: mode, owner, content.
    Files,
    /// What kernel modules say: aliases, symbols, parameters.
    Modules,
}

impl Section {
    /// For headings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Relations => "relations",
            Self::Scripts => "scripts",
            Self::Files => "files",
            Self::Modules => "modules",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub section: Section,
    /// What: a field, `requires NAME`, a script, a path.
    pub what: String,
    /// As it is in the first package; nothing where that has none.
    pub old: Option<String>,
    /// As it is in the second package.
    pub new: Option<String>,
}

/// A package in the words in which packages are compared: section and name to value.
type Facts = BTreeMap<(Section, String), String>;

/// Compares two packages; in the order of sections and names.
pub fn diff(old: &Path, new: &Path) -> Result<Vec<Difference>> {
    let (old, new) = (facts(old)?, facts(new)?);
    let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let difference = |key: &(Section, String)| {
        let (old, new) = (old.get(key).cloned(), new.get(key).cloned());
        (old != new).then(|| Difference { section: key.0, what: key.1.clone(), old, new })
    };
    Ok(keys.into_iter().filter_map(difference).collect())
}

fn facts(path: &Path) -> Result<Facts> {
    let mut look = Look::default();
    if let Some(found) = format::open(path, &mut look)? {
        return look
            .facts(found)
            .map_err(|error| Error::io("cannot read the package", path, error).as_usage());
    }
    if !path.exists() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        return Err(Error::io("cannot read", path, missing).as_usage());
    }
    Err(Error::usage("is no .deb, .rpm, .dsc or .src.rpm:").at(path))
}

/// What is looked at while a package is read.
#[derive(Default)]
struct Look {
    contents: BTreeMap<String, Content>,
    modules: BTreeMap<String, KernelModule>,
    total: u64,
}

#[derive(Debug, Clone)]
struct Content {
    size: u64,
    md5: String,
    sha256: String,
    /// The digest of what a compressed document holds.
    unpacked: Option<String>,
}

/// A reader that shows what it reads to digests.
struct Seen<'a> {
    inner: &'a mut dyn Read,
    size: u64,
    left: &'a mut u64,
    md5: Md5,
    sha256: Sha256,
}

impl Read for Seen<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(bytes)?;
        self.size += count as u64;
        *self.left = self.left.checked_sub(count as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "its files hold more than 16 GiB, or pretend to")
        })?;
        self.md5.update(&bytes[..count]);
        self.sha256.update(&bytes[..count]);
        Ok(count)
    }
}

impl Contents for Look {
    fn wants(&self, _path: &str) -> bool {
        true
    }

    fn take(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()> {
        let mut left = CONTENT - self.total;
        let mut seen =
            Seen { inner: content, size: 0, left: &mut left, md5: Md5::new(), sha256: Sha256::new() };
        let (mut inside, mut unpacked) = (Vec::new(), None);
        if is_module(path) {
            if let Ok(module) = KernelModule::read(&mut seen) {
                self.modules.insert(path.to_owned(), module);
            }
        } else if is_document(path) {
            unpacked = digest(&mut seen).ok();
        } else if is_archive(path) {
            // what is no archive after all differs as a whole
            let _ignored = members(&mut seen, &mut inside);
        }
        io::copy(&mut seen, &mut io::sink())?;
        let Seen { size, md5, sha256, .. } = seen;
        let content = Content {
            size,
            md5: format!("{:x}", md5.finalize()),
            sha256: format!("{:x}", sha256.finalize()),
            unpacked,
        };
        self.total = CONTENT - left;
        self.contents.insert(path.to_owned(), content);
        self.contents.extend(inside.into_iter().map(|(name, content)| (format!("{path}!/{name}"), content)));
        Ok(())
    }

    fn same(&mut self, path: &str, as_path: &str) -> io::Result<()> {
        if let Some(content) = self.contents.get(as_path).cloned() {
            self.contents.insert(path.to_owned(), content);
        }
        Ok(())
    }
}

/// Whether a file is a document that a format's tools compress on their own.
fn is_document(path: &str) -> bool {
    (path.starts_with("/usr/share/doc/") || path.starts_with("/usr/share/man/")) && path.ends_with(".gz")
}

/// The digest of what a compressed file holds.
fn digest(reader: &mut dyn Read) -> io::Result<String> {
    // a document does not unpack to more
    const DOCUMENT: u64 = 1 << 30;
    let mut sha256 = Sha256::new();
    io::copy(&mut archive::decompressed(reader)?.take(DOCUMENT), &mut sha256)?;
    Ok(format!("{:x}", sha256.finalize()))
}

/// Whether a file of a source package is an archive that is worth a look.
fn is_archive(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    // those at the top: a driver's own files are below folders
    path.matches('/').count() == 1
        && [".tar", ".tar.gz", ".tar.xz", ".tar.zst"].iter().any(|end| name.ends_with(end))
}

fn members(reader: &mut dyn Read, found: &mut Vec<(String, Content)>) -> io::Result<()> {
    let mut left = CONTENT;
    archive::read_tar(archive::decompressed(reader)?, 1_000_000, &mut |entry, content| {
        if entry.is_file {
            let mut seen =
                Seen { inner: content, size: 0, left: &mut left, md5: Md5::new(), sha256: Sha256::new() };
            io::copy(&mut seen, &mut io::sink())?;
            let Seen { size, sha256, .. } = seen;
            let sha256 = format!("{:x}", sha256.finalize());
            found.push((entry.name, Content { size, md5: String::new(), sha256, unpacked: None }));
        }
        Ok(())
    })
}

impl Look {
    fn facts(mut self, found: ReadPackage) -> io::Result<Facts> {
        let mut facts = Facts::new();
        // what stands several times under a name, such as two bounds of a relation, is compared together
        let mut add = |section, name: String, value: String| {
            let place: &mut String = facts.entry((section, name)).or_default();
            if !place.is_empty() {
                place.push_str(", ");
            }
            place.push_str(&value);
        };
        for (name, value) in
            [("name", found.name), ("version", found.version), ("architecture", found.arch)].map(owned)
        {
            add(Section::Metadata, name, value);
        }
        for (name, value) in found.metadata {
            add(Section::Metadata, name, value);
        }
        let of_package = found.relations.iter().map(|relation| (relation.kind.name(), relation));
        let of_build = found.build_requires.iter().map(|relation| ("build-requires", relation));
        let mut relations: Vec<_> = of_package
            .chain(of_build)
            .map(|(kind, relation)| {
                let text = relation.to_string();
                let key = match relation.any_of.as_slice() {
                    [one] if !one.name.starts_with('(') => {
                        one.name.split_whitespace().next().unwrap_or_default()
                    }
                    _ => &text,
                };
                (format!("{kind} {key}"), text)
            })
            .collect();
        // their order says nothing
        relations.sort();
        for (name, text) in relations {
            add(Section::Relations, name, text);
        }
        for script in found.scripts {
            let name = script.when.map_or(script.name, |when| when.name().to_owned());
            add(Section::Scripts, name, script.text.trim_end().to_owned() + "\n");
        }
        for file in found.files {
            let content = self.contents.remove(&file.path);
            check(&file, content.as_ref())?;
            add(Section::Files, file.path.clone(), file_text(&file, content.as_ref()));
        }
        // the members of archives
        for (path, content) in self.contents {
            add(Section::Files, path, format!("{} bytes, SHA-256 {}", content.size, content.sha256));
        }
        for (path, module) in self.modules {
            for (key, value) in module_facts(&module) {
                add(Section::Modules, format!("{path} {key}"), value);
            }
        }
        Ok(facts)
    }
}

fn owned((name, value): (&str, String)) -> (String, String) {
    (name.to_owned(), value)
}

/// Fails where a file has not the checksum that its package states.
fn check(file: &ReadFile, content: Option<&Content>) -> io::Result<()> {
    let (Some(stated), Some(content)) = (&file.checksum, content) else { return Ok(()) };
    let own = match stated.len() {
        32 => &content.md5,
        64 => &content.sha256,
        _ => return Ok(()),
    };
    if own.is_empty() || own.eq_ignore_ascii_case(stated) {
        return Ok(());
    }
    let text = format!("`{}` has not the checksum that the package states", file.path);
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

fn file_text(file: &ReadFile, content: Option<&Content>) -> String {
    let mut text = format!("{:04o} {}", file.mode, file.owner);
    if file.is_folder() {
        text.push_str(", a folder");
    }
    if let Some(target) = file.target() {
        text.push_str(&format!(", a link to {target}"));
    }
    if let Some(content) = content.filter(|_| file.target().is_none() && !file.is_folder()) {
        match &content.unpacked {
            Some(unpacked) => text.push_str(&format!(", compressed, SHA-256 {unpacked} of its content")),
            None => text.push_str(&format!(", {} bytes, SHA-256 {}", content.size, content.sha256)),
        }
    }
    text
}

/// What a module says, without what the file's bytes tell anyway.
fn module_facts(module: &KernelModule) -> Vec<(String, String)> {
    let mut facts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (key, value) in &module.info {
        // one fact each for what there is many of, so that one more is one line
        let many = matches!(key.as_str(), "alias" | "parm" | "parmtype" | "firmware");
        let name = if many { format!("{key} {value}") } else { key.clone() };
        facts.entry(name).or_default().insert(value.clone());
    }
    let crc =
        |crc: Option<u32>| crc.map_or_else(|| "without a checksum".to_owned(), |crc| format!("{crc:#010x}"));
    for need in &module.needs {
        facts.entry(format!("needs {}", need.name)).or_default().insert(crc(need.crc));
    }
    for export in &module.exports {
        facts.entry(format!("exports {}", export.symbol.name)).or_default().insert(crc(export.symbol.crc));
    }
    let signed = if module.signature.is_some() { "yes" } else { "no" };
    facts.entry("signed".to_owned()).or_default().insert(signed.to_owned());
    facts
        .into_iter()
        .map(|(name, values)| (name, values.into_iter().collect::<Vec<_>>().join(", ")))
        .collect()
}
