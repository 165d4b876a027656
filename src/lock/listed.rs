//! Lists of kernels as mirrors give them, whatever they look like: for whom they are read, what they say, and who signed them.

use std::path::PathBuf;

use super::mirrors::Root;
use super::{Header, Source};
use crate::base::error::{Error, Result};
use crate::fetch::Fetcher;
use crate::plan::profile::KernelLists;

/// What stands for the key of a list that nobody judged.
pub const UNCHECKED_KEY: &str = "unchecked";

/// For whom lists are read.
pub(super) struct Of<'a> {
    pub(super) target: &'a str,
    /// As `uname -m` names the machine, and as the format does.
    pub(super) arch: &'a str,
    pub(super) machine: &'a str,
    pub(super) lists: &'a KernelLists,
    /// The pattern of packages of headers, with `%k` for the release.
    pub(super) headers: &'a str,
}

/// Who brings lists and judges them, and when, in seconds since 1970.
pub(super) struct Asking<'a> {
    pub(super) fetcher: &'a Fetcher,
    pub(super) judge: &'a dyn Judge,
    pub(super) now: i64,
}

/// A kernel as a list has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) release: String,
    pub(super) version: String,
    pub(super) flavour: String,
    pub(super) headers: Vec<Header>,
}

/// The kernels of a source.
pub(super) struct Read {
    pub(super) source: Source,
    pub(super) kernels: Vec<Listed>,
}

/// Somebody who judges OpenPGP signatures by keys in files; without any, by those that the machine trusts.
pub trait Judge {
    /// A text with a signature around it.
    fn clear(&self, text: &[u8], keyrings: &[PathBuf]) -> Result<Signed>;

    /// A signature apart from what it is of.
    fn detached(&self, signed: &[u8], signature: &[u8], keyrings: &[PathBuf]) -> Result<Signed>;
}

/// What a signature is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// One of the keys made it, of this text.
    By { key: String, text: Vec<u8> },
    /// Keys made it that are not known.
    UnknownKey(Vec<String>),
    /// It is not good, and why.
    Wrong(String),
    /// There is no program to judge it.
    Unjudged,
}

/// The key that a list is signed by, or that nobody judged it.
pub(super) fn accepted(signed: Signed, address: &str, root: &Root) -> Result<String> {
    let hint = "`keyring = \"FILE\"` beside the mirror's `url` in kpkg.toml names the keys that count";
    match signed {
        Signed::By { key, .. } => Ok(key),
        Signed::Unjudged => Ok(UNCHECKED_KEY.to_owned()),
        _ if root.is_unsigned_allowed => Ok(UNCHECKED_KEY.to_owned()),
        Signed::UnknownKey(keys) => {
            let text = format!("is signed by keys that are not known here ({}):", keys.join(", "));
            Err(Error::failed(text).at(address).hint(hint))
        }
        Signed::Wrong(why) => {
            Err(Error::failed(format!("has no good signature: {why}:")).at(address).hint(hint))
        }
    }
}
