//! Packages that hold kernels back for which finished packages have no modules: what `kpkg guard` writes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::against::{self, Served};
use crate::base::error::{Error, Result};
use crate::build::{Artifact, Prebuilt};
use crate::dkms::compare_versions;
use crate::format::{self, Family, Nobody, ReadPackage};
use crate::output::{Dir, Means};
use crate::package::{Package, RelationKind, Version};
use crate::plan::profile::{self, Target};
use crate::plan::template::Templates;
use crate::plan::{self, Held, flavour};

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The target; without it the portable one of the packages' format.
    pub target: Option<String>,
    /// The revision, instead of that of the packages.
    pub release: Option<String>,
    /// Whether another minor release or variant of a kernel is served where all checksums are the same.
    pub across_minors: bool,
    /// Instead of the time of the packages.
    pub stamp: Option<u32>,
    pub output: PathBuf,
    pub means: Means,
}

/// What came of it.
#[derive(Debug)]
pub struct Guarded {
    /// What each kernel makes of each file.
    pub served: Vec<Served>,
    /// The kernels that no file serves.
    pub held: Vec<String>,
    /// The package that holds them.
    pub artifacts: Vec<Artifact>,
}

/// Looks which of `kernels` the modules of packages serve, and writes a package that holds the others back: none, where all are served.
pub fn guard(
    files: &[PathBuf],
    kernels: &[String],
    at_hand: &Prebuilt,
    options: &Options,
) -> Result<Guarded> {
    let Packages { target, family, found } = packages(files, options)?;
    let served = against::against(files, kernels, options.across_minors, at_hand, &options.means.stop)?;
    let is_served = |kernel: &str| {
        let judged = served.iter().flat_map(|one| &one.kernels).filter(|(name, _)| name == kernel);
        judged.into_iter().any(|(_, judgement)| judgement.obstacles.is_empty())
    };
    let all: Vec<&str> = served
        .first()
        .map_or_else(Vec::new, |one| one.kernels.iter().map(|(name, _)| name.as_str()).collect());
    let held: Vec<String> =
        all.iter().filter(|kernel| !is_served(kernel)).map(|kernel| (*kernel).to_owned()).collect();
    // one that holds nothing takes the place of one that did
    let newest = if held.is_empty() { BTreeMap::new() } else { newest(&served, &is_served, &target)? };
    let package = plan(&found, &target, family, &held, &newest, options)?;
    let errors: Vec<_> = family.check(&package);
    if !errors.is_empty() {
        return Err(Error::diagnostics(errors));
    }
    let mut out = Dir::new(&options.output, options.means.clone());
    family.write(&package, &mut out)?;
    let artifact = |written| Artifact {
        written,
        is_fresh: true,
        target: target.name.clone(),
        format: family.name().to_owned(),
        doubt: None,
    };
    Ok(Guarded { served, held, artifacts: out.written().iter().cloned().map(artifact).collect() })
}

/// Finished packages of one format.
struct Packages {
    target: Target,
    family: &'static dyn Family,
    found: Vec<(PathBuf, ReadPackage)>,
}

/// The packages, which have to be of one format and driver, with their target.
fn packages(files: &[PathBuf], options: &Options) -> Result<Packages> {
    let mut found: Vec<(PathBuf, ReadPackage)> = Vec::new();
    for file in files {
        let read = if file.is_dir() { None } else { format::open(file, &mut Nobody)? };
        let read = read.ok_or_else(|| {
            Error::usage("is no package:")
                .at(file)
                .hint("give finished packages of modules, such as kmod-NAME-KERNEL.rpm")
        })?;
        if let Some((other, first)) = found.first().filter(|(_, first)| first.format != read.format) {
            let text = format!(
                "is of the format {}, and `{}` of the format {}:",
                read.format,
                other.display(),
                first.format
            );
            return Err(Error::usage(text).at(file).hint("write one package for each format"));
        }
        found.push((file.clone(), read));
    }
    let format = found.first().map(|(_, read)| read.format).unwrap_or_default();
    let family = format::for_format(format).ok_or_else(|| Error::usage("no package is given"))?;
    let target = profile::target(options.target.as_deref().unwrap_or(family.name()))?;
    if target.family != family.name() {
        return Err(Error::usage(format!(
            "`{}` uses {}, and the packages are of the format {format}",
            target.name, target.family
        ))
        .hint("name a target of theirs"));
    }
    Ok(Packages { target, family, found })
}

