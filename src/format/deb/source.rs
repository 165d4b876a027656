//! Debian source packages: the format `3.0 (quilt)` of dpkg-source(1), dsc(5), deb-src-control(5) and deb-changes(5).
//!
//! The bytes of the upstream archive depend on the driver alone, so that every upload of one version has the same.

use std::io;
use std::path::Path;

use digest::{Digest, Update};
use md5::Md5;
use sha1::Sha1;
use sha2::Sha256;

use super::super::{Contents, ENTRIES, ReadFile, ReadPackage, kind_of, unspeakable_value};
use super::read::{paragraph, relations as read_relations};
use super::spell::{CONFLICTS, architecture, description, relation_text, relations, script_name, spelled};
use super::values::is_known as is_known_field;
use super::write::{changelog_text, date, triggers_text};
use crate::archive::{self, Tapped};
use crate::base::beneath;
use crate::base::diagnostic::Diagnostic;
use crate::base::error::{Error, Result};
use crate::output::{Output, Scratch};
use crate::package::{
    Arch, Codec, Compression, Content, Entry, EntryKind, Package, RelationKind, Role, Source, Version,
    wrapped,
};

/// What every dpkg-source reads (it refuses Zstandard), and what distributions use.
const COMPRESSION: Compression = Compression { codec: Codec::Xz, level: 6 };

/// What debhelper puts other text in the place of, in maintainer scripts (`dh_installdeb(1)`); what begins so ends with `#`.
const TOKENS: [&str; 4] = ["#DEBHELPER#", "#PACKAGE#", "#DEB_", "#ENV."];

/// What a source package cannot say of a package.
pub(super) fn check(package: &Package) -> Vec<Diagnostic> {
    let lines = package.scripts.iter().flat_map(|script| script.body.lines());
    let has_token = |line: &&str| TOKENS.iter().any(|token| line.contains(token));
    let scripts = lines.filter(has_token).map(|line| {
        let message = format!(
            "a script has the line `{}`, in which debhelper replaces a word",
            line.trim().escape_debug()
        );
        unspeakable_value(line, message).hint("write it without the word between `#` signs")
    });
    let source = package.fields.get("Source").map(|source| {
        let message = "the source package has the name of the package, and no field `Source`";
        unspeakable_value(source, message).hint("leave the field or source packages out")
    });
    let first = package.fields.get("Pre-Depends").filter(|first| {
        let needs = first.split([',', '|']).filter_map(|need| need.split_whitespace().next());
        let names: Vec<_> = needs.collect();
        package
            .relations
            .iter()
            .flat_map(|relation| &relation.any_of)
            .any(|other| names.contains(&&*other.name))
    });
    let first = first.map(|first| {
        let message = format!("`{first}` in Pre-Depends is in another relation as well");
        unspeakable_value(first, message).hint("name it in one of them")
    });
    scripts.chain(source).chain(first).collect()
}

/// The names of the artifacts; a native package has one archive.
struct Names {
    upstream: Option<String>,
    packaging: String,
    dsc: String,
    buildinfo: Option<String>,
    changes: String,
}

impl Names {
    fn new(package: &Package, source: &Source) -> Self {
        let name = &package.name;
        let full = spelled(&Version { epoch: None, ..package.version.clone() });
        let has_revision = package.version.has_revision();
        let upstream = full.rsplit_once('-').map_or(full.as_str(), |(upstream, _)| upstream);
        Self {
            upstream: has_revision.then(|| format!("{name}_{upstream}.orig.tar.xz")),
            packaging: if has_revision {
                format!("{name}_{full}.debian.tar.xz")
            } else {
                format!("{name}_{full}.tar.xz")
            },
            dsc: format!("{name}_{full}.dsc"),
            buildinfo: source.made_on.map(|_| format!("{name}_{full}_source.buildinfo")),
            changes: format!("{name}_{full}_source.changes"),
        }
    }
}

pub(super) fn artifacts(package: &Package, source: &Source) -> Vec<String> {
    let names = Names::new(package, source);
    let first = names.upstream.into_iter().chain([names.packaging, names.dsc]);
    first.chain(names.buildinfo).chain([names.changes]).collect()
}

