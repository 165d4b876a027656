//! Folder, dkms.conf and scripts of a package that name different drivers.

use super::calls::{Action, Call};
use super::packaged::{Packaged, PackagedDriver, PackagedScript};
use super::{Package, PackageRule};
use crate::base::diagnostic::{Code, Diagnostic};

pub(super) static RULE: PackageRule = PackageRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0833",
    title: "folder, dkms.conf and scripts of the package do not agree",
    explanation: "`dkms add -m NAME -v VERSION` looks for the source in /usr/src/NAME-VERSION and ends with status 2 where that\n\
                  folder is missing. The dkms.conf in it is read under the name and version of the folder: commands in it\n\
                  that use its own PACKAGE_NAME and PACKAGE_VERSION, such as the folder of the build, then lead nowhere.\n\
                  A removal that names another version leaves registration and modules behind for ever, and dkms stumbles\n\
                  over them when it builds other drivers. Seen where a version was raised in some places only.",
};

fn check(package: &Package<'_>) -> Vec<Diagnostic> {
    let packaged = &package.packaged;
    let mut findings: Vec<_> = packaged.drivers.iter().filter_map(folder).collect();
    // another package may bring what the scripts name, or they make it themselves
    if packaged.drivers.is_empty() || packaged.scripts_make_sources() {
        return findings;
    }
    for script in &packaged.scripts {
        let found = if script.removes() && script.kind.is_some() {
            removal(packaged, script)
        } else if script.installs() {
            script.calls().iter().find_map(|call| registration(packaged, script, call))
        } else {
            None
        };
        findings.extend(found);
    }
    findings
}

/// A folder that is not called as its dkms.conf says.
fn folder(driver: &PackagedDriver<'_>) -> Option<Diagnostic> {
    let (name, version) = driver.identity.as_ref()?;
    let wanted = format!("{name}-{version}");
    if driver.folder_name() == wanted {
        return None;
    }
    let said = super::shell::shown(&wanted);
    let message = format!("the package has `{}`, and its dkms.conf says `{said}`", driver.shown(""));
    let directive = if driver.folder_name().starts_with(&format!("{name}-")) {
        "PACKAGE_VERSION"
    } else {
        "PACKAGE_NAME"
    };
    let finding = Diagnostic::warning(&CODE, message)
        .hint(format!("correct {directive}, or install the source to `/usr/src/{said}`"));
    Some(driver.conf.mark(finding, directive))
}

/// A command that registers what the package does not have.
fn registration(packaged: &Packaged<'_>, script: &PackagedScript, call: &Call<'_>) -> Option<Diagnostic> {
    if !call.action.registers() || call.is_elsewhere {
        return None;
    }
    let (needs, what) = match (&call.path, &call.name, &call.version) {
        (Some(path), ..) => (path.clone(), "file or folder"),
        (None, Some(name), Some(version)) => (format!("/usr/src/{name}-{version}"), "folder"),
        _ => return None,
    };
    // a folder given by its path is copied to where its dkms.conf says
    let is_copied = |driver: &PackagedDriver<'_>| {
        let identity = driver.identity.as_ref().map(|(name, version)| format!("/usr/src/{name}-{version}"));
        identity.is_none_or(|folder| folder == needs)
            && packaged.scripts.iter().any(|script| script.calls().iter().any(|call| call.path.is_some()))
    };
    let is_elsewhere = call.path.is_some() && !needs.starts_with("/usr/src/");
    if is_elsewhere || packaged.exists(&needs) || packaged.drivers.iter().any(is_copied) {
        return None;
    }
    // what has another name, beside a driver that is registered itself, may be another package's
    let is_ours = |driver: &PackagedDriver<'_>| {
        let name = call.name.as_deref().unwrap_or_default();
        let own = driver.identity.as_ref().is_some_and(|(own, _)| own == name);
        call.path.is_some() || own || driver.folder_name().starts_with(&format!("{name}-"))
    };
    let is_registered = |driver: &PackagedDriver<'_>| {
        packaged
            .scripts
            .iter()
            .any(|script| script.calls().iter().any(|call| names(call, driver) && call.action.registers()))
    };
    let driver = packaged.drivers.iter().find(|driver| is_ours(driver));
    let driver = driver.or_else(|| packaged.drivers.iter().find(|driver| !is_registered(driver)))?;
    let message = format!(
        "`{}` needs the {what} `{needs}`, and the package has `{}`",
        script.shown(call),
        driver.shown("")
    );
    let finding = Diagnostic::error(&CODE, message).at(script.place(call)).hint(format!(
        "say the same name and version in {}, in dkms.conf and in the name of the folder",
        script.name
    ));
    Some(with_conf(finding, driver))
}

