//! Which kernels a build of modules serves: those in which every symbol that it needs has the checksum that it was built with, and the rest of
//! what a kernel compares when it loads a module (`kernel/module/version.c`, `kernel/module/main.c`).
//!
//! The kernel release is not compared where symbols have checksums; checksums are compared as numbers.

mod index;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;

use bstr::ByteSlice;

use super::ko::KernelModule;
use super::symvers::SUPPLIED;

/// A kernel, as far as it decides whether modules of another one load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Abi {
    /// The release, or where it was read from.
    pub name: String,
    pub release: Option<String>,
    /// As `uname -m` prints it.
    pub arch: Option<String>,
    /// What stands behind the release in `vermagic`; nothing where only its symbols are known.
    pub magic: Option<BTreeSet<String>>,
    /// The symbols that were asked for.
    rows: HashMap<String, Row>,
}

/// An exported symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    crc: u32,
    /// `vmlinux`, or the module that exports it.
    module: String,
    /// Whether only modules under the GPL may use it.
    is_gpl: bool,
    namespace: String,
}

/// The words of `vermagic` that a configuration decides (`include/linux/vermagic.h`).
pub const MAGIC: [&str; 5] = ["SMP", "preempt", "preempt_rt", "mod_unload", "modversions"];

/// What keeps a build from being loaded by a kernel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// The kernel is for another machine.
    Machine {
        built: String,
        kernel: String,
    },
    /// Modules of this build carry no checksums: they load in the kernel that they were built for, and in no other.
    NoVersions {
        built: String,
    },
    /// One of the words behind the release is in one and not in the other.
    Magic {
        word: String,
        is_kernels: bool,
    },
    /// Another minor release, whose inline functions and constants may differ though no checksum does.
    Minor {
        built: String,
        kernel: String,
    },
    /// The layout of `struct module`.
    Layout {
        needed: u32,
        found: u32,
    },
    Missing {
        symbol: String,
    },
    Checksum {
        symbol: String,
        needed: u32,
        found: u32,
    },
    /// Exported to modules under the GPL alone.
    Gpl {
        symbol: String,
        module: String,
    },
    /// Exported to those alone who import its namespace.
    Namespace {
        symbol: String,
        namespace: String,
    },
}

impl Obstacle {
    /// The symbol that is missing or another one.
    #[must_use]
    pub fn symbol(&self) -> Option<&str> {
        match self {
            Self::Missing { symbol } | Self::Checksum { symbol, .. } => Some(symbol),
            _ => None,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Machine { built, kernel } => write!(f, "it is for {built}, and the kernel is for {kernel}"),
            Self::NoVersions { built } => {
                write!(f, "its symbols have no checksums: it loads in the kernel `{built}`, and in no other")
            }
            Self::Magic { word, is_kernels: true } => {
                write!(f, "the kernel has `{word}` in its vermagic, and it has not")
            }
            Self::Magic { word, is_kernels: false } => {
                write!(f, "it has `{word}` in its vermagic, and the kernel has not")
            }
            Self::Minor { built, kernel } => {
                write!(
                    f,
                    "`{kernel}` is of another minor release than `{built}`, between which checksums promise nothing"
                )
            }
            Self::Layout { needed, found } => {
                write!(f, "modules are laid out otherwise: module_layout {needed:#010x} → {found:#010x}")
            }
            Self::Missing { symbol } => write!(f, "{symbol} is not exported"),
            Self::Checksum { symbol, needed, found } => write!(f, "{symbol} {needed:#010x} → {found:#010x}"),
            Self::Gpl { symbol, module } => {
                write!(f, "{symbol} is for modules under the GPL, which `{module}` is not")
            }
            Self::Namespace { symbol, namespace } => {
                write!(f, "{symbol} is in the namespace {namespace}, which is not imported")
            }
        }
    }
}

/// What comes of a build and a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgement {
    /// Sorted; none: it serves.
    pub obstacles: Vec<Obstacle>,
    /// Needed symbols that modules of the kernel export, with these: their packages have to be there.
    pub from_modules: BTreeMap<String, String>,
}

