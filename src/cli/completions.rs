//! `kpkg completions`: what a shell completes.

use clap::builder::PossibleValuesParser;
use clap::{Args, Command, CommandFactory};

use super::Cli;
use super::arguments::Manner;
use super::session::{Ended, Session};
use crate::package::Codec;
use crate::plan::profile;
use crate::{build, format};

/// The arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
    /// How the run speaks.
    #[command(flatten)]
    pub(super) manner: Manner,
}

/// The same with the values that a shell can offer, where a run would take more than these.
fn with_values(command: Command) -> Command {
    let formats = format::formats().map(|format| format.name).chain(["all"]);
    let targets = profile::target_names().into_iter().filter_map(|name| profile::target(&name).ok());
    let targets = targets.flat_map(|target| [vec![target.name], target.aliases].concat());
    // clap wants texts that stay; the run ends with them
    let targets = targets.map(|name| &*name.leak());
    let codecs = Codec::ALL.into_iter().map(Codec::name);
    let codes = build::codes().map(|code| code.id);
    let values: Vec<(&str, Vec<&'static str>)> = vec![
        ("format", formats.collect()),
        ("target", targets.collect()),
        ("compression", codecs.collect()),
        ("code", codes.collect()),
    ];
    offering(command, &values)
}

fn offering(command: Command, values: &[(&str, Vec<&'static str>)]) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let command = command.mut_args(|argument| {
        let known = values.iter().find(|(name, _)| argument.get_id() == *name);
        match known {
            Some((_, values)) => argument.value_parser(PossibleValuesParser::new(values.clone())),
            None => argument,
        }
    });
    names
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |verb| offering(verb, values)))
}

pub(super) fn run(args: &CompletionsArgs, session: &Session) -> Ended {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut with_values(Cli::command()), "kpkg", &mut text);
    session.print(&text)?;
    Ok(0)
}
