//! Random hostile input: results of builds that are anything but files, packages of headers and commits whose names and links lead
//! anywhere. Whatever it is, kpkg ends, and a folder of the host stays as it was and untold.
//!
//! `KPKG_OUTSIDE=N` makes N of what is built, ten times as many packages and five times as many commits, instead of 20.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support;
use support::elf::Made;
use support::git::Repository;
use support::kernel::{CONF, RELEASE, SOURCE, headers};
use support::{Random, Tree};
use tar::EntryType;

/// What the host's folder tells nobody.
const SECRET: &str = "x.c:1:1: error: a text that nobody is to see";

/// What a module of the host's says of itself: in no package.
const OF_THE_HOST: &str = "this one was not built";

fn rounds() -> usize {
    std::env::var("KPKG_OUTSIDE").map_or(20, |count| count.parse().unwrap())
}

fn pick<'a, T: ?Sized>(random: &mut Random, from: &[&'a T]) -> &'a T {
    from[random.below(from.len())]
}

/// A tree with a folder `host`, and everything in it as it is.
struct Host {
    tree: Tree,
    before: BTreeMap<String, String>,
}

impl Host {
    fn new() -> Self {
        let tree = Tree::empty();
        let info =
            [format!("vermagic={RELEASE} SMP mod_unload modversions "), format!("description={OF_THE_HOST}")];
        let info = ["license=GPL", "version=1.0", &info[0], &info[1]];
        let module = Made { info: &info, needs: &[("printk", Some(16))], ..Made::default() }.bytes();
        tree.file("host/secret", SECRET).file("host/home/.profile", "a\n").file("host/toy.ko", &module);
        tree.file("host/x86_64/module/toy.ko", &module).file("host/module/toy.ko", &module);
        symlink("home", tree.path().join("host/link")).unwrap();
        let before = Self::look(&tree.path().join("host"));
        Self { tree, before }
    }

    fn look(folder: &Path) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).unwrap().flatten() {
                let metadata = entry.metadata().unwrap();
                let bytes = if metadata.is_file() { fs::read(entry.path()).unwrap() } else { Vec::new() };
                let is = format!("{:o} {} {} {bytes:?}", metadata.mode(), metadata.uid(), metadata.nlink());
                found.insert(entry.path().display().to_string(), is);
                if metadata.is_dir() {
                    open.push(entry.path());
                }
            }
        }
        found
    }

    fn path(&self) -> String {
        self.tree.path().join("host").display().to_string()
    }

    /// Runs kpkg for a minute at most: it ends with a code of its own, and the host is as before.
    fn run(&self, arguments: &[&str], what: &str) -> Output {
        let kpkg = self.tree.command(arguments);
        let mut command = Command::new("timeout");
        command.arg("60").arg(kpkg.get_program()).args(kpkg.get_args()).current_dir(self.tree.path());
        command
            .env("KPKG_CACHE", self.tree.path().join("cache"))
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = [output.stdout.as_slice(), &output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(matches!(output.status.code(), Some(0..=5)), "{what}: {:?}: {said}", output.status);
        assert!(!said.contains(SECRET) && !said.contains("panicked"), "{what}: {said}");
        assert_eq!(Self::look(&self.tree.path().join("host")), self.before, "{what}");
        output
    }
}

