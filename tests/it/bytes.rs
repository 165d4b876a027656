//! What stands in a small package whose every number is worked out by hand: sizes, names, orders, requirements.

use std::collections::BTreeMap;
use std::io::Read;

use kpkg::format;
use kpkg::output::Memory;
use kpkg::package::{
    Arch, Change, Codec, Compression, Content, Entry, EntryKind, Package, Payload, Role, Script, Version,
    When,
};

fn package(codec: Codec, pre: Option<&str>) -> Package {
    let version =
        Version { epoch: None, upstream: "1.0".into(), pre: pre.map(str::to_owned), revision: "2".into() };
    let entry = |path: &str, kind| Entry { path: path.to_owned(), kind, role: Role::Plain };
    let file = EntryKind::File { content: Content::Text("x".repeat(1025)), executable: false };
    Package {
        name: "tiny".into(),
        version: version.clone(),
        arch: Arch::Any,
        summary: "A summary".into(),
        description: "A description.".into(),
        license: "MIT".into(),
        maintainer: "Jane Doe <jane@example.org>".into(),
        homepage: String::new(),
        relations: Vec::new(),
        scripts: vec![Script { when: When::AfterInstall, body: "#!/bin/sh\n".into() }],
        triggers: vec!["interest-noawait x".into()],
        carries: Vec::new(),
        hardware: Vec::new(),
        offers: Vec::new(),
        changelog: vec![Change {
            version,
            author: "Jane Doe <jane@example.org>".into(),
            lines: vec!["x".into()],
            time: 1,
        }],
        newest_of: None,
        payload: Payload::Install(vec![
            entry("usr/src/d", EntryKind::Directory),
            entry("usr/src/d/file", file),
            entry("usr/src/d/link", EntryKind::Symlink { target: "file".into() }),
        ]),
        compression: Compression { codec, level: codec.default_level() },
        fields: BTreeMap::from([("Section".into(), "kernel".into()), ("Zebra".into(), "last".into())]),
        stamp: 1_700_000_000,
    }
}

fn written(format: &str, package: &Package) -> Vec<u8> {
    let mut out = Memory::new();
    format::for_format(format).unwrap().write(package, &mut out).unwrap();
    out.files().values().next().unwrap().clone()
}

/// The members of a tar of a `.deb` without compression: names in order, and the text of `control` where it is one.
fn deb_member(bytes: &[u8], name: &str) -> (Vec<String>, String) {
    let mut archive = ar::Archive::new(bytes);
    while let Some(member) = archive.next_entry() {
        let mut member = member.unwrap();
        if member.header().identifier() != name.as_bytes() {
            continue;
        }
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        let (mut names, mut control) = (Vec::new(), String::new());
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            names.push(String::from_utf8(entry.path_bytes().into_owned()).unwrap());
            if names.last().unwrap() == "./control" {
                entry.read_to_string(&mut control).unwrap();
            }
        }
        return (names, control);
    }
    panic!("no member {name}");
}

#[test]
fn a_deb_has_dpkgs_fields_and_order() {
    let bytes = written("deb", &package(Codec::None, Some("rc1")));
    let (names, control) = deb_member(&bytes, "control.tar");
    assert_eq!(names, ["./", "./control", "./md5sums", "./postinst", "./triggers"]);
    // 2 KiB for the file, 1 for the changelog, 1 for the link, 1 for each of 7 folders, 1 more, 1 for the script, and 1 for the triggers
    assert_eq!(
        control,
        "Package: tiny\nVersion: 1.0~rc1-2\nArchitecture: all\nMaintainer: Jane Doe <jane@example.org>\n\
         Installed-Size: 14\nSection: kernel\nDescription: A summary\n A description.\nZebra: last\n"
    );
    let (names, _) = deb_member(&bytes, "data.tar");
    let expected = [
        "./",
        "./usr/",
        "./usr/share/",
        "./usr/share/doc/",
        "./usr/share/doc/tiny/",
        "./usr/share/doc/tiny/changelog.Debian.gz",
        "./usr/src/",
        "./usr/src/d/",
        "./usr/src/d/file",
        "./usr/src/d/link",
    ];
    assert_eq!(names, expected);
}

#[test]
fn an_rpm_requires_what_reading_it_takes_and_nothing_else() {
    let always =
        ["/bin/sh", "rpmlib(CompressedFileNames)", "rpmlib(FileDigests)", "rpmlib(PayloadFilesHavePrefix)"];
    for (codec, pre, more) in [
        (Codec::Gzip, None, &[][..]),
        (Codec::Xz, None, &["rpmlib(PayloadIsXz)"][..]),
        (Codec::Zstd, Some("rc1"), &["rpmlib(PayloadIsZstd)", "rpmlib(TildeInVersions)"][..]),
    ] {
        let bytes = written("rpm", &package(codec, pre));
        let read = rpm::PackageMetadata::parse(&mut &bytes[..]).unwrap();
        let names: Vec<_> = read.get_requires().unwrap().into_iter().map(|need| need.name).collect();
        assert_eq!(names, [&always[..], more].concat(), "{codec:?}");
    }
}
