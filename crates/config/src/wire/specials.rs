//! Fields of Apache APISIX that have an answer of their own.

use crate::plugin_schemas::Standing::{self, Refused};
use crate::resources::ResourceKind;
use crate::schema::Special;

const CODE: &str = "it is code in the configuration; use plugins, `vars` and `_meta.filter`";

const ROUTE: &[(&str, Standing)] =
    &[("script", Refused(CODE)), ("script_id", Refused(CODE)), ("filter_func", Refused(CODE))];

const SERVICE: &[(&str, Standing)] = &[("script", Refused(CODE))];

const META: &[(&str, Standing)] = &[("pre_function", Refused(CODE))];

/// Lists of a declarative document that are not read yet.
pub(crate) const COLLECTIONS_NOT_YET: &[(&str, &str)] =
    &[("stream_routes", "streams are not proxied")];

/// The special fields of a resource.
pub(crate) fn specials(kind: ResourceKind) -> Vec<Special> {
    let own: &[(&str, Standing)] = match kind {
        ResourceKind::Route => ROUTE,
        ResourceKind::Service => SERVICE,
        _ => &[],
    };
    let owner = format!("a {}", kind.noun());
    let special = |(path, standing): &(&str, Standing)| Special {
        path: (*path).to_owned(),
        owner: owner.clone(),
        standing: *standing,
    };
    own.iter().map(special).collect()
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
