//! The last steps of a compiled module, in one place: it was stripped where it was built; here it is compressed. What is finished is kept
//! beside it, and used again only when it is what these steps gave for this very module.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::BuiltModule;
use crate::archive;
use crate::base::error::{Error, Result};
use crate::base::temporary;
use crate::package::Codec;

/// A module as it is packaged.
pub struct FinishedModule {
    pub file: PathBuf,
    /// In bytes.
    pub size: u64,
    /// What follows `.ko` in its name.
    pub suffix: &'static str,
}

/// Finishes a module, unless that was done before.
pub fn finish(module: &BuiltModule, codec: Codec) -> Result<FinishedModule> {
    let suffix = codec.suffix();
    let file = PathBuf::from(format!("{}{suffix}", module.path.display()));
    let failed = |error| Error::io("cannot compress the module to", &file, error);
    let size = if codec == Codec::None {
        fs::metadata(&file).map_err(failed)?.len()
    } else {
        compress(&module.path, &file, codec).map_err(failed)?
    };
    Ok(FinishedModule { file, size, suffix })
}

/// Compresses a module; how many bytes it has then.
fn compress(module: &Path, file: &Path, codec: Codec) -> io::Result<u64> {
    let bytes = fs::read(module)?;
    let digest = |bytes: &[u8]| format!("{:x}", Sha256::digest(bytes));
    // everything that decides about the result, and the result
    let statement = |packed: &[u8]| format!("{} {} {}\n", digest(&bytes), codec.name(), digest(packed));
    let note = PathBuf::from(format!("{}.sum", file.display()));
    if let (Ok(packed), Ok(stated)) = (fs::read(file), fs::read_to_string(&note))
        && stated == statement(&packed)
    {
        return Ok(packed.len() as u64);
    }
    let packed = archive::compressed_module(&bytes, codec)?;
    place(file, &packed)?;
    place(&note, statement(&packed).as_bytes())?;
    Ok(packed.len() as u64)
}

/// Writes a file in one step.
fn place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = temporary::file(path.parent().unwrap_or(Path::new("/")))?;
    file.write_all(bytes)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_longer_what_was_finished_is_finished_again() {
        let folder = tempfile::tempdir().unwrap();
        let (module, file) = (folder.path().join("a.ko"), folder.path().join("a.ko.xz"));
        fs::write(&module, "module").unwrap();
        let size = compress(&module, &file, Codec::Xz).unwrap();
        let good = fs::read(&file).unwrap();
        assert_eq!(size, good.len() as u64);
        // used again
        let made = || fs::metadata(&file).unwrap().modified().unwrap();
        let before = made();
        assert_eq!(compress(&module, &file, Codec::Xz).unwrap(), size);
        assert_eq!(made(), before);
        // truncated, changed, without its note
        for bad in [&good[..good.len() / 2], b"else", b""] {
            fs::write(&file, bad).unwrap();
            assert_eq!(compress(&module, &file, Codec::Xz).unwrap(), size);
            assert_eq!(fs::read(&file).unwrap(), good);
        }
        fs::remove_file(folder.path().join("a.ko.xz.sum")).unwrap();
        fs::write(&file, "else").unwrap();
        compress(&module, &file, Codec::Xz).unwrap();
        assert_eq!(fs::read(&file).unwrap(), good);
        // another module
        fs::write(&module, "another").unwrap();
        compress(&module, &file, Codec::Xz).unwrap();
        assert_ne!(fs::read(&file).unwrap(), good);
    }
}
