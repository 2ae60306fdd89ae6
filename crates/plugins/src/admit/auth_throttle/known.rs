//! Passwords that were seen good, and where: what still passes while a name or address is locked.
//!
//! A lock that let every good password pass would be none: whoever guesses could go on, and would
//! pass with the guess that is right. So what passes is bound to the network in which it was seen
//! good, and each such network is measured again by itself: whoever shares it with the user has as
//! many guesses there as strangers have elsewhere, and cannot lock anybody out in another network.
//! Where the name alone is locked, which anybody can do to anybody, a password passes also from a
//! network that is new to it; all new networks together have one measure.
//!
//! Short keys have no name. Of those a network is the user, and each key a place: who guesses one
//! in a network where others are known has the measure of a stranger, too.
//!
//! What is kept is a keyed digest of name and password: nothing that could be read back. It lets a
//! password be judged, and is no verdict: one that was changed since is wrong.

use subtle::ConstantTimeEq;

use super::failures::{Failures, Terms};
use crate::meter::table::Entry;

/// Networks of one user that are remembered, or short keys of one network; of more, the one that
/// was not used for longest goes.
const PLACES_MAX: usize = 8;

/// A digest under the node's key.
pub(super) type Trace = [u8; 16];

/// A network in which a user was seen good.
#[derive(Debug)]
struct Place {
    network: u128,
    /// Of the last password that was good there.
    trace: Trace,
    seen: u64,
    /// Other passwords that were tried there while that would not be judged elsewhere.
    misses: Failures,
}

/// Where one user was seen good.
#[derive(Debug, Default)]
pub(super) struct Known {
    places: Vec<Place>,
    /// As for a place, of all other networks together.
    misses: Failures,
    /// The longest `known_for` by which it was noted: the memory is the node's, and a throttle that
    /// looks back less far forgets nothing for others.
    kept_for: u64,
}

/// What is asked of what is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'q> {
    pub(super) network: u128,
    pub(super) trace: &'q Trace,
    /// Whether networks count in which the user was not seen.
    pub(super) anywhere: bool,
    /// Whether there is a user; else all guesses have one measure.
    pub(super) is_named: bool,
    /// How long a password counts that was seen good, in nanoseconds.
    pub(super) known_for: u64,
    pub(super) now: u64,
}

impl Known {
    /// Whether a password may be judged that others may not be; if not, that is measured by
    /// `terms`.
    pub(super) fn admits(&mut self, question: &Question<'_>, terms: &Terms) -> bool {
        let is_known = self.knows(question);
        let here = |place: &&mut Place| place.is_at(question);
        let misses = match self.places.iter_mut().find(here) {
            Some(place) if question.is_named => &mut place.misses,
            None if question.is_named && !question.anywhere => return false,
            _ => &mut self.misses,
        };
        if misses.hold(question.now).is_some() {
            return false;
        }
        if !is_known {
            misses.fail(terms, question.now);
        }
        is_known
    }

    /// Whether a password was seen good.
    pub(super) fn knows(&self, question: &Question<'_>) -> bool {
        let is_same = |place: &Place| bool::from(place.trace.ct_eq(question.trace));
        match self.places.iter().find(|place| place.is_at(question)) {
            Some(place) => is_same(place),
            None => {
                question.anywhere
                    && self.places.iter().any(|place| !place.is_over(question) && is_same(place))
            }
        }
    }

    /// Remembers that a password was good.
    pub(super) fn note(&mut self, question: &Question<'_>) {
        self.kept_for = self.kept_for.max(question.known_for);
        let here = |place: &&mut Place| place.network == question.network;
        if let Some(place) = self.places.iter_mut().find(here) {
            (place.trace, place.seen) = (*question.trace, question.now);
            return;
        }
        let kept_for = self.kept_for;
        self.places.retain(|place| place.seen.saturating_add(kept_for) > question.now);
        if self.places.len() >= PLACES_MAX {
            let oldest = self.places.iter().enumerate().min_by_key(|(_, place)| place.seen);
            if let Some((index, _)) = oldest {
                self.places.swap_remove(index);
            }
        }
        self.places.push(Place {
            network: question.network,
            trace: *question.trace,
            seen: question.now,
            misses: Failures::default(),
        });
    }
}

impl Place {
    fn is_at(&self, question: &Question<'_>) -> bool {
        self.network == question.network && !self.is_over(question)
    }

    fn is_over(&self, question: &Question<'_>) -> bool {
        self.seen.saturating_add(question.known_for) <= question.now
    }
}

impl Entry for Known {
    /// How long a password counts that was seen good.
    type Terms = u64;

