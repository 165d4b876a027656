//! Which files of a driver's tree become the package's sources, and why the others do not.
//!
//! Reads names, sizes and modes, and no file's content but git's own; never writes, runs a program or asks the clock.
//!
//! What is decided for a path, first answer first:
//!
//! 1. A folder of a version control system is left out, whatever else is said.
//! 2. A pattern of [`Filter::include`] keeps it, and everything below it.
//! 3. `dkms.conf` at the top stays: without it there is no driver.
//! 4. A pattern of [`Filter::exclude`], git's bookkeeping and the attribute `export-ignore` leave it out, tracked or not.
//! 5. What git tracks stays, so that a vendor's `hal.o` or an ignored `fw.o_shipped` is not lost.
//! 6. The rules of this module leave it out (editor files, products of a build, packages, the output folder).
//! 7. Inside a repository that tracks something of the tree, its `.gitignore` files leave it out.
//! 8. Everything else stays.
//!
//! Without a repository `.gitignore` files are not consulted: a release tarball often carries one that ignores files
//! which were tracked all the same, and a lost file costs more than a superfluous one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, DirEntry, File, FileType};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use bstr::ByteSlice;

use crate::base::beneath;
use crate::base::diagnostic::{Code, Diagnostic, Severity};
use crate::base::error::{Error, Result};
pub use checkout::checkout;
pub use repository::Described;
use repository::{Found, Repository, join};

mod checkout;
mod repository;
#[cfg(test)]
mod tests;

/// Something in the tree that no package can carry.
const SPECIAL: Code = Code {
    id: "K0401",
    title: "socket, pipe or device among the sources",
    explanation: "\
The tree has a socket, a named pipe or a device. A package of sources can only
carry files, folders and symbolic links. Such a thing is usually left behind by
a program that ran in the tree: remove it, or leave it out with a pattern under
`exclude` in the `[source]` table of kpkg.toml.",
};

/// A name that would not survive.
const NAME: Code = Code {
    id: "K0402",
    title: "name that packages cannot carry",
    explanation: "\
The name of a file, or the target of a symbolic link, is not UTF-8 or contains
a newline or another control character. Package formats list files line by line
and in UTF-8, so such a name would be misread on the target machine. Rename it,
or leave it out with a pattern under `exclude` in the `[source]` table of
kpkg.toml. Bytes that cannot be shown are written as `\\xNN`.",
};

/// A link to something that the target machine does not have.
const LINK_OUT: Code = Code {
    id: "K0403",
    title: "symbolic link that leaves the tree",
    explanation: "\
A symbolic link points to an absolute path or, followed step by step, out of the
driver's tree. On the target machine there is something else at that place, or
nothing, so the link is left out; when the build needs it, that is an error.
Replace the link by what it points to, make it relative to a file in the tree,
or leave it out with a pattern under `exclude` in the `[source]` table of
kpkg.toml.",
};

/// A link to nothing.
const LINK_DANGLING: Code = Code {
    id: "K0404",
    title: "symbolic link to something that is not packaged",
    explanation: "\
A symbolic link points to a path inside the tree that does not exist, that is
left out of the package, or that leads back to the link itself. It is packaged
as it is; a build that reads through it will fail. `kpkg show --files` lists
what is left out and why.",
};

/// A repository that says nothing.
const REPOSITORY: Code = Code {
    id: "K0405",
    title: "git repository that cannot be read",
    explanation: "\
The tree lies in a git repository that could not be read, for the reason given.
kpkg goes on with its own rules alone: nothing counts as tracked, and no
`.gitignore` or `.gitattributes` file counts. When only the newest commit could
not be read, files are chosen as usual, and the time stamp comes from the newest
file. `git fsck` and `git status` tell more; a clone that was copied without its
main repository has to be cloned again.",
};

/// Files that nobody committed.
const UNTRACKED: Code = Code {
    id: "K0406",
    title: "files that git does not track are packaged",
    explanation: "\
The tree lies in a git repository, and some of the packaged files are neither
tracked nor ignored. They may have been generated on purpose, and stay. If not,
remove them, list them in `.gitignore`, or leave them out with a pattern under
`exclude` in the `[source]` table of kpkg.toml.",
};

/// A blob that looks like a product of the build.
const BLOB: Code = Code {
    id: "K0407",
    title: "object file left out that nothing here builds",
    explanation: "\
A `.o` file counts as a product of a kernel build and is left out. This one has
no source file of the same name beside it, nor the `.NAME.o.cmd` file that every
kernel build leaves, so it may be a part of the driver that is only delivered as
an object. If so, keep it with a pattern under `include` in the `[source]` table
of kpkg.toml, or name it `.o_shipped`, as the kernel's build system expects.",
};

/// Every code that this module reports.
pub const CODES: &[&Code] = &[&SPECIAL, &NAME, &LINK_OUT, &LINK_DANGLING, &REPOSITORY, &UNTRACKED, &BLOB];

/// Why a link is left out.
const LEAVES: &str = "symbolic link that leaves the tree";

/// How many findings of one kind are spelled out.
const MAX_OF_A_KIND: usize = 20;

/// How many untracked files are named.
const MAX_UNTRACKED: usize = 5;

/// As many links may be followed for one path, `path_resolution(7)`.
const MAX_LINKS: usize = 40;

/// How often a walk through one folder asks whether it shall stop.
const ASK_EVERY: usize = 1024;

