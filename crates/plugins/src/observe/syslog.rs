//! Sends an entry for each exchange to a syslog receiver (RFC 5424).
//!
//! ```yaml
//! syslog:
//!   host: logs.example
//!   port: 6514
//!   tls: true
//! ```
//!
//! A message is `<46>1 TIME HOSTNAME bartizan - REQUEST-ID - ENTRY`: facility `syslog`, severity
//! `informational`, the time at which the request began, the name of this machine, the request's id
//! as the kind of message, and the entry as one JSON object (in compatibility mode the application
//! is called `apisix`). Over TCP a message ends with its line (RFC 6587 §3.4.2), under TLS its
//! length stands before it (RFC 5425 §4.3); over UDP each is a datagram (RFC 5426).
//!
//! What an entry holds, how it can be changed with `log_format`, and what of it is redacted, is
//! told at `file-logger`; when entries leave, what may wait, and what is dropped, counted and told,
//! at `tcp-logger`. Two fields are its own: a batch also leaves when it has `flush_limit` bytes, and
//! at most `drop_limit` bytes wait.
//!
//! # Headers
//!
//! None is set.
//!
//! # What it costs
//!
//! The entry is written into memory by the worker (some microseconds); the rest happens beside the
//! requests.
//!
//! # What it cannot do
//!
//! Bodies are not logged. Over UDP nobody knows what arrives. What finds no room is dropped and
//! counted, never waited for.
//!
//! # How it differs from Apache APISIX
//!
//! With `tls` the receiver's certificate is verified, always, by the system's authorities or those
//! of `ca_certs`. There is no process id in a message, and no pool of connections: each batch goes
//! over one of its own.

use bartizan_chain::{
    AnswerHead, CompileCx, Kinship, Nothing, Outcome, Plugin, RequestCx, Traits, Unsupported,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, StageSet};
use bartizan_net::Target;
use schemars::JsonSchema;
use serde::Deserialize;

use super::batch::Deliver;
use super::logger::{
    Datagrams, Destination, Framing, Kept, Logger, Metadata, OBSERVE, Stream, body_fields,
    logger_config, millis,
};
use crate::outgoing::{Pem, Trust, target};

logger_config! {
    /// The configuration of `syslog`.
    {
        /// The receiver: a name or an address.
        #[schemars(length(min = 1, max = 253))]
        host: String,
        /// Its port.
        port: u16,
        /// How messages travel.
        #[serde(default)]
        sock_type: SockType,
        /// Whether the receiver is spoken to under TLS; over TCP only.
        #[serde(default)]
        tls: bool,
        /// PEM of the authorities that may have signed its certificate; the system's if left out.
        ca_certs: Option<Pem>,
        /// Milliseconds that a batch may take, connecting included.
        #[serde(default = "three_seconds")]
        #[schemars(range(min = 1, max = 600_000))]
        timeout: u32,
        /// Bytes of a full batch, which is sent at once.
        #[serde(default = "flush_limit")]
        #[schemars(range(min = 1, max = 4_194_304))]
        flush_limit: u32,
        /// Bytes that may wait; entries that there is no room for are dropped and counted.
        #[serde(default = "drop_limit")]
        #[schemars(range(min = 1, max = 1_073_741_824))]
        drop_limit: u32,
    }
}

/// How messages travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SockType {
    /// On a connection.
    #[default]
    Tcp,
    /// Each as a datagram.
    Udp,
}

fn three_seconds() -> u32 {
    3_000
}

fn flush_limit() -> u32 {
    4_096
}

fn drop_limit() -> u32 {
    1_048_576
}

/// Compiled `syslog`.
pub struct Syslog {
    logger: Logger,
    /// Between the time and the request's id: hostname, application and no process.
    origin: String,
}

const ONE_CONNECTION: &str = "a batch at a time is sent, on a connection of its own; leave it out";

