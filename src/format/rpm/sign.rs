//! The OpenPGP signature of an .rpm: over its header, which holds the digests of everything else, in the signature header (rpm's
//! `docs/manual/format_v4.md`, `sign/rpmgensig.c`).
//!
//! Who signs is asked for a detached signature; nothing here knows a key.

use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use digest::Digest;
use rpm::{IndexSignatureTag as S, IndexTag as T};
use sha2::Sha256;

use super::super::{AskDetached, OwnSigned, SignedForm};
use super::header::{BIN, IMMUTABLE, SIGNATURES, Tags};
use super::read::{LEAD, LEAD_MAGIC, hex, read_headers};
use super::rewrite::VOID;
use crate::archive::{Stretch, Tapped};
use crate::base::beneath::open_regular;
use crate::base::error::{Error, Result};
use crate::output::Output;

/// Writes a package again, under its name, with the signature that `ask` gives for its header in the place of those that it has. Gives the
/// algorithm and the digest of it: `rsa-sha256`.
pub(super) fn sign(path: &Path, ask: &AskDetached<'_>, out: &mut dyn Output) -> Result<String> {
    let unreadable = |error| Error::io("cannot read the package", path, error).as_usage();
    let mut file = open_regular(path).map_err(unreadable)?;
    let (headers, at) = read_headers(&mut file).map_err(unreadable)?;
    let payload = Stretch::rest(&Arc::new(file), headers.len() as u64).map_err(unreadable)?;
    let Some(mut tags) = signature_tags(&headers[LEAD..at]) else {
        return Err(Error::usage("has a signature header that cannot be written again as it is:").at(path));
    };
    let signature = ask(&mut &headers[at..])?;
    let (tag, how) = kind_of(&signature).ok_or_else(|| {
        Error::usage("what signs answers with no detached signature of OpenPGP, in bytes and not in letters,")
            .at(path)
            .hint("let it write what `gpg --detach-sign --no-armor` writes; KPKG_SIGN_FORM is `detached`")
    })?;
    for (void, _) in VOID {
        tags.remove(void);
    }
    tags.add(tag, BIN, signature);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed = |error| Error::io("cannot write", &name, error);
    let start = [&headers[..LEAD], &tags.signature(), &headers[at..]].concat();
    out.artifact(&name, &mut |stream| {
        stream.write_all(&start).map_err(failed)?;
        io::copy(&mut payload.clone(), stream).map(drop).map_err(failed)
    })?;
    Ok(how)
}

/// The signatures of a package, and whether the payload is the one whose digest its header holds.
pub(super) fn own_signatures(path: &Path) -> io::Result<Option<Vec<OwnSigned>>> {
    let mut file = open_regular(path)?;
    let mut magic = [0; 4];
    if file.read_exact(&mut magic).is_err() || magic != LEAD_MAGIC {
        return Ok(None);
    }
    file.rewind()?;
    let (headers, at) = read_headers(&mut file)?;
    let file = Arc::new(file);
    let payload = Stretch::rest(&file, headers.len() as u64)?;
    let (Some(signatures), Some(tags)) =
        (signature_tags(&headers[LEAD..at]), Tags::parse(&headers[at..], IMMUTABLE))
    else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its headers cannot be read"));
    };
    let mut digest = Tapped::new(io::sink(), Sha256::new());
    io::copy(&mut payload.clone(), &mut digest)?;
    let digest = hex(digest.tap.finalize());
    let stated = tags.strings_of(T::RPMTAG_PAYLOADSHA256 as u32);
    let is_another = stated.first().is_some_and(|stated| *stated != digest.as_bytes());
    let misfit = is_another.then(|| "the payload is not the one that its header describes".to_owned());
    let mut found = Vec::new();
    for (tag, name) in VOID.iter().filter(|(tag, _)| *tag != S::RPMSIGTAG_OPENPGP as u32) {
        let Some(signature) = signatures.bytes_of(*tag) else { continue };
        let header = io::Cursor::new(headers[at..].to_vec());
        // old ones are over header and payload
        let is_of_both = [S::RPMSIGTAG_PGP as u32, S::RPMSIGTAG_GPG as u32].contains(tag);
        let signed: Box<dyn Read + Send> =
            if is_of_both { Box::new(header.chain(payload.clone())) } else { Box::new(header) };
        let form = SignedForm::Detached { signature: signature.to_vec(), signed };
        found.push(OwnSigned { name: Some((*name).to_owned()), form, misfit: misfit.clone() });
    }
    Ok(Some(found))
}

/// The entries of a signature header, which is filled up to 8 bytes.
pub(super) fn signature_tags(bytes: &[u8]) -> Option<Tags> {
    (0..8).find_map(|fill| Tags::parse(bytes.get(..bytes.len().checked_sub(fill)?)?, SIGNATURES))
}

/// The tag for a signature packet of version 4 (RFC 9580, 4.2 and 5.2.3), RSA has one of its own, and what it is; nothing where it is no such
/// packet.
fn kind_of(packet: &[u8]) -> Option<(u32, String)> {
    let (first, rest) = packet.split_first()?;
    let body = match first >> 6 {
        // the length takes 1, 2 or 4 bytes
        0b10 if (first >> 2) & 0xf == 2 => rest.get(1 << (first & 3)..)?,
        0b11 if first & 0x3f == 2 => match rest.first()? {
            0..192 => rest.get(1..)?,
            192..224 => rest.get(2..)?,
            255 => rest.get(5..)?,
            _ => return None,
        },
        _ => return None,
    };
    // version, and whether it is of bytes
    let [4, 0, algorithm, hash, ..] = body else { return None };
    let (tag, name) = match algorithm {
        1 | 3 => (S::RPMSIGTAG_RSA, "rsa"),
        17 => (S::RPMSIGTAG_DSA, "dsa"),
        19 => (S::RPMSIGTAG_DSA, "ecdsa"),
        22 | 27 => (S::RPMSIGTAG_DSA, "eddsa"),
        _ => return None,
    };
    // RFC 9580, 9.5
    let hash = match hash {
        2 => "sha1",
        8 => "sha256",
        9 => "sha384",
        10 => "sha512",
        _ => "other",
    };
    Some((tag as u32, format!("{name}-{hash}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_their_tags() {
        let kind = |packet: &[u8]| kind_of(packet).map(|(tag, how)| format!("{tag} {how}"));
        assert_eq!(kind(&[0x89, 1, 0x33, 4, 0, 1, 8]), Some("268 rsa-sha256".to_owned()));
        assert_eq!(kind(&[0x88, 0x75, 4, 0, 22, 8]), Some("267 eddsa-sha256".to_owned()));
        assert_eq!(kind(&[0xc2, 0x75, 4, 0, 27, 8]), Some("267 eddsa-sha256".to_owned()));
        assert_eq!(kind(&[0xc2, 0xc1, 0x33, 4, 0, 1, 8]), Some("268 rsa-sha256".to_owned()));
        // a text's, version 6, an armour, another packet
        for none in [
            &[0x89, 1, 0x33, 4, 1, 1][..],
            &[0xc2, 0x75, 6, 0, 27],
            b"-----BEGIN PGP",
            &[0x99, 1, 0, 4, 0, 1],
            &[0x89],
            &[],
        ] {
            assert_eq!(kind_of(none), None, "{none:?}");
        }
    }
}
