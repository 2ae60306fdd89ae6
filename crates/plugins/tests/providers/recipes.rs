//! What `docs/recipes/token-providers.md` says of providers, against doubles that answer as those
//! do: their metadata, their key sets with all that is in them, and their tokens.

use bartizan_plugins::jose::Algorithm;
use bartizan_testkit::{Answer, Gateway, START, Sent, TokenKey, run, with};
use serde_json::{Value, json};

use super::double::{Pages, serve, signed};

const PAGE: &str = include_str!("../../../../docs/recipes/token-providers.md");

/// What the gateway's secret is at a provider.
const SECRET: &str = "a secret of the gateway";

/// The configuration under a heading of the page.
fn recipe(heading: &str) -> String {
    let section = PAGE.split("\n## ").find(|section| section.lines().next() == Some(heading));
    let section = section.unwrap_or_else(|| panic!("no recipe `{heading}`"));
    let block = section.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    block.unwrap_or_else(|| panic!("no configuration in `{heading}`")).to_owned()
}

/// A gateway with a recipe in force. `pages` are `(server, path, body)`; `KEY` in a body is `jwk`.
fn play(heading: &str, jwk: &Value, pages: &[(&str, &str, Value)]) -> Gateway {
    let gateway =
        Gateway::builder().file("secrets/gateway", SECRET).resources("routes: []").start();
    let mut servers: Vec<(&str, Pages)> = Vec::new();
    for (server, path, body) in pages {
        let body = body.to_string().replace("\"KEY\"", &jwk.to_string());
        let at = servers.iter().position(|(known, _)| known == server);
        let at = at.unwrap_or_else(|| {
            servers.push((server, Pages::default()));
            servers.len() - 1
        });
        servers[at].1.lock().unwrap().insert((*path).to_owned(), Answer::json(200, &body));
    }
    for (server, pages) in &servers {
        serve(&gateway, server, pages);
    }
    let plugins = recipe(heading).replace('\n', "\n    ");
    let upstream = "upstream: {nodes: {\"127.0.0.1:8080\": 1}}";
    let resources = format!("routes:\n- uri: /*\n  {upstream}\n  plugins:\n    {plugins}\n");
    gateway.reload(&resources).unwrap_or_else(|refusal| panic!("{heading}: {refusal}"));
    gateway
}

/// A gateway with a recipe in force, and the pages of its provider.
struct Case {
    gateway: Gateway,
    key: TokenKey,
}

impl Case {
    /// `pages` are `(server, path, body)`; `KEY` in a body is the provider's key.
    fn of(heading: &str, kid: &str, pages: &[(&str, &str, Value)]) -> Self {
        let key = TokenKey::generate(Algorithm::Rs256);
        let mut jwk = key.jwk(kid);
        jwk["use"] = "sig".into();
        if heading.starts_with("Entra") {
            // Entra's keys do not say their algorithm.
            jwk.as_object_mut().unwrap().remove("alg");
            jwk["x5t"] = kid.into();
            jwk["x5c"] = json!(["MIIC"]);
        }
        let gateway = play(heading, &jwk, pages);
        Self { gateway, key }
    }

    /// The status that a token gets. Times that are not said are good.
    async fn status(&self, header: Value, claims: Value) -> u16 {
        let times = json!({"iat": START.as_secs() - 5, "exp": START.as_secs() + 300});
        let token = signed(&self.key, &header, &with(&times, &claims));
        self.gateway.get("/").bearer(&token).send().await.status()
    }
}

#[test]
fn keycloak_roles_of_the_realm_are_scopes_and_keys_for_encryption_are_passed_over() {
    run(async {
        let issuer = "https://keycloak.example/realms/shop";
        let certs = "/realms/shop/protocol/openid-connect/certs";
        let sealing = json!({
            "kid": "enc", "kty": "RSA", "alg": "RSA-OAEP", "use": "enc", "n": "AQAB", "e": "AQAB",
        });
        let metadata = json!({
            "issuer": issuer,
            "jwks_uri": format!("https://keycloak.example{certs}"),
            "token_endpoint": format!("{issuer}/protocol/openid-connect/token"),
            "mtls_endpoint_aliases": {"token_endpoint": "https://keycloak.example/x"},
        });
        let case = Case::of(
            "Keycloak",
            "kc-1",
            &[
                ("keycloak.example:443", "/realms/shop/.well-known/openid-configuration", metadata),
                ("keycloak.example:443", certs, json!({"keys": [sealing, "KEY"]})),
            ],
        );
        let header = json!({"kid": "kc-1", "typ": "JWT"});
        let claims = json!({
            "iss": issuer, "aud": ["orders", "account"], "sub": "f:1", "typ": "Bearer",
            "azp": "web", "realm_access": {"roles": ["offline_access", "orders-reader"]},
            "scope": "openid email",
        });
        assert_eq!(case.status(header.clone(), claims.clone()).await, 200);
        for (more, status) in [
            (json!({"realm_access": {"roles": ["offline_access"]}}), 403),
            (json!({"realm_access": null, "scope": "orders-reader"}), 403),
            (json!({"aud": "account"}), 401),
            (json!({"iss": "https://keycloak.example/realms/master"}), 401),
        ] {
            assert_eq!(case.status(header.clone(), with(&claims, &more)).await, status, "{more}");
        }
    });
}

