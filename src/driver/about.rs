//! What a driver's sources say about themselves: licence, authors, copyright; kpkg.toml counts more.
//!
//! Only reads, and no more than the heads of a few files.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Module;
use super::tree::{Tree, read_start};
use crate::config::DriverConfig;
use crate::error::{Error, Result};
use crate::source::{SourceFile, SourceKind};

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

impl About {
    pub(super) fn new(config: &DriverConfig, tree: &Tree<'_>, modules: &[Module]) -> Result<Self> {
        let sources = module_sources(tree, modules);
        Ok(Self {
            summary: checked_line("summary", config.summary.clone())?,
            description: checked_text("description", config.description.clone())?,
            license: checked_line("license", config.license.clone())?.or_else(|| license(&sources)),
            copyright: if config.copyright.is_empty() {
                copyright_notices(&sources)
            } else {
                let checked = |notice: &String| {
                    checked_line("copyright", Some(notice.clone())).map(Option::unwrap_or_default)
                };
                config.copyright.iter().map(checked).collect::<Result<_>>()?
            },
            maintainer: match &config.maintainer {
                Some(maintainer) if is_mailbox(maintainer) => Some(maintainer.clone()),
                Some(maintainer) => {
                    return Err(Error::usage(format!("`{}` is no maintainer", maintainer.escape_debug()))
                        .hint("write `maintainer = \"Name <address>\"` under `[driver]` in kpkg.toml"));
                }
                None => sources
                    .iter()
                    .flat_map(|text| macro_texts(text, "MODULE_AUTHOR"))
                    .find(|author| is_mailbox(author)),
            },
            homepage: checked_line("homepage", config.homepage.clone())?,
        })
    }
}

fn checked_line(key: &str, value: Option<String>) -> Result<Option<String>> {
    match value {
        Some(value) if value.trim().is_empty() || value.chars().any(char::is_control) => {
            Err(Error::usage(format!("`{key}` under `[driver]` in kpkg.toml is not one line of text")))
        }
        value => Ok(value),
    }
}

fn checked_text(key: &str, value: Option<String>) -> Result<Option<String>> {
    match value {
        Some(value) if value.chars().any(|character| character.is_control() && character != '\n') => {
            Err(Error::usage(format!("`{key}` under `[driver]` in kpkg.toml holds control characters")))
        }
        value => Ok(value.map(|value| value.trim().to_owned())),
    }
}

/// `Name <local@domain.tld>` on one line, without the characters that separate addresses.
fn is_mailbox(text: &str) -> bool {
    let Some((name, address)) = text.strip_suffix('>').and_then(|text| text.split_once(" <")) else {
        return false;
    };
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>@,\"'`\\".contains(&byte))
    };
    let Some((local, domain)) = address.split_once('@') else { return false };
    let name_ok = !name.trim().is_empty()
        && !name.chars().any(|character| character.is_control() || "<>@,\"".contains(character));
    name_ok
        && word(local)
        && word(domain)
        && domain.contains('.')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
}

/// The texts of the C files that are named like a module, else of the first C files there are.
fn module_sources(tree: &Tree<'_>, modules: &[Module]) -> Vec<String> {
    let plain = |name: &str| name.replace('-', "_");
    let names: BTreeSet<_> = modules.iter().map(|module| plain(&module.name)).collect();
    let c_files: Vec<_> = tree.files.values().filter(|file| file.path.ends_with(".c")).collect();
    let is_module = |path: &str| {
        let base = path.rsplit('/').next().unwrap_or(path);
        names.contains(&plain(base.trim_end_matches(".c")))
    };
    let mut chosen: Vec<_> = c_files.iter().filter(|file| is_module(&file.path)).collect();
    if chosen.is_empty() {
        chosen = c_files.iter().collect();
    }
    let read = |file: &SourceFile| match &file.kind {
        SourceKind::File { on_disk, .. } => read_start(on_disk, ABOUT_BYTES),
        _ => None,
    };
    let texts = chosen.into_iter().take(ABOUT_FILES).filter_map(|file| read(file));
    texts.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
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
        let declared =
            || macro_texts(text, "MODULE_LICENSE").iter().find_map(|license| module_license(license));
        found.extend(spdx.or_else(|| declared().map(str::to_owned)));
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
