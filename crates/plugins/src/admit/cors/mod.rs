//! Tells browsers which origins may read a route's answers (Fetch standard §3.3).
//!
//! A preflight (OPTIONS with `Origin` and `Access-Control-Request-Method`) is answered here, before
//! authentication, with 204 (200 in compatibility mode); other OPTIONS go on. Every answer of the
//! route, also a refusal, gets the headers if its origin is allowed and none if not: what the
//! upstream says about CORS is taken out. An origin that is not allowed is not refused; the
//! browser keeps the answer from the page that asked.
//!
//! ```yaml
//! cors:
//!   allow_origins: https://app.example.com,https://admin.example.com
//!   allow_methods: GET,POST
//!   allow_headers: Authorization,Content-Type
//!   allow_credential: true
//! ```
//!
//! Precedence: `allow_origins_by_regex` takes the place of `allow_origins`; origins of
//! `allow_origins_by_metadata` are allowed besides. A pattern has to match the whole origin, so
//! that `https://example\.com` does not allow `https://example.com.evil.net`. Nothing is allowed
//! that is not written: `*` (everyone, without credentials) and `**` (everyone, echoed) have to
//! be. The origin `null`, which every sandboxed frame has, is allowed where it is listed.
//!
//! In compatibility mode origins, methods and headers that are left out are `*`, unless patterns
//! or metadata say which. With `allow_credential` a `*` anywhere is refused, and whatever admits
//! any origin needs `danger_allow_any_origin_with_credentials: true`: any website could act in the
//! name of its visitors. So does a pattern that also fits origins which somebody else can have, such
//! as `https://.*example\.com`, which fits `https://evilexample.com`, or `https://app.example.com`
//! with a `.` for any letter.
//!
//! Such patterns are known by places that take any letter. Those that take a few, as in
//! `[0-9a-f]+example\.com`, and domains below which anybody registers, as `github.io`, are not
//! recognised: write what stands before and after the dots.
//!
//! A WebSocket is opened by any page without asking, and carries the cookies of its visitor. On a
//! route with `enable_websocket` a page of another origin is therefore refused, unless this plugin
//! allows its origin: by name, or by `**` with credentials. A `*`, which allows nobody to send
//! credentials, opens none; nor does a pattern without credentials that fits origins of others.
//! Where a global rule has this plugin too, both have to allow the origin.
//!
//! # Headers
//!
//! `Origin`, `Access-Control-Request-Method` and `-Headers` are read. Answers get
//! `Access-Control-Allow-Origin`, `-Methods`, `-Headers`, `-Credentials`,
//! `Access-Control-Expose-Headers`, `Access-Control-Max-Age` and `Vary: Origin`, as far as they
//! apply; those of the upstream are taken out.
//!
//! # What it costs
//!
//! One comparison per origin, one search per pattern.
//!
//! # What it cannot do
//!
//! It protects users of browsers; it keeps nobody else out and is no authentication.
//!
//! # How it differs from Apache APISIX
//!
//! Nothing is allowed that is not written: outside of compatibility mode there is no `*` by
//! default. The upstream's own CORS fields are replaced, a pattern has to match the whole origin,
//! and any origin with credentials needs a `danger_` field.

mod neighbours;
mod origins;

use std::collections::BTreeMap;

use bartizan_chain::{
    AnswerHead, CompileCx, Flow, Kinship, LocalAnswer, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Stage, StageSet};
use bartizan_wire::{Fields, is_token_byte};
use bytes::Bytes;
use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use origins::Origins;

/// What `**` stands for among methods.
const ALL_METHODS: &str = "GET,POST,PUT,DELETE,PATCH,HEAD,OPTIONS,CONNECT,TRACE";
/// The methods that a page may use without asking, which is what is allowed where nothing is said.
const SIMPLE_METHODS: &str = "GET,HEAD,POST";

/// `*` for everyone, `**` for everyone by name, or origins separated by commas.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[schemars(inline, extend(
    "x-expects" = "`*`, `**` or origins such as `https://a.example,https://b.example`"
))]
pub struct OriginList(
    #[schemars(regex(
        pattern = r"^(\*|\*\*|(null|[\w.+-]+://[^,]+)(,(null|[\w.+-]+://[^,]+))*)$"
    ))]
    String,
);

