//! Reads the Makefiles of a driver without running make: which modules kbuild would make, and how the driver's own Makefile calls it.
//!
//! Knows the part of GNU make's language that such files use; what it cannot know stays unknown, and runs nothing.
//! Sources of rules: `Documentation/kbuild/modules.rst` and `makefiles.rst` of Linux, the GNU make manual.

mod flow;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use flow::{CONDITIONS, STATEMENTS};
pub use flow::{Does, Flow, Statement, Use};

use crate::dkms::{ReadTree, tree_path};

/// The most that is read of one Makefile.
const BYTES: usize = 1 << 20;
/// The most references that are expanded in one file and what it includes.
const REFERENCES: usize = 100_000;
/// How deep variables, includes and folders may nest.
const DEPTH: usize = 24;
/// How long a value may get.
const VALUE: usize = 256 << 10;
/// Stands before and after something that is not known: `OPEN CONFIG_X CLOSE`, or nothing between them.
const OPEN: char = '\u{E010}';
const CLOSE: char = '\u{E011}';
/// What stands in a line of [`called`] where something is not known.
pub const NOT_KNOWN: &str = "\u{E010}\u{E011}";

/// A module that kbuild makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KbuildModule {
    /// Without `.ko`.
    pub name: String,
    /// The folder of its `.ko`, relative to the root; empty for the root.
    pub folder: String,
    /// The kernel option that has to be `m`, where the module hangs on one.
    pub option: Option<String>,
    /// The kernel option that has to be set, where a condition of the Makefile asks for one.
    pub needs: Option<String>,
    /// The Makefile that names it.
    pub from: String,
    /// What it is linked from on every kernel, without `.o`, relative to the root; those that lie above it begin with `../`.
    pub objects: Vec<String>,
}

/// What a variable of a Makefile holds that has to be that of the kernel that is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    /// Its release, as `uname -r` prints it there.
    Release,
    /// The folder of its build, as `/lib/modules/RELEASE/build`.
    Folder,
}

/// How the driver's own Makefile starts the kernel's build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wrapper {
    /// The folder of that Makefile, relative to the root.
    pub folder: String,
    /// A variable that holds the folder of the kernel's build.
    pub kernel_folder: Option<String>,
    /// A variable that holds the kernel release.
    pub kernel_release: Option<String>,
    /// Whether it makes sources before it starts the kernel's build.
    pub generates: bool,
    /// The kernel options that it gives the kernel's build: `CONFIG_X=m` and the like.
    pub options: BTreeMap<String, String>,
    /// What else it gives the kernel's build that only it knows, such as where its headers are.
    pub variables: BTreeMap<String, String>,
    /// Variables that ask the running kernel unless they are given.
    pub asks: BTreeMap<String, Asked>,
}

impl Wrapper {
    /// Whether calling kbuild without it would not do.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.generates || !self.variables.is_empty()
    }
}

/// What the Makefiles of a tree say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kbuild {
    /// The folder that is given to kbuild as `M`, relative to the root; empty for the root.
    pub top: String,
    /// The modules, by folder and name.
    pub modules: Vec<KbuildModule>,
    /// How the Makefile of `top` is meant to be called.
    pub wrapper: Wrapper,
    /// Variables that have to name the root of the tree.
    pub roots: BTreeSet<String>,
    /// Variables of what kbuild reads that ask the running kernel unless they are given.
    pub asks: BTreeMap<String, Asked>,
    /// Whether there may be other modules, which hang on something that is not known here.
    pub is_open: bool,
}

/// At most so many folders are given to kbuild one after the other.
const TOPS: usize = 8;

/// The folders from which modules are made, none below or made by another; the one with most modules counts most.
///
/// `folders` come with the root first: a folder above that makes as many is the better one, since it may set flags for those below.
/// Tests and examples count only where there is nothing else.
#[must_use]
pub fn read(tree: &dyn ReadTree, folders: &[String]) -> Vec<Kbuild> {
    let starts: Vec<Start> = folders.iter().filter_map(|folder| Start::new(tree, folder)).collect();
    // its own Makefile rather than one above
    let start = |top: &str| {
        let own = starts.iter().find(|start| start.wrapper.folder == top && start.top == top);
        own.or_else(|| starts.iter().find(|start| start.top == top))
    };
    let mut candidates = Vec::new();
    for top in folders {
        let mut found = Walk::default();
        let given = start(top).map(|start| start.wrapper.variables.clone()).unwrap_or_default();
        let given = Given { arguments: BTreeMap::new(), environment: given };
        collect(tree, top, top, &given, &mut found);
        let Walk { made: Made { mut modules, is_open, .. }, roots, seen, asks } = found;
        modules
            .sort_by(|one: &KbuildModule, other| (&one.folder, &one.name).cmp(&(&other.folder, &other.name)));
        modules.dedup_by(|one, other| one.name == other.name && one.folder == other.folder);
        if !modules.is_empty() {
            let wrapper = Wrapper::default();
            let kbuild = Kbuild { top: top.clone(), modules, wrapper, roots, asks, is_open };
            candidates.push((kbuild, seen));
        }
    }
    // stable, so that the shallow one stays in front
    candidates.sort_by_key(|(kbuild, _)| (is_aside(&kbuild.top), std::cmp::Reverse(kbuild.modules.len())));
    let mut chosen: Vec<Kbuild> = Vec::new();
    let mut visited: BTreeSet<String> = BTreeSet::new();
    let mut names: BTreeSet<String> = BTreeSet::new();
    for (mut kbuild, seen) in candidates {
        let aside = is_aside(&kbuild.top) && !chosen.is_empty();
        let taken =
            !seen.is_disjoint(&visited) || kbuild.modules.iter().any(|module| names.contains(&module.name));
        if aside || taken || chosen.len() >= TOPS {
            continue;
        }
        visited.extend(seen);
        names.extend(kbuild.modules.iter().map(|module| module.name.clone()));
        kbuild.wrapper = match start(&kbuild.top) {
            Some(start) => start.wrapper.clone(),
            None => wrapper(tree, &kbuild.top).map(|(_, wrapper)| wrapper).unwrap_or_default(),
        };
        chosen.push(kbuild);
    }
    chosen
}

/// What a call of make is given beside its Makefile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// On the command line: these count more than what a Makefile says.
    pub arguments: BTreeMap<String, String>,
    /// In the environment: these count where a Makefile says nothing.
    pub environment: BTreeMap<String, String>,
}

/// A file that a Makefile reads and that is not there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Relative to the root; one that lies above it begins with `../`.
    pub path: String,
    /// The Makefile that reads it.
    pub by: String,
    /// The line there, counted from 1.
    pub line: usize,
}

/// A command that make runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Expanded; `@BUILD@` stands for the root.
    pub text: String,
    /// The Makefile that has it.
    pub path: String,
    /// The line there, counted from 1.
    pub line: usize,
}

/// An object under a path that kbuild puts its own folder in front of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absolute {
    /// The list: `obj-m`, `toy-y`.
    pub list: String,
    /// Its name, without the folder.
    pub name: String,
    pub path: String,
    /// The line there, counted from 1.
    pub line: usize,
}

/// What kbuild makes of a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    /// The modules, by folder and name.
    pub modules: Vec<KbuildModule>,
    /// Whether there may be others, because something in the Makefiles is not known here.
    pub is_open: bool,
    /// The Makefiles that were read.
    pub makefiles: Vec<String>,
    /// What is included and not there.
    pub missing: Vec<Missing>,
    /// Folders that the compiler looks for headers in, relative to the root; one above it begins with `../`.
    pub includes: Vec<String>,
    /// The targets of rules that make files: names, and patterns with `%`.
    pub rules: Vec<String>,
    /// What the Makefiles say, one list for each folder.
    pub texts: Vec<Vec<Statement>>,
    /// The recipes of the rules that its objects need.
    pub lines: Vec<Line>,
    /// What is run while the Makefiles are read, `$(shell …)`.
    pub shells: Vec<Line>,
    /// Objects by paths that do not work.
    pub absolute: Vec<Absolute>,
}

/// What kbuild makes when it is given the folder `top` as `M`; nothing where that folder has no Makefile.
#[must_use]
pub fn made(tree: &dyn ReadTree, top: &str, given: &Given) -> Option<Made> {
    kbuild_file(tree, top)?;
    let mut found = Walk::default();
    collect(tree, top, top, given, &mut found);
    let mut made = found.made;
    made.modules.sort_by(|one, other| (&one.folder, &one.name).cmp(&(&other.folder, &other.name)));
    made.modules.dedup_by(|one, other| one.name == other.name && one.folder == other.folder);
    made.includes.sort();
    made.includes.dedup();
    Some(made)
}

/// What make runs when it is called in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Called {
    pub makefile: String,
    /// That, and what it includes.
    pub reads: Vec<String>,
    pub lines: Vec<Line>,
    /// What is run while the Makefiles are read, `$(shell …)`.
    pub shells: Vec<Line>,
    /// What the Makefiles say.
    pub statements: Vec<Statement>,
    /// A target that nothing makes; empty where no target is named and the Makefile has none.
    pub no_target: Option<String>,
    /// Whether it may run other commands, because something in the Makefile is not known here.
    pub is_open: bool,
    /// What is included and not there.
    pub missing: Vec<Missing>,
}

