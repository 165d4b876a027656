//! Which relations rpm reads as they are meant (rpm's `docs/manual/dependencies.md` and `boolean_dependencies.md`,
//! `build/parseReqs.c`, `lib/rpmds.c`).

use crate::package::{Bound, Capability, Comparison, Relation, RelationKind};

/// Why there is no such relation, in words; nothing where there is.
pub(super) fn unspeakable(relation: &Relation) -> Option<String> {
    let kind = relation.kind;
    let is_rich = |capability: &Capability| capability.name.starts_with('(');
    if relation.any_of.len() > 1 {
        if !may_have_alternatives(kind) {
            return Some(format!("there are no alternatives in {kind:?}"));
        }
        if relation.any_of.iter().any(is_rich) {
            return Some("write `or` within the parentheses".to_owned());
        }
    }
    relation.any_of.iter().find_map(|capability| {
        let name = &capability.name;
        if is_rich(capability) {
            let is_allowed = !matches!(kind, RelationKind::Provides | RelationKind::Replaces);
            let is_read =
                rich(name, operators(kind)).is_some_and(str::is_empty) && capability.bound.is_none();
            return (!is_allowed || !is_read).then(|| format!("`{name}` is no rich dependency of {kind:?}"));
        }
        if !is_name(name) {
            return Some(format!("`{}` is no name of a package, path or capability", name.escape_debug()));
        }
        if kind == RelationKind::Replaces && !super::spell::is_name(name) {
            return Some("packages alone are replaced".to_owned());
        }
        let Some((comparison, bound)) = &capability.bound else { return None };
        if name.starts_with('/') {
            return Some("a path has no version".to_owned());
        }
        if kind == RelationKind::Provides && *comparison != Comparison::Equal {
            return Some("what is provided has one version: `=`".to_owned());
        }
        match bound {
            Bound::Native(version) if !is_version(version) => {
                Some(format!("`{}` is no version", version.escape_debug()))
            }
            _ => None,
        }
    })
}

fn may_have_alternatives(kind: RelationKind) -> bool {
    matches!(kind, RelationKind::Requires | RelationKind::Recommends | RelationKind::Suggests)
}

/// `dkms`, `/usr/bin/cc`, `pkgconfig(x)`, `libc.so.6(GLIBC_2.4)(64bit)`; what rpm itself offers is no package's.
fn is_name(name: &str) -> bool {
    let mut depth = 0_i32;
    let mut allowed = |byte: u8| {
        depth += i32::from(byte == b'(') - i32::from(byte == b')');
        depth >= 0 && (byte.is_ascii_alphanumeric() || b"._+-:/@~^*?[]()".contains(&byte))
    };
    name.starts_with(|first: char| first.is_ascii_alphanumeric() || "_/".contains(first))
        && name.bytes().all(&mut allowed)
        && depth == 0
        && !name.starts_with("rpmlib(")
}

/// `[EPOCH:]VERSION[-RELEASE]`.
fn is_version(text: &str) -> bool {
    let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
    let (version, release) = rest.split_once('-').unwrap_or((rest, "1"));
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphanumeric())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._+~^".contains(&byte))
    };
    !text.contains("..")
        && epoch.parse::<u32>().is_ok()
        && epoch.bytes().all(|byte| byte.is_ascii_digit())
        && part(version)
        && part(release)
}

/// What may stand within other operators (`rpmrichParseCheck`).
const INNER: &[&str] = &["and", "or", "with", "without"];

/// The operators of a rich dependency of a kind.
fn operators(kind: RelationKind) -> &'static [&'static str] {
    match kind {
        RelationKind::Requires | RelationKind::Recommends | RelationKind::Suggests => {
            &["and", "or", "with", "without", "if"]
        }
        RelationKind::Conflicts | RelationKind::Breaks => &["and", "or", "with", "without", "unless"],
        RelationKind::Replaces
        | RelationKind::Provides
        | RelationKind::Supplements
        | RelationKind::Enhances => INNER,
    }
}

