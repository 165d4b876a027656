//! Relations that say nothing beside the others. dpkg-gencontrol leaves them out (`Dpkg::Deps`), and so does who writes a package at once,
//! or the two would differ.

use std::cmp::Ordering;

use super::spell::spelled;
use crate::package::{Bound, Capability, Comparison, Package, Relation, RelationKind};

/// How strong a need is; nothing where it is none.
fn strength(kind: RelationKind) -> Option<u8> {
    match kind {
        RelationKind::Requires => Some(3),
        RelationKind::Recommends => Some(2),
        RelationKind::Suggests => Some(1),
        RelationKind::Conflicts
        | RelationKind::Breaks
        | RelationKind::Replaces
        | RelationKind::Provides
        | RelationKind::Supplements
        | RelationKind::Enhances => None,
    }
}

/// Whether what fulfils one fulfils the other.
fn is_enough(one: &Capability, other: &Capability) -> bool {
    let text = |bound: &Bound| match bound {
        Bound::Native(text) => text.clone(),
        Bound::Own(version) => spelled(version),
    };
    let is_within = match (&one.bound, &other.bound) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some((sign, one)), Some((other_sign, other))) => {
            let order = compare(&text(one), &text(other));
            match (sign, other_sign) {
                (Comparison::Equal | Comparison::AtLeast | Comparison::Greater, Comparison::AtLeast) => {
                    order.is_ge()
                }
                (Comparison::Equal | Comparison::AtMost | Comparison::Less, Comparison::AtMost) => {
                    order.is_le()
                }
                (Comparison::Equal, Comparison::Less) => order.is_lt(),
                (Comparison::Equal, Comparison::Greater) => order.is_gt(),
                (sign, other) => sign == other && order.is_eq(),
            }
        }
    };
    one.name == other.name && is_within
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
    let own = Capability {
        name: package.name.clone(),
        bound: Some((Comparison::Equal, Bound::Own(package.version.clone()))),
    };
    provided.flat_map(|relation| &relation.any_of).chain([&own]).any(|own| is_enough(own, need))
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

/// The order of versions, deb-version(7).
pub fn compare(one: &str, other: &str) -> Ordering {
    let pairs = parts(one).into_iter().zip(parts(other));
    first_difference(pairs.map(|(one, other)| compare_part(one, other)))
}

/// Epoch, upstream version and revision.
fn parts(text: &str) -> [&str; 3] {
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
    [epoch, upstream, revision]
}

fn first_difference(mut orders: impl Iterator<Item = Ordering>) -> Ordering {
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Words and numbers by turns.
fn compare_part(mut one: &str, mut other: &str) -> Ordering {
    while !one.is_empty() || !other.is_empty() {
        let ((word, rest), (other_word, other_rest)) = (cut(one, false), cut(other, false));
        let ((number, rest), (other_number, other_rest)) = (cut(rest, true), cut(other_rest, true));
        let order = compare_words(word.as_bytes(), other_word.as_bytes());
        let order = order.then_with(|| compare_numbers(number, other_number));
        if order.is_ne() {
            return order;
        }
        (one, other) = (rest, other_rest);
    }
    Ordering::Equal
}

/// The digits that a text begins with, or all before the first one; and what follows.
fn cut(text: &str, is_number: bool) -> (&str, &str) {
    let end = text.find(|next: char| next.is_ascii_digit() != is_number);
    text.split_at(end.unwrap_or(text.len()))
}

/// A tilde sorts before the end, and letters before other signs.
fn compare_words(one: &[u8], other: &[u8]) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        None => 0,
        Some(b'~') => -1,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(sign) => i32::from(*sign) + 256,
    };
    let places = 0..one.len().max(other.len());
    first_difference(places.map(|at| weight(one.get(at)).cmp(&weight(other.get(at)))))
}

fn compare_numbers(one: &str, other: &str) -> Ordering {
    let [one, other] = [one, other].map(|number| number.trim_start_matches('0'));
    (one.len(), one).cmp(&(other.len(), other))
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
            carries: Vec::new(),
            hardware: Vec::new(),
            offers: Vec::new(),
            newest_of: None,
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
            kept(&package, kinds)
                .iter()
                .map(|relation| crate::format::deb::spell::relation_text(relation))
                .collect()
        };
        assert_eq!(of(&[Kind::Requires]), ["a (>= 1)"]);
        assert_eq!(of(&[Kind::Recommends]), ["c"]);
        assert_eq!(of(&[Kind::Suggests]), ["d (>= 1)"]);
        assert_eq!(of(&[Kind::Conflicts, Kind::Replaces]), ["e"]);
        assert_eq!(of(&[Kind::Replaces]), ["e"]);
    }

    #[test]
    fn bounds_are_compared_as_versions() {
        use RelationKind as Kind;
        let package = package(&[
            (Kind::Requires, "a >= 1.9"),
            (Kind::Requires, "a >= 1.10"),
            (Kind::Recommends, "a >= 1.10~rc1"),
            (Kind::Suggests, "a >= 2"),
            (Kind::Suggests, "toy >= 0.9"),
            (Kind::Suggests, "toy >= 2"),
            (Kind::Conflicts, "b >= 2"),
            (Kind::Conflicts, "b >= 1:0"),
        ]);
        let of = |kind: Kind| -> Vec<_> {
            kept(&package, &[kind])
                .iter()
                .map(|relation| crate::format::deb::spell::relation_text(relation))
                .collect()
        };
        assert_eq!(of(Kind::Requires), ["a (>= 1.10)"]);
        assert!(of(Kind::Recommends).is_empty());
        assert_eq!(of(Kind::Suggests), ["a (>= 2)", "toy (>= 2)"]);
        assert_eq!(of(Kind::Conflicts), ["b (>= 2)"]);
        let sorted =
            ["0~", "0", "1.0~rc1", "1.0", "1.0-1", "1.0-01.1", "1.0a", "1.0+b", "1.9", "1.10", "1:0"];
        for (at, one) in sorted.iter().enumerate() {
            for (other_at, other) in sorted.iter().enumerate() {
                assert_eq!(compare(one, other), at.cmp(&other_at), "{one} {other}");
            }
        }
    }
}
