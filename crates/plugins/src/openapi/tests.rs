//! Descriptions of one and of several files.

use std::path::{Path, PathBuf};

use super::*;

fn text(name: &str, content: &str) -> DocumentText {
    let path = Path::new("/api").join(name);
    DocumentText { name: name.to_owned(), path, bytes: content.as_bytes().to_vec() }
}

fn read(content: &str) -> Result<Documents, DocumentFault> {
    Documents::read(text("main.yaml", content), Vec::new())
}

#[test]
fn versions_are_told_apart() {
    for (content, version) in [
        ("openapi: 3.0.3", Version::V30),
        ("openapi: 3.0", Version::V30),
        ("openapi: \"3.1.1\"", Version::V31),
        ("{\"openapi\": \"3.1.0\"}", Version::V31),
        ("{openapi: 3.1.0}", Version::V31),
    ] {
        assert_eq!(read(content).unwrap().version(), version, "{content}");
    }
    for (content, problem) in [
        ("swagger: \"2.0\"", "main.yaml:1:1: this is Swagger 2.0, which is not supported"),
        ("openapi: 3.2.0", "main.yaml:1:10: OpenAPI `3.2.0` is not supported yet"),
        ("openapi: 3.10.0", "main.yaml:1:10: OpenAPI `3.10.0` is not supported yet"),
        ("openapi: [3]", "main.yaml:1:10: OpenAPI `` is not supported yet"),
        ("a: b", "main.yaml:1:1: this is no OpenAPI document: it does not say `openapi`"),
        ("", "main.yaml:1:1: this is no OpenAPI document: it does not say `openapi`"),
        ("{\"openapi\": \"3.1.0\"", "main.yaml:1:20: not JSON: expected `,` or `}`, found the end"),
    ] {
        let told = read(content).err().map(|fault| fault.to_string());
        assert_eq!(told.as_deref(), Some(problem), "{content}");
    }
}

#[test]
fn references_lead_to_places_and_given_files_only() {
    let main = "openapi: 3.1.0\na: {b/c: [1, {\"~\": 2, \"é %\": 3}]}\n";
    let other = text("shared/more.yaml", "x: {y: 5}\nback: {$ref: \"../main.yaml#/a\"}\n");
    let documents = Documents::read(text("main.yaml", main), vec![other]).unwrap();
    let from = documents.root();
    let to = |reference: &str| documents.resolve(from, reference).map(|n| n.to_json().to_string());
    for (reference, value) in [
        ("#/a/b~1c/0", "1"),
        ("#/a/b~1c/1/~0", "2"),
        ("#/a/b~1c/1/%C3%A9%20%25", "3"),
        ("shared/more.yaml#/x/y", "5"),
        ("./shared/../shared/more.yaml#/x", "{\"y\":5}"),
    ] {
        assert_eq!(to(reference).as_deref(), Ok(value), "{reference}");
    }
    let there = documents.resolve(from, "shared/more.yaml#/back").unwrap();
    assert!(documents.follow(there).unwrap().get("b/c").is_some());
    for (reference, problem) in [
        ("#/a/nothing", "leads nowhere"),
        ("#/a/b~1c/7", "leads nowhere"),
        ("#anchor", "names an anchor"),
        ("more.yaml#/x", "was not given"),
        ("/etc/passwd", "was not given"),
        ("https://example.com/a.yaml#/x", "nothing is ever fetched"),
        ("file:///etc/passwd", "nothing is ever fetched"),
        ("//example.com/a", "nothing is ever fetched"),
    ] {
        let told = to(reference).unwrap_err();
        assert!(told.problem.contains(problem), "{reference}: {told}");
    }
}

#[test]
fn files_that_references_need_are_known() {
    let main = "openapi: 3.1.0\na: [{$ref: \"b.yaml#/x\"}, {$ref: \"#/a\"}]\n";
    let documents = read(main).unwrap();
    assert_eq!(documents.missing_files(), [PathBuf::from("/api/b.yaml")]);
    let other = text("b.yaml", "x: {$ref: \"./c/d.yaml\", y: {$ref: \"https://a.example/b\"}}");
    let documents = Documents::read(text("main.yaml", main), vec![other]).unwrap();
    assert_eq!(documents.missing_files(), [PathBuf::from("/api/c/d.yaml")]);
}

#[test]
fn a_chain_of_references_ends() {
    let documents = read("openapi: 3.1.0\na: {$ref: \"#/b\"}\nb: {$ref: \"#/a\"}\n").unwrap();
    let fault = documents.follow(documents.root().get("a").unwrap()).unwrap_err();
    assert!(fault.problem.contains("itself"), "{fault}");
}

#[test]
fn paths_are_made_plain_by_their_text() {
    for (path, plain) in [("/a/./b/../c", "/a/c"), ("a/../../b", "../b"), ("/..", "/..")] {
        assert_eq!(normalised(Path::new(path)), PathBuf::from(plain), "{path}");
    }
}

#[test]
fn an_outline_has_paths_methods_and_security() {
    let documents = read(
        "openapi: 3.1.0
info: {title: Orders}
servers: [{url: https://a.example/v1}]
security: [{key: []}]
paths:
  /orders:
    get: {operationId: list}
    post: {security: [{token: [write]}, {}]}
    servers: [{url: /v2}]
  x-more: 1
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Key}
    token: {type: http, scheme: Bearer}
    id: {type: openIdConnect, openIdConnectUrl: \"https://id.example\"}
",
    )
    .unwrap();
    let outline = Outline::of(&documents).unwrap();
    assert_eq!((outline.title.as_str(), outline.bases), ("Orders", vec!["/v1".to_owned()]));
    let [path] = outline.paths.as_slice() else { panic!("one path") };
    let [list, write] = path.operations.as_slice() else { panic!("two operations") };
    assert_eq!((list.method, list.id.as_deref()), ("GET", Some("list")));
    assert_eq!(list.bases, Some(vec!["/v2".to_owned()]));
    assert_eq!(list.security, Some(vec![vec![("key".to_owned(), vec![])]]));
    let token = vec![("token".to_owned(), vec!["write".to_owned()])];
    assert_eq!(write.security, Some(vec![token, vec![]]));
    assert_eq!(outline.origin.as_deref(), Some("https://a.example"));
    assert_eq!(outline.schemes["token"].kind, SchemeKind::Http("bearer".to_owned()));
}
