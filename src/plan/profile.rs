//! What a distribution release wants: the tables of `formats/*.toml`, laid one over the other and typed as a target.
//!
//! Data only: no table knows conditions, and nothing here knows a distribution by name.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::base::error::{self, Error, Result};
use crate::config::request::Grouping;
use crate::package::{Codec, Compression, RelationKind, When};

/// The profiles that are built in, by file name.
const PROFILES: &[(&str, &str)] = &[
    ("deb", include_str!("../../formats/deb.toml")),
    ("debian", include_str!("../../formats/debian.toml")),
    ("ubuntu", include_str!("../../formats/ubuntu.toml")),
    ("rpm", include_str!("../../formats/rpm.toml")),
    ("rhel", include_str!("../../formats/rhel.toml")),
    ("fedora", include_str!("../../formats/fedora.toml")),
    ("suse", include_str!("../../formats/suse.toml")),
    ("amazon", include_str!("../../formats/amazon.toml")),
    ("pacman", include_str!("../../formats/pacman.toml")),
];

/// A profile at a release: everything that a distribution has a say in.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Target {
    /// As the user may write it: `debian-12`, or a profile without a release.
    #[serde(skip)]
    pub name: String,
    /// Other names that the user may write, such as the release's codename.
    #[serde(skip)]
    pub aliases: Vec<String>,
    /// For people.
    pub title: String,
    /// The kind of packages it takes, by the format that is installed.
    pub family: String,
    /// The dkms it ships, where that is known.
    #[serde(skip)]
    pub dkms: Option<String>,
    /// The codecs that its package manager reads.
    pub reads: Vec<Codec>,
    /// The signatures of packages that its package manager judges, by algorithm or by that and digest: `rsa`, `eddsa-sha256`; none: it looks at
    /// none.
    #[serde(default)]
    pub signatures: Vec<String>,
    /// The package that holds a kernel's headers: `%k` = kernel release, `%f` = flavour.
    pub headers: String,
    /// Where the packages of its kernels' headers are listed, where that is known. Decides about no package.
    #[serde(default, skip_serializing)]
    pub kernels: Option<KernelLists>,
    /// How packages are compressed.
    pub compression: Compression,
    /// How names are made.
    pub names: Names,
    /// What source-only packages look like.
    pub source_only: SourceOnly,
    /// What prebuilt packages look like, where there are any.
    pub prebuilt: Option<Prebuilt>,
    /// What source packages look like, by format.
    #[serde(rename = "source", default)]
    pub sources: BTreeMap<String, Source>,
    /// The folders of files that belong to modules.
    pub folders: Folders,
    /// The documents of every source-only package.
    #[serde(rename = "document", default)]
    pub documents: Vec<Document>,
    /// Native fields.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

impl Target {
    /// Whether its package manager judges a signature, `rsa-sha256`.
    #[must_use]
    pub fn judges(&self, how: &str) -> bool {
        let is_this =
            |known: &String| known == how || how.split_once('-').is_some_and(|(name, _)| name == known);
        self.signatures.is_empty() || self.signatures.iter().any(is_this)
    }

    /// The same with another way to name prebuilt packages; as it is where it has none of that name.
    #[must_use]
    pub fn with_naming(&self, naming: &str) -> Self {
        let mut target = self.clone();
        if let Some(shape) = &mut target.prebuilt
            && let Some(Naming { package, meta, debug }) = shape.naming.get(naming).cloned()
        {
            (shape.package, shape.meta, shape.debug) = (package, meta, debug);
        }
        target
    }

    /// The error of whoever wants prebuilt packages for a target that has none.
    #[must_use]
    pub fn without_prebuilt(&self) -> Error {
        Error::usage(format!("`{}` has no prebuilt packages", self.name))
            .hint("leave `--prebuilt` out, or name another target or format")
    }
}

/// Where the packages of kernels' headers are listed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KernelLists {
    pub kind: ListKind,
    /// The release as paths name it: `{release}` below; empty for a distribution as a whole, which has no lists.
    #[serde(default)]
    pub release: String,
    /// The lists; `{arch}` is the machine as the format names it.
    pub lists: Vec<KernelList>,
    /// What a package of headers may need that belongs to them, by the pattern of its name.
    pub needs: Vec<String>,
    /// In an rpm repository: whose version is the kernel's release.
    pub provides: Option<String>,
    /// The same where nothing says it: the package, `{flavour}` in its name. The release is the package's version and its release without
    /// the last number, which counts how often it was built, and the flavour.
    pub package: Option<String>,
}

