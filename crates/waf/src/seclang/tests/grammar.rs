//! Directives that the language has, drawn by chance.

use crate::fault::Place;
use crate::seclang::script::{
    Action, AllowScope, BodyProcessor, Change, Ctl, Directive, EngineMode, IdRanges, LimitAction,
    OperatorText, Phase, RuleText, Sanitise, SetVar, Setting,
};
use crate::text::{Piece, Text};
use crate::transformations::Transformation;
use crate::variable::{Mode, Selector, Shape, Target, Variable};

/// Chance, from a seed.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    pub(super) fn is(&mut self, one_in: usize) -> bool {
        self.below(one_in) == 0
    }

    pub(super) fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    fn some<T>(&mut self, max: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(max + 1)).map(|_| make(self)).collect()
    }
}

/// Where everything stands that is compared.
pub(super) fn nowhere() -> Place {
    Place { file: "".into(), line: 0, column: 0 }
}

const LETTERS: &[&str] = &["a", "b", "0", "_", "-", "x1"];
/// A backslash stands for itself, but for one before a quote.
const SIGNS: &[&str] = &[
    "a", "B", "7", " ", ",", ";", ":", "|", "/", "(", ")", "[", "]", "<", ">", "=", "+", "*", "?",
    ".", "^", "$", "!", "@", "#", "&", "% ", "'", "\"", "é", "\\d", "\\.", "\t", "}", "\\\\x",
];

fn word(dice: &mut Dice) -> String {
    (0..=dice.below(4)).map(|_| dice.of(LETTERS)).collect()
}

/// A text that begins with a letter and holds macros here and there.
fn text(dice: &mut Dice) -> Text {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut literal = dice.of(&["a", "Z"]).to_owned();
    for _ in 0..dice.below(9) {
        if dice.is(5) {
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal).into_bytes().into()));
            }
            pieces.push(reference(dice));
        } else {
            literal.push_str(dice.of(SIGNS));
        }
    }
    // A text ends in no blank: where it stands without quotes, it would be lost.
    literal.push('z');
    pieces.push(Piece::Literal(literal.into_bytes().into()));
    Text { pieces: pieces.into() }
}

fn reference(dice: &mut Dice) -> Piece {
    let variable = variable(dice);
    let selector = if variable.shape() == Shape::Collection && dice.is(2) {
        Selector::Name(word(dice).into_bytes().into())
    } else {
        Selector::All
    };
    Piece::Macro(variable, selector)
}

/// The name of a variable: letters and macros.
fn name(dice: &mut Dice) -> Text {
    let mut pieces = vec![Piece::Literal(word(dice).into_bytes().into())];
    if dice.is(4) {
        pieces.push(reference(dice));
    }
    Text { pieces: pieces.into() }
}

fn pattern(dice: &mut Dice) -> Box<str> {
    let parts = ["^a", "b$", "[0-9]+", "(?:a|b)", "a b", "c,d", "\\.", "x", "\\w"];
    (0..=dice.below(2)).map(|_| dice.of(&parts)).collect::<String>().into()
}

fn selector(dice: &mut Dice, variable: Variable) -> Selector {
    if variable.shape() == Shape::Single || dice.is(3) {
        return Selector::All;
    }
    if variable == Variable::Xml {
        return Selector::Name(dice.of(&[&b"/*"[..], b"//@*"]).into());
    }
    if dice.is(3) {
        return Selector::Pattern(pattern(dice));
    }
    let mut name = word(dice);
    if dice.is(4) {
        name.push_str(dice.of(&[" b", ",b", "|b", "'b", "[c]"]));
    }
    Selector::Name(name.into_bytes().into())
}

fn variable(dice: &mut Dice) -> Variable {
    loop {
        let variable = dice.of(Variable::ALL);
        if variable.refused().is_none() {
            return variable;
        }
    }
}

fn target(dice: &mut Dice, mode: Mode) -> Target {
    let variable = variable(dice);
    Target { mode, variable, selector: selector(dice, variable) }
}

