//! Answers for external commands that only compute, from given facts: a table of tools, and what they have in common.
//!
//! Never runs a program; whatever is not answered here is unknown, with a finding that says so.

mod awk;
mod cut;
mod expr;
mod find;
mod grep;
mod lines;
mod packages;
mod paths;
mod sed;
mod seq;
mod sort;
mod system;
#[cfg(test)]
mod tests;
mod tr;

use super::expand::Words;
use super::files::Read;
use super::findings::Remark;
use super::state::{Input, is_unknown};
use super::{Flow, Shell, pattern};

pub(crate) use sort::compare_versions;

/// What a command does.
enum Answer {
    /// Its output and status.
    Known(String, u8),
    /// It fails with a message on standard error after this output.
    Fails(String, u8),
    /// Not known.
    Unknown,
}

/// The text that a filter reads.
enum Source {
    Text(String),
    Unknown,
    /// A file that does not exist, and the text of the others.
    Absent(String),
}

/// What running a program is charged: it looks through folders, and files of any size may go through it.
const COMMAND: u64 = 100;

/// What imitates a command, given its arguments, which are known.
enum Tool {
    /// It goes by its arguments alone.
    Computes(fn(&[String]) -> Answer),
    /// It looks at the machine, or for files.
    Looks(fn(&mut Shell<'_>, &[String]) -> Answer),
    /// It reads texts, which may be too much.
    Reads(fn(&mut Shell<'_>, &[String]) -> Result<Answer, Flow>),
}

use Tool::{Computes, Looks, Reads};

/// The commands that are imitated.
const TOOLS: &[(&str, Tool)] = &[
    ("arch", Looks(system::arch)),
    ("awk", Reads(awk::awk)),
    ("basename", Computes(paths::basename)),
    ("cat", Reads(lines::cat)),
    ("cut", Reads(cut::cut)),
    ("dirname", Computes(paths::dirname)),
    ("dpkg", Looks(packages::dpkg)),
    ("egrep", Reads(grep::egrep)),
    ("expr", Computes(expr::expr)),
    ("fgrep", Reads(grep::fgrep)),
    ("find", Reads(find::find)),
    ("gawk", Reads(awk::awk)),
    ("getconf", Looks(system::getconf)),
    ("grep", Reads(grep::grep)),
    ("head", Reads(lines::head)),
    ("id", Computes(system::id)),
    ("ls", Looks(find::ls)),
    ("lsb_release", Looks(system::lsb_release)),
    ("mawk", Reads(awk::awk)),
    ("nproc", Looks(system::nproc)),
    ("pkg-config", Looks(packages::pkg_config)),
    ("readlink", Looks(paths::readlink)),
    ("realpath", Looks(paths::realpath)),
    ("rev", Reads(lines::rev)),
    ("sed", Reads(sed::sed)),
    ("seq", Computes(seq::seq)),
    ("sleep", Computes(nothing)),
    ("sort", Reads(sort::sort)),
    ("sync", Computes(nothing)),
    ("tac", Reads(lines::tac)),
    ("tail", Reads(lines::tail)),
    ("tr", Reads(tr::tr)),
    ("uname", Looks(system::uname)),
    ("uniq", Reads(sort::uniq)),
    ("wc", Reads(lines::wc)),
    ("which", Looks(packages::which)),
    ("whoami", Computes(system::whoami)),
];

/// What `sleep` and `sync` do, as far as a script sees it.
fn nothing(_: &[String]) -> Answer {
    Answer::Known(String::new(), 0)
}

impl Shell<'_> {
    /// Runs what is neither a function nor a builtin.
    pub(super) fn run_external(&mut self, name: &str, words: &Words) -> Flow {
        let arguments = words.list[1..].to_vec();
        if let Err(flow) = self.step(COMMAND) {
            return flow;
        }
        if name == "uname" {
            system::note_uname(self, &arguments);
        }
        let path = self.scalar("PATH");
        let lost = !name.contains('/') && path.as_deref().is_some_and(|path| !path.contains("/bin"));
        if lost {
            // With a PATH that leads nowhere no command is found.
            self.complain();
            self.state.status = Some(127);
            return Flow::Next;
        }
        let short = name
            .strip_prefix("/usr/bin/")
            .or_else(|| name.strip_prefix("/bin/"))
            .or_else(|| name.strip_prefix("/usr/sbin/"))
            .or_else(|| name.strip_prefix("/sbin/"))
            .unwrap_or(name);
        let unknown_arguments = words.uncertain || arguments.iter().any(|argument| is_unknown(argument));
        let answer = if unknown_arguments { Ok(Answer::Unknown) } else { self.answer(short, &arguments) };
        match answer {
            Ok(Answer::Known(output, status)) => {
                self.state.status = Some(status);
                self.print(&output).map_or_else(|flow| flow, |()| Flow::Next)
            }
            Ok(Answer::Fails(output, status)) => {
                self.complain();
                self.state.status = Some(status);
                self.print(&output).map_or_else(|flow| flow, |()| Flow::Next)
            }
            Ok(Answer::Unknown) => {
                if self.is_harmless(short) {
                    self.state.status = None;
                    return Flow::Next;
                }
                self.note_unknown(&format!("the result of `{}`", shown(name, &arguments)));
                self.unknown_result()
            }
            Err(flow) => flow,
        }
    }

    fn answer(&mut self, name: &str, arguments: &[String]) -> Result<Answer, Flow> {
        if let Some((_, tool)) = TOOLS.iter().find(|(imitated, _)| *imitated == name) {
            return match tool {
                Computes(tool) => Ok(tool(arguments)),
                Looks(tool) => Ok(tool(self, arguments)),
                Reads(tool) => tool(self, arguments),
            };
        }
        if let Some(output) = self.outside.call(name, arguments) {
            return Ok(Answer::Known(output, 0));
        }
        let is_absent = self.is_nonsense(name) || self.lacks_program(name);
        Ok(if is_absent { Answer::Fails(String::new(), 127) } else { Answer::Unknown })
    }

    /// Commands that print nothing and change nothing that the file sees.
    fn is_harmless(&mut self, name: &str) -> bool {
        if matches!(
            name,
            "mkdir" | "rm" | "cp" | "mv" | "touch" | "chmod" | "chown" | "ln" | "install" | "tar" | "make"
        ) {
            self.remark(Remark::Changes(name.to_owned()));
            return true;
        }
        matches!(name, "sleep" | "sync" | "logger")
    }

    /// A name that no command can have, such as a variable with a blank before `=`.
    fn is_nonsense(&mut self, name: &str) -> bool {
        let variable = self.outside.is_variable(name);
        let marker =
            name.is_empty() || name.starts_with(['<', '>', '=', '@', '#', '\u{FEFF}']) || name.contains("__");
        if variable || marker {
            self.remark(Remark::NoCommand(name.to_owned()));
            return true;
        }
        if !name.contains('/') {
            return name.contains(|c: char| !c.is_ascii_alphanumeric() && !"_-.+[".contains(c));
        }
        let absent = self.test_file('e', name) == Some(false);
        if absent {
            self.remark(Remark::NoProgram(name.to_owned()));
        }
        absent
    }

    /// The text of the named files, or of standard input.
    fn source_of(&mut self, files: &[String]) -> Result<Source, Flow> {
        if files.is_empty() || files == ["-"] {
            return Ok(match self.state.input.take() {
                Some(Input { text, position }) => {
                    let rest = text[position..].to_owned();
                    self.state.input = Some(Input { position: text.len(), text });
                    if is_unknown(&rest) { Source::Unknown } else { Source::Text(rest) }
                }
                None => Source::Unknown,
            });
        }
        let (mut all, mut absent) = (String::new(), false);
        for file in files {
            match self.read_file(file) {
                Read::Text(text) => all.push_str(&text),
                Read::Absent => absent = true,
                Read::Unknown => return Ok(Source::Unknown),
            }
            self.check_length(&all)?;
        }
        self.step(u64::try_from(all.len() / 256).unwrap_or(u64::MAX))?;
        Ok(if absent { Source::Absent(all) } else { Source::Text(all) })
    }

    fn filter(
        &mut self,
        arguments: &[String],
        change: impl Fn(&str) -> Option<String>,
    ) -> Result<Answer, Flow> {
        if arguments.iter().any(|argument| argument.starts_with('-') && argument != "-") {
            return Ok(Answer::Unknown);
        }
        self.filter_files(arguments, change)
    }

    /// `change`: nothing for what is not modelled.
    fn filter_files(
        &mut self,
        files: &[String],
        change: impl Fn(&str) -> Option<String>,
    ) -> Result<Answer, Flow> {
        Ok(match self.source_of(files)? {
            Source::Text(text) => change(&text).map_or(Answer::Unknown, |out| Answer::Known(out, 0)),
            Source::Absent(text) if text.is_empty() => Answer::Fails(String::new(), 1),
            Source::Absent(text) => change(&text).map_or(Answer::Unknown, |out| Answer::Fails(out, 1)),
            Source::Unknown => Answer::Unknown,
        })
    }

    /// Charges the tries that were taken from a budget.
    fn charge_tries(&mut self, left: usize) -> Result<(), Flow> {
        self.step(u64::try_from((pattern::TRIES - left) / 16).unwrap_or(u64::MAX))
    }
}

/// A command line for a message.
fn shown(name: &str, arguments: &[String]) -> String {
    let mut text = name.to_owned();
    for argument in arguments {
        text.push(' ');
        text.push_str(if is_unknown(argument) { "…" } else { argument });
    }
    if text.chars().count() > 80 { text.chars().take(79).chain("…".chars()).collect() } else { text }
}
