//! What a run may use of the machine changes no byte, and what happens to the tree meanwhile is told.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::support;
use kpkg::build::{self, Options};
use kpkg::input::Input;
use support::Tree;

/// Text that packs somewhat, the same every time.
fn text(length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 4);
    let mut state = 1_u32;
    while bytes.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        write!(bytes, "{:x} ", state >> 20).unwrap();
    }
    bytes.truncate(length);
    bytes
}

/// So large that every codec cuts it among threads at its lowest levels.
fn large() -> Tree {
    let tree = Tree::toy();
    for name in ["one.h", "two.h", "three.h"] {
        tree.file(name, text(3 << 20));
    }
    tree
}

fn artifacts(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    found.sort();
    found
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let tree = large();
    for codec in ["zstd:1", "xz:0"] {
        let packed: Vec<_> = ["1", "2", "8"]
            .map(|threads| {
                let arguments =
                    ["-f", "deb,rpm", "--compression", codec, "--threads", threads, "-o", threads];
                let output = tree.command(&arguments).env("SOURCE_DATE_EPOCH", "1").output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                let found = artifacts(&tree.path().join(threads));
                fs::remove_dir_all(tree.path().join(threads)).unwrap();
                found
            })
            .into();
        assert_eq!(packed[0].len(), 2);
        assert!(packed.iter().all(|found| *found == packed[0]), "{codec}");
    }
}

#[test]
fn a_memory_limit_below_what_one_thread_takes_is_an_error() {
    let tree = large();
    for (codec, memory, good) in [
        ("zstd:19", "100M", false),
        ("zstd:1", "1G", true),
        ("xz:6", "32M", false),
        ("xz:0", "32M", true),
        ("gzip:9", "64K", false),
        ("none", "1", true),
    ] {
        let arguments = ["-f", "deb", "--compression", codec, "--memory", memory, "-o", "out"];
        let output = tree.command(&arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(if good { 0 } else { 2 }), "{codec} {memory}: {told}");
        let made = artifacts(&tree.path().join("out"));
        assert_eq!(made.len(), usize::from(good), "{made:?}");
        if !good {
            let (name, level) = codec.split_once(':').unwrap();
            assert!(told.contains(&format!("{name} at level {level} takes ")), "{told}");
            assert!(told.contains("MiB") && told.contains("--memory"), "{told}");
        }
        let _ignored = fs::remove_dir_all(tree.path().join("out"));
    }
}

#[test]
fn a_size_that_is_none_is_refused() {
    let tree = Tree::toy();
    for size in ["", "x", "12Q", "-1", "99999999999999999999", "18446744073709551615G"] {
        let output = tree.command(&["--memory", size]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{size}");
    }
    assert_eq!(tree.command(&["--threads", "0"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_file_that_grows_or_shrinks_before_it_is_read_ends_the_run() {
    for length in [0_u64, 99, 101, 300_000] {
        for format in ["deb", "rpm", "dsc", "srpm"] {
            let tree = Tree::toy();
            tree.file("data.h", text(100));
            let out = tree.path().join("out");
            let input =
                Input::open(tree.path(), None, Path::new("/tmp"), &kpkg::output::Stop::default()).unwrap();
            let options =
                Options { formats: vec![format.to_owned()], output: out.clone(), ..Options::default() };
            let prepared = build::prepare(&input, &options, &|_| {}).unwrap();
            let file = OpenOptions::new().write(true).open(tree.path().join("data.h")).unwrap();
            file.set_len(length).unwrap();
            let error = prepared[0].write().unwrap_err().to_string();
            assert!(error.contains("changed while it was read") && error.contains("data.h"), "{error}");
            let left = fs::read_dir(&out).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{format}, {length} bytes");
        }
    }
}

/// Names and lengths of the members of a .deb.
fn members(package: &Path) -> Vec<(String, u64)> {
    let mut archive = ar::Archive::new(fs::File::open(package).unwrap());
    let mut found = Vec::new();
    while let Some(member) = archive.next_entry() {
        let header = member.unwrap().header().clone();
        found.push((String::from_utf8_lossy(header.identifier()).into_owned(), header.size()));
    }
    found
}

#[test]
fn a_deb_is_no_larger_than_what_dpkg_deb_makes_of_its_files() {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        return support::missing("dpkg-deb");
    }
    let tree = Tree::toy();
    let mut random = support::Random(1);
    for file in 0..150 {
        let text = support::c_text(&mut random, 2000);
        tree.file(&format!("src/part_{}/file_{file}.c", file % 12), text);
    }
    // so are the texts that would come from templates
    for template in ["dkms/postinst", "dkms/prerm", "dkms/postrm", "dkms/copyright.txt"] {
        let text = format!("#!/bin/sh\n{}\n", support::c_text(&mut random, 4000));
        tree.file(&format!("templates/deb/{template}.hbs"), text);
    }
    for codec in ["gzip:9", "xz:6", "zstd:3", "zstd:19"] {
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().to_str().unwrap();
        let arguments = ["-f", "deb", "--templates", "templates", "--compression", codec, "-o", folder];
        // one time for both: another one in the first header changes what the compressors find by some bytes
        let stamp = ("SOURCE_DATE_EPOCH", "1700000000");
        assert!(tree.command(&arguments).env(stamp.0, stamp.1).output().unwrap().status.success());
        let ours = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
        let (files, theirs) = (out.path().join("files"), out.path().join("theirs"));
        let (name, level) = codec.split_once(':').unwrap();
        for command in [
            Command::new("dpkg-deb").arg("-R").args([&ours, &files]),
            Command::new("dpkg-deb")
                .args(["-b", "--root-owner-group", &format!("-Z{name}"), &format!("-z{level}")])
                .args([&files, &theirs]),
        ] {
            let output = command.env(stamp.0, stamp.1).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let (ours, theirs) = (members(&ours), members(&theirs));
        // a small control member may not hide a large data member
        let data =
            |members: &[(String, u64)]| members.iter().find(|(name, _)| name.starts_with("data.")).unwrap().1;
        let whole = |members: &[(String, u64)]| members.iter().map(|(_, length)| length).sum::<u64>();
        assert!(data(&ours) <= data(&theirs), "{codec}: data of {} and {} bytes", data(&ours), data(&theirs));
        assert!(whole(&ours) <= whole(&theirs), "{codec}: {} and {} bytes", whole(&ours), whole(&theirs));
    }
}
