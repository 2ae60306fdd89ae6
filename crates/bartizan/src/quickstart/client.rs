//! A client that sends exactly the bytes it is given, over verified TLS, so that requests can be
//! sent that no library would.
//!
//! Limits: ten seconds for an exchange, 256 KiB for an answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::templates::HOST;
use crate::failure::Failure;

/// Time for an exchange.
const TIME: Duration = Duration::from_secs(10);
/// Longest answer.
const ANSWER_MAX: u64 = 256 * 1_024;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads what a server sent until it closed: one answer and nothing after it.
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .ok_or("the connection was closed without an answer")?;
        let (head, rest) = bytes.split_at(end);
        let body = rest.get(4..).unwrap_or_default();
        let head = String::from_utf8_lossy(head);
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        let status = status
            .strip_prefix("HTTP/1.1 ")
            .and_then(|rest| rest.get(..3))
            .and_then(|code| code.parse().ok())
            .ok_or_else(|| format!("the answer begins with `{status}`"))?;
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let answer = Self { status, fields, body: body.to_vec() };
        match answer.field("content-length").map(str::parse::<usize>) {
            Some(Ok(length)) if length < answer.body.len() => {
                Err("more than one answer came back".to_owned())
            }
            Some(Ok(length)) if length > answer.body.len() => {
                Err("the answer ended early".to_owned())
            }
            Some(Err(_)) => Err("the answer has no valid length".to_owned()),
            _ => Ok(answer),
        }
    }

    /// A field's first value.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The names of all fields.
    pub(crate) fn field_names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The reason that a refusal gives.
    pub(crate) fn code(&self) -> Option<String> {
        let problem: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        problem.get("code")?.as_str().map(str::to_owned)
    }
}

/// The client of one server.
pub(crate) struct Client {
    connector: TlsConnector,
    address: SocketAddr,
}

impl Client {
    /// A client that trusts these roots only.
    pub(crate) fn new(address: SocketAddr, roots: Arc<RootCertStore>) -> Result<Self, Failure> {
        let provider = Arc::clone(bartizan_tls::provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(format!("no TLS client can be made: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), address })
    }

    /// Sends a request on a connection of its own and waits for the answer.
    pub(crate) async fn exchange(&self, request: &[u8]) -> Result<Answer, String> {
        match tokio::time::timeout(TIME, self.bytes(request)).await {
            Ok(Ok(bytes)) => Answer::parse(&bytes),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("there was no answer in time".to_owned()),
        }
    }

    async fn bytes(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let name = ServerName::try_from(HOST).map_err(std::io::Error::other)?;
        let stream = TcpStream::connect(self.address).await?;
        let mut stream = self.connector.connect(name, stream).await?;
        stream.write_all(request).await?;
        stream.flush().await?;
        let mut bytes = Vec::new();
        // A server that refuses may close before it has read everything; what it said counts.
        match stream.take(ANSWER_MAX).read_to_end(&mut bytes).await {
            Err(error) if bytes.is_empty() => Err(error),
            _ => Ok(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_status_fields_and_body() {
        let head = "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 14\r\n\r\n";
        let answer = Answer::parse(format!("{head}{{\"code\":\"a.b\"}}").as_bytes()).unwrap();
        assert_eq!((answer.status, answer.field("retry-after")), (429, Some("7")));
        assert_eq!(answer.code().as_deref(), Some("a.b"));
        let cut = Answer::parse(format!("{head}{{").as_bytes());
        assert_eq!(cut.unwrap_err(), "the answer ended early");
    }

    #[test]
    fn a_second_answer_is_noticed() {
        let one = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        assert!(Answer::parse(one.as_bytes()).is_ok());
        assert!(Answer::parse(one.repeat(2).as_bytes()).is_err());
    }

    #[test]
    fn silence_is_no_answer() {
        assert!(Answer::parse(b"").is_err());
        assert!(Answer::parse(b"SSH-2.0\r\n\r\n").is_err());
    }
}
