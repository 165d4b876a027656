//! What a driver's tree says its version is, beside dkms.conf: git, the sources, build files, packaging, the folder's name.
//!
//! Only reads, and decides nothing: the first claim is the one that counts, and who asks says which it was.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use bstr::ByteVec;

use crate::input::source::{self, SourceFile, SourceKind};

/// A version and who says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The version, without a `v` in front.
    pub version: String,
    /// In words: `git describe`, `MODULE_VERSION in src/toy.c`.
    pub from: String,
    /// Whether it goes on where the others end, as the name of a release candidate's archive does.
    pub says_more: bool,
    /// Whether nothing says a version, and it is made of the newest commit.
    pub is_made: bool,
}

impl Claim {
    fn new(version: String, from: String) -> Self {
        Self { version, from, says_more: false, is_made: false }
    }
}

/// What a tree says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Every claim, in the order in which they count.
    pub all: Vec<Claim>,
    /// Two tags of other components, where the tags of the repository are of several and none is of this driver.
    pub foreign_tags: Vec<String>,
}

impl Claims {
    /// Those that say something else than the first.
    #[must_use]
    pub fn differing(&self) -> Vec<&Claim> {
        let Some((first, others)) = self.all.split_first() else { return Vec::new() };
        let says_so = |other: &Claim| {
            agree(&other.version, &first.version)
                || first.says_more && goes_on(&first.version, &other.version)
        };
        others.iter().filter(|other| !says_so(other)).collect()
    }
}

/// Where to look.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The driver's folder as the user gave it.
    pub folder: &'a Path,
    /// The root of the source, in it.
    pub root: &'a Path,
    /// The files of the source.
    pub files: &'a [SourceFile],
    /// The names of the modules.
    pub modules: &'a [String],
    /// The name that the folder had, where it is an unpacked archive or a commit.
    pub folder_name: Option<&'a str>,
    /// The name of the archive, without its ending.
    pub archive: Option<&'a str>,
    /// The dkms.conf, where `dh_dkms` fills it with the upstream version of debian/changelog.
    pub template: Option<&'a Path>,
}

/// How much of a file is read.
const BYTES: u64 = 512 << 10;
/// How many source files are looked into.
const FILES: usize = 400;
/// How many of the driver's folder and those above it may be called like a component.
const FOLDERS: usize = 3;

/// Finds a version in the text of a file.
type Reader = fn(&str) -> Option<String>;

/// The changelog of a Debian package.
const CHANGELOG: &str = "debian/changelog";

/// Every claim, in the order in which they count.
#[must_use]
pub fn claims(places: &Places<'_>) -> Claims {
    let (of_git, foreign_tags) = git(places);
    let mut claims = Vec::from_iter(of_git);
    claims.extend(module_version(places));
    claims.extend(defined_version(places));
    let folders =
        if places.root == places.folder { vec![places.root] } else { vec![places.root, places.folder] };
    let files: [(&str, Reader); 7] = [
        ("Makefile", makefile),
        ("configure.ac", configure),
        ("VERSION", first_line),
        ("version", first_line),
        ("VERSION.txt", first_line),
        (".version", first_line),
        (CHANGELOG, changelog),
    ];
    for (name, find) in files {
        let text = folders.iter().find_map(|folder| read_text(&folder.join(name)));
        let version = text.and_then(|text| find(&text));
        claims.extend(version.map(|version| Claim::new(version, format!("`{name}`"))));
    }
    claims.extend(folders.iter().find_map(|folder| spec(folder)));
    let names = names(places);
    let more = claims.first().and_then(|first| {
        let goes_on = |name: &&Claim| goes_on(&name.version, &first.version);
        let of_archive = names.iter().filter(|_| places.archive.is_some());
        of_archive.filter(goes_on).max_by_key(|name| name.version.len()).cloned()
    });
    claims.extend(names.into_iter().filter(|name| more.as_ref() != Some(name)));
    if let Some(more) = more {
        claims.insert(0, Claim { says_more: true, ..more });
    }
    if let Some(template) = places.template {
        let beside = template.parent().and_then(|folder| read_text(&folder.join("changelog")));
        let beside = beside.and_then(|text| changelog(&text));
        let own = beside.map(|version| Claim::new(version, format!("`{CHANGELOG}`")));
        let at = claims.iter().position(|claim| claim.from == format!("`{CHANGELOG}`"));
        let listed = at.map(|at| claims.remove(at));
        if let Some(first) = own.or(listed) {
            claims.insert(0, first);
        }
    }
    if claims.is_empty() {
        claims.extend(newest_commit(places));
    }
    Claims { all: claims, foreign_tags }
}

