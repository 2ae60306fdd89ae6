use proptest::prelude::*;
use simple_dns::rdata::{A, CNAME, SRV};

use super::*;

const HOST: &str = "orders.test";

fn record<'a>(owner: &'a str, ttl: u32, rdata: RData<'a>) -> ResourceRecord<'a> {
    ResourceRecord::new(Name::new(owner).unwrap(), CLASS::IN, ttl, rdata)
}

fn address(last: u8) -> RData<'static> {
    RData::A(A { address: u32::from_be_bytes([10, 0, 0, last]) })
}

fn alias(name: &str) -> RData<'_> {
    RData::CNAME(CNAME(Name::new(name).unwrap()))
}

/// An answer to a question, with what a test changes of it.
fn answer(asked: &Asked<'_>, change: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
    let question = Packet::parse(asked.message()).unwrap();
    let mut packet = Packet::new_reply(asked.id);
    packet.questions = question.questions;
    change(&mut packet);
    packet.build_bytes_vec_compressed().unwrap()
}

fn questions(asked: &Asked<'_>) -> Vec<Question<'static>> {
    let packet = Packet::parse(asked.message()).unwrap();
    packet.questions.into_iter().map(Question::into_owned).collect()
}

fn told(kind: Kind, records: Vec<ResourceRecord<'static>>) -> Result<Told, Fault> {
    let asked = Asked::new(HOST, kind).unwrap();
    let bytes = answer(&asked, |packet| packet.answers = records);
    asked.read(&bytes)
}

fn addresses(list: &[&str], seconds: u32) -> Told {
    let list = list.iter().map(|ip| (*ip).to_owned()).collect();
    Told { records: Records::Addresses(list), seconds }
}

#[test]
fn addresses_hold_as_long_as_the_shortest_of_them_and_of_the_aliases_to_them() {
    let list = vec![record("Orders.TEST", 60, address(1)), record(HOST, 30, address(2))];
    assert_eq!(told(Kind::A, list).unwrap(), addresses(&["10.0.0.1", "10.0.0.2"], 30));
    let list = vec![
        record("b.test", 60, address(1)),
        record(HOST, 7, alias("a.test")),
        record("a.test", 9, alias("b.test")),
    ];
    assert_eq!(told(Kind::A, list).unwrap(), addresses(&["10.0.0.1"], 7));
}

#[test]
fn what_is_of_another_name_type_or_class_says_nothing() {
    let nothing = Told { records: Records::Nothing, seconds: 0 };
    let mut chaos = record(HOST, 60, address(1));
    chaos.class = CLASS::CH;
    let loop_of_aliases = vec![record(HOST, 1, alias("a.test")), record("a.test", 1, alias(HOST))];
    for list in [vec![record("a.test", 60, address(1))], vec![chaos], loop_of_aliases, vec![]] {
        assert_eq!(told(Kind::A, list).unwrap(), nothing);
    }
    assert_eq!(told(Kind::Srv, vec![record(HOST, 60, address(1))]).unwrap(), nothing);
}

#[test]
fn srv_records_name_hosts_and_the_root_says_that_there_are_none() {
    let srv = |target: &'static str| {
        let target = Name::new(target).unwrap();
        record(HOST, 60, RData::SRV(SRV { priority: 1, weight: 2, port: 80, target }))
    };
    let host = Host { target: "a.test".to_owned(), port: 80, weight: 2, priority: 1 };
    let expected = Told { records: Records::Hosts(vec![host]), seconds: 60 };
    assert_eq!(told(Kind::Srv, vec![srv("A.test")]).unwrap(), expected);
    let expected = Told { records: Records::Hosts(Vec::new()), seconds: 60 };
    assert_eq!(told(Kind::Srv, vec![srv("")]).unwrap(), expected);
}

#[test]
fn an_alias_is_told_where_it_is_asked_for() {
    let told = told(Kind::Cname, vec![record(HOST, 60, alias("a.test"))]).unwrap();
    assert_eq!(told, Told { records: Records::Alias("a.test".to_owned()), seconds: 60 });
}

#[test]
fn only_an_answer_to_the_question_counts() {
    let asked = Asked::new(HOST, Kind::A).unwrap();
    let other = Asked::new("other.test", Kind::A).unwrap();
    let other_kind = Asked::new(HOST, Kind::Aaaa).unwrap();
    let good = answer(&asked, |_| {});
    assert!(asked.read(&good).is_ok());
    let wrong = [
        answer(&asked, |packet| packet.set_id(asked.id.wrapping_add(1))),
        answer(&asked, |packet| packet.remove_flags(PacketFlag::RESPONSE)),
        answer(&asked, |packet| packet.questions.clear()),
        answer(&asked, |packet| {
            packet.questions = questions(&other);
        }),
        answer(&asked, |packet| {
            packet.questions = questions(&other_kind);
        }),
        good.get(..good.len() - 1).unwrap().to_vec(),
        Vec::new(),
    ];
    for bytes in wrong {
        assert!(matches!(asked.read(&bytes), Err(Fault::Malformed(_))), "{bytes:?}");
    }
}

#[test]
fn a_name_that_is_not_there_has_nothing_and_a_server_that_fails_says_nothing() {
    let asked = Asked::new(HOST, Kind::A).unwrap();
    let code = |code: RCODE| asked.read(&answer(&asked, |packet| *packet.rcode_mut() = code));
    assert!(matches!(code(RCODE::NameError), Ok(Told { records: Records::Nothing, .. })));
    for failure in [RCODE::ServerFailure, RCODE::Refused, RCODE::NotImplemented] {
        assert!(matches!(code(failure), Err(Fault::Refused(_))), "{failure:?}");
    }
}

proptest! {
    /// Whatever bytes come, reading them ends, and in nothing worse than a fault.
    #[test]
    fn an_answer_that_was_tampered_with_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in 0_usize..40,
    ) {
        let asked = Asked::new(HOST, Kind::A).unwrap();
        let mut bytes = answer(&asked, |packet| {
            packet.answers =
                vec![record(HOST, 7, alias("a.orders.test")), record("a.orders.test", 9, address(1))];
        });
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        if let Ok(told) = asked.read(&bytes)
            && let Records::Addresses(list) = told.records
        {
            prop_assert!(list.len() <= 2);
        }
    }
}
