//! Schemas as plans: what most of them say, checked on the bytes of a body.
//!
//! A validator needs the body as a value, and building that costs more than looking at it. A plan
//! reads the text into a flat list of tokens ([`Document`]) and judges those. It knows the common
//! keywords; what it does not know it asks of a validator of that part of the schema, and where
//! that is not possible either, it is not sure.
//!
//! Its "accepted" is exactly that of the strict reader and the validator of the whole schema. Any
//! other outcome (refused, not sure, not JSON) decides nothing: the reader and the validator then
//! decide, and say where the fault is. So an error here can refuse nobody, and that it accepts
//! nobody wrongly is what [`law`] holds against the validator.

mod compile;
mod document;
#[cfg(test)]
mod edges;
mod harmless;
mod judge;
pub(crate) mod law;
#[cfg(test)]
mod leaves;
mod names;
mod node;
mod number;
mod pattern;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::Value;

use compile::Compiler;
pub(crate) use compile::Dialect;
pub(crate) use document::Document;
pub(crate) use harmless::Leaf;
use judge::Judge;
use node::{Node, NodeId, Verdict};

/// A schema, compiled.
#[derive(Debug)]
pub(crate) struct Plan {
    nodes: Arc<[Node]>,
    root: NodeId,
}

impl Plan {
    /// The plan of a schema that its validator has compiled; `None` where nothing is known of it.
    pub(crate) fn compile(schema: &Value, dialect: Dialect<'_>) -> Option<Self> {
        Self::compile_all(schema, std::iter::once("#".to_owned()), dialect).pop().flatten()
    }

    /// The plans of the schemas that references such as `#/$defs/0` lead to, in their order; what
    /// they refer to is compiled once.
    pub(crate) fn compile_all(
        root: &Value,
        references: impl Iterator<Item = String>,
        dialect: Dialect<'_>,
    ) -> Vec<Option<Self>> {
        let mut compiler = Compiler::new(root, dialect);
        let entries: Vec<_> = references.map(|reference| compiler.entry(&reference)).collect();
        let nodes: Arc<[Node]> = compiler.into_nodes();
        let plan = |root| Self { nodes: nodes.clone(), root };
        entries.into_iter().map(|entry| entry.map(plan)).collect()
    }

    /// True if a document certainly fits the schema. Otherwise the validator must be asked.
    pub(crate) fn accepts(&self, document: &Document<'_>) -> bool {
        self.judge(document) == Verdict::Holds
    }

    fn judge(&self, document: &Document<'_>) -> Verdict {
        Judge::new(&self.nodes, document).value(self.root, 0, 0)
    }
}
