//! How names, versions, relations and texts are spelled in a control file: Debian Policy chapters 5 to 7.
//!
//! Must not write.

use crate::package::{
    Arch, Bound, Capability, Comparison, Hardware, Package, Relation, RelationKind, Version, When,
};

/// `module(alias, alias), module(alias)`: what ubuntu-drivers and others choose drivers by. What the notation cannot hold is left
/// out.
pub(super) fn modaliases(package: &Package) -> String {
    let module = |hardware: &Hardware| {
        let aliases: Vec<_> =
            hardware.aliases.iter().filter(|alias| !alias.contains([',', '(', ')', ' '])).cloned().collect();
        (!aliases.is_empty())
            .then(|| format!("{}({})", hardware.module.replace('-', "_"), aliases.join(", ")))
    };
    package.hardware.iter().filter_map(module).collect::<Vec<_>>().join(", ")
}

/// The synopsis, then paragraphs: continuation lines begin with a blank, empty ones are ` .` (Policy 5.6.13).
pub(super) fn description(package: &Package) -> String {
    let mut text = package.summary.clone();
    for (index, lines) in package.paragraphs().into_iter().enumerate() {
        if index > 0 {
            text.push_str("\n .");
        }
        for line in lines {
            text.push_str("\n ");
            text.push_str(&line);
        }
    }
    text
}

/// One that is replaced may stay on disk with Replaces alone (Policy 7.6.2).
pub(super) const CONFLICTS: &[RelationKind] = &[RelationKind::Conflicts, RelationKind::Replaces];

/// The value of the field for these kinds.
pub(super) fn relations(package: &Package, kinds: &[RelationKind]) -> String {
    let is_broken = |relation: &Relation| {
        let names = |other: &&Relation| {
            other.kind == RelationKind::Breaks && other.any_of[0].name == relation.any_of[0].name
        };
        package.relations.iter().any(|other| names(&other))
    };
    // one that is broken loses files only (Policy 7.6.1)
    let is_one = |relation: &&Relation| {
        kinds != CONFLICTS || relation.kind != RelationKind::Replaces || !is_broken(relation)
    };
    let kept = super::implied::kept(package, kinds).into_iter().filter(is_one);
    kept.map(relation_text).collect::<Vec<_>>().join(", ")
}

/// `a (>= 1) | b`.
pub(super) fn relation_text(relation: &Relation) -> String {
    relation.any_of.iter().map(capability).collect::<Vec<_>>().join(" | ")
}

pub(super) fn capability(capability: &Capability) -> String {
    match &capability.bound {
        None => capability.name.clone(),
        Some((comparison, bound)) => {
            let sign = match comparison {
                Comparison::Less => "<<",
                Comparison::AtMost => "<=",
                Comparison::Equal => "=",
                Comparison::AtLeast => ">=",
                Comparison::Greater => ">>",
            };
            let version = match bound {
                Bound::Native(text) => text.clone(),
                Bound::Own(version) => spelled(version),
            };
            format!("{} ({sign} {version})", capability.name)
        }
    }
}

/// The file of a script (Policy 6.1).
pub(super) fn script_name(when: When) -> Option<&'static str> {
    match when {
        When::BeforeInstall => Some("preinst"),
        When::AfterInstall => Some("postinst"),
        When::BeforeRemove => Some("prerm"),
        When::AfterRemove => Some("postrm"),
        When::AfterTransaction | When::AfterKernels => None,
    }
}

pub(super) fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::Any => "all",
        Arch::X86_64 => "amd64",
        Arch::I686 => "i386",
        Arch::Aarch64 => "arm64",
        Arch::Armv7 => "armhf",
        Arch::Ppc64le => "ppc64el",
        Arch::S390x => "s390x",
        Arch::Riscv64 => "riscv64",
        Arch::Loongarch64 => "loong64",
    }
}

/// A name as Policy 5.6.7 has it.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(byte);
    name.len() >= 2 && name.as_bytes().iter().all(allowed) && name.as_bytes()[0].is_ascii_alphanumeric()
}

/// `[EPOCH:]UPSTREAM[~PRE]-REVISION` (`deb-version(7)`), without the last part in a native package.
///
/// The mapping is injective over what [`unspeakable`] accepts: `_`, which the format lacks, becomes `++`; a pre-release tag stands
/// behind a `~`, and between them what stood before it in the driver's version, see [`Version::pre`]; everything else is kept.
pub(super) fn spelled(version: &Version) -> String {
    let epoch = version.epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
    let pre = version.pre.as_ref().map(|pre| format!("~{}", mapped(pre))).unwrap_or_default();
    let dash = if version.has_revision() { "-" } else { "" };
    format!("{epoch}{}{pre}{dash}{}", mapped(&version.upstream), version.revision)
}

