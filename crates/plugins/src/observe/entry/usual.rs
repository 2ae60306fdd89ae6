//! The usual entry.

use bartizan_audit::{REDACTED, Redactor};
use bartizan_wire::{Field, Fields};
use smallvec::SmallVec;

use super::write::{Commas, Writer};

/// Writes the members of the usual entry.
pub(super) fn usual(out: &mut Writer<'_, '_>) {
    let (cx, outcome) = (out.of.cx, out.of.outcome);
    out.raw(b"\"request_id\":\"");
    out.raw(&cx.id.encode());
    out.raw(b"\",\"client_ip\":");
    out.address(cx.client());
    let route = cx.matched().map(|matched| &*matched.route);
    out.raw(b",\"route_id\":");
    out.text(route.map_or("", |route| &route.id).as_bytes());
    out.raw(b",\"service_id\":");
    let service = route.and_then(|route| route.service_id.as_deref());
    out.text(service.unwrap_or_default().as_bytes());
    if let Some(identity) = cx.identity() {
        if let Some(consumer) = identity.consumer() {
            out.raw(b",\"consumer\":{\"username\":");
            out.text(consumer.username().as_bytes());
            out.raw(b"}");
        } else if let Some(subject) = identity.subject() {
            out.raw(b",\"subject\":");
            out.text(subject.as_bytes());
        }
    }
    request(out);
    out.raw(b",\"response\":{\"status\":");
    out.number(u64::from(outcome.status));
    out.raw(b",\"headers\":{");
    if let Some(fields) = out.of.answer {
        headers(out, fields, cx.fields.len());
    }
    out.raw(b"},\"size\":");
    out.number(outcome.bytes_out);
    out.raw(b"}");
    if let Some(denial) = outcome.denial {
        out.raw(b",\"reason\":");
        out.text(denial.reason.code().as_bytes());
    }
    out.raw(b",\"server\":{\"hostname\":");
    out.text(out.of.hostname.as_bytes());
    out.raw(b",\"version\":");
    out.text(env!("CARGO_PKG_VERSION").as_bytes());
    out.raw(b"}");
    times(out);
}

fn times(out: &mut Writer<'_, '_>) {
    let (cx, outcome) = (out.of.cx, out.of.outcome);
    if let Some(address) = cx.upstream.address {
        out.raw(b",\"upstream\":");
        out.socket(address);
    }
    out.raw(b",\"start_time\":");
    out.number(cx.received.as_millis());
    out.raw(b",\"latency\":");
    out.millis(outcome.duration);
    if let Some(upstream) = outcome.upstream_duration {
        out.raw(b",\"upstream_latency\":");
        out.millis(upstream);
    }
    out.raw(b",\"apisix_latency\":");
    let own = outcome.duration.saturating_sub(outcome.upstream_duration.unwrap_or_default());
    out.millis(own);
}

fn request(out: &mut Writer<'_, '_>) {
    let of = out.of;
    let canonical = of.cx.canonical();
    out.raw(b",\"request\":{\"method\":");
    out.text(canonical.method().as_str().as_bytes());
    addresses(out);
    out.raw(b",\"querystring\":{");
    let query = canonical.query().unwrap_or_default();
    let mut seen: SmallVec<[&str; 8]> = SmallVec::new();
    let mut commas = Commas::default();
    for (name, _) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        if !seen.contains(&name) {
            seen.push(name);
            commas.next(out.out);
            out.text(name.as_bytes());
            out.raw(HIDDEN_VALUE);
        }
    }
    out.raw(b"},\"headers\":{");
    headers(out, &of.cx.fields, 0);
    out.raw(b"},\"size\":");
    out.number(of.outcome.bytes_in);
    out.raw(b"}");
}

/// `url` and `uri`.
fn addresses(out: &mut Writer<'_, '_>) {
    let canonical = out.of.cx.canonical();
    let (scheme, authority) = (canonical.scheme(), canonical.authority());
    let target = canonical.path_and_query().as_bytes();
    out.raw(b",\"url\":");
    let mut end = 0..0;
    let is_written = out.parts(|parts| {
        parts.word(scheme.as_bytes());
        parts.word(b"://");
        parts.piece(authority.as_bytes());
        let start = parts.0.len();
        Redactor::write_target(parts.0, target);
        end = start..parts.0.len();
        Some(())
    });
    if is_written {
        out.raw(b",\"uri\":\"");
        out.out.extend_from_within(end);
        out.raw(b"\"");
        return;
    }
    let target = out.of.target();
    out.text([scheme, "://", authority, &target].concat().as_bytes());
    out.raw(b",\"uri\":");
    out.text(target.as_bytes());
}

/// What stands behind a name whose value is hidden.
const HIDDEN_VALUE: &[u8] = b":\"***\"";

/// Each name once, the values of a repeated field joined; `first` is the number of the first field.
fn headers(out: &mut Writer<'_, '_>, fields: &Fields, first: usize) {
    let (mut once, mut twice) = (0_u64, 0_u64);
    for field in fields.iter() {
        let mark = mark(field.name);
        twice |= once & mark;
        once |= mark;
    }
    let mut commas = Commas::default();
    for (at, field) in fields.iter().enumerate() {
        // What has a mark of its own has no other of its name.
        let is_alone = twice & mark(field.name) == 0;
        if !is_alone && fields.iter().take(at).any(|before| before.name == field.name) {
            continue;
        }
        commas.next(out.out);
        out.text(field.name);
        let is_secret = out.of.is_secret(first + at, field.name);
        if !is_alone {
            joined(out, fields.iter().skip(at), field.name, is_secret);
        } else if is_secret {
            out.raw(HIDDEN_VALUE);
        } else {
            out.raw(b":");
            out.text(field.value);
        }
    }
}

/// The values of all fields of this name.
fn joined<'f>(
    out: &mut Writer<'_, '_>,
    fields: impl Iterator<Item = Field<'f>>,
    name: &[u8],
    is_secret: bool,
) {
    let shown = |value| if is_secret { REDACTED.as_bytes() } else { value };
    let values = fields.filter(|field| field.name == name).map(|field| shown(field.value));
    out.raw(b":");
    out.text(&values.collect::<Vec<_>>().join(&b", "[..]));
}

/// One of 64 bits, by length and ends of a name.
fn mark(name: &[u8]) -> u64 {
    let end = |byte: Option<&u8>| byte.copied().map_or(0, u32::from);
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    let mixed = end(name.first()) ^ (end(name.last()) << 2) ^ length.wrapping_mul(5);
    1 << (mixed & 63)
}
