//! `kpkg targets`: what packages can be made for.

use clap::Args;

use super::arguments::Manner;
use super::session::{Ended, Session};
use super::{json, text};
use crate::base::error::Result;
use crate::plan::profile;

/// The arguments of `targets`.
#[derive(Debug, Args)]
pub(super) struct TargetsArgs {
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

pub(super) fn run(_: &TargetsArgs, session: &Session) -> Ended {
    let names = profile::target_names();
    let targets = names.iter().map(|name| profile::target(name)).collect::<Result<Vec<_>>>()?;
    if session.json {
        targets.iter().map(json::target).try_for_each(|event| session.event(event))?;
    } else {
        session.print_text(&text::targets_text(&targets))?;
    }
    Ok(0)
}
