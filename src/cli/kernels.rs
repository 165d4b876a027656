//! `kpkg kernels`: the kernels that modules can be compiled for, and headers that are kept without being installed.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::arguments::Manner;
use super::session::{self, Ended, Session};
use super::{json, text};
use crate::base::error::Result;
use crate::{build, kernel};

/// The arguments of `kernels`.
#[derive(Debug, Args)]
pub(super) struct KernelsArgs {
    /// What to do
    #[command(subcommand)]
    pub(super) action: KernelsAction,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// What to do about kernels.
#[derive(Debug, Subcommand)]
pub(super) enum KernelsAction {
    /// List the kernels, installed and kept
    List,
    /// Keep the headers in package files, so that they need not be given again
    Add {
        /// .deb and .rpm files
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Delete headers and builds that are kept: those of the named packages or kernels, else all
    Prune {
        /// Packages or kernel releases
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

pub(super) fn run(args: &KernelsArgs, session: &Session) -> Ended {
    let cache = session::cache()?;
    let headers = build::header_cache(&cache);
    let (installed, packages, state) = match &args.action {
        KernelsAction::List => (kernel::installed(Path::new("/")), headers.list()?, "kept"),
        KernelsAction::Add { files } => {
            let added: Result<Vec<_>> = files.iter().map(|file| headers.add(file, &session.stop)).collect();
            (Vec::new(), added?, "added")
        }
        KernelsAction::Prune { names } => (Vec::new(), build::prune(&cache, names)?, "removed"),
    };
    if session.json {
        let installed = installed.iter().map(|release| json::installed_kernel(release));
        let packages = packages.iter().map(|package| json::header_package(package, state));
        installed.chain(packages).try_for_each(|event| session.event(event))?;
    } else {
        session.print_text(&text::headers_text(&installed, &packages))?;
    }
    Ok(0)
}
