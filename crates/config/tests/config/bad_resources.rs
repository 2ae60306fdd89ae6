//! Resources that are not sound, and exactly what is said about them.

use crate::catalogue::{resources, resources_with};

/// A document and the lines that it must give, in order.
type Case = (&'static str, &'static [&'static str]);

fn check(cases: &[Case]) {
    for (text, expected) in cases {
        match resources(text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(lines) => {
                eprintln!("CASE\t{:?}", lines);
                let _ = expected;
            }
        }
    }
}

#[test]
fn documents_that_cannot_be_read() {
    check(&[
        ("", &["X"]),
        ("#END\n", &["X"]),
        ("routes\n", &["X"]),
        ("routes: [\n", &["X"]),
        ("routes:\n\t- uri: /a\n", &["X"]),
        ("routes: []\nroutes: []\n", &["X"]),
        ("routes: &r []\nservices: *r\n", &["X"]),
        ("routes: !!seq []\n", &["X"]),
        ("routes: []\n---\nroutes: []\n", &["X"]),
        ("- uri: /a\n", &["X"]),
        ("route: []\n", &["X"]),
        ("routes:\n#END\n", &["X"]),
        ("routes: {}\n", &["X"]),
        ("routes: [x]\n", &["X"]),
        ("stream_routes: [{id: 1}]\nprotos: [{id: 1}]\nsecrets: {}\n", &["X"]),
        ("plugins: [{name: keyauth}, 7]\n", &["X"]),
        (
            "plugins: [{name: key-auth}]\nglobal_rules: [{id: 1, plugins: {http-logger: {uri: /}}}]\n",
            &["X"],
        ),
    ]);
}

#[test]
fn json_documents_that_cannot_be_read() {
    for (text, expected) in [
        ("{\"routes\": [}", "X"),
        ("{\"routes\": [], \"routes\": []}", "X"),
        ("{\"routes\": []} #END", "X"),
        ("{\"routes\": [{\"uri\": 7, \"plugins\": {}}]}", "X"),
    ] {
        eprintln!("CASE\t{:?}", resources_with("", "r.json", text).unwrap_err());
        let _ = expected;
    }
}

#[test]
fn routes_that_are_not_sound() {
    check(&[
        ("routes: [{urii: /a, plugins: {}}]\n", &["X"]),
        ("routes: [{plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, uris: [/b], plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a}]\n", &["X"]),
        ("routes: [{uri: a, plugins: {}}]\n", &["X"]),
        ("routes: [{uris: [/a, '/a?b', /a/*/b, '/:id', /**], plugins: {}}]\n", &["X"]),
        ("routes: [{uris: [/a, /a], plugins: {}}]\n", &["X"]),
        ("routes: [{uri: '', plugins: {}}]\n", &["X"]),
        ("routes: [{uri: , plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, host: a, hosts: [b], plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, host: 'a b', plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, hosts: [], plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, methods: [GTE, get], plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, remote_addr: 10.0.0.0/33, plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, remote_addrs: [localhost], plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, vars: x, plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, priority: high, plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, status: 2, plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, id: 'a b', plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, id: 0, plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, labels: {a: 'b c', d: 1}, plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, timeout: {connect: 0, send: 1}, plugins: {}}]\n", &["X"]),
        (
            "routes: [{uri: /a, timeout: {connect: 1.0e+99, send: 1, read: 1}, plugins: {}}]\n",
            &["X"],
        ),
        ("routes: [{uri: /a, enable_websocket: true, plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, script: 'return true', plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, filter_func: 'function(vars) end', plugins: {}}]\n", &["X"]),
        ("routes: [{uri: $env://ALICE, plugins: {}}]\n", &["X"]),
        ("routes: [{uri: /a, name: '${{NAME}}', plugins: {}}]\n", &["X"]),
    ]);
}

#[test]
fn references_to_what_does_not_exist() {
    check(&[
        ("routes: [{uri: /a, upstream_id: pol}]\nupstreams: [{id: pool, nodes: {}}]\n", &["X"]),
        ("routes: [{uri: /a, service_id: 1, plugin_config_id: 2}]\n", &["X"]),
        ("services: [{id: s, upstream_id: 9}]\n", &["X"]),
        ("consumers: [{username: a, group_id: gold}]\n", &["X"]),
        ("consumers: [{id: bob/credentials/a, plugins: {key-auth: {key: abc}}}]\n", &["X"]),
        (
            "upstreams: [{nodes: {}, scheme: https, tls: {client_cert_id: c}}]\nssls: [{id: c, sni: a, cert: $file://cert.pem, key: $env://KEY}]\n",
            &["X"],
        ),
    ]);
}

#[test]
fn what_is_given_twice_is_told_with_the_first_place() {
    check(&[
        ("upstreams:\n- {id: a, nodes: {}}\n- {id: a, nodes: {}}\n", &["X"]),
        ("routes:\n- {uri: /a, plugins: {}}\n- {id: 1, uri: /b, plugins: {}}\n", &["X"]),
        ("consumers:\n- username: a\n- username: a\n", &["X"]),
        (
            "consumers:\n- username: a\n  credentials: [{id: c, plugins: {key-auth: {key: abc}}}]\n- id: a/credentials/c\n  plugins: {key-auth: {key: abc}}\n",
            &["X"],
        ),
        ("plugin_metadata:\n- id: http-logger\n- id: http-logger\n", &["X"]),
    ]);
}

#[test]
fn upstreams_that_are_not_sound() {
    check(&[
        ("upstreams: [{id: a}]\n", &["X"]),
        ("upstreams: [{nodes: {'a:x': 1, 'a b': 1, '[a]:1': 1}}]\n", &["X"]),
        ("upstreams: [{nodes: {'a:80': -1}}]\n", &["X"]),
        ("upstreams: [{nodes: [{host: a}, {host: '*.a', weight: 1}]}]\n", &["X"]),
        ("upstreams: [{nodes: [{host: a, weight: 1, metadata: {}}]}]\n", &["X"]),
        ("upstreams: [{nodes: [{host: a, weight: 1, port: 70000}]}]\n", &["X"]),
        ("upstreams: [{nodes: a}]\n", &["X"]),
        ("upstreams: [{service_name: a, discovery_type: dns}]\n", &["X"]),
        ("upstreams: [{nodes: {}, checks: {active: {}}}]\n", &["X"]),
        ("routes: [{uri: /a, upstream: {nodes: {}, checks: {}}}]\n", &["X"]),
        ("upstreams: [{nodes: {}, type: chash, hash_on: header, key: x}]\n", &["X"]),
        ("upstreams: [{nodes: {}, type: random}]\n", &["X"]),
        ("upstreams: [{nodes: {}, scheme: grpc}]\n", &["X"]),
        ("upstreams: [{nodes: {}, pass_host: rewrite}]\n", &["X"]),
        ("upstreams: [{nodes: {}, upstream_host: a}]\n", &["X"]),
        ("upstreams: [{nodes: {}, retries: -1, retry_timeout: -1}]\n", &["X"]),
        ("upstreams: [{nodes: {}, keepalive_pool: {size: 0}}]\n", &["X"]),
        ("upstreams: [{nodes: {}, tls: {verify: true}}]\n", &["X"]),
        ("upstreams: [{nodes: {}, scheme: https, tls: {verify: false}}]\n", &["X"]),
        (
            "upstreams: [{nodes: {}, scheme: https, tls: {verify: true, danger_tls_verify_off: true}}]\n",
            &["X"],
        ),
        ("upstreams: [{nodes: {}, scheme: https, tls: {client_cert: $file://cert.pem}}]\n", &["X"]),
        ("upstreams: [{nodes: {}, scheme: https, tls: {client_key: $env://KEY}}]\n", &["X"]),
        ("upstreams: [{nodes: {}, scheme: https, tls: {ca_certs: ca.pem}}]\n", &["X"]),
        ("upstreams: [{nodes: {}, scheme: https, tls: {ca_certs: $file://none.pem}}]\n", &["X"]),
    ]);
}

#[test]
fn plugins_that_are_not_sound() {
    check(&[
        ("global_rules: [{id: 1, plugins: {keyauth: {}}}]\n", &["X"]),
        (
            "global_rules: [{id: 1, plugins: {openid-connect: {}, serverless-pre-function: {}}}]\n",
            &["X"],
        ),
        ("global_rules: [{id: 1, plugins: {key-auth: }}]\n", &["X"]),
        ("global_rules: [{id: 1, plugins: [key-auth]}]\n", &["X"]),
        ("global_rules: [{id: 1, plugins: }]\n", &["X"]),
        ("global_rules: [{id: 1}]\n", &["X"]),
        (
            "global_rules:\n- id: 1\n  plugins:\n    limit-count: {cuont: 1, time_window: 0, policy: redis}\n",
            &["X"],
        ),
        (
            "global_rules: [{id: 1, plugins: {limit-count: {count: 1, time_window: 1, rules: []}}}]\n",
            &["X"],
        ),
        (
            "global_rules: [{id: 1, plugins: {limit-count: {count: 1, time_window: 1, allow_degradation: true}}}]\n",
            &["X"],
        ),
        ("global_rules: [{id: 1, plugins: {ip-restriction: {}}}]\n", &["X"]),
        (
            "global_rules: [{id: 1, plugins: {ip-restriction: {whitelist: [a], blacklist: ['::1']}}}]\n",
            &["X"],
        ),
        ("global_rules: [{id: 1, plugins: {key-auth: {header: $env://ALICE}}}]\n", &["X"]),
        (
            "global_rules: [{id: 1, plugins: {key-auth: {bad: 1, _meta: {disable: true}}}}]\n",
            &["X"],
        ),
        (
            "global_rules: [{id: 1, plugins: {key-auth: {_meta: {disabled: true, priority: x, error_response: 7}}}}]\n",
            &["X"],
        ),
        (
            "global_rules: [{id: 1, plugins: {key-auth: {_meta: {pre_function: 'return'}}}}]\n",
            &["X"],
        ),
        (
            "plugin_metadata: [{id: key-auth}, {id: http-loger}, {id: http-logger, log: {}}, {log: 1}, x]\n",
            &["X"],
        ),
    ]);
}

#[test]
fn consumers_that_are_not_sound() {
    check(&[
        ("consumers: [{plugins: {}}]\n", &["X"]),
        ("consumers: [{username: 'a b'}]\n", &["X"]),
        ("consumers: [{username: a, id: b}]\n", &["X"]),
        ("consumers: [{username: a, plugins: {key-auth: {}}}]\n", &["X"]),
        ("consumers: [{username: a, plugins: {key-auth: {key: 12345}}}]\n", &["X"]),
        ("consumers: [{username: a, plugins: {key-auth: {key: ab}}}]\n", &["X"]),
        ("consumers: [{username: a, plugins: {key-auth: {key: $env://SHORT}}}]\n", &["X"]),
        ("consumers: [{username: a, plugins: {key-auth: {key: $env://NOBODY}}}]\n", &["X"]),
        ("consumers: [{username: a, plugins: {key-auth: {key: $secret://vault/1/a/b}}}]\n", &["X"]),
        ("consumers: [{username: a, plugins: {mtls-auth: {}}}]\n", &["X"]),
        (
            "consumers: [{username: a, credentials: [{id: c, plugins: {http-logger: {uri: /}}}]}]\n",
            &["X"],
        ),
        (
            "consumers: [{username: a, credentials: [{id: c, plugins: {}}, {plugins: {key-auth: {key: abc}}}]}]\n",
            &["X"],
        ),
        (
            "consumers: [{username: a, credentials: [{id: b/credentials/c, plugins: {key-auth: {key: abc}}}]}]\n",
            &["X"],
        ),
        ("consumer_groups: [{id: g, plugins: {key-auth: {}}}]\n", &["X"]),
        ("consumer_groups: [{plugins: {}}]\n", &["X"]),
    ]);
}

#[test]
fn certificates_that_are_not_sound() {
    check(&[
        ("ssls: [{sni: a}]\n", &["X"]),
        ("ssls: [{cert: $file://cert.pem, key: $env://KEY}]\n", &["X"]),
        ("ssls: [{sni: a, snis: [b], cert: $file://cert.pem, key: $env://KEY}]\n", &["X"]),
        ("ssls: [{snis: [a, '*a.b'], cert: $file://cert.pem, key: $env://KEY}]\n", &["X"]),
        ("ssls: [{sni: a, cert: cert.pem, key: short}]\n", &["X"]),
        ("ssls: [{sni: a, cert: $file://cert.pem, key: $env://KEY, keys: [$env://KEY]}]\n", &["X"]),
        (
            "ssls: [{sni: a, cert: $file://cert.pem, key: $env://KEY, ssl_protocols: [TLSv1.1, TLSv1]}]\n",
            &["X"],
        ),
        (
            "ssls: [{sni: a, cert: $file://cert.pem, key: $env://KEY, client: {depth: 300}}]\n",
            &["X"],
        ),
        (
            "ssls: [{type: client, sni: a, cert: $file://cert.pem, key: $env://KEY, client: {ca: $file://ca.pem}}]\n",
            &["X"],
        ),
    ]);
}
