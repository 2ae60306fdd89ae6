use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use bartizan_testkit::geo_database;
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::fixture::Bench;
use database::Database;

fn networks() -> Value {
    json!({
        "192.0.2.0/24": {"country": {"iso_code": "DE"}, "continent": {"code": "EU"}},
        "192.0.2.128/25": {"country": {"iso_code": "fr"}, "continent": {"code": "EU"}},
        "198.51.100.0/24": {"continent": {"code": "AS"}},
        "2001:db8::/32": {"country": {"iso_code": "US"}, "continent": {"code": "NA"}},
    })
}

/// A bench with files in its folder.
fn bench(files: &[(&str, &[u8])]) -> (Bench, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).unwrap();
    }
    let mut bench = Bench::new();
    bench.node.base_dir = folder.path().to_owned();
    (bench, folder)
}

fn plugin(config: &Value) -> GeoRestriction {
    let (bench, _folder) = bench(&[("places.mmdb", &geo_database(&networks()))]);
    bench.compile(config).unwrap()
}

fn judge(plugin: &GeoRestriction, address: &str) -> Result<(), Fault> {
    plugin.rules.judge(plugin.known(address.parse().unwrap()).unwrap())
}

#[test]
fn only_what_is_allowed_passes_and_the_unknown_does_not() {
    let config = json!({"database": "places.mmdb", "allow": {"countries": ["DE", "US"]}});
    let plugin = plugin(&config);
    for (address, expected) in [
        ("192.0.2.1", Ok(())),
        ("192.0.2.200", Err(Fault::NotAllowed)),
        ("198.51.100.1", Err(Fault::Unknown)),
        ("203.0.113.1", Err(Fault::Unknown)),
        ("2001:db8::1", Ok(())),
        ("2001:db9::1", Err(Fault::Unknown)),
    ] {
        assert_eq!(judge(&plugin, address), expected, "{address}");
    }
}

#[test]
fn deny_wins_and_the_unknown_could_be_denied() {
    let mut config = json!({
        "database": "places.mmdb",
        "allow": {"continents": ["EU", "AS"]},
        "deny": {"countries": ["FR"]},
    });
    for (unknown, in_asia) in [("deny", Err(Fault::Unknown)), ("allow", Ok(()))] {
        config["unknown"] = json!(unknown);
        let plugin = plugin(&config);
        assert_eq!(judge(&plugin, "192.0.2.1"), Ok(()));
        assert_eq!(judge(&plugin, "192.0.2.200"), Err(Fault::Denied));
        assert_eq!(judge(&plugin, "198.51.100.1"), in_asia);
        assert_eq!(judge(&plugin, "2001:db8::1"), Err(Fault::NotAllowed));
    }
}

#[test]
fn makers_lay_records_out_differently() {
    for record in [
        json!({"country": {"iso_code": "DE"}, "autonomous_system_number": 64_500}),
        json!({"country_code": "DE", "asn": "AS64500"}),
        json!({"country": "DE", "asn": 64_500}),
        json!({"country_code": "de", "traits": {"autonomous_system_number": 64_500}}),
    ] {
        let database = Database::new(geo_database(&json!({"192.0.2.0/24": record}))).unwrap();
        let found = database.record(Ipv4Addr::new(192, 0, 2, 1).into()).unwrap();
        assert_eq!(found.code(Fact::Country), Ok(Some(*b"DE")), "{record}");
        assert_eq!(found.network(), Ok(Some(64_500)), "{record}");
        assert_eq!(found.code(Fact::Continent), Ok(None), "{record}");
    }
}

#[test]
fn what_the_file_does_not_know_cannot_be_asked_for() {
    let (bench, _folder) = bench(&[
        ("places.mmdb", &geo_database(&networks())),
        ("networks.mmdb", &geo_database(&json!({"192.0.2.0/24": {"asn": 64_500}}))),
    ]);
    let ask = |config: &Value| bench.compile::<GeoRestriction>(config).map(drop);
    let deny = json!({"networks": [64_500]});
    let fault = ask(&json!({"database": "places.mmdb", "deny": deny})).unwrap_err();
    assert!(fault.problem.contains("no networks"), "{fault}");
    let both =
        json!({"database": "places.mmdb", "network_database": "networks.mmdb", "deny": deny});
    assert!(ask(&both).is_ok());
    let fault = ask(&json!({"database": "networks.mmdb", "allow": {"countries": ["DE"]}}));
    assert!(fault.unwrap_err().problem.contains("no countries"));
}

