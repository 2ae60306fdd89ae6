//! `ctl:…`.

use super::super::faults::{did_you_mean, quoted};
use super::super::lines::{Cx, Word};
use super::super::script::{Action, BodyProcessor, Ctl};
use super::super::{targets, values};
use crate::variable::{Selector, Variable};

type Read = fn(&mut Cx<'_>, &Word) -> Option<Ctl>;

/// What `ctl` can change.
const OPTIONS: &[(&str, Read)] = &[
    ("auditEngine", |cx, value| values::audit_mode(cx, value).map(|()| Ctl::AuditEngine)),
    ("auditLogParts", |cx, value| values::audit_changes(cx, value).map(|()| Ctl::AuditLogParts)),
    ("forceRequestBodyVariable", |cx, value| {
        values::on_off(cx, value).map(Ctl::ForceRequestBodyVariable)
    }),
    ("requestBodyAccess", |cx, value| values::on_off(cx, value).map(Ctl::RequestBodyAccess)),
    ("requestBodyLimit", |cx, value| values::size(cx, value).map(Ctl::RequestBodyLimit)),
    ("requestBodyProcessor", |cx, value| processor(cx, value).map(Ctl::RequestBodyProcessor)),
    ("responseBodyAccess", |cx, value| values::on_off(cx, value).map(Ctl::ResponseBodyAccess)),
    ("responseBodyLimit", |cx, value| values::size(cx, value).map(Ctl::ResponseBodyLimit)),
    ("ruleEngine", |cx, value| values::engine_mode(cx, value).map(Ctl::RuleEngine)),
    ("ruleRemoveById", |cx, value| values::ids(cx, value).map(Ctl::RuleRemoveById)),
    ("ruleRemoveByMsg", |cx, value| values::pattern(cx, value).map(Ctl::RuleRemoveByMsg)),
    ("ruleRemoveByTag", |cx, value| values::pattern(cx, value).map(Ctl::RuleRemoveByTag)),
    ("ruleRemoveTargetById", |cx, value| {
        let (rules, variable, selector) = rules_and_target(cx, value)?;
        let rules = values::ids(cx, &rules)?;
        Some(Ctl::RuleRemoveTargetById(rules, variable, selector))
    }),
    ("ruleRemoveTargetByMsg", |cx, value| {
        let (rules, variable, selector) = rules_and_target(cx, value)?;
        let rules = values::pattern(cx, &rules)?;
        Some(Ctl::RuleRemoveTargetByMsg(rules, variable, selector))
    }),
    ("ruleRemoveTargetByTag", |cx, value| {
        let (rules, variable, selector) = rules_and_target(cx, value)?;
        let rules = values::pattern(cx, &rules)?;
        Some(Ctl::RuleRemoveTargetByTag(rules, variable, selector))
    }),
];

/// Options of other engines that are known and refused, and why.
const REFUSED: &[(&str, &str)] = &[
    ("debugLogLevel", "there is no debug log; `log` of the plugin tells what matched"),
    ("hashEnforcement", "pages are not signed"),
    ("hashEngine", "pages are not signed"),
    ("parseXmlIntoArgs", "texts of XML are in `XML:/*`"),
];

/// Reads the value of a `ctl` action.
pub(super) fn read(cx: &mut Cx<'_>, value: &Word) -> Option<Action> {
    let Some((name, setting)) = value.split('=') else {
        let help = "write it as in `ctl:ruleEngine=Off`";
        return cx.fail(value.start(), "the `=` is missing", Some(help.to_owned()));
    };
    let name = name.trimmed();
    let found = OPTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name.text));
    if let Some((_, read)) = found {
        return read(cx, &setting.trimmed()).map(Action::Ctl);
    }
    let refused = REFUSED.iter().find(|(known, _)| known.eq_ignore_ascii_case(&name.text));
    if let Some((known, why)) = refused {
        let problem = format!("`ctl:{known}` is not supported");
        return cx.fail(name.start(), problem, Some((*why).to_owned()));
    }
    let help = did_you_mean(&name.text, OPTIONS.iter().map(|(known, _)| *known));
    cx.fail(name.start(), format!("unknown option {} of `ctl`", quoted(&name.text)), help)
}

/// `rules;TARGET`.
fn rules_and_target(cx: &mut Cx<'_>, value: &Word) -> Option<(Word, Variable, Selector)> {
    let Some((rules, target)) = value.split(';') else {
        let help = "write the rules, `;` and the target, as in `942100;ARGS:note`";
        return cx.fail(value.start(), "the target is missing", Some(help.to_owned()));
    };
    let target = target.trimmed();
    if target.text.starts_with(['!', '&']) {
        let help = "write the target without a sign: it is taken out";
        return cx.fail(target.start(), "a sign before the target", Some(help.to_owned()));
    }
    let (variable, selector) = targets::variable(cx, &target)?;
    Some((rules.trimmed(), variable, selector))
}

fn processor(cx: &mut Cx<'_>, value: &Word) -> Option<BodyProcessor> {
    let known = [
        ("URLENCODED", BodyProcessor::UrlEncoded),
        ("MULTIPART", BodyProcessor::Multipart),
        ("JSON", BodyProcessor::Json),
        ("XML", BodyProcessor::Xml),
    ];
    values::choice(cx, value, &known)
}
