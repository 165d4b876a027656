//! Shell patterns (`*`, `?`, `[…]`, extglob) and POSIX regular expressions, matched in bounded time.
//!
//! Must not know anything of the shell that uses them.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use super::refusal::CLASSES;

/// A shell pattern as a regular expression: bash manual, "Pattern Matching". Backslash quotes.
pub(super) fn glob_to_regex(pattern: &str) -> Option<String> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut out = String::new();
    let end = translate(&chars, 0, &mut out, 0)?;
    (end == chars.len()).then_some(out)
}

fn literal(c: char, out: &mut String) {
    if c.is_ascii() && !c.is_ascii_alphanumeric() {
        if c.is_ascii_control() || c == ' ' {
            out.push(c);
            return;
        }
        out.push('\\');
    }
    out.push(c);
}

/// Whether a pattern has a group of `extglob`.
pub(super) fn has_group(pattern: &str) -> bool {
    let mut chars = pattern.chars();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '(' if "?*+@!".contains(before) => return true,
            _ => {}
        }
        before = c;
    }
    false
}

/// Translates until the end, or until `|` or `)` inside a group; returns where it stopped, `None` for what is not regular.
fn translate(chars: &[char], mut i: usize, out: &mut String, depth: usize) -> Option<usize> {
    if depth > 20 {
        return None;
    }
    while i < chars.len() {
        let c = chars[i];
        if depth > 0 && (c == '|' || c == ')') {
            return Some(i);
        }
        if matches!(c, '?' | '*' | '+' | '@' | '!')
            && chars.get(i + 1) == Some(&'(')
            && let Some(next) = group(chars, i, out, depth)?
        {
            i = next;
            continue;
        }
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '\\' => {
                i += 1;
                literal(chars.get(i).copied().unwrap_or('\\'), out);
            }
            '[' => {
                if let Some((class, next)) = bracket(chars, i, true) {
                    out.push_str(&class);
                    i = next;
                    continue;
                }
                literal(c, out);
            }
            _ => literal(c, out),
        }
        i += 1;
    }
    Some(i)
}

/// An extglob group; `Ok(None)`-like inner `None`: not closed, so literal. Outer `None`: `!(…)`, which is not regular.
#[allow(clippy::option_option, reason = "two different kinds of no, local to this file")]
fn group(chars: &[char], start: usize, out: &mut String, depth: usize) -> Option<Option<usize>> {
    let mut alternatives = Vec::new();
    let mut i = start + 2;
    loop {
        let mut part = String::new();
        i = translate(chars, i, &mut part, depth + 1)?;
        alternatives.push(part);
        match chars.get(i) {
            Some('|') => i += 1,
            Some(_) => break,
            None => return Some(None),
        }
    }
    if chars[start] == '!' {
        return None;
    }
    out.push_str("(?:");
    out.push_str(&alternatives.join("|"));
    out.push(')');
    match chars[start] {
        '@' => {}
        quantifier => out.push(quantifier),
    }
    Some(Some(i + 1))
}

/// A bracket expression from `[`; in a shell pattern `!` negates too and a backslash quotes.
fn bracket(chars: &[char], start: usize, shell: bool) -> Option<(String, usize)> {
    let mut out = String::from("[");
    let mut i = start + 1;
    if chars.get(i) == Some(&'^') || (shell && chars.get(i) == Some(&'!')) {
        out.push('^');
        i += 1;
    }
    let first = i;
    loop {
        let c = *chars.get(i)?;
        match c {
            ']' if i > first => break,
            '[' if matches!(chars.get(i + 1), Some(':')) => {
                let close = (i + 2..chars.len().saturating_sub(1))
                    .find(|&k| chars[k] == ':' && chars[k + 1] == ']')?;
                let name: String = chars[i + 2..close].iter().collect();
                if !CLASSES.contains(&name.as_str()) {
                    return None;
                }
                out.push_str("[:");
                out.push_str(&name);
                out.push_str(":]");
                i = close + 2;
                continue;
            }
            // a character by its name, which is the locale's
            '[' if !shell && matches!(chars.get(i + 1), Some('.' | '=')) => return None,
            '\\' if shell => {
                i += 1;
                member(*chars.get(i)?, &mut out);
            }
            '-' if i > first && chars.get(i + 1).is_some_and(|next| *next != ']') => out.push('-'),
            _ => member(c, &mut out),
        }
        i += 1;
    }
    out.push(']');
    Some((out, i + 1))
}

