//! Modes and owners that no file of a driver's package should have.

use super::{Package, PackageRule};
use crate::base::diagnostic::{Code, Diagnostic};
use crate::format::ReadFile;

pub(super) static RULE: PackageRule = PackageRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0832",
    title: "a file of the package has a wrong mode or owner",
    explanation: "Sources below /usr/src are compiled as root: whoever may write to them, or owns them, runs code in\n\
                  the kernel. Files belong to root, are written by root alone, and folders can be entered by\n\
                  everybody.",
};

/// Whether a file is wrong in some way.
type Test = fn(&ReadFile) -> bool;

/// How many of a kind are named.
const NAMED: usize = 5;

fn check(package: &Package<'_>) -> Vec<Diagnostic> {
    let shown = package.path.display();
    let tests: [(&str, Test); 4] = [
        ("can be written by others", |file| file.mode & 0o022 != 0 && file.mode & 0o1000 == 0),
        ("runs with another user's rights", |file| !file.is_folder() && file.mode & 0o6000 != 0),
        ("does not belong to root", |file| file.owner != "root:root"),
        ("cannot be read by everybody", |file| {
            file.mode & 0o004 == 0 || file.is_folder() && file.mode & 0o005 != 0o005
        }),
    ];
    let mut findings = Vec::new();
    for (what, is_wrong) in tests {
        // links have no mode of their own
        let wrong: Vec<_> =
            package.found.files.iter().filter(|file| file.mode != 0o777 && is_wrong(file)).collect();
        for file in wrong.iter().take(NAMED) {
            let message =
                format!("`{}` in `{shown}` {what} (mode {:04o}, {})", file.path, file.mode, file.owner);
            findings.push(Diagnostic::warning(&CODE, message));
        }
        if let (Some(last), more @ 1..) = (findings.last_mut(), wrong.len().saturating_sub(NAMED)) {
            last.notes.push(format!("{more} more of this kind are not listed"));
        }
    }
    findings
}
