//! `kpkg sign`: the modules of finished files are signed, and packages themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::{Manner, TIMEOUT};
use super::session::{Ended, Session};
use super::signers::{self, LARGEST, ModuleSignArgs, PackageSignArgs, PackageSigner, Patience};
use super::{json, session, text};
use crate::base::beneath;
use crate::base::diagnostic::Severity;
use crate::base::error::{Error, Result};
use crate::base::temporary::TemporaryFolder;
use crate::build;
use crate::build::sign::{self, Exported, HashChoice, SignedFile, Workers};
use crate::events::Event;
use crate::output::{Means, Sign};
use crate::sign::hash::Hash;
use crate::sign::new::{self, Bits};
use crate::sign::{Ask, ModuleSigners, Question};

/// The arguments of `sign`.
#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// Modules, or packages that carry some; each takes its own place
    #[arg(value_name = "FILE", required_unless_present = "new_key")]
    files: Vec<PathBuf>,
    /// The folder for the signed files, instead of their own
    #[arg(short, long, value_name = "OUT", env = "KPKG_OUTPUT")]
    output: Option<PathBuf>,
    /// The digest [default: that of the signature that is there, else sha256, which every kernel has]
    #[arg(long, value_name = "HASH", value_parser = parse_hash, env = "KPKG_HASH")]
    hash: Option<Hash>,
    /// Write the digests, and what they are of, into a folder, for somebody who signs elsewhere
    #[arg(long, value_name = "DIR", conflicts_with_all = ["attach", "sign_modules", "sign_module_command", "output", "sign", "sign_command"])]
    export: Option<PathBuf>,
    /// Take the signatures from that folder: `SHA256.sig` beside each `SHA256.digest`; of several keys, a folder for each
    #[arg(long, value_name = "DIR", value_delimiter = ',', requires = "certificate", conflicts_with_all = ["sign_modules", "sign_module_command", "hash"])]
    attach: Vec<PathBuf>,
    /// Leave out the signatures of single files that an .rpm has (IMA, fs-verity): they do not fit a module that is signed
    #[arg(long)]
    drop_file_signatures: bool,
    /// Make a CA to enrol on machines and a key below it to sign with, each with its certificate; files are never overwritten
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["files", "hash", "export", "attach", "sign_modules", "sign_module_command", "sign", "sign_command", "drop_file_signatures"]
    )]
    new_key: Option<String>,
    /// How many modules are signed at once [default: one for each processor]
    #[arg(short, long, value_name = "N", env = "KPKG_JOBS")]
    jobs: Option<usize>,
    /// How long whoever signs may take for a signature, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = TIMEOUT, env = "KPKG_TIMEOUT")]
    timeout: u64,
    /// Who signs packages themselves.
    #[command(flatten)]
    package: PackageSignArgs,
    /// Who signs.
    #[command(flatten)]
    signers: ModuleSignArgs,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

fn parse_hash(text: &str) -> std::result::Result<Hash, String> {
    Hash::named(text).ok_or_else(|| format!("known are {}", Hash::ALL.map(Hash::name).join(", ")))
}

pub(super) fn run(args: &SignArgs, session: &Session) -> Ended {
    if let Some(name) = &args.new_key {
        return new_key(name, args, session);
    }
    if let Some(folder) = &args.export {
        return export(args, folder, session);
    }
    let patience = Patience::of(args.timeout, session);
    let package = PackageSigner::of(&args.package, patience.clone(), true);
    let (signers, hash) = signers(args, &patience)?;
    if signers.is_none() && package.is_none() {
        return Err(nobody().into());
    }
    if let Some(signers) = &signers {
        session.tell(&sign::doubts(signers, session::now()), args.manner.least(Severity::Warning));
    }
    let means = Means { stop: session.stop.clone(), ..Means::default() };
    let workers = Workers {
        count: args.jobs.unwrap_or_else(session::processors).max(1),
        means: &means,
        scratch: &session::scratch(),
    };
    // all of them, before one takes its place
    let mut stages = BTreeMap::new();
    let mut places = BTreeSet::new();
    let mut staged = Vec::new();
    for file in &args.files {
        let place = place(args, file);
        if !places.insert(fs::canonicalize(&place).unwrap_or_else(|_| place.clone())) {
            return Err(Error::usage("would be written twice:")
                .at(place)
                .hint("sign them one by one")
                .into());
        }
        let folder = sign::folder_of(&place).to_owned();
        if !stages.contains_key(&folder) {
            stages.insert(folder.clone(), Stage::new(&folder)?);
        }
        let signers = signers.as_ref().map(|signers| (signers, &hash));
        let done = stages[&folder].sign(file, &place, signers, package.as_ref(), args, &workers)?;
        staged.push((done, place));
    }
    let doubts: Vec<_> = staged.iter().filter_map(|(done, _)| done.doubt.clone()).collect();
    session.tell(&build::without_repetition(doubts), args.manner.least(Severity::Warning));
    for (done, place) in staged {
        let written = done.place(place)?;
        let mut void = done.void;
        void.extend(sign::restate(&written.path)?.iter().map(|path| path.display().to_string()));
        if session.json {
            session.event(json::signed(&written, done.modules, &void))?;
            continue;
        }
        session.print(format!("{}\n", written.path.display()).as_bytes())?;
        if !args.manner.quiet {
            session.say(&text::signed_text(done.modules, package.is_some(), &void));
        }
    }
    Ok(0)
}

/// Where a file is written to.
fn place(args: &SignArgs, file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default();
    args.output.as_ref().map_or_else(|| file.to_owned(), |out| out.join(name))
}

