//! Where the resources are kept, as the node file says.

use std::path::{Component, Path, PathBuf};

use bartizan_core::{Secret, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use super::complete::pem;
use crate::diagnostic::{Invalid, PathStep};
use crate::reference::Resolver;

/// Where the resources are kept.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Store {
    /// Documents in the declarative format of Apache APISIX, which people write.
    File {
        /// The path of a document, or of a folder whose documents are read together: its files that
        /// end in `.yaml`, `.yml` or `.json` and are not hidden, without those in folders below.
        /// `.json` is read as JSON, anything else as YAML. `${{NAME}}` and `${{NAME:=default}}`
        /// stand for variables of the environment.
        #[schemars(extend("minLength" = 1))]
        path: PathBuf,
    },
    /// A database in one file, of this node alone.
    Embedded {
        /// Its path; it is made where there is none, readable by its owner alone.
        #[schemars(extend("minLength" = 1))]
        path: PathBuf,
        /// How many writes are remembered, with their authors, to be compared and rolled back to.
        /// Older ones are forgotten; what is there now is always kept.
        #[serde(default = "history")]
        #[schemars(range(min = 1, max = 1_000_000))]
        history: u64,
        /// Encrypts the secrets in it.
        encryption: Option<Encryption>,
    },
    /// etcd (version 3.4 or newer), in the layout of Apache APISIX.
    Etcd(Box<EtcdStore>),
}

impl Store {
    /// Where the Admin API keeps what it is told, if nothing else is said.
    pub(super) fn behind_admin() -> Self {
        Self::Embedded { path: "bartizan.store".into(), history: history(), encryption: None }
    }
}

fn history() -> u64 {
    10_000
}

/// Resources in etcd.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdStore {
    /// The members of the cluster, as in `https://etcd-1.internal:2379`. Another one is asked where
    /// one does not answer.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1)))]
    pub endpoints: Vec<String>,
    /// What all keys begin with.
    #[serde(default = "prefix")]
    #[schemars(extend("minLength" = 1, "maxLength" = 256))]
    pub prefix: String,
    /// The user, where etcd asks for one.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password.
    #[serde(default)]
    pub password: Option<Secret>,
    /// TLS towards endpoints that are `https`.
    #[serde(default)]
    pub tls: EtcdTls,
    /// Time that etcd has for an answer. One that is silent for longer is taken for gone.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// A copy of the last good configuration on this machine, encrypted, from which a node starts
    /// that cannot reach etcd. Absent: such a node answers 503 until it can.
    #[serde(default)]
    pub snapshot: Option<EtcdSnapshot>,
    /// Encrypts the secrets that are written, and decrypts them when they are read.
    #[serde(default)]
    pub encryption: Option<Encryption>,
    /// The keys that Apache APISIX encrypts secrets with: its `data_encryption.keyring`, each of 16
    /// or 32 characters. What it encrypted is read with any of them.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub apisix_keyring: Vec<Secret>,
    /// How secrets are written. Absent: as `apisix` where `apisix_keyring` holds a key and there is
    /// no `encryption`, as `bartizan` where there is `encryption`, else as they are.
    #[serde(default)]
    pub encrypt_as: Option<EncryptAs>,
    /// What `$env://` and `$file://` in objects may stand for, and which files plugins may read.
    /// Whoever can write to etcd chooses where it is sent. Absent: nothing.
    #[serde(default)]
    pub references: StoreReferences,
    /// Accepts endpoints on other machines that are not `https`: everyone on the way can read and
    /// change the configuration, keys and all.
    #[serde(default)]
    pub danger_plaintext: bool,
}

/// What objects of a store may read of this machine. A file or variable that the node file itself
/// names is refused.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreReferences {
    /// The names of environment variables.
    #[schemars(length(max = 256), inner(length(min = 1)))]
    pub env: Vec<String>,
    /// Files, and folders with everything below them.
    #[schemars(length(max = 256), inner(length(min = 1)))]
    pub files: Vec<PathBuf>,
}

/// How secrets are encrypted in a store.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Encryption {
    /// The first one encrypts; all decrypt. What is encrypted with another than the first is
    /// encrypted anew, bit by bit.
    #[schemars(length(min = 1, max = 16))]
    pub keys: Vec<EncryptionKey>,
    /// A secret that is not encrypted with one of the keys makes its object be at fault. References
    /// stay accepted. Turn it on once everything is encrypted.
    #[serde(default)]
    pub required: bool,
}

