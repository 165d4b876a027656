//! What a package has to have and lacks: digests, fields, and for a driver's source its need of dkms.

use super::{Package, PackageRule};
use crate::base::diagnostic::{Code, Diagnostic};

pub(super) static RULE: PackageRule = PackageRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0831",
    title: "the package lacks something that its users rely on",
    explanation: "Digests let rpm and dpkg verify what was installed; fields such as the maintainer are demanded by\n\
                  the tools and by every archive; a driver's source without a relation on dkms is unpacked and never\n\
                  built.",
};

fn check(package: &Package<'_>) -> Vec<Diagnostic> {
    let shown = package.path.display();
    let lacks = package.found.lacks.iter();
    let mut findings: Vec<_> =
        lacks.map(|what| Diagnostic::warning(&CODE, format!("`{shown}` lacks {what}"))).collect();
    if !package.confs.is_empty() && !package.found.requires.iter().any(|name| name == "dkms") {
        let message = format!("`{shown}` holds a driver for dkms, and does not need the package `dkms`");
        findings.push(Diagnostic::warning(&CODE, message).hint("add `dkms` to Depends or Requires"));
    }
    findings
}