fn nobody() -> Error {
    Error::usage("nobody is named who signs").hint(
        "give a key and its certificate (`--key KEY --certificate CERT`), a `--command`, `--attach DIR`, or `--sign KEY`",
    )
}

/// Where signed files wait, in the folder that they will be in: with signed modules, and signed themselves.
struct Stage([TemporaryFolder; 2]);

impl Stage {
    fn new(folder: &Path) -> Result<Self> {
        let failed = |error| Error::io("cannot write to", folder, error);
        fs::create_dir_all(folder).map_err(failed)?;
        let new = || TemporaryFolder::new(folder).map_err(failed);
        Ok(Self([new()?, new()?]))
    }

    /// Signs one file, which will be at `place`.
    fn sign(
        &self,
        file: &Path,
        place: &Path,
        signers: Option<(&ModuleSigners, &HashChoice)>,
        package: Option<&PackageSigner>,
        args: &SignArgs,
        workers: &Workers<'_>,
    ) -> Result<SignedFile> {
        let [first, second] = self.0.each_ref().map(TemporaryFolder::path);
        let mut done = None;
        if let Some((signers, hash)) = signers {
            let signed = sign::sign(file, signers, hash, args.drop_file_signatures, workers)?;
            done = Some(signed.stage(first, workers.means)?);
        }
        if let Some(package) = package {
            let ask = |bytes: &mut (dyn Read + Send)| package.detached(place, bytes);
            done = Some(match done {
                Some(done) => done.and_package(&ask, second, workers.means)?,
                None => sign::sign_package(file, &ask, second, workers.means)?,
            });
        }
        done.ok_or_else(nobody)
    }
}

/// Who signs, and over what: keys, a command, or whoever left signatures in folders.
fn signers(args: &SignArgs, patience: &Patience) -> Result<(Option<ModuleSigners>, HashChoice)> {
    let hash = args.hash.map_or(HashChoice::Usual, HashChoice::Given);
    if args.attach.is_empty() {
        return Ok((signers::module_signers(&args.signers, patience)?, hash));
    }
    let certificates = &args.signers.certificate;
    if args.attach.len() != certificates.len() {
        let text = format!(
            "{} folders of signatures and {} certificates are given",
            args.attach.len(),
            certificates.len()
        );
        return Err(Error::usage(text)
            .hint("give the `--certificate` of the key that each `--attach` is of, in the same order"));
    }
    let mut exported = Vec::new();
    let mut asked = Vec::new();
    for (folder, certificate) in args.attach.iter().zip(certificates) {
        exported.push(sign::exported(folder)?);
        let folder = folder.clone();
        let ask: Box<Ask> = Box::new(move |question: &Question<'_>| {
            let path = folder.join(format!("{}.sig", sign::name_of(question.module)));
            let failed = |error| Error::io("cannot read the signature", &path, error).as_usage();
            beneath::open_regular(&path).and_then(|file| beneath::start(file, LARGEST)).map_err(failed)
        });
        asked.push((ask, certificate.as_path()));
    }
    if exported.windows(2).any(|two| two[0] != two[1]) {
        return Err(Error::usage("the folders of `--attach` are not of one export")
            .hint("copy the folder of an export for each key"));
    }
    let signers = ModuleSigners::elsewhere(asked, args.signers.embed_certificate)?;
    Ok((Some(signers), HashChoice::Exported(exported.pop().unwrap_or_default())))
}

/// Writes digests and their list.
fn export(args: &SignArgs, folder: &Path, session: &Session) -> Ended {
    let hash = args.hash.map_or(HashChoice::Usual, HashChoice::Given);
    let mut all: Vec<(Exported, Vec<u8>)> = Vec::new();
    for file in &args.files {
        all.extend(sign::export(file, &hash)?);
    }
    let mut hashes = BTreeMap::new();
    for (about, _) in &all {
        // one file holds the digest of each
        if hashes.insert(&about.sha256, &about.hash).is_some_and(|other| *other != about.hash) {
            let text = format!("`{}` is there twice, signed over two digests:", about.path);
            return Err(Error::usage(text).at(&about.file).hint("name one with `--hash`").into());
        }
    }
    let failed = |path: &Path, error| Error::io("cannot write", path, error);
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for (about, digest) in &all {
        let path = folder.join(format!("{}.digest", about.sha256));
        fs::write(&path, digest).map_err(|error| failed(&path, error))?;
    }
    let list: Vec<_> = all.iter().map(|(about, _)| json::exported(about)).collect();
    let path = folder.join(sign::MANIFEST);
    let text = serde_json::to_string_pretty(&list).unwrap_or_default() + "\n";
    fs::write(&path, text).map_err(|error| failed(&path, error))?;
    if session.json {
        list.into_iter().map(Event::Exported).try_for_each(|event| session.event(event))?;
    } else {
        session.print(format!("{}\n", path.display()).as_bytes())?;
    }
    Ok(0)
}

/// Makes a CA and a key below it.
fn new_key(name: &str, args: &SignArgs, session: &Session) -> Ended {
    let folder = args.output.as_deref().unwrap_or(Path::new("."));
    let made = new::make(name, folder, Bits::default(), session::now())?;
    if session.json {
        json::new_key(&made).into_iter().try_for_each(|event| session.event(event))?;
        return Ok(0);
    }
    for path in made.paths() {
        session.print(format!("{}\n", path.display()).as_bytes())?;
    }
    if !args.manner.quiet {
        session.say(&text::new_key_text(&made));
    }
    Ok(0)
}
