//! Clean traffic through a gateway whose routes have the documents: `oas-validator` with the very
//! document, and `waf` with `skip_proven: true` behind it.
//!
//! What the validator refuses does not fit its document, since nothing here knows all keywords of
//! schemas: it is sent once more to a route that has `waf` alone. So is what belongs to a document that
//! the validator does not take, such as one with patterns that look around.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, bail};

use super::learn::{self, Learnt};
use super::requests::Request;
use crate::crs::backend;
use crate::crs::gateway::{Gateway, Reply};

/// How many documents one gateway has.
const DOCUMENTS: usize = 200;
/// Requests that are under way at a time.
const LANES: usize = 4;
/// The field that picks the route of a document.
const PICK: &str = "X-Document";
/// What is refused by a rule.
pub(super) const REFUSED: &str = "inspect.refused";

/// What became of the requests.
#[derive(Default)]
pub(super) struct Seen {
    /// For each request, what refused it, if anything did.
    pub(super) refusals: Vec<Option<String>>,
    /// How many fit their document.
    pub(super) fitting: usize,
    /// How many belong to a document that the validator does not take.
    pub(super) undescribed: usize,
}

/// Sends all requests, which are in the order of their documents.
pub(super) fn send(
    program: &Path,
    rules: &str,
    requests: &[&Request],
    learnt: &Learnt,
) -> Result<Seen> {
    let upstream = backend::start()?;
    let mut seen = Seen::default();
    let mut rest = requests;
    while !rest.is_empty() {
        let (batch, documents) = first_batch(rest);
        rest = rest.get(batch.len()..).unwrap_or_default();
        let (resources, left_out) = resources(program, rules, &documents, (upstream, learnt))?;
        let gateway = Gateway::serve(program, rules, &resources)?;
        let outcomes = outcomes(&gateway, batch, &documents, &left_out);
        for (is_described, fits, refusal) in outcomes {
            seen.undescribed += usize::from(!is_described);
            seen.fitting += usize::from(fits);
            seen.refusals.push(refusal);
        }
    }
    if seen.refusals.len() != requests.len() {
        bail!("{} of {} requests were sent", seen.refusals.len(), requests.len());
    }
    Ok(seen)
}

/// The requests of the first documents, and these.
fn first_batch<'r, 'a>(requests: &'r [&'a Request]) -> (&'r [&'a Request], Vec<&'a Path>) {
    let mut documents: Vec<&Path> = Vec::new();
    for (count, request) in requests.iter().enumerate() {
        if documents.last() != Some(&request.document.as_path()) {
            if documents.len() == DOCUMENTS {
                return (requests.get(..count).unwrap_or_default(), documents);
            }
            documents.push(&request.document);
        }
    }
    (requests, documents)
}

/// The resources, and the documents that the validator does not take.
fn resources(
    program: &Path,
    rules: &str,
    documents: &[&Path],
    (upstream, learnt): (u16, &Learnt),
) -> Result<(String, BTreeSet<usize>)> {
    let mut left_out = BTreeSet::new();
    loop {
        let resources = written(documents, &left_out, (upstream, learnt));
        let faults = Gateway::faults(program, rules, &resources)?;
        let routes = faults.split("at routes[").skip(1);
        let routes = routes.filter_map(|rest| rest.split(']').next()?.parse::<usize>().ok());
        // There are two routes for each document.
        let found: BTreeSet<usize> = routes.map(|route| route / 2).collect();
        match (faults.is_empty(), found.is_subset(&left_out)) {
            (true, _) => return Ok((resources, left_out)),
            (false, true) => bail!("the gateway does not take this: {faults}"),
            (false, false) => left_out.extend(found),
        }
    }
}

