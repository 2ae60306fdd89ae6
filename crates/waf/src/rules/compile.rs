//! One rule after another, compiled.

use std::sync::Arc;

use super::actions::{Assign, CtlPlan, Effect};
use super::assemble::{ChainDraft, Draft};
use super::link::{Exception, Hidden, Link, NamePattern, Pick, TargetPlan};
use super::outcome::Outcome;
use super::slots::Slots;
use super::{About, Rule, indices};
use crate::fault::{Place, RuleFault};
use crate::files::Files;
use crate::name_pattern::name_pattern;
use crate::operators::{Operator, Places};
use crate::seclang::script::{Action, Change, Ctl, IdRanges, OperatorText, Sanitise, SetVar};
use crate::text::{Piece, Text};
use crate::transformations::Transformation;
use crate::variable::{Mode, Selector, Variable};

/// A `ctl` that waits until every rule is known: rule, link, effect, and what was written.
pub(super) type OpenCtl = (u32, usize, usize, Ctl);

/// Makes rules of what was written.
pub(super) struct Compiler<'f> {
    files: &'f dyn Files,
    atlas: Option<Arc<Places>>,
    slots: Slots,
    faults: Vec<RuleFault>,
}

impl<'f> Compiler<'f> {
    pub(super) fn new(files: &'f dyn Files, atlas: Option<Arc<Places>>) -> Self {
        Self { files, atlas, slots: Slots::default(), faults: Vec::new() }
    }

    /// The numbers that were given, now that all are known, and what is wrong.
    pub(super) fn finish(self, rules: &mut [Rule]) -> (Slots, Vec<RuleFault>) {
        let links = rules.iter_mut().flat_map(|rule| &mut rule.links);
        for target in links.flat_map(|link| &mut link.targets) {
            if let TargetPlan::Values(Variable::Tx, Pick::Pattern(pattern)) = target {
                let slots = self.slots.pick(|name| pattern.regex.is_match(name));
                *target = TargetPlan::Members(pattern.clone(), slots);
            }
        }
        (self.slots, self.faults)
    }

    fn fault(&mut self, place: &Place, problem: impl Into<String>, help: Option<String>) {
        let (place, problem) = (place.clone(), problem.into());
        self.faults.push(RuleFault { place, excerpt: String::new(), problem, help });
    }

    pub(super) fn rule(&mut self, chain: ChainDraft, index: u32, ctls: &mut Vec<OpenCtl>) -> Rule {
        let ChainDraft { links: drafts, defaults, mut about } = chain;
        let head = drafts.first().map_or(&[][..], |draft| &draft.actions);
        let outcome = Outcome::of(head, &defaults);
        // What a chained rule says of itself stands where the head says nothing.
        for draft in drafts.iter().skip(1) {
            let more = super::assemble::about(draft);
            about.msg = about.msg.or(more.msg);
            about.log_data = about.log_data.or(more.log_data);
            about.severity = about.severity.or(more.severity);
        }
        let hides_matched = drafts
            .iter()
            .flat_map(|draft| &draft.actions)
            .any(|action| matches!(action, Action::Sanitise(Sanitise::Matched)));
        let mut links = Vec::new();
        for (position, draft) in drafts.iter().enumerate() {
            links.push(self.link(draft, &defaults, (index, position), ctls));
        }
        Rule {
            about,
            links: links.into(),
            disruption: outcome.disruption,
            skip: outcome.skip,
            skip_to: None,
            is_logged: outcome.is_logged,
            is_audited: outcome.is_audited,
            hides_matched,
        }
    }

