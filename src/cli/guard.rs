//! `kpkg guard`: a package that keeps kernels from being installed for which finished packages have no modules.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{CompileArgs, MachineArgs, Manner};
use super::session::{self, Ended, Session};
use super::{json, setup, text};
use crate::base::diagnostic::Severity;
use crate::build::guard::{self, Options};
use crate::output::Means;

/// The arguments of `guard`.
#[derive(Debug, Args)]
#[command(
    after_help = "The package is for who asks for it by name: a kernel that it holds back brings no security fix either. Publish it \
                  with the modules, also when it holds none: that lets the kernels go that the one before held."
)]
pub(super) struct GuardArgs {
    /// Finished packages of modules, all for one driver
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The kernels that may come: releases whose headers are at hand, packages or folders of headers, or lists of symbols
    #[arg(long, value_name = "KERNEL", value_delimiter = ',', required = true, env = "KPKG_AGAINST")]
    against: Vec<String>,
    /// Another minor release or variant of a kernel is served where all checksums are the same
    #[arg(long, env = "KPKG_ACROSS_MINORS", action = clap::ArgAction::SetTrue)]
    across_minors: bool,
    /// The release to package for, such as debian-12 or rhel-9 [default: all of the packages' format]
    #[arg(short, long, value_name = "TARGET", env = "KPKG_TARGET")]
    target: Option<String>,
    /// The folder for the package
    #[arg(short, long, value_name = "OUT", default_value = "dist", env = "KPKG_OUTPUT")]
    output: PathBuf,
    /// The revision of the package [default: that of the packages]
    #[arg(long, value_name = "RELEASE", env = "KPKG_RELEASE")]
    release: Option<String>,
    /// Where headers are.
    #[command(flatten)]
    machine: MachineArgs,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

pub(super) fn run(args: &GuardArgs, session: &Session) -> Ended {
    let at_hand = setup::compiling(args.machine.options(), &CompileArgs::default(), true)?;
    let options = Options {
        target: args.target.clone(),
        release: args.release.clone(),
        across_minors: args.across_minors,
        stamp: session::source_date_epoch()?,
        output: args.output.clone(),
        means: Means { stop: session.stop.clone(), ..Means::default() },
    };
    let guarded = guard::guard(&args.files, &args.against, &at_hand, &options)?;
    if session.json {
        for one in &guarded.served {
            json::served(one, None).try_for_each(|event| session.event(event))?;
        }
        guarded.artifacts.iter().map(json::artifact).try_for_each(|event| session.event(event))?;
        return Ok(0);
    }
    if !args.manner.quiet {
        let is_verbose = args.manner.least(Severity::Warning) == Severity::Note;
        session.say(&text::guarded_text(&guarded, is_verbose));
    }
    for artifact in &guarded.artifacts {
        session.print_text(&format!("{}\n", artifact.written.path.display()))?;
    }
    Ok(0)
}
