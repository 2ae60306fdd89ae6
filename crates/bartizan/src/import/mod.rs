//! `bartizan import apisix`: what a configuration of Apache APISIX means here, object by object.
//!
//! Everything is judged by the reader and compiler that the gateway itself uses; nothing is guessed.
//! An object means the same, or is stricter here, or needs somebody's decision, or is refused, and
//! then the report says what to write instead. What is written with `--write` never serves more than
//! it did there: a route that was open is marked for review, and one that is refused answers 503
//! until it is mended.

mod fetch;
mod findings;
mod judge;
mod node_file;
mod readers;
mod report;
mod shape;
mod yaml;

use std::path::{Path, PathBuf};

use bartizan_config::{Draft, NodeConfig, References, StoredObject};
use serde_json::{Value, json};

use crate::cli::{ImportArgs, ImportSource};
use crate::failure::{Failure, say};
use crate::files::{self, Privacy};
use crate::load::{self, Asking, Record};
use findings::Findings;
use node_file::Translated;
use shape::Shape;

/// The name of the node file, in which its places are told.
const NODE_FILE: &str = "bartizan.yaml";
const RESOURCES_FILE: &str = "resources.yaml";

/// What was named: at most one of each.
#[derive(Default)]
struct Named {
    resources: Option<PathBuf>,
    objects: Option<Vec<fetch::Fetched>>,
    node: Translated,
}

/// Reads, judges, tells, and writes if it is asked to.
pub(crate) fn import(source: &ImportSource) -> Result<(), Failure> {
    let ImportSource::Apisix(args) = source;
    let record = Record::default();
    let loader = load::loader(&record);
    let named = gather(args)?;
    let is_theirs = named.objects.is_some() && !args.danger_references;
    let (node, draft) = draft(&named, is_theirs, &loader)?;
    let asking = Asking::begin(&node, &record)?;
    let judged = judge::judge(&node, draft, &loader, &|| asking.fetch())?;
    let findings = Findings { node: named.node.notes, objects: judged.objects };
    let text = if args.json { report::json(&findings) } else { report::text(&findings) };
    say(&text);
    if let Some(folder) = &args.write {
        if is_theirs {
            readers::refuse(&judged.resources)?;
        }
        write(folder, args.force, &named.node.node, &judged.resources, &findings)?;
        if !args.json {
            say(&report::farewell(folder));
        }
    }
    let refused = findings.refused();
    if refused == 0 {
        return Ok(());
    }
    Err(Failure::Unmet(format!(
        "{refused} of {} objects are refused; the report says what to write instead",
        findings.objects.len()
    )))
}

fn gather(args: &ImportArgs) -> Result<Named, Failure> {
    let mut named = Named::default();
    for source in &args.sources {
        if source.contains("://") {
            let fetched = fetch::objects(source, args)?;
            once(named.objects.replace(fetched).is_some(), source)?;
            continue;
        }
        let path = std::path::absolute(source)
            .map_err(|cause| Failure::file("find", Path::new(source), &cause))?;
        match shape::of(&path)? {
            Shape::Node(document) => named.node = node_file::translate(&document),
            Shape::Resources => once(named.resources.replace(path).is_some(), source)?,
        }
    }
    if named.resources.is_some() && named.objects.is_some() {
        return Err(Failure::new("resources come from a file or from a server, not from both")
            .with_help("import one after the other, each with its own `--write`"));
    }
    Ok(named)
}

fn once(is_second: bool, source: &str) -> Result<(), Failure> {
    if is_second {
        return Err(Failure::new(format!("`{source}` is the second source of resources"))
            .with_help("import one after the other, each with its own `--write`"));
    }
    Ok(())
}

/// The resources as they would be read by the node; those that are theirs who write to another
/// machine read nothing of this one.
fn draft(
    named: &Named,
    is_theirs: bool,
    loader: &bartizan_config::Loader<'_>,
) -> Result<(NodeConfig, Draft), Failure> {
    let mut node = named.node.node.clone();
    match &named.resources {
        Some(path) => node["store"] = json!({ "file": { "path": path } }),
        None => node["resources"] = json!({}),
    }
    let folder = std::env::current_dir()
        .map_err(|cause| Failure::new(format!("the folder is not known: {cause}")))?;
    let text = yaml::document(&node);
    let (mut node, mut draft) =
        loader.node_draft_text(&folder.join(NODE_FILE), &text).map_err(|failure| {
            Failure::Misconfigured { sources: failure.sources, problems: failure.diagnostics }
        })?;
    if is_theirs {
        node.references = References::Nothing;
        draft.lend(References::Nothing);
    }
    for object in named.objects.iter().flatten() {
        let name = format!("{}/{}", object.collection, object.id);
        draft.add_object(&StoredObject {
            collection: &object.collection,
            id: &object.id,
            name: &name,
            content: &object.content.as_bytes().into(),
        });
    }
    Ok((node, draft))
}

/// Writes the node file and the resources, each in order or in quarantine.
fn write(
    folder: &Path,
    force: bool,
    node: &Value,
    resources: &Value,
    findings: &Findings,
) -> Result<(), Failure> {
    if let Some(object) = findings.objects.iter().find(|object| object.holds_up_all) {
        return Err(Failure::new(format!(
            "nothing is written: `{}` is refused, and without it others would be less protected",
            object.name
        ))
        .with_help("mend it first; the report says how"));
    }
    let (node_path, resources_path) = (folder.join(NODE_FILE), folder.join(RESOURCES_FILE));
    for path in [&node_path, &resources_path] {
        if !force && path.symlink_metadata().is_ok() {
            return Err(Failure::new(format!("`{}` exists already", path.display()))
                .with_help("write to another folder, or replace it with `--force`"));
        }
    }
    let mut node = node.clone();
    node["store"] = json!({ "file": { "path": RESOURCES_FILE } });
    if findings.refused() > 0 {
        node["on_invalid"] = "quarantine".into();
    }
    std::fs::create_dir_all(folder)
        .map_err(|cause| Failure::file("create the folder", folder, &cause))?;
    // Resources hold secrets as they did there. The node file comes last: a folder that has it is
    // complete.
    files::write(&resources_path, yaml::document(resources).as_bytes(), Privacy::Owner)?;
    files::write(&node_path, yaml::document(&node).as_bytes(), Privacy::Folder)
}