    fn expires(&self, known_for: &u64) -> u64 {
        let last = self.places.iter().map(|place| place.seen).max();
        last.map_or(0, |last| last.saturating_add(self.kept_for.max(*known_for)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400 * 1_000_000_000;
    const TERMS: Terms = Terms {
        free: 1,
        lock_after: 2,
        window: DAY / 10,
        delay: 1,
        delay_max: 1,
        lock: DAY / 10,
        lock_max: DAY / 10,
    };

    fn ask(network: u128, trace: &Trace, anywhere: bool, now: u64) -> Question<'_> {
        Question { network, trace, anywhere, is_named: true, known_for: 10 * DAY, now }
    }

    /// A short key.
    fn nameless(trace: &Trace) -> Question<'_> {
        let network = u128::from_be_bytes(*trace);
        Question { is_named: false, ..ask(network, trace, false, 2 * DAY) }
    }

    /// Good at 1 with `a`, at 2 with `b`.
    fn known() -> Known {
        let mut known = Known::default();
        known.note(&ask(1, &[b'a'; 16], false, DAY));
        known.note(&ask(2, &[b'b'; 16], false, DAY));
        known
    }

    #[test]
    fn a_password_passes_where_it_was_good_and_elsewhere_only_if_that_is_asked() {
        for (network, trace, anywhere, expected) in [
            (1, b'a', false, true),
            (1, b'a', true, true),
            (2, b'a', false, false),
            // Another one was good there since.
            (2, b'a', true, false),
            (3, b'a', false, false),
            (3, b'a', true, true),
            (3, b'b', true, true),
            (3, b'c', true, false),
        ] {
            let trace = [trace; 16];
            let question = ask(network, &trace, anywhere, 2 * DAY);
            assert_eq!(known().admits(&question, &TERMS), expected, "{network} {trace:?}");
        }
    }

    #[test]
    fn guesses_in_a_known_network_have_a_measure_and_close_no_other() {
        let mut known = known();
        let mut admits = |network, letter, anywhere| {
            known.admits(&ask(network, &[letter; 16], anywhere, 2 * DAY), &TERMS)
        };
        assert!(!admits(1, b'x', false) && admits(1, b'a', false));
        assert!(!admits(1, b'x', false));
        assert!(!admits(1, b'a', false), "two guesses lock it there");
        assert!(admits(2, b'b', false) && admits(3, b'a', true));
        // All new networks have one measure.
        assert!(!admits(3, b'x', true) && !admits(4, b'x', true) && !admits(5, b'a', true));
        assert!(admits(2, b'b', true));
    }

    #[test]
    fn guesses_of_what_has_no_name_have_one_measure() {
        let mut known = Known::default();
        for letter in *b"ab" {
            known.note(&nameless(&[letter; 16]));
        }
        let mut admits = |letter: u8| known.admits(&nameless(&[letter; 16]), &TERMS);
        assert!(admits(b'a') && admits(b'b') && !admits(b'c'));
        assert!(admits(b'a') && !admits(b'd'));
        assert!(!admits(b'a') && !admits(b'b'), "two guesses lock them");
    }

    #[test]
    fn what_was_good_long_ago_is_not_known() {
        for (days, expected) in [(1, true), (10, true), (11, false)] {
            let now = days * DAY;
            assert_eq!(known().knows(&ask(1, &[b'a'; 16], false, now)), expected, "{days}");
            assert_eq!(known().knows(&ask(9, &[b'a'; 16], true, now)), expected, "{days}");
        }
        assert_eq!(known().expires(&(10 * DAY)), 11 * DAY);
    }

    #[test]
    fn a_throttle_that_looks_back_less_far_forgets_nothing_for_others() {
        let (mut known, short) = (known(), [b's'; 16]);
        known.note(&Question { known_for: DAY / 2, ..ask(3, &short, false, 3 * DAY) });
        assert!(known.knows(&ask(1, &[b'a'; 16], false, 3 * DAY)));
        assert!(!known.knows(&Question { known_for: DAY, ..ask(1, &[b'a'; 16], false, 3 * DAY) }));
        assert_eq!(known.expires(&DAY), 13 * DAY);
    }

    #[test]
    fn the_network_that_was_not_used_for_longest_is_forgotten_first() {
        let mut known = Known::default();
        for n in 0..8 {
            known.note(&ask(n, &[b'a'; 16], false, DAY + u64::try_from(n).unwrap()));
        }
        known.note(&ask(0, &[b'a'; 16], false, 2 * DAY));
        known.note(&ask(8, &[b'a'; 16], false, 2 * DAY));
        assert_eq!(known.places.len(), PLACES_MAX);
        let knows = |network| known.knows(&ask(network, &[b'a'; 16], false, 2 * DAY));
        assert!(knows(0) && !knows(1) && knows(2) && knows(8));
    }

    proptest::proptest! {
        #[test]
        fn only_what_was_good_there_is_known_there(
            noted in proptest::collection::vec((0_u128..12, 0_u8..4, 0..DAY), 0..40),
            network in 0_u128..12,
            letter in 0_u8..4,
        ) {
            let (mut known, mut now, mut naive) = (Known::default(), DAY, Vec::new());
            for (network, letter, gap) in noted {
                now += gap;
                known.note(&ask(network, &[letter; 16], false, now));
                naive.retain(|(other, _, _)| *other != network);
                naive.push((network, letter, now));
                naive.retain(|(_, _, seen)| now - seen < 10 * DAY);
                if naive.len() > PLACES_MAX {
                    naive.remove(0);
                }
            }
            let expected = naive.iter().any(|(at, last, _)| (*at, *last) == (network, letter));
            let knows = known.knows(&ask(network, &[letter; 16], false, now));
            proptest::prop_assert_eq!(knows, expected);
        }
    }
}
