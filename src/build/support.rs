//! Which kernels a driver supports, as a value and as tables for people: target and kernel, with the reason where there are no modules and
//! the day since when it is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::matrix::Plan;
use super::shard::{JobResult, State};
use crate::base::beneath;
use crate::base::error::{Error, Result};
use crate::dkms::compare_versions;

/// The name and version of the table's shape.
pub const SCHEMA: &str = "kpkg-support/1";
/// The same of the measured times.
const TIMINGS: &str = "kpkg-timings/1";
/// More than any table.
const LARGEST: u64 = 256 << 20;
/// How many of the newest kernels are shown in any case.
const NEWEST: usize = 3;

/// The table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Support {
    /// `kpkg-support/1`.
    pub schema: String,
    /// By driver, target, machine and kernel, the newest first.
    pub rows: Vec<Row>,
}

/// A kernel of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub driver: String,
    pub version: String,
    pub target: String,
    /// As `uname -m` prints it there.
    pub arch: String,
    /// As `uname -r` prints it there.
    pub kernel: String,
    pub state: RowState,
    /// Why there are no modules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The first error of the compiler, the linker or make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The day since when the state is this.
    pub since: String,
    /// The key of the job, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether it is of this merge, rather than of the table before.
    #[serde(skip)]
    pub is_new: bool,
}

/// What there is for a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowState {
    /// Modules.
    Ok,
    /// The driver is not for it.
    Skip,
    /// It does not build.
    Fail,
    /// Nobody knows.
    #[serde(other)]
    Unknown,
}

/// How long jobs took, in seconds, by target and kernel: what the next plan puts together is measured by it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    schema: String,
    seconds: BTreeMap<String, BTreeMap<String, f64>>,
}

/// Rows on their way into a table.
pub struct Rows(Vec<Row>);

impl Rows {
    /// Those of a plan and its results.
    #[must_use]
    pub fn of(plan: &Plan, results: &[(PathBuf, JobResult)], today: &str) -> Self {
        let mut rows = Vec::new();
        let row = |driver: &str, target: &str, arch: &str, kernel: &str, state| Row {
            driver: driver.to_owned(),
            version: plan
                .drivers
                .iter()
                .find(|of| of.name == driver)
                .map_or_else(String::new, |of| of.version.clone()),
            target: target.to_owned(),
            arch: arch.to_owned(),
            kernel: kernel.to_owned(),
            state,
            reason: None,
            error: None,
            since: today.to_owned(),
            key: None,
            is_new: true,
        };
        for job in &plan.jobs {
            let result = results.iter().find(|(_, result)| result.job == job.id).map(|(_, result)| result);
            for driver in &plan.drivers {
                for kernel in &job.kernels {
                    let found = result.and_then(|result| {
                        let is_it = |of: &&super::shard::KernelResult| {
                            of.driver == driver.name && of.kernel == kernel.release
                        };
                        result.kernels.iter().find(is_it)
                    });
                    let state = match found.map(|found| found.state) {
                        Some(State::Ok) => RowState::Ok,
                        Some(State::Skip) => RowState::Skip,
                        Some(State::Fail) => RowState::Fail,
                        None => RowState::Unknown,
                    };
                    rows.push(Row {
                        reason: found.and_then(|found| found.reason.clone()),
                        error: found.and_then(|found| found.error.clone()),
                        key: Some(job.key.clone()),
                        ..row(&driver.name, &job.target, &job.arch, &kernel.release, state)
                    });
                }
            }
        }
        for skipped in &plan.skipped {
            for driver in &plan.drivers {
                rows.push(Row {
                    reason: Some(skipped.reason.clone()),
                    ..row(&driver.name, &skipped.target, &skipped.arch, &skipped.kernel, RowState::Skip)
                });
            }
        }
        Self(rows)
    }
}

