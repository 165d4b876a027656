//! kernels.lock: from mirrors of every kind to the headers of its kernels, and what is done about mirrors that are not as they should be.

use std::fs;
use std::process::Output;

use crate::support::mirror::{self, Deb};
use crate::support::server::{Page, Server};
use crate::support::{Tree, golden};

const KERNELS: [(&str, &str); 3] =
    [("6.1.0-9-amd64", "6.1.27-1"), ("6.1.0-10-amd64", "6.1.37-1"), ("6.1.0-10-cloud-amd64", "6.1.37-1")];

fn tree() -> Tree {
    let tree = Tree::empty();
    mirror::debian(&tree, &KERNELS);
    mirror::driver(&tree, &KERNELS.map(|(release, _)| release));
    tree
}

/// With the programs of the machine, or those of the tree's folder `bin`.
fn kpkg(tree: &Tree, arguments: &[&str]) -> Output {
    let own = tree.path().join("bin");
    let path = if own.exists() { own.into() } else { std::env::var_os("PATH").unwrap() };
    tree.command(arguments).env("KPKG_CACHE", tree.path().join("cache")).env("PATH", path).output().unwrap()
}

/// Exit code, and both streams as one text.
fn run(tree: &Tree, arguments: &[&str]) -> (i32, String) {
    let output = kpkg(tree, arguments);
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.code().unwrap_or(-1), text.replace(&tree.path().display().to_string(), "[FOLDER]"))
}

fn lock(tree: &Tree) -> String {
    fs::read_to_string(tree.path().join("kernels.lock")).unwrap()
}

/// Without the day.
fn dateless(text: &str) -> String {
    let line = |line: &str| {
        if line.starts_with("seen = ") { "seen = DAY\n".to_owned() } else { format!("{line}\n") }
    };
    text.lines().map(line).collect()
}

#[test]
fn a_lock_has_every_kernel_and_the_same_bytes_each_time() {
    let tree = tree();
    let (code, text) = run(&tree, &["kernels", "update"]);
    assert_eq!(code, 0, "{text}");
    let first = lock(&tree);
    golden("lock/kernels.lock", &dateless(&first.replace(&tree.path().display().to_string(), "[FOLDER]")));
    golden("lock/update.txt", &text);
    assert_eq!(run(&tree, &["kernels", "update", "--check"]).0, 0);
    fs::remove_file(tree.path().join("kernels.lock")).unwrap();
    let (code, _) = run(&tree, &["kernels", "update", "--check"]);
    assert_eq!((code, tree.path().join("kernels.lock").exists()), (1, false));
    run(&tree, &["kernels", "update"]);
    assert_eq!(lock(&tree), first);
}

#[test]
fn no_kernel_leaves_without_a_word() {
    let tree = tree();
    run(&tree, &["kernels", "update"]);
    let first = lock(&tree).replace("seen = \"2", "seen = \"1");
    tree.file("kernels.lock", &first);
    // one goes, one is built anew, one comes
    mirror::debian(
        &tree,
        &[
            ("6.1.0-10-amd64", "6.1.37-2"),
            ("6.1.0-10-cloud-amd64", "6.1.37-1"),
            ("6.1.0-11-amd64", "6.1.38-1"),
        ],
    );
    let (code, text) = run(&tree, &["kernels", "update", "--check"]);
    assert_eq!(code, 1, "{text}");
    assert_eq!(lock(&tree), first);
    let (code, text) = run(&tree, &["kernels", "update"]);
    assert_eq!(code, 0);
    golden("lock/changes.txt", &text);
    let second = lock(&tree);
    assert_eq!(second.matches("status = \"gone\"").count(), 1);
    assert_eq!(second.matches("seen = \"1").count(), 3, "{second}");
    // and comes back
    mirror::debian(&tree, &KERNELS);
    let (_, text) = run(&tree, &["kernels", "update"]);
    assert!(text.contains("+ debian-12 6.1.0-9-amd64 (6.1.27-1): listed again"), "{text}");
    assert!(text.contains("- debian-12 6.1.0-11-amd64 (6.1.38-1): gone"), "{text}");
    // who does not want one says so in the lock, and hears no more of it
    let retired = lock(&tree).replacen("status = \"current\"", "status = \"retired\"", 1);
    tree.file("kernels.lock", &retired);
    mirror::debian(&tree, &KERNELS[1..]);
    let (_, text) = run(&tree, &["kernels", "update"]);
    assert!(!text.contains("6.1.0-9"), "{text}");
    assert!(lock(&tree).contains("status = \"retired\""));
}

