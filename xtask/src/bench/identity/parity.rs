//! Before a means is measured: each contender lets the good pass and refuses what the others refuse.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bytes::BytesMut;

use super::super::cases::consumer;
use super::super::exchange::{Answer, ClientFiles, Request, connector_of, exchange, open};
use super::super::proxies::Proxy;
use super::super::upstream::SMALL;
use super::certificates::Clients;
use super::contenders::Contender;
use super::credentials::{Credentials, PATH, Proof, Says, with_key, with_token, withdrawn};
use super::means::{Means, Way};

/// Requests that must pass.
const GOOD: usize = 3;
/// How refusals are told.
const REFUSED: &[u16] = &[400, 401, 403];

/// What callers have, for one means.
pub(super) struct Callers<'a> {
    pub(super) means: Means,
    pub(super) credentials: &'a Credentials,
    pub(super) clients: &'a Clients,
    /// Who signed the certificate of the server.
    pub(super) authority: &'a Path,
}

/// One request that is to be refused.
struct Refusal<'a> {
    what: &'static str,
    request: Request,
    client: Option<&'a ClientFiles>,
    /// Whether the handshake may fail in place of an answer.
    may_break: bool,
}

impl Callers<'_> {
    /// Fails if a contender does not do what it is measured for.
    pub(super) async fn check(&self, contender: &Contender) -> Result<()> {
        let asked = format!("{} in the case `{}`", contender.name(), self.means.title());
        let client = self.means.is_mtls().then(|| self.clients.good.first()).flatten();
        let requests = self.credentials.requests(GOOD)?;
        // What was remembered of the first has to let it pass again; a proof is good once.
        let again = requests.first().filter(|_| self.means != Means::Dpop);
        for request in requests.iter().take(GOOD).chain(again) {
            let answer = self.ask(contender, request, client).await.context(asked.clone())?;
            let is_right = answer.status == 200 && answer.is_intact && answer.length == SMALL;
            ensure!(is_right, "{asked} answered {} with {} bytes", answer.status, answer.length);
        }
        if contender.way == Way::Open {
            return Ok(());
        }
        let mut refusals = self.refusals(contender.proxy)?;
        if self.means == Means::Dpop {
            let again = requests.first().context("no request")?.clone();
            refusals.push(refusal("a proof that was used", again));
        }
        for Refusal { what, request, client, may_break } in refusals {
            match self.ask(contender, &request, client).await {
                Ok(answer) => {
                    let is_right = REFUSED.contains(&answer.status);
                    ensure!(is_right, "{asked} answered {} to {what}", answer.status);
                }
                Err(_) if may_break => {}
                Err(error) => return Err(error.context(format!("{asked}: {what}"))),
            }
        }
        Ok(())
    }

    async fn ask(
        &self,
        contender: &Contender,
        request: &Request,
        client: Option<&ClientFiles>,
    ) -> Result<Answer> {
        let tls = connector_of(self.authority, b"http/1.1", client)?;
        let mut stream = open(contender.address, None, Some(&tls)).await?;
        exchange(&mut *stream, &mut BytesMut::new(), &request.to_bytes(true)).await
    }

    /// What nobody may let pass.
    fn refusals(&self, proxy: Proxy) -> Result<Vec<Refusal<'_>>> {
        let mut refusals = vec![];
        match self.means {
            Means::Mtls | Means::MtlsNew => {
                for (what, client) in [
                    ("a client without a certificate", None),
                    ("a certificate of another authority", Some(&self.clients.forged)),
                    ("a certificate that has ended", Some(&self.clients.ended)),
                ] {
                    let request = Request::get(PATH);
                    refusals.push(Refusal { what, request, client, may_break: true });
                }
                let (what, client) = ("a certificate of nobody", Some(&self.clients.stranger));
                let request = Request::get(PATH);
                refusals.push(Refusal { what, request, client, may_break: false });
            }
            Means::ApiKey => {
                refusals.push(refusal("a request without a key", Request::get(PATH)));
                let unknown = with_key(&self.credentials.api_key("nobody-we-know"));
                refusals.push(refusal("an unknown key", unknown));
            }
            Means::Introspection => {
                refusals.push(refusal("a request without a token", Request::get(PATH)));
                refusals.push(refusal("a token that was withdrawn", withdrawn()));
            }
            Means::Dpop => self.bad_proofs(&mut refusals)?,
            Means::Hs256 | Means::Rs256 | Means::Es256 | Means::Eddsa => {
                self.bad_tokens(proxy, &mut refusals)?;
            }
        }
        Ok(refusals)
    }

    fn bad_tokens(&self, proxy: Proxy, refusals: &mut Vec<Refusal<'_>>) -> Result<()> {
        let name = consumer(0);
        let good = Says::good(&name);
        let mut push =
            |what, token: &str| refusals.push(refusal(what, with_token("Bearer", token)));
        let own = |says| self.credentials.token(says);
        push("an expired token", &own(Says { expires_in: -3_600, ..good })?);
        push("a token for another audience", &own(Says { audience: "another-api", ..good })?);
        push("a token of another issuer", &own(Says { issuer: "https://id.evil.test", ..good })?);
        let other = Credentials::generate(self.means)?;
        push("a token signed by another key", &other.token(good)?);
        let (signed, signature) =
            self.credentials.good().rsplit_once('.').context("a token has parts")?;
        push("a token without a signature", &format!("{signed}."));
        let forged = own(Says { subject: "consumer-01", ..good })?;
        let (forged, _) = forged.rsplit_once('.').context("a token has parts")?;
        push("a token with the signature of another one", &format!("{forged}.{signature}"));
        if proxy != Proxy::Envoy {
            // Envoy knows no consumers: it accepts whoever the issuer names.
            push("a token of nobody", &own(Says { subject: "nobody-we-know", ..good })?);
        }
        refusals.push(refusal("a request without a token", Request::get(PATH)));
        Ok(())
    }

    fn bad_proofs(&self, refusals: &mut Vec<Refusal<'_>>) -> Result<()> {
        let (token, credentials) = (self.credentials.good(), self.credentials);
        let good = Proof::good(token);
        let mut push = |what, proof| -> Result<()> {
            refusals.push(refusal(what, credentials.with_proof(token, proof)?));
            Ok(())
        };
        push("a proof for another method", Proof { method: "POST", ..good })?;
        push("a proof for another target", Proof { target: "https://localhost/admin", ..good })?;
        push("a proof for another token", Proof { token: "another", ..good })?;
        push("a proof that is too old", Proof { made: -3_600, ..good })?;
        let mut other = with_token("DPoP", token);
        other.headers.push(("DPoP".into(), Credentials::generate(self.means)?.proof(good)?));
        refusals.push(refusal("a proof of another key", other));
        refusals.push(refusal("a bound token without a proof", with_token("DPoP", token)));
        refusals.push(refusal("a bound token as a bearer token", with_token("Bearer", token)));
        Ok(())
    }
}

fn refusal(what: &'static str, request: Request) -> Refusal<'static> {
    Refusal { what, request, client: None, may_break: false }
}
