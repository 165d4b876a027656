//! `kpkg check`: each rule finds what it is about and nothing else, in trees and in finished packages; and the edits of `--fix`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support;
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
    assert_eq!(of(CONF, &[("toy.spec", spec)]), ["K0820", "K0839"]);
    let lua = "Name: toy\n%post -p <lua>\nos.execute('depmod -a')\n%post\ndkms build -m %{name} -v %{version} || :\n%files\n";
    assert_eq!(of(CONF, &[("toy.spec", lua)]), ["K0838"]);
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
    assert_eq!(codes(&tree, &["dkms.conf"]), ["K0308", "K0325"]);
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
    // what the oldest dkms of all targets obeys stays
    assert_eq!(
        after,
        with("CLEAN=\"make clean\"\nPOST_INSTALL=\"after.sh\"\nMAKE[0]=\"'make' KVER=$kernelver\"")
    );
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

/// Marks that change the order of what is read, in each place of a tree and of the packages of it.
#[test]
fn names_and_texts_that_look_like_others() {
    let of = |path: &str, text: &str| {
        let tree = Tree::toy();
        tree.file(path, text);
        let of_tree = codes(&tree, &[]);
        assert!(tree.kpkg(&["-q", "-f", "deb,rpm"]).status.success(), "{path}");
        let names = tree.names("dist");
        let of_packages: Vec<_> = names.iter().map(|name| codes(&tree, &[&format!("dist/{name}")])).collect();
        let shown = String::from_utf8(tree.kpkg(&["check"]).stdout).unwrap();
        assert!(!shown.contains(['\u{202e}', '\u{2066}']), "{shown}");
        (of_tree, of_packages)
    };
    let key = |key: &str, value: &str| of("kpkg.toml", &format!("[driver]\n{key} = \"{value}\"\n"));
    let both = |code: &str| vec![vec![code.to_owned()]; 2];
    for found in [
        of("doc/a\u{202e}c.exe", "x"),
        key("summary", "a \u{2066}toy"),
        key("description", "Two.\\n\\nA \u{2067}toy."),
        key("maintainer", "J\u{202d} <j@example.org>"),
    ] {
        assert_eq!(found, (vec!["K0858".to_owned()], both("K0859")));
    }
    assert_eq!(key("homepage", "https://example.org/\u{2069}").0, ["K0858"]);
    // what ends lines is nothing to be told, and writing of any direction neither
    assert_eq!(key("summary", "\u{5e9}\u{5dc}\u{5d5}\u{5dd}"), (Vec::new(), vec![Vec::new(); 2]));
}

#[test]
fn escapes_in_a_foreign_package() {
    let tree = Tree::empty();
    if foreign_deb(&tree).is_none() {
        return;
    }
    let control = "Package: toy-dkms\nVersion: 1.0\nArchitecture: all\nMaintainer: A \u{1b}[2J <a@b.cd>\nDescription: a\u{202e}b\n";
    tree.file("d/DEBIAN/control", control).file("d/usr/src/toy-1.0/a\u{1b}]0;x\u{7}", "x");
    let build = Command::new("dpkg-deb").current_dir(tree.path()).args(["-b", "d", "foreign.deb"]).output();
    assert!(build.unwrap().status.success());
    let found = codes(&tree, &["foreign.deb"]);
    assert_eq!(found.iter().filter(|code| *code == "K0859").count(), 3, "{found:?}");
    let shown = String::from_utf8(tree.kpkg(&["check", "foreign.deb"]).stdout).unwrap();
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{shown}");
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
        ["K0811", "K0812", "K0813", "K0821", "K0822", "K0831", "K0831", "K0832", "K0834", "K0839"]
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
    for code in ["K0812", "K0814", "K0816", "K0820", "K0831", "K0832"] {
        assert!(found.contains(&code.to_owned()), "{code} not in {found:?}");
    }
    assert_eq!(tree.kpkg(&["check", "foreign.rpm"]).status.code(), Some(3));
}

/// A package for dkms as a careful vendor makes it; tests change one thing.
struct Vendor {
    tree: Tree,
    scripts: Vec<(&'static str, String)>,
    files: Vec<(String, String, u32)>,
}

const POSTINST: &str = "#!/bin/sh
set -e
case \"$1\" in
configure)
    dkms status -m toy -v 1.0 | grep -q . || dkms add -m toy -v 1.0
    for k in /lib/modules/*/build/include; do
        k=${k%/build/include}
        dkms install -m toy -v 1.0 -k \"${k##*/}\" || echo 'toy was not built' >&2
    done
    ;;
esac
exit 0
";
const PRERM: &str = "#!/bin/sh
set -e
case \"$1\" in
remove) dkms remove -m toy -v 1.0 --all || : ;;
esac
exit 0
";
const POSTTRANS: &str = "dkms remove -m toy -v 1.0 --all >/dev/null 2>&1 || :
dkms add -m toy -v 1.0 || :
for k in /lib/modules/*/build/include; do
    k=${k%/build/include}
    dkms install -m toy -v 1.0 -k \"${k##*/}\" || :
done
exit 0
";
const PREUN: &str = "if [ \"$1\" = 0 ]; then dkms remove -m toy -v 1.0 --all || :; fi
exit 0
";
/// Without a script.
const NONE: &str = "";

