//! kpkg turns a Linux driver's source tree and `dkms.conf` into packages, without any distribution's packaging tools.
//!
//! # The library in five minutes
//!
//! | to | call | which gives |
//! |---|---|---|
//! | package the driver in a folder | [`package_folder`] with [`Options`] | [`Artifact`]s, and findings as [`Diagnostic`]s |
//! | say what would be made, to others | [`plan_folder`] | a [`BuildPlan`] of [`Job`]s with keys that every machine computes alike |
//! | read a finished package | [`read_package`] | a [`ReadPackage`]: names, [`Relation`]s, scripts, files |
//! | evaluate a dkms.conf | [`evaluate`] with [`Inputs`] | [`Facts`]; a value is known, absent or unknown |
//! | read what `--json` prints | [`events::Line`] | an [`events::Event`] a line, version 1 of the contract |
//!
//! What can go wrong is an [`Error`]: its kind is the exit code of the program, and it has a place and a hint where there is one. Nothing
//! prints, reads the environment or the clock, or runs a program; what an option does not give is not known. Each call has an
//! example that is tried. These names change with a note in the changelog; everything else is the program's own, and seen with the feature
//! `internals` only, which its tests use.
//!
//! # One driver, from `main` to bytes
//!
//! 1. `main` calls [`cli::main`]; `cli::build` has the arguments of building, and [`cli`] the one way to text, events and the exit code.
//! 2. [`input::Input::open`] makes a folder of what was given; [`driver::find::find`] finds the dkms.conf in it, parsed once, and the root.
//! 3. [`driver::Driver::read`] makes the model: [`input::source::select`] says which files are source, [`dkms::evaluate`] and [`dkms::facts`] what
//!    dkms.conf means, [`driver::layout::examine`] what the build enters and reads of that.
//! 4. [`build::prepare`] goes on: [`plan::profile::target`] for whom, [`config::request::Request`] what the user wants, and with modules [`compile`].
//! 5. [`plan::plan`] decides everything: a [`package::Package`] has names, relations, scripts as text, and entries.
//! 6. [`format::Family::check`] says what the format cannot hold, before anything is written; [`format::Family::write`] spells the bytes.
//! 7. [`output::Dir`] makes the artifact appear, whole or not at all; [`output::finished::Finished`] knows it the next time.
//!
//! # The flow: one way, no way back
//!
//! ```text
//! tree + dkms.conf ── dkms, source ─▶ facts, files, findings
//! facts + kpkg.toml ──── driver ────▶ Driver        knows no format and no distribution
//! Driver + kernels ──── compile ────▶ modules       prebuilt packages only; the one stage that runs programs
//! Driver + Target + Request ─ plan ─▶ Package       every decision, scripts rendered; pure
//! Package ──────────── format ─────▶ bytes         encoding only: same package, same bytes
//! bytes ──────────────── output ────▶ artifact      whole or not at all
//! ```
//!
//! [`build`] walks through it in this order. Maintainer scripts are rendered in the plan, so what will run as root on somebody's
//! machine can be read and checked before an archive exists, and a family of formats never sees a template.
//!
//! # The rooms, from above
//!
//! | room | job |
//! |---|---|
//! | [`cli`], [`events`] | the program: a verb a file; what `--json` prints, the contract with programs |
//! | [`build`] | the order of the work; [`build::jobs`], the same as a value; [`build::matrix`], a plan for many machines, [`build::shard`], which carry it out, [`build::merge`], the whole of their results, and [`build::support`], the table of it; [`build::trial`], whether a package's source ([`build::packaged`]) builds on a target; [`build::check`], the edits that need no thought |
//! | [`lint`] | what would hurt users later |
//! | [`inspect`] | the modules of a finished file; [`inspect::diff`], what differs between two packages |
//! | [`compile`] | modules for kernels, as dkms would build them |
//! | [`plan`] | driver, target and request to packages; [`plan::profile`], what a distribution release wants (the data of `formats/`); [`plan::template`], the texts that end up inside packages (the files of `templates/`) |
//! | [`driver`] | the model of what a vendor ships: [`driver::find`], where dkms.conf files and roots lie; [`driver::kbuild`], what Makefiles make, and [`driver::infer`], the dkms.conf that follows; [`driver::layout`], what a build enters and reads; [`driver::packaging`], what the tree's own packaging says; [`driver::bash`], the real bash on request |
//! | [`config`] | `kpkg.toml`; [`config::request`], what the user asked for, checked |
//! | [`kernel`] | a kernel to build for: [`kernel::headers`], kept without being installed; [`kernel::machine`], facts that the caller gives; [`kernel::ko`], what a module says about itself, and [`kernel::symvers`], whether a kernel can load it |
//! | [`input`] | a folder, an archive ([`input::unpack`]) or a commit as a driver's folder; [`input::source`], which files are source; [`input::version`], what a tree says its version is |
//! | [`lock`] | kernels.lock: every kernel of the chosen targets, as mirrors list them; [`lock::update`], a new one with what changed; [`lock::select`], which are meant |
//! | [`fetch`] | files from mirrors, by what they are |
//! | [`mod@format`] | families of formats: a package as bytes, bytes as a package, and a finished package with other contents |
//! | [`dkms`] | `dkms.conf` to facts, as dkms makes them; `dkms::shell`, a bash without commands that knows nothing of dkms |
//! | [`archive`] | deterministic tar, compression, the one read of every source byte |
//! | [`output`] | folder or memory; [`output::finished`], artifacts of earlier runs that are still there |
//! | [`package`] | the plan's types; depends on nothing |
//! | [`sandbox`] | where programs run and can do no harm |
//! | [`sign`] | keys, certificates, and signatures of kernel modules |
//! | [`base`] | [`base::diagnostic`], findings with code, place and hint; [`base::error`]; [`base::key`], digests of all that decides; [`base::beneath`] and [`base::temporary`], folders in which somebody else may have made anything |
//!
//! # What must stay true
//!
//! * Rooms use only what lies below them, and no files of one go in a circle; `tests/it/tidy.rs` has the table and fails on anything else.
//! * Nothing but [`cli`] prints or reads the environment, and nothing reads the clock. Programs run in the [`sandbox`], on request; only
//!   those that sign run outside.
//! * No distribution's name in code, no logic in `formats/`, no distribution's name in a template's conditions.
//! * A family never changes the package it is given, and says what its format cannot express.
//! * Nothing a driver's metadata says can become code: every value is quoted for the language it lands in.

