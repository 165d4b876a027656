//! What a tree's own packaging says: its debian/ folder, its spec file, the install targets of its Makefiles, its install scripts.
//!
//! Reads texts as evidence and runs nothing. What a line cannot be known to mean is left out: no guess.

mod companions;
mod copies;
mod findings;
mod kpkg_toml;
mod layout;
mod own;

pub use companions::{Companion, companions};
pub use findings::{CODES, Evidence, findings};
pub use kpkg_toml::kpkg_toml;
pub use layout::layout;
pub use own::{Own, field_of, own, own_of, relations_of, script_tables, spec_relations};

use super::tree::read_start;
use crate::input::source::{SourceFile, SourceKind};

/// How much of one text is read.
const TEXT: usize = 256 << 10;
/// How many texts are read.
const TEXTS: usize = 200;

/// Gives the beginning of a file, of at most so many bytes.
pub type ReadStart<'a> = dyn Fn(&str, usize) -> Option<Vec<u8>> + 'a;

/// A tree's regular files and their texts.
pub struct Files<'a> {
    /// Their paths below the tree's root, in byte order.
    pub paths: Vec<&'a str>,
    /// The beginning of one, of at most so many bytes.
    pub read: Box<ReadStart<'a>>,
}

impl<'a> Files<'a> {
    /// The regular files that were selected of a tree.
    #[must_use]
    pub fn new(files: &'a [SourceFile]) -> Self {
        let regular = |file: &&SourceFile| matches!(file.kind, SourceKind::File { .. });
        let paths: Vec<_> = files.iter().filter(regular).map(|file| file.path.as_str()).collect();
        let read = |path: &str, limit: usize| {
            let at = files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
            let SourceKind::File { on_disk, .. } = &files[at].kind else { return None };
            read_start(on_disk, limit)
        };
        Self { paths, read: Box::new(read) }
    }
    fn text(&self, path: &str) -> String {
        let bytes = (self.read)(path, TEXT).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn has(&self, path: &str) -> bool {
        self.paths.binary_search(&path).is_ok()
    }

    fn has_folder(&self, path: &str) -> bool {
        path.is_empty() || self.below(path).next().is_some()
    }

    /// The files below a folder.
    fn below<'s>(&'s self, folder: &str) -> impl Iterator<Item = &'s str> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let from = self.paths.partition_point(|path| **path < *prefix.as_str());
        self.paths[from..].iter().copied().take_while(move |path| path.starts_with(&prefix))
    }
}

/// Folders whose content is no part of what is installed, or not by distributions.
const ASIDE: [&str; 14] = [
    "doc",
    "docs",
    "documentation",
    "example",
    "examples",
    "sample",
    "samples",
    "test",
    "tests",
    "android",
    "openwrt",
    "buildroot",
    ".github",
    "yocto",
];

fn is_aside(path: &str) -> bool {
    let mut parts = path.rsplit('/').skip(1);
    parts.any(|part| ASIDE.contains(&part.to_ascii_lowercase().as_str()))
}

/// A text that says where files go.
struct Text<'a> {
    path: &'a str,
    kind: TextKind,
    /// The folder from which its paths count.
    folder: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextKind {
    /// `debian/X.install`
    InstallList,
    /// `debian/rules`
    Rules,
    Spec,
    Makefile,
    Script,
    /// Steps of a CI service.
    Ci,
}

/// The texts that say where files go, those of packages first.
fn texts<'a>(files: &Files<'a>) -> Vec<Text<'a>> {
    let mut found: Vec<_> = files
        .paths
        .iter()
        .filter_map(|path| text_kind(path))
        .filter(|text| text.kind == TextKind::Ci || !is_aside(text.path))
        .collect();
    found.sort_by_key(|text| (text.kind as u8, text.path.matches('/').count()));
    found.truncate(TEXTS);
    found
}

fn text_kind(path: &str) -> Option<Text<'_>> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let depth = path.matches('/').count();
    let is_old_template = path.split('/').any(|part| part.contains("-dkms-mk"));
    if depth > 4 || is_old_template {
        return None;
    }
    let (parent, last_folder) = folder.rsplit_once('/').unwrap_or(("", folder));
    let debian = (last_folder == "debian").then_some(parent);
    if is_ci(path) {
        return Some(Text { path, kind: TextKind::Ci, folder: "" });
    }
    let kind = match (debian, name) {
        (Some(_), "rules") => TextKind::Rules,
        (Some(_), _) if name == "install" || name.ends_with(".install") || name.ends_with(".install.in") => {
            TextKind::InstallList
        }
        (None, "Makefile" | "makefile" | "GNUmakefile" | "Makefile.in") => TextKind::Makefile,
        (None, _) if name.ends_with(".spec") || name.ends_with(".spec.in") => TextKind::Spec,
        (None, _) if is_install_script(name) => TextKind::Script,
        _ => return None,
    };
    Some(Text { path, kind, folder: debian.unwrap_or(folder) })
}

/// Whether a path is where a CI service looks for its steps; they run in the tree's root.
fn is_ci(path: &str) -> bool {
    let is_yaml = path.ends_with(".yml") || path.ends_with(".yaml");
    is_yaml && path.starts_with(".github/workflows/")
        || [".gitlab-ci.yml", ".travis.yml", ".cirrus.yml", "appveyor.yml", ".appveyor.yml"].contains(&path)
}

