//! Node files that are not sound, and exactly what is said about them.

use std::path::Path;

use crate::catalogue::{NODE, lines, loader};

fn problems(text: &str) -> Vec<String> {
    match loader().node_text(Path::new("/etc/b/n.yaml"), text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(failure) => lines(&failure),
    }
}

/// More of an otherwise sound node, in the second line, and the lines that it must give.
fn check(cases: &[(&str, &[&str])]) {
    for (more, expected) in cases {
        assert_eq!(&problems(&format!("{NODE}{more}\nresources: {{}}\n")), expected, "\n{more}");
    }
}

#[test]
fn settings_that_are_not_sound() {
    check(&[
        ("worker: 2", &["n.yaml:2:1: unknown field `worker` (at worker); did you mean `workers`?"]),
        ("workers: 0", &["n.yaml:2:10: `workers` must be at least 1, is `0` (at workers)"]),
        (
            "workers: 1.5",
            &["n.yaml:2:10: expected an integer, found the number `1.5` (at workers)"],
        ),
        (
            "telemetry: {}",
            &[
                "n.yaml:2:1: `telemetry` of a node is not supported yet: metrics are served by `status` (at telemetry)",
            ],
        ),
        (
            "compatibility: Apisix",
            &[
                "n.yaml:2:16: expected one of `none` or `apisix`, found the string `Apisix` (at compatibility); did you mean `apisix`?",
            ],
        ),
        (
            "on_invalid: quarantin",
            &[
                "n.yaml:2:13: expected one of `reject_all` or `quarantine`, found the string `quarantin` (at on_invalid); did you mean `quarantine`?",
            ],
        ),
        (
            "merge_slashes: off",
            &[
                "n.yaml:2:16: expected a boolean, found the string `off` (at merge_slashes); write `false`",
            ],
        ),
        (
            "trusted_proxies: [10.0.0.0/8, proxy]",
            &[
                "n.yaml:2:31: expected an IP address or a network such as `10.0.0.0/8`, found `proxy` (at trusted_proxies[1])",
            ],
        ),
        (
            "limits: {request_lines: 1, idle: 1d, fields: -1}",
            &[
                "n.yaml:2:10: unknown field `request_lines` (at limits.request_lines); did you mean `request_line`?",
                "n.yaml:2:34: expected a duration such as `30s`, found `1d` (at limits.idle)",
                "n.yaml:2:46: `fields` must be at least 0, is `-1` (at limits.fields)",
            ],
        ),
        (
            "status: {address: 9090}",
            &[
                "n.yaml:2:19: expected a string, found the number `9090` (at status.address); put it in quotes",
            ],
        ),
        (
            "status: {address: '127.0.0.1:8080'}",
            &["n.yaml:1:23: the address is that of `status` (at listeners[0].address)"],
        ),
        (
            "admin: {allow: [], prefix: /x}",
            &[
                "n.yaml:2:9: `allow` is an empty list (at admin.allow)",
                "n.yaml:2:20: unknown field `prefix` (at admin.prefix); known here: `allow`, `cors`, `dashboard`, `keys`, `listen`, `socket` or `tls`",
            ],
        ),
        (
            "admin: {listen: '127.0.0.1:9090'}\nstatus: {address: '127.0.0.1:9090'}",
            &["n.yaml:2:17: the address is that of `status` (at admin.listen)"],
        ),
        (
            "admin: {listen: '0.0.0.0:9180', cors: ['*'], keys: a, socket: a}",
            &[
                "n.yaml:2:17: other machines can reach the address, and there is no `tls` (at admin.listen); add `tls: {cert: …, key: …}`, or listen on `127.0.0.1`",
                "n.yaml:2:40: expected an origin, such as `https://dashboard.example.com` (at admin.cors[0])",
                "n.yaml:2:63: the path is that of `keys` (at admin.socket)",
            ],
        ),
        ("audit: {sinks: []}", &["n.yaml:2:9: `sinks` is an empty list (at audit.sinks)"]),
        (
            "audit: {sinks: [stdot, {fil: {path: a}}, {file: {}}, {}], on_full: drop}",
            &[
                "n.yaml:2:17: expected `stdout`, found the string `stdot` (at audit.sinks[0]); did you mean `stdout`?",
                "n.yaml:2:25: expected one of `stdout` or `file`, found `fil` (at audit.sinks[1]); did you mean `file`?",
                "n.yaml:2:43: `path` is required (at audit.sinks[2].file)",
                "n.yaml:2:54: one of `stdout` or `file` is required (at audit.sinks[3])",
                "n.yaml:2:68: expected one of `count` or `deny`, found the string `drop` (at audit.on_full)",
            ],
        ),
        (
            "audit: {on_full: deny}\nlimits: {websockets: 5000, audit_queue: 9999}",
            &[
                "n.yaml:3:22: with `audit.on_full: deny` `limits.websockets` may be at most half of `limits.audit_queue`: 5000 of 9999 (at limits.websockets); lower `limits.websockets`, or raise `limits.audit_queue`",
            ],
        ),
        (
            "audit:",
            &["n.yaml:2:1: `audit` has no value (at audit); give it a value or remove the key"],
        ),
        (
            "access_log: {sinks: stdout}",
            &[
                "n.yaml:2:21: expected a list, found the string `stdout` (at access_log.sinks); write a list, also for one item",
            ],
        ),
        (
            "store: {file: {path: r.yaml}}",
            &[
                "n.yaml:2:1: `store` and `resources` are both given (at store); keep the resources in one place",
            ],
        ),
        ("store: {etcd: {}}", &["n.yaml:2:9: `endpoints` is required (at store.etcd)"]),
        (
            "store: {fil: {path: r.yaml}}",
            &[
                "n.yaml:2:9: expected one of `file`, `embedded` or `etcd`, found `fil` (at store); did you mean `file`?",
            ],
        ),
    ]);
}

