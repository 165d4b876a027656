//! One run of the program: its streams, its signals, its environment, and how it ends.
//!
//! The only reader of environment and clock, and the only printer. Texts and events come from [`super::text`] and [`super::json`].

#![allow(
    clippy::disallowed_methods,
    clippy::unused_self,
    reason = "this is the place for it; streams belong to the run"
)]

use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::arguments::{Manner, When};
use super::given::Given;
use super::{json, text};
use crate::base::diagnostic::{Diagnostic, Severity};
use crate::base::error::{Error, Kind, Result};
use crate::base::temporary;
use crate::events::{Event, Line};
use crate::fetch::proxies::Proxies;
use crate::kernel::machine::{self, Machine};
use crate::output::Stop;
use crate::sign::secret::{self, Pin};

/// Why a verb ends before its end.
pub(super) enum End {
    /// With something to say.
    Error(Error),
    /// Whoever read standard output went away: as it would end `cat`.
    Unheard,
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// How a verb ends: with an exit code.
pub(super) type Ended = Result<u8, End>;

/// One run.
pub(super) struct Session {
    /// Set by the first signal.
    pub stop: Stop,
    /// Whether programs read standard output.
    pub json: bool,
    /// The arguments, and where they come from.
    pub given: Given,
    manner: Manner,
    signal: Arc<AtomicUsize>,
    begun: Instant,
}

impl Session {
    pub(super) fn new(manner: Manner, given: Given) -> Self {
        Self {
            stop: Stop::default(),
            json: manner.json,
            given,
            manner,
            signal: Arc::new(AtomicUsize::new(0)),
            begun: Instant::now(),
        }
    }

    /// Listens to signals: the first one asks to stop, so that nothing half-written stays, and ends what has not stopped soon; a second one
    /// ends the process at once.
    pub(super) fn listen(&self) -> Result<(), End> {
        let register = || {
            let (mut heard, hears) = UnixStream::pair()?;
            let (json, signalled) = (self.json, Arc::clone(&self.signal));
            std::thread::Builder::new().stack_size(64 << 10).spawn(move || {
                if heard.read_exact(&mut [0]).is_ok() {
                    std::thread::sleep(PATIENCE);
                    temporary::remove_all();
                    std::process::exit(i32::from(interrupted(json, &signalled)));
                }
            })?;
            for signal in [SIGINT, SIGTERM] {
                signal_hook::low_level::pipe::register(signal, hears.try_clone()?)?;
                let number = usize::try_from(signal).unwrap_or_default();
                signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, self.stop.flag())?;
                signal_hook::flag::register_usize(signal, Arc::clone(&self.signal), number)?;
                signal_hook::flag::register(signal, self.stop.flag())?;
            }
            Ok(())
        };
        register().map_err(|error| Error::io("cannot listen to signals", "", error).into())
    }

    /// The one way from what a verb came to, to what is said of it and the exit code.
    pub(super) fn end(&self, ended: Ended) -> ExitCode {
        match ended {
            Ok(code) => ExitCode::from(code),
            Err(End::Unheard) => ExitCode::from(128 + 13),
            Err(End::Error(_)) if self.stop.is_set() => ExitCode::from(interrupted(self.json, &self.signal)),
            Err(End::Error(error)) => {
                self.tell_error(&error);
                ExitCode::from(exit_code(error.kind()))
            }
        }
    }

    /// Says an error, which need not end the run.
    pub(super) fn tell_error(&self, error: &Error) {
        if self.json {
            let findings = error.findings().iter().map(json::finding);
            let _unheard = findings.chain([json::error(error)]).try_for_each(|event| self.event(event));
        } else {
            self.say(&text::error(error));
        }
    }

    /// Findings that do not end the run: events, or text on standard error.
    pub(super) fn tell(&self, findings: &[Diagnostic], least: Severity) {
        let shown: Vec<_> = findings.iter().filter(|finding| finding.severity >= least).cloned().collect();
        if self.json {
            let _unheard = shown.iter().map(json::finding).try_for_each(|event| self.event(event));
        } else if !shown.is_empty() {
            self.say(&text::findings(&shown));
        }
    }

    // ---- streams ---------------------------------------------------------------------------------------------------------------

    /// An event, on standard output.
    pub(super) fn event(&self, event: Event) -> Result<(), End> {
        self.print(Line::text(event).as_bytes())
    }

