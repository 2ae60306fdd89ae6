//! What is written of `waf`.

use std::collections::BTreeMap;

use bartizan_config::{Invalid, PathStep};
use bartizan_waf::{OverrideFault, Overrides, RuleSet};
use schemars::JsonSchema;
use serde::Deserialize;

/// The configuration of `waf`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The rule set: `builtin`, or one that the metadata names.
    #[serde(default = "builtin")]
    #[schemars(length(min = 1, max = 100))]
    pub(super) rule_set: String,
    /// Whether what rules refuse is refused, or only told.
    #[serde(default)]
    pub(super) mode: Mode,
    /// With `mode: detect`: how many of a hundred requests are inspected.
    #[serde(default = "all")]
    #[schemars(range(min = 1, max = 100))]
    pub(super) sample: u8,
    /// The level of rules that count towards a refusal; for rule sets that know levels.
    #[schemars(range(min = 1, max = 4))]
    paranoia_level: Option<u8>,
    /// The level of rules that are run, at least `paranoia_level`; for rule sets that know levels.
    #[schemars(range(min = 1, max = 4))]
    detection_paranoia_level: Option<u8>,
    /// The score at which a request is refused; for rule sets that score.
    #[schemars(range(min = 1, max = 10_000))]
    inbound_threshold: Option<u16>,
    /// The score at which an answer is refused; for rule sets that score.
    #[schemars(range(min = 1, max = 10_000))]
    outbound_threshold: Option<u16>,
    /// What is left out.
    #[schemars(length(min = 1, max = 1_000))]
    exclude: Option<Vec<Exclusion>>,
    /// Whether text in base64 is judged as well: of arguments, values of bodies and cookies of at
    /// least 16 characters.
    #[serde(default)]
    decode_base64: bool,
    /// Whether bodies of answers are judged, where the rule set says how.
    #[serde(default = "yes")]
    pub(super) response: bool,
    /// Whether values that a schema of the route has proved to be harmless (numbers, dates, one of a
    /// list) are left out where rules look for attacks.
    #[serde(default)]
    pub(super) skip_proven: bool,
    /// The status of a refusal, in place of what the rule says.
    #[schemars(range(min = 400, max = 599))]
    pub(super) status: Option<u16>,
}

/// What rules leave out.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Exclusion {
    /// The id of a rule.
    #[schemars(range(min = 1))]
    rule: Option<u32>,
    /// A pattern for tags: the rules that have one in which it is found.
    #[schemars(length(min = 1, max = 200))]
    tag: Option<String>,
    /// The one thing that they do not look at, such as `ARGS:note`; the rules are left out as a
    /// whole where this is not written. Without `rule` and `tag` no rule looks at it.
    #[schemars(length(min = 1, max = 200))]
    target: Option<String>,
}

/// What becomes of what rules refuse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Mode {
    /// It is refused.
    #[default]
    Block,
    /// It passes, and is told.
    Detect,
}

/// The settings of `waf` for the whole node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Rule sets by name.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 100))]
    pub(super) rule_sets: BTreeMap<String, RuleFiles>,
    /// The file that exchanges in which a rule matched are written to, one line of JSON each.
    #[schemars(length(min = 1, max = 4_096))]
    pub(super) log: Option<String>,
}

/// Where a rule set comes from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleFiles {
    /// Its files, in order; `*` stands for any text in a file's name.
    #[schemars(length(min = 1, max = 1_000), inner(length(min = 1, max = 4_096)))]
    pub(super) files: Vec<String>,
}

fn builtin() -> String {
    "builtin".to_owned()
}

fn all() -> u8 {
    100
}

fn yes() -> bool {
    true
}

