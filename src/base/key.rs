//! Keys: a digest of everything that decides about a result, so that who has the key has the result.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::base::error::{Error, Result};

/// A key on its way. Each part is added with its length, so that no two lists of parts are alike.
#[derive(Debug, Clone, Default)]
pub struct Key(Sha256);

impl Key {
    /// The next part.
    pub fn add(&mut self, part: &str) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// A value, as JSON.
    pub fn json(&mut self, part: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(part).map_err(|error| Error::failed(error.to_string()))?;
        self.add(&text);
        Ok(())
    }

    /// SHA-256 of the parts, in hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> String {
        format!("{:x}", self.0.finalize())
    }
}
