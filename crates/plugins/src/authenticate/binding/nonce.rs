//! Nonces that the gateway gives out (RFC 9449 §8): a minute and its code under the node's key, so
//! that nothing is kept of them.

use bartizan_core::{NodeKey, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

/// How long one nonce is given out.
const PERIOD: u64 = 60;
/// For how many periods more it is good.
const PERIODS_MORE: u64 = 2;
const CODE: usize = 16;

/// How a nonce stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The one that is given out now.
    Fresh,
    /// Good, but the next one should be taken.
    Old,
    /// Not one of ours, or too old.
    Bad,
}

/// What gives nonces out and knows them again.
#[derive(Debug)]
pub(super) struct Nonces(NodeKey);

impl Nonces {
    pub(super) fn new(key: &NodeKey) -> Self {
        Self(key.clone())
    }

    /// The nonce of this time.
    pub(super) fn mint(&self, now: Timestamp) -> String {
        URL_SAFE_NO_PAD.encode(self.of_period(now.as_secs() / PERIOD))
    }

    /// How a nonce stands, as of `now`.
    pub(super) fn judge(&self, nonce: &str, now: Timestamp) -> Standing {
        let present = now.as_secs() / PERIOD;
        let shown: Option<[u8; 8 + CODE]> =
            URL_SAFE_NO_PAD.decode(nonce).ok().and_then(|bytes| bytes.try_into().ok());
        let Some(shown) = shown else { return Standing::Bad };
        let period = shown.first_chunk().map_or(u64::MAX, |bytes| u64::from_be_bytes(*bytes));
        let is_ours: bool = self.of_period(period).ct_eq(&shown).into();
        match present.checked_sub(period).filter(|_| is_ours) {
            Some(0) => Standing::Fresh,
            Some(age) if age <= PERIODS_MORE => Standing::Old,
            _ => Standing::Bad,
        }
    }

    fn of_period(&self, period: u64) -> [u8; 8 + CODE] {
        let mut nonce = [0; 8 + CODE];
        let period = period.to_be_bytes();
        let code = self.0.digest("dpop nonce", &period);
        let bytes = period.iter().chain(code.iter().take(CODE));
        nonce.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonces(key: u8) -> Nonces {
        Nonces::new(&NodeKey::new(&[key; 32]))
    }

    #[test]
    fn a_nonce_is_good_for_two_minutes_to_three() {
        let ours = nonces(1);
        let at = Timestamp::from_secs;
        let nonce = ours.mint(at(600));
        for (secs, standing) in [
            (599, Standing::Bad),
            (600, Standing::Fresh),
            (659, Standing::Fresh),
            (660, Standing::Old),
            (779, Standing::Old),
            (780, Standing::Bad),
        ] {
            assert_eq!(ours.judge(&nonce, at(secs)), standing, "{secs}");
        }
        assert_eq!(nonces(2).judge(&nonce, at(600)), Standing::Bad, "another node");
    }

    proptest::proptest! {
        #[test]
        fn nothing_near_a_nonce_is_one(place in 0_usize..32, letter in "[A-Za-z0-9_=-]") {
            let ours = nonces(1);
            let now = Timestamp::from_secs(1_767_225_600);
            let nonce = ours.mint(now);
            let mut changed = nonce.clone();
            changed.replace_range(place..=place, &letter);
            let standing = ours.judge(&changed, now);
            proptest::prop_assert_eq!(standing == Standing::Fresh, changed == nonce);
            proptest::prop_assert!(standing != Standing::Old);
        }
    }
}
