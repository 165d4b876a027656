//! How names, versions and relations are spelled: PKGBUILD(5), vercmp(8).
//!
//! Must not write.

use super::super::bad_version;
use crate::package::{Arch, Bound, Capability, Comparison, Relation, RelationKind, Version};

/// The fields of `.PKGINFO` with relations, and their kinds; what is replaced has to go when the package is installed by itself, too.
pub(super) const FIELDS: [(&str, &[RelationKind]); 5] = [
    ("replaces", &[RelationKind::Replaces]),
    ("conflict", &[RelationKind::Conflicts, RelationKind::Breaks, RelationKind::Replaces]),
    ("provides", &[RelationKind::Provides]),
    ("depend", &[RelationKind::Requires]),
    ("optdepend", &[RelationKind::Recommends, RelationKind::Suggests]),
];

/// A name as PKGBUILD(5) has it.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"@._+-".contains(&byte);
    !name.is_empty() && name.bytes().all(allowed) && !name.starts_with(['-', '.'])
}

pub(super) fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::Any => "any",
        Arch::X86_64 => "x86_64",
        Arch::I686 => "i686",
        Arch::Aarch64 => "aarch64",
        Arch::Armv7 => "armv7h",
        Arch::Ppc64le => "powerpc64le",
        Arch::S390x => "s390x",
        Arch::Riscv64 => "riscv64",
        Arch::Loongarch64 => "loong64",
    }
}

/// `[EPOCH:]PKGVER-PKGREL`.
///
/// The mapping is injective over what [`unspeakable`] accepts: `-`, which separates the release, becomes `_`, and a `_` of the driver's own
/// is doubled. Letters right behind a number are what vercmp(8) takes for a pre-release; what stood before them, unless it was a dash,
/// follows behind a `+`, see [`Version::pre`].
pub(super) fn version(full: &Version) -> String {
    let epoch = full.epoch.filter(|epoch| *epoch > 0).map(|epoch| format!("{epoch}:")).unwrap_or_default();
    let pre = full.pre.as_deref().map(|pre| {
        let (mark, tag) = pre.split_at(pre.find(char::is_alphanumeric).unwrap_or(0));
        match mark {
            "" => mapped(tag),
            "+" => format!("{}+", mapped(tag)),
            mark => format!("{}+{mark}", mapped(tag)),
        }
    });
    format!("{epoch}{}{}-{}", mapped(&full.upstream), pre.unwrap_or_default(), full.revision)
}

fn mapped(text: &str) -> String {
    text.replace('_', "__").replace('-', "_")
}

/// Why a version has no spelling.
pub(super) fn unspeakable(version: &Version) -> Option<String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !version.revision.split('.').all(is_number) {
        return Some(format!(
            "has the release `{}`, which is a number here, such as 1 or 1.2",
            version.revision
        ));
    }
    let last = version.pre.as_deref().unwrap_or(&version.upstream);
    if last.ends_with(['+', '~', '_', '.', '-']) || version.epoch == Some(0) {
        return Some(
            "ends with a separator, or has the epoch 0, of which others are spelled the same".to_owned(),
        );
    }
    if version.pre.is_some() && !version.upstream.ends_with(|last: char| last.is_ascii_digit()) {
        return Some("has a pre-release behind something else than a digit".to_owned());
    }
    bad_version(version, ".+~-_^", b"-_")
}

/// `name>=1.0`.
pub(super) fn capability(capability: &Capability) -> String {
    let Some((comparison, bound)) = &capability.bound else { return capability.name.clone() };
    let version = match bound {
        Bound::Native(text) => text.clone(),
        Bound::Own(own) => version(own),
    };
    format!("{}{}{version}", capability.name, comparison.sign())
}

