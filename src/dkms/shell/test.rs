//! `test`, `[` and `[[` (bash manual, "Bash Conditional Expressions"), with a third answer: not known.
//!
//! Must not look at files except through [`super::files`].

use brush_parser::ast::{BinaryPredicate as Binary, ExtendedTestExpr as Expr, UnaryPredicate as Unary};

use super::pattern::{self, Glob};
use super::refusal;
use super::state::{Data, MAYBE, UNKNOWN, Variable, is_unknown};
use super::variables::BASH_MAJOR;
use super::{Flow, Shell};

/// `None`: not known.
type Answer = Option<bool>;

fn and(a: Answer, b: Answer) -> Answer {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn or(a: Answer, b: Answer) -> Answer {
    and(a.map(|yes| !yes), b.map(|yes| !yes)).map(|yes| !yes)
}

/// Whether a string is empty; a string with known text beside the unknown is not.
fn empty(text: &str) -> Answer {
    if text.chars().any(|c| c != UNKNOWN && c != MAYBE) {
        Some(false)
    } else if text.is_empty() {
        Some(true)
    } else {
        None
    }
}

impl Shell<'_> {
    /// `[[ … ]]`.
    pub(super) fn extended_test(&mut self, expression: &Expr) -> Result<Answer, Flow> {
        self.enter()?;
        let answer = self.extended_test_inner(expression);
        self.leave();
        answer
    }

    fn extended_test_inner(&mut self, expression: &Expr) -> Result<Answer, Flow> {
        match expression {
            Expr::And(a, b) => {
                let first = self.extended_test(a)?;
                if first == Some(false) {
                    return Ok(first);
                }
                Ok(and(first, self.extended_test(b)?))
            }
            Expr::Or(a, b) => {
                let first = self.extended_test(a)?;
                if first == Some(true) {
                    return Ok(first);
                }
                Ok(or(first, self.extended_test(b)?))
            }
            Expr::Not(inner) => Ok(self.extended_test(inner)?.map(|yes| !yes)),
            Expr::Parenthesized(inner) => self.extended_test(inner),
            Expr::UnaryTest(predicate, word) => {
                if matches!(predicate, Unary::ShellVariableIsSetAndAssigned) {
                    let name = self.expand_string(&word.value)?;
                    return self.is_set(&name);
                }
                let text = self.expand_string(&word.value)?;
                self.unary_test(unary_letter(predicate), &text)
            }
            Expr::BinaryTest(predicate, left, right) => {
                let left = self.expand_string(&left.value)?;
                self.extended_binary(predicate, &left, &right.value)
            }
        }
    }

    fn extended_binary(&mut self, predicate: &Binary, left: &str, right: &str) -> Result<Answer, Flow> {
        match predicate {
            Binary::StringExactlyMatchesPattern | Binary::StringDoesNotExactlyMatchPattern => {
                let pattern = self.expand_pattern(right)?;
                if is_unknown(left) || is_unknown(&pattern) {
                    return Ok(if pattern == "*" {
                        Some(matches!(predicate, Binary::StringExactlyMatchesPattern))
                    } else {
                        None
                    });
                }
                if self.is_of_a_locale(left) || self.is_of_a_locale(&pattern) {
                    return Ok(None);
                }
                let answer = Glob::new(&pattern, self.state.options.nocasematch).matches(left);
                let negated = matches!(predicate, Binary::StringDoesNotExactlyMatchPattern);
                Ok(answer.map(|yes| yes != negated))
            }
            Binary::StringMatchesRegex => {
                let pattern = self.expand_pattern(right)?;
                self.match_regex(left, &pattern)
            }
            Binary::StringContainsSubstring => {
                let right = self.expand_string(right)?;
                self.match_regex(left, &pattern::quote(&right))
            }
            _ => {
                let text = self.expand_string(right)?;
                let operator = match predicate {
                    Binary::StringExactlyMatchesString => "=",
                    Binary::StringDoesNotExactlyMatchString => "!=",
                    Binary::LeftSortsBeforeRight => "<",
                    Binary::LeftSortsAfterRight => ">",
                    Binary::ArithmeticEqualTo => "-eq",
                    Binary::ArithmeticNotEqualTo => "-ne",
                    Binary::ArithmeticLessThan => "-lt",
                    Binary::ArithmeticLessThanOrEqualTo => "-le",
                    Binary::ArithmeticGreaterThan => "-gt",
                    Binary::ArithmeticGreaterThanOrEqualTo => "-ge",
                    _ => return Ok(None),
                };
                if operator.starts_with('-') {
                    if let Some(answer) = compare_major(operator, left, &text) {
                        return Ok(Some(answer));
                    }
                    let a = self.tolerated(|shell| shell.arithmetic(left, 0))?;
                    let b = self.tolerated(|shell| shell.arithmetic(&text, 0))?;
                    // an error is no more than a no
                    let (Some(a), Some(b)) = (a, b) else { return Ok(Some(false)) };
                    return Ok(a.zip(b).map(|(a, b)| compare(operator, a, b)));
                }
                if matches!(operator, "<" | ">") && !(left.is_ascii() && text.is_ascii()) {
                    return Ok(None);
                }
                Ok(string_test(operator, left, &text))
            }
        }
    }

    /// `=~` with `BASH_REMATCH`.
    fn match_regex(&mut self, text: &str, pattern: &str) -> Result<Answer, Flow> {
        if is_unknown(text) || is_unknown(pattern) {
            self.blur("BASH_REMATCH");
            return Ok(None);
        }
        self.check_length(pattern)?;
        if refusal::refusal(pattern).is_some() {
            // status 2, which every condition takes for no
            self.refused = true;
            return Ok(Some(false));
        }
        let Some(regex) = pattern::extended(pattern, self.state.options.nocasematch) else {
            self.note_unknown(&format!("whether a text matches the regular expression `{pattern}`"));
            self.blur("BASH_REMATCH");
            return Ok(None);
        };
        let mut groups = std::collections::BTreeMap::new();
        let found = regex.captures(text);
        if let Some(captures) = &found
            && !pattern::is_sure(&regex, text, captures, &mut { pattern::TRIES })
        {
            self.blur("BASH_REMATCH");
            return Ok(Some(true));
        }
        if let Some(captures) = &found {
            for (i, group) in captures.iter().enumerate() {
                groups.insert(i, group.map_or(String::new(), |group| group.as_str().to_owned()));
            }
        }
        self.state.variables.insert("BASH_REMATCH".to_owned(), Variable::new(Data::Indexed(groups)));
        Ok(Some(found.is_some()))
    }

    fn is_set(&mut self, name: &str) -> Result<Answer, Flow> {
        if is_unknown(name) {
            return Ok(None);
        }
        let base = name.split('[').next().unwrap_or_default();
        if !super::builtins::is_identifier(base) {
            let is_number = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
            return Ok((!is_number).then_some(false));
        }
        let value = match name.split_once('[') {
            Some((base, rest)) => {
                let subscript = rest.trim_end_matches(']').to_owned();
                if subscript == "@" || subscript == "*" {
                    let (values, uncertain) = self.elements(base);
                    return Ok(if uncertain { None } else { Some(!values.is_empty()) });
                }
                self.element_by_subscript(base, &subscript)?
            }
            None => self.scalar(name),
        };
        Ok(match value {
            Some(value) if value.contains(MAYBE) => None,
            value => Some(value.is_some()),
        })
    }

    fn unary_test(&mut self, letter: char, text: &str) -> Result<Answer, Flow> {
        Ok(match letter {
            'z' => empty(text),
            'n' => empty(text).map(|yes| !yes),
            'v' => return self.is_set(text),
            'o' if !super::builtins::SET.iter().any(|(_, name)| *name == text) => Some(false),
            'o' => self.is_option_on(text),
            't' => None,
            'R' => Some(false),
            _ => {
                let answer = self.test_file(letter, text);
                if answer.is_none() && !is_unknown(text) {
                    self.note_unknown(&format!("whether `{text}` exists"));
                }
                answer
            }
        })
    }

    /// `test` and `[`: the arguments without the closing `]`; `Err(Some)`: a wrong use, status 2.
    pub(super) fn plain_test(&mut self, arguments: &[String]) -> Result<Result<Answer, ()>, Flow> {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.test_by_count(&arguments)
    }

    /// The POSIX rules by number of arguments.
    fn test_by_count(&mut self, arguments: &[&str]) -> Result<Result<Answer, ()>, Flow> {
        match arguments {
            [] => Ok(Ok(Some(false))),
            [text] => Ok(Ok(empty(text).map(|yes| !yes))),
            ["!", rest @ ..]
                if arguments.len() <= 4 && !is_binary(arguments.get(1).copied().unwrap_or("")) =>
            {
                Ok(self.test_by_count(rest)?.map(|answer| answer.map(|yes| !yes)))
            }
            [operator, text] => match unary_operator(operator) {
                Some(letter) => Ok(Ok(self.unary_test(letter, text)?)),
                None => Ok(Err(())),
            },
            [left, operator, right] if is_binary(operator) => Ok(Self::plain_binary(left, operator, right)),
            ["(", text, ")"] => Ok(Ok(empty(text).map(|yes| !yes))),
            _ => {
                let mut at = 0;
                let answer = self.test_or(arguments, &mut at, 0)?;
                Ok(if at == arguments.len() { answer } else { Err(()) })
            }
        }
    }

    fn test_or(
        &mut self,
        arguments: &[&str],
        at: &mut usize,
        depth: usize,
    ) -> Result<Result<Answer, ()>, Flow> {
        let mut answer = self.test_and(arguments, at, depth)?;
        while arguments.get(*at) == Some(&"-o") {
            *at += 1;
            let right = self.test_and(arguments, at, depth)?;
            answer = answer.and_then(|a| right.map(|b| or(a, b)));
        }
        Ok(answer)
    }

    fn test_and(
        &mut self,
        arguments: &[&str],
        at: &mut usize,
        depth: usize,
    ) -> Result<Result<Answer, ()>, Flow> {
        let mut answer = self.test_primary(arguments, at, depth)?;
        while arguments.get(*at) == Some(&"-a") {
            *at += 1;
            let right = self.test_primary(arguments, at, depth)?;
            answer = answer.and_then(|a| right.map(|b| and(a, b)));
        }
        Ok(answer)
    }

    fn test_primary(
        &mut self,
        arguments: &[&str],
        at: &mut usize,
        depth: usize,
    ) -> Result<Result<Answer, ()>, Flow> {
        if depth > 100 {
            return Err(self.limit("a test is nested too deeply"));
        }
        let Some(first) = arguments.get(*at).copied() else { return Ok(Err(())) };
        if let (Some(operator), Some(right)) = (arguments.get(*at + 1), arguments.get(*at + 2))
            && is_binary(operator)
            && !matches!(*operator, "-a" | "-o")
        {
            *at += 3;
            return Ok(Self::plain_binary(first, operator, right));
        }
        if first == "!" {
            *at += 1;
            return Ok(self.test_primary(arguments, at, depth + 1)?.map(|answer| answer.map(|yes| !yes)));
        }
        if first == "(" {
            *at += 1;
            let answer = self.test_or(arguments, at, depth + 1)?;
            if arguments.get(*at) != Some(&")") {
                return Ok(Err(()));
            }
            *at += 1;
            return Ok(answer);
        }
        if let (Some(letter), Some(text)) = (unary_operator(first), arguments.get(*at + 1).copied()) {
            *at += 2;
            return Ok(Ok(self.unary_test(letter, text)?));
        }
        *at += 1;
        Ok(Ok(empty(first).map(|yes| !yes)))
    }

    fn plain_binary(left: &str, operator: &str, right: &str) -> Result<Answer, ()> {
        match operator {
            "-a" => return Ok(and(empty(left).map(|yes| !yes), empty(right).map(|yes| !yes))),
            "-o" => return Ok(or(empty(left).map(|yes| !yes), empty(right).map(|yes| !yes))),
            "-nt" | "-ot" | "-ef" => return Ok(None),
            _ => {}
        }
        if operator.starts_with('-') {
            if let Some(answer) = compare_major(operator, left, right) {
                return Ok(Some(answer));
            }
            if is_unknown(left) || is_unknown(right) {
                return Ok(None);
            }
            let number = |text: &str| text.trim().parse::<i64>();
            let (Ok(a), Ok(b)) = (number(left), number(right)) else { return Err(()) };
            return Ok(Some(compare(operator, a, b)));
        }
        Ok(string_test(operator, left, right))
    }
}