/// The kind of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListKind {
    /// Suites of an archive, sources.list(5).
    Apt,
    /// Repositories with a `repodata/repomd.xml`.
    RpmMd,
}

/// A list below a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct KernelList {
    /// The archive or repository, below the mirror.
    pub path: String,
    /// The file there whose first line is the address that the repository is at, where it moves with every release of its lists.
    #[serde(default)]
    pub moved: Option<String>,
    /// The suite of an archive.
    #[serde(default)]
    pub suite: String,
    /// Its components.
    #[serde(default)]
    pub components: Vec<String>,
}

/// How names are made.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Names {
    /// Whether names have no upper case.
    #[serde(default)]
    pub lower_case: bool,
    /// What stands for `_` where names have none.
    pub underscore: Option<String>,
    /// The source-only package; `{name}` is the driver.
    pub source_only: String,
    /// The virtual name that every prebuilt package provides; `{name}` is the driver.
    pub modules: String,
}

/// Relations by kind, in the notation of `Relation::parse`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Relations(BTreeMap<RelationKind, Vec<String>>);

impl Relations {
    /// Each of them, by kind.
    pub fn iter(&self) -> impl Iterator<Item = (RelationKind, &String)> {
        self.0.iter().flat_map(|(kind, texts)| texts.iter().map(|text| (*kind, text)))
    }
}

/// What source-only packages look like.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SourceOnly {
    /// What each of them needs.
    #[serde(default)]
    pub relations: Relations,
    /// See [`crate::package::Package::triggers`].
    #[serde(default)]
    pub triggers: Vec<String>,
    /// The templates of scripts.
    #[serde(default)]
    pub scripts: BTreeMap<When, String>,
}

/// What prebuilt packages look like. `{name}` is the driver, `{kernel}` a kernel release, `{flavour}` what follows its numbers.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Prebuilt {
    /// The package for one kernel.
    pub package: String,
    /// The package for several kernels.
    pub combined: String,
    /// The package that follows the newest kernel.
    pub meta: String,
    /// What is added to its name where kernels have flavours; there is one for each of them then.
    pub meta_flavour: Option<String>,
    /// The package of the files that all kernels share.
    pub common: String,
    /// The package of debug information for one kernel.
    pub debug: String,
    /// The folder of modules.
    pub folder: String,
    /// The folder of their debug information.
    pub debug_folder: String,
    /// See [`MetaFollows`].
    pub meta_follows: MetaFollows,
    /// The compressions of modules that its tools read.
    pub compressions: Vec<Codec>,
    /// How packages are compressed.
    pub compression: Compression,
    /// See [`KernelVersions`].
    pub versions: KernelVersions,
    /// Relations to a kernel.
    #[serde(default)]
    pub relations: Relations,
    /// What packages provide for the modules that they bring.
    #[serde(default)]
    pub offers: Offers,
    /// Other ways to name them, which who packages may choose.
    #[serde(default)]
    pub naming: BTreeMap<String, Naming>,
    /// The package that holds kernels back, where there is one.
    pub hold: Option<HoldPackage>,
    /// How packages look that serve several kernels with one build, where there are such.
    pub range: Option<Range>,
    /// The package of the certificates that signed modules are judged by.
    pub certificate: CertificatePackage,
    /// See [`crate::package::Package::triggers`].
    #[serde(default)]
    pub triggers: Vec<String>,
    /// The templates of scripts.
    #[serde(default)]
    pub scripts: BTreeMap<When, String>,
    #[serde(rename = "document", default)]
    pub documents: Vec<Document>,
}

/// Names of packages, see [`Prebuilt`].
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Naming {
    pub package: String,
    pub meta: String,
    pub debug: String,
}

/// What a package looks like that holds kernels back. `{name}` is the driver.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HoldPackage {
    pub package: String,
    /// What it conflicts with for each kernel that is held; `{kernel}` is its release.
    pub kernel: Option<String>,
    /// What it breaks for each flavour: `{flavour}`, and `{version}`, that of the newest kernel that is served.
    pub newer: Option<String>,
    /// What a package manager does because of it, as paragraphs.
    pub about: String,
    /// Native fields, over the target's.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
    /// Files that do it instead.
    #[serde(rename = "file", default)]
    pub files: Vec<PackagingFile>,
    #[serde(rename = "document", default)]
    pub documents: Vec<Document>,
}

