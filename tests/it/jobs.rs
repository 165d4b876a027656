//! The plan of a build as a value: the same on every machine, another one where anything that decides is another.

use std::fs;
use std::path::Path;

use crate::support;
use kpkg::build::jobs::BuildPlan;
use kpkg::build::{self, Options, Prebuilt};
use kpkg::input::Input;
use kpkg::kernel::machine::Machine;
use support::{Tree, kernel};

const RELEASES: [&str; 2] = ["6.1.0-1-test", "6.12.0-2-test"];

/// A driver of which the second kernel is excluded, and headers of two kernels beside it.
fn tree() -> Tree {
    let tree = Tree::empty();
    kernel::driver(&tree);
    for release in RELEASES {
        kernel::headers(&tree, &format!("headers-{release}"), release);
    }
    tree
}

fn options(tree: &Tree) -> Options {
    let headers = RELEASES.map(|release| tree.path().join(format!("headers-{release}")));
    Options {
        formats: vec!["deb".into(), "rpm".into()],
        output: tree.path().join("dist"),
        stamp: Some(1_700_000_000),
        prebuilt: Some(Prebuilt {
            kernels: RELEASES.map(str::to_owned).to_vec(),
            headers: headers.to_vec(),
            arch: std::env::consts::ARCH.to_owned(),
            cache: tree.path().join("cache"),
            ..Prebuilt::default()
        }),
        ..Options::default()
    }
}

fn plan_of(tree: &Tree, options: &Options) -> BuildPlan {
    let input =
        Input::open(&tree.path().join("driver"), None, Path::new("/tmp"), &options.means.stop).unwrap();
    build::plan(&input, options).unwrap()
}

fn plan(tree: &Tree) -> BuildPlan {
    plan_of(tree, &options(tree))
}

#[test]
fn a_plan_is_the_same_elsewhere_and_survives_its_way() {
    let (here, there) = (tree(), tree());
    let plan = plan(&here);
    let names: Vec<_> = plan
        .jobs
        .iter()
        .map(|job| (job.format.as_str(), job.kernel.as_ref().unwrap().release.as_str()))
        .collect();
    let expected = [("deb", RELEASES[0]), ("deb", RELEASES[1]), ("rpm", RELEASES[0]), ("rpm", RELEASES[1])];
    assert_eq!(names, expected);
    let keys: std::collections::BTreeSet<_> = plan.jobs.iter().map(|job| &job.key).collect();
    assert_eq!(keys.len(), plan.jobs.len(), "each has a key of its own");
    // another place, other times of files, other processors, another cache
    let mut options = options(&there);
    let prebuilt = options.prebuilt.as_mut().unwrap();
    prebuilt.compilers = 7;
    prebuilt.machine = Machine { processors: Some(7), online_processors: Some(7), ..Machine::default() };
    prebuilt.cache = there.path().join("another");
    options.output = there.path().join("elsewhere");
    assert_eq!(plan_of(&there, &options), plan);
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<BuildPlan>(&text).unwrap(), plan);
    assert!(!text.contains(here.path().to_str().unwrap()), "{text}");
}

#[test]
fn whatever_decides_is_in_the_key() {
    let usual = plan(&tree());
    let other = |what: &str, plan: BuildPlan| {
        assert_eq!(plan.jobs.len(), usual.jobs.len(), "{what}");
        let same = plan.jobs.iter().zip(&usual.jobs).filter(|(one, other)| one.key == other.key).count();
        (same, what.to_owned())
    };
    let changed = |what: &str, change: &dyn Fn(&Tree)| {
        let tree = tree();
        change(&tree);
        other(what, plan(&tree))
    };
    let asked = |what: &str, change: &dyn Fn(&mut Options)| {
        let tree = tree();
        let mut options = options(&tree);
        change(&mut options);
        other(what, plan_of(&tree, &options))
    };
    let conf = |tree: &Tree, more: &str| {
        let path = tree.path().join("driver/dkms.conf");
        fs::write(&path, fs::read_to_string(&path).unwrap() + more).unwrap();
    };
    let file = |tree: &Tree, path: &str, text: &str| {
        tree.file(path, text);
    };
    let header = |path: &str| format!("headers-{}/{path}", RELEASES[1]);
    let all = [
        changed("a file of the source", &|tree| file(tree, "driver/new.h", "x")),
        changed("a line of dkms.conf", &|tree| conf(tree, "NO_WEAK_MODULES=yes\n")),
        changed("kpkg.toml", &|tree| file(tree, "driver/kpkg.toml", "[driver]\nsummary = \"another\"\n")),
        asked("an option", &|options| options.request.compression = Some("gzip".to_owned())),
        asked("the time", &|options| options.stamp = Some(1)),
        asked("os-release", &|options| {
            options.prebuilt.as_mut().unwrap().machine.os_release = Some("ID=x\n".to_owned());
        }),
    ];
    for (same, what) in all {
        assert_eq!(same, 0, "{what}");
    }
    // those of one kernel only
    let one = [
        changed("a header", &|tree| file(tree, &header("include/linux/new.h"), "x")),
        changed("the compiler", &|tree| {
            let path = tree.path().join(header("include/config/auto.conf"));
            let text = fs::read_to_string(&path).unwrap_or_default();
            fs::write(path, text + "CONFIG_CC_VERSION_TEXT=\"gcc-99 (x) 99.1.0\"\n").unwrap();
        }),
    ];
    for (same, what) in one {
        assert_eq!(same, 2, "{what}");
    }
    // those of one format only
    let templates = |tree: &Tree| {
        let mut options = options(tree);
        options.templates = Some(tree.path().join("templates"));
        plan_of(tree, &options)
    };
    let tree = tree();
    tree.file("templates/deb/dkms/copyright.txt.hbs", "another\n");
    let (same, _) = other("a template", templates(&tree));
    assert_eq!(same, 0, "any template may be a part of any other");
}

#[test]
fn what_is_not_for_a_kernel_is_skipped_with_the_reason() {
    let tree = tree();
    let path = tree.path().join("driver/dkms.conf");
    let text = fs::read_to_string(&path).unwrap() + "BUILD_EXCLUSIVE_KERNEL=\"^6\\.1\\.\"\n";
    fs::write(path, text).unwrap();
    let skipped: Vec<_> = plan(&tree).jobs.into_iter().map(|job| job.skipped).collect();
    assert!(skipped[0].is_none() && skipped[2].is_none());
    assert!(skipped[1].as_ref().is_some_and(|why| why.contains("BUILD_EXCLUSIVE_KERNEL")), "{skipped:?}");
}
