//! From a driver's folder to artifacts: the flow of the whole program in the order it happens.
//!
//! Decides nothing about packages and spells no bytes; it hands the results of one stage to the next.

pub mod against;
pub mod check;
mod classes;
pub mod guard;
pub mod jobs;
pub mod matrix;
pub mod merge;
pub mod packaged;
pub mod shard;
pub mod sign;
pub mod support;
pub mod trial;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::archive;
use crate::base::beneath;
use crate::base::diagnostic::{Code, Diagnostic, Place, Severity, SourceText};
use crate::base::error::{Error, Result};
use crate::base::temporary::TemporaryFolder;
use crate::base::threads::side_by_side;
use crate::compile::{self, Before, Event, Failure, FinishedModule, Outcome, Signing};
use crate::config::request::{self, Grouping, Request, VendorCertificate};
use crate::config::{self, Config, SourceConfig};
use crate::dkms::{self, ConfFile, Evaluation, Release, Supported, Verdict};
use crate::driver::bash::{self, ConfShell};
use crate::driver::find::{self, Found};
use crate::driver::packaging::{self, Companion, Evidence, Files, Own};
use crate::driver::{self, Driver};
use crate::format::{self, Family, Format, OwnSignature};
use crate::input::source::{self, Moved, SourceFile};
use crate::input::{self, Input};
use crate::kernel::headers::{Cache, HeaderPackage};
use crate::kernel::machine::Machine;
use crate::kernel::{self, Kernel};
use crate::output::finished::Finished;
use crate::output::{self, Dir, Means, MemoryLimit, Signer, Stop, Written};
use crate::package::{Content, Entry, EntryKind, Package, Payload, Version};
use crate::plan::profile::{self, Target};
use crate::plan::template::Templates;
use crate::plan::{self, KernelModules, ReadyModule, Sibling};
use crate::sign::ModuleSigners;
use crate::sign::certificate::Certificate;
use crate::sign::secret::Pin;
use crate::{lint, lock};
use classes::Sharing;
pub use classes::bases_of;
use jobs::BuildPlan;

/// What the command line of `kpkg build` says, as a value; nothing is asked of the environment.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The formats; empty = what the targets use, or all of them.
    pub formats: Vec<String>,
    /// The targets; empty = those of kpkg.toml, or the portable one of each format.
    pub targets: Vec<String>,
    /// The folder for artifacts.
    pub output: PathBuf,
    /// Where artifacts are written instead, such as a folder below it.
    pub into: Option<PathBuf>,
    /// Files of kpkg's own, which are no source of a driver.
    pub own_files: Vec<PathBuf>,
    /// Whether source is what git tracks, where it tracks anything: what is planned here is built elsewhere.
    pub only_tracked: bool,
    /// Whether those of each target have a folder of its name there, also where there is one target; several have it always.
    pub is_by_target: bool,
    /// Instead of the dkms.conf that is found.
    pub dkms_conf: Option<PathBuf>,
    /// Every driver of the folder.
    pub all: bool,
    /// The machines to ask dkms.conf about.
    pub machines: Vec<Machine>,
    /// Who reads dkms.conf for them.
    pub conf_shell: ConfShell,
    /// Instead of the driver's own version.
    pub driver_version: Option<String>,
    /// A folder of templates that replace built-in ones.
    pub templates: Option<PathBuf>,
    /// What the command line says about the packages.
    pub request: request::CommandLine,
    /// Compiled modules instead of source.
    pub prebuilt: Option<Prebuilt>,
    /// Instead of the time that the source gives.
    pub stamp: Option<u32>,
    /// Who signs what can be signed.
    pub signer: Option<Signer>,
    /// What writing may use, and the stop flag.
    pub means: Means,
}

impl Options {
    /// What is no source of a driver, where it lies in its folder: what this run writes, and plans, results and tables of others.
    fn outputs(&self, folder: &Path) -> Vec<PathBuf> {
        let mut outputs: Vec<_> = std::iter::once(&self.output).chain(&self.own_files).cloned().collect();
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        outputs.extend(entries.map(|entry| entry.path()).filter(|path| is_own(path, 2)));
        outputs
    }
}

/// Whether a file is one that kpkg wrote for programs, or such files lie in a folder, as they do in each of results.
fn is_own(path: &Path, depth: usize) -> bool {
    if path.extension().is_some_and(|ending| ending == "json") && path.is_file() {
        let begin = beneath::open_regular(path).and_then(|file| beneath::start(file, 64));
        return begin.is_ok_and(|begin| begin.starts_with(b"{\n  \"schema\": \"kpkg-"));
    }
    let is_folder = depth > 0 && fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
    is_folder
        && fs::read_dir(path).into_iter().flatten().flatten().any(|entry| is_own(&entry.path(), depth - 1))
}

/// Which modules to compile, and how.
#[derive(Debug, Clone, Default)]
pub struct Prebuilt {
    /// Kernel releases, and the words `all` and `running`.
    pub kernels: Vec<String>,
    /// Package files and folders of kernel headers.
    pub headers: Vec<PathBuf>,
    /// Kernels of kernels.lock, whose headers are these packages of the cache and no others: digests by release.
    pub exact: BTreeMap<String, Vec<String>>,
    /// What else dkms.conf may ask about.
    pub machine: Machine,
    /// The release of the kernel that runs.
    pub running: Option<String>,
    /// The machine that this program is for, as `uname -m` prints it.
    pub arch: String,
    /// The folder for what is worth keeping.
    pub cache: PathBuf,
    /// How many compilers may run at once.
    pub compilers: usize,
    /// How long one build may take.
    pub timeout: Duration,
    /// Whether the other kernels are built and packaged when one fails.
    pub keep_going: bool,
    /// Kernels that are built for before others where a build serves several.
    pub bases: Vec<String>,
    /// Finished files of modules, whose kernels are built for before others where a build serves several.
    pub previous: Vec<PathBuf>,
    /// Whether a build serves another minor release or variant of a kernel where all checksums are the same.
    pub across_minors: bool,
    /// Whether drivers are built with all rights of the user, instead of in the sandbox.
    pub without_sandbox: bool,
    /// Whether nobody signs the modules, whatever kpkg.toml says.
    pub is_unsigned: bool,
    /// Who signs the modules, where kpkg.toml does not say it.
    pub signers: Option<Arc<ModuleSigners>>,
    /// The certificate of the CA above those that sign, which machines judge by.
    pub ca_certificate: Option<PathBuf>,
    /// What opens the keys that kpkg.toml names.
    pub pin: Option<Pin>,
    /// In seconds since 1970, for the dates of certificates.
    pub now: i64,
}

/// Something that happened while modules were compiled: to which kernel, and how many of how many are done.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    pub driver: &'a str,
    pub kernel: &'a str,
    /// Whether it is done, or only begins.
    pub is_done: bool,
    /// How many are done.
    pub done: usize,
    /// How many there are.
    pub total: usize,
}

/// Somebody who is told of [`Progress`], from several threads.
pub type Tell<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

/// How it went for a kernel.
#[derive(Debug)]
pub struct ForKernel {
    pub kernel: String,
    /// The modules, or why there are none.
    pub outcome: Outcome,
}

/// Everything decided, nothing written.
pub struct Prepared {
    pub driver: Driver,
    /// One for each package.
    pub packages: Vec<PlannedPackage>,
    /// How it went for each kernel, where modules were compiled.
    pub kernels: Vec<ForKernel>,
    /// The kernels that were compiled for, where their modules serve others too.
    pub bases: Vec<String>,
    /// Findings that do not stop it.
    pub diagnostics: Vec<Diagnostic>,
    /// The templates that were used.
    pub templates: Templates,
    /// The root of the source.
    pub root: PathBuf,
    /// What of it kpkg guessed.
    pub guesses: Vec<compile::Guess>,
    finished: Option<Finished>,
    signer: Option<Signer>,
    means: Means,
}

/// One package for one target.
pub struct PlannedPackage {
    pub target: Target,
    pub format: &'static str,
    pub package: Package,
    /// The paths it will have.
    pub artifacts: Vec<PathBuf>,
    folder: PathBuf,
    family: &'static dyn Family,
}

/// An artifact, and for whom it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Path and size.
    pub written: Written,
    /// Whether this run wrote it; else an earlier one did, and it lies there unchanged.
    pub is_fresh: bool,
    /// The target's name.
    pub target: String,
    /// The format, as `--format` takes it.
    pub format: String,
    /// What is doubtful about its signature.
    pub doubt: Option<Diagnostic>,
}