/// Whether a version is another one with more behind it: `1.2.3-rc4` of `1.2.3`, not `1.23` of `1.2`.
fn goes_on(version: &str, other: &str) -> bool {
    let is_digit = |character: Option<char>| character.is_some_and(|character| character.is_ascii_digit());
    let Some(rest) = version.strip_prefix(other) else { return false };
    let is_same_number = is_digit(rest.chars().next()) && is_digit(other.chars().next_back());
    !rest.is_empty() && !is_same_number
}

/// Whether two claims say the same; what git counts after a tag is no contradiction.
#[must_use]
pub fn agree(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.split("+git").next().unwrap_or(text).replace(['_', '-'], ".");
    plain(one) == plain(other)
}

/// What a version may look like: a digit first, and characters that names of files and packages have.
#[must_use]
pub fn sane(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~-".contains(&byte);
    let good = text.starts_with(|first: char| first.is_ascii_digit())
        && text.len() <= 64
        && text.bytes().all(allowed)
        && text.bytes().last().is_some_and(|last| last.is_ascii_alphanumeric());
    good.then(|| text.to_owned())
}

/// A version, or one with words behind it: `1.9` of `V1.9 On 2025.12`.
fn leading(text: &str) -> Option<String> {
    sane(text).or_else(|| {
        let (word, _) = text.trim_start().split_once([' ', '\t'])?;
        word.contains('.').then(|| sane(word)).flatten()
    })
}

/// `v1.2`, `release-1.2`, `toy_1.2`, `rel/1.2`: the longest end of it that is a version.
fn version_of_tag(tag: &str) -> Option<String> {
    let tag = tag.rsplit('/').next()?;
    let ends = tag.match_indices(['-', '_']).map(|(at, _)| &tag[at + 1..]);
    std::iter::once(tag).chain(ends).find_map(|text| {
        // a name such as `v4l2loopback` goes on with letters
        let begins = text.split(['-', '_']).next()?.trim_start_matches(['v', 'V']);
        let rest = begins.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let words = ["alpha", "beta", "dev", "pre", "rc"];
        let letters = rest.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').to_ascii_lowercase();
        // `5.0+git20260123.5f7be68d-5` goes on with what was counted; `8821cu` is a chip
        let plausible = rest.is_empty()
            || rest.starts_with('+')
            || words.contains(&letters.as_str())
            || begins.contains('.') && rest.len() <= 5;
        if plausible { sane(text) } else { None }
    })
}

/// What a tag names beside the version: `ena_linux` of `ena_linux_2.17.0`, nothing of `v1.2` and `release-1.2`.
fn component_of(tag: &str) -> Option<String> {
    const PLAIN: [&str; 8] = ["final", "rel", "release", "stable", "tag", "v", "ver", "version"];
    let version = version_of_tag(tag)?;
    let tag = tag.rsplit('/').next()?;
    let before = tag.find(&version).map_or("", |at| &tag[..at]).to_ascii_lowercase();
    let words = before.split(['-', '_', '.']).filter(|word| !word.is_empty() && !PLAIN.contains(word));
    Some(words.collect::<Vec<_>>().join("_"))
}

