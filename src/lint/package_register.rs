//! Packages that dkms never hears of, or that it hears of for ever.

use super::calls::{Action, Call};
use super::packaged::PackagedScript;
use super::{Package, PackageRule};
use crate::base::diagnostic::{Code, Diagnostic};

pub(super) static ADDS: PackageRule = PackageRule { code: &ADDS_CODE, check: check_adds };
pub(super) static REMOVES: PackageRule = PackageRule { code: &REMOVES_CODE, check: check_removes };
pub(super) static REBUILDS: PackageRule = PackageRule { code: &REBUILDS_CODE, check: check_rebuilds };

static ADDS_CODE: Code = Code {
    id: "K0836",
    title: "nothing tells dkms of the driver",
    explanation: "dkms builds what is registered below /var/lib/dkms. Source that only lies in /usr/src is never built, not\n\
                  now and not when a kernel is added: the package installs without an error and does nothing. dpkg and\n\
                  rpm have no trigger of their own for such folders.",
};

static REMOVES_CODE: Code = Code {
    id: "K0837",
    title: "nothing takes the driver from dkms",
    explanation: "When the package is removed or upgraded its source disappears, and the registration in /var/lib/dkms stays\n\
                  with a link that leads nowhere. The modules stay installed, every later `dkms autoinstall` reports\n\
                  an error, and some versions of dkms then build no other driver either.",
};

static REBUILDS_CODE: Code = Code {
    id: "K0843",
    title: "a new release of the same version keeps the old module",
    explanation: "dkms builds a NAME/VERSION once for each kernel: a second `dkms build` or `dkms install` says that it is\n\
                  built already, also with `--force` before dkms 3.1. Where the old package does not unregister on\n\
                  upgrades, a release with patched source and the same version is installed and never built. Call\n\
                  `dkms unbuild` (2.8.2 and later) or `dkms remove` before it, or put the release into the version.",
};

/// Whether the driver is registered; `None`: not known.
fn registers(package: &Package<'_>) -> Option<bool> {
    // what runs later may do it as well
    let is_service = |path: &str| {
        [
            "/lib/systemd/",
            "/usr/lib/systemd/",
            "/etc/init.d/",
            "/etc/systemd/",
            "/etc/cron",
            "/etc/kernel/",
            "/usr/lib/kernel/",
        ]
        .iter()
        .any(|start| path.starts_with(start))
    };
    let found = package.packaged.any(PackagedScript::installs, |call| call.action.registers())?;
    let later = package.found.files.iter().any(|file| !file.is_folder() && is_service(&file.path));
    (found || !later).then_some(found)
}

fn is_installed(package: &Package<'_>) -> bool {
    matches!(package.found.format, "deb" | "rpm")
}

fn check_adds(package: &Package<'_>) -> Vec<Diagnostic> {
    let Some(driver) = package.packaged.drivers.first().filter(|_| is_installed(package)) else {
        return Vec::new();
    };
    if registers(package) != Some(false) {
        return Vec::new();
    }
    let script = if package.found.format == "deb" { "postinst" } else { "%posttrans" };
    let message = format!("`{}` is in the package, and no script tells dkms of it", driver.shown(""));
    let hint = format!("call `dkms add` and, for each kernel, `dkms install` in {script}");
    vec![Diagnostic::warning(&ADDS_CODE, message).hint(hint)]
}

fn check_removes(package: &Package<'_>) -> Vec<Diagnostic> {
    let Some(driver) = package.packaged.drivers.first().filter(|_| is_installed(package)) else {
        return Vec::new();
    };
    let removes =
        |call: &Call<'_>| matches!(call.action, Action::Remove | Action::Uninstall | Action::Unbuild);
    let by_hand = package
        .packaged
        .scripts
        .iter()
        .any(|script| script.removes() && script.source.text.contains("/var/lib/dkms"));
    let is_removed = package.packaged.any(PackagedScript::removes, removes);
    if registers(package) != Some(true) || is_removed != Some(false) || by_hand {
        return Vec::new();
    }
    let script = if package.found.format == "deb" { "prerm" } else { "%preun" };
    let message = format!("the package tells dkms of `{}`, and no script takes it back", driver.shown(""));
    let hint = format!(
        "call `dkms remove -m NAME -v VERSION --all || :` in {script}, when the package goes for good"
    );
    let mut finding = Diagnostic::warning(&REMOVES_CODE, message).hint(hint);
    let adds = package.packaged.scripts.iter().filter(|script| script.installs());
    for script in adds {
        if let Some(call) = script.calls().iter().find(|call| call.action.registers()) {
            finding = finding.at(script.place(call));
            break;
        }
    }
    vec![finding]
}

fn check_rebuilds(package: &Package<'_>) -> Vec<Diagnostic> {
    if package.found.format != "rpm" || package.packaged.drivers.is_empty() {
        return Vec::new();
    }
    let release = package.found.version.rsplit('-').next().unwrap_or_default();
    let undoes = |call: &Call<'_>| {
        matches!(call.action, Action::Remove | Action::Uninstall | Action::Unbuild | Action::Unknown)
            || call.options.iter().any(|option| option == "--rpm_safe_upgrade")
    };
    let scripts = &package.packaged.scripts;
    // the removal looks at `$1`, so that upgrades keep what is there
    let mut removals = scripts.iter().filter(|script| script.kind.is_some() && script.removes());
    let keeps = removals.any(|script| {
        let text = &script.source.text;
        script.calls().iter().any(|call| call.action == Action::Remove)
            && (text.contains("$1") || text.contains("${1"))
    });
    let forces = |call: &Call<'_>| {
        call.action == Action::Build && call.options.iter().any(|option| option == "--force")
    };
    let mut installs = scripts.iter().filter(|script| script.kind.is_some_and(super::Kind::installs));
    let undone =
        scripts.iter().filter(|script| script.kind.is_some_and(super::Kind::installs)).any(|script| {
            !script.script.is_whole || script.calls().iter().any(|call| undoes(call) || forces(call))
        });
    if !keeps || undone || release.is_empty() {
        return Vec::new();
    }
    let found = installs.find_map(|script| {
        let calls = script.calls();
        let call = calls.iter().find(|call| {
            let version = call.version.as_deref();
            matches!(call.action, Action::Build | Action::Install)
                && version.is_some_and(|version| !version.ends_with(release))
        })?;
        let message = format!("`{}` builds nothing when a new release has the same version", script.shown(call));
        Some(
            Diagnostic::warning(&REBUILDS_CODE, message)
                .at(script.place(call))
                .hint("call `dkms unbuild -m NAME -v VERSION --all || :` first, or put the release into PACKAGE_VERSION"),
        )
    });
    found.into_iter().collect()
}
