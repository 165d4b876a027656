//! Which kernels are meant: `debian-12`, `debian-12:cloud`, `rhel-9:>=5.14.0-427`, `ubuntu-24.04:generic/latest-3`.

use std::cmp::Ordering;

use super::{Kernel, Lock, Status};
use crate::base::error::{Error, Result};
use crate::dkms::compare_versions;
use crate::package::Arch;
use crate::plan::profile;

/// The machine that kernels are for where a selection names none: the same wherever a lock is written.
const USUAL_ARCH: &str = "x86_64";

/// Some kernels of a target: its name, and behind a colon what narrows them down, separated by `/`: a flavour, a machine as `uname -m` names
/// it, a bound on the release, `latest-N` of each flavour, each also with `!` before it but the last; and `gone`, with those that no mirror
/// lists any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The target's own name.
    pub target: String,
    pub arch: String,
    parts: Vec<Part>,
    latest: Option<usize>,
    is_with_gone: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Flavour { name: String, is_wanted: bool },
    Bound { sign: Sign, release: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    AtLeast,
    AtMost,
    Above,
    Below,
    Equal,
}

impl Sign {
    /// Those of two characters first.
    const ALL: [(&'static str, Self); 5] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        (">", Self::Above),
        ("<", Self::Below),
        ("=", Self::Equal),
    ];

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::AtLeast => order.is_ge(),
            Self::AtMost => order.is_le(),
            Self::Above => order.is_gt(),
            Self::Below => order.is_lt(),
            Self::Equal => order.is_eq(),
        }
    }
}

/// Whether a word says a selection, rather than a release, a word such as `all` or a file.
#[must_use]
pub fn is_one(word: &str) -> bool {
    let name = word.split(':').next().unwrap_or(word);
    profile::target(name).is_ok()
}

impl Selection {
    /// Reads its text.
    pub fn parse(text: &str) -> Result<Self> {
        let (target, rest) = text.split_once(':').unwrap_or((text, ""));
        let mut selection = Self {
            target: profile::target(target)?.name,
            arch: USUAL_ARCH.to_owned(),
            parts: Vec::new(),
            latest: None,
            is_with_gone: false,
        };
        if text.ends_with(':') {
            return Err(selection.wrong(text, ""));
        }
        for part in rest.split('/').filter(|_| !rest.is_empty()) {
            selection.add(part).ok_or_else(|| selection.wrong(text, part))?;
        }
        Ok(selection)
    }

    fn wrong(&self, text: &str, part: &str) -> Error {
        Error::usage(format!("`{}` in `{}` selects no kernels", part.escape_debug(), text.escape_debug())).hint(format!(
            "write `{0}`, `{0}:FLAVOUR`, `{0}:!FLAVOUR`, `{0}:>=RELEASE`, `{0}:latest-3`, `{0}:aarch64`, `{0}:gone`, or several behind one \
             another: `{0}:cloud/latest-3`",
            self.target
        ))
    }

    fn add(&mut self, part: &str) -> Option<()> {
        if let Some((sign, release)) =
            Sign::ALL.into_iter().find_map(|(text, sign)| Some((sign, part.strip_prefix(text)?)))
        {
            let release = release.trim();
            if !release.starts_with(|first: char| first.is_ascii_digit()) {
                return None;
            }
            self.parts.push(Part::Bound { sign, release: release.to_owned() });
            return Some(());
        }
        if let Some(count) = part.strip_prefix("latest-") {
            self.latest = Some(count.parse().ok().filter(|count| *count > 0)?);
        } else if part == "gone" {
            self.is_with_gone = true;
        } else if Arch::of_machine(part).is_some() {
            part.clone_into(&mut self.arch);
        } else {
            let (name, is_wanted) = part.strip_prefix('!').map_or((part, true), |name| (name, false));
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
            if name.is_empty() || !name.bytes().all(is_name) {
                return None;
            }
            self.parts.push(Part::Flavour { name: name.to_owned(), is_wanted });
        }
        Some(())
    }