/// The part of a tree that a text speaks of: the folder that it lies in, but for `debian/` and CI services the one above.
#[must_use]
pub fn part_of(text: &str) -> &str {
    text_kind(text).map_or("", |text| text.folder)
}

/// The commands of CI steps, a line each in its own place: `- cp a b`, `run: cp a b`, and the lines of a block.
fn steps(text: &str) -> String {
    let command = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("- ").unwrap_or(line).trim_start();
        ["run:", "script:"]
            .iter()
            .find_map(|key| line.strip_prefix(key))
            .unwrap_or(line)
            .trim_start()
            .to_owned()
            + "\n"
    };
    text.lines().map(command).collect()
}

fn is_install_script(name: &str) -> bool {
    let stem = name.strip_suffix(".sh").unwrap_or(name);
    let is_script = name.ends_with(".sh") || !name.contains('.');
    is_script && stem.contains("install") && !stem.contains("uninstall") && !stem.contains("deinstall")
}

/// What a text copies; paths are below the tree's root.
fn copies_of(files: &Files<'_>, text: &Text<'_>) -> Vec<copies::Copy> {
    let mut content = files.text(text.path);
    if text.kind == TextKind::Ci {
        content = steps(&content);
    }
    let language = match text.kind {
        TextKind::InstallList => return install_list(&content, text.folder),
        TextKind::Rules | TextKind::Makefile => copies::Language::Make,
        TextKind::Spec => copies::Language::Spec,
        TextKind::Script | TextKind::Ci => copies::Language::Shell,
    };
    // a spec's paths count from the unpacked source, and what it names as a source lies beside it
    let folder = if text.kind == TextKind::Spec { "" } else { text.folder };
    let mut found = copies::copies(&copies::Script { language, text: &content, folder, given: &[] });
    for source in found.iter_mut().flat_map(|copy| &mut copy.sources) {
        let elsewhere = |path: &str| {
            let path = crate::dkms::tree_path(path)?;
            (files.has(&path) || files.has_folder(&path)).then_some(path)
        };
        if source.contains(['*', '?', '[']) || files.has(source) || files.has_folder(source) {
            continue;
        }
        // scripts are also started in the tree's root
        let other = match text.kind {
            TextKind::Spec => {
                elsewhere(&format!("{}/{}", text.folder, source.rsplit('/').next().unwrap_or_default()))
            }
            TextKind::Script => source.strip_prefix(text.folder).and_then(elsewhere),
            _ => None,
        };
        if let Some(other) = other {
            *source = other;
        }
    }
    found
}

/// The list of `dh_install`: paths, and the folder they go to; or `path => path` of dh-exec.
fn install_list(text: &str, folder: &str) -> Vec<copies::Copy> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<_> = line.split_whitespace().filter(|word| !word.starts_with('[')).collect();
        if words.first().is_none_or(|word| word.starts_with('#')) {
            continue;
        }
        // one word is a path that stays the same
        let (to, sources) = match words.as_slice() {
            [] => continue,
            [only] => {
                (only.trim_end_matches('/').rsplit_once('/').map_or("", |(folder, _)| folder), vec![*only])
            }
            [sources @ .., to] => (*to, sources.to_vec()),
        };
        let (sources, into) = match sources.as_slice() {
            [sources @ .., "=>"] => (sources, false),
            sources => (sources, true),
        };
        // what debhelper sets, nobody else knows
        let to = to.replace("${", "\u{1}").replace('}', "\u{2}");
        let in_tree = |path: &&str| {
            let is_plain = !path.contains('$') && !path.starts_with("debian/tmp");
            is_plain.then(|| crate::dkms::tree_path(&format!("{folder}/{path}")))?
        };
        let sources: Vec<_> = sources.iter().filter_map(in_tree).collect();
        if !sources.is_empty() {
            found.push(copies::Copy { line: index + 1, sources, to, into, contents: false, folders: true });
        }
    }
    found
}

/// What of a destination lies below one of `folders`, which begin without a slash, the longest first; a root before it may be
/// unknown, or a package's folder.
fn below_root<'t>(to: &'t str, folders: &[&str]) -> Option<&'t str> {
    for folder in folders {
        for (at, _) in to.match_indices(folder) {
            let (before, after) = (&to[..at], &to[at + folder.len()..]);
            let is_whole = after.is_empty() || after.starts_with('/');
            let ends = before.is_empty() || before.ends_with('/') || before.ends_with(copies::UNKNOWN[1]);
            if is_whole && ends && is_root(before.trim_end_matches('/')) {
                return Some(after.trim_start_matches('/'));
            }
        }
    }
    None
}

/// Whether what stands before a folder of the system is a root: nothing, something unknown, or `debian/PACKAGE`.
fn is_root(before: &str) -> bool {
    let before = before.trim_start_matches("./");
    let folder = before.rsplit('/').nth(1);
    matches!(before, "" | "/usr/local" | "debian/tmp")
        || before.contains(copies::UNKNOWN)
        || folder == Some("debian")
}

/// Whether a path matches a pattern with `*`, `?` and `[…]`, none of which matches a slash.
fn matches(pattern: &str, path: &str) -> bool {
    let mode = gix_glob::wildmatch::Mode::NO_MATCH_SLASH_LITERAL;
    gix_glob::wildmatch(pattern.into(), path.into(), mode)
}
