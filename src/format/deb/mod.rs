//! Debian binary packages: `deb(5)`, Debian Policy chapters 5 and 6.
//!
//! Writes without any of dpkg's tools. Never renders a template and never decides what is in a package.

mod implied;
mod source;
mod values;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use jiff::fmt::rfc2822;

use super::{
    Contents, ENTRIES, Family, Format, Found, FoundFile, FoundScript, TEXT, TOO_LARGE, UNSPEAKABLE_NAME,
    UNSPEAKABLE_SCRIPT,
};
use crate::archive::{self, Compressor, Md5s, Member, TAR_END, Tapped};
use crate::beneath::open_regular;
use crate::diagnostic::Diagnostic;
use crate::error::{Error, Result};
use crate::output::{Means, Output};
use crate::package::{
    Arch, Bound, Capability, Change, Codec, Comparison, Compression, Content, Entry, EntryKind, Module,
    Package, Payload, Relation, RelationKind, Version, When, wrapped,
};

/// The family of the `.deb` family.
pub(super) struct Deb;

/// The largest member: ten decimal digits (`deb(5)`).
const LARGEST_MEMBER: u64 = 9_999_999_999;

/// The scripts of a control archive, deb(5).
const SCRIPTS: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];

/// The most that is read of a list of checksums: 300,000 files of headers fit.
const SUMS: u64 = 64 << 20;

/// Reads a `.deb`: the members of deb(5), their tars, and of the contents what [`Found`] keeps.
fn read(path: &Path, contents: &mut dyn Contents) -> io::Result<Option<Found>> {
    let mut file = open_regular(path)?;
    let mut magic = [0; 8];
    if file.read_exact(&mut magic).is_err() || &magic != b"!<arch>\n" {
        return Ok(None);
    }
    check_names(&mut file)?;
    file.rewind()?;
    let mut found = Found { format: "deb", ..Found::default() };
    let mut archive = ar::Archive::new(io::BufReader::new(file));
    let mut sums = None;
    let mut members = Vec::new();
    while let Some(member) = archive.next_entry() {
        let member = member?;
        let name = String::from_utf8_lossy(member.header().identifier()).trim_end_matches('/').to_owned();
        if name.starts_with("control.tar") {
            let reader = archive::decompressed(member)?;
            archive::read_tar(reader, ENTRIES, &mut |entry, content| {
                let name = entry.name.trim_start_matches("./");
                let mut text = || -> io::Result<String> {
                    let mut bytes = Vec::new();
                    content.take(TEXT).read_to_end(&mut bytes)?;
                    Ok(String::from_utf8_lossy(&bytes).into_owned())
                };
                if name == "control" {
                    read_control(&text()?, &mut found);
                } else if SCRIPTS.contains(&name) {
                    found.scripts.push(FoundScript { name: name.to_owned(), text: text()?, program: None });
                } else if name == "md5sums" {
                    let mut bytes = Vec::new();
                    content.take(SUMS).read_to_end(&mut bytes)?;
                    sums = Some(read_sums(&String::from_utf8_lossy(&bytes)));
                }
                Ok(())
            })?;
        } else if name.starts_with("data.tar") {
            let reader = archive::decompressed(member)?;
            archive::read_tar(reader, ENTRIES, &mut |entry, content| {
                let path = format!("/{}", entry.name.trim_start_matches("./").trim_end_matches('/'));
                if entry.is_file && contents.wants(&path) {
                    contents.take(&path, content)?;
                }
                if let Some(other) = entry.same_as.filter(|_| contents.wants(&path)) {
                    contents.same(&path, &format!("/{}", other.trim_start_matches("./")))?;
                }
                let checksum = sums.as_ref().and_then(|sums| sums.get(&path[1..])).cloned();
                let (mode, owner, is_folder) = (entry.mode, entry.owner, entry.is_folder);
                let target = entry.target;
                found.files.push(FoundFile { path, mode, owner, is_folder, target, checksum });
                Ok(())
            })?;
        }
        // dpkg skips those that begin so (deb(5))
        else if name != "debian-binary" && !name.starts_with('_') {
            let text = format!("it has an unknown member `{}`", name.escape_debug());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        members.push(name);
    }
    if sums.is_none() {
        found.lacks.push("the list of MD5 sums that `dpkg --verify` needs".to_owned());
    }
    for member in ["control.tar", "data.tar"] {
        if !members.iter().any(|name| name.starts_with(member)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has no member {member}")));
        }
    }
    Ok(Some(found))
}

/// Fails on a member whose name stands elsewhere, `/99`: deb(5) has none, and the ar crate panics where that place is not there.
fn check_names(file: &mut File) -> io::Result<()> {
    let mut header = [0; 60];
    loop {
        match file.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        if header[0] == b'/' && header[1].is_ascii_digit() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a member has no name of its own"));
        }
        let size = std::str::from_utf8(&header[48..58]).ok().and_then(|size| size.trim().parse::<u32>().ok());
        // what is no number is told by who reads the members
        let Some(size) = size else { return Ok(()) };
        file.seek_relative(i64::from(size) + i64::from(size % 2))?;
    }
}

