//! Every matcher has a property that compares it with a naive one, or a reason to have none.

use std::collections::HashSet;
use std::path::Path;

use bartizan_plugins::CATALOGUE;

/// Fewer cases than this show little.
const CASES_MIN: usize = 256;

/// A test that draws its inputs: the file below `crates`, and its name.
type Property = (&'static str, &'static str);

/// Whatever decides by comparing: what it matches, and its property.
const MATCHERS: &[(&str, Property)] = &[
    (
        "hosts, paths and priorities of routes",
        ("proxy/src/router/tests.rs", "agrees_with_a_naive_search"),
    ),
    (
        "methods and addresses of routes",
        ("proxy/src/snapshot/route.rs", "methods_and_addresses_agree_with_a_naive_reading"),
    ),
    (
        "`vars`, `_meta.filter` and every operator of expressions",
        ("chain/src/expr/tests.rs", "every_expression_decides_as_its_naive_reading"),
    ),
    (
        "texts with variables",
        ("chain/src/template.rs", "what_is_read_is_what_was_written_between_the_variables"),
    ),
    ("canonical paths", ("wire/src/canonical/tests.rs", "the_path_agrees_with_the_naive_one")),
    (
        "trusted proxies of the node",
        ("proxy/src/forwarded.rs", "the_client_agrees_with_a_naive_search"),
    ),
    ("lists of networks", ("plugins/src/networks.rs", "they_agree_with_comparing_bits")),
    (
        "addresses that limits count by",
        ("plugins/src/meter/key.rs", "two_addresses_count_as_one_as_their_bits_say"),
    ),
    (
        "addresses that may be connected to",
        ("net/src/egress.rs", "an_address_is_judged_the_same_in_every_disguise"),
    ),
    (
        "server names of certificates",
        ("tls/src/names.rs", "it_agrees_with_comparing_label_by_label"),
    ),
    (
        "weights of upstream nodes",
        ("proxy/src/balance/turns.rs", "it_agrees_with_weighing_one_request_after_the_other"),
    ),
    (
        "priorities of upstream nodes",
        (
            "proxy/src/balance/turns.rs",
            "who_is_tried_next_is_never_of_a_lower_priority_than_who_is_left",
        ),
    ),
    (
        "consistent hashing",
        ("proxy/src/balance/hashing.rs", "a_node_that_goes_takes_only_its_own_keys_with_it"),
    ),
    (
        "the least busy node",
        ("proxy/src/balance/load.rs", "nobody_is_busier_than_their_weight_says"),
    ),
    (
        "lists of patterns",
        ("plugins/src/pattern_list.rs", "agrees_with_searching_for_one_after_the_other"),
    ),
    (
        "places of addresses",
        ("plugins/src/admit/geo_restriction/tests.rs", "agrees_with_a_naive_search"),
    ),
    (
        "scopes and audiences",
        ("plugins/src/jose/rules.rs", "scopes_and_audiences_agree_with_a_naive_reading"),
    ),
    (
        "claims that are required",
        ("plugins/src/jose/rules.rs", "required_claims_agree_with_a_naive_reading"),
    ),
    (
        "identities of SPIFFE",
        ("plugins/src/authenticate/mtls_auth/names.rs", "a_spiffe_id_agrees_with_a_naive_reading"),
    ),
    (
        "nonces of proofs",
        ("plugins/src/authenticate/binding/nonce.rs", "nothing_near_a_nonce_is_one"),
    ),
    ("names that plugins own", ("chain/src/owned.rs", "owning_agrees_with_a_naive_comparison")),
    (
        "targets of proofs",
        (
            "plugins/src/authenticate/binding/tests/targets.rs",
            "a_target_agrees_with_a_naive_comparison",
        ),
    ),
    (
        "objects in paths",
        (
            "plugins/src/authorize/object_guard/path.rs",
            "it_agrees_with_comparing_segment_by_segment",
        ),
    ),
    (
        "objects in bodies",
        ("plugins/src/authorize/object_guard/body_path.rs", "it_agrees_with_a_json_pointer"),
    ),
    (
        "owners of objects",
        ("plugins/src/authorize/object_guard/tests.rs", "a_claim_owns_exactly_what_it_equals"),
    ),
    (
        "where a request comes from",
        (
            "plugins/src/authorize/csrf/tests.rs",
            "where_a_request_comes_from_agrees_with_a_naive_reading",
        ),
    ),
    (
        "origins of a site",
        ("plugins/src/authorize/csrf/tests.rs", "only_the_origin_that_was_asked_passes"),
    ),
    (
        "names of fields that are passed on",
        ("plugins/src/authorize/service/tests.rs", "spellings_agree_with_a_naive_comparison"),
    ),
    ("weights of codings", ("plugins/src/coding/accept.rs", "a_weight_agrees_with_arithmetic")),
    (
        "types that are compressed",
        ("plugins/src/coding/eligible.rs", "types_agree_with_a_naive_comparison"),
    ),
    (
        "places that are masked",
        ("plugins/src/observe/data_mask/json.rs", "places_agree_with_trying_them_all"),
    ),
    (
        "path templates of OpenAPI",
        ("plugins/src/validate/oas_validator/paths.rs", "the_tree_agrees_with_a_list"),
    ),
    (
        "what `filters` replace",
        (
            "plugins/src/reply/response_rewrite/filters.rs",
            "plain_text_is_replaced_as_the_standard_library_does",
        ),
    ),
    (
        "texts of `log_format`",
        ("plugins/src/observe/entry/tests.rs", "texts_agree_with_putting_values_in_by_hand"),
    ),
    (
        "operators of rules on texts",
        ("waf/src/operators/tests/naive.rs", "texts_are_compared_as_the_standard_library_does"),
    ),
    (
        "operators of rules on phrases",
        ("waf/src/operators/tests/naive.rs", "phrases_are_found_whatever_their_case"),
    ),
    (
        "operators of rules on addresses",
        ("waf/src/operators/tests/naive.rs", "addresses_are_matched_bit_by_bit"),
    ),
    (
        "operators of rules on numbers",
        ("waf/src/operators/tests/naive.rs", "numbers_are_compared_by_what_texts_begin_with"),
    ),
    (
        "operators of rules on bytes",
        ("waf/src/operators/tests/naive.rs", "bytes_are_inside_of_one_of_the_ranges_or_not"),
    ),
];

