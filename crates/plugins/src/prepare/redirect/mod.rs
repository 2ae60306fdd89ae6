//! Answers with a redirect: to https, to another place, or by a pattern.
//!
//! Exactly one of `http_to_https`, `uri` and `regex_uri`.
//!
//! ```yaml
//! redirect:
//!   http_to_https: true
//! ```
//!
//! ```yaml
//! redirect:
//!   regex_uri: ["^/v1/(.*)", "https://api.example.com/v2/$1"]
//!   append_query_string: true
//!   ret_code: 308
//! ```
//!
//! **`http_to_https`** sends whoever came without encryption to the same host, path and query by
//! https: GET and HEAD with 301, everything else with 308, which keeps method and body. It runs in
//! Prepare, before anything reads a credential. Who came by https goes on to the other plugins, so
//! the route needs all that any route needs. The port is the metadata's `https_port`, else that of
//! the node's first TLS listener; 443 is not written. Where a trusted proxy ends TLS, its
//! `X-Forwarded-Proto` says how the client came; from everybody else that is hearsay. A proxy that
//! is not named in `trusted_proxies` or `real-ip` makes a loop.
//!
//! **`uri`** answers every request, so that nothing is forwarded and the route needs no upstream
//! and no authentication. **`regex_uri`** is a pattern and what comes in place of what it matches in
//! the path; where it is not found the request goes on. Both run after Authorize and Validate and
//! before rewrites: on a route with authentication only callers who may call learn where it leads.
//!
//! A target is a path (`/new`, `$uri/`, `$request_uri`) or a URL. Variables in it are
//! percent-encoded, so that a value is never structure; `$uri`, `$args`, `$request_uri` and captures
//! are canonical already. **The client never chooses the site**: host and port are written, or the
//! request's own (`$host`, `$http_host`, with `:8443` or `:$server_port`), or end in a domain that
//! is written (`https://$1.example.com/`). What follows a host without a slash gets one, so that
//! `https://example.com$1` cannot become `https://example.com.evil.net`; two slashes at the
//! beginning of a path become one. A pattern whose target is a URL has to match from the beginning
//! of the path. A credential that authentication took out of the query is not in the target.
//!
//! `append_query_string` appends the query of the request. With `encode_uri` the path of the target
//! is plain text and is encoded (`%` too); without it it is written encoded.
//!
//! Answers: `ret_code` (302) with `Location` and no body. A host that variables do not make valid
//! is refused with 400 `transform.rewrite_refused`.
//!
//! # Headers
//!
//! The answer has `Location`. `X-Forwarded-Proto` is read from trusted proxies only.
//!
//! # What it costs
//!
//! One comparison for a request by https; one search of the path for a pattern.
//!
//! # What it cannot do
//!
//! It cannot make a client follow, and what a client has sent unencrypted was sent.
//!
//! # How it differs from Apache APISIX
//!
//! `X-Forwarded-Proto` of just anybody is not believed; sites that the client would choose are
//! refused; variables are always encoded; `ret_code`, `encode_uri` and `append_query_string`, which
//! mean nothing beside `http_to_https`, are refused there; redirects other than to https run after
//! authorization, not just after authentication.

mod location;
#[cfg(test)]
mod tests;

use std::num::NonZeroU16;

use bartizan_chain::{CompileCx, Flow, Kinship, LocalAnswer, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::{Invalid, PathStep, ResourceKind};
use bartizan_core::{Denial, Stage, StageSet, compile_pattern};
use bytes::Bytes;
use http::{Method, StatusCode};
use regex_automata::meta::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use location::{Location, Matched, append_query};

/// The configuration of `redirect`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Sends whoever came without encryption to the same place by https; with `false` nothing is
    /// redirected.
    http_to_https: Option<bool>,
    /// Where every request is sent: a path or a URL, with variables.
    #[schemars(length(min = 2, max = 4096))]
    uri: Option<String>,
    /// A pattern, and the path or URL that comes in place of what it matches, such as `/new/$1`.
    #[schemars(length(min = 2, max = 2), inner(length(min = 1, max = 4096)))]
    regex_uri: Option<Vec<String>>,
    /// The status; 302 if left out. Only 301, 302, 303, 307 and 308 make clients go there.
    #[schemars(range(min = 200, max = 599))]
    ret_code: Option<u16>,
    /// Whether the path of the target is plain text, which is encoded here; else it is encoded as
    /// it stands.
    #[serde(default)]
    encode_uri: bool,
    /// Whether the query of the request is appended to the target.
    #[serde(default)]
    append_query_string: bool,
}

