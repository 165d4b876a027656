//! `tr`: characters replaced, deleted and squeezed.
//!
//! Where a character may be a byte, only ASCII is known.

use super::super::{Flow, Shell};
use super::Answer;

pub(super) fn tr(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    let (mut delete, mut squeeze, mut complement) = (false, false, false);
    let mut sets = Vec::new();
    for argument in arguments {
        match argument.strip_prefix('-') {
            Some(flags)
                if !flags.is_empty() && sets.is_empty() && flags.chars().all(|c| "dscC".contains(c)) =>
            {
                delete |= flags.contains('d');
                squeeze |= flags.contains('s');
                complement |= flags.contains(['c', 'C']);
            }
            Some(flags) if !flags.is_empty() && sets.is_empty() => return Ok(Answer::Unknown),
            _ => sets.push(argument.clone()),
        }
    }
    let wanted = match (delete, squeeze) {
        (true, false) => 1..=1,
        (false, true) => 1..=2,
        _ => 2..=2,
    };
    if !wanted.contains(&sets.len()) || !delete && sets.get(1).is_some_and(String::is_empty) {
        return Ok(Answer::Fails(String::new(), 1));
    }
    let Some(first) = sets.first().and_then(|set| tr_set(set)) else { return Ok(Answer::Unknown) };
    let second = match sets.get(1) {
        Some(set) => match tr_set(set) {
            Some(set) => Some(set),
            None => return Ok(Answer::Unknown),
        },
        None => None,
    };
    shell.filter_files(&[], |text| {
        if !text.is_ascii() {
            return None;
        }
        let inside = |c: char| first.contains(&c) != complement;
        let mut out = String::new();
        let mut last = None;
        for c in text.chars() {
            let hit = inside(c);
            if delete && hit {
                continue;
            }
            let mapped = match (&second, hit && !delete) {
                (Some(second), true) => {
                    let at = if complement {
                        usize::MAX
                    } else {
                        first.iter().rposition(|x| *x == c).unwrap_or(0)
                    };
                    second.get(at).or(second.last()).copied().unwrap_or(c)
                }
                _ => c,
            };
            let squeezable = match (&second, delete) {
                (Some(second), _) => second.contains(&mapped),
                (None, _) => hit,
            };
            if squeeze && squeezable && last == Some(mapped) {
                continue;
            }
            last = Some(mapped);
            out.push(mapped);
        }
        Some(out)
    })
}

/// A set of `tr`: characters, ranges, classes, escapes.
fn tr_set(text: &str) -> Option<Vec<char>> {
    let mut set = Vec::new();
    let mut rest = text;
    if !text.is_ascii() {
        return None;
    }
    while let Some(c) = rest.chars().next() {
        let repeats =
            rest.starts_with('[') && (rest[1..].starts_with(['=', '.']) || rest[1..].get(1..2) == Some("*"));
        if repeats {
            return None;
        }
        if let Some((name, tail)) = rest.strip_prefix("[:").and_then(|tail| tail.split_once(":]")) {
            let all = (0u8..128).map(char::from);
            let class: Vec<char> = match name {
                "upper" => all.filter(char::is_ascii_uppercase).collect(),
                "lower" => all.filter(char::is_ascii_lowercase).collect(),
                "digit" => all.filter(char::is_ascii_digit).collect(),
                "alpha" => all.filter(char::is_ascii_alphabetic).collect(),
                "alnum" => all.filter(char::is_ascii_alphanumeric).collect(),
                "punct" => all.filter(char::is_ascii_punctuation).collect(),
                "space" => " \t\n\r\x0b\x0c".chars().collect(),
                "blank" => " \t".chars().collect(),
                _ => return None,
            };
            set.extend(class);
            rest = tail;
            continue;
        }
        let (first, used) = tr_char(rest, c)?;
        rest = &rest[used..];
        if let Some(tail) = rest.strip_prefix('-')
            && let Some(end) = tail.chars().next()
        {
            let (last, used) = tr_char(tail, end)?;
            if last < first || u32::from(last) - u32::from(first) > 300 {
                return None;
            }
            set.extend(first..=last);
            rest = &tail[used..];
            continue;
        }
        set.push(first);
    }
    Some(set)
}

/// A character and its length as written; nothing for codes, which are not modelled.
fn tr_char(text: &str, c: char) -> Option<(char, usize)> {
    if c != '\\' {
        return Some((c, 1));
    }
    Some(match text[1..].chars().next() {
        Some('n') => ('\n', 2),
        Some('t') => ('\t', 2),
        Some('r') => ('\r', 2),
        Some(other) if other.is_ascii_alphanumeric() => return None,
        Some(other) => (other, 2),
        None => ('\\', 1),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agree, are_unknown};

    #[test]
    fn characters_are_replaced_as_tr_replaces_them() {
        agree(
            "tr",
            &[
                (&["a-z", "A-Z"], "a-b\n", "A-B\n", 0),
                (&["[:lower:]", "[:upper:]"], "ab1", "AB1", 0),
                (&["-d", "-"], "a-b-c\n", "abc\n", 0),
                (&["-d", "[:space:]"], " a\tb\n", "ab", 0),
                (&["-s", "a"], "aabba\n", "abba\n", 0),
                (&["-s", " \\n", ":"], "a  b\n\n", "a:b:", 0),
                (&["-cd", "0-9"], "v6.1\n", "61", 0),
                (&["-c", "0-9", "_"], "6.1", "6_1", 0),
                (&["abc", "x"], "abcd", "xxxd", 0),
                (&["aba", "xyz"], "ab", "zy", 0),
                (&["-ds", "a", "b"], "aabb", "b", 0),
                (&["\\n", " "], "a\nb\n", "a b ", 0),
                (&["-d"], "a", "", 1),
                (&["a"], "a", "", 1),
                (&["a", ""], "a", "", 1),
            ],
        );
        are_unknown(
            "tr",
            &[(&["a", "ä"], "a"), (&["\\141", "b"], "a"), (&["[a*2]", "b"], "a"), (&["z-a", "b"], "a")],
        );
    }
}