/// By flavour, the version of the newest kernel that is served, where the target asks for it.
fn newest(
    served: &[Served],
    is_served: &dyn Fn(&str) -> bool,
    target: &Target,
) -> Result<BTreeMap<String, String>> {
    let shape = target.prebuilt.as_ref().and_then(|shape| shape.hold.as_ref());
    let mut newest: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    if shape.is_none_or(|shape| shape.newer.is_none()) {
        return Ok(BTreeMap::new());
    }
    let Some(one) = served.first() else { return Ok(BTreeMap::new()) };
    for (name, _) in one.kernels.iter().filter(|(name, _)| is_served(name)) {
        let version = one.versions.get(name).ok_or_else(|| {
            Error::usage(format!("the version of the packages of the kernel `{name}` is not known"))
                .hint("give its header package: `--against linux-headers-….deb`")
        })?;
        let known = newest.entry(flavour(name)).or_insert((name, version));
        if compare_versions(known.0, name).is_lt() {
            *known = (name, version);
        }
    }
    if newest.is_empty() {
        return Err(Error::usage("none of the kernels is served, so that there is none to stay with")
            .hint("give the kernels that the packages are for as well"));
    }
    Ok(newest.into_iter().map(|(flavour, (_, version))| (flavour, version.to_owned())).collect())
}

fn plan(
    found: &[(PathBuf, ReadPackage)],
    target: &Target,
    family: &'static dyn Family,
    held: &[String],
    newest: &BTreeMap<String, String>,
    options: &Options,
) -> Result<Package> {
    let mut name: Option<String> = None;
    for (path, read) in found {
        let own = driver(read, &target.names.modules).ok_or_else(|| {
            Error::usage(format!("provides no `{}`, as packages of modules do:", target.names.modules))
                .at(path)
                .hint("give packages that kpkg wrote")
        })?;
        if name.get_or_insert_with(|| own.clone()) != &own {
            return Err(Error::usage("is of another driver than the first:")
                .at(path)
                .hint("write one package for each driver"));
        }
    }
    let newest_package =
        found.iter().max_by(|(_, one), (_, other)| compare_versions(&one.version, &other.version));
    let (path, read) = newest_package.ok_or_else(|| Error::usage("no package is given"))?;
    let said = |key: &str| read.metadata.get(key).cloned().unwrap_or_default();
    let mut version = version(read, family);
    if let Some(release) = &options.release {
        version.revision.clone_from(release);
    }
    let held = Held {
        name: name.unwrap_or_default(),
        version,
        license: Some(said("license"))
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| "LicenseRef-Unknown".to_owned()),
        maintainer: said("maintainer"),
        homepage: said("homepage"),
        stamp: options.stamp.unwrap_or_else(|| modified(path)),
        kernels: held.to_vec(),
        newest: newest.clone(),
    };
    plan::plan_hold(&held, target, &Templates::new(&[])?)
}

/// The driver that a package of modules is of, by the virtual name that all of them provide.
fn driver(read: &ReadPackage, pattern: &str) -> Option<String> {
    let (before, behind) = pattern.split_once("{name}")?;
    let provides = read.relations.iter().filter(|relation| relation.kind == RelationKind::Provides);
    let mut names = provides.flat_map(|relation| &relation.any_of).map(|capability| capability.name.as_str());
    names
        .find_map(|name| name.strip_prefix(before)?.strip_suffix(behind))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// A version of which the family makes what the package has.
fn version(read: &ReadPackage, family: &'static dyn Family) -> Version {
    let (epoch, rest) = match read.version.split_once(':') {
        Some((epoch, rest)) => (epoch.parse().ok(), rest),
        None => (None, read.version.as_str()),
    };
    let (whole, revision) = rest.rsplit_once('-').unwrap_or((rest, "1"));
    let (upstream, pre) = match whole.split_once('~') {
        Some((upstream, pre)) => (upstream, Some(pre.to_owned())),
        None => (whole, None),
    };
    let version = |upstream: &str| Version {
        epoch,
        upstream: upstream.to_owned(),
        pre: pre.clone(),
        revision: revision.to_owned(),
    };
    // some write a dash as `_`, and that twice
    let dashed = version(&upstream.replace("__", "\u{0}").replace('_', "-").replace('\u{0}', "_"));
    if family.version(&dashed) == read.version { dashed } else { version(upstream) }
}

/// When a file was last changed.
fn modified(path: &Path) -> u32 {
    let seconds = fs::metadata(path).map(|metadata| metadata.mtime()).unwrap_or_default();
    u32::try_from(seconds).unwrap_or_default()
}
