//! The manual is true: its commands print what it says (`tests/manual`), its reference is what the program and its types say, and its
//! links lead somewhere.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support;
use support::Tree;

fn book() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src")
}

#[test]
fn every_command_prints_what_the_manual_says() {
    // what its sessions call
    for tool in ["python3", "git", "gpg", "jq", "openssl", "dpkg", "rpm"] {
        if Command::new(tool).arg("--version").output().is_err() {
            return support::missing(tool);
        }
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manual");
    let output =
        Command::new("python3").arg(script).env("KPKG", env!("CARGO_BIN_EXE_kpkg")).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.starts_with("0 passed"), "{text}");
}

#[test]
fn the_reference_is_what_the_program_says() {
    let pages = [
        ("command-line", command_line()),
        ("kpkg-toml", kpkg_toml()),
        ("targets", targets()),
        ("codes", codes()),
        ("events", events()),
    ];
    for (name, text) in pages {
        let path = book().join(format!("reference/{name}.md"));
        if std::env::var_os("KPKG_UPDATE").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &text).unwrap();
        }
        let is_current = fs::read_to_string(&path).is_ok_and(|found| found == text);
        assert!(is_current, "{}: run the tests once with KPKG_UPDATE=1", path.display());
    }
}

#[test]
fn every_link_leads_somewhere() {
    let pages = pages();
    let summary = fs::read_to_string(book().join("SUMMARY.md")).unwrap();
    let mut wrong = Vec::new();
    for (path, text) in &pages {
        let folder = path.parent().unwrap();
        for link in links(text) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { folder.join(file) };
            let target = fs::canonicalize(&target).unwrap_or(target);
            let found = pages.iter().find(|(other, _)| *other == target);
            let is_there = found.is_some_and(|(_, text)| anchor.is_empty() || anchors(text).contains(anchor));
            if !is_there {
                wrong.push(format!("{}: {link}", path.display()));
            }
        }
        let name = path.strip_prefix(book()).unwrap().display().to_string();
        if name != "SUMMARY.md" && !summary.contains(&format!("({name})")) {
            wrong.push(format!("SUMMARY.md does not name {name}"));
        }
    }
    assert!(pages.len() > 10 && wrong.is_empty(), "{wrong:#?}");
}

/// Each page with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let folders = [book(), book().join("reference")];
    let files =
        folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let pages = files.filter(|path| path.extension().is_some_and(|end| end == "md"));
    pages.map(|path| (fs::canonicalize(&path).unwrap(), fs::read_to_string(&path).unwrap())).collect()
}

/// Lines outside of fences.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_inside = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_inside ^= is_fence;
        !is_inside && !is_fence
    })
}

fn links(text: &str) -> Vec<String> {
    let text: Vec<_> = prose(text).collect();
    let text = text.join("\n");
    text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())).collect()
}

/// The names that mdBook gives to headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| -> String {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

// ---- the reference --------------------------------------------------------------------------------------------------------------

fn printed(words: &[&str]) -> String {
    let output = Tree::empty().kpkg(words);
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn command_line() -> String {
    let mut text =
        "# Command line\n\nWhat `kpkg --help` and `kpkg VERB --help` print; `kpkg man` prints man pages.\n"
            .to_owned();
    let all = printed(&["--help"]);
    let list = all.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let verbs = list.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let verbs = verbs.map(|line| line.split(' ').next().unwrap()).filter(|verb| *verb != "help");
    let mut add = |title: String, words: &[&str]| {
        let help = printed(words);
        let _infallible = write!(text, "\n## {title}\n\n```text\n{}\n```\n", help.trim_end());
    };
    add("kpkg".to_owned(), &["--help"]);
    for verb in verbs {
        // it has the arguments of `kpkg` itself
        if verb != "build" {
            add(format!("kpkg {verb}"), &[verb, "--help"]);
        }
    }
    text
}

fn targets() -> String {
    format!(
        "# Targets\n\nWhat `--target` and `targets` under `[packaging]` in kpkg.toml name: a name or one of its aliases, the family of formats, the\n\
         release, and the dkms that it ships. The files in `formats/` hold what each wants.\n\n```text\n{}```\n",
        printed(&["targets"])
    )
}

fn codes() -> String {
    let mut text = "# Codes of findings\n\nWhat `kpkg explain CODE` prints. A code keeps its meaning; it is not given again.\n".to_owned();
    let mut codes: Vec<_> = kpkg::build::codes().collect();
    codes.sort_by_key(|code| code.id);
    for code in codes {
        let _infallible =
            write!(text, "\n## {}\n\n**{}**\n\n```text\n{}\n```\n", code.id, code.title, code.explanation);
    }
    text
}

fn kpkg_toml() -> String {
    let schema: Value = serde_json::from_str(&kpkg::config::Config::schema()).unwrap();
    let mut text = format!(
        "# kpkg.toml\n\n{}\n\nEvery key is optional; a key that is not known is an error. `kpkg schema` prints all of it as a JSON schema.\n",
        "The file lies beside dkms.conf, or in the driver's folder above it."
    );
    let sections = schema["properties"].as_object().unwrap();
    let at_top: Vec<_> = sections.iter().filter(|(_, value)| reference(value).is_none()).collect();
    let _infallible = write!(text, "\n## At the top\n\n| key | type | |\n|---|---|---|\n");
    for (name, value) in at_top.iter().filter(|(name, _)| *name != "format") {
        text.push_str(&row(&schema, name, value));
    }
    for (name, value) in sections {
        let kind = reference(value).or_else(|| value["additionalProperties"]["$ref"].as_str());
        let Some(kind) = kind else { continue };
        let title = match name.as_str() {
            "format" => "format.NAME",
            "mirrors" => "mirrors.TARGET",
            name => name,
        };
        let about = value["description"].as_str().unwrap_or_default();
        let _infallible =
            write!(text, "\n## {title}\n\n{}\n\n| key | type | |\n|---|---|---|\n", one_line(about));
        // of what is written in several ways it is the last, with all keys
        let of = definition(&schema, kind);
        let last = of["anyOf"].as_array().and_then(|ways| reference(ways.last()?));
        let keys = last.map_or(of, |kind| definition(&schema, kind));
        for (key, value) in keys["properties"].as_object().unwrap() {
            text.push_str(&row(&schema, key, value));
        }
    }
    text
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn definition<'a>(schema: &'a Value, reference: &str) -> &'a Value {
    &schema["$defs"][reference.rsplit('/').next().unwrap()]
}

