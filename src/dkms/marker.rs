//! Template markers that nobody replaced: `@X@`, `#X#`, `__X`, `X_PLACEHOLDER` and their like.
//!
//! Must be sure: what may be a C macro, a pattern or a redirection is none.

/// The pairs of characters that markers stand between.
const PAIRS: [(&str, &str); 8] =
    [("@", "@"), ("#", "#"), ("__", "__"), ("${", "}"), ("%{", "}"), ("%", "%"), ("{{", "}}"), ("<", ">")];

/// How far from its beginning the end of a marker is looked for.
const REACH: usize = 100;

/// A marker in a name or a version, in which anything of the shape of a marker is one.
pub(super) fn in_name(text: &str) -> Option<String> {
    for (open, close) in PAIRS {
        let mut rest = text;
        while let Some((_, tail)) = rest.split_once(open) {
            let Some((inner, _)) = tail.split_once(close) else { break };
            let is_word = inner.starts_with(|c: char| c.is_ascii_alphabetic())
                && inner.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' ' | '.'));
            if is_word {
                return Some(format!("{open}{inner}{close}"));
            }
            rest = tail;
        }
    }
    let word = |word: &&str| is_underlined(word) || names_a_placeholder(word);
    if let Some(word) = words(text).find(word) {
        return Some(word.to_owned());
    }
    // the name of a value alone, such as `DKMS_VERSION`
    let capital = text.contains('_') && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    (capital && ["VERSION", "_NAME"].iter().any(|end| text.ends_with(end))).then(|| text.to_owned())
}

/// A marker in any other value, such as a command line or a pattern.
pub(super) fn in_value(text: &str) -> Option<&str> {
    PAIRS.iter().filter(|(open, _)| *open != "__").find_map(|pair| paired(text, *pair)).or_else(|| {
        words(text).find(|word| {
            let at = word.as_ptr() as usize - text.as_ptr() as usize;
            (is_underlined(word) || names_a_placeholder(word)) && !is_macro(text, at, word.len())
        })
    })
}

/// As much of a text as a marker can be long, so that looking for its end takes no time in a long one.
fn start(text: &str) -> &str {
    &text[..(0..=text.len().min(REACH)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)]
}

/// The last part of a text; see [`start`].
fn end(text: &str) -> &str {
    let from = text.len().saturating_sub(REACH);
    &text[(from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())..]
}

/// The marker that a line consists of.
pub(super) fn line(text: &str) -> Option<&str> {
    let text = text.trim();
    let inside = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    let is_whole =
        inside("@", "@").is_some_and(is_capital) || is_underlined(text) || names_a_placeholder(text);
    is_whole.then_some(text)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

fn is_capital(word: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    word.len() > 2 && word.bytes().all(allowed) && word.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// `__JOBS`, `__VERSION__`.
fn is_underlined(word: &str) -> bool {
    word.strip_prefix("__").is_some_and(|rest| is_capital(rest) && !rest.starts_with('_'))
}

fn names_a_placeholder(word: &str) -> bool {
    is_capital(word) && (word.ends_with("PLACEHOLDER") || word.starts_with("PLACEHOLDER"))
}

/// What a compiler is told to define, what a make variable is given a name by, and what has the value of a C macro.
fn is_macro(text: &str, at: usize, length: usize) -> bool {
    let before = end(&text[..at]).trim_end_matches(['"', '\'', '\\']);
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let bare = before.trim_end();
    ["-D", "-U"].iter().any(|option| {
        word.trim_start_matches(['"', '\'']).contains(option) || word.is_empty() && bare.ends_with(option)
    }) || before.ends_with(['$', '{', '('])
        || text[at + length..].starts_with(['=', '('])
}

/// A marker between two characters, as a word or a part of a path.
fn paired<'a>(text: &'a str, (open, close): (&str, &str)) -> Option<&'a str> {
    text.match_indices(open).find_map(|(at, _)| {
        let rest = &text[at + open.len()..];
        let length = start(rest).find(close)?;
        let (inner, end) = (&rest[..length], at + open.len() + length + close.len());
        // braces say enough; `${x}` in a value that bash has read was quoted for make or a shell
        let is_word = match open {
            "@" | "<" | "{{" | "%{" => {
                inner.trim().len() > 1 && words(inner.trim()).count() == 1 && !inner.contains('\n')
            }
            "${" => ["PROJECT_", "CMAKE_", "CPACK_"].iter().any(|start| inner.starts_with(start)),
            _ => is_capital(inner),
        };
        let before = text[..at].chars().next_back();
        let after = text[end..].chars().next();
        let apart = |next: Option<char>| next.is_none_or(|next| !next.is_ascii_alphanumeric() && next != '_');
        let fits = match open {
            // `s#A#B#` of sed, `user@host`
            "@" | "#" | "%" => apart(before) && apart(after) && before != Some('\\'),
            // a redirection, a pattern's `\<word\>`
            "<" => apart(before) && apart(after) && !matches!(before, Some('<' | '\\')) && is_capital(inner),
            _ => true,
        };
        (is_word && fits).then(|| &text[at..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_seen_in_a_command() {
        for (text, marker) in [
            ("make CFLAGS_MODULE+=@CFLGS@", "@CFLGS@"),
            ("make M=/usr/src/toy-#MODULE_VERSION#", "#MODULE_VERSION#"),
            ("'make' __JOBS modules", "__JOBS"),
            ("make X='__EXCLUDE_MODULES' modules", "__EXCLUDE_MODULES"),
            ("make M=/var/lib/dkms/toy/__VERSION__/build", "__VERSION__"),
            ("make -j JOBS_PLACEHOLDER", "JOBS_PLACEHOLDER"),
            ("make X={{ flags }}", "{{ flags }}"),
            ("make X=<FLAGS>", "<FLAGS>"),
            ("make X=%FLAGS%", "%FLAGS%"),
            ("make X=%{version}", "%{version}"),
            ("toy-${PROJECT_VERSION}", "${PROJECT_VERSION}"),
        ] {
            assert_eq!(in_value(text), Some(marker), "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_marker_is_none() {
        for text in [
            "make CF=-D__CHECK_ENDIAN__",
            "make EXTRA_CFLAGS='-D__KERNEL__ -DV=__stringify(1)'",
            "make KCFLAGS=\"-D __KERNEL__\"",
            "make __CONFIG_X=1",
            "sed s#A#B# x; sed 's#FOO#BAR#' y",
            "date +%Y%m%d",
            "cat <in >out; cat < in > out",
            "^(5\\.[0-9]+|6\\.#).*$",
            "\\<word\\>",
            "user@host.example@x",
            "make ${X} $(Y) $${Z}",
            "CONFIG_A !CONFIG_B",
            "DKMS_VERSION=1",
        ] {
            assert_eq!(in_value(text), None, "{text}");
        }
    }

    #[test]
    fn the_name_of_a_value_is_no_version() {
        for text in ["DKMS_VERSION", "x-PLACEHOLDER", "@x@", "__VERSION_STRING", "%{version}"] {
            assert!(in_name(text).is_some(), "{text}");
        }
        for text in ["1.0", "VERSION", "toy_version", "1.0__2"] {
            assert_eq!(in_name(text), None, "{text}");
        }
    }

    #[test]
    fn a_line_may_be_a_marker() {
        assert_eq!(line("  __DKMS_MODULES\n"), Some("__DKMS_MODULES"));
        assert_eq!(line("@MODULES@"), Some("@MODULES@"));
        for text in ["# __X__", "__MODULES=1", "", "fi"] {
            assert_eq!(line(text), None, "{text}");
        }
    }
}
