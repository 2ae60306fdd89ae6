//! Refuses requests for paths and queries in which a pattern is found.
//!
//! ```yaml
//! uri-blocker:
//!   block_rules: ['\.(git|env|bak)(/|$|\?)', '(?i)union[\s+]+select', "^/admin"]
//! ```
//!
//! A pattern is searched for anywhere in path and query, twice: as they go upstream, and with every
//! percent-encoding decoded once (and `+` in the query a space, as forms have it). The first finds
//! rules about what is written (`%00`), the second those about what is meant, however it is
//! encoded: `/?q=%75nion%20select` is found by `union select`. Either is enough. Both are the
//! canonical form, which is what is matched, authorised and forwarded: letters that need no
//! encoding are plain already, `//` is `/`, and `/a/../admin` is `/admin`, so that no spelling of a
//! path leads around a rule. Write `^` for the beginning of the path.
//!
//! Patterns are regular expressions without look-around and back-references: searching takes time
//! in proportion to the target, whatever a client sends. They look at bytes, `.` is any byte, `\w`
//! and the like know ASCII only; `(?u)` at the beginning of a pattern makes it see characters.
//!
//! Precedence: any rule that is found refuses. It runs before anything asks who calls; in a global
//! rule also where no route matches. A rewrite comes later and changes nothing here.
//!
//! Answers: `rejected_code` (403) `admit.target_blocked`, with `rejected_msg` if there is one. The
//! event names the rule by its number.
//!
//! # Headers
//!
//! It reads no header and sets none.
//!
//! # What it costs
//!
//! One search for all rules together; where anything is encoded one copy and a second search.
//!
//! # What it cannot do
//!
//! It is a list of what is known to be bad. What is not on it passes, a client that encodes twice
//! passes (and means nothing by it, unless the upstream decodes twice), and bodies and headers are
//! not looked at. Routes that match only what exists hold off more.
//!
//! # How it differs from Apache APISIX
//!
//! The decoded form is searched too, also of the query; an empty list is refused, and so is a
//! status below 400, since a refusal must not look like a success.

use bartizan_chain::{CompileCx, Flow, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::pattern_list::PatternList;

/// The configuration of `uri-blocker`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Patterns that are refused where they are found in path and query.
    #[schemars(
        length(min = 1),
        inner(length(min = 1, max = 4096)),
        extend("uniqueItems" = true)
    )]
    block_rules: Vec<String>,
    /// Whether upper and lower case are the same.
    #[serde(default)]
    case_insensitive: bool,
    /// The status of a refusal: 400 to 599, since a refusal must not look like a success.
    #[serde(default = "forbidden")]
    #[schemars(range(min = 400, max = 599))]
    rejected_code: u16,
    /// What a refused client reads.
    #[schemars(length(min = 1))]
    rejected_msg: Option<String>,
}

fn forbidden() -> u16 {
    403
}

/// Compiled `uri-blocker`.
pub struct UriBlocker {
    rules: PatternList,
    status: u16,
    message: Option<String>,
}

/// A rule that was found: its number, from 0, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    AsSent(usize),
    Decoded(usize),
}

