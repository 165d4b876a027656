//! The modules of finished files are signed: bare ones, and those that packages carry, ours or foreign ones.
//!
//! Whatever signs, nothing is written before everything is signed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use md5::Md5;
use serde::Deserialize;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::archive;
use crate::base::beneath::open_regular;
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::error::{Error, Result};
use crate::base::temporary::TemporaryFolder;
use crate::base::threads::side_by_side;
use crate::format::{self, AskDetached, Contents, Exchange};
use crate::inspect::walk;
use crate::kernel::ko::{self, KernelModule, is_module};
use crate::output::{self, Dir, Means, Output, Written};
use crate::package::{Codec, Content};
use crate::plan::profile::{self, Target};
use crate::sign::ModuleSigners;
use crate::sign::certificate::Certificate;
use crate::sign::hash::Hash;
use crate::sign::module::Appended;

/// A module of a finished file, as it was found.
struct Found {
    /// Where it stands in its package, or the file itself.
    path: String,
    /// How it is compressed.
    codec: Codec,
    /// Without a signature.
    plain: Vec<u8>,
    /// The digest of the signature that it has.
    hash: Option<Hash>,
}

impl Found {
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// Which digest is signed.
pub enum HashChoice {
    /// This one.
    Given(Hash),
    /// That of the signature that is there, else SHA-256, which every kernel has.
    Usual,
    /// What was exported, by the SHA-256 of the module without a signature; nothing else.
    Exported(BTreeMap<String, Hash>),
}

impl HashChoice {
    fn of(&self, module: &Found) -> Result<Hash> {
        match self {
            Self::Given(hash) => Ok(*hash),
            Self::Usual => Ok(module.hash.unwrap_or(Hash::Sha256)),
            Self::Exported(hashes) => hashes.get(&name_of(&module.plain)).copied().ok_or_else(|| {
                Error::usage(format!(
                    "`{}` is not what was exported: the manifest does not name it",
                    module.name()
                ))
                .hint("export again, and have the digests signed")
            }),
        }
    }
}

/// What signing may use.
pub struct Workers<'a> {
    /// How many modules are signed at once.
    pub count: usize,
    pub means: &'a Means,
    /// Where what is signed waits.
    pub scratch: &'a Path,
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
    /// Where it lies, before it takes its place.
    staged: PathBuf,
    /// How many modules were signed.
    pub modules: usize,
    /// The signatures of the package that are void now, and were left out.
    pub void: Vec<String>,
    /// Whether the package's own signature is judged everywhere.
    pub doubt: Option<Diagnostic>,
}

/// A module whose signature somebody else makes.
#[derive(Debug)]
pub struct Exported {
    /// The file that it is in.
    pub file: String,
    /// Where it stands in its package, or the file itself.
    pub path: String,
    /// As `CONFIG_MODULE_SIG_HASH` names it.
    pub hash: String,
    pub digest: String,
    /// SHA-256 of the module without a signature, which names the files about it.
    pub sha256: String,
    /// Bytes, without a signature.
    pub size: u64,
}

/// Signs the modules of a file; with `drops` the signatures of single files that an .rpm has, which would be void, are left out.
pub fn sign(
    path: &Path,
    signers: &ModuleSigners,
    hash: &HashChoice,
    drops: bool,
    workers: &Workers<'_>,
) -> Result<Signed> {
    let folder = TemporaryFolder::new(workers.scratch)
        .map_err(|error| Error::io("cannot make a folder for signed modules in", workers.scratch, error))?;
    let mut exchange = Exchange { drops_file_signatures: drops, ..Exchange::default() };
    each_module(path, &mut |modules| {
        let begun = exchange.files.len();
        let one = |index: usize| -> Result<Content> {
            let module = &modules[index];
            let signed = signers.sign(&module.plain, hash.of(module)?, module.name())?;
            let place = folder.path().join((begun + index).to_string());
            let packed = archive::compressed_module(&signed, module.codec);
            let placed = packed.and_then(|packed| fs::write(&place, &packed).map(|()| packed.len() as u64));
            let size =
                placed.map_err(|error| Error::io("cannot write the signed module to", &place, error))?;
            Ok(Content::Disk { path: Arc::from(place), size })
        };
        let goes_on = || !workers.means.stop.is_set();
        let signed = side_by_side(modules.len(), workers.count, &goes_on, &one);
        for (module, content) in modules.iter().zip(signed) {
            exchange.files.insert(module.path.clone(), content.ok_or_else(Error::interrupted)??);
        }
        Ok(())
    })?;
    Ok(Signed { path: path.to_owned(), exchange, _folder: folder })
}

