//! `cat`, `tac`, `rev`, `head`, `tail`, `wc`: a text as a whole, some of its lines, how many there are.
//!
//! What lines say does not matter here.

use super::super::{Flow, Shell};
use super::Answer;

pub(super) fn cat(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    shell.filter(arguments, |text| Some(text.to_owned()))
}

pub(super) fn tac(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    shell.filter(arguments, |text| {
        if !text.is_empty() && !text.ends_with('\n') {
            return None;
        }
        Some(text.split_inclusive('\n').rev().collect())
    })
}

pub(super) fn rev(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    shell.filter(arguments, |text| {
        let lines = text.split('\n').map(|line| line.chars().rev().collect());
        Some(lines.collect::<Vec<String>>().join("\n"))
    })
}

pub(super) fn head(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    part(shell, arguments, true)
}

pub(super) fn tail(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    part(shell, arguments, false)
}

fn part(shell: &mut Shell<'_>, arguments: &[String], head: bool) -> Result<Answer, Flow> {
    let (mut count, mut bytes) = ("10".to_owned(), false);
    let mut files = Vec::new();
    let mut i = 0;
    while i < arguments.len() {
        let argument = arguments[i].as_str();
        match argument {
            "-n" | "-c" => {
                bytes = argument == "-c";
                i += 1;
                count = arguments.get(i).cloned().unwrap_or_default();
            }
            "-q" => {}
            _ if argument.starts_with("-n") => argument[2..].clone_into(&mut count),
            _ if argument.starts_with("--lines=") => argument[8..].clone_into(&mut count),
            _ if argument.starts_with("-c") => {
                bytes = true;
                argument[2..].clone_into(&mut count);
            }
            _ if argument.len() > 1 && argument.starts_with('-') => {
                if !argument[1..].bytes().all(|b| b.is_ascii_digit()) {
                    return Ok(Answer::Unknown);
                }
                argument[1..].clone_into(&mut count);
            }
            _ => files.push(argument.to_owned()),
        }
        i += 1;
    }
    if files.len() > 1 || files.iter().any(|file| file.starts_with('+')) {
        return Ok(Answer::Unknown);
    }
    let sign = count.chars().next().filter(|c| matches!(c, '-' | '+'));
    let Ok(number) = count.trim_start_matches(['-', '+']).parse::<usize>() else {
        return Ok(Answer::Unknown);
    };
    shell.filter_files(&files, |text| {
        if bytes && !text.is_ascii() {
            return None;
        }
        let pieces: Vec<String> = if bytes {
            text.chars().map(String::from).collect()
        } else {
            text.split_inclusive('\n').map(str::to_owned).collect()
        };
        let range = match (head, sign) {
            (true, Some('-')) => 0..pieces.len().saturating_sub(number),
            (true, _) => 0..number.min(pieces.len()),
            (false, Some('+')) => number.saturating_sub(1).min(pieces.len())..pieces.len(),
            (false, _) => pieces.len().saturating_sub(number)..pieces.len(),
        };
        Some(pieces[range].concat())
    })
}

pub(super) fn wc(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    let files: Vec<String> = arguments.iter().filter(|a| !a.starts_with('-') || *a == "-").cloned().collect();
    let flags: String =
        arguments.iter().filter(|a| a.starts_with('-')).flat_map(|a| a[1..].chars()).collect();
    if files.len() > 1 || flags.chars().count() != 1 {
        return Ok(Answer::Unknown);
    }
    let name = files.first().map(|file| format!(" {file}")).unwrap_or_default();
    let flag = flags.chars().next().unwrap_or('l');
    if !"lwcm".contains(flag) {
        return Ok(Answer::Unknown);
    }
    shell.filter_files(&files, |text| {
        if flag == 'm' && !text.is_ascii() {
            return None;
        }
        let count = match flag {
            'l' => text.matches('\n').count(),
            'w' => text.split_whitespace().count(),
            'c' => text.len(),
            _ => text.chars().count(),
        };
        Some(format!("{count}{name}\n"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agree, are_unknown};

    #[test]
    fn the_same_lines_are_left() {
        agree(
            "cat",
            &[
                (&[], "a\nb", "a\nb", 0),
                (&["a.txt", "sub/b.c"], "", "one\ntwo\nthree\nint b;\n", 0),
                (&["nothing", "sub/b.c"], "", "int b;\n", 1),
                (&["-"], "a\n", "a\n", 0),
            ],
        );
        agree("tac", &[(&[], "a\nb\n", "b\na\n", 0), (&["a.txt"], "", "three\ntwo\none\n", 0)]);
        agree("rev", &[(&[], "ab\ncd\n", "ba\ndc\n", 0)]);
        agree(
            "head",
            &[
                (&["-n", "1"], "a\nb\n", "a\n", 0),
                (&["-n-1"], "a\nb\nc\n", "a\nb\n", 0),
                (&["-1", "a.txt"], "", "one\n", 0),
                (&["-c", "2"], "abc\n", "ab", 0),
                (&["--lines=9"], "a", "a", 0),
                (&["-n1", "nothing"], "", "", 1),
            ],
        );
        agree(
            "tail",
            &[
                (&["-n1"], "a\nb\n", "b\n", 0),
                (&["-n", "+2"], "a\nb\nc\n", "b\nc\n", 0),
                (&["-2", "a.txt"], "", "two\nthree\n", 0),
                (&["-c3"], "abcd\n", "cd\n", 0),
                (&["-n0"], "a\n", "", 0),
            ],
        );
        are_unknown("cat", &[(&["-n"], "a\n")]);
        are_unknown("tac", &[(&[], "a\nb")]);
        are_unknown("head", &[(&["-n", "1k"], "a\n"), (&["a.txt", "config"], ""), (&["-v"], "a\n")]);
        are_unknown("tail", &[(&["-f"], "a\n"), (&["+2"], "a\n")]);
    }

    #[test]
    fn the_same_is_counted() {
        agree(
            "wc",
            &[
                (&["-l"], "a\nb", "1\n", 0),
                (&["-w"], "a b\n c\n", "3\n", 0),
                (&["-c"], "abc\n", "4\n", 0),
                (&["-l", "a.txt"], "", "3 a.txt\n", 0),
                (&["-l", "nothing"], "", "", 1),
            ],
        );
        are_unknown("wc", &[(&[], "a\n"), (&["-lw"], "a\n"), (&["-m"], "ä")]);
    }
}
