//! Who signs, as the arguments say it: packages and what is uploaded, by gpg or a command; modules, by keys or a command.

#![allow(clippy::disallowed_methods, reason = "it runs the programs that sign")]

use std::io::{self, IsTerminal, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use rustix::process::{Pid, Signal, kill_process_group};

use super::session::{self, Session};
use crate::base::error::{Error, Result};
use crate::base::temporary::TemporaryFolder;
use crate::output::{Sign, Stop};
use crate::sign::{ModuleSigners, Question};

/// Who signs kernel modules.
#[derive(Debug, Args)]
#[command(next_help_heading = "Signed modules")]
pub(super) struct ModuleSignArgs {
    /// The private key that the modules are signed with: PEM, DER, or `pkcs11:` for one in a token; several sign together, in one message
    #[arg(
        long,
        visible_alias = "key",
        value_name = "KEY",
        value_delimiter = ',',
        requires = "certificate",
        hide_short_help = true,
        env = "KPKG_SIGN_MODULES"
    )]
    pub(super) sign_modules: Vec<PathBuf>,
    /// Have them signed by a command, which reads what --sign-module-input says and writes the signature: RSA's, ECDSA's, a CMS message or
    /// the signed module
    #[arg(
        long,
        visible_alias = "command",
        value_name = "COMMAND",
        requires = "certificate",
        conflicts_with = "sign_modules",
        hide_short_help = true,
        env = "KPKG_SIGN_MODULE_COMMAND"
    )]
    pub(super) sign_module_command: Option<String>,
    /// What that command reads: the digest, the digest with the name of its algorithm as RSA signs it, or the module
    #[arg(
        long,
        visible_alias = "input",
        value_name = "WHAT",
        default_value = "digest",
        hide_short_help = true,
        env = "KPKG_SIGN_MODULE_INPUT"
    )]
    pub(super) sign_module_input: Asked,
    /// The certificate of each key, PEM or DER, in their order
    #[arg(
        long,
        value_name = "CERT",
        value_delimiter = ',',
        hide_short_help = true,
        env = "KPKG_CERTIFICATE"
    )]
    pub(super) certificate: Vec<PathBuf>,
    /// Put the certificates into the signature, for those below a CA that is enrolled on the machines
    #[arg(long, hide_short_help = true, env = "KPKG_EMBED_CERTIFICATE", action = clap::ArgAction::SetTrue)]
    pub(super) embed_certificate: bool,
}

/// What a command that signs modules reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Asked {
    /// The bytes of the digest.
    Digest,
    /// A `DigestInfo` (RFC 8017, 9.2), as PKCS#11's mechanism RSA-PKCS takes it.
    DigestInfo,
    /// The module without a signature.
    Module,
}

/// How long who signs may take, and who may stop it.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    pub(super) timeout: Duration,
    pub(super) stop: Stop,
}

impl Patience {
    /// So many seconds, and the signals of the run.
    pub(super) fn of(seconds: u64, session: &Session) -> Self {
        Self { timeout: Duration::from_secs(seconds), stop: session.stop.clone() }
    }
}

