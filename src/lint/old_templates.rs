//! Templates for the packages that dkms made before version 3.0, which nothing reads any more.

use super::{Tree, TreeRule};
use crate::base::diagnostic::{Code, Diagnostic};
use crate::driver::packaging::{field_of, relations_of, script_tables, spec_relations};
use crate::input::source::SourceKind;

pub(super) static RULE: TreeRule = TreeRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0806",
    title: "a template for packages that dkms no longer makes",
    explanation: "dkms made packages with mkdeb, mkdsc, mkbmdeb and mkrpm until version 2.8.7, from templates of its own or from\n\
                  NAME-dkms-mkdeb/, NAME-dkms-mkdsc/, NAME-dkms-mkbmdeb/ and NAME-dkms-mkrpm.spec in the tree. kpkg does not\n\
                  read them: its packages are described by dkms.conf and kpkg.toml. The finding lists what of the template\n\
                  has a place in kpkg.toml, and what has to be moved by hand. The manual has the whole way.",
};

/// The templates, by how their names end: a folder with `debian/` in it, or a spec.
const FOLDERS: [&str; 3] = ["-dkms-mkdeb", "-dkms-mkdsc", "-dkms-mkbmdeb"];
const SPEC: &str = "-dkms-mkrpm.spec";

/// The parts of `debian/` that say nothing of the driver's own.
const USUAL: [&str; 8] = ["changelog", "compat", "control", "copyright", "dirs", "rules", "source", "docs"];
fn check(tree: &Tree<'_>) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for file in &tree.driver.tree {
        let is_folder = matches!(file.kind, SourceKind::Directory);
        let (parts, what) = if is_folder && FOLDERS.iter().any(|end| file.path.ends_with(end)) {
            (of_folder(tree, &file.path), "mkdeb, mkdsc and mkbmdeb")
        } else if !is_folder && file.path.ends_with(SPEC) {
            (of_spec(&tree.driver.text(&file.path).unwrap_or_default()), "mkrpm")
        } else {
            continue;
        };
        let message =
            format!("`{}` is a template for {what} of dkms before 3.0; nothing reads it", file.path);
        let mut finding = Diagnostic::warning(&CODE, message);
        for part in parts {
            finding = finding.with_note(part);
        }
        findings.push(finding.hint(
            "move what is the driver's own to kpkg.toml, and remove the template, or leave it out with `exclude` under `[source]`",
        ));
    }
    findings
}

/// Tokens that dkms replaced stand for what kpkg knows.
fn is_own(value: &str) -> bool {
    let is_token = value.trim().bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    !is_token && !value.contains("Dynamic Kernel Modules Support Team")
}

fn of_folder(tree: &Tree<'_>, folder: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let control = tree.driver.text(&format!("{folder}/debian/control")).unwrap_or_default();
    for (field, key) in [
        ("Maintainer", "[driver] maintainer"),
        ("Homepage", "[driver] homepage"),
        ("Description", "[driver] summary"),
    ] {
        if let Some(value) =
            line_of(&control, field).filter(|value| is_own(value) && !value.contains("MODULE_NAME"))
        {
            parts.push(format!("understood: {field}: `{key} = \"{value}\"`"));
        }
    }
    for (field, key) in [
        ("Depends", "requires"),
        ("Recommends", "recommends"),
        ("Conflicts", "conflicts"),
        ("Provides", "provides"),
    ] {
        let (known, unknown) = relations_of(&field_of(&control, field).unwrap_or_default());
        let is_own = |need: &&String| is_own(need) && !need.contains("MODULE_");
        let names: Vec<_> = known.iter().filter(is_own).map(|need| format!("\"{need}\"")).collect();
        if !names.is_empty() {
            parts.push(format!("understood: {field}: `[relations] {key} = [{}]`", names.join(", ")));
        }
        parts.extend(unknown.iter().filter(is_own).map(|need| format!("by hand: {field}: {need}")));
    }
    let debian = format!("{folder}/debian/");
    for file in tree.driver.tree.iter().filter(|file| file.path.starts_with(&debian)) {
        let name = file.path[debian.len()..].split('/').next().unwrap_or_default();
        if let Some((_, table)) = script_tables(false).find(|(script, _)| *script == name) {
            parts.push(format!(
                "by hand: {name}: what it does beside dkms goes to a file named under `[{table}]`"
            ));
        } else if !USUAL.contains(&name) && !name.starts_with("README") {
            parts.push(format!("by hand: debian/{}", &file.path[debian.len()..]));
        }
    }
    parts.push(
        "not needed: changelog, rules, compat, copyright and the version come from dkms.conf and the sources"
            .to_owned(),
    );
    parts
}

fn of_spec(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    for (field, key) in [
        ("Packager", "[driver] maintainer"),
        ("URL", "[driver] homepage"),
        ("Summary", "[driver] summary"),
        ("License", "[driver] license"),
    ] {
        if let Some(value) = line_of(text, field).filter(|value| is_own(value) && !value.contains("%{")) {
            parts.push(format!("understood: {field}: `{key} = \"{value}\"`"));
        }
    }
    let (known, _) = spec_relations(text, "Requires");
    let needs: Vec<_> = known.iter().filter(|need| is_own(need)).map(|need| format!("\"{need}\"")).collect();
    if !needs.is_empty() {
        parts.push(format!("understood: Requires: `[relations] requires = [{}]`", needs.join(", ")));
    }
    for (section, table) in script_tables(true) {
        if text.lines().any(|line| line.split_whitespace().next() == Some(section)) {
            parts.push(format!(
                "by hand: {section}: what it does beside dkms goes to a file named under `[{table}]`"
            ));
        }
    }
    parts.push("not needed: %prep, %install, %files and %changelog".to_owned());
    parts
}

/// The first line of a field.
fn line_of(text: &str, name: &str) -> Option<String> {
    field_of(text, name)?.lines().next().map(str::to_owned)
}
