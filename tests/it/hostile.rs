//! Nothing that a driver or kpkg.toml says becomes code: random names and texts for every key end in an error and no file at all, or in
//! packages that dpkg and rpm take, and source packages that the distributions' own builders make the same packages of. What they
//! try to run would leave a file, and none may be there.
//!
//! `KPKG_RANDOM_HOSTILE=500` tries that many; `KPKG_RANDOM_SEED` starts elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support;
use kpkg::format::{self, Nobody, ReadPackage};
use support::{KMODTOOL, Random, Tree, missing};
use toml::{Table, Value};

/// What something that ran would leave.
const CANARY: &str = "CANARY";

/// Parts of texts that somebody may take for code, or that end what they stand in.
const PARTS: &[&str] = &[
    "$(touch CANARY)",
    "`touch CANARY`",
    "%(touch CANARY)",
    "%%(touch CANARY)",
    "\\%(touch CANARY)",
    "%{lua:os.execute(\"touch CANARY\")}",
    "%{expand:%(touch CANARY)}",
    "%[1+1]",
    "%post",
    "%%post",
    "%include x",
    "%if 1",
    "%endif",
    "%changelog",
    "%files",
    "%",
    "%%",
    "%{",
    "}",
    "%{nil}",
    "#",
    "#DEBHELPER#",
    "#PACKAGE#",
    "${Newline}",
    "${misc:Depends}",
    "${}",
    "$",
    "$$",
    "$(shell touch CANARY)",
    "\\",
    "'",
    "\"",
    ";touch CANARY",
    "| touch CANARY",
    "& touch CANARY",
    "*",
    "?",
    "[a-z]",
    "{a,b}",
    "~",
    "<x>",
    "(",
    ")",
    ",",
    ":",
    "=",
    "!",
    "-",
    "--checkpoint-action=exec=touch CANARY",
    ".",
    "..",
    "@",
    "^",
    "ä漢",
    "\u{202e}",
    "a",
    "word",
    "1",
];

/// Files that builders run, replace, or take for left over.
const SPECIAL: &[(&str, &str)] = &[
    ("configure.ac", "AC_INIT([x],[1])\nm4_esyscmd([touch CANARY])\nAC_OUTPUT\n"),
    ("config.sub", "#!/bin/sh\ntouch CANARY\n"),
    ("GNUmakefile", "$(shell touch CANARY)\n"),
    ("x.c.orig", "x"),
    ("TAGS", "x"),
    ("own-stamp", "x"),
    ("debian/rules", "#!/usr/bin/make -f\n$(shell touch CANARY)\n"),
    ("debian/clean", "toy.c\n"),
    ("debian/toy-dkms.install", "toy.c /etc\n"),
    ("debian/patches/series", "x.patch\n"),
    (".pc/applied-patches", "x\n"),
];

