//! The rules of the tree that the compiler does not know: who may use whom, who owns what, which words have no place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A room, which is a folder of `src/` with the file of its name, may use these rooms and no others; `*` = all but `cli`. What is not
/// listed belongs to the folder around it, and fails the test where there is none. `folder/room` is a room of its own, which has to be
/// allowed to use the folder around it, and the folder it.
const MAY_USE: &[(&str, &[&str])] = &[
    ("api", &["*"]),
    ("archive", &["base", "output", "package"]),
    ("base", &[]),
    ("build", &["*"]),
    ("cli", &["*"]),
    (
        "compile",
        &["archive", "base", "dkms", "driver", "input", "kernel", "output", "package", "sandbox", "sign"],
    ),
    ("config", &["base", "package"]),
    ("dkms", &["base", "dkms/shell"]),
    ("dkms/shell", &[]),
    ("driver", &["base", "config", "dkms", "input", "kernel", "output", "package", "sandbox"]),
    ("events", &[]),
    ("fetch", &["base", "output", "sandbox"]),
    ("format", &["archive", "base", "output", "package"]),
    ("input", &["archive", "base", "output"]),
    ("inspect", &["archive", "base", "format", "kernel", "package", "sign"]),
    ("kernel", &["archive", "base", "dkms", "format", "output", "package", "sign"]),
    ("lint", &["base", "dkms", "driver", "format", "input"]),
    (
        "lock",
        &["archive", "base", "config", "dkms", "fetch", "format", "kernel", "output", "package", "plan"],
    ),
    ("output", &["base", "package"]),
    ("package", &[]),
    ("plan", &["base", "config", "dkms", "driver", "input", "package"]),
    ("sandbox", &["base", "output"]),
    ("sign", &["base"]),
];

/// Rooms whose files go in circles: an interpreter is one.
const CIRCLES: &[&str] = &["dkms/shell"];

/// What only some modules may name in code.
const OWNERS: &[(&str, &[&str])] = &[
    ("handlebars::", &["plan/template"]),
    ("use rpm::", &["format/rpm"]),
    ("tar::", &["archive", "input/unpack"]),
    ("zip::", &["input/unpack"]),
    ("use object::", &["kernel/ko"]),
    ("clap", &["cli"]),
    ("std::process", &["cli", "main", "sandbox"]),
    ("std::env::", &["cli/session", "cli/signers", "cli/words"]),
    ("SystemTime::now", &["cli/session"]),
    ("Instant::now", &["cli/session"]),
    ("brush_parser", &["dkms/shell"]),
    ("quick_xml", &["lock/rpm_md"]),
    ("ureq", &["fetch/forward", "fetch/http", "fetch/names"]),
    ("jiff", &["format/deb", "format/rpm", "input/unpack", "input/version", "lock", "plan", "sign"]),
];

/// What a module must not name: the plan is pure, and evaluating a file has no way to touch the machine.
const NEVER: &[(&str, &[&str])] = &[
    ("plan", &["std::fs", "std::process", "std::env", "std::time", "std::net"]),
    ("package", &["std::fs", "std::process", "std::env", "std::time", "std::net"]),
    ("dkms", &["std::fs", "std::process", "std::env", "std::time", "std::net"]),
];

/// Distributions are data in `formats/`; code and templates branch on facts.
const DISTRIBUTIONS: &[&str] =
    &["debian", "ubuntu", "fedora", "rhel", "centos", "suse", "almalinux", "rocky", "amazon"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_str().unwrap().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

struct Source {
    /// `format/deb`
    name: String,
    /// `format`
    module: String,
    /// Without comments and without the module's tests.
    code: Vec<String>,
    text: String,
}

fn sources() -> Vec<Source> {
    let folder = root().join("src");
    let to_source = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(&folder).unwrap().with_extension("").to_str().unwrap().to_owned();
        let module = name.split('/').next().unwrap().to_owned();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let code =
            code.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect();
        Source { name, module, code, text }
    };
    files(&folder, ".rs")
        .into_iter()
        .map(to_source)
        .filter(|source| !source.name.ends_with("/tests"))
        .collect()
}

