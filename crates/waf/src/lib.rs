//! A web application firewall: runs rules written in SecLang, the language of ModSecurity and of
//! the OWASP Core Rule Set, at a cost that lets them stay on.
//!
//! ```text
//! text ─ seclang ─▶ Script ─ rules ─▶ RuleSet (immutable, shared by all workers)
//!                                        │
//! request ─ Transaction (one per request) ─▶ Verdict, and why
//! ```
//!
//! Architecture invariants: no I/O but the reading of rule and data files while a set is loaded, no
//! HTTP library, no async, no clock of its own, no global state. What a rule cannot decide within
//! its budget is a verdict of its own, never a silent pass.
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

mod bodies;
mod byte_mask;
mod fault;
mod files;
#[doc(hidden)]
pub mod fuzz;
mod name_pattern;
mod operators;
mod reference;
mod rules;
mod seclang;
mod sieve;
mod text;
mod transaction;
mod transformations;
mod variable;

pub use byte_mask::ByteMask;
pub use fault::{Place, RuleFault};
pub use files::{FileFault, Files, Folder, Memory};
pub use operators::verify_places;
pub use reference::reference;
pub use rules::{OverrideFault, Overrides, RULES_MAX, RuleSet, Settings};
pub use transaction::{
    Budget, Cause, Collections, Interruption, Kind, MatchedValue, Peer, Proven, RequestHead,
    ResponseHead, RuleMatch, Transaction, Verdict, is_raw_text, name_of_value,
};
