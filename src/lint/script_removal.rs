//! What a removal takes away behind dkms's back, too late or too early.

use super::calls::{self, Action};
use super::scan::{Scan, ScriptRule};
use super::shell::{Command, Word};
use crate::base::diagnostic::{Code, Diagnostic};

pub(super) static STATE: ScriptRule = ScriptRule { code: &STATE_CODE, check: check_state };
pub(super) static TOO_LATE: ScriptRule = ScriptRule { code: &LATE_CODE, check: check_late };
pub(super) static SOURCE: ScriptRule = ScriptRule { code: &SOURCE_CODE, check: check_source };
pub(super) static SOME: ScriptRule = ScriptRule { code: &SOME_CODE, check: check_some };

static SOME_CODE: Code = Code {
    id: "K0847",
    title: "the driver is removed for the running kernel only",
    explanation: "`dkms remove` without `--all` and without `-k` works on the kernel that `uname -r` names (dkms(8)). The\n\
                  modules of other kernels stay, and with them the registration, whose source the package manager deletes next.",
};

static STATE_CODE: Code = Code {
    id: "K0840",
    title: "dkms's own folders are deleted by hand",
    explanation: "/var/lib/dkms says what dkms has installed, and keeps the kernel's own modules that were replaced. Deleted by\n\
                  hand, the modules below /lib/modules stay for ever, the kernel's own ones do not come back, and the\n\
                  folder of a driver holds the other versions as well, such as the one that works now.",
};

static LATE_CODE: Code = Code {
    id: "K0841",
    title: "dkms is told of the removal after the source is gone",
    explanation: "postrm and %postun run after the package's files are deleted. dkms needs the dkms.conf of the source to\n\
                  remove a driver: dkms 3.1 and later end with status 4, earlier ones leave modules and registration\n\
                  behind, and what is left disturbs the builds of other drivers. Call it in prerm or %preun.",
};

static SOURCE_CODE: Code = Code {
    id: "K0845",
    title: "a script deletes files of the package",
    explanation: "postrm, %preun and %postun of the old package run after the files of the new one were unpacked. With one\n\
                  version of the driver in both, what is deleted is the new source: nothing is built for the next\n\
                  kernel, and dkms cannot remove the driver any more. The package manager deletes the files itself.",
};

/// What a recursive `rm` is told to delete below a folder: the words.
fn deleted<'a>(scan: &'a Scan<'_>, command: &'a Command, below: &str) -> Option<&'a Word> {
    let arguments = calls::arguments(command);
    let is_recursive = |word: &Word| {
        word.value().is_some_and(|word| {
            word == "--recursive"
                || word.starts_with('-') && !word.starts_with("--") && word.contains(['r', 'R'])
        })
    };
    if calls::program_name(command) != Some("rm") || !arguments.iter().any(is_recursive) {
        return None;
    }
    arguments.iter().find(|word| {
        let raw = scan.text.get(word.span.clone()).unwrap_or_default();
        let text = word.value().unwrap_or_else(|| raw.trim_start_matches('"'));
        text.strip_prefix(below).is_some_and(|rest| !rest.trim_start_matches('/').is_empty())
    })
}

fn check_some(scan: &Scan<'_>) -> Option<Diagnostic> {
    let calls = scan.calls.iter().filter(|call| {
        let is_all = call.options.iter().any(|option| option == "--all");
        scan.kind.removes()
            && call.action == Action::Remove
            && !call.names_kernel
            && !is_all
            && call.refused.is_none()
    });
    let finding = scan.finding(&SOME_CODE, calls.map(|call| call.command), |shown| {
        format!("`{shown}` removes the driver for the running kernel only")
    })?;
    Some(finding.hint("add `--all`"))
}

fn check_state(scan: &Scan<'_>) -> Option<Diagnostic> {
    let from = scan.calls.iter().find(|call| matches!(call.action, Action::Remove | Action::Unknown));
    let from = from.map_or(usize::MAX, |call| call.command.span.start);
    // what is left after dkms removed the driver itself
    let is_leftover = |command: &Command| scan.is_removed_before || command.span.start > from;
    let commands = scan
        .commands
        .iter()
        .filter(|command| !is_leftover(command) && deleted(scan, command, "/var/lib/dkms/").is_some());
    let finding = scan.finding(&STATE_CODE, commands, |shown| {
        format!("`{shown}` deletes what dkms knows, and no module")
    })?;
    Some(finding.hint("use `dkms remove -m NAME -v VERSION --all`"))
}

fn check_late(scan: &Scan<'_>) -> Option<Diagnostic> {
    if !scan.kind.is_late() || scan.is_removed_before {
        return None;
    }
    let calls = scan.calls.iter().filter(|call| {
        call.action == Action::Remove && !scan.hangs_on(call.command, &["source", "/usr/src", "dkms.conf"])
    });
    let finding = scan.finding(&LATE_CODE, calls.map(|call| call.command), |shown| {
        format!("`{shown}` runs after the source was deleted")
    })?;
    let script =
        if scan.kind == super::Kind::DebPostrm { "prerm, for `remove`" } else { "%preun, where `$1` is 0" };
    Some(finding.hint(format!("call it in {script}")))
}

fn check_source(scan: &Scan<'_>) -> Option<Diagnostic> {
    // prerm of a .deb runs before the new files are there
    let runs_after = scan.kind.removes() && scan.kind != super::Kind::DebPrerm;
    if !runs_after || scan.text.contains("$1") || scan.text.contains("${1") {
        return None;
    }
    let commands = scan.commands.iter().filter(|command| deleted(scan, command, "/usr/src/").is_some());
    let finding = scan.finding(&SOURCE_CODE, commands, |shown| {
        format!("`{shown}` runs on upgrades too, after the new files were unpacked")
    })?;
    Some(finding.hint("leave the files to the package manager, or look at `$1` first"))
}
