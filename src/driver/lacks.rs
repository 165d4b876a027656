//! What a build needs and the package lacks, as findings: with who needs it, where it is instead, and the edit that cures it.
//!
//! Only tells what [`crate::driver::layout`] found; looks at the disk for where a missing file is.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::tree::Tree;
use super::{ABOUT_BYTES, DEAD_HOOK, MISSING_PATCH};
use crate::base::diagnostic::{Code, Diagnostic, Place, SourceText};
use crate::dkms::{Conf, Facts, HookKind, ReadTree, SOME_KERNEL};
use crate::driver::find::{self, Found};
use crate::driver::kbuild::{self, Given, is_below, join};
use crate::driver::layout::{self, Header, Lack, Layout};
use crate::input::Input;
use crate::input::source::{self, LeftOut};

pub(super) const NOTHING_THERE: Code = Code {
    id: "K0113",
    title: "the build goes where nothing is",
    explanation: "MAKE, or a Makefile that it starts, enters a folder, calls make for a target, or runs a script that the\n\
                  packaged source does not have. The module would be built on no machine, so no package is written. Where\n\
                  no folder of the tree has everything, the finding lists those that were looked at. `root` in the\n\
                  `[source]` table of kpkg.toml names the folder that becomes /usr/src/NAME-VERSION, `map` what lies\n\
                  elsewhere in it.",
};
pub(super) const NOT_MADE_THERE: Code = Code {
    id: "K0114",
    title: "a module is not made where dkms.conf says",
    explanation: "dkms looks for BUILT_MODULE_LOCATION/BUILT_MODULE_NAME.ko after the build and fails where there is no\n\
                  such file (`Build of NAME.ko failed`). The Makefiles that MAKE reaches make other modules, or make it in\n\
                  another folder, and nothing moves it.",
};
pub(super) const NO_SOURCE: Code = Code {
    id: "K0115",
    title: "the source of an object is not packaged",
    explanation: "kbuild makes an object of a file of its name: .c, .S, .rs or .o_shipped (kbuild/makefiles.rst). The\n\
                  packaged source has none for this one. It lies outside of the root, git does not know it, or something\n\
                  makes it that has to run before the driver is packaged.",
};
pub(super) const NOT_INCLUDED: Code = Code {
    id: "K0116",
    title: "a file that is included is not packaged",
    explanation: "A Makefile or source includes a file that is not in the packaged source although something of its name\n\
                  is outside of the root, ignored by git, or behind a link that leaves the tree; or that a Makefile cannot\n\
                  do without. Only the driver's own headers count: what the kernel may have is never reported.",
};
pub(super) const NO_SUBMODULE: Code = Code {
    id: "K0117",
    title: "a submodule is not checked out",
    explanation: "`.gitmodules` names a folder whose files are in another repository, and it is empty here. The build\n\
                  needs it, or a Makefile names it. Archives that hosts make of a repository never have the files of its\n\
                  submodules.",
};
pub(super) const UNKNOWN_FOLDER: Code = Code {
    id: "K0118",
    title: "where MAKE goes is not known",
    explanation: "The folder that MAKE enters hangs on a variable that nothing here sets, so nobody can tell whether it is\n\
                  there. Write the path into dkms.conf, or try the package: `kpkg check --build`.",
};

pub(super) const OTHER_VERSION: Code = Code {
    id: "K0119",
    title: "MAKE goes to the folder of another version or kernel",
    explanation: "dkms builds in /var/lib/dkms/NAME/VERSION/build, for a kernel whose headers are in\n\
                  /lib/modules/KERNEL/build. A path in MAKE that names another version does not exist on a target, and one\n\
                  that names one kernel is used for all of them. Write\n\
                  `${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build` and `${kernel_source_dir}`.",
};

/// How many Makefiles are looked at for who makes a module or names a folder.
const MAKERS: usize = 200;

/// Where something is that is not in the packaged source.
enum Whereabouts {
    /// In the tree, and left out for this reason.
    LeftOut(String),
    /// Outside of the root, and there.
    Outside,
    /// In a submodule that is not checked out.
    Submodule(String),
    /// Nowhere, and git would not know it.
    Ignored(String),
    /// Nowhere, and this is what it is made from.
    Template(String),
    /// In another folder of the source.
    Elsewhere(String),
    Nowhere,
}

