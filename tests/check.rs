//! `kpkg check`: each rule finds what it is about and nothing else, in trees and in finished packages; and the edits of `--fix`.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, unreachable_pub, reason = "tests run the program")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use support::{CONF, Tree, golden};

/// The codes of the findings, warnings and errors, sorted.
fn codes(tree: &Tree, arguments: &[&str]) -> Vec<String> {
    let output = tree.kpkg(&[&["check", "--json"], arguments].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut codes: Vec<String> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["code"].as_str().unwrap().to_owned()
        })
        .collect();
    codes.sort();
    codes
}

/// The codes for a tree with this dkms.conf and these files more.
fn of(conf: &str, files: &[(&str, &str)]) -> Vec<String> {
    let tree = Tree::with_conf(conf);
    for (path, text) in files {
        tree.script(path, text);
    }
    codes(&tree, &[])
}

const GUARDED: &str = "ifneq ($(KERNELRELEASE),)\nobj-m := toy.o\nelse\nKVER ?= $(shell uname -r)\nall:\n\t$(MAKE) -C /lib/modules/$(KVER)/build M=$(CURDIR) modules\nendif\n";

fn with(line: &str) -> String {
    format!("{CONF}{line}\n")
}

#[test]
fn a_good_tree_has_no_findings() {
    assert!(of(CONF, &[]).is_empty());
    let example = Tree::empty();
    let greeter = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/greeter");
    assert!(codes(&example, &[greeter]).is_empty());
}

#[test]
fn templates_of_old_dkms_are_read_for_what_has_a_place_elsewhere() {
    let control = "Source: DEBIAN_PACKAGE-dkms\nMaintainer: Jane <jane@example.org>\nHomepage: https://example.org\n\n\
                   Package: DEBIAN_PACKAGE-dkms\nDepends: dkms (>= 1.95), toy-tools (>= 2), ${misc:Depends}\nDescription: MODULE_NAME\n";
    let spec = "Summary: Toy\nRequires: dkms, toy-fw\n%post\necho x\n%files\n";
    let tree = Tree::with_conf(CONF);
    tree.file("toy-dkms-mkdsc/debian/control", control).file("toy-dkms-mkdsc/debian/postinst", "#!/bin/sh\n");
    tree.file("toy-dkms-mkdsc/debian/toy.service", "").file("toy-dkms-mkrpm.spec", spec);
    assert_eq!(codes(&tree, &[]), ["K0806", "K0806"]);
    let text = String::from_utf8(tree.kpkg(&["check"]).stdout).unwrap();
    for words in [
        "`toy-dkms-mkdsc` is a template",
        "understood: Maintainer: `[driver] maintainer = \"Jane <jane@example.org>\"`",
        "understood: Homepage: `[driver] homepage = \"https://example.org\"`",
        "understood: Depends: `[relations] requires = [\"toy-tools >= 2\"]`",
        "by hand: postinst: what it does beside dkms goes to a file named under `[scripts.after-install]`",
        "by hand: debian/toy.service",
        "`toy-dkms-mkrpm.spec` is a template",
        "understood: Summary: `[driver] summary = \"Toy\"`",
        "understood: Requires: `[relations] requires = [\"toy-fw\"]`",
        "by hand: %post: ",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("DEBIAN_PACKAGE") && !text.contains("= \"MODULE_NAME\""), "{text}");
}

#[test]
fn a_bare_make_and_a_guard_for_kbuild() {
    let files = [("Makefile", GUARDED)];
    assert_eq!(of(&with("MAKE[0]=\"make KVER=$kernelver\""), &files), ["K0113"]);
    // whether there are targets is not known
    let open = [("Makefile", &*format!("-include $(shell pwd)/x.mk\n$(eval $(X))\n{GUARDED}"))];
    assert_eq!(of(&with("MAKE[0]=\"make KVER=$kernelver\""), &open), ["K0801"]);
    assert!(of(&with("MAKE[0]=\"'make' KVER=$kernelver\""), &files).is_empty());
    assert!(
        of(&with("MAKE[0]=\"make -C $kernel_source_dir M=$dkms_tree/toy/1.0/build\""), &files).is_empty()
    );
}

#[test]
fn a_makefile_that_builds_for_the_running_kernel() {
    let files = [("Makefile", GUARDED)];
    assert_eq!(of(&with("MAKE[0]=\"'make'\""), &files), ["K0802"]);
    let below = [("src/Makefile", GUARDED), ("src/toy.c", "MODULE_LICENSE(\"GPL\");\n")];
    let lines = "MAKE[0]=\"'make' -C src\"\nBUILT_MODULE_LOCATION[0]=src";
    assert_eq!(of(&with(lines), &below), ["K0802"]);
    assert!(of(&with("MAKE[0]=\"'make' KVER=$kernelver\""), &files).is_empty());
}

