//! Whether a package of a driver's source builds on a target: builds it as dkms does there, while another kernel runs.
//!
//! Takes what is in the package and nothing else, and says for each kernel what came of it and whose fault it is.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::diagnostic::{Code, Diagnostic, Severity};
use crate::base::error::{Error, Kind, Result};
use crate::build::packaged::{self, PackagedSource};
use crate::build::{self, Prebuilt, Prepared, Progress, Tell};
use crate::compile::{self, Before, Blame, Event, Failure, Fault, FaultFacts, Guess, Manner, Outcome, Stage};
use crate::dkms::Verdict;
use crate::driver::bash::ConfShell;
use crate::driver::{self, Driver};
use crate::kernel::machine::Machine;
use crate::kernel::{self, Kernel};
use crate::output::Stop;
use crate::plan::profile;

/// The findings of this layer.
pub const CODES: &[&Code] = &[&DOES_NOT_BUILD, &NOT_TRIED];

const DOES_NOT_BUILD: Code = Code {
    id: "K1010",
    title: "the package of the source does not build",
    explanation: "`kpkg check --build` builds what is in the package as dkms does on a target: from /usr/src/NAME-VERSION, in\n\
                  /var/lib/dkms, with dkms's command lines and variables, while another kernel runs, for which there are no\n\
                  headers. What fails here fails on every machine with such headers. The sentence beside the first error\n\
                  says whose fault it is. The driver's code: it fails alike when it is built by hand. The layout: what the\n\
                  build looks for is not where dkms.conf or a Makefile says, or not in the package. kpkg's guess: it made\n\
                  the dkms.conf, or took the wrong folder as the root. The machine: the build takes what targets need not\n\
                  have, such as a program or a network.",
};
const NOT_TRIED: Code = Code {
    id: "K1012",
    title: "the source was not built for a kernel",
    explanation: "Headers of this kernel are on the machine, but are not whole or are for another machine, or the compiler of\n\
                  the kernel is missing. `kpkg check --build` takes all kernels whose headers are at hand where none is\n\
                  named, and leaves out those that cannot be used; one that `--kernel` names has to be usable.",
};

/// How it is tried.
#[derive(Debug, Clone)]
pub struct Trying {
    /// For which kernels, and how; without a kernel, for all whose headers are at hand.
    pub build: Prebuilt,
    /// The text of `/etc/os-release`, where it is not this machine's.
    pub os_release: Option<String>,
    /// The folder for what has to be written for it.
    pub scratch: PathBuf,
    pub stop: Stop,
}

/// The source of a package, and what is known about it.
#[derive(Debug)]
pub struct Source {
    packaged: PackagedSource,
    /// Where a reader knows its files.
    home: PathBuf,
    guesses: Vec<Guess>,
    left_out: Vec<String>,
    /// The packages that hold a kernel's headers, with the marks of profiles.
    headers: Vec<String>,
}

/// What came of a driver.
#[derive(Debug)]
pub struct Trial {
    /// Its name.
    pub driver: String,
    pub kernels: Vec<Tried>,
    /// What there is to say; an error for what does not build.
    pub findings: Vec<Diagnostic>,
    /// Why nothing is known, where nothing was built and nothing failed.
    pub lacking: Option<Error>,
}

/// What came of a driver for a kernel.
#[derive(Debug)]
pub struct Tried {
    pub kernel: String,
    /// How it went.
    pub outcome: Outcome,
    /// Whose fault it is, where it failed.
    pub blame: Option<Blame>,
}

/// The sources of planned packages, one of each driver.
pub fn planned(drivers: &[Prepared], options: &Trying) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for prepared in drivers {
        let mut headers: Vec<String> = Vec::new();
        let mut found = None;
        for job in &prepared.packages {
            if !headers.contains(&job.target.headers) {
                headers.push(job.target.headers.clone());
            }
            if found.is_none() {
                found = packaged::planned(&job.package, &options.scratch, &options.stop)?;
            }
        }
        if let Some(packaged) = found {
            sources.push(Source {
                packaged,
                home: prepared.root.clone(),
                headers,
                guesses: prepared.guesses.clone(),
                left_out: prepared.driver.left_out.iter().map(|left| left.path.clone()).collect(),
            });
        }
    }
    Ok(sources)
}

