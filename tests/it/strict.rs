//! kpkg is as strict as dkms: what the installed dkms refuses is an error for its release, and nothing else is; and bash itself is
//! asked which regular expressions it refuses.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support;
use kpkg::base::diagnostic::Severity;
use kpkg::dkms::{self, Conf, Exclusive, Fact, Facts, Inputs, Release, Supported, Verdict};
use support::Tree;

/// Where Debian has it.
const DKMS: &str = "/usr/sbin/dkms";

/// Reads a file by the functions of the program, which takes up its work below that line; the strict reading where it has one.
const READER: &str = r#"
program=$1 file=$2
eval "$(sed '/^#### Program Starts Here ####/,$d' "$program")"
dkms_tree=/var/lib/dkms source_tree=/usr/src install_tree=/lib/modules tmp_location=${file%/*}
module=toy module_version=1.0
if declare -F read_conf_strict >/dev/null; then strict=_strict; fi
read_conf$strict 6.1.0-49-amd64 x86_64 "$file" >/dev/null 2>&1
printf '%s %s\n' "$?" "${build_exclude:-no}"
"#;

const HEAD: &str = "PACKAGE_NAME=toy\nPACKAGE_VERSION=1.0\n";
const MODULE: &str = "BUILT_MODULE_NAME[0]=toy\nDEST_MODULE_LOCATION[0]=/extra\n";

/// Files of dkms.conf, without [`HEAD`].
fn files() -> Vec<String> {
    let with = |line: &str| format!("{MODULE}{line}\n");
    vec![
        with(""),
        String::new(),
        with("AUTOINSTALL=Y"),
        with("AUTOINSTALL=no"),
        with("AUTOINSTALL=YES"),
        with("NO_WEAK_MODULES=1"),
        with("BUILD_DEPENDS_REBUILD=true"),
        "DEST_MODULE_LOCATION=/kernel/../updates/\n".to_owned(),
        "DEST_MODULE_LOCATION=/kernelfoo\n".to_owned(),
        "DEST_MODULE_LOCATION=/extra/../../../../etc\n".to_owned(),
        "DEST_MODULE_LOCATION=/usr\n".to_owned(),
        "DEST_MODULE_LOCATION=extra\n".to_owned(),
        "BUILT_MODULE_NAME=toy.ko\nDEST_MODULE_LOCATION=/extra\n".to_owned(),
        "BUILT_MODULE_NAME=sub/toy\nDEST_MODULE_NAME=toy\nDEST_MODULE_LOCATION=/extra\n".to_owned(),
        "BUILT_MODULE_NAME=toy\n".to_owned(),
        with("BUILT_MODULE_LOCATION=../build/x"),
        with("BUILT_MODULE_LOCATION=../source/x"),
        with("BUILT_MODULE_LOCATION[5]=x"),
        with("BUILT_MODULE_NAME[1]=toy\nDEST_MODULE_LOCATION[1]=/extra"),
        with("BUILT_MODULE_NAME[1]=other\nDEST_MODULE_NAME[1]=toy\nDEST_MODULE_LOCATION[1]=/extra"),
        with("BUILT_MODULE_NAME[2]=other\nDEST_MODULE_LOCATION[2]=/extra"),
        with("BUILT_MODULE_LOCATION=src"),
        with("PATCH[0]=../fixes/a.patch"),
        with("BUILD_EXCLUSIVE_KERNEL='^(6\\.[18-19]+\\.)'"),
        with("MAKE_MATCH[0]='['\nMAKE=x"),
    ]
}

#[test]
fn the_installed_dkms_refuses_what_is_an_error_for_it() {
    if !Path::new(DKMS).exists() {
        support::missing("dkms");
        return;
    }
    let version = Command::new(DKMS).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).trim().trim_start_matches("dkms-").to_owned();
    let release = Release { title: "this machine".to_owned(), dkms: Some(version) };
    let supported = Supported { releases: vec![release] };
    let folder = tempfile::tempdir().unwrap();
    let (reader, path) = (folder.path().join("reader"), folder.path().join("dkms.conf"));
    fs::write(&reader, READER).unwrap();
    for rest in files() {
        let text = format!("{HEAD}{rest}");
        fs::write(&path, &text).unwrap();
        let output = Command::new("bash")
            .args([Path::new("--norc"), &reader, Path::new(DKMS), &path])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        let (status, excluded) = answer.trim().split_once(' ').unwrap();
        let (conf, _) = Conf::parse(&path, text.as_bytes());
        let inputs = Inputs {
            kernel: Some("6.1.0-49-amd64".to_owned()),
            arch: Some("x86_64".to_owned()),
            ..Inputs::default()
        };
        let (facts, findings) = dkms::facts_for(&conf, &dkms::evaluate(&conf, &inputs), &supported);
        let errors: Vec<_> = findings
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| (finding.code.id, &finding.message))
            .collect();
        assert_eq!(status != "0", !errors.is_empty(), "{rest}: dkms {status}, kpkg {errors:?}");
        let verdict = facts.decide(&inputs).verdict;
        assert_eq!(excluded == "yes", matches!(verdict, Verdict::Excluded(_)), "{rest}: {verdict:?}");
    }
}

/// What people write, and every way to be wrong.
const EXPRESSIONS: &[&str] = &[
    r"^(5\.[18-19]+\.|6\.0\.)",
    r"^(4|5|6)\.",
    "*a",
    "+a",
    "?",
    "^*6",
    "a|*b",
    "(*6)",
    "(|6)",
    "6||7",
    "()",
    "()*",
    "(6",
    "6)",
    "((6)",
    "6**",
    "6+?",
    "6{,3}",
    "6{2,}",
    "6{,}",
    "6{2,1}",
    "6{",
    "6{x}",
    "6{}",
    "6{1",
    "{2}",
    "6}",
    "6{40000}",
    "6{1,2}{3}",
    "[6",
    "[",
    "[]",
    "[]6]",
    "[^]6]",
    "[6-]",
    "[-6]",
    "[9-0]",
    "[z-a]",
    "[Z-A]",
    "[0-9-x]",
    "[0-9-]",
    "[--/]",
    r"[\-6]",
    "[[:digit:]]",
    "[[:digit:]",
    "[[:digit:]-x]",
    "[0-[:digit:]]",
    "[[:nothing:]]",
    "[[.6.]]",
    "[[=6=]]",
    r"\(6",
    r"6\",
    r"\1",
    r"(6)\1",
    r"(6\1)",
    r"(6)\2",
    r"\<6",
    r"\<*",
    r"\b+",
    "6$*",
    "$6",
    "a^b",
    r"\.*",
    r"6\{2",
];

/// Of those, what another locale may take.
const LOCALE: &[&str] = &[r"[\-6]"];

#[test]
fn bash_refuses_the_expressions_that_exclude_every_kernel() {
    let kernel = "6.1.0-49-amd64";
    for expression in EXPRESSIONS {
        let status = Command::new("bash")
            .args(["--norc", "-c", "[[ $1 =~ $2 ]]", "bash", kernel, expression])
            .env("LC_ALL", "C.UTF-8")
            .status()
            .unwrap();
        let exclusive = Exclusive { kernel: Fact::Known((*expression).to_owned()), ..Exclusive::default() };
        let facts = Facts { exclusive, ..Facts::default() };
        let inputs = Inputs { kernel: Some(kernel.to_owned()), ..Inputs::default() };
        let verdict = facts.decide(&inputs).verdict;
        let refused = matches!(&verdict, Verdict::Excluded(why) if why.starts_with("bash refuses"));
        // where the order of characters decides, which is the locale's
        let is_unsure = LOCALE.contains(expression) && matches!(verdict, Verdict::Unknown(_));
        assert!(
            is_unsure || refused == (status.code() == Some(2)),
            "`{expression}`: bash {status}, kpkg {verdict:?}"
        );
        match verdict {
            Verdict::Builds => assert_eq!(status.code(), Some(0), "`{expression}`"),
            Verdict::Excluded(_) => assert_ne!(status.code(), Some(0), "`{expression}`"),
            Verdict::Unknown(_) => {}
        }
    }
}

/// Severities and codes of a tree with this dkms.conf, for these targets.
fn findings(conf: &str, targets: &[&str]) -> Vec<(String, String)> {
    of_tree(&Tree::with_conf(conf), targets)
}

fn of_tree(tree: &Tree, targets: &[&str]) -> Vec<(String, String)> {
    let targets = targets.iter().flat_map(|target| ["--target", target]);
    let arguments: Vec<_> = ["check", "-v", "--json"].into_iter().chain(targets).collect();
    let output = tree.kpkg(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let mut found: Vec<_> = text
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let word = |key: &str| line[key].as_str().unwrap().to_owned();
            (word("code"), word("severity"))
        })
        .collect();
    found.sort();
    found
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(code, severity)| ((*code).to_owned(), (*severity).to_owned())).collect()
}

fn with(line: &str) -> String {
    support::CONF.replace("AUTOINSTALL=\"yes\"\n", &format!("{line}\n"))
}

#[test]
fn the_dkms_of_the_targets_decides_how_much_a_finding_matters() {
    let odd_switch = with("AUTOINSTALL=Y");
    assert_eq!(findings(&odd_switch, &[]), pairs(&[("K0310", "warning")]));
    assert_eq!(findings(&odd_switch, &["debian-12"]), pairs(&[("K0310", "note")]));
    assert_eq!(findings(&odd_switch, &["debian-13"]), pairs(&[("K0310", "error")]));
    assert_eq!(findings(&odd_switch, &["debian-12", "debian-13"]), pairs(&[("K0310", "warning")]));
    // whose dkms is not known
    assert_eq!(findings(&odd_switch, &["fedora-43"]), pairs(&[("K0310", "warning")]));
    let no = with("AUTOINSTALL=no");
    assert_eq!(findings(&no, &[]), pairs(&[("K0322", "warning")]));
    assert_eq!(findings(&no, &["debian-12"]), pairs(&[("K0322", "warning")]));
    assert_eq!(findings(&no, &["debian-13"]), pairs(&[("K0322", "note")]));
    let twice = format!("{}BUILT_MODULE_NAME[1]=toy\nDEST_MODULE_LOCATION[1]=/extra\n", support::CONF);
    assert_eq!(findings(&twice, &["debian-12"]), pairs(&[("K0311", "note")]));
    assert_eq!(findings(&twice, &["debian-13"]), pairs(&[("K0311", "error")]));
    let outside = support::CONF.replace("\"/updates\"", "\"/kernel/../updates/\"");
    assert_eq!(findings(&outside, &[]), pairs(&[("K0323", "note")]));
}

#[test]
fn what_some_dkms_takes_is_packaged_and_the_finding_names_the_others() {
    let tree = Tree::with_conf(&with("AUTOINSTALL=Y"));
    let output = tree.kpkg(&["-f", "deb"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    for words in ["`AUTOINSTALL` is `Y`", "refused by Debian 13 (dkms 3.2.2)"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("Debian 12 (dkms"), "{text}");
    assert_eq!(tree.kpkg(&["-f", "deb", "-t", "debian-13"]).status.code(), Some(2));
}

#[test]
fn fix_does_what_is_right_for_every_target() {
    let fixed = |line: &str, targets: &[&str]| {
        let tree = Tree::with_conf(&with(line));
        let targets = targets.iter().flat_map(|target| ["--target", target]);
        tree.kpkg(&["check", "--fix"].into_iter().chain(targets).collect::<Vec<_>>());
        fs::read_to_string(tree.path().join("dkms.conf")).unwrap()
    };
    assert_eq!(fixed("AUTOINSTALL=Y", &[]), with("AUTOINSTALL=\"yes\""));
    assert_eq!(fixed("AUTOINSTALL=0", &[]), with("AUTOINSTALL=0"));
    assert_eq!(fixed("# nothing", &[]), with("# nothing\nAUTOINSTALL=\"yes\""));
    let initrd = "AUTOINSTALL=yes\nREMAKE_INITRD=\"yes\"";
    assert_eq!(fixed(initrd, &["debian-11"]), with(initrd));
    assert_eq!(fixed(initrd, &["debian-11", "debian-13"]), with(initrd));
    assert_eq!(fixed(initrd, &["debian-12"]), with("AUTOINSTALL=yes"));
    assert_eq!(fixed(initrd, &[]), with(initrd));
    let clean = "AUTOINSTALL=yes\nCLEAN=\"make clean\"";
    assert_eq!(fixed(clean, &["debian-12"]), with(clean));
    assert_eq!(fixed(clean, &["debian-13"]), with("AUTOINSTALL=yes"));
    // no target has nothing to be warned of
    assert_eq!(findings(&with(initrd), &[]), pairs(&[("K0312", "note")]));
}

#[test]
fn a_driver_that_the_next_kernel_does_not_get() {
    assert_eq!(findings(&with(""), &[]), pairs(&[("K0325", "warning")]));
    // it says something, for some kernels
    let sometimes = "case $kernelver in 6.*) AUTOINSTALL=yes;; esac";
    assert!(findings(&with(sometimes), &[]).iter().all(|(code, _)| code != "K0325"));
    assert!(findings(&with("if false; then AUTOINSTALL=yes; fi"), &[]).is_empty());
    assert!(findings(&with("AUTOINSTALL="), &[]).is_empty());
    assert!(findings(&with(". ./more.conf"), &[]).iter().all(|(code, _)| code != "K0325"));
}

#[test]
fn expressions_that_leave_kernels_out() {
    let exclusive = |expression: &str| format!("{}BUILD_EXCLUSIVE_KERNEL='{expression}'\n", support::CONF);
    assert_eq!(findings(&exclusive("^(5[.][18-19]+[.]|6[.]0[.])"), &[]), pairs(&[("K0319", "warning")]));
    assert_eq!(findings(&exclusive("^(4|5|6)[.]"), &[]), pairs(&[("K0326", "note")]));
    assert!(findings(&exclusive("^[4-9][.]"), &[]).is_empty());
    assert!(findings(&exclusive("-rt[0-9]+$"), &[]).is_empty());
    let tree = Tree::with_conf(&exclusive("^(4|5|6)[.]"));
    let text = String::from_utf8(tree.kpkg(&["check", "-v"]).stdout).unwrap();
    assert!(text.contains("matches no kernel from 7.0 on"), "{text}");
    let tree = Tree::with_conf(&exclusive("^(5[.][18-19]+[.]|6[.]0[.])"));
    let text = String::from_utf8(tree.kpkg(&["show", "-k", "5.18.0-1"]).stdout).unwrap();
    assert!(text.contains("bash refuses"), "{text}");
}

#[test]
fn names_that_are_meant_for_dkms() {
    for line in [
        "post_transaction=x",
        "mok_signing_key=/x",
        "BUILD_EXCLUSIVE_OS=debian",
        "PRE_INST=x.sh",
        "PRE_REMOVE=x.sh",
        "AUTOINSTAL=yes",
        "package_name=x",
    ] {
        let conf = format!("{}{line}\n", support::CONF);
        assert_eq!(findings(&conf, &[]), pairs(&[("K0316", "warning")]), "{line}");
    }
    // its own
    let helper = "PACKAGE_NAME=toy\nPACKAGE_VERSION=1.0\nBUILT_MODULE_NAMES=(toy)\n\
                  for i in \"${!BUILT_MODULE_NAMES[@]}\"; do BUILT_MODULE_NAME[i]=\"${BUILT_MODULE_NAMES[i]}\"; DEST_MODULE_LOCATION[i]=/updates; done\n\
                  AUTOINSTALL=yes\n";
    assert!(findings(helper, &[]).is_empty(), "{:?}", findings(helper, &[]));
}

#[test]
fn a_web_page_is_called_one() {
    let page = "\n<!DOCTYPE html>\n<html><body>PACKAGE_NAME=toy\n</body></html>\n";
    let tree = Tree::with_conf(page);
    for arguments in [&["check"][..], &["check", "dkms.conf"], &["-f", "deb"]] {
        let output = tree.kpkg(arguments);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(text.contains("error[K0327]: this is a web page"), "{text}");
        assert!(text.contains("dkms.conf:2:1") && text.contains("<!DOCTYPE html>"), "{text}");
        assert!(!text.contains("K0302") && !text.contains("K0201"), "{text}");
    }
}

#[test]
fn findings_show_the_file_that_the_user_has() {
    // the line that would set the version is never reached
    let tree = Tree::with_conf("PACKAGE_NAME=toy\nDEST_MODULE_LOCATION=/updates\nif true; then\n");
    tree.file("VERSION", "1.5\n");
    let output = tree.kpkg(&["-f", "deb"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(!text.contains("PACKAGE_VERSION=\"1.5\""), "{text}");
}

#[test]
fn maintainer_and_licence_are_found_or_not_missed_loudly() {
    let bare = |files: &[(&str, &str)]| {
        let tree = Tree::with_conf(support::CONF);
        tree.file("toy.c", "int x;\n");
        for (path, text) in files {
            tree.file(path, text);
        }
        let output = tree.kpkg(&["show", "--json"]);
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let about = &shown["driver"]["about"];
        let word = |key: &str| about[key].as_str().map(str::to_owned);
        (word("maintainer"), word("license"), of_tree(&tree, &[]))
    };
    let (maintainer, license, found) = bare(&[]);
    assert_eq!((maintainer, license), (None, None));
    assert_eq!(found, pairs(&[("K0503", "note"), ("K0504", "note")]));
    let gpl = "GNU GENERAL PUBLIC LICENSE\nVersion 2, June 1991\n";
    let control = "Source: toy\nMaintainer: Jane Doe <jane@example.org>\n";
    let (maintainer, license, found) = bare(&[("COPYING", gpl), ("debian/control", control)]);
    assert_eq!(maintainer.as_deref(), Some("Jane Doe <jane@example.org>"));
    assert_eq!(license.as_deref(), Some("GPL-2.0-only"));
    assert!(found.is_empty(), "{found:?}");
    let spec = "Name: toy\n%changelog\n* Wed Jan 01 2025 Jane Doe <jane@example.org> - 1.0-1\n- x\n";
    let main = "MODULE_LICENSE(\"Dual MIT/GPL\");\n";
    let (maintainer, license, _) = bare(&[("toy.spec", spec), ("main.c", main)]);
    assert_eq!(maintainer.as_deref(), Some("Jane Doe <jane@example.org>"));
    assert_eq!(license.as_deref(), Some("MIT OR GPL-2.0-only"));
    let signed = "toy (1.0) unstable; urgency=low\n\n  * x\n\n -- Jane Doe <jane@example.org>  Wed, 01 Jan 2025 00:00:00 +0000\n";
    let (maintainer, ..) = bare(&[("debian/changelog", signed)]);
    assert_eq!(maintainer.as_deref(), Some("Jane Doe <jane@example.org>"));
    let (maintainer, ..) = bare(&[("AUTHORS", "Authors:\n* Jane Doe <jane@example.org>\n")]);
    assert_eq!(maintainer.as_deref(), Some("Jane Doe <jane@example.org>"));
}

#[test]
fn the_command_for_a_kernel_that_clang_built() {
    let tree = Tree::toy();
    tree.file("headers/Makefile", "VERSION = 6\n");
    tree.file("headers/include/config/auto.conf", "CONFIG_CC_IS_CLANG=y\nCONFIG_LD_IS_LLD=y\n");
    tree.file("headers/.config", "CONFIG_CC_IS_CLANG=y\nCONFIG_LD_IS_LLD=y\n");
    let shown = |version: &str| {
        let arguments = ["show", "-k", "6.1.0-1", "--kernel-headers", "headers", "--dkms-version", version];
        let output = tree.kpkg(&arguments);
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    assert!(shown("3.4.3").contains("/build LLVM=1"), "{}", shown("3.4.3"));
    assert!(shown("3.0.10").contains("/build CC=clang LD=ld.lld"), "{}", shown("3.0.10"));
}
