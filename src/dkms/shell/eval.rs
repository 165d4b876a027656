//! Runs syntax trees: lists, conditions, loops, functions, redirections; what cannot be known takes both ways.
//!
//! Must not know what a command does; that is in [`super::builtins`] and [`super::tools`].

use std::rc::Rc;

use brush_parser::{SourceSpan, ast};

use super::expand::Words;
use super::findings::Remark;
use super::state::{Data, Input, Sink, State, Variable, is_unknown, merge, unknown};
use super::syntax::{Ends, Part, Script};
use super::variables::is_nonsense_name;
use super::{Flow, Shell};

impl Shell<'_> {
    /// Runs a text that is not the main file: `eval`, command substitution, a sourced file, a trap.
    pub(crate) fn run_text(&mut self, text: &str) -> Flow {
        if let Err(flow) = self.enter() {
            return flow;
        }
        self.foreign += 1;
        if let Some(assignments) = plain_assignments(text) {
            let flow = self.run_plain(&assignments);
            self.foreign -= 1;
            self.leave();
            return flow;
        }
        let script = self.script(text);
        let flow = self.run_script(&script);
        if script.parts.iter().all(|part| part.program.complete_commands.is_empty()) {
            self.state.status = Some(0);
        }
        if let Some(error) = &script.error
            && flow == Flow::Next
        {
            if error.ends == Ends::Reader {
                self.lose(&format!("`{}`: {}, which", first_line(text), error.message));
            } else {
                let remark = Remark::Syntax(first_line(text), error.message.clone());
                self.remark(remark);
            }
            self.state.status = Some(2);
        }
        self.foreign -= 1;
        self.leave();
        flow
    }

    /// The same as running the text that the assignments were read from.
    fn run_plain(&mut self, assignments: &[(&str, &str)]) -> Flow {
        for (name, value) in assignments {
            self.state.status = Some(0);
            // nothing is known of a new name that could shape or refuse the value
            if !self.state.variables.contains_key(*name) && value.len() <= PLAIN && !is_nonsense_name(name) {
                if let Err(flow) = self.step(1) {
                    return flow;
                }
                let mut variable = Variable::new(Data::Scalar((*value).to_owned()));
                variable.place.clone_from(&self.place);
                self.state.variables.insert((*name).to_owned(), variable);
                continue;
            }
            self.assigning = Some((*name).to_owned());
            let result = self.step(1).and_then(|()| self.assign(name, None, (*value).to_owned(), false));
            self.assigning = None;
            if let Err(flow) = result {
                return flow;
            }
        }
        Flow::Next
    }

    /// Runs the parts of a script in order.
    pub(crate) fn run_script(&mut self, script: &Script) -> Flow {
        for part in &script.parts {
            let flow = self.run_part(part);
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    fn run_part(&mut self, part: &Part) -> Flow {
        for list in &part.program.complete_commands {
            let flow = self.run_list(list, part);
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    fn run_list(&mut self, list: &ast::CompoundList, part: &Part) -> Flow {
        self.run_items(&list.0, Some(part))
    }

    pub(super) fn run_compound(&mut self, list: &ast::CompoundList) -> Flow {
        if let Err(flow) = self.enter() {
            return flow;
        }
        let flow = self.run_items(&list.0, None);
        self.leave();
        flow
    }

    fn run_items(&mut self, items: &[ast::CompoundListItem], part: Option<&Part>) -> Flow {
        for ast::CompoundListItem(list, separator) in items {
            if let Some(part) = part
                && self.foreign == 0
            {
                self.offset = (part.offset, part.lines);
            }
            let flow = if matches!(separator, ast::SeparatorOperator::Async) {
                let saved = self.state.output.clone();
                let flow = self.subshell(|shell| shell.run_and_or(list));
                self.state.output = saved;
                self.state.set("!", unknown());
                self.state.status = Some(0);
                flow
            } else {
                self.run_and_or(list)
            };
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    fn run_and_or(&mut self, list: &ast::AndOrList) -> Flow {
        self.run_and_or_from(Some(&list.first), &list.additional)
    }

    fn run_and_or_from(&mut self, first: Option<&ast::Pipeline>, rest: &[ast::AndOr]) -> Flow {
        if let Some(first) = first {
            let lenient = usize::from(!rest.is_empty());
            self.lenient += lenient;
            let flow = self.run_pipeline(first);
            self.lenient -= lenient;
            if flow != Flow::Next {
                return flow;
            }
        }
        for (i, item) in rest.iter().enumerate() {
            let (and, pipeline) = match item {
                ast::AndOr::And(pipeline) => (true, pipeline),
                ast::AndOr::Or(pipeline) => (false, pipeline),
            };
            let last = i + 1 == rest.len();
            let run = |shell: &mut Self| {
                shell.lenient += usize::from(!last);
                let flow = shell.run_pipeline(pipeline);
                shell.lenient -= usize::from(!last);
                flow
            };
            let flow = match self.state.status {
                Some(status) if (status == 0) == and => run(self),
                Some(_) => Flow::Next,
                None => self.fork(
                    |shell| {
                        shell.state.status = if and { Some(0) } else { None };
                        run(shell)
                    },
                    |shell| {
                        shell.state.status = if and { None } else { Some(0) };
                        Flow::Next
                    },
                ),
            };
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    fn run_pipeline(&mut self, pipeline: &ast::Pipeline) -> Flow {
        let negated = usize::from(pipeline.bang);
        self.lenient += negated;
        let flow = match pipeline.seq.as_slice() {
            [command] => self.run_command(command),
            commands => self.run_stages(commands),
        };
        self.lenient -= negated;
        if flow != Flow::Next {
            return flow;
        }
        match pipeline.seq.as_slice() {
            [ast::Command::Simple(_) | ast::Command::Function(_)] if !pipeline.bang => self.state.pipe = None,
            [ast::Command::Compound(ast::CompoundCommand::Subshell(_), _) | ast::Command::Simple(_)] => {
                self.state.pipe = Some(Rc::from([self.state.status]));
            }
            // others leave what ran in them
            [_] => self.state.pipe = Some(Rc::from([])),
            _ => {}
        }
        if pipeline.bang {
            self.state.status = self.state.status.map(|status| u8::from(status == 0));
        }
        if !pipeline.bang && self.state.options.errexit && self.lenient == 0 && self.state.status != Some(0) {
            return self.end_perhaps();
        }
        Flow::Next
    }

    /// `set -e`: bash ignores it where the whole script stands before `&&` or in a condition, and nowhere else.
    fn end_perhaps(&mut self) -> Flow {
        if self.pending.len() > 200 {
            return self.limit("too many commands may end the file");
        }
        self.remark(Remark::MayEnd { assigning: self.assigning.clone() });
        let state = self.state.clone();
        self.pending.push((Flow::Exit, state));
        Flow::Next
    }

    fn run_stages(&mut self, commands: &[ast::Command]) -> Flow {
        let saved_output = std::mem::take(&mut self.state.output);
        let saved_input = self.state.input.clone();
        let saved_sink = self.state.stdout;
        let mut statuses = Vec::new();
        let mut flow = Flow::Next;
        for (i, command) in commands.iter().enumerate() {
            let last = i + 1 == commands.len();
            self.state.stdout = if last { saved_sink } else { Sink::Capture };
            flow = if last && self.state.options.lastpipe {
                self.run_command(command)
            } else {
                self.subshell(|shell| {
                    shell.state.options.errexit = false;
                    shell.run_command(command)
                })
            };
            if flow != Flow::Next {
                break;
            }
            statuses.push(self.state.status);
            if !last {
                let text = std::mem::take(&mut self.state.output);
                self.state.input = Some(Input { text: Rc::from(text), position: 0 });
            }
        }
        self.state.stdout = saved_sink;
        self.state.input = saved_input;
        let output = std::mem::replace(&mut self.state.output, saved_output);
        self.state.output.push_str(&output);
        self.state.pipe = Some(Rc::from(statuses.as_slice()));
        if self.state.options.pipefail {
            let failed = statuses.iter().rev().find(|status| **status != Some(0));
            if let Some(status) = failed {
                self.state.status = *status;
            }
        }
        flow
    }

    fn run_command(&mut self, command: &ast::Command) -> Flow {
        if let Err(flow) = self.step(1) {
            return flow;
        }
        if let Err(flow) = self.enter() {
            return flow;
        }
        let flow = match command {
            ast::Command::Simple(simple) => self.run_simple(simple),
            ast::Command::Compound(compound, redirects) => {
                self.run_redirected(redirects.as_ref(), |shell| shell.run_compound_command(compound))
            }
            ast::Command::Function(function) => {
                self.state.functions.insert(function.fname.value.clone(), Some(Rc::new(function.clone())));
                self.state.status = Some(0);
                Flow::Next
            }
            ast::Command::ExtendedTest(test, redirects) => {
                self.mark(&test.loc);
                self.run_redirected(redirects.as_ref(), |shell| match shell.extended_test(&test.expr) {
                    Ok(result) => {
                        let refused = std::mem::take(&mut shell.refused);
                        shell.state.status = match &test.expr {
                            ast::ExtendedTestExpr::BinaryTest(..) if refused => Some(2),
                            _ if refused => None,
                            _ => result.map(|yes| u8::from(!yes)),
                        };
                        Flow::Next
                    }
                    Err(flow) => flow,
                })
            }
        };
        self.leave();
        flow
    }

    /// Remembers where the running command of the main file stands.
    fn mark(&mut self, span: &SourceSpan) {
        if self.foreign == 0 && span.end.index > 0 {
            let offset = self.offset.0;
            self.place = Some(offset + span.start.index..offset + span.end.index);
            self.line = self.offset.1 + span.start.line;
        }
    }

    fn run_compound_command(&mut self, command: &ast::CompoundCommand) -> Flow {
        match command {
            ast::CompoundCommand::Arithmetic(command) => {
                self.mark(&command.loc);
                match self.arithmetic_status(&command.expr.value) {
                    Ok(status) => {
                        self.state.status = status;
                        Flow::Next
                    }
                    Err(flow) => flow,
                }
            }
            ast::CompoundCommand::BraceGroup(group) => self.run_compound(&group.list),
            ast::CompoundCommand::Subshell(group) => self.subshell(|shell| shell.run_compound(&group.list)),
            ast::CompoundCommand::IfClause(clause) => self.run_if(clause),
            ast::CompoundCommand::CaseClause(clause) => self.run_case(clause),
            ast::CompoundCommand::ForClause(clause) => self.in_loop(|shell| shell.run_for(clause)),
            ast::CompoundCommand::ArithmeticForClause(clause) => {
                self.in_loop(|shell| shell.run_arithmetic_for(clause))
            }
            ast::CompoundCommand::WhileClause(clause) => self.in_loop(|shell| shell.run_while(clause, true)),
            ast::CompoundCommand::UntilClause(clause) => self.in_loop(|shell| shell.run_while(clause, false)),
            ast::CompoundCommand::Coprocess(command) => {
                self.note_unknown("the result of `coproc`");
                let name = command.name.as_ref().map_or("COPROC", |name| name.value.as_str()).to_owned();
                self.blur(&format!("{name}_PID"));
                self.blur(&name);
                self.state.set("!", unknown());
                self.state.status = None;
                Flow::Next
            }
        }
    }

    fn in_loop(&mut self, run: impl FnOnce(&mut Self) -> Flow) -> Flow {
        self.loops += 1;
        let flow = run(self);
        self.loops -= 1;
        flow
    }

    fn run_condition(&mut self, list: &ast::CompoundList) -> Flow {
        self.lenient += 1;
        let flow = self.run_compound(list);
        self.lenient -= 1;
        flow
    }

    fn run_if(&mut self, clause: &ast::IfClauseCommand) -> Flow {
        let elses = clause.elses.as_deref().unwrap_or(&[]);
        self.run_branches(&clause.condition, &clause.then, elses)
    }

    fn run_branches(
        &mut self,
        condition: &ast::CompoundList,
        then: &ast::CompoundList,
        elses: &[ast::ElseClause],
    ) -> Flow {
        let flow = self.run_condition(condition);
        if flow != Flow::Next {
            return flow;
        }
        match self.state.status {
            Some(0) => self.run_compound(then),
            Some(_) => self.run_elses(elses),
            None => {
                self.remark(Remark::Condition);
                self.fork(|shell| shell.run_compound(then), |shell| shell.run_elses(elses))
            }
        }
    }

    fn run_elses(&mut self, elses: &[ast::ElseClause]) -> Flow {
        let Some((first, rest)) = elses.split_first() else {
            self.state.status = Some(0);
            return Flow::Next;
        };
        match &first.condition {
            None => self.run_compound(&first.body),
            Some(condition) => {
                if let Err(flow) = self.enter() {
                    return flow;
                }
                let flow = self.run_branches(condition, &first.body, rest);
                self.leave();
                flow
            }
        }
    }

    fn run_case(&mut self, clause: &ast::CaseClauseCommand) -> Flow {
        self.mark(&clause.loc);
        let value = match self.expand_string(&clause.value.value) {
            Ok(value) => value,
            Err(flow) => return flow,
        };
        self.state.status = Some(0);
        let ends = |item: &ast::CaseItem| item.patterns.first().is_some_and(|first| first.value == "esac");
        if clause.cases.iter().any(ends) {
            self.lose("a pattern `esac`, where bash ends the `case`,");
        }
        self.run_case_from(&value, &clause.cases)
    }

    fn run_case_from(&mut self, value: &str, cases: &[ast::CaseItem]) -> Flow {
        let mut cases = cases;
        while let Some((item, rest)) = cases.split_first() {
            match self.case_matches(value, item) {
                Err(flow) => return flow,
                Ok(Some(true)) => return self.run_case_item(value, item, rest),
                Ok(Some(false)) => cases = rest,
                Ok(None) => {
                    return self.fork(
                        |shell| shell.run_case_item(value, item, rest),
                        |shell| shell.run_case_from(value, rest),
                    );
                }
            }
        }
        Flow::Next
    }

    fn run_case_item(&mut self, value: &str, item: &ast::CaseItem, rest: &[ast::CaseItem]) -> Flow {
        if let Some(list) = &item.cmd {
            let flow = self.run_compound(list);
            if flow != Flow::Next {
                return flow;
            }
        }
        match item.post_action {
            ast::CaseItemPostAction::ExitCase => Flow::Next,
            ast::CaseItemPostAction::UnconditionallyExecuteNextCaseItem => match rest.split_first() {
                Some((next, rest)) => self.run_case_item(value, next, rest),
                None => Flow::Next,
            },
            ast::CaseItemPostAction::ContinueEvaluatingCases => self.run_case_from(value, rest),
        }
    }

    fn case_matches(&mut self, value: &str, item: &ast::CaseItem) -> Result<Option<bool>, Flow> {
        let mut result = Some(false);
        for pattern in &item.patterns {
            self.step(1)?;
            let pattern = self.expand_pattern(&pattern.value)?;
            if pattern == "*" {
                return Ok(Some(true));
            }
            if is_unknown(value)
                || is_unknown(&pattern)
                || self.is_of_a_locale(value)
                || self.is_of_a_locale(&pattern)
            {
                result = None;
                continue;
            }
            match self.glob_of(&pattern, self.state.options.nocasematch).matches(value) {
                Some(true) => return Ok(Some(true)),
                Some(false) => {}
                None => result = None,
            }
        }
        Ok(result)
    }

    // --- loops ----------------------------------------------------------------------------------------------------

    fn run_for(&mut self, clause: &ast::ForClauseCommand) -> Flow {
        self.mark(&clause.loc);
        if clause.variable_name.starts_with(super::syntax::SELECT) {
            self.lose("`select`");
            self.state.status = None;
            return Flow::Next;
        }
        if self.state.variables.get(&clause.variable_name).is_some_and(|variable| variable.readonly) {
            self.complain();
            self.state.status = Some(1);
            return Flow::Next;
        }
        let words = match &clause.values {
            Some(values) => match self.expand_words(values.iter().map(|word| word.value.as_str())) {
                Ok(words) => words,
                Err(flow) => return flow,
            },
            None => {
                Words { list: self.state.positional.to_vec(), uncertain: self.state.is_positional_open() }
            }
        };
        self.state.status = Some(0);
        let mark = self.pending.len();
        if words.uncertain {
            let name = clause.variable_name.clone();
            let flow = self.run_unknown_times(|shell| {
                if let Err(flow) = shell.assign(&name, None, unknown(), false) {
                    return flow;
                }
                shell.run_compound(&clause.body.list)
            });
            return self.end_loop(mark, flow);
        }
        for word in words.list {
            if let Err(flow) = self.assign(&clause.variable_name, None, word, false) {
                return flow;
            }
            let flow = self.run_compound(&clause.body.list);
            if let Some(flow) = self.after_iteration(mark, flow) {
                return self.end_loop(mark, flow);
            }
        }
        self.end_loop(mark, Flow::Next)
    }

    /// What a loop does after one run of its body: `Some` ends it.
    fn after_iteration(&mut self, mark: usize, flow: Flow) -> Option<Flow> {
        if let Err(flow) = self.step(1) {
            return Some(flow);
        }
        let flow = if flow == Flow::Break(1)
            && self.pending[mark..].iter().any(|(flow, _)| *flow == Flow::Continue(1))
        {
            // One branch goes on, the other has left.
            let at = mark
                + self.pending[mark..].iter().position(|(flow, _)| *flow == Flow::Continue(1)).unwrap_or(0);
            let (_, going_on) = self.pending.remove(at);
            let left = std::mem::replace(&mut self.state, going_on);
            self.pending.push((Flow::Break(1), left));
            Flow::Next
        } else {
            flow
        };
        self.join_pending(mark, |flow| flow == Flow::Continue(1));
        match flow {
            Flow::Next | Flow::Continue(1) => None,
            Flow::Break(1) => Some(Flow::Next),
            Flow::Break(n) => Some(Flow::Break(n - 1)),
            Flow::Continue(n) => Some(Flow::Continue(n - 1)),
            other => Some(other),
        }
    }

    fn end_loop(&mut self, mark: usize, flow: Flow) -> Flow {
        self.join_pending(mark, |flow| matches!(flow, Flow::Break(1) | Flow::Continue(1)));
        for (flow, _) in &mut self.pending[mark..] {
            match flow {
                Flow::Break(n) | Flow::Continue(n) => *n = n.saturating_sub(1).max(1),
                _ => {}
            }
        }
        flow
    }

    /// A loop whose number of rounds is not known: everything that its body changes becomes unknown.
    fn run_unknown_times(&mut self, mut body: impl FnMut(&mut Self) -> Flow) -> Flow {
        for _ in 0..4 {
            let weight = self.state.weight();
            if let Err(flow) = self.step(weight) {
                return flow;
            }
            let before = self.state.clone();
            let flow = body(self);
            match flow {
                Flow::Limit => return flow,
                Flow::Return | Flow::Exit => {
                    let left: State = std::mem::replace(&mut self.state, before.clone());
                    self.pending.push((flow, left));
                    self.state.status = None;
                    return Flow::Next;
                }
                _ => {}
            }
            if !self.state.blur_changes(&before) {
                break;
            }
        }
        Flow::Next
    }

    fn run_while(&mut self, clause: &ast::WhileOrUntilClauseCommand, wanted: bool) -> Flow {
        let ast::WhileOrUntilClauseCommand(condition, body, _) = clause;
        let mark = self.pending.len();
        let mut status = Some(0);
        loop {
            let flow = self.run_condition(condition);
            if flow != Flow::Next {
                return match self.after_iteration(mark, flow) {
                    Some(flow) => self.end_loop(mark, flow),
                    None => self.end_loop(mark, Flow::Next),
                };
            }
            match self.state.status {
                None => {
                    let flow = self.run_unknown_times(|shell| {
                        let flow = shell.run_compound(&body.list);
                        if flow != Flow::Next {
                            return flow;
                        }
                        shell.run_condition(condition)
                    });
                    return self.end_loop(mark, flow);
                }
                Some(result) if (result == 0) != wanted => {
                    self.state.status = status;
                    return self.end_loop(mark, Flow::Next);
                }
                Some(_) => {}
            }
            let flow = self.run_compound(&body.list);
            status = self.state.status;
            if let Some(flow) = self.after_iteration(mark, flow) {
                return self.end_loop(mark, flow);
            }
        }
    }

    fn run_arithmetic_for(&mut self, clause: &ast::ArithmeticForClauseCommand) -> Flow {
        self.mark(&clause.loc);
        let evaluate = |shell: &mut Self, expression: Option<&ast::UnexpandedArithmeticExpr>| match expression
        {
            Some(expression) if !expression.value.trim().is_empty() => {
                shell.evaluate_arithmetic(&expression.value)
            }
            _ => Ok(Some(1)),
        };
        if let Err(flow) = evaluate(self, clause.initializer.as_ref()) {
            return flow;
        }
        let mark = self.pending.len();
        self.state.status = Some(0);
        loop {
            match evaluate(self, clause.condition.as_ref()) {
                Err(flow) => return flow,
                Ok(Some(0)) => return self.end_loop(mark, Flow::Next),
                Ok(Some(_)) => {}
                Ok(None) => {
                    let flow = self.run_unknown_times(|shell| {
                        let flow = shell.run_compound(&clause.body.list);
                        if flow != Flow::Next {
                            return flow;
                        }
                        evaluate(shell, clause.updater.as_ref()).map_or_else(|flow| flow, |_| Flow::Next)
                    });
                    return self.end_loop(mark, flow);
                }
            }
            let flow = self.run_compound(&clause.body.list);
            if let Some(flow) = self.after_iteration(mark, flow) {
                return self.end_loop(mark, flow);
            }
            if let Err(flow) = evaluate(self, clause.updater.as_ref()) {
                return flow;
            }
        }
    }

    // --- redirections ---------------------------------------------------------------------------------------------

    fn run_redirected(
        &mut self,
        redirects: Option<&ast::RedirectList>,
        run: impl FnOnce(&mut Self) -> Flow,
    ) -> Flow {
        let Some(redirects) = redirects else { return run(self) };
        let saved = (self.state.stdout, self.state.stderr, self.state.input.clone());
        let mut flow = Flow::Next;
        let mut ready = true;
        for redirect in &redirects.0 {
            match self.redirect(redirect) {
                Ok(fine) => ready &= fine,
                Err(stop) => {
                    flow = stop;
                    ready = false;
                }
            }
        }
        if ready {
            flow = run(self);
        } else if flow == Flow::Next {
            self.state.status = Some(1);
        }
        (self.state.stdout, self.state.stderr, self.state.input) = saved;
        flow
    }

    /// Applies one redirection; `false`: it fails, so the command does not run.
    fn redirect(&mut self, redirect: &ast::IoRedirect) -> Result<bool, Flow> {
        match redirect {
            ast::IoRedirect::HereString(descriptor, word) => {
                let mut text = self.expand_string(&word.value)?;
                text.push('\n');
                if descriptor.is_some_and(|descriptor| descriptor != 0) {
                    return Ok(true);
                }
                self.state.input = Some(Input { text: Rc::from(text), position: 0 });
            }
            ast::IoRedirect::HereDocument(descriptor, document) => {
                let mut text = document.doc.value.clone();
                if document.remove_tabs {
                    text = text.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect();
                }
                if document.requires_expansion {
                    text = self.expand_document(&text)?;
                }
                if descriptor.is_some_and(|descriptor| descriptor != 0) {
                    return Ok(true);
                }
                self.state.input = Some(Input { text: Rc::from(text), position: 0 });
            }
            ast::IoRedirect::OutputAndError(word, _) => {
                let path = self.expand_string(&word.value)?;
                self.note_written(&path);
                self.state.stdout = Sink::Away;
                self.state.stderr = Sink::Away;
            }
            ast::IoRedirect::File(descriptor, kind, target) => {
                return self.redirect_file(*descriptor, kind, target);
            }
        }
        Ok(true)
    }

    fn redirect_file(
        &mut self,
        descriptor: Option<ast::IoFd>,
        kind: &ast::IoFileRedirectKind,
        target: &ast::IoFileRedirectTarget,
    ) -> Result<bool, Flow> {
        use ast::IoFileRedirectKind as Kind;
        let path = match target {
            ast::IoFileRedirectTarget::Filename(word) | ast::IoFileRedirectTarget::Duplicate(word) => {
                self.expand_string(&word.value)?
            }
            ast::IoFileRedirectTarget::Fd(fd) => fd.to_string(),
            ast::IoFileRedirectTarget::ProcessSubstitution(ast::ProcessSubstitutionKind::Read, group) => {
                let saved = std::mem::take(&mut self.state.output);
                let sink = std::mem::replace(&mut self.state.stdout, Sink::Capture);
                let flow = self.subshell(|shell| shell.run_compound(&group.list));
                self.state.stdout = sink;
                let text = std::mem::replace(&mut self.state.output, saved);
                if flow != Flow::Next {
                    return Err(flow);
                }
                self.state.input = Some(Input { text: Rc::from(text), position: 0 });
                self.state.set("!", unknown());
                return Ok(true);
            }
            ast::IoFileRedirectTarget::ProcessSubstitution(..) => {
                self.state.set("!", unknown());
                self.state.stdout = Sink::Away;
                return Ok(true);
            }
        };
        match kind {
            Kind::Read | Kind::ReadAndWrite => {
                let others = descriptor.is_some_and(|descriptor| descriptor != 0);
                if others && self.test_file('e', &path) != Some(false) {
                    return Ok(true);
                }
                if path == "/dev/null" {
                    self.state.input = Some(Input { text: Rc::from(""), position: 0 });
                    return Ok(true);
                }
                match self.read_file(&path) {
                    super::files::Read::Text(text) => {
                        self.state.input = Some(Input { text: Rc::from(text), position: 0 });
                    }
                    super::files::Read::Absent => {
                        self.complain();
                        return Ok(false);
                    }
                    super::files::Read::Unknown => {
                        self.note_unknown(&format!("the file `{path}`"));
                        self.state.input = Some(Input { text: Rc::from(unknown()), position: 0 });
                    }
                }
            }
            Kind::DuplicateOutput => {
                let sink = match path.as_str() {
                    "1" => self.state.stdout,
                    "2" => self.state.stderr,
                    "-" => Sink::Away,
                    number if number.bytes().all(|byte| byte.is_ascii_digit()) || is_unknown(number) => {
                        // where that one leads is not followed: it may be what is captured
                        if matches!(descriptor, None | Some(1 | 2)) {
                            self.state.output.push_str(&unknown());
                        }
                        Sink::Away
                    }
                    file => {
                        self.note_written(file);
                        self.state.stderr = Sink::Away;
                        Sink::Away
                    }
                };
                match descriptor.unwrap_or(1) {
                    1 => self.state.stdout = sink,
                    2 => self.state.stderr = sink,
                    _ => {}
                }
            }
            Kind::DuplicateInput if matches!(descriptor, None | Some(0)) && path != "0" => {
                self.state.input = Some(Input { text: Rc::from(unknown()), position: 0 });
            }
            Kind::DuplicateInput => {}
            Kind::Write | Kind::Append | Kind::Clobber => {
                let parent = path
                    .rsplit_once('/')
                    .map_or(".", |(parent, _)| if parent.is_empty() { "/" } else { parent });
                if !path.starts_with("/dev/") {
                    match self.test_file('d', parent) {
                        Some(true) => {}
                        Some(false) => {
                            self.complain();
                            return Ok(false);
                        }
                        None => self.doubtful = true,
                    }
                }
                let sink = match path.as_str() {
                    "/dev/stdout" | "/dev/fd/1" => self.state.stdout,
                    "/dev/stderr" | "/dev/fd/2" => self.state.stderr,
                    _ => {
                        self.note_written(&path);
                        Sink::Away
                    }
                };
                match descriptor.unwrap_or(1) {
                    1 => self.state.stdout = sink,
                    2 => self.state.stderr = sink,
                    _ => {}
                }
            }
        }
        Ok(true)
    }

    fn note_written(&mut self, path: &str) {
        if path.starts_with("/dev/") {
            return;
        }
        let path = if is_unknown(path) { "a file" } else { path };
        self.remark(Remark::Writes(path.to_owned()));
    }

    // --- simple commands ------------------------------------------------------------------------------------------

    fn run_simple(&mut self, command: &ast::SimpleCommand) -> Flow {
        self.mark_simple(command);
        if self.state.options.traces {
            self.complain();
        }
        match self.run_simple_inner(command) {
            Ok(flow) | Err(flow) => flow,
        }
    }

    fn mark_simple(&mut self, command: &ast::SimpleCommand) {
        if self.foreign > 0 {
            return;
        }
        let first = command.prefix.as_ref().and_then(|prefix| {
            prefix.0.iter().find_map(|item| match item {
                ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => Some(assignment.loc.clone()),
                ast::CommandPrefixOrSuffixItem::Word(word) => word.loc.clone(),
                _ => None,
            })
        });
        let word = command.word_or_name.as_ref().and_then(|word| word.loc.clone());
        if let Some(span) = first.or(word) {
            self.mark(&span);
        }
    }

    fn run_simple_inner(&mut self, command: &ast::SimpleCommand) -> Result<Flow, Flow> {
        let prefix = command.prefix.as_ref().map_or(&[][..], |prefix| &prefix.0);
        let suffix = command.suffix.as_ref().map_or(&[][..], |suffix| &suffix.0);
        self.substituted = false;
        let words = self.command_words(command.word_or_name.as_ref(), suffix)?;
        let redirects: Vec<&ast::IoRedirect> = prefix
            .iter()
            .chain(suffix)
            .filter_map(|item| match item {
                ast::CommandPrefixOrSuffixItem::IoRedirect(redirect) => Some(redirect),
                _ => None,
            })
            .collect();
        let assignments: Vec<&ast::Assignment> = prefix
            .iter()
            .filter_map(|item| match item {
                ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => Some(assignment),
                _ => None,
            })
            .collect();
        if words.list.is_empty() && !words.uncertain {
            return self.assign_all(&assignments, &redirects);
        }
        let saved = (self.state.stdout, self.state.stderr, self.state.input.clone());
        let permanent = words.list.first().is_some_and(|name| name == "exec") && words.list.len() == 1;
        for redirect in &redirects {
            if !self.redirect(redirect)? {
                (self.state.stdout, self.state.stderr, self.state.input) = saved;
                self.state.status = Some(1);
                return Ok(Flow::Next);
            }
        }
        let doubtful = std::mem::take(&mut self.doubtful);
        let flow = self.run_with_assignments(&assignments, &words, suffix);
        if doubtful {
            self.state.status = None;
        }
        if permanent {
            return Ok(flow);
        }
        let redirected_input = redirects.iter().any(|redirect| {
            matches!(
                redirect,
                ast::IoRedirect::HereString(..)
                    | ast::IoRedirect::HereDocument(..)
                    | ast::IoRedirect::File(
                        _,
                        ast::IoFileRedirectKind::Read
                            | ast::IoFileRedirectKind::DuplicateInput
                            | ast::IoFileRedirectKind::ReadAndWrite,
                        _
                    )
            )
        });
        (self.state.stdout, self.state.stderr) = (saved.0, saved.1);
        if redirected_input {
            self.state.input = saved.2;
        }
        Ok(flow)
    }

    fn assign_all(
        &mut self,
        assignments: &[&ast::Assignment],
        redirects: &[&ast::IoRedirect],
    ) -> Result<Flow, Flow> {
        for assignment in assignments {
            self.mark(&assignment.loc);
            self.assign_written(assignment)?;
        }
        // that of the last substitution, where there is one
        if !self.substituted {
            self.state.status = Some(0);
        }
        if !redirects.is_empty() {
            let saved = (self.state.stdout, self.state.stderr, self.state.input.clone());
            for redirect in redirects {
                if !self.redirect(redirect)? {
                    self.state.status = Some(1);
                }
            }
            (self.state.stdout, self.state.stderr, self.state.input) = saved;
        }
        Ok(Flow::Next)
    }

    fn run_with_assignments(
        &mut self,
        assignments: &[&ast::Assignment],
        words: &Words,
        suffix: &[ast::CommandPrefixOrSuffixItem],
    ) -> Flow {
        let mut hidden = Vec::new();
        for assignment in assignments {
            let name = match &assignment.name {
                ast::AssignmentName::VariableName(name) | ast::AssignmentName::ArrayElementName(name, _) => {
                    name.clone()
                }
            };
            let old = self.state.variables.get(&name).cloned();
            if old.as_ref().is_some_and(|variable| variable.readonly) {
                self.lose("an assignment to what is readonly, before a command,");
                continue;
            }
            hidden.push((name.clone(), old));
            if let Err(flow) = self.assign_written(assignment) {
                return flow;
            }
        }
        let flow = self.dispatch(words, suffix);
        for (name, old) in hidden.into_iter().rev() {
            match old {
                Some(variable) => self.state.variables.insert(name, variable),
                None => self.state.variables.remove(&name),
            };
        }
        flow
    }

    /// The expanded words of a command. Assignments after `export`, `declare` … stay out; [`Shell::declare`] takes them.
    fn command_words(
        &mut self,
        name: Option<&ast::Word>,
        suffix: &[ast::CommandPrefixOrSuffixItem],
    ) -> Result<Words, Flow> {
        let Some(name) = name else { return Ok(Words::default()) };
        let declares = matches!(name.value.as_str(), "declare" | "typeset" | "local" | "export" | "readonly");
        let mut texts = vec![name.value.as_str()];
        for item in suffix {
            match item {
                ast::CommandPrefixOrSuffixItem::Word(word) => texts.push(&word.value),
                ast::CommandPrefixOrSuffixItem::AssignmentWord(_, word) if !declares => {
                    texts.push(&word.value);
                }
                _ => {}
            }
        }
        let mut words = self.expand_words(texts)?;
        for pair in suffix.windows(2) {
            if let [ast::CommandPrefixOrSuffixItem::Word(word), ast::CommandPrefixOrSuffixItem::IoRedirect(_)] =
                pair
                && let Some(name) = word.value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
                && super::builtins::is_identifier(name)
            {
                // `{name}>file`, unless a blank stands between them
                self.blur(name);
                words.list.retain(|text| *text != word.value || words.uncertain);
            }
        }
        for item in suffix {
            if let ast::CommandPrefixOrSuffixItem::ProcessSubstitution(..) = item {
                self.state.set("!", unknown());
                words.list.push(unknown());
            }
        }
        Ok(words)
    }

    /// An assignment as written in the file.
    pub(super) fn assign_written(&mut self, assignment: &ast::Assignment) -> Result<(), Flow> {
        let (name, subscript) = match &assignment.name {
            ast::AssignmentName::VariableName(name) => (name.as_str(), None),
            ast::AssignmentName::ArrayElementName(name, subscript) => {
                (name.as_str(), Some(subscript.as_str()))
            }
        };
        self.assigning = Some(name.to_owned());
        let result = match &assignment.value {
            ast::AssignmentValue::Scalar(word) => self
                .expand_assigned(&word.value)
                .and_then(|value| self.assign(name, subscript, value, assignment.append)),
            ast::AssignmentValue::Array(elements) => {
                self.assign_written_array(name, elements, assignment.append)
            }
        };
        self.assigning = None;
        result
    }

    fn assign_written_array(
        &mut self,
        name: &str,
        elements: &[(Option<ast::Word>, ast::Word)],
        append: bool,
    ) -> Result<(), Flow> {
        let mut list = Vec::new();
        let mut uncertain = false;
        for (subscript, value) in elements {
            if let Some(subscript) = subscript {
                let value = self.expand_assigned(&value.value)?;
                list.push((Some(subscript.value.clone()), vec![value]));
            } else {
                let words = self.expand_words([value.value.as_str()])?;
                // `[1]+=x`, which the parser takes for a word
                uncertain |= words.uncertain || value.value.starts_with('[') && value.value.contains("]+=");
                list.push((None, words.list));
            }
        }
        self.assign_array(name, list, append, uncertain)
    }

    fn dispatch(&mut self, words: &Words, suffix: &[ast::CommandPrefixOrSuffixItem]) -> Flow {
        let Some(name) = words.list.first().cloned() else {
            self.state.status = None;
            return Flow::Next;
        };
        if name.split_once('[').is_some_and(|(base, _)| super::builtins::is_identifier(base)) {
            // the parser ends a subscript at a blank
            self.lose("a subscript with blanks");
        }
        if is_unknown(&name) {
            self.note_unknown("which command runs here");
            return self.unknown_result();
        }
        if let Some(function) = self.state.functions.get(&name).cloned() {
            return match function {
                Some(function) => self.call(&name, &function, &words.list[1..]),
                None => self.unknown_result(),
            };
        }
        match self.run_builtin(&name, words, suffix) {
            Some(flow) => flow,
            None => self.run_external(&name, words),
        }
    }

    /// The effect of a command that is not known: its status and what it prints.
    pub(super) fn unknown_result(&mut self) -> Flow {
        self.state.status = None;
        self.complain();
        self.print(&unknown()).map_or_else(|flow| flow, |()| Flow::Next)
    }

    fn call(&mut self, name: &str, function: &ast::FunctionDefinition, arguments: &[String]) -> Flow {
        if let Err(flow) = self.enter() {
            return flow;
        }
        let loops = std::mem::take(&mut self.loops);
        self.function_names.push(name.to_owned());
        let positional = std::mem::replace(&mut self.state.positional, arguments.to_vec().into());
        self.state.frames.push(std::collections::BTreeMap::new());
        let mark = self.pending.len();
        let ast::FunctionBody(body, redirects) = &function.body;
        let mut flow = self.run_redirected(redirects.as_ref(), |shell| shell.run_compound_command(body));
        if flow == Flow::Return {
            flow = Flow::Next;
        }
        if flow == Flow::Next {
            self.join_pending(mark, |flow| flow == Flow::Return);
        } else if flow == Flow::Exit
            && let Some(at) = self.pending[mark..].iter().position(|(flow, _)| *flow == Flow::Return)
        {
            let (_, returned) = self.pending.remove(mark + at);
            let left = std::mem::replace(&mut self.state, returned);
            self.pending.push((Flow::Exit, left));
            self.join_pending(mark, |flow| flow == Flow::Return);
            flow = Flow::Next;
        }
        self.drop_frame();
        self.loops = loops;
        self.state.positional = positional;
        self.function_names.pop();
        self.leave();
        flow
    }

    fn drop_frame(&mut self) {
        if let Some(frame) = self.state.frames.pop() {
            for (name, old) in frame {
                match old {
                    Some(variable) => self.state.variables.insert(name, variable),
                    None => self.state.variables.remove(&name),
                };
            }
        }
    }

    /// Sources a text as a file at `path`; `return` ends it.
    pub(crate) fn source_text(&mut self, path: &str, text: &str) -> Flow {
        self.sources.push(path.to_owned());
        let mark = self.pending.len();
        let mut flow = self.run_text(text);
        if flow == Flow::Return {
            flow = Flow::Next;
        }
        self.join_pending(mark, |flow| flow == Flow::Return);
        self.sources.pop();
        flow
    }

    /// A file that may set anything was sourced.
    pub(super) fn source_unknown(&mut self, path: &str) {
        let shown = if is_unknown(path) { "a file" } else { path };
        self.note_unknown(&format!("the content of {shown}, which is sourced here,"));
        // a kernel's configuration, in its folder or in /boot, has names of its own
        let name = path.rsplit_once('/').map(|(_, name)| name);
        if name.is_some_and(|name| [".config", "auto.conf"].contains(&name) || name.starts_with("config-")) {
            self.state.open_config = true;
        } else {
            self.state.open_names = true;
            // what says which distribution it is sets no directives
            self.open_directives |= !path.ends_with("-release");
            // a text may be made for what is set already, a file of its own is hardly
            self.lost |= !path.contains('/') || path.starts_with("/dev/");
        }
        self.state.status = None;
    }

    /// The final state with every state in which the shell may have ended before.
    pub(crate) fn join_all(&mut self) {
        for (_, state) in std::mem::take(&mut self.pending) {
            let current = std::mem::replace(&mut self.state, State::new());
            self.state = merge(current, state);
        }
    }
}

/// Values up to this length need no look at the limits.
const PLAIN: usize = 1000;

/// The assignments of a text that holds nothing else, as a kernel's configuration does, which has thousands of them; nothing where
/// a word would have to be expanded, or anything is not plain.
pub(super) fn plain_assignments(text: &str) -> Option<Vec<(&str, &str)>> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:,@%+-".contains(&byte);
    let mut found = Vec::new();
    // a carriage return belongs to the value
    for line in text.split('\n') {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=')?;
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && !name.is_empty();
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let is_plain = match quoted {
            Some(inside) => inside.bytes().all(|byte| plain(byte) || b" ()=[]{}<>;&|~*?^'#".contains(&byte)),
            None => value.bytes().all(plain),
        };
        if !is_name || !is_plain {
            return None;
        }
        found.push((name, quoted.unwrap_or(value)));
    }
    // what is a command in a loop runs often; a short text costs nothing
    (found.len() > 8).then_some(found)
}

/// The first line of a text, shortened, for a message.
fn first_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or("");
    if line.chars().count() > 60 {
        line.chars().take(60).chain("…".chars()).collect()
    } else {
        line.to_owned()
    }
}
