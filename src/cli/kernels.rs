//! `kpkg kernels`: the kernels that modules can be compiled for: installed, kept without being installed, and those of kernels.lock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::arguments::Manner;
use super::keyrings::Keyrings;
use super::progress::Progress;
use super::session::{self, Ended, Session};
use super::signers::Patience;
use super::{json, setup, shard, text};
use crate::base::diagnostic::Severity;
use crate::base::error::{Error, Result};
use crate::build;
use crate::config::Config;
use crate::fetch::Fetcher;
use crate::kernel;
use crate::lock::bring::{self, Packages};
use crate::lock::mirrors::Mirrors;
use crate::lock::select::{self, Selection};
use crate::lock::{self, Lock, update};

/// The arguments of `kernels`.
#[derive(Debug, Args)]
pub(super) struct KernelsArgs {
    /// What to do
    #[command(subcommand)]
    pub(super) action: KernelsAction,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// What to do about kernels.
#[derive(Debug, Subcommand)]
pub(super) enum KernelsAction {
    /// List the kernels: installed, kept, and those of kernels.lock
    List {
        /// The lock
        #[command(flatten)]
        lock: LockArgs,
    },
    /// Read which kernels the mirrors have into kernels.lock, and print what is new and what is gone
    Update(UpdateArgs),
    /// Bring the headers of kernels in kernels.lock, so that modules can be compiled for them
    Fetch(FetchArgs),
    /// Keep the headers in package files, so that they need not be given again
    Add {
        /// .deb and .rpm files
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Delete headers and builds that are kept: those of the named packages or kernels, else all
    Prune {
        /// Packages or kernel releases
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

/// The lock.
#[derive(Debug, Args)]
pub(super) struct LockArgs {
    /// The lock; kpkg.toml is read in its folder
    #[arg(long, value_name = "FILE", default_value = lock::FILE_NAME, env = "KPKG_LOCK")]
    pub(super) lock: PathBuf,
}

/// Mirrors, and how they are reached.
#[derive(Debug, Args)]
pub(super) struct MirrorArgs {
    /// A target's mirror, instead of the one in kpkg.toml: the address that the archive's folder is below, or `file:PATH`
    #[arg(long, value_name = "TARGET=URL", env = "KPKG_MIRROR", value_delimiter = ',')]
    mirror: Vec<String>,
    /// Ask no mirror: take what earlier runs kept
    #[arg(long, env = "KPKG_OFFLINE", action = clap::ArgAction::SetTrue)]
    offline: bool,
}

/// The arguments of `kernels update`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 done, 1 a mirror failed, or with --check something has changed, 2 usage."
)]
pub(super) struct UpdateArgs {
    /// Targets, such as debian-12, or `debian-12:aarch64` [default: those of `kernels` in kpkg.toml]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// The lock
    #[command(flatten)]
    lock: LockArgs,
    /// Mirrors.
    #[command(flatten)]
    mirrors: MirrorArgs,
    /// Write nothing, and end with 1 where the lock would change
    #[arg(long, env = "KPKG_CHECK", action = clap::ArgAction::SetTrue)]
    check: bool,
}

/// The arguments of `kernels fetch`.
#[derive(Debug, Args)]
pub(super) struct FetchArgs {
    /// Which: debian-12, debian-12:cloud, rhel-9:>=5.14.0-427, ubuntu-24.04:generic/latest-3 [default: `kernels` in kpkg.toml, else all]
    #[arg(value_name = "SELECTION")]
    selections: Vec<String>,
    /// The lock
    #[command(flatten)]
    lock: LockArgs,
    /// Mirrors.
    #[command(flatten)]
    mirrors: MirrorArgs,
    /// The headers of a plan that `kpkg matrix` wrote, instead of those of the lock
    #[arg(long, value_name = "FILE", conflicts_with = "selections", env = "KPKG_PLAN")]
    plan: Option<PathBuf>,
    /// Those of one shard of it, by its name or number from 0
    #[arg(long, value_name = "ID", requires = "plan", env = "KPKG_SHARD")]
    shard: Option<String>,
    /// Link them to the places where they are installed, as root: what `--no-sandbox` takes, in a container that is thrown away
    #[arg(long, env = "KPKG_LINK", action = clap::ArgAction::SetTrue)]
    link: bool,
    /// Leave kernels.lock as it is: what compiled each kernel is not noted there
    #[arg(long, env = "KPKG_LOCKED", action = clap::ArgAction::SetTrue)]
    locked: bool,
}

pub(super) fn run(args: &KernelsArgs, session: &Session) -> Ended {
    let cache = session::cache()?;
    let headers = build::header_cache(&cache);
    let (installed, packages, state) = match &args.action {
        KernelsAction::Update(update) => return run_update(update, args.manner, session),
        KernelsAction::Fetch(fetch) => return run_fetch(fetch, args.manner, session),
        KernelsAction::List { lock } => {
            let locked = Lock::read(&lock.lock)?.unwrap_or_default();
            if session.json {
                locked.kernels.iter().map(json::locked_kernel).try_for_each(|event| session.event(event))?;
            } else {
                let is_here = |digest: &str| headers.get(digest).is_some();
                session.print_text(&text::locked_text(&locked, &is_here))?;
            }
            (kernel::installed(Path::new("/")), headers.list()?, "kept")
        }
        KernelsAction::Add { files } => {
            let added: Result<Vec<_>> = files.iter().map(|file| headers.add(file, &session.stop)).collect();
            (Vec::new(), added?, "added")
        }
        KernelsAction::Prune { names } => (Vec::new(), build::prune(&cache, names)?, "removed"),
    };
    if session.json {
        let installed = installed.iter().map(|release| json::installed_kernel(release));
        let packages = packages.iter().map(|package| json::header_package(package, state));
        installed.chain(packages).try_for_each(|event| session.event(event))?;
    } else {
        session.print_text(&text::headers_text(&installed, &packages))?;
    }
    Ok(0)
}

/// What a run about a lock has.
struct Locked {
    folder: PathBuf,
    config: Config,
    mirrors: Mirrors,
    fetcher: Fetcher,
}

impl Locked {
    fn open(lock: &LockArgs, mirrors: &MirrorArgs, session: &Session) -> Result<Self> {
        let folder =
            lock.lock.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let config = build::config(folder)?;
        let fetcher =
            Fetcher::new(&session::cache()?.join("http"), mirrors.offline, session::proxies(), &session.stop);
        let mirrors = Mirrors::new(&config.mirrors, &mirrors.mirror, folder, Path::new("/"))?;
        Ok(Self { folder: folder.to_owned(), config, mirrors, fetcher })
    }
}

fn run_update(args: &UpdateArgs, manner: Manner, session: &Session) -> Ended {
    let Locked { folder, config, mirrors, fetcher } = Locked::open(&args.lock, &args.mirrors, session)?;
    let named = if args.targets.is_empty() { &config.kernels } else { &args.targets };
    if named.is_empty() {
        return Err(Error::usage("no target is named whose kernels are read")
            .hint("name some: `kpkg kernels update TARGET…`, or write `kernels = [\"TARGET\"]` into kpkg.toml; `kpkg targets` lists them")
            .into());
    }
    let old = Lock::read(&args.lock.lock)?;
    let selections = named.iter().map(|text| Selection::parse(text)).collect::<Result<Vec<_>>>()?;
    let of: BTreeSet<_> =
        selections.into_iter().map(|selection| (selection.target, selection.arch)).collect();
    let cache = build::header_cache(&session::cache()?);
    let wanted = update::Wanted {
        of,
        is_all: args.targets.is_empty(),
        mirrors: &mirrors,
        packages: &config.kernel_packages,
        folder: &folder,
        cache: &cache,
        now: session::now(),
        stop: &session.stop,
    };
    let judge = Keyrings::new(&session::scratch(), Patience::of(super::arguments::TIMEOUT, session))?;
    let progress = Progress::downloading(session, manner.quiet, &fetcher.downloads);
    let updated = update::update(old.as_ref().unwrap_or(&Lock::default()), &wanted, &fetcher, &judge);
    drop(progress);
    let (new, changes, findings) = updated?;
    session.tell(&findings, manner.least(Severity::Warning));
    if session.json {
        changes.iter().map(json::kernel_change).try_for_each(|event| session.event(event))?;
    } else {
        session.print_text(&text::changes_text(&changes))?;
    }
    // the lists may be of another day and hold the same
    let is_same = old.as_ref() == Some(&new);
    if args.check {
        return Ok(u8::from(!changes.is_empty() || old.is_none()));
    }
    if !is_same {
        new.write(&args.lock.lock)?;
    }
    if !session.json && !manner.quiet {
        session.say(&text::updated(&args.lock.lock, &new, fetcher.downloads.bytes().0));
    }
    Ok(0)
}

fn run_fetch(args: &FetchArgs, manner: Manner, session: &Session) -> Ended {
    let Locked { config, mirrors, fetcher, .. } = Locked::open(&args.lock, &args.mirrors, session)?;
    let mut lock = match &args.plan {
        Some(plan) => shard::kernels(plan, args.shard.as_deref())?,
        None => setup::lock(&args.lock.lock)?,
    };
    let selections =
        if args.selections.is_empty() && args.plan.is_none() { &config.kernels } else { &args.selections };
    let chosen = select::all(&lock, selections)?;
    let cache = build::header_cache(&session::cache()?);
    let progress = Progress::downloading(session, manner.quiet, &fetcher.downloads);
    let brought = Packages::of(&lock, &chosen, &mirrors).bring(&fetcher, &cache, &session.stop);
    drop(progress);
    let brought = brought?;
    let mut compilers = BTreeMap::new();
    for kernel in &chosen {
        bring::check(kernel, &cache)?;
        let exact = BTreeMap::from([(kernel.release.clone(), kernel.digests())]);
        let of = kernel::Wanted {
            kernels: std::slice::from_ref(&kernel.release),
            headers: &[],
            running: None,
            arch: &kernel.arch,
            root: Path::new("/nonexistent"),
            cache: &cache,
            header_packages: &[],
            exact: &exact,
        };
        let found = kernel::select(&of, &session.stop)?;
        if args.link {
            found.iter().try_for_each(kernel::Kernel::link)?;
        }
        let text = found.into_iter().next().map(|kernel| kernel.compiler.text).unwrap_or_default();
        compilers.insert((kernel.target.clone(), kernel.arch.clone(), kernel.release.clone()), text);
    }
    let count = chosen.len();
    if !args.locked && args.plan.is_none() {
        let before = lock.clone();
        for kernel in &mut lock.kernels {
            let of = (kernel.target.clone(), kernel.arch.clone(), kernel.release.clone());
            if let Some(text) = compilers.remove(&of).filter(|text| !text.is_empty()) {
                kernel.cc = Some(text);
            }
        }
        if lock != before {
            lock.write(&args.lock.lock)?;
        }
    }
    if session.json {
        let cached = cache.list()?;
        cached
            .iter()
            .map(|package| json::header_package(package, "kept"))
            .try_for_each(|event| session.event(event))?;
    } else if !manner.quiet {
        session.say(&text::fetched(count, brought, fetcher.downloads.bytes().0));
    }
    Ok(0)
}