impl Signed {
    /// Writes the file, under its name, into a folder.
    pub fn stage(&self, folder: &Path, means: &Means) -> Result<SignedFile> {
        let mut out = Dir::new(folder, means.clone());
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
        Ok(SignedFile { staged: staged(&out), modules: self.exchange.files.len(), void, doubt: None })
    }
}

/// Signs a finished package itself, and writes it under its name into a folder.
pub fn sign_package(path: &Path, ask: &AskDetached<'_>, folder: &Path, means: &Means) -> Result<SignedFile> {
    let mut out = Dir::new(folder, means.clone());
    let mut doubt = None;
    if let Some((family, how)) = format::sign(path, ask, &mut out)? {
        // whom it is for is not known: for all of them
        doubt = unjudged(&profile::target(family)?, &how);
    }
    Ok(SignedFile { staged: staged(&out), doubt, ..SignedFile::default() })
}

/// The doubt whether a target's package manager judges a signature, `rsa-sha256`.
pub(super) fn unjudged(target: &Target, how: &str) -> Option<Diagnostic> {
    if target.judges(how) {
        return None;
    }
    let text =
        format!("the package manager of {} may refuse a package with the signature `{how}`", target.title);
    let known = target.signatures.join(", ");
    Some(
        Diagnostic::warning(&UNJUDGED, text)
            .hint(format!("it is certain of {known}; a key of RSA, 4096 bits, is judged everywhere")),
    )
}

pub(super) const UNJUDGED: Code = Code {
    id: "K0144",
    title: "a package signature that not every package manager judges",
    explanation: "rpm before 4.19 refuses signatures of ECDSA, and rpm 4.16 those of EdDSA over SHA-512; for older ones\nonly RSA is certain. A package whose signature is refused is not installed where signatures are checked.",
};

fn staged(out: &Dir) -> PathBuf {
    out.written().first().map(|written| written.path.clone()).unwrap_or_default()
}

impl SignedFile {
    /// The same with the package itself signed, after its modules.
    pub fn and_package(self, ask: &AskDetached<'_>, folder: &Path, means: &Means) -> Result<Self> {
        let done = sign_package(&self.staged, ask, folder, means)?;
        // it has another signature now
        Ok(Self { modules: self.modules, ..done })
    }

    /// Puts it where it belongs, which may be the place of the unsigned one.
    pub fn place(&self, path: PathBuf) -> Result<Written> {
        let placed = fs::rename(&self.staged, &path).and_then(|()| fs::metadata(&path));
        let size = placed.map_err(|error| Error::io("cannot write", &path, error))?.len();
        Ok(Written { path, size })
    }
}

/// The folder that a file lies in.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The digests of the modules of a file, for somebody who signs elsewhere, with what is known of each.
pub fn export(path: &Path, hash: &HashChoice) -> Result<Vec<(Exported, Vec<u8>)>> {
    let mut exported = Vec::new();
    each_module(path, &mut |modules| {
        for module in modules {
            let hash = hash.of(module)?;
            let digest = hash.digest(&module.plain);
            let about = Exported {
                file: path.display().to_string(),
                path: module.path.clone(),
                hash: hash.name().to_owned(),
                digest: hex(&digest),
                sha256: name_of(&module.plain),
                size: module.plain.len() as u64,
            };
            exported.push((about, digest));
        }
        Ok(())
    })?;
    Ok(exported)
}

/// What is doubtful about who signs, at a time in seconds since 1970.
#[must_use]
pub fn doubts(signers: &ModuleSigners, now: i64) -> Vec<Diagnostic> {
    let doubts = |certificate: &Certificate| {
        let name = certificate.name();
        let dates = certificate.is_not_valid(now);
        let dates =
            dates.map(|why| Diagnostic::warning(&NOT_VALID, format!("the certificate of `{name}` {why}")));
        let issuer = (signers.embeds() && certificate.hides_its_issuer()).then(|| {
            let text = format!(
                "the certificate of `{name}` does not say whose key signed it (authorityKeyIdentifier)"
            );
            Diagnostic::warning(&HIDDEN_ISSUER, text).hint("`kpkg sign --new-key` makes one that does")
        });
        dates.into_iter().chain(issuer)
    };
    signers.certificates().flat_map(doubts).collect()
}

pub(super) const HIDDEN_ISSUER: Code = Code {
    id: "K0145",
    title: "a certificate whose CA kernels do not find",
    explanation: "A kernel that has enrolled the CA, and not this certificate, looks for the CA by the extension\nauthorityKeyIdentifier and by nothing else. Without it the module is refused, though the certificate is in\nthe signature. `openssl x509 -req -extfile` adds it: `authorityKeyIdentifier = keyid`.",
};

