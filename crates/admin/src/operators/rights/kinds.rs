//! What there is to act on.

use bartizan_config::ResourceKind;

/// Where an object says which hosts it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    /// `host` and `hosts`, else what it inherits; and `uri` and `uris`.
    HostsAndPaths,
    /// `hosts`, which its routes inherit.
    Hosts,
    /// `sni` and `snis`.
    Names,
    /// Nowhere.
    Nothing,
}

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) name: &'static str,
    pub(super) serves: Serves,
    /// Whether its objects have labels.
    pub(super) is_labelled: bool,
    /// Whether only an editor whose confinement names it may change it: it is about all routes, or
    /// about keys.
    pub(super) is_explicit: bool,
}

const fn resource(name: &'static str, serves: Serves) -> Resource {
    Resource { name, serves, is_labelled: true, is_explicit: false }
}

const fn explicit(name: &'static str) -> Resource {
    Resource { name, serves: Serves::Nothing, is_labelled: false, is_explicit: true }
}

const RESOURCES: [Resource; 14] = [
    resource("routes", Serves::HostsAndPaths),
    resource("services", Serves::Hosts),
    resource("upstreams", Serves::Nothing),
    resource("consumers", Serves::Nothing),
    // It belongs to whom its consumer belongs to.
    Resource {
        name: "credentials",
        serves: Serves::Nothing,
        is_labelled: false,
        is_explicit: false,
    },
    // It belongs to whom its service belongs to.
    Resource {
        name: "graphql_cost_decorations",
        serves: Serves::Nothing,
        is_labelled: false,
        is_explicit: false,
    },
    resource("consumer_groups", Serves::Nothing),
    resource("plugin_configs", Serves::Nothing),
    resource("protos", Serves::Nothing),
    resource("stream_routes", Serves::Nothing),
    Resource { name: "ssls", serves: Serves::Names, is_labelled: true, is_explicit: true },
    explicit("global_rules"),
    explicit("plugin_metadata"),
    explicit("secrets"),
];

/// The kinds of resources that an editor can be confined to.
pub const RESOURCE_KINDS: [&str; 14] = {
    let mut names = [""; 14];
    let mut at = 0;
    while at < 14 {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, of equal lengths")]
        {
            names[at] = RESOURCES[at].name;
        }
        at += 1;
    }
    names
};

/// The kinds that an editor may change only if its confinement names them.
pub const EXPLICIT_KINDS: [&str; 4] = ["ssls", "global_rules", "plugin_metadata", "secrets"];

/// What a word of the Admin API's paths is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A kind of resource.
    Resource(Resource),
    /// All resources in one document.
    Whole,
    /// What resources and plugins look like, and whether a document is in order.
    Schema,
    /// Which plugins there are.
    Plugins,
    /// How the node is.
    State,
    /// What happened.
    Past,
    /// Anything else.
    Unknown,
}

/// The kind that objects of a kind stand below.
pub(super) fn parent(kind: &str) -> Option<&'static str> {
    let kind = ResourceKind::ALL.into_iter().find(|known| known.collection() == kind)?;
    kind.parent().map(|(parent, _)| parent.collection())
}

/// What a word of the Admin API's paths is. Stores have credentials among the consumers, with an
/// id of `username/credentials/id`, and what fields cost among the services.
pub(super) fn sort(kind: &str, id: Option<&str>) -> Sort {
    let is_below = id.is_some_and(|id| id.contains('/'));
    let mut below = ResourceKind::ALL.into_iter().filter(|_| is_below);
    let below = below.find(|below| parent(below.collection()) == Some(kind));
    let kind = below.map_or(kind, |below| below.collection());
    match kind {
        "configs" => Sort::Whole,
        "schema" => Sort::Schema,
        "plugins" => Sort::Plugins,
        "status" | "quarantine" | "coverage" | "denials" => Sort::State,
        "revisions" | "events" => Sort::Past,
        kind => RESOURCES
            .into_iter()
            .find(|resource| resource.name == kind)
            .map_or(Sort::Unknown, Sort::Resource),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_explicit_kinds_are_those_of_the_table() {
        let of_table = RESOURCES.iter().filter(|resource| resource.is_explicit);
        let of_table: Vec<&str> = of_table.map(|resource| resource.name).collect();
        assert_eq!(of_table, EXPLICIT_KINDS);
        assert_eq!(RESOURCE_KINDS[13], "secrets");
    }
}
