//! What the gateway writes about requests: security events and the access log.
//!
//! * [`Event`]: one refusal, error or change of the node, with its precise cause. Events of one
//!   peer and reason are folded above a rate, with their exact number.
//! * [`AuditLog`]: takes events without blocking and hands them to a thread that writes them.
//!   When its queue is full it counts what it drops, or refuses requests before they are forwarded.
//! * [`RecentDenials`]: the last refusals and how many there were, as [`AuditLog::recent`] tells them.
//! * [`AccessLog`]: one line for each request, formatted by the worker that served it.
//! * [`Redactor`]: the only way a request target or header field gets into an event.
//!
//! Both logs are JSON, one object a line. No byte that a client sends can end a line, and every
//! value has a greatest length.
//!
//! Architecture invariant: no HTTP library and no runtime; writing happens on plain threads, so
//! that a slow disk stalls no event loop.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod access;
mod access_line;
mod event;
mod fields;
mod fold;
mod json;
mod life;
mod log;
mod recent;
mod redact;
mod sink;
mod stamp;
mod writer;

pub use access::{AccessLog, AccessOptions, AccessWriter};
pub use access_line::AccessLine;
pub use event::{CHANGES_MAX, Caller, ChangeMade, Event, EventKind};
pub use fields::{ACCESS_FIELDS, EVENT_FIELDS, Field, FieldKind, access_example, event_examples};
pub use json::{
    piece as write_json_piece, plain_address as write_address, plain_socket as write_socket,
    text as write_json_text,
};
pub use log::{AuditLog, AuditOptions, OnFull, Slot};
pub use recent::{LATEST_MAX, ReasonCount, RecentDenials};
pub use redact::{Hidden, REDACTED, Redacted, Redactor};
pub use sink::{CloseError, OpenError, Target};
