//! `kpkg verify`: who signed the modules of finished files, and whether that still holds.

use std::path::PathBuf;

use clap::Args;

use super::arguments::Manner;
use super::session::{Ended, Session};
use super::{json, text};
use crate::base::error::Result;
use crate::inspect::verify::{self, Verdict};
use crate::sign::certificate::Certificate;

/// The arguments of `verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 every module is signed by a key of these certificates, 1 one is not, 2 a file cannot be read."
)]
pub(super) struct VerifyArgs {
    /// Modules, or packages that carry some
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The certificates that they are judged by, PEM or DER
    #[arg(long, value_name = "CERT", value_delimiter = ',', env = "KPKG_CERTIFICATE")]
    certificate: Vec<PathBuf>,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

pub(super) fn run(args: &VerifyArgs, session: &Session) -> Ended {
    let certificates = args.certificate.iter().map(|path| Certificate::read(path));
    let certificates = certificates.collect::<Result<Vec<_>>>()?;
    let mut is_good = true;
    for file in &args.files {
        let verified = verify::verify(file, &certificates)?;
        is_good &= verified.iter().all(|one| one.verdict == Verdict::Good);
        if session.json {
            let events = verified.iter().map(|one| json::verification(file, one));
            events.into_iter().try_for_each(|event| session.event(event))?;
        } else {
            if args.files.len() > 1 {
                session.print_text(&format!("{}:\n", file.display()))?;
            }
            session.print_text(&text::verified_text(&verified))?;
        }
    }
    Ok(u8::from(!is_good))
}
