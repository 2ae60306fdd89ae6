//! The one form of a request's method, host, path and query: what is matched, authorised,
//! inspected and forwarded. Whatever could be read in two ways is refused here, once.

mod path;
mod query;

use bartizan_core::Reason;
use bytes::Bytes;
use http::Method;

pub use path::decode_segment;
pub use query::{QueryFault, QueryPairs, decode_form};

use crate::authority::Authority;
use crate::h1::request::{read_method, read_scheme};
use crate::head::RequestHead;
use std::borrow::Cow;

/// What a node decides about paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own, none is a state")]
pub struct PathPolicy {
    /// Take several slashes for one. Without it they stay, and empty segments count.
    pub merge_slashes: bool,
    /// Take the slash from the end of a path.
    pub delete_tail_slash: bool,
    /// Take `;` and what follows it from each segment, instead of refusing the path.
    pub drop_parameters: bool,
    /// Keep an encoded slash in its segment, instead of refusing the path.
    pub encoded_slashes: bool,
}

impl PathPolicy {
    /// Paths as they are written, empty segments included: for what the gateway itself makes of a
    /// path.
    pub const AS_WRITTEN: Self = Self {
        merge_slashes: false,
        delete_tail_slash: false,
        drop_parameters: false,
        encoded_slashes: false,
    };
}

impl Default for PathPolicy {
    fn default() -> Self {
        Self { merge_slashes: true, ..Self::AS_WRITTEN }
    }
}

/// Why a host, path or query was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct TargetRefusal {
    /// The row of the reason table.
    pub reason: Reason,
    /// The precise cause, for the operator.
    pub detail: &'static str,
}

fn bad_target(detail: &'static str) -> TargetRefusal {
    TargetRefusal { reason: Reason::AmbiguousTarget, detail }
}

fn bad_host(detail: &'static str) -> TargetRefusal {
    TargetRefusal { reason: Reason::BadHost, detail }
}

/// The canonical request. There is no other way to one than through the gate.
#[derive(Clone, Debug)]
pub struct Canonical {
    method: Method,
    is_tls: bool,
    port: Option<u16>,
    /// Authority, path and query in one piece: `host[:port]/path[?query]`.
    text: String,
    host_end: usize,
    path_start: usize,
    path_end: usize,
    raw_target: Bytes,
    /// Whether encoded slashes passed, so that they pass again where the path is rewritten.
    encoded_slashes: bool,
    /// Whether the node takes something out of paths that no transformation of rules takes out.
    is_trimmed: bool,
}

impl Canonical {
    /// The gate: the one form of what the head asks for, or why there is none.
    ///
    /// Whether the connection is encrypted is what the listener knows, not what the target says.
    pub fn from_request(
        head: &RequestHead,
        is_tls: bool,
        policy: PathPolicy,
    ) -> Result<Self, TargetRefusal> {
        let host = match head.fields.single("host") {
            Ok(Some(host)) => host,
            Ok(None) => return Err(bad_host("no host")),
            Err(_) => return Err(bad_host("more than one host")),
        };
        let mut canonical = Self {
            method: head.method.clone(),
            is_tls,
            port: None,
            text: String::with_capacity(host.len() + head.target.len() + 1),
            host_end: 0,
            path_start: 0,
            path_end: 0,
            raw_target: head.target.clone(),
            encoded_slashes: policy.encoded_slashes,
            is_trimmed: policy.delete_tail_slash || policy.drop_parameters,
        };
        canonical.write_authority(host)?;
        canonical.write_target(&head.target, policy)?;
        Ok(canonical)
    }

    fn write_authority(&mut self, host: &[u8]) -> Result<(), TargetRefusal> {
        let authority = Authority::parse(host).map_err(bad_host)?;
        authority.write_host(&mut self.text);
        self.host_end = self.text.len();
        self.port = authority.port();
        if let Some(port) = self.port {
            self.text.push(':');
            self.text.push_str(itoa::Buffer::new().format(port));
        }
        self.path_start = self.text.len();
        Ok(())
    }

    /// Origin-form, absolute-form (whose authority the codec has compared with Host), or `*`.
    fn write_target(&mut self, target: &[u8], policy: PathPolicy) -> Result<(), TargetRefusal> {
        let path_and_query = match target {
            [b'/', ..] => target,
            b"*" if self.method == Method::OPTIONS => {
                self.text.push('*');
                self.path_end = self.text.len();
                return Ok(());
            }
            _ => after_authority(target).ok_or_else(|| bad_target("a target that is no path"))?,
        };
        self.write_path_and_query(path_and_query, policy)
    }

    fn write_path_and_query(
        &mut self,
        path_and_query: &[u8],
        policy: PathPolicy,
    ) -> Result<(), TargetRefusal> {
        let mark = path_and_query.iter().position(|b| *b == b'?');
        let (path, query) = match mark.and_then(|at| path_and_query.split_at_checked(at)) {
            Some((path, query)) => (path, query.get(1..)),
            None => (path_and_query, None),
        };
        let path = if path.is_empty() { b"/" } else { path };
        path::write_canonical(path, policy, &mut self.text).map_err(bad_target)?;
        self.path_end = self.text.len();
        if let Some(query) = query {
            let query = query::checked(query).map_err(bad_target)?;
            self.text.push('?');
            self.text.push_str(query);
        }
        Ok(())
    }

