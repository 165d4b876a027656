//! `kpkg show`: the driver, the plan, and what will run as root; or what a finished file holds.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::arguments::{CompileArgs, MachineArgs, Manner, PackageArgs};
use super::session::{self, Ended, Session};
use super::{json, setup, text};
use crate::base::diagnostic::Severity;
use crate::base::error::{Error, Result};
use crate::build;
use crate::driver::bash::ConfShell;
use crate::inspect::inspect;
use crate::kernel::machine::{self, Machine, Stated};

/// The arguments of `show`.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// What the packages are made of.
    #[command(flatten)]
    pub(super) package: PackageArgs,
    /// Who reads dkms.conf: kpkg itself, which runs nothing, or the real bash in a sandbox, for each --kernel
    #[arg(long, value_name = "SHELL", default_value = "own", env = "KPKG_CONF_SHELL")]
    pub(super) conf_shell: Shell,
    /// The packages of compiled modules that `kpkg --prebuilt` would write for these kernels; nothing is compiled
    #[arg(long, env = "KPKG_PREBUILT", action = clap::ArgAction::SetTrue)]
    pub(super) prebuilt: bool,
    /// The maintainer scripts of every package
    #[arg(long, env = "KPKG_SCRIPTS", action = clap::ArgAction::SetTrue)]
    pub(super) scripts: bool,
    /// The files of every package, and what of the tree is left out and why
    #[arg(long, conflicts_with = "scripts", env = "KPKG_FILES", action = clap::ArgAction::SetTrue)]
    pub(super) files: bool,
    /// List the templates, and what replaces them
    #[arg(long, conflicts_with_all = ["scripts", "files"], env = "KPKG_LIST_TEMPLATES", action = clap::ArgAction::SetTrue)]
    pub(super) list_templates: bool,
    /// A folder whose templates replace the built-in ones of the same name
    #[arg(long, value_name = "DIR", hide_short_help = true, env = "KPKG_TEMPLATES")]
    pub(super) templates: Option<PathBuf>,
    /// The machines that dkms.conf is read for.
    #[command(flatten)]
    pub(super) machine: MachineArgs,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// Who reads dkms.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Shell {
    /// kpkg itself.
    Own,
    /// The real bash.
    Bash,
}

impl Shell {
    /// For the library.
    pub(super) fn conf_shell(self) -> ConfShell {
        match self {
            Self::Own => ConfShell::Own,
            Self::Bash => ConfShell::Bash,
        }
    }
}

pub(super) fn run(args: &ShowArgs, session: &Session) -> Ended {
    if let (None, Some(path)) = (&args.package.folder, &args.package.dkms_conf) {
        return show_conf(path, args, session);
    }
    let file = args.package.folder.as_deref().filter(|path| path.is_file());
    if let Some(file) = file.map(inspect).transpose()?.flatten() {
        if session.json {
            session.event(json::modules(&file))?;
        } else {
            let kernels = setup::judging(&args.machine, session);
            let text = match &file.package {
                Some(package) if args.scripts => text::package_scripts_text(package),
                Some(package) if args.files => text::package_files_text(package),
                _ => text::modules_text(&file, &kernels),
            };
            session.print_text(&text)?;
        }
        return Ok(0);
    }
    let options = setup::options(args.package.options(), args.templates.as_deref(), session)?;
    let input = setup::open(&args.package, session)?;
    let options = build::Options { conf_shell: args.conf_shell.conf_shell(), ..options };
    let prepared = if args.prebuilt {
        let prebuilt = setup::compiling(args.machine.options(), &CompileArgs::default(), true)?;
        build::foresee(&input, &build::Options { prebuilt: Some(prebuilt), ..options })?.1
    } else {
        build::prepare(&input, &build::Options { machines: machines(args, session)?, ..options }, &|_| ())?
    };
    if session.json {
        let plans = prepared.iter().map(|prepared| json::plan(prepared, &prepared.diagnostics));
        plans.into_iter().try_for_each(|event| session.event(event))?;
        return Ok(0);
    }
    let mut shown = String::new();
    for prepared in &prepared {
        session.tell(&prepared.diagnostics, args.manner.least(Severity::Note));
        shown.push_str(&if args.scripts {
            text::scripts_text(prepared)
        } else if args.files {
            text::files_text(prepared)
        } else if args.list_templates {
            text::templates_text(prepared)
        } else {
            text::plan_text(prepared)
        });
    }
    session.print_text(&shown)?;
    Ok(0)
}

/// A dkms.conf alone: what dkms reads from it.
fn show_conf(path: &Path, args: &ShowArgs, session: &Session) -> Ended {
    let machines = machines(args, session)?;
    let [machine] = machines.as_slice() else {
        let error = Error::usage("a dkms.conf alone is shown for one kernel");
        return Err(error.hint("name one `--kernel`, or the driver's folder for a table of kernels").into());
    };
    let (evaluation, findings) =
        build::read_conf(path, machine, args.conf_shell.conf_shell(), &session.stop)?;
    if !findings.is_empty() {
        session.say(&text::findings(&findings));
    }
    if session.json {
        session.print(json::directives(&evaluation).as_bytes())?;
    } else {
        session.print_text(&text::directives_text(&evaluation))?;
    }
    Ok(0)
}

/// The machines of kernels that `--prebuilt` would compile for.
fn of_kernels(stated: Stated, session: &Session) -> Result<Vec<Machine>> {
    let processors = stated.processors;
    let mut prebuilt = setup::compiling(stated, &CompileArgs::default(), false)?;
    // what nobody states is not known
    prebuilt.machine.processors = processors;
    build::machines(&prebuilt, &session.stop)
}

/// The machines that dkms.conf is read for; the real bash needs all facts, so it gets those of this one where none are given.
fn machines(args: &ShowArgs, session: &Session) -> Result<Vec<Machine>> {
    let stated = args.machine.options();
    let is_word = |kernel: &String| kernel == "all" || kernel == "running";
    let given = if stated.kernels.iter().any(is_word) || stated.headers.iter().any(|path| path.is_file()) {
        of_kernels(stated, session)?
    } else {
        machine::machines(&stated)?
    };
    if args.conf_shell.conf_shell() == ConfShell::Own {
        return Ok(given);
    }
    let processors = u32::try_from(session::processors()).ok();
    let this = Machine {
        arch: Some(session::ARCH.to_owned()),
        processors,
        online_processors: processors,
        ..session::this_distribution()
    };
    Ok(given.into_iter().map(|machine| machine.or(&this)).collect())
}