impl Support {
    /// A table of new rows, and of those of the last one that are about other kernels.
    #[must_use]
    pub fn new(rows: Rows, since: Option<&Self>) -> Self {
        let mut rows = rows.0;
        let place =
            |row: &Row| (row.driver.clone(), row.target.clone(), row.arch.clone(), row.kernel.clone());
        let before: BTreeMap<_, &Row> =
            since.iter().flat_map(|since| &since.rows).map(|row| (place(row), row)).collect();
        for row in &mut rows {
            if let Some(was) = before.get(&place(row)).filter(|was| was.state == row.state) {
                row.since.clone_from(&was.since);
            }
        }
        let there: BTreeSet<_> = rows.iter().map(place).collect();
        rows.extend(before.into_iter().filter(|(at, _)| !there.contains(at)).map(|(_, row)| row.clone()));
        rows.sort_by(|one, other| {
            let group = |row: &Row| (row.driver.clone(), row.target.clone(), row.arch.clone());
            group(one)
                .cmp(&group(other))
                .then_with(|| compare_versions(&other.kernel, &one.kernel))
                .then_with(|| one.kernel.cmp(&other.kernel))
        });
        Self { schema: SCHEMA.to_owned(), rows }
    }

    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = beneath::read_text(path, LARGEST)
            .map_err(|error| Error::io("cannot read", path, error).as_usage())?;
        let wrong = |why: String| {
            Error::usage(format!("is no support table of this kpkg ({why}):"))
                .at(path)
                .hint("`kpkg merge` writes one")
        };
        let support: Self = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if support.schema != SCHEMA {
            return Err(wrong(format!("its schema is `{}`", support.schema.escape_debug())));
        }
        Ok(support)
    }

    /// Its text.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The rows of each driver, target and machine, the newest kernel first.
    fn groups(&self) -> Vec<&[Row]> {
        let is_same = |one: &Row, other: &Row| {
            (&one.driver, &one.target, &one.arch) == (&other.driver, &other.target, &other.arch)
        };
        self.rows.chunk_by(is_same).collect()
    }

    /// A table for each target, in Markdown: the newest kernels, those that fail, and how many others there are.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for group in self.groups() {
            let first = &group[0];
            let _infallible = write!(
                text,
                "{}## {} {} on {} ({})\n\n| kernel | | since |\n|---|---|---|\n",
                if text.is_empty() { "" } else { "\n" },
                escaped(&first.driver),
                escaped(&first.version),
                first.target,
                first.arch
            );
            let is_shown = |index: usize, row: &Row| {
                index < NEWEST || matches!(row.state, RowState::Fail | RowState::Unknown)
            };
            let mut rest: BTreeMap<RowState, usize> = BTreeMap::new();
            for (index, row) in group.iter().enumerate() {
                if is_shown(index, row) {
                    let _infallible =
                        writeln!(text, "| `{}` | {} | {} |", row.kernel, escaped(&row.words()), row.since);
                } else {
                    *rest.entry(row.state).or_default() += 1;
                }
            }
            for (state, count) in rest {
                let _infallible = writeln!(text, "| and {count} older | {} | |", state.word());
            }
        }
        text
    }

    /// Whether a kernel of this merge has no modules because they do not build.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| row.is_new && row.state == RowState::Fail)
    }

    /// How many kernels have modules, of how many that the driver is for.
    fn score(&self) -> (usize, usize) {
        let is = |state| self.rows.iter().filter(|row| row.state == state).count();
        (is(RowState::Ok), self.rows.len() - is(RowState::Skip))
    }

    /// A picture: the score, and a square for each kernel of each target. Without scripts, styles and foreign fonts.
    #[must_use]
    pub fn svg(&self) -> String {
        const SQUARE: usize = 14;
        const LABEL: usize = 210;
        const ROW: usize = 22;
        let groups = self.groups();
        let longest = groups.iter().map(|group| group.len()).max().unwrap_or_default().min(48);
        let lines_of = |group: &[Row]| group.len().div_ceil(48).max(1);
        let lines: usize = groups.iter().map(|group| lines_of(group)).sum();
        let (width, height) = (LABEL + longest.max(12) * SQUARE + 10, 34 + lines * ROW);
        let (good, all) = self.score();
        let color = if good == all { RowState::Ok.color() } else { RowState::Fail.color() };
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<title>kernels: {good} of {all}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
             <rect x=\"6\" y=\"6\" width=\"60\" height=\"20\" fill=\"#555555\"/>\n<text x=\"14\" y=\"20\" fill=\"#ffffff\">kernels</text>\n\
             <rect x=\"66\" y=\"6\" width=\"90\" height=\"20\" fill=\"{color}\"/>\n<text x=\"74\" y=\"20\" fill=\"#ffffff\">{good} of {all}</text>\n"
        );
        let mut line = 0;
        for group in groups {
            let first = &group[0];
            let top = 34 + line * ROW;
            let _infallible = writeln!(
                text,
                "<text x=\"6\" y=\"{}\" fill=\"#24292f\">{}</text>",
                top + 14,
                xml(&format!("{} {} {}", first.driver, first.target, first.arch))
            );
            for (index, row) in group.iter().enumerate() {
                let (x, y) = (LABEL + index % 48 * SQUARE, top + index / 48 * ROW + 4);
                let title = xml(&format!("{}: {}, since {}", row.kernel, row.words(), row.since));
                let _infallible = writeln!(
                    text,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{0}\" height=\"{0}\" fill=\"{1}\"><title>{title}</title></rect>",
                    SQUARE - 2,
                    row.state.color()
                );
            }
            line += lines_of(group);
        }
        text + "</svg>\n"
    }

    /// The new rows as test cases in `JUnit`'s XML: a suite for each target.
    #[must_use]
    pub fn junit(&self, timings: &Timings, log: &dyn Fn(&Row) -> Option<String>) -> String {
        let mut text =
            String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"kpkg\">\n");
        for group in self.groups() {
            let rows: Vec<_> = group.iter().filter(|row| row.is_new).collect();
            let Some(first) = rows.first() else { continue };
            let count = |state: RowState| rows.iter().filter(|row| row.state == state).count();
            let suite = xml(&format!("{}.{}.{}", first.driver, first.target, first.arch));
            let _infallible = writeln!(
                text,
                "<testsuite name=\"{suite}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">",
                rows.len(),
                count(RowState::Fail),
                count(RowState::Unknown),
                count(RowState::Skip)
            );
            for row in rows {
                let seconds = timings.of_kernel(&row.target, &row.kernel).unwrap_or_default();
                let _infallible = write!(
                    text,
                    "<testcase classname=\"{suite}\" name=\"{}\" time=\"{seconds}\"",
                    xml(&row.kernel)
                );
                let words = xml(&row.words());
                let _infallible = match row.state {
                    RowState::Ok => writeln!(text, "/>"),
                    RowState::Skip => writeln!(text, "><skipped message=\"{words}\"/></testcase>"),
                    RowState::Fail => {
                        let log = xml(&log(row).unwrap_or_default());
                        writeln!(text, "><failure message=\"{words}\">{log}</failure></testcase>")
                    }
                    RowState::Unknown => writeln!(text, "><error message=\"{words}\"/></testcase>"),
                };
            }
            text.push_str("</testsuite>\n");
        }
        text + "</testsuites>\n"
    }
}

