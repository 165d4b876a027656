//! DER (X.690), as far as certificates, keys and signed messages take it: what is written is written from the inside out, what is read is
//! walked through without a copy.

/// Tags of the universal class, and those of fields.
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BITS: u8 = 0x03;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const NULL: u8 = 0x05;
pub(super) const OID: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// `[0]`, constructed.
pub(super) const FIELD: u8 = 0xa0;

/// A value with its tag and length.
pub(super) fn value(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    let length = content.len().to_be_bytes();
    let skipped = length.iter().take_while(|byte| **byte == 0).count();
    if content.len() >= 0x80 {
        bytes.push(0x80 | u8::try_from(length.len() - skipped).unwrap_or_default());
        bytes.extend(&length[skipped..]);
    } else {
        bytes.push(u8::try_from(content.len()).unwrap_or_default());
    }
    bytes.extend(content);
    bytes
}

/// A sequence of values.
pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, &parts.concat())
}

/// A set of values: sorted by their bytes, each once.
pub(super) fn set(tag: u8, mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    parts.dedup();
    value(tag, &parts.concat())
}

/// A number that is not negative, from its bytes, the highest first.
pub(super) fn number(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    let digits = &bytes[start..];
    let sign = digits.first().is_none_or(|first| *first >= 0x80);
    value(INTEGER, &[if sign { &[0][..] } else { &[] }, digits].concat())
}

/// A value that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
}

/// What is left to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next value; nothing where there is none, or none that is whole.
    pub(super) fn next(&mut self) -> Option<Value<'a>> {
        let all = self.0;
        let (&tag, rest) = all.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            // a length of four bytes is enough for everything
            let count = usize::from(first & 0x7f);
            let (digits, rest) = rest.split_at_checked(count).filter(|_| (1..=4).contains(&count))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Value { tag, content, whole: &all[..all.len() - rest.len()] })
    }

    /// The next value, when it has this tag; what has another one stays.
    pub(super) fn take(&mut self, tag: u8) -> Option<Value<'a>> {
        let mut ahead = *self;
        let found = ahead.next().filter(|value| value.tag == tag)?;
        *self = ahead;
        Some(found)
    }

    /// Into the next value, when it has this tag.
    pub(super) fn inside(&mut self, tag: u8) -> Option<Reader<'a>> {
        Some(Reader(self.take(tag)?.content))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for length in [0, 1, 127, 128, 255, 256, 70_000] {
            let bytes = value(OCTETS, &vec![7; length]);
            let mut reader = Reader::new(&bytes);
            let found = reader.next().unwrap();
            assert_eq!((found.content.len(), found.whole.len()), (length, bytes.len()));
            assert!(reader.is_empty());
            // cut anywhere, it is none
            assert!((0..bytes.len()).step_by(97).all(|end| Reader::new(&bytes[..end]).next().is_none()));
        }
    }

    #[test]
    fn numbers_are_as_short_as_they_can_be() {
        assert_eq!(number(&[]), [2, 1, 0]);
        assert_eq!(number(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(number(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(set(SET, vec![vec![2], vec![1], vec![2]]), [0x31, 2, 1, 2]);
    }
}
