//! Databases of places by address for tests, in `MaxMind`'s format (version 2.0).
//!
//! <https://maxmind.github.io/MaxMind-DB/>: a binary tree over the bits of IPv6 addresses, IPv4 ones
//! below `::/96`; sixteen zero bytes; the records; a marker; facts about the file.

use std::net::IpAddr;

use serde_json::{Value, json};

/// Types of values.
const TEXT: u8 = 2;
const U16: u8 = 5;
const U32: u8 = 6;
const MAP: u8 = 7;
const U64: u8 = 9;
const LIST: u8 = 11;

/// Where a branch of the tree leads.
#[derive(Clone, Copy)]
enum Branch {
    Nowhere,
    Node(usize),
    /// To the record at this offset.
    Record(usize),
}

/// A database out of a mapping from networks to records, such as
/// `{"192.0.2.0/24": {"country_code": "DE"}}`. Records have texts, numbers, lists and mappings.
/// Panics where that is not what is given.
pub fn geo_database(networks: &Value) -> Vec<u8> {
    let mut entries: Vec<(u128, u32, &Value)> = networks
        .as_object()
        .expect("a mapping from networks to records")
        .iter()
        .map(|(network, record)| {
            let (bits, length) = parse(network);
            (bits, length, record)
        })
        .collect();
    // A network inside of another is put in after it.
    entries.sort_by_key(|(_, length, _)| *length);
    let (mut tree, mut records) = (vec![[Branch::Nowhere; 2]], Vec::new());
    for (bits, length, record) in entries {
        let offset = records.len();
        encode(record, &mut records);
        insert(&mut tree, bits, length, Branch::Record(offset));
    }
    let count = u32::try_from(tree.len()).expect("a small tree");
    let mut file = Vec::new();
    for branch in tree.iter().flatten() {
        let value = match branch {
            Branch::Nowhere => count,
            Branch::Node(node) => u32::try_from(*node).expect("a small tree"),
            Branch::Record(offset) => count + 16 + u32::try_from(*offset).expect("few records"),
        };
        file.extend_from_slice(&value.to_be_bytes());
    }
    file.extend_from_slice(&[0; 16]);
    file.extend_from_slice(&records);
    file.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    encode_facts(count, &mut file);
    file
}

/// Facts about the file, whose numbers have each a type of their own.
fn encode_facts(node_count: u32, out: &mut Vec<u8>) {
    let texts =
        json!({"database_type": "Test", "languages": ["en"], "description": {"en": "test"}});
    let texts = texts.as_object().expect("a mapping");
    let numbers = [
        ("node_count", U32, u64::from(node_count)),
        ("record_size", U16, 32),
        ("ip_version", U16, 6),
        ("binary_format_major_version", U16, 2),
        ("binary_format_minor_version", U16, 0),
        ("build_epoch", U64, 1_767_225_600),
    ];
    head(MAP, texts.len() + numbers.len(), out);
    for (key, value) in texts {
        encode(&json!(key), out);
        encode(value, out);
    }
    for (key, kind, value) in numbers {
        encode(&json!(key), out);
        encode_number(kind, value, out);
    }
}

/// The bits of a network in the tree, and how many of them count.
fn parse(network: &str) -> (u128, u32) {
    let (address, length) = network.split_once('/').expect("an address and a length");
    let length: u32 = length.parse().expect("a length");
    match address.parse().expect("an address") {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), length + 96),
        IpAddr::V6(v6) => (u128::from(v6), length),
    }
}

fn insert(tree: &mut Vec<[Branch; 2]>, bits: u128, length: u32, leaf: Branch) {
    let side = |depth: u32| usize::from(bits >> (127 - depth) & 1 == 1);
    let mut node = 0;
    for depth in 0..length - 1 {
        node = match tree[node][side(depth)] {
            Branch::Node(next) => next,
            // What holds for the whole holds for both halves.
            whole => {
                tree.push([whole; 2]);
                let next = tree.len() - 1;
                tree[node][side(depth)] = Branch::Node(next);
                next
            }
        };
    }
    tree[node][side(length - 1)] = leaf;
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => {
            head(TEXT, text.len(), out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Number(number) => {
            let number = number.as_u64().expect("a whole number");
            let kind = match number {
                0..=0xffff => U16,
                0x1_0000..=0xffff_ffff => U32,
                _ => U64,
            };
            encode_number(kind, number, out);
        }
        Value::Object(map) => {
            head(MAP, map.len(), out);
            for (key, value) in map {
                encode(&json!(key), out);
                encode(value, out);
            }
        }
        Value::Array(items) => {
            head(LIST, items.len(), out);
            for item in items {
                encode(item, out);
            }
        }
        Value::Null | Value::Bool(_) => panic!("`{value}` is nothing that a record has"),
    }
}

/// A number without the zeros before it.
fn encode_number(kind: u8, number: u64, out: &mut Vec<u8>) {
    let bytes = number.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    head(kind, bytes.len() - zeros, out);
    out.extend_from_slice(&bytes[zeros..]);
}

/// Type and size of a value; types above seven stand in a byte of their own.
fn head(kind: u8, size: usize, out: &mut Vec<u8>) {
    let size = u8::try_from(size).expect("a small value");
    let (short, more) = if size < 29 { (size, None) } else { (29, Some(size - 29)) };
    if kind <= 7 {
        out.push(kind << 5 | short);
    } else {
        out.extend_from_slice(&[short, kind - 7]);
    }
    out.extend(more);
}
