//! Sends an entry for each exchange over TCP, one JSON object a line.
//!
//! ```yaml
//! tcp-logger:
//!   host: logs.example
//!   port: 5170
//!   tls: true
//! ```
//!
//! What an entry holds, how it can be changed with `log_format`, and what of it is redacted, is
//! told at `file-logger`. Entries leave in batches: when one is full (`batch_max_size`), when
//! nothing came for `inactive_timeout`, or when its first is `buffer_duration` old. Each batch goes
//! over a connection of its own, so that nothing is written to one that the receiver has closed.
//!
//! **A sink that is down, slow or full never holds a request up.** At most `max_pending_entries`
//! (metadata; 8,192) entries and `limits.sink_queue` bytes wait; what there is no room for, and a
//! batch that was tried `max_retry_count` times more, is dropped, counted in
//! `bartizan_sink_dropped_total` by cause, and told in the log. A reload that does not change where
//! and when entries go leaves the sink alone; when the node ends it has five seconds to hand over
//! what waits.
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
//! TCP does not tell what a receiver has done with what it took. Bodies are not logged.
//!
//! # How it differs from Apache APISIX
//!
//! It sends one object a line and not a batch as one JSON array. With `tls` the receiver's
//! certificate is verified, always, for `host` or for the name in `tls_options`, by the system's
//! authorities or those of `ca_certs`. Queues are bounded, secrets are taken out.

use bartizan_chain::{
    AnswerHead, CompileCx, Kinship, Nothing, Outcome, Plugin, RequestCx, Traits, Unsupported,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, StageSet};
use bartizan_net::Target;

use super::logger::{
    Destination, Framing, Kept, Logger, Metadata, OBSERVE, Stream, body_fields, logger_config,
    millis,
};
use crate::outgoing::{Pem, Trust, target};

logger_config! {
    /// The configuration of `tcp-logger`.
    {
        /// The receiver: a name or an address.
        #[schemars(length(min = 1, max = 253))]
        host: String,
        /// Its port.
        port: u16,
        /// Whether it is spoken to under TLS.
        #[serde(default)]
        tls: bool,
        /// The name that the receiver's certificate must be for, where that is not `host`.
        #[schemars(length(min = 1, max = 253))]
        tls_options: Option<String>,
        /// PEM of the authorities that may have signed its certificate; the system's if left out.
        ca_certs: Option<Pem>,
        /// Milliseconds that a batch may take, connecting included.
        #[serde(default = "one_second")]
        #[schemars(range(min = 1, max = 600_000))]
        timeout: u32,
    }
}

fn one_second() -> u32 {
    1_000
}

/// Compiled `tcp-logger`.
pub struct TcpLogger(Logger);

impl Plugin for TcpLogger {
    const NAME: &'static str = "tcp-logger";
    const PRIORITY: i32 = 405;
    const KINSHIP: Kinship = Kinship::Different(
        "a queue and a rate that are bounded, drops that are counted, secrets taken out of \
         what is logged; bodies are not logged yet",
    );
    const STAGES: StageSet = OBSERVE;
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = body_fields!();

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Metadata;
    type Call = Kept;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let target = receiver(&config, cx)?;
        let way = (config.tls, &config.tls_options, &config.ca_certs, config.timeout);
        let id = format!("{}:{} {way:?}", target.host, target.port);
        let (reach, timeout) = (cx.node.outside.reach.clone(), millis(config.timeout));
        let make = move || {
            let (reach, target) = (reach.clone(), target.clone());
            Box::new(Stream { reach, target, timeout, framing: Framing::Line }) as Box<_>
        };
        let destination = Destination { id, make: Box::new(make) };
        Logger::compile(&config.shared(), cx, destination, |_| {}).map(Self)
    }

    fn traits(&self) -> Traits {
        self.0.traits()
    }

    fn on_response_head(
        &self,
        _cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Kept,
    ) -> Result<(), Denial> {
        self.0.note(answer, call);
        Ok(())
    }

    fn on_finish(&self, cx: &RequestCx, outcome: &Outcome<'_>, call: &mut Kept) {
        self.0.finish(cx, outcome, call, |_| {});
    }
}

fn receiver(config: &Config, cx: &CompileCx<'_>) -> Result<Target, Invalid> {
    for (key, is_there) in
        [("tls_options", config.tls_options.is_some()), ("ca_certs", config.ca_certs.is_some())]
    {
        if is_there && !config.tls {
            return Err(Invalid::at(key, "there is no TLS without `tls: true`"));
        }
    }
    let trust = Trust { ca_certs: config.ca_certs.clone(), verifies: true };
    let tls = config.tls.then_some((&trust, config.tls_options.as_deref()));
    target(&config.host, config.port, tls, cx)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::Bench;

    #[test]
    fn a_line_of_tcp_is_secured_where_that_is_said() {
        let is_secured = |config: serde_json::Value| {
            let config = serde_json::from_value(config).unwrap();
            Bench::new().within::<TcpLogger, _>(|cx| receiver(&config, cx).unwrap().tls.is_some())
        };
        let root = crate::fixture::authority();
        assert!(is_secured(json!({"host": "a", "port": 1, "tls": true, "ca_certs": root})));
        assert!(!is_secured(json!({"host": "a", "port": 1})));
    }

    #[test]
    fn a_private_authority_is_trusted_where_it_is_named() {
        let bench = Bench::new();
        let root = crate::fixture::authority();
        let mut config = json!({"host": "a.example", "port": 1, "tls": true, "ca_certs": root});
        assert!(bench.compile::<TcpLogger>(&config).is_ok());
        config["ca_certs"] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".into();
        assert!(bench.compile::<TcpLogger>(&config).is_err());
    }
}
