//! Following a service: asking its registry again and again.

use std::sync::Weak;
use std::time::Duration;

use aws_lc_rs::rand;
use tokio::time::sleep;

use crate::fault::Fault;
use crate::found::Found;
use crate::service::Service;
use crate::{consul, dns, eureka, kubernetes, nacos};

/// The waits after failures.
const BACKOFF_MIN: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(30);

/// What a registry says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) found: Vec<Found>,
    /// How long it holds.
    pub(crate) hold: Duration,
}

/// One service in one registry, as it is asked.
pub(crate) enum Session {
    Dns(dns::Session),
    Consul(consul::Session),
    Kubernetes(Box<kubernetes::Session>),
    Nacos(nacos::Session),
    Eureka(eureka::Session),
}

impl Session {
    async fn next(&mut self) -> Result<Answer, Fault> {
        match self {
            Self::Dns(session) => session.next().await,
            Self::Consul(session) => session.next().await,
            Self::Kubernetes(session) => session.next().await,
            Self::Nacos(session) => session.next().await,
            Self::Eureka(session) => session.next().await,
        }
    }
}

/// Follows a service for as long as it is there.
pub(crate) async fn follow(mut session: Session, service: Weak<Service>) {
    let mut backoff = BACKOFF_MIN;
    loop {
        let asked = session.next().await;
        let Some(service) = service.upgrade() else { return };
        let told = asked.and_then(|answer| {
            service.take(answer.found)?;
            Ok(answer.hold)
        });
        let wait = match told {
            Ok(hold) => {
                backoff = BACKOFF_MIN;
                hold
            }
            Err(fault) => {
                service.fail(&fault);
                let wait = jittered(backoff);
                backoff = (backoff * 2).min(BACKOFF_MAX);
                wait
            }
        };
        // Nobody is kept by who waits.
        drop(service);
        sleep(wait).await;
    }
}

/// Between half of it and all of it, so that what lost the same registry does not return at once.
pub(crate) fn jittered(wait: Duration) -> Duration {
    let mut random = [0; 2];
    // Without randomness all of it is waited.
    let share = match rand::fill(&mut random) {
        Ok(()) => u32::from(u16::from_be_bytes(random)),
        Err(_) => u32::from(u16::MAX),
    };
    wait / 2 + wait / 2 * share / u32::from(u16::MAX)
}