impl Abi {
    /// Reads a `Module.symvers` (`scripts/mod/modpost.c`), of which the symbols in `wanted` are kept; or the line at which it is none, and why.
    pub fn read(text: &[u8], wanted: &HashSet<&str>) -> Result<Self, (usize, String)> {
        let rows = rows(text, &|symbol| wanted.contains(symbol))?;
        Ok(Self { rows, ..Self::default() })
    }

    /// A `Module.symvers` as it is kept, to be read by [`Self::read_index`]; nothing where it cannot be.
    pub fn index(text: &[u8]) -> Result<Option<Vec<u8>>, (usize, String)> {
        Ok(index::write(&rows(text, &|_| true)?))
    }

    /// Reads what [`Self::index`] made; nothing where it is something else.
    #[must_use]
    pub fn read_index(bytes: &[u8], wanted: &HashSet<&str>) -> Option<Self> {
        Some(Self { rows: index::read(bytes, wanted)?, ..Self::default() })
    }

    /// The same of a kernel.
    #[must_use]
    pub fn of(
        self,
        name: String,
        release: Option<String>,
        arch: Option<String>,
        magic: Option<BTreeSet<String>>,
    ) -> Self {
        Self { name, release, arch, magic, ..self }
    }

    /// Whether modules, which are installed together, load in this kernel. With `across_minors`, another minor release is no obstacle by itself.
    #[must_use]
    pub fn judge(&self, modules: &[&KernelModule], across_minors: bool) -> Judgement {
        let own: BTreeMap<&str, Option<u32>> = modules
            .iter()
            .flat_map(|module| &module.exports)
            .map(|export| (export.symbol.name.as_str(), export.symbol.crc))
            .collect();
        let mut judgement = Judgement::default();
        let mut found = BTreeSet::new();
        for module in modules {
            self.judge_module(module, across_minors, &mut found);
            let needs = module.needs.iter().filter(|need| !SUPPLIED.contains(&need.name.as_str()));
            for need in needs {
                let symbol = need.name.clone();
                if let Some(there) = own.get(symbol.as_str()) {
                    if let (Some(needed), Some(there)) = (need.crc, there)
                        && needed != *there
                    {
                        found.insert(Obstacle::Checksum { symbol, needed, found: *there });
                    }
                    continue;
                }
                let Some(row) = self.rows.get(&symbol) else {
                    if !need.weak && symbol != LAYOUT {
                        found.insert(Obstacle::Missing { symbol });
                    }
                    continue;
                };
                match need.crc {
                    Some(needed) if needed != row.crc && symbol == LAYOUT => {
                        found.insert(Obstacle::Layout { needed, found: row.crc });
                    }
                    Some(needed) if needed != row.crc => {
                        found.insert(Obstacle::Checksum { symbol: symbol.clone(), needed, found: row.crc });
                    }
                    _ => {}
                }
                if row.is_gpl && !module.values("license").any(is_gpl) {
                    let module = module.name.clone().unwrap_or_default();
                    found.insert(Obstacle::Gpl { symbol: symbol.clone(), module });
                }
                if !row.namespace.is_empty() && !row.admits(module) {
                    let namespace = row.namespace.clone();
                    found.insert(Obstacle::Namespace { symbol: symbol.clone(), namespace });
                }
                if row.module != "vmlinux" {
                    judgement.from_modules.insert(symbol, row.module.clone());
                }
            }
        }
        judgement.obstacles = found.into_iter().collect();
        judgement
    }

    fn judge_module(&self, module: &KernelModule, across_minors: bool, found: &mut BTreeSet<Obstacle>) {
        let built = module.kernel().unwrap_or_default().to_owned();
        if let Some(kernel) = self.arch.clone().filter(|arch| *arch != module.arch) {
            found.insert(Obstacle::Machine { built: module.arch.clone(), kernel });
        }
        let is_same = self.release.as_deref() == Some(&built);
        if !is_same && !module.needs.iter().any(|need| need.crc.is_some()) {
            found.insert(Obstacle::NoVersions { built: built.clone() });
        }
        let magic = module.values("vermagic").next().unwrap_or_default();
        let has: BTreeSet<&str> = magic.split_whitespace().skip(1).collect();
        for word in self.magic.iter().flat_map(|magic| MAGIC.into_iter().map(move |word| (word, magic))) {
            let (word, magic) = word;
            if has.contains(word) != magic.contains(word) {
                found.insert(Obstacle::Magic { word: word.to_owned(), is_kernels: magic.contains(word) });
            }
        }
        if let (Some(kernel), false) = (&self.release, across_minors)
            && let (Some(one), Some(other)) = (minor(&built), minor(kernel))
            && one != other
        {
            found.insert(Obstacle::Minor { built, kernel: kernel.clone() });
        }
    }
}

