//! Finished packages written again: what is not exchanged stays byte for byte, and what is exchanged is as if it had been packaged so.
//!
//! `KPKG_REWRITE=FOLDER` tries every package of a folder, too.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support;
use kpkg::archive;
use kpkg::format::{self, Contents, Exchange};
use kpkg::output::{Dir, Means};
use kpkg::package::{Content, EntryKind};
use sha2::Digest;
use support::{Tree, missing};

/// Writes a package again into another folder; where it is, and what was void.
fn rewritten(package: &Path, exchange: &Exchange) -> (PathBuf, Vec<String>) {
    let folder = package.parent().unwrap().with_extension("again");
    let mut out = Dir::new(&folder, Means::default());
    let void = format::rewrite(package, exchange, &mut out).unwrap().unwrap();
    (folder.join(package.file_name().unwrap()), void)
}

/// The content of the files of a package that have one name.
struct Texts(BTreeMap<String, Vec<u8>>);

impl Contents for Texts {
    fn wants(&self, _: &str) -> bool {
        true
    }

    fn take(&mut self, path: &str, content: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        self.0.insert(path.to_owned(), bytes);
        Ok(())
    }

    fn same(&mut self, _: &str, as_path: &str) -> io::Result<()> {
        self.0.remove(as_path);
        Ok(())
    }
}

/// Scripts and up to 20 files exchanged for what they are now.
fn itself(package: &Path, folder: &Path) -> Exchange {
    let mut texts = Texts(BTreeMap::new());
    let found = format::open(package, &mut texts).unwrap().unwrap();
    let mut exchange = Exchange::default();
    for file in &found.files {
        let EntryKind::File { content, .. } = &file.kind else { continue };
        let Some(bytes) = texts.0.get(&file.path) else { continue };
        assert_eq!(bytes.len() as u64, content.size());
        if exchange.files.len() == 20 {
            break;
        }
        let path = folder.join(exchange.files.len().to_string());
        fs::write(&path, bytes).unwrap();
        let content = Content::Disk { path: path.into(), size: bytes.len() as u64 };
        exchange.files.insert(file.path.clone(), content);
    }
    for script in found.scripts.into_iter().filter(|script| !script.name.contains("trigger")) {
        exchange.scripts.insert(script.name, script.text);
    }
    exchange
}

/// A driver with a long name, a link, and a folder.
fn driver(text: &str) -> Tree {
    let tree = Tree::toy();
    tree.file("toy.h", text);
    tree.file(&format!("{}/{}.h", "long".repeat(20), "name".repeat(20)), "int x;\n");
    std::os::unix::fs::symlink("toy.h", tree.path().join("link.h")).unwrap();
    tree
}

const FORMATS: [&str; 3] = ["deb", "rpm", "pacman"];

fn packages(tree: &Tree, options: &[&str]) -> Vec<PathBuf> {
    let formats = FORMATS.join(",");
    let mut words = vec!["--format", &formats, "--output", "out"];
    words.extend(options);
    let output = tree.kpkg(&words);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    tree.names("out").iter().map(|name| tree.path().join("out").join(name)).collect()
}

#[test]
fn own_packages_are_the_same_again_with_every_codec() {
    let tree = driver("int toy;\n");
    for compression in ["", "none", "gzip:6", "gzip:9", "xz:2", "xz:9", "zstd:3", "zstd:19"] {
        let options = if compression.is_empty() { vec![] } else { vec!["--compression", compression] };
        let all = packages(&tree, &options);
        assert_eq!(all.len(), FORMATS.len());
        for package in all {
            let old = fs::read(&package).unwrap();
            for exchange in [itself(&package, tree.path()), Exchange::default()] {
                let (again, void) = rewritten(&package, &exchange);
                assert!(fs::read(again).unwrap() == old, "{} {compression}", package.display());
                assert_eq!(void, [""; 0]);
            }
            fs::remove_file(package).unwrap();
        }
    }
}

#[test]
fn another_content_is_as_if_it_had_been_packaged() {
    // of another size, and of the same
    for new in ["int another;\n".repeat(700), "int yot;\n".to_owned(), String::new()] {
        let (one, other) = (driver("int toy;\n"), driver(&new));
        for (old, expected) in packages(&one, &[]).iter().zip(packages(&other, &[])) {
            let files = BTreeMap::from([("/usr/src/toy-1.0/toy.h".to_owned(), Content::Text(new.clone()))]);
            let (again, _) = rewritten(old, &Exchange { files, ..Exchange::default() });
            assert!(fs::read(again).unwrap() == fs::read(&expected).unwrap(), "{}", expected.display());
        }
    }
}