/// What a driver's build was compared with.
pub(super) struct Packaged<'a> {
    pub(super) input: &'a Input,
    pub(super) found: &'a Found,
    pub(super) tree: &'a Tree<'a>,
    pub(super) left_out: &'a [LeftOut],
    pub(super) conf: &'a Conf,
    pub(super) facts: &'a Facts,
}

impl Packaged<'_> {
    /// The findings about a layout.
    pub(super) fn findings(&self, layout: &Layout) -> Vec<Diagnostic> {
        let mut findings = self.submodules(layout);
        let is_known = |path: &str| !findings_name(&findings, path);
        let mut found: Vec<Diagnostic> = Vec::new();
        // where the build goes nowhere, everything else follows from it
        let is_cause = |lack: &&Lack| {
            matches!(lack, Lack::Folder { .. } | Lack::Makefile { .. } | Lack::Target { .. } | Lack::Sources)
        };
        let causes: Vec<&Lack> = layout.lacks.iter().filter(is_cause).collect();
        let lacks = if causes.is_empty() { layout.lacks.iter().collect() } else { causes };
        for lack in lacks {
            let finding = self.lack(lack);
            if is_known(&finding.message) {
                found.push(finding);
            }
        }
        shorten(&mut found);
        if let (Some(first), false) = (found.first_mut(), self.found.tried.is_empty()) {
            for tried in &self.found.tried {
                let things = if tried.lacks == 1 { "thing" } else { "things" };
                let root = self.input.shown(&tried.root);
                first.notes.push(format!("as the root, `{}` lacks {} {things}", root.display(), tried.lacks));
            }
        }
        found.extend(self.other_versions());
        if let Some((folder, by)) = &layout.unknown {
            let text = format!("`{by}` goes to `{folder}`, which is not known here");
            let finding = Diagnostic::warning(&UNKNOWN_FOLDER, text)
                .hint("write the folder into dkms.conf, or build the package: `kpkg check --build`");
            found.push(self.conf.mark(finding, "MAKE"));
        }
        found.extend(self.headers(layout));
        findings.extend(found);
        findings
    }

    /// Paths of other versions and of single kernels in MAKE.
    fn other_versions(&self) -> Vec<Diagnostic> {
        let (Some(name), Some(version)) = (self.facts.name.known(), self.facts.version.known()) else {
            return Vec::new();
        };
        let mut findings = Vec::new();
        for command in self.facts.make.iter().filter_map(|rule| rule.command.known()) {
            let words = command.split(|next: char| next.is_whitespace() || "='\";".contains(next));
            for word in words {
                let own = [format!("/var/lib/dkms/{name}/"), format!("/usr/src/{name}-")];
                let rest = own.iter().find_map(|start| word.strip_prefix(start.as_str()));
                let named = rest.map(|rest| rest.split('/').next().unwrap_or(rest));
                if let Some(other) = named.filter(|other| {
                    other != version && other.starts_with(|first: char| first.is_ascii_digit())
                }) {
                    let text = format!("MAKE goes to `{word}`, and the version is {version}, not {other}");
                    let hint = "write `${dkms_tree}/${PACKAGE_NAME}/${PACKAGE_VERSION}/build`";
                    findings.push(Diagnostic::error(&OTHER_VERSION, text).hint(hint));
                }
                let kernel = word.strip_prefix("/lib/modules/").and_then(|rest| rest.split('/').next());
                if let Some(kernel) = kernel.filter(|kernel| {
                    *kernel != SOME_KERNEL && kernel.starts_with(|first: char| first.is_ascii_digit())
                }) {
                    let text = format!("MAKE builds for the kernel `{kernel}` only, whatever dkms asks for");
                    findings
                        .push(Diagnostic::warning(&OTHER_VERSION, text).hint("write `${kernel_source_dir}`"));
                }
            }
        }
        findings.into_iter().map(|finding| self.conf.mark(finding, "MAKE")).collect()
    }

    fn lack(&self, lack: &Lack) -> Diagnostic {
        let finding = match lack {
            Lack::File { path, by } if by == "PATCH" => {
                let finding =
                    Diagnostic::error(&MISSING_PATCH, format!("the patch `{path}` is not in the source"))
                        .hint("add the file, or drop the entry from PATCH");
                return self.conf.mark(self.cured(finding, path), "PATCH");
            }
            Lack::File { path, by } if HookKind::ALL.iter().any(|kind| kind.directive() == by) => {
                return self.hook(path, by);
            }
            Lack::Folder { path, by } => {
                let text = format!("{} goes to the folder `{path}`, which is not in the source", said_by(by));
                self.cured(Diagnostic::error(&NOTHING_THERE, text), path)
            }
            Lack::Makefile { folder, by } => {
                let folder = if folder.is_empty() { "." } else { folder };
                let text = format!("{} calls make in `{folder}`, which has no Makefile", said_by(by));
                let finding = Diagnostic::error(&NOTHING_THERE, text);
                self.cured(finding, &join(folder.trim_start_matches('.'), "Makefile"))
            }
            Lack::Target { target, makefile, by } => {
                let text = if target.is_empty() {
                    format!("{} calls make, and `{makefile}` has no rule for it", said_by(by))
                } else {
                    format!("{} asks make for `{target}`, which `{makefile}` has no rule for", said_by(by))
                };
                let finding = Diagnostic::error(&NOTHING_THERE, text);
                let guarded = self
                    .tree
                    .read(makefile, 1 << 20)
                    .is_some_and(|text| String::from_utf8_lossy(&text).contains("KERNELRELEASE"));
                let bare = self.facts.make.iter().filter_map(|rule| rule.command.known());
                let bare = bare.into_iter().any(|command| command.starts_with("make"));
                if guarded && bare {
                    let hint = "dkms gives a bare `make` KERNELRELEASE, which the Makefile takes for a call of kbuild: write `'make'`, \
                                in quotes";
                    Diagnostic { fix: self.conf.quoted_make(), ..finding.hint(hint) }
                } else {
                    finding.hint(
                        "leave MAKE out, so that dkms calls the kernel's build, or name a target that the Makefile has",
                    )
                }
            }
            Lack::File { path, by } => {
                let text = format!("{} runs `{path}`, which is not in the source", said_by(by));
                self.cured(Diagnostic::error(&NOTHING_THERE, text), path)
            }
            Lack::Sources => {
                let root = self.input.shown(&self.found.root);
                let text =
                    format!("the source, `{}`, has no file that a module could be made of", root.display());
                let hint = "name the folder that has: `root` under `[source]` in kpkg.toml, or `map` for files that lie elsewhere";
                Diagnostic::error(&NOTHING_THERE, text).hint(hint)
            }
            Lack::Module { index, built, made } => return self.module(*index, built, made),
            Lack::Source { object, module, by } => {
                let text =
                    format!("`{by}` makes `{module}` of `{object}.o`, and the source has no `{object}.c`");
                self.cured(Diagnostic::error(&NO_SOURCE, text), &format!("{object}.c"))
            }
            Lack::Include(missing) => {
                let text =
                    format!("`{}` includes `{}`, which is not in the source", missing.by, missing.path);
                let finding = self.cured(Diagnostic::error(&NOT_INCLUDED, text), &missing.path);
                return self.at_line(finding, &missing.by, missing.line);
            }
        };
        let says = matches!(lack, Lack::Folder { by, .. } | Lack::Makefile { by, .. } | Lack::Target { by, .. } | Lack::File { by, .. } if by == "MAKE");
        if says { self.conf.mark(finding, "MAKE") } else { finding }
    }

    /// dkms goes on without a script that is not there; when it is only left out, the vendor's own builds have it.
    fn hook(&self, path: &str, directive: &str) -> Diagnostic {
        let text = format!("{directive} names `{path}`, which is not in the source: dkms goes on without it");
        let is_build = matches!(directive, "PRE_BUILD" | "POST_BUILD");
        let finding = if is_build && self.is_evident(path) {
            Diagnostic::error(&DEAD_HOOK, text)
        } else {
            Diagnostic::warning(&DEAD_HOOK, text)
        };
        self.conf.mark(self.cured(finding.hint("add the file, or drop the directive"), path), directive)
    }

    fn module(&self, index: usize, built: &str, made: &[String]) -> Diagnostic {
        let name = built.rsplit('/').next().unwrap_or(built);
        let elsewhere: Vec<_> = made.iter().filter(|path| path.rsplit('/').next() == Some(name)).collect();
        let listed = |paths: &[String]| {
            let shown =
                paths.iter().take(5).map(|path| format!("`{path}.ko`")).collect::<Vec<_>>().join(", ");
            if paths.len() > 5 { format!("{shown} and {} more", paths.len() - 5) } else { shown }
        };
        let (text, hint) = match elsewhere.as_slice() {
            [only] => {
                let folder = only.rsplit_once('/').map_or("", |(folder, _)| folder);
                let hint = if folder.is_empty() {
                    format!("remove BUILT_MODULE_LOCATION[{index}]")
                } else {
                    format!("write BUILT_MODULE_LOCATION[{index}]=\"{folder}\"")
                };
                (format!("dkms.conf expects `{built}.ko`, and the Makefiles make `{only}.ko`"), hint)
            }
            [] if made.is_empty() => (
                format!("dkms.conf expects `{built}.ko`, and the Makefiles that MAKE reaches make no module"),
                "correct MAKE, or name the root of the source: `root` under `[source]` in kpkg.toml"
                    .to_owned(),
            ),
            [] => (
                format!("dkms.conf expects `{built}.ko`, and the Makefiles make {}", listed(made)),
                format!("correct BUILT_MODULE_NAME[{index}]"),
            ),
            _ => (
                format!("dkms.conf expects `{built}.ko`, and the Makefiles make {}", listed(made)),
                format!("choose one of them with BUILT_MODULE_LOCATION[{index}]"),
            ),
        };
        let directive = ["BUILT_MODULE_LOCATION", "BUILT_MODULE_NAME"]
            .into_iter()
            .find(|directive| self.conf.place_of(directive).is_some())
            .unwrap_or("PACKAGE_NAME");
        self.conf.mark(Diagnostic::error(&NOT_MADE_THERE, text).hint(hint), directive)
    }

    // ---- where it is instead --------------------------------------------------------------------------------------------------

    fn whereabouts(&self, path: &str) -> Whereabouts {
        let root = &self.found.root;
        let is_left_out = |left: &&LeftOut| {
            left.path == path || is_below(path, left.path.trim_end_matches('/')) && !left.path.is_empty()
        };
        if let Some(left) = self.left_out.iter().find(is_left_out) {
            return Whereabouts::LeftOut(format!("`{}`: {}", left.path, left.rule));
        }
        if let Some(submodule) = self.empty_submodules().into_iter().find(|folder| is_below(path, folder)) {
            return Whereabouts::Submodule(submodule);
        }
        if path.starts_with("..") {
            return if root.join(path).exists() { Whereabouts::Outside } else { Whereabouts::Nowhere };
        }
        if let Some(template) = template(self.tree, path) {
            return Whereabouts::Template(template);
        }
        if let Some(rule) = source::ignored(root, path) {
            return Whereabouts::Ignored(rule);
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        let mut same = self.tree.files.keys().filter(|other| other.rsplit('/').next() == Some(name));
        match (same.next(), same.next()) {
            (Some(only), None) => Whereabouts::Elsewhere((*only).to_owned()),
            _ => Whereabouts::Nowhere,
        }
    }

    /// The folder that makes a module of dkms.conf, when there is one and no other.
    fn maker(&self) -> Option<String> {
        let makefiles = self.tree.files.keys().filter_map(|path| match path.rsplit_once('/')? {
            (folder, "Kbuild" | "Makefile") => Some(folder),
            _ => None,
        });
        let folders: BTreeSet<&str> = makefiles.take(MAKERS).collect();
        let names: Vec<_> = self.facts.modules.iter().filter_map(|module| module.name.known()).collect();
        let makes = |folder: &&str| {
            let made = kbuild::made(self.tree, folder, &Given::default());
            made.is_some_and(|made| made.modules.iter().any(|module| names.contains(&&module.name)))
        };
        let mut makers = folders.into_iter().filter(makes);
        makers.next().filter(|_| makers.next().is_none()).map(str::to_owned)
    }

    /// Says where something is, and what to do about it.
    fn cured(&self, finding: Diagnostic, path: &str) -> Diagnostic {
        match self.whereabouts(path) {
            Whereabouts::LeftOut(rule) if rule.contains("link") => finding
                .with_note(format!("it is left out: {rule}"))
                .hint("replace the link by what it points to"),
            Whereabouts::LeftOut(rule) => finding.with_note(format!("it is left out: {rule}")).hint(format!(
                "keep it: `include = [\"/{path}\"]` under `[source]` in kpkg.toml, or commit it"
            )),
            Whereabouts::Outside => {
                let up = path.split('/').take_while(|part| *part == "..").count();
                let root = self.found.root.components().rev().skip(up).collect::<Vec<_>>();
                let above: std::path::PathBuf = root.into_iter().rev().collect();
                let above = if above.as_os_str().is_empty() { Path::new("..") } else { &above };
                finding.with_note(format!("`{path}` is there, outside of the root")).hint(format!(
                    "package the folder that has both, `kpkg {}`, or name it with `root` under `[source]` in kpkg.toml",
                    self.input.shown(above).display()
                ))
            }
            Whereabouts::Submodule(folder) => finding
                .with_note(format!("`{folder}` is a submodule that is not checked out"))
                .hint(format!("run `git submodule update --init --recursive {folder}`")),
            Whereabouts::Ignored(rule) => finding.with_note(format!("it is {rule}, so something makes it")).hint(format!(
                "make it before you package, and keep it: `include = [\"/{path}\"]` under `[source]` in kpkg.toml"
            )),
            Whereabouts::Template(template) => {
                let hint = format!(
                    "{}; then keep what it makes: `include = [\"/{path}\"]` under `[source]` in kpkg.toml",
                    how_to_generate(self.tree).unwrap_or_else(|| format!("make it from `{template}`"))
                );
                finding.with_note(format!("it is made from `{template}`")).hint(hint)
            }
            Whereabouts::Elsewhere(other) => finding.with_note(format!("there is `{other}`")).hint(
                "correct the path, or say what lies elsewhere: `root` or `map` under `[source]` in kpkg.toml",
            ),
            Whereabouts::Nowhere => match self.maker().filter(|_| finding.code.id == NOTHING_THERE.id) {
                Some(folder) => finding.with_note(format!("`{folder}` makes the modules")).hint(format!(
                    "when that folder lies elsewhere in the package: `map = {{ \"{folder}/\" = \"{path}/\" }}` under `[source]` in kpkg.toml"
                )),
                None if finding.hint.is_some() => finding,
                None => finding.hint("add it, or correct who names it"),
            },
        }
    }

    /// Folders that `.gitmodules` names and that have nothing in them, relative to the root.
    fn empty_submodules(&self) -> Vec<String> {
        let top = &self.input.folder;
        let Some(inside) = self.found.root.strip_prefix(top).ok().and_then(Path::to_str) else {
            return Vec::new();
        };
        let read = |folder: &Path| source::read_start(&folder.join(".gitmodules"), 1 << 20);
        let Some(bytes) = read(top) else { return Vec::new() };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let paths =
            text.lines().filter_map(|line| line.trim().strip_prefix("path")?.trim_start().strip_prefix('='));
        let is_empty = |path: &&str| match std::fs::read_dir(top.join(path)) {
            Ok(entries) => entries.flatten().all(|entry| entry.file_name() == ".git"),
            Err(_) => true,
        };
        let below = |path: &str| {
            is_below(path, inside).then(|| {
                let path = path[inside.len()..].trim_start_matches('/');
                source::moved(path, &self.found.map)
            })
        };
        paths.map(str::trim).filter(|path| !path.contains("..")).filter(is_empty).filter_map(below).collect()
    }

    /// Submodules that are not checked out and that the build names.
    fn submodules(&self, layout: &Layout) -> Vec<Diagnostic> {
        let mut findings = Vec::new();
        for folder in self.empty_submodules() {
            let name = folder.rsplit('/').next().unwrap_or(&folder);
            let points = |lack: &Lack| match lack {
                Lack::Folder { path, .. } | Lack::File { path, .. } | Lack::Makefile { folder: path, .. } => {
                    is_below(path, &folder)
                }
                Lack::Source { object, .. } => is_below(object, &folder),
                Lack::Include(missing) => is_below(&missing.path, &folder),
                Lack::Target { .. } | Lack::Module { .. } | Lack::Sources => false,
            };
            let named = |path: &&String| {
                let text = self.tree.read(path, 1 << 20).unwrap_or_default();
                let text = String::from_utf8_lossy(&text);
                text.split(|next: char| !next.is_ascii_alphanumeric() && !"_-.".contains(next))
                    .any(|word| word == name)
            };
            let makefiles = self.makefiles();
            let who = layout.reads.iter().chain(&makefiles).find(named);
            let is_needed = who.is_some()
                || layout.lacks.iter().chain(&layout.doubts).any(points)
                || layout
                    .sources
                    .iter()
                    .any(|(_, folders)| folders.iter().any(|path| is_below(path, &folder)));
            let by = who.map_or_else(|| "the build".to_owned(), |path| format!("`{path}`"));
            let finding = if is_needed {
                let text = format!("{by} needs `{folder}`, a submodule that is not checked out");
                Diagnostic::error(&NO_SUBMODULE, text)
            } else {
                let text = format!("`{folder}` is a submodule that is not checked out, and is not packaged");
                Diagnostic::note(&NO_SUBMODULE, text)
            };
            findings.push(finding.hint(format!("run `git submodule update --init --recursive {folder}`")));
        }
        findings
    }

    /// The files that say how something is built, but for tests and examples.
    fn makefiles(&self) -> Vec<String> {
        let is_makefile = |path: &&&str| {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            let is_named = ["Makefile", "Kbuild", "CMakeLists"].iter().any(|start| name.starts_with(start));
            (is_named || name.ends_with(".mk")) && !kbuild::is_aside(folder)
        };
        self.tree.files.keys().filter(is_makefile).take(MAKERS).map(|path| (*path).to_owned()).collect()
    }

    /// Headers of the driver that are not packaged: those that are somewhere.
    fn headers(&self, layout: &Layout) -> Vec<Diagnostic> {
        let mut findings: Vec<Diagnostic> = Vec::new();
        if layout.is_open {
            return findings;
        }
        for header in layout::headers(self.tree, layout) {
            let name = header.name.rsplit('/').next().unwrap_or(&header.name);
            let named_by_makefile = || {
                layout.reads.iter().any(|path| {
                    let text = self.tree.read(path, 1 << 20).unwrap_or_default();
                    String::from_utf8_lossy(&text).contains(name)
                })
            };
            let Some(place) = header.places.iter().find(|place| self.is_evident(place)) else { continue };
            let is_repeated = findings.iter().any(|finding| finding.message.contains(&format!("`{place}`")));
            if is_repeated || named_by_makefile() {
                continue;
            }
            findings.push(self.header(&header, place));
        }
        findings
    }

    fn header(&self, header: &Header, place: &str) -> Diagnostic {
        let text = format!("`{}` includes `{}`, and `{place}` is not packaged", header.by, header.name);
        let finding = if header.is_conditional {
            Diagnostic::warning(&NOT_INCLUDED, text)
        } else {
            Diagnostic::error(&NOT_INCLUDED, text)
        };
        self.at_line(self.cured(finding, place), &header.by, header.line)
    }

    /// Whether something says that a file belongs there.
    fn is_evident(&self, place: &str) -> bool {
        matches!(
            self.whereabouts(place),
            Whereabouts::LeftOut(_)
                | Whereabouts::Outside
                | Whereabouts::Submodule(_)
                | Whereabouts::Ignored(_)
                | Whereabouts::Template(_)
        )
    }

    /// A finding at a line of a file of the source.
    fn at_line(&self, finding: Diagnostic, path: &str, line: usize) -> Diagnostic {
        let Some(bytes) = self.tree.read(path, 1 << 20) else { return finding };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
        let end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let path = self.input.shown(&find::below(&self.found.root, path));
        let source = Arc::new(SourceText { path, text });
        finding.at(Place::new(&source, start..end))
    }
}

