//! Routes for tests.

use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_chain::Proofs;
use bartizan_core::Stage;

use super::{Coverage, CoveredRoute, CoveringPlugin, Way};

/// A route.
#[derive(Clone, Debug)]
pub(crate) struct SampleRoute {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) uris: Vec<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) is_enabled: bool,
    pub(crate) only_answers: bool,
    pub(crate) proofs: Proofs,
    pub(crate) is_public: bool,
    pub(crate) reason: Option<String>,
    pub(crate) plugins: Vec<CoveringPlugin>,
    pub(crate) from: Way,
    pub(crate) to: Way,
}

/// What proves everything.
pub(crate) const ALL: Proofs =
    Proofs { authentication: true, grant: true, limit: true, schema: true, waf: true };

impl SampleRoute {
    /// A route with every protection, whoever gives them.
    pub(crate) fn of(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: None,
            service: None,
            uris: vec![format!("/{id}")],
            hosts: Vec::new(),
            is_enabled: true,
            only_answers: false,
            proofs: ALL,
            is_public: false,
            reason: None,
            plugins: Vec::new(),
            from: Way::Tls,
            to: Way::Tls,
        }
    }
}

/// A plugin of a route.
pub(crate) fn plugin(name: &'static str, stage: Stage, proves: Proofs) -> CoveringPlugin {
    CoveringPlugin { name, stage, is_conditional: false, from: "route", proves }
}

/// Routes, and how often they were looked at.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    pub(crate) version: u64,
    pub(crate) routes: Vec<SampleRoute>,
    /// How often the gaps of one were asked for.
    pub(crate) looks: AtomicUsize,
    /// How often one was looked at in full.
    pub(crate) full_looks: AtomicUsize,
}

impl Coverage for Sample {
    fn version(&self) -> u64 {
        self.version
    }

    fn len(&self) -> usize {
        self.routes.len()
    }

    fn route(&self, at: usize) -> Option<CoveredRoute<'_>> {
        let route = self.routes.get(at)?;
        Some(CoveredRoute {
            id: &route.id,
            name: route.name.as_deref(),
            service: route.service.as_deref(),
            plugin_config: None,
            uris: &route.uris,
            hosts: &route.hosts,
            methods: &[],
            is_enabled: route.is_enabled,
            only_answers: route.only_answers,
            proofs: route.proofs,
            is_public: route.is_public,
            reason: route.reason.as_deref(),
        })
    }

    fn plugins(&self, at: usize) -> Vec<CoveringPlugin> {
        self.full_looks.fetch_add(1, Ordering::Relaxed);
        self.routes.get(at).map(|route| route.plugins.clone()).unwrap_or_default()
    }

    fn way_of_clients(&self, at: usize) -> Way {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.routes.get(at).map_or(Way::Nothing, |route| route.from.clone())
    }

    fn way_to_upstream(&self, at: usize) -> Way {
        self.routes.get(at).map_or(Way::Nothing, |route| route.to.clone())
    }
}
