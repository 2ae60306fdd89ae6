//! What is configured.

use std::sync::Arc;

use bartizan_chain::{CompileCx, CredentialEntry};
use bartizan_config::{Invalid, ResourceKind, ResourceRef};
use bartizan_tls::{ClientCertificate, REVOCATION_MAX, RevocationDepth, RevocationLists};
use schemars::JsonSchema;
use serde::Deserialize;

use super::names::{NameKind, is_trust_domain};
use crate::authenticate::carrier::Realm;
use crate::small_file::read_file;

/// The configuration of `mtls-auth`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The kinds of name by which a certificate may belong to a consumer; all if left out. Name
    /// those only that the authority vouches for.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub(super) names: Option<Vec<NameKind>>,
    /// SPIFFE trust domains, of one of which the certificate's id must be.
    #[schemars(length(min = 1, max = 64))]
    pub(super) trust_domains: Option<Vec<String>>,
    /// Whether a certificate that belongs to no consumer is good too. The identity has then its
    /// names and no consumer.
    #[serde(default)]
    pub(super) without_consumer: bool,
    /// Files with lists of revoked certificates, PEM or DER. They are watched: a new version is
    /// taken without a restart.
    #[schemars(length(min = 1, max = 64))]
    pub(super) crls: Option<Vec<String>>,
    /// How far certificates are looked up in `crls`.
    pub(super) crl_depth: Option<CrlDepth>,
    /// Key usages that the certificate must state, all of them.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub(super) key_usages: Option<Vec<KeyUsage>>,
    /// Extended key usages that the certificate must state, all of them: `client_auth`,
    /// `server_auth`, or an OID such as `1.3.6.1.5.5.7.3.2`.
    #[schemars(length(min = 1, max = 16))]
    pub(super) extended_key_usages: Option<Vec<String>>,
    /// What the upstream gets of the certificate, in `Client-Cert` and `Client-Cert-Chain` (RFC
    /// 9440); nothing if left out.
    pub(super) forward: Option<Forward>,
    /// The realm that a 401 names; `mtls` if left out.
    pub(super) realm: Option<Realm>,
    /// The consumer that callers without a good certificate become.
    #[schemars(length(min = 1))]
    pub(super) anonymous_consumer: Option<String>,
}

/// How far certificates are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum CrlDepth {
    /// The certificate and every one between it and the authority.
    Chain,
    /// The certificate only.
    Leaf,
}

/// What the upstream gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum Forward {
    /// The certificate.
    Certificate,
    /// The certificate, and those between it and the authority.
    Chain,
}

/// A use of a key (RFC 5280 §4.2.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum KeyUsage {
    /// Signing, as TLS does.
    DigitalSignature,
    /// Signing what cannot be denied later.
    ContentCommitment,
    /// Encrypting keys.
    KeyEncipherment,
    /// Encrypting data.
    DataEncipherment,
    /// Agreeing on keys.
    KeyAgreement,
}

impl KeyUsage {
    fn bit(self) -> u8 {
        match self {
            Self::DigitalSignature => 0,
            Self::ContentCommitment => 1,
            Self::KeyEncipherment => 2,
            Self::DataEncipherment => 3,
            Self::KeyAgreement => 4,
        }
    }
}

/// The certificate of a consumer or credential: exactly one of its names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerConfig {
    /// The SHA-256 of the certificate in hexadecimal digits, with `:` or without.
    #[schemars(length(min = 1, max = 95))]
    thumbprint: Option<String>,
    /// The SPIFFE id, as in `spiffe://example.org/orders`. It must be the certificate's only URI.
    #[schemars(length(min = 1, max = 2_048))]
    spiffe_id: Option<String>,
    /// A URI in the subject alternative name, letter for letter.
    #[schemars(length(min = 1, max = 2_048))]
    uri: Option<String>,
    /// A mail address in the subject alternative name.
    #[schemars(length(min = 1, max = 320))]
    email: Option<String>,
    /// A host name in the subject alternative name, without `*`.
    #[schemars(length(min = 1, max = 253))]
    dns: Option<String>,
    /// The subject as RFC 4514 writes it, letter for letter: `CN=alice,O=Example`.
    #[schemars(length(min = 1, max = 2_048))]
    subject: Option<String>,
}

impl ConsumerConfig {
    pub(super) fn entry(self) -> Result<CredentialEntry, Invalid> {
        let named = [
            (NameKind::Thumbprint, self.thumbprint),
            (NameKind::SpiffeId, self.spiffe_id),
            (NameKind::Uri, self.uri),
            (NameKind::Email, self.email),
            (NameKind::Dns, self.dns),
            (NameKind::Subject, self.subject),
        ];
        let mut named = named.into_iter().filter_map(|(kind, name)| Some((kind, name?)));
        let (Some((kind, name)), None) = (named.next(), named.next()) else {
            return Err(Invalid::new("a certificate is known by exactly one name").with_help(
                "write one of `thumbprint`, `spiffe_id`, `uri`, `email`, `dns` and `subject`; \
                 give the consumer one credential for each certificate",
            ));
        };
        Ok(CredentialEntry::new(kind.lookup(&kind.configured(&name)?), ()))
    }
}

