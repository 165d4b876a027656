//! `kpkg explain`: more about a finding.

use clap::Args;

use super::session::{Ended, Session};
use super::{json, text};
use crate::base::error::Error;
use crate::build;

/// The arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The code, such as K0203
    code: String,
    /// JSON lines
    #[arg(long, env = "KPKG_JSON", action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
}

pub(super) fn run(args: &ExplainArgs, session: &Session) -> Ended {
    let Some(code) = build::codes().find(|known| known.id.eq_ignore_ascii_case(&args.code)) else {
        let error = Error::usage(format!("there is no finding `{}`", args.code));
        return Err(error.hint("codes look like K0203").into());
    };
    if session.json {
        session.event(json::explanation(code))?;
    } else {
        session.print(text::explanation(code).as_bytes())?;
    }
    Ok(0)
}
