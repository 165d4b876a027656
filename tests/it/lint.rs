//! lintian and rpmlint on the packages of an example: no tag that is not explained here.
//!
//! Without the tools the test is skipped with a message, and `KPKG_TEST_STRICT=1` turns that into a failure.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Tags that remain on packages of drivers, and why. Tags of a driver's own files, such as an old address of the FSF in a comment
/// (`incorrect-fsf-address`, an error for rpmlint), concern the driver and are not repaired: its source is packaged byte for byte.
const EXPLAINED: &[(&str, &str)] = &[
    ("no-signature", "signing is a step after packaging"),
    ("invalid-license", "Debian's rpmlint has a list from before SPDX expressions"),
    ("devel-file-in-non-devel-package", "the driver's source is what a source-only package is for"),
    ("dangerous-command-in-%pre", "the scripts move modules, with rm, cp and mv"),
    ("dangerous-command-in-%preun", "as above"),
    ("dangerous-command-in-%postun", "as above"),
    ("dangerous-command-in-%posttrans", "as above"),
    (
        "maintainer-script-lacks-debhelper-token",
        "the scripts are whole; nothing of debhelper's belongs into them",
    ),
    (
        "override_dh_clean-does-not-call-dh_clean",
        "it would delete files of the driver's source, such as `*.orig`",
    ),
    ("no-buildroot-tag", "rpm ignores it since version 4.6"),
    ("invalid-url", "kpkg made the archives; no address has them"),
    (
        "hardcoded-packager-tag",
        "the built package names who answers for it, as the one that is written at once",
    ),
    ("hardcoded-library-path", "modules are in /lib/modules, whatever the machine's libraries are in"),
    ("no-url-tag", "only without `homepage` in kpkg.toml; a made-up address would help nobody"),
];

fn usable(tool: &str) -> bool {
    if Command::new(tool).arg("--version").output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("KPKG_TEST_STRICT").is_none(), "{tool} is not installed");
    eprintln!("skipped: {tool} is not installed");
    false
}

/// The example's packages in `folder`.
fn build(folder: &Path, format: &str) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/greeter");
    let output = Command::new(env!("CARGO_BIN_EXE_kpkg"))
        .args(["-q", "-f", format, "-o"])
        .arg(folder)
        .arg(example)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn package(folder: &Path, ending: &str) -> std::path::PathBuf {
    let mut paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.find(|path| path.extension().is_some_and(|extension| extension == ending)).unwrap()
}

/// Errors and warnings among lines of `KIND: TAG ...` behind a prefix that ends in `: `.
fn unexplained(text: &str) -> BTreeSet<String> {
    let known: BTreeSet<_> = EXPLAINED.iter().map(|(tag, _)| *tag).collect();
    let mut found = BTreeSet::new();
    for line in text.lines() {
        let tag = ["E: ", "W: "].iter().find_map(|kind| line.split_once(kind)).and_then(|(_, rest)| {
            // lintian puts the package's name between kind and tag
            let rest = rest
                .split_once(": ")
                .filter(|(name, _)| !name.trim_end_matches(" source").contains(' '))
                .map_or(rest, |(_, tag)| tag);
            rest.split_whitespace().next()
        });
        found.extend(tag.filter(|tag| !known.contains(tag)).map(str::to_owned));
    }
    found
}

#[test]
fn lintian_has_nothing_unexplained() {
    if !usable("lintian") {
        return;
    }
    for (format, ending) in [("deb", "deb"), ("dsc", "dsc"), ("dsc", "changes")] {
        let folder = tempfile::tempdir().unwrap();
        build(folder.path(), format);
        let output = Command::new("lintian")
            .args(["--no-cfg", "--allow-root", "--no-override", "--profile", "debian/main"])
            .arg(package(folder.path(), ending))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(unexplained(&text).is_empty() && !said.contains("cannot"), "{text}{said}");
    }
}

#[test]
fn rpmlint_has_nothing_unexplained() {
    if !usable("rpmlint") {
        return;
    }
    for format in ["rpm", "srpm"] {
        let folder = tempfile::tempdir().unwrap();
        build(folder.path(), format);
        let output = Command::new("rpmlint").arg(package(folder.path(), "rpm")).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("1 packages and 0 specfiles checked"), "{text}");
        assert!(unexplained(&text).is_empty(), "{text}");
    }
}