/// `HEX  path` lines: path to digits.
fn read_sums(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| line.split_once("  ").map(|(sum, path)| (path.to_owned(), sum.to_owned()));
    text.lines().filter_map(line).collect()
}

/// The fields of a paragraph, in order: name, and the lines of its value; deb822(5).
fn paragraph(text: &str) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().take_while(|line| !line.trim().is_empty()) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    fields
}

/// The relations of a .deb by their field, and the kind that [`Found`] has them under.
const RELATIONS: [(&str, &str); 9] = [
    ("Pre-Depends", "requires"),
    ("Depends", "requires"),
    ("Recommends", "recommends"),
    ("Suggests", "suggests"),
    ("Enhances", "supplements"),
    ("Conflicts", "conflicts"),
    ("Breaks", "conflicts"),
    ("Replaces", "replaces"),
    ("Provides", "provides"),
];

/// `a (>= 1) | b` as all formats write it: `a >= 1 | b`.
fn neutral(text: &str) -> String {
    let words = text.replace(['(', ')'], " ").replace('|', " | ");
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The fields of a control file that [`Found`] keeps.
fn read_control(text: &str, found: &mut Found) {
    let fields = paragraph(text);
    let field = |name: &str| {
        let found = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.replace('\n', " "))
    };
    found.name = field("Package").unwrap_or_default();
    found.version = field("Version").unwrap_or_default();
    found.arch = field("Architecture").unwrap_or_default();
    for name in ["Pre-Depends", "Depends"] {
        let value = field(name).unwrap_or_default();
        let names =
            value.split([',', '|']).map(|need| need.trim().split([' ', '(', ':']).next().unwrap_or_default());
        found.requires.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    for (name, value) in &fields {
        let known = |(field, _): &&(&str, &str)| field.eq_ignore_ascii_case(name);
        if let Some((_, kind)) = RELATIONS.iter().find(known) {
            let list = value.split(',').map(neutral).filter(|text| !text.is_empty());
            found.relations.entry(kind).or_default().extend(list);
            continue;
        }
        let value = match name.as_str() {
            "Package" | "Version" | "Architecture" => continue,
            "Maintainer" => ("maintainer", value.clone()),
            "Homepage" => ("homepage", value.clone()),
            "Description" => {
                let (summary, rest) = value.split_once('\n').unwrap_or((value, ""));
                found.metadata.insert("summary".to_owned(), summary.to_owned());
                let lines = rest.lines().map(|line| if line.trim() == "." { "" } else { line.trim() });
                ("description", lines.collect::<Vec<_>>().join("\n"))
            }
            own => (own, value.clone()),
        };
        found.metadata.insert(value.0.to_owned(), value.1);
    }
    for name in ["Package", "Version", "Architecture", "Maintainer", "Description"] {
        if field(name).is_none_or(|value| value.is_empty()) {
            found.lacks.push(format!("the field `{name}`, which dpkg wants"));
        }
    }
}

impl Family for Deb {
    fn read(&self, path: &Path, contents: &mut dyn Contents) -> Result<Option<Found>> {
        let found = read(path, contents).and_then(|found| match found {
            None => source::read(path, contents),
            found => Ok(found),
        });
        found.map_err(|error| Error::io("cannot read the package", path, error).as_usage())
    }

    fn formats(&self) -> &'static [Format] {
        &[
            Format { name: "deb", is_source: false, is_usual: true },
            Format { name: "dsc", is_source: true, is_usual: true },
        ]
    }

    fn artifacts(&self, package: &Package) -> Vec<String> {
        if let Payload::Source(source) = &package.payload {
            return source::artifacts(package, source);
        }
        let version = spelled(&Version { epoch: None, ..package.version.clone() });
        vec![format!("{}_{version}_{}.deb", package.name, architecture(package.arch))]
    }

    fn version(&self, version: &Version) -> String {
        spelled(version)
    }

    fn unspeakable(&self, version: &Version) -> Option<String> {
        unspeakable(version)
    }

    fn check(&self, package: &Package) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let is_named = is_name(&package.name);
        if !is_named {
            let message = format!("`{}` is no name for a .deb", package.name);
            found.push(
                Diagnostic::error(&UNSPEAKABLE_NAME, message)
                    .about(&package.name)
                    .hint("set `package-name` under `[driver]` in kpkg.toml"),
            );
        }
        found.extend(super::unspeakable_version("a .deb", &package.version, unspeakable(&package.version)));
        found.extend(super::unspeakable_values(package, &self.artifacts(package)));
        // some relations are made of the name
        for relation in package.relations.iter().filter(|_| is_named) {
            if let Some(reason) = values::unspeakable(relation) {
                found.push(super::unspeakable_relation(relation, "a .deb", &reason));
            }
        }
        found.extend(values::fields(package));
        if let Payload::Source(_) = &package.payload {
            found.extend(source::check(package));
        }
        for script in &package.scripts {
            if script_name(script.when).is_none() {
                let message = format!("a .deb has no moment for the script {:?}", script.when);
                found.push(Diagnostic::error(&UNSPEAKABLE_SCRIPT, message));
            }
        }
        if package.compression.codec == Codec::None && data_length(&items(package)) > LARGEST_MEMBER {
            found.push(Diagnostic::error(&TOO_LARGE, "more than 9,999,999,999 bytes without compression"));
        }
        found
    }

    fn write(&self, package: &Package, out: &mut dyn Output) -> Result<()> {
        if let Payload::Source(source) = &package.payload {
            return source::write(package, source, out);
        }
        let items = items(package);
        let mut data = out.scratch()?;
        let (sums, length) = write_data(package, &items, &mut data, out.means())?;
        let control = control_member(package, &items, &sums, out.means())?;
        if length > LARGEST_MEMBER {
            return Err(Error::failed(
                "the package is larger than 9,999,999,999 bytes, which is all that a .deb can carry",
            )
            .hint("choose a stronger `--compression`"));
        }
        let suffix = package.compression.codec.suffix();
        let name = self.artifacts(package).remove(0);
        out.artifact(&name, &mut |stream| {
            let failed = |error| Error::io("cannot write", &name, error);
            stream.write_all(b"!<arch>\n").map_err(failed)?;
            ar_member(stream, "debian-binary", package.stamp, b"2.0\n").map_err(failed)?;
            ar_member(stream, &format!("control.tar{suffix}"), package.stamp, &control).map_err(failed)?;
            ar_header(stream, &format!("data.tar{suffix}"), package.stamp, length).map_err(failed)?;
            stream.append(&mut data).map_err(failed)?;
            ar_padding(stream, length).map_err(failed)
        })
    }
}

