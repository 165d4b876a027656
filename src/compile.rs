//! Builds a driver's modules for kernels, as dkms would on a machine where each of them runs.
//!
//! The build runs in the [`crate::sandbox`], on the paths that dkms uses, so that it gives the same bytes wherever and by whomever
//! it is run. What is finished is kept under a key of everything that decides about it, and not built again.

mod fault;
mod finish;
mod log;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use bstr::ByteSlice;
pub use fault::{Blame, Facts as FaultFacts, Fault, Guess, fault};
pub use finish::{FinishedModule, Signing, finish};
pub use log::Said;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::base::beneath::{self, Folder};
use crate::base::diagnostic::{Code, Diagnostic};
use crate::base::error::{Error, Kind, Result};
use crate::base::key::Key;
use crate::base::temporary::{self, TemporaryFolder};
use crate::base::threads;
use crate::dkms::{self, Decision, Inputs, ReadTree, Verdict};
use crate::driver::Driver;
use crate::input::source::SourceKind;
use crate::kernel::ko::KernelModule;
use crate::kernel::machine::{Machine, stand_ins, uname_of_another_kernel};
use crate::kernel::symvers::Symvers;
use crate::kernel::{Kernel, PartKind};
use crate::output::Stop;
use crate::sandbox::{Ended, Limits, Sandbox, run_outside};

/// What the sandbox runs, behind its assignments.
const BUILD: &str = include_str!("compile/build.bash");
/// Changes whenever the same inputs would give another result.
const GENERATION: u32 = 5;
/// The description of a finished build, beside its modules.
const DESCRIPTION: &str = "built.json";
/// The symbols that its modules export, as kbuild lists them: dkms 3.1.3 and later keep it for the drivers that are built after it.
const SYMVERS: &str = "Module.symvers";
/// The folder, in a build's own, of what is finished.
const RESULT: &str = "result";
/// The file of what the build said.
const LOG: &str = "make.log";

/// The findings of this layer.
pub const CODES: &[&Code] = &[
    &OTHER_COMPILER,
    &UNNAMED_MODULE,
    &NO_SYMVERS,
    &DEAD_BUILD_HOOK,
    &NO_NAMESPACE,
    &OTHER_DRIVERS,
    &ONLY_IMITATED,
    &SOME_DISTRIBUTION,
];

const OTHER_COMPILER: Code = Code {
    id: "K1001",
    title: "the kernel was built by another compiler",
    explanation: "A module built by another version of the compiler mostly works, but options, plugins and the layout of\n\
                  structures may differ, and the kernel warns of it. The kernel's configuration (CONFIG_CC_VERSION_TEXT)\n\
                  says what built it. Install that version; only its first two numbers are compared.",
};
const UNNAMED_MODULE: Code = Code {
    id: "K1002",
    title: "the build makes a module that dkms.conf does not name",
    explanation: "dkms installs the modules of BUILT_MODULE_NAME and no others, and so do these packages. Name the module\n\
                  in dkms.conf if it is to be installed.",
};
const NO_SYMVERS: Code = Code {
    id: "K1003",
    title: "the kernel's headers have no Module.symvers",
    explanation: "Without the list of symbols that the kernel exports nobody can tell whether the modules can be loaded,\n\
                  and modules of a kernel with versioned symbols get no checksums, which that kernel refuses.",
};
const DEAD_BUILD_HOOK: Code = Code {
    id: "K1004",
    title: "a script of the build is not executable",
    explanation: "dkms warns and goes on without a PRE_BUILD or POST_BUILD script that is missing or not executable, and so\n\
                  did this build.",
};

const NO_NAMESPACE: Code = Code {
    id: "K1005",
    title: "the modules were built without a sandbox",
    explanation: "A build runs in namespaces of its own: without network, on the paths that dkms uses, so that every machine\n\
                  gives the same bytes. Some containers and hardened systems allow no namespaces. With `--no-sandbox`, and\n\
                  never without it, the build runs as it is, with all rights of its user, below kpkg's cache; the compiler\n\
                  is told to forget the paths (-ffile-prefix-map), which most drivers, but not all, need no more than.",
};

const OTHER_DRIVERS: Code = Code {
    id: "K1006",
    title: "the driver is built after other drivers",
    explanation: "BUILD_DEPENDS names drivers that dkms wants installed before. Those of the same run (`--all`) are built\n\
                  first, and there as dkms has them; this one is not, so what the driver takes from it is not checked,\n\
                  and a driver that needs its headers does not compile. Name its package under `[relations]` in\n\
                  kpkg.toml, so that it is installed on the target.",
};

const ONLY_IMITATED: Code = Code {
    id: "K1011",
    title: "the modules are only right because `uname` was imitated",
    explanation: "dkms builds for kernels that do not run: after an upgrade, in a chroot, in an image. `uname -r` then answers\n\
                  another release than the one that is built for, and mostly one without headers. Where modules are compiled\n\
                  to be packaged, it answers as on a machine where the kernel runs. This driver asked it, was built once more\n\
                  with the true answer, and failed, or gave modules for the kernel that runs here. The compiled modules are\n\
                  right; a package of its source is not. Pass what the Makefile reads: `$kernelver` or `$kernel_source_dir`.",
};

const SOME_DISTRIBUTION: Code = Code {
    id: "K1013",
    title: "the build asks which distribution it is for",
    explanation: "A Makefile or script of the driver reads /etc/os-release. Modules that are packaged are the same wherever\n\
                  they are compiled, so that file is not this machine's: it is the one that `--os-release` gives, or one\n\
                  that names no distribution. Give the os-release file of the machines that the modules are for.",
};

/// Whether a finding is about the machine of a build and its headers, rather than the driver.
#[must_use]
pub fn is_of_machine(code: &Code) -> bool {
    [&OTHER_COMPILER, &NO_SYMVERS, &NO_NAMESPACE].contains(&code)
}

/// The surroundings of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Manner {
    /// A machine where the kernel runs, the same wherever kpkg runs: for modules that are packaged.
    #[default]
    Packaged,
    /// What dkms gives a build on a target while another kernel runs, for which there are no headers; only in the sandbox.
    OnTarget,
}

/// An os-release file of a machine of which nothing is known: the defaults of os-release(5).
const SOME_OS_RELEASE: &str = "NAME=Linux\nID=linux\nPRETTY_NAME=Linux\n";

