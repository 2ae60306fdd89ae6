//! Where a redirect leads: a path of the same site, or a URL whose site the client cannot choose.

use std::fmt::Write as _;
use std::num::NonZeroU16;

use bartizan_chain::{RequestCx, Var};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason};
use bartizan_wire::Authority;

use crate::rewrite_text::{Escape, RewriteText, Token, tokens};

/// A compiled target.
#[derive(Debug)]
pub(super) struct Location {
    base: Base,
    /// Path, query and fragment.
    rest: RewriteText,
}

#[derive(Debug)]
enum Base {
    /// The site that was asked.
    Path,
    Url(Scheme, Site),
}

#[derive(Clone, Copy, Debug)]
enum Scheme {
    Http,
    Https,
    /// The request's.
    Same,
}

/// Host and port of a URL.
#[derive(Debug)]
enum Site {
    /// The same for all requests.
    Fixed(String),
    /// The request's host.
    Own(Port),
    /// Made of variables, with an ending that is written, so that it stays inside of one domain.
    Made(RewriteText),
}

#[derive(Clone, Copy, Debug)]
enum Port {
    Usual,
    /// As the request names it.
    AsSent,
    Fixed(NonZeroU16),
    /// The listener's.
    Own,
}

/// The part of a path that a pattern matched, and what stands around it.
pub(super) struct Matched<'p> {
    pub(super) before: &'p str,
    pub(super) after: &'p str,
    pub(super) captures: Vec<String>,
}

impl Matched<'_> {
    /// Nothing was matched: the whole target is the text.
    pub(super) const NONE: Matched<'static> =
        Matched { before: "", after: "", captures: Vec::new() };
}

impl Location {
    /// Compiles a target in which captures up to `captures_max` may stand. With `is_plain` the path
    /// is plain text, which is encoded here.
    pub(super) fn parse(text: &str, captures_max: usize, is_plain: bool) -> Result<Self, Invalid> {
        let (base, rest) = match scheme(text) {
            Some((scheme, rest)) => {
                let (site, rest) = split_site(rest, captures_max)?;
                (Base::Url(scheme, site), rest)
            }
            None => (Base::Path, path_only(text)?.to_owned()),
        };
        let rest = if is_plain { encoded(&rest) } else { rest };
        check_literals(&rest)?;
        let rest = RewriteText::parse(&rest, captures_max)?;
        let location = Self { base, rest };
        if location.vars().any(Var::needs_answer) {
            return Err(Invalid::new("the redirect is sent before there is an answer"));
        }
        Ok(location)
    }

    fn vars(&self) -> impl Iterator<Item = &Var> {
        let site = match &self.base {
            Base::Url(_, Site::Made(text)) => Some(text),
            _ => None,
        };
        site.into_iter().flat_map(RewriteText::vars).chain(self.rest.vars())
    }

    /// True if the target names a site.
    pub(super) fn is_url(&self) -> bool {
        matches!(self.base, Base::Url(..))
    }

    /// The target for a request, without a query appended.
    pub(super) fn render(&self, cx: &RequestCx, found: &Matched<'_>) -> Result<String, Denial> {
        let mut out = String::new();
        let mut rest = found.before.to_owned();
        render(&self.rest, cx, &found.captures, &mut rest)?;
        rest.push_str(found.after);
        if let Base::Url(scheme, site) = &self.base {
            out.push_str(match scheme {
                Scheme::Http => "http",
                Scheme::Https => "https",
                Scheme::Same => cx.canonical().scheme(),
            });
            out.push_str("://");
            site.write(cx, &found.captures, &mut out)?;
            // Whatever follows must not become a part of the host.
            if !rest.is_empty() && !rest.starts_with(['/', '?', '#']) {
                out.push('/');
            }
            out.push_str(&rest);
            return Ok(out);
        }
        // Two slashes at the beginning would name another site.
        out.push('/');
        out.push_str(rest.trim_start_matches('/'));
        Ok(out)
    }
}

/// Puts a query behind what is there, before a fragment.
pub(super) fn append_query(location: &mut String, query: &str) {
    let fragment = location.find('#').map(|at| location.split_off(at));
    location.push(if location.contains('?') { '&' } else { '?' });
    location.push_str(query);
    location.push_str(fragment.as_deref().unwrap_or_default());
}

