//! Arguments in, result out; the only reader of environment and clock, and the only printer.

#![allow(clippy::print_stderr, clippy::disallowed_methods, reason = "this is the place for both")]

mod sign;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use kpkg::bash::ConfShell;
use kpkg::build::{Artifact, Prepared};
use kpkg::cli::{
    BuildArgs, CheckArgs, Cli, Command, CompileArgs, Deny, DiffArgs, InitArgs, KernelsAction, PackageArgs,
    ShowArgs, When,
};
use kpkg::diagnostic::{Diagnostic, Severity};
use kpkg::error::{Error, Kind, Result};
use kpkg::input::Input;
use kpkg::inspect::inspect;
use kpkg::machine::Machine;
use kpkg::output::{Means, MemoryLimit, Stop};
use kpkg::trial::{self, Trial};
use kpkg::{build, check, cli, diff, kernel, machine, report};
use signal_hook::consts::{SIGINT, SIGTERM};

fn main() -> ExitCode {
    // a panic of the parser of dkms.conf is caught, and becomes a finding
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(kpkg::dkms::THREAD) {
            usual(panic);
        }
    }));
    let cli = Cli::parse();
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(&Error::io("cannot listen to signals", "", error), false, false),
    };
    match &cli.command {
        None => run_build(&cli.build, &signals),
        Some(Command::Build(args)) => run_build(args, &signals),
        Some(Command::Show(args)) => run_show(args, &signals),
        Some(Command::Check(args)) => match run_check(args, &signals) {
            Ok(code) => code,
            Err(_) if signals.stop.is_set() => signals.exit_code(),
            Err(error) => fail(&error, colored(args.color), args.json),
        },
        Some(Command::Diff(args)) => run_diff(args),
        Some(Command::Init(args)) => {
            run_init(args, &signals).unwrap_or_else(|error| fail(&error, colored(args.color), false))
        }
        Some(Command::Kernels { action }) => match run_kernels(action, &signals) {
            Ok(code) => code,
            Err(_) if signals.stop.is_set() => signals.exit_code(),
            Err(error) => fail(&error, colored(When::Auto), false),
        },
        Some(Command::Explain { code }) => explain(code),
        Some(Command::Completions { shell }) => print(&cli::completions(*shell)),
        Some(Command::Man { command }) => match cli::man_page(command.as_deref()) {
            Ok(page) => print(&page),
            Err(error) => fail(&error, false, false),
        },
    }
}

/// The first signal asks to stop, so that nothing half-written stays; a second one ends the process at once.
struct Signals {
    stop: Stop,
    which: Arc<AtomicUsize>,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let signals = Self { stop: Stop::default(), which: Arc::new(AtomicUsize::new(0)) };
        for signal in [SIGINT, SIGTERM] {
            let number = usize::try_from(signal).unwrap_or_default();
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, signals.stop.flag())?;
            signal_hook::flag::register_usize(signal, Arc::clone(&signals.which), number)?;
            signal_hook::flag::register(signal, signals.stop.flag())?;
        }
        Ok(signals)
    }

    /// The exit code that tells which signal came: 130 or 143.
    fn exit_code(&self) -> ExitCode {
        ExitCode::from(128 + u8::try_from(self.which.load(Ordering::Relaxed)).unwrap_or(2))
    }
}

/// Options of the library with what the environment adds.
fn options(given: build::Options, templates: Option<&Path>, signals: &Signals) -> Result<build::Options> {
    let means = Means { stop: signals.stop.clone(), ..given.means };
    Ok(build::Options {
        templates: templates.map(Path::to_owned),
        stamp: source_date_epoch()?,
        means,
        ..given
    })
}

/// The folder for what is worth keeping between runs (XDG Base Directory Specification).
fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let own = set("KPKG_CACHE");
    let usual = || Some(set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?.join("kpkg"));
    own.or_else(usual).ok_or_else(|| {
        Error::usage("there is no folder for what is kept between runs")
            .hint("set HOME, or KPKG_CACHE to a folder")
    })
}

