//! What a rule does: refuse, or what a limit does.

use std::sync::Arc;

use bartizan_chain::{AnswerHead, CompileCx, Outcome, Plugin, RequestCx, Traits};
use bartizan_config::{Invalid, PathStep, ResourceRef};
use bartizan_core::{Denial, Reason, Stage};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::limit_conn::{self, LimitConn};
use super::super::limit_count::{self, LimitCount};
use super::super::limit_req::{self, LimitReq};

/// An action as it is written: its name and its configuration.
#[derive(Debug, Deserialize)]
pub(super) struct WrittenAction(String, Value);

/// A refusal.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Return {
    /// The status of the refusal.
    #[schemars(range(min = 400, max = 599))]
    code: u16,
}

/// The names of actions.
const RETURN: &str = "return";

impl JsonSchema for WrittenAction {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Action".into()
    }

    /// A pair whose second part is what the first one says.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let configurations = [
            (RETURN, generator.subschema_for::<Return>()),
            (LimitCount::NAME, generator.subschema_for::<limit_count::Config>()),
            (LimitConn::NAME, generator.subschema_for::<limit_conn::Config>()),
            (LimitReq::NAME, generator.subschema_for::<limit_req::Config>()),
        ];
        let names: Vec<&str> = configurations.iter().map(|(name, _)| *name).collect();
        let branches: Vec<Schema> = configurations
            .iter()
            .map(|(name, configuration)| {
                json_schema!({
                    "if": {"prefixItems": [{"const": name}]},
                    "then": {"prefixItems": [{}, configuration]}
                })
            })
            .collect();
        json_schema!({
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "prefixItems": [{"enum": names}, {"type": "object"}],
            "allOf": branches
        })
    }
}

/// What a rule does.
pub(super) enum Action {
    /// Refuses.
    Return(u16),
    /// Spends a limit of requests in a window.
    Count(Box<LimitCount>),
    /// Spends a limit of requests at a time.
    Conn(Box<LimitConn>),
    /// Spends a limit of the rate.
    Req(Box<LimitReq>),
}

/// What an action remembers of a request.
#[derive(Default)]
pub(super) enum ActionCall {
    /// Nothing.
    #[default]
    Nothing,
    /// Of `limit-count`.
    Count(limit_count::Call),
    /// Of `limit-conn`.
    Conn(limit_conn::Call),
}

impl Action {
    /// Compiles an action. `place` names it inside the workflow, so that its state is its own.
    pub(super) fn compile(
        written: WrittenAction,
        place: &str,
        cx: &CompileCx<'_>,
    ) -> Result<Self, Invalid> {
        let WrittenAction(name, config) = written;
        let action = match name.as_str() {
            RETURN => read::<Return>(&config).map(|config| Self::Return(config.code)),
            LimitCount::NAME => nested(&config, place, cx).map(|p| Self::Count(Box::new(p))),
            LimitConn::NAME => nested(&config, place, cx).map(|p| Self::Conn(Box::new(p))),
            LimitReq::NAME => nested(&config, place, cx).map(|p| Self::Req(Box::new(p))),
            _ => {
                let problem = format!("there is no action `{name}`");
                return Err(Invalid::new(problem).under(PathStep::Index(0)));
            }
        };
        action.map_err(|fault| fault.under(PathStep::Index(1)))
    }

    /// What the action needs.
    pub(super) fn traits(&self) -> Traits {
        match self {
            Self::Return(_) => Traits::default(),
            Self::Count(plugin) => plugin.traits(),
            Self::Conn(plugin) => plugin.traits(),
            Self::Req(plugin) => plugin.traits(),
        }
    }

    /// Carries the action out.
    pub(super) async fn run(
        &self,
        stage: Stage,
        cx: &mut RequestCx,
        memory: &mut ActionCall,
    ) -> Result<(), Denial> {
        match self {
            Self::Return(code) => {
                let detail = format!("the rule returns {code}");
                return Err(Denial::new(Reason::WorkflowRejected, detail).with_status(*code));
            }
            Self::Count(plugin) => {
                let mut call = limit_count::Call::default();
                let result = plugin.on_request(stage, cx, &mut call).await;
                *memory = ActionCall::Count(call);
                result?;
            }
            Self::Conn(plugin) => {
                let mut call = limit_conn::Call::default();
                let result = plugin.on_request(stage, cx, &mut call).await;
                *memory = ActionCall::Conn(call);
                result?;
            }
            Self::Req(plugin) => drop(plugin.on_request(stage, cx, &mut ()).await?),
        }
        Ok(())
    }

    pub(super) fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        memory: &mut ActionCall,
    ) -> Result<(), Denial> {
        match (self, memory) {
            (Self::Count(plugin), ActionCall::Count(call)) if plugin.traits().on_response => {
                plugin.on_response_head(cx, answer, call)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn on_finish(&self, cx: &RequestCx, outcome: &Outcome<'_>, memory: &mut ActionCall) {
        if let (Self::Conn(plugin), ActionCall::Conn(call)) = (self, memory) {
            plugin.on_finish(cx, outcome, call);
        }
    }
}

/// A plugin inside the workflow, with state of its own.
fn nested<P: Plugin>(config: &Value, place: &str, cx: &CompileCx<'_>) -> Result<P, Invalid> {
    let resource = ResourceRef {
        kind: cx.resource.kind,
        id: Arc::from(format!("{}/workflow/{place}", cx.resource.id)),
    };
    let mut inner = CompileCx {
        node: cx.node,
        resource: &resource,
        plugin: P::NAME,
        is_disabled: cx.is_disabled,
        metadata: None,
        has_consumer: cx.has_consumer,
        has_group: cx.has_group,
        proto: cx.proto,
        exposed: cx.exposed,
    };
    P::compile(read(config)?, &mut inner)
}

fn read<T: DeserializeOwned>(config: &Value) -> Result<T, Invalid> {
    T::deserialize(config).map_err(|error| Invalid::new(error.to_string()))
}
