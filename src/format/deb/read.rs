//! A finished .deb or .dsc as a package: `deb(5)`, `deb822(5)`, `deb-control(5)`.
//!
//! Must not hold what it reads but for control files; nothing of a foreign package is trusted.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};
use std::path::Path;

use super::super::{Contents, ENTRIES, ReadPackage, ReadScript, TEXT, take_entry};
use super::spell::script_name;
use crate::archive;
use crate::base::beneath::open_regular;
use crate::package::{Bound, Capability, Comparison, Relation, RelationKind, When};

/// The scripts of a control archive, deb(5).
const SCRIPTS: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];

/// The most that is read of a list of checksums: 300,000 files of headers fit.
pub(super) const SUMS: u64 = 64 << 20;

/// Reads a `.deb`: the members of deb(5), their tars, and of the contents what [`ReadPackage`] keeps.
pub(super) fn read(path: &Path, contents: &mut dyn Contents) -> io::Result<Option<ReadPackage>> {
    let mut file = open_regular(path)?;
    let mut magic = [0; 8];
    if file.read_exact(&mut magic).is_err() || &magic != b"!<arch>\n" {
        return Ok(None);
    }
    members(&mut file)?;
    file.rewind()?;
    let mut found = ReadPackage { format: "deb", ..ReadPackage::default() };
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
                    let when = When::ALL.into_iter().find(|when| script_name(*when) == Some(name));
                    let name = name.to_owned();
                    found.scripts.push(ReadScript { name, when, text: text()?, program: None });
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
                let checksum = |path: &str| sums.as_ref()?.get(&path[1..]).cloned();
                found.files.push(take_entry(entry, content, contents, checksum)?);
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

/// A member as it stands in the file.
pub(super) struct ArMember {
    /// Its header, 60 bytes.
    pub(super) header: [u8; 60],
    /// Where its content begins, and how many bytes that has.
    pub(super) at: u64,
    pub(super) size: u64,
}

impl ArMember {
    /// Its name, without what ends it.
    pub(super) fn name(&self) -> String {
        String::from_utf8_lossy(&self.header[..16]).trim_end().trim_end_matches('/').to_owned()
    }
}

/// The members. Fails on one whose name stands elsewhere, `/99`: deb(5) has none, and the ar crate panics where that place is not there.
pub(super) fn members(file: &mut (impl Read + Seek)) -> io::Result<Vec<ArMember>> {
    let (mut members, mut header) = (Vec::new(), [0; 60]);
    loop {
        match file.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(members),
            read => read?,
        }
        if header[0] == b'/' && header[1].is_ascii_digit() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a member has no name of its own"));
        }
        let size = std::str::from_utf8(&header[48..58]).ok().and_then(|size| size.trim().parse::<i64>().ok());
        // what is no number is told by who reads the members
        let Some(size) = size.filter(|size| *size >= 0) else { return Ok(members) };
        members.push(ArMember { header, at: file.stream_position()?, size: size.cast_unsigned() });
        file.seek_relative(size + size % 2)?;
    }
}

/// `HEX  path` lines: path to digits.
fn read_sums(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| line.split_once("  ").map(|(sum, path)| (path.to_owned(), sum.to_owned()));
    text.lines().filter_map(line).collect()
}

/// The fields of a paragraph, in order: name, and the lines of its value; deb822(5).
pub(super) fn paragraph(text: &str) -> Vec<(String, String)> {
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

/// The fields of a .deb with relations, and the kind of these.
const RELATIONS: [(&str, RelationKind); 9] = [
    ("Pre-Depends", RelationKind::Requires),
    ("Depends", RelationKind::Requires),
    ("Recommends", RelationKind::Recommends),
    ("Suggests", RelationKind::Suggests),
    ("Enhances", RelationKind::Supplements),
    ("Conflicts", RelationKind::Conflicts),
    ("Breaks", RelationKind::Breaks),
    ("Replaces", RelationKind::Replaces),
    ("Provides", RelationKind::Provides),
];

/// The relations of a field: `a (>= 1) | b, c`. What else may stand behind a name (deb-src-control(5)) stays part of it.
pub(super) fn relations(kind: RelationKind, field: &str) -> impl Iterator<Item = Relation> {
    let all = field.split(',').filter(|text| !text.trim().is_empty());
    all.map(move |text| Relation { kind, any_of: text.split('|').map(capability).collect() })
}

fn capability(text: &str) -> Capability {
    let bound = || {
        let (name, rest) = text.split_once('(')?;
        let bound = rest.trim_end().strip_suffix(')')?.trim();
        let version = bound.trim_start_matches(['<', '=', '>']);
        let comparison = match &bound[..bound.len() - version.len()] {
            "<<" => Comparison::Less,
            "<=" => Comparison::AtMost,
            "=" => Comparison::Equal,
            ">=" => Comparison::AtLeast,
            ">>" => Comparison::Greater,
            _ => return None,
        };
        let bound = Some((comparison, Bound::Native(version.trim().to_owned())));
        Some(Capability { name: name.trim().to_owned(), bound })
    };
    let words = || text.replace(['(', ')'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
    bound().unwrap_or_else(|| Capability::named(words()))
}

/// The fields of a control file that [`ReadPackage`] keeps.
fn read_control(text: &str, found: &mut ReadPackage) {
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
        let known = |(field, _): &&(&str, RelationKind)| field.eq_ignore_ascii_case(name);
        if let Some((_, kind)) = RELATIONS.iter().find(known) {
            found.relations.extend(relations(*kind, value));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Debian Policy 7.1; what a source package may say more, deb-src-control(5), stays in the name.
    #[test]
    fn relations_are_read_as_they_are_spelled() {
        for (field, expected) in [
            ("", vec![]),
            ("a, b (>= 1:2-3)", vec!["a", "b >= 1:2-3"]),
            ("a (<< 2) | b(<=1), c ( = 3 ) ,d (>> 4~)", vec!["a < 2 | b <= 1", "c = 3", "d > 4~"]),
            ("python3:any, x [amd64 arm64] <!nocheck>", vec!["python3:any", "x [amd64 arm64] <!nocheck>"]),
            ("a (>= 1) [amd64]", vec!["a >= 1 [amd64]"]),
            ("a (~ 1)", vec!["a ~ 1"]),
        ] {
            let read: Vec<_> = relations(RelationKind::Requires, field).collect();
            assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{field}");
            let spelled: Vec<_> = read.iter().map(super::super::spell::relation_text).collect();
            let again: Vec<_> = relations(RelationKind::Requires, &spelled.join(", ")).collect();
            assert_eq!(again, read, "{field}");
        }
    }
}
