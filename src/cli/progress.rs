//! How far what takes long has come: a bar on a terminal, which shows only where there is something to wait for; elsewhere a line now and
//! then.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::session::{self, Session};
use super::text;
use crate::build;
use crate::fetch::Downloads;

/// How often a bar is drawn.
const DRAWN: Duration = Duration::from_millis(100);
/// How long a run takes at least that has one.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often there is a line elsewhere.
const TOLD: Duration = Duration::from_secs(10);

/// What is waited for; it is told until this goes.
pub(super) struct Progress(Option<Told>);

struct Told {
    ends: Sender<()>,
    thread: JoinHandle<()>,
    /// The bar, once there is one.
    bar: Arc<Mutex<Option<ProgressBar>>>,
}

/// How far it is.
struct Sample {
    position: u64,
    /// Where it ends, where that is known.
    length: Option<u64>,
    /// What it is about.
    message: String,
}

/// How a sample is shown.
struct Form {
    /// On a terminal, in indicatif's notation.
    bar: &'static str,
    /// Elsewhere.
    line: fn(&Sample) -> String,
}

impl Progress {
    /// The files of a tree that were met.
    pub(super) fn reading(session: &Session, is_quiet: bool) -> Self {
        let form = Form {
            bar: "   Reading {pos} files {wide_msg}",
            line: |sample| format!("   Reading {} files\n", sample.position),
        };
        let stop = session.stop.clone();
        Self::start(session, is_quiet, form, move || Sample {
            position: stop.met(),
            length: None,
            message: String::new(),
        })
    }

    /// Bytes that were read of so many that are packaged.
    pub(super) fn packaging(session: &Session, is_quiet: bool, total: u64) -> Self {
        let form = Form {
            bar: " Packaging {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
            line: |sample| {
                let total = text::size(sample.length.unwrap_or_default());
                format!(" Packaging {} of {total}\n", text::size(sample.position))
            },
        };
        let (stop, before) = (session.stop.clone(), session.stop.moved());
        Self::start(session, is_quiet, form, move || Sample {
            position: stop.moved().saturating_sub(before).min(total),
            length: Some(total),
            message: String::new(),
        })
    }

    /// Bytes that come from mirrors.
    pub(super) fn downloading(session: &Session, is_quiet: bool, downloads: &Downloads) -> Self {
        let form = Form {
            bar: "  Fetching {bytes}/{total_bytes} {binary_bytes_per_sec} {wide_msg}",
            line: |sample| {
                let total =
                    sample.length.map(|total| format!(" of {}", text::size(total))).unwrap_or_default();
                format!("  Fetching {}{total}, now {}\n", text::size(sample.position), sample.message)
            },
        };
        let downloads = downloads.clone();
        Self::start(session, is_quiet, form, move || {
            let (position, total) = downloads.bytes();
            Sample {
                position,
                length: Some(total).filter(|total| *total >= position),
                message: downloads.name(),
            }
        })
    }

    fn start(
        session: &Session,
        is_quiet: bool,
        form: Form,
        sample: impl Fn() -> Sample + Send + 'static,
    ) -> Self {
        if is_quiet || session.json {
            return Self(None);
        }
        let (ends, ended) = mpsc::channel();
        let is_terminal = session.is_terminal();
        let wait = move |time| ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
        let bar = Arc::new(Mutex::new(None));
        let drawn = Arc::clone(&bar);
        let thread = std::thread::Builder::new().spawn(move || {
            if is_terminal && wait(PATIENCE) {
                draw(&form, &drawn, &sample, &wait);
            } else if !is_terminal {
                while wait(TOLD) {
                    session::say_plainly(&(form.line)(&sample()));
                }
            }
        });
        // without a thread it goes on untold
        Self(thread.ok().map(|thread| Told { ends, thread, bar }))
    }

    /// Says something while no bar is in its way.
    fn around(&self, say: impl FnOnce()) {
        let bar = self.0.as_ref().map(|told| told.bar.lock().unwrap_or_else(PoisonError::into_inner));
        match bar.as_ref().and_then(|bar| bar.as_ref()) {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(Told { ends, thread, .. }) = self.0.take() {
            drop(ends);
            let _panicked = thread.join();
        }
    }
}

/// Draws until the wait ends, and leaves an empty line.
fn draw(
    form: &Form,
    place: &Mutex<Option<ProgressBar>>,
    sample: &dyn Fn() -> Sample,
    wait: &dyn Fn(Duration) -> bool,
) {
    let Ok(style) = ProgressStyle::with_template(form.bar) else { return };
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style);
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
    loop {
        let Sample { position, length, message } = sample();
        if let Some(length) = length {
            bar.set_length(length);
        }
        bar.set_message(text::visible(&message));
        bar.set_position(position);
        bar.tick();
        if !wait(DRAWN) {
            break;
        }
    }
    bar.finish_and_clear();
}

/// What is compiled.
#[derive(Default)]
struct Kernels {
    done: usize,
    total: usize,
    driver: String,
    running: Vec<String>,
}

/// Tells how compiling goes.
pub(super) struct CompileProgress<'a> {
    session: &'a Session,
    word: &'static str,
    is_quiet: bool,
    kernels: Arc<Mutex<Kernels>>,
    told: Mutex<Option<Progress>>,
}

impl<'a> CompileProgress<'a> {
    pub(super) fn new(session: &'a Session, word: &'static str, is_quiet: bool) -> Self {
        let kernels = Arc::default();
        Self { session, word, is_quiet: is_quiet || session.json, kernels, told: Mutex::default() }
    }

    pub(super) fn tell(&self, event: build::Progress<'_>) {
        if self.is_quiet {
            return;
        }
        {
            let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
            kernels.running.retain(|kernel| kernel != event.kernel);
            (kernels.done, kernels.total) = (event.done, event.total);
            event.driver.clone_into(&mut kernels.driver);
            if !event.is_done {
                kernels.running.push(event.kernel.to_owned());
            }
        }
        if !self.session.is_terminal() && !event.is_done {
            self.session.say(&format!(" {:>9} {} for {}\n", self.word, event.driver, event.kernel));
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get_or_insert_with(|| self.start());
    }

    fn start(&self) -> Progress {
        let form = match self.word {
            "Building" => Form { bar: "  Building {pos}/{len} {wide_msg} {elapsed}", line: waiting },
            _ => Form { bar: " Compiling {pos}/{len} {wide_msg} {elapsed}", line: waiting },
        };
        let kernels = Arc::clone(&self.kernels);
        Progress::start(self.session, self.is_quiet, form, move || {
            let kernels = kernels.lock().unwrap_or_else(PoisonError::into_inner);
            Sample {
                position: kernels.done as u64,
                length: Some(kernels.total as u64),
                message: format!("{} for {}", kernels.driver, kernels.running.join(", ")),
            }
        })
    }

    /// So many are done now, and there is something to say of the last one.
    pub(super) fn say(&self, done: usize, total: usize, shown: &str) {
        {
            let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
            (kernels.done, kernels.total) = (done, total);
        }
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match told.as_ref() {
            Some(told) => told.around(|| self.session.say(shown)),
            None => self.session.say(shown),
        }
    }

    pub(super) fn end(&self) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn waiting(sample: &Sample) -> String {
    format!(
        "           {} of {} done; {}\n",
        sample.position,
        sample.length.unwrap_or_default(),
        sample.message
    )
}
