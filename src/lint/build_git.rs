//! A build that asks git, in a package that has no repository.

use super::build_text::{Findings, From, Piece, program};
use super::shell::Command;
use super::{Tree, TreeRule};
use crate::base::diagnostic::{Code, Diagnostic, Severity};
use crate::driver::kbuild::{Does, Flow, Statement, Use};

pub(super) static RULE: TreeRule = TreeRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0853",
    title: "the build asks git",
    explanation: "A package has no `.git`, and a target need not have git. `git describe` then prints nothing and fails:\n\
                  a version is empty, or the build goes another way than in the repository. It is a warning where that\n\
                  value reaches the compiler or a file and nothing takes its place, and else a note. Let a release have\n\
                  its version in a file, and read that where git knows nothing: `git describe 2>/dev/null || cat VERSION`.",
};

/// What git is asked for.
const ASKS: [&str; 8] =
    ["branch", "describe", "diff-index", "log", "rev-list", "rev-parse", "show", "symbolic-ref"];
const HINT: &str =
    "give the value a default for a source without `.git`: `git describe 2>/dev/null || cat VERSION`";

fn check(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let mut findings = Findings::new(&CODE);
    let flows: Vec<Flow<'_>> = tree.layout.texts.iter().map(|text| Flow::new(&text.statements)).collect();
    for piece in tree.pieces() {
        // where a script looks for the repository, it knows what to do without
        let looks = piece.commands.iter().any(looks_for_git);
        for command in piece.commands.iter().filter(|command| asks(command)) {
            let has_default = looks || has_default(piece, command);
            let matters = match &piece.from {
                From::Makefile { path, line } => matters(&flows, path, *line),
                From::Make | From::Script { .. } => true,
            };
            let (severity, end) = match (matters, has_default) {
                (true, false) => (Severity::Warning, "and nothing takes the place of its answer"),
                (_, true) => (Severity::Note, "and the build goes another way than in the repository"),
                (false, false) => (Severity::Note, "and nothing that is known here hangs on it"),
            };
            let message = format!(
                "{} runs `{}`, which finds no repository in a package, {end}",
                piece.from.shown(),
                piece.shown(command)
            );
            findings.add(severity, message, || piece.place(tree, command), HINT);
        }
    }
    for statement in tree.layout.texts.iter().flat_map(|text| &text.statements) {
        let looks = statement.text.split_once("wildcard ").is_some_and(|(_, patterns)| names_git(patterns));
        if looks && statement.is_read {
            let message = format!("`{}` looks for `.git`, and goes another way in a package", statement.path);
            findings.add(Severity::Note, message, || tree.place(&statement.path, statement.line), HINT);
        }
    }
    findings.finish()
}

/// Whether a command asks git for what only a repository knows.
fn asks(command: &Command) -> bool {
    let Some(("git", arguments)) = program(command) else { return false };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument {
            "-C" | "-c" | "--git-dir" | "--work-tree" => drop(arguments.next()),
            option if option.starts_with('-') => {}
            action => return ASKS.contains(&action),
        }
    }
    false
}

fn looks_for_git(command: &Command) -> bool {
    let tests = matches!(program(command), Some(("test" | "[" | "[[", _)));
    tests && command.words.iter().any(|word| word.values.iter().any(|value| names_git(value)))
}

/// Whether a text has a path that ends in `.git`, or leads into it.
fn names_git(text: &str) -> bool {
    text.split(|next: char| next.is_whitespace() || "\"'/(){}=".contains(next)).any(|part| part == ".git")
}

/// Whether something takes the place of the answer.
fn has_default(piece: &Piece, command: &Command) -> bool {
    let mut conditions = piece.conditions(command);
    let line = piece.line(command);
    conditions.any(|text| names_git(text) || text.contains("git"))
        || line.contains("||")
        || names_git(line) && ["test ", "[ "].iter().any(|word| line.contains(word))
}

/// Whether what a line of a Makefile asks for decides something, and nobody looks whether it is empty.
fn matters(flows: &[Flow<'_>], path: &str, line: usize) -> bool {
    flows.iter().any(|flow| {
        let here =
            |statement: &Statement| statement.path == path && statement.line == line && statement.is_read;
        flow.statements.iter().enumerate().filter(|(_, statement)| here(statement)).any(|(at, statement)| {
            let Some(name) = statement.sets() else {
                return statement.does == Does::Runs && writes(&statement.text);
            };
            let mut others = flow.statements.iter().filter(|other| other.is_read && other.names(name));
            let mut writers = others.clone().filter(|other| other.does == Does::Runs);
            let is_tested = others.any(|other| {
                other.does == Does::Tests
                    || ["$(if $", "$(or $", "${if $", "${or $"].iter().any(|word| other.text.contains(word))
            });
            let reaches = flow.uses(at);
            let reaches = reaches.contains(&Use::Flags)
                || reaches.contains(&Use::Recipe) && writers.any(|line| writes(&line.text));
            reaches && !is_tested
        })
    })
}

/// Whether a recipe writes a file, or defines something.
fn writes(text: &str) -> bool {
    text.contains('>') && !text.contains(">&2") || text.contains("-D") || text.contains("sed ")
}
