//! Trees as vendors have them: the folder that becomes the root, what a build needs and the package lacks, several drivers, and a
//! dkms.conf that is made. Each tree is the smallest that shows its kind.

use std::fs;
use std::process::Command;

use crate::support;
use support::{CONF, Tree};

const SOURCE: &str =
    "// SPDX-License-Identifier: GPL-2.0-only\n#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n";
/// A Makefile that starts the kernel's build.
const OWN: &str = "obj-m := toy.o\nall:\n\t$(MAKE) -C $(KDIR) M=$(CURDIR) modules\n";

/// Exit code, the codes of errors and warnings, and everything that is said.
fn build(tree: &Tree, more: &[&str]) -> (Option<i32>, Vec<String>, String) {
    let output = tree.kpkg(&[&["-f", "deb", "--dry-run", "-v"], more].concat());
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("error[") || line.starts_with("warning["));
    let codes = lines.filter_map(|line| Some(line.split_once('[')?.1[..5].to_owned())).collect();
    (output.status.code(), codes, text)
}

fn fails(tree: &Tree, code: &str, words: &[&str]) {
    let (status, codes, text) = build(tree, &[]);
    assert_eq!(status, Some(2), "{text}");
    assert!(codes.contains(&code.to_owned()), "{text}");
    for words in words {
        assert!(text.contains(words), "{words}: {text}");
    }
}

fn git(tree: &Tree) {
    for arguments in [
        &["init", "-q"][..],
        &["add", "-A"],
        &["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "x"],
    ] {
        assert!(Command::new("git").current_dir(tree.path()).args(arguments).status().unwrap().success());
    }
}

#[test]
fn the_root_is_the_folder_that_can_build() {
    // the repository has a Makefile of its own, dkms.conf and the script lie in different folders
    let tree = Tree::empty();
    let make =
        "MAKE=\"make -C $kernel_source_dir M=$dkms_tree/$PACKAGE_NAME/$PACKAGE_VERSION/build modules\"";
    tree.file("dist/toy-dkms-conf", format!("{CONF}PRE_BUILD=\"gen.sh $kernelver\"\n{make}\n"));
    tree.file("Makefile", "all:\n\t$(MAKE) -C app\n").file("app/Makefile", "all:\n");
    tree.file("src/Makefile", "obj-m += toy.o\n")
        .file("src/toy.c", SOURCE)
        .script("src/gen.sh", "#!/bin/sh\n");
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec![]), "{text}");
    assert!(text.contains("the source is `./src`") || text.contains("the source is `src`"), "{text}");
    // nothing fits: what was looked for, and where
    let tree = Tree::empty();
    tree.file(
        "misc/dkms.conf",
        format!("{CONF}MAKE=\"make -C src/toy KDIR=$kernel_source_dir\"\nBUILT_MODULE_LOCATION[0]=src/toy\n"),
    );
    tree.file("drv/Makefile", "all:\n").file("drv/Kbuild", "obj-m += toy.o\n").file("drv/toy.c", SOURCE);
    fails(
        &tree,
        "K0113",
        &["folder `src/toy`", "as the root, `.` lacks", "map = { \"drv/\" = \"src/toy/\" }"],
    );
    // with a Makefile that builds, the map makes it whole
    tree.file("drv/Makefile", OWN).file("kpkg.toml", "[source]\nmap = { \"drv/\" = \"src/toy/\" }\n");
    assert_eq!(build(&tree, &[]).0, Some(0));
    let shown = String::from_utf8(tree.kpkg(&["show", "-f", "deb", "--files"]).stdout).unwrap();
    assert!(
        shown.contains("/usr/src/toy-1.0/src/toy/toy.c") && !shown.contains("/usr/src/toy-1.0/drv/"),
        "{shown}"
    );
}

#[test]
fn files_that_the_vendors_packaging_moves_are_moved() {
    // what lies beside dkms.conf belongs into the root
    let tree = Tree::empty();
    tree.file(
        "conf/dkms.conf",
        format!("{CONF}MAKE=\"cd build; make\"\nPRE_BUILD=configure.sh\nBUILT_MODULE_LOCATION[0]=build\n"),
    );
    tree.file("conf/configure.sh", "#!/bin/sh\nmkdir build && cmake .\n").file("src/toy.c", SOURCE);
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec!["K0112".to_owned()]), "{text}");
    assert!(text.contains("map = { \"conf/*\" = \".\" }"), "{text}");
    let shown = String::from_utf8(tree.kpkg(&["show", "-f", "deb", "--files"]).stdout).unwrap();
    // a script that vendors install as executable is executable
    assert!(
        shown.lines().any(|line| line.starts_with("0755") && line.ends_with("/usr/src/toy-1.0/configure.sh")),
        "{shown}"
    );
    // two files in one place
    tree.file("kpkg.toml", "[source]\nmap = { \"conf/configure.sh\" = \"src/toy.c\" }\n");
    assert!(build(&tree, &[]).2.contains("would both be `src/toy.c`"));
    tree.file("kpkg.toml", "[source]\nmap = { \"../x\" = \".\" }\n");
    assert!(build(&tree, &[]).2.contains("is no move"));
}

