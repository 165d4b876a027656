//! Where a command substitution ends: its text is a script of its own, with quotes, comments, here-documents and `case` patterns.
//!
//! Must not know what a command means.

use super::expand::{closing, end_of_double};

/// What is open inside of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Parenthesis,
    /// `case`, before its `in`.
    Subject,
    Pattern,
    Body,
}

/// Words that a command follows.
const BEFORE_COMMANDS: [&str; 10] = ["if", "then", "elif", "else", "while", "until", "do", "{", "!", "time"];

struct Scan<'t> {
    text: &'t str,
    at: usize,
    open: Vec<Open>,
    /// A word here would be a command or a keyword.
    is_command: bool,
    /// Here-documents that begin behind this line, with whether their tabs go.
    documents: Vec<(String, bool)>,
    /// Whether it is to tell the substitutions on the way.
    collects: bool,
    /// These: what stands between their parentheses.
    inner: Vec<std::ops::Range<usize>>,
}

/// The offset of the `)` that ends a `$(` or `<(` whose inside begins at `at`.
pub(super) fn end_of_substitution(text: &str, at: usize) -> Option<usize> {
    if let Some(end) = end_of_arithmetic(text, at) {
        return Some(end);
    }
    // one of the two, since each looks at what is nested in it once more
    let difficult = ["<<", "case", "${"].iter().any(|sign| text[at..].contains(sign));
    if difficult { Scan::new(text, at, false).run().0 } else { closing(text, at, b'(', b')', false) }
}

/// The same of a `$((`, where the two close together.
pub(super) fn end_of_arithmetic(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut i, mut depth) = (at, 0usize);
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 1,
            quote @ (b'"' | b'\'') => i += 1 + text[i + 1..].find(char::from(quote))?,
            b'(' => depth += 1,
            b')' if depth == 1 => return (bytes.get(i + 1) == Some(&b')')).then_some(i + 1),
            b')' => depth -= 1,
            _ if depth == 0 => return None,
            _ => {}
        }
        i += 1;
    }
    None
}

/// The offset of the `'` that ends a `$'` whose inside begins at `at`, or the text's end.
pub(super) fn end_of_ansi(text: &str, at: usize) -> usize {
    let (bytes, mut end) = (text.as_bytes(), at);
    while end < bytes.len() && bytes[end] != b'\'' {
        end += 1 + usize::from(bytes[end] == b'\\');
    }
    end.min(bytes.len())
}

/// What the parser is not to see: what stands in the `$(…)` and `${…}` of a script, but not in those inside of them, and dollar signs that
/// begin no quote.
pub(super) fn misleading(text: &str) -> Vec<std::ops::Range<usize>> {
    Scan::new(text, 0, true).run().1
}

impl<'t> Scan<'t> {
    fn new(text: &'t str, at: usize, collects: bool) -> Self {
        Self {
            text,
            at,
            open: Vec::new(),
            is_command: true,
            documents: Vec::new(),
            collects,
            inner: Vec::new(),
        }
    }

