//! The dashboard: pages for people below `/ui/`, made here and now of what the Admin API tells.
//!
//! No script, one stylesheet of our own, nothing from elsewhere; a browser is told to load nothing
//! more, to show the pages in no frame and to keep none of them. It only reads. Who may see a page is
//! decided by the same rights as for the API, and a refusal is the same event.
//!
//! Whoever wants in shows the key of an operator once, in the body of a form, and gets a cookie that
//! means something here and nowhere else ([`session`]). Requests that change something, which are
//! to sign in and out, must come from these very pages.

mod html;
mod layout;
mod members;
mod pages;
mod session;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use aws_lc_rs::rand;
use bartizan_audit::EventKind;
use bartizan_core::Reason;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, HeaderName, LOCATION, ORIGIN,
    REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, X_FRAME_OPTIONS,
};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::Full;

use self::layout::{ICON, STYLE, style_version};
use self::session::{Sessions, Visit};
use crate::api::{Answer, Api, Asked, Query};
use crate::operators::Operator;

/// Longest form, in bytes.
pub(crate) const FORM_MAX: usize = 4 * 1_024;
/// Where the form to sign in is.
const SIGN_IN: &str = "/ui/session";
/// Where the pages begin.
const HOME: &str = "/ui/";

/// What a browser may load and do. `img-src` is for the icon.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a page is, or why it is not shown.
type Shown = Result<Answer, Answer>;

/// The dashboard of a node.
pub(crate) struct Dashboard {
    api: Api,
    sessions: Sessions,
    /// The listener has TLS.
    is_secure: bool,
    /// The name of the cookie: of this process alone, or browsers would mistake the sessions of
    /// nodes that they reach by one name, on whatever ports, for each other. Under TLS they take one
    /// of its name from TLS and from this very host alone.
    cookie: String,
}

/// Whether a path is one of the dashboard.
pub(crate) fn is_of(path: &str) -> bool {
    path == "/ui" || path.starts_with(HOME)
}

impl Dashboard {
    /// The dashboard of a listener.
    pub(crate) fn new(api: Api, is_secure: bool) -> Self {
        let prefix = if is_secure { "__Host-" } else { "" };
        let mut id = [0; 4];
        // Where there are no random bytes, there are no sessions either.
        let _ = rand::fill(&mut id);
        let cookie = format!("{prefix}bartizan-{:08x}", u32::from_be_bytes(id));
        Self { api, sessions: Sessions::default(), is_secure, cookie }
    }

    /// Whether a request is for this host by a name that nobody else can give it. Without TLS, a page
    /// of a stranger could have its own name lead here, and read these pages as its own.
    fn is_named(&self, head: &Parts, peer: IpAddr) -> Result<(), Answer> {
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = host.parse::<Authority>();
        let name = name.as_ref().map(Authority::host).unwrap_or_default();
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        if self.is_secure || is_address || name.eq_ignore_ascii_case("localhost") {
            return Ok(());
        }
        let detail = "the dashboard was asked for by a name that may be another's";
        let what = (Reason::AdminForbidden, StatusCode::MISDIRECTED_REQUEST);
        self.api.operators().tell_refused(what, peer, detail);
        let text = "Without TLS these pages are shown by address alone, such as http://127.0.0.1";
        Err(Answer::text(StatusCode::MISDIRECTED_REQUEST, text))
    }

    /// Answers a request; `body` is `None` where it was too long or did not come in time.
    pub(crate) async fn answer(
        &self,
        head: &Parts,
        body: Option<Bytes>,
        peer: IpAddr,
    ) -> Response<Full<Bytes>> {
        let answer = self.shown(head, body, peer).await;
        let answer = answer.unwrap_or_else(|answer| answer);
        guarded(answer).into_response(head.method == Method::HEAD)
    }

