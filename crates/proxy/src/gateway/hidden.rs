//! What logs hide of requests, as far as the configuration says it.

use bartizan_audit::Redactor;
use bartizan_config::Resources;

/// Hides the fields from which authentication plugins take credentials under names of their own.
pub(super) fn redactor(known: Redactor, resources: &Resources) -> Redactor {
    let of_routes = resources.routes.iter().flat_map(|route| &route.plugins);
    let of_services = resources.services.iter().flat_map(|service| &service.plugins);
    let of_configs = resources.plugin_configs.iter().flat_map(|config| &config.plugins);
    let of_rules = resources.global_rules.iter().flat_map(|rule| &rule.plugins);
    let uses = of_routes.chain(of_services).chain(of_configs).chain(of_rules);
    let names = uses
        .filter(|used| bartizan_plugins::find(&used.name).is_some_and(|p| p.is_authentication))
        .flat_map(|used| credential_fields(&used.config));
    known.with_secret_fields(names)
}

/// The fields of a configuration that name a header, those of plugins inside of it included.
fn credential_fields(config: &serde_json::Value) -> Vec<&str> {
    let inside = config.get("auth_plugins").and_then(serde_json::Value::as_array);
    let inside = inside.into_iter().flatten().filter_map(serde_json::Value::as_object);
    let inside = inside.flat_map(serde_json::Map::values);
    let names = inside
        .chain([config])
        .flat_map(|config| ["header", "forward_header"].into_iter().filter_map(|k| config.get(k)));
    names.filter_map(serde_json::Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn headers_that_carry_credentials_are_found_in_plugins_inside_of_others() {
        let config = json!({
            "header": "x-a",
            "forward_header": "x-c",
            "auth_plugins": [{ "key-auth": { "header": "x-b" } }, { "basic-auth": {} }, 7],
        });
        assert_eq!(credential_fields(&config), ["x-b", "x-a", "x-c"]);
        assert_eq!(credential_fields(&json!({ "header": 1 })), Vec::<&str>::new());
    }
}
