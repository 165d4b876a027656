//! `kpkg sign`: the modules of finished files are signed, and packages themselves.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::Manner;
use super::session::{Ended, Session};
use super::signers::{self, ModuleSignArgs, PackageSignArgs, PackageSigner};
use super::{json, session, text};
use crate::base::error::{Error, Result};
use crate::build::sign::{self, Exported, SignedFile};
use crate::events::Event;
use crate::output::{Means, Sign};
use crate::sign::ModuleSigners;
use crate::sign::hash::Hash;

/// The arguments of `sign`.
#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// Modules, or packages that carry some; each takes its own place
    #[arg(value_name = "FILE", required = true)]
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
    /// Take the signatures from that folder: `SHA256.sig` beside each `SHA256.digest`
    #[arg(long, value_name = "DIR", requires = "certificate", conflicts_with_all = ["sign_modules", "sign_module_command"])]
    attach: Option<PathBuf>,
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

/// The list of what was exported, beside the digests.
const MANIFEST: &str = "manifest.json";

pub(super) fn run(args: &SignArgs, session: &Session) -> Ended {
    if let Some(folder) = &args.export {
        return export(args, folder, session);
    }
    let package = PackageSigner::of(&args.package);
    let signers = signers(args)?;
    if signers.is_none() && package.is_none() {
        return Err(Error::usage("nobody is named who signs")
            .hint("give a key and its certificate (`--key KEY --certificate CERT`), a `--command`, `--attach DIR`, or `--sign KEY`")
            .into());
    }
    let means = Means { stop: session.stop.clone(), ..Means::default() };
    // the modules of all of them, before one is written
    let sign = |signers: &ModuleSigners| -> Result<Vec<_>> {
        args.files.iter().map(|file| sign::sign(file, signers, args.hash, &session::scratch())).collect()
    };
    let signed = signers.as_ref().map(sign).transpose()?;
    for (index, file) in args.files.iter().enumerate() {
        let mut done = SignedFile::default();
        if let Some(signed) = &signed {
            done = signed[index].write(args.output.as_deref(), &means)?;
        }
        if let Some(by) = &package {
            let from = done.written.first().map_or(file.as_path(), |written| written.path.as_path());
            let ask = |bytes: &[u8]| by.detached(from, bytes);
            done.written = sign::sign_package(from, &ask, args.output.as_deref(), &means)?;
            // it has another one now
            done.void.clear();
        }
        for written in &done.written {
            let void = sign::restate(&written.path)?;
            done.void.extend(void.iter().map(|path| path.display().to_string()));
            if session.json {
                session.event(json::signed(written, done.modules, &done.void))?;
                continue;
            }
            session.print(format!("{}\n", written.path.display()).as_bytes())?;
            if !args.manner.quiet {
                session.say(&text::signed_text(done.modules, package.is_some(), &done.void));
            }
        }
    }
    Ok(0)
}

/// Who signs: keys, a command, or whoever left signatures in a folder.
fn signers(args: &SignArgs) -> Result<Option<ModuleSigners>> {
    if let Some(folder) = &args.attach {
        let [certificate] = args.signers.certificate.as_slice() else {
            return Err(Error::usage("signatures are attached of one key").hint("give its `--certificate`"));
        };
        let folder = folder.clone();
        let ask = Box::new(move |question: &crate::sign::Question<'_>| {
            let path = folder.join(format!("{}.sig", sign::name_of(question.module)));
            fs::read(&path).map_err(|error| {
                Error::io("cannot read the signature", &path, error)
                    .as_usage()
                    .hint(format!("it is that of `{}`: have its digest signed", question.name))
            })
        });
        return ModuleSigners::elsewhere(ask, certificate, args.signers.embed_certificate).map(Some);
    }
    signers::module_signers(&args.signers)
}

/// Writes digests and their list.
fn export(args: &SignArgs, folder: &Path, session: &Session) -> Ended {
    let mut all: Vec<(Exported, Vec<u8>)> = Vec::new();
    for file in &args.files {
        all.extend(sign::export(file, args.hash)?);
    }
    let failed = |path: &Path, error| Error::io("cannot write", path, error);
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for (about, digest) in &all {
        let path = folder.join(format!("{}.digest", about.sha256));
        fs::write(&path, digest).map_err(|error| failed(&path, error))?;
    }
    let list: Vec<_> = all.iter().map(|(about, _)| json::exported(about)).collect();
    let path = folder.join(MANIFEST);
    let text = serde_json::to_string_pretty(&list).unwrap_or_default() + "\n";
    fs::write(&path, text).map_err(|error| failed(&path, error))?;
    if session.json {
        list.into_iter().map(Event::Exported).try_for_each(|event| session.event(event))?;
    } else {
        session.print(format!("{}\n", path.display()).as_bytes())?;
    }
    Ok(0)
}
