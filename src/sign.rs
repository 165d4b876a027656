//! Who signs kernel modules, and what a signature is.
//!
//! Asks nobody and writes no file; a private key is read where it lies and goes nowhere.

pub mod certificate;
mod der;
pub mod hash;
mod key;
pub mod module;
mod pem;

use std::fmt;
use std::path::Path;

use certificate::Certificate;
use hash::Hash;
use key::PrivateKey;

use crate::base::error::{Error, Result};

/// Who signs a module: all of these, in one message.
pub struct ModuleSigners {
    signers: Vec<Signer>,
    /// Whether the certificates go into the message: for those below an enrolled one.
    embeds: bool,
}

/// A key and its certificate.
struct Signer {
    key: Key,
    certificate: Certificate,
}

/// Who has the key.
enum Key {
    File(PrivateKey),
    Elsewhere(Box<Ask>),
}

/// Somebody who is asked for signatures: a program, a service.
pub type Ask = dyn Fn(&Question<'_>) -> Result<Vec<u8>> + Send + Sync;

/// What is to be signed.
pub struct Question<'a> {
    pub hash: Hash,
    /// The module without a signature.
    pub module: &'a [u8],
    /// Its digest.
    pub digest: &'a [u8],
    /// What it is called.
    pub name: &'a str,
}

impl fmt::Debug for ModuleSigners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModuleSigners({})", self.identity())
    }
}

/// What a kernel can judge, by its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// `CONFIG_MODULE_SIG_HASH`: the digest that it certainly has; nothing where it does not say it.
    pub hash: Option<String>,
    /// `CONFIG_CRYPTO_ECDSA=y`.
    pub has_ecdsa: bool,
}

impl ModuleSigners {
    /// Reads keys and their certificates; one file may hold both.
    pub fn read(keys: &[impl AsRef<Path>], certificates: &[impl AsRef<Path>], embeds: bool) -> Result<Self> {
        if keys.len() != certificates.len() {
            return Err(Error::usage(format!(
                "{} keys and {} certificates are given",
                keys.len(),
                certificates.len()
            ))
            .hint("give a `--certificate` for each `--sign-modules`, in the same order"));
        }
        let signers = keys.iter().zip(certificates).map(|(key, certificate)| {
            let (key, certificate) = (key.as_ref(), certificate.as_ref());
            Ok(Signer {
                key: Key::File(PrivateKey::read(key)?),
                certificate: Certificate::read(certificate)?,
            })
        });
        Ok(Self { signers: signers.collect::<Result<_>>()?, embeds })
    }

    /// Somebody else signs, with the key of this certificate; whatever he answers is judged by it.
    pub fn elsewhere(ask: Box<Ask>, certificate: &Path, embeds: bool) -> Result<Self> {
        let signer = Signer { key: Key::Elsewhere(ask), certificate: Certificate::read(certificate)? };
        Ok(Self { signers: vec![signer], embeds })
    }

    /// What decides about the bytes that they add, for keys of what is kept.
    #[must_use]
    pub fn identity(&self) -> String {
        let prints = self.signers.iter().map(|signer| signer.certificate.fingerprint());
        format!("{} {}", prints.collect::<Vec<_>>().join(" "), if self.embeds { "embedded" } else { "named" })
    }

    /// The digest to sign for a kernel, or why it would refuse every signature of these.
    pub fn hash_for(&self, release: &str, accepted: &Accepted) -> Result<Hash> {
        let name = accepted.hash.as_deref().unwrap_or(Hash::Sha256.name());
        let hash = Hash::named(name).ok_or_else(|| {
            let known = Hash::ALL.map(Hash::name).join(", ");
            Error::usage(format!("the kernel `{release}` wants the digest `{name}` (CONFIG_MODULE_SIG_HASH)"))
                .hint(format!("kpkg signs with {known}"))
        })?;
        let elliptic = self.signers.iter().find(|signer| module::is_elliptic(&signer.certificate));
        if let Some(signer) = elliptic.filter(|_| !accepted.has_ecdsa) {
            let name = signer.certificate.name();
            return Err(Error::usage(format!(
                "the kernel `{release}` cannot judge the ECDSA signature of `{name}`: CONFIG_CRYPTO_ECDSA is not built in"
            ))
            .hint("sign with a key of RSA, 2048 to 4096 bits, which every kernel judges"));
        }
        Ok(hash)
    }
}
