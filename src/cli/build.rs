//! `kpkg build`, which is also what happens without a verb.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, ValueEnum};

use super::arguments::{CompileArgs, MachineArgs, Manner, PackageArgs, PlanArgs};
use super::progress::{CompileProgress, Progress};
use super::session::{self, Ended, Session};
use super::signers::{self, ModuleSignArgs, PackageSignArgs, PackageSigner, Patience};
use super::{json, setup, text};
use crate::base::diagnostic::{Diagnostic, Severity};
use crate::base::error::{Error, Result};
use crate::build::jobs::BuildPlan;
use crate::build::trial::{self, Trial};
use crate::build::{self, Artifact, Prepared};
use crate::config::request::{self, Grouping};
use crate::events::Line;
use crate::format::{self, Format, OwnSignature};
use crate::input::Input;
use crate::lock::{self, select};
use crate::output::{MemoryLimit, Signer};

/// The arguments of building.
#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    /// What the packages are made of.
    #[command(flatten)]
    pub(super) package: PackageArgs,
    /// A folder whose templates replace the built-in ones of the same name
    #[arg(long, value_name = "DIR", hide_short_help = true, env = "KPKG_TEMPLATES")]
    pub(super) templates: Option<PathBuf>,
    /// How many threads may compress; the packages are the same with any number [default: one for each processor, at most 8]
    #[arg(long, value_name = "N", hide_short_help = true, env = "KPKG_THREADS")]
    pub(super) threads: Option<NonZeroU32>,
    /// How much memory they may take together, such as 512M: fewer threads are used, and it is an error when one takes more [default: a
    /// quarter of the machine's, and always one thread]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, hide_short_help = true, env = "KPKG_MEMORY")]
    pub(super) memory: Option<u64>,
    /// Before anything is written, build the source as dkms does on a target
    ///
    /// For each --kernel, or for all whose headers are at hand; a driver that does not build is not packaged.
    #[arg(long, env = "KPKG_CHECK_BUILD", action = clap::ArgAction::SetTrue)]
    pub(super) check_build: bool,
    /// Decide and check everything, print the paths, write nothing
    #[arg(long, env = "KPKG_DRY_RUN", action = clap::ArgAction::SetTrue)]
    pub(super) dry_run: bool,
    /// Modules instead of source.
    #[command(flatten)]
    pub(super) prebuilt: PrebuiltArgs,
    /// What builds may use.
    #[command(flatten)]
    pub(super) compile: CompileArgs,
    /// The machines that they are for.
    #[command(flatten)]
    pub(super) machine: MachineArgs,
    /// What carries a plan out.
    #[command(flatten)]
    pub(super) plan: PlanArgs,
    /// What uploads take.
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// Who signs.
    #[command(flatten)]
    pub(super) sign: PackageSignArgs,
    /// What else they sign.
    #[command(flatten)]
    pub(super) sign_more: UnusualSignArgs,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// What belongs to source packages that are uploaded.
#[derive(Debug, Args)]
#[command(next_help_heading = "Source packages")]
pub(super) struct SourceArgs {
    /// The release that .dsc packages are uploaded for, such as unstable or noble [default: the target's]
    #[arg(long, value_name = "NAME", hide_short_help = true, env = "KPKG_DISTRIBUTION")]
    pub(super) distribution: Option<String>,
    /// Write a .buildinfo beside the .changes: what the source package was made by
    #[arg(long, hide_short_help = true, env = "KPKG_BUILDINFO", action = clap::ArgAction::SetTrue)]
    pub(super) buildinfo: bool,
}

/// Signatures at places where hardly anybody looks.
#[derive(Debug, Args)]
#[command(next_help_heading = "Signed packages")]
pub(super) struct UnusualSignArgs {
    /// Sign .deb files themselves too, as debsigs does. What apt checks is the signed index of a repository; dpkg looks at these only
    /// where debsig-verify is set up
    #[arg(long, hide_short_help = true, env = "KPKG_SIGN_DEB", action = clap::ArgAction::SetTrue)]
    pub(super) sign_deb: bool,
}

