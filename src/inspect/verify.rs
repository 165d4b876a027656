//! What the signatures of modules are worth.

use std::path::Path;

use super::inspect;
use crate::base::error::{Error, Result};
use crate::kernel::ko::KernelModule;
use crate::sign::certificate::Certificate;
use crate::sign::module::FoundSignature;

/// A module, and what its signature is worth.
#[derive(Debug)]
pub struct Verified {
    /// The module, in its package.
    pub path: String,
    pub verdict: Verdict,
    /// Who signed, as the signatures say themselves.
    pub signers: Vec<String>,
}

/// What a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// One of the keys given signed it, and it has not changed since.
    Good,
    /// It fits what it brings along itself, or nothing that was given; who signed it is not known.
    UnknownKey,
    /// It is not of this module, or none that a kernel takes.
    Wrong,
    /// There is none.
    Unsigned,
}

/// Judges the modules of a file, by these certificates.
pub fn verify(path: &Path, certificates: &[Certificate]) -> Result<Vec<Verified>> {
    let found = inspect(path)?.filter(|found| !found.modules.is_empty());
    let found = found.ok_or_else(|| {
        Error::usage("holds no kernel module:").at(path).hint("give modules, or packages that carry some")
    })?;
    Ok(found.modules.iter().map(|(path, module)| judge(path, module, certificates)).collect())
}

fn judge(path: &str, module: &KernelModule, certificates: &[Certificate]) -> Verified {
    let mut verified = Verified { path: path.to_owned(), verdict: Verdict::Unsigned, signers: Vec::new() };
    let Some(signature) = &module.signature else { return verified };
    let message = &signature.message;
    verified.signers = message.signatures.iter().map(FoundSignature::signer).collect();
    let is_known = |one: &FoundSignature| {
        certificates.iter().any(|certificate| one.is_of(certificate) && one.fits(certificate))
    };
    // a kernel refuses a message of which it knows a key that does not fit, whoever else signed
    let is_wrong = message.signatures.iter().any(|one| {
        let all = certificates.iter().chain(&message.certificates);
        one.has_attributes
            || all.into_iter().any(|certificate| one.is_of(certificate) && !one.fits(certificate))
    });
    verified.verdict = if is_wrong || message.signatures.is_empty() {
        Verdict::Wrong
    } else if message.signatures.iter().any(is_known) {
        Verdict::Good
    } else {
        Verdict::UnknownKey
    };
    verified
}
