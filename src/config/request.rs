//! What the user asked for, on the command line and in `kpkg.toml`, after checking: one value for one format.
//!
//! Knows nothing about drivers or distributions.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::base::error::{Error, Result};
use crate::config::{
    Around, Config, FilesConfig, Guard, Initramfs, ModulesConfig, OnBuildFailure, RelationsConfig,
    ScriptsConfig,
};
use crate::package::{Arch, Codec, Compression, Relation, RelationKind, When};

/// What the command line says; each counts instead of `kpkg.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, Serialize)]
#[serde(default)]
pub struct CommandLine {
    /// `--release`.
    pub release: Option<String>,
    /// `--compression`.
    pub compression: Option<String>,
    /// `--fast`.
    pub fast: bool,
    /// `--initramfs`.
    pub initramfs: Option<Initramfs>,
    /// `--group`.
    pub grouping: Option<Grouping>,
    /// `--debug`.
    pub debug: bool,
    /// `--distribution`.
    pub distribution: Option<String>,
    /// `--buildinfo`: the machine, as `uname -m` prints it.
    pub made_on: Option<String>,
}

impl CommandLine {
    /// Which kernels share a package, by the command line, else by kpkg.toml.
    #[must_use]
    pub fn grouping(&self, config: &Config) -> Grouping {
        self.grouping.or(config.prebuilt.group).unwrap_or_default()
    }
}

/// Which kernels share a package of modules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Grouping {
    /// Each kernel has a package of its own.
    #[default]
    Kernel,
    /// Those that one build serves, as Red Hat and its rebuilds have it.
    Kabi,
    /// Those of a flavour that one build serves, as SUSE has it.
    Flavour,
    /// All are in one.
    All,
}

impl Grouping {
    /// Whether one build serves several kernels.
    #[must_use]
    pub fn is_range(self) -> bool {
        matches!(self, Self::Kabi | Self::Flavour)
    }

    /// As the command line and kpkg.toml name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Kabi => "kabi",
            Self::Flavour => "flavour",
            Self::All => "all",
        }
    }
}

/// The request for one format.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// The package's name without suffix, when it shall not be made from the driver's.
    pub package_name: Option<String>,
    /// The revision.
    pub release: String,
    /// Instead of the target's.
    pub compression: Option<AskedCompression>,
    /// The policy.
    pub on_build_failure: OnBuildFailure,
    /// In addition to the target's.
    pub relations: Vec<Relation>,
    /// The packager's own texts around our scripts.
    pub scripts: BTreeMap<When, Texts>,
    /// Native fields, over the target's.
    pub fields: BTreeMap<String, String>,
    /// The package of each driver that `BUILD_DEPENDS` may name; nothing where none is needed.
    pub build_depends: BTreeMap<String, Option<Relation>>,
    /// When the initramfs is made anew, where the user says so.
    pub initramfs: Option<Initramfs>,
    /// Which kernels' modules share a package.
    pub grouping: Grouping,
    /// What is said, where packages for a range of kernels leave one without modules.
    pub guard: Guard,
    /// Whether debug information is packaged.
    pub debug: bool,
    /// The release that source packages are uploaded for, instead of the target's.
    pub distribution: Option<String>,
    /// See [`crate::package::Source::made_on`].
    pub made_on: Option<Arch>,
    /// What signed modules are judged by, for machines to trust.
    pub certificates: Vec<VendorCertificate>,
    /// Files of the tree that belong to modules.
    #[serde(serialize_with = "as_text")]
    pub files: FilesConfig,
    /// What is set for modules.
    #[serde(serialize_with = "as_text")]
    pub modules: ModulesConfig,
}

/// A certificate of X.509 that the packager's modules are judged by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VendorCertificate {
    /// Of letters, digits and `-`.
    pub name: String,
    /// In hexadecimal digits.
    pub sha1: String,
    pub der: Vec<u8>,
}

/// For keys only: tables of kpkg.toml that are never written.
fn as_text<S: serde::Serializer>(value: &impl std::fmt::Debug, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:?}"))
}

/// How the user wants packages compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum AskedCompression {
    This(Compression),
    /// As fast as the target reads.
    Fastest,
}

/// Texts around one of our scripts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Texts {
    /// Runs first.
    pub before: String,
    /// Runs last.
    pub after: String,
}

