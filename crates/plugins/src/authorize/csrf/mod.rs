//! Lets only a site's own pages change things with the credentials that a browser sends by itself.
//!
//! A browser attaches cookies, basic credentials and client certificates to whatever request any
//! page makes. GET, HEAD and OPTIONS pass, since they must change nothing; every other request has
//! to show that a page of this site made it.
//!
//! ```yaml
//! csrf:
//!   key: $env://ORDERS_SITE_CSRF_SIGNING_KEY
//! ```
//!
//! In this order:
//!
//! 1. **Where the browser says that the request comes from.** `Sec-Fetch-Site` must be
//!    `same-origin` or `none` (the address bar), and `Origin` the origin that was asked: same host
//!    and port, and https if the request came by https. What says neither goes on to the token; what
//!    says something else is refused, unless its `Origin` is one of `trusted_origins`.
//! 2. **The token.** It must stand in the header `name` and in the cookie `name`, the same in both,
//!    for this session, and not have ended.
//!
//! The cookie is set on answers of the route: where there is none, where it is not good, and when
//! half of its time is over. A page reads it and sends it back in the header:
//! `fetch("/orders", {method: "POST", headers: {"apisix-csrf-token": …}})`. A page of another site
//! can make the browser send the cookie, but cannot read it. The cookie is `Secure` and
//! `SameSite=Lax`, so that the site needs https (browsers make an exception for `localhost`).
//!
//! A token is an end and an HMAC (SHA-256) under `key` over the end, the host and the session: who
//! calls, where authentication proved that; else a random name that the browser gets in the cookie
//! `__Host-<name>-browser`, which neither scripts nor other hosts can read or set. So a token of
//! one account or browser is nothing for another, and needs no memory here: any node with the same
//! key knows it. Because of the session it runs in Authorize, after authentication, although it
//! asks for no permission: before, a token could be bound to nobody.
//!
//! A WebSocket is opened with a GET on which a page can set no header: it has to pass the first check
//! alone.
//!
//! Precedence: a trusted origin passes the first check whatever `Sec-Fetch-Site` says, and needs
//! the token all the same. Whatever is sent twice is refused.
//!
//! # Headers
//!
//! `Sec-Fetch-Site`, `Origin`, `Cookie` and the header `name` are read. Answers that set a cookie
//! have `Set-Cookie` and `Cache-Control: no-store`, or a cache would hand it to others.
//!
//! # What it costs
//!
//! One HMAC over some 150 bytes for a request, two where a cookie is set.
//!
//! # What it cannot do
//!
//! It stops other sites, not scripts on the site itself, nor programs, which need a credential
//! anyway. A route whose callers send their credential in a header by hand has no need of it.
//!
//! # How it differs from Apache APISIX
//!
//! The token is bound to session and host and made with an HMAC, compared in constant time, its
//! cookie `Secure`; the browser's word is asked first, also in compatibility mode; a `key` has at
//! least 32 bytes; `expires` is at least 1, since 0, which there means for ever, opens something;
//! the cookie is not set anew on every answer. Refusals are 401 there, and here in compatibility
//! mode.

#[cfg(test)]
mod tests;
mod token;

use std::borrow::Cow;

use bartizan_chain::{
    AnswerHead, CompileCx, Flow, Kinship, Nothing, Plugin, RequestCx, Traits, Var,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Secret, Stage, StageSet};
use bytes::Bytes;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;

use crate::web_origin::{Site, WebOrigin, is_own};
use token::{Session, TokenFault, TokenKey, is_browser, new_browser};

/// Shortest key in bytes: who has seen a token can guess a shorter one at leisure.
const KEY_MIN: usize = 32;

/// The configuration of `csrf`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The secret that tokens are made with: at least 32 bytes, the same on all nodes.
    key: Secret,
    /// How many seconds a token is good for.
    #[serde(default = "two_hours")]
    #[schemars(range(min = 1, max = 31_536_000))]
    expires: u64,
    /// The name of the cookie, and of the header in which pages send it back.
    #[serde(default = "name")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[0-9A-Za-z_-]+$"))]
    name: String,
    /// Other origins whose pages may make requests, such as `https://www.example.com`: for a site
    /// behind a proxy that changes its host.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 512)))]
    trusted_origins: Option<Vec<String>>,
    /// Accepts a key of any length. Who has seen one token can guess a short key at leisure.
    #[serde(default)]
    danger_short_key: bool,
}

fn two_hours() -> u64 {
    7_200
}

