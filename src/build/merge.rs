//! The results of all shards, put together: that each job of a plan has exactly one, and what came of the whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::matrix::{Job, Plan};
use super::shard::{self, JobResult, PackageFile};
use super::support::{Rows, Support, Timings};
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::error::{Error, Result};
use crate::base::temporary;
use crate::dkms::compare_versions;
use crate::fetch::{self, Known};
use crate::output::Stop;

pub(super) const NOT_THE_PLANS: Code = Code {
    id: "K0161",
    title: "the results are not those of the plan",
    explanation: "`kpkg merge` takes exactly one result of each job, made for this very plan, with files that are what the\n\
                  result says. One that is missing is of a shard that did not run to its end, or whose folder did not\n\
                  come along: run it again, which builds only what is not done. Two of one job are of a shard that ran\n\
                  on two machines: give one of them.",
};

/// What there is after all jobs.
pub struct Merged {
    /// What is wrong with the results; then nothing was written.
    pub findings: Vec<Diagnostic>,
    pub support: Support,
    pub timings: Timings,
    /// The packages that were written.
    pub packages: Vec<PathBuf>,
    /// The results, in the order of the jobs: each with its folder.
    pub results: Vec<Found>,
}

/// What results are merged with.
pub struct Merging<'a> {
    pub plan: &'a Plan,
    /// Folders with results, at most two folders deep.
    pub folders: &'a [PathBuf],
    /// Where the packages of each target get a folder of its name.
    pub out: &'a Path,
    /// The support table of the last time.
    pub since: Option<&'a Support>,
    /// Such as `2026-11-26`.
    pub today: &'a str,
    pub stop: &'a Stop,
}

/// A result, and its folder.
type Found = (PathBuf, JobResult);

/// A package on its way to a target's folder.
struct Chosen<'a> {
    job: &'a Job,
    place: PathBuf,
    file: &'a PackageFile,
}

/// Puts the results of a plan together, and writes its packages.
pub fn merge(merging: &Merging<'_>) -> Result<Merged> {
    let Merging { plan, stop, .. } = merging;
    let (found, mut findings) = collect(merging)?;
    let mut results = Vec::new();
    for job in &plan.jobs {
        let mut of_job = found.iter().filter(|(_, result)| result.job == job.id);
        match (of_job.next(), of_job.next()) {
            (None, _) => {
                let shard = plan.shards.iter().find(|shard| shard.jobs.contains(&job.id));
                let shard = shard.map_or("", |shard| shard.id.as_str());
                findings.push(
                    wrong(format!("the job `{}` has no result", job.id))
                        .hint(format!("`kpkg build --plan PLAN --shard {shard}` makes it")),
                );
            }
            (Some((place, one)), Some((other_place, other))) => {
                let how = if one.packages == other.packages { "the same" } else { "different" };
                let text = format!("the job `{}` has two results, with {how} packages", job.id);
                let places = format!("in `{}` and `{}`", place.display(), other_place.display());
                findings.push(wrong(text).with_note(places).hint("give one of them: one shard ran twice"));
            }
            (Some((place, result)), None) => {
                if result.key != job.key {
                    findings.push(
                        wrong(format!("the result of `{}` has another key than the job", job.id))
                            .with_note(at(place)),
                    );
                } else if let Some(path) = shard::damage(place, result, stop)? {
                    let text =
                        format!("`{}` is not the file that was built for `{}`", path.display(), job.id);
                    findings.push(
                        wrong(text).hint("its digest differs from the one in result.json: build it again"),
                    );
                }
                results.push((place.clone(), result.clone()));
            }
        }
    }
    let chosen = choose(plan, &results, &mut findings);
    let rows = Rows::of(plan, &results, merging.today);
    let support = Support::new(rows, merging.since);
    let timings = Timings::of(plan, &results);
    let mut packages = Vec::new();
    if findings.is_empty() {
        for Chosen { job, place, file } in chosen.values() {
            stop.check()?;
            let to = merging.out.join(&job.target).join(&file.name);
            write(&place.join(&file.name), &to, file, stop)?;
            packages.push(to);
        }
    }
    Ok(Merged { findings, support, timings, packages, results })
}

fn wrong(text: String) -> Diagnostic {
    Diagnostic::error(&NOT_THE_PLANS, text)
}

