//! Rules about what runs as root, as patterns: the files of `lints/`.
//!
//! A pattern sees one script at a time; comments are not looked at. What a pattern cannot know is code, in [`RULES_IN_CODE`].

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use regex::Regex;
use serde::Deserialize;

use super::calls::{self, Action, Call};
use super::scan::{Kind, Scan, ScriptRule};
use super::shell;
use super::{script_arguments, script_failure, script_kernel, script_removal};
use crate::base::diagnostic::{Code, Diagnostic, Place, Severity, SourceText};

/// Every rule; a new one is a file there and a line here.
const RULES: &[&str] = &[
    include_str!("../../lints/asks-a-question.toml"),
    include_str!("../../lints/background-job.toml"),
    include_str!("../../lints/blocks-the-package-manager.toml"),
    include_str!("../../lints/compressed-modules.toml"),
    include_str!("../../lints/depmod-running.toml"),
    include_str!("../../lints/exit-status.toml"),
    include_str!("../../lints/files-of-nobody.toml"),
    include_str!("../../lints/files-of-others.toml"),
    include_str!("../../lints/initramfs-running.toml"),
    include_str!("../../lints/kernel-range.toml"),
    include_str!("../../lints/removes-before-upgrade.toml"),
    include_str!("../../lints/removes-on-upgrade.toml"),
    include_str!("../../lints/rpm-in-scriptlet.toml"),
    include_str!("../../lints/running-kernel.toml"),
    include_str!("../../lints/strips-after-signing.toml"),
];

const RULES_IN_CODE: &[&ScriptRule] = &[
    &script_arguments::RULE,
    &script_kernel::RULE,
    &script_failure::BUILD,
    &script_failure::ADD,
    &script_failure::LOAD,
    &script_removal::SOME,
    &script_removal::STATE,
    &script_removal::TOO_LATE,
    &script_removal::SOURCE,
];

/// Whether a script takes a driver from dkms.
pub(super) fn removes_from_dkms(text: &str) -> bool {
    let script = shell::read(text);
    let removes = |call: &Call<'_>| matches!(call.action, Action::Remove | Action::Unknown);
    !script.is_whole && text.contains("dkms") || calls::of(&script).iter().any(removes)
}

fn check_in_code(
    source: &Arc<SourceText>,
    range: Range<usize>,
    kind: Kind,
    is_removed_before: bool,
) -> Vec<Diagnostic> {
    if !kind.installs() && !kind.removes() {
        return Vec::new();
    }
    let text = &source.text[range.clone()];
    let script = shell::read(text);
    let calls = calls::of(&script);
    let scan = Scan {
        source,
        start: range.start,
        text,
        kind,
        commands: &script.commands,
        calls: &calls,
        is_removed_before,
    };
    RULES_IN_CODE.iter().filter_map(|rule| (rule.check)(&scan)).collect()
}

/// A file of `lints/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    code: String,
    title: String,
    severity: Level,
    scripts: Vec<String>,
    pattern: String,
    unless: Option<String>,
    unless_anywhere: Option<String>,
    message: String,
    hint: String,
    explanation: String,
    #[cfg_attr(not(test), allow(dead_code, reason = "what its test reads"))]
    bad: String,
    #[cfg_attr(not(test), allow(dead_code, reason = "what its test reads"))]
    good: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Error,
    Warning,
    Note,
}

struct Rule {
    code: &'static Code,
    severity: Severity,
    pattern: Regex,
    unless: Option<Regex>,
    unless_anywhere: Option<Regex>,
    file: File,
}

/// The rules, compiled once. A file of ours that is wrong is left out here and fails its test.
static COMPILED: LazyLock<Vec<Rule>> =
    LazyLock::new(|| RULES.iter().filter_map(|text| compile(text).ok()).collect());