#[test]
fn a_posture_that_is_not_sound() {
    check(&[
        (
            "security: {require: [grant]}",
            &[
                "n.yaml:2:12: `authentication` is left out (at security.require); add it, or write `danger_allow_unauthenticated_routes: true` beside the list",
            ],
        ),
        (
            "security: {danger_allow_unauthenticated_routes: true}",
            &[
                "n.yaml:2:49: `danger_allow_unauthenticated_routes` has no effect while `require` holds `authentication` (at security.danger_allow_unauthenticated_routes); remove it, or leave `authentication` out of `require`",
            ],
        ),
        (
            "security: {require: [authentication, authentication, login]}",
            &[
                "n.yaml:2:38: the item is given twice (at security.require[1])",
                "n.yaml:2:54: expected one of `authentication`, `grant`, `limit`, `schema`, `waf` or `upstream_tls`, found the string `login` (at security.require[2])",
            ],
        ),
    ]);
}

#[test]
fn listeners_that_are_not_sound() {
    for (listeners, expected) in [
        ("[]", &["n.yaml:1:1: `listeners` is an empty list (at listeners)"][..]),
        ("[{}]", &["n.yaml:1:13: `address` is required (at listeners[0])"]),
        (
            "[{address: 8080}]",
            &[
                "n.yaml:1:23: expected a string, found the number `8080` (at listeners[0].address); put it in quotes",
            ],
        ),
        (
            "[{address: localhost}]",
            &[
                "n.yaml:1:23: expected an IP address with port such as `127.0.0.1:8080`, found `localhost` (at listeners[0].address)",
            ],
        ),
        (
            "[{address: '[::1]:1'}, {address: '[::1]:1'}]",
            &["n.yaml:1:45: the address is given twice (at listeners[1].address)"],
        ),
        (
            "[{address: '[::1]:1', tls: {}, danger_plaintext: true}]",
            &[
                "n.yaml:1:61: `danger_plaintext` has no effect on a listener with `tls` (at listeners[0].danger_plaintext)",
            ],
        ),
        (
            "[{address: '[::1]:1', tls: {minimum: '1.1'}}]",
            &[
                "n.yaml:1:49: `1.1` is refused: versions before 1.2 are broken (at listeners[0].tls.minimum)",
            ],
        ),
        (
            "[{address: '[::1]:1', tls: {minimum: 1.4}}]",
            &[
                "n.yaml:1:49: expected one of `1.2` or `1.3`, found the number `1.4` (at listeners[0].tls.minimum)",
            ],
        ),
        (
            "[{address: '[::1]:1', tls: {certificates: [{cert: none.pem, key: text.pem}]}}]",
            &[
                "n.yaml:1:62: the file `none.pem` cannot be read: no such file (at listeners[0].tls.certificates[0].cert)",
                "n.yaml:1:77: the file holds no PEM (at listeners[0].tls.certificates[0].key)",
            ],
        ),
        (
            "[{address: '[::1]:1', tls: {certificates: [{cert: empty.pem, key: $env://NOBODY}]}}]",
            &[
                "n.yaml:1:78: the environment variable `NOBODY` is not set (at listeners[0].tls.certificates[0].key)",
            ],
        ),
        (
            "[{address: '[::1]:1', tls: {certificates: [{cert: cert.pem}]}}]",
            &["n.yaml:1:55: `key` is required (at listeners[0].tls.certificates[0])"],
        ),
        (
            "[{address: '[::1]:1', tls: {certificates: [{cert: cert.pem, key: key.pem, default: true}, {cert: cert.pem, key: key.pem, default: true}]}}]",
            &[
                "n.yaml:1:34: only one certificate of a listener can be the default (at listeners[0].tls)",
            ],
        ),
    ] {
        let text = format!("listeners: {listeners}\nresources: {{}}\n");
        assert_eq!(problems(&text), expected, "\n{listeners}");
    }
}

