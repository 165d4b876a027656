//! Driver, target and request to packages: every decision, and the scripts' texts.
//!
//! Pure: no disk, no clock, no environment, no processes. Knows no family and no distribution by name.

mod depends;
mod files;
mod hold;
mod prebuilt;
pub mod profile;
mod source;
pub mod template;

pub use depends::Sibling;
pub use hold::{Held, plan as plan_hold};
pub use prebuilt::{Class, Condition, KernelModules, ReadyModule, Symbol, flavour, plan as plan_prebuilt};
pub use source::plan as plan_source;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::base::diagnostic::{Code, Diagnostic, Severity};
use crate::base::error::{Error, Result};
use crate::config::request::{AskedCompression, Request, Texts};
use crate::config::{Initramfs, OnBuildFailure};
use crate::dkms::compare_versions;
use crate::driver::{Driver, Limits};
use crate::input::source::{SourceFile, SourceKind};
use crate::package::{
    Arch, Bound, Capability, Change, Codec, Comparison, Compression, Content, Entry, EntryKind, Package,
    Payload, Relation, RelationKind, Role, Script, Version, When,
};
use profile::{Document, Names, Target};
use template::Templates;

/// The packages for one target, and what there is to say about them.
#[derive(Debug)]
pub struct Plan {
    /// With nothing left to decide.
    pub packages: Vec<Package>,
    /// Findings that concern this target.
    pub diagnostics: Vec<Diagnostic>,
}

/// The findings of this layer.
pub const CODES: &[&Code] = &[
    &OLD_DKMS,
    &UNREADABLE_CODEC,
    &NO_MAINTAINER,
    &NO_LICENSE,
    &MAPPED_NAME,
    &NO_KERNEL_RELATION,
    &OTHER_MODULE_CODEC,
    &MISSING_FILE,
    &UNRELATED,
    &BUILT_AFTER_ITSELF,
    &NO_DRIVER,
    &UNKNOWN_ORDER,
    &MAPPED_VERSION,
    &NO_MARK,
    &NO_SUPPORT,
];

const OLD_DKMS: Code = Code {
    id: "K0501",
    title: "the target's dkms is older than a directive in dkms.conf",
    explanation: "An older dkms ignores a directive it does not know. Where that would install a wrong module, the package\n\
                  requires the newer dkms; elsewhere it does not, so that it stays installable on the target, and this\n\
                  finding tells what will be ignored there.",
};
const UNREADABLE_CODEC: Code = Code {
    id: "K0502",
    title: "a release of the target cannot read this compression",
    explanation: "`--compression` or kpkg.toml asks for a codec that the package manager of at least one release of the\n\
                  target does not know: installing the package there fails. Without `--target` the package is meant\n\
                  for all releases of its format.",
};
const NO_MAINTAINER: Code = Code {
    id: "K0503",
    title: "nobody answers for the package",
    explanation: "Both formats want the name and address of who answers for a package. kpkg takes them from `maintainer`\n\
                  under `[driver]` in kpkg.toml, else from the first that has one of: debian/control, a spec file's\n\
                  Packager or changelog, debian/changelog, MODULE_AUTHOR, MAINTAINERS, AUTHORS. It never takes them\n\
                  from the machine that packages, so that every machine writes the same bytes.",
};
const NO_LICENSE: Code = Code {
    id: "K0504",
    title: "no licence was found",
    explanation: "kpkg reads SPDX-License-Identifier lines and MODULE_LICENSE from the sources of the modules, else\n\
                  debian/copyright and the title of a text such as COPYING or LICENSE. Where nothing says it,\n\
                  write `license` under `[driver]` in kpkg.toml, as an SPDX expression.",
};
const MAPPED_NAME: Code = Code {
    id: "K0505",
    title: "the package is not named like the driver",
    explanation: "The format has no such name, so the package's is made from it: lower case, `-` for `_`, as the\n\
                  distributions do it. dkms and /usr/src keep the driver's own spelling. Two drivers whose names differ\n\
                  in nothing else would get one package name; kernel modules treat `-` and `_` alike as well.\n\
                  Another name can be set with `package-name` under `[driver]` in kpkg.toml.",
};

