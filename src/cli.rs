//! The command line: clap's definitions, and from them options, help, completions and man pages.
//!
//! Nothing else knows clap, and nothing here does any work.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::backend;
use crate::bash::ConfShell;
use crate::build;
use crate::config::Initramfs;
use crate::error::{Error, Result};
use crate::machine;
use crate::output::MemoryLimit;
use crate::request;

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
pub struct Cli {
    /// What to do instead of building.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The arguments of building.
    #[command(flatten)]
    pub build: BuildArgs,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write packages (this is what happens without a command)
    Build(BuildArgs),
    /// Print the driver, the plan, and what will run as root on the target; or what a .ko, .deb or .rpm holds
    Show(ShowArgs),
    /// Look for what would hurt users later, in a driver's tree, a dkms.conf or a finished package
    Check(CheckArgs),
    /// Tell what differs between two packages: .deb, .rpm, .dsc or .src.rpm, also of different formats
    Diff(DiffArgs),
    /// Write a dkms.conf and a kpkg.toml for a driver that has none
    Init(InitArgs),
    /// Tell more about a finding
    Explain {
        /// The code, such as K0203
        code: String,
    },
    /// The kernels that modules can be compiled for, and headers that are kept without being installed
    Kernels {
        /// What to do
        #[command(subcommand)]
        action: KernelsAction,
    },
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a man page
    Man {
        /// The command it is about; without it, kpkg itself
        command: Option<String>,
    },
}