/// Who signs modules; nobody where nothing asks for it.
pub(super) fn module_signers(args: &ModuleSignArgs, patience: &Patience) -> Result<Option<ModuleSigners>> {
    if let Some(line) = &args.sign_module_command {
        let [certificate] = args.certificate.as_slice() else {
            return Err(
                Error::usage("a command signs with one key").hint("give its `--certificate`, and no other")
            );
        };
        let (line, input, of, patience) =
            (line.clone(), args.sign_module_input, certificate.clone(), patience.clone());
        let ask = Box::new(move |question: &Question<'_>| ask(&line, input, &of, question, &patience));
        return ModuleSigners::elsewhere([(ask as _, certificate.as_path())], args.embed_certificate)
            .map(Some);
    }
    if args.sign_modules.is_empty() {
        return Ok(None);
    }
    ModuleSigners::read(
        &args.sign_modules,
        &args.certificate,
        args.embed_certificate,
        session::pin().as_ref(),
    )
    .map(Some)
}

/// Has a command sign a module.
fn ask(
    line: &str,
    input: Asked,
    certificate: &Path,
    question: &Question<'_>,
    patience: &Patience,
) -> Result<Vec<u8>> {
    let (name, bytes) = match input {
        Asked::Digest => ("digest", question.digest.to_vec()),
        Asked::DigestInfo => ("digest-info", question.hash.digest_info(question.digest)),
        Asked::Module => ("module", question.module.to_vec()),
    };
    let mut command = Command::new("sh");
    command.args(["-c", line]).env("KPKG_HASH", question.hash.name()).env("KPKG_INPUT", name);
    command.env("KPKG_FILE", question.name).env("KPKG_CERTIFICATE", certificate);
    let output = piped(command, line, &mut bytes.as_slice(), patience)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = match first_lines(&output.stderr) {
        said if said.is_empty() => format!("it ends with {}", output.status),
        said => said,
    };
    Err(Error::usage(format!("`{line}` does not sign `{}`: {said}", question.name))
        .hint("it reads what `KPKG_INPUT` names from its standard input, and writes the signature"))
}

/// What a cleartext signature begins with (RFC 9580, 7).
const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";

/// Who signs packages.
#[derive(Debug, Args)]
#[command(next_help_heading = "Signed packages")]
pub(super) struct PackageSignArgs {
    /// Sign .rpm files, .dsc and .changes by gpg with this key: its id, or a file that holds the secret key
    #[arg(
        long,
        value_name = "KEY",
        conflicts_with = "sign_command",
        hide_short_help = true,
        env = "KPKG_SIGN"
    )]
    pub(super) sign: Option<String>,
    /// Sign them with a command: `KPKG_SIGN_FORM` is `clear`, for a text that it writes with a signature around it, or `detached`
    #[arg(long, value_name = "COMMAND", hide_short_help = true, env = "KPKG_SIGN_COMMAND")]
    pub(super) sign_command: Option<String>,
}

/// Who signs packages, and what is uploaded with them.
pub(super) struct PackageSigner {
    by: By,
    patience: Patience,
    signs_debs: bool,
}

enum By {
    /// A key of gpg's, named as `gpg --local-user` takes it, or the secret key in a file.
    Key(String),
    /// A command for the shell.
    Command(String),
}

impl PackageSigner {
    /// As the arguments say it; nobody where none does.
    pub(super) fn of(args: &PackageSignArgs, patience: Patience, signs_debs: bool) -> Option<Self> {
        let by = args.sign.clone().map(By::Key).or_else(|| args.sign_command.clone().map(By::Command))?;
        Some(Self { by, patience, signs_debs })
    }

    /// What the program writes that signs bytes in a form, and its name.
    fn run(&self, form: Form, file: &Path, bytes: &mut (dyn Read + Send)) -> Result<Vec<u8>> {
        let (command, name, _home) = match &self.by {
            By::Key(key) => {
                let path = Path::new(key);
                let home = if path.is_file() { Some(Home::with(&[path])?) } else { None };
                let mut command = gpg(home.as_ref().map(|home| home.0.path()));
                if home.is_none() {
                    command.args(["--local-user", key]);
                }
                // SHA-1, the default of old versions, is refused by archives, and SHA-512 with some keys by rpm of RHEL 8
                command.args(["--digest-algo", "SHA256"]).args(form.options());
                (command, "gpg", home)
            }
            By::Command(line) => {
                let mut command = Command::new("sh");
                command.args(["-c", line]).env("KPKG_SIGN_FORM", form.name()).env("KPKG_FILE", file);
                (command, line.as_str(), None)
            }
        };
        let output = piped(command, name, bytes, &self.patience)?;
        let is_one = match form {
            Form::Clear => output.stdout.starts_with(BEGIN.as_bytes()),
            // of which the package's format knows the rest
            Form::Detached => !output.stdout.is_empty(),
        };
        if output.status.success() && is_one {
            return Ok(output.stdout);
        }
        let why = match first_lines(&output.stderr) {
            said if !said.is_empty() => said,
            _ if output.status.success() => form.lacking().to_owned(),
            _ => format!("it ends with {}", output.status),
        };
        Err(Error::usage(format!("`{name}` does not sign: {why}")).hint(
            "`gpg --list-secret-keys` lists the keys; one with a passphrase has to be unlocked before, or needs a terminal",
        ))
    }
}

impl Sign for PackageSigner {
    fn clear(&self, file: &Path, text: &str) -> Result<String> {
        let signed = self.run(Form::Clear, file, &mut text.as_bytes())?;
        Ok(String::from_utf8_lossy(&signed).into_owned())
    }

