//! How names, versions and relations are stored: rpm's `docs/manual/dependencies.md`, `boolean_dependencies.md`, rpm-version(7).
//!
//! Must not write.

use rpm::IndexTag;

use super::payload::is_large;
use super::write::entries;
use crate::package::{Arch, Bound, Capability, Codec, Comparison, Package, Relation, Version, When};

/// The tags of a script, of its interpreter, and the flag that its interpreter's requirement carries (`rpmds.h`).
pub(super) fn script_tags(when: When) -> (IndexTag, IndexTag, u32) {
    use IndexTag as T;
    match when {
        When::BeforeInstall => (T::RPMTAG_PREIN, T::RPMTAG_PREINPROG, 1 << 9),
        When::AfterInstall => (T::RPMTAG_POSTIN, T::RPMTAG_POSTINPROG, 1 << 10),
        When::BeforeRemove => (T::RPMTAG_PREUN, T::RPMTAG_PREUNPROG, 1 << 11),
        When::AfterRemove => (T::RPMTAG_POSTUN, T::RPMTAG_POSTUNPROG, 1 << 12),
        When::AfterTransaction => (T::RPMTAG_POSTTRANS, T::RPMTAG_POSTTRANSPROG, 1 << 5),
        When::AfterKernels => (T::RPMTAG_TRANSFILETRIGGERSCRIPTS, T::RPMTAG_TRANSFILETRIGGERSCRIPTPROG, 0),
    }
}

/// `RPMSENSE_TRIGGERIN`.
pub(super) const TRIGGER_IN: u32 = 1 << 16;

/// Where the files of kernels lie.
pub(super) const KERNELS: [&str; 2] = ["/lib/modules", "/usr/lib/modules"];

pub(super) const SHELL: &str = "/bin/sh";

/// A dependency as the header stores it.
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) flags: u32,
    pub(super) version: String,
}

pub(super) const GREATER: u32 = 1 << 2;

pub(super) const LESS: u32 = 1 << 1;

pub(super) const EQUAL: u32 = 1 << 3;

const INTERPRETER: u32 = 1 << 8;

pub(super) const RPMLIB: u32 = 1 << 24;

/// `NAME(x86-64) = VERSION`, where the package is for one kind of machine: rpm's `%{?_isa}`.
pub(super) fn own_for_machine(package: &Package) -> Option<Dependency> {
    let machine = match package.arch {
        Arch::Any => return None,
        Arch::X86_64 => "x86-64",
        Arch::I686 => "x86-32",
        Arch::Aarch64 => "aarch-64",
        Arch::Armv7 => "armv7hl-32",
        Arch::Ppc64le => "ppc-64",
        Arch::S390x => "s390-64",
        Arch::Riscv64 => "riscv-64",
        Arch::Loongarch64 => "loongarch-64",
    };
    Some(Dependency {
        name: format!("{}({machine})", package.name),
        flags: EQUAL,
        version: evr(&package.version),
    })
}

/// What the plan says that it provides for its modules.
pub(super) fn offers(package: &Package) -> impl Iterator<Item = Dependency> {
    package.offers.iter().map(single)
}

fn single(capability: &Capability) -> Dependency {
    let (flags, version) = bound(capability);
    Dependency { name: capability.name.clone(), flags, version }
}

/// Alternatives become a rich dependency: `(a or b >= 1)`.
pub(super) fn dependency(relation: &Relation) -> Dependency {
    if let [capability] = relation.any_of.as_slice() {
        return single(capability);
    }
    let alternatives: Vec<_> = relation.any_of.iter().map(rich).collect();
    Dependency { name: format!("({})", alternatives.join(" or ")), flags: 0, version: String::new() }
}

pub(super) fn rich(capability: &Capability) -> String {
    match &capability.bound {
        None => capability.name.clone(),
        Some((comparison, _)) => format!("{} {} {}", capability.name, comparison.sign(), bound(capability).1),
    }
}