    async fn shown(&self, head: &Parts, body: Option<Bytes>, peer: IpAddr) -> Shown {
        self.is_named(head, peer)?;
        let path = head.uri.path();
        match (&head.method, path) {
            (&Method::GET | &Method::HEAD, "/ui/style.css") => Ok(style(head)),
            (&Method::GET | &Method::HEAD, "/ui/icon.svg") => Ok(kept(ICON, "image/svg+xml")),
            (&Method::GET | &Method::HEAD, SIGN_IN) => Ok(pages::sign_in(StatusCode::OK, None)),
            (&Method::POST, SIGN_IN) => self.sign_in(head, body.as_deref(), peer),
            (&Method::POST, "/ui/session/end") => self.sign_out(head, peer),
            (&Method::GET | &Method::HEAD, _) => self.page(head, peer).await,
            _ => {
                let answer = Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only to be read");
                Err(answer.with(ALLOW, "GET, HEAD"))
            }
        }
    }

    /// A page for somebody who has signed in.
    async fn page(&self, head: &Parts, peer: IpAddr) -> Shown {
        let query = Query::read(head.uri.query().unwrap_or_default());
        let is_readable = query.is_some();
        let query = query.unwrap_or_default();
        let visit = if query.find("refresh").is_some() { Visit::ByItself } else { Visit::ByHand };
        let operator = self.operator(head, visit, peer)?;
        let asked = Asked {
            method: Method::GET,
            segments: Vec::new(),
            query,
            fields: HeaderMap::new(),
            body: Bytes::new(),
            operator,
        };
        if !is_readable {
            let answer = Answer::bad("the query cannot be read");
            return Err(pages::fault(&answer, &asked.operator));
        }
        let path = head.uri.path().trim_end_matches('/');
        let shown = match path.strip_prefix("/ui").unwrap_or_default() {
            "" => pages::overview(&self.api, &asked).await,
            "/routes" => pages::routes(&self.api, &asked).await,
            "/quarantine" => pages::quarantine(&self.api, &asked),
            "/revisions" => pages::revisions(&self.api, &asked).await,
            "/denials" => pages::denials(&self.api, &asked),
            "/upstreams" => pages::upstreams(&self.api, &asked).await,
            other => match other.strip_prefix("/revisions/") {
                Some(number) => pages::difference(&self.api, &asked, number).await,
                None => Err(Answer::not_found()),
            },
        };
        shown.map_err(|answer| pages::fault(&answer, &asked.operator))
    }

    /// Who has signed in; others are sent to where that is done.
    fn operator(&self, head: &Parts, visit: Visit, peer: IpAddr) -> Result<Operator, Answer> {
        let Some(token) = self.token(&head.headers) else { return Err(to(SIGN_IN)) };
        let refused = |text| pages::sign_in(StatusCode::UNAUTHORIZED, Some(text));
        let operators = self.api.operators();
        let key = self.sessions.find(token.as_bytes(), visit).map_err(|_| {
            let detail = "the session has ended, or there never was one";
            let what = (Reason::AdminKeyRefused, StatusCode::UNAUTHORIZED);
            operators.tell_refused(what, peer, detail);
            self.without_cookie(refused("Your session has ended. Please sign in again."))
        })?;
        operators.still(key, peer).map_err(|_| {
            self.sessions.end(token.as_bytes());
            self.without_cookie(refused("The key that you signed in with is not valid any more."))
        })
    }

    fn sign_in(&self, head: &Parts, body: Option<&[u8]>, peer: IpAddr) -> Shown {
        self.is_own(head, peer)?;
        let form = body.and_then(|body| std::str::from_utf8(body).ok());
        let form = form.and_then(Query::read).ok_or_else(|| {
            pages::sign_in(StatusCode::BAD_REQUEST, Some("The form could not be read."))
        })?;
        let key = form.find("key").map(str::trim).filter(|key| !key.is_empty());
        let judged = self.api.operators().judge(key.map(str::as_bytes), peer);
        let operator = judged.map_err(|refusal| match refusal.retry_after() {
            None => {
                let text = match refusal {
                    crate::Refusal::Missing => "Enter the key of an operator.",
                    crate::Refusal::Over { .. } => "This key is not valid any more.",
                    _ => "This is not the key of an operator.",
                };
                pages::sign_in(StatusCode::UNAUTHORIZED, Some(text))
            }
            Some(seconds) => {
                let text = "Too many failed attempts came from your address. Wait a while.";
                pages::sign_in(StatusCode::TOO_MANY_REQUESTS, Some(text))
                    .with(RETRY_AFTER, &seconds.to_string())
            }
        })?;
        let token = self.sessions.begin(operator.key_id());
        let token = token.as_ref().and_then(|token| token.expose_str()).ok_or_else(|| {
            pages::sign_in(StatusCode::SERVICE_UNAVAILABLE, Some("No session can be made now."))
        })?;
        self.api.record_session(&operator, "signed in to the dashboard");
        if let Some(before) = self.token(&head.headers) {
            self.sessions.end(before.as_bytes());
        }
        let (name, rest) = (&self.cookie, self.attributes());
        Ok(to(HOME).with(SET_COOKIE, &format!("{name}={token}{rest}")))
    }