    fn stretch(&self, from: usize, to: usize) -> &str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// `https` or `http`, as the connection is.
    pub fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// The host: lower case, without port and trailing dot, IPv6 in brackets.
    pub fn host(&self) -> &str {
        self.stretch(0, self.host_end)
    }

    /// The port, where the client named one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Host and, where the client named one, port.
    pub fn authority(&self) -> &str {
        self.stretch(0, self.path_start)
    }

    /// The canonical path, percent-encoded: what is matched and what is forwarded. `*` for an
    /// OPTIONS request to the server as a whole.
    pub fn path(&self) -> &str {
        self.stretch(self.path_start, self.path_end)
    }

    /// The query without its `?`, as it came.
    pub fn query(&self) -> Option<&str> {
        self.stretch(self.path_end, self.text.len()).strip_prefix('?')
    }

    /// Path and query, as they go upstream.
    pub fn path_and_query(&self) -> &str {
        self.stretch(self.path_start, self.text.len())
    }

    /// The request target as the client sent it: for signatures, never for decisions.
    pub fn raw_target(&self) -> &[u8] {
        &self.raw_target
    }

    /// The target that rules inspect: as the client sent it, since they undo what clients do to it
    /// themselves; what goes upstream, where the node takes parameters or the last slash from paths,
    /// which rules do not.
    pub fn inspected_target(&self) -> &[u8] {
        if self.is_trimmed { self.path_and_query().as_bytes() } else { &self.raw_target }
    }

    /// The same request with another path and query. They pass the same gate.
    pub fn rewritten(
        &self,
        path_and_query: &str,
        policy: PathPolicy,
    ) -> Result<Self, TargetRefusal> {
        if !path_and_query.starts_with('/') {
            return Err(bad_target("a rewritten target that does not start with a slash"));
        }
        let encoded_slashes = policy.encoded_slashes || self.encoded_slashes;
        let policy = PathPolicy { encoded_slashes, ..policy };
        let mut canonical = self.up_to_path(path_and_query.len());
        canonical.write_path_and_query(path_and_query.as_bytes(), policy)?;
        Ok(canonical)
    }

    /// The same request with another method. CONNECT and TRACE are refused.
    pub fn with_method(&self, method: &str) -> Result<Self, TargetRefusal> {
        let method = read_method(method.as_bytes())
            .map_err(|fault| TargetRefusal { reason: fault.reason, detail: fault.detail })?;
        if self.path() == "*" && method != Method::OPTIONS {
            return Err(bad_target("the target `*` with a method other than OPTIONS"));
        }
        Ok(Self { method, ..self.clone() })
    }

    /// The same request for another host, with or without a port.
    pub fn with_host(&self, authority: &str) -> Result<Self, TargetRefusal> {
        let mut canonical = Self { text: String::new(), ..self.clone() };
        canonical.write_authority(authority.as_bytes())?;
        canonical.text.push_str(self.path_and_query());
        canonical.path_end = canonical.path_start + (self.path_end - self.path_start);
        Ok(canonical)
    }

    fn up_to_path(&self, more: usize) -> Self {
        let authority = self.authority();
        let mut text = String::with_capacity(authority.len() + more);
        text.push_str(authority);
        Self { method: self.method.clone(), raw_target: self.raw_target.clone(), text, ..*self }
    }

    /// Names and values of the query in order, still encoded. A name without `=` has an empty
    /// value; empty pairs are passed over.
    pub fn query_pairs(&self) -> QueryPairs<'_> {
        QueryPairs::of(self.query().unwrap_or_default())
    }

    /// The same request without a query parameter of this (decoded) name: a credential that was
    /// read and must not reach the upstream.
    #[must_use]
    pub fn without_query(&self, name: &str) -> Self {
        let mut canonical = self.clone();
        canonical.text.truncate(self.path_end);
        let mut separator = '?';
        for pair in self.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let key = pair.split_once('=').map_or(pair, |(key, _)| key);
            if !query::is_named(key, name) {
                canonical.text.push(separator);
                canonical.text.push_str(pair);
                separator = '&';
            }
        }
        canonical
    }

    /// The same request as logs may show it: with this query, as text of visible ASCII, in place of
    /// its own. It is not to be decided on or forwarded.
    #[must_use]
    pub fn with_logged_query(&self, query: &str) -> Self {
        let mut canonical = self.clone();
        canonical.text.truncate(self.path_end);
        let raw_path = self.raw_target.split(|b| *b == b'?').next().unwrap_or_default();
        let mut raw_target = raw_path.to_vec();
        if !query.is_empty() {
            for text in ["?", query] {
                canonical.text.push_str(text);
                raw_target.extend_from_slice(text.as_bytes());
            }
        }
        canonical.raw_target = raw_target.into();
        canonical
    }

    /// The decoded value of the query parameter of this (decoded) name: `None` if there is none,
    /// an error if it occurs more than once or is not text.
    pub fn query_value(&self, name: &str) -> Result<Option<Cow<'_, str>>, QueryFault> {
        query::value(self.query_pairs(), name)
    }
}

/// What follows the authority of an absolute URI.
fn after_authority(target: &[u8]) -> Option<&[u8]> {
    let (_, rest) = read_scheme(target)?;
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    rest.get(end..)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
