//! A script as the rules in code see it: read as shell, with what it tells dkms, and when it runs.
//!
//! Must not know a rule.

use std::ops::Range;
use std::sync::Arc;

use super::calls::Call;
use super::shell::{self, Command};
use crate::base::diagnostic::{Code, Diagnostic, Place, SourceText};

/// A rule about a script that takes more than a pattern.
pub(super) struct ScriptRule {
    pub(super) code: &'static Code,
    pub(super) check: fn(&Scan<'_>) -> Option<Diagnostic>,
}

/// When a script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// dkms.conf itself.
    Conf,
    /// A script that dkms.conf names.
    Hook,
    /// `preinst`, `postinst`.
    DebInstall,
    /// `prerm`.
    DebPrerm,
    /// `postrm`.
    DebPostrm,
    /// `%pre`, `%post`, `%posttrans`.
    RpmInstall,
    /// `%preun`.
    RpmRemove,
    /// `%postun`.
    RpmPostun,
}

impl Kind {
    /// The kind of a script that a package format calls so.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "preinst" | "postinst" | "config" => Self::DebInstall,
            "prerm" => Self::DebPrerm,
            "postrm" => Self::DebPostrm,
            "%pretrans" | "%pre" | "%post" | "%posttrans" => Self::RpmInstall,
            "%preun" | "%preuntrans" => Self::RpmRemove,
            "%postun" | "%postuntrans" => Self::RpmPostun,
            _ => return None,
        })
    }

    /// The words by which rules name it.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Conf => &["conf"],
            Self::Hook => &["hook"],
            Self::DebInstall => &["install", "deb-install"],
            Self::DebPrerm => &["remove", "deb-remove", "deb-prerm"],
            Self::DebPostrm => &["remove", "deb-remove"],
            Self::RpmInstall => &["install", "rpm-install"],
            Self::RpmRemove | Self::RpmPostun => &["remove", "rpm-remove"],
        }
    }

    /// Whether it runs when a package is installed.
    pub(super) fn installs(self) -> bool {
        matches!(self, Self::DebInstall | Self::RpmInstall)
    }

    /// Whether it runs when a package is removed.
    pub(super) fn removes(self) -> bool {
        matches!(self, Self::DebPrerm | Self::DebPostrm | Self::RpmRemove | Self::RpmPostun)
    }

    /// Whether the package's files are gone by then.
    pub(super) fn is_late(self) -> bool {
        matches!(self, Self::DebPostrm | Self::RpmPostun)
    }
}

/// A script that was read as shell.
pub(super) struct Scan<'a> {
    pub(super) source: &'a Arc<SourceText>,
    /// Where the script begins in the text of `source`.
    pub(super) start: usize,
    pub(super) text: &'a str,
    pub(super) kind: Kind,
    /// What it runs.
    pub(super) commands: &'a [Command],
    /// What it tells dkms.
    pub(super) calls: &'a [Call<'a>],
    /// Whether a script that runs earlier takes the driver from dkms.
    pub(super) is_removed_before: bool,
}

impl Scan<'_> {
    /// The place of a part of the script.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        Place::new(self.source, self.start + span.start..self.start + span.end)
    }

    /// A part of the script, as messages show it.
    pub(super) fn shown(&self, span: &Range<usize>) -> String {
        shell::shown(self.text.get(span.clone()).unwrap_or_default())
    }

    /// Whether the conditions of a command have one of the words.
    pub(super) fn hangs_on(&self, command: &Command, words: &[&str]) -> bool {
        let mut conditions = command.conditions.iter().filter_map(|span| self.text.get(span.clone()));
        conditions.any(|text| words.iter().any(|word| text.contains(word)))
    }

    /// One finding for all commands of a kind, at the first.
    pub(super) fn finding<'c>(
        &self,
        code: &'static Code,
        commands: impl IntoIterator<Item = &'c Command>,
        message: impl FnOnce(&str) -> String,
    ) -> Option<Diagnostic> {
        let mut commands = commands.into_iter();
        let first = commands.next()?;
        let place = self.place(&first.span);
        let mut lines: Vec<_> =
            commands.map(|command| self.place(&command.span).line_column().0.to_string()).collect();
        lines.dedup();
        let mut finding = Diagnostic::warning(code, message(&self.shown(&first.span))).at(place);
        if !lines.is_empty() {
            lines.truncate(LINES);
            finding = finding.with_note(format!("the same in line {}", lines.join(", ")));
        }
        Some(finding)
    }
}

/// How many further lines a finding names.
const LINES: usize = 5;
