//! Random packages, written by the families and read, verified and installed by the real dpkg, rpm and pacman.
//!
//! Installing takes root (a chroot call); without it, or without the tools, the parts that need them are skipped with a message,
//! and `KPKG_TEST_STRICT=1` turns that into a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output as Finished};

use kpkg::format;
use kpkg::output::{Dir, Means, Memory, Output};
use kpkg::package::{
    Arch, Capability, Change, Codec, Compression, Content, Entry, EntryKind, Package, Payload, Relation,
    RelationKind, Role, Version,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sha2::{Digest, Sha256};

/// Whether `tool` can be used; says so when not.
fn usable(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success());
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if found && root {
        return true;
    }
    let why = if found { "needs root" } else { "is not installed" };
    assert!(std::env::var_os("KPKG_TEST_STRICT").is_none(), "{tool} {why}");
    eprintln!("skipped: {tool} {why}");
    false
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9+.-]{1,20}".prop_map(|name| name.trim_end_matches(['.', '-', '+']).to_owned() + "x")
}

fn version() -> impl Strategy<Value = Version> {
    let pre = proptest::option::of("(rc|beta)[0-9]{1,2}");
    (proptest::option::of(0u32..9), "[0-9]{1,3}(\\.[0-9a-z]{1,3}){0,3}", pre, "[1-9][0-9]?")
        .prop_map(|(epoch, upstream, pre, revision)| Version { epoch, upstream, pre, revision })
}

fn file_name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[A-Za-z0-9_+@%=,][A-Za-z0-9._+@%=, -]{0,20}",
        4 => "[!-.0-~][ -.0-~]{0,20}[!-,0-~]",
        1 => "[a-z]{90,110}",
        1 => "[a-zäöüß漢字]{1,30}",
    ]
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(file_name(), 1..5).prop_map(|parts| parts.join("/"))
}

fn entry_kind() -> impl Strategy<Value = EntryKind> {
    let text = prop_oneof![Just(String::new()), ".{1,40}", "[ab\n]{400,600}"];
    prop_oneof![
        6 => (text, any::<bool>()).prop_map(|(text, executable)| EntryKind::File { content: Content::Text(text), executable }),
        1 => "[a-z./]{1,120}".prop_map(|target| EntryKind::Symlink { target }),
        1 => Just(EntryKind::Directory),
    ]
}

/// Entries below one folder of the package's own, without a file that is also a folder.
fn entries() -> impl Strategy<Value = Vec<Entry>> {
    proptest::collection::btree_map(path(), entry_kind(), 1..12).prop_map(|map| {
        let paths: BTreeSet<String> = map.keys().cloned().collect();
        let mut entries: BTreeMap<String, EntryKind> = BTreeMap::new();
        for (path, kind) in map {
            let mut parents = path.match_indices('/').map(|(index, _)| path[..index].to_owned());
            if parents.all(|parent| !paths.contains(&parent)) {
                for (index, _) in path.match_indices('/') {
                    entries.insert(path[..index].to_owned(), EntryKind::Directory);
                }
                entries.insert(path, kind);
            }
        }
        let entry = |(path, kind)| Entry { path: format!("usr/src/random/{path}"), kind, role: Role::Plain };
        let mut entries: Vec<_> = entries.into_iter().map(entry).collect();
        entries.push(Entry {
            path: "usr/src/random".to_owned(),
            kind: EntryKind::Directory,
            role: Role::Plain,
        });
        entries.sort_by(|one, other| one.path.as_bytes().cmp(other.path.as_bytes()));
        entries
    })
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![
        (1u32..=9).prop_map(|level| Compression { codec: Codec::Gzip, level }),
        (0u32..=6).prop_map(|level| Compression { codec: Codec::Xz, level }),
        (1u32..=12).prop_map(|level| Compression { codec: Codec::Zstd, level }),
    ]
}