/// Everything is made and signed before the first artifact appears.
pub(super) fn write(package: &Package, source: &Source, out: &mut dyn Output) -> Result<()> {
    let names = Names::new(package, source);
    let mut archives = Vec::new();
    let mut entries = packaging(package, source);
    if let Some(name) = names.upstream {
        let (file, data) = tarball(name, &source.folder, &source.upstream, package.stamp, out)?;
        refuse_other_bytes(&file, out)?;
        archives.push((file, data));
        archives.push(tarball(names.packaging, "", &entries, package.stamp, out)?);
    } else {
        entries.extend(source.upstream.iter().filter(|entry| !is_packaging(entry)).cloned());
        archives.push(tarball(names.packaging, &source.folder, &entries, package.stamp, out)?);
    }
    let mut files: Vec<_> = archives.iter().map(|(file, _)| file).collect();
    let dsc = out.signed(&names.dsc, dsc_text(package, source, &files))?;
    let described = SourceFile::of(&names.dsc, &dsc);
    let buildinfo = match (&names.buildinfo, source.made_on) {
        (Some(name), Some(arch)) => {
            let text = out.signed(name, buildinfo_text(package, arch, &described))?;
            Some((name, SourceFile::of(name, &text), text))
        }
        _ => None,
    };
    files.insert(0, &described);
    files.extend(buildinfo.iter().map(|(_, file, _)| file));
    let changes = out.signed(&names.changes, changes_text(package, source, &files))?;
    for (file, data) in &mut archives {
        out.artifact(&file.name, &mut |stream| {
            stream.append(data).map_err(|error| Error::io("cannot write", &file.name, error))
        })?;
    }
    let first = std::iter::once((&names.dsc, &dsc));
    let second = buildinfo.iter().map(|(name, _, text)| (*name, text));
    for (name, text) in first.chain(second).chain([(&names.changes, &changes)]) {
        out.artifact(name, &mut |stream| {
            stream.write_all(text.as_bytes()).map_err(|error| Error::io("cannot write", name, error))
        })?;
    }
    Ok(())
}

/// An archive of the upstream version may be in use already: archives refuse another one of that name.
fn refuse_other_bytes(file: &SourceFile, out: &dyn Output) -> Result<()> {
    let Some(mut there) = out.earlier(&file.name)? else { return Ok(()) };
    let mut sha256 = Sha256::new();
    io::copy(&mut there, &mut sha256).map_err(|error| Error::io("cannot read", &file.name, error))?;
    if format!("{:x}", sha256.finalize()) == file.sha256 {
        return Ok(());
    }
    Err(Error::usage(format!("`{}` is there already, of other bytes", file.name)).hint(
        "archives take one such file for a version: give the driver another version (`--driver-version`), or remove the file if it \
         was never uploaded",
    ))
}

/// A file of a source package, as `.dsc` and `.changes` list it.
struct SourceFile {
    name: String,
    size: u64,
    md5: String,
    sha1: String,
    sha256: String,
}

#[derive(Default)]
struct Sums {
    md5: Md5,
    sha1: Sha1,
    sha256: Sha256,
}

impl Update for Sums {
    fn update(&mut self, bytes: &[u8]) {
        Digest::update(&mut self.md5, bytes);
        Digest::update(&mut self.sha1, bytes);
        Digest::update(&mut self.sha256, bytes);
    }
}

impl SourceFile {
    fn of(name: &str, text: &str) -> Self {
        let mut sums = Sums::default();
        sums.update(text.as_bytes());
        sums.file(name.to_owned(), text.len() as u64)
    }
}

impl Sums {
    fn file(self, name: String, size: u64) -> SourceFile {
        SourceFile {
            name,
            size,
            md5: format!("{:x}", self.md5.finalize()),
            sha1: format!("{:x}", self.sha1.finalize()),
            sha256: format!("{:x}", self.sha256.finalize()),
        }
    }
}

/// Entries below a folder as a compressed tar, in a temporary stream.
fn tarball(
    name: String,
    folder: &str,
    entries: &[Entry],
    stamp: u32,
    out: &dyn Output,
) -> Result<(SourceFile, Scratch)> {
    let tapped = Tapped::new(out.scratch()?, Sums::default());
    let Tapped { out: data, tap: sums, count } =
        archive::tarball(tapped, folder, entries, COMPRESSION, stamp, out.means())?;
    Ok((sums.file(name, count), data))
}

/// Whether a file of the driver's lies where the packaging and its patches do: dpkg-source takes the first folder out of the upstream
/// archive, and has the second for itself.
fn is_packaging(entry: &Entry) -> bool {
    ["debian/", ".pc/"].iter().any(|folder| format!("{}/", entry.path).starts_with(folder))
}

