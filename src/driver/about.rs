//! What a driver's sources say about themselves: licence, authors, copyright; kpkg.toml counts more.
//!
//! Only reads, and no more than a limit of the sources.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;

use super::Module;
use super::tree::{Tree, read_start, text_of};
use crate::base::error::Result;
use crate::config::Config;

/// What a driver says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct About {
    /// One line.
    pub summary: Option<String>,
    /// Paragraphs.
    pub description: Option<String>,
    /// An SPDX expression.
    pub license: Option<String>,
    /// Notices.
    pub copyright: Vec<String>,
    /// `Name <address>`.
    pub maintainer: Option<String>,
    /// An address.
    pub homepage: Option<String>,
}

/// How much of the sources is read for that at most.
const ABOUT_FILES: usize = 64;
pub(super) const ABOUT_BYTES: usize = 512 << 10;
/// How much is read where those files say nothing.
const ALL_BYTES: usize = 48 << 20;

impl About {
    /// `folder` is the driver's, whose root may lie below it.
    pub(super) fn new(config: &Config, tree: &Tree<'_>, modules: &[Module], folder: &Path) -> Result<Self> {
        let said = &config.driver;
        let sources = module_sources(tree, modules);
        let papers = Papers { tree, folder };
        Ok(Self {
            summary: checked_line(config, "summary", said.summary.as_deref())?,
            description: checked_text(config, "description", said.description.as_deref())?,
            license: checked_license(config, checked_line(config, "license", said.license.as_deref())?)?
                .or_else(|| license(&sources))
                .or_else(|| declared_license(tree))
                .or_else(|| papers.license()),
            copyright: if said.copyright.is_empty() {
                copyright_notices(&sources)
            } else {
                let checked = |notice: &String| {
                    checked_line(config, "copyright", Some(notice)).map(Option::unwrap_or_default)
                };
                said.copyright.iter().map(checked).collect::<Result<_>>()?
            },
            maintainer: match &said.maintainer {
                Some(maintainer) if is_mailbox(maintainer) => Some(maintainer.clone()),
                Some(maintainer) => {
                    let message = format!("`{}` is no maintainer", maintainer.escape_debug());
                    let hint = "write `maintainer = \"Name <address>\"` under `[driver]` in kpkg.toml";
                    return Err(config.refuse(maintainer, message, hint));
                }
                None => papers
                    .maintainer()
                    .or_else(|| authors(&sources).find(|author| is_mailbox(author)))
                    .or_else(|| papers.author()),
            },
            homepage: checked_line(config, "homepage", said.homepage.as_deref())?,
        })
    }
}

/// Names with `AND`, `OR` and `WITH` between them, as SPDX has them, however they are written.
fn checked_license(config: &Config, license: Option<String>) -> Result<Option<String>> {
    let Some(text) = &license else { return Ok(None) };
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let (mut depth, mut wants_name, mut is_good) = (0_i32, true, true);
    for word in spaced.split_whitespace() {
        let is_operator = ["and", "or", "with"].iter().any(|known| word.eq_ignore_ascii_case(known));
        let is_name = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.+:/_".contains(&byte));
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ if is_operator => {}
            _ => is_good = is_good && is_name,
        }
        let begins = word == "(" || !is_operator && word != ")";
        is_good = is_good && depth >= 0 && begins == wants_name;
        wants_name = word == "(" || is_operator;
    }
    if is_good && depth == 0 && !wants_name {
        return Ok(license);
    }
    let message = format!("`{}` is no licence", text.escape_debug());
    let hint = "write an SPDX expression, such as `GPL-2.0-only` or `GPL-2.0-only OR BSD-3-Clause`";
    Err(config.refuse(text, message, hint))
}

/// One line, without blanks around it: some formats take them away.
fn checked_line(config: &Config, key: &str, value: Option<&str>) -> Result<Option<String>> {
    let value = checked_text(config, key, value)?;
    match value {
        Some(line) if line.is_empty() || line.contains('\n') => {
            let message = format!("`{key}` under `[driver]` in kpkg.toml is not one line of text");
            Err(config.refuse(&line, message, "write one line, or leave the key out"))
        }
        value => Ok(value),
    }
}