#[test]
fn problems_of_the_node_and_of_its_resources_are_told_together() {
    for (text, expected) in [
        ("resources: {}\n", &["n.yaml:1:1: `listeners` is required"][..]),
        (
            NODE,
            &[
                "n.yaml:1:1: there are no resources; name a `store`, or write them under `resources`",
            ],
        ),
        (
            "listeners: 7\nresources: {routes: [{uri: /a}]}\n",
            &[
                "n.yaml:1:12: expected a list, found the number `7` (at listeners); write a list, also for one item",
                "n.yaml:2:22: a route needs `upstream`, `upstream_id`, `service_id` or `plugins` (at resources.routes[0])",
            ],
        ),
        (
            "listeners: [{address: '127.0.0.1:80'}]\nstore: {file: {path: resources.yaml}}\n",
            &["resources.yaml:3:16: there is no upstream `none` (at routes[0].upstream_id)"],
        ),
        (
            "listeners: [{address: '127.0.0.1:80'}]\nstore: {file: {path: none.yaml}}\n",
            &["the file `none.yaml` cannot be read: no such file"],
        ),
        (
            "listeners: [{address: '127.0.0.1:80'}]\nlimits: {document: 7}\nstore: {file: {path: resources.yaml}}\n",
            &["the file `resources.yaml` cannot be read: too large"],
        ),
    ] {
        assert_eq!(problems(text), expected, "\n{text}");
    }
}

#[test]
fn a_node_file_that_is_not_there_has_no_place() {
    let failure = loader().node(Path::new("/etc/b/none.yaml")).unwrap_err();
    assert_eq!(lines(&failure), ["the file `none.yaml` cannot be read: no such file"]);
}

/// What is said about a node that keeps its resources elsewhere.
fn check_store(cases: &[(&str, &[&str])]) {
    for (store, expected) in cases {
        let text = format!("{NODE}store: {store}\n");
        assert_eq!(&problems(&text), expected, "\n{store}");
    }
}