    fn takes(&self, kernel: &Kernel) -> bool {
        let is_there = match kernel.status {
            Status::Current => true,
            Status::Gone => self.is_with_gone,
            Status::Retired => false,
        };
        // of flavours that are named one is enough; bounds all have to hold
        let mut wanted = self.parts.iter().filter_map(|part| match part {
            Part::Flavour { name, is_wanted: true } => Some(*name == kernel.flavour),
            _ => None,
        });
        let is_flavour = wanted.clone().next().is_none() || wanted.any(|is_it| is_it);
        let others = self.parts.iter().all(|part| match part {
            Part::Flavour { name, is_wanted } => *is_wanted || *name != kernel.flavour,
            Part::Bound { sign, release } => sign.holds(compare_versions(&kernel.release, release)),
        });
        is_there && kernel.target == self.target && kernel.arch == self.arch && is_flavour && others
    }

    /// The kernels of a lock that it means, in the lock's order; an error where there are none.
    pub fn of<'a>(&self, lock: &'a Lock, text: &str) -> Result<Vec<&'a Kernel>> {
        let mut kernels: Vec<&Kernel> = lock.kernels.iter().filter(|kernel| self.takes(kernel)).collect();
        if let Some(latest) = self.latest {
            let newer = |kernel: &Kernel| {
                let same = kernels.iter().filter(|other| other.flavour == kernel.flavour);
                same.filter(|other| compare_versions(&other.release, &kernel.release).is_gt()).count()
            };
            let kept: Vec<_> = kernels.iter().copied().filter(|kernel| newer(kernel) < latest).collect();
            kernels = kept;
        }
        if !kernels.is_empty() {
            return Ok(kernels);
        }
        let of_target = lock.kernels.iter().filter(|kernel| kernel.target == self.target);
        let mut flavours: Vec<_> = of_target.map(|kernel| kernel.flavour.as_str()).collect();
        flavours.sort_unstable();
        flavours.dedup();
        let error = Error::usage(format!("kernels.lock has no kernel that `{}` means", text.escape_debug()));
        Err(if flavours.is_empty() {
            error.hint(format!("`kpkg kernels update {}` looks for them", self.target))
        } else {
            error.hint(format!("`kpkg kernels list` lists them; its flavours are {}", flavours.join(", ")))
        })
    }
}

/// The kernels of a lock that any of the texts means, each once, in the lock's order; all of them where none is given.
pub fn all<'a>(lock: &'a Lock, texts: &[String]) -> Result<Vec<&'a Kernel>> {
    if texts.is_empty() {
        return Ok(lock.kernels.iter().filter(|kernel| kernel.status == Status::Current).collect());
    }
    let mut meant = Vec::new();
    for text in texts {
        meant.extend(Selection::parse(text)?.of(lock, text)?);
    }
    Ok(lock.kernels.iter().filter(|kernel| meant.iter().any(|other| std::ptr::eq(*other, *kernel))).collect())
}

