//! The matrix of routes and protections.

use http::StatusCode;

use crate::api::{Api, Asked, What};
use crate::coverage::{Cell, Column, Filter, PAGE, Row, Selection, State, Wanted, Way};
use crate::dashboard::Shown;
use crate::dashboard::html::Html;
use crate::dashboard::layout::{Frame, Paged, and_more, number, table};

const HEADS: [&str; 8] = [
    "Route",
    Column::ALL[0].title(),
    Column::ALL[1].title(),
    Column::ALL[2].title(),
    Column::ALL[3].title(),
    Column::ALL[4].title(),
    Column::ALL[5].title(),
    Column::ALL[6].title(),
];

/// Paths, hosts and methods that are shown of a route.
const SHOWN: usize = 3;

/// The page.
pub(in crate::dashboard) async fn routes(api: &Api, asked: &Asked) -> Shown {
    asked.allow(&What::read("coverage"))?;
    let filter = Filter::read(&asked.query)?;
    let found = api.selected(filter.clone()).await?;
    let mut html = Html::default();
    html.raw("<p class=\"muted\">What always runs for a route, as it was compiled. ")
        .raw("What comes with a consumer or its group is added for who proves to be one.</p>");
    form(&mut html, &filter, &found);
    summary(&mut html, &found);
    if found.rows.is_empty() {
        html.raw("<p class=\"note\">No route is like that.</p>");
    } else {
        table(&mut html, "matrix", "Routes and what protects them", &HEADS, |html| {
            for row in &found.rows {
                line(html, row);
            }
        });
    }
    let paged = Paged { page: found.page, pages: found.pages };
    let size = if filter.size == PAGE { String::new() } else { filter.size.to_string() };
    let kept = [("q", &*filter.text), ("gap", filter.wanted.code()), ("page_size", &*size)];
    paged.links(&mut html, "/ui/routes", &kept);
    let frame = Frame { title: "Routes", place: "/ui/routes", operator: Some(&asked.operator) };
    Ok(frame.around(StatusCode::OK, &html))
}

fn choice(wanted: Wanted) -> &'static str {
    match wanted {
        Wanted::All => "all routes",
        Wanted::AnyGap => "lacking anything",
        Wanted::Open => "open to everyone",
        Wanted::Gap(Column::Authentication) => "without authentication",
        Wanted::Gap(Column::Grant) => "without a grant",
        Wanted::Gap(Column::Limit) => "without a limit",
        Wanted::Gap(Column::Schema) => "without a schema",
        Wanted::Gap(Column::Waf) => "without a WAF",
        Wanted::Gap(Column::ClientTls) => "without TLS from clients",
        Wanted::Gap(Column::UpstreamTls) => "without TLS to the upstream",
    }
}

fn form(html: &mut Html, filter: &Filter, found: &Selection) {
    html.raw("<form class=\"filter\" method=\"get\" action=\"/ui/routes\" role=\"search\">")
        .raw("<label for=\"q\">Id, name, path or host</label>")
        .raw("<input id=\"q\" name=\"q\" type=\"search\" maxlength=\"200\" value=\"")
        .text(&filter.text)
        .raw("\"><label for=\"gap\">Show</label><select id=\"gap\" name=\"gap\">");
    for wanted in Wanted::all() {
        html.raw("<option value=\"").raw(wanted.code()).raw("\"");
        if wanted == filter.wanted {
            html.raw(" selected");
        }
        html.raw(">").raw(choice(wanted)).raw(" (");
        number(html, found.totals.of(wanted));
        html.raw(")</option>");
    }
    html.raw("</select><button type=\"submit\">Filter</button>");
    if !filter.text.is_empty() || filter.wanted != Wanted::All {
        html.raw("<a href=\"/ui/routes\">Show all</a>");
    }
    html.raw("</form>");
}

fn summary(html: &mut Html, found: &Selection) {
    html.raw("<p role=\"status\">");
    number(html, found.total);
    html.raw(if found.total == 1 { " route" } else { " routes" });
    if found.total != found.totals.routes {
        html.raw(" of ");
        number(html, found.totals.routes);
    }
    html.raw(".</p>");
}

fn line(html: &mut Html, row: &Row) {
    html.raw("<tr><th scope=\"row\"><span class=\"id\">").text(&row.id).raw("</span>");
    if let Some(name) = &row.name {
        html.raw(" <span class=\"name\">").text(name).raw("</span>");
    }
    if !row.is_enabled {
        html.raw(" <strong class=\"badge\">out of service</strong>");
    }
    html.raw("<div class=\"serves\">");
    if !row.methods.is_empty() {
        html.raw("<span>").joined(&row.methods, "\u{a0}", |html, text| _ = html.text(text));
        html.raw("</span> ");
    }
    few(html, &row.hosts);
    few(html, &row.uris);
    html.raw("</div></th>");
    for (column, cell) in row.cells() {
        html.raw("<td>");
        // Why it is open stands in its first column.
        let reason = row.reason.as_deref().filter(|_| column == Column::Authentication);
        standing(html, reason, cell);
        html.raw("</td>");
    }
    html.raw("</tr>");
}

/// The first of some texts, and how many more there are.
fn few(html: &mut Html, texts: &[String]) {
    for text in texts.iter().take(SHOWN) {
        html.raw("<code>").text(text).raw("</code> ");
    }
    and_more(html, texts.len().saturating_sub(SHOWN), "<span>", "</span> ");
}

fn standing(html: &mut Html, reason: Option<&str>, cell: &Cell) {
    match (cell.state, &cell.way) {
        (State::NotNeeded, _) => _ = html.raw("<span class=\"muted\">not needed</span>"),
        (_, Some(way)) => travels(html, way),
        (State::Gap, None) => _ = html.raw("<strong class=\"badge gap\">none</strong>"),
        (State::Open, None) => {
            html.raw("<strong class=\"badge open\">open</strong>");
            if let Some(reason) = reason {
                html.raw("<small>").text(reason).raw("</small>");
            }
        }
        (State::Given, None) => {}
    }
    if cell.state == State::NotNeeded {
        return;
    }
    for giver in &cell.by {
        html.raw("<span class=\"by\"><code>").text(giver.plugin).raw("</code>");
        if giver.from != "route" {
            html.raw(" <small>").raw(giver.from);
            if let Some(id) = &giver.id {
                html.raw(" ").text(id);
            }
            html.raw("</small>");
        }
        html.raw("</span>");
    }
    for one in &cell.partly {
        html.raw("<small class=\"partly\"><code>").text(one.plugin).raw("</code> ");
        html.raw(one.why).raw("</small>");
    }
}

fn travels(html: &mut Html, way: &Way) {
    let (class, words) = match way {
        Way::Tls => ("ok", "TLS"),
        Way::ThisMachine => ("muted", "this machine only"),
        Way::Nothing => ("muted", "not needed"),
        Way::AlsoInClear => ("badge gap", "also in clear"),
        Way::InClear => ("badge gap", "in clear"),
        Way::Unverified => ("badge gap", "unverified"),
        Way::NoCertificate(_) => ("badge gap", "no certificate"),
        Way::Unknown => ("badge gap", "unknown"),
    };
    html.raw("<span class=\"").raw(class).raw("\">").raw(words).raw("</span>");
    if let Way::NoCertificate(host) = way {
        html.raw("<small>for <code>").text(host).raw("</code></small>");
    }
}
