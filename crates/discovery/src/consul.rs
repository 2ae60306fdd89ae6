//! Servers found in Consul: the instances of a service that pass their checks.
//!
//! A question waits at Consul until something changed (its "blocking queries"), so that a change is
//! known as soon as it happens.

use std::sync::Arc;
use std::time::Duration;

use bartizan_config::ConsulDiscovery;
use bartizan_core::Secret;
use bartizan_net::{Reach, Turns};
use bartizan_wire::Fields;
use http::Method;
use rustls::ClientConfig;
use serde::Deserialize;

use crate::fault::Fault;
use crate::follow::Answer;
use crate::found::{FOUND_MAX, Found};
use crate::http::{Servers, encoded, succeeded};
use crate::read::{Host, List, Scalar};

/// How long a question waits for a change.
const WAIT: Duration = Duration::from_secs(60);
/// The least time between two questions, however often something changes.
const PAUSE: Duration = Duration::from_secs(1);

/// A Consul.
#[derive(Debug)]
pub(crate) struct Registry {
    servers: Servers,
    token: Option<Secret>,
    time: Duration,
}

impl Registry {
    pub(crate) fn new(
        settings: &ConsulDiscovery,
        tls: Option<&Arc<ClientConfig>>,
        reach: Arc<dyn Reach>,
        turns: &Turns,
    ) -> Result<Self, (usize, String)> {
        let servers = Servers::new(&settings.servers, tls, reach, turns)?;
        Ok(Self { servers, token: settings.token.clone(), time: settings.timeout.0 })
    }

    pub(crate) fn session(self: &Arc<Self>, service: &str) -> Session {
        let path = format!("/v1/health/service/{}?passing=true", encoded(service));
        Session { registry: self.clone(), path, index: 0 }
    }
}

/// A service that is asked for.
pub(crate) struct Session {
    registry: Arc<Registry>,
    path: String,
    /// The state of Consul that is known; 0 asks for what there is.
    index: u64,
}

impl Session {
    pub(crate) async fn next(&mut self) -> Result<Answer, Fault> {
        let answer = self.ask().await;
        if answer.is_err() {
            // Another server may count otherwise.
            self.index = 0;
        }
        answer
    }

    async fn ask(&mut self) -> Result<Answer, Fault> {
        let Registry { servers, token, time } = &*self.registry;
        let mut fields = Fields::new();
        if let Some(token) = token {
            fields.append("x-consul-token", token.expose().to_vec());
        }
        // Consul adds up to a sixteenth to what it is asked to wait.
        let (path, time) = match self.index {
            0 => (self.path.clone(), *time),
            index => {
                let path = format!("{}&index={index}&wait={}s", self.path, WAIT.as_secs());
                (path, WAIT + WAIT / 16 + *time)
            }
        };
        let answered = succeeded(servers.call(&Method::GET, &path, &fields, b"", time).await?)?;
        let found = instances(answered.body())?;
        let is_filtered = answered.fields.get_str("x-consul-results-filtered-by-acls");
        if found.is_empty() && is_filtered == Some("true") {
            let problem = "no instance that the token may see";
            return Err(Fault::Refused(problem.to_owned()));
        }
        let index = answered.fields.get_str("x-consul-index").and_then(|text| text.parse().ok());
        let index = index.filter(|index| *index > 0);
        let index: u64 =
            index.ok_or_else(|| Fault::Malformed("there is no X-Consul-Index".to_owned()))?;
        // One that goes back was restored from elsewhere: what is known there is asked for anew.
        self.index = if index < self.index { 0 } else { index };
        Ok(Answer { found, hold: PAUSE })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Instance {
    node: NodeOfConsul,
    service: ServiceOfConsul,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeOfConsul {
    #[serde(default)]
    address: Host,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceOfConsul {
    #[serde(default)]
    address: Host,
    port: Option<Scalar>,
    weights: Option<Weights>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: Option<Scalar>,
}

fn instances(body: &[u8]) -> Result<Vec<Found>, Fault> {
    let List(list): List<Instance, FOUND_MAX> =
        serde_json::from_slice(body).map_err(|error| Fault::Malformed(error.to_string()))?;
    let found = list.into_iter().map(|Instance { node, service }| Found {
        host: if service.address.0.is_empty() { node.address.0 } else { service.address.0 },
        // Consul writes 0 where an instance has none.
        port: service.port.filter(|port| port.whole() != Some(0)).map(|port| port.port()),
        weight: service.weights.and_then(|weights| weights.passing?.whole()).unwrap_or(1),
        priority: 0,
        name: None,
    });
    Ok(found.collect())
}
