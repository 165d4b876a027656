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
//!
//! What can go wrong is an [`Error`]: its kind is the exit code of the program, and it has a place and a hint where there is one. Nothing
//! prints, reads the environment or the clock, or runs a program; what an option does not give is not known. Each of the four has an
//! example that is tried. These names change with a note in the changelog; everything else is the program's own, and seen with the feature
//! `internals` only, which its tests use.
//!
//! # One driver, from `main` to bytes
//!
//! 1. `main` calls [`cli::main`]; `cli::build` has the arguments of building, and [`cli`] the one way to text, events and the exit code.
//! 2. [`input::Input::open`] makes a folder of what was given; [`find::find`] finds the dkms.conf in it, parsed once, and the root.
//! 3. [`driver::Driver::read`] makes the model: [`source::select`] says which files are source, [`dkms::evaluate`] and [`dkms::facts`] what
//!    dkms.conf means, [`layout::examine`] what the build enters and reads of that.
//! 4. [`build::prepare`] goes on: [`profile::target`] for whom, [`request::Request`] what the user wants, and with modules [`compile`].
//! 5. [`plan::plan`] decides everything: a [`package::Package`] has names, relations, scripts as text, and entries.
//! 6. [`format::Family::check`] says what the format cannot hold, before anything is written; [`format::Family::write`] spells the bytes.
//! 7. [`output::Dir`] makes the artifact appear, whole or not at all; [`finished::Finished`] knows it the next time.
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
//! # The modules
//!
//! | module | job |
//! |---|---|
//! | [`dkms`] | `dkms.conf` to facts, as dkms makes them: both sourcings, the rules, the decision for a kernel |
//! | `dkms::shell` | a bash without commands, with imitations of tools that only compute; knows nothing of dkms |
//! | [`bash`], [`sandbox`] | the same by the real bash, where the user asks for it, and where it can do no harm |
//! | [`input`], [`unpack`] | a folder, an archive or a commit as a driver's folder |
//! | [`find`] | where in a tree dkms.conf files lie, and the root of the source of each |
//! | [`machine`] | the machine that `dkms.conf` is read for: facts that the caller gives |
//! | [`source`] | which files of a tree are the driver's source |
//! | [`version`] | what a tree says its version is |
//! | [`kbuild`], [`infer`] | what Makefiles make; the dkms.conf that follows, where there is none |
//! | [`layout`] | what a build enters, makes and reads, compared with what is there |
//! | [`ko`], [`inspect`] | what a kernel module says about itself; the modules of a finished file |
//! | [`diff`] | what differs between two finished packages |
//! | [`packaging`] | what a tree's own packaging and install targets say: read, never run |
//! | [`driver`] | the model of what a vendor ships |
//! | [`kernel`], [`headers`] | a kernel to build for; headers that are kept without being installed |
//! | [`compile`], [`symvers`] | modules for kernels, as dkms would build them; whether a kernel can load them |
//! | [`trial`], [`packaged`] | whether a package's source builds on a target, and whose fault it is when not; that source |
//! | [`config`], [`request`] | `kpkg.toml`; what the user asked for, checked |
//! | [`profile`] | what a distribution release wants: the data of `formats/` |
//! | [`template`] | the texts that end up inside packages: the files of `templates/` |
//! | [`plan`] | driver, target and request to packages |
//! | [`package`] | the plan's types; depends on nothing |
//! | [`mod@format`] | families of formats: a package as bytes, and bytes as a package |
//! | [`archive`] | deterministic tar, compression, the one read of every source byte |
//! | [`beneath`] | folders in which somebody else may have made anything |
//! | [`output`], [`finished`] | folder or memory; artifacts of earlier runs that are still there |
//! | [`diagnostic`], [`error`] | findings with code, place and hint; errors with path and hint |
//! | [`lint`], [`check`] | what would hurt users later; the edits that need no thought |
//! | [`build`], [`cli`] | the order of the work; the program: a verb a file |
//! | [`jobs`], [`key`] | the order of the work as a value that travels; digests of all that decides about a result |
//! | [`events`] | what `--json` prints: the contract with programs |
//!
//! # What must stay true
//!
//! * Modules use only what lies below them; `tests/it/tidy.rs` has the table and fails on anything else.
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
    bash
    beneath
    build
    check
    compile
    config
    diagnostic
    diff
    dkms
    driver
    error
    events
    find
    finished
    format
    headers
    infer
    input
    inspect
    jobs
    kbuild
    kernel
    key
    ko
    layout
    lint
    machine
    output
    package
    packaged
    packaging
    plan
    profile
    request
    sandbox
    source
    symvers
    template
    temporary
    trial
    unpack
    version
}

#[doc(hidden)]
pub mod cli;

pub use crate::api::{evaluate, package_folder, plan_folder, read_package};
pub use crate::build::{Artifact, Options};
pub use crate::diagnostic::Diagnostic;
pub use crate::dkms::{Fact, Facts, Inputs};
pub use crate::error::{Error, Result};
pub use crate::format::ReadPackage;
pub use crate::jobs::{BuildPlan, Job, JobKernel};
pub use crate::package::{Relation, RelationKind};