/// How many objects without a source are told one by one.
const OBJECTS: usize = 3;

/// A folder that is not there takes all its sources along: the first are told, and how many there are.
fn shorten(findings: &mut Vec<Diagnostic>) {
    let is_one = |finding: &Diagnostic| finding.code.id == NO_SOURCE.id;
    let count = findings.iter().filter(|finding| is_one(finding)).count();
    if count <= OBJECTS {
        return;
    }
    let mut seen = 0;
    findings.retain(|finding| {
        seen += usize::from(is_one(finding));
        !is_one(finding) || seen <= OBJECTS
    });
    if let Some(last) = findings.iter_mut().rfind(|finding| is_one(finding)) {
        last.notes.push(format!("and {} more objects have no source", count - OBJECTS));
    }
}

/// Whether a finding about a submodule says all there is to say about a path in it.
fn findings_name(findings: &[Diagnostic], message: &str) -> bool {
    let folders = findings.iter().filter(|finding| finding.code.id == NO_SUBMODULE.id);
    let folders = folders.filter_map(|finding| finding.hint.as_deref()?.rsplit(' ').next());
    folders.map(|folder| folder.trim_end_matches('`')).any(|folder| message.contains(&format!("`{folder}")))
}

/// A directive by its name, a Makefile in quotes.
fn said_by(by: &str) -> String {
    if by.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
        by.to_owned()
    } else {
        format!("`{by}`")
    }
}

