//! The keys of session tickets.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::ProducesTickets;

use crate::TlsFault;
use crate::fault::describe;

/// The keys under which session tickets are sealed: one set for all workers and for all stores
/// that follow one another, so that a reload does not cost every client a full handshake.
///
/// The keys are replaced every six hours and never leave the process. A ticket names the server
/// name it was given for, and the library resumes it for that name only (RFC 6066 §3). Server
/// names that ask for client certificates give and take no tickets: a resumed session carries the
/// certificate of its first handshake unverified, past its expiry and past a change of authority.
#[derive(Clone)]
pub struct TicketKeys(Arc<dyn ProducesTickets>);

impl TicketKeys {
    /// Fresh keys.
    pub fn new() -> Result<Self, TlsFault> {
        Ticketer::new().map(Self).map_err(|error| TlsFault::Refused(describe(&error)))
    }

    pub(crate) fn ticketer(&self) -> Arc<dyn ProducesTickets> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys(…)")
    }
}
