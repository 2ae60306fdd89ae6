//! Documents that are not read: each problem with its place.

use crate::bad_resources::check;
use crate::catalogue::resources_with;

#[test]
fn documents_that_cannot_be_read() {
    check(&[
        (
            "",
            &[
                "r.yaml:1:1: expected a map of resources; write lists such as `routes`, `consumers` and `upstreams`",
            ],
        ),
        (
            "#END\n",
            &[
                "r.yaml:1:1: expected a map of resources; write lists such as `routes`, `consumers` and `upstreams`",
            ],
        ),
        (
            "routes\n",
            &[
                "r.yaml:1:1: expected a map of resources; write lists such as `routes`, `consumers` and `upstreams`",
            ],
        ),
        (
            "routes: [\n",
            &["r.yaml:2:1: not YAML: while parsing a node, did not find expected node content"],
        ),
        (
            "routes:\n\t- uri: /a\n",
            &["r.yaml:2:2: not YAML: tabs disallowed within this context (block indentation)"],
        ),
        ("routes: []\nroutes: []\n", &["r.yaml:2:1: the key `routes` is given twice in this map"]),
        (
            "routes: &r []\nservices: *r\n",
            &[
                "r.yaml:1:9: anchors are not accepted in a configuration; write the value out where it is meant",
            ],
        ),
        // Nor can a document hold itself.
        (
            "routes:\n- &r {uri: /a, upstream: *r}\n",
            &[
                "r.yaml:2:3: anchors are not accepted in a configuration; write the value out where it is meant",
            ],
        ),
        (
            "routes: !!seq []\n",
            &[
                "r.yaml:1:9: the tag `!!seq` is not accepted in a configuration; write the value out where it is meant",
            ],
        ),
        ("routes: []\n---\nroutes: []\n", &["r.yaml:2:1: a file holds one document only"]),
        (
            "- uri: /a\n",
            &[
                "r.yaml:1:1: expected a map of resources; write lists such as `routes`, `consumers` and `upstreams`",
            ],
        ),
        ("route: []\n", &["r.yaml:1:1: unknown field `route` (at route); did you mean `routes`?"]),
        (
            "routes:\n#END\n",
            &[
                "r.yaml:1:1: the list has no value (at routes); write `[]` for an empty list, or remove the key",
            ],
        ),
        ("routes: {}\n", &["r.yaml:1:1: expected a list (at routes)"]),
        ("routes: [x]\n", &["r.yaml:1:10: expected a map, found the string `x` (at routes[0])"]),
        (
            "stream_routes: [{id: 1}]\nprotos: []\nsecrets: {}\n",
            &[
                "r.yaml:1:1: `stream_routes` is not supported yet: streams are not proxied (at stream_routes)",
                "r.yaml:3:1: expected a list (at secrets)",
            ],
        ),
        (
            "plugins: [{name: keyauth}, 7]\n",
            &[
                "r.yaml:1:11: unknown plugin `keyauth` (at plugins[0]); did you mean `key-auth`?",
                "r.yaml:1:28: expected the name of a plugin (at plugins[1]); write `name: …`",
            ],
        ),
        (
            "plugins: [{name: key-auth}]\nglobal_rules: [{id: 1, plugins: {http-logger: {uri: /}}}]\n",
            &[
                "r.yaml:2:34: the plugin `http-logger` is not enabled (at global_rules[0].plugins.http-logger); add it to the list `plugins` of this document, or remove that list",
            ],
        ),
    ]);
}

#[test]
fn json_documents_that_cannot_be_read() {
    for (text, expected) in [
        ("{\"routes\": [}", "r.json:1:13: not JSON: expected a value, found `}`"),
        (
            "{\"routes\": [], \"routes\": []}",
            "r.json:1:16: the key `routes` is given twice in this map",
        ),
        ("{\"routes\": []} #END", "r.json:1:16: not JSON: expected the end, found `#`"),
        (
            "{\"routes\": [{\"uri\": 7, \"plugins\": {}}]}",
            "r.json:1:21: expected a string, found the number `7` (at routes[0].uri); put it in quotes",
        ),
    ] {
        assert_eq!(resources_with("", "r.json", text).unwrap_err(), [expected], "{text}");
    }
}