/// The codes of all layers, for `kpkg explain`.
pub fn codes() -> impl Iterator<Item = &'static Code> {
    let layers = [
        input::CODES,
        find::CODES,
        driver::CODES,
        dkms::CODES,
        crate::input::source::CODES,
        plan::CODES,
        config::CODES,
        compile::CODES,
        crate::build::trial::CODES,
        format::CODES,
        crate::inspect::signed::CODES,
        CODES,
        packaging::CODES,
        lock::CODES,
    ];
    layers.into_iter().flatten().copied().chain(lint::codes())
}

/// What dkms sees of a file alone, without a tree beside it, on one machine.
pub fn read_conf(
    path: &Path,
    machine: &Machine,
    conf_shell: ConfShell,
    stop: &Stop,
) -> Result<(Evaluation, Vec<Diagnostic>)> {
    let ConfFile { conf, bytes, mut findings, .. } = find::read_file(path.to_owned())?;
    let mut evaluation = dkms::evaluate(&conf, &machine.inputs());
    if conf_shell == ConfShell::Bash {
        let file = bash::File { conf: &conf, bytes: &bytes, tree: None };
        evaluation = bash::evaluate(file, evaluation, machine, stop)?;
    }
    findings.extend(evaluation.diagnostics.iter().cloned());
    Ok((evaluation, without_repetition(findings)))
}

/// A file that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    pub path: PathBuf,
    pub text: String,
}

/// The files that `kpkg init` makes, with findings: a dkms.conf for a driver without one, and a kpkg.toml with what the tree's own
/// packaging says; `from` is the folder or the spec file, below the driver's, of the packaging that counts. Writes nothing.
pub fn init(input: &Input, options: &Options, from: Option<&str>) -> Result<(Vec<NewFile>, Vec<Diagnostic>)> {
    let folder = input.folder.as_path();
    let config = read_config(folder)?;
    let map = moves(&config.source)?;
    let said = |conf: &Path| said_beside(folder, conf);
    let wanted = find::Search {
        conf: None,
        all: true,
        root: config.source.root.as_deref(),
        map: &map,
        said: Some(&said),
    };
    let (found, _) = find::find(folder, &wanted)?;
    let has_conf = found.iter().any(|found| found.conf.is_some());
    let (mut files, mut diagnostics) = (Vec::new(), Vec::new());
    if !has_conf {
        let options = driver::Surroundings {
            version: options.driver_version.clone(),
            output: options.outputs(&input.folder),
            only_tracked: options.only_tracked,
            stop: options.means.stop.clone(),
            ..driver::Surroundings::default()
        };
        let (path, text, findings) = driver::init(input, &config, &options)?;
        files.push(NewFile { path, text });
        diagnostics.extend(findings);
    }
    let path = find::below(folder, config::FILE_NAME);
    if has_conf || from.is_some() || !path.exists() {
        let text = own_config(input, &config, options, &found, from)?;
        Config::parse(&path, &text, &config_formats())?;
        files.push(NewFile { path, text });
    }
    Ok((files, without_repetition(diagnostics)))
}

/// The kpkg.toml that follows from a tree's own packaging.
fn own_config(
    input: &Input,
    config: &Config,
    options: &Options,
    found: &[Found],
    from: Option<&str>,
) -> Result<String> {
    let tree = select_whole(input, config, options)?;
    let files = Files::new(&tree);
    let own = from.map(|from| {
        packaging::own_of(&files, from).map(with_usable_maintainer).ok_or_else(|| {
            Error::usage(format!("`{}` is no packaging of the tree", from.escape_debug()))
                .hint("name a folder with a `control` file, or a spec file, below the driver's folder")
        })
    });
    let own = own.transpose()?;
    // `[files]` counts from the root of each driver
    let root = match found {
        [first, others @ ..] if others.iter().all(|other| other.root == first.root) => {
            below_folder(&input.folder, &first.root)
        }
        _ => None,
    };
    let map = found.first().map_or(&[][..], |found| &found.map);
    let companions = root.as_ref().map(|root| companions(&files, root, map)).unwrap_or_default();
    Ok(packaging::kpkg_toml(own.as_ref(), &companions, &root.unwrap_or_default(), map))
}

/// The files of the whole folder, of which a driver's source may be a part.
fn select_whole(input: &Input, config: &Config, options: &Options) -> Result<Vec<SourceFile>> {
    let selected = source::Filter {
        exclude: config.source.exclude.clone(),
        include: config.source.include.clone(),
        output: options.outputs(&input.folder),
        only_tracked: options.only_tracked,
        interrupted: &|met| options.means.stop.meets(met),
    };
    Ok(source::select(&input.folder, &selected)?.files)
}

/// What a tree's own packaging installs beside modules, with paths as the packaged source has them.
fn companions(files: &Files<'_>, root: &str, map: &[Moved]) -> Vec<Companion> {
    let mut companions = packaging::companions(files);
    for companion in companions.iter_mut().filter(|_| !map.is_empty()) {
        if let Some(below) = companion.below(root) {
            let moved = source::moved(below, map);
            companion.path = if root.is_empty() { moved } else { format!("{root}/{moved}") };
        }
    }
    companions
}

/// A maintainer who would be refused in kpkg.toml is left out.
fn with_usable_maintainer(mut own: Own) -> Own {
    own.about.maintainer = own.about.maintainer.filter(|maintainer| driver::is_mailbox(maintainer));
    own
}

/// The path of a root below a folder.
fn below_folder(folder: &Path, root: &Path) -> Option<String> {
    let root = if folder == Path::new(".") { root } else { root.strip_prefix(folder).ok()? };
    let root = root.strip_prefix(".").unwrap_or(root);
    root.to_str().map(str::to_owned)
}

/// Writes new files, whole or not at all; what is there already is an error.
pub fn write_new(files: &[NewFile]) -> Result<()> {
    for NewFile { path, .. } in files {
        if fs::symlink_metadata(path).is_ok() {
            return Err(Error::usage("is there already:").at(path).hint("remove it, or keep it as it is"));
        }
    }
    for NewFile { path, text } in files {
        output::write_new(path, text.as_bytes())?;
    }
    Ok(())
}

/// Reads the drivers of `input`, one unless all are asked for, and decides everything; with [`Options::prebuilt`] it compiles them.
pub fn prepare(input: &Input, options: &Options, tell: Tell<'_>) -> Result<Vec<Prepared>> {
    prepare_telling(input, options, tell, &mut |_| ())
}

/// The same; `early` is told what there is to say about the drivers before anything is compiled. It stands in the results, too.
pub fn prepare_telling(
    input: &Input,
    options: &Options,
    tell: Tell<'_>,
    early: &mut dyn FnMut(&[Diagnostic]),
) -> Result<Vec<Prepared>> {
    let (given, drivers) = read(input, options, tell)?;
    early(&without_repetition(drivers.iter().flat_map(|read| read.findings.iter().cloned()).collect()));
    let outcomes = given.compile_all(&drivers)?;
    prepare_all(&given, drivers, Some(outcomes))
}

/// Decides about the packages of drivers, with what compiling came to; without that, as if every module will be built that dkms.conf
/// says.
fn prepare_all(
    given: &Given<'_>,
    drivers: Vec<OfDriver>,
    outcomes: Option<Vec<Vec<Outcome>>>,
) -> Result<Vec<Prepared>> {
    let siblings: Vec<_> = drivers.iter().map(|read| Sibling::of(&read.driver)).collect();
    let mut outcomes = outcomes.map(Vec::into_iter);
    let mut prepared = Vec::new();
    for read in drivers {
        let of_driver = outcomes.as_mut().and_then(Iterator::next);
        prepared.push(prepare_driver(given, read, &siblings, of_driver)?);
    }
    let packages = prepared.iter().flat_map(|prepared: &Prepared| &prepared.packages);
    let names: Vec<_> =
        packages.flat_map(|planned| &planned.artifacts).map(|path| path.display().to_string()).collect();
    output::refuse_duplicates(names.iter().map(String::as_str))?;
    Ok(prepared)
}

/// What [`prepare`] would make of the same, job by job; compiles nothing and writes nothing but unpacked headers.
pub fn plan(input: &Input, options: &Options) -> Result<BuildPlan> {
    // how many processors this machine has is no business of a plan
    let mut options = options.clone();
    if let Some(prebuilt) = &mut options.prebuilt {
        prebuilt.machine =
            Machine { processors: Some(1), online_processors: Some(1), ..prebuilt.machine.clone() };
    }
    let (given, drivers) = read(input, &options, &|_| ())?;
    jobs(&given, &drivers)
}

/// The same with the packages that would come of it, whose modules are not there yet: of these the sizes and what they say of themselves
/// are not known.
pub fn foresee(input: &Input, options: &Options) -> Result<(BuildPlan, Vec<Prepared>)> {
    let (given, drivers) = read(input, options, &|_| ())?;
    Ok((plan(input, options)?, prepare_all(&given, drivers, None)?))
}

