//! Backslash escapes of `$'…'`, `echo -e`, and `printf`'s format and `%b`: each knows others.
//!
//! Must not know what the text is for.

use super::state::unknown;

/// Who reads the escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `$'…'` (bash manual, "ANSI-C Quoting").
    Quoted,
    /// `echo -e`, and `%b` of `printf`, which knows octal digits without a leading 0 as well.
    Echo,
    Argument,
    /// The format of `printf`.
    Format,
}

/// A text without its escapes, and whether `\c` ends all output behind it.
pub(super) fn decode(text: &str, style: Style) -> (String, bool) {
    let mut bytes = Vec::with_capacity(text.len());
    let mut stops = false;
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let Some(c) = rest[at + 1..].chars().next() else {
            rest = &rest[at..];
            break;
        };
        let tail = &rest[at + 1 + c.len_utf8()..];
        if c == 'c' && matches!(style, Style::Echo | Style::Argument) {
            (stops, rest) = (true, "");
            break;
        }
        let before = bytes.len();
        let Some(left) = escape(c, tail, style, &mut bytes) else {
            bytes.push(b'\\');
            rest = &rest[at + 1..];
            // what follows is no escape of its own
            bytes.extend_from_slice(&rest.as_bytes()[..c.len_utf8()]);
            rest = tail;
            continue;
        };
        rest = left;
        if style == Style::Quoted && bytes[before..].contains(&0) {
            // a string of C ends here
            bytes.truncate(before);
            rest = "";
            break;
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    (String::from_utf8(bytes).unwrap_or_else(|_| unknown()), stops)
}

/// Writes what an escape stands for, and returns what follows it; nothing where it is no escape.
fn escape<'t>(c: char, tail: &'t str, style: Style, out: &mut Vec<u8>) -> Option<&'t str> {
    let simple = match c {
        'a' => 0x07,
        'b' => 0x08,
        'e' | 'E' => 0x1b,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '\'' | '"' | '?' if matches!(style, Style::Quoted | Style::Format) => u8::try_from(c).ok()?,
        'c' if style == Style::Quoted => {
            let control = tail.bytes().next()?;
            out.push(control.to_ascii_uppercase() & 0x1f);
            return tail.get(1..);
        }
        _ => return number(c, tail, style, out),
    };
    out.push(simple);
    Some(tail)
}

fn number<'t>(c: char, tail: &'t str, style: Style, out: &mut Vec<u8>) -> Option<&'t str> {
    let digits =
        |text: &str, most: usize, base: u32| text.chars().take(most).take_while(|c| c.is_digit(base)).count();
    match c {
        'x' if style == Style::Quoted && tail.starts_with('{') => {
            let length = digits(&tail[1..], usize::MAX, 16);
            let value = u32::from_str_radix(tail.get(1..=length)?, 16).ok()?;
            out.push(u8::try_from(value & 0xff).ok()?);
            let rest = &tail[1 + length..];
            Some(rest.strip_prefix('}').unwrap_or(rest))
        }
        'x' | 'u' | 'U' => {
            let most = match c {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            let length = digits(tail, most, 16);
            let value = u32::from_str_radix(&tail[..length], 16).ok()?;
            if c == 'x' {
                out.push(u8::try_from(value).ok()?);
            } else {
                // what is no character makes the text one that is not known
                let text = char::from_u32(value).map_or_else(unknown, String::from);
                out.extend_from_slice(text.as_bytes());
            }
            Some(&tail[length..])
        }
        '0'..='7' => {
            let leading = c == '0' && matches!(style, Style::Echo | Style::Argument);
            if style == Style::Echo && !leading {
                return None;
            }
            let length = digits(tail, if leading { 3 } else { 2 }, 8);
            let value = u32::from_str_radix(&format!("{c}{}", &tail[..length]), 8).ok()?;
            out.push(u8::try_from(value & 0xff).ok()?);
            Some(&tail[length..])
        }
        _ => None,
    }
}
