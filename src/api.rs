//! What a program that links kpkg uses: a folder becomes packages, a package is read, a dkms.conf is evaluated.
//!
//! Decides nothing: each function is the way that the program itself goes, in one call.

use std::path::Path;

use crate::base::diagnostic::Diagnostic;
use crate::base::error::Result;
use crate::build::jobs::BuildPlan;
use crate::build::{self, Artifact, Options};
use crate::dkms::{self, Conf, Facts, Inputs};
use crate::format::{self, Nobody, ReadPackage};
use crate::input::Input;

/// Packages the driver in a folder, as `kpkg FOLDER` does: the artifacts, which are in
/// `options.output`, and what there is to say about the driver. An error
/// leaves no artifact half written; those before it are there.
///
/// ```
/// let out = tempfile::tempdir()?;
/// let options = kpkg::Options {
///     formats: vec!["deb".into(), "rpm".into()],
///     output: out.path().join("dist"),
///     ..kpkg::Options::default()
/// };
/// let (artifacts, findings) = kpkg::package_folder("examples/greeter".as_ref(), &options)?;
/// let names: Vec<_> = artifacts.iter().filter_map(|artifact| artifact.written.path.file_name()).collect();
/// assert_eq!(names, ["greeter-dkms_1.2.0-1_all.deb", "greeter-dkms-1.2.0-1.noarch.rpm"]);
/// assert!(findings.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn package_folder(folder: &Path, options: &Options) -> Result<(Vec<Artifact>, Vec<Diagnostic>)> {
    let input = Input::open(folder, None, &options.output, &options.means.stop)?;
    let (mut artifacts, mut findings) = (Vec::new(), Vec::new());
    for prepared in build::prepare(&input, options, &|_| ())? {
        artifacts.extend(prepared.write()?);
        findings.extend(prepared.diagnostics);
    }
    Ok((artifacts, findings))
}

/// What [`package_folder`] would make of a folder, job by job, with a key for each that every machine computes alike: the plan may be sent
/// to others, as JSON, and a job whose key is known is done. Compiles and writes nothing.
///
/// ```
/// let options = kpkg::Options { formats: vec!["deb".into(), "rpm".into()], stamp: Some(1), ..Default::default() };
/// let plan = kpkg::plan_folder("examples/greeter".as_ref(), &options)?;
/// let jobs: Vec<_> = plan.jobs.iter().map(|job| (job.target.as_str(), job.format.as_str())).collect();
/// assert_eq!(jobs, [("deb", "deb"), ("rpm", "rpm")]);
/// assert_ne!(plan.jobs[0].key, plan.jobs[1].key);
/// # Ok::<(), kpkg::Error>(())
/// ```
pub fn plan_folder(folder: &Path, options: &Options) -> Result<BuildPlan> {
    let input = Input::open(folder, None, &options.output, &options.means.stop)?;
    build::plan(&input, options)
}

/// Reads a finished package of any format, ours or a foreign one: what it is, what it needs, its scripts and the names of its files.
/// Nothing where the file is no package.
///
/// ```
/// # let out = tempfile::tempdir()?;
/// # let options = kpkg::Options { formats: vec!["rpm".into()], output: out.path().into(), ..Default::default() };
/// # let (artifacts, _) = kpkg::package_folder("examples/greeter".as_ref(), &options)?;
/// # let file = &artifacts[0].written.path;
/// let package = kpkg::read_package(file)?.expect("a package");
/// assert_eq!((package.format, package.name.as_str()), ("rpm", "greeter-dkms"));
/// let needs: Vec<_> = package.relations.iter().filter(|one| one.kind == kpkg::RelationKind::Requires).collect();
/// assert!(needs.iter().any(|one| one.to_string() == "dkms"));
/// assert!(package.files.iter().any(|file| file.path == "/usr/src/greeter-1.2.0/dkms.conf"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_package(path: &Path) -> Result<Option<ReadPackage>> {
    format::open(path, &mut Nobody)
}

/// What a dkms.conf says on a machine, as dkms derives it; what cannot be known there is unknown, and a finding says why. Runs nothing.
///
/// ```
/// let conf = "PACKAGE_NAME=toy\nPACKAGE_VERSION=1.0\nBUILT_MODULE_NAME=toy\nDEST_MODULE_LOCATION=/extra\n\
///             [ \"${kernelver%%.*}\" -ge 6 ] && MAKE=\"make NEW=1\"\n";
/// let new = kpkg::Inputs { kernel: Some("6.12.0-1-amd64".into()), arch: Some("x86_64".into()), ..Default::default() };
/// let (facts, _) = kpkg::evaluate("dkms.conf".as_ref(), conf.as_bytes(), &new);
/// assert_eq!(facts.name.known().map(String::as_str), Some("toy"));
/// assert!(facts.make[0].command.known().is_some_and(|command| command.contains("NEW=1")));
/// ```
pub fn evaluate(path: &Path, bytes: &[u8], inputs: &Inputs<'_>) -> (Facts, Vec<Diagnostic>) {
    let (conf, mut findings) = Conf::parse(path, bytes);
    let evaluation = dkms::evaluate(&conf, inputs);
    findings.extend(evaluation.diagnostics.iter().cloned());
    let (facts, of_facts) = dkms::facts(&conf, &evaluation);
    findings.extend(of_facts);
    (facts, findings)
}
