use std::time::Duration;

use serde_json::json;
use tokio::time::advance;

use super::session::{IDLE, LIFETIME};
use super::*;
use crate::api::tests::desk::Desk;
use crate::api::tests::play::Step;
use crate::coverage::samples::{Sample, SampleRoute};
use crate::operators::Author;
use crate::plane::Aside;

mod pages;

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// What was answered.
struct Seen {
    status: u16,
    fields: HeaderMap,
    body: String,
}

impl Seen {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The cookie that is set, as it is sent back.
    fn cookie(&self) -> String {
        self.field("set-cookie").split(';').next().unwrap().to_owned()
    }
}

/// A dashboard and whoever looks at it.
struct Lobby {
    desk: Desk,
    dashboard: Dashboard,
}

impl Lobby {
    fn open() -> Self {
        Self::of(Desk::open(), false)
    }

    fn of(desk: Desk, is_secure: bool) -> Self {
        let dashboard = Dashboard::new(desk.api.clone(), is_secure);
        Self { desk, dashboard }
    }

    async fn send(&self, method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> Seen {
        self.send_to("127.0.0.1:1", method, path, fields, body).await
    }

    async fn send_to(
        &self,
        host: &str,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: &str,
    ) -> Seen {
        use http_body_util::BodyExt;
        let mut request = http::Request::builder().method(method).uri(path).header("host", host);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let body = Some(Bytes::from(body.to_owned()));
        let (parts, body) = self.dashboard.answer(&head, body, PEER).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(bytes.to_vec()).unwrap();
        Seen { status: parts.status.as_u16(), fields: parts.headers, body }
    }

    async fn get(&self, path: &str, cookie: &str) -> Seen {
        self.send("GET", path, &[("cookie", cookie)], "").await
    }

    async fn sign_in_with(&self, key: &str) -> Seen {
        let origin =
            format!("http{}://127.0.0.1:1", if self.dashboard.is_secure { "s" } else { "" });
        let own = [("sec-fetch-site", "same-origin"), ("origin", origin.as_str())];
        self.send("POST", SIGN_IN, &own, &format!("key={key}")).await
    }

    /// Signs in, and gives the cookie.
    async fn sign_in(&self) -> String {
        let seen = self.sign_in_with(&self.desk.key).await;
        assert_eq!((seen.status, seen.field("location")), (303, HOME), "{}", seen.body);
        seen.cookie()
    }

    /// The events of refusals so far. Nothing is told afterwards.
    fn refusals(&self) -> Vec<String> {
        let told = self.desk.told();
        let events =
            told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let denied = events.filter(|event| event["event"] == "denied" || event["of"] == "denied");
        denied.map(|event| event["detail"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn who_shows_a_key_gets_a_cookie_for_these_pages_and_the_key_is_nowhere() {
    let lobby = Lobby::open();
    let seen = lobby.sign_in_with(&lobby.desk.key).await;
    let (pair, rest) = seen.field("set-cookie").split_once(';').unwrap();
    assert_eq!(rest, " Path=/ui; HttpOnly; SameSite=Strict");
    let (name, token) = pair.split_once('=').unwrap();
    assert!(name.starts_with("bartizan-") && token.len() == 43, "{pair}");
    let cookie = seen.cookie();
    let page = lobby.get("/ui/", &format!("a=b; {cookie}")).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("<h1>Overview</h1>") && page.body.contains(">ann <small>admin"));
    let out = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
    let ended = lobby.send("POST", "/ui/session/end", &out, "").await;
    assert_eq!((ended.status, ended.field("location")), (303, SIGN_IN));
    let (gone, rest) = ended.field("set-cookie").split_once('=').unwrap();
    assert!(gone == name && rest.starts_with(';') && rest.ends_with("Max-Age=0"), "{rest}");
    assert_eq!(lobby.get("/ui/", &cookie).await.status, 401);
    let told = lobby.desk.told();
    for text in
        ["\"event\":\"session\"", "signed in to the dashboard", "signed out of the dashboard"]
    {
        assert_eq!(
            told.matches(text).count(),
            if text.contains("event") { 2 } else { 1 },
            "{told}"
        );
    }
    for text in [&told, &page.body, &ended.body] {
        assert!(!text.contains(&lobby.desk.key) && !text.contains(token));
    }
}

#[tokio::test(start_paused = true)]
async fn under_tls_the_cookie_is_for_tls_alone() {
    let lobby = Lobby::of(Desk::open(), true);
    let cookie = lobby.sign_in_with(&lobby.desk.key).await.field("set-cookie").to_owned();
    let rest = "; Path=/; HttpOnly; SameSite=Strict; Secure";
    assert!(cookie.starts_with("__Host-bartizan-") && cookie.ends_with(rest), "{cookie}");
    let plain = cookie.split(';').next().unwrap().replace("__Host-", "");
    assert_eq!(lobby.get("/ui/", &plain).await.status, 303);
}

#[tokio::test(start_paused = true)]
async fn the_cookie_of_another_node_of_the_same_name_is_left_alone() {
    let (lobby, other) = (Lobby::open(), Lobby::open());
    let (cookie, another) = (lobby.sign_in().await, other.sign_in().await);
    let both = format!("{another}; {cookie}");
    assert_eq!(lobby.get("/ui/", &both).await.status, 200);
    assert_eq!(other.get("/ui/", &both).await.status, 200);
    let seen = lobby.get("/ui/", &another).await;
    assert_eq!((seen.status, seen.field("set-cookie")), (303, ""));
    assert!(lobby.refusals().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_tls_a_name_that_may_be_anothers_shows_nothing() {
    let (lobby, secure) = (Lobby::open(), Lobby::of(Desk::open(), true));
    let names = [
        ("127.0.0.1:1", 200),
        ("[::1]:1", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("evil.test:1", 421),
        ("localhost.evil.test", 421),
        ("", 421),
        ("a b", 421),
    ];
    for (host, status) in names {
        let seen = lobby.send_to(host, "GET", SIGN_IN, &[], "").await;
        assert_eq!(seen.status, status, "{host}");
        assert_eq!(secure.send_to(host, "GET", SIGN_IN, &[], "").await.status, 200, "{host}");
    }
    assert_eq!(lobby.refusals().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_key_is_refused_and_told_once_and_many_make_its_address_wait() {
    let lobby = Lobby::open();
    for _ in 0..6 {
        let seen = lobby.sign_in_with("btz_admin_nobody").await;
        assert_eq!((seen.status, seen.field("set-cookie")), (401, ""));
        assert!(seen.body.contains("This is not the key of an operator."));
    }
    let seen = lobby.sign_in_with("btz_admin_nobody").await;
    assert_eq!((seen.status, seen.field("retry-after")), (429, "1"));
    // Together with wrong keys in the header.
    let mut step = Step::of("GET", "/bartizan/v1/status", "");
    step.fields.push(("X-API-KEY".to_owned(), "nobody".to_owned()));
    assert_eq!(lobby.desk.ask(&step).await.status, 429);
    // A good key is not delayed.
    lobby.sign_in().await;
    assert_eq!(lobby.sign_in_with("").await.status, 401);
    let refusals = lobby.refusals();
    assert_eq!(refusals.len(), 9, "{refusals:?}");
    assert_eq!(refusals.iter().filter(|told| told.contains("must wait")).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn forms_that_other_pages_send_are_refused_and_told_once() {
    let lobby = Lobby::open();
    let body = format!("key={}", lobby.desk.key);
    let foreign: [&[(&str, &str)]; 9] = [
        &[("sec-fetch-site", "same-origin"), ("origin", "null")],
        &[],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", "http://127.0.0.1:1")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-origin"), ("origin", "http://other.test")],
        &[("origin", "null")],
        &[("origin", "https://127.0.0.1:1")],
        &[("origin", "http://127.0.0.1:2")],
    ];
    for fields in foreign {
        let seen = lobby.send("POST", SIGN_IN, fields, &body).await;
        assert_eq!((seen.status, seen.field("set-cookie")), (403, ""), "{fields:?}");
    }
    let cookie = lobby.sign_in().await;
    let out = [("cookie", cookie.as_str()), ("sec-fetch-site", "cross-site")];
    assert_eq!(lobby.send("POST", "/ui/session/end", &out, "").await.status, 403);
    assert_eq!(lobby.get("/ui/", &cookie).await.status, 200, "nobody was signed out");
    let own: [&[(&str, &str)]; 3] = [
        &[("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:1")],
        &[("origin", "http://127.0.0.1:1")],
    ];
    for fields in own {
        assert_eq!(lobby.send("POST", SIGN_IN, fields, &body).await.status, 303, "{fields:?}");
    }
    let refusals = lobby.refusals();
    assert_eq!(refusals, vec!["a form of the dashboard was sent by another page"; 10]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_revoked_takes_its_sessions_with_it() {
    let lobby = Lobby::open();
    let other = lobby.desk.as_one_who("bob", &json!({ "role": "viewer" }));
    let seen = lobby.sign_in_with(&other.key).await;
    let cookie = seen.cookie();
    let kept = lobby.sign_in().await;
    assert_eq!(lobby.get("/ui/", &cookie).await.status, 200);
    let id = lobby.desk.operators.list().iter().find(|key| key.name == "bob").unwrap().id;
    let author = Author { name: "uid 0".into(), listener: "sock".into() };
    lobby.desk.operators.revoke(id, &author).unwrap();
    let seen = lobby.get("/ui/", &cookie).await;
    assert_eq!(seen.status, 401);
    assert!(seen.field("set-cookie").ends_with("Max-Age=0"));
    assert_eq!(lobby.get("/ui/", &kept).await.status, 200);
    // Once more, as browsers do that forget nothing.
    assert_eq!(lobby.get("/ui/", &cookie).await.status, 401);
    let refusals = lobby.refusals();
    let expected = ["the key is revoked", "the session has ended, or there never was one"];
    assert_eq!(refusals, expected);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_time_and_with_the_time_of_its_key() {
    let lobby = Lobby::open();
    let idle = lobby.sign_in().await;
    advance(IDLE).await;
    assert_eq!(lobby.get("/ui/", &idle).await.status, 401);
    let busy = lobby.sign_in().await;
    let mut passed = Duration::ZERO;
    let step = Duration::from_secs(600);
    while passed < LIFETIME {
        assert_eq!(lobby.get("/ui/", &busy).await.status, 200, "{passed:?}");
        advance(step).await;
        passed += step;
    }
    assert_eq!(lobby.get("/ui/", &busy).await.status, 401);
    let last = lobby.sign_in().await;
    // By the clock of the node, which keys end by.
    lobby.desk.clock.advance(Duration::from_secs(91 * 86_400));
    let seen = lobby.get("/ui/", &last).await;
    assert_eq!(seen.status, 401);
    assert!(seen.body.contains("The key that you signed in with is not valid any more."));
}

#[tokio::test(start_paused = true)]
async fn a_cookie_means_nothing_to_the_api_and_a_key_in_a_header_nothing_here() {
    let lobby = Lobby::open();
    let cookie = lobby.sign_in().await;
    for path in ["/apisix/admin/routes", "/bartizan/v1/status"] {
        let mut step = Step::of("GET", path, "");
        step.fields.push(("X-API-KEY".to_owned(), "-".to_owned()));
        step.fields.push(("Cookie".to_owned(), cookie.clone()));
        assert_eq!(lobby.desk.ask(&step).await.status, 401, "{path}");
    }
    let seen = lobby.send("GET", "/ui/", &[("x-api-key", &lobby.desk.key)], "").await;
    assert_eq!((seen.status, seen.field("location")), (303, SIGN_IN));
    let seen = lobby.send("GET", &format!("/ui/session?key={}", lobby.desk.key), &[], "").await;
    assert_eq!((seen.status, seen.field("set-cookie")), (200, ""));
}

#[tokio::test(start_paused = true)]
async fn every_answer_tells_browsers_to_load_nothing_else_and_keep_nothing() {
    let lobby = Lobby::open();
    let cookie = lobby.sign_in().await;
    for (method, path) in [
        ("GET", "/ui"),
        ("GET", "/ui/routes"),
        ("GET", "/ui/session"),
        ("GET", "/ui/nowhere"),
        ("GET", "/ui/revisions/99"),
        ("POST", SIGN_IN),
        ("DELETE", "/ui/routes"),
        ("GET", "/ui/style.css"),
        ("HEAD", "/ui/"),
    ] {
        let seen = lobby.send(method, path, &[("cookie", &cookie)], "").await;
        for (name, value) in [
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(seen.field(name), value, "{method} {path}: {name}");
        }
        assert!(method != "HEAD" || seen.body.is_empty());
        assert!(!seen.body.contains("<script") && !seen.body.contains("style=\""), "{path}");
    }
    let page = lobby.get("/ui/", &cookie).await.body;
    let style = page.split("stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let kept = lobby.get(style, "").await;
    assert_eq!(kept.field("cache-control"), "private, max-age=31536000, immutable");
    assert_eq!(kept.field("content-type"), "text/css; charset=utf-8");
    assert!(!kept.body.contains("url(") && !kept.body.contains("@import"));
}