const NO_KERNEL_RELATION: Code = Code {
    id: "K0506",
    title: "the package cannot say which kernel it needs",
    explanation: "In an .rpm a version has one dash, and this kernel's release has more of them. The package then requires no\n\
                  kernel, and none brings it along; its files lie where the kernel looks for them.",
};
const OTHER_MODULE_CODEC: Code = Code {
    id: "K0507",
    title: "the modules are compressed otherwise than the kernel's own",
    explanation: "Modules are compressed as the kernel's configuration compresses its own, where the tools of the target can\n\
                  read that, such as weak-modules, which knows no Zstandard; else they are not compressed.",
};
const MISSING_FILE: Code = Code {
    id: "K0508",
    title: "a file that kpkg.toml names is not in the source",
    explanation: "The paths under `[files]` in kpkg.toml are below the source's root, and name files that are packaged, or\n\
                  folders of them. `kpkg show --files` lists these files.",
};

const UNRELATED: Code = Code {
    id: "K0509",
    title: "nothing brings a driver that this one is built after",
    explanation: "BUILD_DEPENDS names drivers of dkms that have to be installed for a kernel before this one is built for it.\n\
                  dkms 3.1.4 and later end the build with status 13 where one is not; earlier ones build in that order when\n\
                  a kernel comes, and whatever the one takes from the other is missing. No package manager knows of it\n\
                  unless the package says so. A driver of the same run (`--all`) becomes a relation; the package of another\n\
                  one stands under `[relations.build-depends]` in kpkg.toml, as `NAME = \"PACKAGE\"`, or as `NAME = \"\"`\n\
                  where none is needed.",
};
const BUILT_AFTER_ITSELF: Code = Code {
    id: "K0510",
    title: "the driver is to be built after itself",
    explanation: "BUILD_DEPENDS names the driver itself, or one that is in turn built after it. dkms 3.1.4 and later refuse to\n\
                  build a driver before those it names are installed for the kernel, so that neither is ever built; earlier\n\
                  ones leave both out when a kernel is added. The package gets no relation for it.",
};
const NO_DRIVER: Code = Code {
    id: "K0511",
    title: "BUILD_DEPENDS names a package",
    explanation: "The names in BUILD_DEPENDS are those of drivers that dkms knows, not of packages. dkms 3.1.4 and later end\n\
                  every build with status 13, because no driver of that name is installed; what packages the build takes\n\
                  is said by the relations of this one.",
};
const UNKNOWN_ORDER: Code = Code {
    id: "K0512",
    title: "what the driver is built after is not known",
    explanation: "A value in BUILD_DEPENDS is computed by a program, or from something that only the target knows. kpkg makes\n\
                  no relation of it.",
};
const MAPPED_VERSION: Code = Code {
    id: "K0133",
    title: "the package's version is without the `v` of the driver's",
    explanation: "Git tags are often named `v1.2`. A .deb's version begins with a digit (deb-version(7)), and rpm sorts letters\n\
                  before digits (rpm-version(7)), so that v1.2 would be older than 1.1. The packages leave the `v` out; dkms\n\
                  and /usr/src keep the driver's own spelling.",
};

const NO_MARK: Code = Code {
    id: "K0513",
    title: "no symbol tells the kernels of a package from others",
    explanation: "With `--group kabi` the metapackage needs, for every kernel that is installed, the package that serves\n\
                  it, and knows a kernel by the checksum of a symbol that those of other packages have not. Where all\n\
                  symbols that the modules need have the same checksums, and something else keeps the build from serving\n\
                  the other kernels, such as another minor release, it knows them by their releases. Kernels that come\n\
                  later count to the last of them.",
};

