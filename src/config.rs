//! `kpkg.toml`: the facts that dkms.conf has no place for.
//!
//! Optional, and so is every key; an unknown key or a wrong type is an error with line, column and the nearest known key. Only
//! reads: what the keys mean is the plan's business.

pub mod request;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::base::diagnostic::{Code, Diagnostic, Place, SourceText};
use crate::base::error::{Error, Result, nearest, nearest_in};
use request::Grouping;

/// The file's name, beside dkms.conf.
pub const FILE_NAME: &str = "kpkg.toml";

/// A whole `kpkg.toml`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// What the driver is.
    pub driver: DriverConfig,
    /// Which files are its source.
    pub source: SourceConfig,
    /// How it is packaged.
    pub packaging: PackagingConfig,
    /// How prebuilt packages are made.
    pub prebuilt: PrebuiltConfig,
    /// Who signs compiled modules, unless the command line says it.
    pub sign: SignConfig,
    /// Files of the tree that belong to its modules.
    pub files: FilesConfig,
    /// What is set for its modules.
    pub modules: ModulesConfig,
    /// The kernels that compiled modules are for: `debian-12`, `debian-12:cloud`, `rhel-9:>=5.14.0-427`,
    /// `ubuntu-24.04:generic/latest-3`. kernels.lock has those of their targets.
    pub kernels: Vec<String>,
    /// Where the packages of a target's kernels are listed, by target or distribution: `debian-12 = "https://HOST/PATH"`, the address that
    /// the archive's folder is below, or `file:PATH`.
    pub mirrors: BTreeMap<String, MirrorConfig>,
    /// Packages of kernel headers by target: files, folders of them, or addresses. Lists are read beside them where `mirrors` names one.
    pub kernel_packages: BTreeMap<String, Vec<String>>,
    /// Where builds of a plan run (`kpkg matrix`).
    pub ci: CiConfig,
    /// The version of this file's form, 1; without it, 1.
    pub schema: Option<u32>,
    /// What its packages need, offer and exclude, beside what the distribution wants.
    pub relations: RelationsConfig,
    /// Scripts of the packager's own, around ours.
    pub scripts: ScriptsConfig,
    /// The same keys for one format only, by format: `[format.deb]`, `[format.rpm.relations]`.
    pub format: BTreeMap<String, FormatConfig>,
    #[serde(skip)]
    #[schemars(skip)]
    file: File,
}

/// The file that was read; two that say the same are equal wherever they lie.
#[derive(Debug, Clone, Default)]
struct File(Option<Arc<SourceText>>);

impl PartialEq for File {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Where builds of a plan run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CiConfig {
    /// The container that is built in, by target: `{ debian-12 = "debian:12" }`; without one, the machine as it is.
    pub images: BTreeMap<String, String>,
    /// The label of machines, by the machine as `uname -m` names it: `{ aarch64 = "ubuntu-24.04-arm" }`.
    pub runners: BTreeMap<String, String>,
    /// A command that installs kpkg and a compiler where jobs run; without one they are there.
    pub setup: Option<String>,
}

/// A mirror, by its address or with more about it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "AnyMirror")]
#[schemars(with = "AnyMirror")]
pub struct MirrorConfig {
    /// The address that the folders of archives are below.
    pub url: Option<String>,
    /// The addresses of single archives, by their folder.
    pub archives: BTreeMap<String, String>,
    /// The public keys that its lists are judged by.
    pub keyring: Option<PathBuf>,
    /// Whether lists that nobody signed are taken.
    pub unsigned: bool,
}

/// The ways to write one.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected an address, or a table with `url`, `archives`, `keyring`, `unsigned`"
)]
enum AnyMirror {
    /// The address that the folders of archives are below.
    Url(String),
    /// More about it.
    Table(MirrorTable),
}

