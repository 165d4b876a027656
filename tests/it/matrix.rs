//! From a lock to packages by a plan: many machines make what one would, and a merge proves that nothing is missing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::mirror;
use crate::support::server::Server;
use crate::support::{Tree, golden};

const KERNELS: [(&str, &str); 4] = [
    ("6.1.0-9-amd64", "6.1.27-1"),
    ("6.1.0-10-amd64", "6.1.37-1"),
    ("6.1.0-10-cloud-amd64", "6.1.37-1"),
    ("6.1.0-11-amd64", "6.1.38-1"),
];
const JOBS: [&str; 4] = [
    "debian-12.6.1.0-9-amd64",
    "debian-12.6.1.0-10-amd64",
    "debian-12.6.1.0-10-cloud-amd64",
    "debian-12.6.1.0-11-amd64",
];

/// A driver for all kernels but what its dkms.conf leaves out, the lock, and headers that are fetched.
fn tree() -> Tree {
    let tree = Tree::empty();
    mirror::debian(&tree, &KERNELS);
    mirror::driver(&tree, &KERNELS.map(|(release, _)| release));
    for verb in ["update", "fetch"] {
        let output = kpkg(&tree, &["kernels", verb]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    tree
}

fn command(tree: &Tree, arguments: &[&str]) -> Command {
    let mut command = tree.command(arguments);
    command.env("KPKG_CACHE", tree.path().join("cache")).env("PATH", std::env::var("PATH").unwrap());
    // the day in tables
    command.env("SOURCE_DATE_EPOCH", "1700000000");
    command
}

fn kpkg(tree: &Tree, arguments: &[&str]) -> Output {
    command(tree, arguments).output().unwrap()
}

/// Exit code, and both streams as one text.
fn run(tree: &Tree, arguments: &[&str]) -> (i32, String) {
    let output = kpkg(tree, arguments);
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.code().unwrap_or(-1), text.replace(&tree.path().display().to_string(), "[FOLDER]"))
}

fn good(tree: &Tree, arguments: &[&str]) -> String {
    let (code, text) = run(tree, arguments);
    assert_eq!(code, 0, "{arguments:?}: {text}");
    text
}

fn plan(tree: &Tree) -> Value {
    serde_json::from_slice(&fs::read(tree.path().join("plan.json")).unwrap()).unwrap()
}

fn result(tree: &Tree, job: &str) -> Value {
    serde_json::from_slice(&fs::read(tree.path().join(format!("out/{job}/result.json"))).unwrap()).unwrap()
}

/// Every file below a folder, with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success());
}