/// What is compiled, where modules are asked for.
fn prebuilt(args: &BuildArgs) -> Result<Option<build::Prebuilt>> {
    let (wanted, facts) = (&args.prebuilt, args.machine.options());
    if !wanted.prebuilt {
        if args.check_build || facts.kernels.is_empty() && facts.headers.is_empty() {
            return Ok(None);
        }
        return Err(Error::usage(
            "kernels are given, and the packages carry source, which is built on the target",
        )
        .hint("add `--prebuilt` to compile for these kernels, or `--check-build` to see whether the source builds for them"));
    }
    let prebuilt = compiling(facts, &wanted.compile, wanted.keep_going)?;
    Ok(Some(build::Prebuilt { without_sandbox: wanted.no_sandbox, ..prebuilt }))
}

/// How modules are compiled.
fn compiling(facts: machine::Options, args: &CompileArgs, keep_going: bool) -> Result<build::Prebuilt> {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = args.jobs.unwrap_or(processors).max(1);
    let rest = machine::Options { kernels: Vec::new(), headers: Vec::new(), arch: None, ..facts.clone() };
    let machine = machine::machines(&rest)?.into_iter().next().unwrap_or_default();
    Ok(build::Prebuilt {
        kernels: facts.kernels,
        headers: facts.headers,
        machine: Machine { processors: machine.processors.or_else(|| u32::try_from(jobs).ok()), ..machine },
        running: kernel::running(),
        arch: facts.arch.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cache: cache()?,
        jobs,
        timeout: Duration::from_secs(args.timeout),
        keep_going,
        without_sandbox: false,
    })
}

/// How the source is built as on a target: on this machine, as far as nothing else is said.
fn trial_options(facts: machine::Options, args: &CompileArgs, signals: &Signals) -> Result<trial::Options> {
    let mut build = compiling(facts, args, true)?;
    let os_release = build.machine.os_release.clone();
    let this = Machine {
        online_processors: build.machine.processors,
        // a machine without one has no distribution's name
        os_release: Some(machine::read_os_release(Path::new("/etc/os-release")).unwrap_or_default()),
        ..Machine::default()
    };
    build.machine = build.machine.or(&this);
    Ok(trial::Options { build, os_release, scratch: std::env::temp_dir(), stop: signals.stop.clone() })
}

fn open(args: &PackageArgs, signals: &Signals) -> Result<Input> {
    Input::open(args.folder(), args.revision.as_deref(), &std::env::temp_dir(), &signals.stop)
}

/// `SOURCE_DATE_EPOCH`, where it is set (reproducible-builds.org's specification).
fn source_date_epoch() -> Result<Option<u32>> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = value.to_str().and_then(|text| text.parse().ok());
    let hint = "set it to seconds since 1970, or unset it";
    seconds.map(Some).ok_or_else(|| {
        Error::usage(format!("SOURCE_DATE_EPOCH is `{}`, no number of seconds", value.display())).hint(hint)
    })
}

/// The memory of this machine in bytes (`sysinfo(2)`).
fn physical_memory() -> u64 {
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "it has 32 bits on machines of 32 bits")]
    u64::from(info.totalram).saturating_mul(info.mem_unit.into())
}

fn colored(when: When) -> bool {
    colored_on(when, std::io::stderr().is_terminal())
}

fn colored_on(when: When, is_terminal: bool) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none(),
    }
}

fn run_build(args: &BuildArgs, signals: &Signals) -> ExitCode {
    let color = colored(args.package.color);
    match try_build(args, color, signals) {
        Ok(code) => code,
        Err(_) if signals.stop.is_set() => signals.exit_code(),
        Err(error) => fail(&error, color, args.json),
    }
}

