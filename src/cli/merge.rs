//! `kpkg merge`: the results of all shards of a plan, put together and shown.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use super::arguments::Manner;
use super::matrix::{PLAN, TIMINGS, support_in};
use super::session::{self, Ended, Session};
use super::{json, text};
use crate::base::diagnostic::Severity;
use crate::base::error::Error;
use crate::build::matrix::Plan;
use crate::build::merge::{self, Merged, Merging};
use crate::build::support::{Row, Support};
use crate::lock;
use crate::output;

/// How many lines of a log are shown.
const LINES: usize = 40;

/// The arguments of `merge`.
#[derive(Debug, Args)]
#[command(
    after_help = "Writes OUT/TARGET/ with the packages, support.json, support.md, support.svg, junit.xml and timings.json. Exit codes: 0 \
                        every kernel is served or excluded, 1 the results are not those of the plan (nothing is written), 4 some kernel failed."
)]
pub(super) struct MergeArgs {
    /// Folders with results: what `kpkg build --plan` wrote, or folders of such
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// The plan
    #[arg(long, value_name = "FILE", default_value = PLAN, env = "KPKG_PLAN")]
    plan: PathBuf,
    /// The folder for the packages and tables
    #[arg(short, long, value_name = "OUT", default_value = "dist", env = "KPKG_OUTPUT")]
    output: PathBuf,
    /// The support.json of the last merge: its kernels stay in the table, and days count on
    #[arg(long, value_name = "FILE", env = "KPKG_SINCE")]
    since: Option<PathBuf>,
    /// A folder that the finished jobs are laid into, each under its key: what --reuse takes
    #[arg(long, value_name = "DIR", env = "KPKG_STORE")]
    store: Option<PathBuf>,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

pub(super) fn run(args: &MergeArgs, session: &Session) -> Ended {
    let plan = Plan::read(&args.plan)?;
    let since = args.since.as_deref().map(Support::read).transpose()?;
    let now = session::source_date_epoch()?.map_or_else(session::now, i64::from);
    let merging = Merging {
        plan: &plan,
        folders: &args.folders,
        out: &args.output,
        since: since.as_ref(),
        today: &lock::day(now),
        stop: &session.stop,
    };
    let merged = merge::merge(&merging)?;
    session.tell(&merged.findings, Severity::Warning);
    if !merged.findings.is_empty() {
        return Ok(1);
    }
    let Merged { support, timings, .. } = &merged;
    let log = |row: &Row| {
        let results = merged.results.iter();
        let mut found =
            results.flat_map(|(place, result)| result.kernels.iter().map(move |kernel| (place, kernel)));
        let (place, kernel) = found.find(|(_, kernel)| {
            kernel.kernel == row.kernel && kernel.driver == row.driver && kernel.log.is_some()
        })?;
        let text = fs::read(place.join(kernel.log.as_ref()?)).ok()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<_> = text.lines().collect();
        Some(lines[lines.len().saturating_sub(LINES)..].join("\n"))
    };
    fs::create_dir_all(&args.output).map_err(|error| Error::io("cannot write to", &args.output, error))?;
    for (path, text) in [
        (args.output.join(TIMINGS), timings.json()),
        (args.output.join("junit.xml"), support.junit(timings, &log)),
        (args.output.join("support.svg"), support.svg()),
        (args.output.join("support.md"), support.markdown()),
        (support_in(&args.output), support.json()),
    ] {
        output::replace(&path, text.as_bytes())?;
    }
    if let Some(store) = &args.store {
        merge::store(&merged.results, store, &session.stop)?;
    }
    if session.json {
        support.rows.iter().map(json::support_row).try_for_each(|event| session.event(event))?;
    } else {
        session.print_text(
            &merged.packages.iter().map(|path| format!("{}\n", path.display())).collect::<String>(),
        )?;
        if !args.manner.quiet {
            session.say(&text::merged(&merged, &args.output));
        }
    }
    Ok(if support.has_failed() { 4 } else { 0 })
}
