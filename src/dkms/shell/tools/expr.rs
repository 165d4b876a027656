//! `expr`: one operation on two numbers or texts, or the beginning of a text that matches.
//!
//! Longer expressions are not known.

use super::super::pattern;
use super::Answer;

/// What `expr` does not take for a text where it begins.
const FIRST: [&str; 8] = ["length", "match", "substr", "index", "+", "(", ")", "!"];

pub(super) fn expr(arguments: &[String]) -> Answer {
    let truth =
        |value: &str| u8::from(value.strip_prefix('-').unwrap_or(value).bytes().all(|byte| byte == b'0'));
    let first = arguments.first().map_or("", String::as_str);
    let is_length = first == "length" && arguments.len() == 2;
    if first.starts_with("--") || FIRST.contains(&first) && !is_length {
        return Answer::Unknown;
    }
    match arguments {
        [text, colon, regex] if colon == ":" => {
            if regex.contains("\\|") {
                return Answer::Unknown;
            }
            let Some(regex) = pattern::basic(&format!("^{regex}"), false) else { return Answer::Unknown };
            let result = match regex.captures(text) {
                Some(captures) if !pattern::is_sure(&regex, text, &captures, &mut { pattern::TRIES }) => {
                    return Answer::Unknown;
                }
                Some(captures) if captures.len() > 1 => captures.get(1).map_or("", |m| m.as_str()).to_owned(),
                Some(captures) => captures[0].chars().count().to_string(),
                None if regex.captures_len() > 1 => String::new(),
                None => "0".to_owned(),
            };
            let status = truth(&result);
            Answer::Known(result + "\n", status)
        }
        [a, operator, b] => {
            let numbers = (a.parse::<i64>(), b.parse::<i64>());
            let result = match (operator.as_str(), &numbers) {
                ("+", (Ok(a), Ok(b))) => a.checked_add(*b),
                ("-", (Ok(a), Ok(b))) => a.checked_sub(*b),
                ("*", (Ok(a), Ok(b))) => a.checked_mul(*b),
                ("/", (Ok(a), Ok(b))) => a.checked_div(*b),
                ("%", (Ok(a), Ok(b))) => a.checked_rem(*b),
                ("<" | "<=" | "=" | "==" | "!=" | ">=" | ">", (Ok(a), Ok(b))) => {
                    Some(i64::from(ordered(operator, a.cmp(b))))
                }
                ("<" | "<=" | "=" | "==" | "!=" | ">=" | ">", _) => {
                    Some(i64::from(ordered(operator, a.cmp(b))))
                }
                _ => None,
            };
            match result {
                Some(value) => Answer::Known(format!("{value}\n"), u8::from(value == 0)),
                None => Answer::Unknown,
            }
        }
        [word, text] if word == "length" => Answer::Known(format!("{}\n", text.chars().count()), truth(text)),
        [text] => Answer::Known(format!("{text}\n"), truth(text)),
        _ => Answer::Unknown,
    }
}

fn ordered(operator: &str, ordering: std::cmp::Ordering) -> bool {
    match operator {
        "<" => ordering.is_lt(),
        "<=" => ordering.is_le(),
        "!=" => ordering.is_ne(),
        ">=" => ordering.is_ge(),
        ">" => ordering.is_gt(),
        _ => ordering.is_eq(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agree, are_unknown};

    #[test]
    fn expressions_have_the_value_that_expr_gives_them() {
        agree(
            "expr",
            &[
                (&["1", "+", "2"], "", "3\n", 0),
                (&["1", "-", "1"], "", "0\n", 1),
                (&["6", "*", "7"], "", "42\n", 0),
                (&["7", "/", "2"], "", "3\n", 0),
                (&["7", "%", "2"], "", "1\n", 0),
                (&["10", ">", "9"], "", "1\n", 0),
                (&["a10", ">", "a9"], "", "0\n", 1),
                (&["a", "=", "a"], "", "1\n", 0),
                (&["a", "!=", "a"], "", "0\n", 1),
                (&["6.1", ":", "\\([0-9]*\\)"], "", "6\n", 0),
                (&["6.1", ":", "[0-9]*"], "", "1\n", 0),
                (&["x", ":", "[0-9]"], "", "0\n", 1),
                (&["x", ":", "\\([0-9]\\)"], "", "\n", 1),
                (&["length", "abc"], "", "3\n", 0),
                (&["x"], "", "x\n", 0),
                (&["0"], "", "0\n", 1),
                (&[""], "", "\n", 1),
            ],
        );
        are_unknown(
            "expr",
            &[
                (&["1", "/", "0"], ""),
                (&["a", "+", "1"], ""),
                (&["substr", "abc", "1", "1"], ""),
                (&["1", "+", "2", "+", "3"], ""),
                (&["ab", ":", "a\\|ab"], ""),
            ],
        );
    }
}
