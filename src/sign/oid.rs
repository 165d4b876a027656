//! Object identifiers, as the content of their DER: of keys, names and extensions.

use super::der::{self, Reader};

pub(super) const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const ELLIPTIC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
/// The attribute commonName, 2.5.4.3.
pub(super) const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// Extensions of certificates: 2.5.29.14, .35, .19, .15, .37.
pub(super) const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
pub(super) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
/// Extended usages: codeSigning, 1.3.6.1.5.5.7.3.3, and that of kernel modules alone, 1.3.6.1.4.1.2312.16.1.2, which shim refuses for what boots.
pub(super) const CODE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03];
pub(super) const MODULE_SIGNING: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x92, 0x08, 0x10, 0x01, 0x02];

/// What others are called that are met, so that a refusal can name them.
const OTHERS: [(&[u8], &str); 9] = [
    (&[0x2b, 0x81, 0x04, 0x00, 0x23], "P-521"),
    (&[0x2b, 0x81, 0x04, 0x00, 0x0a], "secp256k1"),
    (&[0x2b, 0x65, 0x70], "Ed25519"),
    (&[0x2b, 0x65, 0x71], "Ed448"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a], "RSA-PSS"),
    (&[0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01], "DSA"),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x11], "ML-DSA-44"),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12], "ML-DSA-65"),
    (&[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x13], "ML-DSA-87"),
];

/// The keys that kpkg signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyKind {
    Rsa,
    P256,
    P384,
}

impl KeyKind {
    /// Of the content of an `AlgorithmIdentifier`; or what it is called.
    pub(super) fn of(algorithm: &[u8]) -> Result<Self, String> {
        let mut parts = Reader::new(algorithm);
        let Some(kind) = parts.take(der::OID) else { return Err("an unknown kind".to_owned()) };
        let named = match parts.take(der::OID) {
            Some(curve) if kind.content == ELLIPTIC => curve.content,
            _ => kind.content,
        };
        match named {
            RSA => Ok(Self::Rsa),
            P256 => Ok(Self::P256),
            P384 => Ok(Self::P384),
            other => Err(name(other)),
        }
    }
}

/// What an object identifier is called, or its numbers.
pub(super) fn name(oid: &[u8]) -> String {
    if let Some((_, name)) = OTHERS.iter().find(|(known, _)| *known == oid) {
        return (*name).to_owned();
    }
    let (mut arcs, mut arc): (Vec<u64>, u64) = (Vec::new(), 0);
    for byte in oid {
        arc = arc << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            // the first two share a number
            if arcs.is_empty() {
                let first = (arc / 40).min(2);
                arcs.push(first);
                arc -= first * 40;
            }
            arcs.push(arc);
            arc = 0;
        }
    }
    arcs.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_have_names_or_numbers() {
        assert_eq!(name(MODULE_SIGNING), "1.3.6.1.4.1.2312.16.1.2");
        assert_eq!(name(RSA), "1.2.840.113549.1.1.1");
        assert_eq!(name(&[0x2b, 0x81, 0x04, 0x00, 0x23]), "P-521");
        assert_eq!(name(&[]), "");
    }
}
