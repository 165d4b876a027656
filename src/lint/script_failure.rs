//! Commands whose failure becomes the package manager's.

use super::calls::{self, Action};
use super::scan::{Scan, ScriptRule};
use super::shell::Command;
use crate::base::diagnostic::{Code, Diagnostic};

pub(super) static BUILD: ScriptRule = ScriptRule { code: &BUILD_CODE, check: check_build };
pub(super) static ADD: ScriptRule = ScriptRule { code: &ADD_CODE, check: check_add };
pub(super) static LOAD: ScriptRule = ScriptRule { code: &LOAD_CODE, check: check_load };

static BUILD_CODE: Code = Code {
    id: "K0839",
    title: "a failing dkms stops the package manager",
    explanation: "The script ends where this command fails, because of `set -e`, or it is the last one and its status is the\n\
                  script's. dkms fails for every kernel that the driver does not compile for, for one without headers, and\n\
                  for a module that is installed already (status 5); a removal fails when the driver is not registered\n\
                  (3) or its source is gone (4). dpkg then leaves the package half-configured and refuses further work;\n\
                  rpm keeps the old package beside the new one when %pre or %preun fails, and rpm 6 counts every scriptlet.",
};

static ADD_CODE: Code = Code {
    id: "K0842",
    title: "a driver is registered without a look at whether it is registered",
    explanation: "`dkms add` ends with status 3 for a driver that is registered already: when the package is reinstalled or\n\
                  configured a second time, or upgraded with the same version of the driver. The script ends there,\n\
                  because of `set -e` or because it is its last command, and the installation fails.",
};

static LOAD_CODE: Code = Code {
    id: "K0844",
    title: "loading or unloading a module decides about the package",
    explanation: "A module cannot be loaded in a container or chroot, for a kernel that does not run yet, or with Secure Boot\n\
                  and a key that is not enrolled; one that is in use cannot be unloaded. The script ends there, because of\n\
                  `set -e` or because it is its last command, and the package can be neither configured nor removed.",
};

/// Words of scripts that look at what is registered.
const LOOKS: &[&str] = &["dkms status", "/var/lib/dkms"];

fn check_build(scan: &Scan<'_>) -> Option<Diagnostic> {
    let removal = |action| matches!(action, Action::Remove | Action::Uninstall | Action::Unbuild);
    let looks = LOOKS.iter().any(|word| scan.text.contains(word));
    let calls = scan.calls.iter().filter(|call| {
        call.command.decides
            && (scan.kind.installs() && call.action.builds()
                || scan.kind.removes() && removal(call.action) && !looks)
    });
    let commands = calls.map(|call| call.command);
    let what = if scan.kind.removes() { "a removal of the package" } else { "the installation" };
    let finding =
        scan.finding(&BUILD_CODE, commands, |shown| format!("`{shown}` fails {what} whenever dkms fails"))?;
    Some(
        finding
            .hint("say what failed and go on: `… || echo 'NAME was not built' >&2`, and end with `exit 0`"),
    )
}

fn check_add(scan: &Scan<'_>) -> Option<Diagnostic> {
    let looks = LOOKS.iter().any(|word| scan.text.contains(word));
    let from = scan.calls.iter().position(|call| matches!(call.action, Action::Remove | Action::Unknown));
    let calls = &scan.calls[..from.unwrap_or(scan.calls.len())];
    let calls = calls
        .iter()
        .filter(|call| scan.kind.installs() && call.action == Action::Add && call.command.decides && !looks);
    let finding = scan.finding(&ADD_CODE, calls.map(|call| call.command), |shown| {
        format!("`{shown}` fails where the driver is registered already")
    })?;
    Some(
        finding
            .hint("ask first: `dkms status -m NAME -v VERSION | grep -q . || dkms add -m NAME -v VERSION`"),
    )
}

fn check_load(scan: &Scan<'_>) -> Option<Diagnostic> {
    let only_looks =
        |word: &str| matches!(word, "-n" | "--dry-run" | "-c" | "--showconfig" | "-D" | "--show-depends");
    let loads = |command: &&Command| {
        matches!(calls::program_name(command), Some("modprobe" | "insmod" | "rmmod"))
            && command.decides
            && !calls::arguments(command).iter().filter_map(super::shell::Word::value).any(only_looks)
    };
    let commands = scan.commands.iter().filter(loads);
    let what = if scan.kind.removes() { "a removal of the package" } else { "the installation" };
    let finding = scan
        .finding(&LOAD_CODE, commands, |shown| format!("`{shown}` fails {what} where it cannot be done"))?;
    Some(finding.hint("do not depend on it: `… || :`"))
}
