//! Golden plans and scripts for the drivers of `examples/` on every target, and shellcheck over every script.
//!
//! A golden plan is whole for the portable target of a family; beside it stands what is different on other targets.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support;
use kpkg::base::diagnostic::{Diagnostic, Severity};
use kpkg::build::{self, Options, Prepared};
use kpkg::config::Config;
use kpkg::config::request::{self, Request};
use kpkg::input::Input;
use kpkg::package::{Bound, Codec, Package, RelationKind};
use kpkg::plan::profile;
use kpkg::plan::template::Templates;
use kpkg::plan::{self, Class, Condition, KernelModules, ReadyModule, Symbol};
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::{CONF, Tree, golden};

fn examples() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A file of every kind that a target has a folder for.
const FILES: [(&str, &str); 9] = [
    ("firmware", "files/greeter.bin"),
    ("udev", "files/60-greeter.rules"),
    ("hwdb", "files/60-greeter.hwdb"),
    ("modprobe", "files/greeter-quiet.conf"),
    ("modules-load", "files/greeter-load.conf"),
    ("depmod", "files/greeter-depmod.conf"),
    ("systemd", "files/greeter.service"),
    ("initramfs-tools", "files/initramfs"),
    ("dracut", "files/dracut"),
];

/// An example, with files of every kind beside its modules.
fn with_files(example: &str) -> Tree {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
            let (from, to) = (entry.path(), to.join(entry.file_name()));
            if from.is_dir() {
                copy(&from, &to);
            } else {
                std::fs::copy(from, to).unwrap();
            }
        }
    }
    let tree = Tree::empty();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example), tree.path());
    let config = std::fs::read_to_string(tree.path().join("kpkg.toml")).unwrap();
    tree.file("kpkg.toml", config + &files_config());
    for (_, path) in FILES {
        let path = match path {
            "files/initramfs" => "files/initramfs/hooks/greeter",
            "files/dracut" => "files/dracut/90greeter/module-setup.sh",
            plain => plain,
        };
        tree.file(path, "x\n");
    }
    tree
}

fn files_config() -> String {
    let lines = FILES.iter().map(|(kind, path)| format!("{kind} = [\"{path}\"]\n"));
    format!("\n[files]\n{}", lines.collect::<String>())
}

fn prepared(example: &str, target: &str) -> Prepared {
    prepared_in(&with_files(example), target)
}

fn prepared_in(tree: &Tree, target: &str) -> Prepared {
    let options = Options {
        targets: vec![target.to_owned()],
        output: "dist".into(),
        stamp: Some(1_700_000_000),
        ..Options::default()
    };
    let input = Input::open(tree.path(), None, Path::new("/tmp"), &options.means.stop).unwrap();
    let mut drivers = build::prepare(&input, &options, &|_| ())
        .unwrap_or_else(|error| panic!("{target}: {error} {:?}", error.findings()));
    drivers.remove(0)
}

/// The plan for a target, without its name and with paths as if the driver lay in `/`.
fn plan_of(tree: &Tree, target: &str) -> Value {
    let prepared = prepared_in(tree, target);
    let packages: Vec<_> = prepared
        .packages
        .iter()
        .map(|job| {
            serde_json::json!({
                "target": job.target.name, "format": job.format, "artifacts": job.artifacts, "package": job.package,
            })
        })
        .collect();
    let mut plan = serde_json::json!({ "driver": prepared.driver, "packages": packages });
    for package in plan["packages"].as_array_mut().unwrap() {
        assert_eq!(package.as_object_mut().unwrap().remove("target").unwrap(), target);
    }
    let folder = tree.path().to_str().unwrap();
    serde_json::from_str(&plan.to_string().replace(&format!("{folder}/"), "/").replace(folder, "/")).unwrap()
}

/// A plan as text, with scripts as digests: their texts have files of their own.
fn plan_text(plan: &Value) -> String {
    let mut plan = plan.clone();
    for package in plan["packages"].as_array_mut().unwrap() {
        for script in package["package"]["scripts"].as_array_mut().unwrap() {
            let digest = format!("{:x}", Sha256::digest(script["body"].as_str().unwrap()));
            script["body"] = digest.into();
        }
    }
    serde_json::to_string_pretty(&plan).unwrap() + "\n"
}

#[test]
fn plans_are_the_golden_ones() {
    for example in examples() {
        let tree = with_files(&example);
        let plan = |target: &str| plan_of(&tree, target);
        golden_targets(&format!("plan/{example}"), "json", plan, plan_text, |one, other| {
            let mut lines = Vec::new();
            difference(one, other, "", &mut lines);
            lines
        });
    }
}