/// The jobs of drivers.
fn jobs(given: &Given<'_>, drivers: &[OfDriver]) -> Result<BuildPlan> {
    let options = given.options;
    let templates = self::templates(options.templates.as_deref())?;
    let digests = drivers.iter().map(|read| compile::source_digest(&read.driver, &options.means.stop));
    let digests: Vec<String> = digests.collect::<Result<_>>()?;
    let of = |index: usize| (&drivers[index].driver, digests[index].as_str());
    let signed = given.signers.as_ref().map(|signers| signers.identity());
    let mut jobs = Vec::new();
    for (index, OfDriver { driver, settings, .. }) in drivers.iter().enumerate() {
        let others: Vec<_> = (0..drivers.len()).filter(|other| *other != index).map(of).collect();
        for Aim { target, format, .. } in settings.aims.iter() {
            let request = settings.request(options, target)?;
            let source = &digests[index];
            let aim = jobs::Aim {
                driver,
                source,
                others: &others,
                target,
                format: format.name,
                request: &request,
                signed: signed.as_deref(),
            };
            let kernels = given.kernels.as_deref();
            jobs.extend(jobs::of(&aim, kernels, &given.compile_options(), &templates)?);
        }
    }
    Ok(BuildPlan { jobs })
}

/// A driver that was read.
struct OfDriver {
    found: Found,
    settings: Settings,
    driver: Driver,
    findings: Vec<Diagnostic>,
}

/// Reads the drivers of `input`, and what is to be made of them.
fn read<'a>(input: &'a Input, options: &'a Options, tell: Tell<'a>) -> Result<(Given<'a>, Vec<OfDriver>)> {
    let folder = input.folder.as_path();
    let config = Arc::new(read_config(folder)?);
    let aims: Arc<[Aim]> = aims(options, &config)?.into();
    let map = moves(&config.source)?;
    if let Some(root) = &config.source.root {
        find::named_root(folder, root).map_err(|error| config.placed(root, &error))?;
    }
    let (found, findings) = find::find(
        folder,
        &find::Search {
            conf: options.dkms_conf.as_deref(),
            all: options.all,
            root: config.source.root.as_deref(),
            map: &map,
            said: Some(&|conf| said_beside(folder, conf)),
        },
    )?;
    let findings = [input.diagnostics.clone(), findings].concat();
    let grouping = grouping(options, &config, &aims)?;
    let bases = match &options.prebuilt {
        Some(prebuilt) if grouping.is_range() => {
            [config.prebuilt.bases.clone(), prebuilt.bases.clone(), classes::bases_of(&prebuilt.previous)?]
                .concat()
        }
        Some(prebuilt) if !prebuilt.previous.is_empty() => {
            return Err(Error::usage(
                "`--previous` is for packages that serve several kernels with one build",
            )
            .hint("add `--group kabi`, or leave it out"));
        }
        _ => Vec::new(),
    };
    let kernels = options
        .prebuilt
        .as_ref()
        .map(|prebuilt| kernels(prebuilt, &aims, &bases, &options.means.stop))
        .transpose()?;
    let signers =
        options.prebuilt.as_ref().map(|prebuilt| signers(prebuilt, &config, folder)).transpose()?.flatten();
    let certificates = certificates(options, &config, folder, signers.as_deref())?;
    let now = options.prebuilt.as_ref().map_or(0, |prebuilt| prebuilt.now);
    let doubts = signers.iter().flat_map(|signers| sign::doubts(signers, now)).collect();
    let findings = [findings, doubts].concat();
    let supported = supported(&aims)?;
    // a part of the folder is the source: what says how it is packaged may lie beside it
    let whole = found
        .iter()
        .any(|found| found.root != folder || !found.map.is_empty())
        .then(|| select_whole(input, &config, options))
        .transpose()?;
    let is_alone = found.len() == 1;
    let given =
        Given { input, supported, kernels, bases, signers, certificates, options, tell, whole, is_alone };
    // what a kernel would refuse is known before anything is compiled
    given.kernels.iter().flatten().try_for_each(|kernel| given.signing(kernel).map(drop))?;
    let mut settings = Vec::new();
    for found in &found {
        let nearer = found.conf.as_ref().map(|conf| nearer_config(folder, &conf.path));
        settings.push(if let Some((config, scripts, note)) = nearer.transpose()?.flatten() {
            let aims: Arc<[Aim]> = self::aims(options, &config)?.into();
            let grouping = self::grouping(options, &config, &aims)?;
            (Settings { config: Arc::new(config), aims, grouping, scripts }, note)
        } else {
            let (config, aims) = (config.clone(), aims.clone());
            (Settings { config, aims, grouping, scripts: folder.to_owned() }, None)
        });
    }
    let (mut drivers, mut wrong) = (Vec::new(), Vec::new());
    for (found, (settings, note)) in found.into_iter().zip(settings) {
        match given.read(&found, &settings.config) {
            Ok((driver, of_driver)) => {
                let note = note.into_iter().collect();
                let findings = [findings.clone(), found.findings.clone(), note, of_driver].concat();
                drivers.push(OfDriver { found, settings, driver, findings });
            }
            // of several drivers each is told
            Err(error) if !error.findings().is_empty() => wrong.extend_from_slice(error.findings()),
            Err(error) => return Err(error),
        }
    }
    if !wrong.is_empty() {
        return Err(Error::diagnostics(without_repetition(wrong)));
    }
    Ok((given, drivers))
}

/// Which kernels share a package: as the command line says it, else kpkg.toml where the targets have such packages.
fn grouping(options: &Options, config: &Config, aims: &[Aim]) -> Result<Grouping> {
    let wanted = options.request.grouping(config);
    if options.prebuilt.is_none() || !wanted.is_range() {
        return Ok(wanted);
    }
    let has = |aim: &&Aim| {
        let range = aim.target.prebuilt.as_ref().and_then(|shape| shape.range.as_ref());
        range.is_some_and(|range| range.group == wanted)
    };
    let without = aims.iter().find(|aim| !has(aim));
    match without {
        None => Ok(wanted),
        Some(_) if options.request.grouping.is_none() && !aims.iter().any(|aim| has(&aim)) => {
            Ok(Grouping::Kernel)
        }
        Some(aim) => {
            let text = format!("`{}` has no packages of `--group {}`", aim.target.name, wanted.name());
            let hint = match profile::with_range(wanted)?.as_slice() {
                [] => "leave it out".to_owned(),
                names => format!("leave it out, or name other targets: {}", names.join(", ")),
            };
            Err(Error::usage(text).hint(hint))
        }
    }
}

/// The kernels to compile for, and those that are named as bases.
fn kernels(prebuilt: &Prebuilt, aims: &[Aim], bases: &[String], stop: &Stop) -> Result<Vec<Kernel>> {
    let mut header_packages: Vec<_> = aims
        .iter()
        .map(|aim| &aim.target.headers)
        // what depends on a flavour that is not known is no name
        .filter(|name| name.contains("%k") && !name.contains("%f"))
        .cloned()
        .collect();
    header_packages.dedup();
    let cache = header_cache(&prebuilt.cache);
    let wanted =
        kernel::Wanted { header_packages: &header_packages, ..prebuilt.wanted(&prebuilt.kernels, &cache) };
    let mut kernels = kernel::select(&wanted, stop)?;
    for base in bases {
        if kernels.iter().any(|kernel| kernel.release == *base) {
            continue;
        }
        let asked = kernel::Wanted { kernels: std::slice::from_ref(base), ..wanted.clone() };
        let hint =
            "packages are named by their base: give its headers, or take it out of `bases` and `--previous`";
        let found = kernel::select(&asked, stop).map_err(|error| error.hint(hint))?;
        // one folder that is given for one kernel is taken at its word elsewhere
        if found.iter().any(|kernel| kernel.headers.release().is_some_and(|own| own != *base)) {
            return Err(Error::lacking(format!("there are no headers of the kernel `{base}`")).hint(hint));
        }
        kernels.extend(found);
    }
    Ok(kernels)
}

/// The machines of the kernels that would be compiled for.
pub fn machines(prebuilt: &Prebuilt, stop: &Stop) -> Result<Vec<Machine>> {
    let cache = header_cache(&prebuilt.cache);
    let kernels = kernel::select(&prebuilt.wanted(&prebuilt.kernels, &cache), stop)?;
    Ok(kernels.iter().map(|kernel| compile::machine(kernel, &prebuilt.machine)).collect())
}

