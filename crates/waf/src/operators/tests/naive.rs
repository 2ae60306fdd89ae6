//! Operators against the plainest way to say the same.

use proptest::prelude::*;

use super::*;

fn holds(name: &str, argument: &str, value: &str) -> bool {
    operator(name, argument.as_bytes()).holds(value.as_bytes(), &Nothing, None)
}

/// The whole number that a text begins with.
fn number(text: &str) -> i64 {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    let text = text.trim_start();
    match text.strip_prefix('-') {
        Some(rest) => -digits(rest).parse().unwrap_or(0),
        None => digits(text.trim_start_matches('+')).parse().unwrap_or(0),
    }
}

proptest! {
    #[test]
    fn texts_are_compared_as_the_standard_library_does(
        argument in "[abA .]{1,3}",
        value in "[abA .1]{0,6}",
    ) {
        let is_letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic());
        let stands_alone = (0..value.len()).any(|at| {
            let (before, rest) = value.split_at(at);
            let after = rest.strip_prefix(argument.as_str());
            after.is_some_and(|after| {
                !is_letter(before.chars().last()) && !is_letter(after.chars().next())
            })
        });
        for (name, naive) in [
            ("contains", value.contains(&argument)),
            ("strmatch", value.contains(&argument)),
            ("containsWord", stands_alone),
            ("streq", value == argument),
            ("beginsWith", value.starts_with(&argument)),
            ("endsWith", value.ends_with(&argument)),
            ("within", argument.contains(&value)),
        ] {
            prop_assert_eq!(holds(name, &argument, &value), naive, "{}", name);
        }
    }

    #[test]
    fn phrases_are_found_whatever_their_case(
        phrases in prop::collection::vec("[abAB1]{1,3}", 1..5),
        value in "[abAB1 ]{0,8}",
    ) {
        let lower = value.to_lowercase();
        let naive = phrases.iter().any(|phrase| lower.contains(&phrase.to_lowercase()));
        prop_assert_eq!(holds("pm", &phrases.join(" "), &value), naive);
    }

    #[test]
    fn addresses_are_matched_bit_by_bit(
        list in prop::collection::vec((any::<bool>(), 0_u32..3, 0_u8..=32), 1..4),
        base in 0_u32..3,
        flipped in 0_u32..32,
        is_mapped: bool,
    ) {
        // Addresses differ from a network in one bit at most: those are the near misses.
        let v4 = |base: u32| std::net::Ipv4Addr::from(0xc612_0000 | base << 9);
        let asked = std::net::Ipv4Addr::from(u32::from(v4(base)) ^ 1 << flipped);
        let written: Vec<String> = list
            .iter()
            .map(|(is_mapped, base, length)| {
                let (form, more) = if *is_mapped { ("::ffff:", 96) } else { ("", 0) };
                format!("{form}{}/{}", v4(*base), more + length)
            })
            .collect();
        let naive = list.iter().any(|(_, base, length)| {
            let differs = u32::from(v4(*base)) ^ u32::from(asked);
            differs.leading_zeros() >= u32::from(*length)
        });
        let value = if is_mapped { format!("::ffff:{asked}") } else { asked.to_string() };
        prop_assert_eq!(holds("ipMatch", &written.join(","), &value), naive, "{:?}", written);
    }

    #[test]
    fn numbers_are_compared_by_what_texts_begin_with(
        argument in "-?[0-3]{1,2}",
        value in " ?[-+]?[0-3]{0,2}( apples|\\.5|)",
    ) {
        let (own, wanted) = (number(&value), number(&argument));
        for (name, naive) in [
            ("eq", own == wanted),
            ("ge", own >= wanted),
            ("gt", own > wanted),
            ("le", own <= wanted),
            ("lt", own < wanted),
        ] {
            prop_assert_eq!(holds(name, &argument, &value), naive, "{} {}", value, name);
        }
    }

    #[test]
    fn bytes_are_inside_of_one_of_the_ranges_or_not(
        ranges in prop::collection::vec((0_u8..250, 0_u8..5), 1..4),
        value in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let text = |(first, more): &(u8, u8)| format!("{first}-{}", first + more);
        let written: Vec<String> = ranges.iter().map(text).collect();
        let is_inside = |b: &u8| ranges.iter().any(|(f, more)| (*f..=f + more).contains(b));
        let near: Vec<u8> = value.iter().map(|b| ranges[0].0.saturating_add(b % 6)).collect();
        let own = operator("validateByteRange", written.join(",").as_bytes());
        prop_assert_eq!(own.holds(&near, &Nothing, None), !near.iter().all(is_inside));
    }
}
