//! Jobs of a plan, done on a machine: each leaves a folder with its packages and, written last, what came of it.
//!
//! What is done already, here or by somebody else, is not done again; what ends in the middle leaves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::matrix::{self, Job, Plan};
use super::{Options, Prebuilt, Prepared, prepare};
use crate::base::beneath;
use crate::base::error::{Error, Kind, Result};
use crate::base::temporary::{self, TemporaryFolder};
use crate::base::threads::side_by_side;
use crate::compile::Outcome;
use crate::fetch::{self, Fetcher, Known};
use crate::input::Input;
use crate::lock::select;
use crate::output::Stop;

/// The name and version of this shape.
pub const SCHEMA: &str = "kpkg-result/1";
/// The file beside the packages.
pub const FILE_NAME: &str = "result.json";
/// More than any result.
const LARGEST: u64 = 64 << 20;
/// How much of a log is kept.
const LARGEST_LOG: u64 = 1 << 20;

/// What came of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// `kpkg-result/1`.
    pub schema: String,
    /// The digest of the plan.
    pub plan: String,
    /// The job's name.
    pub job: String,
    /// The job's key.
    pub key: String,
    /// Whether it was compiled for this result, rather than found.
    pub is_fresh: bool,
    /// For each driver and kernel.
    pub kernels: Vec<KernelResult>,
    pub packages: Vec<PackageFile>,
    /// How long it took.
    pub seconds: f64,
    /// The version of kpkg.
    pub made_with: String,
}

/// How it went for a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelResult {
    pub driver: String,
    /// As `uname -r` prints it there.
    pub kernel: String,
    pub state: State,
    /// Why there are no modules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The first error of the compiler, the linker or make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The end of what the build said, where it failed: a file beside this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// The version of the compiler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiler: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<ModuleFile>,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// There are modules.
    Ok,
    /// The driver is not for this kernel.
    Skip,
    /// It does not build.
    Fail,
}

/// A module, before it is compressed and signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleFile {
    pub name: String,
    /// In hexadecimal digits.
    pub sha256: String,
    /// As modinfo(8) has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub srcversion: Option<String>,
}

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageFile {
    pub name: String,
    /// In hexadecimal digits.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
    /// The newest kernel of those that it is for, where it only leads to that one's package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_of: Option<String>,
}

/// How a job came to its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It was compiled.
    Built,
    /// An earlier run of the same plan left it.
    There,
    /// Somebody else had done it.
    Reused,
}

impl How {
    /// For programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::There => "there",
            Self::Reused => "reused",
        }
    }
}

/// A job that is done.
#[derive(Debug)]
pub struct Done {
    pub result: JobResult,
    pub how: How,
}

/// Where finished jobs are looked for.
pub enum Reuse {
    /// A folder with results, or with a folder for each key.
    Folder(PathBuf),
    /// An address that has a folder for each key.
    Address(String),
}

impl Reuse {
    /// An address, or a folder.
    #[must_use]
    pub fn new(text: &str) -> Self {
        match fetch::local(text) {
            Some(path) => Self::Folder(path.to_owned()),
            None => Self::Address(text.to_owned()),
        }
    }
}

/// What doing a shard takes.
pub struct Doing<'a> {
    pub plan: &'a Plan,
    pub jobs: Vec<&'a Job>,
    /// What the machine has; what decides about packages is the plan's.
    pub options: Options,
    /// Where each job has a folder.
    pub out: &'a Path,
    pub reuse: Vec<Reuse>,
    pub fetcher: &'a Fetcher,
    /// The time since the run began.
    pub clock: &'a (dyn Fn() -> Duration + Sync),
    pub tell: super::Tell<'a>,
    /// Told of each job that is done.
    pub done: &'a (dyn Fn(&Done) + Sync),
}

