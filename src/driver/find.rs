//! Finds the dkms.conf files of a tree, and for each the root of its source: what becomes `/usr/src/NAME-VERSION`.
//!
//! Looks at names, at Makefiles and at what the files themselves point to; decides nothing about packages and runs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::base::beneath;
use crate::base::diagnostic::{Code, Diagnostic, Severity};
use crate::base::error::{Error, Result};
use crate::dkms::{self, Conf, ConfFile, Facts, Inputs, ReadTree};
use crate::driver::kbuild::{self, Kbuild, join};
use crate::driver::layout::{self, Lack, Layout};
use crate::driver::packaging::{self, Files};
use crate::driver::tree;
use crate::input::source::{self, Moved, read_start};

/// The findings of this layer.
pub const CODES: &[&Code] = &[&NO_CONF, &ELSEWHERE, &SEVERAL, &TIE, &MOVED];

pub(crate) const NO_CONF: Code = Code {
    id: "K0101",
    title: "there is no dkms.conf",
    explanation: "Without a dkms.conf kpkg reads the Makefiles as kbuild does, and makes one from the modules that they name,\n\
                  the folder they are in, and what the driver's own Makefile needs. `kpkg init` writes it into the tree, with\n\
                  a comment on each line that says where it is from. Where no Makefile makes a module there is no driver.",
};
const ELSEWHERE: Code = Code {
    id: "K0108",
    title: "dkms.conf was found elsewhere, or the source has another root",
    explanation: "dkms wants a file `dkms.conf` in the root of the source. Many drivers keep it in another folder or under\n\
                  another name (`dkms.conf.in`, `NAME.dkms`) and move it while they are packaged. kpkg takes the file it\n\
                  finds, and as the root the folder that has what the file points to: the folders that MAKE enters, the\n\
                  modules that Makefiles make there, their sources, patches and scripts. `--dkms-conf` chooses another\n\
                  file, and `root` in the `[source]` table of kpkg.toml another root.",
};
const SEVERAL: Code = Code {
    id: "K0109",
    title: "the tree has several dkms.conf files, or several drivers",
    explanation: "One that lies in the root counts before others, then `dkms.conf` before `dkms.conf.in`, `*.dkms` and\n\
                  other names, and a shallow one before a deep one. When they are for different drivers, nothing is\n\
                  chosen: `--dkms-conf FILE` names one, and `--all` packages every one of them. Folders with Makefiles of\n\
                  modules that have nothing to do with each other are several drivers as well: none reads files of the\n\
                  other, uses what it exports, or is named beside it in a Makefile above both.",
};
const TIE: Code = Code {
    id: "K0111",
    title: "two folders have what dkms.conf points to",
    explanation: "dkms.conf lies in neither of them, and both have the folders, Makefiles, modules and sources that it\n\
                  points to. `root` in the `[source]` table of kpkg.toml says which one becomes /usr/src/NAME-VERSION.",
};
const MOVED: Code = Code {
    id: "K0112",
    title: "files are packaged in another place than they have in the tree",
    explanation: "No folder of the tree has everything that dkms.conf points to. With files where the tree's own packaging or\n\
                  install script puts them below /usr/src, with the files beside dkms.conf in the root, or with a folder of\n\
                  the right name where it is looked for, one has: so the vendor moves them, and so does kpkg. `map` in the\n\
                  `[source]` table of kpkg.toml says it, or something else, for good; `kpkg init` writes it.",
};

/// More entries than this are not looked at.
const ENTRIES: usize = 500_000;
/// What is read of a dkms.conf: more than dkms's reader takes, so that one that is too large is told.
const CONF: u64 = (1 << 20) + 1;
/// How many folders with a Makefile can be the root.
const FOLDERS: usize = 200;
/// How many folders of one name may lie elsewhere.
const MAPS: usize = 8;
/// How many roots that do not fit are told.
const TRIED: usize = 4;

/// A driver in a tree.
#[derive(Debug, Clone)]
pub struct Found {
    /// The folder that becomes `/usr/src/NAME-VERSION`.
    pub root: PathBuf,
    /// The dkms.conf that counts; nothing where there is none and one has to be inferred.
    pub conf: Option<ConfFile>,
    /// What lies elsewhere in the package than below the root.
    pub map: Vec<Moved>,
    /// Where no folder has everything: those that were looked at, the best first.
    pub tried: Vec<Tried>,
    /// What there is to say about the choice.
    pub findings: Vec<Diagnostic>,
}

impl Found {
    /// A driver without a dkms.conf.
    fn new(root: PathBuf, map: Vec<Moved>) -> Self {
        Self { root, conf: None, map, tried: Vec::new(), findings: Vec::new() }
    }
}

/// A folder that was looked at as a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    pub root: PathBuf,
    /// How many things it lacks.
    pub lacks: usize,
}

/// The root, below the folder, and what lies elsewhere in the package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub root: Option<String>,
    /// What lies elsewhere.
    pub map: Vec<Moved>,
}

/// What is said for a dkms.conf alone, in the place of everything that the [`Search`] say for all.
pub type SaidFor<'a> = &'a dyn Fn(&Path) -> Result<Option<Said>>;

