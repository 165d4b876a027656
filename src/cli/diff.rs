//! `kpkg diff`: what differs between two packages.

use std::path::PathBuf;

use clap::Args;

use super::arguments::Manner;
use super::session::{Ended, Session};
use super::{json, text};
use crate::base::error::Error;
use crate::inspect::diff;

/// The arguments of `diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 they are the same, 1 they differ, 2 one of them cannot be read. How a package is compressed \
                        and when it was made is no difference."
)]
pub(super) struct DiffArgs {
    /// A package
    #[arg(value_name = "OLD")]
    pub(super) old: PathBuf,
    /// Another one
    #[arg(value_name = "NEW")]
    pub(super) new: PathBuf,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// As diff(1) does, 1 means that there is a difference, and 2 trouble of any kind.
pub(super) fn run(args: &DiffArgs, session: &Session) -> Ended {
    let differences = diff::diff(&args.old, &args.new).map_err(Error::as_usage)?;
    if session.json {
        differences.iter().map(json::difference).try_for_each(|event| session.event(event))?;
    } else {
        session.print_text(&text::differences_text(&differences))?;
    }
    Ok(u8::from(!differences.is_empty()))
}
