//! Finds the dkms.conf files of a tree, and for each the root of its source: what becomes `/usr/src/NAME-VERSION`.
//!
//! Looks at names, at Makefiles and at what the files themselves point to; decides nothing about packages and runs nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Code, Diagnostic};
use crate::dkms::{self, Conf, Fact, Facts, Inputs};
use crate::error::{Error, Result};
use crate::source::{self, read_start};

/// The findings of this layer.
pub const CODES: &[&Code] = &[&ELSEWHERE, &SEVERAL];

const ELSEWHERE: Code = Code {
    id: "K0108",
    title: "dkms.conf was found elsewhere, or the source has another root",
    explanation: "dkms wants a file `dkms.conf` in the root of the source. Many drivers keep it in another folder or under\n\
                  another name (`dkms.conf.in`, `NAME.dkms`) and move it while they are packaged. kpkg takes the file it\n\
                  finds, and as the root the folder that has what the file points to: Makefiles, BUILT_MODULE_LOCATION,\n\
                  patches and scripts. `--dkms-conf` chooses another file, and `root` in the `[source]` table of\n\
                  kpkg.toml another root.",
};
const SEVERAL: Code = Code {
    id: "K0109",
    title: "the tree has several dkms.conf files",
    explanation: "One that lies in the root counts before others, then `dkms.conf` before `dkms.conf.in`, `*.dkms` and other\n\
                  names, and a shallow one before a deep one. When they are for different drivers, nothing is chosen:\n\
                  `--dkms-conf FILE` names one, and `--all` packages every one of them.",
};

/// More entries than this are not looked at.
const ENTRIES: usize = 500_000;
/// The largest file that can be a dkms.conf.
const CONF: u64 = 1 << 20;
/// How many folders with a Makefile can be the root.
const FOLDERS: usize = 200;

/// A driver in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The folder that becomes `/usr/src/NAME-VERSION`.
    pub root: PathBuf,
    /// The dkms.conf that counts; nothing where there is none and one has to be inferred.
    pub conf: Option<PathBuf>,
}

/// What the caller says.
#[derive(Debug, Clone, Default)]
pub struct Options<'a> {
    /// The dkms.conf to use, as a path of its own or below the folder.
    pub conf: Option<&'a Path>,
    /// Every driver of the tree.
    pub all: bool,
    /// The root, relative to the folder.
    pub root: Option<&'a str>,
}

/// The drivers in `folder`; one, unless all are asked for.
pub fn find(folder: &Path, options: &Options<'_>) -> Result<(Vec<Found>, Vec<Diagnostic>)> {
    if !folder.is_dir() {
        return Err(Error::usage("there is no folder")
            .at(folder)
            .hint("give the folder of a driver: `kpkg DIR`"));
    }
    let mut findings = Vec::new();
    let confs = match options.conf {
        Some(path) if path.exists() => vec![path.to_owned()],
        Some(path) => vec![folder.join(path)],
        None if !options.all && below(folder, "dkms.conf").exists() => vec![below(folder, "dkms.conf")],
        None => choose(folder, options.all, &mut findings)?,
    };
    let mut found = Vec::new();
    for conf in &confs {
        let root = match options.root {
            Some(root) => named_root(folder, root)?,
            None => root_of(folder, conf)?,
        };
        if root != folder || conf.parent() != Some(&root) && *conf != below(&root, "dkms.conf") {
            let text =
                format!("the dkms.conf is `{}`, and the source is `{}`", conf.display(), root.display());
            findings.push(Diagnostic::note(&ELSEWHERE, text));
        }
        found.push(Found { root, conf: Some(conf.clone()) });
    }
    if found.is_empty() {
        let root = options.root.map_or_else(|| Ok(folder.to_owned()), |root| named_root(folder, root))?;
        found.push(Found { root, conf: None });
    }
    Ok((found, findings))
}

/// A path as the user would write it: without `./` in front.
#[must_use]
pub fn below(folder: &Path, name: &str) -> PathBuf {
    match (folder == Path::new("."), name) {
        (_, "") => folder.to_owned(),
        (true, name) => PathBuf::from(name),
        (false, name) => folder.join(name),
    }
}

fn named_root(folder: &Path, root: &str) -> Result<PathBuf> {
    let inside = Path::new(root).components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let path = below(folder, root.trim_end_matches('/'));
    if (inside || root == ".") && path.is_dir() {
        return Ok(if root == "." { folder.to_owned() } else { path });
    }
    Err(Error::usage(format!("`{root}` under `root` in kpkg.toml is no folder of the driver's tree")))
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
    /// Below the folder.
    path: String,
    /// Its driver's name, when it says one that is no marker.
    name: Option<String>,
    order: (bool, u8, usize, String),
}

