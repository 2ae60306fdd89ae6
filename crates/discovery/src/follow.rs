//! Following a service: asking its registry again and again.

use std::sync::Weak;
use std::time::Duration;

use bartizan_core::Backoff;
use tokio::time::{Instant, sleep};

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
    let mut backoff = Backoff::new(BACKOFF_MIN, BACKOFF_MAX);
    // Since when every answer was good.
    let mut good: Option<Instant> = None;
    loop {
        let asked = session.next().await;
        let Some(service) = service.upgrade() else { return };
        let told = asked.and_then(|answer| {
            service.take(answer.found)?;
            Ok(answer.hold)
        });
        let wait = match told {
            Ok(hold) => {
                // One good answer may be all that there is between two failures.
                if good.is_some() {
                    backoff.reset();
                }
                good.get_or_insert_with(Instant::now);
                hold
            }
            Err(fault) => {
                service.fail(&fault);
                backoff.after(good.take().map_or(Duration::ZERO, |since| since.elapsed()))
            }
        };
        // Nobody is kept by who waits.
        drop(service);
        sleep(wait).await;
    }
}
