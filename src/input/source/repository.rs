//! What git knows about a tree: which files it tracks, ignores and exports, and when HEAD was committed.
//!
//! Reads the repository in-process and never writes, runs `git`, or looks at the environment, at the user's or the
//! system's configuration, at `core.excludesFile` or at `.git/info`: the answer is the same for every clone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice};
use gix_attributes::search::{MetadataCollection, Outcome};
use gix_glob::pattern::Case;

use crate::base::beneath;

/// More than any ignore file that a person wrote; git refuses attribute files above this (`ATTR_MAX_FILE_SIZE`).
const MAX_RULES: u64 = 100 * 1024 * 1024;

/// A commit of this many bytes is not one: its size is believed before it is read.
const MAX_OBJECT: usize = 256 * 1024 * 1024;

/// A symbolic reference that leads through more names than this is broken (`SYMREF_MAXDEPTH` of git).
const MAX_SYMBOLIC: usize = 5;

/// The attribute that keeps a path out of what `git archive` writes, gitattributes(5).
const EXPORT_IGNORE: &str = "export-ignore";

/// What a look for a repository found.
pub(super) enum Found {
    /// No repository.
    Nothing,
    /// A repository that can be read.
    Repository(Box<Repository>),
    /// A repository that cannot be read, and why.
    Broken(String),
}

/// The rules of one folder's ignore and attribute files, pushed by [`Repository::enter`].
#[derive(Default)]
struct Level {
    ignore: bool,
    attributes: bool,
    exports: bool,
}

/// A repository, and the ignore and attribute files of the folders that the walk is in.
pub(super) struct Repository {
    top: PathBuf,
    git_dir: PathBuf,
    common_dir: PathBuf,
    hash: gix_hash::Kind,
    foreign_references: Option<String>,
    index: gix_index::State,
    ignore: gix_ignore::Search,
    attributes: gix_attributes::Search,
    names: MetadataCollection,
    outcome: Outcome,
    levels: Vec<Level>,
    exports: usize,
}

impl Repository {
    /// The repository that the folder `root` (canonical) lies in: the nearest `.git` upwards, as git looks for it.
    pub(super) fn around(root: &Path) -> Found {
        for folder in root.ancestors() {
            match Self::at(folder) {
                Found::Nothing => {}
                found => return found,
            }
        }
        Found::Nothing
    }

