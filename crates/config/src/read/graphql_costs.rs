//! What fields of a service's GraphQL queries cost.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Reader, Site, id_of};
use crate::diagnostic::{Invalid, PathStep};
use crate::document::Node;
use crate::graphql_cost::{CostTree, DECORATIONS_MAX, FieldCost, millionths};
use crate::resources::{ResourceKind, Service};
use crate::wire::GraphqlCostWire;
use crate::words::quoted;

/// What stands between a service's id and that of a decoration of it.
const BETWEEN: &str = "/graphql_cost_decorations/";

/// The roots of operations, as paths may begin.
const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

/// What was read of each service, by its id.
#[derive(Default)]
pub(super) struct Costs {
    trees: HashMap<String, (CostTree, usize)>,
}

impl Costs {
    /// Gives each service what was read of it.
    pub(super) fn settle(&mut self, services: &mut [Service]) {
        for service in services {
            let known = self.trees.remove(&*service.id);
            service.graphql_costs = known.map(|(tree, _)| Arc::new(tree));
        }
    }
}

impl Reader<'_> {
    /// Reads an entry of `services`: a service, or a decoration under the id
    /// `service/graphql_cost_decorations/id`.
    pub(super) fn service_or_decoration(
        &mut self,
        site: &Site<'_>,
        id: Arc<str>,
    ) -> Option<Service> {
        let Some((owner, _)) = id.split_once(BETWEEN) else {
            if let Some(list) = site.child("graphql_cost_decorations") {
                for item in self.items(&list) {
                    self.decoration(&item, &id);
                }
            }
            return self.service(site, id);
        };
        if !self.exists(ResourceKind::Service, owner) {
            let problem = format!("there is no service {}", quoted(owner));
            let help = self.nearest_id(ResourceKind::Service, owner);
            let path = vec![PathStep::Key("id".to_owned())];
            self.invalid(site, &Invalid { path, problem, help });
        }
        self.decoration(site, owner);
        None
    }

    fn decoration(&mut self, site: &Site<'_>, service: &str) {
        let Some(wire) = self.wire::<GraphqlCostWire>(site, ResourceKind::GraphqlCost) else {
            return;
        };
        let written = site.node.get("id").and_then(Node::as_text).unwrap_or_default();
        let of_id = written.split_once(BETWEEN).map(|(owner, _)| owner);
        let of_field = wire.service_id.as_ref().map(|id| &*id.0);
        for (key, named) in [("id", of_id), ("service_id", of_field)] {
            if named.is_some_and(|named| named != service) {
                let problem = format!("names another service than {}", quoted(service));
                self.invalid(site, &Invalid::at(key, problem));
                return;
            }
        }
        if let Some(problem) = unknown_root(&wire.field_path.0) {
            let help = "no schema is known here: write the path from the root, such as \
                        `Query.orders.items` or `orders.items`";
            self.invalid(site, &Invalid::at("field_path", problem).with_help(help));
            return;
        }
        let mut read = |key: &str, number| {
            let read = millionths(number);
            let told = |problem| Invalid::at(key, format!("`{number}` {problem}"));
            read.map_err(|problem| self.invalid(site, &told(problem))).ok()
        };
        let (add, multiply) =
            (read("add_value", &wire.add_value), read("mul_value", &wire.mul_value));
        let (Some(add), Some(multiply)) = (add, multiply) else { return };
        let cost = FieldCost {
            add,
            add_arguments: wire.add_arguments.into(),
            multiply,
            multiply_arguments: wire.mul_arguments.into(),
        };
        let (tree, count) = self.costs.trees.entry(service.to_owned()).or_default();
        *count += 1;
        let problem = if *count > DECORATIONS_MAX {
            Invalid::new(format!("a service has at most {DECORATIONS_MAX} decorations"))
        } else if tree.add(&wire.field_path.0, cost) {
            return;
        } else {
            let path = quoted(&wire.field_path.0);
            Invalid::at("field_path", format!("the cost of {path} is given twice"))
        };
        self.invalid(site, &problem);
    }

    /// Notes the ids of the decorations that stand in a service.
    pub(super) fn collect_decorations(&mut self, service: &Site<'_>, id: &str) {
        let Some(list) = service.child("graphql_cost_decorations") else { return };
        for (index, item) in list.node.items().iter().enumerate() {
            let site = list.item(index, item);
            let own = id_of(ResourceKind::GraphqlCost, item, index);
            let own = own.rsplit('/').next().unwrap_or_default();
            let own: Arc<str> = format!("{id}{BETWEEN}{own}").into();
            self.add_id(ResourceKind::GraphqlCost, &own, &site, site.at("id"));
        }
    }
}

/// Paths that begin with the name of a type would price nothing.
fn unknown_root(path: &str) -> Option<String> {
    let first = path.split('.').next().unwrap_or_default();
    if ROOTS.contains(&first) {
        let is_bare = first == path;
        return is_bare.then(|| format!("{} is a root and no field", quoted(path)));
    }
    let is_type = first.starts_with(|first: char| first.is_ascii_uppercase());
    is_type.then(|| format!("{} begins with what looks like a type", quoted(path)))
}
