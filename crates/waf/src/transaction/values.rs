//! The values of a transaction, and what transformations make of them, each made once.

use std::sync::Arc;

use super::facts::Member;
use super::kinds::{Kinds, views};
use super::work::Work;
use crate::byte_mask::ByteMask;
use crate::rules::RuleSet;
use crate::sieve::{Sheet, Sieved, Tier, View, has};
use crate::transformations::Transformation;

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
    /// Where the bits are of the rules whose texts stand in it: rules of requests, of responses.
    texts: [u32; 2],
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
    kinds: Kinds,
    /// The bits of rules that are not ruled out yet.
    open: Vec<u64>,
    scratch: Vec<u8>,
    is_full: bool,
}

impl Values {
    pub(super) fn clear(&mut self, rules: &Arc<RuleSet>) {
        self.bytes.clear();
        self.list.clear();
        self.made.clear();
        self.bits.clear();
        self.kinds.prepare(rules);
        self.is_full = false;
    }

    /// How many bytes are kept for the next exchange.
    pub(super) fn kept(&self) -> usize {
        let bits = self.bits.capacity() * size_of::<u64>();
        let list = self.list.capacity() * size_of::<Value>();
        let made = self.made.capacity() * size_of::<Made>();
        self.bytes.capacity() + self.scratch.capacity() + bits + list + made + self.kinds.kept()
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
        self.list.push(Value { piece, mask, made: NONE, texts: [NONE; 2] });
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
        rules: &RuleSet,
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
        let map = rules.unicode_map.as_ref();
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

    /// Adds to `out` the bits of the rules of a tier that look at a member and that it lets through.
    pub(super) fn screen(
        &mut self,
        member: Member,
        rules: &RuleSet,
        (tier, sheet): (&Tier, &Sheet),
        work: &mut Work,
        out: &mut [u64],
    ) {
        let Some(value) = self.list.get(member.value.0 as usize) else { return };
        let mask = value.mask;
        let rest = self.kinds.open(mask, rules, (tier, sheet), &mut self.open);
        self.sift(member.value, rules, tier, work, out);
        for view in views(sheet, rest) {
            if !view.pick.fits(self.piece(member.name)) {
                continue;
            }
            let mut id = member.value;
            if !rules.sieve.is_same(view.pipeline, mask) {
                let pipeline = rules.sieve.pipelines.get(usize::from(view.pipeline));
                for by in pipeline.into_iter().flat_map(|pipeline| &pipeline.steps) {
                    if view.is_multi {
                        self.screen_as(view, id, rules, tier, work, out);
                    }
                    id = self.step(id, *by, rules, work);
                }
            }
            self.screen_as(view, id, rules, tier, work, out);
        }
    }

    fn screen_as(
        &mut self,
        view: &View,
        id: ValueId,
        rules: &RuleSet,
        tier: &Tier,
        work: &mut Work,
        out: &mut [u64],
    ) {
        let Some(value) = self.list.get(id.0 as usize) else { return };
        self.open.clear();
        self.open.extend_from_slice(&view.bits);
        rules.sieve.retain(value.mask, tier, &mut self.open);
        self.sift(id, rules, tier, work, out);
    }

    /// Adds to `out` what of the open bits a value lets through.
    fn sift(
        &mut self,
        id: ValueId,
        rules: &RuleSet,
        tier: &Tier,
        work: &mut Work,
        out: &mut [u64],
    ) {
        let Some(value) = self.list.get(id.0 as usize) else { return };
        let long = rules.sieve.long_enough(value.piece.len as usize);
        let long = long.get(tier.words.clone()).unwrap_or_default();
        let base = rules.sieve.base().get(tier.words.clone()).unwrap_or_default();
        // PERF: a value that is of no use to any of these rules is not searched for texts.
        let mut wants_texts = 0;
        for (((open, long), base), out) in self.open.iter_mut().zip(long).zip(base).zip(&mut *out) {
            *open &= long;
            *out |= *open & base;
            *open &= !*out;
            wants_texts |= *open;
        }
        if wants_texts == 0 {
            return;
        }
        let (start, first) = self.texts(id, rules, tier, work);
        let at = start.unwrap_or(usize::MAX).saturating_add(tier.words.start.saturating_sub(first));
        let texts = self.bits.get(at..at.saturating_add(tier.words.len())).unwrap_or_default();
        for ((open, texts), out) in self.open.iter().zip(texts).zip(out) {
            *out |= open & texts;
        }
    }

    /// Where the bits are of the rules whose texts stand in a value, and their first word.
    fn texts(
        &mut self,
        id: ValueId,
        rules: &RuleSet,
        tier: &Tier,
        work: &mut Work,
    ) -> (Option<usize>, usize) {
        let (side, literals) = rules.sieve.side(tier);
        let words = literals.words();
        let Some(value) = self.list.get(id.0 as usize).copied() else { return (None, words.start) };
        let known = value.texts.get(side).copied().unwrap_or(NONE);
        if known != NONE {
            return (Some(known as usize), words.start);
        }
        let start = self.bits.len();
        self.bits.resize(start + words.len(), 0);
        let bytes = self.bytes.get(value.piece.start as usize..).unwrap_or_default();
        let bytes = bytes.get(..value.piece.len as usize).unwrap_or_default();
        work.spend(bytes.len());
        if let Some(out) = self.bits.get_mut(start..) {
            literals.find(bytes, out);
        }
        let value = self.list.get_mut(id.0 as usize);
        if let Some(known) = value.and_then(|value| value.texts.get_mut(side)) {
            *known = u32::try_from(start).unwrap_or(NONE);
        }
        (Some(start), words.start)
    }

    /// True if the sieve lets a value, transformed as a rule wants it, through to the rule.
    pub(super) fn passes(
        &mut self,
        id: ValueId,
        rules: &RuleSet,
        sieved: Sieved,
        work: &mut Work,
    ) -> bool {
        let Some(value) = self.list.get(id.0 as usize).copied() else { return false };
        let sieve = &rules.sieve;
        let is_open = sieve.allows(value.mask, sieved.bit)
            && has(sieve.long_enough(value.piece.len as usize), sieved.bit);
        if !is_open || has(sieve.base(), sieved.bit) {
            return is_open;
        }
        let Some(tier) = sieve.tiers.get(usize::from(sieved.tier)) else { return true };
        let (start, first) = self.texts(id, rules, tier, work);
        let word = usize::from(sieved.bit / 64).saturating_sub(first);
        let word = start.and_then(|start| self.bits.get(start + word)).copied().unwrap_or(0);
        word & (1 << (sieved.bit % 64)) != 0
    }
}