impl Random {
    fn of<'a, T: ?Sized>(&mut self, list: &[&'a T]) -> &'a T {
        list[self.below(list.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// Parts side by side, with something between them.
    fn text(&mut self, between: &[&str]) -> String {
        let mut text = String::new();
        for index in 0..=self.below(4) {
            if index > 0 {
                text.push_str(self.of(between));
            }
            text.push_str(self.of(PARTS));
        }
        text
    }

    fn line(&mut self) -> String {
        let ends = if self.one_in(20) { &["\n", "\t", "\u{1b}[31m", ""][..] } else { &[" ", " ", "", "  "] };
        self.text(ends)
    }

    fn paragraphs(&mut self) -> String {
        let filler = "The driver is for a device that is made of many words, as this line is. ";
        let start = if self.one_in(4) { "" } else { "It " };
        format!(
            "{start}{}\n\n{}{}",
            self.line(),
            filler.repeat(self.below(3)),
            self.text(&["\n", " ", "\n\n", ""])
        )
    }

    /// A name of a file, or a path.
    fn name(&mut self) -> String {
        let name = self.text(&["", " ", "", "/"]).replace("..", "");
        let parts: Vec<_> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        if parts.is_empty() { "plain".to_owned() } else { parts.join("/") }
    }

    fn relation(&mut self) -> String {
        let good = [
            "dkms",
            "dkms >= 3.0-1",
            "a | b >= 1",
            "x = 2:1.0~rc1-1",
            "python3:any",
            "pkgconfig(x)",
            "(a and b)",
            "/usr/bin/cc",
            "(a if b else c)",
            "(a unless b)",
            "((a or b) with c)",
            "(a and (b or c))",
            "(a without b)",
            "x >= 1_2",
            "libc.so.6(GLIBC_2.4)(64bit)",
            "c",
            "a >= 2",
            "a >= 10~rc",
            "a = 2",
            "b >= 1",
            "toy-dkms",
            "toy-dkms >= 1",
            "dkms = 9",
            "b+c.d",
        ];
        match self.below(4) {
            0 => format!("{}{}", self.of(&good), self.of(PARTS)),
            1 => format!("a {} {}", self.of(&[">=", "=", "<", ""]), self.of(PARTS)),
            _ => self.of(&good).to_owned(),
        }
    }

    fn word(&mut self, good: &[&str]) -> String {
        if self.one_in(3) { self.line() } else { self.of(good).to_owned() }
    }
}

/// A driver's tree, and what stands in its dkms.conf and kpkg.toml.
struct Case {
    tree: Tree,
    config: Table,
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn case(random: &mut Random) -> Case {
    let tree = Tree::empty();
    let mut conf =
        String::from("BUILT_MODULE_NAME[0]=toy\nDEST_MODULE_LOCATION[0]=/updates\nAUTOINSTALL=yes\n");
    let name = if random.one_in(12) {
        random.line()
    } else {
        random.of(&["toy", "Odd_Name", "t+y", "x"]).to_owned()
    };
    let version = if random.one_in(12) {
        random.line()
    } else {
        random.of(&["1.0", "1.0-rc1", "2:1", "v1"]).to_owned()
    };
    conf.push_str(&format!("PACKAGE_NAME={}\nPACKAGE_VERSION={}\n", quoted(&name), quoted(&version)));
    for directive in ["BUILD_EXCLUSIVE_CONFIG", "BUILD_EXCLUSIVE_KERNEL_MIN", "BUILT_MODULE_NAME[1]"] {
        if random.one_in(4) {
            let line = random.line();
            let more = "CONFIG_WITH_A_LONG_NAME ".repeat(random.below(4));
            conf.push_str(&format!("{directive}={}\n", quoted(&format!("{more}{line}"))));
        }
    }
    if conf.contains("NAME[1]") {
        conf.push_str("DEST_MODULE_LOCATION[1]=/updates\n");
    }
    tree.file("d/dkms.conf", conf).file("d/Makefile", "obj-m := toy.o\n");
    tree.file("d/toy.c", "// SPDX-License-Identifier: GPL-2.0-only\nMODULE_AUTHOR(\"J <j@example.org>\");\n");
    for _ in 0..random.below(4) {
        put(&tree, &format!("d/{}", random.name()));
    }
    if random.one_in(3) {
        let (path, text) = SPECIAL[random.below(SPECIAL.len())];
        tree.script(&format!("d/{path}"), text);
    }
    let config = config(random, &tree);
    tree.file("d/kpkg.toml", toml::to_string(&config).unwrap());
    Case { tree, config }
}

/// Makes a file unless something of another kind is in its way.
fn put(tree: &Tree, path: &str) -> bool {
    let path = tree.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).is_ok() && !path.exists() && fs::write(&path, "x").is_ok()
}

fn config(random: &mut Random, tree: &Tree) -> Table {
    let mut config = Table::new();
    for _ in 0..random.below(2) + random.below(4) {
        let (table, key) = KEYS[random.below(KEYS.len())];
        let value = value(random, tree, table, key);
        let mut place = &mut config;
        for part in table.split('.') {
            let next = place.entry(part).or_insert_with(|| Value::Table(Table::new()));
            place = next.as_table_mut().unwrap();
        }
        place.insert(key.to_owned(), value);
    }
    config
}

/// Every key of kpkg.toml: its table and its name there.
const KEYS: &[(&str, &str)] = &[
    ("driver", "name"),
    ("driver", "version"),
    ("driver", "modules"),
    ("driver", "substitute"),
    ("driver", "summary"),
    ("driver", "description"),
    ("driver", "copyright"),
    ("driver", "maintainer"),
    ("driver", "homepage"),
    ("driver", "package-name"),
    ("source", "root"),
    ("source", "map"),
    ("source", "exclude"),
    ("source", "include"),
    ("packaging", "release"),
    ("packaging", "targets"),
    ("packaging", "compression"),
    ("packaging", "on-build-failure"),
    ("packaging", "initramfs"),
    ("prebuilt", "initramfs"),
    ("files", "firmware"),
    ("files", "udev"),
    ("files", "hwdb"),
    ("files", "modprobe"),
    ("files", "modules-load"),
    ("files", "depmod"),
    ("files", "systemd"),
    ("files", "initramfs-tools"),
    ("files", "dracut"),
    ("modules", "options"),
    ("modules", "load"),
    ("relations", "requires"),
    ("relations", "recommends"),
    ("relations", "suggests"),
    ("relations", "conflicts"),
    ("relations", "replaces"),
    ("relations", "provides"),
    ("relations", "build-depends"),
    ("scripts", "before-install"),
    ("scripts", "after-install"),
    ("scripts", "before-remove"),
    ("scripts", "after-remove"),
    ("scripts", "after-transaction"),
    ("format.deb", "package-name"),
    ("format.deb", "release"),
    ("format.deb", "compression"),
    ("format.deb.relations", "requires"),
    ("format.deb.relations", "provides"),
    ("format.deb", "fields"),
    ("format.rpm", "package-name"),
    ("format.rpm", "release"),
    ("format.rpm", "compression"),
    ("format.rpm.relations", "requires"),
    ("format.rpm.relations", "provides"),
    ("format.rpm.relations", "conflicts"),
    ("format.rpm", "fields"),
];

fn value(random: &mut Random, tree: &Tree, table: &str, key: &str) -> Value {
    let list = |values: Vec<String>| Value::Array(values.into_iter().map(Value::String).collect());
    let pair = |key: String, value: String| Value::Table(Table::from_iter([(key, Value::String(value))]));
    let text = match (table, key) {
        ("driver", "description") => random.paragraphs(),
        ("driver", "copyright") => return list(vec![random.line(), "2020 J".to_owned()]),
        ("driver", "maintainer") => {
            let name = if random.one_in(3) { "J".to_owned() } else { random.line() };
            format!("{name} <{}@example.org>", random.word(&["j", "j+k"]))
        }
        ("driver", "homepage") => format!("https://example.org/{}", random.word(&["", "x", "%20"])),
        ("driver", "modules") => return list(vec![random.word(&["toy", "x/toy"])]),
        ("driver", "substitute") => return pair(random.word(&["yes", "toy"]), random.line()),
        (_, "name" | "package-name") => random.word(&["toy", "other", "a.b"]),
        (_, "version") => random.word(&["1.1", "3~rc"]),
        (_, "release") => random.word(&["1", "2+x", "", "1~2", "~", "1..2", "+", "."]),
        (_, "compression") => random.word(&["xz", "gzip:1", "zstd", "none"]),
        (_, "targets") => return list(vec![random.word(&["deb", "rpm", "debian-12"])]),
        (_, "on-build-failure") => random.word(&["keep", "fail"]),
        (_, "initramfs") => random.word(&["auto", "always", "never"]),
        ("source", "root") => random.word(&[".", "./"]),
        ("source", "map") => return pair(random.word(&["toy.c"]), random.name()),
        ("source", _) => return list(vec![random.word(&["*.x"])]),
        ("files", _) => return files(random, tree),
        (_, "options") => return pair(random.word(&["toy"]), random.line()),
        (_, "load") => return list(vec![random.word(&["toy", "x-y"])]),
        (_, "build-depends") => return pair(random.line(), random.relation()),
        ("scripts", _) => {
            // it is the packager's own code: only what it looks like is tried
            let line = random.line().replace("touch CANARY", "x").replace('\n', " ");
            let start = random.of(&["", "  ", "x "]);
            tree.file("d/own.sh", format!("cat >/dev/null <<'EOF'\n{start}{line}\nEOF\n"));
            return pair(random.of(&["before", "after"]).to_owned(), "own.sh".to_owned());
        }
        ("format.deb", "fields") => {
            let names = [
                "Section",
                "Priority",
                "Multi-Arch",
                "Essential",
                "Bugs",
                "Tag",
                "X-Other",
                "Package",
                "depends",
                "VERSION",
                "Installed-Size",
                "Source",
                "Pre-Depends",
                "Breaks",
                "section",
                "Description",
                "-x",
                "Origin",
            ];
            let name = if random.one_in(8) { random.line() } else { random.of(&names).to_owned() };
            return pair(name, random.word(&["yes", "misc", "foreign", "same", "x (>= 1)", "x (= 1)", ""]));
        }
        ("format.rpm", "fields") => {
            let name = random.word(&["Group", "Vendor", "Vendor", "Name", "Requires"]);
            return pair(name, random.line());
        }
        (table, _) if table.ends_with("relations") => {
            return list((0..=random.below(3)).map(|_| random.relation()).collect());
        }
        _ => random.line(),
    };
    Value::String(text)
}

/// Names of files for one kind: those that are there, and some that are not.
fn files(random: &mut Random, tree: &Tree) -> Value {
    let mut list = Vec::new();
    for index in 0..=random.below(5) {
        let name = random.name();
        let path = format!("fw{index}/{name}");
        if !put(tree, &format!("d/{path}")) && !random.one_in(10) {
            continue;
        }
        let named = || Table::from_iter([("path".to_owned(), Value::String(path.clone()))]);
        list.push(match random.below(4) {
            0 => Value::String(format!("fw{index}")),
            1 => {
                let mut named = named();
                named.insert("name".to_owned(), Value::String(random.name()));
                Value::Table(named)
            }
            _ => Value::String(path),
        });
    }
    Value::Array(list)
}

/// Everything that a case may leave anywhere.
fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            below(&path, found);
        }
        found.push(path);
    }
}