fn written(
    documents: &[&Path],
    left_out: &BTreeSet<usize>,
    (upstream, learnt): (u16, &Learnt),
) -> String {
    let mut out =
        "plugin_metadata:\n  - id: waf\n    rule_sets: {crs: {files: [all.conf]}}\nroutes:\n"
            .to_owned();
    for (number, document) in documents.iter().enumerate() {
        let exclude = learn::written(document, learnt);
        let document = serde_json::json!(document);
        for (route, has_validator) in
            [(number.to_string(), !left_out.contains(&number)), (format!("{number}-alone"), false)]
        {
            let validator = if has_validator {
                format!("      oas-validator: {{spec_file: {document}}}\n")
            } else {
                String::new()
            };
            // Writing to a string cannot fail.
            let _ = write!(
                out,
                "  - id: d{route}\n    uri: /*\n    vars: [[http_x_document, \"==\", \"{route}\"]]\n    \
                 upstream: {{nodes: {{\"127.0.0.1:{upstream}\": 1}}}}\n    plugins:\n      \
                 anonymous-access: {{reason: clean traffic}}\n{validator}      \
                 waf: {{rule_set: crs, skip_proven: true{exclude}}}\n"
            );
        }
    }
    out
}

/// For each request whether its document is described, whether it fits, and what refused it.
fn outcomes(
    gateway: &Gateway,
    requests: &[&Request],
    documents: &[&Path],
    left_out: &BTreeSet<usize>,
) -> Vec<(bool, bool, Option<String>)> {
    let next = AtomicUsize::new(0);
    let judge = |request: &Request| {
        let number = documents.iter().position(|document| *document == request.document);
        let number = number.unwrap_or(documents.len());
        let is_described = !left_out.contains(&number);
        if is_described {
            let refusal = cause(&gateway.exchange(&wire(request, &number.to_string())));
            if refusal.as_deref().is_none_or(|code| code == REFUSED) {
                return (true, true, refusal);
            }
        }
        let alone = gateway.exchange(&wire(request, &format!("{number}-alone")));
        (is_described, false, cause(&alone))
    };
    let lane = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(request) = requests.get(index) else { return done };
            done.push((index, judge(request)));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        let ended = lanes.into_iter().map(|lane| {
            // A lane that broke off would leave its requests to be taken for others.
            lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        ended.flatten().collect::<Vec<_>>()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn cause(reply: &Reply) -> Option<String> {
    if reply.is_there() { reply.refusal.clone() } else { Some("no answer".to_owned()) }
}

fn wire(request: &Request, route: &str) -> Vec<u8> {
    let mut out = format!("{} {} HTTP/1.1\r\n{PICK}: {route}\r\n", request.method, request.target);
    for (name, value) in &request.fields {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(&request.body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(document: &str) -> Request {
        let (origin, method, target) = ("o".to_owned(), "GET".to_owned(), "/a".to_owned());
        let fields = vec![("Host".to_owned(), "h".to_owned())];
        let (document, path, body) = (document.into(), "/a".to_owned(), b"x".to_vec());
        Request { origin, document, path, method, target, fields, body }
    }

    #[test]
    fn a_batch_ends_with_a_document() {
        let mut requests = Vec::new();
        for number in 0..=DOCUMENTS {
            requests.extend([request(&number.to_string()), request(&number.to_string())]);
        }
        let requests: Vec<&Request> = requests.iter().collect();
        let (batch, documents) = first_batch(&requests);
        assert_eq!((batch.len(), documents.len()), (2 * DOCUMENTS, DOCUMENTS));
        let (batch, documents) = first_batch(&requests[2 * DOCUMENTS..]);
        assert_eq!((batch.len(), documents.len()), (2, 1));
    }

    #[test]
    fn a_request_names_its_route() {
        let wire = String::from_utf8(wire(&request("d"), "7-alone")).unwrap();
        assert_eq!(wire, "GET /a HTTP/1.1\r\nX-Document: 7-alone\r\nHost: h\r\n\r\nx");
        let text = written(
            &[Path::new("/a \"b"), Path::new("/c")],
            &BTreeSet::from([1]),
            (9, &Learnt::new()),
        );
        assert_eq!(text.matches("oas-validator").count(), 1);
        assert!(text.contains(r#"spec_file: "/a \"b""#), "{text}");
    }
}
