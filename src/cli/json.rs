//! What a run has to say, as events; returns values and never prints.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use crate::base::diagnostic::{Code, Diagnostic, Severity};
use crate::base::error::{Error, Kind};
use crate::build::against::Served;
use crate::build::jobs::Job;
use crate::build::matrix::Plan;
use crate::build::shard::Done;
use crate::build::sign::Exported;
use crate::build::support::Row;
use crate::build::trial::Trial;
use crate::build::{self, Artifact, NewFile, Prepared};
use crate::compile;
use crate::dkms::{self, Evaluation};
use crate::driver;
use crate::events::{self, Event};
use crate::inspect;
use crate::inspect::diff;
use crate::inspect::verify::{Subject, Verdict as SignatureVerdict, Verified};
use crate::kernel::abi::Obstacle;
use crate::kernel::headers;
use crate::kernel::ko;
use crate::lock;
use crate::lock::update::Change;
use crate::output::Written;
use crate::package;
use crate::plan::profile::Target;
use crate::sign::certificate::Certificate;
use crate::sign::module::FoundSignature;
use crate::sign::new::Made;

fn path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The word that a value without fields is written as.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| Some(value.as_str()?.to_owned())).unwrap_or_default()
}

/// How an error ends a run.
pub(super) fn error(error: &Error) -> Event {
    Event::Error(events::Failure {
        kind: match error.kind() {
            Kind::Usage => events::FailureKind::Usage,
            Kind::Lacking => events::FailureKind::Lacking,
            Kind::Failed | Kind::Interrupted => events::FailureKind::Failed,
        },
        message: error.to_string(),
        hint: error.hint_text().map(str::to_owned),
    })
}

pub(super) fn interrupted(signal: u8) -> Event {
    Event::Interrupted(events::Interrupted { signal })
}

pub(super) fn finding(finding: &Diagnostic) -> Event {
    Event::Finding(finding_value(finding))
}

fn finding_value(finding: &Diagnostic) -> events::Finding {
    let place = finding.place.as_ref().map(|place| {
        let (line, column) = place.line_column();
        events::Place { path: path(&place.source.path), line, column }
    });
    events::Finding {
        code: finding.code.id.to_owned(),
        severity: match finding.severity {
            Severity::Note => events::Severity::Note,
            Severity::Warning => events::Severity::Warning,
            Severity::Error => events::Severity::Error,
        },
        message: finding.message.clone(),
        place,
        notes: finding.notes.clone(),
        hint: finding.hint.clone(),
        fixable: finding.fix.is_some(),
    }
}

pub(super) fn artifact(artifact: &Artifact) -> Event {
    Event::Artifact(events::Artifact {
        path: path(&artifact.written.path),
        size: artifact.written.size,
        target: artifact.target.clone(),
        format: artifact.format.clone(),
        fresh: artifact.is_fresh,
    })
}

/// How compiling went for a kernel.
pub(super) fn kernel(prepared: &Prepared, found: &build::ForKernel) -> Event {
    let is_packaged = !prepared.packages.is_empty();
    let success = if is_packaged { events::Outcome::Packaged } else { events::Outcome::Built };
    Event::Kernel(result(&prepared.driver.name, &found.kernel, &found.outcome, success))
}

/// A file whose modules were signed.
pub(super) fn signed(written: &Written, modules: usize, void: &[String]) -> Event {
    Event::Signed(events::Signed {
        path: path(&written.path),
        size: written.size,
        modules: modules as u64,
        void: void.to_vec(),
    })
}

/// A digest for somebody who signs elsewhere.
pub(super) fn exported(about: &Exported) -> events::Exported {
    events::Exported {
        file: about.file.clone(),
        path: about.path.clone(),
        hash: about.hash.clone(),
        digest: about.digest.clone(),
        sha256: about.sha256.clone(),
        size: about.size,
    }
}

/// What a kernel makes of the modules of a file.
pub(super) fn served(served: &Served, stable: Option<&BTreeSet<String>>) -> impl Iterator<Item = Event> {
    served.kernels.iter().map(move |(kernel, judgement)| {
        Event::Served(events::Served {
            file: path(&served.file),
            built_for: served.built_for.clone(),
            kernel: kernel.clone(),
            serves: judgement.obstacles.is_empty(),
            obstacles: judgement.obstacles.iter().map(|one| obstacle(one, stable)).collect(),
            from_modules: judgement.from_modules.clone(),
        })
    })
}