impl Vendor {
    fn new() -> Self {
        let file = |path: &str, text: &str| (format!("/usr/src/toy-1.0/{path}"), text.to_owned(), 0o644);
        Self {
            tree: Tree::empty(),
            scripts: vec![
                ("postinst", POSTINST.to_owned()),
                ("prerm", PRERM.to_owned()),
                ("%posttrans", POSTTRANS.to_owned()),
                ("%preun", PREUN.to_owned()),
            ],
            files: vec![
                file("dkms.conf", CONF),
                file("Makefile", "obj-m := toy.o\n"),
                file("toy.c", "int x;\n"),
            ],
        }
    }

    fn script(mut self, name: &'static str, text: &str) -> Self {
        self.scripts.retain(|(other, _)| *other != name);
        if text != NONE {
            self.scripts.push((name, text.to_owned()));
        }
        self
    }

    fn file(mut self, path: &str, text: &str, mode: u32) -> Self {
        self.files.push((format!("/usr/src/toy-1.0/{path}"), text.to_owned(), mode));
        self
    }

    fn without(mut self, path: &str) -> Self {
        self.files.retain(|(other, ..)| !other.ends_with(path));
        self
    }

    fn conf(self, text: &str) -> Self {
        self.without("/dkms.conf").file("dkms.conf", text, 0o644)
    }

    fn renamed(mut self, folder: &str) -> Self {
        for (path, ..) in &mut self.files {
            *path = path.replace("toy-1.0", folder);
        }
        self
    }