/// What a file is made from: `X.in`, or `configure.ac` for `configure`.
fn template(tree: &Tree<'_>, path: &str) -> Option<String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut names = vec![format!("{name}.in"), format!("{name}.am")];
    if name == "configure" {
        names.extend(["configure.ac".to_owned(), "configure.in".to_owned()]);
    }
    names.into_iter().map(|name| join(folder, &name)).find(|path| tree.exists(path))
}

/// What to run in a tree whose Makefiles are still to be made; nothing where no generator is known.
pub(super) fn how_to_generate(tree: &Tree<'_>) -> Option<String> {
    let first = |names: &[&str]| names.iter().find(|name| tree.exists(name)).map(|name| (*name).to_owned());
    if tree.exists("configure") {
        return Some("run `./configure` first".to_owned());
    }
    if tree.exists("configure.ac") || tree.exists("configure.in") {
        let bootstrap = first(&["autogen.sh", "bootstrap", "bootstrap.sh", "buildconf"]);
        let bootstrap = bootstrap.map_or_else(|| "autoreconf -i".to_owned(), |script| format!("./{script}"));
        return Some(format!("run `{bootstrap} && ./configure` first"));
    }
    if tree.exists("CMakeLists.txt") {
        return Some(
            "run `cmake -S . -B build` first, and package the folder below `build` that it fills".to_owned(),
        );
    }
    first(&["meson.build"]).map(|_| "run `meson setup build` first".to_owned())
}