/// The rows of a `Module.symvers` that are wanted.
fn rows(text: &[u8], wants: &dyn Fn(&str) -> bool) -> Result<HashMap<String, Row>, (usize, String)> {
    let mut rows = HashMap::new();
    let (mut count, mut line_number) = (0_usize, 0);
    for line in text.lines() {
        line_number += 1;
        let line = line.trim_end_with(|next| next == '\r');
        if line.is_empty() {
            continue;
        }
        let (symbol, row) = Row::parse(line, wants).map_err(|why| (line_number, why))?;
        count += 1;
        let Some(row) = row else { continue };
        let crc = row.crc;
        if rows.insert(symbol.to_owned(), row).is_some_and(|other: Row| other.crc != crc) {
            return Err((line_number, format!("it names `{symbol}` a second time, with another checksum")));
        }
    }
    if count == 0 {
        return Err((line_number.max(1), "it has no row".to_owned()));
    }
    Ok(rows)
}

/// The symbol that stands for the layout of `struct module`.
const LAYOUT: &str = "module_layout";

/// The major and minor release of an enterprise kernel that promises its checksums within a minor release only: from 9 on, `el9_4`.
fn minor(release: &str) -> Option<(u32, u32)> {
    let (_, rest) = release.split_once(".el")?;
    let (major, rest) = rest.split_once('_')?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let found = (major.parse().ok()?, digits.parse().ok()?);
    (found.0 >= 9).then_some(found)
}

/// `license_is_gpl_compatible` (`include/linux/license.h`).
fn is_gpl(license: &str) -> bool {
    ["GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"]
        .contains(&license)
}

/// What the column of exports begins with.
const EXPORT: &str = "EXPORT_";

impl Row {
    /// `CRC SYMBOL MODULE EXPORT [NAMESPACE]`, separated by tabs; Linux 5.4 and 5.5 have the namespace in the third place. The symbol, and the
    /// rest where it is wanted.
    fn parse<'t>(line: &'t [u8], wants: &dyn Fn(&str) -> bool) -> Result<(&'t str, Option<Self>), String> {
        let cut = || "it is cut short, or no row of a Module.symvers".to_owned();
        let line = line.to_str().map_err(|_| cut())?;
        let mut fields = line.split('\t');
        let mut next = || fields.next().ok_or_else(cut);
        let [crc, symbol, third, fourth] = [next()?, next()?, next()?, next()?];
        let fifth = fields.next().unwrap_or_default();
        let (module, export, namespace) = match (fourth.starts_with(EXPORT), fifth.starts_with(EXPORT)) {
            (true, _) => (third, fourth, fifth),
            (false, true) => (fourth, fifth, third),
            (false, false) => return Err(cut()),
        };
        // some are written with the digits of 64 bits
        let crc = crc.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let crc = crc.and_then(|crc| u32::try_from(crc).ok());
        let crc = crc.ok_or_else(|| "its checksum is no number of 32 bits".to_owned())?;
        let row = wants(symbol).then(|| Self {
            crc,
            module: module.to_owned(),
            is_gpl: export.contains("_GPL"),
            namespace: namespace.trim().to_owned(),
        });
        Ok((symbol, row))
    }

    /// Whether a module may use it by its namespace: it imports it, or is one that a `module:` names (since Linux 6.16).
    fn admits(&self, module: &KernelModule) -> bool {
        let name = module.name.as_deref().unwrap_or_default();
        let is_named = |pattern: &str| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        };
        module.values("import_ns").any(|imported| imported == self.namespace)
            || self.namespace.strip_prefix("module:").is_some_and(|names| names.split(',').any(is_named))
    }
}

