//! What signatures are worth: those of modules, of packages, and of the texts beside packages.
//!
//! Modules are judged here; OpenPGP is asked of somebody else.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::walk;
use crate::base::beneath::{self, open_regular};
use crate::base::error::{Error, Result};
use crate::format::{self, Contents, OwnSigned, SignedForm};
use crate::kernel::ko::{KernelModule, is_module};
use crate::sign::certificate::Certificate;
use crate::sign::module::{FoundMessage, FoundSignature};

/// What was judged, and what its signature is worth.
#[derive(Debug, Clone)]
pub struct Verified {
    pub subject: Subject,
    /// The module, in its package; nothing for the file itself.
    pub path: Option<String>,
    pub judged: Judged,
}

/// What a signature is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    Module,
    /// A package, or a text or signature beside it.
    Package,
}

/// What a signature is worth, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub verdict: Verdict,
    /// Who signed, as the signatures say themselves.
    pub signers: Vec<String>,
    /// What is wrong with it.
    pub why: Option<String>,
}

/// What a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// One of the keys given signed it, and it has not changed since.
    Good,
    /// It fits what it brings along itself, or nothing that was given; who signed it is not known.
    UnknownKey,
    /// It is not of this content, or none that a kernel or package manager takes.
    Wrong,
    /// There is none.
    Unsigned,
}

impl Judged {
    /// There is no signature.
    #[must_use]
    pub fn unsigned() -> Self {
        Self { verdict: Verdict::Unsigned, signers: Vec::new(), why: None }
    }

    /// It is wrong, and why.
    #[must_use]
    pub fn wrong(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Wrong, signers: Vec::new(), why: Some(why.into()) }
    }
}

/// Somebody who judges OpenPGP signatures.
pub trait Judge {
    /// A signature apart from what it is of.
    fn detached(&self, signed: &mut (dyn Read + Send), signature: &[u8]) -> Result<Judged>;

    /// A text with a signature around it.
    fn clear(&self, text: &[u8]) -> Result<Judged>;
}

/// Judges the modules of a file by these certificates; none where it has none.
pub fn modules(path: &Path, certificates: &[Certificate]) -> Result<Vec<Verified>> {
    let mut modules = Modules { certificates, found: Vec::new() };
    walk(path, &mut modules)?;
    Ok(modules.found)
}

struct Modules<'a> {
    certificates: &'a [Certificate],
    found: Vec<Verified>,
}

impl Contents for Modules<'_> {
    fn wants(&self, path: &str) -> bool {
        is_module(path)
    }

    fn take(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("`{path}`: {error}"));
        let module = KernelModule::read(content).map_err(named)?;
        let judged = judge(&module, self.certificates);
        self.found.push(Verified { subject: Subject::Module, path: Some(path.to_owned()), judged });
        Ok(())
    }
}

/// What a kernel says that has enrolled these certificates.
#[must_use]
pub fn judge(module: &KernelModule, certificates: &[Certificate]) -> Judged {
    let Some(signature) = &module.signature else { return Judged::unsigned() };
    if signature.has_junk {
        return Judged {
            why: Some("something is written behind its signature".to_owned()),
            ..Judged::unsigned()
        };
    }
    let message = &signature.message;
    let signers = message.signatures.iter().map(FoundSignature::signer).collect();
    if let Some(why) = signature.broken.clone().or_else(|| refused(message, certificates)) {
        return Judged { signers, ..Judged::wrong(why) };
    }
    let is_known = message.signatures.iter().any(|one| {
        let of = |certificate: &&Certificate| one.is_of(certificate) && one.fits(certificate);
        certificates.iter().any(|certificate| of(&certificate))
            || message.certificates.iter().filter(of).any(|leaf| is_below(leaf, certificates, message))
    });
    Judged { verdict: if is_known { Verdict::Good } else { Verdict::UnknownKey }, signers, why: None }
}

/// Why a kernel refuses the whole message, whoever else signed.
fn refused(message: &FoundMessage, certificates: &[Certificate]) -> Option<String> {
    if message.signatures.is_empty() {
        return Some("its message holds no signature".to_owned());
    }
    let all = || certificates.iter().chain(&message.certificates);
    message.signatures.iter().find_map(|one| {
        if let Some(why) = one.refusal() {
            return Some(why);
        }
        let misfits = all().any(|certificate| one.is_of(certificate) && !one.fits(certificate));
        misfits.then(|| format!("it is not that of {} over this module", one.signer()))
    })
}

/// Whether a certificate is below one of these, by way of those of the message.
fn is_below(leaf: &Certificate, enrolled: &[Certificate], message: &FoundMessage) -> bool {
    let mut at = leaf;
    // a chain that is longer goes in a circle
    for _ in 0..=message.certificates.len() {
        if enrolled.iter().any(|above| at.is_signed_by(above)) {
            return true;
        }
        let Some(next) = message.certificates.iter().find(|above| *above != at && at.is_signed_by(above))
        else {
            break;
        };
        at = next;
    }
    false
}

/// Judges the signatures of a file itself: those in a package, one around a text, and that of a file beside it, `FILE.sig` or `FILE.asc`.
pub fn package(path: &Path, judge: &dyn Judge) -> Result<Vec<Verified>> {
    let verified = |name: Option<String>, judged| Verified { subject: Subject::Package, path: name, judged };
    let mut found = Vec::new();
    for OwnSigned { name, form, misfit } in format::own_signatures(path)? {
        let judged = match form {
            SignedForm::Detached { signature, mut signed } => judge.detached(&mut *signed, &signature)?,
            SignedForm::Clear(text) => judge.clear(&text)?,
        };
        // whoever signed it, it is not what he signed
        let judged = match misfit {
            Some(why) => Judged { signers: judged.signers, ..Judged::wrong(why) },
            None => judged,
        };
        found.push(verified(name, judged));
    }
    for beside in beside(path) {
        let unreadable = |error| Error::io("cannot read", path, error).as_usage();
        let signature = open_regular(&beside)
            .and_then(|file| beneath::start(file, 1 << 20))
            .map_err(|error| Error::io("cannot read the signature", &beside, error).as_usage())?;
        let mut signed = open_regular(path).map_err(unreadable)?;
        found.push(verified(Some(beside.display().to_string()), judge.detached(&mut signed, &signature)?));
    }
    if found.is_empty() {
        found.push(verified(None, Judged::unsigned()));
    }
    Ok(found)
}

/// The signatures beside a file that are there.
fn beside(path: &Path) -> Vec<PathBuf> {
    let named = |end: &str| PathBuf::from(format!("{}.{end}", path.display()));
    ["sig", "asc"].map(named).into_iter().filter(|beside| beside.is_file()).collect()
}
