//! A bare `make` whose Makefile tests KERNELRELEASE: dkms sets that variable, and the Makefile takes it for kbuild.

use super::{Tree, TreeRule};
use crate::base::diagnostic::{Code, Diagnostic};

pub(super) static RULE: TreeRule = TreeRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0801",
    title: "dkms's KERNELRELEASE reaches a Makefile that takes it for kbuild",
    explanation: "dkms replaces a leading `make` by `make KERNELRELEASE=KERNEL`. A Makefile with a guard such as\n\
                  `ifneq ($(KERNELRELEASE),)` then believes that the kernel's build called it, has no targets, and\n\
                  make ends with `No targets.  Stop.` Written as `'make'`, in quotes, dkms leaves the command as it\n\
                  is.",
};

fn check(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (command, folder) in tree.own_makes() {
        let bare = command.split_whitespace().next() == Some("make");
        let Some((path, _)) = tree.driver.wrapper(&folder).filter(|_| bare) else { continue };
        let Some(text) = tree.driver.text(&path) else { continue };
        let guard = text.lines().any(|line| {
            let line = line.trim_start();
            (line.starts_with("if") || line.starts_with("else if")) && line.contains("KERNELRELEASE")
        });
        if !guard {
            continue;
        }
        let message = format!("`{path}` tests KERNELRELEASE, which dkms gives to a bare `make`");
        let mut finding = Diagnostic::warning(&CODE, message).hint("write the command in quotes: `'make'`");
        finding.fix = tree.driver.conf.quoted_make();
        findings.push(tree.driver.conf.mark(finding, "MAKE"));
    }
    findings
}