#[test]
fn names_and_versions_that_contradict_each_other() {
    let tree = Tree::empty();
    tree.file("toy-2.0/dkms.conf", CONF).file("toy-2.0/Makefile", "obj-m := toy.o\n");
    tree.file("toy-2.0/toy.c", "MODULE_LICENSE(\"GPL\");\nMODULE_AUTHOR(\"A B <a@b.cd>\");\n");
    assert_eq!(codes(&tree, &["toy-2.0"]), ["K0803"]);
    assert_eq!(of(CONF, &[("debian/changelog", "toy (1.1-1) unstable; urgency=low\n")]), ["K0804"]);
    assert!(of(CONF, &[("debian/changelog", "toy (1.0-7) unstable; urgency=low\n")]).is_empty());
    assert_eq!(of(CONF, &[("Makefile.am", "EXTRA_DIST = README\n")]), ["K0805"]);
    assert!(of(CONF, &[("Makefile.am", "EXTRA_DIST = README dkms.conf\n")]).is_empty());
}

#[test]
fn hooks_and_packaging_of_the_tree_are_read() {
    let hook = with("POST_INSTALL=\"after.sh\"");
    assert_eq!(of(&hook, &[("after.sh", "#!/bin/sh\ndepmod -a\n")]), ["K0814"]);
    assert_eq!(of(CONF, &[("debian/toy-dkms.postinst", "#!/bin/sh\nx=$(uname -r)\n")]), ["K0811"]);
    let spec = "Name: toy\n%description\nuname -r\n%preun\ndkms remove -m toy -v 1.0 --all\n%files\n/x\n%changelog\n- exit -1\n";
    assert_eq!(of(CONF, &[("toy.spec", spec)]), ["K0820"]);
    // not a script, though it has the words
    assert!(of(CONF, &[("README", "run uname -r and depmod -a\n")]).is_empty());
}

#[test]
fn findings_have_places_hints_and_exit_codes() {
    let tree = Tree::with_conf(&with("CLEAN=\"make clean\"\nPOST_INSTALL=\"after.sh\""));
    tree.file("after.sh", "#!/bin/sh\n# uname -r\nkernel=$(uname -r)\ndracut -f\n");
    golden("cli/check.txt", &tree.transcript(&["check"]));
    let status = |arguments: &[&str]| tree.kpkg(arguments).status.code();
    assert_eq!(status(&["check"]), Some(0));
    assert_eq!(status(&["check", "--deny", "warnings"]), Some(3));
    assert_eq!(status(&["check", "nothing-here"]), Some(2));
    let tree = Tree::with_conf(
        "PACKAGE_NAME=toy\nBUILT_MODULE_NAME=toy\nDEST_MODULE_LOCATION=/usr\nPACKAGE_VERSION=1\n",
    );
    golden("cli/check-error.txt", &tree.transcript(&["check"]));
    // a dkms.conf alone
    assert_eq!(codes(&tree, &["dkms.conf"]), ["K0308"]);
}

