//! What must hold for every input: the laws that fuzzers and the replay of their corpora check.
//!
//! Each function takes raw bytes and panics if a law is broken. They are here, and not beside the
//! fuzz targets, so that the stable toolchain compiles and runs them too.

pub use crate::expr::law::vars;