#[test]
fn broken_and_large_files_are_refused_when_they_are_read() {
    let sound = geo_database(&networks());
    let mut cut = sound.clone();
    cut.drain(..64);
    let (mut bench, folder) = bench(&[
        ("sound.mmdb", &sound),
        ("cut.mmdb", &cut),
        ("empty.mmdb", b""),
        ("text.mmdb", b"192.0.2.0/24 DE"),
    ]);
    std::fs::create_dir(folder.path().join("folder.mmdb")).unwrap();
    let fault = |bench: &Bench, file: &str| {
        bench.fault::<GeoRestriction>(&json!({"database": file, "deny": {"countries": ["DE"]}}))
    };
    for file in ["cut.mmdb", "empty.mmdb", "text.mmdb"] {
        assert!(fault(&bench, file).problem.contains("no sound database"), "{file}");
    }
    assert!(fault(&bench, "missing.mmdb").problem.contains("No such file"));
    assert!(fault(&bench, "folder.mmdb").problem.contains("is not a file"));
    bench.node.limits.geo_database = bartizan_core::ByteSize(64);
    assert!(fault(&bench, "sound.mmdb").problem.contains("limits.geo_database"));
}

#[test]
fn a_file_is_read_once_and_again_when_it_has_changed() {
    let (bench, folder) = bench(&[("places.mmdb", &geo_database(&networks()))]);
    let config = json!({"database": "places.mmdb", "allow": {"countries": ["DE"]}});
    let compile = |id: &str| bench.compile_in::<GeoRestriction>(id, &config).unwrap();
    let (one, other) = (compile("one"), compile("other"));
    assert!(one.places.is_same(&other.places));
    assert_eq!(bench.node.files.take(), [folder.path().join("places.mmdb")]);

    let moved = json!({"192.0.2.0/24": {"country": {"iso_code": "PL"}}});
    let next = folder.path().join("next.mmdb");
    std::fs::write(&next, geo_database(&moved)).unwrap();
    std::fs::rename(&next, folder.path().join("places.mmdb")).unwrap();
    let renewed = compile("one");
    assert_eq!(judge(&renewed, "192.0.2.1"), Err(Fault::NotAllowed));
    // Requests that are under way keep what they began with.
    assert_eq!(judge(&one, "192.0.2.1"), Ok(()));
    drop((one, other, renewed));
    bench.node.registry.sweep();
    assert!(bench.node.registry.is_empty());
}

/// The same database with an empty description, as some makers publish theirs.
fn undescribed(file: &[u8]) -> Vec<u8> {
    const KEY: &[u8] = b"\x4bdescription";
    let at = file.windows(KEY.len()).rposition(|window| window == KEY).unwrap() + KEY.len();
    // A map of one text and another.
    assert_eq!(&file[at..at + 9], b"\xe1\x42en\x44test");
    [&file[..at], b"\xe0", &file[at + 9..]].concat()
}

#[test]
fn a_database_without_description_is_read_and_verified_all_the_same() {
    let sound = undescribed(&geo_database(&networks()));
    let database = Database::new(sound.clone()).unwrap();
    let record = database.record("192.0.2.1".parse().unwrap()).unwrap();
    assert_eq!(record.code(Fact::Country), Ok(Some(*b"DE")));
    // A text longer than what is left of the file.
    let at = sound.windows(3).position(|window| window == b"\x42DE").unwrap();
    let mut broken = sound;
    broken[at] = 0x5c;
    assert!(Database::new(broken).is_err());
}

/// Country of an address, by looking at every network.
fn naive(networks: &[(u32, u8, String)], address: u32) -> Option<&str> {
    let covers = |(net, length, _): &&(u32, u8, String)| {
        *length == 0 || (address ^ net) >> (32 - u32::from(*length)) == 0
    };
    networks.iter().filter(covers).max_by_key(|(_, length, _)| *length).map(|(.., c)| c.as_str())
}

