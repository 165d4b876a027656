//! `kpkg guard`: the package that holds back kernels for which there are no modules.

use std::process::Command;

use crate::sign::run;
use crate::source::is_here;
use crate::support::{Tree, kernel};

const BUILT: &str = "5.14.0-503.11.1.el9_5.x86_64";
const NEXT: &str = "5.14.0-570.12.1.el9_6.x86_64";

/// A package of modules for a kernel, and the lists of symbols of that and of another one.
fn tree() -> Tree {
    let tree = Tree::empty();
    kernel::driver(&tree);
    kernel::headers(&tree, "built", BUILT);
    tree.file("driver/toy.bin", kernel::module(BUILT, &[("printk", Some(16))]));
    tree.file(&format!("lists/symvers-{BUILT}"), "0x00000010\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n");
    tree.file(&format!("lists/symvers-{NEXT}"), "0x00000011\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n");
    build(&tree, "rpm", "built");
    tree
}

fn build(tree: &Tree, format: &str, headers: &str) {
    let words = ["driver", "-q", "--prebuilt", "-f", format, "--kernel-headers", headers, "-o", "dist"];
    let (code, text) = run(tree, &words);
    assert_eq!(code, Some(0), "{text}");
}

const RPM: &str = "dist/kmod-toy-5.14.0-503.11.1.el9_5.x86_64-1.0-1.x86_64.rpm";

#[test]
fn kernels_that_no_package_serves_are_held() {
    let tree = tree();
    let (code, text) = run(&tree, &["guard", RPM, "--against", "lists", "-o", "hold"]);
    assert_eq!(code, Some(0), "{text}");
    for expected in [
        &format!("  {BUILT}  serves\n"),
        &format!("  {NEXT}  does not: `{NEXT}` is of another minor release"),
        &format!("      Held {NEXT}\n"),
        "hold/kmod-toy-hold-1.0-1.noarch.rpm\n",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let conflicts = |file: &str| {
        let output =
            Command::new("rpm").args(["-qp", "--conflicts", file]).current_dir(tree.path()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    if is_here("rpm") {
        assert_eq!(conflicts("hold/kmod-toy-hold-1.0-1.noarch.rpm"), format!("kernel-uname-r = {NEXT}\n"));
    }
    // one that holds none takes its place
    let served = format!("lists/symvers-{BUILT}");
    let free = ["guard", RPM, "--against", &served, "-o", "free", "--release", "2", "-t", "rhel-9"];
    let (code, text) = run(&tree, &free);
    assert!(code == Some(0) && text.contains("every kernel is served: the package holds none"), "{text}");
    if is_here("rpm") {
        assert_eq!(conflicts("free/kmod-toy-hold-1.0-2.noarch.rpm"), "");
    }
    // for programs
    let (_, text) = run(&tree, &["guard", RPM, "--against", "lists", "-o", "json", "--json"]);
    let reasons: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["reason"].clone())
        .collect();
    assert_eq!(reasons, ["served", "served", "artifact"]);
    // dnf 5 is told what to leave out
    assert_eq!(
        run(&tree, &["guard", RPM, "--against", "lists", "-o", "fedora", "-t", "fedora-43", "-q"]).0,
        Some(0)
    );
    let (_, text) = run(&tree, &["show", "--json", "fedora/kmod-toy-hold-1.0-1.noarch.rpm"]);
    assert!(text.contains("/usr/share/dnf5/libdnf.conf.d/60-kmod-toy-hold.conf"), "{text}");
}

#[test]
fn what_cannot_be_guarded_is_said_and_nothing_is_written() {
    let tree = tree();
    tree.file("toy.ko", kernel::module(BUILT, &[("printk", Some(16))])).file("text", "no package");
    tree.file("some list", "0x00000011\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n");
    let other = "6.1.0-1-amd64";
    kernel::headers(&tree, "debian", other);
    tree.file("driver/toy.bin", kernel::module(other, &[("printk", Some(16))]));
    build(&tree, "deb", "debian");
    tree.file(&format!("lists/symvers-{other}"), "0x00000010\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n");
    let deb = "dist/toy-modules-6.1.0-1-amd64_1.0-1_amd64.deb";
    for (words, code, expected) in [
        (&["toy.ko"][..], 2, "is no package"),
        (&["text"], 2, "is no package"),
        (&["driver"], 2, "is no package"),
        (&[RPM, deb], 2, "write one package for each format"),
        (&[RPM, "-t", "debian-12"], 2, "`debian-12` uses deb, and the packages are of the format rpm"),
        (&["dist/kmod-toy-1.0-1.noarch.rpm"], 2, "holds no kernel module"),
        // nobody says which kernel that is
        (&[RPM, "--against", "some list"], 2, "is no relation with a kernel"),
        // what apt is to stay with is a version
        (&[deb], 2, "the version of the packages of the kernel"),
    ] {
        let lists: &[&str] = if words.contains(&"--against") { &[] } else { &["--against", "lists"] };
        let (found, text) = run(&tree, &[&["guard", "-o", "hold"], words, lists].concat());
        assert!(found == Some(code) && text.contains(expected), "{words:?}: {found:?} {text}");
        assert!(tree.names("hold").is_empty());
    }
}
