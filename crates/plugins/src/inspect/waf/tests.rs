//! Rule files that change, and a property: what rules refuse never reaches the upstream.

use std::time::Duration;

use bartizan_testkit::{Gateway, run};
use proptest::prelude::*;

const RESOURCES: &str = "
plugin_metadata: [{id: waf, rule_sets: {own: {files: [rules/*.conf]}}}]
routes:
- id: r
  uri: /*
  upstream: {nodes: {\"127.0.0.1:8080\": 1}}
  plugins: {anonymous-access: {reason: a test}, waf: {rule_set: own}}
";

fn refusing(word: &str) -> String {
    format!(
        "SecRequestBodyAccess Off\nSecRule ARGS \"@streq {word}\" \"id:1,phase:1,deny,status:403\"\n"
    )
}

#[test]
fn a_changed_rule_file_is_taken_and_a_broken_one_leaves_the_old_rules_in_force() {
    run(async {
        let builder = Gateway::builder().resources(RESOURCES);
        let gateway = builder.file("rules/a.conf", &refusing("one")).start();
        let file = |name: &str| gateway.folder().join("rules").join(name);
        gateway.get("/?a=one").send().await.expect(403);
        gateway.get("/?a=two").send().await.expect(200);

        std::fs::write(file("a.conf"), refusing("three")).unwrap();
        gateway.reload(RESOURCES).unwrap();
        gateway.get("/?a=one").send().await.expect(200);
        gateway.get("/?a=three").send().await.expect(403);

        std::fs::write(file("a.conf"), "SecRequestBodyAccess Off\nSecRule ARGS \"@rx (\" \"id:1\"")
            .unwrap();
        let refusal = gateway.reload(RESOURCES).unwrap_err().to_string();
        assert!(refusal.contains("rules/a.conf:2"), "{refusal}");
        gateway.get("/?a=three").send().await.expect(403);

        std::fs::write(file("a.conf"), refusing("one")).unwrap();
        std::fs::write(file("b.conf"), refusing("two").replace("id:1", "id:2")).unwrap();
        gateway.reload(RESOURCES).unwrap();
        gateway.get("/?a=one").send().await.expect(403);
        gateway.get("/?a=two").send().await.expect(403);
        gateway.get("/?a=three").send().await.expect(200);
    });
}

#[test]
fn a_rule_set_without_its_files_is_refused() {
    run(async {
        let gateway = Gateway::of("routes: []");
        let missing = gateway.reload(RESOURCES).unwrap_err().to_string();
        assert!(missing.contains("the rule set `own`: cannot read"), "{missing}");
        let missing = RESOURCES.replace("rules/*.conf", "nowhere.conf");
        let missing = gateway.reload(&missing).unwrap_err().to_string();
        assert!(missing.contains("nowhere.conf:1:1: cannot read"), "{missing}");
    });
}

#[test]
fn a_sample_is_as_large_as_said() {
    run(async {
        let detects = RESOURCES
            .replace("{id: waf, ", "{id: waf, log: waf.jsonl, ")
            .replace("{rule_set: own}", "{rule_set: own, mode: detect, sample: 50}");
        let builder = Gateway::builder().resources(&detects);
        let gateway = builder.file("rules/a.conf", &refusing("one")).start();
        for _ in 0..200 {
            gateway.get("/?a=one").send().await.expect(200);
        }
        gateway.advance(Duration::from_secs(5)).await;
        let log = std::fs::read_to_string(gateway.folder().join("waf.jsonl")).unwrap();
        let told = log.lines().count();
        assert!((40..=160).contains(&told), "{told} of 200");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the word is spelled in the query, with escapes or without and among whatever else,
    /// the upstream sees it only where it is not the one that the rule refuses.
    #[test]
    fn what_is_refused_is_not_seen_by_the_upstream(
        word in "[a-c]{1,3}",
        is_escaped in prop::collection::vec(any::<bool>(), 3),
        before in "[a-z]{0,5}",
    ) {
        let spelled: String = word
            .bytes()
            .zip(is_escaped)
            .map(|(byte, is_escaped)| {
                if is_escaped { format!("%{byte:02x}") } else { char::from(byte).to_string() }
            })
            .collect();
        let is_refused = word == "ab" || before == "ab";
        run(async {
            let builder = Gateway::builder().resources(RESOURCES);
            let gateway = builder.file("rules/a.conf", &refusing("ab")).start();
            let target = format!("/?x={before}&y={spelled}");
            let answer = gateway.get(&target).send().await;
            answer.expect(if is_refused { 403 } else { 200 });
            gateway.upstream().saw(usize::from(!is_refused));
        });
    }
}
