//! What the integration tests share: throw-away driver trees, the program under test, and golden files.

pub mod constructs;
pub mod deb;
pub mod elf;
pub mod git;
pub mod kernel;
pub mod mirror;
mod random;
pub mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub use random::{Random, c_text};

/// A driver's folder that vanishes with the value.
pub struct Tree {
    folder: tempfile::TempDir,
}

/// The smallest complete driver.
pub const CONF: &str = "PACKAGE_NAME=\"toy\"\nPACKAGE_VERSION=\"1.0\"\nBUILT_MODULE_NAME[0]=\"toy\"\nDEST_MODULE_LOCATION[0]=\"/updates\"\nAUTOINSTALL=\"yes\"\n";

impl Tree {
    /// Nothing in it.
    pub fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A driver of one module.
    pub fn toy() -> Self {
        Self::with_conf(CONF)
    }

    /// The same with another `dkms.conf`.
    pub fn with_conf(conf: &str) -> Self {
        let tree = Self::empty();
        tree.file("dkms.conf", conf);
        tree.file("Makefile", "obj-m := toy.o\n");
        tree.file(
            "toy.c",
            "// SPDX-License-Identifier: GPL-2.0-only\n#include <linux/module.h>\nMODULE_LICENSE(\"GPL\");\n\
             MODULE_AUTHOR(\"Jane Doe <jane@example.org>\");\n",
        );
        tree
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn file(&self, path: &str, text: impl AsRef<[u8]>) -> &Self {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub fn script(&self, path: &str, text: &str) -> &Self {
        self.file(path, text);
        fs::set_permissions(self.path().join(path), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Runs the program in the folder, with nothing of this environment.
    pub fn kpkg(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kpkg"));
        command.current_dir(self.path()).args(arguments).env_clear().env("SOURCE_DATE_EPOCH", "1700000000");
        command
    }

    /// The names below a folder of the tree, sorted; empty when there is no such folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path().join(folder)) else { return Vec::new() };
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// What a terminal would show: exit code, standard output, standard error.
    pub fn transcript(&self, arguments: &[&str]) -> String {
        let output = self.kpkg(arguments);
        let folder = self.path().display().to_string();
        let text = |bytes: &[u8]| without_sizes(&String::from_utf8_lossy(bytes).replace(&folder, "[FOLDER]"));
        format!(
            "$ kpkg {}\n{}exit {}\n---- standard error\n{}",
            arguments.join(" "),
            text(&output.stdout),
            output.status.code().map_or_else(|| "by signal".to_owned(), |code| code.to_string()),
            text(&output.stderr)
        )
    }
}

/// The sizes of artifacts change with every word of a script; their texts have golden files of their own.
fn without_sizes(text: &str) -> String {
    let mask = |line: &str| {
        if let (true, Some((path, (_, target)))) = (
            line.trim_start().starts_with("Wrote "),
            line.rsplit_once("  for ")
                .and_then(|(left, target)| left.rsplit_once("  ").map(|(path, size)| (path, (size, target)))),
        ) {
            return format!("{path}  [SIZE]  for {target}");
        }
        match line.split_once("\"size\":") {
            Some((before, after)) if line.contains("\"artifact\"") => {
                format!(
                    "{before}\"size\":[SIZE]{}",
                    after.trim_start_matches(|digit: char| digit.is_ascii_digit())
                )
            }
            _ => line.to_owned(),
        }
    };
    text.split('\n').map(mask).collect::<Vec<_>>().join("\n")
}

/// Compares a text with `tests/golden/NAME`; `KPKG_UPDATE=1` writes it.
pub fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("KPKG_UPDATE").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        expected == text,
        "{} differs; read this, and run the tests once with KPKG_UPDATE=1 when it is meant:\n{text}",
        path.display()
    );
}

/// Runs the body of the test of that name (`kills::a_killed_run`) in a process of its own, whose children and memory are nobody else's.
pub fn alone(name: &str, body: impl FnOnce()) {
    const ALONE: &str = "KPKG_TEST_ALONE";
    if std::env::var(ALONE).is_ok_and(|alone| alone == name) {
        return body();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", name, "--nocapture"]).env(ALONE, name).output().unwrap();
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    // what it has to say, without what the harness says around it
    let is_own =
        |line: &&str| !line.is_empty() && !line.starts_with("running ") && !line.starts_with("test ");
    text.lines().filter(is_own).for_each(|line| eprintln!("{line}"));
}

/// Says that a tool is missing; with `KPKG_TEST_STRICT` that is a failure.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
pub fn missing(tool: &str) {
    assert!(std::env::var_os("KPKG_TEST_STRICT").is_none(), "{tool} is not installed");
    eprintln!("skipped: {tool} is not installed");
}

/// What Fedora's kmodtool prints for `--for-kernels`, as far as the spec needs it: a package for each kernel, and where to build for it.
pub const KMODTOOL: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in --kmodname) name=${2%-kmod} ;; --for-kernels) kernels=$2 ;; --akmod) akmod=yes ;; esac
    shift
done
printf '%%define kmodinstdir_prefix /lib/modules/\n%%define kmodinstdir_postfix /extra/%s/\n' "$name"
for kernel in $kernels; do
    versions="$versions${kernel}___HEADERS "
    printf '%%package -n kmod-%s-%s\nSummary: x\nProvides: %s-kmod = %%{version}-%%{release}\n' "$name" "$kernel" "$name"
    printf '%%description -n kmod-%s-%s\nx\n%%files -n kmod-%s-%s\n/lib/modules/%s/extra/%s/\n' "$name" "$kernel" "$name" "$kernel" "$kernel" "$name"
done
[ -z "$kernels" ] || printf '%%define kernel_versions %s\n' "$versions"
[ -z "$akmod" ] || printf '%%define akmod_install mkdir -p %%{buildroot}/usr/src/akmods; rpmbuild --define "_sourcedir %%{_sourcedir}" --define "_srcrpmdir %%{buildroot}/usr/src/akmods" -bs --nodeps %%{_specdir}/%%{name}.spec\n%%package -n akmod-%s\nSummary: x\n%%description -n akmod-%s\nx\n%%files -n akmod-%s\n/usr/src/akmods/*\n' "$name" "$name" "$name"
"#;
