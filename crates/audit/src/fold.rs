//! Folding: what keeps a client from filling the disk with its own refusals.
//!
//! In each second, the first events of one peer, reason and plugin are told one by one; the rest become
//! one event with their exact number. The sum of all counts is always the number of events.
//!
//! * A peer is an IPv4 address or an IPv6 /64, which is what one subscriber has.
//! * The table is bounded. When it is full, further peers share one entry for each reason and
//!   plugin, whose folded event names no peer.
//! * A folded event is told when its second is over. While nobody collects, it only grows: a
//!   stalled disk costs neither memory nor exactness.
//! * Events without a reason (reloads, node events) are never folded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_core::{Reason, Timestamp};

use crate::event::{Event, EventKind};

/// How long one count lasts.
const WINDOW: Duration = Duration::from_secs(1);
/// Peers and reasons that have an entry of their own, in each shard.
const ENTRIES_MAX: usize = 512;
/// Tables that are locked on their own.
const SHARDS: usize = 8;

/// Whose events are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Peer {
    Address(IpAddr),
    Unknown,
    /// Those for whom the table had no room.
    Others,
}

impl Peer {
    fn of(event: &Event) -> Self {
        let address = event.client.or_else(|| event.peer.map(|peer| peer.ip()));
        match address.map(|address| address.to_canonical()) {
            None => Self::Unknown,
            Some(IpAddr::V4(v4)) => Self::Address(v4.into()),
            Some(IpAddr::V6(v6)) => {
                Self::Address(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into())
            }
        }
    }
}

/// The events of one peer, reason and plugin in one second.
#[derive(Debug)]
struct Window {
    start: Timestamp,
    told: u32,
    folded: Option<Box<Event>>,
}

impl Window {
    fn new(start: Timestamp) -> Self {
        Self { start, told: 0, folded: None }
    }

    /// True when its second has passed, or the clock went back before it.
    fn is_over(&self, now: Timestamp) -> bool {
        now < self.start || now.since(self.start) >= WINDOW
    }

    /// The event, if it is to be told by itself.
    fn admit(&mut self, mut event: Event, now: Timestamp, threshold: u32) -> Option<Event> {
        if self.folded.is_none() && self.is_over(now) {
            *self = Self::new(now);
        }
        if let Some(folded) = &mut self.folded {
            folded.count = folded.count.saturating_add(event.count);
            folded.time = event.time;
            return None;
        }
        if self.told < threshold {
            self.told += 1;
            return Some(event);
        }
        event.folded = Some((event.kind, event.time));
        event.kind = EventKind::Folded;
        self.folded = Some(Box::new(event));
        None
    }
}

/// One table of counts.
#[derive(Debug)]
struct Fold {
    threshold: u32,
    entries_max: usize,
    windows: HashMap<(Peer, Reason, Option<&'static str>), Window>,
}

impl Fold {
    fn new(threshold: u32, entries_max: usize) -> Self {
        Self { threshold, entries_max, windows: HashMap::new() }
    }

    /// The event, if it is to be told by itself.
    fn admit(&mut self, event: Event, peer: Peer, now: Timestamp) -> Option<Event> {
        let Some(reason) = event.reason else { return Some(event) };
        let is_full = self.windows.len() >= self.entries_max;
        let plugin = event.plugin;
        if is_full && !self.windows.contains_key(&(peer, reason, plugin)) {
            let window = self.windows.entry((Peer::Others, reason, plugin));
            let window = window.or_insert_with(|| Window::new(now));
            let told = window.admit(event, now, self.threshold);
            if let Some(folded) = &mut window.folded {
                folded.client = None;
                folded.peer = None;
            }
            return told;
        }
        let window = match self.windows.entry((peer, reason, plugin)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => free.insert(Window::new(now)),
        };
        window.admit(event, now, self.threshold)
    }

    /// Tells what was folded in seconds that are over (with `is_last`, in all), and forgets them.
    fn collect(&mut self, now: Timestamp, is_last: bool, tell: &mut dyn FnMut(Event)) {
        self.windows.retain(|_, window| {
            let is_over = is_last || window.is_over(now);
            if let Some(folded) = window.folded.take_if(|_| is_over) {
                tell(*folded);
            }
            !is_over
        });
    }
}

/// The tables of counts of a node, shared by its workers.
#[derive(Debug)]
pub(crate) struct Folds {
    hasher: RandomState,
    shards: [Mutex<Fold>; SHARDS],
}

impl Folds {
    pub(crate) fn new(threshold: u32) -> Self {
        let shards = std::array::from_fn(|_| Mutex::new(Fold::new(threshold, ENTRIES_MAX)));
        Self { hasher: RandomState::new(), shards }
    }

    /// The event, if it is to be told by itself.
    pub(crate) fn admit(&self, event: Event, now: Timestamp) -> Option<Event> {
        let peer = Peer::of(&event);
        let hash = self.hasher.hash_one(peer);
        let at = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        match self.shards.get(at) {
            Some(shard) => lock(shard).admit(event, peer, now),
            None => Some(event),
        }
    }