pub(super) const NOT_VALID: Code = Code {
    id: "K0143",
    title: "a certificate that is not valid today",
    explanation: "Kernels do not look at the dates of a certificate: what it signs loads. People\nand other tools do look. Make a new certificate for the key, or a new key.",
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the files about a module are called, but for their ends.
#[must_use]
pub fn name_of(plain: &[u8]) -> String {
    format!("{:x}", Sha256::digest(plain))
}

/// Shows the modules of a file, in its order and some at a time: so many that no more than about 16 MiB are held.
fn each_module(path: &Path, see: &mut dyn FnMut(&[Found]) -> Result<()>) -> Result<()> {
    let mut modules = Modules { see, held: Vec::new(), size: 0, count: 0, failed: None };
    let read = walk(path, &mut modules);
    // what stopped the reading, in its own words
    if modules.failed.is_none() && read.is_ok() {
        let _kept = modules.show();
    }
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

/// How many bytes of modules are held at once, about.
const HELD: usize = 16 << 20;

struct Modules<'a> {
    see: &'a mut dyn FnMut(&[Found]) -> Result<()>,
    held: Vec<Found>,
    /// Of what is held, in bytes.
    size: usize,
    count: usize,
    failed: Option<Error>,
}

impl Modules<'_> {
    fn show(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.size = 0;
        (self.see)(&held).map_err(|error| {
            let said = io::Error::other(error.to_string());
            self.failed = Some(error);
            said
        })
    }
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
        let module =
            KernelModule::parse(&bytes).map_err(|error| io::Error::other(format!("`{path}`: {error}")))?;
        let hash = module.signature.and_then(|found| found.message.signatures.first()?.hash);
        let plain = Appended::of(&bytes).map_err(|why| {
            io::Error::other(format!("the signature of `{path}` cannot be taken off: {why}"))
        })?;
        let plain = plain.plain.len();
        bytes.truncate(plain);
        self.count += 1;
        self.size += bytes.len();
        self.held.push(Found {
            path: path.to_owned(),
            codec: archive::codec_of(&packed),
            plain: bytes,
            hash,
        });
        if self.size >= HELD { self.show() } else { Ok(()) }
    }
}

/// The list of what was exported, beside the digests.
pub const MANIFEST: &str = "manifest.json";

/// What stands in the manifest of a folder, and the signatures beside it: all that were asked for, and no other.
pub fn exported(folder: &Path) -> Result<BTreeMap<String, Hash>> {
    let path = folder.join(MANIFEST);
    let wrong =
        |why: String| Error::usage(format!("{why}:")).at(&path).hint("it is the folder that `--export` made");
    let text = open_regular(&path).and_then(io::read_to_string);
    let text = text.map_err(|error| Error::io("cannot read what was exported", &path, error).as_usage())?;
    let list: Vec<Stated> =
        serde_json::from_str(&text).map_err(|error| wrong(format!("is no manifest ({error})")))?;
    let mut hashes = BTreeMap::new();
    for one in list {
        // it names files
        if one.sha256.len() != 64 || !one.sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(wrong(format!("names `{}`, which is no SHA-256", one.sha256.escape_debug())));
        }
        if one.path.split('/').any(|part| part == "..") {
            return Err(wrong(format!("names `{}`, which leaves its package", one.path.escape_debug())));
        }
        let hash = Hash::named(&one.hash);
        let hash = hash.ok_or_else(|| wrong(format!("names the digest `{}`", one.hash.escape_debug())))?;
        if hashes.insert(one.sha256.clone(), hash).is_some_and(|other| other != hash) {
            return Err(wrong(format!("names `{}` with two digests", one.sha256)));
        }
    }
    let listed = fs::read_dir(folder).map_err(|error| Error::io("cannot read", folder, error))?;
    let names = listed.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let there: BTreeSet<String> =
        names.filter_map(|name| Some(name.strip_suffix(".sig")?.to_owned())).collect();
    if let Some(name) = there.iter().find(|name| !hashes.contains_key(*name)) {
        return Err(Error::usage("is a signature of nothing that was exported:")
            .at(folder.join(format!("{name}.sig"))));
    }
    let lacking: Vec<_> = hashes.keys().filter(|name| !there.contains(*name)).collect();
    if let Some(first) = lacking.first() {
        let text = format!("{} of {} signatures are missing, the first is", lacking.len(), hashes.len());
        return Err(Error::usage(text)
            .at(folder.join(format!("{first}.sig")))
            .hint("have the `.digest` beside it signed; nothing is written before all are there"));
    }
    Ok(hashes)
}

/// A line of the manifest, as far as it decides.
#[derive(Deserialize)]
struct Stated {
    path: String,
    hash: String,
    sha256: String,
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