/// What the caller says.
#[derive(Clone, Default)]
pub struct Search<'a> {
    /// The dkms.conf to use, as a path of its own or below the folder.
    pub conf: Option<&'a Path>,
    /// Every driver of the tree.
    pub all: bool,
    /// The root, relative to the folder.
    pub root: Option<&'a str>,
    /// What lies elsewhere in the package.
    pub map: &'a [Moved],
    /// For one dkms.conf.
    pub said: Option<SaidFor<'a>>,
}

/// The drivers in `folder`; one, unless all are asked for.
pub fn find(folder: &Path, options: &Search<'_>) -> Result<(Vec<Found>, Vec<Diagnostic>)> {
    if !folder.is_dir() {
        return Err(Error::usage("there is no folder")
            .at(folder)
            .hint("give the folder of a driver: `kpkg DIR`"));
    }
    let mut findings = Vec::new();
    let listing = Listing::new(folder)?;
    let confs = match options.conf {
        Some(path) if path.exists() => vec![read_file(path.to_owned())?],
        Some(path) => vec![read_file(folder.join(path))?],
        None if !options.all && below(folder, "dkms.conf").exists() => {
            vec![read_file(below(folder, "dkms.conf"))?]
        }
        None => choose(&listing, options.all, &mut findings)?,
    };
    let mut found = Vec::new();
    for conf in confs {
        let path = conf.path.clone();
        let nearer = options.said.map(|said| said(&path)).transpose()?.flatten();
        let said = nearer
            .unwrap_or_else(|| Said { root: options.root.map(str::to_owned), map: options.map.to_vec() });
        let mut driver = if said.root.is_some() || !said.map.is_empty() {
            let root = named_root(folder, said.root.as_deref().unwrap_or("."))?;
            Found { conf: Some(conf), ..Found::new(root, said.map) }
        } else {
            root_of(&listing, &conf)?
        };
        let root = &driver.root;
        if root != folder || path.parent() != Some(root) && path != below(root, "dkms.conf") {
            let text =
                format!("the dkms.conf is `{}`, and the source is `{}`", path.display(), root.display());
            driver.findings.push(Diagnostic::note(&ELSEWHERE, text));
        }
        found.push(driver);
    }
    let is_said = options.root.is_some() || !options.map.is_empty();
    if found.is_empty() || options.all && options.conf.is_none() && !is_said {
        let covered = found.iter().filter_map(|driver| relative(folder, &driver.root)).collect::<Vec<_>>();
        let bare = if is_said { Vec::new() } else { without_conf(&listing, &covered) };
        let driver = |root: PathBuf| Found::new(root, options.map.to_vec());
        match bare.as_slice() {
            [_, _, ..] if !options.all => return Err(several(folder, &[], &bare)),
            [_, _, ..] => found.extend(bare.iter().map(|bare| driver(below(folder, &bare.root)))),
            [only] if !found.is_empty() => found.push(driver(below(folder, &only.root))),
            _ if found.is_empty() => {
                let root =
                    options.root.map_or_else(|| Ok(folder.to_owned()), |root| named_root(folder, root))?;
                found.push(driver(root));
            }
            _ => {}
        }
    }
    Ok((found, findings))
}

/// A folder as it is called below another one.
fn relative(folder: &Path, path: &Path) -> Option<String> {
    let inside =
        if folder == Path::new(".") && path != folder { path } else { path.strip_prefix(folder).ok()? };
    inside.to_str().map(str::to_owned)
}

/// An error that lists drivers to choose from.
fn several(folder: &Path, confs: &[(String, String)], bare: &[Bare]) -> Error {
    let count = confs.len() + bare.len();
    let text = if bare.is_empty() {
        format!("`{}` has the dkms.conf files of {count} drivers", folder.display())
    } else {
        format!("`{}` has {count} drivers", folder.display())
    };
    let mut finding = Diagnostic::error(&SEVERAL, text);
    for (name, path) in confs {
        finding = finding.with_note(format!("`{name}`: `{}`", below(folder, path).display()));
    }
    for driver in bare {
        let names = driver.modules.iter().take(NAMED).cloned().collect::<Vec<_>>().join("`, `");
        let more = if driver.modules.len() > NAMED { " and more" } else { "" };
        let place = below(folder, &driver.root);
        finding = finding.with_note(format!("`{names}`{more}: `{}`, without a dkms.conf", place.display()));
    }
    let choice = match (confs, bare) {
        ([(_, path), ..], _) => format!("`--dkms-conf {path}`"),
        (_, [first, ..]) => format!("`kpkg {}`", below(folder, &first.root).display()),
        _ => String::new(),
    };
    Error::diagnostics(vec![finding.hint(format!("choose one, {choice}, or package all of them, `--all`"))])
}

/// How many modules of a driver are named.
const NAMED: usize = 3;

/// A path as the user would write it: without `./` in front.
#[must_use]
pub fn below(folder: &Path, name: &str) -> PathBuf {
    match (folder == Path::new("."), name) {
        (_, "") => folder.to_owned(),
        (true, name) => PathBuf::from(name),
        (false, name) => folder.join(name),
    }
}

/// What a path relative to a folder below another one is called in that one; nothing where it leads out.
#[must_use]
pub fn inside(folder: &Path, below: &Path, path: &str) -> Option<String> {
    let mut parts = Vec::new();
    let start = relative(folder, below)?;
    for part in Path::new(&start).components().chain(Path::new(path).components()) {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::Normal(name) => parts.push(name.to_str()?),
            std::path::Component::ParentDir => drop(parts.pop()?),
            _ => return None,
        }
    }
    Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

