//! A kernel to build for: its headers wherever they are, its machine, its compiler, how its modules are compressed.
//!
//! Only reads, and installs nothing. Headers come from `/lib/modules/RELEASE/build`, from folders, or from package files in the
//! cache of [`crate::kernel::headers`], which are put together as they would lie on a machine where they are installed.

pub mod abi;
pub mod headers;
pub mod ko;
pub mod machine;
pub mod symvers;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, FileType};
use std::path::{Component, Path, PathBuf};

use bstr::ByteSlice;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::base::beneath::{self, Folder};
use crate::base::error::{Error, Result};
use crate::base::key::Key;
use crate::dkms::{ReadTree, compare_versions};
use crate::output::Stop;
use crate::package::Codec;
use crate::sign::Accepted;
use headers::{Cache, HeaderPackage};
use machine::{Headers, checked_release};

/// A kernel, with everything that building for it takes.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// As `uname -r` prints it there.
    pub release: String,
    /// As `uname -m` prints it there.
    pub arch: String,
    /// Its build folder on this machine.
    pub headers: Headers,
    /// Whether they lie where they expect to.
    pub is_installed: bool,
    /// What a build sees of it.
    pub parts: Vec<Part>,
    /// What built it.
    pub compiler: Compiler,
    /// How its own modules are compressed.
    pub codec: Codec,
    /// Which signatures of modules it can judge.
    pub accepted: Accepted,
    /// What stands behind the release in the `vermagic` of its modules, of the words that its configuration decides.
    pub magic: BTreeSet<String>,
    /// Changes whenever its headers do.
    pub identity: String,
    /// The unpacked packages that they come from; none where they lie on this machine.
    pub packages: Vec<HeaderPackage>,
}

/// A folder or link of the headers, as it lies where they are installed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Absolute.
    pub inside: String,
    pub kind: PartKind,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartKind {
    /// This folder or file.
    Folder(PathBuf),
    Link(PathBuf),
}

/// The compiler that built a kernel, by its configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Compiler {
    /// `gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0`; empty where the configuration does not say it.
    pub text: String,
    /// The command, such as `gcc-12`.
    pub command: String,
    /// Its version, such as `12.2.0`.
    pub version: String,
    /// Whether it is clang.
    pub is_clang: bool,
    /// Whether the linker is LLVM's.
    pub has_lld: bool,
}

/// Which kernels to build for, and where to look.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// Releases, and the words `all` and `running`.
    pub kernels: &'a [String],
    /// Package files and folders.
    pub headers: &'a [PathBuf],
    /// The release of the kernel that runs.
    pub running: Option<&'a str>,
    /// The machine that this program is for, as `uname -m` prints it.
    pub arch: &'a str,
    /// Where `/lib/modules` and `/usr/src` are: `/`.
    pub root: &'a Path,
    /// Unpacked packages.
    pub cache: &'a Cache,
    /// The packages that hold a kernel's headers where modules are for, with `%k` for its release.
    pub header_packages: &'a [String],
    /// Kernels whose headers are these packages of the cache and no others: digests by release.
    pub exact: &'a BTreeMap<String, Vec<String>>,
}

impl Kernel {
    /// What its headers are, on every machine: the SHA-256 digests of their packages, or one of all their files where they are none.
    pub fn content(&self, stop: &Stop) -> Result<Vec<String>> {
        if !self.packages.is_empty() {
            let mut digests: Vec<_> = self.packages.iter().map(|package| package.digest.clone()).collect();
            digests.sort();
            return Ok(digests);
        }
        let mut key = Key::default();
        for part in self.own_parts() {
            key.add(&part.inside);
            match &part.kind {
                PartKind::Folder(place) => {
                    walk(place, &mut |path, file_type| {
                        stop.check()?;
                        key.add(&shown(path.strip_prefix(place).unwrap_or(path)));
                        let failed = |error| Error::io("cannot read", path, error);
                        if file_type.is_symlink() {
                            key.add(&shown(&fs::read_link(path).map_err(failed)?));
                        } else if file_type.is_file() {
                            key.add(&format!("{:x}", Sha256::digest(fs::read(path).map_err(failed)?)));
                        }
                        Ok(())
                    })?;
                }
                PartKind::Link(target) => key.add(&shown(target)),
            }
        }
        Ok(vec![key.finish()])
    }

    /// Whether its headers are where they expect to lie, linked or installed.
    #[must_use]
    pub fn is_linked(&self) -> bool {
        self.parts.iter().all(|part| match &part.kind {
            PartKind::Folder(place) => is_same(Path::new(&part.inside), place),
            PartKind::Link(_) => Path::new(&part.inside).exists(),
        })
    }

