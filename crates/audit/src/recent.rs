//! What was refused lately, for who looks at it on the node itself.
//!
//! The thread that writes the log keeps it, so that no request does more for it. It says what the
//! log says: events that were folded are one with their number, those that found no room are not
//! among them. Bounded: the last [`LATEST_MAX`] events; one count for each reason and plugin.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bartizan_core::{Reason, Timestamp};

use crate::event::Event;

/// Events that are kept.
pub const LATEST_MAX: usize = 200;

/// How often something was refused or failed for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonCount {
    /// The reason.
    pub reason: Reason,
    /// The plugin that decided; none where no plugin did.
    pub plugin: Option<&'static str>,
    /// How often.
    pub count: u64,
}

/// What was refused since the log was opened.
#[derive(Clone, Debug)]
pub struct RecentDenials {
    /// Since when.
    pub since: Timestamp,
    /// How often in all.
    pub total: u64,
    /// How often for which reason, the most frequent first.
    pub counts: Vec<ReasonCount>,
    /// The last events, the newest first.
    pub latest: Vec<Arc<Event>>,
    /// Events of which nothing is known but that they were lost.
    pub lost: u64,
}

#[derive(Debug, Default)]
struct Kept {
    counts: HashMap<(Reason, Option<&'static str>), u64>,
    latest: VecDeque<Arc<Event>>,
}

/// What is kept of the log.
#[derive(Debug)]
pub(crate) struct Recent {
    since: Timestamp,
    kept: Mutex<Kept>,
}

impl Recent {
    pub(crate) fn new(since: Timestamp) -> Self {
        Self { since, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in an event that is in the log. What has no reason refused nobody.
    pub(crate) fn take(&self, event: impl Into<Arc<Event>>) {
        let event = event.into();
        let Some(reason) = event.reason else { return };
        let mut kept = self.kept();
        let count = kept.counts.entry((reason, event.plugin)).or_default();
        *count = count.saturating_add(event.count);
        kept.latest.push_front(event);
        kept.latest.truncate(LATEST_MAX);
    }

    pub(crate) fn told(&self, lost: u64) -> RecentDenials {
        let kept = self.kept();
        let count = |(key, count): (&(Reason, Option<&'static str>), &u64)| ReasonCount {
            reason: key.0,
            plugin: key.1,
            count: *count,
        };
        let mut counts: Vec<ReasonCount> = kept.counts.iter().map(count).collect();
        let latest = kept.latest.iter().cloned().collect();
        drop(kept);
        counts.sort_by_key(|one| (std::cmp::Reverse(one.count), one.reason.code(), one.plugin));
        let total = counts.iter().fold(0, |sum: u64, one| sum.saturating_add(one.count));
        RecentDenials { since: self.since, total, counts, latest, lost }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;

    const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn event(reason: Option<Reason>, plugin: Option<&'static str>, count: u64) -> Box<Event> {
        let mut event = Event::new(EventKind::Denied, NOON);
        (event.reason, event.plugin, event.count) = (reason, plugin, count);
        Box::new(event)
    }

    #[test]
    fn counts_are_by_reason_and_plugin_with_what_was_folded_the_most_frequent_first() {
        let recent = Recent::new(NOON);
        let (one, other) = (Reason::ALL[0], Reason::ALL[1]);
        recent.take(event(Some(one), Some("key-auth"), 1));
        recent.take(event(Some(one), None, 1));
        recent.take(event(Some(other), Some("waf"), 5));
        recent.take(event(Some(one), Some("key-auth"), 2));
        recent.take(event(None, None, 9));
        let told = recent.told(0);
        let counts = told.counts.iter().map(|one| (one.reason, one.plugin, one.count));
        let expected = [(other, Some("waf"), 5), (one, Some("key-auth"), 3), (one, None, 1)];
        assert_eq!(counts.collect::<Vec<_>>(), expected);
        assert_eq!((told.total, told.latest.len(), told.latest[0].count), (9, 4, 2));
    }

    #[test]
    fn so_many_events_are_kept_and_all_are_counted() {
        let recent = Recent::new(NOON);
        let most = u64::try_from(LATEST_MAX).unwrap();
        for number in 1..=most + 1 {
            recent.take(event(Some(Reason::ALL[0]), None, number));
        }
        let told = recent.told(3);
        assert_eq!((told.latest.len(), told.lost), (LATEST_MAX, 3));
        assert_eq!(told.latest.last().unwrap().count, 2);
        assert_eq!(told.total, (1..=most + 1).sum::<u64>());
    }
}
