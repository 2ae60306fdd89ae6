//! What a client reads whom a limit refuses.

use bartizan_core::{Denial, Detail, Reason};

use crate::monotonic::SECOND;

/// The status of a refusal, and its message.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    code: u16,
    message: Option<String>,
    is_apisix: bool,
}

impl Refusal {
    /// As configured; otherwise 429, or 503 as Apache APISIX has it.
    pub(super) fn new(code: Option<u16>, message: Option<String>, is_apisix: bool) -> Self {
        let usual = if is_apisix { 503 } else { 429 };
        Self { code: code.unwrap_or(usual), message, is_apisix }
    }

    /// The refusal, with its cause for the operator.
    pub(super) fn denial(&self, detail: impl Into<Detail>) -> Denial {
        let denial = Denial::new(Reason::RateLimited, detail).with_status(self.code);
        match &self.message {
            Some(message) => denial.with_message(message),
            None => denial,
        }
    }

    /// The refusal of what fits again after `nanos`. Apache APISIX does not say when.
    pub(super) fn until(&self, nanos: u64, detail: impl Into<Detail>) -> Denial {
        let denial = self.denial(detail);
        if self.is_apisix {
            return denial;
        }
        denial.with_field("retry-after", whole_seconds(nanos).to_string())
    }

    /// The refusal of what cannot be judged: what the limit reads is no number.
    pub(super) fn unreadable(&self, apisix: &'static str, detail: impl Into<Detail>) -> Denial {
        let denial = self.denial(detail);
        if self.is_apisix { denial.with_status(500).with_apisix_message(apisix) } else { denial }
    }

    /// Whether the node follows the habits of Apache APISIX.
    pub(super) fn is_apisix(&self) -> bool {
        self.is_apisix
    }
}

/// The refusal of a request that no rule of a limit applies to: whoever wrote the rules did not
/// mean that it goes uncounted.
pub(super) fn inapplicable(plugin: &str, apisix: &'static str) -> Denial {
    Denial::new(Reason::Internal, format!("no rule of `{plugin}` applies to the request"))
        .with_apisix_message(apisix)
}

/// Whole seconds, rounded up: after that time it is true.
pub(super) fn whole_seconds(nanos: u64) -> u64 {
    nanos.div_ceil(SECOND)
}
