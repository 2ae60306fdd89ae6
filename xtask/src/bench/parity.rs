//! Before anything is measured: every contender gives the same answers, or the run ends.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bytes::BytesMut;

use super::cases::{Case, Variant, consumer, route};
use super::exchange::{Answer, Request, connector, exchange, exchange_http2, open, open_http2};
use super::keys::{Claims, Issuer};
use super::load::Mode;
use super::proxies::Contender;

/// Headers that every answer of the secured route carries.
const SECURED_HEADERS: [&str; 4] = [
    "access-control-allow-origin",
    "strict-transport-security",
    "x-content-type-options",
    "referrer-policy",
];

/// Fails if a contender answers a case otherwise than the upstream does.
pub(crate) async fn check(
    contender: &Contender,
    case: Case,
    issuer: &Issuer,
    authority: &Path,
) -> Result<()> {
    let asked = format!("{} in the case `{}`", contender.name(), case.title());
    for request in case.requests(issuer)?.iter().take(2) {
        let answer = ask(contender, case, request, authority).await.context(asked.clone())?;
        let is_right = answer.status == 200 && answer.is_intact && answer.length == case.length();
        ensure!(is_right, "{asked} answered {} with {} bytes", answer.status, answer.length);
        if contender.variant.is_secured() {
            for name in SECURED_HEADERS {
                let sent = answer.headers.iter().any(|(sent, _)| sent == name);
                ensure!(sent, "{asked} did not send `{name}`");
            }
        }
    }
    if !contender.variant.is_secured() {
        return Ok(());
    }
    for (what, request, statuses) in refused(case, contender.variant, issuer)? {
        let answer = ask(contender, case, &request, authority).await.context(what)?;
        let is_right = statuses.contains(&answer.status);
        ensure!(is_right, "{asked} answered {} to {what}", answer.status);
    }
    Ok(())
}

async fn ask(
    contender: &Contender,
    case: Case,
    request: &Request,
    authority: &Path,
) -> Result<Answer> {
    let target = contender.address(case.is_tls());
    if case.mode() == Mode::Http2 {
        let sender = open_http2(target, &connector(authority, b"h2")?).await?;
        return exchange_http2(&sender, request).await;
    }
    let tls = case.is_tls().then(|| connector(authority, b"http/1.1")).transpose()?;
    let mut stream = open(target, None, tls.as_ref()).await?;
    exchange(&mut *stream, &mut BytesMut::new(), &request.to_bytes(true)).await
}

type Refusal = (&'static str, Request, &'static [u16]);

/// What the secured route refuses, and with which status.
fn refused(case: Case, variant: Variant, issuer: &Issuer) -> Result<Vec<Refusal>> {
    let name = consumer(0);
    let good = Claims::good(&name);
    let mut unknown = case.secured(0, &issuer.token(good)?);
    unknown.path = format!("/not-{}/items/1", route(0));
    let mut refused: Vec<Refusal> = vec![("an unknown route", unknown, &[404])];
    if variant.needs_token() {
        let with = |claims| Ok::<_, anyhow::Error>(case.secured(0, &issuer.token(claims)?));
        let mut without = case.secured(0, "");
        without.headers.retain(|(name, _)| name != "Authorization");
        refused.push(("a request without a token", without, &[401]));
        refused.push(("an expired token", with(Claims { expires_in: -3600, ..good })?, &[401]));
        let elsewhere = with(Claims { audience: "another-api", ..good })?;
        refused.push(("a token for another audience", elsewhere, &[401, 403]));
        refused.push((
            "a token without the scope",
            with(Claims { scope: "profile", ..good })?,
            &[403],
        ));
        let forged = case.secured(0, &Issuer::generate()?.token(good)?);
        refused.push(("a token signed by another key", forged, &[401]));
    }
    if variant.has_schema() {
        let with = |find: &str, put: &str| {
            let mut request = case.secured(0, &issuer.token(good)?);
            request.content = request.content.map(|content| content.replace(find, put));
            Ok::<_, anyhow::Error>(request)
        };
        let number = with("\"order\":42", "\"order\":\"42\"")?;
        refused.push(("a field of another type", number, &[400]));
        refused.push(("a missing field", with("\"total\":318.5,", "")?, &[400]));
        refused.push(("an unknown field", with("\"gift\"", "\"gifts\"")?, &[400]));
        refused.push((
            "a value beyond its range",
            with("\"discount\":0", "\"discount\":9")?,
            &[400],
        ));
        refused.push(("a body that is no JSON", with("}]}", "}]")?, &[400]));
    }
    Ok(refused)
}
