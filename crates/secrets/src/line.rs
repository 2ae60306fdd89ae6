//! The way to a server: connections to it, and whether it is worth asking now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_config::SecretManager;
use bartizan_core::{Clock, Limits};
use bartizan_net::{Answered, Call, CallLimits, Client, Endpoint, Keep, Reach, Url};
use bartizan_tls::{UpstreamTlsSettings, client_config};
use bartizan_wire::Fields;
use http::Method;
use tokio::time::Instant;

use crate::fault::{ANSWER_MAX, Fault};

/// Connections that are kept to a server.
const KEEP: Keep = Keep { size: 4, idle: Duration::from_secs(30) };
/// For how long a server that did not work is not asked again.
const DOWN: Duration = Duration::from_secs(1);

/// The way to a server.
#[derive(Debug)]
pub(crate) struct Line {
    endpoint: Endpoint,
    client: Client,
    timeout: Duration,
    /// What stands before each target: the path of its address, without a slash at its end.
    base: String,
    /// Until when it is not asked, and why.
    down: Mutex<Option<(Instant, Fault)>>,
}

impl Line {
    /// To `address`, which stands in the field `field` of the secret manager.
    pub(crate) fn new(
        manager: &SecretManager,
        (field, address): (&str, &str),
        danger_verify_off: bool,
        reach: Arc<dyn Reach>,
        clock: &Clock,
    ) -> Result<Self, Fault> {
        let unusable = |text: String| Fault::Unusable(text);
        let url = Url::parse(address);
        let url = url.map_err(|fault| unusable(format!("its `{field}` {fault}")))?;
        let mut tls = None;
        if url.is_tls {
            let settings = UpstreamTlsSettings {
                ca_certs: manager.ca_certs.clone(),
                danger_verify_off,
                ..UpstreamTlsSettings::default()
            };
            let config = client_config(&settings, clock);
            tls = Some(config.map_err(|fault| unusable(format!("its `tls`: {fault}")))?);
        }
        let no_name = || unusable(format!("its `{field}` names a host without certificates"));
        let endpoint = Endpoint::new(&url, tls).ok_or_else(no_name)?;
        Ok(Self {
            endpoint,
            client: Client::new(reach, &Limits::default()),
            timeout: manager.timeout,
            base: url.target.trim_end_matches('/').to_owned(),
            down: Mutex::default(),
        })
    }

    /// What it is called in Host.
    pub(crate) fn authority(&self) -> &str {
        self.endpoint.authority()
    }

    /// What stands before each target.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The answer, whatever its status. `is_down` says of a status whether nothing else can be had
    /// there either.
    pub(crate) async fn call(
        &self,
        method: &Method,
        target: &str,
        fields: &Fields,
        body: &[u8],
    ) -> Result<Answered, Fault> {
        if let Some(fault) = self.why_down() {
            return Err(fault);
        }
        let call = Call { method, target, fields, body };
        let limits = CallLimits { time: self.timeout, answer: ANSWER_MAX, keep: KEEP };
        let outcome = self.client.call(&self.endpoint, &call, &limits).await;
        outcome.map_err(Fault::from).inspect_err(|fault| self.note(fault))
    }

    /// Nobody asks for a while after a fault of the server itself: what waits fails for the same
    /// reason.
    pub(crate) fn note(&self, fault: &Fault) {
        if fault.is_of_server() {
            let until = Instant::now() + DOWN;
            *self.down.lock().unwrap_or_else(PoisonError::into_inner) =
                Some((until, fault.clone()));
        }
    }

    /// Why it is not asked now.
    pub(crate) fn why_down(&self) -> Option<Fault> {
        let down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.as_ref().filter(|(until, _)| *until > Instant::now()).map(|(_, fault)| fault.clone())
    }
}
