//! Shell arithmetic (bash manual, "Shell Arithmetic"): 64-bit, wrapping, with unknown operands giving an unknown result.
//!
//! Not brush-parser's arithmetic, which gives a tree: bash evaluates while it reads, so that `((x=5, 3+))` sets `x` before it fails. And
//! that parser recurses without a bound and keeps what it parsed in a cache of the process.
//!
//! Must not expand `$`: that happens before; must not recurse without limit.

use super::state::{Data, MAYBE, UNKNOWN, is_unknown};
use super::test::compare_major;
use super::variables::BASH_MAJOR;
use super::{Flow, Shell};

/// `None`: not known.
type Number = Option<i64>;

const DEPTH: usize = 40;

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    /// Above zero: parse without effect, for the branch not taken.
    skip: usize,
    depth: usize,
}

/// A place that can be assigned.
struct Target {
    name: String,
    subscript: Option<String>,
}

/// Binary operators by rising precedence.
const LEVELS: [&[&str]; 10] = [
    &["||"],
    &["&&"],
    &["|"],
    &["^"],
    &["&"],
    &["==", "!="],
    &["<=", ">=", "<", ">"],
    &["<<", ">>"],
    &["+", "-"],
    &["*", "/", "%"],
];

impl Shell<'_> {
    /// Evaluates an expression whose `$` are already expanded; `Err` ends the shell as bash does on an error.
    pub(super) fn arithmetic(&mut self, text: &str, depth: usize) -> Result<Number, Flow> {
        if let Some(answer) = self.compare_version(text) {
            return Ok(Some(i64::from(answer)));
        }
        if is_unknown(text) {
            self.blur_assigned_in(text);
            // an unknown value is taken for a number; one that is known in part may be no expression, which would end the shell
            if depth > 0 && !self.tolerant && !text.trim_matches([UNKNOWN, MAYBE]).is_empty() {
                self.lose("arithmetic with a text that may be no expression");
            }
            return Ok(None);
        }
        if depth > DEPTH {
            return Err(self.arithmetic_fails("the arithmetic refers to itself too deeply"));
        }
        // a subscript is an expression again, and may hold what doubles with each assignment
        self.step(1 + text.len() as u64 / 8)?;
        // subscripts begin anew, so `depth` alone does not end `i='a[i]'`
        self.enter()?;
        let value = self.expression(text, depth);
        self.leave();
        value
    }

    /// `BASH_VERSINFO >= 4` and its like, which is all that is asked of it.
    fn compare_version(&self, text: &str) -> Option<bool> {
        const NAME: &str = "BASH_VERSINFO";
        if !text.contains(BASH_MAJOR) && !text.contains(NAME) || self.state.variables.contains_key(NAME) {
            return None;
        }
        let major = text.replace("BASH_VERSINFO[0]", BASH_MAJOR).replace(NAME, BASH_MAJOR);
        [(">=", "-ge"), ("<=", "-le"), ("==", "-eq"), ("!=", "-ne"), (">", "-gt"), ("<", "-lt")]
            .iter()
            .find_map(|(written, operator)| {
                let (left, right) = major.split_once(written)?;
                compare_major(operator, left.trim(), right.trim())
            })
    }

    fn expression(&mut self, text: &str, depth: usize) -> Result<Number, Flow> {
        let mut parser = Parser { text: text.as_bytes(), at: 0, skip: 0, depth };
        parser.blanks();
        if parser.at == parser.text.len() {
            return Ok(Some(0));
        }
        let value = self.comma(&mut parser)?;
        parser.blanks();
        if parser.at < parser.text.len() {
            return Err(self.arithmetic_error(text));
        }
        Ok(value)
    }

    fn arithmetic_error(&mut self, text: &str) -> Flow {
        self.arithmetic_fails(&format!("`{}` is not an arithmetic expression", text.trim()))
    }

    /// Names in an expression with an unknown part that may be assigned there become unknown.
    fn blur_assigned_in(&mut self, text: &str) {
        if !text.contains('=') && !text.contains("++") && !text.contains("--") {
            return;
        }
        for name in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
                self.blur(name);
            }
        }
    }

    fn comma(&mut self, parser: &mut Parser<'_>) -> Result<Number, Flow> {
        let mut value = self.assignment(parser)?;
        while parser.eat(",") {
            value = self.assignment(parser)?;
        }
        Ok(value)
    }

    fn assignment(&mut self, parser: &mut Parser<'_>) -> Result<Number, Flow> {
        parser.depth += 1;
        if parser.depth > DEPTH * 4 {
            return Err(self.arithmetic_fails("the arithmetic expression is nested too deeply"));
        }
        let start = parser.at;
        if let Some(target) = parser.target()
            && let Some(operator) = parser.assignment_operator()
        {
            let right = self.assignment(parser)?;
            let value = if operator.is_empty() {
                right
            } else {
                let left = self.load(&target, parser)?;
                self.combine(operator, left, right, parser)?
            };
            self.store(&target, value, parser)?;
            parser.depth -= 1;
            return Ok(value);
        }
        parser.at = start;
        let value = self.conditional(parser)?;
        parser.depth -= 1;
        Ok(value)
    }

    fn conditional(&mut self, parser: &mut Parser<'_>) -> Result<Number, Flow> {
        let condition = self.binary(parser, 0)?;
        if !parser.eat("?") {
            return Ok(condition);
        }
        let unknown = condition.is_none();
        parser.skip += usize::from(condition == Some(0) || unknown);
        let yes = self.comma(parser)?;
        parser.skip -= usize::from(condition == Some(0) || unknown);
        if !parser.eat(":") {
            return Err(self.arithmetic_error(&parser.rest()));
        }
        parser.skip += usize::from(condition != Some(0));
        let no = self.assignment(parser)?;
        parser.skip -= usize::from(condition != Some(0));
        Ok(match condition {
            None => None,
            Some(0) => no,
            Some(_) => yes,
        })
    }

    fn binary(&mut self, parser: &mut Parser<'_>, level: usize) -> Result<Number, Flow> {
        let Some(operators) = LEVELS.get(level) else { return self.power(parser) };
        let mut left = self.binary(parser, level + 1)?;
        while let Some(operator) = parser.operator(operators) {
            let skip = match (operator, left) {
                ("||", Some(value)) => value != 0,
                ("&&", Some(value)) => value == 0,
                _ => false,
            };
            parser.skip += usize::from(skip);
            let right = self.binary(parser, level + 1)?;
            parser.skip -= usize::from(skip);
            left = self.combine(operator, left, right, parser)?;
        }
        Ok(left)
    }

    fn power(&mut self, parser: &mut Parser<'_>) -> Result<Number, Flow> {
        let base = self.unary(parser)?;
        if !parser.eat("**") {
            return Ok(base);
        }
        parser.depth += 1;
        if parser.depth > DEPTH * 4 {
            return Err(self.arithmetic_fails("the arithmetic expression is nested too deeply"));
        }
        let exponent = self.power(parser)?;
        parser.depth -= 1;
        let (Some(base), Some(exponent)) = (base, exponent) else { return Ok(None) };
        if exponent < 0 {
            return Err(self.arithmetic_fails("an exponent is less than 0"));
        }
        let (mut result, mut factor, mut left) = (1i64, base, exponent);
        while left > 0 {
            if left & 1 == 1 {
                result = result.wrapping_mul(factor);
            }
            factor = factor.wrapping_mul(factor);
            left >>= 1;
        }
        Ok(Some(result))
    }

    fn unary(&mut self, parser: &mut Parser<'_>) -> Result<Number, Flow> {
        parser.depth += 1;
        if parser.depth > DEPTH * 4 {
            return Err(self.arithmetic_fails("the arithmetic expression is nested too deeply"));
        }
        let value = self.unary_inner(parser);
        parser.depth -= 1;
        value
    }

    fn unary_inner(&mut self, parser: &mut Parser<'_>) -> Result<Number, Flow> {
        parser.blanks();
        for (operator, step) in [("++", 1), ("--", -1)] {
            let start = parser.at;
            if parser.eat(operator) {
                if let Some(target) = parser.target() {
                    let value = self.load(&target, parser)?.map(|value| value.wrapping_add(step));
                    self.store(&target, value, parser)?;
                    return Ok(value);
                }
                parser.at = start;
            }
        }
        if parser.eat("-") {
            return Ok(self.unary(parser)?.map(i64::wrapping_neg));
        }
        if parser.eat("+") {
            return self.unary(parser);
        }
        if parser.eat("~") {
            return Ok(self.unary(parser)?.map(|value| !value));
        }
        if parser.peek() == Some(b'!') && parser.text.get(parser.at + 1) != Some(&b'=') {
            parser.at += 1;
            return Ok(self.unary(parser)?.map(|value| i64::from(value == 0)));
        }
        if parser.eat("(") {
            let value = self.comma(parser)?;
            if !parser.eat(")") {
                return Err(self.arithmetic_error(&parser.rest()));
            }
            return Ok(value);
        }
        if let Some(target) = parser.target() {
            let value = self.load(&target, parser)?;
            for (operator, step) in [("++", 1), ("--", -1)] {
                if parser.eat(operator) {
                    self.store(&target, value.map(|value| value.wrapping_add(step)), parser)?;
                    break;
                }
            }
            return Ok(value);
        }
        self.number(parser)
    }

    fn number(&mut self, parser: &mut Parser<'_>) -> Result<Number, Flow> {
        parser.blanks();
        let start = parser.at;
        while parser
            .text
            .get(parser.at)
            .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'#' | b'@' | b'_'))
        {
            parser.at += 1;
        }
        let word = String::from_utf8_lossy(&parser.text[start..parser.at]).into_owned();
        match parse_number(&word) {
            Some(value) => Ok(Some(value)),
            None => Err(self.arithmetic_error(&String::from_utf8_lossy(&parser.text[start..]))),
        }
    }

    fn combine(
        &mut self,
        operator: &str,
        left: Number,
        right: Number,
        parser: &Parser<'_>,
    ) -> Result<Number, Flow> {
        match (operator, left, right) {
            ("&&", Some(0), _) | ("&&", _, Some(0)) => return Ok(Some(0)),
            ("||", Some(value), _) | ("||", _, Some(value)) if value != 0 => return Ok(Some(1)),
            _ => {}
        }
        let (Some(a), Some(b)) = (left, right) else { return Ok(None) };
        let value = match operator {
            "||" => i64::from(a != 0 || b != 0),
            "&&" => i64::from(a != 0 && b != 0),
            "|" => a | b,
            "^" => a ^ b,
            "&" => a & b,
            "==" => i64::from(a == b),
            "!=" => i64::from(a != b),
            "<=" => i64::from(a <= b),
            ">=" => i64::from(a >= b),
            "<" => i64::from(a < b),
            ">" => i64::from(a > b),
            "<<" => a.wrapping_shl(u32::try_from(b & 63).unwrap_or(0)),
            ">>" => a.wrapping_shr(u32::try_from(b & 63).unwrap_or(0)),
            "+" => a.wrapping_add(b),
            "-" => a.wrapping_sub(b),
            "*" => a.wrapping_mul(b),
            _ if b == 0 => {
                if parser.skip > 0 {
                    return Ok(Some(0));
                }
                return Err(self.arithmetic_fails("division by 0"));
            }
            "/" => a.wrapping_div(b),
            _ => a.wrapping_rem(b),
        };
        Ok(Some(value))
    }

    fn load(&mut self, target: &Target, parser: &Parser<'_>) -> Result<Number, Flow> {
        if parser.skip > 0 {
            return Ok(Some(0));
        }
        let text = match &target.subscript {
            None => self.scalar(&target.name),
            // no element: bash complains and takes 0, but a table may have such a key, which versions see differently
            Some(all) if all == "*" || all == "@" => {
                let variable = self.state.variables.get(&target.name);
                let is_table =
                    variable.is_some_and(|known| matches!(known.data, Data::Associative(_) | Data::Unknown));
                return Ok((!is_table).then_some(0));
            }
            Some(subscript) => self.element_by_subscript(&target.name, subscript)?,
        };
        match text {
            None if self.state.options.nounset => {
                Err(self.fatal(&format!("`{}` is not set, and `set -u` is on", target.name)))
            }
            None => Ok(Some(0)),
            Some(text) => match parse_number(text.trim()) {
                Some(value) => Ok(Some(value)),
                None => self.arithmetic(&text, parser.depth.max(1) + 1),
            },
        }
    }

    fn store(&mut self, target: &Target, value: Number, parser: &Parser<'_>) -> Result<(), Flow> {
        if parser.skip > 0 {
            return Ok(());
        }
        let text = value.map_or_else(super::state::unknown, |value| value.to_string());
        self.assign(&target.name, target.subscript.as_deref(), text, false)
    }
}

