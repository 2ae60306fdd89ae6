//! Somebody whose key is good, and why somebody else's is not.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bartizan_audit::{Caller, Event, EventKind};
use bartizan_core::Reason;

use super::rights::{Act, Forbidden, Rights, Role};
use super::shared::Voice;
use crate::key_text::KeyId;

/// Why a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// None was shown.
    Missing,
    /// There is no such key.
    Wrong,
    /// It was good, and is not any more; told only to who has the whole key.
    Over {
        /// `expired`, `retired` or `revoked`.
        why: &'static str,
    },
    /// The address has failed too often; the key was not looked at.
    Throttled {
        /// When it may try again.
        retry_after: Duration,
    },
}

impl Refusal {
    /// The row of the table of reasons.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Missing | Self::Wrong | Self::Over { .. } => Reason::AdminKeyRefused,
            Self::Throttled { .. } => Reason::AdminThrottled,
        }
    }

    /// What the client is told, in the words of Apache APISIX where it has any.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Missing => "missing apikey",
            Self::Wrong => "wrong apikey",
            Self::Over { .. } => "the apikey is not valid any more",
            Self::Throttled { .. } => "too many failed attempts from this address",
        }
    }

    /// The seconds of `Retry-After`, rounded up.
    pub fn retry_after(self) -> Option<u64> {
        match self {
            Self::Throttled { retry_after } => {
                Some(retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0))
            }
            _ => None,
        }
    }
}

/// Somebody whose key is good. Only [`Operators::judge`](super::Operators::judge) makes one; it is
/// for one request.
#[derive(Clone, Debug)]
pub struct Operator {
    pub(super) name: Arc<str>,
    pub(super) id: KeyId,
    pub(super) rights: Arc<Rights>,
    pub(super) peer: IpAddr,
    pub(super) voice: Voice,
}

impl Operator {
    /// The name of the key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key.
    pub fn key_id(&self) -> KeyId {
        self.id
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.rights.role
    }

    /// Whether an act is permitted. A refusal is an event.
    pub fn may(&self, act: &Act<'_>) -> Result<(), Forbidden> {
        self.rights.permit(act).inspect_err(|forbidden| self.tell(act, forbidden))
    }

    /// Refuses an act for what lies outside of it. It is an event.
    pub fn forbid(&self, act: &Act<'_>, why: String) -> Forbidden {
        let forbidden = Forbidden::new(why);
        self.tell(act, &forbidden);
        forbidden
    }

    fn tell(&self, act: &Act<'_>, forbidden: &Forbidden) {
        let detail = format!("may not {act}: {forbidden}");
        let mut event = self.event(EventKind::Denied, detail);
        event.reason = Some(Reason::AdminForbidden);
        event.status = Some(Reason::AdminForbidden.status());
        self.voice.audit.record(event);
    }

    /// Whether only a part of the resources is theirs.
    pub fn is_confined(&self) -> bool {
        !self.rights.confinement.is_none()
    }

    /// The same, without an event: for lists of what somebody may do.
    pub fn could(&self, act: &Act<'_>) -> bool {
        self.rights.permit(act).is_ok()
    }

    /// Whether secrets are read in clear wherever they may be read at all. Of a key that is
    /// confined, ask [`Operator::reveals`] for each object.
    pub fn reads_secrets(&self) -> bool {
        self.rights.secrets && self.rights.confinement.is_none()
    }

    /// Whether an object (in `before`) is shown with its secrets in clear. That they were shown is
    /// for the caller to record, who knows what was in the answer: see [`Operator::event`].
    pub fn reveals(&self, act: &Act<'_>) -> bool {
        self.rights.reveal(act)
    }

    /// An event of something that this operator did, to be recorded by who knows the rest of it.
    pub fn event(&self, kind: EventKind, detail: String) -> Event {
        let mut event = Event::new(kind, self.voice.clock.now());
        event.detail = Some(detail.into());
        event.client = Some(self.peer);
        event.operator = Some(Arc::clone(&self.name));
        event.caller =
            Some(Caller { credential: Some(self.id.as_str().into()), ..Caller::default() });
        event
    }
}