impl Row {
    /// The state and the reason.
    fn words(&self) -> String {
        let why =
            self.error.as_ref().or(self.reason.as_ref()).map_or_else(String::new, |why| format!(": {why}"));
        format!("{}{why}", self.state.word())
    }
}

impl RowState {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Skip => "skipped",
            Self::Fail => "failed",
            Self::Unknown => "unknown",
        }
    }

    fn color(self) -> &'static str {
        match self {
            Self::Ok => "#2da44e",
            Self::Skip => "#d0d7de",
            Self::Fail => "#cf222e",
            Self::Unknown => "#bf8700",
        }
    }
}

impl Timings {
    /// Those of results.
    #[must_use]
    pub fn of(plan: &Plan, results: &[(PathBuf, JobResult)]) -> Self {
        let mut seconds: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        for (_, result) in results {
            let Some(job) = plan.jobs.iter().find(|job| job.id == result.job) else { continue };
            #[allow(clippy::cast_precision_loss, reason = "a count of kernels")]
            let each = result.seconds / job.kernels.len() as f64;
            let of_target = seconds.entry(job.target.clone()).or_default();
            of_target.extend(job.kernels.iter().map(|kernel| (kernel.release.clone(), each)));
        }
        Self { schema: TIMINGS.to_owned(), seconds }
    }

    fn of_kernel(&self, target: &str, kernel: &str) -> Option<f64> {
        self.seconds.get(target)?.get(kernel).copied()
    }

