//! A version in dkms.conf that the sources or the packaging contradict.

use super::{Tree, TreeRule};
use crate::base::diagnostic::{Code, Diagnostic};
use crate::input::version::agree;

pub(super) static RULE: TreeRule = TreeRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0804",
    title: "the tree has another version than dkms.conf",
    explanation: "PACKAGE_VERSION and what the sources say about themselves differ, so one was not changed for the\n\
                  release. dkms compares MODULE_VERSION with the kernel's own module to decide which is newer, and a\n\
                  user who reports a problem names the wrong release.",
};

fn check(tree: &Tree<'_>) -> Vec<Diagnostic> {
    // commits after a tag are work in progress, and folders are called as one likes
    let counts = |from: &str| {
        from.contains("MODULE_VERSION") || from.contains("#define") || from.contains("changelog")
    };
    let differing = tree
        .claims
        .iter()
        .filter(|claim| counts(&claim.from) && !agree(&claim.version, &tree.driver.version));
    let Some(claim) = differing.into_iter().next() else { return Vec::new() };
    let message =
        format!("the version is {}, but {} says {}", tree.driver.version, claim.from, claim.version);
    vec![
        tree.driver
            .conf
            .mark(Diagnostic::warning(&CODE, message).hint("change one of them"), "PACKAGE_VERSION"),
    ]
}
