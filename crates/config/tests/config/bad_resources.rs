//! Resources that are not sound, and exactly what is said about them.

use crate::catalogue::resources;

/// A document and the lines that it must give, in order.
type Case = (&'static str, &'static [&'static str]);

pub(crate) fn check(cases: &[Case]) {
    for (text, expected) in cases {
        match resources(text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(lines) => assert_eq!(&lines, expected, "\n{text}"),
        }
    }
}

#[test]
fn routes_that_are_not_sound() {
    check(&[
        (
            "routes: [{urii: /a, plugins: {}}]\n",
            &["r.yaml:1:11: unknown field `urii` (at routes[0].urii); did you mean `uri`?"],
        ),
        ("routes: [{plugins: {}}]\n", &["r.yaml:1:10: `uri` or `uris` is required (at routes[0])"]),
        (
            "routes: [{uri: /a, uris: [/b], plugins: {}}]\n",
            &["r.yaml:1:20: only one of `uri` or `uris` may be given (at routes[0].uris)"],
        ),
        (
            "routes: [{uri: /a}]\n",
            &[
                "r.yaml:1:10: a route needs `upstream`, `upstream_id`, `service_id` or `plugins` (at routes[0])",
            ],
        ),
        (
            "routes: [{uri: a, plugins: {}}]\n",
            &[
                "r.yaml:1:16: the path `a` does not begin with `/` (at routes[0].uri); write `/*` for all paths",
            ],
        ),
        (
            "routes: [{uris: [/a, '/a?b', /a/*/b, '/:i-d', /**], plugins: {}}]\n",
            &[
                "r.yaml:1:22: the path `/a?b` holds more than a path (at routes[0].uris[1]); match the query with `vars`",
                "r.yaml:1:30: the path `/a/*/b` has a `*` before its end (at routes[0].uris[2]); only a `*` at the end stands for any text, and after parameters only as a segment of its own",
                "r.yaml:1:38: the path `/:i-d` has a parameter `i-d`, which is no name (at routes[0].uris[3]); letters, digits and `_` make a name, which is a whole segment",
                "r.yaml:1:47: the path `/**` has a parameter `*`, which is no name (at routes[0].uris[4]); letters, digits and `_` make a name, which is a whole segment",
            ],
        ),
        (
            "routes: [{uris: [/a, /a], plugins: {}}]\n",
            &["r.yaml:1:22: the item is given twice (at routes[0].uris[1])"],
        ),
        ("routes: [{uri: '', plugins: {}}]\n", &["r.yaml:1:16: `uri` is empty (at routes[0].uri)"]),
        (
            "routes: [{uri: , plugins: {}}]\n",
            &[
                "r.yaml:1:11: `uri` has no value (at routes[0].uri); give it a value or remove the key",
            ],
        ),
        (
            "routes: [{uri: /a, host: a, hosts: [b], plugins: {}}]\n",
            &["r.yaml:1:29: only one of `host` or `hosts` may be given (at routes[0].hosts)"],
        ),
        (
            "routes: [{uri: /a, host: 'a b', plugins: {}}]\n",
            &[
                "r.yaml:1:26: expected a host name, or `*` followed by a suffix, found `a b` (at routes[0].host)",
            ],
        ),
        (
            "routes: [{uri: /a, hosts: [], plugins: {}}]\n",
            &["r.yaml:1:20: `hosts` is an empty list (at routes[0].hosts)"],
        ),
        (
            "routes: [{uri: /a, methods: [GTE, get], plugins: {}}]\n",
            &[
                "r.yaml:1:30: expected one of `GET`, `POST`, `PUT`, `DELETE`, `PATCH`, `HEAD`, `OPTIONS`, `CONNECT`, `TRACE` or `PURGE`, found the string `GTE` (at routes[0].methods[0]); did you mean `GET`?",
                "r.yaml:1:35: expected one of `GET`, `POST`, `PUT`, `DELETE`, `PATCH`, `HEAD`, `OPTIONS`, `CONNECT`, `TRACE` or `PURGE`, found the string `get` (at routes[0].methods[1]); did you mean `GET`?",
            ],
        ),
        (
            "routes: [{uri: /a, remote_addr: 10.0.0.0/33, plugins: {}}]\n",
            &[
                "r.yaml:1:33: expected an IP address or a network such as `10.0.0.0/8`, found `10.0.0.0/33` (at routes[0].remote_addr)",
            ],
        ),
        (
            "routes: [{uri: /a, remote_addrs: [localhost], plugins: {}}]\n",
            &[
                "r.yaml:1:35: expected an IP address or a network such as `10.0.0.0/8`, found `localhost` (at routes[0].remote_addrs[0])",
            ],
        ),
        (
            "routes: [{uri: /a, vars: x, plugins: {}}]\n",
            &[
                "r.yaml:1:26: expected a list, found the string `x` (at routes[0].vars); write a list, also for one item",
            ],
        ),
        (
            "routes: [{uri: /a, priority: high, plugins: {}}]\n",
            &["r.yaml:1:30: expected an integer, found the string `high` (at routes[0].priority)"],
        ),
        (
            "routes: [{uri: /a, status: 2, plugins: {}}]\n",
            &[
                "r.yaml:1:28: expected one of `0` or `1`, found the number `2` (at routes[0].status)",
            ],
        ),
        (
            "routes: [{uri: /a, id: 'a b', plugins: {}}]\n",
            &[
                "r.yaml:1:24: expected an id of up to 64 letters, digits, `-`, `_` and `.`, found `a b` (at routes[0].id)",
            ],
        ),
        (
            "routes: [{uri: /a, id: 0, plugins: {}}]\n",
            &["r.yaml:1:24: `id` must be at least 1, is `0` (at routes[0].id)"],
        ),
        (
            "routes: [{uri: /a, labels: {a: 'b c', d: 1}, plugins: {}}]\n",
            &[
                "r.yaml:1:32: expected a label of up to 256 characters without spaces, found `b c` (at routes[0].labels.a)",
                "r.yaml:1:42: expected a string, found the number `1` (at routes[0].labels.d); put it in quotes",
            ],
        ),
        (
            "routes: [{uri: /a, timeout: {connect: 0, send: 1}, plugins: {}}]\n",
            &[
                "r.yaml:1:20: `read` is required (at routes[0].timeout)",
                "r.yaml:1:39: `connect` must be more than 0, is `0` (at routes[0].timeout.connect)",
            ],
        ),
        (
            "routes: [{uri: /a, timeout: {connect: 1.0e+99, send: 1, read: 1}, plugins: {}}]\n",
            &["r.yaml:1:39: must be at most 31536000 seconds (at routes[0].timeout.connect)"],
        ),
        (
            "routes: [{uri: /a, enable_websocket: 1, plugins: {}}]\n",
            &[
                "r.yaml:1:38: expected a boolean, found the number `1` (at routes[0].enable_websocket)",
            ],
        ),
        (
            "routes: [{uri: /a, script: 'return true', plugins: {}}]\n",
            &[
                "r.yaml:1:20: `script` of a route is refused: it is code in the configuration; use plugins, `vars` and `_meta.filter` (at routes[0].script)",
            ],
        ),
        (
            "routes: [{uri: /a, filter_func: 'function(vars) end', plugins: {}}]\n",
            &[
                "r.yaml:1:20: `filter_func` of a route is refused: it is code in the configuration; use plugins, `vars` and `_meta.filter` (at routes[0].filter_func)",
            ],
        ),
        (
            "routes: [{uri: $env://ALICE, plugins: {}}]\n",
            &[
                "r.yaml:1:16: the reference `$env://ALICE` stands where nothing keeps its value secret (at routes[0].uri); references are accepted in fields for secrets, certificates and keys only",
            ],
        ),
        (
            "routes: [{uri: /a, name: '${{NAME}}', plugins: {}}]\n",
            &[
                "r.yaml:1:26: the environment variable `NAME` is not set (at routes[0].name); set it, or write `${{NAME:=default}}`",
            ],
        ),
    ]);
}

#[test]
fn references_to_what_does_not_exist() {
    check(&[
        (
            "routes: [{uri: /a, upstream_id: pol}]\nupstreams: [{id: pool, nodes: {}}]\n",
            &[
                "r.yaml:1:33: there is no upstream `pol` (at routes[0].upstream_id); did you mean `pool`?",
            ],
        ),
        (
            "routes: [{uri: /a, service_id: 1, plugin_config_id: 2}]\n",
            &[
                "r.yaml:1:32: there is no service `1` (at routes[0].service_id)",
                "r.yaml:1:53: there is no plugin config `2` (at routes[0].plugin_config_id)",
            ],
        ),
        (
            "services: [{id: s, upstream_id: 9}]\n",
            &["r.yaml:1:33: there is no upstream `9` (at services[0].upstream_id)"],
        ),
        (
            "consumers: [{username: a, group_id: gold}]\n",
            &["r.yaml:1:37: there is no consumer group `gold` (at consumers[0].group_id)"],
        ),
        (
            "consumers: [{id: bob/credentials/a, plugins: {key-auth: {key: abc}}}]\n",
            &["r.yaml:1:18: there is no consumer `bob` (at consumers[0].id)"],
        ),
        (
            "upstreams: [{nodes: {}, scheme: https, tls: {client_cert_id: c}}]\nssls: [{id: c, sni: a, cert: $file://cert.pem, key: $env://KEY}]\n",
            &[
                "r.yaml:1:62: there is no ssl of type client `c` (at upstreams[0].tls.client_cert_id); the ssl of that id is of type server: write `type: client` in it",
            ],
        ),
    ]);
}

#[test]
fn what_is_given_twice_is_told_with_the_first_place() {
    check(&[
        (
            "upstreams:\n- {id: a, nodes: {}}\n- {id: a, nodes: {}}\n",
            &[
                "r.yaml:3:8: the upstream `a` is given twice (at upstreams[1]); the first one is at r.yaml:2:8",
            ],
        ),
        (
            "routes:\n- {uri: /a, plugins: {}}\n- {id: 1, uri: /b, plugins: {}}\n",
            &[
                "r.yaml:3:8: the route `1` is given twice (at routes[1]); the first one is at r.yaml:2:3",
            ],
        ),
        (
            "consumers:\n- username: a\n- username: a\n",
            &[
                "r.yaml:3:13: the consumer `a` is given twice (at consumers[1]); the first one is at r.yaml:2:13",
            ],
        ),
        (
            "consumers:\n- username: a\n  credentials: [{id: c, plugins: {key-auth: {key: abc}}}]\n- id: a/credentials/c\n  plugins: {key-auth: {key: abc}}\n",
            &[
                "r.yaml:4:7: the credential `a/credentials/c` is given twice (at consumers[1]); the first one is at r.yaml:3:22",
            ],
        ),
        (
            "plugin_metadata:\n- id: http-logger\n- id: http-logger\n",
            &[
                "r.yaml:3:7: the plugin metadata `http-logger` is given twice (at plugin_metadata[1]); the first one is at r.yaml:2:7",
            ],
        ),
    ]);
}

#[test]
fn upstreams_that_are_not_sound() {
    check(&[
        (
            "upstreams: [{id: a}]\n",
            &[
                "r.yaml:1:13: `nodes` is required (at upstreams[0]); write `nodes`, or `service_name` and `discovery_type`",
            ],
        ),
        (
            "upstreams: [{nodes: {'a:x': 1, 'a b': 1, '[a]:1': 1}}]\n",
            &[
                "r.yaml:1:29: `a:x` has no port from 1 to 65535 (at upstreams[0].nodes[\"a:x\"])",
                "r.yaml:1:39: `a b` is no host name or address (at upstreams[0].nodes[\"a b\"])",
                "r.yaml:1:51: `[a]` is no host name or address (at upstreams[0].nodes[\"[a]:1\"])",
            ],
        ),
        (
            "upstreams: [{nodes: {'a:80': -1}}]\n",
            &["r.yaml:1:30: `a:80` must be at least 0, is `-1` (at upstreams[0].nodes[\"a:80\"])"],
        ),
        (
            "upstreams: [{nodes: [{host: a}, {host: '*.a', weight: 1}]}]\n",
            &["r.yaml:1:22: `weight` is required (at upstreams[0].nodes[0])"],
        ),
        (
            "upstreams: [{nodes: [{host: a, weight: 1, port: 70000}]}]\n",
            &[
                "r.yaml:1:49: `port` must be at most 65535, is `70000` (at upstreams[0].nodes[0].port)",
            ],
        ),
        (
            "upstreams: [{nodes: a}]\n",
            &[
                "r.yaml:1:21: expected a map or a list, found the string `a` (at upstreams[0].nodes)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, service_name: a, discovery_type: dns}]\n",
            &[
                "r.yaml:1:39: `nodes` and `service_name` are both given (at upstreams[0].service_name); keep one of them",
            ],
        ),
        (
            "upstreams: [{service_name: a}]\n",
            &[
                "r.yaml:1:28: `service_name` needs `discovery_type` (at upstreams[0].service_name); name the registry, such as `discovery_type: dns`",
            ],
        ),
        (
            "upstreams: [{service_name: a, discovery_type: dns, discovery_args: {group_name: g}}]\n",
            &[
                "r.yaml:1:52: `discovery_args` has no effect without `discovery_type: nacos` (at upstreams[0].discovery_args)",
            ],
        ),
        (
            "upstreams: [{discovery_type: dns}]\n",
            &[
                "r.yaml:1:30: `discovery_type` needs `service_name` (at upstreams[0].discovery_type)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, discovery_type: dns}]\n",
            &[
                "r.yaml:1:41: `discovery_type` needs `service_name` (at upstreams[0].discovery_type)",
            ],
        ),
        (
            "upstreams: [{service_nam: a, discovery_type: tars}]\n",
            &[
                "r.yaml:1:14: unknown field `service_nam` (at upstreams[0].service_nam); did you mean `service_name`?",
                "r.yaml:1:46: `tars` is refused: its registry is a MySQL database, which would have to be read under its own password; name the servers in `nodes` (at upstreams[0].discovery_type)",
            ],
        ),
        (
            "upstreams: [{service_name: '', discovery_type: dns}]\n",
            &["r.yaml:1:28: `service_name` is empty (at upstreams[0].service_name)"],
        ),
        (
            "upstreams: [{nodes: {}, hash_on: header, key: x}]\n",
            &[
                "r.yaml:1:34: `hash_on` has no effect without `type: chash` (at upstreams[0].hash_on)",
                "r.yaml:1:47: `key` has no effect without `type: chash` (at upstreams[0].key)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, type: chash}]\n",
            &[
                "r.yaml:1:31: `chash` needs a `key` (at upstreams[0].type); name what is hashed, such as `key: remote_addr`",
            ],
        ),
        (
            "upstreams: [{nodes: {}, type: chash, hash_on: consumer, key: x}]\n",
            &["r.yaml:1:62: `key` has no effect with `hash_on: consumer` (at upstreams[0].key)"],
        ),
        (
            "upstreams: [{nodes: {}, type: chash, hash_on: cookie, key: 'a b'}]\n",
            &["r.yaml:1:60: `a b` is not the name of a cookie (at upstreams[0].key)"],
        ),
        (
            "upstreams: [{nodes: {}, type: chash, hash_on: body, key: x}]\n",
            &[
                "r.yaml:1:47: expected one of `vars`, `header`, `cookie`, `consumer` or `vars_combinations`, found the string `body` (at upstreams[0].hash_on)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, type: random}]\n",
            &[
                "r.yaml:1:31: expected one of `roundrobin`, `chash`, `least_conn` or `ewma`, found the string `random` (at upstreams[0].type)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, scheme: kafka}]\n",
            &["r.yaml:1:33: `kafka` is not supported yet (at upstreams[0].scheme)"],
        ),
        (
            "upstreams: [{nodes: {}, pass_host: rewrite}]\n",
            &[
                "r.yaml:1:36: `pass_host: rewrite` needs `upstream_host` (at upstreams[0].pass_host)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, upstream_host: a}]\n",
            &[
                "r.yaml:1:40: `upstream_host` has no effect without `pass_host: rewrite` (at upstreams[0].upstream_host)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, retries: -1, retry_timeout: -1}]\n",
            &[
                "r.yaml:1:34: `retries` must be at least 0, is `-1` (at upstreams[0].retries)",
                "r.yaml:1:53: `retry_timeout` must be at least 0, is `-1` (at upstreams[0].retry_timeout)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, keepalive_pool: {size: 0}}]\n",
            &[
                "r.yaml:1:48: `size` must be at least 1, is `0` (at upstreams[0].keepalive_pool.size)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, tls: {verify: true}}]\n",
            &[
                "r.yaml:1:25: `tls` has no effect on plaintext (at upstreams[0].tls); write `scheme: https`",
            ],
        ),
        (
            "upstreams: [{nodes: {}, scheme: https, tls: {verify: false}}]\n",
            &[
                "r.yaml:1:54: `verify: false` weakens protection: whoever is on the way can take the upstream's place (at upstreams[0].tls.verify); name its authority in `ca_certs`; where it is meant, write `danger_tls_verify_off: true`",
            ],
        ),
        (
            "upstreams: [{nodes: {}, scheme: https, tls: {verify: true, danger_tls_verify_off: true}}]\n",
            &[
                "r.yaml:1:54: `verify: true` contradicts `danger_tls_verify_off: true` (at upstreams[0].tls.verify)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, scheme: https, tls: {client_cert: $file://cert.pem}}]\n",
            &["r.yaml:1:59: `client_cert` needs `client_key` (at upstreams[0].tls.client_cert)"],
        ),
        (
            "upstreams: [{nodes: {}, scheme: https, tls: {client_key: $env://KEY}}]\n",
            &["r.yaml:1:58: `client_key` needs `client_cert` (at upstreams[0].tls.client_key)"],
        ),
        (
            "upstreams: [{nodes: {}, scheme: https, tls: {ca_certs: ca.pem}}]\n",
            &[
                "r.yaml:1:56: expected PEM text (`-----BEGIN …`) or a reference such as `$file://path`, found `ca.pem` (at upstreams[0].tls.ca_certs)",
            ],
        ),
        (
            "upstreams: [{nodes: {}, scheme: https, tls: {ca_certs: $file://none.pem}}]\n",
            &[
                "r.yaml:1:56: the file `none.pem` cannot be read: no such file (at upstreams[0].tls.ca_certs)",
            ],
        ),
    ]);
}