impl Prebuilt {
    /// Which of `kernels` to look for, and where.
    pub(crate) fn wanted<'a>(&'a self, kernels: &'a [String], cache: &'a Cache) -> kernel::Wanted<'a> {
        kernel::Wanted {
            kernels,
            headers: &self.headers,
            running: self.running.as_deref(),
            arch: &self.arch,
            root: Path::new("/"),
            cache,
            header_packages: &[],
            exact: &self.exact,
        }
    }
}

/// The unpacked kernel headers below the folder for what is worth keeping.
#[must_use]
pub fn header_cache(cache: &Path) -> Cache {
    Cache::new(&cache.join("headers"))
}

/// Deletes headers that are kept: those of the named packages or kernels, or all, and then every finished build too; returns the
/// packages that went.
pub fn prune(cache: &Path, names: &[String]) -> Result<Vec<HeaderPackage>> {
    let headers = header_cache(cache);
    let mut removed = headers.list()?;
    if names.is_empty() {
        for folder in ["builds", "packages", "headers", "symbols", "http"].map(|name| cache.join(name)) {
            beneath::remove(&folder).map_err(|error| Error::io("cannot remove", folder, error))?;
        }
        return Ok(removed);
    }
    let is_named =
        |package: &HeaderPackage, name: &String| *name == package.name || package.kernels.contains_key(name);
    if let Some(unknown) = names.iter().find(|name| !removed.iter().any(|package| is_named(package, name))) {
        return Err(Error::usage(format!("no headers of `{unknown}` are kept"))
            .hint("`kpkg kernels list` lists them"));
    }
    removed.retain(|package| names.iter().any(|name| is_named(package, name)));
    for package in &removed {
        headers.remove(package)?;
    }
    Ok(removed)
}

/// What kpkg.toml says about one driver.
struct Settings {
    config: Arc<Config>,
    aims: Arc<[Aim]>,
    /// Which kernels share a package.
    grouping: Grouping,
    /// The folder that its scripts are below.
    scripts: PathBuf,
}

impl Settings {
    /// What is wanted of a package for a target.
    fn request(&self, options: &Options, target: &Target) -> Result<Request> {
        let read = |path: &str| self.script(path);
        let request = Request::new(&options.request, &self.config, &target.family, &read)?;
        Ok(Request { grouping: self.grouping, ..request })
    }

    /// The text of one of the packager's own scripts, which must lie in the driver's folder.
    fn script(&self, path: &str) -> Result<String> {
        let inside = Path::new(path).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside {
            return Err(Error::usage(format!(
                "the script `{path}` in kpkg.toml is no path below the driver's folder"
            )));
        }
        let path = self.scripts.join(path);
        let cannot_read = |error| Error::io("cannot read the script", &path, error).as_usage();
        // a link may lead to what others should not see
        let is_below =
            fs::canonicalize(&path).and_then(|place| Ok(place.starts_with(fs::canonicalize(&self.scripts)?)));
        if !is_below.map_err(cannot_read)? {
            return Err(Error::usage(
                "the script in kpkg.toml is a link that leads out of the driver's folder:",
            )
            .at(&path));
        }
        beneath::read_text(&path, LARGEST_TEXT).map_err(cannot_read)
    }
}

/// The kpkg.toml beside a dkms.conf in a folder below the driver's, with that folder, and a note where both have one.
fn nearer_config(folder: &Path, conf: &Path) -> Result<Option<(Config, PathBuf, Option<Diagnostic>)>> {
    let Some(beside) = conf.parent() else { return Ok(None) };
    let path = beside.join(config::FILE_NAME);
    let other = find::below(folder, config::FILE_NAME);
    let is_same = || Some(fs::canonicalize(&path).ok()? == fs::canonicalize(&other).ok()?);
    if beside.as_os_str().is_empty() || !path.is_file() || is_same() == Some(true) {
        return Ok(None);
    }
    let note = other.is_file().then(|| {
        let text = format!("of two kpkg.toml, `{}` is read, the one beside dkms.conf", path.display());
        Diagnostic::note(&TWO_CONFIGS, text)
    });
    Ok(Some((read_config(beside)?, beside.to_owned(), note)))
}

/// What the kpkg.toml beside a dkms.conf in a folder below the driver's says about the root, with paths below the driver's folder.
fn said_beside(folder: &Path, conf: &Path) -> Result<Option<find::Said>> {
    let Some((config, beside, _)) = nearer_config(folder, conf)? else { return Ok(None) };
    let own = |root: &String| {
        find::inside(folder, &beside, root).ok_or_else(|| {
            Error::usage(format!("`{}` under `root` leads out of the driver's folder:", root.escape_debug()))
                .at(beside.join(config::FILE_NAME))
                .hint("name a folder relative to the one that the file lies in")
        })
    };
    let map = moves(&config.source)?;
    // without a word about the root `map` counts from the file's own folder
    let root = config.source.root.clone().or_else(|| (!map.is_empty()).then(|| ".".to_owned()));
    Ok(Some(find::Said { root: root.as_ref().map(own).transpose()?, map }))
}

/// The findings of this layer.
const CODES: &[&Code] = &[
    &merge::NOT_THE_PLANS,
    &TWO_CONFIGS,
    &UNKNOWN_RANGE,
    &IDLE_OPTION,
    &sign::NOT_VALID,
    &sign::UNJUDGED,
    &sign::HIDDEN_ISSUER,
];

/// For the program, which knows where options come from.
pub(crate) const IDLE_OPTION: Code = Code {
    id: "K0142",
    title: "an option of the environment does nothing in this run",
    explanation: "A variable such as KPKG_SIGN is set for all runs, and this one has nothing that it is about. On the command\n\
                  line such an option is an error: who asks for something there wants it done.",
};

const UNKNOWN_RANGE: Code = Code {
    id: "K0146",
    title: "the packages of a range of kernels are known when modules are built",
    explanation: "With `--group kabi` or `flavour` a package is for every kernel that its modules serve, which is told by\n\
                  the checksums of the symbols that they need. `--dry-run` compiles nothing, so it names one package, for\n\
                  the first kernel; a run names all.",
};

const TWO_CONFIGS: Code = Code {
    id: "K0132",
    title: "the tree has two files kpkg.toml",
    explanation: "One lies beside the dkms.conf that is used, in a folder of the tree, and one in the tree's own folder. The one\n\
                  beside dkms.conf counts, and nothing of the other one; paths in it are relative to its folder.",
};

/// What all drivers of a run have in common.
struct Given<'a> {
    input: &'a Input,
    supported: Supported,
    kernels: Option<Vec<Kernel>>,
    /// Kernels to build for before others, where a build serves several.
    bases: Vec<String>,
    /// Who signs the modules.
    signers: Option<Arc<ModuleSigners>>,
    /// What machines judge the modules by.
    certificates: Vec<VendorCertificate>,
    options: &'a Options,
    tell: Tell<'a>,
    /// The files of the whole folder, where the source is a part of it.
    whole: Option<Vec<SourceFile>>,
    /// Whether there is one driver.
    is_alone: bool,
}

/// Who signs the modules: as the command line says it, else kpkg.toml.
fn signers(prebuilt: &Prebuilt, config: &Config, folder: &Path) -> Result<Option<Arc<ModuleSigners>>> {
    let said = &config.sign;
    if prebuilt.is_unsigned {
        return Ok(None);
    }
    if prebuilt.signers.is_some() || said.modules.is_empty() {
        return Ok(prebuilt.signers.clone());
    }
    if said.modules.iter().any(|key| key.contains("module-path")) {
        return Err(Error::usage("names a library of PKCS#11, which would run as whoever builds a driver:")
            .at(folder.join(config::FILE_NAME))
            .hint(
                "give that key by `--sign-modules`; without `module-path` it is p11-kit that knows the token",
            ));
    }
    let place = |path: &String| if path.starts_with("pkcs11:") { path.into() } else { folder.join(path) };
    let paths = |list: &[String]| list.iter().map(place).collect::<Vec<_>>();
    let read = ModuleSigners::read(
        &paths(&said.modules),
        &paths(&said.certificates),
        said.embed_certificate,
        prebuilt.pin.as_ref(),
    );
    read.map(|signers| Some(Arc::new(signers)))
}

/// What machines judge the modules by: the certificate of a CA that is named, else those of the keys.
fn certificates(
    options: &Options,
    config: &Config,
    folder: &Path,
    signers: Option<&ModuleSigners>,
) -> Result<Vec<VendorCertificate>> {
    let Some(signers) = signers.filter(|_| config.sign.certificate_package) else { return Ok(Vec::new()) };
    let named = options.prebuilt.as_ref().and_then(|prebuilt| prebuilt.ca_certificate.clone());
    let named = named.or_else(|| config.sign.ca_certificate.as_ref().map(|path| folder.join(path)));
    let of = |certificate: &Certificate| {
        let is_word = |next: char| next.is_ascii_alphanumeric() || "._".contains(next);
        let name = certificate.name();
        let words: Vec<_> = name.split(|next| !is_word(next)).filter(|word| !word.is_empty()).collect();
        VendorCertificate { name: words.join("-"), sha1: certificate.sha1(), der: certificate.der().to_vec() }
    };
    match named {
        Some(path) => Ok(vec![of(&Certificate::read(&path)?)]),
        None => Ok(signers.certificates().map(of).collect()),
    }
}

