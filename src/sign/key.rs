//! Private keys in files.

use std::path::Path;

use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use signature::hazmat::PrehashSigner;

use super::hash::Hash;
use super::pem;
use crate::base::error::{Error, Result};

/// A private key.
pub(super) enum PrivateKey {
    Rsa(Box<rsa::PrivateKey>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
}

impl PrivateKey {
    /// Reads a file: PKCS#8, PKCS#1 or SEC1, as PEM or DER.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::io("cannot read the key", path, error))?;
        let blocks = pem::blocks(&bytes);
        if blocks.iter().any(|(label, _)| label == "ENCRYPTED PRIVATE KEY") {
            return Err(Error::usage("is protected by a password:")
                .at(path)
                .hint("give it without (`openssl pkey -in KEY`), or a command that asks for it (`--sign-module-command`)"));
        }
        let key = blocks.iter().filter(|(label, _)| label.ends_with("PRIVATE KEY"));
        let ders: Vec<&[u8]> = key.map(|(_, der)| der.as_slice()).collect();
        let found =
            if blocks.is_empty() { Self::parse(&bytes) } else { ders.into_iter().find_map(Self::parse) };
        found.ok_or_else(|| {
            Error::usage("is no private key of RSA, P-256 or P-384:")
                .at(path)
                .hint("give one of PKCS#8, PKCS#1 or SEC1, as PEM or DER")
        })
    }

    fn parse(der: &[u8]) -> Option<Self> {
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
