//! One probe of one server.

use std::fmt;
use std::sync::Arc;

use bartizan_config::{ActiveCheck, CheckKind, CheckRule, Invalid};
use bartizan_net::{Call, CallError, Client, ConnectError, Endpoint, Reach, Target};
use bartizan_wire::{BodyLength, ConnectionUse, Fields, OutgoingRequest, encode_request};
use http::Method;

use super::state::of_status;
use super::{Outcome, Standing};

/// What all probes of an upstream have in common.
pub(crate) struct Form {
    method: Method,
    fields: Fields,
}

/// Fields may be secrets.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A server, and how it is probed.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) standing: Arc<Standing>,
    endpoint: Endpoint,
}

/// What came of a probe.
#[derive(Debug)]
pub(super) struct Probed {
    /// What it says of the server, if anything.
    pub(super) outcome: Option<Outcome>,
    /// What was wrong.
    pub(super) fault: Option<String>,
}

impl Form {
    /// Reads what is the same for all probes.
    pub(crate) fn compile(active: &ActiveCheck) -> Result<Self, Invalid> {
        let method = Method::from_bytes(active.method.as_bytes())
            .map_err(|_| Invalid::at("http_method", "is no method"))?;
        let mut fields = Fields::new();
        for (index, (name, value)) in active.fields.iter().enumerate() {
            fields.append(name.as_bytes().to_vec(), value.expose().to_vec());
            sendable(&method, "/", "a", &fields)
                .map_err(|problem| Invalid::at_item("req_headers", index, problem))?;
        }
        let path = &*active.path;
        sendable(&method, path, "a", &fields)
            .map_err(|problem| Invalid::at("http_path", problem))?;
        if let Some(host) = &active.host {
            sendable(&method, path, host, &fields)
                .map_err(|problem| Invalid::at("host", problem))?;
        }
        Ok(Self { method, fields })
    }
}

fn sendable(
    method: &Method,
    target: &str,
    host: &str,
    fields: &Fields,
) -> Result<(), &'static str> {
    let request = OutgoingRequest {
        method,
        target,
        host,
        fields,
        lines: None,
        forwarded_host: None,
        body: BodyLength::None,
        connection: ConnectionUse::Close,
        websocket: false,
        expect_continue: false,
    };
    encode_request(&mut Vec::new(), &request).map_err(|fault| fault.detail)
}

impl Probe {
    /// A probe of the server `label`, found at `target` and called `authority` in Host.
    pub(crate) fn new(label: Arc<str>, target: Target, authority: Arc<str>) -> Self {
        let endpoint = Endpoint::at(target, authority);
        Self { standing: Arc::new(Standing::new(label)), endpoint }
    }

    /// Whether both ask the same server the same way.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let (one, two) = (self.endpoint.target(), other.endpoint.target());
        let is_same_tls = match (&one.tls, &two.tls) {
            (None, None) => true,
            (Some(one), Some(two)) => {
                Arc::ptr_eq(&one.config, &two.config) && one.server_name == two.server_name
            }
            _ => false,
        };
        self.standing.label == other.standing.label
            && self.endpoint.authority() == other.endpoint.authority()
            && (&one.host, one.port) == (&two.host, two.port)
            && is_same_tls
    }

    /// Probes the server.
    pub(super) async fn run(
        &self,
        active: &ActiveCheck,
        form: &Form,
        client: &Client,
        reach: &dyn Reach,
    ) -> Probed {
        if active.kind == CheckKind::Tcp {
            return match reach.connect(self.endpoint.target(), active.timeout).await {
                Ok(_) => Probed { outcome: Some(Outcome::Success), fault: None },
                Err(error) => unreached(&error),
            };
        }
        let call = Call {
            method: &form.method,
            target: &active.path,
            fields: &form.fields,
            body: active.body.expose(),
        };
        match client.open(&self.endpoint, &call, active.timeout).await {
            Ok(answer) => answered(active.kind, &active.rule, answer.status().as_u16()),
            Err(error) => unanswered(&error),
        }
    }
}

fn answered(kind: CheckKind, rule: &CheckRule, status: u16) -> Probed {
    let outcome = of_status(kind, rule, status);
    let fault = match outcome {
        Some(Outcome::Success) => None,
        Some(_) => Some(format!("it answered with {status}")),
        None => Some(format!("it answered with {status}, which counts neither way")),
    };
    Probed { outcome, fault }
}

fn unanswered(error: &CallError) -> Probed {
    let outcome = match error {
        CallError::Connect(error) => return unreached(error),
        CallError::Timeout(_) => Some(Outcome::Timeout),
        CallError::Closed(_) => Some(Outcome::TcpFailure),
        CallError::Malformed(_) | CallError::TooLarge(_) => Some(Outcome::HttpFailure),
        // Nothing was asked of the server.
        CallError::Unsendable(_) | CallError::Busy(_) => None,
    };
    Probed { outcome, fault: Some(error.to_string()) }
}

fn unreached(error: &ConnectError) -> Probed {
    let is_late = matches!(error, ConnectError::Timeout { .. });
    let outcome = if is_late { Outcome::Timeout } else { Outcome::TcpFailure };
    Probed { outcome: Some(outcome), fault: Some(error.to_string()) }
}