/// A key that secrets in a store are encrypted with (AES-256-GCM).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EncryptionKey {
    /// Its name, which is written beside what it encrypts. A key keeps its name.
    #[schemars(extend(
        "pattern" = "^[a-zA-Z0-9_.-]{1,64}$",
        "x-expects" = "a name of up to 64 letters, digits, `-`, `_` and `.`"
    ))]
    pub id: String,
    /// 32 bytes in hexadecimal or Base64, as `openssl rand -hex 32` makes them. `$file://…` and
    /// `$env://…` keep it out of this file.
    pub key: Secret,
}

/// In which form secrets are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum EncryptAs {
    /// As Apache APISIX does, which can read them: AES-CBC with the first key of `apisix_keyring`.
    /// Whoever can write to etcd can change what they say without being noticed.
    Apisix,
    /// With the first key of `encryption`, bound to object and field. APISIX cannot read them.
    Bartizan,
}

/// TLS towards etcd.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EtcdTls {
    /// The authorities that may have signed its certificate: a path to a PEM file, `$file://…`,
    /// `$env://…` or the PEM itself. Absent: those of the system.
    #[schemars(extend("x-reference" = true))]
    pub ca_certs: Option<String>,
    /// Our certificate, where etcd asks for one, in the same forms.
    #[schemars(extend("x-reference" = true))]
    pub cert: Option<String>,
    /// Its key, in the same forms.
    pub key: Option<Secret>,
}

/// A copy of the configuration on this machine.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdSnapshot {
    /// Its path; the file is readable by its owner alone.
    #[schemars(extend("minLength" = 1))]
    pub path: PathBuf,
    /// The key that it is encrypted with (AES-256-GCM): 32 bytes in hexadecimal or Base64, as
    /// `openssl rand -hex 32` makes them. `$file://…` and `$env://…` keep it out of this file.
    pub key: Secret,
}

fn prefix() -> String {
    "/apisix".to_owned()
}

fn timeout() -> Span {
    Span(std::time::Duration::from_secs(5))
}

/// Makes paths absolute, reads certificates, and tells what contradicts itself.
pub(super) fn complete(
    store: &mut Store,
    folder: &Path,
    resolver: &Resolver<'_>,
    problems: &mut Vec<Invalid>,
) {
    match store {
        Store::File { path } => *path = folder.join(&*path),
        Store::Embedded { path, encryption, .. } => {
            *path = folder.join(&*path);
            let mut told = Vec::new();
            check_encryption(encryption.as_ref(), &mut told);
            let under = |invalid: Invalid| {
                invalid.under(PathStep::Key("embedded".into())).under(PathStep::Key("store".into()))
            };
            problems.extend(told.into_iter().map(under));
        }
        Store::Etcd(etcd) => {
            let mut told = Vec::new();
            complete_etcd(etcd, folder, resolver, &mut told);
            let under = |invalid: Invalid| {
                invalid.under(PathStep::Key("etcd".into())).under(PathStep::Key("store".into()))
            };
            problems.extend(told.into_iter().map(under));
        }
    }
}

fn check_encryption(encryption: Option<&Encryption>, problems: &mut Vec<Invalid>) {
    let keys = encryption.map(|encryption| encryption.keys.as_slice()).unwrap_or_default();
    for (index, key) in keys.iter().enumerate() {
        let before = keys.get(..index).unwrap_or_default();
        let at = |field: &str, problem: &str| {
            Invalid::at(field, problem)
                .under(PathStep::Index(index))
                .under(PathStep::Key("keys".into()))
                .under(PathStep::Key("encryption".into()))
        };
        if before.iter().any(|other| other.id == key.id) {
            problems.push(at("id", "the id is given twice"));
        }
        if before.iter().any(|other| other.key.matches(key.key.expose())) {
            problems.push(at("key", "the key is given twice"));
        }
    }
}

