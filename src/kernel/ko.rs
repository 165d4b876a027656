//! Reads a kernel module, a `.ko` file: what it says about itself, which symbols it needs and gives, whether it is signed.
//!
//! Judges nothing. Sources of the layouts: `scripts/mod/modpost.c`, `include/linux/export.h`, `include/linux/module.h` and
//! `scripts/sign-file.c` of Linux 4.18 to 6.14.

use std::collections::BTreeMap;
use std::io::{self, Read};

use object::{Object, ObjectSection, ObjectSymbol, SectionIndex, SymbolSection};
use serde::{Deserialize, Serialize};

use crate::archive;
use crate::sign::module::{Appended, FoundMessage, FoundSignature, has_junk_behind};

/// The largest module that is read, uncompressed: 256 MiB.
pub const LARGEST: u64 = 256 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelModule {
    /// The name that `lsmod` shows; older modules do not say it.
    pub name: Option<String>,
    /// The architecture as `uname -m` prints it.
    pub arch: String,
    /// What it says about itself, in its order: `license`, `version`, `vermagic`, `alias` and so on.
    pub info: Vec<(String, String)>,
    /// Symbols it takes from the kernel or from other modules, by name.
    pub needs: Vec<Symbol>,
    /// Symbols it exports, by name.
    pub exports: Vec<Export>,
    /// The signature at its end.
    pub signature: Option<Signature>,
}

/// Whether the name of a file is that of a module, compressed or not.
#[must_use]
pub fn is_module(path: &str) -> bool {
    let name = [".xz", ".zst", ".gz"].iter().find_map(|suffix| path.strip_suffix(suffix)).unwrap_or(path);
    name.ends_with(".ko")
}

/// A symbol and the checksum of its type, where symbols have versions (`CONFIG_MODVERSIONS`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    pub name: String,
    /// The checksum.
    pub crc: Option<u32>,
    /// Whether a module may be loaded without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
}

/// A symbol for other modules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Name and checksum.
    #[serde(flatten)]
    pub symbol: Symbol,
    /// Whether only modules under the GPL may use it.
    pub gpl: bool,
}

/// A signature behind the ELF file: a CMS message (PKCS#7), the one kind that kernels take since 4.3.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Bytes of the message.
    pub size: u64,
    /// What it holds.
    #[serde(skip)]
    pub message: FoundMessage,
    /// Why a kernel refuses the module, whatever it holds.
    pub broken: Option<String>,
    /// How many signatures stand before it, which kernels pass over.
    pub buried: usize,
    /// Whether something was written behind it, so that no kernel sees it.
    pub has_junk: bool,
}

impl Signature {
    /// Why every kernel refuses it, or does not see it.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        let junk =
            self.has_junk.then(|| "something is written behind it, so that no kernel sees it".to_owned());
        let of_each = self.message.signatures.iter().filter_map(FoundSignature::refusal);
        junk.into_iter().chain(self.broken.clone()).chain(of_each).collect()
    }

    /// The same, and what else is odd.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let buried = match self.buried {
            0 => None,
            1 => Some("an older one stands before it, which kernels pass over".to_owned()),
            count => Some(format!("{count} older ones stand before it, which kernels pass over")),
        };
        self.refusals().into_iter().chain(buried).collect()
    }
}

impl KernelModule {
    /// The values of a key of `.modinfo`, such as `alias`.
    pub fn values<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.info.iter().filter(move |(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The kernel release it was built for: the first word of `vermagic`.
    #[must_use]
    pub fn kernel(&self) -> Option<&str> {
        self.values("vermagic").next()?.split_whitespace().next()
    }

    /// Reads a module, also a compressed one (gzip, xz, Zstandard); what is no module is an error that says why.
    pub fn read(source: impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        archive::decompressed(source)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(invalid(format!("it is larger than {} MiB", LARGEST >> 20)));
        }
        Self::parse(&bytes)
    }

    /// Reads the bytes of an uncompressed module.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        let file =
            object::File::parse(bytes).map_err(|error| invalid(format!("it is no ELF file: {error}")))?;
        if file.kind() != object::ObjectKind::Relocatable {
            return Err(invalid("it is an ELF file, but none that can be linked into a kernel"));
        }
        let Some(info) = section(&file, ".modinfo")? else {
            return Err(invalid("it has no section .modinfo, as every kernel module has"));
        };
        let info = modinfo(info);
        let name = info.iter().find(|(key, _)| key == "name").map(|(_, value)| value.clone());
        let versions = versions(&file)?;
        let mut needs: BTreeMap<String, Symbol> = BTreeMap::new();
        let need = |name: &str, crc, weak| (name.to_owned(), Symbol { name: name.to_owned(), crc, weak });
        let mut exports = Exports::default();
        for symbol in file.symbols() {
            let Ok(name) = symbol.name() else { continue };
            if symbol.is_undefined() && !name.is_empty() {
                needs.extend([need(name, versions.get(name).copied(), symbol.is_weak())]);
            } else {
                exports.take(&file, &symbol, name)?;
            }
        }
        // the layout of `struct module` is checked like a symbol, though nobody links to it
        for (name, crc) in versions.iter().filter(|(name, _)| *name == "module_layout") {
            needs.extend([need(name, Some(*crc), false)]);
        }
        let needs = needs.into_values().collect();
        let signature = signature(bytes);
        Ok(Self { name, arch: architecture(&file), info, needs, exports: exports.all(), signature })
    }
}

fn invalid(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

fn section<'d>(file: &object::File<'d>, name: &str) -> io::Result<Option<&'d [u8]>> {
    let Some(section) = file.section_by_name(name) else { return Ok(None) };
    section.data().map(Some).map_err(|error| invalid(format!("its section {name} cannot be read: {error}")))
}

