//! `bartizan init`: a starting configuration for one's own API.
//!
//! Every request needs the key of a consumer, and each consumer has a limit. The key is written to
//! a file that only its owner can read; the configuration refers to it. With an OpenAPI document,
//! its paths become routes, and its security schemes say what callers need.

mod access;
mod document;
mod notes;
mod openapi;
mod routes;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http::Uri;

use crate::cli::InitArgs;
use crate::failure::{Failure, say};
use crate::files::{self, Privacy};

const NODE_FILE: &str = "bartizan.yaml";
const RESOURCES_FILE: &str = "resources.yaml";
/// The first consumer.
const CONSUMER: &str = "first-client";
/// Where its key is, from the folder of the configuration.
const KEY: &str = "secrets/first-client.key";

/// Writes the files and says what to do next.
pub(crate) fn init(args: &InitArgs) -> Result<(), Failure> {
    if !args.listen.ip().is_loopback() {
        return Err(Failure::new(format!(
            "`{}` can be reached from other machines, and there is no certificate yet",
            args.listen
        ))
        .with_help("listen on 127.0.0.1, then add `tls` to the listener and change its address"));
    }
    let plan = plan(args)?;
    let mut texts = vec![
        (NODE_FILE, node_file(args.listen, plan.require), Privacy::Folder),
        (RESOURCES_FILE, plan.resources, Privacy::Folder),
        ("secrets/.gitignore", "*\n".to_owned(), Privacy::Folder),
    ];
    for path in &plan.secrets {
        texts.push((path, format!("{}\n", files::random_secret()?), Privacy::Owner));
    }
    if !args.force {
        refuse_to_replace(&args.dir, &plan.secrets)?;
    }
    std::fs::create_dir_all(&args.dir)
        .map_err(|cause| Failure::file("create the folder", &args.dir, &cause))?;
    files::private_folder(&args.dir.join("secrets"))?;
    // The node file comes last: a folder that has it is complete.
    for (name, text, privacy) in texts.iter().rev() {
        files::write(&args.dir.join(name), text.as_bytes(), *privacy)?;
    }
    say(&farewell(&args.dir, args.listen, &plan.secrets));
    say(&plan.told);
    Ok(())
}

/// What is to be written.
struct Plan {
    resources: String,
    /// What every route must have.
    require: &'static str,
    /// Where secrets belong.
    secrets: Vec<&'static str>,
    /// What there is to say at the end.
    told: String,
}

fn plan(args: &InitArgs) -> Result<Plan, Failure> {
    let stated = args.upstream.as_deref().map(Upstream::parse).transpose()?;
    let Some(path) = &args.openapi else {
        // The command line asks for one of both.
        let upstream = stated.ok_or_else(|| Failure::new("there is no upstream"))?;
        return Ok(Plan {
            resources: resources_file(&upstream),
            require: "authentication, grant, limit",
            secrets: vec![KEY],
            told: String::new(),
        });
    };
    let description = document::read(path)?;
    let upstream = match (stated, &description.outline.origin) {
        (Some(upstream), _) => upstream,
        (None, Some(origin)) => Upstream::parse(origin)?,
        (None, None) => {
            return Err(Failure::new("the servers of the document name no host")
                .with_help("say where your API is with `--upstream http://127.0.0.1:3000`"));
        }
    };
    let folder = std::path::absolute(&args.dir)
        .map_err(|cause| Failure::file("find the folder", &args.dir, &cause))?;
    let openapi::Draft { resources, secrets, told } =
        openapi::draft(&description, &upstream, &folder);
    Ok(Plan { resources, require: "authentication, grant, limit, schema", secrets, told })
}

fn refuse_to_replace(folder: &Path, secrets: &[&str]) -> Result<(), Failure> {
    let taken: Vec<_> = [NODE_FILE, RESOURCES_FILE]
        .iter()
        .chain(secrets)
        .map(|name| inside(folder, name))
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| format!("`{}`", path.display()))
        .collect();
    if taken.is_empty() {
        return Ok(());
    }
    let verb = if taken.len() == 1 { "exists" } else { "exist" };
    Err(Failure::new(format!("{} {verb} already", taken.join(", ")))
        .with_help("choose another folder with `--dir`, or replace them with `--force`"))
}

/// The path of a file in a folder, as people write it.
fn inside(folder: &Path, name: &str) -> PathBuf {
    if folder == Path::new(".") { PathBuf::from(name) } else { folder.join(name) }
}

/// The API to be protected.
#[derive(Debug, PartialEq, Eq)]
struct Upstream {
    is_tls: bool,
    /// As the resource model writes it: a name, or an address without brackets.
    host: String,
    port: u16,
}

