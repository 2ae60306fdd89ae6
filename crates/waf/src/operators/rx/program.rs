//! Patterns with look-around, back-references, atomic groups and possessive repetitions: what PCRE
//! has and an automaton has not. They are turned into the steps of a small machine that goes back
//! where a way leads nowhere (`machine.rs`), and into a pattern without them that finds whatever
//! they find, and more: values in which that is not found, which is most, cost no going back.

use regex_syntax::hir::{
    Capture, Class, ClassBytes, ClassBytesRange, Hir, HirKind, Look, Repetition,
};

use crate::operators::OperatorFault;

/// The most steps of a program.
const STEPS_MAX: usize = 50_000;
/// The longest text that a look behind may look at, as in PCRE.
const BEHIND_MAX: usize = 255;

/// A set of bytes.
pub(super) type Set = Box<[bool; 256]>;

/// What the machine does next.
#[derive(Debug)]
pub(super) enum Step {
    Byte(u8),
    Set(Set),
    At(Look),
    /// Goes on with the first; with the second if that leads nowhere.
    Split(usize, usize),
    Jump(usize),
    /// Keeps the position.
    Save(usize),
    /// Goes out of a repetition if nothing has been read since the position was kept.
    Moved {
        place: usize,
        out: usize,
    },
    /// What the program up to `end` finds from here on is not given back.
    Atomic {
        end: usize,
    },
    /// What the program up to `end` finds from here on.
    Ahead {
        is_wanted: bool,
        end: usize,
    },
    /// What it finds up to here, beginning so many bytes before.
    Behind {
        is_wanted: bool,
        least: usize,
        most: usize,
        end: usize,
    },
    /// What a group has found, once more.
    Again {
        group: usize,
        ignores_case: bool,
    },
    Done,
}

/// A program and what it needs to run.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    /// How many groups there are, the whole one included.
    pub(super) groups: usize,
    /// How many positions are kept: two for each group, and those of repetitions.
    pub(super) places: usize,
}

/// What a group of the translated pattern stands for, by its name.
enum Mark {
    Group(usize),
    Atomic,
    Ahead(bool),
    Behind(bool),
    Again(usize),
}

/// Turns a translated pattern into a program.
pub(super) fn compile(pattern: &Hir) -> Result<Program, OperatorFault> {
    let mut groups = vec![0];
    number(pattern, &mut groups);
    let mut maker = Maker { steps: Vec::new(), places: 2 * groups.len(), groups };
    maker.steps.push(Step::Save(0));
    maker.write(pattern)?;
    maker.steps.extend([Step::Save(1), Step::Done]);
    Ok(Program { steps: maker.steps, groups: maker.groups.len(), places: maker.places })
}

/// The pattern without what only the machine knows: it is found wherever the whole one is.
pub(super) fn widened(pattern: &Hir) -> Hir {
    let mut groups = vec![0];
    number(pattern, &mut groups);
    widen(pattern, pattern, &groups)
}

/// The numbers of the groups that are the pattern's own, in order.
fn number(pattern: &Hir, groups: &mut Vec<u32>) {
    match pattern.kind() {
        HirKind::Capture(group) => {
            if group.name.is_none() && !groups.contains(&group.index) {
                groups.push(group.index);
                groups.sort_unstable();
            }
            number(&group.sub, groups);
        }
        HirKind::Repetition(repetition) => number(&repetition.sub, groups),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            for part in parts {
                number(part, groups);
            }
        }
        _ => {}
    }
}

fn mark(group: &Capture, groups: &[u32]) -> Mark {
    let name = group.name.as_deref().unwrap_or_default();
    let number = || name.get(1..)?.split('_').next()?.parse().ok();
    match name.as_bytes().first() {
        Some(b'a') => Mark::Atomic,
        Some(b'l') => Mark::Ahead(true),
        Some(b'L') => Mark::Ahead(false),
        Some(b'b') => Mark::Behind(true),
        Some(b'B') => Mark::Behind(false),
        Some(b'r') => Mark::Again(number().unwrap_or(0)),
        _ => Mark::Group(groups.iter().position(|index| *index == group.index).unwrap_or(0)),
    }
}

