//! The machine that runs a [`Program`]: it tries one way after another, as PCRE does, and counts its
//! steps. What takes more of them than it may is given up, which is an outcome of its own.

use regex_syntax::hir::Look;

use super::program::{Program, Step};

/// The most steps of one search; PCRE's users set a limit of the same kind.
const STEPS_MAX: usize = 100_000;
/// The most bytes that one search looks through for places to begin at.
const SCANNED_MAX: usize = 32 << 20;

/// A group's place, if it has found something.
pub(super) type Groups = Vec<Option<std::ops::Range<usize>>>;

/// What came of a search.
pub(super) enum Found {
    Nothing,
    Groups(Groups),
    /// More steps would have been needed than a search may take.
    GivenUp,
}

/// What to do when a way leads nowhere.
enum Back {
    /// Another way, from a step and a position on.
    To(usize, usize),
    /// Before that, a place was this.
    Place(usize, usize),
}

/// A search in one value.
pub(super) struct Machine<'a> {
    program: &'a Program,
    input: &'a [u8],
    places: Vec<usize>,
    back: Vec<Back>,
    taken: usize,
    scanned: usize,
    /// The end that a look behind must come to.
    end: Option<usize>,
}

/// No position yet.
const UNSET: usize = usize::MAX;

enum Next {
    On(usize, usize),
    Nowhere,
    Done(usize),
}

impl<'a> Machine<'a> {
    pub(super) fn new(program: &'a Program, input: &'a [u8]) -> Self {
        let places = vec![UNSET; program.places];
        Self { program, input, places, back: Vec::new(), taken: 0, scanned: 0, end: None }
    }

    /// Searches from the first position on that `next` proposes; it is given the least.
    pub(super) fn search(&mut self, next: impl Fn(usize) -> Option<usize>) -> Found {
        let mut from = 0;
        while from <= self.input.len() {
            // What is looked for may have to be followed to the end of the value each time.
            self.scanned += self.input.len() - from;
            if self.scanned > SCANNED_MAX {
                return Found::GivenUp;
            }
            let Some(start) = next(from) else { break };
            self.places.fill(UNSET);
            self.back.clear();
            let found = self.run(0, start);
            if self.is_over() {
                return Found::GivenUp;
            }
            if found.is_some() {
                return Found::Groups(self.groups());
            }
            from = start + 1;
        }
        Found::Nothing
    }

    /// What the search cost, in the unit of the budget.
    pub(super) fn cost(&self) -> usize {
        self.taken.saturating_mul(2).saturating_add(self.scanned)
    }

    fn is_over(&self) -> bool {
        self.taken > STEPS_MAX
    }

    fn groups(&self) -> Groups {
        let pairs = self.places.chunks_exact(2).take(self.program.groups);
        pairs
            .map(|pair| match *pair {
                [start, end] if start != UNSET && end != UNSET => Some(start..end),
                _ => None,
            })
            .collect()
    }

    /// Runs until a way is at its end, if any is; what could be tried instead is left in `back`.
    fn run(&mut self, mut at: usize, mut position: usize) -> Option<usize> {
        let base = self.back.len();
        loop {
            self.taken += 1;
            if self.is_over() {
                return None;
            }
            match self.step(at, position) {
                Next::On(step, place) => (at, position) = (step, place),
                Next::Done(end) => return Some(end),
                Next::Nowhere => (at, position) = self.go_back(base)?,
            }
        }
    }

    fn go_back(&mut self, base: usize) -> Option<(usize, usize)> {
        while self.back.len() > base {
            match self.back.pop()? {
                Back::To(at, position) => return Some((at, position)),
                Back::Place(index, was) => self.put(index, was),
            }
        }
        None
    }

    fn put(&mut self, index: usize, value: usize) {
        if let Some(place) = self.places.get_mut(index) {
            *place = value;
        }
    }

    fn place(&self, index: usize) -> usize {
        self.places.get(index).copied().unwrap_or(UNSET)
    }

