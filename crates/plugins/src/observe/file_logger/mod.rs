//! Appends an entry for each exchange to a file, one JSON object a line.
//!
//! ```yaml
//! file-logger:
//!   path: logs/orders.jsonl
//!   match: [[status, ">=", 400]]
//!   log_format:
//!     time: $time_iso8601
//!     client: {address: $remote_addr, agent: $http_user_agent}
//!     line: "$request -> $status"
//! ```
//!
//! **What an entry holds.** Without `log_format`, one object: `request_id`, `client_ip`, `route_id`,
//! `service_id`, `consumer` (`username`) or `subject`, `request` (`method`, `url`, `uri`,
//! `querystring`, `headers`, `size`), `response` (`status`, `headers`, `size`), `reason` where it was
//! refused or failed, `server` (`hostname`, `version`), `upstream`, `start_time` (milliseconds since
//! 1970), and in milliseconds `latency`, `upstream_latency` and `apisix_latency` (the gateway's own
//! part). `log_format` puts other names in its place; `log_format_extra` adds to either. A value is a
//! text in which variables may stand, a number or another literal, or a map of those, up to eight
//! deep. Variables are those that rules can read, and `time_iso8601`, `time_local`, `msec` (when the
//! request began), `request`, `server_protocol`, `bytes_sent`, `request_length` (bodies),
//! `sent_http_*`, `hostname`, `reason`. A member that is one variable without a value is left out.
//! What the plugin does not say, its metadata says.
//!
//! **Secrets stay out.** Values of header fields that carry credentials are `***`, also of the fields
//! that authentication plugins are told to read; of cookies and of the query no value is ever
//! written, however it is asked for. Where such a value of at least eight bytes occurs again in
//! another text of the entry, it is taken out there too. A secret in a path is not known as one.
//! Every text is cut after 4 KiB. No byte of a client can end a line.
//!
//! Entries wait in memory for at most 200 ms and are written beside the requests, on a thread where
//! a slow disk stalls nobody. Routes that write to the same file share one queue. If the file cannot
//! be written that is tried each second until it can, while at most 8,192 entries and
//! `limits.sink_queue` bytes wait; further ones are dropped, counted in `bartizan_sink_dropped_total`
//! and told in the log. `SIGUSR1` opens the file anew, so that it can be moved away. It is created
//! for its owner alone (mode 0600) in a folder that must exist; a relative path starts at the node
//! file. Only files are written, and `/dev/stdout` and `/dev/stderr`. Whoever may write a route
//! chooses the file: the process should be able to write nothing else of worth.
//!
//! # Headers
//!
//! None is set. Entries hold those of the request and of the answer, with credentials as `***`.
//!
//! # What it costs
//!
//! The entry is written into memory by the worker (some microseconds); the file is written beside
//! the requests.
//!
//! # What it cannot do
//!
//! Bodies are not logged. A secret in a path is not known as one. What waits when the process is
//! killed is lost. Where `match` cannot be decided, because a client sent a value twice or left before
//! there was an answer to read, the entry is written.
//!
//! # How it differs from Apache APISIX
//!
//! Secrets are taken out, queues are bounded and drops are counted, and bodies are not logged.

mod file;

use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{
    AnswerHead, CompileCx, Expr, Kinship, Nothing, Outcome, Plugin, Reach, RequestCx, Traits,
    Unsupported,
};
use bartizan_config::{Invalid, PathStep, ResourceKind, ResourceRef};
use bartizan_core::{Denial, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::batch::{Batch, BatchSettings};
use super::entry::{FormatConfig, Formats, LogFormat};
use super::logger::{Kept, OBSERVE, Scribe, body_fields};
use file::LogFile;

/// The configuration of `file-logger`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The file; that of the metadata if left out.
    #[schemars(length(min = 1, max = 4_096))]
    path: Option<String>,
    /// Conditions, as in `vars` of a route, that must hold for an exchange to be written; what is
    /// known at its end, such as `status` and `sent_http_*`, can be read.
    #[serde(rename = "match")]
    #[schemars(length(max = 20))]
    matching: Option<Vec<Value>>,
    /// What an entry holds: names, and texts in which variables such as `$remote_addr` may stand, or
    /// maps of those. Left out: that of the metadata, or the usual entry.
    log_format: Option<FormatConfig>,
    /// What an entry holds besides.
    log_format_extra: Option<FormatConfig>,
}

