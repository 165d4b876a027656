//! Source that is not in the package: nothing to compile, no Makefile, a patch or a script that dkms.conf names.

use super::packaged::PackagedDriver;
use super::{Package, PackageRule};
use crate::base::diagnostic::{Code, Diagnostic};
use crate::dkms::{self, Fact, ReadTree};
use crate::driver::kbuild;

pub(super) static RULE: PackageRule = PackageRule { code: &CODE, check };
pub(super) static HOOKS: PackageRule = PackageRule { code: &HOOKS_CODE, check: check_hooks };

static CODE: Code = Code {
    id: "K0834",
    title: "the source of the driver is not in the package",
    explanation: "dkms compiles what lies in /usr/src/NAME-VERSION. A folder that MAKE enters, a Makefile, a patch or every\n\
                  source file is missing from it, so that the build fails on every machine, for every kernel. Seen where\n\
                  dkms.conf was packaged from another folder than the sources, or the sources were never copied.",
};

static HOOKS_CODE: Code = Code {
    id: "K0835",
    title: "a script of the packaged dkms.conf will not run",
    explanation: "dkms runs PRE_BUILD, POST_INSTALL and their like only when the file exists and is executable; otherwise it\n\
                  prints a warning and goes on with success, so that the step is silently missing on every machine.",
};

fn check(package: &Package<'_>) -> Vec<Diagnostic> {
    if package.packaged.scripts_make_sources() {
        return Vec::new();
    }
    let drivers = &package.packaged.drivers;
    if drivers.is_empty() {
        return absent(package).into_iter().collect();
    }
    drivers.iter().flat_map(|driver| missing(driver, drivers)).collect()
}

/// Beginnings of the names of packages that bring no driver's source.
const TOOLS: &[&str] = &[
    "dkms",
    "linux-headers",
    "kernel-devel",
    "kernel-headers",
    "make",
    "gcc",
    "build-essential",
    "bash",
    "sh",
    "/",
    "rpmlib(",
    "config(",
    "libc6",
    "debconf",
    "dpkg",
    "perl",
    "python3",
    "kmod",
    "module-init-tools",
    "patch",
    "elfutils",
    "libelf",
];

/// Scripts that register a driver whose source neither this package nor one that it needs can bring.
fn absent(package: &Package<'_>) -> Option<Diagnostic> {
    let found = package.found;
    let others = found.requires.iter().any(|need| !TOOLS.iter().any(|tool| need.starts_with(tool)));
    let has_source = found.files.iter().any(|file| file.path.starts_with("/usr/src/"));
    if others || has_source || !matches!(found.format, "deb" | "rpm") {
        return None;
    }
    package.packaged.scripts.iter().filter(|script| script.installs()).find_map(|script| {
        let calls = script.calls();
        let call =
            calls.iter().find(|call| call.action.registers() && !call.is_elsewhere && call.path.is_none())?;
        let (name, version) = call.name.as_ref().zip(call.version.as_ref())?;
        let wanted = super::shell::shown(&format!("/usr/src/{name}-{version}"));
        let message = format!("`{}` needs `{wanted}`, which is not in the package", script.shown(call));
        let hint = "package the sources, the Makefile and dkms.conf in that folder";
        Some(Diagnostic::error(&CODE, message).at(script.place(call)).hint(hint))
    })
}

/// Endings of what a compiler, an assembler or a linker takes, and of prebuilt objects.
const SOURCES: &[&str] = &["c", "S", "s", "rs", "cpp", "cc", "o", "o_shipped", "a", "ko", "o_binary"];
/// Endings of what sources may be unpacked or made from.
const ARCHIVES: &[&str] =
    &["tar", "gz", "tgz", "xz", "txz", "bz2", "zst", "zip", "7z", "lz", "cpio", "in", "m4"];

fn ending(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, ending)| ending)
}