#[test]
fn results_of_any_kind_are_taken_or_refused() {
    let mut random = Random(20_261_130);
    let mut taken = 0;
    for _ in 0..rounds() {
        let host = Host::new();
        let tree = &host.tree;
        support::kernel::driver(tree);
        headers(tree, "kernel", RELEASE);
        let tree_of_dkms = "/var/lib/dkms/toy/1.0";
        let made = format!("{tree_of_dkms}/{RELEASE}/x86_64/module");
        let mut script = "#!/bin/sh\n".to_owned();
        for _ in 0..=random.below(3) {
            let places = [
                // what most of it is taken from comes first
                format!("{made}/toy.ko"),
                made.clone(),
                "/var/log/kpkg/make.log".to_owned(),
                format!("{tree_of_dkms}/debug/toy.ko"),
                format!("{made}/Module.symvers"),
                format!("{tree_of_dkms}/{RELEASE}/x86_64"),
                format!("{tree_of_dkms}/{RELEASE}"),
                format!("{tree_of_dkms}/debug"),
                format!("{tree_of_dkms}/build/toy.ko"),
                format!("{tree_of_dkms}/build"),
                format!("{tree_of_dkms}/source"),
                "/var/log/kpkg".to_owned(),
                "/tmp/x".to_owned(),
                "/root".to_owned(),
            ];
            let count = if random.below(2) == 0 { 3 } else { places.len() };
            let place = &places[random.below(count)];
            let outside = host.path();
            // half of them lead there
            let thing = match if random.below(2) == 0 { random.below(3) } else { random.below(12) } {
                0 => format!("ln -s {outside} P"),
                1 => format!("ln -s {outside}/secret P"),
                2 => format!("ln -s {outside}/toy.ko P"),
                3 => "mkfifo P".to_owned(),
                4 => "mkdir -p P/a/b; chmod 000 P/a".to_owned(),
                5 => "truncate -s 3G P".to_owned(),
                6 => "ln -s P P".to_owned(),
                7 => "ln -s /proc/self/fd/0 P".to_owned(),
                8 => "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"P\")' || :".to_owned(),
                9 => ": >P; chmod 000 P".to_owned(),
                10 => "ln -s ../../../../../../../../../../etc/passwd P".to_owned(),
                _ => "mknod P c 1 5 || ln -s /dev/zero P".to_owned(),
            };
            script.push_str(&format!("rm -rf P; {thing}\n").replace('P', place));
        }
        script
            .push_str(pick(&mut random, &["exit 0\n", "exit 0\n", "exit 1\n", "kill -9 0\n", "kill -9 1\n"]));
        tree.script("driver/post.sh", &script);
        let conf = if random.below(2) == 0 { CONF.to_owned() } else { CONF.replace("STRIP=no\n", "") };
        tree.file("driver/dkms.conf", format!("{conf}POST_BUILD=\"post.sh\"\n"));
        let mut arguments =
            vec!["driver", "--prebuilt", "-f", "deb", "-o", "out", "--kernel-headers", "kernel"];
        arguments.extend(["--compression", "none"]);
        let output = host.run(&arguments, &script);
        let packages = tree.names("out").len();
        for name in tree.names("out") {
            let bytes = fs::read(tree.path().join("out").join(&name)).unwrap();
            assert!(
                !bytes.windows(OF_THE_HOST.len()).any(|part| part == OF_THE_HOST.as_bytes()),
                "{name}: {script}"
            );
        }
        assert_eq!(packages > 0, output.status.success(), "{script}");
        taken += usize::from(packages > 0);
        assert!(tree.names("cache/builds").iter().all(|name| !name.starts_with('.')), "{script}");
        host.run(&["kernels", "prune"], &script);
    }
    eprintln!("{taken} of {} were packaged all the same", rounds());
}

/// A path of a few names, so that entries meet each other.
fn path(random: &mut Random) -> String {
    if random.below(2) == 0 {
        return format!("./usr/src/x{}", pick(random, &["", "/a", "/a/b", "/b"]));
    }
    let start = pick(
        random,
        &[
            "usr/src/linux-headers-6.1.0-1-toy",
            "usr/src/x",
            "lib/modules/6.1.0-1-toy",
            "usr/lib",
            "usr/src",
            "",
        ],
    );
    let mut path = format!("./{start}");
    for _ in 0..random.below(4) {
        path.push('/');
        path.push_str(pick(
            random,
            &["build", "a", "b", "..", "include", ".ssh", "Module.symvers", "\u{1b}[31m", "x y", "."],
        ));
    }
    path
}