/// The folder `debian`.
fn packaging(package: &Package, source: &Source) -> Vec<Entry> {
    let name = &package.name;
    let mut entries = source.packaging.clone();
    let mut text = |path: String, text: String| {
        let kind = EntryKind::File { content: Content::Text(text), executable: false };
        entries.push(Entry { path, kind, role: Role::Plain });
    };
    text("debian/control".to_owned(), control_text(package, source));
    text("debian/changelog".to_owned(), changelog_text(package));
    for script in &package.scripts {
        if let Some(kind) = script_name(script.when) {
            text(format!("debian/{name}.{kind}"), script.body.clone());
        }
    }
    if !package.triggers.is_empty() {
        // dh_installdeb(1) takes it from here
        text(format!("debian/{name}.triggers"), triggers_text(package));
    }
    let documents = format!("usr/share/doc/{name}");
    for entry in &source.files {
        // debhelper makes the folder, and takes the copyright from where it belongs in a source package
        let path = match entry.path.strip_prefix(&documents) {
            Some("") => continue,
            Some("/copyright") => "debian/copyright".to_owned(),
            _ => format!("debian/payload/{}", entry.path),
        };
        entries.push(Entry { path, ..entry.clone() });
    }
    // they would be lost among the packaging
    for entry in source.upstream.iter().filter(|entry| is_packaging(entry)) {
        let path = format!("debian/payload/usr/src/{}/{}", source.folder, entry.path);
        entries.push(Entry { path, ..entry.clone() });
    }
    entries
}

/// A text in `debian/control`, where `${NAME}` would be replaced; `${}` is a dollar sign (deb-substvars(5)).
fn literal(text: &str) -> String {
    text.replace("${", "${}{")
}

fn fields(list: &[(&str, String)]) -> String {
    list.iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect()
}

fn build_requires(source: &Source) -> String {
    source.build_requires.iter().map(relation_text).collect::<Vec<_>>().join(", ")
}

/// `debian/control`: deb-src-control(5).
fn control_text(package: &Package, source: &Source) -> String {
    let extra = |name: &str| package.fields.get(name).cloned().unwrap_or_default();
    let own = |name: &str| source.fields.get(name).cloned().unwrap_or_default();
    let general = fields(&[
        ("Source", package.name.clone()),
        ("Section", extra("Section")),
        ("Priority", extra("Priority")),
        ("Maintainer", literal(&package.maintainer)),
        ("Build-Depends", build_requires(source)),
        ("Standards-Version", own("Standards-Version")),
        ("Rules-Requires-Root", "no".to_owned()),
        ("Homepage", literal(&package.homepage)),
        ("Testsuite", own("Testsuite")),
    ]);
    let needs = ["${misc:Depends}".to_owned(), relations(package, &[RelationKind::Requires])];
    let needs: Vec<_> = needs.into_iter().filter(|list| !list.is_empty()).collect();
    let own = [
        ("Package", package.name.clone()),
        ("Architecture", architecture(package.arch).to_owned()),
        ("Depends", needs.join(", ")),
        ("Recommends", relations(package, &[RelationKind::Recommends])),
        ("Suggests", relations(package, &[RelationKind::Suggests])),
        ("Enhances", relations(package, &[RelationKind::Supplements])),
        ("Conflicts", relations(package, CONFLICTS)),
        ("Breaks", relations(package, &[RelationKind::Breaks])),
        ("Replaces", relations(package, &[RelationKind::Replaces])),
        ("Provides", relations(package, &[RelationKind::Provides])),
        ("Multi-Arch", extra("Multi-Arch")),
    ];
    let placed = ["Source", "Section", "Priority", "Multi-Arch"];
    let others = package.fields.iter().filter(|(name, _)| !placed.contains(&name.as_str()));
    // what dpkg-gencontrol does not know it leaves out, but for names that begin so (deb-src-control(5))
    let mark = |name: &str| if is_known_field(name) { "" } else { "XB-" };
    let others: String =
        others.map(|(name, value)| format!("{}{name}: {}\n", mark(name), literal(value))).collect();
    let description = fields(&[("Description", literal(&description(package)))]);
    format!("{general}\n{}{others}{description}", fields(&own))
}

