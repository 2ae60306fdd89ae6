//! Whether a pattern of origins also fits those of others: `https://.*example\.com` fits
//! `https://evilexample.com`, and `https://app.example.com` fits `https://appxexample.com`.
//!
//! The automaton of the pattern is walked beside that of an origin. A letter is free where the
//! pattern takes any of several in its place and goes on in the same way. A free letter in the label
//! that is registered, or in the last one, is one that somebody else can choose.

use std::collections::{HashSet, VecDeque};

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input};

/// Most pairs of states that are looked at for one pattern.
const WALK_MAX: usize = 50_000;

/// Letters of which a free one may be any.
const ANY: [u8; 3] = [b'q', b'x', b'j'];

/// What stands before the last label where names are registered below two of them.
const SECOND: [&str; 7] = ["co.", "com.", "org.", "net.", "gov.", "ac.", "edu."];

/// Where in an origin a walk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// In the scheme.
    Scheme,
    /// In a host of which nothing else is asked.
    Host,
    /// Before anything that is free.
    Before,
    /// In the label that is registered, behind a letter that is free.
    Registered,
    /// In the last label, after so many letters, at most two.
    Last(u8),
    /// In a last label of two letters, below another such as `co`.
    Country(u8),
    /// In the last label, of which no letter was free.
    LastBound,
    /// In the last label, of which one was.
    LastFree,
    /// In the port.
    Port,
}

/// Why nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooComplex;

/// An origin of somebody else that a pattern fits, if there is one. `pattern` is without what holds
/// it to the whole text.
pub(super) fn neighbour(pattern: &str) -> Result<Option<String>, TooComplex> {
    let (mut walk, start) = Walk::begin(pattern)?;
    for scheme in ["https://", "http://"] {
        if let Some(state) = walk.along(start, scheme)? {
            walk.visit(Place::Before, state, "", scheme);
        }
    }
    walk.run()
}

/// Whether a pattern fits any origin at all: with a scheme and a host, or `null`.
pub(super) fn fits_some(pattern: &str) -> Result<bool, TooComplex> {
    let (mut walk, start) = Walk::begin(pattern)?;
    if let Some(state) = walk.along(start, "null")?
        && walk.ends(state)?
    {
        return Ok(true);
    }
    walk.visit(Place::Scheme, start, "", "");
    Ok(walk.run()?.is_some())
}

struct Walk {
    dfa: DFA,
    cache: Cache,
    seen: HashSet<(Place, LazyStateID)>,
    /// What is still to be looked at, with what was read on the way.
    queue: VecDeque<(Place, LazyStateID, String)>,
}

impl Walk {
    fn begin(pattern: &str) -> Result<(Self, LazyStateID), TooComplex> {
        let config = DFA::config()
            .unicode_word_boundary(true)
            .cache_capacity(16 << 20)
            .skip_cache_capacity_check(true);
        let syntax = regex_automata::util::syntax::Config::new().utf8(false);
        let whole = format!(r"\A(?:{pattern})\z");
        let dfa = DFA::builder().configure(config).syntax(syntax).build(&whole);
        let dfa = dfa.map_err(|_| TooComplex)?;
        let mut cache = dfa.create_cache();
        let input = Input::new("").anchored(Anchored::Yes);
        let start = dfa.start_state_forward(&mut cache, &input).map_err(|_| TooComplex)?;
        Ok((Self { dfa, cache, seen: HashSet::new(), queue: VecDeque::new() }, start))
    }

    fn run(&mut self) -> Result<Option<String>, TooComplex> {
        while let Some((place, state, read)) = self.queue.pop_front() {
            let is_whole = matches!(
                place,
                Place::Host | Place::Last(2) | Place::Country(2) | Place::LastFree | Place::Port
            );
            if is_whole && self.ends(state)? {
                return Ok(Some(read));
            }
            if self.seen.len() > WALK_MAX || self.cache.clear_count() > 0 {
                return Err(TooComplex);
            }
            self.leave(place, state, &read)?;
        }
        Ok(None)
    }

    fn leave(&mut self, place: Place, state: LazyStateID, read: &str) -> Result<(), TooComplex> {
        match place {
            Place::Scheme => {
                self.take(labels().chain(*b"+."), state, read, place)?;
                if let Some(next) = self.along(state, "://")? {
                    self.take(hosts(), next, read, Place::Host)?;
                }
            }
            Place::Host => self.take(hosts(), state, read, place)?,
            Place::Before => {
                self.take(labels().chain([b'.']), state, read, Place::Before)?;
                self.free((state, read), Place::Registered)?;
                self.take([b'.'], state, read, Place::LastBound)?;
            }
            Place::Registered => {
                self.take(labels(), state, read, Place::Registered)?;
                self.take([b'.'], state, read, Place::Last(0))?;
                for second in SECOND {
                    let text = format!(".{second}");
                    if let Some(next) = self.along(state, &text)? {
                        self.visit(Place::Country(0), next, read, &text);
                    }
                }
            }
            Place::Last(count) => {
                self.take(b'a'..=b'z', state, read, Place::Last((count + 1).min(2)))?;
            }
            Place::Country(count) if count < 2 => {
                self.take(b'a'..=b'z', state, read, Place::Country(count + 1))?;
            }
            Place::LastBound => {
                self.take(b'a'..=b'z', state, read, Place::LastBound)?;
                self.free((state, read), Place::LastFree)?;
            }
            Place::LastFree => {
                self.take(b'a'..=b'z', state, read, Place::LastFree)?;
            }
            Place::Country(_) | Place::Port => {}
        }
        match place {
            Place::Last(2) | Place::Country(2) | Place::LastFree => {
                if let Some(next) = self.along(state, ":")? {
                    self.digits(next, &format!("{read}:"))?;
                }
            }
            Place::Port => self.digits(state, read)?,
            _ => {}
        }
        Ok(())
    }

