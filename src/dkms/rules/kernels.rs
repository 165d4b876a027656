//! For which kernels dkms builds: expressions, limits and lists that end.
//!
//! Works on facts and on what dkms sees; must not evaluate shell.

use super::super::derive::EXCLUSIVE;
use super::super::shell::{extended, refusal};
use super::super::{Fact, Facts, codes};
use super::Checker;
use crate::base::diagnostic::Severity;

impl Checker<'_> {
    pub(super) fn check_regex(&mut self, name: &str, index: usize, fact: &Fact<String>) {
        let Some(text) = fact.known() else { return };
        let Some(why) = refusal(text) else { return };
        let effect = match name {
            "BUILD_EXCLUSIVE_KERNEL" | "BUILD_EXCLUSIVE_ARCH" => "so dkms builds for no kernel",
            _ => "so it matches no kernel",
        };
        let shown = if index == 0 { name.to_owned() } else { format!("{name}[{index}]") };
        self.warn(
            &codes::BAD_REGEX,
            name,
            index,
            format!("bash refuses the regular expression `{text}` of `{shown}`, {effect}"),
            "try it: `[[ 6.1.0 =~ EXPRESSION ]]` in bash fails with status 2",
        );
        if let Some(finding) = self.diagnostics.last_mut() {
            finding.notes.push(why.to_owned());
        }
    }

    /// An expression that says which series there are, and does not say the next one.
    pub(super) fn check_end(&mut self, fact: &Fact<String>) {
        let Some(text) = fact.known() else { return };
        let Some((major, minor)) = extended(text, false).and_then(|regex| first_left_out(&regex)) else {
            return;
        };
        self.report(
            &codes::ENDS,
            Severity::Note,
            "BUILD_EXCLUSIVE_KERNEL",
            0,
            format!("`BUILD_EXCLUSIVE_KERNEL` matches no kernel from {major}.{minor} on"),
            "write an expression that later kernels match as well, if they are meant",
        );
    }

    pub(super) fn check_exclusive(&mut self, facts: &Facts) {
        self.check_regex("BUILD_EXCLUSIVE_KERNEL", 0, &facts.exclusive.kernel);
        self.check_end(&facts.exclusive.kernel);
        self.check_regex("BUILD_EXCLUSIVE_ARCH", 0, &facts.exclusive.arch);
        if let Some(text) = facts.exclusive.kernel_max.known()
            && text.split(['.', '-']).filter(|part| part.starts_with(|c: char| c.is_ascii_digit())).count()
                < 3
        {
            self.warn(
                &codes::MAX_PATCH_LEVEL,
                "BUILD_EXCLUSIVE_KERNEL_MAX",
                0,
                format!(
                    "`BUILD_EXCLUSIVE_KERNEL_MAX` is `{text}`, which excludes {text}.0 and all that follow"
                ),
                &format!("write \"{text}.99\" to include the series"),
            );
        }
        for (name, fact) in [
            ("BUILD_EXCLUSIVE_KERNEL_MIN", &facts.exclusive.kernel_min),
            ("BUILD_EXCLUSIVE_KERNEL_MAX", &facts.exclusive.kernel_max),
        ] {
            let long =
                |text: &&String| text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 3);
            if let Some(text) = fact.known().filter(long) {
                self.warn(
                    &codes::FOUR_DIGITS,
                    name,
                    0,
                    format!("`{name}` is `{text}`: numbers above 999 sort before smaller ones"),
                    "use BUILD_EXCLUSIVE_KERNEL for such kernels",
                );
            }
        }
        if facts.per_module_exclusive {
            let name = EXCLUSIVE.iter().find(|name| {
                self.seen
                    .elements(name)
                    .is_some_and(|elements| elements.contains_key(&0) && elements.len() > 1)
            });
            if let Some(name) = name.copied() {
                self.warn(
                    &codes::GLOBAL_ELEMENT,
                    name,
                    0,
                    format!("`{name}[0]` also decides about the whole package, not only about module 0"),
                    "set elements above 0 only, or one rule for all",
                );
            }
        }
    }
}

/// The series of the kernel until now and a few years on: the last minor number of each major one, where it is known.
const SERIES: [(u32, u32); 7] = [(3, 19), (4, 20), (5, 19), (6, 19), (7, 19), (8, 19), (9, 19)];

/// The series behind the last one that an expression matches; nothing where it matches none, or has no end.
fn first_left_out(regex: &regex::Regex) -> Option<(u32, u32)> {
    let all: Vec<_> =
        SERIES.iter().flat_map(|(major, last)| (0..=*last).map(move |minor| (*major, minor))).collect();
    let matches = |(major, minor): &(u32, u32)| {
        ["", "-1-generic", "-100.fc40.x86_64"]
            .iter()
            .any(|rest| regex.is_match(&format!("{major}.{minor}.0{rest}")))
    };
    let last = all.iter().rposition(matches)?;
    all.get(last + 1).copied()
}