/// What make runs when it is called in `folder` for `targets`, or for its own first one; nothing where there is no Makefile.
#[must_use]
pub fn called(
    tree: &dyn ReadTree,
    folder: &str,
    file: Option<&str>,
    given: &Given,
    targets: &[String],
) -> Option<Called> {
    let usual = ["GNUmakefile", "makefile", "Makefile"];
    let names = file.as_ref().map_or(&usual[..], std::slice::from_ref);
    let makefile =
        names.iter().map(|name| join(folder, name)).find(|path| tree.exists(path) && !tree.is_dir(path))?;
    let mut make = Make::new(tree, folder, folder, None);
    make.set("MAKE", "make");
    make.give(given);
    make.file(&makefile);
    let first = make.first_target();
    let wanted = if targets.is_empty() { first.iter().cloned().collect() } else { targets.to_vec() };
    let makes = |target: &String| {
        let has_rule = make.rules.iter().flat_map(|rule| &rule.targets).any(|made| {
            made == target || made.contains('%') && stem(target, made).is_some() || made.contains([OPEN, '@'])
        });
        has_rule || tree.exists(&join(folder, target))
    };
    let no_target = match (&first, targets) {
        (None, []) => Some(String::new()),
        _ => wanted.iter().find(|target| !makes(target)).cloned(),
    };
    let recipes: Vec<_> = make.recipes_of(wanted).into_iter().map(|(_, line)| line.clone()).collect();
    let lines = make.lines(recipes);
    let is_open = make.is_open.get();
    let missing = make.take_missing();
    Some(Called {
        reads: make.read.clone(),
        makefile,
        lines,
        shells: make.ran(),
        statements: make.statements,
        no_target: no_target.filter(|_| !is_open),
        is_open,
        missing,
    })
}

