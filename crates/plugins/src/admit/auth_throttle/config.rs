//! What can be configured.

use std::time::Duration;

use bartizan_config::{Invalid, PathStep};
use bartizan_core::Span;
use schemars::JsonSchema;
use serde::Deserialize;

use super::failures::Terms;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The configuration of `auth-throttle`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Failures that come from one address, whatever name or credential they are of.
    address: Option<Address>,
    /// Failures for one name (a user name, the name of a key), whatever address they come from.
    consumer: Option<Consumer>,
    /// Failures of credentials that begin alike, whatever name and address they are of and from.
    credential: Option<Credential>,
    /// The first delay, `100ms` to `1m`; `1s` if left out. Each further failure in the window
    /// doubles it.
    delay: Option<Span>,
    /// The longest delay, from `delay` to `1h`; `30s` if left out.
    delay_max: Option<Span>,
    /// The first lock, `1s` to `24h`; `15m` if left out. Each lock that follows doubles it.
    lock: Option<Span>,
    /// The longest lock, from `lock` to `168h`; `1h` if left out. After as long without a delay or
    /// lock, earlier locks are forgotten.
    lock_max: Option<Span>,
    /// How long a password counts as known after it was good last, `1m` to `8760h`; `720h` (30
    /// days) if left out.
    known_for: Option<Span>,
}

/// Failures from one address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct Address {
    /// Failures in a window that cost nothing.
    #[serde(default = "ten")]
    #[schemars(range(max = 999))]
    free: u32,
    /// Failures in a window that lock; more than `free`.
    #[serde(default = "twenty_five")]
    #[schemars(range(min = 1, max = 1000))]
    lock_after: u32,
    /// The window, `1s` to `24h`; `10m` if left out.
    window: Option<Span>,
    /// How many bits of an IPv6 address count; whoever has one address of a network has all of it.
    #[serde(default = "sixty_four")]
    #[schemars(range(min = 32, max = 64))]
    ipv6_prefix: u32,
}

/// Failures for one name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct Consumer {
    /// Failures in a window that cost nothing.
    #[serde(default = "three")]
    #[schemars(range(max = 999))]
    free: u32,
    /// Failures in a window that lock; more than `free`.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    lock_after: u32,
    /// The window, `1s` to `24h`; `15m` if left out.
    window: Option<Span>,
}

/// Failures of credentials that begin alike.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
struct Credential {
    /// Failures in a window that cost nothing.
    #[serde(default = "twenty")]
    #[schemars(range(max = 999))]
    free: u32,
    /// Failures in a window that lock; more than `free`.
    #[serde(default = "forty")]
    #[schemars(range(min = 1, max = 1000))]
    lock_after: u32,
    /// The window, `1s` to `24h`; `10m` if left out.
    window: Option<Span>,
    /// How many bytes of a credential count; of a shorter one all.
    #[serde(default = "twelve")]
    #[schemars(range(min = 4, max = 64))]
    prefix: u32,
}

fn three() -> u32 {
    3
}

fn ten() -> u32 {
    10
}

fn twelve() -> u32 {
    12
}

fn twenty() -> u32 {
    20
}

fn twenty_five() -> u32 {
    25
}

fn sixty_four() -> u32 {
    64
}

fn forty() -> u32 {
    40
}

impl Default for Address {
    fn default() -> Self {
        Self { free: ten(), lock_after: twenty_five(), window: None, ipv6_prefix: sixty_four() }
    }
}

impl Default for Consumer {
    fn default() -> Self {
        Self { free: three(), lock_after: ten(), window: None }
    }
}

impl Default for Credential {
    fn default() -> Self {
        Self { free: twenty(), lock_after: forty(), window: None, prefix: twelve() }
    }
}

/// A configuration in the form in which it is applied.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) address: Terms,
    pub(super) consumer: Terms,
    pub(super) credential: Terms,
    pub(super) prefix_bits: u32,
    pub(super) prefix_bytes: usize,
    pub(super) known_for: u64,
}

/// How long holds are, for all rules.
struct Lengths {
    delay: u64,
    delay_max: u64,
    lock: u64,
    lock_max: u64,
}

impl Config {
    pub(super) fn compile(self) -> Result<Compiled, Invalid> {
        let delay = within("delay", self.delay, SECOND, (SECOND / 10, MINUTE))?;
        let delay_max =
            within("delay_max", self.delay_max, (30 * SECOND).max(delay), (delay, HOUR))?;
        let lock = within("lock", self.lock, 15 * MINUTE, (SECOND, DAY))?;
        let lock_max = within("lock_max", self.lock_max, HOUR.max(lock), (lock, 7 * DAY))?;
        let known_for = within("known_for", self.known_for, 30 * DAY, (MINUTE, 365 * DAY))?;
        let lengths = Lengths {
            delay: nanos(delay),
            delay_max: nanos(delay_max),
            lock: nanos(lock),
            lock_max: nanos(lock_max),
        };
        let address = self.address.unwrap_or_default();
        let consumer = self.consumer.unwrap_or_default();
        let credential = self.credential.unwrap_or_default();
        let terms = |key: &str, free, lock_after, window, usual| {
            lengths
                .terms(free, lock_after, window, usual)
                .map_err(|fault| fault.under(PathStep::Key(key.to_owned())))
        };
        Ok(Compiled {
            address: terms(
                "address",
                address.free,
                address.lock_after,
                address.window,
                10 * MINUTE,
            )?,
            consumer: terms(
                "consumer",
                consumer.free,
                consumer.lock_after,
                consumer.window,
                15 * MINUTE,
            )?,
            credential: terms(
                "credential",
                credential.free,
                credential.lock_after,
                credential.window,
                10 * MINUTE,
            )?,
            prefix_bits: address.ipv6_prefix,
            prefix_bytes: usize::try_from(credential.prefix).unwrap_or(usize::MAX),
            known_for: nanos(known_for),
        })
    }
}

impl Lengths {
    fn terms(
        &self,
        free: u32,
        lock_after: u32,
        window: Option<Span>,
        usual: Duration,
    ) -> Result<Terms, Invalid> {
        if free >= lock_after {
            return Err(Invalid::at("free", "must be less than `lock_after`")
                .with_help("at `lock_after` failures it locks, so that no more are free"));
        }
        let window = within("window", window, usual, (SECOND, DAY))?;
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        Ok(Terms {
            free: count(free),
            lock_after: count(lock_after),
            window: nanos(window),
            delay: self.delay,
            delay_max: self.delay_max,
            lock: self.lock,
            lock_max: self.lock_max,
        })
    }
}

fn within(
    key: &str,
    span: Option<Span>,
    usual: Duration,
    (least, most): (Duration, Duration),
) -> Result<Duration, Invalid> {
    let span = span.map_or(usual, |span| span.0);
    if (least..=most).contains(&span) {
        return Ok(span);
    }
    Err(Invalid::at(key, format!("must be from {} to {}", Span(least), Span(most))))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