const VERSION_CONTROL: &[&str] = &[".git", ".svn", ".hg", ".bzr", "CVS", "_darcs"];

/// The file of kernels that packages are made for.
const LOCK: &str = "kernels.lock";

/// Files that only git or its hosts read. `.gitkeep` is not among them: it exists to keep an empty folder, which a
/// build may write to. Others that begin with `.git` are not either: a Makefile may read `.gitversion`.
const GIT_BOOKKEEPING: &[&str] = &[
    ".gitignore",
    ".gitattributes",
    ".gitmodules",
    ".gitmessage",
    ".git-blame-ignore-revs",
    ".mailmap",
    ".gitreview",
    ".gitlab-ci.yml",
    ".gitlab",
    ".github",
];

/// What a rule of ours is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Anything,
    Files,
    /// Files, and only where git could have told that they belong to the driver.
    FilesInRepository,
}

/// Our own rules: pattern with at most one `*`, what it is about, in words. Case matters, as for the programs that
/// write such files.
const RULES: &[(&str, About, &str)] = &[
    ("*~", About::Files, "editor's backup"),
    ("*.swp", About::Files, "editor's file"),
    ("*.swo", About::Files, "editor's file"),
    (".#*", About::Files, "editor's lock"),
    ("#*#", About::Files, "editor's file"),
    (".idea", About::Anything, "editor's folder"),
    (".vscode", About::Anything, "editor's folder"),
    (".DS_Store", About::Files, "desktop's file"),
    ("*.orig", About::Files, "left by a merge or patch"),
    ("*.rej", About::Files, "left by a merge or patch"),
    ("*.o", About::Files, "product of a kernel build"),
    ("*.ko", About::Files, "product of a kernel build"),
    ("*.ko.xz", About::Files, "product of a kernel build"),
    ("*.ko.gz", About::Files, "product of a kernel build"),
    ("*.ko.zst", About::Files, "product of a kernel build"),
    ("*.mod", About::Files, "product of a kernel build"),
    ("*.mod.c", About::Files, "product of a kernel build"),
    ("*.cmd", About::Files, "product of a kernel build"),
    (".tmp_versions", About::Anything, "product of a kernel build"),
    ("Module.symvers", About::Files, "product of a kernel build"),
    ("Module.markers", About::Files, "product of a kernel build"),
    ("modules.order", About::Files, "product of a kernel build"),
    ("built-in.a", About::Files, "product of a kernel build"),
    ("*.a", About::FilesInRepository, "archive that git does not track"),
    ("*.dwo", About::Files, "product of a kernel build"),
    ("*.o.d", About::Files, "product of a kernel build"),
    (".cache.mk", About::Files, "product of a kernel build"),
    ("*.deb", About::Files, "package"),
    ("*.rpm", About::Files, "package"),
    ("*.pkg.tar.zst", About::Files, "package"),
    ("*.dsc", About::Files, "part of a source package"),
    ("*.orig.tar.gz", About::Files, "part of a source package"),
    ("*.orig.tar.xz", About::Files, "part of a source package"),
    ("*.debian.tar.gz", About::Files, "part of a source package"),
    ("*.debian.tar.xz", About::Files, "part of a source package"),
    ("*.changes", About::Files, "part of a source package"),
    ("*.buildinfo", About::Files, "part of a source package"),
    (".kpkg-*", About::Anything, "temporary file of kpkg"),
];

/// One entry of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Relative to the root, with `/`; no control characters, never empty, `.` or `..` in it.
    pub path: String,
    pub kind: SourceKind,
}

/// What an entry of the tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// A folder that has something selected below it.
    Directory,
    /// A regular file; a hard link is a file of its own.
    File {
        /// Where its content is.
        on_disk: Arc<Path>,
        /// Its length in bytes when the tree was read.
        size: u64,
        /// Whether anybody may execute it.
        executable: bool,
    },
    /// A symbolic link, kept as one and never followed.
    Symlink {
        /// As it is written in the link; relative, and inside the tree.
        target: String,
    },
}

/// A part of the tree that is not packaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Relative to the root; a folder ends in `/`, and what is in it is not listed. Bytes that cannot be shown are
    /// written as `\xNN`.
    pub path: String,
    /// Why, in words.
    pub rule: String,
}

/// The tree as it will be packaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// In byte order of their paths, a folder before what is in it.
    pub files: Vec<SourceFile>,
    /// In byte order of their paths.
    pub left_out: Vec<LeftOut>,
    /// Seconds since 1970: the committer's time of HEAD when the tree is tracked by git, else the newest file's; 0 when
    /// there is neither.
    pub newest: u32,
    /// Warnings and notes.
    pub diagnostics: Vec<Diagnostic>,
}

/// What the caller wants beside the rules.
#[derive(Clone)]
pub struct Filter<'a> {
    /// Patterns of gitignore(5) for what is left out although git tracks it.
    pub exclude: Vec<String>,
    /// Patterns of gitignore(5) for what is kept although a rule, or `exclude`, says otherwise.
    pub include: Vec<String>,
    /// kpkg's output folder and files, which are left out when they are inside the tree.
    pub output: Vec<PathBuf>,
    /// Whether files that git could track and does not are left out: of a checkout elsewhere they are no part.
    pub only_tracked: bool,
    /// Whether somebody asked to stop; asked again and again, with the number of entries that were met since.
    pub interrupted: &'a dyn Fn(usize) -> bool,
}

