//! The kpkg.toml that follows from a tree's own packaging.

use super::{Companion, Own};
use crate::input::source::Moved;

/// A `kpkg.toml` in which nothing counts.
const HEAD: &str = "\
#:schema ./kpkg.schema.json
# what dkms.conf has no place for; every key is optional, and `kpkg show` prints what they lead to;
# `kpkg schema >kpkg.schema.json` writes what editors complete and check it by
";
/// What is written where nothing is known: the key, and an example.
const DRIVER: [(&str, &str); 4] = [
    ("maintainer", "Name <address@example.org>"),
    ("homepage", "https://example.org/driver"),
    ("summary", "one line for package lists"),
    ("license", "GPL-2.0-only"),
];
const PACKAGING: &str = "
[packaging]
# targets = [\"deb\", \"rpm\"]
# on-build-failure = \"keep\"
";

/// The text of a `kpkg.toml`: what `own` says, comments for what it leaves to be moved by hand, and the lines for `companions` with
/// their paths below `root`, a folder of the tree; `map` is what lies elsewhere in the package.
#[must_use]
pub fn kpkg_toml(own: Option<&Own>, companions: &[Companion], root: &str, map: &[Moved]) -> String {
    let mut text = format!("{HEAD}[driver]\n");
    let about = own.map(|own| own.about.clone()).unwrap_or_default();
    let known = [&about.maintainer, &about.homepage, &about.summary, &about.license];
    for ((key, example), value) in DRIVER.into_iter().zip(known) {
        match value {
            Some(value) => text.push_str(&format!("{key} = {}\n", quoted(value))),
            None => text.push_str(&format!("# {key} = {}\n", quoted(example))),
        }
    }
    if let Some(description) = &about.description {
        text.push_str(&format!("description = {}\n", quoted(description)));
    }
    text.push_str("\n[source]\n# exclude = [\"/docs/\"]\n");
    if !map.is_empty() {
        if !root.is_empty() {
            text.push_str(&format!("root = {}\n", quoted(root)));
        }
        let lines = map.iter().map(|moved| format!("{} = {}", quoted(&moved.from), quoted(&moved.to)));
        text.push_str(&format!("map = {{ {} }}\n", list(lines)));
    }
    text.push_str(PACKAGING);
    let lines = files_lines(companions, root);
    if !lines.is_empty() {
        text.push_str("\n[files]\n");
        for (line, said_by) in lines {
            text.push_str(&format!("# {}\n{line}\n", comment(&said_by)));
        }
    }
    for companion in companions.iter().filter(|companion| !is_takeable(companion, root)) {
        text.push_str(&format!("# {}\n", comment(&left_out(companion))));
    }
    let Some(own) = own else { return text };
    if !own.relations.is_empty() {
        text.push_str(&format!("\n[format.{}.relations]\n", own.format));
        for (key, values) in &own.relations {
            text.push_str(&format!("{key} = [{}]\n", list(values.iter().map(|value| quoted(value)))));
        }
    }
    let by_hand = own.scripts.iter().map(|script| {
        format!(
            "{} runs {}: move what is the driver's own to a file named under [{}]",
            script.name,
            script.runs.join(", "),
            script.table
        )
    });
    let by_hand: Vec<_> = by_hand.chain(own.by_hand.iter().map(|what| format!("by hand: {what}"))).collect();
    if !by_hand.is_empty() {
        text.push('\n');
    }
    for line in by_hand {
        text.push_str(&format!("# {}\n", comment(&line)));
    }
    text
}