#[test]
fn stores_that_are_not_sound() {
    check_store(&[
        (
            "{embedded: {path: a, history: 0}}",
            &["n.yaml:2:38: `history` must be at least 1, is `0` (at store.embedded.history)"],
        ),
        (
            "{etcd: {endpoints: ['http://127.0.0.1:1', 'http://etcd:1']}}",
            &[
                "n.yaml:2:50: the endpoint is on another machine and not `https` (at store.etcd.endpoints[1]); write `https://`, or `danger_plaintext: true` beside the endpoints",
            ],
        ),
        (
            "{etcd: {endpoints: ['HTTP://etcd:1']}}",
            &[
                "n.yaml:2:28: the endpoint is on another machine and not `https` (at store.etcd.endpoints[0]); write `https://`, or `danger_plaintext: true` beside the endpoints",
            ],
        ),
        (
            "{etcd: {endpoints: ['https://a'], timeout: 0s}}",
            &["n.yaml:2:51: etcd would have no time to answer (at store.etcd.timeout)"],
        ),
        (
            "{etcd: {endpoints: ['https://a'], prefix: apisix/, user: root}}",
            &[
                "n.yaml:2:50: the prefix begins with `/` and does not end with it (at store.etcd.prefix)",
                "n.yaml:2:65: a user needs a `password` (at store.etcd.user)",
            ],
        ),
        (
            "{etcd: {endpoints: ['https://a'], password: x, tls: {cert: cert.pem}}}",
            &[
                "n.yaml:2:52: a password needs a `user` (at store.etcd.password)",
                "n.yaml:2:67: a certificate needs its `key` (at store.etcd.tls.cert)",
            ],
        ),
    ]);
}

#[test]
fn objects_are_lent_nothing_that_the_node_keeps_for_itself() {
    let etcd = |more: &str| {
        problems(&format!("{NODE}store: {{etcd: {{endpoints: ['https://a'], {more}}}}}\n"))
            .join("\n")
    };
    for (more, words) in [
        (
            "references: {env: ['A/k']}",
            "`A/k` is no name of a variable (at store.etcd.references.env[0])",
        ),
        (
            "user: u, password: $env://ALICE, references: {env: [KEY, ALICE]}",
            "the node file itself refers to `ALICE` (at store.etcd.references.env[1])",
        ),
        (
            "references: {files: [lent, ../lent]}",
            "`..` leads nowhere here (at store.etcd.references.files[1])",
        ),
        (
            "user: u, password: $file://key.pem, references: {files: [key.pem]}",
            "objects could read `key.pem`, which the node file itself names (at store.etcd.references.files[0])",
        ),
        (
            "user: u, password: $file://key.pem, references: {files: [/etc]}",
            "objects could read `key.pem`, which the node file itself names",
        ),
        (
            "snapshot: {path: kept/a, key: x}, references: {files: [kept]}",
            "objects could read `kept/a`, which the node file itself names",
        ),
        ("references: {file: []}", "unknown field `file`"),
        ("references: {files: ['']}", "is empty"),
    ] {
        let told = etcd(more);
        assert!(told.contains(words), "{more}: {told}");
    }
    for (more, own) in [
        ("admin: {keys: lent/operators}", "lent/operators"),
        ("admin: {socket: lent/socket}", "lent/socket"),
        ("audit: {sinks: [{file: {path: lent/log}}]}", "lent/log"),
        (
            "discovery: {kubernetes: {server: 'http://localhost', token_file: lent/token}}",
            "lent/token",
        ),
    ] {
        let text = format!(
            "{NODE}{more}\nstore: {{etcd: {{endpoints: ['https://a'], references: {{files: [lent]}}}}}}\n"
        );
        let told = problems(&text).join("\n");
        assert!(told.contains(&format!("objects could read `{own}`")), "{more}: {told}");
    }
}

#[test]
fn encryption_that_is_required_is_of_one_kind() {
    let encryption = "encryption: {required: true, keys: [{id: a, key: x}]}";
    for (more, words) in [
        (
            "apisix_keyring: ['0123456789abcdef']",
            "which `encryption.required` rules out (at store.etcd.apisix_keyring)",
        ),
        (
            "apisix_keyring: ['0123456789abcdef'], encrypt_as: apisix",
            "`apisix` is not what `encryption.required` asks for (at store.etcd.encrypt_as)",
        ),
    ] {
        let text =
            format!("{NODE}store: {{etcd: {{endpoints: ['https://a'], {encryption}, {more}}}}}\n");
        let told = problems(&text).join("\n");
        assert!(told.contains(words), "{more}: {told}");
    }
}