    /// Tells what was folded in seconds that are over (with `is_last`, in all).
    pub(crate) fn collect(&self, now: Timestamp, is_last: bool, tell: &mut dyn FnMut(Event)) {
        for shard in &self.shards {
            lock(shard).collect(now, is_last, tell);
        }
    }
}

fn lock(shard: &Mutex<Fold>) -> MutexGuard<'_, Fold> {
    // A panic while it was held leaves counts that are still whole.
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use bartizan_core::{Clock, ManualClock};
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000);

    fn event(ip: impl Into<IpAddr>, reason: Reason, time: Timestamp) -> Event {
        let mut event = Event::new(EventKind::Denied, time);
        event.client = Some(ip.into());
        event.reason = Some(reason);
        event
    }

    fn admit(fold: &mut Fold, event: Event) -> Option<Event> {
        let (peer, time) = (Peer::of(&event), event.time);
        fold.admit(event, peer, time)
    }

    fn collected(fold: &mut Fold, now: Timestamp, is_last: bool) -> Vec<Event> {
        let mut told = Vec::new();
        fold.collect(now, is_last, &mut |event| told.push(event));
        told
    }

    proptest! {
        #[test]
        fn the_sum_of_counts_is_the_number_of_events(
            steps in prop::collection::vec((0_u8..9, 0_usize..3, 0_u64..600, any::<bool>()), 0..300),
            threshold in 0_u32..4, entries_max in 1_usize..8, back in prop::option::of(0_usize..300),
        ) {
            let manual = ManualClock::at(START);
            let clock = Clock::Manual(manual.clone());
            let mut fold = Fold::new(threshold, entries_max);
            let (mut sum, events) = (0, steps.len() as u64);
            for (i, (peer, reason, advance, collects)) in steps.into_iter().enumerate() {
                manual.advance(Duration::from_millis(advance));
                if back == Some(i) {
                    manual.set(Timestamp::from_secs(500));
                }
                let one = event([10, 0, 0, peer], Reason::ALL[reason], clock.now());
                sum += admit(&mut fold, one).map_or(0, |told| told.count);
                if collects {
                    sum += collected(&mut fold, clock.now(), false).iter().map(|e| e.count).sum::<u64>();
                }
                prop_assert!(fold.windows.len() <= entries_max + 3);
            }
            sum += collected(&mut fold, clock.now(), true).iter().map(|e| e.count).sum::<u64>();
            prop_assert_eq!(sum, events);
        }

        #[test]
        fn no_peer_is_told_more_often_than_the_threshold_in_its_second(
            peers in prop::collection::vec(0_u8..5, 0..200), threshold in 0_u32..6,
        ) {
            let mut fold = Fold::new(threshold, 100);
            let mut told = [0; 5];
            for peer in peers {
                if admit(&mut fold, event([10, 0, 0, peer], Reason::NoRoute, START)).is_some() {
                    told[usize::from(peer)] += 1;
                }
            }
            prop_assert!(told.iter().all(|&n| n <= threshold));
        }
    }

    #[test]
    fn a_folded_event_says_what_how_many_and_since_when() {
        let mut fold = Fold::new(1, 10);
        for ms in [0, 100, 200, 300] {
            let time = START.plus(Duration::from_millis(ms));
            admit(&mut fold, event([192, 0, 2, 1], Reason::NoRoute, time));
        }
        assert!(collected(&mut fold, START.plus(Duration::from_millis(999)), false).is_empty());
        let told = collected(&mut fold, START.plus(WINDOW), false);
        let [folded] = told.as_slice() else { panic!("{} events", told.len()) };
        assert_eq!((folded.kind, folded.count), (EventKind::Folded, 3));
        let first = START.plus(Duration::from_millis(100));
        assert_eq!(folded.folded, Some((EventKind::Denied, first)));
        assert_eq!(folded.time, START.plus(Duration::from_millis(300)));
        assert_eq!(folded.client, Some([192, 0, 2, 1].into()));
        assert!(fold.windows.is_empty());
    }

    #[test]
    fn peers_and_reasons_are_counted_apart() {
        let mut fold = Fold::new(1, 10);
        assert!(admit(&mut fold, event([192, 0, 2, 1], Reason::NoRoute, START)).is_some());
        assert!(admit(&mut fold, event([192, 0, 2, 2], Reason::NoRoute, START)).is_some());
        assert!(admit(&mut fold, event([192, 0, 2, 1], Reason::BadHost, START)).is_some());
        assert!(admit(&mut fold, event([192, 0, 2, 1], Reason::NoRoute, START)).is_none());
    }

    #[test]
    fn the_addresses_of_one_ipv6_subscriber_are_one_peer() {
        let mut fold = Fold::new(1, 10);
        let of = |text: &str| event(text.parse::<IpAddr>().unwrap(), Reason::NoRoute, START);
        assert!(admit(&mut fold, of("2001:db8::1")).is_some());
        assert!(admit(&mut fold, of("2001:db8::2")).is_none());
        assert!(admit(&mut fold, of("2001:db8:0:1::1")).is_some());
        assert!(admit(&mut fold, of("192.0.2.1")).is_some());
        assert!(admit(&mut fold, of("::ffff:192.0.2.1")).is_none());
    }

    #[test]
    fn a_full_table_folds_the_others_together_without_a_name() {
        let mut fold = Fold::new(1, 2);
        let told = (0..20)
            .filter(|&i| admit(&mut fold, event([10, 0, 0, i], Reason::NoRoute, START)).is_some())
            .count();
        assert_eq!(told, 3);
        let told = collected(&mut fold, START, true);
        assert_eq!(told.iter().map(|e| (e.count, e.client)).collect::<Vec<_>>(), [(17, None)]);
    }

    #[test]
    fn events_without_a_reason_are_never_folded() {
        let mut fold = Fold::new(0, 10);
        let reload = Event::new(EventKind::Reload, START);
        assert!(admit(&mut fold, reload).is_some());
    }
}