pub(crate) fn named_root(folder: &Path, root: &str) -> Result<PathBuf> {
    let inside = Path::new(root).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let path = below(folder, root.trim_end_matches('/'));
    if (inside || root == ".") && path.is_dir() {
        return Ok(if root == "." { folder.to_owned() } else { path });
    }
    Err(Error::usage(format!("`{root}` under `root` in kpkg.toml is no folder of the driver's tree"))
        .hint("name a folder below the one that kpkg.toml lies in"))
}

/// The bytes of a file that is said to be a dkms.conf, as far as one may be long.
pub fn read_conf(path: &Path) -> Result<Vec<u8>> {
    // a pipe would be waited for without end
    let open = || match fs::metadata(path)? {
        metadata if metadata.is_file() => fs::File::open(path),
        _ => Err(std::io::Error::other("it is no regular file")),
    };
    let file = match open() {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("there is no `{}`", path.display());
            return Err(Error::diagnostics(vec![Diagnostic::error(&NO_CONF, text)]));
        }
        Err(error) => return Err(Error::io("cannot read", path, error).as_usage()),
    };
    beneath::start(file, CONF).map_err(|error| Error::io("cannot read", path, error).as_usage())
}

/// A dkms.conf that is named.
pub(crate) fn read_file(path: PathBuf) -> Result<ConfFile> {
    let bytes = read_conf(&path)?;
    Ok(ConfFile::new(path, bytes))
}

// ---- which file ---------------------------------------------------------------------------------------------------------------

/// How much a name looks like a dkms.conf: less is more; nothing: not at all.
fn name_rank(name: &str) -> Option<u8> {
    const OTHERS: [&str; 15] = [
        "~", ".5", ".8", ".am", ".diff", ".html", ".md", ".orig", ".patch", ".pl", ".py", ".rej", ".sh",
        ".spec", ".swp",
    ];
    if OTHERS.iter().any(|ending| name.ends_with(ending)) {
        return None;
    }
    match name {
        "dkms.conf" => Some(0),
        "dkms.conf.in" => Some(1),
        _ if name.ends_with(".dkms") || name.ends_with(".dkms.in") => Some(2),
        _ if name.contains("dkms.conf") || name.contains("dkms-conf") => Some(3),
        // `dkms-nvidia.conf`, `dkms_nvidia.conf.in`
        _ if name.contains("dkms") && (name.ends_with(".conf") || name.ends_with(".conf.in")) => Some(3),
        _ => None,
    }
}

/// A file that may be the dkms.conf.
#[derive(Debug)]
struct Candidate {
    file: ConfFile,
    /// Below the folder.
    path: String,
    /// Its driver's name, when it says one that is no marker.
    name: Option<String>,
    /// Whether it says one that is not known here, or cannot be read: it may be any driver's.
    is_any: bool,
    order: (bool, u8, usize, String),
}

fn candidates(listing: &Listing<'_>) -> Vec<Candidate> {
    let folder = listing.folder;
    let mut found = Vec::new();
    for path in listing.files.keys() {
        let name = path.rsplit('/').next().unwrap_or(path);
        let Some(rank) = name_rank(name) else { continue };
        let Some(bytes) = read_start(&folder.join(path), CONF) else { continue };
        // a download that went wrong is what the user has to hear of
        let is_page = rank == 0 && dkms::is_web_page(&bytes);
        if !sets_a_directive(&bytes) && !is_page || rank == 3 && bytes.starts_with(b"#!") {
            continue;
        }
        let aside = path.split('/').rev().skip(1).any(|part| {
            let part = part.to_ascii_lowercase();
            ["test", "example", "doc", "sample"].iter().any(|start| part.starts_with(start))
        });
        let file = ConfFile::new(below(folder, path), bytes);
        let own = facts(&file.conf).name;
        let name = own.known().filter(|name| !dkms::is_placeholder(name)).cloned();
        let is_marker = own.known().is_some_and(|name| dkms::is_placeholder(name));
        let is_broken = file.findings.iter().any(|finding| finding.severity == Severity::Error);
        found.push(Candidate {
            is_any: name.is_none()
                && !is_marker
                && (is_broken || file.conf.place_of("PACKAGE_NAME").is_some()),
            order: (aside, rank, path.matches('/').count(), path.to_owned()),
            path: path.to_owned(),
            file,
            name,
        });
    }
    found.sort_by(|one, other| one.order.cmp(&other.order));
    found
}

/// Whether a text has a line that assigns to what every dkms.conf has.
#[must_use]
pub fn sets_a_directive(bytes: &[u8]) -> bool {
    let names = ["PACKAGE_NAME", "PACKAGE_VERSION", "BUILT_MODULE_NAME", "DEST_MODULE_LOCATION", "MAKE"];
    String::from_utf8_lossy(bytes).lines().any(|line| {
        let line = line.trim_start().trim_start_matches("export ");
        names.iter().any(|name| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['=', '[', '+'])))
    })
}