impl Given<'_> {
    /// How modules are signed for a kernel; an error where that would refuse what these sign.
    fn signing(&self, kernel: &Kernel) -> Result<Option<Signing<'_>>> {
        let Some(signers) = self.signers.as_deref() else { return Ok(None) };
        Ok(Some(Signing { signers, hash: signers.hash_for(&kernel.release, &kernel.accepted)? }))
    }

    /// The machines that dkms.conf is read for.
    fn machines(&self) -> Vec<Machine> {
        match (&self.kernels, &self.options.prebuilt) {
            (Some(kernels), Some(prebuilt)) => {
                kernels.iter().map(|kernel| compile::machine(kernel, &prebuilt.machine)).collect()
            }
            _ => self.options.machines.clone(),
        }
    }

    /// What the tree's own packaging has and the packages do not.
    fn of_packaging(&self, found: &Found, driver: &Driver, config: &Config) -> Vec<Diagnostic> {
        let Some(root) = below_folder(&self.input.folder, &found.root) else { return Vec::new() };
        let files = Files::new(self.whole.as_deref().unwrap_or(&driver.tree));
        let evidence = Evidence {
            companions: companions(&files, &root, &found.map),
            own: packaging::own(&files).into_iter().map(with_usable_maintainer).collect(),
            root: &root,
            is_alone: self.is_alone,
        };
        let is_packaged =
            |path: &str| driver.tree.binary_search_by(|file| file.path.as_str().cmp(path)).is_ok();
        packaging::findings(evidence, config, &is_packaged)
    }

    /// Reads a driver, with findings.
    fn read(&self, found: &Found, config: &Config) -> Result<(Driver, Vec<Diagnostic>)> {
        let options = driver::Surroundings {
            version: self.options.driver_version.clone(),
            output: self.options.outputs(&self.input.folder),
            only_tracked: self.options.only_tracked,
            stamp: self.options.stamp,
            machines: self.machines(),
            conf_shell: self.options.conf_shell,
            supported: self.supported.clone(),
            stop: self.options.means.stop.clone(),
        };
        Driver::read(self.input, found, config, &options)
    }

    /// Compiles the drivers, each after those that its `BUILD_DEPENDS` names; the results are in their order.
    fn compile_all(&self, drivers: &[OfDriver]) -> Result<Vec<Vec<Outcome>>> {
        let mut outcomes: Vec<Option<Vec<Outcome>>> = drivers.iter().map(|_| None).collect();
        for index in build_order(&drivers.iter().map(|read| &read.driver).collect::<Vec<_>>()) {
            let done = drivers.iter().zip(&outcomes);
            let before: Vec<_> = done
                .filter_map(|(read, outcomes)| {
                    Some(Before { driver: &read.driver, outcomes: outcomes.as_deref()? })
                })
                .collect();
            let OfDriver { driver, settings, .. } = &drivers[index];
            let compiled = self.compile(driver, &before, self.sharing(settings).as_ref())?;
            outcomes[index] = Some(compiled);
        }
        Ok(outcomes.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// How modules are compiled, where they are.
    fn compile_options(&self) -> compile::Compiling {
        let prebuilt = self.options.prebuilt.clone().unwrap_or_default();
        compile::Compiling {
            manner: compile::Manner::Packaged,
            running: prebuilt.running,
            os_release: prebuilt.machine.os_release,
            cache: prebuilt.cache.join("builds"),
            compilers: prebuilt.compilers,
            timeout: prebuilt.timeout,
            keep_going: prebuilt.keep_going,
            without_sandbox: prebuilt.without_sandbox,
            stop: self.options.means.stop.clone(),
        }
    }

    /// How kernels share builds, where they do.
    fn sharing<'a>(&'a self, settings: &'a Settings) -> Option<Sharing<'a>> {
        let (kernels, prebuilt) = (self.kernels.as_ref()?, self.options.prebuilt.as_ref()?);
        settings.grouping.is_range().then(|| Sharing {
            kernels,
            bases: &self.bases,
            by_flavour: settings.grouping == Grouping::Flavour,
            across_minors: prebuilt.across_minors || settings.config.prebuilt.across_minors,
            cache: &prebuilt.cache,
        })
    }

    /// Compiles a driver for every kernel, or for as few as serve all.
    fn compile(
        &self,
        driver: &Driver,
        before: &[Before<'_>],
        sharing: Option<&Sharing<'_>>,
    ) -> Result<Vec<Outcome>> {
        let Some(kernels) = &self.kernels else { return Ok(Vec::new()) };
        let options = self.compile_options();
        let done = AtomicUsize::new(0);
        let tell = |index: usize, is_done: bool| {
            let done = done.fetch_add(usize::from(is_done), Ordering::Relaxed) + usize::from(is_done);
            let kernel = &kernels[index].release;
            (self.tell)(Progress { driver: &driver.name, kernel, is_done, done, total: kernels.len() });
        };
        let compile = |first: usize, some: &[Kernel], before: &[Before<'_>]| {
            compile::compile(driver, some, before, &options, &|event| match event {
                Event::Begins(index) => tell(first + index, false),
                Event::Ends(index) => tell(first + index, true),
            })
        };
        let Some(sharing) = sharing else { return compile(0, kernels, before) };
        sharing.check()?;
        let build = |index: usize| {
            let mut of_base = Vec::new();
            for Before { driver, outcomes } in before {
                let outcome = classes::of_kernel(outcomes, kernels, index);
                of_base.push(Before { driver, outcomes: std::slice::from_ref(outcome) });
            }
            let outcomes = compile(index, std::slice::from_ref(&kernels[index]), &of_base)?;
            Ok(outcomes.into_iter().next().unwrap_or(Outcome::NotTried))
        };
        sharing.compile(driver, before, options.keep_going, &build, &|index| tell(index, true))
    }
}

/// The indexes of drivers in an order in which each follows those that it is built after, as far as there is one.
pub(crate) fn build_order(drivers: &[&Driver]) -> Vec<usize> {
    let after = |driver: &&Driver| {
        let of_kernels = driver.kernels.iter().flat_map(|found| found.decision.build_depends.clone());
        (driver.name.clone(), of_kernels.collect())
    };
    ordered(&drivers.iter().map(after).collect::<Vec<_>>())
}

/// The same for names, each with those before it.
fn ordered(all: &[(String, Vec<String>)]) -> Vec<usize> {
    fn visit(index: usize, all: &[(String, Vec<String>)], seen: &mut [bool], order: &mut Vec<usize>) {
        if std::mem::replace(&mut seen[index], true) {
            return;
        }
        for name in &all[index].1 {
            if let Some(other) = all.iter().position(|(other, _)| other == name) {
                visit(other, all, seen, order);
            }
        }
        order.push(index);
    }
    let (mut seen, mut order) = (vec![false; all.len()], Vec::new());
    for index in 0..all.len() {
        visit(index, all, &mut seen, &mut order);
    }
    order
}

/// The modules that were built, as a target wants them.
fn ready(
    given: &Given<'_>,
    outcomes: &[ForKernel],
    sharing: Option<&Sharing<'_>>,
    target: &Target,
    debug: bool,
) -> Result<Vec<KernelModules>> {
    let shape = target.prebuilt.as_ref().ok_or_else(|| target.without_prebuilt())?;
    let mut ready = Vec::new();
    let all: Vec<&Outcome> = outcomes.iter().map(|found| &found.outcome).collect();
    let mut classes = sharing.map(|sharing| sharing.classes(&all)).transpose()?.unwrap_or_default();
    for (index, (kernel, found)) in given.kernels.iter().flatten().zip(outcomes).enumerate() {
        let Outcome::Built(built) = &found.outcome else { continue };
        let codec = shape.codec(kernel.codec);
        let signing = given.signing(kernel)?;
        let mut modules = Vec::new();
        for module in &built.modules {
            let FinishedModule { file, size, suffix } = compile::finish(module, codec, signing)?;
            let values = |key: &str| module.module.values(key).map(str::to_owned).collect::<Vec<_>>();
            let unstripped = module.unstripped.as_ref().filter(|_| debug);
            let debug = unstripped.and_then(|path| {
                let place = shape.debug_place(&kernel.release, &module.name);
                Some((path.clone(), fs::metadata(path).ok()?.len(), place))
            });
            modules.push(ReadyModule {
                name: module.name.clone(),
                file,
                size,
                suffix,
                version: values("version").into_iter().next(),
                aliases: values("alias"),
                fields: module.module.info.iter().map(|(key, _)| key.clone()).collect(),
                debug,
            });
        }
        ready.push(KernelModules {
            kernel: kernel.release.clone(),
            arch: kernel.arch.clone(),
            kernel_codec: kernel.codec,
            codec,
            modules,
            class: classes.remove(&index),
        });
    }
    Ok(ready)
}

/// The modules that will be built, as far as dkms.conf says it.
fn expected(kernels: &[Kernel], driver: &Driver, target: &Target, debug: bool) -> Result<Vec<KernelModules>> {
    let shape = target.prebuilt.as_ref().ok_or_else(|| target.without_prebuilt())?;
    let mut expected = Vec::new();
    for kernel in kernels {
        let found = driver.kernels.iter().find(|found| found.kernel == kernel.release);
        let Some(decision) = found.map(|found| &found.decision) else { continue };
        if decision.verdict != Verdict::Builds {
            continue;
        }
        let codec = shape.codec(kernel.codec);
        let built = decision.modules.iter().filter(|module| module.verdict == Verdict::Builds);
        let modules = built.filter_map(|module| module.name.as_ref()).map(|name| ReadyModule {
            name: name.clone(),
            file: PathBuf::new(),
            size: 0,
            suffix: codec.suffix(),
            version: None,
            aliases: Vec::new(),
            fields: std::collections::BTreeSet::new(),
            debug: debug.then(|| (PathBuf::new(), 0, shape.debug_place(&kernel.release, name))),
        });
        expected.push(KernelModules {
            kernel: kernel.release.clone(),
            arch: kernel.arch.clone(),
            kernel_codec: kernel.codec,
            codec,
            modules: modules.collect(),
            class: None,
        });
    }
    Ok(expected)
}

fn prepare_driver(
    given: &Given<'_>,
    read: OfDriver,
    siblings: &[Sibling],
    outcomes: Option<Vec<Outcome>>,
) -> Result<Prepared> {
    let options = given.options;
    let OfDriver { found, settings, driver, findings: mut diagnostics } = read;
    let sharing = given.sharing(&settings);
    let Settings { config, aims, .. } = &settings;
    diagnostics.extend(given.of_packaging(&found, &driver, config));
    let is_own = |name: &&String| {
        let same = |one: &str, other: &str| one.replace('-', "_") == other.replace('-', "_");
        driver.modules_unknown || driver.modules.iter().any(|module| same(&module.name, name))
    };
    if let Some(name) = config.modules.options.keys().find(|name| !is_own(name)).filter(|_| given.is_alone) {
        let names: Vec<_> = driver.modules.iter().map(|module| module.name.as_str()).collect();
        let hint = format!("the driver's are {}", names.join(", "));
        return Err(config.refuse(name, format!("`{name}` is no module of {}", driver.name), &hint));
    }
    let templates = self::templates(options.templates.as_deref())?;
    let releases = given.kernels.iter().flatten().map(|kernel| kernel.release.clone());
    let is_compiled = outcomes.is_some();
    let outcomes = outcomes.unwrap_or_default();
    let kernels: Vec<_> =
        releases.zip(outcomes).map(|(kernel, outcome)| ForKernel { kernel, outcome }).collect();
    for found in &kernels {
        if let Outcome::Built(built) = &found.outcome {
            diagnostics.extend(built.findings.iter().cloned());
        }
    }
    let keeps_going = options.prebuilt.as_ref().is_some_and(|prebuilt| prebuilt.keep_going);
    let stops = kernels.iter().any(|found| matches!(found.outcome, Outcome::Failed(_))) && !keeps_going;
    let mut packages = Vec::new();
    let named = if options.targets.is_empty() { &config.packaging.targets } else { &options.targets };
    let is_by_target = options.is_by_target || named.len() > 1;
    for Aim { target, format, family } in aims.iter() {
        let certificates = given.certificates.clone();
        let request = Request { certificates, ..settings.request(options, target)? };
        let planned = match &given.kernels {
            None if format.is_source => {
                let shape = target.sources.get(format.name).ok_or_else(|| {
                    let text =
                        format!("`{}` has no source packages of the format `{}`", target.name, format.name);
                    Error::usage(text).hint("name another target or format")
                })?;
                plan::plan_source(&driver, siblings, target, shape, &request, &templates)
            }
            None => plan::plan(&driver, siblings, target, &request, &templates),
            Some(all) => {
                let ready = if is_compiled {
                    ready(given, &kernels, sharing.as_ref(), target, request.debug)?
                } else {
                    let mut expected = expected(all, &driver, target, request.debug)?;
                    if sharing.is_some() && expected.len() > 1 {
                        expected.truncate(1);
                        let text = "one package stands for all kernels: how many share one is known when it is built";
                        diagnostics.push(Diagnostic::note(&UNKNOWN_RANGE, text));
                    }
                    expected
                };
                if ready.is_empty() || stops {
                    continue;
                }
                let spell = |version: &Version| family.version(version);
                plan::plan_prebuilt(&driver, siblings, target, &request, &ready, &templates, &spell)
            }
        };
        let in_config = |finding| placed(finding, config, &|path| settings.script(path));
        let planned = planned.map_err(|error| error.map_findings(in_config))?;
        diagnostics.extend(planned.diagnostics.into_iter().map(in_config));
        let output = options.into.as_ref().unwrap_or(&options.output);
        let folder = if is_by_target { output.join(&target.name) } else { output.clone() };
        for package in planned.packages {
            let found = family.check(&package).into_iter();
            diagnostics.extend(found.map(in_config));
            let artifacts = family.artifacts(&package).iter().map(|name| folder.join(name)).collect();
            packages.push(PlannedPackage {
                target: target.clone(),
                format: format.name,
                package,
                artifacts,
                folder: folder.clone(),
                family: *family,
            });
        }
    }
    let diagnostics = without_repetition(diagnostics);
    if diagnostics.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(driver::stopped(diagnostics));
    }
    let guesses = guesses(&found, &driver, config);
    let is_base = |found: &&ForKernel| sharing.is_some() && matches!(found.outcome, Outcome::Built(_));
    let bases = kernels.iter().filter(is_base).map(|found| found.kernel.clone()).collect();
    Ok(Prepared {
        driver,
        packages,
        kernels,
        bases,
        diagnostics,
        templates,
        root: found.root,
        guesses,
        finished: options
            .prebuilt
            .as_ref()
            .map(|prebuilt| Finished::new(prebuilt.cache.join("packages"), prebuilt.cache.join("builds"))),
        signer: options.signer.clone(),
        means: options.means.clone(),
    })
}

/// A finding with the place of the text that it is about, where that stands in kpkg.toml or in a script that it names.
fn placed(finding: Diagnostic, config: &Config, read: &dyn Fn(&str) -> Result<String>) -> Diagnostic {
    let Some(text) = finding.about.as_deref().filter(|_| finding.place.is_none()) else { return finding };
    let own_names = config.format.values().map(|own| &own.package_name).chain([&config.driver.package_name]);
    let mut own_names = own_names.flatten().filter(|name| text.contains(name.as_str()));
    let in_script = |path: &String| {
        let script = read(path).ok()?;
        let start = script.find(text)?;
        let source = Arc::new(SourceText { path: PathBuf::from(path), text: script });
        Some(Place::new(&source, start..start + text.len()))
    };
    let place = config
        .place_of(text)
        .or_else(|| own_names.find_map(|name| config.place_of(name)))
        .or_else(|| config.scripts.files().find_map(in_script));
    match place {
        Some(place) => finding.at(place),
        None => finding,
    }
}

/// What kpkg guessed about a driver: what neither its files nor its packager say.
fn guesses(found: &Found, driver: &Driver, config: &Config) -> Vec<compile::Guess> {
    let is_made = found.conf.is_none();
    let is_said = config.source.root.is_some() || !config.source.map.is_empty();
    let is_root_guessed = !is_said && !is_made && !driver.origin.is_plain;
    let all = [
        (is_made, compile::Guess::Conf(driver.origin.from().to_owned())),
        (is_root_guessed, compile::Guess::Root(driver.origin.root.display().to_string())),
        (!is_made && driver.rewritten.contains_key(driver::CONF_NAME), compile::Guess::Version),
    ];
    all.into_iter().filter(|(is_so, _)| *is_so).map(|(_, guess)| guess).collect()
}

impl Prepared {
    /// The first failure to compile.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.kernels.iter().find_map(|found| match &found.outcome {
            Outcome::Failed(failure) => Some(failure.as_ref()),
            _ => None,
        })
    }

    /// The bytes of files that go into the packages.
    pub fn bytes(&self) -> u64 {
        let entries = self.packages.iter().flat_map(|job| job.package.payload.entries());
        let size = |entry: &Entry| match &entry.kind {
            EntryKind::File { content: Content::Disk { size, .. }, .. } => *size,
            _ => 0,
        };
        entries.map(size).sum()
    }

    /// Writes the artifacts, packages side by side where the machine and the limits allow it.
    pub fn write(&self) -> Result<Vec<Artifact>> {
        let (many, means) = self.shared_means();
        let writer = Writer { finished: self.finished.as_ref(), signer: self.signer.as_ref(), means };
        let packages = &self.packages;
        let has_failed = AtomicBool::new(false);
        // after a failure nothing begins that the user would not get
        let goes_on = || !has_failed.load(Ordering::Relaxed);
        let results = side_by_side(packages.len(), many, &goes_on, &|index| {
            let result = writer.write(&packages[index]);
            has_failed.fetch_or(result.is_err(), Ordering::Relaxed);
            result
        });
        let written = results.into_iter().flatten().collect::<Result<Vec<_>>>()?;
        self.means.stop.check()?;
        Ok(written.into_iter().flatten().collect())
    }

    /// How many packages are written at once, and what each may use.
    fn shared_means(&self) -> (usize, Means) {
        let many = self.packages.len().min(self.means.threads.get() as usize).max(1);
        let compressions = self.packages.iter().map(|planned| planned.package.compression);
        let least = compressions.map(archive::least_memory).max().unwrap_or_default();
        let share = |limit: u64, many: usize| limit / many as u64;
        let (limit, strict) = match self.means.memory {
            MemoryLimit::Gentle(limit) => (limit, false),
            MemoryLimit::Strict(limit) => (limit, true),
        };
        let many = (1..=many).rev().find(|many| share(limit, *many) >= least).unwrap_or(1);
        let memory = share(limit, many);
        let memory = if strict { MemoryLimit::Strict(memory) } else { MemoryLimit::Gentle(memory) };
        // more threads than processors would only be in each other's way
        let threads =
            u32::try_from(many).ok().and_then(|many| NonZeroU32::new(self.means.threads.get() / many));
        (many, Means { memory, threads: threads.unwrap_or(NonZeroU32::MIN), ..self.means.clone() })
    }
}