#[test]
fn headers_are_fetched_once_and_what_compiled_the_kernel_is_noted() {
    let tree = tree();
    run(&tree, &["kernels", "update"]);
    let (code, text) = run(&tree, &["kernels", "fetch", "debian-12:cloud", "--locked"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("headers of 1 kernel: 3 packages brought"), "{text}");
    assert!(!lock(&tree).contains("cc = "));
    let (code, text) = run(&tree, &["kernels", "fetch"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("headers of 3 kernels: 4 packages brought"), "{text}");
    assert_eq!(lock(&tree).matches("cc = \"gcc (GCC) 99.1.0\"").count(), 3);
    let (_, text) = run(&tree, &["kernels", "fetch"]);
    assert!(text.contains("headers of 3 kernels: 0 packages brought"), "{text}");
    let (_, text) = run(&tree, &["kernels", "list"]);
    assert!(text.contains("debian-12 6.1.0-10-cloud-amd64  6.1.37-1 locked, fetched, "), "{text}");
    // an update forgets nothing of it
    run(&tree, &["kernels", "update"]);
    assert_eq!(lock(&tree).matches("cc = ").count(), 3);
}

#[test]
fn a_distribution_is_all_that_a_build_has_to_name() {
    let tree = tree();
    run(&tree, &["kernels", "update"]);
    let (code, text) = run(&tree, &["--prebuilt", "-k", "debian-12"]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("`kpkg kernels fetch` brings them"), "{text}");
    run(&tree, &["kernels", "fetch"]);
    let (code, text) = run(&tree, &["--prebuilt", "-k", "debian-12"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(
        tree.names("dist"),
        [
            "toy-modules-6.1.0-10-amd64_1.0-1~deb12u1_amd64.deb",
            "toy-modules-6.1.0-10-cloud-amd64_1.0-1~deb12u1_amd64.deb",
            "toy-modules-6.1.0-9-amd64_1.0-1~deb12u1_amd64.deb",
        ]
        .map(|name| name.replace("~deb12u1", ""))
        .into_iter()
        .chain(["toy-modules-amd64_1.0-1_amd64.deb".into(), "toy-modules-cloud-amd64_1.0-1_amd64.deb".into()])
        .collect::<Vec<_>>()
    );
    let (code, text) =
        run(&tree, &["--prebuilt", "-k", "debian-12:cloud/latest-1,6.1.0-9-amd64", "-o", "two"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("selections and releases"), "{text}");
    let (code, text) =
        run(&tree, &["--prebuilt", "-k", "debian-12:cloud/latest-1", "-t", "deb", "-o", "two"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(tree.names("two").len(), 2);
    let (code, text) = run(&tree, &["--prebuilt", "-k", "debian-13"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("has no kernel that `debian-13` means"), "{text}");
}

/// What is wrong, how it comes to be, and what is said of it.
type Case<'a> = (&'a str, &'a dyn Fn(&Tree), &'a str);

/// What `kernels update` says of a mirror, after a change to its folder.
fn of_mirror(change: &dyn Fn(&Tree)) -> (i32, String) {
    let tree = tree();
    change(&tree);
    let found = run(&tree, &["kernels", "update"]);
    assert_eq!(tree.path().join("kernels.lock").exists(), found.0 == 0, "{}", found.1);
    found
}

/// Writes the main suite anew.
fn main_suite(tree: &Tree, debs: &[Deb]) {
    mirror::suite(&tree.path().join("mirror/debian"), "bookworm", debs);
}

#[test]
fn mirrors_that_are_not_as_they_should_be_are_named() {
    let in_release = "mirror/debian/dists/bookworm/InRelease";
    let packages = "mirror/debian/dists/bookworm/main/binary-amd64/Packages";
    let kernel = |change: &dyn Fn(&mut Vec<Deb>)| {
        let mut debs = mirror::headers("6.1.0-9-amd64", "6.1.27-1");
        change(&mut debs);
        debs
    };
    let cases: [Case<'_>; 9] = [
        (
            "not there",
            &|tree| fs::remove_dir_all(tree.path().join("mirror/debian/dists")).unwrap(),
            "neither InRelease nor Release",
        ),
        (
            "unsigned",
            &|tree| {
                let text = fs::read_to_string(tree.path().join("kpkg.toml")).unwrap();
                tree.file("kpkg.toml", text.replace(", unsigned = true", ""));
            },
            "is not signed: `file:[FOLDER]",
        ),
        (
            "expired",
            &|tree| {
                let text = fs::read_to_string(tree.path().join(in_release)).unwrap();
                tree.file(
                    in_release,
                    text.replace("SHA256:", "Valid-Until: Sat, 28 Nov 2020 08:12:13 UTC\nSHA256:"),
                );
            },
            "was good until Sat, 28 Nov 2020 08:12:13 UTC",
        ),
        (
            "another list",
            &|tree| {
                tree.file(packages, "Package: x\n");
            },
            "bytes, and ",
        ),
        (
            "another list of that size",
            &|tree| {
                let text = fs::read_to_string(tree.path().join(packages)).unwrap();
                tree.file(packages, text.replacen('6', "7", 1));
            },
            "has the SHA-256 ",
        ),
        (
            "no list",
            &|tree| {
                tree.file(in_release, "Origin: x\nSHA256:\n");
            },
            "lists no `main/binary-amd64/Packages`",
        ),
        (
            "half a kernel",
            &|tree| main_suite(tree, &kernel(&|debs| drop(debs.remove(1)))),
            "needs `linux-headers-6.1.0-9-common 6.1.27-1`, which no list has",
        ),
        (
            "the same in two suites",
            &|tree| {
                mirror::suite(
                    &tree.path().join("mirror/debian-security"),
                    "bookworm-security",
                    &kernel(&|debs| debs[0].bytes.push(0)),
                );
            },
            "and not the same",
        ),
        (
            "no mirror",
            &|tree| {
                tree.file("kpkg.toml", "kernels = [\"rhel-9\"]\n");
            },
            "`rhel-9 = \"https://HOST/PATH\"`",
        ),
    ];
    for (name, change, message) in cases {
        let (code, text) = of_mirror(change);
        assert!(code == 1 || (name == "no mirror" && code == 2), "{name}: {code} {text}");
        assert!(text.contains(message), "{name}: {text}");
        assert!(text.contains("= help: "), "{name}: {text}");
    }
    // a package that only leads to another one is no kernel; neither is what leads out of the mirror
    let (code, text) = of_mirror(&|tree| {
        let mut debs = mirror::headers("6.1.0-9-amd64", "6.1.27-1");
        debs.push(Deb::new(
            "linux-headers-6.1-amd64",
            "6.1.27-1",
            "amd64",
            "linux-headers-6.1.0-9-amd64 (= 6.1.27-1)",
            &[],
        ));
        main_suite(tree, &debs);
        let text = fs::read_to_string(tree.path().join(packages)).unwrap();
        let text = format!(
            "{text}Package: linux-headers-9.9-amd64\nVersion: 1\nArchitecture: amd64\nFilename: ../../etc/passwd\nSize: 1\nSHA256: {}\n",
            "0".repeat(64)
        );
        tree.file(packages, &text).file(in_release, mirror::release("bookworm", text.as_bytes(), ""));
    });
    assert_eq!((code, text.matches("+ debian-12").count()), (0, 1), "{text}");
    // of two versions the newer one, by dpkg's order; what needs no version takes the newest
    let (code, text) = of_mirror(&|tree| {
        let all = ["6.1.27-1~rc1", "6.1.27-1", "1:6.1.9-1"]
            .map(|version| mirror::headers("6.1.0-9-amd64", version))
            .concat();
        main_suite(tree, &all);
    });
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("+ debian-12 6.1.0-9-amd64 (1:6.1.9-1)"), "{text}");
}

#[test]
fn a_lock_that_somebody_edited_is_refused_at_its_place() {
    let tree = tree();
    run(&tree, &["kernels", "update"]);
    let good = lock(&tree);
    for (from, to, message) in [
        ("kpkg-kernels/1", "kpkg-kernels/0", "`kpkg-kernels/0` is of another version of kpkg"),
        ("schema = \"kpkg-kernels/1\"", "", "there is no `schema"),
        ("path = \"pool/", "path = \"../../pool/", "leads out of its mirror"),
        ("path = \"pool/", "path = \"/pool/", "leads out of its mirror"),
        ("sha256 = \"", "sha256 = \"x", "is no SHA-256"),
        ("status = \"current\"", "status = \"curent\"", "unknown variant `curent`"),
        ("release = \"6.1.0-9-amd64\"", "release = \"../6.1\"", "is no release of a kernel"),
        ("release = \"6.1.0-9-amd64\"", "release = \"6.1.0-10-amd64\"", "is there twice"),
        ("source = \"debian-12/", "source = \"nowhere/", "there is no source `nowhere/"),
        ("flavour = ", "flavor = ", "unknown field `flavor`"),
        ("[[kernel]]", "[[kernel", "kernels.lock:"),
    ] {
        let edited = if from.starts_with("sha256") || from.starts_with("source = ") {
            // of a kernel
            let at = good.find("[[kernel]]").unwrap();
            format!("{}{}", &good[..at], good[at..].replacen(from, to, 1))
        } else {
            good.replacen(from, to, 1)
        };
        assert_ne!(edited, good, "{from}");
        tree.file("kernels.lock", &edited);
        for verb in ["list", "fetch", "update"] {
            let (code, text) = run(&tree, &["kernels", verb]);
            assert_eq!(code, 2, "{from} {verb}: {text}");
            assert!(
                text.contains(message) && text.contains("K0151") && text.contains("kernels.lock:"),
                "{from}: {text}"
            );
            assert_eq!(lock(&tree), edited);
        }
    }
}

/// A mirror as a server has it.
fn served(tree: &Tree) -> Server {
    fn put(server: &Server, folder: &std::path::Path, below: &str) {
        for entry in fs::read_dir(folder).unwrap() {
            let (path, name) = {
                let entry = entry.unwrap();
                (entry.path(), entry.file_name().into_string().unwrap())
            };
            let at = if below.is_empty() { name } else { format!("{below}/{name}") };
            if path.is_dir() { put(server, &path, &at) } else { server.bytes(&at, fs::read(path).unwrap()) }
        }
    }
    let server = Server::new();
    put(&server, &tree.path().join("mirror"), "");
    server
}

#[test]
fn a_second_update_asks_for_the_signed_lists_only() {
    let tree = tree();
    let server = served(&tree);
    let mirror = format!("debian-12={}", server.url);
    let (code, text) = run(&tree, &["kernels", "update", "--mirror", &mirror]);
    assert_eq!(code, 0, "{text}");
    // of two suites the lists are the same, and empty
    assert_eq!(server.asked().len(), 5);
    assert_eq!(run(&tree, &["kernels", "update", "--mirror", &mirror]).0, 0);
    let asked = server.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked.iter().all(|line| line.contains("/InRelease ")), "{asked:?}");
    // without a mirror, by what is kept
    let (code, text) = run(&tree, &["kernels", "update", "--mirror", &mirror, "--offline"]);
    assert_eq!((code, server.asked().len()), (0, 0), "{text}");
    let (code, text) = run(&tree, &["kernels", "fetch", "--mirror", &mirror, "--offline"]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("nothing is fetched offline: `http://127.0.0.1"), "{text}");
    // each package comes once, and from the mirror that is named now
    let moved = served(&tree);
    let (code, text) = run(&tree, &["kernels", "fetch", "--mirror", &format!("debian-12={}", moved.url)]);
    assert_eq!(code, 0, "{text}");
    assert_eq!((server.asked().len(), moved.asked().len()), (0, 7));
    // a list that changes while it is read is read again
    let path = "debian/dists/bookworm/InRelease";
    let old = fs::read(tree.path().join("mirror").join(path)).unwrap();
    mirror::debian(&tree, &KERNELS[..1]);
    for path in [path, "debian/dists/bookworm/main/binary-amd64/Packages"] {
        server.bytes(path, fs::read(tree.path().join("mirror").join(path)).unwrap());
    }
    server.put(path, Page { bytes: old, ..Page::default() });
    let (code, text) = run(&tree, &["kernels", "update", "--mirror", &mirror]);
    // the old one is still known by its digest: no fault
    assert_eq!(code, 0, "{text}");
    fs::remove_dir_all(tree.path().join("cache/http")).unwrap();
    let (code, text) = run(&tree, &["kernels", "update", "--mirror", &mirror]);
    assert_eq!(code, 1, "{text}");
    assert_eq!(server.asked().iter().filter(|line| line.contains(&format!("/{path} "))).count(), 3);
}

type Pack = fn(&[u8]) -> Vec<u8>;

/// A repository with one list, in a compression of the test's choice.
fn repository(tree: &Tree, folder: &str, packages: &str, ending: &str, pack: &dyn Fn(&[u8]) -> Vec<u8>) {
    use sha2::{Digest, Sha256};
    let primary = pack(
        format!("<?xml version=\"1.0\"?>\n<metadata xmlns:rpm=\"x\">{packages}</metadata>\n").as_bytes(),
    );
    let path = format!("repodata/primary.xml{ending}");
    let repomd = format!(
        "<?xml version=\"1.0\"?>\n<repomd><revision>1</revision><data type=\"primary_db\"><location href=\"no\"/></data>\
         <data type=\"primary\"><checksum type=\"sha256\">{:x}</checksum><open-checksum type=\"sha256\">x</open-checksum>\
         <location href=\"{path}\"/><timestamp>1795853533</timestamp><size>{}</size><open-size>5</open-size></data></repomd>\n",
        Sha256::digest(&primary),
        primary.len()
    );
    tree.file(&format!("{folder}/{path}"), primary).file(&format!("{folder}/repodata/repomd.xml"), repomd);
}

/// A package of a repository: name, machine, epoch, version, release, what it provides and requires as entries.
fn rpm(name: &str, arch: &str, evr: [&str; 3], provides: &str, requires: &str) -> String {
    let [epoch, version, release] = evr;
    let digest = if name.contains("debug") { "b" } else { "a" }.repeat(64);
    format!(
        "<package type=\"rpm\"><name>{name}</name><arch>{arch}</arch><version epoch=\"{epoch}\" ver=\"{version}\" rel=\"{release}\"/>\
         <checksum type=\"sha256\" pkgid=\"YES\">{digest}</checksum><summary>a &amp; b</summary><packager/>\
         <size package=\"1000\" installed=\"5\" archive=\"6\"/><location href=\"Packages/k/{name}-{version}-{release}.{arch}.rpm\"/>\
         <format><rpm:license>GPL</rpm:license><rpm:provides>{provides}</rpm:provides><rpm:requires>{requires}</rpm:requires></format></package>"
    )
}

#[test]
fn repositories_of_rpms_say_which_kernels_they_have() {
    let entry = |name: &str, version: &str, release: &str| {
        format!("<rpm:entry name=\"{name}\" flags=\"EQ\" epoch=\"0\" ver=\"{version}\" rel=\"{release}\"/>")
    };
    let devel = |name: &str, release: &str, variant: &str| {
        rpm(
            name,
            "x86_64",
            ["0", "5.14.0", release],
            &(entry("kernel-devel-uname-r", "5.14.0", &format!("{release}.x86_64{variant}"))
                + &entry(name, "5.14.0", release)),
            "",
        )
    };
    let enterprise = [
        devel("kernel-devel", "427.13.1.el9_4", ""),
        devel("kernel-debug-devel", "427.13.1.el9_4", "+debug"),
        devel("kernel-rt-devel", "427.13.1.el9_4", "+rt"),
        devel("kernel-devel", "503.el9", ""),
        rpm(
            "kernel-core",
            "x86_64",
            ["0", "5.14.0", "503.el9"],
            &entry("kernel-uname-r", "5.14.0", "503.el9.x86_64"),
            "",
        ),
        rpm("bash", "x86_64", ["0", "5", "1"], "", ""),
    ];
    let flavoured =
        |name: &str, requires: &str| rpm(name, "x86_64", ["0", "6.4.0", "150600.23.7.3"], "", requires);
    let needs = entry("kernel-devel", "6.4.0", "150600.23.7.3");
    let suse = [
        flavoured("kernel-default-devel", &needs),
        flavoured("kernel-azure-devel", &needs),
        flavoured("kernel-livepatch-tools-devel", ""),
        rpm("kernel-devel", "noarch", ["0", "6.4.0", "150600.23.7.3"], "", ""),
        rpm("kernel-macros", "noarch", ["0", "6.4.0", "150600.23.7.3"], "", ""),
    ];
    let gzip: Pack = |bytes| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, bytes).unwrap();
        packed.finish().unwrap()
    };
    let xz: Pack = |bytes| {
        let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 1);
        std::io::Write::write_all(&mut packed, bytes).unwrap();
        packed.finish().unwrap()
    };
    let zstd: Pack = |bytes| zstd::encode_all(bytes, 1).unwrap();
    let plain: Pack = <[u8]>::to_vec;
    for (ending, pack) in [(".gz", gzip), (".xz", xz), (".zst", zstd), ("", plain)] {
        let tree = Tree::empty();
        repository(&tree, "m/9/AppStream/x86_64/os", &enterprise.concat(), ending, &pack);
        for folder in ["distribution/leap/15.6/repo/oss", "update/leap/15.6/oss", "update/leap/15.6/sle"] {
            repository(
                &tree,
                &format!("m/{folder}"),
                &if folder.ends_with("sle") { String::new() } else { suse.concat() },
                ending,
                &pack,
            );
        }
        let (code, text) = run(
            &tree,
            &["kernels", "update", "rhel-9", "suse-15", "--mirror", "rhel-9=file:m,suse-15=file:m"],
        );
        assert_eq!(code, 0, "{ending}: {text}");
        assert!(text.contains("warning[K0152]"), "{text}");
        golden(
            "lock/rpm-md.txt",
            &text
                .lines()
                .filter(|line| line.starts_with('+'))
                .map(|line| format!("{line}\n"))
                .collect::<String>(),
        );
        let lock = lock(&tree);
        assert!(lock.contains("date = \"2026-11-28T08:12:13Z\""), "{lock}");
        assert_eq!(lock.matches("kernel-macros-6.4.0-150600.23.7.3.noarch.rpm").count(), 2, "{lock}");
    }
    // half a kernel
    let tree = Tree::empty();
    for folder in ["distribution/leap/15.6/repo/oss", "update/leap/15.6/oss", "update/leap/15.6/sle"] {
        repository(&tree, &format!("m/{folder}"), &suse[..4].concat(), ".gz", &gzip);
    }
    let (code, text) = run(&tree, &["kernels", "update", "suse-15", "--mirror", "suse-15=file:m"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("needs `kernel-macros` of the same version"), "{text}");
    // another mirror than it is said to be
    let tree = Tree::empty();
    repository(&tree, "m/9/AppStream/x86_64/os", &enterprise[4..].concat(), ".gz", &gzip);
    let (code, text) = run(&tree, &["kernels", "update", "rhel-9", "--mirror", "rhel-9=file:m"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("no headers of a kernel are listed for `rhel-9`; looked at `file:"), "{text}");
    // what is no list
    for (path, text, message) in [
        ("repodata/repomd.xml", "<html>moved</html>", "names no list of packages below it"),
        (
            "repodata/repomd.xml",
            "<repomd><data type=\"primary\"><location href=\"../../x\"/></data></repomd>",
            "names no list of packages below it",
        ),
        ("repodata/primary.xml.gz", "x", "bytes, and "),
    ] {
        let tree = Tree::empty();
        repository(&tree, "m/9/AppStream/x86_64/os", &enterprise.concat(), ".gz", &gzip);
        tree.file(&format!("m/9/AppStream/x86_64/os/{path}"), text);
        let (code, said) = run(&tree, &["kernels", "update", "rhel-9", "--mirror", "rhel-9=file:m"]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(message), "{path}: {said}");
    }
}

/// As Amazon has them: a file says where the newest lists are, and packages lie beside the lists, below the mirror.
#[test]
fn a_repository_that_moves_is_followed_and_not_out_of_its_mirror() {
    let tree = Tree::empty();
    let devel = |name: &str, version: &str, release: &str, folder: &str| {
        let said = format!(
            "<rpm:entry name=\"kernel-devel-uname-r\" flags=\"EQ\" epoch=\"0\" ver=\"{version}\" rel=\"{release}.x86_64\"/>"
        );
        rpm(name, "x86_64", ["0", version, release], &said, "").replace("Packages/k/", folder)
    };
    let packages = [
        devel("kernel-devel", "6.1.79", "99.164.amzn2023", "../../../../blobstore/0a1b/"),
        devel("kernel6.12-devel", "6.12.40", "64.114.amzn2023", "../../../../blobstore/2c3d/"),
        // past the mirror's own root
        devel("kernel-devel", "6.1.1", "1.amzn2023", "../../../../../blobstore/4e5f/"),
    ];
    let plain = <[u8]>::to_vec;
    repository(&tree, "m/core/guids/77aa/x86_64", &packages.concat(), "", &plain);
    let server = Server::new();
    for name in ["repomd.xml", "primary.xml"] {
        let path = format!("core/guids/77aa/x86_64/repodata/{name}");
        server.bytes(&format!("al/{path}"), fs::read(tree.path().join("m").join(&path)).unwrap());
    }
    let list = "al/core/mirrors/latest/x86_64/mirror.list";
    server.bytes(list, format!("{}/al/core/guids/77aa/$basearch/\n", server.url));
    let update = ["kernels", "update", "amazon-2023", "--mirror"];
    let mirror = format!("al2023={}/al", server.url);
    let (code, text) = run(&tree, &[&update[..], &[&mirror]].concat());
    assert_eq!(code, 0, "{text}");
    assert_eq!(text.matches("+ amazon-2023 ").count(), 2, "{text}");
    assert!(text.contains("+ amazon-2023 6.12.40-64.114.amzn2023.x86_64 "), "{text}");
    let said = lock(&tree);
    assert!(said.contains(&format!("url = \"{}/al\"\npath = \"\"", server.url)), "{said}");
    assert!(
        said.contains("path = \"blobstore/2c3d/kernel6.12-devel-6.12.40-64.114.amzn2023.x86_64.rpm\""),
        "{said}"
    );
    // from that mirror, and from another one of the same layout
    server.asked();
    for (more, asked) in [(vec![], "/al/blobstore/"), (vec!["--mirror", "X"], "/other/blobstore/")] {
        let other = format!("amazon-2023={}/other", server.url);
        let more: Vec<_> = more.into_iter().map(|word| if word == "X" { &other } else { word }).collect();
        let (code, text) = run(&tree, &[&["kernels", "fetch"][..], &more].concat());
        assert_eq!(code, 1, "{text}");
        let all = server.asked();
        assert!(all.iter().any(|line| line.contains(asked)), "{all:?}");
    }
    // where the newest lists are changes nothing for what is known
    let (code, text) = run(&tree, &[&update[..], &[&mirror, "--check"]].concat());
    assert_eq!(code, 0, "{text}");
    // a copy of one state, in the place of the file
    let copy = "m/core/mirrors/latest/x86_64";
    repository(&tree, copy, &packages[1..2].concat(), "", &plain);
    let (code, text) = run(&tree, &[&update[..], &["amazon-2023=file:m", "--check"]].concat());
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("- amazon-2023 6.1.79") && !text.contains("6.12.40"), "{text}");
    for elsewhere in ["https://elsewhere.example/al/core/guids/1/x86_64", "", "file:/etc", "/al/../../x"] {
        server.bytes(list, elsewhere.replace("/al/..", &format!("{}/al/..", server.url)));
        let (code, text) = run(&tree, &[&update[..], &[&mirror]].concat());
        assert_eq!(code, 1, "{elsewhere}: {text}");
        assert!(
            text.contains("out of this mirror") && text.contains("name the mirror"),
            "{elsewhere}: {text}"
        );
    }
}

#[test]
fn packages_that_no_list_has_say_themselves_what_they_are() {
    let tree = tree();
    fs::create_dir(tree.path().join("own")).unwrap();
    for deb in mirror::headers("6.1.0-9-amd64", "6.1.27-1") {
        tree.file(&format!("own/{}.deb", deb.name), deb.bytes);
    }
    let far = mirror::headers("6.1.0-10-cloud-amd64", "6.1.37-1");
    let server = Server::new();
    for deb in &far {
        server.bytes(&format!("x/{}.deb", deb.name), &deb.bytes);
    }
    let urls: Vec<_> = far.iter().map(|deb| format!("\"{}/x/{}.deb\"", server.url, deb.name)).collect();
    tree.file(
        "kpkg.toml",
        format!(
            "kernels = [\"ubuntu-22.04\"]\n[kernel-packages]\n\"ubuntu-22.04\" = [\"own\", {}]\n",
            urls.join(", ")
        ),
    );
    let (code, text) = run(&tree, &["kernels", "update"]);
    assert_eq!(code, 0, "{text}");
    assert_eq!(text.matches("+ ubuntu-22.04 6.1.0-").count(), 2, "{text}");
    let lock = lock(&tree);
    assert!(lock.contains("kind = \"folder\"") && lock.contains("kind = \"static\""), "{lock}");
    fs::remove_dir_all(tree.path().join("cache")).unwrap();
    let (code, text) = run(&tree, &["kernels", "fetch"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("headers of 2 kernels: 6 packages brought"), "{text}");
    // one that has changed since is not taken
    server.bytes("x/linux-headers-6.1.0-10-cloud-amd64.deb", "other");
    fs::remove_dir_all(tree.path().join("cache")).unwrap();
    let (code, text) = run(&tree, &["kernels", "fetch"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("it ended after 5 of "), "{text}");
}

#[test]
fn who_signed_a_list_is_judged() {
    let home = tempfile::Builder::new().prefix("k").tempdir_in("/tmp").unwrap();
    let gpg = |arguments: &[&str]| {
        let output = std::process::Command::new("gpg")
            .env("GNUPGHOME", home.path())
            .args(["--batch", "--yes", "--passphrase", "", "--pinentry-mode", "loopback"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    for name in ["archive", "other"] {
        gpg(&["--quick-gen-key", name, "rsa2048", "sign", "never"]);
    }
    let tree = tree();
    let suites =
        ["debian/dists/bookworm", "debian/dists/bookworm-updates", "debian-security/dists/bookworm-security"];
    for suite in suites {
        let folder = tree.path().join("mirror").join(suite);
        fs::rename(folder.join("InRelease"), folder.join("Release")).unwrap();
        let [from, to] = ["Release", "InRelease"].map(|name| folder.join(name).display().to_string());
        gpg(&["-u", "archive", "--clearsign", "-o", &to, &from]);
    }
    tree.file("archive.gpg", gpg(&["--export", "archive"]))
        .file("other.asc", gpg(&["--armor", "--export", "other"]));
    let with = |keyring: &str| {
        tree.file("kpkg.toml", format!("kernels = [\"debian-12\"]\n[mirrors]\ndebian-12 = {{ url = \"file:mirror\", keyring = \"{keyring}\" }}\n"));
        run(&tree, &["kernels", "update"])
    };
    let (code, text) = with("archive.gpg");
    assert_eq!(code, 0, "{text}");
    assert!(!lock(&tree).contains("unchecked") && !text.contains("K0152"), "{text}");
    let good = lock(&tree);
    let (code, text) = with("other.asc");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("is signed by keys that are not known here ("), "{text}");
    // a signature apart, in armour
    for suite in suites {
        let folder = tree.path().join("mirror").join(suite);
        fs::remove_file(folder.join("InRelease")).unwrap();
        let [from, to] = ["Release", "Release.gpg"].map(|name| folder.join(name).display().to_string());
        gpg(&["-u", "archive", "--armor", "--detach-sign", "-o", &to, &from]);
    }
    let (code, text) = with("archive.gpg");
    assert_eq!((code, lock(&tree) == good), (0, true), "{text}");
    // of another content
    let release = "mirror/debian/dists/bookworm/Release";
    let before = fs::read_to_string(tree.path().join(release)).unwrap();
    tree.file(release, before.replace("Origin: Test", "Origin: Evil"));
    let (code, text) = with("archive.gpg");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("has no good signature: it is of another content"), "{text}");
    assert_eq!(lock(&tree), good);
    // what stands beside the signed text is not read
    tree.file(release, &before);
    let folder = tree.path().join("mirror/debian/dists/bookworm");
    let [from, to] = ["Release", "InRelease"].map(|name| folder.join(name).display().to_string());
    gpg(&["-u", "archive", "--clearsign", "-o", &to, &from]);
    let signed = fs::read_to_string(folder.join("InRelease")).unwrap();
    tree.file(
        "mirror/debian/dists/bookworm/InRelease",
        format!("{signed}\nSHA256:\n {} 5 main/binary-amd64/Packages.xz\n", "0".repeat(64)),
    );
    let (code, text) = with("archive.gpg");
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("it is not one text with a signature around it"), "{text}");
    // the same by the other program that judges
    let path = std::env::var_os("PATH").unwrap();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join("sqv"));
    let sqv = places.find(|path| path.exists()).expect("the package sqv is installed");
    fs::create_dir(tree.path().join("bin")).unwrap();
    std::os::unix::fs::symlink(sqv, tree.path().join("bin/sqv")).unwrap();
    for (signed, keyring, said) in [
        (signed.clone(), "archive.gpg", None),
        (signed.clone(), "other.asc", Some("is signed by keys that are not known here (")),
        (
            signed.replace("Origin: Test", "Origin: Evil"),
            "archive.gpg",
            Some("has no good signature: it is of another content"),
        ),
    ] {
        tree.file("mirror/debian/dists/bookworm/InRelease", signed);
        let (code, text) = with(keyring);
        assert_eq!(code, i32::from(said.is_some()), "{text}");
        assert!(said.is_none_or(|said| text.contains(said)), "{text}");
        assert_eq!(lock(&tree), good);
    }
    fs::remove_file(tree.path().join("bin/sqv")).unwrap();
    tree.file("mirror/debian/dists/bookworm/InRelease", &signed);
    let (code, text) = with("archive.gpg");
    assert_eq!((code, lock(&tree).matches("unchecked").count()), (0, 3), "{text}");
    assert!(text.contains("warning[K0152]"), "{text}");
}

/// A program that ends with the test.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Serves a folder by TLS; below `/plain/` it sends on to where nothing protects it. Also a proxy, which notes what it was asked for.
const SERVER: &str = r#"
import http.server, socket, ssl, sys, threading, urllib.error, urllib.request
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
def note(*words):
    with open("asked", "a") as file:
        print(*words, file=file)
class Own(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path.startswith("http://"):
            note("forward", self.path, self.headers.get("Host"), self.headers.get("Proxy-Authorization"))
            try:
                answer = direct.open(self.path)
            except urllib.error.HTTPError as error:
                answer = error
            data = answer.read()
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            return self.wfile.write(data)
        if self.path.startswith("/plain/"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/x")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        return super().do_GET()
    def do_CONNECT(self):
        note("tunnel", self.path)
        host, port = self.path.rsplit(":", 1)
        far = socket.create_connection((host, int(port)))
        self.send_response(200)
        self.end_headers()
        def pass_on(one, other):
            while data := one.recv(65536):
                other.sendall(data)
        threading.Thread(target=pass_on, args=(far, self.connection), daemon=True).start()
        pass_on(self.connection, far)
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own)
if len(sys.argv) > 1:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
"#;

/// Starts it in a folder; its port.
fn serve(folder: &std::path::Path, arguments: &[&str]) -> (Running, u16) {
    let mut child = std::process::Command::new("python3")
        .args(["-c", SERVER])
        .args(arguments)
        .current_dir(folder)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    (Running(child), line.trim().parse().unwrap())
}

#[test]
fn mirrors_behind_tls_are_judged_by_the_machines_certificates_and_proxies_are_asked() {
    let tree = tree();
    let openssl = |arguments: &str| {
        let arguments = arguments.split_whitespace();
        let made =
            std::process::Command::new("openssl").args(arguments).current_dir(tree.path()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.pem");
    openssl("req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out request.pem");
    tree.file("names", "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n");
    openssl(
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem",
    );
    let (_tls, port) = serve(&tree.path().join("mirror"), &["../cert.pem", "../key.pem"]);
    let update = |mirror: &str, variables: &[(&str, &str)]| {
        let mut command = tree.command(&["kernels", "update", "--mirror", &format!("debian-12={mirror}")]);
        command.env("KPKG_CACHE", tree.path().join("cache")).env("PATH", std::env::var("PATH").unwrap());
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        (output.status.code(), text)
    };
    let trusted = tree.path().join("ca.pem").display().to_string();
    let trusted = [("SSL_CERT_FILE", trusted.as_str())];
    let (code, text) = update(&format!("https://localhost:{port}"), &trusted);
    assert_eq!(code, Some(0), "{text}");
    fs::remove_file(tree.path().join("kernels.lock")).unwrap();
    // one that nobody trusts
    let (code, text) = update(
        &format!("https://localhost:{port}"),
        &[("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")],
    );
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("certificate") && text.contains("SSL_CERT_FILE"), "{text}");
    // one that leads out of TLS
    let (code, text) = update(&format!("https://localhost:{port}/plain"), &trusted);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("sends on to `http://127.0.0.1:1/x`, where nothing protects it"), "{text}");
    assert!(!tree.path().join("kernels.lock").exists());
    // by a proxy: it makes requests itself, but for TLS, which it lets through
    let (_proxy, proxy) = serve(tree.path(), &[]);
    let server = served(&tree);
    let [proxy, named] = ["", "me:a%40b@"].map(|name| format!("http://{name}127.0.0.1:{proxy}"));
    let asked = || {
        let text = fs::read_to_string(tree.path().join("asked")).unwrap();
        tree.file("asked", "");
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let host = server.url.trim_start_matches("http://");
    for (proxy, name) in [(&proxy, "None"), (&named, "Basic bWU6YUBi")] {
        let variables = [("http_proxy", proxy.as_str()), ("https_proxy", "http://127.0.0.1:1")];
        let (code, text) = update(&server.url, &variables);
        assert_eq!(code, Some(0), "{text}");
        let lines = asked();
        let of_proxy =
            |line: &String| line.starts_with("forward http://") && line.ends_with(&format!(" {host} {name}"));
        assert!(lines.len() >= 3 && lines.iter().all(of_proxy), "{lines:?}");
        let first = format!("forward {}/debian/dists/bookworm/InRelease {host} {name}", server.url);
        assert_eq!(lines[0], first);
        fs::remove_file(tree.path().join("kernels.lock")).unwrap();
        fs::remove_dir_all(tree.path().join("cache")).unwrap();
    }
    let far = format!("https://localhost:{port}");
    let (code, text) =
        update(&far, &[trusted[0], ("HTTPS_PROXY", &proxy), ("http_proxy", "http://127.0.0.1:1")]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(asked()[0], format!("tunnel localhost:{port}"));
    // around it
    for variable in ["localhost", "*", "example.org, .localhost"] {
        let (code, text) =
            update(&far, &[trusted[0], ("ALL_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", variable)]);
        assert_eq!(code, Some(0), "{variable}: {text}");
    }
    let (code, text) = update(&server.url, &[("ALL_PROXY", "socks5://me:secret@127.0.0.1:1")]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("the variable `ALL_PROXY` names no proxy") && !text.contains("secret"), "{text}");
}
