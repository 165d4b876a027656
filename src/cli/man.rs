//! `kpkg man`: man pages.

use clap::{Args, Command, CommandFactory};

use super::Cli;
use super::arguments::Manner;
use super::session::{Ended, Session};
use crate::base::error::Error;

/// The arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The command it is about, such as `check` or `kernels add`; without it, kpkg itself
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// `help` is no command that needs a page.
fn without_help(command: Command) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let command = command.disable_help_subcommand(true);
    names.into_iter().fold(command, |command, name| command.mut_subcommand(name, without_help))
}

pub(super) fn run(args: &ManArgs, session: &Session) -> Ended {
    let mut all = without_help(Cli::command());
    all.build();
    let mut page = &all;
    for name in &args.command {
        page = page.find_subcommand(name).ok_or_else(|| {
            Error::usage(format!("there is no command `{name}`")).hint("`kpkg --help` lists the commands")
        })?;
    }
    let mut text = Vec::new();
    let rendered = clap_mangen::Man::new(page.clone()).render(&mut text);
    rendered.map_err(|error| Error::io("cannot write", "the man page", error))?;
    session.print(&text)?;
    Ok(0)
}
