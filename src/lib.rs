//! kpkg turns a Linux driver's source tree and `dkms.conf` into packages, without any distribution's packaging tools.
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
//! | [`format`] | families of formats: a package as bytes, and bytes as a package |
//! | [`archive`] | deterministic tar, compression, the one read of every source byte |
//! | [`beneath`] | folders in which somebody else may have made anything |
//! | [`output`], [`finished`] | folder or memory; artifacts of earlier runs that are still there |
//! | [`diagnostic`], [`error`] | findings with code, place and hint; errors with path and hint |
//! | [`lint`], [`check`] | what would hurt users later; the edits that need no thought |
//! | [`build`], [`cli`] | the order of the work; the program: a verb a file |
//! | [`events`] | what `--json` prints: the contract with programs |
//!
//! # What must stay true
//!
//! * Modules use only what lies below them; `tests/tidy.rs` has the table and fails on anything else.
//! * Nothing but [`cli`] prints or reads the environment, and nothing reads the clock. Programs run in the [`sandbox`], on request; only
//!   those that sign run outside.
//! * No distribution's name in code, no logic in `formats/`, no distribution's name in a template's conditions.
//! * A family never changes the package it is given, and says what its format cannot express.
//! * Nothing a driver's metadata says can become code: every value is quoted for the language it lands in.

pub mod archive;
pub mod bash;
pub mod beneath;
pub mod build;
pub mod check;
pub mod cli;
pub mod compile;
pub mod config;
pub mod diagnostic;
pub mod diff;
pub mod dkms;
pub mod driver;
pub mod error;
pub mod events;
pub mod find;
pub mod finished;
pub mod format;
pub mod headers;
pub mod infer;
pub mod input;
pub mod inspect;
pub mod kbuild;
pub mod kernel;
pub mod ko;
pub mod layout;
pub mod lint;
pub mod machine;
pub mod output;
pub mod package;
pub mod packaged;
pub mod packaging;
pub mod plan;
pub mod profile;
pub mod request;
pub mod sandbox;
pub mod source;
pub mod symvers;
pub mod template;
pub mod temporary;
pub mod trial;
pub mod unpack;
pub mod version;
