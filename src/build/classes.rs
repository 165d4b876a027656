//! Which kernels share a build, and by what the packages of several builds are told apart.
//!
//! The oldest kernel that no build serves yet is the next base: modules are compiled for it, and every kernel in which they load is of its
//! class. Bases that are named count before that, so that packages keep their names from one run to the next.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::against;
use crate::base::error::{Error, Result};
use crate::compile::{Before, Built, Outcome};
use crate::dkms::{Decision, Verdict, compare_versions};
use crate::driver::Driver;
use crate::inspect::inspect;
use crate::kernel::Kernel;
use crate::kernel::abi::{Abi, Build, Names, enterprise};
use crate::kernel::ko::KernelModule;
use crate::plan::{Class, Condition, Symbol, flavour};

/// How kernels share builds.
#[derive(Clone, Copy)]
pub(crate) struct Sharing<'a> {
    pub(crate) kernels: &'a [Kernel],
    /// Releases to build for before others, in this order.
    pub(crate) bases: &'a [String],
    /// Whether kernels of different flavours never do.
    pub(crate) by_flavour: bool,
    pub(crate) across_minors: bool,
    /// The folder for what is worth keeping.
    pub(crate) cache: &'a Path,
}

/// The kernels that modules of finished files were built for, in the order of files, each once.
pub fn bases_of(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut bases: Vec<String> = Vec::new();
    for file in files {
        let modules = inspect(file)?.map(|read| read.modules).unwrap_or_default();
        let built_for: Vec<_> = modules.iter().filter_map(|(_, module)| module.kernel()).collect();
        if built_for.is_empty() {
            return Err(Error::usage("holds no kernel module that says which kernel it was built for:")
                .at(file)
                .hint("`--previous` takes packages of modules of an earlier run"));
        }
        for kernel in built_for {
            if !bases.iter().any(|known| known == kernel) {
                bases.push(kernel.to_owned());
            }
        }
    }
    Ok(bases)
}

/// The outcome whose modules are those for the kernel of a place.
pub(crate) fn of_kernel<'o>(outcomes: &'o [Outcome], kernels: &[Kernel], index: usize) -> &'o Outcome {
    let base = match &outcomes[index] {
        Outcome::Served(base) => kernels.iter().position(|kernel| kernel.release == *base),
        _ => None,
    };
    &outcomes[base.unwrap_or(index)]
}