fn choose(listing: &Listing<'_>, all: bool, findings: &mut Vec<Diagnostic>) -> Result<Vec<ConfFile>> {
    let folder = listing.folder;
    let found = candidates(listing);
    // one for each driver: the first of its name; one without a name of its own is a form of another
    let mut drivers: Vec<&Candidate> = Vec::new();
    for candidate in &found {
        if candidate.name.is_some() && drivers.iter().all(|known| known.name != candidate.name) {
            drivers.push(candidate);
        }
    }
    if drivers.is_empty() {
        drivers.extend(found.first());
    }
    let file = |candidate: &Candidate| candidate.file.clone();
    if all {
        // of each of these somebody has to hear why there is no package
        let of_any = found.iter().filter(|other| other.is_any && !other.order.0);
        let others: Vec<_> =
            of_any.filter(|other| drivers.iter().all(|driver| driver.path != other.path)).collect();
        return Ok(drivers.into_iter().chain(others).map(file).collect());
    }
    let plain: Vec<_> = drivers.iter().filter(|driver| !driver.order.0).collect();
    let [first, others @ ..] = plain.as_slice() else {
        return Ok(drivers.first().map(|driver| file(driver)).into_iter().collect());
    };
    if !others.is_empty() {
        let named = |driver: &&Candidate| {
            (driver.name.clone().unwrap_or_else(|| "?".to_owned()), driver.path.clone())
        };
        let confs: Vec<_> = plain.iter().map(|driver| named(driver)).collect();
        let covered: Vec<String> = plain
            .iter()
            .filter_map(|driver| {
                let root = root_of(listing, &driver.file).ok()?.root;
                relative(folder, &root)
            })
            .collect();
        return Err(several(folder, &confs, &without_conf(listing, &covered)));
    }
    // a form of the same driver that ranks higher without saying its name counts
    let chosen = found.first().filter(|best| !best.order.0 && best.order < first.order).unwrap_or(first);
    let rest: Vec<_> = found.iter().filter(|other| other.path != chosen.path).collect();
    if !rest.is_empty() {
        let text = format!("of {} dkms.conf files, `{}` is used", found.len(), chosen.file.path.display());
        let mut finding = Diagnostic::warning(&SEVERAL, text);
        for other in rest.iter().take(5) {
            finding = finding.with_note(format!("not used: `{}`", other.file.path.display()));
        }
        findings.push(finding.hint("`--dkms-conf FILE` chooses another one"));
    }
    Ok(vec![file(chosen)])
}

/// The files of a folder, listed once.
struct Listing<'a> {
    folder: &'a Path,
    /// Every file, and whether it can be executed.
    files: BTreeMap<String, bool>,
    /// The names in every folder, sorted.
    folders: BTreeMap<String, Vec<String>>,
}

impl<'a> Listing<'a> {
    /// Not into what is never source; links to files of the folder count as files.
    fn new(folder: &'a Path) -> Result<Self> {
        let top = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
        let mut listing =
            Self { folder, files: BTreeMap::new(), folders: BTreeMap::from([(String::new(), Vec::new())]) };
        let mut left = vec![String::new()];
        let mut entries = 0;
        while let Some(inside) = left.pop() {
            let path = below(folder, &inside);
            let failed = |error| Error::io("cannot read", &path, error).as_usage();
            let mut names = Vec::new();
            for entry in fs::read_dir(&path).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                entries += 1;
                if entries > ENTRIES {
                    return Ok(listing);
                }
                let relative = join(&inside, &name);
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && !source::is_never_source(&name) => {
                        listing.folders.insert(relative.clone(), Vec::new());
                        left.push(relative);
                    }
                    Ok(kind) if kind.is_file() => {
                        let executable = entry.metadata().is_ok_and(|file| file.mode() & 0o111 != 0);
                        listing.files.insert(relative, executable);
                    }
                    Ok(kind) if kind.is_symlink() => {
                        let target = fs::canonicalize(entry.path());
                        if !target.is_ok_and(|target| target.starts_with(&top) && target.is_file()) {
                            continue;
                        }
                        listing.files.insert(relative, false);
                    }
                    _ => continue,
                }
                names.push(name);
            }
            names.sort();
            listing.folders.insert(inside, names);
        }
        Ok(listing)
    }

    /// The folder as a tree of its own, with what `map` puts elsewhere.
    fn view(&'a self, root: &str, map: &[Moved]) -> View<'a> {
        let moved = (!map.is_empty()).then(|| {
            let prefix = if root.is_empty() { String::new() } else { format!("{root}/") };
            let own = self.files.range(prefix.clone()..).take_while(|(path, _)| path.starts_with(&prefix));
            let own = own.map(|(path, _)| (source::moved(&path[prefix.len()..], map), path.clone()));
            let files: BTreeMap<String, String> = own.collect();
            let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for path in files.keys() {
                let mut path = path.as_str();
                loop {
                    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                    folders.entry(folder.to_owned()).or_default().insert(name.to_owned());
                    if folder.is_empty() {
                        break;
                    }
                    path = folder;
                }
            }
            MovedFiles { files, folders }
        });
        View { listing: self, root: root.to_owned(), moved }
    }
}

/// Files that a map puts elsewhere.
struct MovedFiles {
    /// Where each is, below the listed folder.
    files: BTreeMap<String, String>,
    folders: BTreeMap<String, BTreeSet<String>>,
}

/// A folder of a listing as a tree of its own.
struct View<'a> {
    listing: &'a Listing<'a>,
    root: String,
    moved: Option<MovedFiles>,
}

