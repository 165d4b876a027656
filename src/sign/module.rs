//! Signatures behind kernel modules: a CMS message (RFC 5652) as the kernel's parser takes it (`crypto/asymmetric_keys/pkcs7_parser.c`) and
//! its `scripts/sign-file.c` writes it, `struct module_signature` and a line of text.
//!
//! Not by a crate: what they write has signed attributes and names RSA with its digest, both of which kernels refuse.

use base64ct::{Base64Unpadded, Base64UrlUnpadded, Encoding};

use super::certificate::{Certificate, common_name};
use super::der::{self, Reader};
use super::hash::Hash;
use super::oid;
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

/// A module and what is appended to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended<'a> {
    /// Without signatures.
    pub plain: &'a [u8],
    /// The last message, which is the one that a kernel looks at.
    pub message: Option<&'a [u8]>,
    /// How many signatures stand before that: sign-file appends to one that is there, and kernels pass it over.
    pub buried: usize,
}

impl<'a> Appended<'a> {
    /// Takes a module and its signatures apart, as `mod_check_sig` of `kernel/module_signature.c` does; or what is wrong with the last one, for
    /// which a kernel refuses the module.
    pub fn of(module: &'a [u8]) -> Result<Self, &'static str> {
        let Some((mut plain, message)) = cut_one(module)? else {
            return Ok(Self { plain: module, message: None, buried: 0 });
        };
        let mut buried = 0;
        while let Ok(Some((below, _))) = cut_one(plain) {
            plain = below;
            buried += 1;
        }
        Ok(Self { plain, message: Some(message), buried })
    }
}

/// A module and the message behind it; nothing where there is none.
type Cut<'a> = Option<(&'a [u8], &'a [u8])>;

fn cut_one(module: &[u8]) -> Result<Cut<'_>, &'static str> {
    let Some(rest) = module.strip_suffix(MAGIC) else { return Ok(None) };
    let at = rest.len().checked_sub(STRUCT).ok_or("the module is cut short")?;
    let (rest, description) = rest.split_at(at);
    let [algorithm, hash, kind, signer, key, pads @ .., a, b, c, d] = description else { return Ok(None) };
    if *kind != CMS {
        return Err("it is of a kind that no kernel takes since 4.3");
    }
    if [algorithm, hash, signer, key].into_iter().chain(pads).any(|byte| *byte != 0) {
        return Err("bytes of struct module_signature are set that have to be zero");
    }
    let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX);
    let at = rest.len().checked_sub(length).ok_or("its length reaches beyond the start of the module")?;
    Ok(Some(rest.split_at(at)))
}

/// Whether a signature stands in a file behind which more was written: to a kernel it is unsigned.
#[must_use]
pub fn has_junk_behind(module: &[u8]) -> bool {
    // what is written behind it is a line, or the fill of a block
    let tail = &module[module.len().saturating_sub(64 << 10)..];
    !module.ends_with(MAGIC) && tail.windows(MAGIC.len()).any(|window| window == MAGIC)
}

impl ModuleSigners {
    /// A module with the signatures of all in the place of its own; each is judged by its certificate before.
    pub fn sign(&self, module: &[u8], hash: Hash, name: &str) -> Result<Vec<u8>> {
        let Appended { plain, .. } = Appended::of(module).map_err(|why| {
            Error::usage(format!("the signature that `{name}` has cannot be taken off: {why}"))
                .hint("give the module as it was before it was signed")
        })?;
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
        let candidates = match &self.key {
            Key::File(key) => vec![key.sign(asked.hash, asked.digest)?],
            Key::Elsewhere(ask) => answers(&ask(asked)?, asked, &self.certificate),
        };
        self.certificate.judged(asked.hash, asked.name, asked.digest, candidates)
    }
}

/// The signatures that an answer may be: RSA's number, ECDSA's two as DER or one behind the other, or what stands in a CMS message or in a
/// signed module; or any of these in letters, as services answer (Base64, also that of JWS, and with the `vault:v1:` of Vault). Which it is
/// shows when it is judged.
fn answers(answer: &[u8], asked: &Question<'_>, certificate: &Certificate) -> Vec<Vec<u8>> {
    let letters =
        std::str::from_utf8(answer).ok().map(|text| text.rsplit_once(':').map_or(text, |(_, last)| last));
    let decoded = letters.and_then(|text| {
        let text: String = text.split_whitespace().collect();
        let text = text.trim_end_matches('=');
        Base64Unpadded::decode_vec(text).or_else(|_| Base64UrlUnpadded::decode_vec(text)).ok()
    });
    let of_letters = decoded.into_iter().flat_map(|bytes| signatures_in(&bytes, asked, certificate));
    signatures_in(answer, asked, certificate).into_iter().chain(of_letters).collect()
}

fn signatures_in(answer: &[u8], asked: &Question<'_>, certificate: &Certificate) -> Vec<Vec<u8>> {
    let message = match answer.strip_prefix(asked.module) {
        Some(_) => Appended::of(answer).ok().and_then(|found| found.message).unwrap_or_default(),
        None => answer,
    };
    if let Some(found) = FoundMessage::parse(message, &[]) {
        let of_this = found.signatures.into_iter().filter(|one| one.is_of(certificate));
        return of_this.map(|one| one.signature).collect();
    }
    let (one, other) = answer.split_at(answer.len() / 2);
    let pair = der::sequence(&[&der::number(one), &der::number(other)]);
    if certificate.is_elliptic() { vec![answer.to_vec(), pair] } else { vec![answer.to_vec()] }
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
    /// The algorithm that it names, where it is none that kernels take with such a key: RSA together with its digest.
    pub odd_algorithm: Option<String>,
    is_elliptic: bool,
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
                found.certificates.extend(Certificate::parse(one.whole.to_vec()).ok());
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
        let algorithm = signer.inside(der::SEQUENCE)?.take(der::OID)?.content;
        let is_elliptic = Hash::ALL.into_iter().any(|hash| hash.with_ecdsa() == algorithm);
        let odd_algorithm = (!is_elliptic && algorithm != oid::RSA).then(|| oid::name(algorithm));
        let signature = signer.take(der::OCTETS)?.content.to_vec();
        let digest = hash.map(|hash| hash.digest(plain)).unwrap_or_default();
        Some(Self { name, hash, has_attributes, odd_algorithm, is_elliptic, digest, signature })
    }

    /// Whether a key of ECDSA made it.
    #[must_use]
    pub fn is_elliptic(&self) -> bool {
        self.is_elliptic
    }

    /// Why every kernel refuses it, whoever signed.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        if self.has_attributes {
            return Some("it has signed attributes, which kernels refuse".to_owned());
        }
        let odd = self.odd_algorithm.as_ref();
        odd.map(|name| format!("it names the algorithm {name}, which kernels refuse"))
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