fn checked_text(config: &Config, key: &str, value: Option<&str>) -> Result<Option<String>> {
    match value {
        Some(text) if text.chars().any(|character| character.is_control() && character != '\n') => {
            let message = format!("`{key}` under `[driver]` in kpkg.toml holds control characters");
            Err(config.refuse(text, message, "remove them"))
        }
        value => Ok(value.map(|value| value.trim().to_owned())),
    }
}

/// `Name <local@domain.tld>` on one line, without the characters that separate addresses.
#[must_use]
pub fn is_mailbox(text: &str) -> bool {
    let Some((name, address)) = text.strip_suffix('>').and_then(|text| text.split_once(" <")) else {
        return false;
    };
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>@,\"'`\\".contains(&byte))
    };
    let Some((local, domain)) = address.split_once('@') else { return false };
    let name_ok = !name.is_empty()
        && name.trim() == name
        && !name.chars().any(|character| character.is_control() || "<>@,\"".contains(character));
    name_ok
        && word(local)
        && word(domain)
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
}

/// Whether a file is source that a compiler reads.
fn is_code(path: &str) -> bool {
    [".c", ".rs"].iter().any(|ending| path.ends_with(ending))
}

/// The texts of the files that are named like a module, else of the first files there are.
fn module_sources(tree: &Tree<'_>, modules: &[Module]) -> Vec<String> {
    let plain = |name: &str| name.replace('-', "_");
    let names: BTreeSet<_> = modules.iter().map(|module| plain(&module.name)).collect();
    let files: Vec<_> = tree.files.values().filter(|file| is_code(&file.path)).collect();
    let is_module = |path: &str| {
        let base = path.rsplit('/').next().unwrap_or(path);
        names.contains(&plain(base.trim_end_matches(".c").trim_end_matches(".rs")))
    };
    let mut chosen: Vec<_> = files.iter().filter(|file| is_module(&file.path)).collect();
    if chosen.is_empty() {
        chosen = files.iter().collect();
    }
    chosen.into_iter().take(ABOUT_FILES).filter_map(|file| text_of(file, ABOUT_BYTES)).collect()
}

/// What the first file says that declares a licence, of all there are: a module made of several files has it in any of them.
fn declared_license(tree: &Tree<'_>) -> Option<String> {
    let mut left = ALL_BYTES;
    let mut first_spdx = None;
    for file in tree.files.values().filter(|file| is_code(&file.path)) {
        let Some(text) = text_of(file, ABOUT_BYTES) else { continue };
        let Some(rest) = left.checked_sub(text.len()) else { break };
        left = rest;
        if let Some(declared) = declared(&text) {
            return text.lines().take(10).find_map(spdx_identifier).or(Some(declared));
        }
        first_spdx = first_spdx.or_else(|| text.lines().take(10).find_map(spdx_identifier));
    }
    first_spdx
}

/// What beside the sources says whose they are: the packaging that a tree has, and its papers.
struct Papers<'a> {
    tree: &'a Tree<'a>,
    folder: &'a Path,
}

