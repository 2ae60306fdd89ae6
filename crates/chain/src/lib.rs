//! The policy chain: what a plugin is, what it sees, and the loop that runs plugins and mints the
//! proofs without which nothing is forwarded.
//!
//! Architecture invariants: only the loop in [`Run`] makes a [`Screened`]; only it lends the key
//! with which an [`Identity`] is made, and only to plugins in the Authenticate stage. This crate
//! knows no plugin by name; the loop is generic over a catalogue ([`PluginSet`]).

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod answer;
mod attempt;
mod body;
mod body_value;
mod chain;
mod compile;
mod consumers;
mod context;
mod cpu;
mod expr;
pub mod fuzz;
mod identity;
mod json;
mod key_uses;
mod log_view;
mod lookup;
mod outside;
mod owned;
mod pages;
mod peer;
mod plugin;
mod proven;
mod registry;
mod room;
mod run;
mod shared_map;
mod template;
mod vars;

pub use answer::{AnswerHead, LocalAnswer, Outcome, ReplacementBody};
pub use attempt::{Attempt, AttemptGuard, Judging, Strength};
pub use body::{BodyChanges, BodyPlan, BodyTransform, Held, HeldBody, Weighing};
pub use chain::{Chain, ChainBuilder, Step};
pub use compile::{CompileCx, FilesRead, NodeFacts, SharedRedactor};
pub use consumers::{Consumer, ConsumerIndex, CredentialEntry, CredentialRef};
pub use context::{Arrival, Matched, Over, RequestCx, RouteFacts, UpstreamFacts};
pub use cpu::{CpuFault, CpuPool};
pub use expr::Expr;
pub use identity::{Identity, IdentityKey, IdentityParts};
pub use json::{JsonFault, JsonLimits, parse_strict};
pub use key_uses::KeyUses;
pub use log_view::LogView;
pub use outside::{Outside, Sink, Sinks};
pub use owned::OwnedFields;
pub use pages::{Page, Pages};
pub use peer::{Begun, Peer, PeerTexts, TlsFacts};
pub use plugin::{
    BodyNeed, Flow, Kinship, Nothing, Plugin, PluginSet, Proofs, Traits, Unsupported,
};
pub use proven::Proven;
pub use registry::StateRegistry;
pub use room::make_room;
pub use run::{BodySource, Profiles, Run, Screened, Screening};
pub use shared_map::SharedMap;
pub use template::Template;
pub use vars::{Reach, Var, VarError};
