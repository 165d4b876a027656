//! Which kernels a build of modules serves: those in which every symbol that it needs has the checksum that it was built with, and the rest of
//! what a kernel compares when it loads a module (`kernel/module/version.c`, `kernel/module/main.c`).
//!
//! The kernel release is not compared where symbols have checksums; checksums are compared as numbers.

mod index;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

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
    /// That of its packages, where they are known.
    pub version: Option<String>,
    /// What stands behind the release in `vermagic`; nothing where only its symbols are known.
    pub magic: Option<BTreeSet<String>>,
    /// The symbols that were asked for, in the order of [`Names`].
    rows: Vec<Option<Row>>,
}

/// The symbols that builds want to know something of.
#[derive(Debug, Default)]
pub struct Names {
    all: Vec<Arc<str>>,
    places: HashMap<Arc<str>, usize>,
    /// What finds them in an index.
    keys: Vec<u64>,
}

impl Names {
    /// Those of modules, each once.
    #[must_use]
    pub fn of<'a>(modules: impl IntoIterator<Item = &'a KernelModule>) -> Self {
        let mut names = Self::default();
        for need in modules.into_iter().flat_map(|module| &module.needs) {
            if !names.places.contains_key(need.name.as_str()) {
                let name: Arc<str> = need.name.as_str().into();
                names.places.insert(Arc::clone(&name), names.all.len());
                names.keys.push(index::key(&name));
                names.all.push(name);
            }
        }
        names
    }
}

/// An exported symbol.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    crc: u32,
    /// Nothing: of `vmlinux`, for everybody.
    about: Option<Arc<About>>,
}

impl Row {
    fn is_of_vmlinux(&self) -> bool {
        self.about.as_ref().is_none_or(|about| about.module == VMLINUX)
    }
}

/// The kernel without its modules.
const VMLINUX: &str = "vmlinux";

