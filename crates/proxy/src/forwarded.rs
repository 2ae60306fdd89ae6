//! What the upstream learns about the client: `X-Forwarded-*` and `X-Real-IP`.
//!
//! What a client says of itself is replaced. What a trusted proxy said is kept and continued.

use std::net::IpAddr;

use bartizan_chain::RequestCx;
use bartizan_wire::{Fields, Lines};
use bytes::Bytes;
use ipnet::IpNet;

/// Fields that tell where a request came from.
const FIELDS: [&str; 7] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-prefix",
    "x-real-ip",
];

/// The client's address: the peer's, or where that is a trusted proxy the right-most address of
/// `X-Forwarded-For` that is none. A list that cannot be read leaves the peer's.
pub(crate) fn client_address(peer: IpAddr, trusted: &[IpNet], fields: &Fields) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |ip: &IpAddr| trusted.iter().any(|net| net.contains(ip));
    if trusted.is_empty() || !is_trusted(&peer) {
        return peer;
    }
    let mut client = peer;
    let lines: Vec<&[u8]> = fields.all("x-forwarded-for").collect();
    let entries = lines.iter().rev().flat_map(|line| line.rsplit(|b| *b == b','));
    for entry in entries {
        let Some(ip) = parse_address(entry) else { return client };
        client = ip;
        if !is_trusted(&ip) {
            break;
        }
    }
    client
}

fn parse_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = text.strip_prefix('[').and_then(|t| t.split_once(']')).map_or(text, |(ip, _)| ip);
    let ip = bare
        .parse::<IpAddr>()
        .or_else(|_| text.parse::<std::net::SocketAddr>().map(|socket| socket.ip()));
    ip.ok().map(|ip| ip.to_canonical())
}

/// Where the fields for the upstream stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announced {
    /// Among the request's fields.
    InFields,
    /// In the lines that the connection has prepared; only the host is the request's own.
    Prepared,
}

impl Announced {
    /// The prepared lines, and the host to name.
    pub(crate) fn lines(self, cx: &RequestCx) -> (Option<&Lines>, Option<&str>) {
        match self {
            Self::InFields => (None, None),
            Self::Prepared => (Some(&cx.peer.texts.forwarded), Some(cx.canonical().authority())),
        }
    }
}

/// Sets the fields for the upstream.
pub(crate) fn announce(cx: &mut RequestCx) -> Announced {
    let peer = cx.peer.address.ip().to_canonical();
    let is_relayed = cx.trusts_forwarded;
    if !is_relayed && cx.client() == peer {
        cx.fields.retain(|field| !is_known(field.name));
        return Announced::Prepared;
    }
    let chain = is_relayed.then(|| join(&cx.fields, "x-forwarded-for")).flatten();
    let host = is_relayed.then(|| join(&cx.fields, "x-forwarded-host")).flatten();
    let proto = is_relayed.then(|| join(&cx.fields, "x-forwarded-proto")).flatten();
    let port = is_relayed.then(|| join(&cx.fields, "x-forwarded-port")).flatten();
    cx.fields.retain(|field| !is_known(field.name));
    let peer_text = cx.peer.texts.address.clone();
    let chain = match chain {
        Some(mut chain) => {
            chain.extend_from_slice(b", ");
            chain.extend_from_slice(&peer_text);
            Bytes::from(chain)
        }
        None => peer_text.clone(),
    };
    let client = cx.client();
    let real = if client == peer { peer_text } else { Bytes::from(client.to_string()) };
    let scheme: &'static [u8] = if cx.peer.tls.is_some() { b"https" } else { b"http" };
    let authority = Bytes::copy_from_slice(cx.canonical().authority().as_bytes());
    let port = port.map_or_else(|| cx.peer.texts.port.clone(), Bytes::from);
    let fields = &mut cx.fields;
    fields.append(Bytes::from_static(b"x-forwarded-for"), chain);
    fields.append(Bytes::from_static(b"x-real-ip"), real);
    fields.append(
        Bytes::from_static(b"x-forwarded-proto"),
        proto.map_or(Bytes::from_static(scheme), Bytes::from),
    );
    fields.append(Bytes::from_static(b"x-forwarded-host"), host.map_or(authority, Bytes::from));
    fields.append(Bytes::from_static(b"x-forwarded-port"), port);
    Announced::InFields
}

fn is_known(name: &[u8]) -> bool {
    // Most fields begin otherwise: one comparison spares seven.
    matches!(name.first(), Some(b'x' | b'f')) && FIELDS.iter().any(|known| name == known.as_bytes())
}

fn join(fields: &Fields, name: &str) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    for value in fields.all(name) {
        if !joined.is_empty() {
            joined.extend_from_slice(b", ");
        }
        joined.extend_from_slice(value);
    }
    (!joined.is_empty()).then_some(joined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: &str, header: &[&str]) -> String {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "::1/128"].iter().filter_map(|n| n.parse().ok()).collect();
        let mut fields = Fields::new();
        for line in header {
            fields.append("x-forwarded-for", (*line).to_owned());
        }
        client_address(peer.parse().unwrap(), &trusted, &fields).to_string()
    }

    #[test]
    fn only_a_trusted_peer_is_believed() {
        assert_eq!(address("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(address("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(address("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn the_right_most_address_that_is_no_proxy_counts() {
        assert_eq!(address("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.2.2.2"]), "198.51.100.7");
        assert_eq!(address("10.0.0.1", &["1.1.1.1", "198.51.100.7", "10.2.2.2"]), "198.51.100.7");
        assert_eq!(address("10.0.0.1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(address("10.0.0.1", &["198.51.100.7:5000"]), "198.51.100.7");
    }

    #[test]
    fn a_list_that_cannot_be_read_stops_at_the_last_that_can() {
        assert_eq!(address("10.0.0.1", &["198.51.100.7, nonsense"]), "10.0.0.1");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1");
    }

    proptest::proptest! {
        #[test]
        fn the_client_agrees_with_a_naive_search(
            peer in "(10\\.0\\.0\\.[1-3]|11\\.0\\.0\\.1|::1|::2|::ffff:10\\.0\\.0\\.9)",
            lines in proptest::collection::vec(
                proptest::collection::vec(
                    "(10\\.1\\.1\\.[0-9]|::1|\\[::1\\]:80|9\\.9\\.9\\.[0-9]|8\\.8\\.8\\.8:1|x|)",
                    1..4,
                ),
                0..3,
            ),
        ) {
            let header: Vec<String> = lines.iter().map(|line| line.join(", ")).collect();
            let header: Vec<&str> = header.iter().map(String::as_str).collect();
            let is_proxy = |ip: &str| ip == "::1" || ip.starts_with("10.");
            let plain = |entry: &String| match entry.as_str() {
                "[::1]:80" => "::1".to_owned(),
                "8.8.8.8:1" => "8.8.8.8".to_owned(),
                other => other.to_owned(),
            };
            let peer_text = peer.trim_start_matches("::ffff:").to_owned();
            // From the peer to the left: whoever is no proxy, or stands before what is unreadable.
            let mut hops = vec![peer_text];
            hops.extend(lines.iter().flatten().map(plain).collect::<Vec<_>>().into_iter().rev());
            let readable = hops.iter().take_while(|hop| !hop.is_empty() && *hop != "x");
            let readable: Vec<&String> = readable.collect();
            let naive = readable.iter().find(|hop| !is_proxy(hop)).or(readable.last()).unwrap();
            proptest::prop_assert_eq!(address(&peer, &header), naive.as_str());
        }
    }
}