    /// By target and kernel.
    #[must_use]
    pub fn by_kernel(&self) -> BTreeMap<(String, String), f64> {
        let all = self.seconds.iter();
        all.flat_map(|(target, of)| {
            of.iter().map(move |(kernel, seconds)| ((target.clone(), kernel.clone()), *seconds))
        })
        .collect()
    }

    /// Reads a file; nothing where there is none.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match beneath::read_text(path, LARGEST) {
            Ok(text) => {
                let timings: Option<Self> = serde_json::from_str(&text).ok();
                let timings = timings.filter(|timings| timings.schema == TIMINGS);
                let wrong = || {
                    Error::usage("are no measured times of this kpkg:")
                        .at(path)
                        .hint("`kpkg merge` writes them; without the file jobs count as equally long")
                };
                timings.map(Some).ok_or_else(wrong)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("cannot read", path, error).as_usage()),
        }
    }

    /// Its text.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// A text in a cell of a table in Markdown.
fn escaped(text: &str) -> String {
    let plain = text.replace(['\n', '\r'], " ");
    plain.chars().fold(String::new(), |mut out, c| {
        if "\\`*_{}[]<>|#!&".contains(c) {
            out.push('\\');
        }
        out.push(c);
        out
    })
}

/// A text in XML 1.0, also in an attribute; what has no place there is left out.
fn xml(text: &str) -> String {
    let is_known = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().filter(is_known).fold(String::new(), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => out.push_str("&#13;"),
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(target: &str, kernel: &str, state: RowState) -> Row {
        Row {
            driver: "toy".to_owned(),
            version: "1.0".to_owned(),
            target: target.to_owned(),
            arch: "x86_64".to_owned(),
            kernel: kernel.to_owned(),
            state,
            reason: None,
            error: (state == RowState::Fail)
                .then(|| "toy.c:3:5: error: `x` <&> | undeclared\u{1}".to_owned()),
            since: "2026-11-26".to_owned(),
            key: None,
            is_new: true,
        }
    }

    #[test]
    fn a_table_keeps_the_day_and_what_it_is_not_told_of() {
        let old = Support::new(
            Rows(vec![
                row("debian-12", "6.1.0-9", RowState::Ok),
                row("debian-12", "6.1.0-10", RowState::Ok),
                row("rhel-9", "5.14", RowState::Ok),
            ]),
            None,
        );
        let today = |kernel, state| Row { since: "2026-12-01".to_owned(), ..row("debian-12", kernel, state) };
        let new = Support::new(
            Rows(vec![
                today("6.1.0-9", RowState::Ok),
                today("6.1.0-10", RowState::Fail),
                today("6.1.0-11", RowState::Ok),
            ]),
            Some(&old),
        );
        let rows: Vec<_> = new.rows.iter().map(|row| (row.kernel.as_str(), row.since.as_str())).collect();
        assert_eq!(
            rows,
            [
                ("6.1.0-11", "2026-12-01"),
                ("6.1.0-10", "2026-12-01"),
                ("6.1.0-9", "2026-11-26"),
                ("5.14", "2026-11-26")
            ]
        );
    }

    #[test]
    fn tables_show_the_newest_and_what_fails_and_hold_no_markup_of_others() {
        let mut rows: Vec<_> =
            (1..30).map(|number| row("debian-12", &format!("6.1.0-{number}"), RowState::Ok)).collect();
        rows[3].state = RowState::Fail;
        rows[3].error = row("x", "y", RowState::Fail).error;
        rows[5].state = RowState::Skip;
        let support = Support::new(Rows(rows), None);
        let text = support.markdown();
        assert_eq!(text.lines().count(), 4 + 3 + 1 + 2, "{text}");
        assert!(
            text.contains("| and 24 older | ok | |") && text.contains("\\`x\\` \\<\\&\\> \\| undeclared"),
            "{text}"
        );
        let junit = support.junit(&Timings::default(), &|_| Some("a\n<b>".to_owned()));
        assert!(
            junit.contains("&lt;&amp;&gt;")
                && junit.contains(">a&#10;&lt;b&gt;<")
                && !junit.contains('\u{1}'),
            "{junit}"
        );
        let svg = support.svg();
        assert!(svg.contains(">27 of 28<") && !svg.contains("style") && !svg.contains("script"), "{svg}");
    }
}
