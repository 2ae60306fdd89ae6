//! Looks for numbers that prove themselves by their check digits: `@verifyCC` (payment cards,
//! Luhn's sum), `@verifyCPF` (Brazilian taxpayers), `@verifySSN` (United States social security),
//! `@verifySVNR` (Austrian social insurance).
//!
//! The argument is a pattern that finds candidates; digits in what it found are checked.
//!
//! Example: `@verifyCC \d{16}` holds for `4111111111111111`, not for `4111111111111112`.

use std::ops::Range;

use super::rx::Rx;
use super::{Ask, Captures, Needs, OperatorFault, Source};
use crate::text::Expand;

/// The most bytes of numbers that are checked in one value.
const WORK_MAX: usize = 8 << 20;

/// A pattern and a check.
#[derive(Debug)]
pub(crate) struct Verify {
    kind: Kind,
    pattern: Rx,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Card,
    Cpf,
    Ssn,
    Svnr,
}

impl Ask for Verify {
    fn compile(name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        // A pattern of macros would be compiled for each value.
        source.literal()?;
        let kind = match name {
            "verifycpf" => Kind::Cpf,
            "verifyssn" => Kind::Ssn,
            "verifysvnr" => Kind::Svnr,
            _ => Kind::Card,
        };
        Ok(Self { kind, pattern: Rx::compile("rx", source)? })
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Card => "verifyCC",
            Kind::Cpf => "verifyCPF",
            Kind::Ssn => "verifySSN",
            Kind::Svnr => "verifySVNR",
        }
    }

    fn needs(&self) -> Needs {
        self.pattern.needs()
    }

    fn holds(&self, input: &[u8], _text: &dyn Expand, captures: Option<&mut Captures>) -> bool {
        let Some(found) = self.first_sound(input) else { return false };
        if let Some(captures) = captures {
            captures.push(input.get(found).unwrap_or_default());
        }
        true
    }
}

impl Verify {
    /// Where the first number stands that proves itself. Numbers may overlap: behind one that does
    /// not, the search goes on at its second byte. Where that would take too long, what is there
    /// counts as found.
    fn first_sound(&self, input: &[u8]) -> Option<Range<usize>> {
        let mut start = 0;
        let mut work = 0;
        while let Some(found) = self.pattern.find_from(input, start) {
            let candidate = input.get(found.clone()).unwrap_or_default();
            work += candidate.len();
            if work > WORK_MAX || self.kind.is_sound(candidate) {
                return Some(found);
            }
            start = found.start + 1;
            if start > input.len() {
                return None;
            }
        }
        None
    }
}

impl Kind {
    fn is_sound(self, candidate: &[u8]) -> bool {
        let digits = candidate.iter().filter(|byte| byte.is_ascii_digit());
        let digits: Vec<u32> = digits.map(|digit| u32::from(digit - b'0')).collect();
        let digits = &*digits;
        match self {
            Self::Card => is_card(digits),
            Self::Cpf => is_cpf(digits),
            Self::Ssn => is_ssn(digits),
            Self::Svnr => is_svnr(digits),
        }
    }
}

fn is_card(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(position, digit)| match (position % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    !digits.is_empty() && sum.is_multiple_of(10)
}

fn is_cpf(digits: &[u32]) -> bool {
    let check = |count: usize| {
        let weights = (2..=count as u64 + 1).rev();
        let sum: u64 = digits.iter().take(count).zip(weights).map(|(d, w)| u64::from(*d) * w).sum();
        let rest = sum * 10 % 11;
        if rest == 10 { 0 } else { rest }
    };
    // What a pattern took in behind the number does not make it another one.
    let digits = digits.get(..11).unwrap_or_default();
    let [_, _, _, _, _, _, _, _, _, first, second] = digits else { return false };
    !is_one_digit(digits) && check(9) == u64::from(*first) && check(10) == u64::from(*second)
}

fn is_ssn(digits: &[u32]) -> bool {
    let number = |range| -> Option<u32> {
        digits.get::<Range<usize>>(range).map(|part| part.iter().fold(0, |sum, d| sum * 10 + d))
    };
    let (Some(area), Some(group), Some(serial)) = (number(0..3), number(3..5), number(5..9)) else {
        return false;
    };
    // A run upwards is what people type for a test.
    let is_run = digits.is_sorted_by(|first, second| first + 1 == *second);
    let is_issued = area != 0 && area != 666 && area < 740 && group != 0 && serial != 0;
    digits.len() == 9 && is_issued && !is_run && !is_one_digit(digits)
}

fn is_svnr(digits: &[u32]) -> bool {
    const WEIGHTS: [u32; 10] = [3, 7, 9, 0, 5, 8, 4, 2, 1, 6];
    let sum: u32 = digits.iter().zip(WEIGHTS).map(|(digit, weight)| digit * weight).sum();
    let check = if sum % 11 == 10 { 0 } else { sum % 11 };
    let digits = digits.get(..WEIGHTS.len()).unwrap_or_default();
    digits.get(3) == Some(&check) && !is_one_digit(digits)
}

fn is_one_digit(digits: &[u32]) -> bool {
    digits.iter().all(|digit| digits.first() == Some(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(text: &str) -> Vec<u32> {
        text.bytes().map(|digit| u32::from(digit - b'0')).collect()
    }

    #[test]
    fn check_digits_decide() {
        assert!(is_card(&digits("4111111111111111")));
        assert!(!is_card(&digits("4111111111111112")));
        assert!(is_cpf(&digits("52998224725")));
        assert!(!is_cpf(&digits("52998224726")));
        assert!(is_cpf(&digits("52998224725123")));
        assert!(!is_cpf(&digits("11111111111")));
        assert!(is_ssn(&digits("078051120")));
        assert!(!is_ssn(&digits("000051120")));
        assert!(is_svnr(&digits("1237010180")));
        assert!(is_svnr(&digits("2190999990")) && is_svnr(&digits("12370101804")));
        assert!(!is_svnr(&digits("1238010180")));
    }
}
