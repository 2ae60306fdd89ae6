//! A request as logs may show it.

use bartizan_wire::Fields;
use bytes::Bytes;

use crate::context::RequestCx;

/// A request that is over, before anything is logged of it. What is changed here is changed for
/// logs: nothing is decided on or sent any more.
pub struct LogView<'a> {
    cx: &'a mut RequestCx,
}

impl<'a> LogView<'a> {
    pub(crate) fn new(cx: &'a mut RequestCx) -> Self {
        Self { cx }
    }

    /// The request.
    pub fn request(&self) -> &RequestCx {
        self.cx
    }

    /// Its fields.
    pub fn fields(&mut self) -> &mut Fields {
        &mut self.cx.fields
    }

    /// Puts another query in place of those that were received and sent, where `change` has one.
    pub fn change_query(&mut self, change: impl Fn(&str) -> Option<String>) {
        if let Some(query) = self.cx.canonical.query().and_then(&change) {
            self.cx.canonical = self.cx.canonical.with_logged_query(&query);
        }
        if let Some(rewritten) = &mut self.cx.rewritten
            && let Some(query) = rewritten.query().and_then(&change)
        {
            *rewritten = rewritten.with_logged_query(&query);
        }
    }

    /// Its body, where some plugin has read it.
    pub fn body(&self) -> Option<&Bytes> {
        self.cx.body.as_ref()
    }

    /// Puts another body in its place, or none.
    pub fn set_body(&mut self, body: Option<Bytes>) {
        self.cx.body = body;
        self.cx.body_value = None;
    }
}