fn widen(part: &Hir, whole: &Hir, groups: &[u32]) -> Hir {
    let deeper = |part: &Hir| widen(part, whole, groups);
    match part.kind() {
        HirKind::Capture(group) => match mark(group, groups) {
            Mark::Group(_) | Mark::Atomic => deeper(&group.sub),
            Mark::Ahead(_) | Mark::Behind(_) => Hir::empty(),
            Mark::Again(number) => {
                let ignores_case = matches!(group.sub.kind(), HirKind::Class(_));
                let found = groups.get(number).and_then(|index| find(whole, *index));
                match found.filter(|found| is_plain(found)) {
                    Some(found) if ignores_case => folded(found),
                    Some(found) => found.clone(),
                    // A group with groups in it, or that looks around, may be anything elsewhere.
                    None => anything(),
                }
            }
        },
        HirKind::Repetition(repetition) => {
            let sub = Box::new(deeper(&repetition.sub));
            Hir::repetition(Repetition { sub, ..repetition.clone() })
        }
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(deeper).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(deeper).collect()),
        _ => part.clone(),
    }
}

/// A part without groups, in either case.
fn folded(part: &Hir) -> Hir {
    match part.kind() {
        HirKind::Literal(text) => {
            let either = |byte: &u8| {
                let cases = [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()];
                let ranges = cases.map(|byte| ClassBytesRange::new(byte, byte));
                Hir::class(Class::Bytes(ClassBytes::new(ranges)))
            };
            Hir::concat(text.0.iter().map(either).collect())
        }
        HirKind::Class(Class::Bytes(class)) => {
            let mut class = class.clone();
            class.case_fold_simple();
            Hir::class(Class::Bytes(class))
        }
        HirKind::Repetition(repetition) => {
            let sub = Box::new(folded(&repetition.sub));
            Hir::repetition(Repetition { sub, ..repetition.clone() })
        }
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(folded).collect()),
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(folded).collect()),
        HirKind::Empty => Hir::empty(),
        _ => anything(),
    }
}

fn anything() -> Hir {
    let any = Hir::dot(regex_syntax::hir::Dot::AnyByte);
    Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub: Box::new(any) })
}

fn find(part: &Hir, index: u32) -> Option<&Hir> {
    match part.kind() {
        HirKind::Capture(group) if group.name.is_none() && group.index == index => Some(&group.sub),
        HirKind::Capture(group) => find(&group.sub, index),
        HirKind::Repetition(repetition) => find(&repetition.sub, index),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().find_map(|part| find(part, index))
        }
        _ => None,
    }
}

/// Whether there are no groups in it, and nothing that looks at what surrounds it: found in another
/// place, that would be something else.
fn is_plain(part: &Hir) -> bool {
    part.properties().explicit_captures_len() == 0 && part.properties().look_set().is_empty()
}

struct Maker {
    steps: Vec<Step>,
    groups: Vec<u32>,
    places: usize,
}

impl Maker {
    /// Writes a part. The bound is asked behind each, so that parts that are repeated meet it too.
    fn write(&mut self, part: &Hir) -> Result<(), OperatorFault> {
        match part.kind() {
            HirKind::Empty => {}
            HirKind::Literal(text) => {
                self.steps.extend(text.0.iter().map(|byte| Step::Byte(*byte)));
            }
            HirKind::Class(class) => self.steps.push(Step::Set(set_of(class))),
            HirKind::Look(look) => self.steps.push(Step::At(*look)),
            HirKind::Repetition(repetition) => self.repeat(repetition)?,
            HirKind::Capture(group) => self.group(group)?,
            HirKind::Concat(parts) => {
                for part in parts {
                    self.write(part)?;
                }
            }
            HirKind::Alternation(parts) => self.alternatives(parts)?,
        }
        if self.steps.len() > STEPS_MAX {
            return Err(OperatorFault::new("the pattern has more steps than 50,000"));
        }
        Ok(())
    }

    fn alternatives(&mut self, parts: &[Hir]) -> Result<(), OperatorFault> {
        let mut ends = Vec::new();
        let last = parts.len().saturating_sub(1);
        for (position, part) in parts.iter().enumerate() {
            if position == last {
                self.write(part)?;
                break;
            }
            let split = self.later();
            self.write(part)?;
            ends.push(self.later());
            self.set(split, Step::Split(split + 1, self.steps.len()));
        }
        for end in ends {
            self.set(end, Step::Jump(self.steps.len()));
        }
        Ok(())
    }

