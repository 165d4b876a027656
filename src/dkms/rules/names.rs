//! Directives that do nothing any more, and names that are none.
//!
//! Works on facts and on what dkms sees; must not evaluate shell.

use super::super::directives::{FAMILIES, FOREIGN, family_of, nearest};
use super::super::supported::Extent;
use super::super::versions::compare_versions;
use super::super::{Fact, codes};
use super::Checker;
use crate::base::diagnostic::{Diagnostic, Edit, Place, Severity};

impl Checker<'_> {
    pub(super) fn check_dead(&mut self) {
        let evaluation = self.seen.evaluation;
        for Dead { name, what, obeyed } in DEAD {
            let stranger = evaluation.strangers.iter().any(|(stranger, _)| stranger == name);
            let value = self.seen.element(name, 0);
            // `CLEAN=true` and empty values say the same as nothing; dkms does not warn about them.
            let harmless = match &value {
                Fact::Absent => true,
                Fact::Known(text) => {
                    name == "CLEAN" && matches!(text.as_str(), "true" | "/bin/true" | "/usr/bin/true")
                }
                Fact::Unknown => false,
            };
            let set = evaluation.directives.get(name).is_some_and(|elements| elements.len() > 1) || !harmless;
            if !set && !stranger {
                continue;
            }
            self.report(&codes::DEAD, Severity::Note, name, 0, format!("`{name}` {what}"), "");
            let is_no = name == "REMAKE_INITRD"
                && matches!(&value, Fact::Known(text) if !text.starts_with(['y', 'Y']));
            let unused = obeyed.is_some_and(|(first, end)| {
                self.supported.is_extinct(|dkms| {
                    compare_versions(dkms, first).is_ge() && compare_versions(dkms, end).is_lt()
                })
            });
            let who = obeyed.map_or_else(Vec::new, |(_, end)| match self.supported.before(end) {
                Extent::Everybody(who) | Extent::Some(who) => who,
                Extent::Nobody => Vec::new(),
            });
            let Some(finding) = self.diagnostics.last_mut() else { continue };
            if unused || is_no {
                finding.hint = Some("remove the line".to_owned());
                finding.fix = finding.place.as_ref().and_then(without_line);
            } else if !who.is_empty() && name != "SIGN_TOOL" {
                finding.notes.push(format!("still obeyed by {}", who.join(", ")));
            }
        }
    }

    pub(super) fn check_typos(&mut self) {
        let evaluation = self.seen.evaluation;
        for (name, place) in &evaluation.strangers {
            if is_used(&self.seen.conf.text, name) || DEAD.iter().any(|dead| dead.name == name) {
                continue;
            }
            let foreign = FOREIGN.iter().find(|(foreign, _)| foreign == name);
            let hint = match (foreign, nearest(name)) {
                (Some((_, what)), _) => (*what).to_owned(),
                (None, Some(known)) => format!("did you mean `{known}`?"),
                (None, None) => match FAMILIES.iter().find(|family| name.starts_with(**family)) {
                    Some(family) => {
                        format!("the directives that begin with `{family}` are {}", family_of(family))
                    }
                    None => continue,
                },
            };
            let mut diagnostic = Diagnostic::warning(
                &codes::TYPO,
                format!("`{name}` is not a directive of dkms.conf: dkms ignores it"),
            )
            .hint(hint);
            if let Some(place) = place {
                diagnostic = diagnostic.at(self.seen.conf.place(place.clone()));
            }
            self.diagnostics.push(diagnostic);
        }
    }
}

/// A directive that current versions of dkms ignore or deprecate.
struct Dead {
    name: &'static str,
    /// What to say.
    what: &'static str,
    /// The first version, and the first one that does not do it any more; nothing where all do.
    obeyed: Option<(&'static str, &'static str)>,
}

const fn dead(name: &'static str, what: &'static str, obeyed: Option<(&'static str, &'static str)>) -> Dead {
    Dead { name, what, obeyed }
}

const OLD_DKMS: Option<(&str, &str)> = Some(("0", "2.8.8"));

const DEAD: [Dead; 8] = [
    dead("CLEAN", "is never run since dkms 3.1.8", Some(("0", "3.1.8"))),
    dead("REMAKE_INITRD", "is ignored since dkms 2.8.8", OLD_DKMS),
    dead("MODULES_CONF", "is ignored since dkms 2.8.8", OLD_DKMS),
    dead("MODULES_CONF_ALIAS_TYPE", "is ignored since dkms 2.8.8", OLD_DKMS),
    dead("MODULES_CONF_OBSOLETES", "is ignored since dkms 2.8.8", OLD_DKMS),
    dead("MODULES_CONF_OBSOLETE_ONLY", "is ignored since dkms 2.8.8", OLD_DKMS),
    dead("OBSOLETE_BY", "is deprecated since dkms 3.4.0, in favour of BUILD_EXCLUSIVE_KERNEL_MAX", None),
    dead("SIGN_TOOL", "worked in dkms 2.8.1 only", Some(("2.8.1", "2.8.2"))),
];

/// Whether a text uses a variable, and does not only set it.
fn is_used(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let without_comment = |line: &str| -> usize {
        let trimmed = line.trim_start();
        if trimmed.starts_with('#') { 0 } else { line.len() }
    };
    text.lines().any(|line| {
        let line = &line[..without_comment(line)];
        line.match_indices(name).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            let is_whole = !line[at + name.len()..].starts_with(is_word);
            is_whole && matches!(before, Some('$' | '{' | '!' | '#'))
        })
    })
}

/// Removes the lines of an assignment that has them for itself.
fn without_line(place: &Place) -> Option<Edit> {
    let text = &place.source.text;
    let alone_before = place.span.start == 0 || text[..place.span.start].ends_with('\n');
    let rest = &text[place.span.end..];
    let line_end = rest.find('\n').map_or(rest.len(), |at| at + 1);
    let after = rest[..line_end].trim();
    (alone_before && (after.is_empty() || after.starts_with('#')))
        .then(|| Edit::replace(&place.source, place.span.start..place.span.end + line_end, ""))
}