const NO_SUPPORT: Code = Code {
    id: "K0514",
    title: "the modules do not say who supports them",
    explanation: "Kernels of SUSE Linux Enterprise load no module without the field `supported`, as their modprobe.d has\n\
                  `allow_unsupported_modules 0`; openSUSE's load it and taint the kernel. A module has the field where its\n\
                  source says `MODULE_INFO(supported, \"external\")`; otherwise the administrator allows such modules.",
};

/// Where a driver's source lies on the target, without the leading slash: what dkms expects (`dkms(8)`).
const SOURCE_TREE: &str = "usr/src";

/// Plans the packages of a driver for a target.
pub fn plan(
    driver: &Driver,
    siblings: &[Sibling],
    target: &Target,
    request: &Request,
    templates: &Templates,
) -> Result<Plan> {
    let mut diagnostics = Vec::new();
    let base = base_name(driver, target, request, &mut diagnostics);
    let name = target.names.source_only.replace("{name}", &base);
    let mut package = skeleton(name, driver, target, request, target.compression, &mut diagnostics);
    package.summary =
        driver.about.summary.clone().unwrap_or_else(|| format!("Linux driver {base}, built by DKMS"));
    package.description = driver.about.description.clone().unwrap_or_else(|| description(driver));
    package.relations = relations(driver, target, request, &base, &mut diagnostics)?;
    for relation in depends::relations(driver, siblings, target, request, &mut diagnostics) {
        if !package.relations.contains(&relation) {
            package.relations.push(relation);
        }
    }
    package.triggers.clone_from(&target.source_only.triggers);
    let values = Values::new(driver, target, request, &package);
    let mut entries = source_entries(driver);
    entries.extend(files::entries(driver, target, request, &base)?);
    let payload = with_documents(entries, &target.documents, &package.name, templates, &values)?;
    package.scripts = scripts(&target.source_only.scripts, request, templates, &values)?;
    package.payload = Payload::Install(payload);
    Ok(Plan { packages: vec![package], diagnostics })
}

/// A package of a driver with nothing in it, and with what all its packages have in common.
fn skeleton(
    name: String,
    driver: &Driver,
    target: &Target,
    request: &Request,
    usual: Compression,
    diagnostics: &mut Vec<Diagnostic>,
) -> Package {
    let about = &driver.about;
    let number = driver.version.split_once(':').map_or(&*driver.version, |(_, number)| number);
    if without_v(number) != number {
        let text = format!(
            "the driver's version is `{}`, its packages have `{}`: versions that begin with a letter sort wrongly",
            driver.version,
            without_v(number)
        );
        diagnostics.push(Diagnostic::note(&MAPPED_VERSION, text));
    }
    let maintainer = about.maintainer.clone().unwrap_or_else(|| {
        let text = "no maintainer is known; the packages name a placeholder";
        let hint = "write `maintainer = \"Name <address>\"` under `[driver]` in kpkg.toml";
        diagnostics.push(Diagnostic::note(&NO_MAINTAINER, text).hint(hint));
        "Unknown Maintainer <unknown@example.org>".to_owned()
    });
    let license = about.license.clone().unwrap_or_else(|| {
        let hint = "write `license = \"GPL-2.0-only\"` or whatever it is under `[driver]` in kpkg.toml";
        diagnostics.push(Diagnostic::note(&NO_LICENSE, "no licence was found in the sources").hint(hint));
        "LicenseRef-Unknown".to_owned()
    });
    let mut package = Package {
        name,
        version: split_version(&driver.version, &request.release),
        arch: Arch::Any,
        summary: String::new(),
        description: String::new(),
        license,
        maintainer,
        homepage: about.homepage.clone().unwrap_or_default(),
        relations: Vec::new(),
        scripts: Vec::new(),
        triggers: Vec::new(),
        changelog: Vec::new(),
        carries: Vec::new(),
        hardware: Vec::new(),
        offers: Vec::new(),
        newest_of: None,
        payload: Payload::Install(Vec::new()),
        compression: compression(target, request, usual, diagnostics),
        fields: target
            .fields
            .iter()
            .chain(&request.fields)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        stamp: driver.stamp,
    };
    // an empty one takes the target's away
    package.fields.retain(|_, value| !value.is_empty());
    package.changelog = changelog(driver, &package);
    package
}