#[test]
fn keys_of_callers_that_are_not_sound() {
    let long = "6f1d0c9b8a7e5f4d3c2b1a0918273645";
    let hash_keys = format!("hash_keys: [{{id: a, key: {long}}}]");
    let rotate = |rest: &str| format!("api_keys: {{rotate: [{{{rest}}}], {hash_keys}}}");
    let admin = "admin: {}\nstore: {embedded: {path: s}}\n";
    let told = |more: &str| -> Vec<String> {
        let problems = problems(&format!("{NODE}{more}\n"));
        problems.iter().map(|line| line.split_once(": ").unwrap().1.to_owned()).collect()
    };
    for (keys, problem) in [
        ("prefix: Shop, ".to_owned() + &hash_keys, "2 to 16 lower-case letters and digits"),
        ("hash_keys: []".to_owned(), "`hash_keys` is an empty list"),
        (format!("hash_keys: [{{id: a, key: {}}}]", &long[1..]), "the key has 31 bytes, not 32"),
        (
            format!("hash_keys: [{{id: a, key: {long}}}, {{id: a, key: {long}x}}]"),
            "the id is given twice",
        ),
        (
            format!("hash_keys: [{{id: a, key: {long}}}, {{id: b, key: {long}}}]"),
            "the key is given twice",
        ),
    ] {
        let told = told(&format!("{admin}api_keys: {{{keys}}}"));
        assert!(told.len() == 1 && told[0].contains(problem), "{keys}: {told:?}");
    }
    let in_vault = |rest: &str| {
        let mut at = "manager: m".to_owned();
        for (key, value) in [("uri", "'https://v'"), ("mount", "kv")] {
            if !rest.contains(key) {
                at.extend([", ", key, ": ", value]);
            }
        }
        format!("consumer: a, every: 60s, overlap: 1s, to: {{vault: {{{at}, {rest}}}}}")
    };
    for (rest, problem) in [
        ("consumer: a, every: 59s, overlap: 1s, to: {file: k}", "must be from 1m to 4320h"),
        ("consumer: a, every: 4321h, overlap: 1s, to: {file: k}", "must be from 1m to 4320h"),
        ("consumer: a, every: 60s, overlap: 60s, to: {file: k}", "shorter than `every`"),
        ("consumer: a, every: 60s, overlap: 1s, to: {command: [put]}", "an absolute path"),
        (&in_vault("path: a/../b, key: k"), "must lead down"),
        (&in_vault("path: /a, key: k"), "must lead down"),
        (&in_vault("path: a"), "`key` is required"),
        (&in_vault("path: a, key: k, prefix: kv"), "unknown"),
        (&in_vault("path: a, key: k, uri: 'https://v/x'"), "an address such as"),
        (&in_vault("path: a, key: k, mount: kv/"), "a path such as `kv`"),
        (
            "consumer: a, every: 60s, overlap: 1s, to: {file: k}}, {consumer: a, every: 60s, overlap: 1s, to: {file: l}",
            "the consumer is given twice",
        ),
    ] {
        let told = told(&format!("{admin}{}", rotate(rest)));
        assert!(told.len() == 1 && told[0].contains(problem), "{rest}: {told:?}");
    }
    let sound = rotate(&in_vault("path: shop/alice, key: api-key, namespace: team"));
    let text = format!("{NODE}{admin}{sound}\n");
    let loaded = loader().node_text(Path::new("/etc/b/n.yaml"), &text);
    assert!(loaded.is_ok(), "{loaded:?}");
    let sound = rotate("consumer: a, every: 60s, overlap: 59s, to: {file: k}");
    assert!(
        loader().node_text(Path::new("/etc/b/n.yaml"), &format!("{NODE}{admin}{sound}\n")).is_ok()
    );
    let told = told(&format!("resources: {{}}\n{sound}"));
    assert!(told.len() == 1 && told[0].contains("where there is `admin`"), "{told:?}");
}

