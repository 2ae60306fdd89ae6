//! The table of everything a client can be refused for.

/// The body that Apache APISIX sends for the same refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireForm {
    /// `{"message": "…"}`
    Message(&'static str),
    /// `{"error_msg": "…"}`
    ErrorMsg(&'static str),
    /// The web server's own page, for which we send the problem details in short.
    Page,
}

macro_rules! reasons {
    ($( $(#[doc = $doc:literal])+ $name:ident = $code:literal, $status:literal, $title:literal, $wire:expr; )+) => {
        /// Why a request was refused or failed: one row of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $( $(#[doc = $doc])+ $name, )+ }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )+ ];

            /// The stable name, used in events, metrics and problem details.
            pub const fn code(self) -> &'static str {
                match self { $( Self::$name => $code, )+ }
            }

            /// The status it is answered with, unless the configuration asks for another.
            pub const fn status(self) -> u16 {
                match self { $( Self::$name => $status, )+ }
            }

            /// The sentence that the client reads. It never echoes input.
            pub const fn title(self) -> &'static str {
                match self { $( Self::$name => $title, )+ }
            }

            /// The body Apache APISIX would send.
            pub const fn wire_form(self) -> WireForm {
                match self { $( Self::$name => $wire, )+ }
            }

            /// When it happens and what to do, for the reference.
            pub const fn documentation(self) -> &'static str {
                match self { $( Self::$name => concat!($($doc, "\n",)+), )+ }
            }
        }
    };
}

use WireForm::{ErrorMsg, Message, Page};