fn try_build(args: &BuildArgs, color: bool, signals: &Signals) -> Result<ExitCode> {
    let mut options = options(args.options(), args.templates.as_deref(), signals)?;
    options.request.made_on = args.buildinfo.then(|| std::env::consts::ARCH.to_owned());
    let signer = match (&args.sign, &args.sign_command) {
        (Some(key), _) => Some(sign::with_key(key)),
        (None, Some(command)) => Some(sign::with_command(command)),
        (None, None) => None,
    };
    if args.memory.is_none() {
        // the default of `xz -T0` (xz(1), `--memlimit-mt-compress`)
        options.means.memory = MemoryLimit::Gentle(physical_memory() / 4);
    }
    let options = build::Options { prebuilt: prebuilt(args)?, signer, ..options };
    let input = open(&args.package, signals)?;
    let progress = CompileProgress::new("Compiling", args.quiet || args.json);
    let drivers = build::prepare(&input, &options, &|event| progress.tell(event));
    progress.end();
    let drivers = drivers?;
    let mut lines = Vec::new();
    if args.check_build && !builds(&drivers, &input, options, args, signals)? {
        return Ok(ExitCode::from(1));
    }
    let (mut code, mut packaged) = (ExitCode::SUCCESS, 0);
    for prepared in &drivers {
        tell(&prepared.diagnostics, args, color);
        packaged += prepared.jobs.len();
        if args.quiet && !args.json {
            say(&report::failures_text(&prepared.kernels));
        }
        if let Some(failure) = prepared.failure() {
            code = ExitCode::from(if prepared.jobs.is_empty() { exit_code(failure.error.kind()) } else { 4 });
        }
        if args.json {
            lines.extend(
                prepared
                    .kernels
                    .iter()
                    .map(|found| report::outcome_json(&prepared.driver.name, &found.kernel, &found.outcome))
                    .map(|value| value.to_string()),
            );
        }
        if args.dry_run && args.json {
            lines.push(report::plan_json(prepared).to_string());
        } else if args.dry_run {
            let paths = prepared.jobs.iter().flat_map(|job| &job.artifacts);
            lines.extend(paths.map(|path| path.display().to_string()));
        } else {
            let artifacts = write(prepared, args)?;
            lines.extend(artifacts.iter().map(|artifact| {
                if args.json {
                    report::artifact_json(artifact).to_string()
                } else {
                    artifact.written.path.display().to_string()
                }
            }));
        }
    }
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let printed = print(text.as_bytes());
    if code == ExitCode::SUCCESS && packaged == 0 {
        return Err(Error::usage("the driver is for none of these kernels")
            .hint("name others: BUILD_EXCLUSIVE_* in dkms.conf says which it is for"));
    }
    Ok(if code == ExitCode::SUCCESS { printed } else { code })
}

/// Whether the source of packages that are not written yet builds; tells what came of it.
fn builds(
    drivers: &[Prepared],
    input: &Input,
    options: build::Options,
    args: &BuildArgs,
    signals: &Signals,
) -> Result<bool> {
    let color = colored(args.package.color);
    let trials = if options.prebuilt.is_some() {
        let options = build::Options { prebuilt: None, ..options };
        try_source(&build::prepare(input, &options, &|_| ())?, args, signals)?
    } else {
        try_source(drivers, args, signals)?
    };
    let findings: Vec<_> = trials.iter().flat_map(|trial| trial.findings.iter().cloned()).collect();
    let has_failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    if args.json {
        let values = trials.iter().flat_map(report::trial_json);
        print(values.map(|value| format!("{value}\n")).collect::<String>().as_bytes());
    } else if !args.quiet {
        say(&report::trials_text(&trials));
    }
    if has_failed {
        for prepared in drivers {
            tell(&prepared.diagnostics, args, color);
        }
    }
    tell(&findings, args, color);
    match trials.into_iter().find_map(|trial| trial.lacking) {
        Some(error) if !has_failed => Err(error),
        _ => Ok(!has_failed),
    }
}

/// Builds the source of packages that are not written yet.
fn try_source(drivers: &[Prepared], args: &BuildArgs, signals: &Signals) -> Result<Vec<Trial>> {
    let options = trial_options(args.machine.options(), &args.prebuilt.compile, signals)?;
    let progress = CompileProgress::new("Building", args.quiet || args.json);
    let trials = trial::run(&trial::planned(drivers, &options)?, &options, &|event| progress.tell(event));
    progress.end();
    trials
}

/// Tells how compiling goes: in one line on a terminal, else in a line for each kernel.
struct CompileProgress {
    word: &'static str,
    is_quiet: bool,
    is_terminal: bool,
    running: Mutex<Vec<String>>,
}

impl CompileProgress {
    fn new(word: &'static str, is_quiet: bool) -> Self {
        Self { word, is_quiet, is_terminal: std::io::stderr().is_terminal(), running: Mutex::new(Vec::new()) }
    }

