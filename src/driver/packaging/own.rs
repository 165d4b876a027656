//! What a tree's own debian/ or spec says of the package: who answers for it, what it needs, what its scripts do.

use super::Files;
use crate::package::{Relation, RelationKind};

/// How many things of one kind are told.
const OF_A_KIND: usize = 40;

/// A packaging of the tree's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Own {
    /// Its folder, or the spec file.
    pub path: String,
    /// The format that it is for, as kpkg calls it.
    pub format: &'static str,
    /// What the package is.
    pub about: About,
    /// What it needs, offers and excludes: the key under `[relations]`, and the values in kpkg's notation.
    pub relations: Vec<(&'static str, Vec<String>)>,
    /// Scripts that do more than dkms's work.
    pub scripts: Vec<Script>,
    /// What has no place in kpkg.toml.
    pub by_hand: Vec<String>,
}

/// What a package is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// `Name <address>`
    pub maintainer: Option<String>,
    /// An address.
    pub homepage: Option<String>,
    /// One line.
    pub summary: Option<String>,
    /// Paragraphs.
    pub description: Option<String>,
    /// An SPDX expression.
    pub license: Option<String>,
}

/// A script of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The file, or the section of a spec.
    pub name: String,
    /// Where its text goes in kpkg.toml.
    pub table: &'static str,
    /// The programs that it runs beside those of dkms.
    pub runs: Vec<String>,
}

/// The scripts of both formats, and where their text goes.
const SCRIPTS: [(&str, &str); 9] = [
    ("preinst", "scripts.before-install"),
    ("postinst", "scripts.after-install"),
    ("prerm", "scripts.before-remove"),
    ("postrm", "scripts.after-remove"),
    ("%pre", "scripts.before-install"),
    ("%post", "scripts.after-install"),
    ("%preun", "scripts.before-remove"),
    ("%postun", "scripts.after-remove"),
    ("%posttrans", "scripts.after-transaction"),
];

/// The scripts of a format, and the table of kpkg.toml for each; those of spec files begin with `%`.
pub fn script_tables(of_spec: bool) -> impl Iterator<Item = (&'static str, &'static str)> {
    SCRIPTS.into_iter().filter(move |(script, _)| script.starts_with('%') == of_spec)
}

/// The packagings of a tree: `debian/` in its root, and spec files of packages that use dkms.
#[must_use]
pub fn own(files: &Files<'_>) -> Vec<Own> {
    let mut found: Vec<_> = of_debian(files, "debian/").into_iter().collect();
    let is_spec = |path: &&&str| {
        (path.ends_with(".spec") || path.ends_with(".spec.in"))
            && !path.ends_with("-dkms-mkrpm.spec")
            && path.matches('/').count() < 3
            && !super::is_aside(path)
    };
    for path in files.paths.iter().filter(is_spec).take(OF_A_KIND) {
        let text = files.text(path);
        // others are for tools, or for modules that are built with each kernel
        if text.contains("dkms") {
            found.push(of_spec(path, &text));
        }
    }
    found
}

/// The packaging at a path: a folder with `control`, or a spec file.
#[must_use]
pub fn own_of(files: &Files<'_>, path: &str) -> Option<Own> {
    let path = path.trim_start_matches("./").trim_end_matches('/');
    if files.has(path) { Some(of_spec(path, &files.text(path))) } else { of_debian(files, path) }
}

