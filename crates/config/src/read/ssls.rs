//! Certificates.

use std::sync::Arc;

use super::{Reader, Site};
use crate::diagnostic::Invalid;
use crate::resources::{ResourceKind, Ssl, SslClient, SslType};
use crate::wire::{SslProtocol, SslTypeWire, SslWire};
use crate::words::quoted;

impl Reader<'_> {
    pub(super) fn ssl(&mut self, site: &Site<'_>, id: Arc<str>) -> Option<Ssl> {
        let wire: SslWire = self.wire(site, ResourceKind::Ssl)?;
        let before = self.diagnostics.len();
        let ssl_type = match wire.ssl_type {
            SslTypeWire::Server => SslType::Server,
            SslTypeWire::Client => SslType::Client,
        };
        self.names(site, &wire, ssl_type);
        if wire.certs.len() != wire.keys.len() {
            let problem = format!(
                "`certs` and `keys` belong together, but there are {} and {}",
                wire.certs.len(),
                wire.keys.len()
            );
            let key = if wire.certs.is_empty() { "keys" } else { "certs" };
            self.invalid(site, &Invalid::at(key, problem));
        }
        if ssl_type == SslType::Client && wire.client.is_some() {
            let problem = "`client` has no effect on a certificate for upstreams";
            self.invalid(site, &Invalid::at("client", problem));
        }
        if self.diagnostics.len() > before {
            return None;
        }
        let first = std::iter::once((wire.cert.0, wire.key));
        let rest = wire.certs.into_iter().map(|cert| cert.0).zip(wire.keys);
        let protocol = |protocol: SslProtocol| match protocol {
            SslProtocol::V1_2 => "TLSv1.2".to_owned(),
            SslProtocol::V1_3 => "TLSv1.3".to_owned(),
        };
        let snis = wire.sni.into_iter().chain(wire.snis.into_iter().flatten());
        Some(Ssl {
            id,
            ssl_type,
            snis: snis.map(|sni| sni.trim_end_matches('.').to_ascii_lowercase()).collect(),
            pairs: first.chain(rest).collect(),
            client: wire.client.map(|client| SslClient {
                ca: client.ca.0,
                depth: client.depth,
                skip_mtls_uri_regex: client.skip_mtls_uri_regex,
            }),
            protocols: wire.ssl_protocols.into_iter().map(protocol).collect(),
            is_enabled: wire.status != Some(0),
            place: site.node.place,
        })
    }

    fn names(&mut self, site: &Site<'_>, wire: &SslWire, ssl_type: SslType) {
        match (&wire.sni, &wire.snis, ssl_type) {
            (Some(_), Some(_), _) => {
                let problem = "only one of `sni` or `snis` may be given";
                self.invalid(site, &Invalid::at("snis", problem));
            }
            (None, None, SslType::Server) => {
                self.invalid(site, &Invalid::new("`sni` or `snis` is required"));
            }
            (Some(_), _, SslType::Client) | (_, Some(_), SslType::Client) => {
                let key = if wire.sni.is_some() { "sni" } else { "snis" };
                let problem = "server names have no effect on a certificate for upstreams";
                self.invalid(site, &Invalid::at(key, problem));
            }
            _ => {}
        }
        if let Some(sni) = wire.sni.as_ref().filter(|sni| !is_server_name(sni)) {
            self.invalid(site, &Invalid::at("sni", not_a_name(sni)));
        }
        for (index, sni) in wire.snis.iter().flatten().enumerate() {
            if !is_server_name(sni) {
                self.invalid(site, &Invalid::at_item("snis", index, not_a_name(sni)));
            }
        }
    }
}

fn not_a_name(sni: &str) -> String {
    format!("{} is no server name: write a name, `*.` and a suffix, or `*`", quoted(sni))
}

/// A name, `*.` and a name for one label, or `*`.
fn is_server_name(sni: &str) -> bool {
    let name = sni.strip_prefix("*.").unwrap_or(sni);
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    sni == "*" || (sni.len() <= 255 && name.split('.').all(is_label))
}

#[cfg(test)]
mod tests {
    use super::is_server_name;

    #[test]
    fn server_names_have_one_wildcard_label_at_most() {
        for name in ["a", "a.example.com", "*.example.com", "*", "a.", "A_b.x-y"] {
            assert!(is_server_name(name), "{name}");
        }
        for name in ["", "*.", "a..b", "a.*.b", "*a.b", "**", "a b", "[::1]", ".a"] {
            assert!(!is_server_name(name), "{name}");
        }
    }
}