/// What goes into the data member: the payload, and what the format itself asks for beside it.
struct Item<'a> {
    /// Without `./`; the root is empty.
    path: Cow<'a, str>,
    kind: ItemKind<'a>,
    mode: u16,
}

enum ItemKind<'a> {
    Directory,
    Symlink(&'a str),
    Content(&'a Content),
    Bytes(Vec<u8>),
}

impl Item<'_> {
    fn folder(path: String) -> Self {
        Self { path: path.into(), kind: ItemKind::Directory, mode: 0o755 }
    }

    fn size(&self) -> u64 {
        match &self.kind {
            ItemKind::Directory | ItemKind::Symlink(_) => 0,
            ItemKind::Content(content) => content.size(),
            ItemKind::Bytes(bytes) => bytes.len() as u64,
        }
    }

    fn member(&self) -> Member<'_> {
        match &self.kind {
            ItemKind::Directory => Member::Directory,
            ItemKind::Symlink(target) => Member::Symlink(target),
            ItemKind::Content(_) | ItemKind::Bytes(_) => Member::File(self.size()),
        }
    }

    /// `./`, `./usr/src/`, `./usr/src/file`: the names that dpkg writes.
    fn tar_name(&self) -> String {
        match self.kind {
            ItemKind::Directory if self.path.is_empty() => "./".to_owned(),
            ItemKind::Directory => format!("./{}/", self.path),
            _ => format!("./{}", self.path),
        }
    }
}

