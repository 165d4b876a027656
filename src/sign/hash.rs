//! The digests that kernels take signatures over.

use sha2::{Digest, Sha256, Sha384, Sha512};
use sha3::{Sha3_256, Sha3_384, Sha3_512};

use super::der;

/// A digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

/// The arc of NIST's digests: 2.16.840.1.101.3.4.2.
const DIGESTS: [u8; 8] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02];
/// ecdsa-with-SHA2, 1.2.840.10045.4.3.
const WITH_SHA2: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03];
/// PKCS#1, 1.2.840.113549.1.1.
const RSA_WITH: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
/// NIST's signatures: 2.16.840.1.101.3.4.3.
const WITH_SHA3: [u8; 8] = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03];

impl Hash {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Sha256, Self::Sha384, Self::Sha512, Self::Sha3_256, Self::Sha3_384, Self::Sha3_512];

    /// As `CONFIG_MODULE_SIG_HASH` names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
            Self::Sha3_256 => "sha3-256",
            Self::Sha3_384 => "sha3-384",
            Self::Sha3_512 => "sha3-512",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.name() == name)
    }

    /// The last arc of its object identifier.
    fn arc(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha384 => 2,
            Self::Sha512 => 3,
            Self::Sha3_256 => 8,
            Self::Sha3_384 => 9,
            Self::Sha3_512 => 10,
        }
    }

    /// The content of its object identifier.
    pub(super) fn oid(self) -> Vec<u8> {
        [&DIGESTS[..], &[self.arc()]].concat()
    }

    pub(super) fn of_oid(oid: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.oid() == oid)
    }

    /// The content of the object identifier of ECDSA with it.
    pub(super) fn with_ecdsa(self) -> Vec<u8> {
        match self {
            Self::Sha256 | Self::Sha384 | Self::Sha512 => [&WITH_SHA2[..], &[self.arc() + 1]].concat(),
            Self::Sha3_256 | Self::Sha3_384 | Self::Sha3_512 => [&WITH_SHA3[..], &[self.arc() + 2]].concat(),
        }
    }

    /// The content of the object identifier of RSA with it, as certificates name how they are signed.
    pub(super) fn with_rsa(self) -> Vec<u8> {
        match self {
            Self::Sha256 => [RSA_WITH, &[11]].concat(),
            Self::Sha384 => [RSA_WITH, &[12]].concat(),
            Self::Sha512 => [RSA_WITH, &[13]].concat(),
            Self::Sha3_256 | Self::Sha3_384 | Self::Sha3_512 => [&WITH_SHA3[..], &[self.arc() + 6]].concat(),
        }
    }

    /// The option of a kernel's configuration that gives it this digest.
    #[must_use]
    pub const fn option(self) -> &'static str {
        match self {
            Self::Sha256 => "CONFIG_CRYPTO_SHA256",
            Self::Sha384 | Self::Sha512 => "CONFIG_CRYPTO_SHA512",
            Self::Sha3_256 | Self::Sha3_384 | Self::Sha3_512 => "CONFIG_CRYPTO_SHA3",
        }
    }

    /// The digest of bytes.
    #[must_use]
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
            Self::Sha3_256 => Sha3_256::digest(bytes).to_vec(),
            Self::Sha3_384 => Sha3_384::digest(bytes).to_vec(),
            Self::Sha3_512 => Sha3_512::digest(bytes).to_vec(),
        }
    }

    /// What RSA signs of a digest (RFC 8017, 9.2).
    #[must_use]
    pub fn digest_info(self, digest: &[u8]) -> Vec<u8> {
        let algorithm = der::sequence(&[&der::value(der::OID, &self.oid()), &der::value(der::NULL, &[])]);
        der::sequence(&[&algorithm, &der::value(der::OCTETS, digest)])
    }
}
