//! What is configured.

use std::time::Duration;

use bartizan_chain::CompileCx;
use bartizan_config::Invalid;
use bartizan_core::Span;
use bartizan_net::Url;
use schemars::JsonSchema;
use serde::Deserialize;

use super::dpop::{Dpop, Origin};
use super::nonce::Nonces;
use crate::authenticate::replays::Window;
use crate::authenticate::token::within;
use crate::jose::{Algorithm, AlgorithmSet, KeyKind};

/// How old a proof may be, unless configuration says another.
const MAX_AGE: Duration = Duration::from_secs(60);
/// How far in the future a proof may have been made, unless configuration says another.
const LEEWAY: Duration = Duration::from_secs(5);

/// To what a token must be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum Requirement {
    /// A key, possession of which is proved by `DPoP` (RFC 9449).
    Dpop,
    /// The client's certificate (RFC 8705).
    Mtls,
    /// One of both.
    Any,
}

/// How proofs of possession are judged (RFC 9449).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(crate) struct DpopConfig {
    /// The algorithms that proofs may be signed with; `ES256`, `ES384`, `EdDSA`, `PS256` and
    /// `RS256` if left out.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    algorithms: Option<Vec<Algorithm>>,
    /// How old a proof may be, `1s` to `10m`; `60s` if left out. The node remembers those of all
    /// routes for the greatest of them.
    max_age: Option<Span>,
    /// How far in the future a proof may have been made, `60s` at most; `5s` if left out.
    leeway: Option<Span>,
    /// Whether a proof must hold a nonce that this node gave out in the last minutes, so that none
    /// can be made in advance. Clients learn it from `DPoP-Nonce`, for which they pay one request.
    #[serde(default)]
    nonce: bool,
    /// The origin that clients know this API by, as in `https://api.example.com`, where they do not
    /// send it to this gateway: behind a proxy that changes scheme, host or port.
    #[schemars(length(min = 1, max = 512))]
    origin: Option<String>,
}

impl DpopConfig {
    pub(super) fn compile(&self, cx: &CompileCx<'_>) -> Result<Dpop, Invalid> {
        let max_age = within("max_age", self.max_age.map_or(MAX_AGE, |span| span.0), 1, 600)?;
        let leeway = within("leeway", self.leeway.map_or(LEEWAY, |span| span.0), 0, 60)?;
        let replays = Window::of_node(cx, "dpop", max_age);
        Ok(Dpop {
            algorithms: self.algorithms()?,
            max_age,
            leeway,
            nonces: self.nonce.then(|| Nonces::new(&cx.node.key)),
            origin: self.origin.as_deref().map(origin).transpose()?,
            replays,
            node_key: cx.node.key.clone(),
        })
    }

    fn algorithms(&self) -> Result<AlgorithmSet, Invalid> {
        const KEY: &str = "algorithms";
        use Algorithm::{EdDsa, Es256, Es384, Ps256, Rs256};
        let Some(named) = &self.algorithms else {
            return Ok([Es256, Es384, EdDsa, Ps256, Rs256].into_iter().collect());
        };
        if named.is_empty() {
            return Err(Invalid::at(KEY, "no proof could be valid"));
        }
        if let Some(index) = named.iter().position(|one| one.kind() == KeyKind::Secret) {
            let problem = "proofs are signed with private keys, which nobody else has";
            return Err(Invalid::at_item(KEY, index, problem).with_help("use `ES256` or `EdDSA`"));
        }
        Ok(named.iter().copied().collect())
    }
}

fn origin(text: &str) -> Result<Origin, Invalid> {
    const KEY: &str = "origin";
    let url = Url::parse(text).map_err(|fault| Invalid::at(KEY, format!("`{text}` {fault}")))?;
    let (scheme, authority) = text.split_once("://").unwrap_or_default();
    if authority.contains(['/', '?', '#', '@']) {
        return Err(Invalid::at(KEY, format!("`{text}` is more than an origin"))
            .with_help("write scheme and host, and a port if it is not the usual one"));
    }
    let is_tls = scheme.eq_ignore_ascii_case("https");
    debug_assert_eq!(is_tls, url.is_tls, "{text}");
    Ok(Origin { is_tls, authority: authority.into() })
}
