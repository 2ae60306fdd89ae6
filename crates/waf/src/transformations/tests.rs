//! Laws that hold for all transformations, and the examples of their files.

use proptest::prelude::*;

use super::{DIGEST_LENGTH, Transformation, hex, rewrite};
use crate::byte_mask::ByteMask;

/// The bytes of an example: `\xHH` stands for a byte.
fn bytes(example: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let next = |rest: &[u8]| memchr::memmem::find(rest, b"\\x");
    rewrite(example.as_bytes(), &mut bytes, next, |rest, bytes| {
        bytes.push(hex::pair(rest[2], rest[3]).unwrap());
        4
    });
    bytes
}

#[test]
fn the_example_of_each_file_is_true() {
    for transformation in Transformation::ALL {
        let source = transformation.source();
        let example = source.lines().find_map(|line| line.strip_prefix("//! Example: `"));
        let example = example.and_then(|rest| rest.strip_suffix("`."));
        let (input, output) = example.and_then(|rest| rest.split_once("` becomes `")).unwrap();
        let mut found = Vec::new();
        assert!(transformation.apply(&bytes(input), &mut found), "{}", transformation.name());
        assert_eq!(found, bytes(output), "{}", transformation.name());
    }
}

#[test]
fn names_are_found_whatever_their_case() {
    for transformation in Transformation::ALL {
        let name = transformation.name().to_ascii_uppercase();
        assert_eq!(Transformation::named(&name), Some(*transformation));
    }
    assert_eq!(Transformation::named("normalisePathWin"), Some(Transformation::NormalizePathWin));
    assert_eq!(Transformation::named("normalisepath"), Some(Transformation::NormalizePath));
    assert_eq!(Transformation::named("none"), None);
}

#[test]
fn digests_change_the_empty_value() {
    for transformation in Transformation::ALL {
        let is_changed = transformation.apply(b"", &mut Vec::new());
        assert!(!is_changed || transformation.triggers() == ByteMask::ANY);
    }
}

/// Values of the signs that transformations look for.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let sign = prop_oneof![
        8 => prop::sample::select(b"/\\.%+&#;-*<!>uUxX01478faFAz= \t\n\r\"'^,(\0\xa0\xc3\xff".to_vec()),
        1 => any::<u8>(),
    ];
    prop::collection::vec(sign, 0..40)
}

proptest! {
    #[test]
    fn a_value_without_a_trigger_stays(value in value()) {
        for transformation in Transformation::ALL {
            let is_changed = transformation.apply(&value, &mut Vec::new());
            let has_trigger = transformation.triggers() == ByteMask::ANY
                || transformation.triggers().meets(ByteMask::of(&value));
            prop_assert!(has_trigger || !is_changed, "{}", transformation.name());
        }
    }

    #[test]
    fn growth_is_bounded(value in value()) {
        for transformation in Transformation::ALL {
            let mut output = Vec::new();
            transformation.apply(&value, &mut output);
            let most = value.len() * transformation.growth() + DIGEST_LENGTH;
            prop_assert!(output.len() <= most, "{}", transformation.name());
        }
    }
}
