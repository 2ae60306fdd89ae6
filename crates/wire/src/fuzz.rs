//! What must hold for every input: the laws that fuzzers and the replay of their corpora check.
//!
//! Each function takes raw bytes and panics if a law is broken. They are here, and not beside the
//! fuzz targets, so that the stable toolchain compiles and runs them too.

use std::time::Duration;

use bartizan_core::{Limits, Reason};
use bytes::BytesMut;
use http::Method;

use crate::canonical::{Canonical, PathPolicy};
use crate::fields::Fields;
use crate::h1::chunked::{CHUNK_END, ChunkLimits, ChunkedDecoder, LAST_CHUNK, chunk_head};
use crate::h1::encode::{OutgoingRequest, OutgoingResponse, encode_request, encode_response};
use crate::h1::request::parse_request;
use crate::h1::response::parse_response;
use crate::h1::scan::HeadScan;
use crate::h1::{HeadLimits, HeadRefusal, Progress};
use crate::h2::connection::{ConnectionLimits, H2Connection, H2Event};
use crate::h2::hpack::decode::Decoder;
use crate::h2::hpack::encode;
use crate::head::{ConnectionUse, RequestHead, ResponseHead, Version};
use crate::websocket::frames::{FrameFollower, FramesOf, ReservedBits};
use crate::websocket::handshake::Handshake;

/// Small limits, so that short inputs reach them.
const LIMITS: HeadLimits =
    HeadLimits { request_line: 200, field: 120, header_block: 400, fields: 12 };

/// Inputs are cut off here: longer ones show nothing that shorter ones do not.
const INPUT_MAX: usize = 2_048;

type Outcome<T> = Result<Option<T>, (Reason, &'static str)>;
type FieldPairs = Vec<(Vec<u8>, Vec<u8>)>;
/// Data, trailers and length of a chunked body.
type Body = (Vec<u8>, FieldPairs, usize);

fn pairs(fields: &Fields) -> FieldPairs {
    fields.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect()
}

/// The pieces in which a head arrives: whole, one by one, and in odd sizes.
fn arrivals(data: &[u8]) -> [std::slice::Chunks<'_, u8>; 3] {
    [data.len().max(1), 1, 7].map(|size| data.chunks(size))
}

/// Feeds pieces to a parser until it has an outcome; what is left over comes with it.
fn feed<'a, T>(
    pieces: impl Iterator<Item = &'a [u8]>,
    mut parse: impl FnMut(&mut BytesMut) -> Result<Progress<T>, HeadRefusal>,
) -> Outcome<(T, Vec<u8>)> {
    let mut buffer = BytesMut::new();
    let mut pieces = pieces;
    while let Some(piece) = pieces.next() {
        buffer.extend_from_slice(piece);
        match parse(&mut buffer) {
            Ok(Progress::Partial) => {}
            Ok(Progress::Complete(head)) => {
                let rest = pieces.flatten().copied();
                return Ok(Some((head, buffer.iter().copied().chain(rest).collect())));
            }
            Err(refusal) => return Err((refusal.reason, refusal.detail)),
        }
    }
    Ok(None)
}

