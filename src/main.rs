//! See [`kpkg::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    // a panic of the parser of dkms.conf is caught, and becomes a finding
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() != Some(kpkg::dkms::THREAD) {
            usual(panic);
        }
    }));
    kpkg::cli::main()
}