    fn digits(&mut self, state: LazyStateID, read: &str) -> Result<(), TooComplex> {
        self.take(b'0'..=b'9', state, read, Place::Port)
    }

    /// Goes on with each of these bytes.
    fn take(
        &mut self,
        bytes: impl IntoIterator<Item = u8>,
        state: LazyStateID,
        read: &str,
        next: Place,
    ) -> Result<(), TooComplex> {
        for byte in bytes {
            if let Some(state) = self.step(state, byte)? {
                self.visit(next, state, read, char::from(byte).encode_utf8(&mut [0; 4]));
            }
        }
        Ok(())
    }

    /// Goes on with a letter that may be any.
    fn free(&mut self, (state, read): (LazyStateID, &str), next: Place) -> Result<(), TooComplex> {
        let [one, two, three] = ANY;
        let first = self.step(state, one)?;
        if let Some(state_after) = first
            && first == self.step(state, two)?
            && first == self.step(state, three)?
        {
            self.visit(next, state_after, read, char::from(one).encode_utf8(&mut [0; 4]));
        }
        Ok(())
    }

    fn visit(&mut self, place: Place, state: LazyStateID, read: &str, more: &str) {
        if self.seen.insert((place, state)) {
            self.queue.push_back((place, state, format!("{read}{more}")));
        }
    }

    fn along(&mut self, from: LazyStateID, text: &str) -> Result<Option<LazyStateID>, TooComplex> {
        let mut state = from;
        for byte in text.bytes() {
            match self.step(state, byte)? {
                Some(next) => state = next,
                None => return Ok(None),
            }
        }
        Ok(Some(state))
    }

    fn step(&mut self, state: LazyStateID, byte: u8) -> Result<Option<LazyStateID>, TooComplex> {
        let next = self.dfa.next_state(&mut self.cache, state, byte).map_err(|_| TooComplex)?;
        Ok((!next.is_dead() && !next.is_quit()).then_some(next))
    }

    fn ends(&mut self, state: LazyStateID) -> Result<bool, TooComplex> {
        let end = self.dfa.next_eoi_state(&mut self.cache, state).map_err(|_| TooComplex)?;
        Ok(end.is_match())
    }
}

/// What labels are made of.
fn labels() -> impl Iterator<Item = u8> {
    (b'a'..=b'z').chain(b'0'..=b'9').chain([b'-'])
}

/// What hosts and ports are made of.
fn hosts() -> impl Iterator<Item = u8> {
    labels().chain(*b"._:[]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_fits_no_whole_origin_is_known() {
        for (pattern, is_some) in [
            (r"example\.com$", false),
            (r"\.example\.com", false),
            (r"^https://$", false),
            (r"https://example\.com/", false),
            (r"https://EXAMPLE\.com", false),
            (r".*example\.com", true),
            (r"https?://example\.com:8080", true),
            (r"http://\[::1\]", true),
            (r"chrome-extension://[a-p]{32}", true),
            (r"null", true),
            (r"x|https://example\.com", true),
        ] {
            assert_eq!(fits_some(pattern), Ok(is_some), "{pattern}");
        }
    }

    #[test]
    fn a_pattern_with_an_open_boundary_fits_origins_of_others() {
        for (pattern, other) in [
            (r"https://.*example\.com", Some("https://qexample.com")),
            (r"https://[a-z]*example\.com", Some("https://qexample.com")),
            (r"https://[a-z]+-example\.com(:\d+)?", Some("https://q-example.com")),
            (r"https://.*example\.com:\d+", Some("https://qexample.com:0")),
            (r"https://.*example\.co\.uk", Some("https://qexample.co.uk")),
            (r".*example\.com$", Some("https://qexample.com")),
            // A point that stands for any letter.
            (r"https://app.example.com", Some("https://appqexample.com")),
            (r"https://(a|b).example\.com", Some("https://aqexample.com")),
            // The end of the name.
            (r"https://example\.com.*", Some("https://example.comq")),
            (r"https://example\.[a-z]+", Some("https://example.q")),
            (r"https://example.*", Some("https://exampleq.aa")),
            // Whoever may have one of these may have every label below it.
            (r"https://[\w.-]+\.example\.com(:\d+)?", None),
            (r"https://([a-z0-9-]+\.)*example\.com", None),
            (r"https?://(app|admin)\.test", None),
            (r"https://app[0-9]\.com", None),
            (r"https://example\.(com|net|org)", None),
            (r"https://.*\.example.com", Some("https://q.exampleqcom")),
            (r"https://app\.example.com", Some("https://app.exampleqcom")),
            (r"http://localhost(:\d+)?", None),
            (r"http://192\.168\.\d+\.\d+", None),
            (r"https://app\.example\.com", None),
            (r"null", None),
        ] {
            let found = neighbour(pattern).unwrap();
            assert_eq!(found.is_some(), other.is_some(), "{pattern} {found:?}");
            if let (Some(found), Some(other)) = (found, other) {
                let whole = format!(r"\A(?:{pattern})\z");
                let fits = bartizan_core::compile_pattern(&whole, false).unwrap();
                assert!(fits.is_match(&found) && fits.is_match(other), "{pattern} {found}");
            }
        }
    }

    #[test]
    fn what_takes_too_long_to_look_through_is_not_known() {
        assert_eq!(neighbour(r"https://[a-z.]*q[a-z.]{12}z[a-z.]{14}\.test"), Err(TooComplex));
    }
}
