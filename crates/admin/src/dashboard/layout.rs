//! What all pages have: the frame, and the forms that tables, pages of lists and times take.

use std::ops::Range;
use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;

use super::html::Html;
use crate::api::{Answer, What};
use crate::operators::Operator;

/// The stylesheet.
pub(super) const STYLE: &str = include_str!("style.css");
/// The icon.
pub(super) const ICON: &str = include_str!("icon.svg");

/// Items of a list on one page.
pub(super) const PAGE: usize = 50;

/// What names the text of the stylesheet.
pub(super) fn style_version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let hash = digest(&SHA256, STYLE.as_bytes());
        URL_SAFE_NO_PAD.encode(hash.as_ref().get(..12).unwrap_or_default())
    });
    &VERSION
}

/// A page that is linked from every other: its path, its name, and what it reads.
pub(super) struct Place {
    pub(super) path: &'static str,
    pub(super) name: &'static str,
    pub(super) reads: &'static str,
}

/// The pages, in their order.
pub(super) const PLACES: [Place; 6] = [
    Place { path: "/ui/", name: "Overview", reads: "status" },
    Place { path: "/ui/routes", name: "Routes", reads: "coverage" },
    Place { path: "/ui/quarantine", name: "Quarantine", reads: "quarantine" },
    Place { path: "/ui/revisions", name: "Revisions", reads: "revisions" },
    Place { path: "/ui/denials", name: "Denials", reads: "denials" },
    Place { path: "/ui/upstreams", name: "Upstreams", reads: "upstreams" },
];

/// Whether an operator may see something.
pub(super) fn could(operator: &Operator, reads: &str) -> bool {
    What::read(reads).judged(|act| operator.could(act))
}

/// What stands around the content of a page.
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    /// The path of the page, or of the one that it belongs to.
    pub(super) place: &'static str,
    /// Who looks, once that is known.
    pub(super) operator: Option<&'a Operator>,
}

impl Frame<'_> {
    /// The page.
    pub(super) fn around(&self, status: StatusCode, content: &Html) -> Answer {
        let mut html = Html::default();
        html.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")
            .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")
            .raw("<meta name=\"color-scheme\" content=\"light dark\"><title>")
            .text(self.title)
            .raw(" · Bartizan</title><link rel=\"icon\" href=\"/ui/icon.svg\" type=\"image/svg+xml\">")
            .raw("<link rel=\"stylesheet\" href=\"/ui/style.css?v=")
            .text(style_version())
            .raw("\"></head><body><a class=\"skip\" href=\"#main\">Skip to the content</a>");
        self.header(&mut html);
        let class = if self.operator.is_some() { "" } else { "door" };
        html.raw("<main id=\"main\" tabindex=\"-1\" class=\"")
            .raw(class)
            .raw("\"><h1>")
            .text(self.title)
            .raw("</h1>");
        html.part(content).raw("</main></body></html>\n");
        Answer::page(status, html.into_string())
    }

    fn header(&self, html: &mut Html) {
        html.raw("<header class=\"top\"><a class=\"brand\" href=\"/ui/\">")
            .raw("<img src=\"/ui/icon.svg\" alt=\"\" width=\"20\" height=\"20\">Bartizan</a>");
        let Some(operator) = self.operator else {
            html.raw("</header>");
            return;
        };
        html.raw("<nav aria-label=\"Pages\"><ul>");
        for place in PLACES.iter().filter(|place| could(operator, place.reads)) {
            html.raw("<li><a href=\"").raw(place.path).raw("\"");
            if place.path == self.place {
                html.raw(" aria-current=\"page\"");
            }
            html.raw(">").raw(place.name).raw("</a></li>");
        }
        html.raw("</ul></nav><div class=\"who\"><span>")
            .text(operator.name())
            .raw(" <small>")
            .text(operator.role().name())
            .raw("</small></span><form method=\"post\" action=\"/ui/session/end\">")
            .raw("<button type=\"submit\">Sign out</button></form></div></header>");
    }
}

