//! What the authorization service is told.

use bartizan_chain::{RequestCx, Template, Var};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason};
use bartizan_wire::Fields;
use bytes::Bytes;
use http::Method;

use super::config::{AskMethod, Config};
use crate::authorize::service::{HeaderNames, Towards, is_sendable};

/// What is asked, as far as it is known before there is a request.
pub(super) struct Question {
    method: Method,
    request_headers: HeaderNames,
    extra: Box<[(Bytes, Template)]>,
}

impl Question {
    pub(super) fn compile(config: &Config) -> Result<Self, Invalid> {
        let key = "request_headers";
        let request_headers = HeaderNames::compile(key, &config.request_headers, Towards::Service)?;
        let mut extra = Vec::new();
        for (name, text) in config.extra_headers.iter().flatten() {
            let at = |fault: Invalid| {
                fault
                    .under(PathStep::Key(name.clone()))
                    .under(PathStep::Key("extra_headers".to_owned()))
            };
            let named = HeaderNames::compile("", std::slice::from_ref(name), Towards::Service);
            if let Err(fault) = named {
                return Err(at(Invalid::new(fault.problem)));
            }
            let template =
                Template::parse(text).map_err(|fault| at(Invalid::new(fault.to_string())))?;
            if template.vars().any(Var::needs_answer) {
                let problem = "the service is asked before there is an answer of the upstream";
                return Err(at(Invalid::new(problem)));
            }
            if template.as_literal().is_some_and(|text| !is_sendable(text)) {
                return Err(at(Invalid::new("is not the value of a header")));
            }
            extra.push((Bytes::from(name.to_ascii_lowercase()), template));
        }
        let method = match config.request_method {
            AskMethod::Get => Method::GET,
            AskMethod::Post => Method::POST,
        };
        Ok(Self { method, request_headers, extra: extra.into() })
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    /// The fields of the call.
    pub(super) fn fields(&self, cx: &RequestCx) -> Result<Fields, Denial> {
        let mut fields = Fields::new();
        let outgoing = cx.outgoing();
        let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        fields.append("x-forwarded-proto", text(cx.canonical().scheme()));
        fields.append("x-forwarded-method", text(cx.canonical().method().as_str()));
        fields.append("x-forwarded-host", text(cx.canonical().authority()));
        fields.append("x-forwarded-uri", text(outgoing.path_and_query()));
        fields.append("x-forwarded-for", cx.client().to_string());
        for name in self.request_headers.iter() {
            if let Some(value) = one_value(cx, name)? {
                fields.append(text(name), value);
            }
        }
        if self.method == Method::POST
            && cx.body().is_some_and(|body| !body.is_empty())
            && let Some(media) = one_value(cx, "content-type")?
        {
            fields.set("content-type", media);
        }
        for (name, template) in &self.extra {
            let mut value = String::new();
            let has_value = template.render(cx, &mut value).map_err(|fault| {
                Denial::new(Reason::AmbiguousParameter, format!("`extra_headers`: {fault}"))
            })?;
            if !is_sendable(&value) {
                let detail = "`extra_headers`: a value would hold what no header may";
                return Err(Denial::new(Reason::AmbiguousParameter, detail));
            }
            if has_value || template.as_literal().is_some() {
                fields.set(name.clone(), value);
            }
        }
        Ok(fields)
    }
}

/// The value of a field that has one meaning only where it occurs once. Cookies may come in several
/// fields (RFC 9113 §8.2.3).
fn one_value(cx: &RequestCx, name: &str) -> Result<Option<Bytes>, Denial> {
    if name == "cookie" {
        let lines: Vec<&[u8]> = cx.fields.all(name).collect();
        return Ok((!lines.is_empty()).then(|| Bytes::from(lines.join(&b"; "[..]))));
    }
    let value = cx.fields.single(name).map_err(|_| {
        let detail = format!("`{name}` occurs more than once");
        Denial::new(Reason::AmbiguousParameter, detail)
    })?;
    Ok(value.map(Bytes::copy_from_slice))
}
