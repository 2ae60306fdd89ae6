//! A WebSocket from a client to an upstream: both directions in the one task of the connection.

mod tunnel;
mod way;

use bartizan_chain::AnswerHead;
use bartizan_core::{Denial, Reason};
use bartizan_wire::{BodyLength, ConnectionUse, OutgoingResponse, encode_response};
use tokio::time::Instant;

use self::tunnel::Tunnel;
use super::h1::{H1, Transport};
use super::h1_answer::{Asked, Next};
use crate::record::Record;
use crate::timer::Timer;
use crate::websocket::Switched;

/// Tells the client that its upstream agrees, and passes frames until one of both has enough. The
/// connection ends with it.
pub(super) async fn serve<T: Transport>(
    h1: &mut H1<T>,
    mut head: Box<AnswerHead>,
    switched: Box<Switched>,
    asked: &Asked,
    record: &mut Record,
    timer: &mut Timer,
) -> Next {
    switched.agreement.state(&mut head.fields);
    let outgoing = OutgoingResponse {
        status: head.status,
        version: asked.version,
        method: &asked.method,
        fields: &head.fields,
        body: BodyLength::None,
        declared_length: None,
        connection: ConnectionUse::Close,
    };
    h1.begin_answer();
    if let Err(fault) = encode_response(h1.out.bytes(), &outgoing) {
        record.denial = Some(Denial::new(Reason::Internal, fault.detail));
        record.status = 500;
        return Next::Close;
    }
    drop(head);
    let ended = match Tunnel::new(switched, record, Instant::now()) {
        Ok(tunnel) => tunnel.run(h1, record, timer).await,
        Err(denial) => Err(denial),
    };
    record.is_complete = true;
    if let Err(denial) = ended {
        record.denial.get_or_insert(denial);
    }
    Next::Close
}
