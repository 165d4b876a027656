//! What the C library refuses as a POSIX extended regular expression, and bash with it: `[[ x =~ … ]]` then fails with status 2.
//!
//! After glibc's `posix/regcomp.c` with `RE_SYNTAX_POSIX_EXTENDED`. Must say nothing where the locale or the library decides.

/// A longer one is not looked at.
const LONGEST: usize = 10_000;
/// The largest count of a repetition, `RE_DUP_MAX`.
const MOST: u32 = 0x7fff;

/// The classes of POSIX.
pub(super) const CLASSES: [&str; 12] = [
    "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
    "xdigit",
];

/// Why it is no answer.
enum Stop {
    /// It is refused, because of this.
    Refused(&'static str),
    /// It depends.
    Unsure,
}

/// Why an expression is refused; nothing where it is taken, and where that is not sure.
pub(crate) fn refusal(text: &str) -> Option<&'static str> {
    if text.len() > LONGEST {
        return None;
    }
    let chars: Vec<char> = text.chars().collect();
    match (Parser { chars: &chars, at: 0, open: Vec::new(), groups: 0, closed: 0 }).run() {
        Err(Stop::Refused(why)) => Some(why),
        Ok(()) | Err(Stop::Unsure) => None,
    }
}

struct Parser<'a> {
    chars: &'a [char],
    at: usize,
    /// The numbers of the groups that are open.
    open: Vec<u32>,
    groups: u32,
    /// The groups below 10 that are closed, as bits.
    closed: u16,
}

impl Parser<'_> {
    fn run(mut self) -> Result<(), Stop> {
        // anchors, `(` and `|` are nothing that could be repeated
        let mut repeats = false;
        while let Some(c) = self.next() {
            repeats = match c {
                '\\' => self.escaped()?,
                '[' => {
                    self.bracket()?;
                    true
                }
                '(' => {
                    self.groups += 1;
                    self.open.push(self.groups);
                    false
                }
                ')' => {
                    if let Some(group) = self.open.pop().filter(|group| *group < 10) {
                        self.closed |= 1 << group;
                    }
                    true
                }
                '|' | '^' | '$' => false,
                '*' | '+' | '?' | '{' if !repeats => {
                    return Err(Stop::Refused("nothing stands before a repetition"));
                }
                '{' => {
                    self.interval()?;
                    true
                }
                _ => true,
            };
        }
        if self.open.is_empty() { Ok(()) } else { Err(Stop::Refused("a `(` is not closed")) }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.get(self.at).copied();
        self.at += usize::from(c.is_some());
        c
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// What follows a backslash; whether it can be repeated.
    fn escaped(&mut self) -> Result<bool, Stop> {
        match self.next() {
            None => Err(Stop::Refused("a backslash stands at the end")),
            Some(c @ '1'..='9') => {
                let group = c.to_digit(10).unwrap_or_default();
                if self.closed & 1 << group == 0 {
                    return Err(Stop::Refused("a reference names a group that is not there"));
                }
                Ok(true)
            }
            Some(c) => Ok(!matches!(c, '<' | '>' | 'b' | 'B' | '`' | '\'')),
        }
    }

    /// `{2,3}`, after its `{`.
    fn interval(&mut self) -> Result<(), Stop> {
        let wrong = Stop::Refused("a `{` has no count behind it");
        let Some(length) = self.chars[self.at..].iter().position(|c| *c == '}') else { return Err(wrong) };
        let inner: String = self.chars[self.at..self.at + length].iter().collect();
        self.at += length + 1;
        let (low, high) =
            inner.split_once(',').map_or((inner.as_str(), None), |(low, high)| (low, Some(high)));
        let number = |text: &str| {
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            Some(text.parse::<u32>().unwrap_or(u32::MAX))
        };
        let first = match (low, high) {
            ("", Some(_)) => 0,
            _ => number(low).ok_or(wrong)?,
        };
        let last = match high {
            None | Some("") => first,
            Some(high) => number(high).ok_or(Stop::Refused("a `{` has no count behind it"))?,
        };
        if first > last {
            return Err(Stop::Refused("the counts of a repetition are the wrong way round"));
        }
        // what many repetitions take depends on the library and its memory
        if last > MOST { Err(Stop::Refused("a count is too large")) } else { Ok(()) }
    }

    /// `[…]`, after its `[`.
    fn bracket(&mut self) -> Result<(), Stop> {
        if self.peek() == Some('^') {
            self.at += 1;
        }
        let mut is_first = true;
        loop {
            if self.peek() == Some(']') && !is_first {
                self.at += 1;
                return Ok(());
            }
            let start = self.element(is_first)?;
            is_first = false;
            let Some(start) = start else { continue };
            if self.peek() != Some('-') || self.chars.get(self.at + 1) == Some(&']') {
                continue;
            }
            self.at += 1;
            let Some(end) = self.element(true)? else {
                return Err(Stop::Refused("a range ends in a class"));
            };
            range(start, end)?;
        }
    }

    /// One character of a bracket expression; nothing for a class, which begins no range.
    fn element(&mut self, may_be_hyphen: bool) -> Result<Option<char>, Stop> {
        let unclosed = Stop::Refused("a `[` is not closed");
        let c = self.next().ok_or(unclosed)?;
        if c == '-' && !may_be_hyphen && self.peek() != Some(']') {
            return Err(Stop::Refused("a `-` stands between two ranges"));
        }
        let Some(kind @ (':' | '.' | '=')) = self.peek().filter(|_| c == '[') else { return Ok(Some(c)) };
        let rest = &self.chars[self.at + 1..];
        let Some(length) = rest.windows(2).position(|pair| pair == [kind, ']']) else {
            return Err(Stop::Refused("a `[` is not closed"));
        };
        let name: String = rest[..length].iter().collect();
        self.at += length + 3;
        let mut letters = name.chars();
        match (kind, letters.next(), letters.next()) {
            (':', ..) if CLASSES.contains(&name.as_str()) => Ok(None),
            (':', ..) => Err(Stop::Refused("there is no such class of characters")),
            ('.', Some(only), None) => Ok(Some(only)),
            ('=', Some(_), None) => Ok(None),
            // names of characters are the locale's
            _ => Err(Stop::Unsure),
        }
    }
}

/// Whether a range is one in every locale: their orders agree within digits and within one case only.
fn range(start: char, end: char) -> Result<(), Stop> {
    let is_class = |check: fn(&char) -> bool| check(&start) && check(&end);
    let is_one_class = is_class(char::is_ascii_digit)
        || is_class(char::is_ascii_lowercase)
        || is_class(char::is_ascii_uppercase);
    if start <= end && start.is_ascii() && end.is_ascii() {
        Ok(())
    } else if start > end && is_one_class {
        Err(Stop::Refused("a range ends before it begins"))
    } else {
        Err(Stop::Unsure)
    }
}
