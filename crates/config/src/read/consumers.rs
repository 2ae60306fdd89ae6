//! Consumers with their credentials, consumer groups.

use std::sync::Arc;

use super::ids::CREDENTIALS;
use super::routes::labels;
use super::{Reader, Site};
use crate::diagnostic::{Invalid, PathStep};
use crate::document::Node;
use crate::resources::{Consumer, ConsumerGroup, Credential, ResourceKind, ResourceRef};
use crate::wire::{ConsumerGroupWire, ConsumerWire, CredentialWire};
use crate::words::quoted;

impl Reader<'_> {
    /// Reads an entry of `consumers`: an account, or a credential under the id
    /// `username/credentials/id`.
    pub(super) fn consumer_or_credential(&mut self, site: &Site<'_>) -> Option<Consumer> {
        let id = site.node.get("id").and_then(Node::as_text).unwrap_or_default();
        let owner = match id.split_once(CREDENTIALS) {
            Some((owner, _)) if site.node.get("username").is_none() => owner,
            _ => return self.consumer(site),
        };
        if !self.exists(ResourceKind::Consumer, owner) {
            let problem = format!("there is no consumer {}", quoted(owner));
            let help = self.nearest_id(ResourceKind::Consumer, owner);
            let path = vec![PathStep::Key("id".to_owned())];
            self.invalid(site, &Invalid { path, problem, help });
        }
        let credential = self.credential(site, owner);
        self.credentials.entry(owner.to_owned()).or_default().extend(credential);
        None
    }

    fn consumer(&mut self, site: &Site<'_>) -> Option<Consumer> {
        let username = site.node.get("username").and_then(Node::as_text).unwrap_or_default();
        let origin = ResourceRef { kind: ResourceKind::Consumer, id: username.into() };
        let plugins = self.plugins(site, &origin);
        let mut credentials = Vec::new();
        if let Some(list) = site.child("credentials") {
            for item in self.items(&list) {
                credentials.extend(self.credential(&item, username));
            }
        }
        let wire: ConsumerWire = self.wire(site, ResourceKind::Consumer)?;
        if wire.id.as_ref().is_some_and(|id| *id != wire.username) {
            self.invalid(site, &Invalid::at("id", "the id of a consumer is its `username`"));
        }
        let path = Invalid::at("group_id", "");
        let group_id = self.link(site, &path, ResourceKind::ConsumerGroup, wire.group_id.as_ref());
        Some(Consumer {
            username: wire.username.0.into(),
            group_id,
            plugins,
            credentials,
            labels: labels(wire.labels),
            place: site.node.place,
        })
    }

    fn credential(&mut self, site: &Site<'_>, username: &str) -> Option<Credential> {
        let written = site.node.get("id").and_then(Node::as_text).unwrap_or_default();
        let (owner, id) = written.split_once(CREDENTIALS).unwrap_or((username, written));
        let origin = ResourceRef {
            kind: ResourceKind::Credential,
            id: format!("{username}{CREDENTIALS}{id}").into(),
        };
        let plugins = self.plugins(site, &origin);
        let _: CredentialWire = self.wire(site, ResourceKind::Credential)?;
        if owner != username {
            let problem = format!("the id names another consumer than {}", quoted(username));
            self.invalid(site, &Invalid::at("id", problem));
        }
        Some(Credential { id: id.into(), plugins, place: site.node.place })
    }

    pub(super) fn consumer_group(
        &mut self,
        site: &Site<'_>,
        id: Arc<str>,
    ) -> Option<ConsumerGroup> {
        let origin = ResourceRef { kind: ResourceKind::ConsumerGroup, id: Arc::clone(&id) };
        let plugins = self.plugins(site, &origin);
        let _: ConsumerGroupWire = self.wire(site, ResourceKind::ConsumerGroup)?;
        Some(ConsumerGroup { id, plugins, place: site.node.place })
    }
}