/// `.dsc`: the fields in the order of dpkg-source.
fn dsc_text(package: &Package, source: &Source, files: &[&SourceFile]) -> String {
    let extra = |name: &str| package.fields.get(name).map_or("-", String::as_str);
    let arch = architecture(package.arch);
    let own = |name: &str| source.fields.get(name).cloned().unwrap_or_default();
    let head = fields(&[
        ("Format", format!("3.0 ({})", if package.version.has_revision() { "quilt" } else { "native" })),
        ("Source", package.name.clone()),
        ("Binary", package.name.clone()),
        ("Architecture", arch.to_owned()),
        ("Version", spelled(&package.version)),
        ("Maintainer", package.maintainer.clone()),
        ("Homepage", package.homepage.clone()),
        ("Standards-Version", own("Standards-Version")),
        ("Testsuite", own("Testsuite")),
        ("Build-Depends", build_requires(source)),
    ]);
    let (section, priority) = (extra("Section"), extra("Priority"));
    let list = format!("Package-List:\n {} deb {section} {priority} arch={arch}\n", package.name);
    format!("{head}{list}{}{}", sums_text(files), files_text(files, |_| String::new()))
}

/// `_source.buildinfo`: deb-buildinfo(5). No package was installed for it but kpkg itself.
fn buildinfo_text(package: &Package, arch: Arch, dsc: &SourceFile) -> String {
    let head = fields(&[
        ("Format", "1.0".to_owned()),
        ("Source", package.name.clone()),
        ("Architecture", "source".to_owned()),
        ("Version", spelled(&package.version)),
    ]);
    let md5 = format!("Checksums-Md5:\n {} {} {}\n", dsc.md5, dsc.size, dsc.name);
    let tail = fields(&[
        ("Build-Architecture", architecture(arch).to_owned()),
        ("Build-Date", date(package.stamp)),
        ("Installed-Build-Depends", format!("\n kpkg (= {})", env!("CARGO_PKG_VERSION"))),
        ("Environment", format!("\n SOURCE_DATE_EPOCH=\"{}\"", package.stamp)),
    ]);
    format!("{head}{md5}{}{tail}", sums_text(&[dsc])).replace(": \n", ":\n")
}

/// `_source.changes`: what an upload consists of.
fn changes_text(package: &Package, source: &Source, files: &[&SourceFile]) -> String {
    let extra = |name: &str| package.fields.get(name).map_or("-", String::as_str);
    let version = spelled(&package.version);
    let newest = package.changelog.first();
    let lines: String = newest
        .into_iter()
        .flat_map(|change| &change.lines)
        .map(|line| format!("   * {}\n", wrapped(line).join("\n     ")))
        .collect();
    let head = fields(&[
        ("Format", "1.8".to_owned()),
        ("Date", date(newest.map_or(package.stamp, |change| change.time))),
        ("Source", package.name.clone()),
        ("Architecture", "source".to_owned()),
        ("Version", version.clone()),
        ("Distribution", source.distribution.clone()),
        ("Urgency", "medium".to_owned()),
        ("Maintainer", package.maintainer.clone()),
        ("Changed-By", newest.map_or(&package.maintainer, |change| &change.author).clone()),
    ]);
    let changes = format!(
        "Changes:\n {} ({version}) {}; urgency=medium\n .\n{lines}",
        package.name, source.distribution
    );
    let place = format!(" {} {}", extra("Section"), extra("Priority"));
    format!("{head}{changes}{}{}", sums_text(files), files_text(files, |_| place.clone()))
}

fn sums_text(files: &[&SourceFile]) -> String {
    let list = |name: &str, sum: fn(&SourceFile) -> &str| {
        let lines: String =
            files.iter().map(|file| format!(" {} {} {}\n", sum(file), file.size, file.name)).collect();
        format!("Checksums-{name}:\n{lines}")
    };
    list("Sha1", |file| &file.sha1) + &list("Sha256", |file| &file.sha256)
}

fn files_text(files: &[&SourceFile], place: impl Fn(&SourceFile) -> String) -> String {
    let lines: String = files
        .iter()
        .map(|file| format!(" {} {}{} {}\n", file.md5, file.size, place(file), file.name))
        .collect();
    format!("Files:\n{lines}")
}

// ---- reading ----------------------------------------------------------------------------------------------------------------

/// How much is read of a `.dsc`.
const DESCRIPTION: u64 = 1 << 20;

