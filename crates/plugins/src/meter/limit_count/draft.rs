//! From a configuration to the limits it states.

use bartizan_chain::CompileCx;
use bartizan_config::{Invalid, PathStep};

use super::super::amount::{Amount, Figure};
use super::super::key::KeySource;
use super::config::{Config, KeyType, Rule, WindowType};
use super::quota_fields::{Metadata, QuotaFields};
use super::window::{Algorithm, Quota};

/// A rule as read from a configuration.
pub(super) struct Draft {
    pub(super) source: KeySource,
    /// How the key was written.
    key: String,
    pub(super) count: Figure,
    /// In seconds.
    pub(super) window: Figure,
    /// How the window was written.
    window_text: String,
    pub(super) algorithm: Algorithm,
    /// Its name among several, and its place there.
    among: Option<(String, usize)>,
}

impl Draft {
    /// What must be the same for counters to go on.
    pub(super) fn state_key(&self) -> String {
        let index = self.among.as_ref().map_or(0, |(_, index)| index + 1);
        format!("{index} {} {} {}", self.algorithm.name(), self.window_text, self.key)
    }

    /// The quota, if it is the same for every request.
    fn quota(&self) -> Option<Quota> {
        Some(Quota::of(self.count.fixed()?, self.window.fixed()?, self.algorithm))
    }

    pub(super) fn fields(
        &self,
        is_apisix: bool,
        names: &Metadata,
        cx: &CompileCx<'_>,
    ) -> Result<QuotaFields, Invalid> {
        let name = self.among.as_ref().map(|(name, _)| name.as_str());
        let quota = self.quota();
        if is_apisix {
            return QuotaFields::apisix(names, name, quota.as_ref());
        }
        let name = name.unwrap_or_else(|| policy_name(cx));
        Ok(QuotaFields::structured(name, quota.as_ref()))
    }
}

/// Limits of several resources can apply to one answer; their names keep them apart.
fn policy_name(cx: &CompileCx<'_>) -> &'static str {
    use bartizan_config::ResourceKind;
    match cx.resource.kind {
        ResourceKind::GlobalRule => "global",
        ResourceKind::Consumer => "consumer",
        ResourceKind::ConsumerGroup => "group",
        _ if cx.plugin != "limit-count" => "graphql",
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
            let (count, window) = figures(count, time_window)?;
            let text = config.key.as_deref().unwrap_or("remote_addr");
            let key_type = config.key_type.unwrap_or_default();
            let source = source(text, key_type).map_err(|fault| under("key", fault))?;
            let key = format!("{key_type:?} {text}");
            let window_text = time_window.text();
            Ok(vec![Draft { source, key, count, window, window_text, algorithm, among: None }])
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
    let (count, window) = figures(&rule.count, &rule.time_window)?;
    let source = KeySource::rule(&rule.key).map_err(|fault| under("key", fault))?;
    let name = rule.header_prefix.clone().unwrap_or_else(|| (index + 1).to_string());
    let (key, window_text) = (rule.key.clone(), rule.time_window.text());
    Ok(Draft { source, key, count, window, window_text, algorithm, among: Some((name, index)) })
}

fn figures(count: &Amount, window: &Amount) -> Result<(Figure, Figure), Invalid> {
    let count = count.figure().map_err(|fault| under("count", fault))?;
    let window = window.figure().map_err(|fault| under("time_window", fault))?;
    Ok((count, window))
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