/// Of the tags of several components those of this driver, which its modules, its folders or the repository are called like, and
/// those of no component. Where it is none of them, no tag says anything about it.
fn own_tags(tags: Vec<String>, names: &[String]) -> Vec<String> {
    let components: BTreeSet<String> = tags.iter().filter_map(|tag| component_of(tag)).collect();
    if components.len() <= 1 {
        return tags;
    }
    let plain = |name: &str| name.to_ascii_lowercase().replace(['-', '.'], "_");
    let matches = |component: &str, name: &str| {
        component == name
            || component.split('_').any(|word| word == name)
            || name.split('_').any(|word| word == component)
    };
    // the first name that a component has decides, those behind it between several: `ena_linux`, not `ena_freebsd`
    let mut named: BTreeSet<&String> = BTreeSet::new();
    for name in names.iter().map(|name| plain(name)) {
        let of_these = if named.is_empty() { components.iter().collect() } else { named.clone() };
        let is_own = |component: &&String| !component.is_empty() && matches(component, &name);
        let own: BTreeSet<&String> = of_these.into_iter().filter(is_own).collect();
        if !own.is_empty() {
            named = own;
        }
    }
    let is_own = |tag: &String| {
        component_of(tag).is_some_and(|component| component.is_empty() || named.contains(&component))
    };
    tags.into_iter().filter(is_own).collect()
}

/// What git says, and two tags of other components where there are only such.
fn git(places: &Places<'_>) -> (Option<Claim>, Vec<String>) {
    if is_in_archive(places) {
        return (None, Vec::new());
    }
    let foreign = RefCell::new(Vec::new());
    let claim = described(places, &foreign);
    (claim, foreign.into_inner())
}

fn described(places: &Places<'_>, foreign: &RefCell<Vec<String>>) -> Option<Claim> {
    let mut names = places.modules.to_vec();
    let inside = places.root.strip_prefix(places.folder).unwrap_or(Path::new(""));
    names.extend(inside.iter().rev().filter_map(|part| part.to_str().map(str::to_owned)));
    let own = fs::canonicalize(places.folder).ok();
    let above = own.iter().flat_map(|folder| folder.iter().rev().take(FOLDERS));
    names.extend(above.filter_map(|part| part.to_str().map(str::to_owned)));
    names.extend(places.folder_name.map(str::to_owned));
    let choose = |tags: Vec<String>| {
        let own = own_tags(tags.clone(), &names);
        if own.is_empty() {
            *foreign.borrow_mut() = of_two_components(tags);
        }
        own
    };
    let found = source::describe(places.root, &choose).ok()??;
    let version = version_of_tag(&found.tag)?;
    let version = match found.commits {
        0 => version,
        commits => format!("{version}+git{commits}.{}", found.commit),
    };
    let after = match found.commits {
        0 => String::new(),
        1 => ", 1 commit later".to_owned(),
        commits => format!(", {commits} commits later"),
    };
    Some(Claim::new(version, format!("`git describe` (tag `{}`{after})", found.tag)))
}

/// `0~git20251201.5426d39` of the day of the newest commit, which is below every version that may come; nothing of a shallow clone,
/// whose tags may not be there.
fn newest_commit(places: &Places<'_>) -> Option<Claim> {
    if is_in_archive(places) {
        return None;
    }
    let (time, commit) = source::newest_commit(places.root).ok()??;
    let day = jiff::Timestamp::from_second(time).ok()?.strftime("%Y%m%d");
    let version = format!("0~git{day}.{commit}");
    Some(Claim { is_made: true, ..Claim::new(version, "the newest commit's date".to_owned()) })
}

/// Whether the driver is an archive, which may be unpacked inside of somebody else's repository.
fn is_in_archive(places: &Places<'_>) -> bool {
    places.archive.is_some() && !places.folder.join(".git").exists()
}

/// The first tag of each of two components; nothing where there are no two.
fn of_two_components(tags: Vec<String>) -> Vec<String> {
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for tag in tags {
        if let Some(component) = component_of(&tag) {
            first.entry(component).or_insert(tag);
        }
    }
    if first.len() > 1 { first.into_values().take(2).collect() } else { Vec::new() }
}

fn read_text(path: &Path) -> Option<String> {
    Some(source::read_start(path, BYTES)?.into_string_lossy())
}

