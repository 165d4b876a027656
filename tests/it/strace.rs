//! What the program touches: it runs nothing, and opens nothing but the driver's tree, its repository, what it is given, its output
//! and what the loader needs.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support;
use support::Tree;

/// What the dynamic loader and the runtime read on their own: libraries, how many processors may be used, and in the allocator of a thread
/// how the machine gives memory.
const LOADER: &[&str] = &[
    "/etc/ld.so.cache",
    "/lib/",
    "/lib64/",
    "/usr/lib/",
    "/proc/self/",
    "/proc/sys/vm/overcommit_memory",
    "/sys/fs/cgroup/",
    "/sys/devices/system/cpu/",
];

/// Runs kpkg in the tree under strace; the programs it ran, and the paths outside the tree that it opened.
fn traced(tree: &Tree, arguments: &[&str]) -> Option<(Vec<String>, Vec<String>)> {
    let log =
        tree.path().parent().unwrap().join(format!("{}.strace", tree.path().file_name().unwrap().display()));
    let run = Command::new("strace")
        .current_dir(tree.path())
        .args([
            "-f",
            "-qq",
            "-s",
            "4096",
            "-e",
            "trace=execve,execveat,open,openat,openat2,creat,connect,socket",
            "-o",
        ])
        .arg(&log)
        .arg(env!("CARGO_BIN_EXE_kpkg"))
        .args(arguments)
        .env_clear()
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .env("TMPDIR", tree.path())
        .output();
    let Ok(output) = run else {
        support::missing("strace");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&log).unwrap();
    fs::remove_file(log).unwrap();
    let mut programs = Vec::new();
    let mut outside = Vec::new();
    let own = fs::canonicalize(tree.path()).unwrap();
    for line in text.lines() {
        let path = line.split('"').nth(1).unwrap_or_default().to_owned();
        if line.contains("execve") {
            programs.push(path);
        } else if line.contains("socket(") || line.contains("connect(") {
            outside.push(line.to_owned());
        } else if line.contains("open") || line.contains("creat(") {
            let inside = (!path.starts_with('/') && !path.split('/').any(|part| part == ".."))
                || Path::new(&path).starts_with(&own)
                || Path::new(&path).starts_with(tree.path());
            if !inside && !LOADER.iter().any(|allowed| path.starts_with(allowed)) {
                outside.push(path);
            }
        }
    }
    Some((programs, outside))
}

/// A driver whose dkms.conf tries to reach everything.
fn curious() -> Tree {
    let tree = Tree::with_conf(
        "PACKAGE_NAME=toy\nPACKAGE_VERSION=$(cat ../../../../etc/hostname /etc/passwd; ./version.sh)\n\
         . /etc/os-release\n. ../outside.sh\nX=$(</etc/shadow)\nY=$(cat /proc/self/environ)\n\
         /bin/touch touched\nexec 3>/tmp/kpkg-touched\necho hello > written\nPATH=.:$PATH helper\n\
         for f in /etc/*; do Z+=$f; done\n[ -e /etc/machine-id ] && MAKE[0]=\"make id\"\nnproc\nuname -r\n\
         BUILT_MODULE_NAME[0]=toy\nDEST_MODULE_LOCATION[0]=/updates\nAUTOINSTALL=yes\n",
    );
    tree.script("version.sh", "#!/bin/sh\necho 1.0\n").script("helper", "#!/bin/sh\n");
    tree.file("VERSION", "3.0\n");
    tree
}

#[test]
fn packaging_runs_nothing_and_opens_nothing_outside() {
    for arguments in [
        &["-q", "-f", "deb,rpm"][..],
        &["show", "-k", "6.1.0-x"],
        &["show", "--files"],
        &["check"],
        &["show", "--dkms-conf", "dkms.conf", "-k", "6.1.0-x", "--json"],
    ] {
        let tree = curious();
        let Some((programs, outside)) = traced(&tree, arguments) else { return };
        assert_eq!(programs, [env!("CARGO_BIN_EXE_kpkg")], "{arguments:?}");
        assert_eq!(outside, Vec::<String>::new(), "{arguments:?}");
        assert!(
            !tree.path().join("touched").exists() && !tree.path().join("written").exists(),
            "{arguments:?}"
        );
    }
}

#[test]
fn inference_and_the_packages_of_others_are_read_alike() {
    let tree = Tree::toy();
    assert!(tree.kpkg(&["-q", "-f", "deb,rpm"]).status.success());
    fs::remove_file(tree.path().join("dkms.conf")).unwrap();
    for arguments in [
        &["init", "--dry-run", "--driver-version", "1.0"][..],
        &["check", "dist/toy-dkms_1.0-1_all.deb", "dist/toy-dkms-1.0-1.noarch.rpm"],
    ] {
        let Some((programs, outside)) = traced(&tree, arguments) else { return };
        assert_eq!(programs, [env!("CARGO_BIN_EXE_kpkg")], "{arguments:?}");
        assert_eq!(outside, Vec::<String>::new(), "{arguments:?}");
    }
}