fn candidates(folder: &Path) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    walk(folder, &mut |path, is_folder| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let (Some(rank), false) = (name_rank(name), is_folder) else { return };
        let Some(bytes) = read_start(&folder.join(path), CONF) else { return };
        if !sets_a_directive(&bytes) || rank == 3 && bytes.starts_with(b"#!") {
            return;
        }
        let aside = path.split('/').rev().skip(1).any(|part| {
            let part = part.to_ascii_lowercase();
            ["test", "example", "doc", "sample"].iter().any(|start| part.starts_with(start))
        });
        let facts = facts(&folder.join(path), &bytes);
        let name = facts.name.known().filter(|name| !dkms::is_placeholder(name)).cloned();
        found.push(Candidate {
            order: (aside, rank, path.matches('/').count(), path.to_owned()),
            path: path.to_owned(),
            name,
        });
    })?;
    found.sort_by(|one, other| one.order.cmp(&other.order));
    Ok(found)
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

fn choose(folder: &Path, all: bool, findings: &mut Vec<Diagnostic>) -> Result<Vec<PathBuf>> {
    let found = candidates(folder)?;
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
    let path = |candidate: &Candidate| below(folder, &candidate.path);
    if all {
        return Ok(drivers.into_iter().map(path).collect());
    }
    let plain: Vec<_> = drivers.iter().filter(|driver| !driver.order.0).collect();
    let [first, others @ ..] = plain.as_slice() else {
        return Ok(drivers.first().map(|driver| path(driver)).into_iter().collect());
    };
    if !others.is_empty() {
        let text = format!("`{}` has the dkms.conf files of {} drivers", folder.display(), plain.len());
        let mut finding = Diagnostic::error(&SEVERAL, text);
        for driver in &plain {
            let name = driver.name.as_deref().unwrap_or("?");
            finding = finding.with_note(format!("`{name}`: `{}`", path(driver).display()));
        }
        let hint = format!("choose one, `--dkms-conf {}`, or package all of them, `--all`", first.path);
        return Err(Error::diagnostics(vec![finding.hint(hint)]));
    }
    // a form of the same driver that ranks higher without saying its name counts
    let chosen = found.first().filter(|best| !best.order.0 && best.order < first.order).unwrap_or(first);
    let rest: Vec<_> = found.iter().filter(|other| other.path != chosen.path).collect();
    if !rest.is_empty() {
        let text = format!("of {} dkms.conf files, `{}` is used", found.len(), path(chosen).display());
        let mut finding = Diagnostic::warning(&SEVERAL, text);
        for other in rest.iter().take(5) {
            finding = finding.with_note(format!("not used: `{}`", path(other).display()));
        }
        findings.push(finding.hint("`--dkms-conf FILE` chooses another one"));
    }
    Ok(vec![path(chosen)])
}

/// Calls `look` with every path below `folder`, and whether it is a folder; not into what is never source.
fn walk(folder: &Path, look: &mut dyn FnMut(&str, bool)) -> Result<()> {
    let mut folders = vec![String::new()];
    let mut entries = 0;
    while let Some(inside) = folders.pop() {
        let path = below(folder, &inside);
        let read = fs::read_dir(&path).map_err(|error| Error::io("cannot read", &path, error).as_usage())?;
        for entry in read {
            let entry = entry.map_err(|error| Error::io("cannot read", &path, error).as_usage())?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            entries += 1;
            if entries > ENTRIES {
                return Ok(());
            }
            let relative = if inside.is_empty() { name.clone() } else { format!("{inside}/{name}") };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !source::is_never_source(&name) => {
                    look(&relative, true);
                    folders.push(relative);
                }
                Ok(kind) if kind.is_file() => look(&relative, false),
                _ => {}
            }
        }
    }
    Ok(())
}

// ---- which root ---------------------------------------------------------------------------------------------------------------

/// The facts of a file for some kernel: what they point to is the same for every one.
fn facts(path: &Path, bytes: &[u8]) -> Facts {
    let (conf, _) = Conf::parse(path, bytes);
    let inputs = Inputs {
        processors: Some(1),
        module: Some(("NAME".to_owned(), "VERSION".to_owned())),
        ..Inputs::of_some_kernel()
    };
    dkms::facts(&conf, &dkms::evaluate(&conf, &inputs)).0
}

/// What a dkms.conf says is below the root of its source.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Need {
    /// A folder with a Makefile.
    Makefile(String),
    /// The Makefile of this folder makes this object.
    Object(String, String),
    /// A file.
    File(String),
}