/// A path relative to the root, without `.`, empty parts and `..` but for those in front that lead above it.
#[must_use]
pub fn place(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What the Makefiles of a folder point to outside of it, relative to the root, as far as it is there.
#[must_use]
pub fn reads_outside(tree: &dyn ReadTree, kbuild: &Kbuild) -> Vec<String> {
    let given = Given { arguments: BTreeMap::new(), environment: kbuild.wrapper.variables.clone() };
    let Some(made) = made(tree, &kbuild.top, &given) else { return Vec::new() };
    let objects = made.modules.iter().flat_map(|module| &module.objects);
    let objects = objects.map(|object| object.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned());
    let read =
        made.makefiles.iter().map(|path| path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned());
    let all: BTreeSet<String> = objects.chain(read).chain(made.includes).collect();
    let is_outside =
        |path: &String| !is_below(path, &kbuild.top) && !path.starts_with("..") && tree.is_dir(path);
    all.into_iter().filter(is_outside).collect()
}

/// Whether a path is a folder or lies below it.
#[must_use]
pub fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty()
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether two folders of modules belong together: one is in the other, they read the same files or each other's, a Makefile above
/// both names both, or one exports what the other uses.
#[must_use]
pub fn are_related(tree: &dyn ReadTree, one: &Kbuild, other: &Kbuild) -> bool {
    let (first, second) = (&one.top, &other.top);
    if is_below(first, second) || is_below(second, first) || one.wrapper.folder == other.wrapper.folder {
        return true;
    }
    let (reads, others) = (reads_outside(tree, one), reads_outside(tree, other));
    let reads_it =
        |reads: &[String], top: &str| reads.iter().any(|path| is_below(path, top) && !top.is_empty());
    reads_it(&reads, second)
        || reads_it(&others, first)
        || reads.iter().any(|path| !path.is_empty() && others.contains(path))
        || is_named_by_one_makefile(tree, first, second)
        || uses_exports(tree, one, other)
        || uses_exports(tree, other, one)
}

/// Whether a Makefile in a folder above both names the next folder of either way.
fn is_named_by_one_makefile(tree: &dyn ReadTree, one: &str, other: &str) -> bool {
    let mut above = String::new();
    loop {
        let next = |path: &str| {
            let inside = path.strip_prefix(above.as_str()).unwrap_or(path).trim_start_matches('/').to_owned();
            inside.split('/').next().unwrap_or_default().to_owned()
        };
        let (first, second) = (next(one), next(other));
        let texts = ["Kbuild", "GNUmakefile", "makefile", "Makefile"];
        let text: String = texts
            .iter()
            .filter_map(|name| tree.read(&join(&above, name), BYTES))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect();
        let words: BTreeSet<&str> =
            text.split(|next: char| !next.is_ascii_alphanumeric() && !"_-".contains(next)).collect();
        if words.contains(first.as_str()) && words.contains(second.as_str()) {
            return true;
        }
        if first != second || first.is_empty() {
            return false;
        }
        above = join(&above, &first);
    }
}

/// Whether the sources of one name a symbol that those of the other export.
fn uses_exports(tree: &dyn ReadTree, exporter: &Kbuild, user: &Kbuild) -> bool {
    let texts = |kbuild: &Kbuild| -> Vec<String> {
        let objects = kbuild.modules.iter().flat_map(|module| &module.objects).take(SOURCES);
        let bytes = objects.filter_map(|object| tree.read(&format!("{object}.c"), BYTES));
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
    };
    let mut exports: BTreeSet<String> = BTreeSet::new();
    for text in texts(exporter) {
        for (at, word) in text.match_indices("EXPORT_SYMBOL") {
            let rest = text[at + word.len()..].trim_start_matches("_GPL").trim_start();
            let name = rest.strip_prefix('(').and_then(|rest| rest.split([')', ',']).next());
            exports.extend(name.map(|name| name.trim().to_owned()));
        }
    }
    let is_word = |next: char| next.is_ascii_alphanumeric() || next == '_';
    !exports.is_empty()
        && texts(user).iter().any(|text| text.split(|next| !is_word(next)).any(|word| exports.contains(word)))
}

/// How many commands of `$(shell …)` are remembered.
const SHELLS: usize = 500;

/// How many sources are read for what they export and use.
const SOURCES: usize = 200;

/// A folder of tests, examples or the like.
#[must_use]
pub fn is_aside(folder: &str) -> bool {
    folder.split('/').any(|part| {
        let part = part.to_ascii_lowercase();
        ["test", "example", "sample", "doc", "tool", "demo"].iter().any(|start| part.starts_with(start))
    })
}

/// `folder/name`, or `name` in the root.
#[must_use]
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// The file that kbuild reads in a folder: Kbuild before Makefile.
fn kbuild_file(tree: &dyn ReadTree, folder: &str) -> Option<String> {
    ["Kbuild", "Makefile"]
        .iter()
        .map(|name| join(folder, name))
        .find(|path| tree.exists(path) && !tree.is_dir(path))
}

/// What was found on the way through the folders.
#[derive(Default)]
struct Walk {
    seen: BTreeSet<String>,
    roots: BTreeSet<String>,
    asks: BTreeMap<String, Asked>,
    made: Made,
}

/// The modules of a folder and of those it goes down to.
fn collect(tree: &dyn ReadTree, top: &str, folder: &str, given: &Given, found: &mut Walk) {
    if found.seen.len() > 2000 || !found.seen.insert(folder.to_owned()) {
        return;
    }
    let Some(path) = kbuild_file(tree, folder) else {
        found.made.is_open = true;
        return;
    };
    let mut make = Make::new(tree, top, folder, Some("6.1.0"));
    make.give(given);
    make.file(&path);
    let mut below_given = given.clone();
    // what this folder exports counts less than what came with the call
    for (name, value) in make.exported() {
        below_given.environment.entry(name).or_insert(value);
    }
    // what is given on the command line counts everywhere
    let roots = make.roots.iter().map(|name| (name.clone(), "@ROOT@".to_owned()));
    below_given.environment.extend(roots);
    found.roots.append(&mut make.roots);
    found.asks.extend(make.asks());
    found.made.makefiles.append(&mut make.read);
    found.made.includes.extend(make.include_folders());
    let targets = make.rules.iter().flat_map(|rule| &rule.targets);
    found.made.rules.extend(targets.filter(|target| target.contains(['.', '%', OPEN])).cloned());
    let mut below = Vec::new();
    let first = found.made.modules.len();
    for (option, words) in make.objects() {
        for word in words {
            if let Some(name) = word.strip_suffix(".o") {
                // kbuild does not find it, and so there is one finding, about that
                let name = name.strip_prefix("@TOP@/").unwrap_or(name).trim_start_matches('/');
                let (part, base) = name.rsplit_once('/').unwrap_or(("", name));
                let Some(folder) = tree_path(&join(folder, part)) else {
                    found.made.is_open = true;
                    continue;
                };
                found.made.modules.push(KbuildModule {
                    name: base.to_owned(),
                    folder,
                    option: option.clone(),
                    needs: make.needs(&word),
                    from: path.clone(),
                    objects: make.parts(name),
                });
            } else if let Some(part) = word.strip_suffix('/') {
                below.extend(tree_path(&join(folder, part)).map(|folder| (folder, option.clone())));
            }
        }
    }
    found.made.absolute.extend(make.absolute(&found.made.modules[first..]));
    found.made.lines.extend(make.lines(make.recipes_for(&found.made.modules[first..])));
    found.made.shells.extend(make.ran());
    found.made.texts.push(std::mem::take(&mut make.statements));
    found.made.is_open |= make.is_open.get();
    found.made.missing.append(&mut make.take_missing());
    for (folder, option) in below {
        let from = found.made.modules.len();
        collect(tree, top, &folder, &below_given, found);
        for module in &mut found.made.modules[from..] {
            module.option = module.option.take().or_else(|| option.clone());
        }
    }
}

/// What the Makefile of the folder does when a person calls it, and its path; nothing where there is none.
#[must_use]
pub fn wrapper(tree: &dyn ReadTree, folder: &str) -> Option<(String, Wrapper)> {
    let (path, make) = Make::called(tree, folder)?;
    Some((path, make.wrapper()))
}

/// A Makefile whose default target starts the kernel's build.
struct Start {
    /// What it gives as `M`, relative to the root.
    top: String,
    wrapper: Wrapper,
}

impl Start {
    fn new(tree: &dyn ReadTree, folder: &str) -> Option<Self> {
        /// Where kbuild works, and what changes nothing about which files it reads.
        const USUAL: &[&str] = &[
            "M",
            "SUBDIRS",
            "KBUILD_EXTMOD",
            "ARCH",
            "CROSS_COMPILE",
            "CC",
            "LD",
            "LLVM",
            "V",
            "W",
            "C",
            "O",
            "PWD",
            "src",
            "KERNELRELEASE",
            "MODLIB",
            "INSTALL_MOD_PATH",
            "INSTALL_MOD_DIR",
            "INSTALL_MOD_STRIP",
        ];
        let (_, make) = Make::called(tree, folder)?;
        let mut lines = make.default_recipes().into_iter().map(|(_, line)| make.expand(&line.text, 0));
        let line = lines.find(|line| {
            line.contains("-C ")
                && ["M=", "SUBDIRS=", "KBUILD_EXTMOD="].iter().any(|name| line.contains(name))
        })?;
        let given: BTreeMap<String, String> = shell_words(&line)
            .into_iter()
            .filter_map(|word| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
            .filter(|(name, _)| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
            .collect();
        let place = ["M", "SUBDIRS", "KBUILD_EXTMOD"].iter().find_map(|name| given.get(*name))?;
        let top = match place.strip_prefix("@TOP@") {
            Some(inside) => tree_path(&join(folder, inside))?,
            // however it is spelled, nearly always it is the folder itself
            None => folder.to_owned(),
        };
        let is_own = |name: &str, value: &str| {
            !USUAL.contains(&name) && !name.starts_with("CONFIG_") && !value.is_empty()
        };
        let variables = given.into_iter().filter(|(name, value)| is_own(name, value)).collect();
        Some(Self { top, wrapper: Wrapper { variables, ..make.wrapper() } })
    }
}

/// What drivers call the release and the folder of the kernel that is built for, where a caller has to give them; none of them is
/// a name of the kernel's own Makefile.
const USUAL_NAMES: &[(&str, Asked)] = &[
    ("BUILD_KERNEL", Asked::Release),
    ("KERNELVER", Asked::Release),
    ("KERNEL_RELEASE", Asked::Release),
    ("KERNEL_UNAME", Asked::Release),
    ("KVER", Asked::Release),
    ("KVERSION", Asked::Release),
    ("KDIR", Asked::Folder),
    ("KERNELDIR", Asked::Folder),
    ("KERNEL_BUILD_DIR", Asked::Folder),
    ("KERNEL_DIR", Asked::Folder),
    ("KERNEL_PATH", Asked::Folder),
    ("KERNEL_SOURCE", Asked::Folder),
    ("KERNEL_SRC", Asked::Folder),
    ("KSRC", Asked::Folder),
    ("LINUX_SRC", Asked::Folder),
];

/// A variable as the file sets it.
#[derive(Debug, Clone)]
struct Variable {
    text: String,
    /// As the last assignment has it.
    raw: String,
    /// Expanded when it was set, `:=`.
    is_simple: bool,
    exported: bool,
}

/// A rule: its targets, what they need, and where its recipe begins and ends in [`Make::recipes`].
#[derive(Debug, Clone)]
struct Rule {
    targets: Vec<String>,
    needs: Vec<String>,
    recipe: std::ops::Range<usize>,
}

/// Reads one Makefile and what it includes.
struct Make<'a> {
    tree: &'a dyn ReadTree,
    top: String,
    folder: String,
    variables: BTreeMap<String, Variable>,
    recipes: Vec<Line>,
    rules: Vec<Rule>,
    /// Variables that have to name the root of the tree.
    roots: BTreeSet<String>,
    depth: usize,
    /// How many references are still expanded; names that name each other would take all time.
    left: Cell<usize>,
    /// The variables that no assignment of the file changes.
    fixed: BTreeSet<String>,
    /// Whether something was met that is not known here and may change what is made.
    is_open: Cell<bool>,
    /// The files that were read.
    read: Vec<String>,
    /// Files that are included and not there.
    missing: RefCell<Vec<Missing>>,
    /// The file and line that are read.
    here: (String, usize),
    /// Names that are used and that nobody sets.
    unset: RefCell<BTreeSet<String>>,
    /// The commands of `$(shell …)`.
    shells: RefCell<Vec<String>>,
    statements: Vec<Statement>,
    /// The conditions that the text stands in that is read.
    inside: Vec<usize>,
}

/// Where a conditional stands.
struct Branch {
    /// Whether what is between is read.
    active: bool,
    /// Whether an `else` may become active.
    open: bool,
    /// The statements of its conditions.
    conditions: Vec<usize>,
}

impl<'a> Make<'a> {
    /// `release`: kbuild reads the file; without one, a person calls make.
    fn new(tree: &'a dyn ReadTree, top: &str, folder: &str, release: Option<&str>) -> Self {
        let mut make = Self {
            tree,
            top: top.to_owned(),
            folder: folder.to_owned(),
            variables: BTreeMap::new(),
            recipes: Vec::new(),
            rules: Vec::new(),
            roots: BTreeSet::new(),
            depth: 0,
            left: Cell::new(REFERENCES),
            fixed: BTreeSet::new(),
            is_open: Cell::new(false),
            read: Vec::new(),
            missing: RefCell::default(),
            here: (String::new(), 0),
            unset: RefCell::default(),
            shells: RefCell::default(),
            statements: Vec::new(),
            inside: Vec::new(),
        };
        if let Some(release) = release {
            for (name, value) in [
                ("KERNELRELEASE", release),
                ("VERSION", "6"),
                ("PATCHLEVEL", "1"),
                ("SUBLEVEL", "0"),
                ("KBUILD_EXTMOD", "M"),
            ] {
                make.set(name, value);
            }
        }
        make
    }

    fn set(&mut self, name: &str, value: &str) {
        let variable =
            Variable { text: value.to_owned(), raw: value.to_owned(), is_simple: true, exported: false };
        self.variables.insert(name.to_owned(), variable);
    }

    fn give(&mut self, given: &Given) {
        for (name, value) in &given.environment {
            self.set(name, value);
        }
        for (name, value) in &given.arguments {
            self.set(name, value);
            self.fixed.insert(name.clone());
        }
    }

    /// The objects of a module that it has on every kernel, relative to the root; `name` may have folders in front.
    fn parts(&self, name: &str) -> Vec<String> {
        let base = name.rsplit('/').next().unwrap_or(name);
        let lists = [name, base]
            .into_iter()
            .flat_map(|name| ["-objs", "-y", "-m"].into_iter().map(move |suffix| format!("{name}{suffix}")));
        let lists: BTreeSet<String> = lists.filter(|list| self.variables.contains_key(list)).collect();
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let shown = |word: &str| place(&join(&self.folder, &join(folder, word)));
        if lists.is_empty() {
            return vec![shown(base)];
        }
        let words: Vec<String> = lists.iter().map(|list| self.value(list, 0)).collect();
        let words = words.iter().flat_map(|words| words.split_whitespace());
        words
            .filter(|word| !word.contains([OPEN, CLOSE, '$']))
            .filter_map(|word| word.strip_suffix(".o"))
            // of these there is a finding of its own
            .filter(|word| !word.starts_with('/'))
            .map(|word| match word.strip_prefix("@TOP@/") {
                Some(inside) => place(&join(&self.top, inside)),
                None => shown(word),
            })
            .collect()
    }

    /// The folders of `-I` in what is given to the compiler.
    fn include_folders(&self) -> Vec<String> {
        let mut folders = Vec::new();
        for name in self.variables.keys().filter(|name| flow::is_flags(name)) {
            let value = self.value(name, 0);
            let mut words = value.split_whitespace();
            while let Some(word) = words.next() {
                let Some(folder) = word.strip_prefix("-I") else { continue };
                let folder = if folder.is_empty() { words.next().unwrap_or_default() } else { folder };
                let folder = folder.trim_matches(['"', '\'']);
                folders.extend(match folder.strip_prefix("@TOP@") {
                    Some(inside) => Some(place(&join(&self.top, inside))),
                    None if folder.starts_with('/') || folder.contains([OPEN, '@']) => None,
                    // since Linux 6.13 the compiler runs in the folder of M, before in that of the kernel
                    None => Some(place(&join(&self.top, folder))),
                });
            }
        }
        folders
    }

    fn exported(&self) -> BTreeMap<String, String> {
        self.variables
            .iter()
            .filter(|(_, variable)| variable.exported)
            .map(|(name, _)| (name.clone(), self.value(name, 0)))
            .collect()
    }

    /// The words of `obj-m`, and of `obj-$(CONFIG_X)` with the option.
    fn objects(&self) -> Vec<(Option<String>, Vec<String>)> {
        let mut found = Vec::new();
        for name in self.variables.keys() {
            let Some(list) = name.strip_prefix("obj-") else { continue };
            let option = match list {
                // `obj-$(ALL)$(CONFIG_X)` with `ALL=m`, and an option that the kernel does not know
                list if list == "m" || list.starts_with(&format!("m{OPEN}CONFIG_")) => None,
                // kbuild goes down into the folders of obj-y too; its objects are for the kernel itself
                "y" => {
                    let words = self.value(name, 0);
                    let folders =
                        words.split_whitespace().filter(|word| word.ends_with('/') && !word.contains(OPEN));
                    found.push((None, folders.map(str::to_owned).collect()));
                    continue;
                }
                list => match list.strip_prefix(OPEN).and_then(|list| list.strip_suffix(CLOSE)) {
                    Some(option) if option.starts_with("CONFIG_") => Some(option.to_owned()),
                    _ => {
                        self.is_open.set(self.is_open.get() || list.contains(OPEN));
                        continue;
                    }
                },
            };
            let value = self.value(name, 0);
            let is_known = |word: &&str| !word.contains([OPEN, CLOSE, '$']);
            self.is_open.set(self.is_open.get() || !value.split_whitespace().all(|word| is_known(&word)));
            found.push((option, value.split_whitespace().filter(is_known).map(str::to_owned).collect()));
        }
        found
    }

    /// The Makefile of a folder as a person's call of make reads it, and its path.
    fn called(tree: &'a dyn ReadTree, folder: &str) -> Option<(String, Self)> {
        let path = ["GNUmakefile", "makefile", "Makefile"]
            .iter()
            .map(|name| join(folder, name))
            .find(|path| tree.exists(path) && !tree.is_dir(path))?;
        let mut make = Self::new(tree, folder, folder, None);
        make.file(&path);
        Some((path, make))
    }

    /// What it does when a person calls it.
    fn wrapper(&self) -> Wrapper {
        let mut wrapper = Wrapper { folder: self.folder.clone(), ..Wrapper::default() };
        for (name, variable) in &self.variables {
            let text = variable.raw.as_str();
            if name.starts_with("CONFIG_") && matches!(text.trim(), "m" | "y") {
                wrapper.options.insert(name.clone(), text.trim().to_owned());
            }
            let asks = text.contains("uname -r");
            let is_folder = text.contains("/lib/modules/") && text.trim_end().ends_with("/build");
            if is_folder && (asks || !text.trim().contains(' ')) {
                wrapper.kernel_folder.get_or_insert_with(|| name.clone());
            } else if asks && text.trim().starts_with("$(shell") {
                wrapper.kernel_release.get_or_insert_with(|| name.clone());
            }
        }
        for recipe in self.recipes.iter().map(|line| &line.text) {
            let starts_kernel =
                recipe.contains("-C ") && (recipe.contains("M=") || recipe.contains("SUBDIRS="));
            if starts_kernel {
                let words = recipe.split_whitespace().filter_map(|word| word.split_once('='));
                for (name, value) in
                    words.filter(|(name, value)| name.starts_with("CONFIG_") && matches!(*value, "m" | "y"))
                {
                    wrapper.options.insert(name.to_owned(), value.to_owned());
                }
            }
        }
        wrapper.generates = self.default_generates();
        wrapper.asks = self.asks();
        wrapper
    }

    /// The target that is made where none is named.
    fn first_target(&self) -> Option<String> {
        if let Some(goal) = self.variables.get(".DEFAULT_GOAL").map(|_| self.value(".DEFAULT_GOAL", 0)) {
            return Some(goal.trim().to_owned());
        }
        let is_goal = |target: &&String| !target.starts_with('.') && !target.contains('%');
        self.rules.iter().flat_map(|rule| &rule.targets).find(is_goal).cloned()
    }

    /// Variables that ask the running kernel, or that nobody sets and that are called like what drivers have them for.
    fn asks(&self) -> BTreeMap<String, Asked> {
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let mut found = BTreeMap::new();
        for (name, variable) in self.variables.iter().filter(|(name, _)| is_name(name)) {
            let text = variable.raw.trim();
            if !text.contains("uname -r") {
                continue;
            }
            let is_alone = text.starts_with("$(shell") && !text.contains(['|', '/']);
            let is_folder =
                text.contains("/lib/modules/") && ["/build", "/source"].iter().any(|end| text.contains(end));
            if is_folder && (!text.contains(' ') || text.matches("/lib/modules/").count() == 1) {
                found.insert(name.clone(), Asked::Folder);
            } else if is_alone {
                found.insert(name.clone(), Asked::Release);
            }
        }
        // one that is only looked at before the file sets it is no question to the caller
        for name in self.unset.borrow().iter().filter(|name| !self.variables.contains_key(*name)) {
            found.extend(
                USUAL_NAMES.iter().find(|(known, _)| known == name).map(|(_, asked)| (name.clone(), *asked)),
            );
        }
        found
    }

    /// The lines that the default target runs, each with the target that it belongs to.
    fn default_recipes(&self) -> Vec<(String, &Line)> {
        let first = self
            .rules
            .iter()
            .find(|rule| rule.targets.iter().any(|target| !target.starts_with('.') && !target.contains('%')));
        self.recipes_of(first.map(|rule| rule.targets.clone()).unwrap_or_default())
    }

    /// The lines that targets and what they need run, each with the target that it belongs to.
    fn recipes_of(&self, mut left: Vec<String>) -> Vec<(String, &Line)> {
        let mut seen = BTreeSet::new();
        let mut lines = Vec::new();
        while let Some(target) = left.pop() {
            if !seen.insert(target.clone()) {
                continue;
            }
            let from = lines.len();
            for rule in self.rules.iter().filter(|rule| rule.targets.contains(&target)) {
                left.extend(rule.needs.iter().cloned());
                lines.extend(self.recipes[rule.recipe.clone()].iter().map(|line| (target.clone(), line)));
            }
            // a target without commands of its own has those of a pattern
            let fits = |rule: &&Rule| {
                rule.targets.iter().any(|made| made.contains('%') && stem(&target, made).is_some())
            };
            if lines.len() == from
                && let Some(rule) = self.rules.iter().find(fits)
            {
                lines.extend(self.recipes[rule.recipe.clone()].iter().map(|line| (target.clone(), line)));
            }
        }
        lines
    }

    /// Whether the default target makes a source file, or configures something.
    fn default_generates(&self) -> bool {
        let is_source = |word: &str| {
            let word = word.trim_matches(['"', '\'', ';']);
            [".h", ".c", ".S", ".mk", ".inc"].iter().any(|ending| word.ends_with(ending))
        };
        let in_tree = |word: &str| {
            let inside = self.expand(word, 0).replace("@TOP@", "");
            tree_path(&join(&self.folder, &inside)).is_some_and(|path| self.tree.exists(&path))
        };
        // what is run while the file is read: `OUT=gen.h ./gen.sh`, `./gen.sh > gen.h`
        let shell_makes = self.shells.borrow().iter().any(|text| {
            let mut words = text.split(|next: char| next.is_whitespace() || "=>".contains(next));
            words.any(|word| {
                is_source(word)
                    && word.len() > 4
                    && !word.contains('*')
                    && !in_tree(word)
                    && !word.starts_with('/')
            }) && (text.contains('>') || text.contains("OUT"))
        });
        shell_makes
            || self.default_recipes().into_iter().any(|(target, Line { text: line, .. })| {
                let (_, after) = line.split_once('>').unwrap_or_default();
                let writes = after.split_whitespace().next().is_some_and(is_source);
                // a script of the tree that is told the name of a source which is not there
                let mut words = line.split_whitespace().map(|word| word.trim_start_matches(['@', '-', '+']));
                let is_script = words.next().is_some_and(|first| first.contains('/') && in_tree(first));
                let makes = is_script && words.any(|word| is_source(word) && !in_tree(word));
                is_source(&target) && !line.trim().is_empty()
                    || writes
                    || makes
                    || line.contains("./configure")
            })
    }

    fn file(&mut self, path: &str) {
        if self.depth >= DEPTH {
            return;
        }
        let Some(bytes) = self.tree.read(path, BYTES) else { return };
        self.depth += 1;
        self.read.push(path.to_owned());
        let above = std::mem::replace(&mut self.here, (path.to_owned(), 0));
        self.text(&String::from_utf8_lossy(&bytes));
        self.here = above;
        self.depth -= 1;
    }

    fn text(&mut self, text: &str) {
        let mut branches: Vec<Branch> = Vec::new();
        let mut in_rule = false;
        // the name of a variable of several lines, and what it has so far
        let mut definition: Option<(String, String)> = None;
        let around = self.inside.clone();
        for (number, line) in logical_lines(text) {
            self.here.1 = number;
            let active = branches.iter().all(|branch| branch.active);
            if let Some((name, mut text)) = definition.take() {
                if line.trim() != "endef" {
                    text.push_str(line.trim());
                    text.push('\n');
                    definition = Some((name, text));
                } else if active {
                    self.assign(&name, "=", text.trim_end());
                }
                continue;
            }
            if line.starts_with('\t') && in_rule {
                if active {
                    self.recipes.push(self.line(line.trim()));
                    if let Some(rule) = self.rules.last_mut() {
                        rule.recipe.end = self.recipes.len();
                    }
                }
                continue;
            }
            let line = without_comment(&line);
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            if self.conditional(line, active, &mut branches) {
                let conditions = branches.iter().rev().flat_map(|branch| branch.conditions.iter().rev());
                self.inside = conditions.chain(around.iter().rev()).take(CONDITIONS).copied().collect();
                continue;
            }
            if !active {
                self.passed(line);
                continue;
            }
            in_rule = false;
            if line.contains("$(eval") || line.contains("${eval") || line.contains("$(call") {
                self.is_open.set(true);
            }
            let is_reference = line.strip_prefix('$').is_some_and(|rest| {
                let close = if rest.starts_with('(') { ('(', ')') } else { ('{', '}') };
                rest.starts_with(close.0) && closing(rest, close.0, close.1) == Some(rest.len() - 1)
            });
            if is_reference {
                // only for what it does
                self.expand(line, 0);
                self.note(Does::Calls, line, true);
            } else if let Some(name) = line.strip_prefix("define ") {
                let name = name.trim().trim_end_matches(['=', ':', '?', '+']).trim();
                definition = Some((name.to_owned(), String::new()));
            } else if let Some(paths) = line.strip_prefix("include ") {
                self.include(paths, true);
            } else if let Some(paths) =
                ["-include ", "sinclude "].iter().find_map(|word| line.strip_prefix(word))
            {
                self.include(paths, false);
            } else if let Some((name, operator, value)) = assignment(line) {
                self.assign(name, operator, value);
            } else if let Some(name) = line.strip_prefix("export ") {
                for name in name.split_whitespace() {
                    if let Some(variable) = self.variables.get_mut(name) {
                        variable.exported = true;
                    }
                }
            } else if let Some((targets, needs)) = line.split_once(':') {
                in_rule = true;
                let words = |text: &str| self.expand(text, 0).split_whitespace().map(str::to_owned).collect();
                let (needs, inline) = needs.split_once(';').unwrap_or((needs, ""));
                let rule = Rule {
                    targets: words(targets),
                    needs: words(needs.trim_start_matches(':')),
                    recipe: self.recipes.len()..self.recipes.len() + usize::from(!inline.trim().is_empty()),
                };
                if !inline.trim().is_empty() {
                    self.recipes.push(self.line(inline.trim()));
                }
                self.rules.push(rule);
            }
        }
        self.inside = around;
    }

    /// The kernel option without which an object is not listed: `ifneq ($(CONFIG_X),)` and `ifdef CONFIG_X` around it.
    fn needs(&self, object: &str) -> Option<String> {
        let lists = |statement: &&Statement| {
            statement.is_read
                && statement.sets().is_some_and(|name| name.starts_with("obj-"))
                && statement.text.split_whitespace().any(|word| word == object)
        };
        let conditions = self.statements.iter().find(lists)?.inside.iter();
        conditions.filter_map(|at| option_asked(&self.statements[*at].text)).find_map(|option| {
            let is_given = !self.value(option, 0).contains(OPEN) && !self.value(option, 0).is_empty();
            (!is_given).then(|| option.to_owned())
        })
    }

    fn note(&mut self, does: Does, text: &str, is_read: bool) {
        if self.statements.len() < STATEMENTS {
            let (path, line) = self.here.clone();
            let (text, inside) = (text.to_owned(), self.inside.clone());
            self.statements.push(Statement { path, line, does, text, is_read, inside });
        }
    }

    /// A line on the side of a condition that does not hold here: on another machine it may.
    fn passed(&mut self, line: &str) {
        if line.starts_with('$') {
            self.note(Does::Calls, line, false);
        } else if let Some((name, operator, value)) = assignment(line) {
            let name = name.strip_prefix("export ").unwrap_or(name).trim().to_owned();
            self.note(Does::Sets { name, now: operator.starts_with(':'), replaces: false }, value, false);
        }
    }

    fn line(&self, text: &str) -> Line {
        Line { text: text.to_owned(), path: self.here.0.clone(), line: self.here.1 }
    }

    /// `text` expanded, with the root in it.
    fn shown(&self, text: &str) -> String {
        let top = format!("@BUILD@/{}", self.top);
        self.expand(text, 0).replace("@TOP@", top.trim_end_matches('/'))
    }

    /// The lines of recipes as they run.
    fn lines(&mut self, recipes: Vec<Line>) -> Vec<Line> {
        let mut lines = Vec::new();
        for recipe in recipes {
            self.here = (recipe.path.clone(), recipe.line);
            self.note(Does::Runs, &recipe.text, true);
            lines.push(Line { text: self.shown(&recipe.text), ..recipe });
        }
        lines
    }

    /// The recipes of the rules for what modules are linked from, and of what those need: kbuild comes to no others.
    fn recipes_for(&self, modules: &[KbuildModule]) -> Vec<Line> {
        let stem = |path: &str| {
            let name = path.rsplit('/').next().unwrap_or(path);
            name.split_once('.').map(|(stem, _)| stem.to_owned())
        };
        let names: BTreeSet<&str> = modules
            .iter()
            .flat_map(|module| &module.objects)
            .map(|object| object.rsplit('/').next().unwrap_or(object))
            .collect();
        let targets = self.rules.iter().flat_map(|rule| &rule.targets);
        let wanted = targets.filter(|target| stem(target).is_some_and(|stem| names.contains(stem.as_str())));
        self.recipes_of(wanted.cloned().collect()).into_iter().map(|(_, line)| line.clone()).collect()
    }

    /// The commands of `$(shell …)` that ran, where they are written.
    fn ran(&self) -> Vec<Line> {
        let ran: BTreeSet<String> = self.shells.borrow().iter().cloned().collect();
        let mut lines = Vec::new();
        for statement in self.statements.iter().filter(|statement| statement.is_read) {
            for (at, word) in statement.text.match_indices("shell ") {
                let before = &statement.text[..at];
                let open = if before.ends_with("$(") { ('(', ')') } else { ('{', '}') };
                let Some(from) = before.strip_suffix(open.0).filter(|before| before.ends_with('$')) else {
                    continue;
                };
                let Some(end) = closing(&statement.text[from.len()..], open.0, open.1) else { continue };
                let text = statement.text[at + word.len()..from.len() + end].trim_start();
                if ran.contains(text) && lines.len() < SHELLS {
                    let (path, line) = (statement.path.clone(), statement.line);
                    lines.push(Line { text: self.shown(text), path, line });
                }
            }
        }
        lines
    }

    /// Objects in the lists of modules that begin with a folder of the machine: kbuild puts its own in front of it
    /// (`multi-search` and `addprefix $(obj)/` in scripts/Makefile.lib).
    fn absolute(&self, modules: &[KbuildModule]) -> Vec<Absolute> {
        let of = |module: &KbuildModule| ["-objs", "-y", "-m"].map(|end| format!("{}{end}", module.name));
        let lists: BTreeSet<String> = modules
            .iter()
            .flat_map(of)
            .chain(self.variables.keys().filter(|name| name.starts_with("obj-")).cloned())
            .filter(|list| self.variables.contains_key(list))
            .collect();
        let mut found = Vec::new();
        for list in lists {
            let value = self.value(&list, 0);
            for word in value.split_whitespace().filter(|word| word.ends_with(".o")) {
                if !word.starts_with("@TOP@") && !word.starts_with('/') {
                    continue;
                }
                let name = word.rsplit('/').next().unwrap_or(word).to_owned();
                let of_list = |statement: &&Statement| statement.is_read && statement.sets() == Some(&list);
                let of_list: Vec<_> = self.statements.iter().filter(of_list).collect();
                let says = |statement: &&&Statement| statement.text.contains(&name);
                let place = of_list.iter().find(says).or(of_list.last());
                let (path, line) = place.map_or((String::new(), 0), |place| (place.path.clone(), place.line));
                found.push(Absolute { list: list.clone(), name, path, line });
            }
        }
        found
    }

    /// Whether the line is part of a conditional; keeps track of it.
    fn conditional(&mut self, line: &str, active: bool, branches: &mut Vec<Branch>) -> bool {
        let (word, rest) =
            line.split_once([' ', '\t', '(']).map_or((line, ""), |(word, _)| (word, &line[word.len()..]));
        match word {
            "ifeq" | "ifneq" | "ifdef" | "ifndef" => {
                let is = active && self.condition(word, rest.trim()) == Some(true);
                self.is_open.set(self.is_open.get() || active && self.is_guess(word, rest.trim()));
                self.note(Does::Tests, rest, active);
                let conditions = vec![self.statements.len() - 1];
                branches.push(Branch { active: is, open: active && !is, conditions });
                true
            }
            "else" => {
                if let Some(branch) = branches.last_mut() {
                    let rest = rest.trim();
                    let (word, test) = rest
                        .split_once([' ', '\t', '('])
                        .map_or((rest, ""), |(word, _)| (word, &rest[word.len()..]));
                    let is =
                        branch.open && (rest.is_empty() || self.condition(word, test.trim()) == Some(true));
                    if !rest.is_empty() && branch.conditions.len() < CONDITIONS {
                        self.note(Does::Tests, test, branch.open);
                        branch.conditions.push(self.statements.len() - 1);
                    }
                    branch.active = is;
                    branch.open = branch.open && !is;
                }
                true
            }
            "endif" => {
                branches.pop();
                true
            }
            _ => false,
        }
    }

    /// Whether what a conditional says hangs on the kernel or the machine.
    fn is_guess(&self, word: &str, text: &str) -> bool {
        match word {
            "ifdef" | "ifndef" => {
                let value = self.value(text, 0);
                value.contains(OPEN) || text.starts_with("CONFIG_") && !self.variables.contains_key(text)
            }
            _ => {
                let expanded = self.expand(text, 0);
                let versions = ["$(VERSION", "$(PATCHLEVEL", "$(SUBLEVEL", "${VERSION", "${PATCHLEVEL"];
                expanded.contains(OPEN) || versions.iter().any(|name| text.contains(name))
            }
        }
    }

    /// Nothing: not known. An option of the kernel that nobody sets is taken as unset, as in `ifdef`.
    fn condition(&self, word: &str, text: &str) -> Option<bool> {
        let known = |text: String| (!text.contains([OPEN, CLOSE])).then_some(text);
        match word {
            "ifdef" | "ifndef" => {
                let set = self.variables.get(text).is_some_and(|variable| !variable.text.trim().is_empty());
                Some(set == (word == "ifdef"))
            }
            _ => {
                let (left, right) = split_condition(text)?;
                let left = known(self.expand(&left, 0).trim().to_owned());
                let right = known(self.expand(&right, 0).trim().to_owned());
                match (left, right) {
                    (Some(left), Some(right)) => Some((left == right) == (word == "ifeq")),
                    // the usual test, for a value that a kernel option or a program gives: whether it is empty
                    (None, Some(empty)) | (Some(empty), None) if empty.is_empty() => Some(word == "ifneq"),
                    _ => None,
                }
            }
        }
    }

    fn include(&mut self, paths: &str, must_exist: bool) {
        for path in paths.split_whitespace() {
            self.note_root(path);
        }
        self.note(Does::Includes, paths, true);
        let paths = self.expand(paths, 0);
        for path in paths.split_whitespace() {
            if path.starts_with('/') || path.contains([OPEN, CLOSE]) {
                self.is_open.set(true);
                continue;
            }
            let inside = self.place_of(path);
            if self.tree.exists(&inside) && !inside.starts_with("..") {
                self.file(&inside);
            } else if must_exist {
                self.is_open.set(true);
                if !path.contains(['*', '%']) {
                    let (by, line) = self.here.clone();
                    self.missing.borrow_mut().push(Missing { path: inside, by, line });
                }
            }
        }
    }

    /// Where a path of a Makefile is, relative to the root.
    fn place_of(&self, path: &str) -> String {
        match (path.strip_prefix("@TOP@"), path.strip_prefix("@ROOT@/")) {
            (Some(inside), _) => place(&join(&self.top, inside)),
            (_, Some(inside)) => place(inside),
            // make looks from the folder that it runs in
            _ => place(&join(&self.folder, path)),
        }
    }

    /// What is included and not there, without what make makes before it reads it: that for which there is a rule.
    fn take_missing(&mut self) -> Vec<Missing> {
        let mut missing = std::mem::take(self.missing.get_mut());
        let targets = self.rules.iter().flat_map(|rule| &rule.targets);
        let targets: Vec<String> = targets.map(|target| self.place_of(target)).collect();
        missing.retain(|missing| !targets.iter().any(|target| stem(&missing.path, target).is_some()));
        missing
    }

    /// `${TOP}/x` with a variable that nobody sets, and a file `x` in the root: the caller is meant to say where the root is.
    fn note_root(&mut self, path: &str) {
        let Some((name, rest)) = path
            .strip_prefix("${")
            .and_then(|path| path.split_once("}/"))
            .or_else(|| path.strip_prefix("$(").and_then(|path| path.split_once(")/")))
        else {
            return;
        };
        let given = self.variables.contains_key(name) || !self.value(name, 0).is_empty();
        if !given && !rest.contains(['$', '*']) && self.tree.exists(rest) {
            self.roots.insert(name.to_owned());
            self.set(name, "@ROOT@");
        }
    }

    fn assign(&mut self, name: &str, operator: &str, value: &str) {
        let (name, exported) = match name.strip_prefix("export ") {
            Some(name) => (name.trim(), true),
            None => (name.strip_prefix("override ").unwrap_or(name).trim(), false),
        };
        let name = self.expand(name, 0);
        let name = name.trim();
        if name.is_empty() || name.contains(' ') || self.fixed.contains(name) {
            return;
        }
        let old = self.variables.get(name).cloned();
        let exported = exported || old.as_ref().is_some_and(|old| old.exported);
        let (text, is_simple) = match (operator, old) {
            ("?=", Some(_)) => return,
            ("+=", Some(old)) => {
                let more = if old.is_simple { self.expand(value, 0) } else { value.to_owned() };
                (format!("{} {more}", old.text), old.is_simple)
            }
            (":=" | "::=", _) => (self.expand(value, 0), true),
            _ => (value.to_owned(), false),
        };
        let (now, replaces) = (operator.starts_with(':'), operator != "+=");
        self.note(Does::Sets { name: name.to_owned(), now, replaces }, value, true);
        if text.len() <= VALUE {
            self.variables
                .insert(name.to_owned(), Variable { text, raw: value.to_owned(), is_simple, exported });
        }
    }

    fn value(&self, name: &str, depth: usize) -> String {
        match self.variables.get(name) {
            Some(variable) if variable.is_simple => variable.text.clone(),
            Some(variable) => self.expand(&variable.text, depth + 1),
            None => match name {
                "src" | "obj" | "CURDIR" | "PWD" | "srcdir" => {
                    format!("@TOP@/{}", relative(&self.top, &self.folder))
                }
                "M" => "@TOP@".to_owned(),
                _ if name.starts_with("CONFIG_") => format!("{OPEN}{name}{CLOSE}"),
                "srctree" | "objtree" | "ARCH" | "SUBARCH" | "SRCARCH" | "MAKECMDGOALS" => {
                    format!("{OPEN}{CLOSE}")
                }
                _ if USUAL_NAMES.iter().any(|(known, _)| *known == name) => {
                    self.unset.borrow_mut().insert(name.to_owned());
                    String::new()
                }
                _ => String::new(),
            },
        }
    }

    /// Replaces `$(…)`, `${…}` and `$x`.
    fn expand(&self, text: &str, depth: usize) -> String {
        if !text.contains('$') {
            return text.to_owned();
        }
        if depth > DEPTH || self.left.get() == 0 {
            return String::new();
        }
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            let Some(next) = rest.chars().next() else { break };
            self.left.set(self.left.get().saturating_sub(1));
            match next {
                '$' => {
                    out.push('$');
                    rest = &rest[1..];
                }
                '(' | '{' => {
                    let close = if next == '(' { ')' } else { '}' };
                    let Some(end) = closing(rest, next, close) else { break };
                    out.push_str(&self.reference(&rest[1..end], depth));
                    rest = &rest[end + 1..];
                }
                _ => {
                    out.push_str(&self.value(&next.to_string(), depth));
                    rest = &rest[next.len_utf8()..];
                }
            }
            if out.len() > VALUE {
                return String::new();
            }
        }
        out + rest
    }

    /// What stands between the brackets: a name, a substitution or a function.
    fn reference(&self, text: &str, depth: usize) -> String {
        let unknown = || format!("{OPEN}{CLOSE}");
        if let Some((function, arguments)) = text.split_once([' ', '\t'])
            && function.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        {
            return self.function(function, arguments.trim_start(), depth).unwrap_or_else(unknown);
        }
        if let Some((name, change)) = text.split_once(':')
            && let Some((from, to)) = change.split_once('=')
        {
            let value = self.value(&self.expand(name, depth + 1), depth);
            let (from, to) = (self.expand(from, depth + 1), self.expand(to, depth + 1));
            let pattern = |text: &str| if text.contains('%') { text.to_owned() } else { format!("%{text}") };
            return each_word(&value, |word| substituted(word, &pattern(&from), &pattern(&to)));
        }
        self.value(&self.expand(text, depth + 1), depth)
    }

    /// Nothing: a function that is not known here, or that asks the machine.
    fn function(&self, name: &str, text: &str, depth: usize) -> Option<String> {
        let raw = arguments(text);
        let argument = |index: usize| self.expand(raw.get(index).map_or("", String::as_str), depth + 1);
        let all_from = |index: usize| self.expand(&raw.get(index..).unwrap_or_default().join(","), depth + 1);
        let words = |text: String| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        Some(match name {
            "subst" => all_from(2).replace(&argument(0), &argument(1)),
            "patsubst" => {
                let (from, to) = (argument(0), argument(1));
                each_word(&all_from(2), |word| substituted(word, &from, &to))
            }
            "strip" => words(all_from(0)).join(" "),
            "sort" => {
                let mut words = words(all_from(0));
                words.sort();
                words.dedup();
                words.join(" ")
            }
            "filter" | "filter-out" => {
                let patterns = words(argument(0));
                let keep = |word: &String| {
                    patterns.iter().any(|pattern| stem(word, pattern).is_some()) == (name == "filter")
                };
                words(all_from(1)).into_iter().filter(keep).collect::<Vec<_>>().join(" ")
            }
            "addprefix" => {
                let prefix = argument(0);
                each_word(&all_from(1), |word| format!("{prefix}{word}"))
            }
            "addsuffix" => {
                let suffix = argument(0);
                each_word(&all_from(1), |word| format!("{word}{suffix}"))
            }
            "notdir" => each_word(&all_from(0), |word| word.rsplit('/').next().unwrap_or(word).to_owned()),
            "dir" => each_word(&all_from(0), |word| {
                word.rsplit_once('/').map_or_else(|| "./".to_owned(), |(folder, _)| format!("{folder}/"))
            }),
            "basename" => each_word(&all_from(0), |word| {
                let slash = word.rfind('/').map_or(0, |at| at + 1);
                word[slash..].rfind('.').map_or_else(|| word.to_owned(), |dot| word[..slash + dot].to_owned())
            }),
            "firstword" => words(all_from(0)).first().cloned().unwrap_or_default(),
            "lastword" => words(all_from(0)).last().cloned().unwrap_or_default(),
            "words" => words(all_from(0)).len().to_string(),
            "word" => {
                let index: usize = argument(0).trim().parse().ok()?;
                words(all_from(1)).get(index.checked_sub(1)?).cloned().unwrap_or_default()
            }
            "if" => {
                let test = argument(0);
                if test.contains([OPEN, CLOSE]) {
                    return None;
                }
                if test.trim().is_empty() { all_from(2) } else { argument(1) }
            }
            "or" => (0..raw.len()).map(argument).find(|value| !value.trim().is_empty()).unwrap_or_default(),
            "and" => {
                let values: Vec<_> = (0..raw.len()).map(argument).collect();
                if values.iter().any(|value| value.trim().is_empty()) {
                    String::new()
                } else {
                    values.last().cloned().unwrap_or_default()
                }
            }
            "foreach" => {
                let (variable, list) = (argument(0), argument(1));
                let body = raw.get(2..)?.join(",");
                let marks = [format!("$({})", variable.trim()), format!("${{{}}}", variable.trim())];
                let each = |word: &str| {
                    let text = marks.iter().fold(body.clone(), |text, mark| text.replace(mark, word));
                    self.expand(&text, depth + 1)
                };
                list.split_whitespace().take(2000).map(each).collect::<Vec<_>>().join(" ")
            }
            "shell" if text.trim() == "pwd" => format!("@TOP@/{}", relative(&self.top, &self.folder)),
            "shell" => {
                let mut shells = self.shells.borrow_mut();
                if shells.len() < SHELLS {
                    shells.push(text.to_owned());
                }
                return None;
            }
            "call" => {
                let mut body = self.variables.get(argument(0).trim())?.text.clone();
                for index in 1..=9 {
                    let value = argument(index);
                    for name in [format!("$({index})"), format!("${{{index}}}"), format!("${index}")] {
                        if body.contains(&name)
                            && body.len() + value.len() * body.matches(&name).count() <= VALUE
                        {
                            body = body.replace(&name, &value);
                        }
                    }
                }
                self.expand(&body, depth + 1)
            }
            "wildcard" => self.wildcard(&all_from(0)),
            "abspath" | "realpath" => all_from(0),
            "error" | "warning" | "info" | "eval" => String::new(),
            _ => return None,
        })
    }

    /// The files that patterns with `*` in their last part match.
    fn wildcard(&self, patterns: &str) -> String {
        let mut found = Vec::new();
        for pattern in patterns.split_whitespace().filter(|pattern| !pattern.contains([OPEN, CLOSE])) {
            let (prefix, inside) = match pattern.strip_prefix("@TOP@") {
                Some(inside) => ("@TOP@/", tree_path(&join(&self.top, inside))),
                None => ("", tree_path(&join(&self.folder, pattern))),
            };
            let Some(inside) = inside else { continue };
            let (folder, name) = inside.rsplit_once('/').unwrap_or(("", &inside));
            let mut names = self.tree.list(folder);
            names.sort();
            let shown = pattern.rsplit_once('/').map_or("", |(folder, _)| folder);
            for entry in names.iter().filter(|entry| match name.split_once('*') {
                Some((start, end)) => {
                    entry.len() >= start.len() + end.len() && entry.starts_with(start) && entry.ends_with(end)
                }
                None => *entry == name,
            }) {
                found.push(if prefix.is_empty() { join(shown, entry) } else { format!("{shown}/{entry}") });
            }
        }
        found.join(" ")
    }
}

/// The words of a recipe's line as the shell splits it, without its quotes; nothing where a quote does not end.
fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    for character in line.chars() {
        match quote {
            Some(open) if character == open => quote = None,
            None if matches!(character, '"' | '\'') => {
                quote = Some(character);
                begun = true;
            }
            None if character.is_whitespace() || matches!(character, ';' | '&' | '|') => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => word.push(character),
        }
    }
    if quote.is_some() {
        return Vec::new();
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    words
}

/// `folder` as seen from `top`, which is above it.
fn relative(top: &str, folder: &str) -> String {
    folder.strip_prefix(top).unwrap_or(folder).trim_start_matches('/').to_owned()
}

/// Lines with what a backslash at their end continues, and the number of the first of them, counted from 1.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continued = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        let (part, goes_on) = match line.strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some((_, last)) if continued => {
                last.push(' ');
                last.push_str(part.trim_start());
            }
            _ => lines.push((index + 1, part.to_owned())),
        }
        continued = goes_on;
    }
    lines
}