/// How modules are compiled.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compiled modules")]
pub(super) struct PrebuiltArgs {
    /// Compile the modules and package them, instead of the source
    ///
    /// --kernel also takes `all` and `running`.
    #[arg(long, env = "KPKG_PREBUILT", action = clap::ArgAction::SetTrue)]
    pub(super) prebuilt: bool,
    /// Which kernels share a package.
    #[command(flatten)]
    pub(super) share: ShareArgs,
    /// Build and package for the other kernels when one fails
    #[arg(long, hide_short_help = true, env = "KPKG_KEEP_GOING", action = clap::ArgAction::SetTrue)]
    pub(super) keep_going: bool,
    /// Build the driver with all rights of the user who runs kpkg, instead of in a sandbox
    #[arg(long, hide_short_help = true, env = "KPKG_NO_SANDBOX", action = clap::ArgAction::SetTrue)]
    pub(super) no_sandbox: bool,
    /// Who signs the modules.
    #[command(flatten)]
    pub(super) sign: ModuleSignArgs,
    /// The certificate of the CA above those that sign: it is packaged for machines to enrol, instead of theirs
    #[arg(
        long,
        value_name = "CERT",
        requires = "embed_certificate",
        help_heading = "Signed modules",
        hide_short_help = true,
        env = "KPKG_CA_CERTIFICATE"
    )]
    pub(super) ca_certificate: Option<PathBuf>,
}

/// Which kernels share a package of compiled modules, and what comes along.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compiled modules")]
pub(super) struct ShareArgs {
    /// Which kernels share a package [default: kernel, one for each]
    #[arg(long, value_name = "HOW", hide_short_help = true, env = "KPKG_GROUP")]
    pub(super) group: Option<Group>,
    /// The same as `--group all`
    #[arg(long, conflicts_with = "group", hide_short_help = true, env = "KPKG_COMBINE", action = clap::ArgAction::SetTrue)]
    pub(super) combine: bool,
    /// With `--group kabi` or `flavour`: packages of an earlier run, which keep their kernels and so their names
    #[arg(long, value_name = "FILE", value_delimiter = ',', hide_short_help = true, env = "KPKG_PREVIOUS")]
    pub(super) previous: Vec<PathBuf>,
    /// With `--group kabi` or `flavour`: another minor release or variant of a kernel is served where all checksums are the same
    #[arg(long, hide_short_help = true, env = "KPKG_ACROSS_MINORS", action = clap::ArgAction::SetTrue)]
    pub(super) across_minors: bool,
    /// Packages of debug information too
    #[arg(long, hide_short_help = true, env = "KPKG_DEBUG", action = clap::ArgAction::SetTrue)]
    pub(super) debug: bool,
}

impl ShareArgs {
    /// Says it to the library.
    pub(super) fn say(&self, request: &mut request::CommandLine) {
        request.grouping = match self.group {
            None if self.combine => Some(Grouping::All),
            group => group.map(Group::grouping),
        };
        request.debug = self.debug;
    }
}

/// Which kernels share a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Group {
    /// Each has one of its own.
    Kernel,
    /// Those that one build serves, by the checksums of symbols: RHEL and its rebuilds.
    Kabi,
    /// The same for each flavour of the kernel: SUSE.
    Flavour,
    /// All share one.
    All,
}

impl Group {
    fn grouping(self) -> Grouping {
        match self {
            Self::Kernel => Grouping::Kernel,
            Self::Kabi => Grouping::Kabi,
            Self::Flavour => Grouping::Flavour,
            Self::All => Grouping::All,
        }
    }
}

impl BuildArgs {
    /// The options of the library, without what the environment adds.
    fn options(&self) -> build::Options {
        let mut options = self.package.options();
        if self.prebuilt.prebuilt && self.package.format.iter().any(|format| format == "all") {
            let source =
                |name: &String| format::formats().any(|format| format.is_source && format.name == *name);
            options.formats.retain(|name| !source(name) || self.package.format.contains(name));
        }
        options.request.distribution.clone_from(&self.source.distribution);
        self.prebuilt.share.say(&mut options.request);
        if let Some(threads) = self.threads {
            options.means.threads = threads;
        }
        if let Some(bytes) = self.memory {
            options.means.memory = MemoryLimit::Strict(bytes);
        }
        options
    }
}