/// The room of a path such as `dkms/shell/eval`: the innermost of the table that it lies in.
fn room_of(path: &str) -> Option<&'static str> {
    let rooms = MAY_USE.iter().map(|(room, _)| *room).filter(|room| lies_in(path, room));
    rooms.max_by_key(|room| room.len())
}

fn lies_in(path: &str, room: &str) -> bool {
    path.strip_prefix(room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What code names of ours, as paths: in `use` lines and elsewhere, from the root or by `super::`.
fn used(name: &str, code: &[String]) -> BTreeSet<String> {
    let text = code.join("\n");
    let mut found = BTreeSet::new();
    for start in ["crate::", "kpkg::"] {
        for (index, _) in text.match_indices(start) {
            add_paths(&text[index + start.len()..], "", &mut found);
        }
    }
    for (index, _) in text.match_indices("super::").filter(|(index, _)| !text[..*index].ends_with("super::"))
    {
        let rest = text[index..].trim_start_matches("super::");
        let ups = (text.len() - index - rest.len()) / "super::".len();
        let here: Vec<&str> = name.trim_end_matches("/mod").split('/').collect();
        add_paths(rest, &here[..here.len().saturating_sub(ups)].join("/"), &mut found);
    }
    found
}

/// The paths that a tree of `use` begins with, behind `base`.
fn add_paths(tree: &str, base: &str, found: &mut BTreeSet<String>) {
    if let Some(group) = tree.strip_prefix('{') {
        let (mut depth, mut start) = (0, 0);
        for (index, character) in group.char_indices() {
            let ends = depth == 0 && matches!(character, ',' | '}');
            if ends {
                add_paths(group[start..index].trim_start(), base, found);
                start = index + 1;
            }
            match character {
                '{' => depth += 1,
                '}' if ends => return,
                '}' => depth -= 1,
                _ => {}
            }
        }
        return;
    }
    let end = tree.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(tree.len());
    let (word, rest) = tree.split_at(end);
    let path = [base, word].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    match rest.strip_prefix("::").filter(|_| !word.is_empty()) {
        Some(rest) => add_paths(rest, &path, found),
        None => drop(found.insert(path)),
    }
}

#[test]
fn rooms_use_only_what_lies_below_them() {
    for source in sources() {
        if source.module == "lib" || source.module == "main" {
            continue;
        }
        let name = source.name.trim_end_matches("/mod");
        let room = room_of(name).unwrap_or_else(|| panic!("{name} is not in the table of this test"));
        let (_, allowed) = MAY_USE.iter().find(|(other, _)| *other == room).unwrap();
        for path in used(&source.name, &source.code) {
            let other = room_of(&path).unwrap_or_else(|| path.split('/').next().unwrap());
            let fine =
                other == room || allowed.contains(&other) || (allowed.contains(&"*") && other != "cli");
            assert!(fine, "{} must not use {path}", source.name);
        }
    }
}

#[test]
fn a_room_of_its_own_does_not_use_the_folder_around_it() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let code = lines(
        "use super::super::facts;\nuse super::state::{Data, unknown};\nsuper::super::super::error::x();",
    );
    let found = used("dkms/shell/eval", &code);
    assert!(found.contains("dkms/facts") && found.contains("error/x"), "{found:?}");
    assert!(found.contains("dkms/shell/state/unknown"), "{found:?}");
    assert_eq!(room_of("dkms/facts"), Some("dkms"));
    assert_eq!(room_of("dkms/shell/state/unknown"), Some("dkms/shell"));
    let found = used(
        "dkms/mod",
        &lines("use self::facts::x;\npub use shell::{a, b};\nuse crate::{dkms::{shell::Data, Conf}, error};"),
    );
    assert!(["dkms/shell/Data", "dkms/Conf", "error"].iter().all(|path| found.contains(*path)), "{found:?}");
}

/// What stands in a room goes one way, too; the file of the room itself knows what it is made of.
#[test]
fn no_circle_in_a_room() {
    let mut arrows: BTreeMap<(&str, String), BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let Some(room) = room_of(source.name.trim_end_matches("/mod")) else { continue };
        // the file or folder directly in the room
        let child = |path: &str| {
            let inside =
                path.strip_prefix(room).filter(|_| room_of(path) == Some(room))?.strip_prefix('/')?;
            inside.split('/').next().map(str::to_owned).filter(|name| name != "mod" && name != "tests")
        };
        let Some(own) = child(&source.name) else { continue };
        let others = used(&source.name, &source.code).into_iter().filter_map(|path| child(&path));
        let is_there = |name: &String| {
            let path = root().join("src").join(room).join(name);
            path.is_dir() || path.with_extension("rs").is_file()
        };
        let others = others.filter(|other| *other != own && is_there(other));
        arrows.entry((room, own.clone())).or_default().extend(others);
    }
    let mut bad = Vec::new();
    for ((room, start), _) in arrows.iter().filter(|((room, _), _)| !CIRCLES.contains(room)) {
        let (mut seen, mut ways) = (BTreeSet::new(), vec![start]);
        while let Some(at) = ways.pop() {
            for next in arrows.get(&(*room, at.clone())).into_iter().flatten() {
                if next == start {
                    bad.push(format!("{room}: {at} -> {start}"));
                }
                if seen.insert(next) {
                    ways.push(next);
                }
            }
        }
    }
    assert!(bad.is_empty(), "circles, each from both sides:\n{}", bad.join("\n"));
    for room in CIRCLES {
        assert!(MAY_USE.iter().any(|(known, _)| known == room), "{room}");
    }
}

