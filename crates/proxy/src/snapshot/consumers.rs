//! Consumers: the index of their credentials, and the chains that come with them.

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

impl<'a> Compilation<'a> {
    /// Compiles every consumer and group.
    pub(super) fn callers(&mut self) -> Callers {
        let mut callers =
            Callers { index: ConsumerIndex::default(), profiles: ChainProfiles::default() };
        self.callers_into(&mut callers);
        callers
    }

    /// Compiles consumers and groups, beside those that are there.
    pub(super) fn callers_into(&mut self, callers: &mut Callers) {
        let Callers { index, profiles } = callers;
        // A group's authentication plugins could prove nothing any more.
        for group in &self.resources.consumer_groups {
            if let Some(chain) = self.caller_chain(&group.plugins) {
                profiles.put_group(group.id.clone(), chain);
            }
        }
        for written in &self.resources.consumers {
            // Its own copy: what was read lies between what is about to be freed.
            let consumer = Arc::new(Consumer::new(
                Arc::from(&*written.username),
                written.group_id.clone(),
                written.labels.clone(),
            ));
            index.add_consumer(consumer.clone());
            let (own, rest): (Vec<_>, Vec<_>) =
                written.plugins.iter().partition(|used| is_authentication(used));
            for used in own {
                self.index(index, &consumer, None, used);
            }
            for credential in &written.credentials {
                for used in &credential.plugins {
                    let id = Some(credential.id.clone());
                    self.index(index, &consumer, id, used);
                }
            }
            index.settle(&written.username);
            if !rest.is_empty()
                && let Some(chain) = self.caller_chain(rest)
            {
                profiles.put_own(written.username.clone(), chain);
            }
        }
    }

    fn caller_chain(
        &mut self,
        uses: impl IntoIterator<Item = &'a PluginUse>,
    ) -> Option<Arc<Chain<AnyPlugin>>> {
        let chain = self.chain(uses).chain;
        (!chain.is_empty()).then_some(chain)
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
