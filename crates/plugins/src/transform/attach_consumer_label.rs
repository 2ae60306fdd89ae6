//! Tells the upstream labels of the consumer who calls.
//!
//! ```yaml
//! attach-consumer-label:
//!   headers:
//!     X-Consumer-Department: $department
//!     X-Consumer-Plan: $plan
//! ```
//!
//! Each header gets the value of the label whose name follows the `$`. What a client sends under
//! such a name never arrives, in whatever case and with `_` for `-` (many servers cannot tell these
//! apart): where nobody is known, the caller is no consumer or has no such label, the header is
//! absent. Labels come from the configuration only, so that upstreams may believe them.
//!
//! Names that begin with `X-Consumer-` are best: no client gets one through this gateway on any
//! route. `X-Consumer-Username`, `X-Consumer-Custom-ID` and `X-Credential-Identifier` are the
//! gateway's own, and framing belongs to the connection; these cannot be named.
//!
//! With `_meta.filter` that holds for all requests of the route, whether the plugin runs or not; on
//! a consumer or group, for everybody's requests on every route.
//!
//! # Headers
//!
//! The upstream gets those that `headers` names, and never from a client: trailers of the request
//! are not passed on. It runs before `proxy-rewrite`.
//!
//! # What it costs
//!
//! One look-up and one header per label.
//!
//! # What it cannot do
//!
//! It tells what the configuration says of a consumer; a caller who is known by a token alone has
//! no labels. It refuses nobody.
//!
//! # How it differs from Apache APISIX
//!
//! Spellings with `_` are removed too, names that the gateway keeps for itself are refused, and a
//! label that no header can hold is an error (500) instead of being sent.

use std::collections::BTreeMap;

use bartizan_chain::{
    CompileCx, Consumer, Flow, Identity, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bartizan_wire::{Fields, is_field_value};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::field_change::{is_same_field, owned_name};

const KEY: &str = "headers";

/// The configuration of `attach-consumer-label`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Names of headers, each with `$` and the name of a label.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 64))]
    headers: BTreeMap<String, LabelName>,
}

/// `$` and the name of a label.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct LabelName(
    #[schemars(
        regex(pattern = r"^\$."),
        length(max = 257),
        extend("x-expects" = "`$` and the name of a label")
    )]
    String,
);

/// A header and the label that it holds.
struct Attached {
    header: Bytes,
    label: Box<str>,
}

/// Compiled `attach-consumer-label`.
pub struct AttachConsumerLabel {
    attached: Box<[Attached]>,
}

impl Plugin for AttachConsumerLabel {
    const NAME: &'static str = "attach-consumer-label";
    const PRIORITY: i32 = 2399;
    const KINSHIP: Kinship = Kinship::Different(
        "clients can send none of the fields, in no spelling; names that the gateway owns are \
         refused",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Transform]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, _cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        if config.headers.is_empty() {
            return Err(Invalid::at(KEY, "names no header"));
        }
        let mut attached: Vec<Attached> = Vec::with_capacity(config.headers.len());
        for (name, LabelName(text)) in config.headers {
            let fault =
                |problem: String| Invalid::at(&name, problem).under(PathStep::Key(KEY.to_owned()));
            let header = owned_name(&name).map_err(fault)?;
            if attached.iter().any(|other| is_same_field(&other.header, &header)) {
                return Err(fault(format!("`{name}` is the same header as another one")));
            }
            let label = text.strip_prefix('$').filter(|label| !label.is_empty());
            let label =
                label.ok_or_else(|| fault("expected `$` and the name of a label".into()))?;
            attached.push(Attached { header, label: label.into() });
        }
        Ok(Self { attached: attached.into_boxed_slice() })
    }

    fn traits(&self) -> Traits {
        Traits::in_stages(&[Stage::Transform])
    }

    fn owned_fields(&self) -> Vec<&[u8]> {
        self.attached.iter().map(|own| &*own.header).collect()
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        cx.drop_trailers();
        let consumer = cx.identity().and_then(Identity::consumer).cloned();
        self.attach(consumer.as_deref(), &mut cx.fields)?;
        Ok(Flow::Continue)
    }
}