    /// The repository whose work tree begins at `top`.
    pub(super) fn at(top: &Path) -> Found {
        let dot_git = top.join(".git");
        let git_dir = match fs::metadata(&dot_git) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Found::Nothing;
            }
            Err(error) => return Found::Broken(format!("`{}`: {error}", dot_git.display())),
            Ok(metadata) if metadata.is_dir() => dot_git,
            // Work trees and submodules have a file that names the folder, gitrepository-layout(5).
            Ok(_) => match linked_git_dir(top, &dot_git) {
                Ok(git_dir) => git_dir,
                Err(reason) => return Found::Broken(reason),
            },
        };
        match Self::open(top, git_dir) {
            Ok(repository) => Found::Repository(Box::new(repository)),
            Err(reason) => Found::Broken(reason),
        }
    }

    fn open(top: &Path, git_dir: PathBuf) -> Result<Self, String> {
        if fs::symlink_metadata(git_dir.join("HEAD")).is_err() {
            return Err(format!("`{}` has no HEAD", git_dir.display()));
        }
        let common_dir = match read_rules(&git_dir.join("commondir")) {
            Ok(Some(text)) => git_dir.join(std::ffi::OsStr::from_bytes(text.trim_end())),
            Ok(None) => git_dir.clone(),
            Err(error) => return Err(format!("`{}`: {error}", git_dir.join("commondir").display())),
        };
        for file in [git_dir.join("HEAD"), common_dir.join("config"), common_dir.join("packed-refs")] {
            if fs::metadata(&file).is_ok_and(|metadata| !metadata.is_file()) {
                return Err(format!("`{}` is no file", file.display()));
            }
        }
        only_files(vec![git_dir.join("refs"), common_dir.join("refs"), common_dir.join("objects")])?;
        let (hash, foreign_references) = read_config(&common_dir.join("config"))?;
        let index_path = git_dir.join("index");
        // The index is read by length: a pipe or a device in its place would never end.
        let index = match fs::metadata(&index_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => gix_index::State::new(hash),
            Err(error) => return Err(format!("`{}`: {error}", index_path.display())),
            Ok(metadata) if !metadata.is_file() => {
                return Err(format!("`{}` is no file", index_path.display()));
            }
            Ok(_) => gix_index::File::at(&index_path, hash, false, gix_index::decode::Options::default())
                .map_err(|error| format!("`{}`: {}", index_path.display(), reason(&error)))?
                .into(),
        };
        Ok(Self {
            top: top.to_path_buf(),
            git_dir,
            common_dir,
            hash,
            foreign_references,
            index,
            ignore: gix_ignore::Search::default(),
            attributes: gix_attributes::Search::default(),
            names: MetadataCollection::default(),
            outcome: Outcome::default(),
            levels: Vec::new(),
            exports: 0,
        })
    }

    /// Where its work tree begins.
    pub(super) fn top(&self) -> &Path {
        &self.top
    }

    /// Whether the index has a file or link of this path, in whatever stage of a merge.
    pub(super) fn tracks(&self, path: &[u8]) -> bool {
        self.path_from(path) == Some(path)
    }

    /// Whether the index has something below this folder (all of the tree for the empty path); a submodule counts.
    pub(super) fn tracks_below(&self, folder: &[u8]) -> bool {
        if folder.is_empty() {
            return !self.index.entries().is_empty();
        }
        let below = [folder, b"/"].concat();
        self.path_from(&below).is_some_and(|path| path.starts_with(&below)) || self.tracks(folder)
    }

    /// The first path of the index that does not sort before `path`; the index is in byte order, gitformat-index(5).
    fn path_from(&self, path: &[u8]) -> Option<&[u8]> {
        let entries = self.index.entries();
        let at = entries.partition_point(|entry| entry.path(&self.index).as_bytes() < path);
        entries.get(at).map(|entry| entry.path(&self.index).as_bytes())
    }

    /// Reads the ignore and attribute files of a folder; answers are about its entries until [`Repository::leave`].
    pub(super) fn enter(&mut self, folder: &[u8]) -> io::Result<()> {
        let mut level = Level::default();
        let on_disk = self.top.join(std::ffi::OsStr::from_bytes(folder));
        if let Some(text) = read_rules(&on_disk.join(".gitignore"))? {
            let source = PathBuf::from(std::ffi::OsStr::from_bytes(&join(folder, b".gitignore")));
            let parse = gix_ignore::search::Ignore { support_precious: false };
            self.ignore.add_patterns_buffer(&text, source, Some(Path::new("")), parse)?;
            level.ignore = true;
        }
        if let Some(text) = read_rules(&on_disk.join(".gitattributes"))? {
            level.exports = text.find(EXPORT_IGNORE).is_some();
            let source = PathBuf::from(std::ffi::OsStr::from_bytes(&join(folder, b".gitattributes")));
            // Macros may be defined at the top only, gitattributes(5).
            let macros = folder.is_empty();
            let names = &mut self.names;
            self.attributes.add_patterns_buffer(&text, source, Some(Path::new("")), names, macros)?;
            self.outcome.initialize_with_selection(&self.names, [EXPORT_IGNORE]);
            level.attributes = true;
        }
        self.exports += usize::from(level.exports);
        self.levels.push(level);
        Ok(())
    }

    /// Forgets the rules of the folder that was entered last.
    pub(super) fn leave(&mut self) {
        let level = self.levels.pop().unwrap_or_default();
        if level.ignore {
            self.ignore.patterns.pop();
        }
        if level.attributes {
            self.attributes.pop_pattern_list();
        }
        self.exports -= usize::from(level.exports);
    }

    /// The rule of a `.gitignore` that matches this path itself, in words; its folders are the caller's to ask for.
    pub(super) fn ignores(&self, path: &[u8], is_folder: bool) -> Option<String> {
        let found =
            self.ignore.pattern_matching_relative_path(path.as_bstr(), Some(is_folder), Case::Sensitive)?;
        if found.pattern.is_negative() {
            return None;
        }
        let file = found.source.map(|path| path.display().to_string()).unwrap_or_default();
        Some(format!(
            "not tracked, and ignored by `{}` (`{file}` line {})",
            found.pattern, found.sequence_number
        ))
    }

    /// The rule of a `.gitattributes` that sets `export-ignore` for this path itself, in words.
    pub(super) fn hides_from_export(&mut self, path: &[u8], is_folder: bool) -> Option<String> {
        if self.exports == 0 {
            return None;
        }
        self.outcome.reset();
        let path: &BStr = path.as_bstr();
        self.attributes.pattern_matching_relative_path(
            path,
            Case::Sensitive,
            Some(is_folder),
            &mut self.outcome,
        );
        let found = self.outcome.iter_selected().next()?;
        if !found.assignment.state.is_set() {
            return None;
        }
        let file = found.location.source.map(|path| path.display().to_string()).unwrap_or_default();
        let line = found.location.sequence_number;
        Some(format!("attribute `export-ignore` for `{}` (`{file}` line {line})", found.pattern))
    }

    /// The committer's time of HEAD in seconds since 1970; nothing before the first commit.
    pub(super) fn commit_time(&self) -> Result<Option<i64>, String> {
        self.head()?.map(|id| self.time_of(&id)).transpose()
    }

    /// The committer's time of HEAD and the first digits of its hash; nothing before the first commit, and in a shallow clone.
    pub(super) fn newest(&self) -> Result<Option<(i64, String)>, String> {
        if self.common_dir.join("shallow").exists() {
            return Ok(None);
        }
        let newest = |id: gix_hash::ObjectId| Ok((self.time_of(&id)?, id.to_hex_with_len(7).to_string()));
        self.head()?.map(newest).transpose()
    }

    /// The tag that is nearest to HEAD, as `git describe --tags` finds it, of those that `choose` leaves; nothing without a commit or
    /// a tag.
    pub(super) fn describe(
        &self,
        choose: &dyn Fn(Vec<String>) -> Vec<String>,
    ) -> Result<Option<Described>, String> {
        let Some(head) = self.head()? else { return Ok(None) };
        let mut names: BTreeMap<_, BString> = BTreeMap::new();
        let tags = self.tags()?;
        let chosen: BTreeSet<String> =
            choose(tags.iter().map(|(tag, _)| tag.to_string()).collect()).into_iter().collect();
        for (tag, id) in tags.into_iter().filter(|(tag, _)| chosen.contains(&tag.to_string())) {
            // the shortest of several tags on one commit, as `v1.0` before `v1.0-final`
            let known = names.entry(id).or_insert_with(|| tag.clone());
            if tag.len() < known.len() {
                *known = tag;
            }
        }
        let objects = self.objects()?;
        let mut graph = gix_revision::Graph::new(&objects, None);
        let options = gix_revision::describe::Options {
            name_by_oid: names.into_iter().map(|(id, name)| (id, name.into())).collect(),
            ..Default::default()
        };
        let found = gix_revision::describe(&head, &mut graph, options).map_err(|error| reason(&error))?;
        Ok(found.and_then(|found| {
            Some(Described {
                tag: found.name?.to_str().ok()?.to_owned(),
                commits: found.depth,
                commit: found.id.to_hex_with_len(7).to_string(),
            })
        }))
    }

    /// The commit that a tag, a branch or a hash names.
    pub(super) fn resolve(&self, revision: &str) -> Result<gix_hash::ObjectId, String> {
        let store = self.references()?;
        let objects = self.objects()?;
        for name in [
            format!("refs/tags/{revision}"),
            format!("refs/heads/{revision}"),
            format!("refs/remotes/{revision}"),
        ] {
            let Ok(name) = gix_ref::FullName::try_from(name) else { continue };
            let found = store.try_find(name.as_ref().as_partial_name()).map_err(|error| reason(&error))?;
            if let Some(gix_ref::Target::Object(id)) = found.map(|reference| reference.target) {
                return self.peeled(&objects, id).ok_or_else(|| "it names no commit".to_owned());
            }
        }
        if revision == "HEAD" {
            return self.head()?.ok_or_else(|| "there is no commit yet".to_owned());
        }
        let prefix =
            gix_hash::Prefix::from_hex(revision).map_err(|_| "there is no such tag or branch".to_owned())?;
        match objects.lookup_prefix(prefix, None).map_err(|error| reason(&error))? {
            Some(Ok(id)) => self.peeled(&objects, id).ok_or_else(|| "it names no commit".to_owned()),
            Some(Err(())) => Err("several objects begin so".to_owned()),
            None => Err("there is no such commit".to_owned()),
        }
    }

    /// The files of a commit, as an index.
    pub(super) fn index_of(&self, commit: &gix_hash::ObjectId) -> Result<gix_index::State, String> {
        use gix_object::Find;
        let objects = self.objects()?;
        let mut buffer = Vec::new();
        let data = objects
            .try_find(commit, &mut buffer)
            .map_err(|error| reason(&error))?
            .ok_or_else(|| format!("commit {commit} is missing"))?;
        let tree = gix_object::CommitRefIter::from_bytes(data.data, self.hash)
            .tree_id()
            .map_err(|error| reason(&error))?;
        gix_index::State::from_tree(&tree, &objects, gix_validate::path::component::Options::default())
            .map_err(|error| reason(&error))
    }

    /// A repository in `folder` whose work tree is a commit of this one: its own HEAD and index, the objects of this one, as a
    /// linked work tree has it (gitrepository-layout(5)).
    pub(super) fn write_beside(
        &self,
        folder: &Path,
        commit: &gix_hash::ObjectId,
        index: gix_index::State,
    ) -> Result<(), String> {
        let git_dir = folder.join(".git");
        let common = fs::canonicalize(&self.common_dir).map_err(|error| error.to_string())?;
        let write = || -> io::Result<File> {
            fs::create_dir(&git_dir)?;
            fs::write(git_dir.join("HEAD"), format!("{commit}\n"))?;
            fs::write(git_dir.join("commondir"), [common.as_os_str().as_bytes(), b"\n"].concat())?;
            File::create(git_dir.join("index"))
        };
        let file = write().map_err(|error| error.to_string())?;
        gix_index::File::from_state(index, git_dir.join("index"))
            .write_to(io::BufWriter::new(file), gix_index::write::Options::default())
            .map(drop)
            .map_err(|error| reason(&error))
    }

    /// The tags and the commits they lead to.
    fn tags(&self) -> Result<Vec<(BString, gix_hash::ObjectId)>, String> {
        let store = self.references()?;
        let packed =
            store.cached_packed_buffer().map_err(|error| format!("packed-refs: {}", reason(&error)))?;
        let objects = self.objects()?;
        let mut tags = Vec::new();
        let all = store.iter_packed(packed.as_ref().map(|buffer| &***buffer));
        for reference in all.map_err(|error| format!("refs: {error}"))? {
            let Ok(reference) = reference else { continue };
            let Some(name) = reference.name.as_bstr().strip_prefix(b"refs/tags/") else { continue };
            let gix_ref::Target::Object(id) = reference.target else { continue };
            tags.extend(self.peeled(&objects, id).map(|commit| (name.into(), commit)));
        }
        tags.sort();
        Ok(tags)
    }

    /// The commit that an object is, or that a tag leads to.
    fn peeled(&self, objects: &gix_odb::Handle, mut id: gix_hash::ObjectId) -> Option<gix_hash::ObjectId> {
        use gix_object::Find;
        let mut buffer = Vec::new();
        for _ in 0..MAX_SYMBOLIC {
            let data = objects.try_find(&id, &mut buffer).ok()??;
            match data.kind {
                gix_object::Kind::Commit => return Some(id),
                gix_object::Kind::Tag => {
                    id = gix_object::TagRefIter::from_bytes(data.data, self.hash).target_id().ok()?;
                }
                _ => return None,
            }
        }
        None
    }

    fn references(&self) -> Result<gix_ref::file::Store, String> {
        if let Some(kind) = &self.foreign_references {
            return Err(format!("its references are kept as `{kind}`, which is not read yet"));
        }
        Ok(if self.common_dir == self.git_dir {
            gix_ref::file::Store::at(self.git_dir.clone(), self.hash)
        } else {
            gix_ref::file::Store::for_linked_worktree(
                self.git_dir.clone(),
                self.common_dir.clone(),
                self.hash,
            )
        })
    }

    pub(super) fn objects(&self) -> Result<gix_odb::Handle, String> {
        let limits =
            gix_odb::store::init::Options { alloc_limit_bytes: Some(MAX_OBJECT), ..Default::default() };
        gix_odb::at_opts(self.common_dir.join("objects"), self.hash, None, limits)
            .map_err(|error| format!("its objects: {error}"))
    }

    /// The commit that is checked out; nothing before the first one.
    fn head(&self) -> Result<Option<gix_hash::ObjectId>, String> {
        let store = self.references()?;
        let mut target =
            store.find_loose("HEAD").map_err(|error| format!("HEAD: {}", reason(&error)))?.target;
        for _ in 0..MAX_SYMBOLIC {
            let name = match target {
                gix_ref::Target::Object(id) => return Ok(Some(id)),
                gix_ref::Target::Symbolic(name) => name,
            };
            let found = store
                .try_find(name.as_ref().as_partial_name())
                .map_err(|error| format!("`{}`: {}", name.as_bstr(), reason(&error)))?;
            match found {
                Some(reference) => target = reference.target,
                None => return Ok(None),
            }
        }
        Err("HEAD leads through too many names".to_owned())
    }

    fn time_of(&self, id: &gix_hash::ObjectId) -> Result<i64, String> {
        use gix_object::Find;
        let objects = self.objects()?;
        let mut buffer = Vec::new();
        let data = objects
            .try_find(id, &mut buffer)
            .map_err(|error| format!("commit {id}: {}", reason(&error)))?
            .ok_or_else(|| format!("commit {id} is missing"))?;
        if data.kind != gix_object::Kind::Commit {
            return Err(format!("{id} is no commit"));
        }
        let committer = gix_object::CommitRefIter::from_bytes(data.data, self.hash)
            .committer()
            .map_err(|error| format!("commit {id}: {}", reason(&error)))?;
        Ok(committer.time().map_err(|error| format!("commit {id}: {}", reason(&error)))?.seconds)
    }
}