#[test]
fn registries_that_are_not_sound() {
    for (discovery, problems_told) in [
        ("{dns: {}}", &["no DNS server is named (at discovery.dns)"][..]),
        ("{dns: {servers: []}}", &["`servers` is an empty list (at discovery.dns.servers)"]),
        (
            "{dns: {servers: [10.0.0.2, dns.example, '10.0.0.2:0']}}",
            &[
                "`dns.example` is no address (at discovery.dns.servers[1])",
                "`10.0.0.2:0` is no address (at discovery.dns.servers[2])",
            ],
        ),
        (
            "{dns: {servers: [10.0.0.2], resolv_conf: resolv.conf}}",
            &["`servers` and `resolv_conf` are both given (at discovery.dns.resolv_conf)"],
        ),
        ("{dns: {resolv_conf: none.conf}}", &["(at discovery.dns.resolv_conf)"]),
        (
            "{dns: {servers: [10.0.0.2], order: [last]}}",
            &["`last` alone asks for nothing (at discovery.dns.order)"],
        ),
        (
            "{consul: {servers: ['http://127.0.0.1:8500', 'http://consul:8500'], timeout: 0s}}",
            &[
                "the server is on another machine and not `https` (at discovery.consul.servers[1]); \
                 write `https://`, or `danger_plaintext: true` beside it",
                "must be from 1s to 1h (at discovery.consul.timeout)",
            ],
        ),
        (
            "{consul: {servers: ['https://consul:8501'], ca_certs: none.pem}}",
            &["(at discovery.consul.ca_certs)"],
        ),
        (
            "{kubernetes: {server: 'http://kube:8080'}}",
            &["the server is on another machine and not `https` (at discovery.kubernetes.server)"],
        ),
        ("{kubernetes: {ca_certs: none.pem}}", &["(at discovery.kubernetes.ca_certs)"]),
        (
            "{nacos: {servers: ['http://nacos:8848'], username: u, interval: 999ms, timeout: 3601s}}",
            &[
                "the server is on another machine and not `https` (at discovery.nacos.servers[0])",
                "a user needs a `password` (at discovery.nacos.username)",
                "must be from 1s to 1h (at discovery.nacos.interval)",
                "must be from 1s to 1h (at discovery.nacos.timeout)",
            ],
        ),
        (
            "{eureka: {servers: ['https://a'], password: p, ca_certs: none.pem}}",
            &[
                "a password needs a `username` (at discovery.eureka.password)",
                "(at discovery.eureka.ca_certs)",
            ],
        ),
        (
            "{consul: {servers: ['http://localhost'], ca_certs: none.pem}}",
            &[
                "`ca_certs` has no effect without a server that is `https` (at discovery.consul.ca_certs)",
            ],
        ),
        (
            "{kubernetes: {server: 'http://localhost', ca_certs: none.pem}}",
            &[
                "`ca_certs` has no effect without a server that is `https` (at discovery.kubernetes.ca_certs)",
            ],
        ),
        (
            "{kubernetes: {server: 'http://localhost', token: t, token_file: f}}",
            &["`token` and `token_file` are both given (at discovery.kubernetes.token_file)"],
        ),
        ("{consol: {}}", &["unknown field `consol` (at discovery.consol); did you mean `consul`?"]),
    ] {
        let told = problems(&format!("{NODE}discovery: {discovery}\nresources: {{}}\n"));
        assert_eq!(told.len(), problems_told.len(), "{discovery}: {told:?}");
        for (told, problem) in told.iter().zip(problems_told) {
            assert!(told.contains(problem), "{discovery}: {told}");
        }
    }
    for discovery in [
        "{dns: {servers: ['[2001:db8::53]:5353'], order: [A]}}",
        "{consul: {servers: ['http://127.0.0.1:8500'], token: t}}",
        "{consul: {servers: ['http://consul:8500'], danger_plaintext: true}}",
        "{kubernetes: {server: 'http://localhost:8001', token: t, weight: 0}}",
        "{nacos: {servers: ['https://nacos/nacos'], interval: 1s, timeout: 1h}}",
        "{eureka: {servers: ['https://eureka/eureka'], username: u, password: p, weight: 0}}",
    ] {
        let text = format!("{NODE}discovery: {discovery}\nresources: {{}}\n");
        let read = loader().node_text(Path::new("/etc/b/n.yaml"), &text);
        assert!(read.is_ok(), "{discovery}");
    }
}
