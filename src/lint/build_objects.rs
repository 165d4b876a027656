//! Objects of modules by the paths of a machine.

use super::{Tree, TreeRule};
use crate::base::diagnostic::{Code, Diagnostic, Edit};

pub(super) static RULE: TreeRule = TreeRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0857",
    title: "an object by a path that kbuild cannot follow",
    explanation: "kbuild puts its own folder in front of each object of obj-m, NAME-objs and NAME-y (`$(obj)/`, in\n\
                  scripts/Makefile.lib). One that begins with `$(src)/`, `$(obj)/`, `$(PWD)/`, `$(M)/` or `/` is then\n\
                  looked for in `/a/b//a/b/x.o`: make says that there is no rule for it. So it is in Linux 6.1 and later.\n\
                  Paths are relative to the Makefile; `../b/y.o` works.",
};

fn check(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let mut findings: Vec<Diagnostic> = Vec::new();
    for object in &tree.layout.absolute {
        let message = format!(
            "`{}` of `{}` names `{}` by an absolute path, in front of which kbuild puts its own folder",
            object.list, object.path, object.name
        );
        let mut finding = Diagnostic::warning(&CODE, message)
            .hint("write the path relative to the Makefile, without `$(src)/` and its like");
        finding.place = tree.place(&object.path, object.line);
        if let Some(place) = &finding.place {
            // both are the folder of the Makefile itself
            let rest = &place.source.text[place.span.start..];
            let found = ["$(src)/", "$(obj)/"].iter().find_map(|start| {
                Some((rest.find(&format!("{start}{}", object.name))? + place.span.start, start.len()))
            });
            finding.fix = found.map(|(at, length)| Edit::replace(&place.source, at..at + length, ""));
        }
        if findings.len() < FINDINGS && !findings.contains(&finding) {
            findings.push(finding);
        }
    }
    findings
}

/// How many are told.
const FINDINGS: usize = 20;
