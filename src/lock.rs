//! `kernels.lock`: every kernel of the chosen targets, with the packages that hold its headers, as the mirrors listed them.
//!
//! A value like any other file of the tree: who has it needs no mirror's word to know what is built, and a kernel never leaves it without
//! being named. What is in it is read from lists ([`apt`], [`rpm_md`]) or from packages themselves ([`packages`]) and put together by
//! [`update`]; which of its kernels are meant says a [`select::Selection`].

pub mod apt;
pub mod bring;
pub mod listed;
pub mod mirrors;
pub mod packages;
pub mod rpm_md;
pub mod select;
pub mod update;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::base::beneath;
use crate::base::diagnostic::{Code, Diagnostic, Place, SourceText};
use crate::base::error::{Error, Result, nearest_in};
use crate::dkms::compare_versions;
use crate::fetch::{self, Known};
use crate::kernel::machine::checked_release;
use crate::output;

/// The file's name, beside kpkg.toml.
pub const FILE_NAME: &str = "kernels.lock";
/// The name and version of its form.
pub const SCHEMA: &str = "kpkg-kernels/1";
/// More than any such file.
const LARGEST: u64 = 256 << 20;
/// More than any package of headers.
const LARGEST_PACKAGE: u64 = 4 << 30;

/// The findings of this layer.
pub const CODES: &[&Code] = &[&BAD_LOCK, &UNCHECKED];

const BAD_LOCK: Code = Code {
    id: "K0151",
    title: "kernels.lock cannot be used",
    explanation: "The file is written by `kpkg kernels update` and says which kernels there are, and which packages hold their\n\
                  headers. It may be edited by hand (`status = \"retired\"` takes a kernel out for good), but each path has\n\
                  to lie below its mirror, each digest has 64 digits, and no kernel is there twice.",
};

const UNCHECKED: Code = Code {
    id: "K0152",
    title: "nobody has judged who signed a list of kernels",
    explanation: "The packages in kernels.lock are known by their SHA-256, which came with a list that is not signed, or that\n\
                  neither gpgv nor sqv was there to judge. Whoever can change what the mirror sends decides what is in it.\n\
                  Install gpgv, name a mirror that is reached by https, or read the difference before you commit the lock.",
};

/// A whole `kernels.lock`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// By their names.
    pub sources: Vec<Source>,
    /// By target, machine and release.
    pub kernels: Vec<Kernel>,
}

/// What kernels were read from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What kernels call it.
    pub id: String,
    /// The target that it is of.
    pub target: String,
    pub kind: SourceKind,
    /// The address that paths are below.
    pub url: String,
    /// The archive or repository below a mirror, where it is one: another mirror has it at the same place. Empty where packages lie
    /// beside the repository, below the mirror itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The list that was read, where it was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<Index>,
    /// The key that signed the list, in hexadecimal digits, or `unchecked`.
    pub signature: String,
}

/// How kernels are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// A suite of an archive that apt reads.
    Apt,
    /// A repository that dnf and zypper read.
    RpmMd,
    /// Packages, each by its address.
    Static,
    /// A folder of packages.
    Folder,
}

/// A list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Below the source's address.
    pub path: String,
    /// In hexadecimal digits.
    pub sha256: String,
    /// When it was made, as it says.
    pub date: String,
}

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel {
    pub target: String,
    /// As `uname -m` prints it there.
    pub arch: String,
    /// As `uname -r` prints it there.
    pub release: String,
    /// The version of the package, which changes where a release is built anew.
    pub version: String,
    /// What stands beside the numbers of the release: `cloud`, `generic`, `rt`; `plain` where nothing does.
    pub flavour: String,
    /// The source that lists it.
    pub source: String,
    pub status: Status,
    /// The day when it was first seen; never written anew.
    pub seen: String,
    /// The packages that its headers are in, the kernel's own first.
    pub headers: Vec<Header>,
    /// What compiled it, where its headers were looked at.
    pub cc: Option<String>,
}

/// What became of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Its source lists it.
    Current,
    /// Its source lists it no longer.
    Gone,
    /// The user does not want it any more.
    Retired,
}

impl Status {
    /// As it stands in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Gone => "gone",
            Self::Retired => "retired",
        }
    }
}

/// A package file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The source that lists it, where that is not the kernel's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Below the source's address.
    pub path: String,
    /// In hexadecimal digits.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
}

