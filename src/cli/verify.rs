//! `kpkg verify`: who signed finished files and the modules in them, and whether that still holds.

use std::path::PathBuf;

use clap::Args;

use super::arguments::{Manner, TIMEOUT};
use super::openpgp::Gpg;
use super::session::{Ended, Session};
use super::signers::Patience;
use super::{json, text};
use crate::base::error::{Error, Result};
use crate::inspect::verify::{self, Verdict};
use crate::kernel::ko::is_module;
use crate::sign::certificate::Certificate;

/// The arguments of `verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "With --certificate modules are judged, with --key packages, with both or neither both. Exit codes: 0 all is signed \
                  by one of these, 1 something is not, 2 a file cannot be read."
)]
pub(super) struct VerifyArgs {
    /// Modules, packages, or what lies beside these: .dsc, .changes, .buildinfo
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The certificates that modules are judged by, PEM or DER; or that of the CA above those in the signatures
    #[arg(long, value_name = "CERT", value_delimiter = ',', env = "KPKG_CERTIFICATE")]
    certificate: Vec<PathBuf>,
    /// Public keys of OpenPGP, in files, that packages are judged by; gpg does it
    #[arg(long, value_name = "KEY", value_delimiter = ',', env = "KPKG_KEY")]
    key: Vec<PathBuf>,
    /// How long gpg may take for a signature, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT, env = "KPKG_TIMEOUT")]
    timeout: u64,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

pub(super) fn run(args: &VerifyArgs, session: &Session) -> Ended {
    let certificates = args.certificate.iter().map(|path| Certificate::read(path));
    let certificates = certificates.collect::<Result<Vec<_>>>()?;
    let patience = Patience::of(args.timeout, session);
    let gpg = Gpg::with(&args.key, patience)?;
    let judges_modules = !certificates.is_empty() || args.key.is_empty();
    let judges_packages = !args.key.is_empty() || certificates.is_empty();
    let mut is_good = true;
    for file in &args.files {
        let is_module = is_module(&file.to_string_lossy());
        let mut verified = Vec::new();
        if judges_packages && !is_module {
            verified.extend(verify::package(file, &gpg)?);
        }
        if judges_modules {
            verified.extend(verify::modules(file, &certificates)?);
        }
        if verified.is_empty() {
            return Err(Error::usage("holds no kernel module:")
                .at(file)
                .hint("give modules, or packages that carry some; `--key` judges packages themselves")
                .into());
        }
        is_good &= verified.iter().all(|one| one.judged.verdict == Verdict::Good);
        if session.json {
            let events = verified.iter().map(|one| json::verification(file, one));
            events.into_iter().try_for_each(|event| session.event(event))?;
        } else {
            session.print_text(&text::verified_text(file, &verified))?;
        }
    }
    Ok(u8::from(!is_good))
}
