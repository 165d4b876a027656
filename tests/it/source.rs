//! Source packages: what archives and builders demand of their fields, and that the distributions' own builders make of them what
//! kpkg writes at once. Builders that are not here are left out, except where `KPKG_TEST_STRICT` is set.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output};

use crate::support;
use kpkg::format::Contents;
use support::{KMODTOOL, Tree, golden, missing};

const CONF: &str = "PACKAGE_NAME=\"Odd_Name\"\nPACKAGE_VERSION=\"1.0-rc1\"\nBUILT_MODULE_NAME[0]=\"odd\"\n\
                    DEST_MODULE_LOCATION[0]=\"/updates\"\nPATCH[0]=\"fix.patch\"\nAUTOINSTALL=\"yes\"\n";

/// A driver with a patch, an odd name, an empty folder, a link, scripts, a packaging folder of its own and files of udev.
fn driver() -> Tree {
    let tree = Tree::empty();
    let source = "// SPDX-License-Identifier: GPL-2.0-only\nMODULE_AUTHOR(\"J <j@example.org>\");\n";
    tree.file("d/dkms.conf", CONF).file("d/odd.c", source).file("d/patches/fix.patch", "--- a/odd.c\n");
    tree.file("d/Makefile", "obj-m := odd.o\n");
    tree.file("d/with blank and %percent [x]", "x")
        .file("d/debian/README", "a folder of that name")
        .file("d/90-odd.rules", "# r\n");
    tree.file("d/image.png", "not really").file("d/archive.tar", "not really");
    tree.file(
        "d/kpkg.toml",
        "[driver]\nhomepage = \"https://github.com/example/odd\"\n[files]\nudev = [\"90-odd.rules\"]\n",
    );
    fs::create_dir(tree.path().join("d/empty")).unwrap();
    std::os::unix::fs::symlink("odd.c", tree.path().join("d/link.c")).unwrap();
    tree
}

