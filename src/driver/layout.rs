//! What a build enters, makes and reads, compared with what is there: whether a folder can be the root of a driver's source.
//!
//! Follows the commands of dkms.conf into Makefiles and from there to sources and headers, and runs nothing. What something that is
//! not known here may make counts as a doubt, never as missing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::dkms::{self, Facts, HookKind, ReadTree};
use crate::driver::kbuild::{self, Given, KbuildModule, Made, Missing, join, place};

/// How deep make may call make.
const DEPTH: usize = 8;
/// How many command lines are followed.
const LINES: usize = 2000;
/// How much of a source is read for what it includes, and of a script or patch for what it may make.
const BYTES: usize = 1 << 20;
/// How many sources and headers are read.
const SOURCES: usize = 20_000;
/// How many scripts are followed.
const SCRIPTS: usize = 64;
/// Where the lines of [`kbuild::called`] are.
const BUILD: &str = "@BUILD@";

/// Something that a build needs and that is not in the source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// A folder that a command goes to.
    Folder {
        /// Relative to the root.
        path: String,
        /// Who says the command: a directive, or the path of a Makefile.
        by: String,
    },
    /// A Makefile in a folder in which make is called.
    Makefile {
        /// Relative to the root; empty for the root.
        folder: String,
        /// Who calls make.
        by: String,
    },
    /// What make is asked for.
    Target {
        /// No rule makes it; empty where make is asked for nothing, and there is no rule.
        target: String,
        makefile: String,
        /// Who calls make.
        by: String,
    },
    /// A script or patch.
    File {
        /// Relative to the root.
        path: String,
        /// Who names it.
        by: String,
    },
    /// A module where dkms.conf expects it.
    Module {
        /// Its index in dkms.conf.
        index: usize,
        /// `folder/name`.
        built: String,
        /// The modules that are made: those of that name, or else all.
        made: Vec<String>,
    },
    /// The source of an object.
    Source {
        /// Relative to the root, without `.o`; above the root it begins with `../`.
        object: String,
        /// The module that it belongs to.
        module: String,
        /// The Makefile that names it.
        by: String,
    },
    /// A file that a Makefile includes.
    Include(Missing),
    /// Any source at all.
    Sources,
}

/// A header that is in no folder in which the compiler looks for it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Header {
    /// The name in the `#include`.
    pub name: String,
    /// Where it would be found, relative to the root; above it begins with `../`.
    pub places: Vec<String>,
    /// The source that includes it.
    pub by: String,
    /// The line there, counted from 1.
    pub line: usize,
    /// Whether it is included on some condition only.
    pub is_conditional: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// What is certainly not there.
    pub lacks: Vec<Lack>,
    /// What is not there, but may be made by something that is not known here.
    pub doubts: Vec<Lack>,
    /// How much of what is pointed to is there.
    pub found: usize,
    /// The modules that are made.
    pub made: Vec<KbuildModule>,
    /// The sources of the modules, each with the folders in which the compiler looks for headers.
    pub sources: Vec<(String, Vec<String>)>,
    /// The Makefiles and scripts that a build reads.
    pub reads: BTreeSet<String>,
    /// A folder that a command goes to and that is not known, with who says the command.
    pub unknown: Option<(String, String)>,
    /// Whether something runs that is not known here and may make anything.
    pub is_open: bool,
    /// Scripts that are run by their names and cannot be executed, with who runs them.
    pub not_executable: Vec<(String, String)>,
    /// Makefiles that start the kernel's build of the running kernel, whatever they are given.
    pub for_running: BTreeSet<String>,
    /// The commands that make runs on the way: of recipes, and of `$(shell …)`.
    pub commands: Vec<kbuild::Line>,
    /// What the Makefiles say.
    pub texts: Vec<Text>,
    /// The scripts that run in a build, and scripts of theirs, with who runs them.
    pub scripts: BTreeMap<String, Run>,
    /// Objects by paths that kbuild cannot follow.
    pub absolute: Vec<kbuild::Absolute>,
}

/// How a script of a build is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Who runs it: a directive, or the path of a Makefile or script.
    pub by: String,
    /// Whether it is given arguments.
    pub has_arguments: bool,
}

/// What a Makefile and the files that it includes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Whether the kernel's build reads it, and not a call of make in the driver's own folder.
    pub is_kbuild: bool,
    /// In their order.
    pub statements: Vec<kbuild::Statement>,
}

/// A statement of a Makefile that asks which kernel runs, and what the answer decides.
#[derive(Debug)]
pub struct Asks<'a> {
    /// The statement, which make gets to.
    pub statement: &'a kbuild::Statement,
    /// What becomes of the answer.
    pub uses: BTreeSet<kbuild::Use>,
    /// Whether the kernel's build reads it.
    pub is_kbuild: bool,
}

/// Whether a text runs `uname -r`.
fn asks_uname(text: &str) -> bool {
    text.match_indices("uname").any(|(at, name)| {
        let mut words = text[at + name.len()..].split_whitespace();
        let is_start = !text[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_');
        let word = words.next().unwrap_or_default().trim_end_matches([')', '`', '"', '\'']);
        let is_short = word.starts_with('-') && !word.starts_with("--") && word.contains('r');
        is_start && (is_short || word == "--kernel-release")
    })
}

impl Layout {
    /// The statements that ask which kernel runs; a default that is not needed asks nobody.
    #[must_use]
    pub fn asks_running(&self) -> Vec<Asks<'_>> {
        let runs = |statement: &kbuild::Statement| {
            self.commands.iter().any(|line| {
                line.path == statement.path && line.line == statement.line && asks_uname(&line.text)
            })
        };
        let mut found = Vec::new();
        for text in &self.texts {
            let flow = kbuild::Flow::new(&text.statements);
            for (at, statement) in text.statements.iter().enumerate() {
                let is_recipe = statement.does == kbuild::Does::Runs;
                if statement.is_read && !is_recipe && asks_uname(&statement.text) && runs(statement) {
                    found.push(Asks { statement, uses: flow.uses(at), is_kbuild: text.is_kbuild });
                }
            }
        }
        found
    }

    /// How badly it fits, what counts most first; less is better.
    #[must_use]
    pub fn misfit(&self) -> (usize, usize, std::cmp::Reverse<usize>) {
        (self.lacks.len(), self.doubts.len(), std::cmp::Reverse(self.found))
    }

    /// Whether everything that is pointed to is there.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.lacks.is_empty() && self.doubts.is_empty()
    }
}