impl Source {
    /// An address that single packages are below.
    pub(crate) fn of_address(url: &str, target: &str) -> Self {
        Self {
            id: url.to_owned(),
            target: target.to_owned(),
            kind: SourceKind::Static,
            url: url.to_owned(),
            path: None,
            index: None,
            signature: listed::UNCHECKED_KEY.to_owned(),
        }
    }
}

impl Kernel {
    /// The digests of the packages of its headers.
    #[must_use]
    pub fn digests(&self) -> Vec<String> {
        self.headers.iter().map(|header| header.sha256.clone()).collect()
    }
}

impl Header {
    /// What it is.
    #[must_use]
    pub fn known(&self) -> Known {
        Known { sha256: self.sha256.clone(), size: self.size }
    }
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, rename = "source")]
    sources: Vec<Source>,
    #[serde(default, rename = "kernel")]
    kernels: Vec<Spanned<WrittenKernel>>,
    #[allow(dead_code, reason = "looked at before the rest is")]
    schema: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKernel {
    target: String,
    arch: String,
    release: String,
    version: String,
    flavour: String,
    source: String,
    status: Status,
    seen: String,
    headers: Vec<Header>,
    cc: Option<String>,
}

/// The order of the file.
fn order(one: &Kernel, other: &Kernel) -> Ordering {
    let place = |kernel: &Kernel| (kernel.target.clone(), kernel.arch.clone());
    let releases =
        || compare_versions(&one.release, &other.release).then_with(|| one.release.cmp(&other.release));
    place(one).cmp(&place(other)).then_with(releases)
}

/// A time in seconds since 1970 as a day, such as `2026-11-26`.
#[must_use]
pub fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map(|time| time.strftime("%F").to_string()).unwrap_or_default()
}

/// Whether a name is like a pattern with `*`.
fn is_like(pattern: &str, name: &str) -> bool {
    gix_glob::wildmatch(pattern.into(), name.into(), gix_glob::wildmatch::Mode::empty())
}

/// The first thing to look at.
#[derive(Deserialize)]
struct Schema {
    schema: Option<Spanned<String>>,
}