fn obstacle(obstacle: &Obstacle, stable: Option<&BTreeSet<String>>) -> events::Obstacle {
    let (kind, symbol, checksums) = match obstacle {
        Obstacle::Machine { .. } => ("machine", None, None),
        Obstacle::NoVersions { .. } => ("no-versions", None, None),
        Obstacle::Versions => ("versions", None, None),
        Obstacle::Magic { .. } => ("magic", None, None),
        Obstacle::Minor { .. } => ("minor", None, None),
        Obstacle::Variant { .. } => ("variant", None, None),
        Obstacle::Layout { needed, found } => ("layout", None, Some((*needed, *found))),
        Obstacle::Missing { symbol } => ("missing", Some(symbol), None),
        Obstacle::Checksum { symbol, needed, found } => ("checksum", Some(symbol), Some((*needed, *found))),
        Obstacle::Gpl { symbol, .. } => ("gpl", Some(symbol), None),
        Obstacle::Namespace { symbol, .. } => ("namespace", Some(symbol), None),
    };
    events::Obstacle {
        kind: kind.to_owned(),
        symbol: symbol.map(ToString::to_string),
        needed: checksums.map(|(needed, _)| needed),
        found: checksums.map(|(_, found)| found),
        stable: obstacle.symbol().and_then(|symbol| Some(stable?.contains(symbol))),
        text: obstacle.to_string(),
    }
}

/// What was made.
pub(super) fn new_key(made: &Made) -> Vec<Event> {
    let kinds = ["ca-key", "ca-certificate", "key", "certificate"];
    let event =
        |(at, kind): (&Path, &str)| Event::Key(events::NewKey { path: path(at), kind: kind.to_owned() });
    made.paths().into_iter().zip(kinds).map(event).collect()
}

fn signer(one: &FoundSignature) -> events::Signer {
    events::Signer { name: one.signer(), hash: one.hash.map(|hash| hash.name().to_owned()) }
}

/// What a signature is worth.
pub(super) fn verification(file: &Path, one: &Verified) -> Event {
    let verdict = match one.judged.verdict {
        SignatureVerdict::Good => "good",
        SignatureVerdict::UnknownKey => "unknown-key",
        SignatureVerdict::Wrong => "wrong",
        SignatureVerdict::Unsigned => "unsigned",
    };
    Event::Verification(events::Verification {
        file: path(file),
        subject: match one.subject {
            Subject::Module => "module".to_owned(),
            Subject::Package => "package".to_owned(),
        },
        path: one.path.clone().unwrap_or_default(),
        verdict: verdict.to_owned(),
        signers: one.judged.signers.clone(),
        why: one.judged.why.clone(),
    })
}

/// What would be compiled and packaged.
pub(super) fn job(job: &Job) -> Event {
    Event::Job(events::Job {
        driver: job.driver.clone(),
        version: job.version.clone(),
        target: job.target.clone(),
        format: job.format.clone(),
        kernel: job.kernel.as_ref().map(|kernel| kernel.release.clone()),
        skipped: job.skipped.clone(),
        key: job.key.clone(),
    })
}

/// The jobs of a plan.
pub(super) fn plan_events(plan: &Plan) -> impl Iterator<Item = Event> + '_ {
    plan.jobs.iter().map(|job| {
        let shard = plan.shards.iter().find(|shard| shard.jobs.contains(&job.id));
        Event::PlannedJob(events::PlannedJob {
            job: job.id.clone(),
            shard: shard.map(|shard| shard.id.clone()).unwrap_or_default(),
            target: job.target.clone(),
            arch: job.arch.clone(),
            kernels: job.kernels.iter().map(|kernel| kernel.release.clone()).collect(),
            key: job.key.clone(),
        })
    })
}

/// A job that is done.
pub(super) fn finished_job(done: &Done) -> Event {
    let state = done.result.kernels.iter().map(|kernel| kernel.state).max();
    Event::FinishedJob(events::FinishedJob {
        job: done.result.job.clone(),
        how: done.how.name().to_owned(),
        state: state.map(word).unwrap_or_default(),
        packages: done.result.packages.iter().map(|file| file.name.clone()).collect(),
        seconds: done.result.seconds,
    })
}

/// Whether a kernel is supported.
pub(super) fn support_row(row: &Row) -> Event {
    Event::Support(events::SupportRow {
        driver: row.driver.clone(),
        target: row.target.clone(),
        arch: row.arch.clone(),
        kernel: row.kernel.clone(),
        state: word(row.state),
        why: row.reason.clone(),
        compiler_error: row.error.clone(),
        since: row.since.clone(),
    })
}