/// Who writes packages.
struct Writer<'a> {
    finished: Option<&'a Finished>,
    signer: Option<&'a Signer>,
    means: Means,
}

impl Writer<'_> {
    /// Writes the artifacts of a package; where they hold a signature of their own, they appear when they have it.
    fn written(&self, planned: &PlannedPackage) -> Result<(Vec<Written>, Option<Diagnostic>)> {
        let PlannedPackage { package, folder, family, .. } = planned;
        let mut out = Dir::new(folder, self.means.clone()).with_signer(self.signer.cloned());
        let is_signed = |signer: &&Signer| match family.own_signature() {
            OwnSignature::None => false,
            OwnSignature::Unusual => {
                matches!(package.payload, Payload::Install(_)) && signer.0.signs_unusual()
            }
            OwnSignature::Usual => true,
        };
        let Some(signer) = self.signer.filter(is_signed) else {
            family.write(package, &mut out)?;
            return Ok((out.written().to_vec(), None));
        };
        let cannot_write = |error| Error::io("cannot write to the output folder", folder, error);
        fs::create_dir_all(folder).map_err(cannot_write)?;
        let unsigned = TemporaryFolder::new(folder).map_err(cannot_write)?;
        let mut first = Dir::new(unsigned.path(), self.means.clone());
        let mut doubt = None;
        family.write(package, &mut first)?;
        for written in first.written() {
            let name = written.path.file_name().unwrap_or_default();
            let ask = |bytes: &mut (dyn Read + Send)| signer.0.detached(&folder.join(name), bytes);
            let how = family.sign(&written.path, &ask, &mut out)?;
            doubt = how.and_then(|how| sign::unjudged(&planned.target, &how)).or(doubt);
        }
        Ok((out.written().to_vec(), doubt))
    }

    /// Writes the artifacts of a package, unless they are there.
    fn write(&self, planned: &PlannedPackage) -> Result<Vec<Artifact>> {
        let PlannedPackage { package, folder, format, .. } = planned;
        // a signature holds the time when it was made, so that what is signed is made anew
        let finished = self.finished.filter(|_| self.signer.is_none());
        let there = finished.and_then(|known| known.find(format, package, folder));
        let is_fresh = there.is_none();
        let (written, doubt) = match there {
            Some(there) => (there, None),
            None => self.written(planned)?,
        };
        if let (Some(known), true) = (finished, is_fresh) {
            known.remember(format, package, &written);
        }
        let artifact = |written| Artifact {
            written,
            is_fresh,
            target: planned.target.name.clone(),
            format: (*format).to_owned(),
            doubt: doubt.clone(),
        };
        Ok(written.into_iter().map(artifact).collect())
    }
}

