//! Which mirror has a target's lists: as the user says it, else as the machine's own apt does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::base::error::{Error, Result};
use crate::config::MirrorConfig;
use crate::fetch;
use crate::plan::profile::{self, KernelLists, ListKind};

/// Mirrors by what they are for.
#[derive(Debug, Clone, Default)]
pub struct Mirrors {
    /// By target or profile.
    named: BTreeMap<String, MirrorConfig>,
    machine: Vec<AptSource>,
}

/// An archive or repository at its mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    pub url: String,
    /// The keys that its lists are judged by; none: those that the machine trusts.
    pub keyrings: Vec<PathBuf>,
    /// Whether lists that nobody signed are taken.
    pub is_unsigned_allowed: bool,
}

/// An entry of sources.list(5).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct AptSource {
    urls: Vec<String>,
    suites: Vec<String>,
    keyring: Option<PathBuf>,
}

impl Mirrors {
    /// Those of kpkg.toml, and over them `TARGET=URL` of the command line; paths are relative to `folder`. `machine` is the root of the system
    /// whose apt is looked at, `/`.
    pub fn new(
        named: &BTreeMap<String, MirrorConfig>,
        given: &[String],
        folder: &Path,
        machine: &Path,
    ) -> Result<Self> {
        let mut mirrors = Self { named: BTreeMap::new(), machine: apt_sources(machine) };
        for (name, mirror) in named {
            let mut mirror = mirror.clone();
            for url in mirror.url.iter_mut().chain(mirror.archives.values_mut()) {
                *url = address(url, folder)?;
            }
            mirror.keyring = mirror.keyring.map(|path| folder.join(path));
            mirrors.named.insert(profile::target(name)?.name, mirror);
        }
        for text in given {
            let hint = "write `--mirror TARGET=https://HOST/PATH`";
            let (name, url) = text.split_once('=').ok_or_else(|| {
                Error::usage(format!("`{}` names no mirror", text.escape_debug())).hint(hint)
            })?;
            let target = profile::target(name)?.name;
            // keys stay those of the target, wherever its lists come from
            let before = mirrors.of(&target).cloned().unwrap_or_default();
            let url = Some(address(url, Path::new("."))?);
            let archives = BTreeMap::new();
            mirrors.named.insert(target, MirrorConfig { url, archives, ..before });
        }
        Ok(mirrors)
    }

    fn of(&self, target: &str) -> Option<&MirrorConfig> {
        let is_for = |name: &&String| target == name.as_str() || target.starts_with(&format!("{name}-"));
        let nearest = self.named.keys().filter(is_for).max_by_key(|name| name.len())?;
        self.named.get(nearest)
    }

    /// Where an archive or repository of a target is.
    pub fn root(&self, target: &str, lists: &KernelLists, path: &str) -> Result<Root> {
        let named = self.of(target);
        let keyrings = named.and_then(|mirror| mirror.keyring.clone()).into_iter().collect();
        let is_unsigned_allowed = named.is_some_and(|mirror| mirror.unsigned);
        if let Some(url) = self.moved(target, path) {
            return Ok(Root { url, keyrings, is_unsigned_allowed });
        }
        if let Some((url, keyring)) = self.own(path).filter(|_| lists.kind == ListKind::Apt) {
            return Ok(Root { url, keyrings: keyring.into_iter().collect(), is_unsigned_allowed });
        }
        Err(Error::usage(format!("no mirror of `{target}` is named")).hint(format!(
            "write into kpkg.toml `[mirrors]` and below it `{target} = \"https://HOST/PATH\"`, the address that `{path}` is below, or give \
             `--mirror {target}=https://HOST/PATH`"
        )))
    }

    /// Whether a mirror is named for a target.
    #[must_use]
    pub fn is_named(&self, target: &str) -> bool {
        self.of(target).is_some()
    }

    /// Where an archive or repository of a target is by what is named for it, whatever a lock was read from.
    #[must_use]
    pub fn moved(&self, target: &str, path: &str) -> Option<String> {
        let mirror = self.of(target)?;
        mirror.archives.get(path).cloned().or_else(|| Some(fetch::below(mirror.url.as_ref()?, path)))
    }

    /// The address that the machine's own apt has an archive at.
    fn own(&self, path: &str) -> Option<(String, Option<PathBuf>)> {
        let suites = suites_below(path);
        let has = |source: &&AptSource| source.suites.iter().any(|suite| suites.contains(suite));
        let source = self.machine.iter().find(has)?;
        let url = source.urls.first()?.trim_end_matches('/').to_owned();
        Some((url, source.keyring.clone()))
    }
}

/// The suites that targets have in an archive.
fn suites_below(path: &str) -> BTreeSet<String> {
    let targets = profile::target_names().into_iter().filter_map(|name| profile::target(&name).ok());
    let lists = targets.filter_map(|target| target.kernels);
    lists
        .flat_map(|lists| {
            let of_path = lists.lists.into_iter().filter(|list| list.path == path);
            of_path.map(|list| list.suite.replace("{release}", &lists.release)).collect::<Vec<_>>()
        })
        .collect()
}