impl Request {
    /// Merges command line and configuration for a format; `read` gives the text of a script named in the configuration.
    pub fn new(
        options: &CommandLine,
        config: &Config,
        format: &str,
        read: &dyn Fn(&str) -> Result<String>,
    ) -> Result<Self> {
        let own = config.format.get(format).cloned().unwrap_or_default();
        let release = options.release.clone().or(own.release).or_else(|| config.packaging.release.clone());
        let compression =
            options.compression.clone().or(own.compression).or_else(|| config.packaging.compression.clone());
        let mut relations = parse_relations(config, &config.relations)?;
        relations.extend(parse_relations(config, &own.relations)?);
        Ok(Self {
            certificates: Vec::new(),
            package_name: own.package_name.or_else(|| config.driver.package_name.clone()),
            release: checked_release(config, release.unwrap_or_else(|| "1".to_owned()))?,
            compression: match compression.as_deref() {
                _ if options.fast => Some(AskedCompression::Fastest),
                Some(text) => {
                    let parsed = parse_compression(text).map_err(|error| match options.compression {
                        Some(_) => error,
                        None => config.placed(text, &error),
                    });
                    Some(AskedCompression::This(parsed?))
                }
                None => None,
            },
            on_build_failure: config.packaging.on_build_failure.unwrap_or_default(),
            build_depends: parse_build_depends(config, &own.relations)?,
            initramfs: options.initramfs.or(config.packaging.initramfs).or(config.prebuilt.initramfs),
            grouping: options.grouping(config),
            guard: config.prebuilt.kabi_guard,
            debug: options.debug,
            made_on: options.made_on.as_deref().and_then(Arch::of_machine),
            distribution: options.distribution.clone().map(checked_distribution).transpose()?,
            files: config.files.clone(),
            modules: checked_modules(config)?,
            relations,
            scripts: read_scripts(&config.scripts, read)?,
            fields: checked_fields(config, own.fields)?,
        })
    }
}

/// Both formats agree on letters, digits, `+`, `.` and `~` in a revision, but not on two dots in a row; whether there has to be one is
/// theirs to say.
fn checked_release(config: &Config, release: String) -> Result<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+.~".contains(&byte);
    if release.bytes().all(allowed) && !release.contains("..") {
        return Ok(release);
    }
    let message = format!("`{}` is no release", release.escape_debug());
    Err(config.refuse(&release, message, "use letters, digits, `+`, `.` and `~`, such as `--release 1`"))
}

/// It stands in a line of names; dpkg knows letters, digits, `+`, `-` and `.` there (deb-changelog(5)).
fn checked_distribution(name: String) -> Result<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
    if !name.is_empty() && name.bytes().all(allowed) {
        return Ok(name);
    }
    Err(Error::usage(format!("`{}` is no distribution", name.escape_debug()))
        .hint("name a release as its archive does, such as `--distribution unstable`"))
}

/// Names and parameters end in files that modprobe reads line by line; a backslash at the end would join two of them.
fn checked_modules(config: &Config) -> Result<ModulesConfig> {
    let modules = &config.modules;
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let names = modules.options.keys().chain(&modules.load);
    if let Some(name) = names.into_iter().find(|name| !is_name(name)) {
        let message = format!("`{}` under `[modules]` in kpkg.toml is no module", name.escape_debug());
        return Err(config.refuse(name, message, "use letters, digits, `_` and `-`"));
    }
    let is_line = |value: &str| !value.chars().any(char::is_control) && !value.ends_with('\\');
    if let Some(value) = modules.options.values().find(|value| !is_line(value)) {
        let message = format!("the options `{}` in kpkg.toml are more than one line", value.escape_debug());
        return Err(config.refuse(value, message, "write one line, without a backslash at its end"));
    }
    Ok(modules.clone())
}

/// Without blanks around values: some formats take them away. What each format does with a field is its own to say.
fn checked_fields(config: &Config, fields: BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let checked = |(name, value): (String, String)| {
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name || value.chars().any(char::is_control) {
            let shown = name.escape_debug();
            let message =
                format!("the field `{shown}` in kpkg.toml is not one line of text under a plain name");
            return Err(config.refuse(
                &name,
                message,
                "begin names with a letter; letters, digits and `-` may follow",
            ));
        }
        Ok((name, value.trim().to_owned()))
    };
    fields.into_iter().map(checked).collect()
}

fn parse_relations(config: &Config, own: &RelationsConfig) -> Result<Vec<Relation>> {
    let lists = [
        (RelationKind::Requires, &own.requires),
        (RelationKind::Recommends, &own.recommends),
        (RelationKind::Suggests, &own.suggests),
        (RelationKind::Conflicts, &own.conflicts),
        (RelationKind::Breaks, &own.breaks),
        (RelationKind::Replaces, &own.replaces),
        (RelationKind::Provides, &own.provides),
    ];
    let mut relations = Vec::new();
    for (kind, list) in lists {
        for text in list {
            relations.push(parse_relation(config, kind, text)?);
        }
    }
    Ok(relations)
}

fn parse_relation(config: &Config, kind: RelationKind, text: &str) -> Result<Relation> {
    Relation::parse(kind, text).ok_or_else(|| {
        let message = format!("`{}` is no relation", text.escape_debug());
        config.refuse(
            text,
            message,
            "write `name`, `name >= version` (or `<<`, `<=`, `=`, `>>`) or `one | other`",
        )
    })
}