fn targets(dice: &mut Dice) -> Vec<Target> {
    let first = dice.of(&[Mode::Values, Mode::Count]);
    let mut targets = vec![target(dice, first)];
    for mode in dice.some(3, |dice| dice.of(&[Mode::Values, Mode::Count, Mode::Except])) {
        targets.push(target(dice, mode));
    }
    targets
}

fn operator(dice: &mut Dice) -> OperatorText {
    let name = dice.of(&[
        "rx",
        "rxGlobal",
        "pm",
        "pmFromFile",
        "contains",
        "streq",
        "within",
        "eq",
        "lt",
        "ipMatch",
        "detectSQLi",
        "detectXSS",
        "unconditionalMatch",
        "validateUrlEncoding",
        "verifyCC",
        "beginsWith",
        "endsWith",
        "validateByteRange",
        "strmatch",
        "containsWord",
        "noMatch",
    ]);
    let is_alone = matches!(
        name,
        "detectSQLi" | "detectXSS" | "unconditionalMatch" | "validateUrlEncoding" | "noMatch"
    );
    let argument = if is_alone { Text::default() } else { text(dice) };
    OperatorText { place: nowhere(), is_negated: dice.is(4), name: name.into(), argument }
}

fn ids(dice: &mut Dice) -> IdRanges {
    let mut ranges = vec![(3, 3)];
    ranges.extend(dice.some(3, |dice| {
        let first = 1 + u32::try_from(dice.below(900)).unwrap();
        (first, first + u32::try_from(dice.below(2) * 50).unwrap())
    }));
    IdRanges(ranges)
}

fn set_var(dice: &mut Dice) -> Action {
    let collection = dice.of(&[Variable::Tx, Variable::Ip, Variable::Session, Variable::Global]);
    let change = match dice.below(4) {
        0 => Change::Unset,
        1 => Change::Add(text(dice)),
        2 => Change::Subtract(text(dice)),
        _ => Change::Set(text(dice)),
    };
    Action::SetVar(SetVar { collection, name: name(dice), change })
}

fn ctl(dice: &mut Dice) -> Action {
    let variable = variable(dice);
    // A quote inside of quotes inside of quotes cannot be written.
    let selector = match selector(dice, variable) {
        Selector::Name(name) if name.contains(&b'\'') => Selector::All,
        other => other,
    };
    Action::Ctl(match dice.below(9) {
        0 => Ctl::RuleRemoveById(ids(dice)),
        1 => Ctl::RuleRemoveByTag(word(dice).into()),
        2 => Ctl::RuleRemoveTargetById(ids(dice), variable, selector),
        3 => Ctl::RuleRemoveTargetByMsg(word(dice).into(), variable, selector),
        4 => {
            Ctl::RuleEngine(dice.of(&[EngineMode::On, EngineMode::DetectionOnly, EngineMode::Off]))
        }
        5 => Ctl::RequestBodyProcessor(dice.of(&[BodyProcessor::Json, BodyProcessor::Xml])),
        6 => Ctl::RequestBodyLimit(dice.below(9_999) as u64),
        7 => Ctl::ForceRequestBodyVariable(dice.is(2)),
        _ => Ctl::ResponseBodyAccess(dice.is(2)),
    })
}

/// An action that any rule may have, and have again.
fn common(dice: &mut Dice) -> Action {
    match dice.below(12) {
        0 => Action::Tag(text(dice)),
        1 => Action::Capture,
        2 => Action::MultiMatch,
        3 => Action::NoTransformations,
        4 => Action::Transformation(dice.of(Transformation::ALL)),
        5 => dice.of(&[Action::Log, Action::NoLog, Action::AuditLog, Action::NoAuditLog]),
        6 => ctl(dice),
        7 => Action::InitCollection(Variable::Ip, text(dice)),
        8 => Action::ExpireVar(Variable::Ip, name(dice), Text::literal(*b"600")),
        9 => Action::Sanitise(dice.of(&[Sanitise::Matched, Sanitise::Argument("pass".into())])),
        10 => dice.of(&[Action::SetSid as fn(Text) -> Action, Action::SetUid])(text(dice)),
        _ => set_var(dice),
    }
}

