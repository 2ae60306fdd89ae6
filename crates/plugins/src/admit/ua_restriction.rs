//! Admits or refuses clients by what they call themselves in `User-Agent`.
//!
//! Exactly one list of patterns: with `allowlist` only agents in which one of them is found pass;
//! with `denylist` all others pass. Patterns are searched for anywhere in the value, so write `^`
//! and `$` where the whole is meant, and `(?i)` where case does not matter. They are regular
//! expressions without look-around and back-references, so that a search takes time in proportion
//! to the header, whatever a client sends.
//!
//! ```yaml
//! ua-restriction:
//!   denylist: ["(?i)(sqlmap|nikto)", "^python-requests/"]
//! ```
//!
//! Precedence: where the header occurs several times, every value counts. One on the deny list
//! refuses, and with an allow list each of them must be on it: which one the upstream reads is
//! unknown. An empty value is none. A request without any is refused, unless `bypass_missing` is
//! set. It runs before anything asks who calls; in a global rule also where no route matches.
//!
//! Answers: 403 `admit.user_agent_denied`, with `message` if there is one. The event names the
//! pattern by its number, never the header.
//!
//! # Headers
//!
//! `User-Agent` is read; none is set.
//!
//! # What it costs
//!
//! One search over the header for all patterns together. Patterns look at bytes: `.` is any byte,
//! `\w` and the like know ASCII only; begin a pattern with `(?u)` to look at characters.
//!
//! # What it cannot do
//!
//! It cannot keep anybody out who wants to come in: a client calls itself what it likes. It turns
//! away honest robots and careless tools; credentials and limits are for the others.
//!
//! # How it differs from Apache APISIX
//!
//! Of several values all must be allowed, not just one; patterns that need backtracking are
//! refused; an empty value is a missing one.

use bartizan_chain::{CompileCx, Flow, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::pattern_list::PatternList;

/// The configuration of `ua-restriction`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Patterns of agents that pass; all others are refused.
    #[schemars(length(min = 1), inner(length(min = 1, max = 4096)))]
    allowlist: Option<Vec<String>>,
    /// Patterns of agents that are refused; all others pass.
    #[schemars(length(min = 1), inner(length(min = 1, max = 4096)))]
    denylist: Option<Vec<String>>,
    /// Whether requests pass that do not say what sent them.
    #[serde(default)]
    bypass_missing: bool,
    /// What a refused client reads.
    #[schemars(length(min = 1, max = 1024))]
    message: Option<String>,
}

/// Compiled `ua-restriction`.
pub struct UaRestriction {
    patterns: PatternList,
    admits_listed: bool,
    admits_missing: bool,
    message: Option<String>,
}

/// What is wrong with what a client calls itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Missing,
    NotListed,
    /// The pattern of this number, from 0, is found.
    Listed(usize),
}

impl Plugin for UaRestriction {
    const NAME: &'static str = "ua-restriction";
    const PRIORITY: i32 = 2999;
    const KINSHIP: Kinship =
        Kinship::Different("of several values all must be allowed; patterns in linear time");
    const STAGES: StageSet = StageSet::of(&[Stage::Admit]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, _cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let (key, list, admits_listed) = match (config.allowlist, config.denylist) {
            (Some(list), None) => ("allowlist", list, true),
            (None, Some(list)) => ("denylist", list, false),
            (Some(_), Some(_)) => {
                return Err(Invalid::at("denylist", "there is also an `allowlist`").with_help(
                    "give one of both: what is not on an allow list is refused anyway",
                ));
            }
            (None, None) => return Err(Invalid::new("needs an `allowlist` or a `denylist`")),
        };
        Ok(Self {
            patterns: PatternList::compile(key, &list, false)?,
            admits_listed,
            admits_missing: config.bypass_missing,
            message: config.message,
        })
    }

    fn traits(&self) -> Traits {
        Traits::in_stages(&[Stage::Admit])
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        match self.judge(cx.fields.all("user-agent")) {
            Ok(()) => Ok(Flow::Continue),
            Err(fault) => Err(self.refuse(fault)),
        }
    }
}

impl UaRestriction {
    fn judge<'a>(&self, values: impl Iterator<Item = &'a [u8]>) -> Result<(), Fault> {
        let mut is_missing = true;
        for value in values.map(<[u8]>::trim_ascii).filter(|value| !value.is_empty()) {
            is_missing = false;
            match self.patterns.found(value) {
                Some(rule) if !self.admits_listed => return Err(Fault::Listed(rule)),
                None if self.admits_listed => return Err(Fault::NotListed),
                _ => {}
            }
        }
        if is_missing && !self.admits_missing { Err(Fault::Missing) } else { Ok(()) }
    }

    fn refuse(&self, fault: Fault) -> Denial {
        let new = |detail| Denial::new(Reason::UserAgentDenied, detail);
        let denial = match fault {
            Fault::Missing => new("no `User-Agent`"),
            Fault::NotListed => new("a `User-Agent` that is not on the allow list"),
            Fault::Listed(rule) => {
                new("a `User-Agent` on the deny list").with_rule(format!("denylist[{rule}]"))
            }
        };
        match &self.message {
            Some(message) => denial.with_message(message.clone()),
            None => denial,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fixture::Bench;

    fn judge(config: &serde_json::Value, values: &[&[u8]]) -> Result<(), Fault> {
        let plugin: UaRestriction = Bench::new().compile(config).unwrap();
        plugin.judge(values.iter().copied())
    }

    #[test]
    fn with_several_values_the_worst_counts() {
        let allow = || json!({"allowlist": ["^curl/", "Mozilla"]});
        assert_eq!(judge(&allow(), &[b"curl/8", b"Mozilla/5.0"]), Ok(()));
        assert_eq!(judge(&allow(), &[b"curl/8", b"sqlmap"]), Err(Fault::NotListed));
        let deny = || json!({"denylist": ["(?i)SQLMAP", "nikto"]});
        assert_eq!(judge(&deny(), &[b"curl/8", b"Nikto nikto"]), Err(Fault::Listed(1)));
        assert_eq!(judge(&deny(), &[b"curl/8"]), Ok(()));
    }

    #[test]
    fn an_empty_value_is_none() {
        for values in [&[][..], &[b"".as_slice()], &[b" \t"]] {
            assert_eq!(judge(&json!({"denylist": ["x"]}), values), Err(Fault::Missing));
            let bypass = json!({"allowlist": ["x"], "bypass_missing": true});
            assert_eq!(judge(&bypass, values), Ok(()));
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_judge(
            words in prop::collection::vec("[ab]{1,2}", 1..4),
            values in prop::collection::vec("[abc]{0,4}", 0..4),
            is_allow: bool,
            bypass_missing: bool,
        ) {
            let key = if is_allow { "allowlist" } else { "denylist" };
            let config = json!({key: words.clone(), "bypass_missing": bypass_missing});
            let listed = |value: &&String| words.iter().any(|word| value.contains(word.as_str()));
            let said: Vec<&String> = values.iter().filter(|value| !value.is_empty()).collect();
            let expected = if said.is_empty() {
                bypass_missing
            } else if is_allow {
                said.iter().all(listed)
            } else {
                !said.iter().any(listed)
            };
            let values: Vec<&[u8]> = values.iter().map(String::as_bytes).collect();
            prop_assert_eq!(judge(&config, &values).is_ok(), expected);
        }
    }
}