reasons! {
    /// The request line or a header line is not HTTP/1.1 as RFC 9112 defines it.
    Malformed = "http.malformed", 400, "The request is not valid HTTP.", Page;
    /// The message's length can be read in two ways (RFC 9112 §6.3), which is how requests are smuggled.
    AmbiguousFraming = "http.ambiguous_framing", 400, "The length of the request is ambiguous.", Page;
    /// There is no Host, more than one, or it disagrees with the request target or the TLS server name.
    BadHost = "http.bad_host", 400, "The host of the request is missing or ambiguous.", Page;
    /// The path, decoded once, could be read in two ways: encoded slashes, control bytes, `..` above the root.
    AmbiguousTarget = "http.ambiguous_target", 400, "The path or query of the request is not acceptable.", Page;
    /// The transfer coding is not `chunked`.
    UnknownTransferCoding = "http.unknown_transfer_coding", 501, "The transfer coding is not supported.", Page;
    /// The request line is longer than `limits.request_line`.
    TargetTooLong = "http.target_too_long", 414, "The request target is too long.", Page;
    /// The header block is longer, or has more fields, than the limits allow.
    HeadTooLarge = "http.head_too_large", 431, "The request header is too large.", Page;
    /// The body is longer than the route allows.
    BodyTooLarge = "http.body_too_large", 413, "The request body is too large.", Page;
    /// The body's chunks are malformed, or it ended early.
    BadBody = "http.bad_body", 400, "The request body is malformed.", Page;
    /// The body is encoded in a way that the route's checks cannot read.
    UnsupportedEncoding = "http.unsupported_encoding", 415, "The content encoding is not supported here.", Page;
    /// An expectation other than `100-continue`.
    ExpectationFailed = "http.expectation_failed", 417, "The expectation cannot be met.", Page;
    /// CONNECT and TRACE are not served.
    MethodNotAllowed = "http.method_not_allowed", 405, "The method is not allowed.", Page;
    /// The HTTP version is not served.
    VersionNotSupported = "http.version_not_supported", 505, "The HTTP version is not supported.", Page;
    /// The client did not send its header or body in time.
    ClientTimeout = "http.client_timeout", 408, "The request did not arrive in time.", Page;
    /// The Host is not the server name that TLS was negotiated for, and client certificates are in play.
    Misdirected = "tls.misdirected", 421, "The request was sent to a connection made for another host.", Message("client certificate was not present or not verified");
    /// The route needs a client certificate and the connection has none that verifies.
    ClientCertificateRequired = "tls.client_certificate_required", 400, "A client certificate is required.", Message("client certificate was not present or not verified");
    /// The TLS handshake failed or did not finish in time. Nothing can be answered; the event says why.
    HandshakeFailed = "tls.handshake_failed", 400, "The TLS handshake failed.", Page;
    /// More connections than the node or the address may have.
    TooManyConnections = "connection.too_many", 503, "Too many connections.", Page;
    /// HTTP/2 frames beyond the limits that a well-behaved client needs.
    FrameFlood = "http2.flood", 400, "Too many control frames.", Page;
    /// The HTTP/2 peer broke the protocol.
    ProtocolError = "http2.protocol_error", 400, "The HTTP/2 connection broke the protocol.", Page;
    /// Plaintext beyond loopback: the listener only redirects to https.
    PlaintextRefused = "http.plaintext_refused", 400, "Use https.", Page;

    /// No route matches host, path, method and conditions.
    NoRoute = "route.not_found", 404, "No route matches.", ErrorMsg("404 Route Not Found");
    /// The route is in quarantine: its configuration is at fault and never was in order.
    Quarantined = "route.quarantined", 503, "The route is out of service.", Page;
    /// The node never had a valid configuration.
    NotConfigured = "node.not_configured", 503, "The gateway is not configured.", Page;
    /// The audit queue is full, and `audit.on_full` is `deny`.
    AuditFull = "node.audit_full", 503, "The gateway cannot record requests now.", Page;
    /// More signatures to remember than `limits.replay_keys`, where each is good once.
    ReplaysFull = "node.replays_full", 503, "The gateway cannot remember more requests now.", Page;
    /// More work for the CPU pool, such as passwords to be hashed, than `limits.cpu_queue` and `limits.cpu_wait` allow.
    CpuBusy = "node.cpu_busy", 503, "The gateway is too busy for this now.", Page;

    /// The client's address is on a black list or not on the white list.
    AddressDenied = "admit.address_denied", 403, "Your address is not allowed.", Message("Your IP address is not allowed");
    /// What the client calls itself is on the deny list, not on the allow list, or missing.
    UserAgentDenied = "admit.user_agent_denied", 403, "Your user agent is not allowed.", Message("Not allowed");
    /// The page that the request comes from is on the black list, not on the white list, or not said.
    RefererDenied = "admit.referer_denied", 403, "The page you come from is not allowed.", Message("Your referer host is not allowed");
    /// A pattern that `uri-blocker` refuses is found in path and query.
    TargetBlocked = "admit.target_blocked", 403, "This path or query is not allowed.", Page;
    /// The client's address is in a place that is denied, in none that is allowed, or unknown.
    PlaceDenied = "admit.place_denied", 403, "Your address is in a place that is not allowed.", Message("Your address is in a place that is not allowed");
    /// A rule of the web application firewall refuses the request; the event says which.
    Inspected = "inspect.refused", 403, "The request is not allowed.", Page;
    /// A rule of the web application firewall finds that the answer would tell too much.
    AnswerInspected = "inspect.answer_refused", 502, "The answer cannot be shown.", Page;
    /// `real-ip` trusts the peer but the header does not hold an address.
    BadClientAddress = "prepare.bad_client_address", 400, "The forwarded client address is not valid.", Page;

    /// The request carries no credential of the kind that the route asks for.
    MissingCredential = "auth.missing_credential", 401, "A credential is required.", Message("Missing authorization in request");
    /// The credential cannot be read.
    MalformedCredential = "auth.malformed_credential", 401, "The credential is not valid.", Message("Invalid authorization in request");
    /// The credential is not known, its signature does not verify, or it does not fit the route.
    InvalidCredential = "auth.invalid_credential", 401, "The credential is not valid.", Message("Invalid user authorization");
    /// The token's lifetime is over.
    ExpiredCredential = "auth.expired_credential", 401, "The credential has expired.", Message("failed to verify jwt");
    /// The signature was good for one request, which was sent before.
    Replayed = "auth.replayed", 401, "The request was sent before.", Message("client request can't be validated");
    /// Too many credentials were wrong: from this address, for this name, or that begin like this one. While that holds, a password is not even looked at, unless it was seen good before. See `auth-throttle`.
    AttemptHeld = "auth.attempt_held", 429, "Too many failed attempts.", Message("Too many failed attempts");
    /// The same credential was sent more than once, so which one counts is ambiguous.
    AmbiguousCredential = "auth.ambiguous_credential", 400, "The credential was sent more than once.", Message("Invalid authorization in request");
    /// The identity lacks a scope, claim or role that the route requires.
    InsufficientScope = "auth.insufficient_scope", 403, "The credential does not permit this.", Message("The request is rejected");
    /// The keys of the token's issuer are not known, or too old, because the issuer cannot be asked.
    KeysUnavailable = "auth.keys_unavailable", 503, "The credential cannot be judged now.", Page;
    /// Whether the client's certificate is revoked is not known: a list is missing, has ended or cannot be read.
    RevocationUnknown = "auth.revocation_unknown", 503, "The certificate cannot be judged now.", Page;
    /// The issuer cannot be asked what a token is worth: it is not reached, is late, or answers what is no answer (RFC 7662).
    IntrospectionFailed = "auth.introspection_failed", 503, "The credential cannot be judged now.", Page;

    /// More requests than the limit allows in its window.
    RateLimited = "limit.exceeded", 429, "Too many requests.", Page;

    /// As many requests as `limits.delayed` allows are held back already.
    TooManyWaiting = "limit.too_many_waiting", 503, "Too many requests are waiting.", Page;

    /// A rule of `workflow` says so.
    WorkflowRejected = "workflow.rejected", 403, "The request is rejected.", ErrorMsg("rejected by workflow");

    /// The consumer is not among those that the route admits.
    ConsumerForbidden = "authz.consumer_forbidden", 403, "You are not allowed to do this.", Message("The consumer_name is forbidden.");
    /// A decision needs an identity and the request has none.
    IdentityRequired = "authz.identity_required", 401, "A credential is required.", Message("The request is rejected, please check the consumer_name for this request");
    /// The object that the request names does not belong to the caller.
    ObjectDenied = "authz.object_denied", 403, "You are not allowed to access this object.", Message("The object is forbidden.");

    /// The browser says that a page of another site or origin makes the request.
    CrossSite = "authz.cross_site", 403, "The request comes from another site.", ErrorMsg("the request comes from another site");
    /// The request does not hold the token that only pages of the site itself have.
    CsrfToken = "authz.csrf_token", 403, "The request does not show that it comes from this site.", ErrorMsg("csrf token mismatch");
    /// The authorization service or policy engine that the route asks refused the request.
    AuthorizerDenied = "authz.service_denied", 403, "You are not allowed to do this.", Message("The request is rejected");
    /// The authorization service or policy engine gave no decision: it is not reached, is late, or answers what is no decision. `limits.calls` bounds how many wait for one.
    AuthorizerFailed = "authz.service_failed", 503, "The request cannot be authorized now.", Page;

    /// The body is not what the schema describes.
    SchemaViolation = "validate.schema", 400, "The request does not match its schema.", Message("The request does not match its schema");
    /// The body cannot be parsed in exactly one way: duplicate keys, depth, invalid UTF-8.
    UnparsableBody = "validate.unparsable", 400, "The request body cannot be parsed.", Message("The request body cannot be parsed");
    /// The API's document has no such path.
    UndeclaredPath = "validate.undeclared_path", 404, "The API has no such path.", Message("The API has no such path");
    /// The API's document has the path, and not the method.
    UndeclaredMethod = "validate.undeclared_method", 405, "The API has no such method here.", Message("The API has no such method here");
    /// The operation takes no body of this content type: the API's document has none, or `grpc-transcode` does not read it.
    UndeclaredMediaType = "validate.undeclared_media_type", 415, "The API takes no body of this content type here.", Message("The API takes no body of this content type here");
    /// A parameter that a rule binds to occurs more than once.
    AmbiguousParameter = "validate.ambiguous_parameter", 400, "A parameter was sent more than once.", Message("A parameter was sent more than once");

    /// The GraphQL request cannot be read in exactly one way, or is none.
    BadGraphql = "graphql.malformed", 400, "The GraphQL request cannot be read.", Message("Invalid graphql request");
    /// The GraphQL operation is deeper, wider or more expensive than the route allows.
    GraphqlTooCostly = "graphql.too_costly", 400, "The GraphQL operation is too large.", Message("The GraphQL operation is too large");

    /// A rewrite produced a target that would itself be refused.
    RewriteRefused = "transform.rewrite_refused", 400, "The rewritten request is not acceptable.", Page;

    /// What asks for a WebSocket is none of its handshakes (RFC 6455 §4.2.1): the event says what is missing or wrong.
    BadHandshake = "websocket.bad_handshake", 400, "The WebSocket handshake is not valid.", Page;
    /// The WebSocket handshake is of a version other than 13.
    HandshakeVersion = "websocket.version", 426, "The WebSocket version is not supported.", Page;
    /// A page of another origin asks for a WebSocket, and its origin is not one that every `cors` of the route names.
    ForeignOrigin = "websocket.foreign_origin", 403, "Pages of this origin may not connect.", Page;
    /// More WebSocket connections than `limits.websockets`.
    TooManyWebsockets = "websocket.too_many", 503, "Too many connections.", Page;
    /// One side of a WebSocket sent what is no frame, or a frame where none may be (RFC 6455 §5). Both were told with 1002.
    BadFrame = "websocket.bad_frame", 400, "The WebSocket connection broke the protocol.", Page;
    /// A frame or message of a WebSocket is longer than `limits.websocket_message`. Both sides were told with 1009.
    MessageTooLarge = "websocket.message_too_large", 413, "The message is too large.", Page;
    /// A WebSocket was ended because nothing moved on it for the upstream's `timeout.read`, or because `limits.websocket_time` was over. Both sides were told with 1001.
    WebsocketOver = "websocket.over", 408, "The connection has lasted long enough.", Page;

    /// No node of the upstream has weight, or all were tried.
    NoUpstream = "upstream.none", 503, "No upstream is available.", Page;
    /// Health checks speak against every server of the upstream. See `checks` of an upstream, and its `danger_use_unhealthy`.
    UpstreamUnhealthy = "upstream.unhealthy", 503, "No upstream is healthy.", Page;
    /// The registry that knows the servers of the upstream has not told any yet.
    UpstreamUndiscovered = "upstream.undiscovered", 503, "No upstream is known yet.", Page;
    /// The upstream could not be reached, or its certificate does not verify.
    UpstreamConnect = "upstream.connect", 502, "The upstream could not be reached.", Page;
    /// The upstream's answer is not valid HTTP, or is ambiguous.
    UpstreamMalformed = "upstream.malformed", 502, "The upstream's answer is not valid.", Page;
    /// The upstream closed before it answered.
    UpstreamClosed = "upstream.closed", 502, "The upstream closed the connection.", Page;
    /// A plugin decides on the whole answer, and the answer is longer than `limits.inspected_response` or what the plugin states.
    AnswerTooLarge = "upstream.answer_too_large", 502, "The upstream's answer is too large.", Page;
    /// A plugin reads or changes the body of the answer, and the answer is a part of one, or encoded in a way that cannot be read.
    AnswerUnreadable = "upstream.answer_unreadable", 502, "The upstream's answer cannot be read.", Page;
    /// The upstream did not answer in time.
    UpstreamTimeout = "upstream.timeout", 504, "The upstream did not answer in time.", Page;

    /// The upstream has failed too often, and is left alone for a while.
    UpstreamBroken = "upstream.broken", 503, "The service is unavailable for a while.", Page;

    /// The Admin API was asked without a key, or with one that is unknown, expired, retired or revoked; the event says which.
    AdminKeyRefused = "admin.key_refused", 401, "A key of an operator is required.", ErrorMsg("failed to check token");
    /// Too many keys that were refused came from this address, which must wait.
    AdminThrottled = "admin.throttled", 429, "Too many failed attempts.", ErrorMsg("failed to check token");
    /// Role or confinement of the operator's key do not permit this; the event says why.
    AdminForbidden = "admin.forbidden", 403, "The key does not permit this.", ErrorMsg("failed to check token");

    /// The client went away before the answer was complete.
    ClientGone = "client.gone", 499, "The client closed the request.", Page;
    /// A plugin panicked. The request was refused, others go on.
    Panicked = "internal.panic", 500, "Something went wrong.", Page;
    /// An error of our own. It denies.
    Internal = "internal.error", 500, "Something went wrong.", Page;
    /// The whole exchange took longer than `limits.request_time`.
    RequestTimeout = "http.request_timeout", 504, "The request took too long.", Page;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_dotted() {
        let mut seen = HashSet::new();
        for reason in Reason::ALL {
            assert!(seen.insert(reason.code()), "{} twice", reason.code());
            assert!(reason.code().contains('.'));
        }
    }

    #[test]
    fn every_reason_is_an_error_with_a_sentence_and_documentation() {
        for reason in Reason::ALL {
            assert!((400..600).contains(&reason.status()), "{}", reason.code());
            assert!(reason.title().ends_with('.'), "{}", reason.code());
            assert!(!reason.documentation().is_empty());
        }
    }
}
