//! What the text of a rule set says, before anything is resolved.

use std::collections::HashMap;
use std::sync::Arc;

use crate::fault::Place;
use crate::text::Text;
use crate::transformations::Transformation;
use crate::variable::{Selector, Target, Variable};

/// Everything that a rule set's files say, in order, includes put in their place.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// Its directives.
    pub(crate) items: Vec<Item>,
    /// The texts of its files, by name, for the faults that are found later.
    pub(crate) sources: HashMap<Arc<str>, Box<str>>,
}

/// A directive and where it stands.
#[derive(Debug)]
pub(crate) struct Item {
    /// Where.
    pub(crate) place: Place,
    /// What.
    pub(crate) directive: Directive,
}

/// What a line says.
#[derive(Debug)]
pub(crate) enum Directive {
    /// `SecRule`.
    Rule(RuleText),
    /// `SecAction`: a rule that always matches.
    Action(Vec<Action>),
    /// `SecMarker`: a place to skip to.
    Marker(Box<str>),
    /// `SecDefaultAction`.
    DefaultAction(Vec<Action>),
    /// `SecRuleUpdateTargetById`.
    UpdateTargetsById(IdRanges, Vec<Target>),
    /// `SecRuleUpdateTargetByTag`: of the rules that have a tag in which the pattern is found.
    UpdateTargetsByTag(Box<str>, Vec<Target>),
    /// `SecRuleUpdateTargetByMsg`.
    UpdateTargetsByMsg(Box<str>, Vec<Target>),
    /// `SecRuleUpdateActionById`: the rule, its place in the chain (0 is the head), what changes.
    UpdateActionsById(u32, u32, Vec<Action>),
    /// `SecRuleRemoveById`.
    RemoveById(IdRanges),
    /// `SecRuleRemoveByTag`.
    RemoveByTag(Box<str>),
    /// `SecRuleRemoveByMsg`.
    RemoveByMsg(Box<str>),
    /// Any other directive that sets something.
    Setting(Setting),
}

/// Rule ids: single ones and ranges, both ends included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct IdRanges(pub(crate) Vec<(u32, u32)>);

impl IdRanges {
    /// True if `id` is in one of them.
    pub(crate) fn contains(&self, id: u32) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&id))
    }
}

/// A `SecRule`.
#[derive(Debug)]
pub(crate) struct RuleText {
    /// What it looks at.
    pub(crate) targets: Vec<Target>,
    /// What it asks.
    pub(crate) operator: OperatorText,
    /// What it does.
    pub(crate) actions: Vec<Action>,
}

/// The second part of a `SecRule`.
#[derive(Debug)]
pub(crate) struct OperatorText {
    /// Where it stands.
    pub(crate) place: Place,
    /// True for `!@…`.
    pub(crate) is_negated: bool,
    /// The name without `@`; `rx` where none was written.
    pub(crate) name: Box<str>,
    /// The argument with its macros.
    pub(crate) argument: Text,
}

/// When a rule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    /// 1: the request's head is there.
    RequestHead,
    /// 2: the request's body is there.
    RequestBody,
    /// 3: the response's head is there.
    ResponseHead,
    /// 4: the response's body is there.
    ResponseBody,
    /// 5: the exchange is over.
    Logging,
}

/// One action of a rule.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    // What the rule is.
    Id(u32),
    Phase(Phase),
    Msg(Text),
    LogData(Text),
    Tag(Text),
    Ver(Box<str>),
    Rev(Box<str>),
    /// 0 (emergency) to 7 (debug).
    Severity(u8),
    Maturity(u8),
    Accuracy(u8),
    // How it matches.
    Chain,
    Capture,
    MultiMatch,
    /// `t:none`: forgets the transformations before it, those of the default action too.
    NoTransformations,
    Transformation(Transformation),
    // What follows.
    Block,
    Deny,
    Drop,
    Pass,
    Allow(AllowScope),
    Redirect(Text),
    Status(u16),
    Skip(u32),
    SkipAfter(Box<str>),
    Log,
    NoLog,
    AuditLog,
    NoAuditLog,
    /// `sanitiseArg`, `sanitiseMatched`, …: whose values the log does not show.
    Sanitise(Sanitise),
    // What it changes.
    SetVar(SetVar),
    /// Collection, name, seconds.
    ExpireVar(Variable, Text, Text),
    InitCollection(Variable, Text),
    SetSid(Text),
    SetUid(Text),
    SetRsc(Text),
    Ctl(Ctl),
}

