//! `kpkg man`: man pages.

use clap::{Args, CommandFactory};

use super::Cli;
use super::arguments::Manner;
use super::session::{Ended, Session};
use crate::base::error::Error;

/// The arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The command it is about; without it, kpkg itself
    command: Option<String>,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

pub(super) fn run(args: &ManArgs, session: &Session) -> Ended {
    let mut all = Cli::command();
    all.build();
    let page = match args.command.as_deref() {
        None => all,
        Some(name) => all.find_subcommand(name).cloned().ok_or_else(|| {
            Error::usage(format!("there is no command `{name}`")).hint("`kpkg --help` lists the commands")
        })?,
    };
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(page).render(&mut text);
    rendered.map_err(|error| Error::io("cannot write", "the man page", error))?;
    session.print(&text)?;
    Ok(0)
}
