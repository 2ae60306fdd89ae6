//! Choosing routes of the matrix, in pages.

use std::sync::Arc;

use super::{Column, Coverage, Matrices, Row, Totals};

/// Routes on a page where nobody says how many.
pub(crate) const PAGE: usize = 50;
/// Longest text that is looked for, in bytes; of a longer one the rest does not count.
const TEXT_MAX: usize = 200;

/// Which routes are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Wanted {
    #[default]
    All,
    /// Those that lack something.
    AnyGap,
    /// Those that lack this.
    Gap(Column),
    /// Those that are open to everyone.
    Open,
}

impl Wanted {
    /// Every choice.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let gaps = Column::ALL.into_iter().map(Self::Gap);
        [Self::All, Self::AnyGap].into_iter().chain(gaps).chain([Self::Open])
    }

    /// The word in queries.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::All => "",
            Self::AnyGap => "any",
            Self::Gap(column) => column.code(),
            Self::Open => "open",
        }
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        Self::all().find(|wanted| wanted.code() == text)
    }
}

/// What is looked for, and which page of it.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    /// In id, name, paths and hosts, whatever the case of ASCII letters.
    pub(crate) text: String,
    pub(crate) wanted: Wanted,
    /// From 1 on.
    pub(crate) page: usize,
    pub(crate) size: usize,
}

impl Filter {
    pub(crate) fn new(text: &str, wanted: Wanted) -> Self {
        let text = text.trim();
        let text = text.get(..text.floor_char_boundary(TEXT_MAX)).unwrap_or_default();
        Self { text: text.to_owned(), wanted, page: 1, size: PAGE }
    }
}

/// The routes of a page.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) rows: Vec<Row>,
    /// How many the filter admits.
    pub(crate) total: usize,
    /// The page that this is; the last one where there are not so many.
    pub(crate) page: usize,
    pub(crate) pages: usize,
    /// Of all routes.
    pub(crate) totals: Totals,
}

impl Selection {
    /// Looks at every route: takes a while where there are many.
    pub(crate) fn of(coverage: &Arc<dyn Coverage>, matrices: &Matrices, filter: &Filter) -> Self {
        let coverage = &**coverage;
        let matrix = matrices.of(coverage);
        let found: Vec<usize> = matrix
            .gaps
            .iter()
            .enumerate()
            .filter(|(_, gaps)| match filter.wanted {
                Wanted::All => true,
                Wanted::AnyGap => gaps.has_any(),
                Wanted::Gap(column) => gaps.has(column),
                Wanted::Open => gaps.is_public(),
            })
            .map(|(at, _)| at)
            .filter(|at| holds_text(coverage, *at, &filter.text))
            .collect();
        let size = filter.size.max(1);
        let pages = found.len().div_ceil(size).max(1);
        let page = filter.page.clamp(1, pages);
        let shown = found.iter().skip((page - 1) * size).take(size);
        let rows = shown.filter_map(|at| Row::of(coverage, *at)).collect();
        Self { rows, total: found.len(), page, pages, totals: matrix.totals }
    }
}

fn holds_text(coverage: &dyn Coverage, at: usize, text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let Some(route) = coverage.route(at) else { return false };
    let holds = |hay: &str| {
        hay.as_bytes().windows(text.len()).any(|part| part.eq_ignore_ascii_case(text.as_bytes()))
    };
    holds(route.id)
        || route.name.is_some_and(holds)
        || route.uris.iter().chain(route.hosts).any(|text| holds(text))
}