/// What packages look like that serve several kernels with one build. `{base}` is the release that they are built for, without the machine.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Range {
    /// What `--group` calls it.
    pub group: Grouping,
    /// The package for the kernels that one build serves.
    pub package: String,
    /// What follows the driver's version, where packages of several builds have one name.
    pub version: Option<String>,
    /// What each provides in its own version; `{name}` is the driver.
    #[serde(default)]
    pub names: Vec<String>,
    /// See [`Checksums`].
    pub checksums: Checksums,
    /// A symbol of the kernel or its modules that is needed: `{symbol}`, `{crc}`.
    pub needs_kernel: String,
    /// The same of others.
    pub needs_other: String,
    /// A symbol for others.
    pub gives: String,
    /// What the metapackage needs; without it there is none.
    pub meta: Option<RangeMeta>,
    /// For each kind of hardware; `{alias}` is it with `%XX` for what is special.
    pub hardware: Option<String>,
    /// The folder of depmod where its modules are found for other kernels than their own, and count more than those of the kernel.
    pub links: Option<String>,
    /// A field of modules (modinfo(8)) that its kernels may want before they load one.
    pub field: Option<String>,
    /// Relations of each.
    #[serde(default)]
    pub relations: Relations,
    /// The templates of scripts.
    #[serde(default)]
    pub scripts: BTreeMap<When, String>,
}

/// How checksums of symbols are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Checksums {
    /// `0x`, and eight digits.
    Padded,
    /// Digits without zeros before them.
    Bare,
}

impl Checksums {
    /// The text of one.
    #[must_use]
    pub fn text(self, crc: u32) -> String {
        match self {
            Self::Padded => format!("{crc:#010x}"),
            Self::Bare => format!("{crc:x}"),
        }
    }
}

/// The notation of what the metapackage of a range needs.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RangeMeta {
    /// `{package}`, where a kernel is there for which `{condition}` is true.
    pub needs: String,
    /// A kernel with that symbol: `{symbol}`, `{crc}`.
    pub symbol: String,
    /// A kernel of `{kernel}` or later.
    pub from: String,
    /// One before `{kernel}`.
    pub before: String,
    /// One for which `{one}` and `{other}` are true.
    pub both: String,
    /// One for which one of them is.
    pub either: String,
    /// The template of what says, after a transaction, that a kernel has no module.
    pub guard: String,
}

/// What the package of certificates looks like.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CertificatePackage {
    /// `{name}` is the driver.
    pub package: String,
    /// Its relations; `{name}` is the driver.
    #[serde(default)]
    pub relations: Relations,
    /// Where each certificate lies, as DER, the place first that people are told: `{package}`, `{name}`, `{certificate}` is what it is called,
    /// `{sha1}` the first eight digits of its SHA-1.
    pub files: Vec<String>,
    /// The templates of scripts.
    #[serde(default)]
    pub scripts: BTreeMap<When, String>,
    #[serde(rename = "document", default)]
    pub documents: Vec<Document>,
}

/// Patterns of what packages provide.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Offers {
    /// For each module; `{module}` is its name.
    pub module: Option<String>,
    /// For each kind of hardware, in the module's version; `{alias}` is it in the notation of `modules.alias`.
    pub hardware: Option<String>,
}

impl Prebuilt {
    /// How a module is compressed for a kernel: as that has its own, where the distribution's tools read it.
    #[must_use]
    pub fn codec(&self, of_kernel: Codec) -> Codec {
        if self.compressions.contains(&of_kernel) { of_kernel } else { Codec::None }
    }

    /// Where the debug information of a module is installed.
    #[must_use]
    pub fn debug_place(&self, kernel: &str, module: &str) -> String {
        format!("{}/{module}.ko.debug", self.debug_folder.replace("{kernel}", kernel))
    }
}

/// Which kernel releases can stand behind `=` in a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelVersions {
    /// All: releases stand in names only.
    All,
    /// Those with one `-`, which separates version and release.
    OneDash,
}

/// What the metapackage of prebuilt packages needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetaFollows {
    /// The package for the newest kernel.
    Newest,
    /// One of the packages; kernels bring theirs along.
    Any,
}

/// What source packages of a format look like.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// The package's name, where it is not that of the one package that is built of it; `{name}` is the driver.
    pub package: Option<String>,
    /// What building takes, in the notation of `Relation::parse`.
    pub requires: Vec<String>,
    /// The release that packages are uploaded for, as archives name it.
    pub distribution: String,
    /// Native fields of the source package itself.
    pub fields: BTreeMap<String, String>,
    /// See [`crate::package::Source::globals`].
    pub globals: Vec<String>,
    /// What is added to the revision, so that versions grow from one release of the distribution to the next.
    pub suffix: String,
    /// How they are built.
    #[serde(rename = "file")]
    pub files: Vec<PackagingFile>,
}