/// What a plugin decides by, or why it compares nothing.
enum Proof {
    By(Property),
    Nothing(&'static str),
}

use Proof::{By, Nothing};

const LOG: Proof =
    By(("plugins/src/observe/entry/tests.rs", "texts_agree_with_putting_values_in_by_hand"));

/// One line for each plugin of the catalogue.
const PLUGINS: &[(&str, Proof)] = &[
    (
        "real-ip",
        By((
            "plugins/src/prepare/real_ip.rs",
            "a_client_cannot_write_past_the_address_that_a_proxy_appended",
        )),
    ),
    (
        "client-control",
        By(("plugins/src/prepare/client_control.rs", "of_several_bounds_the_smallest_holds")),
    ),
    (
        "request-id",
        By(("plugins/src/prepare/request_id.rs", "what_is_kept_could_never_end_a_line")),
    ),
    ("cors", By(("plugins/src/admit/cors/tests.rs", "origins_agree_with_a_naive_comparison"))),
    ("ip-restriction", By(("plugins/src/admit/ip_restriction.rs", "agrees_with_a_naive_matcher"))),
    (
        "auth-throttle",
        By((
            "plugins/src/admit/auth_throttle/failures.rs",
            "failures_add_up_as_a_naive_reading_of_all_of_them",
        )),
    ),
    ("ua-restriction", By(("plugins/src/admit/ua_restriction.rs", "agrees_with_a_naive_judge"))),
    (
        "referer-restriction",
        By(("plugins/src/admit/referer_restriction.rs", "agrees_with_a_naive_matcher")),
    ),
    ("uri-blocker", By(("plugins/src/admit/uri_blocker.rs", "agrees_with_a_naive_search"))),
    (
        "redirect",
        By((
            "plugins/src/prepare/redirect/tests.rs",
            "a_pattern_redirects_what_it_is_found_in_and_nothing_else",
        )),
    ),
    ("multi-auth", Nothing("it asks the plugins in it one after the other, as they are written")),
    (
        "hmac-auth",
        By(("plugins/src/authenticate/hmac_auth/params.rs", "every_text_has_one_reading_or_none")),
    ),
    (
        "basic-auth",
        By((
            "plugins/src/authenticate/basic_auth/tests.rs",
            "what_is_shown_is_split_at_the_first_colon",
        )),
    ),
    (
        "geo-restriction",
        By(("plugins/src/admit/geo_restriction/tests.rs", "rules_agree_with_a_naive_judge")),
    ),
    (
        "jwt-auth",
        By(("plugins/src/jose/rules.rs", "scopes_and_audiences_agree_with_a_naive_reading")),
    ),
    (
        "mtls-auth",
        By((
            "plugins/src/authenticate/mtls_auth/names.rs",
            "a_name_is_looked_up_by_its_kind_and_all_of_it",
        )),
    ),
    (
        "oauth-introspection",
        By(("plugins/src/authenticate/introspection/tests.rs", "garbage_is_never_active")),
    ),
    (
        "openid-connect",
        By(("plugins/src/authenticate/token/field.rs", "tokens_agree_with_a_naive_reading")),
    ),
    ("jwe-decrypt", By(("plugins/src/jose/tests/encrypted.rs", "a_changed_token_does_not_open"))),
    ("key-auth", By(("plugins/src/authenticate/key_auth/tests.rs", "no_other_key_is_alices"))),
    ("anonymous-access", Nothing("it lets everybody in")),
    ("acl", By(("plugins/src/authorize/acl/tests.rs", "it_agrees_with_a_naive_reading"))),
    (
        "csrf",
        By((
            "plugins/src/authorize/csrf/tests.rs",
            "where_a_request_comes_from_agrees_with_a_naive_reading",
        )),
    ),
    (
        "consumer-restriction",
        By(("plugins/src/authorize/consumer_restriction.rs", "it_agrees_with_a_naive_reading")),
    ),
    (
        "forward-auth",
        By(("plugins/src/authorize/service/tests.rs", "spellings_agree_with_a_naive_comparison")),
    ),
    ("opa", By(("plugins/src/authorize/opa/tests.rs", "garbage_never_allows"))),
    ("any-authenticated", Nothing("it asks only whether anybody's identity was proved")),
    (
        "limit-count",
        By((
            "plugins/src/meter/limit_count/window/tests.rs",
            "no_window_ever_has_more_than_the_count",
        )),
    ),
    (
        "workflow",
        By((
            "plugins/src/meter/workflow/tests.rs",
            "the_rule_that_is_chosen_is_the_first_that_a_naive_reader_would_choose",
        )),
    ),
    (
        "limit-conn",
        By((
            "plugins/src/meter/limit_conn/connections.rs",
            "the_count_never_exceeds_the_limit_and_returns_to_zero",
        )),
    ),
    (
        "limit-req",
        By((
            "plugins/src/meter/limit_req/bucket.rs",
            "no_time_ever_has_more_than_burst_and_rate_allow",
        )),
    ),
    (
        "object-guard",
        By((
            "plugins/src/authorize/object_guard/path.rs",
            "it_agrees_with_comparing_segment_by_segment",
        )),
    ),
    (
        "request-validation",
        By(("plugins/src/validate/request_validation/tests.rs", "bounds_agree_with_comparison")),
    ),
    (
        "attach-consumer-label",
        By(("plugins/src/transform/attach_consumer_label.rs", "no_client_gets_a_value_through")),
    ),
    (
        "identity-forward",
        By(("plugins/src/transform/identity_forward/tests.rs", "no_client_gets_a_value_through")),
    ),
    (
        "http-signature",
        By((
            "plugins/src/authenticate/http_signature/structured.rs",
            "what_is_written_is_read_and_nothing_else",
        )),
    ),
    (
        "graphql-limit-count",
        By(("plugins/src/graphql/tests.rs", "arithmetic_is_the_same_as_writing_fragments_out")),
    ),
    (
        "api-breaker",
        By(("plugins/src/transform/api_breaker/circuit.rs", "it_is_what_the_history_says")),
    ),
    (
        "fault-injection",
        By((
            "plugins/src/transform/fault_injection.rs",
            "one_of_several_lists_of_which_all_must_hold",
        )),
    ),
    (
        "grpc-transcode",
        By((
            "protos/src/translation_tests.rs",
            "what_is_read_of_any_bytes_can_be_written_and_means_the_same",
        )),
    ),
    (
        "mocking",
        By(("plugins/src/transform/mocking/example/tests.rs", "schemas_that_can_be_satisfied_are")),
    ),
    (
        "oas-validator",
        By(("plugins/src/validate/oas_validator/paths.rs", "the_tree_agrees_with_a_list")),
    ),
    (
        "waf",
        By(("waf/src/operators/tests/naive.rs", "texts_are_compared_as_the_standard_library_does")),
    ),
    (
        "proxy-rewrite",
        By((
            "plugins/src/transform/proxy_rewrite/tests.rs",
            "the_first_pattern_that_is_found_replaces_what_it_found_once",
        )),
    ),
    ("brotli", By(("plugins/src/coding/eligible.rs", "types_agree_with_a_naive_comparison"))),
    (
        "gzip",
        By((
            "plugins/src/reply/gzip.rs",
            "nothing_is_compressed_twice_or_against_the_clients_will",
        )),
    ),
    (
        "response-rewrite",
        By((
            "plugins/src/reply/response_rewrite/filters.rs",
            "plain_text_is_replaced_as_the_standard_library_does",
        )),
    ),
    (
        "error-page",
        By((
            "plugins/src/reply/error_page.rs",
            "only_errors_of_the_gateway_with_a_page_are_replaced",
        )),
    ),
    ("echo", By(("plugins/src/reply/echo.rs", "the_body_stands_whole_between_the_texts"))),
    (
        "exit-transformer",
        By((
            "plugins/src/reply/exit_transformer.rs",
            "the_first_rule_that_names_the_status_decides",
        )),
    ),
    (
        "data-mask",
        By(("plugins/src/observe/data_mask/json.rs", "places_agree_with_trying_them_all")),
    ),
    (
        "prometheus",
        By(("plugins/src/observe/prometheus/series.rs", "every_duration_falls_into_one_bucket")),
    ),
    ("public-api", By(("plugins/src/transform/public_api.rs", "nothing_else_is_there"))),
    ("node-status", By(("plugins/src/observe/node_status.rs", "any_number_of_requests_is_told"))),
    ("server-info", By(("plugins/src/observe/server_info.rs", "the_time_since_the_start_is_told"))),
    ("http-logger", LOG),
    ("tcp-logger", LOG),
    ("syslog", LOG),
    ("udp-logger", LOG),
    ("file-logger", LOG),
];

/// What is wrong with a property, if anything is.
fn fault((file, name): Property) -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Some(format!("there is no file {file}"));
    };
    let Some((before, _)) = text.split_once(&format!("fn {name}(")) else {
        return Some(format!("{file} has no test `{name}`"));
    };
    // The block of properties that is open where the test stands.
    let block = before.rsplit_once("proptest! {").map(|(_, block)| block);
    let margin = |line: &str| line.len() - line.trim_start().len();
    let outer = before.lines().rev().find(|line| line.trim_end().ends_with("proptest! {"));
    let is_closed = |block: &str| {
        let end = format!("{}}}", " ".repeat(outer.map_or(0, margin)));
        block.lines().any(|line| line == end)
    };
    let Some(block) = block.filter(|block| !is_closed(block)) else {
        return Some(format!("`{name}` in {file} is no property"));
    };
    if !before.trim_end().ends_with("#[test]") {
        return Some(format!("`{name}` in {file} is not run"));
    }
    let stated = ["cases: ", "with_cases("].iter().find_map(|words| block.split_once(words));
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
        text[..end].replace('_', "").parse::<usize>().unwrap_or(0)
    };
    stated
        .filter(|(_, count)| digits(count) < CASES_MIN)
        .map(|_| format!("`{name}` in {file} has fewer than {CASES_MIN} cases"))
}

