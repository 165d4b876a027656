//! What is to be built, as data: a job for each target, format and kernel, with a key that any machine computes alike.
//!
//! Only states; nothing of it compiles or writes. A key is of what decides about the packages and is the same wherever that is known:
//! contents, texts and options, never paths, times of files, or programs of this machine. What really compiled the modules is known
//! behind a build, and stands in its result ([`crate::compile::Built::compiler`]).

use serde::{Deserialize, Serialize};

use crate::base::error::Result;
use crate::base::key::Key;
use crate::compile::{self, Compiling};
use crate::config::request::Request;
use crate::dkms::Verdict;
use crate::driver::Driver;
use crate::kernel::Kernel;
use crate::plan::profile::Target;
use crate::plan::template::Templates;

/// All jobs of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildPlan {
    /// In the order of drivers, targets, formats and kernels.
    pub jobs: Vec<Job>,
}

/// What is made of a driver for a target, in a format, for a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// `PACKAGE_NAME`, as dkms has it.
    pub driver: String,
    /// `PACKAGE_VERSION`, as dkms has it.
    pub version: String,
    /// The target's name, such as `debian-12`.
    pub target: String,
    /// The format, as `--format` takes it.
    pub format: String,
    /// The kernel that modules are compiled for; nothing where the package is of source.
    pub kernel: Option<JobKernel>,
    /// Why there is nothing to do: the driver is not for the kernel, or that cannot be known.
    pub skipped: Option<String>,
    /// SHA-256 of all that decides about the packages, in hexadecimal digits.
    pub key: String,
}

/// The kernel of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobKernel {
    /// As `uname -r` prints it there.
    pub release: String,
    /// As `uname -m` prints it there.
    pub arch: String,
    /// The SHA-256 digests of its header packages; one of the contents where headers are no packages.
    pub headers: Vec<String>,
    /// What compiled the kernel, as its configuration says it.
    pub compiler: String,
}

/// A driver on its way to a target.
pub(crate) struct Aim<'a> {
    pub(crate) driver: &'a Driver,
    /// The digest of its source.
    pub(crate) source: &'a str,
    /// The other drivers of the run, which may be built before it and whose packages it may name, each with the digest of its source.
    pub(crate) others: &'a [(&'a Driver, &'a str)],
    pub(crate) target: &'a Target,
    pub(crate) format: &'a str,
    pub(crate) request: &'a Request,
    /// Who signs the modules, where somebody does.
    pub(crate) signed: Option<&'a str>,
}

impl<'a> Aim<'a> {
    /// This driver and the others, each with the digest of its source.
    fn drivers(&self) -> impl Iterator<Item = (&'a Driver, &'a str)> + use<'a> {
        std::iter::once((self.driver, self.source)).chain(self.others.iter().copied())
    }

    /// Adds all that decides and is not of a kernel.
    pub(crate) fn add_to(&self, key: &mut Key, templates: &Templates) -> Result<()> {
        key.add(env!("CARGO_PKG_VERSION"));
        key.add(self.format);
        key.json(self.target)?;
        key.add(&self.target.name);
        key.json(self.request)?;
        key.add(self.signed.unwrap_or_default());
        for (name, text) in templates.texts() {
            key.add(name);
            key.add(text);
        }
        for (driver, source) in self.drivers() {
            key.add(&driver.name);
            key.add(&driver.version);
            key.add(source);
        }
        Ok(())
    }
}

/// The jobs of an aim: one for each kernel, or one for its source.
pub(crate) fn of(
    aim: &Aim<'_>,
    kernels: Option<&[Kernel]>,
    options: &Compiling,
    templates: &Templates,
) -> Result<Vec<Job>> {
    let mut key = Key::default();
    aim.add_to(&mut key, templates)?;
    let job = |kernel, skipped, key: Key| Job {
        driver: aim.driver.name.clone(),
        version: aim.driver.version.clone(),
        target: aim.target.name.clone(),
        format: aim.format.to_owned(),
        kernel,
        skipped,
        key: key.finish(),
    };
    let Some(kernels) = kernels else { return Ok(vec![job(None, None, key)]) };
    let mut jobs = Vec::new();
    for kernel in kernels {
        let mut key = key.clone();
        let of = JobKernel {
            release: kernel.release.clone(),
            arch: kernel.arch.clone(),
            headers: kernel.content(&options.stop)?,
            compiler: kernel.compiler.text.clone(),
        };
        key.json(&of)?;
        let decision = |driver: &Driver| {
            let found = driver.kernels.iter().find(|found| found.kernel == kernel.release);
            found.map(|found| found.decision.clone())
        };
        // of all drivers, as one may be built after another
        for (driver, _) in aim.drivers() {
            key.json(&decision(driver))?;
        }
        let skipped = decision(aim.driver).and_then(|decision| match decision.verdict {
            Verdict::Excluded(why) | Verdict::Unknown(why) => Some(why),
            Verdict::Builds => None,
        });
        compile::add_manner(&mut key, &kernel.release, options);
        jobs.push(job(Some(of), skipped, key));
    }
    Ok(jobs)
}
