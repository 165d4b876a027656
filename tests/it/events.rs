//! The contract with programs: what `--json` prints is what `kpkg::events` says, in every verb, and nothing that was promised has gone.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support;
use kpkg::events::{self, Directive, Directives, Event, FailureKind, Line};
use serde_json::Value;
use support::{CONF, Tree};

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The events of a run, and its exit code. Every line has a kind and only fields that the types know.
fn events(tree: &Tree, arguments: &[&str]) -> (Vec<Event>, i32) {
    let output = tree.command(arguments).env("KPKG_CACHE", tree.path().join("cache")).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let events = text.lines().map(|line| {
        let value: Value = serde_json::from_str(line).unwrap();
        let read: Line = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(read.schema, events::VERSION, "{line}");
        assert!(read.event != Event::Unknown, "{line}");
        assert_eq!(serde_json::to_value(&read).unwrap(), value, "the types tell all of it");
        read.event
    });
    (events.collect(), output.status.code().unwrap())
}

fn is_error(event: &Event, kind: FailureKind, words: &str) -> bool {
    matches!(event, Event::Error(failure) if failure.kind == kind && failure.message.contains(words))
}

#[test]
fn the_checked_in_schema_is_current() {
    let path = root("events.schema.json");
    let current = events::schema();
    if std::env::var_os("KPKG_UPDATE").is_some() {
        fs::write(&path, &current).unwrap();
    }
    assert!(fs::read_to_string(path).unwrap() == current, "run the tests once with KPKG_UPDATE=1");
}

/// What of `old` has no equal in `new`: a kind, a field, a value, a type, or the promise that a field is there.
fn broken(old: &Value, new: &Value, at: &str, found: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old.iter().filter(|(key, _)| *key != "description") {
                let at = format!("{at}/{key}");
                match new.get(key) {
                    Some(other) => broken(value, other, &at, found),
                    None => found.push(at),
                }
            }
        }
        // kinds by their name, since others may be added anywhere; names in a list
        (Value::Array(old), Value::Array(new)) => {
            for value in old {
                let kind = &value["properties"]["reason"]["const"];
                let same = |other: &&Value| {
                    if kind.is_null() {
                        *other == value
                    } else {
                        other["properties"]["reason"]["const"] == *kind
                    }
                };
                match new.iter().find(same) {
                    Some(other) => broken(value, other, &format!("{at}/{kind}"), found),
                    None => found.push(format!("{at}/{value}")),
                }
            }
        }
        _ if old == new => {}
        _ => found.push(format!("{at}: {old} was, {new} is")),
    }
}

#[test]
fn nothing_that_was_promised_has_gone() {
    let frozen = fs::read_to_string(root("tests/events/frozen-1.json")).unwrap();
    let frozen: Value = serde_json::from_str(&frozen).unwrap();
    let current: Value = serde_json::from_str(&events::schema()).unwrap();
    let mut found = Vec::new();
    broken(&frozen, &current, "", &mut found);
    assert!(found.is_empty(), "version 1 is frozen: {found:#?}");
    // the comparison sees what goes
    for (change, at) in [
        ("/$defs/Artifact/properties/size", "/$defs/Artifact/properties/size"),
        ("/$defs/Artifact/required", "/$defs/Artifact/required"),
        ("/$defs/Outcome/oneOf", "/$defs/Outcome/oneOf"),
    ] {
        let mut less = frozen.clone();
        let (parent, key) = change.rsplit_once('/').unwrap();
        less.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
        let mut found = Vec::new();
        broken(&frozen, &less, "", &mut found);
        assert_eq!(found, [at]);
    }
    let mut other = frozen.clone();
    other["$defs"]["Artifact"]["properties"]["size"]["type"] = "string".into();
    let mut found = Vec::new();
    broken(&frozen, &other, "", &mut found);
    assert_eq!(found, ["/$defs/Artifact/properties/size/type: \"integer\" was, \"string\" is"]);
}

#[test]
fn what_is_not_known_is_skipped() {
    let later = r#"{"schema":1,"reason":"weather","sky":"blue"}"#;
    assert_eq!(serde_json::from_str::<Line>(later).unwrap().event, Event::Unknown);
    let later = r#"{"schema":1,"reason":"kernel","driver":"d","kernel":"k","outcome":"melted","heat":7}"#;
    let Event::Kernel(result) = serde_json::from_str::<Line>(later).unwrap().event else { panic!() };
    assert_eq!(result.outcome, events::Outcome::Unknown);
}

