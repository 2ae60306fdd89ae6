//! Messages and services of gRPC: compiled once, as long as their content stays the same.

use std::sync::Arc;

use bartizan_config::{Invalid, Proto, ResourceKind};
use bartizan_protos::Protos;

use super::compile::Compilation;

/// A proto in force.
#[derive(Clone)]
pub(super) struct StoodProto {
    content: Arc<str>,
    pub(super) protos: Arc<Protos>,
}

impl Compilation<'_> {
    /// Compiles the protos among the resources; of one that is at fault nothing else is known.
    pub(super) fn compile_protos(&mut self) {
        for written in &self.resources.protos {
            let before = self.protos_before.and_then(|before| before.get(&written.id));
            let same = before.filter(|before| before.content == written.content).cloned();
            let made = same.or_else(|| self.compile_proto(written));
            self.protos.insert(&written.id, made);
        }
    }

    /// The proto of that id, for a plugin.
    pub(super) fn proto(&self, id: &str) -> Option<Arc<Protos>> {
        match self.protos.get(id) {
            Some(Some(stood)) => Some(stood.protos.clone()),
            Some(None) => {
                self.asked_for_broken.set(true);
                None
            }
            None => {
                let base = self.base.filter(|_| !self.is_changed(ResourceKind::Proto, id));
                base.and_then(|base| base.protos.get(id)).map(|stood| stood.protos.clone())
            }
        }
    }

    fn compile_proto(&mut self, written: &Proto) -> Option<StoodProto> {
        match Protos::compile(&written.content) {
            Ok(protos) => {
                Some(StoodProto { content: written.content.clone(), protos: Arc::new(protos) })
            }
            Err(fault) => {
                let subject = format!("proto `{}`", written.id);
                let mut invalid = Invalid::at("content", fault.to_string());
                invalid.help = fault.help;
                self.fault(written.place, subject, invalid);
                None
            }
        }
    }
}