/// Where a commit is: so many commits after a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub tag: String,
    /// How many commits came after it; 0: the tag is on the commit itself.
    pub commits: u32,
    /// The first digits of the commit's hash.
    pub commit: String,
}

/// The hash of the repository, and how references are kept when it is not as files; gitrepository-layout(5).
fn read_config(path: &Path) -> Result<(gix_hash::Kind, Option<String>), String> {
    if fs::symlink_metadata(path).is_err() {
        return Ok((gix_hash::Kind::Sha1, None));
    }
    let config = gix_config::File::from_path_no_includes(path.to_path_buf(), gix_config::Source::Local)
        .map_err(|error| format!("`{}`: {}", path.display(), reason(&error)))?;
    let hash = match config.string("extensions.objectFormat") {
        None => gix_hash::Kind::Sha1,
        Some(name) if name.eq_ignore_ascii_case(b"sha1") => gix_hash::Kind::Sha1,
        Some(name) if name.eq_ignore_ascii_case(b"sha256") => gix_hash::Kind::Sha256,
        Some(name) => return Err(format!("its objects have hashes of an unknown kind, `{name}`")),
    };
    let references =
        config.string("extensions.refStorage").filter(|kind| !kind.eq_ignore_ascii_case(b"files"));
    Ok((hash, references.map(|kind| kind.to_string())))
}

