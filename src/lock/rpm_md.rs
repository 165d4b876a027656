//! Repositories that dnf and zypper read: `repodata/repomd.xml`, and the list of packages that it calls primary.
//!
//! Only that list, in any compression: the databases beside it are gone from current repositories.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader};

use jiff::Timestamp;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::listed::{Asking, Listed, Of, Read, UNCHECKED_KEY, accepted};
use super::mirrors::Root;
use super::select;
use super::{Header, Index, Source, SourceKind, is_like};
use crate::archive;
use crate::base::error::{Error, Result};
use crate::fetch::{self, Known};
use crate::plan::profile::KernelList;

/// The most bytes of a list of lists.
const LARGEST_LIST: u64 = 16 << 20;

/// A repository by the mirror that it lies on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    mirror: String,
    /// Below it; empty where the mirror has nothing else.
    folder: String,
}

impl Place {
    /// What a path of the repository is below its mirror; nothing where that leads out of it.
    fn below(&self, path: &str) -> Option<String> {
        let (mut folder, mut path) = (self.folder.as_str(), path);
        while let (false, Some(rest)) = (folder.is_empty(), path.strip_prefix("../")) {
            folder = folder.rsplit_once('/').map_or("", |(above, _)| above);
            path = rest;
        }
        let joined = if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") };
        fetch::is_below(&joined).then_some(joined)
    }

    fn address(&self, path: &str) -> String {
        fetch::below(&fetch::below(&self.mirror, &self.folder), path)
    }
}

/// Where a repository is: at `path`, or where the file `moved` there says.
fn place(of: &Of<'_>, list: &KernelList, path: &str, root: &Root, ask: &Asking<'_>) -> Result<Place> {
    let whole = || Place { mirror: root.url.clone(), folder: String::new() };
    // one that has an address of its own is there
    let (Some(moved), Some(mirror)) = (&list.moved, root.url.strip_suffix(&format!("/{path}"))) else {
        return Ok(whole());
    };
    let address = fetch::below(&root.url, moved);
    let folder = match ask.fetcher.current(&address, LARGEST_LIST)? {
        // a copy of one state
        None => path.to_owned(),
        Some(text) => {
            let text = String::from_utf8_lossy(&text).replace("$basearch", of.machine);
            let first = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
            let folder = first.strip_prefix(&format!("{mirror}/")).map(|folder| folder.trim_end_matches('/'));
            folder.filter(|folder| fetch::is_below(folder)).map(str::to_owned).ok_or_else(|| {
                Error::failed(format!(
                    "says that the repository is at `{}`, out of this mirror:",
                    first.escape_debug()
                ))
                .at(&address)
                .hint("name the mirror that this is below")
            })?
        }
    };
    Ok(Place { mirror: mirror.to_owned(), folder })
}

/// A package as the list has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Listing {
    name: String,
    arch: String,
    epoch: String,
    version: String,
    release: String,
    sha256: String,
    size: u64,
    path: String,
    provides: Vec<(String, String)>,
    requires: Vec<String>,
}

impl Listing {
    fn full_version(&self) -> String {
        let epoch =
            if matches!(self.epoch.as_str(), "" | "0") { String::new() } else { format!("{}:", self.epoch) };
        format!("{epoch}{}-{}", self.version, self.release)
    }
}

