//! The vocabulary every other crate speaks: stages, reasons, denials, limits, time, secrets.
//!
//! Architecture invariant: no I/O, no HTTP library, no async. What is here can be used in a unit
//! test without a runtime and in the control plane as well as in the data plane.

mod backoff;
mod clock;
mod denial;
pub mod exposition;
mod hash_keys;
mod id;
mod limits;
pub mod metrics;
mod path_pattern;
mod pattern;
mod reason;
mod router_mode;
mod secret;
mod servers;
mod stage;
mod units;

pub use backoff::{Backoff, jittered};
pub use clock::{Clock, ManualClock, Timestamp};
pub use denial::{Denial, DenialParts, Detail, ReplyField};
pub use hash_keys::{HashKey, HashKeys};
pub use id::{IdSource, RequestId};
pub use limits::{LIMITS, Limit, Limits, limit_named_in};
pub use path_pattern::{
    PATH_PARAMETERS_MAX, PATH_PATTERN_MAX, PathPatternFault, PathSegment, PathTail,
    check_path_pattern, has_path_names, path_parameter, path_segments, split_path_pattern,
};
pub use pattern::{
    PATTERN_SIZE_MAX, PatternError, compile as compile_pattern, compile_all as compile_patterns,
};
pub use reason::{Reason, WireForm};
pub use router_mode::RouterMode;
pub use secret::{NodeKey, Secret};
pub use servers::{FoundServer, FoundServers, LastProbe, ServerHealth, Verdict};
pub use stage::{Stage, StageSet};
pub use units::{ByteSize, Span, UnitError};

/// Whose wire habits the node follows. Safety is the same in both.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Compatibility {
    /// Problem details (RFC 9457), 429 with `Retry-After`, credentials hidden from upstreams.
    #[default]
    None,
    /// The messages, reject codes, headers and harmless defaults of Apache APISIX.
    Apisix,
}

impl Compatibility {
    /// True where the node answers as Apache APISIX does.
    pub fn is_apisix(self) -> bool {
        self == Self::Apisix
    }
}
