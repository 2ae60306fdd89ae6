//! Fields of Apache APISIX that have an answer of their own.

use crate::plugin_schemas::Standing::{self, NotYet, Refused};
use crate::resources::ResourceKind;
use crate::schema::Special;

const CODE: &str = "it is code in the configuration; use plugins, `vars` and `_meta.filter`";

const ROUTE: &[(&str, Standing)] =
    &[("script", Refused(CODE)), ("script_id", Refused(CODE)), ("filter_func", Refused(CODE))];

const SERVICE: &[(&str, Standing)] = &[("script", Refused(CODE))];

const DISCOVERY: Standing = NotYet("name the servers in `nodes`; names are resolved by DNS");

const UPSTREAM: &[(&str, Standing)] = &[
    ("checks", NotYet("servers are not probed; connections that fail are tried elsewhere")),
    ("service_name", DISCOVERY),
    ("discovery_type", DISCOVERY),
    ("discovery_args", DISCOVERY),
    ("nodes[].metadata", NotYet("nothing reads it")),
];

const META: &[(&str, Standing)] = &[("pre_function", Refused(CODE))];

/// Lists of a declarative document that are not read yet.
pub(crate) const COLLECTIONS_NOT_YET: &[(&str, &str)] =
    &[("stream_routes", "streams are not proxied"), ("protos", "gRPC is not transcoded")];

/// The special fields of a resource.
pub(crate) fn specials(kind: ResourceKind) -> Vec<Special> {
    let (own, has_upstream): (&[(&str, Standing)], bool) = match kind {
        ResourceKind::Route => (ROUTE, true),
        ResourceKind::Service => (SERVICE, true),
        ResourceKind::Upstream => (UPSTREAM, false),
        _ => (&[], false),
    };
    let upstream: &[(&str, Standing)] = if has_upstream { UPSTREAM } else { &[] };
    let owner = format!("{} {}", article(kind), kind.noun());
    let own = own.iter().map(|(path, standing)| Special {
        path: (*path).to_owned(),
        owner: owner.clone(),
        standing: *standing,
    });
    let inline = upstream.iter().map(|(path, standing)| Special {
        path: format!("upstream.{path}"),
        owner: "an upstream".to_owned(),
        standing: *standing,
    });
    own.chain(inline).collect()
}

/// The special fields of `_meta`.
pub(crate) fn meta_specials() -> Vec<Special> {
    META.iter()
        .map(|(path, standing)| Special {
            path: (*path).to_owned(),
            owner: "`_meta`".to_owned(),
            standing: *standing,
        })
        .collect()
}

fn article(kind: ResourceKind) -> &'static str {
    if kind == ResourceKind::Upstream { "an" } else { "a" }
}
