use serde_json::{Value, json};

use super::*;
use crate::fixture::Bench;

const APP: &str = "https://app.example.com";

fn plugin(config: &Value) -> Cors {
    Bench::new().compile(config).unwrap()
}

fn request(origin: Option<&str>) -> Fields {
    let mut fields = Fields::new();
    if let Some(origin) = origin {
        fields.append("origin", origin.as_bytes().to_vec());
    }
    fields
}

/// The fields that an answer to this request gets, in order.
fn answered(
    plugin: &Cors,
    request: &Fields,
    upstream: &[(&'static str, &'static str)],
) -> Vec<String> {
    let mut answer = Fields::new();
    for &(name, value) in upstream {
        answer.append(name, value);
    }
    plugin.apply(&plugin.decide(request), &mut answer);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    answer.iter().map(|field| format!("{}: {}", text(field.name), text(field.value))).collect()
}

#[test]
fn an_allowed_origin_gets_every_header() {
    let plugin = plugin(&json!({
        "allow_origins": "https://app.example.com,https://b.example",
        "allow_methods": "GET, PUT", "allow_headers": "Authorization", "expose_headers": "X-Total",
        "max_age": 600, "allow_credential": true,
    }));
    assert_eq!(
        answered(&plugin, &request(Some(APP)), &[]),
        [
            "vary: Origin",
            "access-control-allow-origin: https://app.example.com",
            "access-control-allow-methods: GET,PUT",
            "access-control-allow-headers: Authorization",
            "access-control-max-age: 600",
            "access-control-expose-headers: X-Total",
            "access-control-allow-credentials: true",
        ]
    );
}

#[test]
fn what_is_left_out_opens_nothing() {
    let plugin = plugin(&json!({ "allow_origins": APP }));
    assert_eq!(
        answered(&plugin, &request(Some(APP)), &[]),
        [
            "vary: Origin",
            "access-control-allow-origin: https://app.example.com",
            "access-control-allow-methods: GET,HEAD,POST",
            "access-control-max-age: 5",
        ]
    );
}

#[test]
fn compatibility_mode_has_apisix_defaults_and_status() {
    let plugin: Cors = Bench::apisix().compile(&json!({})).unwrap();
    assert_eq!(plugin.preflight, StatusCode::OK);
    assert_eq!(
        answered(&plugin, &request(None), &[]),
        [
            "access-control-allow-origin: *",
            "access-control-allow-methods: *",
            "access-control-allow-headers: *",
            "access-control-max-age: 5",
        ]
    );
    assert_eq!(
        Bench::new().compile::<Cors>(&json!({ "allow_origins": "*" })).unwrap().preflight,
        StatusCode::NO_CONTENT
    );
}

#[test]
fn compatibility_mode_allows_no_one_besides_patterns_and_metadata() {
    let mut bench = Bench::apisix();
    let config = json!({ "allow_origins": "*", "allow_origins_by_regex": [r"https://.*\.test"] });
    let by_pattern: Cors = bench.compile(&config).unwrap();
    bench.metadata = Some(json!({ "allow_origins": { "apps": "https://a.test" } }));
    let config = json!({ "allow_origins_by_metadata": ["apps"] });
    let by_metadata: Cors = bench.compile(&config).unwrap();
    for plugin in [by_pattern, by_metadata] {
        assert!(plugin.origins.answer(Some(b"https://a.test")).is_some());
        assert!(plugin.origins.answer(Some(b"https://evil.example")).is_none());
    }
}

