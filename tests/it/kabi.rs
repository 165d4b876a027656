//! `--group kabi` and `flavour`: which kernels one build serves, what packages are named and need, and what is refused.

use std::process::Command;

use crate::source::is_here;
use crate::support::{Tree, kernel};

const K1: &str = "5.14.0-503.11.1.el9_5.x86_64";
const K2: &str = "5.14.0-503.40.1.el9_5.x86_64";
const K3: &str = "5.14.0-570.12.1.el9_6.x86_64";

/// A driver whose modules lie in its source, each built for a kernel of that name.
fn tree() -> Tree {
    let tree = Tree::empty();
    kernel::driver(&tree);
    tree
}

/// Headers in which `proc_create` has a checksum, with the module that a build for them gives.
fn headers(tree: &Tree, folder: &str, release: &str, proc_create: u32) {
    kernel::headers(tree, folder, release);
    let symvers = format!(
        "0x00000010\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n{proc_create:#010x}\tproc_create\tvmlinux\tEXPORT_SYMBOL\t\n\
         0x00000020\tusb_put\tusbcore\tEXPORT_SYMBOL\t\n0x00000007\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n"
    );
    tree.file(&format!("{folder}/Module.symvers"), symvers);
    tree.file(&format!("{folder}/Makefile"), format!("all:\n\tcp $(M)/{release}.bin $(M)/toy.ko\n"));
    tree.file(
        &format!("{folder}/include/config/auto.conf"),
        "CONFIG_X86_64=y\nCONFIG_SMP=y\nCONFIG_MODULE_UNLOAD=y\nCONFIG_MODVERSIONS=y\nCONFIG_CC_VERSION_TEXT=\"gcc (GCC) 99.1.0\"\nCONFIG_CC_IS_GCC=y\n",
    );
    let needs = [
        ("printk", Some(0x10)),
        ("proc_create", Some(proc_create)),
        ("usb_put", Some(0x20)),
        ("module_layout", Some(7)),
    ];
    tree.file(&format!("driver/{release}.bin"), kernel::module(release, &needs));
}

