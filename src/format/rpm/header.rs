//! Headers: an index of tags and a store of their data (rpm's `docs/manual/format_header.md`).
//!
//! Data is kept as the bytes of the store, so that the lists of a package with many files take little more than they do in it.

use rpm::{IndexSignatureTag, IndexTag};

/// The magic number of a header and its version, with four reserved bytes.
const MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
/// An entry of the index: tag, type, offset and count.
const ENTRY: usize = 16;

/// The regions of the two headers.
pub(super) const SIGNATURES: u32 = IndexSignatureTag::HEADER_SIGNATURES as u32;
pub(super) const IMMUTABLE: u32 = IndexTag::RPMTAG_HEADERIMMUTABLE as u32;

/// The types of data.
const INT16: u32 = 3;
const INT32: u32 = 4;
const INT64: u32 = 5;
const STRING: u32 = 6;
pub(super) const BIN: u32 = 7;
const STRING_ARRAY: u32 = 8;
const I18NSTRING: u32 = 9;

/// Data of a tag.
#[derive(Clone)]
struct Entry {
    tag: u32,
    kind: u32,
    count: u32,
    data: Vec<u8>,
}

/// Collects the entries of a header.
#[derive(Default, Clone)]
pub(super) struct Tags(Vec<Entry>);

/// The entries of a header that was read, to be changed.
impl Tags {
    /// Those of a header whose index was checked, `region` being the tag of the region that they all belong to. Nothing when they would not
    /// lie there in the same way again.
    pub(super) fn parse(bytes: &[u8], region: u32) -> Option<Self> {
        let number = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let at = |at: usize| Some(number(at)? as usize);
        let start = MAGIC.len() + 8;
        let store = bytes.get(start + at(MAGIC.len())? * ENTRY..)?;
        let mut tags = Self::default();
        for entry in 1..at(MAGIC.len())? {
            let entry = start + entry * ENTRY;
            let (tag, kind, count) = (number(entry)?, number(entry + 4)?, at(entry + 12)?);
            let data = store.get(at(entry + 8)?..)?;
            let length = match kind {
                INT16 => count * 2,
                INT32 => count * 4,
                INT64 => count * 8,
                STRING | STRING_ARRAY | I18NSTRING => {
                    let ends = data.iter().enumerate().filter(|(_, byte)| **byte == 0);
                    ends.map(|(at, _)| at + 1).nth(count.checked_sub(1)?)?
                }
                _ => count,
            };
            tags.push(tag, kind, count, data.get(..length)?.to_vec());
        }
        (tags.clone().encoded(region) == bytes).then_some(tags)
    }

    pub(super) fn has(&self, tag: u32) -> bool {
        self.0.iter().any(|entry| entry.tag == tag)
    }

    /// The strings of a tag.
    pub(super) fn strings_of(&self, tag: u32) -> Vec<&[u8]> {
        let entry = self.0.iter().find(|entry| entry.tag == tag);
        let data = entry.map(|entry| entry.data.as_slice()).unwrap_or_default();
        data.strip_suffix(&[0]).into_iter().flat_map(|data| data.split(|byte| *byte == 0)).collect()
    }

    /// The bytes of a tag.
    pub(super) fn bytes_of(&self, tag: u32) -> Option<&[u8]> {
        self.0.iter().find(|entry| entry.tag == tag).map(|entry| entry.data.as_slice())
    }

    /// The numbers of a tag, of 32 or 64 bits.
    pub(super) fn numbers_of(&self, tag: u32) -> Vec<u64> {
        let entry = self.0.iter().find(|entry| entry.tag == tag);
        let width = entry.map_or(1, |entry| if entry.kind == INT64 { 8 } else { 4 });
        let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        entry.map(|entry| entry.data.chunks_exact(width).map(number).collect()).unwrap_or_default()
    }

    /// Other strings for a tag that is there.
    pub(super) fn set_strings<T: AsRef<[u8]>>(&mut self, tag: u32, texts: impl IntoIterator<Item = T>) {
        let text = |text: T| text.as_ref().iter().copied().chain([0]).collect::<Vec<_>>();
        let data = texts.into_iter().flat_map(text).collect();
        self.set(tag, data);
    }

    /// Other numbers for a tag that is there, as wide as those; false where one needs more.
    pub(super) fn set_numbers(&mut self, tag: u32, numbers: &[u64]) -> bool {
        let is_wide = self.0.iter().any(|entry| entry.tag == tag && entry.kind == INT64);
        let skipped = if is_wide { 0 } else { 4 };
        let data = numbers.iter().flat_map(|number| number.to_be_bytes().into_iter().skip(skipped)).collect();
        self.set(tag, data);
        is_wide || numbers.iter().all(|number| u32::try_from(*number).is_ok())
    }

    /// Other bytes for a tag that is there.
    pub(super) fn set(&mut self, tag: u32, data: Vec<u8>) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.tag == tag) {
            entry.data = data;
        }
    }

    /// A tag that is not there.
    pub(super) fn add(&mut self, tag: u32, kind: u32, data: Vec<u8>) {
        self.push(tag, kind, data.len(), data);
    }

    /// Takes a tag out; whether it was there.
    pub(super) fn remove(&mut self, tag: u32) -> bool {
        let count = self.0.len();
        self.0.retain(|entry| entry.tag != tag);
        self.0.len() < count
    }
}

impl Tags {
    fn push(&mut self, tag: u32, kind: u32, count: usize, data: Vec<u8>) {
        self.0.push(Entry { tag, kind, count: u32::try_from(count).unwrap_or(u32::MAX), data });
    }

