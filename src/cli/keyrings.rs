//! Who signed lists of kernels, judged by gpgv or sqv with nothing but the keys of files.

#![allow(clippy::disallowed_methods, reason = "it runs the programs that judge")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::signers::{Patience, piped};
use crate::base::error::{Error, Result};
use crate::base::temporary::TemporaryFolder;
use crate::lock::listed::{Judge, Signed};

/// Where distributions keep the keys that their package managers trust.
const TRUSTED: [&str; 4] =
    ["/usr/share/keyrings", "/etc/apt/trusted.gpg.d", "/etc/apt/keyrings", "/etc/pki/rpm-gpg"];

/// The programs, and a folder for what they read.
pub(super) struct Keyrings {
    program: Option<Program>,
    scratch: TemporaryFolder,
    patience: Patience,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Program {
    Gpgv,
    Sqv,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Gpgv => "gpgv",
            Self::Sqv => "sqv",
        }
    }
}

impl Keyrings {
    pub(super) fn new(scratch: &Path, patience: Patience) -> Result<Self> {
        let is_here = |name: &str| {
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        };
        let program = [Program::Gpgv, Program::Sqv].into_iter().find(|program| is_here(program.name()));
        let scratch = TemporaryFolder::new(scratch)
            .map_err(|error| Error::io("cannot make a folder in", scratch, error))?;
        Ok(Self { program, scratch, patience })
    }

    /// The files of keys, unarmoured, as gpgv takes them; always one, which sqv wants.
    fn files(&self, named: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let all = if named.is_empty() {
            let entries = TRUSTED.iter().flat_map(fs::read_dir).flatten().flatten().map(|entry| entry.path());
            let mut all: Vec<_> = entries.filter(|path| path.is_file()).collect();
            all.sort();
            all
        } else {
            named.to_vec()
        };
        let mut files = Vec::new();
        for (index, path) in all.iter().enumerate() {
            let bytes = match fs::read(path) {
                Ok(bytes) => bytes,
                Err(_) if named.is_empty() => continue,
                Err(error) => return Err(Error::io("cannot read the keys", path, error).as_usage()),
            };
            if !bytes.starts_with(b"-----BEGIN PGP") {
                // each packet begins with this bit (RFC 9580, 4.2); one file that is none would have sqv refuse all
                if !named.is_empty() || bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
                    files.push(path.clone());
                }
                continue;
            }
            let plain = unarmoured(&String::from_utf8_lossy(&bytes));
            match plain {
                Some(plain) => files.push(self.write(&format!("key-{index}.gpg"), &plain)?),
                None if named.is_empty() => {}
                None => return Err(Error::usage("holds no keys of OpenPGP:").at(path)),
            }
        }
        if files.is_empty() {
            files.push(self.write("none.gpg", b"")?);
        }
        Ok(files)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.scratch.path().join(name);
        fs::write(&path, bytes).map_err(|error| Error::io("cannot write", &path, error))?;
        Ok(path)
    }

    /// What the program says of a text and a signature of it.
    fn ask(&self, signed: &[u8], signature: &[u8], keyrings: &[PathBuf]) -> Result<Signed> {
        let Some(program) = self.program else { return Ok(Signed::Unjudged) };
        let name = program.name();
        let mut command = Command::new(name);
        if program == Program::Gpgv {
            command.args(["--status-fd", "1", "--homedir"]).arg(self.scratch.path());
        }
        for file in self.files(keyrings)? {
            command.arg("--keyring").arg(file);
        }
        command.arg(self.write("signature", signature)?).arg(self.write("signed", signed)?);
        let said = piped(command, name, &mut std::io::empty(), &self.patience)?;
        let [status, complaints] =
            [said.stdout, said.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(match program {
            Program::Gpgv => judged(&status, signed),
            Program::Sqv => judged_by_sqv(said.status.success(), &status, &complaints, signed),
        })
    }
}

impl Judge for Keyrings {
    fn clear(&self, text: &[u8], keyrings: &[PathBuf]) -> Result<Signed> {
        match apart(text) {
            Some((signed, signature)) => self.detached(signed.as_bytes(), signature.as_bytes(), keyrings),
            None => Ok(Signed::Wrong("it is not one text with a signature around it".to_owned())),
        }
    }

    fn detached(&self, signed: &[u8], signature: &[u8], keyrings: &[PathBuf]) -> Result<Signed> {
        // gpgv takes no armour around a signature either
        let text = String::from_utf8_lossy(signature);
        let plain = if text.starts_with("-----BEGIN PGP") { unarmoured(&text) } else { None };
        self.ask(signed, plain.as_deref().unwrap_or(signature), keyrings)
    }
}

/// A text and the signature around it (RFC 9580, 7), where there is nothing beside them: the programs' own ways to take them apart differ.
fn apart(text: &[u8]) -> Option<(String, String)> {
    let text = str::from_utf8(text).ok()?;
    let (_headers, rest) = text.strip_prefix("-----BEGIN PGP SIGNED MESSAGE-----\n")?.split_once("\n\n")?;
    let (signed, signature) = rest.split_once("\n-----BEGIN PGP SIGNATURE-----\n")?;
    let (signature, behind) = signature.split_once("\n-----END PGP SIGNATURE-----")?;
    if !behind.trim().is_empty() {
        return None;
    }
    let line =
        |line: &str| line.strip_prefix("- ").unwrap_or(line).trim_end_matches([' ', '\t', '\r']).to_owned();
    let lines: Vec<_> = signed.split('\n').map(line).collect();
    let signature = format!("-----BEGIN PGP SIGNATURE-----\n{signature}\n-----END PGP SIGNATURE-----\n");
    Some((lines.join("\n"), signature))
}