    /// Links its headers to where they expect to lie, file by file: packages lead to each other by relative links, which make and the
    /// compiler follow from where a folder really is. An error where something else lies there.
    pub fn link(&self) -> Result<()> {
        for part in &self.parts {
            let inside = Path::new(&part.inside);
            match &part.kind {
                PartKind::Folder(place) if is_same(inside, place) => {}
                PartKind::Folder(place) => walk(place, &mut |path, file_type| {
                    let inside = inside.join(path.strip_prefix(place).unwrap_or(path));
                    if file_type.is_dir() {
                        return fs::create_dir_all(&inside).map_err(|error| not_linked(&inside, error));
                    }
                    if file_type.is_symlink() {
                        let target =
                            fs::read_link(path).map_err(|error| Error::io("cannot read", path, error))?;
                        return link_to(&target, &inside);
                    }
                    link_to(path, &inside)
                })?,
                PartKind::Link(target) => link_to(target, inside)?,
            }
        }
        Ok(())
    }

    /// The parts that its build folder leads to; there may be others on a machine, of other kernels.
    fn own_parts(&self) -> Vec<&Part> {
        let mut ways: Vec<PathBuf> =
            included(&self.headers).iter().map(|path| Path::new("/").join(path)).collect();
        ways.push(format!("/usr/lib/modules/{}/build", self.release).into());
        let mut own = BTreeSet::new();
        while let Some(way) = ways.pop() {
            let place = lexical(&way);
            let Some(part) = self.parts.iter().rfind(|part| place.starts_with(&part.inside)) else {
                continue;
            };
            if !own.insert(part) {
                continue;
            }
            let inside = Path::new(&part.inside);
            match &part.kind {
                PartKind::Link(target) => ways.push(inside.parent().unwrap_or(inside).join(target)),
                PartKind::Folder(place) => {
                    let _whole = walk(place, &mut |path, file_type| {
                        if let (true, Ok(target)) = (file_type.is_symlink(), fs::read_link(path)) {
                            let above = path.parent().and_then(|above| above.strip_prefix(place).ok());
                            ways.push(inside.join(above.unwrap_or(Path::new(""))).join(target));
                        }
                        Ok(())
                    });
                }
            }
        }
        own.into_iter().collect()
    }
}

/// A link at a place, unless it is there already.
fn link_to(target: &Path, inside: &Path) -> Result<()> {
    fs::create_dir_all(inside.parent().unwrap_or(inside)).map_err(|error| not_linked(inside, error))?;
    match std::os::unix::fs::symlink(target, inside) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if fs::read_link(inside).ok().as_deref() == Some(target) {
                return Ok(());
            }
            let error = Error::usage("something else is where headers are linked to:").at(inside);
            Err(error.hint("`--link` is for containers that are thrown away, without headers of their own"))
        }
        linked => linked.map_err(|error| not_linked(inside, error)),
    }
}

fn not_linked(inside: &Path, error: std::io::Error) -> Error {
    Error::io("cannot link headers to", inside, error)
}

/// Whether a folder has the same files as another one, or links to them.
fn is_same(one: &Path, other: &Path) -> bool {
    let differs = || Error::failed("they differ");
    let walked = walk(other, &mut |path, file_type| {
        let twin = one.join(path.strip_prefix(other).unwrap_or(path));
        let is_alike = if file_type.is_symlink() {
            fs::read_link(path).ok() == fs::read_link(&twin).ok()
        } else if file_type.is_file() {
            fs::read_link(&twin).ok().as_deref() == Some(path)
                || matches!((fs::read(path), fs::read(&twin)), (Ok(one), Ok(other)) if one == other)
        } else {
            twin.is_dir()
        };
        if is_alike { Ok(()) } else { Err(differs()) }
    });
    walked.is_ok()
}

/// Shows everything below a path, and the path itself, in the order of names.
fn walk(path: &Path, look: &mut dyn FnMut(&Path, FileType) -> Result<()>) -> Result<()> {
    let file_type =
        fs::symlink_metadata(path).map_err(|error| Error::io("cannot read", path, error))?.file_type();
    look(path, file_type)?;
    if file_type.is_dir() {
        for name in children(path) {
            walk(&path.join(name), look)?;
        }
    }
    Ok(())
}