#[test]
fn another_script_is_as_if_it_had_been_packaged() {
    let with_script = |text: &str| {
        let tree = driver("");
        tree.file(
            "kpkg.toml",
            "[source]\nexclude = [\"extra\"]\n[scripts]\nafter-install.after = \"extra\"\n",
        );
        tree.file("extra", text);
        tree
    };
    let (one, other) = (with_script("echo one\n"), with_script(&"echo other\n".repeat(300)));
    for (old, expected) in packages(&one, &[]).iter().zip(packages(&other, &[])) {
        let found = format::open(&expected, &mut format::Nobody).unwrap().unwrap();
        let scripts = found.scripts.into_iter().map(|script| (script.name, script.text)).collect();
        let (again, _) = rewritten(old, &Exchange { scripts, ..Exchange::default() });
        assert!(fs::read(again).unwrap() == fs::read(&expected).unwrap(), "{}", expected.display());
    }
}

#[test]
fn signatures_of_what_was_there_are_left_out() {
    let tree = driver("");
    let package = packages(&tree, &[]).pop().unwrap();
    let old = fs::read(&package).unwrap();
    let mut signed = old.clone();
    signed.extend(format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "_gpgorigin", 0, 0, 0, 100_644, 4).bytes());
    signed.extend(b"sign");
    fs::write(&package, &signed).unwrap();
    let exchange = itself(&package, tree.path());
    let (again, void) = rewritten(&package, &exchange);
    assert_eq!(void, ["_gpgorigin"]);
    assert!(fs::read(again).unwrap() == old);
    let (again, void) = rewritten(&package, &Exchange::default());
    assert_eq!(void, [""; 0]);
    assert!(fs::read(again).unwrap() == signed, "nothing changed, and the signature is still good");
}

#[test]
fn what_is_not_there_is_not_exchanged() {
    let tree = driver("");
    for package in packages(&tree, &[]) {
        for path in ["/nowhere", "/usr/src/toy-1.0", "/usr/src/toy-1.0/link.h"] {
            let files = BTreeMap::from([(path.to_owned(), Content::Text(String::new()))]);
            let mut out = Dir::new(tree.path().join("none"), Means::default());
            let exchange = Exchange { files, ..Exchange::default() };
            let error = format::rewrite(&package, &exchange, &mut out).unwrap_err();
            assert!(error.to_string().contains(path), "{error}");
            assert_eq!(tree.names("none"), [""; 0]);
        }
    }
}

/// The members of a .deb before compression, or the header and the payload of an .rpm; what of them the way of compression decides is left
/// out.
fn parts(package: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(package).unwrap();
    let unpacked = |bytes: &[u8]| {
        let mut unpacked = Vec::new();
        archive::decompressed(bytes).unwrap().read_to_end(&mut unpacked).unwrap();
        unpacked
    };
    if bytes.starts_with(&[0xed, 0xab, 0xee, 0xdb]) {
        let end = |at: usize| {
            let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            at + 16 + 16 * number(at + 8) + number(at + 12)
        };
        let header = end(96).next_multiple_of(8);
        let payload = end(header);
        // the one digest of the payload as it is stored
        let digest = format!("{:x}", sha2::Sha256::digest(&bytes[payload..]));
        let text = String::from_utf8_lossy(&bytes[header..payload]).replace(&digest, "DIGEST");
        return vec![
            ("lead".to_owned(), bytes[..96].to_vec()),
            ("header".to_owned(), text.into_bytes()),
            ("payload".to_owned(), unpacked(&bytes[payload..])),
        ];
    }
    if !bytes.starts_with(b"!<arch>\n") {
        return vec![("tar".to_owned(), unpacked(&bytes))];
    }
    let mut members = Vec::new();
    let mut archive = ar::Archive::new(bytes.as_slice());
    while let Some(member) = archive.next_entry() {
        let mut member = member.unwrap();
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        members.push((name, unpacked(&bytes)));
    }
    members
}

/// Everything in it exchanged for itself, and compared.
fn compare(package: &Path, folder: &Path) {
    let exchange = itself(package, folder);
    let (again, void) = rewritten(package, &exchange);
    let (old, new) = (parts(package), parts(&again));
    assert_eq!(
        old.iter().filter(|(name, _)| !void.contains(name)).count(),
        new.len(),
        "{} {void:?}",
        package.display()
    );
    for (old, new) in old.iter().filter(|(name, _)| !void.contains(name)).zip(&new) {
        assert!(old == new, "{} {}", package.display(), old.0);
    }
    println!(
        "{}: the same, with {} files and {} scripts",
        package.display(),
        exchange.files.len(),
        exchange.scripts.len()
    );
    fs::remove_file(again).unwrap();
}