impl Default for Filter<'_> {
    fn default() -> Self {
        Self {
            exclude: Vec::new(),
            include: Vec::new(),
            output: Vec::new(),
            only_tracked: false,
            interrupted: &|_| false,
        }
    }
}

/// Where the checked-out commit of the repository around `root` is; nothing where there is no repository, commit or tag.
///
/// A repository that cannot be read is a reason, not an error: [`select`] reports it.
pub fn describe(
    root: &Path,
    choose: &dyn Fn(Vec<String>) -> Vec<String>,
) -> std::result::Result<Option<Described>, String> {
    let root = fs::canonicalize(root).map_err(|error| error.to_string())?;
    match Repository::around(&root) {
        Found::Repository(repository) => repository.describe(choose),
        Found::Nothing | Found::Broken(_) => Ok(None),
    }
}

/// The committer's time of the checked-out commit of the repository around `root`, in seconds since 1970, and the first digits of its
/// hash; nothing where there is none, and in a shallow clone, which has not all that was said about it.
pub fn newest_commit(root: &Path) -> std::result::Result<Option<(i64, String)>, String> {
    let root = fs::canonicalize(root).map_err(|error| error.to_string())?;
    match Repository::around(&root) {
        Found::Repository(repository) => repository.newest(),
        Found::Nothing | Found::Broken(_) => Ok(None),
    }
}

/// The first bytes of a regular file; nothing for a link, which could lead out of the tree, and for a pipe, which could block.
#[must_use]
pub fn read_start(path: &Path, limit: u64) -> Option<Vec<u8>> {
    fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    beneath::start(File::open(path).ok()?, limit).ok()
}

/// Whether a folder of this name holds no source, whatever else is said.
#[must_use]
pub fn is_never_source(name: &str) -> bool {
    listed(VERSION_CONTROL, name.as_bytes()) || name.starts_with(".kpkg-")
}

/// Files that lie elsewhere in the package than in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// `folder/` for a folder with all that is in it, `folder/*` for what is in it, or a file; relative to the root.
    pub from: String,
    /// Where it goes: `folder/` or a path, or `.` for the root.
    pub to: String,
}

