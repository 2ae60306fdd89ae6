//! How routes are looked up.

/// In which order host and path choose a route, and whether paths have parameters. The names are
/// those of Apache APISIX.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
pub enum RouterMode {
    /// The host first, then the path: a route of the host comes before longer paths of routes
    /// without hosts.
    #[serde(rename = "radixtree_host_uri")]
    #[default]
    HostUri,
    /// The path first; hosts are a condition. Of routes with the same path and priority the one of
    /// the narrower host is tried first.
    #[serde(rename = "radixtree_uri")]
    Uri,
    /// The path first, with parameters: `/users/:id/*rest`, whose texts are the variables
    /// `uri_param_id` and `uri_param_rest`.
    #[serde(rename = "radixtree_uri_with_parameter")]
    UriWithParameter,
}

impl RouterMode {
    /// True where `:id` in a path is a parameter.
    pub fn has_parameters(self) -> bool {
        self == Self::UriWithParameter
    }

    /// True where the host is looked at before the path.
    pub fn is_host_first(self) -> bool {
        self == Self::HostUri
    }
}
