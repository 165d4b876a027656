//! Kernels that no list has: packages of headers in folders and at addresses, which say themselves what they are.

use std::path::Path;

use super::listed::{Listed, Read, UNCHECKED_KEY};
use super::select;
use super::{Header, Source, SourceKind, mirrors};
use crate::base::error::{Error, Result};
use crate::dkms::compare_versions;
use crate::fetch::{self, Fetcher, Known};
use crate::kernel::headers::{Cache, HeaderPackage};
use crate::output::Stop;

/// The most bytes of a package at an address.
const LARGEST: u64 = 1 << 30;

/// The kernels of the packages that are named for a target: files, folders of them, addresses. Paths are relative to `folder`.
pub(super) fn read(
    target: &str,
    machine: &str,
    named: &[String],
    folder: &Path,
    fetcher: &Fetcher,
    cache: &Cache,
    stop: &Stop,
) -> Result<Vec<Read>> {
    let mut sources: Vec<(Source, Vec<(HeaderPackage, Header)>)> = Vec::new();
    for text in named {
        let address = mirrors::address(text, folder)?;
        let local = fetch::local(&address);
        let (root, files, kind) = match local {
            Some(path) if path.is_dir() => {
                let files = crate::kernel::packages_in(path);
                if files.is_empty() {
                    return Err(Error::usage("holds no packages of kernel headers:").at(path));
                }
                let names = files.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
                (address.clone(), names.collect(), SourceKind::Folder)
            }
            _ => {
                let (root, name) = address.rsplit_once('/').unwrap_or((".", &address));
                (root.to_owned(), vec![name.to_owned()], SourceKind::Static)
            }
        };
        let id = format!("{target}/packages/{}", sources.len() + 1);
        let source = Source {
            id,
            target: target.to_owned(),
            kind,
            url: root.clone(),
            path: None,
            index: None,
            signature: UNCHECKED_KEY.to_owned(),
        };
        let mut packages = Vec::new();
        for name in files {
            let url = fetch::below(&root, &name);
            let (package, known) = package(&url, fetcher, cache, stop)?;
            packages
                .push((package, Header { source: None, path: name, sha256: known.sha256, size: known.size }));
        }
        sources.push((source, packages));
    }
    Ok(sources
        .iter()
        .map(|(source, own)| Read { source: source.clone(), kernels: kernels(machine, own, &sources) })
        .collect())
}

/// A package, unpacked into the cache, and what its file is.
fn package(url: &str, fetcher: &Fetcher, cache: &Cache, stop: &Stop) -> Result<(HeaderPackage, Known)> {
    if let Some(path) = fetch::local(url) {
        return Ok((cache.add(path, stop)?, fetch::known(path, stop)?));
    }
    // nothing says what it is but itself: from now on the lock does
    let bytes = fetcher.current(url, LARGEST)?.ok_or_else(|| Error::failed("there is no").at(url))?;
    let known = fetcher.keep(&bytes)?;
    let path = fetcher.place(&known);
    Ok((cache.add(&path, stop)?, known))
}

/// The kernels of a source, each with the packages of all sources that it needs.
fn kernels(
    machine: &str,
    own: &[(HeaderPackage, Header)],
    all: &[(Source, Vec<(HeaderPackage, Header)>)],
) -> Vec<Listed> {
    let mut listed = Vec::new();
    for (first, header) in own.iter().filter(|(package, _)| package.arch == machine) {
        let mut found = vec![(first, header.clone())];
        let mut next = 0;
        while next < found.len() {
            let needs = &found[next].0.requires;
            next += 1;
            let candidates = all.iter().flat_map(|(source, packages)| {
                packages.iter().map(move |(package, header)| (source, package, header))
            });
            for need in needs {
                let best = candidates.clone().filter(|(_, package, _)| package.name == *need).max_by(
                    |one, other| {
                        let rank = |package: &HeaderPackage| package.version == first.version;
                        rank(one.1)
                            .cmp(&rank(other.1))
                            .then_with(|| compare_versions(&one.1.version, &other.1.version))
                    },
                );
                if let Some((source, package, header)) = best
                    && !found.iter().any(|(other, _)| other.name == package.name)
                {
                    found.push((package, Header { source: Some(source.id.clone()), ..header.clone() }));
                }
            }
        }
        for release in first.kernels.keys() {
            listed.push(Listed {
                release: release.clone(),
                version: first.version.clone(),
                flavour: select::flavour(release, machine),
                headers: found.iter().map(|(_, header)| header.clone()).collect(),
            });
        }
    }
    listed
}
