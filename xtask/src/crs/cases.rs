//! The regression tests of a rule set, in the YAML form that the Core Rule Set publishes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bartizan_config::{Format, SourceId, read};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// One test: requests that are sent one after another.
#[derive(Debug)]
pub(crate) struct Case {
    /// `<rule id>-<test id>`.
    pub(crate) name: String,
    /// The folder that its file lies in.
    pub(crate) family: String,
    pub(crate) stages: Vec<Stage>,
}

/// A request and what is expected of it.
#[derive(Debug)]
pub(crate) struct Stage {
    /// As it goes over the wire.
    pub(crate) request: Vec<u8>,
    /// Whether it asks for HTTP/2.
    pub(crate) is_http2: bool,
    pub(crate) expected: Expected,
}

/// What is expected of a request; what is empty does not matter.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) ids: Vec<u32>,
    pub(crate) no_ids: Vec<u32>,
    pub(crate) log: Option<String>,
    pub(crate) no_log: Option<String>,
    /// Any of these; none where it does not matter.
    pub(crate) statuses: Vec<u16>,
    /// The connection ends without an answer.
    pub(crate) fails: bool,
}

/// Reads every test below a folder, in the order of names.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<Case>> {
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let node = read(SourceId(0), &text, Format::Yaml)
            .map_err(|problems| anyhow::anyhow!("{}: {:?}", file.display(), problems.first()))?;
        let family = file.parent().and_then(Path::file_name).unwrap_or_default();
        let family = family.to_string_lossy().into_owned();
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        take(&node.to_json(), &stem, &family, &mut cases)
            .with_context(|| file.display().to_string())?;
    }
    if cases.is_empty() {
        bail!("there are no tests in {}", folder.display());
    }
    Ok(cases)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

fn take(document: &Value, stem: &str, family: &str, cases: &mut Vec<Case>) -> Result<()> {
    let tests = document["tests"].as_array().context("there is no `tests`")?;
    for (position, test) in tests.iter().enumerate() {
        // Version 3 of the rule set gives titles, version 4 gives numbers.
        let name = match (&test["test_id"], test["test_title"].as_str()) {
            (Value::Number(id), _) => format!("{stem}-{id}"),
            (_, Some(title)) => title.to_owned(),
            _ => format!("{stem}-{}", position + 1),
        };
        let stages = test["stages"].as_array().context("there is no `stages`")?;
        let stages = stages.iter().map(|stage| {
            let inner = &stage["stage"];
            self::stage(if inner.is_object() { inner } else { stage })
        });
        let stages = stages.collect::<Result<_>>().with_context(|| name.clone())?;
        cases.push(Case { name, family: family.to_owned(), stages });
    }
    Ok(())
}

fn stage(stage: &Value) -> Result<Stage> {
    let input = &stage["input"];
    let version = text(&input["version"]).unwrap_or_else(|| "HTTP/1.1".to_owned());
    let request = match (&input["encoded_request"], &input["raw_request"]) {
        (Value::String(encoded), _) => STANDARD.decode(encoded.trim())?,
        (_, Value::String(raw)) => raw.clone().into_bytes(),
        _ => super::message::compose(input, &version),
    };
    let is_http2 = version.starts_with("HTTP/2");
    Ok(Stage { request, is_http2, expected: expected(&stage["output"])? })
}

fn expected(output: &Value) -> Result<Expected> {
    let log = &output["log"];
    let mut expected = Expected {
        ids: ids(&log["expect_ids"]),
        no_ids: ids(&log["no_expect_ids"]),
        log: text(&log["match_regex"]),
        no_log: text(&log["no_match_regex"]),
        statuses: statuses(&output["status"]),
        fails: output["expect_error"].as_bool().unwrap_or_default(),
    };
    // Version 3 writes `log_contains: id "942100"`.
    for (key, ids) in
        [("log_contains", &mut expected.ids), ("no_log_contains", &mut expected.no_ids)]
    {
        if let Some(wanted) = output[key].as_str() {
            let id: String = wanted.chars().filter(char::is_ascii_digit).collect();
            ids.push(id.parse().with_context(|| wanted.to_owned())?);
        }
    }
    Ok(expected)
}

/// Version 3 of the rule set gives lists of statuses, version 4 gives one.
fn statuses(written: &Value) -> Vec<u16> {
    let all = written.as_array().map_or(std::slice::from_ref(written), Vec::as_slice);
    all.iter().filter_map(|status| status.as_u64()?.try_into().ok()).collect()
}

fn ids(list: &Value) -> Vec<u32> {
    let ids = list.as_array().into_iter().flatten().filter_map(Value::as_u64);
    ids.filter_map(|id| id.try_into().ok()).collect()
}

/// A value as the text that it was written as.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}