fn missing(driver: &PackagedDriver<'_>, all: &[PackagedDriver<'_>]) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for patch in driver.facts.patches.iter().filter_map(|patch| patch.file.known()) {
        let path = format!("patches/{patch}");
        if dkms::tree_path(&path).is_some_and(|path| !driver.tree.exists(&path))
            && !driver.tree.has_outside_links()
        {
            let finding = Diagnostic::error(
                &CODE,
                format!("the patch `{}` is not in the package", driver.shown(&path)),
            );
            findings.push(
                driver.conf.mark(finding.hint("package the file, or drop the entry from PATCH"), "PATCH"),
            );
        }
    }
    // a script may bring the rest
    if driver
        .facts
        .hooks
        .iter()
        .any(|hook| hook.kind == dkms::HookKind::PreBuild || hook.kind == dkms::HookKind::PostAdd)
        || driver.tree.has_outside_links()
    {
        return findings;
    }
    let has = |endings: &[&str]| {
        driver.tree.entries().any(|(path, file)| !file.is_folder() && endings.contains(&ending(path)))
    };
    // drivers beside it may share their sources, and a program that MAKE starts may fetch them
    let is_alone = driver.tree.entries().filter(|(_, file)| !file.is_folder()).count() == 1;
    let is_plain = all.len() == 1 && (is_alone || start(driver).is_some());
    if is_plain && !has(SOURCES) && !has(ARCHIVES) {
        let message = format!("`{}` holds a dkms.conf and nothing that can be compiled", driver.shown(""));
        findings.push(
            Diagnostic::error(&CODE, message).hint("package the sources and Makefiles beside dkms.conf"),
        );
        return findings;
    }
    findings.extend(makefile(driver));
    findings
}

/// How a command of MAKE begins: the folder that make enters, below the build folder, and whether it is the kernel's build.
struct Enters {
    folder: String,
    is_kernel: bool,
}

/// Reads a command that only enters folders and calls make; nothing for everything else.
fn enters(driver: &PackagedDriver<'_>, command: &str) -> Option<Enters> {
    let (name, version) = driver.identity.as_ref()?;
    let build = format!("/var/lib/dkms/{name}/{version}/build");
    let mut folder = String::new();
    let mut module = None;
    let mut is_make = false;
    let inside = |text: &str, folder: &str| match text.strip_prefix(&build) {
        Some(inside) => dkms::tree_path(inside),
        None if text.starts_with('/') => None,
        None => dkms::tree_path(&format!("{folder}/{text}")),
    };
    if command.contains(['$', '`', '|', '<', '>', '(', '*', '\\', '{', '\n']) {
        return None;
    }
    let mut words = command.split_whitespace().map(|word| word.trim_matches(['\'', '"']));
    let mut in_kernel = false;
    while let Some(word) = words.next() {
        match word {
            "&&" | ";" => {}
            "cd" if !is_make => folder = inside(words.next()?.trim_end_matches(';'), &folder)?,
            "make" if !is_make => is_make = true,
            _ if !is_make => return None,
            "-C" | "--directory" => {
                let target = words.next()?;
                match inside(target, &folder) {
                    Some(target) => folder = target,
                    None if target.contains("/lib/modules/") || target.contains("/usr/src/") => {
                        in_kernel = true;
                    }
                    None => return None,
                }
            }
            "-f" | "--file" | "--makefile" | "-I" => return None,
            word if word.starts_with("-C") || word.starts_with("-f") || word.starts_with("--file") => {
                return None;
            }
            word => {
                if let Some(place) = word
                    .strip_prefix("M=")
                    .or_else(|| word.strip_prefix("SUBDIRS="))
                    .or_else(|| word.strip_prefix("KBUILD_EXTMOD="))
                {
                    module = Some(inside(place, &folder)?);
                }
            }
        }
    }
    match (is_make, in_kernel, module) {
        (true, true, Some(folder)) => Some(Enters { folder, is_kernel: true }),
        (true, false, _) => Some(Enters { folder, is_kernel: false }),
        _ => None,
    }
}

/// Where the build begins; nothing where that is not known.
fn start(driver: &PackagedDriver<'_>) -> Option<Enters> {
    let command = driver.facts.make.iter().find(|rule| rule.index == 0).map(|rule| &rule.command);
    match command {
        Some(Fact::Known(command)) => enters(driver, command),
        Some(Fact::Unknown) => None,
        // dkms's own: `make -C $kernel_source_dir M=$dkms_tree/$module/$module_version/build`
        Some(Fact::Absent) | None => Some(Enters { folder: String::new(), is_kernel: true }),
    }
}

