//! Objects of a running Apache APISIX: by its Admin API, or out of its etcd.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::{Surroundings, System, secret_fields};
use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, Limits, Secret};
use bartizan_net::{
    Call, CallLimits, Client, EgressPolicy, Endpoint, Keep, Network, Url, is_loopback,
};
use bartizan_plugins::Catalogue;
use bartizan_store::{
    ApisixKeyring, Etcd, EtcdSettings, FindSecrets, Object, Sealed, SealedSettings, Store,
    looks_sealed,
};
use bartizan_tls::{UpstreamTlsSettings, client_config};
use bartizan_wire::Fields;
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::cli::ImportArgs;
use crate::failure::Failure;

/// Time for one answer.
const TIME: Duration = Duration::from_secs(30);
/// Longest answer.
const ANSWER_MAX: usize = 64 * 1_024 * 1_024;
/// Longest file of a key.
const KEY_MAX: u64 = 4_096;
/// The collections that an Admin API lists.
const COLLECTIONS: [&str; 11] = [
    "routes",
    "services",
    "upstreams",
    "consumers",
    "consumer_groups",
    "plugin_configs",
    "global_rules",
    "ssls",
    "secrets",
    "protos",
    "plugin_metadata",
];
const API: &str = "/apisix/admin";
/// What a consumer's credentials are under.
const CREDENTIALS: &str = "/credentials";
/// What the costs of the fields of a service's queries are under.
const COSTS: &str = "/graphql_cost_decorations";

/// An object as it is kept there.
pub(super) struct Fetched {
    pub(super) collection: String,
    pub(super) id: String,
    pub(super) content: String,
}

