//! What plugins that reach servers have in common: addresses, TLS, and the times of a call.

use std::borrow::Cow;
use std::sync::Arc;

use bartizan_chain::CompileCx;
use bartizan_config::Invalid;
use bartizan_core::Secret;
use bartizan_net::{Endpoint, Target, TargetTls, Url, is_host, is_loopback};
use bartizan_tls::UpstreamTlsSettings;
use bartizan_wire::Fields;
use rustls::ClientConfig;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// Certificates of authorities, or a reference to them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(crate) struct Pem(String);

impl JsonSchema for Pem {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Pem".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "-----BEGIN ",
            "maxLength": 65_536,
            "x-expects": "PEM text (`-----BEGIN …`) or a reference such as `$file://path`",
            "x-reference": true,
        })
    }
}

/// How a server proves who it is.
#[derive(Clone, Debug)]
pub(crate) struct Trust {
    /// The authorities that may have signed its certificate; the system's where absent.
    pub(crate) ca_certs: Option<Pem>,
    /// Whether the certificate is verified; off only where `danger_ssl_verify: false` says so.
    pub(crate) verifies: bool,
}

/// How we prove who we are, towards servers that ask for a certificate.
#[derive(Clone, Debug)]
pub(crate) struct OwnCertificate {
    /// The certificate and its chain; under `client_cert`.
    pub(crate) chain: Pem,
    /// Its key; under `client_cert_key`.
    pub(crate) key: Secret,
}

impl Trust {
    fn config(
        &self,
        own: Option<&OwnCertificate>,
        cx: &CompileCx<'_>,
    ) -> Result<Arc<ClientConfig>, Invalid> {
        let settings = UpstreamTlsSettings {
            ca_certs: self.ca_certs.as_ref().map(|pem| pem.0.clone()),
            danger_verify_off: !self.verifies,
            ..UpstreamTlsSettings::default()
        };
        let compile = |settings: &UpstreamTlsSettings| {
            cx.node.outside.tls.compile(settings, &cx.node.clock).map_err(|fault| fault.to_string())
        };
        let compiled = compile(&settings).map_err(|fault| match self.ca_certs {
            Some(_) => Invalid::at("ca_certs", fault),
            None => Invalid::new(fault),
        })?;
        let Some(own) = own else { return Ok(compiled) };
        // What is wrong now is wrong with the certificate.
        compile(&UpstreamTlsSettings {
            client_cert: Some(own.chain.0.clone()),
            client_key: Some(own.key.clone()),
            ..settings
        })
        .map_err(|fault| Invalid::at("client_cert", fault))
    }

    /// What would have no effect in clear is refused there.
    fn check_clear(&self) -> Result<(), Invalid> {
        let problem = "there is no TLS towards this address";
        if self.ca_certs.is_some() {
            return Err(Invalid::at("ca_certs", problem));
        }
        if !self.verifies {
            return Err(Invalid::at("danger_ssl_verify", problem));
        }
        Ok(())
    }
}

/// True for what cannot lead beyond this machine. Names below `localhost` can: a resolver may know
/// better than RFC 6761 §6.3 what they are.
fn is_this_machine(host: &str) -> bool {
    is_loopback(host) && !host.to_ascii_lowercase().contains(".localhost")
}

/// Notes what leaves the machine in clear, or towards somebody who need not prove who they are.
fn expose(key: &str, host: &str, port: u16, trust: Option<&Trust>, cx: &CompileCx<'_>) {
    let exposure = match trust {
        _ if is_this_machine(host) => return,
        None => Invalid::at(key, format!("speaks in clear to `{host}:{port}`"))
            .with_help("use TLS: whoever is on the way can read and change all"),
        Some(Trust { verifies: true, .. }) => return,
        Some(_) => Invalid::at(
            "danger_ssl_verify",
            format!("does not verify the certificate of `{host}:{port}`"),
        )
        .with_help("name its authority in `ca_certs`: whoever is on the way can take its place"),
    };
    cx.exposed.borrow_mut().push(exposure);
}