fn name() -> String {
    "apisix-csrf-token".to_owned()
}

/// Compiled `csrf`.
pub struct Csrf {
    key: TokenKey,
    lifetime: u64,
    field: String,
    cookie: (String, Var),
    browser: (String, Var),
    trusted: Box<[Site]>,
    is_apisix: bool,
}

/// The cookies that the answer sets.
pub type Cookies = SmallVec<[Bytes; 2]>;

/// Why a request does not show that a page of this site made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("more than one header `{0}`")]
    Repeated(&'static str),
    #[error("`Sec-Fetch-Site` names another site or origin")]
    OtherSite,
    #[error("`Origin` is not the origin that was asked")]
    OtherOrigin,
    #[error("no token in the header")]
    NoField,
    #[error("more than one token in the header")]
    RepeatedField,
    #[error("no cookie")]
    NoCookie,
    #[error("more than one cookie, or one that is no text")]
    RepeatedCookie,
    #[error("header and cookie differ")]
    Differs,
    #[error("{0}")]
    Token(#[from] TokenFault),
}

impl Plugin for Csrf {
    const NAME: &'static str = "csrf";
    const PRIORITY: i32 = 2980;
    const KINSHIP: Kinship = Kinship::Different(
        "the token is bound to who calls and expires; the cookie is Secure and SameSite; what \
         browsers say of where a request comes from counts first",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Authorize]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = Cookies;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let Config { key, expires, name, trusted_origins, danger_short_key } = config;
        if key.is_empty() || key.len() < KEY_MIN && !danger_short_key {
            let problem = format!("the key has {} bytes, and needs {KEY_MIN}", key.len());
            return Err(Invalid::at("key", problem).with_help(
                "use a longer key (`openssl rand -base64 48`), or say `danger_short_key: true`",
            ));
        }
        let trusted = trusted_origins.unwrap_or_default();
        let trusted = trusted.iter().enumerate().map(|(index, text)| {
            let origin = WebOrigin::parse(text.as_bytes()).map_err(|cause| {
                Invalid::at_item("trusted_origins", index, format!("`{text}`: {cause}")).with_help(
                    "scheme, host and port if it is not usual: `https://www.example.com`",
                )
            })?;
            Ok(Site::of(&origin))
        });
        let browser = format!("__Host-{name}-browser");
        Ok(Self {
            key: TokenKey::new(key.expose()),
            lifetime: expires,
            field: name.to_ascii_lowercase(),
            browser: (browser.clone(), Var::Cookie(browser)),
            cookie: (name.clone(), Var::Cookie(name)),
            trusted: trusted.collect::<Result<_, Invalid>>()?,
            is_apisix: cx.compatibility().is_apisix(),
        })
    }

    fn traits(&self) -> Traits {
        let mut traits = Traits::in_stages(&[Stage::Authorize]);
        traits.on_response = true;
        traits
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        cookies: &mut Cookies,
    ) -> Result<Flow, Denial> {
        let is_safe =
            matches!(*cx.canonical().method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if !is_safe || opens_websocket(cx) {
            self.judge_site(cx)
                .map_err(|fault| Denial::new(Reason::CrossSite, fault.to_string()))?;
        }
        let session = self.session(cx)?;
        let now = cx.clock.now().as_secs();
        let cookie = self.cookie.1.value(cx).map_err(|_| Fault::RepeatedCookie);
        let state = self.state(cx, &session, &cookie, now);
        if !state.is_ok_and(|end| end - now > self.lifetime / 2) {
            *cookies = self.cookies(cx, &session, now);
        }
        if is_safe {
            return Ok(Flow::Continue);
        }
        self.judge_token(cx, cookie, state).map_err(|fault| self.refuse(fault))?;
        Ok(Flow::Continue)
    }

    fn on_response_head(
        &self,
        _cx: &RequestCx,
        answer: &mut AnswerHead,
        cookies: &mut Cookies,
    ) -> Result<(), Denial> {
        if !cookies.is_empty() {
            answer
                .fields
                .set(Bytes::from_static(b"cache-control"), Bytes::from_static(b"no-store"));
        }
        for cookie in cookies.drain(..) {
            answer.fields.append(Bytes::from_static(b"set-cookie"), cookie);
        }
        Ok(())
    }
}

impl Csrf {
    /// Whether the browser says that a page of this site, or of a trusted one, makes the request.
    fn judge_site(&self, cx: &RequestCx) -> Result<(), Fault> {
        let origin = cx.fields.single("origin").map_err(|_| Fault::Repeated("Origin"))?;
        let site = cx.fields.single("sec-fetch-site");
        let site = site.map_err(|_| Fault::Repeated("Sec-Fetch-Site"))?;
        // `null`, which sandboxed pages send, and what cannot be read are no origin of ours.
        let known = origin.map(|origin| WebOrigin::parse(origin).ok());
        let is_trusted = |origin: &WebOrigin<'_>| self.trusted.iter().any(|own| own.is(origin));
        if known.flatten().is_some_and(|origin| is_trusted(&origin)) {
            return Ok(());
        }
        if !matches!(site, None | Some(b"same-origin" | b"none")) {
            return Err(Fault::OtherSite);
        }
        match known {
            None => Ok(()),
            Some(Some(origin)) if is_own(cx, &origin) => Ok(()),
            Some(_) => Err(Fault::OtherOrigin),
        }
    }

    /// Whose session it is: who calls, else whoever is in front of this browser.
    fn session<'r>(&self, cx: &'r RequestCx) -> Result<Session<'r>, Denial> {
        if let Some(identity) = cx.identity().filter(|identity| !identity.is_anonymous()) {
            let consumer = identity.consumer().map(|consumer| consumer.username());
            let subject = identity.subject();
            if consumer.is_some() || subject.is_some() {
                return Ok(Session::Caller { consumer, subject });
            }
        }
        let shown = self.browser.1.value(cx).ok().flatten();
        let name = match shown.filter(|name| is_browser(name)) {
            Some(name) => Some(name.into_owned()),
            None => new_browser(),
        };
        let name = name.ok_or_else(|| Denial::new(Reason::Internal, "no randomness"))?;
        Ok(Session::Browser(name))
    }

    /// When the token in the cookie ends, or what is wrong with it.
    fn state(
        &self,
        cx: &RequestCx,
        session: &Session<'_>,
        cookie: &Result<Option<Cow<'_, str>>, Fault>,
        now: u64,
    ) -> Result<u64, Fault> {
        match cookie {
            Err(fault) => Err(*fault),
            Ok(None) => Err(Fault::NoCookie),
            Ok(Some(token)) => {
                let host = cx.canonical().host();
                Ok(self.key.check(session, host, token, now, self.lifetime)?)
            }
        }
    }

    fn judge_token(
        &self,
        cx: &RequestCx,
        cookie: Result<Option<Cow<'_, str>>, Fault>,
        state: Result<u64, Fault>,
    ) -> Result<(), Fault> {
        let field = cx.fields.single(&self.field).map_err(|_| Fault::RepeatedField)?;
        let field = field.ok_or(Fault::NoField)?;
        let cookie = cookie?.ok_or(Fault::NoCookie)?;
        if !bool::from(subtle::ConstantTimeEq::ct_eq(field, cookie.as_bytes())) {
            return Err(Fault::Differs);
        }
        state.map(drop)
    }

    /// What the answer sets: a new token and, where the session is the browser's, its name.
    fn cookies(&self, cx: &RequestCx, session: &Session<'_>, now: u64) -> Cookies {
        let age = self.lifetime;
        let token = self.key.sign(session, cx.canonical().host(), now.saturating_add(age));
        let name = &self.cookie.0;
        let mut cookies = Cookies::new();
        let cookie = format!("{name}={token}; Path=/; Max-Age={age}; Secure; SameSite=Lax");
        cookies.push(cookie.into());
        if let Session::Browser(browser) = session {
            let name = &self.browser.0;
            let flags = "Secure; HttpOnly; SameSite=Lax";
            cookies.push(format!("{name}={browser}; Path=/; Max-Age={age}; {flags}").into());
        }
        cookies
    }

    fn refuse(&self, fault: Fault) -> Denial {
        let message = match fault {
            Fault::NoField => "no csrf token in headers",
            Fault::NoCookie => "no csrf cookie",
            Fault::Token(_) => "Failed to verify the csrf token signature",
            _ => "csrf token mismatch",
        };
        let denial = Denial::new(Reason::CsrfToken, fault.to_string()).with_apisix_message(message);
        if self.is_apisix { denial.with_status(401) } else { denial }
    }
}

/// A WebSocket is opened with a GET, and what goes over it then changes what it likes.
fn opens_websocket(cx: &RequestCx) -> bool {
    cx.fields.contains("sec-websocket-key") || cx.fields.contains("sec-websocket-version")
}