pub(super) fn run(args: &BuildArgs, session: &Session) -> Ended {
    let options = options(args, session)?;
    let Some(rounds) = rounds(args, &options)? else { return round(args, options, session) };
    let mut codes = Vec::new();
    for options in rounds {
        let code = round(args, options, session)?;
        if code != 0 && !args.prebuilt.keep_going {
            return Ok(code);
        }
        codes.push(code);
    }
    // of several some may be done
    Ok(codes.iter().copied().reduce(|one, other| if one == other { one } else { 4 }).unwrap_or_default())
}

/// Where kernels of kernels.lock are meant: the same for each of their targets, with its kernels.
fn rounds(args: &BuildArgs, options: &build::Options) -> Result<Option<Vec<build::Options>>> {
    let Some(prebuilt) = &options.prebuilt else { return Ok(None) };
    let folder = args.package.folder();
    let mut named = prebuilt.kernels.clone();
    if named.is_empty() && prebuilt.headers.is_empty() && folder.is_dir() {
        named = build::config(folder)?.kernels;
    }
    let (selections, others): (Vec<_>, Vec<_>) = named.into_iter().partition(|name| select::is_one(name));
    if selections.is_empty() {
        return Ok(None);
    }
    if let Some(other) = others.first() {
        return Err(Error::usage(format!(
            "`{}` and `{other}` do not go together: selections and releases",
            selections[0]
        ))
        .hint("name kernels of kernels.lock only, or others only"));
    }
    let lock = setup::lock(&args.machine.lock.clone().unwrap_or_else(|| folder.join(lock::FILE_NAME)))?;
    let mut of_targets: BTreeMap<(&str, &str), Vec<&lock::Kernel>> = BTreeMap::new();
    for kernel in select::all(&lock, &selections)? {
        of_targets.entry((&kernel.target, &kernel.arch)).or_default().push(kernel);
    }
    let is_by_target = of_targets.len() > 1;
    let round = |((target, arch), kernels): ((&str, &str), Vec<&lock::Kernel>)| {
        let targets =
            if options.targets.is_empty() { vec![target.to_owned()] } else { options.targets.clone() };
        let prebuilt = build::Prebuilt {
            kernels: kernels.iter().map(|kernel| kernel.release.clone()).collect(),
            exact: kernels.iter().map(|kernel| (kernel.release.clone(), kernel.digests())).collect(),
            arch: arch.to_owned(),
            ..prebuilt.clone()
        };
        build::Options { targets, is_by_target, prebuilt: Some(prebuilt), ..options.clone() }
    };
    Ok(Some(of_targets.into_iter().map(round).collect()))
}

fn round(args: &BuildArgs, options: build::Options, session: &Session) -> Ended {
    let idle = idle(args, &options, session)?;
    let input = setup::open(&args.package, session)?;
    let progress = CompileProgress::new(session, "Compiling", args.manner.quiet);
    let least = args.manner.least(Severity::Warning);
    // what takes long comes behind what there is to say
    let mut told = Vec::new();
    let mut reading = Some(Progress::reading(session, args.manner.quiet));
    let prepared = match &options.prebuilt {
        None => build::prepare(&input, &options, &|_| ()),
        Some(_) if args.dry_run => build::foresee(&input, &options).map(|(plan, drivers)| {
            reading.take();
            say_jobs(&plan, args, session);
            drivers
        }),
        Some(_) => build::prepare_telling(&input, &options, &|event| progress.tell(event), &mut |findings| {
            reading.take();
            session.tell(findings, least);
            told.extend_from_slice(findings);
        }),
    };
    drop(reading);
    progress.end();
    let drivers = prepared.map_err(|error| error.without_findings(&told))?;
    let is_prebuilt = options.prebuilt.is_some();
    if args.check_build && !builds(&drivers, &input, options, args, session)? {
        return Ok(1);
    }
    session.tell(&idle, least);
    let (mut lines, mut code, mut packaged) = (String::new(), 0, 0);
    for prepared in &drivers {
        let new: Vec<_> =
            prepared.diagnostics.iter().filter(|finding| !told.contains(finding)).cloned().collect();
        session.tell(&new, least);
        packaged += prepared.packages.len();
        if args.manner.quiet && !session.json {
            session.say(&text::failures_text(&prepared.kernels));
        }
        if let Some(failure) = prepared.failure() {
            code = if prepared.packages.is_empty() { session::exit_code(failure.error.kind()) } else { 4 };
        }
        if session.json {
            let kernels = prepared.kernels.iter().map(|found| json::kernel(prepared, found));
            lines.extend(kernels.map(Line::text));
        }
        if args.dry_run && session.json {
            // of modules that are not compiled it is not known what they say of themselves: the jobs are told
            if !is_prebuilt {
                lines.push_str(&Line::text(json::plan(prepared, &[])));
            }
        } else if args.dry_run {
            let paths = prepared.packages.iter().flat_map(|job| &job.artifacts);
            lines.extend(paths.map(|path| format!("{}\n", path.display())));
        } else {
            let artifacts = write(prepared, args, session)?;
            if session.json {
                lines.extend(artifacts.iter().map(|artifact| Line::text(json::artifact(artifact))));
            } else if args.manner.quiet || !session.is_seen_twice() {
                // the summary has them, too
                let paths = artifacts.iter().map(|artifact| artifact.written.path.display());
                lines.extend(paths.map(|path| format!("{path}\n")));
            }
        }
    }
    let printed = session.print(lines.as_bytes());
    if code == 0 && packaged == 0 {
        return Err(Error::usage("the driver is for none of these kernels")
            .hint("name others: BUILD_EXCLUSIVE_* in dkms.conf says which it is for")
            .into());
    }
    if code == 0 {
        printed?;
    }
    Ok(code)
}

