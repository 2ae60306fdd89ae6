//! A configuration out of an OpenAPI document: a route for each path, with what it asks of its
//! callers, and the document itself as the check of requests.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use super::access::Access;
use super::document::{Description, relative};
use super::notes::Notes;
use super::routes::{Route, routes, unique};
use super::{CONSUMER, KEY, Upstream, upstream_text};

/// Where the secret of the first consumer's tokens is, from the folder of the configuration.
pub(super) const TOKEN_SECRET: &str = "secrets/first-client.jwt";
/// Where its password is.
pub(super) const PASSWORD: &str = "secrets/first-client.password";

/// What a document becomes.
pub(super) struct Draft {
    /// The text of the resources.
    pub(super) resources: String,
    /// The secrets that they refer to.
    pub(super) secrets: Vec<&'static str>,
    /// What was written, and what could not be taken over.
    pub(super) told: String,
}

/// Writes the resources for a document, in a folder.
pub(super) fn draft(description: &Description, upstream: &Upstream, folder: &Path) -> Draft {
    let mut notes = Notes::default();
    let routes = routes(&description.outline, &mut notes);
    let mut names: BTreeMap<&Access, String> = BTreeMap::new();
    let mut taken = HashSet::new();
    for route in &routes {
        if !names.contains_key(&route.access) {
            names.insert(&route.access, unique(&mut taken, &route.access.name()));
        }
    }
    let secrets = secrets(names.keys().copied());
    let mut text = head(description, upstream, folder);
    text.push_str("\n# Who may call: each route names one of these.\nplugin_configs:");
    text.push_str(if names.is_empty() { " []\n" } else { "\n" });
    for (access, name) in &names {
        text.push_str(&access.text(name));
    }
    text.push_str("\nroutes:");
    text.push_str(if routes.is_empty() { " []\n" } else { "\n" });
    for route in &routes {
        let name = names.get(&route.access).map_or("", String::as_str);
        text.push_str(&route.text(name));
    }
    text.push_str(&consumers(&secrets));
    Draft { resources: text, told: told(description, &routes, &notes), secrets }
}

fn head(description: &Description, upstream: &Upstream, folder: &Path) -> String {
    let quoted = |path: &Path| Value::from(relative(path, folder)).to_string();
    let mut validator = format!("        spec_file: {}\n", quoted(&description.path));
    if !description.others.is_empty() {
        let files: Vec<String> = description.others.iter().map(|path| quoted(path)).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(validator, "        ref_files: [{}]", files.join(", "));
    }
    format!(
        "\
# What the gateway protects, in the resource model of Apache APISIX.
# Written for this document: {}

{}
services:
  - id: api
    upstream_id: api
    plugins:
      # What requests look like: as the document says, or they are refused. The file is watched.
      oas-validator:
{validator}      # How often: at most 100 requests a minute, for each consumer or else address.
      limit-count:
        count: 100
        time_window: 60
        key: consumer_name
      # Pages of this origin may call from a browser:
      # cors: {{ allow_origins: \"https://app.example\" }}
",
        Value::from(description.outline.title.as_str()),
        upstream_text(upstream),
    )
}

/// The secrets that the first consumer needs.
fn secrets<'a>(accesses: impl Iterator<Item = &'a Access>) -> Vec<&'static str> {
    let (mut key, mut token, mut basic) = (false, false, false);
    for access in accesses {
        if let Access::Closed(credentials) = access {
            key |= credentials.key.is_some();
            token |= credentials.token.is_some();
            basic |= credentials.is_basic;
        }
    }
    let all = [(KEY, key), (TOKEN_SECRET, token), (PASSWORD, basic)];
    all.into_iter().filter_map(|(path, is_needed)| is_needed.then_some(path)).collect()
}

fn consumers(secrets: &[&str]) -> String {
    if secrets.is_empty() {
        return String::new();
    }
    let mut text = format!("\nconsumers:\n  - username: {CONSUMER}\n    plugins:\n");
    for path in secrets {
        let plugin = match *path {
            TOKEN_SECRET => format!("jwt-auth: {{ key: {CONSUMER}, secret: \"$file://{path}\" }}"),
            PASSWORD => {
                format!("basic-auth: {{ username: {CONSUMER}, password: \"$file://{path}\" }}")
            }
            _ => format!("key-auth: {{ key: \"$file://{path}\" }}"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "      {plugin}");
    }
    text
}

fn told(description: &Description, routes: &[Route], notes: &Notes) -> String {
    let operations: usize = description.outline.paths.iter().map(|p| p.operations.len()).sum();
    let count =
        |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    let mut text = format!(
        "Of {} of the document came {}.\n",
        count(operations, "operation"),
        count(routes.len(), "route")
    );
    let notes = notes.text();
    if !notes.is_empty() {
        text.push_str("Not as in the document:\n");
        text.push_str(&notes);
    }
    text
}
