//! `seq`: whole numbers, one a line.
//!
//! Other numbers and formats are not known.

use super::Answer;

pub(super) fn seq(arguments: &[String]) -> Answer {
    let numbers: Option<Vec<i64>> = arguments.iter().map(|argument| argument.parse().ok()).collect();
    let (first, step, last) = match numbers.as_deref() {
        Some([last]) => (1, 1, *last),
        Some([first, last]) => (*first, 1, *last),
        Some([first, step, last]) if *step != 0 => (*first, *step, *last),
        _ => return Answer::Unknown,
    };
    if first.abs_diff(last) / step.unsigned_abs() > 100_000 {
        return Answer::Unknown;
    }
    let (mut out, mut value) = (String::new(), first);
    while (step > 0 && value <= last) || (step < 0 && value >= last) {
        out.push_str(&format!("{value}\n"));
        match value.checked_add(step) {
            Some(next) => value = next,
            None => break,
        }
    }
    Answer::Known(out, 0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agree, are_unknown};

    #[test]
    fn numbers_are_counted_as_seq_counts_them() {
        agree(
            "seq",
            &[
                (&["3"], "", "1\n2\n3\n", 0),
                (&["2", "3"], "", "2\n3\n", 0),
                (&["1", "2", "4"], "", "1\n3\n", 0),
                (&["3", "-1", "2"], "", "3\n2\n", 0),
                (&["0"], "", "", 0),
                (&["2", "1"], "", "", 0),
            ],
        );
        are_unknown(
            "seq",
            &[
                (&[], ""),
                (&["a"], ""),
                (&["1.5"], ""),
                (&["-w", "3"], ""),
                (&["1", "0", "2"], ""),
                (&["99999999"], ""),
            ],
        );
    }
}
