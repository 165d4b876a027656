//! A folder that is called like another version than its dkms.conf says.

use super::{Tree, TreeRule};
use crate::base::diagnostic::{Code, Diagnostic};

pub(super) static RULE: TreeRule = TreeRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0803",
    title: "the folder is not called NAME-VERSION",
    explanation: "`dkms add -m NAME -v VERSION` looks in /usr/src/NAME-VERSION. The folder is called like this driver,\n\
                  but with another version than dkms.conf has, so one of the two was forgotten. Packages of kpkg use\n\
                  the name and version of dkms.conf.",
};

fn check(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let (name, version) = (&tree.driver.name, &tree.driver.version);
    let Some(folder) = &tree.folder_name else { return Vec::new() };
    let Some(rest) = folder.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('-')) else {
        return Vec::new();
    };
    if rest == version || !rest.trim_start_matches('v').starts_with(|first: char| first.is_ascii_digit()) {
        return Vec::new();
    }
    let message = format!("the folder is called `{folder}`, and dkms.conf says `{name}-{version}`");
    vec![tree.driver.conf.mark(
        Diagnostic::warning(&CODE, message).hint("correct PACKAGE_VERSION, or rename the folder"),
        "PACKAGE_VERSION",
    )]
}