/// What stands beside the numbers of a release: `cloud` in `6.1.0-49-cloud-amd64`, `rt` in `5.14.0-427.el9.x86_64+rt`, the machine's name
/// where a release ends so, else `plain`. `machine` is its name in the format.
#[must_use]
pub fn flavour(release: &str, machine: &str) -> String {
    if let Some((_, variant)) = release.rsplit_once('+').filter(|(before, _)| before.ends_with(machine)) {
        return variant.to_owned();
    }
    let is_word = |part: &&str| part.starts_with(|first: char| first.is_ascii_alphabetic());
    let words: Vec<_> = release.split('-').skip(1).skip_while(|part| !is_word(part)).collect();
    let text = words.join("-");
    match text.strip_suffix(machine).and_then(|before| before.strip_suffix('-')) {
        Some(before) => before.to_owned(),
        None if text.is_empty() => "plain".to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(target: &str, release: &str, status: Status) -> Kernel {
        let machine = if target.starts_with("debian") { "amd64" } else { "x86_64" };
        Kernel {
            target: target.to_owned(),
            arch: "x86_64".to_owned(),
            release: release.to_owned(),
            version: "1".to_owned(),
            flavour: flavour(release, machine),
            source: String::new(),
            status,
            seen: String::new(),
            headers: Vec::new(),
            cc: None,
        }
    }

    #[test]
    fn flavours_are_what_releases_say() {
        for (release, machine, expected) in [
            ("6.1.0-49-amd64", "amd64", "amd64"),
            ("6.1.0-49-cloud-amd64", "amd64", "cloud"),
            ("6.12.94+deb13-rt-amd64", "amd64", "rt"),
            ("6.8.0-31-generic", "amd64", "generic"),
            ("6.8.0-31-generic-64k", "arm64", "generic-64k"),
            ("5.14.0-427.13.1.el9_4.x86_64", "x86_64", "plain"),
            ("5.14.0-427.13.1.el9_4.x86_64+rt", "x86_64", "rt"),
            ("5.14.0-427.13.1.el9_4.aarch64+64k-debug", "aarch64", "64k-debug"),
            ("6.4.0-150600.21-default", "x86_64", "default"),
        ] {
            assert_eq!(flavour(release, machine), expected, "{release}");
        }
    }

    #[test]
    fn a_selection_means_what_it_says() {
        let releases = [
            "6.1.0-9-amd64",
            "6.1.0-10-amd64",
            "6.1.0-10-cloud-amd64",
            "6.1.0-12-amd64",
            "6.1.0-12-rt-amd64",
        ];
        let mut kernels: Vec<_> =
            releases.iter().map(|release| kernel("debian-12", release, Status::Current)).collect();
        kernels.push(kernel("debian-12", "6.1.0-5-amd64", Status::Gone));
        kernels.push(kernel("debian-12", "6.1.0-4-amd64", Status::Retired));
        kernels.push(kernel("rhel-9", "5.14.0-362.el9.x86_64", Status::Current));
        kernels.push(kernel("rhel-9", "5.14.0-427.el9.x86_64+debug", Status::Current));
        let lock = Lock { sources: Vec::new(), kernels };
        let of = |text: &str| -> Vec<&str> {
            let found = Selection::parse(text).unwrap().of(&lock, text).unwrap();
            found.iter().map(|kernel| kernel.release.as_str()).collect()
        };
        assert_eq!(of("debian-12"), releases);
        assert_eq!(of("bookworm:cloud"), ["6.1.0-10-cloud-amd64"]);
        assert_eq!(of("debian-12:cloud/rt"), ["6.1.0-10-cloud-amd64", "6.1.0-12-rt-amd64"]);
        assert_eq!(of("debian-12:!cloud/!rt/latest-1"), ["6.1.0-12-amd64"]);
        assert_eq!(of("debian-12:>=6.1.0-10/<6.1.0-12"), ["6.1.0-10-amd64", "6.1.0-10-cloud-amd64"]);
        assert_eq!(of("debian-12:gone/amd64/<6.1.0-9"), ["6.1.0-5-amd64"]);
        assert_eq!(of("rhel-9:>=5.14.0-427"), ["5.14.0-427.el9.x86_64+debug"]);
        assert_eq!(of("almalinux-9:plain"), ["5.14.0-362.el9.x86_64"]);
        for wrong in [
            "debian-12:",
            "debian-12:latest-0",
            "debian-12:>=x",
            "debian-12:a b",
            "debain-12",
            "debian-12:/x",
            "debian-12:!",
        ] {
            assert!(Selection::parse(wrong).is_err(), "{wrong}");
        }
        for none in ["debian-12:aarch64", "debian-13", "debian-12:azure"] {
            assert!(Selection::parse(none).unwrap().of(&lock, none).is_err(), "{none}");
        }
        assert_eq!(
            all(&lock, &["debian-12:cloud".into(), "debian-12:latest-1/cloud".into()]).unwrap().len(),
            1
        );
    }
}
