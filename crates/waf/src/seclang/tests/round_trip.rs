//! What is written is read: directives of every kind, written in every way that the language has.

use proptest::prelude::*;

use super::grammar::{Dice, directives, nowhere};
use crate::files::Memory;
use crate::seclang::read_text;
use crate::seclang::script::{
    Action, AllowScope, BodyProcessor, Change, Ctl, Directive, EngineMode, IdRanges, LimitAction,
    OperatorText, Sanitise, SetVar, Setting,
};
use crate::text::{Piece, Text};
use crate::variable::{Mode, Selector, Target, Variable};

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn macros(text: &Text) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Literal(text) => utf8(text),
        Piece::Macro(variable, Selector::Name(name)) => {
            format!("%{{{}.{}}}", variable.name(), utf8(name))
        }
        Piece::Macro(variable, _) => format!("%{{{}}}", variable.name().to_lowercase()),
    };
    text.pieces.iter().map(piece).collect()
}

fn single(text: &str) -> String {
    format!("'{}'", text.replace('\'', "\\'"))
}

fn on(is_on: bool) -> &'static str {
    if is_on { "On" } else { "off" }
}

fn engine(mode: EngineMode) -> &'static str {
    match mode {
        EngineMode::On => "On",
        EngineMode::DetectionOnly => "DetectionOnly",
        EngineMode::Off => "Off",
    }
}