/// A path without `.` and `..`.
fn lexical(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in parts(path) {
        if part == ".." {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

/// The release of the kernel that runs, proc(5).
#[must_use]
pub fn running() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned())
}

/// The kernels that are asked for, in that order and each once.
pub fn select(wanted: &Wanted<'_>, stop: &Stop) -> Result<Vec<Kernel>> {
    let sources = sources(wanted, stop)?;
    let releases = sources.releases()?;
    releases.iter().map(|release| sources.kernel(release)).collect()
}

/// The releases of all kernels whose headers are at hand: given, installed or kept; oldest first.
pub fn at_hand(wanted: &Wanted<'_>, stop: &Stop) -> Result<Vec<String>> {
    let sources = sources(wanted, stop)?;
    let mut releases: Vec<String> = sources.folders.keys().cloned().collect();
    releases.extend(sources.roots.iter().flat_map(|root| installed(root)));
    releases.extend(installed(wanted.root));
    let packages = sources.given.iter().chain(&sources.cached);
    releases.extend(packages.flat_map(|package| package.kernels.keys()).cloned());
    releases.sort_by(|one, other| compare_versions(one, other).then_with(|| one.cmp(other)));
    releases.dedup();
    Ok(releases)
}

/// What the configuration in a folder of headers says of its kernel, whole or not: the machine, and what stands behind the release in the
/// `vermagic` of its modules.
#[must_use]
pub fn stated(headers: &Headers) -> (Option<String>, Option<BTreeSet<String>>) {
    let config = Config::read(headers);
    (config.as_ref().and_then(Config::arch), config.as_ref().map(Config::magic))
}

/// The headers that are given, read.
fn sources<'a>(wanted: &'a Wanted<'a>, stop: &Stop) -> Result<Sources<'a>> {
    let (mut given, mut folders, mut roots) = (Vec::new(), Vec::new(), Vec::new());
    let all = spread(wanted.headers)?;
    for path in &all {
        if path.join("usr/src").is_dir() {
            roots.push(path.clone());
        } else if let packages = packages_in(path)
            && !packages.is_empty()
        {
            for package in packages {
                given.push(wanted.cache.add(&package, stop)?);
            }
        } else if path.is_dir() {
            folders.push(path.as_path());
        } else {
            given.push(wanted.cache.add(path, stop)?);
        }
    }
    let folders = named_folders(&folders, wanted.kernels)?;
    Ok(Sources { wanted, given, cached: wanted.cache.list()?, folders, roots })
}

/// The most bytes of a list of headers.
const LARGEST_LIST: u64 = 1 << 20;

/// Paths with those that a pattern (`headers/*.deb`) or a list (`@FILE`, a path a line) stands for in its place.
fn spread(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in given {
        let text = path.to_string_lossy();
        if let Some(list) = text.strip_prefix('@').filter(|_| !path.exists()) {
            let lines = beneath::read_text(Path::new(list), LARGEST_LIST)
                .map_err(|error| Error::io("cannot read the list", list, error).as_usage())?;
            let named =
                lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            all.extend(spread(
                &named.filter(|line| !line.starts_with('@')).map(PathBuf::from).collect::<Vec<_>>(),
            )?);
            continue;
        }
        if !text.contains(['*', '?', '[']) || path.exists() {
            all.push(path.clone());
            continue;
        }
        let (folder, pattern) =
            (path.parent().unwrap_or(Path::new("")), path.file_name().unwrap_or_default().to_string_lossy());
        let mode = gix_glob::wildmatch::Mode::NO_MATCH_SLASH_LITERAL;
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let is_like =
            |name: &String| gix_glob::wildmatch(pattern.as_ref().into(), name.as_str().into(), mode);
        let found: Vec<_> =
            children(here).into_iter().filter(is_like).map(|name| folder.join(name)).collect();
        if found.is_empty() {
            return Err(Error::usage("no headers are named like")
                .at(path)
                .hint("patterns stand in the last part of a path"));
        }
        all.extend(found);
    }
    Ok(all)
}

/// The package files of a folder, sorted.
pub(crate) fn packages_in(folder: &Path) -> Vec<PathBuf> {
    let is_package = |name: &String| name.ends_with(".deb") || name.ends_with(".rpm");
    children(folder).into_iter().filter(is_package).map(|name| folder.join(name)).collect()
}

/// Folders of headers with the kernel each is of.
fn named_folders(folders: &[&Path], kernels: &[String]) -> Result<BTreeMap<String, Headers>> {
    let mut named = BTreeMap::new();
    for folder in folders {
        let headers = Headers::open(folder)?;
        let release = match (headers.release(), kernels) {
            (_, [only]) if folders.len() == 1 && !matches!(only.as_str(), "all" | "running") => {
                checked_release(only)?
            }
            (Some(release), _) => release,
            (None, _) => {
                return Err(Error::usage("these headers do not say which kernel they are of:").at(*folder).hint(
                    "name the kernel with one `--kernel`, or give the folder that has include/generated/utsrelease.h",
                ));
            }
        };
        let same = |other: &Headers| fs::canonicalize(other.folder()).ok() == fs::canonicalize(folder).ok();
        if named.get(&release).is_some_and(|other| !same(other)) {
            return Err(Error::usage(format!(
                "two folders of headers are of the kernel `{release}`, of which this is one:"
            ))
            .at(*folder)
            .hint("name one of them"));
        }
        named.insert(release, headers);
    }
    Ok(named)
}

/// Everywhere headers may be.
struct Sources<'a> {
    wanted: &'a Wanted<'a>,
    /// The given packages.
    given: Vec<HeaderPackage>,
    /// All packages of the cache, the given ones among them.
    cached: Vec<HeaderPackage>,
    folders: BTreeMap<String, Headers>,
    /// Folders in which packages are unpacked, such as another system's root.
    roots: Vec<PathBuf>,
}