// ---- names and versions -----------------------------------------------------------------------------------------------------

/// The driver's part of package names: without a `-dkms` of its own, in the target's spelling.
fn base_name(
    driver: &Driver,
    target: &Target,
    request: &Request,
    diagnostics: &mut Vec<Diagnostic>,
) -> String {
    let own = without_suffix(&driver.name);
    let mapped = base_of(&driver.name, target, request);
    if request.package_name.is_none() && mapped != own {
        let text = format!("the driver is `{own}`, its packages are named `{mapped}`");
        diagnostics.push(Diagnostic::note(&MAPPED_NAME, text));
    }
    mapped
}

fn without_suffix(name: &str) -> &str {
    name.strip_suffix("-dkms").unwrap_or(name)
}

/// The same for a driver of that name.
fn base_of(name: &str, target: &Target, request: &Request) -> String {
    request.package_name.clone().unwrap_or_else(|| mapped_name(without_suffix(name), &target.names))
}

fn mapped_name(name: &str, names: &Names) -> String {
    let name = if names.lower_case { name.to_ascii_lowercase() } else { name.to_owned() };
    match &names.underscore {
        Some(replacement) => name.replace('_', replacement),
        None => name,
    }
}

/// Words that mark a version as earlier than the one without them, in any case.
const PRE_RELEASES: [&str; 6] = ["alpha", "beta", "dev", "pre", "preview", "rc"];

/// `2:1.0-rc1` = epoch 2, upstream `1.0`, pre-release `rc1`.
///
/// The parts determine the whole, but for a `v` in front: an epoch is all digits before the first colon, and the pre-release part
/// begins at the first of [`PRE_RELEASES`] that a digit, or a separator, and no letter surround.
fn split_version(whole: &str, revision: &str) -> Version {
    let (epoch, rest) = match whole.split_once(':') {
        // a leading zero would be lost
        Some((epoch, rest)) if epoch == "0" || !epoch.starts_with('0') => match epoch.parse() {
            Ok(epoch) => (Some(epoch), rest),
            Err(_) => (None, whole),
        },
        _ => (None, whole),
    };
    let rest = without_v(rest);
    let (upstream, pre) = match (1..rest.len()).find_map(|at| Some((at, pre_release(rest, at)?))) {
        Some((at, pre)) => (&rest[..at], Some(pre)),
        None => (rest, None),
    };
    Version { epoch, upstream: upstream.to_owned(), pre, revision: revision.to_owned() }
}

/// `v1.2` is how tags are named, and no order knows the letter: it would sort behind every number.
fn without_v(version: &str) -> &str {
    let rest = version.strip_prefix(['v', 'V']).unwrap_or(version);
    if rest.starts_with(|first: char| first.is_ascii_digit()) { rest } else { version }
}

/// The pre-release part that begins at a byte, as [`Version::pre`] has it.
fn pre_release(version: &str, at: usize) -> Option<String> {
    let (before, tail) = (version.get(..at)?, version.get(at..)?);
    let is_word = |tail: &str| {
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        PRE_RELEASES.iter().any(|word| word.eq_ignore_ascii_case(&tail[..letters]))
    };
    if let Some(word) = tail.strip_prefix('-').filter(|word| is_word(word)) {
        return Some(word.to_owned());
    }
    if tail.strip_prefix(['~', '_', '.']).is_some_and(is_word) {
        return Some(tail.to_owned());
    }
    let joined = before.ends_with(|last: char| last.is_ascii_digit()) && is_word(tail);
    joined.then(|| format!("+{tail}"))
}

// ---- texts ------------------------------------------------------------------------------------------------------------------

