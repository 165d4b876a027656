//! Passwords of key files and PINs of tokens.
//!
//! They come from files and the environment, never from arguments, and are in no message.

use std::fmt;

/// The variable that holds one; it is the kernel's own (`Documentation/kbuild/kbuild.rst`).
pub const VARIABLE: &str = "KBUILD_SIGN_PIN";

/// A password or PIN; it is never printed.
#[derive(Clone)]
pub struct Pin(String);

impl Pin {
    /// What [`VARIABLE`] holds; nothing where that is empty.
    #[must_use]
    pub fn of(text: String) -> Option<Self> {
        (!text.is_empty()).then_some(Self(text))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin")
    }
}

/// Keeps the memory of this process, which holds keys from now on, out of core files and from other processes (`prctl(2)`,
/// `PR_SET_DUMPABLE`).
pub(super) fn keep_to_ourselves() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    // where that cannot be, the key is still as safe as in the program that made it
    let _unsupported = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
