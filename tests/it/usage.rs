//! A command line without surprises: what is asked for is done or refused, and who asks to stop is heard.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support;
use support::{Random, Tree};

/// Exit code and standard error.
fn said(tree: &Tree, words: &[&str]) -> (Option<i32>, String) {
    let output = tree.kpkg(words);
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn nothing_asked_for_is_silently_not_done() {
    let tree = Tree::toy();
    tree.file("templates/deb/dkms/postints.hbs", "x");
    for (words, expected) in [
        (&["--sign", "someone", "-f", "deb"][..], "`--sign` does nothing here"),
        (&["--sign-command", "cat", "-f", "pacman"], "`--sign-command` does nothing here"),
        (&["--buildinfo", "-f", "deb"], "`--buildinfo` does nothing here"),
        (&["--distribution", "noble"], "`--distribution` does nothing here"),
        (&["--combine"], "`--combine` does nothing here"),
        (&["--keep-going"], "`--keep-going` does nothing here"),
        (&["--debug"], "`--debug` does nothing here"),
        (&["--timeout", "5"], "`--timeout` does nothing here"),
        (&["-j", "5"], "`--jobs` does nothing here"),
        (&["--os-release", "/nope"], "`--os-release` does nothing here"),
        (&["--templates", "templates"], "there is no template `deb/dkms/postints`"),
        (&["check", "--timeout", "5"], "`--timeout` does nothing here"),
        (&["-k", "6.1.0-1-toy"], "`--kernel` does nothing here"),
        (&["check", "-k", "6.1.0-1-toy"], "`--kernel` does nothing here"),
    ] {
        let (code, text) = said(&tree, words);
        assert_eq!(code, Some(2), "{words:?}: {text}");
        assert!(text.contains(expected), "{words:?}: {text}");
        assert_eq!(tree.names("dist"), [""; 0], "{words:?}");
    }
    // from the environment it may be for another run
    let mut command = tree.command(&["-v", "-f", "deb"]);
    let output = command.env("KPKG_SIGN", "someone").env("KPKG_COMBINE", "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("note[K0142]: KPKG_SIGN does nothing here"), "{text}");
    assert!(text.contains("note[K0142]: KPKG_COMBINE does nothing here"), "{text}");
    let output = tree.command(&["-v", "-f", "rpm"]).env("KPKG_KERNEL", "6.1.0-1-toy").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("note[K0142]: KPKG_KERNEL does nothing here"));
    // off is off
    let output = tree.command(&["-v", "-f", "rpm"]).env("KPKG_COMBINE", "0").output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("K0142"));
}

