//! Certificates of clients in cases, under one authority and another below it.

use std::sync::LazyLock;
use std::time::Duration;

use bartizan_chain::TlsFacts;
use bartizan_core::Span;
use bartizan_tls::{Authority, ClientCertificate, ClientSource, Issued, Validity};
use serde_json::Value;

use crate::gateway::START;
use crate::load::to_json;

/// How long the authorities are good.
const LONG: Duration = Duration::from_secs(1_000_000);
/// How long a certificate is good that says nothing, and a list of revoked ones.
const USUAL: Duration = Duration::from_secs(1_000);

struct Authorities {
    root: Authority,
    below: Authority,
}

static AUTHORITIES: LazyLock<Authorities> = LazyLock::new(|| {
    let validity = Validity::starting(START, LONG);
    let root = Authority::create("case", validity).expect("an authority");
    let below = root.subordinate("below", validity).expect("an authority");
    Authorities { root, below }
});

/// PEM of the authority of all certificates.
pub(super) fn authority() -> String {
    AUTHORITIES.root.certificate()
}

/// The certificate of a section: `{name, names, signer: root | below, lives: 60s}`.
pub(super) fn issue(section: &str, yaml: &str) -> Issued {
    let spec = to_json(yaml);
    let text = |key: &str| spec.get(key).and_then(Value::as_str);
    let names = spec.get("names").and_then(Value::as_array).into_iter().flatten();
    let names: Vec<&str> = names.filter_map(Value::as_str).collect();
    let length = text("lives").map_or(USUAL, |span| span.parse::<Span>().expect("a time").0);
    let signer = match text("signer").unwrap_or("root") {
        "root" => &AUTHORITIES.root,
        "below" => &AUTHORITIES.below,
        other => panic!("no authority `{other}`"),
    };
    let validity = Validity::starting(START, length);
    let issued = signer.issue_client(text("name").unwrap_or(section), &names, validity);
    issued.expect("names that a certificate can carry")
}

/// PEM of a list of revoked certificates, of the authority of all or of the one below.
pub(super) fn revocation_list(is_below: bool, revoked: &[&Issued]) -> String {
    let validity = Validity::starting(START, USUAL);
    let signer = if is_below { &AUTHORITIES.below } else { &AUTHORITIES.root };
    signer.revocation_list(revoked, validity).expect("a list")
}

/// What a handshake established in which a client showed this.
pub(super) fn facts(host: &str, shown: Option<&Issued>) -> TlsFacts {
    let source = ClientSource { ca: authority(), depth: 1, skip_mtls_uri_regex: Vec::new() };
    let verified = shown.map(|issued| {
        ClientCertificate::verify(&issued.chain, &source, START).expect("a good certificate")
    });
    TlsFacts {
        sni: Some(host.into()),
        version: "TLSv1.3",
        cipher: Some("TLS_AES_128_GCM_SHA256"),
        is_resumed: false,
        client_certificate: verified.map(Into::into),
    }
}
