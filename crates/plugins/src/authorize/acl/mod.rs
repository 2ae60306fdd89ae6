//! Admits or refuses callers by their labels.
//!
//! A label of `deny_labels` refuses, before anything else. With `allow_labels` only who has one of
//! those values under one of those names passes. Between names, and between the values of a name,
//! "or" stands.
//!
//! ```yaml
//! acl:
//!   allow_labels:
//!     team: [orders, billing]
//!   deny_labels:
//!     contract: [suspended]
//! ```
//!
//! **Whose labels.** A caller who is a consumer has the consumer's labels. A caller without one,
//! known by the claims of a token, has one label: the claim that `external_user_label_field` names,
//! under the name `external_user_label_field_key` (left out, that of the claim). Whoever is neither
//! is refused with 401.
//!
//! **Several values.** The text of a label that begins with `[` is a JSON list; any other is a list
//! parted by commas, or one value. White space around values does not count. A claim may be a list
//! itself; `external_user_label_field_parser` says how it has to be read, and then it is read in no
//! other way. Whole numbers and booleans are compared as they are written.
//!
//! A label that cannot be read (broken JSON, an object, a text where a list is due) refuses where
//! `deny_labels` asks for it, and admits nobody.
//!
//! Refusals are 403, or `rejected_code`, with `rejected_msg` if there is one. Only `allow_labels`
//! is a grant: `deny_labels` alone lets everybody through who is not named.
//!
//! # Headers
//!
//! It reads no header and sets none; a claim comes from the token.
//!
//! # What it costs
//!
//! One comparison per value; a label in JSON is parsed for every request.
//!
//! # What it cannot do
//!
//! It knows nothing of objects, only of who calls. `deny_labels` alone lets everybody through who
//! is not named, and is no grant.
//!
//! # How it differs from Apache APISIX
//!
//! What cannot be read refuses instead of counting as absent, `rejected_code` is 400 to 599,
//! numbers count, and of JSON path only members such as `$.realm.roles` are understood.

#[cfg(test)]
mod tests;
mod values;

use std::collections::BTreeMap;

use bartizan_chain::{CompileCx, Flow, Identity, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet, compile_pattern};
use schemars::JsonSchema;
use serde::Deserialize;

use values::{Label, Reading};

/// The configuration of `acl`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("anyOf" = [{"required": ["allow_labels"]}, {"required": ["deny_labels"]}]))]
pub struct Config {
    /// Names of labels, each with the values of which one is needed.
    #[schemars(extend("minProperties" = 1))]
    allow_labels: Option<BTreeMap<String, Values>>,
    /// Names of labels, each with the values that are refused.
    #[schemars(extend("minProperties" = 1))]
    deny_labels: Option<BTreeMap<String, Values>>,
    /// The claim that is the label of a caller who is no consumer, by its dotted path; `$.` may
    /// stand before it.
    #[serde(default = "groups")]
    #[schemars(length(min = 1, max = 256))]
    external_user_label_field: String,
    /// The name of that label; left out, what `external_user_label_field` says.
    #[schemars(length(min = 1, max = 256))]
    external_user_label_field_key: Option<String>,
    /// How that claim is read; left out, by what it is.
    external_user_label_field_parser: Option<Parser>,
    /// What parts the values of a text, a regular expression; with the parser `segmented_text`.
    #[schemars(length(min = 1, max = 256))]
    external_user_label_field_separator: Option<String>,
    /// The status of a refusal: 400 to 599, since a refusal must not look like a success.
    #[serde(default = "forbidden")]
    #[schemars(range(min = 400, max = 599))]
    rejected_code: u16,
    /// What a refused client reads.
    #[schemars(length(min = 1))]
    rejected_msg: Option<String>,
}

/// Values of a label.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct Values(#[schemars(length(min = 1))] Vec<String>);

/// How a claim is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Parser {
    /// A text whose values `external_user_label_field_separator` parts.
    SegmentedText,
    /// A text that is a list in JSON.
    Json,
    /// A list.
    Table,
}

fn groups() -> String {
    "groups".to_owned()
}

fn forbidden() -> u16 {
    403
}

/// Names of labels and values of each.
type Rules = Box<[(String, Box<[String]>)]>;

/// Compiled `acl`.
pub struct Acl {
    allow: Option<Rules>,
    deny: Rules,
    claim: Box<str>,
    claim_label: Box<str>,
    reading: Reading,
    status: u16,
    message: Option<String>,
}

/// Why labels do not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    /// A label has a value that is refused.
    Denied(String),
    /// No label has a value that is needed.
    NotAllowed,
    /// A label cannot be read.
    Unreadable(String, &'static str),
}

impl Plugin for Acl {
    const NAME: &'static str = "acl";
    const PRIORITY: i32 = 2410;
    const KINSHIP: Kinship =
        Kinship::Different("what cannot be read refuses, instead of counting as absent");
    const STAGES: StageSet = StageSet::of(&[Stage::Authorize]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, _cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        if config.allow_labels.is_none() && config.deny_labels.is_none() {
            return Err(Invalid::new("needs `allow_labels` or `deny_labels`"));
        }
        if !(400..=599).contains(&config.rejected_code) {
            return Err(Invalid::at("rejected_code", "a refusal has a status of 400 to 599"));
        }
        let claim = claim_path(&config.external_user_label_field)?;
        let label = config.external_user_label_field_key;
        Ok(Self {
            reading: reading(
                config.external_user_label_field_parser,
                config.external_user_label_field_separator.as_deref(),
            )?,
            claim_label: label.unwrap_or(config.external_user_label_field).into(),
            claim,
            allow: config.allow_labels.map(|labels| rules("allow_labels", labels)).transpose()?,
            deny: rules("deny_labels", config.deny_labels.unwrap_or_default())?,
            status: config.rejected_code,
            message: config.rejected_msg,
        })
    }