fn description(driver: &Driver) -> String {
    let mut paragraphs = vec![format!(
        "This package carries the source of the Linux driver {} {}. DKMS builds it for every installed kernel whose headers are \
         there, now and whenever a kernel is added.",
        driver.name, driver.version
    )];
    let modules: Vec<_> = driver.modules.iter().map(|module| module.name.as_str()).collect();
    match modules.as_slice() {
        [] => {}
        [one] => paragraphs.push(format!("It contains the kernel module {one}.")),
        many => paragraphs.push(format!("It contains the kernel modules {}.", many.join(", "))),
    }
    let limits = limits(&driver.limits);
    if !limits.is_empty() {
        paragraphs.push(format!("It is not built for other kernels than: {}.", limits.join("; ")));
    }
    paragraphs.join("\n\n")
}

/// What the driver's metadata says about kernels it is meant for, in words: no format can require it of a kernel that is not
/// installed yet without holding kernel updates back.
fn limits(limits: &Limits) -> Vec<String> {
    let list = [
        ("machines matching", &limits.arch),
        ("releases matching", &limits.kernel),
        ("not older than", &limits.kernel_min),
        ("not newer than", &limits.kernel_max),
        ("configured with", &limits.config),
    ];
    list.into_iter()
        .filter_map(|(words, limit)| limit.as_ref().map(|limit| format!("{words} {limit}")))
        .collect()
}

/// The package on top of the driver's release, which is revision 0 of it.
fn changelog(driver: &Driver, package: &Package) -> Vec<Change> {
    let change = |revision: &str, time: u32, line: String| Change {
        version: Version { revision: revision.to_owned(), ..package.version.clone() },
        author: package.maintainer.clone(),
        lines: vec![line],
        time,
    };
    let revision = &package.version.revision;
    let line = format!("Package {} {} from its source tree.", driver.name, driver.version);
    let mut changes = vec![change(revision, driver.stamp, line)];
    if revision != "0" && package.version.has_revision() {
        // entries have to follow each other in time
        let line = format!("Release {} of the driver {}.", driver.version, driver.name);
        changes.push(change("0", driver.stamp.saturating_sub(1), line));
    }
    changes
}

// ---- relations --------------------------------------------------------------------------------------------------------------

fn relations(
    driver: &Driver,
    target: &Target,
    request: &Request,
    base: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Vec<Relation>> {
    let mut relations = Vec::new();
    for (kind, text) in target.source_only.relations.iter() {
        let relation = Relation::parse(kind, text).ok_or_else(|| {
            Error::usage(format!("the target `{}` has an unreadable relation `{text}`", target.name))
        })?;
        relations.push(relation);
    }
    if let Some(version) = minimum_dkms(driver, target, diagnostics) {
        for capability in relations.iter_mut().flat_map(|relation| &mut relation.any_of) {
            if capability.name == "dkms" {
                capability.bound = Some((Comparison::AtLeast, Bound::Native(version.clone())));
            }
        }
    }
    let modules = target.names.modules.replace("{name}", base);
    relations.push(Relation { kind: RelationKind::Conflicts, any_of: vec![Capability::named(modules)] });
    relations.extend(request.relations.iter().cloned());
    Ok(relations)
}

/// The dkms to require: only where an older one would install a wrong module. What it would merely ignore is a finding.
fn minimum_dkms(driver: &Driver, target: &Target, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    for need in driver.needs_dkms.iter().filter(|need| !need.wrong_module) {
        if target.dkms.as_deref().is_some_and(|dkms| compare_versions(dkms, &need.version).is_lt()) {
            let text = format!(
                "{} needs dkms {}, {} has {}",
                need.why,
                need.version,
                target.title,
                target.dkms.as_deref().unwrap_or_default()
            );
            let severity = if need.is_harmless { Severity::Note } else { Severity::Warning };
            diagnostics.push(Diagnostic::new(&OLD_DKMS, severity, text));
        }
    }
    let wrong = driver.needs_dkms.iter().filter(|need| need.wrong_module).map(|need| need.version.clone());
    wrong.max_by(|one, other| compare_versions(one, other))
}

fn compression(
    target: &Target,
    request: &Request,
    usual: Compression,
    diagnostics: &mut Vec<Diagnostic>,
) -> Compression {
    let asked = match request.compression {
        None => return usual,
        Some(AskedCompression::Fastest) => return fastest(target),
        Some(AskedCompression::This(asked)) => asked,
    };
    if !target.reads.contains(&asked.codec) {
        let text = format!("not every release of {} reads {}", target.title, asked.codec.name());
        let names: Vec<_> = target.reads.iter().map(|codec| codec.name()).collect();
        diagnostics.push(
            Diagnostic::warning(&UNREADABLE_CODEC, text)
                .hint(format!("all of them read {}", names.join(", "))),
        );
    }
    asked
}

/// The fastest codec of those that a target reads, at its fastest.
fn fastest(target: &Target) -> Compression {
    let by_speed = [Codec::Zstd, Codec::Gzip, Codec::Xz];
    let codec = by_speed.into_iter().find(|codec| target.reads.contains(codec)).unwrap_or(Codec::None);
    Compression { codec, level: *codec.levels().start() }
}

// ---- templates --------------------------------------------------------------------------------------------------------------

/// What templates see.
#[derive(Debug, Clone, Serialize)]
struct Values<'a> {
    driver: DriverValues<'a>,
    package: PackageValues<'a>,
    on_build_failure: OnBuildFailure,
    headers: &'a str,
    /// Names of modules, separated by blanks.
    modules: String,
    initramfs: Initramfs,
    /// What the driver is built after, one a line.
    build_depends: String,
    scripts: Texts,
}

