//! `printf` (bash manual, "Shell Builtin Commands"): its format and the conversions of integers and texts.
//!
//! Must not know variables; whatever is not modelled is `None`.

use super::escapes::{Style, decode};
use super::expand::single_quote;
use super::state::{is_unknown, unknown};

/// A conversion as written, `%-5.2d`.
#[derive(Default)]
struct Conversion {
    left: bool,
    plus: bool,
    blank: bool,
    other_form: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// What a format makes of values; nothing for what is not supported.
pub(super) fn format(format: &str, values: &[String]) -> Option<String> {
    let mut out = String::new();
    let mut values = values.iter();
    loop {
        let mut used = false;
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            out.push_str(&decode(&rest[..at], Style::Format).0);
            rest = &rest[at + 1..];
            if let Some(tail) = rest.strip_prefix('%') {
                out.push('%');
                rest = tail;
                continue;
            }
            let (conversion, kind, tail) = Conversion::parse(rest)?;
            rest = tail;
            used = true;
            let (text, stops) = conversion.convert(kind, values.next().map_or("", String::as_str))?;
            out.push_str(&text);
            if stops {
                return Some(out);
            }
        }
        out.push_str(&decode(rest, Style::Format).0);
        if !used || values.len() == 0 || out.len() > 1 << 20 {
            return Some(out);
        }
    }
}

impl Conversion {
    /// Behind the `%`: with its letter and what follows.
    fn parse(text: &str) -> Option<(Self, char, &str)> {
        let mut conversion = Self::default();
        let flags = text.find(|c| !"-+ #0".contains(c))?;
        for flag in text[..flags].chars() {
            match flag {
                '-' => conversion.left = true,
                '+' => conversion.plus = true,
                ' ' => conversion.blank = true,
                '#' => conversion.other_form = true,
                _ => conversion.zero = true,
            }
        }
        let number = |text: &str| {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            Some((text[..digits].parse().unwrap_or(0), digits)).filter(|(value, _)| *value <= 4096)
        };
        let (width, digits) = number(&text[flags..])?;
        conversion.width = width;
        let mut rest = &text[flags + digits..];
        if let Some(tail) = rest.strip_prefix('.') {
            let (precision, digits) = number(tail)?;
            conversion.precision = Some(precision);
            rest = &tail[digits..];
        }
        let kind = rest.chars().next()?;
        Some((conversion, kind, &rest[kind.len_utf8()..]))
    }

    /// The text, and whether nothing follows it any more.
    fn convert(&self, kind: char, value: &str) -> Option<(String, bool)> {
        if is_unknown(value) {
            return Some((unknown(), false));
        }
        // a width counts bytes or characters, as the locale has it
        let plain = value.is_ascii() || self.width == 0 && self.precision.is_none() && kind != 'c';
        match kind {
            'd' | 'i' | 'u' | 'o' | 'x' | 'X' => Some((self.padded(self.integer(kind, value)?), false)),
            _ if !plain => None,
            's' => Some((self.text(value), false)),
            'b' => {
                let (text, stops) = decode(value, Style::Argument);
                Some((self.text(&text), stops))
            }
            'q' if value.is_ascii() => Some((self.text(&quote(value)), false)),
            'c' if self.precision.is_none() => Some((self.text(value.get(..1).unwrap_or("\0")), false)),
            _ => None,
        }
    }

    fn text(&self, text: &str) -> String {
        let cut: String = text.chars().take(self.precision.unwrap_or(usize::MAX)).collect();
        let missing = " ".repeat(self.width.saturating_sub(cut.chars().count()));
        if self.left { cut + &missing } else { missing + &cut }
    }

    /// Sign and digits.
    fn integer(&self, kind: char, value: &str) -> Option<(&'static str, String)> {
        let number = c_integer(value)?;
        let (sign, digits) = match kind {
            'd' | 'i' if number < 0 => ("-", number.unsigned_abs().to_string()),
            'd' | 'i' if self.plus => ("+", number.to_string()),
            'd' | 'i' if self.blank => (" ", number.to_string()),
            'd' | 'i' => ("", number.to_string()),
            'u' => ("", number.cast_unsigned().to_string()),
            'o' => ("", format!("{number:o}")),
            'x' => (if self.other_form && number != 0 { "0x" } else { "" }, format!("{number:x}")),
            _ => (if self.other_form && number != 0 { "0X" } else { "" }, format!("{number:X}")),
        };
        let digits = match self.precision {
            Some(0) if number == 0 => String::new(),
            Some(precision) => "0".repeat(precision.saturating_sub(digits.len())) + &digits,
            None => digits,
        };
        let is_octal = kind == 'o' && self.other_form && !digits.starts_with('0');
        Some((sign, if is_octal { format!("0{digits}") } else { digits }))
    }

    fn padded(&self, (sign, digits): (&str, String)) -> String {
        let missing = self.width.saturating_sub(sign.len() + digits.len());
        match (self.left, self.zero && self.precision.is_none()) {
            (true, _) => format!("{sign}{digits}{}", " ".repeat(missing)),
            (false, true) => format!("{sign}{}{digits}", "0".repeat(missing)),
            (false, false) => format!("{}{sign}{digits}", " ".repeat(missing)),
        }
    }
}

/// An integer as C writes it, or the code of the character behind a quote; nothing for all else, which `printf` complains about.
fn c_integer(text: &str) -> Option<i64> {
    if let Some(quoted) = text.strip_prefix(['\'', '"']) {
        return Some(quoted.chars().next().map_or(0, |c| i64::from(u32::from(c))));
    }
    let text = text.trim_start_matches([' ', '\t', '\n']);
    if text.is_empty() {
        return Some(0);
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, base) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    let value =
        digits.chars().all(|c| c.is_digit(base)).then(|| i64::from_str_radix(digits, base).ok())??;
    Some(if negative { -value } else { value })
}

/// `%q`.
fn quote(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    if text.chars().any(|c| c.is_ascii_control()) {
        return single_quote(text);
    }
    let mut out = String::new();
    let mut before = None;
    for c in text.chars() {
        let special = match c {
            '#' => before.is_none(),
            '~' => matches!(before, None | Some(':' | '=')),
            c => " '\"\\|&;()<>!{}*[]?^$`,".contains(c),
        };
        if special {
            out.push('\\');
        }
        out.push(c);
        before = Some(c);
    }
    out
}
