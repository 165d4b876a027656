//! kpkg is killed at any moment, and run again: what lies in the output folder is whole, nothing goes on running, and nothing is left.
//!
//! `KPKG_KILLS=N` kills N times while packages are written (instead of 6) and a third as often while modules are compiled.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support;
use rustix::process::{WaitOptions, getpid, set_child_subreaper, wait};
use support::kernel::{RELEASE, headers};
use support::{Random, Tree};

/// The files of a folder, with their bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Processes whose parent was killed become this one's children: none may live on.
fn nothing_runs() {
    let begin = Instant::now();
    loop {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
        let children: String =
            threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok()).collect();
        if children.trim().is_empty() {
            return;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "still running: {children}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Kills `command` `count` times, each time after another part of what it takes, and sees to it that it comes to the same end then.
fn survives(tree: &Tree, random: &mut Random, count: usize, command: &dyn Fn() -> Command) {
    let (out, cache) = (tree.path().join("out"), tree.path().join("cache"));
    let clear = || {
        for folder in [&out, &cache] {
            let _absent = fs::remove_dir_all(folder);
        }
    };
    let run = || {
        let output = command().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    clear();
    let begin = Instant::now();
    run();
    let whole = begin.elapsed();
    let wanted = files(&out);
    let mut partly = 0;
    for round in 0..count {
        clear();
        let mut child = command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let micros = u64::try_from(whole.as_micros()).unwrap();
        std::thread::sleep(Duration::from_micros(random.next() % micros));
        child.kill().unwrap();
        child.wait().unwrap();
        nothing_runs();
        for (name, bytes) in files(&out).iter().filter(|(name, _)| !name.starts_with(".kpkg-")) {
            assert!(wanted.get(name) == Some(bytes), "round {round}: {name} is not whole");
        }
        partly += usize::from(files(&out) != wanted);
        run();
        assert!(files(&out) == wanted, "round {round}: {:?}", files(&out).keys());
        for folder in ["builds", "headers"] {
            let left = tree.names(&format!("cache/{folder}"));
            assert!(!left.iter().any(|name| name.starts_with('.')), "round {round}: {left:?}");
        }
    }
    eprintln!("{count} kills, {partly} of them before the end");
}

#[test]
fn a_killed_run_leaves_nothing_partial_and_nothing_running() {
    support::alone("kills::a_killed_run_leaves_nothing_partial_and_nothing_running", kill_runs);
}

fn kill_runs() {
    set_child_subreaper(Some(getpid())).unwrap();
    let count: usize = std::env::var("KPKG_KILLS").map_or(6, |count| count.parse().unwrap());
    let tree = Tree::empty();
    support::kernel::driver(&tree);
    // enough to be in the midst of
    let mut random = Random(20_261_129);
    let mut noise = Vec::new();
    while noise.len() < 1 << 20 {
        noise.extend(random.next().to_le_bytes());
    }
    tree.file("driver/noise.bin", noise);
    let releases = [RELEASE, "6.1.0-2-toy"];
    for release in releases {
        headers(&tree, release, release);
        tree.file(
            &format!("{release}/Makefile"),
            "all:\n\tsetsid sleep 0.05; cp $(M)/toy.bin $(M)/toy.ko; sed -i 's/6.1.0-1-toy/$(KERNELRELEASE)/' $(M)/toy.ko\n",
        );
    }
    let kpkg = |arguments: &[&str]| {
        let mut command = tree.command(arguments);
        command.env("KPKG_CACHE", tree.path().join("cache")).env("PATH", "/usr/bin:/bin");
        command
    };
    let package =
        || kpkg(&["driver", "-q", "-f", "deb", "-f", "rpm", "--compression", "gzip:1", "-o", "out"]);
    survives(&tree, &mut random, count, &package);
    let mut arguments = vec!["driver", "-q", "--prebuilt", "-f", "deb", "-o", "out"];
    for release in releases {
        arguments.extend(["--kernel-headers", release]);
    }
    survives(&tree, &mut random, count.div_ceil(3), &|| kpkg(&arguments));
}