#[test]
fn shards_anywhere_and_a_merge_make_what_one_machine_does() {
    let tree = tree();
    // one kernel is left out by its release, one by what only its headers say, and one does not compile
    let conf = fs::read_to_string(tree.path().join("dkms.conf")).unwrap();
    tree.file("dkms.conf", format!("{conf}BUILD_EXCLUSIVE_KERNEL=\"^6\\.1\\.0-(9|10)-\"\n"));
    good(&tree, &["matrix", "--shards", "2"]);
    let planned = plan(&tree);
    golden("matrix/plan.json", &masked(&planned));
    let ids: Vec<_> =
        planned["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
    assert_eq!(ids, JOBS[..3]);
    assert_eq!(planned["skipped"][0]["code"], "excluded");
    // each shard on a machine of its own
    let others: Vec<Tree> = (0..2)
        .map(|number| {
            let other = Tree::empty();
            copy(tree.path(), other.path());
            good(&other, &["build", "--plan", "plan.json", "--shard", &number.to_string(), "-o", "out"]);
            other
        })
        .collect();
    let text = good(
        &tree,
        &[
            "merge",
            others[0].path().join("out").to_str().unwrap(),
            others[1].path().join("out").to_str().unwrap(),
        ],
    );
    assert!(text.contains("kernels: 3 ok, 1 skipped, 0 failed"), "{text}");
    good(&tree, &["build", "--prebuilt", "-k", "debian-12", "-o", "one"]);
    assert_eq!(files(&tree.path().join("dist/debian-12")), files(&tree.path().join("one")));
    for name in ["support.json", "support.md", "support.svg"] {
        let text = fs::read_to_string(tree.path().join("dist").join(name)).unwrap();
        golden(&format!("matrix/{name}"), &keyless(&text));
    }
    let junit = fs::read_to_string(tree.path().join("dist/junit.xml")).unwrap();
    assert!(junit.contains("tests=\"4\" failures=\"0\" errors=\"0\" skipped=\"1\""), "{junit}");
}

/// Digests as what they are.
fn masked(value: &Value) -> String {
    keyless(&(serde_json::to_string_pretty(value).unwrap() + "\n"))
}

fn keyless(text: &str) -> String {
    let hex = regex::Regex::new("[0-9a-f]{64}").unwrap();
    let folder = regex::Regex::new("file:/[^\"]*/mirror").unwrap();
    folder.replace_all(&hex.replace_all(text, "DIGEST"), "file:MIRROR").into_owned()
}

#[test]
fn a_plan_is_the_same_everywhere_and_another_one_where_something_decides() {
    let tree = tree();
    good(&tree, &["matrix"]);
    let usual = plan(&tree);
    let other = Tree::empty();
    copy(tree.path(), other.path());
    good(&other, &["matrix"]);
    let keys = |plan: &Value| {
        plan["jobs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["key"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(plan(&other), usual);
    // what lies beside the source decides nothing
    other.file("out/x/result.json", "{}");
    good(
        &other,
        &["matrix", "--since", "old/support.json", "-o", "out"]
            .map(|word| if word == "old/support.json" { "dist/support.json" } else { word })[..1],
    );
    assert_eq!(keys(&plan(&other)).len(), 4);
    for (file, text) in
        [("toy.c", "// other\n"), ("kpkg.toml", "kernels = [\"debian-12\"]\n[driver]\nsummary = \"x\"\n")]
    {
        other.file(file, text);
        good(&other, &["matrix", "-o", "out"]);
        assert!(keys(&plan(&other)).iter().all(|key| !keys(&usual).contains(key)), "{file}");
    }
    // one kernel's headers: its job alone
    let lock = fs::read_to_string(tree.path().join("kernels.lock")).unwrap();
    let digest =
        regex::Regex::new("linux-headers-6.1.0-11-amd64_[^\"]*\", sha256 = \"([0-9a-f]{64})").unwrap();
    let digest = digest.captures(&lock).unwrap()[1].to_owned();
    tree.file("kernels.lock", lock.replace(&digest, &"0".repeat(64)));
    good(&tree, &["matrix"]);
    let changed: Vec<_> =
        keys(&plan(&tree)).into_iter().zip(keys(&usual)).map(|(one, other)| one == other).collect();
    assert_eq!(changed, [true, true, true, false]);
}

#[test]
fn what_git_does_not_track_is_no_part_of_a_plan() {
    let tree = tree();
    let git = |arguments: &[&str]| {
        let own = ["-c", "user.name=J", "-c", "user.email=j@example.org"];
        let status = Command::new("git").current_dir(tree.path()).args(own).args(arguments).status().unwrap();
        assert!(status.success());
    };
    tree.file(".gitignore", "/mirror/\n/cache/\n");
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "x"]);
    good(&tree, &["matrix"]);
    // such as what `--emit` printed into a file beside the driver
    tree.file("kpkg.sbatch", "#!/bin/sh\n");
    good(&tree, &["build", "--plan", "plan.json", "-o", "out"]);
    assert!(good(&tree, &["merge", "out"]).contains("kernels: 4 ok"));
}

#[test]
fn nothing_that_is_done_is_done_again() {
    let tree = tree();
    good(&tree, &["matrix"]);
    good(&tree, &["build", "--plan", "plan.json", "-o", "out"]);
    let first = files(&tree.path().join("out"));
    let text = good(&tree, &["build", "--plan", "plan.json", "-o", "out"]);
    assert_eq!(text.matches("there from an earlier run").count(), 4, "{text}");
    assert_eq!(files(&tree.path().join("out")), first);
    // by keys: from a folder, and from an address
    good(&tree, &["merge", "out", "--store", "store"]);
    let server = Server::new();
    for (path, bytes) in files(&tree.path().join("store")) {
        server.bytes(path.to_str().unwrap(), bytes);
    }
    for from in ["store", "out", &server.url] {
        let other = Tree::empty();
        copy(tree.path(), other.path());
        fs::remove_dir_all(other.path().join("out")).unwrap();
        fs::remove_dir_all(other.path().join("cache/builds")).unwrap();
        let from =
            if from == "out" { tree.path().join("out").display().to_string() } else { from.to_owned() };
        let text = good(&other, &["build", "--plan", "plan.json", "-o", "out", "--reuse", &from]);
        assert_eq!(text.matches(": reused").count(), 4, "{from}: {text}");
        assert!(!text.contains("Compiling"), "{text}");
        let packages = |files: BTreeMap<PathBuf, Vec<u8>>| -> BTreeMap<_, _> {
            files.into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "deb")).collect()
        };
        assert_eq!(packages(files(&other.path().join("out"))), packages(first.clone()));
    }
    // files that are not what the result says are none: of a folder they are built anew, of an address an error
    let package = format!("{}/toy-modules-6.1.0-9-amd64_1.0-1_amd64.deb", JOBS[0]);
    tree.file(&format!("out/{package}"), "damaged");
    let text = good(&tree, &["build", "--plan", "plan.json", "-o", "out"]);
    assert_eq!(text.matches("there from an earlier run").count(), 3, "{text}");
    assert_eq!(fs::read(tree.path().join("out").join(&package)).unwrap(), first[Path::new(&package)]);
    let key = plan(&tree)["jobs"][0]["key"].as_str().unwrap().to_owned();
    server.bytes(&format!("{key}/toy-modules-6.1.0-9-amd64_1.0-1_amd64.deb"), "damaged");
    fs::remove_dir_all(tree.path().join("out")).unwrap();
    let (code, text) = run(&tree, &["build", "--plan", "plan.json", "-o", "out", "--reuse", &server.url]);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("it ended after 7 of") && !tree.path().join("out").join(JOBS[0]).exists(),
        "{text}"
    );
}