/// The place that a path of the tree has in the package; the most specific of the moves counts.
#[must_use]
pub fn moved(path: &str, map: &[Moved]) -> String {
    let place = |moved: &Moved| {
        let to = moved.to.trim_start_matches("./").trim_end_matches('/');
        let to = if to == "." { "" } else { to };
        let join = |name: &str| if to.is_empty() { name.to_owned() } else { format!("{to}/{name}") };
        let from = moved.from.trim_start_matches("./");
        if let Some(folder) = from.strip_suffix("/*").or_else(|| from.strip_suffix('/')) {
            return Some(join(path.strip_prefix(folder)?.strip_prefix('/')?));
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        let into_folder = to.is_empty() || moved.to.ends_with('/');
        (path == from).then(|| if into_folder { join(name) } else { to.to_owned() })
    };
    let mut places: Vec<_> = map.iter().filter_map(|moved| Some((moved.from.len(), place(moved)?))).collect();
    places.sort();
    places.pop().map_or_else(|| path.to_owned(), |(_, place)| place)
}

/// The files with those that `map` moves where they go; two that would lie in one place are an error.
pub fn move_files(files: Vec<SourceFile>, map: &[Moved]) -> Result<Vec<SourceFile>> {
    if map.is_empty() {
        return Ok(files);
    }
    let mut placed: BTreeMap<String, (String, SourceKind)> = BTreeMap::new();
    for file in files.into_iter().filter(|file| file.kind != SourceKind::Directory) {
        let place = moved(&file.path, map);
        if let Some((other, _)) = placed.get(&place) {
            return Err(Error::usage(format!("`{other}` and `{}` would both be `{place}`", file.path))
                .hint("correct `map` under `[source]` in kpkg.toml, or leave one out with `exclude`"));
        }
        for (at, _) in place.match_indices('/') {
            let folder = || (place[..at].to_owned(), SourceKind::Directory);
            placed.entry(place[..at].to_owned()).or_insert_with(folder);
        }
        placed.insert(place, (file.path, file.kind));
    }
    Ok(placed.into_iter().map(|(path, (_, kind))| SourceFile { path, kind }).collect())
}

/// The rule of git that ignores a path below `root`, whether it exists or not.
#[must_use]
pub fn ignored(root: &Path, path: &str) -> Option<String> {
    let top = fs::canonicalize(root).ok()?;
    let Found::Repository(mut repository) = Repository::around(&top) else { return None };
    let inside = top.strip_prefix(repository.top()).ok()?.join(path);
    let inside = inside.as_os_str().as_bytes();
    if !repository.tracks_below(top.strip_prefix(repository.top()).ok()?.as_os_str().as_bytes()) {
        return None;
    }
    for folder in ancestors(inside) {
        if let Some(rule) = (!folder.is_empty()).then(|| repository.ignores(folder, true)).flatten() {
            return Some(rule);
        }
        repository.enter(folder).ok()?;
    }
    repository.ignores(inside, false)
}

/// Decides for every path below `root` whether it is packaged.
///
/// Fails with all findings, at most 20 of a kind, when the tree has something that cannot be packaged; with the path
/// when something cannot be read or vanishes meanwhile; and when it is asked to stop.
pub fn select(root: &Path, options: &Filter<'_>) -> Result<Selection> {
    let top = fs::canonicalize(root).map_err(|error| Error::io("cannot read", root, error))?;
    let mut walk = Walk {
        root,
        output: options.output.iter().filter_map(|output| output_inside(&top, output)).collect(),
        exclude: patterns("exclude", &options.exclude)?,
        include: patterns("include", &options.include)?,
        only_tracked: options.only_tracked,
        interrupted: options.interrupted,
        contexts: Vec::new(),
        files: Vec::new(),
        left_out: Vec::new(),
        newest_file: 0,
        untracked: (0, Vec::new()),
        problems: Problems::default(),
    };
    let committed = walk.start(&top)?;
    walk.run()?;
    walk.finish(committed)
}

/// Output relative to the tree, when it is below it. What does not exist yet has nothing to leave out.
fn output_inside(top: &Path, output: &Path) -> Option<Vec<u8>> {
    let output = fs::canonicalize(output).ok()?;
    let inside = output.strip_prefix(top).ok()?.as_os_str().as_bytes();
    (!inside.is_empty()).then(|| inside.to_vec())
}

/// The patterns of one key of kpkg.toml; one that can never match is a mistake that would go unnoticed.
fn patterns(key: &str, texts: &[String]) -> Result<gix_ignore::Search> {
    for text in texts {
        if text.contains('\n') || gix_ignore::parse(text.as_bytes(), false).next().is_none() {
            return Err(Error::usage(format!("`{}` under `{key}` is no pattern", escape(text.as_bytes())))
                .hint(
                    "write one pattern a string, as in gitignore(5); a name that begins with `#` needs `\\#`",
                ));
        }
    }
    let parse = gix_ignore::search::Ignore { support_precious: false };
    Ok(gix_ignore::Search::from_overrides(texts, parse))
}

/// The pattern that matches this path, unless it is a negative one.
fn matching(search: &gix_ignore::Search, path: &[u8], is_folder: bool) -> Option<String> {
    let case = gix_glob::pattern::Case::Sensitive;
    let found = search.pattern_matching_relative_path(path.as_bstr(), Some(is_folder), case)?;
    (!found.pattern.is_negative()).then(|| found.pattern.to_string())
}

/// How a path was judged, for itself and for what is below it.
#[derive(Clone)]
enum Standing {
    /// Stays, and so does what is below it unless a rule says otherwise.
    Plain,
    /// Stays with everything below it, for a pattern of the user's.
    Included,
    /// Left out, but what git tracks below it stays.
    Untracked(Rc<str>),
    /// Left out, tracked or not.
    Dropped(Rc<str>),
    /// Left out, and nothing can bring it back.
    Never(Rc<str>),
}

impl Standing {
    fn rule(&self) -> Option<&Rc<str>> {
        match self {
            Self::Plain | Self::Included => None,
            Self::Untracked(rule) | Self::Dropped(rule) | Self::Never(rule) => Some(rule),
        }
    }
}

/// A repository that part of the tree belongs to, and how paths are spelled in it.
struct Context {
    repository: Option<Repository>,
    /// The root's place in the repository, with a trailing `/`; empty for a repository inside the tree.
    above: Vec<u8>,
    /// How much of a path lies above a repository inside the tree.
    below: usize,
}

impl Context {
    fn path(&self, path: &[u8]) -> Vec<u8> {
        [&self.above, path.get(self.below..).unwrap_or_default()].concat()
    }

    /// The path of a folder: no `/` at its end.
    fn folder(&self, path: &[u8]) -> Vec<u8> {
        let mut path = self.path(path);
        if path.last() == Some(&b'/') {
            path.pop();
        }
        path
    }
}

/// A folder that the walk is in.
struct Frame {
    path: Vec<u8>,
    standing: Standing,
    /// What is still to be walked: no handles, so that depth costs no open files.
    folders: std::vec::IntoIter<(Vec<u8>, Standing)>,
    kept: bool,
    left_out_before: usize,
    owns_context: bool,
}

struct Walk<'a> {
    root: &'a Path,
    output: Vec<Vec<u8>>,
    only_tracked: bool,
    exclude: gix_ignore::Search,
    include: gix_ignore::Search,
    interrupted: &'a dyn Fn(usize) -> bool,
    contexts: Vec<Context>,
    files: Vec<SourceFile>,
    left_out: Vec<LeftOut>,
    newest_file: i64,
    untracked: (usize, Vec<String>),
    problems: Problems,
}

