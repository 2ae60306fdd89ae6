//! The values of a transaction, and what transformations make of them, each made once.

use super::work::Work;
use crate::byte_mask::ByteMask;
use crate::sieve::Sieve;
use crate::transformations::{Transformation, UnicodeMap};

/// The most bytes that all values of a transaction take, transformed ones included.
const BYTES_MAX: usize = 256 << 20;
/// Stands for no entry in a list.
const NONE: u32 = u32::MAX;

/// The number of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ValueId(u32);

/// A piece of the transaction's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    start: u32,
    len: u32,
}

#[derive(Clone, Copy, Debug)]
struct Value {
    piece: Piece,
    mask: ByteMask,
    /// The first of what transformations made of it.
    made: u32,
    /// Where its bits of the sieve are.
    bits: u32,
}

/// What one transformation made of a value.
#[derive(Clone, Copy, Debug)]
struct Made {
    by: Transformation,
    to: ValueId,
    next: u32,
}

/// All values of a transaction.
#[derive(Debug, Default)]
pub(super) struct Values {
    bytes: Vec<u8>,
    list: Vec<Value>,
    made: Vec<Made>,
    bits: Vec<u64>,
    words: usize,
    scratch: Vec<u8>,
    is_full: bool,
}

impl Values {
    pub(super) fn clear(&mut self, words: usize) {
        self.bytes.clear();
        self.list.clear();
        self.made.clear();
        self.bits.clear();
        self.words = words;
        self.is_full = false;
    }

    /// How many bytes are kept for the next exchange.
    pub(super) fn kept(&self) -> usize {
        let bits = self.bits.capacity() * size_of::<u64>();
        let list = self.list.capacity() * size_of::<Value>();
        let made = self.made.capacity() * size_of::<Made>();
        self.bytes.capacity() + self.scratch.capacity() + bits + list + made
    }

    /// True if a value was dropped because there is no more room.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Keeps bytes that are no value of their own.
    pub(super) fn keep(&mut self, bytes: &[u8]) -> Piece {
        let (Ok(start), Ok(len)) = (u32::try_from(self.bytes.len()), u32::try_from(bytes.len()))
        else {
            self.is_full = true;
            return Piece::default();
        };
        if self.bytes.len() + bytes.len() > BYTES_MAX {
            self.is_full = true;
            return Piece::default();
        }
        self.bytes.extend_from_slice(bytes);
        Piece { start, len }
    }

    /// Keeps a value.
    pub(super) fn add(&mut self, bytes: &[u8]) -> ValueId {
        let piece = self.keep(bytes);
        self.name(piece, ByteMask::of(bytes))
    }

    /// Makes a value of bytes that are kept.
    pub(super) fn of_piece(&mut self, piece: Piece) -> ValueId {
        let mask = ByteMask::of(self.piece(piece));
        self.name(piece, mask)
    }

    fn name(&mut self, piece: Piece, mask: ByteMask) -> ValueId {
        let id = u32::try_from(self.list.len()).unwrap_or(NONE);
        self.list.push(Value { piece, mask, made: NONE, bits: NONE });
        ValueId(id)
    }

    /// The bytes of a piece.
    pub(super) fn piece(&self, piece: Piece) -> &[u8] {
        let start = piece.start as usize;
        self.bytes.get(start..start + piece.len as usize).unwrap_or_default()
    }

    /// The bytes of a value.
    pub(super) fn bytes(&self, id: ValueId) -> &[u8] {
        self.list.get(id.0 as usize).map_or(&[], |value| self.piece(value.piece))
    }

    /// What `transformation` makes of a value.
    pub(super) fn step(
        &mut self,
        id: ValueId,
        transformation: Transformation,
        map: Option<&UnicodeMap>,
        work: &mut Work,
    ) -> ValueId {
        let Some(value) = self.list.get(id.0 as usize).copied() else { return id };
        let triggers = transformation.triggers();
        if triggers != ByteMask::ANY && !value.mask.meets(triggers) {
            return id;
        }
        let mut at = value.made;
        while let Some(made) = self.made.get(at as usize) {
            if made.by == transformation {
                return made.to;
            }
            at = made.next;
        }
        let mut output = std::mem::take(&mut self.scratch);
        let input = self.piece(value.piece);
        work.spend(input.len());
        let is_changed = transformation.apply_with(input, &mut output, map);
        let to = if is_changed { self.add(&output) } else { id };
        self.scratch = output;
        let next = u32::try_from(self.made.len()).unwrap_or(NONE);
        self.made.push(Made { by: transformation, to, next: value.made });
        if let Some(value) = self.list.get_mut(id.0 as usize) {
            value.made = next;
        }
        to
    }

    /// The bits of the rules that can match a value.
    pub(super) fn bits(&mut self, id: ValueId, sieve: &Sieve, work: &mut Work) -> &[u64] {
        let Some(value) = self.list.get(id.0 as usize).copied() else { return &[] };
        let mut at = value.bits;
        if at == NONE {
            let start = self.bits.len();
            self.bits.resize(start + self.words, 0);
            let bytes = self.bytes.get(value.piece.start as usize..).unwrap_or_default();
            let bytes = bytes.get(..value.piece.len as usize).unwrap_or_default();
            work.spend(bytes.len());
            if let Some(out) = self.bits.get_mut(start..) {
                sieve.screen(bytes, value.mask, out);
            }
            at = u32::try_from(start).unwrap_or(NONE);
            if let Some(value) = self.list.get_mut(id.0 as usize) {
                value.bits = at;
            }
        }
        self.bits.get(at as usize..at as usize + self.words).unwrap_or_default()
    }
}