/// Reads a `.dsc` and the archives beside it, which have to be those that it describes. The driver's files are found below `/`,
/// those of the packaging below `/debian`.
pub(super) fn read(path: &Path, contents: &mut dyn Contents) -> io::Result<Option<ReadPackage>> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    if path.extension().is_none_or(|ending| ending != "dsc") {
        return Ok(None);
    }
    let bytes = beneath::start(beneath::open_regular(path)?, DESCRIPTION)?;
    let text = unsigned(&String::from_utf8_lossy(&bytes));
    let fields = paragraph(&text);
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let lines =
        |name: &str| field(name).unwrap_or_default().lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    if field("Format").is_none() || field("Source").is_none() || field("Files").is_none() {
        return Err(invalid("it has no fields `Format`, `Source` and `Files`".to_owned()));
    }
    let text = |name: &str| field(name).unwrap_or_default().to_owned();
    let mut found = ReadPackage {
        format: "dsc",
        name: text("Source"),
        version: text("Version"),
        arch: text("Architecture"),
        ..ReadPackage::default()
    };
    for (name, value) in &fields {
        match name.as_str() {
            "Source" | "Version" | "Architecture" | "Files" => {}
            "Maintainer" | "Homepage" => {
                found.metadata.insert(name.to_ascii_lowercase(), value.clone());
            }
            "Build-Depends" | "Build-Depends-Indep" | "Build-Depends-Arch" => {
                found.build_requires.extend(read_relations(RelationKind::Requires, value));
            }
            sums if sums.starts_with("Checksums-") => {}
            own => {
                found.metadata.insert(own.to_owned(), value.clone());
            }
        }
    }
    if lines("Checksums-Sha256").is_empty() {
        found.lacks.push("SHA-256 digests of the files".to_owned());
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    for line in lines("Files") {
        let words: Vec<_> = line.split_whitespace().collect();
        let &[md5, size, name] = words.as_slice() else {
            return Err(invalid(format!("`{}` is no line of `Files`", line.escape_debug())));
        };
        if name.contains('/') || name.starts_with('.') {
            return Err(invalid(format!("`{}` is no name of a file beside it", name.escape_debug())));
        }
        let sha256 = lines("Checksums-Sha256").iter().find_map(|line| {
            let mut words = line.split_whitespace();
            let sum = words.next()?.to_owned();
            (words.nth(1) == Some(name)).then_some(sum)
        });
        let named = |error: io::Error| io::Error::new(error.kind(), format!("`{name}`: {error}"));
        verify(&folder.join(name), size, md5, sha256.as_deref()).map_err(named)?;
        // signatures of archives are no archives
        if name.contains(".tar.") && !name.ends_with(".asc") {
            let packaging = name.contains(".debian.tar.");
            read_archive(&folder.join(name), packaging, contents, &mut found).map_err(named)?;
        }
    }
    Ok(Some(found))
}

/// Without the signature around it; lines that begin with a dash are escaped there (RFC 9580, 7.1).
pub(super) fn unsigned(text: &str) -> String {
    let Some((_, signed)) = text.split_once("-----BEGIN PGP SIGNED MESSAGE-----") else {
        return text.to_owned();
    };
    // behind its own fields, such as `Hash`
    let body = signed.trim_start().lines().skip_while(|line| !line.trim().is_empty()).skip(1);
    let body = body.take_while(|line| !line.starts_with("-----BEGIN PGP SIGNATURE"));
    body.map(|line| format!("{}\n", line.strip_prefix("- ").unwrap_or(line))).collect()
}

fn verify(path: &Path, size: &str, md5: &str, sha256: Option<&str>) -> io::Result<()> {
    let mut seen = Tapped::new(io::sink(), Sums::default());
    io::copy(&mut beneath::open_regular(path)?, &mut seen)?;
    let (own, count) = (seen.tap.file(String::new(), seen.count), seen.count);
    if size == count.to_string() && own.md5 == md5 && sha256.is_none_or(|sum| sum == own.sha256) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "it is not the file that the .dsc describes"))
}

fn read_archive(
    path: &Path,
    packaging: bool,
    contents: &mut dyn Contents,
    found: &mut ReadPackage,
) -> io::Result<()> {
    let reader = archive::decompressed(beneath::open_regular(path)?)?;
    archive::read_tar(reader, ENTRIES, &mut |entry, content| {
        let name = entry.name.trim_start_matches("./").trim_end_matches('/');
        // the driver's files lie below one folder, whatever it is called
        let place = if packaging { Some(name) } else { name.split_once('/').map(|(_, rest)| rest) };
        let Some(place) = place.filter(|place| !place.is_empty()) else { return Ok(()) };
        let path = format!("/{place}");
        if entry.is_file && contents.wants(&path) {
            contents.take(&path, content)?;
        }
        let (mode, owner) = (entry.mode, entry.owner);
        let kind = kind_of(entry.is_folder, entry.target, entry.size, mode);
        found.files.push(ReadFile { path, mode, owner, kind, checksum: None });
        Ok(())
    })
}