impl Walk<'_> {
    /// Looks for the repository around the root; the time of its newest commit when it tracks something of the tree.
    fn start(&mut self, top: &Path) -> Result<Option<i64>> {
        let mut context = Context { repository: None, above: Vec::new(), below: 0 };
        let mut committed = None;
        match Repository::around(top) {
            Found::Nothing => {}
            Found::Broken(reason) => self.broken("the git repository", &reason),
            Found::Repository(mut repository) => {
                let inside = top.strip_prefix(repository.top()).unwrap_or(Path::new(""));
                let inside = inside.as_os_str().as_bytes().to_vec();
                // A repository that knows nothing of the tree is somebody's home, or was begun a minute ago: what it
                // ignores says nothing about the driver.
                if repository.tracks_below(&inside) {
                    match repository.commit_time() {
                        Ok(time) => committed = time,
                        Err(reason) => self.broken("the newest commit", &reason),
                    }
                    for folder in ancestors(&inside) {
                        let on_disk = repository.top().join(OsStr::from_bytes(folder));
                        repository.enter(folder).map_err(|error| rules_unreadable(&on_disk, error))?;
                    }
                    if !inside.is_empty() {
                        context.above = [&inside[..], b"/"].concat();
                    }
                    context.repository = Some(*repository);
                }
            }
        }
        self.contexts.push(context);
        Ok(committed)
    }

    fn broken(&mut self, what: &str, reason: &str) {
        let message = format!("{what} cannot be read: {}", escape(reason.as_bytes()));
        self.problems.add(Diagnostic::warning(&REPOSITORY, message));
    }

    fn run(&mut self) -> Result<()> {
        let standing = self.standing_of_root();
        let mut frames = Vec::new();
        if let Some(frame) = self.open(Vec::new(), standing)? {
            frames.push(frame);
        }
        while let Some(frame) = frames.last_mut() {
            if let Some((path, standing)) = frame.folders.next() {
                if let Some(below) = self.open(path, standing)? {
                    frames.push(below);
                }
                continue;
            }
            let Some(frame) = frames.pop() else { break };
            self.close(&frame);
            if let Some(parent) = frames.last_mut() {
                parent.kept |= frame.kept;
            }
        }
        Ok(())
    }

    /// A root below an ignored folder has only its tracked files, as for git.
    fn standing_of_root(&mut self) -> Standing {
        let Some(Context { repository: Some(repository), above, .. }) = self.contexts.last() else {
            return Standing::Plain;
        };
        let root = above.strip_suffix(b"/").unwrap_or(above);
        let ignored = ancestors(root).skip(1).find_map(|folder| repository.ignores(folder, true));
        let ignored =
            ignored.or_else(|| (!root.is_empty()).then(|| repository.ignores(root, true)).flatten());
        ignored.map_or(Standing::Plain, |rule| Standing::Untracked(rule.into()))
    }

    /// Reads a folder, takes its files, and prepares the walk through its folders; nothing when it is left out whole.
    fn open(&mut self, path: Vec<u8>, standing: Standing) -> Result<Option<Frame>> {
        if (self.interrupted)(0) {
            return Err(Error::interrupted());
        }
        if let Some(rule) = standing.rule()
            && !self.may_keep_below(&path, &standing)
        {
            self.leave_out(&path, true, rule);
            return Ok(None);
        }
        let entries = match self.read_folder(&path) {
            Ok(entries) => entries,
            Err(error) => {
                // Nobody asks for what is in a folder that is left out, unless git says that there is something.
                let Some(rule) = standing.rule().filter(|_| !self.tracks_below(&path)) else {
                    return Err(error);
                };
                self.leave_out(&path, true, rule);
                return Ok(None);
            }
        };
        let mut frame = Frame {
            path,
            standing,
            folders: Vec::new().into_iter(),
            kept: false,
            left_out_before: self.left_out.len(),
            owns_context: false,
        };
        if entries.is_empty() && !frame.path.is_empty() {
            let rule = frame.standing.rule().cloned().unwrap_or_else(|| "empty folder".into());
            self.leave_out(&frame.path, true, &rule);
            return Ok(None);
        }
        if !frame.path.is_empty() && entries.iter().any(|entry| entry.name == b".git") {
            frame.owns_context = self.enter_nested(&frame.path);
        }
        if let Some(context) = self.contexts.last_mut() {
            let folder = context.folder(&frame.path);
            if let Some(repository) = &mut context.repository {
                let on_disk = self.root.join(OsStr::from_bytes(&frame.path));
                repository.enter(&folder).map_err(|error| rules_unreadable(&on_disk, error))?;
            }
        }
        let mut folders = Vec::new();
        for (count, entry) in entries.iter().enumerate() {
            if count % ASK_EVERY == ASK_EVERY - 1 && (self.interrupted)(ASK_EVERY) {
                return Err(Error::interrupted());
            }
            let path = join(&frame.path, &entry.name);
            let (standing, tracked) = self.judge(&path, entry, &frame.standing);
            if entry.kind.is_dir() {
                folders.push((path, standing));
            } else if let Some(rule) = standing.rule() {
                if frame.standing.rule().is_none() {
                    self.suspect_blob(&path, &entries, entry);
                }
                self.leave_out(&path, false, rule);
            } else {
                frame.kept = true;
                self.take(&path, entry)?;
                if !tracked && matches!(standing, Standing::Plain) {
                    self.note_untracked(&path);
                }
            }
        }
        (self.interrupted)(entries.len() % ASK_EVERY);
        frame.folders = folders.into_iter();
        Ok(Some(frame))
    }

    /// Leaves a folder: it is selected when something in it is.
    fn close(&mut self, frame: &Frame) {
        if let Some(Context { repository: Some(repository), .. }) = self.contexts.last_mut() {
            repository.leave();
        }
        if frame.owns_context {
            self.contexts.pop();
        }
        if frame.path.is_empty() {
            return;
        }
        if frame.kept {
            let name = frame.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            if let Some(path) = self.usable(&frame.path, name) {
                self.files.push(SourceFile { path, kind: SourceKind::Directory });
            }
        } else if let Some(rule) = frame.standing.rule() {
            self.left_out.truncate(frame.left_out_before);
            self.leave_out(&frame.path, true, rule);
        }
    }

    fn read_folder(&self, path: &[u8]) -> Result<Vec<Entry>> {
        let on_disk = self.root.join(OsStr::from_bytes(path));
        let failed = |error| unreadable(&on_disk, error);
        let mut entries = Vec::new();
        for entry in fs::read_dir(&on_disk).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(|error| unreadable(&entry.path(), error))?;
            entries.push(Entry { name: entry.file_name().as_bytes().to_vec(), kind, on_disk: entry });
        }
        entries.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Whether something below a folder that is left out can still be selected.
    fn may_keep_below(&self, path: &[u8], standing: &Standing) -> bool {
        let included = self.include.patterns.iter().any(|list| !list.patterns.is_empty());
        match standing {
            Standing::Plain | Standing::Included => true,
            Standing::Untracked(_) => included || self.tracks_below(path),
            Standing::Dropped(_) => included,
            Standing::Never(_) => false,
        }
    }

    fn tracks_below(&self, path: &[u8]) -> bool {
        let Some(context) = self.contexts.last() else { return false };
        context.repository.as_ref().is_some_and(|repository| repository.tracks_below(&context.folder(path)))
    }

    /// A repository inside the tree, such as a submodule, knows its own files; whether one was pushed.
    fn enter_nested(&mut self, path: &[u8]) -> bool {
        let context = Context { repository: None, above: Vec::new(), below: path.len() + 1 };
        match Repository::at(&self.root.join(OsStr::from_bytes(path))) {
            Found::Repository(repository) if repository.tracks_below(b"") => {
                self.contexts.push(Context { repository: Some(*repository), ..context });
                true
            }
            Found::Repository(_) | Found::Nothing => false,
            Found::Broken(reason) => {
                self.broken(&format!("the git repository in `{}`", escape(path)), &reason);
                // What a submodule tracks is unknown now, so what the repository around it ignores must not count.
                self.contexts.push(context);
                true
            }
        }
    }

    /// The standing of an entry, and whether git tracks it (or there is no git to ask).
    fn judge(&mut self, path: &[u8], entry: &Entry, parent: &Standing) -> (Standing, bool) {
        let name = entry.name.as_slice();
        let is_folder = entry.kind.is_dir();
        if listed(VERSION_CONTROL, name) && (is_folder || name == b".git") {
            return (Standing::Never("folder of a version control system".into()), false);
        }
        if matches!(parent, Standing::Included) || matching(&self.include, path, is_folder).is_some() {
            return (Standing::Included, false);
        }
        let Some(context) = self.contexts.last_mut() else { return (Standing::Plain, true) };
        let in_repository = context.path(path);
        let tracked = context.repository.as_ref().is_none_or(|repository| {
            if is_folder {
                repository.tracks_below(&in_repository)
            } else {
                repository.tracks(&in_repository)
            }
        });
        if path == b"dkms.conf" {
            return (Standing::Plain, tracked);
        }
        if matches!(parent, Standing::Dropped(_) | Standing::Never(_)) {
            return (parent.clone(), tracked);
        }
        if let Some(pattern) = matching(&self.exclude, path, is_folder) {
            return (Standing::Dropped(format!("pattern `{pattern}` under `exclude`").into()), tracked);
        }
        if listed(GIT_BOOKKEEPING, name) {
            return (Standing::Dropped("git's bookkeeping".into()), tracked);
        }
        // a kernel that comes changes it, and nothing of the driver
        if path == LOCK.as_bytes() {
            return (Standing::Dropped("kpkg's list of kernels".into()), tracked);
        }
        let repository = context.repository.as_mut();
        if let Some(rule) = repository.and_then(|it| it.hides_from_export(&in_repository, is_folder)) {
            return (Standing::Dropped(rule.into()), tracked);
        }
        if tracked && !is_folder && context.repository.is_some() {
            return (Standing::Plain, true);
        }
        if matches!(parent, Standing::Untracked(_)) {
            return (parent.clone(), tracked);
        }
        let rule = if self.output.iter().any(|output| output == path) {
            Some(if is_folder { "kpkg's output folder" } else { "kpkg's output" }.to_owned())
        } else {
            own_rule(name, is_folder, context.repository.is_some())
        };
        let repository = context.repository.as_ref();
        let is_elsewhere = !self.only_tracked || is_folder || repository.is_none();
        let of_plan =
            || (!is_elsewhere).then(|| "git does not track it, and a plan is for other machines".to_owned());
        match rule.or_else(|| repository?.ignores(&in_repository, is_folder)).or_else(of_plan) {
            Some(rule) => (Standing::Untracked(rule.into()), tracked),
            None => (Standing::Plain, tracked),
        }
    }

    fn take(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        let on_disk = self.root.join(OsStr::from_bytes(path));
        let special = special(entry.kind);
        if let Some(what) = special {
            let message = format!("`{}` is a {what}, which no package can carry", escape(path));
            let hint = "remove it, or list it under `exclude` in the `[source]` table of kpkg.toml";
            self.problems.add(Diagnostic::error(&SPECIAL, message).hint(hint));
            return Ok(());
        }
        let metadata = entry.on_disk.metadata().map_err(|error| unreadable(&on_disk, error))?;
        let kind = if entry.kind.is_symlink() {
            let target = fs::read_link(&on_disk).map_err(|error| unreadable(&on_disk, error))?;
            let target = target.as_os_str().as_bytes();
            let Some(target) = clean(target) else {
                let message =
                    format!("the link `{}` points to `{}`, a bad name", escape(path), escape(target));
                self.problems.add(Diagnostic::error(&NAME, message));
                return Ok(());
            };
            SourceKind::Symlink { target }
        } else {
            // The common case needs no question: everybody may read it.
            if metadata.mode() & 0o444 != 0o444 {
                let allowed = rustix::fs::access(&on_disk, rustix::fs::Access::READ_OK);
                allowed.map_err(|error| unreadable(&on_disk, error.into()))?;
            }
            self.newest_file = self.newest_file.max(metadata.mtime());
            let executable = metadata.mode() & 0o111 != 0;
            SourceKind::File { on_disk: on_disk.into(), size: metadata.len(), executable }
        };
        if let Some(path) = self.usable(path, &entry.name) {
            self.files.push(SourceFile { path, kind });
        }
        Ok(())
    }

    /// The path as text. A bad name is reported once, for the folder or file that has it, not for all below it.
    fn usable(&mut self, path: &[u8], name: &[u8]) -> Option<String> {
        if clean(name).is_none() {
            let what = if name.to_str().is_err() { "is not UTF-8" } else { "has control characters" };
            let message = format!("the name of `{}` {what}", escape(path));
            let hint = "rename it, or list it under `exclude` in the `[source]` table of kpkg.toml";
            self.problems.add(Diagnostic::error(&NAME, message).hint(hint));
        }
        clean(path)
    }

    fn leave_out(&mut self, path: &[u8], is_folder: bool, rule: &str) {
        let mut path = escape(path);
        if is_folder {
            path.push('/');
        }
        self.left_out.push(LeftOut { path, rule: rule.to_owned() });
    }

    fn note_untracked(&mut self, path: &[u8]) {
        self.untracked.0 += 1;
        // The walk takes a folder's files before its folders; the first few in byte order are picked at the end.
        self.untracked.1.push(escape(path));
    }

    /// Without git nothing tells a vendor's object file from one that was built here, except what a build leaves.
    fn suspect_blob(&mut self, path: &[u8], entries: &[Entry], entry: &Entry) {
        let in_repository = self.contexts.last().is_some_and(|context| context.repository.is_some());
        let Some(stem) = entry.name.strip_suffix(b".o").filter(|_| !in_repository) else { return };
        if matching(&self.exclude, path, false).is_some() || entry.name.starts_with(b".") {
            return;
        }
        let beside = |name: &[u8]| entries.binary_search_by(|other| other.name.as_slice().cmp(name)).is_ok();
        let built = beside(&[b".", entry.name.as_slice(), b".cmd"].concat())
            || [&b".c"[..], b".S", b".s", b".rs", b".mod"].iter().any(|end| beside(&[stem, end].concat()));
        if !built && !stem.ends_with(b".mod") {
            let shown = escape(path);
            let message =
                format!("`{shown}` is left out as a product of a build, but nothing here builds it");
            let hint = format!(
                "if it belongs to the driver: `include = [\"/{shown}\"]` under `[source]` in kpkg.toml"
            );
            self.problems.add(Diagnostic::warning(&BLOB, message).hint(hint));
        }
    }

    fn finish(mut self, committed: Option<i64>) -> Result<Selection> {
        self.files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let mut leaving = Vec::new();
        for file in &self.files {
            if let SourceKind::Symlink { target } = &file.kind
                && let Some(finding) = check_link(&self.files, self.root, &file.path, target)
            {
                if finding.code.id == LINK_OUT.id {
                    leaving.push(file.path.clone());
                }
                self.problems.add(finding);
            }
        }
        self.files.retain(|file| leaving.binary_search(&file.path).is_err());
        self.left_out.extend(leaving.into_iter().map(|path| LeftOut { path, rule: LEAVES.to_owned() }));
        self.left_out.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        let (count, mut names) = self.untracked;
        if count > 0 {
            names.sort_unstable();
            let mut listed = names[..names.len().min(MAX_UNTRACKED)].join("`, `");
            listed.push('`');
            if count > MAX_UNTRACKED {
                // Writing to a String cannot fail.
                let _ = write!(listed, " and {} more", count - MAX_UNTRACKED);
            }
            let plural = if count == 1 {
                "file that git does not track is"
            } else {
                "files that git does not track are"
            };
            let message = format!("{count} {plural} packaged: `{listed}");
            self.problems.add(Diagnostic::note(&UNTRACKED, message));
        }
        let diagnostics = self.problems.finish();
        if diagnostics.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(Error::diagnostics(diagnostics));
        }
        let newest = committed.unwrap_or(self.newest_file).clamp(0, i64::from(u32::MAX));
        let newest = u32::try_from(newest).unwrap_or(u32::MAX);
        Ok(Selection { files: self.files, left_out: self.left_out, newest, diagnostics })
    }
}