/// Compares what the portable target of each family has with a golden file, and the differences of the other targets with another one:
/// those in which several agree stand there once.
fn golden_targets<T>(
    folder: &str,
    ending: &str,
    of: impl Fn(&str) -> T,
    text: impl Fn(&T) -> String,
    differences: impl Fn(&T, &T) -> Vec<String>,
) {
    let targets: Vec<_> =
        profile::target_names().into_iter().map(|name| profile::target(&name).unwrap()).collect();
    for portable in targets.iter().filter(|target| target.name == target.family) {
        let whole = of(&portable.name);
        if text(&whole).is_empty() {
            continue;
        }
        golden(&format!("{folder}/{}.{ending}", portable.name), &text(&whole));
        let mut groups: Vec<(Vec<&str>, Vec<String>)> = Vec::new();
        for other in
            targets.iter().filter(|other| other.family == portable.family && other.name != other.family)
        {
            let found = differences(&whole, &of(&other.name));
            match groups.iter_mut().find(|(_, known)| *known == found) {
                Some((names, _)) => names.push(&other.name),
                None => groups.push((vec![&other.name], found)),
            }
        }
        let mut all = String::new();
        for (names, lines) in groups {
            all.push_str(&format!("{}:\n", names.join(", ")));
            let lines = if lines.is_empty() { vec![format!("as {}", portable.name)] } else { lines };
            all.extend(lines.iter().map(|line| format!("    {line}\n")));
        }
        if !all.is_empty() {
            golden(&format!("{folder}/{}-others.txt", portable.name), &all);
        }
    }
}

/// What is different in another value, as lines of paths; of long texts and of lists only what went (`-`) and came (`+`).
fn difference(one: &Value, other: &Value, path: &str, lines: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for key in one.keys().chain(other.keys()).collect::<BTreeSet<_>>() {
                let [one, other] = [one, other].map(|object| object.get(key).unwrap_or(&Value::Null));
                difference(one, other, &format!("{path}/{key}"), lines);
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            let texts = |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>();
            let (mut went, mut came) = (Vec::new(), Vec::new());
            for (from, to) in changes(&texts(one), &texts(other)) {
                if from.len() == to.len() {
                    for (from, to) in from.zip(to) {
                        difference(&one[from], &other[to], &format!("{path}/{from}"), lines);
                    }
                    continue;
                }
                went.extend(from);
                came.extend(to);
            }
            // a file that is elsewhere is the same one
            let what = |value: &Value| {
                let mut value = value.clone();
                value.as_object_mut().map(|object| object.remove("path")).is_some().then_some(value)
            };
            for from in went {
                let is_same = |to: &usize| what(&other[*to]).is_some_and(|to| Some(to) == what(&one[from]));
                if let Some(at) = came.iter().position(is_same) {
                    difference(&one[from], &other[came.remove(at)], &format!("{path}/{from}"), lines);
                } else {
                    lines.push(format!("{path} - {}", one[from]));
                }
            }
            lines.extend(came.into_iter().map(|to| format!("{path} + {}", other[to])));
        }
        (Value::String(one), Value::String(other)) if one.contains('\n') || other.contains('\n') => {
            let [one, other] = [one, other].map(|text| text.lines().collect::<Vec<_>>());
            for (from, to) in changes(&one, &other) {
                lines.extend(one[from].iter().map(|line| format!("{path} - {}", line.trim())));
                lines.extend(other[to].iter().map(|line| format!("{path} + {}", line.trim())));
            }
        }
        _ if one == other => {}
        _ => lines.push(format!("{path}: {one} -> {other}")),
    }
}

/// Where two lists differ.
fn changes<T: Eq + Hash>(one: &[T], other: &[T]) -> Vec<(Range<usize>, Range<usize>)> {
    let all = similar::capture_diff_slices(similar::Algorithm::Myers, one, other);
    let differs = |(tag, from, to)| (tag != similar::DiffTag::Equal).then_some((from, to));
    all.iter().filter_map(|change| differs(change.as_tag_tuple())).collect()
}

/// All ways in which kernels share packages; a target has one for ranges.
const GROUPINGS: [request::Grouping; 3] =
    [request::Grouping::Kernel, request::Grouping::All, request::Grouping::Kabi];

