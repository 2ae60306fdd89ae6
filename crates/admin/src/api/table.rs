//! Every endpoint: the table by which requests are routed and the description of the API is made.

use http::Method;

use super::Api;
use super::answer::{Answer, Done};
use super::asked::Asked;
use super::kinds::{KINDS, Kind, Naming, Target};
use super::rows::{ADMIN, ROWS};

/// What an endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Live,
    List,
    Show,
    Put,
    Post,
    Patch,
    Delete,
    PluginList,
    PluginsAll,
    PluginSchema,
    PluginReload,
    PluginSchemaOf,
    ResourceSchema,
    ValidateObject,
    ValidateDocument,
    ShowConfigs,
    PutConfigs,
    Status,
    Quarantine,
    Upstreams,
    Coverage,
    Denials,
    Revisions,
    RevisionDiff,
    Rollback,
    Description,
}

/// An endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    /// The path; `{name}` stands for one segment, `{name*}` at the end for one or more.
    pub(crate) path: String,
    pub(crate) call: Call,
    pub(crate) summary: String,
    /// What may be in the query.
    pub(crate) query: &'static [&'static str],
    /// The statuses of its own; 400, 401, 403, 429 and 503 may come always.
    pub(crate) statuses: &'static [u16],
    /// The kind of resource that it takes or gives.
    pub(crate) kind: Option<&'static Kind>,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Table(Vec<Endpoint>);

const PAGES: &[&str] = &["page", "page_size", "name", "label", "uri", "filter"];
const WRITE: &[&str] = &["ttl", "dry_run"];
const REMOVE: &[&str] = &["force", "dry_run"];

/// The path of a kind's collection.
fn collection(kind: &Kind) -> String {
    match kind.naming {
        Naming::Credential => format!("{ADMIN}/consumers/{{username}}/credentials"),
        Naming::Decoration => format!("{ADMIN}/services/{{service}}/{}", kind.segment),
        _ => format!("{ADMIN}/{}", kind.segment),
    }
}

/// What one object is named by, in a path.
fn item(kind: &Kind) -> String {
    let name = match kind.naming {
        Naming::Id | Naming::Credential | Naming::Decoration => "{id}",
        Naming::Username => "{username}",
        Naming::Plugin => "{plugin}",
        Naming::Manager => "{manager}/{id}",
    };
    format!("{}/{name}", collection(kind))
}

fn rows_of(kind: &'static Kind) -> Vec<Endpoint> {
    let noun = kind.noun;
    let row = |method: Method, path: String, call, summary: String, query, statuses| Endpoint {
        method,
        path,
        call,
        summary,
        query,
        statuses,
        kind: Some(kind),
    };
    let (all, one) = (collection(kind), item(kind));
    let (put, post): (&[u16], &[u16]) =
        if kind.is_written() { (&[200, 201, 409, 412], &[201, 409]) } else { (&[409], &[409]) };
    let mut rows = vec![
        row(
            Method::GET,
            all.clone(),
            Call::List,
            format!("Lists every {noun} that the filters admit."),
            PAGES,
            &[200],
        ),
        row(
            Method::GET,
            one.clone(),
            Call::Show,
            format!("Shows a {noun}."),
            &[],
            &[200, 304, 404],
        ),
        row(
            Method::PUT,
            one.clone(),
            Call::Put,
            format!("Makes or replaces a {noun}."),
            WRITE,
            put,
        ),
    ];
    if kind.naming == Naming::Manager {
        let of_manager = format!("{all}/{{manager}}");
        let summary = format!("Lists every {noun} of a manager.");
        rows.push(row(Method::GET, of_manager, Call::List, summary, PAGES, &[200]));
    }
    if matches!(kind.naming, Naming::Id | Naming::Username) {
        let summary = format!("Makes or replaces the {noun} that the body names.");
        rows.push(row(Method::PUT, all.clone(), Call::Put, summary, WRITE, put));
    }
    if kind.verbs.contains(&"POST") {
        let summary = format!("Makes a {noun} with an id of the node's choice.");
        rows.push(row(Method::POST, all, Call::Post, summary, WRITE, post));
    }
    if kind.verbs.contains(&"PATCH") {
        let summary = format!("Changes a {noun} by a merge patch (RFC 7396).");
        let statuses = &[200, 404, 409, 412];
        rows.push(row(Method::PATCH, one.clone(), Call::Patch, summary, WRITE, statuses));
        let summary = format!("Replaces what the path leads to in a {noun}; `null` removes it.");
        let part = format!("{one}/{{part*}}");
        rows.push(row(Method::PATCH, part, Call::Patch, summary, WRITE, statuses));
    }
    let summary = format!("Removes a {noun}.");
    rows.push(row(Method::DELETE, one, Call::Delete, summary, REMOVE, &[200, 404, 409, 412]));
    rows
}

impl Endpoint {
    fn fits(&self, segments: &[String]) -> bool {
        let mut given = segments.iter();
        for wanted in self.path.split('/').skip(1) {
            if wanted.ends_with("*}") {
                return given.next().is_some();
            }
            match given.next() {
                Some(segment) if wanted.starts_with('{') || wanted == segment => {}
                _ => return false,
            }
        }
        given.next().is_none()
    }

    /// How many segments are written out: the endpoint with most is meant.
    fn exactness(&self) -> usize {
        self.path.split('/').filter(|segment| !segment.starts_with('{')).count()
    }
}

