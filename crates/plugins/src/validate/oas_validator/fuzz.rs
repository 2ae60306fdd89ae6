//! The laws of documents: they never panic, and what they compile to judges any request.

use std::cell::RefCell;
use std::path::PathBuf;

use bartizan_chain::{JsonLimits, Proven};
use bartizan_wire::Fields;

use super::compile::{Options, compile};
use super::operation::{Request, Scope};
use crate::openapi::{DocumentText, Documents, Outline};

/// Inputs are cut off here: longer ones show nothing that shorter ones do not.
const INPUT_MAX: usize = 16_384;

/// The first line is a method and a target; a content type may follow, and a body. The document
/// begins after a line of dashes.
pub fn openapi(data: &[u8]) {
    let data = data.get(..INPUT_MAX).unwrap_or(data);
    let text = String::from_utf8_lossy(data);
    let (request, document) = text.split_once("\n---\n").unwrap_or(("GET /", &text));
    let main = DocumentText {
        name: "spec".to_owned(),
        path: PathBuf::from("/spec"),
        bytes: document.as_bytes().to_vec(),
    };
    let documents = match Documents::read(main, Vec::new()) {
        Ok(documents) => documents,
        Err(fault) => {
            assert!(!fault.problem.is_empty(), "a fault without a problem");
            return;
        }
    };
    if let Ok(outline) = Outline::of(&documents) {
        assert!(outline.paths.iter().all(|path| path.template.starts_with('/')));
    }
    for is_strict in [true, false] {
        let options = Options {
            base_path: is_strict.then(String::new),
            rejects_read_only: is_strict,
            skips_patterns: !is_strict,
        };
        let api = match compile(&documents, &options) {
            Ok(api) => api,
            Err(fault) => {
                assert!(!fault.problem.is_empty() && !fault.place.is_empty(), "{fault}");
                continue;
            }
        };
        let verdict = |request: &str| judge(&api, request, is_strict);
        assert_eq!(verdict(request), verdict(request), "two verdicts on one request");
    }
}

fn judge(api: &super::operation::Api, request: &str, is_strict: bool) -> Result<(), String> {
    let mut lines = request.splitn(3, '\n');
    let (method, target) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut fields = Fields::new();
    if let Some(media) = lines.next() {
        fields.append("content-type", media.as_bytes().to_vec());
        fields.append("cookie", media.as_bytes().to_vec());
        fields.append("x-list", media.as_bytes().to_vec());
    }
    let body = lines.next().unwrap_or_default().as_bytes();
    let request = Request { method, path, query, fields: &fields, body, declared_length: None };
    let scope = Scope {
        path: true,
        query: true,
        headers: true,
        body: true,
        closed_query: is_strict,
        closed_body: is_strict,
    };
    let limits = JsonLimits { depth: 16, items: 1_000 };
    let proven = RefCell::<Proven>::default();
    api.check(&request, scope, limits, Some(&proven)).map_err(|refusal| format!("{refusal:?}"))
}