/// A file that says how a source package is built.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PackagingFile {
    /// Where; `{package}` is the package's name.
    pub path: String,
    /// Its template; a file that would be empty is left out.
    pub template: String,
    /// Whether it may be run.
    #[serde(default)]
    pub executable: bool,
}

/// Where files that belong to modules go, without the leading slash.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Folders {
    pub firmware: String,
    /// Rules of udev.
    pub udev: String,
    /// Entries for udev's hardware database.
    pub hwdb: String,
    /// Options of modules.
    pub modprobe: String,
    /// Lists of modules to load.
    pub modules_load: String,
    /// Which of several modules of one name counts.
    pub depmod: String,
    /// Units of systemd.
    pub systemd: String,
    /// Of initramfs-tools, where a system of the family may have it.
    pub initramfs_tools: Option<String>,
    /// Modules of dracut.
    pub dracut: String,
}

/// A document that a package carries.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Where; `{package}` is the package's name.
    pub path: String,
    pub template: String,
}

/// A release, and the dkms in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    /// The release, for people.
    pub title: String,
    /// The version of dkms, where it is known.
    pub dkms: Option<String>,
}

/// The names of all targets: each profile, and each of its releases.
#[must_use]
pub fn target_names() -> Vec<String> {
    built_in().map(Profiles::names).unwrap_or_default()
}

/// The target of that name, or of an alias of it.
pub fn target(name: &str) -> Result<Target> {
    built_in()?.target(name)
}

/// Every way to name prebuilt packages that a target has.
pub fn namings() -> Result<Vec<String>> {
    let profiles = built_in()?;
    let targets = profiles.names().into_iter().map(|name| profiles.target(&name));
    let targets = targets.collect::<Result<Vec<_>>>()?;
    let mut names: Vec<String> = targets
        .into_iter()
        .filter_map(|target| target.prebuilt)
        .flat_map(|shape| shape.naming.into_keys())
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}

/// The targets that have packages for a range of kernels.
pub fn with_range(group: Grouping) -> Result<Vec<String>> {
    let profiles = built_in()?;
    let targets = profiles.names().into_iter().map(|name| profiles.target(&name));
    let has = |target: &Target| {
        let range = target.prebuilt.as_ref().and_then(|shape| shape.range.as_ref());
        range.is_some_and(|range| range.group == group)
    };
    let targets = targets.collect::<Result<Vec<_>>>()?;
    Ok(targets.into_iter().filter(has).map(|target| target.name).collect())
}

/// The releases that targets stand for: a release for itself, a profile for its own, and the portable target of a family for all
/// releases of it.
pub fn shipped(targets: &[Target]) -> Result<Vec<Shipped>> {
    let profiles = built_in()?;
    let mut found = Vec::new();
    for layer in profiles.layers.iter().filter(|layer| layer.release.is_some()) {
        let is_own = |target: &Target| target.name == layer.name || target.name == layer.profile;
        let is_portable = |target: &Target| target.name == target.family;
        if !targets.iter().any(|target| is_own(target) || is_portable(target)) {
            continue;
        }
        let family = profiles.said(layer, "family")?;
        let is_of_family = |target: &Target| is_portable(target) && target.family == family;
        if targets.iter().any(|target| is_own(target) || is_of_family(target)) {
            let title = layer.titled(profiles.said(layer, "title")?);
            found.push(Shipped { title, dkms: layer.dkms.clone() });
        }
    }
    Ok(found)
}

fn built_in() -> Result<&'static Profiles<'static>> {
    static READ: OnceLock<Profiles<'static>> = OnceLock::new();
    match READ.get() {
        Some(profiles) => Ok(profiles),
        None => Profiles::read(PROFILES).map(|profiles| READ.get_or_init(|| profiles)),
    }
}

/// Files, cut into what each of them says and what each of their releases does.
struct Profiles<'a> {
    /// By name; places count through all of them and an end of each, so that one tells its file.
    texts: &'a [(&'a str, &'a str)],
    /// Each file, and its releases behind it.
    layers: Vec<Layer<'a>>,
}

/// What a file, or a release of it, says beside what it extends.
struct Layer<'a> {
    /// That of the target.
    name: String,
    /// The file's.
    profile: &'a str,
    release: Option<String>,
    /// The target that this one begins with.
    extends: Option<Spanned<String>>,
    aliases: Vec<String>,
    dkms: Option<String>,
    /// Their places count from the begin of the file.
    keys: Spanned<DeTable<'a>>,
}

