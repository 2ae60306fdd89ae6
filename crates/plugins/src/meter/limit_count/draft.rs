//! From a configuration to the limits it states.

use bartizan_chain::CompileCx;
use bartizan_config::{Invalid, PathStep};

use super::super::key::KeySource;
use super::quota_fields::{Metadata, QuotaFields};
use super::window::{Algorithm, Quota};
use super::{Amount, Config, KeyType, Rule, WindowType};

impl Amount {
    fn resolve(&self) -> Result<u32, Invalid> {
        match self {
            Self::Number(number) => Ok(number.get()),
            Self::Text(text) if text.contains('$') => {
                Err(Invalid::new("variables are not supported yet here")
                    .with_help("write a number; different limits need different routes or rules"))
            }
            Self::Text(text) => text
                .parse::<std::num::NonZeroU32>()
                .map(std::num::NonZeroU32::get)
                .map_err(|_| Invalid::new(format!("`{text}` is not a whole number above zero"))),
        }
    }
}

/// A rule as read from a configuration.
pub(super) struct Draft {
    pub(super) source: KeySource,
    /// How the key was written.
    key: String,
    pub(super) quota: Quota,
    /// Its name among several, and its place there.
    among: Option<(String, usize)>,
}

impl Draft {
    /// What must be the same for counters to go on.
    pub(super) fn state_key(&self) -> String {
        let index = self.among.as_ref().map_or(0, |(_, index)| index + 1);
        let Quota { algorithm, window, .. } = self.quota;
        format!("{index} {} {window} {}", algorithm.name(), self.key)
    }

    pub(super) fn fields(
        &self,
        is_apisix: bool,
        names: &Metadata,
        cx: &CompileCx<'_>,
    ) -> Result<QuotaFields, Invalid> {
        let name = self.among.as_ref().map(|(name, _)| name.as_str());
        if is_apisix {
            return QuotaFields::apisix(names, name, &self.quota);
        }
        Ok(QuotaFields::structured(name.unwrap_or_else(|| policy_name(cx)), &self.quota))
    }
}

/// Limits of several resources can apply to one answer; their names keep them apart.
fn policy_name(cx: &CompileCx<'_>) -> &'static str {
    use bartizan_config::ResourceKind;
    match cx.resource.kind {
        ResourceKind::GlobalRule => "global",
        ResourceKind::Consumer => "consumer",
        ResourceKind::ConsumerGroup => "group",
        _ => "default",
    }
}

/// How requests are counted, given who decides the habits.
pub(super) fn algorithm(window_type: Option<WindowType>, is_apisix: bool) -> Algorithm {
    match (window_type, is_apisix) {
        (Some(WindowType::Fixed), _) | (None, true) => Algorithm::Fixed,
        (Some(WindowType::Sliding), true) => Algorithm::Weighted,
        (Some(WindowType::Sliding) | None, false) => Algorithm::Sliding,
    }
}

/// The limits that a configuration states.
pub(super) fn drafts(config: &Config, algorithm: Algorithm) -> Result<Vec<Draft>, Invalid> {
    let either = "give either `count` and `time_window`, or `rules`";
    match (&config.count, &config.time_window, &config.rules) {
        (Some(count), Some(time_window), None) => {
            let quota = quota(count, time_window, algorithm)?;
            let text = config.key.as_deref().unwrap_or("remote_addr");
            let key_type = config.key_type.unwrap_or_default();
            let source = source(text, key_type).map_err(|fault| under("key", fault))?;
            let key = format!("{key_type:?} {text}");
            Ok(vec![Draft { source, key, quota, among: None }])
        }
        (None, None, Some(rules)) => {
            let is_default = config.key.as_deref().is_none_or(|key| key == "remote_addr")
                && matches!(config.key_type, None | Some(KeyType::Var));
            if !is_default {
                return Err(Invalid::at("key", "each of the `rules` has a `key` of its own"));
            }
            let draft = |(index, rule)| {
                rule_draft(index, rule, algorithm)
                    .map_err(|fault| under("rules", fault.under(PathStep::Index(index))))
            };
            rules.iter().enumerate().map(draft).collect()
        }
        (_, _, Some(_)) => {
            Err(Invalid::at("rules", "there is also a `count` or `time_window`").with_help(either))
        }
        (None, _, None) => Err(Invalid::new("needs a `count`").with_help(either)),
        (_, None, None) => Err(Invalid::new("needs a `time_window`").with_help(either)),
    }
}

fn rule_draft(index: usize, rule: &Rule, algorithm: Algorithm) -> Result<Draft, Invalid> {
    let quota = quota(&rule.count, &rule.time_window, algorithm)?;
    let source = KeySource::rule(&rule.key).map_err(|fault| under("key", fault))?;
    let name = rule.header_prefix.clone().unwrap_or_else(|| (index + 1).to_string());
    Ok(Draft { source, key: rule.key.clone(), quota, among: Some((name, index)) })
}

fn quota(count: &Amount, window: &Amount, algorithm: Algorithm) -> Result<Quota, Invalid> {
    let count = count.resolve().map_err(|fault| under("count", fault))?;
    let seconds = window.resolve().map_err(|fault| under("time_window", fault))?;
    Ok(Quota { count, window: u64::from(seconds) * 1_000_000_000, algorithm })
}

fn source(text: &str, key_type: KeyType) -> Result<KeySource, Invalid> {
    match key_type {
        KeyType::Constant => Ok(KeySource::Constant(text.into())),
        KeyType::Var => KeySource::var(text),
        KeyType::VarCombination => KeySource::combination(text),
    }
}

fn under(key: &str, fault: Invalid) -> Invalid {
    fault.under(PathStep::Key(key.to_owned()))
}