proptest! {
    #[test]
    fn agrees_with_a_naive_search(
        networks in prop::collection::btree_map((any::<u32>(), 1_u8..=32), "[A-Z]{2}", 1..12),
        inside in prop::collection::vec(any::<prop::sample::Index>(), 4),
        outside in prop::collection::vec(any::<u32>(), 4),
    ) {
        let list: Vec<(u32, u8, String)> = networks
            .into_iter()
            .map(|((net, length), country)| (net & u32::MAX << (32 - length), length, country))
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        // The same network twice has two meanings.
        let mut list = list;
        list.dedup_by_key(|(net, length, _)| (*net, *length));
        let record = |(net, length, country): &(u32, u8, String)| {
            (format!("{}/{length}", Ipv4Addr::from(*net)), json!({"country_code": country}))
        };
        let map: serde_json::Map<String, Value> = list.iter().map(record).collect();
        let database = Database::new(geo_database(&Value::Object(map))).unwrap();
        let inside = inside.iter().map(|at| at.get(&list).0);
        for address in inside.chain(outside) {
            let found = database.record(Ipv4Addr::from(address).into()).unwrap();
            let code = found.code(Fact::Country).unwrap();
            let expected = naive(&list, address).map(|code| Code::try_from(code.as_bytes()).unwrap());
            prop_assert_eq!(code, expected);
        }
    }

    #[test]
    fn rules_agree_with_a_naive_judge(
        allow in prop::option::of(prop::collection::vec(0_u8..3, 1..3)),
        deny in prop::option::of(prop::collection::vec(0_u8..3, 1..3)),
        country in prop::option::of(0_u8..4),
        passes_unknown: bool,
    ) {
        prop_assume!(allow.is_some() || deny.is_some());
        let code = |number: u8| [b'A', b'A' + number];
        let list = |list: &Option<Vec<u8>>| list.as_ref().map(|list| List {
            countries: Some(sorted(list.iter().map(|number| code(*number)).collect())),
            ..List::default()
        });
        let unknown = if passes_unknown { Unknown::Allow } else { Unknown::Deny };
        let rules = Rules { allow: list(&allow), deny: list(&deny), unknown };
        let naive = match country {
            None => passes_unknown,
            Some(country) => {
                !deny.is_some_and(|list| list.contains(&country))
                    && allow.is_none_or(|list| list.contains(&country))
            }
        };
        let known = Known { country: country.map(code), ..Known::default() };
        prop_assert_eq!(rules.judge(known).is_ok(), naive);
    }

    #[test]
    fn no_file_makes_it_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        at: usize,
        is_described: bool,
    ) {
        let file = geo_database(&networks());
        let mut file = if is_described { file } else { undescribed(&file) };
        let at = at % file.len();
        let end = (at + bytes.len()).min(file.len());
        file.splice(at..end, bytes);
        if let Ok(database) = Database::new(file) {
            for address in [Ipv4Addr::new(192, 0, 2, 1).into(), Ipv6Addr::LOCALHOST.into()] {
                if let Ok(record) = database.record(address) {
                    let _ = (record.code(Fact::Country), record.network());
                }
            }
        }
    }
}

#[test]
fn the_file_is_watched() {
    let (bench, folder) = bench(&[("places.mmdb", &geo_database(&networks()))]);
    let config = json!({"database": "places.mmdb", "deny": {"countries": ["DE"]}});
    drop(bench.compile::<GeoRestriction>(&config).unwrap());
    assert_eq!(bench.node.files.take(), [Path::new(folder.path()).join("places.mmdb")]);
}

/// A database that is published, as its makers lay it out.
#[test]
fn a_published_database_says_where_well_known_addresses_are() {
    let Some(package) = bartizan_testkit::npm_package("@ip-location-db/geo-whois-asn-country-mmdb")
    else {
        return;
    };
    let mut bench = Bench::new();
    bench.node.base_dir = package;
    let with = |file: &str, countries: &[&str]| -> GeoRestriction {
        let config = json!({"database": file, "allow": {"countries": countries}});
        bench.compile(&config).unwrap_or_else(|fault| panic!("{fault}"))
    };
    let whole = with("geo-whois-asn-country.mmdb", &["US", "NL"]);
    for (address, expected) in [
        ("8.8.8.8", Ok(())),
        ("2001:4860:4860::8888", Ok(())),
        ("193.0.6.139", Ok(())),
        ("2001:67c:2e8::1", Ok(())),
        ("133.11.0.1", Err(Fault::NotAllowed)),
        ("10.0.0.1", Err(Fault::Unknown)),
        ("127.0.0.1", Err(Fault::Unknown)),
        ("fd00::1", Err(Fault::Unknown)),
    ] {
        assert_eq!(judge(&whole, address), expected, "{address}");
    }
    // The same makers' file of IPv4 alone says the same of IPv4, and nothing of IPv6.
    let short = with("geo-whois-asn-country-ipv4.mmdb", &["US", "NL"]);
    for number in 0..4_096_u32 {
        let address = Ipv4Addr::from(number.wrapping_mul(0x9e37_79b9)).to_string();
        assert_eq!(judge(&short, &address), judge(&whole, &address), "{address}");
    }
    assert_eq!(judge(&short, "2001:4860:4860::8888"), Err(Fault::Unknown));
    // It knows countries only.
    let config = json!({
        "database": "geo-whois-asn-country.mmdb", "deny": {"continents": ["EU"]},
    });
    assert!(bench.fault::<GeoRestriction>(&config).problem.contains("continents"));
}
