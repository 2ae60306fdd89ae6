//! Secret managers.

use std::sync::Arc;
use std::time::Duration;

use super::{Reader, Site, conceal_all};
use crate::diagnostic::Invalid;
use crate::node::is_local;
use crate::resources::ResourceKind;
use crate::vault::{INSTEAD, KvVersion, NOT_YET, Vault, VaultAuth, is_path};
use crate::wire::{VaultAuthWire, VaultPath, VaultWire};
use crate::words::quoted;

/// Shortest time after which values are asked for again.
const REFRESH_MIN: Duration = Duration::from_secs(1);

impl Reader<'_> {
    /// Reads a secret manager; its id without `vault/` and, unless it is at fault, what it is.
    pub(super) fn vault(&mut self, site: &Site<'_>, id: &str) -> (Arc<str>, Option<Arc<Vault>>) {
        let (manager, short) = id.split_once('/').unwrap_or((id, id));
        if NOT_YET.contains(&manager) {
            let manager = quoted(manager);
            let problem = format!("the secret manager {manager} is not supported yet: {INSTEAD}");
            self.invalid(site, &Invalid::at("id", problem));
            conceal_all(self, site.node);
            return (short.into(), None);
        }
        (short.into(), self.read_vault(site, short).map(Arc::new))
    }

    fn read_vault(&mut self, site: &Site<'_>, id: &str) -> Option<Vault> {
        if site.node.get("id").is_none() {
            let help = "write `id: vault/1`, which references name as `$secret://vault/1/…`";
            self.invalid(site, &Invalid::new("a secret manager needs an `id`").with_help(help));
            conceal_all(self, site.node);
            return None;
        }
        let wire: VaultWire = self.wire(site, ResourceKind::Secret)?;
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
        let rest = wire.uri.0.strip_prefix("http://");
        if rest.is_some_and(|rest| !is_local(&rest.to_ascii_lowercase())) && !wire.danger_plaintext
        {
            let problem = "Vault is on another machine and not `https`";
            let help = "write `https://`, or `danger_plaintext: true` beside it";
            self.invalid(site, &Invalid::at("uri", problem).with_help(help));
        }
        if wire.refresh.0 < REFRESH_MIN {
            self.invalid(site, &Invalid::at("refresh", "the shortest time is one second"));
        }
        if wire.timeout.0.is_zero() {
            self.invalid(site, &Invalid::at("timeout", "Vault would have no time to answer"));
        }
        if self.diagnostics.len() > before {
            return None;
        }
        Some(Vault {
            id: id.into(),
            uri: wire.uri.0.trim_end_matches('/').to_owned(),
            prefix,
            mount,
            kv: if wire.kv_version == Some(2) { KvVersion::Two } else { KvVersion::One },
            namespace: wire.namespace,
            auth: auth?,
            ca_certs: wire.tls.and_then(|tls| tls.ca_certs).map(|pem| pem.0),
            refresh: wire.refresh.0,
            stale_max: wire.stale_max.0,
            timeout: wire.timeout.0,
            place: site.node.place,
        })
    }

    /// Reads every secret manager, before what refers to them.
    pub(super) fn vaults(&mut self, objects: &[super::Placed<'_>]) -> Vec<Arc<Vault>> {
        let mut known = std::collections::HashMap::new();
        for object in objects.iter().filter(|object| object.kind == ResourceKind::Secret) {
            let id = super::id_of(object.kind, object.site.node, object.index);
            let (id, vault) = self.vault(&object.site, &id);
            known.insert(id, vault);
        }
        let vaults = known.values().flatten().cloned().collect();
        self.rules.resolver.know_vaults(known);
        vaults
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