impl View<'_> {
    /// Where a file is, below the listed folder.
    fn place(&self, path: &str) -> Option<String> {
        match &self.moved {
            Some(moved) => moved.files.get(path).cloned(),
            None => Some(join(&self.root, path)).filter(|path| self.listing.files.contains_key(path)),
        }
    }
}

impl ReadTree for View<'_> {
    fn read(&self, path: &str, limit: usize) -> Option<Vec<u8>> {
        tree::read_start(&self.listing.folder.join(self.place(path)?), limit)
    }

    fn exists(&self, path: &str) -> bool {
        self.place(path).is_some() || self.is_dir(path)
    }

    fn is_dir(&self, path: &str) -> bool {
        path.is_empty()
            || match &self.moved {
                Some(moved) => moved.folders.contains_key(path),
                None => self.listing.folders.contains_key(&join(&self.root, path)),
            }
    }

    fn list(&self, dir: &str) -> Vec<String> {
        if let Some(moved) = &self.moved {
            return moved.folders.get(dir).into_iter().flatten().cloned().collect();
        }
        let folder = if dir.is_empty() { self.root.clone() } else { join(&self.root, dir) };
        self.listing.folders.get(&folder).cloned().unwrap_or_default()
    }

    fn is_executable(&self, path: &str) -> bool {
        self.place(path).and_then(|path| self.listing.files.get(&path).copied()).unwrap_or(false)
    }
}

// ---- which root ---------------------------------------------------------------------------------------------------------------

/// The facts of a file for some kernel: what they point to is the same for every one.
fn facts(conf: &Conf) -> Facts {
    let inputs = Inputs {
        processors: Some(1),
        module: Some(("NAME".to_owned(), "VERSION".to_owned())),
        ..Inputs::of_some_kernel()
    };
    dkms::facts(conf, &dkms::evaluate(conf, &inputs)).0
}

const MAKEFILES: [&str; 4] = ["Kbuild", "GNUmakefile", "makefile", "Makefile"];

/// A folder that may be the root.
struct Root {
    /// Relative to the listed folder; empty for that folder.
    path: String,
    layout: Layout,
}

/// Whether a dkms.conf is a link that leads out of the folder.
fn leads_out(folder: &Path, conf: &Path) -> bool {
    let is_link = fs::symlink_metadata(conf).is_ok_and(|metadata| metadata.is_symlink());
    let is_below = || Ok::<_, std::io::Error>(fs::canonicalize(conf)?.starts_with(fs::canonicalize(folder)?));
    is_link && !is_below().unwrap_or(false)
}

/// The folder in which what the file points to is there: the file's own, one above it, or else one that has a Makefile; and where
/// none has everything, one in which some files lie elsewhere.
fn root_of(listing: &Listing<'_>, file: &ConfFile) -> Result<Found> {
    let folder = listing.folder;
    let found = |path: &str, map: Vec<Moved>| Found {
        conf: Some(file.clone()),
        ..Found::new(below(folder, path), map)
    };
    let conf = file.path.as_path();
    let inside = conf.strip_prefix(folder).or_else(|_| conf.strip_prefix("./")).unwrap_or(conf);
    let is_inside = folder == Path::new(".") && conf.is_relative() || conf.starts_with(folder);
    let own = match inside.parent().and_then(Path::to_str) {
        Some(own) if is_inside && listing.folders.contains_key(own) => own.to_owned(),
        _ => String::new(),
    };
    if leads_out(folder, conf) {
        return Ok(found(&own, Vec::new()));
    }
    let facts = facts(&file.conf);
    let look = |path: &str, map: &[Moved]| layout::examine(&listing.view(path, map), &facts);
    let plain = |path: &str| Root { path: path.to_owned(), layout: look(path, &[]) };
    let mut above = vec![own.as_str()];
    while let Some((shorter, _)) = above.last().and_then(|path| path.rsplit_once('/')) {
        above.push(shorter);
    }
    if !own.is_empty() {
        above.push("");
    }
    let mut roots: Vec<Root> = above.iter().map(|path| plain(path)).collect();
    if let Some(first) = roots.iter().find(|root| root.layout.holds()) {
        return Ok(found(&first.path.clone(), Vec::new()));
    }
    // dkms takes the folder of a file of this name for the root, and only a folder that cannot be it is none
    let is_plain = inside.file_name().is_some_and(|name| name == "dkms.conf");
    let cannot = |lack: &Lack| matches!(lack, Lack::Folder { .. } | Lack::Makefile { .. } | Lack::Sources);
    if is_plain && !roots[0].layout.lacks.iter().any(cannot) {
        return Ok(found(&own, Vec::new()));
    }
    let deeper: BTreeSet<(usize, &String)> = listing
        .folders
        .iter()
        .filter(|(path, names)| {
            !above.contains(&path.as_str()) && names.iter().any(|name| MAKEFILES.contains(&name.as_str()))
        })
        .map(|(path, _)| (path.matches('/').count(), path))
        .collect();
    roots.extend(deeper.into_iter().take(FOLDERS).map(|(_, path)| plain(path)));
    // stable: own folder, those above, then shallow ones
    roots.sort_by_key(|root| root.layout.misfit());
    if roots[0].layout.lacks.is_empty() {
        refuse_a_tie(listing, conf, &roots, &above)?;
        return Ok(found(&roots[0].path, Vec::new()));
    }
    let by_name = roots.iter().filter(|root| above.contains(&root.path.as_str())).flat_map(|root| {
        let maps = maps(listing, root, &own).into_iter();
        maps.map(|map| Place { path: root.path.clone(), map, said_by: None })
    });
    let places = said(listing, &own).into_iter().chain(by_name);
    let mut moved: Vec<(Place, Layout)> = places
        .map(|place| {
            let layout = look(&place.path, &place.map);
            (place, layout)
        })
        .collect();
    // stable: what is said counts before what only looks so
    moved.sort_by_key(|(_, layout)| layout.misfit());
    if let Some((best, _)) = moved.into_iter().next().filter(|(_, layout)| layout.lacks.is_empty()) {
        let finding = moved_finding(&below(folder, &best.path), &best);
        return Ok(Found { findings: vec![finding], ..found(&best.path, best.map) });
    }
    // nothing holds: what the file's own folder lacks is more to the point than what some other one does
    let least = roots.iter().map(|root| root.layout.lacks.len()).min().unwrap_or_default();
    let near = above
        .iter()
        .find(|path| roots.iter().any(|root| root.path == **path && root.layout.lacks.len() == least));
    let chosen = near.map_or_else(|| roots[0].path.clone(), |path| (*path).to_owned());
    let tried = roots
        .iter()
        .take(TRIED)
        .map(|root| Tried { root: below(folder, &root.path), lacks: root.layout.lacks.len() });
    let tried = tried.collect();
    Ok(Found { tried, ..found(&chosen, Vec::new()) })
}

