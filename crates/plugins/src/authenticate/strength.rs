//! Whether a secret can be guessed.
//!
//! The measure is the number of tries that somebody needs who knows how people choose: words and
//! names, dates, rows of keys, repetitions, and what stands beside the secret, such as the name of
//! its owner (D. L. Wheeler, "zxcvbn: Low-Budget Password Strength Estimation", USENIX Security
//! 2016). A password must need 10⁸ tries: they cost a slow hash each, or a request that is
//! throttled. A key must need 10¹⁰: it is compared at full speed, and signatures under it can be
//! tried at leisure. Only the first hundred characters count.

use std::collections::HashSet;

use bartizan_chain::CompileCx;
use bartizan_config::Invalid;
use bartizan_core::Secret;

/// The field by which an object says that its secret may be weak.
pub const DANGER_WEAK_SECRET: &str = "danger_weak_secret";

/// Characters of a text that is long enough to be taken for random by its look.
const RANDOM_MIN: usize = 32;
/// Most times that three characters stand again in such a text of the least length, and for how many
/// further characters once more: of ten thousand random ones of hexadecimal digits, one has more.
const REPEATED_MAX: usize = 3;
const REPEATED_EACH: usize = 16;
/// Names of less than this many bytes may stand in a random text by chance.
const NAME_MIN: usize = 4;
/// Most characters that are looked at.
const LOOKED_AT: usize = 100;

/// What is asked of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// What it is called.
    name: &'static str,
    /// The tries that it must withstand, as a power of ten.
    tries: u32,
    /// How to make a good one.
    recipe: &'static str,
}

/// What people remember and type.
pub(super) const PASSWORD: Rule = Rule {
    name: "password",
    tries: 8,
    recipe: "take four random words, or `openssl rand -base64 18`",
};
/// What programs send, or sign with.
pub(super) const KEY: Rule =
    Rule { name: "key", tries: 10, recipe: "`openssl rand -base64 32` makes a good one" };

impl Rule {
    /// Refuses a secret, written at `at`, that is guessed too soon by somebody who knows `beside`.
    /// Nothing of the secret is told.
    pub(super) fn check(
        self,
        secret: &Secret,
        at: &str,
        beside: &[&str],
        danger_weak_secret: bool,
    ) -> Result<(), Invalid> {
        if danger_weak_secret {
            return Ok(());
        }
        let text = as_text(secret);
        let text = text.expose_str().unwrap_or_default();
        if looks_random(text) && !beside.iter().any(|name| stands_in(name, text)) {
            return Ok(());
        }
        let guesses = zxcvbn::zxcvbn(text, beside).guesses();
        if guesses >= 10_u64.saturating_pow(self.tries) {
            return Ok(());
        }
        let power = guesses.checked_ilog10().unwrap_or(0) + 1;
        let Self { name, tries, recipe } = self;
        let problem = format!(
            "the {name} can be guessed in less than 10^{power} tries, and 10^{tries} are asked for"
        );
        Err(Invalid::at(at, problem)
            .with_help(format!("{recipe}; or say `{DANGER_WEAK_SECRET}: true`")))
    }
}

/// What is known of a credential to everybody: the names of its owner and of itself.
pub(super) fn names<'c>(cx: &'c CompileCx<'_>) -> Vec<&'c str> {
    cx.resource.id.split('/').collect()
}

/// The characters of a secret; those of bytes that are no text stand for themselves.
fn as_text(secret: &Secret) -> Secret {
    let text = secret.expose_str().map(|text| text.chars().take(LOOKED_AT).collect());
    let bytes = || secret.expose().iter().take(LOOKED_AT).copied().map(char::from).collect();
    let text: String = text.unwrap_or_else(bytes);
    Secret::new(text)
}

/// Whether a text is so long and so mixed that only a generator makes it: many keys are judged at a
/// start, and the full measure takes a thousand times as long.
fn looks_random(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < RANDOM_MIN || !text.is_ascii() {
        return false;
    }
    let changes = bytes.windows(2).filter(|pair| match pair {
        [before, after] => class(*before) != class(*after),
        _ => false,
    });
    let mut met = HashSet::with_capacity(bytes.len());
    let repeated = bytes.windows(3).filter(|three| !met.insert(*three));
    let repeated_max = REPEATED_MAX + (bytes.len() - RANDOM_MIN) / REPEATED_EACH;
    changes.count() * 5 >= bytes.len() && repeated.count() <= repeated_max
}

/// Whether a name makes up so much of a text that less of it is a secret than it looks.
fn stands_in(name: &str, text: &str) -> bool {
    let is_it = |part: &[u8]| part.eq_ignore_ascii_case(name.as_bytes());
    name.len() >= NAME_MIN && text.as_bytes().windows(name.len()).any(is_it)
}

