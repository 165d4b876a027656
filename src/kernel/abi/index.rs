//! A list of symbols as it is kept: sorted by a digest of their names, so that a few of them are found without reading all.
//!
//! `KPKGSYM1`, the number of rows, then for each row eight bytes of the SHA-256 of its name, its checksum, and where its texts stand: 0 for what
//! anybody may use of `vmlinux`, else the place of a byte that says whether it is for the GPL alone, and of module and namespace, each with a zero
//! byte behind it. Numbers are little-endian.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{About, Row};

const BEGIN: &[u8] = b"KPKGSYM1";
/// Bytes of a row.
const ROW: usize = 16;

/// What finds a name.
pub(super) fn key(name: &str) -> u64 {
    let digest = Sha256::digest(name);
    digest.iter().take(8).fold(0, |key, byte| key << 8 | u64::from(*byte))
}

/// All rows of a list; nothing where two names would be taken for one.
pub(super) fn write(rows: &HashMap<String, Row>) -> Option<Vec<u8>> {
    let mut sorted = BTreeMap::new();
    let mut texts = Vec::new();
    let mut places = HashMap::new();
    let begin = BEGIN.len() + 4 + rows.len() * ROW;
    for (name, row) in rows {
        let place = row.about.as_ref().map_or(0, |about| {
            *places.entry(about).or_insert_with(|| {
                let place = begin + texts.len();
                texts.push(u8::from(about.is_gpl));
                texts.extend([about.module.as_bytes(), &[0], about.namespace.as_bytes(), &[0]].concat());
                place
            })
        });
        if sorted.insert(key(name), (row.crc, u32::try_from(place).ok()?)).is_some() {
            return None;
        }
    }
    let mut bytes = BEGIN.to_vec();
    bytes.extend(u32::try_from(sorted.len()).ok()?.to_le_bytes());
    for (key, (crc, place)) in sorted {
        bytes.extend(key.to_le_bytes());
        bytes.extend([crc, place].map(u32::to_le_bytes).as_flattened());
    }
    bytes.extend(texts);
    Some(bytes)
}

/// The rows of these keys; nothing where the bytes are no such list.
pub(super) fn read(bytes: &[u8], keys: &[u64]) -> Option<Vec<Option<Row>>> {
    let rest = bytes.strip_prefix(BEGIN)?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let (rows, _) = rest.get(..count.checked_mul(ROW)?)?.as_chunks::<ROW>();
    let key_of = |row: &[u8; ROW]| row.first_chunk().map(|key| u64::from_le_bytes(*key));
    let mut abouts: HashMap<u32, Arc<About>> = HashMap::new();
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let Ok(at) = rows.binary_search_by_key(&Some(*key), key_of) else {
            found.push(None);
            continue;
        };
        let number = |from: usize| rows[at].get(from..)?.first_chunk().map(|four| u32::from_le_bytes(*four));
        let (crc, place) = (number(8)?, number(12)?);
        let about = match (place, abouts.get(&place)) {
            (0, _) => None,
            (_, Some(about)) => Some(Arc::clone(about)),
            (_, None) => {
                let about = Arc::new(about_at(bytes, place)?);
                abouts.insert(place, Arc::clone(&about));
                Some(about)
            }
        };
        found.push(Some(Row { crc, about }));
    }
    Some(found)
}

/// The texts at a place.
fn about_at(bytes: &[u8], place: u32) -> Option<About> {
    let (is_gpl, texts) = bytes.get(usize::try_from(place).ok()?..)?.split_first()?;
    let mut texts = texts.splitn(3, |byte| *byte == 0);
    let mut text = || std::str::from_utf8(texts.next()?).ok().map(str::to_owned);
    let (module, namespace) = (text()?, text()?);
    // behind each is a zero byte
    texts.next()?;
    Some(About { module, is_gpl: *is_gpl == 1, namespace })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found() {
        let about = |module: &str, is_gpl, namespace: &str| {
            Some(Arc::new(About { module: module.to_owned(), is_gpl, namespace: namespace.to_owned() }))
        };
        let mut rows: HashMap<String, Row> =
            (0..1000).map(|index| (format!("symbol_{index}"), Row { crc: index, about: None })).collect();
        rows.insert("usb_put".to_owned(), Row { crc: 0xffff_ffff, about: about("usbcore", true, "USB") });
        rows.insert("usb_get".to_owned(), Row { crc: 1, about: about("usbcore", true, "USB") });
        let bytes = write(&rows).unwrap();
        let names = ["symbol_0", "symbol_999", "usb_put", "usb_get", "gone"];
        let keys = names.map(key);
        let expected: Vec<_> = names.iter().map(|name| rows.get(*name).cloned()).collect();
        assert_eq!(read(&bytes, &keys).unwrap(), expected);
        // cut anywhere it is none, or has what it had
        for end in (0..bytes.len()).step_by(7) {
            assert!(read(&bytes[..end], &keys).is_none_or(|less| less == expected), "{end}");
        }
        assert_eq!(read(&write(&HashMap::new()).unwrap(), &keys), Some(vec![None; 5]));
    }
}