/// Compares what a dkms.conf points to with the files of `tree`, its root.
#[must_use]
pub fn examine(tree: &dyn ReadTree, facts: &Facts) -> Layout {
    let mut walk = Walk::new(tree);
    for patch in facts.patches.iter().filter_map(|patch| patch.file.known()) {
        walk.file(&format!("patches/{patch}"), "PATCH");
    }
    for hook in &facts.hooks {
        if let Some(script) = hook.script.known() {
            walk.file(script, hook.kind.directive());
        }
        if matches!(hook.kind, HookKind::PreBuild | HookKind::PostBuild)
            && let Some(script) = hook.script.known()
        {
            let has_arguments = hook.command.known().is_some_and(|command| command.trim() != script);
            walk.runs(&place(script), Run { by: hook.kind.directive().to_owned(), has_arguments });
        }
        if hook.kind == HookKind::PreBuild {
            let text = hook.script.known().and_then(|script| walk.text(&place(script)));
            // a command whose text is not known may make anything
            walk.makers.push(text.unwrap_or_default());
            walk.is_open |= !hook.script.known().is_some_and(|script| tree.exists(&place(script)));
        }
    }
    for patch in facts.patches.iter().filter_map(|patch| patch.file.known()) {
        walk.makers.extend(walk.text(&format!("patches/{patch}")).map(|text| made_by_patch(&text)));
    }
    if facts.make.is_empty() {
        walk.kernel("", &Given::default(), "dkms");
    }
    for rule in &facts.make {
        match rule.command.known() {
            Some(command) => walk.commands(command, &mut Place::Inside(String::new()), Caller::DkmsConf),
            None => walk.is_open = true,
        }
    }
    walk.modules(facts);
    walk.sources(facts);
    walk.finish()
}

/// Follows `#include` from the sources of a layout: the headers that are in none of the driver's folders. Most are the kernel's.
#[must_use]
pub fn headers(tree: &dyn ReadTree, layout: &Layout) -> Vec<Header> {
    let mut left: VecDeque<(String, &[String])> =
        layout.sources.iter().map(|(path, folders)| (path.clone(), folders.as_slice())).collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut headers = Vec::new();
    while let Some((path, folders)) = left.pop_front() {
        if seen.len() >= SOURCES || !seen.insert(path.clone()) {
            continue;
        }
        let Some(bytes) = tree.read(&path, BYTES) else { continue };
        let own = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for include in includes(&String::from_utf8_lossy(&bytes)) {
            let places = std::iter::once(own).chain(folders.iter().map(String::as_str));
            let places: Vec<String> = places.map(|folder| place(&join(folder, include.name))).collect();
            match places.iter().find(|place| !place.starts_with("..") && tree.exists(place)) {
                Some(found) => left.push_back((found.clone(), folders)),
                None if include.is_quoted => headers.push(Header {
                    name: include.name.to_owned(),
                    places,
                    by: path.clone(),
                    line: include.line,
                    is_conditional: include.is_conditional,
                }),
                None => {}
            }
        }
    }
    headers
}

/// Where a command is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A folder below the root.
    Inside(String),
    /// Somewhere else on the machine.
    Outside,
    /// Nobody knows.
    Unknown,
}

/// Who says a command.
#[derive(Clone, Copy)]
enum Caller<'a> {
    /// `MAKE` of dkms.conf.
    DkmsConf,
    /// A Makefile, with what it was given, and how many are above it.
    Makefile(&'a str, &'a Given, usize),
}

impl Caller<'_> {
    fn name(&self) -> &str {
        match self {
            Self::DkmsConf => "MAKE",
            Self::Makefile(path, ..) => path,
        }
    }
}

struct Walk<'a> {
    tree: &'a dyn ReadTree,
    layout: Layout,
    /// What kbuild makes, by the folder that it is given.
    made: BTreeMap<String, Made>,
    /// Whether something that is not known here may make or move files.
    is_open: bool,
    /// The texts of scripts and patches that run before the build, and commands that move files.
    makers: Vec<String>,
    lines: usize,
}

impl<'a> Walk<'a> {
    fn new(tree: &'a dyn ReadTree) -> Self {
        Self {
            tree,
            layout: Layout::default(),
            made: BTreeMap::new(),
            is_open: false,
            makers: Vec::new(),
            lines: 0,
        }
    }

    fn text(&self, path: &str) -> Option<String> {
        Some(String::from_utf8_lossy(&self.tree.read(path, BYTES)?).into_owned())
    }

    /// Something is not there; `names` are words by which whoever makes it would call it.
    fn lack(&mut self, lack: Lack, names: &[&str]) {
        let is_doubt = self.is_open || self.makers.iter().any(|text| may_make(text, names));
        let list = if is_doubt { &mut self.layout.doubts } else { &mut self.layout.lacks };
        if !list.contains(&lack) {
            list.push(lack);
        }
    }

