//! What a distribution release wants: typed layers of `formats/*.toml`, merged into a target.
//!
//! Data only: no layer knows conditions, and nothing here knows a distribution by name.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::package::{Codec, Compression, RelationKind, When};

/// The profiles that are built in, by file name.
const PROFILES: &[(&str, &str)] = &[
    ("deb", include_str!("../formats/deb.toml")),
    ("debian", include_str!("../formats/debian.toml")),
    ("ubuntu", include_str!("../formats/ubuntu.toml")),
    ("rpm", include_str!("../formats/rpm.toml")),
    ("rhel", include_str!("../formats/rhel.toml")),
    ("fedora", include_str!("../formats/fedora.toml")),
    ("suse", include_str!("../formats/suse.toml")),
];

/// One file, or one release of it; a later layer replaces what an earlier one says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Layer {
    title: Option<String>,
    extends: Option<String>,
    family: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
    dkms: Option<String>,
    reads: Option<Vec<Codec>>,
    headers: Option<String>,
    compression: Option<CompressionLayer>,
    names: Option<Names>,
    source_only: Option<SourceOnlyLayer>,
    prebuilt: Option<PrebuiltLayer>,
    folders: Option<Folders>,
    document: Option<Vec<Document>>,
    #[serde(default)]
    source: BTreeMap<String, SourceLayer>,
    fields: Option<BTreeMap<String, String>>,
    #[serde(default)]
    release: BTreeMap<String, Layer>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct CompressionLayer {
    codec: Codec,
    level: u32,
}

impl From<CompressionLayer> for Compression {
    fn from(CompressionLayer { codec, level }: CompressionLayer) -> Self {
        Self { codec, level }
    }
}

/// How names are made.
#[derive(Debug, Clone, Default, Deserialize)]
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

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SourceOnlyLayer {
    requires: Option<Vec<String>>,
    recommends: Option<Vec<String>>,
    triggers: Option<Vec<String>>,
    scripts: Option<ScriptTemplates>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PrebuiltLayer {
    package: Option<String>,
    combined: Option<String>,
    meta: Option<String>,
    meta_flavour: Option<String>,
    common: Option<String>,
    debug: Option<String>,
    meta_follows: Option<MetaFollows>,
    folder: Option<String>,
    compressions: Option<Vec<Codec>>,
    compression: Option<CompressionLayer>,
    versions: Option<KernelVersions>,
    requires: Option<Vec<String>>,
    provides: Option<Vec<String>>,
    supplements: Option<Vec<String>>,
    triggers: Option<Vec<String>>,
    scripts: Option<ScriptTemplates>,
    document: Option<Vec<Document>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SourceLayer {
    package: Option<String>,
    requires: Option<Vec<String>>,
    distribution: Option<String>,
    suffix: Option<String>,
    file: Option<Vec<PackagingFile>>,
}

/// A file that says how a source package is built.
#[derive(Debug, Clone, Deserialize)]
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

/// What source packages of a format look like.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// The package's name, where it is not that of the one package that is built of it; `{name}` is the driver.
    pub package: Option<String>,
    /// What building takes, in the notation of `Relation::parse`.
    pub requires: Vec<String>,
    /// The release that packages are uploaded for, as archives name it.
    pub distribution: String,
    /// What is added to the revision, so that versions grow from one release of the distribution to the next.
    pub suffix: String,
    /// How they are built.
    pub files: Vec<PackagingFile>,
}

/// Which kernel releases can stand behind `=` in a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelVersions {
    /// All: releases stand in names only.
    All,
    /// Those with one `-`, which separates version and release.
    OneDash,
}

/// What the metapackage of prebuilt packages needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetaFollows {
    /// The package for the newest kernel.
    Newest,
    /// One of the packages; kernels bring theirs along.
    Any,
}

/// Where files that belong to modules go, without the leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Folders {
    /// Firmware.
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

/// What prebuilt packages look like. `{name}` is the driver, `{kernel}` a kernel release, `{flavour}` what follows its numbers.
#[derive(Debug, Clone)]
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
    /// See [`MetaFollows`].
    pub meta_follows: MetaFollows,
    /// The compressions of modules that its tools read.
    pub compressions: Vec<Codec>,
    /// How packages are compressed.
    pub compression: Compression,
    /// See [`KernelVersions`].
    pub versions: KernelVersions,
    /// Relations to a kernel.
    pub relations: Vec<(RelationKind, String)>,
    /// See [`crate::package::Package::triggers`].
    pub triggers: Vec<String>,
    /// The templates of scripts.
    pub scripts: Vec<(When, String)>,
    /// Documents.
    pub documents: Vec<Document>,
}