impl Sources<'_> {
    fn releases(&self) -> Result<Vec<String>> {
        let mut releases: Vec<String> = Vec::new();
        let mut add = |release: String| {
            if !releases.contains(&release) {
                releases.push(release);
            }
        };
        for name in self.wanted.kernels {
            match name.as_str() {
                "all" => {
                    let installed = installed(self.wanted.root);
                    if installed.is_empty() {
                        return Err(Error::usage("no kernel headers are installed")
                            .hint("install them, or give their packages: `--kernel-headers FILE…`"));
                    }
                    installed.into_iter().for_each(&mut add);
                }
                "running" => add(checked_release(self.wanted.running.unwrap_or_default())?),
                release => add(checked_release(release)?),
            }
        }
        if self.wanted.kernels.is_empty() {
            self.folders.keys().cloned().for_each(&mut add);
            self.roots.iter().flat_map(|root| installed(root)).for_each(&mut add);
            self.given.iter().flat_map(|package| package.kernels.keys()).cloned().for_each(&mut add);
        }
        if releases.is_empty() {
            return Err(Error::usage("no kernel is named to build for").hint(
                "name them: `--kernel RELEASE`, `--kernel all` for all whose headers are installed, or `--kernel-headers FILE…`",
            ));
        }
        Ok(releases)
    }

    /// Headers that are given count before installed ones, and these before what only the cache has.
    fn kernel(&self, release: &str) -> Result<Kernel> {
        if let Some(headers) = self.folders.get(release) {
            let inside = format!("usr/src/linux-headers-{release}");
            let mut layout = Layout::of_root(self.wanted.root);
            layout.add_folder(&inside, headers.folder());
            layout.add_link(&format!("usr/lib/modules/{release}/build"), &format!("/{inside}"));
            return layout.kernel(release, &[], self.wanted.arch);
        }
        if let Some(digests) = self.wanted.exact.get(release) {
            return self.exact(release, digests);
        }
        let newest = |packages: &'_ [HeaderPackage]| {
            let has = packages.iter().filter(|package| package.kernels.contains_key(release));
            has.max_by(|one, other| compare_versions(&one.version, &other.version)).cloned()
        };
        let has = |root: &&Path| installed(root).iter().any(|known| known == release);
        let in_root = |root: &Path| {
            let mut layout = Layout::of_root(root);
            layout.add_modules(root, release);
            layout.kernel(release, &[], self.wanted.arch)
        };
        if let Some(root) = self.roots.iter().map(PathBuf::as_path).find(has) {
            return in_root(root);
        }
        let package = match newest(&self.given) {
            Some(package) => package,
            None if has(&self.wanted.root) => return in_root(self.wanted.root),
            None => newest(&self.cached).ok_or_else(|| self.unknown(release))?,
        };
        self.of_packages(release, &self.with_needs(&package))
    }

    /// A kernel whose headers are known by their digests.
    fn exact(&self, release: &str, digests: &[String]) -> Result<Kernel> {
        let packages: Option<Vec<_>> = digests.iter().map(|digest| self.wanted.cache.get(digest)).collect();
        let Some(packages) = packages else {
            let text = format!("the headers of `{release}` that kernels.lock names are not here");
            return Err(Error::lacking(text).hint("`kpkg kernels fetch` brings them"));
        };
        if !packages.iter().any(|package| package.kernels.contains_key(release)) {
            let names: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
            let text = format!(
                "the packages that kernels.lock names for `{release}` hold no headers of it: {}",
                names.join(", ")
            );
            return Err(Error::usage(text).hint("`kpkg kernels update` reads anew what there is"));
        }
        self.of_packages(release, &packages.iter().collect::<Vec<_>>())
    }

    /// A kernel from packages, as they would lie where they are installed.
    fn of_packages(&self, release: &str, packages: &[&HeaderPackage]) -> Result<Kernel> {
        let mut layout = Layout::default();
        for package in packages {
            layout.add_package(package);
        }
        if let Some(build) = packages.iter().find_map(|package| package.kernels.get(release)) {
            layout.add_link(&format!("usr/lib/modules/{release}/build"), &format!("/{build}"));
        }
        layout.kernel(release, packages, self.wanted.arch)
    }

    /// A package and what it needs, as far as that is there: of its own version where there is one, else the newest.
    fn with_needs<'a>(&'a self, package: &'a HeaderPackage) -> Vec<&'a HeaderPackage> {
        let mut chosen = vec![package];
        let mut next = 0;
        while let Some(package) = chosen.get(next).copied() {
            next += 1;
            for name in &package.requires {
                if chosen.iter().any(|other| other.name == *name) {
                    continue;
                }
                let candidates = self.cached.iter().filter(|other| other.name == *name);
                let fits =
                    |other: &HeaderPackage| (other.version == package.version, self.given.contains(other));
                chosen.extend(candidates.max_by(|one, other| {
                    fits(one).cmp(&fits(other)).then_with(|| compare_versions(&one.version, &other.version))
                }));
            }
        }
        chosen
    }

    fn unknown(&self, release: &str) -> Error {
        let mut known: BTreeSet<String> = installed(self.wanted.root).into_iter().collect();
        known.extend(self.cached.iter().flat_map(|package| package.kernels.keys()).cloned());
        let nearest = known.iter().min_by_key(|other| strsim::damerau_levenshtein(other, release));
        let hint = match nearest {
            Some(nearest) if strsim::damerau_levenshtein(nearest, release) <= 2 => {
                format!("did you mean `{nearest}`?")
            }
            _ => {
                let names: Vec<_> =
                    self.wanted.header_packages.iter().map(|name| name.replace("%k", release)).collect();
                let names =
                    if names.is_empty() { String::new() } else { format!(" ({})", names.join(" or ")) };
                format!(
                    "install them{names}, or give their packages, which need not be installed: `--kernel-headers FILE…`"
                )
            }
        };
        Error::lacking(format!("there are no headers of the kernel `{release}`")).hint(hint)
    }
}