    /// Bytes for programs, or such as people asked for, on standard output.
    pub(super) fn print(&self, bytes: &[u8]) -> Result<(), End> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(End::Unheard),
            Err(error) => Err(Error::io("cannot write to", "standard output", error).into()),
        }
    }

    /// A text for people, on standard output.
    pub(super) fn print_text(&self, shown: &str) -> Result<(), End> {
        let mut bytes = AutoStream::new(Vec::new(), self.colors(&io::stdout()));
        let _infallible = bytes.write_all(text::visible(shown).as_bytes());
        self.print(&bytes.into_inner())
    }

    /// A text for people, on standard error. Where that cannot be written to, nobody is left to be told.
    pub(super) fn say(&self, shown: &str) {
        let mut bytes = AutoStream::new(Vec::new(), self.colors(&io::stderr()));
        let _infallible = bytes.write_all(text::visible(shown).as_bytes());
        let _lost = io::stderr().write_all(&bytes.into_inner());
    }

    /// How long the run takes so far.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether standard error is a terminal on which lines can be drawn over.
    pub(super) fn is_terminal(&self) -> bool {
        io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|name| name != "dumb")
    }

    /// Whether both streams are seen by the same eyes.
    pub(super) fn is_seen_twice(&self) -> bool {
        io::stderr().is_terminal() && io::stdout().is_terminal()
    }

    /// Whether a stream gets colours.
    fn colors(&self, stream: &impl RawStream) -> ColorChoice {
        match self.manner.color {
            When::Always => ColorChoice::Always,
            When::Never => ColorChoice::Never,
            When::Auto => AutoStream::choice(stream),
        }
    }
}

/// Says a line without a style, from wherever it is noticed.
pub(super) fn say_plainly(shown: &str) {
    let _lost = io::stderr().write_all(text::visible(shown).as_bytes());
}

/// How long what was asked to stop may take for it: a codec that has a large block in hand looks at nothing else meanwhile.
const PATIENCE: Duration = Duration::from_millis(600);

/// The last event of a run that a signal ended, and its exit code.
fn interrupted(is_for_programs: bool, signal: &AtomicUsize) -> u8 {
    let signal = u8::try_from(signal.load(Ordering::Relaxed)).unwrap_or(2);
    if is_for_programs {
        let _unheard = io::stdout().write_all(Line::text(json::interrupted(signal)).as_bytes());
    }
    128 + signal
}

/// Arguments that are none, or a question for help: clap's words, unless programs read the answer.
pub(super) fn refuse(error: &clap::Error) -> ExitCode {
    let is_for_programs = std::env::args_os().any(|argument| argument == "--json");
    if !error.use_stderr() || !is_for_programs {
        error.exit();
    }
    let said = error.render().to_string();
    let said = said.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
    let session = Session::new(Manner::PROGRAMS, Given::default());
    session.end(Err(Error::usage(said).hint("`kpkg --help` lists the arguments").into()))
}

/// One exit code a kind; which signal came is for [`Session::end`] to say.
pub(super) fn exit_code(kind: Kind) -> u8 {
    match kind {
        Kind::Failed | Kind::Interrupted => 1,
        Kind::Usage => 2,
        Kind::Lacking => 5,
    }
}

// ---- the machine and its environment --------------------------------------------------------------------------------------------

/// The folder for what is worth keeping between runs (XDG Base Directory Specification).
pub(super) fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let own = set("KPKG_CACHE");
    let usual = || Some(set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?.join("kpkg"));
    let folder = own.or_else(usual).ok_or_else(|| {
        Error::usage("there is no folder for what is kept between runs")
            .hint("set HOME, or KPKG_CACHE to a folder")
    })?;
    // links lead there from elsewhere
    std::path::absolute(&folder).map_err(|error| Error::io("cannot find", &folder, error))
}

/// The ways to mirrors that the environment names.
pub(super) fn proxies() -> Proxies {
    Proxies::new(&|name| std::env::var_os(name)?.into_string().ok())
}

/// Where unpacked sources and builds may lie.
pub(super) fn scratch() -> PathBuf {
    std::env::temp_dir()
}

/// `SOURCE_DATE_EPOCH`, where it is set (reproducible-builds.org's specification).
pub(super) fn source_date_epoch() -> Result<Option<u32>> {
    let Some(value) = std::env::var_os("SOURCE_DATE_EPOCH") else { return Ok(None) };
    let seconds = value.to_str().and_then(|text| text.parse().ok());
    let hint = "set it to seconds since 1970, or unset it";
    seconds.map(Some).ok_or_else(|| {
        Error::usage(format!("SOURCE_DATE_EPOCH is `{}`, no number of seconds", value.display())).hint(hint)
    })
}

/// What opens keys, where it is set.
pub(super) fn pin() -> Option<Pin> {
    Pin::of(std::env::var_os(secret::VARIABLE)?.into_string().ok()?)
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The memory of this machine in bytes (`sysinfo(2)`).
pub(super) fn physical_memory() -> u64 {
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "it has 32 bits on machines of 32 bits")]
    u64::from(info.totalram).saturating_mul(info.mem_unit.into())
}

/// As many as there are processors.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// This machine, as `uname -m` names it.
pub(super) const ARCH: &str = std::env::consts::ARCH;

/// The distribution of this machine; one without such a file has no name.
pub(super) fn this_distribution() -> Machine {
    let text = machine::read_os_release(Path::new("/etc/os-release")).unwrap_or_default();
    Machine { os_release: Some(text), ..Machine::default() }
}
