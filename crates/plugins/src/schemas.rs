//! The catalogue as the configuration sees it, and what is said of the plugins that Apache APISIX
//! has besides.

use std::collections::HashMap;
use std::sync::LazyLock;

use bartizan_chain::Unsupported;
use bartizan_config::{PluginSchemas, Slot, Standing};
use serde_json::Value;

use crate::{CATALOGUE, find};

/// The plugins of this build.
#[derive(Clone, Copy, Debug, Default)]
pub struct Catalogue;

impl Catalogue {
    /// The plugins of Apache APISIX that are not here, with what is said of each.
    pub fn elsewhere() -> impl Iterator<Item = (&'static str, Standing)> {
        ELSEWHERE.iter().flat_map(|(standing, names)| names.iter().map(|name| (*name, *standing)))
    }
}

impl PluginSchemas for Catalogue {
    fn names(&self) -> Vec<&'static str> {
        CATALOGUE.iter().map(|entry| entry.name).collect()
    }

    fn standing(&self, plugin: &str) -> Standing {
        if find(plugin).is_some() {
            return Standing::Known;
        }
        let group = ELSEWHERE.iter().find(|(_, names)| names.contains(&plugin));
        group.map_or(Standing::Unknown, |(standing, _)| *standing)
    }

    fn schema(&self, plugin: &str, slot: Slot) -> Option<&Value> {
        let entry = find(plugin)?;
        match slot {
            Slot::Config => Some(&entry.config_schema),
            Slot::Consumer => entry.consumer_schema.as_ref(),
            Slot::Metadata => entry.metadata_schema.as_ref(),
        }
    }

    fn special_fields(&self, plugin: &str, slot: Slot) -> &[(&'static str, Standing)] {
        let fields = find(plugin).and_then(|entry| SPECIAL_FIELDS.get(&(entry.name, slot)));
        fields.map_or(&[], Vec::as_slice)
    }

    fn is_authentication(&self, plugin: &str) -> bool {
        find(plugin).is_some_and(|entry| entry.is_authentication)
    }
}

type SpecialFields = HashMap<(&'static str, Slot), Vec<(&'static str, Standing)>>;

