//! The modules of finished files are signed: bare ones, and those that packages carry, ours or foreign ones.
//!
//! Whatever signs, nothing is written before everything is signed.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::archive;
use crate::base::beneath::open_regular;
use crate::base::error::{Error, Result};
use crate::base::temporary::TemporaryFolder;
use crate::format::{self, AskDetached, Contents, Exchange};
use crate::kernel::ko::{self, KernelModule, is_module};
use crate::output::{self, Dir, Means, Output, Written};
use crate::package::{Codec, Content};
use crate::sign::ModuleSigners;
use crate::sign::hash::Hash;
use crate::sign::module::cut;

/// A module of a finished file, as it was found.
struct Found<'a> {
    /// Where it stands in its package, or the file itself.
    path: &'a str,
    /// How it is compressed.
    codec: Codec,
    /// Without a signature.
    plain: &'a [u8],
    /// The digest of the signature that it has.
    hash: Option<Hash>,
}

/// A file whose modules are signed, and not yet written.
pub struct Signed {
    path: PathBuf,
    /// The new contents, by path.
    exchange: Exchange,
    _folder: TemporaryFolder,
}

/// What came of a file.
#[derive(Default)]
pub struct SignedFile {
    pub written: Vec<Written>,
    /// How many modules were signed.
    pub modules: usize,
    /// The signatures of the package that are void now, and were left out.
    pub void: Vec<String>,
}

/// A module whose signature somebody else makes.
#[derive(Debug)]
pub struct Exported {
    /// The file that it is in.
    pub file: String,
    /// Where it stands there.
    pub path: String,
    /// The digest's name, as `CONFIG_MODULE_SIG_HASH` has it.
    pub hash: String,
    /// The digest of the module without a signature, in hexadecimal digits.
    pub digest: String,
    /// SHA-256 of the module without a signature, which names the files: `SHA256.digest`, and `SHA256.sig` for the answer.
    pub sha256: String,
    /// Bytes of the module without a signature.
    pub size: u64,
}

/// Signs the modules of a file; `hash` is the digest, else that of the signature that is there, else SHA-256, which every kernel has.
pub fn sign(path: &Path, signers: &ModuleSigners, hash: Option<Hash>, scratch: &Path) -> Result<Signed> {
    let folder = TemporaryFolder::new(scratch)
        .map_err(|error| Error::io("cannot make a folder for signed modules in", scratch, error))?;
    let mut exchange = Exchange::default();
    each_module(path, &mut |module| {
        let hash = wanted(hash, module);
        let name = module.path.rsplit('/').next().unwrap_or(module.path);
        let signed = signers.sign(module.plain, hash, name)?;
        let place = folder.path().join(exchange.files.len().to_string());
        let packed = archive::compressed_module(&signed, module.codec);
        let placed = packed.and_then(|packed| fs::write(&place, &packed).map(|()| packed.len() as u64));
        let size = placed.map_err(|error| Error::io("cannot write the signed module to", &place, error))?;
        let content = Content::Disk { path: Arc::from(place), size };
        exchange.files.insert(module.path.to_owned(), content);
        Ok(())
    })?;
    Ok(Signed { path: path.to_owned(), exchange, _folder: folder })
}

fn wanted(hash: Option<Hash>, module: &Found<'_>) -> Hash {
    hash.or(module.hash).unwrap_or(Hash::Sha256)
}

impl Signed {
    /// Writes the file, under its name, into a folder; into its own, it takes its own place.
    pub fn write(&self, folder: Option<&Path>, means: &Means) -> Result<SignedFile> {
        let mut out = Dir::new(folder.unwrap_or(folder_of(&self.path)), means.clone());
        let void = if is_module(&self.path.to_string_lossy()) {
            let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for content in self.exchange.files.values() {
                out.artifact(&name, &mut |stream| {
                    archive::Reader::new(means).copy(content, stream, &mut archive::Blind, &|error| {
                        Error::io("cannot write", &self.path, error)
                    })
                })?;
            }
            Vec::new()
        } else {
            format::rewrite(&self.path, &self.exchange, &mut out)?.unwrap_or_default()
        };
        Ok(SignedFile { written: out.written().to_vec(), modules: self.exchange.files.len(), void })
    }
}