/// The format's own count instead of the general ones.
fn parse_build_depends(config: &Config, own: &RelationsConfig) -> Result<BTreeMap<String, Option<Relation>>> {
    let given = config.relations.build_depends.iter().chain(&own.build_depends);
    let parse = |text: &String| parse_relation(config, RelationKind::Requires, text);
    given
        .map(|(name, text)| {
            Ok((name.clone(), Some(text).filter(|text| !text.is_empty()).map(parse).transpose()?))
        })
        .collect()
}

/// `CODEC` or `CODEC:LEVEL`.
pub fn parse_compression(text: &str) -> Result<Compression> {
    let (name, level) = text.split_once(':').map_or((text, None), |(name, level)| (name, Some(level)));
    let codec = Codec::ALL.into_iter().find(|codec| codec.name() == name).ok_or_else(|| {
        let names: Vec<_> = Codec::ALL.iter().map(|codec| codec.name()).collect();
        Error::usage(format!("`{name}` is no codec")).hint(format!("known are {}", names.join(", ")))
    })?;
    let levels = codec.levels();
    let level = match level {
        None => codec.default_level(),
        Some(level) => level.parse().ok().filter(|level| levels.contains(level)).ok_or_else(|| {
            Error::usage(format!("`{level}` is no level of {name}")).hint(format!(
                "{name} has the levels {} to {}",
                levels.start(),
                levels.end()
            ))
        })?,
    };
    Ok(Compression { codec, level })
}

fn read_scripts(
    config: &ScriptsConfig,
    read: &dyn Fn(&str) -> Result<String>,
) -> Result<BTreeMap<When, Texts>> {
    let all: [(When, &Around); 5] = [
        (When::BeforeInstall, &config.before_install),
        (When::AfterInstall, &config.after_install),
        (When::BeforeRemove, &config.before_remove),
        (When::AfterRemove, &config.after_remove),
        (When::AfterTransaction, &config.after_transaction),
    ];
    let text = |file: &Option<String>| file.as_deref().map_or_else(|| Ok(String::new()), read);
    let mut scripts = BTreeMap::new();
    for (when, around) in all {
        if *around != Around::default() {
            scripts.insert(when, Texts { before: text(&around.before)?, after: text(&around.after)? });
        }
    }
    Ok(scripts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions_are_a_codec_and_a_level_it_has() {
        assert_eq!(parse_compression("xz").unwrap(), Compression { codec: Codec::Xz, level: 6 });
        assert_eq!(parse_compression("zstd:3").unwrap(), Compression { codec: Codec::Zstd, level: 3 });
        for bad in ["", "lzma", "xz:10", "gzip:0", "zstd:x", "none:1"] {
            assert!(parse_compression(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_initramfs_is_asked_for_on_the_command_line_then_in_general_then_for_prebuilt_packages() {
        let read = |_: &str| Ok(String::new());
        let asked = |text: &str, initramfs| {
            let config = Config::parse(std::path::Path::new("kpkg.toml"), text, &["deb"]).unwrap();
            Request::new(&CommandLine { initramfs, ..CommandLine::default() }, &config, "deb", &read)
                .unwrap()
                .initramfs
        };
        let prebuilt = "[prebuilt]\ninitramfs = \"never\"\n";
        let both = format!("[packaging]\ninitramfs = \"always\"\n{prebuilt}");
        assert_eq!(asked("", None), None);
        assert_eq!(asked(prebuilt, None), Some(Initramfs::Never));
        assert_eq!(asked(&both, None), Some(Initramfs::Always));
        assert_eq!(asked(&both, Some(Initramfs::Auto)), Some(Initramfs::Auto));
    }

    #[test]
    fn a_format_counts_more_than_the_general_keys_and_the_command_line_most() {
        let text = "[packaging]\nrelease = \"2\"\n[format.deb]\nrelease = \"3\"\n[format.deb.relations]\nrequires = [\"a\"]\n\
                    [relations]\nrequires = [\"b >= 1\"]\n";
        let config = Config::parse(std::path::Path::new("kpkg.toml"), text, &["deb", "rpm"]).unwrap();
        let read = |_: &str| Ok(String::new());
        let request = |options: &CommandLine, format| Request::new(options, &config, format, &read).unwrap();
        assert_eq!(request(&CommandLine::default(), "rpm").release, "2");
        assert_eq!(request(&CommandLine::default(), "deb").release, "3");
        assert_eq!(
            request(&CommandLine { release: Some("4".into()), ..CommandLine::default() }, "deb").release,
            "4"
        );
        assert_eq!(request(&CommandLine::default(), "deb").relations.len(), 2);
        assert_eq!(request(&CommandLine::default(), "rpm").relations.len(), 1);
    }
}
