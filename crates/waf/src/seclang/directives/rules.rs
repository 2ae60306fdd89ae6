//! Directives that make rules and change them.

use super::super::actions::{self, Actions, Role};
use super::super::lines::Word;
use super::super::script::{Directive, RuleText};
use super::super::{operator, targets, values};
use super::{Args, Chain};

/// `SecRule TARGETS OPERATOR ACTIONS`.
pub(super) fn rule(args: &mut Args<'_, '_>) -> Option<Directive> {
    let role = role(args);
    // Whatever goes wrong, the chain that this rule may open is not known until its actions are.
    *args.chain = Chain::Unsure;
    args.between(2, 3)?;
    let [target, asked, rest @ ..] = args.words else { return None };
    let targets = targets::of_rule(args.cx, target);
    let operator = operator::read(args.cx, asked);
    let actions = of_rule(args, rest.first(), role);
    Some(Directive::Rule(RuleText { targets: targets?, operator: operator?, actions: actions? }))
}

/// `SecAction ACTIONS`.
pub(super) fn action(args: &mut Args<'_, '_>) -> Option<Directive> {
    let role = role(args);
    *args.chain = Chain::Unsure;
    let word = args.one()?;
    of_rule(args, Some(word), role).map(Directive::Action)
}

fn role(args: &Args<'_, '_>) -> Role {
    match args.chain {
        Chain::None => Role::Head,
        Chain::Open(_) => Role::Member,
        Chain::Unsure => Role::Unsure,
    }
}

fn of_rule(
    args: &mut Args<'_, '_>,
    word: Option<&Word>,
    role: Role,
) -> Option<Vec<super::super::script::Action>> {
    let mut actions = match word {
        Some(word) => actions::read(args.cx, word),
        None => Actions { list: Vec::new(), is_good: true },
    };
    actions::check(args.cx, &mut actions, role, args.name.start());
    *args.chain = match actions.is_chained() {
        Some(at) => {
            let problem = "no rule follows that this chain goes on with";
            let help = "take `chain` out, or put the next rule of the chain right behind";
            Chain::Open(args.cx.line.fault(at, problem, Some(help.to_owned())))
        }
        None if actions.is_good => Chain::None,
        None => Chain::Unsure,
    };
    actions.finish()
}

/// `SecDefaultAction ACTIONS`.
pub(super) fn default_action(args: &mut Args<'_, '_>) -> Option<Directive> {
    let word = args.one()?;
    let mut actions = actions::read(args.cx, word);
    actions::check(args.cx, &mut actions, Role::Default, args.name.start());
    actions.finish().map(Directive::DefaultAction)
}

/// `SecMarker NAME`.
pub(super) fn marker(args: &mut Args<'_, '_>) -> Option<Directive> {
    let word = args.one()?;
    values::filled(args.cx, word).map(Directive::Marker)
}

/// `SecRuleUpdateTargetById IDS TARGETS`.
pub(super) fn update_targets_by_id(args: &mut Args<'_, '_>) -> Option<Directive> {
    let (rules, change) = rules_and_targets(args)?;
    let rules = values::ids(args.cx, rules);
    let change = targets::changes(args.cx, change);
    Some(Directive::UpdateTargetsById(rules?, change?))
}

/// `SecRuleUpdateTargetByTag PATTERN TARGETS`.
pub(super) fn update_targets_by_tag(args: &mut Args<'_, '_>) -> Option<Directive> {
    let (rules, change) = rules_and_targets(args)?;
    let rules = values::pattern(args.cx, rules);
    let change = targets::changes(args.cx, change);
    Some(Directive::UpdateTargetsByTag(rules?, change?))
}

/// `SecRuleUpdateTargetByMsg PATTERN TARGETS`.
pub(super) fn update_targets_by_msg(args: &mut Args<'_, '_>) -> Option<Directive> {
    let (rules, change) = rules_and_targets(args)?;
    let rules = values::pattern(args.cx, rules);
    let change = targets::changes(args.cx, change);
    Some(Directive::UpdateTargetsByMsg(rules?, change?))
}

fn rules_and_targets<'b>(args: &mut Args<'_, 'b>) -> Option<(&'b Word, &'b Word)> {
    if let [_, _, replaced] = args.words {
        let problem = "the form with a target to replace is not supported";
        let help = "take the old target out with `!` and add the new one";
        return args.cx.fail(replaced.start(), problem, Some(help.to_owned()));
    }
    args.two()
}

/// `SecRuleUpdateActionById ID[:OFFSET] ACTIONS`.
pub(super) fn update_actions(args: &mut Args<'_, '_>) -> Option<Directive> {
    let (rule, change) = args.two()?;
    let (id, offset) = match rule.split(':') {
        Some((id, offset)) => (id, values::number(args.cx, &offset, 0, 1_000_u32)?),
        None => (rule.clone(), 0),
    };
    let id = values::number(args.cx, &id, 1, u32::MAX);
    let mut actions = actions::read(args.cx, change);
    actions::check(args.cx, &mut actions, Role::Update, args.name.start());
    Some(Directive::UpdateActionsById(id?, offset, actions.finish()?))
}

/// `SecRuleRemoveById IDS…`.
pub(super) fn remove_by_id(args: &mut Args<'_, '_>) -> Option<Directive> {
    args.between(1, usize::MAX)?;
    let mut all = Vec::new();
    for word in args.words {
        all.extend(values::ids(args.cx, word)?.0);
    }
    Some(Directive::RemoveById(super::super::script::IdRanges(all)))
}

/// `SecRuleRemoveByTag PATTERN`.
pub(super) fn remove_by_tag(args: &mut Args<'_, '_>) -> Option<Directive> {
    let word = args.one()?;
    values::pattern(args.cx, word).map(Directive::RemoveByTag)
}

/// `SecRuleRemoveByMsg PATTERN`.
pub(super) fn remove_by_msg(args: &mut Args<'_, '_>) -> Option<Directive> {
    let word = args.one()?;
    values::pattern(args.cx, word).map(Directive::RemoveByMsg)
}
