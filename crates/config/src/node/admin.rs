//! Where operators change the resources.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use bartizan_core::Secret;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use schemars::JsonSchema;
use serde::Deserialize;

use super::complete::pem;
use super::forms;
use crate::diagnostic::{Invalid, PathStep};
use crate::reference::Resolver;

/// The Admin API, by which operators and their tools read and change the resources. Who they are
/// is proved by keys, which `bartizan admin key create` makes on this machine.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port. On an address that other machines can reach, `tls` must be given.
    #[schemars(extend("format" = "socket-address"))]
    pub listen: SocketAddr,
    /// TLS.
    pub tls: Option<AdminTls>,
    /// Addresses and networks that may connect. Absent: this machine alone.
    #[serde(deserialize_with = "forms::networks")]
    #[schemars(with = "Vec<forms::Network>", length(min = 1, max = 1024))]
    pub allow: Vec<IpNet>,
    /// The file that the operators' keys are kept in, as keyed hashes; it is made where there is
    /// none, readable by its owner alone.
    #[schemars(extend("minLength" = 1))]
    pub keys: PathBuf,
    /// The socket on which `bartizan admin` talks to the running node; only this user and root may.
    #[schemars(extend("minLength" = 1))]
    pub socket: PathBuf,
    /// The origins, such as `https://dashboard.example.com`, whose pages may call the Admin API
    /// from browsers. Absent: none.
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub cors: Vec<String>,
    /// Serves the built-in dashboard below `/ui/`. It only reads, and whoever opens it signs in with
    /// the key of an operator.
    pub dashboard: bool,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9180)),
            tls: None,
            allow: vec![
                IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8)),
                IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128)),
            ],
            keys: "bartizan.keys".into(),
            socket: "bartizan.sock".into(),
            cors: Vec::new(),
            dashboard: true,
        }
    }
}

/// TLS of the Admin API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminTls {
    /// The chain, leaf first: a path to a PEM file, `$file://…`, `$env://…` or the PEM itself.
    #[schemars(length(min = 1), extend("x-reference" = true))]
    pub cert: String,
    /// Its key, in the same forms.
    #[schemars(extend("minLength" = 1))]
    pub key: Secret,
    /// The authorities, in the same forms, one of which must have signed the client's certificate.
    /// Absent: clients show none. A key is asked for all the same.
    #[serde(default)]
    #[schemars(length(min = 1), extend("x-reference" = true))]
    pub client_ca: Option<String>,
}

/// Makes paths absolute, reads certificates, and tells what contradicts itself.
pub(super) fn complete(
    admin: &mut Admin,
    folder: &Path,
    resolver: &Resolver<'_>,
    problems: &mut Vec<Invalid>,
) {
    let mut told = Vec::new();
    if admin.tls.is_none() && !admin.listen.ip().is_loopback() {
        let problem = "other machines can reach the address, and there is no `tls`";
        let help = "add `tls: {cert: …, key: …}`, or listen on `127.0.0.1`";
        told.push(Invalid::at("listen", problem).with_help(help));
    }
    for (index, origin) in admin.cors.iter().enumerate() {
        if !is_origin(origin) {
            let problem = "expected an origin, such as `https://dashboard.example.com`";
            told.push(Invalid::at_item("cors", index, problem));
        }
    }
    admin.keys = folder.join(&admin.keys);
    admin.socket = folder.join(&admin.socket);
    if admin.keys == admin.socket {
        told.push(Invalid::at("socket", "the path is that of `keys`"));
    }
    if let Some(tls) = &mut admin.tls {
        let mut tell = |key: &str, problem: String| {
            told.push(Invalid::at(key, problem).under(PathStep::Key("tls".into())));
        };
        let client_ca = tls.client_ca.iter_mut().map(|text| ("client_ca", text));
        for (key, text) in std::iter::once(("cert", &mut tls.cert)).chain(client_ca) {
            match pem(text, folder, resolver) {
                Ok(read) => *text = read,
                Err(problem) => tell(key, problem),
            }
        }
        match pem(tls.key.expose_str().unwrap_or_default(), folder, resolver) {
            Ok(read) => tls.key = Secret::new(read),
            Err(problem) => tell("key", problem),
        }
    }
    problems.extend(told.into_iter().map(|invalid| invalid.under(PathStep::Key("admin".into()))));
}

/// Whether a text is what browsers send as `Origin` (RFC 6454 §6.2): scheme, host and, where it
/// is not the scheme's own, a port.
fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let bytes = rest.as_bytes();
        !bytes.is_empty()
            && bytes.iter().all(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.:[]".contains(byte)
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for origin in ["https://a.test", "http://localhost:3000", "https://[::1]:8443"] {
            assert!(is_origin(origin), "{origin}");
        }
        for other in ["*", "a.test", "https://", "https://a.test/", "https://A.test", "null"] {
            assert!(!is_origin(other), "{other}");
        }
    }
}
