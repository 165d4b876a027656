//! The form of `awk` that files of settings use: `/regex/ {print $N}`, with `NR==N`, `-F` and `exit`.
//!
//! Anything else of the language is not known.

use regex::Regex;

use super::super::{Flow, Shell, pattern};
use super::Answer;

/// One-liners of the form `/regex/ {print $N}`.
pub(super) fn awk(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    let mut separator = None;
    let mut i = 0;
    while let Some(argument) = arguments.get(i) {
        if argument == "-F" {
            separator = arguments.get(i + 1).cloned();
            i += 2;
        } else if let Some(value) = argument.strip_prefix("-F") {
            separator = Some(value.to_owned());
            i += 1;
        } else {
            break;
        }
    }
    let Some(program) = arguments.get(i) else { return Ok(Answer::Unknown) };
    if arguments.get(i).is_some_and(|argument| argument.starts_with('-')) {
        return Ok(Answer::Unknown);
    }
    // a script or a file that looks like an assignment is one
    let odd = arguments[i + 1..].iter().any(|file| file.contains('=') || file.starts_with('-'));
    let Some(program) = Program::parse(program, separator.as_deref()).filter(|_| !odd) else {
        return Ok(Answer::Unknown);
    };
    shell.filter_files(&arguments[i + 1..], |text| Some(program.run(text)))
}

/// A tiny part of awk: an optional pattern and a `print` of fields and strings.
struct Program {
    separator: Option<Regex>,
    condition: Option<Regex>,
    line: Option<usize>,
    items: Vec<Item>,
    exits: bool,
}

enum Item {
    Field(usize),
    Last,
    Text(String),
    Space,
}

impl Program {
    fn parse(program: &str, separator: Option<&str>) -> Option<Self> {
        let separator = match separator {
            None | Some(" ") => None,
            Some("\\t" | "t") => Some(pattern::extended("\t", false)?),
            Some(text) if text.len() > 1 && text.contains(['|', '?', '*', '{', '^']) => return None,
            Some(text) if text.chars().count() == 1 => Some(pattern::extended(&pattern::quote(text), false)?),
            Some(text) => Some(pattern::extended(text, false)?),
        };
        let program = program.trim();
        let (condition, action) = program.split_once('{')?;
        let action = action.trim().strip_suffix('}')?.trim().trim_end_matches(';').trim();
        let (action, exits) = match action.rsplit_once(';') {
            Some((action, last)) if last.trim() == "exit" => (action.trim(), true),
            Some(_) => return None,
            None => (action, false),
        };
        let condition = condition.trim();
        let (condition, line) = if condition.is_empty() {
            (None, None)
        } else if let Some(number) =
            condition.strip_prefix("NR==").or_else(|| condition.strip_prefix("NR == "))
        {
            (None, Some(number.trim().parse().ok()?))
        } else {
            let body = condition.strip_prefix('/')?.strip_suffix('/')?;
            if body.contains('/') && !body.contains("\\/") || body.contains('{') {
                return None;
            }
            (Some(pattern::extended(body, false)?), None)
        };
        let list = action.strip_prefix("print")?;
        Some(Self { separator, condition, line, items: Self::items(list)?, exits })
    }

    fn items(list: &str) -> Option<Vec<Item>> {
        let mut items = Vec::new();
        let mut rest = list.trim_start();
        while let Some(c) = rest.chars().next() {
            match c {
                ' ' => rest = rest.trim_start(),
                ',' => {
                    items.push(Item::Space);
                    rest = &rest[1..];
                }
                '"' => {
                    let end = rest[1..].find('"')?;
                    let text = &rest[1..=end];
                    if text.contains('\\') {
                        return None;
                    }
                    items.push(Item::Text(text.to_owned()));
                    rest = &rest[end + 2..];
                }
                '$' if rest.starts_with("$NF") => {
                    items.push(Item::Last);
                    rest = &rest[3..];
                }
                '$' => {
                    let end = rest[1..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| end + 1);
                    items.push(Item::Field(rest[1..end].parse().ok()?));
                    rest = &rest[end..];
                }
                _ => return None,
            }
        }
        if items.is_empty() {
            items.push(Item::Field(0));
        }
        Some(items)
    }

    fn run(&self, text: &str) -> String {
        let mut out = String::new();
        for (i, line) in text.split_terminator('\n').enumerate() {
            if self.condition.as_ref().is_some_and(|regex| !regex.is_match(line)) {
                continue;
            }
            if self.line.is_some_and(|wanted| wanted != i + 1) {
                continue;
            }
            let fields: Vec<&str> = match &self.separator {
                None => line.split([' ', '\t']).filter(|field| !field.is_empty()).collect(),
                Some(_) if line.is_empty() => Vec::new(),
                Some(regex) => regex.split(line).collect(),
            };
            for item in &self.items {
                match item {
                    Item::Field(0) => out.push_str(line),
                    Item::Field(n) => out.push_str(fields.get(n - 1).unwrap_or(&"")),
                    Item::Last => out.push_str(fields.last().unwrap_or(&line)),
                    Item::Text(text) => out.push_str(text),
                    Item::Space => out.push(' '),
                }
            }
            out.push('\n');
            if self.exits {
                break;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agree, are_unknown};

    #[test]
    fn one_liners_print_what_awk_prints() {
        agree(
            "awk",
            &[
                (&["{print $2}"], "a b c\n  d\te\n", "b\ne\n", 0),
                (&["{print}"], "a b\n", "a b\n", 0),
                (&["{ print $1, $NF; }"], "a b c\n", "a c\n", 0),
                (&["{print $1 \"-\" $2}"], "a b\n", "a-b\n", 0),
                (&["{print $9}"], "a b\n", "\n", 0),
                (&["-F=", "/DRM/ {print $2}", "config"], "", "m\n", 0),
                (&["-F", ".", "{print $2}"], "6.1.0\n", "1\n", 0),
                (&["-F[.-]", "{print $3}"], "6.1.0-49\n", "0\n", 0),
                (&["NR==2{print $1}"], "a\nb\nc\n", "b\n", 0),
                (&["/b/{print $0; exit}"], "ab\nb\n", "ab\n", 0),
            ],
        );
        are_unknown(
            "awk",
            &[
                (&["BEGIN{print 1}"], ""),
                (&["{print $1+1}"], "1\n"),
                (&["-v", "a=b", "{print a}"], "1\n"),
                (&["{print substr($1, 2)}"], "abc\n"),
                (&["{print}", "a=b"], "x\n"),
            ],
        );
    }
}