/// The configuration of `cors`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Origins that may read the answers: `https://a.example,https://b.example`, `*` or `**`.
    allow_origins: Option<OriginList>,
    /// Patterns of origins, each matched against the whole origin; in place of `allow_origins`.
    #[schemars(
        length(min = 1),
        inner(length(min = 1, max = 4096)),
        extend("uniqueItems" = true)
    )]
    allow_origins_by_regex: Option<Vec<String>>,
    /// Names of lists in the metadata's `allow_origins`, allowed besides the others.
    #[schemars(
        length(min = 1),
        inner(length(min = 1, max = 4096)),
        extend("uniqueItems" = true)
    )]
    allow_origins_by_metadata: Option<Vec<String>>,
    /// Methods that pages may use, separated by commas; `*` or `**` for all. `GET,HEAD,POST` if
    /// left out, `*` in compatibility mode.
    allow_methods: Option<String>,
    /// Headers that pages may send, separated by commas; `*` for all, `**` for what is asked for.
    /// None but the safe ones if left out, `*` in compatibility mode.
    allow_headers: Option<String>,
    /// Headers of the answer that pages may read besides the safe ones; `*` for all.
    expose_headers: Option<String>,
    /// How many seconds a browser may remember a preflight; -1 for not at all.
    #[serde(default = "five")]
    #[schemars(range(min = -1))]
    max_age: i64,
    /// Whether pages may send cookies and other credentials.
    #[serde(default)]
    allow_credential: bool,
    /// Allows credentials where any origin is allowed. Any website that a user visits can then
    /// read what this user can read.
    #[serde(default)]
    danger_allow_any_origin_with_credentials: bool,
    /// Origins that may read detailed timings of the answers; written like `allow_origins`.
    timing_allow_origins: Option<OriginList>,
    /// Patterns of origins that may, in place of `timing_allow_origins`.
    #[schemars(
        length(min = 1),
        inner(length(min = 1, max = 4096)),
        extend("uniqueItems" = true)
    )]
    timing_allow_origins_by_regex: Option<Vec<String>>,
}

fn five() -> i64 {
    5
}

/// Lists of origins for the whole node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Lists of origins by the name that `allow_origins_by_metadata` uses.
    #[serde(default)]
    allow_origins: BTreeMap<String, OriginList>,
}

/// What pages may send or use.
#[derive(Debug, PartialEq, Eq)]
enum Permitted {
    /// This, as it is sent.
    Listed(Bytes),
    /// What the request asks for.
    Asked,
}

/// Compiled `cors`.
pub struct Cors {
    origins: Origins,
    timing: Option<Origins>,
    methods: Bytes,
    headers: Permitted,
    exposed: Bytes,
    max_age: Bytes,
    has_credentials: bool,
    /// Whom it allows may open a WebSocket too, which always carries credentials: not so where it
    /// allows everyone, and nobody with credentials.
    opens_websockets: bool,
    preflight: StatusCode,
}

/// What was decided for one request.
#[derive(Debug, Default)]
pub struct Decision {
    /// The value of `Access-Control-Allow-Origin`.
    origin: Option<Bytes>,
    /// The value of `Timing-Allow-Origin`.
    timing: Option<Bytes>,
    /// The headers that the request asks for.
    asked: Option<Bytes>,
}

impl Plugin for Cors {
    const NAME: &'static str = "cors";
    const PRIORITY: i32 = 4000;
    const KINSHIP: Kinship = Kinship::Different(
        "no `*` by default; origins must be written; the upstream's CORS fields are replaced",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Admit, Stage::Reply]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Metadata;
    /// The decision, kept because what is forwarded may lose its `Origin` on the way.
    type Call = Option<Decision>;

    fn compile(mut config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let is_apisix = cx.compatibility().is_apisix();
        if is_apisix {
            assume_apisix_defaults(&mut config);
        }
        if config.allow_credential {
            refuse_stars(&config)?;
        }
        let metadata = cx.metadata::<Metadata>()?.unwrap_or_default();
        let timing = Origins::of_timing(&config)?;
        let methods = match config.allow_methods.as_deref() {
            Some("**") => ALL_METHODS.into(),
            Some(list) => tokens("allow_methods", list)?,
            None => SIMPLE_METHODS.into(),
        };
        let headers = match config.allow_headers.as_deref() {
            Some("**") => Permitted::Asked,
            list => Permitted::Listed(tokens("allow_headers", list.unwrap_or_default())?),
        };
        let exposed =
            tokens("expose_headers", config.expose_headers.as_deref().unwrap_or_default())?;
        let origins = Origins::of_config(&config, &metadata, is_apisix)?;
        Ok(Self {
            opens_websockets: config.allow_credential || !origins.admit_others(),
            origins,
            timing,
            methods,
            headers,
            exposed,
            max_age: config.max_age.to_string().into(),
            has_credentials: config.allow_credential,
            preflight: if is_apisix { StatusCode::OK } else { StatusCode::NO_CONTENT },
        })
    }

    fn traits(&self) -> Traits {
        let mut traits = Traits::in_stages(&[Stage::Admit]);
        traits.on_response = true;
        traits
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        call: &mut Option<Decision>,
    ) -> Result<Flow, Denial> {
        let decision = self.decide(&cx.fields);
        cx.judge_origin(self.opens_websockets && self.names(&decision));
        *call = Some(decision);
        if is_preflight(cx.canonical().method(), &cx.fields) {
            return Ok(Flow::Answer(Box::new(LocalAnswer::empty(self.preflight))));
        }
        Ok(Flow::Continue)
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Option<Decision>,
    ) -> Result<(), Denial> {
        // A refusal in an earlier stage: nothing has touched the request's fields yet.
        let decision = call.get_or_insert_with(|| self.decide(&cx.fields));
        self.apply(decision, &mut answer.fields);
        Ok(())
    }
}

