//! Who signs kernel modules, and what a signature is.
//!
//! Asks nobody and writes no file; a private key is read where it lies and goes nowhere.

pub mod certificate;
mod der;
pub mod hash;
mod key;
pub mod module;
pub mod new;
mod oid;
mod pem;
pub mod secret;
mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use certificate::Certificate;
use hash::Hash;
use key::PrivateKey;
use secret::Pin;

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

impl ModuleSigners {
    /// Reads keys, in files or in tokens (`pkcs11:`), and their certificates; one file may hold both. The PIN opens tokens and keys under a
    /// password.
    pub fn read(
        keys: &[impl AsRef<Path>],
        certificates: &[impl AsRef<Path>],
        embeds: bool,
        pin: Option<&Pin>,
    ) -> Result<Self> {
        if keys.len() != certificates.len() {
            return Err(Error::usage(format!(
                "{} keys and {} certificates are given",
                keys.len(),
                certificates.len()
            ))
            .hint("give a `--certificate` for each `--sign-modules`, in the same order"));
        }
        let signers = keys.iter().zip(certificates).map(|(key, certificate)| {
            let certificate = Certificate::read(certificate.as_ref())?;
            if let Some(uri) = key.as_ref().to_str().filter(|key| key.starts_with(token::SCHEME)) {
                let key = Key::Elsewhere(token::open(uri, &certificate, pin)?);
                return Ok(Signer { key, certificate });
            }
            let key = PrivateKey::read(key.as_ref(), pin)?;
            // they belong together, or nothing is begun
            let trial = vec![key.sign(Hash::Sha256, &[0; 32])?];
            certificate.judged(Hash::Sha256, "a trial", &[0; 32], trial)?;
            Ok(Signer { key: Key::File(key), certificate })
        });
        Ok(Self { signers: signers.collect::<Result<_>>()?, embeds })
    }

    /// Others sign, each with the key of a certificate; whatever they answer is judged by it.
    pub fn elsewhere<'a>(
        asked: impl IntoIterator<Item = (Box<Ask>, &'a Path)>,
        embeds: bool,
    ) -> Result<Self> {
        let signers = asked.into_iter().map(|(ask, certificate)| {
            Ok(Signer { key: Key::Elsewhere(ask), certificate: Certificate::read(certificate)? })
        });
        Ok(Self { signers: signers.collect::<Result<_>>()?, embeds })
    }

    /// What decides about the bytes that they add, for keys of what is kept.
    #[must_use]
    pub fn identity(&self) -> String {
        let prints = self.signers.iter().map(|signer| signer.certificate.fingerprint());
        format!("{} {}", prints.collect::<Vec<_>>().join(" "), if self.embeds { "embedded" } else { "named" })
    }

    /// Whether the certificates go into the message.
    #[must_use]
    pub fn embeds(&self) -> bool {
        self.embeds
    }

    /// The certificates.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.signers.iter().map(|signer| &signer.certificate)
    }

    /// The digest to sign for a kernel, or why it would refuse every signature of these.
    pub fn hash_for(&self, release: &str, accepted: &Accepted) -> Result<Hash> {
        let name = accepted.hash.as_deref().unwrap_or(Hash::Sha256.name());
        let hash = Hash::named(name).ok_or_else(|| {
            let known = Hash::ALL.map(Hash::name).join(", ");
            Error::usage(format!("the kernel `{release}` wants the digest `{name}` (CONFIG_MODULE_SIG_HASH)"))
                .hint(format!("kpkg signs with {known}"))
        })?;
        for certificate in self.certificates() {
            if let Some(why) = accepted.refuses(release, hash, certificate.is_elliptic()) {
                let name = certificate.name();
                return Err(Error::usage(format!(
                    "the kernel `{release}` cannot judge the signature of `{name}`: {why}"
                ))
                .hint(format!("it judges keys of RSA, 2048 to 4096 bits, over {}", accepted.certain())));
            }
        }
        Ok(hash)
    }
}

/// What a kernel can judge, by its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// `CONFIG_MODULE_SIG_HASH`: the digest that it certainly has; nothing where it does not say it.
    pub hash: Option<String>,
    /// The values of [`Accepted::OPTIONS`] that are set.
    pub options: BTreeMap<String, String>,
}

impl Accepted {
    /// The options that decide.
    pub const OPTIONS: [&str; 4] =
        [ECDSA, Hash::Sha256.option(), Hash::Sha512.option(), Hash::Sha3_256.option()];

    /// The digest that it judges in any case.
    fn certain(&self) -> &str {
        self.hash.as_deref().unwrap_or(Hash::Sha256.name())
    }

    /// Why it refuses a signature over this digest, of a key of ECDSA or of RSA.
    #[must_use]
    pub fn refuses(&self, release: &str, hash: Hash, is_elliptic: bool) -> Option<String> {
        let lacks = |option: &str| match self.options.get(option).map(String::as_str) {
            Some("m") => Some(format!("{option} is a module, which is there too late")),
            Some("y") => None,
            _ => Some(format!("{option} is not built in")),
        };
        if is_elliptic && let Some(why) = lacks(ECDSA) {
            return Some(why);
        }
        // whatever gives it the digest of its own modules is built in, and may have another name there
        let is_own = self.certain() == hash.name();
        let is_module = self.options.get(hash.option()).is_some_and(|value| value == "m");
        if !is_own && hash.option() == Hash::Sha3_256.option() && !knows_sha3(release) {
            return Some(format!("Linux knows {} since 6.7", hash.name()));
        }
        if is_own && !is_module { None } else { lacks(hash.option()) }
    }
}

/// Whether its parser of signatures knows SHA-3 (`crypto/asymmetric_keys/pkcs7_parser.c`).
fn knows_sha3(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 7)
}

/// Signatures of elliptic curves.
const ECDSA: &str = "CONFIG_CRYPTO_ECDSA";