/// A constant: decimal, `0octal`, `0xhex` or `base#digits`.
pub(super) fn parse_number(word: &str) -> Option<i64> {
    let wrap = |digits: &str, base: u32| -> Option<i64> {
        let mut value = 0i64;
        for c in digits.chars() {
            let digit = match c {
                '0'..='9' => c as u32 - '0' as u32,
                'a'..='z' => c as u32 - 'a' as u32 + 10,
                'A'..='Z' if base <= 36 => c as u32 - 'A' as u32 + 10,
                'A'..='Z' => c as u32 - 'A' as u32 + 36,
                '@' => 62,
                '_' => 63,
                _ => return None,
            };
            if digit >= base {
                return None;
            }
            value = value.wrapping_mul(i64::from(base)).wrapping_add(i64::from(digit));
        }
        Some(value)
    };
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Some((base, digits)) = word.split_once('#') {
        let base: u32 = base.parse().ok().filter(|base| (2..=64).contains(base))?;
        return if digits.is_empty() { None } else { wrap(digits, base) };
    }
    if let Some(digits) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return wrap(digits, 16);
    }
    if word.len() > 1 && word.starts_with('0') { wrap(&word[1..], 8) } else { wrap(word, 10) }
}

impl Parser<'_> {
    fn blanks(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.blanks();
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> String {
        String::from_utf8_lossy(&self.text[self.at.min(self.text.len())..]).into_owned()
    }

    fn eat(&mut self, token: &str) -> bool {
        self.blanks();
        if !self.text[self.at..].starts_with(token.as_bytes()) {
            return false;
        }
        // `*` must not take the first half of `**`, nor `?` anything else.
        self.at += token.len();
        true
    }

    fn operator(&mut self, operators: &[&'static str]) -> Option<&'static str> {
        self.blanks();
        let rest = &self.text[self.at..];
        let operator = operators.iter().find(|operator| rest.starts_with(operator.as_bytes()))?;
        let next = rest.get(operator.len()).copied();
        let longer = match *operator {
            "|" => matches!(next, Some(b'|' | b'=')),
            "&" => matches!(next, Some(b'&' | b'=')),
            "<" | ">" => next == Some(operator.as_bytes()[0]),
            "*" => matches!(next, Some(b'*' | b'=')),
            "^" | "/" | "%" | "+" | "-" | "<<" | ">>" => next == Some(b'='),
            _ => false,
        };
        if longer {
            return None;
        }
        self.at += operator.len();
        Some(operator)
    }

    fn assignment_operator(&mut self) -> Option<&'static str> {
        self.blanks();
        let rest = &self.text[self.at..];
        for operator in ["<<", ">>", "*", "/", "%", "+", "-", "&", "^", "|"] {
            if rest.starts_with(operator.as_bytes()) && rest.get(operator.len()) == Some(&b'=') {
                self.at += operator.len() + 1;
                return Some(operator);
            }
        }
        if rest.first() == Some(&b'=') && rest.get(1) != Some(&b'=') {
            self.at += 1;
            return Some("");
        }
        None
    }

    fn target(&mut self) -> Option<Target> {
        self.blanks();
        let start = self.at;
        if !self.text.get(start).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_') {
            return None;
        }
        while self.text.get(self.at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
            self.at += 1;
        }
        let name = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        if self.text.get(self.at) != Some(&b'[') {
            return Some(Target { name, subscript: None });
        }
        let open = self.at + 1;
        let mut depth = 0;
        for at in self.at..self.text.len() {
            match self.text[at] {
                b'[' => depth += 1,
                b']' => depth -= 1,
                _ => continue,
            }
            if depth == 0 {
                self.at = at + 1;
                let subscript = String::from_utf8_lossy(&self.text[open..at]).into_owned();
                return Some(Target { name, subscript: Some(subscript) });
            }
        }
        self.at = start;
        None
    }
}