/// A mirror with more about it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MirrorTable {
    /// The address that the folders of archives are below.
    url: Option<String>,
    /// The addresses of single archives, by their folder: `{ debian-security = "https://HOST/PATH" }`.
    #[serde(default)]
    archives: BTreeMap<String, String>,
    /// A file of the public keys that its lists are judged by, as gpgv takes it; without it those that the machine's apt trusts.
    keyring: Option<PathBuf>,
    /// Whether lists that nobody signed are taken.
    #[serde(default)]
    unsigned: bool,
}

impl From<AnyMirror> for MirrorConfig {
    fn from(any: AnyMirror) -> Self {
        match any {
            AnyMirror::Url(url) => Self { url: Some(url), ..Self::default() },
            AnyMirror::Table(MirrorTable { url, archives, keyring, unsigned }) => {
                Self { url, archives, keyring, unsigned }
            }
        }
    }
}

/// What the driver is.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DriverConfig {
    /// Its name, instead of `PACKAGE_NAME`.
    pub name: Option<String>,
    /// Its version, instead of `PACKAGE_VERSION`.
    pub version: Option<String>,
    /// Its modules, as `NAME` or `FOLDER/NAME` below the source's root, instead of those of dkms.conf.
    pub modules: Vec<String>,
    /// Texts of dkms.conf that are replaced in the package, such as the markers of a template: `{ "@CFLAGS@" = "-O2" }`. A marker
    /// that is the version of a source is replaced there as well; `$PACKAGE_VERSION` is the package's version there.
    pub substitute: BTreeMap<String, String>,
    /// One line for package lists.
    pub summary: Option<String>,
    /// Paragraphs separated by an empty line.
    pub description: Option<String>,
    /// An SPDX expression.
    pub license: Option<String>,
    /// Copyright notices, one an element: `2020 Jane Doe <jane@example.com>`.
    pub copyright: Vec<String>,
    /// `Name <address>`: who answers for the packages.
    pub maintainer: Option<String>,
    /// An address.
    pub homepage: Option<String>,
    /// The package's name without suffix, where it shall not be made from `PACKAGE_NAME`.
    pub package_name: Option<String>,
}

/// Which files are its source.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SourceConfig {
    /// The folder that becomes `/usr/src/NAME-VERSION`, relative to this file; `.` is the file's own.
    pub root: Option<String>,
    /// What lies elsewhere in the package than in the tree, both relative to the root: `{ "drbd/" = "src/drbd/" }` moves a folder,
    /// `{ "conf/*" = "." }` what is in a folder to the root, `{ "Makefile.oot" = "Makefile" }` a file.
    pub map: BTreeMap<String, String>,
    /// Patterns of files to leave out, in the notation of `.gitignore`.
    pub exclude: Vec<String>,
    /// Patterns of files that stay although kpkg would leave them out, in the notation of `.gitignore`.
    pub include: Vec<String>,
}

/// How it is packaged.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PackagingConfig {
    /// The revision of the package: `1` in `1.2-1`.
    pub release: Option<String>,
    /// The targets to package for when the command line names none.
    pub targets: Vec<String>,
    /// `CODEC` or `CODEC:LEVEL`.
    pub compression: Option<String>,
    /// Whether a module that does not build makes the package's installation fail.
    pub on_build_failure: Option<OnBuildFailure>,
    /// When the initramfs of a kernel is made anew after its modules have changed, of source-only and of prebuilt packages; without
    /// the key always where dkms.conf has `REMAKE_INITRD`, else `auto`.
    pub initramfs: Option<Initramfs>,
}

/// How prebuilt packages are made.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PrebuiltConfig {
    /// The same as `initramfs` under `[packaging]`, which counts more.
    pub initramfs: Option<Initramfs>,
    /// Which kernels share a package, as `--group` says it.
    pub group: Option<Grouping>,
    /// Another way to name packages, where a target has one: Ubuntu's `linux-modules`, for `linux-modules-NAME-KERNEL`.
    pub naming: Option<String>,
    /// With `group = "kabi"` or `"flavour"`: the kernels to build for, each as long as it serves one; the oldest of those that none of them
    /// serves is another one. A run prints the line.
    pub bases: Vec<String>,
    /// Whether another minor release or variant of a kernel is served where all checksums are the same.
    pub across_minors: bool,
    /// What the metapackage of `group = "kabi"` does for kernels without a module of the driver: it says which, at the end of a transaction.
    pub kabi_guard: Guard,
}

