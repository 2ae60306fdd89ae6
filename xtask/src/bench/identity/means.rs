//! The means by which callers are known, and who can do what of them.

use super::super::load::Mode;
use super::super::proxies::Proxy;

/// Those that are compared, in the order of the report.
pub(super) const PROXIES: [Proxy; 4] =
    [Proxy::Bartizan, Proxy::Haproxy, Proxy::Envoy, Proxy::Nginx];

/// A means by which a caller is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Means {
    /// Tokens under a secret, HS256
    Hs256,
    /// Tokens under an RSA key of 2048 bits, RS256
    Rs256,
    /// Tokens under a P-256 key, ES256
    Es256,
    /// Tokens under an Ed25519 key
    Eddsa,
    /// ES256 tokens that are bound to a key, with a proof of possession for each request
    Dpop,
    /// Opaque tokens, about which the issuer is asked
    Introspection,
    /// API keys
    ApiKey,
    /// Client certificates, on connections that stay
    Mtls,
    /// Client certificates, a new connection for each request
    MtlsNew,
}

impl Means {
    /// All of them, in the order of the report.
    pub(super) const ALL: [Self; 9] = [
        Self::Hs256,
        Self::Rs256,
        Self::Es256,
        Self::Eddsa,
        Self::Dpop,
        Self::Introspection,
        Self::ApiKey,
        Self::Mtls,
        Self::MtlsNew,
    ];

    /// The name in the report.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Eddsa => "EdDSA",
            Self::Dpop => "DPoP (ES256, token ES256)",
            Self::Introspection => "introspection",
            Self::ApiKey => "API key",
            Self::Mtls => "client certificate, keep-alive",
            Self::MtlsNew => "client certificate, new connection",
        }
    }

    /// The algorithm of its signed tokens.
    pub(super) fn algorithm(self) -> Option<&'static str> {
        Some(match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 | Self::Dpop => "ES256",
            Self::Eddsa => "EdDSA",
            Self::Introspection | Self::ApiKey | Self::Mtls | Self::MtlsNew => return None,
        })
    }

    /// Whether clients show certificates.
    pub(super) fn is_mtls(self) -> bool {
        matches!(self, Self::Mtls | Self::MtlsNew)
    }

    /// Whether something that was judged good can be remembered.
    pub(super) fn can_be_remembered(self) -> bool {
        self.algorithm().is_some() || self == Self::Introspection
    }

    /// How its requests travel.
    pub(super) fn mode(self) -> Mode {
        if self == Self::MtlsNew { Mode::Fresh } else { Mode::KeepAlive }
    }

    /// Requests of one round.
    pub(super) fn count(self) -> usize {
        match self {
            Self::MtlsNew => 2_000,
            // Each has a proof of its own, which somebody has to sign before.
            Self::Dpop => 4_000,
            _ => 8_000,
        }
    }
}

/// How a contender is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The same listener, and a route without authentication.
    Open,
    /// Every request is judged anew.
    Judged,
    /// What was judged good is remembered.
    Remembered,
}

impl Way {
    /// All of them, in the order of the rounds.
    pub(super) const ALL: [Self; 3] = [Self::Open, Self::Judged, Self::Remembered];

    /// What it adds to a name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Open => ", no authentication",
            Self::Judged => "",
            Self::Remembered => ", remembered",
        }
    }
}

/// Why a proxy does not take part; `None` if it does.
pub(super) fn absence(proxy: Proxy, means: Means, way: Way) -> Option<&'static str> {
    // Without authentication only those are measured that can do with it.
    let way = if way == Way::Open { Way::Judged } else { way };
    if way == Way::Remembered && !means.can_be_remembered() {
        return Some("there is nothing to remember");
    }
    let is_remembered = way == Way::Remembered;
    match (proxy, means) {
        (Proxy::Haproxy, Means::Eddsa) => Some("`jwt_verify` knows HS, RS, ES and PS only"),
        (Proxy::Haproxy, Means::Dpop) => Some("it knows no proofs of possession"),
        (Proxy::Haproxy, Means::Introspection) => Some("it asks no issuer, unless by Lua"),
        (Proxy::Haproxy, _) if is_remembered => Some("`jwt_verify` remembers nothing"),
        (Proxy::Envoy, Means::Dpop) => Some("no filter knows proofs of possession"),
        (Proxy::Envoy, Means::Introspection) => {
            Some("no filter asks an issuer; `ext_authz` asks a server that one brings oneself")
        }
        (Proxy::Nginx, means) if means.can_be_remembered() => {
            Some("tokens are for its commercial edition, or for modules")
        }
        (Proxy::NginxLua, _) => Some("it is not compared here"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn those(proxy: Proxy, way: Way) -> Vec<Means> {
        Means::ALL.into_iter().filter(|means| absence(proxy, *means, way).is_none()).collect()
    }

    #[test]
    fn ours_takes_part_wherever_there_is_something_to_judge_or_to_remember() {
        assert_eq!(those(Proxy::Bartizan, Way::Judged), Means::ALL);
        let remembered = those(Proxy::Bartizan, Way::Remembered);
        assert_eq!(remembered, Means::ALL[..6]);
    }

    #[test]
    fn nobody_is_measured_with_what_it_cannot_do() {
        use Means::{ApiKey, Eddsa, Es256, Hs256, Mtls, MtlsNew, Rs256};
        let haproxy = those(Proxy::Haproxy, Way::Judged);
        assert_eq!(haproxy, [Hs256, Rs256, Es256, ApiKey, Mtls, MtlsNew]);
        assert!(those(Proxy::Haproxy, Way::Remembered).is_empty());
        assert_eq!(those(Proxy::Envoy, Way::Remembered), [Hs256, Rs256, Es256, Eddsa]);
        assert_eq!(those(Proxy::Nginx, Way::Judged), [ApiKey, Mtls, MtlsNew]);
        for proxy in PROXIES {
            assert_eq!(those(proxy, Way::Open), those(proxy, Way::Judged), "{proxy:?}");
        }
    }
}