impl Upstream {
    fn parse(text: &str) -> Result<Self, Failure> {
        let refuse = |why: &str| {
            Failure::new(format!("the upstream `{text}` {why}"))
                .with_help("write it as in `http://127.0.0.1:3000` or `https://api.example`")
        };
        let uri: Uri = text.parse().map_err(|_| refuse("is no URL"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refuse("is neither http nor https")),
        };
        let authority = uri.authority().ok_or_else(|| refuse("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(refuse("holds a user or password, which would end up in a file"));
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(refuse("has a path or query; requests keep the path they come with"));
        }
        let default = if is_tls { 443 } else { 80 };
        let port = match authority.port() {
            Some(port) => port.as_str().parse().map_err(|_| refuse("has no valid port"))?,
            None if authority.as_str() == authority.host() => default,
            None => return Err(refuse("has no valid port")),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || port == 0 {
            return Err(refuse("has no host or port"));
        }
        Ok(Self { is_tls, host, port })
    }
}

fn node_file(listen: SocketAddr, require: &str) -> String {
    format!(
        "\
# The node: where it listens and what it writes. Routes are in resources.yaml.
# Check both with: bartizan check -c bartizan.yaml

listeners:
  # Plaintext is for this machine only. To serve others, add a certificate:
  - address: \"{listen}\"
  # - address: \"0.0.0.0:9443\"
  #   tls:
  #     certificates:
  #       - {{ cert: tls/server.pem, key: tls/server.key, default: true }}

# Routes and consumers. A change takes effect at once, if it is in order; if not, the running
# configuration stays, and the log and /readyz say why.
store: {{ file: {{ path: resources.yaml }} }}

# What every route must have, or the configuration is refused. `limit`, `schema`,
# `waf` and `upstream_tls` can be added.
security:
  require: [{require}]

# Each refusal is an event here, with its precise cause; the client learns much less.
audit:
  sinks: [{{ file: {{ path: audit.jsonl }} }}]

# Each request is a line here.
access_log:
  sinks: [{{ file: {{ path: access.jsonl }} }}]

# /metrics for Prometheus, /healthz, /readyz. It asks for no credential: keep it private.
status:
  address: \"127.0.0.1:9091\"
"
    )
}

/// The upstream as resources have it.
fn upstream_text(upstream: &Upstream) -> String {
    let scheme = if upstream.is_tls { "https" } else { "http" };
    let host = serde_json::Value::from(upstream.host.as_str());
    let verified = if upstream.is_tls {
        "    # Its certificate is verified; `tls: { ca_certs: $file://ca.pem }` names your own \
         authority.\n"
    } else {
        ""
    };
    let port = upstream.port;
    format!(
        "\
upstreams:
  - id: api
    scheme: {scheme}
{verified}    nodes:
      - {{ host: {host}, port: {port}, weight: 1 }}
    # The Host that it sees: its own name. `pass` hands on the client's.
    pass_host: node
"
    )
}

fn resources_file(upstream: &Upstream) -> String {
    let upstreams = upstream_text(upstream);
    format!(
        "\
# What the gateway protects, in the resource model of Apache APISIX.

{upstreams}
routes:
  - id: everything
    uri: /*
    upstream_id: api
    plugins:
      # Who calls: the key in the field `apikey`. It does not reach the upstream.
      key-auth: {{}}
      # Who of them may: only the consumers in this list.
      consumer-restriction:
        whitelist: [{CONSUMER}]
      # How often: at most 100 requests a minute, for each consumer.
      limit-count:
        count: 100
        time_window: 60
        key: consumer_name
      # Pages of this origin may call from a browser:
      # cors: {{ allow_origins: \"https://app.example\" }}
  # What is open to everyone says why, or the configuration is refused:
  # - id: health
  #   uri: /health
  #   methods: [GET]
  #   upstream_id: api
  #   plugins:
  #     anonymous-access: {{ reason: \"the load balancer asks without a key\" }}
  #     limit-count: {{ count: 10, time_window: 1, key: remote_addr }}

consumers:
  - username: {CONSUMER}
    plugins:
      key-auth: {{ key: \"$file://{KEY}\" }}
"
    )
}

fn farewell(folder: &Path, listen: SocketAddr, secrets: &[&str]) -> String {
    let node = inside(folder, NODE_FILE);
    let node = node.display();
    let resources = inside(folder, RESOURCES_FILE);
    let resources = resources.display();
    let key = inside(folder, KEY);
    let key = key.display();
    let (written, call) = match secrets {
        [KEY] => (
            format!(", {resources} and the key of a first consumer, {key}"),
            format!("  curl -H \"apikey: $(cat {key})\" http://{listen}/\n"),
        ),
        [] => (format!(" and {resources}"), String::new()),
        several => {
            let files: Vec<String> =
                several.iter().map(|path| inside(folder, path).display().to_string()).collect();
            let call = if several.contains(&openapi::TOKEN_SECRET) {
                format!("  bartizan token -c {node} --consumer {CONSUMER}\n")
            } else {
                String::new()
            };
            (format!(", {resources} and secrets of a first consumer, {}", files.join(", ")), call)
        }
    };
    format!(
        "\
Written: {node}{written}.

  bartizan check -c {node}
  bartizan run -c {node}
{call}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(text: &str) -> Option<(bool, String, u16)> {
        Upstream::parse(text).ok().map(|u| (u.is_tls, u.host, u.port))
    }

    #[test]
    fn an_upstream_is_a_scheme_a_host_and_a_port() {
        let api = || "api.example".to_owned();
        assert_eq!(upstream("https://api.example"), Some((true, api(), 443)));
        assert_eq!(upstream("http://api.example/"), Some((false, api(), 80)));
        assert_eq!(upstream("http://[::1]:8080"), Some((false, "::1".to_owned(), 8080)));
    }

    #[test]
    fn what_would_be_lost_or_leak_is_refused() {
        for text in [
            "api.example:80",
            "ftp://api.example",
            "http://",
            "http://u:p@api.example",
            "http://api.example/v1",
            "http://api.example/?a=b",
            "http://api.example:0",
            "http://api.example:99999",
            "",
        ] {
            assert_eq!(upstream(text), None, "{text}");
        }
    }
}
