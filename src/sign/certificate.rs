//! X.509 certificates (RFC 5280): what a signature names of them, the key that it is judged by, and who signed them.

use std::path::Path;

use jiff::Timestamp;
use rsa::pkcs1::DecodeRsaPublicKey;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use signature::hazmat::PrehashVerifier;

use super::der::{self, Reader};
use super::hash::Hash;
use super::{oid, pem};
use crate::base::error::{Error, Result};

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    /// The names and numbers as they stand there, with tag and length.
    issuer: Vec<u8>,
    serial: Vec<u8>,
    subject: Vec<u8>,
    /// From when and until when it is to be used: `YYYYMMDDHHMMSSZ`.
    validity: [String; 2],
    key_id: Option<Vec<u8>>,
    authority: Authority,
    key: PublicKey,
}

/// What names the certificate of the issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Authority {
    None,
    Key(Vec<u8>),
    /// Issuer and number, as they stand there.
    Certificate(Vec<u8>),
}

impl Authority {
    /// Of the extension authorityKeyIdentifier (RFC 5280, 4.2.1.1).
    fn of(extension: &[u8]) -> Option<Self> {
        let mut fields = Reader::new(extension).inside(der::SEQUENCE)?;
        // not constructed: [0], [2]; constructed: [1] with [4], the name of a folder
        if let Some(id) = fields.take(0x80) {
            return Some(Self::Key(id.content.to_vec()));
        }
        let name = fields.inside(der::FIELD + 1)?.inside(der::FIELD + 4)?.take(der::SEQUENCE)?.whole;
        let serial = der::value(der::INTEGER, fields.take(0x82)?.content);
        Some(Self::Certificate([name, &serial].concat()))
    }
}

/// The key of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PublicKey {
    Rsa(Box<rsa::PublicKey>),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
}

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
        Self::parse(der).map_err(|why| {
            Error::usage(format!("{why}:"))
                .at(path)
                .hint("give an X.509 certificate of RSA, P-256 or P-384, as PEM or DER")
        })
    }

    /// Reads the bytes; or why that cannot be.
    pub(super) fn parse(bytes: Vec<u8>) -> Result<Self, String> {
        let none = "is no certificate";
        let fields = Fields::of(&bytes).ok_or(none)?;
        let key = PublicKey::parse(fields.key)?;
        Ok(Self {
            issuer: fields.issuer.to_vec(),
            serial: fields.serial.to_vec(),
            subject: fields.subject.to_vec(),
            validity: fields.validity,
            key_id: extension(fields.extensions, oid::SUBJECT_KEY_ID)
                .and_then(|value| Reader::new(value).take(der::OCTETS))
                .map(|id| id.content.to_vec()),
            authority: extension(fields.extensions, oid::AUTHORITY_KEY_ID)
                .and_then(Authority::of)
                .unwrap_or(Authority::None),
            key,
            der: bytes,
        })
    }

    /// SHA-256 of it, in hexadecimal digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("{:x}", Sha256::digest(&self.der))
    }

    /// SHA-1 of it, which names it in folders of certificates, in hexadecimal digits.
    #[must_use]
    pub fn sha1(&self) -> String {
        format!("{:x}", Sha1::digest(&self.der))
    }

    /// Whom it is of, or its number.
    #[must_use]
    pub fn name(&self) -> String {
        let subject = Reader::new(&self.subject).take(der::SEQUENCE);
        subject.and_then(|subject| common_name(subject.content)).unwrap_or_else(|| {
            let digits: String = self.serial.iter().skip(2).map(|byte| format!("{byte:02x}")).collect();
            format!("serial number {digits}")
        })
    }

    /// Itself, as DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Why it is not to be used at a time, in seconds since 1970; kernels do not look at it.
    #[must_use]
    pub fn is_not_valid(&self, now: i64) -> Option<String> {
        let now = Timestamp::from_second(now).ok()?.strftime("%Y%m%d%H%M%SZ").to_string();
        let day = |time: &str| {
            let part = |range| time.get(range).unwrap_or("?").to_owned();
            format!("{}-{}-{}", part(0..4), part(4..6), part(6..8))
        };
        let [from, until] = &self.validity;
        if now > *until {
            return Some(format!("expired on {}", day(until)));
        }
        (now < *from).then(|| format!("is valid from {} on", day(from)))
    }

    /// Whether who has that certificate signed this one, and kernels see it: they look for the issuer by what the extension
    /// authorityKeyIdentifier names, and by nothing else (`crypto/asymmetric_keys/pkcs7_verify.c`).
    #[must_use]
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        let is_named = match &self.authority {
            Authority::Key(id) => issuer.key_id() == Some(id),
            Authority::Certificate(name) => *name == [issuer.issuer(), issuer.serial()].concat(),
            Authority::None => false,
        };
        let Some(fields) = Fields::of(&self.der).filter(|fields| is_named && fields.issuer == issuer.subject)
        else {
            return false;
        };
        let is_of =
            |hash: &Hash| fields.algorithm == hash.with_rsa() || fields.algorithm == hash.with_ecdsa();
        Hash::ALL
            .into_iter()
            .find(is_of)
            .is_some_and(|hash| issuer.key.verifies(hash, &hash.digest(fields.signed), fields.signature))
    }

    /// Whether another signed it, whom kernels cannot find.
    #[must_use]
    pub fn hides_its_issuer(&self) -> bool {
        self.issuer != self.subject && self.authority == Authority::None
    }

    /// The one of some signatures that is of its key over a digest; `what` is what was signed.
    pub(super) fn judged(
        &self,
        hash: Hash,
        what: &str,
        digest: &[u8],
        found: Vec<Vec<u8>>,
    ) -> Result<Vec<u8>> {
        found.into_iter().find(|signature| self.key.verifies(hash, digest, signature)).ok_or_else(|| {
            Error::usage(format!(
                "the signature of `{what}` does not fit the certificate of `{}`",
                self.name()
            ))
            .hint("give the certificate of that key, in the order of the keys")
        })
    }

    /// Whether its key is one of ECDSA, which not every kernel judges.
    #[must_use]
    pub fn is_elliptic(&self) -> bool {
        !matches!(self.key, PublicKey::Rsa(_))
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

/// The fields of a certificate, as they stand there.
struct Fields<'a> {
    /// What is signed, with tag and length.
    signed: &'a [u8],
    serial: &'a [u8],
    issuer: &'a [u8],
    validity: [String; 2],
    subject: &'a [u8],
    key: &'a [u8],
    extensions: Reader<'a>,
    /// The object identifier of how it is signed.
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let mut whole = Reader::new(bytes);
        let mut certificate = whole.inside(der::SEQUENCE)?;
        let mut ahead = certificate;
        let signed = ahead.take(der::SEQUENCE)?.whole;
        let mut tbs = certificate.inside(der::SEQUENCE)?;
        tbs.take(der::FIELD);
        let serial = tbs.take(der::INTEGER)?.whole;
        tbs.take(der::SEQUENCE)?;
        let issuer = tbs.take(der::SEQUENCE)?.whole;
        let mut validity = tbs.inside(der::SEQUENCE)?;
        let validity = [time(validity.next()?)?, time(validity.next()?)?];
        let subject = tbs.take(der::SEQUENCE)?.whole;
        let key = tbs.take(der::SEQUENCE)?.content;
        let mut extensions = Reader::new(&[]);
        while let Some(field) = tbs.next() {
            if field.tag == der::FIELD + 3 {
                extensions = Reader::new(field.content).inside(der::SEQUENCE)?;
            }
        }
        let algorithm = certificate.inside(der::SEQUENCE)?.take(der::OID)?.content;
        let signature = certificate.take(der::BITS)?.content.strip_prefix(&[0])?;
        let fields =
            Self { signed, serial, issuer, validity, subject, key, extensions, algorithm, signature };
        whole.is_empty().then_some(fields)
    }
}

