//! What a run has to say, as text for people; returns strings and never prints.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write};
use std::path::Path;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use bytesize::ByteSize;

use crate::base::diagnostic::{Code, Diagnostic, Severity, is_hidden};
use crate::base::error::Error;
use crate::build::against::Served;
use crate::build::guard::Guarded;
use crate::build::jobs::{BuildPlan, Job};
use crate::build::matrix::Plan;
use crate::build::merge::Merged;
use crate::build::shard::{Done, How, State};
use crate::build::support::RowState;
use crate::build::trial::{self, Trial, Tried};
use crate::build::{self, Artifact, Prepared};
use crate::compile::Outcome;
use crate::dkms::{Evaluation, Value as Directive, Verdict};
use crate::driver::{ForKernel, Origin};
use crate::format::{ReadFile, ReadPackage, ReadScript};
use crate::input::source::LeftOut;
use crate::inspect::ModuleFile;
use crate::inspect::diff::{Difference, Section};
use crate::inspect::signed;
use crate::inspect::verify::{Verdict as SignatureVerdict, Verified};
use crate::kernel::abi::{Judgement, Obstacle};
use crate::kernel::headers::HeaderPackage;
use crate::kernel::ko::{KernelModule, Signature, Symbol};
use crate::lock::update::{Change, ChangeKind};
use crate::lock::{self, Lock, Status};
use crate::package::{Compression, Content, Entry, EntryKind, Package, Payload};
use crate::plan::profile::Target;
use crate::sign::hash::Hash;
use crate::sign::new::Made;

/// What went well, what did not, and what is neither.
const GOOD: Style = AnsiColor::BrightGreen.on_default().bold();
const BAD: Style = AnsiColor::BrightRed.on_default().bold();
const DOUBTFUL: Style = AnsiColor::BrightYellow.on_default().bold();
/// The name of what follows.
const NAME: Style = Style::new().bold();
const HINT: Style = AnsiColor::BrightCyan.on_default().bold();

/// A text in a style.
fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// The first word of a line of a run's story.
pub(super) fn label(style: Style, word: &str) -> String {
    format!("{}{}", " ".repeat(10_usize.saturating_sub(word.len())), styled(style, word))
}

/// `5.2 KiB`, `17 B`.
pub(super) fn size(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// The driver in one line: name, version, modules, licence, files.
pub(super) fn driver_line(prepared: &Prepared) -> String {
    let driver = &prepared.driver;
    let modules = match (driver.modules.len(), driver.modules_unknown) {
        (0, true) => "modules unknown".to_owned(),
        (1, false) => "1 module".to_owned(),
        (count, false) => format!("{count} modules"),
        (count, true) => format!("{count} or more modules"),
    };
    let license = driver.about.license.as_deref().unwrap_or("no licence found");
    format!(
        "{} {} · {modules} · {license} · {} of source",
        driver.name,
        driver.version,
        size(driver.source_size())
    )
}

/// Where what is packaged comes from, in one line.
fn origin_line(origin: &Origin) -> String {
    format!("{}, source {}, version from {}", origin.conf, origin.root.display(), origin.version)
}

/// The summary after a run, for standard error; `writing` is how long that took, where it was most of the run.
pub(super) fn summary(prepared: &Prepared, artifacts: &[Artifact], writing: Option<Duration>) -> String {
    let mut text = format!("{} {}\n", label(NAME, "Driver"), driver_line(prepared));
    let origin = &prepared.driver.origin;
    if !origin.is_usual() {
        let _infallible = writeln!(text, "{} {}", label(NAME, "From"), origin_line(origin));
    }
    for artifact in artifacts {
        let path = artifact.written.path.display();
        let _infallible = writeln!(
            text,
            "{} {path}  {}  for {}",
            label(GOOD, if artifact.is_fresh { "Wrote" } else { "Kept" }),
            size(artifact.written.size),
            artifact.target
        );
    }
    text.push_str(&outcomes_text(prepared));
    if !prepared.bases.is_empty() {
        let quoted: Vec<_> = prepared.bases.iter().map(|base| format!("\"{base}\"")).collect();
        let _infallible = writeln!(
            text,
            "{} `bases = [{}]` under `[prebuilt]` in kpkg.toml keeps the names of these packages",
            label(NAME, "Bases"),
            quoted.join(", ")
        );
    }
    if artifacts.is_empty() {
        return text;
    }
    if let Some(time) = writing {
        let mut codecs: Vec<_> =
            prepared.packages.iter().map(|job| compression_text(job.package.compression)).collect();
        codecs.sort_unstable();
        codecs.dedup();
        let (label, codecs, time) = (label(NAME, "Time"), codecs.join(", "), time.as_secs_f32());
        let _infallible =
            writeln!(text, "{label} {time:.1} s for compressing ({codecs}); `--fast` is for trying");
    }
    let next = label(HINT, "Next");
    let _infallible =
        writeln!(text, "{next} `kpkg show --scripts` prints what runs as root when they are installed");
    text
}

/// A text with nothing in it that a terminal would obey or that would change the order of what is read: but for line ends, tabs and
/// styles, control characters and those that change the direction of writing are shown by their numbers. Styles are those of this file and
/// of findings, bold and the brighter colours: none that would hide a text.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let colour = rest.strip_prefix("\x1b[").and_then(|tail| {
            let (style, _) = tail.split_once('m')?;
            let is_ours =
                |number: &str| matches!(number, "0" | "1" | "33" | "91" | "92" | "93" | "94" | "96");
            style.split(';').all(is_ours).then_some("\x1b[".len() + style.len() + 1)
        });
        let length = colour.unwrap_or(next.len_utf8());
        if colour.is_some() || !is_hidden(next) || matches!(next, '\n' | '\t') {
            shown.push_str(&rest[..length]);
        } else {
            shown.extend(next.escape_unicode());
        }
        rest = &rest[length..];
    }
    shown
}

