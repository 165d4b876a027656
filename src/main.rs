//! See [`kpkg::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    kpkg::cli::main()
}