/// The template of each script that the format has.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ScriptTemplates {
    before_install: Option<String>,
    after_install: Option<String>,
    before_remove: Option<String>,
    after_remove: Option<String>,
    after_transaction: Option<String>,
}

/// A document that a package carries.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Where; `{package}` is the package's name.
    pub path: String,
    /// Its template.
    pub template: String,
}

/// A profile at a release: everything that a distribution has a say in.
#[derive(Debug, Clone)]
pub struct Target {
    /// As the user may write it: `debian-12`, or a profile without a release.
    pub name: String,
    /// For people.
    pub title: String,
    /// The kind of packages it takes, by the format that is installed.
    pub family: String,
    /// The dkms it ships, where that is known.
    pub dkms: Option<String>,
    /// The codecs that its package manager reads.
    pub reads: Vec<Codec>,
    /// The package that holds a kernel's headers: `%k` = kernel release, `%f` = flavour.
    pub headers: String,
    /// How packages are compressed.
    pub compression: Compression,
    /// How names are made.
    pub names: Names,
    /// The relations of every source-only package, in the notation of `Relation::parse`.
    pub relations: Vec<(RelationKind, String)>,
    /// See [`crate::package::Package::triggers`]: those of a source-only package.
    pub triggers: Vec<String>,
    /// The templates of the scripts of a source-only package.
    pub scripts: Vec<(When, String)>,
    /// What prebuilt packages look like.
    pub prebuilt: Prebuilt,
    /// What source packages look like, by format.
    pub sources: BTreeMap<String, Source>,
    /// The folders of files that belong to modules.
    pub folders: Folders,
    /// The documents of every source-only package.
    pub documents: Vec<Document>,
    /// Native fields.
    pub fields: BTreeMap<String, String>,
}

/// The names of all targets: each profile, and each of its releases.
#[must_use]
pub fn target_names() -> Vec<String> {
    let mut names = Vec::new();
    for (profile, text) in PROFILES {
        names.push((*profile).to_owned());
        if let Ok(layer) = parse(profile, text) {
            names.extend(layer.release.keys().map(|release| format!("{profile}-{release}")));
        }
    }
    names
}

/// A release, and the dkms in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    /// The release, for people.
    pub title: String,
    /// The version of dkms, where it is known.
    pub dkms: Option<String>,
}

/// The releases that targets stand for: a release for itself, a profile for its own, and the portable target of a family for all
/// releases of it.
pub fn shipped(targets: &[Target]) -> Result<Vec<Shipped>> {
    let mut found: Vec<Shipped> = Vec::new();
    // a release or profile needs only its own file
    let is_portable = targets.iter().any(|target| target.name == target.family);
    let is_named = |profile: &str| targets.iter().any(|target| target.name.starts_with(profile));
    let layers: Vec<(&str, Layer)> = PROFILES
        .iter()
        .filter(|(profile, _)| is_portable || is_named(profile))
        .map(|(profile, text)| Ok((*profile, parse(profile, text)?)))
        .collect::<Result<_>>()?;
    for (profile, layer) in &layers {
        let mut own = layer;
        let parent = |layer: &Layer| layers.iter().find(|(name, _)| layer.extends.as_deref() == Some(name));
        while let (None, Some((_, above))) = (&own.family, parent(own)) {
            own = above;
        }
        let family = own.family.clone().unwrap_or_default();
        for (release, table) in &layer.release {
            let name = format!("{profile}-{release}");
            let is_meant = |target: &Target| {
                target.name == name
                    || target.name == **profile
                    || target.name == target.family && target.family == family
            };
            if targets.iter().any(is_meant) {
                let title = layer.title.as_deref().unwrap_or(profile);
                found.push(Shipped { title: format!("{title} {release}"), dkms: table.dkms.clone() });
            }
        }
    }
    Ok(found)
}