#[test]
fn auth0_issuers_end_in_a_slash_and_permissions_are_a_list() {
    run(async {
        let issuer = "https://tenant.eu.auth0.com/";
        let metadata = json!({
            "issuer": issuer, "jwks_uri": "https://tenant.eu.auth0.com/.well-known/jwks.json",
        });
        let server = "tenant.eu.auth0.com:443";
        let case = Case::of(
            "Auth0",
            "a0",
            &[
                (server, "/.well-known/openid-configuration", metadata),
                (server, "/.well-known/jwks.json", json!({"keys": ["KEY"]})),
            ],
        );
        let header = json!({"kid": "a0", "typ": "at+jwt"});
        let claims = json!({
            "iss": issuer, "sub": "auth0|1", "client_id": "c", "jti": "1",
            "aud": ["https://orders.example", "https://tenant.eu.auth0.com/userinfo"],
            "scope": "openid", "permissions": ["read:orders"],
        });
        assert_eq!(case.status(header.clone(), claims.clone()).await, 200);
        for (more, status) in [
            (json!({"permissions": []}), 403),
            (json!({"permissions": null, "scope": "read:orders"}), 403),
            (json!({"iss": "https://tenant.eu.auth0.com"}), 401),
            (json!({"aud": "https://tenant.eu.auth0.com/userinfo"}), 401),
        ] {
            assert_eq!(case.status(header.clone(), with(&claims, &more)).await, status, "{more}");
        }
        // An identity token of the same tenant.
        assert_eq!(case.status(json!({"kid": "a0", "typ": "JWT"}), claims).await, 401);
    });
}

const TENANT: &str = "11111111-2222-3333-4444-555555555555";

#[test]
fn entra_v2_scopes_and_app_roles_grant_and_groups_that_are_elsewhere_do_not() {
    run(async {
        let issuer = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
        let server = "login.microsoftonline.com:443";
        let metadata = json!({
            "issuer": issuer,
            "jwks_uri": format!("https://login.microsoftonline.com/{TENANT}/discovery/v2.0/keys"),
        });
        let found = format!("/{TENANT}/v2.0/.well-known/openid-configuration");
        let keys = format!("/{TENANT}/discovery/v2.0/keys");
        let pages =
            [(server, found.as_str(), metadata), (server, keys.as_str(), json!({"keys": ["KEY"]}))];
        let case = Case::of("Entra ID, v2", "e2", &pages);
        let header = json!({"kid": "e2", "typ": "JWT", "x5t": "e2"});
        let claims = json!({
            "iss": issuer, "aud": "22222222-0000-0000-0000-000000000000", "ver": "2.0",
            "tid": TENANT, "scp": "Orders.Read openid", "groups": ["staff", "orders"],
        });
        assert_eq!(case.status(header.clone(), claims.clone()).await, 200);
        let roles = json!({"scp": null, "roles": ["Orders.Read"]});
        assert_eq!(case.status(header.clone(), with(&claims, &roles)).await, 200);
        // More groups than a token holds: it says where they are, which grants nothing.
        let overage = json!({
            "groups": null, "hasgroups": true, "_claim_names": {"groups": "src1"},
            "_claim_sources": {"src1": {"endpoint": "https://graph.windows.net/x"}},
        });
        for (more, status) in [
            (overage, 403),
            (json!({"scp": "Orders.Write"}), 403),
            (json!({"iss": format!("https://sts.windows.net/{TENANT}/")}), 401),
            (json!({"iss": "https://login.microsoftonline.com/other/v2.0"}), 401),
        ] {
            assert_eq!(case.status(header.clone(), with(&claims, &more)).await, status, "{more}");
        }
        let events = case.gateway.events();
        let tells = |event: &Value| event["detail"].to_string().contains("`groups` is elsewhere");
        assert_eq!(events.iter().filter(|event| tells(event)).count(), 1, "{events:#?}");
    });
}

#[test]
fn entra_v1_metadata_is_at_another_server_than_the_issuer() {
    run(async {
        let issuer = format!("https://sts.windows.net/{TENANT}/");
        let server = "login.microsoftonline.com:443";
        let metadata = json!({
            "issuer": issuer,
            "jwks_uri": "https://login.microsoftonline.com/common/discovery/keys",
        });
        let found = format!("/{TENANT}/.well-known/openid-configuration");
        let keys = json!({"keys": ["KEY"]});
        let pages = [(server, found.as_str(), metadata), (server, "/common/discovery/keys", keys)];
        let case = Case::of("Entra ID, v1", "e1", &pages);
        let header = json!({"kid": "e1", "typ": "JWT", "x5t": "e1"});
        let claims =
            json!({"iss": issuer, "aud": "api://orders", "ver": "1.0", "scp": "Orders.Read"});
        assert_eq!(case.status(header.clone(), claims.clone()).await, 200);
        let v2 = json!({"iss": format!("https://login.microsoftonline.com/{TENANT}/v2.0")});
        assert_eq!(case.status(header, with(&claims, &v2)).await, 401);
    });
}