/// Apache APISIX's defaults, except where patterns or metadata name the origins.
fn assume_apisix_defaults(config: &mut Config) {
    let star = || "*".to_owned();
    if config.allow_origins_by_regex.is_some() {
        config.allow_origins = None;
    } else if config.allow_origins_by_metadata.is_none() {
        config.allow_origins.get_or_insert_with(|| OriginList(star()));
    }
    config.allow_methods.get_or_insert_with(star);
    config.allow_headers.get_or_insert_with(star);
}

fn refuse_stars(config: &Config) -> Result<(), Invalid> {
    let origins = |list: &Option<OriginList>| list.as_ref().is_some_and(|list| list.0 == "*");
    let text = |list: &Option<String>| list.as_deref() == Some("*");
    for (key, is_star) in [
        ("allow_origins", origins(&config.allow_origins)),
        ("allow_methods", text(&config.allow_methods)),
        ("allow_headers", text(&config.allow_headers)),
        ("expose_headers", text(&config.expose_headers)),
        ("timing_allow_origins", origins(&config.timing_allow_origins)),
    ] {
        if is_star {
            return Err(Invalid::at(key, "`*` cannot stand beside `allow_credential: true`")
                .with_help("say which: browsers ignore `*` on requests with credentials"));
        }
    }
    Ok(())
}

/// A list of tokens as it is sent; `*` is one.
fn tokens(key: &str, list: &str) -> Result<Bytes, Invalid> {
    let mut out = String::new();
    for token in list.split(',').map(str::trim) {
        if token.is_empty() && list.trim().is_empty() {
            break;
        }
        if token.is_empty() || !token.bytes().all(is_token_byte) {
            return Err(Invalid::at(key, format!("`{token}` is no name"))
                .with_help("names separated by commas, such as `Authorization,Content-Type`"));
        }
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(token);
    }
    Ok(out.into())
}

fn is_preflight(method: &Method, fields: &Fields) -> bool {
    *method == Method::OPTIONS
        && fields.contains("origin")
        && fields.contains("access-control-request-method")
}

impl Cors {
    /// Whether the page's origin is one that this names. Any page can be of the origin `null`.
    fn names(&self, decision: &Decision) -> bool {
        let is_named = |origin: &Bytes| self.has_credentials || **origin != *b"null";
        decision.origin.as_ref().is_some_and(is_named)
    }

    fn decide(&self, fields: &Fields) -> Decision {
        // An origin that was sent twice is none: which one a cache or upstream reads is unknown.
        let origin = fields.single("origin").ok().flatten();
        let asked = match self.headers {
            Permitted::Listed(_) => None,
            Permitted::Asked => fields.single("access-control-request-headers").ok().flatten(),
        };
        let is_list = |value: &&[u8]| {
            !value.is_empty()
                && value.iter().all(|byte| is_token_byte(*byte) || matches!(byte, b',' | b' '))
        };
        Decision {
            origin: self.origins.answer(origin),
            timing: self.timing.as_ref().and_then(|timing| timing.answer(origin)),
            asked: asked.filter(is_list).map(Bytes::copy_from_slice),
        }
    }

    fn apply(&self, decision: &Decision, answer: &mut Fields) {
        answer.retain(|field| !field.name.starts_with(b"access-control-"));
        if let Some(timing) = &self.timing {
            answer.remove("timing-allow-origin");
            if let Some(origin) = &decision.timing {
                answer.append("timing-allow-origin", origin.clone());
            }
            if timing.depends_on_origin() {
                vary_by_origin(answer);
            }
        }
        if self.origins.depends_on_origin() {
            vary_by_origin(answer);
        }
        let Some(origin) = &decision.origin else { return };
        let headers = match &self.headers {
            Permitted::Listed(list) => Some(list),
            Permitted::Asked => decision.asked.as_ref(),
        };
        answer.append("access-control-allow-origin", origin.clone());
        for (name, value) in [
            ("access-control-allow-methods", Some(&self.methods)),
            ("access-control-allow-headers", headers),
            ("access-control-max-age", Some(&self.max_age)),
            ("access-control-expose-headers", Some(&self.exposed)),
        ] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                answer.append(name, value.clone());
            }
        }
        if self.has_credentials {
            answer.append("access-control-allow-credentials", "true");
        }
    }
}

/// Says that the answer depends on the origin, or caches would hand it to others.
fn vary_by_origin(answer: &mut Fields) {
    let names = |value: &[u8]| {
        value.split(|byte| *byte == b',').any(|name| {
            let name = name.trim_ascii();
            name == b"*" || name.eq_ignore_ascii_case(b"origin")
        })
    };
    if !answer.all("vary").any(names) {
        answer.append("vary", "Origin");
    }
}

#[cfg(test)]
mod tests;
