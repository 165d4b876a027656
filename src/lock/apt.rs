//! The suites of an archive that apt reads: `InRelease`, and of its components the list of packages (DebianRepository/Format).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};

use jiff::civil::DateTime;

use super::listed::{Asking, Listed, Of, Read, Signed, UNCHECKED_KEY, accepted};
use super::mirrors::Root;
use super::select;
use super::{Header, Index, Source, SourceKind, is_like};
use crate::archive;
use crate::base::error::{Error, Result};
use crate::fetch::{self, Known};
use crate::format::deb::compare;
use crate::plan::profile::KernelList;

/// The most bytes of a Release file.
const LARGEST_RELEASE: u64 = 16 << 20;
/// The compressions of lists, the smallest first.
const ENDINGS: [&str; 4] = [".xz", ".zst", ".gz", ""];

/// A package as a list has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Stanza {
    name: String,
    version: String,
    arch: String,
    /// The names it needs, each with the version that it has to have where it says one.
    needs: Vec<(String, Option<String>)>,
    path: String,
    sha256: String,
    size: u64,
}

/// The packages of a suite's component, as far as they may belong to headers.
pub(super) struct Component {
    source: Source,
    stanzas: Vec<Stanza>,
}

/// Reads the components of a suite.
pub(super) fn suite(of: &Of<'_>, list: &KernelList, root: &Root, ask: &Asking<'_>) -> Result<Vec<Component>> {
    match read_suite(of, list, root, ask) {
        // while it was read the mirror was given a new one
        Err(Fault::Changed(_)) => read_suite(of, list, root, ask),
        other => other,
    }
    .map_err(|fault| match fault {
        Fault::Changed(error) | Fault::Other(error) => error,
    })
}

enum Fault {
    /// What the list of lists says is not what is there.
    Changed(Error),
    Other(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

fn read_suite(
    of: &Of<'_>,
    list: &KernelList,
    root: &Root,
    ask: &Asking<'_>,
) -> Result<Vec<Component>, Fault> {
    let suite = list.suite.replace("{release}", &of.lists.release);
    let folder = format!("dists/{suite}");
    let address = fetch::below(&root.url, &format!("{folder}/InRelease"));
    let (text, signature) = release(&address, &folder, root, ask)?;
    let release = Release::parse(&text);
    release.check(&address, ask.now)?;
    let mut components = Vec::new();
    for component in &list.components {
        let base = format!("{component}/binary-{}/Packages", of.machine);
        let listed = ENDINGS.iter().find_map(|ending| {
            let path = format!("{base}{ending}");
            release.files.get(&path).map(|known| (path.clone(), known))
        });
        let (path, known) = listed.ok_or_else(|| {
            Error::failed(format!("lists no `{base}` by its SHA-256:"))
                .at(&address)
                .hint("is it a mirror of that distribution, with that machine's packages?")
        })?;
        let by_hash = path
            .rsplit_once('/')
            .map_or_else(String::new, |(above, _)| format!("{above}/by-hash/SHA256/{}", known.sha256));
        let at = |path: &str| fetch::below(&root.url, &format!("{folder}/{path}"));
        let usual = || ask.fetcher.file(&at(&path), known).map_err(Fault::Changed);
        let place = if release.is_by_hash {
            ask.fetcher.file(&at(&by_hash), known).or_else(|_| usual())?
        } else {
            usual()?
        };
        let damaged = |error: io::Error| Error::failed(format!("cannot be read: {error}:")).at(at(&path));
        let stanzas = File::open(&place)
            .and_then(archive::decompressed)
            .and_then(|reader| stanzas(BufReader::new(reader), &|name| is_wanted(of, name)))
            .map_err(damaged)?;
        let source = Source {
            id: format!("{}/{}/{suite}/{component}/{}", of.target, list.path, of.arch),
            target: of.target.to_owned(),
            kind: SourceKind::Apt,
            url: root.url.clone(),
            path: Some(list.path.clone()),
            index: Some(Index {
                path: format!("{folder}/{path}"),
                sha256: known.sha256.clone(),
                date: release.date.clone(),
            }),
            signature: signature.clone(),
        };
        components.push(Component { source, stanzas });
    }
    Ok(components)
}

/// The text of a suite's list of lists, and who signed it.
fn release(address: &str, folder: &str, root: &Root, ask: &Asking<'_>) -> Result<(String, String)> {
    let unsigned = |address: &str| {
        Error::failed("is not signed:").at(address).hint(
            "name a mirror that is, or take it as it is: `{ url = \"…\", unsigned = true }` under `[mirrors]` in kpkg.toml",
        )
    };
    if let Some(bytes) = ask.fetcher.current(address, LARGEST_RELEASE)? {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !bytes.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----") {
            return if root.is_unsigned_allowed {
                Ok((text(&bytes), UNCHECKED_KEY.to_owned()))
            } else {
                Err(unsigned(address))
            };
        }
        let signed = ask.judge.clear(&bytes, &root.keyrings)?;
        // without somebody to judge, the text that the signature is around
        let inside =
            if let Signed::By { text, .. } = &signed { text.clone() } else { without_armour(&bytes) };
        return Ok((text(&inside), accepted(signed, address, root)?));
    }
    // an archive may have the text and its signature apart
    let plain = fetch::below(&root.url, &format!("{folder}/Release"));
    let Some(bytes) = ask.fetcher.current(&plain, LARGEST_RELEASE)? else {
        return Err(Error::failed("there is neither InRelease nor Release of")
            .at(address)
            .hint("is it a mirror of that distribution? Its address is the one that `dists/` is below"));
    };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match ask.fetcher.current(&format!("{plain}.gpg"), LARGEST_RELEASE)? {
        Some(signature) => {
            let key = accepted(ask.judge.detached(&bytes, &signature, &root.keyrings)?, &plain, root)?;
            Ok((text, key))
        }
        None if root.is_unsigned_allowed => Ok((text, UNCHECKED_KEY.to_owned())),
        None => Err(unsigned(&plain)),
    }
}

/// What a signature in clear text is around (RFC 9580, 7).
fn without_armour(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let body = text.split_once("\n\n").map_or("", |(_, body)| body);
    let body = body.split("\n-----BEGIN PGP SIGNATURE-----").next().unwrap_or_default();
    let lines = body.lines().map(|line| line.strip_prefix("- ").unwrap_or(line));
    lines.map(|line| format!("{line}\n")).collect::<String>().into_bytes()
}

/// What a suite's list of lists says.
#[derive(Default)]
struct Release {
    date: String,
    until: Option<String>,
    is_by_hash: bool,
    files: BTreeMap<String, Known>,
}

impl Release {
    fn parse(text: &str) -> Self {
        let mut release = Self::default();
        let mut field = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix(' ') {
                let words: Vec<_> = rest.split_whitespace().collect();
                if let ("SHA256", [sha256, size, path]) = (field, words.as_slice())
                    && let Ok(size) = size.parse()
                {
                    let known = Known { sha256: sha256.to_ascii_lowercase(), size };
                    release.files.insert((*path).to_owned(), known);
                }
                continue;
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            field = name;
            let value = value.trim();
            match name {
                "Date" => value.clone_into(&mut release.date),
                "Valid-Until" => release.until = Some(value.to_owned()),
                "Acquire-By-Hash" => release.is_by_hash = value == "yes",
                _ => {}
            }
        }
        release
    }