#[test]
fn a_kernel_that_fails_is_a_result_and_the_merge_tells_it() {
    let tree = tree();
    fs::remove_file(tree.path().join("toy-6.1.0-10-amd64.bin")).unwrap();
    good(&tree, &["matrix"]);
    let (code, text) = run(&tree, &["build", "--plan", "plan.json", "-o", "out"]);
    assert_eq!(code, 4, "{text}");
    assert_eq!(result(&tree, JOBS[1])["kernels"][0]["state"], "fail");
    let (code, text) = run(&tree, &["merge", "out"]);
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("kernels: 3 ok, 0 skipped, 1 failed"), "{text}");
    let junit = fs::read_to_string(tree.path().join("dist/junit.xml")).unwrap();
    assert!(
        junit.contains("<failure message=\"failed: ") && junit.contains("toy-6.1.0-10-amd64.bin"),
        "{junit}"
    );
    // the packages of the others are there, and lead to the newest of those that are
    let names = tree.names("dist/debian-12");
    assert_eq!(names.len(), 5, "{names:?}");
    // a day later the driver compiles: what has a result is not done again, and days count on
    let old = fs::read_to_string(tree.path().join("dist/support.json")).unwrap();
    tree.file("old/support.json", old.replace("2023-11-14", "2023-11-01"));
    tree.file(
        "toy-6.1.0-10-amd64.bin",
        crate::support::kernel::module("6.1.0-10-amd64", &[("printk", Some(16))]),
    );
    good(&tree, &["matrix", "--since", "old/support.json"]);
    good(&tree, &["build", "--plan", "plan.json", "-o", "out"]);
    good(&tree, &["merge", "out", "--since", "old/support.json"]);
    let support: Value =
        serde_json::from_slice(&fs::read(tree.path().join("dist/support.json")).unwrap()).unwrap();
    let since: Vec<_> =
        support["rows"].as_array().unwrap().iter().map(|row| row["since"].as_str().unwrap()).collect();
    assert_eq!(since.iter().filter(|day| **day == "2023-11-14").count(), 1, "{support}");
    // a machine that lacks what building takes gives no result
    fs::remove_dir_all(tree.path().join("cache/builds")).unwrap();
    let (code, text) = run(&tree, &["build", "--plan", "plan.json", "-o", "lacking", "--no-sandbox"]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("kpkg kernels fetch --link") && tree.names("lacking").is_empty(), "{text}");
}