/// Fails where one of the folders has something else than files and folders, at any depth: a pipe would be waited for without end, and a
/// link leads to what is not the repository's.
fn only_files(mut folders: Vec<PathBuf>) -> Result<(), String> {
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("`{}`: {error}", folder.display())),
        };
        for entry in entries {
            let entry = entry.map_err(|error| format!("`{}`: {error}", folder.display()))?;
            let kind = entry.file_type().map_err(|error| format!("`{}`: {error}", entry.path().display()))?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if !kind.is_file() {
                return Err(format!("`{}` is no file", entry.path().display()));
            }
        }
    }
    Ok(())
}

/// The folder that a `.git` file names, relative to the folder the file is in.
fn linked_git_dir(top: &Path, file: &Path) -> Result<PathBuf, String> {
    let text = match read_rules(file) {
        Ok(Some(text)) => text,
        Ok(None) => return Err(format!("`{}` is neither a folder nor a file", file.display())),
        Err(error) => return Err(format!("`{}`: {error}", file.display())),
    };
    let Some(path) = text.strip_prefix(b"gitdir:") else {
        return Err(format!("`{}` does not begin with `gitdir:`", file.display()));
    };
    let git_dir = top.join(std::ffi::OsStr::from_bytes(path.trim()));
    if !git_dir.is_dir() {
        return Err(format!("`{}` names `{}`, which is not there", file.display(), git_dir.display()));
    }
    if !leads_back(&git_dir, top, file) {
        return Err(format!(
            "`{}` names `{}`, which is another folder's: neither its `gitdir` nor its `core.worktree` names this one",
            file.display(),
            git_dir.display()
        ));
    }
    Ok(git_dir)
}

