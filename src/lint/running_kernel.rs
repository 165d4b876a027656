//! A Makefile of the driver's own that builds for the running kernel, because nobody tells it another.

use super::{Tree, TreeRule};
use crate::base::diagnostic::{Code, Diagnostic};

pub(super) static RULE: TreeRule = TreeRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0802",
    title: "the driver's Makefile builds for the running kernel",
    explanation: "The Makefile asks `uname -r` for the kernel unless it is told one, and the command in MAKE tells it\n\
                  none. dkms builds for kernels that are not running: after an upgrade, in a chroot, in an image. The\n\
                  module is then one for the wrong kernel, and dkms installs it. Give the variable that the Makefile\n\
                  reads, such as `KVER=$kernelver` or `KDIR=$kernel_source_dir`.",
};

fn check(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (command, folder) in tree.own_makes() {
        let Some((path, wrapper)) = tree.driver.wrapper(&folder) else { continue };
        let variables: Vec<_> = wrapper.kernel_release.iter().chain(&wrapper.kernel_folder).collect();
        // a bare `make` of dkms sets KERNELRELEASE
        let given = |name: &String| {
            command.contains(&format!("{name}="))
                || name == "KERNELRELEASE" && command.split_whitespace().next() == Some("make")
        };
        let Some(first) = variables.first().filter(|_| !variables.iter().any(|name| given(name))) else {
            continue;
        };
        let value =
            if wrapper.kernel_release.as_ref() == Some(first) { "$kernelver" } else { "$kernel_source_dir" };
        let message = format!("`{path}` builds for the running kernel: MAKE does not set `{first}`");
        let finding =
            Diagnostic::warning(&CODE, message).hint(format!("add `{first}={value}` to the command"));
        findings.push(tree.driver.conf.mark(finding, "MAKE"));
    }
    // a recipe that no variable reaches
    for path in &tree.layout.for_running {
        let is_told =
            findings.iter().any(|finding: &Diagnostic| finding.message.starts_with(&format!("`{path}`")));
        if !is_told {
            let message = format!("`{path}` builds for the running kernel, whatever MAKE gives it");
            let hint = "leave MAKE out, so that dkms calls the kernel's build, or let the recipe use a variable that MAKE sets";
            findings.push(tree.driver.conf.mark(Diagnostic::warning(&CODE, message).hint(hint), "MAKE"));
        }
    }
    findings
}
