//! What a remark of the shell means for a dkms.conf: its code, how bad it is, what to say and what to do about it.
//!
//! Must not know when a remark is made.

use super::codes;
use super::directives::is_directive_like;
use super::shell::Remark;
use crate::base::diagnostic::Diagnostic;

/// The remark as a finding without a place.
pub(super) fn finding(remark: &Remark) -> Diagnostic {
    match remark {
        Remark::Ends(why) => {
            let message = format!("{why}: bash ends here, and dkms sees no directive at all");
            Diagnostic::error(&codes::RUNTIME, message)
        }
        Remark::Fails(why) => Diagnostic::warning(&codes::RUNTIME, format!("{why}: the command fails")),
        Remark::Limit(which) => Diagnostic::error(&codes::LIMIT, which.clone()),
        Remark::Syntax(line, why) => {
            Diagnostic::error(&codes::SYNTAX, format!("`{line}` does not parse: {why}"))
        }
        Remark::Unknown { what, assigning } => unknown(what, assigning.as_deref()),
        Remark::MayEnd { assigning } => unknown(
            "whether `set -e` ends the file at a command that fails, which depends on what dkms is asked for,",
            assigning.as_deref(),
        ),
        Remark::Condition => Diagnostic::note(
            &codes::UNKNOWN_CONDITION,
            "this condition cannot be decided here: both ways are taken as possible",
        ),
        Remark::Assumed(what) => Diagnostic::note(
            &codes::NOT_MENTIONED,
            format!("{what} is taken as absent, as on a machine without further software"),
        ),
        Remark::Exit => Diagnostic::warning(
            &codes::EXIT,
            "`exit` ends the shell that dkms reads the file in: every directive is lost",
        )
        .hint("use `return`, or a condition"),
        Remark::NoFile(path) => {
            let message = format!("`{path}` is sourced but does not exist where dkms would look for it");
            let finding = Diagnostic::warning(&codes::ABSENT_FILE, message);
            if path.starts_with('/') {
                return finding;
            }
            finding.hint("dkms reads the file from another directory: write `$dkms_tree/$module/$module_version/source/…`")
        }
        Remark::NoProgram(path) => {
            let folder = if path.starts_with('/') { "" } else { ": it reads the file in another folder" };
            let message = format!("there is no program `{path}` where dkms looks{folder}");
            Diagnostic::warning(&codes::ABSENT_FILE, message).hint("write the value into the file")
        }
        Remark::NoCommand(name) => {
            let message = format!("`{name}` is run as a command here, and there is none of that name");
            let finding = Diagnostic::warning(&codes::NOT_A_COMMAND, message);
            if is_directive_like(name) {
                return finding.hint("an assignment has no blanks around `=`");
            }
            finding
        }
        Remark::Changes(name) => Diagnostic::warning(
            &codes::WRITES,
            format!("`{name}` runs every time dkms reads the file; this is not imitated"),
        )
        .hint("move it to PRE_BUILD or another hook"),
        Remark::Writes(path) => Diagnostic::warning(
            &codes::WRITES,
            format!("the file writes to `{path}` while dkms reads it; this is not imitated"),
        )
        .hint("create files in PRE_BUILD"),
        Remark::AsksForTheKernel => Diagnostic::warning(
            &codes::UNAME,
            "`uname -r` is the kernel that runs, not the one dkms builds for",
        )
        .hint("write `$kernelver`"),
    }
}

/// The shell has no value for this.
fn unknown(what: &str, assigning: Option<&str>) -> Diagnostic {
    let target = assigning.map(|name| format!(", so `{name}` is unknown")).unwrap_or_default();
    Diagnostic::note(&codes::UNKNOWN_COMMAND, format!("{what} is not known here{target}"))
        .hint("state the fact in the file, or give it to kpkg")
}
