//! Reading objects, large numbers of them by several threads.

use std::collections::HashMap;
use std::sync::Arc;

use super::graphql_costs::Costs;
use super::{Placed, Reader};
use crate::diagnostic::{Diagnostic, Place};
use crate::many::in_parts;
use crate::resources::{Credential, ResourceKind, Resources};
use crate::schema::Rules;

/// What some of the objects came to.
struct Part {
    resources: Resources,
    diagnostics: Vec<Diagnostic>,
    concealed: Vec<Place>,
    credentials: HashMap<String, Vec<Credential>>,
}

impl Reader<'_> {
    /// Reads objects, those of all documents at once.
    pub(crate) fn objects(&mut self, objects: &[Placed<'_>]) -> Resources {
        for object in objects {
            self.collect_id(object);
        }
        let managers = self.managers(objects);
        let mut resources = self.resources(objects);
        resources.managers = managers;
        for consumer in &mut resources.consumers {
            let beside = self.credentials.remove(&*consumer.username);
            consumer.credentials.extend(beside.into_iter().flatten());
        }
        self.costs.settle(&mut resources.services);
        resources
    }

    /// Reads objects of which every id is known. What is wrong is told in their order, however many
    /// threads read them.
    fn resources(&mut self, objects: &[Placed<'_>]) -> Resources {
        let count = |kind| objects.iter().filter(|object| object.kind == kind).count();
        let routes = count(ResourceKind::Route);
        let consumers = count(ResourceKind::Consumer);
        for kind in ResourceKind::ALL {
            if objects.iter().any(|object| object.kind == kind) {
                self.kind(kind);
            }
        }
        // What reads patterns is of one thread; everything else that is known is shared.
        let Self { plugins, sources, kinds, meta, ids, enabled, beyond, .. } = &*self;
        let (resolver, accepts_fail_open) = (self.rules.resolver, self.rules.accepts_fail_open);
        // What a service's queries cost is told by several objects, which are read in one place.
        let is_priced = |object: &&Placed<'_>| {
            matches!(object.kind, ResourceKind::Service | ResourceKind::GraphqlCost)
        };
        let (priced, others): (Vec<&Placed<'_>>, Vec<_>) = objects.iter().partition(is_priced);
        let parts = in_parts(&others, |objects| {
            let rules = Rules::new(resolver, accepts_fail_open);
            let mut reader = Reader {
                rules: &rules,
                plugins: *plugins,
                sources,
                diagnostics: Vec::new(),
                concealed: Vec::new(),
                kinds: kinds.clone(),
                meta: Arc::clone(meta),
                ids: Arc::clone(ids),
                enabled: enabled.clone(),
                credentials: HashMap::new(),
                costs: Costs::default(),
                beyond: *beyond,
            };
            let mut resources = Resources::default();
            for object in objects {
                reader.resource(object, &mut resources);
            }
            let Reader { diagnostics, concealed, credentials, .. } = reader;
            Part { resources, diagnostics, concealed, credentials }
        });
        let mut all = Resources::default();
        for object in priced {
            self.resource(object, &mut all);
        }
        // These are large: making room for them again and again would cost more than reading them.
        all.routes.reserve_exact(routes);
        all.consumers.reserve_exact(consumers);
        for part in parts {
            all.append(part.resources);
            for diagnostic in part.diagnostics {
                self.tell(diagnostic);
            }
            self.concealed.extend(part.concealed);
            for (owner, credentials) in part.credentials {
                self.credentials.entry(owner).or_default().extend(credentials);
            }
        }
        all
    }
}
