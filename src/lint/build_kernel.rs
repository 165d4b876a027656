//! Makefiles and scripts of a build that take the kernel from the machine, or from themselves.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use super::build_text::{Findings, From, Piece, program, shown_by};
use super::shell::Command;
use super::{Tree, TreeRule, running_kernel};
use crate::base::diagnostic::{Code, Diagnostic, Severity};
use crate::dkms::HookKind;
use crate::driver::kbuild::{Does, Flow, Use};

pub(super) static RUNNING: TreeRule = TreeRule { code: &RUNNING_CODE, check: running };
pub(super) static FIXED: TreeRule = TreeRule { code: &FIXED_CODE, check: fixed };

static RUNNING_CODE: Code = Code {
    id: "K0855",
    title: "the build asks for the running kernel",
    explanation: "dkms builds for kernels that do not run: after an upgrade, in a chroot, in an image. A Makefile or\n\
                  script that asks `uname -r` then gets another kernel, mostly one without headers: it stops, or takes\n\
                  flags for the wrong kernel. Only values count that reach `$(error …)`, an include, flags or a path.\n\
                  Pass the variable in MAKE (`KVER=${kernelver}`), or use `$(KERNELRELEASE)`, which kbuild sets.",
};
static FIXED_CODE: Code = Code {
    id: "K0856",
    title: "the build names one kernel or version",
    explanation: "dkms builds for each kernel of a machine, in /var/lib/dkms/NAME/VERSION/build. A path of one kernel\n\
                  (`/lib/modules/5.4.0-42-generic/build`) or of another version (`/usr/src/NAME-1.0`) in a Makefile or a\n\
                  script is that of the machine on which it was written. Only what the build uses counts, and MAKE does\n\
                  not set otherwise. Use `$(KERNELRELEASE)` and paths relative to the Makefile.",
};

/// The path of a kernel, and its release.
static PATH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"/(?:lib/modules/|usr/src/(?:linux-headers-|kernels/|linux-))(\d+\.\d+[^\s/"'`$(){};:,\x{E010}]*)"#,
    )
    .ok()
});
/// A release as distributions have them: what stands alone, such as `5.4.0`, may be the lowest that is supported.
static RELEASE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^\d+\.\d+\.\d+[\w.+~]*-[\w.+~-]+$").ok());

fn is_match(regex: &LazyLock<Option<Regex>>, text: &str) -> bool {
    regex.as_ref().is_some_and(|regex| regex.is_match(text))
}

// ---- the kernel that runs -----------------------------------------------------------------------------------------------------

fn running(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let mut findings = Findings::new(&RUNNING_CODE);
    // the rule about the driver's own Makefile says it of what that one reads
    let is_told = !(running_kernel::RULE.check)(tree).is_empty();
    for asks in tree.layout.asks_running().iter().filter(|asks| asks.is_kbuild || !is_told) {
        let statement = asks.statement;
        let Some(why) = decides(&asks.uses, asks.is_kbuild) else { continue };
        let name = statement.sets().filter(|name| is_name(name));
        let says = match name {
            Some(name) => format!("`{name}` of `{}` is the kernel that runs", statement.path),
            None => format!("`{}` asks for the kernel that runs", statement.path),
        };
        let folder = statement.text.contains("/lib/modules/");
        let value = if folder { "${kernel_source_dir}" } else { "${kernelver}" };
        let hint = match name {
            Some(name) if !tree.facts.make.is_empty() => {
                format!("add `{name}={value}` to the command in MAKE")
            }
            _ => "use `$(KERNELRELEASE)`, which kbuild sets, in the place of `uname -r`".to_owned(),
        };
        let place = || tree.place(&statement.path, statement.line);
        findings.add(Severity::Warning, format!("{says}, and {why}"), place, &hint);
    }
    for piece in tree.pieces() {
        let From::Script { path, run } = &piece.from else { continue };
        // the rule about hooks says it of these
        if HookKind::ALL.iter().any(|kind| kind.directive() == run.by) {
            continue;
        }
        for command in piece.commands.iter().filter(|command| asks_release(command)) {
            // who is given arguments, and reads them, is told
            let is_told = run.has_arguments
                && ["$1", "$@", "$#", "$*", "${1"].iter().any(|word| piece.text.contains(word));
            if picks(piece, command) && !is_told && !is_default(tree, piece, command) {
                let message = format!(
                    "`{path}`, which {} runs, takes the kernel that runs for the one to build for",
                    shown_by(&run.by)
                );
                let hint =
                    "pass the kernel to the script: `${kernelver}` in MAKE, `$(KERNELRELEASE)` in a Makefile";
                findings.add(Severity::Warning, message, || piece.place(tree, command), hint);
            }
        }
    }
    findings.finish()
}

/// What a value decides that has to be right for the kernel, in words.
fn decides(uses: &BTreeSet<Use>, is_kbuild: bool) -> Option<&'static str> {
    if uses.contains(&Use::Error) {
        return Some("the build stops where that one lacks something");
    }
    if uses.contains(&Use::Include) {
        return Some("decides which files are included");
    }
    // what the driver's own Makefile sets for kbuild, kbuild reads once more
    (is_kbuild && uses.contains(&Use::Flags)).then_some("decides what is given to the compiler")
}

fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn asks_release(command: &Command) -> bool {
    matches!(program(command), Some(("uname", arguments)) if arguments.iter().any(|word| {
        *word == "--kernel-release" || word.starts_with('-') && !word.starts_with("--") && word.contains('r')
    }))
}