/// Each different script of all examples and targets: its name, its text.
fn scripts() -> BTreeMap<String, String> {
    let mut scripts = BTreeMap::new();
    for target in profile::target_names() {
        for (how, package) in GROUPINGS
            .iter()
            .rev()
            .flat_map(|how| prebuilt(&target, *how).into_iter().map(move |one| (how, one)))
        {
            for script in package.scripts {
                // what serves several kernels has scripts of its own
                let folder = if how.is_range() { "range" } else { "prebuilt" };
                let name = format!("{folder}/{target}-{:?}.sh", script.when);
                if !scripts.values().any(|text| *text == script.body) {
                    scripts.entry(name).or_insert(script.body);
                }
            }
        }
    }
    for example in examples() {
        for target in profile::target_names() {
            for job in prepared(&example, &target).packages {
                for script in job.package.scripts {
                    let name = format!("{example}/{target}-{:?}.sh", script.when);
                    if !scripts.values().any(|text| *text == script.body) {
                        scripts.insert(name, script.body);
                    }
                }
            }
        }
    }
    // what only those have that are built after others
    for target in ["deb", "rpm"] {
        for script in beside(&[("a", "BUILD_DEPENDS=b\n")], "", target).0.remove("a-dkms").unwrap().scripts {
            scripts.insert(format!("after-another/{target}.{:?}.sh", script.when), script.body);
        }
    }
    scripts
}