#[test]
fn what_an_install_script_or_the_packaging_says_of_the_layout_counts() {
    let make = "all:\n\tmkdir -p build\n\t$(MAKE) -C toy-src KDIR=$(KDIR)\n\tcp toy-src/toy.ko build/\n";
    let conf = format!("{CONF}MAKE=\"make KDIR=$kernel_source_dir all\"\nBUILT_MODULE_LOCATION[0]=build/\n");
    let driver = || {
        let tree = Tree::empty();
        tree.file("dkms.conf", &conf).file("for-dkms.mk", make).file("toy-src/Makefile", OWN);
        tree.file("toy-src/toy.c", SOURCE);
        tree
    };
    let script = "#!/bin/sh\nVERSION=1.0\nmkdir /usr/src/toy-$VERSION\ncp -TR ./toy-src \"/usr/src/toy-$VERSION/toy-src\"\n\
                  cp ./for-dkms.mk /usr/src/toy-$VERSION/Makefile\ncp ./dkms.conf /usr/src/toy-$VERSION/\ndkms add toy/$VERSION\n";
    for (path, text) in [
        ("install.sh", script),
        (
            ".github/workflows/build.yml",
            "jobs:\n  build:\n    steps:\n      - run: sudo cp -r toy-src /usr/src/toy-1.0/\n      - run: |\n          sudo cp for-dkms.mk /usr/src/toy-1.0/Makefile\n          sudo dkms add toy/1.0\n",
        ),
        (
            "debian/rules",
            "override_dh_install:\n\tdh_install toy-src usr/src/toy-1.0\n\tcp for-dkms.mk debian/toy-dkms/usr/src/toy-1.0/Makefile\n",
        ),
    ] {
        let tree = driver();
        tree.file(path, text);
        let (status, codes, text) = build(&tree, &[]);
        assert_eq!((status, codes), (Some(0), vec!["K0112".to_owned()]), "{text}");
        assert!(text.contains("map = { \"for-dkms.mk\" = \"Makefile\" }"), "{text}");
        assert!(text.contains(&format!("files moved as `{path}` does")), "{text}");
        let shown = String::from_utf8(tree.kpkg(&["show", "-f", "deb", "--files"]).stdout).unwrap();
        assert!(
            shown.contains("/usr/src/toy-1.0/Makefile") && shown.contains("/usr/src/toy-1.0/toy-src/toy.c"),
            "{shown}"
        );
        // what `init` writes says the same for good
        assert_eq!(tree.kpkg(&["init"]).status.code(), Some(0));
        assert_eq!(build(&tree, &[]).1, Vec::<String>::new());
    }
    // nobody says it
    fails(&driver(), "K0114", &["dkms.conf expects `build/toy.ko`"]);
    // it would hide a file of the tree
    let tree = driver();
    tree.file("install.sh", script).file("Makefile", "help:\n\techo help\n");
    assert_eq!(build(&tree, &[]).0, Some(2));
}

#[test]
fn two_folders_that_fit_alike_are_no_choice_of_ours() {
    let tree = Tree::empty();
    tree.file("packaging/toy.dkms", CONF);
    for folder in ["one", "two"] {
        tree.file(&format!("{folder}/Makefile"), "obj-m := toy.o\n").file(&format!("{folder}/toy.c"), SOURCE);
    }
    fails(
        &tree,
        "K0111",
        &["`./one`", "`./two`"].map(|name| name.trim_start_matches("`./").trim_end_matches('`')),
    );
    tree.file("kpkg.toml", "[source]\nroot = \"two\"\n");
    assert_eq!(build(&tree, &[]).0, Some(0));
}

#[test]
fn modules_have_to_be_made_where_dkms_conf_says() {
    let tree = Tree::with_conf(CONF);
    tree.file("Makefile", "obj-m := src/\n")
        .file("src/Makefile", "obj-m := toy.o\n")
        .file("src/toy.c", SOURCE);
    fails(&tree, "K0114", &["expects `toy.ko`", "make `src/toy.ko`", "BUILT_MODULE_LOCATION[0]=\"src\""]);
    let tree = Tree::with_conf(CONF);
    tree.file("Makefile", "obj-m := boy.o\n").file("boy.c", SOURCE);
    fails(&tree, "K0114", &["make `boy.ko`"]);
    let tree = Tree::with_conf(CONF);
    tree.file("Makefile", "obj-m := toy.o\ntoy-y := main.o\n");
    fails(&tree, "K0115", &["`toy` of `main.o`"]);
}