#![cfg_attr(
    not(feature = "internals"),
    allow(unreachable_pub, rustdoc::private_intra_doc_links, reason = "rooms are public to tests")
)]
// inside, a name that says it all needs no comment
#![cfg_attr(feature = "internals", allow(missing_docs, reason = "checked where only the façade is public"))]

/// Rooms: seen from outside with the feature `internals` only.
macro_rules! rooms {
    ($($room:ident)*) => {$(
        #[cfg(feature = "internals")]
        pub mod $room;
        #[cfg(not(feature = "internals"))]
        pub(crate) mod $room;
    )*};
}

mod api;

rooms! {
    archive
    base
    build
    compile
    config
    dkms
    driver
    fetch
    format
    input
    inspect
    kernel
    lint
    lock
    output
    package
    plan
    sandbox
    sign
}

// rustfmt looks into no macro: the same for it, which no compiler sees
#[cfg(any())]
mod archive;
#[cfg(any())]
mod base;
#[cfg(any())]
mod build;
#[cfg(any())]
mod compile;
#[cfg(any())]
mod config;
#[cfg(any())]
mod dkms;
#[cfg(any())]
mod driver;
#[cfg(any())]
mod fetch;
#[cfg(any())]
mod format;
#[cfg(any())]
mod input;
#[cfg(any())]
mod inspect;
#[cfg(any())]
mod kernel;
#[cfg(any())]
mod lint;
#[cfg(any())]
mod lock;
#[cfg(any())]
mod output;
#[cfg(any())]
mod package;
#[cfg(any())]
mod plan;
#[cfg(any())]
mod sandbox;
#[cfg(any())]
mod sign;

#[doc(hidden)]
pub mod cli;
pub mod events;

pub use crate::api::{evaluate, package_folder, plan_folder, read_package};
pub use crate::base::diagnostic::Diagnostic;
pub use crate::base::error::{Error, Result};
pub use crate::build::jobs::{BuildPlan, Job, JobKernel};
pub use crate::build::{Artifact, Options};
pub use crate::dkms::{Fact, Facts, Inputs};
pub use crate::format::ReadPackage;
pub use crate::package::{Relation, RelationKind};
