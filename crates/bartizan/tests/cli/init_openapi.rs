//! `bartizan init --openapi`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::driver::{Bench, mode};

const DOCUMENT: &str = "\
openapi: 3.1.0
info: {title: Orders, version: \"1\"}
servers:
  - url: https://{region}.orders.example/v1
    variables: {region: {default: eu}}
security: [{key: []}]
paths:
  /orders:
    get:
      operationId: listOrders
      parameters: [{name: limit, in: query, schema: {$ref: \"schemas/common.yaml#/Limit\"}}]
    post:
      security: [{login: [orders:write]}]
      requestBody: {content: {application/json: {schema: {type: object}}}}
  /orders/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
    get: {}
    delete: {security: [{provider: []}, {basic: []}]}
  /orders/{id}.{format}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: integer}}
      - {name: format, in: path, required: true, schema: {enum: [json, csv]}}
    get: {}
  /health: {get: {security: []}}
  /session: {put: {security: [{cookie: []}], servers: [{url: /v2}]}}
components:
  securitySchemes:
    key: {type: apiKey, in: header, name: X-Key}
    cookie: {type: apiKey, in: cookie, name: session}
    basic: {type: http, scheme: basic}
    login: {type: oauth2, flows: {}}
    provider: {type: openIdConnect, openIdConnectUrl: \"https://id.example/.well-known/openid-configuration\"}
";

const COMMON: &str = "Limit: {type: integer, maximum: 100}\n";

fn bench() -> Bench {
    let bench = Bench::with(&[("openapi.yaml", DOCUMENT)]);
    std::fs::create_dir(bench.path("schemas")).unwrap();
    bench.write("schemas/common.yaml", COMMON);
    bench
}

#[test]
fn paths_become_routes_that_pass_the_check() {
    let bench = bench();
    let told =
        bench.bartizan(&["init", "--openapi", "openapi.yaml", "--dir", "gateway"]).succeeds();
    assert!(told.contains("Of 7 operations of the document came 7 routes."), "{told}");
    for note in [
        "of several ways to authenticate, the first that can be mapped is: DELETE /orders/{id}",
        "a key in a cookie (`cookie`) is not supported; the key of `apikey` is asked for instead: \
         PUT /session",
    ] {
        assert!(told.contains(note), "{told}");
    }
    let summary = bench.bartizan(&["check", "-c", "gateway/bartizan.yaml"]).succeeds();
    assert!(summary.contains("In order: 7 routes, 1 consumer, 0 warnings."), "{summary}");
    for line in [
        "listOrders        GET|HEAD /v1/orders ",
        "oas-validator",
        "anyone: \"the document asks for no credential\"",
    ] {
        assert!(summary.contains(line), "{summary}");
    }
    let resources = bench.read("gateway/resources.yaml");
    for line in [
        "spec_file: \"../openapi.yaml\"",
        "ref_files: [\"../schemas/common.yaml\"]",
        "host: \"eu.orders.example\", port: 443",
        "key-auth: { header: \"X-Key\" }",
        "required_scopes: [\"orders:write\"]",
        "# issuers: [\"https://id.example\"]",
        "uri: \"/v1/orders/*\"\n    vars: [[uri, \"~~\", \"^/v1/orders/[^/]+\\\\.[^/]+$\"]]",
        "uri: \"/v2/session\"",
    ] {
        assert!(resources.contains(line), "{line} is not in\n{resources}");
    }
    for secret in ["first-client.key", "first-client.jwt"] {
        assert_eq!(mode(&bench.path(&format!("gateway/secrets/{secret}"))), 0o600);
    }
}

#[test]
fn requests_are_held_against_the_document() {
    let bench = bench();
    let arguments = ["init", "--openapi", "openapi.yaml", "--upstream", "http://127.0.0.1:1"];
    bench.bartizan(&[&arguments[..], &["--listen", "127.0.0.1:0"]].concat()).succeeds();
    bench.replace("bartizan.yaml", "127.0.0.1:9091", "127.0.0.2:0");
    let node = bench.serve(&["run"]);
    let key = format!("X-Key: {}\r\n", bench.read("secrets/first-client.key").trim());
    for (path, fields, status, text) in [
        ("/v1/orders", "", 401, "auth.missing_credential"),
        ("/v1/orders?limit=5", &key, 502, ""),
        ("/v1/orders?limit=500", &key, 400, "query at `/limit`: maximum"),
        ("/v1/orders/7", &key, 502, ""),
        ("/v1/orders/seven", &key, 400, "path at `/id`: type"),
        ("/v1/orders/7.json", &key, 502, ""),
        ("/v1/orders/7.xml", &key, 400, "path at `/format`: enum"),
        ("/v1/orders/7/8", &key, 404, "route.not_found"),
        ("/v1/health", "", 502, ""),
        ("/v1/health?debug=1", "", 400, "query at `/debug`: undeclared"),
    ] {
        let answer = node.get(path, fields);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        assert!(answer.contains(text), "{path}: {answer}");
    }
    assert!(node.stop().success());
}

#[test]
fn a_token_of_the_first_consumer_opens_what_asks_for_one() {
    let bench = bench();
    bench.bartizan(&["init", "--openapi", "openapi.yaml"]).succeeds();
    let token = bench.bartizan(&["token", "--consumer", "first-client"]).succeeds();
    assert_eq!(token.trim().split('.').count(), 3, "{token}");
}

#[test]
fn a_document_that_says_nothing_of_callers_is_closed() {
    let document = "{\"openapi\": \"3.0.3\", \"paths\": {\"/\": {\"get\": {}, \"trace\": {}}}}";
    let bench = Bench::with(&[("api.json", document)]);
    let arguments = ["init", "--openapi", "api.json", "--upstream", "http://127.0.0.1:3000"];
    let told = bench.bartizan(&arguments).succeeds();
    assert!(told.contains("says nothing of who may call; a key is asked for: GET /"), "{told}");
    assert!(told.contains("TRACE is never served: TRACE /"), "{told}");
    let summary = bench.bartizan(&["check"]).succeeds();
    assert!(summary.contains("key-auth") && !summary.contains("anyone"), "{summary}");
}

#[test]
fn documents_that_cannot_be_used_say_why_and_nothing_is_written() {
    let bench = Bench::with(&[
        ("old.json", "{\"swagger\": \"2.0\"}"),
        ("bad.yaml", "openapi: 3.1.0\npaths:\n  /a: {get: {parameters: [{name: a, in: query}]}}\n"),
        ("far.yaml", "openapi: 3.1.0\npaths: {/a: {$ref: \"https://docs.example/a.yaml\"}}\n"),
        ("gone.yaml", "openapi: 3.1.0\npaths: {/a: {$ref: \"nowhere.yaml\"}}\n"),
        ("hostless.yaml", "openapi: 3.1.0\nservers: [{url: /v1}]\npaths: {/a: {get: {}}}\n"),
    ]);
    for (file, problem) in [
        ("nothing.yaml", "cannot read `nothing.yaml`: no such file or directory"),
        (".", "it is no file"),
        ("old.json", "old.json:1:1: this is Swagger 2.0"),
        ("bad.yaml", "bad.yaml:3:27: the parameter has neither `schema` nor `content`"),
        ("far.yaml", "nothing is ever fetched"),
        ("gone.yaml", "nowhere.yaml`: no such file"),
        ("hostless.yaml", "the servers of the document name no host"),
    ] {
        let told = bench.bartizan(&["init", "--openapi", file]).fails_with(2);
        assert!(told.contains(problem), "{file}: {told}");
    }
    assert!(!bench.path("bartizan.yaml").exists() && !bench.path("secrets").exists());
}

#[test]
fn basic_authentication_is_asked_for_where_the_document_does() {
    let document = "\
openapi: 3.1.0
servers: [{url: \"http://127.0.0.1:1\"}]
security: [{basic: []}]
paths: {/a: {get: {}}}
components: {securitySchemes: {basic: {type: http, scheme: Basic}}}
";
    let bench = Bench::with(&[("api.yaml", document)]);
    let arguments = ["init", "--openapi", "api.yaml", "--listen", "127.0.0.1:0"];
    let told = bench.bartizan(&arguments).succeeds();
    assert!(told.contains("Of 1 operation of the document came 1 route.\n"), "{told}");
    assert!(!told.contains("Not as in the document"), "{told}");
    assert!(bench.read("resources.yaml").contains("      basic-auth: {}\n"));
    assert_eq!(mode(&bench.path("secrets/first-client.password")), 0o600);

    bench.replace("bartizan.yaml", "127.0.0.1:9091", "127.0.0.2:0");
    let node = bench.serve(&["run"]);
    let password = bench.read("secrets/first-client.password");
    let of = |password: &str| {
        let shown = STANDARD.encode(format!("first-client:{password}"));
        format!("Authorization: Basic {shown}\r\n")
    };
    for (fields, status) in [(of(password.trim()), 502), (of("another"), 401), (String::new(), 401)]
    {
        let answer = node.get("/a", &fields);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    assert!(node.stop().success());
}
