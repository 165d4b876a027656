//! `kpkg check`: what would hurt users later.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::arguments::{CompileArgs, MachineArgs, Manner};
use super::progress::CompileProgress;
use super::report::{self, Told};
use super::session::{self, Ended, Session};
use super::{json, setup, text};
use crate::base::diagnostic::{Diagnostic, Severity};
use crate::base::error::Kind;
use crate::build::against::{self, Served};
use crate::build::{self, check};

/// The arguments of `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing that counts, 1 the work failed, 2 usage, 3 errors were found, 5 there are no headers to build \
                        for, or something else has to be installed or allowed first."
)]
pub(super) struct CheckArgs {
    /// Folders, archives, dkms.conf files, or finished .deb and .rpm files of drivers
    #[arg(value_name = "PATH", default_value = ".")]
    pub(super) paths: Vec<PathBuf>,
    /// The dkms.conf to use, where a folder has several or one of another name
    #[arg(long, value_name = "FILE", env = "KPKG_DKMS_CONF")]
    pub(super) dkms_conf: Option<PathBuf>,
    /// Every driver of a folder that has several
    #[arg(long, conflicts_with = "dkms_conf", env = "KPKG_ALL", action = clap::ArgAction::SetTrue)]
    pub(super) all: bool,
    /// A tag, branch or commit of the folder's git repository
    #[arg(long = "ref", value_name = "REF", env = "KPKG_REF")]
    pub(super) revision: Option<String>,
    /// The releases that the driver is packaged for
    #[arg(short, long, value_name = "TARGET", value_delimiter = ',', env = "KPKG_TARGET")]
    pub(super) target: Vec<String>,
    /// Also build what is packaged as dkms does on a target, while another kernel runs: for each --kernel, or for all whose headers are
    /// at hand
    #[arg(long, env = "KPKG_CHECK_BUILD", action = clap::ArgAction::SetTrue)]
    pub(super) build: bool,
    /// Tell which kernels load the modules of finished files: releases whose headers are at hand, folders and packages of headers, lists of
    /// symbols (`Module.symvers`, `symvers.gz`), or folders of these
    #[arg(
        long,
        value_name = "KERNEL",
        value_delimiter = ',',
        conflicts_with_all = ["build", "fix", "deny", "report", "target", "dkms_conf", "all", "revision"],
        env = "KPKG_AGAINST"
    )]
    pub(super) against: Vec<String>,
    /// Say of each symbol whether it is on these lists of stable ones (`kabi_stablelist_x86_64`)
    #[arg(long, value_name = "FILE", value_delimiter = ',', requires = "against", env = "KPKG_STABLE_LIST")]
    pub(super) stable_list: Vec<PathBuf>,
    /// Let a build serve another minor release where its symbols allow it, which enterprise distributions do not promise
    #[arg(long, requires = "against", env = "KPKG_ACROSS_MINORS", action = clap::ArgAction::SetTrue)]
    pub(super) across_minors: bool,
    /// Make the edits that need no thought
    #[arg(long, env = "KPKG_FIX", action = clap::ArgAction::SetTrue)]
    pub(super) fix: bool,
    /// What counts as an error too
    #[arg(long, value_name = "WHAT", env = "KPKG_DENY")]
    pub(super) deny: Option<Deny>,
    /// For whom findings are written: people, or a review at GitHub or GitLab, where they appear at their lines, or whoever reads SARIF
    #[arg(long, value_name = "FORM", default_value = "text", conflicts_with = "json", env = "KPKG_REPORT")]
    pub(super) report: Report,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
    /// What builds may use.
    #[command(flatten)]
    pub(super) compile: CompileArgs,
    /// The machines that it is built for.
    #[command(flatten)]
    pub(super) machine: MachineArgs,
}

/// The form of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Report {
    /// For people
    Text,
    /// Workflow commands, a line each
    Github,
    /// A code quality report
    Gitlab,
    /// SARIF 2.1.0
    Sarif,
}

/// What `check` takes for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Deny {
    /// Warnings.
    Warnings,
}

impl CheckArgs {
    /// The options of the library, without what the environment adds.
    pub(super) fn options(&self) -> build::Options {
        build::Options {
            targets: self.target.clone(),
            output: "dist".into(),
            dkms_conf: self.dkms_conf.clone(),
            all: self.all,
            ..build::Options::default()
        }
    }
}

/// Which kernels load the modules of finished files.
fn against(args: &CheckArgs, session: &Session) -> Ended {
    let at_hand = setup::compiling(args.machine.options(), &CompileArgs::default(), true)?;
    let stable = against::stable(&args.stable_list)?;
    let served = against::against(&args.paths, &args.against, args.across_minors, &at_hand, &session.stop)?;
    for one in &served {
        if session.json {
            json::served(one, stable.as_ref()).try_for_each(|event| session.event(event))?;
        } else {
            session.print_text(&text::served_text(
                one,
                stable.as_ref(),
                args.manner.least(Severity::Warning) == Severity::Note,
            ))?;
        }
    }
    let does_not = |one: &Served| one.kernels.iter().any(|(_, judgement)| !judgement.obstacles.is_empty());
    Ok(if served.iter().any(does_not) { 3 } else { 0 })
}