impl AttachConsumerLabel {
    fn attach(&self, consumer: Option<&Consumer>, fields: &mut Fields) -> Result<(), Denial> {
        fields.retain(|field| {
            !self.attached.iter().any(|own| is_same_field(&own.header, field.name))
        });
        let Some(consumer) = consumer else { return Ok(()) };
        for Attached { header, label } in &self.attached {
            let Some(value) = consumer.label(label) else { continue };
            if !is_field_value(value.as_bytes()) {
                let detail = format!("the label `{label}` has a value that no header can hold");
                return Err(Denial::new(Reason::Internal, detail));
            }
            fields.append(header.clone(), Bytes::copy_from_slice(value.as_bytes()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::Bench;

    fn consumer(labels: &[(&str, &str)]) -> Consumer {
        let labels = labels.iter().map(|(name, value)| (Arc::from(*name), Arc::from(*value)));
        Consumer::new("alice".into(), None, labels.collect())
    }

    fn attached(consumer: Option<&Consumer>, sent: &[(&'static str, &'static str)]) -> Vec<String> {
        let config = json!({ "headers": { "X-Dept": "$department", "X-Plan": "$plan" } });
        let plugin: AttachConsumerLabel = Bench::new().compile(&config).unwrap();
        let mut fields = Fields::new();
        for (name, value) in sent {
            fields.append(*name, *value);
        }
        plugin.attach(consumer, &mut fields).unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        fields.iter().map(|f| format!("{}: {}", text(f.name), text(f.value))).collect()
    }

    #[test]
    fn labels_are_told_and_nothing_else_under_their_names() {
        let alice = consumer(&[("department", "orders"), ("other", "x")]);
        let forged = [("x-dept", "forged"), ("x_plan", "gold"), ("x-plan", "gold"), ("a", "b")];
        assert_eq!(attached(Some(&alice), &forged), ["a: b", "x-dept: orders"]);
        assert_eq!(attached(None, &forged), ["a: b"]);
        assert_eq!(attached(Some(&consumer(&[])), &forged), ["a: b"]);
    }

    #[test]
    fn a_label_that_no_header_can_hold_is_an_error() {
        let config = json!({ "headers": { "X-Dept": "$department" } });
        let plugin: AttachConsumerLabel = Bench::new().compile(&config).unwrap();
        let odd = consumer(&[("department", "a\u{1}b")]);
        let denial = plugin.attach(Some(&odd), &mut Fields::new()).unwrap_err();
        assert_eq!((denial.reason, denial.status()), (Reason::Internal, 500));
    }

    #[test]
    fn headers_that_are_the_gateways_own_are_refused() {
        for (name, value, problem) in [
            ("a b", "$x", "not the name"),
            ("Host", "$x", "belongs to the connection"),
            ("Content-Length", "$x", "belongs to the connection"),
            ("X-Consumer-Username", "$x", "the gateway itself"),
            ("x_credential_identifier", "$x", "the gateway itself"),
            ("X-A", "$", "name of a label"),
            ("X-A", "plan", "name of a label"),
        ] {
            let config: Value = json!({ "headers": { name: value } });
            let fault = Bench::new().fault::<AttachConsumerLabel>(&config);
            assert!(fault.problem.contains(problem), "{name}: {}", fault.problem);
        }
        let twice = json!({ "headers": { "X-A": "$x", "x_a": "$y" } });
        assert!(Bench::new().fault::<AttachConsumerLabel>(&twice).problem.contains("the same"));
    }

    proptest::proptest! {
        #[test]
        fn no_client_gets_a_value_through(
            name in "x[-_][dp][el][pa][tn]",
            value in "[a-z]{1,8}",
        ) {
            let sent = [(&*name.leak(), &*value.leak())];
            let kept = attached(None, &sent);
            let is_theirs = ["x-dept", "x-plan"].contains(&sent[0].0.replace('_', "-").as_str());
            proptest::prop_assert_eq!(kept.is_empty(), is_theirs);
        }
    }
}