/// What is said of kernels without a module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Guard {
    /// Nothing.
    Off,
    /// Which kernel has none, and what to do.
    #[default]
    Warn,
    /// That too, and the package that `kpkg guard` writes comes along, which holds such kernels back.
    Hold,
}

/// Who signs compiled modules (`--prebuilt`).
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct SignConfig {
    /// Private keys, PEM or DER, as paths from this file's folder, or `pkcs11:`; several sign together, in one message:
    /// `["/etc/keys/vendor.pem"]`.
    pub modules: Vec<String>,
    /// The certificate of each key, in their order.
    pub certificates: Vec<String>,
    /// Whether the certificates go into the signatures, for those below a CA that is enrolled on the machines.
    pub embed_certificate: bool,
    /// The certificate of that CA, which is packaged for machines to enrol instead of those of the keys.
    pub ca_certificate: Option<String>,
    /// Whether there is a package of the certificates, for machines to enrol.
    pub certificate_package: bool,
}

impl Default for SignConfig {
    fn default() -> Self {
        Self {
            modules: Vec::new(),
            certificates: Vec::new(),
            embed_certificate: false,
            ca_certificate: None,
            certificate_package: true,
        }
    }
}

/// Whether the initramfs of a kernel is made anew when its modules change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Initramfs {
    /// Where it holds a module of that name.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Files of the tree that belong to modules, as paths below the source's root; a folder stands for all files in it, which keep
/// their place below it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FilesConfig {
    /// Firmware.
    pub firmware: Vec<FileConfig>,
    /// Rules of udev.
    pub udev: Vec<FileConfig>,
    /// Entries for udev's hardware database.
    pub hwdb: Vec<FileConfig>,
    /// Configuration of modprobe.
    pub modprobe: Vec<FileConfig>,
    /// Lists of modules to load when the machine starts.
    pub modules_load: Vec<FileConfig>,
    /// Configuration of depmod.
    pub depmod: Vec<FileConfig>,
    /// Units of systemd; installed, not enabled.
    pub systemd: Vec<FileConfig>,
    /// What initramfs-tools reads, below its folder: `{ path = "hook", name = "hooks/toy" }`. Hooks and scripts are executable;
    /// packages for systems that never have it leave it out.
    pub initramfs_tools: Vec<FileConfig>,
    /// Modules of dracut, each a folder such as `90toy`.
    pub dracut: Vec<FileConfig>,
}

/// A path of the tree, or one with the name that it gets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(untagged, expecting = "expected a path, or a table with `path` and `name`")]
pub enum FileConfig {
    /// The path below the source's root.
    Path(String),
    /// A path whose name on the target is another one.
    Named(NamedFile),
}

/// A path whose name on the target is another one: `{ path = "modprobe.conf", name = "toy.conf" }`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedFile {
    /// The path below the source's root.
    pub path: String,
    /// Its path below the folder that its kind goes to.
    pub name: String,
}

impl FileConfig {
    /// The path below the source's root.
    #[must_use]
    pub fn path(&self) -> &str {
        let (Self::Path(path) | Self::Named(NamedFile { path, .. })) = self;
        path.trim_start_matches("./").trim_end_matches('/')
    }

    /// The name it gets, where that is not its own.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Path(_) => None,
            Self::Named(file) => Some(&file.name),
        }
    }
}

/// What is set for modules.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ModulesConfig {
    /// Parameters by module: `{ toy = "debug=1 mode=2" }`.
    pub options: BTreeMap<String, String>,
    /// Modules to load when the machine starts.
    pub load: Vec<String>,
}