#[test]
fn every_verb_has_events() {
    let tree = Tree::with_conf(&format!("{CONF}REMAKE_INITRD=yes\n"));
    tree.file("kpkg.toml", "[driver]\nmaintainer = \"Jane Doe <jane@example.org>\"\n");
    let (found, code) = events(&tree, &["--json", "-f", "deb,rpm"]);
    assert_eq!(code, 0);
    assert_eq!(found.iter().filter(|event| matches!(event, Event::Artifact(_))).count(), 2, "{found:?}");
    let (found, _) = events(&tree, &["--json", "-f", "deb", "--dry-run"]);
    let plan = found.iter().find_map(|event| if let Event::Plan(plan) = event { Some(plan) } else { None });
    assert!(plan.unwrap().packages[0].package.files.iter().any(|file| file.path.ends_with("/dkms.conf")));
    let (found, _) = events(&tree, &["show", "--json", "-f", "deb,dsc", "-k", "6.1.0"]);
    let [Event::Plan(plan)] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((plan.packages.len(), plan.driver.kernels.len()), (2, 1));
    assert!(plan.findings.iter().any(|finding| finding.code == "K0312"), "{:?}", plan.findings);
    let package = &tree.names("dist").into_iter().find(|name| name.ends_with(".deb")).unwrap();
    let (found, _) = events(&tree, &["show", "--json", &format!("dist/{package}")]);
    assert!(matches!(found.as_slice(), [Event::Modules(file)] if file.package.is_some()), "{found:?}");
    let (found, _) = events(&tree, &["check", "--json", "-v"]);
    assert!(found.iter().all(|event| matches!(event, Event::Finding(_))) && !found.is_empty(), "{found:?}");
    let other =
        format!("dist/{}", tree.names("dist").into_iter().find(|name| name.ends_with(".rpm")).unwrap());
    let (found, code) = events(&tree, &["diff", "--json", &format!("dist/{package}"), &other]);
    assert!(code == 1 && found.iter().all(|event| matches!(event, Event::Difference(_))), "{found:?}");
    let (found, _) = events(&tree, &["explain", "--json", "K0203"]);
    assert!(matches!(found.as_slice(), [Event::Explanation(told)] if told.code == "K0203"), "{found:?}");
    let (found, _) = events(&tree, &["kernels", "list", "--json"]);
    assert!(found.iter().all(|event| matches!(event, Event::InstalledKernel(_))), "{found:?}");
    let (found, _) = events(&tree, &["--json", "targets"]);
    let bookworm = |event: &Event| matches!(event, Event::Target(target) if target.name == "debian-12" && target.aliases == ["bookworm"]);
    assert!(found.iter().any(bookworm) && found.len() > 10, "{found:?}");
    let bare = Tree::empty();
    bare.file("Makefile", "obj-m := toy.o\n");
    bare.file("toy.c", "MODULE_VERSION(\"1.0\");\n");
    let (found, _) = events(&bare, &["init", "--json"]);
    let written = |event: &Event| matches!(event, Event::File(file) if file.written && !file.text.is_empty());
    assert!(found.iter().any(written), "{found:?}");
}

/// The directives of a dkms.conf alone are an object, for whoever compares them with those of dkms.
#[test]
fn directives_are_an_object() {
    let tree = Tree::with_conf(CONF);
    let output = tree.kpkg(&["show", "--dkms-conf", "dkms.conf", "--json"]);
    let found: Directives = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["PACKAGE_NAME"], Directive::One(Some("toy".to_owned())));
}

#[test]
fn every_failure_is_an_event() {
    let tree = Tree::with_conf(CONF);
    let usage = FailureKind::Usage;
    for (arguments, code, kind, words) in [
        (&["--json", "no-folder"][..], 2, usage, "no-folder"),
        (&["show", "--dkms-conf", "nope.conf", "--json"], 2, usage, "cannot be packaged"),
        (&["show", "--json", "no-folder"], 2, usage, "no-folder"),
        (&["check", "--json", "no-folder"], 2, usage, "no-folder"),
        (&["diff", "--json", "no.deb", "no.rpm"], 2, usage, "no.deb"),
        (&["init", "--json", "no-folder"], 2, usage, "no-folder"),
        (&["explain", "--json", "K9999"], 2, usage, "K9999"),
        (&["kernels", "--json", "add", "no.deb"], 2, usage, "no.deb"),
        (&["kernels", "--json", "prune", "no-such"], 2, usage, "no-such"),
        (&["--json", "--no-such-flag"], 2, usage, "--no-such-flag"),
        (&["--json", "-o", "/dev/null/x"], 1, FailureKind::Failed, "/dev/null/x"),
    ] {
        let (found, own) = events(&tree, arguments);
        assert_eq!(own, code, "{arguments:?} {found:?}");
        assert!(is_error(found.last().unwrap(), kind, words), "{arguments:?} {found:?}");
    }
}

/// A signal is the last event, and the exit code says which one it was, in every verb that takes time.
#[test]
fn a_signal_is_an_event() {
    let tree = Tree::with_conf(CONF);
    tree.file(
        "kpkg.toml",
        "[driver]\nmaintainer = \"Jane Doe <jane@example.org>\"\nlicense = \"GPL-2.0-only\"\n",
    );
    let elsewhere = Tree::empty();
    let fifo = elsewhere.path().join("slow");
    let made = std::process::Command::new("mkfifo").arg(&fifo).output().unwrap();
    assert!(made.status.success());
    // what waits: a command that signs
    let wait = format!("read line <{}", fifo.display());
    for (signal, number) in [("INT", 2), ("TERM", 15)] {
        let mut command = tree.command(&["--json", "-f", "dsc", "--sign-command", &wait]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // there is somebody to write to as soon as it waits
        let open = || fs::File::options().write(true).custom_flags(0o4000).open(&fifo).ok();
        let mut tries = (0..600).inspect(|_| std::thread::sleep(std::time::Duration::from_millis(50)));
        let waits = tries.find_map(|_| open()).unwrap();
        let killed =
            std::process::Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(killed.unwrap().success());
        // the command is not waited for
        let output = child.wait_with_output().unwrap();
        drop(waits);
        assert_eq!(output.status.code(), Some(128 + number), "{signal}");
        let text = String::from_utf8(output.stdout).unwrap();
        let last: Line = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(
            last.event,
            Event::Interrupted(events::Interrupted { signal: u8::try_from(number).unwrap() })
        );
    }
}
