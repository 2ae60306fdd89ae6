//! Plugins that are refused where they are written: each problem with its place.

use crate::bad_resources::check;

#[test]
fn plugins_that_are_not_sound() {
    check(&[
        (
            "global_rules: [{id: 1, plugins: {keyauth: {}}}]\n",
            &[
                "r.yaml:1:34: unknown plugin `keyauth` (at global_rules[0].plugins.keyauth); did you mean `key-auth`?",
            ],
        ),
        (
            "global_rules: [{id: 1, plugins: {openid-connect: {}, serverless-pre-function: {}}}]\n",
            &[
                "r.yaml:1:34: the plugin `openid-connect` is not supported yet: use `jwt-auth` (at global_rules[0].plugins.openid-connect)",
                "r.yaml:1:54: the plugin `serverless-pre-function` is refused: it is code in the configuration (at global_rules[0].plugins.serverless-pre-function)",
            ],
        ),
        (
            "global_rules: [{id: 1, plugins: {key-auth: }}]\n",
            &[
                "r.yaml:1:34: `key-auth` has no value (at global_rules[0].plugins.key-auth); give it a value or remove the key",
            ],
        ),
        (
            "global_rules: [{id: 1, plugins: [key-auth]}]\n",
            &[
                "r.yaml:1:24: expected a map from plugins to their settings (at global_rules[0].plugins)",
            ],
        ),
        (
            "global_rules: [{id: 1, plugins: }]\n",
            &[
                "r.yaml:1:24: `plugins` has no value (at global_rules[0].plugins); give it a value or remove the key",
            ],
        ),
        ("global_rules: [{id: 1}]\n", &["r.yaml:1:16: `plugins` is required (at global_rules[0])"]),
        (
            "global_rules:\n- id: 1\n  plugins:\n    limit-count: {cuont: 1, time_window: 0, policy: redis}\n",
            &[
                "r.yaml:4:19: unknown field `cuont` (at global_rules[0].plugins.limit-count.cuont); did you mean `count`?",
                "r.yaml:4:42: `time_window` must be more than 0, is `0` (at global_rules[0].plugins.limit-count.time_window)",
                "r.yaml:4:53: `redis` is not supported yet: use `local` (at global_rules[0].plugins.limit-count.policy)",
            ],
        ),
        (
            "global_rules: [{id: 1, plugins: {limit-count: {count: 1, time_window: 1, rules: []}}}]\n",
            &[
                "r.yaml:1:74: `rules` of `limit-count` is not supported yet: write one plugin for each limit (at global_rules[0].plugins.limit-count.rules)",
            ],
        ),
        (
            "global_rules: [{id: 1, plugins: {limit-count: {count: 1, time_window: 1, allow_degradation: true}}}]\n",
            &[
                "r.yaml:1:74: `allow_degradation: true` weakens protection (at global_rules[0].plugins.limit-count.allow_degradation); where it is meant, write `danger_allow_degradation: true`",
            ],
        ),
        (
            "global_rules: [{id: 1, plugins: {ip-restriction: {}}}]\n",
            &[
                "r.yaml:1:34: one of `whitelist` or `blacklist` is required (at global_rules[0].plugins.ip-restriction)",
            ],
        ),
        (
            "global_rules: [{id: 1, plugins: {ip-restriction: {whitelist: [a], blacklist: ['::1']}}}]\n",
            &[
                "r.yaml:1:34: only one of `whitelist` or `blacklist` may be given (at global_rules[0].plugins.ip-restriction)",
                "r.yaml:1:63: expected an IP address or a network such as `10.0.0.0/8`, found `a` (at global_rules[0].plugins.ip-restriction.whitelist[0])",
            ],
        ),
        (
            "global_rules: [{id: 1, plugins: {key-auth: {header: $env://ALICE}}}]\n",
            &[
                "r.yaml:1:53: the reference `$env://ALICE` stands where nothing keeps its value secret (at global_rules[0].plugins.key-auth.header); references are accepted in fields for secrets, certificates and keys only",
            ],
        ),
        (
            "global_rules: [{id: 1, plugins: {key-auth: {bad: 1, _meta: {disable: true}}}}]\n",
            &[
                "r.yaml:1:45: unknown field `bad` (at global_rules[0].plugins.key-auth.bad); known here: `header` or `hide_credentials`",
            ],
        ),
        (
            "global_rules: [{id: 1, plugins: {key-auth: {_meta: {disabled: true, priority: x, error_response: 7}}}}]\n",
            &[
                "r.yaml:1:53: unknown field `disabled` (at global_rules[0].plugins.key-auth._meta.disabled); did you mean `disable`?",
                "r.yaml:1:79: expected an integer, found the string `x` (at global_rules[0].plugins.key-auth._meta.priority)",
                "r.yaml:1:98: expected a string or a map, found the number `7` (at global_rules[0].plugins.key-auth._meta.error_response)",
            ],
        ),
        (
            "global_rules: [{id: 1, plugins: {key-auth: {_meta: {pre_function: 'return'}}}}]\n",
            &[
                "r.yaml:1:53: `pre_function` of `_meta` is refused: it is code in the configuration; use plugins, `vars` and `_meta.filter` (at global_rules[0].plugins.key-auth._meta.pre_function)",
            ],
        ),
        (
            "plugin_metadata: [{id: key-auth}, {id: http-loger}, {id: http-logger, log: {}}, {log: 1}, x]\n",
            &[
                "r.yaml:1:24: the plugin `key-auth` takes no configuration in `plugin_metadata` (at plugin_metadata[0])",
                "r.yaml:1:40: unknown plugin `http-loger` (at plugin_metadata[1]); did you mean `http-logger`?",
                "r.yaml:1:71: unknown field `log` (at plugin_metadata[2].log); known here: `log_format`",
                "r.yaml:1:81: `id` must be the name of a plugin (at plugin_metadata[3].id)",
                "r.yaml:1:91: expected a map with the plugin's name as `id` (at plugin_metadata[4])",
            ],
        ),
    ]);
}
