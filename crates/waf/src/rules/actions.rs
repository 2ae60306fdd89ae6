//! What rules do.

use super::RuleIndex;
use super::link::Hidden;
use super::slots::SlotId;
use crate::seclang::script::{BodyProcessor, EngineMode};
use crate::text::Text;
use crate::variable::Variable;

/// What becomes of a transaction when a rule matches.
#[derive(Clone, Debug)]
pub(crate) enum Disruption {
    /// Refused with a status.
    Deny(u16),
    /// The connection is closed without an answer.
    Drop,
    /// Sent elsewhere.
    Redirect(Text, u16),
    /// Let through.
    Allow(Allowance),
}

/// How far `allow` goes.
pub(crate) type Allowance = crate::seclang::script::AllowScope;

/// Something that is done for each value that matches.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// Changes a `TX` member that has a number.
    SetSlot(SlotId, Assign),
    /// Changes a member of a collection by name.
    SetNamed(Variable, Text, Assign),
    /// A member of a persistent collection ends after so many seconds.
    Expire(Variable, Text, Text),
    /// Opens a persistent collection for a key.
    Open(Variable, Text),
    /// Logs do not show the values of this name, such as `ARGS:password`.
    Hide(Box<[u8]>),
    /// Changes how the rest of the transaction is judged.
    Ctl(CtlPlan),
}

/// How a member changes.
#[derive(Clone, Debug)]
pub(crate) enum Assign {
    /// To a number.
    Number(i64),
    /// To a text without macros.
    Fixed(Box<[u8]>),
    /// To a text.
    Text(Text),
    /// By a number that a text gives.
    Add(Text),
    /// By a number.
    AddNumber(i64),
    /// By the number that another `TX` member holds.
    AddSlot(SlotId),
    /// By less than nothing.
    Subtract(Text),
    /// It goes.
    Unset,
}

/// A `ctl` with its rules found.
#[derive(Clone, Debug)]
pub(crate) enum CtlPlan {
    /// These rules do not run.
    RemoveRules(Box<[RuleIndex]>),
    /// These rules do not look at something.
    RemoveTarget(Hidden),
    /// Whether rules run, and disrupt.
    Engine(EngineMode),
    /// Whether the body of the request is looked at.
    RequestBodyAccess(bool),
    /// How the body of the request is read.
    RequestBodyProcessor(BodyProcessor),
    /// `REQUEST_BODY` is there whatever reads the body.
    ForceRequestBody(bool),
    /// The largest body of a request.
    RequestBodyMax(u64),
    /// Whether the body of the response is looked at.
    ResponseBodyAccess(bool),
    /// The largest body of a response.
    ResponseBodyMax(u64),
}
