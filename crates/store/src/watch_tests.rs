use proptest::prelude::*;

use super::*;

/// Files whose content and metadata the test decides.
#[derive(Default)]
struct Fake {
    files: BTreeMap<PathBuf, (u64, Option<Vec<u8>>)>,
    /// Written in the middle of the next read.
    during_read: Option<(&'static str, &'static [u8])>,
    reads: usize,
}

impl Fake {
    fn write(&mut self, path: &str, content: &[u8]) {
        let file = self.files.entry(path.into()).or_default();
        *file = (file.0 + 1, Some(content.to_vec()));
    }

    fn touch(&mut self, path: &str) {
        self.files.entry(path.into()).or_default().0 += 1;
    }

    fn remove(&mut self, path: &str) {
        let file = self.files.entry(path.into()).or_default();
        *file = (file.0 + 1, None);
    }
}

impl Source for Fake {
    fn look(&mut self, path: &Path) -> Look {
        match self.files.get(path) {
            Some((version, Some(content))) => Look::fake(*version, content.len()),
            _ => Look::Missing,
        }
    }

    fn digest(&mut self, path: &Path) -> Option<Digest> {
        self.reads += 1;
        let digest = self.files.get(path)?.1.as_deref().map(Digest::of);
        if let Some((path, content)) = self.during_read.take() {
            self.write(path, content);
        }
        digest
    }
}

fn watching(files: &[(&str, &[u8])]) -> (Watch, Fake) {
    let (mut watch, mut fake) = (Watch::default(), Fake::default());
    for (path, content) in files {
        fake.write(path, content);
    }
    watch.watch(files.iter().map(|(path, content)| (path.into(), Some(Digest::of(content)))));
    (watch, fake)
}

/// Looks so often, and tells what each look reported.
fn looks(watch: &mut Watch, fake: &mut Fake, times: usize) -> Vec<Vec<String>> {
    let mut told = Vec::new();
    for _ in 0..times {
        watch.poll(fake);
        let files = watch.take().unwrap_or_default();
        told.push(files.iter().map(|path| path.display().to_string()).collect());
    }
    told
}

fn none(times: usize) -> Vec<Vec<String>> {
    vec![Vec::new(); times]
}

#[test]
fn what_the_node_has_loaded_is_no_change_and_is_read_once() {
    let (mut watch, mut fake) = watching(&[("a", b"1"), ("b", b"2")]);
    assert_eq!(looks(&mut watch, &mut fake, 5), none(5));
    assert_eq!(fake.reads, 2);
}

#[test]
fn a_change_between_loading_and_the_first_look_is_found() {
    let (mut watch, mut fake) = watching(&[("a", b"1")]);
    fake.write("a", b"2");
    assert_eq!(looks(&mut watch, &mut fake, 3), [vec![], vec!["a".to_owned()], vec![]]);
}

#[test]
fn a_change_is_reported_once_at_the_second_equal_look() {
    let (mut watch, mut fake) = watching(&[("a", b"1")]);
    looks(&mut watch, &mut fake, 2);
    fake.write("a", b"2");
    assert_eq!(looks(&mut watch, &mut fake, 4), [vec![], vec!["a".to_owned()], vec![], vec![]]);
}

#[test]
fn a_touch_is_no_change() {
    let (mut watch, mut fake) = watching(&[("a", b"1")]);
    looks(&mut watch, &mut fake, 2);
    fake.touch("a");
    assert_eq!(looks(&mut watch, &mut fake, 5), none(5));
    assert_eq!(fake.reads, 2);
}

#[test]
fn a_file_that_is_being_written_is_left_alone() {
    let (mut watch, mut fake) = watching(&[("a", b"1")]);
    for content in [b"2".as_slice(), b"23", b"234", b"2345"] {
        fake.write("a", content);
        assert_eq!(looks(&mut watch, &mut fake, 1), none(1));
    }
    assert_eq!(fake.reads, 0);
    assert_eq!(looks(&mut watch, &mut fake, 1), [["a"]]);
}