#[test]
fn what_the_build_reads_and_git_ignores_is_found() {
    let tree = Tree::with_conf(CONF);
    tree.file("Makefile", "include $(src)/vendor.mk\nobj-m := toy.o\n").file("vendor.mk", "");
    tree.file("toy.c", format!("{SOURCE}#include \"gen_config.h\"\n"))
        .file(".gitignore", "vendor.mk\ngen_config.h\n");
    git(&tree);
    fails(&tree, "K0116", &["`Makefile` includes `vendor.mk`", "Makefile:1:1", "include = [\"/vendor.mk\"]"]);
    tree.file("kpkg.toml", "[source]\ninclude = [\"/vendor.mk\"]\n");
    // one that nobody has made yet
    fails(&tree, "K0116", &["`toy.c` includes `gen_config.h`", "toy.c:4:1", "something makes it"]);
    tree.file("gen_config.h", "")
        .file("kpkg.toml", "[source]\ninclude = [\"/vendor.mk\", \"/gen_config.h\"]\n");
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec![]), "{text}");
    // make makes what a rule is for before it reads it
    let tree = Tree::with_conf(CONF);
    let made = "include $(src)/flags.mk\nobj-m := toy.o\n$(src)/flags.mk:\n\t$(src)/flags.sh >$@\n";
    tree.file("Makefile", made).file("toy.c", SOURCE).script("flags.sh", "#!/bin/sh\n");
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec![]), "{text}");
    tree.file("Makefile", made.replace("flags.mk:", "other.mk:"));
    fails(&tree, "K0116", &["`Makefile` includes `flags.mk`"]);
    // a script
    let tree = Tree::with_conf(&format!("{CONF}PRE_BUILD=\"configure x\"\n"));
    tree.script("configure", "#!/bin/sh\n").file(".gitignore", "configure\n");
    git(&tree);
    fails(&tree, "K0103", &["include = [\"/configure\"]"]);
}

#[test]
fn what_lies_outside_behind_a_link_or_in_a_submodule_is_found() {
    let tree = Tree::empty();
    tree.file("drv/dkms.conf", CONF)
        .file("drv/Makefile", "obj-m := toy.o\ntoy-y := main.o ../common/com.o\n");
    tree.file("drv/main.c", SOURCE).file("common/com.c", "");
    let output = tree.kpkg(&["drv", "-f", "deb", "--dry-run"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && text.contains("K0115") && text.contains("outside of the root"),
        "{text}"
    );
    // a whole folder is one thing
    let tree = Tree::with_conf(CONF);
    let objects: Vec<_> = (0..20).map(|n| format!("lib/part{n}.o")).collect();
    tree.file("Makefile", format!("obj-m := toy.o\ntoy-y := main.o {}\n", objects.join(" ")))
        .file("main.c", SOURCE);
    let (_, codes, text) = build(&tree, &[]);
    assert_eq!(codes, ["K0115"; 3], "{text}");
    assert!(text.contains("and 17 more objects have no source"), "{text}");
    // the driver above has all of it
    let tree = Tree::with_conf(CONF);
    tree.file("Makefile", "obj-m := toy.o\nccflags-y := -I$(src)/inc\n")
        .file("toy.c", format!("{SOURCE}#include \"x.h\"\n"));
    std::os::unix::fs::symlink("../elsewhere", tree.path().join("inc")).unwrap();
    fails(&tree, "K0116", &["replace the link by what it points to"]);
    // a link that nothing needs
    fs::remove_file(tree.path().join("inc")).unwrap();
    tree.file("inc/x.h", "");
    std::os::unix::fs::symlink("/etc/passwd", tree.path().join("other")).unwrap();
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec!["K0403".to_owned()]), "{text}");
    let tree = Tree::with_conf(CONF);
    tree.file("Makefile", "obj-m := toy.o\nccflags-y := -I$(src)/lib/headers\n");
    tree.file(
        ".gitmodules",
        "[submodule \"h\"]\n\tpath = lib/headers\n\turl = x\n[submodule \"t\"]\n\tpath = googletest\n",
    );
    fs::create_dir_all(tree.path().join("lib/headers")).unwrap();
    fails(
        &tree,
        "K0117",
        &["git submodule update --init --recursive lib/headers", "note[K0117]: `googletest`"],
    );
}

#[test]
fn a_tree_that_is_to_be_generated_says_what_to_run() {
    let tree = Tree::empty();
    tree.file("configure.ac", "AC_INIT([toy], [1])\n")
        .file("module/Kbuild.in", "obj-m := toy.o\n")
        .file("autogen.sh", "");
    tree.file("scripts/dkms.mkconf", "#!/bin/sh\n").file("module/toy.c", SOURCE);
    fails(
        &tree,
        "K0101",
        &["run `./autogen.sh && ./configure` first", "`scripts/dkms.mkconf` writes dkms.conf"],
    );
    // a script that nobody can follow puts the folder together
    let tree = Tree::empty();
    tree.file("dkms.conf", format!("{CONF}MAKE=\"make KDIR=$kernel_source_dir\"\n"))
        .file("lib/toy.c", SOURCE);
    tree.file(
        "build_src.sh",
        "OUT=$1\n# cp dkms.conf\ncp lib/*.c \"$OUT\"\nspatch p.cocci \"$OUT\"/*.c\ncp dkms.conf \"$OUT\"/dkms.conf\n",
    );
    fails(&tree, "K0113", &["`build_src.sh` copies dkms.conf in line 5"]);
}