/// Which kernels are held back, and why.
pub(super) fn guarded_text(guarded: &Guarded, is_verbose: bool) -> String {
    let mut text = String::new();
    for one in &guarded.served {
        text.push_str(&served_text(one, None, is_verbose));
    }
    match guarded.held.as_slice() {
        [] => text.push_str("every kernel is served: the package holds none\n"),
        held => {
            let _infallible = writeln!(text, "{} {}", label(NAME, "Held"), held.join(", "));
        }
    }
    text
}

/// A table of the kernels that modules were compiled for.
fn outcomes_text(prepared: &Prepared) -> String {
    let word = if prepared.packages.is_empty() { "built" } else { "packaged" };
    outcome_lines(&prepared.kernels.iter().collect::<Vec<_>>(), word)
}

/// The same of those that failed: what a quiet run says as well.
pub(super) fn failures_text(kernels: &[build::ForKernel]) -> String {
    let failed = |found: &&build::ForKernel| matches!(found.outcome, Outcome::Failed(_));
    outcome_lines(&kernels.iter().filter(failed).collect::<Vec<_>>(), "built")
}

fn outcome_lines(kernels: &[&build::ForKernel], success: &'static str) -> String {
    let width = kernels.iter().map(|found| found.kernel.len()).max().unwrap_or_default();
    let mut text = String::new();
    for found in kernels {
        let (word, rest) = outcome_words(&found.outcome, success);
        let (label, word) = (label(NAME, "Kernel"), styled(outcome_style(&found.outcome), word));
        let _infallible = writeln!(text, "{label} {:width$}  {word}: {rest}", found.kernel);
        if let Outcome::Failed(failure) = &found.outcome {
            let lines = failure.compiler_error.iter().map(ToString::to_string);
            let hint = failure.error.hint_text().map(|hint| format!("help: {hint}"));
            let log = failure.log.as_ref().map(|log| format!("log: {}", log.display()));
            for line in lines.chain(hint).chain(log) {
                let _infallible = writeln!(text, "{:12}{line}", "");
            }
        }
    }
    text
}

fn outcome_style(outcome: &Outcome) -> Style {
    match outcome {
        Outcome::Built(_) | Outcome::Served(_) => GOOD,
        Outcome::Skipped(_) | Outcome::NotTried => DOUBTFUL,
        Outcome::Failed(_) => BAD,
    }
}

/// Why a kernel was not tried.
pub(super) const NOT_TRIED: &str = "another kernel failed before";

fn outcome_words(outcome: &Outcome, success: &'static str) -> (&'static str, String) {
    match outcome {
        Outcome::Built(built) => {
            let count = match built.modules.len() {
                1 => "1 module".to_owned(),
                count => format!("{count} modules"),
            };
            (success, format!("{count}, {}", if built.is_fresh { "compiled" } else { "compiled before" }))
        }
        Outcome::Served(base) => ("served", format!("by the modules for {base}")),
        Outcome::Skipped(why) => ("skipped", why.clone()),
        Outcome::Failed(failure) => ("failed", failure.error.to_string()),
        Outcome::NotTried => ("not tried", NOT_TRIED.to_owned()),
    }
}

