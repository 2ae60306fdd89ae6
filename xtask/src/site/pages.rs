//! Pages of HTML: each link leads to a file of the site, and nothing is loaded from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Pages that no link leads to from a known place.
const ANYWHERE: &str = "404.html";

/// A page: what it links to, what it loads, and what of it can be linked to.
#[derive(Default)]
struct Page {
    links: Vec<String>,
    loads: Vec<String>,
    places: BTreeSet<String>,
}

/// Fails, naming each link, if one leads nowhere, or a page needs the network.
pub(super) fn check(site: &Path) -> Result<()> {
    let pages = read_all(site)?;
    let mut problems = Vec::new();
    for (path, page) in pages.iter().filter(|(path, _)| !path.ends_with(ANYWHERE)) {
        for link in &page.links {
            if let Some(problem) = problem(path, link, &pages) {
                problems.push(format!("{}: `{link}`: {problem}", path.display()));
            }
        }
        for load in page.loads.iter().filter(|load| is_outside(load)) {
            problems.push(format!("{}: `{load}`: needs the network", path.display()));
        }
    }
    if problems.is_empty() {
        println!("   {} pages, {} links", pages.len(), pages.values().map(count).sum::<usize>());
        return Ok(());
    }
    for problem in &problems {
        println!("   {problem}");
    }
    bail!("{} findings", problems.len())
}

/// Mends links to the page of a folder: mdBook makes `index.html` of a `README.md`, and leaves the
/// links to it as they are.
pub(super) fn lead_to_folders(site: &Path) -> Result<()> {
    for path in read_all(site)?.into_keys() {
        let html = fs::read_to_string(&path)?;
        let mended =
            html.replace("README.html\"", "index.html\"").replace("README.html#", "index.html#");
        if mended != html {
            fs::write(&path, mended)?;
        }
    }
    Ok(())
}

fn count(page: &Page) -> usize {
    page.links.len()
}

fn read_all(site: &Path) -> Result<BTreeMap<PathBuf, Page>> {
    let mut pages = BTreeMap::new();
    let mut folders = vec![site.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder);
        for entry in entries.with_context(|| format!("cannot read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "html") {
                let page = read(&fs::read_to_string(&path)?);
                pages.insert(path, page);
            }
        }
    }
    Ok(pages)
}

fn read(html: &str) -> Page {
    let mut page = Page::default();
    for tag in html.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
        if let Some(name) = attribute(tag, "id") {
            page.places.insert(name.to_owned());
        }
        let aim = attribute(tag, "href").map(plain);
        match (tag.starts_with("a "), aim, attribute(tag, "src").map(plain)) {
            (true, Some(aim), _) => page.links.push(aim),
            (false, Some(aim), _) | (_, None, Some(aim)) => page.loads.push(aim),
            _ => {}
        }
    }
    page
}

/// The value of an attribute in a tag.
fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    tag.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

fn plain(text: &str) -> String {
    text.replace("&amp;", "&")
}

fn is_outside(aim: &str) -> bool {
    ["http://", "https://", "//"].iter().any(|start| aim.starts_with(start))
}

fn problem(from: &Path, link: &str, pages: &BTreeMap<PathBuf, Page>) -> Option<&'static str> {
    if is_outside(link) || link.starts_with("javascript:") {
        return None;
    }
    let (file, place) = link.split_once('#').unwrap_or((link, ""));
    let path = if file.is_empty() {
        from.to_owned()
    } else {
        resolved(&from.parent().unwrap_or(Path::new("")).join(file))
    };
    match pages.get(&path) {
        Some(page) if !place.is_empty() && !page.places.contains(place) => {
            Some("there is no such place")
        }
        None if !path.is_file() => Some("there is no such file"),
        _ => None,
    }
}

/// A path without its steps back.
fn resolved(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        if part.as_os_str() == ".." {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(text: &str) -> BTreeMap<PathBuf, Page> {
        BTreeMap::from([
            (PathBuf::from("site/a/one.html"), read(text)),
            (PathBuf::from("site/two.html"), read("<h1 id=\"top\">Two</h1>")),
        ])
    }

    #[test]
    fn links_lead_to_pages_and_to_places_on_them() {
        let link = |aim: &str| {
            let pages = site(&format!("<p>see <a class=\"x\" href=\"{aim}\">there</a>"));
            let from = Path::new("site/a/one.html");
            problem(from, &pages[from].links[0], &pages)
        };
        assert_eq!(link("../two.html#top"), None);
        assert_eq!(link("https://example.org/"), None);
        assert_eq!(link("../two.html#none"), Some("there is no such place"));
        assert_eq!(link("two.html"), Some("there is no such file"));
        assert_eq!(link("#none"), Some("there is no such place"));
    }

    #[test]
    fn what_is_loaded_is_told_from_what_is_linked() {
        let page = read("<link href=\"a.css\"><script src=\"b.js\"></script><a href=\"c\">c</a>");
        assert_eq!(
            (page.loads, page.links),
            (vec!["a.css".into(), "b.js".into()], vec!["c".into()])
        );
    }
}
