//! One question at a time for one token, whoever asks it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bartizan_core::Limits;
use tokio::sync::watch;

use super::Outcome;
use crate::jose::Digest;

type Landing = watch::Receiver<Option<Outcome>>;

/// The questions to one issuer that are under way on all workers.
#[derive(Debug)]
pub(super) struct Flights {
    under_way: Mutex<HashMap<Digest, Landing>>,
    most: usize,
}

/// Who asks.
pub(super) enum Turn<'f> {
    /// This request does.
    Own(Flight<'f>),
    /// Another one does, which tells what came of it. Where it goes away first, the channel ends.
    Another(Landing),
    /// Nobody does, and as many other questions are under way as may be.
    Full,
}

/// A question that is under way. Dropped without [`Flight::land`], it never was.
pub(super) struct Flight<'f> {
    flights: &'f Flights,
    digest: Digest,
    landing: watch::Sender<Option<Outcome>>,
}

impl Flights {
    /// For a quarter of the calls that may wait on a worker: an issuer that is slow takes the calls
    /// of no other.
    pub(super) fn new(limits: &Limits) -> Self {
        let most = usize::try_from(limits.calls / 4).unwrap_or(usize::MAX).max(1);
        Self { under_way: Mutex::default(), most }
    }

    /// Joins the question about this token, or begins it if there is room.
    pub(super) fn join(&self, digest: Digest) -> Turn<'_> {
        let mut under_way = self.lock();
        if let Some(landing) = under_way.get(&digest) {
            return Turn::Another(landing.clone());
        }
        if under_way.len() >= self.most {
            return Turn::Full;
        }
        let landing = watch::Sender::new(None);
        under_way.insert(digest, landing.subscribe());
        Turn::Own(Flight { flights: self, digest, landing })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Landing>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight<'_> {
    /// Tells everybody who waits.
    pub(super) fn land(self, outcome: Outcome) {
        self.landing.send_replace(Some(outcome));
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.flights.lock().remove(&self.digest);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Answer;
    use super::*;

    fn of(calls: u32) -> Flights {
        Flights::new(&Limits { calls, ..Limits::default() })
    }

    fn own(flights: &Flights, number: u8) -> Flight<'_> {
        match flights.join([number; 32]) {
            Turn::Own(flight) => flight,
            Turn::Another(_) => panic!("somebody asks already"),
            Turn::Full => panic!("too many ask"),
        }
    }

    #[test]
    fn who_joins_hears_what_came_of_it() {
        let flights = of(8);
        let flight = own(&flights, 1);
        assert!(matches!(flights.join([2; 32]), Turn::Own(_)));
        let Turn::Another(landing) = flights.join([1; 32]) else { panic!("asked twice") };
        flight.land(Ok(Answer::Inactive));
        assert!(matches!(*landing.borrow(), Some(Ok(Answer::Inactive))));
        own(&flights, 1);
        assert!(flights.lock().is_empty());
    }

    #[test]
    fn the_next_one_asks_where_the_first_went_away() {
        let flights = of(8);
        let flight = own(&flights, 1);
        let Turn::Another(landing) = flights.join([1; 32]) else { panic!("asked twice") };
        drop(flight);
        assert!(landing.has_changed().is_err());
        own(&flights, 1);
    }

    #[test]
    fn a_quarter_of_the_calls_is_under_way_at_a_time_but_always_one() {
        for (calls, most) in [(0, 1), (3, 1), (4, 1), (7, 1), (8, 2), (12, 3)] {
            let flights = of(calls);
            let mut under_way: Vec<_> = (0..most).map(|number| own(&flights, number)).collect();
            assert!(matches!(flights.join([99; 32]), Turn::Full), "{calls}");
            // Who asks what somebody asks already takes no place.
            assert!(matches!(flights.join([0; 32]), Turn::Another(_)), "{calls}");
            under_way.pop();
            own(&flights, 99);
        }
    }
}