#[test]
fn okta_scopes_are_a_list_called_scp() {
    run(async {
        let issuer = "https://tenant.okta.com/oauth2/default";
        let server = "tenant.okta.com:443";
        let metadata = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/v1/keys")});
        let case = Case::of(
            "Okta",
            "ok",
            &[
                (server, "/oauth2/default/.well-known/openid-configuration", metadata),
                (server, "/oauth2/default/v1/keys", json!({"keys": ["KEY"]})),
            ],
        );
        let header = json!({"kid": "ok"});
        let claims = json!({
            "iss": issuer, "aud": "api://default", "cid": "c", "sub": "a@b.example",
            "scp": ["openid", "orders:read"], "ver": 1,
        });
        assert_eq!(case.status(header.clone(), claims.clone()).await, 200);
        for (more, status) in [
            (json!({"scp": ["openid"]}), 403),
            (json!({"scp": "orders:reader"}), 403),
            (json!({"iss": "https://tenant.okta.com"}), 401),
        ] {
            assert_eq!(case.status(header.clone(), with(&claims, &more)).await, status, "{more}");
        }
    });
}

#[test]
fn google_publishes_its_keys_at_another_server() {
    run(async {
        let metadata = json!({
            "issuer": "https://accounts.google.com",
            "jwks_uri": "https://www.googleapis.com/oauth2/v3/certs",
        });
        let case = Case::of(
            "Google",
            "g",
            &[
                ("accounts.google.com:443", "/.well-known/openid-configuration", metadata),
                ("www.googleapis.com:443", "/oauth2/v3/certs", json!({"keys": ["KEY"]})),
            ],
        );
        let header = json!({"kid": "g", "typ": "JWT"});
        let claims = json!({
            "iss": "https://accounts.google.com", "aud": "1234.apps.googleusercontent.com",
            "sub": "117", "hd": "shop.example", "email_verified": true,
        });
        assert_eq!(case.status(header.clone(), claims.clone()).await, 200);
        for (more, status) in [
            (json!({"hd": "other.example"}), 403),
            (json!({"hd": null}), 403),
            (json!({"email_verified": "true"}), 403),
            (json!({"aud": "9.apps.googleusercontent.com"}), 401),
        ] {
            assert_eq!(case.status(header.clone(), with(&claims, &more)).await, status, "{more}");
        }
    });
}

#[test]
fn what_only_the_provider_can_read_is_asked_of_it() {
    run(async {
        let issuer = "https://keycloak.example/realms/shop";
        let ask = "/realms/shop/protocol/openid-connect/token/introspect";
        let metadata = json!({
            "issuer": issuer, "introspection_endpoint": format!("https://keycloak.example{ask}"),
        });
        let said = json!({
            "active": true, "iss": issuer, "aud": ["orders", "account"], "sub": "f:1",
            "typ": "Bearer", "token_type": "Bearer", "client_id": "web",
            "scope": "read:orders email", "exp": START.as_secs() + 300,
        });
        for (more, status) in [
            (json!({}), 200),
            (json!({"active": false}), 401),
            (json!({"aud": "account"}), 401),
            (json!({"iss": "https://keycloak.example/realms/master"}), 401),
            (json!({"exp": START.as_secs()}), 401),
            (json!({"scope": "email"}), 403),
        ] {
            let server = "keycloak.example:443";
            let found = "/realms/shop/.well-known/openid-configuration";
            let pages = [(server, found, metadata.clone()), (server, ask, with(&said, &more))];
            let heading = "Tokens that only the provider can read";
            let gateway = play(heading, &Value::Null, &pages);
            let answered = gateway.get("/").bearer("opaque").send().await;
            assert_eq!(answered.status(), status, "{more}");
            let sent = gateway.remotes().take();
            let [_, Sent::Request { is_tls: true, seen, .. }] = sent.as_slice() else {
                panic!("{sent:?}")
            };
            assert_eq!(seen.target, ask);
            assert_eq!(seen.body, b"token=opaque&token_type_hint=access_token");
            // `gateway:a%20secret%20of%20the%20gateway`
            let proof = "Basic Z2F0ZXdheTphJTIwc2VjcmV0JTIwb2YlMjB0aGUlMjBnYXRld2F5";
            assert_eq!(seen.field("authorization"), Some(proof));
        }
    });
}

#[test]
fn every_recipe_of_the_page_is_played() {
    let here = include_str!("recipes.rs");
    for section in PAGE.split("\n## ").filter(|section| section.contains("```yaml")) {
        let heading = section.lines().next().unwrap();
        assert!(here.contains(&format!("\"{heading}\"")), "nobody plays `{heading}`");
    }
}
