//! `sort` and `uniq`: the order of lines, by bytes, numbers or versions.
//!
//! A locale has an order of its own, so only ASCII is known.

use std::cmp::Ordering;

use super::super::{Flow, Shell};
use super::{Answer, Source};

pub(super) fn sort(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    let mut flags = String::new();
    let mut files = Vec::new();
    for argument in arguments {
        match argument.as_str() {
            "--version-sort" => flags.push('V'),
            "--reverse" => flags.push('r'),
            "--unique" => flags.push('u'),
            "--check" | "--check=quiet" | "--check=silent" => flags.push('C'),
            "--numeric-sort" => flags.push('n'),
            "-" => files.push(argument.clone()),
            _ if argument.starts_with("--") => return Ok(Answer::Unknown),
            _ => match argument.strip_prefix('-') {
                Some(letters) => flags.push_str(letters),
                None => files.push(argument.clone()),
            },
        }
    }
    if flags.contains(|c| !"VrunCc".contains(c)) {
        return Ok(Answer::Unknown);
    }
    let (text, absent) = match shell.source_of(&files)? {
        Source::Text(text) => (text, false),
        Source::Absent(text) => (text, true),
        Source::Unknown => return Ok(Answer::Unknown),
    };
    if absent {
        return Ok(Answer::Fails(String::new(), 2));
    }
    let compare = |a: &&str, b: &&str| {
        let ordering = if flags.contains('V') {
            compare_versions(a, b)
        } else if flags.contains('n') {
            leading_number(a).total_cmp(&leading_number(b))
        } else {
            a.cmp(b)
        };
        let ordering = if flags.contains('u') { ordering } else { ordering.then_with(|| a.cmp(b)) };
        if flags.contains('r') { ordering.reverse() } else { ordering }
    };
    // a locale has an order of its own
    if !text.is_ascii() {
        return Ok(Answer::Unknown);
    }
    let mut lines: Vec<&str> = text.split_terminator('\n').collect();
    shell.step(u64::try_from(lines.len()).unwrap_or(u64::MAX))?;
    if flags.contains(['C', 'c']) {
        let strict = flags.contains('u');
        let sorted = lines.windows(2).all(|pair| {
            let ordering = compare(&pair[0], &pair[1]);
            ordering.is_lt() || (ordering.is_eq() && !strict)
        });
        return Ok(if sorted || flags.contains('C') {
            Answer::Known(String::new(), u8::from(!sorted))
        } else {
            Answer::Fails(String::new(), 1)
        });
    }
    lines.sort_by(compare);
    if flags.contains('u') {
        lines.dedup_by(|a, b| compare(&&**a, &&**b).is_eq());
    }
    Ok(Answer::Known(lines.iter().flat_map(|line| [*line, "\n"]).collect(), 0))
}

pub(super) fn uniq(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    if arguments.len() > 1 {
        return Ok(Answer::Unknown);
    }
    shell.filter(arguments, |text| {
        let mut lines: Vec<&str> = text.split_terminator('\n').collect();
        lines.dedup();
        Some(lines.iter().flat_map(|line| [*line, "\n"]).collect())
    })
}

fn leading_number(text: &str) -> f64 {
    let text = text.trim_start();
    let sign = usize::from(text.starts_with('-'));
    let mut dots = 0;
    let end = text[sign..].find(|c: char| {
        dots += usize::from(c == '.');
        !c.is_ascii_digit() && (c != '.' || dots > 1)
    });
    text[..end.map_or(text.len(), |end| sign + end)].parse().unwrap_or(0.0)
}

/// GNU `sort -V`: gnulib's filevercmp for names without file suffixes.
#[allow(clippy::many_single_char_names, reason = "two positions in two texts")]
pub(crate) fn compare_versions(a: &str, b: &str) -> Ordering {
    let order = |c: Option<u8>| match c {
        None => -1i32,
        Some(b'~') => -2,
        Some(b) if b.is_ascii_digit() => 0,
        Some(b) if b.is_ascii_alphabetic() => i32::from(b),
        Some(b) => i32::from(b) + 256,
    };
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let (mut i, mut k) = (0, 0);
    while i < a.len() || k < b.len() {
        while (i < a.len() && !a[i].is_ascii_digit()) || (k < b.len() && !b[k].is_ascii_digit()) {
            let (x, y) = (order(a.get(i).copied()), order(b.get(k).copied()));
            if x != y {
                return x.cmp(&y);
            }
            i += 1;
            k += 1;
        }
        while a.get(i) == Some(&b'0') {
            i += 1;
        }
        while b.get(k) == Some(&b'0') {
            k += 1;
        }
        let digits = |text: &[u8], from: usize| {
            text[from.min(text.len())..].iter().take_while(|b| b.is_ascii_digit()).count()
        };
        let (x, y) = (digits(a, i), digits(b, k));
        let (left, right) =
            (&a[i.min(a.len())..(i + x).min(a.len())], &b[k.min(b.len())..(k + y).min(b.len())]);
        let ordering = x.cmp(&y).then_with(|| left.cmp(right));
        if ordering.is_ne() {
            return ordering;
        }
        i += x;
        k += y;
    }
    Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agree, are_unknown};

    #[test]
    fn lines_have_the_order_that_sort_gives_them() {
        agree(
            "sort",
            &[
                (&[], "b\na\nB\n", "B\na\nb\n", 0),
                (&["-r"], "a\nc\nb\n", "c\nb\na\n", 0),
                (&["-u"], "b\na\nb\n", "a\nb\n", 0),
                (&["-n"], "10\n9\n-1\nx\n1.5\n", "-1\nx\n1.5\n9\n10\n", 0),
                (&["-nr"], "2\n10\n", "10\n2\n", 0),
                (&["-V"], "1.10\n1.9\n1.9~rc1\n", "1.9~rc1\n1.9\n1.10\n", 0),
                (&["-V"], "3.1.4\n3.10\n3.1\n3.1a\n3.1-1\n", "3.1\n3.1a\n3.1-1\n3.1.4\n3.10\n", 0),
                (&["-rV"], "6.1.0-9\n6.1.0-49\n", "6.1.0-49\n6.1.0-9\n", 0),
                (&["-C"], "b\na\n", "", 1),
                (&["-c"], "a\nb\n", "", 0),
                (&["-c"], "b\na\n", "", 1),
                (&["-Vc"], "1.9\n1.10\n", "", 0),
                (&["-uC"], "a\na\n", "", 1),
                (&["a.txt"], "", "one\nthree\ntwo\n", 0),
                (&["nothing"], "", "", 2),
            ],
        );
        are_unknown("sort", &[(&["-k2"], "a b\n"), (&[], "ä\n"), (&["--key=2"], "a b\n")]);
        agree("uniq", &[(&[], "a\na\nb\na\n", "a\nb\na\n", 0), (&["a.txt"], "", "one\ntwo\nthree\n", 0)]);
        are_unknown("uniq", &[(&["-c"], "a\n")]);
    }
}
