//! Packages of compiled modules: one for each kernel, or one for all, what all kernels share, and the metapackages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::{
    ForMoment, NO_KERNEL_RELATION, NO_MARK, NO_SUPPORT, OTHER_MODULE_CODEC, Plan, Sibling, Values, base_name,
    base_of, depends, files, folder, scripts, skeleton, text_file, with_documents,
};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::config::Guard;
use crate::config::request::{Grouping, Request, Texts};
use crate::dkms::compare_versions;
use crate::driver::Driver;
use crate::package::{
    Arch, Bound, Capability, Codec, Comparison, Content, Entry, EntryKind, Hardware, Module, Package,
    Payload, Relation, RelationKind, Role, Version, When,
};
use crate::plan::profile::{
    Checksums, KernelVersions, MetaFollows, Offers, Prebuilt, Range, RangeMeta, Target,
};
use crate::plan::template::Templates;

/// The modules of a driver for one kernel, ready to be packaged for one target.
#[derive(Debug, Clone)]
pub struct KernelModules {
    pub kernel: String,
    /// The machine, as `uname -m` prints it.
    pub arch: String,
    /// How the kernel compresses its own modules.
    pub kernel_codec: Codec,
    /// How these are compressed.
    pub codec: Codec,
    pub modules: Vec<ReadyModule>,
    /// The kernels that they serve, where these share a package.
    pub class: Option<Class>,
}

/// Kernels that modules for one of them serve, and by what a package manager knows them.
#[derive(Debug, Clone)]
pub struct Class {
    /// Releases, oldest first.
    pub serves: Vec<String>,
    /// What the modules need of a kernel or its own modules.
    pub of_kernel: Vec<Symbol>,
    /// What they need of others.
    pub of_others: Vec<Symbol>,
    /// What they export.
    pub gives: Vec<Symbol>,
    /// What is true of these kernels, and of none of another class.
    pub condition: Condition,
}

/// A symbol and its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    pub name: String,
    pub crc: u32,
}

/// What is true of some kernels.
#[derive(Debug, Clone)]
pub enum Condition {
    /// They have all of these symbols.
    Symbols(Vec<Symbol>),
    /// They are of one of these runs of releases: the first, and the first behind it.
    Releases(Vec<(String, Option<String>)>),
}

/// A module's file and what it says.
#[derive(Debug, Clone)]
pub struct ReadyModule {
    /// The name it is installed under, without suffix.
    pub name: String,
    /// The file, compressed.
    pub file: PathBuf,
    /// Its bytes.
    pub size: u64,
    /// What follows `.ko` in its name.
    pub suffix: &'static str,
    /// `MODULE_VERSION`.
    pub version: Option<String>,
    /// The hardware it is for.
    pub aliases: Vec<String>,
    /// The fields that it has, modinfo(8).
    pub fields: BTreeSet<String>,
    /// The file with its debug information and the place for it, where that is packaged.
    pub debug: Option<(PathBuf, u64, String)>,
}

/// Plans the packages of compiled modules for a target, whose format spells versions by `spell`.
pub fn plan(
    driver: &Driver,
    siblings: &[Sibling],
    target: &Target,
    request: &Request,
    kernels: &[KernelModules],
    templates: &Templates,
    spell: &dyn Fn(&Version) -> String,
) -> Result<Plan> {
    let shape = target.prebuilt.as_ref().ok_or_else(|| target.without_prebuilt())?;
    let mut diagnostics = Vec::new();
    let base = base_name(driver, target, request, &mut diagnostics);
    let range = shape.range.as_ref().filter(|range| range.group == request.grouping);
    let mut maker =
        Maker { driver, siblings, target, shape, range, request, templates, spell, base, diagnostics };
    let common = maker.common()?;
    let mut packages = Vec::new();
    if request.grouping == Grouping::All {
        packages.push(maker.modules(&shape.combined, kernels, common.as_ref())?);
    } else {
        for kernel in kernels {
            let pattern = range.map_or(&shape.package, |range| &range.package);
            packages.push(maker.modules(pattern, std::slice::from_ref(kernel), common.as_ref())?);
        }
        packages.extend(match range {
            Some(range) => maker.range_metapackages(range, kernels, &packages)?,
            None => maker.metapackages(kernels, &packages)?,
        });
    }
    if request.debug {
        packages.extend(maker.debug(kernels)?);
    }
    packages.extend(common);
    packages.extend(maker.certificate()?);
    Ok(Plan { packages, diagnostics: maker.diagnostics })
}

/// What follows the numbers of a release: `cloud-amd64` in `6.1.0-49-cloud-amd64`; empty where nothing does.
#[must_use]
pub fn flavour(release: &str) -> String {
    let is_word = |part: &&str| part.starts_with(|first: char| first.is_ascii_alphabetic());
    let mut parts = release.split('-').skip(1);
    let Some(first) = parts.by_ref().find(is_word) else { return String::new() };
    std::iter::once(first).chain(parts).collect::<Vec<_>>().join("-")
}

/// Whether a release can stand behind `=` in a relation.
fn has_one_dash(release: &str) -> bool {
    release.matches('-').count() <= 1
}

