//! What a tree's own packaging says: notes at build and check, and the kpkg.toml that init writes from it.

use std::fs;
use std::process::Command;

use crate::support;
use support::{CONF, Tree, golden, missing};

const MAKEFILE: &str = "obj-m := toy.o\n\
    install:\n\tinstall -D -m 0644 udev/60-toy.rules $(DESTDIR)/lib/udev/rules.d/60-toy.rules\n\
    \tinstall -D -m 0644 modprobe.conf $(DESTDIR)/etc/modprobe.d/toy.conf\n\
    \tcp -r firmware $(DESTDIR)/lib/firmware/acme\n\
    \tinstall -D toy.service $(DESTDIR)/usr/lib/systemd/system/toy.service\n\
    \tinstall -D hook $(DESTDIR)/usr/share/initramfs-tools/hooks/toy\n\
    \tinstall -D 61-toy.hwdb $(DESTDIR)/lib/udev/hwdb.d/61-toy.hwdb\n\
    \tinstall -D dracut/module-setup.sh $(DESTDIR)/usr/lib/dracut/modules.d/90toy/module-setup.sh\n";

/// A driver whose Makefile installs something of every kind; the modes in the tree are wrong.
fn with_companions() -> Tree {
    let tree = Tree::with_conf(CONF);
    tree.file("Makefile", MAKEFILE)
        .script("udev/60-toy.rules", "# rule\n")
        .file("modprobe.conf", "# options\n");
    tree.file("firmware/a.bin", "x").file("toy.service", "[Unit]\n").file("hook", "#!/bin/sh\n");
    tree.file("61-toy.hwdb", "# x\n").file("dracut/module-setup.sh", "#!/bin/bash\n");
    tree
}

fn text(tree: &Tree, arguments: &[&str]) -> String {
    let output = tree.kpkg(arguments);
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&text));
    String::from_utf8(text).unwrap()
}

/// All findings, whatever they are worth.
fn findings(tree: &Tree) -> String {
    String::from_utf8(tree.kpkg(&["check", "--verbose"]).stdout).unwrap()
}