/// Everything at an address: `http://` and `https://` are Admin APIs, `etcd+http://` and
/// `etcd+https://` members of a cluster, with the prefix as path.
pub(super) fn objects(source: &str, args: &ImportArgs) -> Result<Vec<Fetched>, Failure> {
    let secret = args.key_file.as_deref().map(secret).transpose()?;
    if secret.is_some() && !args.danger_plaintext && is_overheard(source) {
        return Err(Failure::new(format!(
            "the key would be sent to `{source}` in clear: everyone on the way could use it"
        ))
        .with_help("write `https://`, ask on that machine itself, or add `--danger-plaintext`"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|cause| Failure::new(format!("no runtime can be started: {cause}")))?;
    match source.strip_prefix("etcd+") {
        Some(endpoint) => from_etcd(&runtime, endpoint, secret, args.keyring_file.as_deref()),
        None => runtime.block_on(from_admin_api(&runtime, source, secret)),
    }
}

/// Whether others than the server can read what is sent to an address.
fn is_overheard(source: &str) -> bool {
    let url = source.strip_prefix("etcd+").unwrap_or(source);
    // What cannot be read as an address is told where it is used.
    Url::parse(url).is_ok_and(|url| !url.is_tls && !is_loopback(&url.host))
}

fn secret(path: &Path) -> Result<String, Failure> {
    let content =
        System.file(path, KEY_MAX).map_err(|cause| Failure::file("read", path, &cause))?;
    let text = String::from_utf8(content)
        .map_err(|_| Failure::new(format!("`{}` is no text", path.display())))?;
    Ok(text.trim().to_owned())
}

fn from_etcd(
    runtime: &Runtime,
    endpoint: &str,
    secret: Option<String>,
    keyring: Option<&Path>,
) -> Result<Vec<Fetched>, Failure> {
    let keyring = keyring.map(read_keyring).transpose()?;
    let after_scheme = endpoint.find("://").map_or(0, |at| at + 3);
    let path = endpoint.get(after_scheme..).and_then(|rest| rest.find('/'));
    let (endpoint, prefix) = match path {
        Some(at) => endpoint.split_at(after_scheme + at),
        None => (endpoint, "/apisix"),
    };
    let prefix = if prefix == "/" { "/apisix" } else { prefix };
    let user = match secret {
        Some(secret) => {
            let (user, password) = secret.split_once(':').ok_or_else(|| {
                Failure::new("the file of the key holds no `user:password` for etcd")
            })?;
            Some((user.to_owned(), Secret::new(password.as_bytes().to_vec())))
        }
        None => None,
    };
    let settings = EtcdSettings {
        endpoints: vec![endpoint.to_owned()],
        prefix: prefix.to_owned(),
        user,
        tls: UpstreamTlsSettings::default(),
        time: TIME,
        kept: None,
        clock: Clock::System,
        metrics: SharedMetrics::default(),
    };
    let store =
        Etcd::open(settings, runtime.handle()).map_err(|error| Failure::new(error.problem))?;
    let snapshot = runtime
        .block_on(async {
            store.begin().await;
            store.snapshot().await
        })
        .map_err(|error| Failure::new(format!("etcd at `{endpoint}` cannot be read: {error}")))?;
    let is_told = keyring.is_some();
    let keyring = keyring.unwrap_or_default();
    let find: FindSecrets =
        Arc::new(|key, value| secret_fields(&Catalogue, key.collection(), key.id(), value));
    if !is_told
        && let Some(object) = snapshot.objects.iter().find(|object| is_sealed(object, &find))
    {
        return Err(Failure::new(format!(
            "`{}` holds a secret that looks encrypted, as Apache APISIX does by default",
            object.key
        ))
        .with_help(
            "name a file with the keys of `data_encryption.keyring`, one on each line, with \
             `--keyring-file`; an empty one says that nothing is encrypted",
        ));
    }
    let settings = SealedSettings { keyring, is_shared: true, ..SealedSettings::default() };
    let sealed = Sealed::new(store, settings, find).map_err(|error| Failure::new(error.problem))?;
    let fetched = snapshot.objects.into_iter().map(|object| {
        let object = sealed.clear_object(object);
        Fetched {
            collection: object.key.collection().to_owned(),
            id: object.key.id().to_owned(),
            content: String::from_utf8_lossy(&object.content).into_owned(),
        }
    });
    Ok(fetched.collect())
}

fn read_keyring(path: &Path) -> Result<ApisixKeyring, Failure> {
    let text = secret(path)?;
    let keys = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys = keys.map(|line| Secret::new(line.as_bytes().to_vec())).collect();
    ApisixKeyring::new(keys).ok_or_else(|| {
        Failure::new(format!("`{}` holds a key of neither 16 nor 32 characters", path.display()))
    })
}

/// Whether a secret of an object looks as if it were encrypted.
fn is_sealed(object: &Object, find: &FindSecrets) -> bool {
    let Ok(value) = serde_json::from_slice::<Value>(&object.content) else { return false };
    let found = find(&object.key, &value);
    let mut texts = found.iter().filter_map(|at| value.pointer(at).and_then(Value::as_str));
    texts.any(looks_sealed)
}

/// A server that is asked for lists.
struct AdminApi<'a> {
    client: Client,
    endpoint: Endpoint,
    fields: Fields,
    source: &'a str,
}

async fn from_admin_api(
    runtime: &Runtime,
    source: &str,
    key: Option<String>,
) -> Result<Vec<Fetched>, Failure> {
    let refuse = |why: String| Failure::new(format!("the Admin API `{source}`: {why}"));
    let url = Url::parse(source).map_err(|fault| refuse(fault.to_string()))?;
    let tls = client_config(&UpstreamTlsSettings::default(), &Clock::System)
        .map_err(|fault| refuse(fault.to_string()))?;
    let endpoint =
        Endpoint::new(&url, Some(tls)).ok_or_else(|| refuse("it has no usable host".to_owned()))?;
    let policy = EgressPolicy { own: Vec::new(), danger_allow_link_local: false };
    let reach = Arc::new(Network::new(runtime.handle().clone(), policy));
    let mut fields = Fields::new();
    fields.append("accept", "application/json");
    if let Some(key) = key {
        fields.append("x-api-key", key);
    }
    let api = AdminApi { client: Client::new(reach, &Limits::default()), endpoint, fields, source };
    let mut fetched = Vec::new();
    for collection in COLLECTIONS {
        let found = api.list(collection).await?;
        let below = match collection {
            "consumers" => CREDENTIALS,
            "services" => COSTS,
            _ => "",
        };
        let owners = found.iter().filter(|_| !below.is_empty());
        let owners: Vec<String> = owners.map(|object| object.id.clone()).collect();
        fetched.extend(found);
        for owner in owners {
            fetched.extend(api.list(&format!("{collection}/{owner}{below}")).await?);
        }
    }
    Ok(fetched)
}

impl AdminApi<'_> {
    async fn list(&self, path: &str) -> Result<Vec<Fetched>, Failure> {
        let target = format!("{API}/{path}");
        let refuse = |why: String| {
            Failure::new(format!("the Admin API `{}`, asked for `{target}`: {why}", self.source))
        };
        let call = Call { method: &Method::GET, target: &target, fields: &self.fields, body: &[] };
        let keep = Keep { size: 1, idle: TIME };
        let limits = CallLimits { time: TIME, answer: ANSWER_MAX, keep };
        let answer = self
            .client
            .call(&self.endpoint, &call, &limits)
            .await
            .map_err(|error| refuse(error.to_string()))?;
        match answer.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST if is_newer(path) => {
                return Ok(Vec::new());
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(refuse(format!("{}", answer.status))
                    .with_help("name a file that holds its key with `--key-file`"));
            }
            status => return Err(refuse(status.to_string())),
        }
        let body: Value = serde_json::from_slice(answer.body())
            .map_err(|error| refuse(format!("no JSON: {error}")))?;
        if path.ends_with(COSTS) && body.get("list").is_none() {
            // An earlier version shows the service itself.
            return Ok(Vec::new());
        }
        let list = listed(&body).ok_or_else(|| {
            refuse("the answer has no `list`".to_owned()).with_help(
                "an Admin API of version 3 is read: `deployment.admin.admin_api_version: v3`",
            )
        })?;
        // An entry is not shown: it may hold secrets.
        let strange = |at| refuse(format!("entry {at} of `list` has no `key` and `value`"));
        let entries = list.iter().enumerate();
        entries.map(|(at, entry)| object(entry).ok_or_else(|| strange(at))).collect()
    }
}