/// Says what would be compiled.
fn say_jobs(plan: &BuildPlan, args: &BuildArgs, session: &Session) {
    if session.json {
        let _unheard = plan.jobs.iter().map(json::job).try_for_each(|event| session.event(event));
    } else if !args.manner.quiet {
        session.say(&text::jobs_text(plan));
    }
}

pub(super) fn options(args: &BuildArgs, session: &Session) -> Result<build::Options> {
    let mut options = setup::options(args.options(), args.templates.as_deref(), session)?;
    options.request.made_on = args.source.buildinfo.then(|| session::ARCH.to_owned());
    let patience = Patience::of(args.compile.timeout, session);
    let signer = PackageSigner::of(&args.sign, patience.clone(), args.sign_more.sign_deb);
    options.signer = signer.map(|signer| Signer(Arc::new(signer)));
    if args.memory.is_none() {
        // the default of `xz -T0` (xz(1), `--memlimit-mt-compress`)
        options.means.memory = MemoryLimit::Gentle(session::physical_memory() / 4);
    }
    options.prebuilt = prebuilt(args, &patience)?;
    Ok(options)
}

/// What was asked for and has nothing to do in this run: an error, or notes about the environment.
fn idle(args: &BuildArgs, options: &build::Options, session: &Session) -> Result<Vec<Diagnostic>> {
    let mut notes = Vec::new();
    let is_one = |is: &dyn Fn(&Format) -> bool| {
        // without one named, all that are installed
        let usual = |format: &&&Format| options.formats.is_empty() && !format.is_source;
        let asked = |format: &&&Format| options.formats.iter().any(|name| name == format.name);
        format::formats().filter(|format| usual(&format) || asked(&format)).any(is)
    };
    let has_place = |format: &Format| {
        let family = format::for_format(format.name);
        !format.is_source && family.is_some_and(|family| family.own_signature() == OwnSignature::Unusual)
    };
    if options.signer.is_none() || !is_one(&has_place) {
        let why = "no .deb is signed";
        notes.extend(
            session
                .given
                .idle::<UnusualSignArgs>(why, "add `--sign KEY` and `--format deb`, or leave it out")?,
        );
    }
    if !is_one(&|format| format.is_signed || args.sign_more.sign_deb && has_place(format)) {
        let why = "packages of this format hold no signature";
        notes.extend(
            session
                .given
                .idle::<PackageSignArgs>(why, "sign the index of their repository, or leave it out")?,
        );
    }
    if !is_one(&|format| format.is_uploaded) {
        let why = "none of the formats is uploaded to an archive";
        notes.extend(session.given.idle::<SourceArgs>(why, "add `--format dsc`, or leave it out")?);
    }
    if options.prebuilt.is_none() {
        let why = "no modules are compiled to be packaged";
        notes.extend(session.given.idle::<PrebuiltArgs>(why, "add `--prebuilt`, or leave it out")?);
        if !args.check_build {
            let why = "nothing is built, and dkms.conf is packaged for every machine";
            let hint = "add `--prebuilt` to compile modules and package them, or `--check-build` to see whether the source builds";
            // who signs has a limit of time, too
            if options.signer.is_none() {
                notes.extend(session.given.idle::<CompileArgs>(why, hint)?);
            }
            notes.extend(session.given.idle::<MachineArgs>(why, hint)?);
        }
    }
    Ok(notes)
}

