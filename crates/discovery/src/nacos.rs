//! Servers found in Nacos: the instances of a service that are healthy and enabled.
//!
//! Nacos is asked at an interval, by its open API of version 1, which Apache APISIX speaks too.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::{FoundArgs, NacosDiscovery};
use bartizan_core::{Secret, jittered};
use bartizan_net::{Reach, Turns};
use bartizan_wire::Fields;
use http::{Method, StatusCode};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::fault::Fault;
use crate::follow::Answer;
use crate::found::{FOUND_MAX, Found};
use crate::http::{Servers, encoded, succeeded};
use crate::read::{Host, List, Scalar};

/// What a weight of 1 becomes, so that parts of it are told apart.
const WEIGHT: f64 = 100.0;
/// The largest weight.
const WEIGHT_MAX: f64 = 1_000_000.0;
/// The longest time that a token is used for.
const TOKEN_MAX: Duration = Duration::from_secs(3_600);

/// A token, and until when it is used.
type Token = (Arc<Secret>, Instant);

/// A Nacos.
#[derive(Debug)]
pub(crate) struct Registry {
    servers: Servers,
    login: Option<(String, Secret)>,
    /// Held while a token is made, so that it happens once for all who wait.
    token: Mutex<Option<Token>>,
    interval: Duration,
    time: Duration,
}

impl Registry {
    pub(crate) fn new(
        settings: &NacosDiscovery,
        tls: Option<&Arc<ClientConfig>>,
        reach: Arc<dyn Reach>,
        turns: &Turns,
    ) -> Result<Self, (usize, String)> {
        Ok(Self {
            servers: Servers::new(&settings.servers, tls, reach, turns)?,
            login: settings.username.clone().zip(settings.password.clone()),
            token: Mutex::default(),
            interval: settings.interval.0,
            time: settings.timeout.0,
        })
    }

    pub(crate) fn session(self: &Arc<Self>, service: &str, args: &FoundArgs) -> Session {
        let mut path =
            format!("/v1/ns/instance/list?healthyOnly=true&serviceName={}", encoded(service));
        for (key, value) in [("namespaceId", &args.namespace), ("groupName", &args.group)] {
            if let Some(value) = value {
                let _ = write!(path, "&{key}={}", encoded(value));
            }
        }
        Session { registry: self.clone(), path }
    }

    /// The token that calls carry, where there is a user.
    async fn token(&self) -> Result<Option<Arc<Secret>>, Fault> {
        let Some((username, password)) = &self.login else { return Ok(None) };
        let mut token = self.token.lock().await;
        if let Some((known, until)) = &*token
            && *until > Instant::now()
        {
            return Ok(Some(known.clone()));
        }
        let password = password.expose_str().unwrap_or_default();
        let body =
            Secret::new(format!("username={}&password={}", encoded(username), encoded(password)));
        let mut fields = Fields::new();
        fields.append("content-type", "application/x-www-form-urlencoded");
        let answered =
            self.servers.call(&Method::POST, "/v1/auth/login", &fields, body.expose(), self.time);
        let answered = succeeded(answered.await?)?;
        let login: LoginForm = serde_json::from_slice(answered.body())
            .map_err(|_| Fault::Malformed("the answer to its login".to_owned()))?;
        // Two thirds leave time before it ends.
        let lasts = Duration::from_secs(login.token_ttl / 3 * 2).min(TOKEN_MAX);
        let made = Arc::new(Secret::new(login.access_token));
        *token = Some((made.clone(), Instant::now() + lasts));
        Ok(Some(made))
    }

    /// Forgets a token that was not taken, unless there is another one by now.
    async fn forget(&self, used: &Arc<Secret>) {
        let mut known = self.token.lock().await;
        if known.as_ref().is_some_and(|(token, _)| Arc::ptr_eq(token, used)) {
            *known = None;
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginForm {
    access_token: String,
    token_ttl: u64,
}

/// A service that is asked for.
pub(crate) struct Session {
    registry: Arc<Registry>,
    path: String,
}

impl Session {
    pub(crate) async fn next(&mut self) -> Result<Answer, Fault> {
        let registry = &*self.registry;
        let token = registry.token().await?;
        let mut path = self.path.clone();
        if let Some(token) = &token {
            let text = token.expose_str().unwrap_or_default();
            let _ = write!(path, "&accessToken={}", encoded(text));
        }
        let fields = Fields::new();
        let answered = registry.servers.call(&Method::GET, &path, &fields, b"", registry.time);
        let answered = answered.await?;
        if matches!(answered.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let refused = Fault::Refused(answered.status.to_string());
            // Whoever holds the lock may wait for the turn that this answer has.
            drop(answered);
            // It may have been taken back: the next call has a new one.
            if let Some(token) = &token {
                registry.forget(token).await;
            }
            return Err(refused);
        }
        let found = instances(succeeded(answered)?.body())?;
        Ok(Answer { found, hold: jittered(registry.interval) })
    }
}

#[derive(Deserialize)]
struct ListForm {
    hosts: List<HostForm, FOUND_MAX>,
}

#[derive(Deserialize)]
struct HostForm {
    #[serde(default)]
    ip: Host,
    #[serde(default)]
    port: Scalar,
    weight: Option<Scalar>,
    healthy: Option<Scalar>,
    enabled: Option<Scalar>,
}

fn instances(body: &[u8]) -> Result<Vec<Found>, Fault> {
    let list: ListForm =
        serde_json::from_slice(body).map_err(|error| Fault::Malformed(error.to_string()))?;
    let hosts = list.hosts.0.into_iter();
    let is_yes = |told: &Option<Scalar>| told.as_ref().is_none_or(Scalar::is_true);
    let serving = hosts.filter(|host| is_yes(&host.healthy) && is_yes(&host.enabled));
    let found = serving.map(|host| Found {
        host: host.ip.0,
        port: Some(host.port.port()),
        weight: weight(host.weight.as_ref().and_then(Scalar::number).unwrap_or(1.0)),
        priority: 0,
        name: None,
    });
    Ok(found.collect())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between nothing and a million"
)]
fn weight(weight: f64) -> u32 {
    // What is no number becomes nothing.
    (weight * WEIGHT).round().clamp(0.0, WEIGHT_MAX) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_keep_their_proportions_within_bounds() {
        for (given, expected) in [
            (1.0, 100),
            (0.5, 50),
            (0.0, 0),
            (-1.0, 0),
            (f64::NAN, 0),
            (10_000.0, 1_000_000),
            (1e300, 1_000_000),
        ] {
            assert_eq!(weight(given), expected, "{given}");
        }
    }
}
