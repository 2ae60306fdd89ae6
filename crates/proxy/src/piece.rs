//! Parts of bodies on their way through.

use std::cell::RefCell;
use std::ops::Range;

use bytes::Bytes;

/// Size of the buffer that a worker reads bodies into.
pub(crate) const SCRATCH_SIZE: usize = 65_536;

/// The buffer a worker reads into. What is in it is dealt with before the task gives way, so that
/// one buffer serves all connections and an idle connection holds none.
#[derive(Debug)]
pub(crate) struct Scratch(pub(crate) RefCell<Box<[u8]>>);

impl Default for Scratch {
    fn default() -> Self {
        Self(RefCell::new(vec![0; SCRATCH_SIZE].into_boxed_slice()))
    }
}

/// A part of a body.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Data in the scratch buffer; valid until the task gives way.
    Scratch(Range<usize>),
    /// Data of its own.
    Bytes(Bytes),
    /// The body is complete.
    End(bartizan_wire::Fields),
}