impl Papers<'_> {
    /// A file of the root, or else of the driver's folder above it.
    fn read(&self, path: &str) -> Option<String> {
        let own = self.tree.find(path).and_then(|file| text_of(file, ABOUT_BYTES));
        own.or_else(|| {
            let path = self.folder.join(path);
            let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
            let bytes = is_file.then(|| read_start(&path, ABOUT_BYTES)).flatten()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        })
    }

    /// Who packages it.
    fn maintainer(&self) -> Option<String> {
        let field = |text: &str, name: &str| {
            let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
            text.lines().filter_map(value).find_map(|value| mailbox(&value))
        };
        if let Some(found) = self.read("debian/control").and_then(|text| field(&text, "Maintainer")) {
            return Some(found);
        }
        let specs = self.tree.files.values().filter(|file| file.path.ends_with(".spec"));
        let spec = specs.filter_map(|file| text_of(file, ABOUT_BYTES)).find_map(|text| {
            field(&text, "Packager").or_else(|| {
                // `* Wed Jan 01 2025 Name <address> - 1.0-1`
                let (_, changelog) = text.split_once("%changelog")?;
                let words = |line: &str| Some(line.strip_prefix("* ")?.splitn(5, ' ').nth(4)?.to_owned());
                changelog.lines().filter_map(words).find_map(|rest| mailbox(&rest))
            })
        });
        spec.or_else(|| {
            let changelog = self.read("debian/changelog")?;
            // ` -- Name <address>  Wed, 01 Jan 2025 00:00:00 +0000`
            changelog.lines().find_map(|line| mailbox(line.strip_prefix(" -- ")?))
        })
    }

    /// Who wrote it.
    fn author(&self) -> Option<String> {
        ["MAINTAINERS", "MAINTAINERS.md", "AUTHORS", "AUTHORS.md", "CREDITS"].iter().find_map(|path| {
            let text = self.read(path)?;
            text.lines().take(500).find_map(|line| {
                let line = line.trim_start_matches(['-', '*', ' ', '\t']);
                mailbox(line.strip_prefix("M:").unwrap_or(line))
            })
        })
    }

    fn license(&self) -> Option<String> {
        if let Some(found) = self.read("debian/copyright").and_then(|text| copyright_license(&text)) {
            return Some(found);
        }
        let mut names: Vec<String> = self
            .tree
            .files
            .keys()
            .filter(|path| {
                let upper = path.to_ascii_uppercase();
                ["COPYING", "LICENSE", "LICENCE"].iter().any(|stem| upper.starts_with(stem))
            })
            .map(|path| (*path).to_owned())
            .collect();
        names.extend(
            ["COPYING", "LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "COPYING.txt"].map(str::to_owned),
        );
        names.iter().take(20).find_map(|path| text_license(&self.read(path)?))
    }
}

/// `Name <address>` at the start of a text, without quotes.
fn mailbox(text: &str) -> Option<String> {
    let (before, _) = text.split_once('>')?;
    let (name, address) = before.split_once('<')?;
    let name = name.trim().trim_matches('"').trim();
    let found = format!("{name} <{}>", address.trim());
    (found.len() < 200 && is_mailbox(&found)).then_some(found)
}

/// The licence of most files in a `debian/copyright` that machines can read.
fn copyright_license(text: &str) -> Option<String> {
    let mut paragraphs = text.split("\n\n").filter(|paragraph| {
        paragraph.lines().any(|line| line.strip_prefix("Files:").is_some_and(|files| files.trim() == "*"))
    });
    let value = paragraphs.next()?.lines().find_map(|line| line.strip_prefix("License:"))?.trim();
    let known = |name: &str| {
        DEBIAN_LICENSES.iter().find(|(debian, _)| debian.eq_ignore_ascii_case(name)).map(|(_, spdx)| *spdx)
    };
    let (separator, joined) = if value.contains(" or ") { (" or ", " OR ") } else { (" and ", " AND ") };
    let parts: Option<Vec<_>> = value.split(separator).map(|part| known(part.trim())).collect();
    parts.map(|parts| parts.join(joined))
}