/// Findings without those that were there before.
pub(crate) fn without_repetition(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut kept: Vec<Diagnostic> = Vec::new();
    for finding in diagnostics {
        if !kept.contains(&finding) {
            kept.push(finding);
        }
    }
    kept
}

/// The most bytes of a kpkg.toml, a script or a template.
const LARGEST_TEXT: u64 = 4 << 20;

/// The formats that kpkg.toml may have tables for.
fn config_formats() -> Vec<&'static str> {
    format::formats().filter(|format| !format.is_source).map(|format| format.name).collect()
}

/// The kpkg.toml of a folder; an empty one where there is none.
pub fn config(folder: &Path) -> Result<Config> {
    read_config(folder)
}

fn read_config(folder: &Path) -> Result<Config> {
    let path = find::below(folder, config::FILE_NAME);
    match beneath::read_text(&path, LARGEST_TEXT) {
        Ok(text) => Config::parse(&path, &text, &config_formats()),
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            Ok(Config::default())
        }
        Err(error) => Err(Error::io("cannot read", path, error).as_usage()),
    }
}

/// What lies elsewhere in the package, checked.
fn moves(config: &SourceConfig) -> Result<Vec<Moved>> {
    let inside = |path: &str| {
        !path.is_empty()
            && !path.starts_with('/')
            && !path.split('/').any(|part| part == "..")
            && !path.chars().any(char::is_control)
    };
    let moved = |(from, to): (&String, &String)| {
        if inside(from) && inside(to) && !from.trim_end_matches("/*").contains('*') {
            return Ok(Moved { from: from.clone(), to: to.clone() });
        }
        let text = format!(
            "`\"{}\" = \"{}\"` under `map` in kpkg.toml is no move",
            from.escape_debug(),
            to.escape_debug()
        );
        Err(Error::usage(text).hint("write `\"folder/\" = \"other/\"`, `\"folder/*\" = \".\"` or `\"file\" = \"other\"`, both below the root"))
    };
    config.map.iter().map(moved).collect()
}

/// A target, and the format that it is packaged in.
struct Aim {
    target: Target,
    format: &'static Format,
    family: &'static dyn Family,
}

/// The targets asked for, each in those of the formats asked for that it uses.
fn aims(options: &Options, config: &Config) -> Result<Vec<Aim>> {
    let mut aims = usual_aims(options, config)?;
    if let Some(naming) = &config.prebuilt.naming {
        let known = profile::namings()?;
        if !known.contains(naming) {
            let message = format!("no target names packages by `{}`", naming.escape_debug());
            return Err(config.refuse(naming, message, &format!("known are {}", known.join(", "))));
        }
        for aim in &mut aims {
            aim.target = aim.target.with_naming(naming);
        }
    }
    Ok(aims)
}

