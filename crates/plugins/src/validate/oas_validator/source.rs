//! The document of a configuration, read and compiled once for all that use it.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest::{Context, SHA256};
use bartizan_chain::{CompileCx, Plugin as _};
use bartizan_config::{Invalid, ResourceKind, ResourceRef, read_file_up_to};

use super::OasValidator;
use super::compile::{Options, compile};
use super::config::Config;
use super::operation::Api;
use crate::openapi::{DocumentText, Documents, normalised};

/// A compiled description, shared by every plugin with the same document and options, and by the
/// configurations that follow each other while the document stays as it is.
#[derive(Clone)]
pub(super) struct Shared(Arc<OnceLock<Api>>);

impl Shared {
    /// What it holds. It was filled before anybody got it.
    pub(super) fn api(&self) -> Option<&Api> {
        self.0.get()
    }
}

/// Reads and compiles the document that a configuration names.
pub(super) fn load(config: &Config, cx: &CompileCx<'_>) -> Result<Shared, Invalid> {
    let options = options(config, cx)?;
    let limit = cx.node.limits.document.0;
    let (key, main) = match (&config.spec, &config.spec_file) {
        (Some(text), None) => {
            let path = normalised(&cx.node.base_dir.join("spec"));
            ("spec", DocumentText { name: "spec".into(), path, bytes: text.clone().into_bytes() })
        }
        (None, Some(path)) => {
            ("spec_file", file(path, limit, cx).map_err(|why| Invalid::at("spec_file", why))?)
        }
        _ => return Err(Invalid::new("needs one of `spec` and `spec_file`")),
    };
    let mut others = Vec::new();
    for (index, path) in config.ref_files.iter().flatten().enumerate() {
        let other = file(path, limit, cx);
        others.push(other.map_err(|why| Invalid::at_item("ref_files", index, why))?);
    }
    let node =
        ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(OasValidator::NAME) };
    let state = identity(&options, &main, &others);
    let shared = cx.node.registry.state(&node, OasValidator::NAME, state, OnceLock::<Api>::new);
    if shared.get().is_none() {
        let fault = |fault: crate::openapi::DocumentFault| {
            let invalid = Invalid::at(key, fault.to_string());
            Invalid { help: fault.help, ..invalid }
        };
        let documents = Documents::read(main, others).map_err(fault)?;
        let api = compile(&documents, &options).map_err(fault)?;
        // Somebody who was faster made the same.
        let _ = shared.set(api);
    }
    Ok(Shared(shared))
}

fn options(config: &Config, cx: &CompileCx<'_>) -> Result<Options, Invalid> {
    let is_path = |base: &String| {
        base.is_empty()
            || (base.starts_with('/')
                && !base.ends_with('/')
                && !base.contains(['{', '}', '?', '#']))
    };
    if config.base_path.as_ref().is_some_and(|base| !is_path(base)) {
        let problem = "a base path is empty, or begins with `/` and does not end with it";
        return Err(Invalid::at("base_path", problem));
    }
    // Apache APISIX does not look at servers.
    let none = cx.compatibility().is_apisix().then(String::new);
    Ok(Options {
        base_path: config.base_path.clone().or(none),
        rejects_read_only: config.reject_read_only,
        skips_patterns: config.danger_skip_unsupported_patterns,
    })
}

/// What makes one compiled description another one.
fn identity(options: &Options, main: &DocumentText, others: &[DocumentText]) -> String {
    let mut digest = Context::new(&SHA256);
    let mut put = |bytes: &[u8]| {
        digest.update(&bytes.len().to_be_bytes());
        digest.update(bytes);
    };
    put(format!("{options:?}").as_bytes());
    for text in std::iter::once(main).chain(others) {
        put(text.path.as_os_str().as_encoded_bytes());
        put(&text.bytes);
    }
    digest.finish().as_ref().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// A file of the configuration, which is watched from then on.
fn file(path: &str, limit: u64, cx: &CompileCx<'_>) -> Result<DocumentText, String> {
    let absolute = cx.resolve_path(path).map_err(|why| format!("`{path}` {why}"))?;
    let unreadable = |why: String| format!("`{path}` cannot be read: {why}");
    let bytes = read_file_up_to(&absolute, limit).map_err(|error| unreadable(error.to_string()))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(unreadable(format!("it is larger than {limit} bytes (`limits.document`)")));
    }
    Ok(DocumentText { name: path.to_owned(), path: normalised(&absolute), bytes })
}