/// What to do about kernels.
#[derive(Debug, Subcommand)]
pub enum KernelsAction {
    /// List the kernels, installed and kept
    List,
    /// Keep the headers in package files, so that they need not be given again
    Add {
        /// .deb and .rpm files
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Delete headers and builds that are kept: those of the named packages or kernels, else all
    Prune {
        /// Packages or kernel releases
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

/// What the packages are made of.
#[derive(Debug, Args)]
pub struct PackageArgs {
    /// The driver's folder, or an archive of it: .tar.gz, .tar.xz, .tar.zst or .zip [default: .]
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// The dkms.conf to use, where the folder has several or one of another name
    #[arg(long, value_name = "FILE", env = "KPKG_DKMS_CONF")]
    pub dkms_conf: Option<PathBuf>,
    /// A tag, branch or commit of the folder's git repository, instead of the files that are there
    #[arg(long = "ref", value_name = "REF", env = "KPKG_REF")]
    pub revision: Option<String>,
    /// Every driver of a folder that has several
    #[arg(long, conflicts_with = "dkms_conf", env = "KPKG_ALL", action = clap::ArgAction::SetTrue)]
    pub all: bool,
    /// The formats: deb, rpm, dsc, srpm, or all of these; kmod, a source package of modules for kmodtool and akmods [default: deb,rpm]
    #[arg(short, long, value_name = "FORMAT", value_delimiter = ',', env = "KPKG_FORMAT")]
    pub format: Vec<String>,
    /// The releases to package for, such as debian-12 or rhel-9; with several, artifacts go to OUT/TARGET/
    #[arg(short, long, value_name = "TARGET", value_delimiter = ',', env = "KPKG_TARGET")]
    pub target: Vec<String>,
    /// The folder for the packages
    #[arg(short, long, value_name = "OUT", default_value = "dist", env = "KPKG_OUTPUT")]
    pub output: PathBuf,
    /// The driver's version, instead of the one in dkms.conf
    #[arg(long, value_name = "VERSION", env = "KPKG_DRIVER_VERSION")]
    pub driver_version: Option<String>,
    /// The revision of the packages [default: 1]
    #[arg(long, value_name = "RELEASE", env = "KPKG_RELEASE")]
    pub release: Option<String>,
    /// The compression: none, gzip, xz or zstd, and a level
    #[arg(long, value_name = "CODEC[:LEVEL]", env = "KPKG_COMPRESSION")]
    pub compression: Option<String>,
    /// When the initramfs of a kernel is made anew after its modules have changed [default: auto, where it holds one of that name;
    /// always, where dkms.conf asks for it]
    #[arg(long, value_name = "WHEN", env = "KPKG_INITRAMFS")]
    pub initramfs: Option<InitramfsWhen>,
    /// Colours in messages
    #[arg(long, value_name = "WHEN", default_value = "auto", env = "KPKG_COLOR")]
    pub color: When,
}

/// How modules are compiled.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compiled modules")]
pub struct PrebuiltArgs {
    /// Compile the modules and package them, instead of the source; --kernel also takes `all` and `running`, --kernel-headers also
    /// takes .deb and .rpm files
    #[arg(long, env = "KPKG_PREBUILT", action = clap::ArgAction::SetTrue)]
    pub prebuilt: bool,
    /// One package for all kernels, instead of one for each
    #[arg(long, env = "KPKG_COMBINE", action = clap::ArgAction::SetTrue)]
    pub combine: bool,
    /// Packages of debug information too
    #[arg(long, env = "KPKG_DEBUG", action = clap::ArgAction::SetTrue)]
    pub debug: bool,
    /// Build and package for the other kernels when one fails
    #[arg(long, env = "KPKG_KEEP_GOING", action = clap::ArgAction::SetTrue)]
    pub keep_going: bool,
    /// Build the driver with all rights of the user who runs kpkg, instead of in a sandbox
    #[arg(long, env = "KPKG_NO_SANDBOX", action = clap::ArgAction::SetTrue)]
    pub no_sandbox: bool,
    /// What builds may use.
    #[command(flatten)]
    pub compile: CompileArgs,
}

/// What builds may use.
#[derive(Debug, Args)]
pub struct CompileArgs {
    /// How many compilers may run at once [default: one for each processor]
    #[arg(short, long, value_name = "N", env = "KPKG_JOBS")]
    pub jobs: Option<usize>,
    /// How long one build may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "3600", env = "KPKG_TIMEOUT")]
    pub timeout: u64,
}

/// When an initramfs is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InitramfsWhen {
    /// Where it holds a module of that name.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl InitramfsWhen {
    fn initramfs(self) -> Initramfs {
        match self {
            Self::Auto => Initramfs::Auto,
            Self::Always => Initramfs::Always,
            Self::Never => Initramfs::Never,
        }
    }
}

/// The arguments of building.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// What the packages are made of.
    #[command(flatten)]
    pub package: PackageArgs,
    /// Modules instead of source.
    #[command(flatten)]
    pub prebuilt: PrebuiltArgs,
    /// The machines that they are for.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// The release that .dsc packages are uploaded for, such as unstable or noble [default: the target's]
    #[arg(long, value_name = "NAME", env = "KPKG_DISTRIBUTION")]
    pub distribution: Option<String>,
    /// Write a .buildinfo beside the .changes: what the source package was made by
    #[arg(long, env = "KPKG_BUILDINFO", action = clap::ArgAction::SetTrue)]
    pub buildinfo: bool,
    /// Sign .dsc and .changes by gpg with this key: its id, or a file that holds the secret key
    #[arg(long, value_name = "KEY", conflicts_with = "sign_command", env = "KPKG_SIGN")]
    pub sign: Option<String>,
    /// Sign them with a command, which reads the text and writes it with a signature around it
    #[arg(long, value_name = "COMMAND", env = "KPKG_SIGN_COMMAND")]
    pub sign_command: Option<String>,
    /// A folder whose templates replace the built-in ones of the same name
    #[arg(long, value_name = "DIR", env = "KPKG_TEMPLATES")]
    pub templates: Option<PathBuf>,
    /// How many threads may compress; the packages are the same with any number [default: one for each processor, at most 8]
    #[arg(long, value_name = "N", env = "KPKG_THREADS")]
    pub threads: Option<NonZeroU32>,
    /// How much memory they may take together, such as 512M: fewer threads are used, and it is an error when one takes more [default: a
    /// quarter of the machine's, and always one thread]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, env = "KPKG_MEMORY")]
    pub memory: Option<u64>,
    /// Before anything is written, build the source as dkms does on a target: for each --kernel, or for all whose headers are at hand;
    /// a driver that does not build is not packaged
    #[arg(long, env = "KPKG_CHECK_BUILD", action = clap::ArgAction::SetTrue)]
    pub check_build: bool,
    /// Decide and check everything, print the paths, write nothing
    #[arg(long, env = "KPKG_DRY_RUN", action = clap::ArgAction::SetTrue)]
    pub dry_run: bool,
    /// Only errors and warnings on standard error
    #[arg(short, long, env = "KPKG_QUIET", action = clap::ArgAction::SetTrue)]
    pub quiet: bool,
    /// Also notes on standard error
    #[arg(short, long, env = "KPKG_VERBOSE", action = clap::ArgAction::SetTrue)]
    pub verbose: bool,
    /// JSON lines on standard output instead of paths
    #[arg(long, env = "KPKG_JSON", action = clap::ArgAction::SetTrue)]
    pub json: bool,
}

/// The arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// What the packages are made of.
    #[command(flatten)]
    pub package: PackageArgs,
    /// The machines that dkms.conf is read for.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// Who reads dkms.conf: kpkg itself, which runs nothing, or the real bash in a sandbox, for each --kernel
    #[arg(long, value_name = "SHELL", default_value = "own", env = "KPKG_CONF_SHELL")]
    pub conf_shell: Shell,
    /// Driver and plan as JSON; with --dkms-conf and no DIR, the directives as dkms sees them
    #[arg(long, group = "what")]
    pub json: bool,
    /// The maintainer scripts of every package
    #[arg(long, group = "what")]
    pub scripts: bool,
    /// The files of every package, and what of the tree is left out and why
    #[arg(long, group = "what")]
    pub files: bool,
    /// List the templates; with a folder, those that its templates replace too
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true, env = "KPKG_TEMPLATES")]
    pub templates: Option<Option<PathBuf>>,
}

