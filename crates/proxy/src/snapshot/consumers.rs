//! Consumers: the index of their credentials, and the chains that come with them.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_chain::{Chain, Consumer, ConsumerIndex};
use bartizan_config::{Invalid, PluginUse};
use bartizan_plugins::AnyPlugin;

use super::ChainProfiles;
use super::compile::Compilation;

/// Who may call, and what comes with them.
pub(super) struct Callers {
    pub(super) index: ConsumerIndex,
    pub(super) profiles: ChainProfiles,
}

type SharedChain = Option<Arc<Chain<AnyPlugin>>>;

impl<'a> Compilation<'a> {
    /// Compiles every consumer and group.
    pub(super) fn callers(&mut self) -> Callers {
        let groups = self.group_chains();
        let mut index = ConsumerIndex::default();
        let mut slots = Vec::with_capacity(self.resources.consumers.len());
        for (slot, written) in self.resources.consumers.iter().enumerate() {
            let consumer = Arc::new(Consumer::new(
                written.username.clone(),
                written.group_id.clone(),
                written.labels.clone(),
                slot,
            ));
            index.add_consumer(consumer.clone());
            let (own, rest): (Vec<_>, Vec<_>) =
                written.plugins.iter().partition(|used| is_authentication(used));
            for used in own {
                self.index(&mut index, &consumer, None, used);
            }
            for credential in &written.credentials {
                for used in &credential.plugins {
                    let id = Some(credential.id.clone());
                    self.index(&mut index, &consumer, id, used);
                }
            }
            let group = written.group_id.as_deref().and_then(|id| groups.get(id).cloned());
            slots.push([group.flatten(), self.caller_chain(rest)]);
        }
        Callers { index, profiles: ChainProfiles { slots } }
    }

    /// One chain for each group; a group's authentication plugins could prove nothing any more.
    fn group_chains(&mut self) -> HashMap<&'a str, SharedChain> {
        let mut chains = HashMap::new();
        for group in &self.resources.consumer_groups {
            chains.insert(&*group.id, self.caller_chain(&group.plugins));
        }
        chains
    }

    fn caller_chain(&mut self, uses: impl IntoIterator<Item = &'a PluginUse>) -> SharedChain {
        let chain = self.chain(uses).chain;
        (!chain.is_empty()).then(|| Arc::new(chain))
    }

    /// Adds a credential to the index, unless it already means another account.
    fn index(
        &mut self,
        index: &mut ConsumerIndex,
        consumer: &Arc<Consumer>,
        credential: Option<Arc<str>>,
        used: &'a PluginUse,
    ) {
        let Some(plugin) = self.entry(used) else { return };
        if !plugin.is_authentication {
            let problem = format!("`{}` is no authentication plugin", plugin.name);
            let help = "a credential holds one authentication plugin";
            self.tell(used, vec![Invalid::new(problem).with_help(help)]);
            return;
        }
        let Some(entry) = self.credential(used) else { return };
        let added = index.add_credential(plugin.name, consumer, credential, entry);
        let Err(owner) = added else { return };
        let (name, username) = (plugin.name, consumer.username());
        let problem = if *owner == *username {
            format!("consumer `{username}` has the same credential of `{name}` twice")
        } else {
            format!(
                "the credential of `{name}` of consumer `{username}` is also that of consumer \
                 `{owner}`"
            )
        };
        let help = "a credential names one account: give each consumer its own";
        self.tell(used, vec![Invalid::new(problem).with_help(help)]);
    }
}

fn is_authentication(used: &PluginUse) -> bool {
    bartizan_plugins::find(&used.name).is_some_and(|entry| entry.is_authentication)
}
