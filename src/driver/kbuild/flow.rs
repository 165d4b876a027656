//! What a value of a Makefile decides: follows it through variables and conditions to flags, includes, recipes and `$(error …)`.
//!
//! Works on what was read, in its order, and expands nothing; a value that is set in one of several ways counts as all of them.
//! Sources of rules: the GNU make manual, `Documentation/kbuild/makefiles.rst` of Linux.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// How many statements of a Makefile, with what it includes, are kept.
pub(super) const STATEMENTS: usize = 20_000;
/// How many conditions around a statement are kept, the innermost.
pub(super) const CONDITIONS: usize = 32;
/// How many values of one Makefile are followed.
const FOLLOWED: usize = 100;
/// How many names of one statement are looked at.
const NAMES: usize = 1000;

/// A statement of a Makefile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The Makefile that has it.
    pub path: String,
    /// The line there, counted from 1.
    pub line: usize,
    pub does: Does,
    /// Value, condition, paths or command, as they are written.
    pub text: String,
    /// Whether make gets there, as far as it is known; text on the other side of a condition is not read.
    pub is_read: bool,
    /// The conditions around it, as places in the list of statements.
    pub(super) inside: Vec<usize>,
}

/// What a statement does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    Sets {
        name: String,
        /// Whether the value is expanded at once, `:=`.
        now: bool,
        /// Whether what the variable held is lost.
        replaces: bool,
    },
    /// Decides which lines are read.
    Tests,
    Includes,
    Runs,
    /// Expands functions for what they do.
    Calls,
}

/// What a value decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// Whether make stops with `$(error …)`.
    Error,
    /// Which files are included.
    Include,
    /// What is given to the compiler, or which objects there are.
    Flags,
    /// A command of a recipe.
    Recipe,
}

impl Statement {
    /// The variable that it sets.
    #[must_use]
    pub fn sets(&self) -> Option<&str> {
        match &self.does {
            Does::Sets { name, .. } => Some(name),
            _ => None,
        }
    }

    /// Whether it uses the value of a variable.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        names(&self.text).contains(name)
    }
}

/// Who uses what in the statements of a Makefile.
#[derive(Debug)]
pub struct Flow<'a> {
    /// In their order.
    pub statements: &'a [Statement],
    /// The statements that name a variable.
    by_name: BTreeMap<&'a str, Vec<usize>>,
    /// The statements that stand in a condition.
    held: BTreeMap<usize, Vec<usize>>,
    /// How many values may still be followed.
    left: Cell<usize>,
}

impl<'a> Flow<'a> {
    /// Of statements in their order.
    #[must_use]
    pub fn new(statements: &'a [Statement]) -> Self {
        let (mut by_name, mut held) = (BTreeMap::<_, Vec<usize>>::new(), BTreeMap::<_, Vec<usize>>::new());
        for (at, statement) in statements.iter().enumerate() {
            for name in names(&statement.text) {
                by_name.entry(name).or_default().push(at);
            }
            for condition in &statement.inside {
                held.entry(*condition).or_default().push(at);
            }
        }
        Self { statements, by_name, held, left: Cell::new(FOLLOWED) }
    }

    /// What the value of the statement at `from` decides; nothing where another one takes its place before anybody looks.
    #[must_use]
    pub fn uses(&self, from: usize) -> BTreeSet<Use> {
        let mut found = BTreeSet::new();
        if self.left.get() == 0 || is_lost(self.statements, from) {
            return found;
        }
        self.left.set(self.left.get() - 1);
        let (mut left, mut seen) = (vec![from], vec![false; self.statements.len()]);
        let mut named = BTreeSet::new();
        while let Some(at) = left.pop() {
            let Some(statement) = self.statements.get(at).filter(|_| !seen[at]) else { continue };
            seen[at] = true;
            let stops = || ["$(error", "${error"].iter().any(|word| statement.text.contains(word));
            match &statement.does {
                Does::Sets { name, now, .. } => {
                    found.extend(is_for_build(name).then_some(Use::Flags));
                    found.extend((*now && stops()).then_some(Use::Error));
                    if named.insert(name.as_str()) {
                        let users = self.by_name.get(name.as_str()).into_iter().flatten();
                        left.extend(users.filter(|at| self.statements[**at].is_read));
                    }
                }
                Does::Tests if statement.is_read => {
                    left.extend(self.held.get(&at).into_iter().flatten().filter(|at| !seen[**at]));
                }
                Does::Tests => {}
                Does::Includes => drop(found.insert(Use::Include)),
                Does::Runs => drop(found.insert(Use::Recipe)),
                Does::Calls => found.extend(stops().then_some(Use::Error)),
            }
        }
        found
    }
}