fn member(c: char, out: &mut String) {
    if matches!(c, '[' | ']' | '\\' | '^' | '-' | '&' | '~') {
        out.push('\\');
    }
    out.push(c);
}

/// A result of a replacement that is longer counts as not known.
pub(super) const LONGEST: usize = 4 << 20;
/// So many expressions are kept.
const KEPT: usize = 200;

thread_local! {
    /// What was compiled, which takes longer than to match: a file is read several times, and its loops use the same patterns.
    static COMPILED: RefCell<HashMap<(String, bool), Option<Regex>>> = RefCell::default();
}

fn compile(text: &str, ignore_case: bool) -> Option<Regex> {
    let build = || {
        RegexBuilder::new(text)
            .case_insensitive(ignore_case)
            .dot_matches_new_line(true)
            .size_limit(2 << 20)
            .nest_limit(60)
            .build()
            .ok()
    };
    COMPILED.with_borrow_mut(|compiled| {
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        compiled.entry((text.to_owned(), ignore_case)).or_insert_with(build).clone()
    })
}

/// The texts around the `*` of a pattern that has no other special characters.
fn plain(pattern: &str) -> Option<Vec<String>> {
    let mut texts = vec![String::with_capacity(pattern.len())];
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '*' => {
                texts.push(String::new());
                continue;
            }
            '?' | '[' | '(' => return None,
            '\\' => chars.next()?,
            c => c,
        };
        texts.last_mut()?.push(c);
    }
    Some(texts)
}

/// Whether a text begins and ends with the outer ones, and has the others between them in their order.
fn has_in_order(text: &str, texts: &[String]) -> bool {
    let [first, between @ .., last] = texts else { return false };
    let inner = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()));
    let mut between = between.iter();
    inner
        .and_then(|inner| {
            between.try_fold(inner, |rest, next| rest.split_once(next.as_str()).map(|(_, rest)| rest))
        })
        .is_some()
}

/// Matches a whole text; `None`: too complex.
pub(super) type Matcher<'a> = Box<dyn Fn(&str) -> Option<bool> + 'a>;

/// How much of a text a pattern has to cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    ShortestPrefix,
    LongestPrefix,
    ShortestSuffix,
    LongestSuffix,
}

/// A compiled shell pattern.
pub(super) struct Glob {
    kind: Kind,
}

enum Kind {
    /// No special characters: the common case, and a hundred times cheaper.
    Literal(String),
    /// No special characters but `*`, which stands between each of these: nearly all others.
    Stars(Vec<String>),
    Regular {
        body: String,
        ignore_case: bool,
    },
    /// `!(…)` anywhere: matched by searching, with a limit.
    Searching {
        chars: Vec<char>,
        ignore_case: bool,
    },
}

impl Glob {
    /// Compiles a pattern whose quoted characters carry a backslash.
    pub(super) fn new(pattern: &str, ignore_case: bool) -> Self {
        if !ignore_case && let Some(mut texts) = plain(pattern) {
            let kind = if texts.len() == 1 { Kind::Literal(texts.remove(0)) } else { Kind::Stars(texts) };
            return Self { kind };
        }
        let kind = match glob_to_regex(pattern) {
            Some(body) => Kind::Regular { body, ignore_case },
            None => Kind::Searching { chars: pattern.chars().collect(), ignore_case },
        };
        Self { kind }
    }