fn listed(tree: &Tree, tool: &[&str], ending: &str) -> Option<String> {
    let name = tree.names("dist").into_iter().find(|name| name.ends_with(ending)).unwrap();
    let output = Command::new(tool[0]).args(&tool[1..]).arg(tree.path().join("dist").join(name)).output();
    let Ok(output) = output else {
        missing(tool[0]);
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

fn assert_mode(listed: &str, path: &str, mode: &str) {
    let line = listed.lines().find(|line| line.trim_end().ends_with(path));
    assert!(line.is_some_and(|line| line.starts_with(mode)), "{mode} {path}: {listed}");
}

#[test]
fn companion_files_are_named_and_init_takes_them_into_both_formats() {
    let tree = with_companions();
    golden("cli/companions.txt", &tree.transcript(&["--verbose", "-f", "deb"]));
    assert_eq!(text(&tree, &["init"]).trim(), "kpkg.toml");
    golden("cli/companions-kpkg.txt", &fs::read_to_string(tree.path().join("kpkg.toml")).unwrap());
    let said = text(&tree, &["--verbose"]);
    assert!(!said.contains("K0140"), "{said}");
    let (data, program) = ("-rw-r--r--", "-rwxr-xr-x");
    if let Some(deb) = listed(&tree, &["dpkg-deb", "-c"], ".deb") {
        assert_mode(&deb, " ./lib/udev/rules.d/60-toy.rules", data);
        assert_mode(&deb, " ./lib/udev/hwdb.d/61-toy.hwdb", data);
        assert_mode(&deb, " ./lib/modprobe.d/toy.conf", data);
        assert_mode(&deb, " ./lib/firmware/acme/a.bin", data);
        assert_mode(&deb, " ./lib/systemd/system/toy.service", data);
        assert_mode(&deb, " ./usr/share/initramfs-tools/hooks/toy", program);
        assert_mode(&deb, " ./usr/lib/dracut/modules.d/90toy/module-setup.sh", program);
    }
    if let Some(rpm) = listed(&tree, &["rpm", "-qlvp"], ".rpm") {
        assert_mode(&rpm, " /usr/lib/udev/rules.d/60-toy.rules", data);
        assert_mode(&rpm, " /usr/lib/udev/hwdb.d/61-toy.hwdb", data);
        assert_mode(&rpm, " /usr/lib/modprobe.d/toy.conf", data);
        assert_mode(&rpm, " /usr/lib/firmware/acme/a.bin", data);
        assert_mode(&rpm, " /usr/lib/systemd/system/toy.service", data);
        assert_mode(&rpm, " /usr/lib/dracut/modules.d/90toy/module-setup.sh", program);
        // nothing there reads it
        assert!(!rpm.contains("initramfs-tools"), "{rpm}");
    }
    // both files are there now
    assert_eq!(tree.kpkg(&["init"]).status.code(), Some(2));
}

#[test]
fn a_name_on_the_target_stays_in_its_folder() {
    let tree = with_companions();
    for name in ["../x", "a/../../x", "/etc/passwd", "", "a\\nb", "."] {
        tree.file(
            "kpkg.toml",
            format!("[files]\nudev = [{{ path = \"udev/60-toy.rules\", name = \"{name}\" }}]\n"),
        );
        let output = tree.kpkg(&["-f", "deb"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains("is no path below a folder"), "{name}: {said}");
    }
    tree.file("kpkg.toml", "[files]\nudev = [3]\n");
    let said = String::from_utf8(tree.kpkg(&["-f", "deb"]).stderr).unwrap();
    assert!(said.contains("expected a path, or a table with `path` and `name`"), "{said}");
}

#[test]
fn examples_and_other_systems_are_not_named() {
    let tree = Tree::toy();
    tree.file("Makefile", "obj-m := toy.o\ninstall:\n\tcp examples/60-toy.rules /etc/udev/rules.d/\n");
    tree.file("examples/60-toy.rules", "# rule\n").file("android/60-a.rules", "# rule\n");
    tree.file("android/install.sh", "cp 60-a.rules /etc/udev/rules.d/\n").file("60-unused.rules", "# rule\n");
    let said = findings(&tree);
    assert!(!said.contains("K014"), "{said}");
}

#[test]
fn a_file_beside_the_packaged_root_is_named_as_what_it_is() {
    let tree = Tree::empty();
    for (path, content) in
        [("src/dkms.conf", CONF), ("src/Makefile", "obj-m := toy.o\n"), ("src/toy.c", "int x;\n")]
    {
        tree.file(path, content);
    }
    tree.file("src/60-toy.rules", "# rule\n").file("61-toy.rules", "# rule\n");
    tree.file("install.sh", "cp src/60-toy.rules 61-toy.rules /etc/udev/rules.d/\n");
    let said = findings(&tree);
    assert!(said.contains("`udev = [\"60-toy.rules\"]`: install.sh:1"), "{said}");
    assert!(
        said.contains("by hand: 61-toy.rules (udev, install.sh:1) lies outside the packaged source"),
        "{said}"
    );
    text(&tree, &["init"]);
    text(&tree, &["-f", "deb"]);
    assert!(
        listed(&tree, &["dpkg-deb", "-c"], ".deb").is_none_or(|deb| deb.contains("rules.d/60-toy.rules"))
    );
}

const CONTROL: &str = "Source: toy\nMaintainer: Jane Doe <jane@example.org>\nHomepage: https://example.org/toy\n\n\
    Package: toy-tools\nArchitecture: any\nDepends: libc6\nDescription: tools\n\n\
    Package: toy-dkms\nArchitecture: all\nDepends: ${misc:Depends}, dkms (>= 2), toy-firmware (>= 2)\n\
    Suggests: toy-tools\nConflicts: old-toy (<< 2)\nDescription: driver for toys\n It \"plays\".\n .\n Well.\n";

fn with_debian() -> Tree {
    let tree = Tree::toy();
    tree.file("debian/control", CONTROL).file("debian/patches/series", "# none\nfix.patch\n");
    tree.file(
        "debian/toy-dkms.postinst",
        "#!/bin/sh\nset -e\ndkms add -m toy -v 1.0 || true\nudevadm trigger\n#DEBHELPER#\n",
    );
    tree.file("debian/toy-dkms.prerm", "#!/bin/sh\ndkms remove -m toy -v 1.0 --all || true\n#DEBHELPER#\n");
    tree.file("debian/toy-dkms.triggers", "activate x\n")
        .file("debian/toy-tools.postinst", "#!/bin/sh\nldconfig\n");
    tree
}

#[test]
fn what_an_own_debian_folder_says_is_named_and_init_takes_it() {
    let tree = with_debian();
    let said = findings(&tree);
    for words in [
        "note[K0141]: `debian/` says what the packages do not have",
        "understood: `requires = [\"toy-firmware >= 2\"]` under `[format.deb.relations]`",
        "understood: `suggests = [\"toy-tools\"]` under `[format.deb.relations]`",
        "understood: `maintainer = \"Jane Doe <jane@example.org>\"` under `[driver]`",
        "by hand: debian/toy-dkms.postinst runs udevadm: ",
        "understood: `conflicts = [\"old-toy << 2\"]` under `[format.deb.relations]`",
        "by hand: debian/toy-dkms.triggers",
        "by hand: debian/patches: fix.patch; ",
        "`kpkg init --from debian/`",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // nothing of another package, nothing that kpkg does itself
    for words in ["ldconfig", "toy-dkms.prerm runs", "libc6", "\"dkms"] {
        assert!(!said.contains(words), "{words}: {said}");
    }
    assert!(text(&tree, &["--verbose", "-f", "deb"]).contains("note[K0141]"));
    text(&tree, &["init", "--from", "debian/"]);
    golden("cli/from-debian.txt", &fs::read_to_string(tree.path().join("kpkg.toml")).unwrap());
    text(&tree, &[]);
    if let Some(control) = listed(&tree, &["dpkg-deb", "-f"], ".deb") {
        assert!(control.contains("Maintainer: Jane Doe <jane@example.org>"), "{control}");
        assert!(control.contains("toy-firmware (>= 2)") && control.contains("driver for toys"), "{control}");
    }
    // names of one format are none of the other's
    let needs = listed(&tree, &["rpm", "-qRp"], ".rpm");
    assert!(needs.is_none_or(|needs| !needs.contains("toy-firmware")));
    for bad in ["../x", "none", "/etc"] {
        let output = tree.kpkg(&["init", "--dry-run", "--from", bad]);
        assert_eq!(output.status.code(), Some(2), "{bad}");
    }
}

const SPEC: &str = "%global mod toy\nName: %{mod}-dkms\nVersion: 1.0\nSummary: driver for toys\nLicense: GPLv2+\n\
    URL: https://example.org/toy\nPackager: Jane Doe <jane@example.org>\nSource1: toy.conf\nPatch0: fix.patch\n\
    Requires: dkms, toy-firmware >= 2\nObsoletes: old-toy < 2\n\n%description\nIt plays.\n\n%install\n\
    install -D -m 0644 60-toy.rules %{buildroot}%{_udevrulesdir}/60-%{mod}.rules\n\
    install -D -m 0644 %{SOURCE1} %{buildroot}%{_modprobedir}/toy.conf\n\n%post\ndkms add -m toy -v 1.0\nudevadm trigger\n\n\
    %preun\ndkms remove -m toy -v 1.0 --all\n\n%files\n";

#[test]
fn what_an_own_spec_says_is_named_and_init_takes_it() {
    let tree = Tree::toy();
    tree.file("rpm/toy.spec", SPEC).file("rpm/toy.conf", "# x\n").file("60-toy.rules", "# x\n");
    let said = findings(&tree);
    for words in [
        "`udev = [\"60-toy.rules\"]`: rpm/toy.spec:17",
        "`modprobe = [\"rpm/toy.conf\"]`: rpm/toy.spec:18",
        "note[K0141]: `rpm/toy.spec` says what the packages do not have",
        "understood: `requires = [\"toy-firmware >= 2\"]` under `[format.rpm.relations]`",
        "understood: `replaces = [\"old-toy < 2\"]` under `[format.rpm.relations]`",
        "by hand: %post runs udevadm",
        "by hand: the patch fix.patch",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("%preun runs"), "{said}");
    text(&tree, &["init", "--from", "rpm/toy.spec"]);
    golden("cli/from-spec.txt", &fs::read_to_string(tree.path().join("kpkg.toml")).unwrap());
    text(&tree, &[]);
    if let Some(files) = listed(&tree, &["rpm", "-qlvp"], ".rpm") {
        assert_mode(&files, " /usr/lib/udev/rules.d/60-toy.rules", "-rw-r--r--");
    }
    if let Some(needs) = listed(&tree, &["rpm", "-qRp"], ".rpm") {
        assert!(needs.contains("toy-firmware >= 2"), "{needs}");
    }
}

#[test]
fn packaging_that_only_does_the_work_of_dkms_says_nothing() {
    let tree = Tree::toy();
    let control = "Source: toy\nMaintainer: Jane <jane@example.org>\n\nPackage: toy-dkms\nArchitecture: all\n\
                   Depends: ${misc:Depends}, dkms, linux-headers-generic | linux-headers\nDescription: toy\n";
    tree.file("debian/control", control)
        .file("debian/rules", "#!/usr/bin/make -f\n%:\n\tdh $@ --with dkms\n");
    tree.file(
        "debian/toy-dkms.postinst",
        "#!/bin/sh\nset -e\n/usr/lib/dkms/common.postinst toy 1.0\n#DEBHELPER#\n",
    );
    let said = findings(&tree);
    assert!(!said.contains("K014"), "{said}");
}

#[test]
fn hostile_packaging_is_read_in_bounded_time_and_what_is_written_is_read_back() {
    let tree = Tree::toy();
    let deep = format!("A = {}x{}\n", "$(B ".repeat(5000), ")".repeat(5000));
    let loops = "X = $(Y)$(Y)$(Y)$(Y)\nY = $(X)$(X)$(X)$(X)\nZ := $(X:%=%$(X))\n";
    let lines = "\tinstall -D 60-a.rules /etc/udev/rules.d/$(X)\n\tcp $(A) $(Z) /lib/firmware\n".repeat(200);
    tree.file("Makefile", format!("obj-m := toy.o\n{deep}{loops}install:\n{lines}"));
    tree.file("60-a.rules", "# x\n").file("it's \"x\"; $(id)/60-b.rules", "# x\n");
    tree.file("install.sh", "cp \"it's \\\"x\\\"; \\$(id)\"/*.rules /etc/udev/rules.d/\ncp ../../../../etc/passwd /lib/firmware/\n");
    tree.file("debian/control", "Source: x\nMaintainer: \"A\\\" <x>\n\nPackage: toy-dkms\nDepends: a`id`, $(id), b\nDescription: \"]\\n\n x\n");
    text(&tree, &["init", "--from", "debian"]);
    let written = fs::read_to_string(tree.path().join("kpkg.toml")).unwrap();
    assert!(!written.contains("passwd") && written.contains("requires = [\"b\"]"), "{written}");
    text(&tree, &["-f", "deb"]);
}