impl Site {
    fn write(&self, cx: &RequestCx, captures: &[String], out: &mut String) -> Result<(), Denial> {
        match self {
            Self::Fixed(site) => out.push_str(site),
            Self::Own(Port::AsSent) => out.push_str(cx.canonical().authority()),
            Self::Own(port) => {
                out.push_str(cx.canonical().host());
                let port = match port {
                    Port::Fixed(port) => port.get(),
                    Port::Own => cx.peer.local.port(),
                    Port::Usual | Port::AsSent => return Ok(()),
                };
                // Writing to a string cannot fail.
                let _ = write!(out, ":{port}");
            }
            Self::Made(text) => {
                let mut site = String::new();
                render(text, cx, captures, &mut site)?;
                let authority = Authority::parse(site.as_bytes()).map_err(|cause| {
                    Denial::new(Reason::RewriteRefused, format!("the redirect's host: {cause}"))
                })?;
                write_site(&authority, out);
            }
        }
        Ok(())
    }
}

fn render(
    text: &RewriteText,
    cx: &RequestCx,
    captures: &[String],
    out: &mut String,
) -> Result<(), Denial> {
    text.render(cx, captures, Escape::Uri, out).map_err(|fault| {
        Denial::new(Reason::AmbiguousParameter, format!("a variable in the redirect: {fault}"))
    })
}

fn write_site(authority: &Authority<'_>, out: &mut String) {
    authority.write_host(out);
    if let Some(port) = authority.port() {
        // Writing to a string cannot fail.
        let _ = write!(out, ":{port}");
    }
}

fn scheme(text: &str) -> Option<(Scheme, &str)> {
    let schemes = [
        ("https://", Scheme::Https),
        ("http://", Scheme::Http),
        ("$scheme://", Scheme::Same),
        ("${scheme}://", Scheme::Same),
    ];
    schemes.into_iter().find_map(|(prefix, scheme)| Some((scheme, text.strip_prefix(prefix)?)))
}

/// A target without a site: it begins with a slash, or with the path that was asked for.
fn path_only(text: &str) -> Result<&str, Invalid> {
    let is_path = match tokens(text).first() {
        Some(Token::Text(literal)) => literal.starts_with('/'),
        Some(Token::Var(name)) => matches!(*name, "uri" | "document_uri" | "request_uri"),
        None => false,
    };
    if !is_path || text.starts_with("//") {
        return Err(Invalid::new(format!("`{text}` is neither a path nor a URL"))
            .with_help("begin with `/`, `$uri`, `$request_uri`, `https://` or `http://`"));
    }
    Ok(text)
}

fn chosen_by_client() -> Invalid {
    Invalid::new("the client would choose where the redirect leads").with_help(
        "write the host, use `$host`, or end it in a domain that is written: \
         `https://$1.example.com/`",
    )
}

/// The site at the beginning of what follows a scheme, and the rest as text.
fn split_site(text: &str, captures_max: usize) -> Result<(Site, String), Invalid> {
    let mut site = Vec::new();
    let mut rest = String::new();
    for token in tokens(text) {
        match token {
            Token::Text(literal) if rest.is_empty() => {
                let end = literal.find(['/', '?', '#']).unwrap_or(literal.len());
                let (host, path) = literal.split_at(end);
                if !host.is_empty() {
                    site.push(Token::Text(host));
                }
                rest.push_str(path);
            }
            Token::Var(_) if rest.is_empty() => site.push(token),
            _ => token.write(&mut rest),
        }
    }
    let ending = |token: &Token<'_>| matches!(token, Token::Text(text) if text.starts_with('.'));
    let count = match site.iter().rposition(ending) {
        Some(at) if at > 0 => at + 1,
        _ => plain_site(&site)?,
    };
    let (site, path) = site.split_at(count);
    let mut before = String::new();
    for token in path {
        token.write(&mut before);
    }
    rest.insert_str(0, &before);
    Ok((compile_site(site, captures_max)?, rest))
}

fn is_own_host(name: &str) -> bool {
    matches!(name, "host" | "hostname" | "http_host")
}