    /// Whether it matches all of `text`; `None`: too complex.
    pub(super) fn matches(&self, text: &str) -> Option<bool> {
        match &self.kind {
            Kind::Literal(literal) => Some(literal == text),
            Kind::Stars(texts) => Some(has_in_order(text, texts)),
            Kind::Regular { body, ignore_case } => {
                Some(compile(&format!("\\A(?:{body})\\z"), *ignore_case)?.is_match(text))
            }
            Kind::Searching { chars, ignore_case } => {
                let fold = |c: char| if *ignore_case { c.to_ascii_lowercase() } else { c };
                let pattern: Vec<char> = chars.iter().map(|c| fold(*c)).collect();
                let text: Vec<char> = text.chars().map(fold).collect();
                let mut budget = 100_000;
                search(&pattern, &text, &mut budget)
            }
        }
    }

    /// The range of `text` that a part matches; `Err(())`: too complex.
    pub(super) fn find(&self, text: &str, part: Part) -> Result<Option<std::ops::Range<usize>>, ()> {
        if let Kind::Literal(literal) = &self.kind {
            let found = match part {
                Part::ShortestPrefix | Part::LongestPrefix => {
                    text.starts_with(literal.as_str()).then_some(0..literal.len())
                }
                Part::ShortestSuffix | Part::LongestSuffix => {
                    text.ends_with(literal.as_str()).then(|| text.len() - literal.len()..text.len())
                }
            };
            return Ok(found);
        }
        let ends = || text.char_indices().map(|(i, _)| i).chain(std::iter::once(text.len()));
        let candidates: Vec<std::ops::Range<usize>> = match part {
            Part::ShortestPrefix => ends().map(|end| 0..end).collect(),
            Part::LongestPrefix => ends().map(|end| 0..end).rev_all(),
            Part::ShortestSuffix => ends().map(|start| start..text.len()).rev_all(),
            Part::LongestSuffix => ends().map(|start| start..text.len()).collect(),
        };
        if text.len() > 4096 {
            return Err(());
        }
        let matcher = self.matcher().ok_or(())?;
        for range in candidates {
            if matcher(&text[range.clone()]).ok_or(())? {
                return Ok(Some(range));
            }
        }
        Ok(None)
    }

    /// A function that matches whole texts, compiled once.
    pub(super) fn matcher(&self) -> Option<Matcher<'_>> {
        match &self.kind {
            Kind::Regular { body, ignore_case } => {
                let regex = compile(&format!("\\A(?:{body})\\z"), *ignore_case)?;
                Some(Box::new(move |text| Some(regex.is_match(text))))
            }
            Kind::Literal(_) | Kind::Stars(_) | Kind::Searching { .. } => {
                Some(Box::new(|text| self.matches(text)))
            }
        }
    }

    /// All leftmost longest matches, for `${x//pattern/}`.
    pub(super) fn replace(
        &self,
        text: &str,
        all: bool,
        replacement: impl Fn(&str) -> String,
    ) -> Result<String, ()> {
        if let Kind::Literal(literal) = &self.kind {
            let count = if all { text.matches(literal.as_str()).count() } else { 1 };
            let replacement = replacement(literal);
            if count.saturating_mul(replacement.len()) > LONGEST {
                return Err(());
            }
            return Ok(text.replacen(literal.as_str(), &replacement, count));
        }
        if text.len() > 4096 {
            return Err(());
        }
        let matcher = self.matcher().ok_or(())?;
        let matches_nothing = matcher("").ok_or(())?;
        if text.is_empty() {
            return Ok(if matches_nothing { replacement("") } else { String::new() });
        }
        let mut out = String::new();
        let mut start = 0;
        while start < text.len() {
            let ends: Vec<usize> = text[start..]
                .char_indices()
                .map(|(i, _)| start + i)
                .skip(1)
                .chain(std::iter::once(text.len()))
                .collect();
            let mut found = None;
            for end in ends.into_iter().rev() {
                if matcher(&text[start..end]).ok_or(())? {
                    found = Some(end);
                    break;
                }
            }
            if let Some(end) = found {
                out.push_str(&replacement(&text[start..end]));
                if out.len() > LONGEST {
                    return Err(());
                }
                start = end;
                if !all {
                    break;
                }
            } else if matches_nothing {
                return Err(());
            } else {
                let next = text[start..].chars().next().map_or(1, char::len_utf8);
                out.push_str(&text[start..start + next]);
                start += next;
            }
        }
        out.push_str(&text[start..]);
        Ok(out)
    }
}