/// The same with the usual names.
fn usual_aims(options: &Options, config: &Config) -> Result<Vec<Aim>> {
    type Writer = (&'static dyn Family, &'static Format);
    let known = |name: &String| {
        format::writers().find(|(_, format)| format.name == name).ok_or_else(|| {
            let names: Vec<_> = format::formats().map(|format| format.name).collect();
            Error::usage(format!("there is no format `{name}`"))
                .hint(format!("known are {}, and `all`", names.join(", ")))
        })
    };
    let asked: Vec<Writer> = options.formats.iter().map(known).collect::<Result<_>>()?;
    if let Some((_, source)) = asked.iter().find(|(_, format)| format.is_source && options.prebuilt.is_some())
    {
        return Err(Error::usage(format!("`{}` packages carry source, not compiled modules", source.name))
            .hint("leave `--prebuilt` out, or name another format"));
    }
    let installed = format::writers().filter(|(_, format)| !format.is_source);
    let writers: Vec<Writer> = if asked.is_empty() { installed.collect() } else { asked.clone() };
    // it bears the name of the format that is installed
    let named = if options.targets.is_empty() { &config.packaging.targets } else { &options.targets };
    if named.is_empty() {
        // its portable target bears its name
        let portable =
            |(family, format): Writer| Ok(Aim { target: profile::target(family.name())?, format, family });
        let usual = writers.into_iter().filter(|(_, format)| format.special.is_none() || !asked.is_empty());
        return with_prebuilt(usual.map(portable).collect::<Result<_>>()?, options);
    }
    let mut aims: Vec<Aim> = Vec::new();
    for name in named {
        let target = profile::target(name)
            .map_err(|error| if options.targets.is_empty() { config.placed(name, &error) } else { error })?;
        let wanted: Vec<_> = writers.iter().filter(|(family, _)| family.name() == target.family).collect();
        if wanted.is_empty() && !options.targets.is_empty() {
            return Err(Error::usage(format!(
                "`{name}` uses {}, which `--format` leaves out",
                target.family
            ))
            .hint("name a target of the format, or leave `--format` out"));
        }
        if aims.iter().all(|other| other.target.name != target.name) {
            let aim = |(family, format): &Writer| Aim { target: target.clone(), format, family: *family };
            aims.extend(wanted.into_iter().map(aim));
        }
    }
    for (_, format) in asked {
        if aims.iter().all(|aim| aim.format != format) {
            return Err(Error::usage(format!("no target uses the format `{}`", format.name))
                .hint(format!("add one, such as `--target {}`", format.name)));
        }
    }
    with_prebuilt(aims, options)
}

/// Fails where prebuilt packages are wanted for a target that has none.
fn with_prebuilt(aims: Vec<Aim>, options: &Options) -> Result<Vec<Aim>> {
    match aims.iter().find(|aim| options.prebuilt.is_some() && aim.target.prebuilt.is_none()) {
        Some(aim) => Err(aim.target.without_prebuilt()),
        None => Ok(aims),
    }
}

/// The dkms of every release that is packaged for.
fn supported(aims: &[Aim]) -> Result<Supported> {
    let targets: Vec<_> = aims.iter().map(|aim| aim.target.clone()).collect();
    let releases = profile::shipped(&targets)?.into_iter();
    Ok(Supported {
        releases: releases.map(|release| Release { title: release.title, dkms: release.dkms }).collect(),
    })
}

/// The dkms of the targets that are asked for, for a file that has no kpkg.toml beside it.
pub(crate) fn supported_by(options: &Options) -> Result<Supported> {
    supported(&aims(options, &Config::default())?)
}

/// The templates of a run: the built-in ones, and what replaces them.
fn templates(folder: Option<&Path>) -> Result<Templates> {
    let templates = Templates::new(&read_templates(folder)?)?;
    templates.check_names()?;
    Ok(templates)
}

/// Every `.hbs` file below a folder: its name there without the ending, its path, its text.
fn read_templates(folder: Option<&Path>) -> Result<Vec<(String, PathBuf, String)>> {
    let Some(root) = folder else { return Ok(Vec::new()) };
    let cannot_read = |path: &Path, error| Error::io("cannot read the templates in", path, error).as_usage();
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| cannot_read(&folder, error))? {
            let path = entry.map_err(|error| cannot_read(&folder, error))?.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let relative = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            if let Some(name) = relative.strip_suffix(".hbs") {
                let text =
                    beneath::read_text(&path, LARGEST_TEXT).map_err(|error| cannot_read(&path, error))?;
                found.push((name.to_owned(), path.clone(), text));
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is packaged, as `TARGET/FORMAT`, or the error and its hint.
    fn chosen(formats: &[&str], targets: &[&str], of_config: &[&str]) -> Result<Vec<String>, [String; 2]> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let options = Options { formats: owned(formats), targets: owned(targets), ..Options::default() };
        let mut config = Config::default();
        config.packaging.targets = owned(of_config);
        match aims(&options, &config) {
            Ok(aims) => {
                Ok(aims.iter().map(|aim| format!("{}/{}", aim.target.name, aim.format.name)).collect())
            }
            Err(error) => Err([error.to_string(), error.hint_text().unwrap_or_default().to_owned()]),
        }
    }

    #[test]
    fn each_target_is_packaged_in_those_of_the_formats_that_are_of_its_family() {
        for (formats, targets, of_config, expected) in [
            // without a target the portable one of each family
            (&[][..], &[][..], &[][..], &["deb/deb", "rpm/rpm"][..]),
            (&["dsc"], &[], &[], &["deb/dsc"]),
            (&["rpm", "kmod"], &[], &[], &["rpm/rpm", "rpm/kmod"]),
            // without a format the one that is installed
            (&[], &["debian-12"], &[], &["debian-12/deb"]),
            (&[], &["rhel-9", "ubuntu"], &[], &["rhel-9/rpm", "ubuntu/deb"]),
            (
                &["srpm", "deb", "dsc"],
                &["debian-12", "rhel-9"],
                &[],
                &["debian-12/deb", "debian-12/dsc", "rhel-9/srpm"],
            ),
            // by another name, and once only
            (&[], &["rocky-9", "rhel-9"], &[], &["rhel-9/rpm"]),
            // those of kpkg.toml, as far as they are of the family, unless the command line has some
            (&[], &[], &["fedora-43", "debian-12"], &["fedora-43/rpm", "debian-12/deb"]),
            (&["deb"], &[], &["fedora-43", "debian-12"], &["debian-12/deb"]),
            (&[], &["deb"], &["fedora-43"], &["deb/deb"]),
        ] {
            let found = chosen(formats, targets, of_config);
            // formats in the order in which they were asked for, within a target
            let mut found = found.unwrap_or_else(|error| panic!("{formats:?} {targets:?}: {error:?}"));
            let mut expected = expected.to_vec();
            if formats.len() > 1 {
                found.sort();
                expected.sort_unstable();
            }
            assert_eq!(found, expected, "{formats:?} {targets:?} {of_config:?}");
        }
    }

    #[test]
    fn what_cannot_be_packaged_is_told_with_what_can() {
        for (formats, targets, of_config, message, hint) in [
            (
                &["apk"][..],
                &[][..],
                &[][..],
                "there is no format `apk`",
                "known are deb, dsc, rpm, srpm, kmod",
            ),
            (&[], &["debain-12"], &[], "there is no target `debain-12`", "did you mean `debian-12`?"),
            (&[], &[], &["rhel-99"], "there is no target `rhel-99`", "did you mean `rhel-9`?"),
            (&["deb"], &["rhel-9"], &[], "`rhel-9` uses rpm, which `--format` leaves out", "name a target"),
            (
                &["deb", "rpm"],
                &["rhel-9"],
                &[],
                "no target uses the format `deb`",
                "add one, such as `--target deb`",
            ),
            (&["srpm"], &[], &["debian-12"], "no target uses the format `srpm`", "add one"),
        ] {
            let [found, found_hint] = chosen(formats, targets, of_config).unwrap_err();
            assert_eq!(found, message);
            assert!(found_hint.starts_with(hint), "{message}: {found_hint}");
        }
    }

    /// dkms 3.1.4 and later build what `BUILD_DEPENDS` names first (dkms(8)).
    #[test]
    fn each_driver_follows_those_that_it_is_built_after() {
        for (drivers, expected) in [
            // nothing to keep: as they come
            (&[("a", &[][..]), ("b", &[])][..], &["a", "b"][..]),
            (&[("a", &["b"]), ("b", &[])], &["b", "a"]),
            (&[("a", &["c", "b"]), ("b", &["c"]), ("c", &[])], &["c", "b", "a"]),
            (&[("a", &["b", "c"]), ("b", &[]), ("c", &[]), ("d", &["a"])], &["b", "c", "a", "d"]),
            // what is not in the run cannot be waited for
            (&[("a", &["elsewhere"]), ("b", &[])], &["a", "b"]),
            // where no order can be kept, each is still built once
            (&[("a", &["a"])], &["a"]),
            (&[("a", &["b"]), ("b", &["a"])], &["b", "a"]),
            (&[("a", &["b"]), ("b", &["c"]), ("c", &["b"]), ("d", &["c"])], &["c", "b", "a", "d"]),
        ] {
            let owned = |(name, after): &(&str, &[&str])| {
                ((*name).to_owned(), after.iter().map(|name| (*name).to_owned()).collect())
            };
            let all: Vec<(String, Vec<String>)> = drivers.iter().map(owned).collect();
            let names: Vec<_> = ordered(&all).into_iter().map(|index| all[index].0.as_str()).collect();
            assert_eq!(names, expected, "{drivers:?}");
        }
    }
}