    fn link(
        &mut self,
        draft: &Draft,
        defaults: &[Action],
        at: (u32, usize),
        ctls: &mut Vec<OpenCtl>,
    ) -> Link {
        let mut targets = Vec::new();
        let mut exceptions = Vec::new();
        for target in &draft.targets {
            let pick = self.pick(&target.selector, &draft.place);
            match (target.mode, target.variable, &target.selector) {
                (Mode::Except, variable, _) => exceptions.push(Exception { variable, pick }),
                (Mode::Values, Variable::Tx, Selector::Name(name)) if !is_capture(name) => {
                    targets.push(TargetPlan::Slot(self.slots.number(name)));
                }
                (Mode::Count, Variable::Tx, Selector::Name(name)) if !is_capture(name) => {
                    targets.push(TargetPlan::SlotCount(self.slots.number(name)));
                }
                (Mode::Values, variable, _) => targets.push(TargetPlan::Values(variable, pick)),
                (Mode::Count, variable, _) => targets.push(TargetPlan::Count(variable, pick)),
            }
        }
        let mut pipeline: Vec<Transformation> = Vec::new();
        for action in defaults.iter().chain(&draft.actions) {
            match action {
                Action::NoTransformations => pipeline.clear(),
                Action::Transformation(transformation) => pipeline.push(*transformation),
                _ => {}
            }
        }
        let operator = draft.operator.as_ref().and_then(|text| self.operator(text, &draft.place));
        let is_negated = draft.operator.as_ref().is_some_and(|text| text.is_negated);
        // What is harmless as it stands need not be once it is decoded.
        let is_search = !is_negated
            && operator.as_ref().is_some_and(Operator::is_search)
            && !pipeline.iter().any(|step| step.makes_other_text());
        let has = |wanted: fn(&Action) -> bool| draft.actions.iter().any(wanted);
        let mut effects = Vec::new();
        for action in &draft.actions {
            match action {
                Action::SetVar(change) => effects.push(self.assign(change)),
                Action::ExpireVar(variable, name, seconds) => {
                    effects.push(Effect::Expire(*variable, name.clone(), seconds.clone()));
                }
                Action::InitCollection(variable, key) => {
                    effects.push(Effect::Open(*variable, key.clone()));
                }
                Action::SetSid(key) => effects.push(Effect::Open(Variable::Session, key.clone())),
                Action::SetUid(key) => effects.push(Effect::Open(Variable::User, key.clone())),
                Action::SetRsc(key) => effects.push(Effect::Open(Variable::Resource, key.clone())),
                Action::Sanitise(what) => effects.extend(hidden(what)),
                Action::Ctl(ctl) => {
                    ctls.push((at.0, at.1, effects.len(), ctl.clone()));
                    effects.push(Effect::Ctl(CtlPlan::RemoveRules([].into())));
                }
                _ => {}
            }
        }
        Link {
            targets: targets.into(),
            exceptions: exceptions.into(),
            pipeline: pipeline.into(),
            is_multi: has(|action| matches!(action, Action::MultiMatch)),
            operator,
            argument: draft
                .operator
                .as_ref()
                .map(|text| text.argument.written())
                .unwrap_or_default()
                .into(),
            is_negated,
            is_search,
            captures: has(|action| matches!(action, Action::Capture)),
            effects: effects.into(),
            sieved: None,
        }
    }

    fn operator(&mut self, text: &OperatorText, place: &Place) -> Option<Operator> {
        match Operator::compile(&text.name, &text.argument, self.files, &place.file) {
            Ok(Operator::GeoLookup(mut lookup)) => {
                lookup.places.clone_from(&self.atlas);
                Some(Operator::GeoLookup(lookup))
            }
            Ok(operator) => Some(operator),
            Err(fault) => {
                self.fault(&text.place, fault.problem, fault.help);
                None
            }
        }
    }

    fn pick(&mut self, selector: &Selector, place: &Place) -> Pick {
        match selector {
            Selector::All => Pick::All,
            Selector::Name(name) => Pick::Name(name.clone()),
            Selector::Pattern(pattern) => match name_pattern(pattern) {
                Ok(regex) => Pick::Pattern(Box::new(NamePattern { text: pattern.clone(), regex })),
                Err(problem) => {
                    self.fault(place, format!("the pattern `{pattern}` {problem}"), None);
                    Pick::All
                }
            },
        }
    }

    fn assign(&mut self, set: &SetVar) -> Effect {
        let change = match &set.change {
            Change::Set(text) => match text.as_literal() {
                Some(literal) => {
                    number(literal).map_or_else(|| Assign::Fixed(literal.into()), Assign::Number)
                }
                None => Assign::Text(text.clone()),
            },
            Change::Add(text) => match (&*text.pieces, text.as_literal().and_then(number)) {
                (_, Some(number)) => Assign::AddNumber(number),
                ([Piece::Macro(Variable::Tx, Selector::Name(name))], _) if !is_capture(name) => {
                    Assign::AddSlot(self.slots.number(name))
                }
                _ => Assign::Add(text.clone()),
            },
            Change::Subtract(text) => Assign::Subtract(text.clone()),
            Change::Unset => Assign::Unset,
        };
        match (set.collection, set.name.as_literal()) {
            (Variable::Tx, Some(name)) if !is_capture(name) => {
                Effect::SetSlot(self.slots.number(name), change)
            }
            _ => Effect::SetNamed(set.collection, set.name.clone(), change),
        }
    }

    pub(super) fn resolve_ctls(&mut self, rules: &mut [Rule], ctls: Vec<OpenCtl>) {
        for (index, link, effect, ctl) in ctls {
            let place = rules.get(index as usize).map(|rule| Place {
                file: rule.about.file.clone(),
                line: rule.about.line,
                column: 1,
            });
            let Some(place) = place else { continue };
            let plan = self.ctl(rules, &ctl, &place);
            let links = rules.get_mut(index as usize).map(|rule| &mut rule.links);
            let effects = links.and_then(|links| links.get_mut(link)).map(|link| &mut link.effects);
            if let Some(slot) = effects.and_then(|effects| effects.get_mut(effect)) {
                *slot = Effect::Ctl(plan);
            }
        }
    }

