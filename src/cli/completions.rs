//! `kpkg completions`: what a shell completes.

use clap::{Args, CommandFactory};

use super::Cli;
use super::session::{Ended, Session};

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &CompletionsArgs, session: &Session) -> Ended {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "kpkg", &mut text);
    session.print(&text)?;
    Ok(0)
}