    fn tell(&self, event: build::Progress<'_>) {
        if self.is_quiet {
            return;
        }
        let Ok(mut running) = self.running.lock() else { return };
        running.retain(|kernel| kernel != event.kernel);
        if !event.is_done {
            running.push(event.kernel.to_owned());
        }
        if self.is_terminal {
            let (done, total) = (event.done, event.total);
            say_over(&format!(" {:>9} {} {done}/{total} {} ", self.word, event.driver, running.join(", ")));
        } else if !event.is_done {
            say(&format!(" {:>9} {} for {}\n", self.word, event.driver, event.kernel));
        }
    }

    fn end(&self) {
        if self.is_terminal && !self.is_quiet {
            say_over("");
        }
    }
}

fn run_kernels(action: &KernelsAction, signals: &Signals) -> Result<ExitCode> {
    let cache = cache()?;
    let headers = build::header_cache(&cache);
    match action {
        KernelsAction::List => {
            let text = report::headers_text(&kernel::installed(Path::new("/")), &headers.list()?);
            Ok(print_text(&text, false))
        }
        KernelsAction::Add { files } => {
            let mut added = Vec::new();
            for file in files {
                added.push(headers.add(file, &signals.stop)?);
            }
            Ok(print_text(&report::headers_text(&[], &added), false))
        }
        KernelsAction::Prune { names } => {
            let removed = build::prune(&cache, names)?;
            Ok(print_text(&report::headers_text(&[], &removed), false))
        }
    }
}

/// Writes the packages of a driver, with progress on a terminal and a summary at the end.
fn write(prepared: &Prepared, args: &BuildArgs) -> Result<Vec<Artifact>> {
    let progress = std::io::stderr().is_terminal() && !args.quiet && !args.json;
    let artifacts = prepared.write(&mut |job| {
        if progress {
            say_over(&format!(" Packaging {} for {} ", job.package.name, job.target.name));
        }
    });
    if progress {
        say_over("");
    }
    let artifacts = artifacts?;
    if !args.quiet && !args.json {
        say(&report::summary(prepared, &artifacts));
    }
    Ok(artifacts)
}

/// Findings that do not stop the run: notes only when they are asked for.
fn tell(diagnostics: &[Diagnostic], args: &BuildArgs, color: bool) {
    let least = if args.verbose { Severity::Note } else { Severity::Warning };
    let shown: Vec<_> = diagnostics.iter().filter(|finding| finding.severity >= least).cloned().collect();
    if args.json {
        let lines: String =
            shown.iter().map(|finding| format!("{}\n", report::finding_json(finding))).collect();
        print(lines.as_bytes());
    } else if !shown.is_empty() {
        say(&report::findings(&shown, color));
    }
}

/// The machines that dkms.conf is read for; the real bash needs all facts, so it gets those of this one where none are given.
fn machines(args: &ShowArgs) -> Result<Vec<Machine>> {
    let given = machine::machines(&args.machine.options())?;
    if args.conf_shell.conf_shell() == ConfShell::Own {
        return Ok(given);
    }
    let processors = std::thread::available_parallelism().ok();
    let processors = processors.and_then(|count| u32::try_from(count.get()).ok()).or(Some(1));
    let this = Machine {
        arch: Some(std::env::consts::ARCH.to_owned()),
        processors,
        online_processors: processors,
        // a machine without one has no distribution's name
        os_release: Some(machine::read_os_release(Path::new("/etc/os-release")).unwrap_or_default()),
        ..Machine::default()
    };
    Ok(given.into_iter().map(|machine| machine.or(&this)).collect())
}

/// A dkms.conf alone: what dkms reads from it.
fn show_conf(path: &Path, args: &ShowArgs, signals: &Signals) -> Result<ExitCode> {
    let machines = machines(args)?;
    let [machine] = machines.as_slice() else {
        return Err(Error::usage("a dkms.conf alone is shown for one kernel")
            .hint("name one `--kernel`, or the driver's folder for a table of kernels"));
    };
    let (evaluation, findings) =
        build::read_conf(path, machine, args.conf_shell.conf_shell(), &signals.stop)?;
    if !findings.is_empty() {
        say(&report::findings(&findings, colored(args.package.color)));
    }
    let text =
        if args.json { report::directives_json(&evaluation) } else { report::directives_text(&evaluation) };
    Ok(print_text(&text, args.json))
}

