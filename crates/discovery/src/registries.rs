//! The registries of a node, and the services in them that somebody holds.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bartizan_config::{Discovery, FoundIn, Invalid, PathStep, RegistryType};
use bartizan_core::Clock;
use bartizan_core::metrics::SharedMetrics;
use bartizan_net::Reach;
use bartizan_tls::{UpstreamTlsSettings, client_config};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rustls::ClientConfig;
use tokio::sync::oneshot;

use crate::follow::{Session, follow};
use crate::service::Service;
use crate::{consul, dns, eureka, kubernetes, nacos};

/// The most services that the resources of a node may name, each counted once.
pub const SERVICES_MAX: usize = 1_024;
/// The most services that are followed at once. Those that resources named before are followed as
/// long as requests under way may need them, so that all of them can be exchanged for others.
pub const FOLLOWED_MAX: usize = 2 * SERVICES_MAX;

/// The registries of a node.
pub struct Registries {
    dns: Option<Arc<dns::Registry>>,
    consul: Option<Arc<consul::Registry>>,
    kubernetes: Option<Arc<kubernetes::Registry>>,
    nacos: Option<Arc<nacos::Registry>>,
    eureka: Option<Arc<eureka::Registry>>,
    services: Mutex<HashMap<FoundIn, Weak<Service>, RandomState>>,
    reach: Arc<dyn Reach>,
    metrics: SharedMetrics,
}

impl fmt::Debug for Registries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registries").finish_non_exhaustive()
    }
}

impl Registries {
    /// The registries that a node file names, asked by way of `reach`. Fails where one cannot be
    /// asked as it is written.
    pub fn new(
        settings: &Discovery,
        reach: Arc<dyn Reach>,
        clock: &Clock,
        metrics: SharedMetrics,
    ) -> Result<Self, Invalid> {
        let turns = crate::http::turns();
        let dns = settings.dns.as_ref();
        let consul = settings.consul.as_ref().map(|settings| {
            let tls = tls("consul", settings.ca_certs.as_deref(), &settings.servers, clock)?;
            let made = consul::Registry::new(settings, tls.as_ref(), reach.clone(), &turns);
            made.map(Arc::new).map_err(|fault| of_servers("consul", fault))
        });
        let nacos = settings.nacos.as_ref().map(|settings| {
            let tls = tls("nacos", settings.ca_certs.as_deref(), &settings.servers, clock)?;
            let made = nacos::Registry::new(settings, tls.as_ref(), reach.clone(), &turns);
            made.map(Arc::new).map_err(|fault| of_servers("nacos", fault))
        });
        let eureka = settings.eureka.as_ref().map(|settings| {
            let tls = tls("eureka", settings.ca_certs.as_deref(), &settings.servers, clock)?;
            let made = eureka::Registry::new(settings, tls.as_ref(), reach.clone(), &turns);
            made.map(Arc::new).map_err(|fault| of_servers("eureka", fault))
        });
        let kubernetes = settings.kubernetes.as_ref().map(|settings| {
            let servers = std::slice::from_ref(&settings.server);
            let tls = tls("kubernetes", Some(&settings.ca_certs), servers, clock)?;
            let made = kubernetes::Registry::new(settings, tls.as_ref(), reach.clone(), &turns);
            made.map(Arc::new)
                .map_err(|(_, problem)| below("kubernetes", Invalid::at("server", problem)))
        });
        Ok(Self {
            dns: dns.map(|settings| Arc::new(dns::Registry::new(settings, reach.clone()))),
            consul: consul.transpose()?,
            kubernetes: kubernetes.transpose()?,
            nacos: nacos.transpose()?,
            eureka: eureka.transpose()?,
            services: Mutex::default(),
            reach,
            metrics,
        })
    }

