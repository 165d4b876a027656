//! Packages of compiled modules: one for each kernel, or one for all, what all kernels share, and the metapackages.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use super::{
    ForMoment, NO_KERNEL_RELATION, OTHER_MODULE_CODEC, Plan, Sibling, Values, base_name, base_of, depends,
    files, folder, scripts, skeleton, with_documents,
};
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::config::request::{Grouping, Request, Texts};
use crate::dkms::compare_versions;
use crate::driver::Driver;
use crate::package::{
    Arch, Bound, Capability, Codec, Comparison, Content, Entry, EntryKind, Hardware, Module, Package,
    Payload, Relation, RelationKind, Role,
};
use crate::plan::profile::{KernelVersions, MetaFollows, Offers, Prebuilt, Target};
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
    /// The file with its debug information and the place for it, where that is packaged.
    pub debug: Option<(PathBuf, u64, String)>,
}

/// Plans the packages of compiled modules for a target.
pub fn plan(
    driver: &Driver,
    siblings: &[Sibling],
    target: &Target,
    request: &Request,
    kernels: &[KernelModules],
    templates: &Templates,
) -> Result<Plan> {
    let shape = target.prebuilt.as_ref().ok_or_else(|| target.without_prebuilt())?;
    let mut diagnostics = Vec::new();
    let base = base_name(driver, target, request, &mut diagnostics);
    let mut maker = Maker { driver, siblings, target, shape, request, templates, base, diagnostics };
    let common = maker.common()?;
    let mut packages = Vec::new();
    if request.grouping == Grouping::All {
        packages.push(maker.modules(&shape.combined, kernels, common.as_ref())?);
    } else {
        for kernel in kernels {
            packages.push(maker.modules(&shape.package, std::slice::from_ref(kernel), common.as_ref())?);
        }
        packages.extend(maker.metapackages(kernels, &packages)?);
    }
    if request.debug {
        packages.extend(maker.debug(kernels)?);
    }
    packages.extend(common);
    packages.extend(maker.certificate()?);
    Ok(Plan { packages, diagnostics: maker.diagnostics })
}

/// What follows the numbers of a release: `cloud-amd64` in `6.1.0-49-cloud-amd64`; empty where nothing does.
fn flavour(release: &str) -> String {
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
    request: &'a Request,
    templates: &'a Templates,
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
        pattern.replace("{name}", base).replace("{kernel}", &kernel)
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
        package.relations = self.relations(&names, common);
        for relation in self.built_after(pattern, &names) {
            if !package.relations.contains(&relation) {
                package.relations.push(relation);
            }
        }
        (package.carries, package.hardware) = modules(kernels);
        package.offers = offers(&self.shape.offers, &package);
        for kernel in kernels {
            self.tell_codec(kernel);
        }
        let entries = self.entries(kernels);
        let is_file = |entry: &&Entry| matches!(entry.kind, EntryKind::File { .. });
        let paths: Vec<_> = entries.iter().filter(is_file).map(|entry| format!("/{}", entry.path)).collect();
        let values = PrebuiltValues {
            common: Values {
                modules: package
                    .carries
                    .iter()
                    .map(|module| module.name.as_str())
                    .collect::<Vec<_>>()
                    .join(" "),
                ..Values::new(self.driver, self.target, self.request, &package)
            },
            kernels: names.join(" "),
            files: paths.join(" "),
        };
        let payload = with_documents(entries, &self.shape.documents, &package.name, self.templates, &values)?;
        let scripts = scripts(&self.shape.scripts, self.request, self.templates, &values)?;
        package.payload = Payload::Install(payload);
        package.scripts = scripts;
        package.triggers.clone_from(&self.shape.triggers);
        Ok(package)
    }

    /// Modules below the folders of their kernels.
    fn entries(&self, kernels: &[KernelModules]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for kernel in kernels {
            let place = self.shape.folder.replace("{name}", &self.base).replace("{kernel}", &kernel.kernel);
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

    fn documented(&self, package: &Package, entries: Vec<Entry>, kernels: &str) -> Result<Vec<Entry>> {
        let values = PrebuiltValues {
            common: Values::new(self.driver, self.target, self.request, package),
            kernels: kernels.to_owned(),
            files: String::new(),
        };
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
                    (self.package(name, of_newest.arch), needs, newest.kernel.as_str())
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
            let name = self.name(&self.shape.package, &kernel.kernel);
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

/// What a package provides for what it brings and is for. What is no part of a name is `_`, and a version that is none is left out.
fn offers(patterns: &Offers, package: &Package) -> Vec<Capability> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~^".contains(&byte);
    let allowed = |next: char| next.is_ascii_alphanumeric() || "._:*?/-".contains(next);
    let word =
        |alias: &str| alias.chars().map(|next| if allowed(next) { next } else { '_' }).collect::<String>();
    let mut offers = Vec::new();
    for (module, hardware) in package.carries.iter().zip(&package.hardware) {
        offers.extend(
            patterns
                .module
                .iter()
                .map(|pattern| Capability::named(pattern.replace("{module}", &module.name))),
        );
        let version =
            module.version.clone().filter(|version| !version.is_empty() && version.bytes().all(is_plain));
        let bound = version.map(|version| (Comparison::Equal, Bound::Native(version)));
        if let Some(pattern) = &patterns.hardware {
            let name = |alias: &String| pattern.replace("{alias}", &word(alias));
            offers.extend(
                hardware.aliases.iter().map(|alias| Capability { name: name(alias), bound: bound.clone() }),
            );
        }
    }
    offers
}

fn description(driver: &Driver, kernels: &[KernelModules]) -> String {
    let names = releases(kernels);
    let which = if let [one] = names.as_slice() {
        format!("kernel {one}")
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