/// Whether a later assignment replaces the value before anything names it.
fn is_lost(statements: &[Statement], from: usize) -> bool {
    let Some(name) = statements.get(from).and_then(Statement::sets) else { return false };
    let later = statements[from + 1..].iter().filter(|later| later.is_read);
    for later in later {
        if later.names(name) {
            return false;
        }
        if matches!(&later.does, Does::Sets { name: other, replaces: true, .. } if other == name) {
            return true;
        }
    }
    false
}

/// Whether kbuild makes objects or flags for the compiler of a variable.
fn is_for_build(name: &str) -> bool {
    is_flags(name)
        || name.starts_with("obj-")
        || ["-objs", "-y", "-m"].iter().any(|end| name.ends_with(end)) && !name.ends_with("flags-y")
}

/// Whether a variable holds what kbuild gives to the compiler.
pub(super) fn is_flags(name: &str) -> bool {
    let plain = name.strip_prefix("subdir-").unwrap_or(name);
    ["ccflags-", "asflags-", "CFLAGS_", "EXTRA_CFLAGS", "KBUILD_CFLAGS", "CPPFLAGS", "LINUXINCLUDE"]
        .iter()
        .any(|start| plain.starts_with(start))
}

/// The variables that a text names: `$(X)`, `${X:a=b}`, `$(call X,…)`, and a name that stands alone, as behind `ifdef`.
fn names(text: &str) -> BTreeSet<&str> {
    let is_end = |next: char| next.is_whitespace() || "$(){}:,=".contains(next);
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices(['(', '{']).filter(|(at, _)| text[..*at].ends_with('$')).take(NAMES) {
        let inside = &text[at + 1..];
        let inside = inside.strip_prefix("call ").map_or(inside, str::trim_start);
        let name = &inside[..inside.find(is_end).unwrap_or(inside.len())];
        // a word before a blank is a function
        if !name.is_empty() && !inside[name.len()..].starts_with(char::is_whitespace) {
            found.insert(name);
        }
    }
    let alone = text.trim();
    if !alone.is_empty() && !alone.contains(is_end) {
        found.insert(alone);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(does: Does, text: &str, inside: &[usize]) -> Statement {
        let inside = inside.to_vec();
        Statement { path: "Makefile".into(), line: 1, does, text: text.into(), is_read: true, inside }
    }

    fn sets(name: &str, text: &str, inside: &[usize]) -> Statement {
        statement(Does::Sets { name: name.into(), now: true, replaces: true }, text, inside)
    }

    fn uses(statements: &[Statement], from: usize) -> BTreeSet<Use> {
        Flow::new(statements).uses(from)
    }

    #[test]
    fn a_value_is_followed_to_what_it_decides() {
        let tested = [
            sets("K", "$(shell uname -r)", &[]),
            sets("D", "$(wildcard /lib/modules/${K}/build)", &[]),
            statement(Does::Tests, "(,$(D))", &[]),
            statement(Does::Calls, "$(error none)", &[2]),
        ];
        assert_eq!(uses(&tested, 0), BTreeSet::from([Use::Error]));
        let flags = [sets("K", "1", &[]), sets("ccflags-y", "-I$(K)", &[])];
        assert_eq!(uses(&flags, 0), BTreeSet::from([Use::Flags]));
        let only_set = [sets("K", "1", &[]), sets("D", "$(K)", &[])];
        assert!(uses(&only_set, 0).is_empty());
        let replaced = [sets("K", "1", &[]), sets("K", "2", &[]), sets("ccflags-y", "-I$(K)", &[])];
        assert!(uses(&replaced, 0).is_empty());
        // names that name each other end
        let circle = [sets("A", "$(B)", &[]), sets("B", "$(A)", &[]), statement(Does::Runs, "x $(A)", &[])];
        assert_eq!(uses(&circle, 0), BTreeSet::from([Use::Recipe]));
    }

    #[test]
    fn names_of_a_text() {
        assert_eq!(
            names("$(A)${B:x=y} $(call C,$(D)) $(shell echo $(E)) $(($F"),
            ["A", "B", "C", "D", "E"].into()
        );
        assert_eq!(names(" CONFIG_X "), ["CONFIG_X"].into());
    }
}