#[test]
fn a_family_does_not_use_another_family() {
    let sources = sources();
    let family = |name: &str| Some(name.strip_prefix("format/")?.split_once('/')?.0.to_owned());
    let families: BTreeSet<_> = sources.iter().filter_map(|source| family(&source.name)).collect();
    assert!(families.len() >= 2, "{families:?}");
    for source in &sources {
        let Some(own) = family(&source.name) else { continue };
        for other in families.iter().filter(|other| **other != own) {
            let uses = |line: &&String| {
                line.contains(&format!("super::{other}")) || line.contains(&format!("format::{other}"))
            };
            let line = source.code.iter().find(uses);
            assert!(line.is_none(), "{}: {line:?}", source.name);
        }
    }
}

#[test]
fn each_dependency_and_power_has_its_owner() {
    for source in sources() {
        for (needle, owners) in OWNERS {
            let owned = owners.iter().any(|owner| lies_in(&source.name, owner));
            for line in source.code.iter().filter(|line| line.contains(needle)) {
                assert!(owned, "{} must not use `{needle}`: {line}", source.name);
            }
        }
        for (module, needles) in NEVER.iter().filter(|(module, _)| *module == source.module) {
            for line in &source.code {
                let bad = needles.iter().find(|needle| line.contains(**needle));
                assert!(bad.is_none(), "{module} is pure, but {} has: {line}", source.name);
            }
        }
    }
}