/// Payload, changelog (Policy 12.7) and every folder above them: dpkg refuses members without parents. In the order of dpkg-deb, which
/// compares paths name by name, so that `one/two` comes before `one.h`.
fn items(package: &Package) -> Vec<Item<'_>> {
    let mut items: Vec<_> = package.payload.entries().iter().map(item).collect();
    items.push(Item {
        path: format!("usr/share/doc/{}/{}.gz", package.name, changelog_name(package)).into(),
        kind: ItemKind::Bytes(gzip(changelog_text(package).as_bytes())),
        mode: 0o644,
    });
    let mut parents = BTreeSet::new();
    for item in &items {
        let mut path: &str = &item.path;
        while let Some((parent, _)) = path.rsplit_once('/') {
            if !parents.insert(parent.to_owned()) {
                break;
            }
            path = parent;
        }
    }
    for item in &items {
        parents.remove(item.path.as_ref());
    }
    items.push(Item::folder(String::new()));
    items.extend(parents.into_iter().map(Item::folder));
    items.sort_by(|one, other| one.path.split('/').cmp(other.path.split('/')));
    items
}

fn item(entry: &Entry) -> Item<'_> {
    let kind = match &entry.kind {
        EntryKind::Directory => ItemKind::Directory,
        EntryKind::File { content, .. } => ItemKind::Content(content),
        EntryKind::Symlink { target } => ItemKind::Symlink(target),
    };
    Item { path: entry.path.as_str().into(), kind, mode: entry.mode() }
}