/// Two folders beside each other that fit alike are no reason to take the first.
fn refuse_a_tie(listing: &Listing<'_>, conf: &Path, roots: &[Root], above: &[&str]) -> Result<()> {
    let [first, rest @ ..] = roots else { return Ok(()) };
    if above.contains(&first.path.as_str()) {
        return Ok(());
    }
    let nested = |one: &str, other: &str| kbuild::is_below(other, one);
    let other = rest.iter().find(|other| {
        other.layout.misfit() == first.layout.misfit()
            && !nested(&first.path, &other.path)
            && !nested(&other.path, &first.path)
            && kbuild::is_aside(&other.path) == kbuild::is_aside(&first.path)
    });
    let Some(other) = other else { return Ok(()) };
    let text = format!(
        "what `{}` points to is in `{}` and in `{}`",
        conf.display(),
        below(listing.folder, &first.path).display(),
        below(listing.folder, &other.path).display()
    );
    let hint = format!("choose one: `root = \"{}\"` under `[source]` in kpkg.toml", first.path);
    Err(Error::diagnostics(vec![Diagnostic::error(&TIE, text).hint(hint)]))
}

/// What may lie elsewhere in the package than in the tree, so that a root has what it lacks: the files beside dkms.conf in the root,
/// or a folder of the right name in the place where it is looked for.
fn maps(listing: &Listing<'_>, root: &Root, own: &str) -> Vec<Vec<Moved>> {
    let mut maps = Vec::new();
    let inside = own.strip_prefix(&root.path).map(|path| path.trim_start_matches('/')).unwrap_or_default();
    if !inside.is_empty() {
        maps.push(vec![Moved { from: format!("{inside}/*"), to: ".".to_owned() }]);
    }
    for lack in &root.layout.lacks {
        let (Lack::Folder { path, .. } | Lack::Makefile { folder: path, .. }) = lack else { continue };
        let Some((_, name)) = path.rsplit_once('/') else { continue };
        let start = if root.path.is_empty() { String::new() } else { format!("{}/", root.path) };
        let named = listing.folders.iter().filter_map(|(folder, names)| {
            let from = folder.strip_prefix(&start)?;
            let is_named = from == name || from.ends_with(&format!("/{name}"));
            (is_named && names.iter().any(|name| MAKEFILES.contains(&name.as_str()))).then_some(from)
        });
        let moved = |from: &str| vec![Moved { from: format!("{from}/"), to: format!("{path}/") }];
        maps.extend(named.take(MAPS).map(moved));
    }
    maps
}

/// Files that may lie elsewhere in the package.
struct Place {
    /// The root, relative to the listed folder.
    path: String,
    map: Vec<Moved>,
    /// The text that says so, and its line.
    said_by: Option<(String, usize)>,
}

/// Where the packaging of the tree, or of a part that dkms.conf lies in, puts its files below `/usr/src/NAME-VERSION`: a place for
/// each text, and one for each `debian/`. What would hide another file is left out.
fn said(listing: &Listing<'_>, own: &str) -> Vec<Place> {
    let read = |path: &str, limit: usize| read_start(&listing.folder.join(path), limit as u64);
    let files = Files { paths: listing.files.keys().map(String::as_str).collect(), read: Box::new(read) };
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for placed in packaging::layout(&files) {
        let text = &placed.said_by.0;
        let base = packaging::part_of(text);
        let folder = text.rsplit_once('/').map_or("", |(folder, _)| folder);
        let is_debian = folder.rsplit('/').next() == Some("debian");
        let inside =
            if base.is_empty() { Some(placed.from.as_str()) } else { placed.from.strip_prefix(base) };
        let Some(from) =
            inside.map(|path| path.trim_start_matches('/')).filter(|_| kbuild::is_below(own, base))
        else {
            continue;
        };
        let (from, to) = match (placed.is_folder, placed.to.as_str()) {
            (true, "") => (format!("{from}/"), ".".to_owned()),
            (true, to) => (format!("{from}/"), format!("{to}/")),
            (false, to) => (from.to_owned(), to.to_owned()),
        };
        // dkms.conf is placed by whoever takes it
        if from == "/" || from == to || to == "dkms.conf" {
            continue;
        }
        let group = if is_debian { folder } else { text }.to_owned();
        let place = places.entry(group).or_insert_with(|| Place {
            path: base.to_owned(),
            map: Vec::new(),
            said_by: Some(placed.said_by.clone()),
        });
        place.map.push(Moved { from, to });
    }
    let hides_none = |place: &Place| {
        let own = listing.files.keys().filter_map(|path| match place.path.as_str() {
            "" => Some(path.as_str()),
            base => path.strip_prefix(base)?.strip_prefix('/'),
        });
        let mut moved = BTreeSet::new();
        own.into_iter().all(|path| moved.insert(source::moved(path, &place.map)))
    };
    places.into_values().filter(hides_none).collect()
}

