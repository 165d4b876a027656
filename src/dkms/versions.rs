//! How dkms orders versions: its own, which say what it does, and those of kernels.
//!
//! Must not know what follows from an order.

use super::Inputs;
pub(super) use super::shell::compare_versions;

/// Whether a file is read by this version of dkms or a later one.
pub(super) fn is_at_least(inputs: &Inputs, version: &str) -> bool {
    inputs.dkms_version.as_deref().is_none_or(|own| compare_versions(own, version).is_ge())
}

/// dkms's `VER`: every number of at most two digits is padded to three.
pub(super) fn padded_version(text: &str) -> String {
    let mut out = String::new();
    let mut digits = String::new();
    let flush = |digits: &mut String, out: &mut String| {
        if !digits.is_empty() {
            out.push_str(&format!("{digits:0>3}"));
            digits.clear();
        }
    };
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
        } else {
            flush(&mut digits, &mut out);
            out.push(c);
        }
    }
    flush(&mut digits, &mut out);
    out
}