fn of_debian(files: &Files<'_>, folder: &str) -> Option<Own> {
    let folder = folder.trim_end_matches('/');
    let control = [format!("{folder}/control"), format!("{folder}/control.in")];
    let control = files.text(control.iter().find(|path| files.has(path))?);
    let stanzas: Vec<_> = stanzas(&control);
    let (source, packages): (Vec<_>, Vec<_>) =
        stanzas.iter().partition(|stanza| field_of(stanza, "Package").is_none());
    let is_dkms = |stanza: &&&String| field_of(stanza, "Package").is_some_and(|name| name.ends_with("-dkms"));
    let needs_dkms =
        |stanza: &&&String| field_of(stanza, "Depends").is_some_and(|needs| needs.contains("dkms"));
    let only = || packages.first().filter(|_| packages.len() == 1);
    let package = packages.iter().find(is_dkms).or_else(|| packages.iter().find(needs_dkms)).or_else(only)?;
    let of_source = |name: &str| source.first().and_then(|stanza| field_of(stanza, name));
    let description = field_of(package, "Description").unwrap_or_default();
    let mut lines = description.lines();
    let about = About {
        maintainer: of_source("Maintainer").filter(|value| is_plain(value)),
        homepage: of_source("Homepage")
            .or_else(|| field_of(package, "Homepage"))
            .filter(|value| is_plain(value)),
        summary: lines.next().map(str::to_owned).filter(|value| is_plain(value)),
        description: paragraphs(lines),
        license: copyright_license(&files.text(&format!("{folder}/copyright"))),
    };
    let mut own = Own { path: format!("{folder}/"), format: "deb", about, ..Own::default() };
    for (fields, key) in [
        (["Depends", "Pre-Depends"], "requires"),
        (["Recommends", ""], "recommends"),
        (["Suggests", ""], "suggests"),
        (["Conflicts", ""], "conflicts"),
        (["Breaks", ""], "breaks"),
        (["Replaces", ""], "replaces"),
        (["Provides", ""], "provides"),
    ] {
        let values =
            fields.iter().filter(|field| !field.is_empty()).filter_map(|field| field_of(package, field));
        let (mut known, unknown) = relations_of(&values.collect::<Vec<_>>().join(", "));
        known.dedup();
        if !known.is_empty() {
            own.relations.push((key, known));
        }
        own.by_hand.extend(unknown.into_iter().map(|need| format!("{}: {need}", fields[0])));
    }
    let name = field_of(package, "Package").unwrap_or_default();
    let is_ours = |stem: &str| stem.is_empty() || stem == name || packages.len() == 1;
    for path in files.below(folder) {
        let file = &path[folder.len() + 1..];
        let (stem, ending) = file.rsplit_once('.').unwrap_or(("", file));
        if let Some((_, table)) = SCRIPTS.iter().find(|(script, _)| *script == ending) {
            let runs = programs(&files.text(path));
            if is_ours(stem) && !runs.is_empty() {
                own.scripts.push(Script { name: path.to_owned(), table, runs });
            }
        } else if ["triggers", "config", "templates", "links", "maintscript", "conffiles"].contains(&ending)
            && is_ours(stem)
        {
            own.by_hand.push(path.to_owned());
        }
    }
    let series = files.text(&format!("{folder}/patches/series"));
    let patches: Vec<_> =
        series.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    if !patches.is_empty() {
        own.by_hand.push(format!(
            "{folder}/patches: {}; apply what the driver needs to the source, or name it under PATCH in dkms.conf",
            patches.join(", ").chars().take(200).collect::<String>()
        ));
    }
    own.by_hand.truncate(OF_A_KIND);
    Some(own)
}