fn moved_finding(root: &Path, place: &Place) -> Diagnostic {
    let lines: Vec<_> =
        place.map.iter().map(|moved| format!("\"{}\" = \"{}\"", moved.from, moved.to)).collect();
    let how = match &place.said_by {
        Some((text, line)) => format!("files moved as `{text}` does from line {line} on"),
        None => "files moved".to_owned(),
    };
    let text =
        format!("no folder has everything that dkms.conf points to; with {how}, `{}` has", root.display());
    Diagnostic::warning(&MOVED, text)
        .hint(format!("say so in kpkg.toml: `[source]` with `map = {{ {} }}`", lines.join(", ")))
}

// ---- drivers without a dkms.conf ----------------------------------------------------------------------------------------------

/// The drivers below a folder that no dkms.conf is for: modules that have nothing to do with each other are several.
fn without_conf(listing: &Listing<'_>, covered: &[String]) -> Vec<Bare> {
    let is_covered = |folder: &str| covered.iter().any(|root| kbuild::is_below(folder, root));
    let folders: BTreeSet<(usize, &String)> = listing
        .folders
        .iter()
        .filter(|(path, names)| {
            names.iter().any(|name| matches!(name.as_str(), "Makefile" | "Kbuild")) && !is_covered(path)
        })
        .map(|(path, _)| (if path.is_empty() { 0 } else { path.matches('/').count() + 1 }, path))
        .collect();
    let folders: Vec<String> = folders.into_iter().take(FOLDERS).map(|(_, path)| path.clone()).collect();
    let tree = listing.view("", &[]);
    let mut groups: Vec<Vec<Kbuild>> = Vec::new();
    for kbuild in kbuild::read(&tree, &folders) {
        // one that several groups belong to joins them
        let (mut related, others): (Vec<_>, Vec<_>) = groups
            .into_iter()
            .partition(|group| group.iter().any(|other| kbuild::are_related(&tree, &kbuild, other)));
        related.push(vec![kbuild]);
        groups = others;
        groups.push(related.into_iter().flatten().collect());
    }
    let mut bare: Vec<Bare> = groups.iter().map(|group| Bare::new(&tree, group)).collect();
    bare.sort_by(|one, other| one.root.cmp(&other.root));
    bare
}

/// A driver without a dkms.conf.
struct Bare {
    /// The folder that has all of it, relative to the listed one.
    root: String,
    modules: Vec<String>,
}