/// A request's head does not depend on how it was cut, and what is accepted can be forwarded as a
/// request that reads the same.
pub fn request_head(data: &[u8]) {
    let data = data.get(..INPUT_MAX).unwrap_or(data);
    let [whole, singles, sevens] = arrivals(data).map(|pieces| {
        let mut scan = HeadScan::default();
        feed(pieces, |buffer| parse_request(buffer, &mut scan, &LIMITS))
    });
    let seen = |outcome: &Outcome<(RequestHead, Vec<u8>)>| match outcome {
        Ok(found) => Ok(found.as_ref().map(|(head, rest)| (request_key(head), rest.clone()))),
        Err(fault) => Err(*fault),
    };
    assert_eq!(seen(&whole), seen(&singles), "cut into bytes");
    assert_eq!(seen(&whole), seen(&sevens), "cut into sevens");
    let Ok(Some((head, _))) = whole else { return };
    assert!(head.fields.single("host").is_ok_and(|host| host.is_some()), "not exactly one host");
    let Ok(canonical) = Canonical::from_request(&head, false, PathPolicy::default()) else {
        return;
    };
    let outgoing = OutgoingRequest {
        method: &head.method,
        target: canonical.path_and_query(),
        host: canonical.authority(),
        fields: &head.fields,
        lines: None,
        forwarded_host: None,
        body: head.body,
        connection: head.connection,
        websocket: head.handshake == Handshake::Whole,
        expect_continue: head.expects_continue,
    };
    let mut out = Vec::new();
    let sent = encode_request(&mut out, &outgoing);
    assert!(sent.is_ok(), "accepted and not sendable: {sent:?}");
    let mut buffer = BytesMut::from(out.as_slice());
    let again = parse_request(&mut buffer, &mut HeadScan::default(), &HeadLimits::default());
    assert!(matches!(again, Ok(Progress::Complete(_))), "sent and not readable: {again:?}");
    let Ok(Progress::Complete(again)) = again else { return };
    assert!(buffer.is_empty(), "a request became two");
    assert_eq!(again.method, head.method);
    assert_eq!(again.target, canonical.path_and_query());
    let opens = |head: &RequestHead| head.handshake == Handshake::Whole;
    assert_eq!((again.body, opens(&again)), (head.body, opens(&head)));
    assert_eq!(again.expects_continue, head.expects_continue);
    let others = |fields: &Fields| {
        let mut list = pairs(fields);
        list.retain(|(name, _)| name != b"host");
        list
    };
    assert_eq!(others(&again.fields), others(&head.fields));
}

fn request_key(head: &RequestHead) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        (head.method.clone(), head.target.clone(), head.authority.clone(), head.version),
        (pairs(&head.fields), head.body, head.connection),
        (head.expects_continue, head.handshake),
    )
}

/// The same for a response, to GET and to HEAD.
pub fn response_head(data: &[u8]) {
    let data = data.get(..INPUT_MAX).unwrap_or(data);
    for method in [Method::GET, Method::HEAD] {
        let [whole, singles, sevens] = arrivals(data).map(|pieces| {
            let mut scan = HeadScan::default();
            feed(pieces, |buffer| parse_response(buffer, &mut scan, &LIMITS, &method))
        });
        let seen = |outcome: &Outcome<(ResponseHead, Vec<u8>)>| match outcome {
            Ok(found) => {
                Ok(found.as_ref().map(|(h, rest)| (response_key(h), h.connection, rest.clone())))
            }
            Err(fault) => Err(*fault),
        };
        assert_eq!(seen(&whole), seen(&singles), "cut into bytes");
        assert_eq!(seen(&whole), seen(&sevens), "cut into sevens");
        if let Ok(Some((head, _))) = whole {
            resend_response(&head, &method);
        }
    }
}

fn resend_response(head: &ResponseHead, method: &Method) {
    let outgoing = OutgoingResponse {
        status: head.status,
        version: Version::Http11,
        method,
        fields: &head.fields,
        body: head.body,
        declared_length: head.declared_length,
        connection: head.connection,
    };
    let mut out = Vec::new();
    let sent = encode_response(&mut out, &outgoing);
    assert!(sent.is_ok(), "accepted and not sendable: {sent:?}");
    let mut buffer = BytesMut::from(out.as_slice());
    let mut scan = HeadScan::default();
    let again = parse_response(&mut buffer, &mut scan, &HeadLimits::default(), method);
    assert!(matches!(again, Ok(Progress::Complete(_))), "sent and not readable: {again:?}");
    let Ok(Progress::Complete(again)) = again else { return };
    assert!(buffer.is_empty(), "a response became two");
    assert_eq!(response_key(&again), response_key(head));
}

fn response_key(head: &ResponseHead) -> impl PartialEq + std::fmt::Debug + use<> {
    (head.status, pairs(&head.fields), head.body, head.declared_length)
}

/// A chunked body does not depend on how it was cut, and its data survives being sent on.
pub fn chunked(data: &[u8]) {
    let data = data.get(..INPUT_MAX).unwrap_or(data);
    let [whole, singles, sevens] = arrivals(data).map(decode);
    assert_eq!(whole, singles, "cut into bytes");
    assert_eq!(whole, sevens, "cut into sevens");
    let Ok(Some((body, _, used))) = whole else { return };
    assert!(used <= data.len(), "more was read than there is");
    let mut out = Vec::new();
    for piece in body.chunks(5) {
        chunk_head(piece.len(), &mut out);
        out.extend_from_slice(piece);
        out.extend_from_slice(CHUNK_END);
    }
    out.extend_from_slice(LAST_CHUNK);
    let again = decode(out.chunks(out.len()));
    assert_eq!(again, Ok(Some((body, Vec::new(), out.len()))), "sent and not readable");
}

fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome<Body> {
    let limits = ChunkLimits { extension: 16, trailers: 100, fields: 4 };
    let mut decoder = ChunkedDecoder::new(limits);
    let (mut body, mut used) = (Vec::new(), 0);
    for mut piece in pieces {
        while !piece.is_empty() {
            let step = decoder.step(piece).map_err(|fault| (fault.reason, fault.detail))?;
            assert!(step.consumed > 0, "a step without progress");
            let data = step.data.and_then(|range| piece.get(range)).unwrap_or_default();
            body.extend_from_slice(data);
            used += step.consumed;
            if step.done {
                return Ok(Some((body, pairs(&decoder.take_trailers()), used)));
            }
            piece = piece.get(step.consumed..).unwrap_or_default();
        }
    }
    Ok(None)
}

/// A canonical target is its own canonical form, and holds nothing that is refused. The first byte
/// chooses the policy; a line end stands between host and target.
pub fn canonical(data: &[u8]) {
    let data = data.get(..INPUT_MAX).unwrap_or(data);
    let Some((choice, rest)) = data.split_first() else { return };
    let policy = PathPolicy {
        merge_slashes: choice & 1 == 0,
        delete_tail_slash: choice & 2 != 0,
        drop_parameters: choice & 4 != 0,
        encoded_slashes: choice & 8 != 0,
    };
    let mut parts = rest.splitn(2, |b| *b == b'\n');
    let (host, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(canonical) = Canonical::from_request(&bare_request(host, target), true, policy) else {
        return;
    };
    let path = canonical.path();
    assert!(canonical.path_and_query().bytes().all(|b| b.is_ascii_graphic()), "not visible ASCII");
    assert!(canonical.host().bytes().all(|b| !b.is_ascii_uppercase()), "a host in upper case");
    assert!(!path.contains(['\\', ';', '#', '?']), "a forbidden byte in {path}");
    for forbidden in ["%5C", "%3B", "%00", "%2f", "%5c"] {
        assert!(!path.contains(forbidden), "{forbidden} in {path}");
    }
    assert!(policy.encoded_slashes || !path.contains("%2F"), "an encoded slash in {path}");
    assert!(!policy.delete_tail_slash || path == "/" || !path.ends_with('/'), "the end of {path}");
    let decoded = path.replace("%2F", "/");
    assert!(!decoded.split('/').any(|s| s == "." || s == ".."), "hidden dots in {path}");
    assert!(!path.split('/').any(|s| s == "." || s == ".."), "a dot segment in {path}");
    assert!(!policy.merge_slashes || !path.contains("//"), "slashes in {path}");
    if path != "*" {
        let again = canonical.rewritten(canonical.path_and_query(), policy);
        assert_eq!(
            again.map(|c| c.path_and_query().to_owned()).ok().as_deref(),
            Some(canonical.path_and_query()),
            "not its own form"
        );
    }
    let again = canonical.with_host(canonical.authority());
    assert_eq!(
        again.map(|c| c.authority().to_owned()).ok().as_deref(),
        Some(canonical.authority())
    );
    for (name, _) in canonical.query_pairs() {
        let _ = canonical.query_value(name);
    }
}

fn bare_request(host: &[u8], target: &[u8]) -> RequestHead {
    let mut fields = Fields::new();
    fields.append("host", host.to_vec());
    RequestHead {
        method: Method::GET,
        target: target.to_vec().into(),
        authority: None,
        scheme: None,
        version: Version::Http11,
        fields,
        body: crate::head::BodyLength::None,
        connection: ConnectionUse::KeepAlive,
        expects_continue: false,
        handshake: Handshake::Absent,
    }
}

/// Limits of a connection that short inputs reach.
fn connection_limits() -> ConnectionLimits {
    let mut limits = ConnectionLimits::from(&Limits::default());
    limits.streams = 4;
    limits.meter.pings = 3;
    limits.meter.settings = 3;
    limits.meter.priorities = 3;
    limits.meter.resets = 3;
    limits.meter.empty_data = 3;
    limits.meter.provoked_resets = 3;
    limits
}

/// What a connection makes of its frames does not depend on how they were cut, whatever is read
/// and answered meanwhile; and it never holds more than its windows allow.
pub fn h2_connection(data: &[u8]) {
    let data = data.get(..8 * INPUT_MAX).unwrap_or(data);
    let limits = connection_limits();
    let seen = |pieces: std::slice::Chunks<'_, u8>| {
        let mut connection = H2Connection::new(limits);
        let mut told = Vec::new();
        let mut ended = None;
        for piece in pieces {
            ended = connection.receive(piece, &|| Duration::from_secs(1)).err();
            while let Some(event) = connection.next_event() {
                if let H2Event::Opened { stream, .. } = &event {
                    connection.tag(*stream, *stream);
                }
                // When a stream may go on depends on when it is looked at.
                match event {
                    H2Event::Opened { stream, head } => told.push(match head {
                        Ok(head) => format!("{stream} {head:?} {:?}", pairs(&head.fields)),
                        Err(refusal) => format!("{stream} {refusal:?}"),
                    }),
                    H2Event::Ended { .. } | H2Event::Moved { .. } | H2Event::WindowGrew => {}
                }
            }
            if ended.is_some() {
                break;
            }
        }
        let bodies: Vec<_> = (0..64).map(|id| connection.take_body(id)).collect();
        for id in 0..64 {
            connection.give_up(id);
        }
        assert_eq!(connection.open(), 0, "streams that do not end");
        (told, ended, bodies)
    };
    let [whole, singles, sevens] = arrivals(data).map(seen);
    // A violation takes with it what the same piece held before it.
    if whole.1.is_some() {
        assert_eq!(whole.1, singles.1, "cut into bytes");
        assert_eq!(whole.1, sevens.1, "cut into sevens");
    } else {
        assert_eq!(whole, singles, "cut into bytes");
        assert_eq!(whole, sevens, "cut into sevens");
    }
}