/// How builds are done.
#[derive(Debug, Clone, Default)]
pub struct Compiling {
    /// In which surroundings.
    pub manner: Manner,
    /// The release of the kernel that runs.
    pub running: Option<String>,
    /// The text of `/etc/os-release`. Without it, [`Manner::Packaged`] has one that names no distribution, so that every machine
    /// gives the same bytes, and [`Manner::OnTarget`] that of this machine.
    pub os_release: Option<String>,
    /// Where finished builds are kept.
    pub cache: PathBuf,
    /// How many compilers may run at once.
    pub compilers: usize,
    /// How long one build may take.
    pub timeout: Duration,
    /// Whether the other kernels are built after one failed.
    pub keep_going: bool,
    /// Whether drivers are built with all rights of the user, instead of in the sandbox.
    pub without_sandbox: bool,
    pub stop: Stop,
}

/// The modules of a driver for a kernel.
#[derive(Debug, Clone)]
pub struct Built {
    /// Whether this run compiled them.
    pub is_fresh: bool,
    /// In the order of dkms.conf.
    pub modules: Vec<BuiltModule>,
    /// What the build said.
    pub log: PathBuf,
    /// Where the modules are.
    pub folder: PathBuf,
    /// What there is to say about it.
    pub findings: Vec<Diagnostic>,
    /// The version of the compiler that compiled them, such as `12.2.0`.
    pub compiler: Option<String>,
}

/// A module as it is packaged, but for compression.
#[derive(Debug, Clone)]
pub struct BuiltModule {
    /// The name it is installed under, without suffix.
    pub name: String,
    /// The stripped, uncompressed file.
    pub path: PathBuf,
    /// The file before debug information was taken out; nothing where STRIP is `no`.
    pub unstripped: Option<PathBuf>,
    /// What it says.
    pub module: KernelModule,
}

/// How it went for a kernel.
#[derive(Debug)]
pub enum Outcome {
    Built(Built),
    /// The modules for the kernel of this release load in it.
    Served(String),
    /// The driver is not for this kernel, for this reason.
    Skipped(String),
    /// It does not build.
    Failed(Box<Failure>),
    /// Not tried, because another kernel failed before.
    NotTried,
}

/// A build that failed.
#[derive(Debug)]
pub struct Failure {
    pub error: Error,
    pub stage: Stage,
    /// The line of the log that says most of it.
    pub compiler_error: Option<Said>,
    /// Everything that the build said.
    pub log: Option<PathBuf>,
}

/// Where a build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Before anything of the driver ran.
    Begin,
    /// A patch did not apply.
    Patch,
    /// `PRE_BUILD` or `POST_BUILD` failed.
    Script,
    /// The command in MAKE failed.
    Make,
    /// A module is not where dkms.conf says, or is none.
    Module,
    /// A module is one for another kernel.
    OtherKernel,
    /// A module needs what the kernel does not have.
    Symbols,
    /// Something that is no fault of the driver.
    Other,
}

impl From<Error> for Box<Failure> {
    fn from(error: Error) -> Self {
        Self::new(Failure { error, stage: Stage::Begin, compiler_error: None, log: None })
    }
}

/// What `uname -r` answers while a driver is built for the kernel `release` and another one runs: the release of the kernel that
/// runs, or where it is that one, some that nobody has headers of.
#[must_use]
pub fn another_kernel<'a>(release: &str, running: Option<&'a str>) -> &'a str {
    running.filter(|running| *running != release).unwrap_or("0.0.0-another")
}

/// A driver that was built before, with how it went for each kernel.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    pub driver: &'a Driver,
    /// In the order of the kernels.
    pub outcomes: &'a [Outcome],
}

/// Something that happened to the kernel of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Its build began.
    Begins(usize),
    /// There is an outcome.
    Ends(usize),
}

/// Builds for kernels side by side; what dkms decides for each stands in `driver.kernels` under its release. Of the drivers that were
/// built `before` for the same kernels, those that `BUILD_DEPENDS` names are there as dkms has them.
pub fn compile(
    driver: &Driver,
    kernels: &[Kernel],
    before: &[Before<'_>],
    options: &Compiling,
    tell: &(dyn Fn(Event) + Sync),
) -> Result<Vec<Outcome>> {
    own_cache(&options.cache)?;
    let source = source_digest(driver, &options.stop)?;
    let side_by_side = options.compilers.min(kernels.len()).max(1);
    let asks_distribution =
        options.manner == Manner::Packaged && options.os_release.is_none() && asks_distribution(driver);
    let compilers = (options.compilers / side_by_side).max(1);
    let builder = Builder { driver, before, options, source, compilers, asks_distribution };
    let has_failed = AtomicBool::new(false);
    let goes_on = || !options.stop.is_set() && (options.keep_going || !has_failed.load(Ordering::Relaxed));
    let outcomes = threads::side_by_side(kernels.len(), side_by_side, &goes_on, &|index| {
        let outcome = builder.outcome(index, &kernels[index], &|| tell(Event::Begins(index)));
        has_failed.fetch_or(matches!(outcome, Outcome::Failed(_)), Ordering::Relaxed);
        tell(Event::Ends(index));
        outcome
    });
    options.stop.check()?;
    Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::NotTried)).collect())
}

/// Adds to a key how modules are compiled, as far as that is not of the kernel.
pub(crate) fn add_manner(key: &mut Key, release: &str, options: &Compiling) {
    key.add(&GENERATION.to_string());
    key.add(BUILD);
    key.add(options.os_release.as_deref().unwrap_or_default());
    if options.manner == Manner::OnTarget {
        key.add("as on a target");
        key.add(another_kernel(release, options.running.as_deref()));
    }
}

/// Makes the folder of the finished builds, without what killed runs left there, and fails where somebody else could change what is in
/// it.
fn own_cache(folder: &Path) -> Result<()> {
    let hint = "`chmod go-w` it, or let KPKG_CACHE name a folder of your own";
    let cannot_write = |error| Error::io("cannot write to the cache", folder, error);
    let is_own = beneath::own(folder).map_err(cannot_write)?;
    let above = folder.parent().map(beneath::keeps).transpose().map_err(cannot_write)?;
    if !is_own || above == Some(false) {
        return Err(Error::usage("others can write to the cache:").at(folder).hint(hint));
    }
    temporary::sweep(folder);
    Ok(())
}

/// Whether a Makefile or a script of a driver names os-release.
fn asks_distribution(driver: &Driver) -> bool {
    let builds = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let starts = ["Makefile", "GNUmakefile", "makefile", "Kbuild", "configure"];
        starts.iter().any(|start| name.starts_with(start))
            || [".mk", ".sh"].iter().any(|end| name.ends_with(end))
    };
    driver.tree.iter().any(|file| match &file.kind {
        SourceKind::File { on_disk, .. } if builds(&file.path) => {
            let read = File::open(on_disk).and_then(|file| beneath::start(file, 1 << 20));
            read.is_ok_and(|bytes| bytes.contains_str("os-release"))
        }
        _ => false,
    })
}