fn actions(dice: &mut Dice, head: Option<u32>, is_chained: bool) -> Vec<Action> {
    let mut actions = dice.some(6, common);
    if dice.is(2) {
        actions.push(Action::Msg(text(dice)));
    }
    if dice.is(3) {
        actions.push(Action::LogData(text(dice)));
    }
    if dice.is(3) {
        actions.push(Action::Severity(u8::try_from(dice.below(8)).unwrap()));
    }
    if let Some(id) = head {
        actions.insert(dice.below(actions.len() + 1), Action::Id(id));
        let phases = [
            Phase::RequestHead,
            Phase::RequestBody,
            Phase::ResponseHead,
            Phase::ResponseBody,
            Phase::Logging,
        ];
        if dice.is(2) {
            actions.push(Action::Phase(dice.of(&phases)));
        }
        actions.push(match dice.below(6) {
            0 => Action::Deny,
            1 => Action::Pass,
            2 => Action::Block,
            3 => Action::Drop,
            4 => {
                let scopes = [AllowScope::Phase, AllowScope::Request, AllowScope::Transaction];
                Action::Allow(dice.of(&scopes))
            }
            _ => Action::Redirect(text(dice)),
        });
        if dice.is(4) {
            actions.push(Action::Status(u16::try_from(100 + dice.below(500)).unwrap()));
        }
        if dice.is(5) {
            actions.push(Action::SkipAfter(word(dice).into()));
        } else if dice.is(4) {
            actions.push(Action::Skip(1 + u32::try_from(dice.below(9)).unwrap()));
        }
    }
    if is_chained {
        actions.insert(dice.below(actions.len() + 1), Action::Chain);
    }
    actions
}

/// A rule, or a chain of them.
fn chain(dice: &mut Dice, id: u32, out: &mut Vec<Directive>) {
    let links = 1 + dice.below(3) * dice.below(2);
    for link in 0..links {
        let actions = actions(dice, (link == 0).then_some(id), link + 1 < links);
        out.push(if dice.is(5) {
            Directive::Action(if actions.is_empty() { vec![Action::Capture] } else { actions })
        } else {
            Directive::Rule(RuleText { targets: targets(dice), operator: operator(dice), actions })
        });
    }
}

fn setting(dice: &mut Dice) -> Setting {
    match dice.below(8) {
        0 => Setting::RuleEngine(dice.of(&[EngineMode::On, EngineMode::DetectionOnly])),
        1 => Setting::RequestBodyLimit(dice.below(9_999) as u64),
        2 => Setting::RequestBodyLimitAction(
            dice.of(&[LimitAction::Reject, LimitAction::ProcessPartial]),
        ),
        3 => Setting::ResponseBodyMimeTypes(vec!["text/html".into(), "a/b".into()]),
        4 => Setting::ArgumentsLimit(1 + u32::try_from(dice.below(999)).unwrap()),
        5 => Setting::WebAppId(word(dice).into()),
        6 => Setting::ComponentSignature("OWASP_CRS/4.0".into()),
        _ => Setting::ResponseBodyAccess(dice.is(2)),
    }
}

/// A rule set.
pub(super) fn directives(dice: &mut Dice) -> Vec<Directive> {
    let mut out = Vec::new();
    for id in 0..=u32::try_from(dice.below(6)).unwrap() {
        match dice.below(12) {
            0 => out.push(Directive::Marker(word(dice).into())),
            1 => out.push(Directive::Setting(setting(dice))),
            2 => out.push(Directive::RemoveById(ids(dice))),
            3 => out.push(Directive::RemoveByTag(word(dice).into())),
            4 => out.push(Directive::UpdateTargetsById(ids(dice), targets(dice))),
            5 => {
                let except = vec![target(dice, Mode::Except)];
                out.push(Directive::UpdateTargetsByMsg(word(dice).into(), except));
            }
            6 => {
                let actions = vec![Action::Deny, Action::Msg(text(dice))];
                out.push(Directive::UpdateActionsById(id + 1, id % 3, actions));
            }
            7 => out.push(Directive::DefaultAction(vec![
                Action::Phase(Phase::RequestBody),
                Action::Deny,
                Action::Log,
            ])),
            _ => chain(dice, id + 1, &mut out),
        }
    }
    out
}