/// The options of the library that a plan says.
fn planned_options(plan: &Plan, machine: Options) -> Options {
    let said = plan.options.clone();
    Options {
        formats: said.formats,
        all: said.all,
        dkms_conf: said.dkms_conf.map(PathBuf::from),
        driver_version: said.driver_version,
        request: said.request,
        stamp: Some(said.stamp),
        only_tracked: true,
        ..machine
    }
}

/// Does jobs; in the plan's order.
pub fn run(input: &Input, doing: &Doing<'_>) -> Result<Vec<Done>> {
    let stop = &doing.options.means.stop;
    let options = planned_options(doing.plan, doing.options.clone());
    let prebuilt = options.prebuilt.clone().unwrap_or_default();
    same_source(input, doing, &options, &prebuilt)?;
    fs::create_dir_all(doing.out).map_err(|error| Error::io("cannot write to", doing.out, error))?;
    temporary::sweep(doing.out);
    let digest = doing.plan.digest();
    let many = prebuilt.compilers.min(doing.jobs.len()).max(1);
    let options = Options {
        prebuilt: Some(Prebuilt { compilers: (prebuilt.compilers / many).max(1), ..prebuilt }),
        ..options
    };
    let has_failed = AtomicBool::new(false);
    let goes_on = || !stop.is_set() && !has_failed.load(Ordering::Relaxed);
    let results = side_by_side(doing.jobs.len(), many, &goes_on, &|index| {
        let done = doing.job(input, doing.jobs[index], &options, &digest);
        match &done {
            Ok(done) => (doing.done)(done),
            Err(_) => has_failed.store(true, Ordering::Relaxed),
        }
        done
    });
    let done = results.into_iter().flatten().collect::<Result<Vec<_>>>()?;
    stop.check()?;
    Ok(done)
}

/// That what is here is what was planned.
fn same_source(input: &Input, doing: &Doing<'_>, options: &Options, prebuilt: &Prebuilt) -> Result<()> {
    let plan = doing.plan;
    if plan.kpkg != env!("CARGO_PKG_VERSION") {
        let text = format!("the plan is of kpkg {}, and this is {}", plan.kpkg, env!("CARGO_PKG_VERSION"));
        return Err(Error::usage(text).hint("plan and build with the same version: it decides about bytes"));
    }
    let lock = plan.lock(&doing.jobs);
    let kernels = select::all(&lock, &[])?;
    let wanted = matrix::Wanted {
        options,
        bases: plan.options.previous_bases.clone(),
        across_minors: plan.options.across_minors,
        shards: None,
        seconds: BTreeMap::new(),
        done: BTreeSet::new(),
        machine: prebuilt.machine.clone(),
    };
    let here = matrix::plan(input, &lock, &kernels, &wanted)?;
    for (one, other) in plan.drivers.iter().zip(&here.drivers) {
        if (&one.name, &one.version) != (&other.name, &other.version) {
            let text = format!(
                "the plan is for {} {}, and here is {} {}",
                one.name, one.version, other.name, other.version
            );
            return Err(Error::usage(text)
                .hint("check out the commit that was planned, with its tags (`fetch-depth: 0`)"));
        }
        if one.source != other.source {
            let text = format!("the source of {} {} is not the one that was planned", one.name, one.version);
            return Err(Error::usage(text).hint("check out the commit that was planned; files beside it that git does not know count where there is no git"));
        }
    }
    let is_known = |job: &&&Job| here.jobs.iter().any(|other| other.key == job.key);
    if let Some(job) = doing.jobs.iter().find(|job| !is_known(job)) {
        return Err(Error::usage(format!(
            "the job `{}` would give other packages here than were planned",
            job.id
        ))
        .hint("kpkg.toml, the templates or options such as `--os-release` have changed: plan anew"));
    }
    Ok(())
}

