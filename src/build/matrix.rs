//! A plan for many machines: a job for each kernel of a lock and target, with a key that every machine computes alike, and jobs put
//! together as shards, of which an engine is told no more than the name.
//!
//! Pure: neither headers nor compilers are looked at. What the lock alone decides is decided here, such as kernels that
//! `BUILD_EXCLUSIVE_*` leaves out by release and machine; what takes a kernel's configuration becomes a job.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::jobs;
use super::{Aim, Options, Prebuilt, aims, compile, read, read_config, templates};
use crate::base::beneath;
use crate::base::error::{Error, Result, nearest};
use crate::base::key::Key;
use crate::config::request::{CommandLine, Grouping};
use crate::dkms::Verdict;
use crate::driver::Driver;
use crate::input::Input;
use crate::kernel::machine::Machine;
use crate::lock::{self, Lock, Status};

/// The name and version of this shape.
pub const SCHEMA: &str = "kpkg-plan/1";
/// More than any plan.
const LARGEST: u64 = 1 << 30;
/// How long a job is taken to last, in seconds, where nobody measured it.
const USUAL: f64 = 30.0;
/// How long a shard is meant to last, in seconds.
const SHARD: f64 = 600.0;

/// What is to be built of a driver, by whichever machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// `kpkg-plan/1`.
    pub schema: String,
    /// The version of kpkg, which decides about bytes.
    pub kpkg: String,
    pub drivers: Vec<PlannedDriver>,
    pub options: PlanOptions,
    /// The packages of headers, by their SHA-256.
    pub headers: BTreeMap<String, HeaderFile>,
    /// By target, machine and kernel.
    pub jobs: Vec<Job>,
    pub shards: Vec<Shard>,
    /// The kernels that nothing is built for.
    pub skipped: Vec<Skipped>,
}

/// A driver of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDriver {
    /// `PACKAGE_NAME`.
    pub name: String,
    /// `PACKAGE_VERSION`.
    pub version: String,
    /// A digest of its source.
    pub source: String,
}

/// What the command line says about the packages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanOptions {
    pub formats: Vec<String>,
    pub all: bool,
    pub dkms_conf: Option<String>,
    pub driver_version: Option<String>,
    pub request: CommandLine,
    pub previous_bases: Vec<String>,
    pub across_minors: bool,
    /// The time of everything in the packages, in seconds since 1970.
    pub stamp: u32,
}

/// A package of kernel headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderFile {
    pub url: String,
    /// In bytes.
    pub size: u64,
}

/// What is built at once: packages for one kernel, or for several that share some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Of small letters, digits, `.` and `-`.
    pub id: String,
    pub target: String,
    /// As `uname -m` names the machine.
    pub arch: String,
    /// As `--format` takes it.
    pub format: String,
    pub kernels: Vec<JobKernel>,
    /// The container that it is built in.
    pub image: Option<String>,
    /// SHA-256 of all that decides about the packages, in hexadecimal digits.
    pub key: String,
}

/// A kernel of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobKernel {
    /// As `uname -r` prints it there.
    pub release: String,
    /// The SHA-256 digests of the packages of its headers.
    pub headers: Vec<String>,
    /// What compiled the kernel, where the lock says it.
    pub compiler: Option<String>,
}

/// Jobs that one machine does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Of small letters, digits, `.` and `-`.
    pub id: String,
    /// As `uname -m` names the machine.
    pub arch: String,
    /// The label of machines that may do it.
    pub runner: Option<String>,
    pub image: Option<String>,
    /// The jobs, by their names.
    pub jobs: Vec<String>,
}

/// A kernel that nothing is built for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    pub target: String,
    pub arch: String,
    pub kernel: String,
    /// `excluded`, by the driver's own word.
    pub code: String,
    pub reason: String,
}