#[test]
fn packages_of_dpkg_deb_are_the_same_before_compression() {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        return missing("dpkg-deb");
    }
    let tree = Tree::empty();
    tree.file("root/DEBIAN/control", "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: J <j@x.org>\nInstalled-Size: 77\nDescription: x\n");
    tree.script("root/DEBIAN/postinst", "#!/bin/sh\nexit 0\n");
    tree.file("root/usr/share/x/one", "1")
        .file(&format!("root/usr/{}/{}", "a".repeat(120), "b".repeat(120)), "2");
    fs::hard_link(tree.path().join("root/usr/share/x/one"), tree.path().join("root/usr/share/x/two"))
        .unwrap();
    for codec in ["none", "gzip", "xz", "zstd"] {
        let name = format!("{codec}.deb");
        let output = Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Z", codec, "-b", "root", &name])
            .current_dir(tree.path())
            .output()
            .unwrap();
        // dpkg of Debian 11 has no Zstandard
        if codec != "zstd" || output.status.success() {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            compare(&tree.path().join(name), tree.path());
        }
    }
}

#[test]
fn packages_of_rpmbuild_are_the_same_before_compression() {
    if Command::new("rpmbuild").arg("--version").output().is_err() {
        return missing("rpmbuild");
    }
    let tree = Tree::empty();
    let spec = "Name: x\nVersion: 1\nRelease: 1\nSummary: x\nLicense: MIT\nBuildArch: noarch\nRequires: y >= 2\n\
                %description\nx\n%install\nmkdir -p %{buildroot}/usr/share/x\necho 1 > %{buildroot}/usr/share/x/one\n\
                ln %{buildroot}/usr/share/x/one %{buildroot}/usr/share/x/two\nln -s one %{buildroot}/usr/share/x/link\n\
                echo 3 > %{buildroot}/usr/share/x/three\n%post\necho installed\n%posttrans -p /bin/sh\necho done\n\
                %triggerin -- y\necho triggered\n%files\n/usr/share/x\n";
    tree.file("x.spec", spec);
    for payload in ["w6.gzdio", "w2.xzdio", "w19.zstdio"] {
        let output = Command::new("rpmbuild")
            .args(["-bb", "x.spec", "--define"])
            .arg(format!("_topdir {}", tree.path().display()))
            .args(["--define", &format!("_binary_payload {payload}")])
            .current_dir(tree.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let package = tree.path().join("RPMS/noarch/x-1-1.noarch.rpm");
        compare(&package, tree.path());
        // and what rpm says of one that changed
        let files = BTreeMap::from([("/usr/share/x/three".to_owned(), Content::Text("x".repeat(5000)))]);
        let scripts = BTreeMap::from([("%post".to_owned(), "echo another\n".to_owned())]);
        let (again, _) = rewritten(&package, &Exchange { files, scripts, ..Exchange::default() });
        let rpm = |words: &[&str], package: &Path| {
            let output = Command::new("rpm").args(words).arg(package).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            String::from_utf8(output.stdout).unwrap()
        };
        let checked = rpm(&["-Kv"], &again);
        for what in ["Header SHA256 digest: OK", "Payload SHA256 digest: OK", "MD5 digest: OK"] {
            assert!(checked.contains(what), "{checked}");
        }
        let size = |text: String| text.parse::<u64>().unwrap();
        let old = size(rpm(&["-qp", "--qf", "%{SIZE}"], &package));
        assert_eq!(size(rpm(&["-qp", "--qf", "%{SIZE}"], &again)), old - 2 + 5000);
        assert_eq!(rpm(&["-qp", "--qf", "%{POSTIN}"], &again), "echo another\n");
    }
}

#[test]
fn packages_of_a_folder_are_the_same_before_compression() {
    let Some(folder) = std::env::var_os("KPKG_REWRITE") else { return };
    let mut packages: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    packages.retain(|path| path.extension().is_some_and(|end| end == "deb" || end == "rpm" || end == "zst"));
    packages.sort();
    assert!(!packages.is_empty(), "no package there");
    let scratch = Tree::empty();
    for package in packages {
        let copy = scratch.path().join(package.file_name().unwrap());
        fs::copy(&package, &copy).unwrap();
        compare(&copy, scratch.path());
        fs::remove_file(copy).unwrap();
    }
}