    fn check(&self, address: &str, now: i64) -> Result<()> {
        let until = self.until.as_deref().and_then(seconds);
        if let (Some(until), Some(text)) = (until, &self.until)
            && until < now
        {
            return Err(Error::failed(format!("was good until {text}, and is older than that:"))
                .at(address)
                .hint("the mirror is not kept up, or somebody holds updates back: name another one"));
        }
        Ok(())
    }
}

/// A date of an archive, in seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    let plain = text
        .strip_suffix(" UTC")
        .or_else(|| text.strip_suffix(" GMT"))
        .or_else(|| text.strip_suffix(" +0000"))?;
    let date = DateTime::strptime("%a, %d %b %Y %H:%M:%S", plain).ok()?;
    Some(date.in_tz("UTC").ok()?.timestamp().as_second())
}

fn is_wanted(of: &Of<'_>, name: &str) -> bool {
    release_in(of, name).is_some() || of.lists.needs.iter().any(|pattern| is_like(pattern, name))
}

/// The kernel release that the name of a package of headers has.
fn release_in<'n>(of: &Of<'_>, name: &'n str) -> Option<&'n str> {
    let (before, behind) = of.headers.split_once("%k")?;
    let release = name.strip_prefix(before)?.strip_suffix(behind)?;
    let is_release = release.starts_with(|first: char| first.is_ascii_digit()) && release.contains('.');
    is_release.then_some(release)
}