    fn file(&mut self, path: &str, by: &str) {
        let inside = place(path);
        if !inside.starts_with("..") && self.tree.exists(&inside) {
            self.layout.found += 1;
            self.layout.reads.insert(inside);
        } else if !path.starts_with('/') {
            self.layout.lacks.push(Lack::File { path: inside, by: by.to_owned() });
        }
    }

    // ---- commands -------------------------------------------------------------------------------------------------------------

    /// Follows a line of shell commands.
    fn commands(&mut self, text: &str, at: &mut Place, caller: Caller<'_>) {
        self.lines += 1;
        let Some(commands) = simple_commands(text).filter(|_| self.lines <= LINES) else {
            self.is_open = true;
            return;
        };
        // dkms gives KERNELRELEASE to a command that begins with these letters
        let mut is_bare = matches!(caller, Caller::DkmsConf) && text.starts_with("make");
        for words in commands {
            let mut words = words.as_slice();
            let mut environment = BTreeMap::new();
            while let Some((first, rest)) = words.split_first() {
                match assignment(first) {
                    Some((name, value)) => drop(environment.insert(name.to_owned(), value.to_owned())),
                    None if PREFIXES.contains(&first.as_str()) => {}
                    None => break,
                }
                words = rest;
            }
            let Some((first, rest)) = words.split_first() else { continue };
            let name = first.rsplit('/').next().unwrap_or(first);
            match name {
                "cd" | "pushd" => {
                    *at = rest.first().map_or(Place::Unknown, |folder| Self::resolve(folder, at));
                    if let Place::Inside(folder) = at {
                        let folder = folder.clone();
                        self.enter(&folder, caller.name());
                    }
                }
                "make" | "gmake" => {
                    let mut given = match caller {
                        Caller::DkmsConf => Given::default(),
                        Caller::Makefile(_, given, _) => given.clone(),
                    };
                    given.environment.extend(environment);
                    if std::mem::take(&mut is_bare) {
                        given.arguments.insert("KERNELRELEASE".to_owned(), "6.1.0".to_owned());
                    }
                    self.make(rest, at, given, caller);
                }
                name if HARMLESS.contains(&name) => {}
                name if MOVERS.contains(&name) => self.makers.push(words.join(" ")),
                "sh" | "bash" | "dash" | "." | "source" => {
                    match rest.iter().find(|word| !word.starts_with('-')) {
                        Some(script) if !rest.contains(&"-c".to_owned()) => {
                            let has_arguments = rest.last() != Some(script);
                            self.script(script, at, caller, false, has_arguments);
                        }
                        _ => self.is_open = true,
                    }
                }
                _ if first.contains('/') => self.script(first, at, caller, true, !rest.is_empty()),
                _ => self.is_open = true,
            }
        }
    }

    /// `is_direct`: it is run by its name, and not given to a shell.
    fn script(&mut self, word: &str, at: &Place, caller: Caller<'_>, is_direct: bool, has_arguments: bool) {
        match Self::resolve(word, at) {
            Place::Inside(path) if self.tree.exists(&path) => {
                self.layout.found += 1;
                if is_direct && !self.tree.is_executable(&path) {
                    self.layout.not_executable.push((path.clone(), caller.name().to_owned()));
                }
                self.runs(&path, Run { by: caller.name().to_owned(), has_arguments });
                self.layout.reads.insert(path);
            }
            Place::Inside(path) => {
                let name = path.rsplit('/').next().unwrap_or(&path).to_owned();
                self.lack(Lack::File { path: path.clone(), by: caller.name().to_owned() }, &[&name]);
            }
            Place::Outside | Place::Unknown => {}
        }
        // it may do anything
        self.is_open = true;
    }

    /// A script runs, and what it runs by a path; where that is relative, to its own folder or to that of the build.
    fn runs(&mut self, path: &str, run: Run) {
        if self.layout.scripts.len() >= SCRIPTS
            || self.layout.scripts.contains_key(path)
            || !self.tree.exists(path)
            || self.tree.is_dir(path)
        {
            return;
        }
        self.layout.scripts.insert(path.to_owned(), run);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for line in self.text(path).unwrap_or_default().lines().take(LINES) {
            let line = line.trim();
            if line.starts_with('#') || !line.contains('/') {
                continue;
            }
            for (script, has_arguments) in scripts_of(line) {
                let places =
                    [folder, ""].map(|folder| Self::resolve(&script, &Place::Inside(folder.to_owned())));
                if let Some(Place::Inside(inside)) = places
                    .into_iter()
                    .find(|place| matches!(place, Place::Inside(inside) if self.tree.exists(inside)))
                {
                    self.runs(&inside, Run { by: path.to_owned(), has_arguments });
                }
            }
        }
    }

    /// What make runs in a folder, beside the recipes whose commands are followed.
    fn shells(&mut self, shells: Vec<kbuild::Line>, folder: &str) {
        for line in &shells {
            for (script, has_arguments) in scripts_of(&line.text) {
                if let Place::Inside(path) = Self::resolve(&script, &Place::Inside(folder.to_owned())) {
                    self.runs(&path, Run { by: line.path.clone(), has_arguments });
                }
            }
        }
        self.keep(shells);
    }

    fn keep(&mut self, lines: Vec<kbuild::Line>) {
        let space = LINES.saturating_sub(self.layout.commands.len());
        self.layout.commands.extend(lines.into_iter().take(space));
    }