pub(super) fn bound(capability: &Capability) -> (u32, String) {
    match &capability.bound {
        None => (0, String::new()),
        Some((comparison, bound)) => {
            let flags = match comparison {
                Comparison::Less => LESS,
                Comparison::AtMost => LESS | EQUAL,
                Comparison::Equal => EQUAL,
                Comparison::AtLeast => GREATER | EQUAL,
                Comparison::Greater => GREATER,
            };
            let version = match bound {
                Bound::Native(text) => text.clone(),
                Bound::Own(version) => evr(version),
            };
            (flags, version)
        }
    }
}

/// rpmbuild adds the interpreter of every script; so must a direct writer.
pub(super) fn interpreters(package: &Package) -> impl Iterator<Item = Dependency> {
    package.scripts.iter().map(|script| {
        let (_, _, flag) = script_tags(script.when);
        Dependency { name: SHELL.to_owned(), flags: INTERPRETER | flag, version: String::new() }
    })
}

/// The features of rpm that reading this package takes, with the versions rpmbuild writes (`lib/rpmds.c`).
pub(super) fn rpmlib(package: &Package) -> Vec<Dependency> {
    let mut needs: Vec<(&str, &str)> = Vec::new();
    if !entries(package).is_empty() {
        needs.extend([
            ("CompressedFileNames", "3.0.4-1"),
            ("FileDigests", "4.6.0-1"),
            ("PayloadFilesHavePrefix", "4.0-1"),
        ]);
    }
    match package.compression.codec {
        Codec::Xz => needs.push(("PayloadIsXz", "5.2-1")),
        Codec::Zstd => needs.push(("PayloadIsZstd", "5.4.18-1")),
        Codec::Gzip | Codec::None => {}
    }
    let capabilities = || package.relations.iter().flat_map(|relation| &relation.any_of);
    let native = capabilities().filter_map(|capability| match &capability.bound {
        Some((_, Bound::Native(text))) => Some(text.clone()),
        _ => None,
    });
    let versions: Vec<_> = native.chain([evr(&package.version)]).collect();
    let rich = |relation: &Relation| relation.any_of.len() > 1 || relation.any_of[0].name.starts_with('(');
    if package.relations.iter().any(rich) {
        needs.push(("RichDependencies", "4.12.0-1"));
    }
    if versions.iter().any(|version| version.contains('~')) {
        needs.push(("TildeInVersions", "4.10.0-1"));
    }
    if versions.iter().any(|version| version.contains('^')) {
        needs.push(("CaretInVersions", "4.15.0-1"));
    }
    if is_large(package) {
        needs.push(("LargeFiles", "4.12.0-1"));
    }
    let need = |(feature, version): (&str, &str)| Dependency {
        name: format!("rpmlib({feature})"),
        flags: RPMLIB | LESS | EQUAL,
        version: version.to_owned(),
    };
    needs.into_iter().map(need).collect()
}

// ---- spelling ---------------------------------------------------------------------------------------------------------------

pub(super) fn architecture(arch: Arch) -> &'static str {
    match arch {
        Arch::Any => "noarch",
        Arch::X86_64 => "x86_64",
        Arch::I686 => "i686",
        Arch::Aarch64 => "aarch64",
        Arch::Armv7 => "armv7hl",
        Arch::Ppc64le => "ppc64le",
        Arch::S390x => "s390x",
        Arch::Riscv64 => "riscv64",
        Arch::Loongarch64 => "loongarch64",
    }
}

/// `VERSION[~PRE]`, without epoch and release.
///
/// The mapping is injective over what [`unspeakable`] accepts: `-`, which separates version and release, becomes `_`; a `_` of the
/// driver's own is doubled, since a single one stands for a dash; a pre-release tag stands behind a `~`, and between them what
/// stood before it in the driver's version, see [`Version::pre`].
pub(super) fn version(version: &Version) -> String {
    let pre = version.pre.as_ref().map(|pre| format!("~{}", mapped(pre))).unwrap_or_default();
    format!("{}{pre}", mapped(&version.upstream))
}

fn mapped(text: &str) -> String {
    text.replace('_', "__").replace('-', "_")
}

pub(super) fn evr(full: &Version) -> String {
    let epoch = full.epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
    format!("{epoch}{}-{}", version(full), full.revision)
}

pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    name.bytes().all(allowed)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric() || first == b'_')
}

/// Why a version has no spelling, rpm-version(7).
pub(super) fn unspeakable(version: &Version) -> Option<String> {
    if !version.has_revision() {
        return Some("has no release, which an .rpm needs".to_owned());
    }
    if evr(version).contains("..") {
        return Some("has `..`, which rpmbuild refuses".to_owned());
    }
    super::super::bad_version(version, ".+~-_^", b"-_~")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::RelationKind;

    use crate::format::spelling::{assert_spelled, version as parts};

    /// rpm-version(7) and rpm's `docs/manual/spec.md`: `[epoch:]version-release`; both have letters, digits and `. _ + ~ ^`, and no
    /// dash; `~` sorts before the end.
    #[test]
    fn versions_are_spelled_as_rpm_reads_them() {
        let rows = [
            (None, "1.2.0", "", "1", Ok("1.2.0-1")),
            (Some(2), "1.2", "", "3", Ok("2:1.2-3")),
            (Some(0), "1.2", "", "3", Ok("0:1.2-3")),
            // before the release
            (None, "1.0", "rc1", "1", Ok("1.0~rc1-1")),
            (None, "1.0", "+rc1", "1", Ok("1.0~+rc1-1")),
            (None, "1.0", "_rc1", "1", Ok("1.0~__rc1-1")),
            (None, "1.0", "beta-2", "1", Ok("1.0~beta_2-1")),
            // no dash, and its own underscores are told from those in its place
            (None, "1-5", "", "1", Ok("1_5-1")),
            (None, "1_0", "", "1", Ok("1__0-1")),
            (None, "1.0^git5", "", "1", Ok("1.0^git5-1")),
            // it may begin with a letter
            (None, "r5", "", "1", Ok("r5-1")),
            (None, "1.0", "", "1~x1", Ok("1.0-1~x1")),
            // there is no package without a release
            (None, "1.0", "", "", Err("has no release, which an .rpm needs")),
            (None, "1.0", "", "~x1", Err("has no release, which an .rpm needs")),
            (None, "1.0", "", "1-1", Err("has the revision `1-1`, which may hold no `-`")),
            // what no version has
            (None, "", "", "1", Err("is empty")),
            (None, "1..0", "", "1", Err("has `..`, which rpmbuild refuses")),
            (None, "1 0", "", "1", Err("has the character ` `")),
            (None, "1:0", "", "1", Err("has the character `:`")),
            // others could be spelled the same
            (None, "1__0", "", "1", Err("has `__`, two separators in a row")),
            (None, "1-_0", "", "1", Err("has `-_`, two separators in a row")),
            (None, "1.0~+rc1", "", "1", Err("has `~+`, two separators in a row")),
        ];
        assert_spelled(&rows, evr, unspeakable);
    }

    /// rpm's `docs/manual/dependencies.md`: a name, flags and a version; `docs/manual/boolean_dependencies.md`: alternatives are one
    /// name in parentheses, with what it compares within.
    #[test]
    fn relations_are_stored_as_rpm_reads_them() {
        for (text, expected) in [
            ("dkms", ("dkms", 0, "")),
            ("dkms >= 3.0.10", ("dkms", GREATER | EQUAL, "3.0.10")),
            ("a = 1:2-3", ("a", EQUAL, "1:2-3")),
            ("kernel-devel | kernel-default-devel", ("(kernel-devel or kernel-default-devel)", 0, "")),
            ("a >= 1 | b = 2 | c", ("(a >= 1 or b = 2 or c)", 0, "")),
            ("(a and b = 1)", ("(a and b = 1)", 0, "")),
        ] {
            let relation = Relation::parse(RelationKind::Requires, text).unwrap();
            let Dependency { name, flags, version } = dependency(&relation);
            assert_eq!((name.as_str(), flags, version.as_str()), expected);
        }
        let own = Bound::Own(parts(Some(1), "2.0", "rc1", "1"));
        let own = Capability { name: "a".to_owned(), bound: Some((Comparison::AtLeast, own)) };
        assert_eq!(rich(&own), "a >= 1:2.0~rc1-1");
    }
}
