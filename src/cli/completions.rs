//! `kpkg completions`: what a shell completes.

use clap::{Args, CommandFactory};

use super::Cli;
use super::arguments::Manner;
use super::session::{Ended, Session};

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

pub(super) fn run(args: &CompletionsArgs, session: &Session) -> Ended {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kpkg", &mut text);
    session.print(&text)?;
    Ok(0)
}
