//! What a plugin sees of a request.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::CostTree;
use bartizan_core::{Clock, Denial, RequestId, Timestamp, path_parameter};
use bartizan_net::Client;
use bartizan_tls::ClientCertificate;
use bartizan_wire::{Canonical, Fields, Version};
use bytes::Bytes;
use serde_json::Value;

use crate::attempt::Guards;
use crate::consumers::ConsumerIndex;
use crate::identity::Identity;
use crate::peer::Peer;
use crate::proven::Proven;

/// The names of a route that logs, events and variables show.
#[derive(Debug)]
pub struct RouteFacts {
    /// The route's id.
    pub id: Arc<str>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Its service's id.
    pub service_id: Option<Arc<str>>,
    /// Its service's name.
    pub service_name: Option<Arc<str>>,
    /// What fields of GraphQL queries cost, where its service says it.
    pub graphql_costs: Option<Arc<CostTree>>,
}

/// Which route was matched, and by what.
#[derive(Clone, Debug)]
pub struct Matched {
    /// The route.
    pub route: Arc<RouteFacts>,
    /// The path pattern that matched.
    pub uri: Arc<str>,
    /// The host pattern that matched, where the route has hosts.
    pub host: Option<Arc<str>>,
}

/// What is known of the upstream's side; filled in as the exchange goes on.
#[derive(Clone, Debug, Default)]
pub struct UpstreamFacts {
    /// The node's address.
    pub address: Option<SocketAddr>,
    /// The status it answered.
    pub status: Option<u16>,
    /// From the request sent to the head received.
    pub response_time: Option<Duration>,
    /// What it took to connect; zero on a connection that was there.
    pub connect_time: Option<Duration>,
}

/// How an exchange ended, for variables.
#[derive(Clone, Copy, Debug)]
pub struct Over {
    /// Bytes of the request's body as received.
    pub bytes_in: u64,
    /// Bytes of the answer's body as sent.
    pub bytes_out: u64,
    /// Whether the answer reached its end.
    pub is_complete: bool,
}

/// A request in the chain.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, asked for by name")]
pub struct RequestCx {
    /// The request's id, in every denial, log line and event.
    pub id: RequestId,
    /// When its head was complete.
    pub received: Timestamp,
    /// Where wall time comes from.
    pub clock: Clock,
    /// The version it was sent in.
    pub version: Version,
    /// The connection it came on.
    pub peer: Arc<Peer>,
    /// The fields, as they will be sent upstream.
    pub fields: Fields,
    /// What the gateway does with the upstream's side.
    pub upstream: UpstreamFacts,
    /// The status that goes to the client, once known.
    pub status: Option<u16>,
    /// How it ended, once it is over.
    pub over: Option<Over>,
    /// The body's length where the client declared one.
    pub declared_length: Option<u64>,
    /// The largest body this request may have.
    pub body_max: u64,
    /// The port of the node's first TLS listener.
    pub https_port: Option<u16>,
    /// Whether what the request says of where it came from was said by a trusted proxy.
    pub trusts_forwarded: bool,
    /// A plugin has set `body_max` in place of the node's default.
    pub(crate) body_is_bounded: bool,
    /// There was an answer, be it the gateway's own.
    pub(crate) is_answered: bool,
    pub(crate) client: IpAddr,
    pub(crate) canonical: Canonical,
    pub(crate) matched: Option<Matched>,
    pub(crate) identity: Option<Identity>,
    pub(crate) consumers: Arc<ConsumerIndex>,
    pub(crate) body: Option<Bytes>,
    pub(crate) body_value: Option<Value>,
    /// The body that is sent upstream in place of the client's.
    pub(crate) translated: Option<Bytes>,
    /// Some plugin wants to know what schemas prove.
    pub(crate) wants_proven: bool,
    proven: Option<Box<Proven>>,
    /// The request as it will be sent, where a rewrite changed it.
    pub(crate) rewritten: Option<Canonical>,
    /// What the client accepts, where the upstream is not told.
    accept_encoding: Option<Vec<Bytes>>,
    /// What plugins ask other servers with; the worker's own.
    pub(crate) http: Option<Rc<Client>>,
    /// The connection's certificate is one that the request's host asks for.
    has_certificate: bool,
    drops_trailers: bool,
    /// Whether all plugins that judged it admit the origin of the page that makes the request.
    admits_origin: Option<bool>,
    /// Who wants to know of credentials that are tried.
    pub(crate) guards: Guards,
}