    fn strings<T: AsRef<str>>(&mut self, tag: u32, kind: u32, texts: impl IntoIterator<Item = T>) {
        let (mut count, mut data) = (0, Vec::new());
        for text in texts {
            count += 1;
            // a zero byte would end it
            data.extend(text.as_ref().bytes().filter(|byte| *byte != 0));
            data.push(0);
        }
        data.shrink_to_fit();
        self.push(tag, kind, count, data);
    }

    pub(super) fn text(&mut self, tag: IndexTag, text: impl AsRef<str>) {
        self.strings(tag as u32, STRING, [text]);
    }

    /// A text in the one language there is.
    pub(super) fn translated(&mut self, tag: IndexTag, text: impl AsRef<str>) {
        self.strings(tag as u32, I18NSTRING, [text]);
    }

    pub(super) fn texts<T: AsRef<str>>(&mut self, tag: IndexTag, texts: impl IntoIterator<Item = T>) {
        self.strings(tag as u32, STRING_ARRAY, texts);
    }

    pub(super) fn number(&mut self, tag: IndexTag, number: u32) {
        self.numbers(tag, [number]);
    }

    pub(super) fn numbers(&mut self, tag: IndexTag, numbers: impl IntoIterator<Item = u32>) {
        let data: Vec<u8> = numbers.into_iter().flat_map(u32::to_be_bytes).collect();
        self.push(tag as u32, INT32, data.len() / 4, data);
    }

    pub(super) fn shorts(&mut self, tag: IndexTag, numbers: impl IntoIterator<Item = u16>) {
        let data: Vec<u8> = numbers.into_iter().flat_map(u16::to_be_bytes).collect();
        self.push(tag as u32, INT16, data.len() / 2, data);
    }

    pub(super) fn longs(&mut self, tag: IndexTag, numbers: impl IntoIterator<Item = u64>) {
        let data: Vec<u8> = numbers.into_iter().flat_map(u64::to_be_bytes).collect();
        self.push(tag as u32, INT64, data.len() / 8, data);
    }

    /// The header of a package.
    pub(super) fn header(self) -> Vec<u8> {
        self.encoded(IMMUTABLE)
    }

    /// A signature header, filled up to a multiple of 8 bytes.
    pub(super) fn signature(self) -> Vec<u8> {
        let mut bytes = self.encoded(SIGNATURES);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    /// The entries in the order of their tags, and before them the region that they all belong to.
    fn encoded(mut self, region: u32) -> Vec<u8> {
        self.0.sort_by_key(|entry| entry.tag);
        let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let count = self.0.len() + 1;
        let longest = |entry: &Entry| entry.data.len() + 7;
        let mut bytes = Vec::with_capacity(
            MAGIC.len() + 8 + (count + 1) * ENTRY + self.0.iter().map(longest).sum::<usize>(),
        );
        bytes.extend(MAGIC);
        // index and store are filled in below
        let start = bytes.len() + 8 + count * ENTRY;
        bytes.resize(start, 0);
        let mut index: Vec<[u32; 4]> = Vec::with_capacity(count);
        for Entry { tag, kind, count, data } in self.0 {
            let unit = match kind {
                INT16 => 2,
                INT32 => 4,
                INT64 => 8,
                _ => 1,
            };
            let offset = (bytes.len() - start).next_multiple_of(unit);
            bytes.resize(start + offset, 0);
            bytes.extend(data);
            index.push([tag, kind, number(offset), count]);
        }
        let offset = number(bytes.len() - start);
        index.insert(0, [region, BIN, offset, number(ENTRY)]);
        // where the region begins, seen from here
        let back = number(count * ENTRY).wrapping_neg();
        bytes.extend([region, BIN, back, number(ENTRY)].iter().flat_map(|field| field.to_be_bytes()));
        let size = number(bytes.len() - start);
        let head = [number(count), size].into_iter().chain(index.into_iter().flatten());
        for (place, field) in bytes[MAGIC.len()..start].chunks_exact_mut(4).zip(head) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        bytes
    }
}

/// What the signature header says of a package.
pub(super) struct Signature {
    pub(super) sha1: String,
    pub(super) sha256: String,
    /// Bytes of header and payload.
    pub(super) size: u64,
    /// Bytes of the payload before compression.
    pub(super) payload: u64,
    /// Whether the sizes take 64 bits.
    pub(super) is_large: bool,
}

impl Signature {
    /// The signature header. SHA-1 (269) and SHA-256 (273) of the header, and the sizes. No MD5 over
    /// header and payload: it would need the header before the payload, and rpm 4.14 and later verify the payload by its digest in
    /// the header instead.
    pub(super) fn encoded(&self) -> Vec<u8> {
        let mut tags = Tags::default();
        tags.strings(269, STRING, [&self.sha1]);
        tags.strings(273, STRING, [&self.sha256]);
        if self.is_large {
            tags.push(270, INT64, 1, self.size.to_be_bytes().to_vec());
            tags.push(271, INT64, 1, self.payload.to_be_bytes().to_vec());
        } else {
            let small = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes().to_vec();
            tags.push(1000, INT32, 1, small(self.size));
            tags.push(1007, INT32, 1, small(self.payload));
        }
        tags.signature()
    }
}

/// The first 96 bytes of every package, which nothing reads any more but `file(1)` (rpm's `rpmlead.c`).
pub(super) fn lead(name: &str, is_source: bool) -> Vec<u8> {
    const NAME: usize = 66;
    let mut bytes = vec![0xed, 0xab, 0xee, 0xdb, 3, 0, 0, u8::from(is_source), 0, 0];
    let start = bytes.len();
    bytes.extend(name.bytes().take(NAME - 1));
    bytes.resize(start + NAME, 0);
    // Linux; a signature in a header; reserved
    bytes.extend([0, 1, 0, 5]);
    bytes.resize(96, 0);
    bytes
}