/// The sources in a finished package, meant for some targets or for all of its format; nothing when the file is no package.
pub fn finished(path: &Path, targets: &[String], options: &Trying) -> Result<Option<Vec<Source>>> {
    let Some((family, found)) = packaged::unpacked(path, &options.scratch, &options.stop)? else {
        return Ok(None);
    };
    if found.is_empty() {
        return Err(Error::usage("brings no source of a driver to /usr/src, so there is nothing to build:")
            .at(path)
            .hint("give a package that dkms builds, or a driver's folder"));
    }
    let named: Vec<_> = targets.iter().map(|name| profile::target(name)).collect::<Result<_>>()?;
    let targets = if named.is_empty() { vec![profile::target(family)?] } else { named };
    let source = |packaged: PackagedSource| Source {
        home: Path::new("/usr/src").join(&packaged.name),
        packaged,
        headers: targets.iter().map(|target| target.headers.clone()).collect(),
        guesses: Vec::new(),
        left_out: Vec::new(),
    };
    Ok(Some(found.into_iter().map(source).collect()))
}

/// Builds sources for every kernel, each after those that its `BUILD_DEPENDS` names.
pub fn run(sources: &[Source], options: &Trying, tell: Tell<'_>) -> Result<Vec<Trial>> {
    let Chosen { kernels, unusable } = choose(sources, options)?;
    let drivers = sources.iter().map(|source| read(source, &kernels, options)).collect::<Result<Vec<_>>>()?;
    let all: Vec<&Driver> = drivers.iter().collect();
    let mut outcomes: Vec<Option<Vec<Outcome>>> = drivers.iter().map(|_| None).collect();
    for index in build::build_order(&all) {
        let done = drivers.iter().zip(&outcomes);
        let before: Vec<_> = done
            .filter_map(|(driver, outcomes)| Some(Before { driver, outcomes: outcomes.as_deref()? }))
            .collect();
        let found = if misplaced(&sources[index], &drivers[index]).is_some() {
            Vec::new()
        } else {
            compile(&drivers[index], &kernels, &before, options, tell)?
        };
        outcomes[index] = Some(found);
    }
    let names: Vec<&str> = drivers.iter().map(|driver| driver.name.as_str()).collect();
    let judge = Judge { kernels: &kernels, unusable: &unusable, names: &names, options };
    let each = sources.iter().zip(&drivers).zip(outcomes);
    Ok(each
        .map(|((source, driver), outcomes)| judge.trial(source, driver, outcomes.unwrap_or_default()))
        .collect())
}

// ---- for which kernels --------------------------------------------------------------------------------------------------------

struct Chosen {
    kernels: Vec<Kernel>,
    /// Kernels that nobody named and whose headers cannot be used, with the reason.
    unusable: Vec<(String, Error)>,
}

fn choose(sources: &[Source], options: &Trying) -> Result<Chosen> {
    let build = &options.build;
    let cache = build::header_cache(&build.cache);
    let select = |kernels: &[String]| kernel::select(&build.wanted(kernels, &cache), &options.stop);
    let at_hand = kernel::at_hand(&build.wanted(&build.kernels, &cache), &options.stop)?;
    let running = build.running.clone().unwrap_or_default();
    let (mut named, mut any) = (Vec::new(), Vec::new());
    for name in &build.kernels {
        match name.as_str() {
            "all" => any.extend(at_hand.iter().cloned()),
            "running" => named.push(running.clone()),
            name => named.push(name.to_owned()),
        }
    }
    if build.kernels.is_empty() && build.headers.is_empty() {
        any.clone_from(&at_hand);
    }
    if let Some(missing) = named.iter().find(|name| !at_hand.contains(name)) {
        return Err(no_headers(format!("there are no headers of the kernel `{missing}`"), sources, missing));
    }
    let mut chosen = Chosen { kernels: Vec::new(), unusable: Vec::new() };
    if !named.is_empty() || any.is_empty() && !build.headers.is_empty() {
        chosen.kernels = select(&named)?;
    }
    for name in any {
        if chosen.kernels.iter().any(|kernel| kernel.release == name) {
            continue;
        }
        match select(std::slice::from_ref(&name)) {
            Ok(found) => chosen.kernels.extend(found),
            Err(error) if error.kind() == Kind::Usage => chosen.unusable.push((name, error)),
            Err(error) => return Err(error),
        }
    }
    if chosen.kernels.is_empty() {
        let text = match chosen.unusable.first() {
            Some((_, error)) => format!("no kernel headers at hand can be used: {error}"),
            None => "no kernel headers are at hand to build the source for".to_owned(),
        };
        let release = if running.is_empty() { "KVER" } else { &running };
        return Err(no_headers(text, sources, release));
    }
    Ok(chosen)
}