fn run(tree: &Tree, arguments: &[&str]) -> Output {
    tree.command(arguments)
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("KPKG_CACHE", tree.path().join("cache"))
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a program is there; a failure where all have to be.
pub(crate) fn is_here(program: &str) -> bool {
    let here =
        std::env::var("PATH").unwrap().split(':').any(|folder| Path::new(folder).join(program).exists());
    if !here {
        missing(program);
    }
    here
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_default()
}

/// Unpacks and builds the one .dsc in `out`, and compares the .deb with the one in `out`.
fn rebuilds(tree: &Tree) {
    if !is_here("dpkg-source") || !is_here("dh") {
        return;
    }
    let name = |end: &str| tree.names("out").into_iter().find(|name| name.ends_with(end)).unwrap();
    fs::create_dir(tree.path().join("built")).unwrap();
    let unpack = Command::new("dpkg-source")
        .args(["-x", &format!("out/{}", name(".dsc")), "built/src"])
        .current_dir(tree.path())
        .output()
        .unwrap();
    assert!(unpack.status.success(), "{}", text(&unpack.stderr));
    let build = Command::new("dpkg-buildpackage")
        .args(["-us", "-uc", "-b"])
        .current_dir(tree.path().join("built/src"))
        .output()
        .unwrap();
    assert!(build.status.success(), "{}{}", text(&build.stdout), text(&build.stderr));
    let name = name(".deb");
    let diff = run(tree, &["diff", &format!("out/{name}"), &format!("built/{name}")]);
    assert_eq!((diff.status.code(), text(&diff.stdout).as_str()), (Some(0), ""), "{}", text(&diff.stderr));
}

/// Builds the one .src.rpm in `out`, and compares the .rpm with the one in `out`.
fn rebuilds_srpm(tree: &Tree) {
    if !is_here("rpmbuild") {
        return;
    }
    let name = |end: &str| tree.names("out").into_iter().find(|name| name.ends_with(end)).unwrap();
    let top = format!("_topdir {}/rebuilt", tree.path().display());
    let build = Command::new("rpmbuild")
        .args(["--rebuild", "--nodeps", "--define", &top, &format!("out/{}", name(".src.rpm"))])
        .current_dir(tree.path())
        .output()
        .unwrap();
    assert!(build.status.success(), "{}", text(&build.stderr));
    let name = name(".noarch.rpm");
    let built = format!("rebuilt/RPMS/noarch/{name}");
    let diff = run(tree, &["diff", &format!("out/{name}"), &built]);
    assert_eq!((diff.status.code(), text(&diff.stdout).as_str()), (Some(0), ""), "{}", text(&diff.stderr));
}

#[test]
fn a_dsc_is_built_to_the_package_that_is_written_at_once() {
    let tree = driver();
    let output = run(&tree, &["d", "-f", "deb,dsc", "-o", "out"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        tree.names("out"),
        [
            "odd-name-dkms_1.0~rc1-1.debian.tar.xz",
            "odd-name-dkms_1.0~rc1-1.dsc",
            "odd-name-dkms_1.0~rc1-1_all.deb",
            "odd-name-dkms_1.0~rc1-1_source.changes",
            "odd-name-dkms_1.0~rc1.orig.tar.xz",
        ]
    );
    rebuilds(&tree);
}

#[test]
fn a_package_without_a_revision_is_native() {
    let tree = driver();
    let output = run(&tree, &["d", "-f", "deb,dsc", "-o", "out", "--release", ""]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        tree.names("out"),
        [
            "odd-name-dkms_1.0~rc1.dsc",
            "odd-name-dkms_1.0~rc1.tar.xz",
            "odd-name-dkms_1.0~rc1_all.deb",
            "odd-name-dkms_1.0~rc1_source.changes",
        ]
    );
    rebuilds(&tree);
    let output = run(&tree, &["d", "-f", "dsc", "-t", "ubuntu-24.04", "-o", "series", "--release", ""]);
    assert!(output.status.success());
    assert!(tree.names("series").contains(&"odd-name-dkms_1.0~rc1~ubuntu24.04.1.dsc".to_owned()));
    let output = run(&tree, &["d", "-f", "rpm", "-o", "out", "--release", ""]);
    assert_eq!(output.status.code(), Some(2), "an .rpm has a release");
}

#[test]
fn a_src_rpm_is_built_to_the_package_that_is_written_at_once() {
    let tree = driver();
    let output = run(&tree, &["d", "-f", "rpm,srpm", "-o", "out"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let name = "Odd_Name-dkms-1.0~rc1-1";
    assert_eq!(tree.names("out"), [format!("{name}.noarch.rpm"), format!("{name}.src.rpm")]);
    if !is_here("rpmbuild") {
        return;
    }
    let source = format!("out/{name}.src.rpm");
    // what Copr and Koji look at: a source package that names no source package (docs.pagure.org/copr; rpm's rpmtag.h)
    let query = Command::new("rpm")
        .args([
            "-qp",
            "--qf",
            "%{SOURCEPACKAGE} %{SOURCERPM} %{ARCH} [%{FILENAMES} ][%{REQUIRENAME} ]",
            &source,
        ])
        .current_dir(tree.path())
        .output()
        .unwrap();
    assert_eq!(
        text(&query.stdout),
        "1 (none) noarch Odd_Name-1.0-rc1.tar.xz Odd_Name-dkms-files.tar.xz Odd_Name-dkms.spec tar xz \
         rpmlib(CompressedFileNames) rpmlib(FileDigests) "
    );
    rebuilds_srpm(&tree);
}

#[test]
fn a_kmod_source_package_builds_modules_for_the_kernels_that_are_named() {
    let tree = driver();
    let conf = CONF.replace("AUTOINSTALL", "PATCH_MATCH[0]=\"^7\"\nMAKE=\"make -C $kernel_source_dir M=$dkms_tree/$module/$module_version/build && find $dkms_tree/$module/$module_version/build -name odd.ko | grep -q .\"\n\
        STRIP=no\nPRE_BUILD=\"pre.sh a\"\nDEST_MODULE_NAME[0]=\"better\"\nBUILD_EXCLUSIVE_KERNEL=\"^[56]\"\nAUTOINSTALL");
    tree.file("d/dkms.conf", conf).script("d/pre.sh", "#!/bin/sh\necho \"$1\" >pre\n");
    tree.file(
        "headers/Makefile",
        "all:\n\tcat $(M)/pre $(M)/odd.c >$(M)/odd.ko; echo $(KERNELRELEASE) >>$(M)/odd.ko\n",
    );
    assert!(run(&tree, &["d", "-q", "-f", "kmod", "-o", "out"]).status.success());
    assert_eq!(tree.names("out"), ["Odd_Name-kmod-1.0~rc1-1.src.rpm"]);
    if !is_here("rpmbuild") {
        return;
    }
    let headers = tree.path().join("headers").display().to_string();
    tree.script("bin/kmodtool", &KMODTOOL.replace("HEADERS", &headers));
    let build = |folder: &str, kernels: Option<&str>| {
        let mut command = Command::new("rpmbuild");
        command
            .args(["--rebuild", "--nodeps", "out/Odd_Name-kmod-1.0~rc1-1.src.rpm"])
            .current_dir(tree.path());
        command.args(["--define", &format!("_topdir {}", tree.path().join(folder).display())]);
        if let Some(kernels) = kernels {
            command.args(["--define", &format!("kernels {kernels}")]);
        }
        let path = format!("{}:{}", tree.path().join("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).output().unwrap()
    };
    let output = build("named", Some("5.14.0-1.x86_64 6.4.0-2.x86_64"));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let machine = std::env::consts::ARCH;
    for kernel in ["5.14.0-1.x86_64", "6.4.0-2.x86_64"] {
        let path =
            tree.path().join(format!("named/RPMS/{machine}/kmod-Odd_Name-{kernel}-1.0~rc1-1.{machine}.rpm"));
        let mut modules = Vec::new();
        let module = |path: &str| path.ends_with(".ko");
        kpkg::format::for_format("rpm")
            .unwrap()
            .read(&path, &mut Those(&module, &mut modules))
            .unwrap()
            .unwrap();
        let (place, content) = &modules[0];
        assert_eq!(place, &format!("/lib/modules/{kernel}/extra/Odd_Name/better.ko"));
        assert!(content.starts_with("a\n// SPDX") && content.ends_with(&format!("{kernel}\n")), "{content}");
    }
    // one that dkms.conf excludes is told, and nothing is built
    let output = build("excluded", Some("4.18.0-1.x86_64"));
    assert!(
        text(&output.stderr).contains("4.18.0-1.x86_64: dkms.conf excludes it: BUILD_EXCLUSIVE_KERNEL ^[56]")
    );
    assert!(!output.status.success() && tree.names("excluded/RPMS").is_empty());
    // without kernels the package that builds them elsewhere, and the files that all share
    let output = build("akmod", None);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(
        tree.names(&format!("akmod/RPMS/{machine}")),
        [format!("akmod-Odd_Name-1.0~rc1-1.{machine}.rpm")]
    );
    assert_eq!(tree.names("akmod/RPMS/noarch"), ["Odd_Name-kmod-common-1.0~rc1-1.noarch.rpm"]);
}

/// Collects the texts of some files.
struct Those<'a>(&'a dyn Fn(&str) -> bool, &'a mut Vec<(String, String)>);

impl Contents for Those<'_> {
    fn wants(&self, path: &str) -> bool {
        (self.0)(path)
    }

    fn take(&mut self, path: &str, content: &mut dyn Read) -> std::io::Result<()> {
        let mut text = String::new();
        content.read_to_string(&mut text)?;
        self.1.push((path.to_owned(), text));
        Ok(())
    }
}

#[test]
fn texts_are_the_golden_ones() {
    let tree = Tree::empty();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/greeter");
    assert!(run(&tree, &[example, "-q", "-f", "dsc,srpm,kmod", "-o", "out"]).status.success());
    for (format, name) in [
        ("dsc", "greeter-dkms_1.2.0-1.dsc"),
        ("srpm", "greeter-dkms-1.2.0-1.src.rpm"),
        ("kmod", "greeter-kmod-1.2.0-1.src.rpm"),
    ] {
        let mut texts = Vec::new();
        let path = tree.path().join("out").join(name);
        let wanted = |path: &str| {
            let script = path.ends_with("rm") || path.ends_with("inst");
            path.ends_with(".spec") || path == "/build-modules" || path.starts_with("/debian/") && !script
        };
        kpkg::format::for_format(format)
            .unwrap()
            .read(&path, &mut Those(&wanted, &mut texts))
            .unwrap()
            .unwrap();
        assert!(!texts.is_empty());
        for (path, text) in texts {
            // what runs is among the goldens of scripts
            let scripts = text
                .split_once("\n%pre\n")
                .and_then(|(head, rest)| Some((head, rest.split_once("\n%files\n")?.1)));
            let text =
                scripts.map_or(text.clone(), |(head, tail)| format!("{head}\n[scripts]\n%files\n{tail}"));
            golden(&format!("source/{format}{path}"), &text);
        }
    }
}

/// Launchpad: help.launchpad.net/Packaging/PPA/Uploading; Open Build Service: openbuildservice.org's user guide, "Build Formats".
#[test]
fn fields_are_those_that_archives_demand() {
    let tree = driver();
    assert!(run(&tree, &["d", "-f", "dsc", "-t", "ubuntu-22.04,ubuntu-24.04", "-o", "out"]).status.success());
    let read = |path: &str| fs::read(tree.path().join("out").join(path)).unwrap();
    let mut versions = Vec::new();
    for (target, series) in [("ubuntu-22.04", "jammy"), ("ubuntu-24.04", "noble")] {
        let version = format!("1.0~rc1-1~{}.1", target.replace('-', ""));
        let changes = text(&read(&format!("{target}/odd-name-dkms_{version}_source.changes")));
        assert_eq!(field(&changes, "Distribution"), series);
        assert_eq!(field(&changes, "Architecture"), "source");
        assert_eq!(field(&changes, "Version"), version);
        assert_eq!(field(&changes, "Binary"), "", "no binaries are uploaded");
        assert_eq!(field(&changes, "Maintainer"), "J <j@example.org>");
        let dsc = text(&read(&format!("{target}/odd-name-dkms_{version}.dsc")));
        for name in ["Format", "Source", "Version", "Maintainer", "Build-Depends", "Standards-Version"] {
            assert!(!field(&dsc, name).is_empty(), "{name}");
        }
        // every file with three sums, in both
        for (listing, files) in [(&dsc, 2), (&changes, 3)] {
            assert_eq!(listing.matches(" odd-name-dkms_").count(), 3 * files, "{listing}");
        }
        versions.push(version);
    }
    // archives take one upstream archive for a version
    let upstream = |target: &str| read(&format!("{target}/odd-name-dkms_1.0~rc1.orig.tar.xz"));
    assert!(upstream("ubuntu-22.04") == upstream("ubuntu-24.04"));
    // each release's version is newer than the one before, and all are older than the version without a series
    if is_here("dpkg") {
        versions.push("1.0~rc1-1".to_owned());
        for pair in versions.windows(2) {
            let compare =
                Command::new("dpkg").args(["--compare-versions", &pair[0], "lt", &pair[1]]).status();
            assert!(compare.unwrap().success(), "{pair:?}");
        }
    }
    let output = run(&tree, &["d", "-f", "dsc", "-o", "own", "--distribution", "UNRELEASED", "--buildinfo"]);
    assert!(output.status.success());
    let name = "odd-name-dkms_1.0~rc1-1_source.buildinfo";
    let buildinfo = fs::read_to_string(tree.path().join("own").join(name)).unwrap();
    for name in ["Format", "Source", "Architecture", "Version", "Build-Architecture", "Build-Date"] {
        assert!(!field(&buildinfo, name).is_empty(), "{name}: {buildinfo}");
    }
    assert!(buildinfo.contains("Installed-Build-Depends:\n kpkg (= "), "{buildinfo}");
    let changes = fs::read_to_string(tree.path().join("own/odd-name-dkms_1.0~rc1-1_source.changes")).unwrap();
    assert_eq!(field(&changes, "Distribution"), "UNRELEASED");
    assert!(changes.contains(&format!(" {} kernel optional {name}\n", buildinfo.len())), "{changes}");
}

#[test]
fn versions_that_formats_treat_differently_keep_their_parts() {
    for (version, file, whole) in [
        ("1.0-5", "odd-name-dkms_1.0-5-1.dsc", "1.0-5-1"),
        ("2:1.0", "odd-name-dkms_1.0-1.dsc", "2:1.0-1"),
        ("1.0~rc1", "odd-name-dkms_1.0~~rc1-1.dsc", "1.0~~rc1-1"),
    ] {
        let tree = driver();
        tree.file("d/dkms.conf", CONF.replace("1.0-rc1", version));
        let output = run(&tree, &["d", "-f", "dsc", "-o", "out"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let dsc = fs::read_to_string(tree.path().join("out").join(file)).unwrap();
        assert_eq!(field(&dsc, "Version"), whole);
    }
}

#[test]
fn what_cannot_be_uploaded_is_told_and_nothing_is_written() {
    let tree = driver();
    let fails = |arguments: &[&str], words: &str| {
        let before = tree.names("out");
        let output = run(&tree, &[&["d", "-f", "dsc", "-o", "out"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(text(&output.stderr).contains(words), "{words}: {}", text(&output.stderr));
        assert_eq!(tree.names("out"), before, "{words}");
    };
    fails(&["--distribution", "no able"], "is no distribution");
    fails(&["--prebuilt", "-k", "all"], "carry source, not compiled modules");
    fails(&["--sign-command", "echo no >&2; false"], "does not sign: no");
    fails(&["--sign-command", "cat"], "writes no text with a signature around it");
    if is_here("gpg") {
        fails(&["--sign", "nobody@example.org"], "No secret key");
        tree.file("key.asc", "no key");
        fails(&["--sign", "key.asc"], "gpg cannot read the key");
    }
    tree.file("d/kpkg.toml", "[driver]\nmaintainer = \"Nobody\"\n");
    fails(&[], "`Nobody` is no maintainer");
    // an archive that may have been uploaded is not replaced
    tree.file("d/kpkg.toml", "");
    assert!(run(&tree, &["d", "-f", "dsc", "-o", "out"]).status.success());
    tree.file(
        "d/odd.c",
        "// SPDX-License-Identifier: GPL-2.0-only\nMODULE_AUTHOR(\"J <j@example.org>\");\n\n",
    );
    fails(&[], "is there already, of other bytes");
}

/// Where one format cannot hold a value, no format is written.
#[test]
fn what_a_format_cannot_hold_is_told_with_its_place_and_nothing_is_written() {
    let fails_with = |config: &str, stamp: &str, formats: &str, words: &[&str]| {
        let tree = driver();
        tree.file("d/kpkg.toml", config)
            .file("d/own.sh", "echo 1\n  %post\n")
            .file("d/debhelper.sh", "#DEBHELPER#\n");
        let output =
            tree.command(&["d", "-f", formats, "-o", "out"]).env("SOURCE_DATE_EPOCH", stamp).output();
        let output = output.unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{config}{said}");
        assert!(tree.names("out").is_empty(), "{config}{:?}", tree.names("out"));
        for words in words {
            assert!(said.contains(words), "{config}{words}: {said}");
        }
    };
    let fails = |config: &str, formats: &str, words: &[&str]| {
        fails_with(config, "1700000000", formats, &[words, &["error[K", "kpkg.toml:2:"]].concat());
    };
    for bad in ["c(x)", "$e", "a;b"] {
        let config = format!("[relations]\nrequires = [\"{bad}\"]\n");
        fails(&config, "rpm,deb", &["K0703", "a .deb cannot express", bad]);
    }
    for bad in ["$e", "a;b", "a >= 1-2-3"] {
        let config = format!("[relations]\nsuggests = [\"{bad}\"]\n");
        fails(&config, "deb,rpm", &["K0703", "an .rpm cannot express", bad]);
    }
    fails("[relations]\nprovides = [\"a >= 1\"]\n", "deb,rpm", &["K0703", "one version"]);
    for name in ["Package", "version", "ARCHITECTURE", "Depends", "installed-size"] {
        let config = format!("[format.deb.fields]\n{name} = \"x\"\n");
        fails(&config, "rpm,deb", &["K0706", "kpkg writes the field", name]);
    }
    for (field, value) in
        [("section", "x"), ("Section", "a b"), ("Multi-Arch", "same"), ("Essential", "maybe")]
    {
        let config = format!("[format.deb.fields]\n{field} = \"{value}\"\n");
        fails(&config, "rpm,deb", &["K0706", field]);
    }
    fails("[format.rpm.fields]\nName = \"x\"\n", "deb,rpm", &["K0706", "no field `Name`"]);
    fails("[driver]\nhomepage = \"https://a b\"\n", "deb,rpm", &["K0706", "it has blanks"]);
    fails("[driver]\npackage-name = \"a b\"\n", "deb,rpm", &["K0701"]);
    fails("[driver]\ndescription = \"%post\\ntouch x\"\n", "rpm,srpm", &["K0706", "begins with `%`"]);
    fails("[packaging]\nrelease = \"1..2\"\n", "deb,rpm", &["`1..2` is no release"]);
    let script = |name: &str| format!("[scripts.after-install]\nbefore = \"{name}\"\n");
    let words = ["K0706", "own.sh:2:", "has the line `%post`"];
    fails_with(&script("own.sh"), "1700000000", "rpm,srpm", &words);
    fails_with(
        &script("debhelper.sh"),
        "1700000000",
        "deb,dsc",
        &["K0706", "debhelper.sh:1:", "#DEBHELPER#"],
    );
    fails_with("", "4294967295", "deb,rpm", &["K0706", "cannot hold"]);
    fails_with("", "631151999", "rpm,srpm", &["K0706", "before 1990"]);
    fails_with("", "4294967296", "deb,rpm", &["no number of seconds"]);
}

#[test]
fn a_time_at_the_edges_is_the_same_in_the_package_that_is_built() {
    for stamp in ["631152001", "4294943999"] {
        let tree = driver();
        let output = tree
            .command(&["d", "-f", "deb,rpm,dsc,srpm", "-o", "out"])
            .env("SOURCE_DATE_EPOCH", stamp)
            .output();
        assert!(output.as_ref().unwrap().status.success(), "{}", text(&output.unwrap().stderr));
        rebuilds(&tree);
        rebuilds_srpm(&tree);
    }
}

#[test]
fn signatures_are_made_before_their_files_are_listed() {
    let tree = driver();
    if !is_here("gpg") {
        return;
    }
    let home = tree.path().join("gnupg");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let gpg = |arguments: &[&str]| {
        Command::new("gpg")
            .env("GNUPGHOME", &home)
            .args(["--batch", "--quiet"])
            .args(arguments)
            .output()
            .unwrap()
    };
    assert!(
        gpg(&["--passphrase", "", "--quick-gen-key", "J <j@example.org>", "rsa2048", "sign", "1d"])
            .status
            .success()
    );
    fs::write(tree.path().join("key.asc"), gpg(&["--armor", "--export-secret-keys"]).stdout).unwrap();
    for (folder, key) in [("id", "j@example.org"), ("file", "key.asc")] {
        let mut command = tree.command(&["d", "-f", "dsc", "-o", folder, "--sign", key]);
        if folder == "id" {
            command.env("GNUPGHOME", &home);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        for name in ["odd-name-dkms_1.0~rc1-1.dsc", "odd-name-dkms_1.0~rc1-1_source.changes"] {
            let path = tree.path().join(folder).join(name);
            assert!(gpg(&["--verify", path.to_str().unwrap()]).status.success(), "{name}");
        }
        // the .changes lists the signed .dsc
        let changes =
            fs::read_to_string(tree.path().join(folder).join("odd-name-dkms_1.0~rc1-1_source.changes"))
                .unwrap();
        let size = fs::metadata(tree.path().join(folder).join("odd-name-dkms_1.0~rc1-1.dsc")).unwrap().len();
        assert!(changes.contains(&format!(" {size} odd-name-dkms_1.0~rc1-1.dsc\n")));
    }
    let _ignored = Command::new("gpgconf").env("GNUPGHOME", &home).args(["--kill", "all"]).status();
}

/// What dkms reads of a file is not what the file says; the script of a kmod source package reads it as dkms does, and decides as kpkg does.
#[test]
fn a_kmod_source_package_decides_as_kpkg_does() {
    const CONFS: &[(&str, &str)] = &[
        ("plain", ""),
        ("the first command is not for this kernel", "MAKE[0]=\"sh x.sh old\"\nMAKE_MATCH[0]=\"^[34]\\.\"\n"),
        (
            "the last that matches",
            "MAKE[0]=\"sh x.sh a\"\nMAKE[1]=\"sh x.sh b K=$kernelver\"\nMAKE_MATCH[1]=\"^[56]\\.\"\nMAKE[2]=\"sh x.sh c\"\nMAKE_MATCH[2]=\"^6\\.\"\n",
        ),
        ("a gap", "MAKE[0]=\"sh x.sh a\"\nMAKE[3]=\"sh x.sh b\"\nMAKE_MATCH[3]=\".\"\n"),
        (
            "a module of its own kernels",
            "BUILT_MODULE_NAME[1]=\"two\"\nDEST_MODULE_LOCATION[1]=\"/extra\"\nBUILD_EXCLUSIVE_KERNEL[1]=\"^6\\.\"\nBUILT_MODULE_NAME[2]=\"three\"\nBUILT_MODULE_LOCATION[2]=\"sub/\"\nDEST_MODULE_NAME[2]=\"other\"\nDEST_MODULE_LOCATION[2]=\"/extra\"\nSTRIP[2]=\"no\"\nBUILD_EXCLUSIVE_KERNEL_MIN[2]=\"5.14\"\n",
        ),
        (
            "commands that fail",
            "false\nnot_a_command_of_this_machine\n[ -e /nowhere ] && MAKE=\"sh x.sh x\"\n((0))\nMAKE=\"sh x.sh y\"\n",
        ),
        ("blanks, quotes and dollars count twice", "MAKE=\"sh   x.sh a  b='\\\\\\$HOME' 'c d'\"\n"),
        (
            "patches",
            "PATCH[0]=\"a.patch\"\nPATCH_MATCH[0]=\"^5\"\nPATCH[1]=\"b.patch\"\nPATCH[2]=\"c.patch\"\nPATCH_MATCH[2]=\"^6\"\n",
        ),
        ("an oldest kernel", "BUILD_EXCLUSIVE_KERNEL_MIN=\"5.14\"\n"),
        ("a newest kernel", "BUILD_EXCLUSIVE_KERNEL_MAX=\"5.14.0\"\n"),
        ("an option of the kernel", "BUILD_EXCLUSIVE_CONFIG=\"CONFIG_PCI !CONFIG_RUST\"\n"),
        ("a pattern that bash refuses", "BUILD_EXCLUSIVE_KERNEL=\"(\"\n"),
        ("another machine", "BUILD_EXCLUSIVE_ARCH=\"s390x\"\n"),
        (
            "what the kernel is",
            "if [[ $kernelver == 6.* ]]; then MAKE=\"sh x.sh new\"; else MAKE=\"sh x.sh old $arch\"; fi\n",
        ),
        (
            "the patterns of dkms' shell",
            "case $kernelver in @(5|4).*) MAKE=\"sh x.sh a\" ;; *) MAKE=\"sh x.sh b\" ;; esac\n",
        ),
        ("line ends of another system", "MAKE=\"sh x.sh a\"\r\nPRE_BUILD=\"x.sh one\"\r\n"),
        ("another way to say it", "DKMS_DIRECTIVE_1=\"PRE_BUILD=x.sh\"\nDKMS_DIRECTIVE_2=\"MAKE=sh x.sh\"\n"),
        ("the order of versions", "MAKE=\"sh x.sh $(VER $kernelver)\"\n"),
        ("which kernel runs", "MAKE=\"sh x.sh K=$(uname -r)\"\n"),
        ("scripts", "PRE_BUILD=\"pre.sh $kernelver\"\nPOST_BUILD=\"post.sh\"\n"),
    ];
    const KERNELS: [(&str, &str); 3] = [
        ("4.18.0-553.el8.x86_64", "CONFIG_PCI=y\n"),
        ("5.14.0-503.11.1.el9_5.x86_64", "CONFIG_PCI=m\nCONFIG_RUST=y\n"),
        ("6.12.0-55.9.1.el10_0.x86_64", "CONFIG_CC_IS_CLANG=y\n"),
    ];
    if !is_here("rpm2cpio") || !is_here("cpio") {
        return;
    }
    let (mut excluded, mut built) = (0, 0);
    for (what, more) in CONFS {
        let tree = Tree::empty();
        tree.file(
            "d/dkms.conf",
            format!("PACKAGE_NAME=\"toy\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"toy\"\nDEST_MODULE_LOCATION[0]=\"/extra\"\nAUTOINSTALL=yes\n{more}"),
        );
        tree.file("d/Makefile", "obj-m := toy.o two.o sub/\n").file("d/sub/Makefile", "obj-m := three.o\n");
        for name in ["toy", "two", "sub/three"] {
            tree.file(&format!("d/{name}.c"), crate::support::kernel::SOURCE);
        }
        for script in ["x.sh", "pre.sh", "post.sh"] {
            tree.script(&format!("d/{script}"), "#!/bin/sh\n");
        }
        for patch in ["a", "b", "c"] {
            tree.file(&format!("d/patches/{patch}.patch"), "--- a/x\n+++ b/x\n");
        }
        let packaged = run(&tree, &["d", "-q", "-f", "kmod", "-o", "out"]);
        // what kpkg refuses to package nobody builds
        if !packaged.status.success() {
            assert_eq!(*what, "a pattern that bash refuses", "{what}: {}", text(&packaged.stderr));
            continue;
        }
        let source = tree.path().join("out/toy-kmod-1.0-1.src.rpm");
        let unpack = format!("mkdir x && cd x && rpm2cpio {} | cpio -idm --quiet", source.display());
        assert!(
            Command::new("sh").args(["-c", &unpack]).current_dir(tree.path()).status().unwrap().success()
        );
        for (kernel, config) in KERNELS {
            let headers = format!("h/{kernel}");
            crate::support::kernel::headers(&tree, &headers, kernel);
            tree.file(&format!("{headers}/include/config/auto.conf"), format!("CONFIG_X86_64=y\n{config}"));
            let told = run(
                &tree,
                &["show", "d", "--json", "-k", kernel, "--arch", "x86_64", "--kernel-headers", &headers],
            );
            let plan = text(&told.stdout).lines().find_map(|line| {
                let event: serde_json::Value = serde_json::from_str(line).ok()?;
                (event["reason"] == "plan").then_some(event)
            });
            let plan = plan.unwrap_or_else(|| panic!("{what}: {}", text(&told.stderr)));
            let decision = &plan["driver"]["kernels"][0];
            let folder = format!("run/{kernel}");
            std::fs::create_dir_all(tree.path().join(&folder)).unwrap();
            let decided = Command::new("sh")
                .args(["-c", &format!("cp -r d {folder}/src && exec bash x/build-modules --decide {kernel} $PWD/{headers} {folder}/src")])
                .current_dir(tree.path())
                .env("KPKG_ARCH", "x86_64")
                .env("MAKE", "whoever builds it has one")
                .output()
                .unwrap();
            let at = tree.path().join(&folder).join(format!("dkms-{kernel}"));
            let own = text(&decided.stdout)
                .replace(
                    &format!("{}/{headers}", tree.path().display()),
                    &format!("/lib/modules/{kernel}/build"),
                )
                .replace(&at.display().to_string(), "/var/lib/dkms");
            let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let mut expected = String::new();
            if decision["verdict"] == "excluded" {
                excluded += 1;
                expected.push_str("excluded\n");
            } else {
                assert_eq!(decision["verdict"], "builds", "{what}");
                built += 1;
                expected += &format!("make {}\n", word(&decision["make"]));
                let patches: Vec<_> = decision["patches"].as_array().unwrap().iter().map(word).collect();
                expected += &if patches.is_empty() {
                    "patch \n".to_owned()
                } else {
                    patches.iter().map(|patch| format!("patch {patch}\n")).collect()
                };
                expected +=
                    &format!("hooks {}|{}\n", word(&decision["pre-build"]), word(&decision["post-build"]));
                for module in decision["modules"].as_array().unwrap() {
                    if module["verdict"] == "builds" {
                        let strip = if module["strip"] == false { "no" } else { "yes" };
                        expected +=
                            &format!("module {}|{}|{strip}\n", word(&module["built"]), word(&module["name"]));
                    }
                }
            }
            assert_eq!(own, expected, "{what}, {kernel}: {}", text(&decided.stderr));
        }
    }
    assert!(excluded >= 5 && built >= 30, "{excluded} {built}");
}