impl Bare {
    fn new(tree: &dyn ReadTree, group: &[Kbuild]) -> Self {
        let mut root = group[0].top.clone();
        let reads = group.iter().flat_map(|kbuild| {
            let outside = kbuild::reads_outside(tree, kbuild);
            [kbuild.top.clone(), kbuild.wrapper.folder.clone()].into_iter().chain(outside)
        });
        for path in reads {
            while !kbuild::is_below(&path, &root) {
                root = root.rsplit_once('/').map_or(String::new(), |(shorter, _)| shorter.to_owned());
            }
        }
        let modules = group.iter().flat_map(|kbuild| &kbuild.modules).map(|module| module.name.clone());
        Self { root, modules: modules.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str =
        "PACKAGE_NAME=toy\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=toy\nDEST_MODULE_LOCATION[0]=/updates\n";

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    /// `conf root` of each driver, relative to the tree.
    fn found(files: &[(&str, &str)], options: &Search<'_>) -> Vec<String> {
        let tree = tree(files);
        let (found, _) = find(tree.path(), options).unwrap();
        let relative = |path: &Path| path.strip_prefix(tree.path()).unwrap().display().to_string();
        found
            .iter()
            .map(|found| {
                format!(
                    "{} {}",
                    found.conf.as_ref().map_or("-".into(), |conf| relative(&conf.path)),
                    relative(&found.root)
                )
            })
            .collect()
    }

    fn one(files: &[(&str, &str)]) -> String {
        let mut found = found(files, &Search::default());
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    #[test]
    fn the_file_in_the_root_counts_and_its_folder_is_the_source() {
        let files = [("dkms.conf", CONF), ("Makefile", "obj-m := toy.o"), ("debian/toy.dkms", CONF)];
        assert_eq!(one(&files), "dkms.conf ");
    }

    #[test]
    fn a_file_is_found_under_every_usual_name() {
        for name in [
            "dkms.conf.in",
            "debian/toy-dkms.dkms",
            "packaging/toy.dkms.conf",
            "dkms/dkms.conf",
            "dkms-conf",
            "dkms-toy.conf",
            "kernel/dkms_toy.conf.in",
        ] {
            assert_eq!(one(&[(name, CONF), ("Makefile", "obj-m := toy.o")]), format!("{name} "));
        }
        // none of these is one
        let others = [("dkms.conf.5", CONF), ("make-dkms.conf.sh", CONF), ("notes.dkms", "see there\n")];
        assert_eq!(one(&others), "- ");
    }

    #[test]
    fn the_root_is_where_makefiles_locations_and_make_point() {
        let make = |line: &str| format!("{CONF}MAKE[0]=\"{line}\"\n");
        let object = "obj-m += toy.o";
        // beside the source
        assert_eq!(
            one(&[("module/dkms.conf", CONF), ("module/Makefile", object), ("Makefile", "all:")]),
            "module/dkms.conf module"
        );
        // above the folder of the file
        let conf = make("make -C src") + "BUILT_MODULE_LOCATION[0]=src\n";
        let own = "obj-m := toy.o\nall:\n\tmake -C $(KDIR) M=$(PWD)\n";
        assert_eq!(
            one(&[("dkms/dkms.conf", &conf), ("src/Makefile", own), ("src/toy.c", "")]),
            "dkms/dkms.conf "
        );
        let conf = format!("{CONF}BUILT_MODULE_LOCATION[0]=drivers/toy\n");
        let files = [
            ("debian/toy.dkms", conf.as_str()),
            ("drivers/toy/Makefile", object),
            ("Makefile", "obj-m := drivers/toy/\n"),
        ];
        assert_eq!(one(&files), "debian/toy.dkms ");
        // below it
        assert_eq!(
            one(&[("dkms.conf", CONF), ("src/Makefile", object), ("doc/Makefile", "")]),
            "dkms.conf src"
        );
        // what dkms's own paths say
        let conf = make("make -C $kernel_source_dir M=$dkms_tree/$module/$module_version/build/kernel");
        assert_eq!(
            one(&[("misc/dkms.conf", &conf), ("kernel/Makefile", object), ("misc/Makefile", "")]),
            "misc/dkms.conf "
        );
        // in the file's own words
        let conf =
            make("make -C $kernel_source_dir M=$dkms_tree/$PACKAGE_NAME/$PACKAGE_VERSION/build/kernel");
        assert_eq!(one(&[("misc/dkms.conf", &conf), ("kernel/Makefile", object)]), "misc/dkms.conf ");
        let conf = make("make -C /usr/src/linux-6.1 M=/usr/src/$PACKAGE_NAME-$PACKAGE_VERSION/kernel");
        assert_eq!(one(&[("misc/dkms.conf", &conf), ("kernel/Kbuild", object)]), "misc/dkms.conf ");
    }

    #[test]
    fn a_root_in_which_make_finds_its_way_is_kept() {
        // the command moves the modules to the root, where no Makefile makes them
        let conf = format!(
            "{CONF}MAKE=\"make -C $kernel_source_dir M=$dkms_tree/toy/1/build/ext modules; mv ext/*.ko .\"\n"
        );
        assert_eq!(
            one(&[("dkms.conf", &conf), ("ext/Kbuild", "obj-m := toy.o\n"), ("ext/toy.c", "")]),
            "dkms.conf "
        );
    }

    #[test]
    fn several_drivers_are_refused_or_all_found() {
        let other = CONF.replace("toy", "other");
        let files = [
            ("a/dkms.conf", CONF),
            ("a/Makefile", "obj-m := toy.o"),
            ("b/dkms.conf", other.as_str()),
            ("b/Makefile", "obj-m := other.o"),
        ];
        let refused = tree(&files);
        let error = find(refused.path(), &Search::default()).unwrap_err();
        assert_eq!(error.findings()[0].code.id, "K0109");
        assert_eq!(error.findings()[0].notes.len(), 2);
        let all = Search { all: true, ..Search::default() };
        assert_eq!(found(&files, &all), ["a/dkms.conf a", "b/dkms.conf b"]);
        let named = Search { conf: Some(Path::new("b/dkms.conf")), ..Search::default() };
        assert_eq!(found(&files, &named), ["b/dkms.conf b"]);
        // the same driver twice, and an example: one is used, and the choice is told
        let twice = [("a/dkms.conf", CONF), ("b/toy.dkms", CONF), ("example/dkms.conf", other.as_str())];
        let twice = tree(&twice);
        let (found, findings) = find(twice.path(), &Search::default()).unwrap();
        assert_eq!(
            found[0].conf.as_ref().map(|conf| conf.path.as_path()),
            Some(twice.path().join("a/dkms.conf").as_path())
        );
        assert_eq!(findings[0].code.id, "K0109");
    }

    #[test]
    fn a_root_can_be_named() {
        let files = [("dkms.conf", CONF), ("src/Makefile", "obj-m := toy.o")];
        let named = |root| Search { root: Some(root), ..Search::default() };
        assert_eq!(found(&files, &named(".")), ["dkms.conf "]);
        assert_eq!(found(&files, &named("src")), ["dkms.conf src"]);
        for bad in ["..", "/", "none"] {
            assert!(find(tree(&files).path(), &named(bad)).is_err(), "{bad}");
        }
    }
}