/// Names the packages that would help.
fn no_headers(text: String, sources: &[Source], release: &str) -> Error {
    let mut names: Vec<String> = Vec::new();
    for pattern in sources.iter().flat_map(|source| &source.headers) {
        let flavour = release.rsplit('-').next().unwrap_or(release);
        let name = format!("`{}`", pattern.replace("%k", release).replace("%f", flavour));
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let names = names.join(" or ");
    Error::lacking(text).hint(format!(
        "install the headers of a kernel, such as {names}, or give such packages, which need not be installed: `--kernel-headers \
         FILE…`"
    ))
}

// ---- one driver ---------------------------------------------------------------------------------------------------------------

/// The driver as dkms reads it on a target, for every kernel.
fn read(source: &Source, kernels: &[Kernel], options: &Trying) -> Result<Driver> {
    let running = options.build.running.as_deref();
    let machine = |kernel: &Kernel| Machine {
        running: Some(compile::another_kernel(&kernel.release, running).to_owned()),
        ..compile::machine(kernel, &options.build.machine)
    };
    let read = |conf_shell| {
        let options = driver::Surroundings {
            machines: kernels.iter().map(machine).collect(),
            conf_shell,
            stop: options.stop.clone(),
            // of any time: all files have the same
            stamp: Some(1_000_000_000),
            ..driver::Surroundings::default()
        };
        Driver::as_packaged(&source.packaged.root, source.packaged.files.clone(), &options).map(
            |(mut driver, _)| {
                driver.origin.root.clone_from(&source.home);
                driver
            },
        )
    };
    let driver = read(ConfShell::Own)?;
    // where something about the machine is asked that only it can answer, it is asked, as dkms does
    let is_open = driver.kernels.iter().any(|found| {
        !found.decision.unknown.is_empty() || matches!(found.decision.verdict, Verdict::Unknown(_))
    });
    if is_open { read(ConfShell::Bash) } else { Ok(driver) }
}

/// The folder that dkms looks for, where the package has another one.
fn misplaced(source: &Source, driver: &Driver) -> Option<String> {
    let expected = format!("{}-{}", driver.name, driver.version);
    (source.packaged.name != expected).then_some(expected)
}

fn compile(
    driver: &Driver,
    kernels: &[Kernel],
    before: &[Before<'_>],
    options: &Trying,
    tell: Tell<'_>,
) -> Result<Vec<Outcome>> {
    let build = &options.build;
    let compiling = compile::Compiling {
        manner: Manner::OnTarget,
        running: build.running.clone(),
        os_release: options.os_release.clone(),
        cache: build.cache.join("builds"),
        compilers: build.compilers,
        timeout: build.timeout,
        keep_going: true,
        without_sandbox: false,
        stop: options.stop.clone(),
    };
    let done = AtomicUsize::new(0);
    compile::compile(driver, kernels, before, &compiling, &|event| {
        let (index, is_done) = match event {
            Event::Begins(index) => (index, false),
            Event::Ends(index) => (index, true),
        };
        let step = usize::from(is_done);
        let done = done.fetch_add(step, Ordering::Relaxed) + step;
        let kernel = &kernels[index].release;
        tell(Progress { driver: &driver.name, kernel, is_done, done, total: kernels.len() });
    })
}

/// Says what came of it.
struct Judge<'a> {
    kernels: &'a [Kernel],
    unusable: &'a [(String, Error)],
    /// All drivers of the run.
    names: &'a [&'a str],
    options: &'a Trying,
}