pub(super) fn run(args: &CheckArgs, session: &Session) -> Ended {
    if !args.against.is_empty() {
        return against(args, session);
    }
    let options = setup::options(args.options(), None, session)?;
    let mut idle = Vec::new();
    let mut trial = None;
    if args.build {
        trial = Some(setup::trial(args.machine.options(), &args.compile, session)?);
    } else {
        let (why, hint) = ("nothing is built", "add `--build` to build the source, or leave it out");
        idle.extend(session.given.idle::<CompileArgs>(why, hint)?);
        // modules of finished files are judged by the headers of their kernels
        if !args.paths.iter().any(|path| path.is_file()) {
            idle.extend(session.given.idle::<MachineArgs>(why, hint)?);
        }
    }
    let kernels = setup::judging(&args.machine, session);
    // of each path, and what is of none
    let mut checked = vec![(None, idle)];
    let (mut trials, mut trouble, mut code) = (Vec::new(), None, 0);
    for path in &args.paths {
        let revision = args.revision.as_deref();
        match check::check(path, revision, &session::scratch(), &options, &kernels) {
            Ok(found) => checked.push((Some(path), found)),
            // of several each is told
            Err(error) if args.paths.len() > 1 && error.kind() != Kind::Interrupted => {
                session.tell_error(&error);
                code = code.max(session::exit_code(error.kind()));
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        let Some(trial) = &trial else { continue };
        let progress = CompileProgress::new(session, "Building", false);
        let built = check::build_source(path, revision, &options, trial, &|event| progress.tell(event));
        progress.end();
        match built {
            Ok(built) => trials.extend(built),
            // these are there already
            Err(error) if !error.findings().is_empty() => {}
            Err(error) if error.kind() == Kind::Interrupted => return Err(error.into()),
            // what is found is worth more than that nobody knows the rest
            Err(error) => trouble = trouble.or(Some(error)),
        }
    }
    for trial in &mut trials {
        checked.push((None, std::mem::take(&mut trial.findings)));
        trouble = trouble.or(trial.lacking.take());
    }
    let mut findings: Vec<_> = checked.iter().flat_map(|(_, findings)| findings.iter().cloned()).collect();
    let fixed = if args.fix { check::fix(&findings)?.into_iter().cloned().collect() } else { Vec::new() };
    findings.retain(|finding| !fixed.contains(finding));
    let least = args.manner.least(Severity::Warning);
    let is_shown = |finding: &Diagnostic| finding.severity >= least && !fixed.contains(finding);
    let shown = |findings: &[Diagnostic]| -> Vec<_> {
        findings.iter().filter(|finding| is_shown(finding)).cloned().collect()
    };
    if session.json {
        let found = shown(&findings);
        let events = trials.iter().flat_map(json::trial).chain(found.iter().map(json::finding));
        events.into_iter().try_for_each(|event| session.event(event))?;
    } else if args.report != Report::Text {
        let of = |(path, findings): &(Option<&PathBuf>, Vec<Diagnostic>)| {
            let path = path.cloned();
            shown(findings).into_iter().map(move |finding| (path.clone(), finding)).collect::<Vec<_>>()
        };
        let all: Vec<_> = checked.iter().flat_map(of).collect();
        let told: Vec<_> = all.iter().map(|(path, finding)| Told::new(finding, path.as_deref())).collect();
        let text = match args.report {
            Report::Text | Report::Github => report::github(&told),
            Report::Gitlab => report::gitlab(&told),
            Report::Sarif => report::sarif(&told),
        };
        session.print(text.as_bytes())?;
    } else {
        let mut text = text::trials_text(&trials);
        for (path, findings) in &checked {
            let found = shown(findings);
            if let Some(path) = path.filter(|_| args.paths.len() > 1 && !found.is_empty()) {
                text.push_str(&format!("{}:\n", path.display()));
            }
            text.push_str(&text::findings(&found));
        }
        session.print_text(&text)?;
    }
    if let Some(error) = &trouble {
        session.tell_error(error);
        code = session::exit_code(error.kind());
    }
    if !session.json {
        session.say(&format!("{}\n", text::check_summary(&findings, &fixed)));
    }
    let bad = |finding: &Diagnostic| match finding.severity {
        Severity::Error => true,
        Severity::Warning => args.deny == Some(Deny::Warnings),
        Severity::Note => false,
    };
    Ok(if findings.iter().any(bad) { 3 } else { code })
}