fn string_test(operator: &str, left: &str, right: &str) -> Answer {
    if is_unknown(left) || is_unknown(right) {
        // An empty string differs from one that has known text.
        let differ = (left.is_empty() && empty(right) == Some(false))
            || (right.is_empty() && empty(left) == Some(false));
        return match operator {
            "=" | "==" if differ => Some(false),
            "!=" if differ => Some(true),
            _ => None,
        };
    }
    Some(match operator {
        "=" | "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        _ => left > right,
    })
}

/// What is sure about the version of bash, which is 4 or more.
pub(super) fn compare_major(operator: &str, left: &str, right: &str) -> Option<bool> {
    let turned = match operator {
        "-lt" => "-gt",
        "-le" => "-ge",
        "-gt" => "-lt",
        "-ge" => "-le",
        same => same,
    };
    let (operator, number) = match (left == BASH_MAJOR, right == BASH_MAJOR) {
        (true, false) => (operator, right),
        (false, true) => (turned, left),
        _ => return None,
    };
    let number = number.trim().parse::<i64>().ok()?;
    match operator {
        "-ge" | "-lt" if number <= 4 => Some(operator == "-ge"),
        "-gt" | "-le" if number < 4 => Some(operator == "-gt"),
        "-ne" | "-eq" if number < 4 => Some(operator == "-ne"),
        _ => None,
    }
}