impl Judge<'_> {
    fn trial(&self, source: &Source, driver: &Driver, outcomes: Vec<Outcome>) -> Trial {
        let mut trial =
            Trial { driver: driver.name.clone(), kernels: Vec::new(), findings: Vec::new(), lacking: None };
        for (kernel, error) in self.unusable {
            trial.findings.push(not_tried(kernel, error));
        }
        if let Some(expected) = misplaced(source, driver) {
            let text = format!(
                "the source lies in `/usr/src/{}`, and dkms looks for `{} {}` in `/usr/src/{expected}`",
                source.packaged.name, driver.name, driver.version
            );
            let hint = "name the folder as PACKAGE_NAME and PACKAGE_VERSION say";
            trial.findings.push(Diagnostic::error(&DOES_NOT_BUILD, text).hint(hint));
            return trial;
        }
        let is_built = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Built(_)));
        let (mut lacking, mut skipped) = (None, None);
        for (kernel, outcome) in self.kernels.iter().zip(outcomes) {
            let mut blame = None;
            match &outcome {
                Outcome::Built(built) => trial.findings.extend(built.findings.iter().map(of_machine)),
                Outcome::Skipped(why) => skipped = Some(why.clone()),
                Outcome::Failed(failure) if failure.error.kind() == Kind::Lacking => {}
                Outcome::Failed(failure) => {
                    let found = self.blame(source, driver, kernel, failure);
                    add_failure(&mut trial.findings, driver, kernel, failure, &found);
                    blame = Some(found);
                }
                Outcome::Served(_) | Outcome::NotTried => {}
            }
            let outcome = match outcome {
                Outcome::Failed(failure) if failure.error.kind() == Kind::Lacking => {
                    trial.findings.push(not_tried(&kernel.release, &failure.error));
                    let why = failure.error.to_string();
                    let is_named = self.options.build.kernels.contains(&kernel.release);
                    if is_named || !is_built {
                        lacking.get_or_insert(failure.error);
                    }
                    Outcome::Skipped(why)
                }
                outcome => outcome,
            };
            trial.kernels.push(Tried { kernel: kernel.release.clone(), outcome, blame });
        }
        let has_failed = trial.kernels.iter().any(|tried| matches!(tried.outcome, Outcome::Failed(_)));
        trial.lacking = lacking.or_else(|| {
            let why = skipped.filter(|_| !is_built && !has_failed)?;
            let text =
                format!("`{}` is for none of the kernels whose headers are at hand: {why}", driver.name);
            Some(no_headers(text, std::slice::from_ref(source), "KVER"))
        });
        trial
    }

    fn blame(&self, source: &Source, driver: &Driver, kernel: &Kernel, failure: &Failure) -> Blame {
        let decision = driver.kernels.iter().find(|found| found.kernel == kernel.release);
        let needs = decision.map(|found| found.decision.build_depends.as_slice()).unwrap_or_default();
        let missing = needs.iter().find(|name| !self.names.contains(&name.as_str()));
        compile::fault(
            failure,
            &FaultFacts {
                name: &driver.name,
                version: &driver.version,
                running: compile::another_kernel(&kernel.release, self.options.build.running.as_deref()),
                guesses: &source.guesses,
                left_out: &source.left_out,
                missing_driver: missing.map(String::as_str),
            },
        )
    }
}

fn not_tried(kernel: &str, error: &Error) -> Diagnostic {
    let finding = Diagnostic::note(&NOT_TRIED, format!("not built for `{kernel}`: {error}"));
    match error.hint_text() {
        Some(hint) => finding.hint(hint),
        None => finding,
    }
}

/// What is to say about this machine and its headers is none of the driver's business here.
fn of_machine(finding: &Diagnostic) -> Diagnostic {
    let severity = if compile::is_of_machine(finding.code) { Severity::Note } else { finding.severity };
    Diagnostic { severity, ..finding.clone() }
}

/// A finding for each way to fail, with the kernels that it is the same for.
fn add_failure(
    findings: &mut Vec<Diagnostic>,
    driver: &Driver,
    kernel: &Kernel,
    failure: &Failure,
    blame: &Blame,
) {
    let whole = format!("`{}` does not build as dkms builds it: {}", driver.name, failure.error);
    let mut notes: Vec<String> = failure.compiler_error.iter().map(ToString::to_string).collect();
    notes.push(format!("whose fault: {}: {}", fault_words(blame.fault), blame.why));
    let same =
        findings.iter_mut().find(|finding| finding.message == whole && finding.notes.starts_with(&notes));
    if let Some(same) = same {
        same.notes.push(format!("for `{}` too", kernel.release));
        return;
    }
    let mut finding = Diagnostic::error(&DOES_NOT_BUILD, whole);
    finding.notes = notes;
    finding.notes.push(format!("for `{}`", kernel.release));
    if let Some(log) = &failure.log {
        finding.notes.push(format!("log: {}", log.display()));
    }
    finding.hint = blame.hint.clone().or_else(|| failure.error.hint_text().map(str::to_owned));
    if finding.hint.is_none() && failure.stage == Stage::Make {
        finding.hint =
            Some("read the log, correct the driver, and run `kpkg check --build` again".to_owned());
    }
    findings.push(finding);
}

/// A fault in words.
#[must_use]
pub fn fault_words(fault: Fault) -> &'static str {
    match fault {
        Fault::Driver => "the driver's code",
        Fault::Layout => "the layout",
        Fault::Guess => "kpkg's guess",
        Fault::Machine => "what the build takes from the machine",
        Fault::Unclear => "not clear",
    }
}