/// The symbols of which modules want to know something.
#[must_use]
pub fn wanted<'a>(modules: &[&'a KernelModule]) -> HashSet<&'a str> {
    modules.iter().flat_map(|module| &module.needs).map(|need| need.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ko::{Export, Symbol};

    fn need(name: &str, crc: Option<u32>) -> Symbol {
        Symbol { name: name.to_owned(), crc, weak: false }
    }

    fn module(needs: Vec<Symbol>, info: &[(&str, &str)]) -> KernelModule {
        let usual =
            [("vermagic", "6.12.0-124.8.1.el10_1.x86_64 SMP mod_unload modversions "), ("license", "GPL")];
        let info = if info.is_empty() { &usual[..] } else { info };
        KernelModule {
            name: Some("toy".to_owned()),
            arch: "x86_64".to_owned(),
            info: info.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            needs,
            exports: Vec::new(),
            signature: None,
        }
    }

    const TEXT: &str = "0x80000001\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x0fc96016\tproc_create\tvmlinux\tEXPORT_SYMBOL\t\r\n\
                        0x00000005\tclass_create\tvmlinux\tEXPORT_SYMBOL_GPL\t\n0x00000006\tusb_put\tusbcore\tEXPORT_SYMBOL\tUSB\n\
                        0x00000007\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n0x00000008\tfor_toy\tvmlinux\tEXPORT_SYMBOL_GPL\tmodule:to*\n";

    fn judged(kernel: &Abi, module: &KernelModule) -> Vec<Obstacle> {
        kernel.judge(&[module], false).obstacles
    }

    fn kernel(release: &str, text: &str) -> Abi {
        let all: HashSet<&str> = text.lines().filter_map(|line| line.split('\t').nth(1)).collect();
        let read = Abi::read(text.as_bytes(), &all).unwrap();
        Abi { release: Some(release.to_owned()), arch: Some("x86_64".to_owned()), ..read }
    }

    #[test]
    fn a_build_serves_a_kernel_whose_symbols_are_the_same() {
        let next = kernel("6.12.0-124.13.1.el10_1.x86_64", TEXT);
        let all = |crc| {
            vec![
                need("printk", Some(0x8000_0001)),
                need("proc_create", Some(crc)),
                need("module_layout", Some(7)),
            ]
        };
        assert_eq!(judged(&next, &module(all(0x0fc9_6016), &[])), []);
        let symbol = "proc_create".to_owned();
        let differs = Obstacle::Checksum { symbol, needed: 0x8fb2_bc85, found: 0x0fc9_6016 };
        assert_eq!(judged(&next, &module(all(0x8fb2_bc85), &[])), [differs]);
        let mut gone = module(vec![need("gone", Some(1)), need("module_layout", Some(8))], &[]);
        let missing = Obstacle::Missing { symbol: "gone".to_owned() };
        assert_eq!(judged(&next, &gone), [Obstacle::Layout { needed: 8, found: 7 }, missing]);
        // weak, or the module's own, or of one that is installed with it
        gone.needs = vec![Symbol { weak: true, ..need("gone", Some(1)) }];
        assert_eq!(judged(&next, &gone), []);
        gone.needs = vec![need("gone", Some(1))];
        let mut other = module(Vec::new(), &[]);
        other.needs = vec![need("printk", Some(0x8000_0001))];
        other.exports = vec![Export { symbol: need("gone", Some(1)), gpl: false }];
        assert_eq!(next.judge(&[&gone, &other], false).obstacles, []);
    }

    #[test]
    fn what_is_exported_to_some_is_not_for_others() {
        let next = kernel("6.12.0-124.13.1.el10_1.x86_64", TEXT);
        let vermagic = ("vermagic", "6.12.0-124.8.1.el10_1.x86_64 SMP mod_unload modversions ");
        let closed = |more: &[(&str, &str)], symbol: &str, crc| {
            judged(&next, &module(vec![need(symbol, Some(crc))], &[&[vermagic], more].concat()))
        };
        let gpl = Obstacle::Gpl { symbol: "class_create".to_owned(), module: "toy".to_owned() };
        assert_eq!(closed(&[("license", "Proprietary")], "class_create", 5), [gpl]);
        assert_eq!(closed(&[("license", "Dual MIT/GPL")], "class_create", 5), []);
        let usb = Obstacle::Namespace { symbol: "usb_put".to_owned(), namespace: "USB".to_owned() };
        assert_eq!(closed(&[("license", "GPL")], "usb_put", 6), [usb]);
        assert_eq!(closed(&[("license", "GPL"), ("import_ns", "USB")], "usb_put", 6), []);
        assert_eq!(closed(&[("license", "GPL")], "for_toy", 8), []);
        let from = next.judge(&[&module(vec![need("usb_put", Some(6))], &[])], false).from_modules;
        assert_eq!(from.into_iter().collect::<Vec<_>>(), [("usb_put".to_owned(), "usbcore".to_owned())]);
    }

    #[test]
    fn the_words_behind_the_release_and_the_minor_release_count() {
        let toy = module(vec![need("printk", Some(0x8000_0001))], &[]);
        let mut next = kernel("6.12.0-211.7.1.el10_2.x86_64", TEXT);
        let (built, other) = ("6.12.0-124.8.1.el10_1.x86_64".to_owned(), next.release.clone().unwrap());
        assert_eq!(judged(&next, &toy), [Obstacle::Minor { built, kernel: other }]);
        assert_eq!(next.judge(&[&toy], true).obstacles, []);
        next.magic = Some(["SMP", "preempt_rt", "mod_unload", "modversions"].map(str::to_owned).into());
        let magic = Obstacle::Magic { word: "preempt_rt".to_owned(), is_kernels: true };
        assert_eq!(next.judge(&[&toy], true).obstacles, [magic]);
        next.arch = Some("aarch64".to_owned());
        assert!(matches!(next.judge(&[&toy], true).obstacles[0], Obstacle::Machine { .. }));
        // 8 promises for the whole major release
        assert_eq!(
            (minor("4.18.0-513.el8_9.x86_64"), minor("5.14.0-362.8.1.el9_3.x86_64")),
            (None, Some((9, 3)))
        );
        // without checksums nothing is promised but for the very kernel
        let plain = module(
            vec![need("printk", None)],
            &[("vermagic", "7.2.12+deb14-amd64 SMP mod_unload "), ("license", "GPL")],
        );
        let built = "7.2.12+deb14-amd64".to_owned();
        assert_eq!(judged(&kernel("7.2.13+deb14-amd64", TEXT), &plain), [Obstacle::NoVersions { built }]);
        assert_eq!(judged(&kernel("7.2.12+deb14-amd64", TEXT), &plain), []);
    }

    #[test]
    fn what_is_no_list_of_symbols_is_said_with_its_line() {
        let wanted = HashSet::from(["a"]);
        let read = |text: &str| Abi::read(text.as_bytes(), &wanted).map(|abi| abi.rows.len());
        let row = "0x00000001\ta\tvmlinux\tEXPORT_SYMBOL\n";
        assert_eq!(read(row), Ok(1));
        // Linux 5.4; digits of 64 bits; the same row again; an empty line
        assert_eq!(read("0x00000001\ta\tNS\tvmlinux\tEXPORT_SYMBOL\n"), Ok(1));
        assert_eq!(read("0x00000000ffffffff\ta\tvmlinux\tEXPORT_SYMBOL\t\n\n"), Ok(1));
        assert_eq!(read(&[row, row].concat()), Ok(1));
        for (text, line) in [
            ("", 1),
            ("\n", 1),
            ("ELF", 1),
            (&format!("{row}0x0000"), 2),
            (&format!("{row}0x00000002\ta\tvmlinux\tEXPORT_SYMBOL\n"), 2),
            ("0x100000000\ta\tvmlinux\tEXPORT_SYMBOL\n", 1),
            ("zz\ta\tvmlinux\tEXPORT_SYMBOL\n", 1),
        ] {
            assert_eq!(read(text).unwrap_err().0, line, "{text:?}");
        }
    }
}