/// What is compiled, where modules are asked for.
fn prebuilt(args: &BuildArgs, patience: &Patience) -> Result<Option<build::Prebuilt>> {
    let wanted = &args.prebuilt;
    if !wanted.prebuilt {
        return Ok(None);
    }
    let prebuilt = setup::compiling(args.machine.options(), &args.compile, wanted.keep_going)?;
    let signers = signers::module_signers(&wanted.sign, patience)?.map(Arc::new);
    let ca_certificate = wanted.ca_certificate.clone();
    Ok(Some(build::Prebuilt {
        without_sandbox: wanted.no_sandbox,
        signers,
        ca_certificate,
        previous: wanted.share.previous.clone(),
        across_minors: wanted.share.across_minors,
        ..prebuilt
    }))
}

/// Whether the source of packages that are not written yet builds; tells what came of it.
fn builds(
    drivers: &[Prepared],
    input: &Input,
    options: build::Options,
    args: &BuildArgs,
    session: &Session,
) -> Result<bool> {
    let trials = if options.prebuilt.is_some() {
        let options = build::Options { prebuilt: None, ..options };
        try_source(&build::prepare(input, &options, &|_| ())?, args, session)?
    } else {
        try_source(drivers, args, session)?
    };
    let findings: Vec<_> = trials.iter().flat_map(|trial| trial.findings.iter().cloned()).collect();
    let has_failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    if session.json {
        let _unheard = trials.iter().flat_map(json::trial).try_for_each(|event| session.event(event));
    } else if !args.manner.quiet {
        session.say(&text::trials_text(&trials));
    }
    let least = args.manner.least(Severity::Warning);
    if has_failed {
        for prepared in drivers {
            session.tell(&prepared.diagnostics, least);
        }
    }
    session.tell(&findings, least);
    match trials.into_iter().find_map(|trial| trial.lacking) {
        Some(error) if !has_failed => Err(error),
        _ => Ok(!has_failed),
    }
}

/// Builds the source of packages that are not written yet.
fn try_source(drivers: &[Prepared], args: &BuildArgs, session: &Session) -> Result<Vec<Trial>> {
    let options = setup::trial(args.machine.options(), &args.compile, session)?;
    let progress = CompileProgress::new(session, "Building", args.manner.quiet);
    let trials = trial::run(&trial::planned(drivers, &options)?, &options, &|event| progress.tell(event));
    progress.end();
    trials
}

/// Writes the packages of a driver, with progress on a terminal and a summary at the end.
fn write(prepared: &Prepared, args: &BuildArgs, session: &Session) -> Result<Vec<Artifact>> {
    let is_silent = args.manner.quiet || session.json;
    let begun = session.elapsed();
    let progress = Progress::packaging(session, is_silent, prepared.bytes());
    let artifacts = prepared.write()?;
    let doubts: Vec<_> = artifacts.iter().filter_map(|artifact| artifact.doubt.clone()).collect();
    session.tell(&build::without_repetition(doubts), args.manner.least(Severity::Warning));
    drop(progress);
    if !is_silent {
        let took = session.elapsed().saturating_sub(begun);
        // where it is worth a word
        let is_most = took > Duration::from_secs(2) && took * 2 > session.elapsed() && !args.package.fast;
        session.say(&text::summary(prepared, &artifacts, is_most.then_some(took)));
    }
    Ok(artifacts)
}

/// Bytes, with `K`, `M` or `G` behind them for powers of 1024, as `xz --memlimit` takes them, or a unit such as `MiB` or `MB`.
fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let is_short = text.ends_with(['K', 'M', 'G']);
    let with_unit = if is_short { format!("{text}iB") } else { text.to_owned() };
    let size = with_unit.parse::<ByteSize>().ok().map(|size| size.as_u64());
    // what is larger than all numbers is taken for the largest
    let size = size.filter(|bytes| *bytes < u64::MAX);
    size.ok_or_else(|| "give bytes, or a number with K, M or G, such as 512M".to_owned())
}
