//! Trees on disk, with repositories that are written here byte by byte: no `git` is needed.

#![allow(clippy::default_trait_access, clippy::single_match_else, clippy::semicolon_if_nothing_returned)]

use std::cell::Cell;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use super::*;

/// A repository with one commit, `1b099ca4…` of the time 1600000001, packed by git 2.47 (`git gc`).
const PACKED: (&[u8], &[u8]) =
    (include_bytes!("fixtures/packed.idx"), include_bytes!("fixtures/packed.pack"));
const PACKED_COMMIT: &str = "1b099ca44b8c7e4adb79417c7f59419745cec29b";

struct Tree(tempfile::TempDir);

impl Tree {
    /// Files that contain their own name; `d/` is a folder, `a -> b` a link, `a = text` a file with a text.
    fn new(entries: &[&str]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.add(entries);
        tree
    }

    fn add(&self, entries: &[&str]) {
        for entry in entries {
            let (path, rest) = match (entry.split_once(" -> "), entry.split_once(" = ")) {
                (Some((path, target)), _) => (path, Err(target)),
                (None, Some((path, text))) => (path, Ok(text)),
                (None, None) => (*entry, Ok(*entry)),
            };
            let on_disk = self.path(path);
            if path.ends_with('/') {
                fs::create_dir_all(&on_disk).unwrap();
                continue;
            }
            fs::create_dir_all(on_disk.parent().unwrap()).unwrap();
            match rest {
                Ok(text) => fs::write(on_disk, text).unwrap(),
                Err(target) => symlink(target, on_disk).unwrap(),
            }
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Makes `git_dir` the folder of a repository that tracks these paths, with a commit at 1700000000.
    fn git_dir(&self, git_dir: &str, tracked: &[&str], hash: gix_hash::Kind) {
        self.index(git_dir, tracked, hash);
        let objects = self.path(git_dir).join("objects");
        fs::create_dir_all(&objects).unwrap();
        let tree = gix_hash::ObjectId::empty_tree(hash);
        let commit = format!(
            "tree {tree}\nauthor A <a@b> 1600000000 +0000\ncommitter C <c@d> 1700000000 +0100\n\nx\n"
        );
        let store = gix_odb::at(objects, hash).unwrap();
        let id = gix_object::Write::write_buf(&store, gix_object::Kind::Commit, commit.as_bytes()).unwrap();
        self.add(&[
            &format!("{git_dir}/HEAD = ref: refs/heads/main\n"),
            &format!("{git_dir}/refs/heads/main = {id}\n"),
        ]);
        if hash == gix_hash::Kind::Sha256 {
            self.add(&[&format!(
                "{git_dir}/config = [core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n"
            )]);
        }
    }

    fn index(&self, git_dir: &str, tracked: &[&str], hash: gix_hash::Kind) {
        let mut state = gix_index::State::new(hash);
        for path in tracked {
            let (path, mode) = match path.strip_suffix('@') {
                Some(path) => (path, gix_index::entry::Mode::COMMIT),
                None => (*path, gix_index::entry::Mode::FILE),
            };
            let id = gix_hash::ObjectId::empty_blob(hash);
            let flags = gix_index::entry::Flags::empty();
            state.dangerously_push_entry(Default::default(), id, flags, mode, path.into());
        }
        state.sort_entries();
        let mut bytes = Vec::new();
        gix_index::File::from_state(state, "index").write_to(&mut bytes, Default::default()).unwrap();
        fs::create_dir_all(self.path(git_dir)).unwrap();
        fs::write(self.path(git_dir).join("index"), bytes).unwrap();
    }

    fn git(self, tracked: &[&str]) -> Self {
        self.git_dir(".git", tracked, gix_hash::Kind::Sha1);
        self
    }

    fn select(&self) -> Selection {
        select(self.0.path(), &Filter::default()).unwrap()
    }

    fn with(&self, exclude: &[&str], include: &[&str]) -> Selection {
        let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
        let options = Filter { exclude: owned(exclude), include: owned(include), ..Filter::default() };
        select(self.0.path(), &options).unwrap()
    }

    fn fails(&self) -> Error {
        select(self.0.path(), &Filter::default()).unwrap_err()
    }
}

/// Paths, with `/` after folders, ` -> target` after links and `*` after what can be executed.
fn shown(selection: &Selection) -> Vec<String> {
    let show = |file: &SourceFile| match &file.kind {
        SourceKind::Directory => format!("{}/", file.path),
        SourceKind::File { executable: true, .. } => format!("{}*", file.path),
        SourceKind::File { .. } => file.path.clone(),
        SourceKind::Symlink { target } => format!("{} -> {target}", file.path),
    };
    selection.files.iter().map(show).collect()
}

fn left_out(selection: &Selection) -> Vec<&str> {
    selection.left_out.iter().map(|left| left.path.as_str()).collect()
}

fn rule<'a>(selection: &'a Selection, path: &str) -> &'a str {
    let found = selection.left_out.iter().find(|left| left.path == path);
    found.map_or("stays", |left| left.rule.as_str())
}