impl Sharing<'_> {
    /// Fails where kernels cannot be of one range.
    pub(crate) fn check(&self) -> Result<()> {
        let Some(first) = self.kernels.first() else { return Ok(()) };
        let major = |kernel: &Kernel| enterprise(&kernel.release).map(|(major, _)| major);
        if let Some(other) = self.kernels.iter().find(|kernel| major(kernel) != major(first)) {
            let text = format!(
                "`{}` and `{}` are kernels of two distributions, which are no range",
                first.release, other.release
            );
            return Err(
                Error::usage(text).hint("package for each of them by itself, with its own `--target`")
            );
        }
        Ok(())
    }

    /// Compiles for as few kernels as serve all. `build` is given the place of a kernel, `served` is told of one that needs no build.
    pub(crate) fn compile(
        &self,
        driver: &Driver,
        before: &[Before<'_>],
        keeps_going: bool,
        build: &dyn Fn(usize) -> Result<Outcome>,
        served: &dyn Fn(usize),
    ) -> Result<Vec<Outcome>> {
        let mut outcomes: Vec<Option<Outcome>> = self.kernels.iter().map(|_| None).collect();
        let mut has_failed = false;
        for index in self.order() {
            if outcomes[index].is_some() {
                continue;
            }
            if has_failed && !keeps_going {
                outcomes[index] = Some(Outcome::NotTried);
                continue;
            }
            let outcome = build(index)?;
            has_failed |= matches!(outcome, Outcome::Failed(_));
            if let Outcome::Built(built) = &outcome {
                let left = (0..outcomes.len()).filter(|other| *other != index && outcomes[*other].is_none());
                for other in self.served_by(built, index, left, driver, before)? {
                    served(other);
                    outcomes[other] = Some(Outcome::Served(self.kernels[index].release.clone()));
                }
            }
            outcomes[index] = Some(outcome);
        }
        Ok(outcomes.into_iter().map(|outcome| outcome.unwrap_or(Outcome::NotTried)).collect())
    }

    /// The bases that are named, then all kernels, oldest first.
    fn order(&self) -> Vec<usize> {
        let named = self
            .bases
            .iter()
            .filter_map(|base| self.kernels.iter().position(|kernel| kernel.release == *base));
        named.chain(self.by_age()).collect()
    }

    /// All kernels, oldest first.
    fn by_age(&self) -> Vec<usize> {
        let mut all: Vec<usize> = (0..self.kernels.len()).collect();
        let release = |index: &usize| self.kernels[*index].release.as_str();
        all.sort_by(|one, other| {
            compare_versions(release(one), release(other)).then_with(|| release(one).cmp(release(other)))
        });
        all
    }

    /// Those of `left` that the modules for the kernel `index` serve.
    fn served_by(
        &self,
        built: &Built,
        index: usize,
        left: impl Iterator<Item = usize>,
        driver: &Driver,
        before: &[Before<'_>],
    ) -> Result<Vec<usize>> {
        let decision = |index: usize| {
            let release = &self.kernels[index].release;
            let found = driver.kernels.iter().find(|found| found.kernel == *release)?;
            Some(without_release(&found.decision, release)).filter(|found| found.verdict == Verdict::Builds)
        };
        let mut served = Vec::new();
        for other in left {
            // what dkms would build otherwise is another build
            if decision(index).is_none_or(|own| decision(other).as_ref() != Some(&own))
                || self.by_flavour && self.flavour(index) != self.flavour(other)
            {
                continue;
            }
            // with the modules of other drivers that are there
            let mut modules: Vec<&KernelModule> = built.modules.iter().map(|module| &module.module).collect();
            for driver in before {
                if let Outcome::Built(built) = of_kernel(driver.outcomes, self.kernels, other) {
                    modules.extend(built.modules.iter().map(|module| &module.module));
                }
            }
            let names = Names::of(modules.iter().copied());
            let judgement = self.abi(other, &names)?.judge(&Build::new(modules, &names), self.across_minors);
            if judgement.obstacles.is_empty() {
                served.push(other);
            }
        }
        Ok(served)
    }

    fn flavour(&self, index: usize) -> String {
        flavour(&self.kernels[index].release)
    }

    fn abi(&self, index: usize, names: &Names) -> Result<Abi> {
        against::of_kernel(self.kernels[index].clone(), names, self.cache)
    }

    /// The classes of kernels that came of it, by the place of their base.
    pub(crate) fn classes(&self, outcomes: &[&Outcome]) -> Result<BTreeMap<usize, Class>> {
        let base_of = |index: usize| match &outcomes[index] {
            Outcome::Built(_) => Some(index),
            Outcome::Served(base) => self.kernels.iter().position(|kernel| kernel.release == *base),
            _ => None,
        };
        let by_age: Vec<usize> =
            self.by_age().into_iter().filter(|index| base_of(*index).is_some()).collect();
        let built = |index: usize| match &outcomes[index] {
            Outcome::Built(built) => built.modules.iter().map(|module| &module.module).collect(),
            _ => Vec::new(),
        };
        let names = Names::of(by_age.iter().flat_map(|index| built(*index)));
        let mut abis = BTreeMap::new();
        for index in &by_age {
            abis.insert(*index, self.abi(*index, &names)?);
        }
        let mut classes = BTreeMap::new();
        for base in by_age.iter().copied().filter(|index| base_of(*index) == Some(*index)) {
            // kernels that can be on one machine
            let is_beside = |index: &&usize| {
                self.kernels[**index].arch == self.kernels[base].arch
                    && !(self.by_flavour && self.flavour(**index) != self.flavour(base))
            };
            let beside: Vec<usize> = by_age.iter().filter(is_beside).copied().collect();
            let is_own = |index: &usize| base_of(*index) == Some(base);
            let build = Build::new(built(base), &names);
            let others: Vec<&Abi> =
                beside.iter().filter(|index| !is_own(index)).map(|index| &abis[index]).collect();
            let condition = match abis[&base].apart(&build, &others) {
                Some(symbols) => Condition::Symbols(
                    symbols.into_iter().map(|(name, crc)| Symbol { name: name.to_string(), crc }).collect(),
                ),
                None => Condition::Releases(self.runs(&beside, &is_own)),
            };
            let needed = abis[&base].needed(&build);
            let symbols = |is_of_kernel: bool| {
                let needed = needed.iter().filter(|one| one.is_of_kernel == is_of_kernel);
                needed.map(|one| Symbol { name: one.symbol.to_string(), crc: one.crc }).collect()
            };
            let gives = built(base).into_iter().flat_map(|module| &module.exports);
            let gives = gives.filter_map(|export| {
                Some(Symbol { name: export.symbol.name.clone(), crc: export.symbol.crc? })
            });
            let class = Class {
                serves: beside
                    .iter()
                    .filter(|index| is_own(index))
                    .map(|index| self.kernels[*index].release.clone())
                    .collect(),
                of_kernel: symbols(true),
                of_others: symbols(false),
                gives: gives.collect(),
                condition,
            };
            classes.insert(base, class);
        }
        Ok(classes)
    }

    /// The runs of kernels of a class among all: the first of each, and the one behind its last.
    fn runs(&self, by_age: &[usize], is_own: &dyn Fn(&usize) -> bool) -> Vec<(String, Option<String>)> {
        let mut runs: Vec<(String, Option<String>)> = Vec::new();
        let mut is_open = false;
        for index in by_age {
            let release = &self.kernels[*index].release;
            if is_own(index) != is_open {
                is_open = !is_open;
                match runs.last_mut() {
                    Some((_, end)) if !is_open => *end = Some(release.clone()),
                    _ => runs.push((release.clone(), None)),
                }
            }
        }
        runs
    }
}

/// What dkms does for a kernel, but for its release in it.
fn without_release(decision: &Decision, release: &str) -> Decision {
    let without = |text: &Option<String>| text.as_ref().map(|text| text.replace(release, "KERNEL"));
    Decision {
        make: without(&decision.make),
        pre_build: without(&decision.pre_build),
        post_build: without(&decision.post_build),
        ..decision.clone()
    }
}
