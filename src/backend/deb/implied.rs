//! Relations that say nothing beside the others. dpkg-gencontrol leaves them out (`Dpkg::Deps`), and so does who writes a package at once,
//! or the two would differ.

use super::super::unspeakable_relation;
use crate::diagnostic::Diagnostic;
use crate::package::{Capability, Package, Relation, RelationKind};

/// How strong a need is; nothing where it is none.
fn strength(kind: RelationKind) -> Option<u8> {
    match kind {
        RelationKind::Requires => Some(3),
        RelationKind::Recommends => Some(2),
        RelationKind::Suggests => Some(1),
        RelationKind::Conflicts
        | RelationKind::Replaces
        | RelationKind::Provides
        | RelationKind::Supplements => None,
    }
}

/// Whether what fulfils one fulfils the other, as far as that is known without comparing versions.
fn is_enough(one: &Capability, other: &Capability) -> bool {
    one.name == other.name && (other.bound.is_none() || one.bound == other.bound)
}

/// Whether each alternative of one is among those of the other.
fn implies(one: &Relation, other: &Relation) -> bool {
    one.any_of.iter().all(|one| other.any_of.iter().any(|other| is_enough(one, other)))
}

/// Whether a relation says nothing beside another one: of needs the narrower one stays, of exclusions and offers the wider one.
fn is_said_by(relation: &Relation, other: &Relation) -> bool {
    if strength(relation.kind).is_some() { implies(other, relation) } else { implies(relation, other) }
}

/// Whether the package itself is what is needed.
fn is_own(need: &Capability, package: &Package) -> bool {
    let provided = package.relations.iter().filter(|relation| relation.kind == RelationKind::Provides);
    need.bound.is_none() && need.name == package.name
        || provided.flat_map(|relation| &relation.any_of).any(|own| is_enough(own, need))
}

/// The relations of a field, in which these kinds stand.
pub(super) fn kept<'a>(package: &'a Package, kinds: &[RelationKind]) -> Vec<&'a Relation> {
    let field: Vec<_> = package.relations.iter().filter(|relation| kinds.contains(&relation.kind)).collect();
    let is_kept = |(at, relation): &(usize, &&Relation)| {
        let own = strength(relation.kind);
        let is_stronger = |other: &&Relation| own.is_some() && strength(other.kind) > own;
        let is_needed_anyway =
            package.relations.iter().filter(is_stronger).any(|other| is_said_by(relation, other))
                || own.is_some() && relation.any_of.iter().any(|need| is_own(need, package));
        // of two that say the same the first stays
        let is_again = field.iter().enumerate().any(|(other, second)| {
            other != *at && is_said_by(relation, second) && (other < *at || !is_said_by(second, relation))
        });
        !is_needed_anyway && !is_again
    };
    field.iter().enumerate().filter(is_kept).map(|(_, relation)| *relation).collect()
}

/// Relations of which dpkg-gencontrol would make another one: two bounds on one name, which it compares.
pub(super) fn ambiguous(package: &Package) -> Vec<Diagnostic> {
    let is_other = |one: &Capability, other: &Capability| {
        one.name == other.name && one.bound.is_some() && other.bound.is_some() && one.bound != other.bound
    };
    let is_one = |(at, relation): (usize, &Relation)| {
        let before = &package.relations[..at];
        let is_known = |one: &Capability| {
            let is_own = one.name == package.name && one.bound.is_some() && strength(relation.kind).is_some();
            is_own || before.iter().flat_map(|other| &other.any_of).any(|other| is_other(one, other))
        };
        relation.any_of.iter().any(is_known)
    };
    let all = package.relations.iter().enumerate();
    let found = all.filter(|relation| is_one(*relation)).map(|(_, relation)| {
        let reason = "another one has the name with another version";
        unspeakable_relation(relation, "a .dsc", reason).hint("write one relation for each name")
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::{Arch, Codec, Compression, Payload, Version};

    fn package(list: &[(RelationKind, &str)]) -> Package {
        let parse = |(kind, text): &(RelationKind, &str)| Relation::parse(*kind, text).unwrap();
        let text = String::new;
        Package {
            name: "toy".to_owned(),
            version: Version { epoch: None, upstream: "1".to_owned(), pre: None, revision: "1".to_owned() },
            arch: Arch::Any,
            summary: text(),
            description: text(),
            license: text(),
            maintainer: text(),
            homepage: text(),
            relations: list.iter().map(parse).collect(),
            scripts: Vec::new(),
            triggers: Vec::new(),
            changelog: Vec::new(),
            modules: Vec::new(),
            payload: Payload::Install(Vec::new()),
            compression: Compression { codec: Codec::None, level: 0 },
            fields: std::collections::BTreeMap::new(),
            stamp: 0,
        }
    }

    #[test]
    fn what_is_needed_anyway_is_left_out() {
        use RelationKind as Kind;
        let package = self::package(&[
            (Kind::Requires, "a >= 1"),
            (Kind::Requires, "a"),
            (Kind::Requires, "b | a"),
            (Kind::Recommends, "c"),
            (Kind::Recommends, "c"),
            (Kind::Suggests, "a"),
            (Kind::Suggests, "a | x >= 2"),
            (Kind::Suggests, "own"),
            (Kind::Suggests, "d >= 1"),
            (Kind::Provides, "own"),
            (Kind::Conflicts, "e >= 1"),
            (Kind::Replaces, "e"),
        ]);
        let of = |kinds: &[Kind]| -> Vec<_> {
            kept(&package, kinds).iter().map(|relation| super::super::relation_text(relation)).collect()
        };
        assert_eq!(of(&[Kind::Requires]), ["a (>= 1)"]);
        assert_eq!(of(&[Kind::Recommends]), ["c"]);
        assert_eq!(of(&[Kind::Suggests]), ["d (>= 1)"]);
        assert_eq!(of(&[Kind::Conflicts, Kind::Replaces]), ["e"]);
        assert_eq!(of(&[Kind::Replaces]), ["e"]);
        assert!(ambiguous(&package).is_empty());
        let package = self::package(&[(Kind::Requires, "a >= 1"), (Kind::Suggests, "a >= 2")]);
        assert_eq!(ambiguous(&package).len(), 1);
    }
}