    fn make(&mut self, words: &[String], at: &Place, mut given: Given, caller: Caller<'_>) {
        let (mut folder, mut file, mut targets) = (at.clone(), None, Vec::new());
        let mut words = words.iter().map(String::as_str).peekable();
        let mut named = None;
        while let Some(word) = words.next() {
            let goes = word
                .strip_prefix("--directory=")
                .or_else(|| word.strip_prefix("-C").filter(|rest| !rest.is_empty()));
            if word == "-C" || word == "--directory" {
                // a variable that is empty leaves nothing behind -C
                named = Some(words.next_if(|next| assignment(next).is_none()).unwrap_or("$"));
            } else if let Some(path) = goes {
                named = Some(path);
            } else if matches!(word, "-f" | "--file" | "--makefile") {
                file = words.next();
            } else if matches!(word, "-j" | "-l") {
                words.next_if(|next| next.bytes().all(|byte| byte.is_ascii_digit()));
            } else if matches!(word, "-I" | "-o" | "-W") {
                words.next();
            } else if word.starts_with('-') || word.starts_with(['>', '<']) || word == "2>&1" {
            } else if let Some((name, value)) = assignment(word) {
                given.arguments.insert(name.to_owned(), value.to_owned());
            } else {
                targets.push(word.to_owned());
            }
        }
        if let Some(named) = named {
            folder = Self::resolve(named, at);
            if let Caller::Makefile(path, ..) = caller
                && asks_running(named)
            {
                self.layout.for_running.insert(path.to_owned());
            }
            if folder == Place::Unknown && matches!(caller, Caller::DkmsConf) && named.contains('/') {
                self.layout.unknown.get_or_insert((named.to_owned(), caller.name().to_owned()));
            }
        }
        if !targets.is_empty() && targets.iter().all(|target| IDLE.contains(&target.as_str())) {
            return;
        }
        let module_folder =
            ["M", "KBUILD_EXTMOD", "SUBDIRS"].iter().find_map(|name| given.arguments.get(*name).cloned());
        match (folder, module_folder) {
            (Place::Inside(folder), top) if top.is_none() || self.tree.is_dir(&folder) => {
                self.own(&folder, file, &given, &targets, caller);
            }
            (_, Some(top)) => match Self::resolve(&top, at) {
                Place::Inside(top) => {
                    // the folder itself, however it is written
                    given.arguments.remove("M");
                    self.kernel(&top, &given, caller.name());
                }
                Place::Outside | Place::Unknown => self.is_open = true,
            },
            (_, None) => self.is_open = true,
        }
    }

    /// The driver's own Makefile in a folder.
    fn own(
        &mut self,
        folder: &str,
        file: Option<&str>,
        given: &Given,
        targets: &[String],
        caller: Caller<'_>,
    ) {
        if !self.enter(folder, caller.name()) {
            return;
        }
        let depth = if let Caller::Makefile(_, _, depth) = caller { depth + 1 } else { 1 };
        if depth > DEPTH {
            self.is_open = true;
            return;
        }
        let Some(called) = kbuild::called(self.tree, folder, file, given, targets) else {
            let lack = Lack::Makefile { folder: folder.to_owned(), by: caller.name().to_owned() };
            self.lack(lack, &["Makefile", file.unwrap_or("Makefile")]);
            return;
        };
        self.layout.found += 1;
        self.layout.reads.extend(called.reads.iter().cloned());
        self.missing(&called.missing);
        if let Some(target) = called.no_target {
            let lack = Lack::Target {
                target: target.clone(),
                makefile: called.makefile.clone(),
                by: caller.name().to_owned(),
            };
            self.lack(lack, &["Makefile", &target]);
        }
        self.is_open |= called.is_open;
        for line in &called.lines {
            let line = line.text.trim_start_matches(['@', '-', '+', ' ', '\t']);
            let caller = Caller::Makefile(&called.makefile, given, depth);
            self.commands(line, &mut Place::Inside(folder.to_owned()), caller);
        }
        self.shells(called.shells, folder);
        self.keep(called.lines);
        self.layout.texts.push(Text { is_kbuild: false, statements: called.statements });
    }

    /// The kernel's build, which is given a folder.
    fn kernel(&mut self, top: &str, given: &Given, by: &str) {
        if !self.enter(top, by) {
            return;
        }
        let Some(mut made) = kbuild::made(self.tree, top, given) else {
            let lack = Lack::Makefile { folder: top.to_owned(), by: by.to_owned() };
            self.lack(lack, &["Makefile", "Kbuild"]);
            return;
        };
        self.layout.found += 1;
        self.missing(&made.missing);
        self.layout.reads.extend(made.makefiles.iter().cloned());
        self.shells(std::mem::take(&mut made.shells), top);
        let lines = std::mem::take(&mut made.lines);
        self.shells(lines, top);
        let texts = std::mem::take(&mut made.texts).into_iter();
        self.layout.texts.extend(texts.map(|statements| Text { is_kbuild: true, statements }));
        self.layout.absolute.append(&mut made.absolute);
        self.made.insert(top.to_owned(), made);
    }

    /// Whether a folder is there.
    fn enter(&mut self, folder: &str, by: &str) -> bool {
        let is_there = folder.is_empty() || self.tree.is_dir(folder);
        if !is_there {
            let name = folder.rsplit('/').next().unwrap_or(folder).to_owned();
            self.lack(Lack::Folder { path: folder.to_owned(), by: by.to_owned() }, &[&name]);
        }
        is_there
    }

    fn missing(&mut self, missing: &[Missing]) {
        for missing in missing {
            let name = missing.path.rsplit('/').next().unwrap_or_default().to_owned();
            self.lack(Lack::Include(missing.clone()), &[&name]);
        }
    }

    /// A word of a command as a place.
    fn resolve(word: &str, at: &Place) -> Place {
        if matches!(word, "$PWD" | "${PWD}" | "$(pwd)" | "`pwd`" | ".") {
            return at.clone();
        }
        let inside = word.strip_prefix(BUILD).or_else(|| in_driver(word));
        if inside.unwrap_or(word).contains(['$', '`', '*']) || !word.is_ascii() {
            return Place::Unknown;
        }
        let path = match (inside, at) {
            (Some(inside), _) => place(inside),
            (None, _) if word.starts_with('/') => return Place::Outside,
            (None, Place::Inside(folder)) => place(&join(folder, word)),
            (None, other) => return other.clone(),
        };
        if path.starts_with("..") { Place::Outside } else { Place::Inside(path) }
    }

