//! A build that fetches something.

use super::build_text::{Findings, Piece, program};
use super::shell::Command;
use super::{Tree, TreeRule};
use crate::base::diagnostic::{Code, Diagnostic, Severity};
use crate::driver::kbuild::{join, place};

pub(super) static RULE: TreeRule = TreeRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0854",
    title: "the build fetches something",
    explanation: "dkms builds while a package manager runs: on a machine that may have no network, behind a proxy that the\n\
                  build does not know, or with the package manager's lock held, so that a second one waits for it or\n\
                  fails. What is fetched is not what was released and signed either. Put the files into the source, and\n\
                  what has to be installed into `[relations]` of kpkg.toml.",
};

const HINT: &str =
    "put what is fetched into the source; name packages under `[relations]` in kpkg.toml (`requires`)";

fn check(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let mut findings = Findings::new(&CODE);
    for piece in tree.pieces() {
        for command in piece.commands.iter().filter(|command| fetches(command)) {
            if !is_left_out(tree, piece, command) {
                let message = format!(
                    "{} fetches something in the build: `{}`",
                    piece.from.shown(),
                    piece.shown(command)
                );
                findings.add(Severity::Warning, message, || piece.place(tree, command), HINT);
            }
        }
    }
    findings.finish()
}

fn fetches(command: &Command) -> bool {
    let Some((name, arguments)) = program(command) else { return false };
    let mut plain = arguments.iter().filter(|argument| !argument.starts_with('-'));
    let has = |words: &[&str]| arguments.iter().any(|argument| words.contains(argument));
    match name {
        "wget" | "curl" => plain.next().is_some(),
        "git" => match plain.next() {
            Some(&("clone" | "fetch" | "pull" | "ls-remote")) => true,
            Some(&"submodule") => has(&["update", "add"]),
            _ => false,
        },
        "pip" | "pip2" | "pip3" => plain.next() == Some(&"install"),
        "python" | "python3" => has(&["pip"]) && has(&["install"]),
        "apt" | "apt-get" | "aptitude" | "dnf" | "microdnf" | "yum" | "zypper" => {
            has(&["install", "in", "update", "upgrade", "source", "build-dep", "builddep", "groupinstall"])
        }
        _ => false,
    }
}

/// Whether it hangs on a repository, which a package has not, or on a file that the source has.
fn is_left_out(tree: &Tree<'_>, piece: &Piece, command: &Command) -> bool {
    let from = piece.line(command);
    let before = &from[..from.find(piece.shown(command).as_str()).unwrap_or(0)];
    let guard = ["||", "&&"].iter().filter_map(|sign| before.rsplit_once(sign)).map(|(test, _)| test);
    let tests: Vec<&str> = piece.conditions(command).chain(guard).collect();
    let words = |text: &str| -> Vec<String> {
        text.split(|next: char| next.is_whitespace() || "\"';[]()&|!".contains(next))
            .map(str::to_owned)
            .collect()
    };
    tests.iter().filter(|text| text.contains("test ") || text.contains('[')).any(|text| {
        words(text).iter().any(|word| {
            let inside = word.replace("@BUILD@/", "");
            word.rsplit('/').next() == Some(".git")
                || !inside.is_empty()
                    && !inside.starts_with(['-', '/', '$'])
                    && tree.driver.text(&place(&join("", &inside))).is_some()
        })
    })
}
