//! Changes answers: status, headers, body.
//!
//! ```yaml
//! response-rewrite:
//!   headers:
//!     set: {X-Served-By: $upstream_addr}
//!     remove: [Server]
//!   vars: [[status, "==", "200"]]
//! ```
//!
//! It applies where `vars` holds, to answers of the upstream and of the gateway alike; without
//! `vars` to all. Headers are removed, then set, then added; a plain mapping sets. Another body
//! takes with it the fields that described the old one: length, encoding, validators, ranges.
//!
//! Fields that frame the message cannot be changed. A value that would hold what no field may is an
//! error, not an answer. It does not look into bodies.

use std::collections::BTreeMap;

use bartizan_chain::{
    AnswerHead, CompileCx, Expr, Kinship, Nothing, Plugin, RequestCx, Traits, Unsupported,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::field_change::{ChangeFault, FieldChange, FieldChanges, HeaderValue, Side};

/// The configuration of `response-rewrite`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The new status.
    #[schemars(range(min = 200, max = 598))]
    status_code: Option<u16>,
    /// The new body.
    #[schemars(length(max = 1_048_576))]
    body: Option<String>,
    /// Whether `body` is written in Base64.
    #[serde(default)]
    body_base64: bool,
    /// Changes to the headers.
    headers: Option<Headers>,
    /// Where it applies; an expression such as `[["status", "==", "200"]]`.
    vars: Option<Vec<Value>>,
}

/// Changes to headers: by kind, or a plain mapping of what is set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Headers {
    /// By kind.
    Changes(HeaderChanges),
    /// What is set.
    Set(BTreeMap<String, HeaderValue>),
}

/// Changes to headers, by kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderChanges {
    /// Put in place of whatever there is.
    #[schemars(extend("minProperties" = 1))]
    set: Option<BTreeMap<String, HeaderValue>>,
    /// Put beside whatever there is, each as `Name: value`.
    #[schemars(length(min = 1))]
    add: Option<Vec<String>>,
    /// Taken away.
    #[schemars(length(min = 1))]
    remove: Option<Vec<String>>,
}

/// Compiled `response-rewrite`.
pub struct ResponseRewrite {
    status: Option<StatusCode>,
    body: Option<Bytes>,
    fields: FieldChange,
    applies: Option<Expr>,
}

impl Plugin for ResponseRewrite {
    const NAME: &'static str = "response-rewrite";
    const PRIORITY: i32 = 899;
    const KINSHIP: Kinship = Kinship::Different("fields that frame the message cannot be changed");
    const STAGES: StageSet = StageSet::of(&[Stage::Reply]);
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[
        ("filters", Unsupported::NotYet("nothing searches bodies; `body` replaces them whole")),
        ("max_resp_body_size", Unsupported::NotYet("it bounds what `filters` read")),
    ];

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, _cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let Config { status_code, body, body_base64, headers, vars } = config;
        if status_code.is_none() && body.is_none() && headers.is_none() {
            return Err(Invalid::new("changes nothing")
                .with_help("one of `status_code`, `body` and `headers`"));
        }
        let status = status_code.map(|code| {
            StatusCode::from_u16(code)
                .map_err(|_| Invalid::at("status_code", format!("`{code}` is no status")))
        });
        let status = status.transpose()?;
        if body.is_none() && body_base64 {
            return Err(Invalid::at("body_base64", "there is no `body`"));
        }
        let has_content = body.as_deref().is_some_and(|body| !body.is_empty());
        if has_content && matches!(status_code, Some(204 | 205 | 304)) {
            return Err(Invalid::at("body", "answers with this `status_code` have no body"));
        }
        let body = body.map(|text| body_bytes(text, body_base64)).transpose()?;
        let fields = headers.as_ref().map(field_change).transpose();
        let fields = fields.map_err(|fault| fault.under(PathStep::Key("headers".into())))?;
        let applies = vars.map(|vars| Expr::compile(&Value::Array(vars))).transpose();
        let applies = applies.map_err(|fault| fault.under(PathStep::Key("vars".into())))?;
        Ok(Self { status, body, fields: fields.unwrap_or_default(), applies })
    }

    fn traits(&self) -> Traits {
        Traits { on_response: true, ..Traits::in_stages(&[Stage::Reply]) }
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        _call: &mut (),
    ) -> Result<(), Denial> {
        if let Some(applies) = &self.applies {
            let holds = applies.holds(cx).map_err(|fault| {
                Denial::new(Reason::AmbiguousParameter, format!("`vars`: {fault}"))
            })?;
            if !holds {
                return Ok(());
            }
        }
        self.fields.apply(cx, &[], &mut answer.fields).map_err(change_denial)?;
        if let Some(status) = self.status {
            answer.status = status;
        }
        if let Some(body) = &self.body {
            answer.replace(body.clone());
        }
        Ok(())
    }
}

fn change_denial(fault: ChangeFault) -> Denial {
    let reason = match fault {
        ChangeFault::Variable(_) => Reason::AmbiguousParameter,
        ChangeFault::Value => Reason::RewriteRefused,
    };
    Denial::new(reason, fault.to_string())
}

fn body_bytes(text: String, is_base64: bool) -> Result<Bytes, Invalid> {
    if !is_base64 {
        return Ok(Bytes::from(text));
    }
    let decoded = STANDARD.decode(&text);
    decoded.map(Bytes::from).map_err(|_| Invalid::at("body", "is not Base64"))
}