    // ---- modules and their sources --------------------------------------------------------------------------------------------

    /// Each module has to be made where dkms.conf says.
    fn modules(&mut self, facts: &Facts) {
        let made: Vec<KbuildModule> = self.made.values().flat_map(|made| made.modules.clone()).collect();
        let knows_all = self.made.values().all(|made| !made.is_open);
        let at = |module: &KbuildModule| place(&join(&module.folder, &module.name));
        for module in &facts.modules {
            let Some(built) = module.built().map(|built| place(&built)) else { continue };
            let name = built.rsplit('/').next().unwrap_or(&built).to_owned();
            // outside of the root there is nothing to compare with
            if dkms::is_placeholder(&built) || built.starts_with("..") {
                continue;
            }
            // kbuild takes a dash in the name of a source, and so does dkms
            if made.iter().any(|module| at(module) == built) {
                self.layout.found += 2;
                continue;
            }
            let elsewhere: Vec<_> = made.iter().filter(|module| module.name == name).map(at).collect();
            let lack = |made| Lack::Module { index: module.index, built: built.clone(), made };
            if !elsewhere.is_empty() {
                let folder = built.rsplit('/').nth(1).unwrap_or_default().to_owned();
                self.lack(lack(elsewhere), &[".ko", &folder]);
            } else if knows_all {
                self.lack(lack(made.iter().map(at).collect()), &[&name, "Makefile", "Kbuild", ".ko"]);
            } else {
                let doubt = lack(made.iter().map(at).collect());
                self.layout.doubts.push(doubt);
            }
        }
        self.layout.made = made;
    }

    /// Each object of those modules has to have a source.
    fn sources(&mut self, facts: &Facts) {
        if !self.has_sources() && !facts.modules.is_empty() {
            // unpacked, fetched or written by something that names a source
            let unpacks = ["tar ", "unzip", "cpio", "git clone", "wget", "curl", ".c", ".S", ".rs", "cp "];
            let is_made = self.makers.iter().any(|text| unpacks.iter().any(|word| text.contains(word)));
            let list = if is_made { &mut self.layout.doubts } else { &mut self.layout.lacks };
            list.push(Lack::Sources);
        }
        let names: BTreeSet<String> =
            facts.modules.iter().filter_map(|module| Some(place(&module.built()?))).collect();
        let made = std::mem::take(&mut self.made);
        for made in made.values() {
            let folders: Vec<String> = made.includes.clone();
            for module in &made.modules {
                let at = place(&join(&module.folder, &module.name));
                if !names.contains(&at) && !facts.modules_unknown {
                    continue;
                }
                for object in &module.objects {
                    if let Some(source) = self.source_of(object) {
                        self.layout.found += 1;
                        self.layout.sources.push((source, folders.clone()));
                        continue;
                    }
                    let name = object.rsplit('/').next().unwrap_or(object);
                    let is_made = made.rules.iter().any(|target| {
                        target.contains(['%', '\u{E010}'])
                            || target.rsplit('/').next().unwrap_or(target).starts_with(&format!("{name}."))
                    });
                    let lack =
                        Lack::Source { object: object.clone(), module: at.clone(), by: module.from.clone() };
                    if is_made {
                        self.layout.doubts.push(lack);
                    } else {
                        self.lack(lack, &[name]);
                    }
                }
            }
        }
        self.made = made;
    }

    fn has_sources(&self) -> bool {
        let mut folders = vec![String::new()];
        let mut seen = 0;
        while let Some(folder) = folders.pop() {
            for name in self.tree.list(&folder) {
                let path = join(&folder, &name);
                if self.tree.is_dir(&path) {
                    folders.push(path);
                } else if SOURCE_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                    return true;
                }
            }
            seen += 1;
            if seen > SOURCES {
                return true;
            }
        }
        false
    }

    fn source_of(&self, object: &str) -> Option<String> {
        let is_file = |path: &String| self.tree.exists(path) && !self.tree.is_dir(path);
        OBJECT_ENDINGS.iter().map(|ending| format!("{object}{ending}")).find(is_file)
    }

    fn finish(mut self) -> Layout {
        self.layout.is_open = self.is_open;
        self.layout.lacks.sort();
        self.layout.lacks.dedup();
        self.layout.doubts.sort();
        self.layout.doubts.dedup();
        self.layout
    }
}

/// What may stand before a command.
const PREFIXES: [&str; 13] =
    ["then", "do", "else", "if", "elif", "while", "!", "{", "env", "exec", "command", "nice", "time"];
/// Commands that make no file that a build needs.
const HARMLESS: [&str; 29] = [
    ":", "[", "[[", "}", "cat", "chmod", "depmod", "done", "echo", "exit", "export", "false", "fi", "for",
    "grep", "kill", "ls", "modinfo", "printf", "pwd", "rm", "set", "sleep", "strip", "sync", "test", "true",
    "unset", "which",
];
/// Commands that put files where others expect them.
const MOVERS: [&str; 10] = ["cp", "install", "ln", "mkdir", "mv", "objcopy", "rsync", "sed", "tee", "touch"];
/// Targets that build nothing.
const IDLE: [&str; 6] = ["clean", "distclean", "help", "install", "modules_install", "mrproper"];
/// What a file of a driver's source is called.
const SOURCE_ENDINGS: [&str; 7] = [".c", ".S", ".rs", ".o_shipped", ".o", ".a", ".c_shipped"];
/// What kbuild makes an object of.
const OBJECT_ENDINGS: [&str; 9] =
    [".c", ".S", ".rs", ".o_shipped", ".c_shipped", ".o", ".asn1", ".s", ".cpp"];

