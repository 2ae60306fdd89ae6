//! What the node file lets objects of a store read, which may not be what it keeps for itself.

use std::path::PathBuf;
use std::sync::Arc;

use super::{KeyRecipient, NodeConfig, Sink, Store};
use crate::diagnostic::{Invalid, PathStep};
use crate::reference::Resolver;
use crate::terms::{References, plain};
use crate::words::quoted;

/// Says what objects may read, once all paths of the node file are absolute and all that it refers
/// to was read.
pub(super) fn complete(
    node: &mut NodeConfig,
    resolver: &Resolver<'_>,
    problems: &mut Vec<Invalid>,
) {
    let Some(Store::Etcd(etcd)) = &node.store else { return };
    let own_files: Vec<PathBuf> =
        own_files(node, resolver).iter().map(|file| plain(file)).collect();
    let own_variables = resolver.variables();
    let mut tell = |key: &str, index: usize, problem: String, help: &str| {
        let told = ["references", "etcd", "store"]
            .into_iter()
            .fold(Invalid::at_item(key, index, problem), |told, step| {
                told.under(PathStep::Key(step.to_owned()))
            });
        problems.push(told.with_help(help));
    };
    for (index, name) in etcd.references.env.iter().enumerate() {
        if name.contains(['/', '=']) {
            let problem = format!("{} is no name of a variable", quoted(name));
            tell("env", index, problem, "list `NAME` for `$env://NAME/key`");
        }
        if own_variables.contains(name) {
            let problem = format!("the node file itself refers to {}", quoted(name));
            tell("env", index, problem, "give objects variables of their own");
        }
    }
    for (index, file) in etcd.references.files.iter().enumerate() {
        let listed = plain(file);
        if let Some(own) = own_files.iter().find(|own| own.starts_with(&listed)) {
            let own = quoted(&own.to_string_lossy());
            let problem = format!("objects could read {own}, which the node file itself names");
            tell("files", index, problem, "keep what objects may read in a folder of its own");
        }
    }
    node.references = References::Listed(Arc::new(etcd.references.clone()));
}

/// The files that the node keeps for itself.
fn own_files(node: &NodeConfig, resolver: &Resolver<'_>) -> Vec<PathBuf> {
    let mut files = resolver.files();
    let sinks = node.audit.sinks.iter().chain(&node.access_log.sinks);
    files.extend(sinks.filter_map(|sink| match sink {
        Sink::File { path } => Some(path.clone()),
        Sink::Stdout => None,
    }));
    if let Some(Store::Etcd(etcd)) = &node.store {
        files.extend(etcd.snapshot.iter().map(|snapshot| snapshot.path.clone()));
    }
    let rotated = node.api_keys.iter().flat_map(|keys| &keys.rotate);
    files.extend(rotated.filter_map(|rotation| match &rotation.to {
        KeyRecipient::File(path) => Some(path.clone()),
        KeyRecipient::Command(_) | KeyRecipient::Vault(_) => None,
    }));
    let kubernetes = node.discovery.kubernetes.iter();
    let kubernetes = kubernetes.filter(|kubernetes| kubernetes.token.is_none());
    files.extend(kubernetes.map(|kubernetes| kubernetes.token_file.clone()));
    files.extend(node.admin.iter().flat_map(|admin| [admin.keys.clone(), admin.socket.clone()]));
    files
}