#[derive(Debug, Clone, Serialize)]
struct DriverValues<'a> {
    name: &'a str,
    version: &'a str,
    modules: Vec<&'a str>,
}

#[derive(Debug, Clone, Serialize)]
struct PackageValues<'a> {
    name: &'a str,
    summary: &'a str,
    license: &'a str,
    homepage: &'a str,
    copyright: Vec<String>,
    source_folder: String,
    source_name: String,
    releases: String,
    has_revision: bool,
    license_files: Vec<&'a str>,
}

impl<'a> Values<'a> {
    fn new(driver: &'a Driver, target: &'a Target, request: &Request, package: &'a Package) -> Self {
        // without a notice, the year of the source and who answers for the package
        let mut copyright = driver.about.copyright.clone();
        if copyright.is_empty() {
            copyright.push(format!("{} {}", year(driver.stamp), package.maintainer));
        }
        Self {
            driver: DriverValues {
                name: &driver.name,
                version: &driver.version,
                modules: driver.modules.iter().map(|module| module.name.as_str()).collect(),
            },
            package: PackageValues {
                name: &package.name,
                summary: &package.summary,
                license: &package.license,
                homepage: &package.homepage,
                copyright,
                source_folder: format!("/{}", source_folder(driver)),
                source_name: format!("{}-{}", driver.name, driver.version),
                releases: releases(&package.homepage),
                has_revision: package.version.has_revision(),
                license_files: driver.license_files().collect(),
            },
            on_build_failure: request.on_build_failure,
            headers: &target.headers,
            modules: driver.modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>().join(" "),
            initramfs: initramfs(driver, request),
            build_depends: depends::names(driver).into_iter().collect::<Vec<_>>().join("\n"),
            scripts: Texts::default(),
        }
    }
}

/// When the initramfs of a kernel is made anew: as the user says, else as the driver does.
fn initramfs(driver: &Driver, request: &Request) -> Initramfs {
    let of_driver = if driver.remake_initrd { Initramfs::Always } else { Initramfs::Auto };
    request.initramfs.unwrap_or(of_driver)
}

/// Where new releases of a driver appear, as uscan(1) looks for them; empty where its homepage does not tell.
fn releases(homepage: &str) -> String {
    let (_, address) = homepage.split_once("://").unwrap_or_default();
    let parts: Vec<_> = address.trim_end_matches('/').trim_end_matches(".git").split('/').collect();
    let plain = |part: &&str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    match parts.as_slice() {
        [host @ "github.com", owner, name] if [owner, name].into_iter().all(plain) => {
            format!("https://{host}/{owner}/{name}/tags .*/v?(\\d\\S+)\\.tar\\.gz")
        }
        [host @ "gitlab.com", owner, name] if [owner, name].into_iter().all(plain) => {
            format!("https://{host}/{owner}/{name}/-/tags .*/{name}-v?(\\d\\S+)\\.tar\\.gz")
        }
        _ => String::new(),
    }
}