/// Why there is no such relation, in words; nothing where there is.
pub(super) fn unspeakable_relation(relation: &Relation) -> Option<String> {
    let [Capability { name, bound }] = relation.any_of.as_slice() else {
        return Some("there are no alternatives".to_owned());
    };
    if relation.kind == RelationKind::Supplements {
        return Some("nothing is installed along with another package".to_owned());
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"@._+-".contains(&byte);
    if name.is_empty() || !name.bytes().all(allowed) || name.starts_with(['-', '.']) {
        return Some(format!("`{}` is no name of a package", name.escape_debug()));
    }
    match bound {
        Some((comparison, _))
            if relation.kind == RelationKind::Provides && *comparison != Comparison::Equal =>
        {
            Some("what is provided has one version: `=`".to_owned())
        }
        Some((_, Bound::Native(version))) if !is_version(version) => {
            Some(format!("`{}` is no version", version.escape_debug()))
        }
        _ => None,
    }
}

fn is_version(text: &str) -> bool {
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~^-".contains(&byte);
    epoch.bytes().all(|byte| byte.is_ascii_digit()) && !rest.is_empty() && rest.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::format::spelling::{assert_spelled, version as parts};

    /// PKGBUILD(5): no colon, slash, dash or blank in pkgver; vercmp(8): `1.0rc < 1.0 < 1.0.1`.
    #[test]
    fn versions_are_spelled_as_pacman_reads_them() {
        let rows = [
            (None, "1.2.0", "", "1", Ok("1.2.0-1")),
            (Some(2), "1.2", "", "3", Ok("2:1.2-3")),
            (None, "1.2", "", "3.1", Ok("1.2-3.1")),
            // before the release
            (None, "1.0", "rc1", "1", Ok("1.0rc1-1")),
            (None, "1.0", "+rc1", "1", Ok("1.0rc1+-1")),
            (None, "1.0", "~rc1", "1", Ok("1.0rc1+~-1")),
            (None, "1.0", "beta-2", "1", Ok("1.0beta_2-1")),
            // no dash, and its own underscores are told from those in its place
            (None, "1-5", "", "1", Ok("1_5-1")),
            (None, "1_0", "", "1", Ok("1__0-1")),
            (None, "r5", "", "1", Ok("r5-1")),
            // the release is a number
            (None, "1.0", "", "1~x", Err("has the release `1~x`, which is a number here, such as 1 or 1.2")),
            (None, "1.0", "", "", Err("has the release ``, which is a number here, such as 1 or 1.2")),
            // what no version has
            (None, "", "", "1", Err("is empty")),
            (None, "1 0", "", "1", Err("has the character ` `")),
            (None, "1:0", "", "1", Err("has the character `:`")),
            (None, "1/0", "", "1", Err("has the character `/`")),
            (None, "1.0a", "rc1", "1", Err("has a pre-release behind something else than a digit")),
            (None, "1__0", "", "1", Err("has `__`, two separators in a row")),
        ];
        assert_spelled(&rows, version, unspeakable);
    }

    #[test]
    fn relations_are_spelled_as_pacman_reads_them() {
        for (text, expected) in
            [("dkms", "dkms"), ("dkms >= 3.0.10", "dkms>=3.0.10"), ("a = 1:2-3", "a=1:2-3")]
        {
            let relation = Relation::parse(RelationKind::Requires, text).unwrap();
            assert_eq!(unspeakable_relation(&relation), None);
            assert_eq!(capability(&relation.any_of[0]), expected);
        }
        let own = Bound::Own(parts(Some(1), "2.0", "rc1", "1"));
        let own = Capability { name: "a".to_owned(), bound: Some((Comparison::Equal, own)) };
        assert_eq!(capability(&own), "a=1:2.0rc1-1");
        for (kind, text) in [
            (RelationKind::Requires, "a | b"),
            (RelationKind::Supplements, "a"),
            (RelationKind::Provides, "a >= 1"),
            (RelationKind::Requires, "a(x)"),
            (RelationKind::Requires, "a = 1/2"),
        ] {
            assert!(unspeakable_relation(&Relation::parse(kind, text).unwrap()).is_some(), "{text}");
        }
    }
}