impl Layer<'_> {
    /// With the release behind the file's title.
    fn titled(&self, title: &str) -> String {
        self.release.as_ref().map_or(title.to_owned(), |release| format!("{title} {release}"))
    }
}

/// What is said of one file or release and holds for no other that extends it.
const OWN: [&str; 3] = ["extends", "aliases", "dkms"];
/// The releases of a file, by name.
const RELEASES: &str = "release";

impl<'a> Profiles<'a> {
    fn read(texts: &'a [(&'a str, &'a str)]) -> Result<Self> {
        let mut profiles = Self { texts, layers: Vec::new() };
        for (profile, text) in texts {
            let table = DeTable::parse(text).map_err(|error| {
                let at = profiles.begin(profile) + error.span().map_or(0, |span| span.start);
                profiles.error(at, error.message())
            })?;
            let layers = profiles.cut(profile, table)?;
            profiles.layers.extend(layers);
        }
        Ok(profiles)
    }

    /// Where a file begins among all.
    fn begin(&self, profile: &str) -> usize {
        self.texts.iter().take_while(|(name, _)| *name != profile).map(|(_, text)| text.len() + 1).sum()
    }

    /// A file as layers.
    fn cut(&self, profile: &'a str, mut file: Spanned<DeTable<'a>>) -> Result<Vec<Layer<'a>>> {
        let releases = file.get_mut().remove(RELEASES);
        let mut layers = vec![self.layer(profile, None, file)?];
        let Some(releases) = releases else { return Ok(layers) };
        for (release, keys) in self.table(profile, releases)?.into_inner() {
            let release = Some(release.get_ref().to_string());
            layers.push(self.layer(profile, release, self.table(profile, keys)?)?);
        }
        Ok(layers)
    }

    fn layer(
        &self,
        profile: &'a str,
        release: Option<String>,
        mut keys: Spanned<DeTable<'a>>,
    ) -> Result<Layer<'a>> {
        let begin = self.begin(profile);
        let own = OWN.map(|key| keys.get_mut().remove(key));
        let [extends, aliases, dkms] = own.map(|value| value.map(|value| moved(value, begin, &moved_value)));
        Ok(Layer {
            name: release.as_ref().map_or(profile.to_owned(), |release| format!("{profile}-{release}")),
            profile,
            release,
            extends: extends.map(|value| self.typed(value)).transpose()?,
            aliases: aliases.map(|value| self.typed(value)).transpose()?.unwrap_or_default(),
            dkms: dkms.map(|value| self.typed(value)).transpose()?,
            keys,
        })
    }

    fn table(&self, profile: &str, value: Spanned<DeValue<'a>>) -> Result<Spanned<DeTable<'a>>> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => Ok(Spanned::new(span, table)),
            other => {
                let text = format!("invalid type: {}, expected a table", other.type_str());
                Err(self.error(self.begin(profile) + span.start, &text))
            }
        }
    }

    fn typed<T: DeserializeOwned>(&self, value: Spanned<DeValue<'_>>) -> Result<T> {
        let whole = value.span();
        T::deserialize(ValueDeserializer::from(value))
            .map_err(|error| self.error(error.span().unwrap_or(whole).start, error.message()))
    }

    fn names(&self) -> Vec<String> {
        self.layers.iter().map(|layer| layer.name.clone()).collect()
    }

    fn find(&self, name: &str) -> Option<&Layer<'a>> {
        self.layers.iter().find(|layer| layer.name == name)
    }

    fn target(&self, name: &str) -> Result<Target> {
        let is_named =
            |layer: &&Layer<'_>| layer.name == name || layer.aliases.iter().any(|alias| alias == name);
        self.resolve(self.layers.iter().find(is_named).ok_or_else(|| self.unknown(name))?)
    }

    fn unknown(&self, name: &str) -> Error {
        let names = self.names();
        let aliases = self.layers.iter().flat_map(|layer| &layer.aliases);
        let nearest =
            names.iter().chain(aliases).min_by_key(|known| strsim::damerau_levenshtein(known, name));
        let hint =
            nearest.map(|nearest| format!("did you mean `{nearest}`? all targets: {}", names.join(", ")));
        Error::usage(format!("there is no target `{name}`")).hint(hint.unwrap_or_default())
    }

    /// The place of a layer among all files.
    fn at(&self, layer: &Layer<'_>) -> usize {
        self.begin(layer.profile) + layer.keys.span().start
    }

    /// The target that a layer is with everything that it extends.
    fn resolve(&self, layer: &Layer<'a>) -> Result<Target> {
        let mut keys = DeTable::new();
        for layer in self.chain(layer, None, &mut Vec::new())? {
            lay_over(&mut keys, layer.keys.get_ref(), self.begin(layer.profile));
        }
        let at = self.at(layer);
        let mut target: Target = self.typed(Spanned::new(at..at, DeValue::Table(keys)))?;
        target.name.clone_from(&layer.name);
        target.title = layer.titled(&target.title);
        target.dkms.clone_from(&layer.dkms);
        target.aliases.clone_from(&layer.aliases);
        Ok(target)
    }

    /// What a layer or the nearest that it extends says under a key that each target has.
    fn said<'b>(&'b self, layer: &'b Layer<'a>, key: &str) -> Result<&'b str> {
        let chain = self.chain(layer, None, &mut Vec::new())?;
        let said = chain.iter().rev().find_map(|layer| layer.keys.get_ref().get(key)?.get_ref().as_str());
        said.ok_or_else(|| self.error(self.at(layer), &format!("missing field `{key}`")))
    }

    /// The layers that make up a target, the most general first: what a layer extends, for a release its file, the layer itself.
    /// `link` is the `extends` that leads to it, `below` what it was reached from.
    fn chain<'b>(
        &'b self,
        layer: &'b Layer<'a>,
        link: Option<&Spanned<String>>,
        below: &mut Vec<&'b str>,
    ) -> Result<Vec<&'b Layer<'a>>> {
        if below.contains(&layer.name.as_str()) {
            let at = link.map_or(0, |link| link.span().start);
            return Err(self.error(at, &format!("`{}` extends itself", layer.name)));
        }
        below.push(&layer.name);
        let file = layer.release.as_ref().and_then(|_| self.find(layer.profile));
        let mut chain = match (&layer.extends, file) {
            (Some(link), _) => match self.find(link.get_ref()) {
                Some(other) => self.chain(other, Some(link), below)?,
                None => return Err(self.no_target(link)),
            },
            (None, Some(file)) => self.chain(file, link, below)?,
            (None, None) => Vec::new(),
        };
        let is_new = |file: &&Layer<'_>| chain.iter().all(|other| other.name != file.name);
        chain.extend(file.filter(is_new));
        chain.push(layer);
        Ok(chain)
    }

    fn no_target(&self, link: &Spanned<String>) -> Error {
        let name = link.get_ref();
        let error = self.error(link.span().start, &format!("there is no target `{name}` to extend"));
        let names = self.names();
        match error::nearest(name, &names) {
            Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
            None => error,
        }
    }

    /// An error about what stands at a place.
    fn error(&self, at: usize, message: &str) -> Error {
        let mut begin = 0;
        let mut texts = self.texts.iter();
        let found = texts.find(|(_, text)| {
            begin += text.len() + 1;
            at < begin
        });
        let (profile, text) = found.or(self.texts.last()).copied().unwrap_or_default();
        let before = &text[..(at + text.len() + 1).saturating_sub(begin).min(text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let message = message.replace('\n', " ");
        let error = Error::usage(format!("formats/{profile}.toml:{line}:{column}: {message}"));
        match error::nearest_in(&message, &[&OWN[..], &[RELEASES]].concat()) {
            Some(nearest) => error.hint(format!("did you mean `{nearest}`?")),
            None => error,
        }
    }
}

/// Lays keys over others: tables are laid over tables, everything else takes the other's place. Their places count from `begin` on.
fn lay_over<'a>(keys: &mut DeTable<'a>, over: &DeTable<'a>, begin: usize) {
    for (key, value) in over {
        let below = keys.get_mut(key.get_ref().as_ref()).map(Spanned::get_mut);
        if let (Some(DeValue::Table(below)), DeValue::Table(over)) = (below, value.get_ref()) {
            lay_over(below, over, begin);
        } else {
            // a key that stays would keep its place, which is another file's
            keys.remove(key.get_ref().as_ref());
            let key = moved(key.clone(), begin, &|key, _| key);
            keys.insert(key, moved(value.clone(), begin, &moved_value));
        }
    }
}