impl Config {
    /// Finds what does not go together.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        if self.mode == Mode::Block && self.sample != 100 {
            let problem = "leaves requests without inspection, which blocking must not";
            return Err(Invalid::at("sample", problem).with_help("`mode: detect` may take samples"));
        }
        let blocks = self.paranoia_level.unwrap_or(1);
        if self.detection_paranoia_level.is_some_and(|detects| detects < blocks) {
            let problem = "is below `paranoia_level`, whose rules would not run";
            return Err(Invalid::at("detection_paranoia_level", problem));
        }
        for (position, exclusion) in self.exclude.iter().flatten().enumerate() {
            let at = |fault: Invalid| {
                fault.under(PathStep::Index(position)).under(PathStep::Key("exclude".to_owned()))
            };
            if exclusion.rule.is_some() && exclusion.tag.is_some() {
                return Err(at(Invalid::new("names `rule` and `tag`; one of both")));
            }
            if exclusion.rule.is_none() && exclusion.tag.is_none() && exclusion.target.is_none() {
                return Err(at(
                    Invalid::new("names nothing").with_help("`rule`, `tag` or `target`")
                ));
            }
        }
        Ok(())
    }

    /// What only tells may look at heads alone; what refuses must say whether it looks at bodies.
    pub(super) fn check_bodies(&self, rules: &RuleSet) -> Result<(), Invalid> {
        let is_stated = rules.settings().states_request_body || rules.may_read_request_body();
        if self.mode == Mode::Detect || is_stated {
            return Ok(());
        }
        let problem = format!("`{}` does not say whether bodies are looked at", self.rule_set);
        let help = "write `SecRequestBodyAccess On` (or `Off`) into one of its files";
        Err(Invalid::at("rule_set", problem).with_help(help))
    }

    /// What this place changes of the rule set.
    pub(super) fn overrides(&self, rules: &RuleSet) -> Result<Overrides, Invalid> {
        let mut overrides = Overrides::new();
        overrides.refuse(self.mode == Mode::Block);
        overrides.open_base64(self.decode_base64);
        let level = self.paranoia_level;
        let detects = self.detection_paranoia_level.or(level);
        // Version 3 of the Core Rule Set calls the levels otherwise.
        for (field, names, number) in [
            (
                "paranoia_level",
                &["blocking_paranoia_level", "paranoia_level"][..],
                level.map(i64::from),
            ),
            (
                "detection_paranoia_level",
                &["detection_paranoia_level", "executing_paranoia_level"],
                detects.map(i64::from),
            ),
            (
                "inbound_threshold",
                &["inbound_anomaly_score_threshold"],
                self.inbound_threshold.map(i64::from),
            ),
            (
                "outbound_threshold",
                &["outbound_anomaly_score_threshold"],
                self.outbound_threshold.map(i64::from),
            ),
        ] {
            let Some(number) = number else { continue };
            overrides.pin_any(rules, names, number).map_err(|fault| {
                Invalid::at(field, format!("means nothing to `{}`: {fault}", self.rule_set))
            })?;
        }
        for (position, exclusion) in self.exclude.iter().flatten().enumerate() {
            exclusion.apply(&mut overrides, rules).map_err(|fault| {
                Invalid::new(fault.to_string())
                    .under(PathStep::Index(position))
                    .under(PathStep::Key("exclude".to_owned()))
            })?;
        }
        Ok(overrides)
    }
}

impl Exclusion {
    fn apply(&self, overrides: &mut Overrides, rules: &RuleSet) -> Result<(), OverrideFault> {
        match (self.rule, self.tag.as_deref(), self.target.as_deref()) {
            (Some(id), _, None) => overrides.without_rule(rules, id),
            (Some(id), _, Some(target)) => overrides.hide_from_rule(rules, id, target),
            (None, Some(tag), None) => overrides.without_tag(rules, tag),
            (None, Some(tag), Some(target)) => overrides.hide_from_tag(rules, tag, target),
            (None, None, Some(target)) => overrides.hide_from_all(rules, target),
            // `check` has refused it.
            (None, None, None) => Ok(()),
        }
    }
}