impl Doing<'_> {
    fn job(&self, input: &Input, job: &Job, options: &Options, plan: &str) -> Result<Done> {
        let place = self.out.join(&job.id);
        let stop = &options.means.stop;
        if let Some(result) = whole(&place, &job.key, stop)? {
            if result.plan == plan {
                return Ok(Done { result, how: How::There });
            }
            // another plan's, with the same packages
            let staging = self.staging()?;
            copy(&place, staging.path(), &result, stop)?;
            return self.place(&staging, &place, named(result, job, plan), How::Reused);
        }
        for reuse in &self.reuse {
            let staging = self.staging()?;
            if let Some(result) = self.reused(reuse, job, staging.path(), stop)? {
                return self.place(&staging, &place, named(result, job, plan), How::Reused);
            }
        }
        let begun = (self.clock)();
        let staging = self.staging()?;
        let releases: Vec<_> = job.kernels.iter().map(|kernel| kernel.release.clone()).collect();
        let prebuilt = options.prebuilt.clone().unwrap_or_default();
        let of_job = Options {
            formats: vec![job.format.clone()],
            targets: vec![job.target.clone()],
            into: Some(staging.path().to_owned()),
            prebuilt: Some(Prebuilt {
                exact: job
                    .kernels
                    .iter()
                    .map(|kernel| (kernel.release.clone(), kernel.headers.clone()))
                    .collect(),
                kernels: releases,
                headers: Vec::new(),
                arch: job.arch.clone(),
                keep_going: true,
                bases: self.plan.options.previous_bases.clone(),
                across_minors: self.plan.options.across_minors,
                is_unsigned: true,
                ..prebuilt
            }),
            ..options.clone()
        };
        let prepared = prepare(input, &of_job, self.tell)?;
        let (mut kernels, mut packages) = (Vec::new(), Vec::new());
        for prepared in &prepared {
            for found in &prepared.kernels {
                kernels.push(kernel_result(prepared, &found.kernel, &found.outcome, staging.path(), stop)?);
            }
            packages.extend(package_files(prepared, stop)?);
        }
        let is_fresh =
            prepared.iter().flat_map(|prepared| &prepared.kernels).any(|found| match &found.outcome {
                Outcome::Built(built) => built.is_fresh,
                _ => true,
            });
        let seconds = (self.clock)().saturating_sub(begun).as_secs_f64();
        let result = JobResult {
            schema: SCHEMA.to_owned(),
            plan: plan.to_owned(),
            job: job.id.clone(),
            key: job.key.clone(),
            is_fresh,
            kernels,
            packages,
            seconds: (seconds * 10.0).round() / 10.0,
            made_with: env!("CARGO_PKG_VERSION").to_owned(),
        };
        self.place(&staging, &place, result, How::Built)
    }

    fn staging(&self) -> Result<TemporaryFolder> {
        TemporaryFolder::new(self.out).map_err(|error| Error::io("cannot write to", self.out, error))
    }

    /// Makes a job's folder appear, with the result written last.
    fn place(&self, staging: &TemporaryFolder, place: &Path, result: JobResult, how: How) -> Result<Done> {
        let failed = |error| Error::io("cannot write", place, error);
        finish(staging.path(), &result).map_err(failed)?;
        // what lies there is no result of this plan
        let old = self.staging()?;
        match fs::rename(place, old.path().join("old")) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        fs::rename(staging.path(), place).map_err(failed)?;
        Ok(Done { result, how })
    }

    /// A finished job of somebody else's, copied; nothing where there is none. One that failed is tried again.
    fn reused(&self, reuse: &Reuse, job: &Job, into: &Path, stop: &Stop) -> Result<Option<JobResult>> {
        match reuse {
            Reuse::Folder(folder) => {
                let mut places = vec![folder.join(&job.key), folder.join(&job.id)];
                places.extend(results_in(folder)?);
                for place in places {
                    let Some(result) = whole(&place, &job.key, stop)?.filter(is_good) else { continue };
                    copy(&place, into, &result, stop)?;
                    return Ok(Some(result));
                }
                Ok(None)
            }
            Reuse::Address(url) => {
                let at = |name: &str| fetch::below(url, &format!("{}/{name}", job.key));
                let Some(bytes) = self.fetcher.current(&at(FILE_NAME), LARGEST)? else { return Ok(None) };
                let result = parse(&bytes, &at(FILE_NAME))?;
                if result.key != job.key {
                    return Err(Error::failed("is the result of another job:").at(at(FILE_NAME)));
                }
                if !is_good(&result) {
                    return Ok(None);
                }
                for file in &result.packages {
                    let known = Known { sha256: file.sha256.clone(), size: file.size };
                    let path = self.fetcher.file(&at(&file.name), &known)?;
                    let to = into.join(&file.name);
                    fs::copy(&path, &to).map_err(|error| Error::io("cannot write", &to, error))?;
                    fs::remove_file(&path)
                        .map_err(|error| Error::io("cannot remove from the cache", path, error))?;
                }
                Ok(Some(result))
            }
        }
    }
}

