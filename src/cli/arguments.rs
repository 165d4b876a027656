//! Arguments that several verbs have, and from them options of the library.
//!
//! Must not do any work.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::base::diagnostic::Severity;
use crate::build;
use crate::config::Initramfs;
use crate::config::request;
use crate::format;
use crate::kernel::machine;

/// What the packages are made of.
#[derive(Debug, Args)]
pub(super) struct PackageArgs {
    /// The driver's folder, or an archive of it: .tar.gz, .tar.xz, .tar.zst or .zip [default: .]
    #[arg(value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
    /// The dkms.conf to use, where there are several or it has another name
    #[arg(long, value_name = "FILE", env = "KPKG_DKMS_CONF")]
    pub(super) dkms_conf: Option<PathBuf>,
    /// A tag, branch or commit of the folder's git repository
    #[arg(long = "ref", value_name = "REF", env = "KPKG_REF")]
    pub(super) revision: Option<String>,
    /// Every driver of a folder that has several
    #[arg(long, conflicts_with = "dkms_conf", hide_short_help = true, env = "KPKG_ALL", action = clap::ArgAction::SetTrue)]
    pub(super) all: bool,
    #[arg(short, long, value_name = "FORMAT", value_delimiter = ',', env = "KPKG_FORMAT", help = formats())]
    pub(super) format: Vec<String>,
    /// The releases to package for, such as debian-12 or rhel-9
    ///
    /// With several, artifacts go to OUT/TARGET/.
    #[arg(short, long, value_name = "TARGET", value_delimiter = ',', env = "KPKG_TARGET")]
    pub(super) target: Vec<String>,
    /// The folder for the packages
    #[arg(short, long, value_name = "OUT", default_value = "dist", env = "KPKG_OUTPUT")]
    pub(super) output: PathBuf,
    /// The driver's version, instead of the one in dkms.conf
    #[arg(long, value_name = "VERSION", hide_short_help = true, env = "KPKG_DRIVER_VERSION")]
    pub(super) driver_version: Option<String>,
    /// The revision of the packages [default: 1]
    #[arg(long, value_name = "RELEASE", hide_short_help = true, env = "KPKG_RELEASE")]
    pub(super) release: Option<String>,
    /// The compression: none, gzip, xz or zstd, and a level
    #[arg(long, value_name = "CODEC[:LEVEL]", env = "KPKG_COMPRESSION")]
    pub(super) compression: Option<String>,
    /// Compress as fast as the targets can read
    #[arg(long, conflicts_with = "compression", env = "KPKG_FAST", action = clap::ArgAction::SetTrue)]
    pub(super) fast: bool,
    /// When the initramfs of a kernel is made anew after its modules have changed [default: auto, where it holds one of that name;
    /// always, where dkms.conf asks for it]
    #[arg(long, value_name = "WHEN", hide_short_help = true, env = "KPKG_INITRAMFS")]
    pub(super) initramfs: Option<InitramfsWhen>,
}

impl PackageArgs {
    /// The driver's folder.
    pub(super) fn folder(&self) -> &Path {
        self.folder.as_deref().unwrap_or(Path::new("."))
    }

    /// The dkms.conf, where it stands in the place of its folder.
    pub(super) fn conf_as_folder(&self) -> Option<&Path> {
        self.folder.as_deref().filter(|path| path.file_name() == Some("dkms.conf".as_ref()) && path.is_file())
    }

    /// The options of the library, without what the environment adds.
    pub(super) fn options(&self) -> build::Options {
        let is_all = self.format.iter().any(|format| format == "all");
        let usual = format::formats().filter(|format| is_all && format.special.is_none());
        let mut formats: Vec<_> = usual.map(|format| format.name.to_owned()).collect();
        for named in self.format.iter().filter(|named| *named != "all") {
            if !formats.contains(named) {
                formats.push(named.clone());
            }
        }
        build::Options {
            formats,
            targets: self.target.clone(),
            output: self.output.clone(),
            dkms_conf: self.dkms_conf.clone().or_else(|| self.conf_as_folder().map(Path::to_owned)),
            all: self.all,
            driver_version: self.driver_version.clone(),
            request: request::CommandLine {
                release: self.release.clone(),
                compression: self.compression.clone(),
                fast: self.fast,
                initramfs: self.initramfs.map(InitramfsWhen::initramfs),
                ..request::CommandLine::default()
            },
            ..build::Options::default()
        }
    }
}

/// What carries a plan out.
#[derive(Debug, Args)]
#[command(next_help_heading = "Plans")]
pub(super) struct PlanArgs {
    /// Do the jobs of a plan that `kpkg matrix` wrote: each leaves OUT/JOB/ with its packages and result.json
    #[arg(long, value_name = "FILE", hide_short_help = true, env = "KPKG_PLAN")]
    pub(super) plan: Option<PathBuf>,
    /// One shard of it, by its name or number from 0
    #[arg(long, value_name = "ID", requires = "plan", hide_short_help = true, env = "KPKG_SHARD")]
    pub(super) shard: Option<String>,
    /// Folders or addresses where finished jobs are looked for, by their keys
    #[arg(
        long,
        value_name = "DIR|URL",
        value_delimiter = ',',
        requires = "plan",
        hide_short_help = true,
        env = "KPKG_REUSE"
    )]
    pub(super) reuse: Vec<String>,
}