struct Maker<'a> {
    driver: &'a Driver,
    siblings: &'a [Sibling],
    target: &'a Target,
    shape: &'a Prebuilt,
    /// Where several kernels are served by one build.
    range: Option<&'a Range>,
    request: &'a Request,
    templates: &'a Templates,
    spell: &'a dyn Fn(&Version) -> String,
    base: String,
    diagnostics: Vec<Diagnostic>,
}

impl Maker<'_> {
    /// A name of the target's, in its spelling.
    fn name(&self, pattern: &str, kernel: &str) -> String {
        self.name_of(&self.base, pattern, kernel)
    }

    fn name_of(&self, base: &str, pattern: &str, kernel: &str) -> String {
        let kernel = super::mapped_name(kernel, &self.target.names);
        filled(pattern, base, &kernel)
    }

    fn package(&mut self, name: String, arch: Arch) -> Package {
        let usual = self.shape.compression;
        let skeleton = skeleton(name, self.driver, self.target, self.request, usual, &mut self.diagnostics);
        Package { arch, ..skeleton }
    }

    fn modules(
        &mut self,
        pattern: &str,
        kernels: &[KernelModules],
        common: Option<&Package>,
    ) -> Result<Package> {
        let (names, arch) = (releases(kernels), arch(kernels)?);
        let mut package = self.package(self.name(pattern, &names[0]), arch);
        let one = if let [one] = names.as_slice() { Some(one) } else { None };
        let about = &self.driver.about;
        let which = one.map_or_else(|| format!("{} kernels", names.len()), Clone::clone);
        package.summary = about.summary.as_ref().map_or_else(
            || format!("Linux driver {} for {which}", self.base),
            |summary| format!("{summary} ({which})"),
        );
        package.description = description(self.driver, kernels);
        (package.carries, package.hardware) = modules(kernels);
        package.offers = offers(&self.shape.offers, &package);
        if let (Some(range), [kernel]) = (self.range, kernels) {
            if let Some(suffix) = &range.version {
                package.version.follow(&filled(suffix, &self.base, &kernel.kernel));
            }
            package.relations = self.range_relations(range, kernel, common, &package);
        } else {
            package.relations = self.relations(&names, common);
            for relation in self.built_after(pattern, &names) {
                if !package.relations.contains(&relation) {
                    package.relations.push(relation);
                }
            }
        }
        for kernel in kernels {
            self.tell_codec(kernel);
            self.tell_field(kernel);
        }
        let mut entries = self.entries(kernels);
        let is_file = |entry: &&Entry| matches!(entry.kind, EntryKind::File { .. });
        let paths: Vec<_> = entries.iter().filter(is_file).map(|entry| format!("/{}", entry.path)).collect();
        if let (Some(range), [kernel]) = (self.range, kernels) {
            entries.extend(self.order_of_modules(range, &package, &kernel.kernel));
        }
        let values = PrebuiltValues {
            common: Values {
                modules: names_of(&package.carries),
                ..Values::new(self.driver, self.target, self.request, &package)
            },
            kernels: names.join(" "),
            files: paths.join(" "),
            flavour: flavour(&names[0]),
            ..self.values(&package)
        };
        // of packages of one name that are installed side by side each would bring its own
        let is_alone = self.range.is_none_or(|range| range.version.is_none());
        let documents = if is_alone { self.shape.documents.as_slice() } else { &[] };
        let payload = with_documents(entries, documents, &package.name, self.templates, &values)?;
        let templates = self.range.map_or(&self.shape.scripts, |range| &range.scripts);
        let scripts = scripts(templates, self.request, self.templates, &values)?;
        package.payload = Payload::Install(payload);
        package.scripts = scripts;
        package.triggers.clone_from(&self.shape.triggers);
        Ok(package)
    }

    /// Modules below the folders of their kernels.
    fn entries(&self, kernels: &[KernelModules]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for kernel in kernels {
            let place = filled(&self.shape.folder, &self.base, &kernel.kernel);
            entries.push(folder(place.clone()));
            for module in &kernel.modules {
                let content = Content::Disk { path: module.file.as_path().into(), size: module.size };
                entries.push(Entry {
                    path: format!("{place}/{}.ko{}", module.name, module.suffix),
                    kind: EntryKind::File { content, executable: false },
                    role: Role::Plain,
                });
            }
        }
        entries
    }

    fn relations(&mut self, kernels: &[String], common: Option<&Package>) -> Vec<Relation> {
        let (target, own) = (self.target, self.own());
        let equal = |name: String| Capability { name, bound: Some((Comparison::Equal, own.clone())) };
        let single = |kind, capability| Relation { kind, any_of: vec![capability] };
        let mut relations = Vec::new();
        let sayable = |kernel: &&String| self.shape.versions == KernelVersions::All || has_one_dash(kernel);
        if let Some(kernel) = kernels.iter().find(|kernel| !sayable(kernel)) {
            let text = format!(
                "kernel releases such as `{kernel}` are no versions that {} can require",
                target.title
            );
            let finding = Diagnostic::warning(&NO_KERNEL_RELATION, text);
            if !self.diagnostics.iter().any(|other| other.code == &NO_KERNEL_RELATION) {
                self.diagnostics.push(finding);
            }
        }
        for (kind, pattern) in self.shape.relations.iter() {
            // what follows kernels is the metapackage's affair, and there is none beside a package for all of them
            if kind == RelationKind::Supplements && self.request.grouping == Grouping::All {
                continue;
            }
            let names_kernel = pattern.contains("{kernel}");
            let filled = |kernel: &String| pattern.replace("{name}", &self.base).replace("{kernel}", kernel);
            let texts: Vec<String> = if names_kernel {
                kernels.iter().filter(sayable).map(filled).collect()
            } else {
                vec![filled(&String::new())]
            };
            // a package for several kernels needs one of them; where one cannot be said, none is
            if kind == RelationKind::Requires && names_kernel {
                if texts.len() == kernels.len() {
                    relations.extend(Relation::parse(kind, &texts.join(" | ")));
                }
            } else {
                relations.extend(texts.iter().filter_map(|text| Relation::parse(kind, text)));
            }
        }
        if let Some(common) = common {
            let bound = Some((Comparison::AtLeast, own.clone()));
            relations.push(single(RelationKind::Requires, Capability { name: common.name.clone(), bound }));
        }
        relations
            .push(single(RelationKind::Provides, equal(target.names.modules.replace("{name}", &self.base))));
        relations.push(self.not_beside_source_only());
        if self.request.grouping == Grouping::All {
            // the same files
            let others = kernels.iter().map(|kernel| self.name(&self.shape.package, kernel));
            relations.extend(others.map(|name| single(RelationKind::Conflicts, Capability::named(name))));
        }
        relations.extend(self.request.relations.iter().cloned());
        relations
    }

    /// What a package for a range of kernels needs and offers.
    fn range_relations(
        &self,
        range: &Range,
        kernel: &KernelModules,
        common: Option<&Package>,
        package: &Package,
    ) -> Vec<Relation> {
        let own = self.own();
        let bound = |comparison| Some((comparison, own.clone()));
        let single = |kind, name: String, bound| Relation { kind, any_of: vec![Capability { name, bound }] };
        let mut relations = Vec::new();
        for (kind, pattern) in range.relations.iter() {
            let text = filled(pattern, &self.base, &kernel.kernel);
            relations.extend(Relation::parse(kind, &text));
        }
        if let Some(class) = &kernel.class {
            let symbol = |pattern: &str, kind, symbol: &Symbol| {
                let crc = range.checksums.text(symbol.crc);
                let text = filled(pattern, &self.base, &kernel.kernel);
                Relation::parse(kind, &text.replace("{symbol}", &symbol.name).replace("{crc}", &crc))
            };
            let needs = |pattern: &str, symbols: &[Symbol]| -> Vec<Relation> {
                symbols.iter().filter_map(|one| symbol(pattern, RelationKind::Requires, one)).collect()
            };
            relations.extend(needs(&range.needs_kernel, &class.of_kernel));
            relations.extend(needs(&range.needs_other, &class.of_others));
            relations.extend(
                class.gives.iter().filter_map(|one| symbol(&range.gives, RelationKind::Provides, one)),
            );
            // without checksums it is for that kernel alone
            if class.of_kernel.is_empty() {
                for (kind, pattern) in self.shape.relations.iter() {
                    let text = filled(pattern, &self.base, &kernel.kernel);
                    relations.extend(Relation::parse(kind, &text).filter(|_| kind == RelationKind::Requires));
                }
            }
        }
        // the same files
        let other = self.name(&self.shape.package, &kernel.kernel);
        if other != package.name {
            relations.push(single(RelationKind::Replaces, other, bound(Comparison::AtMost)));
        }
        if let Some(pattern) = &range.hardware {
            // names of files and devices are none of hardware
            let is_hardware = |alias: &&String| alias.contains(':');
            let aliases = |hardware: &Hardware| {
                folded(hardware.aliases.iter().filter(is_hardware).map(|alias| escaped(alias)))
            };
            let aliases: BTreeSet<String> = package.hardware.iter().flat_map(aliases).collect();
            // what is longer is not read (libsolv)
            let names = aliases
                .iter()
                .map(|alias| filled(pattern, &self.base, &kernel.kernel).replace("{alias}", alias));
            let names = names.filter(|name| name.len() < LONGEST_DEPENDENCY);
            relations.extend(names.map(|name| single(RelationKind::Supplements, name, None)));
        }
        for name in &range.names {
            let version = Some((Comparison::Equal, Bound::Own(package.version.clone())));
            relations.push(single(RelationKind::Provides, filled(name, &self.base, ""), version));
        }
        if let Some(common) = common {
            relations.push(single(RelationKind::Requires, common.name.clone(), bound(Comparison::AtLeast)));
        }
        let modules = self.target.names.modules.replace("{name}", &self.base);
        relations.push(single(RelationKind::Provides, modules, bound(Comparison::Equal)));
        relations.push(single(RelationKind::Conflicts, self.name(&self.shape.combined, ""), None));
        relations.push(self.not_beside_source_only());
        relations.extend(self.request.relations.iter().cloned());
        relations
    }

    /// What makes depmod take a module that is linked to a kernel rather than the kernel's own, and before both the one that was built for that
    /// kernel (depmod.d(5)); where there is no such module nothing comes of it. Of lines that name one module the last counts, in the order of
    /// the names of files: those that are for every kernel have to come first, of whichever package.
    fn order_of_modules(&self, range: &Range, package: &Package, kernel: &str) -> Vec<Entry> {
        let Some(links) = &range.links else { return Vec::new() };
        let folder = filled(&self.shape.folder, &self.base, kernel);
        let own = folder.split_once(&format!("{kernel}/")).map_or("", |(_, below)| below);
        // it is a regular expression
        let only = kernel.replace('.', "[.]").replace('+', "[+]");
        let file = |order: &str, kernels: &str, folder: &str| {
            let line = |module: &Module| format!("override {} {kernels} {folder}\n", module.name);
            let text = package.carries.iter().map(line).collect();
            let path = format!("{}/{}-{}.conf", self.target.folders.depmod, order, package.name);
            text_file(path, text, Role::Plain)
        };
        let links = filled(links, &self.base, "");
        vec![file("kpkg-links", "*", &links), file("kpkg-own", &format!("^{only}$"), own)]
    }

    /// For each kind of machine one that needs, for every kernel that is there, the package that serves it.
    fn range_metapackages(
        &mut self,
        range: &Range,
        kernels: &[KernelModules],
        packages: &[Package],
    ) -> Result<Vec<Package>> {
        let Some(notation) = &range.meta else { return Ok(Vec::new()) };
        let mut made = Vec::new();
        let arches: BTreeSet<&str> = kernels.iter().map(|kernel| kernel.arch.as_str()).collect();
        for arch in arches {
            let of_arch = || kernels.iter().zip(packages).filter(|(kernel, _)| kernel.arch == arch);
            let Some((_, first)) = of_arch().next() else { continue };
            let mut package = self.package(self.name(&self.shape.meta, ""), first.arch);
            package.summary = format!("Linux driver {} for every kernel (metapackage)", self.base);
            package.description = format!(
                "This package is empty. It brings the modules of the Linux driver {} for the kernels that are there, and for \
                 newer ones as they come.",
                self.driver.name
            );
            let requires = |any_of| Relation { kind: RelationKind::Requires, any_of };
            for (kernel, of_kernel) in of_arch() {
                let Some(class) = &kernel.class else { continue };
                if let Condition::Releases(_) = class.condition {
                    let text = format!(
                        "no symbol tells the kernels that the modules for `{}` serve from the others: their releases do",
                        kernel.kernel
                    );
                    self.diagnostics.push(Diagnostic::note(&NO_MARK, text));
                }
                let condition = notation.condition(&class.condition, range.checksums);
                let text = notation.needs.replace("{package}", &of_kernel.name);
                let needs = Relation::parse(RelationKind::Requires, &text.replace("{condition}", &condition));
                package.relations.extend(needs);
                // what these kernels had each for itself
                let bound = Some((Comparison::AtMost, self.own()));
                for name in class.serves.iter().map(|kernel| self.name(&self.shape.package, kernel)) {
                    if name != of_kernel.name {
                        let any_of = vec![Capability { name, bound: bound.clone() }];
                        package.relations.push(Relation { kind: RelationKind::Replaces, any_of });
                    }
                }
            }
            let modules = self.target.names.modules.replace("{name}", &self.base);
            package.relations.push(requires(vec![Capability::named(modules)]));
            if !self.request.certificates.is_empty() {
                let any_of = vec![Capability::named(self.name(&self.shape.certificate.package, ""))];
                package.relations.push(Relation { kind: RelationKind::Recommends, any_of });
            }
            package.payload = Payload::Install(self.documented(&package, Vec::new(), "")?);
            if let (Guard::Hold, Some(hold)) = (self.request.guard, &self.shape.hold) {
                let any_of = vec![Capability::named(filled(&hold.package, &self.base, ""))];
                package.relations.push(Relation { kind: RelationKind::Recommends, any_of });
            }
            if self.request.guard != Guard::Off {
                let values = PrebuiltValues {
                    common: Values {
                        modules: names_of(&modules_of(kernels)),
                        ..Values::new(self.driver, self.target, self.request, &package)
                    },
                    ..self.values(&package)
                };
                let wanted = BTreeMap::from([(When::AfterKernels, notation.guard.clone())]);
                let no_texts = Request { scripts: BTreeMap::new(), ..self.request.clone() };
                package.scripts = scripts(&wanted, &no_texts, self.templates, &values)?;
            }
            made.push(package);
        }
        Ok(made)
    }

    /// The packages of the drivers that this one was built with: these very ones, as a kernel refuses modules whose symbols have
    /// other checksums.
    fn built_after(&self, pattern: &str, kernels: &[String]) -> Vec<Relation> {
        let of_kernel = |kernel: &String| depends::of_kernel(self.driver, self.siblings, kernel);
        let needed =
            kernels.iter().flat_map(|kernel| of_kernel(kernel).into_iter().map(move |other| (kernel, other)));
        let relation = |(kernel, other): (&String, &Sibling)| {
            let kernel = if self.request.grouping == Grouping::All { &kernels[0] } else { kernel };
            let base = base_of(&other.name, self.target, self.request);
            let version = super::split_version(&other.version, &self.request.release);
            let bound = Some((Comparison::Equal, Bound::Own(version)));
            let name = self.name_of(&base, pattern, kernel);
            Relation { kind: RelationKind::Requires, any_of: vec![Capability { name, bound }] }
        };
        needed.map(relation).collect()
    }

    fn not_beside_source_only(&self) -> Relation {
        let name = self.target.names.source_only.replace("{name}", &self.base);
        Relation { kind: RelationKind::Conflicts, any_of: vec![Capability::named(name)] }
    }

    fn own(&self) -> Bound {
        Bound::Own(super::split_version(&self.driver.version, &self.request.release))
    }

    fn tell_codec(&mut self, kernel: &KernelModules) {
        if kernel.codec != kernel.kernel_codec {
            let text = format!(
                "the modules for `{}` are compressed with {}, the kernel's own with {}",
                kernel.kernel,
                kernel.codec.name(),
                kernel.kernel_codec.name()
            );
            self.diagnostics.push(Diagnostic::note(&OTHER_MODULE_CODEC, text));
        }
    }

    fn tell_field(&mut self, kernel: &KernelModules) {
        let Some(field) = self.range.and_then(|range| range.field.as_ref()) else { return };
        let without: Vec<_> = kernel
            .modules
            .iter()
            .filter(|module| !module.fields.contains(field))
            .map(|module| module.name.as_str())
            .collect();
        if !without.is_empty() {
            let text = format!("`modinfo -F {field}` says nothing of {}", without.join(", "));
            let hint = format!(
                "where the machines' modprobe.d does not allow such modules, build them with `MODULE_INFO({field}, \"external\");`"
            );
            let finding = Diagnostic::note(&NO_SUPPORT, text).hint(hint);
            if !self.diagnostics.contains(&finding) {
                self.diagnostics.push(finding);
            }
        }
    }

    /// The package of the files that all kernels share, where there are any.
    fn common(&mut self) -> Result<Option<Package>> {
        let entries = files::entries(self.driver, self.target, self.request, &self.base)?;
        if entries.is_empty() {
            return Ok(None);
        }
        let name = self.name(&self.shape.common, "");
        let mut package = self.package(name, Arch::Any);
        package.summary = format!("Files for the modules of the Linux driver {}", self.base);
        package.description = format!(
            "Firmware and configuration for the modules of the Linux driver {}, whichever kernel they are for.",
            self.driver.name
        );
        // a source-only package has these files too
        package.relations = vec![self.not_beside_source_only()];
        let payload = self.documented(&package, entries, "")?;
        package.payload = Payload::Install(payload);
        Ok(Some(package))
    }

    /// The package of the certificates that the modules are judged by: one for all kernels, which comes and goes with none of them.
    fn certificate(&mut self) -> Result<Option<Package>> {
        let (certificates, shape) = (&self.request.certificates, &self.shape.certificate);
        if certificates.is_empty() {
            return Ok(None);
        }
        let name = self.name(&shape.package, "");
        let mut entries = Vec::new();
        let mut told = Vec::new();
        for (index, certificate) in certificates.iter().enumerate() {
            // two may have one name
            let number = if index == 0 { String::new() } else { format!("-{}", index + 1) };
            let filled = |pattern: &str| {
                let pattern = pattern.replace("{package}", &name).replace("{name}", &self.base);
                let certificate_name = format!("{}{number}", certificate.name);
                let sha1 = certificate.sha1.get(..8).unwrap_or_default();
                pattern.replace("{certificate}", &certificate_name).replace("{sha1}", sha1)
            };
            for (place, pattern) in shape.files.iter().enumerate() {
                let path = filled(pattern);
                if place == 0 {
                    told.push(format!("/{path}"));
                }
                // a folder of that name is the package's own
                let above =
                    pattern.rsplit_once('/').map(|(above, _)| above).filter(|above| above.contains('{'));
                entries.extend(above.map(|above| folder(filled(above))));
                let kind =
                    EntryKind::File { content: Content::Bytes(certificate.der.clone()), executable: false };
                entries.push(Entry { path, kind, role: Role::Plain });
            }
        }
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        entries.dedup_by(|one, other| one.path == other.path);
        let mut package = self.package(name, Arch::Any);
        package.summary = format!("Certificate of the signed modules of the Linux driver {}", self.base);
        package.description = format!(
            "The modules of the Linux driver {} are signed. On a machine with Secure Boot the kernel loads them when this certificate \
             is enrolled (mokutil --import), which installing this package does not do.",
            self.driver.name
        );
        for (kind, pattern) in shape.relations.iter() {
            package.relations.extend(Relation::parse(kind, &filled(pattern, &self.base, "")));
        }
        let values = CertificateValues {
            common: Values::new(self.driver, self.target, self.request, &package),
            certificates: told.join(" "),
        };
        let payload = with_documents(entries, &shape.documents, &package.name, self.templates, &values)?;
        // what stands around the scripts is about modules
        let no_texts = Request { scripts: BTreeMap::new(), ..self.request.clone() };
        let scripts = scripts(&shape.scripts, &no_texts, self.templates, &values)?;
        package.payload = Payload::Install(payload);
        package.scripts = scripts;
        Ok(Some(package))
    }

    /// What templates see of a package.
    fn values<'v>(&'v self, package: &'v Package) -> PrebuiltValues<'v> {
        let spelled = (self.spell)(&package.version);
        let (version, release) = spelled.rsplit_once('-').unwrap_or((&spelled, ""));
        let version = version.split_once(':').map_or(version, |(_, version)| version);
        PrebuiltValues {
            common: Values::new(self.driver, self.target, self.request, package),
            kernels: String::new(),
            files: String::new(),
            flavour: String::new(),
            version: version.to_owned(),
            release: release.to_owned(),
        }
    }

    fn documented(&self, package: &Package, entries: Vec<Entry>, kernels: &str) -> Result<Vec<Entry>> {
        let values = PrebuiltValues { kernels: kernels.to_owned(), ..self.values(package) };
        with_documents(entries, &self.shape.documents, &package.name, self.templates, &values)
    }

    /// One metapackage, or one for each flavour, each needing the package of its newest kernel or any of them.
    fn metapackages(&mut self, kernels: &[KernelModules], packages: &[Package]) -> Result<Vec<Package>> {
        let mut groups: BTreeMap<(String, &str), Vec<(&KernelModules, &Package)>> = BTreeMap::new();
        for (kernel, package) in kernels.iter().zip(packages) {
            let flavour = flavour(&kernel.kernel);
            let suffix = match &self.shape.meta_flavour {
                Some(pattern) if !flavour.is_empty() => pattern.replace("{flavour}", &flavour),
                _ => String::new(),
            };
            groups.entry((suffix, &kernel.arch)).or_default().push((kernel, package));
        }
        let mut made = Vec::new();
        for ((suffix, _), mut group) in groups {
            group.sort_by(|(one, _), (other, _)| compare_versions(&other.kernel, &one.kernel));
            let (newest, of_newest) = group[0];
            let name = self.name(&format!("{}{suffix}", self.shape.meta), "");
            let (mut package, needs, which) = match self.shape.meta_follows {
                MetaFollows::Newest => {
                    let bound = Some((Comparison::Equal, self.own()));
                    let needs = Capability { name: of_newest.name.clone(), bound };
                    let newest_of = Some(newest.kernel.clone());
                    let package = Package { newest_of, ..self.package(name, of_newest.arch) };
                    (package, needs, newest.kernel.as_str())
                }
                // the same for every machine, whichever kernels it has
                MetaFollows::Any => {
                    let needs = Capability::named(self.target.names.modules.replace("{name}", &self.base));
                    (self.package(name, Arch::Any), needs, "")
                }
            };
            package.summary = format!("Linux driver {} for the newest kernel (metapackage)", self.base);
            package.description = format!(
                "This package is empty. It brings the modules of the Linux driver {} for the kernels that are there, and for \
                 newer ones as they come.",
                self.driver.name
            );
            package.relations = vec![Relation { kind: RelationKind::Requires, any_of: vec![needs] }];
            // not by the packages of modules: those that are signed later are the same
            if !self.request.certificates.is_empty() {
                let name = self.name(&self.shape.certificate.package, "");
                let any_of = vec![Capability::named(name)];
                package.relations.push(Relation { kind: RelationKind::Recommends, any_of });
            }
            package.payload = Payload::Install(self.documented(&package, Vec::new(), which)?);
            made.push(package);
        }
        Ok(made)
    }

    /// Debug information, one package for each that has modules.
    fn debug(&mut self, kernels: &[KernelModules]) -> Result<Vec<Package>> {
        let mut made = Vec::new();
        for kernel in kernels {
            let arch = arch(std::slice::from_ref(kernel))?;
            let files = kernel.modules.iter().filter_map(|module| module.debug.as_ref());
            let entry = |(file, size, place): &(PathBuf, u64, String)| Entry {
                path: place.clone(),
                kind: EntryKind::File {
                    content: Content::Disk { path: file.as_path().into(), size: *size },
                    executable: false,
                },
                role: Role::Plain,
            };
            let entries: Vec<_> = files.map(entry).collect();
            if entries.is_empty() {
                continue;
            }
            let of_modules = self.range.map_or(&self.shape.package, |range| &range.package);
            let name = self.name(of_modules, &kernel.kernel);
            let mut package = self.package(self.name(&self.shape.debug, &kernel.kernel), arch);
            package.summary =
                format!("Debug information of the Linux driver {} for {}", self.base, kernel.kernel);
            package.description = format!(
                "The modules of the Linux driver {} for the kernel {} with their debug information, for gdb, crash and perf.",
                self.driver.name, kernel.kernel
            );
            let needs = Capability { name, bound: Some((Comparison::AtLeast, self.own())) };
            package.relations = vec![Relation { kind: RelationKind::Requires, any_of: vec![needs] }];
            package.payload = Payload::Install(self.documented(&package, entries, &kernel.kernel)?);
            made.push(package);
        }
        Ok(made)
    }
}