fn needs(facts: &Facts) -> Vec<Need> {
    let mut needs = Vec::new();
    for module in &facts.modules {
        let location = match &module.location {
            Fact::Absent => String::new(),
            Fact::Known(location) => location.clone(),
            Fact::Unknown => continue,
        };
        if let Some(name) = module.name.known().filter(|name| !dkms::is_placeholder(name)) {
            needs.push(Need::Object(location, name.clone()));
        }
    }
    for rule in &facts.make {
        needs.extend(rule.command.known().map(|command| make_needs(command)).unwrap_or_default());
    }
    if facts.make.is_empty() {
        needs.push(Need::Makefile(String::new()));
    }
    needs.extend(
        facts.patches.iter().filter_map(|patch| Some(Need::File(format!("patches/{}", patch.file.known()?)))),
    );
    needs.extend(facts.hooks.iter().filter_map(|hook| Some(Need::File(hook.script.known()?.clone()))));
    needs.sort();
    needs.dedup();
    needs
}

/// What follows the driver's folder in a path below `/var/lib/dkms/NAME/VERSION/{build,source}` or `/usr/src/NAME-VERSION`; files
/// say their name and version in both ways, with `$module` and in their own words.
fn in_driver(path: &str) -> Option<&str> {
    if let Some(rest) = path.strip_prefix("/var/lib/dkms/") {
        let mut parts = rest.splitn(4, '/').skip(2);
        return matches!(parts.next(), Some("build" | "source")).then(|| parts.next().unwrap_or_default());
    }
    let rest = path.strip_prefix("/usr/src/").filter(|rest| !rest.starts_with("linux"))?;
    Some(rest.split_once('/').map_or("", |(_, inside)| inside))
}

/// The folders that a command line goes to.
fn make_needs(command: &str) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut words = command.split_whitespace().map(|word| word.trim_matches(['\'', '"', ';'])).peekable();
    let mut bare = false;
    let mut goes = false;
    let inside = |path: &str| {
        let path = in_driver(path).unwrap_or(path).trim_matches('/');
        (!path.contains("..") && !path.contains('$')).then(|| path.trim_start_matches("./").to_owned())
    };
    while let Some(word) = words.next() {
        let target = match word {
            "-C" | "cd" => words.peek().copied(),
            word if word.starts_with("--directory=") => word.strip_prefix("--directory="),
            word if word.starts_with("-C") => word.strip_prefix("-C"),
            word => ["M=", "SUBDIRS=", "KBUILD_EXTMOD="].iter().find_map(|name| word.strip_prefix(name)),
        };
        if let Some(target) = target {
            goes = true;
            if in_driver(target).is_some() || !target.starts_with(['/', '$', '`']) {
                needs.extend(inside(target).filter(|path| path != ".").map(Need::Makefile));
            }
        } else if word == "make" || word.ends_with("/make") {
            bare = true;
        } else if let Some(script) = word.strip_prefix("./") {
            needs.push(Need::File(script.to_owned()));
        }
    }
    if bare && !goes {
        needs.push(Need::Makefile(String::new()));
    }
    needs
}

/// How badly a folder fits, by what counts most: folders in which make finds no Makefile, other things that are missing, and what
/// is there (negative, so that less is better).
fn misfit(root: &Path, needs: &[Need]) -> (usize, usize, isize) {
    let (mut makefiles, mut others, mut there) = (0, 0, 0);
    for need in needs {
        let weight = match need {
            Need::Makefile(folder) => isize::from(makefile(&root.join(folder)).is_some()),
            Need::File(path) => isize::from(root.join(path).exists()),
            Need::Object(folder, name) => makes(root, folder, name),
        };
        let missing = if matches!(need, Need::Makefile(_)) { &mut makefiles } else { &mut others };
        *missing += usize::from(weight == 0);
        there -= weight;
    }
    (makefiles, others, there)
}

const MAKEFILES: [&str; 4] = ["Kbuild", "GNUmakefile", "makefile", "Makefile"];

/// The texts of the Makefiles of a folder.
fn makefile(folder: &Path) -> Option<String> {
    let texts: Vec<_> = MAKEFILES.iter().filter_map(|name| read_start(&folder.join(name), CONF)).collect();
    (!texts.is_empty()).then(|| String::from_utf8_lossy(&texts.concat()).into_owned())
}

/// 2: a Makefile there makes the object; 1: there is a Makefile, or one above makes it; 0: neither.
fn makes(root: &Path, folder: &str, name: &str) -> isize {
    let object = |text: &str| {
        let plain = |text: &str| text.replace('-', "_");
        plain(text).contains(&format!("{}.o", plain(name)))
    };
    match makefile(&root.join(folder)) {
        Some(text) if object(&text) => 2,
        Some(_) => 1,
        None => {
            let mut above = folder;
            while let Some((shorter, _)) = above.rsplit_once('/') {
                above = shorter;
                if makefile(&root.join(above)).is_some_and(|text| object(&text)) {
                    return 1;
                }
            }
            let top = !folder.is_empty() && makefile(root).is_some_and(|text| object(&text));
            isize::from(top)
        }
    }
}