/// The arguments of `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 nothing that counts, 1 the work failed, 2 usage, 3 errors were found, 5 there are no headers to build \
                        for, or something else has to be installed or allowed first."
)]
pub struct CheckArgs {
    /// Folders, archives, dkms.conf files, or finished .deb and .rpm files of drivers
    #[arg(value_name = "PATH", default_value = ".")]
    pub paths: Vec<PathBuf>,
    /// The dkms.conf to use, where a folder has several or one of another name
    #[arg(long, value_name = "FILE", env = "KPKG_DKMS_CONF")]
    pub dkms_conf: Option<PathBuf>,
    /// Every driver of a folder that has several
    #[arg(long, conflicts_with = "dkms_conf", env = "KPKG_ALL", action = clap::ArgAction::SetTrue)]
    pub all: bool,
    /// A tag, branch or commit of the folder's git repository
    #[arg(long = "ref", value_name = "REF", env = "KPKG_REF")]
    pub revision: Option<String>,
    /// The releases that the driver is packaged for
    #[arg(short, long, value_name = "TARGET", value_delimiter = ',', env = "KPKG_TARGET")]
    pub target: Vec<String>,
    /// Also build what is packaged as dkms does on a target, while another kernel runs: for each --kernel, or for all whose headers are
    /// at hand
    #[arg(long, env = "KPKG_CHECK_BUILD", action = clap::ArgAction::SetTrue)]
    pub build: bool,
    /// Make the edits that need no thought
    #[arg(long, env = "KPKG_FIX", action = clap::ArgAction::SetTrue)]
    pub fix: bool,
    /// What counts as an error too
    #[arg(long, value_name = "WHAT", env = "KPKG_DENY")]
    pub deny: Option<Deny>,
    /// Also notes
    #[arg(short, long, env = "KPKG_VERBOSE", action = clap::ArgAction::SetTrue)]
    pub verbose: bool,
    /// JSON lines
    #[arg(long, env = "KPKG_JSON", action = clap::ArgAction::SetTrue)]
    pub json: bool,
    /// Colours in messages
    #[arg(long, value_name = "WHEN", default_value = "auto", env = "KPKG_COLOR")]
    pub color: When,
    /// What builds may use.
    #[command(flatten)]
    pub compile: CompileArgs,
    /// The machines that it is built for.
    #[command(flatten)]
    pub machine: MachineArgs,
}

impl BuildArgs {
    /// The options of the library; what the environment adds is the caller's.
    #[must_use]
    pub fn options(&self) -> build::Options {
        let mut options = self.package.options();
        if self.prebuilt.prebuilt && self.package.format.iter().any(|format| format == "all") {
            let source =
                |name: &String| backend::formats().any(|format| format.is_source && format.name == *name);
            options.formats.retain(|name| !source(name));
        }
        options.request.distribution.clone_from(&self.distribution);
        options.request.combine = self.prebuilt.combine;
        options.request.debug = self.prebuilt.debug;
        if let Some(threads) = self.threads {
            options.means.threads = threads;
        }
        if let Some(bytes) = self.memory {
            options.means.memory = MemoryLimit::Strict(bytes);
        }
        options
    }
}

/// What `check` takes for an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Deny {
    /// Warnings.
    Warnings,
}

impl CheckArgs {
    /// The options of the library; what the environment adds is the caller's.
    #[must_use]
    pub fn options(&self) -> build::Options {
        build::Options {
            targets: self.target.clone(),
            output: "dist".into(),
            dkms_conf: self.dkms_conf.clone(),
            all: self.all,
            ..build::Options::default()
        }
    }
}

/// The arguments of `diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 they are the same, 1 they differ, 2 one of them cannot be read. How a package is compressed \
                        and when it was made is no difference."
)]
pub struct DiffArgs {
    /// A package
    #[arg(value_name = "OLD")]
    pub old: PathBuf,
    /// Another one
    #[arg(value_name = "NEW")]
    pub new: PathBuf,
    /// JSON lines
    #[arg(long, env = "KPKG_JSON", action = clap::ArgAction::SetTrue)]
    pub json: bool,
    /// Colours in messages
    #[arg(long, value_name = "WHEN", default_value = "auto", env = "KPKG_COLOR")]
    pub color: When,
}