fn without_comment(line: &str) -> String {
    let mut escaped = false;
    for (at, character) in line.char_indices() {
        match character {
            '#' if !escaped => return line[..at].to_owned(),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    line.to_owned()
}

/// Name, operator and value, when the line is one.
fn assignment(line: &str) -> Option<(&str, &'static str, &str)> {
    let mut depth = 0i32;
    for (at, character) in line.char_indices() {
        match character {
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            '=' if depth == 0 => {
                let operators = ["::=", ":=", "?=", "+=", "!="];
                let before = &line[..at];
                let operator = operators
                    .into_iter()
                    .find(|operator| before.ends_with(&operator[..operator.len() - 1]))
                    .unwrap_or("=");
                let name = &before[..before.len() + 1 - operator.len()];
                let value = &line[at + 1..];
                // `target: VARIABLE = value` is about one target only
                return (!name.contains(':') && operator != "!=").then_some((
                    name.trim(),
                    operator,
                    value.trim(),
                ));
            }
            _ => {}
        }
    }
    None
}

/// The position of the bracket that closes the one at the beginning.
fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// `(a,b)`, `"a" "b"` or `'a' 'b'`.
fn split_condition(text: &str) -> Option<(String, String)> {
    if text.starts_with('(') {
        let end = closing(text, '(', ')')?;
        let parts = arguments(&text[1..end]);
        return Some((parts.first()?.clone(), parts.get(1..)?.join(",")));
    }
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let mut parts = text.split(quote);
    Some((parts.nth(1)?.to_owned(), parts.nth(1).unwrap_or_default().to_owned()))
}

/// Splits at commas that are not in brackets.
fn arguments(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0i32;
    for character in text.chars() {
        match character {
            '(' | '{' => depth += 1,
            ')' | '}' => depth -= 1,
            _ => {}
        }
        if character == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push(character);
        }
    }
    parts
}

fn each_word(text: &str, change: impl Fn(&str) -> String) -> String {
    text.split_whitespace().map(change).collect::<Vec<_>>().join(" ")
}

/// `CONFIG_X` of a condition `($(CONFIG_X),)` or `CONFIG_X`, which asks whether it is set.
fn option_asked(condition: &str) -> Option<&str> {
    let text = condition.trim();
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let name = match inner {
        Some(inner) => {
            let value = inner.trim_end().strip_suffix(',')?.trim();
            let value = value
                .strip_prefix("$(strip ")
                .and_then(|value| value.strip_suffix(')'))
                .unwrap_or(value)
                .trim();
            let name = value.strip_prefix("$(").and_then(|value| value.strip_suffix(')'));
            name.or_else(|| value.strip_prefix("${").and_then(|value| value.strip_suffix('}')))?
        }
        None => text,
    };
    let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (name.starts_with("CONFIG_") && is_word).then_some(name)
}

/// What `%` stands for when the word matches.
fn stem<'w>(word: &'w str, pattern: &str) -> Option<&'w str> {
    match pattern.split_once('%') {
        Some((start, end)) => word.strip_prefix(start)?.strip_suffix(end),
        None => (word == pattern).then_some(""),
    }
}

