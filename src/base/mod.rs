//! What every room stands on: errors and findings, keys, threads, and folders in which somebody else may have made anything.
//!
//! Must not know what kpkg is for.

pub mod beneath;
pub mod diagnostic;
pub mod error;
pub mod key;
pub mod temporary;
pub mod threads;
