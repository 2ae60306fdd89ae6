//! What a node file must hold beyond its schema, and the files that it names.

use std::path::{Path, PathBuf};

use bartizan_core::Secret;

use super::{NodeConfig, OnFull, Requirement, Sink, Store};
use crate::diagnostic::{Invalid, PathStep};
use crate::reference::Resolver;

/// Where PEM text is recognised.
const PEM: &str = "-----BEGIN ";

/// Makes paths absolute, reads certificates, and collects what contradicts itself.
pub(crate) fn complete(
    node: &mut NodeConfig,
    folder: &Path,
    has_resources: bool,
    resolver: &Resolver<'_>,
) -> Vec<Invalid> {
    let mut problems = Vec::new();
    check_store(node, has_resources, &mut problems);
    check_security(node, &mut problems);
    check_listeners(node, &mut problems);
    check_admin(node, &mut problems);
    check_limits(node, &mut problems);
    read_certificates(node, folder, resolver, &mut problems);

    let is_writer =
        node.admin.is_some() && matches!(node.store, Some(Store::Embedded { .. } | Store::Etcd(_)));
    if let Some(keys) = &mut node.api_keys {
        super::api_keys::complete(keys, folder, is_writer, &mut problems);
    }
    if let Some(admin) = &mut node.admin {
        super::admin::complete(admin, folder, resolver, &mut problems);
    }
    if let Some(store) = &mut node.store {
        super::store::complete(store, folder, resolver, &mut problems);
    }
    super::discovery::complete(&mut node.discovery, folder, resolver, &mut problems);
    let absolute = |path: &mut PathBuf| *path = folder.join(&*path);
    for sink in node.audit.sinks.iter_mut().chain(&mut node.access_log.sinks) {
        if let Sink::File { path } = sink {
            absolute(path);
        }
    }
    super::lent::complete(node, resolver, &mut problems);
    problems
}

fn check_store(node: &mut NodeConfig, has_resources: bool, problems: &mut Vec<Invalid>) {
    match (&node.store, has_resources) {
        // Whoever may change resources needs a place for them that can be written.
        (None, false) if node.admin.is_some() => node.store = Some(Store::behind_admin()),
        (Some(_), true) => problems.push(
            Invalid::at("store", "`store` and `resources` are both given")
                .with_help("keep the resources in one place"),
        ),
        (None, false) => problems.push(
            Invalid::new("there are no resources")
                .with_help("name a `store`, or write them under `resources`"),
        ),
        _ => {}
    }
}

/// A WebSocket holds a place in the audit queue for as long as it lives: as many as there may be
/// must leave room for other requests.
fn check_limits(node: &NodeConfig, problems: &mut Vec<Invalid>) {
    let (open, queue) = (node.limits.websockets, node.limits.audit_queue);
    if node.audit.on_full != OnFull::Deny || open <= queue / 2 {
        return;
    }
    let problem = format!(
        "with `audit.on_full: deny` `limits.websockets` may be at most half of \
         `limits.audit_queue`: {open} of {queue}"
    );
    problems.push(
        Invalid::at("websockets", problem)
            .under(PathStep::Key("limits".to_owned()))
            .with_help("lower `limits.websockets`, or raise `limits.audit_queue`"),
    );
}

fn check_security(node: &NodeConfig, problems: &mut Vec<Invalid>) {
    let requires = node.security.require.contains(&Requirement::Authentication);
    match (requires, node.security.danger_allow_unauthenticated_routes) {
        (false, false) => problems.push(
            Invalid::at("require", "`authentication` is left out")
                .under(PathStep::Key("security".to_owned()))
                .with_help(
                    "add it, or write `danger_allow_unauthenticated_routes: true` beside the list",
                ),
        ),
        (true, true) => problems.push(
            Invalid::at(
                "danger_allow_unauthenticated_routes",
                "`danger_allow_unauthenticated_routes` has no effect while `require` holds \
                 `authentication`",
            )
            .under(PathStep::Key("security".to_owned()))
            .with_help("remove it, or leave `authentication` out of `require`"),
        ),
        _ => {}
    }
}

fn listener(index: usize, field: &str) -> Vec<PathStep> {
    vec![
        PathStep::Key("listeners".to_owned()),
        PathStep::Index(index),
        PathStep::Key(field.to_owned()),
    ]
}

fn check_listeners(node: &NodeConfig, problems: &mut Vec<Invalid>) {
    for (index, this) in node.listeners.iter().enumerate() {
        let mut tell = |field: &str, problem: &str| {
            let path = listener(index, field);
            problems.push(Invalid { path, problem: problem.to_owned(), help: None });
        };
        let before = node.listeners.get(..index).unwrap_or_default();
        // Port 0 is another free port each time.
        let is_fixed = this.address.port() != 0;
        if is_fixed && before.iter().any(|other| other.address == this.address) {
            tell("address", "the address is given twice");
        }
        let status = node.status.as_ref();
        if is_fixed && status.is_some_and(|status| status.address == this.address) {
            tell("address", "the address is that of `status`");
        }
        let admin = node.admin.as_ref();
        if is_fixed && admin.is_some_and(|admin| admin.listen == this.address) {
            tell("address", "the address is that of `admin`");
        }
        if this.danger_plaintext && this.tls.is_some() {
            tell("danger_plaintext", "`danger_plaintext` has no effect on a listener with `tls`");
        }
        let certificates = this.tls.iter().flat_map(|tls| &tls.certificates);
        if certificates.filter(|certificate| certificate.default).count() > 1 {
            tell("tls", "only one certificate of a listener can be the default");
        }
    }
}

/// The Admin API and the status listener are two.
fn check_admin(node: &NodeConfig, problems: &mut Vec<Invalid>) {
    let (Some(admin), Some(status)) = (&node.admin, &node.status) else { return };
    if admin.listen.port() != 0 && admin.listen == status.address {
        let invalid = Invalid::at("listen", "the address is that of `status`");
        problems.push(invalid.under(PathStep::Key("admin".to_owned())));
    }
}

fn read_certificates(
    node: &mut NodeConfig,
    folder: &Path,
    resolver: &Resolver<'_>,
    problems: &mut Vec<Invalid>,
) {
    for (index, this) in node.listeners.iter_mut().enumerate() {
        let certificates = this.tls.iter_mut().flat_map(|tls| &mut tls.certificates);
        for (number, certificate) in certificates.enumerate() {
            let mut tell = |field: &str, problem: String| {
                let mut path = listener(index, "tls");
                path.push(PathStep::Key("certificates".to_owned()));
                path.push(PathStep::Index(number));
                path.push(PathStep::Key(field.to_owned()));
                problems.push(Invalid { path, problem, help: None });
            };
            match pem(&certificate.cert, folder, resolver) {
                Ok(pem) => certificate.cert = pem,
                Err(problem) => tell("cert", problem),
            }
            match pem(certificate.key.expose_str().unwrap_or_default(), folder, resolver) {
                Ok(pem) => certificate.key = Secret::new(pem),
                Err(problem) => tell("key", problem),
            }
        }
    }
}

/// The PEM that a value is or names.
pub(super) fn pem(value: &str, folder: &Path, resolver: &Resolver<'_>) -> Result<String, String> {
    if value.contains(PEM) {
        return Ok(value.to_owned());
    }
    let text = resolver.text_file(&folder.join(value))?;
    if text.contains(PEM) { Ok(text) } else { Err("the file holds no PEM".to_owned()) }
}