fn ids(ids: &IdRanges, between: &str) -> String {
    let range = |(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ids.0.iter().map(range).collect::<Vec<_>>().join(between)
}

fn member(variable: Variable, selector: &Selector, dice: &mut Dice) -> String {
    let text = match selector {
        Selector::All => return variable.name().to_owned(),
        Selector::Name(name) => utf8(name),
        Selector::Pattern(pattern) => format!("/{pattern}/"),
    };
    let needs_quotes = text.contains([' ', ',', '|', '\'', '[']);
    let text = if needs_quotes || dice.is(4) { single(&text) } else { text };
    format!("{}:{text}", variable.name())
}

fn targets(targets: &[Target], dice: &mut Dice) -> String {
    let mut written = Vec::new();
    for target in targets {
        let sign = match target.mode {
            Mode::Values => "",
            Mode::Count => "&",
            Mode::Except => "!",
        };
        written.push(format!("{sign}{}", member(target.variable, &target.selector, dice)));
    }
    written.join(dice.of(&["|", " | "]))
}

fn operator(operator: &OperatorText, dice: &mut Dice) -> String {
    let argument = macros(&operator.argument);
    let sign = if operator.is_negated { "!" } else { "" };
    if &*operator.name == "rx" && dice.is(3) {
        return format!("{sign}{argument}");
    }
    format!("{sign}@{} {argument}", operator.name)
}

fn set_var(set: &SetVar) -> String {
    let path = format!("{}.{}", set.collection.name().to_lowercase(), macros(&set.name));
    match &set.change {
        Change::Unset => format!("!{path}"),
        Change::Set(value) => format!("{path}={}", macros(value)),
        Change::Add(value) => format!("{path}=+{}", macros(value)),
        Change::Subtract(value) => format!("{path}=-{}", macros(value)),
    }
}

fn ctl(ctl: &Ctl, dice: &mut Dice) -> String {
    match ctl {
        Ctl::RuleRemoveById(rules) => format!("ruleRemoveById={}", ids(rules, " ")),
        Ctl::RuleRemoveByTag(tag) => format!("ruleRemoveByTag={tag}"),
        Ctl::RuleRemoveTargetById(rules, variable, selector) => {
            let target = member(*variable, selector, dice);
            format!("ruleRemoveTargetById={};{target}", ids(rules, " "))
        }
        Ctl::RuleRemoveTargetByMsg(msg, variable, selector) => {
            format!("ruleRemoveTargetByMsg={msg};{}", member(*variable, selector, dice))
        }
        Ctl::RuleEngine(mode) => format!("ruleEngine={}", engine(*mode)),
        Ctl::RequestBodyProcessor(BodyProcessor::Json) => "requestBodyProcessor=JSON".to_owned(),
        Ctl::RequestBodyProcessor(_) => "requestBodyProcessor=XML".to_owned(),
        Ctl::RequestBodyLimit(max) => format!("requestBodyLimit={max}"),
        Ctl::ForceRequestBodyVariable(is_on) => format!("forceRequestBodyVariable={}", on(*is_on)),
        Ctl::ResponseBodyAccess(is_on) => format!("responseBodyAccess={}", on(*is_on)),
        other => unreachable!("{other:?}"),
    }
}

fn action(action: &Action, dice: &mut Dice) -> String {
    let text = |name: &str, text: &Text| format!("{name}:{}", single(&macros(text)));
    match action {
        Action::Id(id) => format!("id:{id}"),
        Action::Phase(phase) => format!("phase:{}", *phase as u8 + 1),
        Action::Msg(msg) => text("msg", msg),
        Action::LogData(data) => text("logdata", data),
        Action::Tag(tag) => text("tag", tag),
        Action::Severity(level) => format!("severity:{level}"),
        Action::Chain => "chain".to_owned(),
        Action::Capture => "capture".to_owned(),
        Action::MultiMatch => "multiMatch".to_owned(),
        Action::NoTransformations => "t:none".to_owned(),
        Action::Transformation(by) => format!("t:{}", by.name()),
        Action::Block => "block".to_owned(),
        Action::Deny => "DENY".to_owned(),
        Action::Drop => "drop".to_owned(),
        Action::Pass => "pass".to_owned(),
        Action::Allow(AllowScope::Transaction) => "allow".to_owned(),
        Action::Allow(AllowScope::Phase) => "allow:phase".to_owned(),
        Action::Allow(AllowScope::Request) => "allow:request".to_owned(),
        Action::Redirect(to) => text("redirect", to),
        Action::Status(status) => format!("status:'{status}'"),
        Action::Skip(count) => format!("skip:{count}"),
        Action::SkipAfter(name) => format!("skipAfter:{name}"),
        Action::Log => "log".to_owned(),
        Action::NoLog => "nolog".to_owned(),
        Action::AuditLog => "auditlog".to_owned(),
        Action::NoAuditLog => "noauditlog".to_owned(),
        Action::Sanitise(Sanitise::Argument(name)) => format!("sanitiseArg:{name}"),
        Action::Sanitise(_) => "sanitiseMatched".to_owned(),
        Action::SetVar(set) => format!("setvar:{}", single(&set_var(set))),
        Action::ExpireVar(variable, name, seconds) => {
            format!("expirevar:'{}.{}={}'", variable.name(), macros(name), macros(seconds))
        }
        Action::InitCollection(variable, key) => {
            format!("initcol:{}", single(&format!("{}={}", variable.name(), macros(key))))
        }
        Action::SetSid(key) => text("setsid", key),
        Action::SetUid(key) => text("setuid", key),
        Action::Ctl(what) => format!("ctl:{}", single(&ctl(what, dice))),
        other => unreachable!("{other:?}"),
    }
}

fn actions(list: &[Action], dice: &mut Dice) -> String {
    let mut out = String::new();
    for (number, one) in list.iter().enumerate() {
        if number > 0 {
            out.push_str(dice.of(&[",", ", ", ",\\\n    ", ","]));
        }
        out.push_str(&action(one, dice));
    }
    out
}

/// An argument of a directive, in quotes where it needs them.
fn argument(text: &str, dice: &mut Dice) -> String {
    let is_plain = !text.is_empty() && !text.contains([' ', '\t', '"', '\'', '\\', '\n']);
    if is_plain && dice.is(2) {
        text.to_owned()
    } else {
        format!("\"{}\"", text.replace('"', "\\\""))
    }
}

fn setting(setting: &Setting) -> (&'static str, String) {
    match setting {
        Setting::RuleEngine(mode) => ("SecRuleEngine", engine(*mode).to_owned()),
        Setting::RequestBodyLimit(max) => ("SecRequestBodyLimit", max.to_string()),
        Setting::RequestBodyLimitAction(LimitAction::Reject) => {
            ("SecRequestBodyLimitAction", "reject".to_owned())
        }
        Setting::RequestBodyLimitAction(_) => {
            ("SecRequestBodyLimitAction", "ProcessPartial".to_owned())
        }
        Setting::ResponseBodyMimeTypes(types) => ("SecResponseBodyMimeType", types.join(" ")),
        Setting::ArgumentsLimit(max) => ("SecArgumentsLimit", max.to_string()),
        Setting::WebAppId(name) => ("SecWebAppId", name.to_string()),
        Setting::ComponentSignature(text) => ("SecComponentSignature", text.to_string()),
        Setting::ResponseBodyAccess(is_on) => ("SecResponseBodyAccess", on(*is_on).to_owned()),
        other => unreachable!("{other:?}"),
    }
}

fn line(directive: &Directive, dice: &mut Dice) -> String {
    let (name, arguments) = match directive {
        Directive::Rule(rule) => {
            let mut arguments = vec![targets(&rule.targets, dice), operator(&rule.operator, dice)];
            if !rule.actions.is_empty() {
                arguments.push(actions(&rule.actions, dice));
            }
            ("SecRule", arguments)
        }
        Directive::Action(list) => ("SecAction", vec![actions(list, dice)]),
        Directive::Marker(name) => ("SecMarker", vec![name.to_string()]),
        Directive::DefaultAction(list) => ("SecDefaultAction", vec![actions(list, dice)]),
        Directive::UpdateTargetsById(rules, change) => {
            ("SecRuleUpdateTargetById", vec![ids(rules, ","), targets(change, dice)])
        }
        Directive::UpdateTargetsByMsg(msg, change) => {
            ("SecRuleUpdateTargetByMsg", vec![msg.to_string(), targets(change, dice)])
        }
        Directive::UpdateActionsById(id, link, list) => {
            ("SecRuleUpdateActionById", vec![format!("{id}:{link}"), actions(list, dice)])
        }
        Directive::RemoveById(rules) => ("SecRuleRemoveById", vec![ids(rules, " ")]),
        Directive::RemoveByTag(tag) => ("SecRuleRemoveByTag", vec![tag.to_string()]),
        Directive::Setting(one) => {
            let (name, value) = setting(one);
            (name, vec![value])
        }
        other => unreachable!("{other:?}"),
    };
    let mut out = if dice.is(3) { name.to_lowercase() } else { name.to_owned() };
    for text in arguments {
        out.push_str(dice.of(&[" ", "  ", "\t", " \\\n  "]));
        out.push_str(&argument(&text, dice));
    }
    out
}

fn shown(directive: &Directive) -> String {
    format!("{directive:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn rules_are_read_as_they_are_written(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let written = directives(&mut dice);
        let end = dice.of(&["\n", "\r\n", "\n\n# a remark\n", "\n  "]);
        let text: Vec<String> = written.iter().map(|one| line(one, &mut dice)).collect();
        let text = text.join(end);
        let script = match read_text("t.conf", &text, &Memory::default()) {
            Ok(script) => script,
            Err(faults) => return Err(TestCaseError::fail(format!("{text}\n{faults:#?}"))),
        };
        let read = script.items.into_iter().map(|item| match item.directive {
            Directive::Rule(mut rule) => {
                rule.operator.place = nowhere();
                Directive::Rule(rule)
            }
            other => other,
        });
        let read: Vec<String> = read.map(|one| shown(&one)).collect();
        let written: Vec<String> = written.iter().map(shown).collect();
        prop_assert_eq!(read, written, "{}", text);
    }
}