/// The machine of a kernel, for reading dkms.conf.
#[must_use]
pub fn machine(kernel: &Kernel, given: &Machine) -> Machine {
    Machine {
        kernel: Some(kernel.release.clone()),
        arch: Some(kernel.arch.clone()),
        headers: Some(kernel.headers.clone()),
        ..given.clone()
    }
}

/// Where programs stand that tell about the kernel's machine.
const STAND_INS: &str = "/usr/local/sbin";

/// What is to be built.
#[derive(Clone, Copy)]
struct Task<'a> {
    kernel: &'a Kernel,
    decision: &'a Decision,
    wanted: &'a [Wanted],
    needs: &'a [Need<'a>],
    /// Where it will be, when it is finished.
    place: &'a Path,
}

struct Run<'a> {
    task: Task<'a>,
    uname: Uname,
    inputs: &'a Inputs<'a>,
    limits: Limits,
}

/// Which kernel a build is told to run on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Uname {
    /// The one that it is for.
    Imitated,
    Another,
}

/// What a build gave.
struct Made {
    modules: Vec<(String, KernelModule)>,
    said: Vec<String>,
    /// Whether it asked which kernel runs.
    has_asked: bool,
}

/// The file in the log's folder in which somebody who asks which kernel runs leaves a mark.
const ASKED: &str = "uname";

/// What a build works on.
struct Folders<'a> {
    work: &'a Path,
    source: &'a Path,
    dkms: &'a Path,
    log: &'a Path,
    tmp: &'a Path,
    home: &'a Path,
}

/// Where a build finds these folders.
struct Places {
    dkms_tree: String,
    source_tree: String,
    log: String,
}

/// Where the sandbox shows the folder of the log.
const LOGS: &str = "/var/log/kpkg";

impl Default for Places {
    fn default() -> Self {
        Self {
            dkms_tree: "/var/lib/dkms".to_owned(),
            source_tree: "/usr/src".to_owned(),
            log: format!("{LOGS}/{LOG}"),
        }
    }
}

/// A driver that is there while another is built.
struct Need<'a> {
    driver: &'a Driver,
    built: &'a Built,
}

impl Need<'_> {
    /// `NAME/VERSION/KERNEL/ARCH/module`, where dkms keeps what it built, below its tree.
    fn place(&self, kernel: &Kernel) -> String {
        format!("{}/{}/{}/{}/module", self.driver.name, self.driver.version, kernel.release, kernel.arch)
    }

    /// `NAME-VERSION`, its source below dkms's folder of sources.
    fn source(&self) -> String {
        format!("{}-{}", self.driver.name, self.driver.version)
    }
}

struct Builder<'a> {
    driver: &'a Driver,
    before: &'a [Before<'a>],
    options: &'a Compiling,
    source: String,
    /// Compilers of one build.
    compilers: usize,
    /// Whether the driver reads an os-release file that nobody gave.
    asks_distribution: bool,
}

/// What is kept beside finished modules.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    /// Name, and what the module says.
    modules: Vec<(String, KernelModule)>,
    stripped: Vec<bool>,
    /// SHA-256 of each file, by its path below the folder.
    digests: BTreeMap<String, String>,
    said: Vec<String>,
}

