//! `kpkg explain`: more about a finding.

use clap::Args;

use super::arguments::Manner;
use super::session::{Ended, Session};
use super::{json, text};
use crate::base::diagnostic::Code;
use crate::base::error::Error;
use crate::build;

/// The arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The code, such as K0203; without one, all of them are listed
    code: Option<String>,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

pub(super) fn run(args: &ExplainArgs, session: &Session) -> Ended {
    let is_meant = |known: &&Code| args.code.as_ref().is_none_or(|code| known.id.eq_ignore_ascii_case(code));
    let mut codes: Vec<_> = build::codes().filter(is_meant).collect();
    codes.sort_by_key(|code| code.id);
    if codes.is_empty() {
        let error =
            Error::usage(format!("there is no finding `{}`", args.code.as_deref().unwrap_or_default()));
        return Err(error.hint("`kpkg explain` lists them").into());
    }
    if session.json {
        codes.into_iter().map(json::explanation).try_for_each(|event| session.event(event))?;
    } else if args.code.is_some() {
        codes.into_iter().try_for_each(|code| session.print(text::explanation(code).as_bytes()))?;
    } else {
        let lines: String = codes.iter().map(|code| format!("{}  {}\n", code.id, code.title)).collect();
        session.print(lines.as_bytes())?;
    }
    Ok(0)
}
