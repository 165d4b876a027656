//! `declare`, `local`, `export`, `readonly`: the attributes of variables (bash manual, "Bash Builtin Commands").
//!
//! Attributes that are not modelled make the variable, or everything, unknown.

use brush_parser::ast;

use super::builtins::is_identifier;
use super::state::{Data, Variable};
use super::{Flow, Shell};

/// What a declaring command was told.
struct Declaration<'c> {
    command: &'c str,
    /// Letters behind `-`, and behind `+`.
    on: String,
    off: String,
    local: bool,
}

impl Declaration<'_> {
    /// The letters that the command knows.
    fn letters(command: &str) -> &'static str {
        match command {
            "export" => "fnp",
            "readonly" => "aAfp",
            _ => "aAfFgiIlnprtuxc",
        }
    }
}

impl Shell<'_> {
    /// `declare`, `local`, `export`, `readonly`.
    pub(super) fn declare(
        &mut self,
        command: &str,
        arguments: &[String],
        suffix: &[ast::CommandPrefixOrSuffixItem],
    ) -> Result<Flow, Flow> {
        let (mut on, mut off, mut names) = (String::new(), String::new(), Vec::new());
        let mut open = true;
        for argument in arguments {
            match (argument.strip_prefix('-'), argument.strip_prefix('+')) {
                (Some("-"), _) if open => open = false,
                (Some(letters), _) if open && !letters.is_empty() => on.push_str(letters),
                (_, Some(letters)) if open => off.push_str(letters),
                _ => {
                    open = false;
                    names.push(argument.clone());
                }
            }
        }
        let known = Declaration::letters(command);
        if on.chars().chain(off.chars()).any(|letter| !known.contains(letter)) {
            return self.finish(2);
        }
        let written: Vec<&ast::Assignment> = suffix
            .iter()
            .filter_map(|item| match item {
                ast::CommandPrefixOrSuffixItem::AssignmentWord(assignment, _) => Some(assignment),
                _ => None,
            })
            .collect();
        let prints = on.contains(['p', 'f', 'F']) || names.is_empty() && written.is_empty();
        if prints && !(command == "export" && on.contains('f') && !on.contains('p')) {
            return self.print_declarations(&on, &names);
        }
        if on.contains('n') && command != "export" || names.iter().any(|name| name == "-") {
            self.lose("`declare -n` or `local -`");
        }
        let local = matches!(command, "local" | "declare" | "typeset") && !on.contains('g');
        let declaration = Declaration { command, on, off, local };
        // every value is expanded before the first name becomes local
        let mut values = Vec::new();
        for assignment in &written {
            values.push(match &assignment.value {
                ast::AssignmentValue::Scalar(word) => Some(self.expand_assigned(&word.value)?),
                ast::AssignmentValue::Array(_) => None,
            });
        }
        // the status of a substitution in them is lost
        self.state.status = Some(0);
        for name in names {
            self.declare_text(&declaration, &name)?;
        }
        for (assignment, value) in written.into_iter().zip(values) {
            self.declare_written(&declaration, assignment, value)?;
        }
        Ok(Flow::Next)
    }

    /// `declare -p` and its like: what is printed is not imitated but for its beginning.
    fn print_declarations(&mut self, on: &str, names: &[String]) -> Result<Flow, Flow> {
        let functions = on.contains(['f', 'F']);
        let there = |name: &String| {
            if functions {
                self.state.functions.contains_key(name)
            } else {
                self.state.variables.contains_key(name)
            }
        };
        let status = u8::from(!names.iter().all(there));
        if names.is_empty() || names.iter().any(there) {
            // of variables this much is certain, and that it is no number
            let begin = if functions { "" } else { "declare -" };
            self.print(&format!("{begin}{}", super::state::unknown()))?;
        }
        let open =
            self.state.open_names || names.iter().any(|name| self.scalar(name).is_some() && status == 1);
        self.state.status = (!open || functions).then_some(status);
        Ok(Flow::Next)
    }

    /// `declare "$name=value"`: an assignment that only shows after expansion, or none.
    fn declare_text(&mut self, declaration: &Declaration<'_>, text: &str) -> Result<(), Flow> {
        if text == "-" {
            return Ok(());
        }
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let append = name.ends_with('+');
        let name = name.trim_end_matches('+');
        let (base, subscript) = match name.split_once('[') {
            Some((base, rest)) => (base, Some(rest.trim_end_matches(']'))),
            None => (name, None),
        };
        if !is_identifier(base) {
            self.state.status = Some(1);
            return Ok(());
        }
        if !self.prepare(declaration, base, value.is_some()) {
            return Ok(());
        }
        if let Some(value) = value {
            self.assign_declared(declaration, base, subscript, value, append)?;
        }
        self.seal(declaration, base);
        Ok(())
    }

    fn declare_written(
        &mut self,
        declaration: &Declaration<'_>,
        assignment: &ast::Assignment,
        scalar: Option<String>,
    ) -> Result<(), Flow> {
        let (base, subscript) = match &assignment.name {
            ast::AssignmentName::VariableName(name) => (name, None),
            ast::AssignmentName::ArrayElementName(name, subscript) => (name, Some(subscript.as_str())),
        };
        if !self.prepare(declaration, base, true) {
            return Ok(());
        }
        if let Some(value) = scalar {
            self.assign_declared(declaration, base, subscript, value, assignment.append)?;
        } else {
            let status = self.state.status;
            self.assign_written(assignment)?;
            self.state.status = status;
        }
        self.seal(declaration, base);
        Ok(())
    }

    fn assign_declared(
        &mut self,
        declaration: &Declaration<'_>,
        name: &str,
        subscript: Option<&str>,
        value: String,
        append: bool,
    ) -> Result<(), Flow> {
        let is_list = self
            .state
            .variables
            .get(name)
            .is_some_and(|variable| matches!(variable.data, Data::Indexed(_) | Data::Associative(_)));
        if is_list && declaration.on.contains(['a', 'A']) && value.starts_with('(') && value.ends_with(')') {
            // it is read like a list that is written there
            self.note_unknown("a list in a text");
            self.blur(name);
            return Ok(());
        }
        let is_scalar =
            self.state.variables.get(name).is_some_and(|variable| matches!(variable.data, Data::Scalar(_)));
        if is_list && subscript.is_none() && declaration.on.contains('g') || is_scalar && subscript.is_some()
        {
            self.note_unknown("what `declare` makes of a value where there was a list, or of a list where there was a value,");
            self.blur(name);
            return Ok(());
        }
        self.assign(name, subscript, value, append)
    }

    /// Gives a name its attributes before it is assigned; `false`: it is readonly.
    fn prepare(&mut self, declaration: &Declaration<'_>, name: &str, assigns: bool) -> bool {
        let Declaration { on, off, local, .. } = declaration;
        let hides = *local && self.state.frames.last().is_some_and(|frame| !frame.contains_key(name));
        let readonly = self.state.variables.get(name).is_some_and(|variable| variable.readonly);
        if readonly && (assigns || hides || !off.is_empty()) {
            self.complain();
            self.state.status = Some(1);
            return false;
        }
        if *local {
            self.make_local(name, on.contains('I'));
        }
        let variable =
            self.state.variables.entry(name.to_owned()).or_insert_with(|| Variable::new(Data::Unset));
        let is_list = matches!(variable.data, Data::Indexed(_) | Data::Associative(_));
        if on.contains('A') && !matches!(variable.data, Data::Associative(_)) {
            if is_list {
                self.state.status = Some(1);
                return false;
            }
            variable.odd |= !matches!(variable.data, Data::Unset);
            variable.data = Data::Associative(std::collections::BTreeMap::new());
        } else if on.contains('a') {
            if matches!(variable.data, Data::Associative(_)) {
                self.state.status = Some(1);
                return false;
            }
            match std::mem::replace(&mut variable.data, Data::Unset) {
                Data::Scalar(value) => {
                    variable.data = Data::Indexed(std::collections::BTreeMap::from([(0, value)]));
                }
                Data::Unset => variable.data = Data::Indexed(std::collections::BTreeMap::new()),
                data => variable.data = data,
            }
        }
        variable.integer = (variable.integer || on.contains('i')) && !off.contains('i');
        variable.exported = (variable.exported || on.contains('x')) && !off.contains('x');
        variable.odd |= on.contains(['c', 't']) || on.contains('u') && on.contains('l');
        variable.odd |= off.contains(['c', 't', 'a', 'A', 'r', 'n']);
        for (letter, upper) in [('u', true), ('l', false)] {
            if on.contains(letter) {
                variable.upper = Some(upper);
            } else if off.contains(letter) && variable.upper == Some(upper) {
                variable.upper = None;
            }
        }
        true
    }

    fn seal(&mut self, declaration: &Declaration<'_>, name: &str) {
        let Some(variable) = self.state.variables.get_mut(name) else { return };
        variable.readonly |= declaration.command == "readonly" || declaration.on.contains('r');
        if declaration.command == "export" {
            variable.exported = !declaration.on.contains('n');
        }
    }
}