fn compare(operator: &str, a: i64, b: i64) -> bool {
    match operator {
        "-eq" => a == b,
        "-ne" => a != b,
        "-lt" => a < b,
        "-le" => a <= b,
        "-gt" => a > b,
        _ => a >= b,
    }
}

fn is_binary(operator: &str) -> bool {
    matches!(
        operator,
        "=" | "=="
            | "!="
            | "<"
            | ">"
            | "-eq"
            | "-ne"
            | "-lt"
            | "-le"
            | "-gt"
            | "-ge"
            | "-nt"
            | "-ot"
            | "-ef"
            | "-a"
            | "-o"
    )
}

fn unary_operator(text: &str) -> Option<char> {
    let letter = text.strip_prefix('-')?;
    let mut chars = letter.chars();
    let c = chars.next()?;
    (chars.next().is_none() && "abcdefghkprstuwxzGLNOSnovR".contains(c)).then_some(c)
}

fn unary_letter(predicate: &Unary) -> char {
    match predicate {
        Unary::FileExists => 'e',
        Unary::FileExistsAndIsBlockSpecialFile => 'b',
        Unary::FileExistsAndIsCharSpecialFile => 'c',
        Unary::FileExistsAndIsDir => 'd',
        Unary::FileExistsAndIsRegularFile => 'f',
        Unary::FileExistsAndIsSetgid => 'g',
        Unary::FileExistsAndIsSymlink => 'h',
        Unary::FileExistsAndHasStickyBit => 'k',
        Unary::FileExistsAndIsFifo => 'p',
        Unary::FileExistsAndIsReadable => 'r',
        Unary::FileExistsAndIsNotZeroLength => 's',
        Unary::FdIsOpenTerminal => 't',
        Unary::FileExistsAndIsSetuid => 'u',
        Unary::FileExistsAndIsWritable => 'w',
        Unary::FileExistsAndIsExecutable => 'x',
        Unary::FileExistsAndOwnedByEffectiveGroupId => 'G',
        Unary::FileExistsAndModifiedSinceLastRead => 'N',
        Unary::FileExistsAndOwnedByEffectiveUserId => 'O',
        Unary::FileExistsAndIsSocket => 'S',
        Unary::ShellOptionEnabled => 'o',
        Unary::ShellVariableIsSetAndAssigned => 'v',
        Unary::ShellVariableIsSetAndNameRef => 'R',
        Unary::StringHasZeroLength => 'z',
        Unary::StringHasNonZeroLength => 'n',
    }
}
