//! SHA-256 (FIPS 180-4) of a stream and of the parts of it.

use sha2::{Digest, Sha256};

use super::Tap;

/// The digests of a stream and of its parts.
#[derive(Default)]
pub struct Sha256s {
    stream: Sha256,
    part: Option<Sha256>,
}

impl Sha256s {
    /// A part begins with the next byte.
    pub fn begin(&mut self) {
        self.part = Some(Sha256::default());
    }

    /// The part ended with the last byte: its digest. That of nothing where none was begun.
    pub fn end(&mut self) -> [u8; 32] {
        self.part.take().unwrap_or_default().finalize().into()
    }

    /// The digest of the stream.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.stream.finalize().into()
    }
}

impl Tap for Sha256s {
    fn see(&mut self, bytes: &[u8]) {
        self.stream.update(bytes);
        if let Some(part) = &mut self.part {
            part.update(bytes);
        }
    }
}
