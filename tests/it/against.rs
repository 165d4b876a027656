//! `kpkg check --against`: which kernels load finished modules, by every way in which kernels are named.

use std::fs;
use std::process::Command;

use crate::sign::run;
use crate::support::{Tree, kernel};

const BUILT: &str = "6.12.0-124.8.1.el10_1.x86_64";
const SAME: &str = "6.12.0-124.13.1.el10_1.x86_64";
const NEXT: &str = "6.12.0-211.7.1.el10_2.x86_64";

fn symvers(proc_create: u32) -> String {
    format!(
        "0x80000001\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n{proc_create:#010x}\tproc_create\tvmlinux\tEXPORT_SYMBOL\t\n\
         0x00000006\tusb_put\tusbcore\tEXPORT_SYMBOL\t\n0x00000007\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n"
    )
}

/// A module that was built for a kernel, and the lists of three kernels, of which the last has another `proc_create`.
fn tree() -> Tree {
    let tree = Tree::empty();
    let needs =
        [("printk", Some(0x8000_0001)), ("proc_create", Some(0x0fc9_6016)), ("module_layout", Some(7))];
    tree.file("toy.ko", kernel::module(BUILT, &needs));
    for (release, crc) in [(BUILT, 0x0fc9_6016), (SAME, 0x0fc9_6016), (NEXT, 0x8fb2_bc85)] {
        tree.file(&format!("lists/symvers-{release}"), symvers(crc));
    }
    tree
}

#[test]
fn every_kernel_is_judged_and_named_by_what_differs() {
    let tree = tree();
    let expected = format!(
        "toy.ko, built for {BUILT}\n  {SAME}  serves\n  {NEXT}   does not: proc_create 0x0fc96016 → 0x8fb2bc85\n"
    );
    let lists = format!("lists/symvers-{SAME},lists/symvers-{NEXT}");
    let across = ["check", "toy.ko", "--across-minors", "--against"];
    assert_eq!(run(&tree, &[&across[..], &[&lists]].concat()), (Some(3), expected));
    // compressed ones, a folder, repeats
    for (program, end) in [("gzip", ".gz"), ("xz", ".xz")] {
        let list = format!("lists/symvers-{NEXT}");
        assert!(
            Command::new(program).arg("-k").arg(&list).current_dir(tree.path()).status().unwrap().success()
        );
        let (code, text) = run(&tree, &[&across[..], &[&format!("{list}{end}")]].concat());
        assert!(code == Some(3) && text.contains(&format!("{NEXT}  does not: proc_create")), "{text}");
        fs::remove_file(tree.path().join(format!("{list}{end}"))).unwrap();
    }
    let (code, text) = run(&tree, &[&across[..], &["lists", "--against", &lists]].concat());
    assert!(code == Some(3) && text.lines().count() == 4, "{text}");
    // the other minor release is an obstacle of its own
    let (_, text) = run(&tree, &["check", "-v", "toy.ko", "--against", "lists"]);
    assert!(
        text.contains("does not: `6.12.0-211.7.1.el10_2.x86_64` is of another minor release than")
            && text.contains(", and 1 more"),
        "{text}"
    );
    assert!(text.lines().any(|line| line.trim() == "proc_create 0x0fc96016 → 0x8fb2bc85"), "{text}");
    assert_eq!(run(&tree, &["check", "toy.ko", "--against", &format!("lists/symvers-{SAME}")]).0, Some(0));
    // whether the distribution promised it
    tree.file("stable", "[rhel9_x86_64_stablelist]\n\tprintk\n\tproc_create\n");
    for (list, expected) in [
        ("stable", "0x8fb2bc85, which is on the list of stable symbols"),
        ("lists/../toy.c", "0x8fb2bc85, on no list"),
    ] {
        tree.file("toy.c", "");
        let (_, text) = run(&tree, &[&across[..], &["lists", "--stable-list", list]].concat());
        assert!(text.contains(expected), "{text}");
    }
    // for programs
    let (code, text) = run(&tree, &[&across[..], &["lists", "--json"]].concat());
    assert_eq!(code, Some(3), "{text}");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let served: Vec<_> = events.iter().filter(|event| event["reason"] == "served").collect();
    assert_eq!(
        served.iter().map(|event| event["serves"].as_bool().unwrap()).collect::<Vec<_>>(),
        [true, true, false]
    );
    assert_eq!(
        (&served[2]["obstacles"][0]["kind"], &served[2]["obstacles"][0]["found"]),
        (&"checksum".into(), &0x8fb2_bc85_u32.into())
    );
}

