//! Secret managers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Span;

use super::{Placed, Reader, Site, conceal_all};
use crate::diagnostic::Invalid;
use crate::managers::{Aws, Keeper, KvVersion, SecretManager, Vault, VaultAuth, is_path};
use crate::node::is_local;
use crate::resources::ResourceKind;
use crate::wire::{AwsWire, ManagerTlsWire, VaultAuthWire, VaultPath, VaultWire, manager_schema};
use crate::words::quoted;

/// Shortest time after which values are asked for again.
const REFRESH_MIN: Duration = Duration::from_secs(1);

/// What all secret managers say.
pub(super) struct Common {
    pub(super) tls: Option<ManagerTlsWire>,
    pub(super) refresh: Span,
    pub(super) stale_max: Span,
    pub(super) timeout: Span,
}

impl Reader<'_> {
    /// Reads every secret manager, before what refers to them.
    pub(super) fn managers(&mut self, objects: &[Placed<'_>]) -> Vec<Arc<SecretManager>> {
        let mut known = HashMap::new();
        for object in objects.iter().filter(|object| object.kind == ResourceKind::Secret) {
            let id = super::id_of(object.kind, object.site.node, object.index);
            let manager = self.manager(&object.site, &id).map(Arc::new);
            known.insert(id, manager);
        }
        let managers = known.values().flatten().cloned().collect();
        self.rules.resolver.know_managers(known);
        managers
    }

    /// Reads a secret manager; nothing where it is at fault.
    fn manager(&mut self, site: &Site<'_>, id: &str) -> Option<SecretManager> {
        if site.node.get("id").is_none() {
            let help = "write `id: vault/1`, which references name as `$secret://vault/1/…`";
            self.invalid(site, &Invalid::new("a secret manager needs an `id`").with_help(help));
            conceal_all(self, site.node);
            return None;
        }
        match id.split_once('/').unwrap_or_default().0 {
            "vault" => self.read_vault(site, id),
            "aws" => self.read_aws(site, id),
            "gcp" => self.read_gcp(site, id),
            _ => {
                let problem = "expected `vault/`, `aws/` or `gcp/` and an id of up to 64 letters, \
                               digits, `-`, `_` and `.`";
                let problem = format!("{problem}, found {}", quoted(id));
                self.invalid(site, &Invalid::at("id", problem));
                conceal_all(self, site.node);
                None
            }
        }
    }

    /// What a secret manager says, unless it does not fit the schema of its kind.
    pub(super) fn manager_wire<T: serde::de::DeserializeOwned>(
        &mut self,
        site: &Site<'_>,
        id: &str,
    ) -> Option<T> {
        self.typed(site, manager_schema(id), &[], &[])
    }

    fn read_vault(&mut self, site: &Site<'_>, id: &str) -> Option<SecretManager> {
        let wire: VaultWire = self.manager_wire(site, id)?;
        let before = self.diagnostics.len();
        let auth = match (wire.token, wire.auth) {
            (Some(token), None) => Some(VaultAuth::Token(token)),
            (None, Some(auth)) => Some(auth_of(auth)),
            (Some(_), Some(_)) => {
                let problem = "only one of `token` and `auth` may be given";
                self.invalid(site, &Invalid::at("auth", problem));
                None
            }
            (None, None) => {
                self.invalid(site, &Invalid::new("`token` or `auth` is required"));
                None
            }
        };
        let VaultPath(prefix) = wire.prefix;
        let first = prefix.split('/').next().unwrap_or_default();
        let mount = wire.mount.map_or_else(|| first.to_owned(), |VaultPath(mount)| mount);
        if !is_below(&prefix, &mount) {
            let problem = format!("the prefix {} does not begin with it", quoted(&prefix));
            self.invalid(site, &Invalid::at("mount", problem));
        }
        self.judge_uri(site, "uri", &wire.uri.0, wire.danger_plaintext);
        self.judge_tls(site, wire.tls.as_ref(), &[&wire.uri.0]);
        let common = Common {
            tls: wire.tls,
            refresh: wire.refresh,
            stale_max: wire.stale_max,
            timeout: wire.timeout,
        };
        let vault = auth.map(|auth| Vault {
            uri: wire.uri.0.trim_end_matches('/').to_owned(),
            prefix,
            mount,
            kv: if wire.kv_version == Some(2) { KvVersion::Two } else { KvVersion::One },
            namespace: wire.namespace,
            auth,
        });
        self.finish_manager(site, id, before, vault.map(Keeper::Vault), common)
    }

    fn read_aws(&mut self, site: &Site<'_>, id: &str) -> Option<SecretManager> {
        let wire: AwsWire = self.manager_wire(site, id)?;
        let before = self.diagnostics.len();
        let endpoint = match wire.endpoint_url {
            Some(endpoint) => {
                self.judge_uri(site, "endpoint_url", &endpoint.0, wire.danger_plaintext);
                endpoint.0.trim_end_matches('/').to_owned()
            }
            None => Aws::endpoint_of(&wire.region),
        };
        self.judge_tls(site, wire.tls.as_ref(), &[&endpoint]);
        let common = Common {
            tls: wire.tls,
            refresh: wire.refresh,
            stale_max: wire.stale_max,
            timeout: wire.timeout,
        };
        let aws = Aws {
            endpoint,
            region: wire.region,
            access_key_id: wire.access_key_id,
            secret_access_key: wire.secret_access_key,
            session_token: wire.session_token,
        };
        self.finish_manager(site, id, before, Some(Keeper::Aws(aws)), common)
    }

    /// A server on another machine is `https`, or somebody says that it need not be.
    pub(super) fn judge_uri(
        &mut self,
        site: &Site<'_>,
        field: &'static str,
        uri: &str,
        danger_plaintext: bool,
    ) {
        let rest = uri.strip_prefix("http://");
        if rest.is_some_and(|rest| !is_local(&rest.to_ascii_lowercase())) && !danger_plaintext {
            let problem = "the secret manager is on another machine and not `https`";
            let help = "write `https://`, or `danger_plaintext: true` beside it";
            self.invalid(site, &Invalid::at(field, problem).with_help(help));
        }
    }

    /// What is said of TLS towards servers of which none is asked under it would have no effect.
    pub(super) fn judge_tls(
        &mut self,
        site: &Site<'_>,
        tls: Option<&ManagerTlsWire>,
        uris: &[&str],
    ) {
        if tls.is_some() && uris.iter().all(|uri| uri.starts_with("http://")) {
            self.invalid(site, &Invalid::at("tls", "`tls` has no effect without `https`"));
        }
    }

    /// The secret manager, unless something about it was told since `before`.
    pub(super) fn finish_manager(
        &mut self,
        site: &Site<'_>,
        id: &str,
        before: usize,
        keeper: Option<Keeper>,
        common: Common,
    ) -> Option<SecretManager> {
        if common.refresh.0 < REFRESH_MIN {
            self.invalid(site, &Invalid::at("refresh", "the shortest time is one second"));
        }
        if common.timeout.0.is_zero() {
            self.invalid(site, &Invalid::at("timeout", "there would be no time to answer"));
        }
        if self.diagnostics.len() > before {
            return None;
        }
        Some(SecretManager {
            id: id.into(),
            keeper: keeper?,
            ca_certs: common.tls.and_then(|tls| tls.ca_certs).map(|pem| pem.0),
            refresh: common.refresh.0,
            stale_max: common.stale_max.0,
            timeout: common.timeout.0,
            place: site.node.place,
        })
    }
}

fn auth_of(wire: VaultAuthWire) -> VaultAuth {
    match wire {
        VaultAuthWire::AppRole { role_id, secret_id, mount } => {
            VaultAuth::AppRole { mount: mount.0, role_id, secret_id }
        }
        VaultAuthWire::Kubernetes { role, jwt, mount } => {
            VaultAuth::Kubernetes { mount: mount.0, role, jwt }
        }
    }
}

/// Whether a path is another one, or below it.
fn is_below(path: &str, above: &str) -> bool {
    let rest = path.strip_prefix(above);
    is_path(path) && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