/// The paragraphs of a list whose packages are wanted.
fn stanzas(source: impl BufRead, is_wanted: &dyn Fn(&str) -> bool) -> io::Result<Vec<Stanza>> {
    let (mut found, mut now, mut is_kept) = (Vec::new(), Stanza::default(), false);
    let mut keep = |stanza: Stanza, is_kept: bool| {
        if is_kept && fetch::is_below(&stanza.path) && stanza.sha256.len() == 64 {
            found.push(stanza);
        }
    };
    for line in source.lines() {
        let line = line?;
        if line.is_empty() {
            keep(std::mem::take(&mut now), std::mem::take(&mut is_kept));
            continue;
        }
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name == "Package" {
            is_kept = is_wanted(value);
            value.clone_into(&mut now.name);
        }
        if !is_kept {
            continue;
        }
        match name {
            "Version" => value.clone_into(&mut now.version),
            "Architecture" => value.clone_into(&mut now.arch),
            "Depends" | "Pre-Depends" => now.needs.extend(value.split(',').filter_map(need)),
            "Filename" => value.strip_prefix("./").unwrap_or(value).clone_into(&mut now.path),
            "SHA256" => now.sha256 = value.to_ascii_lowercase(),
            "Size" => now.size = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    keep(now, is_kept);
    Ok(found)
}

/// The first of alternatives, and the version that it has to be.
fn need(text: &str) -> Option<(String, Option<String>)> {
    let first = text.split('|').next()?.trim();
    let (name, rest) = first.split_once(['(', ' ']).unwrap_or((first, ""));
    let name = name.split(':').next()?.trim();
    let version =
        rest.split_once("= ").filter(|(before, _)| before.trim_start_matches('(').trim().is_empty());
    let version = version.map(|(_, version)| version.trim_end_matches(')').trim().to_owned());
    Some((name.to_owned(), version)).filter(|(name, _)| !name.is_empty())
}

/// The kernels of components that belong together, with the packages of each.
pub(super) fn kernels(of: &Of<'_>, components: &[Component]) -> Result<Vec<Read>> {
    let mut all = Vec::new();
    for component in components {
        let mut kernels = Vec::new();
        for stanza in &component.stanzas {
            let Some(release) = release_in(of, &stanza.name) else { continue };
            // what all flavours share is for every machine, and no kernel's own
            if stanza.arch != of.machine {
                continue;
            }
            let Some(headers) = with_needs(of, stanza, component, components)? else { continue };
            kernels.push(Listed {
                release: release.to_owned(),
                version: stanza.version.clone(),
                flavour: select::flavour(release, of.machine),
                headers,
            });
        }
        all.push(Read { source: component.source.clone(), kernels });
    }
    Ok(all)
}

/// A package of headers and those that it needs; nothing where it only leads to another kernel's.
fn with_needs(
    of: &Of<'_>,
    first: &Stanza,
    own: &Component,
    all: &[Component],
) -> Result<Option<Vec<Header>>> {
    let mut found = vec![(own, first)];
    let mut next = 0;
    while next < found.len() {
        let (_, stanza) = found[next];
        next += 1;
        for (name, version) in &stanza.needs {
            if !of.lists.needs.iter().any(|pattern| is_like(pattern, name)) {
                continue;
            }
            // where it is built there, else wherever it is
            let places = std::iter::once(own).chain(all);
            let is_it = |other: &Stanza| {
                other.name == *name && version.as_ref().is_none_or(|version| *version == other.version)
            };
            let candidates = places.flat_map(|component| {
                component.stanzas.iter().filter(|other| is_it(other)).map(move |other| (component, other))
            });
            // the one that was built with it, or the newest
            let rank = |stanza: &Stanza| stanza.version == first.version;
            let newer = |best: &Stanza, other: &Stanza| {
                rank(other).cmp(&rank(best)).then_with(|| compare(&other.version, &best.version)).is_gt()
            };
            let best = candidates.reduce(|best, other| if newer(best.1, other.1) { other } else { best });
            let Some(best) = best else {
                let version = version.as_ref().map_or(String::new(), |version| format!(" {version}"));
                let text =
                    format!("`{} {}` needs `{name}{version}`, which no list has", first.name, first.version);
                return Err(
                    Error::failed(text).hint("the mirror is not whole: try again later, or name another one")
                );
            };
            if release_in(of, &best.1.name).is_some() && best.1.arch == of.machine {
                return Ok(None);
            }
            if !found.iter().any(|(_, other)| other.name == best.1.name) {
                found.push(best);
            }
        }
    }
    let header = |(component, stanza): &(&Component, &Stanza)| Header {
        source: Some(component.source.id.clone()).filter(|id| *id != own.source.id),
        path: stanza.path.clone(),
        sha256: stanza.sha256.clone(),
        size: stanza.size,
    };
    Ok(Some(found.iter().map(header).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_alternative_and_its_version_is_what_is_needed() {
        let of = |text: &str| need(text).map(|(name, version)| (name, version.unwrap_or_default()));
        let pair = |name: &str, version: &str| Some((name.to_owned(), version.to_owned()));
        assert_eq!(
            of(" linux-headers-6.1.0-9-common (= 6.1.27-1)"),
            pair("linux-headers-6.1.0-9-common", "6.1.27-1")
        );
        assert_eq!(of("linux-kbuild-6.1 (>= 6.1.27-1)"), pair("linux-kbuild-6.1", ""));
        assert_eq!(
            of("linux-image-6.12 (= 6.12-1) | linux-image-6.12-unsigned"),
            pair("linux-image-6.12", "6.12-1")
        );
        assert_eq!(of("gcc:any"), pair("gcc", ""));
    }

    #[test]
    fn dates_of_archives_are_read() {
        assert_eq!(seconds("Thu, 01 Jan 1970 00:01:00 UTC"), Some(60));
        assert_eq!(seconds("Sat, 28 Nov 2026 08:12:13 UTC"), Some(1_795_853_533));
        assert_eq!(seconds("tomorrow"), None);
    }
}
