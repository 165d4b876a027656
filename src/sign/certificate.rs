//! X.509 certificates (RFC 5280): what a signature names of them, and the key that it is judged by. Dates are not looked at: kernels do not.

use std::path::Path;

use rsa::pkcs1::DecodeRsaPublicKey;
use sha2::{Digest, Sha256};
use signature::hazmat::PrehashVerifier;

use super::der::{self, Reader};
use super::hash::Hash;
use super::pem;
use crate::base::error::{Error, Result};

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// The names and numbers as they stand there, with tag and length.
    issuer: Vec<u8>,
    serial: Vec<u8>,
    subject: Option<String>,
    key_id: Option<Vec<u8>>,
    key: PublicKey,
}

/// The key of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicKey {
    Rsa(Box<rsa::PublicKey>),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
}

const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ELLIPTIC: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: [u8; 5] = [0x2b, 0x81, 0x04, 0x00, 0x22];
/// The extension subjectKeyIdentifier, 2.5.29.14.
const KEY_ID: [u8; 3] = [0x55, 0x1d, 0x0e];
/// The attribute commonName, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

impl Certificate {
    /// Reads a file, PEM or DER; the first certificate in it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).map_err(|error| Error::io("cannot read the certificate", path, error))?;
        let blocks = pem::blocks(&bytes);
        let der = match blocks.iter().find(|(label, _)| label == "CERTIFICATE") {
            Some((_, der)) => der.clone(),
            None => bytes,
        };
        Self::parse(der).ok_or_else(|| {
            Error::usage("is no certificate with a key of RSA, P-256 or P-384:")
                .at(path)
                .hint("give an X.509 certificate as PEM or DER")
        })
    }

    /// Reads the bytes; nothing where they are none, or have another kind of key.
    pub(super) fn parse(bytes: Vec<u8>) -> Option<Self> {
        let mut whole = Reader::new(&bytes);
        let mut tbs = whole.inside(der::SEQUENCE)?.inside(der::SEQUENCE)?;
        tbs.take(der::FIELD);
        let serial = tbs.take(der::INTEGER)?.whole.to_vec();
        tbs.take(der::SEQUENCE)?;
        let issuer = tbs.take(der::SEQUENCE)?.whole.to_vec();
        tbs.take(der::SEQUENCE)?;
        let subject = tbs.take(der::SEQUENCE)?.content;
        let key = PublicKey::parse(tbs.take(der::SEQUENCE)?.content)?;
        let mut key_id = None;
        while let Some(field) = tbs.next() {
            if field.tag == der::FIELD + 3 {
                key_id = extension(field.content, &KEY_ID);
            }
        }
        if !whole.is_empty() {
            return None;
        }
        Some(Self { issuer, serial, subject: common_name(subject), key_id, key, der: bytes })
    }

    /// SHA-256 of it, in hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{:x}", Sha256::digest(&self.der))
    }

    /// Whom it is of, or its number.
    #[must_use]
    pub fn name(&self) -> String {
        self.subject.clone().unwrap_or_else(|| {
            let digits: String = self.serial.iter().skip(2).map(|byte| format!("{byte:02x}")).collect();
            format!("serial number {digits}")
        })
    }

    /// Itself, as DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    pub(super) fn serial(&self) -> &[u8] {
        &self.serial
    }

    pub(super) fn key_id(&self) -> Option<&[u8]> {
        self.key_id.as_deref()
    }

    pub(super) fn key(&self) -> &PublicKey {
        &self.key
    }
}

/// The value of an extension; the octets in it, where it is octets.
fn extension(content: &[u8], oid: &[u8]) -> Option<Vec<u8>> {
    let mut list = Reader::new(content).inside(der::SEQUENCE)?;
    while let Some(mut one) = list.inside(der::SEQUENCE) {
        if one.take(der::OID)?.content == oid {
            one.take(0x01);
            let value = one.take(der::OCTETS)?.content;
            return Reader::new(value).take(der::OCTETS).map(|found| found.content.to_vec());
        }
    }
    None
}

/// The last common name of a name.
pub(super) fn common_name(content: &[u8]) -> Option<String> {
    let mut names = Reader::new(content);
    let mut found = None;
    while let Some(mut set) = names.inside(der::SET) {
        let Some(mut attribute) = set.inside(der::SEQUENCE) else { continue };
        if attribute.take(der::OID).is_some_and(|oid| oid.content == COMMON_NAME) {
            found = attribute.next().map(|value| String::from_utf8_lossy(value.content).into_owned());
        }
    }
    found
}

impl PublicKey {
    /// Of a `SubjectPublicKeyInfo`.
    fn parse(content: &[u8]) -> Option<Self> {
        let mut info = Reader::new(content);
        let mut algorithm = info.inside(der::SEQUENCE)?;
        let oid = algorithm.take(der::OID)?.content;
        // a string of bits, the first byte of which counts those that are not used
        let bits = info.take(0x03)?.content.strip_prefix(&[0])?;
        if oid == RSA {
            return rsa::PublicKey::from_pkcs1_der(bits).ok().map(|key| Self::Rsa(Box::new(key)));
        }
        let curve = algorithm.take(der::OID)?.content;
        if oid == ELLIPTIC && curve == P256 {
            return p256::ecdsa::VerifyingKey::from_sec1_bytes(bits).ok().map(Self::P256);
        }
        if oid == ELLIPTIC && curve == P384 {
            return p384::ecdsa::VerifyingKey::from_sec1_bytes(bits).ok().map(Self::P384);
        }
        None
    }

    /// The algorithm as kernels want it named beside a signature: of RSA alone, whatever the digest is.
    pub(super) fn algorithm(&self, hash: Hash) -> Vec<u8> {
        match self {
            Self::Rsa(_) => der::sequence(&[&der::value(der::OID, &RSA), &der::value(der::NULL, &[])]),
            Self::P256(_) | Self::P384(_) => der::sequence(&[&der::value(der::OID, &hash.with_ecdsa())]),
        }
    }

    pub(super) fn is_elliptic(&self) -> bool {
        !matches!(self, Self::Rsa(_))
    }

    /// Whether this is its signature of a digest: RSA's number, or ECDSA's two as DER.
    pub(super) fn verifies(&self, hash: Hash, digest: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa(key) => {
                let form = rsa::Pkcs1v15Sign::new_unprefixed();
                key.verify(form, &hash.digest_info(digest), signature).is_ok()
            }
            Self::P256(key) => p256::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()),
            Self::P384(key) => p384::ecdsa::Signature::from_der(signature)
                .is_ok_and(|signature| key.verify_prehash(digest, &signature).is_ok()),
        }
    }
}