/// The kernels whose headers are installed below a root, oldest first.
#[must_use]
pub fn installed(root: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root.join("lib/modules")) else { return Vec::new() };
    let mut found: Vec<String> = entries
        .flatten()
        .filter(|entry| {
            // the link is absolute, and leads to the same place below the root
            let link = entry.path().join("build");
            let target = fs::read_link(&link).ok().filter(|target| target.is_absolute());
            let inside = target.and_then(|target| Some(root.join(target.strip_prefix("/").ok()?)));
            inside.unwrap_or(link).join("include").is_dir()
        })
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|release| checked_release(release).is_ok())
        .collect();
    found.sort_by(|one, other| compare_versions(one, other));
    found
}

// ---- how headers lie --------------------------------------------------------------------------------------------------------

/// Folders and links by their path, without the leading slash.
#[derive(Debug, Default)]
struct Layout {
    entries: BTreeMap<String, PartKind>,
}

impl Layout {
    /// What is installed of kernel sources and of the tools that build with them.
    fn of_root(root: &Path) -> Self {
        let mut layout = Self::default();
        for (folder, starts) in [("usr/src", ["linux", "kernels"]), ("usr/lib", ["linux-", "linux-"])] {
            layout.add_children(root, folder, &|name| starts.iter().any(|start| name.starts_with(start)));
        }
        layout
    }

    /// A link of a package stays one, and what it leads to is no part of the package.
    fn add_package(&mut self, package: &HeaderPackage) {
        let Ok(root) = Folder::open(&package.root) else { return };
        let names = |folder: &str| {
            let names = root.names(Path::new(folder)).unwrap_or_default();
            names.into_iter().filter_map(|name| name.into_string().ok())
        };
        for (folder, other) in [("usr/src", "kernels"), ("usr/src/kernels", ""), ("usr/lib", "modules")] {
            for name in names(folder).filter(|name| name != other) {
                self.add(format!("{folder}/{name}"), &package.root.join(folder).join(&name));
            }
        }
        // a folder that is none has no names
        for release in names("usr/lib/modules") {
            if names(&format!("usr/lib/modules/{release}")).next().is_some() {
                self.add_links(&package.root, "usr/lib", &release);
            }
        }
    }

    /// The links of an installed kernel's folder below `/lib/modules`.
    fn add_modules(&mut self, root: &Path, release: &str) {
        let folder = if root.join("usr/lib/modules").join(release).exists() { "usr/lib" } else { "lib" };
        for (inside, place) in self.add_links(root, folder, release) {
            // a kernel of one's own may have been built anywhere
            let target = fs::read_link(&place).ok().filter(|target| target.is_absolute());
            if let (Some(target), Err(_)) = (target, self.resolve(&inside)) {
                let target = target.to_string_lossy().trim_start_matches('/').to_owned();
                self.add(target.clone(), &root.join(target));
            }
        }
    }

    /// Where each is to lie, and where it lies.
    fn add_links(&mut self, root: &Path, folder: &str, release: &str) -> [(String, PathBuf); 2] {
        ["build", "source"].map(|name| {
            let place = root.join(folder).join("modules").join(release).join(name);
            let inside = format!("usr/lib/modules/{release}/{name}");
            self.add(inside.clone(), &place);
            (inside, place)
        })
    }

    fn add_children(&mut self, root: &Path, folder: &str, wanted: &dyn Fn(&str) -> bool) {
        for name in children(&root.join(folder)).into_iter().filter(|name| wanted(name)) {
            self.add(format!("{folder}/{name}"), &root.join(folder).join(&name));
        }
    }

    fn add(&mut self, inside: String, place: &Path) {
        let Ok(metadata) = fs::symlink_metadata(place) else { return };
        let kind = match fs::read_link(place) {
            Ok(target) if metadata.is_symlink() => PartKind::Link(target),
            _ => PartKind::Folder(place.to_owned()),
        };
        self.entries.entry(inside).or_insert(kind);
    }

    fn add_folder(&mut self, inside: &str, place: &Path) {
        self.entries.insert(inside.to_owned(), PartKind::Folder(place.to_owned()));
    }

    fn add_link(&mut self, inside: &str, target: &str) {
        self.entries.entry(inside.to_owned()).or_insert(PartKind::Link(target.into()));
    }