fn run_show(args: &ShowArgs, signals: &Signals) -> ExitCode {
    let color = colored(args.package.color);
    if let (None, Some(path)) = (&args.package.folder, &args.package.dkms_conf) {
        return show_conf(path, args, signals).unwrap_or_else(|error| fail(&error, color, false));
    }
    let modules = args.package.folder.as_deref().filter(|path| path.is_file()).map(inspect);
    match modules.transpose().map(Option::flatten) {
        Ok(None) => {}
        Ok(Some(file)) if args.json => return print(format!("{}\n", report::modules_json(&file)).as_bytes()),
        Ok(Some(file)) => return print_text(&report::modules_text(&file), false),
        Err(error) => return fail(&error, color, args.json),
    }
    match try_show(args, color, signals) {
        Ok(code) => code,
        Err(_) if signals.stop.is_set() => signals.exit_code(),
        Err(error) => fail(&error, color, args.json),
    }
}

fn try_show(args: &ShowArgs, color: bool, signals: &Signals) -> Result<ExitCode> {
    let templates = args.templates.as_ref().and_then(Option::as_deref);
    let (machines, conf_shell) = (machines(args)?, args.conf_shell.conf_shell());
    let options =
        build::Options { machines, conf_shell, ..options(args.package.options(), templates, signals)? };
    let input = open(&args.package, signals)?;
    let mut text = String::new();
    for prepared in &build::prepare(&input, &options, &|_| ())? {
        if !args.json && !prepared.diagnostics.is_empty() {
            say(&report::findings(&prepared.diagnostics, color));
        }
        text.push_str(&if args.json {
            format!("{}\n", report::plan_json(prepared))
        } else if args.scripts {
            report::scripts_text(prepared)
        } else if args.files {
            report::files_text(prepared)
        } else if args.templates.is_some() {
            report::templates_text(prepared)
        } else {
            report::plan_text(prepared)
        });
    }
    Ok(print_text(&text, args.json))
}

