//! What the groups of a pattern found, told apart in the places where a table found the pattern.

use std::fmt;

use regex_automata::hybrid::dfa::DFA;
use regex_automata::hybrid::regex::{Cache, Regex};
use regex_automata::util::captures::Captures;
use regex_automata::util::iter::Searcher;
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input, Match, meta};

use super::pattern::{backwards, builder};

type NewCache = Box<dyn Fn() -> Cache + Send + Sync>;

/// Tells groups apart.
///
/// To tell them takes a look at each state for each byte, so that only what was found is looked at:
/// where that is, tables tell. Tables can be too small, and then it is all of the value.
pub(super) struct GroupSearch {
    places: Regex,
    states: Pool<Cache, NewCache>,
    groups: meta::Regex,
}

impl fmt::Debug for GroupSearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("GroupSearch").field(&self.groups).finish()
    }
}

impl GroupSearch {
    /// For a pattern that `forwards` finds; `None` where what it takes cannot be built.
    pub(super) fn build(pattern: &str, forwards: &DFA) -> Option<Self> {
        let backwards = backwards(pattern).ok()?;
        let places = Regex::builder().build_from_dfas(forwards.clone(), backwards.clone());
        let groups = builder().configure(meta::Config::new().hybrid(false)).build(pattern).ok()?;
        let fresh = Regex::builder().build_from_dfas(forwards.clone(), backwards);
        let fresh: NewCache = Box::new(move || fresh.create_cache());
        Some(Self { places, states: Pool::new(fresh), groups })
    }

    /// The first places where the pattern is, so many at most; `None` where the table is too small.
    pub(super) fn places(&self, input: &[u8], most: usize) -> Option<Vec<Match>> {
        let mut states = self.states.get();
        let mut search = Searcher::new(Input::new(input));
        let mut places = Vec::new();
        while places.len() < most {
            let next = search.try_advance(|input| self.places.try_search(&mut states, input));
            let Some(place) = next.ok()? else { break };
            places.push(place);
        }
        Some(places)
    }

    /// What the groups found in a place of the pattern.
    pub(super) fn at(&self, input: &[u8], place: &Match) -> Captures {
        let mut groups = self.groups.create_captures();
        let input = Input::new(input).range(place.range()).anchored(Anchored::Yes);
        self.groups.search_captures(&input, &mut groups);
        groups
    }

    /// What they found, place by place, without a table.
    pub(super) fn all<'i>(&'i self, input: &'i [u8]) -> impl Iterator<Item = Captures> + 'i {
        self.groups.captures_iter(input)
    }
}