#[test]
fn mechanical_edits_are_made_once_and_only_when_asked_for() {
    let conf = with(
        "CLEAN=\"make clean\"\nPOST_INSTALL=\"after.sh\"\nREMAKE_INITRD=\"no\" # why\nMAKE[0]=\"make KVER=$kernelver\"",
    );
    let tree = Tree::with_conf(&conf.replace('\n', "\r\n"));
    tree.file("after.sh", "#!/bin/sh\n").file("Makefile", GUARDED);
    let before = fs::read(tree.path().join("dkms.conf")).unwrap();
    assert!(codes(&tree, &[]).contains(&"K0209".to_owned()));
    assert_eq!(fs::read(tree.path().join("dkms.conf")).unwrap(), before);
    // line ends first; the rest is about the corrected text
    for _ in 0..2 {
        tree.kpkg(&["check", "--fix"]);
    }
    let after = fs::read_to_string(tree.path().join("dkms.conf")).unwrap();
    assert_eq!(after, with("POST_INSTALL=\"after.sh\"\nMAKE[0]=\"'make' KVER=$kernelver\""));
    assert_eq!(fs::metadata(tree.path().join("after.sh")).unwrap().permissions().mode() & 0o777, 0o755);
    assert!(codes(&tree, &[]).is_empty());
    assert_eq!(fs::metadata(tree.path().join("dkms.conf")).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn directives_newer_than_the_dkms_of_a_target() {
    let tree = Tree::with_conf(&with("BUILD_DEPENDS_REBUILD=\"yes\""));
    assert!(codes(&tree, &["--target", "debian-12"]).contains(&"K0501".to_owned()));
    assert!(codes(&tree, &["--target", "debian-13"]).is_empty());
}

#[test]
fn our_own_packages_have_no_findings() {
    let tree = Tree::toy();
    assert!(tree.kpkg(&["-q", "-f", "deb,rpm"]).status.success());
    for name in tree.names("dist") {
        assert_eq!(codes(&tree, &[&format!("dist/{name}")]), Vec::<String>::new(), "{name}");
    }
}

/// A .deb that a careless vendor makes with dpkg-deb; nothing where there is no dpkg-deb.
fn foreign_deb(tree: &Tree) -> Option<String> {
    tree.file(
        "d/DEBIAN/control",
        "Package: toy-dkms\nVersion: 1.0\nArchitecture: all\nMaintainer: A B <a@b.cd>\nDescription: toy\n",
    );
    tree.script("d/DEBIAN/prerm", "#!/bin/sh\ndkms remove -m toy -v 1.0 --all\n");
    tree.script("d/DEBIAN/postinst", "#!/bin/sh\nfor k in $(uname -r); do dkms install -m toy -v 1.0 -k $k || exit 1; done\nupdate-initramfs -u\nexit $?\n");
    tree.file("d/usr/src/toy-1.0/dkms.conf", with("CLEAN=\"make clean\""));
    tree.file("d/usr/src/toy-1.0/toy.c", "int x;\n");
    let open = fs::Permissions::from_mode(0o666);
    fs::set_permissions(tree.path().join("d/usr/src/toy-1.0/toy.c"), open).unwrap();
    let build = Command::new("dpkg-deb")
        .current_dir(tree.path())
        .args(["--root-owner-group", "-b", "d", "foreign.deb"])
        .output();
    match build {
        Ok(output) if output.status.success() => Some("foreign.deb".to_owned()),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            support::missing("dpkg-deb");
            None
        }
    }
}

#[test]
fn a_foreign_deb_is_read() {
    let tree = Tree::empty();
    let Some(package) = foreign_deb(&tree) else { return };
    assert_eq!(
        codes(&tree, &[&package]),
        ["K0312", "K0811", "K0812", "K0813", "K0821", "K0822", "K0831", "K0831", "K0832"]
    );
}

#[test]
fn a_foreign_rpm_is_read() {
    let tree = Tree::empty();
    let script = "dkms remove -m toy -v 1.0 --all\nrpm -ql toy\nexit -1\n";
    let options = rpm::FileOptions::new("/usr/src/toy-1.0/dkms.conf").mode(0o100_666);
    tree.file("dkms.conf", with("REMAKE_INITRD=\"yes\""));
    let mut builder = rpm::PackageBuilder::new("toy", "1.0", "GPL-2.0-only", "noarch", "toy");
    let package = builder
        .pre_uninstall_script(script)
        .post_trans_script("depmod\n")
        .with_file(tree.path().join("dkms.conf"), options)
        .unwrap()
        .build()
        .unwrap();
    let mut bytes = Vec::new();
    package.write(&mut bytes).unwrap();
    tree.file("foreign.rpm", &bytes);
    let found = codes(&tree, &["foreign.rpm"]);
    for code in ["K0312", "K0812", "K0814", "K0816", "K0820", "K0831", "K0832"] {
        assert!(found.contains(&code.to_owned()), "{code} not in {found:?}");
    }
    assert_eq!(tree.kpkg(&["check", "foreign.rpm"]).status.code(), Some(3));
}

#[test]
fn a_package_that_is_cut_or_a_bomb_is_an_error() {
    let tree = Tree::toy();
    assert!(tree.kpkg(&["-q", "-f", "deb,rpm"]).status.success());
    for name in tree.names("dist") {
        let whole = fs::read(tree.path().join("dist").join(&name)).unwrap();
        for length in [70, 200, whole.len() / 2, whole.len() - 20] {
            tree.file(&name, &whole[..length]);
            let output = tree.kpkg(&["check", &name]);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(matches!(output.status.code(), Some(0 | 2)), "{name} {length}: {text}");
            assert!(!text.contains("panicked"), "{name} {length}: {text}");
        }
    }
}
