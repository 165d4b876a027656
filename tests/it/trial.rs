//! `kpkg check --build` and `kpkg --check-build`: the source of a package is built as dkms does on a target, and what fails there is
//! found before anybody has the package; the verdict is that of dkms itself, where there is one.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support;
use support::Tree;
use support::kernel::{CONF, RELEASE, headers, module};

/// A driver that builds for headers beside it.
fn toy() -> Tree {
    let tree = Tree::empty();
    tree.file("driver/dkms.conf", CONF).file("driver/toy.bin", module(RELEASE, &[("printk", Some(16))]));
    tree.file(
        "driver/toy.c",
        "// SPDX-License-Identifier: GPL-2.0-only\nMODULE_AUTHOR(\"J <j@example.org>\");\nMODULE_DESCRIPTION(\"x\");\n",
    );
    tree.file("driver/Makefile", "obj-m := toy.o\n");
    headers(&tree, "kernel", RELEASE);
    tree
}

fn run(tree: &Tree, arguments: &[&str]) -> Output {
    let mut command = tree.command(arguments);
    command.env("KPKG_CACHE", tree.path().join("cache")).env("PATH", "/usr/bin:/bin").output().unwrap()
}

/// Exit code, standard output and standard error, of `check --build` of the driver for its headers.
fn check(tree: &Tree, arguments: &[&str]) -> (Option<i32>, String, String) {
    let usual: &[&str] = if arguments.is_empty() { &["driver"] } else { arguments };
    let output = run(tree, &[&["check", "--build", "--kernel-headers", "kernel"], usual].concat());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Fails with a finding that has these words.
fn fails(tree: &Tree, words: &[&str]) {
    let (code, text, _) = check(tree, &[]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("error[K1010]"), "{text}");
    for words in words {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn a_driver_that_builds_has_no_finding() {
    let tree = toy();
    let (code, text, _) = check(&tree, &[]);
    assert_eq!((code, text.as_str()), (Some(0), "     Build 6.1.0-1-toy  toy built: toy\n"));
    // a finished build is not built again, and is none of those that are packaged
    let (_, _, said) = check(&tree, &[]);
    assert!(!said.contains("Building"), "{said}");
    let output =
        run(&tree, &["driver", "--prebuilt", "--kernel-headers", "kernel", "-f", "deb", "-o", "out"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("1 module, compiled\n"), "{text}");
}

#[test]
fn what_fails_names_the_first_error_and_whose_fault_it_is() {
    let tree = toy();
    tree.file("kernel/Makefile", "all:\n\t@echo '$(M)/toy.c:3:1: error: no such thing'; exit 1\n");
    fails(
        &tree,
        &[
            "            driver/toy.c:3:1: error: no such thing",
            "the driver's code: the error is in `toy.c`",
            "log: ",
        ],
    );
    tree.file("kernel/Makefile", "all:\n\tmkdir $(M)/sub && cp $(M)/toy.bin $(M)/sub/toy.ko\n");
    fails(&tree, &["the build makes no `toy.ko`, but `sub/toy.ko`", "whose fault: the layout"]);
    tree.file(
        "kernel/Makefile",
        "all:\n\t@echo \"make: *** No rule to make target 'x.o'.  Stop.\" >&2; exit 2\n",
    );
    fails(&tree, &["whose fault: the layout"]);
    tree.file(
        "kernel/Makefile",
        "all:\n\t@echo 'cat: VERSION: No such file or directory'; echo 'common.mk:85: *** no headers of it.  Stop.'; exit 2\n",
    );
    fails(&tree, &["note: no headers of it\n", "a Makefile stops by itself"]);
    tree.file("driver/toy.bin", module(RELEASE, &[("gone", Some(1))]));
    tree.file("kernel/Makefile", support::kernel::MAKEFILE);
    fails(&tree, &["needs the symbol `gone`", "whose fault: the driver's code"]);
    tree.file("driver/dkms.conf", format!("{CONF}PRE_BUILD=pre.sh\n"))
        .script("driver/pre.sh", "#!/bin/sh\n./configure\n");
    fails(
        &tree,
        &["the PRE_BUILD script `pre.sh` fails", "whose fault: the layout", "./configure: not found"],
    );
}

#[test]
fn who_builds_for_the_kernel_that_runs_is_found() {
    let tree = toy();
    let makefile = "ifneq ($(KERNELRELEASE),)\nobj-m := toy.o\nelse\nKVER ?= $(shell uname -r)\nall:\n\t$(MAKE) -C /lib/modules/$(KVER)/build M=$(CURDIR)\nendif\n";
    tree.file("driver/Makefile", makefile).file("driver/dkms.conf", format!("{CONF}MAKE=\"'make'\"\n"));
    let words = ["whose fault: the layout: it is built for the kernel that runs", "KVER=$kernelver"];
    fails(&tree, &words);
    tree.file("driver/dkms.conf", format!("{CONF}MAKE=\"'make' KVER=$kernelver\"\n"));
    assert_eq!(check(&tree, &[]).0, Some(0));
    // dkms.conf itself
    let asks = "MAKE=\"make -C /lib/modules/$(uname -r)/build M=$dkms_tree/toy/1.0/build\"\n";
    tree.file("driver/dkms.conf", format!("{CONF}{asks}"));
    fails(&tree, &words);
    // a module for another kernel
    tree.file("driver/dkms.conf", CONF).file("driver/toy.bin", module("6.1.0-9-other", &[]));
    fails(&tree, &["`toy` is for the kernel `6.1.0-9-other`", "it is built for the kernel that runs"]);
}

#[test]
fn a_dkms_conf_that_kpkg_made_is_its_own_guess() {
    let tree = toy();
    fs::remove_file(tree.path().join("driver/dkms.conf")).unwrap();
    tree.file(
        "driver/toy.c",
        "MODULE_LICENSE(\"GPL\");\nMODULE_VERSION(\"1.0\");\nMODULE_AUTHOR(\"J <j@example.org>\");\n",
    );
    tree.file("driver/Makefile", "obj-m := toy.o\n");
    tree.file("kernel/Makefile", "all:\n\ttrue\n");
    fails(&tree, &["whose fault: kpkg's guess", "kpkg made the dkms.conf, from `Makefile`", "`kpkg init`"]);
}

#[test]
fn a_build_sees_what_dkms_gives_it_and_the_machine_as_it_is() {
    let tree = toy();
    let host = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let look = format!(
        "all:\n\t[ \"$$(uname -r)\" = {} ]\n\t[ -z \"$$SOURCE_DATE_EPOCH\" ]\n\t[ $(KERNELRELEASE) = {RELEASE} ]\n\
         \t[ $$(ls /lib/modules) = {RELEASE} ]\n\techo x >/usr/src/toy-1.0/x\n\t! touch /usr/lib/x\n\
         \tcmp /etc/os-release /usr/lib/os-release\n\tcp $(M)/toy.bin $(M)/toy.ko\n",
        host.trim()
    );
    tree.file("kernel/Makefile", look);
    let (code, text, _) = check(&tree, &[]);
    assert_eq!(code, Some(0), "{text}");
    // where the kernel to build for runs here, nothing is gained by asking either
    headers(&tree, "kernel", host.trim());
    tree.file("driver/toy.bin", module(host.trim(), &[]));
    let look = format!(
        "all:\n\t[ \"$$(uname -r)\" != {} ]\n\t[ $$(uname) = Linux ]\n\tcp $(M)/toy.bin $(M)/toy.ko\n",
        host.trim()
    );
    tree.file("kernel/Makefile", look);
    let (code, text, _) = check(&tree, &[]);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn what_is_not_in_the_package_is_not_there() {
    let tree = toy();
    // a product of a build is no source
    tree.file("driver/gen.o", "x").file("driver/dkms.conf", format!("{CONF}PRE_BUILD=pre.sh\n"));
    tree.script("driver/pre.sh", "#!/bin/sh\ncat gen.o\n");
    fails(&tree, &["`gen.o` of the tree is left out", "include = [\"/gen.o\"]"]);
}

#[test]
fn finished_packages_are_built_too() {
    let tree = toy();
    tree.script("driver/pre.sh", "#!/bin/sh\n[ -x pre.sh ] && cp toy.src toy.bin\n");
    fs::rename(tree.path().join("driver/toy.bin"), tree.path().join("driver/toy.src")).unwrap();
    tree.file("driver/dkms.conf", format!("{CONF}PRE_BUILD=pre.sh\n"));
    std::os::unix::fs::symlink("toy.c", tree.path().join("driver/link.c")).unwrap();
    assert!(run(&tree, &["driver", "-q", "-f", "deb,rpm", "-o", "out"]).status.success());
    let names = tree.names("out");
    assert_eq!(names.len(), 2, "{names:?}");
    for name in &names {
        let path = format!("out/{name}");
        let (code, text, said) = check(&tree, &[&path]);
        assert_eq!(
            (code, text.as_str()),
            (Some(0), "     Build 6.1.0-1-toy  toy built: toy\n"),
            "{name}: {said}"
        );
    }
    tree.file("kernel/Makefile", "all:\n\ttest -L $(M)/link.c\n\tfalse\n");
    for name in &names {
        let (code, text, _) = check(&tree, &[&format!("out/{name}")]);
        assert!(code == Some(3) && text.contains("error[K1010]"), "{name}: {text}");
    }
    // a package that dkms finds nothing in
    let (code, _, said) = check(&tree, &["driver/toy.c"]);
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn a_package_whose_folder_dkms_does_not_look_for() {
    let tree = toy();
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        support::missing("dpkg-deb");
        return;
    }
    tree.file(
        "d/DEBIAN/control",
        "Package: toy-dkms\nVersion: 1.0\nArchitecture: all\nMaintainer: A B <a@b.cd>\nDescription: toy\n",
    );
    tree.file("d/usr/src/toy/dkms.conf", CONF).file("d/usr/src/toy/toy.c", "int x;\n");
    let made = Command::new("dpkg-deb").current_dir(tree.path()).args(["-b", "d", "foreign.deb"]).output();
    assert!(made.unwrap().status.success());
    let (code, text, _) = check(&tree, &["foreign.deb"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains("lies in `/usr/src/toy`, and dkms looks for `toy 1.0` in `/usr/src/toy-1.0`"),
        "{text}"
    );
    fs::rename(tree.path().join("d/usr/src/toy"), tree.path().join("d/usr/share")).unwrap();
    let made = Command::new("dpkg-deb").current_dir(tree.path()).args(["-b", "d", "none.deb"]).output();
    assert!(made.unwrap().status.success());
    let (code, _, said) = check(&tree, &["none.deb"]);
    assert!(code == Some(2) && said.contains("there is nothing to build"), "{said}");
}

#[test]
fn drivers_of_one_folder_are_built_one_after_the_other() {
    let tree = toy();
    for name in ["core", "aaa"] {
        let conf = CONF.replace("toy", name);
        let needs = if name == "aaa" { "BUILD_DEPENDS=core\n" } else { "" };
        let there = if name == "aaa" {
            "test -f $dkms_tree/core/1.0/$kernelver/x86_64/module/core.ko && test -f /usr/src/core-1.0/core.c && "
        } else {
            ""
        };
        let make = format!("MAKE=\"{there}cp $dkms_tree/{name}/1.0/build/{name}.bin {name}.ko\"\n");
        tree.file(&format!("both/{name}/dkms.conf"), format!("{conf}{needs}{make}"));
        tree.file(&format!("both/{name}/{name}.bin"), module(RELEASE, &[]));
        tree.file(&format!("both/{name}/Makefile"), format!("obj-m := {name}.o\n"));
        tree.file(
            &format!("both/{name}/{name}.c"),
            "MODULE_LICENSE(\"GPL\");\nMODULE_AUTHOR(\"J <j@example.org>\");\n",
        );
    }
    let (code, text, said) = check(&tree, &["both", "--all"]);
    assert_eq!(code, Some(0), "{text}{said}");
    assert!(text.contains("aaa built: aaa") && text.contains("core built: core"), "{text}");
    // alone nobody can tell
    let (code, text, _) = check(&tree, &["both/aaa"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains("whose fault: not clear: dkms builds it after `core`, which is not there"),
        "{text}"
    );
    // a package without source among others hides nothing
    let output =
        run(&tree, &["driver", "-q", "--prebuilt", "--kernel-headers", "kernel", "-f", "deb", "-o", "out"]);
    assert!(output.status.success());
    let modules = "out/toy-modules-6.1.0-1-toy_1.0-1_amd64.deb";
    let (code, text, said) = check(&tree, &[modules, "driver"]);
    assert!(
        code == Some(2) && text.contains("toy built: toy") && said.contains("nothing to build"),
        "{text}{said}"
    );
}

#[test]
fn a_kernel_without_headers_is_never_a_pass() {
    let tree = toy();
    let output = run(&tree, &["check", "--build", "-k", "9.9.9-none", "driver"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{text}");
    for words in [
        "there are no headers of the kernel `9.9.9-none`",
        "`linux-headers-9.9.9-none` or `kernel-devel-9.9.9-none",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let output = run(&tree, &["check", "--build", "-k", "9.9.9-none", "-t", "debian-12", "driver"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("such as `linux-headers-9.9.9-none`, or"), "{text}");
    // a driver that is not for the kernels that there are
    tree.file("driver/dkms.conf", format!("{CONF}BUILD_EXCLUSIVE_KERNEL=^5\n"));
    let (code, text, said) = check(&tree, &[]);
    assert_eq!(code, Some(5), "{said}");
    assert!(text.contains("toy skipped: ") && said.contains("is for none of the kernels"), "{text} {said}");
    // without a compiler nobody knows
    tree.file("driver/dkms.conf", CONF);
    tree.file(
        "kernel/include/config/auto.conf",
        "CONFIG_X86_64=y\nCONFIG_CC_VERSION_TEXT=\"gcc-9999 (D) 99.1.0\"\n",
    );
    let (code, _, said) = check(&tree, &[]);
    assert!(code == Some(5) && said.contains("there is no `gcc-9999` here"), "{said}");
    let output = run(&tree, &["check", "-k", RELEASE, "driver"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("add `--build`"));
}

#[test]
fn a_machine_without_namespaces_is_never_a_pass() {
    let tree = toy();
    let kpkg = tree.command(&["check", "--build", "--kernel-headers", "kernel", "driver"]);
    let mut command = Command::new("unshare");
    command.args(["-Ur", "sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"", "sh"]);
    command.arg(kpkg.get_program()).args(kpkg.get_args()).current_dir(tree.path());
    let output = command.env("KPKG_CACHE", tree.path().join("cache")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(text.contains("gives no namespace"), "{text}");
}

#[test]
fn a_driver_that_does_not_build_is_not_packaged() {
    let tree = toy();
    let build = |more: &[&str]| {
        let usual = ["driver", "--check-build", "--kernel-headers", "kernel", "-f", "deb", "-o", "out"];
        let output = run(&tree, &[&usual[..], more].concat());
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, text, said) = build(&[]);
    assert_eq!((code, text.as_str()), (Some(0), "out/toy-dkms_1.0-1_all.deb\n"), "{said}");
    assert!(said.contains("     Build 6.1.0-1-toy  toy built: toy\n"), "{said}");
    // modules of the same driver are packaged when its source builds, too
    let (code, text, said) = build(&["--prebuilt"]);
    assert!(code == Some(0) && text.contains("toy-modules-toy_1.0-1_amd64.deb"), "{said}");
    fs::remove_dir_all(tree.path().join("out")).unwrap();
    tree.file("driver/dkms.conf", format!("{CONF}MAKE=\"'make'\"\n"));
    tree.file("driver/Makefile", "ifneq ($(KERNELRELEASE),)\nobj-m := toy.o\nelse\nKVER ?= $(shell uname -r)\nall:\n\t$(MAKE) -C /lib/modules/$(KVER)/build M=$(CURDIR)\nendif\n");
    for more in [&[][..], &["--prebuilt"], &["--dry-run"]] {
        let (code, text, said) = build(more);
        assert_eq!((code, text.as_str()), (Some(1), ""), "{said}");
        assert!(said.contains("error[K1010]") && said.contains("the kernel that runs"), "{said}");
        assert!(tree.names("out").is_empty());
    }
    let (code, text, _) = build(&["--json"]);
    assert_eq!(code, Some(1));
    let values: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = values.iter().find(|value| value["reason"] == "build-check").unwrap();
    assert_eq!(
        (&found["outcome"], &found["fault"], &found["kernel"]),
        (&"failed".into(), &"layout".into(), &RELEASE.into())
    );
    assert!(values.iter().any(|value| value["code"] == "K1010"), "{text}");
    let output = run(&tree, &["driver", "--check-build", "-k", "9.9.9-none", "-o", "out"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(5) && said.contains("linux-headers-9.9.9-none"), "{said}");
    assert!(tree.names("out").is_empty());
}

// ---- the real one -------------------------------------------------------------------------------------------------------------

/// A kernel with headers on this machine that does not run.
fn real_kernel() -> Option<String> {
    let running = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let entries = fs::read_dir("/lib/modules").ok()?.flatten();
    let mut names: Vec<_> = entries
        .filter(|entry| entry.path().join("build/include").is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name != running.trim())
        .collect();
    names.sort();
    names.pop()
}

/// Whether dkms builds the driver for a kernel, from a folder that holds it as `/usr/src` does.
fn dkms_builds(folder: &Path, kernel: &str) -> bool {
    let command = |action: &str| {
        let mut command = Command::new("dkms");
        command.args([action, "-m", "toy", "-v", "1.0"]);
        for (option, name) in
            [("--dkmstree", "tree"), ("--sourcetree", "src"), ("--installtree", "installed")]
        {
            fs::create_dir_all(folder.join(name)).unwrap();
            command.arg(option).arg(folder.join(name));
        }
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", folder);
        command
    };
    let added = command("add").output().unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let headers = format!("/lib/modules/{kernel}/build");
    command("build").args(["-k", kernel, "--kernelsourcedir", &headers]).output().unwrap().status.success()
}

/// Whether dkms looks at the status of `PRE_BUILD`: since 3.1.7.
fn heeds_pre_build() -> bool {
    let output = Command::new("dkms").arg("--version").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.trim().trim_start_matches("dkms-").to_owned();
    let numbers: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    numbers >= vec![3, 1, 7]
}

#[test]
#[allow(clippy::items_after_statements, reason = "the texts belong to the table below them")]
fn the_verdict_is_that_of_dkms() {
    let Some(kernel) = real_kernel() else { return support::missing("a package of kernel headers") };
    if Command::new("dkms").arg("--version").output().is_err() {
        return support::missing("dkms");
    }
    const SOURCE: &str = "// SPDX-License-Identifier: GPL-2.0-only\n#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n\
                          MODULE_DESCRIPTION(\"toy\");\nMODULE_AUTHOR(\"J <j@example.org>\");\n";
    const OWN: &str = "ifneq ($(KERNELRELEASE),)\nobj-m := toy.o\nelse\nKVER ?= $(shell uname -r)\nall:\n\
                       \t$(MAKE) -C /lib/modules/$(KVER)/build M=$(CURDIR) modules\nendif\n";
    const KBUILD: &str = "obj-m := toy.o\n";
    const PATCH: &str = "--- a/toy.c\n+++ b/toy.c\n@@ -4 +4 @@\n-MODULE_DESCRIPTION(\"toy\");\n+MODULE_DESCRIPTION(\"patched\");\n";
    let conf = "PACKAGE_NAME=toy\nPACKAGE_VERSION=1.0\nBUILT_MODULE_NAME[0]=toy\nDEST_MODULE_LOCATION[0]=/updates\nAUTOINSTALL=yes\n";
    // what it is, lines of dkms.conf, files, and the fault
    type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], Option<&'a str>);
    let cases: &[Case<'_>] = &[
        ("a good driver", "", &[("Makefile", KBUILD), ("toy.c", SOURCE)], None),
        ("one that asks uname", "MAKE=\"'make'\"\n", &[("Makefile", OWN), ("toy.c", SOURCE)], Some("layout")),
        (
            "one that is told",
            "MAKE=\"'make' KVER=$kernelver\"\n",
            &[("Makefile", OWN), ("toy.c", SOURCE)],
            None,
        ),
        (
            "modules that land elsewhere",
            "",
            &[("Kbuild", "obj-m := src/\n"), ("src/Kbuild", KBUILD), ("src/toy.c", SOURCE)],
            Some("layout"),
        ),
        (
            "where they land",
            "BUILT_MODULE_LOCATION[0]=src\n",
            &[("Kbuild", "obj-m := src/\n"), ("src/Kbuild", KBUILD), ("src/toy.c", SOURCE)],
            None,
        ),
        (
            "no C",
            "",
            &[("Makefile", KBUILD), ("toy.c", "#include <linux/module.h>\nint x = y;\n")],
            Some("driver"),
        ),
        ("no source", "", &[("Makefile", KBUILD), ("README", "x\n")], Some("layout")),
        (
            "a script for MAKE",
            "MAKE=\"./build.sh $kernelver\"\n",
            &[
                ("Makefile", &format!("include /etc/os-release\n{KBUILD}")),
                ("toy.c", SOURCE),
                ("build.sh", "#!/bin/sh\nexec make -C /lib/modules/$1/build M=$PWD\n"),
            ],
            None,
        ),
        (
            "PRE_BUILD that makes the source",
            "PRE_BUILD=pre.sh\n",
            &[("Makefile", KBUILD), ("toy.in", SOURCE), ("pre.sh", "#!/bin/sh\ncp toy.in toy.c\n")],
            None,
        ),
        (
            "PRE_BUILD that fails",
            "PRE_BUILD=pre.sh\n",
            &[("Makefile", KBUILD), ("toy.c", SOURCE), ("pre.sh", "#!/bin/sh\nexit 3\n")],
            Some("driver"),
        ),
        (
            "a patch",
            "PATCH[0]=a.patch\n",
            &[("Makefile", KBUILD), ("toy.c", SOURCE), ("patches/a.patch", PATCH)],
            None,
        ),
        (
            "a patch that does not fit",
            "PATCH[0]=a.patch\n",
            &[("Makefile", KBUILD), ("toy.c", "int x;\n"), ("patches/a.patch", PATCH)],
            Some("driver"),
        ),
        (
            "another kernel's headers",
            "MAKE=\"make -C /lib/modules/$(uname -r)/build M=$dkms_tree/$module/$module_version/build\"\n",
            &[("Makefile", KBUILD), ("toy.c", SOURCE)],
            Some("layout"),
        ),
    ];
    for (what, lines, files, fault) in cases {
        let tree = Tree::empty();
        tree.file("src/toy-1.0/dkms.conf", format!("{conf}{lines}"));
        for (path, text) in *files {
            let path = format!("src/toy-1.0/{path}");
            if text.starts_with("#!") {
                tree.script(&path, text)
            } else {
                tree.file(&path, text)
            };
        }
        let output = run(&tree, &["check", "--build", "--json", "-k", &kernel, "src/toy-1.0"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let values = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let found = values.into_iter().find(|value| value["reason"] == "build-check");
        match found {
            Some(found) => {
                assert_eq!(found["fault"].as_str(), *fault, "{what}: {text}");
                assert_eq!(found["outcome"] == "built", fault.is_none(), "{what}: {text}");
            }
            // what can be seen without building is not built
            None => assert!(output.status.code() == Some(3) && fault.is_some(), "{what}: {text}"),
        }
        if *what == "PRE_BUILD that fails" && !heeds_pre_build() {
            continue;
        }
        assert_eq!(dkms_builds(tree.path(), &kernel), fault.is_none(), "{what}: {text}");
    }
}