/// An entry of a folder while the folder is looked at.
struct Entry {
    name: Vec<u8>,
    kind: FileType,
    on_disk: DirEntry,
}

/// The folders above a path of a repository, from the top (the empty path) on.
fn ancestors(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
    (!path.is_empty()).then_some(&path[..0]).into_iter().chain(slashes)
}

fn listed(names: &[&str], name: &[u8]) -> bool {
    names.iter().any(|listed| listed.as_bytes() == name)
}

/// The rule of ours that leaves out an entry of this name, in words.
fn own_rule(name: &[u8], is_folder: bool, in_repository: bool) -> Option<String> {
    let (pattern, _, words) = RULES.iter().find(|(pattern, about, _)| {
        let applies = match about {
            About::Anything => true,
            About::Files => !is_folder,
            About::FilesInRepository => !is_folder && in_repository,
        };
        applies && matches_name(pattern, name)
    })?;
    Some(format!("{words} (`{pattern}`)"))
}

/// Whether a name matches a pattern with at most one `*`.
fn matches_name(pattern: &str, name: &[u8]) -> bool {
    match pattern.split_once('*') {
        None => pattern.as_bytes() == name,
        Some((start, end)) => {
            name.len() >= start.len() + end.len()
                && name.starts_with(start.as_bytes())
                && name.ends_with(end.as_bytes())
        }
    }
}