/// The lines under `[files]`, one for each kind, and who says so.
pub(super) fn files_lines(companions: &[Companion], root: &str) -> Vec<(String, String)> {
    let takeable: Vec<_> = companions.iter().filter(|companion| is_takeable(companion, root)).collect();
    let mut keys: Vec<&str> = Vec::new();
    for key in takeable.iter().filter_map(|companion| companion.key) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let line = |key: &str| {
        let of_key = takeable.iter().filter(|companion| companion.key == Some(key));
        let mut said_by: Vec<String> = Vec::new();
        let mut values: Vec<String> = Vec::new();
        for companion in of_key {
            let (text, number) = &companion.said_by;
            let said = format!("{text}:{number}");
            if !said_by.contains(&said) {
                said_by.push(said);
            }
            let path = companion.below(root).unwrap_or_default();
            let own = path.rsplit('/').next().unwrap_or(path);
            let value = if own == companion.name {
                quoted(path)
            } else {
                format!("{{ path = {}, name = {} }}", quoted(path), quoted(&companion.name))
            };
            values.push(value);
        }
        said_by.truncate(4);
        (format!("{key} = [{}]", list(values.into_iter())), said_by.join(", "))
    };
    keys.into_iter().map(line).collect()
}

fn is_takeable(companion: &Companion, root: &str) -> bool {
    companion.key.is_some() && companion.below(root).is_some()
}

/// What is to say of a file that `[files]` does not take.
pub(super) fn left_out(companion: &Companion) -> String {
    let (text, line) = &companion.said_by;
    match companion.key {
        Some(key) => {
            format!("by hand: {} ({key}, {text}:{line}) lies outside the packaged source", companion.path)
        }
        None => format!("by hand: {} ({text}:{line})", companion.path),
    }
}

pub(super) fn list(values: impl Iterator<Item = String>) -> String {
    values.collect::<Vec<_>>().join(", ")
}

/// A comment is one line, in which TOML allows no control character.
fn comment(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ if character.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(character))),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, FileConfig};
    use crate::driver::packaging::own::{About, Script};

    const HOSTILE: &str = "a\"b\\c\n[driver]\nx = 1 # \u{7f}\u{0}\u{85} ''' \"\"\" é";

    fn parse(text: &str) -> Config {
        Config::parse(std::path::Path::new("kpkg.toml"), text, &["deb", "rpm"]).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_whatever_it_holds() {
        let own = Own {
            path: HOSTILE.to_owned(),
            format: "deb",
            about: About {
                maintainer: Some(HOSTILE.to_owned()),
                description: Some(HOSTILE.to_owned()),
                ..About::default()
            },
            relations: vec![("requires", vec![HOSTILE.to_owned()])],
            scripts: vec![Script {
                name: HOSTILE.to_owned(),
                table: "scripts.after-install",
                runs: vec![HOSTILE.to_owned()],
            }],
            by_hand: vec![HOSTILE.to_owned()],
        };
        let companion = |key, path: &str, name: &str| Companion {
            key,
            path: path.to_owned(),
            name: name.to_owned(),
            said_by: (HOSTILE.to_owned(), 1),
        };
        let companions = [
            companion(Some("udev"), &format!("sub/{HOSTILE}"), &format!("n{HOSTILE}")),
            companion(Some("udev"), "sub/60-x.rules", "60-x.rules"),
            companion(Some("modprobe"), "60-x.rules", "60-x.rules"),
            companion(None, "sub/x", "x"),
        ];
        let map = [Moved { from: HOSTILE.to_owned(), to: format!("{HOSTILE}/") }];
        let config = parse(&kpkg_toml(Some(&own), &companions, "sub", &map));
        assert_eq!(config.source.root.as_deref(), Some("sub"));
        assert_eq!(config.source.map[HOSTILE], format!("{HOSTILE}/"));
        assert_eq!(config.driver.maintainer.as_deref(), Some(HOSTILE));
        assert_eq!(config.driver.description.as_deref(), Some(HOSTILE));
        assert_eq!(config.format["deb"].relations.requires, [HOSTILE]);
        assert_eq!(config.files.udev.len(), 2);
        assert_eq!(
            (config.files.udev[0].path(), config.files.udev[0].name()),
            (HOSTILE, Some(format!("n{HOSTILE}").as_str()))
        );
        assert_eq!(config.files.udev[1], FileConfig::Path("60-x.rules".to_owned()));
        assert!(config.files.modprobe.is_empty());
        assert_eq!(parse(&kpkg_toml(None, &[], "", &[])), Config::default());
    }
}