    fn traits(&self) -> Traits {
        let mut traits = Traits::in_stages(&[Stage::Authorize]);
        traits.proves.grant = self.allow.is_some();
        traits
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let Some(identity) = cx.identity() else { return Err(nobody()) };
        let verdict = if let Some(consumer) = identity.consumer() {
            self.judge(&Reading::Any, |name| consumer.label(name).map(Label::Text))
        } else if identity.is_anonymous() {
            return Err(nobody());
        } else {
            self.judge(&self.reading, |name| self.label_of(identity, name))
        };
        match verdict {
            Ok(()) => Ok(Flow::Continue),
            Err(refusal) => Err(self.refuse(&refusal)),
        }
    }
}

impl Acl {
    /// The one label of a caller who is no consumer.
    fn label_of<'i>(&self, identity: &'i Identity, name: &str) -> Option<Label<'i>> {
        (name == &*self.claim_label).then(|| identity.claim(&self.claim).map(Label::Claim))?
    }

    fn judge<'l>(
        &self,
        reading: &Reading,
        label: impl Fn(&str) -> Option<Label<'l>>,
    ) -> Result<(), Refusal> {
        for (name, values) in &self.deny {
            let Some(label) = label(name) else { continue };
            match reading.any(label, |value| values.iter().any(|own| own == value)) {
                Ok(false) => {}
                Ok(true) => return Err(Refusal::Denied(name.clone())),
                Err(why) => return Err(Refusal::Unreadable(name.clone(), why)),
            }
        }
        let Some(allow) = &self.allow else { return Ok(()) };
        let mut refusal = Refusal::NotAllowed;
        for (name, values) in allow {
            let Some(label) = label(name) else { continue };
            match reading.any(label, |value| values.iter().any(|own| own == value)) {
                Ok(false) => {}
                Ok(true) => return Ok(()),
                Err(why) => refusal = Refusal::Unreadable(name.clone(), why),
            }
        }
        Err(refusal)
    }

    fn refuse(&self, refusal: &Refusal) -> Denial {
        let (rule, detail) = match refusal {
            Refusal::Denied(name) => {
                ("deny_labels", format!("the label `{name}` has a value that is refused"))
            }
            Refusal::NotAllowed => {
                ("allow_labels", "no label has a value that is needed".to_owned())
            }
            Refusal::Unreadable(name, why) => ("labels", format!("the label `{name}`: {why}")),
        };
        let denial = Denial::new(Reason::ConsumerForbidden, detail)
            .with_rule(rule)
            .with_status(self.status)
            .with_apisix_message("The consumer is forbidden.");
        match &self.message {
            Some(message) => denial.with_message(message),
            None => denial,
        }
    }
}

fn nobody() -> Denial {
    Denial::new(Reason::IdentityRequired, "nobody is known whose labels could be read")
        .with_apisix_message("Missing authentication.")
}

fn rules(key: &str, labels: BTreeMap<String, Values>) -> Result<Rules, Invalid> {
    labels
        .into_iter()
        .map(|(name, Values(values))| {
            if values.is_empty() {
                let fault = Invalid::at(&name, "the list is empty");
                return Err(fault.under(bartizan_config::PathStep::Key(key.to_owned())));
            }
            Ok((name, values.into_boxed_slice()))
        })
        .collect()
}

/// Members of the claims by their dotted path: all that is understood of JSON path.
fn claim_path(text: &str) -> Result<Box<str>, Invalid> {
    const KEY: &str = "external_user_label_field";
    let path = text.strip_prefix("$.").unwrap_or(text);
    let is_plain = |step: &str| !step.is_empty() && !step.contains(['$', '[', ']', '*', '?', '\'']);
    if path.split('.').all(is_plain) {
        return Ok(path.into());
    }
    Err(Invalid::at(KEY, format!("`{text}` is not a path to a claim"))
        .with_help("members such as `groups` or `$.realm_access.roles`"))
}

fn reading(parser: Option<Parser>, separator: Option<&str>) -> Result<Reading, Invalid> {
    const KEY: &str = "external_user_label_field_separator";
    match (parser, separator) {
        (Some(Parser::SegmentedText), Some(separator)) => {
            let pattern = compile_pattern(separator, false)
                .map_err(|error| Invalid::at(KEY, error.to_string()))?;
            Ok(Reading::Segmented(Box::new(pattern)))
        }
        (Some(Parser::SegmentedText), None) => {
            Err(Invalid::new(format!("the parser `segmented_text` needs `{KEY}`")))
        }
        (_, Some(_)) => Err(Invalid::at(KEY, "only the parser `segmented_text` has a separator")),
        (Some(Parser::Json), None) => Ok(Reading::Json),
        (Some(Parser::Table), None) => Ok(Reading::List),
        (None, None) => Ok(Reading::Any),
    }
}