fn compile(text: &str) -> Result<Rule, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let regex = |text: &str| Regex::new(&format!("(?m){text}")).map_err(|error| error.to_string());
    // a code lives as long as the program; there are as many as there are files
    let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let code =
        Code { id: leak(&file.code), title: leak(&file.title), explanation: leak(file.explanation.trim()) };
    Ok(Rule {
        code: Box::leak(Box::new(code)),
        severity: match file.severity {
            Level::Error => Severity::Error,
            Level::Warning => Severity::Warning,
            Level::Note => Severity::Note,
        },
        pattern: regex(&file.pattern)?,
        unless: file.unless.as_deref().map(regex).transpose()?,
        unless_anywhere: file.unless_anywhere.as_deref().map(regex).transpose()?,
        file,
    })
}

pub(super) fn codes() -> impl Iterator<Item = &'static Code> {
    COMPILED.iter().map(|rule| rule.code).chain(RULES_IN_CODE.iter().map(|rule| rule.code))
}

/// The findings about the part `range` of a text that is a script of this kind. `is_removed_before`: a script that runs earlier
/// takes the driver from dkms.
pub(super) fn check(
    source: &Arc<SourceText>,
    range: Range<usize>,
    kind: Kind,
    is_removed_before: bool,
) -> Vec<Diagnostic> {
    let mut findings = check_patterns(source, range.clone(), kind);
    findings.extend(check_in_code(source, range, kind, is_removed_before));
    findings
}

fn check_patterns(source: &Arc<SourceText>, range: Range<usize>, kind: Kind) -> Vec<Diagnostic> {
    let text = without_comments(&source.text[range.clone()]);
    let mut findings = Vec::new();
    for rule in COMPILED.iter() {
        let about = rule.file.scripts.iter().any(|word| kind.words().contains(&word.as_str()));
        if !about || rule.unless_anywhere.as_ref().is_some_and(|regex| regex.is_match(&text)) {
            continue;
        }
        for found in rule.pattern.find_iter(&text) {
            let from = text[..found.start()].rfind('\n').map_or(0, |at| at + 1);
            let to = text[found.end()..].find('\n').map_or(text.len(), |at| found.end() + at);
            if rule.unless.as_ref().is_some_and(|regex| regex.is_match(&text[from..to])) {
                continue;
            }
            let words = found.as_str().trim();
            let start = found.start() + (found.as_str().len() - found.as_str().trim_start().len());
            let shown = words.lines().next_back().unwrap_or(words).trim();
            let place = Place::new(source, range.start + start..range.start + start + words.len());
            findings.push(
                Diagnostic::new(rule.code, rule.severity, rule.file.message.replace("{match}", shown))
                    .at(place)
                    .hint(&rule.file.hint),
            );
        }
    }
    findings
}

/// The text with blanks in the place of comments, so that offsets stay.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let comment = line.trim_start().starts_with('#');
        if comment {
            out.extend(line.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        } else {
            out.push_str(line);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(word: &str) -> Kind {
        match word {
            "conf" => Kind::Conf,
            "hook" => Kind::Hook,
            "install" => Kind::DebInstall,
            "remove" => Kind::DebPostrm,
            "deb-prerm" => Kind::DebPrerm,
            "rpm-install" => Kind::RpmInstall,
            "rpm-remove" => Kind::RpmRemove,
            word => panic!("no kind is called {word}"),
        }
    }

    #[test]
    fn every_rule_finds_its_bad_example_and_not_its_good_one() {
        for text in RULES {
            let rule = compile(text).unwrap();
            for word in &rule.file.scripts {
                let codes = |example: &str| {
                    let source = Arc::new(SourceText { path: "x".into(), text: example.to_owned() });
                    let found = check_patterns(&source, 0..example.len(), kind(word));
                    found.iter().map(|finding| finding.code.id).collect::<Vec<_>>()
                };
                assert!(codes(&rule.file.bad).contains(&rule.code.id), "{} {word}: bad", rule.code.id);
                assert!(!codes(&rule.file.good).contains(&rule.code.id), "{} {word}: good", rule.code.id);
                // a comment says nothing
                let comment: String = rule.file.bad.lines().map(|line| format!("# {line}\n")).collect();
                assert!(!codes(&comment).contains(&rule.code.id), "{} {word}: comment", rule.code.id);
            }
        }
        assert_eq!(COMPILED.len(), RULES.len());
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/lints")).unwrap().count();
        assert_eq!(files, RULES.len(), "a file of lints/ is not in the list");
    }
}