/// What packages can be made for.
pub(super) fn target(target: &Target) -> Event {
    Event::Target(events::Target {
        name: target.name.clone(),
        aliases: target.aliases.clone(),
        title: target.title.clone(),
        family: target.family.clone(),
        dkms: target.dkms.clone(),
    })
}

fn result(
    driver: &str,
    kernel: &str,
    outcome: &compile::Outcome,
    success: events::Outcome,
) -> events::KernelResult {
    let mut result = events::KernelResult {
        driver: driver.to_owned(),
        kernel: kernel.to_owned(),
        outcome: success,
        why: None,
        hint: None,
        compiler_error: None,
        log: None,
        fresh: None,
        compiler: None,
        modules: None,
        fault: None,
        fault_why: None,
        base: None,
    };
    match outcome {
        compile::Outcome::Built(built) => {
            result.compiler.clone_from(&built.compiler);
            result.fresh = Some(built.is_fresh);
            result.log = Some(path(&built.log));
            result.modules = Some(built.modules.iter().map(|module| module.name.clone()).collect());
        }
        compile::Outcome::Failed(failure) => {
            result.outcome = events::Outcome::Failed;
            result.why = Some(failure.error.to_string());
            result.hint = failure.error.hint_text().map(str::to_owned);
            result.compiler_error = failure.compiler_error.as_ref().map(ToString::to_string);
            result.log = failure.log.as_deref().map(path);
        }
        compile::Outcome::Served(base) => {
            result.outcome = events::Outcome::Served;
            result.base = Some(base.clone());
        }
        compile::Outcome::Skipped(why) => {
            result.outcome = events::Outcome::Skipped;
            result.why = Some(why.clone());
        }
        compile::Outcome::NotTried => {
            result.outcome = events::Outcome::NotTried;
            result.why = Some(super::text::NOT_TRIED.to_owned());
        }
    }
    result
}

/// How building the source went, for each kernel.
pub(super) fn trial(trial: &Trial) -> impl Iterator<Item = Event> {
    trial.kernels.iter().map(|tried| {
        let mut result = result(&trial.driver, &tried.kernel, &tried.outcome, events::Outcome::Built);
        if let Some(blame) = &tried.blame {
            result.fault = Some(blame.fault.name().to_owned());
            result.fault_why = Some(blame.why.clone());
            result.hint = blame.hint.clone().or(result.hint);
        }
        Event::BuildCheck(result)
    })
}

pub(super) fn difference(difference: &diff::Difference) -> Event {
    Event::Difference(events::Difference {
        section: difference.section.name().to_owned(),
        what: difference.what.clone(),
        old: difference.old.clone(),
        new: difference.new.clone(),
    })
}

pub(super) fn file(file: &NewFile, written: bool) -> Event {
    Event::File(events::WrittenFile { path: path(&file.path), text: file.text.clone(), written })
}

pub(super) fn explanation(code: &Code) -> Event {
    Event::Explanation(events::Explanation {
        code: code.id.to_owned(),
        title: code.title.to_owned(),
        explanation: code.explanation.to_owned(),
    })
}

pub(super) fn installed_kernel(release: &str) -> Event {
    Event::InstalledKernel(events::InstalledKernel { kernel: release.to_owned() })
}

/// Kept headers, and what has become of them.
pub(super) fn header_package(package: &headers::HeaderPackage, state: &str) -> Event {
    Event::HeaderPackage(events::HeaderPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        arch: package.arch.clone(),
        kernels: package.kernels.keys().cloned().collect(),
        size: package.size,
        digest: package.digest.clone(),
        state: state.to_owned(),
    })
}

/// A kernel of kernels.lock.
pub(super) fn locked_kernel(kernel: &lock::Kernel) -> Event {
    Event::LockedKernel(events::LockedKernel {
        target: kernel.target.clone(),
        kernel: kernel.release.clone(),
        arch: kernel.arch.clone(),
        version: kernel.version.clone(),
        flavour: kernel.flavour.clone(),
        status: kernel.status.name().to_owned(),
        seen: kernel.seen.clone(),
        headers: kernel.digests(),
        compiler: kernel.cc.clone(),
    })
}

/// What became of a kernel.
pub(super) fn kernel_change(change: &Change) -> Event {
    let kernel = &change.kernel;
    Event::KernelChange(events::KernelChange {
        change: change.kind.name().to_owned(),
        target: kernel.target.clone(),
        kernel: kernel.release.clone(),
        arch: kernel.arch.clone(),
        version: kernel.version.clone(),
        before: change.before.clone(),
    })
}