/// What a plan is made by, beside a driver and the kernels.
pub struct Wanted<'a> {
    pub options: &'a Options,
    /// Kernels that share packages are built for as a package's base before others are.
    pub bases: Vec<String>,
    pub across_minors: bool,
    /// How many shards; without it, as many as last ten minutes each.
    pub shards: Option<usize>,
    /// How long jobs took, in seconds, by target and kernel.
    pub seconds: BTreeMap<(String, String), f64>,
    /// The keys of jobs that are done.
    pub done: BTreeSet<String>,
    /// What else dkms.conf and builds may ask about, where somebody says it.
    pub machine: Machine,
}

/// Plans the packages of compiled modules for kernels of a lock.
pub fn plan(input: &Input, lock: &Lock, kernels: &[&lock::Kernel], wanted: &Wanted<'_>) -> Result<Plan> {
    let stop = &wanted.options.means.stop;
    let config = read_config(&input.folder)?;
    let releases: BTreeSet<(&str, &str)> =
        kernels.iter().map(|kernel| (kernel.release.as_str(), kernel.arch.as_str())).collect();
    let machines = releases.iter().map(|(release, arch)| Machine {
        kernel: Some((*release).to_owned()),
        arch: Some((*arch).to_owned()),
        headers: None,
        processors: Some(1),
        online_processors: Some(1),
        ..wanted.machine.clone()
    });
    let options = Options {
        machines: machines.collect(),
        prebuilt: None,
        only_tracked: true,
        ..wanted.options.clone()
    };
    let (_, drivers) = read(input, &options, &|_| ())?;
    let digests = drivers.iter().map(|read| compile::source_digest(&read.driver, stop));
    let digests: Vec<String> = digests.collect::<Result<_>>()?;
    let stamp = drivers.first().map_or(0, |read| read.driver.stamp);
    let templates = templates(options.templates.as_deref())?;
    let mut plan = Plan {
        schema: SCHEMA.to_owned(),
        kpkg: env!("CARGO_PKG_VERSION").to_owned(),
        drivers: drivers
            .iter()
            .zip(&digests)
            .map(|(read, source)| PlannedDriver {
                name: read.driver.name.clone(),
                version: read.driver.version.clone(),
                source: source.clone(),
            })
            .collect(),
        options: PlanOptions {
            formats: options.formats.clone(),
            all: options.all,
            dkms_conf: options.dkms_conf.as_ref().map(|path| path.to_string_lossy().into_owned()),
            driver_version: options.driver_version.clone(),
            request: options.request.clone(),
            previous_bases: wanted.bases.clone(),
            across_minors: wanted.across_minors,
            stamp,
        },
        headers: BTreeMap::new(),
        jobs: Vec::new(),
        shards: Vec::new(),
        skipped: Vec::new(),
    };
    let own = |target: &str| -> Result<Vec<Aim>> {
        // what kpkg.toml or the command line says counts as far as the kernel's target is among it
        let named = Options {
            targets: vec![target.to_owned()],
            formats: options.formats.clone(),
            prebuilt: Some(Prebuilt::default()),
            ..Options::default()
        };
        aims(&named, &config)
    };
    let mut of_targets: BTreeMap<(&str, &str), Vec<&lock::Kernel>> = BTreeMap::new();
    for kernel in kernels {
        of_targets.entry((&kernel.target, &kernel.arch)).or_default().push(kernel);
    }
    for ((target, arch), kernels) in of_targets {
        stop.check()?;
        let image = config.ci.images.get(target).cloned();
        let mut chosen = Vec::new();
        for kernel in kernels {
            match skipped(kernel, drivers.iter().map(|read| &read.driver)) {
                Some(skipped) => plan.skipped.push(skipped),
                None => chosen.push(kernel),
            }
        }
        let aims = own(target)?;
        let grouping = super::grouping(
            &Options { prebuilt: Some(Prebuilt::default()), ..options.clone() },
            &config,
            &aims,
        )?;
        for aim in aims {
            let mut key = Key::default();
            key.add(SCHEMA);
            for (index, read) in drivers.iter().enumerate() {
                let others = (0..drivers.len()).filter(|other| *other != index);
                let others: Vec<_> =
                    others.map(|other| (&drivers[other].driver, digests[other].as_str())).collect();
                let settings = &read.settings;
                let request = settings.request(&options, &aim.target)?;
                let aim = jobs::Aim {
                    driver: &read.driver,
                    source: &digests[index],
                    others: &others,
                    target: &aim.target,
                    format: aim.format.name,
                    request: &request,
                    signed: None,
                };
                aim.add_to(&mut key, &templates)?;
            }
            key.json(&plan.options.previous_bases)?;
            key.add(if plan.options.across_minors { "across" } else { "" });
            key.add(image.as_deref().unwrap_or_default());
            key.add(wanted.machine.dkms_version.as_deref().unwrap_or_default());
            let together: Vec<Vec<&lock::Kernel>> = match grouping {
                Grouping::Kernel => chosen.iter().map(|kernel| vec![*kernel]).collect(),
                _ if chosen.is_empty() => Vec::new(),
                _ => vec![chosen.clone()],
            };
            for kernels in together {
                let mut key = key.clone();
                let mut of_job = Vec::new();
                for kernel in &kernels {
                    let mut headers = kernel.digests();
                    for header in &kernel.headers {
                        let file = HeaderFile { url: lock.address(kernel, header), size: header.size };
                        plan.headers.insert(header.sha256.clone(), file);
                    }
                    headers.sort();
                    key.add(&kernel.release);
                    key.add(arch);
                    key.json(&headers)?;
                    let manner = compile::Compiling {
                        os_release: wanted.machine.os_release.clone(),
                        ..compile::Compiling::default()
                    };
                    compile::add_manner(&mut key, &kernel.release, &manner);
                    of_job.push(JobKernel {
                        release: kernel.release.clone(),
                        headers: kernel.digests(),
                        compiler: kernel.cc.clone(),
                    });
                }
                let key = key.finish();
                if wanted.done.contains(&key) {
                    continue;
                }
                let what = if let [kernel] = of_job.as_slice() { &kernel.release } else { arch };
                plan.jobs.push(Job {
                    id: plain(&format!("{target}.{what}")),
                    target: target.to_owned(),
                    arch: arch.to_owned(),
                    format: aim.format.name.to_owned(),
                    kernels: of_job,
                    image: image.clone(),
                    key,
                });
            }
        }
    }
    make_unique(&mut plan.jobs);
    let used: BTreeSet<&String> =
        plan.jobs.iter().flat_map(|job| job.kernels.iter().flat_map(|kernel| &kernel.headers)).collect();
    plan.headers.retain(|digest, _| used.contains(digest));
    plan.shards = shards(&plan.jobs, wanted, &config.ci.runners);
    Ok(plan)
}

