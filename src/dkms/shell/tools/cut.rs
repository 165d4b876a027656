//! `cut`: fields, characters or bytes of each line.
//!
//! Where a character may be a byte, only ASCII is known.

use super::super::{Flow, Shell};
use super::Answer;

pub(super) fn cut(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    let (mut delimiter, mut fields, mut chars, mut only) = ("\t".to_owned(), None, None, false);
    let mut files = Vec::new();
    let mut i = 0;
    while i < arguments.len() {
        let argument = arguments[i].as_str();
        let (letter, inline) = match argument {
            "-s" | "--only-delimited" => {
                only = true;
                i += 1;
                continue;
            }
            _ if argument.starts_with("--delimiter=") => ('d', &argument[12..]),
            _ if argument.starts_with("--fields=") => ('f', &argument[9..]),
            _ if argument.starts_with("--") => return Ok(Answer::Unknown),
            _ if argument.starts_with('-') && argument.len() > 1 => {
                (argument[1..].chars().next().unwrap_or(' '), argument.get(2..).unwrap_or(""))
            }
            _ => {
                files.push(argument.to_owned());
                i += 1;
                continue;
            }
        };
        let value = if inline.is_empty() {
            i += 1;
            arguments.get(i).cloned().unwrap_or_default()
        } else {
            inline.to_owned()
        };
        match letter {
            'd' => delimiter = value,
            'f' => fields = parse_ranges(&value),
            'c' | 'b' => chars = parse_ranges(&value),
            _ => return Ok(Answer::Unknown),
        }
        i += 1;
    }
    if delimiter.is_empty() || !delimiter.is_ascii() || chars.is_some() && only {
        return Ok(Answer::Unknown);
    }
    let valid = |ranges: &Vec<(usize, usize)>| ranges.iter().all(|(first, last)| *first > 0 && first <= last);
    if delimiter.len() != 1 || fields.is_some() == chars.is_some() || !fields.iter().chain(&chars).all(valid)
    {
        return Ok(Answer::Fails(String::new(), 1));
    }
    shell.filter_files(&files, |text| {
        // a character is a byte to some versions
        if chars.is_some() && !text.is_ascii() {
            return None;
        }
        let mut out = String::new();
        for line in text.split_terminator('\n') {
            if let Some(ranges) = &chars {
                let kept = line.chars().enumerate().filter(|(i, _)| in_ranges(ranges, i + 1)).map(|(_, c)| c);
                out.extend(kept);
            } else if let Some(ranges) = &fields {
                if line.contains(delimiter.as_str()) {
                    let parts: Vec<&str> = line
                        .split(delimiter.as_str())
                        .enumerate()
                        .filter(|(i, _)| in_ranges(ranges, i + 1))
                        .map(|(_, part)| part)
                        .collect();
                    out.push_str(&parts.join(&delimiter));
                } else {
                    if only {
                        continue;
                    }
                    out.push_str(line);
                }
            }
            out.push('\n');
        }
        Some(out)
    })
}

/// `1,3-5,7-` as inclusive ranges.
fn parse_ranges(text: &str) -> Option<Vec<(usize, usize)>> {
    text.split(',')
        .map(|part| match part.split_once('-') {
            None => part.parse().ok().map(|n| (n, n)),
            Some(("", end)) => end.parse().ok().map(|end| (1, end)),
            Some((start, "")) => start.parse().ok().map(|start| (start, usize::MAX)),
            Some((start, end)) => Some((start.parse().ok()?, end.parse().ok()?)),
        })
        .collect()
}

fn in_ranges(ranges: &[(usize, usize)], position: usize) -> bool {
    ranges.iter().any(|(start, end)| (*start..=*end).contains(&position))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agree, are_unknown};

    #[test]
    fn lines_are_cut_as_cut_cuts_them() {
        agree(
            "cut",
            &[
                (&["-d.", "-f1"], "6.1.0\n", "6\n", 0),
                (&["-d", ".", "-f", "1,3"], "6.1.0\n", "6.0\n", 0),
                (&["-d.", "-f2-"], "6.1.0\nplain\n", "1.0\nplain\n", 0),
                (&["-d.", "-f-2", "-s"], "6.1.0\nplain\n", "6.1\n", 0),
                (&["-f2"], "a\tb\n", "b\n", 0),
                (&["--delimiter==", "--fields=2", "config"], "", "y\n# CONFIG_Y is not set\nm\n", 0),
                (&["-c2-3"], "abcd\nx\n", "bc\n\n", 0),
                (&["-b1"], "abcd", "a\n", 0),
                (&["-d.", "-f5"], "6.1.0\n", "\n", 0),
                (&["-d..", "-f1"], "a\n", "", 1),
                (&["-f0"], "a\n", "", 1),
                (&["-f3-1"], "a\n", "", 1),
                (&["-d."], "a\n", "", 1),
                (&["-f1", "nothing"], "", "", 1),
            ],
        );
        are_unknown(
            "cut",
            &[(&["--complement", "-f1"], "a\tb\n"), (&["-c1"], "ä\n"), (&["-dä", "-f1"], "a\n")],
        );
    }
}