fn run_check(args: &CheckArgs, signals: &Signals) -> Result<ExitCode> {
    let options = options(args.options(), None, signals)?;
    let trial = check_trial(args, signals)?;
    let (mut findings, mut trials, mut trouble) = (Vec::new(), Vec::new(), None);
    for path in &args.paths {
        let revision = args.revision.as_deref();
        findings.extend(check::check(path, revision, &std::env::temp_dir(), &options)?);
        let Some(trial) = &trial else { continue };
        let progress = CompileProgress::new("Building", args.json);
        let built = check::build_source(path, revision, &options, trial, &|event| progress.tell(event));
        progress.end();
        match built {
            Ok(built) => trials.extend(built),
            // these are there already
            Err(error) if !error.findings().is_empty() => {}
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            // what is found is worth more than that nobody knows the rest
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    for trial in &mut trials {
        findings.append(&mut trial.findings);
        trouble = trouble.or(trial.lacking.take());
    }
    let fixed = if args.fix { check::fix(&findings)?.into_iter().cloned().collect() } else { Vec::new() };
    findings.retain(|finding| !fixed.contains(finding));
    let least = if args.verbose { Severity::Note } else { Severity::Warning };
    let shown: Vec<_> = findings.iter().filter(|finding| finding.severity >= least).cloned().collect();
    let text: String = if args.json {
        let values = trials.iter().flat_map(report::trial_json);
        let values = values.chain(shown.iter().map(report::finding_json));
        values.map(|value| format!("{value}\n")).collect()
    } else {
        // standard output is what decides about colours here
        report::trials_text(&trials)
            + &report::findings(&shown, colored_on(args.color, std::io::stdout().is_terminal()))
    };
    let mut code = print_text(&text, args.json);
    if let (Some(error), true) = (&trouble, code == ExitCode::SUCCESS) {
        code = fail(error, colored(args.color), args.json);
    }
    if !args.json {
        say(&format!("{}\n", report::check_summary(&findings, &fixed)));
    }
    let bad = |finding: &Diagnostic| match finding.severity {
        Severity::Error => true,
        Severity::Warning => args.deny == Some(Deny::Warnings),
        Severity::Note => false,
    };
    Ok(if findings.iter().any(bad) { ExitCode::from(3) } else { code })
}

/// How `check` builds, where it does.
fn check_trial(args: &CheckArgs, signals: &Signals) -> Result<Option<trial::Options>> {
    let facts = args.machine.options();
    if args.build {
        return trial_options(facts, &args.compile, signals).map(Some);
    }
    if facts.kernels.is_empty() && facts.headers.is_empty() {
        return Ok(None);
    }
    Err(Error::usage("kernels are given, and nothing is built for them")
        .hint("add `--build` to build the source for these kernels"))
}

/// As diff(1) does, 1 means that there is a difference, and 2 trouble of any kind.
fn run_diff(args: &DiffArgs) -> ExitCode {
    let differences = match diff::diff(&args.old, &args.new) {
        Ok(differences) => differences,
        Err(error) => {
            fail(&error, colored(args.color), args.json);
            return ExitCode::from(2);
        }
    };
    let text: String = if args.json {
        differences.iter().map(|one| format!("{}\n", report::difference_json(one))).collect()
    } else {
        report::differences_text(&differences)
    };
    let printed = print_text(&text, args.json);
    if differences.is_empty() || printed != ExitCode::SUCCESS { printed } else { ExitCode::from(1) }
}

fn run_init(args: &InitArgs, signals: &Signals) -> Result<ExitCode> {
    if !args.folder.is_dir() {
        return Err(Error::usage("there is no folder")
            .at(&args.folder)
            .hint("give the folder of a driver: `kpkg init DIR`"));
    }
    let input = Input::open(&args.folder, None, &std::env::temp_dir(), &signals.stop)?;
    let options = build::Options {
        driver_version: args.driver_version.clone(),
        output: "dist".into(),
        means: Means { stop: signals.stop.clone(), ..Means::default() },
        ..build::Options::default()
    };
    let (files, findings) = build::init(&input, &options, args.from.as_deref())?;
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(Error::diagnostics(findings));
    }
    if !findings.is_empty() {
        say(&report::findings(&findings, colored(args.color)));
    }
    if args.dry_run {
        let text: String = files.iter().take(1).map(|file| file.text.as_str()).collect();
        return Ok(print(text.as_bytes()));
    }
    build::write_new(&files)?;
    let lines: String = files.iter().map(|file| format!("{}\n", file.path.display())).collect();
    Ok(print(lines.as_bytes()))
}

fn explain(code: &str) -> ExitCode {
    match build::codes().find(|known| known.id.eq_ignore_ascii_case(code)) {
        Some(code) => print(report::explanation(code).as_bytes()),
        None => fail(
            &Error::usage(format!("there is no finding `{code}`")).hint("codes look like K0203"),
            false,
            false,
        ),
    }
}

/// A text for people, on standard output; one for programs is JSON, which escapes by itself.
fn print_text(text: &str, json: bool) -> ExitCode {
    if json { print(text.as_bytes()) } else { print(report::visible(text).as_bytes()) }
}

/// A text for people, on standard error. Where that cannot be written to, nobody is left to be told.
fn say(text: &str) {
    let _lost = std::io::stderr().write_all(report::visible(text).as_bytes());
}

/// The same over the line that stands there.
fn say_over(text: &str) {
    let _lost = std::io::stderr().write_all(format!("\r\x1b[K{}", report::visible(text)).as_bytes());
}

/// Standard output: a reader that went away ends the run quietly, as it would end `cat`.
fn print(bytes: &[u8]) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(128 + 13),
        Err(error) => fail(&Error::io("cannot write to", "standard output", error), false, false),
    }
}

fn fail(error: &Error, color: bool, json: bool) -> ExitCode {
    if json {
        let findings: String =
            error.findings().iter().map(|finding| format!("{}\n", report::finding_json(finding))).collect();
        print(format!("{findings}{}\n", report::error_json(error)).as_bytes());
    } else {
        say(&report::error(error, color));
    }
    ExitCode::from(exit_code(error.kind()))
}

fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::Failed | Kind::Interrupted => 1,
        Kind::Usage => 2,
        Kind::Lacking => 5,
    }
}