#[test]
fn no_distribution_is_named_in_code_or_templates() {
    // the evaluator answers what dkms.conf files may ask about the distribution they run on
    for source in sources().iter().filter(|source| source.module != "dkms" && source.name != "plan/profile") {
        for line in &source.code {
            for literal in line.split('"').skip(1).step_by(2) {
                let lower = literal.to_lowercase();
                let named = DISTRIBUTIONS
                    .iter()
                    .find(|name| lower.split(|c: char| !c.is_alphanumeric()).any(|word| word == **name));
                let documentation = lower.contains("policy")
                    || lower.contains("changelog.debian")
                    // names that the format gives to its files
                    || lower.contains("debian/")
                    || lower.contains(".debian.tar.")
                    || lower == "debian-binary"
                    // the folder of a tree's packaging
                    || lower == "debian" && line.contains("folder")
                    || line.contains("explanation");
                assert!(named.is_none() || documentation, "{}: {line}", source.name);
            }
        }
    }
    for path in files(&root().join("templates"), ".hbs") {
        for line in fs::read_to_string(&path).unwrap().lines().filter(|line| line.contains("{{#if")) {
            let lower = line.to_lowercase();
            assert!(!DISTRIBUTIONS.iter().any(|name| lower.contains(name)), "{}: {line}", path.display());
        }
    }
}

#[test]
fn panics_unwind_so_that_those_of_the_parser_become_findings() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(!manifest.lines().any(|line| line.trim_start().starts_with("panic")));
}

#[test]
fn every_file_begins_with_its_job() {
    for source in sources() {
        assert!(source.text.starts_with("//! "), "src/{}.rs has no header", source.name);
    }
}

#[test]
fn nothing_is_left_unfinished() {
    let mut paths = files(&root().join("src"), ".rs");
    paths.extend(files(&root().join("templates"), ".hbs"));
    paths.extend(files(&root().join("formats"), ".toml"));
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        for word in [
            "TO".to_owned() + "DO",
            "FIX".to_owned() + "ME",
            "X".repeat(3) + ":",
            "unimplemented".to_owned() + "!",
        ] {
            assert!(!text.contains(&word), "{} has a {word}", path.display());
        }
        for (number, line) in text.lines().enumerate() {
            assert_eq!(line.trim_end(), line, "{}:{} ends in blanks", path.display(), number + 1);
        }
    }
}

/// rustfmt follows no module of a macro: a room that it is not told of would never be formatted.
#[test]
fn rustfmt_is_told_of_every_room() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let list = lib.split("rooms! {\n").nth(1).unwrap().split('}').next().unwrap();
    let rooms: Vec<_> = list.split_whitespace().collect();
    let told = lib.split("#[cfg(any())]\nmod ").skip(1).map(|rest| rest.split(';').next().unwrap());
    assert_eq!(told.collect::<Vec<_>>(), rooms);
}

#[test]
fn the_readme_is_narrow_and_its_contents_are_there() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for (number, line) in readme.lines().enumerate() {
        assert!(line.chars().count() <= 120, "README.md:{} is longer than 120 columns", number + 1);
    }
    let word = |title: &str| {
        let plain = title.to_lowercase().replace(' ', "-");
        plain.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect::<String>()
    };
    let anchors: BTreeSet<_> = readme.lines().filter_map(|line| line.strip_prefix("## ")).map(word).collect();
    let linked: BTreeSet<_> =
        readme.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned()).collect();
    assert_eq!(linked, anchors, "the contents name each part");
}

#[test]
fn codes_are_unique_and_explained() {
    let mut seen = BTreeSet::new();
    for code in kpkg::build::codes() {
        let digits = code.id.strip_prefix('K').unwrap();
        assert!(digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{}", code.id);
        assert!(seen.insert(code.id), "{} is used twice", code.id);
        assert!(code.explanation.len() > 30 && code.title.len() > 5, "{}", code.id);
        assert!(code.explanation.lines().all(|line| line.chars().count() <= 110), "{}", code.id);
    }
    assert!(seen.len() > 10);
}

#[test]
fn the_checked_in_schema_is_current() {
    let path = root().join("kpkg.schema.json");
    let current = kpkg::config::Config::schema();
    if std::env::var_os("KPKG_UPDATE").is_some() {
        fs::write(&path, &current).unwrap();
    }
    assert!(fs::read_to_string(path).unwrap() == current, "run the tests once with KPKG_UPDATE=1");
}