/// What a request begins with.
pub struct Arrival {
    /// See [`RequestCx::id`].
    pub id: RequestId,
    /// See [`RequestCx::received`].
    pub received: Timestamp,
    /// See [`RequestCx::clock`].
    pub clock: Clock,
    /// See [`RequestCx::version`].
    pub version: Version,
    /// See [`RequestCx::peer`].
    pub peer: Arc<Peer>,
    /// The client's address, after trusted proxies.
    pub client: IpAddr,
    /// The one form of host and path that is matched, authorised and forwarded.
    pub canonical: Canonical,
    /// See [`RequestCx::fields`].
    pub fields: Fields,
    /// The consumers of the request's snapshot.
    pub consumers: Arc<ConsumerIndex>,
    /// See [`RequestCx::declared_length`].
    pub declared_length: Option<u64>,
    /// See [`RequestCx::body_max`].
    pub body_max: u64,
    /// See [`RequestCx::https_port`].
    pub https_port: Option<u16>,
    /// See [`RequestCx::trusts_forwarded`].
    pub trusts_forwarded: bool,
}

impl RequestCx {
    /// A request at its beginning.
    pub fn new(arrival: Arrival, matched: Option<Matched>) -> Self {
        Self {
            id: arrival.id,
            received: arrival.received,
            clock: arrival.clock,
            version: arrival.version,
            peer: arrival.peer,
            fields: arrival.fields,
            upstream: UpstreamFacts::default(),
            status: None,
            over: None,
            declared_length: arrival.declared_length,
            body_max: arrival.body_max,
            https_port: arrival.https_port,
            trusts_forwarded: arrival.trusts_forwarded,
            body_is_bounded: false,
            is_answered: false,
            client: arrival.client,
            canonical: arrival.canonical,
            matched,
            identity: None,
            consumers: arrival.consumers,
            body: None,
            body_value: None,
            translated: None,
            wants_proven: false,
            proven: None,
            rewritten: None,
            accept_encoding: None,
            http: None,
            has_certificate: false,
            drops_trailers: false,
            admits_origin: None,
            guards: Guards::default(),
        }
    }

    /// Asks the upstream for the whole body, and not encoded, whatever the client asked for: for
    /// plugins in the Transform stage that read or change the answer.
    pub fn ask_for_plain(&mut self) {
        for name in ["range", "if-range"] {
            self.fields.remove(name);
        }
        if self.accept_encoding.is_none() {
            let accepted = self.fields.all("accept-encoding").map(Bytes::copy_from_slice);
            self.accept_encoding = Some(accepted.collect());
        }
        self.fields.remove("accept-encoding");
    }

    /// The `Accept-Encoding` fields of the client.
    pub fn accept_encoding(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let kept = self.accept_encoding.iter().flatten().map(|value| &value[..]);
        let own = self.fields.all("accept-encoding").filter(|_| self.accept_encoding.is_none());
        kept.chain(own)
    }

    /// The client's address: the peer's, or what a trusted proxy said.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// Corrects the client's address by what a trusted proxy said; for the Prepare stage.
    pub fn set_client(&mut self, client: IpAddr) {
        self.client = client;
        self.trusts_forwarded = true;
    }

    /// Bounds the body in place of the node's default; of several bounds the smallest holds. For
    /// the Prepare stage, after which a declared length is judged.
    pub fn bound_body(&mut self, max: u64) {
        self.body_max = if self.body_is_bounded { self.body_max.min(max) } else { max };
        self.body_is_bounded = true;
    }

