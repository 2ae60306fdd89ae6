//! Consumers and certificates that are refused: each problem with its place.

use crate::bad_resources::check;

#[test]
fn consumers_that_are_not_sound() {
    check(&[
        (
            "consumers: [{plugins: {}}]\n",
            &["r.yaml:1:13: `username` is required (at consumers[0])"],
        ),
        (
            "consumers: [{username: 'a b'}]\n",
            &[
                "r.yaml:1:24: expected a name of up to 256 letters, digits, `-` and `_`, found `a b` (at consumers[0].username)",
            ],
        ),
        (
            "consumers: [{username: a, id: b}]\n",
            &["r.yaml:1:31: the id of a consumer is its `username` (at consumers[0].id)"],
        ),
        (
            "consumers: [{username: a, plugins: {key-auth: {}}}]\n",
            &["r.yaml:1:37: `key` is required (at consumers[0].plugins.key-auth)"],
        ),
        (
            "consumers: [{username: a, plugins: {key-auth: {key: 12345}}}]\n",
            &[
                "r.yaml:1:53: expected a string, found a number (at consumers[0].plugins.key-auth.key); put it in quotes",
            ],
        ),
        (
            "consumers: [{username: a, plugins: {key-auth: {key: ab}}}]\n",
            &[
                "r.yaml:1:53: `key` needs at least 3 characters, has 2 (at consumers[0].plugins.key-auth.key)",
            ],
        ),
        (
            "consumers: [{username: a, plugins: {key-auth: {key: $env://SHORT}}}]\n",
            &[
                "r.yaml:1:53: `key` needs at least 3 characters, has 2 (at consumers[0].plugins.key-auth.key)",
            ],
        ),
        (
            "consumers: [{username: a, plugins: {key-auth: {key: $env://NOBODY}}}]\n",
            &[
                "r.yaml:1:53: the environment variable `NOBODY` is not set (at consumers[0].plugins.key-auth.key)",
            ],
        ),
        (
            "consumers: [{username: a, plugins: {key-auth: {key: $secret://vault/1/a/b}}}]\n",
            &[
                "r.yaml:1:53: there is no secret manager `vault/1` (at consumers[0].plugins.key-auth.key)",
            ],
        ),
        (
            "consumers: [{username: a, plugins: {mtls-auth: {}}}]\n",
            &[
                "r.yaml:1:37: the plugin `mtls-auth` takes no configuration on a consumer (at consumers[0].plugins.mtls-auth)",
            ],
        ),
        (
            "consumers: [{username: a, credentials: [{id: c, plugins: {http-logger: {uri: /}}}]}]\n",
            &[
                "r.yaml:1:59: the plugin `http-logger` is no authentication plugin (at consumers[0].credentials[0].plugins.http-logger); a credential holds exactly one authentication plugin",
            ],
        ),
        (
            "consumers: [{username: a, credentials: [{id: c, plugins: {}}, {plugins: {key-auth: {key: abc}}}]}]\n",
            &[
                "r.yaml:1:49: a credential holds exactly one authentication plugin (at consumers[0].credentials[0].plugins)",
                "r.yaml:1:63: `id` is required (at consumers[0].credentials[1])",
            ],
        ),
        (
            "consumers: [{username: a, credentials: [{id: b/credentials/c, plugins: {key-auth: {key: abc}}}]}]\n",
            &[
                "r.yaml:1:46: the id names another consumer than `a` (at consumers[0].credentials[0].id)",
            ],
        ),
        (
            "consumer_groups: [{id: g, plugins: {key-auth: {}}}]\n",
            &[
                "r.yaml:1:37: the plugin `key-auth` proves who calls, which is known when a group's plugins run (at consumer_groups[0].plugins.key-auth); write it on a route or service, and the key on the consumer",
            ],
        ),
        (
            "consumer_groups: [{plugins: {}}]\n",
            &["r.yaml:1:19: `id` is required (at consumer_groups[0])"],
        ),
    ]);
}

#[test]
fn certificates_that_are_not_sound() {
    check(&[
        (
            "ssls: [{sni: a}]\n",
            &[
                "r.yaml:1:8: `cert` is required (at ssls[0])",
                "r.yaml:1:8: `key` is required (at ssls[0])",
            ],
        ),
        (
            "ssls: [{cert: $file://cert.pem, key: $env://KEY}]\n",
            &["r.yaml:1:8: `sni` or `snis` is required (at ssls[0])"],
        ),
        (
            "ssls: [{sni: a, snis: [b], cert: $file://cert.pem, key: $env://KEY}]\n",
            &["r.yaml:1:17: only one of `sni` or `snis` may be given (at ssls[0].snis)"],
        ),
        (
            "ssls: [{snis: [a, '*a.b'], cert: $file://cert.pem, key: $env://KEY}]\n",
            &[
                "r.yaml:1:19: `*a.b` is no server name: write a name, `*.` and a suffix, or `*` (at ssls[0].snis[1])",
            ],
        ),
        (
            "ssls: [{sni: a, cert: cert.pem, key: short}]\n",
            &[
                "r.yaml:1:23: expected PEM text (`-----BEGIN …`) or a reference such as `$file://path`, found `cert.pem` (at ssls[0].cert)",
                "r.yaml:1:38: `key` needs at least 64 characters, has 5 (at ssls[0].key)",
            ],
        ),
        (
            "ssls: [{sni: a, cert: $file://cert.pem, key: $env://KEY, keys: [$env://KEY]}]\n",
            &[
                "r.yaml:1:58: `certs` and `keys` belong together, but there are 0 and 1 (at ssls[0].keys)",
            ],
        ),
        (
            "ssls: [{sni: a, cert: $file://cert.pem, key: $env://KEY, ssl_protocols: [TLSv1.1, TLSv1]}]\n",
            &[
                "r.yaml:1:74: `TLSv1.1` is refused: versions before 1.2 are broken (at ssls[0].ssl_protocols[0])",
                "r.yaml:1:83: expected one of `TLSv1.2` or `TLSv1.3`, found the string `TLSv1` (at ssls[0].ssl_protocols[1]); did you mean `TLSv1.2`?",
            ],
        ),
        (
            "ssls: [{sni: a, cert: $file://cert.pem, key: $env://KEY, client: {depth: 300}}]\n",
            &[
                "r.yaml:1:58: `ca` is required (at ssls[0].client)",
                "r.yaml:1:74: `depth` must be at most 255, is `300` (at ssls[0].client.depth)",
            ],
        ),
        (
            "ssls: [{type: client, sni: a, cert: $file://cert.pem, key: $env://KEY, client: {ca: $file://ca.pem}}]\n",
            &[
                "r.yaml:1:28: server names have no effect on a certificate for upstreams (at ssls[0].sni)",
                "r.yaml:1:72: `client` has no effect on a certificate for upstreams (at ssls[0].client)",
            ],
        ),
    ]);
}