/// The kernels of a repository.
pub(super) fn repository(of: &Of<'_>, list: &KernelList, root: &Root, ask: &Asking<'_>) -> Result<Read> {
    let repository = list.path.replace("{release}", &of.lists.release).replace("{arch}", of.machine);
    let place = place(of, list, &repository, root, ask)?;
    let address = place.address("repodata/repomd.xml");
    let mut last = None;
    for _ in 0..2 {
        let text = ask.fetcher.current(&address, LARGEST_LIST)?.ok_or_else(|| {
            Error::failed("there is no")
                .at(&address)
                .hint("is it a repository? Its address is the one that `repodata/` is below")
        })?;
        let signature = match ask.fetcher.current(&format!("{address}.asc"), LARGEST_LIST)? {
            Some(signature) => {
                accepted(ask.judge.detached(&text, &signature, &root.keyrings)?, &address, root)?
            }
            // most repositories have none, and dnf asks for none unless it is told to (`repo_gpgcheck`)
            None => UNCHECKED_KEY.to_owned(),
        };
        let (path, known, date) = primary(&text, &address)?;
        let packages = place.address(&path);
        let kept = match ask.fetcher.file(&packages, &known) {
            Ok(kept) => kept,
            // while it was read the mirror was given a new one
            Err(error) => {
                last = Some(error);
                continue;
            }
        };
        let path = place.below(&path).unwrap_or(path);
        let index = Index { path, sha256: known.sha256.clone(), date };
        let is_whole = place.folder.is_empty();
        let source = Source {
            id: format!("{}/{repository}", of.target),
            target: of.target.to_owned(),
            kind: SourceKind::RpmMd,
            url: place.mirror.clone(),
            path: Some(if is_whole { repository.clone() } else { String::new() }),
            index: Some(index),
            signature,
        };
        let damaged = |why: String| Error::failed(format!("cannot be read: {why}:")).at(&packages);
        let reader =
            File::open(&kept).and_then(archive::decompressed).map_err(|error| damaged(error.to_string()))?;
        let mut listings = listings(BufReader::new(reader), &|name| is_wanted(of, name))
            .map_err(|error| damaged(error.to_string()))?;
        listings.retain_mut(|listing| {
            let path = place.below(&listing.path);
            path.is_some_and(|path| {
                listing.path = path;
                true
            })
        });
        return Ok(Read { source, kernels: kernels(of, &listings)? });
    }
    Err(last.unwrap_or_else(Error::interrupted))
}

fn is_wanted(of: &Of<'_>, name: &str) -> bool {
    name.starts_with("kernel") || of.lists.needs.iter().any(|pattern| is_like(pattern, name))
}

/// The kernels among packages, with the packages of each.
fn kernels(of: &Of<'_>, listings: &[Listing]) -> Result<Vec<Listed>> {
    let mut kernels: Vec<Listed> = Vec::new();
    for listing in listings {
        let releases: Vec<String> = match (&of.lists.provides, &of.lists.package) {
            (Some(capability), _) => {
                let said = listing.provides.iter().filter(|(name, _)| name == capability);
                said.map(|(_, version)| version.clone()).filter(|version| !version.is_empty()).collect()
            }
            (None, Some(pattern)) => released(of, listing, pattern).into_iter().collect(),
            (None, None) => Vec::new(),
        };
        // another machine's, which a repository for several has too
        if releases.is_empty() || listing.arch != of.machine {
            continue;
        }
        let mut headers = vec![listing];
        for pattern in &of.lists.needs {
            let is_it = |other: &&Listing| {
                is_like(pattern, &other.name) && other.full_version() == listing.full_version()
            };
            headers.push(listings.iter().find(is_it).ok_or_else(|| {
                let text = format!(
                    "`{} {}` needs `{pattern}` of the same version, which the repository does not list",
                    listing.name,
                    listing.full_version()
                );
                Error::failed(text).hint("the mirror is not whole: try again later, or name another one")
            })?);
        }
        let header = |of: &&Listing| Header {
            source: None,
            path: of.path.clone(),
            sha256: of.sha256.clone(),
            size: of.size,
        };
        for release in releases {
            kernels.push(Listed {
                flavour: select::flavour(&release, of.machine),
                release,
                version: listing.full_version(),
                headers: headers.iter().map(header).collect(),
            });
        }
    }
    Ok(kernels)
}

/// The kernel release of a package that does not say it: see [`crate::plan::profile::KernelLists::package`].
fn released(of: &Of<'_>, listing: &Listing, pattern: &str) -> Option<String> {
    let (before, behind) = pattern.split_once("{flavour}")?;
    let flavour = listing.name.strip_prefix(before)?.strip_suffix(behind)?;
    let first = of.lists.needs.first()?;
    // others are called so, too
    if flavour.is_empty() || !listing.requires.iter().any(|need| need == first) {
        return None;
    }
    let built = listing.release.rsplit_once('.').map_or(listing.release.as_str(), |(before, _)| before);
    Some(format!("{}-{built}-{flavour}", listing.version))
}