/// The target of that name, or of an alias of it.
pub fn target(name: &str) -> Result<Target> {
    for (profile, text) in PROFILES {
        let layer = parse(profile, text)?;
        if name == *profile {
            return resolve(name, &[], &layer);
        }
        for (release, table) in &layer.release {
            if name == format!("{profile}-{release}") || table.aliases.iter().any(|alias| alias == name) {
                return resolve(&format!("{profile}-{release}"), &[table], &layer);
            }
        }
    }
    Err(unknown(name))
}

fn unknown(name: &str) -> Error {
    let names = target_names();
    let nearest = names.iter().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    let hint = nearest.map(|nearest| format!("did you mean `{nearest}`? all targets: {}", names.join(", ")));
    Error::usage(format!("there is no target `{name}`")).hint(hint.unwrap_or_default())
}

fn parse(profile: &str, text: &str) -> Result<Layer> {
    toml::from_str(text).map_err(|error| Error::usage(format!("formats/{profile}.toml: {error}")))
}

/// Merges a release over its profile over what that extends.
fn resolve(name: &str, above: &[&Layer], layer: &Layer) -> Result<Target> {
    let mut layers: Vec<Layer> = above.iter().map(|layer| (*layer).clone()).collect();
    layers.push(layer.clone());
    while let Some(parent) = layers.last().and_then(|layer| layer.extends.clone()) {
        let (_, text) =
            PROFILES.iter().find(|(profile, _)| *profile == parent).ok_or_else(|| unknown(&parent))?;
        layers.push(parse(&parent, text)?);
    }
    let missing = |what: &str| Error::usage(format!("the target `{name}` says nothing about `{what}`"));
    // the first layer that says something counts
    let compression =
        layers.iter().find_map(|layer| layer.compression).ok_or_else(|| missing("compression"))?;
    let title = layers.iter().find_map(|layer| layer.title.clone()).unwrap_or_default();
    let release = name.split_once('-').map(|(_, release)| format!(" {release}")).unwrap_or_default();
    let source_only = |pick: fn(&SourceOnlyLayer) -> Option<Vec<String>>| {
        layers.iter().filter_map(|layer| layer.source_only.as_ref()).find_map(pick).unwrap_or_default()
    };
    let requires = source_only(|layer| layer.requires.clone());
    let recommends = source_only(|layer| layer.recommends.clone());
    let triggers = source_only(|layer| layer.triggers.clone());
    let relations = requires.into_iter().map(|text| (RelationKind::Requires, text));
    let scripts =
        layers.iter().find_map(|layer| layer.source_only.as_ref()?.scripts.clone()).unwrap_or_default();
    Ok(Target {
        name: name.to_owned(),
        title: format!("{title}{release}"),
        family: layers.iter().find_map(|layer| layer.family.clone()).ok_or_else(|| missing("family"))?,
        dkms: layers.iter().find_map(|layer| layer.dkms.clone()),
        reads: layers.iter().find_map(|layer| layer.reads.clone()).ok_or_else(|| missing("reads"))?,
        headers: layers.iter().find_map(|layer| layer.headers.clone()).ok_or_else(|| missing("headers"))?,
        compression: compression.into(),
        names: layers.iter().find_map(|layer| layer.names.clone()).ok_or_else(|| missing("names"))?,
        relations: relations
            .chain(recommends.into_iter().map(|text| (RelationKind::Recommends, text)))
            .collect(),
        triggers,
        scripts: scripts.into_list(),
        prebuilt: prebuilt(&layers, &missing)?,
        sources: sources(&layers),
        folders: layers.iter().find_map(|layer| layer.folders.clone()).ok_or_else(|| missing("folders"))?,
        documents: layers.iter().find_map(|layer| layer.document.clone()).unwrap_or_default(),
        fields: layers.iter().find_map(|layer| layer.fields.clone()).unwrap_or_default(),
    })
}

fn sources(layers: &[Layer]) -> BTreeMap<String, Source> {
    let formats: BTreeSet<_> = layers.iter().flat_map(|layer| layer.source.keys()).collect();
    let source = |format: &String| {
        fn first<T>(layers: &[&SourceLayer], pick: impl Fn(&SourceLayer) -> Option<T>) -> Option<T> {
            layers.iter().find_map(|layer| pick(layer))
        }
        let layers: Vec<_> = layers.iter().filter_map(|layer| layer.source.get(format)).collect();
        Source {
            package: first(&layers, |layer| layer.package.clone()),
            requires: first(&layers, |layer| layer.requires.clone()).unwrap_or_default(),
            distribution: first(&layers, |layer| layer.distribution.clone()).unwrap_or_default(),
            suffix: first(&layers, |layer| layer.suffix.clone()).unwrap_or_default(),
            files: first(&layers, |layer| layer.file.clone()).unwrap_or_default(),
        }
    };
    formats.into_iter().map(|format| (format.clone(), source(format))).collect()
}