#[test]
fn a_daily_run_plans_what_is_new() {
    let tree = tree();
    good(&tree, &["matrix", "-k", "debian-12:<=6.1.0-10-cloud-amd64"]);
    good(&tree, &["build", "--plan", "plan.json", "-o", "out"]);
    good(&tree, &["merge", "out"]);
    fs::create_dir(tree.path().join("old")).unwrap();
    copy(&tree.path().join("dist"), &tree.path().join("old"));
    let daily = ["matrix", "--new-only", "--since", "old/support.json"];
    good(&tree, &daily);
    let jobs = plan(&tree)["jobs"].clone();
    assert_eq!((jobs.as_array().unwrap().len(), jobs[0]["id"].as_str()), (1, Some(JOBS[3])));
    good(&tree, &["build", "--plan", "plan.json", "-o", "new"]);
    let text = good(&tree, &["merge", "new", "--since", "old/support.json"]);
    assert!(text.contains("kernels: 4 ok"), "{text}");
    fs::remove_dir_all(tree.path().join("old")).unwrap();
    fs::create_dir(tree.path().join("old")).unwrap();
    copy(&tree.path().join("dist"), &tree.path().join("old"));
    // nothing is new
    good(&tree, &daily);
    assert_eq!(plan(&tree)["jobs"].as_array().unwrap().len(), 0);
    assert_eq!(
        good(&tree, &["matrix", "--new-only", "--since", "old/support.json", "--emit", "json", "-q"]),
        "[]\n"
    );
    good(&tree, &["build", "--plan", "plan.json", "-o", "none"]);
}

#[test]
fn results_that_are_not_the_plans_are_named() {
    let tree = tree();
    good(&tree, &["matrix", "-k", "debian-12:cloud", "--plan", "other.json"]);
    good(&tree, &["build", "--plan", "other.json", "-o", "foreign"]);
    good(&tree, &["matrix", "--shards", "2"]);
    good(&tree, &["build", "--plan", "plan.json", "-o", "out"]);
    let edit = |job: &str, change: &dyn Fn(&mut Value)| {
        let mut value = result(&tree, job);
        change(&mut value);
        tree.file(&format!("out/{job}/result.json"), value.to_string());
    };
    let merged = |folders: &[&str]| {
        let (code, text) = run(&tree, &[&["merge"], folders, &["-o", "none"]].concat());
        assert!(!tree.path().join("none").exists());
        (code, text)
    };
    let check = |message: &str, (code, text): (i32, String)| {
        assert_eq!(code, 1, "{message}: {text}");
        assert!(text.contains(message) && text.contains("K0161"), "{message}: {text}");
    };
    let keep = files(&tree.path().join("out"));
    let restore = || {
        fs::remove_dir_all(tree.path().join("out")).unwrap();
        for (path, bytes) in &keep {
            tree.file(&format!("out/{}", path.display()), bytes);
        }
    };
    fs::remove_dir_all(tree.path().join("out").join(JOBS[2])).unwrap();
    check("the job `debian-12.6.1.0-10-cloud-amd64` has no result", merged(&["out"]));
    check("`debian-12.6.1.0-10-cloud-amd64` is of another plan", merged(&["out", "foreign"]));
    restore();
    copy(&tree.path().join("out").join(JOBS[0]), &tree.path().join("again/x"));
    check("has two results, with the same packages", merged(&["out", "again"]));
    edit(JOBS[0], &|value| value["packages"][0]["sha256"] = Value::from("0".repeat(64)));
    check("has two results, with different packages", merged(&["out", "again"]));
    check("is not the file that was built", merged(&["out"]));
    restore();
    edit(JOBS[1], &|value| value["job"] = Value::from("nobody"));
    check("there is no job `nobody` in the plan", merged(&["out"]));
    restore();
    edit(JOBS[1], &|value| value["key"] = Value::from("0".repeat(64)));
    check("has another key than the job", merged(&["out"]));
    restore();
    edit(JOBS[1], &|value| value["packages"][0]["name"] = Value::from("../../../etc/passwd"));
    check("is no name of a file beside it", merged(&["out"]));
    restore();
    tree.file(&format!("out/{}/result.json", JOBS[1]), "{");
    check("is no result of this kpkg", merged(&["out"]));
    restore();
    tree.file(&format!("out/{}/toy-modules-amd64_1.0-1_amd64.deb", JOBS[1]), "x");
    check("is not the file that was built", merged(&["out"]));
    restore();
    good(&tree, &["merge", "out", "out", "-o", "fine"]);
    let (code, text) = run(&tree, &["merge", "nowhere"]);
    assert_eq!(code, 2, "{text}");
}