/// What dkms reads from a dkms.conf, as [`events::Directives`]: an object and no event.
pub(super) fn directives(evaluation: &Evaluation) -> String {
    serde_json::to_string(&evaluation.to_schema()).unwrap_or_default() + "\n"
}

// ---- a finished file --------------------------------------------------------------------------------------------------------

pub(super) fn modules(file: &inspect::ModuleFile) -> Event {
    let package = file.package.as_ref().map(|found| events::FoundPackage {
        format: found.format.to_owned(),
        name: found.name.clone(),
        version: found.version.clone(),
        requires: found.requires.clone(),
        scripts: found
            .scripts
            .iter()
            .map(|script| events::FoundScript { name: script.name.clone(), text: script.text.clone() })
            .collect(),
        files: found
            .files
            .iter()
            .map(|file| events::FoundFile {
                path: file.path.clone(),
                mode: format!("{:04o}", file.mode),
                owner: file.owner.clone(),
                folder: file.is_folder(),
            })
            .collect(),
    });
    let modules = file.modules.iter().map(|(path, module)| events::FoundModule {
        path: path.clone(),
        kernel: module.kernel().map(str::to_owned),
        module: module_value(module),
    });
    Event::Modules(events::ModuleFile { package, modules: modules.collect() })
}

fn module_value(module: &ko::KernelModule) -> events::Module {
    let exports = module.exports.iter().map(|export| events::Export {
        name: export.symbol.name.clone(),
        crc: export.symbol.crc,
        gpl: export.gpl,
    });
    let needs = module.needs.iter().map(|symbol| events::Symbol {
        name: symbol.name.clone(),
        crc: symbol.crc,
        weak: symbol.weak,
    });
    let signature = module.signature.as_ref();
    events::Module {
        name: module.name.clone(),
        arch: module.arch.clone(),
        info: module.info.clone(),
        needs: needs.collect(),
        exports: exports.collect(),
        signature: signature.map(|found| events::Signature {
            kind: "PKCS#7".to_owned(),
            size: u32::try_from(found.size).unwrap_or(u32::MAX),
            signers: found.message.signatures.iter().map(signer).collect(),
            certificates: found.message.certificates.iter().map(Certificate::fingerprint).collect(),
            doubts: found.doubts(),
        }),
    }
}

// ---- a plan -----------------------------------------------------------------------------------------------------------------

/// A driver and its packages, with these findings.
pub(super) fn plan(prepared: &Prepared, findings: &[Diagnostic]) -> Event {
    let packages = prepared.packages.iter().map(|job| events::PlannedPackage {
        target: job.target.name.clone(),
        format: job.format.to_owned(),
        artifacts: job.artifacts.iter().map(|artifact| path(artifact)).collect(),
        package: package_value(&job.package),
    });
    Event::Plan(Box::new(events::Plan {
        driver: driver_value(&prepared.driver),
        packages: packages.collect(),
        findings: findings.iter().map(finding_value).collect(),
    }))
}

fn driver_value(driver: &driver::Driver) -> events::Driver {
    let about = &driver.about;
    let needs = driver.needs_dkms.iter().map(|need| events::DkmsNeed {
        version: need.version.clone(),
        why: need.why.clone(),
        wrong_module: need.wrong_module,
    });
    events::Driver {
        name: driver.name.clone(),
        version: driver.version.clone(),
        modules: driver
            .modules
            .iter()
            .map(|module| events::DriverModule { name: module.name.clone() })
            .collect(),
        modules_unknown: driver.modules_unknown,
        about: events::About {
            summary: about.summary.clone(),
            description: about.description.clone(),
            license: about.license.clone(),
            copyright: about.copyright.clone(),
            maintainer: about.maintainer.clone(),
            homepage: about.homepage.clone(),
        },
        origin: events::Origin {
            conf: driver.origin.conf.clone(),
            root: path(&driver.origin.root),
            version: driver.origin.version.clone(),
        },
        limits: events::Limits {
            arch: driver.limits.arch.clone(),
            kernel: driver.limits.kernel.clone(),
            kernel_min: driver.limits.kernel_min.clone(),
            kernel_max: driver.limits.kernel_max.clone(),
            config: driver.limits.config.clone(),
        },
        needs_dkms: needs.collect(),
        kernels: driver.kernels.iter().map(decision).collect(),
        stamp: driver.stamp,
    }
}