/// What builds may use.
#[derive(Debug, Args)]
#[command(next_help_heading = "Compiled modules")]
pub(super) struct CompileArgs {
    /// How many compilers may run at once [default: one for each processor]
    #[arg(short, long, value_name = "N", hide_short_help = true, env = "KPKG_JOBS")]
    pub(super) jobs: Option<usize>,
    /// How long one build may take, in seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = TIMEOUT,
        hide_short_help = true,
        env = "KPKG_TIMEOUT"
    )]
    pub(super) timeout: u64,
}

/// How long a build may take, in seconds, where nobody says it.
pub(super) const TIMEOUT: u64 = 3600;

impl Default for CompileArgs {
    fn default() -> Self {
        Self { jobs: None, timeout: TIMEOUT }
    }
}

/// When an initramfs is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum InitramfsWhen {
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

/// The machines that dkms.conf is read for; what is not given is unknown to it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kernels and machines")]
pub(super) struct MachineArgs {
    /// A kernel release, as `uname -r` prints it there, or with a lock debian-12
    ///
    /// With --prebuilt also what selects kernels of kernels.lock: `debian-12`, `debian-12:cloud`, `rhel-9:>=5.14.0-427`,
    /// `ubuntu-24.04:generic/latest-3`; without --target the packages are for these targets.
    #[arg(short, long, value_name = "KVER", value_delimiter = ',', env = "KPKG_KERNEL")]
    pub(super) kernel: Vec<String>,
    /// The lock that says which kernels a distribution has [default: kernels.lock in the driver's folder]
    #[arg(long, value_name = "FILE", hide_short_help = true, env = "KPKG_LOCK")]
    pub(super) lock: Option<PathBuf>,
    /// Kernel headers: a folder such as /lib/modules/KVER/build leads to, or packages
    ///
    /// Packages serve with --prebuilt: .deb and .rpm files, folders of them, patterns such as `headers/*.deb`, and `@FILE` for a list with a
    /// path a line.
    #[arg(
        long,
        visible_alias = "headers",
        value_name = "PATH",
        value_delimiter = ',',
        env = "KPKG_KERNEL_HEADERS"
    )]
    pub(super) kernel_headers: Vec<PathBuf>,
    /// The architecture, as `uname -m` prints it there
    #[arg(long, value_name = "ARCH", hide_short_help = true, env = "KPKG_ARCH")]
    pub(super) arch: Option<String>,
    /// The number that `nproc` prints there
    #[arg(long, value_name = "N", hide_short_help = true, env = "KPKG_PROCESSORS")]
    pub(super) processors: Option<u32>,
    /// The number that `getconf _NPROCESSORS_ONLN` prints there
    #[arg(long, value_name = "N", hide_short_help = true, env = "KPKG_ONLINE_PROCESSORS")]
    pub(super) online_processors: Option<u32>,
    /// The os-release file of the machine
    #[arg(long, value_name = "FILE", hide_short_help = true, env = "KPKG_OS_RELEASE")]
    pub(super) os_release: Option<PathBuf>,
    /// The version of dkms; without it, a current one
    #[arg(long, value_name = "VERSION", hide_short_help = true, env = "KPKG_DKMS_VERSION")]
    pub(super) dkms_version: Option<String>,
}

impl MachineArgs {
    /// The options of the library.
    pub(super) fn options(&self) -> machine::Stated {
        machine::Stated {
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

/// How a run speaks; every verb has these, and they may stand before it.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Output")]
pub(super) struct Manner {
    /// Only errors and warnings on standard error
    #[arg(short, long, global = true, env = "KPKG_QUIET", action = clap::ArgAction::SetTrue)]
    pub(super) quiet: bool,
    /// Also notes on standard error
    #[arg(short, long, global = true, env = "KPKG_VERBOSE", action = clap::ArgAction::SetTrue)]
    pub(super) verbose: bool,
    /// JSON lines on standard output, for programs
    #[arg(long, global = true, env = "KPKG_JSON", action = clap::ArgAction::SetTrue)]
    pub(super) json: bool,
    /// Colours in messages
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_short_help = true,
        env = "KPKG_COLOR"
    )]
    pub(super) color: When,
}

impl Manner {
    /// For those who cannot be asked, as the arguments are no arguments.
    pub(super) const PROGRAMS: Self = Self { quiet: false, verbose: false, json: true, color: When::Never };

    /// The least that is worth telling, where notes are `usual` or not.
    pub(super) fn least(self, usual: Severity) -> Severity {
        if self.verbose {
            Severity::Note
        } else if self.quiet {
            Severity::Warning
        } else {
            usual
        }
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

fn formats() -> String {
    format!("The formats: {} [default: deb,rpm]", format::listed())
}
