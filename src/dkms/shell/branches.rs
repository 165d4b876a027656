//! Copies of a shell: branches that are both possible, subshells, command substitutions, and the trap at their end.
//!
//! Must not know what runs in them.

use super::state::{Sink, State, is_unknown, merge, unknown};
use super::{Flow, Shell};

impl Shell<'_> {
    /// Runs two ways on from here, both possible, and goes on with what they have in common.
    pub(super) fn fork(
        &mut self,
        first: impl FnOnce(&mut Self) -> Flow,
        second: impl FnOnce(&mut Self) -> Flow,
    ) -> Flow {
        let weight = self.state.weight();
        if self.step(weight).is_err() || self.pending.len() > 200 {
            return self.limit("too many conditions depend on what is not known");
        }
        let base = self.state.clone();
        let flow_a = first(self);
        let state_a = std::mem::replace(&mut self.state, base);
        let flow_b = second(self);
        if flow_a == Flow::Limit || flow_b == Flow::Limit {
            return Flow::Limit;
        }
        if flow_a == flow_b {
            let state_b = std::mem::replace(&mut self.state, State::new());
            self.state = merge(state_a, state_b);
            return flow_a;
        }
        if flow_b == Flow::Next {
            self.pending.push((flow_a, state_a));
            flow_b
        } else {
            let state_b = std::mem::replace(&mut self.state, state_a);
            self.pending.push((flow_b, state_b));
            flow_a
        }
    }

    /// Merges the states of branches that left early in a way that ends here.
    pub(crate) fn join_pending(&mut self, mark: usize, ends: impl Fn(Flow) -> bool) {
        let mut i = mark;
        while i < self.pending.len() {
            if ends(self.pending[i].0) {
                let (_, state) = self.pending.remove(i);
                let current = std::mem::replace(&mut self.state, State::new());
                self.state = merge(current, state);
            } else {
                i += 1;
            }
        }
    }

    /// Runs something in a copy of the shell; only output, status and findings come back.
    pub(super) fn subshell(&mut self, run: impl FnOnce(&mut Self) -> Flow) -> Flow {
        let weight = self.state.weight();
        if let Err(flow) = self.step(weight) {
            return flow;
        }
        if let Err(flow) = self.enter() {
            return flow;
        }
        // what is printed goes on growing, and is no part of what is restored
        let output = std::mem::take(&mut self.state.output);
        let saved = self.state.clone();
        self.state.output = output;
        self.state.exit_trap = None;
        let loops = self.loops;
        let mark = self.pending.len();
        let flow = run(self);
        self.leave();
        self.loops = loops;
        if flow == Flow::Limit {
            return flow;
        }
        self.join_pending(mark, |_| true);
        let flow = self.run_exit_trap();
        if flow == Flow::Limit {
            return flow;
        }
        let ended = std::mem::replace(&mut self.state, saved);
        self.state.output = ended.output;
        self.state.status = ended.status;
        self.state.input = ended.input;
        Flow::Next
    }

    /// Runs the command of `trap … EXIT`.
    pub(crate) fn run_exit_trap(&mut self) -> Flow {
        let Some(command) = self.state.exit_trap.take() else { return Flow::Next };
        let status = self.state.status;
        let flow = self.run_text(&command);
        // unless the command has a word in it
        if flow != Flow::Exit {
            self.state.status = status;
        }
        flow
    }

    /// `$(command)`: its output without the final newlines.
    pub(super) fn substitute(&mut self, command: &str) -> Result<String, Flow> {
        if is_unknown(command) {
            self.state.status = None;
            self.substituted = true;
            return Ok(unknown());
        }
        let saved = (std::mem::take(&mut self.state.output), self.state.stdout, self.lenient);
        let tolerant = std::mem::replace(&mut self.tolerant, false);
        self.state.stdout = Sink::Capture;
        self.lenient = 0;
        // Bash switches `set -e` off in command substitutions unless in POSIX mode (bash manual, "Command Execution Environment").
        let errexit = std::mem::replace(&mut self.state.options.errexit, false);
        let flow = if let Some(path) =
            command.trim().strip_prefix('<').filter(|rest| !rest.starts_with(['<', '(']))
        {
            let path = path.trim().to_owned();
            self.subshell(|shell| shell.print_file_word(&path))
        } else {
            self.subshell(|shell| shell.run_text(command))
        };
        self.state.options.errexit = errexit;
        let output = std::mem::replace(&mut self.state.output, saved.0);
        self.state.stdout = saved.1;
        self.lenient = saved.2;
        self.tolerant = tolerant;
        self.substituted = true;
        if flow == Flow::Limit {
            return Err(flow);
        }
        self.check_length(&output)?;
        Ok(output.trim_end_matches('\n').replace('\0', ""))
    }
}
