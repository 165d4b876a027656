//! The versions of dkms that a file has to suit: those of the targets, each with the name of who has it.
//!
//! Knows no distribution and no rule; only compares versions.

use super::versions::compare_versions;

/// A release of a distribution, and the dkms in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// For people.
    pub title: String,
    /// The version; nothing where it is not known, or not always the same.
    pub dkms: Option<String>,
}

/// Who will read a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Supported {
    /// The releases of the targets; without any, every version of dkms counts.
    pub releases: Vec<Release>,
}

/// How many of those who will read a file do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Extent {
    Nobody,
    /// Some do, or may do; these are known to do, in words.
    Some(Vec<String>),
    Everybody(Vec<String>),
}

impl Supported {
    /// Who has this version or a later one.
    pub(super) fn since(&self, version: &str) -> Extent {
        self.extent(|dkms| compare_versions(dkms, version).is_ge())
    }

    /// Who has an older one.
    pub(super) fn before(&self, version: &str) -> Extent {
        self.extent(|dkms| compare_versions(dkms, version).is_lt())
    }

    /// Whether nobody is known who has this, where a version that is not known counts as a late one.
    pub(super) fn is_extinct(&self, is_so: impl Fn(&str) -> bool) -> bool {
        !self.releases.is_empty() && !self.known().any(|(_, dkms)| is_so(dkms))
    }

    fn known(&self) -> impl Iterator<Item = (&str, &str)> {
        self.releases.iter().filter_map(|release| Some((release.title.as_str(), release.dkms.as_deref()?)))
    }

    fn extent(&self, is_so: impl Fn(&str) -> bool) -> Extent {
        let named: Vec<_> = self
            .known()
            .filter(|(_, dkms)| is_so(dkms))
            .map(|(title, dkms)| format!("{title} (dkms {dkms})"))
            .collect();
        let is_open = self.releases.is_empty() || self.releases.iter().any(|release| release.dkms.is_none());
        match (is_open, named.len()) {
            (false, 0) => Extent::Nobody,
            (false, count) if count == self.releases.len() => Extent::Everybody(named),
            _ => Extent::Some(named),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(versions: &[Option<&str>]) -> Supported {
        let release = |dkms: Option<&str>| Release { title: "X".to_owned(), dkms: dkms.map(str::to_owned) };
        Supported { releases: versions.iter().copied().map(release).collect() }
    }

    #[test]
    fn everybody_needs_to_be_known_to_all() {
        let named = || vec!["X (dkms 3.2.2)".to_owned()];
        assert_eq!(of(&[Some("3.2.2")]).since("3.1.7"), Extent::Everybody(named()));
        assert_eq!(of(&[Some("3.0.10")]).since("3.1.7"), Extent::Nobody);
        assert_eq!(of(&[Some("3.2.2"), Some("3.0.10")]).since("3.1.7"), Extent::Some(named()));
        assert_eq!(of(&[Some("3.2.2"), None]).since("3.1.7"), Extent::Some(named()));
        assert_eq!(of(&[None]).before("3.1.7"), Extent::Some(Vec::new()));
        assert_eq!(Supported::default().since("3.1.7"), Extent::Some(Vec::new()));
    }
}
