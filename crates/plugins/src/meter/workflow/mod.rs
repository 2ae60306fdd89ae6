//! Does the first thing whose condition holds: refuses, or spends a limit.
//!
//! ```yaml
//! workflow:
//!   rules:
//!   - case: [[uri, "==", /admin]]
//!     actions: [[return, {code: 403}]]
//!   - case: [[http_x_plan, "==", free]]
//!     actions: [[limit-count, {count: 10, time_window: 60}]]
//!   - actions: [[limit-count, {count: 1000, time_window: 60}]]
//! ```
//!
//! Rules are looked at in their order; the first one whose `case` holds is carried out, and no
//! other. A rule without a `case` always holds. Its `actions` are carried out one after the other,
//! until one refuses: `return` refuses with its `code`; `limit-count`, `limit-conn` and `limit-req`
//! do what the plugins of these names do, with the same configuration; what a limit before the one
//! that refuses has counted stays counted. Where no rule holds the request goes on.
//!
//! Each limit counts for itself, apart from others in the same workflow and from plugins of its
//! name on the route; it belongs to the place of its rule, so that rules which change places start
//! anew. Only a `group` is shared with everybody who names it. Names of headers from the metadata
//! of `limit-count` do not apply here.
//!
//! Where neither a `case` nor a limit asks who calls, it runs before any cryptography, otherwise as
//! soon as that is known. It refuses and counts, and never lets anything in: it is no
//! authentication and no grant. It is no limit that `security.require` accepts either, since what a
//! rule asks for need not hold. A value that a `case` reads and a client repeated is refused.
//!
//! A `return` is `workflow.rejected` with the given status; the event names the rule.
//!
//! # Headers
//!
//! Those of the limits that are spent; a `return` sets none.
//!
//! # What it costs
//!
//! The expressions up to the first that holds, and its limits.
//!
//! # What it cannot do
//!
//! It never lets anything in: it is no authentication and no grant, and no limit that
//! `security.require` accepts. It does not read bodies.
//!
//! # How it differs from Apache APISIX
//!
//! Apache APISIX carries out the first action of a rule only, lets `return` send any status, and
//! knows no `limit-req` here. A rule that cannot be evaluated denies.

mod action;
#[cfg(test)]
mod tests;

use bartizan_chain::{
    AnswerHead, CompileCx, Expr, Flow, Kinship, Nothing, Outcome, Plugin, RequestCx, Traits,
    Unsupported, Var,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use smallvec::SmallVec;

use action::{Action, ActionCall, WrittenAction};

/// The configuration of `workflow`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is done when; the first rule whose `case` holds counts.
    #[schemars(length(min = 1, max = 64))]
    rules: Vec<Rule>,
}

/// What is done when.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// When: an expression such as `[["uri", "==", "/admin"]]`; without it always.
    #[schemars(length(min = 1))]
    case: Option<Vec<Value>>,
    /// What: pairs of a name and its configuration, such as `["return", {"code": 403}]`.
    #[schemars(length(min = 1, max = 8))]
    actions: Vec<WrittenAction>,
}

/// Compiled `workflow`.
pub struct Workflow {
    rules: Box<[CompiledRule]>,
    stage: Stage,
    on_response: bool,
    on_finish: bool,
}

struct CompiledRule {
    case: Option<Expr>,
    actions: Box<[Action]>,
    /// What events call it.
    name: String,
}

/// What `workflow` remembers of a request: of each action that ran, its rule, index and memory.
#[derive(Default)]
pub struct Call {
    ran: SmallVec<[(usize, usize, ActionCall); 1]>,
}

const REDIS: Unsupported = Unsupported::NotYet("each node counts for itself");