    fn ctl(&mut self, rules: &[Rule], ctl: &Ctl, place: &Place) -> CtlPlan {
        let by_id = |ids: &IdRanges| indices(rules, |about| ids.contains(about.id));
        match ctl {
            Ctl::RuleRemoveById(ids) => CtlPlan::RemoveRules(by_id(ids)),
            Ctl::RuleRemoveByTag(tag) => CtlPlan::RemoveRules(self.by_tag(rules, tag, place)),
            Ctl::RuleRemoveByMsg(msg) => CtlPlan::RemoveRules(self.by_msg(rules, msg, place)),
            Ctl::RuleRemoveTargetById(ids, variable, selector) => CtlPlan::RemoveTarget(
                Hidden::new(&by_id(ids), *variable, self.pick(selector, place)),
            ),
            Ctl::RuleRemoveTargetByTag(tag, variable, selector) => {
                let rules = self.by_tag(rules, tag, place);
                CtlPlan::RemoveTarget(Hidden::new(&rules, *variable, self.pick(selector, place)))
            }
            Ctl::RuleRemoveTargetByMsg(msg, variable, selector) => {
                let rules = self.by_msg(rules, msg, place);
                CtlPlan::RemoveTarget(Hidden::new(&rules, *variable, self.pick(selector, place)))
            }
            Ctl::RuleEngine(mode) => CtlPlan::Engine(*mode),
            Ctl::RequestBodyAccess(is_on) => CtlPlan::RequestBodyAccess(*is_on),
            Ctl::RequestBodyProcessor(processor) => CtlPlan::RequestBodyProcessor(*processor),
            Ctl::ForceRequestBodyVariable(is_on) => CtlPlan::ForceRequestBody(*is_on),
            Ctl::RequestBodyLimit(max) => CtlPlan::RequestBodyMax(*max),
            Ctl::ResponseBodyAccess(is_on) => CtlPlan::ResponseBodyAccess(*is_on),
            Ctl::ResponseBodyLimit(max) => CtlPlan::ResponseBodyMax(*max),
            // What an audit entry holds is the host's to say: see the directive's documentation.
            Ctl::AuditEngine | Ctl::AuditLogParts => CtlPlan::RemoveRules([].into()),
        }
    }

    fn by_tag(&mut self, rules: &[Rule], tag: &str, place: &Place) -> Box<[u32]> {
        self.matching(tag, place, |regex| indices(rules, |about| has_tag(about, regex)))
    }

    fn by_msg(&mut self, rules: &[Rule], msg: &str, place: &Place) -> Box<[u32]> {
        self.matching(msg, place, |regex| indices(rules, |about| has_msg(about, regex)))
    }

    fn matching(
        &mut self,
        pattern: &str,
        place: &Place,
        find: impl Fn(&regex_automata::meta::Regex) -> Box<[u32]>,
    ) -> Box<[u32]> {
        match name_pattern(pattern) {
            Ok(regex) => find(&regex),
            Err(problem) => {
                self.fault(place, format!("the pattern `{pattern}` {problem}"), None);
                [].into()
            }
        }
    }
}

/// What logs do not show from then on.
fn hidden(what: &Sanitise) -> Option<Effect> {
    let (variable, name) = match what {
        // That is a matter of the rule as a whole.
        Sanitise::Matched => return None,
        Sanitise::Argument(name) => (Variable::Args, name),
        Sanitise::RequestHeader(name) => (Variable::RequestHeaders, name),
        Sanitise::ResponseHeader(name) => (Variable::ResponseHeaders, name),
    };
    Some(Effect::Hide(format!("{}:{name}", variable.name()).into_bytes().into()))
}

/// True if a tag of the rule has the pattern in it.
pub(super) fn has_tag(about: &About, pattern: &regex_automata::meta::Regex) -> bool {
    about.tags.iter().any(|tag| literal_parts(tag).any(|part| pattern.is_match(part)))
}

/// True if the rule's message has the pattern in it.
pub(super) fn has_msg(about: &About, pattern: &regex_automata::meta::Regex) -> bool {
    about.msg.iter().any(|msg| literal_parts(msg).any(|part| pattern.is_match(part)))
}

fn literal_parts(text: &Text) -> impl Iterator<Item = &[u8]> {
    text.pieces.iter().filter_map(|piece| match piece {
        Piece::Literal(part) => Some(&**part),
        Piece::Macro(..) => None,
    })
}

/// `TX.0` to `TX.9` are what operators found.
pub(crate) fn is_capture(name: &[u8]) -> bool {
    matches!(name, [b'0'..=b'9'])
}

/// A text that is a number in the one way in which numbers are written.
fn number(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}