    /// A service, which is followed from now on if it was not before. Fails where the node has no
    /// such registry, where nothing there can be called so, and where too many are followed.
    pub fn service(&self, asked: &FoundIn) -> Result<Arc<Service>, Invalid> {
        let session = self.session(asked)?;
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = services.get(asked).and_then(Weak::upgrade) {
            return Ok(known);
        }
        if services.len() >= FOLLOWED_MAX {
            services.retain(|_, service| service.strong_count() > 0);
        }
        if services.len() >= FOLLOWED_MAX {
            let problem = format!("{FOLLOWED_MAX} services are followed already");
            return Err(Invalid::at("service_name", problem));
        }
        let (end, ended) = oneshot::channel();
        let label = format!("{}/{}", asked.registry.name(), asked.service);
        let service = Arc::new(Service::new(label.into(), self.metrics.clone(), end));
        services.insert(asked.clone(), Arc::downgrade(&service));
        let weak = Arc::downgrade(&service);
        self.reach.spawn(Box::pin(async move {
            tokio::select! {
                _ = ended => {}
                () = follow(session, weak) => {}
            }
        }));
        Ok(service)
    }

    fn session(&self, asked: &FoundIn) -> Result<Session, Invalid> {
        let registry = asked.registry;
        let named = |problem: String| Invalid::at("service_name", problem);
        match registry {
            RegistryType::Dns => {
                let dns = self.dns.as_ref().ok_or_else(|| absent(registry))?;
                dns.session(&asked.service).map(Session::Dns).map_err(named)
            }
            RegistryType::Consul => {
                let consul = self.consul.as_ref().ok_or_else(|| absent(registry))?;
                Ok(Session::Consul(consul.session(&asked.service)))
            }
            RegistryType::Kubernetes => {
                let kubernetes = self.kubernetes.as_ref().ok_or_else(|| absent(registry))?;
                let session = kubernetes.session(&asked.service).map_err(named)?;
                Ok(Session::Kubernetes(Box::new(session)))
            }
            RegistryType::Nacos => {
                let nacos = self.nacos.as_ref().ok_or_else(|| absent(registry))?;
                Ok(Session::Nacos(nacos.session(&asked.service, &asked.args)))
            }
            RegistryType::Eureka => {
                let eureka = self.eureka.as_ref().ok_or_else(|| absent(registry))?;
                Ok(Session::Eureka(eureka.session(&asked.service)))
            }
        }
    }
}

/// TLS towards servers of which one is `https`; never without verification.
fn tls(
    registry: &str,
    authorities: Option<&str>,
    servers: &[String],
    clock: &Clock,
) -> Result<Option<Arc<ClientConfig>>, Invalid> {
    let is_tls = |url: &String| url.to_ascii_lowercase().starts_with("https://");
    if !servers.iter().any(is_tls) {
        return Ok(None);
    }
    let settings = UpstreamTlsSettings {
        ca_certs: authorities.map(str::to_owned),
        ..UpstreamTlsSettings::default()
    };
    let config = client_config(&settings, clock).map(Some);
    config.map_err(|fault| below(registry, Invalid::at("ca_certs", fault.to_string())))
}

/// One of its servers cannot be asked.
fn of_servers(registry: &str, (index, problem): (usize, String)) -> Invalid {
    below(registry, Invalid::at_item("servers", index, problem))
}

fn below(registry: &str, invalid: Invalid) -> Invalid {
    invalid.under(PathStep::Key(registry.into())).under(PathStep::Key("discovery".into()))
}

/// The node has no such registry.
fn absent(registry: RegistryType) -> Invalid {
    let name = registry.name();
    let example = match registry {
        RegistryType::Dns => "discovery: { dns: { servers: [\"10.0.0.2\"] } }",
        RegistryType::Consul => "discovery: { consul: { servers: [\"https://consul:8501\"] } }",
        RegistryType::Kubernetes => "discovery: { kubernetes: {} }",
        RegistryType::Nacos => "discovery: { nacos: { servers: [\"https://nacos:8848/nacos\"] } }",
        RegistryType::Eureka => {
            "discovery: { eureka: { servers: [\"https://eureka:8761/eureka\"] } }"
        }
    };
    Invalid::at("discovery_type", format!("the node has no registry `{name}`"))
        .with_help(format!("write `{example}` into the node file, with its own servers"))
}
