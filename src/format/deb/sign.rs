//! The signature of a .deb, `_gpgorigin`, over its other members one behind the other (debsigs(1), debsig-verify(1)).
//!
//! apt does not look at it, but at the signed index of a repository; dpkg does where debsig-verify is installed, has a policy for the key and
//! is switched on.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::super::{AskDetached, OwnSigned, SignedForm, TEXT};
use super::read::{ArMember, members, paragraph};
use super::source::unsigned;
use super::write::{ar_header, ar_padding};
use crate::archive::{Stretch, Tapped};
use crate::base::beneath::{self, open_regular};
use crate::base::error::{Error, Result};
use crate::output::Output;

/// That of whom the package comes from.
pub(super) const ORIGIN: &str = "_gpgorigin";

/// Writes a package again, under its name, with the signature that `ask` gives in the place of the one that it has.
pub(super) fn sign(path: &Path, ask: &AskDetached<'_>, out: &mut dyn Output) -> Result<()> {
    let unreadable = |error| Error::io("cannot read the package", path, error).as_usage();
    let mut file = open_regular(path).map_err(unreadable)?;
    file.seek(io::SeekFrom::Start(8)).map_err(unreadable)?;
    let members = members(&mut file).map_err(unreadable)?;
    let file = Arc::new(file);
    let part = |member: &ArMember| Stretch::new(&file, member.at, member.size);
    let signature = ask(&mut *signed(&members, &file))?;
    // a packet, and no text around one (RFC 9580, 4.2)
    if signature.first().is_none_or(|first| first & 0x80 == 0) {
        return Err(Error::usage(
            "what signs answers with no detached signature of OpenPGP, in bytes and not in letters,",
        )
        .at(path)
        .hint("let it write what `gpg --detach-sign --no-armor` writes; KPKG_SIGN_FORM is `detached`"));
    }
    let stamp = members
        .first()
        .and_then(|first| std::str::from_utf8(&first.header[16..28]).ok()?.trim().parse().ok());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |error| Error::io("cannot write", &name, error);
    out.artifact(&name, &mut |stream| {
        let mut write = || {
            stream.write_all(b"!<arch>\n")?;
            for member in members.iter().filter(|member| member.name() != ORIGIN) {
                stream.write_all(&member.header)?;
                let size = io::copy(&mut part(member), stream)?;
                ar_padding(stream, size)?;
            }
            ar_header(stream, ORIGIN, stamp.unwrap_or(0), signature.len() as u64)?;
            stream.write_all(&signature)?;
            ar_padding(stream, signature.len() as u64)
        };
        write().map_err(failed)
    })
}

/// What is signed: all members but those that are skipped (deb(5)), one behind the other.
fn signed(members: &[ArMember], file: &Arc<File>) -> Box<dyn Read + Send> {
    let parts = members.iter().filter(|member| !member.name().starts_with('_'));
    parts.fold(Box::new(io::empty()), |all: Box<dyn Read + Send>, member| {
        Box::new(all.chain(Stretch::new(file, member.at, member.size)))
    })
}

/// The signatures of a package, or of a text beside one, which names files: whether these are there as it says.
pub(super) fn own_signatures(path: &Path) -> io::Result<Option<Vec<OwnSigned>>> {
    let mut file = open_regular(path)?;
    let mut magic = [0; 8];
    if file.read_exact(&mut magic).is_ok() && &magic == b"!<arch>\n" {
        let members = members(&mut file)?;
        let file = Arc::new(file);
        let mut found = Vec::new();
        for member in members.iter().filter(|member| member.name().starts_with("_gpg")) {
            let mut signature = Vec::new();
            Stretch::new(&file, member.at, member.size.min(TEXT)).read_to_end(&mut signature)?;
            let form = SignedForm::Detached { signature, signed: signed(&members, &file) };
            found.push(OwnSigned { name: Some(member.name()), form, misfit: None });
        }
        return Ok(Some(found));
    }
    let ends = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    if !["dsc", "changes", "buildinfo"].contains(&ends) {
        return Ok(None);
    }
    file.rewind()?;
    let text = beneath::start(file, TEXT)?;
    if !text.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----") {
        return Ok(Some(Vec::new()));
    }
    let misfit = misfit(&unsigned(&String::from_utf8_lossy(&text)), path, ends != "buildinfo");
    Ok(Some(vec![OwnSigned { name: None, form: SignedForm::Clear(text), misfit }]))
}

/// Which file beside a text is not the one that it names; with `all`, also one that is not there.
fn misfit(text: &str, path: &Path, all: bool) -> Option<String> {
    let fields = paragraph(text);
    let (_, lines) = fields.iter().find(|(name, _)| name == "Checksums-Sha256")?;
    lines.lines().find_map(|line| {
        let &[digest, size, name] = line.split_whitespace().collect::<Vec<_>>().as_slice() else {
            return None;
        };
        // a name, and no path to elsewhere
        let beside = path.with_file_name(Path::new(name).file_name()?);
        let mut seen = Tapped::new(io::sink(), Sha256::new());
        match open_regular(&beside).and_then(|mut file| io::copy(&mut file, &mut seen)) {
            Ok(count) => {
                let is_it = count.to_string() == size && format!("{:x}", seen.tap.finalize()) == digest;
                (!is_it).then(|| format!("`{name}` is not the file that it names"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !all => None,
            Err(_) => Some(format!("`{name}`, which it names, cannot be read")),
        }
    })
}
