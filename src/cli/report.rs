//! Findings for those who review a change, at the lines that they are about: workflow commands of GitHub, the code quality report of
//! GitLab, and SARIF 2.1.0, which both of them and editors read.
//!
//! Must not decide which findings are told.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::base::diagnostic::{Code, Diagnostic, Severity};

/// A finding, and where a reader looks at it.
pub(super) struct Told<'a> {
    pub(super) finding: &'a Diagnostic,
    path: PathBuf,
    line: usize,
    column: usize,
}

impl<'a> Told<'a> {
    /// What has no place of its own is told at the dkms.conf of the driver that was checked, or at the file.
    pub(super) fn new(finding: &'a Diagnostic, checked: Option<&Path>) -> Self {
        let (path, line, column) = if let Some(place) = &finding.place {
            let (line, column) = place.line_column();
            (place.source.path.clone(), line, column)
        } else {
            let checked = checked.unwrap_or(Path::new("."));
            let conf = checked.join("dkms.conf");
            (if conf.is_file() { conf } else { checked.to_owned() }, 1, 1)
        };
        let path = path.components().filter(|part| *part != Component::CurDir).collect();
        Self { finding, path, line, column }
    }

    /// Everything that there is to say but the place, a line each.
    fn text(&self) -> String {
        let hint = self.finding.hint.iter().map(|hint| format!("help: {hint}"));
        let lines =
            std::iter::once(self.finding.message.clone()).chain(self.finding.notes.clone()).chain(hint);
        lines.collect::<Vec<_>>().join("\n")
    }

    fn path(&self) -> String {
        self.path.to_string_lossy().into_owned()
    }
}

/// `::error file=dkms.conf,line=3,col=1,title=K0301::there is no PACKAGE_NAME`, a line for each finding.
pub(super) fn github(told: &[Told<'_>]) -> String {
    // what would end the message or a property of it
    let escaped = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| escaped(text).replace(':', "%3A").replace(',', "%2C");
    let line = |told: &Told<'_>| {
        let kind = match told.finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let (path, code) = (property(&told.path()), told.finding.code.id);
        format!(
            "::{kind} file={path},line={},col={},title={code}::{}\n",
            told.line,
            told.column,
            escaped(&told.text())
        )
    };
    told.iter().map(line).collect()
}

/// An array of findings, as GitLab's code quality reports have them.
pub(super) fn gitlab(told: &[Told<'_>]) -> String {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let entry = |told: &Told<'_>| {
        let severity = match told.finding.severity {
            Severity::Error => "critical",
            Severity::Warning => "major",
            Severity::Note => "info",
        };
        // the same finding keeps its fingerprint when lines move
        let identity = format!("{} {} {}", told.finding.code.id, told.path(), told.finding.message);
        let again = seen.entry(identity.clone()).or_default();
        *again += 1;
        json!({
            "description": told.text(),
            "check_name": told.finding.code.id,
            "fingerprint": format!("{:x}", Sha256::digest(format!("{identity} {again}"))),
            "severity": severity,
            "location": { "path": told.path(), "lines": { "begin": told.line } },
        })
    };
    let all: Vec<Value> = told.iter().map(entry).collect();
    format!("{:#}\n", Value::from(all))
}

/// A log of the Static Analysis Results Interchange Format.
pub(super) fn sarif(told: &[Told<'_>]) -> String {
    let codes: BTreeMap<&str, &Code> =
        told.iter().map(|told| (told.finding.code.id, told.finding.code)).collect();
    let rule = |code: &&Code| {
        json!({
            "id": code.id,
            "shortDescription": { "text": code.title },
            "fullDescription": { "text": code.explanation },
        })
    };
    let result = |told: &Told<'_>| {
        let level = match told.finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        json!({
            "ruleId": told.finding.code.id,
            "level": level,
            "message": { "text": told.text() },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": uri(&told.path()) },
                "region": { "startLine": told.line, "startColumn": told.column },
            } }],
        })
    };
    let log = json!({
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "kpkg",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": codes.values().map(rule).collect::<Vec<_>>(),
            } },
            "results": told.iter().map(result).collect::<Vec<_>>(),
        }],
    });
    format!("{log:#}\n")
}

/// A path as a reference, RFC 3986.
fn uri(path: &str) -> String {
    path.bytes().fold(String::new(), |mut uri, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
        uri
    })
}
