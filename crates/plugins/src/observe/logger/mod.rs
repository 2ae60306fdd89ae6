//! What the loggers that send their entries away have in common.

mod config;
mod stream;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{AnswerHead, CompileCx, Outcome, RequestCx, SharedRedactor, Traits};
use bartizan_config::Invalid;
use bartizan_core::{Stage, StageSet};
use bartizan_wire::Fields;

use super::batch::{Batch, BatchSettings, Deliver};
use super::entry::{Exchange, Formats, LogFormat};

pub(crate) use config::{Metadata, Shared, body_fields, logger_config};
pub(crate) use stream::{Datagrams, Framing, Stream};

/// The stage of every logger.
pub(crate) const OBSERVE: StageSet = StageSet::of(&[Stage::Observe]);

/// The most bytes that an event loop keeps for the next entry.
const ENTRY_KEPT: usize = 64 * 1_024;

thread_local! {
    /// Where an event loop writes its entries.
    static ENTRY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes entries; the fields of the answer are kept for it where the format shows some.
pub(crate) struct Scribe {
    format: LogFormat,
    reads_answer: bool,
    redactor: SharedRedactor,
    hostname: Arc<str>,
}

/// The fields of the answer, once they are known.
#[derive(Default)]
pub struct Kept(Option<Fields>);

impl Kept {
    /// Those fields; `None` where there was no answer, or nobody reads them.
    pub(crate) fn fields(&self) -> Option<&Fields> {
        self.0.as_ref()
    }
}

impl Scribe {
    pub(crate) fn new(format: LogFormat, cx: &CompileCx<'_>) -> Self {
        Self {
            reads_answer: format.reads_answer(),
            format,
            redactor: cx.node.redactor.clone(),
            hostname: cx.node.outside.hostname.clone(),
        }
    }

    /// Keeps the fields of the answer for others than the format, too, where these read them.
    pub(crate) fn keep_answer_for(mut self, is_read: bool) -> Self {
        self.reads_answer |= is_read;
        self
    }

    pub(crate) fn traits(&self) -> Traits {
        Traits {
            on_finish: true,
            on_response: self.reads_answer,
            ..Traits::in_stages(&[Stage::Observe])
        }
    }

    /// Keeps the fields of the answer.
    pub(crate) fn note(&self, answer: &AnswerHead, kept: &mut Kept) {
        if self.reads_answer {
            kept.0 = Some(answer.fields.clone());
        }
    }

    /// Hands over the entry of an exchange that is over, behind what `prefix` writes.
    pub(crate) fn write(
        &self,
        cx: &RequestCx,
        outcome: &Outcome<'_>,
        kept: &Kept,
        prefix: impl FnOnce(&mut Vec<u8>),
        hand_over: impl FnOnce(&[u8]),
    ) {
        let redactor = self.redactor.load();
        let exchange = Exchange::new(cx, outcome, kept.fields(), &redactor, &self.hostname);
        ENTRY.with_borrow_mut(|entry| {
            entry.clear();
            prefix(entry);
            self.format.write(&exchange, entry);
            hand_over(entry);
            // What is full does not shrink.
            entry.clear();
            entry.shrink_to(ENTRY_KEPT);
        });
    }
}

/// A logger that sends its entries away in batches.
pub(crate) struct Logger {
    scribe: Scribe,
    batch: Arc<Batch>,
}

/// Where a logger sends to.
pub(crate) struct Destination {
    /// Tells it from others of the same resource: whatever changes it makes another sink.
    pub(crate) id: String,
    /// Makes what hands batches over.
    pub(crate) make: Box<dyn Fn() -> Box<dyn Deliver> + Send + Sync>,
}

impl Logger {
    /// A logger with these settings; `adjust` changes those of the batches.
    pub(crate) fn compile(
        shared: &Shared<'_>,
        cx: &CompileCx<'_>,
        destination: Destination,
        adjust: impl FnOnce(&mut BatchSettings),
    ) -> Result<Self, Invalid> {
        let metadata: Metadata = cx.metadata()?.unwrap_or_default();
        let format = LogFormat::compile(
            Formats { own: shared.log_format, extra: shared.log_format_extra },
            metadata.formats(),
        )?;
        let mut settings = shared.settings(&metadata, cx);
        adjust(&mut settings);
        let name = shared.name.unwrap_or(cx.plugin);
        let Destination { id, make } = destination;
        // What is written changes with a reload; where it goes, and when, makes the sink.
        let key = format!("{name}\n{id}\n{settings:?}");
        let resource = format!("{}/{}", cx.resource.kind.collection(), cx.resource.id);
        let metrics = Batch::metrics(cx);
        let batch = cx.state(key, || Batch::new(cx, &metrics, name, &resource, settings, make));
        Ok(Self { scribe: Scribe::new(format, cx), batch })
    }

    pub(crate) fn traits(&self) -> Traits {
        self.scribe.traits()
    }

    pub(crate) fn note(&self, answer: &AnswerHead, kept: &mut Kept) {
        self.scribe.note(answer, kept);
    }

    /// Sends the entry of an exchange, behind what `prefix` writes.
    pub(crate) fn finish(
        &self,
        cx: &RequestCx,
        outcome: &Outcome<'_>,
        kept: &Kept,
        prefix: impl FnOnce(&mut Vec<u8>),
    ) {
        self.scribe.write(cx, outcome, kept, prefix, |entry| self.batch.push(entry));
    }
}

/// A number of seconds or milliseconds of the configuration.
pub(crate) fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

pub(crate) fn millis(count: u32) -> Duration {
    Duration::from_millis(count.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::request_of;

    #[test]
    fn an_event_loop_keeps_little_after_a_long_entry() {
        let scribe = Scribe {
            format: LogFormat::compile(Formats::default(), Formats::default()).unwrap(),
            reads_answer: false,
            redactor: SharedRedactor::default(),
            hostname: "host.test".into(),
        };
        let cx = request_of("/", &[], None);
        let outcome = Outcome {
            status: 200,
            denial: None,
            was_forwarded: true,
            upstream_status: None,
            upstream_node: None,
            duration: Duration::ZERO,
            upstream_duration: None,
            bytes_in: 0,
            bytes_out: 0,
        };
        for length in [ENTRY_KEPT - 1, ENTRY_KEPT, ENTRY_KEPT + 1, 8 * ENTRY_KEPT] {
            let prefix = |entry: &mut Vec<u8>| entry.resize(length, b'x');
            let mut written = 0;
            let hand_over = |entry: &[u8]| written = entry.len();
            scribe.write(&cx, &outcome, &Kept::default(), prefix, hand_over);
            assert!(written > length, "{length}");
            let kept = ENTRY.with_borrow(Vec::capacity);
            assert!(kept <= ENTRY_KEPT, "{kept} after {length}");
        }
    }
}
