//! Whether modules can be loaded by a kernel, by its `Module.symvers`: every symbol they need is there, with the same checksum.
//!
//! Compares checksums as numbers. Sources: `scripts/mod/modpost.c` and `kernel/module/version.c` of Linux.

use std::collections::{HashMap, HashSet};

use bstr::ByteSlice;

use crate::kernel::ko::KernelModule;

/// The symbols that a kernel exports, as far as modules need them.
#[derive(Debug, Default)]
pub struct Symvers<'a> {
    /// Name to checksum.
    needed: HashMap<&'a [u8], u32>,
    /// Whether it exports any at all.
    has_some: bool,
}

/// Symbols that the kernel's loader supplies itself, or does without.
pub(super) const SUPPLIED: &[&str] = &["_GLOBAL_OFFSET_TABLE_", "__this_module", ".TOC.", "_mcount"];

impl<'a> Symvers<'a> {
    /// Reads lines of `CRC SYMBOL MODULE EXPORT [NAMESPACE]`, separated by tabs; others are left out, and so are symbols that none of
    /// the modules needs: a kernel has some 25,000.
    #[must_use]
    pub fn read(text: &'a [u8], modules: &[(&str, &KernelModule)]) -> Self {
        let needs: HashSet<&[u8]> =
            modules.iter().flat_map(|(_, module)| &module.needs).map(|need| need.name.as_bytes()).collect();
        let mut symvers = Self::default();
        for line in text.lines() {
            let mut fields = line.split(|byte| *byte == b'\t');
            let crc = fields.next().and_then(|crc| crc.strip_prefix(b"0x"));
            let (Some(crc), Some(symbol)) = (crc, fields.next()) else { continue };
            symvers.has_some = true;
            if needs.contains(symbol)
                && let Some(crc) = crc.to_str().ok().and_then(|crc| u32::from_str_radix(crc, 16).ok())
            {
                symvers.needed.insert(symbol, crc);
            }
        }
        symvers
    }

    /// What keeps one of `modules`, which are loaded together and after `others`, from being loaded by the kernel `release` on
    /// `arch`, one line each.
    #[must_use]
    pub fn obstacles(
        &self,
        modules: &[(&str, &KernelModule)],
        others: &[&KernelModule],
        release: &str,
        arch: &str,
    ) -> Vec<String> {
        let all = modules.iter().map(|(_, module)| *module).chain(others.iter().copied());
        let own = all.flat_map(|module| &module.exports);
        let own: HashMap<&str, Option<u32>> =
            own.map(|export| (export.symbol.name.as_str(), export.symbol.crc)).collect();
        let mut found = Vec::new();
        for (name, module) in modules {
            match module.kernel() {
                Some(kernel) if kernel == release => {}
                Some(kernel) => found.push(format!("`{name}` is for the kernel `{kernel}`")),
                None => found.push(format!("`{name}` does not say which kernel it is for (no vermagic)")),
            }
            if module.arch != arch {
                found.push(format!("`{name}` is for {}", module.arch));
            }
            if !self.has_some {
                continue;
            }
            for need in module.needs.iter().filter(|need| !SUPPLIED.contains(&need.name.as_str())) {
                let there = own
                    .get(need.name.as_str())
                    .copied()
                    .or_else(|| self.needed.get(need.name.as_bytes()).map(|crc| Some(*crc)));
                match (there, need.crc) {
                    (None, _) if need.weak => {}
                    (None, _) => found.push(format!(
                        "`{name}` needs the symbol `{}`, which the kernel does not export",
                        need.name
                    )),
                    (Some(Some(there)), Some(crc)) if there != crc => found.push(format!(
                        "`{name}` needs the symbol `{}` as {crc:#010x}, and the kernel has {there:#010x}",
                        need.name
                    )),
                    _ => {}
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::ko::{Export, Symbol};

    fn symbol(name: &str, crc: u32) -> Symbol {
        Symbol { name: name.to_owned(), crc: Some(crc), weak: false }
    }

    fn module(needs: Vec<Symbol>, exports: Vec<Symbol>) -> KernelModule {
        KernelModule {
            name: None,
            arch: "x86_64".to_owned(),
            info: vec![("vermagic".to_owned(), "6.1 SMP ".to_owned())],
            needs,
            exports: exports.into_iter().map(|symbol| Export { symbol, gpl: false }).collect(),
            signature: None,
        }
    }

    #[test]
    fn a_module_loads_where_every_symbol_has_its_checksum() {
        let text =
            b"0x00000010\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n0x1a05b123\tother\tvmlinux\tEXPORT_SYMBOL_GPL\n";
        let obstacles = |modules: &[(&str, &KernelModule)], others: &[&KernelModule], release, arch| {
            Symvers::read(text, modules).obstacles(modules, others, release, arch)
        };
        let weak = Symbol { weak: true, ..symbol("maybe", 1) };
        let good = module(vec![symbol("printk", 16), symbol("own", 7), weak], vec![]);
        let exporter = module(vec![], vec![symbol("own", 7)]);
        assert_eq!(obstacles(&[("a", &good), ("b", &exporter)], &[], "6.1", "x86_64"), Vec::<String>::new());
        assert_eq!(obstacles(&[("a", &good)], &[&exporter], "6.1", "x86_64"), Vec::<String>::new());
        // text that rpm takes for the same version
        let bad = module(vec![symbol("other", 0x1a5b_0123), symbol("gone", 1)], vec![]);
        let found = obstacles(&[("c", &bad)], &[], "6.1", "x86_64");
        assert_eq!(
            found,
            [
                "`c` needs the symbol `other` as 0x1a5b0123, and the kernel has 0x1a05b123",
                "`c` needs the symbol `gone`, which the kernel does not export",
            ]
        );
        let found = obstacles(&[("a", &exporter)], &[], "6.2", "aarch64");
        assert_eq!(found, ["`a` is for the kernel `6.1`", "`a` is for x86_64"]);
    }
}