fn of_spec(path: &str, text: &str) -> Own {
    let value = |name: &str| field_of(text, name).filter(|value| is_plain(value));
    let mut description: Vec<&str> = Vec::new();
    let mut scripts: Vec<(&str, String)> = Vec::new();
    let mut section = "";
    for line in text.lines() {
        if let Some(begins) = super::copies::section(line) {
            // those of sub-packages come later
            let is_known = begins == "%description" && !description.is_empty()
                || scripts.iter().any(|(name, _)| *name == begins);
            section = if is_known { "" } else { begins };
            if !is_known && SCRIPTS.iter().any(|(script, _)| *script == begins) {
                scripts.push((begins, String::new()));
            }
            continue;
        }
        match section {
            "%description" => description.push(line),
            _ => {
                if let Some((_, script)) = scripts.last_mut().filter(|(name, _)| *name == section) {
                    script.push_str(line);
                    script.push('\n');
                }
            }
        }
    }
    let mut own = Own {
        path: path.to_owned(),
        format: "rpm",
        about: About {
            maintainer: value("Packager"),
            homepage: value("URL").or_else(|| value("Url")),
            summary: value("Summary"),
            description: paragraphs(description.into_iter()),
            license: value("License").and_then(|license| spdx(&license)),
        },
        ..Own::default()
    };
    for (field, key) in [
        ("Requires", "requires"),
        ("Recommends", "recommends"),
        ("Suggests", "suggests"),
        ("Conflicts", "conflicts"),
        ("Obsoletes", "replaces"),
        ("Provides", "provides"),
    ] {
        let (known, unknown) = spec_relations(text, field);
        if !known.is_empty() {
            own.relations.push((key, known));
        }
        own.by_hand.extend(unknown.into_iter().map(|need| format!("{field}: {need}")));
    }
    for (name, script) in scripts {
        let runs = programs(&script);
        if let (false, Some((_, table))) =
            (runs.is_empty(), SCRIPTS.iter().find(|(script, _)| *script == name))
        {
            own.scripts.push(Script { name: name.to_owned(), table, runs });
        }
    }
    let mut patches: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(tag, _)| {
            tag.strip_prefix("Patch").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .map(|(_, name)| name.trim().to_owned())
        .collect();
    patches.truncate(OF_A_KIND);
    own.by_hand.extend(patches.into_iter().map(|name| {
        format!(
            "the patch {}: apply it to the source, or name it under PATCH in dkms.conf",
            name.escape_debug()
        )
    }));
    own.by_hand.truncate(OF_A_KIND);
    own
}

/// Whether a value is one line without anything that a tool would have replaced.
fn is_plain(value: &str) -> bool {
    let is_marked = ["%{", "${", "$(", "@", "#"].iter().any(|sign| value.starts_with(sign))
        || value.contains("%{")
        || value.contains("${");
    !value.trim().is_empty() && !is_marked && !value.chars().any(char::is_control)
}

/// The parts of a control file that empty lines separate.
fn stanzas(control: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for line in control.lines().filter(|line| !line.starts_with('#')) {
        match found.last_mut() {
            Some(last) if !line.trim().is_empty() => last.extend([line, "\n"]),
            Some(last) if !last.is_empty() => found.push(String::new()),
            _ => {}
        }
    }
    found.retain(|stanza| !stanza.is_empty());
    found.truncate(OF_A_KIND);
    found
}

/// A field's value in a control file or a spec: the line, and those indented below it.
#[must_use]
pub fn field_of(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| value_of(line, name).is_none());
    let mut value = value_of(lines.next()?, name)?.trim().to_owned();
    for line in lines.take_while(|line| line.starts_with([' ', '\t']) && !line.trim().is_empty()) {
        value.push('\n');
        value.push_str(line.trim());
    }
    Some(value)
}

fn value_of<'t>(line: &'t str, name: &str) -> Option<&'t str> {
    line.strip_prefix(name)?.strip_prefix(':')
}

/// Paragraphs of a description; ` .` stands for an empty line in control files.
fn paragraphs<'t>(lines: impl Iterator<Item = &'t str>) -> Option<String> {
    let lines = lines.map(|line| if line.trim() == "." { "" } else { line.trim() });
    let clean =
        lines.map(|line| line.chars().filter(|character| !character.is_control()).collect::<String>());
    let text = clean.collect::<Vec<_>>().join("\n").trim().to_owned();
    (!text.is_empty() && !text.contains("%{") && !text.contains("${")).then_some(text)
}

/// What dkms or kpkg's packages need anyway, or what only builds the tree's own package.
fn is_usual(name: &str) -> bool {
    const USUAL: [&str; 9] = [
        "dkms",
        "make",
        "gcc",
        "c-compiler",
        "build-essential",
        "kernel-devel",
        "kernel-headers",
        "linux-headers",
        "debhelper",
    ];
    USUAL
        .iter()
        .any(|usual| name == *usual || name.strip_prefix(usual).is_some_and(|rest| rest.starts_with('-')))
}

/// Relations of a control field in kpkg's notation, and those that have none there.
#[must_use]
pub fn relations_of(value: &str) -> (Vec<String>, Vec<String>) {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for need in value.split(',').map(str::trim).filter(|need| !need.is_empty()) {
        let name = need.split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
        if need.contains(['$', '@', '#']) || is_usual(name) {
            continue;
        }
        let need: String = need.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let spelled = need.replace(['(', ')'], " ");
        let words = spelled.split_whitespace().collect::<Vec<_>>().join(" ");
        // `foo(>=2)` has no blank behind the sign
        let words = words.replace(">=", ">= ").replace("  ", " ");
        push(words, &need, &mut known, &mut unknown);
    }
    (known, unknown)
}

