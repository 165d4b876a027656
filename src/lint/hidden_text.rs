//! Names and texts in which a terminal obeys a character, or shows what follows in another order.

use super::{Package, PackageRule, Tree, TreeRule};
use crate::base::diagnostic::{Code, Diagnostic, is_hidden};

pub(super) static TREE: TreeRule = TreeRule { code: &CODE, check: check_tree };
pub(super) static PACKAGE: PackageRule = PackageRule { code: &PACKAGE_CODE, check: check_package };

static CODE: Code = Code {
    id: "K0858",
    title: "a name or text is not what it looks like",
    explanation: "Control characters move the cursor, change colours and erase what is on the screen; marks such as U+202E turn\n\
                  the order of what follows, so that `exe.c` is read as `c.exe`. A file name, maintainer, summary or\n\
                  description that has them shows something else in a terminal, an editor or a package list than it is.\n\
                  Nobody needs them there. kpkg shows them by their numbers.",
};
static PACKAGE_CODE: Code = Code {
    id: "K0859",
    title: "a name or text in the package is not what it looks like",
    explanation: "A file name or a field of the package has control characters, or marks that turn the order of what follows:\n\
                  lists of packages and files show something else than it is. See K0858.",
};

/// How many names are told.
const MANY: usize = 20;

fn check_tree(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let about = &tree.driver.about;
    let texts = [
        ("summary", &about.summary),
        ("description", &about.description),
        ("licence", &about.license),
        ("maintainer", &about.maintainer),
        ("homepage", &about.homepage),
    ];
    let texts = texts.into_iter().filter_map(|(what, text)| Some((what, text.as_deref()?)));
    let notices = about.copyright.iter().map(|notice| ("copyright notice", notice.as_str()));
    let files = tree.driver.tree.iter().map(|file| ("file name", file.path.as_str()));
    texts.chain(notices).chain(files).filter_map(|named| finding(&CODE, named)).take(MANY).collect()
}

fn check_package(package: &Package<'_>) -> Vec<Diagnostic> {
    let found = package.found;
    let fields = found.metadata.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let files = found.files.iter().map(|file| ("file name", file.path.as_str()));
    let links = found.files.iter().filter_map(|file| Some(("link", file.target()?)));
    let relations = found.relations.iter().map(|relation| (relation.kind.name(), relation));
    let relations = relations.chain(found.build_requires.iter().map(|relation| ("build-requires", relation)));
    let relations: Vec<_> = relations.map(|(kind, relation)| (kind, relation.to_string())).collect();
    let relations = relations.iter().map(|(kind, text)| (*kind, text.as_str()));
    let all = [("name", found.name.as_str()), ("version", found.version.as_str())].into_iter();
    let all = all.chain(fields).chain(relations).chain(files).chain(links);
    all.filter_map(|named| finding(&PACKAGE_CODE, named)).take(MANY).collect()
}

/// A finding about a text with such a character; what ends lines and parts columns is none in running text.
fn finding(code: &'static Code, (what, text): (&str, &str)) -> Option<Diagnostic> {
    let is_name = matches!(what, "file name" | "link");
    let is_bad = |next: &char| is_hidden(*next) && (is_name || !matches!(next, '\n' | '\t'));
    let bad = text.chars().find(is_bad)?;
    let shown: String = text.chars().flat_map(shown).take(200).collect();
    let message = format!("the {what} `{shown}` has the character U+{:04X}", u32::from(bad));
    Some(Diagnostic::warning(code, message).hint("take the character out"))
}

/// A character as it may be printed.
fn shown(character: char) -> Vec<char> {
    if is_hidden(character) { character.escape_unicode().collect() } else { vec![character] }
}