/// What it is, if no package can carry it.
fn special(kind: FileType) -> Option<&'static str> {
    match kind {
        _ if kind.is_file() || kind.is_symlink() || kind.is_dir() => None,
        _ if kind.is_fifo() => Some("named pipe"),
        _ if kind.is_socket() => Some("socket"),
        _ if kind.is_block_device() => Some("block device"),
        _ if kind.is_char_device() => Some("character device"),
        _ => Some("thing of an unknown kind"),
    }
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::NotFound {
        Error::failed("vanished while it was read:")
            .at(path)
            .hint("run it again when nothing else changes the tree")
    } else {
        Error::io("cannot read", path, error)
    }
}

fn rules_unreadable(folder: &Path, error: io::Error) -> Error {
    Error::io("cannot read `.gitignore` or `.gitattributes` in", folder, error)
}

/// The bytes as text, unless they are not UTF-8 or have control characters.
fn clean(bytes: &[u8]) -> Option<String> {
    let text = bytes.to_str().ok()?;
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// Bytes as text for a person: what is not UTF-8 or a control character as `\xNN`.
fn escape(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                let mut buffer = [0; 4];
                for byte in character.encode_utf8(&mut buffer).bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(shown, "\\x{byte:02x}");
                }
            } else {
                shown.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Where a link leads.
enum Leads {
    /// To something that is packaged.
    Somewhere,
    /// Out of the tree; through another link when that is named.
    Out(Option<String>),
    /// To a path that is not packaged.
    Nowhere(String),
    /// Back to itself, or through too many links.
    Round,
}

/// A finding about a link, when it has one.
fn check_link(files: &[SourceFile], root: &Path, path: &str, target: &str) -> Option<Diagnostic> {
    let begin = format!("the link `{path}` to `{target}`");
    match follow(files, path, target) {
        Leads::Somewhere => None,
        Leads::Out(through) => {
            let through = through.map(|link| format!(" through the link `{link}`")).unwrap_or_default();
            let message = if target.starts_with('/') {
                format!("{begin} is absolute")
            } else {
                format!("{begin} leaves the driver's tree{through}")
            };
            let hint = "replace it by what it points to, or list it under `exclude` in the `[source]` table of kpkg.toml";
            Some(Diagnostic::warning(&LINK_OUT, format!("{message}, and is left out")).hint(hint))
        }
        Leads::Nowhere(place) => {
            let exists = fs::symlink_metadata(root.join(&place)).is_ok();
            let why = if exists { "is left out of the package" } else { "does not exist" };
            Some(Diagnostic::warning(&LINK_DANGLING, format!("{begin} dangles: `{place}` {why}")))
        }
        Leads::Round => Some(Diagnostic::warning(
            &LINK_DANGLING,
            format!("{begin} leads back to itself or through too many links"),
        )),
    }
}

/// Follows a link in the tree as it will be packaged, without touching the disk; `path_resolution(7)`.
fn follow(files: &[SourceFile], path: &str, target: &str) -> Leads {
    if target.starts_with('/') {
        return Leads::Out(None);
    }
    let mut place: Vec<&str> = path.split('/').collect();
    place.pop();
    // The last part is on top, so that a link's target can be laid over what is left to go.
    let mut parts: Vec<&str> = target.rsplit('/').collect();
    let mut links = 0;
    let mut through = None;
    let mut missing = None;
    while let Some(part) = parts.pop() {
        match part {
            "" | "." => continue,
            ".." => {
                if place.pop().is_none() {
                    return Leads::Out(through);
                }
                continue;
            }
            name => place.push(name),
        }
        if missing.is_some() {
            // Nothing is there, but the rest of the way may still lead out.
            continue;
        }
        let here = place.join("/");
        match files.binary_search_by(|file| file.path.as_str().cmp(&here)).ok().map(|at| &files[at].kind) {
            None => missing = Some(here),
            Some(SourceKind::Directory) => {}
            Some(SourceKind::File { .. }) => {
                if !parts.is_empty() {
                    missing = Some(here);
                }
            }
            Some(SourceKind::Symlink { target }) => {
                links += 1;
                if links > MAX_LINKS {
                    return Leads::Round;
                }
                if target.starts_with('/') {
                    return Leads::Out(Some(here));
                }
                parts.extend(target.rsplit('/'));
                place.pop();
                through = Some(here);
            }
        }
    }
    missing.map_or(Leads::Somewhere, Leads::Nowhere)
}

/// Findings by kind, so that a thousand of one kind do not bury the others.
#[derive(Default)]
struct Problems(BTreeMap<&'static str, (Vec<Diagnostic>, usize)>);

impl Problems {
    fn add(&mut self, finding: Diagnostic) {
        let (listed, more) = self.0.entry(finding.code.id).or_default();
        if listed.len() < MAX_OF_A_KIND {
            listed.push(finding);
        } else {
            *more += 1;
        }
    }

    fn finish(self) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        for (mut listed, more) in self.0.into_values() {
            if more > 0
                && let Some(last) = listed.pop()
            {
                listed.push(last.with_note(format!("{more} more of this kind are not listed")));
            }
            findings.append(&mut listed);
        }
        findings
    }
}
