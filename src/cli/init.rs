//! `kpkg init`: a dkms.conf and a kpkg.toml for a driver that has none.

use std::path::PathBuf;

use clap::Args;

use super::arguments::Manner;
use super::json;
use super::session::{self, Ended, Session};
use crate::base::diagnostic::Severity;
use crate::base::error::Error;
use crate::build;
use crate::input::Input;
use crate::output::Means;

/// The arguments of `init`.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The driver's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub(super) folder: PathBuf,
    /// The driver's version, instead of the one that the tree says
    #[arg(long, value_name = "VERSION", env = "KPKG_DRIVER_VERSION")]
    pub(super) driver_version: Option<String>,
    /// Take maintainer, description, relations and notes on scripts from the tree's own packaging: a folder such as debian/, or a
    /// spec file, below DIR
    #[arg(long, value_name = "PATH", env = "KPKG_FROM")]
    pub(super) from: Option<String>,
    /// Print the first of the files that would be written, write nothing
    #[arg(long, env = "KPKG_DRY_RUN", action = clap::ArgAction::SetTrue)]
    pub(super) dry_run: bool,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

pub(super) fn run(args: &InitArgs, session: &Session) -> Ended {
    if !args.folder.is_dir() {
        let error = Error::usage("there is no folder").at(&args.folder);
        return Err(error.hint("give the folder of a driver: `kpkg init DIR`").into());
    }
    let input = Input::open(&args.folder, None, &session::scratch(), &session.stop)?;
    let options = build::Options {
        driver_version: args.driver_version.clone(),
        output: "dist".into(),
        means: Means { stop: session.stop.clone(), ..Means::default() },
        ..build::Options::default()
    };
    let (files, findings) = build::init(&input, &options, args.from.as_deref())?;
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Error::diagnostics(findings).into());
    }
    session.tell(&findings, args.manner.least(Severity::Note));
    if !args.dry_run {
        build::write_new(&files)?;
    }
    if session.json {
        let events = files.iter().map(|file| json::file(file, !args.dry_run));
        events.into_iter().try_for_each(|event| session.event(event))?;
    } else if args.dry_run {
        let text: String = files.iter().take(1).map(|file| file.text.as_str()).collect();
        session.print(text.as_bytes())?;
    } else {
        let lines: String = files.iter().map(|file| format!("{}\n", file.path.display())).collect();
        session.print(lines.as_bytes())?;
    }
    Ok(0)
}
