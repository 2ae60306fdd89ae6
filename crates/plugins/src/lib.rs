//! The plugins: one file each, grouped by the stage in which they run, and the catalogue of them.
//!
//! A plugin is registered by one line in `catalogue!`; from that line come the dispatch enum, the
//! schemas, the table from names to compilers and the reference pages.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

pub mod admit;
pub mod authenticate;
pub mod authorize;
mod catalogue;
#[cfg(test)]
mod chain_tests;
mod chance;
mod coding;
mod decimal;
mod declared;
mod entry;
mod field_change;
#[cfg(test)]
mod fixture;
pub mod fuzz;
mod graphql;
pub mod inspect;
pub mod jose;
pub mod meter;
mod monotonic;
mod networks;
mod node_page;
mod node_state;
pub mod observe;
pub mod openapi;
mod outgoing;
mod pattern_list;
pub mod prepare;
pub mod reply;
#[cfg(test)]
mod request_tests;
mod rewrite_text;
mod schemas;
mod small_file;
mod substitution;
mod tally;
pub mod transform;
pub mod validate;
mod waiting;
mod web_origin;
#[cfg(test)]
mod work;

pub use web_origin::comes_from_another_origin;

use bartizan_chain::{
    AnswerHead, Flow, IdentityKey, LogView, Outcome, Plugin, PluginSet, RequestCx, Traits,
};
use bartizan_core::{Denial, Stage};

use catalogue::{catalogue, memory};
pub use entry::Entry;
use entry::entry;
pub use schemas::Catalogue;

catalogue! {
    RealIp => prepare::real_ip::RealIp,
    ClientControl => prepare::client_control::ClientControl,
    RequestIdField => prepare::request_id::RequestIdField,
    Cors => admit::cors::Cors,
    IpRestriction => admit::ip_restriction::IpRestriction,
    AuthThrottle => admit::auth_throttle::AuthThrottle,
    UaRestriction => admit::ua_restriction::UaRestriction,
    RefererRestriction => admit::referer_restriction::RefererRestriction,
    UriBlocker => admit::uri_blocker::UriBlocker,
    Redirect => prepare::redirect::Redirect,
    MultiAuth => authenticate::multi_auth::MultiAuth,
    HmacAuth => authenticate::hmac_auth::HmacAuth,
    HttpSignature => authenticate::http_signature::HttpSignature,
    BasicAuth => authenticate::basic_auth::BasicAuth,
    OpenidConnect => authenticate::openid_connect::OpenidConnect,
    OauthIntrospection => authenticate::oauth_introspection::OauthIntrospection,
    GeoRestriction => admit::geo_restriction::GeoRestriction,
    JwtAuth => authenticate::jwt_auth::JwtAuth,
    MtlsAuth => authenticate::mtls_auth::MtlsAuth,
    JweDecrypt => authenticate::jwe_decrypt::JweDecrypt,
    KeyAuth => authenticate::key_auth::KeyAuth,
    AnonymousAccess => authenticate::anonymous_access::AnonymousAccess,
    Acl => authorize::acl::Acl,
    Csrf => authorize::csrf::Csrf,
    ConsumerRestriction => authorize::consumer_restriction::ConsumerRestriction,
    ForwardAuth => authorize::forward_auth::ForwardAuth,
    Opa => authorize::opa::Opa,
    AnyAuthenticated => authorize::any_authenticated::AnyAuthenticated,
    LimitCount => meter::limit_count::LimitCount,
    Workflow => meter::workflow::Workflow,
    LimitConn => meter::limit_conn::LimitConn,
    LimitReq => meter::limit_req::LimitReq,
    ObjectGuard => authorize::object_guard::ObjectGuard,
    RequestValidation => validate::request_validation::RequestValidation,
    AttachConsumerLabel => transform::attach_consumer_label::AttachConsumerLabel,
    IdentityForward => transform::identity_forward::IdentityForward,
    GraphqlLimitCount => meter::graphql_limit_count::GraphqlLimitCount,
    ApiBreaker => transform::api_breaker::ApiBreaker,
    FaultInjection => transform::fault_injection::FaultInjection,
    GrpcTranscode => transform::grpc_transcode::GrpcTranscode,
    Mocking => transform::mocking::Mocking,
    OasValidator => validate::oas_validator::OasValidator,
    Waf => inspect::waf::Waf,
    ProxyRewrite => transform::proxy_rewrite::ProxyRewrite,
    Brotli => reply::brotli::Brotli,
    Gzip => reply::gzip::Gzip,
    ResponseRewrite => reply::response_rewrite::ResponseRewrite,
    ErrorPage => reply::error_page::ErrorPage,
    Echo => reply::echo::Echo,
    ExitTransformer => reply::exit_transformer::ExitTransformer,
    DataMask => observe::data_mask::DataMask,
    Prometheus => observe::prometheus::Prometheus,
    PublicApi => transform::public_api::PublicApi,
    NodeStatus => observe::node_status::NodeStatus,
    ServerInfo => observe::server_info::ServerInfo,
    HttpLogger => observe::http_logger::HttpLogger,
    TcpLogger => observe::tcp_logger::TcpLogger,
    Syslog => observe::syslog::Syslog,
    UdpLogger => observe::udp_logger::UdpLogger,
    FileLogger => observe::file_logger::FileLogger,
}

/// The row of a plugin by its name.
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name == name)
}