fn releases(kernels: &[KernelModules]) -> Vec<String> {
    kernels.iter().map(|kernel| kernel.kernel.clone()).collect()
}

/// The machine that all kernels of a package are for.
fn arch(kernels: &[KernelModules]) -> Result<Arch> {
    let names: BTreeSet<_> = kernels.iter().map(|kernel| kernel.arch.as_str()).collect();
    let name = names.first().copied().unwrap_or_default();
    if names.len() > 1 {
        return Err(Error::usage("kernels for several kinds of machines cannot share a package"));
    }
    Arch::of_machine(name)
        .ok_or_else(|| Error::usage(format!("no format has a name for the machine `{name}`")))
}

/// Every module once, and the hardware that each is for with any of the kernels.
fn modules(kernels: &[KernelModules]) -> (Vec<Module>, Vec<Hardware>) {
    let mut found: BTreeMap<&str, (Option<&String>, BTreeSet<&String>)> = BTreeMap::new();
    for module in kernels.iter().flat_map(|kernel| &kernel.modules) {
        let (version, aliases) = found.entry(&module.name).or_default();
        *version = version.or(module.version.as_ref());
        aliases.extend(&module.aliases);
    }
    let each = |(name, (version, aliases)): (&str, (Option<&String>, BTreeSet<&String>))| {
        let aliases = aliases.into_iter().cloned().collect();
        (
            Module { name: name.to_owned(), version: version.cloned() },
            Hardware { module: name.to_owned(), aliases },
        )
    };
    found.into_iter().map(each).unzip()
}