#[test]
fn every_matcher_has_the_property_that_is_named_for_it() {
    let faults: Vec<String> = MATCHERS
        .iter()
        .filter_map(|(what, property)| fault(*property).map(|fault| format!("{what}: {fault}")))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
    let names: HashSet<&str> = MATCHERS.iter().map(|(what, _)| *what).collect();
    assert_eq!(names.len(), MATCHERS.len(), "a matcher is named twice");
}

#[test]
fn every_plugin_has_a_property_or_says_why_it_compares_nothing() {
    let named: Vec<&str> = PLUGINS.iter().map(|(name, _)| *name).collect();
    let faults = PLUGINS.iter().filter_map(|(name, proof)| match proof {
        By(property) => fault(*property).map(|fault| format!("{name}: {fault}")),
        Nothing(why) => {
            let is_reason = why.len() > 15 && !why.contains('\n') && !why.ends_with('.');
            (!is_reason).then(|| format!("{name}: `{why}` is no reason in one line"))
        }
    });
    let faults: Vec<String> = faults
        .chain(CATALOGUE.iter().filter(|entry| !named.contains(&entry.name)).map(|entry| {
            format!("{} has neither a property nor a reason to have none", entry.name)
        }))
        .chain(
            named
                .iter()
                .filter(|name| bartizan_plugins::find(name).is_none())
                .map(|name| format!("there is no plugin `{name}`")),
        )
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(named.len(), CATALOGUE.len(), "a plugin is named twice");
}

#[test]
fn a_property_that_is_not_there_is_found_out() {
    for (property, expected) in [
        (("plugins/src/nothing.rs", "x"), "no file"),
        (("plugins/src/networks.rs", "no_such_test"), "no test"),
        (
            ("plugins/src/networks.rs", "addresses_and_networks_contain_what_they_say"),
            "no property",
        ),
        (("plugins/src/networks.rs", "bits"), "no property"),
        (
            ("plugins/src/inspect/waf/tests.rs", "what_is_refused_is_not_seen_by_the_upstream"),
            "fewer",
        ),
    ] {
        let fault = fault(property).unwrap_or_default();
        assert!(fault.contains(expected), "{property:?}: {fault}");
    }
}