#[test]
fn packages_of_headers_lead_nowhere() {
    let mut random = Random(20_261_131);
    let host = Host::new();
    let mut kept = 0;
    for _ in 0..rounds() * 10 {
        let mut members = Vec::new();
        // of few most are right enough to be unpacked to the end
        let most = if random.below(2) == 0 { 3 } else { 12 };
        for _ in 0..=random.below(most) {
            let outside = host.path();
            let elsewhere =
                ["../../../../../../../..", "/usr/src/x", "a", "..", "/etc/passwd", "../x/a", "build"];
            // half of them lead there
            let target =
                if random.below(2) == 0 { &outside } else { pick(&mut random, &elsewhere) }.to_owned();
            let kind = match random.below(8) {
                0..3 => EntryType::Symlink,
                3 => EntryType::Link,
                4 => EntryType::Directory,
                5 => EntryType::Fifo,
                _ => EntryType::Regular,
            };
            let text = match kind {
                EntryType::Symlink => target,
                EntryType::Link => path(&mut random),
                EntryType::Regular => "attack".to_owned(),
                _ => String::new(),
            };
            members.push((path(&mut random), kind, text));
        }
        host.tree.file("x.deb", support::deb::package(&members));
        let what = format!("{members:?}");
        kept += usize::from(host.run(&["kernels", "add", "x.deb"], &what).status.success());
        host.run(&["check", "x.deb"], &what);
    }
    let output = host.run(&["kernels", "list"], "list");
    assert!(!output.stdout.contains(&0x1b));
    eprintln!("{kept} of {} were kept", rounds() * 10);
}

#[test]
fn commits_lead_nowhere() {
    let mut random = Random(20_261_132);
    let host = Host::new();
    let tree = &host.tree;
    let repository = Repository::new(tree);
    let blob = |text: &str| repository.blob(text);
    let (conf, make) = (blob(&CONF.replace("STRIP", "#")), blob("obj-m := toy.o\n"));
    let source = blob(SOURCE);
    let outside = host.path();
    let links: Vec<String> =
        [outside.as_str(), "..", "../../../../../../../../tmp", "a", "/etc/passwd", ".git"]
            .map(blob)
            .to_vec();
    let mut packaged = 0;
    for _ in 0..rounds() * 5 {
        let names = [
            "a",
            "b",
            "..",
            ".",
            ".git",
            ".GIT",
            "git~1",
            "a/b",
            "aux.c",
            "\u{1b}[2J",
            "dkms.conf",
            "kpkg.toml",
        ];
        let mut made: Vec<(String, String)> = Vec::new();
        for _ in 0..4 {
            let mut entries = Vec::new();
            for _ in 0..=random.below(4) {
                let name = pick(&mut random, &names);
                entries.push(match (random.below(3), made.last()) {
                    (0, _) => (format!("120000 {name}"), links[random.below(links.len())].clone()),
                    (1, Some((_, id))) => (format!("40000 {name}"), id.clone()),
                    _ => (format!("100644 {name}"), make.clone()),
                });
            }
            let id = repository.folder(&entries);
            made.push((format!("{entries:?}"), id));
        }
        let (what, id) = made.last().unwrap();
        let mut top = vec![
            ("100644 Makefile".to_owned(), make.clone()),
            ("100644 dkms.conf".to_owned(), conf.clone()),
            ("100644 toy.c".to_owned(), source.clone()),
        ];
        top.push((format!("40000 {}", pick(&mut random, &["sub", "a"])), id.clone()));
        if random.below(2) == 0 {
            let link = if random.below(2) == 0 { 0 } else { random.below(links.len()) };
            // before or behind the folder of that name
            let at = top.len() - random.below(2);
            top.insert(at, ("120000 a".to_owned(), links[link].clone()));
        }
        let commit = repository.commit(&repository.folder(&top));
        let output = host.run(&["-f", "deb", "--ref", &commit, "-o", "out"], what);
        packaged += usize::from(output.status.success());
        assert_eq!(!tree.names("out").is_empty(), output.status.success(), "{what}");
        fs::remove_dir_all(tree.path().join("out")).unwrap_or_default();
    }
    eprintln!("{packaged} of {} were packaged", rounds() * 5);
}