/// A time as it sorts (RFC 5280, 4.1.2.5): two digits of a year are of 1950 to 2049.
fn time(value: der::Value<'_>) -> Option<String> {
    let text = std::str::from_utf8(value.content).ok().filter(|text| text.is_ascii())?;
    match value.tag {
        der::UTC_TIME => Some(format!("{}{text}", if text < "50" { "20" } else { "19" })),
        der::GENERALIZED_TIME => Some(text.to_owned()),
        _ => None,
    }
}

/// The value of an extension.
fn extension<'a>(mut list: Reader<'a>, wanted: &[u8]) -> Option<&'a [u8]> {
    while let Some(mut one) = list.inside(der::SEQUENCE) {
        if one.take(der::OID)?.content == wanted {
            one.take(der::BOOLEAN);
            return Some(one.take(der::OCTETS)?.content);
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
        if attribute.take(der::OID).is_some_and(|name| name.content == oid::COMMON_NAME) {
            found = attribute.next().map(|value| String::from_utf8_lossy(value.content).into_owned());
        }
    }
    found
}

impl PublicKey {
    /// Of a `SubjectPublicKeyInfo`.
    fn parse(content: &[u8]) -> Result<Self, String> {
        let broken = "has a broken key";
        let mut info = Reader::new(content);
        let algorithm = info.take(der::SEQUENCE).ok_or(broken)?.content;
        // a string of bits, the first byte of which counts those that are not used
        let bits = info.take(der::BITS).and_then(|bits| bits.content.strip_prefix(&[0])).ok_or(broken)?;
        let kind = oid::KeyKind::of(algorithm)
            .map_err(|name| format!("has a key of {name}, with which kpkg does not sign"))?;
        let key = match kind {
            oid::KeyKind::Rsa => {
                rsa::PublicKey::from_pkcs1_der(bits).ok().map(|key| Self::Rsa(Box::new(key)))
            }
            oid::KeyKind::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(bits).ok().map(Self::P256),
            oid::KeyKind::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(bits).ok().map(Self::P384),
        };
        key.ok_or_else(|| broken.to_owned())
    }

    /// The algorithm as kernels want it named beside a signature: of RSA alone, whatever the digest is.
    pub(super) fn algorithm(&self, hash: Hash) -> Vec<u8> {
        match self {
            Self::Rsa(_) => der::sequence(&[&der::value(der::OID, oid::RSA), &der::value(der::NULL, &[])]),
            Self::P256(_) | Self::P384(_) => der::sequence(&[&der::value(der::OID, &hash.with_ecdsa())]),
        }
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