/// The texts of the sources with an ending, those named like a module first.
fn sources<'a>(places: &'a Places<'_>, endings: &'a [&str]) -> impl Iterator<Item = (&'a str, String)> {
    let plain = |name: &str| name.replace('-', "_");
    let stem = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        plain(name.rsplit_once('.').map_or(name, |(stem, _)| stem))
    };
    let mut files: Vec<_> =
        places.files.iter().filter(|file| endings.iter().any(|ending| file.path.ends_with(ending))).collect();
    files.sort_by_key(|file| {
        let stem = stem(&file.path);
        let named = places.modules.iter().any(|module| plain(module) == stem);
        let begins = places.modules.iter().any(|module| stem.starts_with(&plain(module)));
        (!named, !begins)
    });
    files.into_iter().take(FILES).filter_map(|file| match &file.kind {
        SourceKind::File { on_disk, .. } => Some((file.path.as_str(), read_text(on_disk)?)),
        _ => None,
    })
}

/// `MODULE_VERSION("1.2")`, or of a name that a `#define` gives a string.
fn module_version(places: &Places<'_>) -> Option<Claim> {
    for (path, text) in sources(places, &[".c"]) {
        for (at, _) in text.match_indices("MODULE_VERSION") {
            let Some(argument) = text[at + "MODULE_VERSION".len()..].trim_start().strip_prefix('(') else {
                continue;
            };
            let (argument, after) = argument.split_once(')').unwrap_or((argument, ""));
            let (argument, is_made) = match argument.trim().strip_prefix("__stringify(") {
                Some(inner) => (inner.trim(), true),
                None => (argument.trim(), false),
            };
            // `__stringify(MAJOR) "." __stringify(MINOR)`
            if is_made && !after.trim_start().starts_with(')') {
                continue;
            }
            let version = match argument.strip_prefix('"') {
                Some(literal) => literal.split('"').next().and_then(leading),
                None => definition(&text, argument).or_else(|| {
                    sources(places, &[".h", ".c"]).find_map(|(_, text)| definition(&text, argument))
                }),
            };
            if let Some(version) = version {
                return Some(Claim::new(version, format!("`MODULE_VERSION` in `{path}`")));
            }
        }
    }
    None
}

/// What a `#define` of exactly this name says.
fn definition(text: &str, name: &str) -> Option<String> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    text.lines()
        .filter_map(define)
        .find(|(defined, _)| *defined == name)
        .and_then(|(_, value)| leading(&value))
}

/// The name and the value, without quotes, of a `#define` line.
fn define(line: &str) -> Option<(&str, String)> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("define")?;
    let (name, value) = rest.trim_start().split_once([' ', '\t'])?;
    let value = value.split("/*").next().unwrap_or(value).split("//").next().unwrap_or(value).trim();
    Some((name, value.trim_matches('"').to_owned()))
}

/// `#define TOY_VERSION "1.2"` and the like in any source or header.
fn defined_version(places: &Places<'_>) -> Option<Claim> {
    let capital: Vec<_> =
        places.modules.iter().map(|module| module.replace('-', "_").to_ascii_uppercase()).collect();
    let is_name = |name: &str| {
        let stem = ["_STRING", "_STR", "_DESC"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let Some(owner) = stem.strip_suffix("VERSION") else { return false };
        let owner = owner.trim_end_matches('_');
        matches!(owner, "" | "DRV" | "DRIVER" | "MODULE" | "MOD" | "DRIVER_MODULE") || {
            let owner =
                owner.strip_suffix("_DRIVER").or_else(|| owner.strip_suffix("_MODULE")).unwrap_or(owner);
            capital.iter().any(|module| module == owner)
        }
    };
    for (path, text) in sources(places, &[".h", ".c"]) {
        for (name, value) in text.lines().filter_map(define) {
            if is_name(name)
                && value.contains('.')
                && let Some(version) = leading(&value)
            {
                return Some(Claim::new(version, format!("`#define {name}` in `{path}`")));
            }
        }
    }
    None
}

/// `VERSION = 1.2`; a kernel's `VERSION`, `PATCHLEVEL`, `SUBLEVEL` are none.
fn makefile(text: &str) -> Option<String> {
    const NAMES: [&str; 6] =
        ["VERSION", "DRIVER_VERSION", "DRV_VERSION", "MODULE_VERSION", "PACKAGE_VERSION", "DKMS_VERSION"];
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let name = name.trim_end_matches([':', '?', '+']).trim().trim_start_matches("export ").trim();
        let value = value.split('#').next().unwrap_or(value);
        if NAMES.contains(&name)
            && value.contains('.')
            && let Some(version) = sane(value)
        {
            return Some(version);
        }
    }
    None
}