/// The same, its place counted from another begin.
fn moved<T>(value: Spanned<T>, begin: usize, inner: &dyn Fn(T, usize) -> T) -> Spanned<T> {
    let span = value.span();
    Spanned::new(span.start + begin..span.end + begin, inner(value.into_inner(), begin))
}

fn moved_table(table: DeTable<'_>, begin: usize) -> DeTable<'_> {
    let all = table.into_iter();
    all.map(|(key, value)| (moved(key, begin, &|key, _| key), moved(value, begin, &moved_value))).collect()
}

fn moved_value(value: DeValue<'_>, begin: usize) -> DeValue<'_> {
    match value {
        DeValue::Table(table) => DeValue::Table(moved_table(table, begin)),
        DeValue::Array(mut values) => {
            for value in values.iter_mut() {
                *value = moved(
                    std::mem::replace(value, Spanned::new(0..0, DeValue::Boolean(false))),
                    begin,
                    &moved_value,
                );
            }
            DeValue::Array(values)
        }
        plain => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_resolves_to_a_known_format_and_a_codec_it_reads() {
        for name in target_names() {
            let target = target(&name).unwrap();
            assert!(crate::format::for_format(&target.family).is_some(), "{name}");
            let prebuilt = target.prebuilt.as_ref().map(|prebuilt| prebuilt.compression);
            for compression in [Some(target.compression), prebuilt].into_iter().flatten() {
                assert!(target.reads.contains(&compression.codec), "{name}");
                assert!(compression.codec.levels().contains(&compression.level), "{name}");
            }
        }
    }

    #[test]
    fn every_format_has_a_portable_target_that_all_its_releases_can_read() {
        for format in crate::format::formats().filter(|format| !format.is_source) {
            let format = format.name;
            let portable = target(format).unwrap();
            for name in target_names() {
                let other = target(&name).unwrap();
                if other.family == format {
                    assert!(other.reads.contains(&portable.compression.codec), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_release_replaces_what_its_profile_says() {
        assert!(!target("debian-11").unwrap().reads.contains(&Codec::Zstd));
        assert!(target("debian-12").unwrap().reads.contains(&Codec::Zstd));
        assert_eq!(target("opensuse-leap-15.6").unwrap().name, "suse-15");
    }

    #[test]
    fn targets_stand_for_releases() {
        let titles = |name: &str| {
            let shipped = shipped(&[target(name).unwrap()]).unwrap();
            shipped.into_iter().map(|release| (release.title, release.dkms)).collect::<Vec<_>>()
        };
        assert_eq!(titles("debian-12"), [("Debian 12".to_owned(), Some("3.0.10".to_owned()))]);
        assert_eq!(titles("debian").len(), 4);
        assert!(titles("deb").len() > titles("debian").len());
        assert!(titles("deb").iter().all(|(title, _)| !title.contains("Fedora")));
        assert_eq!(titles("rocky-9").len(), 1);
    }

    #[test]
    fn an_unknown_target_names_the_nearest() {
        let error = target("debain-12").unwrap_err();
        assert!(error.hint_text().unwrap().starts_with("did you mean `debian-12`?"));
    }

    /// A target whole, and two files that extend it.
    fn with<'a>(one: &'a str, other: &'a str) -> [(&'a str, &'a str); 3] {
        [PROFILES[0], ("one", one), ("other", other)]
    }

    #[test]
    fn what_extends_another_says_only_what_differs() {
        let texts = with(
            "title = \"One\"\nextends = \"deb\"\nfolders.udev = \"u\"\n\
             [release.1]\naliases = [\"first\"]\ndkms = \"3.0\"\nreads = [\"xz\"]\nfolders.firmware = \"f\"\n\
             [release.2]\nextends = \"one-1\"\nfolders.hwdb = \"h\"\n",
            "title = \"Other\"\nextends = \"one-2\"\nfolders.hwdb = \"o\"\n\
             [release.1]\nextends = \"one-1\"\nreads = [\"none\"]\n[release.2]\n",
        );
        let profiles = Profiles::read(&texts).unwrap();
        let target = |name: &str| profiles.target(name).unwrap();
        // tables are laid over tables, the most general first: file, extended release, release
        let (first, second) = (target("first"), target("one-2"));
        let folders = |target: &Target| {
            let Folders { udev, firmware, hwdb, dracut, .. } = target.folders.clone();
            [udev, firmware, hwdb, dracut]
        };
        let dracut = target("deb").folders.dracut;
        assert_eq!(folders(&first), ["u", "f", "lib/udev/hwdb.d", &dracut]);
        assert_eq!(folders(&second), ["u", "f", "h", &dracut]);
        // lists are not
        assert_eq!(second.reads, [Codec::Xz]);
        // what is said of a release alone
        assert_eq!((first.name.as_str(), first.title.as_str()), ("one-1", "One 1"));
        assert_eq!((first.dkms.as_deref(), second.dkms.as_deref()), (Some("3.0"), None));
        // a file begins with a release of another one; each of its releases may begin with another one yet
        assert_eq!(
            (target("other-2").title.as_str(), folders(&target("other-2"))),
            ("Other 2", folders(&target("other")))
        );
        assert_eq!(folders(&target("other")), ["u", "f", "o", &dracut]);
        assert_eq!(
            (target("other-1").reads, target("other-1").title),
            (vec![Codec::None], "Other 1".to_owned())
        );
        assert_eq!(folders(&target("other-1")), ["u", "f", "o", &dracut]);
    }

    #[test]
    fn an_error_names_the_place_where_it_is_written_and_what_was_meant() {
        let one = "extends = \"deb\"\n";
        for (one, other, expected, hint) in [
            // keys, types and values of a file, of a release, and of what is inherited
            (
                format!("{one}hedaers = \"h\"\n"),
                "",
                "one.toml:2:1: unknown field `hedaers`, ",
                Some("headers"),
            ),
            (
                format!("{one}exntends = \"h\"\n"),
                "",
                "one.toml:2:1: unknown field `exntends`, ",
                Some("extends"),
            ),
            (
                format!("{one}[release.1]\nheaders = 3\n"),
                "",
                "one.toml:3:11: invalid type: integer `3`, ",
                None,
            ),
            (
                format!("{one}[folders]\ndepmodd = \"x\"\n"),
                "extends = \"one\"\n",
                "one.toml:3:1: unknown field `depmodd`, ",
                Some("depmod"),
            ),
            (
                format!("{one}[folders]\ndepmod = 1\n"),
                "extends = \"one\"\n[folders]\nudev = \"u\"\n",
                "one.toml:3:10: invalid type: integer `1`, ",
                None,
            ),
            (
                one.to_owned(),
                "extends = \"one\"\nreads = [\"xz\", \"zst\"]\n",
                "other.toml:2:16: unknown variant `zst`, ",
                Some("zstd"),
            ),
            (
                one.to_owned(),
                "extends = \"one\"\nfolders = \"usr\"\n",
                "other.toml:2:11: invalid type: string \"usr\", ",
                None,
            ),
            (
                one.to_owned(),
                "extends = \"one\"\n[source-only.scripts]\nafter-instal = \"x\"\n",
                "other.toml:3:1: unknown variant `after-instal`, ",
                Some("after-install"),
            ),
            (
                one.to_owned(),
                "extends = \"one\"\n[release.1.release.2]\n",
                "other.toml:2:12: unknown field `release`, ",
                None,
            ),
            // what is said of one release
            (one.to_owned(), "extends = [\"one\"]\n", "other.toml:1:11: invalid type: sequence, ", None),
            (
                one.to_owned(),
                "[release.1]\naliases = [1]\n",
                "other.toml:2:12: invalid type: integer `1`, ",
                None,
            ),
            (one.to_owned(), "release.1 = true\n", "other.toml:1:13: invalid type: boolean, ", None),
            // what is extended
            (
                one.to_owned(),
                "title = \"x\"\nextends = \"ome\"\n",
                "other.toml:2:11: there is no target `ome` to extend",
                Some("one"),
            ),
            (
                one.to_owned(),
                "extends = \"one\"\n[release.1]\nextends = \"1\"\n",
                "other.toml:3:11: there is no target `1` to extend",
                None,
            ),
            (one.to_owned(), "extends = \"other\"\n", "other.toml:1:11: `other` extends itself", None),
            (
                "\nextends = \"other-1\"\n".to_owned(),
                "extends = \"one\"\n[release.1]\n",
                "other.toml:1:11: `one` extends itself",
                None,
            ),
            (
                one.to_owned(),
                "extends = \"one\"\n[release.1]\nextends = \"other-2\"\n[release.2]\nextends = \"other-1\"\n",
                "other.toml:5:11: `other-1` extends itself",
                None,
            ),
            // what nothing says, and what is no TOML
            (one.to_owned(), "family = \"deb\"\n", "other.toml:1:1: missing field `title`", None),
            (format!("{one}reads = ["), "", "one.toml:2:10: ", None),
            (
                one.to_owned(),
                "extends = \"one\"\n[names\n",
                "other.toml:2:7: unclosed table, expected `]`",
                None,
            ),
        ] {
            let texts = with(&one, other);
            let error = Profiles::read(&texts)
                .and_then(|profiles| {
                    profiles.names().iter().map(|name| profiles.target(name)).collect::<Result<Vec<_>>>()
                })
                .unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with(&format!("formats/{expected}")), "{expected}: {text}");
            assert_eq!(
                error.hint_text(),
                hint.map(|hint| format!("did you mean `{hint}`?")).as_deref(),
                "{text}"
            );
        }
    }
}