#[test]
fn plans_that_are_not_for_here_are_refused() {
    let tree = tree();
    good(&tree, &["matrix"]);
    let build = |more: &[&str]| run(&tree, &[&["build", "--plan", "plan.json", "-o", "out"], more].concat());
    let refused = |message: &str, more: &[&str]| {
        let (code, text) = build(more);
        assert_eq!(code, 2, "{message}: {text}");
        assert!(text.contains(message) && text.contains("= help: "), "{message}: {text}");
        assert!(tree.names("out").is_empty());
    };
    refused("the plan has no shard `debian-12.x86-64.7`", &["--shard", "debian-12.x86-64.7"]);
    refused("the plan has no shard `1`", &["--shard", "1"]);
    refused("`--target` does nothing here: the plan says it", &["--target", "debian-12"]);
    refused("`--kernel` does nothing here: the plan says it", &["-k", "6.1.0-9-amd64"]);
    let whole = fs::read_to_string(tree.path().join("plan.json")).unwrap();
    for (from, to, message) in [
        ("kpkg-plan/1", "kpkg-plan/9", "its schema is `kpkg-plan/9`"),
        ("\"kpkg\": \"", "\"kpkg\": \"9.", "the plan is of kpkg 9."),
        ("\"version\": \"1.0\"", "\"version\": \"2.0\"", "the plan is for toy 2.0, and here is toy 1.0"),
        ("\"id\": \"debian-12.6.1.0-9-amd64\"", "\"id\": \"../../x\"", "`../../x` names no job"),
        ("\"key\": \"", "\"key\": \"x", "is not whole"),
        ("\"release\": null", "\"release\": \"7\"", "would give other packages here than were planned"),
        ("{", "[", "is no plan of this kpkg"),
    ] {
        tree.file("plan.json", whole.replacen(from, to, 1));
        refused(message, &[]);
    }
    tree.file("plan.json", &whole);
    tree.file("toy.c", "// another version\n");
    refused("the source of toy 1.0 is not the one that was planned", &[]);
    fs::remove_file(tree.path().join("plan.json")).unwrap();
    let (code, text) = build(&[]);
    assert!(code == 2 && text.contains("cannot read the plan `plan.json`"), "{text}");
}