/// What the installation does when the driver does not build for a kernel that has headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnBuildFailure {
    /// Says so, keeps the module that worked, and succeeds.
    #[default]
    Keep,
    /// Says so, keeps the module that worked, and fails where the format lets it.
    Fail,
}

/// What packages need, offer and exclude: `name`, `name >= version`, `one | other`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RelationsConfig {
    /// Must be there.
    pub requires: Vec<String>,
    /// Installed unless the user says otherwise.
    pub recommends: Vec<String>,
    /// Offered to the user.
    pub suggests: Vec<String>,
    /// Cannot be installed at the same time.
    pub conflicts: Vec<String>,
    /// Do not work beside it, though both may be unpacked (`Breaks`, Debian Policy 7.3); where a format does not tell these, as if it
    /// conflicted.
    pub breaks: Vec<String>,
    /// Takes the place of an installed package, such as one of an earlier name; where `breaks` names the same, of its files only (Debian
    /// Policy 7.6.1).
    pub replaces: Vec<String>,
    /// Is an answer to another package's need.
    pub provides: Vec<String>,
    /// The packages of drivers that `BUILD_DEPENDS` in dkms.conf names, by the name that stands there: `{ spl = "spl-dkms" }`. The
    /// source-only package then needs it; an empty one says that none is needed. Drivers of the same run need no entry.
    pub build_depends: BTreeMap<String, String>,
}

/// Scripts around ours, for `/bin/sh`, as paths below the driver's folder.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ScriptsConfig {
    /// Before the files are unpacked.
    pub before_install: Around,
    /// After the files are unpacked.
    pub after_install: Around,
    /// Before the files are deleted.
    pub before_remove: Around,
    /// After the files are deleted.
    pub after_remove: Around,
    /// At the end of the transaction, where the format has such a moment.
    pub after_transaction: Around,
}

impl ScriptsConfig {
    /// The paths.
    pub fn files(&self) -> impl Iterator<Item = &String> {
        let all = [
            &self.before_install,
            &self.after_install,
            &self.before_remove,
            &self.after_remove,
            &self.after_transaction,
        ];
        all.into_iter().flat_map(|around| [&around.before, &around.after]).flatten()
    }
}

/// Files whose text goes before and after our work in a script.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Around {
    /// Runs first.
    pub before: Option<String>,
    /// Runs last.
    pub after: Option<String>,
}

/// Keys for one format only; they count instead of the general ones, relations in addition to them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct FormatConfig {
    /// The package's name without suffix.
    pub package_name: Option<String>,
    /// The revision of the package.
    pub release: Option<String>,
    /// `CODEC` or `CODEC:LEVEL`.
    pub compression: Option<String>,
    /// In addition to the general ones.
    pub relations: RelationsConfig,
    /// Native fields, verbatim: `Section = "misc"`.
    pub fields: BTreeMap<String, String>,
}

/// The findings of this layer.
pub const CODES: &[&Code] = &[&BAD_CONFIG];

const BAD_CONFIG: Code = Code {
    id: "K0601",
    title: "kpkg.toml cannot be used",
    explanation: "The file is not TOML, or holds a key, a type or a value that kpkg does not know. All keys are optional; the\n\
                  JSON schema `kpkg.schema.json` lists them, and editors can check the file against it.",
};

impl DriverConfig {
    /// Refuses what would be something else than text in the dkms.conf that it ends in.
    fn check(&self, source: &Arc<SourceText>) -> Result<()> {
        let refuse = |text: &str, message: &str| {
            let span = source.text.find(text).map(|start| start..start + text.len());
            Err(bad(source, span, message, None))
        };
        for (key, value) in &self.substitute {
            if key.len() < 3 || key.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return refuse(
                    key,
                    &format!("`{key}` is no word that could be replaced: three characters, no blanks"),
                );
            }
            if let Some(wrong) = unsafe_in_bash(value) {
                return refuse(
                    value,
                    &format!("the value of `{key}` has `{wrong}`, which bash does not take as text"),
                );
            }
        }
        for module in &self.modules {
            let part = |part: &str| {
                !matches!(part, "" | "." | "..")
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte))
            };
            if !module.split('/').all(part) || module.starts_with('-') || module.ends_with(".ko") {
                return refuse(
                    module,
                    &format!("`{module}` is no module: write `NAME` or `FOLDER/NAME`, without `.ko`"),
                );
            }
        }
        Ok(())
    }
}