/// What a value refers to.
fn reference(value: &Value) -> Option<&str> {
    let first = |list: &'static str| value[list].as_array()?.first()?["$ref"].as_str();
    value["$ref"].as_str().or_else(|| first("anyOf")).or_else(|| first("allOf"))
}

fn row(schema: &Value, key: &str, value: &Value) -> String {
    let about = value["description"].as_str().unwrap_or_default();
    format!("| `{key}` | {} | {} |\n", type_of(schema, value), one_line(about))
}

/// The type of a value, in words.
fn type_of(schema: &Value, value: &Value) -> String {
    if let Some(reference) = reference(value) {
        let found = definition(schema, reference);
        let variants: Vec<_> =
            found["oneOf"].as_array().into_iter().flatten().filter_map(|one| one["const"].as_str()).collect();
        if !variants.is_empty() {
            let quoted: Vec<_> = variants.iter().map(|variant| format!("`\"{variant}\"`")).collect();
            return quoted.join(", ");
        }
        if let Some(keys) = found["properties"].as_object() {
            return format!(
                "table of {}",
                keys.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
            );
        }
        return found["anyOf"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|one| type_of(schema, one))
            .collect::<Vec<_>>()
            .join(" or ");
    }
    match value["type"].as_str().or_else(|| value["type"][0].as_str()) {
        Some("array") => format!("list: {}", type_of(schema, &value["items"])),
        Some("object") => format!("table: {}", type_of(schema, &value["additionalProperties"])),
        Some("integer") => "number".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}

fn events() -> String {
    let schema: Value = serde_json::from_str(&kpkg::events::schema()).unwrap();
    let mut text = "# Events\n\nThe lines of `--json`: each has `schema`, 1, and `reason`, its kind. `kpkg schema events` prints all of it as a JSON \
                    schema.\nA field that may be absent is marked so; a value that may be null is absent or null.\n"
        .to_owned();
    let mut kinds = BTreeSet::new();
    for event in schema["oneOf"].as_array().unwrap() {
        let reason = event["properties"]["reason"]["const"].as_str().unwrap();
        let about = event["description"].as_str().unwrap_or_default();
        let _infallible = write!(text, "\n## {reason}\n\n{}\n\n", one_line(about));
        let found = reference(event).map_or(event, |reference| definition(&schema, reference));
        fields(found, &mut text, &mut kinds);
    }
    let mut told = BTreeSet::new();
    text.push_str("\n# Types\n");
    while let Some(kind) = kinds.pop_first() {
        if told.insert(kind.clone()) {
            let found = &schema["$defs"][&kind];
            let about = one_line(found["description"].as_str().unwrap_or_default());
            let _infallible = write!(text, "\n## {kind}\n\n{about}\n\n");
            fields(found, &mut text, &mut kinds);
            kinds.retain(|kind| !told.contains(kind));
        }
    }
    text
}

/// The fields or the values of a type; `kinds` gets the types that they are of.
fn fields(found: &Value, text: &mut String, kinds: &mut BTreeSet<String>) {
    if let Some(values) = found["oneOf"].as_array() {
        for value in values {
            let about = one_line(value["description"].as_str().unwrap_or_default());
            let _infallible = writeln!(text, "- `{}`: {about}", value["const"].as_str().unwrap_or_default());
        }
        return;
    }
    let needed: Vec<_> =
        found["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    text.push_str("| field | type | |\n|---|---|---|\n");
    for (name, value) in
        found["properties"].as_object().into_iter().flatten().filter(|(name, _)| *name != "reason")
    {
        let kind = event_type(value, kinds);
        let absent = if needed.contains(&name.as_str()) { "" } else { ", may be absent" };
        let about = one_line(value["description"].as_str().unwrap_or_default());
        let _infallible = writeln!(text, "| `{name}` | {kind}{absent} | {about} |");
    }
}

fn event_type(value: &Value, kinds: &mut BTreeSet<String>) -> String {
    if let Some(reference) = reference(value) {
        let name = reference.rsplit('/').next().unwrap();
        kinds.insert(name.to_owned());
        return format!("[{name}](#{})", name.to_lowercase());
    }
    match value["type"].as_str().or_else(|| value["type"][0].as_str()) {
        Some("array") => format!("list of {}", event_type(&value["items"], kinds)),
        Some("object") => format!("map to {}", event_type(&value["additionalProperties"], kinds)),
        Some("integer") => "number".to_owned(),
        Some(other) => other.to_owned(),
        None => "any".to_owned(),
    }
}