#[test]
fn engines_are_told_no_more_than_they_hold() {
    let tree = tree();
    let emitted = |engine: &str, more: &[&str]| {
        run(&tree, &[&["matrix", "--shards", "2", "-q", "--emit", engine], more].concat())
    };
    let toml = fs::read_to_string(tree.path().join("kpkg.toml")).unwrap();
    for with_image in [false, true] {
        if with_image {
            tree.file("kpkg.toml", format!("{toml}[ci]\nimages = {{ debian-12 = \"debian:12\" }}\nrunners = {{ x86_64 = \"big\" }}\nsetup = \"./ci/setup\"\n"));
        }
        for engine in ["github", "gitlab", "kubernetes", "slurm", "make", "json"] {
            let (code, text) = emitted(engine, &[]);
            if engine == "kubernetes" && !with_image {
                assert_eq!(code, 2, "{text}");
                assert!(text.contains("has no image, and a pod is nothing without"), "{text}");
                continue;
            }
            assert_eq!(code, 0, "{text}");
            assert!(text.lines().count() <= 60, "{engine}: {} lines", text.lines().count());
            assert_eq!(
                text.contains("--no-sandbox"),
                with_image && !["slurm", "make", "json"].contains(&engine),
                "{text}"
            );
            golden(&format!("matrix/{engine}{}.txt", if with_image { "-image" } else { "" }), &text);
        }
    }
    // a thousand kernels
    let kernels: String = (0..1000).map(|number| format!(
        "\n[[kernel]]\ntarget = \"debian-12\"\narch = \"x86_64\"\nrelease = \"6.2.0-{number}-amd64\"\nversion = \"1\"\nflavour = \"amd64\"\nsource = \"s\"\n\
         status = \"current\"\nseen = \"2026-01-01\"\nheaders = [{{ path = \"p\", sha256 = \"{number:064x}\", size = 1 }}]\n"
    )).collect();
    tree.file("many.lock", format!("schema = \"kpkg-kernels/1\"\n[[source]]\nid = \"s\"\ntarget = \"debian-12\"\nkind = \"static\"\nurl = \"http://x\"\nsignature = \"unchecked\"\n{kernels}"));
    for (engine, message) in [("github", "256"), ("json", "256"), ("gitlab", "200")] {
        let (code, text) =
            run(&tree, &["matrix", "--lock", "many.lock", "--shards", "500", "--emit", engine]);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(&format!("`--shards {message}` puts more jobs into each")), "{text}");
        let (code, text) =
            run(&tree, &["matrix", "--lock", "many.lock", "--shards", message, "--emit", engine, "-q"]);
        assert_eq!(code, 0, "{text}");
    }
    let shards = plan(&tree)["shards"].as_array().unwrap().len();
    assert_eq!(shards, 200);
}

#[test]
fn a_matrix_that_is_killed_anywhere_ends_with_the_same_bytes() {
    let tree = tree();
    good(&tree, &["matrix"]);
    let expected = Tree::empty();
    copy(tree.path(), expected.path());
    good(&expected, &["build", "--plan", "plan.json", "-o", "out"]);
    good(&expected, &["merge", "out"]);
    let kills: u64 = std::env::var("KPKG_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let mut random = crate::support::Random(7);
    let mut killed = 0;
    for _ in 0..kills {
        for folder in ["out", "dist", "cache/builds", "cache/packages"] {
            let _none = fs::remove_dir_all(tree.path().join(folder));
        }
        for step in [&["build", "--plan", "plan.json", "-o", "out"][..], &["merge", "out"]] {
            let mut child = command(&tree, step)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(std::time::Duration::from_millis(random.below(700) as u64));
            killed += usize::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
            // whatever is there is whole
            for (path, bytes) in files(&tree.path().join("dist")) {
                let is_whole = path.starts_with("debian-12") && !path.to_str().unwrap().contains("/.");
                assert!(
                    !is_whole || Some(&bytes) == files(&expected.path().join("dist")).get(&path),
                    "{path:?}"
                );
            }
            good(&tree, step);
        }
        assert_eq!(
            files(&tree.path().join("dist/debian-12")),
            files(&expected.path().join("dist/debian-12"))
        );
        let tables = |tree: &Tree| fs::read_to_string(tree.path().join("dist/support.json")).unwrap();
        assert_eq!(tables(&tree), tables(&expected));
    }
    assert!(killed > 0);
}
