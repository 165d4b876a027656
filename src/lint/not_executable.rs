//! Scripts that MAKE or a Makefile runs by their names and that cannot be executed.

use super::{Tree, TreeRule};
use crate::base::diagnostic::{Code, Diagnostic, Edit};

pub(super) static RULE: TreeRule = TreeRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0852",
    title: "a script that the build runs is not executable",
    explanation: "A shell runs `./script.sh` only when the file is executable; otherwise the command ends with status 126\n\
                  (`Permission denied`), and the build fails on every machine. `sh ./script.sh` needs no such bit.\n\
                  Packages of kpkg keep the bit as the tree has it.",
};

fn check(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (path, by) in &tree.layout.not_executable {
        let by = if by == "MAKE" { by.clone() } else { format!("`{by}`") };
        let finding = Diagnostic::warning(&CODE, format!("{by} runs `{path}`, which is not executable"))
            .hint(format!("run `chmod +x {path}`"))
            .fix(Edit::MakeExecutable(tree.driver.origin.root.join(path)));
        findings.push(if by == "MAKE" { tree.driver.conf.mark(finding, "MAKE") } else { finding });
    }
    findings
}
