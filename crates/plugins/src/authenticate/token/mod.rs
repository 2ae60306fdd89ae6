//! What plugins that judge tokens share: what configuration asks of claims, the consumer that a
//! claim names, and what a refused client is told.
//!
//! Whoever proves a token states its claims whole, `cnf` included (RFC 7800): what binds a token to
//! its sender is judged by them, wherever they came from.

mod challenge;
mod consumer;
mod demands;
mod field;
mod senders;

pub(crate) use challenge::challenge;
pub(crate) use consumer::{ConsumerClaim, NameFault};
pub(crate) use demands::{Demands, texts, within};
pub(crate) use field::{Carried, TokenField};
pub(crate) use senders::{Asked, Senders, Shown};