/// `KEY=VALUE` strings with NUL behind each, and NULs between them.
fn modinfo(bytes: &[u8]) -> Vec<(String, String)> {
    bytes
        .split(|byte| *byte == 0)
        .filter(|text| !text.is_empty())
        .map(|text| {
            let text = String::from_utf8_lossy(text);
            let (key, value) = text.split_once('=').unwrap_or((&text, ""));
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

/// `uname -m` of the machine that an ELF file is for.
fn architecture(file: &object::File<'_>) -> String {
    use object::{Architecture, Endianness};
    let name = match (file.architecture(), file.endianness()) {
        (Architecture::X86_64, _) => "x86_64",
        (Architecture::I386, _) => "i686",
        (Architecture::Aarch64, _) => "aarch64",
        (Architecture::Arm, _) => "armv7l",
        (Architecture::PowerPc64, Endianness::Little) => "ppc64le",
        (Architecture::PowerPc64, Endianness::Big) => "ppc64",
        (Architecture::S390x, _) => "s390x",
        (Architecture::Riscv64, _) => "riscv64",
        (Architecture::LoongArch64, _) => "loongarch64",
        (other, _) => return format!("{other:?}").to_lowercase(),
    };
    name.to_owned()
}

/// The checksums of needed symbols: the table of 64-byte records, and since Linux 6.14 the one for names of any length.
fn versions(file: &object::File<'_>) -> io::Result<BTreeMap<String, u32>> {
    const RECORD: usize = 64;
    let mut found = BTreeMap::new();
    if let Some(table) = section(file, "__versions")? {
        if table.len() % RECORD != 0 {
            return Err(invalid("its section __versions is cut short"));
        }
        // the checksum is an `unsigned long`, of which 32 bits are used
        let long = if file.is_64() { 8 } else { 4 };
        for record in table.chunks_exact(RECORD) {
            let number = &record[..long];
            let low = if file.is_little_endian() { &number[..4] } else { &number[long - 4..] };
            if let Some(crc) = number32(low, file) {
                found.insert(text(&record[long..]), crc);
            }
        }
    }
    if let (Some(crcs), Some(names)) =
        (section(file, "__version_ext_crcs")?, section(file, "__version_ext_names")?)
    {
        let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        for (crc, name) in crcs.chunks_exact(4).zip(names) {
            if let Some(crc) = number32(crc, file) {
                found.insert(text(name), crc);
            }
        }
    }
    Ok(found)
}

/// The text before the first NUL.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

fn number32(bytes: &[u8], file: &object::File<'_>) -> Option<u32> {
    let bytes: [u8; 4] = bytes.try_into().ok()?;
    Some(if file.is_little_endian() { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
}

/// Exported symbols, as they come together from two kinds of ELF symbols.
#[derive(Default)]
struct Exports {
    gpl: BTreeMap<String, bool>,
    crcs: BTreeMap<String, u32>,
}

impl Exports {
    /// `__ksymtab_NAME` in a section that tells the licence, and `__crc_NAME`: a checksum, or since Linux 5.19 the place of one.
    fn take<'d>(
        &mut self,
        file: &object::File<'d>,
        symbol: &object::Symbol<'d, '_>,
        name: &str,
    ) -> io::Result<()> {
        if let Some(exported) = name.strip_prefix("__ksymtab_") {
            if let SymbolSection::Section(index) = symbol.section() {
                let section = section_name(file, index)?;
                self.gpl.insert(exported.to_owned(), section.contains("_gpl"));
            }
        } else if let Some(exported) = name.strip_prefix("__crc_") {
            let crc = match symbol.section() {
                SymbolSection::Absolute => u32::try_from(symbol.address()).ok(),
                SymbolSection::Section(index) => crc_at(file, index, symbol.address())?,
                _ => None,
            };
            self.crcs.extend(crc.map(|crc| (exported.to_owned(), crc)));
        }
        Ok(())
    }

    fn all(self) -> Vec<Export> {
        let crcs = self.crcs;
        let export = |(name, gpl): (String, bool)| {
            let crc = crcs.get(&name).copied();
            Export { symbol: Symbol { name, crc, weak: false }, gpl }
        };
        self.gpl.into_iter().map(export).collect()
    }
}

fn section_name(file: &object::File<'_>, index: SectionIndex) -> io::Result<String> {
    let broken = |error| invalid(format!("a symbol is in no section: {error}"));
    let section = file.section_by_index(index).map_err(broken)?;
    Ok(section.name().map_err(broken)?.to_owned())
}

fn crc_at(file: &object::File<'_>, index: SectionIndex, offset: u64) -> io::Result<Option<u32>> {
    let broken = |error| invalid(format!("the checksum of a symbol cannot be read: {error}"));
    let data = file.section_by_index(index).and_then(|section| section.data()).map_err(broken)?;
    let bytes = usize::try_from(offset).ok().and_then(|at| data.get(at..at.checked_add(4)?));
    Ok(bytes.and_then(|bytes| number32(bytes, file)))
}

/// What stands behind the ELF file.
fn signature(bytes: &[u8]) -> Option<Signature> {
    let mut found = Signature { has_junk: has_junk_behind(bytes), ..Signature::default() };
    match Appended::of(bytes) {
        Ok(Appended { message: None, .. }) if !found.has_junk => return None,
        Ok(Appended { message: None, .. }) => {}
        Ok(Appended { plain, message: Some(message), buried }) => {
            found.size = message.len() as u64;
            found.buried = buried;
            match FoundMessage::parse(message, plain) {
                Some(message) => found.message = message,
                None => found.broken = Some("it is no CMS message of signed data".to_owned()),
            }
        }
        Err(why) => found.broken = Some(why.to_owned()),
    }
    Some(found)
}
