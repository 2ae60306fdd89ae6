use proptest::prelude::*;

use super::*;
use crate::operators::rights::Confinement;

const NOW: Second = Second(1_700_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn new(name: &str) -> NewOperator {
    let rights = Rights { role: Role::Admin, confinement: Confinement::default(), secrets: false };
    NewOperator { name: name.to_owned(), rights, lifetime: 90 * DAY }
}

fn state(book: &Book, id: KeyId, now: Second) -> KeyState {
    book.get(id).unwrap().state(now)
}

/// What the checking of a key does.
fn is_good(book: &Book, key: &NewKey, now: Second) -> bool {
    let entry = book.find(key.text.expose());
    entry.is_some_and(|entry| {
        let is_good = !entry.is_over(now);
        if is_good {
            entry.last_used.note(now);
        }
        is_good
    })
}

#[test]
fn a_key_is_found_by_all_of_it_alone() {
    let mut book = Book::new().unwrap();
    let (alice, bob) =
        (book.create(&new("alice"), NOW).unwrap(), book.create(&new("bob"), NOW).unwrap());
    assert_eq!(book.find(alice.text.expose()).unwrap().id, alice.id);
    assert_eq!(&*book.find(bob.text.expose()).unwrap().name, "bob");
    let stranger = Book::new().unwrap().create(&new("alice"), NOW).unwrap();
    assert!(book.find(stranger.text.expose()).is_none());
    for other in [&b""[..], b"btz_admin_", alice.id.as_str().as_bytes(), &[0; 500]] {
        assert!(book.find(other).is_none());
    }
    // The right id with another's secret, and a checksum that fits.
    let other = Book::new().unwrap();
    assert!(other.find(alice.text.expose()).is_none());
}

#[test]
fn the_book_holds_no_key_and_reads_itself() {
    let mut book = Book::new().unwrap();
    let key = book.create(&new("alice"), NOW).unwrap();
    assert!(is_good(&book, &key, NOW));
    let content = book.to_bytes().unwrap();
    let text = std::str::from_utf8(&content).unwrap();
    let secret = key.text.expose_str().unwrap();
    for part in [secret, &secret[secret.len() - 20..]] {
        assert!(!text.contains(part));
    }
    let again = Book::parse(&content).unwrap();
    assert!(is_good(&again, &key, NOW));
    assert_eq!(again.to_bytes().unwrap(), content);
}

#[test]
fn what_is_wrong_with_a_book_is_said() {
    let mut book = Book::new().unwrap();
    book.create(&new("alice"), NOW).unwrap();
    let text = String::from_utf8(book.to_bytes().unwrap().to_vec()).unwrap();
    let twice = {
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let entry = value["keys"][0].clone();
        value["keys"].as_array_mut().unwrap().push(entry);
        value.to_string()
    };
    for (content, problem) in [
        (String::new(), "EOF while parsing"),
        (text.replace("\"version\": 1", "\"version\": 2"), "version is 2"),
        (text.replace("\"version\": 1,", ""), "missing field `version`"),
        (text.replace("alice", "al ice"), "the name is not"),
        (text.replace("\"name\"", "\"nam\""), "unknown field `nam`"),
        (text.replace("\"admin\"", "\"root\""), "unknown variant `root`"),
        (text.replace("\"digest_key\": \"", "\"digest_key\": \"A"), "`digest_key` is not 32 bytes"),
        (text.replace("\"mac\": \"", "\"mac\": \"A"), "no digest of 32 bytes"),
        (text.replace("\"created\": 17", "\"created\": 99"), "expires before it is made"),
        (twice, "is there twice"),
        (text[..text.len() / 2].to_owned(), "EOF while parsing"),
    ] {
        let found = Book::parse(content.as_bytes()).map(|_| ()).unwrap_err();
        assert!(found.contains(problem), "{found}: {problem}");
    }
}

#[test]
fn a_rotation_locks_nobody_out() {
    let mut book = Book::new().unwrap();
    let old = book.create(&new("ci"), NOW).unwrap();
    assert_eq!(state(&book, old.id, NOW), KeyState::Active);
    let next = book.rotate(old.id, 7 * DAY, None, NOW).unwrap();
    assert_eq!(state(&book, old.id, NOW), KeyState::Retiring);
    assert_eq!(state(&book, next.id, NOW), KeyState::Next);
    let soon = NOW.plus(6 * DAY);
    assert!(is_good(&book, &old, soon));
    assert!(is_good(&book, &next, soon));
    assert_eq!(state(&book, next.id, soon), KeyState::Active);
    let later = NOW.plus(7 * DAY);
    assert!(!is_good(&book, &old, later));
    assert_eq!(state(&book, old.id, later), KeyState::Retired);
    assert!(is_good(&book, &next, later));
}

#[test]
fn a_successor_that_was_lost_is_replaced() {
    let mut book = Book::new().unwrap();
    let old = book.create(&new("ci"), NOW).unwrap();
    let lost = book.rotate(old.id, 7 * DAY, None, NOW).unwrap();
    let later = NOW.plus(6 * DAY);
    let next = book.rotate(old.id, 7 * DAY, None, later).unwrap();
    assert!(!is_good(&book, &lost, later));
    assert!(is_good(&book, &old, NOW.plus(12 * DAY)), "the overlap begins anew");
    assert!(is_good(&book, &next, later));
    let refused = book.rotate(old.id, DAY, None, later).map(|key| key.id).unwrap_err();
    assert!(refused.problem.contains("its successor"), "{refused}");
}

#[test]
fn keys_end_by_date_by_retiring_and_by_revoking() {
    let mut book = Book::new().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| book.create(&new(name), NOW).unwrap());
    book.retire(a.id, DAY, NOW).unwrap();
    book.revoke(b.id, NOW).unwrap();
    assert!(is_good(&book, &a, NOW) && !is_good(&book, &b, NOW) && is_good(&book, &c, NOW));
    assert!(!is_good(&book, &a, NOW.plus(DAY)));
    assert!(is_good(&book, &c, NOW.plus(89 * DAY)));
    let end = NOW.plus(90 * DAY);
    assert!(!is_good(&book, &c, end));
    let over = [a.id, b.id, c.id].map(|id| book.get(id).unwrap().over());
    assert_eq!(over, ["retired", "revoked", "expired"]);
    for id in [a.id, b.id, c.id] {
        assert!(book.revoke(id, end).is_err() && book.retire(id, DAY, end).is_err());
        assert!(book.rotate(id, DAY, None, end).is_err());
    }
}