impl Table {
    pub(crate) fn new() -> Self {
        let other =
            ROWS.iter().map(|(method, base, path, call, summary, query, statuses)| Endpoint {
                method: method.clone(),
                path: format!("{base}{path}"),
                call: *call,
                summary: (*summary).to_owned(),
                query,
                statuses,
                kind: None,
            });
        Self(other.chain(KINDS.iter().flat_map(rows_of)).collect())
    }

    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.0
    }

    /// The endpoints that a path may mean, the most exact first.
    pub(crate) fn at(&self, segments: &[String]) -> Vec<&Endpoint> {
        let mut found: Vec<&Endpoint> = self.0.iter().filter(|row| row.fits(segments)).collect();
        let best = found.iter().map(|row| row.exactness()).max();
        found.retain(|row| Some(row.exactness()) == best);
        found
    }
}

impl Api {
    /// Does what a request asks for.
    pub(super) async fn dispatch(&self, asked: &Asked) -> Done {
        let found = self.0.table.at(&asked.segments);
        let wanted = |row: &&&Endpoint| {
            row.method == asked.method
                || (asked.method == Method::HEAD && row.method == Method::GET)
        };
        match found.iter().find(wanted) {
            Some(row) => self.call(row, asked).await,
            None => Err(unrouted(asked, &found)),
        }
    }

    async fn call(&self, row: &Endpoint, asked: &Asked) -> Done {
        let last = asked.segments.last().map(String::as_str).unwrap_or_default();
        match row.call {
            Call::Live => Ok(Answer::empty(http::StatusCode::OK)),
            Call::PluginList => Self::plugin_list(asked),
            Call::PluginsAll => Self::plugins_all(asked),
            Call::PluginSchema | Call::PluginSchemaOf => self.plugin_schema(asked, last),
            Call::PluginReload => asked
                .allow_writing("plugins", None)
                .map(|()| Answer::text(http::StatusCode::OK, "done")),
            Call::ResourceSchema => Self::resource_schema(asked, last),
            Call::ValidateObject => self.validate_object(asked, last),
            Call::ValidateDocument => self.validate_document(asked).await,
            Call::ShowConfigs => self.show_configs(asked).await,
            Call::PutConfigs => self.put_configs(asked).await,
            Call::Status => self.status(asked),
            Call::Quarantine => self.quarantine(asked),
            Call::Upstreams => self.upstreams(asked).await,
            Call::Coverage => self.coverage(asked).await,
            Call::Denials => self.denials(asked),
            Call::Revisions => self.revisions(asked).await,
            Call::RevisionDiff => {
                let number = asked.segments.get(3).map(String::as_str).unwrap_or_default();
                self.revision_diff(asked, number).await
            }
            Call::Rollback => self.rollback(asked).await,
            Call::Description => Ok(Answer::ok(&self.description())),
            Call::List | Call::Show | Call::Put | Call::Post | Call::Patch | Call::Delete => {
                self.object_call(row.call, asked).await
            }
        }
    }

    async fn object_call(&self, call: Call, asked: &Asked) -> Done {
        let rest = asked.segments.get(2..).unwrap_or_default();
        let target = Target::read(rest).ok_or_else(Answer::not_found)?;
        match (call, &target.id) {
            (Call::List, _) => self.list(asked, &target).await,
            (Call::Put, _) => self.put(asked, &target).await,
            (Call::Post, _) => self.post(asked, &target).await,
            (Call::Patch, Some(_)) => self.patch(asked, &target).await,
            (Call::Show, Some(id)) => self.show(asked, &target, id).await,
            (Call::Delete, Some(id)) => self.delete(asked, &target, id).await,
            _ => Err(Answer::not_found()),
        }
    }
}

/// What is answered where no endpoint is meant.
fn unrouted(asked: &Asked, found: &[&Endpoint]) -> Answer {
    let method = asked.method.as_str();
    let is_known = matches!(method, "GET" | "PUT" | "POST" | "PATCH" | "DELETE");
    let rest = match asked.segments.as_slice() {
        [first, second, rest @ ..] if first == "apisix" && second == "admin" => rest,
        _ => &[][..],
    };
    let target = Target::read(rest);
    match (&target, found.first()) {
        _ if !is_known => Answer::not_found(),
        (Some(target), _) if !target.kind.verbs.contains(&method) && method != "GET" => {
            Answer::not_allowed(target.kind.noun, method, &target.kind.allowed())
        }
        (Some(target), _)
            if target.id.is_none() && matches!(method, "PATCH" | "DELETE" | "PUT") =>
        {
            Answer::bad(format!("missing {} id", target.kind.noun))
        }
        (_, Some(row)) => {
            let methods: Vec<&str> = found.iter().map(|row| row.method.as_str()).collect();
            let last = row.path.rsplit('/').next().unwrap_or_default();
            let noun = row.kind.map_or(last, |kind| kind.noun);
            Answer::not_allowed(noun, method, &methods.join(", "))
        }
        (None, None) => match rest.first() {
            Some(kind) => Answer::error(
                http::StatusCode::NOT_FOUND,
                format!("Unsupported resource type: {kind}"),
            ),
            None => Answer::not_found(),
        },
        (Some(_), None) => Answer::not_found(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_endpoints_are_the_same() {
        let table = Table::new();
        let mut met = BTreeSet::new();
        for row in table.endpoints() {
            assert!(met.insert((row.path.clone(), row.method.to_string())), "{}", row.path);
        }
    }

    #[test]
    fn the_most_exact_endpoint_is_meant() {
        let table = Table::new();
        let call = |path: &str| {
            let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
            table.at(&segments).first().map(|row| row.call)
        };
        assert_eq!(call("apisix/admin/plugins/list"), Some(Call::PluginList));
        assert_eq!(call("apisix/admin/plugins/list2"), Some(Call::PluginSchema));
        assert_eq!(call("apisix/admin/schema/plugins/x"), Some(Call::PluginSchemaOf));
        assert_eq!(call("apisix/admin/nosuch/x"), None);
    }
}