impl Plugin for Workflow {
    const NAME: &'static str = "workflow";
    const PRIORITY: i32 = 1006;
    const KINSHIP: Kinship = Kinship::Different("a rule that cannot be evaluated denies");
    const STAGES: StageSet = StageSet::of(&[Stage::Admit, Stage::Meter]);
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[
        ("rules[].actions[][].sync_interval", REDIS),
        ("rules[].actions[][].key_ttl", REDIS),
        ("rules[].actions[][].redis_host", REDIS),
        ("rules[].actions[][].redis_port", REDIS),
        ("rules[].actions[][].redis_username", REDIS),
        ("rules[].actions[][].redis_password", REDIS),
        ("rules[].actions[][].redis_database", REDIS),
        ("rules[].actions[][].redis_timeout", REDIS),
        ("rules[].actions[][].redis_ssl", REDIS),
        ("rules[].actions[][].redis_ssl_verify", REDIS),
        ("rules[].actions[][].redis_keepalive_timeout", REDIS),
        ("rules[].actions[][].redis_keepalive_pool", REDIS),
        ("rules[].actions[][].redis_cluster_nodes", REDIS),
        ("rules[].actions[][].redis_cluster_name", REDIS),
        ("rules[].actions[][].redis_cluster_ssl", REDIS),
        ("rules[].actions[][].redis_cluster_ssl_verify", REDIS),
        ("rules[].actions[][].redis_connect_timeout", REDIS),
        ("rules[].actions[][].redis_read_timeout", REDIS),
        ("rules[].actions[][].redis_master_name", REDIS),
        ("rules[].actions[][].redis_role", REDIS),
        ("rules[].actions[][].redis_sentinels", REDIS),
        ("rules[].actions[][].sentinel_username", REDIS),
        ("rules[].actions[][].sentinel_password", REDIS),
    ];

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = Call;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let count = config.rules.len();
        let mut rules = Vec::with_capacity(count);
        for (index, rule) in config.rules.into_iter().enumerate() {
            if rule.case.is_none() && index + 1 < count {
                let problem = "it always holds, so that the rules behind it never do";
                return Err(Invalid::at_item("rules", index, problem));
            }
            rules.push(compiled(index, rule, cx).map_err(|fault| {
                fault.under(PathStep::Index(index)).under(PathStep::Key("rules".into()))
            })?);
        }
        let all = || rules.iter().flat_map(|rule| rule.actions.iter()).map(Action::traits);
        let asks = rules.iter().filter_map(|rule| rule.case.as_ref());
        let asks_who = asks.flat_map(Expr::vars).any(Var::needs_identity);
        let needs_identity = asks_who || all().any(|traits| traits.stages.contains(Stage::Meter));
        Ok(Self {
            stage: if needs_identity { Stage::Meter } else { Stage::Admit },
            on_response: all().any(|traits| traits.on_response),
            on_finish: all().any(|traits| traits.on_finish),
            rules: rules.into(),
        })
    }

    fn traits(&self) -> Traits {
        let (on_response, on_finish) = (self.on_response, self.on_finish);
        Traits { on_response, on_finish, ..Traits::in_stages(&[self.stage]) }
    }

    async fn on_request(
        &self,
        stage: Stage,
        cx: &mut RequestCx,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        call.ran.clear();
        let Some((at, rule)) = self.first(cx)? else { return Ok(Flow::Continue) };
        for (index, action) in rule.actions.iter().enumerate() {
            let mut memory = ActionCall::default();
            let result = action.run(stage, cx, &mut memory).await;
            call.ran.push((at, index, memory));
            result.map_err(|denial| denial.with_rule(rule.name.clone()))?;
        }
        Ok(Flow::Continue)
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Call,
    ) -> Result<(), Denial> {
        for (rule, index, memory) in &mut call.ran {
            if let Some(action) = self.action(*rule, *index) {
                action.on_response_head(cx, answer, memory)?;
            }
        }
        Ok(())
    }

    fn on_finish(&self, cx: &RequestCx, outcome: &Outcome<'_>, call: &mut Call) {
        for (rule, index, memory) in &mut call.ran {
            if let Some(action) = self.action(*rule, *index) {
                action.on_finish(cx, outcome, memory);
            }
        }
    }
}

impl Workflow {
    /// The first rule that holds, and its index.
    fn first(&self, cx: &RequestCx) -> Result<Option<(usize, &CompiledRule)>, Denial> {
        for (index, rule) in self.rules.iter().enumerate() {
            let Some(case) = &rule.case else { return Ok(Some((index, rule))) };
            let holds = case.holds(cx).map_err(|fault| {
                Denial::new(Reason::AmbiguousParameter, format!("a case of a rule: {fault}"))
                    .with_rule(rule.name.clone())
            })?;
            if holds {
                return Ok(Some((index, rule)));
            }
        }
        Ok(None)
    }

    fn action(&self, rule: usize, index: usize) -> Option<&Action> {
        self.rules.get(rule)?.actions.get(index)
    }
}

fn compiled(index: usize, rule: Rule, cx: &CompileCx<'_>) -> Result<CompiledRule, Invalid> {
    let case = rule.case.map(|case| Expr::compile(&Value::Array(case))).transpose();
    let case = case.map_err(|fault| fault.under(PathStep::Key("case".into())))?;
    if case.as_ref().is_some_and(|case| case.vars().into_iter().any(Var::needs_answer)) {
        return Err(Invalid::at("case", "it reads the answer, which is not there yet"));
    }
    let actions = rule.actions.into_iter().enumerate().map(|(at, written)| {
        Action::compile(written, &format!("{index}/{at}"), cx).map_err(|fault| {
            fault.under(PathStep::Index(at)).under(PathStep::Key("actions".into()))
        })
    });
    let actions = actions.collect::<Result<Box<[_]>, Invalid>>()?;
    Ok(CompiledRule { case, actions, name: format!("rules[{index}]") })
}