fn check_keyring(etcd: &EtcdStore, problems: &mut Vec<Invalid>) {
    for (index, key) in etcd.apisix_keyring.iter().enumerate() {
        if !matches!(key.len(), 16 | 32) {
            let problem = format!("the key has {} characters, not 16 or 32", key.len());
            problems.push(Invalid::at_item("apisix_keyring", index, problem));
        }
    }
    let is_required = etcd.encryption.as_ref().is_some_and(|encryption| encryption.required);
    if is_required && !etcd.apisix_keyring.is_empty() {
        let problem = "what these keys open may have been written by anyone who writes to etcd, \
                       which `encryption.required` rules out";
        problems.push(Invalid::at("apisix_keyring", problem));
    }
    let problem = match etcd.encrypt_as {
        Some(EncryptAs::Apisix) if is_required => {
            "`apisix` is not what `encryption.required` asks for"
        }
        Some(EncryptAs::Apisix) if etcd.apisix_keyring.is_empty() => {
            "`apisix` needs a key in `apisix_keyring`"
        }
        Some(EncryptAs::Bartizan) if etcd.encryption.is_none() => "`bartizan` needs `encryption`",
        _ => return,
    };
    problems.push(Invalid::at("encrypt_as", problem));
}

fn complete_etcd(
    etcd: &mut EtcdStore,
    folder: &Path,
    resolver: &Resolver<'_>,
    problems: &mut Vec<Invalid>,
) {
    for (index, endpoint) in etcd.endpoints.iter().enumerate() {
        let lower = endpoint.to_ascii_lowercase();
        let rest = lower.strip_prefix("http://");
        if rest.is_some_and(|rest| !is_local(rest)) && !etcd.danger_plaintext {
            let problem = "the endpoint is on another machine and not `https`";
            let help = "write `https://`, or `danger_plaintext: true` beside the endpoints";
            problems.push(Invalid::at_item("endpoints", index, problem).with_help(help));
        }
    }
    if !etcd.prefix.starts_with('/') || etcd.prefix.ends_with('/') {
        problems.push(Invalid::at("prefix", "the prefix begins with `/` and does not end with it"));
    }
    if etcd.timeout.0.is_zero() {
        problems.push(Invalid::at("timeout", "etcd would have no time to answer"));
    }
    match (&etcd.user, &etcd.password) {
        (Some(_), None) => problems.push(Invalid::at("user", "a user needs a `password`")),
        (None, Some(_)) => problems.push(Invalid::at("password", "a password needs a `user`")),
        _ => {}
    }
    check_encryption(etcd.encryption.as_ref(), problems);
    check_keyring(etcd, problems);
    if let Some(snapshot) = &mut etcd.snapshot {
        snapshot.path = folder.join(&snapshot.path);
    }
    for (index, file) in etcd.references.files.iter_mut().enumerate() {
        if file.components().any(|part| part == Component::ParentDir) {
            let told = Invalid::at_item("files", index, "`..` leads nowhere here")
                .with_help("write the path without it");
            problems.push(told.under(PathStep::Key("references".into())));
        }
        *file = folder.join(&*file);
    }
    let mut tell = |key: &str, problem: String| {
        problems.push(Invalid::at(key, problem).under(PathStep::Key("tls".into())));
    };
    let tls = &mut etcd.tls;
    for (key, value) in [("ca_certs", &mut tls.ca_certs), ("cert", &mut tls.cert)] {
        let Some(text) = value else { continue };
        match pem(text, folder, resolver) {
            Ok(read) => *text = read,
            Err(problem) => tell(key, problem),
        }
    }
    if let Some(key) = &mut tls.key {
        match pem(key.expose_str().unwrap_or_default(), folder, resolver) {
            Ok(read) => *key = Secret::new(read),
            Err(problem) => tell("key", problem),
        }
    }
    match (&tls.cert, &tls.key) {
        (Some(_), None) => tell("cert", "a certificate needs its `key`".to_owned()),
        (None, Some(_)) => tell("key", "a key needs its `cert`".to_owned()),
        _ => {}
    }
}

/// Whether the authority of an endpoint is this machine.
pub(crate) fn is_local(rest: &str) -> bool {
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        for local in ["localhost:2379", "127.0.0.1:2379", "127.9.9.9", "[::1]:2379", "[::1]/"] {
            assert!(is_local(local), "{local}");
        }
        for remote in ["10.0.0.1:2379", "localhost.evil.test", "127.0.0.1.evil.test", "etcd", ""] {
            assert!(!is_local(remote), "{remote}");
        }
    }
}