/// The names of Debian's machine-readable format for what SPDX names otherwise.
const DEBIAN_LICENSES: [(&str, &str); 24] = [
    ("GPL", "GPL-1.0-or-later"),
    ("GPL+", "GPL-1.0-or-later"),
    ("GPL-1+", "GPL-1.0-or-later"),
    ("GPL-2", "GPL-2.0-only"),
    ("GPL-2.0", "GPL-2.0-only"),
    ("GPL-2.0-only", "GPL-2.0-only"),
    ("GPL-2+", "GPL-2.0-or-later"),
    ("GPL-2.0+", "GPL-2.0-or-later"),
    ("GPL-2.0-or-later", "GPL-2.0-or-later"),
    ("GPL-3", "GPL-3.0-only"),
    ("GPL-3.0", "GPL-3.0-only"),
    ("GPL-3+", "GPL-3.0-or-later"),
    ("GPL-3.0+", "GPL-3.0-or-later"),
    ("LGPL-2.1", "LGPL-2.1-only"),
    ("LGPL-2.1+", "LGPL-2.1-or-later"),
    ("Expat", "MIT"),
    ("MIT", "MIT"),
    ("ISC", "ISC"),
    ("BSD-2-clause", "BSD-2-Clause"),
    ("BSD-3-clause", "BSD-3-Clause"),
    ("Apache-2.0", "Apache-2.0"),
    ("MPL-2.0", "MPL-2.0"),
    ("CDDL-1.0", "CDDL-1.0"),
    ("CC0-1.0", "CC0-1.0"),
];

/// What a text of a licence is: an identifier in it, its title, or the sentence that only it has.
fn text_license(text: &str) -> Option<String> {
    if let Some(found) = text.lines().take(20).find_map(spdx_identifier) {
        return Some(found);
    }
    let words: Vec<_> = text.split_whitespace().take(600).map(str::to_ascii_lowercase).collect();
    let text = words.join(" ");
    // the title stands at the beginning, and other licences are named later
    let has = |title: &str| text.find(title).is_some_and(|at| at < 400);
    let found = LICENSE_TITLES.iter().find(|(title, _)| has(title)).map(|(_, license)| *license);
    let found = found.or_else(|| {
        if text.contains("permission is hereby granted, free of charge, to any person obtaining a copy") {
            return Some("MIT");
        }
        let is_bsd = text.contains("redistribution and use in source and binary forms");
        let names = text.contains("neither the name") || text.contains("names of its contributors");
        is_bsd.then_some(if names { "BSD-3-Clause" } else { "BSD-2-Clause" })
    });
    found.map(str::to_owned)
}

const LICENSE_TITLES: [(&str, &str); 9] = [
    ("gnu affero general public license version 3", "AGPL-3.0-only"),
    ("gnu lesser general public license version 2.1", "LGPL-2.1-only"),
    ("gnu lesser general public license version 3", "LGPL-3.0-only"),
    ("gnu general public license version 2", "GPL-2.0-only"),
    ("gnu general public license, version 2", "GPL-2.0-only"),
    ("gnu general public license version 3", "GPL-3.0-only"),
    ("apache license version 2.0", "Apache-2.0"),
    ("mozilla public license version 2.0", "MPL-2.0"),
    ("isc license", "ISC"),
];

/// Who wrote the sources, as their modules say.
fn authors(sources: &[String]) -> impl Iterator<Item = String> {
    sources.iter().flat_map(|text| {
        let rust = ["authors", "author"].iter().flat_map(|key| rust_texts(text, key));
        macro_texts(text, "MODULE_AUTHOR").into_iter().chain(rust.collect::<Vec<_>>())
    })
}

/// The texts behind a key of `module! { … }` or of the like of it, such as `module_platform_driver!`: one, or a list of them.
fn rust_texts(source: &str, key: &str) -> Vec<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in source.match_indices("! {").chain(source.match_indices("!{")) {
        let name = source[..at].rsplit(|c: char| !is_word(c)).next().unwrap_or_default();
        let is_module = name == "module" || name.starts_with("module_");
        let Some(end) = source[at..].find("\n}").filter(|_| is_module) else { continue };
        let body = &source[at..at + end];
        for line in body.lines() {
            let Some(rest) = line.trim_start().strip_prefix(key) else { continue };
            let Some(rest) = rest.trim_start().strip_prefix(':') else { continue };
            let texts = rest.split('"').skip(1).step_by(2).filter(|text| !text.contains('\\'));
            found.extend(texts.map(str::to_owned));
        }
    }
    found
}

