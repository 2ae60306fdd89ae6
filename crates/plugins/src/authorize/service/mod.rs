//! Asking another service whether a request may pass: what `forward-auth` and `opa` share.

mod names;

use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{CompileCx, RequestCx};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason};
use bartizan_net::{Answered, Call, CallLimits, Endpoint, Keep};
use bartizan_wire::Fields;
use http::Method;

use crate::outgoing::{Trust, endpoint};

pub(super) use names::{HeaderNames, Towards, is_sendable};

/// Longest answer of a service. What is longer counts as no answer.
const ANSWER_MAX: usize = 64 * 1_024;

/// How a service is reached, as configuration says it.
pub(super) struct ServiceSettings {
    pub(super) trust: Trust,
    /// Milliseconds.
    pub(super) timeout: u32,
    pub(super) keepalive: bool,
    /// Milliseconds.
    pub(super) keepalive_timeout: u32,
    pub(super) keepalive_pool: u32,
}

/// A service that decides.
pub(super) struct Service {
    endpoint: Endpoint,
    /// Path and query of its address.
    pub(super) target: Arc<str>,
    limits: CallLimits,
}

impl Service {
    /// The service at the address under `key`.
    pub(super) fn compile(
        key: &str,
        address: &str,
        settings: &ServiceSettings,
        cx: &CompileCx<'_>,
    ) -> Result<Self, Invalid> {
        let (endpoint, target) = endpoint(key, address, &settings.trust, cx)?;
        let size = usize::try_from(settings.keepalive_pool).unwrap_or(usize::MAX);
        let keep = Keep {
            size: if settings.keepalive { size } else { 0 },
            idle: Duration::from_millis(settings.keepalive_timeout.into()),
        };
        let time = Duration::from_millis(settings.timeout.into());
        Ok(Self { endpoint, target, limits: CallLimits { time, answer: ANSWER_MAX, keep } })
    }

    /// What becomes of connections to it.
    #[cfg(test)]
    pub(super) fn keep(&self) -> Keep {
        self.limits.keep
    }

    /// Asks it, with the client of the worker that serves the request.
    pub(super) async fn ask(
        &self,
        cx: &RequestCx,
        method: &Method,
        target: &str,
        fields: &Fields,
        body: &[u8],
    ) -> Result<Answered, String> {
        let client = cx.http().ok_or("this worker reaches nothing")?.clone();
        let call = Call { method, target, fields, body };
        client.call(&self.endpoint, &call, &self.limits).await.map_err(|error| error.to_string())
    }
}

/// No decision was to be had, and that denies.
pub(super) fn no_decision(cause: &str, status: Option<u16>) -> Denial {
    let denial = Denial::new(Reason::AuthorizerFailed, format!("no decision: {cause}"));
    match status {
        Some(status) => denial.with_status(status),
        None => denial,
    }
}

#[cfg(test)]
mod tests;