    fn repeat(&mut self, repetition: &Repetition) -> Result<(), OperatorFault> {
        for _ in 0..repetition.min {
            self.write(&repetition.sub)?;
        }
        let order = |inner, outer| {
            if repetition.greedy { Step::Split(inner, outer) } else { Step::Split(outer, inner) }
        };
        let Some(max) = repetition.max else {
            let split = self.later();
            let place = self.places;
            // What only the machine knows may find nothing, whatever its text looks like.
            let is_checked = repetition.sub.properties().minimum_len().unwrap_or(0) == 0
                || self.has_mark(&repetition.sub);
            if is_checked {
                self.places += 1;
                self.steps.push(Step::Save(place));
            }
            self.write(&repetition.sub)?;
            let moved = self.steps.len();
            let out = moved + 1 + usize::from(is_checked);
            if is_checked {
                self.steps.push(Step::Moved { place, out });
            }
            self.steps.push(Step::Jump(split));
            self.set(split, order(split + 1, out));
            return Ok(());
        };
        let mut splits = Vec::new();
        for _ in repetition.min..max {
            splits.push(self.later());
            self.write(&repetition.sub)?;
        }
        for split in splits {
            self.set(split, order(split + 1, self.steps.len()));
        }
        Ok(())
    }

    fn group(&mut self, group: &Capture) -> Result<(), OperatorFault> {
        match mark(group, &self.groups) {
            Mark::Group(number) => {
                self.steps.push(Step::Save(2 * number));
                self.write(&group.sub)?;
                self.steps.push(Step::Save(2 * number + 1));
            }
            Mark::Again(number) => {
                if number >= self.groups.len() {
                    return Err(OperatorFault::new(format!("the pattern has no group {number}")));
                }
                // A letter stands for the group, so that its case tells whether case counts.
                let ignores_case = matches!(group.sub.kind(), HirKind::Class(_));
                self.steps.push(Step::Again { group: number, ignores_case });
            }
            Mark::Atomic => self.inner(&group.sub, |end| Step::Atomic { end })?,
            Mark::Ahead(is_wanted) => {
                self.inner(&group.sub, |end| Step::Ahead { is_wanted, end })?;
            }
            Mark::Behind(is_wanted) => {
                if self.has_mark(&group.sub) {
                    let problem = "a look behind has a look or a reference in it";
                    return Err(OperatorFault::new(problem));
                }
                let least = group.sub.properties().minimum_len().unwrap_or(0);
                let most = group.sub.properties().maximum_len();
                let most = most.filter(|most| *most <= BEHIND_MAX).ok_or_else(|| {
                    OperatorFault::new("a look behind has no longest length, or one above 255")
                })?;
                let step = |end| Step::Behind { is_wanted, least, most, end };
                self.inner(&group.sub, step)?;
            }
        }
        Ok(())
    }

    /// Whether there is something in a part that only the machine knows, and whose text says nothing
    /// of its length.
    fn has_mark(&self, part: &Hir) -> bool {
        match part.kind() {
            HirKind::Capture(group) => {
                !matches!(mark(group, &self.groups), Mark::Group(_)) || self.has_mark(&group.sub)
            }
            HirKind::Repetition(repetition) => self.has_mark(&repetition.sub),
            HirKind::Concat(parts) | HirKind::Alternation(parts) => {
                parts.iter().any(|part| self.has_mark(part))
            }
            _ => false,
        }
    }

    /// A program inside the program.
    fn inner(&mut self, part: &Hir, step: impl FnOnce(usize) -> Step) -> Result<(), OperatorFault> {
        let start = self.later();
        self.write(part)?;
        self.steps.push(Step::Done);
        self.set(start, step(self.steps.len()));
        Ok(())
    }

    /// A step that is written later.
    fn later(&mut self) -> usize {
        self.steps.push(Step::Done);
        self.steps.len() - 1
    }

    fn set(&mut self, at: usize, step: Step) {
        if let Some(slot) = self.steps.get_mut(at) {
            *slot = step;
        }
    }
}

fn set_of(class: &Class) -> Set {
    let mut set = Box::new([false; 256]);
    let mut take = |start: u32, end: u32| {
        for code in start..=end.min(255) {
            if let Some(flag) = set.get_mut(code as usize) {
                *flag = true;
            }
        }
    };
    match class {
        Class::Bytes(class) => {
            for range in class.iter() {
                take(range.start().into(), range.end().into());
            }
        }
        // Without Unicode these are ASCII only.
        Class::Unicode(class) => {
            for range in class.iter() {
                take(range.start().into(), range.end().into());
            }
        }
    }
    set
}
