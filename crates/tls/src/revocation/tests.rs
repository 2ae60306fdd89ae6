use super::*;
use crate::{Authority, ClientCertificate, ClientSource, Issued, Validity};

#[test]
fn what_is_no_list_is_refused() {
    let read = |file: &[u8]| RevocationLists::read([file]).map(drop);
    assert!(matches!(read(b""), Err(TlsFault::NoRevocation)));
    assert!(matches!(read(b"hello"), Err(TlsFault::NoRevocation)));
    let der = [0x30, 0x03, 0x02, 0x01, 0x01];
    assert!(matches!(read(&der), Err(TlsFault::RevocationUnreadable { position: 1, .. })));
    let long = vec![b'x'; REVOCATION_MAX + 1];
    assert!(matches!(read(&long), Err(TlsFault::RevocationTooLarge)));
}

fn authority() -> (Authority, Issued) {
    let authority = Authority::create("clients", lasting(0, 1_000)).unwrap();
    let issued = authority.issue_client("alice", &[], lasting(0, 1_000)).unwrap();
    (authority, issued)
}

fn lasting(begin: u64, end: u64) -> Validity {
    Validity {
        not_before: Timestamp::from_secs(1_000_000 + begin),
        not_after: Timestamp::from_secs(1_000_000 + end),
    }
}

fn read_all(pems: &[String]) -> Result<RevocationLists, TlsFault> {
    RevocationLists::read(pems.iter().map(String::as_bytes))
}

#[test]
fn of_two_lists_of_one_authority_the_newer_counts_whatever_their_order() {
    let (authority, issued) = authority();
    let source =
        ClientSource { ca: authority.certificate(), depth: 1, skip_mtls_uri_regex: Vec::new() };
    let at = |secs: u64| Timestamp::from_secs(1_000_000 + secs);
    let certificate = ClientCertificate::verify(&issued.chain, &source, at(50)).unwrap();
    let list = |revoked: &[&Issued], begin, end| {
        authority.revocation_list(revoked, lasting(begin, end)).unwrap()
    };
    let told = |older: &String, newer: &String, secs| {
        let chain = RevocationDepth::Chain;
        let orders = [[older, newer], [newer, older]].map(|pair| {
            let lists = read_all(&pair.map(String::clone)).unwrap();
            certificate.check_revocation(&lists, chain, at(secs))
        });
        assert_eq!(orders[0], orders[1]);
        let [first, _] = orders;
        first
    };
    let (empty, full) = (list(&[], 10, 500), list(&[&issued], 20, 500));
    assert_eq!(told(&empty, &full, 50), Err(RevocationFault::Revoked));
    let released = list(&[], 30, 500);
    assert_eq!(told(&full, &released, 50), Ok(()), "a hold was lifted");
    let ended = list(&[], 10, 40);
    assert_eq!(told(&ended, &full, 50), Err(RevocationFault::Revoked), "not hidden");
    let short = list(&[], 20, 40);
    assert_eq!(told(&empty, &short, 50), Err(RevocationFault::Ended), "the newer has ended");
}

#[test]
fn two_lists_of_which_none_is_newer_are_refused_and_the_same_twice_is_one() {
    let (authority, issued) = authority();
    let one = authority.revocation_list(&[], lasting(10, 500)).unwrap();
    let other = authority.revocation_list(&[&issued], lasting(10, 500)).unwrap();
    let both = read_all(&[one.clone(), other]);
    assert!(matches!(both, Err(TlsFault::RivalRevocations { .. })), "{both:?}");
    let stranger = Authority::create("others", lasting(0, 1_000)).unwrap();
    let theirs = stranger.revocation_list(&[], lasting(10, 500)).unwrap();
    let all = [theirs.clone(), one.clone(), one.clone()];
    let known = read_all(&[one, theirs]).unwrap();
    let again = read_all(&all).unwrap();
    assert_eq!((again.lists.len(), again.fingerprint()), (2, known.fingerprint()));
}

#[test]
fn so_many_lists_are_read_and_no_more() {
    let (authority, _) = authority();
    let texts: Vec<String> = (0_u64..)
        .take(LISTS_MAX + 1)
        .map(|begin| authority.revocation_list(&[], lasting(begin, 500)).unwrap())
        .collect();
    for (count, is_read) in [(LISTS_MAX - 1, true), (LISTS_MAX, true), (LISTS_MAX + 1, false)] {
        assert_eq!(read_all(&texts[..count]).is_ok(), is_read, "{count}");
    }
    for (size, is_read) in [(REVOCATION_MAX - 1, true), (REVOCATION_MAX, true)] {
        let mut file = texts[0].clone().into_bytes();
        file.resize(size, b'\n');
        assert_eq!(RevocationLists::read([&*file]).is_ok(), is_read, "{size}");
    }
}

#[test]
fn verdicts_by_several_lists_are_kept_beside_each_other() {
    let end = Timestamp::from_secs(100);
    let list = |id| RevocationLists { id: [id; 32], lists: Vec::new(), ends: vec![end] };
    let checked = Checked::default();
    let judged = std::cell::Cell::new(0);
    let ask = |id| {
        let _ = checked.recall(&list(id), RevocationDepth::Chain, Timestamp::from_secs(50), || {
            judged.set(judged.get() + 1);
            Ok(())
        });
        judged.get()
    };
    let most = u8::try_from(VERDICTS_MAX).unwrap();
    for round in 0..3 {
        for id in 0..most {
            ask(id);
        }
        assert_eq!(judged.get(), usize::from(most), "round {round}");
    }
    assert_eq!(ask(most), VERDICTS_MAX + 1);
    assert_eq!(ask(1), VERDICTS_MAX + 1, "still kept");
    assert_eq!(ask(0), VERDICTS_MAX + 2, "the oldest went");
}

#[test]
fn a_verdict_holds_for_its_lists_depth_and_time_only() {
    let end = Timestamp::from_secs(100);
    let list = |id| RevocationLists { id: [id; 32], lists: Vec::new(), ends: vec![end] };
    let (one, two) = (list(1), list(2));
    let checked = Checked::default();
    let judged = std::cell::Cell::new(0);
    let ask = |lists: &RevocationLists, depth, secs| {
        let _ = checked.recall(lists, depth, Timestamp::from_secs(secs), || {
            judged.set(judged.get() + 1);
            Ok(())
        });
        judged.get()
    };
    assert_eq!(ask(&one, RevocationDepth::Chain, 50), 1);
    assert_eq!(ask(&one, RevocationDepth::Chain, 99), 1);
    assert_eq!(ask(&one, RevocationDepth::Chain, 100), 2, "the list has ended");
    assert_eq!(ask(&one, RevocationDepth::Leaf, 100), 3);
    assert_eq!(ask(&two, RevocationDepth::Leaf, 100), 4);
    assert_eq!(ask(&two, RevocationDepth::Leaf, 99), 5, "the clock was set back");
}
