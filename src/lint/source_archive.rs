//! A dkms.conf that automake's `make dist` would leave out.

use super::{Tree, TreeRule};
use crate::base::diagnostic::{Code, Diagnostic};

pub(super) static RULE: TreeRule = TreeRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0805",
    title: "`make dist` leaves dkms.conf out",
    explanation: "automake puts into a release what EXTRA_DIST and its own variables name. dkms.conf is not among\n\
                  them, so the tarball that users get has none, although the repository has.",
};

fn check(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let Some(text) = tree.driver.text("Makefile.am") else { return Vec::new() };
    let template = tree.driver.tree.iter().any(|file| file.path == "dkms.conf.in");
    if text.contains("dkms.conf") || template {
        return Vec::new();
    }
    let message = "`Makefile.am` does not name dkms.conf, so `make dist` leaves it out";
    vec![Diagnostic::warning(&CODE, message).hint("add it: `EXTRA_DIST += dkms.conf`")]
}
