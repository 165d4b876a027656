//! The headers of kernels in a lock, brought from their mirrors into the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use super::mirrors::Mirrors;
use super::{Header, Kernel, Lock};
use crate::base::error::{Error, Result};
use crate::fetch::{self, Fetcher};
use crate::kernel::headers::Cache;
use crate::output::Stop;

/// Packages of headers by digest, each with the address that it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packages(BTreeMap<String, (String, Header)>);

impl Packages {
    /// Those of kernels; mirrors that are named for their targets come before those that the lock was read from.
    pub fn of(lock: &Lock, kernels: &[&Kernel], mirrors: &Mirrors) -> Self {
        let mut packages = BTreeMap::new();
        for kernel in kernels {
            for header in &kernel.headers {
                let id = header.source.as_ref().unwrap_or(&kernel.source);
                let source = lock.source(id);
                let moved = source.and_then(|source| mirrors.moved(&source.target, source.path.as_deref()?));
                let url = moved.or_else(|| source.map(|source| source.url.clone())).unwrap_or_default();
                packages.insert(header.sha256.clone(), (fetch::below(&url, &header.path), header.clone()));
            }
        }
        Self(packages)
    }

    /// Brings those that are not unpacked in the cache; how many came.
    pub fn bring(&self, fetcher: &Fetcher, cache: &Cache, stop: &Stop) -> Result<usize> {
        let missing: Vec<_> = self.0.iter().filter(|(digest, _)| cache.get(digest).is_none()).collect();
        fetcher.downloads.expect(missing.iter().map(|(_, (_, header))| header.size).sum());
        for (_, (url, header)) in &missing {
            stop.check()?;
            let path = fetcher.file(url, &header.known())?;
            // another run may have unpacked and removed it meanwhile
            let package = match (cache.add(&path, stop), cache.get(&header.sha256)) {
                (Err(_), Some(package)) => package,
                (added, _) => added?,
            };
            if package.digest != header.sha256 {
                return Err(Error::failed("changed while it was read:").at(path));
            }
            // unpacked it is all that builds take
            let removed = if fetch::local(url).is_none() { fs::remove_file(&path) } else { Ok(()) };
            if let Err(error) = removed
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(Error::io("cannot remove from the cache", path, error));
            }
        }
        Ok(missing.len())
    }
}

/// That the packages of a kernel hold its headers.
pub fn check(kernel: &Kernel, cache: &Cache) -> Result<()> {
    let packages: Vec<_> = kernel.headers.iter().filter_map(|header| cache.get(&header.sha256)).collect();
    if packages.iter().any(|package| package.kernels.contains_key(&kernel.release)) {
        return Ok(());
    }
    let releases: BTreeSet<_> =
        packages.iter().flat_map(|package| package.kernels.keys().map(String::as_str)).collect();
    let found = if releases.is_empty() {
        "none".to_owned()
    } else {
        releases.into_iter().collect::<Vec<_>>().join(", ")
    };
    let text = format!("the packages of `{}` hold the headers of {found} instead", kernel.release);
    Err(Error::failed(text).hint("a package that only leads to another one is no kernel's; `status = \"retired\"` in kernels.lock leaves it out"))
}
