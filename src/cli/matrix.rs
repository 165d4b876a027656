//! `kpkg matrix`: what is to be built for every kernel of kernels.lock, as a plan that any machines carry out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::{Manner, PackageArgs};
use super::build::ShareArgs;
use super::emit::{self, Engine, Surroundings};
use super::session::{Ended, Session};
use super::{json, setup, text, words};
use crate::base::diagnostic::Severity;
use crate::base::error::{Error, Result};
use crate::build;
use crate::build::matrix::{self, Plan};
use crate::build::support::{Support, Timings};
use crate::config::Config;
use crate::kernel::machine::Machine;
use crate::lock::{self, select};
use crate::output;

/// The arguments of `matrix`.
#[derive(Debug, Args)]
#[command(
    after_help = "Next, anywhere: `kpkg kernels fetch --plan plan.json --shard ID`, `kpkg build --plan plan.json --shard ID -o out`, and \
                        for all results `kpkg merge out`."
)]
pub(super) struct MatrixArgs {
    /// What the packages are made of.
    #[command(flatten)]
    package: PackageArgs,
    /// A folder whose templates replace the built-in ones of the same name
    #[arg(long, value_name = "DIR", hide_short_help = true, env = "KPKG_TEMPLATES")]
    templates: Option<PathBuf>,
    /// Which kernels of the lock: debian-12, debian-12:cloud, rhel-9:>=5.14.0-427 [default: `kernels` in kpkg.toml, else all]
    #[arg(short, long, value_name = "SELECTION", value_delimiter = ',', env = "KPKG_KERNEL")]
    kernel: Vec<String>,
    /// The lock [default: kernels.lock in the driver's folder]
    #[arg(long, value_name = "FILE", env = "KPKG_LOCK")]
    lock: Option<PathBuf>,
    /// Which kernels share a package.
    #[command(flatten)]
    share: ShareArgs,
    /// The file that the plan is written to
    #[arg(long, value_name = "FILE", default_value = PLAN, env = "KPKG_PLAN")]
    plan: PathBuf,
    /// How many shards [default: as many as last about ten minutes each]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), env = "KPKG_SHARDS")]
    shards: Option<u16>,
    /// The support.json of the last merge; timings.json beside it says how long jobs take
    #[arg(long, value_name = "FILE", env = "KPKG_SINCE")]
    since: Option<PathBuf>,
    /// Leave out what the table of --since has: the daily job for kernels that are new
    #[arg(long, requires = "since", env = "KPKG_NEW_ONLY", action = clap::ArgAction::SetTrue)]
    new_only: bool,
    /// Print what makes an engine carry it out
    #[arg(long, value_name = "ENGINE", env = "KPKG_EMIT")]
    emit: Option<Engine>,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// What a plan's file is called where nobody says it.
pub(super) const PLAN: &str = "plan.json";

pub(super) fn run(args: &MatrixArgs, session: &Session) -> Ended {
    let plan = plan(args, session)?;
    output::replace(&args.plan, plan.text().as_bytes())?;
    if let Some(engine) = args.emit {
        let config = build::config(args.package.folder()).unwrap_or_default();
        let with = Surroundings {
            matrix: words::again("matrix", &["--emit", "--plan", "--json"]),
            setup: config.ci.setup.as_deref(),
            runner: config.ci.runners.get(super::session::ARCH).map(String::as_str),
        };
        session.print(emit::text(&plan, engine, &with)?.as_bytes())?;
    } else if session.json {
        json::plan_events(&plan).try_for_each(|event| session.event(event))?;
    }
    if !session.json && !args.manner.quiet {
        session.say(&text::planned(&plan, &args.plan));
    }
    Ok(0)
}

fn plan(args: &MatrixArgs, session: &Session) -> Result<Plan> {
    let folder = args.package.folder();
    let config = if folder.is_dir() { build::config(folder)? } else { Config::default() };
    let lock = setup::lock(&args.lock.clone().unwrap_or_else(|| folder.join(lock::FILE_NAME)))?;
    let selections = if args.kernel.is_empty() { &config.kernels } else { &args.kernel };
    let mut kernels = select::all(&lock, selections)?;
    if !args.package.target.is_empty() {
        let names = args.package.target.iter().map(|name| Ok(crate::plan::profile::target(name)?.name));
        let names = names.collect::<Result<BTreeSet<_>>>()?;
        kernels.retain(|kernel| names.contains(&kernel.target));
        if kernels.is_empty() {
            return Err(Error::usage("kernels.lock has no kernels of these targets that are selected")
                .hint("packages are for the target whose kernel it is: leave `--target` out, or select others with `-k`"));
        }
    }
    let mut options = setup::options(args.package.options(), args.templates.as_deref(), session)?;
    options.targets = Vec::new();
    args.share.say(&mut options.request);
    let beside = args.since.as_ref().map(|path| path.with_file_name(TIMINGS));
    options.own_files =
        [Some(args.plan.clone()), args.since.clone(), beside.clone()].into_iter().flatten().collect();
    let since = args.since.as_deref().map(Support::read).transpose()?;
    let done = since
        .iter()
        .filter(|_| args.new_only)
        .flat_map(|since| &since.rows)
        .filter_map(|row| row.key.clone());
    let seconds = match &beside {
        Some(path) => Timings::read(path)?.map(|timings| timings.by_kernel()).unwrap_or_default(),
        None => BTreeMap::new(),
    };
    let wanted = matrix::Wanted {
        options: &options,
        bases: [config.prebuilt.bases.clone(), build::bases_of(&args.share.previous)?].concat(),
        across_minors: args.share.across_minors || config.prebuilt.across_minors,
        shards: args.shards.map(usize::from),
        seconds,
        done: done.collect(),
        machine: Machine::default(),
    };
    let input = setup::open(&args.package, session)?;
    let plan = matrix::plan(&input, &lock, &kernels, &wanted)?;
    session.tell(&input.diagnostics, args.manner.least(Severity::Warning));
    Ok(plan)
}

/// The file of measured times, beside the support table.
pub(super) const TIMINGS: &str = "timings.json";

/// The support table in a folder.
pub(super) fn support_in(folder: &Path) -> PathBuf {
    folder.join("support.json")
}