    /// Where a path leads on this machine, or the path that is missing on the way, both without the leading slash.
    fn resolve(&self, path: &str) -> std::result::Result<PathBuf, String> {
        let mut todo: Vec<String> = parts(Path::new(path));
        let (mut inside, mut links) = (PathBuf::new(), 0);
        todo.reverse();
        let mut place: Option<PathBuf> = None;
        while let Some(part) = todo.pop() {
            if part == ".." {
                inside.pop();
                place = self.entry(&inside).and_then(|(kind, rest)| match kind {
                    PartKind::Folder(folder) => Some(folder.join(rest)),
                    PartKind::Link(_) => None,
                });
                continue;
            }
            inside.push(&part);
            let known = self.entries.get(&inside.to_string_lossy().into_owned()).cloned();
            let here = match (known, &place) {
                (Some(kind), _) => Some(kind),
                (None, Some(folder)) => {
                    let path = folder.join(&part);
                    match fs::symlink_metadata(&path) {
                        Ok(metadata) if metadata.is_symlink() => {
                            fs::read_link(&path).ok().map(PartKind::Link)
                        }
                        Ok(_) => Some(PartKind::Folder(path)),
                        Err(_) => return Err(shown(&inside)),
                    }
                }
                (None, None) => None,
            };
            match here {
                Some(PartKind::Folder(folder)) => place = Some(folder),
                Some(PartKind::Link(target)) => {
                    links += 1;
                    if links > 40 {
                        return Err(shown(&inside));
                    }
                    // from the top again: what stands above may lie in another entry
                    let mut whole = if target.is_absolute() { PathBuf::new() } else { inside };
                    whole.pop();
                    for part in parts(&target) {
                        if part == ".." {
                            whole.pop();
                        } else {
                            whole.push(part);
                        }
                    }
                    let whole = match whole.strip_prefix("lib") {
                        Ok(rest) => Path::new("usr/lib").join(rest),
                        Err(_) => whole,
                    };
                    (inside, place) = (PathBuf::new(), None);
                    todo.extend(parts(&whole).into_iter().rev());
                }
                None => {
                    let prefix = format!("{}/", inside.display());
                    if !self.entries.keys().any(|path| path.starts_with(&prefix)) {
                        return Err(shown(&inside));
                    }
                }
            }
        }
        place.ok_or_else(|| shown(&inside))
    }

    /// The entry that a path lies in, and the rest of the path.
    fn entry(&self, path: &Path) -> Option<(&PartKind, PathBuf)> {
        path.ancestors().find_map(|above| {
            let kind = self.entries.get(&above.to_string_lossy().into_owned())?;
            Some((kind, path.strip_prefix(above).ok()?.to_owned()))
        })
    }

    /// The kernel whose headers lie like this, when nothing is missing.
    fn kernel(self, release: &str, packages: &[&HeaderPackage], arch: &str) -> Result<Kernel> {
        let build = format!("usr/lib/modules/{release}/build");
        let missing = |path: String| incomplete(release, &path, packages);
        let folder = self.resolve(&build).map_err(missing)?;
        let headers = Headers::open(&folder)?;
        for path in
            ["Makefile", "scripts", "scripts/Makefile.build", "scripts/mod/modpost", "scripts/basic/fixdep"]
        {
            self.resolve(&format!("{build}/{path}")).map_err(missing)?;
        }
        for path in included(&headers) {
            self.resolve(&path).map_err(missing)?;
        }
        let config =
            Config::read(&headers).ok_or_else(|| missing(format!("{build}/include/config/auto.conf")))?;
        let own = config.arch().unwrap_or_else(|| arch.to_owned());
        if own != arch {
            return Err(Error::usage(format!(
                "the headers of the kernel `{release}` are for {own}, and this machine is {arch}"
            ))
            .hint("build for a kernel on a machine of its kind"));
        }
        let identity = if packages.is_empty() {
            fingerprint(&headers, &folder)
        } else {
            packages.iter().map(|package| package.digest.as_str()).collect::<Vec<_>>().join(" ")
        };
        Ok(Kernel {
            release: release.to_owned(),
            arch: own,
            compiler: config.compiler(),
            codec: config.codec(),
            accepted: Accepted {
                hash: config.value("CONFIG_MODULE_SIG_HASH").map(str::to_owned),
                options: Accepted::OPTIONS
                    .iter()
                    .filter_map(|option| Some(((*option).to_owned(), config.value(option)?.to_owned())))
                    .collect(),
            },
            magic: config.magic(),
            is_installed: packages.is_empty() && headers.is_at_home(release),
            parts: self
                .entries
                .into_iter()
                .map(|(inside, kind)| Part { inside: format!("/{inside}"), kind })
                .collect(),
            headers,
            identity,
            packages: packages.iter().copied().cloned().collect(),
        })
    }
}

/// The names in a folder, sorted.
fn children(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn parts(path: &Path) -> Vec<String> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
            Component::ParentDir => Some("..".to_owned()),
            _ => None,
        })
        .collect()
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Files that the Makefile of a build folder takes in by an absolute path, without the leading slash.
fn included(headers: &Headers) -> Vec<String> {
    let text = headers.read("Makefile", 1 << 16).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().filter_map(|line| Some(line.strip_prefix("include /")?.trim().to_owned())).collect()
}

fn incomplete(release: &str, path: &str, packages: &[&HeaderPackage]) -> Error {
    let error =
        Error::usage(format!("the headers of the kernel `{release}` are not whole: there is no `/{path}`"));
    let needs: Vec<&String> = packages.iter().flat_map(|package| &package.requires).collect();
    let named =
        needs.iter().find(|name| Path::new(path).components().any(|part| part.as_os_str() == name.as_str()));
    match named {
        Some(name) => error.hint(format!("add the package `{name}`: `--kernel-headers {name}_….deb`")),
        None => error.hint("give all packages that they consist of, or install them"),
    }
}

