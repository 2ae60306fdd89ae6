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
mod harmless;
mod judge;
pub(crate) mod law;
mod names;
mod node;
mod number;
mod pattern;
mod scan;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(crate) use compile::{Compiler, Dialect};
pub(crate) use document::Document;
use judge::Judge;
use node::{Node, NodeId, Verdict};

/// A schema, compiled.
#[derive(Debug)]
pub(crate) struct Plan {
    nodes: Box<[Node]>,
    root: NodeId,
}

impl Plan {
    /// The plan of a schema that its validator has compiled; `None` where nothing is known of it.
    pub(crate) fn compile(schema: &Value, dialect: Dialect<'_>) -> Option<Self> {
        let mut compiler = Compiler::new(schema, dialect);
        let root = compiler.entry("#")?;
        Some(Self { nodes: compiler.into_nodes(), root })
    }

    /// True if a document certainly fits the schema. Otherwise the validator must be asked.
    pub(crate) fn accepts(&self, document: &Document<'_>) -> bool {
        self.judge(document) == Verdict::Holds
    }

    fn judge(&self, document: &Document<'_>) -> Verdict {
        Judge::new(&self.nodes, document).value(self.root, 0, 0)
    }
}
