//! Which relations and fields dpkg reads as they are meant: Debian Policy 5 and 7, deb-control(5), and dpkg's `lib/dpkg/parse.c` and
//! `fields.c`.

use super::super::unspeakable_value;
use super::spell::is_name;
use crate::base::diagnostic::Diagnostic;
use crate::package::{Arch, Bound, Capability, Comparison, Package, Relation, RelationKind};

/// Why there is no such relation, in words; nothing where there is.
pub(super) fn unspeakable(relation: &Relation) -> Option<String> {
    let kind = relation.kind;
    // Policy 7.1
    let has_alternatives =
        matches!(kind, RelationKind::Requires | RelationKind::Recommends | RelationKind::Suggests);
    if !has_alternatives && relation.any_of.len() > 1 {
        return Some(format!("there are no alternatives in {kind:?}"));
    }
    relation.any_of.iter().find_map(|Capability { name, bound }| {
        if !is_relation_name(name) {
            return Some(format!("`{}` is no name of a package", name.escape_debug()));
        }
        match bound {
            Some((Comparison::AtLeast, _)) if kind == RelationKind::Provides => {
                Some("what is provided has one version: `=`".to_owned())
            }
            Some((_, Bound::Native(version))) if !is_version(version) => {
                Some(format!("`{}` is no version", version.escape_debug()))
            }
            _ => None,
        }
    })
}

/// A name, maybe with an architecture; dpkg allows capitals.
fn is_relation_name(text: &str) -> bool {
    let (name, arch) = text.split_once(':').unwrap_or((text, "any"));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(allowed)
        && arch.starts_with(|first: char| first.is_ascii_alphanumeric())
        && arch.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// `[EPOCH:]UPSTREAM[-REVISION]`, deb-version(7).
fn is_version(text: &str) -> bool {
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+~-".contains(&byte);
    epoch.bytes().all(|byte| byte.is_ascii_digit())
        && epoch.parse::<i32>().is_ok()
        && rest.starts_with(|first: char| first.is_ascii_digit())
        && rest.bytes().all(allowed)
        && !rest.ends_with('-')
}

/// What dpkg, the tools that build packages, and kpkg write themselves.
const OWNED: [&str; 28] = [
    "Package",
    "Version",
    "Architecture",
    "Maintainer",
    "Installed-Size",
    "Depends",
    "Recommends",
    "Suggests",
    "Conflicts",
    "Breaks",
    "Replaces",
    "Provides",
    "Homepage",
    "Description",
    "Modaliases",
    "Status",
    "Config-Version",
    "Conffiles",
    "Triggers-Pending",
    "Triggers-Awaited",
    "Filename",
    "MSDOS-Filename",
    "Size",
    "MD5sum",
    "Revision",
    "Package-Revision",
    "Recommended",
    "Optional",
];

/// What the value of a field has to be.
enum Wanted {
    /// One of these.
    OneOf(&'static [&'static str]),
    Word,
    /// A name, maybe with a version in parentheses.
    Source,
    Relations,
}

/// The fields that others read more than a text in.
const KNOWN: [(&str, Wanted); 11] = [
    ("Section", Wanted::Word),
    ("Priority", Wanted::Word),
    ("Multi-Arch", Wanted::OneOf(&["no", "same", "foreign", "allowed"])),
    ("Essential", Wanted::OneOf(&["yes", "no"])),
    ("Protected", Wanted::OneOf(&["yes", "no"])),
    ("Important", Wanted::OneOf(&["yes", "no"])),
    ("Source", Wanted::Source),
    ("Pre-Depends", Wanted::Relations),
    ("Breaks", Wanted::Relations),
    ("Enhances", Wanted::Relations),
    ("Build-Essential", Wanted::OneOf(&["yes", "no"])),
];

/// Whether dpkg's own tools know what a field is for.
pub(super) fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == name)
}