impl Builder<'_> {
    fn outcome(&self, index: usize, kernel: &Kernel, begin: &dyn Fn()) -> Outcome {
        let Some(found) = self.driver.kernels.iter().find(|found| found.kernel == kernel.release) else {
            return Outcome::Skipped("dkms.conf was not read for it".to_owned());
        };
        match &found.decision.verdict {
            Verdict::Excluded(why) => return Outcome::Skipped(why.clone()),
            Verdict::Unknown(why) => return Outcome::Failed(unknown(why).into()),
            Verdict::Builds => {}
        }
        let (mut needs, mut missing) = (Vec::new(), None);
        for name in &found.decision.build_depends {
            let Some(other) = self.before.iter().find(|other| other.driver.name == *name) else {
                missing.get_or_insert(name);
                continue;
            };
            match &other.outcomes[index] {
                Outcome::Built(built) => needs.push(Need { driver: other.driver, built }),
                // dkms 3.1.4 and later end with status 13
                Outcome::Skipped(_) => {
                    return Outcome::Skipped(format!("dkms builds it after `{name}`, which is not for it"));
                }
                Outcome::Failed(_) => {
                    let text = format!("dkms builds it after `{name}`, which failed");
                    return Outcome::Failed(Error::failed(text).into());
                }
                // each has a build of its own here
                Outcome::Served(_) | Outcome::NotTried => return Outcome::NotTried,
            }
        }
        match self.build(kernel, &found.decision, &needs, begin) {
            Ok(mut built) => {
                if let Some(first) = missing {
                    let text = format!("dkms builds it after `{first}`, which is not there");
                    let hint = "package both from one folder with `--all`, or name the package of that driver under `[relations]` \
                                in kpkg.toml";
                    built.findings.push(Diagnostic::warning(&OTHER_DRIVERS, text).hint(hint));
                }
                if self.asks_distribution {
                    let text = "the build reads /etc/os-release, which names no distribution here";
                    let hint = "give that of the machines that the modules are for: `--os-release FILE`";
                    built.findings.push(Diagnostic::note(&SOME_DISTRIBUTION, text).hint(hint));
                }
                Outcome::Built(built)
            }
            Err(failure) => Outcome::Failed(failure),
        }
    }

    fn build(
        &self,
        kernel: &Kernel,
        decision: &Decision,
        needs: &[Need<'_>],
        begin: &dyn Fn(),
    ) -> Result<Built, Box<Failure>> {
        if let [first, ..] = decision.unknown.as_slice() {
            return Err(unknown(&format!("the value of {first} is not known for this kernel")).into());
        }
        let wanted = wanted(decision)?;
        let key = self.key(kernel, decision, needs)?;
        let place = self.options.cache.join(&key);
        if let Some(built) = Self::finished(&place, kernel) {
            return Ok(built);
        }
        begin();
        for package in &kernel.packages {
            package.check(&self.options.stop)?;
        }
        // a finished build that somebody damaged
        let _ignored = beneath::remove(&place);
        self.compile(Task { kernel, decision, wanted: &wanted, needs, place: &place })?;
        let built = Self::finished(&place, kernel).map(|built| Built { is_fresh: true, ..built });
        built.ok_or_else(|| Error::failed("a finished build cannot be read:").at(&place).into())
    }

    /// The build in a folder, when it is whole.
    fn finished(place: &Path, kernel: &Kernel) -> Option<Built> {
        let text = fs::read_to_string(place.join(DESCRIPTION)).ok()?;
        let description: Description = serde_json::from_str(&text).ok()?;
        let files = Folder::open(place).ok()?;
        let is_same =
            |(path, digest): (&String, &String)| file_digest(&files, path).is_ok_and(|own| own == *digest);
        if !description.digests.iter().all(is_same) {
            return None;
        }
        let mut modules = Vec::new();
        for ((name, module), stripped) in description.modules.into_iter().zip(description.stripped) {
            let path = place.join(format!("{name}.ko"));
            let unstripped = stripped.then(|| place.join("debug").join(format!("{name}.ko")));
            if !description.digests.contains_key(&format!("{name}.ko")) {
                return None;
            }
            modules.push(BuiltModule { name, path, unstripped, module });
        }
        let findings = findings(&description.said, kernel);
        let compiler = description.said.iter().find_map(|line| line.strip_prefix("compiler "));
        Some(Built {
            is_fresh: false,
            modules,
            log: place.join(LOG),
            folder: place.to_owned(),
            findings,
            compiler: compiler.filter(|version| !version.is_empty()).map(str::to_owned),
        })
    }

    /// A digest of everything that decides about the modules, of this machine too.
    fn key(&self, kernel: &Kernel, decision: &Decision, needs: &[Need<'_>]) -> Result<String> {
        let mut key = Key::default();
        key.add(&self.source);
        key.add(&self.driver.name);
        key.add(&self.driver.version);
        key.json(decision)?;
        key.add(&kernel.release);
        key.add(&kernel.identity);
        add_manner(&mut key, &kernel.release, self.options);
        for program in [kernel.compiler.command.as_str(), "ld", "as", "make", "strip", TYPES] {
            key.add(&program_state(program));
        }
        for need in needs {
            // its own key
            key.add(&need.built.folder.file_name().unwrap_or_default().to_string_lossy());
        }
        Ok(key.finish())
    }

    /// Builds in a new folder, which becomes the task's place when everything is there.
    fn compile(&self, task: Task<'_>) -> Result<(), Box<Failure>> {
        check_programs(task.kernel, !task.decision.patches.is_empty())?;
        let cannot_write = |error| Error::io("cannot write to the cache", &self.options.cache, error);
        let work = TemporaryFolder::new(&self.options.cache).map_err(cannot_write)?;
        let first = match self.options.manner {
            Manner::Packaged => Uname::Imitated,
            Manner::OnTarget => Uname::Another,
        };
        let Made { modules, mut said, has_asked } = self.attempt(task, work.path(), first)?;
        if has_asked {
            match self.attempt(task, &work.path().join("again"), Uname::Another) {
                Err(failure) if failure.error.kind() == Kind::Failed => {
                    let first = failure
                        .compiler_error
                        .map_or_else(|| failure.error.to_string(), |said| said.to_string());
                    said.push(format!("imitated {}", first.trim()));
                }
                Err(failure) if failure.error.kind() == Kind::Interrupted => return Err(failure),
                _ => {}
            }
        }
        let stripped: Vec<bool> = task.wanted.iter().map(|module| module.strip).collect();
        let result = work.path().join(RESULT);
        let files = Folder::open(&result).map_err(cannot_write)?;
        let mut digests = BTreeMap::new();
        for ((name, _), stripped) in modules.iter().zip(&stripped) {
            let name = format!("{name}.ko");
            for path in [stripped.then(|| format!("debug/{name}")), Some(name)].into_iter().flatten() {
                let digest = file_digest(&files, &path).map_err(cannot_write)?;
                digests.insert(path, digest);
            }
        }
        let description = Description { modules, stripped, digests, said };
        let text = serde_json::to_string(&description).map_err(|error| Error::failed(error.to_string()))?;
        fs::write(result.join(DESCRIPTION), text).map_err(cannot_write)?;
        match fs::rename(&result, task.place) {
            Ok(()) => Ok(()),
            // somebody else was faster, with the same bytes
            Err(_) if task.place.join(DESCRIPTION).exists() => Ok(()),
            Err(error) => Err(cannot_write(error).into()),
        }
    }

    /// One build below a folder; its modules and its log are then in the folder [`RESULT`] there.
    fn attempt(&self, task: Task<'_>, work: &Path, uname: Uname) -> Result<Made, Box<Failure>> {
        let Task { kernel, decision, wanted, needs, place } = task;
        let cannot_write = |error| Error::io("cannot write to the cache", &self.options.cache, error);
        let folder = |name: &str| -> Result<PathBuf> {
            let path = work.join(name);
            fs::create_dir_all(&path).map_err(cannot_write)?;
            Ok(path)
        };
        let (source, dkms, log, tmp, home, result) = (
            folder("source")?,
            folder("dkms")?,
            folder("log")?,
            folder("tmp")?,
            folder("home")?,
            folder(RESULT)?,
        );
        let tree = format!("/usr/src/{}-{}", self.driver.name, self.driver.version);
        self.copy_source(self.driver, &source)?;
        for need in needs {
            self.copy_source(need.driver, &folder(&format!("src/{}", need.source()))?)?;
        }
        fs::create_dir(dkms.join("build")).map_err(cannot_write)?;
        symlink(&tree, dkms.join("source")).map_err(cannot_write)?;
        let machine = Machine {
            processors: u32::try_from(self.compilers).ok(),
            ..machine(kernel, &Machine::default())
        };
        let limits = Limits { time: self.options.timeout, output: 1 << 20, processor: None, memory: None };
        let run = Run { task, uname, inputs: &machine.inputs(), limits };
        let folders = Folders { work, source: &source, dkms: &dkms, log: &log, tmp: &tmp, home: &home };
        let ran = if self.options.without_sandbox {
            self.run_outside(&run, &folders)
        } else {
            self.run_inside(&run, &folders)
        };
        // what it left may be anything, and lie anywhere
        let logs = Folder::open(&log).map_err(cannot_write)?;
        let has_asked = logs.file(Path::new(ASKED)).map_err(cannot_write)?.is_some();
        let kept = |(stage, error): (Stage, Error)| self.failure(stage, error, &logs, place);
        let ended = ran.map_err(|error| match error.kind() {
            Kind::Failed if error.hint_text().is_none() => {
                kept((Stage::Other, error.hint("`--timeout SECONDS` gives a build more time")))
            }
            _ => kept((Stage::Other, error)),
        })?;
        let said: Vec<String> = String::from_utf8_lossy(&ended.output).lines().map(str::to_owned).collect();
        if let Some(failed) = said.iter().find_map(|line| line.strip_prefix("failed ")) {
            return Err(kept(stage_error(failed, &said)));
        }
        if ended.status != Some(0) {
            let how = ended.status.map_or("by a signal".to_owned(), |status| format!("with status {status}"));
            return Err(kept((Stage::Other, Error::failed(format!("the build ended {how}")))));
        }
        let left = Folder::open(&dkms).map_err(cannot_write)?;
        let made = Path::new(&kernel.release).join(&kernel.arch).join("module");
        let modules =
            take_modules(&left, &made, wanted, &result).map_err(|error| kept((Stage::Module, error)))?;
        check_symbols(&modules, kernel, needs, decision.build_depends.len()).map_err(&kept)?;
        take(&left, &made.join(SYMVERS), &result.join(SYMVERS), LARGEST_SYMVERS).map_err(cannot_write)?;
        take(&logs, Path::new(LOG), &result.join(LOG), LARGEST_LOG).map_err(cannot_write)?;
        let is_outside = said.iter().any(|line| line.starts_with("outside "));
        Ok(Made { modules, said, has_asked: has_asked && !is_outside })
    }

    /// The build in the sandbox, on the paths of dkms.
    fn run_inside(&self, run: &Run<'_>, folders: &Folders<'_>) -> Result<Ended> {
        let tree = format!("/usr/src/{}-{}", self.driver.name, self.driver.version);
        let Task { kernel, needs, .. } = run.task;
        let mut sandbox = Sandbox::with_programs()?;
        sandbox.add_usual_files();
        match (&self.options.os_release, self.options.manner) {
            (None, Manner::OnTarget) => sandbox.add_release_files()?,
            (text, _) => {
                let text = text.as_deref().unwrap_or(SOME_OS_RELEASE);
                sandbox.file("/usr/lib/os-release", text.as_bytes(), 0o644);
                sandbox.link("../usr/lib/os-release", "/etc/os-release");
            }
        }
        for part in &kernel.parts {
            match &part.kind {
                PartKind::Folder(folder) if part.inside != tree => sandbox.bind(folder, &part.inside)?,
                PartKind::Folder(_) => {}
                PartKind::Link(target) => sandbox.link(target, &part.inside),
            }
        }
        if !Path::new("/lib").is_symlink() {
            sandbox.link("/usr/lib/modules", "/lib/modules");
        }
        let places = Places::default();
        match self.options.manner {
            Manner::Packaged => sandbox.bind(folders.source, &tree)?,
            // as root, what a build writes to is there
            Manner::OnTarget => sandbox.bind_writable(folders.source, &tree)?,
        }
        sandbox.bind_writable(
            folders.dkms,
            &format!("{}/{}/{}", places.dkms_tree, self.driver.name, self.driver.version),
        )?;
        for need in needs {
            let source = need.source();
            sandbox
                .bind(&folders.work.join("src").join(&source), &format!("{}/{source}", places.source_tree))?;
            sandbox.bind(&need.built.folder, &format!("{}/{}", places.dkms_tree, need.place(kernel)))?;
        }
        sandbox.bind_writable(folders.log, LOGS)?;
        sandbox.bind_writable(folders.tmp, "/tmp")?;
        sandbox.bind_writable(folders.home, "/root")?;
        for (name, text) in self.stand_ins(run) {
            sandbox.file(&format!("{STAND_INS}/{name}"), text.as_bytes(), 0o755);
        }
        sandbox.file("/run/build.bash", self.script(run, &places).as_bytes(), 0o644);
        let variables = self.environment(kernel, STAND_INS);
        let command = ["bash", "/run/build.bash"];
        sandbox.run(&command, &variables, run.limits, &self.options.stop).map_err(|error| {
            match error.kind() {
                Kind::Lacking if self.options.manner == Manner::Packaged => {
                    let others = error.hint_text().unwrap_or_default().to_owned();
                    error.hint(format!("{others}; or build the driver with all your rights: `--no-sandbox`"))
                }
                _ => error,
            }
        })
    }

    /// The programs that are not this machine's.
    fn stand_ins(&self, run: &Run<'_>) -> Vec<(&'static str, String)> {
        let kernel = run.task.kernel.release.as_str();
        let imitated = match self.options.manner {
            Manner::Packaged => stand_ins(run.inputs, Some(&format!("{LOGS}/{ASKED}"))),
            Manner::OnTarget => Vec::new(),
        };
        if run.uname == Uname::Imitated {
            return imitated;
        }
        let mut kept: Vec<_> = imitated.into_iter().filter(|(name, _)| *name != "uname").collect();
        let running = self.options.running.as_deref();
        if running.is_none_or(|running| running == kernel) {
            kept.push(uname_of_another_kernel(kernel, another_kernel(kernel, running)));
        }
        kept
    }

    /// The same without a sandbox, on paths below the work folder, which the compiler is told to forget. The headers have to be
    /// installed: nothing can be shown where they expect to lie.
    fn run_outside(&self, run: &Run<'_>, folders: &Folders<'_>) -> Result<Ended> {
        let Task { kernel, needs, .. } = run.task;
        if !kernel.is_installed && !kernel.is_linked() {
            return Err(Error::lacking(format!("the headers of `{}` are not installed", kernel.release))
                .hint("install them, link them (`kpkg kernels fetch --link`), or build in the sandbox, without `--no-sandbox`"));
        }
        let below = |name: &str| folders.work.join(name).display().to_string();
        let failed = |error| Error::io("cannot write to the cache", folders.work, error);
        let (name, version) = (&self.driver.name, &self.driver.version);
        let places = Places {
            dkms_tree: below("tree"),
            source_tree: below("src"),
            log: folders.log.join(LOG).display().to_string(),
        };
        let own = |places: &Places| {
            [
                format!("{}/{name}/{version}", places.dkms_tree),
                format!("{}/{name}-{version}", places.source_tree),
            ]
        };
        let targets = [folders.dkms, folders.source];
        // as a path is named, and where it leads
        let forgotten =
            own(&places).into_iter().zip(targets).zip(own(&Places::default())).map(|(own, usual)| {
                let (link, target) = (own.0, own.1.display());
                format!("-ffile-prefix-map={link}={usual} -ffile-prefix-map={target}={usual}")
            });
        let forgotten = forgotten.collect::<Vec<_>>().join(" ");
        let needs = needs.iter().map(|need| {
            (format!("{}/{}", places.dkms_tree, need.place(kernel)), need.built.folder.as_path())
        });
        for (link, target) in own(&places).into_iter().zip(targets).chain(needs) {
            fs::create_dir_all(Path::new(&link).parent().unwrap_or(folders.work)).map_err(failed)?;
            symlink(target, link).map_err(failed)?;
        }
        fs::create_dir_all(below("bin")).map_err(failed)?;
        for (name, text) in stand_ins(run.inputs, None) {
            let place = folders.work.join("bin").join(name);
            fs::write(&place, text).map_err(failed)?;
            fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        }
        let script = folders.work.join("build.bash");
        fs::write(&script, self.script(run, &places)).map_err(failed)?;
        let mut variables = self.environment(kernel, &below("bin"));
        variables.insert("KCFLAGS", forgotten);
        variables.insert("TMPDIR", folders.tmp.display().to_string());
        let script = script.display().to_string();
        let mut ended =
            run_outside(&["bash", &script], folders.work, &variables, run.limits, &self.options.stop)?;
        ended.output.extend(b"outside sandbox\n");
        Ok(ended)
    }

    /// The source as the package has it: its own text of dkms.conf, plain modes, one time.
    fn copy_source(&self, driver: &Driver, folder: &Path) -> Result<()> {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(driver.stamp));
        for file in &driver.tree {
            self.options.stop.check()?;
            let place = folder.join(&file.path);
            let failed = |error| Error::io("cannot copy the source to", &place, error);
            match &file.kind {
                SourceKind::Directory => fs::create_dir_all(&place).map_err(failed)?,
                SourceKind::Symlink { target } => symlink(target, &place).map_err(failed)?,
                SourceKind::File { on_disk, executable, .. } => {
                    match driver.rewritten.get(&file.path) {
                        Some(text) => fs::write(&place, text).map_err(failed)?,
                        None => fs::copy(on_disk, &place).map(drop).map_err(failed)?,
                    }
                    let mode = if *executable { 0o755 } else { 0o644 };
                    fs::set_permissions(&place, fs::Permissions::from_mode(mode)).map_err(failed)?;
                    let file = File::options().append(true).open(&place).map_err(failed)?;
                    file.set_modified(time).map_err(failed)?;
                }
            }
        }
        Ok(())
    }

    fn environment(&self, kernel: &Kernel, stand_ins: &str) -> BTreeMap<&'static str, String> {
        let mut variables = BTreeMap::from([
            ("HOME", "/root".to_owned()),
            ("PATH", format!("{stand_ins}:/usr/sbin:/usr/bin:/sbin:/bin")),
            // errors are read
            ("LC_ALL", "C".to_owned()),
            ("CC", kernel.compiler.command.clone()),
            ("KERNEL_CC", kernel.compiler.command.clone()),
        ]);
        match self.options.manner {
            Manner::Packaged => variables
                .extend([("TZ", "UTC".to_owned()), ("SOURCE_DATE_EPOCH", self.driver.stamp.to_string())]),
            Manner::OnTarget => {
                let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/dkms";
                variables.insert("PATH", path.to_owned());
            }
        }
        if kernel.compiler.has_lld {
            variables.extend([("LD", "ld.lld".to_owned()), ("KERNEL_LD", "ld.lld".to_owned())]);
        }
        variables
    }

    /// Assignments of what differs, and the build.
    fn script(&self, run: &Run<'_>, places: &Places) -> String {
        let Task { kernel, decision, wanted, .. } = run.task;
        let identity = (self.driver.name.clone(), self.driver.version.clone());
        let usual = Places::default();
        // command lines as dkms.conf has them, with its paths
        let placed = |text: &str| {
            let own = format!("{}/{}-{}", usual.source_tree, identity.0, identity.1);
            let new = format!("{}/{}-{}", places.source_tree, identity.0, identity.1);
            text.replace(&usual.dkms_tree, &places.dkms_tree).replace(&own, &new)
        };
        let mut text = String::new();
        let mut set =
            |name: &str, value: &str| text.push_str(&format!("{name}={}\n", dkms::single_quote(value)));
        for (name, value) in dkms::settings(run.inputs, Some(&identity)) {
            if !matches!(name, "HOME" | "PATH") {
                set(name, &value);
            }
        }
        set("name", &self.driver.name);
        set("version", &self.driver.version);
        set("kernelver", &kernel.release);
        set("arch", &kernel.arch);
        set("dkms_tree", &places.dkms_tree);
        set("source_tree", &places.source_tree);
        set("install_tree", "/lib/modules");
        set("log", &places.log);
        set("compiler", &kernel.compiler.command);
        set("strip", if kernel.compiler.is_clang { "llvm-strip" } else { "strip" });
        set("parallel_jobs", &self.compilers.to_string());
        set("make_command", &placed(decision.make.as_deref().unwrap_or_default()));
        set("pre_build", &placed(decision.pre_build.as_deref().unwrap_or_default()));
        set("post_build", &placed(decision.post_build.as_deref().unwrap_or_default()));
        let mut list = |name: &str, values: &mut dyn Iterator<Item = &str>| {
            let values: Vec<_> = values.map(dkms::single_quote).collect();
            text.push_str(&format!("{name}=({})\n", values.join(" ")));
        };
        list("patches", &mut decision.patches.iter().map(String::as_str));
        list("built", &mut wanted.iter().map(|module| module.built.as_str()));
        list("names", &mut wanted.iter().map(|module| module.name.as_str()));
        list("strips", &mut wanted.iter().map(|module| if module.strip { "yes" } else { "no" }));
        text + BUILD
    }

    /// A failure with its log, which is kept beside the finished builds.
    fn failure(&self, stage: Stage, error: Error, logs: &Folder, place: &Path) -> Box<Failure> {
        let kept = self
            .options
            .cache
            .join(format!("failed-{}.log", place.file_name().unwrap_or_default().display()));
        let log = take(logs, Path::new(LOG), &kept, LARGEST_LOG).unwrap_or(false).then_some(kept);
        let build = format!("/{}/{}/build/", self.driver.name, self.driver.version);
        let is_source = |path: &str| self.driver.tree.iter().any(|file| file.path == path);
        let compiler_error = log
            .as_deref()
            .and_then(Said::first)
            .map(|said| said.at_home(&build, &self.driver.origin.root, is_source));
        Box::new(Failure { error, stage, compiler_error, log })
    }
}