/// The server and the target that the address under `key` names.
pub(crate) fn endpoint(
    key: &str,
    text: &str,
    trust: &Trust,
    cx: &CompileCx<'_>,
) -> Result<(Endpoint, Arc<str>), Invalid> {
    endpoint_as(key, text, trust, None, cx)
}

/// The same, where we prove who we are with a certificate.
pub(crate) fn endpoint_as(
    key: &str,
    text: &str,
    trust: &Trust,
    own: Option<&OwnCertificate>,
    cx: &CompileCx<'_>,
) -> Result<(Endpoint, Arc<str>), Invalid> {
    let url = Url::parse(text)
        .map_err(|fault| Invalid::at(key, format!("`{}` {fault}", without_userinfo(text))))?;
    let tls = if url.is_tls {
        Some(trust.config(own, cx)?)
    } else if own.is_some() {
        return Err(Invalid::at("client_cert", "there is no TLS towards this address"));
    } else {
        trust.check_clear()?;
        None
    };
    let endpoint = Endpoint::new(&url, tls).ok_or_else(|| {
        Invalid::at(key, format!("no certificate can be for the host `{}`", url.host))
    })?;
    expose(key, &url.host, url.port, url.is_tls.then_some(trust), cx);
    Ok((endpoint, url.target))
}

/// A server that decides who passes, so that nobody may be on the way to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guarded<'g> {
    /// The field that the address is in.
    pub(crate) key: &'static str,
    /// The address.
    pub(crate) address: &'g str,
    /// The authorities that may have signed its certificate; the system's where absent.
    pub(crate) ca_certs: Option<&'g Pem>,
    /// Our certificate.
    pub(crate) own: Option<&'g OwnCertificate>,
    /// Whether it may be reached in clear beyond this machine.
    pub(crate) danger_clear_http: bool,
    /// What goes in clear there, with `{}` for the host.
    pub(crate) problem: &'static str,
    /// Why that must not be.
    pub(crate) help: &'static str,
}

/// Where that is: its certificate is verified always, and without one it is this machine, unless
/// danger says otherwise. Danger without effect is refused.
pub(crate) fn guarded_endpoint(
    guarded: &Guarded<'_>,
    cx: &CompileCx<'_>,
) -> Result<(Endpoint, Arc<str>), Invalid> {
    let Guarded { key, address, ca_certs, own, danger_clear_http, problem, help } = *guarded;
    let trust = Trust { ca_certs: ca_certs.cloned(), verifies: true };
    let (endpoint, target) = endpoint_as(key, address, &trust, own, cx)?;
    let host = &endpoint.target().host;
    let is_clear = endpoint.target().tls.is_none();
    if is_clear && !is_this_machine(host) && !danger_clear_http {
        return Err(Invalid::at(key, problem.replace("{}", host)).with_help(help));
    }
    if danger_clear_http && !is_clear {
        return Err(Invalid::at("danger_clear_http", "the address is not in clear"));
    }
    Ok((endpoint, target))
}

/// The fields with which a call asks for JSON.
pub(crate) fn json_fields() -> Fields {
    let mut fields = Fields::new();
    fields.append("accept", "application/json");
    fields.append("user-agent", concat!("bartizan/", env!("CARGO_PKG_VERSION")));
    fields
}

/// A server that is written as `host` and `port`; with TLS it must prove to be `server_name`, or
/// the host.
pub(crate) fn target(
    host: &str,
    port: u16,
    tls: Option<(&Trust, Option<&str>)>,
    cx: &CompileCx<'_>,
) -> Result<Target, Invalid> {
    let host = host.to_ascii_lowercase();
    if !is_host(&host) && host.parse::<std::net::IpAddr>().is_err() {
        let problem = format!("`{host}` is neither a name nor an address");
        return Err(Invalid::at("host", problem));
    }
    if port == 0 {
        return Err(Invalid::at("port", "nobody listens on port 0"));
    }
    expose("host", &host, port, tls.map(|(trust, _)| trust), cx);
    let tls = match tls {
        Some((trust, name)) => {
            let (key, name) = name.map_or(("host", &*host), |name| ("tls_options", name));
            let tls = TargetTls::new(trust.config(None, cx)?, name);
            Some(tls.ok_or_else(|| {
                Invalid::at(key, format!("no certificate can be for the name `{name}`"))
            })?)
        }
        None => None,
    };
    Ok(Target { host: host.into(), port, tls })
}