/// Whether a call names a driver by its folder.
fn names(call: &Call<'_>, driver: &PackagedDriver<'_>) -> bool {
    let by_name = call.name.as_ref().zip(call.version.as_ref());
    by_name.is_some_and(|(name, version)| driver.folder_name() == format!("{name}-{version}"))
        || call.path.as_deref().is_some_and(|path| path.trim_end_matches('/').starts_with(&driver.folder))
}

/// A script that removes another version, and never the one of the package.
fn removal(packaged: &Packaged<'_>, script: &PackagedScript) -> Option<Diagnostic> {
    let calls = script.calls();
    let removals: Vec<_> =
        calls.iter().filter(|call| matches!(call.action, Action::Remove | Action::Unknown)).collect();
    let is_known =
        |call: &&&Call<'_>| call.name.is_some() && call.version.is_some() && call.action != Action::Unknown;
    if removals.iter().filter(is_known).count() != removals.len() {
        return None;
    }
    let is_same = |call: &Call<'_>, driver: &PackagedDriver<'_>| {
        let (name, version) =
            (call.name.as_deref().unwrap_or_default(), call.version.as_deref().unwrap_or_default());
        names(call, driver)
            || driver.identity.as_ref().is_some_and(|(own, of_own)| own == name && of_own == version)
            || driver.identity.is_none() && driver.folder_name().starts_with(&format!("{name}-"))
    };
    // the removals of other scripts count as well
    let is_removed_elsewhere = |driver: &PackagedDriver<'_>| {
        let others = packaged.scripts.iter().filter(|other| other.removes() && !std::ptr::eq(*other, script));
        let mut others = others.flat_map(PackagedScript::calls);
        others.any(|call| {
            matches!(call.action, Action::Remove | Action::Unknown)
                && (call.version.is_none() || is_same(&call, driver))
        })
    };
    let driver = packaged
        .drivers
        .iter()
        .find(|driver| !removals.iter().any(|call| is_same(call, driver)) && !is_removed_elsewhere(driver))?;
    let call = removals.iter().find(|call| {
        let name = call.name.as_deref().unwrap_or_default();
        driver.folder_name().starts_with(&format!("{name}-"))
            || driver.identity.as_ref().is_some_and(|(own, _)| own == name)
    })?;
    let message =
        format!("`{}` is another version than the package has: `{}`", script.shown(call), driver.shown(""));
    let finding = Diagnostic::warning(&CODE, message).at(script.place(call)).hint(format!(
        "remove the version that is registered: `{}`",
        super::shell::shown(driver.folder_name())
    ));
    Some(with_conf(finding, driver))
}

/// A finding with the place of the version in dkms.conf.
fn with_conf(finding: Diagnostic, driver: &PackagedDriver<'_>) -> Diagnostic {
    match (driver.conf.place_of("PACKAGE_VERSION"), &driver.identity) {
        (Some(place), Some((name, version))) => {
            let (line, _) = place.line_column();
            let own = super::shell::shown(&format!("{name}-{version}"));
            finding.with_note(format!("line {line} of `{}` makes it `{own}`", driver.shown("dkms.conf")))
        }
        _ => finding,
    }
}