    fn step(&mut self, at: usize, position: usize) -> Next {
        let program = self.program;
        let Some(step) = program.steps.get(at) else { return Next::Nowhere };
        let byte = self.input.get(position).copied();
        let on = |holds: bool, by: usize| {
            if holds { Next::On(at + 1, position + by) } else { Next::Nowhere }
        };
        match step {
            Step::Byte(wanted) => on(byte == Some(*wanted), 1),
            Step::Set(set) => {
                let holds = byte.and_then(|byte| set.get(usize::from(byte)));
                on(holds.copied().unwrap_or(false), 1)
            }
            Step::At(look) => on(self.is_at(*look, position), 0),
            Step::Split(first, second) => {
                self.back.push(Back::To(*second, position));
                Next::On(*first, position)
            }
            Step::Jump(to) => Next::On(*to, position),
            Step::Save(index) => {
                self.back.push(Back::Place(*index, self.place(*index)));
                self.put(*index, position);
                Next::On(at + 1, position)
            }
            Step::Moved { place, out } => {
                let next = if self.place(*place) == position { *out } else { at + 1 };
                Next::On(next, position)
            }
            Step::Again { group, ignores_case } => self.again(*group, *ignores_case, at, position),
            Step::Atomic { end } => match self.inner(at + 1, position, None) {
                Some(reached) => Next::On(*end, reached),
                None => Next::Nowhere,
            },
            Step::Ahead { is_wanted, end } => {
                let is_found = self.looked(*is_wanted, at + 1, position, None);
                if is_found == *is_wanted { Next::On(*end, position) } else { Next::Nowhere }
            }
            Step::Behind { is_wanted, least, most, end } => {
                let most = (*most).min(position);
                let is_found = (*least..=most)
                    .any(|back| self.looked(*is_wanted, at + 1, position - back, Some(position)));
                if is_found == *is_wanted { Next::On(*end, position) } else { Next::Nowhere }
            }
            Step::Done if self.end.is_none_or(|end| end == position) => Next::Done(position),
            Step::Done => Next::Nowhere,
        }
    }

    /// Whether an inner program finds something. What its groups found stays if it was wanted.
    fn looked(&mut self, is_wanted: bool, at: usize, from: usize, end: Option<usize>) -> bool {
        let base = self.back.len();
        let is_found = self.inner(at, from, end).is_some();
        if !is_wanted {
            while self.go_back(base).is_some() {}
        }
        is_found
    }

    /// Runs an inner program; other ways through it are forgotten.
    fn inner(&mut self, at: usize, from: usize, end: Option<usize>) -> Option<usize> {
        let base = self.back.len();
        let outer = std::mem::replace(&mut self.end, end);
        let reached = self.run(at, from);
        self.end = outer;
        let mut kept = self.back.split_off(base.min(self.back.len()));
        kept.retain(|back| matches!(back, Back::Place(..)));
        self.back.append(&mut kept);
        reached
    }

    fn again(&mut self, group: usize, ignores_case: bool, at: usize, position: usize) -> Next {
        let (start, end) = (self.place(2 * group), self.place(2 * group + 1));
        // A group that has found nothing is not found again.
        let Some(text) = self.input.get(start..end) else { return Next::Nowhere };
        let there = self.input.get(position..position + text.len());
        self.taken += text.len() / 8;
        let is_same = there.is_some_and(|there| {
            if ignores_case { there.eq_ignore_ascii_case(text) } else { there == text }
        });
        if is_same { Next::On(at + 1, position + text.len()) } else { Next::Nowhere }
    }

    fn is_at(&self, look: Look, position: usize) -> bool {
        let before = position.checked_sub(1).and_then(|before| self.input.get(before)).copied();
        let after = self.input.get(position).copied();
        let is_word = |byte: Option<u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match look {
            Look::Start => before.is_none(),
            Look::End => after.is_none(),
            Look::StartLF | Look::StartCRLF => before.is_none_or(|byte| byte == b'\n'),
            Look::EndLF | Look::EndCRLF => after.is_none_or(|byte| byte == b'\n'),
            Look::WordAscii => is_word(before) != is_word(after),
            Look::WordAsciiNegate => is_word(before) == is_word(after),
            // The translation writes no other.
            _ => false,
        }
    }
}