fn package() -> impl Strategy<Value = Package> {
    let texts = ("[A-Za-z][A-Za-z ]{3,40}[a-z]", "([A-Za-z.]{1,90}[ \n]{1,3}){1,30}");
    (name(), version(), texts, entries(), compression(), 1u32..2_000_000_000).prop_map(
        |(name, version, (summary, description), entries, compression, stamp)| Package {
            relations: vec![
                Relation { kind: RelationKind::Provides, any_of: vec![Capability::named("random-thing")] },
                Relation {
                    kind: RelationKind::Suggests,
                    any_of: vec![Capability::named("a"), Capability::named("b")],
                },
                Relation { kind: RelationKind::Conflicts, any_of: vec![Capability::named("random-other")] },
            ],
            carries: Vec::new(),
            hardware: Vec::new(),
            offers: Vec::new(),
            changelog: vec![Change {
                version: version.clone(),
                author: "Jane Doe <jane@example.org>".to_owned(),
                lines: vec!["A change.".to_owned()],
                time: stamp,
            }],
            name,
            version,
            arch: Arch::Any,
            summary,
            description,
            license: "GPL-2.0-only".to_owned(),
            maintainer: "Jane Doe <jane@example.org>".to_owned(),
            homepage: "https://example.org/".to_owned(),
            scripts: Vec::new(),
            triggers: Vec::new(),
            newest_of: None,
            payload: Payload::Install(entries),
            compression,
            fields: BTreeMap::new(),
            stamp,
        },
    )
}

fn run(command: &mut Command) -> Finished {
    let output = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The installed tree is what the plan says: kinds, contents, modes, times.
fn compare(package: &Package, root: &Path) {
    let entries = package.payload.entries();
    for entry in entries {
        let path = root.join(&entry.path);
        let metadata =
            fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        match &entry.kind {
            EntryKind::Directory => assert!(metadata.is_dir(), "{}", entry.path),
            EntryKind::Symlink { target } => {
                assert_eq!(fs::read_link(&path).unwrap().to_str(), Some(target.as_str()));
            }
            EntryKind::File { content: Content::Text(text), .. } => {
                assert_eq!(&fs::read_to_string(&path).unwrap(), text);
            }
            EntryKind::File { .. } => unreachable!("random packages have no files on disk"),
        }
        if !metadata.is_symlink() {
            assert_eq!(metadata.permissions().mode() & 0o7777, u32::from(entry.mode()), "{}", entry.path);
        }
        if metadata.is_file() {
            use std::os::unix::fs::MetadataExt;
            assert_eq!(metadata.mtime(), i64::from(package.stamp), "{}", entry.path);
        }
    }
}

fn write(format: &str, package: &Package, folder: &Path) -> std::path::PathBuf {
    let family = format::for_format(format).unwrap();
    let fields: &[(&str, &str)] = match format {
        "deb" => &[("Section", "kernel"), ("Priority", "optional")],
        "pacman" => &[],
        _ => &[("Group", "System Environment/Kernel")],
    };
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let package = &Package { fields, ..package.clone() };
    let problems = family.check(package);
    assert!(problems.is_empty(), "{problems:?}");
    let mut out = Dir::new(folder, Means::default());
    family.write(package, &mut out).unwrap();
    let path = out.written()[0].path.clone();
    let mut memory = Memory::new();
    family.write(package, &mut memory as &mut dyn Output).unwrap();
    assert!(
        memory.files().values().next().unwrap() == &fs::read(&path).unwrap(),
        "the same package gives the same bytes"
    );
    path
}

fn cases(count: u32, test: impl Fn(Package)) {
    let config = Config { cases: count, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&package(), |package| {
            test(package);
            Ok(())
        })
        .unwrap();
}

#[test]
fn dpkg_installs_and_removes_random_packages() {
    if !usable("dpkg") {
        return;
    }
    cases(24, |package| {
        let folder = tempfile::tempdir().unwrap();
        let file = write("deb", &package, folder.path());
        run(Command::new("dpkg-deb").arg("--info").arg(&file));
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("var/lib/dpkg/updates")).unwrap();
        fs::create_dir_all(root.join("var/lib/dpkg/info")).unwrap();
        fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
        let dpkg = || {
            let mut command = Command::new("dpkg");
            command.arg("--root").arg(&root).arg("--log=/dev/null");
            command
        };
        run(dpkg().arg("-i").arg(&file));
        compare(&package, &root);
        let audit = run(dpkg().arg("-V"));
        assert!(audit.stdout.is_empty(), "{}", String::from_utf8_lossy(&audit.stdout));
        run(dpkg().arg("-P").arg(&package.name));
        assert!(!root.join("usr/src/random").exists());
    });
}

