//! The servers of a registry that speaks HTTP.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bartizan_core::Limits;
use bartizan_net::{
    Answered, Call, CallError, CallLimits, Client, Endpoint, Keep, Reach, Streamed, Turns, Url,
};
use bartizan_wire::Fields;
use http::{Method, StatusCode};
use rustls::ClientConfig;
use tokio::sync::Semaphore;

use crate::fault::Fault;
use crate::registries::FOLLOWED_MAX;

/// The longest answer. A registry of thousands of servers that says a kilobyte of each has room.
pub(crate) const ANSWER_MAX: usize = 4 * 1_024 * 1_024;
/// How many answers of all registries of a node are read at once, beside those that are short.
const TURNS: usize = 8;
/// The longest answer that is short.
const SHORT_MAX: usize = 64 * 1_024;

/// The turns in which the registries of a node read long answers.
pub(crate) fn turns() -> Turns {
    Turns { permits: Arc::new(Semaphore::new(TURNS)), free: SHORT_MAX }
}

const KEEP: Keep = Keep { size: 16, idle: Duration::from_secs(30) };

/// Servers that know the same. One is asked until it does not work, then the next one.
#[derive(Debug)]
pub(crate) struct Servers {
    endpoints: Vec<(Endpoint, Arc<str>)>,
    client: Client,
    at: AtomicUsize,
}

impl Servers {
    /// The servers at `urls`, below the path of each of which is what is asked for. Fails with the
    /// place of the one that cannot be asked.
    pub(crate) fn new(
        urls: &[String],
        tls: Option<&Arc<ClientConfig>>,
        reach: Arc<dyn Reach>,
        turns: &Turns,
    ) -> Result<Self, (usize, String)> {
        let mut endpoints = Vec::with_capacity(urls.len());
        for (index, text) in urls.iter().enumerate() {
            let url = Url::parse(text).map_err(|fault| (index, format!("`{text}` {fault}")))?;
            if url.target.contains('?') {
                return Err((index, format!("`{text}` has a query")));
            }
            let endpoint = Endpoint::new(&url, tls.cloned())
                .ok_or_else(|| (index, format!("no certificate can be for `{}`", url.host)))?;
            endpoints.push((endpoint, url.target.trim_end_matches('/').into()));
        }
        // Each service may have a call of its own that waits.
        let calls = u32::try_from(FOLLOWED_MAX).unwrap_or(u32::MAX).saturating_mul(2);
        let limits = Limits { calls, ..Limits::default() };
        let client = Client::new(reach, &limits).in_turns(turns.clone());
        Ok(Self { endpoints, client, at: AtomicUsize::new(0) })
    }

    /// Asks for what is at `path`, and waits for all of the answer for at most `time`.
    pub(crate) async fn call(
        &self,
        method: &Method,
        path: &str,
        fields: &Fields,
        body: &[u8],
        time: Duration,
    ) -> Result<Answered, Fault> {
        let (at, endpoint, target) = self.current(path)?;
        let call = Call { method, target: &target, fields, body };
        let limits = CallLimits { time, answer: ANSWER_MAX, keep: KEEP };
        let answered = self.client.call(endpoint, &call, &limits).await;
        let answered = answered.map_err(|error| self.failed(at, error))?;
        if answered.status.is_server_error() {
            self.move_on(at);
        }
        Ok(answered)
    }

    /// Asks for what is at `path`, with an answer that is read while it comes.
    pub(crate) async fn open(
        &self,
        path: &str,
        fields: &Fields,
        time: Duration,
    ) -> Result<Streamed, Fault> {
        let (at, endpoint, target) = self.current(path)?;
        let call = Call { method: &Method::GET, target: &target, fields, body: b"" };
        let opened = self.client.open(endpoint, &call, time).await;
        opened.map_err(|error| self.failed(at, error))
    }

    fn current(&self, path: &str) -> Result<(usize, &Endpoint, String), Fault> {
        let at = self.at.load(Ordering::Relaxed);
        let (endpoint, base) = self
            .endpoints
            .get(at % self.endpoints.len().max(1))
            .ok_or_else(|| Fault::Refused("nothing: it has no server".to_owned()))?;
        Ok((at, endpoint, format!("{base}{path}")))
    }

    fn failed(&self, at: usize, error: CallError) -> Fault {
        self.move_on(at);
        Fault::Call(error)
    }

    /// Asks the next one from now on, if that has not happened yet.
    fn move_on(&self, at: usize) {
        let next = at.wrapping_add(1);
        let _ = self.at.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// An answer that was meant: 200, or a fault that names the status.
pub(crate) fn succeeded(answered: Answered) -> Result<Answered, Fault> {
    match answered.status {
        StatusCode::OK => Ok(answered),
        other => Err(Fault::Refused(other.to_string())),
    }
}

/// A part of a path or query, with what is not unreserved encoded (RFC 3986 §2.3).
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_end_a_part_of_a_target_is_encoded() {
        assert_eq!(encoded("a-b._~Z9"), "a-b._~Z9");
        assert_eq!(encoded("a/b?c&d=e f#%é"), "a%2Fb%3Fc%26d%3De%20f%23%25%C3%A9");
    }
}