/// Whether what a script gets of `uname -r` is the path of a kernel, or compared with one.
fn picks(piece: &Piece, command: &Command) -> bool {
    const STARTS: [&str; 6] = ["/lib/modules/", "/usr/src/", "/boot/", "headers-", "devel-", "KVER="];
    let line = piece.line(command);
    let is_said = |line: &str| {
        let word = line.trim_start();
        word.starts_with("echo") || word.starts_with("printf") || word.starts_with('#')
    };
    if is_said(line) {
        return false;
    }
    if STARTS.iter().any(|start| line.split(start).skip(1).any(|rest| rest.starts_with(['$', '`', '"']))) {
        return true;
    }
    let Some((before, _)) = line.split_once('=') else { return false };
    let name = before.trim().rsplit(char::is_whitespace).next().unwrap_or_default();
    if !is_name(name) || name.is_empty() {
        return false;
    }
    let marks = [format!("${name}"), format!("${{{name}")];
    piece.text.lines().filter(|line| !is_said(line)).any(|line| {
        marks.iter().any(|mark| {
            line.match_indices(mark.as_str()).any(|(at, _)| {
                let before = line[..at].trim_end_matches(['"', '\'']);
                let compares = ["case ", "[ ", "test ", "cut ", "awk", "expr "];
                STARTS.iter().any(|start| before.ends_with(start))
                    || compares.iter().any(|word| line.contains(word))
                    || line[at + mark.len()..].starts_with(['%', '#'])
            })
        })
    })
}

/// Whether it is the default for a variable that MAKE or kbuild sets: `${KVER:-$(uname -r)}`.
fn is_default(tree: &Tree<'_>, piece: &Piece, command: &Command) -> bool {
    let line = piece.line(command);
    let Some((_, rest)) = line.split_once("${") else { return false };
    let Some((name, _)) = rest.split_once(":-").or_else(|| rest.split_once('-')) else { return false };
    let mut make = tree.facts.make.iter().filter_map(|rule| rule.command.known());
    name == "KERNELRELEASE" || make.any(|make| make.contains(&format!("{name}=")))
}

// ---- one kernel ---------------------------------------------------------------------------------------------------------------

fn fixed(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let mut findings = Findings::new(&FIXED_CODE);
    for text in &tree.layout.texts {
        let flow = Flow::new(&text.statements);
        for (at, statement) in text.statements.iter().enumerate().filter(|(_, statement)| statement.is_read) {
            let by_name = statement.sets().filter(|name| is_kernel(name)).and_then(|_| {
                let text = statement.text.trim();
                is_match(&RELEASE, text).then(|| names_one("kernel", text))
            });
            let Some(named) = by_name.or_else(|| one(tree, &statement.text)) else { continue };
            let is_idle = statement.does == Does::Runs && is_idle(&statement.text);
            if is_idle || flow.uses(at).is_empty() {
                continue;
            }
            let message = format!("`{}` {named}, whatever dkms builds", statement.path);
            let hint = match statement.sets().filter(|_| !tree.facts.make.is_empty()) {
                Some(name) if is_name(name) && statement.text.contains("/lib/modules/") => {
                    format!("add `{name}=${{kernel_source_dir}}` to the command in MAKE")
                }
                Some(name) if is_match(&RELEASE, statement.text.trim()) => {
                    format!("add `{name}=${{kernelver}}` to the command in MAKE")
                }
                _ => FIXED_HINT.to_owned(),
            };
            findings.add(Severity::Warning, message, || tree.place(&statement.path, statement.line), &hint);
        }
    }
    for piece in tree.pieces() {
        let From::Script { .. } = &piece.from else { continue };
        for command in &piece.commands {
            let text = piece.text.get(command.span.clone()).unwrap_or_default();
            if let Some(named) = one(tree, text).filter(|_| !is_idle(text)) {
                let message = format!("{} {named}, whatever dkms builds", piece.from.shown());
                findings.add(Severity::Warning, message, || piece.place(tree, command), FIXED_HINT);
            }
        }
    }
    findings.finish()
}

const FIXED_HINT: &str = "use `/lib/modules/$(KERNELRELEASE)/build` for the kernel, and paths relative to the Makefile for the driver";

fn names_one(what: &str, name: &str) -> String {
    format!("builds for the {what} `{name}`")
}

/// Whether a variable is called like one that holds the release of a kernel.
fn is_kernel(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["KVER", "KERNEL", "UNAME", "KREL"].iter().any(|word| name.contains(word)) && !name.contains("MIN")
}

/// A command that builds nothing.
fn is_idle(text: &str) -> bool {
    let first = text.trim_start_matches(['@', '-', '+', ' ', '\t']).split_whitespace().next();
    matches!(first, Some("echo" | "printf" | "rm" | "depmod" | "rmdir"))
}

/// The path of one kernel, or of another version of the driver, in words.
fn one(tree: &Tree<'_>, text: &str) -> Option<String> {
    let path = PATH.as_ref().and_then(|regex| regex.captures(text)).and_then(|found| found.get(1));
    if let Some(release) = path {
        return Some(names_one("kernel", release.as_str()));
    }
    let (name, version) = (&tree.driver.name, &tree.driver.version);
    [format!("/usr/src/{name}-"), format!("/var/lib/dkms/{name}/")].iter().find_map(|start| {
        let rest = text.split_once(start.as_str())?.1;
        let other = rest.split(|next: char| next.is_whitespace() || "/\"'$();:,".contains(next)).next()?;
        (other.starts_with(|first: char| first.is_ascii_digit()) && other != version)
            .then(|| format!("goes to the folder of the version `{other}` ({version} is packaged)"))
    })
}