/// What a run prints.
fn printed(tree: &Tree, words: &[&str]) -> String {
    let output = tree.kpkg(words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn how_a_run_speaks_may_stand_before_the_verb_or_behind_it() {
    let tree = Tree::toy();
    for words in [
        ["-q", "show", "-f", "deb"],
        ["show", "-q", "-f", "deb"],
        ["--json", "show", "-f", "deb"],
        ["show", "-f", "deb", "--json"],
        ["--color=never", "check", "-v", "."],
        ["-v", "check", ".", "--json"],
    ] {
        let output = tree.kpkg(&words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(
        printed(&tree, &["--json", "show", "-f", "deb"]),
        printed(&tree, &["show", "-f", "deb", "--json"])
    );
}

#[test]
fn the_environment_says_yes_and_no_and_nothing() {
    let tree = Tree::toy();
    let runs = |name: &str, value: &str, words: &[&str]| {
        let output = tree.command(words).env(name, value).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned(), output.stderr.is_empty())
    };
    for (value, is_quiet) in
        [("1", true), ("yes", true), ("true", true), ("0", false), ("no", false), ("", false)]
    {
        let (code, _, silent) = runs("KPKG_QUIET", value, &["-f", "deb"]);
        assert_eq!((code, silent), (Some(0), is_quiet), "{value}");
    }
    assert_eq!(runs("KPKG_QUIET", "perhaps", &["-f", "deb"]).0, Some(2));
    for name in
        ["KPKG_FORMAT", "KPKG_TARGET", "KPKG_COMPRESSION", "KPKG_SIGN", "KPKG_TEMPLATES", "KPKG_OUTPUT"]
    {
        assert_eq!(runs(name, "", &["-f", "deb", "--dry-run"]).0, Some(0), "{name} is empty");
    }
    assert_eq!(
        runs("KPKG_SCRIPTS", "1", &["show", "-f", "deb"]).1,
        printed(&tree, &["show", "-f", "deb", "--scripts"])
    );
    assert_eq!(
        runs("KPKG_JSON", "1", &["show", "-f", "deb"]).1,
        printed(&tree, &["show", "-f", "deb", "--json"])
    );
}

#[test]
fn what_was_nearly_meant_is_said() {
    let tree = Tree::toy();
    for (words, expected) in [
        (&["buidl"][..], "did you mean `kpkg build`?"),
        (&["chekc"], "did you mean `kpkg check`?"),
        (&["--target", "bokworm"], "did you mean `bookworm`?"),
    ] {
        let (code, text) = said(&tree, words);
        assert!(code == Some(2) && text.contains(expected), "{words:?}: {text}");
    }
    let list = printed(&tree, &["targets"]);
    for line in ["debian-12, bookworm      deb  Debian 12, dkms 3.0.10", "ubuntu-24.04, noble"] {
        assert!(list.contains(line), "{list}");
    }
    for (one, other) in [("bookworm", "debian-12"), ("noble", "ubuntu-24.04")] {
        let plan = |target: &str| printed(&tree, &["show", "--target", target]);
        assert_eq!(plan(one), plan(other));
    }
    let codes = printed(&tree, &["explain"]);
    assert!(codes.lines().count() > 80 && codes.contains("K0203  "), "{codes}");
    let short = printed(&tree, &["-h"]);
    assert!(
        short.lines().count() <= 60 && !short.contains("env:"),
        "{} lines\n{short}",
        short.lines().count()
    );
}

#[test]
fn a_dkms_conf_stands_for_its_folder_and_a_package_shows_what_it_holds() {
    let tree = Tree::toy();
    let all = printed(&tree, &["dkms.conf", "-q"]);
    assert_eq!(all, "dist/toy-dkms_1.0-1_all.deb\ndist/toy-dkms-1.0-1.noarch.rpm\n");
    assert_eq!(printed(&tree, &["show", "dkms.conf", "-f", "deb"]), printed(&tree, &["show", "-f", "deb"]));
    for (package, script) in
        [("dist/toy-dkms_1.0-1_all.deb", "postinst"), ("dist/toy-dkms-1.0-1.noarch.rpm", "%posttrans")]
    {
        let scripts = printed(&tree, &["show", package, "--scripts"]);
        assert!(scripts.contains(&format!("# ---- toy-dkms: {script}\n")), "{package}");
        let files = printed(&tree, &["show", package, "--files"]);
        assert!(files.contains("/usr/src/toy-1.0/dkms.conf\n"), "{files}");
    }
}

#[test]
fn of_several_paths_each_is_checked() {
    let tree = Tree::empty();
    for name in ["one", "two"] {
        tree.file(&format!("{name}/dkms.conf"), support::CONF)
            .file(&format!("{name}/Makefile"), "obj-m := toy.o\n");
    }
    tree.file("two/postinst", "").file("one/toy.c", "").file("bad/dkms.conf", "PACKAGE_VERSION=1\n");
    let output = tree.kpkg(&["check", "one", "nowhere", "bad", "two", "-v"]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(err.contains("no folder") && err.contains("nowhere"), "{err}");
    assert!(out.contains("two:\n") && out.contains("bad:\n"), "{out}\n{err}");
    assert_ne!(output.status.code(), Some(0));
}

#[test]
fn findings_appear_at_the_lines_of_a_review() {
    let tree = Tree::empty();
    tree.file(
        "a driver/dkms.conf",
        format!("{}PRE_BUILD=\"none.sh, 100%\"\nREMAKE_INITRD=yes\n", support::CONF),
    );
    tree.file("a driver/Makefile", "obj-m := toy.o\n").file("a driver/toy.c", "");
    for form in ["github", "gitlab", "sarif"] {
        let output = tree.kpkg(&["check", "a driver", "-v", "--report", form]);
        let text = String::from_utf8(output.stdout).unwrap().replace(env!("CARGO_PKG_VERSION"), "[VERSION]");
        if form != "github" {
            assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text}");
        }
        support::golden(&format!("cli/report-{form}.txt"), &text);
        assert_eq!(output.status.code(), tree.kpkg(&["check", "a driver"]).status.code());
    }
    assert_eq!(said(&tree, &["check", "--json", "--report", "sarif"]).0, Some(2));
}

#[test]
fn fast_is_the_fastest_codec_that_a_target_reads() {
    let tree = Tree::toy();
    for (target, codec) in
        [("debian-11", "gzip level 1"), ("debian-12", "zstd level 1"), ("rhel-8", "zstd level 1")]
    {
        let text = printed(&tree, &["show", "--fast", "--json", "--target", target]);
        let plan: serde_json::Value = serde_json::from_str(&text).unwrap();
        let compression = &plan["packages"][0]["package"]["compression"];
        let found = format!("{} level {}", compression["codec"].as_str().unwrap(), compression["level"]);
        assert_eq!(found, codec, "{target}");
    }
    assert_eq!(said(&tree, &["--fast", "--compression", "xz"]).0, Some(2));
}

/// Packages that are written at once are those that are written one after the other.
#[test]
fn side_by_side_changes_no_byte() {
    let tree = Tree::toy();
    let targets = "debian-11,debian-12,rhel-9,fedora-42";
    for (folder, threads) in [("one", "1"), ("several", "4")] {
        let words = ["--target", targets, "--threads", threads, "-o", folder, "-q"];
        let lines = printed(&tree, &words).replace(folder, "OUT");
        support::golden("cli/side-by-side.txt", &lines);
    }
    for target in targets.split(',') {
        for name in tree.names(&format!("one/{target}")) {
            let read =
                |folder: &str| std::fs::read(tree.path().join(folder).join(target).join(&name)).unwrap();
            assert!(read("one") == read("several"), "{target}/{name}");
        }
    }
}

/// A driver and headers of a kernel, whose build leaves a mark.
fn with_kernel() -> Tree {
    let tree = Tree::empty();
    support::kernel::driver(&tree);
    support::kernel::headers(&tree, "headers", support::kernel::RELEASE);
    tree
}

#[test]
fn a_dry_run_compiles_nothing_and_says_what_it_would() {
    let tree = with_kernel();
    let run = |more: &[&str]| {
        let words = ["driver", "--prebuilt", "--kernel-headers", "headers", "-f", "deb,rpm"];
        let mut command = tree.command(&[&words[..], more].concat());
        command.env("KPKG_CACHE", tree.path().join("cache")).env("PATH", "/usr/bin:/bin").output().unwrap()
    };
    let output = run(&["--dry-run"]);
    assert!(output.status.success());
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "Would compile toy 1.0 for deb, as deb, for 6.1.0-1-toy\nWould compile toy 1.0 for rpm, as rpm, for 6.1.0-1-toy\n\
         warning[K0506]: kernel releases such as `6.1.0-1-toy` are no versions that RHEL 8 and later, Fedora, SUSE 15 and \
         later can require\n\nfor more about a finding, run `kpkg explain K0506`\n"
    );
    let told = String::from_utf8_lossy(&run(&["--dry-run", "--json"]).stdout).into_owned();
    assert_eq!(told.matches("\"reason\":\"job\"").count(), 2, "{told}");
    assert_eq!(told.matches("\"reason\":\"finding\"").count(), 1, "{told}");
    assert_eq!((tree.names("dist"), tree.names("cache/builds")), (vec![], vec![]));
    // and the paths are those that are written
    let written = run(&[]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&written.stdout));
    // `show` has the scripts of these packages
    let words = ["show", "driver", "--prebuilt", "--kernel-headers", "headers", "--scripts"];
    let shown = tree.command(&words).env("KPKG_CACHE", tree.path().join("cache")).output().unwrap().stdout;
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("toy-modules-6.1.0-1-toy") && shown.contains("depmod"), "{shown}");
}

