//! Descriptions of gRPC services: the text of a `.proto` file or what `protoc` makes of some, read
//! into messages and methods that can be looked up by name.
//!
//! ```text
//! text ─ scanned ─ parsed ─ counted ──┐
//! base64 ─ counted ─ decoded ─ ordered ┴─ linked ─ rehearsed ─▶ Protos (immutable, shared)
//! ```
//!
//! A description comes from people who may write configuration, and still it is held to bounds
//! before anything recurses over it or allocates for it: how long it is, how deep it nests, how many
//! messages and fields it has. A file may import what every `protoc` brings along,
//! `google/protobuf/*.proto`, and nothing else: there is no folder to look into. A set holds all of
//! its files, or those.
//!
//! A [`Method`] translates: a value of JSON into the message that it takes, and the message that it
//! gives into a value. Nothing is guessed: what a message does not have, or what does not fit, is
//! told with its path.
//!
//! Architecture invariants: no I/O, no HTTP library, no async; the parser and the reflection stay
//! behind this crate's types.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::cast_possible_truncation
    )
)]

mod bounds;
mod fault;
mod form;
mod known;
#[cfg(test)]
mod malformed_tests;
mod method;
mod misfit;
mod outline;
mod rehearsal;
mod scan;
mod set;
mod source;
mod status;
#[cfg(test)]
mod tests;
mod to_json;
mod to_wire;
#[cfg(test)]
mod translation_tests;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use prost_reflect::DescriptorPool;

use outline::Outlines;

pub use bounds::{CONTENT_MAX, DEPTH_MAX, FIELDS_MAX, FILES_MAX, TYPES_MAX};
pub use fault::{At, ProtoFault};
pub use form::{NAME_MAX, RANGES_MAX};
pub use method::{Method, NoMethod};
pub use misfit::Misfit;
pub use set::WAYS_MAX;
pub use status::{Details, status};
pub use to_json::{Defaults, Style, VALUES_MAX, Wide};
pub use to_wire::LEVELS_MAX;

/// Messages and services, linked.
#[derive(Clone, Debug)]
pub struct Protos {
    pool: DescriptorPool,
    outlines: Arc<Outlines>,
}

impl Protos {
    /// Reads the text of one `.proto` file, or a set of files as `protoc --descriptor_set_out`
    /// writes it, in base64 (standard alphabet; blanks between its characters do not count).
    pub fn compile(content: &str) -> Result<Self, ProtoFault> {
        bounds::check_length(content)?;
        // The libraries trust that a set comes from `protoc`; one that does not may stop them half
        // way, and nothing is left of what they were at.
        let made = catch_unwind(AssertUnwindSafe(|| {
            let pool = match set::decoded(content) {
                Some(bytes) => set::link(&bytes?)?,
                None => source::link(content)?,
            };
            rehearsal::rehearse(&pool)?;
            let outlines = Arc::new(Outlines::new(&pool));
            Ok(Self { pool, outlines })
        }));
        made.unwrap_or_else(|_| Err(rehearsal::malformed()))
    }

    /// The full names of the services, in the order of the files; those that come along with
    /// `google/protobuf` have none.
    pub fn services(&self) -> impl Iterator<Item = String> + '_ {
        self.pool.services().map(|service| service.full_name().to_owned())
    }
}