#[test]
fn rpm_verifies_installs_and_erases_random_packages() {
    if !usable("rpm") {
        return;
    }
    cases(24, |package| {
        let folder = tempfile::tempdir().unwrap();
        let file = write("rpm", &package, folder.path());
        let checked = run(Command::new("rpm").arg("-Kv").arg(&file));
        let text = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(text.lines().skip(1).all(|line| line.ends_with("OK")), "{text}");
        let root = folder.path().join("root");
        fs::create_dir_all(&root).unwrap();
        let rpm = || {
            let mut command = Command::new("rpm");
            command.arg("--root").arg(&root).arg("--dbpath").arg("/rpmdb");
            command
        };
        // on a system of another package manager rpm wants to be told that this is meant
        let force =
            Command::new("rpm").args(["--force-debian", "--version"]).output().unwrap().status.success();
        let force: &[&str] = if force { &["--force-debian"] } else { &[] };
        run(rpm().args(force).args(["-i", "--ignorearch"]).arg(&file));
        compare(&package, &root);
        let verified = run(rpm().args(["-V", "--nodeps", "--nouser", "--nogroup"]).arg(&package.name));
        assert!(verified.stdout.is_empty(), "{}", String::from_utf8_lossy(&verified.stdout));
        run(rpm().args(force).args(["-e", "--nodeps"]).arg(&package.name));
        assert!(!root.join("usr/src/random").exists());
    });
}

#[test]
fn pacman_installs_verifies_and_removes_random_packages() {
    if !usable("pacman") {
        return;
    }
    cases(24, |package| {
        // what the format does not have
        let relations = package.relations.into_iter().filter(|relation| relation.any_of.len() == 1).collect();
        let epoch = package.version.epoch.filter(|epoch| *epoch > 0);
        let is_spelled = package.version.upstream.ends_with(|last: char| last.is_ascii_digit());
        let pre = package.version.pre.filter(|_| is_spelled);
        let version = Version { epoch, pre, ..package.version };
        let package = Package { relations, version, ..package };
        let folder = tempfile::tempdir().unwrap();
        let file = write("pacman", &package, folder.path());
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("db")).unwrap();
        let pacman = || {
            let mut command = Command::new("pacman");
            command.arg("--root").arg(&root).arg("--dbpath").arg(root.join("db"));
            command.args(["--config", "/dev/null", "--noconfirm"]);
            command
        };
        run(pacman().arg("-Udd").arg(&file));
        compare(&package, &root);
        let checked = run(pacman().args(["-Qkk", &package.name]));
        let text = String::from_utf8_lossy(&checked.stdout).into_owned();
        assert!(text.contains(", 0 altered files") && checked.stderr.is_empty(), "{checked:?}");
        run(pacman().args(["-Rdd", &package.name]));
        assert!(!root.join("usr/src/random").exists());
    });
}

#[test]
fn the_rpm_crate_reads_back_what_was_written() {
    cases(48, |package| {
        let mut out = Memory::new();
        format::for_format("rpm").unwrap().write(&package, &mut out).unwrap();
        let bytes = out.files().values().next().unwrap();
        let rpm::Package { metadata: read, payload: stored } = rpm::Package::parse(&mut &bytes[..]).unwrap();
        assert_eq!(read.get_name().unwrap(), package.name);
        let entries = package.payload.entries();
        let paths: Vec<_> =
            read.get_file_entries().unwrap().iter().map(|file| file.path().display().to_string()).collect();
        let planned: Vec<_> = entries.iter().map(|entry| format!("/{}", entry.path)).collect();
        assert_eq!(paths, planned);
        let mut payload = Sha256::new();
        std::io::copy(&mut kpkg::archive::decompressed(&stored[..]).unwrap(), &mut payload).unwrap();
        let said =
            read.header.get_entry_data_as_string_array(rpm::IndexTag::RPMTAG_PAYLOADSHA256ALT).unwrap();
        assert_eq!(said, [format!("{:x}", payload.finalize())], "digest of the payload before compression");
    });
}

#[test]
fn the_ar_crate_reads_back_what_was_written() {
    cases(48, |package| {
        let mut out = Memory::new();
        format::for_format("deb").unwrap().write(&package, &mut out).unwrap();
        let bytes = out.files().values().next().unwrap();
        let mut archive = ar::Archive::new(&bytes[..]);
        let mut names = Vec::new();
        while let Some(member) = archive.next_entry() {
            names.push(String::from_utf8(member.unwrap().header().identifier().to_vec()).unwrap());
        }
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(
            names[0] == "debian-binary"
                && names[1].starts_with("control.tar")
                && names[2].starts_with("data.tar")
        );
    });
}