fn field_change(headers: &Headers) -> Result<FieldChange, Invalid> {
    let mut changes = FieldChanges::new(Side::Response, 0);
    match headers {
        Headers::Set(set) => {
            for (name, value) in set {
                changes.set(name, &[value.text()])?;
            }
        }
        Headers::Changes(HeaderChanges { set, add, remove }) => {
            if set.is_none() && add.is_none() && remove.is_none() {
                return Err(Invalid::new("changes nothing"));
            }
            for (name, value) in set.iter().flatten() {
                let value = [value.text()];
                changes.set(name, &value).map_err(|f| f.under(PathStep::Key("set".into())))?;
            }
            for (index, line) in add.iter().flatten().enumerate() {
                let (name, value) = line.split_once(':').ok_or_else(|| {
                    Invalid::at_item("add", index, format!("`{line}` is not `Name: value`"))
                })?;
                let value = [value.trim_matches([' ', '\t']).to_owned()];
                changes.add(name, &value).map_err(|fault| at_item("add", index, fault))?;
            }
            for (index, name) in remove.iter().flatten().enumerate() {
                changes.remove(name).map_err(|fault| at_item("remove", index, fault))?;
            }
        }
    }
    changes.build()
}

/// The fault of a change whose name is not a key of the configuration.
fn at_item(key: &str, index: usize, fault: Invalid) -> Invalid {
    Invalid { path: vec![PathStep::Key(key.to_owned()), PathStep::Index(index)], ..fault }
}

#[cfg(test)]
mod tests {
    use bartizan_wire::Fields;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::fixture::{Bench, percent_encoded, request};

    fn answer(status: u16, lines: &[(&'static str, &'static str)]) -> AnswerHead {
        let mut fields = Fields::new();
        for (name, value) in lines {
            fields.append(*name, *value);
        }
        let status = StatusCode::from_u16(status).unwrap();
        AnswerHead::new(status, fields, false)
    }

    fn rewrite(config: &Value, target: &str, answer: &mut AnswerHead) -> Result<(), Denial> {
        let plugin = Bench::new().compile::<ResponseRewrite>(config).unwrap();
        let mut cx = request(target, &[]);
        cx.status = Some(answer.status.as_u16());
        plugin.on_response_head(&cx, answer, &mut ())
    }

    #[test]
    fn another_body_takes_the_description_of_the_old_one_with_it() {
        let mut answer = answer(
            200,
            &[("etag", "x"), ("content-length", "3"), ("content-encoding", "br"), ("x-a", "1")],
        );
        let config = json!({"body": "aGk=", "body_base64": true, "status_code": 418});
        rewrite(&config, "/", &mut answer).unwrap();
        assert_eq!(answer.status, 418);
        assert_eq!(answer.replacement.unwrap().0, "hi");
        let names: Vec<_> = answer.fields.iter().map(|field| field.name).collect();
        assert_eq!(names, [b"x-a"]);
    }

    #[test]
    fn headers_are_changed_where_the_expression_holds() {
        let config = json!({
            "headers": {"set": {"X-Id": "$arg_id", "X-N": 1}, "add": ["Vary: Origin"], "remove": ["server"]},
            "vars": [["status", "==", 200]],
        });
        let lines = [("server", "x"), ("vary", "Accept"), ("x-id", "old")];
        let mut hit = answer(200, &lines);
        rewrite(&config, "/?id=7", &mut hit).unwrap();
        assert_eq!(hit.fields.get_str("x-id"), Some("7"));
        assert_eq!(hit.fields.get_str("x-n"), Some("1"));
        assert_eq!(hit.fields.all("vary").collect::<Vec<_>>(), [&b"Accept"[..], b"Origin"]);
        assert!(!hit.fields.contains("server"));

        let mut miss = answer(500, &lines);
        rewrite(&config, "/?id=7", &mut miss).unwrap();
        assert_eq!(miss.fields.get_str("x-id"), Some("old"));
        assert_eq!(miss.fields.len(), 3);
    }

    #[test]
    fn a_plain_mapping_sets() {
        let mut answer = answer(200, &[("x-a", "0")]);
        rewrite(&json!({"headers": {"X-A": "1"}}), "/", &mut answer).unwrap();
        assert_eq!(answer.fields.all("x-a").collect::<Vec<_>>(), [b"1"]);
    }

    #[test]
    fn faults_say_where_and_why() {
        for (config, problem) in [
            (json!({}), "changes nothing"),
            (json!({"headers": {}}), "changes nothing"),
            (json!({"body_base64": true, "status_code": 200}), "no `body`"),
            (json!({"body": "!", "body_base64": true}), "not Base64"),
            (json!({"body": "x", "status_code": 204}), "no body"),
            (json!({"headers": {"add": ["novalue"]}}), "not `Name: value`"),
            (json!({"headers": {"set": {"Content-Length": "1"}}}), "connection"),
            (json!({"headers": {"X": "$nope"}}), "no variable"),
            (json!({"body": "x", "vars": [["nope", "==", "1"]]}), "no variable"),
        ] {
            let fault = Bench::new().fault::<ResponseRewrite>(&config);
            assert!(fault.problem.contains(problem), "{config}: {fault}");
        }
    }

    proptest! {
        #[test]
        fn no_value_ever_splits_an_answer(id in "[a-z\r\n\t :]{0,12}") {
            let encoded = percent_encoded(&id);
            let target = format!("/?id={encoded}");
            let mut answer = answer(200, &[]);
            let result = rewrite(&json!({"headers": {"X-Id": "$arg_id"}}), &target, &mut answer);
            prop_assert_eq!(result.is_ok(), bartizan_wire::is_field_value(id.as_bytes()));
            prop_assert!(answer.fields.iter().all(|f| bartizan_wire::is_field_value(f.value)));
        }
    }
}
