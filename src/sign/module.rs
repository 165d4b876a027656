//! Signatures behind kernel modules: a CMS message (RFC 5652) as the kernel's parser takes it (`crypto/asymmetric_keys/pkcs7_parser.c`) and
//! its `scripts/sign-file.c` writes it, `struct module_signature` and a line of text.
//!
//! Not by a crate: what they write has signed attributes and names RSA with its digest, both of which kernels refuse.

use super::certificate::{Certificate, PublicKey, common_name};
use super::der::{self, Reader};
use super::hash::Hash;
use super::{Key, ModuleSigners, Question, Signer};
use crate::base::error::{Error, Result};

/// The line at the end of a signed module (`include/linux/module_signature.h`).
const MAGIC: &[u8] = b"~Module signature appended~\n";
/// The bytes of `struct module_signature`.
const STRUCT: usize = 12;
/// Its kind of a signature that is a CMS message: `PKEY_ID_PKCS7`.
const CMS: u8 = 2;

/// 1.2.840.113549.1.7.2 and 1: signed data, and data.
const SIGNED_DATA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const DATA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];

/// A module without the signatures behind it, and the last of these; sign-file appends to a signature that is there.
#[must_use]
pub fn cut(module: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut rest, mut last) = (module, None);
    while let Some((below, message)) = cut_one(rest) {
        last = last.or(Some(message));
        rest = below;
    }
    (rest, last)
}

fn cut_one(module: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = module.strip_suffix(MAGIC)?;
    let (rest, description) = rest.split_at_checked(rest.len().checked_sub(STRUCT)?)?;
    let &[.., a, b, c, d] = description else { return None };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    rest.split_at_checked(rest.len().checked_sub(length)?)
}

impl ModuleSigners {
    /// A module with the signatures of all in the place of its own; each is judged by its certificate before.
    pub fn sign(&self, module: &[u8], hash: Hash, name: &str) -> Result<Vec<u8>> {
        let (plain, _) = cut(module);
        let question = Question { hash, module: plain, digest: &hash.digest(plain), name };
        let signatures: Vec<Vec<u8>> =
            self.signers.iter().map(|signer| signer.sign(&question)).collect::<Result<_>>()?;
        let signed: Vec<_> = self.signers.iter().map(|signer| &signer.certificate).zip(&signatures).collect();
        Ok(attach(plain, &message(&signed, hash, self.embeds)))
    }
}

impl Signer {
    /// The signature of a digest, which is one of the certificate's key.
    fn sign(&self, asked: &Question<'_>) -> Result<Vec<u8>> {
        let key = self.certificate.key();
        let candidates = match &self.key {
            Key::File(key) => vec![key.sign(asked.hash, asked.digest)?],
            Key::Elsewhere(ask) => answers(&ask(asked)?, asked, &self.certificate),
        };
        let fits = |signature: &Vec<u8>| key.verifies(asked.hash, asked.digest, signature);
        candidates.into_iter().find(fits).ok_or_else(|| {
            let (name, module) = (self.certificate.name(), asked.name);
            Error::usage(format!("the signature of `{module}` does not fit the certificate of `{name}`"))
                .hint("give the certificate of that key, in the order of the keys")
        })
    }
}

/// The signatures that an answer may be: RSA's number, ECDSA's two as DER or one behind the other, or what stands in a CMS message or in a
/// signed module. Which it is shows when it is judged.
fn answers(answer: &[u8], asked: &Question<'_>, certificate: &Certificate) -> Vec<Vec<u8>> {
    let message = match answer.strip_prefix(asked.module) {
        Some(_) => cut(answer).1.unwrap_or_default(),
        None => answer,
    };
    if let Some(found) = FoundMessage::parse(message, &[]) {
        let of_this = found.signatures.into_iter().filter(|one| one.is_of(certificate));
        return of_this.map(|one| one.signature).collect();
    }
    let (one, other) = answer.split_at(answer.len() / 2);
    let pair = der::sequence(&[&der::number(one), &der::number(other)]);
    if certificate.key().is_elliptic() { vec![answer.to_vec(), pair] } else { vec![answer.to_vec()] }
}

/// A module and a message behind it.
fn attach(plain: &[u8], message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [plain, message, &[0, 0, CMS, 0, 0, 0, 0, 0], &length, MAGIC].concat()
}

