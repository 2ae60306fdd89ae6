use bartizan_core::ManualClock;

use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn node() -> (ManualClock, Arc<Published>) {
    let clock = ManualClock::at(Timestamp::from_secs(1_000_000));
    let published = Arc::new(Published::new(Clock::Manual(clock.clone())));
    (clock, published)
}

fn ring(node: &(ManualClock, Arc<Published>), settings: Settings) -> Arc<Keyring> {
    let clock = Clock::Manual(node.0.clone());
    let ring = Arc::new(Keyring::new(settings, clock, node.1.clone()));
    ring.open().unwrap();
    ring
}

fn own(algorithm: Algorithm) -> Settings {
    Settings::Own { algorithm, rotate: HOUR }
}

fn names((_, published): &(ManualClock, Arc<Published>)) -> Vec<String> {
    let set: Value = serde_json::from_str(&published.text()).unwrap();
    let keys = set["keys"].as_array().unwrap().iter();
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_key_is_published_long_before_it_signs_and_until_its_tokens_have_ended() {
    let node = node();
    let ring = ring(&node, own(Algorithm::Es256));
    let first = ring.current().unwrap().kid.clone();
    let before = names(&node);
    assert_eq!((before.len(), &*before[0]), (2, &*first));
    node.0.advance(Duration::from_secs(3_599));
    assert_eq!(ring.current().unwrap().kid, first);
    node.0.advance(Duration::from_secs(1));
    let second = ring.current().unwrap().kid.clone();
    assert_eq!(before[1], *second, "the one that was announced");
    assert_eq!(names(&node).len(), 3);
    assert!(names(&node).contains(&first.to_string()));
    node.0.advance(LIFETIME_MAX);
    assert!(!names(&node).contains(&first.to_string()), "its last token has ended");
    assert_eq!(*ring.current().unwrap().kid, *second);
}

#[test]
fn a_ring_that_has_not_signed_publishes_nothing() {
    let node = node();
    let given = [(); 2].map(|()| Held::generate(Algorithm::Es256).unwrap());
    let kids: Vec<String> = given.iter().map(|held| held.kid.to_string()).collect();
    let rings = [own(Algorithm::EdDsa), Settings::Given(given.into())];
    let [made, given] = rings.map(|settings| ring(&node, settings));
    assert!(names(&node).is_empty());
    node.0.advance(HOUR);
    assert!(names(&node).is_empty(), "not by the time either");
    assert_eq!(*given.current().unwrap().kid, *kids[0]);
    assert_eq!(names(&node), kids, "all that were given, and nothing of the other ring");
    let first = made.current().unwrap().kid.to_string();
    assert_eq!(names(&node).len(), 4);
    assert_eq!(names(&node)[2], first, "one that never signed is not told");
    drop((made, given));
    assert_eq!(names(&node).len(), 2, "only what has signed");
}

#[test]
fn other_settings_are_another_ring_and_what_has_signed_stays_published() {
    let node = node();
    let old = ring(&node, own(Algorithm::Es256));
    let first = old.current().unwrap().kid.to_string();
    let before = names(&node);
    let refused = ring(&node, own(Algorithm::EdDsa));
    assert_eq!(names(&node), before, "nothing is told of what never signed");
    drop(refused);
    assert_eq!(*old.current().unwrap().kid, *first, "what signs has not changed");
    assert_eq!(names(&node), before);
    let given = Held::generate(Algorithm::Es256).unwrap();
    let new = ring(&node, Settings::Given([given.clone()].into()));
    assert_eq!(new.current().unwrap().kid, given.kid);
    drop(old);
    assert_eq!(names(&node), [given.kid.to_string(), first.clone()]);
    node.0.advance(LIFETIME_MAX);
    assert_eq!(names(&node), [given.kid.to_string()], "its last token has ended");
}

#[test]
fn so_many_keys_of_ended_rings_are_published_and_no_more() {
    for (count, told) in
        [(ENDED_MAX - 1, ENDED_MAX - 1), (ENDED_MAX, ENDED_MAX), (ENDED_MAX + 1, ENDED_MAX)]
    {
        let node = node();
        for _ in 0..count {
            ring(&node, own(Algorithm::EdDsa)).current().unwrap();
        }
        assert_eq!(names(&node).len(), told, "{count}");
    }
}

#[test]
fn settings_are_told_apart_by_all_that_they_say() {
    let keys = [(); 2].map(|()| Held::generate(Algorithm::Es256).unwrap());
    let [one, other] = keys;
    let all = [
        own(Algorithm::Es256),
        own(Algorithm::EdDsa),
        Settings::Own { algorithm: Algorithm::Es256, rotate: 2 * HOUR },
        Settings::Given([one.clone()].into()),
        Settings::Given([one.clone(), other.clone()].into()),
        Settings::Given([other, one].into()),
    ];
    let names: std::collections::HashSet<String> = all.iter().map(Settings::name).collect();
    assert_eq!(names.len(), all.len());
}

#[test]
fn nothing_private_is_published() {
    let node = node();
    let rings = [Algorithm::Es256, Algorithm::EdDsa].map(|one| ring(&node, own(one)));
    for ring in &rings {
        ring.current().unwrap();
    }
    let set: Value = serde_json::from_str(&node.1.text()).unwrap();
    assert_eq!(set["keys"].as_array().unwrap().len(), 2 * rings.len());
    for key in set["keys"].as_array().unwrap() {
        let members: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(!members.contains(&"d"), "{members:?}");
    }
}