/// The arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The driver's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// The driver's version, instead of the one that the tree says
    #[arg(long, value_name = "VERSION", env = "KPKG_DRIVER_VERSION")]
    pub driver_version: Option<String>,
    /// Take maintainer, description, relations and notes on scripts from the tree's own packaging: a folder such as debian/, or a
    /// spec file, below DIR
    #[arg(long, value_name = "PATH", env = "KPKG_FROM")]
    pub from: Option<String>,
    /// Print the first of the files that would be written, write nothing
    #[arg(long, env = "KPKG_DRY_RUN", action = clap::ArgAction::SetTrue)]
    pub dry_run: bool,
    /// Colours in messages
    #[arg(long, value_name = "WHEN", default_value = "auto", env = "KPKG_COLOR")]
    pub color: When,
}

/// The machines that dkms.conf is read for; what is not given is unknown to it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Facts for dkms.conf")]
pub struct MachineArgs {
    /// A kernel release, as `uname -r` prints it there
    #[arg(short, long, value_name = "KVER", value_delimiter = ',', env = "KPKG_KERNEL")]
    pub kernel: Vec<String>,
    /// A folder of kernel headers: what /lib/modules/KVER/build leads to
    #[arg(long, visible_alias = "headers", value_name = "DIR", env = "KPKG_KERNEL_HEADERS")]
    pub kernel_headers: Vec<PathBuf>,
    /// The architecture, as `uname -m` prints it there
    #[arg(long, value_name = "ARCH", env = "KPKG_ARCH")]
    pub arch: Option<String>,
    /// The number that `nproc` prints there
    #[arg(long, value_name = "N", env = "KPKG_PROCESSORS")]
    pub processors: Option<u32>,
    /// The number that `getconf _NPROCESSORS_ONLN` prints there
    #[arg(long, value_name = "N", env = "KPKG_ONLINE_PROCESSORS")]
    pub online_processors: Option<u32>,
    /// The os-release file of the machine
    #[arg(long, value_name = "FILE", env = "KPKG_OS_RELEASE")]
    pub os_release: Option<PathBuf>,
    /// The version of dkms; without it, a current one
    #[arg(long, value_name = "VERSION", env = "KPKG_DKMS_VERSION")]
    pub dkms_version: Option<String>,
}

impl MachineArgs {
    /// The options of the library.
    #[must_use]
    pub fn options(&self) -> machine::Options {
        machine::Options {
            kernels: self.kernel.clone(),
            headers: self.kernel_headers.clone(),
            arch: self.arch.clone(),
            processors: self.processors,
            online_processors: self.online_processors,
            os_release: self.os_release.clone(),
            dkms_version: self.dkms_version.clone(),
        }
    }
}

/// Who reads dkms.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// kpkg itself.
    Own,
    /// The real bash.
    Bash,
}

impl Shell {
    /// For the library.
    #[must_use]
    pub fn conf_shell(self) -> ConfShell {
        match self {
            Self::Own => ConfShell::Own,
            Self::Bash => ConfShell::Bash,
        }
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl PackageArgs {
    /// The driver's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.as_deref().unwrap_or(Path::new("."))
    }

    /// The options of the library; what the environment adds is the caller's.
    #[must_use]
    pub fn options(&self) -> build::Options {
        let all = self.format.iter().any(|format| format == "all");
        let formats = if all {
            backend::formats().filter(|format| format.is_usual).map(|format| format.name.to_owned()).collect()
        } else {
            self.format.clone()
        };
        build::Options {
            formats,
            targets: self.target.clone(),
            output: self.output.clone(),
            dkms_conf: self.dkms_conf.clone(),
            all: self.all,
            driver_version: self.driver_version.clone(),
            request: request::Options {
                release: self.release.clone(),
                compression: self.compression.clone(),
                initramfs: self.initramfs.map(InitramfsWhen::initramfs),
                ..request::Options::default()
            },
            ..build::Options::default()
        }
    }
}

/// Bytes, with `K`, `M` or `G` behind them for powers of 1024.
fn parse_size(text: &str) -> std::result::Result<u64, String> {
    let units = [("K", 10), ("M", 20), ("G", 30)];
    let with_unit = |(unit, shift): (&str, u32)| Some((text.strip_suffix(unit)?, shift));
    let (number, shift) = units.into_iter().find_map(with_unit).unwrap_or((text, 0));
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| "give bytes, or a number with K, M or G, such as 512M".to_owned())
}

/// The completions for a shell.
#[must_use]
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kpkg", &mut text);
    text
}

/// The man page of kpkg, or of one of its commands.
pub fn man_page(command: Option<&str>) -> Result<Vec<u8>> {
    let mut all = Cli::command();
    all.build();
    let page = match command {
        None => all,
        Some(name) => all.find_subcommand(name).cloned().ok_or_else(|| {
            Error::usage(format!("there is no command `{name}`")).hint("`kpkg --help` lists the commands")
        })?,
    };
    let mut text = Vec::new();
    let page = clap_mangen::Man::new(page);
    page.render(&mut text).map_err(|error| Error::io("cannot write", "the man page", error))?;
    Ok(text)
}
