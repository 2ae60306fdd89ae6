//! One secret manager, whatever it is.

use std::sync::Arc;

use bartizan_config::{Keeper, SecretManager};
use bartizan_core::Clock;
use bartizan_net::Reach;
use tokio::time::Instant;

use crate::aws::AwsServer;
use crate::document::Document;
use crate::fault::Fault;
use crate::gcp::GcpServer;
use crate::vault::VaultServer;

/// One secret manager.
#[derive(Debug)]
pub(crate) struct Server {
    manager: Arc<SecretManager>,
    keeper: Asked,
}

#[derive(Debug)]
enum Asked {
    Vault(VaultServer),
    Aws(AwsServer),
    Gcp(Box<GcpServer>),
}

impl Server {
    pub(crate) fn new(
        manager: Arc<SecretManager>,
        reach: Arc<dyn Reach>,
        clock: &Clock,
    ) -> Result<Self, Fault> {
        let keeper = match &manager.keeper {
            Keeper::Vault(vault) => {
                Asked::Vault(VaultServer::new(&manager, vault.clone(), reach, clock)?)
            }
            Keeper::Aws(aws) => Asked::Aws(AwsServer::new(&manager, aws.clone(), reach, clock)?),
            Keeper::Gcp(gcp) => Asked::Gcp(Box::new(GcpServer::new(&manager, gcp, &reach, clock)?)),
        };
        Ok(Self { manager, keeper })
    }

    pub(crate) fn manager(&self) -> &Arc<SecretManager> {
        &self.manager
    }

    /// Reads a secret.
    pub(crate) async fn read(&self, path: &str) -> Result<Document, Fault> {
        match &self.keeper {
            Asked::Vault(vault) => vault.read(path).await,
            Asked::Aws(aws) => aws.read(path).await,
            Asked::Gcp(gcp) => gcp.read(path).await,
        }
    }

    /// Replaces a value in a secret, or makes it; what else is in it stays. Only a Vault takes one.
    pub(crate) async fn write(&self, path: &str, key: &str, value: &str) -> Result<(), Fault> {
        match &self.keeper {
            Asked::Vault(vault) => vault.write(path, key, value).await,
            Asked::Aws(_) | Asked::Gcp(_) => {
                Err(Fault::Unusable("nothing is written there".to_owned()))
            }
        }
    }

    /// When a token that it was given is to be renewed, even if nothing is asked.
    pub(crate) async fn renewal(&self) -> Option<Instant> {
        match &self.keeper {
            Asked::Vault(vault) => vault.renewal().await,
            Asked::Aws(_) | Asked::Gcp(_) => None,
        }
    }

    /// Takes back the token that was made for the gateway, if one was.
    pub(crate) async fn leave(&self) {
        if let Asked::Vault(vault) = &self.keeper {
            vault.leave().await;
        }
    }

    /// Renews the token where that is due. What goes wrong shows where the token is used.
    pub(crate) async fn renew_if_due(&self) {
        if let Asked::Vault(vault) = &self.keeper {
            vault.renew_if_due().await;
        }
    }
}
