//! Which arguments were given, and where: what does nothing in this run is never passed over in silence.

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command};

use super::arguments::Manner;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::build::IDLE_OPTION;

/// The arguments of a run by their names, with where they come from.
#[derive(Debug, Default)]
pub(super) struct Given(Vec<(String, ValueSource)>);

impl Given {
    /// Those of the innermost verb.
    pub(super) fn of(matches: &ArgMatches) -> Self {
        if let Some((_, inner)) = matches.subcommand() {
            return Self::of(inner);
        }
        let is_on = |id: &str| !matches!(matches.try_get_one::<bool>(id), Ok(Some(false)));
        let ids = matches.ids().map(clap::Id::as_str).filter(|id| is_on(id));
        Self(ids.filter_map(|id| Some((id.to_owned(), matches.value_source(id)?))).collect())
    }

    /// Fails for one of these that stands on the command line; a note for each that the environment has. `why` says what it would take.
    pub(super) fn idle<A: Args>(&self, why: &str, hint: &str) -> Result<Vec<Diagnostic>> {
        self.idle_but::<A>(&[], why, hint)
    }

    /// The same, of those that are not among `kept`, by the names of their fields.
    pub(super) fn idle_but<A: Args>(&self, kept: &[&str], why: &str, hint: &str) -> Result<Vec<Diagnostic>> {
        let command = A::augment_args(Command::new(""));
        let manner = Manner::augment_args(Command::new(""));
        let is_of =
            |command: &Command, id: &str| command.get_arguments().any(|argument| argument.get_id() == id);
        let is_one = |id: &str| is_of(&command, id) && !is_of(&manner, id) && !kept.contains(&id);
        let mut notes = Vec::new();
        for (id, source) in self.0.iter().filter(|(id, _)| is_one(id)) {
            let option = id.replace('_', "-");
            match source {
                ValueSource::CommandLine => {
                    let text = format!("`--{option}` does nothing here: {why}");
                    return Err(Error::usage(text).hint(hint));
                }
                ValueSource::EnvVariable => {
                    let text = format!("KPKG_{} does nothing here: {why}", id.to_uppercase());
                    notes.push(Diagnostic::note(&IDLE_OPTION, text).hint(hint));
                }
                _ => {}
            }
        }
        Ok(notes)
    }
}
