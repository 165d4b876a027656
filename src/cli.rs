//! The program: a verb a file, each with its arguments and what it does, and one way from what it came to, to what is said and the exit
//! code.

mod arguments;
mod build;
mod check;
mod completions;
mod diff;
mod emit;
mod explain;
mod given;
mod guard;
mod init;
mod json;
mod kernels;
mod keyrings;
mod man;
mod matrix;
mod merge;
mod openpgp;
mod progress;
mod report;
mod schema;
mod session;
mod setup;
mod shard;
mod show;
mod sign;
mod signers;
mod targets;
mod text;
mod verify;
mod words;

use std::process::ExitCode;

use clap::{FromArgMatches, Parser, Subcommand};

use arguments::Manner;
use given::Given;
use session::Session;

use crate::dkms;

/// Turns a Linux driver's source tree and dkms.conf into packages.
///
/// Without a command it builds: `kpkg --format rpm` in a driver's folder writes `dist/NAME-dkms-VERSION-1.noarch.rpm`. The paths of
/// the packages are printed on standard output, one a line; everything else goes to standard error.
#[derive(Debug, Parser)]
#[command(
    name = "kpkg",
    version,
    about,
    long_about,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
#[command(
    after_help = "Exit codes: 0 done, 1 the work failed, 2 usage or unusable input, 4 partly done (--keep-going), 5 something has to \
                  be installed or allowed first, 130 or 143 interrupted."
)]
struct Cli {
    /// What to do instead of building.
    #[command(subcommand)]
    command: Option<Command>,
    /// The arguments of building.
    #[command(flatten)]
    build: build::BuildArgs,
}

/// The verbs.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "a run has one of them")]
enum Command {
    /// Write packages (this is what happens without a command)
    Build(build::BuildArgs),
    /// Print the driver, the plan and what will run as root; or what a package or .ko holds
    Show(show::ShowArgs),
    /// Look for what would hurt users later, in a tree, a dkms.conf or a package
    Check(check::CheckArgs),
    /// Tell what differs between two packages, also of different formats
    Diff(diff::DiffArgs),
    /// Sign the modules of finished files
    Sign(sign::SignArgs),
    /// Tell who signed the modules of finished files, and whether that still holds
    Verify(verify::VerifyArgs),
    /// Write a package that holds back the kernels that finished packages do not serve
    Guard(guard::GuardArgs),
    /// Write a dkms.conf and a kpkg.toml for a driver that has none
    Init(init::InitArgs),
    /// Tell more about a finding
    Explain(explain::ExplainArgs),
    /// The kernels that modules can be compiled for, and headers that are kept
    Kernels(kernels::KernelsArgs),
    /// Plan the packages for every kernel of kernels.lock, for many machines to build
    Matrix(matrix::MatrixArgs),
    /// Put the results of a plan together: packages, and which kernels are supported
    Merge(merge::MergeArgs),
    /// The releases that packages can be made for
    Targets(targets::TargetsArgs),
    /// Print the JSON schema of kpkg.toml, or of the lines of --json
    Schema(schema::SchemaArgs),
    /// Print the completions for a shell
    Completions(completions::CompletionsArgs),
    /// Print a man page
    Man(man::ManArgs),
}

impl Command {
    /// How it speaks.
    fn manner(&self) -> Manner {
        match self {
            Self::Build(args) => args.manner,
            Self::Show(args) => args.manner,
            Self::Check(args) => args.manner,
            Self::Diff(args) => args.manner,
            Self::Sign(args) => args.manner,
            Self::Verify(args) => args.manner,
            Self::Guard(args) => args.manner,
            Self::Init(args) => args.manner,
            Self::Explain(args) => args.manner,
            Self::Kernels(args) => args.manner,
            Self::Matrix(args) => args.manner,
            Self::Merge(args) => args.manner,
            Self::Targets(args) => args.manner,
            Self::Schema(args) => args.manner,
            Self::Completions(args) => args.manner,
            Self::Man(args) => args.manner,
        }
    }
}

/// Arguments in, result out.
#[must_use]
pub fn main() -> ExitCode {
    // a panic of the parser of dkms.conf is caught, and becomes a finding
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !dkms::catches_panics() {
            usual(panic);
        }
    }));
    let (command, words) = words::read();
    let parsed = command.try_get_matches_from(words).and_then(|matches| {
        let cli = Cli::from_arg_matches(&matches)?;
        Ok((cli, Given::of(&matches)))
    });
    let (cli, given) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return session::refuse(&error),
    };
    let command = cli.command.unwrap_or(Command::Build(cli.build));
    let session = Session::new(command.manner(), given);
    let ended = session.listen().and_then(|()| match &command {
        Command::Build(args) => match &args.plan.plan {
            Some(plan) => shard::run(args, plan, &session),
            None => build::run(args, &session),
        },
        Command::Show(args) => show::run(args, &session),
        Command::Check(args) => check::run(args, &session),
        Command::Diff(args) => diff::run(args, &session),
        Command::Sign(args) => sign::run(args, &session),
        Command::Verify(args) => verify::run(args, &session),
        Command::Guard(args) => guard::run(args, &session),
        Command::Init(args) => init::run(args, &session),
        Command::Explain(args) => explain::run(args, &session),
        Command::Kernels(args) => kernels::run(args, &session),
        Command::Matrix(args) => matrix::run(args, &session),
        Command::Merge(args) => merge::run(args, &session),
        Command::Targets(args) => targets::run(args, &session),
        Command::Schema(args) => schema::run(args, &session),
        Command::Completions(args) => completions::run(args, &session),
        Command::Man(args) => man::run(args, &session),
    });
    session.end(ended)
}