fn decision(found: &driver::ForKernel) -> events::KernelDecision {
    let decision = &found.decision;
    let (own, why) = verdict(&decision.verdict);
    let modules = decision.modules.iter().map(|module| {
        let (own, why) = verdict(&module.verdict);
        events::ModuleDecision {
            name: module.name.clone(),
            destination: module.destination.clone(),
            built: module.built.clone(),
            strip: module.strip,
            verdict: own,
            why,
        }
    });
    events::KernelDecision {
        kernel: found.kernel.clone(),
        verdict: own,
        why,
        make: decision.make.clone(),
        patches: decision.patches.clone(),
        pre_build: decision.pre_build.clone(),
        post_build: decision.post_build.clone(),
        build_depends: decision.build_depends.clone(),
        modules: modules.collect(),
        unknown: decision.unknown.iter().map(ToString::to_string).collect(),
        modules_unknown: decision.modules_unknown,
    }
}

fn verdict(verdict: &dkms::Verdict) -> (events::Verdict, Option<String>) {
    match verdict {
        dkms::Verdict::Builds => (events::Verdict::Builds, None),
        dkms::Verdict::Excluded(why) => (events::Verdict::Excluded, Some(why.clone())),
        dkms::Verdict::Unknown(why) => (events::Verdict::Unknown, Some(why.clone())),
    }
}

fn package_value(package: &package::Package) -> events::Package {
    let (packaging, installed) = match &package.payload {
        package::Payload::Source(source) => (source.packaging.as_slice(), package.payload.entries()),
        package::Payload::Install(entries) => (Default::default(), entries.as_slice()),
    };
    let changes = package.changelog.iter().map(|change| events::Change {
        version: version(&change.version),
        author: change.author.clone(),
        lines: change.lines.clone(),
        time: change.time,
    });
    let aliases = |name: &str| {
        let own = package.hardware.iter().find(|hardware| hardware.module == name);
        own.map(|hardware| hardware.aliases.clone()).unwrap_or_default()
    };
    let modules = package.carries.iter().map(|module| events::CarriedModule {
        name: module.name.clone(),
        version: module.version.clone(),
        aliases: aliases(&module.name),
    });
    events::Package {
        name: package.name.clone(),
        version: version(&package.version),
        arch: word(package.arch),
        summary: package.summary.clone(),
        description: package.description.clone(),
        license: package.license.clone(),
        maintainer: package.maintainer.clone(),
        homepage: package.homepage.clone(),
        relations: package.relations.iter().map(relation).collect(),
        scripts: package
            .scripts
            .iter()
            .map(|script| events::Script { when: word(script.when), body: script.body.clone() })
            .collect(),
        triggers: package.triggers.clone(),
        changelog: changes.collect(),
        modules: modules.collect(),
        files: installed.iter().map(entry).collect(),
        packaging: packaging.iter().map(entry).collect(),
        compression: events::Compression {
            codec: package.compression.codec.name().to_owned(),
            level: package.compression.level,
        },
        fields: package.fields.clone(),
        stamp: package.stamp,
    }
}

fn version(version: &package::Version) -> events::Version {
    events::Version {
        epoch: version.epoch,
        upstream: version.upstream.clone(),
        pre: version.pre.clone(),
        revision: version.revision.clone(),
    }
}

fn relation(relation: &package::Relation) -> events::Relation {
    let any_of = relation.any_of.iter().map(|capability| {
        let mut value = events::Capability {
            name: capability.name.clone(),
            comparison: None,
            version: None,
            own_version: None,
        };
        if let Some((comparison, bound)) = &capability.bound {
            value.comparison = Some(word(*comparison));
            match bound {
                package::Bound::Native(text) => value.version = Some(text.clone()),
                package::Bound::Own(own) => value.own_version = Some(version(own)),
            }
        }
        value
    });
    events::Relation { kind: word(relation.kind), any_of: any_of.collect() }
}

fn entry(entry: &package::Entry) -> events::PlannedFile {
    use package::{Content, EntryKind};
    let mut file = events::PlannedFile {
        path: entry.path.clone(),
        kind: events::FileKind::File,
        mode: format!("{:04o}", entry.mode()),
        size: entry.size(),
        role: word(entry.role),
        target: None,
        text: None,
        from: None,
    };
    match &entry.kind {
        EntryKind::Directory => file.kind = events::FileKind::Directory,
        EntryKind::Symlink { target } => {
            file.kind = events::FileKind::Symlink;
            file.target = Some(target.clone());
        }
        EntryKind::File { content: Content::Text(text), .. } => file.text = Some(text.clone()),
        EntryKind::File { content: Content::Disk { path: from, .. }, .. } => file.from = Some(path(from)),
        EntryKind::File { content: Content::Packaged { .. } | Content::Bytes(_), .. } => {}
    }
    file
}