impl Plugin for UriBlocker {
    const NAME: &'static str = "uri-blocker";
    const PRIORITY: i32 = 2900;
    const KINSHIP: Kinship = Kinship::Different(
        "the decoded form is searched too, and the query; patterns in linear time",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Admit]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, _cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        Ok(Self {
            rules: PatternList::compile(
                "block_rules",
                &config.block_rules,
                config.case_insensitive,
            )?,
            status: config.rejected_code,
            message: config.rejected_msg,
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
        let (rule, detail) = match self.found(cx.canonical().path_and_query()) {
            None => return Ok(Flow::Continue),
            Some(Found::AsSent(rule)) => (rule, "a rule is found in path and query"),
            Some(Found::Decoded(rule)) => (rule, "a rule is found in the decoded path and query"),
        };
        let mut denial = Denial::new(Reason::TargetBlocked, detail)
            .with_status(self.status)
            .with_rule(format!("block_rules[{rule}]"));
        if let Some(message) = &self.message {
            denial = denial.with_message(message.clone());
        }
        Err(denial)
    }
}

impl UriBlocker {
    fn found(&self, target: &str) -> Option<Found> {
        if let Some(rule) = self.rules.found(target.as_bytes()) {
            return Some(Found::AsSent(rule));
        }
        self.rules.found(&decoded(target)?).map(Found::Decoded)
    }
}

/// Path and query with every encoding decoded once; `None` where nothing is encoded.
fn decoded(target: &str) -> Option<Vec<u8>> {
    let bytes = target.as_bytes();
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return None;
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut is_query = false;
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        is_query |= byte == b'?';
        match (byte, after) {
            (b'+', _) if is_query => out.push(b' '),
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(byte),
            },
            _ => out.push(byte),
        }
    }
    Some(out)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fixture::{Bench, percent_encoded, request};

    fn blocker(rules: &[&str]) -> UriBlocker {
        Bench::new().compile(&json!({"block_rules": rules})).unwrap()
    }

    /// What is found in the canonical form of a target.
    fn found(plugin: &UriBlocker, target: &str) -> Option<Found> {
        plugin.found(request(target, &[]).canonical().path_and_query())
    }

    #[test]
    fn no_spelling_leads_around_a_rule() {
        let plugin = blocker(&["^/admin", "union select"]);
        for target in ["/admin", "//admin/x", "/a/../admin", "/%61dmin", "/./admin?x"] {
            assert_eq!(found(&plugin, target), Some(Found::AsSent(0)), "{target}");
        }
        for target in ["/?q=union+select", "/?q=%75nion%20select", "/union%20select"] {
            assert_eq!(found(&plugin, target), Some(Found::Decoded(1)), "{target}");
        }
        for target in ["/", "/x/admin", "/union+select", "/?q=%2575nion+select"] {
            assert_eq!(found(&plugin, target), None, "{target}");
        }
    }

    #[test]
    fn what_is_written_is_found_as_well_as_what_is_meant() {
        assert_eq!(found(&blocker(&["%22"]), "/?q=%22"), Some(Found::AsSent(0)));
        assert_eq!(found(&blocker(&["\""]), "/?q=%22"), Some(Found::Decoded(0)));
        assert_eq!(found(&blocker(&["a.b"]), "/?q=a%0Ab"), Some(Found::Decoded(0)));
    }

    proptest! {
        #[test]
        fn a_word_is_found_however_it_is_encoded(
            word in "[a-z <>'\"]{1,6}",
            encoded in prop::collection::vec(any::<bool>(), 6),
            before in "[A-Z]{0,3}",
        ) {
            let write = |(letter, is_encoded): (char, &bool)| match letter {
                ' ' if !is_encoded => "+".to_owned(),
                'a'..='z' if !is_encoded => letter.to_string(),
                _ => percent_encoded(&letter.to_string()),
            };
            let written: String = word.chars().zip(&encoded).map(write).collect();
            let plugin = blocker(&[&word]);
            let target = format!("/?q={before}{written}");
            prop_assert!(found(&plugin, &target).is_some(), "{}", target);
        }

        #[test]
        fn agrees_with_a_naive_search(
            words in prop::collection::btree_set("[ab]{1,2}", 1..4),
            value in "([abc]|%6[1-4]){0,6}",
        ) {
            let rules: Vec<&str> = words.iter().map(String::as_str).collect();
            let meant = value
                .replace("%61", "a").replace("%62", "b").replace("%63", "c").replace("%64", "d");
            let naive = words.iter().any(|word| value.contains(word) || meant.contains(word));
            let plugin = blocker(&rules);
            prop_assert_eq!(plugin.found(&format!("/?{value}")).is_some(), naive);
        }
    }
}
