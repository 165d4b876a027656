//! The command line: exact standard output, standard error and status, and that nothing is written when something is wrong.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;
use std::time::Duration;

use crate::support;
use support::{CONF, Tree, golden};

#[test]
fn the_help_text() {
    let tree = Tree::empty();
    golden("cli/help.txt", &tree.transcript(&["--help"]));
    golden("cli/help-show.txt", &tree.transcript(&["show", "--help"]));
    golden("cli/help-check.txt", &tree.transcript(&["check", "--help"]));
}

#[test]
fn building_prints_paths_and_a_summary() {
    let tree = Tree::toy();
    golden("cli/build.txt", &tree.transcript(&["--format", "deb,rpm"]));
    assert_eq!(tree.names("dist"), ["toy-dkms-1.0-1.noarch.rpm", "toy-dkms_1.0-1_all.deb"]);
}

#[test]
fn one_format_is_one_package() {
    for (format, name) in [("deb", "toy-dkms_1.0-1_all.deb"), ("rpm", "toy-dkms-1.0-1.noarch.rpm")] {
        let tree = Tree::toy();
        let output = tree.kpkg(&["-q", "-f", format, "-o", "out"]);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("out/{name}\n"));
        assert!(output.stderr.is_empty());
        assert_eq!(tree.names("out"), [name]);
    }
}

#[test]
fn a_dry_run_prints_the_paths_and_writes_nothing() {
    let tree = Tree::toy();
    golden("cli/dry-run.txt", &tree.transcript(&["--dry-run"]));
    assert!(tree.names("dist").is_empty());
}

#[test]
fn json_lines_on_standard_output() {
    let tree = Tree::toy();
    golden("cli/json.txt", &tree.transcript(&["--json", "-f", "deb"]));
    golden("cli/json-error.txt", &Tree::empty().transcript(&["--json"]));
}

#[test]
fn several_targets_have_a_folder_each() {
    let tree = Tree::toy();
    golden("cli/targets.txt", &tree.transcript(&["--target", "debian-12,rhel-9", "-o", "out"]));
    assert_eq!(tree.names("out"), ["debian-12", "rhel-9"]);
}

#[test]
fn environment_twins_count_like_flags() {
    let tree = Tree::toy();
    let output = tree
        .command(&["-q"])
        .env("KPKG_FORMAT", "rpm")
        .env("KPKG_OUTPUT", "x")
        .env("KPKG_RELEASE", "7")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "x/toy-dkms-1.0-7.noarch.rpm\n");
}

