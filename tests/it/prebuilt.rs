//! Compiling and packaging modules, with a stand-in for a kernel's headers whose `make` copies a module that lies in the source:
//! what is asked of the sandbox, of the cache, of the checks and of the packages, without a compiler's time.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support;
use support::elf::Made;
use support::kernel::{CONF, RELEASE, module};
use support::{Tree, golden};

/// A driver, and headers of kernels beside it.
struct Case {
    tree: Tree,
}

impl Case {
    fn new() -> Self {
        let case = Self { tree: Tree::empty() };
        support::kernel::driver(&case.tree);
        case.kernel("kernel", RELEASE);
        case
    }

    fn kernel(&self, folder: &str, release: &str) {
        support::kernel::headers(&self.tree, folder, release);
    }

    fn conf(&self, more: &str) -> &Self {
        self.tree.file("driver/dkms.conf", format!("{CONF}{more}"));
        self
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = self.tree.command(&["driver", "--prebuilt", "-f", "deb", "-o", "out"]);
        command.args(more).env("KPKG_CACHE", self.tree.path().join("cache")).env("PATH", "/usr/bin:/bin");
        command
    }

    fn run(&self, more: &[&str]) -> Output {
        self.command(more).output().unwrap()
    }

    /// Exit code and standard error of a build for the one kernel.
    fn build(&self) -> (Option<i32>, String) {
        let output = self.run(&["--kernel-headers", "kernel"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// A build that fails with these words, having written nothing.
    fn fails(&self, code: i32, words: &str) {
        let (found, text) = self.build();
        assert_eq!(found, Some(code), "{text}");
        assert!(text.contains(words), "{words}: {text}");
        assert!(self.tree.names("out").is_empty());
        let left: Vec<_> =
            self.tree.names("cache/builds").into_iter().filter(|name| name.starts_with('.')).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_module_is_compiled_once_and_packaged() {
    let case = Case::new();
    let output = case.run(&["--kernel-headers", "kernel"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("packaged: 1 module, compiled\n"), "{text}");
    assert!(text.contains("was built by `gcc (GCC) 99.1.0`"), "{text}");
    assert_eq!(
        case.tree.names("out"),
        ["toy-modules-6.1.0-1-toy_1.0-1_amd64.deb", "toy-modules-toy_1.0-1_amd64.deb"]
    );
    let package = fs::read(case.tree.path().join("out/toy-modules-6.1.0-1-toy_1.0-1_amd64.deb")).unwrap();
    let (_, text) = case.build();
    assert!(text.contains("packaged: 1 module, compiled before\n"), "{text}");
    let again = fs::read(case.tree.path().join("out/toy-modules-6.1.0-1-toy_1.0-1_amd64.deb")).unwrap();
    assert!(package == again);
    assert_eq!(text.matches(" Kept ").count(), 2, "{text}");
    // what lies there in other bytes is no finished package
    case.tree.file("out/toy-modules-6.1.0-1-toy_1.0-1_amd64.deb", "x".repeat(package.len()));
    let (_, text) = case.build();
    assert_eq!((text.matches(" Kept ").count(), text.matches(" Wrote ").count()), (1, 1), "{text}");
    assert!(
        package == fs::read(case.tree.path().join("out/toy-modules-6.1.0-1-toy_1.0-1_amd64.deb")).unwrap()
    );
    let build = format!("cache/builds/{}", case.tree.names("cache/builds")[0]);
    case.tree.file(&format!("{build}/built.json"), "damaged");
    assert!(case.build().1.contains("1 module, compiled\n"));
    // so is a module that somebody has changed since
    let module = case.tree.path().join(format!("{build}/toy.ko"));
    let whole = fs::read(&module).unwrap();
    for bytes in [whole[..100].to_vec(), [&whole[..], b"x"].concat()] {
        fs::write(&module, bytes).unwrap();
        assert!(case.build().1.contains("1 module, compiled\n"));
        assert_eq!(fs::read(&module).unwrap(), whole);
    }
    // and nobody else may be able to
    for (folder, mode) in [("cache", 0o777), ("cache/builds", 0o1777)] {
        let folder = case.tree.path().join(folder);
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        let (code, text) = case.build();
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("others can write to the cache"), "{text}");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    }
    // what decides about the result decides whether it is built
    for change in ["driver/other.c", "kernel/Module.symvers"] {
        case.tree.file(change, "0x00000010\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n\n");
        assert!(case.build().1.contains("1 module, compiled\n"), "{change}");
    }
}

#[test]
fn a_build_sees_the_paths_of_dkms_and_nothing_else() {
    let case = Case::new();
    case.tree.file("secret", "text");
    let look = format!(
        "all:\n\t[ $(CURDIR) = /usr/src/linux-headers-{RELEASE} ]\n\t[ $(M) = /var/lib/dkms/toy/1.0/build ]\n\
         \t[ $$(readlink /var/lib/dkms/toy/1.0/source) = /usr/src/toy-1.0 ]\n\tcmp $(M)/toy.c /usr/src/toy-1.0/toy.c\n\
         \t[ $$(uname -r) = {RELEASE} ]\n\t[ $(KERNELRELEASE) = {RELEASE} ]\n\t[ ! -e {}/secret ]\n\
         \t! touch /usr/src/toy-1.0/x /usr/x /etc/x $(CURDIR)/x\n\t! (exec 3<>/dev/tcp/1.1.1.1/53) 2>/dev/null\n\
         \t[ $$(grep -c : /proc/net/dev) = 1 ] || ! [ -e /proc/net/dev ]\n\tcp $(M)/toy.bin $(M)/toy.ko\n",
        case.tree.path().display()
    );
    case.tree.file("kernel/Makefile", look);
    let (code, text) = case.build();
    let logs = case.tree.names("cache/builds");
    assert_eq!(code, Some(0), "{text} {logs:?}");
}

#[test]
fn everything_that_dkms_does_for_a_build_is_done() {
    let case = Case::new();
    case.conf(
        "PATCH[0]=\"say.patch\"\nPRE_BUILD=\"pre.sh one\"\nPOST_BUILD=\"post.sh\"\nMAKE[0]=\"make -C ${kernel_source_dir} M=$dkms_tree/toy/1.0/build EXTRA=1\"\n\
         MAKE[1]=\"false\"\nMAKE_MATCH[1]=\"^9\"\nDEST_MODULE_NAME[0]=\"renamed\"\nBUILT_MODULE_LOCATION[0]=\"sub\"\n",
    );
    case.tree.file("driver/word", "old\n");
    case.tree.file("driver/patches/say.patch", "--- a/word\n+++ b/word\n@@ -1 +1 @@\n-old\n+new\n");
    case.tree.script(
        "driver/pre.sh",
        "#!/bin/sh\n[ \"$1\" = one ] && [ $(cat word) = new ] && mkdir sub && touch sub/pre\n",
    );
    case.tree.script(
        "driver/post.sh",
        "#!/bin/sh\ncd /var/lib/dkms/toy/1.0/6.1.0-1-toy/x86_64/module && [ -s renamed.ko ] && echo >>renamed.ko\n",
    );
    case.tree.file(
        "kernel/Makefile",
        "all:\n\t[ $(EXTRA) = 1 ]\n\t[ -e $(M)/sub/pre ]\n\tcp $(M)/toy.bin $(M)/sub/toy.ko\n",
    );
    let (code, text) = case.build();
    assert_eq!(code, Some(0), "{text}");
    let key = case.tree.names("cache/builds").remove(0);
    assert!(case.tree.names(&format!("cache/builds/{key}")).contains(&"renamed.ko".to_owned()));
}

#[test]
fn what_cannot_be_built_is_told_and_nothing_is_left() {
    let failing = |makefile: &str, code: i32, words: &str| {
        let case = Case::new();
        case.tree.file("kernel/Makefile", makefile);
        case.fails(code, words);
    };
    failing(
        "all:\n\t@echo 'toy.c:3:1: error: no such thing'; exit 1\n",
        1,
        "toy.c:3:1: error: no such thing",
    );
    let case = Case::new();
    case.tree.file("kernel/Makefile", "all:\n\t@echo 'toy.c:3:1: error: no such thing'; exit 1\n");
    let quiet = case.run(&["-q", "--kernel-headers", "kernel"]);
    assert!(String::from_utf8_lossy(&quiet.stderr).contains("toy.c:3:1: error: no such thing"));
    failing("all:\n\ttrue\n", 1, "the build makes no `toy.ko`");
    failing("all:\n\t: >$(M)/toy.ko\n", 1, "the build makes no `toy.ko`");
    failing("all:\n\techo text >$(M)/toy.ko\n", 1, "a module that cannot be read");
    failing("all:\n\thead -c 300 $(M)/toy.bin >$(M)/toy.ko\n", 1, "a module that cannot be read");
    failing("all:\n\tln -s /etc/shadow $(M)/toy.ko\n", 1, "the build makes no `toy.ko`");
    failing("all:\n\tln -s /etc/passwd $(M)/toy.ko\n", 1, "a module that cannot be read");
    failing("all:\n\techo x >/usr/lib/x\n", 1, "Read-only file system");
    let broken = |more: &str, code: i32, words: &str| {
        let case = Case::new();
        case.conf(more);
        case.fails(code, words);
    };
    broken("PATCH[0]=\"no.patch\"\n", 2, "no.patch");
    broken("DEST_MODULE_NAME[0]=\"a/../../b\"\n", 2, "which a module name cannot have");
    broken("MAKE[0]=\"$(cat /proc/version) make\"\n", 2, "the value of MAKE is not known for this kernel");
    broken("BUILD_EXCLUSIVE_KERNEL=\"^5\"\n", 2, "the driver is for none of these kernels");
}

#[test]
fn a_module_that_the_kernel_would_refuse_is_an_error() {
    for (bytes, words) in [
        (module("6.1.0-2-other", &[]), "`toy` is for the kernel `6.1.0-2-other`"),
        (module(RELEASE, &[("printk", Some(17))]), "as 0x00000011, and the kernel has 0x00000010"),
        (module(RELEASE, &[("gone", Some(1))]), "needs the symbol `gone`, which the kernel does not export"),
    ] {
        let case = Case::new();
        case.tree.file("driver/toy.bin", bytes);
        case.fails(1, words);
    }
}

#[test]
fn one_kernel_of_several_fails() {
    let case = Case::new();
    for release in ["6.1.0-2-toy", "6.1.0-3-toy"] {
        case.kernel(release, release);
        case.tree.file(&format!("driver/{release}.bin"), module(release, &[]));
        case.tree
            .file(&format!("{release}/Makefile"), format!("all:\n\tcp $(M)/{release}.bin $(M)/toy.ko\n"));
    }
    case.tree.file("6.1.0-2-toy/Makefile", "all:\n\t@echo 'x.c:1: error: broken' >&2; exit 2\n");
    let all = [
        "--kernel-headers",
        "kernel",
        "--kernel-headers",
        "6.1.0-2-toy",
        "--kernel-headers",
        "6.1.0-3-toy",
        "-j",
        "1",
    ];
    let output = case.run(&all);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("6.1.0-3-toy  not tried: another kernel failed before"), "{text}");
    // and nothing is packaged
    assert!(text.contains("6.1.0-1-toy  built: 1 module, compiled\n"), "{text}");
    assert!(case.tree.names("out").is_empty());
    let output = case.run(&[&all[..], &["--keep-going"]].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{text}");
    // what was finished is not built again
    assert!(text.contains("6.1.0-1-toy  packaged: 1 module, compiled before\n"), "{text}");
    assert!(
        text.contains("6.1.0-2-toy  failed: the driver does not compile\n            x.c:1: error: broken\n"),
        "{text}"
    );
    assert!(text.contains("6.1.0-3-toy  packaged: 1 module, compiled\n"), "{text}");
    assert_eq!(case.tree.names("out").len(), 3);
    let output = case.run(&[&all[..], &["--keep-going", "--json"]].concat());
    let lines: Vec<serde_json::Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let outcomes: Vec<_> =
        lines.iter().filter(|line| line["reason"] == "kernel").map(|line| &line["outcome"]).collect();
    assert_eq!(outcomes, ["packaged", "failed", "packaged"]);
    let output = case.run(&[&all[..], &["--keep-going", "--combine"]].concat());
    assert_eq!(output.status.code(), Some(4));
    assert!(case.tree.names("out").contains(&"toy-modules-combined_1.0-1_amd64.deb".to_owned()));
}

#[test]
fn a_build_that_hangs_or_is_interrupted_leaves_nothing_behind() {
    let case = Case::new();
    // also what it started in the background
    case.tree.file("kernel/Makefile", SLEEPS);
    let begin = Instant::now();
    let child = case
        .command(&["--kernel-headers", "kernel", "--timeout", "3"])
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let locks = Locks::held(&case);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(begin.elapsed() < Duration::from_secs(60));
    locks.freed();
    let mut child = case.command(&["--kernel-headers", "kernel", "-q"]).spawn().unwrap();
    let locks = Locks::held(&case);
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    // what was killed may take a moment to go
    locks.freed();
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(case.tree.path().to_str().unwrap()));
    assert!(case.tree.names("out").is_empty());
    assert!(case.tree.names("cache/builds").iter().all(|name| name.starts_with("failed-")));
}

/// A .deb with such members of its data, in this order: path, kind, content or target.
fn hostile_package(case: &Case, members: &[(&str, tar::EntryType, &str)]) -> String {
    case.tree.file("hostile.deb", support::deb::package(members));
    "hostile.deb".to_owned()
}

#[test]
fn headers_in_packages_reach_nothing_outside() {
    use tar::EntryType::{Directory, Regular, Symlink};
    let kernels = |case: &Case, file: &str| {
        let mut command = case.tree.command(&["kernels", "add", file]);
        let output = command.env("KPKG_CACHE", case.tree.path().join("cache")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (kind, path, text) in [
        (Symlink, "./usr/src/x/.login", "/etc"),
        (Directory, "./usr/src/x/new", ""),
        (Regular, "./usr/src/x/.ssh/id", "text"),
        (Regular, "./usr/src/x/file", "text"),
    ] {
        let case = Case::new();
        case.tree.file("host/.ssh/id", "secret").file("host/kept", "");
        let host = case.tree.path().join("host").display().to_string();
        let file = hostile_package(&case, &[("./usr/src/x", Symlink, &host), (path, kind, text)]);
        let (code, said) = kernels(&case, &file);
        assert!(code != Some(0) && said.contains("cannot unpack"), "{path}: {said}");
        assert_eq!(case.tree.names("host"), [".ssh", "kept"], "{path}");
        assert_eq!(case.tree.names("host/.ssh"), ["id"], "{path}");
        assert_eq!(fs::read_to_string(case.tree.path().join("host/.ssh/id")).unwrap(), "secret");
    }
    // a folder of the host is not shown to a build
    let case = Case::new();
    let host = case.tree.path().join("host").display().to_string();
    case.tree.file("host/linux-headers-x/secret", "").file("host/secret", "");
    for link in ["./usr/src/kernels", "./usr/lib/modules/6.1.0-9-x", "./usr/src/linux-headers-y"] {
        let build = format!("/usr/src/kernels/{}", "linux-headers-x");
        let file = hostile_package(
            &case,
            &[(link, Symlink, &host), ("./usr/lib/modules/6.1.0-1-x/build", Symlink, &build)],
        );
        let output = case.run(&["--kernel-headers", &file, "-k", "6.1.0-1-x"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(2 | 5)), "{link}: {text}");
        assert!(
            text.contains("are not whole") || text.contains("no headers of the kernel"),
            "{link}: {text}"
        );
    }
}

#[test]
fn headers_that_cannot_be_used_are_told() {
    let fails = |case: &Case, arguments: &[&str], code: i32, words: &str| {
        let output = case.run(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(words), "{words}: {text}");
        assert!(case.tree.names("out").is_empty());
    };
    let case = Case::new();
    fails(&case, &["-k", "9.9.9-none"], 5, "there are no headers of the kernel `9.9.9-none`");
    fails(&case, &[], 2, "no kernel is named to build for");
    fails(&case, &["-k", "../x"], 2, "is no kernel release");
    fails(&case, &["--kernel-headers", "driver/toy.c"], 2, "is no .deb and no .rpm");
    fails(&case, &["--kernel-headers", "nowhere"], 2, "cannot read the package");
    case.tree.file("kernel/include/config/auto.conf", "CONFIG_ARM64=y\n");
    let host = std::env::consts::ARCH;
    if host != "aarch64" {
        fails(&case, &["--kernel-headers", "kernel"], 2, "are for aarch64, and this machine is");
    }
    case.tree.file(
        "kernel/include/config/auto.conf",
        "CONFIG_X86_64=y\nCONFIG_CC_VERSION_TEXT=\"gcc-9999 (D) 99.1.0\"\n",
    );
    fails(&case, &["--kernel-headers", "kernel"], 5, "there is no `gcc-9999` here");
    fs::remove_file(case.tree.path().join("kernel/scripts/mod/modpost")).unwrap();
    fails(&case, &["--kernel-headers", "kernel"], 2, "are not whole: there is no `/");
    let output = case.tree.kpkg(&["driver", "-k", RELEASE]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("add `--prebuilt`"));
}

/// A package of kernel headers, made by the programs of its format.
fn header_package(case: &Case, format: &str, name: &str, needs: &str, folder: &Path) -> String {
    if format == "deb" {
        let control = format!(
            "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: J <j@example.org>\nDepends: {needs}\nDescription: headers\n"
        );
        fs::create_dir_all(folder.join("DEBIAN")).unwrap();
        fs::write(folder.join("DEBIAN/control"), control).unwrap();
        let sums = Command::new("sh")
            .args(["-c", "find usr lib -type f 2>/dev/null | xargs md5sum >DEBIAN/md5sums"])
            .current_dir(folder)
            .status();
        assert!(sums.unwrap().success());
        let file = format!("{name}.deb");
        let made = Command::new("dpkg-deb")
            .args(["-Zgzip", "--root-owner-group", "-b"])
            .arg(folder)
            .arg(case.tree.path().join(&file))
            .output();
        assert!(made.unwrap().status.success());
        return file;
    }
    unreachable!("the other format has a test in tests/system");
}

#[test]
fn headers_in_packages_are_put_together_without_being_installed() {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        support::missing("dpkg-deb");
        return;
    }
    let case = Case::new();
    let root = case.tree.path().join("pkg");
    // as Debian cuts them: the kernel's own folder, tools behind a link, and what all kernels of a version share
    let own = root.join("own/usr/src/linux-headers-toy");
    fs::create_dir_all(own.join("include")).unwrap();
    fs::create_dir_all(root.join(format!("own/lib/modules/{RELEASE}"))).unwrap();
    let copy = |from: &str, to: &Path| {
        let from = case.tree.path().join("kernel").join(from);
        assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
    };
    copy("include", &own);
    copy("Module.symvers", &own);
    fs::write(own.join("Makefile"), "include /usr/src/linux-headers-shared/Makefile\n").unwrap();
    symlink("../../lib/linux-kbuild-toy/scripts", own.join("scripts")).unwrap();
    symlink("/usr/src/linux-headers-toy", root.join(format!("own/lib/modules/{RELEASE}/build"))).unwrap();
    fs::create_dir_all(root.join("kbuild/usr/lib/linux-kbuild-toy")).unwrap();
    copy("scripts", &root.join("kbuild/usr/lib/linux-kbuild-toy"));
    fs::create_dir_all(root.join("shared/usr/src/linux-headers-shared")).unwrap();
    copy("Makefile", &root.join("shared/usr/src/linux-headers-shared"));
    let own = header_package(
        &case,
        "deb",
        "linux-headers-toy",
        "linux-kbuild-toy, linux-headers-shared",
        &root.join("own"),
    );
    let kbuild = header_package(&case, "deb", "linux-kbuild-toy", "libc6", &root.join("kbuild"));
    let shared = header_package(&case, "deb", "linux-headers-shared", "libc6", &root.join("shared"));
    let run = |arguments: &[&str]| {
        let output = case.run(arguments);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = run(&["--kernel-headers", &own]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("add the package `linux-kbuild-toy`"), "{text}");
    let (code, text) = run(&["--kernel-headers", &own, "--kernel-headers", &kbuild]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("add the package `linux-headers-shared`"), "{text}");
    // what was given before is kept
    let (code, text) = run(&["--kernel-headers", &shared, "-k", RELEASE]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = run(&["-k", RELEASE]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("compiled before"), "{text}");
    // headers that somebody changed since are compiled with no more; the same bytes with other times are
    let kept = case.tree.path().join("cache/headers");
    let header = fs::read_dir(&kept)
        .unwrap()
        .map(|package| package.unwrap().path().join("root/usr/src/linux-headers-shared/Makefile"))
        .find(|path| path.exists())
        .unwrap();
    let whole = fs::read(&header).unwrap();
    fs::write(&header, [&whole[..], b"# and more\n"].concat()).unwrap();
    case.tree.file("driver/other.c", "int another;\n");
    let (code, text) = run(&["-k", RELEASE]);
    assert_ne!(code, Some(0), "{text}");
    assert!(
        text.contains("the unpacked headers of `linux-headers-shared 1` are not what they were"),
        "{text}"
    );
    assert!(text.contains("root/usr/src/linux-headers-shared/Makefile"), "{text}");
    fs::write(&header, &whole).unwrap();
    let (code, text) = run(&["-k", RELEASE]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("1 module, compiled\n"), "{text}");
    let kernels = |arguments: &[&str]| {
        let mut command = case.tree.command(&["kernels"]);
        let output =
            command.args(arguments).env("KPKG_CACHE", case.tree.path().join("cache")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert!(
        kernels(&["list"]).1.contains(&format!("linux-headers-toy 1 all  4.1 KiB  for {RELEASE}\n"))
            || kernels(&["list"]).1.contains(RELEASE)
    );
    assert!(kernels(&["add", &own]).1.starts_with("linux-headers-toy 1 all"));
    assert_eq!(kernels(&["prune", "unknown"]).0, Some(2));
    assert!(kernels(&["prune", RELEASE]).1.starts_with("linux-headers-toy"));
    assert_eq!(run(&["-k", RELEASE]).0, Some(5));
    kernels(&["prune"]);
    assert!(case.tree.names("cache").is_empty());
    // damaged: the content of a file, then the package itself
    fs::write(root.join("shared/usr/src/linux-headers-shared/Makefile"), "all:\n\tfalse\n").unwrap();
    assert!(
        Command::new("dpkg-deb")
            .args(["-Zgzip", "-b"])
            .arg(root.join("shared"))
            .arg(case.tree.path().join("damaged.deb"))
            .output()
            .unwrap()
            .status
            .success()
    );
    let (code, text) = run(&["--kernel-headers", "damaged.deb", "-k", RELEASE]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("has not the checksum that the package states"), "{text}");
    let whole = fs::read(case.tree.path().join(&own)).unwrap();
    case.tree.file("cut.deb", &whole[..whole.len() - 200]);
    let (code, text) = run(&["--kernel-headers", "cut.deb"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(case.tree.names("cache/headers").iter().all(|name| !name.starts_with('.')), "{text}");
}

#[test]
fn a_driver_is_built_after_those_that_it_needs_and_sees_what_they_made() {
    let case = Case::new();
    let driver = |name: &str, more: &str, bytes: Vec<u8>| {
        let conf = CONF.replace("toy", name);
        case.tree.file(&format!("both/{name}/dkms.conf"), format!("{conf}{more}"));
        case.tree.file(&format!("both/{name}/{name}.bin"), bytes);
        case.tree.file(&format!("both/{name}/{name}.h"), "");
        case.tree.file(&format!("both/{name}/Makefile"), format!("obj-m := {name}.o\n"));
        let text = "// SPDX-License-Identifier: GPL-2.0-only\nMODULE_AUTHOR(\"J <j@example.org>\");\n";
        case.tree.file(&format!("both/{name}/{name}.c"), text);
    };
    let copy = |name: &str| format!("cp $dkms_tree/{name}/1.0/build/{name}.bin {name}.ko");
    let vermagic = format!("vermagic={RELEASE} SMP mod_unload modversions ");
    let info = ["license=GPL", vermagic.as_str()];
    let core = Made { info: &info, exports: &[("core_do", false, 7, true)], ..Made::default() }.bytes();
    driver("core", &format!("MAKE=\"{} && touch Module.symvers\"\n", copy("core")), core);
    let there = "test -f $dkms_tree/core/1.0/$kernelver/x86_64/module/Module.symvers && test -f /usr/src/core-1.0/core.h";
    let more = format!("BUILD_DEPENDS=core\nMAKE=\"{there} && {}\"\n", copy("aaa"));
    driver("aaa", &more, module(RELEASE, &[("core_do", Some(7))]));
    let both = |more: &[&str]| {
        let mut command = case.tree.command(&[
            "both",
            "--all",
            "--prebuilt",
            "-f",
            "deb",
            "-o",
            "out",
            "--kernel-headers",
            "kernel",
        ]);
        command.args(more).env("KPKG_CACHE", case.tree.path().join("cache")).env("PATH", "/usr/bin:/bin");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = both(&[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("K1006") && case.tree.names("out").len() == 4, "{text}");
    let package = format!("out/aaa-modules-{RELEASE}_1.0-1_amd64.deb");
    let shown = String::from_utf8_lossy(&case.tree.kpkg(&["show", &package]).stdout).into_owned();
    assert!(shown.contains(&format!("core-modules-{RELEASE}\n")), "{shown}");
    // of that very version, as its symbols have checksums
    match Command::new("dpkg-deb").arg("-f").arg(case.tree.path().join(&package)).arg("Depends").output() {
        Ok(output) => {
            let depends = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(depends.contains(&format!("core-modules-{RELEASE} (= 1.0-1)")), "{depends}");
        }
        Err(_) => support::missing("dpkg-deb"),
    }
    // a checksum that differs keeps it from being loaded
    case.tree.file("both/aaa/aaa.bin", module(RELEASE, &[("core_do", Some(8))]));
    let (code, text) = both(&[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("needs the symbol `core_do` as 0x00000008, and the kernel has 0x00000007"),
        "{text}"
    );
    // one that is not for the kernel takes the other along
    let excluded = format!("{}BUILD_EXCLUSIVE_KERNEL=^7\n", CONF.replace("toy", "core"));
    case.tree.file("both/core/dkms.conf", excluded);
    let (_, text) = both(&[]);
    assert!(text.contains("skipped: dkms builds it after `core`, which is not for it"), "{text}");
}

#[test]
fn files_and_settings_of_modules_have_a_package_of_their_own() {
    let case = Case::new();
    case.tree.file(
        "driver/kpkg.toml",
        "[files]\nfirmware = [\"fw\"]\nudev = [\"90-toy.rules\"]\n[modules]\noptions = { toy = \"mode=1\" }\nload = [\"toy\"]\n",
    );
    case.tree.file("driver/fw/vendor/a.bin", "firmware").file("driver/90-toy.rules", "# rule\n");
    let (code, text) = case.build();
    assert_eq!(code, Some(0), "{text}");
    assert!(case.tree.names("out").contains(&"toy-modules-common_1.0-1_all.deb".to_owned()));
    let listed = Command::new("dpkg-deb")
        .arg("-c")
        .arg(case.tree.path().join("out/toy-modules-common_1.0-1_all.deb"))
        .output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    for path in [
        "./lib/firmware/vendor/a.bin",
        "./lib/udev/rules.d/90-toy.rules",
        "./lib/modprobe.d/toy.conf",
        "./usr/lib/modules-load.d/toy.conf",
    ] {
        assert!(listed.contains(path), "{path}: {listed}");
    }
    case.tree.file("driver/kpkg.toml", "[files]\nfirmware = [\"none\"]\n");
    assert!(case.build().1.contains("there is no `none` in the packaged source"));
}

#[test]
fn debug_information_has_a_package_of_its_own() {
    let case = Case::new();
    case.tree.file("driver/dkms.conf", CONF.replace("STRIP=no\n", ""));
    let output = case.run(&["--kernel-headers", "kernel", "--debug", "-f", "rpm"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = case.tree.names("out");
    assert!(names.contains(&"toy-modules-6.1.0-1-toy-dbg_1.0-1_amd64.deb".to_owned()), "{names:?}");
    assert!(names.contains(&"kmod-toy-6.1.0-1-toy-debuginfo-1.0-1.x86_64.rpm".to_owned()), "{names:?}");
    for name in
        ["toy-modules-6.1.0-1-toy-dbg_1.0-1_amd64.deb", "kmod-toy-6.1.0-1-toy-debuginfo-1.0-1.x86_64.rpm"]
    {
        let path = case.tree.path().join("out").join(name);
        let package = kpkg::read_package(&path).unwrap().unwrap();
        // where debuggers look for it, next to `/lib/modules`
        let place = "/usr/lib/debug/lib/modules/6.1.0-1-toy/toy.ko.debug";
        assert!(package.files.iter().any(|file| file.path == place), "{name}: {:?}", package.files);
    }
    let key = case.tree.names("cache/builds").remove(0);
    let build = case.tree.path().join("cache/builds").join(key);
    let stripped = fs::read(build.join("toy.ko")).unwrap();
    assert!(stripped != fs::read(build.join("debug/toy.ko")).unwrap());
    // without it nothing is packaged of what was taken out
    let (_, text) = case.build();
    assert!(!text.contains("dbg"), "{text}");
}

#[test]
fn the_table_of_kernels() {
    let case = Case::new();
    case.conf("BUILD_EXCLUSIVE_KERNEL=\"-1-\"\n");
    case.kernel("other", "6.1.0-2-toy");
    case.tree.file("driver/kpkg.toml", "[driver]\nlicense = \"GPL-2.0-only\"\n");
    let arguments = ["--kernel-headers", "kernel", "--kernel-headers", "other", "--color", "never"];
    let output = case.run(&arguments);
    let text =
        String::from_utf8_lossy(&output.stderr).replace(&case.tree.path().display().to_string(), "[FOLDER]");
    let table: String =
        text.lines().filter(|line| line.starts_with("    Kernel ")).map(|line| format!("{line}\n")).collect();
    golden("cli/kernels.txt", &table);
}

/// A driver whose own Makefile asks which kernel runs.
fn asks_uname(case: &Case, more: &str) {
    case.conf(&format!("MAKE=\"'make' {more}\"\n"));
    case.tree.file(
        "driver/Makefile",
        "ifneq ($(KERNELRELEASE),)\nobj-m := toy.o\nelse\nKVER ?= $(shell uname -r)\nall:\n\t$(MAKE) -C /lib/modules/$(KVER)/build M=$(CURDIR)\nendif\n",
    );
}

#[test]
fn modules_that_are_only_right_because_uname_was_imitated_are_a_finding() {
    let case = Case::new();
    asks_uname(&case, "");
    let (code, text) = case.build();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("warning[K1011]: the modules for `6.1.0-1-toy` are only right"), "{text}");
    assert!(text.contains("/build: No such file or directory"), "{text}");
    // it is remembered with the modules
    let (_, text) = case.build();
    assert!(text.contains("compiled before") && text.contains("K1011"), "{text}");
    asks_uname(&case, "KVER=$kernelver");
    let (code, text) = case.build();
    assert!(code == Some(0) && !text.contains("K1011"), "{text}");
}

#[test]
fn who_asks_for_the_kernel_and_builds_all_the_same_is_no_finding() {
    let case = Case::new();
    case.tree.file("kernel/Makefile", "all:\n\tuname -r >&2\n\tcp $(M)/toy.bin $(M)/toy.ko\n");
    let (code, text) = case.build();
    assert!(code == Some(0) && !text.contains("K1011"), "{text}");
    // a module for the kernel that it was told
    case.tree.file("kernel/Makefile", "all:\n\tcp $(M)/$$(uname -r).bin $(M)/toy.ko\n");
    let bytes = fs::read(case.tree.path().join("driver/toy.bin")).unwrap();
    case.tree.file(&format!("driver/{RELEASE}.bin"), bytes);
    let (code, text) = case.build();
    assert!(code == Some(0) && text.contains("K1011"), "{text}");
}

#[test]
fn a_build_has_the_files_of_a_usual_machine_and_the_same_everywhere() {
    let case = Case::new();
    let look = |words: &str| {
        let makefile = format!(
            "-include /etc/os-release\nall:\n\t[ \"$(ID)\" = {words} ]\n\t[ \"$$(whoami)\" = root ]\n\
             \techo x >$$HOME/x && echo x >/var/tmp/x && echo x >/dev/stderr\n\
             \t[ \"$$(ls -d /etc/*-release /etc/*_version 2>/dev/null)\" = /etc/os-release ]\n\
             \tcp $(M)/toy.bin $(M)/toy.ko\n"
        );
        case.tree.file("kernel/Makefile", makefile);
    };
    look("linux");
    case.tree.file("driver/Makefile", "-include /etc/os-release\n");
    let (code, text) = case.build();
    assert_eq!(code, Some(0), "{text}");
    let noted = |arguments: &[&str]| {
        let output = case.run(&[&["--kernel-headers", "kernel", "-v"], arguments].concat());
        String::from_utf8_lossy(&output.stderr).contains("note[K1013]")
    };
    assert!(!text.contains("K1013") && noted(&[]));
    case.tree.file("os-release", "ID=toyos\n");
    look("toyos");
    assert!(!noted(&["--os-release", "os-release"]));
    let output = case.run(&["--kernel-headers", "kernel", "--os-release", "os-release"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_a_build_leaves_is_taken_as_files_of_its_own_or_not_at_all() {
    // the folders of the result lead to one of the host, which the next build would be taken from
    let place = "/var/lib/dkms/toy/1.0/6.1.0-1-toy/x86_64/module";
    for attack in [
        format!("rm -r {place}; ln -s HOST {place}"),
        "rm -rf /var/lib/dkms/toy/1.0/6.1.0-1-toy; ln -s HOST /var/lib/dkms/toy/1.0/6.1.0-1-toy".to_owned(),
        "rm -r /var/lib/dkms/toy/1.0/debug; ln -s HOST /var/lib/dkms/toy/1.0/debug".to_owned(),
        format!("ln -sf HOST/toy.ko {place}/toy.ko"),
        format!("rm {place}/toy.ko; mkfifo {place}/toy.ko"),
        format!("rm {place}/toy.ko; mkdir {place}/toy.ko"),
        "rm /var/lib/dkms/toy/1.0/debug/toy.ko; mkfifo /var/lib/dkms/toy/1.0/debug/toy.ko".to_owned(),
    ] {
        let case = Case::new();
        case.tree
            .file("host/toy.ko", module(RELEASE, &[("printk", Some(16))]))
            .file("host/x86_64/module/toy.ko", "x");
        let host = case.tree.path().join("host").display().to_string();
        case.tree
            .file("driver/dkms.conf", format!("{}POST_BUILD=\"post.sh\"\n", CONF.replace("STRIP=no\n", "")));
        case.tree.script("driver/post.sh", &format!("#!/bin/sh\n{}\n", attack.replace("HOST", &host)));
        case.fails(1, "the build makes no `");
        assert_eq!(case.tree.names("host"), ["toy.ko", "x86_64"], "{attack}");
    }
    // its other files are left out
    let case = Case::new();
    let secret = case.tree.path().join("host/secret").display().to_string();
    case.tree.file("host/secret", "x.c:1:1: error: secret\n");
    case.conf("POST_BUILD=\"post.sh\"\n");
    case.tree.script(
        "driver/post.sh",
        &format!("#!/bin/sh\nln -sf {secret} {place}/Module.symvers\nrm /var/log/kpkg/*; ln -s {secret} /var/log/kpkg/make.log\n"),
    );
    assert_eq!(case.build().0, Some(0));
    let build = format!("cache/builds/{}", case.tree.names("cache/builds")[0]);
    assert_eq!(case.tree.names(&build), ["built.json", "toy.ko"]);
    for attack in [format!("ln -s {secret}"), "mkfifo".to_owned()] {
        case.tree.file(
            "kernel/Makefile",
            format!("all:\n\trm /var/log/kpkg/*; {attack} /var/log/kpkg/make.log; exit 1\n"),
        );
        let (code, text) = case.build();
        assert_eq!(code, Some(1));
        assert!(!text.contains("secret\n"), "{text}");
    }
}

#[test]
fn a_build_that_has_begun_is_never_run_elsewhere() {
    // whatever it ends the first process with
    let case = Case::new();
    let ran = case.tree.path().join("ran").display().to_string();
    case.tree.file(
        "kernel/Makefile",
        format!(
            "all:\n\techo 'unshare: failed' >&2; touch {ran} 2>/dev/null; kill -9 1; kill -9 -1; exit 125\n"
        ),
    );
    case.fails(1, "");
    assert!(!Path::new(&ran).exists());
    // more than a command line holds
    let needs = (0..9000).map(|n| format!("BUILD_DEPENDS[{n}]=\"{}{n}\"\n", "x".repeat(200)));
    let case = Case::new();
    case.conf(&needs.collect::<String>());
    let (code, text) = case.build();
    assert!(code != Some(0) || !text.contains("K1005"), "{text}");
}

#[test]
fn without_a_sandbox_nothing_is_built_unless_it_is_asked_for() {
    let case = Case::new();
    // a machine that gives no namespaces
    let run = |more: &[&str]| {
        let kpkg = case.command(&[&["--kernel-headers", "kernel"], more].concat());
        let mut command = Command::new("unshare");
        command.args(["-Ur", "sh", "-c", "echo 0 >/proc/sys/user/max_user_namespaces && exec \"$@\"", "sh"]);
        command.arg(kpkg.get_program()).args(kpkg.get_args()).current_dir(case.tree.path());
        let output = command.env("KPKG_CACHE", case.tree.path().join("cache")).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = run(&[]);
    assert_eq!(code, Some(5), "{text}");
    assert!(text.contains("gives no namespace") && text.contains("`--no-sandbox`"), "{text}");
    assert!(case.tree.names("out").is_empty());
    // headers that lie where no kernel has them are only to be had inside
    let (code, text) = run(&["--no-sandbox"]);
    assert_eq!(code, Some(5), "{text}");
    assert!(text.contains("are not installed"), "{text}");
}

#[test]
fn a_machine_without_pivot_root_has_a_sandbox_as_well() {
    let case = Case::new();
    case.tree.file("secret", "text");
    let secret = case.tree.path().join("secret").display().to_string();
    case.tree.file(
        "kernel/Makefile",
        format!(
            "all:\n\t[ ! -e {secret} ]\n\t! unshare -rm sh -c 'umount -l /; cat {secret}'\n\t! unshare -rm sh -c 'umount -l /proc /; chroot /proc/1/root cat {secret}'\n\
             \t! touch /x\n\tcp $(M)/toy.bin $(M)/toy.ko\n"
        ),
    );
    let kpkg = case.command(&["--kernel-headers", "kernel"]);
    let mut command = Command::new("unshare");
    let hide = "for path in $(which -a pivot_root); do mount --bind /dev/null $path; done; ! [ -x $(command -v pivot_root) ] && exec \"$@\"";
    command.args(["-rm", "bash", "-c", hide, "bash"]).arg(kpkg.get_program()).args(kpkg.get_args());
    command.current_dir(case.tree.path()).env("KPKG_CACHE", case.tree.path().join("cache"));
    let output = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_build_inherits_nothing_and_ends_with_whoever_started_it() {
    let case = Case::new();
    case.tree.file(
        "kernel/Makefile",
        "all:\n\tls /proc/self/fd | tr '\\n' ' '; ps -o tty= -p $$$$; env\n\t[ $$(ls /proc/self/fd | wc -l) -le 4 ]\n\
         \t! [ \"$$SECRET\" ]\n\tcp $(M)/toy.bin $(M)/toy.ko\n",
    );
    let kpkg = case.command(&["--kernel-headers", "kernel"]);
    let mut command = Command::new("bash");
    command
        .args(["-c", "exec 3</ 9</ 42</; SECRET=x LD_PRELOAD= exec \"$@\"", "bash"])
        .arg(kpkg.get_program());
    command.args(kpkg.get_args()).current_dir(case.tree.path());
    let output = command.env("KPKG_CACHE", case.tree.path().join("cache")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // killed, it takes the build along, and what is left goes with the next one
    case.tree.file("kernel/Makefile", SLEEPS);
    for signal in ["KILL", "HUP"].into_iter().filter(|signal| *signal == "KILL" || !is_ignored(1)) {
        let mut child = case.command(&["--kernel-headers", "kernel", "-q"]).spawn().unwrap();
        let locks = Locks::held(&case);
        Command::new("kill").args(["-s", signal]).arg(child.id().to_string()).status().unwrap();
        child.wait().unwrap();
        locks.freed();
    }
    let left = || case.tree.names("cache/builds").into_iter().filter(|name| name.starts_with('.')).count();
    assert!(left() > 0);
    case.tree.file("kernel/Makefile", "all:\n\tcp $(M)/toy.bin $(M)/toy.ko\n");
    assert_eq!(case.build().0, Some(0));
    assert_eq!(left(), 0);
}

/// Whether whoever started the tests ignores a signal, as nohup(1) does, and with it what the tests start.
fn is_ignored(signal: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal - 1) & 1 == 1
}

/// A build of two processes that hold a lock each until they end, one of them in a session of its own.
const SLEEPS: &str = "all:\n\tsetsid flock $(M)/one sleep 7332 & flock $(M)/two sleep 7332\n";

/// The locks of a build of [`SLEEPS`].
struct Locks(Vec<fs::File>);

impl Locks {
    /// Waits until both are held.
    fn held(case: &Case) -> Self {
        let builds = case.tree.path().join("cache/builds");
        let open = || {
            let works = fs::read_dir(&builds).into_iter().flatten().flatten();
            let names =
                works.flat_map(|work| ["one", "two"].map(|name| work.path().join("dkms/build").join(name)));
            Self(names.filter_map(|path| fs::File::open(path).ok()).collect())
        };
        let found = std::cell::RefCell::new(Self(Vec::new()));
        wait_for(|| {
            *found.borrow_mut() = open();
            found.borrow().0.iter().filter(|lock| is_held(lock)).count() == 2
        });
        found.into_inner()
    }

    /// Waits until nobody holds one.
    fn freed(&self) {
        wait_for(|| !self.0.iter().any(is_held));
    }
}

fn is_held(lock: &fs::File) -> bool {
    use rustix::fs::{FlockOperation, flock};
    let is_free = flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok();
    flock(lock, FlockOperation::Unlock).unwrap();
    !is_free
}

fn wait_for(state: impl Fn() -> bool) {
    let begin = Instant::now();
    while !state() {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn packages_are_named_as_the_distribution_names_its_own_where_that_is_chosen() {
    let case = Case::new();
    case.kernel("generic", "6.8.0-45-generic");
    case.tree.file("driver/toy.bin", module("6.8.0-45-generic", &[("printk", Some(16))]));
    let build = |target: &str, out: &str| {
        let output = case
            .tree
            .command(&["driver", "--prebuilt", "-t", target, "-o", out, "--kernel-headers", "generic"])
            .env("KPKG_CACHE", case.tree.path().join("cache"))
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    case.tree.file("driver/kpkg.toml", "[prebuilt]\nnaming = \"linux-modules\"\n");
    assert_eq!(build("ubuntu-24.04", "ubuntu").0, Some(0));
    assert_eq!(
        case.tree.names("ubuntu"),
        ["linux-modules-toy-6.8.0-45-generic_1.0-1_amd64.deb", "linux-modules-toy-generic_1.0-1_amd64.deb"]
    );
    // who has no such names has his own
    assert_eq!(build("debian-12", "debian").0, Some(0));
    assert!(case.tree.names("debian").contains(&"toy-modules-generic_1.0-1_amd64.deb".to_owned()));
    case.tree.file("driver/kpkg.toml", "[prebuilt]\nnaming = \"linux-module\"\n");
    let (code, text) = build("ubuntu-24.04", "none");
    assert!(
        code == Some(2) && text.contains("kpkg.toml:2:10") && text.contains("known are linux-modules"),
        "{text}"
    );
}

/// With several threads it gives other bytes each time.
#[test]
fn types_of_modules_are_made_by_one_thread() {
    let stand_ins = kpkg::kernel::machine::stand_ins(&kpkg::dkms::Inputs::default(), None);
    let (_, text) = stand_ins.iter().find(|(name, _)| *name == "pahole").unwrap();
    let script = text.replace("exec /usr/bin/pahole", "printf '%s|'");
    let said = std::process::Command::new("bash")
        .args(["-c", &script, "pahole", "-J", "-j", "-j8", "--btf_base", "a b", "-jx"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "-J|--btf_base|a b|-jx|");
}