/// The same for every line of a field of a spec.
#[must_use]
pub fn spec_relations(text: &str, field: &str) -> (Vec<String>, Vec<String>) {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let values = text.lines().filter_map(|line| value_of(line.trim(), field)).take(OF_A_KIND);
    for value in values.filter(|value| !value.contains("%{") && !value.contains('@')) {
        if value.trim().starts_with('(') {
            push(value.trim().to_owned(), value.trim(), &mut known, &mut unknown);
            continue;
        }
        // commas and blanks separate names, and a sign binds the words around it
        let mut needs: Vec<String> = Vec::new();
        let mut words = value.split([' ', '\t', ',']).filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            match needs.last_mut() {
                Some(last) if word.starts_with(['<', '>', '=']) => {
                    let version = words.next().unwrap_or_default();
                    last.push_str(&format!(" {word} {version}"));
                }
                _ => needs.push(word.to_owned()),
            }
        }
        for need in needs {
            if !is_usual(need.split(' ').next().unwrap_or_default()) {
                push(need.clone(), &need, &mut known, &mut unknown);
            }
        }
    }
    (known, unknown)
}

fn push(spelled: String, as_it_was: &str, known: &mut Vec<String>, unknown: &mut Vec<String>) {
    if known.len() + unknown.len() >= OF_A_KIND || known.contains(&spelled) {
        return;
    }
    if Relation::parse(RelationKind::Requires, &spelled).is_some() {
        known.push(spelled);
    } else {
        unknown.push(as_it_was.escape_debug().to_string());
    }
}

/// The programs that a script runs beside those that do dkms's work, in their order.
fn programs(text: &str) -> Vec<String> {
    const GRAMMAR: [&str; 43] = [
        "if", "then", "elif", "else", "fi", "case", "esac", "for", "do", "done", "while", "until", "in", "{",
        "}", "[", "[[", "test", "true", "false", ":", "!", "set", "exit", "return", "echo", "printf",
        "local", "export", "shift", "break", "continue", "function", ".", "source", "cd", "sleep", "unset",
        "eval", "read", "declare", "let", "trap",
    ];
    // kpkg's own scripts do these
    const OF_DKMS: [&str; 8] = [
        "dkms",
        "dkms_autoinstaller",
        "common.postinst",
        "depmod",
        "uname",
        "dpkg-query",
        "rpm",
        "isadoption",
    ];
    let mut found: Vec<String> = Vec::new();
    for line in without_texts(text).lines() {
        let line = line.trim();
        if line.starts_with('#') || line.starts_with('%') || line.contains("common.postinst") {
            continue;
        }
        for part in line.split([';', '|', '&']) {
            let words = part.split_whitespace().skip_while(|word| {
                ["if", "then", "else", "elif", "do", "while", "!", "&&", "||"].contains(word)
            });
            let mut words = words.skip_while(|word| {
                // an assignment, or a pattern of `case`
                word.split_once('=').is_some_and(|(name, _)| {
                    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                }) || word.ends_with(')') && !word.contains('(')
            });
            let Some(word) = words.next() else { continue };
            let name = word.rsplit('/').next().unwrap_or(word);
            let is_program = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
                && name.bytes().any(|byte| byte.is_ascii_lowercase());
            let is_own = GRAMMAR.contains(&name)
                || OF_DKMS.contains(&name)
                || word.contains("()")
                || words.next() == Some("()");
            if is_program && !is_own && !found.iter().any(|other| other == name) && found.len() < 6 {
                found.push(name.to_owned());
            }
        }
    }
    found
}

/// A script without what stands between quotes and in here-documents, which is seldom a program.
fn without_texts(script: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    let mut here: Option<String> = None;
    for line in script.lines() {
        if let Some(end) = &here {
            if line.trim() == end {
                here = None;
            }
            continue;
        }
        let is_comment = quote.is_none() && line.trim_start().starts_with('#');
        let mut characters = line.chars().filter(|_| !is_comment);
        while let Some(character) = characters.next() {
            match character {
                '\\' if quote != Some('\'') => drop(characters.next()),
                '\'' | '"' if quote.is_none() => {
                    quote = Some(character);
                    // a word that is a text is no program, and no blank
                    out.push('"');
                }
                _ if quote == Some(character) => quote = None,
                _ if quote.is_none() => out.push(character),
                _ => {}
            }
        }
        out.push(if quote.is_some() { ' ' } else { '\n' });
        let marked = line.split_once("<<").filter(|_| quote.is_none() && !line.contains("<<<"));
        here = marked.map(|(_, end)| {
            let end = end.trim_start_matches('-').trim_start();
            let end = end.split([' ', ';', '|', '>', ')']).next().unwrap_or_default();
            end.trim_matches(['\'', '"', '\\']).to_owned()
        });
    }
    out
}