/// What came of building the source of packages as dkms does on a target, a line for each kernel.
pub(super) fn trials_text(trials: &[Trial]) -> String {
    let all = || trials.iter().flat_map(|trial| trial.kernels.iter().map(move |tried| (trial, tried)));
    let width = all().map(|(_, tried)| tried.kernel.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (trial, tried) in all() {
        let (word, rest) = trial_words(tried);
        let (label, word) = (label(NAME, "Build"), styled(outcome_style(&tried.outcome), word));
        let _infallible = writeln!(text, "{label} {:width$}  {} {word}: {rest}", tried.kernel, trial.driver);
        if let Outcome::Failed(failure) = &tried.outcome {
            let whose = tried
                .blame
                .as_ref()
                .map(|blame| format!("whose fault: {}: {}", trial::fault_words(blame.fault), blame.why));
            let first = failure.compiler_error.as_ref().map(|said| shown(&said.to_string()));
            for line in first.into_iter().chain(whose) {
                let _infallible = writeln!(text, "{:12}{line}", "");
            }
        }
    }
    text
}

fn trial_words(tried: &Tried) -> (&'static str, String) {
    match &tried.outcome {
        Outcome::Built(built) => {
            let names: Vec<_> = built.modules.iter().map(|module| module.name.as_str()).collect();
            ("built", names.join(", "))
        }
        other => outcome_words(other, "built"),
    }
}

/// The kernels that modules can be compiled for, and the packages that are kept.
pub(super) fn headers_text(installed: &[String], kept: &[HeaderPackage]) -> String {
    let mut text = String::new();
    for release in installed {
        let _infallible = writeln!(text, "{release}  installed");
    }
    for package in kept {
        let kernels: Vec<_> = package.kernels.keys().map(String::as_str).collect();
        let what = if kernels.is_empty() { String::new() } else { format!("  for {}", kernels.join(", ")) };
        let _infallible = writeln!(
            text,
            "{} {} {}  {}{what}",
            package.name,
            package.version,
            package.arch,
            size(package.size)
        );
    }
    text
}

/// How many there are of something.
fn number(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The kernels of a lock, a line each; `is_here` says whether the package of a digest is unpacked.
pub(super) fn locked_text(lock: &Lock, is_here: &dyn Fn(&str) -> bool) -> String {
    let line = |kernel: &lock::Kernel| {
        let size: u64 = kernel.headers.iter().map(|header| header.size).sum();
        let place =
            if kernel.headers.iter().all(|header| is_here(&header.sha256)) { ", fetched" } else { "" };
        let status = if kernel.status == Status::Current { "locked" } else { kernel.status.name() };
        format!(
            "{} {}  {} {status}{place}, {}, since {}\n",
            kernel.target,
            kernel.release,
            kernel.version,
            self::size(size),
            kernel.seen
        )
    };
    lock.kernels.iter().map(line).collect()
}

/// What became of kernels, a line each.
pub(super) fn changes_text(changes: &[Change]) -> String {
    let line = |change: &Change| {
        let (sign, style, what) = match change.kind {
            ChangeKind::New => ('+', GOOD, String::new()),
            ChangeKind::Back => ('+', GOOD, ": listed again".to_owned()),
            ChangeKind::Gone => ('-', BAD, ": gone, its source lists it no longer".to_owned()),
            ChangeKind::Dropped => ('-', BAD, ": left out, as its target is not chosen any more".to_owned()),
            ChangeKind::Changed => (
                '~',
                DOUBTFUL,
                format!(": other packages, was {}", change.before.as_deref().unwrap_or_default()),
            ),
        };
        let kernel = &change.kernel;
        format!("{} {} {} ({}){what}\n", styled(style, sign), kernel.target, kernel.release, kernel.version)
    };
    changes.iter().map(line).collect()
}

/// What a lock has after it was read anew, by target, and what that took.
pub(super) fn updated(path: &Path, lock: &Lock, bytes: u64) -> String {
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for kernel in &lock.kernels {
        let count = counts.entry(&kernel.target).or_default();
        count[usize::from(kernel.status != Status::Current)] += 1;
    }
    let of = |(target, [current, others]): (&&str, &[usize; 2])| {
        let rest = if *others > 0 { format!(" and {others} gone or retired") } else { String::new() };
        format!("{current} of {target}{rest}")
    };
    let counts: Vec<_> = counts.iter().map(of).collect();
    format!(
        "{} {}: {}; {} downloaded\n",
        styled(GOOD, "    Locked"),
        path.display(),
        counts.join(", "),
        size(bytes)
    )
}

/// What was brought for kernels.
pub(super) fn fetched(kernels: usize, packages: usize, bytes: u64) -> String {
    format!(
        "{} headers of {}: {} brought, {} downloaded\n",
        styled(GOOD, "   Fetched"),
        number(kernels, "kernel"),
        number(packages, "package"),
        size(bytes)
    )
}

/// What a plan has.
pub(super) fn planned(plan: &Plan, path: &Path) -> String {
    let skipped = if plan.skipped.is_empty() {
        String::new()
    } else {
        format!(", {} left out", number(plan.skipped.len(), "kernel"))
    };
    let path = path.display();
    format!(
        "{} {path}: {} in {}{skipped}\n",
        styled(GOOD, "   Planned"),
        number(plan.jobs.len(), "job"),
        number(plan.shards.len(), "shard")
    )
}

/// A job that is done.
pub(super) fn finished_job(done: &Done, finished: usize, total: usize) -> String {
    let how = match done.how {
        How::Built => format!("{:.1} s", done.result.seconds),
        How::There => "there from an earlier run".to_owned(),
        How::Reused => "reused".to_owned(),
    };
    let of = if total == 1 { String::new() } else { format!(" ({finished} of {total})") };
    let failed = done.result.kernels.iter().find(|kernel| kernel.state == State::Fail);
    if let Some(kernel) = failed {
        let why = kernel.error.as_ref().or(kernel.reason.as_ref()).map_or("", String::as_str);
        return format!("{} {}{of}: {why}\n", styled(BAD, "    Failed"), done.result.job);
    }
    let is_skipped = done.result.kernels.iter().all(|kernel| kernel.state == State::Skip);
    let (style, word) = if is_skipped { (DOUBTFUL, "   Skipped") } else { (GOOD, "      Done") };
    format!("{} {}{of}: {how}\n", styled(style, word), done.result.job)
}

/// What all results come to.
pub(super) fn merged(merged: &Merged, out: &Path) -> String {
    let is = |state| merged.support.rows.iter().filter(|row| row.state == state).count();
    format!(
        "{} {}: {} packages; kernels: {} ok, {} skipped, {} failed\n",
        styled(if is(RowState::Fail) == 0 { GOOD } else { BAD }, "    Merged"),
        out.display(),
        merged.packages.len(),
        is(RowState::Ok),
        is(RowState::Skip),
        is(RowState::Fail)
    )
}

/// An error as text for a terminal.
pub(super) fn error(error: &Error) -> String {
    if !error.findings().is_empty() {
        return findings(error.findings());
    }
    let mut text = format!("{}: {error}\n", styled(BAD, "error"));
    if let Some(hint) = error.hint_text() {
        let _infallible = writeln!(text, "  = {}: {hint}", styled(HINT, "help"));
    }
    text
}

/// Findings as text for a terminal, and where to read on.
pub(super) fn findings(findings: &[Diagnostic]) -> String {
    let mut text = String::new();
    for finding in findings {
        text.push_str(&finding.render(true));
        text.push_str("\n\n");
    }
    if let Some(worst) = findings.iter().max_by_key(|finding| finding.severity) {
        let _infallible = writeln!(text, "for more about a finding, run `kpkg explain {}`", worst.code.id);
    }
    text
}

/// What `kpkg check` found, in one line.
pub(super) fn check_summary(findings: &[Diagnostic], fixed: &[Diagnostic]) -> String {
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let shown = |severity, what, style| {
        let count = count(severity);
        let text = number(count, what);
        if count > 0 { styled(style, text) } else { text }
    };
    let mut text = format!(
        "{}, {}, {}",
        shown(Severity::Error, "error", BAD),
        shown(Severity::Warning, "warning", DOUBTFUL),
        shown(Severity::Note, "note", NAME)
    );
    if !fixed.is_empty() {
        let _infallible = write!(text, "; {} fixed", fixed.len());
    }
    let fixable = findings.iter().filter(|finding| finding.fix.is_some()).count();
    if fixable > 0 {
        let _infallible = write!(text, "; `kpkg check --fix` repairs {fixable}");
    }
    text
}

/// What differs between two packages, for people: by section, `-` before what only the first has, `+` before what only the second has.
pub(super) fn differences_text(differences: &[Difference]) -> String {
    let (mut text, mut section) = (String::new(), None);
    for difference in differences {
        if section != Some(difference.section) {
            section = Some(difference.section);
            let _infallible = writeln!(text, "{}", styled(NAME, difference.section.name()));
        }
        let what = &difference.what;
        // the same name stands before the values of relations
        let what = if difference.section == Section::Relations {
            what.split_once(' ').map_or(what.as_str(), |(kind, _)| kind)
        } else {
            what.as_str()
        };
        let sides = [("-", BAD, &difference.old), ("+", GOOD, &difference.new)];
        if sides.iter().all(|(.., side)| side.as_ref().is_none_or(|side| !side.contains('\n'))) {
            for (sign, style, side) in sides {
                if let Some(side) = side {
                    let _infallible = writeln!(text, "  {} {what}: {side}", styled(style, sign));
                }
            }
            continue;
        }
        let [old, new] = [&difference.old, &difference.new].map(|side| match side {
            Some(side) => format!("{}\n", side.trim_end_matches('\n')),
            None => String::new(),
        });
        let _infallible = writeln!(text, "  {what}:");
        let lines = similar::TextDiff::from_lines(&old, &new);
        for line in lines.unified_diff().context_radius(2).to_string().lines() {
            let line = match line.as_bytes().first() {
                Some(b'-') => styled(BAD, line),
                Some(b'+') => styled(GOOD, line),
                _ => line.to_owned(),
            };
            let _infallible = writeln!(text, "    {line}");
        }
    }
    text
}

/// What was signed, and what is void since.
pub(super) fn signed_text(modules: usize, is_package: bool, void: &[String]) -> String {
    let modules = match modules {
        0 => None,
        1 => Some("1 module".to_owned()),
        count => Some(format!("{count} modules")),
    };
    let what: Vec<_> = modules.into_iter().chain(is_package.then(|| "the package".to_owned())).collect();
    let mut text = format!("{} {}\n", label(GOOD, "Signed"), what.join(" and "));
    for name in void {
        let _infallible =
            writeln!(text, "{} the signature {} is void: sign again", label(DOUBTFUL, "Void"), shown(name));
    }
    text
}

/// What kernels make of the modules of a file; with `all`, everything that keeps one from loading them.
pub(super) fn served_text(served: &Served, stable: Option<&BTreeSet<String>>, all: bool) -> String {
    let said = |obstacle: &Obstacle| {
        let listed = obstacle.symbol().zip(stable).map(|(symbol, stable)| stable.contains(symbol));
        let listed = match listed {
            Some(true) => ", which is on the list of stable symbols",
            Some(false) => ", on no list",
            None => "",
        };
        format!("{}{listed}", shown(&obstacle.to_string()))
    };
    let built_for = served.built_for.iter().map(|release| shown(release)).collect::<Vec<_>>().join(", ");
    let mut text = format!("{}, built for {built_for}\n", shown(&served.file.display().to_string()));
    let width = served.kernels.iter().map(|(kernel, _)| kernel.chars().count()).max().unwrap_or(0);
    for (kernel, Judgement { obstacles, from_modules }) in &served.kernels {
        let kernel = format!("{:width$}", shown(kernel));
        let [first, rest @ ..] = obstacles.as_slice() else {
            let needs: BTreeSet<_> = from_modules.values().map(|module| shown(module)).collect();
            let needs = if needs.is_empty() {
                String::new()
            } else {
                format!(", with its modules {}", needs.into_iter().collect::<Vec<_>>().join(", "))
            };
            let _infallible = writeln!(text, "  {kernel}  {}{needs}", styled(GOOD, "serves"));
            continue;
        };
        let more = if rest.is_empty() { String::new() } else { format!(", and {} more", rest.len()) };
        let _infallible = writeln!(text, "  {kernel}  {}: {}{more}", styled(BAD, "does not"), said(first));
        for obstacle in rest.iter().filter(|_| all) {
            let _infallible = writeln!(text, "  {:width$}            {}", "", said(obstacle));
        }
    }
    text
}

/// What was made, and what comes next.
pub(super) fn new_key_text(made: &Made) -> String {
    let [ca_key, ca_certificate, key, certificate] =
        made.paths().map(|path| shown(&path.display().to_string()));
    format!(
        "{} a CA and a key below it, for kernel modules alone\n  \
         once on every machine: mokutil --import {ca_certificate}\n  \
         to sign: --sign-modules {key} --certificate {certificate} --embed-certificate\n  \
         keep {ca_key} away from the machines that build: it is needed for the next key, and for nothing else\n",
        label(GOOD, "Made")
    )
}

/// What signatures are worth, a line each.
pub(super) fn verified_text(file: &Path, verified: &[Verified]) -> String {
    let line = |one: &Verified| {
        let (style, word) = match one.judged.verdict {
            SignatureVerdict::Good => (GOOD, "good"),
            SignatureVerdict::UnknownKey => (DOUBTFUL, "unknown key"),
            SignatureVerdict::Wrong => (BAD, "wrong"),
            SignatureVerdict::Unsigned => (BAD, "unsigned"),
        };
        let by = one.judged.signers.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ");
        let by = if by.is_empty() { by } else { format!(", by {by}") };
        let why = one.judged.why.as_ref().map(|why| format!(": {}", shown(why))).unwrap_or_default();
        let file = file.display().to_string();
        let place = match &one.path {
            Some(path) if *path != file => format!("{} {}", shown(&file), shown(path)),
            _ => shown(&file),
        };
        format!("{place}: {}{by}{why}\n", styled(style, word))
    };
    verified.iter().map(line).collect()
}

/// The answer of `kpkg explain`.
pub(super) fn explanation(code: &Code) -> String {
    format!("{}: {}\n\n{}\n", code.id, code.title, code.explanation)
}

/// Model and plan for people.
pub(super) fn plan_text(prepared: &Prepared) -> String {
    let mut text = String::new();
    let driver = &prepared.driver;
    let modules: Vec<_> = driver.modules.iter().map(|module| module.name.as_str()).collect();
    line(&mut text, "driver", &format!("{} {}", driver.name, driver.version));
    let unknown = driver.modules_unknown.then_some("perhaps others");
    line(&mut text, "modules", &modules.into_iter().chain(unknown).collect::<Vec<_>>().join(", "));
    if !driver.origin.is_usual() {
        line(&mut text, "from", &origin_line(&driver.origin));
    }
    line(&mut text, "source", &format!("{} files, {}", driver.tree.len(), size(driver.source_size())));
    line(&mut text, "left out", &format!("{} files or folders (`kpkg show --files`)", driver.left_out.len()));
    let limits = &driver.limits;
    for (name, value) in [
        ("arch", &limits.arch),
        ("kernel", &limits.kernel),
        ("kernel min", &limits.kernel_min),
        ("kernel max", &limits.kernel_max),
        ("config", &limits.config),
    ] {
        line(&mut text, name, value.as_deref().unwrap_or_default());
    }
    if !driver.kernels.is_empty() {
        kernels_text(&mut text, &driver.kernels);
    }
    for job in &prepared.packages {
        text.push('\n');
        package_text(&mut text, &job.package);
        line(&mut text, "target", &format!("{} ({})", job.target.name, job.target.title));
        for path in &job.artifacts {
            line(&mut text, "artifact", &path.display().to_string());
        }
    }
    text
}

/// Modules, and the package they are in, for people.
pub(super) fn modules_text(file: &ModuleFile, kernels: &signed::Kernels<'_>) -> String {
    let mut text = String::new();
    if let Some(found) = &file.package {
        line(&mut text, "package", &found.name);
        line(&mut text, "version", &found.version);
        line(&mut text, "format", found.format);
        line(&mut text, "requires", &found.requires.join(", "));
        let scripts: Vec<_> = found.scripts.iter().map(|script| script.name.as_str()).collect();
        line(&mut text, "scripts", &scripts.join(", "));
        line(&mut text, "payload", &format!("{} entries, {} modules", found.files.len(), file.modules.len()));
    }
    for (path, module) in &file.modules {
        if !text.is_empty() {
            text.push('\n');
        }
        module_text(&mut text, path, module, kernels);
    }
    text
}

fn module_text(text: &mut String, path: &str, module: &KernelModule, kernels: &signed::Kernels<'_>) {
    line(text, "module", path);
    line(text, "name", module.name.as_deref().unwrap_or_default());
    line(text, "kernel", module.kernel().unwrap_or("not said"));
    line(text, "arch", &module.arch);
    for key in [
        "vermagic",
        "version",
        "srcversion",
        "license",
        "description",
        "author",
        "depends",
        "import_ns",
        "firmware",
        "parm",
        "alias",
    ] {
        for value in module.values(key) {
            line(text, key, &shown(value));
        }
    }
    let signed = module.signature.as_ref();
    let signed = signed.map_or("none".to_owned(), |found| {
        let by = found.message.signatures.iter().map(|one| {
            let hash = one.hash.map_or("an unknown digest", Hash::name);
            format!(", {hash} by {}", shown(&one.signer()))
        });
        format!("PKCS#7, {} bytes{}", found.size, by.collect::<String>())
    });
    line(text, "signature", &signed);
    for certificate in module.signature.iter().flat_map(|found| &found.message.certificates) {
        line(
            text,
            "certificate",
            &format!("{}, SHA-256 {}", shown(&certificate.name()), certificate.fingerprint()),
        );
    }
    let signature = module.signature.as_ref().filter(|found| !found.message.signatures.is_empty());
    let kernel = module.kernel().filter(|_| signature.is_some());
    if let (Some(signature), Some(release)) = (signature, kernel)
        && let Some(judging) = kernels(release)
    {
        let why = signed::unjudged(signature, release, &judging.accepted);
        let can = if why.is_empty() {
            "can".to_owned()
        } else {
            styled(BAD, format!("cannot: {}", why.join(", ")))
        };
        line(text, "judging it", &format!("the kernel {release} {can}"));
    }
    for doubt in module.signature.iter().flat_map(Signature::doubts) {
        line(text, "signature", &styled(BAD, shown(&doubt)));
    }
    let crc = |symbol: &Symbol| symbol.crc.map_or("          ".to_owned(), |crc| format!("{crc:#010x}"));
    for export in &module.exports {
        let gpl = if export.gpl { " (GPL)" } else { "" };
        line(text, "exports", &format!("{} {}{gpl}", crc(&export.symbol), shown(&export.symbol.name)));
    }
    for symbol in &module.needs {
        line(text, "needs", &format!("{} {}", crc(symbol), shown(&symbol.name)));
    }
}

/// What dkms sees, one element a line; what is not known as `?`.
pub(super) fn directives_text(evaluation: &Evaluation) -> String {
    let mut text = String::new();
    for (name, elements) in &evaluation.directives {
        for (index, value) in elements {
            let value = match value {
                Directive::Known(value) => format!("`{}`", shown(value)),
                Directive::Unknown => "?".to_owned(),
            };
            let _infallible = writeln!(text, "{:<32} {value}", format!("{name}[{index}]"));
        }
    }
    text
}

/// A value without its control characters.
fn shown(value: &str) -> String {
    let escape = |character: char| {
        if character.is_control() { character.escape_debug().to_string() } else { character.to_string() }
    };
    value.chars().map(escape).collect()
}

/// The kernels that were asked about, one a line, and the modules, one a column.
fn kernels_text(text: &mut String, kernels: &[ForKernel]) {
    let names: BTreeSet<&str> = kernels
        .iter()
        .flat_map(|kernel| &kernel.decision.modules)
        .map(|module| module.name.as_deref().unwrap_or("?"))
        .collect();
    let wide = kernels.iter().map(|kernel| kernel.kernel.len()).max().unwrap_or(0).max("kernel".len());
    let _infallible = write!(text, "\n{:<wide$}", "kernel");
    for name in &names {
        let _infallible = write!(text, "  {name}");
    }
    text.push('\n');
    for ForKernel { kernel, decision } in kernels {
        let _infallible = write!(text, "{kernel:<wide$}");
        for name in &names {
            let module =
                decision.modules.iter().find(|module| module.name.as_deref().unwrap_or("?") == *name);
            let mark = match module.map(|module| &module.verdict) {
                None if decision.modules_unknown => "?",
                None => "-",
                Some(Verdict::Builds) => "yes",
                Some(Verdict::Excluded(_)) => "no",
                Some(Verdict::Unknown(_)) => "?",
            };
            let style = match mark {
                "yes" => GOOD,
                "no" => BAD,
                _ => DOUBTFUL,
            };
            let blank = " ".repeat(name.len().saturating_sub(mark.len()));
            let _infallible = write!(text, "  {}{blank}", styled(style, mark));
        }
        while text.ends_with(' ') {
            text.pop();
        }
        text.push('\n');
        let mut reasons: Vec<&str> = Vec::new();
        let verdicts = decision.modules.iter().map(|module| &module.verdict);
        for verdict in std::iter::once(&decision.verdict).chain(verdicts) {
            if let Verdict::Excluded(why) | Verdict::Unknown(why) = verdict
                && !reasons.contains(&why.as_str())
            {
                reasons.push(why);
            }
        }
        for reason in reasons {
            let _infallible = writeln!(text, "  {reason}");
        }
        let make = decision.make.as_deref().unwrap_or("? (depends on what is not known)");
        let _infallible = writeln!(text, "  {make}");
        for patch in &decision.patches {
            let _infallible = writeln!(text, "  patch -p1 < patches/{patch}");
        }
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    if !value.is_empty() {
        let blank = " ".repeat(12_usize.saturating_sub(name.len()));
        let _infallible = writeln!(text, "{}{blank}{value}", styled(NAME, name));
    }
}

fn package_text(text: &mut String, package: &Package) {
    line(text, "package", &package.name);
    let version = &package.version;
    let parts = [
        version.epoch.map(|epoch| format!("epoch {epoch}")),
        Some(version.upstream.clone()),
        version
            .pre
            .as_ref()
            .map(|pre| format!("before it: {}", pre.trim_start_matches(['~', '_', '.', '+']))),
        Some(format!("revision {}", version.revision)),
    ];
    line(text, "version", &parts.into_iter().flatten().collect::<Vec<_>>().join(", "));
    line(text, "summary", &package.summary);
    line(text, "license", &package.license);
    line(text, "maintainer", &package.maintainer);
    line(text, "homepage", &package.homepage);
    for relation in &package.relations {
        let names: Vec<_> = relation.any_of.iter().map(|capability| capability.name.as_str()).collect();
        line(text, &format!("{:?}", relation.kind).to_lowercase(), &names.join(" | "));
    }
    let scripts: Vec<_> = package.scripts.iter().map(|script| format!("{:?}", script.when)).collect();
    line(text, "scripts", &scripts.join(", "));
    let entries = package.payload.entries();
    line(text, "payload", &format!("{} entries", entries.len()));
    line(text, "compression", &compression_text(package.compression));
}

fn compression_text(compression: Compression) -> String {
    format!("{}:{}", compression.codec.name(), compression.level)
}

/// The scripts of every package.
pub(super) fn scripts_text(prepared: &Prepared) -> String {
    let mut text = String::new();
    for job in &prepared.packages {
        for script in &job.package.scripts {
            let _infallible = writeln!(
                text,
                "{}\n{}",
                styled(
                    NAME,
                    format_args!("# ---- {} for {}: {:?}", job.package.name, job.target.name, script.when)
                ),
                script.body
            );
        }
    }
    text
}

/// What would be compiled and packaged.
pub(super) fn jobs_text(plan: &BuildPlan) -> String {
    let line = |job: &Job| {
        let what = format!("{} {} for {}, as {}", job.driver, job.version, job.target, job.format);
        let kernel = job.kernel.as_ref().map(|kernel| kernel.release.as_str()).unwrap_or_default();
        match &job.skipped {
            None => format!("Would compile {what}, for {kernel}\n"),
            Some(why) => format!("Would leave {what}, for {kernel}: {why}\n"),
        }
    };
    plan.jobs.iter().map(line).collect()
}

/// What packages can be made for: a line each.
pub(super) fn targets_text(targets: &[Target]) -> String {
    let line = |target: &Target| {
        let names = [std::slice::from_ref(&target.name), &target.aliases].concat().join(", ");
        let dkms = target.dkms.as_ref().map(|version| format!(", dkms {version}")).unwrap_or_default();
        format!("{names:<24} {:<4} {}{dkms}\n", target.family, target.title)
    };
    targets.iter().map(line).collect()
}

/// The scripts of a finished package.
pub(super) fn package_scripts_text(package: &ReadPackage) -> String {
    let script = |script: &ReadScript| {
        format!("# ---- {}: {}\n{}\n", package.name, script.name, script.text.trim_end())
    };
    package.scripts.iter().map(script).collect()
}

/// The files of a finished package.
pub(super) fn package_files_text(package: &ReadPackage) -> String {
    let line = |file: &ReadFile| {
        let (size, suffix) = match &file.kind {
            // the root has no name
            EntryKind::Directory if file.path == "/" => (0, String::new()),
            EntryKind::Directory => (0, "/".to_owned()),
            EntryKind::Symlink { target } => (target.len() as u64, format!(" -> {target}")),
            EntryKind::File { content, .. } => (content.size(), String::new()),
        };
        format!("{:04o} {size:>9} {}{suffix}\n", file.mode, file.path)
    };
    package.files.iter().map(line).collect()
}

/// The files of every package, and what of the tree is left out and why.
pub(super) fn files_text(prepared: &Prepared) -> String {
    let mut text = String::new();
    for job in &prepared.packages {
        let _infallible = writeln!(text, "# {} for {}", job.package.name, job.target.name);
        // a source package has what is installed and, first, how it is built
        let (packaging, below): (&[Entry], _) = match &job.package.payload {
            Payload::Source(source) => (&source.packaging, format!("{}/", source.folder)),
            Payload::Install(_) => (&[], "/".to_owned()),
        };
        let installed = job.package.payload.entries().iter().map(|entry| (below.as_str(), entry));
        for (below, entry) in packaging.iter().map(|entry| ("", entry)).chain(installed) {
            let suffix = match &entry.kind {
                EntryKind::Directory => "/".to_owned(),
                EntryKind::Symlink { target } => format!(" -> {target}"),
                EntryKind::File { content: Content::Text(_) | Content::Bytes(_), .. } => {
                    "  (made)".to_owned()
                }
                EntryKind::File { .. } => String::new(),
            };
            let _infallible =
                writeln!(text, "{:04o} {:>9} {below}{}{suffix}", entry.mode(), entry.size(), entry.path);
        }
    }
    if !prepared.driver.left_out.is_empty() {
        text.push_str("# left out of the source\n");
    }
    for LeftOut { path, rule } in &prepared.driver.left_out {
        let _infallible = writeln!(text, "{path}  ({rule})");
    }
    text
}

/// The templates and where they come from.
pub(super) fn templates_text(prepared: &Prepared) -> String {
    let mut text = String::new();
    for (name, path) in prepared.templates.list() {
        let origin = path.map_or_else(|| "built in".to_owned(), |path| path.display().to_string());
        let _infallible = writeln!(text, "{name}.hbs  ({origin})");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_have_one_decimal_and_a_unit() {
        for (bytes, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (124 << 20, "124.0 MiB")] {
            assert_eq!(super::size(bytes), text);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(
            super::visible("a\t\x1b[1;91mred\x1b[0m\x1b[2J\x1b]0;x\x07\r\u{202e}\u{9b}é\n"),
            "a\t\x1b[1;91mred\x1b[0m\\u{1b}[2J\\u{1b}]0;x\\u{7}\\u{d}\\u{202e}\\u{9b}é\n"
        );
        // concealed, and black on black
        assert_eq!(
            super::visible("\x1b[8mx\x1b[30;40my\x1b[m\x1b[1;"),
            "\\u{1b}[8mx\\u{1b}[30;40my\\u{1b}[m\\u{1b}[1;"
        );
    }
}
