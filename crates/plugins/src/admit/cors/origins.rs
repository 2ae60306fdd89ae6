//! Which origins are allowed, and what they are told.

use bartizan_config::Invalid;
use bartizan_core::compile_pattern;
use bytes::Bytes;
use regex_automata::meta::Regex;

use super::neighbours::{TooComplex, fits_some, neighbour};
use super::{Config, Metadata, OriginList};

/// Hosts that nobody means, of every form that the host of an attacker may have. What admits one of
/// them, whatever its scheme and port, admits everyone who looks for such a name.
const STRANGERS: [&str; 13] = [
    "bartizanprobe",
    "bartizan-probe7",
    "bartizanprobe.com",
    "bartizan-probe.com",
    "bartizanprobe7.org",
    "bartizanprobe.net",
    "bartizanprobe.io",
    "bartizan-probe.invalid",
    "bartizanprobe.test",
    "www.bartizanprobe.com",
    "a7.bartizan-probe.org",
    "203.0.113.77",
    "[2001:db8::77]",
];

/// A set of origins (RFC 6454). They are compared byte by byte: browsers write them in one way.
#[derive(Debug, Default)]
pub(super) struct Origins {
    is_any: bool,
    is_echoed: bool,
    listed: Vec<Box<[u8]>>,
    patterns: Vec<Regex>,
    open: Option<Open>,
}

/// A pattern that fits an origin of somebody else, or of which nobody knows.
#[derive(Debug)]
struct Open {
    index: usize,
    pattern: String,
    other: Result<String, TooComplex>,
}

impl Origins {
    /// Those that may read the answers.
    pub(super) fn of_config(
        config: &Config,
        metadata: &Metadata,
        is_apisix: bool,
    ) -> Result<Self, Invalid> {
        const REGEX: &str = "allow_origins_by_regex";
        let mut origins = Self::default();
        if let Some(list) = &config.allow_origins {
            if config.allow_origins_by_regex.is_some() && !is_apisix {
                return Err(Invalid::at("allow_origins", format!("there is also `{REGEX}`"))
                    .with_help("give one of both: patterns take the place of the list"));
            }
            origins.add("allow_origins", list)?;
        }
        for (index, pattern) in config.allow_origins_by_regex.iter().flatten().enumerate() {
            origins.add_pattern(REGEX, index, pattern)?;
            if origins.open.is_none()
                && let Some(other) = neighbour(pattern).transpose()
            {
                origins.open = Some(Open { index, pattern: pattern.clone(), other });
            }
        }
        for (index, name) in config.allow_origins_by_metadata.iter().flatten().enumerate() {
            const KEY: &str = "allow_origins_by_metadata";
            let Some(list) = metadata.allow_origins.get(name) else {
                let problem = format!("the metadata of `cors` has no origins called `{name}`");
                return Err(Invalid::at_item(KEY, index, problem));
            };
            if list.0 == "*" && config.allow_credential {
                let problem = format!("`{name}` is `*`, which excludes `allow_credential: true`");
                return Err(Invalid::at_item(KEY, index, problem));
            }
            origins.add(KEY, list)?;
        }
        let is_empty = !origins.is_any
            && !origins.is_echoed
            && origins.listed.is_empty()
            && origins.patterns.is_empty();
        if is_empty {
            return Err(Invalid::new("needs `allow_origins`").with_help(
                "for example `allow_origins: https://app.example.com`; `*` must be written",
            ));
        }
        origins.refuse_strangers_with_credentials(config)?;
        Ok(origins)
    }

