//! How compiling goes: in one line on a terminal, else in a line for each kernel.

use std::sync::Mutex;

use super::session::Session;
use crate::build::Progress;

/// Tells how compiling goes.
pub(super) struct CompileProgress<'a> {
    session: &'a Session,
    word: &'static str,
    is_quiet: bool,
    running: Mutex<Vec<String>>,
}

impl<'a> CompileProgress<'a> {
    pub(super) fn new(session: &'a Session, word: &'static str, is_quiet: bool) -> Self {
        Self { session, word, is_quiet: is_quiet || session.json, running: Mutex::new(Vec::new()) }
    }

    pub(super) fn tell(&self, event: Progress<'_>) {
        if self.is_quiet {
            return;
        }
        let Ok(mut running) = self.running.lock() else { return };
        running.retain(|kernel| kernel != event.kernel);
        if !event.is_done {
            running.push(event.kernel.to_owned());
        }
        if self.session.is_terminal() {
            let (done, total) = (event.done, event.total);
            self.session.say_over(&format!(
                " {:>9} {} {done}/{total} {} ",
                self.word,
                event.driver,
                running.join(", ")
            ));
        } else if !event.is_done {
            self.session.say(&format!(" {:>9} {} for {}\n", self.word, event.driver, event.kernel));
        }
    }

    pub(super) fn end(&self) {
        if self.session.is_terminal() && !self.is_quiet {
            self.session.say_over("");
        }
    }
}