#[test]
fn drivers_that_have_nothing_to_do_with_each_other_are_several() {
    let tree = Tree::empty();
    for (folder, name) in [("dma/linux", "xdma"), ("sec/linux", "xvsec")] {
        tree.file(&format!("{folder}/Makefile"), format!("obj-m += {name}.o\n"));
        tree.file(&format!("{folder}/{name}.c"), format!("{SOURCE}MODULE_VERSION(\"1.0\");\n"));
    }
    fails(
        &tree,
        "K0109",
        &["`xdma`: `./dma/linux`, without a dkms.conf", "`xvsec`"]
            .map(|text| text.split(": ").next().unwrap()),
    );
    let (status, _, text) = build(&tree, &["--all"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("xdma-dkms_1.0-1_all.deb") && text.contains("xvsec-dkms_1.0-1_all.deb"), "{text}");
    // one uses what the other exports
    tree.file(
        "dma/linux/xdma.c",
        format!("{SOURCE}MODULE_VERSION(\"1.0\");\nEXPORT_SYMBOL_GPL(xdma_open);\n"),
    );
    tree.file("sec/linux/xvsec.c", format!("{SOURCE}void f(void) {{ xdma_open(); }}\n"));
    let (status, _, text) = build(&tree, &["--driver-version", "1.0"]);
    assert_eq!(status, Some(0), "{text}");
}

#[test]
fn a_made_dkms_conf_tells_every_variable_which_kernel_is_built_for() {
    let made = |files: &[(&str, &str)]| {
        let tree = Tree::empty();
        for (path, text) in files {
            tree.file(path, text);
        }
        let output = tree.kpkg(&["init", "--dry-run", "--driver-version", "1.0"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.starts_with("MAKE[0]")).unwrap_or(&text).to_owned()
    };
    let common = "ifeq (,$(BUILD_KERNEL))\nBUILD_KERNEL=$(shell uname -r)\nendif\nKSRC ?= $(firstword $(wildcard /lib/modules/$(BUILD_KERNEL)/build))\n\
                  ifeq (,$(KSRC))\n$(error no headers)\nendif\n";
    let kbuild = "ifneq ($(KERNELRELEASE),)\ninclude $(src)/common.mk\nobj-m += toy.o\nelse\ninclude common.mk\nall:\n\t$(MAKE) -C $(KSRC) M=$(CURDIR) modules\nendif\n";
    let line = made(&[("src/Makefile", kbuild), ("src/common.mk", common), ("src/toy.c", SOURCE)]);
    assert!(line.contains("BUILD_KERNEL=${kernelver}") && line.contains("M="), "{line}");
    // sources that the Makefile writes while it is read
    let writes = "ifneq ($(KERNELRELEASE),)\nobj-m += toy.o\nelse\nKVER ?= $(shell uname -r)\n$(if $(shell OUT=gen.h sh ./gen.sh && echo ok),,$(error gen.sh failed))\n\
                  build = $(MAKE) -C /lib/modules/$(KVER)/build M=$(CURDIR) $(1)\nall:\n\t+$(call build,modules)\nendif\n";
    let line = made(&[("Makefile", writes), ("gen.sh", ""), ("toy.c", SOURCE)]);
    assert!(line.contains("'make' -C") && line.contains("KVER=${kernelver}"), "{line}");
}

#[test]
fn markers_beside_what_only_a_kernel_gives_are_seen() {
    let tree = Tree::with_conf(&format!(
        "{CONF}MAKE=\"make -C $kernel_source_dir M=$dkms_tree/toy/1.0/build CFLAGS_MODULE+=@CFLGS@\"\n"
    ));
    fails(&tree, "K0303", &["substitute = { \"@CFLGS@\" = \"VALUE\" }"]);
    tree.file("kpkg.toml", "[driver]\nsubstitute = { \"@CFLGS@\" = \"-O2\" }\n");
    assert_eq!(build(&tree, &[]).0, Some(0));
}

#[test]
fn a_list_of_modules_that_is_not_known_is_unknown() {
    let conf = "PACKAGE_NAME=toy\nPACKAGE_VERSION=1.0\nBUILT_MODULE_NAME[0]=\"$(cat /proc/toy)\"\nDEST_MODULE_LOCATION[0]=/updates\nAUTOINSTALL=yes\n";
    let tree = Tree::with_conf(conf);
    let output = tree.kpkg(&["-f", "deb"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("modules unknown"), "{text}");
}

/// The driver that a tree is, as `show --json` says it.
fn shown(tree: &Tree, arguments: &[&str]) -> serde_json::Value {
    let output = tree.kpkg(&[&["show", "-f", "deb", "--json"], arguments].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let value: serde_json::Value = serde_json::from_str(text.lines().next().unwrap_or("null")).unwrap();
    assert!(output.status.success(), "{text}");
    value["driver"].clone()
}

fn version(tree: &Tree, arguments: &[&str]) -> String {
    shown(tree, arguments)["version"].as_str().unwrap().to_owned()
}

/// A file of the packaged source.
fn packaged(tree: &Tree, path: &str) -> String {
    let options = kpkg::build::Options { output: "dist".into(), ..Default::default() };
    let input =
        kpkg::input::Input::open(tree.path(), None, std::path::Path::new("/tmp"), &options.means.stop)
            .unwrap();
    let prepared = kpkg::build::prepare(&input, &options, &|_| ());
    let prepared = prepared.unwrap_or_else(|error| panic!("{:?}", error.findings()));
    prepared[0].driver.text(path).unwrap()
}

fn pack(tree: &Tree, archive: &str, folder: &str) {
    let arguments = ["czf", archive, folder];
    assert!(Command::new("tar").current_dir(tree.path()).args(arguments).status().unwrap().success());
}

const TEMPLATE: &str = "PACKAGE_NAME=toy\nPACKAGE_VERSION=\"@VERSION@\"\nBUILT_MODULE_NAME[0]=toy\nDEST_MODULE_LOCATION[0]=/updates\nAUTOINSTALL=yes\n";

#[test]
fn the_name_of_an_archive_may_say_more_than_the_sources() {
    let tree = Tree::empty();
    // an archive says nothing about the repository that it lies in
    git_with(&tree, &["v7.0"]);
    tree.file("toy-1.2.3/dkms.conf", TEMPLATE).file("toy-1.2.3/Makefile", "obj-m := toy.o\n");
    tree.file("toy-1.2.3/toy.c", format!("{SOURCE}MODULE_VERSION(\"1.2.3\");\n"));
    pack(&tree, "toy-1.2.3-rc4.tar.gz", "toy-1.2.3");
    pack(&tree, "toy-2.0.tar.gz", "toy-1.2.3");
    assert_eq!(version(&tree, &["toy-1.2.3-rc4.tar.gz"]), "1.2.3-rc4");
    let (status, codes, text) = build(&tree, &["toy-1.2.3-rc4.tar.gz"]);
    assert_eq!((status, codes), (Some(0), vec![]), "{text}");
    let (status, codes, text) = build(&tree, &["toy-2.0.tar.gz"]);
    assert_eq!((status, codes), (Some(0), vec!["K0110".to_owned()]), "{text}");
    for words in ["the version is 1.2.3", "`toy-2.0` says 2.0", "--driver-version"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // also without a dkms.conf
    fs::remove_file(tree.path().join("toy-1.2.3/dkms.conf")).unwrap();
    pack(&tree, "toy-2.0.tar.gz", "toy-1.2.3");
    let (_, codes, text) = build(&tree, &["toy-2.0.tar.gz"]);
    assert_eq!(codes, ["K0101", "K0110"], "{text}");
}

/// A repository with tags.
fn git_with(tree: &Tree, tags: &[&str]) {
    tree.file("README", "x\n");
    git(tree);
    for tag in tags {
        assert!(Command::new("git").current_dir(tree.path()).args(["tag", tag]).status().unwrap().success());
    }
}

#[test]
fn a_template_of_dh_dkms_has_the_version_of_the_changelog() {
    let with = |path: &str, conf: &str| {
        let tree = Tree::empty();
        tree.file(path, conf).file("Makefile", "obj-m := toy.o\n");
        tree.file("toy.c", format!("{SOURCE}MODULE_VERSION(\"1.0\");\n"));
        tree.file("debian/changelog", "toy (2:1.6+x-3) unstable; urgency=low\n");
        git_with(&tree, &["v1.5"]);
        tree
    };
    let marked = TEMPLATE.replace("@VERSION@", "#MODULE_VERSION#");
    assert_eq!(version(&with("debian/toy-dkms.dkms", &marked), &[]), "1.6+x");
    assert_eq!(version(&with("debian/toy-dkms.dkms", TEMPLATE), &[]), "1.6+x");
    assert_eq!(version(&with("dkms.conf", &marked), &[]), "1.6+x");
    assert_eq!(version(&with("dkms.conf", TEMPLATE), &[]), "1.5");
    let tree = with("debian/toy-dkms.dkms", &marked);
    fs::remove_file(tree.path().join("debian/changelog")).unwrap();
    assert_eq!(version(&tree, &[]), "1.5");
}

#[test]
fn markers_that_the_vendors_commands_replace_are_replaced() {
    let conf =
        TEMPLATE.replace("AUTO", "MAKE=\"make KV=${kernelver} CFLAGS_MODULE+=@CFLGS@ W=@WARN@\"\nAUTO");
    let tree = Tree::with_conf(&conf);
    let makefile = |value: &str| {
        format!(
            "VERSION := 1.5\n{value}all:\n\t$(MAKE) -C /lib/modules/$(KV)/build M=$(CURDIR) modules\nobj-m := toy.o\n\
             dkms:\n\tsed -e \"s/@CFLGS@/${{MCFLAGS}}/\" -e 's/@WARN@/1/' \\\n\t\t-e \"s/@VERSION@/$(VERSION)/\" dkms.conf >x\n"
        )
    };
    tree.file("Makefile", makefile("MCFLAGS = -O2\n"));
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec![]), "{text}");
    assert!(
        text.contains("`@CFLGS@` in dkms.conf becomes `-O2`, as `./Makefile:7`")
            || text.contains("as `Makefile:7`"),
        "{text}"
    );
    assert!(packaged(&tree, "dkms.conf").contains("CFLAGS_MODULE+=-O2 W=1\""));
    // a variable that nothing sets is empty, which is worth a warning
    tree.file("Makefile", makefile(""));
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec!["K0303".to_owned()]), "{text}");
    // kpkg.toml counts more
    tree.file("kpkg.toml", "[driver]\nsubstitute = { \"@CFLGS@\" = \"-O3\" }\n");
    assert!(packaged(&tree, "dkms.conf").contains("CFLAGS_MODULE+=-O3 W=1\""));
    fs::remove_file(tree.path().join("kpkg.toml")).unwrap();
    // a value that is not known is told beside the error
    tree.file("Makefile", makefile("MCFLAGS = $(shell id)\n"));
    fails(&tree, "K0303", &["Makefile:7` replaces it by `${MCFLAGS}`"]);
    tree.script("build.sh", "sed \"s/@CFLGS@/${L//\\//\\\\/}/g\" a\n");
    fails(&tree, "K0303", &["build.sh:1` replaces it by `${L//\\//\\\\/}`"]);
}

#[test]
fn markers_in_the_sources_get_the_version_of_the_package() {
    let tree = Tree::with_conf(&TEMPLATE.replace("@VERSION@", "#VERSION#"));
    let source = format!("{SOURCE}MODULE_VERSION(\"#VERSION#\");\n");
    tree.file("toy.c", &source).file("VERSION", "1.5\n");
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec!["K0135".to_owned()]), "{text}");
    for words in ["`toy.c`", "modinfo", "substitute = { \"#VERSION#\" = \"$PACKAGE_VERSION\" }"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // what the finding says
    tree.file("kpkg.toml", "[driver]\nsubstitute = { \"#VERSION#\" = \"$PACKAGE_VERSION\" }\n");
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec![]), "{text}");
    assert!(packaged(&tree, "toy.c").contains("MODULE_VERSION(\"1.5\")"));
    fs::remove_file(tree.path().join("kpkg.toml")).unwrap();
    // what the vendor's installer does
    let script = "version=$(git describe --tags || echo unknown)\nfind . -name '*.c' -exec sed -i \"s/#VERSION#/$version/\" {} +\n";
    tree.script("install.sh", script);
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec![]), "{text}");
    assert!(packaged(&tree, "toy.c").contains("MODULE_VERSION(\"1.5\")"));
    assert!(packaged(&tree, "dkms.conf").contains("PACKAGE_VERSION=\"1.5\""));
    assert_eq!(fs::read_to_string(tree.path().join("toy.c")).unwrap(), source);
    // bytes that are no text stay as they are, and are named
    tree.file("toy.c", [source.as_bytes(), b"// \xe9\n"].concat());
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec!["K0135".to_owned()]), "{text}");
}