/// A table in a region of its own, which is scrolled where it is too wide.
pub(super) fn table(
    html: &mut Html,
    class: &'static str,
    caption: &'static str,
    heads: &[&'static str],
    rows: impl FnOnce(&mut Html),
) {
    table_about(html, class, (caption, ""), heads, rows);
}

/// The same, of which a page has one for each of several things.
pub(super) fn table_about(
    html: &mut Html,
    class: &'static str,
    (caption, what): (&'static str, &str),
    heads: &[&'static str],
    rows: impl FnOnce(&mut Html),
) {
    html.raw("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"").raw(caption);
    if !what.is_empty() {
        html.raw(" in ").text(what);
    }
    html.raw("\"><table class=\"")
        .raw(class)
        .raw("\"><caption>")
        .raw(caption)
        .raw("</caption><thead><tr>");
    for head in heads {
        html.raw("<th scope=\"col\">").raw(head).raw("</th>");
    }
    html.raw("</tr></thead><tbody>");
    rows(html);
    html.raw("</tbody></table></div>");
}

/// A time, as RFC 3339 has it.
pub(super) fn time(html: &mut Html, rfc3339: &str) {
    let (date, rest) = rfc3339.split_once('T').unwrap_or((rfc3339, ""));
    let second = rest.split(['.', 'Z']).next().unwrap_or_default();
    html.raw("<time datetime=\"").text(rfc3339).raw("\">").text(date).raw(" ").text(second);
    html.raw("</time>");
}

/// A number with spaces between thousands, which do not break.
pub(super) fn number(html: &mut Html, value: impl TryInto<u64>) {
    let digits = value.try_into().unwrap_or(u64::MAX).to_string();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            html.raw("\u{a0}");
        }
        html.show(digit);
    }
}

/// How many more there are than are shown, if any are, between two pieces of markup.
pub(super) fn and_more(html: &mut Html, more: usize, before: &'static str, after: &'static str) {
    if more > 0 {
        html.raw(before).raw("and ");
        number(html, more);
        html.raw(" more").raw(after);
    }
}

/// The page of a list that a query asks for, and the items that are on it.
pub(super) struct Paged {
    pub(super) page: usize,
    pub(super) pages: usize,
}

impl Paged {
    pub(super) fn of(asked: Option<&str>, total: usize) -> Self {
        let pages = total.div_ceil(PAGE).max(1);
        let page = asked.and_then(|page| page.parse().ok()).unwrap_or(1_usize);
        Self { page: page.clamp(1, pages), pages }
    }

    /// Which of `total` items are on it.
    pub(super) fn range(&self, total: usize) -> Range<usize> {
        let start = (self.page - 1).saturating_mul(PAGE).min(total);
        start..start.saturating_add(PAGE).min(total)
    }

    pub(super) fn items<'l, T>(&self, list: &'l [T]) -> &'l [T] {
        list.get(self.range(list.len())).unwrap_or_default()
    }

    /// Links to the pages around; nothing where there is one page.
    pub(super) fn links(&self, html: &mut Html, path: &'static str, kept: &[(&'static str, &str)]) {
        if self.pages < 2 {
            return;
        }
        let link = |html: &mut Html, page: usize, text: &'static str, rel: &'static str| {
            if !(1..=self.pages).contains(&page) {
                html.raw("<span class=\"off\">").raw(text).raw("</span>");
                return;
            }
            html.raw("<a rel=\"").raw(rel).raw("\" href=\"").raw(path).raw("?page=").show(page);
            for (name, value) in kept.iter().filter(|(_, value)| !value.is_empty()) {
                html.raw("&amp;").raw(name).raw("=").param(value);
            }
            html.raw("\">").raw(text).raw("</a>");
        };
        html.raw("<nav class=\"pager\" aria-label=\"Pages of the list\">");
        link(html, self.page.saturating_sub(1), "Previous", "prev");
        html.raw("<span>Page ");
        number(html, self.page);
        html.raw(" of ");
        number(html, self.pages);
        html.raw("</span>");
        link(html, self.page + 1, "Next", "next");
        html.raw("</nav>");
    }
}