impl Plugin for Syslog {
    const NAME: &'static str = "syslog";
    const PRIORITY: i32 = 401;
    const KINSHIP: Kinship = Kinship::Different(
        "a queue and a rate that are bounded, drops that are counted, secrets taken out of \
         what is logged; bodies are not logged yet",
    );
    const STAGES: StageSet = OBSERVE;
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] =
        body_fields!("pool_size": bartizan_chain::Unsupported::Refused(ONE_CONNECTION));

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Metadata;
    type Call = Kept;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let is_udp = config.sock_type == SockType::Udp;
        let target = receiver(&config, cx)?;
        let way = (config.sock_type, config.tls, &config.ca_certs, config.timeout);
        let id = format!("{}:{} {way:?}", target.host, target.port);
        let (reach, timeout) = (cx.node.outside.reach.clone(), millis(config.timeout));
        let framing = if config.tls { Framing::Counted } else { Framing::Line };
        let make = move || -> Box<dyn Deliver> {
            let (reach, target) = (reach.clone(), target.clone());
            if is_udp {
                Box::new(Datagrams { reach, target, timeout })
            } else {
                Box::new(Stream { reach, target, timeout, framing })
            }
        };
        let destination = Destination { id, make: Box::new(make) };
        let bytes = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let logger = Logger::compile(&config.shared(), cx, destination, |settings| {
            settings.bytes = bytes(config.flush_limit);
            settings.pending_bytes = settings.pending_bytes.min(bytes(config.drop_limit));
        })?;
        let application = if cx.compatibility().is_apisix() { "apisix" } else { "bartizan" };
        let origin = format!(" {} {application} - ", hostname(&cx.node.outside.hostname));
        Ok(Self { logger, origin })
    }

    fn traits(&self) -> Traits {
        self.logger.traits()
    }

    fn on_response_head(
        &self,
        _cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Kept,
    ) -> Result<(), Denial> {
        self.logger.note(answer, call);
        Ok(())
    }

    fn on_finish(&self, cx: &RequestCx, outcome: &Outcome<'_>, call: &mut Kept) {
        self.logger.finish(cx, outcome, call, |out| {
            out.extend_from_slice(b"<46>1 ");
            out.extend_from_slice(&cx.received.encode());
            out.extend_from_slice(self.origin.as_bytes());
            out.extend_from_slice(&cx.id.encode());
            out.extend_from_slice(b" - ");
        });
    }
}

fn receiver(config: &Config, cx: &CompileCx<'_>) -> Result<Target, Invalid> {
    if config.tls && config.sock_type == SockType::Udp {
        return Err(Invalid::at("tls", "there is no TLS over UDP"));
    }
    if config.ca_certs.is_some() && !config.tls {
        return Err(Invalid::at("ca_certs", "there is no TLS without `tls: true`"));
    }
    let trust = Trust { ca_certs: config.ca_certs.clone(), verifies: true };
    target(&config.host, config.port, config.tls.then_some((&trust, None)), cx)
}

/// A name as RFC 5424 §6.2.4 takes it: up to 255 visible characters of ASCII, or `-`.
fn hostname(name: &str) -> String {
    let name: String = name.chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::Bench;

    #[test]
    fn a_name_is_visible_ascii() {
        assert_eq!(hostname("gateway-1"), "gateway-1");
        assert_eq!(hostname("a b\né"), "ab");
        assert_eq!(hostname("é"), "-");
        assert_eq!(hostname(&"a".repeat(300)).len(), 255);
    }

    #[test]
    fn a_message_is_secured_where_that_is_said() {
        let is_secured = |config: serde_json::Value| {
            let config = serde_json::from_value(config).unwrap();
            Bench::new().within::<Syslog, _>(|cx| receiver(&config, cx).unwrap().tls.is_some())
        };
        let root = crate::fixture::authority();
        assert!(is_secured(json!({"host": "a", "port": 1, "tls": true, "ca_certs": root})));
        assert!(!is_secured(json!({"host": "a", "port": 1})));
    }

    #[test]
    fn the_authorities_of_a_receiver_can_be_named() {
        let root = crate::fixture::authority();
        let mut config = json!({"host": "a.example", "port": 1, "tls": true, "ca_certs": root});
        assert!(Bench::new().compile::<Syslog>(&config).is_ok());
        config["ca_certs"] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".into();
        assert!(Bench::new().compile::<Syslog>(&config).is_err());
    }
}