    fn write(&self, path: &str, text: &str, mode: u32) {
        self.tree.file(path, text);
        fs::set_permissions(self.tree.path().join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The findings of the .deb; nothing where there is no dpkg-deb.
    fn deb(&self) -> Option<Vec<String>> {
        let control = "Package: toy-dkms\nVersion: 1.0-1\nArchitecture: all\nMaintainer: A B <a@b.cd>\nDepends: dkms\nDescription: toy\n";
        self.write("d/DEBIAN/control", control, 0o644);
        self.write("d/DEBIAN/md5sums", "", 0o644);
        for (name, text) in self.scripts.iter().filter(|(name, _)| !name.starts_with('%')) {
            self.write(&format!("d/DEBIAN/{name}"), text, 0o755);
        }
        for (path, text, mode) in &self.files {
            self.write(&format!("d{path}"), text, *mode);
        }
        let build = Command::new("dpkg-deb")
            .current_dir(self.tree.path())
            .args(["--root-owner-group", "-Znone", "-b", "d", "vendor.deb"])
            .output();
        let Ok(output) = build else {
            support::missing("dpkg-deb");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(codes(&self.tree, &["vendor.deb"]))
    }

    /// The findings of the .rpm.
    fn rpm(&self) -> Vec<String> {
        let mut builder = rpm::PackageBuilder::new("toy-dkms", "1.0", "GPL-2.0-only", "noarch", "toy");
        builder.requires(rpm::Dependency::any("dkms")).release("1");
        for (name, text) in self.scripts.iter().filter(|(name, _)| name.starts_with('%')) {
            let script = match text.strip_prefix("-p ").and_then(|text| text.split_once('\n')) {
                Some((program, text)) => rpm::Scriptlet::new(text).prog(vec![program]),
                None => rpm::Scriptlet::new(text.as_str()),
            };
            match *name {
                "%post" => builder.post_install_script(script),
                "%posttrans" => builder.post_trans_script(script),
                "%preun" => builder.pre_uninstall_script(script),
                "%postun" => builder.post_uninstall_script(script),
                name => panic!("{name}"),
            };
        }
        for (path, text, mode) in &self.files {
            self.write(&format!("r{path}"), text, 0o644);
            let options =
                rpm::FileOptions::new(path.as_str()).mode(0o100_000 | u16::try_from(*mode).unwrap());
            builder.with_file(self.tree.path().join(format!("r{path}")), options).unwrap();
        }
        let mut bytes = Vec::new();
        builder.build().unwrap().write(&mut bytes).unwrap();
        self.tree.file("vendor.rpm", &bytes);
        codes(&self.tree, &["vendor.rpm"])
    }

    /// Both formats have these findings and no other.
    fn has(&self, expected: &[&str]) {
        if let Some(found) = self.deb() {
            assert_eq!(found, expected, "deb {:?}", self.tree.kpkg(&["check", "vendor.deb"]));
        }
        assert_eq!(self.rpm(), expected, "rpm {:?}", self.tree.kpkg(&["check", "vendor.rpm"]));
    }

    fn deb_has(&self, expected: &[&str]) {
        if let Some(found) = self.deb() {
            assert_eq!(found, expected, "{:?}", self.tree.kpkg(&["check", "vendor.deb"]));
        }
    }

    fn rpm_has(&self, expected: &[&str]) {
        assert_eq!(self.rpm(), expected, "{:?}", self.tree.kpkg(&["check", "vendor.rpm"]));
    }
}

#[test]
fn a_careful_package_has_no_findings() {
    Vendor::new().has(&[]);
    let make = "MAKE[0]=\"make -C $kernel_source_dir M=$dkms_tree/$PACKAGE_NAME/$PACKAGE_VERSION/build/src\"\nBUILT_MODULE_LOCATION=src\n";
    let below = Vendor::new().without("Makefile").conf(&with(make));
    below.file("src/Kbuild", "obj-m := toy.o\n", 0o644).has(&[]);
    let hook =
        Vendor::new().conf(&with("PRE_BUILD=\"fetch.sh $kernelver\"")).without("toy.c").without("Makefile");
    hook.file("fetch.sh", "#!/bin/sh\n", 0o755).has(&[]);
    Vendor::new().without("toy.c").file("toy.o_shipped", "", 0o644).has(&[]);
}

#[test]
fn folder_conf_and_scripts_agree() {
    // the folder has another version than its dkms.conf, and the scripts follow the folder, or the file
    let follow = |version: &str| {
        let scripts =
            [("postinst", POSTINST), ("prerm", PRERM), ("%posttrans", POSTTRANS), ("%preun", PREUN)];
        let vendor = Vendor::new().renamed("toy-1.1");
        scripts.iter().fold(vendor, |vendor, (name, text)| vendor.script(name, &text.replace("1.0", version)))
    };
    follow("1.1").has(&["K0833"]);
    follow("1.0").has(&["K0833", "K0833"]);
    // the scripts say something that is not there
    let other = |text: &str| text.replace("-m toy -v 1.0", "toy/1.2");
    let vendor = Vendor::new().script("postinst", &other(POSTINST)).script("%posttrans", &other(POSTTRANS));
    vendor.has(&["K0833"]);
    let vendor = Vendor::new().script("prerm", &other(PRERM)).script("%preun", &other(PREUN));
    vendor.has(&["K0833"]);
    // variables: known, and not known
    let by_variable = |value: &str| {
        let text = POSTINST.replace("set -e", &format!("set -e\nNAME=toy\nV={value}"));
        Vendor::new().script("postinst", &text.replace("-m toy -v 1.0", "-m $NAME -v \"${V}\""))
    };
    by_variable("1.0").deb_has(&[]);
    by_variable("'1.3'").deb_has(&["K0833"]);
    by_variable("$(dpkg-query -W toy)").deb_has(&[]);
    // what the script puts there itself
    let made =
        other(POSTINST).replace("configure)", "configure)\n    cp -r /usr/src/toy-1.0 /usr/src/toy-1.2");
    Vendor::new().script("postinst", &made).deb_has(&[]);
    // by its path, which dkms copies
    let by_path = POSTINST.replace("dkms add -m toy -v 1.0", "dkms add /usr/src/toy");
    Vendor::new().renamed("toy").script("postinst", &by_path).deb_has(&["K0833"]);
    let by_path = POSTINST.replace("dkms add -m toy -v 1.0", "dkms add /usr/src/toy-2");
    Vendor::new().script("postinst", &by_path).deb_has(&["K0833"]);
    let common = "#!/bin/sh\nset -e\n/usr/lib/dkms/common.postinst toy 1.1 /usr/share/toy '' $2\n";
    Vendor::new().script("postinst", common).deb_has(&["K0822", "K0833"]);
    Vendor::new().script("postinst", &common.replace("1.1", "1.0")).deb_has(&["K0822"]);
}

#[test]
fn the_source_is_in_the_package() {
    Vendor::new().without("toy.c").without("Makefile").has(&["K0834"]);
    Vendor::new().without("toy.c").has(&["K0834"]);
    Vendor::new().without("Makefile").has(&["K0834"]);
    for line in [
        "MAKE[0]=\"make -C $kernel_source_dir M=$dkms_tree/$PACKAGE_NAME/$PACKAGE_VERSION/build/src\"",
        "MAKE[0]=\"make -C src KVER=$kernelver\"",
        "MAKE[0]=\"cd $dkms_tree/toy/1.0/build/src && 'make'\"",
        "PATCH[0]=\"fix.patch\"",
        "BUILT_MODULE_LOCATION=\"src\"",
    ] {
        Vendor::new().conf(&with(line)).has(&["K0834"]);
    }
    let below = Vendor::new().without("Makefile").file("Makefile", "obj-y := drv/\n", 0o644);
    below.file("drv/Makefile", "obj-m := toy.o\n", 0o644).has(&["K0834"]);
    Vendor::new().conf(&with("PATCH[0]=\"fix.patch\"")).file("patches/fix.patch", "", 0o644).has(&[]);
    let hook = with("POST_INSTALL=\"after.sh x\"");
    Vendor::new().conf(&hook).has(&["K0835"]);
    Vendor::new().conf(&hook).file("after.sh", "#!/bin/sh\n", 0o644).has(&["K0835"]);
    Vendor::new().conf(&hook).file("after.sh", "#!/bin/sh\n", 0o755).has(&[]);
    // what nobody can know
    for line in
        ["MAKE[0]=\"./build.sh\"", "MAKE[0]=\"make -C $SOMEWHERE\"", "MAKE[0]=\"sh -c 'cd gen; make'\""]
    {
        Vendor::new().without("Makefile").conf(&with(line)).has(&[]);
    }
}

#[test]
fn something_registers_and_something_unregisters() {
    let nothing = || {
        Vendor::new()
            .script("postinst", NONE)
            .script("prerm", NONE)
            .script("%posttrans", NONE)
            .script("%preun", NONE)
    };
    nothing().has(&["K0836"]);
    nothing().script("postinst", "#!/bin/sh\necho 'run dkms add toy/1.0'\n").deb_has(&["K0836"]);
    nothing().script("%post", "-p /sbin/ldconfig\n").rpm_has(&["K0836"]);
    Vendor::new().script("prerm", NONE).script("%preun", NONE).has(&["K0837"]);
    Vendor::new().script("prerm", "#!/bin/sh\nrmmod toy || :\nexit 0\n").deb_has(&["K0837"]);
    // another program may do it
    for text in [
        "/usr/share/toy/setup",
        "toy-setup --dkms",
        ". /usr/share/toy/functions\nregister",
        "eval \"$x\"",
        "$TOOL add",
    ] {
        nothing().script("postinst", &format!("#!/bin/sh\n{text}\nexit 0\n")).deb_has(&[]);
        nothing().script("%posttrans", &format!("{text}\nexit 0\n")).rpm_has(&[]);
        Vendor::new().script("prerm", &format!("#!/bin/sh\n{text}\nexit 0\n")).deb_has(&[]);
    }
    nothing().script("postinst", "#!/usr/bin/perl\nsystem 'dkms add toy/1.0';\n").deb_has(&[]);
    nothing().script("%posttrans", "-p <lua>\nos.execute('uname -r')\n").rpm_has(&[]);
    // a driver that is not for dkms
    nothing().without("/dkms.conf").has(&[]);
    let elsewhere = POSTINST.replace("dkms add", "dkms add --sourcetree /opt").replace("1.0", "1.2");
    Vendor::new()
        .script("postinst", &elsewhere.replace("install -m", "install --sourcetree /opt -m"))
        .deb_has(&[]);
}

#[test]
fn a_new_release_of_an_rpm_builds_its_source() {
    let kept = POSTTRANS.replace("dkms remove -m toy -v 1.0 --all >/dev/null 2>&1 || :\n", "");
    Vendor::new().script("%posttrans", &kept).rpm_has(&["K0843"]);
    let unbuilt = format!("dkms unbuild -m toy -v 1.0 --all || :\n{kept}");
    Vendor::new().script("%posttrans", &unbuilt).rpm_has(&[]);
    let safe = kept.replace("dkms add", "dkms add --rpm_safe_upgrade");
    Vendor::new().script("%posttrans", &safe).rpm_has(&[]);
}

#[test]
fn scripts_by_hand() {
    let install = |line: &str| {
        let text = POSTINST.replace("    for k", &format!("    {line}\n    for k"));
        Vendor::new().script("postinst", &text)
    };
    install("dkms build -m toy -v 1.0 || :").deb_has(&["K0838"]);
    install("dkms build -m toy -v 1.0 -k $k").deb_has(&["K0839"]);
    install("if dkms build -m toy -v 1.0 -k $k; then echo yes; fi").deb_has(&[]);
    install("set +e\n dkms build -m toy -v 1.0 -k $k\n set -e").deb_has(&[]);
    install("cat <<E\n dkms build -m toy -v 1.0\nE").deb_has(&[]);
    install("echo 'try: dkms build -m toy -v 1.0'").deb_has(&[]);
    install("modprobe toy").deb_has(&["K0844"]);
    install("modprobe toy || true").deb_has(&[]);
    install("rm -rf /var/lib/dkms/toy").deb_has(&["K0840"]);
    let add = POSTINST.replace("dkms status -m toy -v 1.0 | grep -q . || ", "");
    Vendor::new().script("postinst", &add).deb_has(&["K0842"]);
    Vendor::new().script("postinst", &add.replace("set -e\n", "")).deb_has(&[]);
    // the last command is the status of the script
    let last = POSTTRANS.replace(" || :\ndone\nexit 0", "\ndone");
    Vendor::new().script("%posttrans", &last).rpm_has(&["K0839"]);
    let remove = PRERM.replace(" || : ;;", " ;;");
    Vendor::new().script("prerm", &remove).deb_has(&["K0839"]);
    let asked = remove.replace("dkms remove", "[ -z \"$(dkms status toy/1.0)\" ] || dkms remove");
    Vendor::new().script("prerm", &asked).deb_has(&[]);
    Vendor::new().script("postrm", "#!/bin/sh\nrm -rf /usr/src/toy-1.0\n").deb_has(&["K0845"]);
    Vendor::new().script("%postun", "rm -rf /usr/src/toy-1.0\n").rpm_has(&["K0845"]);
    Vendor::new()
        .script("postrm", "#!/bin/sh\n[ \"$1\" != purge ] || rm -rf /usr/src/toy-1.0\n")
        .deb_has(&[]);
    // after prerm has told dkms, what is left may go; without it postrm is too late
    Vendor::new()
        .script("postrm", "#!/bin/sh\nrm -rf /var/lib/dkms/toy\ndkms remove toy/1.0 --all || :\n")
        .deb_has(&[]);
    let late = Vendor::new().script("prerm", NONE).script("%preun", NONE);
    late.script("postrm", PRERM).script("%postun", PREUN).has(&["K0841"]);
    Vendor::new().script("prerm", &PRERM.replace(" --all", "")).deb_has(&["K0847"]);
    Vendor::new().script("prerm", &PRERM.replace("--all", "-k \"$k\"")).deb_has(&[]);
    Vendor::new().script("prerm", &PRERM.replace(" --all", " $ALL")).deb_has(&[]);
    install("dkms build -m toy -k $k || :").deb_has(&["K0846"]);
    install("dkms build -m toy -v1.0 -k $k || :").deb_has(&["K0846"]);
    install("dkms build toy/$V -k $k || :").deb_has(&[]);
    let by_hand = "#!/bin/sh\nset -e\nrm -rf /var/lib/dkms/toy\n";
    Vendor::new().script("prerm", by_hand).deb_has(&["K0840"]);
}

#[test]
fn a_failure_counts_where_sh_says_so() {
    const D: &str = "dkms install -m toy -v 1.0 -k x";
    let scripts = [
        "set -e\nD\nexit 0",
        "D",
        "D\nexit 0",
        "set -e\nif true; then D; fi\nexit 0",
        "set -e\nif D; then :; fi\nexit 0",
        "set -e\nif false; then :; elif D; then :; else :; fi",
        "set -e\nwhile D; do :; done\nexit 0",
        "set -e\nfor k in 1; do D; done\nexit 0",
        "set -e\nD || :\nexit 0",
        "set -e\nD \\\n  || true",
        "set -e\nD && echo yes\nexit 0",
        "set -e\ntrue && D\nexit 0",
        "set -e\n! D\nexit 0",
        "set -e\nD | cat\nexit 0",
        "set -e\ncat </dev/null | D\nexit 0",
        "set -e\nD &\nwait\nexit 0",
        "set -e\n(D)\nexit 0",
        "set -e\n{ D; } || :\nexit 0",
        "set -e\n(set +e; D; :)\nexit 0",
        "set -e\nset +e\nD\nset -e\nexit 0",
        "set -e\nf() { D; }\nf\nexit 0",
        "set -e\nf() { D; }\nf || :\nexit 0",
        "set -e\nf() { D; }\nif f; then :; fi\nexit 0",
        "f() { set -e; D; :; }\nf\nexit 0",
        "set -e\nf() { D; }\nexit 0",
        "set -e\ncase x in x) D ;; esac\nexit 0",
        "set -e\ncase x in x) D || : ;; esac",
        "set -e\necho $(D)\nexit 0",
        "set -o errexit\nD\nexit 0",
        "set -eu\nD >/dev/null 2>&1\nexit 0",
        "set -e\ncat >/dev/null <<E\nD\nE\nexit 0",
        "set -e\n# D\necho 'D' \"D\" # D\nexit 0",
        "case x in x) D ;; esac",
        "if true; then D; fi",
    ];
    let stub = Tree::empty();
    stub.script("dkms", "#!/bin/sh\nexit 1\n");
    let path = format!("{}:/usr/bin:/bin", stub.path().display());
    for text in scripts {
        let text = format!("#!/bin/sh\n{}\n", text.replace('D', D));
        let found = Vendor::new().script("postinst", &text).deb();
        let Some(found) = found else { return };
        let status = Command::new("sh").args(["-c", &text]).env("PATH", &path).output().unwrap().status;
        let expected: &[&str] = if status.success() { &[] } else { &["K0839"] };
        let found: Vec<_> =
            found.into_iter().filter(|code| !matches!(code.as_str(), "K0836" | "K0824")).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn packages_that_mean_harm_are_read_within_bounds() {
    let binary: String = (0..2 << 20).map(|at: u32| char::from(u8::try_from(at % 251).unwrap())).collect();
    let vendor = Vendor::new().conf(&binary).file("Makefile.x", &binary, 0o644);
    assert!(vendor.deb().is_none_or(|found| !found.is_empty()));
    assert!(!vendor.rpm().is_empty());
    let mut vendor = Vendor::new().renamed("toy-1.0 `id`\u{1b}[2J");
    for at in 0..200 {
        vendor.files.push((format!("/usr/src/d{at}/dkms.conf"), CONF.to_owned(), 0o644));
    }
    if vendor.deb().is_some() {
        let text = String::from_utf8_lossy(&vendor.tree.kpkg(&["check", "vendor.deb"]).stdout).into_owned();
        assert!(text.contains("K0833") && !text.contains('\u{1b}'), "{text}");
    }
    let deep = format!("#!/bin/sh\n{}\n", "x=$(".repeat(20_000));
    let vendor = Vendor::new().script("postinst", &deep).script("%posttrans", &"{ ".repeat(50_000));
    vendor.deb();
    vendor.rpm();
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

#[test]
fn names_that_newer_kbuild_does_not_know() {
    let flags = |line: &str| of(CONF, &[("Makefile", &*format!("obj-m := toy.o\n{line}\n"))]);
    assert_eq!(flags("EXTRA_CFLAGS += -I$(src)/include"), ["K0850"]);
    assert!(flags("EXTRA_CFLAGS += -I$(src)/include\nccflags-y += $(EXTRA_CFLAGS)").is_empty());
    assert!(flags("EXTRA_CFLAGS += -Wno-error").is_empty());
    let make = "MAKE=\"make -C $kernel_source_dir SUBDIRS=$dkms_tree/toy/1.0/build modules\"";
    assert_eq!(of(&with(make), &[]), ["K0851"]);
    let own = "obj-m := toy.o\nall:\n\t$(MAKE) -C $(KDIR) SUBDIRS=$(CURDIR) modules\n";
    assert_eq!(of(&with("MAKE=\"'make' KDIR=$kernel_source_dir\""), &[("Makefile", own)]), ["K0851"]);
    // the edits are made, and nothing is left
    let tree = Tree::with_conf(CONF);
    tree.file("Makefile", "obj-m := toy.o\nEXTRA_CFLAGS += -DX\n");
    assert_eq!(tree.kpkg(&["check", "--fix"]).status.code(), Some(0));
    let text = fs::read_to_string(tree.path().join("Makefile")).unwrap();
    assert_eq!(text, "obj-m := toy.o\nccflags-y += -DX\n");
}

#[test]
fn scripts_and_recipes_that_no_target_can_run() {
    let tree = Tree::with_conf(&with("MAKE=\"./build.sh $kernelver\""));
    tree.file("build.sh", "#!/bin/sh\nmake -C /lib/modules/$1/build M=$PWD\n");
    assert_eq!(codes(&tree, &[]), ["K0852"]);
    tree.script("build.sh", "#!/bin/sh\nmake -C /lib/modules/$1/build M=$PWD\n");
    assert!(codes(&tree, &[]).is_empty());
    let recipe = "obj-m := toy.o\nall:\n\tmake -C /lib/modules/$(shell uname -r)/build M=$(PWD) modules\n";
    assert_eq!(of(&with("MAKE=\"make all KVERSION=$kernelver\""), &[("Makefile", recipe)]), ["K0802"]);
}

#[test]
fn paths_of_other_versions_and_of_one_kernel() {
    assert_eq!(
        of(&with("MAKE=\"make -C $kernel_source_dir M=/var/lib/dkms/toy/0.9/build\""), &[]),
        ["K0119"]
    );
    assert_eq!(
        of(&with("MAKE=\"make -C /lib/modules/5.10.0-8-amd64/build M=$dkms_tree/toy/1.0/build\""), &[]),
        ["K0119"]
    );
    assert!(of(&with("MAKE=\"make -C $kernel_source_dir M=/var/lib/dkms/toy/1.0/build\""), &[]).is_empty());
}

/// The findings of a code for a tree with these lines in dkms.conf and these files, as `severity place message`.
fn told(code: &str, line: &str, files: &[(&str, &str)]) -> Vec<String> {
    let tree = Tree::with_conf(&with(line));
    for (path, text) in files {
        tree.script(path, text);
    }
    let text = String::from_utf8(tree.kpkg(&["check", "--json", "-v"]).stdout).unwrap();
    let values = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let mut found: Vec<String> = values
        .filter(|value| value["code"] == code)
        .map(|value| {
            let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
            let place = &value["place"];
            let path = place["path"].as_str().unwrap_or_default();
            format!("{} {path}:{} {} / {}", text("severity"), place["line"], text("message"), text("hint"))
        })
        .collect();
    found.sort();
    found
}

/// Each finding has its words, in their order, and there are no others.
#[track_caller]
fn tells(code: &str, line: &str, files: &[(&str, &str)], expected: &[&[&str]]) {
    let found = told(code, line, files);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, words) in found.iter().zip(expected) {
        for word in *words {
            assert!(found.contains(word), "{word}: {found}");
        }
    }
}

const KBUILD: &str = "MAKE=\"make -C $kernel_source_dir M=$dkms_tree/toy/1.0/build modules\"";
const WRAPPER: &str = "MAKE=\"'make' KDIR=$kernel_source_dir\"";

/// A Makefile of the driver's own with these lines, this dependency of `all` and these rules.
fn wrapper(lines: &str, needs: &str, rules: &str) -> String {
    let guard = "ifneq ($(KERNELRELEASE),)\nobj-m := toy.o\nelse\n";
    format!("{guard}{lines}\nall: {needs}\n\t$(MAKE) -C $(KDIR) M=$(CURDIR) modules\n{rules}\nendif\n")
}

#[test]
fn a_build_that_asks_git() {
    let makefile = |lines: &str| format!("obj-m := toy.o\n{lines}\n");
    let of = |lines: &str, expected: &[&[&str]]| {
        tells("K0853", KBUILD, &[("Makefile", &makefile(lines))], expected);
    };
    let flag = "ccflags-y += -DVERSION='\"$(VER)\"'";
    let warning: &[&[&str]] = &[&["warning", "Makefile:2", "git describe", "nothing takes the place"]];
    of(&format!("VER := $(shell git describe --tags 2>/dev/null)\n{flag}"), warning);
    of(
        &format!("GIT := $(shell git -C $(src) rev-parse HEAD)\nVER = x-$(GIT)\n{flag}"),
        &[&["warning", "rev-parse"]],
    );
    // something takes its place, or nothing hangs on it
    of(&format!("VER := $(shell git describe 2>/dev/null || cat VERSION)\n{flag}"), &[&["note"]]);
    of(&format!("VER := $(shell git describe)\nifeq ($(VER),)\nVER := 1.0\nendif\n{flag}"), &[&["note"]]);
    of("VER := $(shell git describe)", &[&["note", "nothing that is known here hangs on it"]]);
    of(
        &format!("ifneq ($(wildcard $(src)/.git),)\nVER := x\nelse\nVER := y\nendif\n{flag}"),
        &[&["note", "looks for `.git`"]],
    );
    // not asked
    of("all:\n\tgit describe > version.h\n# $(shell git describe)", &[]);
    of("release:\n\tgit describe\n\techo git describe", &[]);
    // in a recipe that is reached, and in scripts
    let recipe = wrapper("", "version.h", "version.h:\n\techo \"#define V `git describe`\" > $@");
    tells("K0853", WRAPPER, &[("Makefile", &recipe)], &[&["warning", "Makefile:8", "git describe"]]);
    let script = |text: &str, expected: &[&[&str]]| {
        let files = [("gen.sh", &*format!("#!/bin/sh\n{text}\n"))];
        tells("K0853", "PRE_BUILD=gen.sh", &files, expected);
    };
    script(
        "v=$(git describe --always)\necho \"$v\" > v.h",
        &[&["warning", "gen.sh:2", "which PRE_BUILD runs"]],
    );
    script("if [ -d .git ]; then v=$(git describe); fi", &[&["note"]]);
    script("v=$(git describe 2>/dev/null || echo 1)", &[&["note"]]);
    script("echo git describe\n# git describe", &[]);
}

#[test]
fn a_build_that_fetches_something() {
    tells(
        "K0854",
        "MAKE=\"wget https://x/y.tar; make\"",
        &[],
        &[&["warning", "dkms.conf", "MAKE fetches", "wget"]],
    );
    let fetches = |rules: &str, needs: &str, expected: &[&[&str]]| {
        tells("K0854", WRAPPER, &[("Makefile", &wrapper("", needs, rules))], expected);
    };
    for command in [
        "curl -fsSL https://x/y -o fw.bin",
        "git submodule update --init",
        "@git clone https://x/y",
        "sudo apt-get install -y flex",
        "python3 -m pip install x",
        "cd . && dnf -y install flex",
    ] {
        fetches(&format!("deps:\n\t{command}"), "deps", &[&["warning", "Makefile:8", "in the build"]]);
        // nothing asks for it
        fetches(&format!("deps:\n\t{command}"), "", &[]);
        fetches(&format!("deps:\n\t@echo 'run {command}'\n# {command}"), "deps", &[]);
    }
    fetches("deps:\n\tcommand -v curl\n\twget --version\n\tgit --version\n\tapt-get --help", "deps", &[]);
    fetches("deps:\n\tif test -d .git; then git submodule update; fi", "deps", &[]);
    fetches("deps:\n\t[ -f toy.c ] || wget https://x/toy.c", "deps", &[]);
    fetches("deps:\n\t[ -f fw.c ] || wget https://x/fw.c", "deps", &[&["warning"]]);
    let shell = "obj-m := toy.o\nX := $(shell wget -q https://x/y)\n";
    tells("K0854", KBUILD, &[("Makefile", shell)], &[&["Makefile:2"]]);
    // a script of a script
    let files =
        [("a.sh", "#!/bin/sh\nsh tools/b.sh\n"), ("tools/b.sh", "#!/bin/sh\ncat <<E\nwget x\nE\ncurl x\n")];
    tells("K0854", "PRE_BUILD=a.sh", &files, &[&["b.sh:5", "which `a.sh` runs"]]);
}

#[test]
fn a_build_that_asks_for_the_running_kernel() {
    let common = "ifeq (,${BUILD_KERNEL})\nBUILD_KERNEL=$(shell uname -r)\nendif\nKSP := /lib/modules/${BUILD_KERNEL}/build\n\
                  test_dir = $(shell [ -e ${dir}/include ] && echo ${dir})\nKSP := $(foreach dir, ${KSP}, ${test_dir})\n\
                  ifeq (,$(KSRC))\nKSRC := $(firstword ${KSP})\nendif\nifeq (,${KSRC})\n$(error no headers)\nendif\n";
    let files = [("Makefile", "include $(src)/common.mk\nobj-m := toy.o\n"), ("common.mk", common)];
    let found: &[&[&str]] =
        &[&["warning", "common.mk:2", "`BUILD_KERNEL`", "stops", "add `BUILD_KERNEL=${kernelver}`"]];
    // a command that goes on behind make takes no variable at its end
    tells("K0855", &KBUILD.replace("modules", "modules; true"), &files, found);
    let told: &[&[&str]] =
        &[&["warning", "`BUILD_KERNEL` of `common.mk` (line 2)", "stops", "add `BUILD_KERNEL=${kernelver}`"]];
    tells("K0136", KBUILD, &files, told);
    tells("K0855", KBUILD, &files, &[]);
    // with it, and where nothing hangs on it
    tells("K0855", &KBUILD.replace(" modules", " BUILD_KERNEL=$kernelver modules"), &files, &[]);
    let of = |lines: &str, expected: &[&[&str]]| {
        tells("K0855", KBUILD, &[("Makefile", &*format!("obj-m := toy.o\n{lines}\n"))], expected);
    };
    of(
        "KVER ?= $(shell uname -r)\nKDIR ?= /lib/modules/$(KVER)/build\nall:\n\tmake -C $(KDIR) M=$(PWD)",
        &[],
    );
    of("KVER := $(shell uname -r)\nKVER := $(KERNELRELEASE)\nccflags-y += -DK=$(KVER)", &[]);
    of("KVER := $(or $(KERNELRELEASE),$(shell uname -r))\nccflags-y += -DK=$(KVER)", &[]);
    of(
        "ifeq ($(KERNELRELEASE),)\nKVER := $(shell uname -r)\nelse\nKVER := $(KERNELRELEASE)\nendif\nccflags-y += -DK=$(KVER)",
        &[],
    );
    of(
        "KVER ?= $(shell uname -r)\nccflags-y += -I/lib/modules/$(KVER)/source",
        &[&["Makefile:2", "compiler"]],
    );
    of(
        "KVER := $(shell uname -r)\nifneq ($(findstring el8,$(KVER)),)\nccflags-y += -DEL8\nendif",
        &[&["compiler"]],
    );
    let include = "obj-m := toy.o\nKVER := $(shell uname -r)\n-include /lib/modules/$(KVER)/build/.config\n";
    let found: &[&[&str]] = &[&["`KVER` of `Makefile` (line 2)", "add `KVER=${kernelver}`"]];
    tells("K0136", KBUILD, &[("Makefile", include)], found);
    // scripts
    let script = |make: &str, text: &str, expected: &[&[&str]]| {
        tells("K0855", make, &[("build.sh", &*format!("#!/bin/sh\n{text}\n"))], expected);
    };
    let make = "K=$(uname -r)\nmake -C /lib/modules/$K/build M=$PWD";
    script("MAKE=\"./build.sh\"", make, &[&["build.sh:2", "which MAKE runs"]]);
    script("MAKE=\"./build.sh\"", "make -C /lib/modules/`uname -r`/build M=$PWD", &[&["build.sh:2"]]);
    script("MAKE=\"./build.sh\"", "echo \"this is $(uname -r)\"\nuname -r", &[]);
    script("MAKE=\"./build.sh $kernelver\"", &make.replace("$(uname -r)", "${1:-$(uname -r)}"), &[]);
    script("MAKE=\"KVER=$kernelver ./build.sh\"", &make.replace("$(uname -r)", "${KVER:-$(uname -r)}"), &[]);
}

#[test]
fn a_build_that_names_one_kernel_or_version() {
    let of = |make: &str, makefile: &str, expected: &[&[&str]]| {
        tells("K0856", make, &[("Makefile", makefile)], expected);
    };
    let plain = "MAKE=\"'make'\"";
    let own = wrapper("KDIR = /lib/modules/5.4.0-42-generic/build", "", "");
    let found: &[&[&str]] =
        &[&["warning", "Makefile:4", "`5.4.0-42-generic`", "add `KDIR=${kernel_source_dir}`"]];
    of(plain, &own, found);
    of(WRAPPER, &own, &[]);
    of(KBUILD, &own, &[]);
    let release = wrapper("KVER = 4.18.0-80.el8.x86_64\nKDIR = /lib/modules/$(KVER)/build", "", "");
    of(plain, &release, &[&["Makefile:4", "`4.18.0-80.el8.x86_64`", "add `KVER=${kernelver}`"]]);
    // the lowest that is supported is no kernel to build for
    of(WRAPPER, &wrapper("MIN_KERNEL = 4.18.0-80\nKERNEL_X = 4.18.0", "", "x:\n\techo $(KERNEL_X)"), &[]);
    let flags = |path: &str| format!("obj-m := toy.o\nccflags-y += -I{path}/include\n");
    of(KBUILD, &flags("/usr/src/linux-headers-5.4.0-42"), &[&["Makefile:2", "`5.4.0-42`"]]);
    of(KBUILD, &flags("/usr/src/toy-0.9"), &[&["Makefile:2", "the version `0.9` (1.0 is packaged)"]]);
    of(KBUILD, &flags("/usr/src/toy-1.0"), &[]);
    let rules = "old:\n\trm -f /lib/modules/5.4.0-42/toy.ko\nunasked:\n\tls /lib/modules/5.4.0-42/build";
    of(WRAPPER, &wrapper("", "old", rules), &[]);
    of(WRAPPER, &wrapper("", "unasked", rules), &[&["Makefile:10", "`5.4.0-42`"]]);
    let files = [("gen.sh", "#!/bin/sh\n# /lib/modules/5.4.0-42\ncp /lib/modules/5.4.0-42/build/x.h .\n")];
    tells("K0856", "PRE_BUILD=gen.sh", &files, &[&["gen.sh:3"]]);
}

#[test]
fn objects_by_the_paths_of_a_machine() {
    let of = |lines: &str, expected: &[&[&str]]| {
        tells("K0857", KBUILD, &[("Makefile", lines), ("b.c", ""), ("../b/y.c", "")], expected);
    };
    for path in ["$(src)", "$(obj)", "$(PWD)", "$(M)", "$(CURDIR)", "/usr/src/x"] {
        let lines = format!("obj-m := toy.o\ntoy-y := a.o \\\n  {path}/b.o\n");
        let tree = Tree::with_conf(&with(KBUILD));
        tree.file("Makefile", &lines).file("a.c", "").file("b.c", "");
        let found = String::from_utf8(tree.kpkg(&["check"]).stdout).unwrap();
        assert!(found.contains("[K0857]") && found.contains("Makefile:2"), "{path}: {found}");
        if path == "$(src)" {
            assert_eq!(tree.kpkg(&["check", "--fix"]).status.code(), Some(0));
            let text = fs::read_to_string(tree.path().join("Makefile")).unwrap();
            assert_eq!(text, "obj-m := toy.o\ntoy-y := a.o \\\n  b.o\n");
        }
    }
    of("obj-m := $(src)/toy.o\n", &[&["warning", "Makefile:1", "`obj-m`", "`toy.o`"]]);
    of("obj-m := toy.o\ntoy-objs := $(patsubst $(src)/%.c,%.o,$(wildcard $(src)/b.c))\n", &[]);
    of("obj-m := toy.o\ntoy-objs := sub/../b.o ./b.o\nother-y := $(src)/x.o\n", &[]);
}

#[test]
fn makefiles_that_mean_harm_are_read_within_bounds() {
    let deep = "ifneq ($(A),)\n".repeat(20_000);
    let chain = format!(
        "ifeq (a,b)\n{}endif\n",
        "else ifeq ($(shell uname -r),b)\nA := $(A) $(shell git describe)\n".repeat(8000)
    );
    let loops =
        "A = $(B)$(shell uname -r)\nB = $(A)\nccflags-y += $(A)\ntoy-y := $(src)/\u{e010}.o \u{fffd}/.o\n";
    let shells = "X := $(shell wget x; ./b.sh `x $(y)\nX := $(shell )\nX := $(shell ${shell \nall: ; @wget \u{1b}[2J\n";
    let script = "./a.sh\n./b.sh\n. ./a.sh; sh\nuname -r=\n${:-\n";
    for text in [deep.as_str(), &chain, loops, shells] {
        let tree = Tree::with_conf(&with("PRE_BUILD=a.sh"));
        tree.file("Makefile", format!("obj-m := toy.o\n{text}"))
            .script("a.sh", script)
            .script("b.sh", script);
        let output = tree.kpkg(&["check", "-v"]);
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!text.contains("panicked") && !text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn a_member_of_an_archive_without_a_name_is_no_panic() {
    let tree = support::Tree::empty();
    for name in ["/99", "/0", "/9999999999"] {
        let header = |name: &str, size: usize| {
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100_644)
        };
        let text = format!("!<arch>\n{}2.0\n{}x\n", header("debian-binary", 4), header(name, 2));
        tree.file("x.deb", text);
        let output = tree.kpkg(&["check", "x.deb"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(1..=3)), "{said}");
        assert!(said.contains("has no name of its own"), "{said}");
    }
}