/// What a module of a source says its licence is.
fn declared(text: &str) -> Option<String> {
    let all = macro_texts(text, "MODULE_LICENSE").into_iter().chain(rust_texts(text, "license"));
    all.into_iter().find_map(|license| module_license(&license)).map(str::to_owned)
}

/// The arguments of a module macro: `MODULE_AUTHOR("a" "b")` gives `ab`.
fn macro_texts(source: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, _) in source.match_indices(name) {
        let rest = source[index + name.len()..].trim_start();
        let Some(mut rest) = rest.strip_prefix('(').map(str::trim_start) else { continue };
        let mut text = String::new();
        while let Some(after) = rest.strip_prefix('"') {
            let Some(end) = after.find('"') else { break };
            text.push_str(&after[..end]);
            rest = after[end + 1..].trim_start();
        }
        if rest.starts_with(')') && !text.contains('\\') {
            found.push(text);
        }
    }
    found
}

/// SPDX identifiers first; `MODULE_LICENSE` where a file has none, as the kernel's `process/license-rules.rst` explains its values.
fn license(sources: &[String]) -> Option<String> {
    let mut found = BTreeSet::new();
    for text in sources {
        let spdx = text.lines().take(10).find_map(spdx_identifier);
        found.extend(spdx.or_else(|| declared(text)));
    }
    let grouped = |license: String| if license.contains(' ') { format!("({license})") } else { license };
    match found.len() {
        0 => None,
        1 => found.pop_first(),
        _ => Some(found.into_iter().map(grouped).collect::<Vec<_>>().join(" AND ")),
    }
}

/// What follows `Copyright` and a year in the heads of the sources, without signs: `2020 Jane Doe <jane@example.org>`.
fn copyright_notices(sources: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let heads = sources.iter().flat_map(|text| text.lines().take(60));
    for (_, rest) in heads.filter_map(|line| line.split_once("Copyright")) {
        let notice = rest.replace("(c)", "").replace("(C)", "").replace(['\u{a9}', ':', '\t'], " ");
        let notice =
            notice.split("*/").next().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");
        let is_year = |word: &str| word.len() >= 4 && word.bytes().take(4).all(|byte| byte.is_ascii_digit());
        let is_notice =
            notice.split(' ').next().is_some_and(is_year) && notice.contains(' ') && notice.len() < 200;
        if is_notice && !notice.chars().any(char::is_control) && !found.contains(&notice) {
            found.push(notice);
        }
    }
    found.truncate(20);
    found
}

fn spdx_identifier(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("SPDX-License-Identifier:")?;
    let text = rest.trim().trim_end_matches("*/").trim();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-.+() ".contains(&byte);
    let text = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
    (!text.is_empty() && text.bytes().all(allowed)).then(|| text.to_owned())
}

