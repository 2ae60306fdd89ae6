//! One question at a time for one token, whoever asks it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::Outcome;
use crate::jose::Digest;

type Landing = watch::Receiver<Option<Outcome>>;

/// The questions that are under way on all workers: one for each request that asks, at most.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<Digest, Landing>>);

/// Who asks.
pub(super) enum Turn<'f> {
    /// This request does.
    Own(Flight<'f>),
    /// Another one does, which tells what came of it. Where it goes away first, the channel ends.
    Another(Landing),
}

/// A question that is under way. Dropped without [`Flight::land`], it never was.
pub(super) struct Flight<'f> {
    flights: &'f Flights,
    digest: Digest,
    landing: watch::Sender<Option<Outcome>>,
}

impl Flights {
    /// Joins the question about this token, or begins it.
    pub(super) fn join(&self, digest: Digest) -> Turn<'_> {
        let mut under_way = self.lock();
        if let Some(landing) = under_way.get(&digest) {
            return Turn::Another(landing.clone());
        }
        let landing = watch::Sender::new(None);
        under_way.insert(digest, landing.subscribe());
        Turn::Own(Flight { flights: self, digest, landing })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Landing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn own(flights: &Flights) -> Flight<'_> {
        match flights.join([1; 32]) {
            Turn::Own(flight) => flight,
            Turn::Another(_) => panic!("somebody asks already"),
        }
    }

    #[test]
    fn who_joins_hears_what_came_of_it() {
        let flights = Flights::default();
        let flight = own(&flights);
        assert!(matches!(flights.join([2; 32]), Turn::Own(_)));
        let Turn::Another(landing) = flights.join([1; 32]) else { panic!("asked twice") };
        flight.land(Ok(Answer::Inactive));
        assert!(matches!(*landing.borrow(), Some(Ok(Answer::Inactive))));
        own(&flights);
        assert!(flights.lock().is_empty());
    }

    #[test]
    fn the_next_one_asks_where_the_first_went_away() {
        let flights = Flights::default();
        let flight = own(&flights);
        let Turn::Another(landing) = flights.join([1; 32]) else { panic!("asked twice") };
        drop(flight);
        assert!(landing.has_changed().is_err());
        own(&flights);
    }
}