/// What follows the driver's folder in a path below `/var/lib/dkms/NAME/VERSION/{build,source}` or `/usr/src/NAME-VERSION`; files
/// say their name and version in both ways, with `$module` and in their own words.
#[must_use]
pub fn in_driver(path: &str) -> Option<&str> {
    if let Some(rest) = path.strip_prefix("/var/lib/dkms/") {
        let mut parts = rest.splitn(4, '/').skip(2);
        return matches!(parts.next(), Some("build" | "source")).then(|| parts.next().unwrap_or_default());
    }
    let rest = path.strip_prefix("/usr/src/").filter(|rest| !rest.starts_with("linux"))?;
    Some(rest.split_once('/').map_or("", |(_, inside)| inside))
}

/// Whether a folder is that of the kernel that runs, as a Makefile's line has it: a `$(shell …)` is not known there.
fn asks_running(folder: &str) -> bool {
    let Some((_, rest)) = folder.split_once("/lib/modules/") else { return false };
    rest.starts_with(kbuild::NOT_KNOWN) || rest.starts_with("`uname -r`") || rest.starts_with("$(uname -r)")
}

/// The scripts that a line runs, each with whether it is given arguments: words with a folder in front where a command stands, and
/// what is given to a shell.
fn scripts_of(line: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    for words in simple_commands(line.trim_start_matches(['@', '-', '+'])).unwrap_or_default() {
        let is_before = |word: &String| assignment(word).is_some() || PREFIXES.contains(&word.as_str());
        let mut words = words.into_iter().skip_while(is_before).filter(|word| !word.starts_with(['>', '<']));
        let Some(first) = words.next() else { continue };
        let script = match first.rsplit('/').next() {
            Some("sh" | "bash" | "dash" | "." | "source") => words.find(|word| !word.starts_with('-')),
            _ => Some(first).filter(|first| first.contains('/')),
        };
        found.extend(script.map(|script| (script, words.next().is_some())));
    }
    found
}

/// Whether a script or patch may make something of these names.
fn may_make(text: &str, names: &[&str]) -> bool {
    const GENERATORS: [&str; 9] =
        ["configure", "cmake", "autoreconf", "autogen", "meson", "tar ", "unzip", "rsync", "git "];
    GENERATORS.iter().any(|word| text.contains(word))
        || names.iter().any(|name| !name.is_empty() && text.contains(name))
}

/// What of a patch may make files: the names of those that it adds, and the lines that it adds to what is no source. One that it changes
/// has to be there.
fn made_by_patch(text: &str) -> String {
    let (mut made, mut name, mut is_source) = (String::new(), "", false);
    for line in text.lines() {
        let added = match line.strip_prefix("+++ ") {
            Some(path) => {
                name = path.split('\t').next().unwrap_or(path);
                is_source = [".c", ".h", ".S"].iter().any(|end| name.ends_with(end));
                None
            }
            None if line.starts_with("@@ -0,0 ") => Some(name),
            None => line
                .strip_prefix("rename to ")
                .or_else(|| line.strip_prefix("copy to "))
                .or_else(|| line.strip_prefix('+').filter(|_| !is_source)),
        };
        made.extend(added.map(|text| format!("{text}\n")));
    }
    made
}

/// `NAME=value`, also with `:=` and `+=`.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let name = name.trim_end_matches([':', '+', '?']);
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    is_name(name).then_some((name, value))
}

/// The simple commands of a line, their words without quotes; nothing where a quote does not end.
fn simple_commands(line: &str) -> Option<Vec<Vec<String>>> {
    let (mut commands, mut words, mut word) = (Vec::new(), Vec::new(), String::new());
    let (mut quote, mut begun, mut escaped, mut inside) = (None, false, false, 0);
    for character in line.chars() {
        if escaped {
            word.push(character);
            (escaped, begun) = (false, true);
            continue;
        }
        match (quote, character) {
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), _) if character == open => quote = None,
            (None, '"' | '\'') => (quote, begun) = (Some(character), true),
            (None, '(') if word.ends_with('$') => {
                inside += 1;
                word.push(character);
            }
            (None, ')') if inside > 0 => {
                inside -= 1;
                word.push(character);
            }
            (None, _) if inside == 0 && (character.is_whitespace() || ";&|()".contains(character)) => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
                if ";&|()\n".contains(character) && !words.is_empty() {
                    commands.push(std::mem::take(&mut words));
                }
            }
            _ => word.push(character),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    if !words.is_empty() {
        commands.push(words);
    }
    (quote.is_none() && inside == 0).then_some(commands)
}

/// An `#include` of a source.
struct Include<'t> {
    name: &'t str,
    is_quoted: bool,
    line: usize,
    is_conditional: bool,
}

