//! `kpkg schema`: the JSON schemas of what kpkg reads and prints.

use clap::{Args, ValueEnum};

use super::arguments::Manner;
use super::session::{Ended, Session};
use crate::{config, events};

/// The arguments of `schema`.
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// What it describes
    #[arg(value_name = "WHAT", default_value = "config")]
    what: What,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// kpkg.toml
    Config,
    /// A line of what --json prints
    Events,
}

pub(super) fn run(args: &SchemaArgs, session: &Session) -> Ended {
    let text = match args.what {
        What::Config => config::Config::schema(),
        What::Events => events::schema(),
    };
    session.print(text.as_bytes())?;
    Ok(0)
}
