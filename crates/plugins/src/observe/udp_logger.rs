//! Sends an entry for each exchange over UDP, one JSON object a datagram.
//!
//! ```yaml
//! udp-logger:
//!   host: 192.0.2.10
//!   port: 5170
//! ```
//!
//! What an entry holds, how it can be changed with `log_format`, and what of it is redacted, is
//! told at `file-logger`; when entries leave, what may wait, and what is dropped, counted and told,
//! at `tcp-logger`.
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
//! Whether a datagram arrives nobody knows: what the network loses is in no counter. An entry
//! longer than 65,507 bytes, the most that a datagram holds, is dropped and counted. Datagrams are
//! neither encrypted nor signed; use them on a network that nobody else listens on. Bodies are not
//! logged.
//!
//! # How it differs from Apache APISIX
//!
//! It sends each entry by itself and not a batch as one JSON array. Queues are bounded, secrets are
//! taken out.

use bartizan_chain::{
    AnswerHead, CompileCx, Kinship, Nothing, Outcome, Plugin, RequestCx, Traits, Unsupported,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, StageSet};

use super::logger::{
    Datagrams, Destination, Kept, Logger, Metadata, OBSERVE, body_fields, logger_config, seconds,
};
use crate::outgoing::target;

logger_config! {
    /// The configuration of `udp-logger`.
    {
        /// The receiver: a name or an address.
        #[schemars(length(min = 1, max = 253))]
        host: String,
        /// Its port.
        port: u16,
        /// Seconds that a batch may take, resolving the name included.
        #[serde(default = "three_seconds")]
        #[schemars(range(min = 1, max = 600))]
        timeout: u32,
    }
}

fn three_seconds() -> u32 {
    3
}

/// Compiled `udp-logger`.
pub struct UdpLogger(Logger);

impl Plugin for UdpLogger {
    const NAME: &'static str = "udp-logger";
    const PRIORITY: i32 = 400;
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
        let target = target(&config.host, config.port, None, cx)?;
        let id = format!("{}:{} {}", target.host, target.port, config.timeout);
        let (reach, timeout) = (cx.node.outside.reach.clone(), seconds(config.timeout));
        let make = move || {
            let (reach, target) = (reach.clone(), target.clone());
            Box::new(Datagrams { reach, target, timeout }) as Box<_>
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