/// The `#include` lines of a text.
fn includes(text: &str) -> Vec<Include<'_>> {
    let mut found = Vec::new();
    let mut depth = 0usize;
    let mut has_guard = false;
    let mut begun = false;
    let mut in_comment = false;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if in_comment {
            in_comment = !line.contains("*/");
            continue;
        }
        in_comment = line.starts_with("/*") && !line.contains("*/");
        let Some(directive) = line.strip_prefix('#').map(str::trim_start) else {
            continue;
        };
        if directive.starts_with("if") {
            // the first one of a header only keeps it from being read twice
            has_guard |= !begun && directive.starts_with("ifndef");
            depth += 1;
        } else if directive.starts_with("endif") {
            depth = depth.saturating_sub(1);
        } else if let Some(rest) = directive.strip_prefix("include") {
            let rest = rest.trim_start();
            let close = match rest.chars().next() {
                Some('"') => '"',
                Some('<') => '>',
                _ => continue,
            };
            let Some((name, _)) = rest[1..].split_once(close) else { continue };
            found.push(Include {
                name,
                is_quoted: close == '"',
                line: index + 1,
                is_conditional: depth > usize::from(has_guard),
            });
        }
        begun = true;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkms::Files;
    use crate::dkms::{Conf, Inputs};

    /// What is missing, and what is in doubt, for a dkms.conf of one module `toy` and these lines.
    fn examined(lines: &str, files: &[(&'static str, &'static str)]) -> (Vec<Lack>, Vec<Lack>) {
        let layout = layout_of(lines, files);
        (layout.lacks, layout.doubts)
    }

    #[test]
    fn a_patch_makes_what_it_adds_and_needs_what_it_changes() {
        let patch =
            |name: &str, hunk: &str| format!("--- a/x\n+++ b/{name}\t2024-01-01\n@@ {hunk} @@\n+toy.c\n");
        assert_eq!(made_by_patch(&patch("toy.c", "-1,1 +1,2")), "");
        assert_eq!(made_by_patch(&patch("Makefile", "-1,1 +1,2")), "toy.c\n");
        assert_eq!(made_by_patch(&patch("toy.c", "-0,0 +1,1")), "b/toy.c\n");
        assert_eq!(made_by_patch("rename from a.c\nrename to toy.c\n"), "toy.c\n");
    }

    fn layout_of(lines: &str, files: &[(&'static str, &'static str)]) -> Layout {
        let text = format!(
            "PACKAGE_NAME=toy\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=toy\nDEST_MODULE_LOCATION[0]=/updates\n{lines}\n"
        );
        let (conf, _) = Conf::parse(std::path::Path::new("dkms.conf"), text.as_bytes());
        let inputs = Inputs {
            processors: Some(1),
            module: Some(("toy".to_owned(), "1".to_owned())),
            ..Inputs::of_some_kernel()
        };
        let facts = dkms::facts(&conf, &dkms::evaluate(&conf, &inputs)).0;
        let tree = Files(files.iter().copied().collect());
        examine(&tree, &facts)
    }

    const NOTHING: (Vec<Lack>, Vec<Lack>) = (Vec::new(), Vec::new());

    #[test]
    fn what_is_pointed_to_has_to_be_there() {
        let plain = [("Makefile", "obj-m := toy.o\n"), ("toy.c", "")];
        assert_eq!(examined("", &plain), NOTHING);
        for (lines, lack) in [
            ("MAKE='make -C src KDIR=x'", "Folder { path: \"src\", by: \"MAKE\" }"),
            ("MAKE='cd src && make'", "Folder { path: \"src\", by: \"MAKE\" }"),
            (
                "MAKE='make -C $kernel_source_dir M=$dkms_tree/toy/1/build/src modules'",
                "Folder { path: \"src\"",
            ),
            ("MAKE=\"'make' all\"", "Target { target: \"all\", makefile: \"Makefile\""),
            ("MAKE='./build.sh'", "File { path: \"build.sh\", by: \"MAKE\" }"),
            ("BUILT_MODULE_LOCATION[0]=src", "Module { index: 0, built: \"src/toy\", made: [\"toy\"] }"),
            ("BUILT_MODULE_NAME[0]=boy", "Module { index: 0, built: \"boy\", made: [\"toy\"] }"),
        ] {
            let (lacks, _) = examined(lines, &plain);
            let shown = format!("{lacks:?}");
            assert!(shown.contains(lack), "{lines}: {shown}");
        }
        let (lacks, _) = examined("", &[("Makefile", "obj-m := toy.o\n"), ("other.c", "")]);
        assert!(matches!(lacks.as_slice(), [Lack::Source { object, .. }] if object == "toy"), "{lacks:?}");
        let (lacks, _) = examined("", &[("Makefile", "obj-m := toy.o\ntoy-y := a.o ../b.o\n"), ("a.c", "")]);
        assert!(matches!(lacks.as_slice(), [Lack::Source { object, .. }] if object == "../b"), "{lacks:?}");
        let (lacks, _) =
            examined("", &[("Makefile", "include $(src)/config.mk\nobj-m := toy.o\n"), ("toy.c", "")]);
        assert!(
            matches!(lacks.as_slice(), [Lack::Include(missing)] if missing.path == "config.mk" && missing.line == 1)
        );
    }

    #[test]
    fn the_drivers_own_makefile_is_followed_to_kbuild() {
        let own = "KDIR ?= /lib/modules/$(shell uname -r)/build\nall:\n\t$(MAKE) -C $(KDIR) M=$(CURDIR)/src modules\n";
        let files = [("Makefile", own), ("src/Kbuild", "obj-m := toy.o\n"), ("src/toy.c", "")];
        let (lacks, _) = examined("MAKE=\"'make' all\"", &files);
        assert!(matches!(lacks.as_slice(), [Lack::Module { made, .. }] if made == &["src/toy"]), "{lacks:?}");
        assert_eq!(examined("MAKE=\"'make' all\"\nBUILT_MODULE_LOCATION[0]=src", &files), NOTHING);
        // somebody moves it
        let moves = "all:\n\t$(MAKE) -C $(KDIR) M=$(CURDIR)/src modules\n\tcp src/toy.ko .\n";
        let files = [("Makefile", moves), files[1], files[2]];
        assert!(examined("MAKE=\"'make' all\"", &files).0.is_empty());
        // with KERNELRELEASE there is no rule
        let guarded =
            "ifneq ($(KERNELRELEASE),)\nobj-m := toy.o\nelse\nall:\n\t$(MAKE) -C x M=$(PWD)\nendif\n";
        let (lacks, _) = examined("MAKE=make", &[("Makefile", guarded), ("toy.c", "")]);
        assert!(matches!(&lacks[0], Lack::Target { target, .. } if target.is_empty()), "{lacks:?}");
        assert_eq!(examined("MAKE=\"'make'\"", &[("Makefile", guarded), ("toy.c", "")]), NOTHING);
    }

    #[test]
    fn a_pattern_has_the_commands_of_a_target_without_any() {
        let text = "ifneq ($(KERNELRELEASE),)\nobj-m := toy.o\nelse\nmodules:\n%:\n\t$(MAKE) -C $(KDIR) M=$$PWD $@\nendif\n";
        assert_eq!(examined("MAKE=\"'make' KDIR=x\"", &[("Makefile", text), ("toy.c", "")]), NOTHING);
    }

    #[test]
    fn scripts_that_cannot_run_and_recipes_for_the_running_kernel_are_told() {
        let recipe =
            "all:\n\t$(MAKE) -C /lib/modules/$(shell uname -r)/build M=$(PWD) modules\nobj-m := toy.o\n";
        let layout = |lines: &str, files: &[(&'static str, &'static str)]| layout_of(lines, files);
        let found = layout("MAKE='make all KVERSION=1'", &[("Makefile", recipe), ("toy.c", "")]);
        assert_eq!(found.for_running.into_iter().collect::<Vec<_>>(), ["Makefile"]);
        let given = "KVER ?= $(shell uname -r)\nall:\n\t$(MAKE) -C /lib/modules/$(KVER)/build M=$(PWD)\nobj-m := toy.o\n";
        assert!(
            layout("MAKE='make all KVER=6.1'", &[("Makefile", given), ("toy.c", "")]).for_running.is_empty()
        );
        assert_eq!(layout("MAKE='make all'", &[("Makefile", given), ("toy.c", "")]).for_running.len(), 1);
        let files = [("build.sh", ""), ("Makefile", "obj-m := toy.o\n"), ("toy.c", "")];
        assert_eq!(
            layout("MAKE='./build.sh'", &files).not_executable,
            [("build.sh".to_owned(), "MAKE".to_owned())]
        );
        assert!(layout("MAKE='sh ./build.sh'", &files).not_executable.is_empty());
    }

    #[test]
    fn what_may_be_made_is_in_doubt() {
        let makefile = ("Makefile", "obj-m := toy.o\ntoy-y := gen.o\n");
        let (lacks, doubts) =
            examined("PRE_BUILD=gen.sh", &[makefile, ("x.c", ""), ("gen.sh", "echo > gen.c\n")]);
        assert!(
            lacks.is_empty() && matches!(doubts.as_slice(), [Lack::Source { .. }]),
            "{lacks:?} {doubts:?}"
        );
        // a script that has nothing to do with it
        let (lacks, _) =
            examined("PRE_BUILD=gen.sh", &[makefile, ("x.c", ""), ("gen.sh", "echo > other.h\n")]);
        assert!(matches!(lacks.as_slice(), [Lack::Source { .. }]), "{lacks:?}");
        // lists that hang on the kernel
        let open = [("Makefile", "ifdef CONFIG_X\nobj-m := toy.o\nendif\n"), ("toy.c", "")];
        let (lacks, doubts) = examined("", &open);
        assert!(
            lacks.is_empty() && matches!(doubts.as_slice(), [Lack::Module { .. }]),
            "{lacks:?} {doubts:?}"
        );
        let (lacks, _) = examined(
            "MAKE='cd build; make'\nPRE_BUILD=configure.sh",
            &[("configure.sh", "cmake ..\n"), ("toy.c", "")],
        );
        assert!(lacks.is_empty(), "{lacks:?}");
    }

    #[test]
    fn headers_are_followed_and_those_that_are_nowhere_are_told() {
        let text = "PACKAGE_NAME=toy\nPACKAGE_VERSION=1\nBUILT_MODULE_NAME[0]=toy\nDEST_MODULE_LOCATION[0]=/updates\n";
        let (conf, _) = Conf::parse(std::path::Path::new("dkms.conf"), text.as_bytes());
        let facts = dkms::facts(&conf, &dkms::evaluate(&conf, &Inputs::of_some_kernel())).0;
        let tree = Files(
            [
                ("Makefile", "obj-m := toy.o\nccflags-y := -I$(src)/inc -I$(src)/../common\n"),
                (
                    "toy.c",
                    "#include <linux/module.h>\n#include \"toy.h\"\n#ifdef X\n#include \"never.h\"\n#endif\n",
                ),
                ("inc/toy.h", "#ifndef TOY_H\n#define TOY_H\n#include \"gen.h\"\n#endif\n"),
            ]
            .into_iter()
            .collect(),
        );
        let headers = headers(&tree, &examine(&tree, &facts));
        let shown: Vec<_> = headers
            .iter()
            .map(|header| {
                format!(
                    "{} {}:{} {} {}",
                    header.name,
                    header.by,
                    header.line,
                    header.is_conditional,
                    header.places.join(",")
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "never.h toy.c:4 true never.h,../common/never.h,inc/never.h",
                "gen.h inc/toy.h:3 false inc/gen.h,../common/gen.h,inc/gen.h"
            ]
        );
    }

    #[test]
    fn lines_fall_into_commands_and_words() {
        let words = |line: &str| {
            simple_commands(line)
                .map(|commands| commands.iter().map(|words| words.join("|")).collect::<Vec<_>>())
        };
        assert_eq!(words("cd a; 'make' -C \"b c\" && x>y").unwrap(), ["cd|a", "make|-C|b c", "x>y"]);
        assert_eq!(words("make M=$(pwd) (a)").unwrap(), ["make|M=$(pwd)", "a"]);
        assert_eq!(words("a 'b"), None);
    }
}
