//! What protects each route: a matrix of routes and protections, for people and their tools.
//!
//! The node tells what it compiled ([`Coverage`]); what a protection is, the plugins themselves say
//! by what they prove. The gaps of all routes are found once for each configuration
//! ([`Matrix`]: two bytes a route), and only the routes of a page are looked at in full.

mod matrix;
mod row;
#[cfg(test)]
pub(crate) mod samples;
mod select;
#[cfg(test)]
mod tests;

use std::fmt::Debug;

use bartizan_chain::Proofs;
use bartizan_core::Stage;

pub(crate) use matrix::{Column, Matrices, Totals};
pub(crate) use row::{Cell, Row, State};
pub(crate) use select::{Filter, PAGE, Selection, Wanted};

/// How requests travel some of their way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Under TLS, by which the server proves who it is.
    Tls,
    /// Under TLS, but the listeners have no certificate for this host.
    NoCertificate(String),
    /// In clear, within this machine.
    ThisMachine,
    /// Under TLS, and in clear for who likes that better.
    AlsoInClear,
    /// In clear.
    InClear,
    /// Under TLS, with whoever answers.
    Unverified,
    /// Nothing travels there.
    Nothing,
    /// It is not known, since what is in force changes right now.
    Unknown,
}

impl Way {
    /// Whether others on the way could read or change what is sent, or nobody gets through.
    pub const fn is_gap(&self) -> bool {
        !matches!(self, Self::Tls | Self::ThisMachine | Self::Nothing)
    }

    /// The word for it.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::NoCertificate(_) => "no_certificate",
            Self::ThisMachine => "this_machine",
            Self::AlsoInClear => "also_in_clear",
            Self::InClear => "in_clear",
            Self::Unverified => "unverified",
            Self::Nothing => "nothing",
            Self::Unknown => "unknown",
        }
    }
}

/// A route in force.
#[derive(Clone, Copy, Debug)]
pub struct CoveredRoute<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name.
    pub name: Option<&'a str>,
    /// The id of its service.
    pub service: Option<&'a str>,
    /// The id of its plugin config.
    pub plugin_config: Option<&'a str>,
    /// Its paths.
    pub uris: &'a [String],
    /// Its hosts; none: any.
    pub hosts: &'a [String],
    /// Its methods; none: any.
    pub methods: &'a [String],
    /// Whether it is served.
    pub is_enabled: bool,
    /// It answers everything by itself and forwards nothing.
    pub only_answers: bool,
    /// What every request that passes has proved.
    pub proofs: Proofs,
    /// Nobody needs to be known.
    pub is_public: bool,
    /// Why, where that is declared.
    pub reason: Option<&'a str>,
}

/// A plugin of a route, in a stage in which it does something.
#[derive(Clone, Copy, Debug)]
pub struct CoveringPlugin {
    /// Its name.
    pub name: &'static str,
    /// The stage.
    pub stage: Stage,
    /// A filter decides for each request whether it runs.
    pub is_conditional: bool,
    /// The kind of object that it is written in, in words: `route`, `service`, `plugin config`,
    /// `global rule`.
    pub from: &'static str,
    /// What it proves where it runs.
    pub proves: Proofs,
}

/// The routes in force, by position.
pub trait Coverage: Debug + Send + Sync + 'static {
    /// Another number for every change.
    fn version(&self) -> u64;

    /// How many routes there are.
    fn len(&self) -> usize;

    /// True if there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A route.
    fn route(&self, at: usize) -> Option<CoveredRoute<'_>>;

    /// The plugins that run for it.
    fn plugins(&self, at: usize) -> Vec<CoveringPlugin>;

    /// How clients reach it.
    fn way_of_clients(&self, at: usize) -> Way;

    /// How requests get from here to its upstream.
    fn way_to_upstream(&self, at: usize) -> Way;
}
