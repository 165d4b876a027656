//! `grep`, `egrep`, `fgrep`: lines that match, counted, or the parts that match.
//!
//! What an expression means is in [`super::pattern`].

use super::super::{Flow, Shell, pattern};
use super::{Answer, Source, packages};

/// What an expression is written in where no flag says so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Basic,
    Extended,
    Fixed,
}

pub(super) fn grep(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    search(shell, arguments, Dialect::Basic)
}

pub(super) fn egrep(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    search(shell, arguments, Dialect::Extended)
}

pub(super) fn fgrep(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    search(shell, arguments, Dialect::Fixed)
}

fn search(shell: &mut Shell<'_>, arguments: &[String], dialect: Dialect) -> Result<Answer, Flow> {
    let mut flags = String::new();
    let mut patterns = Vec::new();
    let mut rest = Vec::new();
    let mut most = usize::MAX;
    let mut i = 0;
    while i < arguments.len() {
        let argument = arguments[i].as_str();
        match argument {
            "--" => {
                rest.extend(arguments[i + 1..].iter().cloned());
                break;
            }
            "--quiet" | "--silent" => flags.push('q'),
            "--extended-regexp" => flags.push('E'),
            "--fixed-strings" => flags.push('F'),
            "--ignore-case" => flags.push('i'),
            "--count" => flags.push('c'),
            "--only-matching" => flags.push('o'),
            "--invert-match" => flags.push('v'),
            "--no-messages" => flags.push('s'),
            "--color=never" | "--color=auto" => {}
            _ if argument.starts_with("--") => return Ok(Answer::Unknown),
            _ if argument.starts_with('-') && argument.len() > 1 => {
                let letters: Vec<char> = argument[1..].chars().collect();
                for (k, letter) in letters.iter().enumerate() {
                    if matches!(letter, 'e' | 'm') {
                        let inline: String = letters[k + 1..].iter().collect();
                        let value = if inline.is_empty() {
                            i += 1;
                            arguments.get(i).cloned().unwrap_or_default()
                        } else {
                            inline
                        };
                        if *letter == 'e' {
                            patterns.push(value);
                        } else {
                            let Ok(number) = value.parse() else { return Ok(Answer::Unknown) };
                            most = number;
                        }
                        break;
                    }
                    flags.push(*letter);
                }
            }
            _ => rest.push(argument.to_owned()),
        }
        i += 1;
    }
    if flags.contains(|c| !"qEFGicovswxhHna".contains(c)) {
        return Ok(Answer::Unknown);
    }
    if patterns.is_empty() {
        if rest.is_empty() {
            return Ok(Answer::Fails(String::new(), 2));
        }
        patterns.push(rest.remove(0));
    }
    if rest.is_empty() && flags.is_empty() && packages::are_read(shell) {
        // a base system has no headers of libraries, and no drivers
        let brought = |name: &String| {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            plain && ["-dev", "-devel", "-dkms"].iter().any(|ending| name.ends_with(ending))
        };
        if patterns.iter().all(brought) {
            shell.note_assumed(&format!("the package `{}`", patterns.join("`, `")));
            return Ok(Answer::Known(String::new(), 1));
        }
    }
    let is_word = |text: &String| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if flags.contains('w') && !patterns.iter().all(is_word) || flags.contains('E') && flags.contains('F') {
        return Ok(Answer::Unknown);
    }
    let extended = flags.contains('E') || dialect == Dialect::Extended;
    let fixed = flags.contains('F') || dialect == Dialect::Fixed;
    let Some(regexes) = compile_patterns(&patterns, extended, fixed, &flags) else {
        return Ok(Answer::Unknown);
    };
    let prefix = rest.len() > 1 && !flags.contains('h') || flags.contains('H');
    if prefix && !flags.contains(['q', 'c']) || flags.contains('n') {
        return Ok(Answer::Unknown);
    }
    let (text, absent) = match shell.source_of(&rest)? {
        Source::Text(text) => (text, false),
        Source::Absent(text) => (text, true),
        Source::Unknown => return Ok(Answer::Unknown),
    };
    let mut out = String::new();
    let mut count = 0;
    let mut budget = pattern::TRIES;
    for line in text.split_terminator('\n') {
        if count >= most {
            break;
        }
        let hit = regexes.iter().any(|regex| regex.is_match(line));
        if hit == flags.contains('v') {
            continue;
        }
        count += 1;
        if flags.contains('o') {
            let [regex] = regexes.as_slice() else { return Ok(Answer::Unknown) };
            for found in regex.find_iter(line).filter(|found| !found.is_empty()) {
                if !pattern::is_longest(regex, line, found.range(), &mut budget) {
                    return Ok(Answer::Unknown);
                }
                out.push_str(found.as_str());
                out.push('\n');
            }
        } else {
            out.push_str(line);
            out.push('\n');
        }
    }
    shell.charge_tries(budget)?;
    if flags.contains('q') {
        out.clear();
        if count > 0 {
            return Ok(Answer::Known(out, 0));
        }
    } else if flags.contains('c') {
        if rest.len() > 1 {
            return Ok(Answer::Unknown);
        }
        out = if absent { String::new() } else { format!("{count}\n") };
    }
    Ok(if absent { Answer::Fails(out, 2) } else { Answer::Known(out, u8::from(count == 0)) })
}