#[test]
fn what_there_is_to_say_comes_before_compiling_and_once() {
    let tree = with_kernel();
    tree.file("driver/dkms.conf", format!("{}PRE_BUILD=none.sh\n", support::kernel::CONF));
    tree.file("headers/Makefile", "all:\n\tfalse\n");
    let mut command = tree.command(&["driver", "--prebuilt", "--kernel-headers", "headers", "-f", "deb"]);
    let output =
        command.env("KPKG_CACHE", tree.path().join("cache")).env("PATH", "/usr/bin:/bin").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    let (warning, compiling) = (text.find("K0103"), text.find(" Compiling "));
    assert!(warning.is_some() && warning < compiling, "{text}");
    assert_eq!(text.matches("warning[K0103]").count(), 1, "{text}");
    // and where headers are missing, their packages
    let mut command = tree.command(&["driver", "--prebuilt", "-k", "6.99.0-9-x", "-f", "deb"]);
    let output = command.env("KPKG_CACHE", tree.path().join("cache")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("install them (linux-headers-6.99.0-9-x), or give their packages"), "{text}");
}

#[test]
fn what_is_wrong_in_kpkg_toml_has_its_place() {
    for (text, place, words) in [
        ("schema = 2", "1:1", "another version"),
        ("[driver]\nmaintainer = \"nobody\"", "2:14", "is no maintainer"),
        ("[driver]\nlicense = \"GPL zwei\"", "2:11", "is no licence"),
        ("[driver]\nlicense = '%{lua:x()}'", "2:11", "is no licence"),
        ("[driver]\nlicense = \"a\u{202a}b\"", "2:11", "is no licence"),
        ("[driver]\nhomepage = \"no address\"", "2:12", "is no address"),
        ("[relations]\nrequires = [\"a >>> 1\"]", "2:13", "is no relation"),
        ("[packaging]\ntargets = [\"debian-99\"]", "2:12", "there is no target"),
        ("[packaging]\ncompression = \"zip\"", "2:15", "is no codec"),
        ("[packaging]\nrelease = \"1 2\"", "2:11", "is no release"),
        ("[source]\nroot = \"nowhere\"", "2:8", "is no folder"),
        ("[source]\nexclude = [\"[a\"]", "2:12", "is no pattern"),
        ("[modules.options]\nnope = \"x=1\"", "2:1", "is no module of toy"),
        ("[format.deb.fields]\ndepends = \"x\"", "2:1", "itself"),
        ("[format.deb.fields]\nVERSION = \"x\"", "2:1", "itself"),
        ("[files]\nudev = [\"none.rules\"]", "2:9", "there is no `none.rules`"),
        ("[format.rpm.fields]\nFoo = \"x\"", "2:1", "no field `Foo`"),
    ] {
        let tree = Tree::toy();
        tree.file("kpkg.toml", format!("{text}\n"));
        let (code, told) = said(&tree, &["-q"]);
        assert_eq!(code, Some(2), "{text}: {told}");
        assert!(told.contains(words) && told.contains("error[K0"), "{text}: {told}");
        assert!(told.contains(&format!(" --> kpkg.toml:{place}\n")), "{text}: {told}");
        assert_eq!(tree.names("dist"), [""; 0]);
    }
    let tree = Tree::toy();
    let relations = "requires = [\"a << 1\", \"b <= 2\", \"c >> 3\", \"d = 4\"]";
    let rest = "license = \"(GPL-2.0-only WITH Linux-syscall-note) OR MIT\"";
    tree.file("kpkg.toml", format!("schema = 1\n[driver]\n{rest}\n[relations]\n{relations}\n"));
    printed(&tree, &["-q"]);
    let package = kpkg::read_package(&tree.path().join("dist/toy-dkms_1.0-1_all.deb")).unwrap().unwrap();
    let relations: Vec<_> = package.relations.iter().map(ToString::to_string).collect();
    for relation in ["a < 1", "b <= 2", "c > 3", "d = 4"] {
        assert!(relations.iter().any(|found| found == relation), "{relations:?}");
    }
}