/// How far `allow` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AllowScope {
    /// `allow`: the rest of the transaction, logging aside.
    Transaction,
    /// `allow:phase`.
    Phase,
    /// `allow:request`: up to the response.
    Request,
}

/// What is not shown in logs.
#[derive(Clone, Debug)]
pub(crate) enum Sanitise {
    Argument(Box<str>),
    RequestHeader(Box<str>),
    ResponseHeader(Box<str>),
    Matched,
}

/// `setvar:…`.
#[derive(Clone, Debug)]
pub(crate) struct SetVar {
    /// `TX`, `IP`, `GLOBAL`, `SESSION`, `USER` or `RESOURCE`.
    pub(crate) collection: Variable,
    /// The name, which may hold macros; in lower case where literal.
    pub(crate) name: Text,
    /// What happens to it.
    pub(crate) change: Change,
}

/// What `setvar` does.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// `setvar:tx.a=1`; `setvar:tx.a` sets 1.
    Set(Text),
    /// `setvar:tx.a=+1`.
    Add(Text),
    /// `setvar:tx.a=-1`.
    Subtract(Text),
    /// `setvar:!tx.a`.
    Unset,
}

/// `ctl:…`: changes how the rest of this transaction is judged.
#[derive(Clone, Debug)]
pub(crate) enum Ctl {
    RuleRemoveById(IdRanges),
    RuleRemoveByTag(Box<str>),
    RuleRemoveByMsg(Box<str>),
    RuleRemoveTargetById(IdRanges, Variable, Selector),
    RuleRemoveTargetByTag(Box<str>, Variable, Selector),
    RuleRemoveTargetByMsg(Box<str>, Variable, Selector),
    RuleEngine(EngineMode),
    /// Without effect: see the directive.
    AuditEngine,
    RequestBodyAccess(bool),
    RequestBodyProcessor(BodyProcessor),
    ForceRequestBodyVariable(bool),
    RequestBodyLimit(u64),
    ResponseBodyAccess(bool),
    ResponseBodyLimit(u64),
    /// Without effect: see the directive.
    AuditLogParts,
}

/// `SecRuleEngine`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum EngineMode {
    /// Rules run and disrupt.
    On,
    /// Rules run, nothing is disrupted.
    DetectionOnly,
    /// No rule runs.
    #[default]
    Off,
}

/// How a request's body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyProcessor {
    UrlEncoded,
    Multipart,
    Json,
    Xml,
}

/// What happens to a body over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitAction {
    /// The request (or response) is refused.
    Reject,
    /// What fits is judged.
    ProcessPartial,
}

/// A directive that sets something.
#[derive(Clone, Debug)]
pub(crate) enum Setting {
    RuleEngine(EngineMode),
    RequestBodyAccess(bool),
    RequestBodyLimit(u64),
    RequestBodyNoFilesLimit(u64),
    RequestBodyLimitAction(LimitAction),
    RequestBodyJsonDepthLimit(u32),
    ResponseBodyAccess(bool),
    ResponseBodyLimit(u64),
    ResponseBodyLimitAction(LimitAction),
    ResponseBodyMimeTypes(Vec<Box<str>>),
    ResponseBodyMimeTypesClear,
    ArgumentsLimit(u32),
    ArgumentSeparator(u8),
    UploadFileLimit(u32),
    CollectionTimeout(u32),
    WebAppId(Box<str>),
    ComponentSignature(Box<str>),
    /// Code points to bytes: the file and the code page in it.
    UnicodeMap(Box<str>, u32),
    /// `SecGeoLookupDb`: a file.
    GeoLookupDb(Box<str>),
    /// Accepted for stock files' sake, without effect here; the documentation says why of each.
    Inert,
}