    fn detached(&self, file: &Path, bytes: &mut (dyn Read + Send)) -> Result<Vec<u8>> {
        self.run(Form::Detached, file, bytes)
    }

    fn signs_unusual(&self) -> bool {
        self.signs_debs
    }
}

/// The form of a signature.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Around a text.
    Clear,
    /// Apart from what it is of.
    Detached,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Detached => "detached",
        }
    }

    /// For gpg.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Clear => &["--clearsign"],
            Self::Detached => &["--no-armor", "--detach-sign"],
        }
    }

    /// What is not there.
    fn lacking(self) -> &'static str {
        match self {
            Self::Clear => "it writes no text with a signature around it",
            Self::Detached => "it writes no signature",
        }
    }
}

pub(super) fn gpg(home: Option<&Path>) -> Command {
    let mut command = Command::new("gpg");
    if let Some(home) = home {
        command.arg("--homedir").arg(home);
    }
    command.args(["--batch", "--quiet", "--armor", "--no-greeting"]);
    command
}

/// A folder of gpg's that holds nothing but the key of a file, and goes with it.
pub(super) struct Home(TemporaryFolder);

impl Home {
    /// With the keys of these files.
    pub(super) fn with(files: &[impl AsRef<Path>]) -> Result<Self> {
        let home = TemporaryFolder::new(&std::env::temp_dir())
            .map_err(|error| Error::io("cannot make a folder for the key in", std::env::temp_dir(), error))?;
        let home = Self(home);
        for file in files.iter().map(AsRef::as_ref) {
            let mut command = gpg(Some(home.path()));
            command.arg("--import").arg(file).stdin(Stdio::null());
            let output = command.output().map_err(|error| missing("gpg", error))?;
            if !output.status.success() {
                let text = format!("gpg cannot read the key: {}", first_lines(&output.stderr));
                return Err(Error::usage(text).at(file));
            }
        }
        Ok(home)
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
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

/// The most that a program may answer: a signed module.
pub(super) const LARGEST: u64 = crate::kernel::ko::LARGEST + (1 << 20);

/// How often it is looked whether a program has ended.
const TICK: Duration = Duration::from_millis(5);

/// Runs a program that reads these bytes.
pub(super) fn piped(
    mut command: Command,
    name: &str,
    bytes: &mut (dyn Read + Send),
    patience: &Patience,
) -> Result<Output> {
    // one that asks its user for a PIN has to stay in the group that owns the terminal; else what it starts ends with it
    let is_apart = !io::stdin().is_terminal();
    if is_apart {
        command.process_group(0);
    }
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| missing(name, error))?;
    let (input, output, complaints) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let read = |stream: Option<Box<dyn Read + Send>>, most: u64| {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _cut = stream.map(|stream| stream.take(most).read_to_end(&mut bytes));
            let _gone = sender.send(bytes);
        });
        receiver
    };
    let stdout = read(output.map(|stream| Box::new(stream) as _), LARGEST);
    let stderr = read(complaints.map(|stream| Box::new(stream) as _), 64 << 10);
    let mut waited = Duration::ZERO;
    std::thread::scope(|scope| {
        // a program may write before it has read all; one that ends without reading says why itself
        scope.spawn(move || input.map(|mut input| io::copy(bytes, &mut input)));
        let ended = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Ok(status),
                Err(error) => break Err(Error::io("cannot wait for", name, error)),
                Ok(None) if patience.stop.is_set() => break Err(Error::interrupted()),
                Ok(None) if waited > patience.timeout => {
                    let text =
                        format!("`{name}` does not sign within {} seconds", patience.timeout.as_secs());
                    break Err(Error::failed(text).hint("`--timeout SECONDS` gives it more time"));
                }
                Ok(None) => {
                    std::thread::sleep(TICK);
                    waited += TICK;
                }
            }
        };
        if ended.is_err() {
            if let Some(group) = Pid::from_raw(child.id().cast_signed()).filter(|_| is_apart) {
                let _gone = kill_process_group(group, Signal::KILL);
            }
            let _gone = child.kill().and_then(|()| child.wait());
        }
        let status = ended?;
        // what it leaves running may hold its output open
        let wait = Duration::from_secs(10);
        let stdout = stdout.recv_timeout(wait).unwrap_or_default();
        Ok(Output { status, stdout, stderr: stderr.recv_timeout(wait).unwrap_or_default() })
    })
}