/// The place of the primary list, what it is, and when it was made.
fn primary(text: &[u8], address: &str) -> Result<(String, Known, String)> {
    let wrong =
        |why: &str| Error::failed(format!("{why}:")).at(address).hint("is it the list of a repository?");
    let mut reader = Reader::from_reader(text);
    let (mut is_primary, mut tag, mut kind) = (false, String::new(), String::new());
    let (mut path, mut sha256, mut size, mut date) = (None, None, None, None);
    let mut buffer = Vec::new();
    loop {
        match reader
            .read_event_into(&mut buffer)
            .map_err(|error| wrong(&format!("cannot be read: {error}")))?
        {
            Event::Eof => break,
            Event::Start(start) | Event::Empty(start) => {
                start.local_name().as_ref().clone_into(&mut tag);
                match tag.as_str() {
                    "data" => is_primary = value(&start, "type").as_deref() == Some("primary"),
                    "location" if is_primary => path = value(&start, "href"),
                    "checksum" => kind = value(&start, "type").unwrap_or_default(),
                    _ => {}
                }
            }
            Event::Text(text) if is_primary => {
                let text = text.trim().to_owned();
                match tag.as_str() {
                    "checksum" if kind == "sha256" && !text.is_empty() => sha256 = Some(text),
                    "size" if !text.is_empty() => size = text.parse().ok(),
                    "timestamp" if !text.is_empty() => date = text.parse().ok().and_then(day),
                    _ => {}
                }
            }
            Event::End(_) => tag.clear(),
            _ => {}
        }
        buffer.clear();
    }
    let path = path
        .filter(|path| fetch::is_below(path))
        .ok_or_else(|| wrong("names no list of packages below it"))?;
    let (Some(sha256), Some(size)) = (sha256, size) else {
        return Err(wrong("does not say the size and SHA-256 of its list of packages"));
    };
    Ok((path, Known { sha256, size }, date.unwrap_or_default()))
}

/// Seconds since 1970 as a day and a time, RFC 3339.
fn day(seconds: i64) -> Option<String> {
    Timestamp::from_second(seconds).ok().map(|time| time.to_string())
}

/// The packages of a primary list that are wanted.
fn listings(source: impl BufRead, is_wanted: &dyn Fn(&str) -> bool) -> quick_xml::Result<Vec<Listing>> {
    #[derive(PartialEq)]
    enum In {
        Package,
        Provides,
        Requires,
    }
    let mut reader = Reader::from_reader(source);
    let (mut found, mut now, mut place, mut tag) =
        (Vec::new(), Listing::default(), In::Package, String::new());
    let (mut kind, mut buffer) = (String::new(), Vec::new());
    loop {
        match reader.read_event_into(&mut buffer)? {
            Event::Eof => return Ok(found),
            Event::Start(start) | Event::Empty(start) => {
                start.local_name().as_ref().clone_into(&mut tag);
                match tag.as_str() {
                    "package" => now = Listing::default(),
                    "provides" => place = In::Provides,
                    "requires" => place = In::Requires,
                    "checksum" => kind = value(&start, "type").unwrap_or_default(),
                    _ if !is_wanted(&now.name) => {}
                    "version" => {
                        let of = |name: &str| value(&start, name).unwrap_or_default();
                        (now.epoch, now.version, now.release) = (of("epoch"), of("ver"), of("rel"));
                    }
                    "size" => {
                        let size = value(&start, "package").and_then(|text| text.parse().ok());
                        now.size = size.unwrap_or_default();
                    }
                    "location" => now.path = value(&start, "href").unwrap_or_default(),
                    "entry" => {
                        let name = value(&start, "name").unwrap_or_default();
                        match place {
                            In::Provides => {
                                let parts = [value(&start, "ver"), value(&start, "rel")];
                                now.provides
                                    .push((name, parts.into_iter().flatten().collect::<Vec<_>>().join("-")));
                            }
                            In::Requires => now.requires.push(name),
                            In::Package => {}
                        }
                    }
                    _ => {}
                }
            }
            Event::Text(text) => {
                let text = text.trim().to_owned();
                match tag.as_str() {
                    "name" if now.name.is_empty() => now.name = text,
                    "arch" if now.arch.is_empty() => now.arch = text,
                    "checksum" if kind == "sha256" && !text.is_empty() => now.sha256 = text,
                    _ => {}
                }
            }
            Event::End(end) => {
                match end.local_name().as_ref() {
                    "package" if is_wanted(&now.name) && now.sha256.len() == 64 => {
                        found.push(std::mem::take(&mut now));
                    }
                    "provides" | "requires" => place = In::Package,
                    _ => {}
                }
                tag.clear();
            }
            _ => {}
        }
        buffer.clear();
    }
}

fn value(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = start.try_get_attribute(name).ok().flatten()?;
    attribute.normalized_value(XmlVersion::Implicit1_0).ok().map(Cow::into_owned)
}