#[test]
fn scripts_are_the_golden_ones_and_shellcheck_is_content() {
    let shellcheck = Command::new("shellcheck").arg("--version").output().is_ok();
    if !shellcheck {
        assert!(std::env::var_os("KPKG_TEST_STRICT").is_none(), "shellcheck is not installed");
        eprintln!("skipped: shellcheck is not installed");
    }
    for (name, text) in scripts() {
        if name.contains("/deb-") || name.contains("/rpm-") || name.starts_with("range/") {
            golden(&format!("scripts/{name}"), &text);
        }
        if shellcheck {
            let mut child = Command::new("shellcheck")
                .args(["--shell=sh", "--format=gcc", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            std::io::Write::write_all(&mut child.stdin.take().unwrap(), text.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

/// Lines of code, neither blank nor comment, of each maintainer script: what is added to one takes the place of something else.
#[test]
fn scripts_do_not_grow() {
    const AT_MOST: &[(&str, usize)] = &[
        ("greeter/deb-AfterInstall.sh", 544),
        ("greeter/deb-BeforeRemove.sh", 232),
        ("greeter/deb-AfterRemove.sh", 230),
        ("greeter/rpm-BeforeInstall.sh", 174),
        ("greeter/rpm-AfterTransaction.sh", 528),
        ("greeter/rpm-BeforeRemove.sh", 232),
        ("greeter/rpm-AfterRemove.sh", 231),
        ("range/rhel-AfterTransaction.sh", 77),
        ("range/rhel-AfterRemove.sh", 88),
        ("range/rhel-AfterKernels.sh", 18),
        ("range/suse-AfterInstall.sh", 24),
        ("prebuilt/deb-AfterInstall.sh", 50),
        ("prebuilt/deb-AfterRemove.sh", 52),
        ("prebuilt/rpm-AfterInstall.sh", 29),
        ("prebuilt/rpm-AfterTransaction.sh", 28),
        ("prebuilt/rpm-AfterRemove.sh", 58),
    ];
    let scripts: BTreeMap<String, String> = scripts().into_iter().collect();
    for (name, at_most) in AT_MOST {
        let code = scripts[*name]
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
            .count();
        assert!(code <= *at_most, "{name}: {code} lines of code, at most {at_most}");
    }
}

/// What only the rules of a release can tell on a machine of another one: codecs, names of header packages, no other distribution's
/// package names.
#[test]
fn packages_keep_the_rules_of_each_release() {
    for target in profile::target_names() {
        let prepared = prepared("greeter", &target);
        let profile = profile::target(&target).unwrap();
        for job in &prepared.packages {
            assert!(profile.reads.contains(&job.package.compression.codec), "{target}");
            let scripts: String = job.package.scripts.iter().map(|script| script.body.as_str()).collect();
            let quoted = kpkg::plan::template::shell_word(&profile.headers);
            assert!(
                scripts.is_empty() || scripts.contains(&format!("headers={quoted}")),
                "{target}: the message names {}",
                profile.headers
            );
            for forbidden in ["uname -r", "dpkg-query", "rpm -q", "common.postinst", "dkms -q", "exit -1"] {
                let code = scripts.lines().filter(|line| !line.trim_start().starts_with('#'));
                assert!(!code.into_iter().any(|line| line.contains(forbidden)), "{target}: {forbidden}");
            }
            let requires_dkms = job
                .package
                .relations
                .iter()
                .flat_map(|relation| &relation.any_of)
                .any(|one| one.name == "dkms");
            assert!(requires_dkms, "{target}");
        }
    }
}

/// Modules of two kernels as if they had been compiled.
fn compiled(releases: &[&str]) -> Vec<KernelModules> {
    let module = |name: &str| ReadyModule {
        name: name.to_owned(),
        file: format!("/cache/{name}.ko").into(),
        size: 1000,
        suffix: "",
        version: Some("1.2.0".to_owned()),
        aliases: vec!["pci:v00001234d*sv*sd*bc*sc*i*".to_owned()],
        fields: BTreeSet::new(),
        debug: None,
    };
    let kernel = |release: &&str| KernelModules {
        kernel: (*release).to_owned(),
        arch: "x86_64".to_owned(),
        kernel_codec: Codec::None,
        codec: Codec::None,
        modules: vec![module("greeter"), module("greeter_echo")],
        class: None,
    };
    releases.iter().map(kernel).collect()
}

/// The same where the first serves both.
fn served(releases: &[&str]) -> Vec<KernelModules> {
    let symbol = |name: &str, crc| Symbol { name: name.to_owned(), crc };
    let mut kernels = compiled(&releases[..1]);
    kernels[0].class = Some(Class {
        serves: releases.iter().map(|release| (*release).to_owned()).collect(),
        of_kernel: vec![symbol("module_layout", 0x0000_00aa), symbol("printk", 0x9000_0001)],
        of_others: vec![symbol("other_call", 0x0b)],
        gives: vec![symbol("greeter_call", 0x0c)],
        condition: Condition::Symbols(vec![symbol("printk", 0x9000_0001)]),
    });
    kernels
}

/// The packages of compiled modules for a target, and the scripts by name.
fn prebuilt(target: &str, how: request::Grouping) -> Vec<Package> {
    let profile = profile::target(target).unwrap();
    let Some(shape) = &profile.prebuilt else { return Vec::new() };
    let range = shape.range.as_ref().map(|range| range.group);
    if how.is_range() && range.is_none() {
        return Vec::new();
    }
    let grouping = if how.is_range() { range.unwrap() } else { how };
    let driver = prepared("greeter", target).driver;
    let config = Config::parse(Path::new("kpkg.toml"), &files_config(), &["deb", "rpm"]).unwrap();
    let asked = request::CommandLine { grouping: Some(grouping), ..request::CommandLine::default() };
    let request = Request::new(&asked, &config, &profile.family, &|_| Ok(String::new())).unwrap();
    let releases = if profile.family == "deb" {
        ["6.1.0-9-amd64", "6.1.0-10-amd64"]
    } else if grouping == request::Grouping::Flavour {
        ["6.4.0-150600.9-default", "6.4.0-150600.10-default"]
    } else {
        ["5.14.0-9.1.el9.x86_64", "5.14.0-10.1.el9.x86_64"]
    };
    let kernels = if grouping.is_range() { served(&releases) } else { compiled(&releases) };
    let templates = Templates::new(&[]).unwrap();
    let family = kpkg::format::for_format(&profile.family).unwrap();
    let spell = |version: &kpkg::package::Version| family.version(version);
    plan::plan_prebuilt(&driver, &[], &profile, &request, &kernels, &templates, &spell).unwrap().packages
}

/// As the generators of kernel-srpm-macros and of rpm-config-SUSE write it; a .deb has a field of its own for hardware.
#[test]
fn an_rpm_offers_what_its_modules_are_and_are_for() {
    let offers = |target: &str| {
        let packages = prebuilt(target, request::Grouping::Kernel);
        packages[0].offers.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let hardware = "modalias(pci:v00001234d*sv*sd*bc*sc*i*) = 1.2.0";
    assert_eq!(offers("rpm"), ["kmod(greeter.ko)", hardware, "kmod(greeter_echo.ko)", hardware]);
    assert!(offers("deb").is_empty());
}

/// What decides where packages of modules go and what they bring along: names, relations, paths; by package.
fn prebuilt_text(target: &str) -> String {
    let mut text = String::new();
    for package in GROUPINGS.iter().flat_map(|how| prebuilt(target, *how)) {
        text.push_str(&format!("{} {:?}\n", package.name, package.arch));
        for relation in &package.relations {
            let one = |capability: &kpkg::package::Capability| match &capability.bound {
                None => capability.name.clone(),
                Some((comparison, Bound::Native(version))) => {
                    format!("{} {comparison:?} {version}", capability.name)
                }
                Some((comparison, Bound::Own(_))) => format!("{} {comparison:?} OWN", capability.name),
            };
            let any: Vec<_> = relation.any_of.iter().map(one).collect();
            text.push_str(&format!("  {:?} {}\n", relation.kind, any.join(" | ")));
        }
        let entries = package.payload.entries();
        for entry in entries {
            text.push_str(&format!("  /{}\n", entry.path));
        }
        let scripts: Vec<_> = package.scripts.iter().map(|script| format!("{:?}", script.when)).collect();
        text.push_str(&format!("  scripts: {}\n", scripts.join(", ")));
    }
    text
}

#[test]
fn packages_of_compiled_modules_are_the_golden_ones() {
    let by_package = |text: &String| {
        let mut packages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut package = "";
        for line in text.lines() {
            match line.strip_prefix("  ") {
                Some(line) => packages.entry(package).or_default().push(line),
                None => package = line,
            }
        }
        serde_json::to_value(packages).unwrap()
    };
    golden_targets("plan/prebuilt", "txt", prebuilt_text, String::clone, |one, other| {
        let mut lines = Vec::new();
        difference(&by_package(one), &by_package(other), "", &mut lines);
        lines
    });
}

/// The packages of drivers in folders of their own, `(name, rest of dkms.conf)`, and the findings about what they are built after.
fn beside(
    drivers: &[(&str, &str)],
    config: &str,
    target: &str,
) -> (BTreeMap<String, Package>, Vec<Diagnostic>) {
    let tree = Tree::empty();
    for (name, more) in drivers {
        tree.file(&format!("{name}/dkms.conf"), format!("{}{more}", CONF.replace("toy", name)));
        tree.file(&format!("{name}/Makefile"), format!("obj-m := {name}.o\n"));
        tree.file(
            &format!("{name}/{name}.c"),
            "MODULE_LICENSE(\"GPL\");\nMODULE_AUTHOR(\"J <j@example.org>\");\n",
        );
    }
    tree.file("kpkg.toml", config);
    let options = Options {
        targets: vec![target.to_owned()],
        output: tree.path().join("dist"),
        all: true,
        ..Options::default()
    };
    let input = Input::open(tree.path(), None, Path::new("/tmp"), &options.means.stop).unwrap();
    let (mut packages, mut findings) = (BTreeMap::new(), Vec::new());
    for prepared in build::prepare(&input, &options, &|_| ()).unwrap() {
        let is_ours = |finding: &Diagnostic| ("K0509".."K0516").contains(&finding.code.id);
        findings.extend(prepared.diagnostics.into_iter().filter(is_ours));
        packages.extend(prepared.packages.into_iter().map(|job| (job.package.name.clone(), job.package)));
    }
    (packages, findings)
}

/// What a package needs beside what every package of its target does.
fn own_needs(package: &Package) -> Vec<String> {
    let usual = ["dkms", "make", "gcc"];
    let needs = package.relations.iter().filter(|one| one.kind == RelationKind::Requires);
    let first = needs.map(|relation| relation.any_of[0].name.clone());
    first.filter(|name| !usual.contains(&name.as_str())).collect()
}

#[test]
fn what_a_driver_is_built_after_becomes_a_relation_where_the_run_or_kpkg_toml_knows_it() {
    let cons = "BUILD_DEPENDS[0]=\"Prov_x\"\n";
    for (target, own, other) in [("deb", "cons-dkms", "prov-x-dkms"), ("rpm", "cons-dkms", "Prov_x-dkms")] {
        let (packages, findings) = beside(&[("cons", cons), ("Prov_x", "")], "", target);
        assert_eq!(own_needs(&packages[own]), [other], "{target}");
        assert_eq!(own_needs(&packages[other]), [""; 0], "{target}");
        assert_eq!(findings, [], "{target}");
        // alone: nothing to make it of, and the lines that cure it do
        let (packages, findings) = beside(&[("cons", cons)], "", target);
        assert_eq!(own_needs(&packages[own]), [""; 0]);
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((finding.code.id, finding.severity), ("K0509", Severity::Warning));
        assert_eq!(finding.place.as_ref().unwrap().line_column().0, 6, "{finding}");
        let hint = finding.hint.as_ref().unwrap();
        let line = format!("`Prov_x = \"{other}\"`");
        assert!(hint.contains(&line) && hint.contains("[relations.build-depends]"), "{hint}");
        for (config, expected) in [
            (format!("[relations.build-depends]\nProv_x = \"{other}\"\n"), vec![other]),
            ("[relations.build-depends]\nProv_x = \"vendor-prov\"\n".to_owned(), vec!["vendor-prov"]),
            ("[relations.build-depends]\nProv_x = \"\"\n".to_owned(), vec![]),
            (format!("[format.{target}.relations.build-depends]\nProv_x = \"p >= 2\"\n"), vec!["p"]),
            // said already
            (format!("[relations]\nrequires = [\"{other}\"]\n"), vec![other]),
        ] {
            let (packages, findings) = beside(&[("cons", cons)], &config, target);
            assert_eq!(own_needs(&packages[own]), expected, "{config}");
            assert_eq!(findings, [], "{config}");
        }
    }
}

#[test]
fn an_order_that_cannot_be_kept_is_told_and_makes_no_relation() {
    let ids = |findings: &[Diagnostic]| {
        findings.iter().map(|finding| (finding.code.id, finding.severity)).collect::<Vec<_>>()
    };
    for (drivers, expected) in [
        (vec![("a", "BUILD_DEPENDS=a\n")], vec![("K0510", Severity::Warning)]),
        (
            vec![("a", "BUILD_DEPENDS=b\n"), ("b", "BUILD_DEPENDS=a\n")],
            vec![("K0510", Severity::Warning), ("K0510", Severity::Warning)],
        ),
        (vec![("a", "BUILD_DEPENDS=linux-headers-amd64\n")], vec![("K0511", Severity::Warning)]),
        (vec![("a", "BUILD_DEPENDS=\"$(some program)\"\n")], vec![("K0512", Severity::Note)]),
    ] {
        let (packages, findings) = beside(&drivers, "", "deb");
        assert_eq!(ids(&findings), expected, "{drivers:?}");
        assert!(packages.values().all(|package| own_needs(package).is_empty()), "{drivers:?}");
    }
    // one that is built after a circle is not in it
    let circle = [("a", "BUILD_DEPENDS=b\n"), ("b", "BUILD_DEPENDS=a\n"), ("c", "BUILD_DEPENDS=a\n")];
    assert_eq!(own_needs(&beside(&circle, "", "deb").0["c-dkms"]), ["a-dkms"]);
}

#[test]
fn names_that_a_driver_is_built_after_cannot_leave_their_word() {
    let (packages, findings) = beside(&[("a", "BUILD_DEPENDS=\"x'; touch /tmp/owned; '\"\n")], "", "deb");
    let script = &packages["a-dkms"].scripts[0].body;
    assert!(script.contains("printf '%s\\n' 'x'\\''; touch /tmp/owned; '\\''' |"), "{script}");
    assert_eq!(findings[0].code.id, "K0509");
}

#[test]
fn the_initramfs_is_made_anew_when_the_driver_or_the_user_says_so() {
    let policy = |more: &str, config: &str, target: &str| {
        let (packages, _) = beside(&[("a", more)], config, target);
        let scripts = &packages["a-dkms"].scripts;
        let lines = scripts.iter().flat_map(|script| script.body.lines());
        let found: BTreeSet<_> =
            lines.filter_map(|line| line.trim().strip_prefix("policy=").map(str::to_owned)).collect();
        found.into_iter().filter(|policy| policy != "auto").collect::<Vec<_>>()
    };
    let never = "[packaging]\ninitramfs = \"never\"\n";
    for target in ["deb", "rpm"] {
        for (more, config, expected) in [
            ("", "", "'auto'"),
            ("REMAKE_INITRD=\"Yes\"\n", "", "'always'"),
            ("REMAKE_INITRD=no\n", "", "'auto'"),
            ("REMAKE_INITRD=yes\n", never, "'never'"),
        ] {
            assert_eq!(policy(more, config, target), [expected], "{target} {more}{config}");
        }
    }
}

/// The scripts read other drivers' dkms.conf without running it: which of them are built after a driver, by themselves.
#[test]
fn scripts_find_the_drivers_that_are_built_after_this_one() {
    let (packages, _) = beside(&[("a", "")], "", "deb");
    let script = &packages["a-dkms"].scripts[0].body;
    let start = script.find("is_built_after() {").unwrap();
    let function = &script[start..start + script[start..].find("\n    }\n").unwrap() + 7];
    let tree = Tree::empty();
    let auto = "AUTOINSTALL=\"yes\"\n";
    for (text, expected) in [
        (format!("{auto}BUILD_DEPENDS[0]=\"prov\"\n"), true),
        (format!("{auto}BUILD_DEPENDS=prov"), true),
        (format!("{auto}  BUILD_DEPENDS=( 'other' 'prov' ) # why\n"), true),
        (format!("{auto}BUILD_DEPENDS+=(prov)\r\n"), true),
        (format!("{auto}BUILD_DEPENDS[0]=\"prov.x\"\nBUILD_DEPENDS[1]=xprov\n"), false),
        (format!("{auto}BUILD_DEPENDS[0]=\"other\" # prov\n"), false),
        (format!("{auto}#BUILD_DEPENDS[0]=\"prov\"\n"), false),
        (format!("{auto}BUILD_DEPENDS[0]=\"$(touch owned)\"\n"), false),
        ("BUILD_DEPENDS[0]=\"prov\"\n".to_owned(), false),
        (format!("{auto}BUILD_DEPENDS[0]=\"prov\"\nAUTOINSTALL=\"\"\n"), false),
    ] {
        tree.file("dkms.conf", &text);
        let command = format!("{function}is_built_after prov dkms.conf");
        let status = Command::new("sh").args(["-c", &command]).current_dir(tree.path()).status().unwrap();
        assert_eq!(status.success(), expected, "{text}");
    }
    assert_eq!(tree.names("."), ["dkms.conf"]);
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

/// How the package of a driver's version is versioned in a format: what stands before `_all.deb` or `.noarch.rpm`.
fn spelled(tree: &support::Tree, format: &str, version: &str) -> String {
    let output = tree.kpkg(&["--dry-run", "-f", format, "--driver-version", version]);
    let text = String::from_utf8(output.stdout).unwrap();
    let name = text
        .trim()
        .strip_prefix("dist/toy-dkms")
        .unwrap_or_else(|| panic!("{version}: {text}{}", String::from_utf8_lossy(&output.stderr)));
    let ends = ["_all.deb", ".noarch.rpm"];
    ends.iter().find_map(|end| name[1..].strip_suffix(end)).unwrap().to_owned()
}

/// Whether a version is before another one for dpkg or rpm.
fn is_before(format: &str, one: &str, other: &str) -> bool {
    if format == "deb" {
        return Command::new("dpkg")
            .args(["--compare-versions", one, "lt", other])
            .status()
            .unwrap()
            .success();
    }
    let [one, other] = [one, other].map(|text| text.rsplit_once('-').unwrap().0);
    let expression = format!("%{{lua: print(rpm.vercmp(\"{one}\", \"{other}\"))}}");
    let output = Command::new("rpm").args(["--eval", &expression]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim() == "-1"
}

#[test]
fn a_pre_release_sorts_before_its_release_and_behind_the_one_before() {
    let tree = support::Tree::toy();
    for (format, tool) in [("deb", "dpkg"), ("rpm", "rpm")] {
        if Command::new(tool).arg("--version").stdout(Stdio::null()).status().is_err() {
            support::missing(tool);
            continue;
        }
        let pairs = BEFORE.iter().flat_map(|before| [("1.9", *before), (*before, "2.0")]);
        let others = [
            ("v1.38.6", "1.39"),
            ("v1.9", "v1.38.6"),
            ("5.0", "5.0+git20260123.5f7be68d-5"),
            ("2.0-rc2", "2.0-rc10"),
            ("2.0_rc2", "2.0_rc10"),
            ("2.0rc2", "2.0rc10"),
            ("2.0.rc2", "2.0.rc10"),
            ("2.0-beta", "2.0-rc"),
        ];
        for (less, more) in pairs.chain(others) {
            let (one, other) = (spelled(&tree, format, less), spelled(&tree, format, more));
            assert!(is_before(format, &one, &other), "{less} ({one}) is before {more} ({other})");
        }
    }
}

/// The dkms.conf of the package of the toy, with another one in its tree, for a version.
fn packaged_conf(conf: &str, version: &str) -> Result<String, Vec<kpkg::base::diagnostic::Diagnostic>> {
    let tree = support::Tree::with_conf(conf);
    tree.file("Makefile", "obj-m := toy.o\nall:\n\tmake -C $(KDIR) M=$(CURDIR)\n");
    let options =
        Options { driver_version: Some(version.to_owned()), output: "dist".into(), ..Options::default() };
    let input = Input::open(tree.path(), None, Path::new("/tmp"), &options.means.stop).unwrap();
    match build::prepare(&input, &options, &|_| ()) {
        Ok(drivers) => Ok(drivers[0].driver.text("dkms.conf").unwrap()),
        Err(error) => Err(error.findings().to_vec()),
    }
}

#[test]
fn a_given_version_reaches_everything_that_uses_it() {
    let rest = "BUILT_MODULE_NAME[0]=toy\nDEST_MODULE_LOCATION[0]=/updates\nAUTOINSTALL=yes\n";
    let make = "MAKE[0]=\"make M=/var/lib/dkms/toy/${PACKAGE_VERSION}/build\"\n";
    for lines in [
        format!("PACKAGE_VERSION=1\n{make}"),
        "PACKAGE_VERSION=1; MAKE[0]=\"make M=/var/lib/dkms/toy/$PACKAGE_VERSION/build\"\n".to_owned(),
        format!("echo PACKAGE_VERSION=7 >/tmp/never-read\n. ./version.conf\n{make}"),
        format!("PACKAGE_VERSION=1\n. ./version.conf\n{make}"),
        format!("get() {{ PACKAGE_VERSION=$(date +%s); }}\nget\n{make}"),
        format!(
            "if [ -e /etc/os-release ]; then\n  PACKAGE_VERSION=$(date)\nelse\n  PACKAGE_VERSION=2\nfi\n{make}"
        ),
        format!("export PACKAGE_VERSION=$(date)\n{make}"),
        format!("readonly PACKAGE_VERSION=$(date)\n{make}"),
        format!("declare PACKAGE_VERSION=`date`\n{make}"),
        format!(": ${{PACKAGE_VERSION:=$(date)}}\n{make}"),
        "DKMS_VERSION=$(date)\nPACKAGE_VERSION=\"$DKMS_VERSION\"\n\
         MAKE=\"make M=/var/lib/dkms/toy/$DKMS_VERSION/build\"\n"
            .to_owned(),
        "PACKAGE_VERSION=\"@VERSION@\"\nMAKE=\"make M=/var/lib/dkms/toy/@VERSION@/build\"\n".to_owned(),
    ] {
        let conf = packaged_conf(&format!("PACKAGE_NAME=toy\n{lines}{rest}"), "9.9").unwrap();
        let show = "echo \"$PACKAGE_NAME $PACKAGE_VERSION $MAKE\"";
        let bash =
            Command::new("bash").current_dir("/").args(["-c", &format!("{conf}\n{show}")]).output().unwrap();
        let said = String::from_utf8(bash.stdout).unwrap();
        assert_eq!(said.trim(), "toy 9.9 make M=/var/lib/dkms/toy/9.9/build", "{conf}");
    }
    // what holds another one in so many words, or cannot be reached, is an error at its place
    for (lines, line) in [
        ("PACKAGE_VERSION=1.0\nMAKE=\"make M=/usr/src/toy-1.0\"\n".to_owned(), 3),
        (format!("if [ -e /x ]; then\nPACKAGE_VERSION=$(date)\n{make}fi\n"), 4),
    ] {
        let findings = packaged_conf(&format!("PACKAGE_NAME=toy\n{lines}{rest}"), "9.9").unwrap_err();
        let finding = findings.iter().find(|finding| finding.code.id == "K0134").unwrap();
        assert_eq!(finding.place.as_ref().unwrap().line_column().0, line, "{finding}");
    }
}

#[test]
fn markers_are_errors_that_kpkg_toml_cures() {
    let conf = "PACKAGE_NAME=toy\nPACKAGE_VERSION=1.0\nMAKE=\"make CFLAGS_MODULE+=@CFLGS@\"\n__DKMS_MODULES\nAUTOINSTALL=yes\n";
    let tree = support::Tree::with_conf(conf);
    tree.file("Makefile", "all:\n\tmake -C $(KDIR) M=$(CURDIR)/src\n");
    tree.file("src/Makefile", "obj-m := toy.o\n").file("src/toy.c", "MODULE_LICENSE(\"GPL\");\n");
    let errors = String::from_utf8(tree.kpkg(&["--dry-run"]).stderr).unwrap();
    for text in ["@CFLGS@", "substitute = { \"@CFLGS@\" = \"VALUE\" }", "__DKMS_MODULES", "modules = ["] {
        assert!(errors.contains(text), "{errors}");
    }
    assert!(!errors.contains("K0104"), "{errors}");
    tree.file("kpkg.toml", "[driver]\nmodules = [\"src/toy\"]\nsubstitute = { \"@CFLGS@\" = \"-O2\" }\n");
    let options = Options { output: "dist".into(), ..Options::default() };
    let input = Input::open(tree.path(), None, Path::new("/tmp"), &options.means.stop).unwrap();
    let driver = build::prepare(&input, &options, &|_| ())
        .unwrap_or_else(|error| panic!("{:?}", error.findings()))
        .remove(0)
        .driver;
    let text = driver.text("dkms.conf").unwrap();
    assert!(
        text.contains("CFLAGS_MODULE+=-O2\"") && text.contains("BUILT_MODULE_LOCATION[0]=\"src\""),
        "{text}"
    );
    assert_eq!(driver.modules[0].name, "toy");
    tree.file("kpkg.toml", "[driver]\nmodules = [\"toy\"]\nsubstitute = { \"@CFLAGS@\" = \"-O2\" }\n");
    let errors = String::from_utf8(tree.kpkg(&["--dry-run"]).stderr).unwrap();
    assert!(errors.contains("K0131"), "{errors}");
}

#[test]
fn the_kpkg_toml_beside_dkms_conf_is_read() {
    let tree = support::Tree::empty();
    let conf = "PACKAGE_NAME=toy\nPACKAGE_VERSION=1.0\nBUILT_MODULE_NAME[0]=toy\nDEST_MODULE_LOCATION[0]=/updates\nAUTOINSTALL=yes\n";
    tree.file("sub/dkms.conf.in", conf)
        .file("sub/Makefile", "obj-m := toy.o\n")
        .file("sub/toy.c", "MODULE_LICENSE(\"GPL\");\n");
    tree.file("sub/kpkg.toml", "[driver]\nmaintainer = \"A <a@example.org>\"\n");
    let errors = String::from_utf8(tree.kpkg(&["--dry-run"]).stderr).unwrap();
    assert!(!errors.contains("K0503") && !errors.contains("K0132"), "{errors}");
    tree.file("kpkg.toml", "[driver]\nmaintainer = \"B <b@example.org>\"\n");
    let output = tree.kpkg(&["show"]);
    assert!(String::from_utf8(output.stdout).unwrap().contains("A <a@example.org>"));
    assert!(String::from_utf8(output.stderr).unwrap().contains("K0132"));
}