#[test]
fn the_root_in_a_kpkg_toml_of_a_sub_folder_counts_from_there() {
    let tree = Tree::empty();
    tree.file("packaging/toy.dkms", CONF);
    for folder in ["one", "two"] {
        tree.file(&format!("{folder}/Makefile"), "obj-m := toy.o\n").file(&format!("{folder}/toy.c"), SOURCE);
    }
    fails(&tree, "K0111", &[]);
    tree.file("packaging/kpkg.toml", "[source]\nroot = \"../two\"\n");
    let root = |arguments: &[&str]| shown(&tree, arguments)["origin"]["root"].as_str().unwrap().to_owned();
    assert!(root(&[]).ends_with("two"));
    // nothing of the other one counts
    tree.file("kpkg.toml", "[source]\nroot = \"one\"\n");
    assert!(root(&[]).ends_with("two"));
    assert!(root(&[tree.path().to_str().unwrap()]).ends_with("two"));
    tree.file("packaging/kpkg.toml", "[source]\nroot = \"two\"\n");
    assert_eq!(build(&tree, &[]).0, Some(2), "not relative to the tree");
    tree.file("packaging/kpkg.toml", "[source]\nroot = \"../../two\"\n");
    let (status, _, text) = build(&tree, &[]);
    assert!(status == Some(2) && text.contains("leads out of"), "{text}");
    tree.file("packaging/kpkg.toml", "[source]\nroot = \"..\"\nmap = { \"one/*\" = \".\" }\n");
    let files = String::from_utf8(tree.kpkg(&["show", "-f", "deb", "--files"]).stdout).unwrap();
    assert!(files.contains("/usr/src/toy-1.0/toy.c"), "{files}");
}

