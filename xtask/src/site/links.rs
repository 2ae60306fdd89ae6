//! Links in Markdown: each leads to a file, and to a heading where it names one.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};

use super::summary::SUMMARY;
use crate::check::sources::Source;

/// The folder that the site is made from: what is in it leads to nothing outside.
const INSIDE: &str = "docs";

/// Fails, naming each place, if a link leads nowhere or a page is not in the table of contents.
pub(crate) fn check() -> Result<()> {
    let sources = Source::read_all()?;
    let pages: Vec<&Source> = sources.iter().filter(|source| is_page(source)).collect();
    let mut problems: Vec<String> = pages.iter().flat_map(|page| dead(page, &pages)).collect();
    problems.extend(unlisted(&pages));
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &problems {
        println!("   {problem}");
    }
    bail!("{} findings", problems.len())
}

fn is_page(source: &Source) -> bool {
    source.path.extension().is_some_and(|extension| extension == "md")
}

/// Pages of the site that its table of contents does not have.
fn unlisted(pages: &[&Source]) -> Vec<String> {
    let Some(summary) = pages.iter().find(|page| page.path == Path::new(SUMMARY)) else {
        return vec![format!("{SUMMARY} is not there")];
    };
    let listed: BTreeSet<PathBuf> =
        links(&summary.text).filter_map(|(_, link)| target(&summary.path, link)).collect();
    let inside = pages.iter().filter(|page| page.path.starts_with(INSIDE));
    inside
        .filter(|page| page.path != Path::new(SUMMARY) && !listed.contains(&page.path))
        .map(|page| {
            let is_plugin = page.path.starts_with(super::summary::FOLDER);
            let remedy = if is_plugin { "`cargo xtask generate`" } else { "give it a line" };
            format!("{} is not in {SUMMARY}: {remedy}", page.path.display())
        })
        .collect()
}

/// The links of a page that lead nowhere.
fn dead(page: &Source, pages: &[&Source]) -> Vec<String> {
    links(&page.text)
        .filter_map(|(line, link)| {
            let problem = problem(page, link, pages)?;
            Some(format!("{}:{line}: `{link}`: {problem}", page.path.display()))
        })
        .collect()
}

fn problem(page: &Source, link: &str, pages: &[&Source]) -> Option<&'static str> {
    if ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
        return None;
    }
    let Some(path) = target(&page.path, link) else { return Some("leads out of the project") };
    let is_inside = page.path.starts_with(INSIDE);
    if is_inside && !path.starts_with(INSIDE) {
        return Some("leads out of the site");
    }
    if path != page.path && !path.exists() {
        return Some("there is no such file");
    }
    if is_inside && path.is_dir() {
        return Some("is a folder, which has no page");
    }
    let (_, heading) = link.split_once('#')?;
    let aim = pages.iter().find(|page| page.path == path)?;
    (!headings(&aim.text).contains(heading)).then_some("there is no such heading")
}

/// Where a link of a page leads; `None` where that is outside of the project.
fn target(page: &Path, link: &str) -> Option<PathBuf> {
    let file = link.split('#').next().unwrap_or_default();
    if file.is_empty() {
        return Some(page.to_owned());
    }
    let mut path = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(file).components() {
        match part {
            Component::ParentDir if path.pop() => {}
            Component::CurDir => {}
            Component::Normal(name) => path.push(name),
            _ => return None,
        }
    }
    Some(path)
}

/// Lines outside of blocks of code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The aims of links in a text, with the numbers of their lines.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(number, line)| {
        // What stands between backticks is code.
        let parts = line.split('`').step_by(2);
        let outside = parts.flat_map(|part| {
            part.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(aim, _)| aim)
        });
        // A link's text may be code: its end is then in a part of its own.
        outside.map(move |aim| (number, aim))
    })
}

/// The headings of a page as links name them.
fn headings(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let name = slug(title.trim());
        let mut unique = name.clone();
        let mut count = 0;
        while !names.insert(unique.clone()) {
            count += 1;
            unique = format!("{name}-{count}");
        }
    }
    names
}

/// A heading as a link names it: small letters, hyphens for spaces, no marks.
fn slug(title: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
    title.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.to_owned() }
    }

    #[test]
    fn links_are_those_of_prose() {
        let text = "[a](b.md), [`c`](d.md#e)\n`[f](g)`\n```\n[h](i)\n```\n![j](k.png)\n";
        let found: Vec<_> = links(text).collect();
        assert_eq!(found, [(1, "b.md"), (1, "d.md#e"), (6, "k.png")]);
    }

    #[test]
    fn headings_are_named_as_their_links_are() {
        let names = headings("# One `two`: three\n## Same\n## Same\n```\n# none\n```\n#none\n");
        assert_eq!(names, ["one-two-three", "same", "same-1"].map(str::to_owned).into());
    }

    #[test]
    fn what_leads_nowhere_is_told_with_its_place() {
        let here = page("docs/README.md", "# Title\n[a](#title) [b](#none)\n[c](missing.md)\n");
        let told = dead(&here, &[&here]);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("docs/README.md:2: `#none`: there is no such heading"));
        assert!(told[1].starts_with("docs/README.md:3: `missing.md`: there is no such file"));
    }

    #[test]
    fn the_site_leads_to_nothing_outside_of_it() {
        let told = |link: &str| {
            let here = page("docs/README.md", &format!("[a]({link})"));
            dead(&here, &[&here]).concat()
        };
        assert!(told("../README.md").contains("leads out of the site"));
        assert!(told("../../README.md").contains("leads out of the project"));
        assert_eq!(told("https://example.org/"), "");
    }

    #[test]
    fn a_page_that_nobody_finds_is_told() {
        let summary = page(SUMMARY, "[a](a.md)");
        let pages = [page("docs/a.md", ""), page("docs/b.md", ""), page("README.md", ""), summary];
        let told = unlisted(&pages.iter().collect::<Vec<_>>());
        assert_eq!(told, ["docs/b.md is not in docs/SUMMARY.md: give it a line"]);
    }
}
