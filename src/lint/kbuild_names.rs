//! Names of kbuild that newer kernels do not know any more.

use super::{Tree, TreeRule};
use crate::base::diagnostic::{Code, Diagnostic, Edit, Place};

pub(super) static FLAGS: TreeRule = TreeRule { code: &OLD_FLAGS, check: flags };
pub(super) static SUBDIRS: TreeRule = TreeRule { code: &OLD_SUBDIRS, check: subdirs };

static OLD_FLAGS: Code = Code {
    id: "K0850",
    title: "flags under a name that kbuild no longer reads",
    explanation: "kbuild takes the flags of a folder from ccflags-y, asflags-y and ldflags-y since Linux 2.6.33.\n\
                  EXTRA_CFLAGS and its like were kept beside them until Linux 6.14; since 6.15 they are ignored, and\n\
                  includes and defines in them are lost.",
};
static OLD_SUBDIRS: Code = Code {
    id: "K0851",
    title: "SUBDIRS instead of M",
    explanation: "The folder of modules is given to the kernel's build as M. SUBDIRS was another name for it until Linux\n\
                  5.3; since 5.4 it is ignored, and make builds the kernel instead of the driver, or says that there is no\n\
                  rule.",
};

/// Old names and those that count.
const NAMES: [(&str, &str); 3] =
    [("EXTRA_CFLAGS", "ccflags-y"), ("EXTRA_AFLAGS", "asflags-y"), ("EXTRA_LDFLAGS", "ldflags-y")];

fn flags(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for path in &tree.layout.reads {
        let Some(source) = tree.source(path) else { continue };
        for (old, new) in NAMES {
            // handed on under the name that counts
            let is_used = |line: &str| {
                line.trim_start().starts_with(new)
                    && (line.contains(&format!("({old})")) || line.contains(&format!("{{{old}}}")))
            };
            if source.text.lines().any(is_used) {
                continue;
            }
            let mut at = 0;
            for line in source.text.split_inclusive('\n') {
                let from = at;
                at += line.len();
                let Some(rest) = line.strip_prefix(old) else { continue };
                let is_assignment = rest.trim_start().starts_with(['=', '+', ':', '?']);
                if !is_assignment || !["-I", "-D", "-include"].iter().any(|flag| rest.contains(flag)) {
                    continue;
                }
                let text = format!("`{path}` sets `{old}`, which Linux 6.15 and later ignore");
                let finding = Diagnostic::warning(&OLD_FLAGS, text)
                    .at(Place::new(&source, from..from + line.trim_end().len()))
                    .hint(format!("write `{new}`"))
                    .fix(Edit::replace(&source, from..from + old.len(), new));
                findings.push(finding);
            }
        }
    }
    findings
}

fn subdirs(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let has = |line: &str, name: &str| {
        line.split(|next: char| next.is_whitespace() || "\"'".contains(next))
            .any(|word| word.starts_with(name))
    };
    let mut findings = Vec::new();
    let commands = tree.facts.make.iter().filter_map(|rule| rule.command.known());
    if commands.into_iter().any(|command| has(command, "SUBDIRS=") && !has(command, "M=")) {
        let text = "MAKE gives `SUBDIRS`, which Linux 5.4 and later ignore";
        findings
            .push(tree.driver.conf.mark(Diagnostic::warning(&OLD_SUBDIRS, text).hint("write `M=`"), "MAKE"));
    }
    for path in &tree.layout.reads {
        let Some(source) = tree.source(path) else { continue };
        let mut at = 0;
        for line in source.text.split_inclusive('\n') {
            let from = at;
            at += line.len();
            let Some(found) = line.find("SUBDIRS=").filter(|_| line.starts_with('\t')) else { continue };
            if !line.contains("-C") || has(line, "M=") {
                continue;
            }
            let text = format!("`{path}` gives `SUBDIRS`, which Linux 5.4 and later ignore");
            let place = from + found..from + found + "SUBDIRS=".len();
            let finding = Diagnostic::warning(&OLD_SUBDIRS, text)
                .at(Place::new(&source, place.clone()))
                .hint("write `M=`")
                .fix(Edit::replace(&source, place, "M="));
            findings.push(finding);
        }
    }
    findings
}
