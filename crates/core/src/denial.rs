//! Why a request was refused, for the three people who ask.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use crate::{Reason, Stage};

/// A header that an answer carries, as (lower-case name, value).
pub type ReplyField = (Cow<'static, str>, String);

/// The precise cause, for the operator's audit log; never sent to the client.
pub type Detail = Cow<'static, str>;

/// A refusal on its way to the client and to the audit log.
///
/// The client learns `reason`'s public sentence (or the `message` that the configuration gives).
/// The operator's audit event has the rest. One pointer wide, so that `Result<_, Denial>` costs an
/// allowed request nothing.
#[derive(Debug)]
pub struct Denial(Box<DenialParts>);

/// What a [`Denial`] holds.
#[derive(Debug)]
pub struct DenialParts {
    /// The entry of the reason table: code, status, public sentence.
    pub reason: Reason,
    /// The precise cause. Secrets must not be put here.
    pub detail: Detail,
    /// The rule inside the plugin that decided, where a plugin has rules.
    pub rule: Option<Cow<'static, str>>,
    /// A status that the configuration asks for in place of the reason's own.
    pub status: Option<u16>,
    /// A message that the configuration asks for in place of the public sentence.
    pub message: Option<String>,
    /// Apache APISIX's message where it differs from the reason's usual one.
    pub apisix_message: Option<Cow<'static, str>>,
    /// The whole body that `_meta.error_response` asks for, and whether it is JSON.
    pub error_response: Option<(Arc<str>, bool)>,
    /// The reason that the client is shown in place of the true one, where even that says too much:
    /// an object that is not the caller's can be answered like a path that does not exist.
    pub shown_as: Option<Reason>,
    /// Headers the answer must carry (`www-authenticate`, `retry-after`, …).
    pub fields: Vec<ReplyField>,
    /// The plugin that refused; the chain runner fills it in.
    pub plugin: Option<&'static str>,
    /// The stage in which it refused; the chain runner fills it in.
    pub stage: Option<Stage>,
}

impl Denial {
    /// A refusal for `reason`, with the precise cause for the operator.
    pub fn new(reason: Reason, detail: impl Into<Detail>) -> Self {
        Self(Box::new(DenialParts {
            reason,
            detail: detail.into(),
            rule: None,
            status: None,
            message: None,
            apisix_message: None,
            error_response: None,
            shown_as: None,
            fields: Vec::new(),
            plugin: None,
            stage: None,
        }))
    }

    /// The status that the client gets.
    pub fn status(&self) -> u16 {
        self.0.status.unwrap_or_else(|| self.0.reason.status())
    }

    /// Sets the status that the configuration asks for.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// Sets the message that the configuration asks for.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = Some(message.into());
        self
    }

    /// Sets the message that Apache APISIX would give, used in compatibility mode only.
    #[must_use]
    pub fn with_apisix_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.apisix_message = Some(message.into());
        self
    }

    /// Shows the client another reason, with its status; the event keeps the true one.
    #[must_use]
    pub fn shown_as(mut self, reason: Reason) -> Self {
        self.0.shown_as = Some(reason);
        self.0.status = Some(reason.status());
        self
    }

    /// The reason that the client is shown.
    pub fn public_reason(&self) -> Reason {
        self.0.shown_as.unwrap_or(self.0.reason)
    }

    /// Names the rule that decided.
    #[must_use]
    pub fn with_rule(mut self, rule: impl Into<Cow<'static, str>>) -> Self {
        self.0.rule = Some(rule.into());
        self
    }

    /// Adds a header to the answer. `name` is lower case.
    #[must_use]
    pub fn with_field(mut self, name: &'static str, value: String) -> Self {
        self.0.fields.push((Cow::Borrowed(name), value));
        self
    }
}

impl Deref for Denial {
    type Target = DenialParts;

    fn deref(&self) -> &DenialParts {
        &self.0
    }
}

impl DerefMut for Denial {
    fn deref_mut(&mut self) -> &mut DenialParts {
        &mut self.0
    }
}