    /// What bounds the body, for causes of refusals.
    pub fn body_bound(&self) -> &'static str {
        if self.body_is_bounded { "`max_body_size`" } else { "`limits.body`" }
    }

    /// Method, host, path and query in the one form that everything is decided on.
    pub fn canonical(&self) -> &Canonical {
        &self.canonical
    }

    /// States that the certificate of the connection was verified under the authorities that the
    /// request's host asks for now: for whoever knows both.
    pub fn admit_certificate(&mut self) {
        self.has_certificate = true;
    }

    /// The client's certificate, where it proves something to the request's host: verified in the
    /// handshake, under the authorities that this host has now. What plugins decide by; what the
    /// connection showed at all is in [`Self::peer`].
    pub fn client_certificate(&self) -> Option<&Arc<ClientCertificate>> {
        let tls = self.peer.tls.as_ref().filter(|_| self.has_certificate)?;
        tls.client_certificate.as_ref()
    }

    /// Lets none of the request's trailers through (RFC 9110 §6.5 allows that): for plugins that own
    /// names of fields, under which nothing of the client may arrive.
    pub fn drop_trailers(&mut self) {
        self.drops_trailers = true;
    }

    /// True if the request's trailers stay here.
    pub fn drops_trailers(&self) -> bool {
        self.drops_trailers
    }

    /// States whether the page that makes the request may do so with the credentials of its
    /// visitor: for plugins that know origins by name. Of several all have to admit it. A browser
    /// asks nobody before it opens a WebSocket.
    pub fn judge_origin(&mut self, admits: bool) {
        self.admits_origin = Some(admits && self.admits_origin != Some(false));
    }

    /// True if some plugin has admitted the origin of the page that makes the request, and none has
    /// not.
    pub fn admits_origin(&self) -> bool {
        self.admits_origin == Some(true)
    }

    /// Lends the worker's own client to plugins that ask other servers.
    pub fn lend_http(&mut self, client: &Rc<Client>) {
        self.http = Some(client.clone());
    }

    /// What plugins ask other servers with. Its connections are those of the worker that serves
    /// the request.
    pub fn http(&self) -> Option<&Rc<Client>> {
        self.http.as_ref()
    }

    /// States which route was matched.
    pub fn set_matched(&mut self, matched: Matched) {
        self.matched = Some(matched);
    }

    /// What stands in the path for a parameter of the route's pattern, in canonical form; of a rest
    /// it can be several segments.
    pub fn path_parameter(&self, name: &str) -> Option<&str> {
        path_parameter(&self.matched()?.uri, self.canonical().path(), name)
    }

    /// The route that was matched; `None` on a miss.
    pub fn matched(&self) -> Option<&Matched> {
        self.matched.as_ref()
    }

    /// Who calls, once proved.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// States who calls. An identity can only be made with the chain's key. Where two
    /// authentication plugins guard a route both must pass, and they must not name two accounts.
    pub fn identify(&mut self, identity: Identity) -> Result<(), Denial> {
        let merged = match &self.identity {
            // A copy: where they do not fit, the first stays.
            Some(first) => first.clone().merge(identity)?,
            None => identity,
        };
        self.identity = Some(merged);
        Ok(())
    }

    /// The consumers of this request's snapshot.
    pub fn consumers(&self) -> &Arc<ConsumerIndex> {
        &self.consumers
    }

    /// The body, where some plugin of the route needs it.
    pub fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }

    /// The body's value, where some plugin of the route reads values and there is a body.
    pub fn body_value(&self) -> Option<&Value> {
        self.body_value.as_ref()
    }

    /// True if some plugin wants to know what schemas prove; else nobody need find it out.
    pub fn wants_proven(&self) -> bool {
        self.wants_proven
    }

    /// States what a schema proves of this request; for plugins in the Validate stage that refuse
    /// what does not fit.
    pub fn prove(&mut self, proven: Proven) {
        self.proven.get_or_insert_default().add(proven);
    }

    /// What schemas have proved.
    pub fn proven(&self) -> Option<&Proven> {
        self.proven.as_deref()
    }

    /// The request as it will be sent upstream.
    pub fn outgoing(&self) -> &Canonical {
        self.rewritten.as_ref().unwrap_or(&self.canonical)
    }

    /// Changes what will be sent upstream; for plugins in the Transform stage. What was decided on
    /// stays as it is.
    pub fn rewrite(&mut self, outgoing: Canonical) {
        self.rewritten = Some(outgoing);
    }

    /// Sends this body upstream in place of the client's, whatever that had; for plugins in the
    /// Transform stage that have read it. The fields are theirs to change as well. The client is
    /// answered in its own way.
    pub fn translate(&mut self, body: Bytes) {
        self.translated = Some(body);
    }

    /// The body that is sent upstream in place of the client's, where there is one.
    pub fn translated(&self) -> Option<&Bytes> {
        self.translated.as_ref()
    }

    /// Removes a query parameter from what will be sent upstream (a credential that was read).
    pub fn hide_query(&mut self, name: &str) {
        let outgoing = self.outgoing().without_query(name);
        self.rewritten = Some(outgoing);
    }
}