/// The length of the uncompressed data member.
fn data_length(items: &[Item<'_>]) -> u64 {
    items.iter().map(|item| archive::tar_length(&item.tar_name(), item.member())).sum::<u64>() + TAR_END
}

/// Writes the data member to `data`; returns the text of `md5sums`, and how long the member is.
fn write_data(
    package: &Package,
    items: &[Item<'_>],
    data: &mut dyn Write,
    means: &Means,
) -> Result<(String, u64)> {
    let failed = |error| Error::io("cannot write", "the temporary file", error);
    let counted = Tapped::new(data, archive::Blind);
    let mut tar = Compressor::new(counted, package.compression, data_length(items), means)?;
    let mut reader = archive::Reader::new(means);
    let mut sums = Md5s::default();
    let mut paths = Vec::new();
    for item in items {
        archive::tar_header(&mut tar, &item.tar_name(), item.member(), item.mode, package.stamp)
            .map_err(failed)?;
        match &item.kind {
            ItemKind::Directory | ItemKind::Symlink(_) => continue,
            ItemKind::Content(content) => reader.copy(content, &mut tar, &mut sums, &failed)?,
            ItemKind::Bytes(bytes) => {
                sums.see(bytes);
                tar.write_all(bytes).map_err(failed)?;
            }
        }
        sums.end();
        paths.push(&item.path);
        archive::tar_padding(&mut tar, item.size()).map_err(failed)?;
    }
    archive::tar_end(&mut tar).map_err(failed)?;
    let length = tar.finish().map_err(failed)?.count;
    let lines = sums.finish().into_iter().zip(paths);
    let text = lines.map(|(sum, path)| format!("{:032x}  {path}\n", u128::from_be_bytes(sum))).collect();
    Ok((text, length))
}

/// The file that says what else calls the scripts, deb-triggers(5); empty where there is nothing.
fn triggers_text(package: &Package) -> String {
    package.triggers.iter().map(|line| format!("{line}\n")).collect()
}

/// The control member, compressed: `control`, `md5sums`, `triggers` and the scripts, in byte order.
fn control_member(package: &Package, items: &[Item<'_>], sums: &str, means: &Means) -> Result<Vec<u8>> {
    let control = control_text(package, installed_size(package, items));
    let triggers = triggers_text(package);
    let mut files: Vec<(&str, &str, u16)> = vec![("control", &control, 0o644), ("md5sums", sums, 0o644)];
    if !triggers.is_empty() {
        files.push(("triggers", &triggers, 0o644));
    }
    files.extend(
        package
            .scripts
            .iter()
            .filter_map(|script| Some((script_name(script.when)?, script.body.as_str(), 0o755))),
    );
    files.sort_unstable();
    let names: Vec<_> = files.iter().map(|(name, ..)| format!("./{name}")).collect();
    let members = || names.iter().zip(&files).map(|(name, (_, text, mode))| (name.as_str(), *text, *mode));
    let length = members()
        .map(|(name, text, _)| archive::tar_length(name, Member::File(text.len() as u64)))
        .sum::<u64>()
        + archive::tar_length("./", Member::Directory)
        + TAR_END;
    let mut tar = Compressor::new(Vec::new(), package.compression, length, means)?;
    let mut write = || -> io::Result<()> {
        archive::tar_header(&mut tar, "./", Member::Directory, 0o755, package.stamp)?;
        for (name, text, mode) in members() {
            archive::tar_header(&mut tar, name, Member::File(text.len() as u64), mode, package.stamp)?;
            tar.write_all(text.as_bytes())?;
            archive::tar_padding(&mut tar, text.len() as u64)?;
        }
        archive::tar_end(&mut tar)
    };
    let written = write().and_then(|()| tar.finish());
    written.map_err(|error| Error::io("cannot compress", "control.tar", error))
}

/// In KiB, as dpkg-gencontrol and dpkg-deb count it: every file rounded up, one for each folder and link, one more, the
/// scripts, and what calls them.
fn installed_size(package: &Package, items: &[Item<'_>]) -> u64 {
    let kib = |bytes: u64| bytes.div_ceil(1024);
    let data: u64 =
        items.iter().map(|item| if let Member::File(size) = item.member() { kib(size) } else { 1 }).sum();
    let scripts: u64 = package.scripts.iter().map(|script| kib(script.body.len() as u64)).sum();
    data + 1 + scripts + kib(triggers_text(package).len() as u64)
}

/// The fields in the order of dpkg-gencontrol; those it does not know follow the description.
fn control_text(package: &Package, installed_size: u64) -> String {
    use RelationKind as Kind;
    let mut extras = package.fields.clone();
    let mut extra = |name: &str| extras.remove(name).unwrap_or_default();
    let fields = [
        ("Package", package.name.clone()),
        ("Source", extra("Source")),
        ("Version", spelled(&package.version)),
        ("Architecture", architecture(package.arch).to_owned()),
        ("Maintainer", package.maintainer.clone()),
        ("Installed-Size", installed_size.to_string()),
        ("Depends", relations(package, &[Kind::Requires])),
        ("Recommends", relations(package, &[Kind::Recommends])),
        ("Suggests", relations(package, &[Kind::Suggests])),
        // the reverse of Recommends does not exist; the reverse of Suggests does
        ("Enhances", relations(package, &[Kind::Supplements])),
        ("Conflicts", relations(package, CONFLICTS)),
        ("Replaces", relations(package, &[Kind::Replaces])),
        ("Provides", relations(package, &[Kind::Provides])),
        ("Section", extra("Section")),
        ("Priority", extra("Priority")),
        ("Multi-Arch", extra("Multi-Arch")),
        ("Homepage", package.homepage.clone()),
        ("Description", description(package)),
        ("Modaliases", modaliases(package)),
    ];
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(extras);
    fields.filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}: {value}\n")).collect()
}

/// `module(alias, alias), module(alias)`: what ubuntu-drivers and others choose drivers by. What the notation cannot hold is left
/// out.
fn modaliases(package: &Package) -> String {
    let module = |module: &Module| {
        let aliases: Vec<_> =
            module.aliases.iter().filter(|alias| !alias.contains([',', '(', ')', ' '])).cloned().collect();
        (!aliases.is_empty()).then(|| format!("{}({})", module.name.replace('-', "_"), aliases.join(", ")))
    };
    package.modules.iter().filter_map(module).collect::<Vec<_>>().join(", ")
}

/// The synopsis, then paragraphs: continuation lines begin with a blank, empty ones are ` .` (Policy 5.6.13).
fn description(package: &Package) -> String {
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
const CONFLICTS: &[RelationKind] = &[RelationKind::Conflicts, RelationKind::Replaces];

/// The value of the field for these kinds.
fn relations(package: &Package, kinds: &[RelationKind]) -> String {
    let list: Vec<_> = implied::kept(package, kinds).into_iter().map(relation_text).collect();
    list.join(", ")
}

/// `a (>= 1) | b`.
fn relation_text(relation: &Relation) -> String {
    relation.any_of.iter().map(capability).collect::<Vec<_>>().join(" | ")
}

fn capability(capability: &Capability) -> String {
    match &capability.bound {
        None => capability.name.clone(),
        Some((comparison, bound)) => {
            let sign = match comparison {
                Comparison::AtLeast => ">=",
                Comparison::Equal => "=",
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
fn script_name(when: When) -> Option<&'static str> {
    match when {
        When::BeforeInstall => Some("preinst"),
        When::AfterInstall => Some("postinst"),
        When::BeforeRemove => Some("prerm"),
        When::AfterRemove => Some("postrm"),
        When::AfterTransaction => None,
    }
}

fn architecture(arch: Arch) -> &'static str {
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
fn is_name(name: &str) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(byte);
    name.len() >= 2 && name.as_bytes().iter().all(allowed) && name.as_bytes()[0].is_ascii_alphanumeric()
}

/// `[EPOCH:]UPSTREAM[~PRE]-REVISION` (`deb-version(7)`), without the last part in a native package.
///
/// The mapping is injective over what [`unspeakable`] accepts: `_`, which the format lacks, becomes `++`; a pre-release tag stands
/// behind a `~`, and between them what stood before it in the driver's version, see [`Version::pre`]; everything else is kept.
fn spelled(version: &Version) -> String {
    let epoch = version.epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
    let pre = version.pre.as_ref().map(|pre| format!("~{}", mapped(pre))).unwrap_or_default();
    let dash = if version.has_revision() { "-" } else { "" };
    format!("{epoch}{}{pre}{dash}{}", mapped(&version.upstream), version.revision)
}

fn mapped(text: &str) -> String {
    text.replace('_', "++")
}

/// Why a version has no spelling, deb-version(7).
fn unspeakable(version: &Version) -> Option<String> {
    if let Some(first) = version.upstream.chars().next().filter(|first| !first.is_ascii_digit()) {
        return Some(format!("begins with `{first}`, and versions of a .deb begin with a digit"));
    }
    // the last dash is where the revision begins
    let dashed = version.upstream.contains('-') || version.pre.iter().any(|pre| pre.contains('-'));
    if !version.has_revision() && dashed {
        return Some("has a dash, and so no form without a revision".to_owned());
    }
    super::bad_version(version, ".+~-_", b"+_~")
}

/// The name without the compression's: a native package has no other changelog (Policy 12.7).
fn changelog_name(package: &Package) -> &'static str {
    if package.version.has_revision() { "changelog.Debian" } else { "changelog" }
}

/// `changelog.Debian` (`deb-changelog(5)`).
fn changelog_text(package: &Package) -> String {
    let distribution = match &package.payload {
        Payload::Source(source) => &source.distribution,
        Payload::Install(_) => "unstable",
    };
    let text = |change| change_text(&package.name, distribution, change);
    package.changelog.iter().map(text).collect::<Vec<_>>().join("\n")
}

fn change_text(name: &str, distribution: &str, change: &Change) -> String {
    let lines: String =
        change.lines.iter().map(|line| format!("  * {}\n", wrapped(line).join("\n    "))).collect();
    let version = spelled(&change.version);
    let date = date(change.time);
    format!("{name} ({version}) {distribution}; urgency=medium\n\n{lines}\n -- {}  {date}\n", change.author)
}

/// `Thu, 01 Jan 1970 00:00:00 +0000`.
fn date(time: u32) -> String {
    let stamp = jiff::Timestamp::from_second(i64::from(time)).unwrap_or_default();
    rfc2822::to_string(&stamp.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default()
}

/// What `gzip -9n` means: the best level, no name, no time (Policy 12.7).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let best = Compression { codec: Codec::Gzip, level: 9 };
    let mut encoder = match Compressor::new(Vec::new(), best, bytes.len() as u64, &Means::default()) {
        Ok(encoder) => encoder,
        Err(error) => unreachable!("a gzip encoder in memory: {error}"),
    };
    match encoder.write_all(bytes).and_then(|()| encoder.finish()) {
        Ok(packed) => packed,
        Err(error) => unreachable!("writing to memory: {error}"),
    }
}

/// A member's header: name, time, owner 0, group 0, mode, size in decimal (`deb(5)`).
fn ar_header(out: &mut dyn Write, name: &str, stamp: u32, size: u64) -> io::Result<()> {
    write!(out, "{name:<16}{stamp:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, "100644")
}

fn ar_member(out: &mut dyn Write, name: &str, stamp: u32, bytes: &[u8]) -> io::Result<()> {
    ar_header(out, name, stamp, bytes.len() as u64)?;
    out.write_all(bytes)?;
    ar_padding(out, bytes.len() as u64)
}

/// Members begin at even offsets.
fn ar_padding(out: &mut dyn Write, size: u64) -> io::Result<()> {
    if size % 2 == 1 { out.write_all(b"\n") } else { Ok(()) }
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