/// An address, or a server, without what may be a password in it.
pub(crate) fn without_userinfo(text: &str) -> Cow<'_, str> {
    let Some((before, rest)) = text.rsplit_once('@') else { return Cow::Borrowed(text) };
    let scheme = before.split_once("://").map(|(scheme, _)| scheme);
    let is_scheme = |scheme: &&str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match scheme.filter(is_scheme) {
        Some(scheme) => Cow::Owned(format!("{scheme}://***@{rest}")),
        None => Cow::Owned(format!("***@{rest}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Bench, authority};
    use crate::observe::http_logger::HttpLogger;

    fn trust(verifies: bool) -> Trust {
        Trust { ca_certs: Some(Pem(authority())), verifies }
    }

    #[test]
    fn verification_ends_only_where_danger_is_written() {
        Bench::new().within::<HttpLogger, _>(|cx| {
            let of = |trust: &Trust| {
                let (endpoint, _) = endpoint("uri", "https://a.example/", trust, cx).unwrap();
                endpoint.target().tls.clone().unwrap().config
            };
            let (safe, danger) = (trust(true), trust(false));
            // The same words share a configuration, and with it connections; other words do not.
            let (first, again) = (of(&safe), of(&safe));
            assert!(Arc::ptr_eq(&first, &again));
            assert!(!Arc::ptr_eq(&first, &of(&danger)));
        });
    }

    #[test]
    fn what_would_have_no_effect_in_clear_is_refused() {
        Bench::new().within::<HttpLogger, _>(|cx| {
            let danger = Trust { ca_certs: None, verifies: false };
            for (trust, key) in [(trust(true), "ca_certs"), (danger, "danger_ssl_verify")] {
                let fault = endpoint("uri", "http://a.example/", &trust, cx).unwrap_err();
                assert_eq!(fault.path, [bartizan_config::PathStep::Key(key.to_owned())]);
            }
        });
    }

    #[test]
    fn no_password_is_told() {
        for (text, told) in [
            ("https://a.example/", "https://a.example/"),
            ("a.example:8443", "a.example:8443"),
            ("https://u:p@a.example/", "https://***@a.example/"),
            ("https://u:p@q@a.example/", "https://***@a.example/"),
            ("u:p@a.example", "***@a.example"),
            ("u:p://q@a.example", "***@a.example"),
            ("u:p@a.example/?to=https://b@c", "***@c"),
        ] {
            assert_eq!(without_userinfo(text), told, "{text}");
        }
    }

    #[test]
    fn what_leads_beyond_this_machine_in_clear_is_told() {
        for (host, is_told) in [
            ("localhost", false),
            ("LOCALHOST.", false),
            ("127.0.0.1", false),
            ("[::1]", false),
            ("a.example", true),
            ("id.localhost", true),
            ("ID.LocalHost.", true),
        ] {
            Bench::new().within::<HttpLogger, _>(|cx| {
                let trust = Trust { ca_certs: None, verifies: true };
                endpoint("uri", &format!("http://{host}/"), &trust, cx).unwrap();
                assert_eq!(cx.exposed.borrow().len(), usize::from(is_told), "{host}");
            });
        }
    }

    #[test]
    fn receivers_are_names_and_addresses() {
        Bench::new().within::<HttpLogger, _>(|cx| {
            for (host, is_fine) in [
                ("Logs.Example", true),
                ("192.0.2.1", true),
                ("[::1]", true),
                ("::1", true),
                ("a b", false),
                ("a/b", false),
                ("", false),
            ] {
                assert_eq!(target(host, 1, None, cx).is_ok(), is_fine, "{host}");
            }
        });
    }
}
