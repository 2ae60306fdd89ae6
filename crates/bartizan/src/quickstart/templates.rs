//! The configuration that the quickstart writes: one that is good to start from.

use std::fmt::Write;

/// The host that the example API is protected under.
pub(crate) const HOST: &str = "localhost";
/// Where the gateway listens, if the port is free.
pub(crate) const GATEWAY_PORT: u16 = 9443;
/// Where the example API listens, if the port is free.
pub(crate) const API_PORT: u16 = 9440;
/// The id of the example API among the upstreams.
pub(crate) const API_UPSTREAM: &str = "example-api";
/// Requests that a consumer may make of `/quotes/*` in a minute.
pub(crate) const QUOTES_MAX: u32 = 3;
/// The origin whose pages may call.
pub(crate) const OWN_ORIGIN: &str = "https://shop.example";
/// Largest request body.
pub(crate) const BODY_MAX: u64 = 64 * 1_024;
/// The consumers; each has a secret of its own.
pub(crate) const CONSUMERS: [&str; 3] = ["alice", "bob", "carol"];

/// `bartizan.yaml`.
pub(crate) fn node_file() -> String {
    format!(
        "\
# The node: where it listens, with which certificate, and what it writes. Routes are in
# resources.yaml. Both are yours to change; `bartizan quickstart` keeps what it finds.
# Check them with: bartizan check -c bartizan.yaml

listeners:
  - address: \"127.0.0.1:{GATEWAY_PORT}\"
    tls:
      minimum: \"1.2\"
      certificates:
        # For localhost and 127.0.0.1, signed by tls/ca.pem. `default` serves clients that name
        # no server.
        - {{ cert: tls/server.pem, key: tls/server.key, default: true }}

# Routes and consumers. A change takes effect at once, if it is in order; if not, the running
# configuration stays, and the log and /readyz say why.
store: {{ file: {{ path: resources.yaml }} }}

# What every route must have, or the configuration is refused. `schema`, `waf` and
# `upstream_tls` can be added.
security:
  require: [authentication, grant, limit]

# Sizes, counts and waits; what is not here has a default.
limits:
  body: {body}KiB

# Each refusal is an event here, with its precise cause; the client learns much less.
audit:
  sinks: [{{ file: {{ path: audit.jsonl }} }}]

# Each request is a line here.
access_log:
  sinks: [{{ file: {{ path: access.jsonl }} }}]

# /metrics for Prometheus, /healthz, /readyz. It asks for no credential: keep it private.
status:
  address: \"127.0.0.1:9091\"
",
        body = BODY_MAX / 1_024,
    )
}

/// `resources.yaml`.
pub(crate) fn resources_file() -> String {
    format!("{}{ROUTES}{}", head(), consumers())
        .replace("{OWN_ORIGIN}", OWN_ORIGIN)
        .replace("{QUOTES_MAX}", &QUOTES_MAX.to_string())
}

fn head() -> String {
    format!(
        "\
# What the gateway protects, in the resource model of Apache APISIX.

upstreams:
  # The example API, in the process of `bartizan quickstart`.
  - id: {API_UPSTREAM}
    nodes:
      - {{ host: 127.0.0.1, port: {API_PORT}, weight: 1 }}
"
    )
}

const ROUTES: &str = r#"
plugin_configs:
  # What all routes for customers share.
  - id: customer
    plugins:
      # Who calls: a token signed with the secret of a consumer below. What it permits: every scope
      # in this list is needed. Tokens that live longer than an hour are refused.
      jwt-auth:
        required_scopes: [orders]
        max_lifetime: 1h
      # Which pages may call from a browser: those of one origin. Others get no CORS headers.
      cors:
        allow_origins: "{OWN_ORIGIN}"
        allow_methods: "GET,POST"
        allow_headers: "authorization,content-type"
      # What no request should hold, whatever the API is: injection into SQL, commands, templates,
      # and pages. These are the gateway's own rules; `rule_set` names others.
      waf: { rule_set: builtin }

routes:
  # GET /orders/{customer}/{order}: customers see their own orders.
  - id: read-orders
    uri: /orders/*
    methods: [GET]
    upstream_id: example-api
    plugin_config_id: customer
    plugins:
      # Whose object it is: the first segment after /orders must be the consumer's name. With
      # tokens of an identity provider, say `equals: { claim: sub }`. (A claim is worth what its
      # signer is trusted with; here each consumer has a secret and could sign any claim.)
      object-guard:
        bindings:
          - object: { path: "/orders/{owner}/*", name: owner }
            equals: { consumer: true }
      # How often: refused requests count as well, so that trying out numbers costs.
      limit-count: { count: 100, time_window: 60, key: consumer_name }

  # POST /orders/{customer}/new: what is sent must fit the schema.
  - id: write-orders
    uri: /orders/*
    methods: [POST]
    upstream_id: example-api
    plugin_config_id: customer
    plugins:
      object-guard:
        bindings:
          - object: { path: "/orders/{owner}/*", name: owner }
            equals: { consumer: true }
      limit-count: { count: 20, time_window: 60, key: consumer_name }
      # A number is a number and a name is a name: nothing else gets through, whatever it says.
      request-validation:
        body_schema:
          type: object
          required: [item, quantity]
          additionalProperties: false
          properties:
            item: { type: string, pattern: "^[a-z][a-z -]{0,39}$" }
            quantity: { type: integer, minimum: 1, maximum: 100 }

  # GET /quotes/{item}: expensive to make, so only a few.
  - id: quotes
    uri: /quotes/*
    methods: [GET]
    upstream_id: example-api
    plugin_config_id: customer
    plugins:
      limit-count: { count: {QUOTES_MAX}, time_window: 60, key: consumer_name }

  # GET /reports/{name}: only from one network, besides everything else. 192.0.2.0/24 is reserved
  # for documentation, so nobody gets in; put your own network here.
  - id: reports
    uri: /reports/*
    methods: [GET]
    upstream_id: example-api
    plugin_config_id: customer
    plugins:
      ip-restriction: { whitelist: ["192.0.2.0/24"] }
      limit-count: { count: 100, time_window: 60, key: consumer_name }

  # GET /prices: open to everyone. That has to be said, with a reason.
  - id: prices
    uri: /prices
    methods: [GET]
    upstream_id: example-api
    plugins:
      anonymous-access: { reason: "the price list is public" }
      limit-count: { count: 100, time_window: 60, key: remote_addr }
"#;

fn consumers() -> String {
    let mut text = "
# Their secrets are in files that only you can read. `bartizan token --consumer alice
# --claim scope=orders` signs a token with one.
consumers:
"
    .to_owned();
    for name in CONSUMERS {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "  - username: {name}
    plugins:
      jwt-auth: {{ key: {name}, algorithm: HS256, secret: \"$file://secrets/{name}.secret\" }}
"
        );
    }
    text
}
