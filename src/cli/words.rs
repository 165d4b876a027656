//! The words of a command line before clap reads them: what may stand elsewhere is put where clap expects it.
//!
//! Must not know what an argument means.

#![allow(clippy::disallowed_methods, reason = "arguments and environment are read here")]

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::builder::{BoolishValueParser, Resettable};
use clap::{ArgAction, Command, CommandFactory};

use super::Cli;
use crate::base::error::nearest;

/// The program's command and the words of this run. A variable of the environment that is empty is none, and a flag's may be 1, 0, yes, no
/// and the like.
pub(super) fn read() -> (Command, Vec<OsString>) {
    let command = Cli::command();
    let words = arranged(std::env::args_os().collect(), &verbs(&command));
    // a short help fits a screen; the long one and the manual have the variables
    let is_short = words.iter().take_while(|word| *word != "--").any(|word| word == "-h");
    (with_environment(command, &words, is_short), words)
}

fn verbs(command: &Command) -> Vec<String> {
    command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect()
}

/// The same for the verbs that are among the words; the others are not read.
fn with_environment(command: Command, words: &[OsString], is_short: bool) -> Command {
    let names = verbs(&command).into_iter().filter(|name| words.iter().any(|word| word == name.as_str()));
    let names: Vec<String> = names.collect();
    let command = command.mut_args(|argument| {
        let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
        let is_unset = argument.get_env().is_some_and(is_empty);
        let argument = if is_unset { argument.env(Resettable::Reset) } else { argument };
        let argument = argument.hide_env(is_short);
        match argument.get_action() {
            ArgAction::SetTrue => argument.value_parser(BoolishValueParser::new()),
            _ => argument,
        }
    });
    names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |verb| with_environment(verb, words, is_short))
    })
}

/// The words of this run behind a verb as a shell takes them, without some options and their values.
pub(super) fn again(verb: &str, without: &[&str]) -> String {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let mut text = format!("kpkg {verb}");
    let mut is_value = false;
    for word in words.filter(|word| word != verb) {
        let name = word.split('=').next().unwrap_or(&word);
        if std::mem::take(&mut is_value) || without.contains(&name) {
            // flags have none
            is_value = name == word && without.contains(&name) && name != "--json";
            continue;
        }
        let is_plain = !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.,:/=+@".contains(&byte));
        text.push(' ');
        text.push_str(&if is_plain { word } else { crate::dkms::single_quote(&word) });
    }
    text
}

/// The verb that a word is nearly, where it is near.
pub(super) fn nearest_verb(word: &str) -> Option<String> {
    nearest(word, &verbs(&Cli::command())).filter(|_| word.len() > 2)
}

fn is_package(word: &OsStr) -> bool {
    Path::new(word).extension().is_some_and(|end| end == "deb" || end == "rpm")
}

/// How the run speaks, in short and long.
const MANNER: [&str; 5] = ["-q", "--quiet", "-v", "--verbose", "--json"];

/// Puts the verb first where only words about the manner stand before it, and repeats `--kernel-headers` before each package that a
/// shell's pattern gave; but for verbs whose arguments may be packages themselves.
fn arranged(words: Vec<OsString>, verbs: &[String]) -> Vec<OsString> {
    let mut words = words.into_iter();
    let mut arranged: Vec<OsString> = words.next().into_iter().collect();
    let rest: Vec<OsString> = words.collect();
    let mut at = 0;
    while let Some(word) = rest.get(at).and_then(|word| word.to_str()) {
        at += match word {
            "--color" => 2,
            word if MANNER.contains(&word)
                || word.starts_with("--color=")
                || word == "-qv"
                || word == "-vq" =>
            {
                1
            }
            _ => break,
        };
    }
    let is_verb = |word: &OsString| verbs.iter().any(|verb| word == verb.as_str());
    let mut rest = rest;
    if at > 0 && rest.get(at).is_some_and(is_verb) {
        rest[..=at].rotate_right(1);
    }
    let verb = rest.first().filter(|word| is_verb(word)).and_then(|word| word.to_str());
    let has_lists = matches!(verb, None | Some("build"));
    let mut is_list = false;
    let mut rest = rest.into_iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            arranged.push(word);
            arranged.extend(rest);
            break;
        }
        if is_list && is_package(&word) {
            arranged.push("--kernel-headers".into());
        } else {
            is_list = false;
        }
        let begins = word == "--kernel-headers" || word == "--headers";
        arranged.push(word);
        if begins && let Some(first) = rest.next() {
            is_list = has_lists && is_package(&first);
            arranged.push(first);
        }
    }
    arranged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_where_they_are_expected() {
        let verbs = ["show", "check", "build"].map(str::to_owned);
        for (given, expected) in [
            ("kpkg -q show x", "kpkg show -q x"),
            ("kpkg --json --color never check", "kpkg check --json --color never"),
            ("kpkg --color=never -v show", "kpkg show --color=never -v"),
            ("kpkg -q x show", "kpkg -q x show"),
            ("kpkg -f deb show", "kpkg -f deb show"),
            ("kpkg show -q", "kpkg show -q"),
            ("kpkg", "kpkg"),
            (
                "kpkg --kernel-headers a.deb b.deb c.rpm DIR d.deb",
                "kpkg --kernel-headers a.deb --kernel-headers b.deb --kernel-headers c.rpm DIR d.deb",
            ),
            ("kpkg -v build --headers a.deb b.deb", "kpkg build -v --headers a.deb --kernel-headers b.deb"),
            ("kpkg --kernel-headers folder a.deb", "kpkg --kernel-headers folder a.deb"),
            ("kpkg check --kernel-headers a.deb b.deb", "kpkg check --kernel-headers a.deb b.deb"),
            ("kpkg --headers a.deb -k x b.deb", "kpkg --headers a.deb -k x b.deb"),
            ("kpkg --headers a.deb -- b.deb", "kpkg --headers a.deb -- b.deb"),
        ] {
            let words = given.split(' ').map(OsString::from).collect();
            let arranged = arranged(words, &verbs);
            let text: Vec<_> = arranged.iter().map(|word| word.to_str().unwrap()).collect();
            assert_eq!(text.join(" "), expected);
        }
    }
}
