//! A lock from what mirrors list now, with what changed since the last one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::listed::{Asking, Judge, Listed, Of, Read, UNCHECKED_KEY};
use super::mirrors::Mirrors;
use super::{Header, Kernel, Lock, Source, Status, UNCHECKED, apt, packages, rpm_md};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::fetch::Fetcher;
use crate::format::{self, Family};
use crate::kernel::headers::Cache;
use crate::output::Stop;
use crate::package::Arch;
use crate::plan::profile::{self, ListKind, Target};

/// What is wanted of a lock.
pub struct Wanted<'a> {
    /// Targets and machines, as `uname -m` names them.
    pub of: BTreeSet<(String, String)>,
    /// Whether targets that are not among these leave the lock.
    pub is_all: bool,
    pub mirrors: &'a Mirrors,
    /// Packages that no list has, by target; paths are relative to `folder`.
    pub packages: &'a BTreeMap<String, Vec<String>>,
    pub folder: &'a Path,
    /// Unpacked packages.
    pub cache: &'a Cache,
    /// In seconds since 1970.
    pub now: i64,
    pub stop: &'a Stop,
}

/// What became of a kernel between two locks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    /// As it is now, or was before it left.
    pub kernel: Kernel,
    /// The version that it had.
    pub before: Option<String>,
}

/// What became of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    New,
    /// Its packages are others.
    Changed,
    /// Its source lists it no longer.
    Gone,
    /// It is listed again.
    Back,
    /// Nobody wants its target any more.
    Dropped,
}

impl ChangeKind {
    /// For programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Gone => "gone",
            Self::Back => "back",
            Self::Dropped => "dropped",
        }
    }
}

/// Reads all that is wanted and lays it over the lock that was there.
pub fn update(
    old: &Lock,
    wanted: &Wanted<'_>,
    fetcher: &Fetcher,
    judge: &dyn Judge,
) -> Result<(Lock, Vec<Change>, Vec<Diagnostic>)> {
    let today = super::day(wanted.now);
    let ask = Asking { fetcher, judge, now: wanted.now };
    let mut new = Lock::default();
    let mut findings = Vec::new();
    for (name, arch) in &wanted.of {
        wanted.stop.check()?;
        let target = profile::target(name)?;
        let family = format::for_format(&target.family).ok_or_else(|| without_lists(name))?;
        let all = read_target(&target, family, arch, wanted, &ask)?;
        if all.iter().all(|read| read.kernels.is_empty()) {
            let places: BTreeSet<_> = all.iter().map(|read| format!("`{}`", read.source.url)).collect();
            let places = places.into_iter().collect::<Vec<_>>().join(", ");
            let text = format!("no headers of a kernel are listed for `{name}`; looked at {places}");
            return Err(
                Error::failed(text).hint("is it a mirror of that distribution and machine, and whole?")
            );
        }
        for read in all {
            if read.source.signature == UNCHECKED_KEY
                && matches!(read.source.kind, super::SourceKind::Apt | super::SourceKind::RpmMd)
            {
                let text = format!("nobody has judged who signed the list of `{}`", read.source.id);
                findings.push(Diagnostic::warning(&UNCHECKED, text));
            }
            for listed in read.kernels {
                add(&mut new, name, arch, &read.source, listed, &today)?;
            }
            if !new.sources.contains(&read.source) {
                new.sources.push(read.source);
            }
        }
    }
    let mut changes = lay_over(old, &mut new, wanted);
    changes.sort_by(|one, other| super::order(&one.kernel, &other.kernel));
    let used: BTreeSet<_> = new
        .kernels
        .iter()
        .flat_map(|kernel| {
            kernel.headers.iter().filter_map(|header| header.source.clone()).chain([kernel.source.clone()])
        })
        .collect();
    let of_targets: BTreeSet<_> = wanted.of.iter().map(|(target, _)| target.as_str()).collect();
    for source in &old.sources {
        let is_there = new.sources.iter().any(|other| other.id == source.id);
        if !is_there
            && (used.contains(&source.id) || (!wanted.is_all && !of_targets.contains(source.target.as_str())))
        {
            new.sources.push(source.clone());
        }
    }
    new.sort();
    Ok((new, changes, findings))
}