    /// Those that may read timings, if anybody was named.
    pub(super) fn of_timing(config: &Config) -> Result<Option<Self>, Invalid> {
        const REGEX: &str = "timing_allow_origins_by_regex";
        let mut origins = Self::default();
        match (&config.timing_allow_origins, &config.timing_allow_origins_by_regex) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                let problem = format!("there is also `{REGEX}`");
                return Err(Invalid::at("timing_allow_origins", problem)
                    .with_help("give one of both: patterns take the place of the list"));
            }
            (Some(list), None) => origins.add("timing_allow_origins", list)?,
            (None, Some(patterns)) => {
                for (index, pattern) in patterns.iter().enumerate() {
                    origins.add_pattern(REGEX, index, pattern)?;
                }
            }
        }
        Ok(Some(origins))
    }

    fn add(&mut self, key: &str, list: &OriginList) -> Result<(), Invalid> {
        match list.0.as_str() {
            "*" => self.is_any = true,
            "**" => self.is_echoed = true,
            text => {
                for origin in text.split(',') {
                    check(origin).map_err(|(problem, help)| {
                        Invalid::at(key, format!("`{origin}` {problem}")).with_help(help)
                    })?;
                    self.listed.push(origin.as_bytes().into());
                }
            }
        }
        Ok(())
    }

    fn add_pattern(&mut self, key: &str, index: usize, text: &str) -> Result<(), Invalid> {
        let fault = |error| Invalid::at_item(key, index, format!("`{text}` {error}"));
        // Alone first: a text such as `a)|(b` is a pattern only inside the brackets below.
        compile_pattern(text, false).map_err(fault)?;
        let whole = compile_pattern(&format!(r"\A(?:{text})\z"), false).map_err(fault)?;
        if fits_some(text) == Ok(false) {
            return Err(fault_of_none(key, index, text));
        }
        self.patterns.push(whole);
        Ok(())
    }

    fn refuse_strangers_with_credentials(&self, config: &Config) -> Result<(), Invalid> {
        const DANGER: &str = "danger_allow_any_origin_with_credentials";
        let everyone = self.admit_strangers();
        // Any page can open a sandboxed frame, and its origin is `null`.
        let frames = self.answer(Some(b"null")).is_some();
        if !config.allow_credential || config.danger_allow_any_origin_with_credentials {
            return Ok(());
        }
        if !everyone && !frames {
            return self.open.as_ref().map_or(Ok(()), |open| Err(open.refused()));
        }
        let whom =
            if everyone { "any origin" } else { "the origin `null`, which any page can have" };
        Err(Invalid::at("allow_credential", format!("credentials are allowed for {whom}"))
            .with_help(format!(
                "list the origins; if every website may act for its visitors, say `{DANGER}: true`"
            )))
    }

    /// True if everyone is allowed, by whatever means.
    pub(super) fn admit_strangers(&self) -> bool {
        let is_admitted = |origin: String| self.answer(Some(origin.as_bytes())).is_some();
        let ways = ["https", "http"].iter().flat_map(|s| ["", ":8443"].map(|port| (s, port)));
        ways.into_iter().any(|(scheme, port)| {
            STRANGERS.iter().any(|host| is_admitted(format!("{scheme}://{host}{port}")))
        })
    }

    /// True if somebody is allowed whom nobody meant, be it everyone.
    pub(super) fn admit_others(&self) -> bool {
        self.open.is_some() || self.admit_strangers()
    }

    /// What a request from `origin` is told; nothing if it is not allowed.
    pub(super) fn answer(&self, origin: Option<&[u8]>) -> Option<Bytes> {
        if self.is_any {
            return Some(Bytes::from_static(b"*"));
        }
        let origin = origin?;
        let is_allowed = self.is_echoed
            || self.listed.iter().any(|listed| **listed == *origin)
            || self.patterns.iter().any(|pattern| pattern.is_match(origin));
        is_allowed.then(|| Bytes::copy_from_slice(origin))
    }

    /// True if not everyone is told the same.
    pub(super) fn depends_on_origin(&self) -> bool {
        !self.is_any
    }
}

fn fault_of_none(key: &str, index: usize, pattern: &str) -> Invalid {
    let problem = format!("`{pattern}` fits no origin");
    Invalid::at_item(key, index, problem)
        .with_help("a pattern has to match the whole of one, as `https://app\\.example\\.com` does")
}

impl Open {
    fn refused(&self) -> Invalid {
        let problem = match &self.other {
            Ok(other) => format!("`{}` also fits `{other}`, with credentials", self.pattern),
            Err(TooComplex) => {
                format!(
                    "whom `{}` fits, with credentials, takes too long to find out",
                    self.pattern
                )
            }
        };
        Invalid::at_item("allow_origins_by_regex", self.index, problem).with_help(
            "let what varies end at a point, which is written `\\.`, and no part of the name behind it",
        )
    }
}

/// Whether a browser can have this origin: scheme, host and port in lower case, nothing else.
fn check(origin: &str) -> Result<(), (&'static str, &'static str)> {
    if origin == "null" {
        return Ok(());
    }
    let Some((scheme, host)) = origin.split_once("://") else {
        return Err(("is no origin", "an origin is written as `https://app.example.com`"));
    };
    if origin.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(("has capital letters", "browsers send origins in lower case"));
    }
    if host.contains('*') {
        return Err(("has a `*` in it", "use `allow_origins_by_regex`"));
    }
    if host.contains('/') {
        return Err(("has a path", "an origin ends with its host or port, without `/`"));
    }
    let in_scheme = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_');
    let in_host = |b: u8| in_scheme(b) || matches!(b, b':' | b'[' | b']');
    if host.is_empty() || !scheme.bytes().all(in_scheme) || !host.bytes().all(in_host) {
        return Err(("is no origin", "an origin is written as `https://app.example.com`"));
    }
    Ok(())
}