fn unknown(why: &str) -> Error {
    Error::usage(format!("{why}, so it cannot be built")).hint(
        "give what dkms.conf asks about (`--os-release FILE`), or name what is meant in it; `kpkg show` tells the line",
    )
}

/// A module to be made.
struct Wanted {
    built: String,
    name: String,
    strip: bool,
}

/// The modules that dkms builds for the kernel of a decision.
fn wanted(decision: &Decision) -> Result<Vec<Wanted>> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for module in decision.modules.iter().filter(|module| module.verdict == Verdict::Builds) {
        let (Some(built), Some(name)) = (&module.built, &module.name) else { continue };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_plain) {
            return Err(Error::usage(format!("`{}` is no name for a module", name.escape_debug())));
        }
        if wanted.iter().any(|other| other.name == *name || other.built == *built) {
            return Err(Error::usage(format!("dkms.conf names the module `{name}` twice"))
                .hint("give each BUILT_MODULE_NAME and DEST_MODULE_NAME once"));
        }
        wanted.push(Wanted { built: built.clone(), name: name.clone(), strip: module.strip != Some(false) });
    }
    if wanted.is_empty() {
        return Err(Error::usage("dkms.conf names no module for this kernel"));
    }
    Ok(wanted)
}

/// The file of a program in the folders that a build sees.
fn program(name: &str) -> Option<PathBuf> {
    ["/usr/bin", "/usr/sbin"].iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// Changes when a program is replaced.
fn program_state(name: &str) -> String {
    let Some(path) = program(name).and_then(|path| fs::canonicalize(path).ok()) else { return String::new() };
    let Ok(metadata) = fs::metadata(&path) else { return String::new() };
    format!("{} {} {}.{}", path.display(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// The program that makes the types of a module, which BPF asks for.
const TYPES: &str = "pahole";

/// Whether a kernel's headers make types of modules: where they hold the kernel's own, and its configuration asks for it.
fn makes_types(kernel: &Kernel) -> bool {
    let config = || kernel.headers.read("include/config/auto.conf", 4 << 20).unwrap_or_default();
    kernel.headers.exists("vmlinux") && config().contains_str("CONFIG_DEBUG_INFO_BTF_MODULES=y")
}

/// What a build takes, with the package to install for what is missing.
fn check_programs(kernel: &Kernel, has_patches: bool) -> Result<()> {
    let compiler = &kernel.compiler;
    if program(&compiler.command).is_none() {
        // Debian's and Ubuntu's cross-style names are of the package without the machine
        let package =
            compiler.command.rsplit_once("-gnu-").map_or(compiler.command.as_str(), |(_, name)| name);
        let text = if compiler.text.is_empty() { &compiler.command } else { &compiler.text };
        return Err(Error::lacking(format!(
            "the kernel `{}` was built by `{text}`, and there is no `{}` here",
            kernel.release, compiler.command
        ))
        .hint(format!("install the package `{package}`")));
    }
    let binutils = if compiler.is_clang { "llvm-strip" } else { "strip" };
    let linker = if compiler.has_lld { "ld.lld" } else { "ld" };
    let always = [("make", "make"), ("bash", "bash"), (linker, "binutils"), (binutils, "binutils")];
    let patch = has_patches.then_some(("patch", "patch"));
    let types = makes_types(kernel).then_some((TYPES, TYPES));
    for (name, package) in always.into_iter().chain(patch).chain(types) {
        if program(name).is_none() {
            // Debian's name; others have it in dwarves
            let package = if package == TYPES { "pahole, or dwarves" } else { package };
            let package = if compiler.is_clang && package == "binutils" { "llvm and lld" } else { package };
            return Err(Error::lacking(format!("building takes `{name}`, which is not here"))
                .hint(format!("install the package {package}")));
        }
    }
    Ok(())
}

fn stage_error(failed: &str, said: &[String]) -> (Stage, Error) {
    let (stage, what) = failed.split_once(' ').unwrap_or((failed, ""));
    match stage {
        "patch" => (Stage::Patch, Error::failed(format!("the patch `{what}` does not apply"))),
        "make" => (Stage::Make, Error::failed("the driver does not compile")),
        "module" => (
            Stage::Module,
            Error::failed(format!("the build makes no `{what}`{}", made_instead(said))).hint(
                "BUILT_MODULE_NAME and BUILT_MODULE_LOCATION have to say what the Makefile makes, and where",
            ),
        ),
        "strip" => (Stage::Module, Error::failed(format!("`{what}` cannot be stripped"))),
        "copy" => (Stage::Other, Error::failed(format!("`{what}` cannot be copied"))),
        script => (Stage::Script, Error::failed(format!("the {script} script `{what}` fails"))),
    }
}

/// The modules that a build made, in words behind those that it did not make.
fn made_instead(said: &[String]) -> String {
    let made: Vec<_> = said.iter().filter_map(|line| line.strip_prefix("made ")).collect();
    match made.as_slice() {
        [] => String::new(),
        [only] => format!(", but `{only}`"),
        [first, rest @ ..] => format!(", but `{first}` and {} more", rest.len()),
    }
}

/// As much of a log, of the exported symbols, and of a module, as is taken.
const LARGEST_LOG: u64 = 64 << 20;
const LARGEST_SYMVERS: u64 = 64 << 20;
const LARGEST_MODULE: u64 = 1 << 30;

/// The SHA-256 digest of a regular file.
fn file_digest(folder: &Folder, path: &str) -> std::io::Result<String> {
    let mut file = folder.file(Path::new(path))?.ok_or(std::io::ErrorKind::NotFound)?;
    let mut sha256 = Sha256::new();
    std::io::copy(&mut file, &mut sha256)?;
    Ok(format!("{:x}", sha256.finalize()))
}

/// Copies what a build left to a new file, as much as `limit` of it; whether there is such a file.
fn take(left: &Folder, from: &Path, to: &Path, limit: u64) -> std::io::Result<bool> {
    let Some(file) = left.file(from)? else { return Ok(false) };
    copy(file, to, limit).map(|()| true)
}

/// Writes as much as `limit` of a file to a new one.
fn copy(file: File, to: &Path, limit: u64) -> std::io::Result<()> {
    // a file that is there from a build before
    match fs::remove_file(to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = File::create_new(to)?;
    std::io::copy(&mut file.take(limit), &mut new).map(drop)
}

/// Takes modules to `result`, reading each. `made` is their folder.
fn take_modules(
    left: &Folder,
    made: &Path,
    wanted: &[Wanted],
    result: &Path,
) -> Result<Vec<(String, KernelModule)>> {
    let mut modules = Vec::new();
    for module in wanted {
        let name = format!("{}.ko", module.name);
        let unreadable = |error| Error::io("the build made a module that cannot be read:", &name, error);
        let taken = |from: &Path, to: &Path| {
            let Some(file) = left.file(from).map_err(unreadable)? else {
                let from = from.strip_prefix(made).unwrap_or(from).display();
                return Err(Error::failed(format!("the build makes no `{from}`")));
            };
            if file.metadata().map_err(unreadable)?.len() > LARGEST_MODULE {
                let text = format!("the build makes a `{name}` of more than {} MiB", LARGEST_MODULE >> 20);
                return Err(Error::failed(text));
            }
            copy(file, to, LARGEST_MODULE).map_err(unreadable)?;
            File::open(to).and_then(KernelModule::read).map_err(unreadable)
        };
        let to = result.join(&name);
        let read = taken(&made.join(&name), &to)?;
        fs::set_permissions(&to, fs::Permissions::from_mode(0o644)).map_err(unreadable)?;
        if module.strip {
            fs::create_dir_all(result.join("debug")).map_err(unreadable)?;
            taken(&Path::new("debug").join(&name), &result.join("debug").join(&name))?;
        }
        modules.push((module.name.clone(), read));
    }
    Ok(modules)
}

/// Fails with everything that keeps the modules from being loaded. Where fewer drivers are there than have to be installed before,
/// symbols that nobody exports may be theirs.
fn check_symbols(
    modules: &[(String, KernelModule)],
    kernel: &Kernel,
    needs: &[Need<'_>],
    needed: usize,
) -> Result<(), (Stage, Error)> {
    let text = kernel.headers.read(SYMVERS, 64 << 20).unwrap_or_default();
    let named: Vec<_> = modules.iter().map(|(name, module)| (name.as_str(), module)).collect();
    let others: Vec<_> =
        needs.iter().flat_map(|need| &need.built.modules).map(|module| &module.module).collect();
    let symvers = Symvers::read(&text, &named);
    let mut obstacles = symvers.obstacles(&named, &others, &kernel.release, &kernel.arch);
    if needs.len() < needed {
        obstacles.retain(|obstacle| !obstacle.ends_with("does not export"));
    }
    let count = obstacles.len();
    obstacles.truncate(10);
    let is_other =
        |(_, module): &(_, KernelModule)| module.kernel().is_some_and(|other| other != kernel.release);
    let stage = if modules.iter().any(is_other) { Stage::OtherKernel } else { Stage::Symbols };
    match obstacles.as_slice() {
        [] => Ok(()),
        some => Err((
            stage,
            Error::failed(format!(
                "the kernel `{}` cannot load the modules ({count} {}): {}",
                kernel.release,
                if count == 1 { "obstacle" } else { "obstacles" },
                some.join("; ")
            )),
        )),
    }
}

/// What to say about a build that succeeded.
fn findings(said: &[String], kernel: &Kernel) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let own = &kernel.compiler;
    let release = |version: &str| version.split('.').take(2).map(str::to_owned).collect::<Vec<_>>();
    for line in said {
        let Some((word, rest)) = line.split_once(' ') else { continue };
        match word {
            "compiler"
                if !own.version.is_empty() && !rest.is_empty() && release(rest) != release(&own.version) =>
            {
                let text = format!(
                    "`{}` was built by `{}`, and `{}` is {rest} here",
                    kernel.release, own.text, own.command
                );
                let hint = format!("install version {} of the compiler", own.version);
                findings.push(Diagnostic::warning(&OTHER_COMPILER, text).hint(hint));
            }
            "outside" => {
                let hint = "modules may differ from those of other machines; in the sandbox they are the same everywhere";
                let text = format!("built for `{}` without a sandbox", kernel.release);
                findings.push(Diagnostic::warning(&NO_NAMESPACE, text).hint(hint));
            }
            "imitated" => {
                let text = format!(
                    "the modules for `{}` are only right because `uname -r` answered with it; a package of the source does not \
                     build them while another kernel runs",
                    kernel.release
                );
                let hint = "give MAKE what the Makefile asks for, such as `KVER=$kernelver` or `KDIR=$kernel_source_dir`; \
                            `kpkg check --build` tells whether it is enough";
                let finding = Diagnostic::warning(&ONLY_IMITATED, text).with_note(format!("then: {rest}"));
                findings.push(finding.hint(hint));
            }
            "unnamed" => {
                let text = format!("the build makes `{rest}`, which dkms.conf does not name");
                findings.push(Diagnostic::warning(&UNNAMED_MODULE, text));
            }
            "unexecutable" => {
                let text = format!("the script of {} is not executable", rest.replacen(' ', " `", 1) + "`");
                findings.push(Diagnostic::warning(&DEAD_BUILD_HOOK, text));
            }
            _ => {}
        }
    }
    if !kernel.headers.exists("Module.symvers") {
        let text = format!("the headers of `{}` have no Module.symvers", kernel.release);
        findings.push(Diagnostic::warning(&NO_SYMVERS, text));
    }
    findings
}

/// A digest of the packaged source.
pub(crate) fn source_digest(driver: &Driver, stop: &Stop) -> Result<String> {
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    for file in &driver.tree {
        stop.check()?;
        sha256.update((file.path.len() as u64).to_le_bytes());
        sha256.update(&file.path);
        match &file.kind {
            SourceKind::Directory => sha256.update("d"),
            SourceKind::Symlink { target } => {
                sha256.update("l");
                sha256.update((target.len() as u64).to_le_bytes());
                sha256.update(target);
            }
            SourceKind::File { on_disk, size, executable } => {
                sha256.update(if *executable { "x" } else { "f" });
                if let Some(text) = driver.rewritten.get(&file.path) {
                    sha256.update((text.len() as u64).to_le_bytes());
                    sha256.update(text);
                    continue;
                }
                sha256.update(size.to_le_bytes());
                let failed = |error| Error::io("cannot read", on_disk.as_ref(), error);
                let mut content = File::open(on_disk).map_err(failed)?;
                loop {
                    match content.read(&mut buffer).map_err(failed)? {
                        0 => break,
                        count => sha256.update(&buffer[..count]),
                    }
                }
            }
        }
    }
    sha256.update(driver.stamp.to_le_bytes());
    Ok(format!("{:x}", sha256.finalize()))
}
