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

impl Keyrings {
    pub(super) fn new(scratch: &Path, patience: Patience) -> Result<Self> {
        let is_here = |name: &str| {
            Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
        };
        let known = [("gpgv", Program::Gpgv), ("sqv", Program::Sqv)];
        let program = known.into_iter().find(|(name, _)| is_here(name)).map(|(_, program)| program);
        let scratch = TemporaryFolder::new(scratch)
            .map_err(|error| Error::io("cannot make a folder in", scratch, error))?;
        Ok(Self { program, scratch, patience })
    }

    /// The files of keys, unarmoured, as gpgv takes them.
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
                files.push(path.clone());
                continue;
            }
            let plain = unarmoured(&String::from_utf8_lossy(&bytes));
            match plain {
                Some(plain) => files.push(self.write(&format!("key-{index}.gpg"), &plain)?),
                None if named.is_empty() => {}
                None => return Err(Error::usage("holds no keys of OpenPGP:").at(path)),
            }
        }
        Ok(files)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf> {
        let path = self.scratch.path().join(name);
        fs::write(&path, bytes).map_err(|error| Error::io("cannot write", &path, error))?;
        Ok(path)
    }

    /// What the program says of a text in the file `signed`, and of `signature` where that is apart.
    fn ask(&self, signed: &Path, signature: Option<&Path>, keyrings: &[PathBuf]) -> Result<Signed> {
        let Some(program) = self.program else { return Ok(Signed::Unjudged) };
        let files = self.files(keyrings)?;
        let text = self.scratch.path().join("text");
        let mut command = Command::new(if program == Program::Gpgv { "gpgv" } else { "sqv" });
        if program == Program::Gpgv {
            command.args(["--status-fd", "1", "--homedir"]).arg(self.scratch.path());
        }
        for file in &files {
            command.arg("--keyring").arg(file);
        }
        match (program, signature) {
            (Program::Gpgv, None) => drop(command.arg("--output").arg(&text).arg(signed)),
            (Program::Sqv, None) => drop(command.arg("--cleartext").arg("--output").arg(&text).arg(signed)),
            (_, Some(signature)) => drop(command.arg(signature).arg(signed)),
        }
        let _none = fs::remove_file(&text);
        let said = piped(command, "gpgv", &mut std::io::empty(), &self.patience)?;
        let (status, complaints) =
            (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        let place = if signature.is_some() { signed } else { &text };
        let read = || fs::read(place).map_err(|error| Error::io("cannot read", place, error));
        if program == Program::Sqv {
            // of those that made it, the keys that are known, a line each
            return match status.lines().next().filter(|_| said.status.success()) {
                Some(key) => Ok(Signed::By { key: key.trim().to_owned(), text: read()? }),
                None => Ok(Signed::Wrong(
                    complaints.lines().next().unwrap_or("sqv does not accept it").to_owned(),
                )),
            };
        }
        judged(&status, &read)
    }
}

impl Judge for Keyrings {
    fn clear(&self, text: &[u8], keyrings: &[PathBuf]) -> Result<Signed> {
        self.ask(&self.write("signed", text)?, None, keyrings)
    }

    fn detached(&self, signed: &[u8], signature: &[u8], keyrings: &[PathBuf]) -> Result<Signed> {
        // gpgv takes no armour around a signature either
        let text = String::from_utf8_lossy(signature);
        let plain = if text.starts_with("-----BEGIN PGP") { unarmoured(&text) } else { None };
        let signature = self.write("signature", plain.as_deref().unwrap_or(signature))?;
        self.ask(&self.write("signed", signed)?, Some(&signature), keyrings)
    }
}

/// What gpgv's status lines say (gnupg's `doc/DETAILS`): one key that is known is enough, as for apt.
fn judged(status: &str, read: &dyn Fn() -> Result<Vec<u8>>) -> Result<Signed> {
    let (mut good, mut unknown, mut wrong) = (None, Vec::new(), None);
    for line in status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] ")) {
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            // the fingerprint of the primary key is the last word
            ["VALIDSIG", key, ..] => good = good.or(Some(words.last().copied().unwrap_or(key).to_owned())),
            ["NO_PUBKEY", key, ..] => unknown.push((*key).to_owned()),
            ["BADSIG", ..] => wrong = Some("it is of another content"),
            ["EXPSIG", ..] => wrong = Some("the signature has expired"),
            ["EXPKEYSIG", ..] => wrong = Some("the key has expired"),
            ["REVKEYSIG", ..] => wrong = Some("the key is revoked"),
            _ => {}
        }
    }
    Ok(match (wrong, good) {
        (Some(why), _) => Signed::Wrong(why.to_owned()),
        (None, Some(key)) => Signed::By { key, text: read()? },
        (None, None) if !unknown.is_empty() => Signed::UnknownKey(unknown),
        (None, None) => Signed::Wrong("it is no signature of OpenPGP".to_owned()),
    })
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
        let of = |status: &str| judged(status, &|| Ok(b"text".to_vec())).unwrap();
        let good = "[GNUPG:] VALIDSIG AAAA 2026-11-28 1795853533 0 4 0 1 8 01 BBBB\n";
        let unknown = "[GNUPG:] ERRSIG 0123 1 8 00 0 9 -\n[GNUPG:] NO_PUBKEY 0123\n";
        let by = Signed::By { key: "BBBB".to_owned(), text: b"text".to_vec() };
        assert_eq!(of(good), by);
        // an archive signs with its next key, too
        assert_eq!(of(&format!("{unknown}{good}")), by);
        assert_eq!(of(unknown), Signed::UnknownKey(vec!["0123".to_owned()]));
        assert_eq!(
            of(&format!("{good}[GNUPG:] BADSIG 9 Joe\n")),
            Signed::Wrong("it is of another content".to_owned())
        );
        assert!(matches!(of(""), Signed::Wrong(_)));
    }

    #[test]
    fn armour_is_taken_off() {
        let text = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: x\n\naGVs\nbG8h\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(unarmoured(text).unwrap(), b"hello!");
        assert_eq!(unarmoured("nothing"), None);
    }
}
