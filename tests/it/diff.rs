//! What `kpkg diff` tells: nothing about the same package, every kind of difference, and what it refuses.

use std::fs;

use crate::support;
use support::Tree;

const CONF: &str = "PACKAGE_NAME=\"toy\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"toy\"\n\
                    DEST_MODULE_LOCATION[0]=\"/updates\"\n";
const SOURCE: &str = "// SPDX-License-Identifier: GPL-2.0-only\nMODULE_AUTHOR(\"J <j@example.org>\");\n";

fn tree() -> Tree {
    let tree = Tree::empty();
    tree.file("d/dkms.conf", CONF).file("d/toy.c", SOURCE).file("d/a", "one");
    tree.file("d/Makefile", "obj-m := toy.o\n");
    tree
}

fn run(tree: &Tree, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = tree.command(arguments).env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn packages(tree: &Tree, out: &str, more: &[&str]) {
    let (code, _, text) = run(tree, &[&["d", "-q", "-f", "all", "-o", out], more].concat());
    assert_eq!(code, Some(0), "{text}");
}

const NAMES: [&str; 4] =
    ["toy-dkms_1.0-1_all.deb", "toy-dkms-1.0-1.noarch.rpm", "toy-dkms_1.0-1.dsc", "toy-dkms-1.0-1.src.rpm"];

#[test]
fn the_same_package_has_no_difference_however_it_is_compressed() {
    let tree = tree();
    packages(&tree, "one", &[]);
    packages(&tree, "two", &["--compression", "gzip:1"]);
    for name in NAMES {
        let found = run(&tree, &["diff", &format!("one/{name}"), &format!("two/{name}")]);
        assert_eq!(found, (Some(0), String::new(), String::new()), "{name}");
    }
}

#[test]
fn every_kind_of_difference_is_told() {
    let tree = tree();
    packages(&tree, "one", &[]);
    tree.file("d/a", "two").file("d/b", "new");
    tree.file("d/after.sh", "echo after\n");
    tree.file(
        "d/kpkg.toml",
        "[driver]\nsummary = \"Another\"\n[relations]\nrequires = [\"extra >= 2\", \"extra >= 3\"]\n[scripts.before-remove]\nafter = \"after.sh\"\n",
    );
    packages(&tree, "two", &[]);
    for (name, requires) in [
        // dpkg-gencontrol writes the one that says both
        (NAMES[0], "  + requires: extra >= 3\n"),
        (NAMES[1], "  + requires: extra >= 2, extra >= 3\n"),
    ] {
        let (code, text, _) = run(&tree, &["diff", &format!("one/{name}"), &format!("two/{name}")]);
        assert_eq!(code, Some(1));
        for words in [
            "metadata\n",
            "  + summary: Another\n",
            "relations\n",
            requires,
            "scripts\n  before-remove:\n",
            "    +echo after\n",
            "files\n",
            "  - /usr/src/toy-1.0/a: 0644 root:root, 3 bytes, SHA-256 ",
            "  + /usr/src/toy-1.0/b: 0644 root:root, 3 bytes, SHA-256 ",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let (_, text, _) =
        run(&tree, &["diff", "--json", &format!("one/{}", NAMES[0]), &format!("two/{}", NAMES[0])]);
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.iter().find(|line| line["what"] == "summary").unwrap();
    assert_eq!((&summary["section"], &summary["new"]), (&"metadata".into(), &"Another".into()));
    // a file of the source, in the archives of source packages too
    for name in &NAMES[2..] {
        let (code, text, _) = run(&tree, &["diff", &format!("one/{name}"), &format!("two/{name}")]);
        assert!(code == Some(1) && text.contains("/b: "), "{text}");
    }
    // across formats the driver's files are the same
    let (code, text, _) = run(&tree, &["diff", &format!("one/{}", NAMES[0]), &format!("one/{}", NAMES[1])]);
    assert!(code == Some(1) && !text.contains("  - /usr/src/"), "{text}");
}

#[test]
fn what_cannot_be_trusted_is_refused() {
    let tree = tree();
    packages(&tree, "one", &["--compression", "none"]);
    let whole = |name: &str| fs::read(tree.path().join("one").join(name)).unwrap();
    let refuses = |path: &str, words: &str| {
        let (code, out, text) = run(&tree, &["diff", path, &format!("one/{}", NAMES[0])]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{path}: {text}");
        assert!(text.contains(words), "{path}: {words}: {text}");
    };
    refuses("none.deb", "no such file");
    tree.file("text.deb", "text");
    refuses("text.deb", "is no .deb, .rpm, .dsc or .src.rpm");
    for name in [NAMES[0], NAMES[1], NAMES[3]] {
        for keep in [100, 400, whole(name).len() / 2] {
            tree.file("cut", &whole(name)[..keep]);
            refuses("cut", "cannot read the package");
        }
    }
    // a changed byte of a file
    for (name, words) in [
        (NAMES[0], "has not the checksum that the package states"),
        (NAMES[1], "its payload has not the digest that it states"),
    ] {
        let mut bytes = whole(name);
        let at = bytes.windows(8).rposition(|part| part == b"MODULE_A").unwrap();
        bytes[at] = b'X';
        tree.file("changed", bytes);
        refuses("changed", words);
    }
    let mut bytes = whole(NAMES[0]);
    bytes.extend(b"extra           0           0     0     100644  2         `\nxx");
    tree.file("extra.deb", bytes);
    refuses("extra.deb", "unknown member `extra`");
    // the files beside a .dsc
    let dsc = String::from_utf8(whole(NAMES[2])).unwrap();
    tree.file("alone/toy.dsc", &dsc);
    refuses("alone/toy.dsc", "`toy-dkms_1.0.orig.tar.xz`: ");
    tree.file("alone/out.dsc", dsc.replace("toy-dkms_1.0.orig", "../toy-dkms_1.0.orig"));
    refuses("alone/out.dsc", "is no name of a file beside it");
    packages(&tree, "two", &[]);
    tree.file("two/toy-dkms_1.0.orig.tar.xz", "other");
    refuses(&format!("two/{}", NAMES[2]), "not the file that the .dsc describes");
}