#[test]
fn what_breaks_is_told_where_a_format_can_tell_it() {
    let tree = Tree::toy();
    let relations = "breaks = [\"old << 2\", \"other\"]\nreplaces = [\"old << 2\", \"gone\"]";
    tree.file("kpkg.toml", format!("[relations]\n{relations}\n"));
    printed(&tree, &["-q", "-f", "deb,rpm"]);
    let of = |file: &str| {
        let package = kpkg::read_package(&tree.path().join(file)).unwrap().unwrap();
        let line = |relation: &kpkg::Relation| format!("{} {relation}", relation.kind.name());
        package.relations.iter().map(line).collect::<Vec<_>>()
    };
    let deb = of("dist/toy-dkms_1.0-1_all.deb");
    let has = |all: &[String], line: &str| all.iter().any(|found| found == line);
    for line in ["breaks old < 2", "breaks other", "replaces old < 2", "replaces gone", "conflicts gone"] {
        assert!(has(&deb, line), "{line}: {deb:?}");
    }
    // of what is broken only files are taken over (Debian Policy 7.6.1)
    assert!(!deb.iter().any(|line| line.starts_with("conflicts old")), "{deb:?}");
    let rpm = of("dist/toy-dkms-1.0-1.noarch.rpm");
    for line in ["conflicts old < 2", "conflicts other", "replaces old < 2", "replaces gone"] {
        assert!(has(&rpm, line), "{line}: {rpm:?}");
    }
}