/// How many of the pieces are host and port, where no ending follows a variable. What comes behind
/// them is a path.
fn plain_site(site: &[Token<'_>]) -> Result<usize, Invalid> {
    use Token::{Text, Var};
    match site {
        [Text(host), Var("server_port"), ..] if host.ends_with(':') => Ok(2),
        [Text(host), Var(_), ..] if host.ends_with(['.', '-', ':']) => Err(chosen_by_client()),
        [Text(_), ..] => Ok(1),
        [Var(name), Text(":"), Var("server_port"), ..] if is_own_host(name) => Ok(3),
        [Var(name), Text(port), ..] if is_own_host(name) => match port.strip_prefix(':') {
            Some(_) => Ok(2),
            None => Err(Invalid::new(format!("`{port}` behind the host is neither port nor path"))),
        },
        [Var(name), ..] if is_own_host(name) => Ok(1),
        [Var(_), ..] => Err(chosen_by_client()),
        [] => Err(Invalid::new("a URL without a host")),
    }
}

fn compile_site(site: &[Token<'_>], captures_max: usize) -> Result<Site, Invalid> {
    use Token::{Text, Var};
    let unreadable = |cause: &str| Invalid::new(format!("the host cannot be used: {cause}"));
    match site {
        [Text(host)] => {
            let authority = Authority::parse(host.as_bytes()).map_err(unreadable)?;
            let mut fixed = String::new();
            write_site(&authority, &mut fixed);
            Ok(Site::Fixed(fixed))
        }
        [Var("http_host")] => Ok(Site::Own(Port::AsSent)),
        [Var(_)] => Ok(Site::Own(Port::Usual)),
        [Var(name), Text(":"), Var(_)] if is_own_host(name) => Ok(Site::Own(Port::Own)),
        [Var(name), Text(port)] if is_own_host(name) && port.starts_with(':') => {
            let port = port.trim_start_matches(':');
            let number = port.parse().map_err(|_| Invalid::new(format!("`{port}` is no port")))?;
            Ok(Site::Own(Port::Fixed(number)))
        }
        _ => {
            let (mut text, mut sample) = (String::new(), String::new());
            for token in site {
                token.write(&mut text);
                match token {
                    Text(text) => sample.push_str(text),
                    Var(_) => sample.push('1'),
                }
            }
            Authority::parse(sample.as_bytes()).map_err(unreadable)?;
            if let Some(Text(ending)) = site.last() {
                let domain = Authority::parse(ending.trim_start_matches('.').as_bytes());
                let domain = domain.map_err(unreadable)?;
                if !domain.name().is_some_and(|name| name.contains('.')) {
                    return Err(chosen_by_client());
                }
            }
            Ok(Site::Made(RewriteText::parse(&text, captures_max)?))
        }
    }
}

/// True for what stands for itself in a URI.
fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~/:@!$&'()*+,;=?#[]".contains(&byte)
}

/// The text with its literal path encoded; the query, and a fragment behind it, stay as they are.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    let mut is_path = true;
    for token in tokens(text) {
        let Token::Text(mut literal) = token else {
            token.write(&mut out);
            continue;
        };
        while let Some(first) = literal.chars().next().filter(|_| is_path) {
            let is_dollar = literal.starts_with("\\$");
            let (head, tail) = literal.split_at(if is_dollar { 2 } else { first.len_utf8() });
            is_path = first != '?';
            for byte in head.bytes() {
                if is_dollar || is_uri_byte(byte) {
                    out.push(char::from(byte));
                } else {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "%{byte:02X}");
                }
            }
            literal = tail;
        }
        out.push_str(literal);
    }
    out
}

/// Refuses what no URI may hold.
fn check_literals(text: &str) -> Result<(), Invalid> {
    for token in tokens(text) {
        let Token::Text(literal) = token else { continue };
        let literal = literal.replace("\\$", "$");
        let mut rest = literal.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = match (byte, after) {
                (b'%', [high, low, after @ ..])
                    if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                {
                    after
                }
                _ if is_uri_byte(byte) => after,
                _ => {
                    return Err(Invalid::new(format!("`{literal}` has what no URI may"))
                        .with_help("percent-encode it, or set `encode_uri: true`"));
                }
            };
        }
    }
    Ok(())
}
