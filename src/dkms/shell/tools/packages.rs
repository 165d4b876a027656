//! `dpkg -l`, `pkg-config`, `which`, `command -v`: which software is there.
//!
//! Must not name any that is: that is for [`super::super::Outside`] to say.

use super::super::builtins::BUILTINS;
use super::super::state::unknown;
use super::super::{Flow, Shell};
use super::{Answer, shown};

/// Stands for the packages that are installed, as `dpkg -l` lists them: not known, but for what only other software brings.
const LIST: &str = "\u{10FFFE}dpkg -l\u{10FFFE}";

pub(super) fn dpkg(shell: &mut Shell<'_>, arguments: &[String]) -> Answer {
    if shell.outside.is_described() && arguments == ["-l"] {
        return Answer::Known(format!("{LIST}\n"), 0);
    }
    Answer::Unknown
}

/// Libraries with their headers are no part of a base system.
pub(super) fn pkg_config(shell: &mut Shell<'_>, arguments: &[String]) -> Answer {
    if !shell.outside.is_described() {
        return Answer::Unknown;
    }
    shell.note_assumed(&format!("what `{}` looks for", shown("pkg-config", arguments)));
    Answer::Fails(String::new(), 1)
}

/// Whether standard input is the list of installed packages.
pub(super) fn are_read(shell: &Shell<'_>) -> bool {
    shell.state.input.as_ref().is_some_and(|input| input.text[input.position..].trim_end() == LIST)
}

pub(super) fn which(shell: &mut Shell<'_>, arguments: &[String]) -> Answer {
    match arguments {
        // Where it is differs between distributions; that it is there does not.
        [name] if shell.outside.has_program(name) == Some(true) => {
            Answer::Known(format!("{}\n", unknown()), 0)
        }
        [name] if shell.lacks_program(name) => Answer::Fails(String::new(), 1),
        _ => Answer::Unknown,
    }
}

impl Shell<'_> {
    /// Whether a program is not there, because nobody mentioned the software it belongs to.
    pub(super) fn lacks_program(&mut self, name: &str) -> bool {
        let lacks = self.outside.has_program(name) == Some(false);
        if lacks {
            self.note_assumed(&format!("the program `{name}`"));
        }
        lacks
    }

    /// `command -v`, `type`, `hash`.
    pub(in super::super) fn locate_commands(&mut self, names: &[String]) -> Result<Flow, Flow> {
        for name in names.iter().filter(|name| !name.starts_with('-')) {
            if self.state.functions.contains_key(name) || BUILTINS.contains(&name.as_str()) {
                self.print(&format!("{name}\n"))?;
                self.state.status = Some(0);
            } else if self.outside.has_program(name) == Some(true) {
                self.print(&format!("{}\n", unknown()))?;
                self.state.status = Some(0);
            } else if self.lacks_program(name) {
                self.state.status = Some(1);
            } else {
                self.note_unknown(&format!("whether `{name}` is installed"));
                return Ok(self.unknown_result());
            }
        }
        Ok(Flow::Next)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{answers, are_unknown};

    #[test]
    fn software_that_nobody_mentioned_is_absent() {
        answers("which", &[(&["other_tool"], "", "", 1)]);
        answers("pkg-config", &[(&["--exists", "x"], "", "", 1)]);
        are_unknown("which", &[(&["something"], ""), (&["-a", "make"], "")]);
        are_unknown("dpkg", &[(&["-l", "make"], ""), (&["--print-architecture"], "")]);
        are_unknown("pkgconf", &[(&["--exists", "x"], "")]);
    }

    #[test]
    fn where_a_program_lies_is_not_known() {
        answers("which", &[(&["make"], "", "\u{10FFFE}\n", 0)]);
    }
}