/// Whether the folder of a work tree (`git worktree`) or of a submodule names the place that it is of, as git writes it there: a file
/// that came with a tree cannot make that of another repository.
fn leads_back(git_dir: &Path, top: &Path, file: &Path) -> bool {
    let is = |named: &[u8], wanted: &Path| {
        let named = fs::canonicalize(git_dir.join(std::ffi::OsStr::from_bytes(named.trim())));
        named.is_ok_and(|named| fs::canonicalize(wanted).is_ok_and(|wanted| named == wanted))
    };
    if let Ok(Some(text)) = read_rules(&git_dir.join("gitdir")) {
        return is(&text, file);
    }
    let Ok(Some(text)) = read_rules(&git_dir.join("config")) else { return false };
    let config = gix_config::File::try_from(text.to_str_lossy().as_ref()).ok();
    config.is_some_and(|config| config.string("core.worktree").is_some_and(|named| is(&named, top)))
}

/// The text of a file of rules; nothing for what is missing, no regular file, or a link: git does not follow one
/// inside the tree, since it could lead out of it (gitignore(5), notes).
fn read_rules(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // A link, by O_NOFOLLOW of open(2); a socket.
        Err(error) => match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_file() => return Err(error),
            _ => return Ok(None),
        },
    };
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    Ok(Some(beneath::start(file, MAX_RULES)?))
}

/// `folder/name`, or `name` at the top.
pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

/// An error of the git crates with its causes, on one line.
pub(super) fn reason(error: &gix_error::Error) -> String {
    format!("{error:#}").replace('\n', ", ")
}