/// Why nothing is built for a kernel, as far as that is known without its headers.
fn skipped<'a>(kernel: &lock::Kernel, drivers: impl Iterator<Item = &'a Driver>) -> Option<Skipped> {
    // every driver has to be left out
    let mut why = None;
    for driver in drivers {
        let found = driver.kernels.iter().find(|found| found.kernel == kernel.release);
        match found.map(|found| &found.decision.verdict) {
            Some(Verdict::Excluded(reason)) => why = Some(reason.clone()),
            _ => return None,
        }
    }
    why.map(|reason| Skipped {
        target: kernel.target.clone(),
        arch: kernel.arch.clone(),
        kernel: kernel.release.clone(),
        code: "excluded".to_owned(),
        reason,
    })
}

/// As artifacts, jobs and objects of all engines may be called.
fn plain(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut name: String =
        lower.chars().map(|c| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '-' }).collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    name
}

/// Names that several have get their keys' first digits.
fn make_unique(jobs: &mut [Job]) {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for job in jobs.iter() {
        *count.entry(job.id.clone()).or_default() += 1;
    }
    for job in jobs {
        if count[&job.id] > 1 {
            job.id = format!("{}.{}", job.id, &job.key[..8]);
        }
    }
}

/// Jobs put together, of one target and machine each.
fn shards(jobs: &[Job], wanted: &Wanted<'_>, runners: &BTreeMap<String, String>) -> Vec<Shard> {
    let lasts = |job: &Job| -> f64 {
        let of = |kernel: &JobKernel| {
            let measured = wanted.seconds.get(&(job.target.clone(), kernel.release.clone()));
            // of a kernel that is new, as long as the others of its target took
            let others = wanted
                .seconds
                .iter()
                .filter(|((target, _), _)| *target == job.target)
                .map(|(_, seconds)| *seconds);
            let (sum, count) = others.fold((0.0, 0.0), |(sum, count), seconds| (sum + seconds, count + 1.0));
            measured.copied().unwrap_or(if count > 0.0 { sum / count } else { USUAL })
        };
        // beginning takes a moment, too
        1.0 + job.kernels.iter().map(of).sum::<f64>()
    };
    let mut groups: Vec<Vec<(&Job, f64)>> = Vec::new();
    for job in jobs {
        let is_same =
            |other: &Job| (&other.target, &other.arch, &other.image) == (&job.target, &job.arch, &job.image);
        let lasts = lasts(job);
        match groups.last_mut() {
            Some(group) if is_same(group[0].0) => group.push((job, lasts)),
            _ => groups.push(vec![(job, lasts)]),
        }
    }
    let total: f64 = groups.iter().flatten().map(|(_, seconds)| seconds).sum();
    // each group has at least one
    #[allow(clippy::cast_precision_loss, reason = "a count of shards")]
    let length = wanted.shards.map_or(SHARD, |shards| {
        total / shards.saturating_sub(groups.len() - groups.len().min(1)).max(1) as f64
    });
    let mut made = Vec::new();
    for group in groups {
        let of_group: f64 = group.iter().map(|(_, seconds)| seconds).sum();
        let count = (of_group / length).ceil().max(1.0);
        let (mut pieces, mut done): (Vec<Vec<String>>, f64) = (vec![Vec::new()], 0.0);
        let share = of_group / count;
        for (job, seconds) in &group {
            #[allow(clippy::cast_precision_loss, reason = "a count of shards")]
            let full = share * pieces.len() as f64;
            if done + seconds / 2.0 > full && pieces.last().is_some_and(|piece| !piece.is_empty()) {
                pieces.push(Vec::new());
            }
            pieces.last_mut().into_iter().for_each(|piece| piece.push(job.id.clone()));
            done += seconds;
        }
        let first = group[0].0;
        for (index, jobs) in pieces.into_iter().enumerate() {
            made.push(Shard {
                id: plain(&format!("{}.{}.{}", first.target, first.arch, index + 1)),
                arch: first.arch.clone(),
                runner: runners.get(&first.arch).cloned(),
                image: first.image.clone(),
                jobs,
            });
        }
    }
    made
}