#[test]
fn kernels_are_headers_folders_and_releases_too() {
    let tree = Tree::empty();
    kernel::driver(&tree);
    kernel::headers(&tree, "headers", kernel::RELEASE);
    let config = fs::read_to_string(tree.path().join("headers/include/config/auto.conf")).unwrap();
    let config = format!("{config}CONFIG_SMP=y\nCONFIG_MODULE_UNLOAD=y\nCONFIG_MODVERSIONS=y\n");
    tree.file("headers/include/config/auto.conf", &config);
    assert_eq!(run(&tree, &crate::sign::BUILD).0, Some(0));
    let deb = crate::sign::DEB;
    for (words, release) in [
        (vec!["headers"], kernel::RELEASE),
        (vec![kernel::RELEASE, "--kernel-headers", "headers"], kernel::RELEASE),
    ] {
        let (code, text) = run(&tree, &[&["check", deb, "--against"], &words[..]].concat());
        assert_eq!((code, text), (Some(0), format!("{deb}, built for {release}\n  {release}  serves\n")));
    }
    // the list of a kernel whose headers are named too adds nothing to it
    tree.file(
        &format!("lists/symvers-{}", kernel::RELEASE),
        "0x00000010\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n",
    );
    for both in ["lists,headers", "headers,lists"] {
        let (code, text) = run(&tree, &["check", deb, "--against", both]);
        assert_eq!((code, text.lines().count()), (Some(0), 2), "{text}");
    }
    // headers of another machine, of which not all are there
    tree.file("half/Module.symvers", "0x00000010\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n");
    tree.file("half/include/config/auto.conf", config.replace("CONFIG_X86_64", "CONFIG_ARM64"));
    let (code, text) = run(&tree, &["check", deb, "--against", "half"]);
    assert!(
        code == Some(3) && text.contains("half  does not: it is for x86_64, and the kernel is for aarch64"),
        "{text}"
    );
    // the words behind the release, and where kernels lie
    kernel::headers(&tree, "all/next", "6.1.0-2-toy");
    tree.file("all/next/include/config/auto.conf", format!("{config}CONFIG_PREEMPT_RT=y\n"));
    tree.file("modules/6.1.0-3-toy/symvers.gz", "0x00000011\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n");
    let (code, text) = run(&tree, &["check", deb, "--against", "all,modules"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(
        text.contains("6.1.0-2-toy  does not: the kernel has `preempt_rt` in its vermagic, and it has not"),
        "{text}"
    );
    assert!(text.contains("6.1.0-3-toy  does not: printk 0x00000010 → 0x00000011"), "{text}");
}

#[test]
fn what_is_no_kernel_or_no_module_is_said() {
    let tree = tree();
    tree.file("cut", "0x80000001\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x0fc9");
    tree.file("other", symvers(1)).file(&format!("{SAME}/Module.symvers"), symvers(2));
    tree.file("text.deb", "no package").file("empty/x", "");
    let same = format!("lists/symvers-{SAME},{SAME}/Module.symvers");
    for (words, code, expected) in [
        (&["toy.ko", "--against", "cut"][..], 2, "line 2 of the list of symbols: it is cut short"),
        (&["toy.ko", "--against", "toy.ko"], 2, "line 1 of the list of symbols"),
        (&["toy.ko", "--against", "empty"], 2, "holds no kernel to judge by"),
        (&["toy.ko", "--against", "9.9.9-none"], 5, "9.9.9-none"),
        (&["toy.ko", "--against", &same], 2, "two kernels of the release"),
        (&["toy.ko", "--against", "nowhere/symvers"], 2, "there are no headers and no list of symbols"),
        (&["lists", "--against", "lists"], 2, "is a folder, of which no module is built yet"),
        (&["text.deb", "--against", "lists"], 2, "holds no kernel module"),
        (&["toy.ko", "--across-minors"], 2, "--against"),
        (&["toy.ko", "--against", "lists", "--fix"], 2, "cannot be used with"),
    ] {
        let (found, text) = run(&tree, &[&["check"], words].concat());
        assert!(found == Some(code) && text.contains(expected), "{words:?}: {found:?} {text}");
    }
    // a list of which nobody says which kernel it is of is called as it lies there
    let (code, text) = run(&tree, &["check", "toy.ko", "--against", "other"]);
    assert!(
        code == Some(3) && text.contains("  other  does not: proc_create 0x0fc96016 → 0x00000001"),
        "{text}"
    );
    // a million rows, within the time of a test
    let row = |index: u32| format!("{index:#010x}\tsymbol_{index}\tvmlinux\tEXPORT_SYMBOL\t\n");
    tree.file("large", (0..1_000_000).map(row).collect::<String>() + &symvers(0x0fc9_6016));
    assert_eq!(run(&tree, &["check", "toy.ko", "--against", "large"]).0, Some(0));
    // modules without checksums
    tree.file("plain.ko", kernel::module("7.2.12+deb14-amd64", &[("printk", None)]));
    let (code, text) = run(&tree, &["check", "plain.ko", "--against", &format!("lists/symvers-{SAME}")]);
    assert!(
        code == Some(3)
            && text.contains("its symbols have no checksums: it loads in the kernel `7.2.12+deb14-amd64`"),
        "{text}"
    );
    // what is kept of a list is that list's, and goes with the rest
    assert!(!tree.names("cache/symbols").is_empty());
    let judge = || run(&tree, &["check", "toy.ko", "--against", "other"]).1;
    let before = judge();
    tree.file("other", symvers(0x0fc9_6016));
    assert!(judge().contains("  other  serves") && !before.contains("serves"));
    for kept in tree.names("cache/symbols") {
        tree.file(&format!("cache/symbols/{kept}"), "KPKGSYM1 what is cut short");
    }
    assert!(judge().contains("  other  serves"));
    assert_eq!(run(&tree, &["kernels", "prune"]).0, Some(0));
    assert_eq!(tree.names("cache/symbols"), [""; 0]);
}