/// The settings of `file-logger` for the whole node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The file, where the plugin's own configuration names none.
    #[schemars(length(min = 1, max = 4_096))]
    path: Option<String>,
    /// What an entry holds where the plugin's own configuration does not say.
    log_format: Option<FormatConfig>,
    /// What it holds besides, where the plugin's own configuration does not say.
    log_format_extra: Option<FormatConfig>,
}

/// Compiled `file-logger`.
pub struct FileLogger {
    matching: Option<Expr>,
    scribe: Scribe,
    batch: Arc<Batch>,
}

impl Plugin for FileLogger {
    const NAME: &'static str = "file-logger";
    const PRIORITY: i32 = 399;
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
        let metadata: Metadata = cx.metadata()?.unwrap_or_default();
        let formats = |own, extra| Formats { own, extra };
        let format = LogFormat::compile(
            formats(config.log_format.as_ref(), config.log_format_extra.as_ref()),
            formats(metadata.log_format.as_ref(), metadata.log_format_extra.as_ref()),
        )?;
        let Some(path) = config.path.or(metadata.path) else {
            return Err(Invalid::new("needs a `path`")
                .with_help("give it here, or once for all in the metadata of `file-logger`"));
        };
        if path.contains('\0') {
            return Err(Invalid::at("path", "is not the path of a file"));
        }
        let at_match = |fault: Invalid| fault.under(PathStep::Key("match".to_owned()));
        let matching = config.matching.map(Value::Array);
        let matching = matching
            .map(|value| Expr::compile_within(&value, Reach::End).map_err(at_match))
            .transpose()?;
        let batch = sink(&path, cx);
        let reads_answer = matching.as_ref().is_some_and(Expr::reads_answer_fields);
        let scribe = Scribe::new(format, cx).keep_answer_for(reads_answer);
        Ok(Self { matching, scribe, batch })
    }

    fn traits(&self) -> Traits {
        self.scribe.traits()
    }

    fn on_response_head(
        &self,
        _cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Kept,
    ) -> Result<(), Denial> {
        self.scribe.note(answer, call);
        Ok(())
    }

    fn on_finish(&self, cx: &RequestCx, outcome: &Outcome<'_>, call: &mut Kept) {
        if self.matching.as_ref().is_none_or(|expr| expr.may_hold(cx, call.fields())) {
            self.scribe.write(cx, outcome, call, |_| {}, |entry| self.batch.push(entry));
        }
    }
}

/// The sink of a file; there is one for the node, whoever writes to it.
pub(crate) fn sink(name: &str, cx: &CompileCx<'_>) -> Arc<Batch> {
    let settings = BatchSettings {
        entries: 1_000,
        bytes: 1 << 20,
        inactive: Duration::from_millis(100),
        oldest: Duration::from_millis(200),
        retries: u32::MAX,
        retry_delay: Duration::from_secs(1),
        pending: 8_192,
        pending_bytes: cx.node.limits.sink_queue.as_usize(),
    };
    let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(FileLogger::NAME) };
    let path = cx.node.base_dir.join(name);
    let metrics = Batch::metrics(cx);
    let make = || {
        let (reach, path) = (cx.node.outside.reach.clone(), path.clone());
        let resource = format!("{}/{}", node.kind.collection(), node.id);
        Batch::new(cx, &metrics, name, &resource, settings, move || {
            Box::new(LogFile::new(path.clone(), reach.clone()))
        })
    };
    cx.node.registry.state(&node, FileLogger::NAME, path.display().to_string(), make)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::Bench;

    #[test]
    fn who_writes_to_one_file_shares_its_queue() {
        let bench = Bench::new();
        let one: FileLogger = bench.compile_in("a", &json!({"path": "x.log"})).unwrap();
        let same: FileLogger = bench.compile_in("b", &json!({"path": "x.log"})).unwrap();
        let other: FileLogger = bench.compile_in("a", &json!({"path": "y.log"})).unwrap();
        assert!(Arc::ptr_eq(&one.batch, &same.batch));
        assert!(!Arc::ptr_eq(&one.batch, &other.batch));
    }

    #[test]
    fn compiling_opens_nothing() {
        let folder = std::env::temp_dir().join("bartizan-nothing-is-opened.log");
        let path = folder.to_str().unwrap();
        let _: FileLogger = Bench::new().compile(&json!({"path": path})).unwrap();
        assert!(!folder.exists());
    }
}