/// What a header block says can be written and says the same again; what cannot be read is an
/// error, whatever came before it. Blocks stand behind their lengths, two bytes each.
pub fn hpack(data: &[u8]) {
    let mut data = data.get(..8 * INPUT_MAX).unwrap_or(data);
    let mut decoder = Decoder::default();
    while let Some((length, rest)) = data.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (block, rest) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        data = rest;
        let mut fields = FieldPairs::new();
        let read = decoder.decode(block, |name, value| {
            if fields.len() < 100 {
                fields.push((name.to_vec(), value.to_vec()));
            }
        });
        if read.is_err() {
            return;
        }
        let mut out = Vec::new();
        for (name, value) in &fields {
            encode::field(&mut out, name, value);
        }
        let mut again = FieldPairs::new();
        let read = Decoder::default()
            .decode(&out, |name, value| again.push((name.to_vec(), value.to_vec())));
        assert!(read.is_ok(), "written and not readable: {read:?}");
        assert_eq!(again, fields);
    }
}

/// What passes of a WebSocket's frames does not depend on how they were cut, and is a beginning of
/// what came. The first byte says whose frames they are.
pub fn frames(data: &[u8]) {
    let Some((first, data)) = data.split_first() else { return };
    let of = if first & 1 == 0 { FramesOf::Client } else { FramesOf::Server };
    let reserved = if first & 2 == 0 { ReservedBits::None } else { ReservedBits::Compressed };
    let seen = |pieces: std::slice::Chunks<'_, u8>| {
        let mut follower = FrameFollower::new(of, reserved, 1 << 16);
        let mut passed = Vec::new();
        for piece in pieces {
            let followed = follower.follow(piece);
            passed.extend_from_slice(followed.ahead.as_slice());
            passed.extend_from_slice(piece.get(..followed.through).unwrap_or_default());
            if followed.fault.is_some() {
                return (passed, followed.fault, 0);
            }
        }
        (passed, None, follower.left())
    };
    let [whole, singles, sevens] = arrivals(data.get(..INPUT_MAX).unwrap_or(data)).map(seen);
    assert!(data.starts_with(&whole.0), "something that never came");
    assert_eq!(whole, singles, "cut into bytes");
    assert_eq!(whole, sevens, "cut into sevens");
}
