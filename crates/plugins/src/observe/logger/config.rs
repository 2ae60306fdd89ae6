//! The fields that all loggers have which send their entries away.

use bartizan_chain::CompileCx;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::batch::BatchSettings;
use super::super::entry::{FormatConfig, Formats};
use super::seconds;

/// Entries that may wait, where the metadata does not say.
const PENDING: u32 = 8_192;
/// Bytes of a batch, so that many long entries do not become one huge message.
const BATCH_BYTES: usize = 4 << 20;

/// The settings of a logger for the whole node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// What an entry holds where the plugin's own configuration does not say.
    pub(super) log_format: Option<FormatConfig>,
    /// What it holds besides, where the plugin's own configuration does not say.
    pub(super) log_format_extra: Option<FormatConfig>,
    /// Entries that may wait for one sink, those on their way included; more are dropped and
    /// counted. 8,192 if left out.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub(super) max_pending_entries: Option<u32>,
}

impl Metadata {
    pub(super) fn formats(&self) -> Formats<'_> {
        Formats { own: self.log_format.as_ref(), extra: self.log_format_extra.as_ref() }
    }
}

/// The shared fields of one configuration.
pub(crate) struct Shared<'c> {
    pub(crate) name: Option<&'c str>,
    pub(crate) batch_max_size: u32,
    pub(crate) inactive_timeout: u32,
    pub(crate) buffer_duration: u32,
    pub(crate) max_retry_count: u32,
    pub(crate) retry_delay: u32,
    pub(crate) log_format: Option<&'c FormatConfig>,
    pub(crate) log_format_extra: Option<&'c FormatConfig>,
}

impl Shared<'_> {
    pub(super) fn settings(&self, metadata: &Metadata, cx: &CompileCx<'_>) -> BatchSettings {
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        BatchSettings {
            entries: count(self.batch_max_size),
            bytes: BATCH_BYTES,
            inactive: seconds(self.inactive_timeout),
            oldest: seconds(self.buffer_duration),
            retries: self.max_retry_count,
            retry_delay: seconds(self.retry_delay),
            pending: count(metadata.max_pending_entries.unwrap_or(PENDING)),
            pending_bytes: cx.node.limits.sink_queue.as_usize(),
        }
    }
}

/// Declares the configuration of a logger: its own fields, and those that all have.
macro_rules! logger_config {
    ($(#[$outer:meta])* { $($(#[$inner:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$outer])*
        #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct Config {
            $($(#[$inner])* $field: $type,)*
            /// What the sink is called in metrics and in the log; the plugin's name if left out.
            #[schemars(length(min = 1, max = 128))]
            name: Option<String>,
            /// Entries of a full batch, which is sent at once.
            #[serde(default = "defaults::batch_max_size")]
            #[schemars(range(min = 1, max = 100_000))]
            batch_max_size: u32,
            /// Seconds without a new entry after which a batch is sent.
            #[serde(default = "defaults::inactive_timeout")]
            #[schemars(range(min = 1, max = 86_400))]
            inactive_timeout: u32,
            /// Seconds after its first entry when a batch is sent at the latest.
            #[serde(default = "defaults::buffer_duration")]
            #[schemars(range(min = 1, max = 86_400))]
            buffer_duration: u32,
            /// How often a batch that was not taken is sent again before it is dropped and counted.
            #[serde(default)]
            #[schemars(range(min = 0, max = 10_000))]
            max_retry_count: u32,
            /// Seconds between two tries.
            #[serde(default = "defaults::retry_delay")]
            #[schemars(range(min = 0, max = 86_400))]
            retry_delay: u32,
            /// What an entry holds: names, and texts in which variables such as `$remote_addr` may
            /// stand, or maps of those. Left out: that of the metadata, or the usual entry.
            log_format: Option<crate::observe::entry::FormatConfig>,
            /// What an entry holds besides.
            log_format_extra: Option<crate::observe::entry::FormatConfig>,
        }

        impl Config {
            fn shared(&self) -> $crate::observe::logger::Shared<'_> {
                $crate::observe::logger::Shared {
                    name: self.name.as_deref(),
                    batch_max_size: self.batch_max_size,
                    inactive_timeout: self.inactive_timeout,
                    buffer_duration: self.buffer_duration,
                    max_retry_count: self.max_retry_count,
                    retry_delay: self.retry_delay,
                    log_format: self.log_format.as_ref(),
                    log_format_extra: self.log_format_extra.as_ref(),
                }
            }
        }

        mod defaults {
            pub(super) fn batch_max_size() -> u32 {
                1_000
            }

            pub(super) fn inactive_timeout() -> u32 {
                5
            }

            pub(super) fn buffer_duration() -> u32 {
                60
            }

            pub(super) fn retry_delay() -> u32 {
                1
            }
        }
    };
}

/// Why loggers do not write bodies, and the fields that ask for it, with those of one logger.
macro_rules! body_fields {
    ($($name:literal: $answer:expr),* $(,)?) => {{
        use bartizan_chain::Unsupported::NotYet;
        const WHY: &str = "bodies stream past the loggers, and hold what nobody can redact; log \
                           them in the service, where it is known what they mean";
        &[
            ("include_req_body", NotYet(WHY)),
            ("include_req_body_expr", NotYet(WHY)),
            ("include_resp_body", NotYet(WHY)),
            ("include_resp_body_expr", NotYet(WHY)),
            ("max_req_body_bytes", NotYet(WHY)),
            ("max_resp_body_bytes", NotYet(WHY)),
            $(($name, $answer),)*
        ]
    }};
}

pub(crate) use {body_fields, logger_config};
