//! `kpkg build --plan`: the jobs of a plan, or of one of its shards.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::build::{BuildArgs, options};
use super::progress::CompileProgress;
use super::session::{self, Ended, Session};
use super::{json, setup, text};
use crate::base::error::Result;
use crate::build;
use crate::build::matrix::Plan;
use crate::build::shard::{self, Doing, Done, Reuse, State};
use crate::fetch::Fetcher;
use crate::lock::Lock;

/// What may be said beside a plan: it says the rest itself.
const BESIDE: [&str; 15] = [
    "folder",
    "output",
    "revision",
    "templates",
    "plan",
    "shard",
    "reuse",
    "jobs",
    "timeout",
    "threads",
    "memory",
    "no_sandbox",
    "prebuilt",
    "keep_going",
    "lock",
];

pub(super) fn run(args: &BuildArgs, path: &Path, session: &Session) -> Ended {
    let options = options(args, session)?;
    session.given.idle_but::<BuildArgs>(
        &BESIDE,
        "the plan says it",
        "leave it out, or plan anew with it: `kpkg matrix`",
    )?;
    let plan = Plan::read(path)?;
    let jobs = plan.jobs_of(args.plan.shard.as_deref())?;
    let input = setup::open(&args.package, session)?;
    let compiling = setup::compiling(args.machine.options(), &args.compile, true)?;
    let prebuilt = build::Prebuilt { without_sandbox: args.prebuilt.no_sandbox, ..compiling };
    let fetcher = Fetcher::new(&session::cache()?.join("http"), false, session::proxies(), &session.stop);
    let progress = CompileProgress::new(session, "Compiling", args.manner.quiet);
    // of jobs, which may be of several kernels
    let (finished, total) = (AtomicUsize::new(0), jobs.len());
    let doing = Doing {
        plan: &plan,
        jobs,
        options: build::Options {
            targets: Vec::new(),
            own_files: vec![path.to_owned()],
            prebuilt: Some(prebuilt),
            signer: None,
            ..options
        },
        out: &args.package.output,
        reuse: args.plan.reuse.iter().map(|text| Reuse::new(text)).collect(),
        fetcher: &fetcher,
        clock: &|| session.elapsed(),
        tell: &|event| {
            progress.tell(build::Progress { done: finished.load(Ordering::Relaxed), total, ..event });
        },
        done: &|done: &Done| {
            let finished = finished.fetch_add(1, Ordering::Relaxed) + 1;
            if session.json {
                let _unheard = session.event(json::finished_job(done));
            } else if !args.manner.quiet {
                progress.say(finished, total, &text::finished_job(done, finished, total));
            }
        },
    };
    let done = shard::run(&input, &doing);
    progress.end();
    let done = done?;
    if !session.json && !session.is_seen_twice() {
        let line = |done: &Done| format!("{}\n", args.package.output.join(&done.result.job).display());
        session.print(done.iter().map(line).collect::<String>().as_bytes())?;
    }
    let failed = |done: &&Done| done.result.kernels.iter().any(|kernel| kernel.state == State::Fail);
    Ok(if done.iter().any(|done| failed(&done)) { 4 } else { 0 })
}

/// The kernels of a plan, or of one of its shards, whose headers are fetched.
pub(super) fn kernels(path: &Path, shard: Option<&str>) -> Result<Lock> {
    let plan = Plan::read(path)?;
    Ok(plan.lock(&plan.jobs_of(shard)?))
}
