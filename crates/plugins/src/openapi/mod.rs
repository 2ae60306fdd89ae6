//! Reading OpenAPI documents: what `oas-validator` compiles and `bartizan init` starts from.
//!
//! A document is a tree whose values know their place, so that whatever is wrong with it can be
//! shown in it. References lead to places in the same document and in files that were given beside
//! it; nothing is ever fetched.

mod documents;
mod items;
mod outline;
mod servers;
#[cfg(test)]
mod tests;

pub(crate) use documents::shown;
pub use documents::{DocumentFault, DocumentText, Documents, Version, normalised};
pub(crate) use items::{PathItem, path_items};
pub use outline::{OperationOutline, Outline, PathOutline, Requirements, Scheme, SchemeKind};
pub(crate) use outline::{schemes, upper};
pub(crate) use servers::base_paths;