/// The second argument of `AC_INIT`.
fn configure(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("AC_INIT(")?;
    let arguments = rest.split(')').next()?;
    sane(arguments.split(',').nth(1)?.trim().trim_matches(['[', ']', '"']))
}

fn first_line(text: &str) -> Option<String> {
    sane(text.lines().next()?)
}

/// `toy (2:1.2-3) unstable; …` without epoch and revision; deb-changelog(5).
fn changelog(text: &str) -> Option<String> {
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    let version = line.split_once('(')?.1.split_once(')')?.0;
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    sane(version.rsplit_once('-').map_or(version, |(upstream, _)| upstream))
}

/// `Version:` of the first spec file by name.
fn spec(folder: &Path) -> Option<Claim> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".spec") || name.ends_with(".spec.in"))
        .collect();
    names.sort();
    names.into_iter().find_map(|name| {
        let text = read_text(&folder.join(&name))?;
        let version = text.lines().find_map(|line| sane(line.strip_prefix("Version:")?))?;
        Some(Claim::new(version, format!("`{name}`")))
    })
}

/// What the name of the folder says, `toy-1.2`, and that of the archive where it is another one.
fn names(places: &Places<'_>) -> Vec<Claim> {
    let own = || fs::canonicalize(places.folder).ok()?.file_name()?.to_str().map(str::to_owned);
    let folder = places.folder_name.map(str::to_owned).or_else(own);
    let archive = places.archive.map(str::to_owned);
    let claim = |name: String| {
        let version = version_of_name(&name, places.archive.is_some())?;
        Some(Claim::new(version, format!("the name `{name}`")))
    };
    let mut claims: Vec<_> = [folder, archive].into_iter().flatten().filter_map(claim).collect();
    claims.dedup_by(|other, one| other.version == one.version);
    claims
}

/// `1.2` of `toy-1.2` and `toy_1.2-linux-x86_64`, where an archive is called so also of `v1.2`.
fn version_of_name(name: &str, is_archive: bool) -> Option<String> {
    let ends = name.match_indices(['-', '_']).map(|(at, _)| &name[at + 1..]);
    // `8821cu` is a chip, `3com` a company
    let plausible = |rest: &&str| {
        let word = rest.trim_start_matches('v').split(['.', '-', '_', '~', '+']).next().unwrap_or_default();
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
    };
    let whole = is_archive.then_some(name);
    whole.into_iter().chain(ends).filter(plausible).find_map(|text| sane(without_words(text)))
}