fn substituted(word: &str, from: &str, to: &str) -> String {
    match stem(word, from) {
        Some(stem) => to.replacen('%', stem, 1),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkms::Files;

    fn kbuild(files: &[(&'static str, &'static str)]) -> Vec<Kbuild> {
        let tree = Files(files.iter().copied().collect());
        let folders: BTreeSet<String> = files
            .iter()
            .filter_map(|(path, _)| match path.rsplit_once('/') {
                Some((folder, "Makefile" | "Kbuild")) => Some(folder.to_owned()),
                None if matches!(*path, "Makefile" | "Kbuild") => Some(String::new()),
                _ => None,
            })
            .collect();
        read(&tree, &folders.into_iter().collect::<Vec<_>>())
    }

    /// `folder/name` of the modules, with `?OPTION` where one hangs on it.
    fn modules(files: &[(&'static str, &'static str)]) -> Vec<String> {
        let found = kbuild(files);
        let shown = |module: &KbuildModule| {
            let option = module.option.as_ref().map(|option| format!("?{option}")).unwrap_or_default();
            format!("{}{option}", join(&module.folder, &module.name))
        };
        found.iter().flat_map(|found| &found.modules).map(shown).collect()
    }

    #[test]
    fn modules_are_the_words_of_obj_m() {
        assert_eq!(
            modules(&[("Makefile", "obj-m := toy.o # x\nobj-m += \\\n  two.o\ntoy-objs := a.o b.o\n")]),
            ["toy", "two"]
        );
        assert_eq!(modules(&[("Kbuild", "obj-m := toy.o"), ("Makefile", "obj-m := wrong.o")]), ["toy"]);
        assert_eq!(modules(&[("src/Makefile", "obj-m := toy.o")]), ["src/toy"]);
        assert!(modules(&[("Makefile", "all:\n\tcc x.c\n")]).is_empty());
    }

    #[test]
    fn the_guard_for_kbuild_is_understood() {
        let text = "ifneq ($(KERNELRELEASE),)\nobj-m := toy.o\nelse\nKDIR ?= /lib/modules/$(shell uname -r)/build\nobj-m := wrong.o\nall:\n\t$(MAKE) -C $(KDIR) M=$(PWD)\nendif\n";
        let found = kbuild(&[("Makefile", text)]).remove(0);
        assert_eq!(found.modules[0].name, "toy");
        assert_eq!(found.modules.len(), 1);
        assert_eq!(found.wrapper.kernel_folder.as_deref(), Some("KDIR"));
        assert!(!found.wrapper.generates);
        let text = "ifeq ($(KERNELRELEASE),)\nKVER := $(shell uname -r)\nall: gen.h\n\t$(MAKE) -C x M=y\ngen.h:\n\t./gen.sh > $@\nelse\nobj-m := toy.o\nendif\n";
        let found = kbuild(&[("Makefile", text)]).remove(0);
        assert_eq!(found.wrapper.kernel_release.as_deref(), Some("KVER"));
        assert!(found.wrapper.generates);
    }

    #[test]
    fn what_only_the_own_makefile_hands_down_is_told() {
        let top = "PWD := $(shell pwd)\nKDIR ?= /lib/modules/$(shell uname -r)/build\nKMAKE = +$(MAKE) -C $(KDIR) KBUILD_EXTMOD=$(PWD)/src INC=\"$(PWD)/include\"\nall: modules\nmodules:\n\t$(KMAKE) modules ALL=m\n";
        let files = [
            ("Makefile", top),
            ("src/Kbuild", "obj-$(ALL)$(CONFIG_TOY) += toy.o\nobj-$(ALL) += sub/\n"),
            ("src/sub/Kbuild", "obj-$(ALL) += sub.o\n"),
        ];
        let found = kbuild(&files).remove(0);
        assert_eq!((found.top.as_str(), found.wrapper.folder.as_str()), ("src", ""));
        assert_eq!(
            found.wrapper.variables.into_iter().collect::<Vec<_>>(),
            [("ALL".to_owned(), "m".to_owned()), ("INC".to_owned(), "@TOP@//include".to_owned())]
        );
        assert_eq!(modules(&files), ["src/toy", "src/sub/sub"]);
        // nothing that kbuild does not know without it
        let plain = "obj-m := toy.o\nall:\n\t$(MAKE) -C $(KDIR) M=$(PWD) CONFIG_X=m ARCH=x EXTRA_CFLAGS=\"$(NONE)\" modules\n";
        assert!(!kbuild(&[("Makefile", plain)]).remove(0).wrapper.is_needed());
        // a script that writes what is included
        let script = "obj-m := toy.o\nall: config\n\t$(MAKE) -C $(KDIR) M=$(PWD)\nconfig:\n\t@$(PWD)/gen.sh $(PWD)/gen.h\n";
        let generates = |files: &[_]| kbuild(files).remove(0).wrapper.generates;
        assert!(generates(&[("Makefile", script), ("gen.sh", "")]));
        assert!(!generates(&[("Makefile", script), ("gen.sh", ""), ("gen.h", "")]));
        assert!(!generates(&[("Makefile", script)]));
    }

    #[test]
    fn words_of_a_recipe_lose_their_quotes() {
        assert_eq!(shell_words("make  A=\"x y\" B='z' \"\" && c"), ["make", "A=x y", "B=z", "", "c"]);
        assert!(shell_words("a 'b").is_empty());
    }

    #[test]
    fn options_of_the_kernel_are_told() {
        assert_eq!(
            modules(&[("Makefile", "obj-$(CONFIG_TOY) += toy.o\nobj-y += never.o")]),
            ["toy?CONFIG_TOY"]
        );
        let text =
            "ifneq ($(KERNELRELEASE),)\nobj-$(CONFIG_TOY) += toy.o\nelse\nexport CONFIG_TOY = m\nendif\n";
        assert_eq!(kbuild(&[("Makefile", text)]).remove(0).wrapper.options["CONFIG_TOY"], "m");
        let text = "CONFIG_TOY ?= m\nobj-$(CONFIG_TOY) += toy.o\n";
        assert_eq!(modules(&[("Makefile", text)]), ["toy"]);
    }

    #[test]
    fn folders_below_are_followed() {
        let files = [
            ("Makefile", "obj-m += a/ b/\nobj-$(CONFIG_C) += c/\nexport SUFFIX := x\n"),
            ("a/Makefile", "obj-m := one.o\n"),
            ("b/Kbuild", "obj-m := two$(SUFFIX).o ../a/three.o\n"),
            ("c/Makefile", "obj-m := four.o"),
        ];
        assert_eq!(modules(&files), ["a/one", "a/three", "b/twox", "c/four?CONFIG_C"]);
        assert_eq!(
            modules(&[("Makefile", "obj-y += a/ x.o\n"), ("a/Makefile", "obj-m := one.o\n")]),
            ["a/one"]
        );
        // a folder that contains itself ends
        assert_eq!(
            modules(&[("Makefile", "obj-m := x/ toy.o"), ("x/Makefile", "obj-m := ../x/ ./")]),
            ["toy"]
        );
    }

    #[test]
    fn folders_beside_each_other_are_all_made_but_for_tests() {
        let files = [
            ("common/Kbuild", "obj-m := common.o\n"),
            ("one/Makefile", "obj-m := one.o\n"),
            ("one/sub/Makefile", "obj-m := sub.o\n"),
            ("test/Makefile", "obj-m := a_test.o another.o third.o\n"),
        ];
        assert_eq!(modules(&files), ["common/common", "one/one", "one/sub/sub"]);
        assert_eq!(modules(&[("test/Makefile", "obj-m := toy.o")]), ["test/toy"]);
        // a folder that another one makes, or the same module again
        let files =
            [("Makefile", "obj-m := a/\n"), ("a/Makefile", "obj-m := x.o"), ("old/Makefile", "obj-m := x.o")];
        assert_eq!(modules(&files), ["a/x"]);
    }

    #[test]
    fn a_variable_that_shall_name_the_root_is_told() {
        let files = [
            ("config.mk", "build_toy=m\n"),
            ("src/Kbuild", "include ${TOPSRC}/config.mk\nobj-${build_toy} += toy.o\n"),
        ];
        let found = kbuild(&files).remove(0);
        assert_eq!(found.modules[0].name, "toy");
        assert_eq!(found.roots.into_iter().collect::<Vec<_>>(), ["TOPSRC"]);
    }

    #[test]
    fn variables_functions_and_includes_are_expanded() {
        for (text, name) in [
            ("N = toy\nobj-m := $(N).o", "toy"),
            ("obj-m = ${N}.o\nN := late", "late"),
            ("S := a.c b.c\nobj-m := $(S:.c=.o)", "a b"),
            ("obj-m := $(patsubst %.c,%.o,$(filter-out b.c,a.c b.c))", "a"),
            ("obj-m := $(addsuffix .o,$(sort z y z))", "y z"),
            ("obj-m := $(foreach m,x y,$(m)_mod.o)", "x_mod y_mod"),
            ("obj-m := $(if $(EMPTY),no.o,yes.o)", "yes"),
            ("include $(src)/more.mk\nobj-m += $(MORE)", "more"),
            (
                "ifdef NOTHING\nobj-m := no.o\nelse ifeq ($(VERSION),6)\nobj-m := six.o\nelse\nobj-m := other.o\nendif",
                "six",
            ),
            ("obj-m := $(shell ls).o known.o", "known"),
            ("define x\nobj-m := no.o\nendef\nobj-m := yes.o", "yes"),
            ("obj-m := $(notdir $(basename $(wildcard $(src)/w*.c))).o", "w1"),
        ] {
            let files = [("Makefile", text), ("more.mk", "MORE := more.o\n"), ("w1.c", "")];
            assert_eq!(modules(&files).join(" "), name, "{text}");
        }
    }

    #[test]
    fn nothing_is_without_end() {
        for text in [
            "A = $(A)\nobj-m := $(A).o",
            "include $(src)/Makefile\nobj-m := $(",
            "obj-m := $(word 0,a)",
            "ifeq (\n$(((",
            "A := x\nA := $(A)$(A)\n",
            "obj-m := toy.o\nA = $(A) $(A) $(A) $(A) $(A)\nall:\n\t$(MAKE) -C $(A) M=$(A)\n",
            "A = $(B)$(B)$(B)$(B)$(B)\nB = $(A)$(A)$(A)$(A)$(A)\nobj-m := $(A)\n",
        ] {
            let _ends = modules(&[("Makefile", text)]);
        }
        let doubling =
            "A := xxxxxxxxxxxxxxxx\n".to_owned() + &"A := $(A)$(A)$(A)$(A)\n".repeat(40) + "obj-m := toy.o\n";
        let text: &'static str = Box::leak(doubling.into_boxed_str());
        assert_eq!(modules(&[("Makefile", text)]), ["toy"]);
    }
}