/// What of a text is more than text where it stands in double quotes, in single ones or in none, but for a plain `$NAME`.
#[must_use]
pub fn unsafe_in_bash(value: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || " _-+.,:/=@%^~{}$".contains(c);
    if let Some(wrong) = value.chars().find(|c| !allowed(*c)) {
        return Some(wrong.escape_debug().to_string());
    }
    let plain = |rest: &str| {
        let inside =
            rest.strip_prefix('{').map_or(Some(rest), |rest| rest.split_once('}').map(|(name, _)| name));
        let name = inside.unwrap_or_default();
        let is_braced = rest.starts_with('{');
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && (!is_braced || name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
    };
    value
        .match_indices('$')
        .find(|(at, _)| !plain(&value[at + 1..]))
        .map(|(at, _)| value[at..].chars().take(3).collect())
}

impl Config {
    /// Reads a file's text; `formats` are the names that may stand after `format.`.
    pub fn parse(path: &Path, text: &str, formats: &[&str]) -> Result<Self> {
        let source = Arc::new(SourceText { path: path.to_owned(), text: text.to_owned() });
        let mut config: Self = toml::from_str(text)
            .map_err(|error| bad(&source, error.span(), error.message(), nearest_in(error.message(), &[])))?;
        config.driver.check(&source)?;
        if let Some(schema) = config.schema.filter(|schema| *schema != 1) {
            let message = format!("schema {schema} is one of another version of kpkg; this one knows 1");
            return Err(bad(&source, span_of_key(&source.text, "schema"), &message, None));
        }
        for pattern in config.source.exclude.iter().chain(&config.source.include) {
            let unclosed = pattern.rfind('[').is_some_and(|at| !pattern[at..].contains(']'));
            if unclosed && !pattern.contains("\\[") {
                let message = format!("`{}` is no pattern: its `[` has no end", pattern.escape_debug());
                let span = DeTable::parse(&source.text)
                    .ok()
                    .and_then(|table| span_in_table(table.get_ref(), pattern));
                return Err(bad(&source, span, &message, None));
            }
        }
        for format in config.format.keys() {
            if !formats.contains(&format.as_str()) {
                let message = format!("unknown format `{format}`, expected one of {}", formats.join(", "));
                let span =
                    text.find(&format!("format.{format}")).map(|start| start + 7..start + 7 + format.len());
                return Err(bad(&source, span, &message, nearest(format, formats)));
            }
        }
        config.file = File(Some(source));
        Ok(config)
    }

    /// Where a text stands in the file, as a value or as a key.
    #[must_use]
    pub fn place_of(&self, text: &str) -> Option<Place> {
        let source = self.file.0.as_ref()?;
        let table = DeTable::parse(&source.text).ok()?;
        let span = span_in_table(table.get_ref(), text)?;
        Some(Place::new(source, span))
    }

    /// An error about a text, at its place where the file has it.
    #[must_use]
    pub fn refuse(&self, text: &str, message: impl Into<String>, hint: &str) -> Error {
        match self.place_of(text) {
            Some(place) => {
                Error::diagnostics(vec![Diagnostic::error(&BAD_CONFIG, message).at(place).hint(hint)])
            }
            None => Error::usage(message).hint(hint),
        }
    }

    /// The same error, at the place of the text that it is about, where the file has it.
    #[must_use]
    pub fn placed(&self, text: &str, error: &Error) -> Error {
        self.refuse(text, error.to_string(), error.hint_text().unwrap_or_default())
    }

    /// The JSON schema of the file.
    #[must_use]
    pub fn schema() -> String {
        let mut schema = schemars::schema_for!(Self);
        schema.insert("$id".to_owned(), "urn:kpkg:schema:kpkg.toml:1".into());
        let mut text = serde_json::to_string_pretty(schema.as_value()).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// The place of a key at the top.
fn span_of_key(text: &str, name: &str) -> Option<Range<usize>> {
    let table = DeTable::parse(text).ok()?;
    table.get_ref().keys().find(|key| key.get_ref() == name).map(Spanned::span)
}

/// The place of a text among the keys and values of a table.
fn span_in_table(table: &DeTable<'_>, text: &str) -> Option<Range<usize>> {
    table.iter().find_map(
        |(key, value)| {
            if key.get_ref() == text { Some(key.span()) } else { span_in_value(value, text) }
        },
    )
}

fn span_in_value(value: &Spanned<DeValue<'_>>, text: &str) -> Option<Range<usize>> {
    match value.get_ref() {
        DeValue::String(found) => (found.trim() == text.trim()).then(|| value.span()),
        DeValue::Array(values) => values.iter().find_map(|value| span_in_value(value, text)),
        DeValue::Table(table) => span_in_table(table, text),
        _ => None,
    }
}

fn bad(
    source: &Arc<SourceText>,
    span: Option<Range<usize>>,
    message: &str,
    nearest: Option<String>,
) -> Error {
    let mut diagnostic = Diagnostic::error(&BAD_CONFIG, message.replace('\n', " "));
    if let Some(span) = span {
        diagnostic = diagnostic.at(Place::new(source, span));
    }
    if let Some(nearest) = nearest {
        diagnostic = diagnostic.hint(format!("did you mean `{nearest}`?"));
    }
    Error::diagnostics(vec![diagnostic])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config> {
        Config::parse(Path::new("kpkg.toml"), text, &["deb", "rpm"])
    }

    #[test]
    fn every_key_is_optional() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_has_a_place_and_the_nearest_known_one() {
        for (text, place, hint) in [
            ("[driver]\nlicence = \"MIT\"\n", (2, 1), "did you mean `license`?"),
            ("[format.bed]\nrelease = \"1\"\n", (1, 9), "did you mean `deb`?"),
            ("[packaging]\non-build-failure = \"kep\"\n", (2, 20), "did you mean `keep`?"),
        ] {
            let error = parse(text).unwrap_err();
            let found = &error.findings()[0];
            assert_eq!(found.place.as_ref().unwrap().line_column(), place, "{text}");
            assert_eq!(found.hint.as_deref(), Some(hint), "{text}");
        }
    }

    #[test]
    fn what_ends_in_dkms_conf_is_text_only() {
        let substitute =
            |value: &str| parse(&format!("[driver]\nsubstitute = {{ \"@X@\" = '''{value}''' }}\n"));
        for good in ["", "-O2 -DX=1", "${kernelver}", "$PACKAGE_VERSION/x", "a{b,c}"] {
            assert!(substitute(good).is_ok(), "{good}");
        }
        for bad in [
            "\"", "`id`", "$(id)", "a\\\\b", "a'b", "a\nb", "a; b", "${x:-y}", "${x[0]}", "$", "a|b", "a>b",
            "é",
        ] {
            assert!(substitute(bad).is_err(), "{bad}");
        }
        for bad in ["../x", "/x", "a b", "x.ko", "-x", "$(x)", "a//b", ""] {
            let error = parse(&format!("[driver]\nmodules = [\"{bad}\"]\n")).unwrap_err();
            assert!(error.findings()[0].place.is_some() || bad.is_empty(), "{bad}");
        }
        assert!(parse("[driver]\nmodules = [\"a\", \"src/b-c\"]\nsubstitute = { ab = \"\" }\n").is_err());
    }

    #[test]
    fn a_wrong_type_has_a_place() {
        let error = parse("[driver]\nversion = 3\n").unwrap_err();
        assert_eq!(error.findings()[0].place.as_ref().unwrap().line_column(), (2, 11));
    }
}