impl Plan {
    /// Its text: the same plan, the same bytes.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// What results name it by.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("{:x}", Sha256::digest(self.text()))
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = beneath::read_text(path, LARGEST)
            .map_err(|error| Error::io("cannot read the plan", path, error).as_usage())?;
        let again = "`kpkg matrix` writes one";
        let wrong =
            |why: String| Error::usage(format!("is no plan of this kpkg ({why}):")).at(path).hint(again);
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        match value["schema"].as_str() {
            Some(SCHEMA) => {}
            other => {
                return Err(wrong(format!("its schema is `{}`", other.unwrap_or_default().escape_debug())));
            }
        }
        let plan: Self = serde_json::from_value(value).map_err(|error| wrong(error.to_string()))?;
        plan.check().map_err(wrong)?;
        Ok(plan)
    }

    /// That it is whole: names are names, and lead somewhere.
    fn check(&self) -> Result<(), String> {
        let is_name = |text: &str| {
            !text.is_empty()
                && text.starts_with(|first: char| first.is_ascii_alphanumeric())
                && !text.contains("..")
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte))
        };
        let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut ids = BTreeSet::new();
        for job in &self.jobs {
            if !is_name(&job.id) || !ids.insert(job.id.as_str()) {
                return Err(format!("`{}` names no job, or two", job.id.escape_debug()));
            }
            if !is_name(&job.target) || !is_digest(&job.key) || job.kernels.is_empty() {
                return Err(format!("the job `{}` is not whole", job.id));
            }
            let unknown = job
                .kernels
                .iter()
                .flat_map(|kernel| &kernel.headers)
                .find(|digest| !is_digest(digest) || !self.headers.contains_key(*digest));
            if let Some(digest) = unknown {
                return Err(format!("there are no headers `{}`", digest.escape_debug()));
            }
        }
        let mut seen = BTreeSet::new();
        for shard in &self.shards {
            let unknown =
                shard.jobs.iter().find(|id| !ids.contains(id.as_str()) || !seen.insert(id.as_str()));
            if let Some(id) = unknown {
                return Err(format!(
                    "the shard `{}` has the job `{}`, which is none or another's",
                    shard.id.escape_debug(),
                    id.escape_debug()
                ));
            }
        }
        if let Some(id) = ids.iter().find(|id| !seen.contains(*id)) {
            return Err(format!("the job `{id}` is in no shard"));
        }
        Ok(())
    }

    /// The kernels of some of its jobs, as a lock.
    pub(crate) fn lock(&self, jobs: &[&Job]) -> Lock {
        let mut lock = Lock::default();
        for job in jobs {
            for kernel in &job.kernels {
                let header = |digest: &String| {
                    let file = self.headers.get(digest);
                    let size = file.map_or(0, |file| file.size);
                    let url = file.map_or("", |file| file.url.as_str());
                    let (root, path) = url.rsplit_once('/').unwrap_or(("", url));
                    let source = lock::Source::of_address(root, &job.target);
                    (
                        lock::Header {
                            source: Some(source.id.clone()),
                            path: path.to_owned(),
                            sha256: digest.clone(),
                            size,
                        },
                        source,
                    )
                };
                let (headers, sources): (Vec<_>, Vec<_>) = kernel.headers.iter().map(header).unzip();
                let first = sources.first().map(|source| source.id.clone()).unwrap_or_default();
                lock.sources.extend(sources);
                lock.kernels.push(lock::Kernel {
                    target: job.target.clone(),
                    arch: job.arch.clone(),
                    release: kernel.release.clone(),
                    version: String::new(),
                    flavour: String::new(),
                    source: first,
                    status: Status::Current,
                    seen: String::new(),
                    headers,
                    cc: kernel.compiler.clone(),
                });
            }
        }
        lock.sources.sort();
        lock.sources.dedup();
        lock
    }

    /// The shard of a name, or of a number that counts from 0 as engines do.
    pub fn shard(&self, name: &str) -> Result<&Shard> {
        let by_name = self.shards.iter().find(|shard| shard.id == name);
        let by_number = || name.parse::<usize>().ok().and_then(|number| self.shards.get(number));
        by_name.or_else(by_number).ok_or_else(|| {
            let names: Vec<_> = self.shards.iter().map(|shard| shard.id.as_str()).collect();
            let error = Error::usage(format!("the plan has no shard `{}`", name.escape_debug()));
            match (nearest(name, &names), self.shards.len()) {
                (_, 0) => error.hint("it has no jobs at all: there is nothing to do"),
                (Some(nearest), _) => error.hint(format!("did you mean `{nearest}`?")),
                (None, 1) => error.hint(format!("it has one: `{}`, or 0", names[0])),
                (None, count) => {
                    error.hint(format!("it has `{}` and others, or 0 to {}", names[0], count - 1))
                }
            }
        })
    }

    /// The jobs of a shard; without one, all.
    pub fn jobs_of(&self, shard: Option<&str>) -> Result<Vec<&Job>> {
        let Some(name) = shard else { return Ok(self.jobs.iter().collect()) };
        let shard = self.shard(name)?;
        Ok(self.jobs.iter().filter(|job| shard.jobs.contains(&job.id)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_such_that_every_engine_takes_them() {
        assert_eq!(plain("debian-13.6.12.94+deb13-amd64"), "debian-13.6.12.94-deb13-amd64");
        assert_eq!(plain("rhel-9.5.14.0-427.el9.x86_64+rt"), "rhel-9.5.14.0-427.el9.x86-64-rt");
        assert_eq!(plain("A__b~:c"), "a-b-c");
    }
}