/// Installed headers have no digest of a package: what decides about a build is their configuration, symbols and tools.
fn fingerprint(headers: &Headers, folder: &Path) -> String {
    let mut sha256 = Sha256::new();
    for path in [
        "include/generated/utsrelease.h",
        "include/config/auto.conf",
        "Module.symvers",
        "Makefile",
        // Debian's: the compiler, and what it overrides
        ".kernelvariables",
        "scripts/mod/modpost",
    ] {
        let bytes = headers.read(path, 64 << 20).unwrap_or_default();
        sha256.update((bytes.len() as u64).to_le_bytes());
        sha256.update(bytes);
    }
    sha256.update(folder.as_os_str().as_encoded_bytes());
    format!("{:x}", sha256.finalize())
}

// ---- what a kernel's configuration says -------------------------------------------------------------------------------------

/// The texts of `include/config/auto.conf` and of `.config`, each behind a line end.
struct Config(String);

impl Config {
    fn read(headers: &Headers) -> Option<Self> {
        // only the second tells what is not set
        let both = ["include/config/auto.conf", ".config"].map(|path| headers.read(path, 4 << 20));
        if both.iter().all(Option::is_none) {
            return None;
        }
        let both = both.into_iter().flatten().map(|bytes| format!("\n{}", String::from_utf8_lossy(&bytes)));
        Some(Self(both.collect()))
    }

    fn value(&self, option: &str) -> Option<&str> {
        let start = self.0.as_bytes().find(format!("\n{option}="))? + option.len() + 2;
        self.0[start..].lines().next().map(|value| value.trim_matches('"'))
    }

    fn has(&self, option: &str) -> bool {
        self.value(option) == Some("y")
    }

    /// `uname -m`.
    fn arch(&self) -> Option<String> {
        const ARCHES: &[(&str, &str)] = &[
            ("CONFIG_X86_64", "x86_64"),
            ("CONFIG_X86_32", "i686"),
            ("CONFIG_ARM64", "aarch64"),
            ("CONFIG_ARM", "armv7l"),
            ("CONFIG_S390", "s390x"),
            ("CONFIG_RISCV", "riscv64"),
            ("CONFIG_LOONGARCH", "loongarch64"),
        ];
        if self.has("CONFIG_PPC64") {
            return Some(if self.has("CONFIG_CPU_LITTLE_ENDIAN") { "ppc64le" } else { "ppc64" }.to_owned());
        }
        ARCHES.iter().find(|(option, _)| self.has(option)).map(|(_, arch)| (*arch).to_owned())
    }

    /// `include/linux/vermagic.h`; `CONFIG_PREEMPT_BUILD` since Linux 5.15.
    fn magic(&self) -> BTreeSet<String> {
        let preempts = self.has("CONFIG_PREEMPT_BUILD") || self.has("CONFIG_PREEMPT");
        let is_set = [
            self.has("CONFIG_SMP"),
            preempts && !self.has("CONFIG_PREEMPT_RT"),
            self.has("CONFIG_PREEMPT_RT"),
            self.has("CONFIG_MODULE_UNLOAD"),
            self.has("CONFIG_MODVERSIONS"),
        ];
        let words = abi::MAGIC.into_iter().zip(is_set);
        words.filter(|(_, is_set)| *is_set).map(|(word, _)| word.to_owned()).collect()
    }

    fn compiler(&self) -> Compiler {
        let text = self.value("CONFIG_CC_VERSION_TEXT").unwrap_or_default().to_owned();
        let is_clang = self.has("CONFIG_CC_IS_CLANG");
        let usual = if is_clang { "clang" } else { "gcc" };
        // `Debian clang version 19.1.7` begins with no command
        let first = text.split_whitespace().next().unwrap_or(usual);
        let command = if first.contains(usual) { first } else { usual };
        let is_version =
            |word: &&str| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.');
        let outside = text.split(['(', ')']).step_by(2).flat_map(str::split_whitespace);
        let version = outside.into_iter().find(is_version).unwrap_or_default();
        Compiler {
            command: command.to_owned(),
            version: version.to_owned(),
            is_clang,
            has_lld: self.has("CONFIG_LD_IS_LLD"),
            text,
        }
    }

