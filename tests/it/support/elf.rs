//! Kernel modules as tests want them: the sections and symbols that modpost and the assembler make, and no code.

use object::write::{Object, SectionId, Symbol, SymbolSection};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope};

/// What a module shall hold.
pub struct Made<'a> {
    pub architecture: Architecture,
    pub endianness: Endianness,
    /// `KEY=VALUE`.
    pub info: &'a [&'a str],
    /// Symbols it takes, with their checksums in `__versions`.
    pub needs: &'a [(&'a str, Option<u32>)],
    /// The same in the tables of Linux 6.14.
    pub extended: &'a [(&'a str, u32)],
    /// Symbols it gives: name, GPL, checksum, and whether that is the value of a symbol rather than in a section.
    pub exports: &'a [(&'a str, bool, u32, bool)],
    /// A signature of so many bytes.
    pub signature: Option<u32>,
}

impl Default for Made<'_> {
    fn default() -> Self {
        Self {
            architecture: Architecture::X86_64,
            endianness: Endianness::Little,
            info: &[],
            needs: &[],
            extended: &[],
            exports: &[],
            signature: None,
        }
    }
}

fn symbol(object: &mut Object<'_>, name: &str, section: SymbolSection, value: u64) {
    object.add_symbol(Symbol {
        name: name.as_bytes().to_vec(),
        value,
        size: 0,
        kind: SymbolKind::Data,
        scope: SymbolScope::Linkage,
        weak: false,
        section,
        flags: SymbolFlags::None,
    });
}

impl Made<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        let mut object = Object::new(BinaryFormat::Elf, self.architecture, self.endianness);
        let is_64 = object.architecture().address_size().unwrap().bytes() == 8;
        let little = self.endianness == Endianness::Little;
        let number = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let section = |object: &mut Object<'_>, name: &str, bytes: &[u8]| -> SectionId {
            let id = object.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::ReadOnlyData);
            object.append_section_data(id, bytes, 4);
            id
        };
        let info: String = self.info.iter().map(|text| format!("{text}\0")).collect();
        section(&mut object, ".modinfo", info.as_bytes());
        let mut records = Vec::new();
        for (name, crc) in self.needs {
            symbol(&mut object, name, SymbolSection::Undefined, 0);
            let Some(crc) = crc else { continue };
            let mut record = Vec::new();
            match (is_64, little) {
                (true, true) => record.extend([&number(*crc)[..], &[0; 4]].concat()),
                (true, false) => record.extend([&[0; 4], &number(*crc)[..]].concat()),
                (false, _) => record.extend(number(*crc)),
            }
            record.extend(name.as_bytes());
            record.resize(64, 0);
            records.extend(record);
        }
        if !records.is_empty() {
            section(&mut object, "__versions", &records);
        }
        if !self.extended.is_empty() {
            let crcs: Vec<u8> = self.extended.iter().flat_map(|(_, crc)| number(*crc)).collect();
            let names: String = self.extended.iter().map(|(name, _)| format!("{name}\0")).collect();
            section(&mut object, "__version_ext_crcs", &crcs);
            section(&mut object, "__version_ext_names", names.as_bytes());
            for (name, _) in self.extended {
                symbol(&mut object, name, SymbolSection::Undefined, 0);
            }
        }
        let table = section(&mut object, "__ksymtab", &[0; 64]);
        let gpl_table = section(&mut object, "__ksymtab_gpl", &[0; 64]);
        let mut crcs = Vec::new();
        for (_, _, crc, _) in self.exports {
            crcs.extend(number(*crc));
        }
        let crcs = section(&mut object, "__kcrctab", &crcs);
        for (at, (name, gpl, crc, absolute)) in self.exports.iter().enumerate() {
            let table = SymbolSection::Section(if *gpl { gpl_table } else { table });
            symbol(&mut object, &format!("__ksymtab_{name}"), table, 0);
            let (section, value) = if *absolute {
                (SymbolSection::Absolute, u64::from(*crc))
            } else {
                (SymbolSection::Section(crcs), at as u64 * 4)
            };
            symbol(&mut object, &format!("__crc_{name}"), section, value);
        }
        let mut bytes = object.write().unwrap();
        if let Some(size) = self.signature {
            bytes.extend(vec![0x30; size as usize]);
            bytes.extend([0, 0, 2, 0, 0, 0, 0, 0]);
            bytes.extend(size.to_be_bytes());
            bytes.extend(b"~Module signature appended~\n");
        }
        bytes
    }
}