/// Every module once.
fn modules_of(kernels: &[KernelModules]) -> Vec<Module> {
    modules(kernels).0
}

/// Names of modules, separated by blanks.
fn names_of(modules: &[Module]) -> String {
    modules.iter().map(|module| module.name.as_str()).collect::<Vec<_>>().join(" ")
}

/// A pattern of a name or path with what it stands for: driver and kernel, of which `{base}` is the release without the machine and the flavour.
fn filled(pattern: &str, name: &str, kernel: &str) -> String {
    let flavour = flavour(kernel);
    let base = kernel.strip_suffix(&format!("-{flavour}")).filter(|_| !flavour.is_empty()).unwrap_or(kernel);
    let base = without_machine(base);
    let pattern = pattern.replace("{name}", name).replace("{kernel}", kernel);
    pattern.replace("{base}", &base).replace("{flavour}", &flavour)
}

/// A release of a kernel without the machine in it.
pub(super) fn without_machine(release: &str) -> String {
    let machine = MACHINES.iter().find(|machine| release.contains(*machine));
    machine.map_or_else(|| release.to_owned(), |machine| release.replacen(machine, "", 1))
}

/// As they stand in the releases of kernels.
const MACHINES: [&str; 6] = [".x86_64", ".aarch64", ".ppc64le", ".s390x", ".riscv64", ".i686"];