static SPECIAL_FIELDS: LazyLock<SpecialFields> = LazyLock::new(|| {
    let standings = |fields: &[(&'static str, Unsupported)]| {
        fields.iter().map(|(path, unsupported)| (*path, standing(*unsupported))).collect()
    };
    CATALOGUE
        .iter()
        .flat_map(|entry| {
            [
                ((entry.name, Slot::Config), standings(entry.unsupported)),
                ((entry.name, Slot::Consumer), standings(entry.unsupported_consumer)),
            ]
        })
        .collect()
});

fn standing(unsupported: Unsupported) -> Standing {
    match unsupported {
        Unsupported::NotYet(why) => Standing::NotYet(why),
        Unsupported::Refused(why) => Standing::Refused(why),
    }
}

/// The plugins of Apache APISIX 3.18 that are not here, by what is said of them.
const ELSEWHERE: &[(Standing, &[&str])] = &[
    (
        Standing::Refused(
            "it runs code from the configuration, so that whoever may write a route may do anything; `proxy-rewrite` and `response-rewrite` change messages, anything more belongs into a service",
        ),
        &["serverless-pre-function", "serverless-post-function", "inspect"],
    ),
    (
        Standing::Refused(
            "it hands requests to code outside of the gateway's checks; put a service in front of the upstream instead",
        ),
        &["ext-plugin-pre-req", "ext-plugin-post-req", "ext-plugin-post-resp"],
    ),
    (Standing::Refused("it is a template for authors of plugins"), &["example-plugin"]),
    (
        Standing::Refused(
            "bodies always stream, unless a plugin of the route reads them; leave it out",
        ),
        &["proxy-buffering", "proxy-control"],
    ),
    (Standing::NotYet("there is no export of traces"), &["zipkin", "skywalking", "opentelemetry"]),
    (Standing::NotYet("HTTP/2 carries many requests on one connection"), &["batch-requests"]),
    (
        Standing::NotYet("`waf` inspects requests by its own rules, and asks nobody outside"),
        &["chaitin-waf"],
    ),
    (
        Standing::NotYet(
            "`jwt-auth` with `providers` verifies the tokens of a provider; there is no login flow",
        ),
        &["saml-auth", "cas-auth", "authz-casdoor", "dingtalk-auth", "feishu-auth"],
    ),
    (
        Standing::NotYet("`key-auth` and `jwt-auth` are there"),
        &["wolf-rbac", "ldap-auth-advanced", "ldap-auth"],
    ),
    (
        Standing::NotYet(
            "`consumer-restriction`, `object-guard` and the claims that `jwt-auth` requires decide what a caller may do",
        ),
        &["authz-casbin", "authz-keycloak"],
    ),
    (
        Standing::NotYet(
            "the access log and the audit log are written by the node; send them on with a collector",
        ),
        &[
            "error-log-logger",
            "loki-logger",
            "elasticsearch-logger",
            "loggly",
            "splunk-hec-logging",
            "skywalking-logger",
            "google-cloud-logging",
            "sls-logger",
            "kafka-logger",
            "rocketmq-logger",
            "clickhouse-logger",
            "tencent-cloud-cls",
            "lago",
        ],
    ),
    (Standing::NotYet("nothing caches answers"), &["proxy-cache", "graphql-proxy-cache"]),
    (Standing::NotYet("bodies are not transformed"), &["body-transformer"]),
    (
        Standing::NotYet("nothing is known of language models"),
        &[
            "ai-request-rewrite",
            "ai-prompt-guard",
            "ai-prompt-template",
            "ai-prompt-decorator",
            "ai-rag",
            "ai-proxy-multi",
            "ai-proxy",
            "ai-cache",
            "ai-aws-content-moderation",
            "ai-rate-limiting",
            "ai-aliyun-content-moderation",
            "ai-lakera-guard",
        ],
    ),
    (Standing::NotYet("each request goes to one upstream"), &["proxy-mirror", "traffic-split"]),
    (
        Standing::NotYet("use `_meta.filter` of other plugins, or several routes"),
        &["traffic-label"],
    ),
    (
        Standing::NotYet("upstreams speak HTTP or gRPC"),
        &["mcp-bridge", "kafka-proxy", "dubbo-proxy", "http-dubbo"],
    ),
    (
        Standing::NotYet("`grpc-transcode` lets clients that do not speak gRPC call it with JSON"),
        &["grpc-web"],
    ),
    (
        Standing::NotYet("`graphql-limit-count` prices the queries that clients send"),
        &["degraphql"],
    ),
    (Standing::NotYet("metrics are scraped by Prometheus; see `prometheus`"), &["datadog"]),
    (Standing::NotYet("logs are rotated by the operating system"), &["log-rotate"]),
    (Standing::NotYet("TLS is as RFC 8446 has it"), &["gm"]),
    (Standing::NotYet("certificates are sent without a stapled answer"), &["ocsp-stapling"]),
    (
        Standing::NotYet("upstreams are addresses; functions are reached as upstreams"),
        &["aws-lambda", "azure-functions", "openwhisk", "openfunction"],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_plugin_of_apisix_has_one_answer() {
        let here = CATALOGUE.iter().map(|entry| entry.name);
        let elsewhere = || Catalogue::elsewhere().map(|(name, _)| name);
        let mut seen = HashSet::new();
        for name in here.chain(elsewhere()) {
            assert!(seen.insert(name), "{name} twice");
        }
        // Plugins of ours that Apache APISIX does not have.
        let ours = [
            "any-authenticated",
            "anonymous-access",
            "auth-throttle",
            "geo-restriction",
            "http-signature",
            "identity-forward",
            "mtls-auth",
            "oauth-introspection",
            "object-guard",
            "waf",
        ];
        let theirs = seen.iter().filter(|name| !ours.contains(name)).count();
        assert_eq!(theirs, 119);
        for name in elsewhere() {
            let (Standing::NotYet(why) | Standing::Refused(why)) = Catalogue.standing(name) else {
                panic!("{name} has no answer");
            };
            assert!(!why.ends_with('.') && why.len() > 10, "{name}: {why}");
        }
        assert_eq!(Catalogue.standing("jwt-aut"), Standing::Unknown);
    }

    #[test]
    fn code_in_configuration_is_refused() {
        for name in ["serverless-pre-function", "serverless-post-function", "ext-plugin-pre-req"] {
            assert!(matches!(Catalogue.standing(name), Standing::Refused(_)), "{name}");
        }
    }

    #[test]
    fn fields_that_are_not_there_have_an_answer_of_their_own() {
        let fields = Catalogue.special_fields("limit-count", Slot::Config);
        assert!(fields.iter().any(|(path, _)| *path == "redis_host"));
        assert!(Catalogue.special_fields("nothing", Slot::Config).is_empty());
    }
}