fn makefile(driver: &PackagedDriver<'_>) -> Option<Diagnostic> {
    let entered = start(driver)?;
    let full = driver.shown(&entered.folder);
    let at = |name: &str| {
        if entered.folder.is_empty() { name.to_owned() } else { format!("{}/{name}", entered.folder) }
    };
    if !driver.tree.is_dir(&entered.folder) {
        let message = format!("MAKE works in `{full}`, which is not in the package");
        let finding = Diagnostic::error(&CODE, message).hint("package that folder, or correct MAKE");
        return Some(driver.conf.mark(finding, "MAKE"));
    }
    let names: &[&str] =
        if entered.is_kernel { &["Kbuild", "Makefile"] } else { &["GNUmakefile", "makefile", "Makefile"] };
    if !names.iter().any(|name| driver.tree.exists(&at(name))) {
        let message = format!("`{full}` has no {}, and that is where the build begins", names.join(" or "));
        let finding = Diagnostic::error(&CODE, message).hint("package the Makefile, or correct MAKE");
        return Some(driver.conf.mark(finding, "MAKE"));
    }
    if entered.is_kernel { elsewhere(driver, &entered.folder) } else { None }
}

/// A module that the kernel's build, called by dkms itself, leaves in another folder than dkms looks in.
fn elsewhere(driver: &PackagedDriver<'_>, top: &str) -> Option<Diagnostic> {
    let made = driver.tree.certain(|tree| kbuild::read(tree, &[top.to_owned()]))?;
    let made: Vec<_> = made.into_iter().flat_map(|kbuild| kbuild.modules).collect();
    for module in &driver.facts.modules {
        let (Some(name), Fact::Absent | Fact::Known(_)) = (module.name.known(), &module.location) else {
            continue;
        };
        let location = module.location.known().map_or("", String::as_str);
        let location = dkms::tree_path(location.trim_matches('/'))?;
        let same: Vec<_> = made.iter().filter(|made| made.name == *name).collect();
        let Some(first) = same.first().filter(|_| same.iter().all(|made| made.folder != location)) else {
            continue;
        };
        let message = format!(
            "dkms looks for `{name}.ko` in `{}`, and `{}` makes it in `{}`",
            if location.is_empty() { "." } else { &location },
            first.from,
            if first.folder.is_empty() { "." } else { &first.folder },
        );
        let hint = format!("set BUILT_MODULE_LOCATION[{}]=\"{}\"", module.index, first.folder);
        let directive =
            if module.location.is_present() { "BUILT_MODULE_LOCATION" } else { "BUILT_MODULE_NAME" };
        return Some(driver.conf.mark(Diagnostic::error(&CODE, message).hint(hint), directive));
    }
    None
}

fn check_hooks(package: &Package<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    let makes = package.packaged.scripts_make_sources();
    for driver in package.packaged.drivers.iter().filter(|_| !makes) {
        let is_added = driver.facts.hooks.iter().any(|hook| hook.kind == dkms::HookKind::PostAdd);
        for hook in &driver.facts.hooks {
            let Some(path) = hook.script.known().and_then(|script| dkms::tree_path(script)) else { continue };
            let full = driver.shown(&path);
            let directive = hook.kind.directive();
            let finding = if !driver.tree.exists(&path) {
                // the script that runs after `dkms add`, or a link that leads out, may bring it
                if is_added && hook.kind != dkms::HookKind::PostAdd || driver.tree.has_outside_links() {
                    continue;
                }
                let message = format!("{directive} names `{full}`, which is not in the package");
                Diagnostic::warning(&HOOKS_CODE, message).hint("package the file, or drop the directive")
            } else if !driver.tree.is_executable(&path) {
                let message = format!("{directive} names `{full}`, which is not executable");
                Diagnostic::warning(&HOOKS_CODE, message).hint("package it with mode 0755")
            } else {
                continue;
            };
            findings.push(driver.conf.mark(finding, directive));
        }
    }
    findings
}