/// The licence of all files in a machine-readable copyright file.
fn copyright_license(text: &str) -> Option<String> {
    let all = stanzas(text).into_iter().find(|stanza| field_of(stanza, "Files").as_deref() == Some("*"))?;
    spdx(field_of(&all, "License")?.lines().next()?)
}

/// The spellings of control files and of older spec files as SPDX expressions; what is none of them is left out.
fn spdx(license: &str) -> Option<String> {
    const NAMES: [(&str, &str); 14] = [
        ("GPLv2", "GPL-2.0-only"),
        ("GPLv2 only", "GPL-2.0-only"),
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2.0", "GPL-2.0-only"),
        ("GPLv2+", "GPL-2.0-or-later"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("GPLv3", "GPL-3.0-only"),
        ("GPL-3", "GPL-3.0-only"),
        ("GPLv3+", "GPL-3.0-or-later"),
        ("GPL-3+", "GPL-3.0-or-later"),
        ("Expat", "MIT"),
        ("MIT", "MIT"),
        ("Apache-2.0", "Apache-2.0"),
    ];
    let license = license.trim();
    if let Some((_, spdx)) = NAMES.iter().find(|(name, _)| *name == license) {
        return Some((*spdx).to_owned());
    }
    let ends = ["-only", "-or-later", "-Clause", "-Proprietary"];
    let is_term = |word: &str| {
        ["AND", "OR", "WITH"].contains(&word)
            || ends.iter().any(|end| word.trim_matches(['(', ')']).ends_with(end))
            || word == "MIT"
    };
    let is_spdx = license.split_whitespace().all(is_term) && !license.is_empty();
    (is_spdx && license.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '))
        .then(|| license.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_get_kpkg_notation() {
        let (known, unknown) = relations_of(
            "${misc:Depends}, dkms (>= 2), toy-fw (>= 1.2), a | b (>= 3),\n udev, foo (<< 2), bar [amd64], linux-headers-generic",
        );
        assert_eq!(known, ["toy-fw >= 1.2", "a | b >= 3", "udev", "foo << 2"]);
        assert_eq!(unknown, ["bar [amd64]"]);
        let spec =
            "Requires: dkms >= 2 toy-fw, %{name}-x\nRequires: toy-fw = 1, kernel-devel\nRequires:(a if b)\n";
        assert_eq!(
            spec_relations(spec, "Requires"),
            (vec!["toy-fw = 1".to_owned(), "(a if b)".to_owned()], vec![])
        );
    }

    #[test]
    fn scripts_that_only_do_the_work_of_dkms_run_nothing() {
        let usual = "#!/bin/sh\nset -e\ncase \"$1\" in\nconfigure)\n  dkms add -m toy -v 1 || true\n  /usr/lib/dkms/common.postinst toy 1\n\
                     ;;\nesac\nif [ -x /usr/sbin/dkms ]; then NAME=toy; depmod -a; fi\n#DEBHELPER#\nexit 0\n";
        assert!(programs(usual).is_empty(), "{:?}", programs(usual));
        let own = "if true; then udevadm trigger; fi\n/sbin/modprobe toy || :\nX=1 systemctl enable toy && udevadm settle\n";
        assert_eq!(programs(own), ["udevadm", "modprobe", "systemctl"]);
        let said = "printf \"\\n\\033[1;36mADD: '\\033[1;35msudo x'; rm y\\n\"\ncat > /x <<EOF\nrm -rf\nEOF\necho \"a\nrm b\"\nldconfig\n";
        assert_eq!(programs(said), ["cat", "ldconfig"]);
    }

    #[test]
    fn licences_are_spdx_or_nothing() {
        assert_eq!(spdx("GPLv2+").as_deref(), Some("GPL-2.0-or-later"));
        assert_eq!(spdx("GPL-2.0-only OR MIT").as_deref(), Some("GPL-2.0-only OR MIT"));
        assert_eq!(spdx("see LICENSE"), None);
        let copyright =
            "Format: x\n\nFiles: debian/*\nLicense: MIT\n\nFiles: *\nCopyright: x\nLicense: GPL-2\n text\n";
        assert_eq!(copyright_license(copyright).as_deref(), Some("GPL-2.0-only"));
    }
}
