//! Private keys in files.

use std::path::Path;

use pkcs8::{DecodePrivateKey, EncryptedPrivateKeyInfoRef, SecretDocument};
use rsa::pkcs1::DecodeRsaPrivateKey;
use signature::hazmat::PrehashSigner;

use super::der::{self, Reader};
use super::hash::Hash;
use super::oid::{self, KeyKind};
use super::pem;
use super::secret::{self, Pin, VARIABLE};
use crate::base::error::{Error, Result};

/// A private key.
pub(super) enum PrivateKey {
    Rsa(Box<rsa::PrivateKey>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

/// What is no key at all.
const NONE: &str = "is no private key of RSA, P-256 or P-384";
/// In the armour of keys that PEM itself protects (RFC 1421, 4.6.1.1).
const OLD_PASSWORD: &[u8] = b"Proc-Type: 4,ENCRYPTED";

fn refused(why: &str, path: &Path) -> Error {
    Error::usage(format!("{why}:")).at(path).hint("give one of PKCS#8, PKCS#1 or SEC1, as PEM or DER")
}

/// Opens a key.
fn unlock(
    locked: &EncryptedPrivateKeyInfoRef<'_>,
    password: Option<&Pin>,
    path: &Path,
) -> Result<SecretDocument> {
    let Some(password) = password else {
        return Err(Error::usage("is protected by a password:").at(path).hint(format!(
            "give the password in {VARIABLE}, or a command that asks for it (`--sign-module-command`)"
        )));
    };
    locked.decrypt(password.text()).map_err(|_| {
        Error::usage(format!("does not open with the password in {VARIABLE}:"))
            .at(path)
            .hint("it is another one, or the key is protected in a way that kpkg does not know: PBES2 it knows (RFC 8018)")
    })
}

/// Why bytes are no key to sign with.
fn why_not(der: &[u8]) -> String {
    let kind = || {
        let mut info = Reader::new(der).inside(der::SEQUENCE)?;
        info.take(der::INTEGER)?;
        // SEC1 names its curve in a field behind the octets of the key
        if let Some(algorithm) = info.take(der::SEQUENCE) {
            return KeyKind::of(algorithm.content).err();
        }
        info.take(der::OCTETS)?;
        Some(oid::name(info.inside(der::FIELD)?.take(der::OID)?.content))
    };
    kind().map_or(NONE.to_owned(), |name| format!("is a key of {name}, with which kpkg does not sign"))
}

impl PrivateKey {
    /// Reads a file: PKCS#8, PKCS#1 or SEC1, as PEM or DER; PKCS#8 also under a password, which is given.
    pub(super) fn read(path: &Path, password: Option<&Pin>) -> Result<Self> {
        secret::keep_to_ourselves();
        let bytes = std::fs::read(path).map_err(|error| Error::io("cannot read the key", path, error))?;
        let blocks = pem::blocks(&bytes);
        if bytes.windows(OLD_PASSWORD.len()).any(|window| window == OLD_PASSWORD) {
            return Err(Error::usage("is protected by a password in the form of old versions of OpenSSL:")
                .at(path)
                .hint("`openssl pkcs8 -topk8 -in KEY -out NEW` writes it in today's"));
        }
        let locked = match blocks.iter().find(|(label, _)| label == "ENCRYPTED PRIVATE KEY") {
            Some((_, der)) => Some(der.as_slice()),
            None => Some(bytes.as_slice()).filter(|_| blocks.is_empty()),
        };
        if let Some(locked) = locked.and_then(|der| EncryptedPrivateKeyInfoRef::try_from(der).ok()) {
            let opened = unlock(&locked, password, path)?;
            return Self::parse(opened.as_bytes()).map_err(|why| refused(&why, path));
        }
        let keys: Vec<&[u8]> = match blocks.as_slice() {
            [] => vec![&bytes],
            _ => blocks
                .iter()
                .filter(|(label, _)| label.ends_with("PRIVATE KEY"))
                .map(|(_, der)| der.as_slice())
                .collect(),
        };
        let mut why = NONE.to_owned();
        for key in keys {
            match Self::parse(key) {
                Ok(found) => return Ok(found),
                Err(other) => why = other,
            }
        }
        Err(refused(&why, path))
    }

    fn parse(der: &[u8]) -> Result<Self, String> {
        let rsa =
            rsa::PrivateKey::from_pkcs8_der(der).ok().or_else(|| rsa::PrivateKey::from_pkcs1_der(der).ok());
        let p256 = || {
            let found = p256::SecretKey::from_pkcs8_der(der).ok();
            found.or_else(|| p256::SecretKey::from_sec1_der(der).ok())
        };
        let p384 = || {
            let found = p384::SecretKey::from_pkcs8_der(der).ok();
            found.or_else(|| p384::SecretKey::from_sec1_der(der).ok())
        };
        rsa.map(|key| Self::Rsa(Box::new(key)))
            .or_else(|| p256().map(|key| Self::P256(key.into())))
            .or_else(|| p384().map(|key| Self::P384(key.into())))
            .ok_or_else(|| why_not(der))
    }

    /// The signature of a digest: RSA's of PKCS#1 v1.5, ECDSA's with the nonce of RFC 6979, as DER: always the same.
    pub(super) fn sign(&self, hash: Hash, digest: &[u8]) -> Result<Vec<u8>> {
        let failed = || Error::failed("the key cannot sign: it is too short for the digest, or broken");
        match self {
            Self::Rsa(key) => {
                let form = rsa::Pkcs1v15Sign::new_unprefixed();
                key.sign(form, &hash.digest_info(digest)).map_err(|_| failed())
            }
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign_prehash(digest).map_err(|_| failed())?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign_prehash(digest).map_err(|_| failed())?;
                Ok(signature.to_der().as_bytes().to_vec())
            }
        }
    }
}