/// What follows a rich dependency with one of these operators; nothing where the text does not begin with one.
fn rich<'a>(text: &'a str, operators: &[&str]) -> Option<&'a str> {
    let text = text.strip_prefix('(')?;
    // what these are about is one package
    let is_one = [" with ", " without "].iter().any(|operator| text.contains(operator));
    let inner = if is_one { &["with", "or"][..] } else { INNER };
    let mut rest = operand(text, inner)?;
    let mut last: Option<&str> = None;
    loop {
        if let Some(end) = rest.strip_prefix(')') {
            // one alone is no relation of several
            return last.map(|_| end);
        }
        let (operator, behind) = rest.strip_prefix(' ')?.split_once(' ')?;
        let follows = match (last, operator) {
            (None, operator) => operators.contains(&operator),
            (Some("if" | "unless"), "else") => true,
            (Some(before @ ("and" | "or" | "with")), operator) => before == operator,
            _ => false,
        };
        if !follows {
            return None;
        }
        rest = operand(behind, inner)?;
        last = Some(operator);
    }
}

/// What follows a name, maybe with a version, or a rich dependency in parentheses.
fn operand<'a>(text: &'a str, operators: &[&str]) -> Option<&'a str> {
    if text.starts_with('(') {
        return rich(text, operators);
    }
    let rest = text.strip_prefix(word(text))?;
    if !is_name(word(text)) {
        return None;
    }
    let Some((sign, behind)) = rest.strip_prefix(' ').and_then(|rest| rest.split_once(' ')) else {
        return Some(rest);
    };
    if !matches!(sign, "<" | "<=" | "=" | ">=" | ">") {
        return Some(rest);
    }
    let version = word(behind);
    (is_version(version) && !text.starts_with('/')).then(|| &behind[version.len()..])
}

/// Up to a blank or a parenthesis that was not opened in it.
fn word(text: &str) -> &str {
    let mut depth = 0_i32;
    let end = text.find(|next: char| {
        depth += i32::from(next == '(') - i32::from(next == ')');
        next == ' ' || depth < 0
    });
    &text[..end.unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_spoken(kind: RelationKind, text: &str) -> bool {
        Relation::parse(kind, text).is_some_and(|relation| unspeakable(&relation).is_none())
    }

    #[test]
    fn names_versions_and_rich_dependencies_are_those_that_rpm_reads() {
        for good in [
            "dkms",
            "dkms >= 3.0-1",
            "a = 2:1.0~rc1-1",
            "/usr/bin/cc",
            "pkgconfig(x)",
            "libc.so.6(GLIBC_2.4)(64bit)",
            "a | b >= 1",
            "(a and b)",
            "(a or b or c)",
            "(a if b else c)",
            "(kmod(x.ko) with y >= 1)",
            "((a and b) or c)",
            "(a >= 1 and (b or c))",
        ] {
            assert!(is_spoken(RelationKind::Requires, good), "{good}");
        }
        for bad in [
            "$e",
            "a;b",
            "c(x",
            "c)x(",
            "a%(id)",
            "/x >= 1",
            "a >= 1-2-3",
            "a >= x:1",
            "a >= $(id)",
            "rpmlib(X)",
            "(a)",
            "()",
            "(a and b",
            "(a and)",
            "(a and b or c)",
            "(a xor b)",
            "(a and b) c)",
            "(a and %{x})",
            "(a unless b)",
            "(a or (b if c))",
            "(a with (b and c))",
            "(a without b without c)",
            "a | (b or c)",
        ] {
            assert!(!is_spoken(RelationKind::Requires, bad), "{bad}");
        }
        assert!(is_spoken(RelationKind::Replaces, "a >= 1") && !is_spoken(RelationKind::Replaces, "a(x)"));
        assert!(is_spoken(RelationKind::Provides, "a = 1") && !is_spoken(RelationKind::Provides, "a >= 1"));
        assert!(
            !is_spoken(RelationKind::Provides, "(a and b)") && !is_spoken(RelationKind::Conflicts, "a | b")
        );
        assert!(is_spoken(RelationKind::Supplements, "(a and b = 1)"));
        assert!(
            is_spoken(RelationKind::Conflicts, "(a unless b)")
                && !is_spoken(RelationKind::Conflicts, "(a if b)")
        );
    }
}