fn messages(findings: &[Diagnostic]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn rules_by_name_without_a_repository() {
    // Path, and a part of the rule's words, or nothing when it stays.
    let table = [
        (".bzr/x", ".bzr/", "version control"),
        (".github/w.yml", ".github/", "bookkeeping"),
        (".gitattributes", ".gitattributes", "bookkeeping"),
        (".gitignore", ".gitignore", "bookkeeping"),
        (".gitmodules", ".gitmodules", "bookkeeping"),
        (".hg/x", ".hg/", "version control"),
        (".svn/x", ".svn/", "version control"),
        ("CVS/Root", "CVS/", "version control"),
        ("_darcs/x", "_darcs/", "version control"),
        ("a/b/CVS/Root", "a/b/CVS/", "version control"),
        ("a.c~", "a.c~", "editor"),
        (".a.c.swp", ".a.c.swp", "editor"),
        ("a.swo", "a.swo", "editor"),
        ("#a#", "#a#", "editor"),
        (".idea/x", ".idea/", "editor"),
        (".vscode/x", ".vscode/", "editor"),
        (".DS_Store", ".DS_Store", "desktop"),
        ("a.orig", "a.orig", "merge"),
        ("a.rej", "a.rej", "merge"),
        ("a.o", "a.o", "build"),
        (".a.o.cmd", ".a.o.cmd", "build"),
        ("a.o.d", "a.o.d", "build"),
        ("a.ko", "a.ko", "build"),
        ("a.ko.xz", "a.ko.xz", "build"),
        ("a.ko.gz", "a.ko.gz", "build"),
        ("a.ko.zst", "a.ko.zst", "build"),
        ("a.mod", "a.mod", "build"),
        ("a.mod.c", "a.mod.c", "build"),
        ("a.cmd", "a.cmd", "build"),
        (".tmp_versions/a.mod", ".tmp_versions/", "build"),
        ("Module.symvers", "Module.symvers", "build"),
        ("Module.markers", "Module.markers", "build"),
        ("modules.order", "modules.order", "build"),
        ("built-in.a", "built-in.a", "build"),
        ("a.dwo", "a.dwo", "build"),
        (".cache.mk", ".cache.mk", "build"),
        ("a_1_all.deb", "a_1_all.deb", "package"),
        ("a.src.rpm", "a.src.rpm", "package"),
        ("a.dsc", "a.dsc", "package"),
        ("a.changes", "a.changes", "package"),
        ("a.buildinfo", "a.buildinfo", "package"),
        (".kpkg-x1/y", ".kpkg-x1/", "kpkg"),
        ("empty/", "empty/", "empty folder"),
        ("libhal.a", "", ""),
        ("hal.o_shipped", "", ""),
        ("fw.bin", "", ""),
        ("#", "", ""),
        (".gitkeep", "", ""),
        (".gitversion", "", ""),
        (".hidden", "", ""),
        ("CVS.txt", "", ""),
        ("module.symvers", "", ""),
        ("dir.o/a.c", "", ""),
        ("name with spaces ; and $(quotes)'\".c", "", ""),
        ("größe.c", "", ""),
    ];
    for (path, reported, words) in table {
        let tree = Tree::new(&["dkms.conf", path]);
        let selection = tree.select();
        let found = rule(&selection, reported);
        if words.is_empty() {
            assert!(shown(&selection).contains(&path.to_owned()), "{path}: {selection:?}");
            assert_eq!(left_out(&selection), [""; 0], "{path}");
        } else {
            assert!(found.contains(words), "{path}: {found}");
            assert_eq!(left_out(&selection), [reported]);
            assert!(!selection.files.iter().any(|file| file.path.starts_with(path)), "{path}");
        }
    }
}

#[test]
fn links_of_emacs_are_left_out_before_they_are_looked_at() {
    let selection = Tree::new(&["a.c", ".#a.c -> user@host.1234:1"]).select();
    assert_eq!(shown(&selection), ["a.c"]);
    assert_eq!(selection.diagnostics, []);
}

#[test]
fn order_is_by_byte_and_modes_are_normalised() {
    let tree = Tree::new(&["b", "a/z", "a/a/x", "a-b", "a.b", "B", "é", "run.sh"]);
    fs::set_permissions(tree.path("run.sh"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::set_permissions(tree.path("b"), fs::Permissions::from_mode(0o666)).unwrap();
    fs::hard_link(tree.path("b"), tree.path("c")).unwrap();
    let selection = tree.select();
    let expected = ["B", "a/", "a-b", "a.b", "a/a/", "a/a/x", "a/z", "b", "c", "run.sh*", "é"];
    assert_eq!(shown(&selection), expected);
    let Some(SourceFile { kind: SourceKind::File { on_disk, size, .. }, .. }) =
        selection.files.iter().find(|file| file.path == "a/a/x")
    else {
        panic!("{selection:?}")
    };
    assert_eq!((on_disk.as_ref(), *size), (tree.path("a/a/x").as_path(), 5));
}

#[test]
fn what_git_tracks_stays_and_what_it_ignores_goes() {
    let tree = Tree::new(&[
        ".gitignore = *.bin\n/generated/\n!keep.bin\nlogs\n",
        "sub/.gitignore = secret.txt\n!deep.bin\n",
        "a.c",
        "blob.o",
        "own.o",
        "lib.a",
        "other.a",
        "tracked.bin",
        "fw.bin",
        "keep.bin",
        "generated/tracked.h",
        "generated/other.h",
        "generated/more/x",
        "sub/secret.txt",
        "sub/deep.bin",
        "sub/x/secret.txt",
        "secret.txt",
        "logs",
        "x/logs/y",
        ".vscode/tracked",
        ".vscode/other",
        ".gitmodules",
    ]);
    let tree = tree.git(&[
        ".gitignore",
        ".gitmodules",
        ".vscode/tracked",
        "a.c",
        "blob.o",
        "generated/tracked.h",
        "gone.c",
        "lib.a",
        "tracked.bin",
    ]);
    let selection = tree.select();
    assert_eq!(
        shown(&selection),
        [
            ".vscode/",
            ".vscode/tracked",
            "a.c",
            "blob.o",
            "generated/",
            "generated/tracked.h",
            "keep.bin",
            "lib.a",
            "secret.txt",
            "sub/",
            "sub/deep.bin",
            "tracked.bin"
        ]
    );
    assert_eq!(
        left_out(&selection),
        [
            ".git/",
            ".gitignore",
            ".gitmodules",
            ".vscode/other",
            "fw.bin",
            "generated/more/",
            "generated/other.h",
            "logs",
            "other.a",
            "own.o",
            "sub/.gitignore",
            "sub/secret.txt",
            "sub/x/secret.txt",
            "x/logs/"
        ]
    );
    assert_eq!(rule(&selection, "fw.bin"), "not tracked, and ignored by `*.bin` (`.gitignore` line 1)");
    assert!(rule(&selection, "sub/x/secret.txt").contains("`sub/.gitignore` line 1"));
    assert_eq!(selection.newest, 1_700_000_000);
    assert_eq!(
        messages(&selection.diagnostics),
        [
            "K0406 note: 3 files that git does not track are packaged: `keep.bin`, `secret.txt`, `sub/deep.bin`"
        ]
    );
}

#[test]
fn a_tarball_keeps_what_its_gitignore_names() {
    let selection = Tree::new(&[".gitignore = *\n", "dkms.conf", "fw.o_shipped"]).select();
    assert_eq!(shown(&selection), ["dkms.conf", "fw.o_shipped"]);
}

#[test]
fn a_repository_that_tracks_nothing_of_the_tree_does_not_count() {
    let tree =
        Tree::new(&[".gitignore = *\n", "driver/dkms.conf", "driver/a.c", ".bashrc"]).git(&[".bashrc"]);
    let selection = select(&tree.path("driver"), &Filter::default()).unwrap();
    assert_eq!(shown(&selection), ["a.c", "dkms.conf"]);
    assert_ne!(selection.newest, 1_700_000_000);
    assert_eq!(selection.diagnostics, []);
}

#[test]
fn a_root_below_the_top_of_its_repository() {
    let tree = Tree::new(&[
        ".gitignore = *.tmp\n/drivers/x/gen\n",
        "drivers/.gitignore = /x/local\n",
        ".gitattributes = /drivers/x/ci export-ignore\n",
        "drivers/x/dkms.conf",
        "drivers/x/a.tmp",
        "drivers/x/gen",
        "drivers/x/local",
        "drivers/x/ci/y",
        "drivers/xy/other",
    ]);
    let tree = tree.git(&["drivers/x/dkms.conf", "drivers/x/ci/y", "drivers/xy/other"]);
    let selection = select(&tree.path("drivers/x"), &Filter::default()).unwrap();
    assert_eq!(shown(&selection), ["dkms.conf"]);
    assert_eq!(left_out(&selection), ["a.tmp", "ci/", "gen", "local"]);
    assert_eq!(selection.newest, 1_700_000_000);

    // The same through a link, and below a folder that is ignored as a whole.
    tree.add(&["link -> drivers/x", ".gitignore = /drivers\n"]);
    let selection = select(&tree.path("link"), &Filter::default()).unwrap();
    assert_eq!(shown(&selection), ["dkms.conf"]);
    assert!(rule(&selection, "gen").contains("`/drivers`"));
}

#[test]
fn export_ignore_wins_over_tracked() {
    let tree = Tree::new(&[
        ".gitattributes = [attr]private export-ignore\n/ci export-ignore\n*.md private\nREADME.md -export-ignore\n\
         docs/* export-ignore\n\"with space\" export-ignore\n",
        "sub/.gitattributes = a export-ignore\n",
        "ci/deep/x",
        "sub/ci/x",
        "NEWS.md",
        "README.md",
        "docs/x",
        "docs/y/z",
        "with space",
        "sub/a",
        "a",
    ]);
    let tracked =
        ["ci/deep/x", "sub/ci/x", "NEWS.md", "README.md", "docs/x", "docs/y/z", "with space", "sub/a", "a"];
    let selection = tree.git(&tracked).select();
    assert_eq!(shown(&selection), ["README.md", "a", "sub/", "sub/ci/", "sub/ci/x"]);
    assert_eq!(rule(&selection, "ci/"), "attribute `export-ignore` for `/ci` (`.gitattributes` line 2)");
    assert_eq!(
        rule(&selection, "docs/y/"),
        "attribute `export-ignore` for `docs/*` (`.gitattributes` line 5)"
    );
    assert_eq!(rule(&selection, "sub/a"), "attribute `export-ignore` for `a` (`sub/.gitattributes` line 1)");
}

#[test]
fn dkms_conf_stays_whatever_is_said() {
    let tree =
        Tree::new(&[".gitignore = dkms.conf\n", ".gitattributes = * export-ignore\n", "dkms.conf", "a.c"]);
    let selection = tree.git(&["a.c"]).with(&["dkms.conf"], &[]);
    assert_eq!(shown(&selection), ["dkms.conf"]);
}

#[test]
fn only_files_of_the_repository_itself_count() {
    let tree =
        Tree::new(&["a.c", "new", ".git/info/exclude = new\n", ".git/info/attributes = a.c export-ignore\n"]);
    tree.add(&["mine = new\n", ".git/config = [core]\n\texcludesFile = mine\n\tattributesFile = mine\n"]);
    let selection = tree.git(&["a.c", "mine"]).select();
    assert_eq!(shown(&selection), ["a.c", "mine", "new"]);
}

#[test]
fn links_and_pipes_in_the_place_of_rules_are_not_read() {
    let tree = Tree::new(&["a", "b", "rules = *\n", ".gitignore -> rules", "sub/x"]).git(&["b"]);
    let pipe = tree.path("sub/.gitignore");
    rustix::fs::mknodat(rustix::fs::CWD, pipe, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    assert_eq!(shown(&tree.select()), ["a", "b", "rules", "sub/", "sub/x"]);
}

#[test]
fn patterns_of_the_user() {
    let tree = Tree::new(&["a.c", "docs/x", "docs/README", "hal.o", "build/gen.c", "build/x.o", "tests/t.c"]);
    let tree = tree.git(&["a.c", "docs/x", "docs/README", "tests/t.c"]);
    tree.add(&[".gitignore = build/\n"]);
    let selection = tree.with(&["docs/", "/tests/*.c", "!a.c"], &["docs/README", "hal.o", "/build"]);
    assert_eq!(
        shown(&selection),
        ["a.c", "build/", "build/gen.c", "build/x.o", "docs/", "docs/README", "hal.o"]
    );
    assert_eq!(rule(&selection, "docs/x"), "pattern `docs/` under `exclude`");
    assert_eq!(rule(&selection, "tests/t.c"), "pattern `/tests/*.c` under `exclude`");
    assert_eq!(shown(&tree.with(&[], &[".git", ".git/**", ".gitignore"]))[..2], [".gitignore", "a.c"]);
    for bad in ["", "# comment", "a\nb"] {
        let options = Filter { include: vec![bad.to_owned()], ..Filter::default() };
        let error = select(tree.0.path(), &options).unwrap_err();
        assert_eq!(error.kind(), crate::base::error::Kind::Usage, "{bad}");
    }
}

#[test]
fn the_output_folder_is_left_out_but_for_what_git_tracks() {
    let tree = Tree::new(&["a.c", "dist/x_all.deb", "dist/notes", "sub/dist/kept"]);
    let options = Filter { output: vec![tree.path("sub/../dist")], ..Filter::default() };
    let selection = select(tree.0.path(), &options).unwrap();
    assert_eq!(shown(&selection), ["a.c", "sub/", "sub/dist/", "sub/dist/kept"]);
    assert_eq!(rule(&selection, "dist/"), "kpkg's output folder");
    let tree = tree.git(&["a.c", "dist/notes", "sub/dist/kept"]);
    let selection = select(tree.0.path(), &options_with(&tree, "dist")).unwrap();
    assert_eq!(shown(&selection), ["a.c", "dist/", "dist/notes", "sub/", "sub/dist/", "sub/dist/kept"]);
    for outside in ["", ".", "..", "missing"] {
        let selection = select(tree.0.path(), &options_with(&tree, outside)).unwrap();
        assert!(shown(&selection).contains(&"dist/notes".to_owned()), "{outside}");
    }
}

fn options_with(tree: &Tree, output: &str) -> Filter<'static> {
    Filter { output: vec![tree.path(output)], ..Filter::default() }
}

#[test]
fn links_are_checked_in_the_tree_as_it_is_packaged() {
    // Link, target, and the code with a part of the message, or nothing.
    let table = [
        ("l", "a.c", None),
        ("l", "./d//../a.c", None),
        ("l", "d", None),
        ("l", "d/", None),
        ("l", ".", None),
        ("d/l", "..", None),
        ("d/l", "../a.c", None),
        ("d/l", "../to_d/x", None),
        (
            "l",
            "/etc/passwd",
            Some("K0403 warning: the link `l` to `/etc/passwd` is absolute, and is left out"),
        ),
        ("l", "..", Some("K0403 warning: the link `l` to `..` leaves")),
        ("d/l", "../../x", Some("K0403 warning: the link `d/l` to `../../x` leaves")),
        ("l", "d/../../a.c", Some("K0403 warning")),
        ("l", "missing/../../x", Some("K0403 warning")),
        ("l", "to_d/../../etc", Some("leaves the driver's tree through the link `to_d`")),
        ("l", "missing", Some("K0404 warning: the link `l` to `missing` dangles: `missing` does not exist")),
        ("l", "d/y/z", Some("`d/y` does not exist")),
        ("l", "a.c/", Some("K0404")),
        ("l", "a.c/..", Some("K0404")),
        ("l", "x.o", Some("`x.o` is left out of the package")),
        ("l", ".git/HEAD", Some("is left out of the package")),
        ("l", "l", Some("K0404 warning: the link `l` to `l` leads back to itself or through too many links")),
        ("l", "d/round", Some("leads back to itself")),
        ("l", "a\nb", Some("K0402 error: the link `l` points to `a\\x0ab`")),
    ];
    for (link, target, expected) in table {
        let tree = Tree::new(&["a.c", "d/x", "x.o", "x.c", "to_d -> d", ".git/HEAD"]);
        symlink(target, tree.path(link)).unwrap();
        if target == "d/round" {
            tree.add(&["d/round -> ../l"]);
        }
        let (findings, links) = match select(tree.0.path(), &Filter::default()) {
            Ok(selection) => (selection.diagnostics.clone(), shown(&selection)),
            Err(error) => (error.findings().to_vec(), Vec::new()),
        };
        let findings: Vec<_> =
            findings.iter().filter(|it| it.code != &REPOSITORY).map(ToString::to_string).collect();
        match expected {
            Some(expected) => {
                assert!(findings.iter().any(|it| it.contains(expected)), "{target}: {findings:?}");
                let is_packaged = links.iter().any(|path| path.starts_with(&format!("{link} ->")));
                let leaves = findings.iter().any(|it| it.starts_with("K0403"));
                assert!(!(leaves && is_packaged), "{target}");
            }
            None => {
                assert_eq!(findings, [""; 0], "{target}");
                assert!(links.contains(&format!("{link} -> {target}")));
            }
        }
    }
}

#[test]
fn a_link_to_the_outside_by_another_link_is_named() {
    let tree = Tree::new(&["out -> /etc", "l -> out/passwd"]);
    let selection = tree.select();
    assert_eq!(
        messages(&selection.diagnostics),
        [
            "K0403 warning: the link `l` to `out/passwd` leaves the driver's tree through the link `out`, and is left out",
            "K0403 warning: the link `out` to `/etc` is absolute, and is left out"
        ]
    );
    assert_eq!(left_out(&selection), ["l", "out"]);
    assert!(shown(&selection).is_empty());
}

#[test]
fn a_chain_of_links_that_grows_ends() {
    let tree = Tree::new(&["d/x"]);
    for number in 0..60 {
        let next = number + 1;
        symlink(format!("l{next}/../l{next}"), tree.path(&format!("l{number}"))).unwrap();
    }
    symlink("d", tree.path("l60")).unwrap();
    let selection = tree.select();
    assert_eq!(selection.files.len(), 63);
    assert!(selection.diagnostics[0].message.ends_with("or through too many links"));
}

#[test]
fn all_that_cannot_be_packaged_is_told_at_once() {
    let tree = Tree::new(&["ok.c", "new\nline", "esc\u{1b}[31m", "c1\u{85}x"]);
    let bad = tree.0.path().join(std::ffi::OsString::from_vec(b"lat\xe9n".to_vec()));
    fs::create_dir(&bad).unwrap();
    fs::write(bad.join("a"), "").unwrap();
    fs::write(bad.join("b"), "").unwrap();
    let _socket = UnixListener::bind(tree.path("sock")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, tree.path("pipe"), rustix::fs::FileType::Fifo, 0o644.into(), 0)
        .unwrap();
    let error = tree.fails();
    assert_eq!(
        messages(error.findings()),
        [
            "K0401 error: `pipe` is a named pipe, which no package can carry",
            "K0401 error: `sock` is a socket, which no package can carry",
            "K0402 error: the name of `c1\\xc2\\x85x` has control characters",
            "K0402 error: the name of `esc\\x1b[31m` has control characters",
            "K0402 error: the name of `new\\x0aline` has control characters",
            "K0402 error: the name of `lat\\xe9n` is not UTF-8",
        ]
    );
    let selection = tree.with(&["c1*", "esc*", "new*", "lat*", "pipe", "sock"], &[]);
    assert_eq!(shown(&selection), ["ok.c"]);
    assert!(left_out(&selection).contains(&"lat\\xe9n/"));
}

#[test]
fn at_most_twenty_of_a_kind() {
    let tree = Tree::new(&[]);
    for number in 0..33 {
        symlink("/x", tree.path(&format!("l{number:02}"))).unwrap();
    }
    let findings = tree.select().diagnostics;
    assert_eq!(findings.len(), 20);
    assert_eq!(findings[19].notes, ["13 more of this kind are not listed"]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let error = select(Path::new("/nonexistent/x"), &Filter::default()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read `/nonexistent/x`: no such file or directory");
    // Root may read everything, so that only the others see this.
    let tree = Tree::new(&["a", "d/x"]);
    fs::set_permissions(tree.path("a"), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(tree.path("a")).is_err() {
        let error = tree.fails();
        assert_eq!(error.path(), Some(tree.path("a").as_path()));
        fs::set_permissions(tree.path("d"), fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(tree.fails().kind(), crate::base::error::Kind::Failed);
        assert_eq!(shown(&tree.with(&["a", "d"], &[])), [""; 0]);
        fs::set_permissions(tree.path("d"), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[test]
fn what_vanishes_is_told_as_such() {
    let error = unreadable(Path::new("x"), io::ErrorKind::NotFound.into());
    assert_eq!(error.to_string(), "vanished while it was read: `x`");
    let tree = Tree::new(&["a/x", "b/y"]);
    let calls = Cell::new(0);
    let remove = |_| {
        calls.set(calls.get() + 1);
        if calls.get() == 2 {
            fs::remove_dir_all(tree.path("a")).unwrap();
        }
        false
    };
    let options = Filter { interrupted: &remove, ..Filter::default() };
    let error = select(tree.0.path(), &options).unwrap_err();
    assert!(error.to_string().starts_with("vanished"), "{error}");
}

#[test]
fn it_stops_when_asked() {
    let tree = Tree::new(&["a/x"]);
    let options = Filter { interrupted: &|_| true, ..Filter::default() };
    let error = select(tree.0.path(), &options).unwrap_err();
    assert_eq!(error.kind(), crate::base::error::Kind::Interrupted);
}

#[test]
fn the_stamp_without_git_is_the_newest_selected_file() {
    let tree = Tree::new(&["a", "b", "x.ko"]);
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let touch =
        |path, time| fs::File::options().write(true).open(tree.path(path)).unwrap().set_modified(time);
    touch("a", at(1000)).unwrap();
    touch("b", at(2000)).unwrap();
    touch("x.ko", at(3000)).unwrap();
    assert_eq!(tree.select().newest, 2000);
    touch("a", at(5_000_000_000)).unwrap();
    assert_eq!(tree.select().newest, u32::MAX);
    touch("a", SystemTime::UNIX_EPOCH - Duration::from_secs(5)).unwrap();
    touch("b", SystemTime::UNIX_EPOCH - Duration::from_secs(9)).unwrap();
    assert_eq!(tree.select().newest, 0);
    assert_eq!(Tree::new(&[]).select().newest, 0);
}

#[test]
fn head_is_found_wherever_git_keeps_it() {
    // Packed references and packed objects.
    let tree = Tree::new(&["a", ".git/HEAD = ref: refs/heads/main\n"]);
    tree.add(&[&format!(
        ".git/packed-refs = # pack-refs with: peeled fully-peeled sorted \n{PACKED_COMMIT} refs/heads/main\n"
    )]);
    tree.add(&[".git/objects/pack/"]);
    tree.index(".git", &["a"], gix_hash::Kind::Sha1);
    fs::write(tree.path(".git/objects/pack/pack-1.idx"), PACKED.0).unwrap();
    fs::write(tree.path(".git/objects/pack/pack-1.pack"), PACKED.1).unwrap();
    assert_eq!(tree.select().newest, 1_600_000_001);
    // Detached.
    tree.add(&[&format!(".git/HEAD = {PACKED_COMMIT}\n")]);
    assert_eq!(tree.select().newest, 1_600_000_001);
    // Objects borrowed from another repository.
    let borrower = Tree::new(&["a", &format!(".git/HEAD = {PACKED_COMMIT}\n")]);
    let lender = tree.path(".git/objects");
    borrower.add(&[&format!(".git/objects/info/alternates = {}\n", lender.display()), ".git/refs/"]);
    borrower.index(".git", &["a"], gix_hash::Kind::Sha1);
    assert_eq!(borrower.select().newest, 1_600_000_001);
    // Before the first commit.
    tree.add(&[".git/HEAD = ref: refs/heads/other\n"]);
    let selection = tree.select();
    assert!(selection.newest > 1_700_000_000);
    assert_eq!(selection.diagnostics, []);
    // SHA-256.
    let tree = Tree::new(&["a", "b.o", "b.c"]);
    tree.git_dir(".git", &["a", "b.o", "b.c"], gix_hash::Kind::Sha256);
    let selection = tree.select();
    assert_eq!(
        (selection.newest, shown(&selection)),
        (1_700_000_000, vec!["a".into(), "b.c".into(), "b.o".into()])
    );
}

#[test]
fn linked_work_trees_and_submodules() {
    let tree = Tree::new(&[
        "main/x",
        "linked/a.c",
        "linked/a.o",
        "linked/.git = gitdir: ../main/.git/worktrees/l\n",
    ]);
    tree.git_dir("main/.git", &["x"], gix_hash::Kind::Sha1);
    tree.index("main/.git/worktrees/l", &["a.o"], gix_hash::Kind::Sha1);
    tree.add(&[
        "main/.git/worktrees/l/HEAD = ref: refs/heads/main\n",
        "main/.git/worktrees/l/commondir = ../..\n",
    ]);
    // a file that came with the tree names the repository of somebody else
    let selection = select(&tree.path("linked"), &Filter::default()).unwrap();
    assert_eq!(shown(&selection), ["a.c"]);
    let told = &selection.diagnostics[0].message;
    assert!(told.contains("which is another folder's"), "{told}");
    tree.add(&["main/.git/worktrees/l/gitdir = ../../../../linked/.git\n"]);
    let selection = select(&tree.path("linked"), &Filter::default()).unwrap();
    assert_eq!(shown(&selection), ["a.c", "a.o"]);
    assert_eq!(left_out(&selection), [".git"]);
    assert_eq!(selection.newest, 1_700_000_000);

    let tree = Tree::new(&[
        ".gitignore = *.bin\n",
        "a.c",
        "core/.gitignore = *.log\n",
        "core/.git = gitdir: ../.git/modules/core\n",
        "core/hal.o",
        "core/own.o",
        "core/fw.bin",
        "core/x.log",
        "core/deep/y.o",
    ]);
    tree.git_dir(".git", &["a.c", "core@"], gix_hash::Kind::Sha1);
    tree.git_dir(".git/modules/core", &["hal.o", "deep/y.o"], gix_hash::Kind::Sha1);
    tree.add(&[".git/modules/core/config = [core]\n\tworktree = ../../../core\n"]);
    let selection = tree.select();
    let expected = ["a.c", "core/", "core/deep/", "core/deep/y.o", "core/fw.bin", "core/hal.o"];
    assert_eq!(shown(&selection), expected);
    assert_eq!(
        left_out(&selection),
        [".git/", ".gitignore", "core/.git", "core/.gitignore", "core/own.o", "core/x.log"]
    );
    // Inside it, the repository is the submodule's.
    let selection = select(&tree.path("core"), &Filter::default()).unwrap();
    assert_eq!(shown(&selection), ["deep/", "deep/y.o", "fw.bin", "hal.o"]);

    // Copied without its main repository: told, and nothing of it is ignored.
    fs::remove_dir_all(tree.path(".git/modules")).unwrap();
    let selection = tree.select();
    assert_eq!(shown(&selection), ["a.c", "core/", "core/fw.bin", "core/x.log"]);
    assert!(selection.diagnostics[0].message.contains("which is not there"), "{:?}", selection.diagnostics);
}

#[test]
fn a_repository_that_cannot_be_read_is_a_warning() {
    let pipe = |tree: &Tree, path: &str| {
        let path = tree.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    };
    let broken: [&dyn Fn(&Tree); 12] = [
        &|tree| fs::write(tree.path(".git/index"), "DIRC").unwrap(),
        &|tree| {
            fs::write(tree.path(".git/index"), [b"DIRC\0\0\0\x02\xff\xff\xff\xff", &[0; 99][..]].concat())
                .unwrap()
        },
        &|tree| {
            let mut bytes = fs::read(tree.path(".git/index")).unwrap();
            bytes[70] ^= 1;
            fs::write(tree.path(".git/index"), bytes).unwrap();
        },
        &|tree| fs::remove_file(tree.path(".git/HEAD")).unwrap(),
        &|tree| fs::write(tree.path(".git/config"), "[core\n").unwrap(),
        &|tree| fs::write(tree.path(".git/config"), "[extensions]\nobjectFormat = sha3\n").unwrap(),
        &|tree| pipe(tree, ".git/config"),
        &|tree| pipe(tree, ".git/refs/heads/other"),
        &|tree| pipe(tree, ".git/objects/info/alternates"),
        &|tree| std::os::unix::fs::symlink("/etc/hostname", tree.path(".git/refs/heads/other")).unwrap(),
        &|tree| {
            fs::remove_dir_all(tree.path(".git")).unwrap();
            fs::write(tree.path(".git"), "what?").unwrap();
        },
        &|tree| {
            fs::remove_file(tree.path(".git/index")).unwrap();
            fs::create_dir(tree.path(".git/index")).unwrap();
        },
    ];
    for (number, damage) in broken.iter().enumerate() {
        let tree = Tree::new(&[".gitignore = *.bin\n", "a.c", "a.o", "fw.bin"]).git(&["a.o", "a.c"]);
        damage(&tree);
        let selection = tree.select();
        assert_eq!(shown(&selection), ["a.c", "fw.bin"], "{number}");
        assert_eq!(selection.diagnostics.len(), 1, "{number}");
        assert_eq!(selection.diagnostics[0].code, &REPOSITORY);
        assert_ne!(selection.newest, 1_700_000_000);
    }
}

#[test]
fn a_commit_that_cannot_be_read_costs_only_the_stamp() {
    for (path, text) in [
        ("HEAD", "ref: nonsense..name\n"),
        ("HEAD", "ref: HEAD\n"),
        ("refs/heads/main", "1111111111111111111111111111111111111111\n"),
        ("config", "[extensions]\nrefStorage = reftable\n"),
    ] {
        let tree = Tree::new(&["a.c", "a.o"]).git(&["a.o", "a.c"]);
        fs::write(tree.path(".git").join(path), text).unwrap();
        let selection = tree.select();
        assert_eq!(shown(&selection), ["a.c", "a.o"], "{text}");
        assert_eq!(selection.diagnostics.len(), 1, "{text}");
        assert_eq!(selection.diagnostics[0].code, &REPOSITORY);
        assert!(selection.newest > 1_700_000_000);
    }
}

#[test]
fn an_index_with_any_byte_changed_never_panics() {
    let tree = Tree::new(&["a.c"]).git(&["a.c", "b/c", "b/d/e", "f@"]);
    let bytes = fs::read(tree.path(".git/index")).unwrap();
    for at in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= change;
            // A checksum of zeroes is not compared (index.skipHash of git-config(1)).
            let end = changed.len() - 20;
            changed[end..].fill(0);
            fs::write(tree.path(".git/index"), &changed).unwrap();
            assert!(shown(&tree.select()).contains(&"a.c".to_owned()));
        }
    }
    for length in 0..bytes.len() {
        fs::write(tree.path(".git/index"), &bytes[..length]).unwrap();
        tree.select();
    }
}

#[test]
fn a_vendors_object_file_is_not_lost_in_silence() {
    let tree = Tree::new(&["hal.o", "a.c", "a.o", "b.o", ".b.o.cmd", "all.o", "all.mod", "x_core.mod.o"]);
    assert_eq!(
        messages(&tree.select().diagnostics),
        ["K0407 warning: `hal.o` is left out as a product of a build, but nothing here builds it"]
    );
    assert_eq!(tree.with(&[], &["/hal.o"]).diagnostics, []);
    assert_eq!(tree.with(&["*.o"], &[]).diagnostics, []);
    assert_eq!(tree.git(&["a.c"]).select().diagnostics, []);
}

#[test]
fn depth_and_length_have_no_limit_of_ours() {
    let tree = Tree::new(&[]);
    let mut path = tree.0.path().to_path_buf();
    for _ in 0..1200 {
        path.push("d");
    }
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("x"), "").unwrap();
    fs::create_dir_all(tree.path(&"long".repeat(60)).join("name".repeat(60))).unwrap();
    fs::write(tree.path(&"long".repeat(60)).join("name".repeat(60)).join("x".repeat(250)), "").unwrap();
    let selection = tree.git(&["a"]).select();
    assert_eq!(selection.files.len(), 1204);
}

#[test]
fn rules_have_at_most_one_star_and_codes_are_ours() {
    for (pattern, ..) in RULES {
        assert!(pattern.matches('*').count() <= 1 || *pattern == "#*#", "{pattern}");
    }
    assert!(!matches_name("#*#", b"#"));
    let mut ids: Vec<_> = CODES.iter().map(|code| code.id).collect();
    assert!(ids.iter().all(|id| id.starts_with("K04")));
    ids.dedup();
    assert_eq!(ids.len(), CODES.len());
    for code in CODES {
        assert!(code.explanation.lines().all(|line| line.chars().count() <= 80), "{}", code.id);
    }
}