fn compile_patterns(
    patterns: &[String],
    extended: bool,
    fixed: bool,
    flags: &str,
) -> Option<Vec<regex::Regex>> {
    let ignore_case = flags.contains('i');
    let mut regexes = Vec::new();
    for pattern in patterns.iter().flat_map(|pattern| pattern.split('\n')) {
        let body = if fixed {
            pattern::quote(pattern)
        } else if extended {
            pattern.to_owned()
        } else {
            pattern::basic_to_extended(pattern)
        };
        let body = if flags.contains('x') {
            format!("^({body})$")
        } else if flags.contains('w') {
            format!("\\b({body})\\b")
        } else {
            body
        };
        regexes.push(pattern::extended(&body, ignore_case)?);
    }
    Some(regexes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agree, are_unknown};

    const TEXT: &str = "CONFIG_X=y\nconfig_x=n\nfoo.bar\nfooxbar\n";

    #[test]
    fn lines_are_found_as_grep_finds_them() {
        agree(
            "grep",
            &[
                (&["CONFIG"], TEXT, "CONFIG_X=y\n", 0),
                (&["none"], TEXT, "", 1),
                (&["-i", "config"], TEXT, "CONFIG_X=y\nconfig_x=n\n", 0),
                (&["-c", "foo"], TEXT, "2\n", 0),
                (&["-q", "foo"], TEXT, "", 0),
                (&["-v", "foo"], TEXT, "CONFIG_X=y\nconfig_x=n\n", 0),
                (&["-F", "foo.bar"], TEXT, "foo.bar\n", 0),
                (&["foo.bar"], TEXT, "foo.bar\nfooxbar\n", 0),
                (&["-E", "^(CONFIG|foo)\\."], TEXT, "foo.bar\n", 0),
                (&["-o", "[a-z]*_[a-z]*"], TEXT, "_\nconfig_x\n", 0),
                (&["-x", "foo.bar"], "foo.bar\nafoo.bar\n", "foo.bar\n", 0),
                (&["-w", "foo"], "foo bar\nfoobar\n", "foo bar\n", 0),
                (&["-m1", "foo"], TEXT, "foo.bar\n", 0),
                (&["-e", "X", "-e", "n$"], TEXT, "CONFIG_X=y\nconfig_x=n\n", 0),
                (&["CONFIG_DRM", "config"], "", "CONFIG_DRM=m\n", 0),
                (&["-s", "x", "nothing"], "", "", 2),
                (&["a\\|b"], "a\nb\nc\n", "a\nb\n", 0),
                (&["--", "-v"], "-v\n", "-v\n", 0),
                (&["x"], "no newline x", "no newline x\n", 0),
                (&[], "", "", 2),
            ],
        );
        agree("egrep", &[(&["^(CONFIG|foo)[._]"], TEXT, "CONFIG_X=y\nfoo.bar\n", 0)]);
        agree("fgrep", &[(&["o.b"], TEXT, "foo.bar\n", 0), (&["-o", "X="], TEXT, "X=\n", 0)]);
    }

    #[test]
    fn what_prints_names_and_numbers_is_not_known() {
        are_unknown(
            "grep",
            &[
                (&["-n", "a"], "a\n"),
                (&["a", "config", "a.txt"], ""),
                (&["-P", "a"], "a\n"),
                (&["-m", "x", "a"], ""),
            ],
        );
    }
}