/// A text up to the first part that no version has: `1.2-rc1` of `1.2-rc1-linux-x86_64`.
fn without_words(text: &str) -> &str {
    const WORDS: [&str; 22] = [
        "a", "alpha", "b", "beta", "bzr", "cvs", "dev", "dfsg", "ds", "final", "g", "git", "hg", "k", "mr",
        "p", "patch", "post", "pre", "r", "rc", "svn",
    ];
    let is_of_version = |part: &str| {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let letters = rest.trim_end_matches(|c: char| c.is_ascii_digit()).to_ascii_lowercase();
        let hash = part.strip_prefix('g').unwrap_or(part);
        let is_hash = hash.len() >= 7 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        letters.is_empty()
            || WORDS.contains(&letters.as_str())
            || letters.len() == 1 && rest.len() < part.len()
            || is_hash
    };
    let mut start = 0;
    for part in text.split(['.', '-', '_', '~', '+']) {
        if start > 0 && !is_of_version(part) {
            return &text[..start - 1];
        }
        start += part.len() + 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims_of(name: &str, files: &[(&str, &str)]) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(name);
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        fs::create_dir_all(&root).unwrap();
        let selection = source::select(&root, &source::Filter::default()).unwrap();
        let places = Places {
            folder: &root,
            root: &root,
            files: &selection.files,
            modules: &["toy".to_owned()],
            folder_name: None,
            archive: None,
            template: None,
        };
        claims(&places).all.into_iter().map(|claim| (claim.version, claim.from)).collect()
    }

    fn first(files: &[(&str, &str)]) -> Option<String> {
        claims_of("driver", files).into_iter().next().map(|(version, _)| version)
    }

    #[test]
    fn every_place_is_looked_at_in_order() {
        let files = [
            ("toy.c", "MODULE_VERSION(\"1.1\");\n#define TOY_VERSION \"1.2\" /* x */\n"),
            ("Makefile", "VERSION := 1.3 # the version\n"),
            ("configure.ac", "AC_INIT([toy], [1.4], [x@y.z])\n"),
            ("VERSION", "v1.5\n"),
            ("debian/changelog", "toy (2:1.6-1-3) unstable; urgency=low\n"),
            ("toy.spec", "Name: toy\nVersion:  1.7\n"),
        ];
        let found = claims_of("toy-1.8", &files);
        let versions: Vec<_> = found.iter().map(|(version, _)| version.as_str()).collect();
        assert_eq!(versions, ["1.1", "1.2", "1.3", "1.4", "1.5", "1.6-1", "1.7", "1.8"]);
        assert_eq!(found[0].1, "`MODULE_VERSION` in `toy.c`");
        assert_eq!(found[7].1, "the name `toy-1.8`");
    }

    #[test]
    fn a_module_version_may_be_a_name() {
        let header = ("inc/toy.h", "#define OTHER \"9\"\n# define DRV_VER\t\"3.2.1-k\"\n");
        assert_eq!(first(&[("toy.c", "MODULE_VERSION(DRV_VER);"), header]).as_deref(), Some("3.2.1-k"));
        assert_eq!(first(&[("toy.c", "MODULE_VERSION(UNKNOWN);")]), None);
        let made = "#define A 1.2\nMODULE_VERSION(__stringify(A));";
        assert_eq!(first(&[("toy.c", made)]).as_deref(), Some("1.2"));
        let parts = "#define A 1\n#define B 2\nMODULE_VERSION(__stringify(A) \".\" __stringify(B));";
        assert_eq!(first(&[("toy.c", parts)]), None);
    }

    #[test]
    fn what_only_looks_like_a_version_is_none() {
        for text in [
            "#define API_VERSION \"1.2\"",
            "#define FW_VERSION \"1.2\"",
            "#define TOY_VERSION 3",
            "#define VERSION_DESC \"3 of 2020\"",
            "#define VERSION_DESC \"of 1.2\"",
            "MODULE_VERSION(\"\")",
        ] {
            assert_eq!(first(&[("toy.c", text)]), None, "{text}");
        }
        assert_eq!(first(&[("Makefile", "VERSION = 6\nPATCHLEVEL = 1\n")]), None);
        assert_eq!(first(&[("toy.spec", "Version: %{ver}\n")]), None);
        assert_eq!(first(&[("VERSION", "$(date)\n")]), None);
    }

    #[test]
    fn words_may_stand_behind_a_version() {
        for text in [
            "#define VERSION_DESC \"V1.9 On 2025.12\"",
            "#define X \"1.9 beta\"\nMODULE_VERSION(X);",
            "#define TOY_VERSION_STR \"1.9 (2025)\"",
            "MODULE_VERSION(\"1.9 of today\");",
        ] {
            assert_eq!(first(&[("toy.c", text)]).as_deref(), Some("1.9"), "{text}");
        }
    }

    #[test]
    fn an_archive_says_more_than_the_sources_or_contradicts_them() {
        let of = |archive: &str, source: &str| {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("toy.c"), source).unwrap();
            let selection = source::select(folder.path(), &source::Filter::default()).unwrap();
            let places = Places {
                folder: folder.path(),
                root: folder.path(),
                files: &selection.files,
                modules: &["toy".to_owned()],
                folder_name: Some("toy"),
                archive: Some(archive),
                template: None,
            };
            let claims = claims(&places);
            (claims.all[0].version.clone(), claims.differing().len())
        };
        for (archive, source, version, differing) in [
            ("toy-1.2.3-rc4", "1.2", "1.2.3-rc4", 0),
            ("toy-1.2.3-rc4", "1.2.3", "1.2.3-rc4", 0),
            ("toy-5.0+git20260123.5f7be68d", "5.0", "5.0+git20260123.5f7be68d", 0),
            ("v1.2rc4", "1.2", "1.2rc4", 0),
            ("toy-1.2-linux-x86_64", "1.2", "1.2", 0),
            ("toy-1.2_amd64", "1.2", "1.2", 0),
            ("toy-2.0", "1.2", "1.2", 1),
            ("toy-1.23", "1.2", "1.2", 1),
            ("toy-1", "1.2", "1.2", 1),
        ] {
            let source = format!("MODULE_VERSION(\"{source}\");");
            assert_eq!(of(archive, &source), (version.to_owned(), differing), "{archive} {source}");
        }
    }

    #[test]
    fn folders_give_their_version() {
        for (name, version) in [
            ("toy-1.8", Some("1.8")),
            ("dpdk-kmods-0~2022+git", Some("0~2022+git")),
            ("toy-v2", Some("2")),
            ("rtl-8821cu", None),
            ("net-3com", None),
        ] {
            assert_eq!(claims_of(name, &[]).pop().map(|(found, _)| found).as_deref(), version, "{name}");
        }
    }

    #[test]
    fn tags_give_their_version() {
        for (tag, version) in [
            ("v1.2", Some("1.2")),
            ("1.2.3-rc1", Some("1.2.3-rc1")),
            ("release-2.0", Some("2.0")),
            ("toy_4.5", Some("4.5")),
            ("rel/7.1", Some("7.1")),
            ("v4l2loopback-0.12", Some("0.12")),
            ("V20", Some("20")),
            ("v1.0_rc1", Some("1.0_rc1")),
            ("2.0rc1", Some("2.0rc1")),
            ("2.0-RC1", Some("2.0-RC1")),
            ("2.0alpha12", Some("2.0alpha12")),
            ("5.0+git20260123.5f7be68d-5", Some("5.0+git20260123.5f7be68d-5")),
            ("8821cu-5.4", Some("5.4")),
            ("one_linux_2.17.0", Some("2.17.0")),
            ("latest", None),
        ] {
            assert_eq!(version_of_tag(tag).as_deref(), version, "{tag}");
        }
    }

    #[test]
    fn tags_of_other_components_say_nothing() {
        let own = |tags: &[&str], names: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
            own_tags(owned(tags), &owned(names))
        };
        let two = ["one_linux_2.17.0", "two_linux_3.1.0", "two_linux_3.0.0"];
        assert_eq!(own(&two, &["two"]), ["two_linux_3.1.0", "two_linux_3.0.0"]);
        assert_eq!(own(&two, &["one", "two"]), ["one_linux_2.17.0"]);
        assert!(own(&two, &["three"]).is_empty());
        // the folder tells the platforms of one component apart
        let three = ["one_linux_2.17.0", "one_bsd_2.8.3", "two_linux_3.1.0"];
        assert_eq!(own(&three, &["one", "linux", "kernel"]), ["one_linux_2.17.0"]);
        assert_eq!(own(&three, &["one"]), ["one_linux_2.17.0", "one_bsd_2.8.3"]);
        // a name that was dropped later
        assert_eq!(own(&["toy-1.0", "v2.0"], &["toy"]), ["toy-1.0", "v2.0"]);
        assert_eq!(own(&["release-1.0", "v2.0"], &["x"]), ["release-1.0", "v2.0"]);
        assert_eq!(own(&["v4l2loopback-0.12"], &["other"]), ["v4l2loopback-0.12"]);
    }

    #[test]
    fn commits_after_a_tag_are_no_contradiction() {
        assert!(agree("1.2+git5.abc1234", "1.2"));
        assert!(agree("1.2-3", "1.2.3"));
        assert!(!agree("1.2", "1.3"));
    }
}