#[test]
fn tags_of_other_components_are_told() {
    let tree = Tree::with_conf(TEMPLATE);
    tree.file("VERSION", "1.5\n");
    git_with(&tree, &["one_linux_2.17.0", "two_linux_3.1.0"]);
    let (status, _, text) = build(&tree, &[]);
    assert_eq!(status, Some(0), "{text}");
    for words in ["note[K0130]", "`one_linux_2.17.0`", "`two_linux_3.1.0`", "--driver-version"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let tree = Tree::with_conf(TEMPLATE);
    git_with(&tree, &["one_linux_2.17.0", "toy_linux_3.1.0"]);
    let (_, _, text) = build(&tree, &[]);
    assert!(text.contains("toy_linux_3.1.0") && !text.contains("K0130"), "{text}");
}

#[test]
fn a_driver_without_dkms_conf_is_called_like_its_repository_or_archive() {
    let tree = Tree::empty();
    tree.file("gadget/Makefile", "obj-m := one.o two.o\n")
        .file("gadget/one.c", SOURCE)
        .file("gadget/two.c", SOURCE);
    let name = |arguments: &[&str]| {
        let driver = shown(&tree, arguments);
        format!("{} {}", driver["name"].as_str().unwrap(), driver["version"].as_str().unwrap())
    };
    pack(&tree, "gadget-1.4.tar.gz", "gadget");
    assert_eq!(name(&["gadget-1.4.tar.gz"]), "gadget 1.4");
    fs::rename(tree.path().join("gadget"), tree.path().join("gizmo")).unwrap();
    let inside = tree.path().join("gizmo");
    let pack = ["czf", "../gadget-v2.5.tar.gz", "Makefile", "one.c", "two.c"];
    assert!(Command::new("tar").current_dir(&inside).args(pack).status().unwrap().success());
    assert_eq!(name(&["gadget-v2.5.tar.gz"]), "gadget 2.5");
    for arguments in [
        &["init", "-q"][..],
        &["add", "-A"],
        &["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "x"],
        &["tag", "v3.1"],
    ] {
        assert!(Command::new("git").current_dir(&inside).args(arguments).status().unwrap().success());
    }
    assert_eq!(name(&["gizmo", "--ref", "v3.1"]), "gizmo 3.1");
}

#[test]
fn a_tree_that_says_no_version_is_an_error_of_its_own() {
    let tree = Tree::empty();
    tree.file("driver/Makefile", "obj-m := toy.o\n").file("driver/toy.c", SOURCE);
    fails(
        &tree,
        "K0110",
        &["no version is known", "looked at git's tags", "--driver-version VERSION", "version = \"VERSION\""],
    );
    let (_, codes, text) = build(&tree, &[]);
    assert!(!text.contains("dkms.conf:") && !codes.contains(&"K0303".to_owned()), "{text}");
    let output = tree.kpkg(&["init", "--dry-run", "driver"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("no version is known"));
    tree.file(
        "driver/toy.c",
        format!("{SOURCE}#define VERSION_DESC \"V1.9 On 2025.12\"\nMODULE_VERSION(VERSION_DESC);\n"),
    );
    assert_eq!(version(&tree, &[]), "1.9");
}

#[test]
fn a_commit_without_any_version_is_called_by_its_day() {
    let tree = Tree::empty();
    tree.file("Makefile", "obj-m := toy.o\n").file("toy.c", SOURCE);
    git(&tree);
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(tree.path()).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let day = git(&["log", "-1", "--format=%cd", "--date=format-local:%Y%m%d"]);
    assert_eq!(version(&tree, &[]), format!("0~git{day}.{}", git(&["rev-parse", "--short=7", "HEAD"])));
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec!["K0101".to_owned(), "K0110".to_owned()]), "{text}");
    // of a shallow clone nobody knows whether there are tags
    tree.file(".git/shallow", git(&["rev-parse", "HEAD"]) + "\n");
    fails(&tree, "K0110", &["no version is known"]);
}

#[test]
fn a_makefile_that_asks_which_kernel_runs_is_told_the_other_one() {
    let tree = Tree::empty();
    let make = "MAKE=\"make -C ${kernel_source_dir} M=${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build modules\"\n";
    tree.file("dkms.conf", format!("{CONF}{make}")).file("toy.c", SOURCE);
    let kbuild = "ifeq (,${BUILD_KERNEL})\nBUILD_KERNEL=$(shell uname -r)\nendif\nKDIR := /lib/modules/${BUILD_KERNEL}/build\n\
                  ifeq (,$(wildcard ${KDIR}/Makefile))\n$(error no headers)\nendif\nobj-m := toy.o\n";
    tree.file("Makefile", kbuild);
    let (status, codes, text) = build(&tree, &[]);
    assert_eq!((status, codes), (Some(0), vec!["K0136".to_owned()]), "{text}");
    assert!(text.contains("add `BUILD_KERNEL=${kernelver}` to the command in MAKE"), "{text}");
    let conf = packaged(&tree, "dkms.conf");
    assert!(conf.ends_with("MAKE[0]=\"${MAKE[0]} BUILD_KERNEL=${kernelver}\"\n"), "{conf}");
    // without MAKE it is the command that dkms has itself
    tree.file("dkms.conf", CONF);
    let command = "make -C ${kernel_source_dir} M=${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build";
    let conf = packaged(&tree, "dkms.conf");
    assert!(conf.ends_with(&format!("MAKE[0]=\"{command} BUILD_KERNEL=${{kernelver}}\"\n")), "{conf}");
    // it is told already, or only sets what nobody uses
    tree.file(
        "dkms.conf",
        format!("{CONF}{}", make.replace(" modules", " BUILD_KERNEL=${kernelver} modules")),
    );
    assert_eq!(build(&tree, &[]).1, Vec::<String>::new());
    tree.file("dkms.conf", format!("{CONF}{make}"));
    tree.file("Makefile", "KVER := $(shell uname -r)\nobj-m := toy.o\n");
    assert_eq!(build(&tree, &[]).1, Vec::<String>::new());
}

#[test]
fn a_module_of_some_kernels_is_listed_for_these() {
    let tree = Tree::empty();
    tree.file("Makefile", "obj-m := toy.o\nifneq ($(CONFIG_JBD),)\nobj-m += jbd.o\nendif\nifneq (${CONFIG_PCI},)\nobj-m += pci.o\nendif\n");
    for name in ["toy", "jbd", "pci"] {
        tree.file(&format!("{name}.c"), format!("{SOURCE}MODULE_VERSION(\"1.0\");\n"));
    }
    tree.file("kernel/.config", "CONFIG_MODULES=y\nCONFIG_PCI=y\n").file("kernel/Makefile", "");
    let (status, _, text) = build(&tree, &[]);
    assert_eq!(status, Some(0), "{text}");
    let conf = packaged(&tree, "dkms.conf");
    let listed = |config: &str| {
        tree.file("kernel/.config", config).file("read.sh", format!("kernel_source_dir=kernel; dkms_tree=/x\n{conf}\necho ${{BUILT_MODULE_NAME[@]}} ${{#DEST_MODULE_LOCATION[@]}}"));
        let output = Command::new("bash").arg("read.sh").current_dir(tree.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(listed("CONFIG_PCI=y\n"), "toy pci 2\n");
    assert_eq!(listed("CONFIG_JBD=m\n"), "toy jbd 2\n");
    assert_eq!(listed(""), "toy 1\n");
    // kpkg reads it so as well
    let table = String::from_utf8(
        tree.kpkg(&["show", "-f", "deb", "--kernel-headers", "kernel", "-k", "6.1.0-1"]).stdout,
    )
    .unwrap();
    let kernels: Vec<_> = table.lines().skip_while(|line| !line.starts_with("kernel ")).take(2).collect();
    assert_eq!(
        kernels.join("|").split_whitespace().collect::<Vec<_>>(),
        ["kernel", "toy|6.1.0-1", "yes"],
        "{table}"
    );
}

#[test]
fn a_commit_that_names_a_path_twice_writes_nothing_through_it() {
    let tree = Tree::with_conf(CONF);
    tree.file("Makefile", "obj-m := toy.o\n").file("host/kept", "");
    let host = tree.path().join("host").display().to_string();
    let repository = support::git::Repository::new(&tree);
    let blob = |text: &str| repository.blob(text);
    let (conf, make) = (blob(CONF), blob("obj-m := toy.o\n"));
    let (link, text) = (blob(&host), blob("attack"));
    let below = repository.folder(&[("100644 new", &text)]);
    for twice in [
        [("120000 l", link.as_str()), ("40000 l", &below)],
        [("40000 l", &below), ("120000 l", &link)],
        [("120000 l", &link), ("100644 l", &text)],
    ] {
        let whole = repository.folder(
            &[&[("100644 Makefile", make.as_str()), ("100644 dkms.conf", &conf)], &twice[..]].concat(),
        );
        let commit = repository.commit(&whole);
        let output = tree.kpkg(&["-f", "deb", "--ref", &commit, "-o", "out"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(tree.names("host"), ["kept"]);
        assert!(tree.names("out").is_empty());
    }
}

#[test]
fn every_driver_that_is_found_is_packaged_or_told() {
    let tree = Tree::empty();
    for (folder, conf) in [
        ("good", CONF.to_owned()),
        ("computed", CONF.replace("\"toy\"", "$(cat name)")),
        ("broken", format!("{}if then\n", CONF.replace("toy", "broken"))),
    ] {
        tree.file(&format!("{folder}/dkms.conf"), conf)
            .file(&format!("{folder}/Makefile"), "obj-m := toy.o\n");
        tree.file(&format!("{folder}/toy.c"), SOURCE);
    }
    let output = tree.kpkg(&["-f", "deb", "--all", "-o", "out"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("computed/dkms.conf") && text.contains("broken/dkms.conf"), "{text}");
    assert!(tree.names("out").is_empty());
    let output = tree.kpkg(&["check", "--all"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}