/// What a certificate must state of its key.
#[derive(Debug, Default)]
pub(super) struct Usages {
    bits: Box<[u8]>,
    purposes: Box<[Box<str>]>,
}

impl Usages {
    pub(super) fn compile(config: &Config) -> Result<Self, Invalid> {
        const KEY: &str = "extended_key_usages";
        let purposes = config.extended_key_usages.iter().flatten().enumerate();
        let purposes = purposes.map(|(index, name)| {
            purpose(name).ok_or_else(|| {
                Invalid::at_item(KEY, index, format!("`{name}` is no extended key usage"))
                    .with_help(
                        "`client_auth`, `server_auth`, or an OID such as `1.3.6.1.4.1.311.1`",
                    )
            })
        });
        Ok(Self {
            bits: config.key_usages.iter().flatten().map(|usage| usage.bit()).collect(),
            purposes: purposes.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn hold(&self, certificate: &ClientCertificate) -> bool {
        self.bits.iter().all(|bit| certificate.has_key_usage(*bit))
            && self.purposes.iter().all(|oid| certificate.has_purpose(oid))
    }
}

fn purpose(name: &str) -> Option<Box<str>> {
    match name {
        "client_auth" => Some("1.3.6.1.5.5.7.3.2".into()),
        "server_auth" => Some("1.3.6.1.5.5.7.3.1".into()),
        oid => {
            let is_arc = |arc: &str| {
                (1..=10).contains(&arc.len())
                    && arc.bytes().all(|b| b.is_ascii_digit())
                    && (arc == "0" || !arc.starts_with('0'))
            };
            let is_oid = (3..=16).contains(&oid.split('.').count()) && oid.split('.').all(is_arc);
            is_oid.then(|| oid.into())
        }
    }
}

/// Lists of revoked certificates, and how far they are asked.
#[derive(Debug)]
pub(super) struct Revocation {
    pub(super) lists: Arc<RevocationLists>,
    pub(super) depth: RevocationDepth,
}

impl Revocation {
    pub(super) fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Option<Self>, Invalid> {
        const KEY: &str = "crls";
        let Some(files) = &config.crls else {
            return match config.crl_depth {
                None => Ok(None),
                Some(_) => Err(Invalid::at("crl_depth", format!("there are no `{KEY}` to ask"))),
            };
        };
        if files.is_empty() {
            return Err(Invalid::at(KEY, "the list is empty"));
        }
        let texts = files.iter().enumerate().map(|(index, file)| {
            read_file(file, REVOCATION_MAX, cx)
                .map_err(|why| Invalid::at_item(KEY, index, format!("`{file}` {why}")))
        });
        let texts: Vec<Vec<u8>> = texts.collect::<Result<_, _>>()?;
        let lists = RevocationLists::read(texts.iter().map(Vec::as_slice))
            .map_err(|fault| Invalid::at(KEY, fault.to_string()))?;
        let lists = shared(lists, cx);
        let depth = match config.crl_depth {
            None | Some(CrlDepth::Chain) => RevocationDepth::Chain,
            Some(CrlDepth::Leaf) => RevocationDepth::Leaf,
        };
        Ok(Some(Self { lists, depth }))
    }
}

/// The same lists are held once, however many routes ask them and however often they were read.
fn shared(lists: RevocationLists, cx: &CompileCx<'_>) -> Arc<RevocationLists> {
    let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(cx.plugin) };
    let key = format!("crls {}", lists.fingerprint());
    cx.node.registry.state(&node, cx.plugin, key, || lists)
}

/// The trust domains that are asked for.
pub(super) fn trust_domains(config: &Config) -> Result<Option<Box<[Box<str>]>>, Invalid> {
    const KEY: &str = "trust_domains";
    let Some(domains) = &config.trust_domains else { return Ok(None) };
    if domains.is_empty() {
        return Err(Invalid::at(KEY, "no certificate could be good"));
    }
    let wrong = domains.iter().enumerate().find(|(_, domain)| !is_trust_domain(domain));
    if let Some((index, domain)) = wrong {
        let problem = format!("`{domain}` is no trust domain in lower-case letters");
        return Err(Invalid::at_item(KEY, index, problem)
            .with_help("write `example.org`, without `spiffe://`"));
    }
    Ok(Some(domains.iter().map(|domain| domain.as_str().into()).collect()))
}