fn at(place: &Path) -> String {
    format!("in `{}`", place.display())
}

/// The results in the folders that are of the plan; the others are findings.
fn collect(merging: &Merging<'_>) -> Result<(Vec<Found>, Vec<Diagnostic>)> {
    let digest = merging.plan.digest();
    let (mut found, mut findings, mut seen) = (Vec::new(), Vec::new(), Vec::new());
    // of a plan without jobs there are no results
    let is_there = |folder: &&PathBuf| folder.exists() || !merging.plan.jobs.is_empty();
    for folder in merging.folders.iter().filter(is_there) {
        for place in shard::results_in(folder)? {
            // a folder that is named twice has its results once
            let own = fs::canonicalize(&place).unwrap_or_else(|_| place.clone());
            if seen.contains(&own) {
                continue;
            }
            seen.push(own);
            let result = match shard::read(&place) {
                Ok(result) => result,
                Err(error) => {
                    findings.push(wrong(error.to_string()).hint(error.hint_text().unwrap_or_default()));
                    continue;
                }
            };
            if result.plan != digest {
                let text = format!("the result of `{}` is of another plan", result.job.escape_debug());
                findings.push(wrong(text).with_note(at(&place)).hint("give folders of this plan only"));
            } else if merging.plan.jobs.iter().all(|job| job.id != result.job) {
                let text = format!("there is no job `{}` in the plan", result.job.escape_debug());
                findings.push(wrong(text).with_note(at(&place)));
            } else {
                found.push((place, result));
            }
        }
    }
    Ok((found, findings))
}

/// One package of each name and target. What several jobs made has to be the same, or to lead to the newest kernel, of which the newest
/// counts.
fn choose<'a>(
    plan: &'a Plan,
    results: &'a [Found],
    findings: &mut Vec<Diagnostic>,
) -> BTreeMap<(&'a str, &'a str), Chosen<'a>> {
    let mut chosen: BTreeMap<(&str, &str), Chosen<'_>> = BTreeMap::new();
    for (place, result) in results {
        let Some(job) = plan.jobs.iter().find(|job| job.id == result.job) else { continue };
        for file in &result.packages {
            let name = (job.target.as_str(), file.name.as_str());
            let new = Chosen { job, place: place.clone(), file };
            let Some(other) = chosen.get(&name) else {
                chosen.insert(name, new);
                continue;
            };
            if other.file.sha256 == file.sha256 {
                continue;
            }
            let order = match (&other.file.newest_of, &file.newest_of) {
                (Some(other), Some(own)) => Some(compare_versions(own, other)),
                _ => None,
            };
            match order {
                Some(order) if order.is_gt() => drop(chosen.insert(name, new)),
                Some(order) if order.is_lt() => {}
                _ => {
                    let text = format!(
                        "`{}` and `{}` made different packages `{}`",
                        other.job.id, job.id, file.name
                    );
                    findings.push(
                        wrong(text)
                            .hint("the build is not the same each time: `kpkg diff` tells what differs"),
                    );
                }
            }
        }
    }
    chosen
}

/// A package to its place, in one step.
fn write(from: &Path, to: &Path, file: &PackageFile, stop: &Stop) -> Result<()> {
    let known = Known { sha256: file.sha256.clone(), size: file.size };
    if to.is_file() && fetch::known(to, stop)? == known {
        return Ok(());
    }
    let failed = |error| Error::io("cannot write", to, error);
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let place = || {
        use std::os::unix::fs::PermissionsExt;
        let mut new = temporary::file(folder)?;
        std::io::copy(&mut fs::File::open(from)?, &mut new)?;
        new.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        new.persist(to).map(drop).map_err(|error| error.error)
    };
    place().map_err(failed)
}

/// Lays results under their keys, where `--reuse` finds them; those that failed are left out.
pub fn store(results: &[Found], folder: &Path, stop: &Stop) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| Error::io("cannot write to", folder, error))?;
    for (place, result) in results {
        let is_good = result.kernels.iter().all(|kernel| kernel.state != shard::State::Fail);
        if is_good && !folder.join(&result.key).join(shard::FILE_NAME).is_file() {
            shard::lay(place, &folder.join(&result.key), result, stop)?;
        }
    }
    Ok(())
}
