//! Proxies that are set up to know who calls: configured, started, reached.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::super::cases::{CONSUMERS, Variant, consumer};
use super::super::keys::{AUDIENCE, ISSUER};
use super::super::process::Pinned;
use super::super::proxies::{PROXY_CORE, Proxy, free_address, wait_until_open};
use super::super::template::Values;
use super::credentials::Credentials;
use super::means::{Means, Way};

/// Tokens that a cache of Envoy's holds, as many as ours.
const CACHED: usize = 4_096;

/// A proxy that serves.
pub(super) struct Contender {
    pub(super) proxy: Proxy,
    pub(super) way: Way,
    pub(super) process: Pinned,
    pub(super) address: SocketAddr,
}

impl Contender {
    /// The name in messages.
    pub(super) fn name(&self) -> String {
        format!("{}{}", self.proxy.name(), self.way.suffix())
    }
}

/// What contenders need to start.
pub(super) struct Ground {
    pub(super) folder: PathBuf,
    pub(super) upstream: SocketAddr,
    pub(super) programs: Vec<(Proxy, PathBuf)>,
}

impl Ground {
    /// Writes the lists that others read from files, for the keys of this means.
    pub(super) fn write_lists(&self, credentials: &Credentials) -> Result<()> {
        let lines = |line: &dyn Fn(&str) -> String| -> String {
            (0..CONSUMERS).map(|number| line(&consumer(number)) + "\n").collect()
        };
        let key = |name: &str| credentials.api_key(name);
        let write = |file: &str, text: String| fs::write(self.folder.join(file), text);
        write("consumers.lst", lines(&str::to_owned))?;
        write("haproxy-keys.map", lines(&|name| format!("{} {name}", key(name))))?;
        write("nginx-keys.map", lines(&|name| format!("\"{}\" {name};", key(name))))?;
        write("nginx-subjects.map", lines(&|name| format!("\"CN={name}\" {name};")))?;
        credentials.write(&self.folder)
    }

    /// Starts a proxy.
    pub(super) async fn start(
        &self,
        proxy: Proxy,
        means: Means,
        way: Way,
        credentials: &Credentials,
    ) -> Result<Contender> {
        let program = self.programs.iter().find(|(known, _)| *known == proxy);
        let (_, program) = program.context("it is not installed")?;
        let (template, ending) = template(proxy);
        let address = free_address()?;
        let name = format!("{proxy:?}-{means:?}-{way:?}").to_lowercase();
        let text = fs::read_to_string(template).with_context(|| format!("no {template}"))?;
        let values = self.values(&name, means, way, credentials, address)?;
        let text = values.fill(&text).with_context(|| format!("in {template}"))?;
        let configuration = self.folder.join(format!("{name}.{ending}"));
        fs::write(&configuration, text)?;
        let words = proxy.words(Variant::Open, &configuration.to_string_lossy());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let log = self.folder.join(format!("{name}.log"));
        let process = Pinned::start(PROXY_CORE, program, &words, &log)?;
        let mut contender = Contender { proxy, way, process, address };
        wait_until_open(&mut contender.process, address).await.with_context(|| {
            format!("{} does not start; see {}", contender.name(), log.display())
        })?;
        Ok(contender)
    }

    fn values(
        &self,
        name: &str,
        means: Means,
        way: Way,
        credentials: &Credentials,
        address: SocketAddr,
    ) -> Result<Values> {
        let mut values = Values::default();
        let mut set = |name: &'static str, value: &str| values.set(name, value);
        set("name", name);
        set("workers", "1");
        set("tls_port", &address.port().to_string());
        set("status_port", &free_address()?.port().to_string());
        set("upstream_port", &self.upstream.port().to_string());
        set("issuer", ISSUER);
        set("audience", AUDIENCE);
        set("secret", credentials.secret());
        self.set_files(&mut values, means, credentials);
        set_switches(&mut values, means, way);
        Ok(values)
    }

    fn set_files(&self, values: &mut Values, means: Means, credentials: &Credentials) {
        let path = |file: &str| self.folder.join(file).display().to_string();
        values.set("folder", &self.folder.display());
        for (name, file) in [
            ("cert", "cert.pem"),
            ("key", "key.pem"),
            ("pem", "both.pem"),
            ("clients", "clients.pem"),
            ("keys", "haproxy-keys.map"),
        ] {
            values.set(name, &path(file));
        }
        values.set("jwks", &path(&format!("key-{means:?}.jwks")));
        let public = path(&format!("key-{means:?}.pem"));
        let jwt_key = if means == Means::Hs256 { credentials.secret() } else { &public };
        values.set("jwt_key", jwt_key);
    }
}