trait ReversedVec {
    type Item;
    fn rev_all(self) -> Vec<Self::Item>;
}

impl<I: Iterator> ReversedVec for I {
    type Item = I::Item;
    fn rev_all(self) -> Vec<I::Item> {
        let mut items: Vec<I::Item> = self.collect();
        items.reverse();
        items
    }
}

/// Backtracking match for patterns with `!(…)`; `None` when the budget is spent.
fn search(pattern: &[char], text: &[char], budget: &mut u32) -> Option<bool> {
    *budget = budget.checked_sub(1)?;
    let Some(&c) = pattern.first() else { return Some(text.is_empty()) };
    if matches!(c, '?' | '*' | '+' | '@' | '!')
        && pattern.get(1) == Some(&'(')
        && let Some((alternatives, rest)) = split_group(pattern)
    {
        return search_group(c, &alternatives, rest, text, budget);
    }
    match c {
        '*' => {
            for cut in 0..=text.len() {
                if search(&pattern[1..], &text[cut..], budget)? {
                    return Some(true);
                }
            }
            Some(false)
        }
        '\\' if pattern.len() > 1 => {
            Some(text.first() == Some(&pattern[1]) && search(&pattern[2..], &text[1..], budget)?)
        }
        '[' if bracket(pattern, 0, true).is_some() => {
            let (class, next) = bracket(pattern, 0, true)?;
            let Some(first) = text.first() else { return Some(false) };
            let regex = compile(&format!("\\A{class}\\z"), false)?;
            Some(regex.is_match(&first.to_string()) && search(&pattern[next..], &text[1..], budget)?)
        }
        '?' => Some(!text.is_empty() && search(&pattern[1..], &text[1..], budget)?),
        _ => Some(text.first() == Some(&c) && search(&pattern[1..], &text[1..], budget)?),
    }
}

fn split_group(pattern: &[char]) -> Option<(Vec<&[char]>, &[char])> {
    let mut alternatives = Vec::new();
    let (mut depth, mut start, mut i) = (0, 2, 2);
    while i < pattern.len() {
        match pattern[i] {
            '\\' => i += 1,
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ')' => {
                alternatives.push(&pattern[start..i]);
                return Some((alternatives, &pattern[i + 1..]));
            }
            '|' if depth == 0 => {
                alternatives.push(&pattern[start..i]);
                start = i + 1;
            }
            _ => {}
        }
        i += 1;
    }
    None
}

fn search_group(
    kind: char,
    alternatives: &[&[char]],
    rest: &[char],
    text: &[char],
    budget: &mut u32,
) -> Option<bool> {
    if matches!(kind, '?' | '*') && search(rest, text, budget)? {
        return Some(true);
    }
    for cut in 0..=text.len() {
        let mut any = false;
        for alternative in alternatives {
            if search(alternative, &text[..cut], budget)? {
                any = true;
                break;
            }
        }
        if any == (kind == '!') {
            continue;
        }
        let again = matches!(kind, '*' | '+') && cut > 0;
        if search(rest, &text[cut..], budget)?
            || (again && search_group('*', alternatives, rest, &text[cut..], budget)?)
        {
            return Some(true);
        }
    }
    Some(false)
}