fn prebuilt(layers: &[Layer], missing: &dyn Fn(&str) -> Error) -> Result<Prebuilt> {
    fn first<T>(layers: &[Layer], pick: impl Fn(&PrebuiltLayer) -> Option<T>) -> Option<T> {
        layers.iter().filter_map(|layer| layer.prebuilt.as_ref()).find_map(pick)
    }
    let text = |what: &str, pick: fn(&PrebuiltLayer) -> Option<String>| {
        first(layers, pick).ok_or_else(|| missing(&format!("prebuilt.{what}")))
    };
    let list = |kind: RelationKind, pick: fn(&PrebuiltLayer) -> Option<Vec<String>>| {
        first(layers, pick).unwrap_or_default().into_iter().map(move |text| (kind, text))
    };
    Ok(Prebuilt {
        package: text("package", |layer| layer.package.clone())?,
        combined: text("combined", |layer| layer.combined.clone())?,
        meta: text("meta", |layer| layer.meta.clone())?,
        meta_flavour: first(layers, |layer| layer.meta_flavour.clone()),
        common: text("common", |layer| layer.common.clone())?,
        debug: text("debug", |layer| layer.debug.clone())?,
        folder: text("folder", |layer| layer.folder.clone())?,
        meta_follows: first(layers, |layer| layer.meta_follows)
            .ok_or_else(|| missing("prebuilt.meta-follows"))?,
        compressions: first(layers, |layer| layer.compressions.clone())
            .ok_or_else(|| missing("prebuilt.compressions"))?,
        compression: first(layers, |layer| layer.compression)
            .ok_or_else(|| missing("prebuilt.compression"))?
            .into(),
        versions: first(layers, |layer| layer.versions).ok_or_else(|| missing("prebuilt.versions"))?,
        relations: list(RelationKind::Requires, |layer| layer.requires.clone())
            .chain(list(RelationKind::Provides, |layer| layer.provides.clone()))
            .chain(list(RelationKind::Supplements, |layer| layer.supplements.clone()))
            .collect(),
        triggers: first(layers, |layer| layer.triggers.clone()).unwrap_or_default(),
        scripts: first(layers, |layer| layer.scripts.clone()).unwrap_or_default().into_list(),
        documents: first(layers, |layer| layer.document.clone()).unwrap_or_default(),
    })
}

impl ScriptTemplates {
    fn into_list(self) -> Vec<(When, String)> {
        let all = [
            (When::BeforeInstall, self.before_install),
            (When::AfterInstall, self.after_install),
            (When::BeforeRemove, self.before_remove),
            (When::AfterRemove, self.after_remove),
            (When::AfterTransaction, self.after_transaction),
        ];
        all.into_iter().filter_map(|(when, template)| Some((when, template?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_resolves_to_a_known_format_and_a_codec_it_reads() {
        for name in target_names() {
            let target = target(&name).unwrap();
            assert!(crate::backend::for_format(&target.family).is_some(), "{name}");
            for compression in [target.compression, target.prebuilt.compression] {
                assert!(target.reads.contains(&compression.codec), "{name}");
                assert!(compression.codec.levels().contains(&compression.level), "{name}");
            }
        }
    }

    #[test]
    fn every_format_has_a_portable_target_that_all_its_releases_can_read() {
        for format in crate::backend::formats().filter(|format| !format.is_source) {
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
        assert_eq!(titles("debian").len(), 3);
        assert!(titles("deb").len() > titles("debian").len());
        assert!(titles("deb").iter().all(|(title, _)| !title.contains("Fedora")));
        assert_eq!(titles("rocky-9").len(), 1);
    }

    #[test]
    fn an_unknown_target_names_the_nearest() {
        let error = target("debain-12").unwrap_err();
        assert!(error.hint_text().unwrap().starts_with("did you mean `debian-12`?"));
    }
}
