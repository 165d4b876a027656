//! The last steps of a compiled module, in one place: it was stripped where it was built; here it is compressed. What is finished is kept
//! beside it, and used again only when it is what these steps gave for this very module.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::BuiltModule;
use crate::archive;
use crate::base::error::{Error, Result};
use crate::base::temporary;
use crate::package::Codec;
use crate::sign::ModuleSigners;
use crate::sign::hash::Hash;

/// A module as it is packaged.
pub struct FinishedModule {
    pub file: PathBuf,
    /// In bytes.
    pub size: u64,
    /// What follows `.ko` in its name.
    pub suffix: &'static str,
}

/// Who signs a module, and over which digest.
#[derive(Clone, Copy)]
pub struct Signing<'a> {
    pub signers: &'a ModuleSigners,
    pub hash: Hash,
}

/// Finishes a module, unless that was done before: it is signed, where somebody signs, and then compressed.
pub fn finish(module: &BuiltModule, codec: Codec, signing: Option<Signing<'_>>) -> Result<FinishedModule> {
    let suffix = codec.suffix();
    let mut file = module.path.clone();
    if let Some(Signing { signers, hash }) = signing {
        let manner = format!("{} {}", hash.name(), signers.identity());
        let id = format!("{:x}", Sha256::digest(&manner));
        let signed = PathBuf::from(format!("{}.signed-{}", file.display(), &id[..16]));
        kept(&file, &signed, &manner, |bytes| signers.sign(bytes, hash, &module.name))?;
        file = signed;
    }
    if codec != Codec::None {
        let packed = PathBuf::from(format!("{}{suffix}", file.display()));
        let failed = |error| Error::io("cannot compress the module to", &packed, error);
        kept(&file, &packed, codec.name(), |bytes| archive::compressed_module(bytes, codec).map_err(failed))?;
        file = packed;
    }
    let size = fs::metadata(&file).map_err(|error| Error::io("cannot read", &file, error))?.len();
    Ok(FinishedModule { file, size, suffix })
}

/// Makes a file of another one, unless it is there and is what was made of this very one in this manner.
fn kept(from: &Path, file: &Path, manner: &str, make: impl FnOnce(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
    let bytes = fs::read(from).map_err(|error| Error::io("cannot read", from, error))?;
    let digest = |bytes: &[u8]| format!("{:x}", Sha256::digest(bytes));
    // everything that decides about the result, and the result
    let statement = |made: &[u8]| format!("{} {manner} {}\n", digest(&bytes), digest(made));
    let note = PathBuf::from(format!("{}.sum", file.display()));
    if let (Ok(made), Ok(stated)) = (fs::read(file), fs::read_to_string(&note))
        && stated == statement(&made)
    {
        return Ok(());
    }
    let made = make(&bytes)?;
    let placed =
        temporary::place(file, &made).and_then(|()| temporary::place(&note, statement(&made).as_bytes()));
    placed.map_err(|error| Error::io("cannot write", file, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_what_was_finished_is_finished_again() {
        let folder = tempfile::tempdir().unwrap();
        let (module, file) = (folder.path().join("a.ko"), folder.path().join("a.ko.xz"));
        let make = || kept(&module, &file, "twice", |bytes| Ok([bytes, bytes].concat())).unwrap();
        fs::write(&module, "module").unwrap();
        make();
        let good = fs::read(&file).unwrap();
        assert_eq!(good, b"modulemodule");
        // used again
        let made = || fs::metadata(&file).unwrap().modified().unwrap();
        let before = made();
        make();
        assert_eq!(made(), before);
        // truncated, changed, without its note
        for bad in [&good[..good.len() / 2], b"else", b""] {
            fs::write(&file, bad).unwrap();
            make();
            assert_eq!(fs::read(&file).unwrap(), good);
        }
        fs::remove_file(folder.path().join("a.ko.xz.sum")).unwrap();
        fs::write(&file, "else").unwrap();
        make();
        assert_eq!(fs::read(&file).unwrap(), good);
        // another module, another manner
        fs::write(&module, "another").unwrap();
        make();
        assert_eq!(fs::read(&file).unwrap(), b"anotheranother");
        kept(&module, &file, "once", |bytes| Ok(bytes.to_vec())).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"another");
    }
}