/// The year of a time, in the Gregorian calendar.
fn year(stamp: u32) -> i16 {
    // whatever 32 bits hold is a time of the calendar
    jiff::Timestamp::from_second(stamp.into()).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC).year()
}

/// A template's values for one moment: with the packager's own texts.
trait ForMoment: Serialize {
    fn with_texts(&self, texts: Texts) -> Self;
}

impl ForMoment for Values<'_> {
    fn with_texts(&self, texts: Texts) -> Self {
        Self { scripts: texts, ..self.clone() }
    }
}

fn scripts(
    wanted: &BTreeMap<When, String>,
    request: &Request,
    templates: &Templates,
    values: &impl ForMoment,
) -> Result<Vec<Script>> {
    let mut scripts = Vec::new();
    for (when, template) in wanted {
        let texts = request.scripts.get(when).cloned().unwrap_or_default();
        scripts.push(Script { when: *when, body: templates.render(template, &values.with_texts(texts))? });
    }
    // a moment in which we have nothing to do is the packager's alone
    let others: BTreeMap<_, _> =
        request.scripts.iter().filter(|(when, _)| !wanted.contains_key(when)).collect();
    for (when, texts) in others {
        scripts.push(Script {
            when: *when,
            body: format!("#!/bin/sh\nset -e\n{}\n{}\n", texts.before, texts.after),
        });
    }
    scripts.sort_by_key(|script| script.when);
    Ok(scripts)
}

// ---- payload ----------------------------------------------------------------------------------------------------------------

fn source_folder(driver: &Driver) -> String {
    format!("{SOURCE_TREE}/{}-{}", driver.name, driver.version)
}

/// The source as dkms wants it.
fn source_entries(driver: &Driver) -> Vec<Entry> {
    let root = source_folder(driver);
    let mut entries = vec![folder(root.clone())];
    for file in &driver.tree {
        let kind = match &file.kind {
            SourceKind::Directory => EntryKind::Directory,
            SourceKind::Symlink { target } => EntryKind::Symlink { target: target.clone() },
            SourceKind::File { executable, .. } => {
                EntryKind::File { content: content(driver, file), executable: *executable }
            }
        };
        entries.push(Entry { path: format!("{root}/{}", file.path), kind, role: Role::Plain });
    }
    entries
}

/// What a file of the source holds in the package.
fn content(driver: &Driver, file: &SourceFile) -> Content {
    match (driver.rewritten.get(&file.path), &file.kind) {
        (Some(text), _) => Content::Text(text.clone()),
        (None, SourceKind::File { on_disk, size, .. }) => {
            Content::Disk { path: on_disk.clone(), size: *size }
        }
        (None, _) => Content::Text(String::new()),
    }
}

fn folder(path: String) -> Entry {
    Entry { path, kind: EntryKind::Directory, role: Role::Plain }
}

fn text_file(path: String, text: String, role: Role) -> Entry {
    Entry { path, kind: EntryKind::File { content: Content::Text(text), executable: false }, role }
}