/// A dependency of so many bytes is one too long (libsolv).
const LONGEST_DEPENDENCY: usize = 1024;

/// A name of hardware with `%XX` for what is special (`find-supplements.ksyms` of rpm-config-SUSE).
fn escaped(alias: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*:".contains(&byte);
    alias.bytes().fold(String::new(), |text, byte| {
        if is_plain(byte) { text + &char::from(byte).to_string() } else { text + &format!("%{byte:02X}") }
    })
}

/// Names that differ in one character as one with all of them in brackets, as `modalias.prov` of kernel-srpm-macros does it: each is compared
/// with the first of those before it.
fn folded(names: impl Iterator<Item = String>) -> Vec<String> {
    let sorted: BTreeSet<String> = names.collect();
    let mut folded: Vec<(String, Option<(usize, String)>)> = Vec::new();
    for name in sorted {
        if let Some((first, variants)) = folded.last_mut()
            && let Some(at) = place_of_difference(first, &name)
            && variants.as_ref().is_none_or(|(known, _)| *known == at)
        {
            let (_, all) = variants.get_or_insert_with(|| (at, first[at..=at].to_owned()));
            all.push_str(&name[at..=at]);
        } else {
            folded.push((name, None));
        }
    }
    let whole = |(first, variants): (String, Option<(usize, String)>)| match variants {
        Some((at, all)) => format!("{}[{all}]{}", &first[..at], &first[at + 1..]),
        None => first,
    };
    folded.into_iter().map(whole).collect()
}