fn run(command: &mut Command) -> Output {
    command.env("LC_ALL", "C.UTF-8").output().unwrap()
}

fn must(command: &mut Command) -> String {
    let output = run(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}\n{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Whether everything that judges is there.
fn has_judges() -> bool {
    let paths = std::env::var("PATH").unwrap();
    let is_root = run(Command::new("id").arg("-u")).stdout == b"0\n";
    let lacks = |tool: &&str| !paths.split(':').any(|folder| Path::new(folder).join(tool).exists());
    let lacking = ["dpkg", "dpkg-source", "dh", "rpm", "rpmbuild"].into_iter().find(lacks);
    if lacking.is_some() || !is_root {
        missing(lacking.unwrap_or("a shell of root's"));
    }
    lacking.is_none() && is_root
}

fn read(format: &str, path: &Path) -> ReadPackage {
    format::for_format(format).unwrap().read(path, &mut Nobody).unwrap().unwrap()
}

impl Case {
    fn out(&self, end: &str) -> Option<PathBuf> {
        let name = self.tree.names("out").into_iter().find(|name| name.ends_with(end))?;
        Some(self.tree.path().join("out").join(name))
    }

    fn is_equal(&self, one: &Path, other: &Path) {
        let output = self.tree.command(&["diff"]).arg(one).arg(other).output().unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), text.as_str()), (Some(0), ""));
    }

    /// dpkg takes the package, and it holds what it says.
    fn installs_deb(&self, deb: &Path) {
        let root = self.tree.path().join("deb-root");
        fs::create_dir_all(root.join("var/lib/dpkg/updates")).unwrap();
        fs::create_dir_all(root.join("var/lib/dpkg/info")).unwrap();
        fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
        let found = read("deb", deb);
        // the shell that would run it is not in the root
        let has_first = found.scripts.iter().any(|script| script.name == "preinst");
        let mut dpkg = Command::new("dpkg");
        dpkg.args(["--force-depends", "--force-breaks", "--log=/dev/null", "--root"]).arg(&root);
        must(dpkg.args(if has_first { &["--no-act", "--unpack"][..] } else { &["--unpack"] }).arg(deb));
        if has_first {
            must(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&root));
        }
        for file in &found.files {
            assert!(root.join(&file.path[1..]).symlink_metadata().is_ok(), "{}", file.path);
        }
    }

    fn installs_rpm(&self, rpm: &Path) {
        let root = self.tree.path().join("rpm-root");
        fs::create_dir_all(&root).unwrap();
        let force = run(Command::new("rpm").args(["--force-debian", "--version"])).status.success();
        let force: &[&str] = if force { &["--force-debian"] } else { &[] };
        let mut command = Command::new("rpm");
        command.arg("--root").arg(&root).args(["--dbpath", "/rpmdb"]).args(force);
        must(command.args(["-i", "--ignorearch", "--nodeps", "--noscripts"]).arg(rpm));
        for file in read("rpm", rpm).files {
            assert!(root.join(&file.path[1..]).symlink_metadata().is_ok(), "{}", file.path);
        }
    }

    fn rebuilds_dsc(&self, dsc: &Path, deb: &Path) {
        let built = self.tree.path().join("built");
        fs::create_dir_all(&built).unwrap();
        must(Command::new("dpkg-source").arg("-x").arg(dsc).arg("src").current_dir(&built));
        must(
            Command::new("dpkg-buildpackage")
                .args(["-us", "-uc", "-b", "-d"])
                .env_remove("SOURCE_DATE_EPOCH")
                .current_dir(built.join("src")),
        );
        self.is_equal(deb, &built.join(deb.file_name().unwrap()));
    }

    fn rebuilds_srpm(&self, srpm: &Path, rpm: &Path) {
        let top = self.tree.path().join("top");
        let mut command = Command::new("rpmbuild");
        command.args(["--rebuild", "--nodeps", "--define", &format!("_topdir {}", top.display())]);
        must(command.arg(srpm).current_dir(self.tree.path()));
        self.is_equal(rpm, &top.join("RPMS/noarch").join(rpm.file_name().unwrap()));
    }

    /// The files that belong to modules of all kernels are those of the package that is written at once.
    fn rebuilds_kmod(&self, rpm: &Path) {
        let output = self.tree.command(&["d", "-q", "-f", "kmod", "-o", "kmod"]).output().unwrap();
        let Some(source) = self.tree.names("kmod").into_iter().find(|_| output.status.success()) else {
            return;
        };
        let top = self.tree.path().join("kmod-top");
        self.tree.script("bin/kmodtool", KMODTOOL);
        let mut command = Command::new("rpmbuild");
        command.args(["--rebuild", "--nodeps", "--define", &format!("_topdir {}", top.display())]);
        let path = format!("{}:{}", self.tree.path().join("bin").display(), std::env::var("PATH").unwrap());
        must(
            command
                .arg(self.tree.path().join("kmod").join(source))
                .env("PATH", path)
                .current_dir(self.tree.path()),
        );
        let names = |found: ReadPackage| {
            let is_own =
                |path: &String| !path.starts_with("/usr/src/") && !path.starts_with("/usr/share/doc/");
            let files = found.files.into_iter().filter(|file| !file.is_folder()).map(|file| file.path);
            files.filter(is_own).collect::<Vec<_>>()
        };
        let common = fs::read_dir(top.join("RPMS/noarch")).into_iter().flatten().flatten().next();
        let common = common.map(|entry| names(read("rpm", &entry.path()))).unwrap_or_default();
        assert_eq!(common, names(read("rpm", rpm)));
    }

    /// Packages it, and judges what came out; whether something did.
    fn judged(&self) -> bool {
        let formats = "deb,rpm,dsc,srpm";
        let output = self.tree.command(&["d", "-f", formats, "-o", "out"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.code() != Some(0) {
            assert!(output.status.code() == Some(2) && said.contains("error"), "{said}");
            assert!(self.tree.names("out").is_empty(), "{:?} {said}", self.tree.names("out"));
            return false;
        }
        let (deb, rpm) = (self.out(".deb"), self.out(".noarch.rpm"));
        let (dsc, srpm) = (self.out(".dsc"), self.out(".src.rpm"));
        if let (Some(deb), Some(dsc)) = (&deb, &dsc) {
            self.installs_deb(deb);
            self.rebuilds_dsc(dsc, deb);
        }
        if let (Some(rpm), Some(srpm)) = (&rpm, &srpm) {
            self.installs_rpm(rpm);
            self.rebuilds_srpm(srpm, rpm);
            self.rebuilds_kmod(rpm);
        }
        assert!(
            deb.is_some() == dsc.is_some()
                && rpm.is_some() == srpm.is_some()
                && (deb.is_some() || rpm.is_some())
        );
        true
    }

    fn has_no_canary(&self) {
        let mut found = Vec::new();
        below(self.tree.path(), &mut found);
        found.retain(|path| path.file_name().is_some_and(|name| name == CANARY));
        assert!(found.is_empty(), "something ran: {found:?}");
    }
}

/// Everything that once ran, was lost or could not be built, in one driver.
#[test]
fn what_once_ran_or_was_lost_survives() {
    if !has_judges() {
        return;
    }
    let tree = Tree::empty();
    let options =
        "CONFIG_WITH_A_LONG_NAME CONFIG_WITH_A_NAME CONFIG_WITH %%post %post %include %if #x %changelog";
    let conf = format!("{}BUILD_EXCLUSIVE_CONFIG='{options}'\n", support::CONF);
    tree.file("d/dkms.conf", conf).file("d/Makefile", "obj-m := toy.o\n");
    tree.file("d/toy.c", "MODULE_LICENSE(\"GPL\");\nMODULE_AUTHOR(\"J <j@example.org>\");\n");
    for (path, text) in SPECIAL {
        tree.script(&format!("d/{path}"), text);
    }
    for part in PARTS.iter().filter(|part| !matches!(**part, "." | ".." | "\u{202e}")) {
        let name = part.replace('/', " ");
        assert!(put(&tree, &format!("d/{name}")) && put(&tree, &format!("d/fw/x{name}")));
        put(&tree, &format!("d/fw/folder {name}/{name}"));
    }
    tree.file("d/own.sh", "cat >/dev/null <<'EOF'\nx %post  \n\\%(touch CANARY)\n# %{x\n#\nEOF\n");
    let text = r#"
[driver]
summary = '%(touch CANARY) \%(touch CANARY) ${Newline} `touch CANARY` \'
description = """It is %post
touch CANARY and much more of it that is so long that the line will be broken somewhere near %changelog here
\\%(touch CANARY) ${Newline}Depends: x #x .

\\%(touch CANARY"""
license = 'GPL-2.0-only'
maintainer = "J ${Newline} %(touch CANARY) <j@example.org>"
homepage = "https://example.org/%(touch${IFS}CANARY)"
[files]
firmware = ["fw"]
[relations]
requires = ["dkms", "dkms >= 1", "dkms >= 2"]
suggests = ["dkms"]
[scripts.after-install]
before = "own.sh"
[format.deb.fields]
X-Odd = "${Newline} $(touch CANARY)"
[format.rpm.fields]
Vendor = "%(touch CANARY)"
"#;
    tree.file("d/kpkg.toml", text);
    let case = Case { tree, config: text.parse().unwrap() };
    assert!(case.judged());
    case.has_no_canary();
}

#[test]
fn random_names_and_texts_are_refused_or_survive() {
    if !has_judges() {
        return;
    }
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (count, first): (u64, u64) = (number("KPKG_RANDOM_HOSTILE", 6), number("KPKG_RANDOM_SEED", 1));
    let (mut seed, mut packaged) = (first, 0);
    while packaged < count {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let case = case(&mut random);
        let judged = std::panic::catch_unwind(|| {
            let judged = case.judged();
            case.has_no_canary();
            judged
        });
        let Ok(is_packaged) = judged else {
            panic!(
                "KPKG_RANDOM_SEED={seed}\n{}\n{}",
                case.config,
                fs::read_to_string(case.tree.path().join("d/dkms.conf")).unwrap()
            );
        };
        packaged += u64::from(is_packaged);
        seed += 1;
    }
    eprintln!("{packaged} of {} were packaged", seed - first);
}