/// What is switched on for one way of one means, and the lists that go with it.
fn set_switches(values: &mut Values, means: Means, way: Way) {
    let (is_judged, remembers) = (way != Way::Open, way == Way::Remembered);
    let is_mtls = is_judged && means.is_mtls();
    let has_keys = is_judged && means == Means::ApiKey;
    let algorithm = means.algorithm().filter(|_| is_judged && means != Means::Dpop);
    for (name, is_on) in [
        ("open", !is_judged),
        ("judged", is_judged),
        ("mtls", is_mtls),
        ("server_certificate", !is_mtls),
        ("shared_secret", algorithm == Some("HS256")),
        ("public_key", algorithm.is_some_and(|algorithm| algorithm != "HS256")),
        ("dpop", is_judged && means == Means::Dpop),
        ("introspection", is_judged && means == Means::Introspection),
        ("api_key", has_keys),
    ] {
        values.set(name, if is_on { "yes" } else { "" });
    }
    values.set("algorithm", algorithm.unwrap_or_default());
    values.set("asks_certificate", &is_mtls);
    values.set("remembers", &remembers);
    values.set("cache_ttl", if remembers { "10m" } else { "0s" });
    let cache = format!("jwt_cache_config: {{ jwt_cache_size: {CACHED} }}");
    values.set("jwt_cache", if remembers { &*cache } else { "" });
    let those = |are_there: bool| {
        let count = if are_there { CONSUMERS } else { 0 };
        (0..count).map(consumer).collect::<Vec<_>>()
    };
    values.set_list("consumer", those(true));
    values.set_list("keyed", those(has_keys));
    values.set_list("certified", those(is_mtls));
}

/// The template of a proxy's configuration, and how its file ends.
fn template(proxy: Proxy) -> (&'static str, &'static str) {
    match proxy {
        Proxy::Bartizan => ("bench/bartizan-identity.yaml", "yaml"),
        Proxy::Haproxy => ("bench/haproxy-identity.cfg", "cfg"),
        Proxy::Envoy => ("bench/envoy-identity.yaml", "yaml"),
        Proxy::Nginx | Proxy::NginxLua => ("bench/nginx-identity.conf", "conf"),
    }
}

/// Where the keys of the server and of the clients are made.
pub(super) fn folder(name: &str) -> Result<PathBuf> {
    let folder = std::path::absolute(Path::new(name))?;
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::means::{PROXIES, absence};
    use super::*;

    fn filled(proxy: Proxy, means: Means, way: Way) -> String {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let folder = PathBuf::from("folder");
        let ground = Ground { folder, upstream: address, programs: Vec::new() };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = fs::read_to_string(root.join(template(proxy).0)).unwrap();
        let credentials = Credentials::generate(means).unwrap();
        let values = ground.values("name", means, way, &credentials, address).unwrap();
        values.fill(&text).unwrap()
    }

    #[test]
    fn every_configuration_can_be_filled_in() {
        for proxy in PROXIES {
            for means in Means::ALL {
                for way in Way::ALL {
                    if absence(proxy, means, way).is_some() {
                        continue;
                    }
                    let text = filled(proxy, means, way);
                    let is_whole = !text.contains("{{") && !text.contains("#@");
                    assert!(is_whole, "{proxy:?} {means:?} {way:?}");
                }
            }
        }
    }

    #[test]
    fn a_configuration_asks_for_what_is_measured_and_for_nothing_else() {
        let asks = [
            (Proxy::Bartizan, ["jwt-auth:\n", "mtls-auth: { names", "key-auth: { header"]),
            (Proxy::Haproxy, ["jwt_verify", "ssl_c_s_dn", "map_str"]),
            (Proxy::Envoy, ["jwt_authn", "rbac", "api_key_auth"]),
            (Proxy::Nginx, ["no tokens", "ssl_verify_client", "http_apikey"]),
        ];
        for (proxy, [token, certificate, key]) in asks {
            for (means, own) in
                [(Means::Es256, token), (Means::Mtls, certificate), (Means::ApiKey, key)]
            {
                let (open, judged) =
                    (filled(proxy, means, Way::Open), filled(proxy, means, Way::Judged));
                for mark in [token, certificate, key] {
                    // The heading of a file tells what others do with it.
                    let count = |text: &str| {
                        text.lines().skip(1).any(|line| format!("{line}\n").contains(mark))
                    };
                    assert!(!count(&open), "{proxy:?} {means:?}: `{mark}` in an open route");
                    let is_there = mark == own && mark != "no tokens";
                    assert_eq!(count(&judged), is_there, "{proxy:?} {means:?}: `{mark}`");
                }
            }
        }
    }

    #[test]
    fn memory_is_switched_on_for_those_only_who_remember() {
        let has = |proxy, way, mark: &str| filled(proxy, Means::Rs256, way).contains(mark);
        assert!(has(Proxy::Bartizan, Way::Remembered, "token_cache: true"));
        assert!(has(Proxy::Bartizan, Way::Judged, "token_cache: false"));
        assert!(has(Proxy::Envoy, Way::Remembered, "jwt_cache_size: 4096"));
        assert!(!has(Proxy::Envoy, Way::Judged, "jwt_cache"));
        let ttl = |way| filled(Proxy::Bartizan, Means::Introspection, way);
        assert!(ttl(Way::Remembered).contains("cache_ttl: 10m"));
        assert!(ttl(Way::Judged).contains("cache_ttl: 0s"));
    }
}
