//! Options of the library with what the run, its environment and this machine add.

use std::path::Path;
use std::time::Duration;

use super::arguments::{CompileArgs, MachineArgs, PackageArgs};
use super::session::{self, Session};
use super::words;
use crate::base::error::{Error, Result};
use crate::build::{self, check, trial};
use crate::input::Input;
use crate::inspect::signed::Judging;
use crate::kernel;
use crate::kernel::machine::{self, Machine};
use crate::lock::Lock;
use crate::output::Means;

/// Options with what the run and the environment add.
pub(super) fn options(
    given: build::Options,
    templates: Option<&Path>,
    session: &Session,
) -> Result<build::Options> {
    let means = Means { stop: session.stop.clone(), ..given.means };
    Ok(build::Options {
        templates: templates.map(Path::to_owned),
        stamp: session::source_date_epoch()?,
        means,
        ..given
    })
}

/// The driver's folder, archive or commit.
pub(super) fn open(args: &PackageArgs, session: &Session) -> Result<Input> {
    let given = args.folder();
    let folder = if args.conf_as_folder().is_some() {
        given.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."))
    } else {
        given
    };
    let word = given.to_str().filter(|name| !given.exists() && !name.contains('/'));
    if let Some(verb) = word.and_then(words::nearest_verb) {
        let hint = format!("did you mean `kpkg {verb}`? As an argument it is the folder of a driver");
        return Err(Error::usage("there is no folder").at(given).hint(hint));
    }
    Input::open(folder, args.revision.as_deref(), &session::scratch(), &session.stop)
}

/// The lock that a run is about.
pub(super) fn lock(path: &Path) -> Result<Lock> {
    Lock::read(path)?.ok_or_else(|| {
        let hint = "`kpkg kernels update TARGET…` writes one; `kernels = [\"TARGET\"]` in kpkg.toml names its targets for good";
        Error::usage("there is no kernels.lock:").at(path).hint(hint)
    })
}

/// How modules are compiled.
pub(super) fn compiling(
    facts: machine::Stated,
    args: &CompileArgs,
    keep_going: bool,
) -> Result<build::Prebuilt> {
    let compilers = args.jobs.unwrap_or_else(session::processors).max(1);
    let rest = machine::Stated { kernels: Vec::new(), headers: Vec::new(), arch: None, ..facts.clone() };
    let machine = machine::machines(&rest)?.into_iter().next().unwrap_or_default();
    Ok(build::Prebuilt {
        previous: Vec::new(),
        bases: Vec::new(),
        exact: std::collections::BTreeMap::new(),
        across_minors: false,
        kernels: facts.kernels,
        headers: facts.headers,
        machine: Machine {
            processors: machine.processors.or_else(|| u32::try_from(compilers).ok()),
            ..machine
        },
        running: kernel::running(),
        arch: facts.arch.unwrap_or_else(|| session::ARCH.to_owned()),
        cache: session::cache()?,
        compilers,
        timeout: Duration::from_secs(args.timeout),
        keep_going,
        without_sandbox: false,
        is_unsigned: false,
        signers: None,
        ca_certificate: None,
        pin: session::pin(),
        now: session::now(),
    })
}

/// The kernels by which modules of finished files are judged; nothing is looked at before there is a module.
pub(super) fn judging(machine: &MachineArgs, session: &Session) -> impl Fn(&str) -> Option<Judging> {
    move |release| {
        let at_hand = compiling(machine.options(), &CompileArgs::default(), true).ok()?;
        check::kernel(release, &at_hand, &session.stop)
    }
}

/// How the source is built as on a target: on this machine, as far as nothing else is said.
pub(super) fn trial(facts: machine::Stated, args: &CompileArgs, session: &Session) -> Result<trial::Trying> {
    let mut build = compiling(facts, args, true)?;
    let os_release = build.machine.os_release.clone();
    let this = Machine { online_processors: build.machine.processors, ..session::this_distribution() };
    build.machine = build.machine.or(&this);
    Ok(trial::Trying { build, os_release, scratch: session::scratch(), stop: session.stop.clone() })
}