#[test]
fn a_book_is_bounded_and_forgets_what_is_over_first() {
    let mut book = Book::new().unwrap();
    let first = book.create(&new("first"), NOW).unwrap();
    for n in 1..KEYS_MAX {
        book.create(&new(&format!("k{n}")), NOW).unwrap();
    }
    assert!(book.create(&new("more"), NOW).is_err());
    book.revoke(first.id, NOW).unwrap();
    book.create(&new("more"), NOW).unwrap();
    assert!(book.get(first.id).is_none());
    assert_eq!(book.entries().count(), KEYS_MAX);
}

#[test]
fn what_cannot_be_a_key_is_refused() {
    let mut book = Book::new().unwrap();
    book.create(&new("alice"), NOW).unwrap();
    let confined = Confinement::new(vec!["routes".to_owned()], BTreeMap::default(), vec![], vec![]);
    let admin = Rights { role: Role::Admin, confinement: confined.unwrap(), secrets: false };
    for unfit in [
        new("alice"),
        new(""),
        new("a b"),
        new("a\n"),
        new(&"x".repeat(NAME_MAX + 1)),
        NewOperator { lifetime: Duration::ZERO, ..new("bob") },
        NewOperator { lifetime: LIFETIME_MAX + DAY, ..new("bob") },
        NewOperator { rights: admin, ..new("bob") },
    ] {
        assert!(book.create(&unfit, NOW).is_err(), "{unfit:?}");
    }
    assert_eq!(book.entries().count(), 1);
}

proptest! {
    /// Whatever is rotated and however long: of a name that had a good key there is one still,
    /// until the last one's date.
    #[test]
    fn rotations_never_leave_a_name_without_a_key(
        steps in prop::collection::vec((0_u64..20, 0_u64..10, any::<bool>()), 1..12),
    ) {
        let mut book = Book::new().unwrap();
        let mut now = NOW;
        let mut keys = vec![book.create(&new("ci"), now).unwrap()];
        for (wait, overlap, is_used) in steps {
            now = now.plus(u32::try_from(wait).unwrap() * DAY);
            let overlap = u32::try_from(overlap).unwrap() * DAY;
            let good = keys.iter().rposition(|key| {
                book.get(key.id).is_some_and(|entry| {
                    !entry.is_over(now) && entry.state(now) != KeyState::Next
                })
            });
            if let Some(at) = good
                && let Ok(key) = book.rotate(keys[at].id, overlap, None, now)
            {
                keys.push(key);
            }
            if is_used {
                let last = keys.last().unwrap();
                let last_end = book.get(last.id).unwrap().end();
                prop_assert_eq!(is_good(&book, last, now), now < last_end);
            }
            let last_end = keys.iter().map(|key| book.get(key.id).unwrap().end()).max().unwrap();
            let is_any_good = keys.iter().any(|key| !book.get(key.id).unwrap().is_over(now));
            prop_assert_eq!(is_any_good, now < last_end);
            let newest = book.get(keys.last().unwrap().id).unwrap();
            prop_assert!(newest.retires.is_none() && newest.revoked.is_none());
        }
    }
}