/// What sqv says: of those who signed, the keys that are known, a line each; else what is wrong, signature by signature.
fn judged_by_sqv(is_good: bool, keys: &str, complaints: &str, signed: &[u8]) -> Signed {
    if let Some(key) = keys.lines().map(str::trim).min().filter(|_| is_good) {
        return Signed::By { key: key.to_owned(), text: signed.to_owned() };
    }
    let unknown = complaints.lines().filter_map(|line| line.strip_prefix("Missing key ")?.split(',').next());
    let unknown: Vec<_> = unknown.map(str::to_owned).collect();
    if complaints.contains("Message has been manipulated") {
        Signed::Wrong("it is of another content".to_owned())
    } else if unknown.is_empty() {
        Signed::Wrong(complaints.trim().lines().next().unwrap_or("sqv does not accept it").to_owned())
    } else {
        Signed::UnknownKey(unknown)
    }
}

/// What gpgv's status lines say (gnupg's `doc/DETAILS`): as for apt, one good signature by a key that is known is enough, beside those of
/// keys that have expired, and none may be of another content. Of several the key is always the same.
fn judged(status: &str, signed: &[u8]) -> Signed {
    let (mut good, mut unknown, mut wrong, mut worthless) = (Vec::new(), Vec::new(), None, None);
    let mut is_good = false;
    for line in status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] ")) {
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["NEWSIG", ..] => is_good = false,
            ["GOODSIG", ..] => is_good = true,
            // the fingerprint of the primary key is the last word
            ["VALIDSIG", .., key] if is_good => good.push((*key).to_owned()),
            ["NO_PUBKEY", key, ..] => unknown.push((*key).to_owned()),
            ["BADSIG", ..] => wrong = Some("it is of another content"),
            ["EXPSIG", ..] => worthless = Some("the signature has expired"),
            ["EXPKEYSIG", ..] => worthless = Some("the key has expired"),
            ["REVKEYSIG", ..] => worthless = Some("the key is revoked"),
            _ => {}
        }
    }
    match (wrong, good.into_iter().min(), worthless) {
        (Some(why), ..) | (None, None, Some(why)) => Signed::Wrong(why.to_owned()),
        (None, Some(key), _) => Signed::By { key, text: signed.to_owned() },
        (None, None, None) if !unknown.is_empty() => Signed::UnknownKey(unknown),
        (None, None, None) => Signed::Wrong("it is no signature of OpenPGP".to_owned()),
    }
}

/// Bytes out of their armour (RFC 9580, 6); nothing where it is none.
fn unarmoured(text: &str) -> Option<Vec<u8>> {
    use base64ct::{Base64, Encoding};
    let (mut bytes, mut is_inside, mut block) = (Vec::new(), false, String::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with("-----BEGIN PGP") {
            (is_inside, block) = (true, String::new());
        } else if line.starts_with("-----END PGP") {
            bytes.extend(Base64::decode_vec(&block).ok()?);
            is_inside = false;
        } else if is_inside && !line.contains(':') && !line.starts_with('=') {
            block.push_str(line);
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_judged() {
        let of = |status: &str| judged(status, b"text");
        let valid = "[GNUPG:] VALIDSIG AAAA 2026-11-28 1795853533 0 4 0 1 8 01 BBBB\n";
        let good = format!("[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG AAAA Joe\n{valid}");
        let unknown = "[GNUPG:] ERRSIG 0123 1 8 00 0 9 -\n[GNUPG:] NO_PUBKEY 0123\n";
        let by = Signed::By { key: "BBBB".to_owned(), text: b"text".to_vec() };
        assert_eq!(of(&good), by);
        // an archive signs with its next key, too
        assert_eq!(of(&format!("{unknown}{good}")), by);
        assert_eq!(of(&format!("{}{good}", good.replace("BBBB", "CCCC"))), by);
        assert_eq!(of(unknown), Signed::UnknownKey(vec!["0123".to_owned()]));
        assert_eq!(
            of(&format!("{good}[GNUPG:] BADSIG 9 Joe\n")),
            Signed::Wrong("it is of another content".to_owned())
        );
        assert!(matches!(of(""), Signed::Wrong(_)));
        // gpgv calls it valid, too
        let expired =
            format!("[GNUPG:] NEWSIG\n[GNUPG:] EXPKEYSIG AAAA Joe\n{}", valid.replace("BBBB", "AAAA"));
        assert_eq!(of(&expired), Signed::Wrong("the key has expired".to_owned()));
        assert_eq!(of(&format!("{good}{expired}")), by);
    }

    #[test]
    fn a_text_is_taken_apart_from_its_signature() {
        let begin = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n";
        let end = "-----BEGIN PGP SIGNATURE-----\n\naGVs\n-----END PGP SIGNATURE-----\n";
        let text = format!("{begin}A: b  \n- -----C\n\nd\n{end}");
        assert_eq!(apart(text.as_bytes()), Some(("A: b\n-----C\n\nd".to_owned(), end.to_owned())));
        for wrong in [
            format!("x\n{text}"),
            format!("{text}x\n"),
            begin.to_owned(),
            end.to_owned(),
            format!("{text}{text}"),
        ] {
            assert_eq!(apart(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn armour_is_taken_off() {
        let text = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: x\n\naGVs\nbG8h\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(unarmoured(text).unwrap(), b"hello!");
        assert_eq!(unarmoured("nothing"), None);
    }
}