fn module_license(text: &str) -> Option<&'static str> {
    Some(match text {
        "GPL" | "GPL v2" => "GPL-2.0-only",
        "GPL and additional rights" => "GPL-2.0-or-later",
        "Dual MIT/GPL" => "MIT OR GPL-2.0-only",
        "Dual BSD/GPL" => "BSD-3-Clause OR GPL-2.0-only",
        "Dual MPL/GPL" => "MPL-1.1 OR GPL-2.0-only",
        "Proprietary" => "LicenseRef-Proprietary",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_come_from_spdx_lines_and_module_macros() {
        let spdx = "// SPDX-License-Identifier: GPL-2.0 OR MIT\n".to_owned();
        let declared = "MODULE_LICENSE(\"GPL v2\");\n".to_owned();
        assert_eq!(license(std::slice::from_ref(&spdx)).as_deref(), Some("GPL-2.0 OR MIT"));
        assert_eq!(license(&[spdx, declared]).as_deref(), Some("(GPL-2.0 OR MIT) AND GPL-2.0-only"));
        assert_eq!(license(&["int x;".to_owned()]), None);
    }

    #[test]
    fn copyright_notices_begin_with_a_year() {
        let text = "/*\n * Copyright (C) 2011-2013  Jane Doe <jane@example.org> */\n// Copyright holders agree\n// \u{a9} Copyright: 2020 X\n";
        assert_eq!(
            copyright_notices(&[text.to_owned()]),
            ["2011-2013 Jane Doe <jane@example.org>", "2020 X"]
        );
    }

    #[test]
    fn modules_in_rust_say_licence_and_authors() {
        let text = "kernel::module_platform_driver! {\n    type: Toy,\n    name: \"toy\",\n    authors: [\"A B\", \"C D <c@d.ef>\"],\n    license: \"GPL v2\",\n}\nprint! {\n  license: \"Proprietary\",\n}\n";
        assert_eq!(license(&[text.to_owned()]).as_deref(), Some("GPL-2.0-only"));
        assert_eq!(authors(&[text.to_owned()]).collect::<Vec<_>>(), ["A B", "C D <c@d.ef>"]);
        let single = "module! {\n    type: Toy,\n    author: \"A B <a@b.cd>\",\n    license: \"GPL\",\n}\n";
        assert_eq!(authors(&[single.to_owned()]).next().as_deref(), Some("A B <a@b.cd>"));
    }

    #[test]
    fn texts_of_licences_are_known_by_their_titles() {
        let of = |text: &str| text_license(text);
        assert_eq!(
            of("        GNU GENERAL PUBLIC LICENSE\n           Version 2, June 1991\n").as_deref(),
            Some("GPL-2.0-only")
        );
        let lesser = "GNU LESSER GENERAL PUBLIC LICENSE\nVersion 2.1, February 1999\n";
        assert_eq!(of(lesser).as_deref(), Some("LGPL-2.1-only"));
        let mit = "Copyright 2020 X\n\nPermission is hereby granted, free of charge, to any person obtaining a copy\nof this";
        assert_eq!(of(mit).as_deref(), Some("MIT"));
        let two = "Redistribution and use in source and binary forms, with or without";
        assert_eq!(of(two).as_deref(), Some("BSD-2-Clause"));
        assert_eq!(of(&format!("{two} x. Neither the name of")).as_deref(), Some("BSD-3-Clause"));
        assert_eq!(of("This is our own licence. Ask us."), None);
        let copyright = "Format: x\n\nFiles: *\nCopyright: 2020 X\nLicense: GPL-2+ or Expat\n\nFiles: debian/*\nLicense: GPL-3\n";
        assert_eq!(copyright_license(copyright).as_deref(), Some("GPL-2.0-or-later OR MIT"));
        assert_eq!(copyright_license("Files: *\nLicense: Weird\n"), None);
    }

    #[test]
    fn mailboxes_are_taken_out_of_lines() {
        assert_eq!(
            mailbox("Jane Doe <jane@example.org>  Wed, 01 Jan").as_deref(),
            Some("Jane Doe <jane@example.org>")
        );
        assert_eq!(mailbox("\"J. Doe\" <j@example.org>").as_deref(), Some("J. Doe <j@example.org>"));
        assert_eq!(mailbox("Jane <jane@localhost>"), None);
    }

    #[test]
    fn mailboxes_have_a_name_and_an_address() {
        assert!(is_mailbox("Jane Doe <jane@example.org>"));
        for bad in ["Jane", "<a@b.c>", "Jane <a@b>", "A, B <a@b.c>", "J\nX: y <a@b.c>", "J <a@b.c> "] {
            assert!(!is_mailbox(bad), "{bad:?}");
        }
    }

    #[test]
    fn module_macros_join_their_strings() {
        assert_eq!(macro_texts("MODULE_AUTHOR(\"A \"\n  \"<a@b.c>\");", "MODULE_AUTHOR"), ["A <a@b.c>"]);
        assert!(macro_texts("MODULE_AUTHOR(NAME)", "MODULE_AUTHOR").is_empty());
    }
}