/// Exit code, and standard error, of a build.
fn build(tree: &Tree, more: &[&str]) -> (Option<i32>, String) {
    let mut command = tree.command(&["driver", "--prebuilt"]);
    if !more.contains(&"-o") {
        command.args(["-o", "out"]);
    }
    command.args(more).env("KPKG_CACHE", tree.path().join("cache")).env("PATH", "/usr/bin:/bin");
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// What rpm says of a package.
fn query(tree: &Tree, file: &str, what: &str) -> Vec<String> {
    let output = Command::new("rpm")
        .args(["-qp", what, &format!("out/{file}")])
        .current_dir(tree.path())
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

const RHEL: [&str; 4] = ["-t", "rhel-9", "--group", "kabi"];

#[test]
fn one_build_serves_every_kernel_with_its_checksums() {
    let tree = tree();
    for (folder, release, crc) in [("k1", K1, 0x9fc9_6016), ("k2", K2, 0x9fc9_6016), ("k3", K3, 0x0fb2_bc85)]
    {
        headers(&tree, folder, release, crc);
    }
    let all = ["--kernel-headers", "k3,k2,k1"];
    let (code, text) = build(&tree, &[&RHEL[..], &all].concat());
    assert_eq!(code, Some(0), "{text}");
    let (first, second) = (
        "kmod-toy-5.14.0-503.11.1.el9_5-1.0-1.x86_64.rpm",
        "kmod-toy-5.14.0-570.12.1.el9_6-1.0-1.x86_64.rpm",
    );
    assert_eq!(tree.names("out"), ["kmod-toy-1.0-1.x86_64.rpm", first, second]);
    assert!(text.contains(&format!("{K2}  served: by the modules for {K1}")), "{text}");
    assert!(text.contains(&format!("`bases = [\"{K1}\", \"{K3}\"]` under `[prebuilt]`")), "{text}");
    assert_eq!(tree.names("cache/builds").len(), 2, "compiled for two of three");
    if is_here("rpm") {
        let needs = query(&tree, first, "--requires");
        for need in [
            "kernel(printk) = 0x00000010",
            "kernel(proc_create) = 0x9fc96016",
            "kernel(usb_put) = 0x00000020",
            "kernel(module_layout) = 0x00000007",
        ] {
            assert!(needs.iter().any(|one| one == need), "{need}: {needs:?}");
        }
        assert!(!needs.iter().any(|need| need.contains("uname-r")), "{needs:?}");
        let meta = query(&tree, "kmod-toy-1.0-1.x86_64.rpm", "--requires");
        for (package, crc) in [
            ("kmod-toy-5.14.0-503.11.1.el9_5", "0x9fc96016"),
            ("kmod-toy-5.14.0-570.12.1.el9_6", "0x0fb2bc85"),
        ] {
            assert!(meta.contains(&format!("({package} if kernel(proc_create) = {crc})")), "{meta:?}");
        }
        assert!(meta.contains(&"toy-kmod".to_owned()), "{meta:?}");
        // another kernel that is served changes nothing in the package
        let before = std::fs::read(tree.path().join("out").join(first)).unwrap();
        let (_, text) = build(&tree, &[&RHEL[..], &["--kernel-headers", "k1,k3"]].concat());
        assert!(before == std::fs::read(tree.path().join("out").join(first)).unwrap(), "{text}");
    }
    // twelve kernels, one build
    for number in 0..12 {
        headers(&tree, &format!("many/{number:02}"), &format!("5.14.0-503.{number}.1.el9_5.x86_64"), 5);
    }
    let folders: Vec<_> = (0..12).map(|number| format!("many/{number:02}")).collect();
    let (code, text) =
        build(&tree, &[&RHEL[..], &["--kernel-headers", &folders.join(","), "-o", "dozen"]].concat());
    assert_eq!((code, text.matches("served: by").count()), (Some(0), 11), "{text}");
    assert_eq!(tree.names("dozen").len(), 2);
    assert_eq!(tree.names("cache/builds").len(), 3);
}

#[test]
fn bases_that_are_named_stay() {
    let tree = tree();
    for (folder, release) in [("k1", K1), ("k2", K2)] {
        headers(&tree, folder, release, 5);
    }
    let newer = "kmod-toy-5.14.0-503.40.1.el9_5-1.0-1.x86_64.rpm";
    assert_eq!(build(&tree, &[&RHEL[..], &["--kernel-headers", "k2"]].concat()).0, Some(0));
    assert_eq!(tree.names("out"), ["kmod-toy-1.0-1.x86_64.rpm", newer]);
    // by an earlier package, and by kpkg.toml: the older kernel is no base then
    let both = [&RHEL[..], &["--kernel-headers", "k1,k2", "-o", "again"]].concat();
    let previous = format!("out/{newer}");
    assert_eq!(build(&tree, &[&both[..], &["--previous", &previous]].concat()).0, Some(0));
    assert_eq!(tree.names("again"), ["kmod-toy-1.0-1.x86_64.rpm", newer]);
    tree.file("driver/kpkg.toml", format!("[prebuilt]\ngroup = \"kabi\"\nbases = [\"{K2}\"]\n"));
    let (code, text) = build(&tree, &["-t", "rhel-9", "--kernel-headers", "k1,k2", "-o", "said"]);
    assert_eq!(
        (code, tree.names("said")),
        (Some(0), vec!["kmod-toy-1.0-1.x86_64.rpm".to_owned(), newer.to_owned()]),
        "{text}"
    );
    // where there are no such packages each kernel has its own
    let (code, text) = build(&tree, &["-t", "fedora-43", "--kernel-headers", "k1,k2", "-o", "fedora"]);
    assert_eq!((code, tree.names("fedora").len()), (Some(0), 3), "{text}");
    // without the headers of a base nothing is built under another name
    let (code, text) = build(&tree, &["-t", "rhel-9", "--kernel-headers", "k1", "-o", "none"]);
    assert!(code == Some(5) && text.contains("packages are named by their base"), "{code:?} {text}");
    assert!(tree.names("none").is_empty());
}

#[test]
fn what_no_symbol_tells_apart_is_known_by_its_release() {
    let tree = tree();
    for (folder, release) in [("k1", K1), ("k2", K2), ("k3", K3)] {
        headers(&tree, folder, release, 5);
    }
    // another minor release
    let all = ["--kernel-headers", "k1,k2,k3"];
    let (code, text) = build(&tree, &[&RHEL[..], &all, &["-v"]].concat());
    assert!(code == Some(0) && text.contains("no symbol tells the kernels that the modules for"), "{text}");
    if is_here("rpm") {
        let meta = query(&tree, "kmod-toy-1.0-1.x86_64.rpm", "--requires");
        for expected in [
            format!(
                "(kmod-toy-5.14.0-503.11.1.el9_5 if (kernel-uname-r >= {K1} with kernel-uname-r < {K3}))"
            ),
            format!("(kmod-toy-5.14.0-570.12.1.el9_6 if kernel-uname-r >= {K3})"),
        ] {
            assert!(meta.contains(&expected), "{expected}: {meta:?}");
        }
    }
    // who has tested it has one package for all
    let across = [&RHEL[..], &all, &["--across-minors", "-o", "across"]].concat();
    assert_eq!((build(&tree, &across).0, tree.names("across").len()), (Some(0), 2));
}

#[test]
fn a_kernel_without_checksums_is_served_by_its_own_build_alone() {
    let tree = tree();
    headers(&tree, "k1", K1, 5);
    headers(&tree, "k2", K2, 5);
    for (folder, release) in [("k1", K1), ("k2", K2)] {
        tree.file(&format!("driver/{release}.bin"), kernel::module(release, &[("printk", None)]));
        tree.file(&format!("{folder}/Module.symvers"), "0x00000000\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n");
    }
    let (code, text) = build(&tree, &[&RHEL[..], &["--kernel-headers", "k1,k2"]].concat());
    assert_eq!((code, tree.names("out").len()), (Some(0), 3), "{text}");
    if is_here("rpm") {
        let needs = query(&tree, "kmod-toy-5.14.0-503.11.1.el9_5-1.0-1.x86_64.rpm", "--requires");
        assert!(needs.contains(&format!("kernel-uname-r = {K1}")), "{needs:?}");
    }
}

#[test]
fn packages_of_a_flavour_are_those_of_suse() {
    let tree = tree();
    let (one, next, other) = ("6.4.0-150600.21-default", "6.4.0-150600.23-default", "6.4.0-150600.21-azure");
    for (folder, release) in [("k1", one), ("k2", next), ("k3", other)] {
        headers(&tree, folder, release, 5);
    }
    let suse = ["-t", "suse-15", "--group", "flavour", "--kernel-headers", "k1,k2,k3", "-v"];
    let (code, text) = build(&tree, &suse);
    assert_eq!(code, Some(0), "{text}");
    let (default, azure) = (
        "toy-kmp-default-1.0_k6.4.0_150600.21-1.x86_64.rpm",
        "toy-kmp-azure-1.0_k6.4.0_150600.21-1.x86_64.rpm",
    );
    assert_eq!(tree.names("out"), [azure, default]);
    assert!(text.contains("`modinfo -F supported` says nothing of toy"), "{text}");
    if is_here("rpm") {
        let provides = query(&tree, default, "--provides");
        for expected in ["multiversion(kernel)", "toy-kmp = 1.0_k6.4.0_150600.21-1", "kmod(toy.ko)"] {
            assert!(provides.iter().any(|one| one == expected), "{expected}: {provides:?}");
        }
        assert!(query(&tree, default, "--requires").contains(&"ksym(default:proc_create) = 5".to_owned()));
        assert_eq!(query(&tree, default, "--enhances"), ["kernel-default"]);
        let supplements = query(&tree, default, "--supplements");
        assert!(
            supplements.contains(&"modalias(kernel-default:pci:v00008086d00001234sv*)".to_owned()),
            "{supplements:?}"
        );
    }
}

#[test]
fn what_dkms_would_build_otherwise_is_another_build() {
    let tree = tree();
    headers(&tree, "k1", K1, 5);
    headers(&tree, "k2", K2, 5);
    tree.script("driver/pre.sh", "#!/bin/sh\n");
    for (more, packages) in [
        // its own release in a command makes no difference
        ("PRE_BUILD=\"pre.sh $kernelver\"\n", 2),
        (
            "MAKE[0]=\"make -C $kernel_source_dir M=$dkms_tree/toy/1.0/build\"\nMAKE[1]=\"make -C $kernel_source_dir M=$dkms_tree/toy/1.0/build A=1\"\nMAKE_MATCH[1]=\"-503.40\"\n",
            3,
        ),
        ("BUILD_EXCLUSIVE_KERNEL=\"-503.11\"\n", 2),
    ] {
        tree.file("driver/dkms.conf", format!("{}{more}", kernel::CONF));
        let out = format!("out-{}", more.len());
        let (code, text) = build(&tree, &[&RHEL[..], &["--kernel-headers", "k1,k2", "-o", &out]].concat());
        assert_eq!((code, tree.names(&out).len()), (Some(0), packages), "{more}: {text}");
    }
}

#[test]
fn what_cannot_be_a_range_is_said_and_nothing_is_written() {
    let tree = tree();
    headers(&tree, "k1", K1, 5);
    headers(&tree, "k2", K2, 5);
    headers(&tree, "el10", "6.12.0-55.9.1.el10_0.x86_64", 5);
    headers(&tree, "bare", K2, 5);
    std::fs::remove_file(tree.path().join("bare/Module.symvers")).unwrap();
    headers(&tree, "cut", K2, 5);
    tree.file("cut/Module.symvers", "0x00000010\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x0000");
    headers(&tree, "twice", K1, 5);
    tree.file("text", "no package");
    let kabi = |more: &[&'static str]| [&RHEL[..], more].concat();
    for (words, code, expected) in [
        (
            vec!["-t", "debian-12", "--group", "kabi", "--kernel-headers", "k1"],
            2,
            "`debian-12` has no packages of `--group kabi`",
        ),
        (vec!["-t", "fedora-43", "--group", "kabi", "--kernel-headers", "k1"], 2, "name other targets: rhel"),
        (vec!["-t", "rhel-9", "--group", "flavour", "--kernel-headers", "k1"], 2, "name other targets: suse"),
        (kabi(&["--combine", "--kernel-headers", "k1"]), 2, "cannot be used with"),
        (kabi(&["--kernel-headers", "k1,el10"]), 2, "are kernels of two distributions"),
        (kabi(&["--kernel-headers", "k1,bare"]), 2, "have no Module.symvers"),
        (kabi(&["--kernel-headers", "k1,cut"]), 2, "line 2 of the list of symbols: it is cut short"),
        (kabi(&["--kernel-headers", "k1,twice"]), 2, "two folders of headers are of the kernel"),
        (kabi(&["--kernel-headers", "k1", "--previous", "text"]), 2, "holds no kernel module"),
        (
            vec!["-t", "rhel-9", "--kernel-headers", "k1", "--previous", "text"],
            2,
            "`--previous` is for packages that serve several",
        ),
    ] {
        let (found, text) = build(&tree, &words);
        assert!(found == Some(code) && text.contains(expected), "{words:?}: {found:?} {text}");
        assert!(tree.names("out").is_empty(), "{words:?}");
    }
}

#[test]
fn the_metapackage_speaks_of_kernels_without_a_module_as_kpkg_toml_says() {
    let tree = tree();
    headers(&tree, "k1", K1, 5);
    for (guard, trigger, recommends) in
        [("off", false, ""), ("warn", true, ""), ("hold", true, "kmod-toy-hold")]
    {
        tree.file("driver/kpkg.toml", format!("[prebuilt]\nkabi-guard = \"{guard}\"\n"));
        let (code, text) = build(&tree, &[&RHEL[..], &["--kernel-headers", "k1", "-o", guard]].concat());
        assert_eq!(code, Some(0), "{text}");
        if !is_here("rpm") {
            continue;
        }
        let ask = |what: &str| {
            let file = format!("{guard}/kmod-toy-1.0-1.x86_64.rpm");
            let output =
                Command::new("rpm").args(["-qp", what, &file]).current_dir(tree.path()).output().unwrap();
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        };
        let triggers = ask("--filetriggers");
        assert_eq!(triggers.contains("transfiletriggerin"), trigger, "{triggers}");
        assert!(!trigger || triggers.contains("-- /lib/modules, /usr/lib/modules"), "{triggers}");
        assert_eq!(ask("--recommends"), recommends);
    }
}