/// A kernel that a source lists. Of several that list it the first counts, unless another one has a newer version.
fn add(new: &mut Lock, target: &str, arch: &str, source: &Source, listed: Listed, today: &str) -> Result<()> {
    let Listed { release, version, flavour, headers } = listed;
    let headers = headers
        .into_iter()
        .map(|header| Header { source: header.source.filter(|id| *id != source.id), ..header });
    let kernel = Kernel {
        target: target.to_owned(),
        arch: arch.to_owned(),
        release,
        version,
        flavour,
        source: source.id.clone(),
        status: Status::Current,
        seen: today.to_owned(),
        headers: headers.collect(),
        cc: None,
    };
    let same = |other: &&mut Kernel| {
        (&other.target, &other.arch, &other.release) == (&kernel.target, &kernel.arch, &kernel.release)
    };
    let Some(other) = new.kernels.iter_mut().find(same) else {
        new.kernels.push(kernel);
        return Ok(());
    };
    if kernel.version == other.version {
        let first = |kernel: &Kernel| kernel.headers.first().map(|header| header.sha256.clone());
        if first(&kernel) != first(other) {
            let text = format!(
                "`{}` and `{}` both have the headers of `{}` in version {}, and not the same",
                other.source, kernel.source, kernel.release, kernel.version
            );
            return Err(Error::failed(text)
                .hint("one of the mirrors is not kept up, or holds packages of its own: name another one"));
        }
        return Ok(());
    }
    // a release that holds its version has another one by its epoch only, which every format puts first
    if format::deb::compare(&kernel.version, &other.version).is_gt() {
        *other = kernel;
    }
    Ok(())
}

/// What is kept of an old lock in a new one, and what changed.
fn lay_over(old: &Lock, new: &mut Lock, wanted: &Wanted<'_>) -> Vec<Change> {
    let mut changes = Vec::new();
    let place = |kernel: &Kernel| (kernel.target.clone(), kernel.arch.clone(), kernel.release.clone());
    let before: BTreeMap<_, &Kernel> = old.kernels.iter().map(|kernel| (place(kernel), kernel)).collect();
    for kernel in &mut new.kernels {
        let change = |kind, kernel: &Kernel, before: Option<&Kernel>| Change {
            kind,
            kernel: kernel.clone(),
            before: before.map(|kernel| kernel.version.clone()),
        };
        let Some(was) = before.get(&place(kernel)) else {
            changes.push(change(ChangeKind::New, kernel, None));
            continue;
        };
        kernel.seen.clone_from(&was.seen);
        if kernel.digests() == was.digests() {
            kernel.cc.clone_from(&was.cc);
            if was.status == Status::Gone {
                changes.push(change(ChangeKind::Back, kernel, None));
            }
        } else {
            changes.push(change(ChangeKind::Changed, kernel, Some(was)));
        }
        if was.status == Status::Retired {
            kernel.status = Status::Retired;
        }
    }
    let there: BTreeSet<_> = new.kernels.iter().map(place).collect();
    for was in &old.kernels {
        if there.contains(&place(was)) {
            continue;
        }
        let is_read = wanted.of.contains(&(was.target.clone(), was.arch.clone()));
        if !is_read && wanted.is_all {
            changes.push(Change { kind: ChangeKind::Dropped, kernel: was.clone(), before: None });
            continue;
        }
        let mut kernel = was.clone();
        if is_read && kernel.status == Status::Current {
            kernel.status = Status::Gone;
            changes.push(Change { kind: ChangeKind::Gone, kernel: kernel.clone(), before: None });
        }
        new.kernels.push(kernel);
    }
    changes
}

/// The kernels of a target for a machine.
fn read_target(
    target: &Target,
    family: &dyn Family,
    arch: &str,
    wanted: &Wanted<'_>,
    ask: &Asking<'_>,
) -> Result<Vec<Read>> {
    let name = target.name.as_str();
    let machine = Arch::of_machine(arch).map(|of| family.architecture(of));
    let machine = machine
        .ok_or_else(|| Error::usage(format!("`{arch}` is no machine that `{name}` has packages for")))?;
    let named =
        wanted.packages.iter().find(|(of, _)| profile::target(of).is_ok_and(|target| target.name == name));
    let mut all = Vec::new();
    if let Some((_, named)) = named {
        all.extend(packages::read(
            name,
            machine,
            named,
            wanted.folder,
            ask.fetcher,
            wanted.cache,
            wanted.stop,
        )?);
    }
    // packages that are named are all there is, unless a mirror is named, too
    if named.is_some() && !wanted.mirrors.is_named(name) {
        return Ok(all);
    }
    let lists = target.kernels.as_ref().filter(|lists| !lists.release.is_empty());
    let lists = lists.ok_or_else(|| without_lists(name))?;
    let of = Of { target: name, arch, machine, lists, headers: &target.headers };
    let mut components = Vec::new();
    for list in &lists.lists {
        wanted.stop.check()?;
        let path = list.path.replace("{release}", &lists.release).replace("{arch}", machine);
        let root = wanted.mirrors.root(name, lists, &path)?;
        match lists.kind {
            ListKind::Apt => components.extend(apt::suite(&of, list, &root, ask)?),
            ListKind::RpmMd => all.push(rpm_md::repository(&of, list, &root, ask)?),
        }
    }
    all.extend(apt::kernels(&of, &components)?);
    Ok(all)
}

fn without_lists(name: &str) -> Error {
    Error::usage(format!("where the kernels of `{name}` are listed is not known")).hint(format!(
        "name a release of it, or their packages: `[kernel-packages]` and below it `{name} = [\"headers/\"]` in kpkg.toml"
    ))
}