/// Where two texts of ASCII differ in one character, which is no `*` and no part of a `%XX`.
fn place_of_difference(one: &str, other: &str) -> Option<usize> {
    let (a, b) = (one.as_bytes(), other.as_bytes());
    if a.len() != b.len() || !one.is_ascii() || !other.is_ascii() {
        return None;
    }
    let mut differing = (0..a.len()).filter(|at| a[*at] != b[*at]);
    let at = differing.next()?;
    let is_escape = [1, 2].iter().any(|back| at.checked_sub(*back).is_some_and(|at| a[at] == b'%'));
    (differing.next().is_none() && a[at] != b'*' && !is_escape).then_some(at)
}

impl RangeMeta {
    /// A condition as text.
    fn condition(&self, condition: &Condition, checksums: Checksums) -> String {
        let joined = |pattern: &str, texts: Vec<String>| {
            let join = |one: String, other: String| pattern.replace("{one}", &one).replace("{other}", &other);
            texts.into_iter().reduce(join).unwrap_or_default()
        };
        match condition {
            Condition::Symbols(symbols) => {
                let text = |symbol: &Symbol| {
                    let text = self.symbol.replace("{symbol}", &symbol.name);
                    text.replace("{crc}", &checksums.text(symbol.crc))
                };
                joined(&self.both, symbols.iter().map(text).collect())
            }
            Condition::Releases(runs) => {
                let text = |(from, before): &(String, Option<String>)| {
                    let from = self.from.replace("{kernel}", from);
                    let before = before.iter().map(|before| self.before.replace("{kernel}", before));
                    joined(&self.both, std::iter::once(from).chain(before).collect())
                };
                joined(&self.either, runs.iter().map(text).collect())
            }
        }
    }
}

