//! OpenPGP signatures, judged by gpg with nothing but the keys that are given.

#![allow(clippy::disallowed_methods, reason = "it runs gpg")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::signers::{Home, Patience, gpg, piped};
use crate::base::error::{Error, Result};
use crate::inspect::verify::{Judge, Judged, Verdict};

/// gpg, in a folder of its own.
pub(super) struct Gpg {
    /// Nothing where gpg is not here, and no key was given that it would take.
    home: Option<Home>,
    patience: Patience,
}

impl Gpg {
    /// With these public keys.
    pub(super) fn with(keys: &[PathBuf], patience: Patience) -> Result<Self> {
        let is_here = || Command::new("gpg").arg("--version").stdout(Stdio::null()).status().is_ok();
        let home = if keys.is_empty() && !is_here() { None } else { Some(Home::with(keys)?) };
        Ok(Self { home, patience })
    }

    fn verify(&self, words: &[&Path], bytes: &mut (dyn Read + Send), home: &Home) -> Result<Judged> {
        let mut command = gpg(Some(home.path()));
        command.args(["--status-fd", "1", "--output", "/dev/null", "--verify"]).args(words);
        let said = piped(command, "gpg", bytes, &self.patience)?.stdout;
        Ok(judged(&String::from_utf8_lossy(&said)))
    }
}

impl Judge for Gpg {
    fn detached(&self, signed: &mut (dyn Read + Send), signature: &[u8]) -> Result<Judged> {
        let Some(home) = &self.home else { return Ok(unknown()) };
        let place = home.path().join("signature");
        fs::write(&place, signature).map_err(|error| Error::io("cannot write", &place, error))?;
        self.verify(&[&place, Path::new("-")], signed, home)
    }

    fn clear(&self, text: &[u8]) -> Result<Judged> {
        let Some(home) = &self.home else { return Ok(unknown()) };
        self.verify(&[], &mut &*text, home)
    }
}

fn unknown() -> Judged {
    Judged { verdict: Verdict::UnknownKey, signers: Vec::new(), why: None }
}

/// What gpg's status lines say (its `doc/DETAILS`).
fn judged(status: &str) -> Judged {
    let mut judged = unknown();
    let mut is_told = false;
    for line in status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] ")) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let (key, name) = rest.split_once(' ').unwrap_or((rest, ""));
        let (verdict, why) = match word {
            "GOODSIG" => (Verdict::Good, None),
            "EXPSIG" => (Verdict::Wrong, Some("the signature has expired")),
            "EXPKEYSIG" => (Verdict::Wrong, Some("the key has expired")),
            "REVKEYSIG" => (Verdict::Wrong, Some("the key is revoked")),
            "BADSIG" => (Verdict::Wrong, Some("it is of another content")),
            "ERRSIG" => (Verdict::UnknownKey, None),
            _ => continue,
        };
        // of several the worst counts, and an unknown key is none of those given
        let rank = |verdict| {
            [Verdict::Good, Verdict::UnknownKey, Verdict::Wrong].iter().position(|one| *one == verdict)
        };
        if !is_told || rank(verdict) > rank(judged.verdict) {
            judged.verdict = verdict;
            judged.why = why.map(str::to_owned);
        }
        is_told = true;
        judged.signers.push(if word == "ERRSIG" { format!("key {key}") } else { name.to_owned() });
    }
    if is_told { judged } else { Judged::wrong("it is no signature of OpenPGP") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_are_judged() {
        let of = |status: &str| {
            let judged = judged(status);
            (judged.verdict, judged.signers.join(", "))
        };
        let good = "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 0123 Jane <j@x>\n[GNUPG:] VALIDSIG …\n";
        assert_eq!(of(good), (Verdict::Good, "Jane <j@x>".to_owned()));
        let unknown = "[GNUPG:] ERRSIG 0123 1 8 00 0 9 -\n[GNUPG:] NO_PUBKEY 0123\n";
        assert_eq!(of(unknown), (Verdict::UnknownKey, "key 0123".to_owned()));
        assert_eq!(of(&format!("{good}[GNUPG:] BADSIG 9 Joe\n")).0, Verdict::Wrong);
        assert_eq!(of("[GNUPG:] EXPKEYSIG 9 Joe\n").0, Verdict::Wrong);
        assert_eq!(of("[GNUPG:] NODATA 4\n").0, Verdict::Wrong);
    }
}