/// The message of signatures over content that stands elsewhere.
fn message(signed: &[(&Certificate, &Vec<u8>)], hash: Hash, embeds: bool) -> Vec<u8> {
    let one = der::number(&[1]);
    let oid = |content: &[u8]| der::value(der::OID, content);
    // without the NULL that others write
    let digest_algorithm = der::sequence(&[&oid(&hash.oid())]);
    let signer = |(certificate, signature): &(&Certificate, &Vec<u8>)| {
        let name = der::sequence(&[certificate.issuer(), certificate.serial()]);
        let algorithm = certificate.key().algorithm(hash);
        der::sequence(&[&one, &name, &digest_algorithm, &algorithm, &der::value(der::OCTETS, signature)])
    };
    let certificates = if embeds {
        der::set(der::FIELD, signed.iter().map(|(certificate, _)| certificate.der().to_vec()).collect())
    } else {
        Vec::new()
    };
    let data = der::sequence(&[
        &one,
        &der::set(der::SET, vec![digest_algorithm.clone()]),
        &der::sequence(&[&oid(&DATA)]),
        &certificates,
        &der::set(der::SET, signed.iter().map(signer).collect()),
    ]);
    der::sequence(&[&oid(&SIGNED_DATA), &der::value(der::FIELD, &data)])
}

/// A signature as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSignature {
    name: SignerName,
    /// The digest, where it is a known one.
    pub hash: Option<Hash>,
    /// Whether there are signed attributes, which kernels refuse.
    pub has_attributes: bool,
    /// The digest of what is signed.
    digest: Vec<u8>,
    signature: Vec<u8>,
}

/// How a signature names its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SignerName {
    Issuer(Vec<u8>),
    KeyId(Vec<u8>),
}

/// What a message holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundMessage {
    pub signatures: Vec<FoundSignature>,
    /// The certificates in it.
    pub certificates: Vec<Certificate>,
}

impl FoundMessage {
    /// Reads a message about a module; nothing where it is none.
    #[must_use]
    pub fn parse(bytes: &[u8], plain: &[u8]) -> Option<Self> {
        let mut content = Reader::new(bytes).inside(der::SEQUENCE)?;
        if content.take(der::OID)?.content != SIGNED_DATA {
            return None;
        }
        let mut data = content.inside(der::FIELD)?.inside(der::SEQUENCE)?;
        data.take(der::INTEGER)?;
        data.take(der::SET)?;
        data.take(der::SEQUENCE)?;
        let mut found = Self::default();
        if let Some(mut list) = data.inside(der::FIELD) {
            while let Some(one) = list.next() {
                found.certificates.extend(Certificate::parse(one.whole.to_vec()));
            }
        }
        data.take(der::FIELD + 1);
        let mut signers = data.inside(der::SET)?;
        while let Some(signer) = signers.inside(der::SEQUENCE) {
            found.signatures.push(FoundSignature::parse(signer, plain)?);
        }
        Some(found)
    }
}

impl FoundSignature {
    fn parse(mut signer: Reader<'_>, plain: &[u8]) -> Option<Self> {
        signer.take(der::INTEGER)?;
        let name = match signer.take(der::SEQUENCE) {
            Some(name) => SignerName::Issuer(name.content.to_vec()),
            // [0] of octets, not constructed
            None => SignerName::KeyId(signer.take(0x80)?.content.to_vec()),
        };
        let hash = Hash::of_oid(signer.inside(der::SEQUENCE)?.take(der::OID)?.content);
        let has_attributes = signer.take(der::FIELD).is_some();
        signer.take(der::SEQUENCE)?;
        let signature = signer.take(der::OCTETS)?.content.to_vec();
        let digest = hash.map(|hash| hash.digest(plain)).unwrap_or_default();
        Some(Self { name, hash, has_attributes, digest, signature })
    }

    /// Whether it names this certificate.
    #[must_use]
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        match &self.name {
            SignerName::Issuer(name) => *name == [certificate.issuer(), certificate.serial()].concat(),
            SignerName::KeyId(id) => certificate.key_id() == Some(id),
        }
    }

    /// Whether it is the signature of this certificate's key over the module.
    #[must_use]
    pub fn fits(&self, certificate: &Certificate) -> bool {
        let Some(hash) = self.hash.filter(|_| !self.has_attributes) else { return false };
        certificate.key().verifies(hash, &self.digest, &self.signature)
    }

    /// Who signed, as far as it says that itself.
    #[must_use]
    pub fn signer(&self) -> String {
        match &self.name {
            SignerName::Issuer(name) => {
                let issuer = Reader::new(name).take(der::SEQUENCE);
                issuer.and_then(|name| common_name(name.content)).unwrap_or_else(|| "somebody".to_owned())
            }
            SignerName::KeyId(id) => id.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// Whether a kernel can judge what is signed by these.
pub(super) fn is_elliptic(certificate: &Certificate) -> bool {
    PublicKey::is_elliptic(certificate.key())
}