    /// Where it ends, and the substitutions in it.
    fn run(mut self) -> (Option<usize>, Vec<std::ops::Range<usize>>) {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at).copied() {
            match byte {
                b')' => match self.open.last_mut() {
                    None => return (Some(self.at), self.inner),
                    Some(top @ Open::Pattern) => *top = Open::Body,
                    Some(Open::Parenthesis) => drop(self.open.pop()),
                    Some(Open::Subject | Open::Body) => return (None, self.inner),
                },
                b'(' => {
                    // a pattern may begin with one
                    let grouped = self.at > 0 && b"?*+@!".contains(&bytes[self.at - 1]);
                    if self.open.last() != Some(&Open::Pattern) || grouped {
                        self.open.push(Open::Parenthesis);
                    }
                }
                b'\n' => {
                    self.at += 1;
                    self.skip_documents();
                    self.is_command = true;
                    continue;
                }
                b'#' if self.at == 0 || b" \t\n;()&|".contains(&bytes[self.at - 1]) => {
                    self.at += self.text[self.at..].find('\n').unwrap_or(self.text.len() - self.at);
                    continue;
                }
                b';' if matches!(bytes.get(self.at + 1), Some(b';' | b'&')) => {
                    if let Some(top @ Open::Body) = self.open.last_mut() {
                        *top = Open::Pattern;
                    }
                    self.at += 1;
                }
                b'<' if self.text[self.at..].starts_with("<<<") => self.at += 2,
                b'<' if self.text[self.at..].starts_with("<<") => {
                    self.begin_document();
                    continue;
                }
                b' ' | b'\t' | b';' | b'&' | b'|' | b'<' | b'>' => {}
                _ => {
                    self.word();
                    continue;
                }
            }
            self.is_command |= b"();&|".contains(&byte);
            self.at += 1;
        }
        (None, self.inner)
    }

    /// Reads over a word, and over keywords of `case`.
    fn word(&mut self) {
        let start = self.at;
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')' => break,
                _ => self.part(),
            }
        }
        let word = &self.text[start..self.at];
        match (word, self.open.last()) {
            ("in", Some(Open::Subject)) => {
                self.open.pop();
                self.open.push(Open::Pattern);
            }
            ("esac", Some(Open::Pattern)) => drop(self.open.pop()),
            ("esac", Some(Open::Body)) if self.is_command => drop(self.open.pop()),
            ("case", top) if self.is_command && top != Some(&Open::Pattern) => self.open.push(Open::Subject),
            _ => {}
        }
        self.is_command = self.is_command && BEFORE_COMMANDS.contains(&word);
    }

    /// Reads over a character, or over something that is quoted or expands.
    fn part(&mut self) {
        let (bytes, at) = (self.text.as_bytes(), self.at);
        let end = match bytes[at] {
            b'\\' => {
                // the parser takes `\$'` for the beginning of `$'…'`, and `\$"` likewise
                if self.collects && matches!(bytes.get(at + 1..at + 3), Some(b"$'" | b"$\"")) {
                    self.inner.push(at + 1..at + 2);
                }
                Some(at + 2)
            }
            b'$' if bytes.get(at + 1) == Some(&b'\'') => Some(end_of_ansi(self.text, at + 2) + 1),
            b'$' if bytes.get(at + 1) == Some(&b'$') => Some(at + 2),
            b'\'' => self.text[at + 1..].find('\'').map(|length| at + length + 2),
            b'"' => {
                let end = end_of_double(self.text, at + 1);
                if self.collects {
                    self.note_quoted(at + 1, end.unwrap_or(bytes.len()));
                }
                end.map(|end| end + 1)
            }
            b'`' => {
                let mut end = at + 1;
                while end < bytes.len() && bytes[end] != b'`' {
                    end += 1 + usize::from(bytes[end] == b'\\');
                }
                Some(end + 1)
            }
            b'$' if matches!(bytes.get(at + 1), Some(b'{' | b'(')) => {
                let end = self.end_of_expansion(at, false);
                self.inner.extend(end.map(|end| at + 2..end));
                end.map(|end| end + 1)
            }
            _ => Some(at + 1),
        };
        self.at = end.unwrap_or(bytes.len()).min(bytes.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }

    /// The offset of what closes the `$(` or `${` at `at`.
    fn end_of_expansion(&self, at: usize, double: bool) -> Option<usize> {
        match self.text.as_bytes()[at + 1] {
            b'{' => closing(self.text, at + 2, b'{', b'}', double),
            _ => end_of_substitution(self.text, at + 2),
        }
    }

    /// The substitutions between double quotes.
    fn note_quoted(&mut self, from: usize, to: usize) {
        let bytes = self.text.as_bytes();
        let mut at = from;
        while at < to {
            match bytes[at] {
                b'\\' => at += 1,
                b'$' if matches!(bytes.get(at + 1), Some(b'{' | b'(')) => {
                    let Some(end) = self.end_of_expansion(at, true) else { return };
                    self.inner.push(at + 2..end);
                    at = end;
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn begin_document(&mut self) {
        self.at += 2;
        let tabs = self.text[self.at..].starts_with('-');
        self.at += usize::from(tabs);
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let start = self.at;
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            if b" \t\n;&|<>()".contains(byte) {
                break;
            }
            self.part();
        }
        let word = self.text[start..self.at].replace(['\'', '"', '\\'], "");
        self.documents.push((word, tabs));
    }

    /// Reads over the here-documents that begin on this line.
    fn skip_documents(&mut self) {
        for (word, tabs) in std::mem::take(&mut self.documents) {
            while self.at < self.text.len() {
                let rest = &self.text[self.at..];
                let line = rest.split('\n').next().unwrap_or_default();
                self.at = (self.at + line.len() + 1).min(self.text.len());
                if (if tabs { line.trim_start_matches('\t') } else { line }) == word {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_substitution_ends_where_bash_ends_it() {
        for inside in [
            r"echo \$'\' a-b",
            r"echo $'it\'s )' x",
            r#"echo $$'\' "a)b""#,
            "case x in x) echo y ;; esac",
            "cat <<E\n'\nE\n",
        ] {
            // by itself, and with what makes it difficult behind it
            for rest in ["", "\ncase ${x} in y) ;; esac <<<z"] {
                assert_eq!(
                    end_of_substitution(&format!("{inside}){rest}"), 0),
                    Some(inside.len()),
                    "{inside}"
                );
            }
        }
    }
}
