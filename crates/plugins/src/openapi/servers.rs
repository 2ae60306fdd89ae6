//! Where the paths of a description begin, as its servers say.

use bartizan_config::Node;

use super::documents::{DocumentFault, Documents, shown};

/// Most base paths that the variables of one server may come to.
const BASES_MAX: usize = 64;

/// The paths of the servers that a value of the description names; `None` where it names none.
pub(crate) fn base_paths(
    documents: &Documents,
    owner: &Node,
) -> Result<Option<Vec<String>>, DocumentFault> {
    let servers = owner.get("servers").map(Node::items).unwrap_or_default();
    if servers.is_empty() {
        return Ok(None);
    }
    let mut bases = Vec::new();
    for server in servers {
        let Some(url) = server.get("url") else {
            return Err(documents.fault(server, "the server has no `url`"));
        };
        let text = url.as_text().ok_or_else(|| documents.fault(url, "`url` must be text"))?;
        for text in expanded(documents, server, url, text)? {
            let base = path_of(&text).ok_or_else(|| {
                documents
                    .fault(
                        url,
                        format!("where `{}` begins depends on where the document is", shown(&text)),
                    )
                    .with_help("say `base_path`, or begin the URL with `/` or a scheme")
            })?;
            if !bases.contains(&base) {
                bases.push(base);
            }
        }
    }
    Ok(Some(bases))
}

/// Scheme and authority of the first server that has them.
pub(super) fn origin(documents: &Documents) -> Option<String> {
    let servers = documents.root().get("servers").map(Node::items).unwrap_or_default();
    servers.iter().find_map(|server| {
        let url = server.get("url")?;
        let urls = expanded(documents, server, url, url.as_text()?).ok()?;
        let (scheme, rest) = urls.first()?.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().filter(|text| !text.is_empty())?;
        matches!(scheme, "http" | "https").then(|| format!("{scheme}://{authority}"))
    })
}

/// The URLs that a template stands for: one for each value of the variables of its path.
fn expanded(
    documents: &Documents,
    server: &Node,
    url: &Node,
    template: &str,
) -> Result<Vec<String>, DocumentFault> {
    let path = template.get(path_start(template)..).unwrap_or_default();
    let mut urls = vec![template.to_owned()];
    for variable in server.get("variables").map(Node::members).unwrap_or_default() {
        let name = format!("{{{}}}", variable.key);
        if !template.contains(&name) {
            continue;
        }
        let default = variable.value.get("default").and_then(Node::as_text);
        let listed = variable.value.get("enum").map(Node::items).unwrap_or_default();
        let mut values: Vec<&str> = default.into_iter().collect();
        values.extend(listed.iter().filter_map(Node::as_text).filter(|v| Some(*v) != default));
        if values.is_empty() {
            let problem = format!("the variable `{}` has no default", shown(&variable.key));
            return Err(documents.fault(&variable.value, problem));
        }
        if !path.contains(&name) {
            // It only names a host.
            values.truncate(1);
        }
        if urls.len().saturating_mul(values.len()) > BASES_MAX {
            return Err(documents
                .fault(url, "the variables of this server come to too many base paths")
                .with_help("say `base_path`"));
        }
        urls = urls
            .iter()
            .flat_map(|url| values.iter().map(|value| url.replace(&name, value)))
            .collect();
    }
    Ok(urls)
}

/// Where the path of a URL begins, whose host may be a variable.
fn path_start(template: &str) -> usize {
    let Some(host) = template.find("://").map(|at| at + 3) else { return 0 };
    let rest = template.get(host..).unwrap_or_default();
    rest.find('/').map_or(template.len(), |slash| host + slash)
}

/// The path of a server's URL without a slash at its end; `None` where it is relative.
fn path_of(url: &str) -> Option<String> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or(""),
        None if url.starts_with("//") => {
            let rest = url.get(2..).unwrap_or_default();
            rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("")
        }
        None if url.is_empty() || url.starts_with('/') => url,
        None => return None,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    Some(path.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_server_is_what_follows_its_host() {
        for (url, path) in [
            ("https://api.example.com/v1", Some("/v1")),
            ("https://api.example.com/v1/", Some("/v1")),
            ("https://api.example.com", Some("")),
            ("//api.example.com/a/b", Some("/a/b")),
            ("/v2", Some("/v2")),
            ("/", Some("")),
            ("", Some("")),
            ("v3", None),
            ("./v3", None),
        ] {
            assert_eq!(path_of(url).as_deref(), path, "{url}");
        }
    }
}