fn mapped(text: &str) -> String {
    text.replace('_', "++")
}

/// Why a version has no spelling, deb-version(7).
pub(super) fn unspeakable(version: &Version) -> Option<String> {
    if let Some(first) = version.upstream.chars().next().filter(|first| !first.is_ascii_digit()) {
        return Some(format!("begins with `{first}`, and versions of a .deb begin with a digit"));
    }
    // the last dash is where the revision begins
    let dashed = version.upstream.contains('-') || version.pre.iter().any(|pre| pre.contains('-'));
    if !version.has_revision() && dashed {
        return Some("has a dash, and so no form without a revision".to_owned());
    }
    super::super::bad_version(version, ".+~-_", b"+_~")
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::format::spelling::{assert_spelled, version};

    /// deb-version(7), Debian Policy 5.6.12: `[epoch:]upstream[-revision]`; upstream begins with a digit and has letters, digits and
    /// `. + - ~`, the dash only before a revision; the revision has no dash; `~` sorts before everything, even the end.
    #[test]
    fn versions_are_spelled_as_dpkg_reads_them() {
        let rows = [
            (None, "1.2.0", "", "1", Ok("1.2.0-1")),
            (Some(2), "1.2", "", "3", Ok("2:1.2-3")),
            (Some(0), "1.2", "", "3", Ok("0:1.2-3")),
            // before the release
            (None, "1.0", "rc1", "1", Ok("1.0~rc1-1")),
            (None, "1.0", "+rc1", "1", Ok("1.0~+rc1-1")),
            (None, "1.0", "_rc1", "1", Ok("1.0~++rc1-1")),
            (None, "1.0", "~rc1", "1", Ok("1.0~~rc1-1")),
            // no underscore
            (None, "1_0", "", "1", Ok("1++0-1")),
            // a dash is one of upstream's where another one follows
            (None, "1-5", "", "1", Ok("1-5-1")),
            (None, "1-5", "", "", Err("has a dash, and so no form without a revision")),
            (None, "1.0", "beta-2", "", Err("has a dash, and so no form without a revision")),
            (None, "1.0", "", "1-1", Err("has the revision `1-1`, which may hold no `-`")),
            // driver and packaging as one, also with what a release of a distribution adds
            (None, "1.0", "", "", Ok("1.0")),
            (None, "1.0", "", "~deb12u1", Ok("1.0~deb12u1")),
            (None, "1.0", "", "1~deb12u1", Ok("1.0-1~deb12u1")),
            // what no version has
            (None, "", "", "1", Err("is empty")),
            (None, "r5", "", "1", Err("begins with `r`, and versions of a .deb begin with a digit")),
            (None, "1 0", "", "1", Err("has the character ` `")),
            (None, "1:0", "", "1", Err("has the character `:`")),
            (None, "1^0", "", "1", Err("has the character `^`")),
            // others could be spelled the same
            (None, "1__0", "", "1", Err("has `__`, two separators in a row")),
            (None, "1++0", "", "1", Err("has `++`, two separators in a row")),
            (None, "1.0~_rc1", "", "1", Err("has `~_`, two separators in a row")),
        ];
        assert_spelled(&rows, spelled, unspeakable);
    }

    /// Debian Policy 7.1: `name (sign version)`, `|` between alternatives; the sign for the same version or a later one is `>=`.
    #[test]
    fn relations_are_spelled_as_dpkg_reads_them() {
        for (text, expected) in [
            ("dkms", "dkms"),
            ("dkms >= 3.0.10", "dkms (>= 3.0.10)"),
            ("a = 1:2-3", "a (= 1:2-3)"),
            ("gcc | c-compiler", "gcc | c-compiler"),
            ("a >= 1 | b", "a (>= 1) | b"),
        ] {
            let relation = Relation::parse(RelationKind::Requires, text).unwrap();
            assert_eq!(relation_text(&relation), expected);
        }
        let own = Bound::Own(version(Some(1), "2.0", "rc1", "1"));
        let own = Capability { name: "a".to_owned(), bound: Some((Comparison::Equal, own)) };
        assert_eq!(capability(&own), "a (= 1:2.0~rc1-1)");
    }
}