/// Signs a finished package itself; it takes its own place, or one in a folder.
pub fn sign_package(
    path: &Path,
    ask: &AskDetached<'_>,
    folder: Option<&Path>,
    means: &Means,
) -> Result<Vec<Written>> {
    let mut out = Dir::new(folder.unwrap_or(folder_of(path)), means.clone());
    format::sign(path, ask, &mut out)?;
    Ok(out.written().to_vec())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The digests of the modules of a file, for somebody who signs elsewhere, with what is known of each.
pub fn export(path: &Path, hash: Option<Hash>) -> Result<Vec<(Exported, Vec<u8>)>> {
    let mut exported = Vec::new();
    each_module(path, &mut |module| {
        let hash = wanted(hash, module);
        let digest = hash.digest(module.plain);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let about = Exported {
            file: path.display().to_string(),
            path: module.path.to_owned(),
            hash: hash.name().to_owned(),
            digest: hex(&digest),
            sha256: name_of(module.plain),
            size: module.plain.len() as u64,
        };
        exported.push((about, digest));
        Ok(())
    })?;
    Ok(exported)
}

/// What the files about a module are called, but for their ends.
#[must_use]
pub fn name_of(plain: &[u8]) -> String {
    format!("{:x}", Sha256::digest(plain))
}

/// Shows every module of a file.
fn each_module(path: &Path, see: &mut dyn FnMut(&Found<'_>) -> Result<()>) -> Result<()> {
    let mut modules = Modules { see, count: 0, failed: None };
    let is_bare = is_module(&path.to_string_lossy());
    let read = if is_bare {
        let unreadable = |error| Error::io("cannot read the module", path, error).as_usage();
        let mut file = open_regular(path).map_err(unreadable)?;
        modules.take(&path.to_string_lossy(), &mut file).map_err(unreadable).map(|()| true)
    } else {
        format::open(path, &mut modules).map(|found| found.is_some())
    };
    if let Some(error) = modules.failed {
        return Err(error);
    }
    if !read? || modules.count == 0 {
        return Err(Error::usage("holds no kernel module:")
            .at(path)
            .hint("give modules, or packages that carry some"));
    }
    Ok(())
}

struct Modules<'a> {
    see: &'a mut dyn FnMut(&Found<'_>) -> Result<()>,
    count: usize,
    failed: Option<Error>,
}

impl Contents for Modules<'_> {
    fn wants(&self, path: &str) -> bool {
        is_module(path)
    }

    fn take(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()> {
        let mut packed = Vec::new();
        content.take(ko::LARGEST + 1).read_to_end(&mut packed)?;
        let mut bytes = Vec::new();
        archive::decompressed(packed.as_slice())?.take(ko::LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > ko::LARGEST {
            return Err(io::Error::other(format!("`{path}` is larger than {} MiB", ko::LARGEST >> 20)));
        }
        // what is signed is a module, and nothing else
        let module = KernelModule::parse(&bytes)?;
        let hash = module.signature.and_then(|found| found.message.signatures.first()?.hash);
        let codec = archive::codec_of(&packed);
        self.count += 1;
        let found = Found { path, codec, plain: cut(&bytes).0, hash };
        (self.see)(&found).map_err(|error| {
            let said = io::Error::other(error.to_string());
            self.failed = Some(error);
            said
        })
    }
}

/// Files beside a package that state its digests, `.changes` and `.buildinfo` (deb-changes(5)): these are stated anew. Gives those that are
/// signed, which is void then; they stay as they are.
pub fn restate(package: &Path) -> Result<Vec<PathBuf>> {
    let folder = folder_of(package);
    let Some(name) = package.file_name().and_then(|name| name.to_str()) else { return Ok(Vec::new()) };
    let bytes = fs::read(package).map_err(|error| Error::io("cannot read", package, error))?;
    let listed = fs::read_dir(folder).map_err(|error| Error::io("cannot read", folder, error))?;
    let mut signed = Vec::new();
    for entry in listed.flatten() {
        let path = entry.path();
        let states = path.extension().is_some_and(|end| end == "changes" || end == "buildinfo");
        let Some(text) = Some(&path).filter(|_| states).and_then(|path| fs::read_to_string(path).ok()) else {
            continue;
        };
        if !text.lines().any(|line| line.starts_with(' ') && line.ends_with(&format!(" {name}"))) {
            continue;
        }
        if text.starts_with("-----BEGIN PGP") {
            signed.push(path);
            continue;
        }
        output::rewrite(&path, restated(&text, name, &bytes).as_bytes())?;
    }
    signed.sort();
    Ok(signed)
}

/// A text with the digests and the size of a file as it is now.
fn restated(text: &str, name: &str, bytes: &[u8]) -> String {
    let hex = |digest: &[u8]| digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (mut field, mut restated) = ("", String::new());
    for line in text.lines() {
        if let Some((key, _)) = line.split_once(':').filter(|_| !line.starts_with(' ')) {
            field = key;
        }
        let words: Vec<_> = line.split_whitespace().collect();
        let digest = match field {
            "Files" | "Checksums-Md5" => Some(hex(&Md5::digest(bytes))),
            "Checksums-Sha1" => Some(hex(&Sha1::digest(bytes))),
            "Checksums-Sha256" => Some(hex(&Sha256::digest(bytes))),
            _ => None,
        };
        match digest.filter(|_| line.starts_with(' ') && words.last() == Some(&name) && words.len() > 2) {
            Some(digest) => {
                restated.push_str(&format!(" {digest} {} {}\n", bytes.len(), words[2..].join(" ")));
            }
            None => restated.push_str(&format!("{line}\n")),
        }
    }
    restated
}
