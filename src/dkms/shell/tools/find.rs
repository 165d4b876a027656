//! `find` and `ls`: what folders hold.
//!
//! No actions but printing; the order of a directory is sorted, since it is nobody's promise.

use super::super::{Flow, Shell, pattern};
use super::Answer;

/// `find [FOLDER…]` with tests on names, types and depth; no actions but `-print`.
pub(super) fn find(shell: &mut Shell<'_>, arguments: &[String]) -> Result<Answer, Flow> {
    let Some(search) = Search::parse(arguments) else { return Ok(Answer::Unknown) };
    let mut out = String::new();
    let mut seen = 0;
    let mut failed = false;
    for start in &search.starts {
        match shell.test_file('e', start) {
            Some(true) => {}
            Some(false) => {
                failed = true;
                continue;
            }
            None => return Ok(Answer::Unknown),
        }
        let mut left = vec![(start.clone(), 0)];
        while let Some((path, depth)) = left.pop() {
            shell.step(1)?;
            let Some(named) = search.accepts(&path, depth) else { return Ok(Answer::Unknown) };
            let descends = depth < search.deepest;
            let mut is_folder = false;
            if descends || named && search.folders.is_some() {
                let Some(known) = shell.test_file('d', &path) else { return Ok(Answer::Unknown) };
                is_folder = known;
            }
            if named && search.folders.is_none_or(|folders| folders == is_folder) {
                out.push_str(&format!("{path}\n"));
            }
            if is_folder && descends {
                let Some(mut names) = shell.list_directory(&path) else { return Ok(Answer::Unknown) };
                // the order of a directory is nobody's promise; bytes, last first since this is a stack
                names.sort_unstable_by(|one, other| other.cmp(one));
                let folder = path.trim_end_matches('/');
                left.extend(names.into_iter().map(|name| (format!("{folder}/{name}"), depth + 1)));
            }
            seen += 1;
            shell.check_size(seen)?;
        }
    }
    Ok(if failed { Answer::Fails(out, 1) } else { Answer::Known(out, 0) })
}

/// What a `find` looks for.
struct Search {
    starts: Vec<String>,
    shallowest: usize,
    deepest: usize,
    folders: Option<bool>,
    /// Patterns, whether they are about the whole path, and whether case matters.
    patterns: Vec<(String, bool, bool)>,
}

impl Search {
    fn parse(arguments: &[String]) -> Option<Self> {
        let first =
            arguments.iter().position(|word| word.starts_with(['-', '(', '!'])).unwrap_or(arguments.len());
        let (starts, tests) = arguments.split_at(first);
        let mut search = Self {
            starts: if starts.is_empty() { vec![".".to_owned()] } else { starts.to_vec() },
            shallowest: 0,
            deepest: usize::MAX,
            folders: None,
            patterns: Vec::new(),
        };
        let mut tests = tests.iter().map(String::as_str);
        while let Some(test) = tests.next() {
            match test {
                "-print" => {}
                "-maxdepth" => search.deepest = tests.next()?.parse().ok()?,
                "-mindepth" => search.shallowest = tests.next()?.parse().ok()?,
                "-type" => {
                    search.folders = Some(match tests.next()? {
                        "d" => true,
                        "f" => false,
                        _ => return None,
                    });
                }
                "-name" | "-iname" | "-path" | "-wholename" => {
                    let whole = matches!(test, "-path" | "-wholename");
                    search.patterns.push((tests.next()?.to_owned(), whole, test == "-iname"));
                }
                _ => return None,
            }
        }
        Some(search)
    }

    /// Nothing: a pattern is beyond us.
    fn accepts(&self, path: &str, depth: usize) -> Option<bool> {
        let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or(path);
        for (text, whole, ignore_case) in &self.patterns {
            let glob = pattern::Glob::new(text, *ignore_case);
            if !glob.matches(if *whole { path } else { name })? {
                return Some(false);
            }
        }
        Some(depth >= self.shallowest)
    }
}

pub(super) fn ls(shell: &mut Shell<'_>, arguments: &[String]) -> Answer {
    let paths = operands(arguments);
    let flags: String =
        arguments.iter().filter(|a| a.starts_with('-')).flat_map(|a| a[1..].chars()).collect();
    if flags.contains(|c| !"1dA".contains(c)) {
        return Answer::Unknown;
    }
    let mut out = String::new();
    let mut failed = false;
    for path in &paths {
        match (shell.test_file('d', path), shell.test_file('e', path)) {
            (_, Some(false)) => failed = true,
            (Some(true), _) if !flags.contains('d') && paths.len() == 1 => {
                let Some(mut names) = shell.list_directory(path) else { return Answer::Unknown };
                names.retain(|name| flags.contains('A') || !name.starts_with('.'));
                names.sort();
                for name in names {
                    out.push_str(&format!("{name}\n"));
                }
            }
            (Some(false), Some(true)) => out.push_str(&format!("{path}\n")),
            (Some(true), _) if flags.contains('d') => out.push_str(&format!("{path}\n")),
            _ => return Answer::Unknown,
        }
    }
    if paths.is_empty() {
        return Answer::Unknown;
    }
    if failed { Answer::Fails(out, 2) } else { Answer::Known(out, 0) }
}

fn operands(arguments: &[String]) -> Vec<String> {
    arguments.iter().filter(|argument| !argument.starts_with('-') || argument.len() == 1).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agree, answers, are_unknown};

    #[test]
    fn folders_hold_the_same() {
        agree(
            "find",
            &[
                (&["sub", "-name", "d.c"], "", "sub/deep/d.c\n", 0),
                (&["-name", "b*"], "", "./sub/b.c\n", 0),
                (&["sub", "-type", "d", "-name", "d*"], "", "sub/deep\n", 0),
                (&["sub", "-maxdepth", "1", "-iname", "*.H"], "", "sub/c.h\n", 0),
                (&["sub", "-mindepth", "2"], "", "sub/deep/d.c\n", 0),
                (&["a.txt", "-print"], "", "a.txt\n", 0),
                (&["sub", "-path", "*deep*", "-type", "f"], "", "sub/deep/d.c\n", 0),
                (&["nothing"], "", "", 1),
            ],
        );
        // in which order is the file system's choice
        answers("find", &[(&["sub", "-name", "*.c"], "", "sub/b.c\nsub/deep/d.c\n", 0)]);
        are_unknown(
            "find",
            &[(&[".", "-exec", "x", ";"], ""), (&[".", "-name", "a", "-o", "-name", "b"], "")],
        );
        agree(
            "ls",
            &[
                (&["sub"], "", "b.c\nc.h\ndeep\n", 0),
                (&["-1", "sub"], "", "b.c\nc.h\ndeep\n", 0),
                (&["-d", "sub"], "", "sub\n", 0),
                (&["a.txt"], "", "a.txt\n", 0),
                (&["nothing"], "", "", 2),
                (&["a.txt", "nothing"], "", "a.txt\n", 2),
            ],
        );
        are_unknown("ls", &[(&["-l", "sub"], ""), (&[], ""), (&["sub", "sub/deep"], "")]);
    }
}