/// A POSIX extended regular expression in the syntax of the `regex` crate; `None`: uses something it has not.
pub(super) fn extended_to_regex(text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < chars.len() {
        match chars[i] {
            '[' => {
                let (class, next) = bracket(&chars, i, false)?;
                out.push_str(&class);
                i = next;
                continue;
            }
            '\\' => {
                i += 1;
                let c = *chars.get(i)?;
                match c {
                    'w' | 'W' | 's' | 'S' | 'b' | 'B' => {
                        out.push('\\');
                        out.push(c);
                    }
                    '<' | '>' => out.push_str("\\b"),
                    // references, and what some programs read as a code
                    _ if c.is_alphanumeric() || matches!(c, '\'' | '`') => return None,
                    _ => literal(c, &mut out),
                }
            }
            '{' => {
                // glibc takes `{` literally where no count follows.
                let close = (i + 1..chars.len()).find(|&k| chars[k] == '}');
                let count = close.map(|close| chars[i + 1..close].iter().collect::<String>());
                match count {
                    Some(count) if is_count(&count) => {
                        out.push('{');
                        if count.starts_with(',') {
                            out.push('0');
                        }
                    }
                    _ => out.push_str("\\{"),
                }
            }
            '}' => match out.rfind('{') {
                Some(at) if !out[..at].ends_with('\\') && is_count(&out[at + 1..]) => out.push('}'),
                _ => out.push_str("\\}"),
            },
            '*' | '+' | '?' if out.is_empty() || out.ends_with(['(', '|', '^']) && !out.ends_with("\\(") => {
                literal(chars[i], &mut out);
            }
            '(' => out.push('('),
            c if matches!(c, ')' | '|' | '^' | '$' | '.' | '*' | '+' | '?') => {
                // `a**` is an error to the regex crate and means `a*` to POSIX; a lazy `*?` must not come out of it.
                if matches!(c, '*' | '+' | '?')
                    && out.ends_with(['*', '+', '?'])
                    && chars[i - 1] != '\\'
                    && i > 0
                {
                    let escaped = out[..out.len() - 1].ends_with('\\');
                    if !escaped {
                        if c != out.chars().last().unwrap_or(' ') {
                            return None;
                        }
                        i += 1;
                        continue;
                    }
                }
                out.push(c);
            }
            c => literal(c, &mut out),
        }
        i += 1;
    }
    Some(out)
}

fn is_count(text: &str) -> bool {
    let (low, high) = text.split_once(',').unwrap_or((text, ""));
    let short = |part: &str| part.len() <= 4 && part.bytes().all(|b| b.is_ascii_digit());
    // `{,3}` is `{0,3}`
    !text.is_empty() && (!low.is_empty() || text.contains(',')) && short(low) && short(high)
}

/// A POSIX basic regular expression (with GNU's `\+`, `\?`, `\|`) as an extended one.
pub(super) fn basic_to_extended(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::new();
    let mut i = 0;
    while i < chars.len() {
        let start = i == 0 || out.ends_with('(') && !out.ends_with("\\(") || out.ends_with('|');
        match chars[i] {
            '\\' if i + 1 < chars.len() => {
                i += 1;
                match chars[i] {
                    c @ ('(' | ')' | '{' | '}' | '+' | '?' | '|') => out.push(c),
                    c => {
                        out.push('\\');
                        out.push(c);
                    }
                }
            }
            '[' => {
                if let Some((_, next)) = bracket(&chars, i, false) {
                    out.extend(&chars[i..next]);
                    i = next;
                    continue;
                }
                out.push('[');
            }
            '*' if start || (out == "^") => out.push_str("\\*"),
            '^' if !start => out.push_str("\\^"),
            '$' if i + 1 < chars.len() && chars.get(i + 1..i + 3) != Some(&['\\', ')']) => {
                out.push_str("\\$");
            }
            c @ ('(' | ')' | '{' | '}' | '+' | '?' | '|') => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
        i += 1;
    }
    out
}

/// Compiles a POSIX extended regular expression; `None`: not supported or not valid.
pub(crate) fn extended(text: &str, ignore_case: bool) -> Option<Regex> {
    compile(&extended_to_regex(text)?, ignore_case)
}

/// Compiles a POSIX basic regular expression; `None`: not supported or not valid.
pub(super) fn basic(text: &str, ignore_case: bool) -> Option<Regex> {
    extended(&basic_to_extended(text), ignore_case)
}

/// So many longer matches are tried for one command.
pub(super) const TRIES: usize = 1 << 18;

/// Whether a match is the longest that begins there, which POSIX wants, and not only the first of the alternatives.
///
/// `budget`: how often a longer one may be tried; without any left the answer is no.
pub(super) fn is_longest(
    regex: &Regex,
    text: &str,
    range: std::ops::Range<usize>,
    budget: &mut usize,
) -> bool {
    let body = regex.as_str();
    if !body.contains(['|', '?', '{']) && ![")*", ")+"].iter().any(|group| body.contains(group)) {
        return true;
    }
    let Some(whole) = compile(&format!("\\A(?:{body})\\z"), true) else { return false };
    let rest = &text[range.end..];
    let Some(left) = budget.checked_sub(rest.len()) else { return false };
    *budget = left;
    rest.len() < 256
        && rest
            .char_indices()
            .map(|(at, c)| range.end + at + c.len_utf8())
            .all(|end| !whole.is_match(&text[range.start..end]))
}

/// The same, and whether the groups in it could be others: they are not where the alternatives give the same from the last to the first.
pub(super) fn is_sure(regex: &Regex, text: &str, captures: &regex::Captures<'_>, budget: &mut usize) -> bool {
    let Some(whole) = captures.get(0) else { return false };
    if !is_longest(regex, text, whole.range(), budget) {
        return false;
    }
    let body = regex.as_str();
    if !body.contains('|') || captures.len() < 2 {
        return true;
    }
    let Some(turned) = compile(&turned(body), false) else { return false };
    let groups = |captures: &regex::Captures<'_>| -> Vec<Option<std::ops::Range<usize>>> {
        captures.iter().map(|group| group.map(|group| group.range())).collect()
    };
    turned.captures(text).is_some_and(|other| groups(&other) == groups(captures))
}

