//! The path items of a description.

use bartizan_config::{Content, Node};

use super::documents::{DocumentFault, Documents, shown};
use super::servers::base_paths;

/// The methods that a path item can have, in the order of the specification.
pub(crate) const METHODS: [&str; 8] =
    ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// A path of a description with its operations.
pub(crate) struct PathItem<'d> {
    /// As it is written, from its slash.
    pub(crate) template: &'d str,
    /// Its key.
    pub(crate) item: &'d Node,
    /// Its operations by method (lower case), in the order of [`METHODS`].
    pub(crate) operations: Vec<(&'static str, &'d Node)>,
}

impl PathItem<'_> {
    /// Where the paths of an operation begin; `None` where neither it nor its path says.
    pub(crate) fn bases(
        &self,
        documents: &Documents,
        operation: &Node,
    ) -> Result<Option<Vec<String>>, DocumentFault> {
        match base_paths(documents, operation)? {
            Some(bases) => Ok(Some(bases)),
            None => base_paths(documents, self.item),
        }
    }
}

/// Every path of a description.
pub(crate) fn path_items(documents: &Documents) -> Result<Vec<PathItem<'_>>, DocumentFault> {
    let root = documents.root();
    let Some(paths) = documents.map(root, "paths")? else {
        return Err(documents.fault(root, "the document has no `paths`"));
    };
    let members = paths.members().iter().filter(|member| !member.key.starts_with("x-"));
    members
        .map(|member| {
            if !member.key.starts_with('/') {
                let problem = format!("the path `{}` does not begin with `/`", shown(&member.key));
                return Err(documents.fault(&member.value, problem));
            }
            let item = documents.follow(&member.value)?;
            if !matches!(item.content, Content::Map(_)) {
                return Err(documents.fault(item, "a path must be a map of operations"));
            }
            let mut operations = Vec::new();
            for method in METHODS {
                if let Some(operation) = documents.map(item, method)? {
                    operations.push((method, operation));
                }
            }
            Ok(PathItem { template: &member.key, item, operations })
        })
        .collect()
}
