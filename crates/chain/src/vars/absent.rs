//! Variables of nginx and Apache APISIX that have no value here, and why.

const NO_FILES: &str = "no files are served";
const NO_PIPELINE: &str = "requests are served one by one";
const KERNEL: &str = "the kernel's measurements of a connection are not read";
const IN_FORMATS: &str = "bodies are not held for it";
const PROXY_PROTOCOL: &str = "the PROXY protocol is not spoken";

/// Names, and why they have no value.
const NAMES: [(&str, &str); 22] = [
    ("document_root", NO_FILES),
    ("realpath_root", NO_FILES),
    ("request_filename", NO_FILES),
    ("request_body_file", NO_FILES),
    ("pipe", NO_PIPELINE),
    ("limit_rate", "rates are limited by plugins"),
    ("rate_limiting_info", "what limits decide is in the headers of the answer and in events"),
    ("request_body", IN_FORMATS),
    ("resp_body", IN_FORMATS),
    ("nginx_version", "this is not nginx"),
    ("msie", "it guesses at browsers; read `http_user_agent`"),
    ("ssl_early_data", "early data is not accepted"),
    ("ssl_session_id", "it would let whoever reads it resume the session"),
    ("ssl_ciphers", "what the client offered is not kept; read `ssl_cipher`"),
    ("ssl_curves", "what the client offered is not kept"),
    ("ssl_curve", "the group of the key exchange is not kept"),
    ("ssl_alpn_protocol", "read `server_protocol`"),
    ("upstream_cache_status", "answers are not cached"),
    ("upstream_bytes_sent", "only what the client sent is counted; read `request_length`"),
    ("upstream_bytes_received", "only what the client gets is counted; read `bytes_sent`"),
    ("upstream_response_length", "only what the client gets is counted; read `bytes_sent`"),
    ("upstream_queue_time", "requests do not wait for an upstream"),
];

/// Beginnings of names, and why they have no value.
const FAMILIES: [(&str, &str); 13] = [
    ("apisix_", "it belongs to Apache APISIX"),
    ("balancer_", "the server is told by `balancer_ip`, `balancer_port` and `upstream_addr`"),
    ("connections_", "how many connections there are is in the metrics"),
    ("geoip", "use the plugin `geo-restriction`"),
    ("llm_", "no language models are called"),
    ("nginx_", "this is not nginx"),
    ("proxy_protocol_", PROXY_PROTOCOL),
    ("proxy_", "the server is told by `upstream_addr`"),
    ("sent_trailer_", "trailers are sent after the logs read the head"),
    ("ssl_", "it is not kept of the handshake"),
    ("tcpinfo_", KERNEL),
    ("upstream_http_", "read `sent_http_…`, the fields as they go out"),
    ("upstream_", "it is not kept of the exchange"),
];

/// Why a variable that there is elsewhere has no value here; `None` where there is none.
pub(super) fn why(name: &str) -> Option<&'static str> {
    let named = NAMES.iter().find(|(known, _)| *known == name);
    let begun = || FAMILIES.iter().find(|(prefix, _)| name.starts_with(prefix));
    named.or_else(begun).map(|(_, why)| *why)
}
