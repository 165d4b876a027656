//! A list of symbols as it is kept: sorted by a digest of their names, so that a few of them are found without reading all.
//!
//! `KPKGSYM1`, the number of rows, then for each row eight bytes of the SHA-256 of its name, its checksum, and where its texts stand: 0 for what
//! anybody may use of `vmlinux`, else the place of a byte that says whether it is for the GPL alone, and of module and namespace, each with a zero
//! byte behind it. Numbers are little-endian.

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::Row;

const BEGIN: &[u8] = b"KPKGSYM1";
/// Bytes of a row.
const ROW: usize = 16;

fn key(name: &str) -> u64 {
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
        let about = (row.is_gpl, row.module.as_str(), row.namespace.as_str());
        let place = if about == (false, "vmlinux", "") {
            0
        } else {
            *places.entry(about).or_insert_with(|| {
                let place = begin + texts.len();
                texts.push(u8::from(row.is_gpl));
                texts.extend([row.module.as_bytes(), &[0], row.namespace.as_bytes(), &[0]].concat());
                place
            })
        };
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

/// Those rows that are wanted; nothing where the bytes are no such list.
pub(super) fn read(bytes: &[u8], wanted: &HashSet<&str>) -> Option<HashMap<String, Row>> {
    let rest = bytes.strip_prefix(BEGIN)?;
    let (count, rest) = rest.split_first_chunk::<4>()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let rows = rest.get(..count.checked_mul(ROW)?)?;
    let row = |at: usize| rows.get(at * ROW..).and_then(|row| row.first_chunk::<ROW>());
    let key_at = |at: usize| row(at).and_then(|row| row.first_chunk()).map(|key| u64::from_le_bytes(*key));
    let mut found = HashMap::new();
    for name in wanted {
        let key = key(name);
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            if key_at(middle)? < key { low = middle + 1 } else { high = middle }
        }
        if low == count || key_at(low)? != key {
            continue;
        }
        let row = row(low)?;
        let number = |at: usize| {
            row.get(at..).and_then(|number| number.first_chunk()).map(|four| u32::from_le_bytes(*four))
        };
        let (crc, place) = (number(8)?, number(12)?);
        let (is_gpl, module, namespace) = if place == 0 {
            (false, "vmlinux", "")
        } else {
            let (is_gpl, texts) = bytes.get(usize::try_from(place).ok()?..)?.split_first()?;
            let mut texts = texts.splitn(3, |byte| *byte == 0);
            let mut text = || std::str::from_utf8(texts.next()?).ok();
            (*is_gpl == 1, text()?, text()?)
        };
        let (module, namespace) = (module.to_owned(), namespace.to_owned());
        found.insert((*name).to_owned(), Row { crc, module, is_gpl, namespace });
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found() {
        let row = |crc, module: &str, is_gpl, namespace: &str| Row {
            crc,
            module: module.to_owned(),
            is_gpl,
            namespace: namespace.to_owned(),
        };
        let mut rows: HashMap<String, Row> =
            (0..1000).map(|index| (format!("symbol_{index}"), row(index, "vmlinux", false, ""))).collect();
        rows.insert("usb_put".to_owned(), row(0xffff_ffff, "usbcore", true, "USB"));
        rows.insert("usb_get".to_owned(), row(1, "usbcore", true, "USB"));
        let bytes = write(&rows).unwrap();
        let wanted = HashSet::from(["symbol_0", "symbol_999", "usb_put", "usb_get", "gone"]);
        let found = read(&bytes, &wanted).unwrap();
        assert_eq!(found.len(), 4);
        assert!(found.iter().all(|(name, row)| rows[name] == *row));
        // cut anywhere, it is none, or has what it had
        for end in (0..bytes.len()).step_by(7) {
            if let Some(less) = read(&bytes[..end], &wanted) {
                assert!(less.iter().all(|(name, row)| rows[name] == *row));
            }
        }
        assert_eq!(read(&write(&HashMap::new()).unwrap(), &wanted), Some(HashMap::new()));
    }
}