/// What a package provides for what it brings and is for. What is no part of a name or version is `_`.
fn offers(patterns: &Offers, package: &Package) -> Vec<Capability> {
    let allowed = |next: char| next.is_ascii_alphanumeric() || "._:*?/-".contains(next);
    let word =
        |alias: &str| alias.chars().map(|next| if allowed(next) { next } else { '_' }).collect::<String>();
    let plain = |version: &str| -> String {
        let is_plain = |next: char| next.is_ascii_alphanumeric() || "._".contains(next);
        version.chars().map(|next| if is_plain(next) { next } else { '_' }).collect()
    };
    let mut offers = Vec::new();
    for (module, hardware) in package.carries.iter().zip(&package.hardware) {
        offers.extend(
            patterns
                .module
                .iter()
                .map(|pattern| Capability::named(pattern.replace("{module}", &module.name))),
        );
        let version = module.version.as_deref().filter(|version| !version.is_empty());
        let bound = version.map(|version| (Comparison::Equal, Bound::Native(plain(version))));
        if let Some(pattern) = &patterns.hardware {
            let names = folded(hardware.aliases.iter().map(|alias| word(alias))).into_iter();
            let names = names.map(|alias| pattern.replace("{alias}", &alias));
            offers.extend(names.map(|name| Capability { name, bound: bound.clone() }));
        }
    }
    offers
}

