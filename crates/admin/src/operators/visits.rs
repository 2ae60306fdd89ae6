//! Operators who have shown their key before, and come back without it.

use std::net::IpAddr;

use bartizan_audit::{Event, EventKind};
use bartizan_core::Reason;
use http::StatusCode;

use super::operator::{Operator, Refusal};
use super::shared::Operators;
use crate::key_text::KeyId;

impl Operators {
    /// Who has the key of this id, if it is good now; a refusal is an event. For whoever knows that
    /// the key itself was shown.
    pub(crate) fn still(&self, id: KeyId, peer: IpAddr) -> Result<Operator, Refusal> {
        let (book, now) = (self.book(), self.now());
        let entry = book.get(id);
        let refusal = match entry {
            Some(entry) if !entry.is_over(now) => return Ok(self.welcome(entry, peer, now)),
            Some(entry) => Refusal::Over { why: entry.over() },
            None => Refusal::Wrong,
        };
        self.refuse(refusal, peer, entry);
        Err(refusal)
    }

    /// Tells that something was refused before anybody was known.
    pub(crate) fn tell_refused(
        &self,
        (reason, status): (Reason, StatusCode),
        peer: IpAddr,
        detail: &'static str,
    ) {
        let mut event = Event::new(EventKind::Denied, self.0.voice.clock.now());
        event.reason = Some(reason);
        event.status = Some(status.as_u16());
        event.detail = Some(detail.into());
        event.client = Some(peer);
        self.0.voice.audit.record(event);
    }
}