    /// How `make modules_install` compresses; since Linux 6.13 only where `CONFIG_MODULE_COMPRESS_ALL` says so too.
    fn codec(&self) -> Codec {
        let is_off = self.value("CONFIG_MODULE_COMPRESS").is_some()
            && self.0.as_bytes().contains_str("CONFIG_MODULE_COMPRESS_ALL is not set");
        let all = [
            ("CONFIG_MODULE_COMPRESS_XZ", Codec::Xz),
            ("CONFIG_MODULE_COMPRESS_ZSTD", Codec::Zstd),
            ("CONFIG_MODULE_COMPRESS_GZIP", Codec::Gzip),
        ];
        let found = all.into_iter().find(|(option, _)| self.has(option));
        found.filter(|_| !is_off).map_or(Codec::None, |(_, codec)| codec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A root with the headers of a kernel, whose `build` is this link.
    fn root(build: &str, folder: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = root.path().join(folder).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        file("Makefile", "");
        file(
            "include/config/auto.conf",
            "CONFIG_A=y\nCONFIG_X86_64=y\nCONFIG_CC_VERSION_TEXT=\"gcc-12 (D 1-2) 12.2.0\"\nCONFIG_MODULE_COMPRESS_XZ=y\n",
        );
        for tool in ["Makefile.build", "mod/modpost", "basic/fixdep"] {
            let place = root.path().join("usr/lib/linux-kbuild-6.1/scripts").join(tool);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::write(place, "").unwrap();
        }
        symlink("/lib/linux-kbuild-6.1/scripts", root.path().join(folder).join("scripts")).unwrap();
        fs::create_dir_all(root.path().join("usr/lib/modules/6.1-x")).unwrap();
        symlink("usr/lib", root.path().join("lib")).unwrap();
        symlink(build, root.path().join("usr/lib/modules/6.1-x/build")).unwrap();
        root
    }

    fn select_in(root: &Path, kernels: &[&str]) -> Result<Vec<Kernel>> {
        let kernels: Vec<String> = kernels.iter().map(|kernel| (*kernel).to_owned()).collect();
        let cache = Cache::new(&root.join("cache"));
        let wanted = Wanted {
            kernels: &kernels,
            headers: &[],
            running: Some("6.1-x"),
            arch: "x86_64",
            root,
            cache: &cache,
            header_packages: &[],
            exact: &BTreeMap::new(),
        };
        select(&wanted, &Stop::default())
    }

    #[test]
    fn installed_headers_are_found_wherever_the_kernels_link_leads() {
        for (build, folder) in [
            ("/usr/src/linux-x", "usr/src/linux-x"),
            ("/opt/my kernel", "opt/my kernel"),
            ("../../../src/linux-x", "usr/src/linux-x"),
        ] {
            let root = root(build, folder);
            for kernels in [["all"], ["running"], ["6.1-x"]] {
                let found = select_in(root.path(), &kernels).unwrap();
                assert_eq!(found.len(), 1, "{build}");
                assert_eq!(found[0].headers.folder(), root.path().join(folder));
                assert_eq!(
                    (found[0].compiler.command.as_str(), found[0].compiler.version.as_str()),
                    ("gcc-12", "12.2.0")
                );
                assert_eq!(found[0].codec, Codec::Xz);
            }
        }
        let root = root("/usr/src/linux-x", "usr/src/linux-x");
        fs::remove_dir_all(root.path().join("usr/lib/linux-kbuild-6.1")).unwrap();
        let error = select_in(root.path(), &["6.1-x"]).unwrap_err();
        assert!(
            error.to_string().ends_with("are not whole: there is no `/usr/lib/linux-kbuild-6.1`"),
            "{error}"
        );
        let error = select_in(root.path(), &["6.1-y"]).unwrap_err();
        assert_eq!(error.hint_text(), Some("did you mean `6.1-x`?"));
    }

    #[test]
    fn a_configuration_tells_machine_compiler_and_compression() {
        let config = |text: &str| Config(format!("\n{text}"));
        assert_eq!(config("CONFIG_ARM64=y\n").arch().as_deref(), Some("aarch64"));
        assert_eq!(config("CONFIG_PPC64=y\nCONFIG_CPU_LITTLE_ENDIAN=y\n").arch().as_deref(), Some("ppc64le"));
        for (text, command, version) in [
            ("CONFIG_CC_VERSION_TEXT=\"gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-5)\"", "gcc", "11.5.0"),
            (
                "CONFIG_CC_VERSION_TEXT=x86_64-linux-gnu-gcc-12 (Ubuntu 12.3.0-1) 12.3.0",
                "x86_64-linux-gnu-gcc-12",
                "12.3.0",
            ),
            (
                "CONFIG_CC_VERSION_TEXT=\"Debian clang version 19.1.7 (3)\"\nCONFIG_CC_IS_CLANG=y",
                "clang",
                "19.1.7",
            ),
            ("CONFIG_X=y", "gcc", ""),
        ] {
            let compiler = config(text).compiler();
            assert_eq!((compiler.command.as_str(), compiler.version.as_str()), (command, version), "{text}");
        }
        for (text, codec) in [
            ("CONFIG_MODULE_COMPRESS_NONE=y\n", Codec::None),
            ("CONFIG_MODULE_COMPRESS_ZSTD=y\n", Codec::Zstd),
            (
                "CONFIG_MODULE_COMPRESS=y\nCONFIG_MODULE_COMPRESS_XZ=y\n# CONFIG_MODULE_COMPRESS_ALL is not set\n",
                Codec::None,
            ),
            (
                "CONFIG_MODULE_COMPRESS=y\nCONFIG_MODULE_COMPRESS_XZ=y\nCONFIG_MODULE_COMPRESS_ALL=y\n",
                Codec::Xz,
            ),
        ] {
            assert_eq!(config(text).codec(), codec, "{text}");
        }
    }
}
