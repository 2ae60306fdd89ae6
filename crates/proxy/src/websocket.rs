//! Which requests may be upgraded to WebSocket.

use bartizan_chain::RequestCx;
use bartizan_core::{Denial, Reason, Timestamp};
use bartizan_plugins::comes_from_another_origin;
use bartizan_wire::{Agreement, Handshake, Opening, forget_websocket};
use http::Method;
use prometheus_client::metrics::gauge::Gauge;

use crate::exchange::Exchange;
use crate::exchange::forward::Waits;
use crate::snapshot::Route;
use crate::worker::Worker;

/// What a request asks of WebSocket, as it came: what the plugins do to its fields changes none
/// of it.
pub(crate) enum Wish {
    /// Nothing.
    Nothing,
    /// Something that its route does not allow, so that it is served like any other.
    Ignored,
    /// What is no handshake, on a route that takes them.
    Broken(&'static str),
    /// A handshake of another version.
    OtherVersion,
    /// A handshake, and whether a page of another origin makes it.
    Open { opening: Opening, is_foreign: bool },
}

impl Wish {
    pub(crate) fn of(handshake: Handshake, route: &Route, cx: &RequestCx) -> Self {
        match handshake {
            Handshake::Absent => Self::Nothing,
            _ if !route.allows_websocket => Self::Ignored,
            Handshake::Broken(detail) => Self::Broken(detail),
            Handshake::OtherVersion => Self::OtherVersion,
            Handshake::Whole => Opening::of(&cx.fields).map_or(
                Self::Broken("a handshake without a key"),
                |opening| Self::Open { opening, is_foreign: comes_from_another_origin(cx) },
            ),
        }
    }

    /// Grants it to a request that has passed its plugins, or says why not.
    pub(crate) fn grant(
        self,
        cx: &mut RequestCx,
        worker: &Worker,
    ) -> Result<Option<Grant>, Denial> {
        let (opening, is_foreign) = match self {
            Self::Nothing => return Ok(None),
            Self::Ignored => {
                forget_websocket(&mut cx.fields);
                return Ok(None);
            }
            Self::Broken(detail) => return Err(Denial::new(Reason::BadHandshake, detail)),
            Self::OtherVersion => {
                let denial = Denial::new(Reason::HandshakeVersion, "a version other than 13");
                return Err(denial.with_field("sec-websocket-version", "13".to_owned()));
            }
            Self::Open { opening, is_foreign } => (opening, is_foreign),
        };
        if is_foreign && !cx.admits_origin() {
            let detail =
                "a page of another origin, which not every `cors` of the route names, or none";
            return Err(Denial::new(Reason::ForeignOrigin, detail));
        }
        if cx.outgoing().method() != Method::GET {
            let detail = "a WebSocket handshake with a method other than GET";
            return Err(Denial::new(Reason::RewriteRefused, detail));
        }
        let seat = Seat::take(worker)?;
        opening.restore(&mut cx.fields);
        let until = cx.identity().and_then(bartizan_chain::Identity::expires);
        Ok(Some(Grant { opening, seat, until }))
    }
}

/// A handshake that is carried to the upstream.
pub(crate) struct Grant {
    pub(crate) opening: Opening,
    seat: Seat,
    /// When the credential ends that it was granted for.
    until: Option<Timestamp>,
}

impl Grant {
    /// What follows a switch that was agreed on.
    pub(crate) fn switched(
        self,
        exchange: Box<Exchange>,
        agreement: Agreement,
        waits: Waits,
    ) -> Box<Switched> {
        let Self { seat, until, .. } = self;
        Box::new(Switched { exchange, agreement, waits, until, _seat: seat })
    }
}

/// A connection to an upstream that speaks WebSocket from here on.
pub(crate) struct Switched {
    pub(crate) exchange: Box<Exchange>,
    pub(crate) agreement: Agreement,
    pub(crate) waits: Waits,
    /// When the credential ends that it was opened with.
    pub(crate) until: Option<Timestamp>,
    _seat: Seat,
}

/// The place of one WebSocket among those of the node; given back when dropped.
struct Seat(Gauge);

impl Seat {
    fn take(worker: &Worker) -> Result<Self, Denial> {
        let seats = &worker.shared.metrics.websockets;
        // First counted, then judged: two that come at once see each other.
        let taken = seats.inc();
        let seat = Self(seats.clone());
        if taken >= i64::from(worker.shared.node.limits.websockets) {
            return Err(Denial::new(Reason::TooManyWebsockets, "over `limits.websockets`"));
        }
        Ok(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.dec();
    }
}