#[test]
fn a_write_during_the_read_voids_it() {
    let (mut watch, mut fake) = watching(&[("a", b"1")]);
    fake.write("a", b"2");
    fake.during_read = Some(("a", b"3"));
    assert_eq!(looks(&mut watch, &mut fake, 2), none(2));
    assert_eq!(looks(&mut watch, &mut fake, 2), [vec!["a".to_owned()], vec![]]);
}

#[test]
fn files_that_change_together_are_reported_together() {
    let (mut watch, mut fake) = watching(&[("crt", b"1"), ("key", b"1")]);
    looks(&mut watch, &mut fake, 2);
    fake.write("crt", b"2");
    looks(&mut watch, &mut fake, 1);
    fake.write("key", b"2");
    assert_eq!(looks(&mut watch, &mut fake, 2), [vec![], vec!["crt".to_owned(), "key".into()]]);
}

#[test]
fn a_file_that_never_rests_holds_the_others_back_only_so_long() {
    let (mut watch, mut fake) = watching(&[("a", b"1"), ("log", b"")]);
    looks(&mut watch, &mut fake, 2);
    fake.write("a", b"2");
    let told = (0..60).position(|_| {
        fake.touch("log");
        !looks(&mut watch, &mut fake, 1).concat().is_empty()
    });
    assert_eq!(told, Some(1 + SETTLE_MAX as usize));
}

#[test]
fn going_away_and_coming_back_are_changes() {
    let (mut watch, mut fake) = watching(&[("a", b"1")]);
    looks(&mut watch, &mut fake, 2);
    fake.remove("a");
    assert_eq!(looks(&mut watch, &mut fake, 3), [vec![], vec!["a".to_owned()], vec![]]);
    fake.write("a", b"1");
    assert_eq!(looks(&mut watch, &mut fake, 3), [vec![], vec!["a".to_owned()], vec![]]);
}

#[test]
fn a_file_that_could_not_be_loaded_is_a_change_when_it_can() {
    let (mut watch, mut fake) = (Watch::default(), Fake::default());
    watch.watch([("a".into(), None)]);
    assert_eq!(looks(&mut watch, &mut fake, 4), none(4));
    fake.write("a", b"");
    assert_eq!(looks(&mut watch, &mut fake, 2), [vec![], vec!["a".to_owned()]]);
}

#[test]
fn a_new_set_of_files_keeps_what_is_known_of_the_old() {
    let (mut watch, mut fake) = watching(&[("a", b"1"), ("b", b"1")]);
    looks(&mut watch, &mut fake, 2);
    fake.write("c", b"1");
    let digest = Some(Digest::of(b"1"));
    watch.watch([("a".into(), digest), ("c".into(), digest)]);
    fake.write("b", b"2");
    assert_eq!(looks(&mut watch, &mut fake, 4), none(4));
    assert_eq!(fake.reads, 3, "only the new file was read");
}

proptest! {
    #[test]
    fn the_last_content_is_always_found_and_no_other_is_reported_twice(
        steps in prop::collection::vec((0_u8..5, 0_u8..3, any::<bool>()), 0..60),
    ) {
        let (mut watch, mut fake) = watching(&[("a", b"0"), ("b", b"0")]);
        let mut reported = BTreeMap::from([("a", Some(vec![b'0'])), ("b", Some(vec![b'0']))]);
        for (action, content, is_first) in steps.into_iter().chain([(4, 0, true); 3]) {
            let path = if is_first { "a" } else { "b" };
            match action {
                0 => fake.write(path, &[b'0' + content]),
                1 => fake.touch(path),
                2 => fake.remove(path),
                _ => {}
            }
            watch.poll(&mut fake);
            for path in watch.take().unwrap_or_default() {
                let path = if path == Path::new("a") { "a" } else { "b" };
                let content = fake.files[Path::new(path)].1.clone();
                prop_assert_ne!(&reported[path], &content);
                reported.insert(path, content);
            }
        }
        for path in ["a", "b"] {
            prop_assert_eq!(&reported[path], &fake.files[Path::new(path)].1);
        }
    }
}