impl Lock {
    /// Reads a file; nothing where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match beneath::read_text(path, LARGEST) {
            Ok(text) => Self::parse(path, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("cannot read", path, error).as_usage()),
        }
    }

    /// The same of its text.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let source = Arc::new(SourceText { path: path.to_owned(), text: text.to_owned() });
        let refuse = |span: Option<std::ops::Range<usize>>, message: &str, hint: Option<String>| {
            let mut finding = Diagnostic::error(&BAD_LOCK, message.replace('\n', " "));
            if let Some(span) = span {
                finding = finding.at(Place::new(&source, span));
            }
            if let Some(hint) = hint {
                finding = finding.hint(hint);
            }
            Error::diagnostics(vec![finding])
        };
        let wrong = |error: toml::de::Error| {
            let hint = nearest_in(error.message(), &[]).map(|nearest| format!("did you mean `{nearest}`?"));
            refuse(error.span(), error.message(), hint)
        };
        let again = || {
            Some(
                "`kpkg kernels update` writes it anew; `seen` is lost where the old one is deleted"
                    .to_owned(),
            )
        };
        match toml::from_str::<Schema>(text).map_err(wrong)?.schema {
            Some(schema) if schema.get_ref() == SCHEMA => {}
            Some(schema) => {
                let text = format!(
                    "`{}` is of another version of kpkg; this one knows {SCHEMA}",
                    schema.get_ref().escape_debug()
                );
                return Err(refuse(Some(schema.span()), &text, again()));
            }
            None => return Err(refuse(Some(0..0), &format!("there is no `schema = \"{SCHEMA}\"`"), again())),
        }
        let written: Written = toml::from_str(text).map_err(wrong)?;
        let ids: BTreeSet<&str> = written.sources.iter().map(|source| source.id.as_str()).collect();
        let mut lock = Self::default();
        let mut seen = BTreeSet::new();
        for kernel in written.kernels {
            let span = kernel.span();
            let of = kernel.into_inner();
            let at = |text: &str| {
                let inside = source.text.get(span.clone()).and_then(|table| table.find(text));
                inside.map_or(span.clone(), |from| span.start + from..span.start + from + text.len())
            };
            let fault = |text: &str, message: String| Err(refuse(Some(at(text)), &message, None));
            if checked_release(&of.release).is_err() {
                return fault(
                    &of.release,
                    format!("`{}` is no release of a kernel", of.release.escape_debug()),
                );
            }
            if !ids.contains(of.source.as_str()) {
                return fault(&of.source, format!("there is no source `{}`", of.source.escape_debug()));
            }
            if of.headers.is_empty() {
                return fault(&of.release, format!("`{}` has no packages of headers", of.release));
            }
            for header in &of.headers {
                if let Some(id) = header.source.as_ref().filter(|id| !ids.contains(id.as_str())) {
                    return fault(id, format!("there is no source `{}`", id.escape_debug()));
                }
                if !fetch::is_below(&header.path) {
                    return fault(
                        &header.path,
                        format!("`{}` leads out of its mirror", header.path.escape_debug()),
                    );
                }
                if header.sha256.len() != 64
                    || !header.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                {
                    return fault(
                        &header.sha256,
                        format!("`{}` is no SHA-256", header.sha256.escape_debug()),
                    );
                }
                if header.size > LARGEST_PACKAGE {
                    return fault(
                        &header.size.to_string(),
                        format!("{} bytes are more than a package has", header.size),
                    );
                }
            }
            if !seen.insert((of.target.clone(), of.arch.clone(), of.release.clone())) {
                return fault(&of.release, format!("`{}` of `{}` is there twice", of.release, of.target));
            }
            let WrittenKernel { target, arch, release, version, flavour, source, status, seen, headers, cc } =
                of;
            lock.kernels.push(Kernel {
                target,
                arch,
                release,
                version,
                flavour,
                source,
                status,
                seen,
                headers,
                cc,
            });
        }
        lock.sources = written.sources;
        lock.sort();
        Ok(lock)
    }

    /// In the order of the file.
    fn sort(&mut self) {
        self.sources.sort();
        self.kernels.sort_by(order);
    }

    /// The source of a kernel.
    #[must_use]
    pub fn source(&self, id: &str) -> Option<&Source> {
        self.sources.iter().find(|source| source.id == id)
    }

    /// The address of a package of a kernel's headers, as the lock was read.
    #[must_use]
    pub fn address(&self, kernel: &Kernel, header: &Header) -> String {
        let id = header.source.as_ref().unwrap_or(&kernel.source);
        self.source(id).map_or_else(String::new, |source| fetch::below(&source.url, &header.path))
    }

    /// Its text: the same kernels, the same bytes.
    #[must_use]
    pub fn text(&self) -> String {
        let quoted = |text: &str| toml::Value::from(text).to_string();
        let mut out = format!("# written by `kpkg kernels update`\nschema = {}\n", quoted(SCHEMA));
        for source in &self.sources {
            let kind = match source.kind {
                SourceKind::Apt => "apt",
                SourceKind::RpmMd => "rpm-md",
                SourceKind::Static => "static",
                SourceKind::Folder => "folder",
            };
            out.push_str("\n[[source]]\n");
            for (key, value) in
                [("id", source.id.as_str()), ("target", &source.target), ("kind", kind), ("url", &source.url)]
            {
                out.push_str(&format!("{key} = {}\n", quoted(value)));
            }
            if let Some(path) = &source.path {
                out.push_str(&format!("path = {}\n", quoted(path)));
            }
            if let Some(Index { path, sha256, date }) = &source.index {
                let [path, sha256, date] = [path, sha256, date].map(|text| quoted(text));
                out.push_str(&format!("index = {{ path = {path}, sha256 = {sha256}, date = {date} }}\n"));
            }
            out.push_str(&format!("signature = {}\n", quoted(&source.signature)));
        }
        for kernel in &self.kernels {
            out.push_str("\n[[kernel]]\n");
            let values = [
                ("target", kernel.target.as_str()),
                ("arch", &kernel.arch),
                ("release", &kernel.release),
                ("version", &kernel.version),
                ("flavour", &kernel.flavour),
                ("source", &kernel.source),
                ("status", kernel.status.name()),
                ("seen", &kernel.seen),
            ];
            for (key, value) in values {
                out.push_str(&format!("{key} = {}\n", quoted(value)));
            }
            if let Some(cc) = &kernel.cc {
                out.push_str(&format!("cc = {}\n", quoted(cc)));
            }
            out.push_str("headers = [\n");
            for Header { source, path, sha256, size } in &kernel.headers {
                let source =
                    source.as_ref().map_or_else(String::new, |id| format!("source = {}, ", quoted(id)));
                let [path, sha256] = [path, sha256].map(|text| quoted(text));
                out.push_str(&format!("  {{ {source}path = {path}, sha256 = {sha256}, size = {size} }},\n"));
            }
            out.push_str("]\n");
        }
        out
    }

    /// Writes it, in one step.
    pub fn write(&self, path: &Path) -> Result<()> {
        output::replace(path, self.text().as_bytes())
    }
}