/// Who exports a symbol, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct About {
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
    /// Modules of this build carry no checksums, and this kernel, for which they were built, has some.
    Versions,
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
    /// Another variant of a kernel, such as `+debug`, whose configuration may differ though no checksum does.
    Variant {
        built: String,
        kernel: String,
    },
    /// The layout of `struct module`.
    Layout {
        needed: u32,
        found: u32,
    },
    Missing {
        symbol: Arc<str>,
    },
    Checksum {
        symbol: Arc<str>,
        needed: u32,
        found: u32,
    },
    /// Exported to modules under the GPL alone.
    Gpl {
        symbol: Arc<str>,
        module: String,
    },
    /// Exported to those alone who import its namespace.
    Namespace {
        symbol: Arc<str>,
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
            Self::Versions => {
                write!(f, "its symbols have no checksums, and the kernel loads no modules without them")
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
            Self::Variant { built, kernel } => {
                write!(
                    f,
                    "`{kernel}` is another variant than `{built}`, between which checksums promise nothing"
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
    /// Reads a `Module.symvers` (`scripts/mod/modpost.c`), of which the symbols in `names` are kept; or the line at which it is none, and why.
    pub fn read(text: &[u8], names: &Names) -> Result<Self, (usize, String)> {
        let found = rows(text, &|symbol| names.places.contains_key(symbol))?;
        let rows = names.all.iter().map(|name| found.get(&**name).cloned()).collect();
        Ok(Self { rows, ..Self::default() })
    }

    /// A `Module.symvers` as it is kept, to be read by [`Self::read_index`]; nothing where it cannot be.
    pub fn index(text: &[u8]) -> Result<Option<Vec<u8>>, (usize, String)> {
        Ok(index::write(&rows(text, &|_| true)?))
    }

    /// Reads what [`Self::index`] made; nothing where it is something else.
    #[must_use]
    pub fn read_index(bytes: &[u8], names: &Names) -> Option<Self> {
        Some(Self { rows: index::read(bytes, &names.keys)?, ..Self::default() })
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

    /// The same of packages of this version.
    #[must_use]
    pub fn with_version(self, version: Option<String>) -> Self {
        Self { version, ..self }
    }

    /// Takes what another look at the same kernel knows more of; false where both cannot be the same.
    pub fn learn(&mut self, other: Self) -> bool {
        fn agree<T: PartialEq>(one: &mut Option<T>, other: Option<T>) -> bool {
            let is_same = one.is_none() || other.is_none() || *one == other;
            *one = one.take().or(other);
            is_same
        }
        self.rows == other.rows
            && agree(&mut self.arch, other.arch)
            && agree(&mut self.magic, other.magic)
            && agree(&mut self.version, other.version)
    }

    /// Whether a build loads in this kernel. With `across_minors`, another minor release is no obstacle by itself.
    #[must_use]
    pub fn judge(&self, build: &Build<'_>, across_minors: bool) -> Judgement {
        let mut judgement = Judgement { obstacles: build.within.clone(), ..Judgement::default() };
        for module in &build.modules {
            self.judge_module(module, across_minors, &mut judgement.obstacles);
        }
        for need in &build.needs {
            let is_layout = &*need.symbol == LAYOUT;
            let Some(row) = self.rows.get(need.place).and_then(Option::as_ref) else {
                if !need.weak && !is_layout {
                    judgement.obstacles.push(Obstacle::Missing { symbol: Arc::clone(&need.symbol) });
                }
                continue;
            };
            match need.crc {
                Some(needed) if needed != row.crc && is_layout => {
                    judgement.obstacles.push(Obstacle::Layout { needed, found: row.crc });
                }
                Some(needed) if needed != row.crc => {
                    let symbol = Arc::clone(&need.symbol);
                    judgement.obstacles.push(Obstacle::Checksum { symbol, needed, found: row.crc });
                }
                // kernels without checksums list zeros
                None if row.crc != 0 && build.is_bare() => judgement.obstacles.push(Obstacle::Versions),
                _ => {}
            }
            if let Some(about) = &row.about {
                about.judge(need, build, &mut judgement);
            }
        }
        judgement.obstacles.sort();
        judgement.obstacles.dedup();
        judgement
    }

    fn judge_module(&self, module: &KernelModule, across_minors: bool, found: &mut Vec<Obstacle>) {
        let built = module.kernel().unwrap_or_default();
        if let Some(kernel) = self.arch.clone().filter(|arch| *arch != module.arch) {
            found.push(Obstacle::Machine { built: module.arch.clone(), kernel });
        }
        let is_same = self.release.as_deref() == Some(built);
        if !is_same && !module.needs.iter().any(|need| need.crc.is_some()) {
            found.push(Obstacle::NoVersions { built: built.to_owned() });
        }
        let magic = module.values("vermagic").next().unwrap_or_default();
        if let Some(kernels) = &self.magic {
            let has: BTreeSet<&str> = magic.split_whitespace().skip(1).collect();
            for word in MAGIC.into_iter().filter(|word| has.contains(word) != kernels.contains(*word)) {
                found.push(Obstacle::Magic { word: word.to_owned(), is_kernels: kernels.contains(word) });
            }
        }
        let Some(kernel) = self.release.as_ref().filter(|_| !across_minors) else { return };
        let (built, kernel) = (built.to_owned(), kernel.clone());
        if let (Some(one), Some(other)) = (variant(&built), variant(&kernel))
            && one != other
        {
            found.push(Obstacle::Variant { built: built.clone(), kernel: kernel.clone() });
        }
        if let (Some(one), Some(other)) = (minor(&built), minor(&kernel))
            && one != other
        {
            found.push(Obstacle::Minor { built, kernel });
        }
    }

    /// What a build that this kernel serves needs of others, in the order of names; what it loads without is not needed.
    #[must_use]
    pub fn needed(&self, build: &Build<'_>) -> Vec<Needed> {
        let needed = build.needs.iter().filter(|need| !need.weak).filter_map(|need| {
            let crc = need.crc?;
            let row = self.rows.get(need.place).and_then(Option::as_ref).filter(|row| row.crc == crc);
            Some(Needed { symbol: Arc::clone(&need.symbol), crc, is_of_kernel: row.is_some() })
        });
        let mut needed: Vec<_> = needed.collect();
        needed.sort();
        needed.dedup();
        needed
    }

    /// The symbols of `vmlinux`, with their checksums, that tell this kernel from every one of `others` together, as few as are found; nothing
    /// where what a build needs of it does not tell them apart.
    #[must_use]
    pub fn apart(&self, build: &Build<'_>, others: &[&Self]) -> Option<Vec<(Arc<str>, u32)>> {
        let mut needs: Vec<&Need> = build.needs.iter().filter(|need| !need.weak).collect();
        needs.sort_by(|one, other| one.symbol.cmp(&other.symbol));
        let is_own = |need: &&&Need| {
            let row = self.rows.get(need.place).and_then(Option::as_ref);
            row.is_some_and(|row| Some(row.crc) == need.crc && row.is_of_vmlinux())
        };
        let mut chosen = Vec::new();
        let mut left: Vec<&Self> = others.to_vec();
        loop {
            let differs = |need: &Need, other: &Self| {
                let row = other.rows.get(need.place).and_then(Option::as_ref);
                let crc = need.crc.unwrap_or_default();
                row.is_none_or(|row| !row.is_of_vmlinux() || !is_alike(row.crc, crc))
            };
            let told = |need: &&Need| left.iter().filter(|other| differs(need, other)).count();
            // of those that tell as many the first
            let best = needs.iter().filter(is_own).copied().rev().max_by_key(told)?;
            if !left.is_empty() && told(&best) == 0 {
                return None;
            }
            chosen.push((Arc::clone(&best.symbol), best.crc.unwrap_or_default()));
            left.retain(|other| !differs(best, other));
            if left.is_empty() {
                return Some(chosen);
            }
        }
    }
}

/// A symbol that a build needs of others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needed {
    pub symbol: Arc<str>,
    pub crc: u32,
    /// Whether the kernel exports it, or one of its own modules.
    pub is_of_kernel: bool,
}

/// Whether rpm takes one checksum for the other: it compares them as versions, which are runs of digits, whose leading zeros do not count, and
/// of letters (rpm-version(7)).
fn is_alike(one: u32, other: u32) -> bool {
    let runs = |crc: u32| {
        let mut runs: Vec<String> = Vec::new();
        for next in format!("{crc:08x}").chars() {
            let is_same = |run: &&mut String| {
                run.chars().all(|before| before.is_ascii_digit() == next.is_ascii_digit())
            };
            match runs.last_mut().filter(is_same) {
                Some(run) => run.push(next),
                None => runs.push(next.to_string()),
            }
        }
        runs.iter().map(|run| run.trim_start_matches('0').to_owned()).collect::<Vec<_>>()
    };
    one == other || runs(one) == runs(other)
}

/// Modules of one build, which are installed together.
pub struct Build<'a> {
    modules: Vec<&'a KernelModule>,
    /// What they need of others, each symbol once with each checksum.
    needs: Vec<Need>,
    /// What does not fit among themselves.
    within: Vec<Obstacle>,
}

/// A symbol that modules of a build need.
struct Need {
    symbol: Arc<str>,
    crc: Option<u32>,
    /// Whether all of them load without it.
    weak: bool,
    /// Where it is in [`Names`].
    place: usize,
    /// The modules that need it, by their places in the build.
    of: Vec<usize>,
}

impl<'a> Build<'a> {
    /// Modules, of whose needs the names are known.
    #[must_use]
    pub fn new(modules: Vec<&'a KernelModule>, names: &Names) -> Self {
        let own: HashMap<&str, Option<u32>> = modules
            .iter()
            .flat_map(|module| &module.exports)
            .map(|export| (export.symbol.name.as_str(), export.symbol.crc))
            .collect();
        let (mut within, mut needs) = (Vec::new(), BTreeMap::new());
        for (of, module) in modules.iter().enumerate() {
            for need in module.needs.iter().filter(|need| !SUPPLIED.contains(&need.name.as_str())) {
                let Some((symbol, place)) = names.places.get_key_value(need.name.as_str()) else { continue };
                let symbol = Arc::clone(symbol);
                if let Some(there) = own.get(&*symbol) {
                    if let (Some(needed), Some(there)) = (need.crc, there)
                        && needed != *there
                    {
                        within.push(Obstacle::Checksum { symbol, needed, found: *there });
                    }
                    continue;
                }
                let known = needs.entry((*place, need.crc)).or_insert_with(|| Need {
                    symbol,
                    crc: need.crc,
                    weak: true,
                    place: *place,
                    of: Vec::new(),
                });
                known.weak &= need.weak;
                known.of.push(of);
            }
        }
        Self { modules, needs: needs.into_values().collect(), within }
    }
}

impl Build<'_> {
    /// Whether no symbol that it needs has a checksum.
    fn is_bare(&self) -> bool {
        self.needs.iter().all(|need| need.crc.is_none())
    }
}

impl About {
    /// Whether those who need a symbol may use it.
    fn judge(&self, need: &Need, build: &Build<'_>, judgement: &mut Judgement) {
        let modules = || need.of.iter().map(|place| build.modules[*place]);
        if self.is_gpl
            && let Some(module) = modules().find(|module| !module.values("license").any(is_gpl))
        {
            let (symbol, module) = (Arc::clone(&need.symbol), module.name.clone().unwrap_or_default());
            judgement.obstacles.push(Obstacle::Gpl { symbol, module });
        }
        if !self.namespace.is_empty() && !modules().all(|module| self.admits(module)) {
            let (symbol, namespace) = (Arc::clone(&need.symbol), self.namespace.clone());
            judgement.obstacles.push(Obstacle::Namespace { symbol, namespace });
        }
        if self.module != VMLINUX {
            judgement.from_modules.insert(need.symbol.to_string(), self.module.clone());
        }
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

/// The release of the enterprise distribution that a kernel is of, and its minor release where that is said: 9 and 4 in `….el9_4.x86_64`.
pub(crate) fn enterprise(release: &str) -> Option<(u32, Option<u32>)> {
    let number = |text: &str| -> Option<u32> {
        let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    };
    let (_, rest) = release.split_once(".el")?;
    let minor = rest.trim_start_matches(|next: char| next.is_ascii_digit()).strip_prefix('_');
    Some((number(rest)?, minor.and_then(number)))
}

/// The same where it promises its checksums within a minor release only: from 9 on.
fn minor(release: &str) -> Option<(u32, u32)> {
    let (major, minor) = enterprise(release)?;
    minor.map(|minor| (major, minor)).filter(|_| major >= 9)
}

/// What follows the machine in the release of an enterprise kernel: `debug` in `….el9_4.x86_64+debug`, empty where nothing does.
fn variant(release: &str) -> Option<&str> {
    release.contains(".el").then(|| release.split_once('+').map_or("", |(_, variant)| variant))
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
        let row = wants(symbol).then(|| {
            let (is_gpl, namespace) = (export.contains("_GPL"), namespace.trim());
            let is_plain = !is_gpl && module == VMLINUX && namespace.is_empty();
            let about = About { module: module.to_owned(), is_gpl, namespace: namespace.to_owned() };
            Self { crc, about: (!is_plain).then(|| Arc::new(about)) }
        });
        Ok((symbol, row))
    }
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

    fn judged_all(kernel: &Abi, modules: &[&KernelModule], across_minors: bool) -> Judgement {
        let names = Names::of(modules.iter().copied());
        let rows = Abi::read(TEXT.as_bytes(), &names).unwrap().rows;
        let kernel = Abi { rows, ..kernel.clone() };
        let index = Abi::index(TEXT.as_bytes()).unwrap().unwrap();
        assert_eq!(Abi::read_index(&index, &names).unwrap().rows, kernel.rows);
        kernel.judge(&Build::new(modules.to_vec(), &names), across_minors)
    }

    fn judged(kernel: &Abi, module: &KernelModule) -> Vec<Obstacle> {
        judged_all(kernel, &[module], false).obstacles
    }

    fn kernel(release: &str) -> Abi {
        Abi { release: Some(release.to_owned()), arch: Some("x86_64".to_owned()), ..Abi::default() }
    }

    #[test]
    fn a_build_serves_a_kernel_whose_symbols_are_the_same() {
        let next = kernel("6.12.0-124.13.1.el10_1.x86_64");
        let all = |crc| {
            vec![
                need("printk", Some(0x8000_0001)),
                need("proc_create", Some(crc)),
                need("module_layout", Some(7)),
            ]
        };
        assert_eq!(judged(&next, &module(all(0x0fc9_6016), &[])), []);
        let symbol = "proc_create".into();
        let differs = Obstacle::Checksum { symbol, needed: 0x8fb2_bc85, found: 0x0fc9_6016 };
        assert_eq!(judged(&next, &module(all(0x8fb2_bc85), &[])), [differs]);
        let mut gone = module(vec![need("gone", Some(1)), need("module_layout", Some(8))], &[]);
        let missing = Obstacle::Missing { symbol: "gone".into() };
        assert_eq!(judged(&next, &gone), [Obstacle::Layout { needed: 8, found: 7 }, missing]);
        // weak, or the module's own, or of one that is installed with it
        gone.needs = vec![Symbol { weak: true, ..need("gone", Some(1)) }];
        assert_eq!(judged(&next, &gone), []);
        gone.needs = vec![need("gone", Some(1))];
        let mut other = module(Vec::new(), &[]);
        other.needs = vec![need("printk", Some(0x8000_0001))];
        other.exports = vec![Export { symbol: need("gone", Some(1)), gpl: false }];
        assert_eq!(judged_all(&next, &[&gone, &other], false).obstacles, []);
    }

    #[test]
    fn what_is_exported_to_some_is_not_for_others() {
        let next = kernel("6.12.0-124.13.1.el10_1.x86_64");
        let vermagic = ("vermagic", "6.12.0-124.8.1.el10_1.x86_64 SMP mod_unload modversions ");
        let closed = |more: &[(&str, &str)], symbol: &str, crc| {
            judged(&next, &module(vec![need(symbol, Some(crc))], &[&[vermagic], more].concat()))
        };
        let gpl = Obstacle::Gpl { symbol: "class_create".into(), module: "toy".to_owned() };
        assert_eq!(closed(&[("license", "Proprietary")], "class_create", 5), [gpl]);
        assert_eq!(closed(&[("license", "Dual MIT/GPL")], "class_create", 5), []);
        let usb = Obstacle::Namespace { symbol: "usb_put".into(), namespace: "USB".to_owned() };
        assert_eq!(closed(&[("license", "GPL")], "usb_put", 6), [usb]);
        assert_eq!(closed(&[("license", "GPL"), ("import_ns", "USB")], "usb_put", 6), []);
        assert_eq!(closed(&[("license", "GPL")], "for_toy", 8), []);
        let toy = module(vec![need("usb_put", Some(6))], &[]);
        let from = judged_all(&next, &[&toy], false).from_modules;
        assert_eq!(from.into_iter().collect::<Vec<_>>(), [("usb_put".to_owned(), "usbcore".to_owned())]);
    }

    #[test]
    fn the_words_behind_the_release_and_the_minor_release_count() {
        let toy = module(vec![need("printk", Some(0x8000_0001))], &[]);
        let mut next = kernel("6.12.0-211.7.1.el10_2.x86_64");
        let (built, other) = ("6.12.0-124.8.1.el10_1.x86_64".to_owned(), next.release.clone().unwrap());
        assert_eq!(judged(&next, &toy), [Obstacle::Minor { built, kernel: other }]);
        assert_eq!(judged_all(&next, &[&toy], true).obstacles, []);
        next.magic = Some(["SMP", "preempt_rt", "mod_unload", "modversions"].map(str::to_owned).into());
        let magic = Obstacle::Magic { word: "preempt_rt".to_owned(), is_kernels: true };
        assert_eq!(judged_all(&next, &[&toy], true).obstacles, [magic]);
        next.arch = Some("aarch64".to_owned());
        assert!(matches!(judged_all(&next, &[&toy], true).obstacles[0], Obstacle::Machine { .. }));
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
        let other = judged(&kernel("7.2.13+deb14-amd64"), &plain);
        assert_eq!(other, [Obstacle::NoVersions { built }, Obstacle::Versions]);
        assert_eq!(judged(&kernel("7.2.12+deb14-amd64"), &plain), [Obstacle::Versions]);
        // a kernel without them lists zeros
        let names = Names::of([&plain]);
        let bare = Abi::read(b"0x00000000\tprintk\tvmlinux\tEXPORT_SYMBOL\t\n", &names).unwrap();
        let bare = Abi { rows: bare.rows, ..kernel("7.2.12+deb14-amd64") };
        assert_eq!(bare.judge(&Build::new(vec![&plain], &names), false).obstacles, []);
    }

    #[test]
    fn another_variant_of_a_kernel_is_another_kernel() {
        let toy = module(vec![need("printk", Some(0x8000_0001))], &[]);
        let debug = "6.12.0-124.8.1.el10_1.x86_64+debug";
        let (built, other) = ("6.12.0-124.8.1.el10_1.x86_64".to_owned(), debug.to_owned());
        assert_eq!(judged(&kernel(debug), &toy), [Obstacle::Variant { built, kernel: other }]);
        assert_eq!(judged_all(&kernel(debug), &[&toy], true).obstacles, []);
        // `+` in other distributions' releases means nothing of the kind
        assert_eq!(variant("6.12.48+deb13-amd64"), None);
    }

    #[test]
    fn kernels_are_told_apart_by_as_few_symbols_as_tell() {
        let needs = ["a", "b", "c", "m"].iter().zip(1..).map(|(name, crc)| need(name, Some(crc)));
        let toy = module(needs.chain([need("w", None)]).collect(), &[]);
        let names = Names::of([&toy]);
        let kernel = |a: &str, b: &str, c: &str| {
            let text = format!(
                "{a}\ta\tvmlinux\tEXPORT_SYMBOL\t\n{b}\tb\tvmlinux\tEXPORT_SYMBOL\t\n{c}\tc\tvmlinux\tEXPORT_SYMBOL\t\n\
                 0x00000004\tm\tother\tEXPORT_SYMBOL\t\n"
            );
            Abi::read(text.as_bytes(), &names).unwrap()
        };
        let own = kernel("0x00000001", "0x00000002", "0x00000003");
        let build = Build::new(vec![&toy], &names);
        let apart = |others: &[&Abi]| {
            let found = own.apart(&build, others)?;
            Some(found.iter().map(|(symbol, _)| symbol.to_string()).collect::<Vec<_>>().join(" "))
        };
        let said = |text: &str| Some(text.to_owned());
        // alone: any will do, and it is always the same
        assert_eq!(apart(&[]), said("a"));
        let (of_b, of_c) = (
            kernel("0x00000001", "0x00000009", "0x00000003"),
            kernel("0x00000001", "0x00000002", "0x00000009"),
        );
        let both = kernel("0x00000001", "0x00000009", "0x00000009");
        assert_eq!((apart(&[&of_b]), apart(&[&of_c])), (said("b"), said("c")));
        assert_eq!((apart(&[&of_b, &both]), apart(&[&of_b, &of_c])), (said("b"), said("b c")));
        assert_eq!(apart(&[&own]), None);
        // what a module of the kernel exports is no mark of it: its package may be missing
        assert_eq!(apart(&[&Abi::read(b"0x1\ta\tvmlinux\tEXPORT_SYMBOL\t\n", &names).unwrap()]), said("b"));
        // text that rpm takes for the same version tells nothing
        assert!(is_alike(0x1a05_b123, 0x1a5b_0123) && !is_alike(0x1a05_b123, 0x1a06_b123));
        assert!(is_alike(0x00a0_0001, 0x00a0_0001) && !is_alike(0x0000_0010, 0x0000_0001));
        let needed: Vec<_> = own
            .needed(&build)
            .into_iter()
            .map(|one| format!("{} {} {}", one.symbol, one.crc, one.is_of_kernel))
            .collect();
        assert_eq!(needed, ["a 1 true", "b 2 true", "c 3 true", "m 4 true"]);
        // of the kernel with that checksum alone
        assert!(!of_b.needed(&build)[1].is_of_kernel);
    }

    #[test]
    fn what_is_no_list_of_symbols_is_said_with_its_line() {
        let module = module(vec![need("a", Some(1))], &[]);
        let names = Names::of([&module]);
        let read = |text: &str| Abi::read(text.as_bytes(), &names).map(|abi| abi.rows.len());
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
