//! Signs source packages with OpenPGP, by gpg or a command of the user's.

#![allow(clippy::disallowed_methods, reason = "it runs the programs that sign")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::base::error::{Error, Result};
use crate::base::temporary::TemporaryFolder;
use crate::output::Signer;

/// What a cleartext signature begins with (RFC 9580, 7).
const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";

/// Signs with a key of gpg's, named as `gpg --local-user` takes it, or with the secret key in a file.
pub(super) fn with_key(key: &str) -> Signer {
    let key = key.to_owned();
    Signer(Arc::new(move |text| {
        let file = Path::new(&key);
        let home = if file.is_file() { Some(Home::with(file)?) } else { None };
        let mut command = gpg(home.as_ref().map(|home| home.0.path()));
        if home.is_none() {
            command.args(["--local-user", &key]);
        }
        // SHA-1, the default of old versions, is refused by archives
        command.args(["--digest-algo", "SHA256", "--clearsign"]);
        run(command, "gpg", text)
    }))
}

/// Signs with a command for the shell, which reads the text and writes it signed.
pub(super) fn with_command(line: &str) -> Signer {
    let line = line.to_owned();
    Signer(Arc::new(move |text| {
        let mut command = Command::new("sh");
        command.args(["-c", &line]);
        run(command, &line, text)
    }))
}

fn gpg(home: Option<&Path>) -> Command {
    let mut command = Command::new("gpg");
    if let Some(home) = home {
        command.arg("--homedir").arg(home);
    }
    command.args(["--batch", "--quiet", "--armor", "--no-greeting"]);
    command
}

/// A folder of gpg's that holds nothing but the key of a file, and goes with it.
struct Home(TemporaryFolder);

impl Home {
    fn with(file: &Path) -> Result<Self> {
        let home = TemporaryFolder::new(&std::env::temp_dir())
            .map_err(|error| Error::io("cannot make a folder for the key in", std::env::temp_dir(), error))?;
        let home = Self(home);
        let mut command = gpg(Some(home.0.path()));
        command.arg("--import").arg(file).stdin(Stdio::null());
        let output = command.output().map_err(|error| missing("gpg", error))?;
        if output.status.success() {
            return Ok(home);
        }
        Err(Error::usage(format!("gpg cannot read the key: {}", first_lines(&output.stderr))).at(file))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // the agent that gpg started would outlive its folder
        let mut command = Command::new("gpgconf");
        command.arg("--homedir").arg(self.0.path()).args(["--kill", "all"]);
        let _ignored = command.stdin(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn missing(program: &str, error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::lacking(format!("signing takes `{program}`, which is not here"))
            .hint("install the package gnupg, or name another program with `--sign-command`");
    }
    Error::io("cannot run", program, error)
}

/// gpg says what is wrong first, and last that it failed.
fn first_lines(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let said = text.lines().map(str::trim).filter(|line| !line.is_empty());
    said.take(2).collect::<Vec<_>>().join("; ")
}

fn run(mut command: Command, name: &str, text: &str) -> Result<String> {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| missing(name, error))?;
    if let Some(mut input) = child.stdin.take() {
        // a program that ends without reading says why below
        let _ignored = input.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| Error::io("cannot run", name, error))?;
    let signed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() && signed.starts_with(BEGIN) {
        return Ok(signed);
    }
    let why = match first_lines(&output.stderr) {
        said if !said.is_empty() => said,
        _ if output.status.success() => "it writes no text with a signature around it".to_owned(),
        _ => format!("it ends with {}", output.status),
    };
    Err(Error::usage(format!("`{name}` does not sign: {why}")).hint(
        "`gpg --list-secret-keys` lists the keys; one with a passphrase has to be unlocked before, or needs a terminal",
    ))
}
