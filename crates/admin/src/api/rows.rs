//! The endpoints that are no resources.

use http::Method;

use super::table::Call;

/// Where the paths of Apache APISIX begin.
pub(super) const ADMIN: &str = "/apisix/admin";
/// Where ours begin.
const OWN: &str = "/bartizan/v1";

/// The rows that are no resources: method, path, call, what it does, query, statuses.
pub(super) type Row = (
    Method,
    &'static str,
    &'static str,
    Call,
    &'static str,
    &'static [&'static str],
    &'static [u16],
);

pub(super) const ROWS: &[Row] = &[
    (Method::HEAD, ADMIN, "", Call::Live, "Tells that the API lives; needs no key.", &[], &[200]),
    (
        Method::GET,
        ADMIN,
        "/plugins/list",
        Call::PluginList,
        "The names of all plugins, the highest priority first.",
        &["subsystem"],
        &[200],
    ),
    (
        Method::GET,
        ADMIN,
        "/plugins",
        Call::PluginsAll,
        "All plugins with their schemas; only with `all=true`.",
        &["all", "subsystem"],
        &[200, 404],
    ),
    (
        Method::PUT,
        ADMIN,
        "/plugins/reload",
        Call::PluginReload,
        "Does nothing: the plugins are part of the program.",
        &[],
        &[200],
    ),
    (
        Method::GET,
        ADMIN,
        "/plugins/{name}",
        Call::PluginSchema,
        "The JSON Schema of a plugin's configuration.",
        &["subsystem", "schema_type"],
        &[200, 404],
    ),
    (
        Method::GET,
        ADMIN,
        "/schema/plugins/{name}",
        Call::PluginSchemaOf,
        "The same.",
        &["subsystem", "schema_type"],
        &[200, 404],
    ),
    (
        Method::GET,
        ADMIN,
        "/schema/{resource}",
        Call::ResourceSchema,
        "The JSON Schema of a kind of resource.",
        &[],
        &[200, 404],
    ),
    (
        Method::POST,
        ADMIN,
        "/schema/validate/{resource}",
        Call::ValidateObject,
        "Judges an object by the schema of its kind; plugins are not looked at, references stand \
         for values that are not known.",
        &[],
        &[200, 400, 404],
    ),
    (
        Method::POST,
        ADMIN,
        "/configs/validate",
        Call::ValidateDocument,
        "Judges a declarative document, in JSON or YAML, as if it stood in place of everything. \
         References stand for values that are not known, `${{…}}` is refused; without any, and for \
         editors and admins, the document is compiled too.",
        &[],
        &[200, 400],
    ),
    (
        Method::GET,
        ADMIN,
        "/configs",
        Call::ShowConfigs,
        "Everything as one document; in YAML where `Accept` says so.",
        &[],
        &[200],
    ),
    (
        Method::HEAD,
        ADMIN,
        "/configs",
        Call::ShowConfigs,
        "The digest of the last document and when it was taken.",
        &[],
        &[200],
    ),
    (
        Method::PUT,
        ADMIN,
        "/configs",
        Call::PutConfigs,
        "Replaces everything. Needs `X-Digest`; 204 where digest and document are the last ones.",
        &["dry_run"],
        &[202, 204, 400],
    ),
    (Method::GET, OWN, "/status", Call::Status, "How the node is.", &[], &[200]),
    (
        Method::GET,
        OWN,
        "/quarantine",
        Call::Quarantine,
        "The objects in quarantine, each with what is wrong.",
        &[],
        &[200],
    ),
    (
        Method::GET,
        OWN,
        "/upstreams",
        Call::Upstreams,
        "The upstreams, their nodes, how these stand where their health is checked, and which objects \
         send to them.",
        &[],
        &[200],
    ),
    (
        Method::GET,
        OWN,
        "/coverage",
        Call::Coverage,
        "What protects each route in force; `gap` names a protection that is lacking, `any` or \
         `open`, `q` looks into ids, names, paths and hosts.",
        &["q", "gap", "page", "page_size"],
        &[200],
    ),
    (
        Method::GET,
        OWN,
        "/denials",
        Call::Denials,
        "How often was refused why since the start, and to keys that read events the last 200.",
        &[],
        &[200],
    ),
    (
        Method::GET,
        OWN,
        "/revisions",
        Call::Revisions,
        "The revisions of the store that are kept, the newest first.",
        &["limit"],
        &[200],
    ),
    (
        Method::GET,
        OWN,
        "/revisions/{n}/diff",
        Call::RevisionDiff,
        "What a revision changed; secrets are `***`, except to keys that read them.",
        &[],
        &[200, 404],
    ),
    (
        Method::POST,
        OWN,
        "/rollback",
        Call::Rollback,
        "Gives everything, or one object, the content that it had at a revision, as a new one.",
        &["dry_run"],
        &[200, 404, 412],
    ),
    (
        Method::GET,
        OWN,
        "/openapi.json",
        Call::Description,
        "This description (OpenAPI 3.1).",
        &[],
        &[200],
    ),
];