#[test]
fn versions_and_names_are_mapped_to_what_formats_allow() {
    for (name, version, deb, rpm) in [
        ("toy", "1.0-rc1", "toy-dkms_1.0~rc1-1_all.deb", "toy-dkms-1.0~rc1-1.noarch.rpm"),
        ("a_b_c", "1.0", "a-b-c-dkms_1.0-1_all.deb", "a_b_c-dkms-1.0-1.noarch.rpm"),
        ("toy", "2:1.0", "toy-dkms_1.0-1_all.deb", "toy-dkms-1.0-1.noarch.rpm"),
        ("Toy", "1.0", "toy-dkms_1.0-1_all.deb", "Toy-dkms-1.0-1.noarch.rpm"),
        ("toy", "1.0-5", "toy-dkms_1.0-5-1_all.deb", "toy-dkms-1.0_5-1.noarch.rpm"),
        ("toy", "2.0rc1", "toy-dkms_2.0~+rc1-1_all.deb", "toy-dkms-2.0~+rc1-1.noarch.rpm"),
        ("toy", "4.22.3_rc", "toy-dkms_4.22.3~++rc-1_all.deb", "toy-dkms-4.22.3~__rc-1.noarch.rpm"),
        ("toy", "1~2", "toy-dkms_1~2-1_all.deb", "toy-dkms-1~2-1.noarch.rpm"),
        ("toy", "v1.38.6", "toy-dkms_1.38.6-1_all.deb", "toy-dkms-1.38.6-1.noarch.rpm"),
        ("ixgbe-dkms", "3.12.6", "ixgbe-dkms_3.12.6-1_all.deb", "ixgbe-dkms-3.12.6-1.noarch.rpm"),
    ] {
        let conf =
            CONF.replace("\"toy\"", &format!("\"{name}\"")).replace("\"1.0\"", &format!("\"{version}\""));
        let tree = Tree::with_conf(&conf);
        tree.file("Makefile", format!("obj-m := {name}.o\n")).file(&format!("{name}.c"), "");
        let output = tree.kpkg(&["-f", "deb,rpm"]);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("dist/{deb}\ndist/{rpm}\n"),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Every unusable `dkms.conf`: its name, its text.
fn bad_confs() -> Vec<(&'static str, Vec<u8>)> {
    let conf = |from: &str, to: &str| CONF.replace(from, to).into_bytes();
    vec![
        ("no-name", conf("PACKAGE_NAME=\"toy\"\n", "")),
        ("no-version", conf("PACKAGE_VERSION=\"1.0\"\n", "")),
        ("placeholder-version", conf("\"1.0\"", "\"@VERSION@\"")),
        ("unbalanced-quotes", conf("PACKAGE_VERSION=\"1.0\"", "PACKAGE_VERSION=\"1.0")),
        ("unknown-version", conf("\"1.0\"", "\"$(./version.sh)\"")),
        ("slash-in-name", conf("PACKAGE_NAME=\"toy\"", "PACKAGE_NAME=\"a/b\"")),
        ("dots-in-version", conf("\"1.0\"", "\"..\"")),
        ("newline-in-name", conf("PACKAGE_NAME=\"toy\"", "PACKAGE_NAME=$'a\\nb'")),
        ("shell-in-name", conf("PACKAGE_NAME=\"toy\"", "PACKAGE_NAME='a;b'")),
        ("blank-in-version", conf("\"1.0\"", "\"1 0\"")),
        ("location-outside", conf("AUTOINSTALL", "BUILT_MODULE_LOCATION[0]=\"../x\"\nAUTOINSTALL")),
        ("destination-outside", conf("/updates", "/etc")),
        ("missing-patch", conf("AUTOINSTALL", "PATCH[0]=\"a.patch\"\nAUTOINSTALL")),
        ("spaces-in-version-format", conf("\"1.0\"", "\"1.0__2--3\"")),
        ("byte-order-mark", format!("\u{feff}{CONF}").into_bytes()),
        ("empty", Vec::new()),
    ]
}

#[test]
fn an_unusable_dkms_conf_is_an_error_with_place_and_hint_and_nothing_is_written() {
    for (name, conf) in bad_confs() {
        let tree = Tree::toy();
        tree.file("dkms.conf", conf);
        golden(&format!("cli/bad-conf/{name}.txt"), &tree.transcript(&["-f", "deb,rpm"]));
        assert_eq!(tree.kpkg(&[]).status.code(), Some(2), "{name}");
        assert!(tree.names("dist").is_empty(), "{name}");
    }
}

/// Every `dkms.conf` that works although something is the matter.
#[test]
fn an_odd_dkms_conf_is_a_warning() {
    let cases = [
        ("crlf", CONF.replace('\n', "\r\n").into_bytes()),
        ("not-utf-8", [CONF.as_bytes(), b"# caf\xe9\n"].concat()),
        ("dead-directives", format!("{CONF}CLEAN=\"make clean\"\nREMAKE_INITRD=no\n").into_bytes()),
        ("missing-hook", format!("{CONF}POST_INSTALL=\"a.sh\"\n").into_bytes()),
        ("hook-not-executable", format!("{CONF}PRE_BUILD=\"toy.c\"\n").into_bytes()),
        ("typo", format!("{CONF}BUILD_EXCLUSIVE_KERNAL=\"^6\"\n").into_bytes()),
        (
            "same-module-twice",
            format!("{CONF}BUILT_MODULE_NAME[1]=toy\nDEST_MODULE_LOCATION[1]=/updates\n").into_bytes(),
        ),
        ("version-with-colon", CONF.replace("1.0", "2:1.0").into_bytes()),
    ];
    for (name, conf) in cases {
        let tree = Tree::toy();
        tree.file("dkms.conf", conf);
        golden(&format!("cli/odd-conf/{name}.txt"), &tree.transcript(&["-v", "-f", "deb"]));
        assert_eq!(tree.names("dist").len(), 1, "{name}");
    }
}

#[test]
fn a_folder_that_is_no_driver() {
    golden("cli/no-conf.txt", &Tree::empty().transcript(&[]));
    golden("cli/no-folder.txt", &Tree::empty().transcript(&["nowhere"]));
    let tree = Tree::empty();
    fs::create_dir(tree.path().join("dkms.conf")).unwrap();
    assert_eq!(tree.kpkg(&[]).status.code(), Some(2));
}

#[test]
fn wrong_usage() {
    let tree = Tree::toy();
    for (name, arguments) in [
        ("format", vec!["-f", "apk"]),
        ("target", vec!["--target", "debain-12"]),
        ("target-of-another-format", vec!["-f", "rpm", "--target", "debian-12"]),
        ("compression", vec!["--compression", "lzma"]),
        ("level", vec!["--compression", "xz:17"]),
        ("release", vec!["--release", "1-2"]),
        ("version", vec!["--driver-version", "a b"]),
        ("templates", vec!["--templates", "nowhere"]),
        ("code", vec!["explain", "K9999"]),
        ("flag", vec!["--fromat", "deb"]),
    ] {
        golden(&format!("cli/usage/{name}.txt"), &tree.transcript(&arguments));
        assert_eq!(tree.kpkg(&arguments).status.code(), Some(2), "{name}");
        assert!(tree.names("dist").is_empty(), "{name}");
    }
    let output = tree.command(&[]).env("SOURCE_DATE_EPOCH", "yesterday").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_codec_that_a_release_cannot_read_is_a_warning() {
    golden("cli/unreadable-codec.txt", &Tree::toy().transcript(&["-f", "deb", "--compression", "zstd:3"]));
}

#[test]
fn kpkg_toml_errors_have_line_column_and_the_nearest_key() {
    let tree = Tree::toy();
    tree.file("kpkg.toml", "[driver]\nlicence = \"MIT\"\n");
    golden("cli/config-unknown-key.txt", &tree.transcript(&[]));
    tree.file("kpkg.toml", "[driver]\nversion = 3\n");
    golden("cli/config-wrong-type.txt", &tree.transcript(&[]));
    tree.file("kpkg.toml", "[scripts.after-install]\nafter = \"../x\"\n");
    golden("cli/config-script-outside.txt", &tree.transcript(&[]));
    assert!(tree.names("dist").is_empty());
}

#[test]
fn the_packagers_own_scripts_stand_around_ours() {
    let tree = Tree::toy();
    tree.file("kpkg.toml", "[scripts.after-install]\nbefore = \"a.sh\"\nafter = \"b.sh\"\n");
    tree.file("a.sh", "echo before").file("b.sh", "echo after");
    let output = String::from_utf8(tree.kpkg(&["show", "--scripts", "-f", "deb"]).stdout).unwrap();
    let (before, after) = (output.find("echo before").unwrap(), output.find("echo after").unwrap());
    let work = output.find("kpkg_dkms \"$@\"").unwrap();
    assert!(before < work && work < after);
}

#[test]
fn a_template_of_the_same_name_replaces_ours() {
    let tree = Tree::toy();
    tree.file("mine/deb/dkms/postrm.hbs", "#!/bin/sh\n# {{driver.name}}\n");
    let list =
        String::from_utf8(tree.kpkg(&["show", "--list-templates", "--templates=mine"]).stdout).unwrap();
    assert!(
        list.contains("deb/dkms/postrm.hbs  (mine/deb/dkms/postrm.hbs)")
            && list.contains("deb/dkms/prerm.hbs  (built in)")
    );
    let scripts =
        String::from_utf8(tree.kpkg(&["show", "--templates=mine", "--scripts", "-f", "deb"]).stdout).unwrap();
    assert!(scripts.contains("#!/bin/sh\n# 'toy'\n"), "{scripts}");
    tree.file("mine/deb/dkms/postrm.hbs", "#!/bin/sh\n{{drver.name}}\n");
    golden("cli/template-error.txt", &tree.transcript(&["-f", "deb", "--templates", "mine"]));
    assert!(tree.names("dist").is_empty());
}

#[test]
fn show_prints_the_plan_and_what_is_left_out() {
    let tree = Tree::toy();
    tree.file("toy.o", "x").file("sub/a.c~", "x").file("sub/a.c", "x");
    golden("cli/show.txt", &tree.transcript(&["show"]));
    golden("cli/show-files.txt", &tree.transcript(&["show", "--files", "-f", "deb"]));
}

#[test]
fn explain_tells_more_and_completions_and_man_page_exist() {
    let tree = Tree::empty();
    golden("cli/explain.txt", &tree.transcript(&["explain", "K0503"]));
    for shell in ["bash", "zsh", "fish"] {
        assert!(tree.kpkg(&["completions", shell]).stdout.len() > 500);
    }
    assert!(String::from_utf8(tree.kpkg(&["man"]).stdout).unwrap().contains(".TH kpkg"));
    assert!(String::from_utf8(tree.kpkg(&["man", "show"]).stdout).unwrap().contains("scripts"));
    // each page that a page names is one
    let mut pages = vec![Vec::new()];
    let mut count = 0;
    while let Some(page) = pages.pop() {
        let output = tree.kpkg(&[&["man"], &page[..]].concat());
        assert!(output.status.success(), "{page:?}");
        let text = String::from_utf8(output.stdout).unwrap().leak();
        let named = text.lines().filter_map(|line| line.strip_prefix("kpkg\\-")?.strip_suffix("(1)"));
        pages.extend(named.map(|name| name.split("\\-").collect()));
        count += 1;
    }
    assert!(count > 12, "{count}");
}

#[test]
fn a_tree_with_what_no_package_can_carry() {
    let tree = Tree::toy();
    symlink("/etc/passwd", tree.path().join("absolute")).unwrap();
    symlink("../../x", tree.path().join("leaves")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(tree.path().join("socket")).unwrap();
    golden("cli/bad-tree.txt", &tree.transcript(&["-f", "deb"]));
    drop(socket);
    assert!(tree.names("dist").is_empty());
}

#[test]
fn an_artifact_that_is_there_is_replaced_whole() {
    let tree = Tree::toy();
    tree.file("dist/toy-dkms_1.0-1_all.deb", "old");
    assert!(tree.kpkg(&["-f", "deb"]).status.success());
    assert!(fs::read(tree.path().join("dist/toy-dkms_1.0-1_all.deb")).unwrap().starts_with(b"!<arch>\n"));
}

#[test]
fn an_output_folder_that_cannot_be_written() {
    let tree = Tree::toy();
    tree.file("file", "x");
    golden("cli/output-is-a-file.txt", &tree.transcript(&["-f", "deb", "-o", "file/out"]));
    let output = tree.command(&["-f", "deb", "-o", "/dev/full/x"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    // root writes everywhere; others meet a folder that refuses
    let folder = tree.path().join("closed");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(folder.join("probe"), "").is_err() {
        assert_eq!(tree.kpkg(&["-f", "deb", "-o", "closed"]).status.code(), Some(1));
    }
}

#[test]
fn a_file_system_without_space_leaves_nothing() {
    let tree = Tree::toy();
    let mut noise = Vec::new();
    let mut state = 1_u32;
    for _ in 0..300_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.push(state.to_be_bytes()[0]);
    }
    tree.file("noise.bin", noise);
    // a limit on file sizes fails writes as a full disk does, once its signal is ignored
    let script =
        format!("trap '' XFSZ; ulimit -f 100; exec {} --compression gzip:1", env!("CARGO_BIN_EXE_kpkg"));
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .current_dir(tree.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("file too large"),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(tree.names("dist").is_empty());
}

/// What a shell allows too little of is named, and not taken for a fault of the driver's.
#[test]
fn too_little_memory_is_named() {
    let tree = Tree::toy();
    let script = format!("ulimit -v 400000; exec {}", env!("CARGO_BIN_EXE_kpkg"));
    let output = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .current_dir(tree.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(
        text.starts_with("error[K0205]: this machine gives no 512 MiB of stack")
            && text.contains("ulimit -v"),
        "{text}"
    );
}

/// A tree at the shape of a vendor's network driver, packaged the way the dkms of 2013 was used.
#[test]
fn the_story_of_2013_still_works() {
    let tree = Tree::empty();
    tree.file(
        "dkms.conf",
        "MAKE=\"make -C src/ KVERSION=$kernelver\"\nCLEAN=\"make -C src/ clean\"\nBUILT_MODULE_NAME[0]=ixgbe\n\
         BUILT_MODULE_LOCATION[0]=src/\nDEST_MODULE_LOCATION[0]=\"/updates\"\nPACKAGE_NAME=ixgbe-dkms\n\
         PACKAGE_VERSION=3.12.6\nREMAKE_INITRD=no\n",
    );
    tree.file("src/Makefile", "obj-m := ixgbe.o\nixgbe-objs := ixgbe_main.o\ndefault:\n\tmake -C /lib/modules/$(KVERSION)/build M=$(PWD)\n")
        .file("src/ixgbe_main.c", "MODULE_LICENSE(\"GPL\");\n")
        .file("README", "x\n");
    golden("cli/story-of-2013.txt", &tree.transcript(&["-f", "deb"]));
    assert_eq!(tree.names("dist"), ["ixgbe-dkms_3.12.6-1_all.deb"]);
}

#[test]
fn a_signal_ends_the_run_with_its_code_and_leaves_nothing() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let tree = Tree::toy();
        // bytes that take xz a while
        let mut noise = Vec::new();
        let mut state = 1_u32;
        for _ in 0..12_000_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.push(state.to_be_bytes()[0] & 0x7f);
        }
        tree.file("noise.bin", noise);
        let child = tree
            .command(&["--compression", "xz:9"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // wait until it has begun to write, so that there is something to clean up
        for _ in 0..500 {
            if !tree.names("dist").is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let kill = std::process::Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status()
            .unwrap();
        assert!(kill.success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(tree.names("dist").is_empty());
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn many_files_and_long_names_work() {
    let tree = Tree::toy();
    let long: Vec<_> = (0..6).map(|_| "d".repeat(60)).collect();
    tree.file(&format!("{}/{}.c", long.join("/"), "f".repeat(200)), "x");
    for index in 0..3000 {
        tree.file(&format!("many/{}/{index}.h", index % 50), "y");
    }
    let output = tree.kpkg(&["--compression", "gzip:1"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn standard_output_that_is_closed_is_no_panic() {
    let tree = Tree::toy();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = tree.command(&["show"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to"));
}

#[test]
fn a_dkms_conf_alone_is_shown_as_dkms_sees_it() {
    let tree = Tree::empty();
    tree.file(
        "my.conf",
        "PACKAGE_NAME=toy\nPACKAGE_VERSION=$(./version.sh)\nMAKE[0]=\"make -j$(nproc) KV=$kernelver\"\nBUILT_MODULE_NAME=toy\n",
    );
    let alone =
        ["show", "--dkms-conf", "my.conf", "--kernel", "6.1.0-x", "--arch", "x86_64", "--processors", "4"];
    golden("cli/show-conf.txt", &tree.transcript(&alone));
    golden("cli/show-conf-json.txt", &tree.transcript(&[&alone[..], &["--json"]].concat()));
    tree.file("my.conf", "PACKAGE_NAME=toy\nPACKAGE_VERSION=1.$(printf x | md5sum | cut -c1-4)\nBUILT_MODULE_NAME=$PACKAGE_NAME-$PACKAGE_VERSION\n");
    golden("cli/show-conf-bash.txt", &tree.transcript(&[&alone[..], &["--conf-shell", "bash"]].concat()));
    let no_kernel = tree.kpkg(&["show", "--dkms-conf", "my.conf", "--conf-shell", "bash"]);
    assert_eq!(no_kernel.status.code(), Some(2));
    let missing = tree.kpkg(&["show", "--dkms-conf", "other.conf"]);
    assert_eq!(missing.status.code(), Some(2));
    let two = tree.kpkg(&["show", "--dkms-conf", "my.conf", "-k", "6.1,6.2"]);
    assert_eq!(two.status.code(), Some(2));
}

#[test]
fn the_table_may_come_from_the_real_bash() {
    let tree = Tree::with_conf(
        "PACKAGE_NAME=toy\nPACKAGE_VERSION=1.0\nBUILT_MODULE_NAME[0]=toy\nDEST_MODULE_LOCATION[0]=/updates\nAUTOINSTALL=yes\n\
         # 6.1.0-x is told from others by what kpkg does not imitate\n\
         [ \"$(printf %s $kernelver | md5sum | cut -c1-8)\" = af9ff8de ] || BUILD_EXCLUSIVE_KERNEL=^never\n",
    );
    golden(
        "cli/show-table-bash.txt",
        &tree.transcript(&[
            "show",
            "-f",
            "deb",
            "-k",
            "6.1.0-x,6.2.0-x",
            "--conf-shell",
            "bash",
            "--arch",
            "x86_64",
        ]),
    );
}

#[test]
fn show_has_a_table_of_kernels_and_modules() {
    let tree = Tree::with_conf(
        "PACKAGE_NAME=toy\nPACKAGE_VERSION=1.0\nBUILT_MODULE_NAME[0]=toy\nDEST_MODULE_LOCATION[0]=/updates\n\
         BUILD_EXCLUSIVE_KERNEL_MAX=6.5.99\nBUILD_EXCLUSIVE_CONFIG=\"CONFIG_NET !CONFIG_TOY\"\n\
         MAKE[0]=\"make all\"\nMAKE[1]=\"make old\"\nMAKE_MATCH[1]='^[34]\\.'\nPATCH[0]=old.patch\nPATCH_MATCH[0]='^4\\.'\n\
         case $kernelver in 6.*) BUILT_MODULE_NAME[1]=toy_six; DEST_MODULE_LOCATION[1]=/updates;; esac\nAUTOINSTALL=yes\n",
    );
    let makefile = "obj-m := toy.o toy_six.o\nall old:\n\t$(MAKE) -C x M=$(CURDIR)\n";
    tree.file("patches/old.patch", "--- a/x\n+++ b/x\n").file("Makefile", makefile).file("toy_six.c", "");
    for (release, config) in [
        ("4.19.0-x", "CONFIG_NET=y\n"),
        ("6.1.0-x", "CONFIG_NET=m\nCONFIG_TOY=m\n"),
        ("6.4.0-x", "CONFIG_NET=y\n"),
    ] {
        tree.file(&format!("headers/{release}/include/config/kernel.release"), format!("{release}\n"));
        tree.file(&format!("headers/{release}/.config"), config);
    }
    let headers = ["headers/4.19.0-x", "headers/6.1.0-x", "headers/6.4.0-x"]
        .map(|folder| ["--headers", folder])
        .concat();
    let kernels = ["show", "-f", "deb", "-k", "4.19.0-x,6.1.0-x,6.4.0-x,6.9.0-x"];
    golden("cli/show-kernels.txt", &tree.transcript(&[&kernels[..], &headers].concat()));
}

#[test]
fn a_version_that_depends_on_the_kernel_is_an_error() {
    let tree = Tree::with_conf(&format!(
        "{CONF}case $kernelver in 6.1.*) PACKAGE_VERSION=2.0;; *) PACKAGE_VERSION=1.0;; esac\n"
    ));
    golden("cli/version-per-kernel.txt", &tree.transcript(&["-f", "deb"]));
    let given = tree.kpkg(&["show", "-f", "deb", "--driver-version", "1.0", "-k", "6.1.0,6.2.0"]);
    assert!(given.status.success(), "{}", String::from_utf8_lossy(&given.stderr));
}

#[test]
fn a_dkms_conf_is_found_wherever_it_lies_and_its_marker_is_replaced() {
    let tree = Tree::empty();
    tree.file("debian/toy-dkms.dkms", "PACKAGE_NAME=\"toy\"\nPACKAGE_VERSION=\"#MODULE_VERSION#\"\nBUILT_MODULE_NAME[0]=\"toy\"\n\
        BUILT_MODULE_LOCATION[0]=\"src\"\nDEST_MODULE_LOCATION[0]=\"/updates\"\nMAKE[0]=\"make -C src V=#MODULE_VERSION#\"\nAUTOINSTALL=\"yes\"\n");
    tree.file("src/Makefile", "obj-m := toy.o\nall:\n\t$(MAKE) -C $(KDIR) M=$(CURDIR)\n");
    tree.file("src/toy.c", "// SPDX-License-Identifier: GPL-2.0-only\nMODULE_VERSION(\"1.4\");\n");
    tree.file("debian/changelog", "toy (1.3-1) unstable; urgency=low\n");
    tree.file("kpkg.toml", "[driver]\nmaintainer = \"Jane Doe <jane@example.org>\"\n");
    golden("cli/found.txt", &tree.transcript(&["-f", "deb"]));
    golden("cli/found-files.txt", &tree.transcript(&["show", "-f", "deb", "--files"]));
    let show = tree.kpkg(&["show", "-f", "deb", "--json", "-k", "6.1.0"]);
    let plan: serde_json::Value = serde_json::from_slice(&show.stdout).unwrap();
    assert_eq!(plan["driver"]["kernels"][0]["make"], "make -C src V=1.3");
}

#[test]
fn every_spelling_of_a_marker_gives_the_same_package() {
    for spelling in [
        "@VERSION@",
        "#VERSION#",
        "__VERSION__",
        "__VERSION_STRING",
        "${VERSION}",
        "%VERSION%",
        "",
        "$(./version.sh)",
    ] {
        let tree = Tree::with_conf(&CONF.replace("\"1.0\"", &format!("\"{spelling}\"")));
        tree.file("VERSION", "2.5\n");
        let output = tree.kpkg(&["-q", "-f", "deb"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            text,
            "dist/toy-dkms_2.5-1_all.deb\n",
            "{spelling}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    // a name that is a marker has to be given
    let tree = Tree::with_conf(&CONF.replace("\"toy\"\nPACKAGE", "\"@NAME@\"\nPACKAGE"));
    assert_eq!(tree.kpkg(&["-q", "-f", "deb"]).status.code(), Some(2));
    tree.file("kpkg.toml", "[driver]\nname = \"toy\"\n");
    assert_eq!(tree.kpkg(&["-q", "-f", "deb"]).stdout, b"dist/toy-dkms_1.0-1_all.deb\n");
}

#[test]
fn a_version_that_nothing_says_is_an_error_that_names_the_places() {
    let tree = Tree::with_conf(&CONF.replace("1.0", "@VERSION@"));
    golden("cli/no-version.txt", &tree.transcript(&["-f", "deb"]));
}

#[test]
fn several_drivers_need_a_choice() {
    let tree = Tree::empty();
    for name in ["toy", "other"] {
        tree.file(&format!("{name}/dkms.conf"), CONF.replace("toy", name));
        tree.file(&format!("{name}/Makefile"), format!("obj-m := {name}.o\n"));
        tree.file(&format!("{name}/{name}.c"), "MODULE_LICENSE(\"GPL\");\n");
    }
    golden("cli/several-drivers.txt", &tree.transcript(&["-f", "deb"]));
    let all = tree.kpkg(&["-q", "-f", "deb", "--all"]);
    assert_eq!(all.stdout, b"dist/other-dkms_1.0-1_all.deb\ndist/toy-dkms_1.0-1_all.deb\n");
    let one = tree.kpkg(&["-q", "-f", "deb", "-o", "out", "--dkms-conf", "toy/dkms.conf"]);
    assert_eq!(one.stdout, b"out/toy-dkms_1.0-1_all.deb\n");
}

/// git with nothing of this machine's configuration, at a fixed time.
fn git(tree: &Tree, arguments: &[&str]) {
    let output = std::process::Command::new("git")
        .current_dir(tree.path())
        .args(["-c", "init.defaultBranch=main", "-c", "user.name=Jane", "-c", "user.email=jane@example.org"])
        .args(arguments)
        .envs([("HOME", "/nonexistent"), ("GIT_CONFIG_NOSYSTEM", "1")])
        .envs([("GIT_AUTHOR_DATE", "@1600000000 +0000"), ("GIT_COMMITTER_DATE", "@1600000000 +0000")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_version_comes_from_the_nearest_tag() {
    let tree = Tree::with_conf(&CONF.replace("1.0", "@VERSION@"));
    git(&tree, &["init", "-q"]);
    git(&tree, &["add", "."]);
    git(&tree, &["commit", "-qm", "one"]);
    git(&tree, &["tag", "-a", "-m", "release", "v1.2"]);
    assert_eq!(tree.kpkg(&["-q", "-f", "deb"]).stdout, b"dist/toy-dkms_1.2-1_all.deb\n");
    tree.file("more.h", "\n");
    git(&tree, &["add", "more.h"]);
    git(&tree, &["commit", "-qm", "two"]);
    git(&tree, &["pack-refs", "--all"]);
    let output = tree.kpkg(&["-q", "-f", "deb"]);
    let name = String::from_utf8(output.stdout).unwrap();
    assert!(name.starts_with("dist/toy-dkms_1.2+git1.") && name.ends_with("-1_all.deb\n"), "{name}");
}

#[test]
fn a_commit_is_packaged_without_touching_the_work_tree() {
    let tree = Tree::with_conf(CONF);
    tree.file("blob.o", "delivered")
        .file("private.txt", "no")
        .file(".gitattributes", "private.txt export-ignore\n");
    tree.script("scripts/run.sh", "#!/bin/sh\n");
    git(&tree, &["init", "-q"]);
    git(&tree, &["add", "-f", "."]);
    git(&tree, &["commit", "-qm", "one"]);
    git(&tree, &["tag", "v1"]);
    tree.file("dkms.conf", CONF.replace("1.0", "2.0")).file("new.c", "int x;\n");
    git(&tree, &["add", "-A"]);
    git(&tree, &["commit", "-qm", "two"]);
    tree.file("dkms.conf", "not committed");
    let files = |arguments: &[&str]| {
        let output = tree.command(arguments).env_remove("SOURCE_DATE_EPOCH").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let paths =
            text.lines().filter_map(|line| line.split_once("/usr/src/toy-")).map(|(_, path)| path.to_owned());
        paths.collect::<Vec<_>>()
    };
    let old = files(&["show", "-f", "deb", "--files", "--ref", "v1"]);
    assert_eq!(
        old,
        [
            "1.0/",
            "1.0/Makefile",
            "1.0/blob.o",
            "1.0/dkms.conf",
            "1.0/scripts/",
            "1.0/scripts/run.sh",
            "1.0/toy.c"
        ]
    );
    assert!(files(&["show", "-f", "deb", "--files", "--ref", "main"]).contains(&"2.0/new.c".to_owned()));
    // the same bytes as a clone of that commit gives
    git(&tree, &["clone", "-q", "--branch", "v1", ".", "clone"]);
    let write = |arguments: &[&str]| {
        let output = tree.command(arguments).env_remove("SOURCE_DATE_EPOCH").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    write(&["-q", "-f", "deb", "-o", "one", "--ref", "v1"]);
    write(&["-q", "-f", "deb", "-o", "two", "clone"]);
    let package = "toy-dkms_1.0-1_all.deb";
    assert!(
        fs::read(tree.path().join("one").join(package)).unwrap()
            == fs::read(tree.path().join("two").join(package)).unwrap()
    );
    assert_eq!(fs::read_to_string(tree.path().join("dkms.conf")).unwrap(), "not committed");
    for bad in ["v9", "", "--help", "HEAD~1", "deadbeef"] {
        let output = tree.kpkg(&["-q", "-f", "deb", &format!("--ref={bad}")]);
        assert_eq!(output.status.code(), Some(2), "{bad}");
    }
}

#[test]
fn an_archive_is_packaged_like_the_folder_in_it() {
    let tree = Tree::empty();
    let inside = Tree::with_conf(&CONF.replace("1.0", "@VERSION@"));
    fs::rename(inside.path(), tree.path().join("toy-1.5")).unwrap();
    let pack = std::process::Command::new("tar")
        .current_dir(tree.path())
        .args(["czf", "toy-1.5.tar.gz", "toy-1.5"])
        .status();
    assert!(pack.unwrap().success());
    golden("cli/archive.txt", &tree.transcript(&["-f", "deb", "toy-1.5.tar.gz"]));
    assert_eq!(
        tree.kpkg(&["-q", "-f", "deb", "-o", "two", "toy-1.5"]).stdout,
        b"two/toy-dkms_1.5-1_all.deb\n"
    );
    let read = |folder: &str| fs::read(tree.path().join(folder).join("toy-dkms_1.5-1_all.deb")).unwrap();
    assert!(read("dist") == read("two"));
    tree.file("notes.txt", "no archive\n");
    golden("cli/no-archive.txt", &tree.transcript(&["-f", "deb", "notes.txt"]));
}

/// A tree at ixgbe's shape: no dkms.conf, sources in `src/`, a Makefile with a guard for kbuild.
fn ixgbe() -> Tree {
    let tree = Tree::empty();
    tree.file(
        "src/Makefile",
        "ifneq ($(KERNELRELEASE),)\n# kbuild part of makefile\nccflags-y += -I$(src)\nobj-m += ixgbe.o\nixgbe-y := ixgbe_main.o \\\n\tixgbe_param.o\n\
         else\n# normal makefile\nBUILD_KERNEL ?= $(shell uname -r)\nKSRC ?= /lib/modules/$(BUILD_KERNEL)/build\n\
         default:\n\t$(MAKE) -C $(KSRC) M=$(CURDIR) modules\nclean:\n\t$(MAKE) -C $(KSRC) M=$(CURDIR) clean\nendif\n",
    );
    tree.file(
        "src/ixgbe_main.c",
        "// SPDX-License-Identifier: GPL-2.0\n#include <linux/module.h>\n#if LINUX_VERSION_CODE < KERNEL_VERSION(4,4,0)\n#error \"too old\"\n#endif\n\
         #define DRV_VERSION \"6.3.4\"\nMODULE_AUTHOR(\"Jane Doe <jane@example.org>\");\nMODULE_VERSION(DRV_VERSION);\nMODULE_LICENSE(\"GPL v2\");\n",
    );
    tree.file("src/ixgbe_param.c", "int ixgbe_param;\n");
    tree.file("README", "a driver\n");
    tree
}

#[test]
fn a_tree_without_dkms_conf_is_packaged_and_init_writes_one() {
    let tree = ixgbe();
    golden("cli/inferred.txt", &tree.transcript(&["-f", "deb"]));
    golden("cli/init-dry-run.txt", &tree.transcript(&["init", "--dry-run"]));
    assert!(!tree.path().join("dkms.conf").exists());
    golden("cli/init.txt", &tree.transcript(&["init"]));
    let read = |name: &str| fs::read(tree.path().join(name)).unwrap();
    let inferred = read("dist/ixgbe-dkms_6.3.4-1_all.deb");
    // what was made is what init writes; only the new files are more
    fs::remove_file(tree.path().join("kpkg.toml")).unwrap();
    assert!(tree.kpkg(&["-q", "-f", "deb"]).status.success());
    assert!(read("dist/ixgbe-dkms_6.3.4-1_all.deb") == inferred);
    // with a dkms.conf it writes the other file alone, and with both nothing
    assert_eq!(tree.kpkg(&["init"]).stdout, b"kpkg.toml\n");
    assert_eq!(tree.kpkg(&["init"]).status.code(), Some(2));
    // no version anywhere, no module anywhere
    let tree = Tree::empty();
    tree.file("Makefile", "obj-m := toy.o\n").file("toy.c", "MODULE_LICENSE(\"GPL\");\n");
    assert_eq!(tree.kpkg(&["init"]).status.code(), Some(2));
    assert!(!tree.path().join("dkms.conf").exists());
    assert!(tree.kpkg(&["init", "--driver-version", "1.0"]).status.success());
    let tree = Tree::empty();
    tree.file("Makefile", "all:\n\tcc x.c\n");
    golden("cli/no-module.txt", &tree.transcript(&["init"]));
}

#[test]
fn hostile_files_end_in_an_error_or_an_unknown_in_bounded_time() {
    let long = format!("MAKE='{}'\n", "x".repeat(10 << 20));
    let deep = format!("MAKE=\"{}x{}\"\n", "$(echo ".repeat(500), ")".repeat(500));
    for (what, text) in [
        ("a loop without end", "while :; do :; done\n"),
        ("a loop that counts", "for ((i = 0; i >= 0; i++)); do :; done\n"),
        ("memory without end", "x=a; while true; do x=$x$x; done\n"),
        ("a list without end", "while true; do x+=(a b c d e f g h); done\n"),
        ("braces without end", "MAKE=$(echo {1..99999999})\n"),
        ("recursion", "f() { f; f; }; f\n"),
        ("a device", "MAKE=$(cat /dev/zero)\nread x < /dev/random\n"),
        ("the process", "MAKE=$(cat /proc/self/environ)\n. /proc/self/cmdline\n"),
        ("a way out", "MAKE=$(cat ../../../../etc/passwd)\n. ../../outside.sh\n"),
        ("writing", "echo x > dkms.conf; : > Makefile; exec > out; rm -rf .\n"),
        ("a program", "/bin/sh -c 'touch ran'; PATH=.; ./ran; exec /bin/sh\n"),
        ("a coprocess", "coproc c { cat; }; echo x >&${c[1]}; wait\n"),
        ("traps", "trap 'touch ran' EXIT DEBUG ERR; false; kill $$\n"),
        ("merge markers", "<<<<<<< HEAD\nMAKE=a\n=======\nMAKE=b\n>>>>>>> other\n"),
        ("nesting", deep.as_str()),
        ("ten megabytes", long.as_str()),
    ] {
        let tree = Tree::with_conf(&format!("{CONF}{text}"));
        let begin = std::time::Instant::now();
        for arguments in [
            &["-q", "-f", "deb"][..],
            &["check", "--json"],
            &["show", "--dkms-conf", "dkms.conf", "-k", "6.1.0-x"],
        ] {
            let output = tree.kpkg(arguments);
            let messages = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                matches!(output.status.code(), Some(0 | 2 | 3)),
                "{what}: {:?} {messages}",
                output.status
            );
            assert!(!messages.contains("panicked"), "{what}: {messages}");
        }
        // a bound, and no measure: the usual time is a fraction of a second
        assert!(begin.elapsed() < Duration::from_secs(60), "{what}");
        assert!(!tree.path().join("ran").exists() && !tree.path().join("out").exists(), "{what}");
        assert!(fs::read_to_string(tree.path().join("Makefile")).unwrap().contains("toy.o"), "{what}");
    }
    // links that lead to each other
    let tree = Tree::with_conf(&format!("{CONF}. a\n"));
    symlink("b", tree.path().join("a")).unwrap();
    symlink("a", tree.path().join("b")).unwrap();
    assert_eq!(tree.kpkg(&["-q", "-f", "deb"]).status.code(), Some(0));
}

#[test]
fn what_is_read_by_a_name_is_a_regular_file() {
    let fifo = |tree: &Tree, path: &str| {
        tree.file(path, "");
        fs::remove_file(tree.path().join(path)).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(tree.path().join(path)).status().unwrap().success());
    };
    let said = |tree: &Tree, arguments: &[&str]| {
        let output = tree.kpkg(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        text
    };
    for (path, arguments) in [
        ("kpkg.toml", &["-f", "deb"][..]),
        ("t/deb/after-install.hbs", &["-f", "deb", "--templates", "t"]),
        ("os", &["show", "-f", "deb", "--os-release", "os"]),
        ("x.deb", &["check", "x.deb"]),
        ("x.rpm", &["diff", "x.rpm", "x.rpm"]),
        ("x.ko", &["show", "x.ko"]),
        ("h.deb", &["--prebuilt", "--kernel-headers", "h.deb", "-f", "deb"]),
    ] {
        let tree = Tree::with_conf(CONF);
        fifo(&tree, path);
        let text = said(&tree, arguments);
        let words = ["no regular file", "is a named pipe", "there is no folder"];
        assert!(words.iter().any(|word| text.contains(word)), "{path}: {text}");
    }
    let tree = Tree::with_conf(CONF);
    symlink("/dev/zero", tree.path().join("kpkg.toml")).unwrap();
    assert!(said(&tree, &["-f", "deb"]).contains("no regular file"));
    // a script that leads out of the driver's folder
    let tree = Tree::with_conf(CONF);
    tree.file("kpkg.toml", "[scripts.after-install]\nafter = \"link.sh\"\n");
    symlink("/etc/hostname", tree.path().join("link.sh")).unwrap();
    assert!(said(&tree, &["-f", "deb"]).contains("leads out of the driver's folder"));
}

#[test]
fn a_full_disk_is_no_panic() {
    let tree = Tree::with_conf(CONF);
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for arguments in [&["-f", "deb"][..], &["check"], &["-f", "deb", "no-folder"]] {
        let status = tree.command(arguments).stderr(full()).stdout(Stdio::null()).status().unwrap();
        assert!(matches!(status.code(), Some(0..=3)), "{arguments:?} {status}");
    }
}

/// A byte of an .rpm that is not what its digests say, in the header and in the payload.
#[test]
fn damaged_rpms_are_named() {
    let tree = Tree::toy();
    assert!(tree.kpkg(&["-q", "-f", "rpm", "-o", "out", "--compression", "none"]).status.success());
    let name = tree.names("out").remove(0);
    let bytes = fs::read(tree.path().join("out").join(&name)).unwrap();
    let first = |wanted: &[u8]| bytes.windows(wanted.len()).position(|window| window == wanted).unwrap();
    for (at, what) in [(first(b"GPL-2.0"), "its header"), (bytes.len() - 200, "its payload")] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        tree.file("damaged.rpm", &damaged);
        let output = tree.kpkg(&["check", "damaged.rpm"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}: {text}");
        assert!(text.contains(&format!("{what} has not the digest")), "{what}: {text}");
    }
}

/// The commands of the first screen, on the driver that is shipped.
#[test]
fn the_first_screen_of_the_readme_is_true() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ended = std::process::Command::new(env!("CARGO_BIN_EXE_kpkg"))
        .args(["--format", "deb,rpm", concat!(env!("CARGO_MANIFEST_DIR"), "/examples/greeter")])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(ended.status.success());
    for text in [ended.stdout, ended.stderr] {
        let text = String::from_utf8(text).unwrap();
        assert!(readme.contains(&text), "the README says something else than\n{text}");
    }
}