/// What holds for the whole node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The port that clients reach by https, where it is not that of the node's TLS listener.
    https_port: Option<NonZeroU16>,
}

/// Compiled `redirect`.
pub struct Redirect {
    rule: Rule,
    status: StatusCode,
    appends_query: bool,
}

enum Rule {
    Nothing,
    ToHttps { port: Option<u16> },
    Always(Location),
    Matching(Regex, Location),
}

impl Plugin for Redirect {
    const NAME: &'static str = "redirect";
    const PRIORITY: i32 = 900;
    const KINSHIP: Kinship = Kinship::Different(
        "the client's word for host and scheme is not believed; the target is canonical; runs \
         before credentials are read",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Prepare, Stage::Inspect]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Metadata;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let rule = match (config.http_to_https, &config.uri, &config.regex_uri) {
            (Some(true), None, None) => to_https(&config, cx)?,
            (Some(false), None, None) => Rule::Nothing,
            (None, Some(uri), None) => {
                let at_uri = |fault: Invalid| fault.under(PathStep::Key("uri".into()));
                Rule::Always(Location::parse(uri, 0, config.encode_uri).map_err(at_uri)?)
            }
            (None, None, Some(pair)) => matching(pair, config.encode_uri)?,
            (None, None, None) => {
                return Err(Invalid::new("redirects nothing")
                    .with_help("one of `http_to_https`, `uri` and `regex_uri`"));
            }
            _ => {
                return Err(Invalid::new("redirects to two places")
                    .with_help("exactly one of `http_to_https`, `uri` and `regex_uri`"));
            }
        };
        let status = config.ret_code.map(StatusCode::from_u16).transpose();
        let status = status.map_err(|_| Invalid::at("ret_code", "is no status"))?;
        Ok(Self {
            rule,
            status: status.unwrap_or(StatusCode::FOUND),
            appends_query: config.append_query_string,
        })
    }

    fn traits(&self) -> Traits {
        let stage = match self.rule {
            Rule::Nothing | Rule::ToHttps { .. } => Stage::Prepare,
            Rule::Always(_) | Rule::Matching(..) => Stage::Inspect,
        };
        let mut traits = Traits::in_stages(&[stage]);
        // What came by https, or what a pattern is not found in, is forwarded.
        traits.only_answers = matches!(self.rule, Rule::Always(_));
        traits
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let (status, location) = match &self.rule {
            Rule::Nothing => return Ok(Flow::Continue),
            Rule::ToHttps { .. } if came_by_https(cx) => return Ok(Flow::Continue),
            Rule::ToHttps { port } => (permanent(cx), by_https(cx, *port)),
            Rule::Always(location) => (self.status, self.target(cx, location, &Matched::NONE)?),
            Rule::Matching(regex, location) => {
                let found = find(regex, cx.outgoing().path());
                let may_begin_later = !location.is_url();
                let found = found.filter(|found| may_begin_later || found.before.is_empty());
                let Some(found) = found else { return Ok(Flow::Continue) };
                (self.status, self.target(cx, location, &found)?)
            }
        };
        let mut answer = LocalAnswer::empty(status);
        answer.fields.append(Bytes::from_static(b"location"), Bytes::from(location));
        Ok(Flow::Answer(Box::new(answer)))
    }
}