/// How many scripts are read for that.
const SCRIPTS: usize = 50;

/// A sentence about a script that copies dkms.conf, because it then puts together the folder that the driver is built in.
fn put_together(tree: &Tree<'_>) -> Option<String> {
    let mut scripts = tree.files.keys().filter(|path| path.ends_with(".sh")).take(SCRIPTS);
    scripts.find_map(|path| {
        let text = tree.read(path, ABOUT_BYTES)?;
        let text = String::from_utf8_lossy(&text);
        let copies = |line: &str| {
            let mut words = line.split_whitespace();
            words.clone().any(|word| matches!(word, "cp" | "install" | "rsync"))
                && words.any(|word| word.trim_matches(['"', '\'']).ends_with("dkms.conf"))
        };
        let line = text.lines().position(|line| !line.trim_start().starts_with('#') && copies(line))?;
        Some(format!(
            "`{path}` copies dkms.conf in line {}: where it puts the source together, run it and package what it makes",
            line + 1
        ))
    })
}

/// A sentence about a tree whose Makefiles or dkms.conf are still to be made: which templates there are, and what makes them.
pub(super) fn generated(tree: &Tree<'_>) -> Option<String> {
    let is_template = |path: &&&str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        matches!(name, "Makefile.in" | "Makefile.am" | "Kbuild.in" | "dkms.conf.in")
            || name.contains("dkms") && name.contains("mkconf")
    };
    let templates: Vec<&&str> = tree.files.keys().filter(is_template).collect();
    let Some(how) = how_to_generate(tree).filter(|_| !templates.is_empty()) else {
        return put_together(tree);
    };
    let conf = templates.iter().find(|path| path.contains("mkconf"));
    let then = conf.map(|path| format!("; `{path}` writes dkms.conf")).unwrap_or_default();
    let named = templates.iter().take(3).map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
    Some(format!("the tree is to be generated, from {named}: {how}{then}"))
}