/// A payload with its documents, in the order of paths.
fn with_documents(
    mut entries: Vec<Entry>,
    documents: &[Document],
    package: &str,
    templates: &Templates,
    values: &impl Serialize,
) -> Result<Vec<Entry>> {
    let mut folders = BTreeSet::new();
    for document in documents {
        let text = templates.render(&document.template, values)?;
        let path = document.path.replace("{package}", package);
        if let Some((folder, _)) = path.rsplit_once('/') {
            folders.insert(folder.to_owned());
        }
        entries.push(text_file(path, text, Role::Documentation));
    }
    entries.extend(folders.into_iter().map(|path| Entry { role: Role::Documentation, ..folder(path) }));
    entries.sort_by(|one, other| one.path.as_bytes().cmp(other.path.as_bytes()));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_split_into_epoch_upstream_and_pre_release() {
        let parts = |text: &str| {
            let version = split_version(text, "1");
            (version.epoch, version.upstream, version.pre)
        };
        let pre = |tag: &str| Some(tag.to_owned());
        assert_eq!(parts("1.0"), (None, "1.0".into(), None));
        assert_eq!(parts("1.0-rc1"), (None, "1.0".into(), pre("rc1")));
        assert_eq!(parts("2:1.0-beta-2"), (Some(2), "1.0".into(), pre("beta-2")));
        assert_eq!(parts("1.0-5"), (None, "1.0-5".into(), None));
        assert_eq!(parts("1.0-release"), (None, "1.0-release".into(), None));
        assert_eq!(parts("02:1.0"), (None, "02:1.0".into(), None));
        assert_eq!(parts("v1.38.6"), (None, "1.38.6".into(), None));
        assert_eq!(parts("2.0rc1"), (None, "2.0".into(), pre("+rc1")));
        assert_eq!(parts("2.0-RC1"), (None, "2.0".into(), pre("RC1")));
        assert_eq!(parts("4.22.3_rc"), (None, "4.22.3".into(), pre("_rc")));
        // words that only begin so, letters that mean nothing for sure, and what comes after a release
        for plain in
            ["1.0arc1", "1.0a1", "1.0b2", "1.0-preempt", "1.0-device", "1.0+rc1", "5.0+git1.5f7be68d-5"]
        {
            assert_eq!(parts(plain), (None, plain.into(), None));
        }
    }

    /// Pre-releases in every usual spelling.
    const BEFORE: [&str; 14] = [
        "2.0-rc1",
        "2.0rc1",
        "2.0_rc1",
        "2.0.rc1",
        "2.0~rc1",
        "2.0-RC1",
        "2.0RC1",
        "2.0_rc",
        "2.0-beta2",
        "2.0.alpha.3",
        "2.0-pre1",
        "2.0dev",
        "2.0-Preview2",
        "2.0~1",
    ];

    #[test]
    fn different_versions_are_spelled_differently_by_every_backend() {
        let versions = [
            "1.0", "1.0-rc1", "1.0~rc1", "1.0_rc1", "1.0.rc1", "1.0+rc1", "1.0-5", "1.0.5", "1.0_5", "1.0+5",
            "2:1.0", "1.0-RC1", "1.0rc1", "1.0RC1", "1.0~1", "1.0_1", "1.0-1", "1.0~.1", "1.0~x", "1.0x",
            "1.0-rc-1", "1.0-rc.1", "1.0-rc_1", "1.0-rc~1", "1.0-rc+1",
        ];
        for family in crate::format::FAMILIES {
            let all = versions.iter().chain(&BEFORE);
            let spelled: BTreeSet<_> = all.map(|text| family.version(&split_version(text, "1"))).collect();
            assert_eq!(spelled.len(), versions.len() + BEFORE.len(), "{spelled:?}");
        }
    }

    #[test]
    fn every_version_that_can_be_spelled_has_a_spelling_of_its_own() {
        let pieces = ["1", ".", "-", "_", "~", "+", "rc"];
        let mut versions = vec!["1".to_owned()];
        let mut last = versions.clone();
        for _ in 0..5 {
            last =
                last.iter().flat_map(|start| pieces.iter().map(move |end| format!("{start}{end}"))).collect();
            versions.extend(last.iter().cloned());
        }
        for family in crate::format::FAMILIES {
            let mut known: BTreeMap<String, &String> = BTreeMap::new();
            for text in &versions {
                let version = split_version(text, "1");
                if family.unspeakable(&version).is_some() {
                    continue;
                }
                if let Some(other) = known.insert(family.version(&version), text) {
                    panic!("{text} and {other} are both `{}`", family.version(&version));
                }
            }
            assert!(known.len() > versions.len() / 10, "{}", known.len());
        }
    }
}