/// The folder that fits best what the file points to: its own, one above it, or else one that has a Makefile.
fn root_of(folder: &Path, conf: &Path) -> Result<PathBuf> {
    let own = conf.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(folder, |parent| parent);
    let Some(bytes) = read_start(conf, CONF) else { return Ok(own.to_owned()) };
    let needs = needs(&facts(conf, &bytes));
    let mut roots: Vec<PathBuf> = Vec::new();
    for root in own.ancestors() {
        if !root.starts_with(folder) && root != folder {
            break;
        }
        roots.push(if root.as_os_str().is_empty() { folder.to_owned() } else { root.to_owned() });
        if root == folder {
            break;
        }
    }
    if roots.last().map(PathBuf::as_path) != Some(folder) {
        roots.push(folder.to_owned());
    }
    let best = |roots: Vec<PathBuf>| {
        let scored = roots.into_iter().enumerate().map(|(order, root)| (misfit(&root, &needs), order, root));
        scored.min_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1)))
    };
    let Some((fit, _, root)) = best(roots.clone()) else { return Ok(own.to_owned()) };
    // where make finds its way, the modules may be moved by the command or made by a Makefile of another kind
    if fit.0 == 0 {
        return Ok(root);
    }
    let mut deeper: BTreeMap<(usize, String), PathBuf> = BTreeMap::new();
    walk(folder, &mut |path, is_folder| {
        if is_folder && MAKEFILES.iter().any(|name| folder.join(path).join(name).is_file()) {
            deeper.insert((path.matches('/').count(), path.to_owned()), below(folder, path));
        }
    })?;
    roots.extend(deeper.into_values().take(FOLDERS));
    Ok(best(roots).map_or(root, |(_, _, root)| root))
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
    fn found(files: &[(&str, &str)], options: &Options<'_>) -> Vec<String> {
        let tree = tree(files);
        let (found, _) = find(tree.path(), options).unwrap();
        let relative = |path: &Path| path.strip_prefix(tree.path()).unwrap().display().to_string();
        found
            .iter()
            .map(|found| {
                format!("{} {}", found.conf.as_deref().map_or("-".into(), relative), relative(&found.root))
            })
            .collect()
    }

    fn one(files: &[(&str, &str)]) -> String {
        let mut found = found(files, &Options::default());
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
        let conf = make("make -C src");
        assert_eq!(one(&[("dkms/dkms.conf", &conf), ("src/Makefile", object)]), "dkms/dkms.conf ");
        let conf = format!("{CONF}BUILT_MODULE_LOCATION[0]=drivers/toy\n");
        assert_eq!(
            one(&[("debian/toy.dkms", &conf), ("drivers/toy/Makefile", object), ("Makefile", "")]),
            "debian/toy.dkms "
        );
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
        let error = find(refused.path(), &Options::default()).unwrap_err();
        assert_eq!(error.findings()[0].code.id, "K0109");
        assert_eq!(error.findings()[0].notes.len(), 2);
        let all = Options { all: true, ..Options::default() };
        assert_eq!(found(&files, &all), ["a/dkms.conf a", "b/dkms.conf b"]);
        let named = Options { conf: Some(Path::new("b/dkms.conf")), ..Options::default() };
        assert_eq!(found(&files, &named), ["b/dkms.conf b"]);
        // the same driver twice, and an example: one is used, and the choice is told
        let twice = [("a/dkms.conf", CONF), ("b/toy.dkms", CONF), ("example/dkms.conf", other.as_str())];
        let twice = tree(&twice);
        let (found, findings) = find(twice.path(), &Options::default()).unwrap();
        assert_eq!(found[0].conf, Some(twice.path().join("a/dkms.conf")));
        assert_eq!(findings[0].code.id, "K0109");
    }

    #[test]
    fn a_root_can_be_named() {
        let files = [("dkms.conf", CONF), ("src/Makefile", "obj-m := toy.o")];
        let named = |root| Options { root: Some(root), ..Options::default() };
        assert_eq!(found(&files, &named(".")), ["dkms.conf "]);
        assert_eq!(found(&files, &named("src")), ["dkms.conf src"]);
        for bad in ["..", "/", "none"] {
            assert!(find(tree(&files).path(), &named(bad)).is_err(), "{bad}");
        }
    }
}