/// The fields that dpkg would refuse, or take for something else.
pub(super) fn fields(package: &Package) -> Vec<Diagnostic> {
    let bad = |(name, value): (&String, &String)| {
        let is_same = |other: &str| other.eq_ignore_ascii_case(name);
        if OWNED.iter().any(|owned| is_same(owned)) {
            let hint = "`[driver]`, `[packaging]` and `[relations]` in kpkg.toml say what it holds";
            return Some(
                unspeakable_value(name, format!("kpkg writes the field `{name}` of a .deb itself"))
                    .hint(hint),
            );
        }
        let twice = package.fields.keys().any(|other| other != name && is_same(other));
        let known = KNOWN.iter().find(|(known, _)| is_same(known));
        if let Some((spelled, _)) = known.filter(|(known, _)| twice || known != name) {
            let message = format!("the field `{name}` of a .deb is spelled otherwise");
            return Some(unspeakable_value(name, message).hint(format!("write `{spelled}`")));
        }
        if twice {
            return Some(unspeakable_value(name, format!("the field `{name}` of a .deb is there twice")));
        }
        let (_, wanted) = known?;
        let wanted = wanted.lacking(package, name, value)?;
        let message = format!("the field `{name}` of a .deb cannot be `{}`", value.escape_debug());
        Some(unspeakable_value(value, message).hint(wanted))
    };
    package.fields.iter().filter_map(bad).collect()
}

impl Wanted {
    /// What a value should be and is not.
    fn lacking(&self, package: &Package, name: &str, value: &str) -> Option<String> {
        match self {
            Self::OneOf(_) if value == "same" && package.arch == Arch::Any => {
                Some("packages for all machines are `foreign`, or without the field".to_owned())
            }
            Self::OneOf(values) => {
                (!values.contains(&value)).then(|| format!("it is one of {}", values.join(", ")))
            }
            Self::Word => {
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/.+-".contains(&byte);
                (!value.bytes().all(allowed)).then(|| "it is one word".to_owned())
            }
            Self::Source => {
                let (source, version) = value.split_once(" (").unwrap_or((value, "0)"));
                let is_read = is_name(source) && version.strip_suffix(')').is_some_and(is_version);
                (!is_read).then(|| "it is a name, or `name (version)`".to_owned())
            }
            Self::Relations => {
                let is_ours = name == "Enhances"
                    && package.relations.iter().any(|relation| relation.kind == RelationKind::Supplements);
                (is_ours || !value.split(',').all(|list| list.split('|').all(is_relation)))
                    .then(|| "it is `name`, `name (>= version)` or several of them between commas".to_owned())
            }
        }
    }
}

/// `name`, or `name (SIGN version)`, as dpkg writes them.
fn is_relation(text: &str) -> bool {
    let text = text.trim();
    let (name, bound) = text.split_once(" (").unwrap_or((text, "= 0)"));
    let bound = bound.strip_suffix(')').and_then(|bound| bound.split_once(' '));
    is_relation_name(name)
        && bound.is_some_and(|(sign, version)| {
            matches!(sign, "<<" | "<=" | "=" | ">=" | ">>") && is_version(version)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_spoken(kind: RelationKind, text: &str) -> bool {
        Relation::parse(kind, text).is_some_and(|relation| unspeakable(&relation).is_none())
    }

    #[test]
    fn names_and_versions_are_those_that_dpkg_reads() {
        for good in ["dkms", "dkms >= 3.0-1", "gcc | c-compiler", "python3:any", "a = 2:1.0~rc1-1", "X.org"] {
            assert!(is_spoken(RelationKind::Requires, good), "{good}");
        }
        for bad in [
            "c(x)",
            "$e",
            "a;b",
            "a_b",
            "(a and b)",
            "a:$x",
            "a >= $(id)",
            "a >= x1",
            "a >= 1-",
            "a >= 1:",
            "a%b",
            "/bin/sh",
        ] {
            assert!(!is_spoken(RelationKind::Requires, bad), "{bad}");
        }
        assert!(is_spoken(RelationKind::Provides, "a = 1") && !is_spoken(RelationKind::Provides, "a >= 1"));
        assert!(!is_spoken(RelationKind::Conflicts, "a | b"));
        for (text, is_read) in [("a (>= 1)", true), ("a (>> 1)", true), ("a (> 1)", false), ("a, ", false)] {
            assert_eq!(text.split(',').all(is_relation), is_read, "{text}");
        }
    }
}