/// The list of an answer. Lua writes one without entries as a map without any; where there is none
/// at all, as in version 2, nothing is known of what is there.
fn listed(body: &Value) -> Option<&[Value]> {
    match body.get("list")? {
        Value::Array(list) => Some(list),
        Value::Object(list) if list.is_empty() => Some(&[]),
        _ => None,
    }
}

/// Whether an earlier version has no such kind. Without groups and credentials nothing is more open,
/// and nothing else may be missing.
fn is_newer(path: &str) -> bool {
    path.ends_with(CREDENTIALS)
        || path.ends_with(COSTS)
        || matches!(path, "consumer_groups" | "secrets")
}

/// An entry of a list: its key ends in the collection and the id.
fn object(entry: &Value) -> Option<Fetched> {
    let key = entry.get("key")?.as_str()?;
    let name = key.trim_start_matches('/');
    let name = COLLECTIONS
        .iter()
        .find_map(|known| name.find(&format!("{known}/")).and_then(|at| name.get(at..)))?;
    let (collection, id) = name.split_once('/')?;
    let content = entry.get("value")?.to_string();
    Some(Fetched { collection: collection.to_owned(), id: id.to_owned(), content })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_named_by_the_end_of_its_key() {
        for (key, collection, id) in [
            ("/apisix/routes/1", "routes", "1"),
            ("/some/prefix/services/a", "services", "a"),
            ("/apisix/consumers/jack/credentials/one", "consumers", "jack/credentials/one"),
            (
                "/apisix/services/s/graphql_cost_decorations/1",
                "services",
                "s/graphql_cost_decorations/1",
            ),
            ("/apisix/secrets/vault/1", "secrets", "vault/1"),
        ] {
            let found = object(&json!({ "key": key, "value": {} })).unwrap();
            assert_eq!((&*found.collection, &*found.id), (collection, id));
        }
        assert!(object(&json!({ "key": "/apisix/routes/1" })).is_none());
        assert!(object(&json!({ "key": "nothing", "value": {} })).is_none());
    }

    #[test]
    fn an_answer_without_a_list_is_not_one_without_objects() {
        for (body, expected) in [
            (json!({ "list": [1, 2], "total": 2 }), Some(2)),
            (json!({ "list": [] }), Some(0)),
            (json!({ "list": {}, "total": 0 }), Some(0)),
            (json!({ "list": { "1": {} } }), None),
            (json!({ "list": null }), None),
            (json!({ "node": { "nodes": [] }, "count": 0 }), None),
            (json!([]), None),
        ] {
            assert_eq!(listed(&body).map(<[Value]>::len), expected, "{body}");
        }
    }

    #[test]
    fn a_key_is_in_clear_on_its_way_to_another_machine_without_tls() {
        for (source, expected) in [
            ("http://10.0.0.1:9180", true),
            ("HTTP://apisix.internal", true),
            ("http://localhost.evil.test", true),
            ("etcd+http://etcd-1:2379/apisix", true),
            ("https://10.0.0.1:9180", false),
            ("etcd+https://etcd-1:2379", false),
            ("http://127.0.0.1:9180", false),
            ("http://LOCALHOST:9180", false),
            ("etcd+http://[::1]:2379/apisix", false),
        ] {
            assert_eq!(is_overheard(source), expected, "{source}");
        }
    }

    #[test]
    fn a_file_of_a_key_has_a_length_at_most() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let max = usize::try_from(KEY_MAX).unwrap();
        for (length, is_read) in [(max - 1, true), (max, true), (max + 1, false)] {
            std::fs::write(file.path(), vec![b'k'; length]).unwrap();
            let read = secret(file.path()).ok().map(|key| key.len());
            assert_eq!(read, is_read.then_some(length));
        }
    }
}
