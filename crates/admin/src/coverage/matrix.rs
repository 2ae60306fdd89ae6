//! Which protections each route lacks: bits, kept for the configuration that they were found in.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Coverage, Wanted};

/// A protection that a route may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Column {
    Authentication,
    Grant,
    Limit,
    Schema,
    Waf,
    ClientTls,
    UpstreamTls,
}

impl Column {
    pub(crate) const ALL: [Self; 7] = [
        Self::Authentication,
        Self::Grant,
        Self::Limit,
        Self::Schema,
        Self::Waf,
        Self::ClientTls,
        Self::UpstreamTls,
    ];

    /// The word in queries and documents.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Grant => "grant",
            Self::Limit => "limit",
            Self::Schema => "schema",
            Self::Waf => "waf",
            Self::ClientTls => "client_tls",
            Self::UpstreamTls => "upstream_tls",
        }
    }

    /// What people read.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Authentication => "Authentication",
            Self::Grant => "Grant",
            Self::Limit => "Limit",
            Self::Schema => "Schema",
            Self::Waf => "WAF",
            Self::ClientTls => "TLS from clients",
            Self::UpstreamTls => "TLS to upstream",
        }
    }
}

/// What a route lacks, and whether it is open to everyone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gaps(u16);

impl Gaps {
    const PUBLIC: u16 = 1 << 8;
    const SERVED: u16 = 1 << 9;

    fn of(coverage: &dyn Coverage, at: usize) -> Self {
        let Some(route) = coverage.route(at) else { return Self::default() };
        // What is not served protects nothing, and leaves nothing open.
        if !route.is_enabled {
            return Self::default();
        }
        let mut gaps = Self(Self::SERVED);
        gaps.note(Column::ClientTls, coverage.way_of_clients(at).is_gap());
        if route.only_answers {
            return gaps;
        }
        let proofs = route.proofs;
        if route.is_public {
            gaps.0 |= Self::PUBLIC;
        }
        let is_undeclared = route.is_public && route.reason.is_none();
        gaps.note(Column::Authentication, !proofs.authentication || is_undeclared);
        gaps.note(Column::Grant, !proofs.grant);
        gaps.note(Column::Limit, !proofs.limit);
        gaps.note(Column::Schema, !proofs.schema);
        gaps.note(Column::Waf, !proofs.waf);
        gaps.note(Column::UpstreamTls, coverage.way_to_upstream(at).is_gap());
        gaps
    }

    fn note(&mut self, column: Column, is_gap: bool) {
        self.0 |= u16::from(is_gap) << column as u16;
    }

    pub(crate) const fn has(self, column: Column) -> bool {
        self.0 & (1 << column as u16) != 0
    }

    pub(crate) const fn has_any(self) -> bool {
        self.0 & 0xff != 0
    }

    pub(crate) const fn is_public(self) -> bool {
        self.0 & Self::PUBLIC != 0
    }

    const fn is_served(self) -> bool {
        self.0 & Self::SERVED != 0
    }
}

/// How many routes there are of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// All, out of service too.
    pub(crate) routes: usize,
    /// In service.
    pub(crate) served: usize,
    /// Open to everyone.
    pub(crate) open: usize,
    /// Lacking something.
    pub(crate) any: usize,
    /// Lacking a protection, in the order of [`Column::ALL`].
    pub(crate) gaps: [usize; Column::ALL.len()],
}

impl Totals {
    /// How many routes a filter by gaps admits.
    pub(crate) fn of(&self, wanted: Wanted) -> usize {
        match wanted {
            Wanted::All => self.routes,
            Wanted::AnyGap => self.any,
            Wanted::Open => self.open,
            Wanted::Gap(column) => self.gaps.get(column as usize).copied().unwrap_or_default(),
        }
    }
}

/// What all routes of a configuration lack.
#[derive(Debug)]
pub(crate) struct Matrix {
    version: u64,
    pub(crate) gaps: Box<[Gaps]>,
    pub(crate) totals: Totals,
}

impl Matrix {
    fn of(coverage: &dyn Coverage) -> Self {
        let gaps: Box<[Gaps]> = (0..coverage.len()).map(|at| Gaps::of(coverage, at)).collect();
        let count = |holds: &dyn Fn(Gaps) -> bool| gaps.iter().filter(|gaps| holds(**gaps)).count();
        let totals = Totals {
            routes: gaps.len(),
            served: count(&Gaps::is_served),
            open: count(&Gaps::is_public),
            any: count(&Gaps::has_any),
            gaps: Column::ALL.map(|column| count(&|gaps| gaps.has(column))),
        };
        Self { version: coverage.version(), gaps, totals }
    }
}

/// The matrix of the last configuration that somebody looked at.
#[derive(Debug, Default)]
pub(crate) struct Matrices(Mutex<Option<Arc<Matrix>>>);

impl Matrices {
    /// The matrix of a configuration, which is found where it is another one. Whoever looks at the
    /// same time waits for it.
    pub(crate) fn of(&self, coverage: &dyn Coverage) -> Arc<Matrix> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(known) if known.version == coverage.version() => Arc::clone(known),
            _ => {
                let matrix = Arc::new(Matrix::of(coverage));
                *kept = Some(Arc::clone(&matrix));
                matrix
            }
        }
    }
}
