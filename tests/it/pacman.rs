//! Packages of pacman in the hands of the real pacman: upgrades, downgrades, conflicts of files, scripts, orders of versions.
//!
//! Takes root and a static shell for scripts; without them, or without pacman, the tests are skipped with a message, and
//! `KPKG_TEST_STRICT=1` turns that into a failure.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kpkg::format;

const KPKG: &str = env!("CARGO_BIN_EXE_kpkg");

/// Whether pacman can be used here; says so when not.
fn usable() -> bool {
    let found = Command::new("pacman").arg("--version").output().is_ok_and(|output| output.status.success());
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let shell = Path::new("/bin/busybox").exists();
    if found && root && shell {
        return true;
    }
    assert!(
        std::env::var_os("KPKG_TEST_STRICT").is_none(),
        "pacman: {found}, root: {root}, busybox: {shell}"
    );
    eprintln!("skipped: pacman, root or busybox is missing");
    false
}

struct System {
    folder: tempfile::TempDir,
}

impl System {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("db")).unwrap();
        // pacman runs scripts in the root
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::create_dir_all(root.join("tmp")).unwrap();
        fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        std::os::unix::fs::symlink("busybox", root.join("bin/sh")).unwrap();
        Self { folder }
    }

    fn root(&self, path: &str) -> PathBuf {
        self.folder.path().join("root").join(path)
    }

    fn pacman(&self, words: &[&str]) -> Output {
        let mut command = Command::new("pacman");
        command.arg("--root").arg(self.root("")).arg("--dbpath").arg(self.root("db"));
        let words = ["--config", "/dev/null", "--noconfirm"].iter().chain(words);
        command.args(words).env("LC_ALL", "C.UTF-8").output().unwrap()
    }

    fn done(&self, words: &[&str]) -> String {
        let output = self.pacman(words);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{words:?}\n{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{words:?}\n{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// A package of a driver, as `NAME VERSION` and texts of kpkg.toml.
    fn package(&self, name: &str, version: &str, toml: &str) -> String {
        let source = self.folder.path().join(format!("{name}-{version}"));
        fs::create_dir_all(&source).unwrap();
        let conf = format!(
            "PACKAGE_NAME=\"{name}\"\nPACKAGE_VERSION=\"{version}\"\nBUILT_MODULE_NAME=\"{name}\"\nDEST_MODULE_LOCATION=\"/extra\"\nAUTOINSTALL=yes\n"
        );
        let about = "[driver]\nmaintainer = \"Jane Doe <jane@example.org>\"\nlicense = \"GPL-2.0-only\"\n";
        for (file, text) in [
            ("dkms.conf", conf),
            ("Makefile", format!("obj-m := {name}.o\n")),
            (&format!("{name}.c"), "MODULE_LICENSE(\"GPL\");\n".to_owned()),
            ("kpkg.toml", format!("{about}{toml}")),
            ("after.sh", "echo \"after $# $1 ${2-}\" >>/log\nexit 0\n".to_owned()),
            ("gone.sh", "echo \"gone $# $1\" >>/log\n".to_owned()),
        ] {
            fs::write(source.join(file), text).unwrap();
        }
        let out = self.folder.path().join(format!("dist-{name}-{version}"));
        let ended = Command::new(KPKG)
            .args(["-q", "--format", "pacman", "-o"])
            .arg(&out)
            .arg(&source)
            .output()
            .unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let file = fs::read_dir(out).unwrap().next().unwrap().unwrap();
        file.path().to_str().unwrap().to_owned()
    }
}

#[test]
fn a_package_is_upgraded_downgraded_and_removed_and_runs_the_packagers_scripts() {
    if !usable() {
        return;
    }
    let system = System::new();
    let scripts = "[scripts]\nafter-install.after = \"after.sh\"\nafter-remove.after = \"gone.sh\"\n";
    let (old, new) = (system.package("toy", "1.0", scripts), system.package("toy", "1.1", scripts));
    system.done(&["-Udd", &old]);
    assert!(system.root("usr/src/toy-1.0/dkms.conf").exists());
    assert!(system.done(&["-Qkk"]).contains(", 0 altered files"));
    system.done(&["-Udd", &new]);
    assert!(system.root("usr/src/toy-1.1/dkms.conf").exists() && !system.root("usr/src/toy-1.0").exists());
    // it says that this is one
    assert!(system.pacman(&["-Udd", &old]).status.success());
    assert!(system.root("usr/src/toy-1.0/dkms.conf").exists() && !system.root("usr/src/toy-1.1").exists());
    assert!(system.done(&["-Qkk"]).contains(", 0 altered files"));
    system.done(&["-Rdd", "toy-dkms"]);
    assert!(!system.root("usr/src").exists());
    let log = fs::read_to_string(system.root("log")).unwrap();
    let calls = ["after 1 1.0-1 ", "after 2 1.1-1 1.0-1", "after 2 1.0-1 1.1-1", "gone 1 1.0-1"];
    assert_eq!(log.lines().collect::<Vec<_>>(), calls);
}

#[test]
fn a_file_that_is_there_is_a_conflict_and_nothing_is_installed() {
    if !usable() {
        return;
    }
    let system = System::new();
    let one = system.package("toy", "1.0", "");
    fs::create_dir_all(system.root("usr/src/toy-1.0")).unwrap();
    fs::write(system.root("usr/src/toy-1.0/dkms.conf"), "mine").unwrap();
    let output = system.pacman(&["-Udd", &one]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("conflicting files"), "{output:?}");
    assert_eq!(fs::read_to_string(system.root("usr/src/toy-1.0/dkms.conf")).unwrap(), "mine");
    assert!(!system.root("usr/src/toy-1.0/Makefile").exists());
}

/// vercmp(8) is the judge of the order; what a driver calls a pre-release comes before its release.
#[test]
fn pre_releases_come_before_their_release() {
    if !usable() {
        return;
    }
    let family = format::for_format("pacman").unwrap();
    let version = |upstream: &str, pre: Option<&str>| {
        family.version(&kpkg::package::Version {
            epoch: None,
            upstream: upstream.to_owned(),
            pre: pre.map(str::to_owned),
            revision: "1".to_owned(),
        })
    };
    for (one, other, expected) in [
        (version("1.0", Some("rc1")), version("1.0", None), Ordering::Less),
        (version("1.0", Some("+rc1")), version("1.0", None), Ordering::Less),
        (version("1.0", Some("~rc1")), version("1.0", None), Ordering::Less),
        (version("1.0", Some("_beta2")), version("1.0", None), Ordering::Less),
        (version("1.0", Some("beta2")), version("1.0", Some("rc1")), Ordering::Less),
        (version("1.0", Some("rc2")), version("1.0", Some("rc10")), Ordering::Less),
        (version("1.0", None), version("1.0.1", None), Ordering::Less),
        (version("1-5", None), version("1-6", None), Ordering::Less),
    ] {
        let output = Command::new("vercmp").args([&one, &other]).output().unwrap();
        let order = String::from_utf8_lossy(&output.stdout).trim().parse::<i32>().unwrap().cmp(&0);
        assert_eq!(order, expected, "{one} {other}");
    }
}

/// What was written is read back, and equals what another format says of the same driver but for its own ways.
#[test]
fn what_was_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/greeter");
    let made = Command::new(KPKG)
        .args(["-q", "-f", "pacman,deb", "-o"])
        .arg(folder.path())
        .arg(driver)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let [deb, pacman] = ["greeter-dkms_1.2.0-1_all.deb", "greeter-dkms-1.2.0-1-any.pkg.tar.zst"]
        .map(|name| folder.path().join(name));
    let differences = kpkg::inspect::diff::diff(&deb, &pacman).unwrap();
    let others = differences.iter().filter(|one| one.section == kpkg::inspect::diff::Section::Files);
    let others: Vec<_> = others.map(|one| one.what.as_str()).collect();
    assert!(others.iter().all(|path| !path.starts_with("/usr/src")), "{others:?}");
    let same = kpkg::inspect::diff::diff(&pacman, &pacman).unwrap();
    assert!(same.is_empty());
    let shown = Command::new(KPKG).arg("show").arg(&pacman).output().unwrap();
    let text = String::from_utf8_lossy(&shown.stdout);
    for line in [
        "package     greeter-dkms",
        "version     1.2.0-1",
        "format      pacman",
        "requires    dkms, gcc, make",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

/// What is named beside all of them is written too.
#[test]
fn all_formats_and_a_special_one_are_written() {
    let out = tempfile::tempdir().unwrap();
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/greeter");
    let made =
        Command::new(KPKG).args(["-q", "-f", "all,pacman,deb", "-o"]).arg(out.path()).arg(driver).output();
    assert!(made.unwrap().status.success());
    let names: Vec<_> = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    for end in [".deb", ".dsc", ".noarch.rpm", ".src.rpm", ".pkg.tar.zst"] {
        assert_eq!(names.iter().filter(|name| name.to_str().unwrap().ends_with(end)).count(), 1, "{names:?}");
    }
}

#[test]
fn compiled_modules_are_refused_before_anything_is_compiled() {
    let out = tempfile::tempdir().unwrap();
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/greeter");
    let words = ["--prebuilt", "-k", "6.1.0-1-amd64", "-f", "pacman", "-o"];
    let made = Command::new(KPKG).args(words).arg(out.path().join("dist")).arg(driver).output().unwrap();
    let text = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.code() == Some(2) && text.contains("`pacman` has no prebuilt packages"), "{text}");
    assert!(!out.path().join("dist").exists());
}