    fn sign_out(&self, head: &Parts, peer: IpAddr) -> Shown {
        self.is_own(head, peer)?;
        let operator = self.operator(head, Visit::ByHand, peer)?;
        if let Some(token) = self.token(&head.headers) {
            self.sessions.end(token.as_bytes());
        }
        self.api.record_session(&operator, "signed out of the dashboard");
        Ok(self.without_cookie(to(SIGN_IN)))
    }

    /// Whether a form was sent by one of these pages (Fetch Metadata; RFC 6454 where a browser has
    /// none).
    fn is_own(&self, head: &Parts, peer: IpAddr) -> Result<(), Answer> {
        let field = |name: &HeaderName| {
            head.headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"))
        };
        let scheme = if self.is_secure { "https" } else { "http" };
        let own = field(&HOST).map(|host| format!("{scheme}://{host}"));
        let is_own =
            |origin: &str| own.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(origin));
        let is_fine = match (field(&FETCH_SITE), field(&ORIGIN)) {
            (Some(site), origin) => site == "same-origin" && origin.is_none_or(is_own),
            (None, Some(origin)) => is_own(origin),
            (None, None) => false,
        };
        if is_fine {
            return Ok(());
        }
        let detail = "a form of the dashboard was sent by another page";
        let what = (Reason::AdminForbidden, StatusCode::FORBIDDEN);
        self.api.operators().tell_refused(what, peer, detail);
        Err(pages::sign_in(StatusCode::FORBIDDEN, Some("This form was sent by another page.")))
    }

    const fn attributes(&self) -> &'static str {
        if self.is_secure {
            "; Path=/; HttpOnly; SameSite=Strict; Secure"
        } else {
            "; Path=/ui; HttpOnly; SameSite=Strict"
        }
    }

    /// What the cookie holds.
    fn token<'h>(&self, fields: &'h HeaderMap) -> Option<&'h str> {
        let cookies = fields.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
        let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            Some((name.trim(), value.trim()))
        });
        pairs.find(|(name, _)| *name == self.cookie).map(|(_, value)| value)
    }

    /// Has the browser forget the cookie.
    fn without_cookie(&self, answer: Answer) -> Answer {
        let (name, rest) = (&self.cookie, self.attributes());
        answer.with(SET_COOKIE, &format!("{name}={rest}; Max-Age=0"))
    }
}

impl Api {
    fn record_session(&self, operator: &Operator, detail: &str) {
        self.tell(operator.event(EventKind::Session, detail.to_owned()));
    }
}

fn to(place: &'static str) -> Answer {
    Answer::empty(StatusCode::SEE_OTHER).with(LOCATION, place)
}

/// What never changes while the program is the same.
fn kept(text: &str, media: &'static str) -> Answer {
    Answer::text(StatusCode::OK, text)
        .with_media(media)
        .with(CACHE_CONTROL, "private, max-age=86400")
}

fn style(head: &Parts) -> Answer {
    let is_named = head.uri.query().is_some_and(|query| query == format!("v={}", style_version()));
    let answer = Answer::text(StatusCode::OK, STYLE).with_media("text/css; charset=utf-8");
    // Only under the name of this very text may it be kept.
    if is_named {
        answer.with(CACHE_CONTROL, "private, max-age=31536000, immutable")
    } else {
        answer
    }
}

/// Tells a browser what it may do with an answer.
fn guarded(answer: Answer) -> Answer {
    answer
        .with(CONTENT_SECURITY_POLICY, POLICY)
        .with(REFERRER_POLICY, "same-origin")
        .with(X_FRAME_OPTIONS, "DENY")
        .with(OPENER_POLICY, "same-origin")
        .with(RESOURCE_POLICY, "same-origin")
}