impl Redirect {
    fn target(
        &self,
        cx: &RequestCx,
        location: &Location,
        found: &Matched<'_>,
    ) -> Result<String, Denial> {
        let mut target = location.render(cx, found)?;
        let query = cx.outgoing().query().filter(|query| !query.is_empty());
        if let Some(query) = query.filter(|_| self.appends_query) {
            append_query(&mut target, query);
        }
        Ok(target)
    }
}

fn to_https(config: &Config, cx: &CompileCx<'_>) -> Result<Rule, Invalid> {
    let unread = [
        ("ret_code", config.ret_code.is_some()),
        ("encode_uri", config.encode_uri),
        ("append_query_string", config.append_query_string),
    ];
    if let Some((key, _)) = unread.into_iter().find(|(_, is_given)| *is_given) {
        return Err(Invalid::at(key, format!("`{key}` means nothing beside `http_to_https`"))
            .with_help("leave it out: the status is 301 or 308, path and query are kept"));
    }
    let kind = cx.resource.kind;
    if matches!(
        kind,
        ResourceKind::Consumer | ResourceKind::Credential | ResourceKind::ConsumerGroup
    ) {
        return Err(Invalid::at("http_to_https", "the credential has been sent when this runs")
            .with_help("write it on the route or service, or in a global rule"));
    }
    let metadata = cx.metadata::<Metadata>()?.unwrap_or_default();
    Ok(Rule::ToHttps { port: metadata.https_port.map(NonZeroU16::get) })
}

fn matching(pair: &[String], is_plain: bool) -> Result<Rule, Invalid> {
    let at = |index| {
        move |fault: Invalid| {
            fault.under(PathStep::Index(index)).under(PathStep::Key("regex_uri".into()))
        }
    };
    let [pattern, target] = pair else {
        return Err(Invalid::at("regex_uri", "is a pattern and a target"));
    };
    let regex = compile_pattern(pattern, false)
        .map_err(|error| at(0)(Invalid::new(format!("`{pattern}` {error}"))))?;
    let captures_max = regex.captures_len().saturating_sub(1);
    let location = Location::parse(target, captures_max, is_plain).map_err(at(1))?;
    Ok(Rule::Matching(regex, location))
}

fn find<'p>(regex: &Regex, path: &'p str) -> Option<Matched<'p>> {
    let mut captures = regex.create_captures();
    regex.captures(path, &mut captures);
    let whole = captures.get_match()?;
    let group = |span: Option<regex_automata::Span>| {
        span.and_then(|span| path.get(span.range())).unwrap_or_default().to_owned()
    };
    Some(Matched {
        before: path.get(..whole.start())?,
        after: path.get(whole.end()..)?,
        captures: captures.iter().map(group).collect(),
    })
}

/// Whether the client came encrypted: to us, or to a trusted proxy that says so.
pub(crate) fn came_by_https(cx: &RequestCx) -> bool {
    let is_tls = cx.peer.tls.is_some();
    if !cx.trusts_forwarded {
        return is_tls;
    }
    match cx.fields.single("x-forwarded-proto") {
        Ok(Some(proto)) if proto.eq_ignore_ascii_case(b"https") => true,
        Ok(Some(proto)) if proto.eq_ignore_ascii_case(b"http") => false,
        _ => is_tls,
    }
}

fn permanent(cx: &RequestCx) -> StatusCode {
    if matches!(*cx.canonical().method(), Method::GET | Method::HEAD) {
        StatusCode::MOVED_PERMANENTLY
    } else {
        StatusCode::PERMANENT_REDIRECT
    }
}

/// The same place by https. `OPTIONS *` is about the host as a whole.
fn by_https(cx: &RequestCx, port: Option<u16>) -> String {
    let canonical = cx.canonical();
    let host = canonical.host();
    let target = if canonical.path() == "*" { "/" } else { canonical.path_and_query() };
    match port.or(cx.https_port) {
        None | Some(443) => format!("https://{host}{target}"),
        Some(port) => format!("https://{host}:{port}{target}"),
    }
}