/// An address as the rest takes it: a path becomes one from the root.
pub fn address(text: &str, folder: &Path) -> Result<String> {
    let Some(path) = fetch::local(text) else {
        let host = text.split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
        if host.contains('@') || host.is_empty() {
            return Err(Error::usage(format!("`{}` is no address of a mirror", text.escape_debug()))
                .hint("write `https://HOST/PATH` without a name and password: it stands in kernels.lock"));
        }
        return Ok(text.to_owned());
    };
    if text.contains("://") && !text.starts_with("file://") {
        return Err(Error::usage(format!("`{}` is no address that kpkg reads", text.escape_debug()))
            .hint("write `https://HOST/PATH`, or `file:PATH` for a folder"));
    }
    let path = folder.join(path);
    let place =
        std::path::absolute(&path).map_err(|error| Error::io("cannot find", &path, error).as_usage())?;
    Ok(format!("file:{}", place.display()))
}

/// What apt of a system reads, as far as it can be read.
fn apt_sources(root: &Path) -> Vec<AptSource> {
    let mut files = vec![root.join("etc/apt/sources.list")];
    let parts = fs::read_dir(root.join("etc/apt/sources.list.d")).into_iter().flatten().flatten();
    files.extend(parts.map(|entry| entry.path()));
    files.sort();
    let mut sources = Vec::new();
    for path in files {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("sources") => sources.extend(of_deb822(&text)),
            Some("list") => sources.extend(text.lines().filter_map(of_line)),
            _ => {}
        }
    }
    sources
        .retain(|source| source.urls.iter().any(|url| url.starts_with("http") || url.starts_with("file:")));
    sources
}

/// Paragraphs of fields, deb822(5).
fn of_deb822(text: &str) -> Vec<AptSource> {
    let mut sources = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        let mut last = String::new();
        for line in paragraph.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with([' ', '\t']) {
                fields.entry(last.clone()).or_default().push_str(&format!("\n{}", line.trim()));
            } else if let Some((name, value)) = line.split_once(':') {
                last = name.trim().to_ascii_lowercase();
                fields.insert(last.clone(), value.trim().to_owned());
            }
        }
        let words = |name: &str| -> Vec<String> {
            fields
                .get(name)
                .map(|text| text.split_whitespace().map(str::to_owned).collect())
                .unwrap_or_default()
        };
        if words("types").iter().any(|kind| kind == "deb")
            && fields.get("enabled").map(String::as_str) != Some("no")
        {
            let keyring = words("signed-by").into_iter().next().filter(|path| path.starts_with('/'));
            sources.push(AptSource {
                urls: words("uris"),
                suites: words("suites"),
                keyring: keyring.map(Into::into),
            });
        }
    }
    sources
}

/// `deb [signed-by=PATH] URL SUITE COMPONENT…`
fn of_line(line: &str) -> Option<AptSource> {
    let rest = line.trim().strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace();
    let (url, suite) = (words.next()?, words.next()?);
    let keyring = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    Some(AptSource {
        urls: vec![url.to_owned()],
        suites: vec![suite.to_owned()],
        keyring: keyring.map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_apt_knows_where_its_archives_are() {
        let system = tempfile::tempdir().unwrap();
        let folder = system.path().join("etc/apt/sources.list.d");
        fs::create_dir_all(&folder).unwrap();
        fs::write(
            folder.join("own.sources"),
            "# a comment\nTypes: deb deb-src\nURIs: http://here/debian/\nSuites: bookworm bookworm-updates\nComponents: main\n\
             Signed-By: /usr/share/keyrings/own.gpg\n\nTypes: deb\nEnabled: no\nURIs: http://off/debian-security\n\
             Suites: bookworm-security\n\nTypes: deb-src\nURIs: http://src/debian-security\nSuites: bookworm-security\n",
        )
        .unwrap();
        fs::write(
            system.path().join("etc/apt/sources.list"),
            "deb [arch=amd64 signed-by=/k] https://there/sec bookworm-security main\n#deb http://x y z\n",
        )
        .unwrap();
        let mirrors = |given: &[&str]| {
            let given: Vec<_> = given.iter().map(|text| (*text).to_owned()).collect();
            Mirrors::new(&BTreeMap::new(), &given, Path::new("/tree"), system.path())
        };
        let root = |mirrors: &Mirrors, target: &str, path: &str| {
            let lists = profile::target(target).unwrap().kernels.unwrap();
            mirrors
                .root(target, &lists, path)
                .map(|root| root.url)
                .map_err(|error| error.hint_text().unwrap_or_default().to_owned())
        };
        let own = mirrors(&[]).unwrap();
        // every release of it
        assert_eq!(root(&own, "debian-13", "debian").unwrap(), "http://here/debian");
        assert_eq!(root(&own, "debian-12", "debian-security").unwrap(), "https://there/sec");
        let hint = root(&own, "ubuntu-24.04", "ubuntu").unwrap_err();
        assert!(
            hint.contains("`ubuntu-24.04 = \"https://HOST/PATH\"`") && hint.contains("`ubuntu`"),
            "{hint}"
        );
        let named = mirrors(&["debian-12=https://x/y/", "rhel=file:mirror"]).unwrap();
        assert_eq!(root(&named, "debian-12", "debian").unwrap(), "https://x/y/debian");
        assert_eq!(root(&named, "debian-13", "debian").unwrap(), "http://here/debian");
        assert!(
            root(&named, "rhel-9", "9/AppStream/x86_64/os")
                .unwrap()
                .ends_with("/mirror/9/AppStream/x86_64/os")
        );
        for wrong in [
            "debian-12",
            "nobody=https://x",
            "debian-12=https://me:secret@x/",
            "debian-12=ftp://x",
            "debian-12=http://",
        ] {
            assert!(mirrors(&[wrong]).is_err(), "{wrong}");
        }
    }
}
