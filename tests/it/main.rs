//! The tests of the whole, a room or a promise a file; `cargo test --test it check::` runs those of one.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::print_stdout,
    unreachable_pub,
    reason = "tests run the program and the real tools, and a skipped one says so"
)]

mod against;
mod support;

mod bytes;
mod check;
mod cli;
mod conf;
mod diff;
mod events;
mod fetch;
mod fuzz;
mod guard;
mod hostile;
mod jobs;
mod kabi;
mod kills;
mod ko;
mod limits;
mod lint;
mod lock;
mod manual;
mod matrix;
mod outside;
mod packaging;
mod pacman;
mod plan;
mod prebuilt;
mod random_conf;
mod random_packages;
mod rewrite;
mod secure_boot;
mod sign;
mod signers;
mod source;
mod strace;
mod strict;
mod terminal;
mod tidy;
mod trees;
mod trial;
mod usage;
mod verify;