#[test]
fn a_caret_never_points_into_a_file_that_is_not_there() {
    let tree = Tree::empty();
    tree.file("toy/Makefile", "obj-m := toy.o\n").file("toy/toy.c", "MODULE_VERSION(\"1.0\");\n");
    tree.file("toy/kpkg.toml", "[driver]\nmodules = [\"nope\"]\n");
    let (code, text) = said(&tree, &["toy"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--> a dkms.conf made from `Makefile`:"), "{text}");
    assert!(!text.contains("> toy/dkms.conf") && !text.contains("> dkms.conf"), "{text}");
}

#[test]
fn a_schema_is_printed_and_named_where_init_writes() {
    let tree = Tree::toy();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    for (words, file) in
        [(&["schema"][..], "kpkg.schema.json"), (&["schema", "events"], "events.schema.json")]
    {
        let text = printed(&tree, words);
        assert_eq!(text, std::fs::read_to_string(root.join(file)).unwrap());
        assert!(text.contains("\"$id\": \"urn:kpkg:schema:"), "{words:?}");
    }
    // beside a dkms.conf that is there
    assert_eq!(printed(&tree, &["init"]), "kpkg.toml\n");
    let written = std::fs::read_to_string(tree.path().join("kpkg.toml")).unwrap();
    assert!(written.starts_with("#:schema ./kpkg.schema.json\n"), "{written}");
    printed(&tree, &["-q"]);
}

#[test]
fn show_speaks_of_kernels_as_prebuilt_does_and_shells_offer_values() {
    let tree = with_kernel();
    tree.file("packages/x.deb", support::deb::package(&[("./usr/", tar::EntryType::Directory, "")]));
    let run = |words: &[&str]| {
        let output = tree.command(words).env("KPKG_CACHE", tree.path().join("cache")).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code(), text)
    };
    // whatever kernels this machine has
    let (code, text) = run(&["show", "driver", "-k", "all", "-f", "deb"]);
    assert!(
        code == Some(0) && text.contains("  make -C /lib/modules/")
            || text.contains("no kernel headers are installed"),
        "{text}"
    );
    // each package of a folder is taken
    let (code, text) = run(&["driver", "--prebuilt", "--kernel-headers", "packages", "-f", "deb"]);
    assert!(code == Some(2) && !text.contains("is neither"), "{text}");
    for (shell, value) in [("bash", "bookworm"), ("zsh", "ubuntu-24.04"), ("fish", "trixie")] {
        let (code, text) = run(&["completions", shell]);
        assert!(code == Some(0) && text.contains(value) && text.contains("srpm"), "{shell}");
    }
}

#[test]
fn who_asks_to_stop_is_heard_within_a_second() {
    // two blocks of xz, each in the hands of a thread: whoever waits for them looks at nothing else
    let mut random = Random(7);
    let words: Vec<u8> =
        (0..13_500_000_u32).flat_map(|_| [b"static"[random.below(6)], b"int  x"[random.below(6)]]).collect();
    let tree = Tree::toy();
    tree.file("large.h", words);
    for (format, signal, code) in [("deb", "INT", 130), ("rpm", "TERM", 143)] {
        let mut child = tree
            .command(&["-f", format, "--compression", "xz:6", "--threads", "2"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        assert!(child.try_wait().unwrap().is_none(), "it takes longer");
        let begin = Instant::now();
        std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        // a second, and what a busy machine adds
        assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
        eprintln!("{format}: {} ms", begin.elapsed().as_millis());
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(tree.names("dist"), [""; 0]);
        assert!(output.stdout.is_empty());
    }
}
