//! A description in outline: its paths, methods and security, for whoever makes routes of it.

use std::collections::BTreeMap;

use bartizan_config::{Content, Node};

use super::documents::{DocumentFault, Documents};
use super::items::{PathItem, path_items};
use super::servers::{base_paths, origin};

/// Alternatives, each a list of schemes with the scopes that they need: one alternative must hold,
/// all of its schemes.
pub type Requirements = Vec<Vec<(String, Vec<String>)>>;

/// A description in outline.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// Its title.
    pub title: String,
    /// Scheme and authority of its first server that has them.
    pub origin: Option<String>,
    /// The paths that its servers begin with; empty where it names none.
    pub bases: Vec<String>,
    /// Its paths in the order of the document.
    pub paths: Vec<PathOutline>,
    /// Its security schemes by name.
    pub schemes: BTreeMap<String, Scheme>,
}

/// A path in outline.
#[derive(Clone, Debug)]
pub struct PathOutline {
    /// As it is written.
    pub template: String,
    /// Its operations.
    pub operations: Vec<OperationOutline>,
}

/// An operation in outline.
#[derive(Clone, Debug)]
pub struct OperationOutline {
    /// The method, upper case.
    pub method: &'static str,
    /// Its `operationId`.
    pub id: Option<String>,
    /// What its server says its path begins with, where it has a server of its own.
    pub bases: Option<Vec<String>>,
    /// What it requires of the caller, or the whole description does; empty where it is said to
    /// be open to everyone, `None` where nothing is said.
    pub security: Option<Requirements>,
}

/// A security scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// What it is.
    pub kind: SchemeKind,
}

/// What a security scheme asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemeKind {
    /// A key in a header field, query parameter or cookie.
    ApiKey {
        /// `header`, `query` or `cookie`.
        place: String,
        /// The name of the field, parameter or cookie.
        name: String,
    },
    /// `Authorization` with the named scheme, in lower case, such as `basic` or `bearer`.
    Http(String),
    /// An OAuth 2 token.
    OAuth2,
    /// A token of an OpenID provider.
    OpenIdConnect {
        /// Where the provider describes itself.
        url: String,
    },
    /// A client certificate.
    MutualTls,
    /// Something else.
    Other(String),
}

impl Outline {
    /// The outline of a description.
    pub fn of(documents: &Documents) -> Result<Self, DocumentFault> {
        let root = documents.root();
        let title = root.get("info").and_then(|info| text(info, "title")).unwrap_or_default();
        let items = path_items(documents)?;
        let common = requirements(documents, root)?;
        let paths = items.iter().map(|item| path(documents, item, common.as_ref()));
        Ok(Self {
            title,
            origin: origin(documents),
            bases: base_paths(documents, root)?.unwrap_or_default(),
            paths: paths.collect::<Result<_, _>>()?,
            schemes: schemes(documents)?,
        })
    }
}

fn path(
    documents: &Documents,
    item: &PathItem<'_>,
    common: Option<&Requirements>,
) -> Result<PathOutline, DocumentFault> {
    let operations = item.operations.iter().map(|(method, operation)| {
        Ok(OperationOutline {
            method: upper(method),
            id: text(operation, "operationId"),
            bases: item.bases(documents, operation)?,
            security: requirements(documents, operation)?.or_else(|| common.cloned()),
        })
    });
    Ok(PathOutline {
        template: item.template.to_owned(),
        operations: operations.collect::<Result<_, _>>()?,
    })
}

/// The method as requests write it.
pub(crate) fn upper(method: &str) -> &'static str {
    match method {
        "get" => "GET",
        "put" => "PUT",
        "post" => "POST",
        "delete" => "DELETE",
        "options" => "OPTIONS",
        "head" => "HEAD",
        "patch" => "PATCH",
        _ => "TRACE",
    }
}

fn requirements(
    documents: &Documents,
    owner: &Node,
) -> Result<Option<Requirements>, DocumentFault> {
    let Some(security) = owner.get("security") else { return Ok(None) };
    let Content::List(alternatives) = &security.content else {
        return Err(documents.fault(security, "`security` must be a list"));
    };
    let scheme = |member: &bartizan_config::Member| {
        let scopes = member.value.items().iter().filter_map(Node::as_text);
        (member.key.clone(), scopes.map(str::to_owned).collect())
    };
    let all = alternatives.iter().map(|all| all.members().iter().map(scheme).collect());
    Ok(Some(all.collect()))
}

/// The security schemes of a description, by name.
pub(crate) fn schemes(documents: &Documents) -> Result<BTreeMap<String, Scheme>, DocumentFault> {
    let components = documents.root().get("components");
    let schemes = components.and_then(|components| components.get("securitySchemes"));
    let members = schemes.map(Node::members).unwrap_or_default();
    members
        .iter()
        .map(|member| {
            let scheme = documents.follow(&member.value)?;
            let kind = match text(scheme, "type").as_deref() {
                Some("apiKey") => SchemeKind::ApiKey {
                    place: text(scheme, "in").unwrap_or_default(),
                    name: text(scheme, "name").unwrap_or_default(),
                },
                Some("http") => {
                    let name = text(scheme, "scheme").unwrap_or_default();
                    SchemeKind::Http(name.to_ascii_lowercase())
                }
                Some("oauth2") => SchemeKind::OAuth2,
                Some("openIdConnect") => SchemeKind::OpenIdConnect {
                    url: text(scheme, "openIdConnectUrl").unwrap_or_default(),
                },
                Some("mutualTLS") => SchemeKind::MutualTls,
                other => SchemeKind::Other(other.unwrap_or_default().to_owned()),
            };
            Ok((member.key.clone(), Scheme { kind }))
        })
        .collect()
}

fn text(owner: &Node, key: &str) -> Option<String> {
    owner.get(key).and_then(Node::as_text).map(str::to_owned)
}
