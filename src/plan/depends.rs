//! `BUILD_DEPENDS` as relations: drivers that dkms wants built before this one.

use std::collections::{BTreeMap, BTreeSet};

use super::{BUILT_AFTER_ITSELF, NO_DRIVER, UNKNOWN_ORDER, UNRELATED, base_of};
use crate::base::diagnostic::{Code, Diagnostic};
use crate::config::request::Request;
use crate::driver::Driver;
use crate::package::{Capability, Relation, RelationKind};
use crate::plan::profile::Target;

/// A driver of the run, as the others see it.
#[derive(Debug, Clone)]
pub struct Sibling {
    pub(super) name: String,
    pub(super) version: String,
    after: BTreeSet<String>,
}

impl Sibling {
    /// What others have to know of a driver.
    #[must_use]
    pub fn of(driver: &Driver) -> Self {
        Self { name: driver.name.clone(), version: driver.version.clone(), after: names(driver) }
    }
}

/// Every name that a driver's `BUILD_DEPENDS` holds, for whichever kernel.
pub(super) fn names(driver: &Driver) -> BTreeSet<String> {
    let of_kernels = driver.kernels.iter().flat_map(|found| &found.decision.build_depends);
    driver.build_depends.names.iter().chain(of_kernels).cloned().collect()
}

/// What a source-only package needs because of `BUILD_DEPENDS`; a finding for each name that leads to no package.
pub(super) fn relations(
    driver: &Driver,
    siblings: &[Sibling],
    target: &Target,
    request: &Request,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Relation> {
    let package = |name: &str| target.names.source_only.replace("{name}", &base_of(name, target, request));
    let mut needed = Vec::new();
    for name in names(driver) {
        let relation = match request.build_depends.get(&name) {
            Some(given) => given.clone(),
            None if name == driver.name || is_circular(&driver.name, &name, siblings) => {
                diagnostics.push(circular(driver, &name));
                None
            }
            None if siblings.iter().any(|other| other.name == name) => {
                let any_of = vec![Capability::named(package(&name))];
                Some(Relation { kind: RelationKind::Requires, any_of })
            }
            None => {
                let usual = package(&name);
                let is_said = |capability: &Capability| capability.name == usual || capability.name == name;
                let said = request.relations.iter().filter(|given| given.kind == RelationKind::Requires);
                if !said.flat_map(|given| &given.any_of).any(is_said) {
                    diagnostics.push(unrelated(driver, &name, &usual));
                }
                None
            }
        };
        needed.extend(relation);
    }
    if driver.build_depends.has_unknown {
        let text = "`BUILD_DEPENDS` is not known here in part: no relation stands for that part";
        let hint = "write `requires = [\"PACKAGE\"]` under `[relations]` in kpkg.toml where a package has to be there";
        diagnostics.push(mark(driver, Diagnostic::note(&UNKNOWN_ORDER, text).hint(hint)));
    }
    needed
}

/// The other drivers of the run whose modules for a kernel those of `driver` are built with.
pub(super) fn of_kernel<'a>(driver: &Driver, siblings: &'a [Sibling], kernel: &str) -> Vec<&'a Sibling> {
    let found = driver.kernels.iter().find(|found| found.kernel == kernel);
    let names = found.map(|found| found.decision.build_depends.as_slice()).unwrap_or_default();
    let is_named = |other: &&Sibling| {
        names.contains(&other.name)
            && other.name != driver.name
            && !is_circular(&driver.name, &other.name, siblings)
    };
    siblings.iter().filter(is_named).collect()
}

/// Whether the driver `from` is, by way of others, built after `name`.
fn is_circular(name: &str, from: &str, siblings: &[Sibling]) -> bool {
    let after: BTreeMap<&str, &BTreeSet<String>> =
        siblings.iter().map(|sibling| (sibling.name.as_str(), &sibling.after)).collect();
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(one) = next.pop() {
        if one == name {
            return true;
        }
        if seen.insert(one) {
            next.extend(after.get(one).into_iter().copied().flatten().map(String::as_str));
        }
    }
    false
}

fn circular(driver: &Driver, name: &str) -> Diagnostic {
    let text = if name == driver.name {
        "`BUILD_DEPENDS` names the driver itself: dkms 3.1.4 and later never build it".to_owned()
    } else {
        let [own, other] = [&driver.name, name].map(str::escape_debug);
        format!(
            "`{own}` is to be built after `{other}`, and that after `{own}`: dkms 3.1.4 and later build neither"
        )
    };
    let hint = "take the name out of `BUILD_DEPENDS`";
    mark(driver, Diagnostic::warning(&BUILT_AFTER_ITSELF, text).hint(hint))
}

/// Names that `BUILD_DEPENDS` cannot mean: what distributions call kernels, their headers and tools.
const PACKAGES: [&str; 9] = [
    "kernel",
    "kernel-devel",
    "kernel-headers",
    "linux",
    "linux-headers",
    "linux-image",
    "dkms",
    "gcc",
    "make",
];

fn is_package(name: &str) -> bool {
    PACKAGES.iter().any(|package| {
        let rest = name.strip_prefix(package);
        rest.is_some_and(|rest| rest.is_empty() || package.contains('-') && rest.starts_with('-'))
    })
}

fn unrelated(driver: &Driver, name: &str, usual: &str) -> Diagnostic {
    let warning = |code: &'static Code, text: String, hint: String| {
        mark(driver, Diagnostic::warning(code, text).hint(hint))
    };
    let shown = name.escape_debug();
    if is_package(name) {
        let text = format!(
            "`BUILD_DEPENDS` names `{shown}`, a package and no driver: dkms 3.1.4 and later never build it"
        );
        let hint =
            "take it out; what must be installed stands in `requires` under `[relations]` in kpkg.toml";
        return warning(&NO_DRIVER, text, hint.to_owned());
    }
    let key = if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.escape_default())
    };
    let text = format!("dkms builds it after `{shown}`, and nothing says which package brings that");
    let hint = format!(
        "package both from one folder with `--all`, or write `{key} = \"{}\"` or whatever brings it under \
         `[relations.build-depends]` in kpkg.toml",
        usual.escape_default()
    );
    warning(&UNRELATED, text, hint)
}

/// A finding at the driver's `BUILD_DEPENDS`.
fn mark(driver: &Driver, finding: Diagnostic) -> Diagnostic {
    match &driver.build_depends.place {
        Some(place) => finding.at(place.clone()),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sibling(name: &str, after: &[&str]) -> Sibling {
        let after = after.iter().map(|name| (*name).to_owned()).collect();
        Sibling { name: name.to_owned(), version: "1.0".to_owned(), after }
    }

    #[test]
    fn a_circle_is_found_over_any_number_of_drivers() {
        let siblings = [
            sibling("a", &["b"]),
            sibling("b", &["c", "elsewhere"]),
            sibling("c", &["a"]),
            sibling("user", &["a"]),
        ];
        for (name, from, expected) in
            [("a", "b", true), ("b", "c", true), ("user", "a", false), ("a", "elsewhere", false)]
        {
            assert_eq!(is_circular(name, from, &siblings), expected, "{name} {from}");
        }
    }

    #[test]
    fn only_what_cannot_be_a_driver_is_taken_for_a_package() {
        for name in ["kernel", "linux-headers-amd64", "kernel-devel", "make"] {
            assert!(is_package(name), "{name}");
        }
        for name in ["spl", "kernel-foo", "linux_thing", "makefoo", "nvidia", "kernel-devel_x"] {
            assert!(!is_package(name), "{name}");
        }
    }
}