/// A result as one of this plan.
fn named(result: JobResult, job: &Job, plan: &str) -> JobResult {
    JobResult { plan: plan.to_owned(), job: job.id.clone(), is_fresh: false, ..result }
}

/// A temporary folder is its user's alone; a result is for everybody.
fn open(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(folder.join(FILE_NAME), fs::Permissions::from_mode(0o644))
}

/// Whether nothing of it failed.
fn is_good(result: &JobResult) -> bool {
    result.kernels.iter().all(|kernel| kernel.state != State::Fail)
}

/// The folders with results below one, at most two folders deep.
pub fn results_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        if folder.join(FILE_NAME).is_file() {
            found.push(folder);
            continue;
        }
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => return Err(Error::io("cannot read the results in", folder, error).as_usage()),
        };
        for entry in entries.flatten() {
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if depth < 2 && !is_hidden && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push((entry.path(), depth + 1));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The result in a folder.
pub fn read(folder: &Path) -> Result<JobResult> {
    let path = folder.join(FILE_NAME);
    let text = beneath::read_text(&path, LARGEST).map_err(|error| Error::io("cannot read", &path, error))?;
    parse(text.as_bytes(), &path.display().to_string())
}

fn parse(bytes: &[u8], place: &str) -> Result<JobResult> {
    let wrong = |why: String| {
        Error::failed(format!("is no result of this kpkg ({why}):"))
            .at(place)
            .hint("delete its folder: the job is done anew")
    };
    let result: JobResult = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
    if result.schema != SCHEMA {
        return Err(wrong(format!("its schema is `{}`", result.schema.escape_debug())));
    }
    let is_name = |name: &str| {
        !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']) && fetch::is_below(name)
    };
    let logs = result.kernels.iter().filter_map(|kernel| kernel.log.as_ref());
    let mut names = result.packages.iter().map(|file| &file.name).chain(logs);
    if let Some(name) = names.find(|name| !is_name(name)) {
        return Err(wrong(format!("`{}` is no name of a file beside it", name.escape_debug())));
    }
    Ok(result)
}

/// The result of a key in a folder, where its files are what it says; nothing where there is none.
fn whole(place: &Path, key: &str, stop: &Stop) -> Result<Option<JobResult>> {
    if !place.join(FILE_NAME).is_file() {
        return Ok(None);
    }
    let Some(result) = read(place).ok().filter(|result| result.key == key) else { return Ok(None) };
    Ok(damage(place, &result, stop)?.is_none().then_some(result))
}

/// The first file of a result that is not what it says.
pub fn damage(place: &Path, result: &JobResult, stop: &Stop) -> Result<Option<PathBuf>> {
    for file in &result.packages {
        let path = place.join(&file.name);
        let found = match fetch::known(&path, stop) {
            Ok(found) => Some(found),
            Err(_) if !path.exists() => None,
            Err(error) => return Err(error),
        };
        if found != Some(Known { sha256: file.sha256.clone(), size: file.size }) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// A result as a folder of its own, whole or not at all.
pub(super) fn lay(from: &Path, place: &Path, result: &JobResult, stop: &Stop) -> Result<()> {
    let failed = |error| Error::io("cannot write", place, error);
    let staging = TemporaryFolder::new(place.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    copy(from, staging.path(), result, stop)?;
    finish(staging.path(), result).map_err(failed)?;
    match fs::rename(staging.path(), place) {
        Err(_) if place.join(FILE_NAME).is_file() => Ok(()),
        other => other.map_err(failed),
    }
}

/// Writes the result beside its files.
fn finish(folder: &Path, result: &JobResult) -> io::Result<()> {
    let text = serde_json::to_string_pretty(result).unwrap_or_default() + "\n";
    temporary::place(&folder.join(FILE_NAME), text.as_bytes())?;
    open(folder)
}

/// The files of a result, into another folder.
fn copy(from: &Path, to: &Path, result: &JobResult, stop: &Stop) -> Result<()> {
    let logs = result.kernels.iter().filter_map(|kernel| kernel.log.as_ref());
    for name in result.packages.iter().map(|file| &file.name).chain(logs) {
        stop.check()?;
        let path = to.join(name);
        fs::copy(from.join(name), &path).map_err(|error| Error::io("cannot write", &path, error))?;
    }
    Ok(())
}

fn kernel_result(
    prepared: &Prepared,
    kernel: &str,
    outcome: &Outcome,
    into: &Path,
    stop: &Stop,
) -> Result<KernelResult> {
    let mut result = KernelResult {
        driver: prepared.driver.name.clone(),
        kernel: kernel.to_owned(),
        state: State::Ok,
        reason: None,
        error: None,
        log: None,
        compiler: None,
        modules: Vec::new(),
    };
    match outcome {
        Outcome::Built(built) => {
            result.compiler.clone_from(&built.compiler);
            for module in &built.modules {
                let sha256 = fetch::known(&module.path, stop)?.sha256;
                let srcversion = module.module.values("srcversion").next().map(str::to_owned);
                result.modules.push(ModuleFile { name: module.name.clone(), sha256, srcversion });
            }
        }
        Outcome::Served(base) => result.reason = Some(format!("the modules for {base} load in it")),
        Outcome::Skipped(why) => (result.state, result.reason) = (State::Skip, Some(why.clone())),
        Outcome::NotTried => (result.state, result.reason) = (State::Fail, Some("not tried".to_owned())),
        Outcome::Failed(failure) => {
            // of this machine, and none of the driver's: there is no result
            if failure.error.kind() == Kind::Lacking {
                let error = Error::lacking(failure.error.to_string());
                return Err(error.hint(failure.error.hint_text().unwrap_or_default()));
            }
            result.state = State::Fail;
            result.reason = Some(failure.error.to_string());
            result.error = failure.compiler_error.as_ref().map(ToString::to_string);
            if let Some(log) = &failure.log {
                let name = format!("{}-{kernel}.log", prepared.driver.name);
                let text = fs::read(log).map_err(|error| Error::io("cannot read", log, error))?;
                let from = text.len().saturating_sub(usize::try_from(LARGEST_LOG).unwrap_or(usize::MAX));
                let path = into.join(&name);
                fs::write(&path, &text[from..]).map_err(|error| Error::io("cannot write", &path, error))?;
                result.log = Some(name);
            }
        }
    }
    Ok(result)
}

/// Writes the packages of a driver, and what they are.
fn package_files(prepared: &Prepared, stop: &Stop) -> Result<Vec<PackageFile>> {
    let mut files = Vec::new();
    for artifact in prepared.write()? {
        let path = &artifact.written.path;
        let Known { sha256, size } = fetch::known(path, stop)?;
        let planned = prepared.packages.iter().find(|planned| planned.artifacts.contains(path));
        let newest_of = planned.and_then(|planned| planned.package.newest_of.clone());
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push(PackageFile { name, sha256, size, newest_of });
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}
