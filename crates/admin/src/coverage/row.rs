//! One route in full: what gives each protection, and what almost does.

use bartizan_chain::Proofs;
use bartizan_core::Stage;
use serde_json::{Value, json};

use super::{Column, Coverage, CoveredRoute, CoveringPlugin, Way};

/// Whether a route has a protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It has.
    Given,
    /// It has not, and says why.
    Open,
    /// It has not.
    Gap,
    /// There is nothing to be protected: it forwards nothing, or is not served.
    NotNeeded,
}

impl State {
    const fn code(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Open => "open",
            Self::Gap => "gap",
            Self::NotNeeded => "not_needed",
        }
    }
}

/// What gives a protection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Giver {
    pub(crate) plugin: &'static str,
    /// The kind of object that it stands in.
    pub(crate) from: &'static str,
    /// Its id, where it is not the route's own and known.
    pub(crate) id: Option<String>,
}

/// A plugin that gives less than a protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partly {
    pub(crate) plugin: &'static str,
    pub(crate) why: &'static str,
}

/// A route's standing in one column.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) state: State,
    pub(crate) by: Vec<Giver>,
    pub(crate) partly: Vec<Partly>,
    /// Of the columns about TLS.
    pub(crate) way: Option<Way>,
}

/// A route of the matrix.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) service: Option<String>,
    pub(crate) uris: Vec<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) methods: Vec<String>,
    pub(crate) is_enabled: bool,
    pub(crate) is_public: bool,
    pub(crate) reason: Option<String>,
    /// In the order of [`Column::ALL`].
    pub(crate) cells: [Cell; Column::ALL.len()],
}

/// What a column asks of plugins: the proof, and the stage in which others may try.
fn asked(column: Column, proofs: Proofs) -> Option<(bool, Option<Stage>)> {
    match column {
        Column::Authentication => Some((proofs.authentication, Some(Stage::Authenticate))),
        Column::Grant => Some((proofs.grant, Some(Stage::Authorize))),
        Column::Limit => Some((proofs.limit, None)),
        Column::Schema => Some((proofs.schema, Some(Stage::Validate))),
        Column::Waf => Some((proofs.waf, Some(Stage::Inspect))),
        Column::ClientTls | Column::UpstreamTls => None,
    }
}

impl Row {
    pub(crate) fn of(coverage: &dyn Coverage, at: usize) -> Option<Self> {
        let route = coverage.route(at)?;
        let plugins = coverage.plugins(at);
        let cells = Column::ALL.map(|column| match column {
            Column::ClientTls => way_cell(&route, coverage.way_of_clients(at)),
            Column::UpstreamTls if route.only_answers => way_cell(&route, Way::Nothing),
            Column::UpstreamTls => way_cell(&route, coverage.way_to_upstream(at)),
            _ => plugin_cell(&route, &plugins, column),
        });
        Some(Self {
            id: route.id.to_owned(),
            name: route.name.map(str::to_owned),
            service: route.service.map(str::to_owned),
            uris: route.uris.to_vec(),
            hosts: route.hosts.to_vec(),
            methods: route.methods.to_vec(),
            is_enabled: route.is_enabled,
            is_public: route.is_public,
            reason: route.reason.map(str::to_owned),
            cells,
        })
    }

    pub(crate) fn cells(&self) -> impl Iterator<Item = (Column, &Cell)> {
        Column::ALL.into_iter().zip(&self.cells)
    }

    /// The row as the API tells it.
    pub(crate) fn to_json(&self) -> Value {
        let mut value = json!({
            "id": self.id, "name": self.name, "service_id": self.service,
            "uris": self.uris, "hosts": self.hosts, "methods": self.methods,
            "enabled": self.is_enabled, "open": self.is_public, "reason": self.reason,
        });
        if let Some(members) = value.as_object_mut() {
            let cells =
                self.cells().map(|(column, cell)| (column.code().to_owned(), cell.to_json()));
            members.extend(cells);
        }
        value
    }
}

impl Cell {
    fn to_json(&self) -> Value {
        if let Some(way) = &self.way {
            let host = match way {
                Way::NoCertificate(host) => Some(host),
                _ => None,
            };
            return json!({ "state": self.state.code(), "way": way.code(), "host": host });
        }
        let by =
            self.by.iter().map(|by| json!({ "plugin": by.plugin, "from": by.from, "id": by.id }));
        let partly = self.partly.iter().map(|one| json!({ "plugin": one.plugin, "why": one.why }));
        json!({
            "state": self.state.code(),
            "by": by.collect::<Vec<_>>(),
            "partly": partly.collect::<Vec<_>>(),
        })
    }
}

fn way_cell(route: &CoveredRoute<'_>, way: Way) -> Cell {
    let state = match &way {
        _ if !route.is_enabled => State::NotNeeded,
        Way::Nothing => State::NotNeeded,
        way if way.is_gap() => State::Gap,
        _ => State::Given,
    };
    Cell { state, by: Vec::new(), partly: Vec::new(), way: Some(way) }
}

fn plugin_cell(route: &CoveredRoute<'_>, plugins: &[CoveringPlugin], column: Column) -> Cell {
    let mut by: Vec<Giver> = Vec::new();
    let mut partly: Vec<Partly> = Vec::new();
    for plugin in plugins {
        let Some((proves, stage)) = asked(column, plugin.proves) else { continue };
        // Declarations are told by the state.
        let is_declaration = column == Column::Authentication
            && proves
            && plugin.stage == Stage::Authenticate
            && route.is_public;
        if proves && !plugin.is_conditional {
            let giver = Giver { plugin: plugin.name, from: plugin.from, id: origin(route, plugin) };
            if !is_declaration && !by.contains(&giver) {
                by.push(giver);
            }
        } else if proves || stage == Some(plugin.stage) {
            let why = if plugin.is_conditional {
                "runs only where its filter holds"
            } else {
                "lets some requests pass"
            };
            let one = Partly { plugin: plugin.name, why };
            if !partly.contains(&one) {
                partly.push(one);
            }
        }
    }
    let has = asked(column, route.proofs).is_some_and(|(has, _)| has);
    let is_open = route.is_public && matches!(column, Column::Authentication | Column::Grant);
    let state = match has {
        _ if !route.is_enabled || route.only_answers => State::NotNeeded,
        _ if is_open && route.reason.is_some() => State::Open,
        true if !(is_open && column == Column::Authentication) => State::Given,
        _ => State::Gap,
    };
    // Of whom nobody knows, nobody asks what they may do.
    if state == State::Open && column == Column::Grant {
        partly.clear();
        by.clear();
    }
    partly.retain(|one| by.iter().all(|giver| giver.plugin != one.plugin));
    Cell { state, by, partly, way: None }
}

/// The id of the object that a plugin stands in, where the route's is not meant.
fn origin(route: &CoveredRoute<'_>, plugin: &CoveringPlugin) -> Option<String> {
    let id = match plugin.from {
        "service" => route.service,
        "plugin config" => route.plugin_config,
        _ => None,
    };
    id.map(str::to_owned)
}