/// Letters in capitals and not, digits, and others.
fn class(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => 0,
        b'A'..=b'Z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(rule: Rule, secret: &str, beside: &[&str]) -> Option<Invalid> {
        rule.check(&Secret::new(secret), "key", beside, false).err()
    }

    #[test]
    fn a_key_needs_more_tries_than_a_password() {
        // Of random digits and letters, each is worth ten tries at least.
        for (secret, is_password, is_key) in [
            ("q7x2mzk", false, false),
            ("q7x2mzkp", true, false),
            ("q7x2mzkp4", true, false),
            ("q7x2mzkp4v", true, true),
        ] {
            assert_eq!(told(PASSWORD, secret, &[]).is_none(), is_password, "{secret}");
            assert_eq!(told(KEY, secret, &[]).is_none(), is_key, "{secret}");
        }
    }

    #[test]
    fn what_stands_beside_a_secret_is_no_secret() {
        let name = "zvqk7-mobile-app";
        assert!(told(KEY, name, &[]).is_none());
        // As long as what is taken for random at a glance.
        let id = "7f3d9b1e-52c8-4a06-9e7d-b04c81f6a235";
        assert!(told(KEY, id, &["alice"]).is_none());
        assert!(told(KEY, id, &["alice", id]).is_some());
        assert!(told(KEY, &id.to_uppercase(), &["alice", id]).is_some());
        let fault = told(KEY, name, &["alice", name]).unwrap();
        assert_eq!(
            fault.problem,
            "the key can be guessed in less than 10^1 tries, and 10^10 are asked for"
        );
        assert_eq!(
            fault.help.as_deref(),
            Some("`openssl rand -base64 32` makes a good one; or say `danger_weak_secret: true`")
        );
    }

    #[test]
    fn people_are_weak_and_generators_are_not() {
        for weak in
            ["", "a", "alice-key", "Passw0rd!", "2026-11-29", "qwertyuiop", "hunter2hunter2"]
        {
            assert!(told(PASSWORD, weak, &[]).is_some(), "{weak}");
        }
        for weak in ["x".repeat(64), "ab12".repeat(16), "0123456789abcdef".repeat(2)] {
            assert!(told(KEY, &weak, &[]).is_some(), "{weak}");
        }
        for good in [
            "0f8b7e6d5c4b3a2918070605040302ff",
            "Ew0nJ5c0bYx8m3v1Zk7r+QpT/sL4uHa2GdVfWi6oNtE=",
            "btz_key_k7f2m9qa_3v8xk0p2q9w4t6y1z5r7n8m2c4b6",
        ] {
            assert!(told(KEY, good, &[]).is_none(), "{good}");
        }
        assert!(told(PASSWORD, "correct horse battery staple", &[]).is_none());
    }

    #[test]
    fn three_characters_stand_again_seldom_in_what_looks_random() {
        let random = "0f8b7e6d5c4b3a2918072635f4d1e9a7";
        for (repeated, is_random) in [(2, true), (3, true), (4, false)] {
            let text = format!("{random}{}", random.get(..repeated + 2).unwrap());
            assert_eq!(looks_random(&text), is_random, "{repeated}");
        }
        // Longer ones.
        let longer = format!("{random}Zk7rQpT4sLuHa2GdVWi6oNtEmXcY");
        for (repeated, is_random) in [(4, true), (5, true), (6, false)] {
            let text = format!("{longer}{}", random.get(..repeated + 2).unwrap());
            assert_eq!(looks_random(&text), is_random, "{repeated} in twice the length");
        }
        assert!(!looks_random(random.get(..RANDOM_MIN - 1).unwrap()));
        assert!(looks_random(random));
    }

    #[test]
    fn names_of_four_bytes_count_and_a_hundred_characters_are_read() {
        for (name, stands) in [("0f8", false), ("0f8b", true), ("0f8b7", true)] {
            assert_eq!(stands_in(name, "0f8b7e6d5c4b3a29"), stands, "{name}");
        }
        for (length, read) in [(99, 99), (100, 100), (101, 100)] {
            assert_eq!(as_text(&Secret::new("x".repeat(length))).len(), read);
        }
    }

    #[test]
    fn who_says_so_may_have_any() {
        assert!(KEY.check(&Secret::new("a"), "key", &[], true).is_ok());
    }

    #[test]
    fn bytes_that_are_no_text_are_judged_too() {
        let random: Vec<u8> = (0..32_u8).map(|n| n.wrapping_mul(151) ^ 0xa5).collect();
        assert!(KEY.check(&Secret::new(random), "key", &[], false).is_ok());
        assert!(KEY.check(&Secret::new(vec![0xff; 32]), "key", &[], false).is_err());
    }

    proptest! {
        /// What is taken for random at a glance passes the full measure as well.
        #[test]
        fn a_glance_takes_nothing_that_the_measure_refuses(
            parts in prop::collection::vec(
                prop_oneof![
                    "[a-z0-9A-Z]{1,4}",
                    Just("password".to_owned()),
                    Just("1q2w3e4r".to_owned()),
                    Just("P4ssw0rd".to_owned()),
                    Just("qwertyuiop".to_owned()),
                    Just("2026".to_owned()),
                    Just("0123456789".to_owned()),
                    Just("Ab1".to_owned()),
                ],
                1..20,
            ),
        ) {
            let text = parts.concat();
            if looks_random(&text) {
                prop_assert!(zxcvbn::zxcvbn(&text, &[]).guesses() >= 10_u64.pow(KEY.tries));
            }
        }
    }
}