/// A regular expression with its alternatives in the other order.
fn turned(body: &str) -> String {
    let mut open: Vec<Vec<String>> = vec![vec![String::new()]];
    let joined = |mut parts: Vec<String>| {
        parts.reverse();
        parts.join("|")
    };
    let mut chars = body.chars();
    let mut class = 0;
    while let Some(c) = chars.next() {
        let mut text = String::from(c);
        match c {
            '\\' => text.extend(chars.next()),
            '[' => class += 1,
            ']' => class -= 1,
            '(' if class == 0 => {
                open.push(vec![String::new()]);
                continue;
            }
            ')' if class == 0 && open.len() > 1 => {
                text = format!("({})", joined(open.pop().unwrap_or_default()));
            }
            '|' if class == 0 => {
                if let Some(parts) = open.last_mut() {
                    parts.push(String::new());
                }
                continue;
            }
            _ => {}
        }
        if let Some(part) = open.last_mut().and_then(|parts| parts.last_mut()) {
            part.push_str(&text);
        }
    }
    joined(open.into_iter().next().unwrap_or_default())
}

/// A text as a regular expression that matches it and nothing else.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All texts of up to so many of these.
    fn texts(parts: &[&str], most: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut longest = all.clone();
        for _ in 0..most {
            longest = longest
                .iter()
                .flat_map(|text| parts.iter().map(move |part| format!("{text}{part}")))
                .collect();
            all.extend_from_slice(&longest);
        }
        all
    }

    #[test]
    fn stars_match_what_their_regular_expression_does() {
        let texts_to_match = texts(&["a", "b", "*", "\n"], 4);
        for pattern in texts(&["a", "b", "*", "\\*"], 5) {
            let regex = format!("\\A(?:{})\\z", glob_to_regex(&pattern).unwrap());
            let (regex, glob) = (compile(&regex, false).unwrap(), Glob::new(&pattern, false));
            assert!(matches!(glob.kind, Kind::Literal(_) | Kind::Stars(_)), "{pattern}");
            for text in &texts_to_match {
                assert_eq!(glob.matches(text), Some(regex.is_match(text)), "{pattern} {text:?}");
            }
        }
        for other in ["a?", "*[ab]", "*(a)", "@(a|*)"] {
            assert!(matches!(Glob::new(other, false).kind, Kind::Regular { .. }), "{other}");
        }
    }
}
