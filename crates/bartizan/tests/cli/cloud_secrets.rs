//! The built binary, and beside it the secret managers of AWS and of Google Cloud.

use bartizan_testkit::{AwsDouble, GcpDouble};
use serde_json::json;

use crate::driver::{Bench, Serving};
use crate::stores::{node, put, route, status};

fn document(manager: &str, reference: &str) -> String {
    format!(
        "\
routes:
- uri: /a
  upstream: {{ nodes: {{ \"127.0.0.1:1\": 1 }} }}
  plugins: {{ key-auth: {{}}, any-authenticated: {{ reason: a test }} }}
consumers:
- username: jack
  plugins: {{ key-auth: {{ key: {reference}, danger_weak_secret: true }} }}
secrets:
- {{ refresh: 1s, {manager} }}
"
    )
}

fn bench(manager: &str, reference: &str, more: &[(&str, &str)]) -> Bench {
    let (node, document) = (node("{ file: { path: r.yaml } }"), document(manager, reference));
    let mut files = vec![("bartizan.yaml", &*node), ("r.yaml", &*document)];
    files.extend(more);
    Bench::with(&files)
}

fn with(serving: &Serving, keys: [&str; 2]) -> [String; 2] {
    keys.map(|key| status(&serving.get("/a", &format!("apikey: {key}\r\n"))).to_owned())
}

const KEYS: [&str; 2] = ["first-key", "second-key"];

#[test]
fn a_key_in_aws_is_used_and_its_successor_without_a_word() {
    let double = AwsDouble::new("eu-west-1");
    double.wants_token(Some("session-1"));
    double.put("gateway/jack", r#"{"key": "first-key"}"#);
    let manager = format!(
        "id: aws/1, region: eu-west-1, endpoint_url: 'http://127.0.0.1:{}', access_key_id: {}, \
         secret_access_key: $file://key, session_token: session-1",
        double.listen(),
        AwsDouble::KEY_ID
    );
    let key = format!("{}\n", AwsDouble::KEY);
    let bench = bench(&manager, "$secret://aws/1/gateway/jack/key", &[("key", &key)]);
    let mut serving = bench.serve(&["run"]);
    assert_eq!(with(&serving, KEYS), ["502", "401"]);
    double.put("gateway/jack", r#"{"key": "second-key"}"#);
    serving.log_line("reloaded");
    assert_eq!(with(&serving, KEYS), ["401", "502"]);
    double.remove("gateway/jack");
    serving.log_line("the change is refused: ");
    assert_eq!(with(&serving, KEYS), ["401", "502"]);
    let ready = serving.status_page("/readyz");
    assert!(ready.contains("there is nothing at the path"), "{ready}");
    assert!(serving.stop().success());
    // Somebody else's key.
    bench.write("key", "hunter2\n");
    double.put("gateway/jack", r#"{"key": "first-key"}"#);
    let told = bench.bartizan(&["check"]).fails_with(2);
    assert!(told.contains("it does not accept InvalidSignatureException"), "{told}");
    assert!(!told.contains("hunter2") && !told.contains("not to be repeated"), "{told}");
}

#[test]
fn a_key_in_google_cloud_is_used_and_its_successor_without_a_word() {
    let double = GcpDouble::new("", "https://www.googleapis.com/auth/cloud-platform");
    double.put("shop", "jack", "first-key");
    let at = format!("http://127.0.0.1:{}", double.listen());
    double.audience(&format!("{at}/token"));
    let account = |key: &str| {
        let account = json!({
            "type": "service_account", "client_email": GcpDouble::ACCOUNT, "private_key": key,
            "project_id": "shop", "token_uri": format!("{at}/token"), "entries_uri": format!("{at}/v1/"),
        });
        account.to_string()
    };
    let good = account(&double.private_key());
    let bench = bench(
        "id: gcp/1, auth_file: account.json",
        "$secret://gcp/1/jack",
        &[("account.json", &good)],
    );
    let mut serving = bench.serve(&["run"]);
    assert_eq!(with(&serving, KEYS), ["502", "401"]);
    double.put("shop", "jack", "second-key");
    serving.log_line("reloaded");
    assert_eq!(with(&serving, KEYS), ["401", "502"]);
    assert!(serving.stop().success());
    // Somebody else's key.
    bench.write("account.json", &account(&GcpDouble::new("", "").private_key()));
    let told = bench.bartizan(&["check"]).fails_with(2);
    assert!(
        told.contains("does not let the gateway in by `service account` (status 400)"),
        "{told}"
    );
    bench.write("account.json", "{");
    let told = bench.bartizan(&["check"]).fails_with(2);
    assert!(told.contains("the file `account.json` is no JSON object with the texts"), "{told}");
}

#[test]
fn managers_in_a_store_are_entered_as_those_of_a_document() {
    let double = AwsDouble::new("us-east-1");
    double.put("jack", "first-key");
    let bench = Bench::with(&[("bartizan.yaml", &node("{ embedded: { path: store } }"))]);
    let manager = json!({
        "endpoint_url": format!("http://127.0.0.1:{}", double.listen()),
        "access_key_id": AwsDouble::KEY_ID, "secret_access_key": AwsDouble::KEY, "refresh": "1s",
    });
    put(&bench, "secrets/aws/1", &manager);
    put(&bench, "routes/a", &route("/a"));
    let key = json!({ "key": "$secret://aws/1/jack", "danger_weak_secret": true });
    put(&bench, "consumers/jack", &json!({ "username": "jack", "plugins": { "key-auth": key } }));
    let mut serving = bench.serve(&["run"]);
    assert_eq!(with(&serving, KEYS), ["502", "401"]);
    double.put("jack", "second-key");
    serving.log_line("reloaded");
    assert_eq!(with(&serving, KEYS), ["401", "502"]);
    assert!(serving.stop().success());
}
