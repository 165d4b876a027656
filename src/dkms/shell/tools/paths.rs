//! `dirname`, `basename`, `readlink`, `realpath`: paths, and where they lead.
//!
//! Only whether something is there is looked up.

use super::super::Shell;
use super::super::files::normalise;
use super::Answer;

/// `dirname PATH…`.
pub(super) fn dirname(arguments: &[String]) -> Answer {
    let paths = match arguments {
        [first, rest @ ..] if first == "--" => rest,
        all if all.iter().any(|argument| argument.starts_with('-')) => return Answer::Unknown,
        all => all,
    };
    match paths {
        [] => Answer::Fails(String::new(), 1),
        paths => Answer::Known(paths.iter().map(|path| parent(path) + "\n").collect(), 0),
    }
}

/// `basename PATH [SUFFIX]` and `basename -a [-s SUFFIX] PATH…`.
pub(super) fn basename(arguments: &[String]) -> Answer {
    let (mut many, mut suffix, mut i) = (false, None, 0);
    while let Some(flags) = arguments.get(i).and_then(|argument| argument.strip_prefix('-')) {
        i += 1;
        match flags {
            "" => {
                i -= 1;
                break;
            }
            "-" => break,
            "a" | "-multiple" => many = true,
            "s" | "as" => {
                suffix = arguments.get(i).cloned();
                i += 1;
            }
            _ => match flags.strip_prefix("-suffix=").or_else(|| flags.strip_prefix('s')) {
                Some(text) => suffix = Some(text.to_owned()),
                None => return Answer::Unknown,
            },
        }
    }
    let paths = arguments.get(i..).unwrap_or_default();
    let suffix = suffix.as_deref();
    match paths {
        [] => Answer::Fails(String::new(), 1),
        [path, ending] if !many && suffix.is_none() => Answer::Known(last_part(path, ending) + "\n", 0),
        [_, _, _, ..] if !many && suffix.is_none() => Answer::Fails(String::new(), 1),
        paths => {
            Answer::Known(paths.iter().map(|path| last_part(path, suffix.unwrap_or("")) + "\n").collect(), 0)
        }
    }
}

/// The path without its last part.
fn parent(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return if path.is_empty() { "." } else { "/" }.to_owned();
    }
    match trimmed.rfind('/') {
        None => ".".to_owned(),
        Some(at) => {
            let parent = trimmed[..at].trim_end_matches('/');
            if parent.is_empty() { "/".to_owned() } else { parent.to_owned() }
        }
    }
}

/// The last part of a path without a suffix.
fn last_part(path: &str, suffix: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return if path.is_empty() { "" } else { "/" }.to_owned();
    }
    let name = trimmed.rsplit('/').next().unwrap_or(trimmed);
    match name.strip_suffix(suffix) {
        Some(stem) if !stem.is_empty() => stem.to_owned(),
        _ => name.to_owned(),
    }
}

/// The path itself, since trees have no links in them; where a kernel's folders lead is not known.
fn resolved(shell: &mut Shell<'_>, path: &str) -> Answer {
    match shell.test_file('e', path) {
        Some(true) if !path.starts_with("/lib/modules") => {
            Answer::Known(format!("{}\n", normalise(&shell.state.directory, path)), 0)
        }
        _ => Answer::Unknown,
    }
}

pub(super) fn readlink(shell: &mut Shell<'_>, arguments: &[String]) -> Answer {
    match arguments {
        [flag, path] if ["-f", "-m", "-e"].contains(&flag.as_str()) && !path.starts_with('-') => {
            resolved(shell, path)
        }
        _ => Answer::Unknown,
    }
}

pub(super) fn realpath(shell: &mut Shell<'_>, arguments: &[String]) -> Answer {
    match arguments {
        [path] if !path.starts_with('-') => resolved(shell, path),
        _ => readlink(shell, arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agree, answers, are_unknown};

    #[test]
    fn paths_have_the_same_parts() {
        agree(
            "dirname",
            &[
                (&["/a/b.ko"], "", "/a\n", 0),
                (&["a"], "", ".\n", 0),
                (&["/"], "", "/\n", 0),
                (&["//a//"], "", "/\n", 0),
                (&["a//b", "c/d/"], "", "a\nc\n", 0),
                (&["--", "-a/b"], "", "-a\n", 0),
                (&[""], "", ".\n", 0),
                (&[], "", "", 1),
            ],
        );
        agree(
            "basename",
            &[
                (&["/a/b.ko"], "", "b.ko\n", 0),
                (&["/a/b.ko", ".ko"], "", "b\n", 0),
                (&[".ko", ".ko"], "", ".ko\n", 0),
                (&["a/b/"], "", "b\n", 0),
                (&["/"], "", "/\n", 0),
                (&["-a", "a/b", "c/d"], "", "b\nd\n", 0),
                (&["-s", ".c", "a.c", "b.c"], "", "a\nb\n", 0),
                (&["--suffix=.c", "a.c"], "", "a\n", 0),
                (&["a", "b", "c"], "", "", 1),
                (&[], "", "", 1),
            ],
        );
        are_unknown("dirname", &[(&["-z", "a"], "")]);
        are_unknown("basename", &[(&["-z", "a"], "")]);
    }

    #[test]
    fn a_path_that_is_there_leads_to_itself() {
        answers(
            "realpath",
            &[(&["sub/../a.txt"], "", "/folder/a.txt\n", 0), (&["-e", "sub"], "", "/folder/sub\n", 0)],
        );
        answers("readlink", &[(&["-f", "./sub"], "", "/folder/sub\n", 0)]);
        are_unknown("realpath", &[(&["nothing"], "")]);
        are_unknown("readlink", &[(&["a.txt"], ""), (&["-f", "/lib/modules"], "")]);
    }
}