fn description(driver: &Driver, kernels: &[KernelModules]) -> String {
    let names = releases(kernels);
    let is_range = kernels.iter().any(|kernel| kernel.class.is_some());
    let which = if let [one] = names.as_slice() {
        // which ones these are today is no word for a package that stays the same when there are more of them
        let others =
            if is_range { " and every other in which its symbols have the same checksums" } else { "" };
        format!("kernel {one}{others}")
    } else {
        format!("kernels {}", names.join(", "))
    };
    let text = format!(
        "This package carries the compiled modules of the Linux driver {} {} for the {which}.",
        driver.name, driver.version
    );
    let mut paragraphs: Vec<String> = driver.about.description.iter().cloned().chain([text]).collect();
    let modules: BTreeSet<_> =
        kernels.iter().flat_map(|kernel| &kernel.modules).map(|module| module.name.as_str()).collect();
    let modules: Vec<_> = modules.into_iter().collect();
    paragraphs.push(if let [one] = modules.as_slice() {
        format!("It contains the kernel module {one}.")
    } else {
        format!("It contains the kernel modules {}.", modules.join(", "))
    });
    paragraphs.join("\n\n")
}

/// What templates see.
#[derive(Debug, Clone, Serialize)]
struct PrebuiltValues<'a> {
    #[serde(flatten)]
    common: Values<'a>,
    /// Releases, separated by blanks.
    kernels: String,
    /// Absolute paths, separated by blanks.
    files: String,
    /// That of the kernel, where it is one.
    flavour: String,
    /// The package's, as its format spells it, without epoch and release.
    version: String,
    /// The release behind it.
    release: String,
}

/// What the templates of certificates see.
#[derive(Debug, Clone, Serialize)]
struct CertificateValues<'a> {
    #[serde(flatten)]
    common: Values<'a>,
    /// Absolute paths, separated by blanks.
    certificates: String,
}

impl ForMoment for CertificateValues<'_> {
    fn with_texts(&self, texts: Texts) -> Self {
        Self { common: self.common.with_texts(texts), ..self.clone() }
    }
}

impl ForMoment for PrebuiltValues<'_> {
    fn with_texts(&self, texts: Texts) -> Self {
        Self { common: self.common.with_texts(texts), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flavour_of_a_kernel_follows_its_numbers() {
        for (release, expected) in [
            ("6.1.0-49-amd64", "amd64"),
            ("6.1.0-49-cloud-amd64", "cloud-amd64"),
            ("6.12.48+deb13-rt-amd64", "rt-amd64"),
            ("6.4.0-150600.21-default", "default"),
            ("5.14.0-503.11.1.el9_5.x86_64", ""),
            ("6.1.0", ""),
        ] {
            assert_eq!(flavour(release), expected, "{release}");
        }
    }
}