#[test]
fn another_origin_gets_nothing_even_from_the_upstream() {
    let plugin = plugin(&json!({ "allow_origins": APP }));
    let upstream = [
        ("content-type", "text/plain"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-private-network", "true"),
    ];
    for origin in [None, Some("https://app.example.com.evil.net"), Some("null"), Some("")] {
        assert_eq!(
            answered(&plugin, &request(origin), &upstream),
            ["content-type: text/plain", "vary: Origin"],
            "{origin:?}"
        );
    }
}

#[test]
fn an_origin_sent_twice_is_none() {
    let mut twice = request(Some(APP));
    twice.append("origin", APP);
    assert_eq!(answered(&plugin(&json!({ "allow_origins": APP })), &twice, &[]), ["vary: Origin"]);
}

#[test]
fn patterns_match_the_whole_origin() {
    let config =
        json!({ "allow_origins_by_regex": [r"https://[a-z]+\.example\.com", "http://x|y"] });
    let plugin = plugin(&config);
    for (origin, expected) in [
        ("https://app.example.com", true),
        ("https://app.example.com.evil.net", false),
        ("https://evil.net/https://app.example.com", false),
        ("https://app.example.com:8443", false),
        ("http://x", true),
        ("http://xy", false),
        ("y", true),
    ] {
        assert_eq!(plugin.origins.answer(Some(origin.as_bytes())).is_some(), expected, "{origin}");
    }
}

#[test]
fn metadata_adds_to_the_list() {
    let mut bench = Bench::new();
    bench.metadata = Some(json!({ "allow_origins": { "partners": "https://p.example" } }));
    let config = json!({ "allow_origins": APP, "allow_origins_by_metadata": ["partners"] });
    let plugin: Cors = bench.compile(&config).unwrap();
    for (origin, expected) in
        [(APP, true), ("https://p.example", true), ("https://q.example", false)]
    {
        assert_eq!(plugin.origins.answer(Some(origin.as_bytes())).is_some(), expected, "{origin}");
    }
}

#[test]
fn two_stars_echo_what_is_asked_for() {
    let all = json!({ "allow_origins": "**", "allow_methods": "**", "allow_headers": "**" });
    let plugin = plugin(&all);
    let mut asking = request(Some(APP));
    asking.append("access-control-request-headers", "x-a, x-b");
    let fields = answered(&plugin, &asking, &[]);
    assert!(fields.contains(&"access-control-allow-origin: https://app.example.com".to_owned()));
    assert!(fields.contains(&format!("access-control-allow-methods: {ALL_METHODS}")));
    assert!(fields.contains(&"access-control-allow-headers: x-a, x-b".to_owned()));
    let silent = answered(&plugin, &request(Some(APP)), &[]);
    assert!(!silent.iter().any(|field| field.starts_with("access-control-allow-headers")));
    assert_eq!(answered(&plugin, &request(None), &[]), ["vary: Origin"]);
}

#[test]
fn a_preflight_has_origin_and_method() {
    let mut preflight = request(Some(APP));
    assert!(!is_preflight(&Method::OPTIONS, &preflight));
    preflight.append("access-control-request-method", "PUT");
    assert!(is_preflight(&Method::OPTIONS, &preflight));
    assert!(!is_preflight(&Method::GET, &preflight));
    preflight.remove("origin");
    assert!(!is_preflight(&Method::OPTIONS, &preflight));
}

#[test]
fn timing_is_shown_to_whom_it_is_allowed() {
    let config = json!({ "allow_origins": "*", "timing_allow_origins": APP });
    let listed = plugin(&config);
    let upstream = [("timing-allow-origin", "*"), ("vary", "accept, origin")];
    let fields = answered(&listed, &request(Some(APP)), &upstream);
    assert_eq!(
        fields[..2],
        ["vary: accept, origin", "timing-allow-origin: https://app.example.com"]
    );
    let fields = answered(&listed, &request(Some("https://x.example")), &upstream);
    assert_eq!(fields[..2], ["vary: accept, origin", "access-control-allow-origin: *"]);
    let config = json!({ "allow_origins": "*", "timing_allow_origins_by_regex": ["https://.*"] });
    let fields = answered(&plugin(&config), &request(Some(APP)), &[]);
    assert_eq!(fields[..2], ["timing-allow-origin: https://app.example.com", "vary: Origin"]);
}

#[test]
fn credentials_for_everyone_must_be_declared() {
    for origins in [
        json!({ "allow_origins": "**" }),
        json!({ "allow_origins": "null" }),
        json!({ "allow_origins": "https://a.example,null" }),
        json!({ "allow_origins_by_regex": [".*"] }),
        json!({ "allow_origins_by_regex": ["https?://.+"] }),
    ] {
        let mut config = origins.clone();
        config["allow_credential"] = true.into();
        let fault = Bench::new().fault::<Cors>(&config);
        assert!(fault.help.unwrap().contains("danger_allow_any_origin_with_credentials"));
        config["danger_allow_any_origin_with_credentials"] = true.into();
        plugin(&config);
        plugin(&origins);
    }
}

#[test]
fn a_star_and_credentials_exclude_each_other() {
    for key in [
        "allow_origins",
        "allow_methods",
        "allow_headers",
        "expose_headers",
        "timing_allow_origins",
    ] {
        let mut config = json!({
            "allow_origins": APP, "allow_credential": true,
            "danger_allow_any_origin_with_credentials": true,
        });
        config[key] = "*".into();
        let fault = Bench::new().fault::<Cors>(&config);
        assert_eq!(fault.problem, "`*` cannot stand beside `allow_credential: true`", "{key}");
    }
    Bench::apisix().fault::<Cors>(&json!({ "allow_origins": APP, "allow_credential": true }));
}

#[test]
fn what_cannot_work_does_not_compile() {
    for (config, problem) in [
        (json!({}), "needs `allow_origins`"),
        (json!({ "allow_origins": "https://a.example/" }), "has a path"),
        (json!({ "allow_origins": "https://*.example" }), "has a `*` in it"),
        (json!({ "allow_origins": "https://A.example" }), "has capital letters"),
        (json!({ "allow_origins": "https://a.example,b" }), "`b` is no origin"),
        (json!({ "allow_origins": APP, "allow_origins_by_regex": ["x"] }), "there is also"),
        (json!({ "allow_origins_by_regex": ["a(?=b)"] }), "needs backtracking"),
        (json!({ "allow_origins_by_regex": ["a)|(b"] }), "is not a regular expression"),
        (json!({ "allow_origins_by_metadata": ["x"] }), "no origins called `x`"),
        (json!({ "allow_origins": APP, "allow_methods": "GET;PUT" }), "`GET;PUT` is no name"),
        (json!({ "allow_origins": APP, "allow_headers": "A,,B" }), "`` is no name"),
        (json!({ "allow_origins": APP, "expose_headers": "a\r\nb" }), "is no name"),
    ] {
        let fault = Bench::new().fault::<Cors>(&config);
        assert!(fault.problem.contains(problem), "{config}: {}", fault.problem);
    }
}

proptest::proptest! {
    #[test]
    fn an_origin_that_is_not_listed_never_gets_a_header(origin in "(https?://)?[a-z.:/]{0,24}") {
        let plugin = plugin(&json!({ "allow_origins": "https://a.example,https://b.example" }));
        proptest::prop_assume!(!["https://a.example", "https://b.example"].contains(&origin.as_str()));
        let fields = answered(&plugin, &request(Some(&origin)), &[]);
        proptest::prop_assert_eq!(fields, ["vary: Origin"]);
    }
}

/// Whether a pattern of the property fits an origin as a whole, without an engine for patterns.
fn fits(pattern: &str, origin: &str) -> bool {
    if let Some(rest) = pattern.strip_prefix(".*") {
        return (0..=origin.len()).any(|skip| fits(rest, &origin[skip..]));
    }
    let pattern = pattern.strip_prefix('\\').unwrap_or(pattern);
    match pattern.chars().next() {
        None => origin.is_empty(),
        Some(next) => origin.strip_prefix(next).is_some_and(|rest| fits(&pattern[1..], rest)),
    }
}

proptest::proptest! {
    #[test]
    fn origins_agree_with_a_naive_comparison(
        listed in proptest::collection::vec("https?://(a|b|aa)\\.(test|example)(:81)?", 0..3),
        patterns in proptest::collection::vec(
            r"https://(\.\*|\.\*\\\.|)(a|b|aa)\\\.(test|example|\.\*)", 0..3),
        origin in "(https?://(x\\.)?(a|b|aa|A)[.x](test|example)(:81|:80|/|\\.evil)?|null)",
        kind in 0_u8..8,
    ) {
        proptest::prop_assume!(kind < 2 || !listed.is_empty() || !patterns.is_empty());
        let mut config = match kind {
            0 => json!({ "allow_origins": "*" }),
            1 => json!({ "allow_origins": "**" }),
            _ if listed.is_empty() => json!({}),
            _ => json!({ "allow_origins": listed.join(",") }),
        };
        // A list and patterns exclude each other.
        let uses_patterns = kind > 1 && listed.is_empty();
        if uses_patterns {
            config["allow_origins_by_regex"] = json!(patterns);
        }
        let naive = match kind {
            0 => Some("*".to_owned()),
            1 => Some(origin.clone()),
            _ if uses_patterns => patterns.iter().any(|own| fits(own, &origin)).then(|| origin.clone()),
            _ => listed.contains(&origin).then(|| origin.clone()),
        };
        let answer = plugin(&config).origins.answer(Some(origin.as_bytes()));
        let answer = answer.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        proptest::prop_assert_eq!(answer, naive, "{}", config);
    }
}

#[test]
fn a_pattern_that_fits_whoever_comes_is_everyone() {
    for (pattern, is_everyone) in [
        (r"https://[\w.]+", true),
        (r"https://[a-z.]+(:\d+)?", true),
        (r"https?://[a-z]+\.[a-z]+", true),
        (r"http://.*", true),
        (r"https://.*:\d+", true),
        (r"https://[^.]+", true),
        (r"https://.*\.com", true),
        (r"https://[a-z-]+\.org|https://[a-z0-9]+\.org", true),
        (r"https://\d+\.\d+\.\d+\.\d+", true),
        (r"http://\[.*\]", true),
        (r"https://.*example\.com", false),
        (r"https://[\w.-]+\.example\.com(:\d+)?", false),
        (r"https?://(app|admin)\.test", false),
        (r"http://localhost(:\d+)?", false),
        (r"http://192\.168\.\d+\.\d+", false),
    ] {
        let plugin = plugin(&json!({ "allow_origins_by_regex": [pattern] }));
        assert_eq!(plugin.origins.admit_strangers(), is_everyone, "{pattern}");
        let is_open = is_everyone || pattern == r"https://.*example\.com";
        assert_eq!(plugin.opens_websockets, !is_open, "{pattern}");
    }
}
