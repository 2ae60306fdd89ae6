//! Servers found in Eureka: the instances of an application that are up.
//!
//! Eureka is asked at an interval, by its REST operations.

use std::sync::Arc;
use std::time::Duration;

use bartizan_config::EurekaDiscovery;
use bartizan_core::{Secret, jittered};
use bartizan_net::{Reach, Turns};
use bartizan_wire::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, StatusCode};
use rustls::ClientConfig;
use serde::Deserialize;

use crate::fault::Fault;
use crate::follow::Answer;
use crate::found::{FOUND_MAX, Found};
use crate::http::{Servers, encoded, succeeded};
use crate::read::{Host, NO_PORT, OneOrMore, Scalar};

/// An Eureka.
#[derive(Debug)]
pub(crate) struct Registry {
    servers: Servers,
    /// What says who asks.
    authorization: Option<Secret>,
    interval: Duration,
    time: Duration,
    weight: u32,
}

impl Registry {
    pub(crate) fn new(
        settings: &EurekaDiscovery,
        tls: Option<&Arc<ClientConfig>>,
        reach: Arc<dyn Reach>,
        turns: &Turns,
    ) -> Result<Self, (usize, String)> {
        let login = settings.username.as_ref().zip(settings.password.as_ref());
        let authorization = login.map(|(username, password)| {
            let mut pair = format!("{username}:").into_bytes();
            pair.extend_from_slice(password.expose());
            let pair = Secret::new(pair);
            Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())))
        });
        Ok(Self {
            servers: Servers::new(&settings.servers, tls, reach, turns)?,
            authorization,
            interval: settings.interval.0,
            time: settings.timeout.0,
            weight: settings.weight,
        })
    }

    /// What is asked for an application, whose name Eureka keeps in capitals.
    pub(crate) fn session(self: &Arc<Self>, service: &str) -> Session {
        let path = format!("/apps/{}", encoded(&service.to_ascii_uppercase()));
        Session { registry: self.clone(), path }
    }
}

/// An application that is asked for.
pub(crate) struct Session {
    registry: Arc<Registry>,
    path: String,
}

impl Session {
    pub(crate) async fn next(&mut self) -> Result<Answer, Fault> {
        let registry = &*self.registry;
        let mut fields = Fields::new();
        fields.append("accept", "application/json");
        if let Some(authorization) = &registry.authorization {
            fields.append("authorization", authorization.expose().to_vec());
        }
        let answered = registry.servers.call(&Method::GET, &self.path, &fields, b"", registry.time);
        let answered = answered.await?;
        let hold = jittered(registry.interval);
        if answered.status == StatusCode::NOT_FOUND {
            // An application of which nothing is registered is not there.
            return Ok(Answer { found: Vec::new(), hold });
        }
        let found = instances(succeeded(answered)?.body(), registry.weight)?;
        Ok(Answer { found, hold })
    }
}

#[derive(Deserialize)]
struct AnswerForm {
    application: ApplicationForm,
}

#[derive(Deserialize)]
struct ApplicationForm {
    /// Some versions write a single instance without a list.
    instance: OneOrMore<InstanceForm, FOUND_MAX>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceForm {
    #[serde(default)]
    ip_addr: Host,
    #[serde(default)]
    status: Scalar,
    port: Option<PortForm>,
    secure_port: Option<PortForm>,
    metadata: Option<MetadataForm>,
}

#[derive(Deserialize)]
struct PortForm {
    #[serde(default, rename = "$")]
    number: Scalar,
    #[serde(default, rename = "@enabled")]
    enabled: Scalar,
}

#[derive(Deserialize)]
struct MetadataForm {
    weight: Option<Scalar>,
}

fn instances(body: &[u8], usual: u32) -> Result<Vec<Found>, Fault> {
    let answer: AnswerForm =
        serde_json::from_slice(body).map_err(|error| Fault::Malformed(error.to_string()))?;
    let instances = answer.application.instance.0.into_iter();
    let up = instances.filter(|instance| instance.status.is_text("UP"));
    let found = up.filter_map(|instance| {
        // The secure one counts where both are open, as in Apache APISIX.
        let ports = instance.secure_port.iter().chain(&instance.port);
        let open = ports.filter(|port| port.enabled.is_true()).map(|port| port.number.port());
        let port = open.reduce(|first, next| if first == NO_PORT { next } else { first })?;
        let weight = instance.metadata.and_then(|metadata| metadata.weight?.whole());
        Some(Found {
            host: instance.ip_addr.0,
            port: Some(port),
            weight: weight.unwrap_or(usual),
            priority: 0,
            name: None,
        })
    });
    Ok(found.collect())
}
