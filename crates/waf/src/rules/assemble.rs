//! From what the files say to rules that can run.

use std::collections::HashMap;
use std::sync::Arc;

use super::compile::Compiler;
use super::settings::Settings;
use super::updates::{Updates, is_removed, update};
use super::{About, Quick, RULES_MAX, Rule, RuleSet, Step};
use crate::fault::{Place, RuleFault};
use crate::files::Files;
use crate::operators::Places;
use crate::seclang::excerpt;
use crate::seclang::script::{Action, Directive, Item, OperatorText, Phase, Script, Setting};
use crate::sieve::Sieve;
use crate::transformations::UnicodeMap;
use crate::variable::Target;

/// The most faults that are told at once.
const FAULTS_MAX: usize = 100;
/// Where a rule without a phase runs.
const PHASE_DEFAULT: Phase = Phase::RequestBody;

/// A rule as it was written, with its place.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) place: Place,
    pub(super) targets: Vec<Target>,
    pub(super) operator: Option<OperatorText>,
    pub(super) actions: Vec<Action>,
}

/// A rule and what is chained to it.
#[derive(Debug)]
pub(super) struct ChainDraft {
    pub(super) links: Vec<Draft>,
    /// What `SecDefaultAction` said where the rule stands.
    pub(super) defaults: Vec<Action>,
    pub(super) about: About,
}

/// What stands between rules.
enum Position {
    Chain(usize),
    Marker(Box<str>),
}

/// Of each chain that is not removed: its number as a rule, and the marker that it skips to.
type Numbers = HashMap<usize, (u32, Option<(Box<str>, Place)>)>;

#[derive(Default)]
struct Assembly {
    chains: Vec<ChainDraft>,
    order: Vec<Position>,
    defaults: HashMap<Phase, Vec<Action>>,
    open: Option<ChainDraft>,
    updates: Updates,
    settings: Settings,
    unicode_map: Option<(Place, Box<str>, u32)>,
    places: Option<(Place, Box<str>)>,
    faults: Vec<RuleFault>,
}

/// Resolves a script.
pub(super) fn assemble(script: Script, files: &dyn Files) -> Result<RuleSet, Vec<RuleFault>> {
    let sources = script.sources;
    resolve(script.items, files).map_err(|mut faults| {
        for fault in faults.iter_mut().filter(|fault| fault.excerpt.is_empty()) {
            let line = sources.get(&fault.place.file).map(|text| text.lines());
            let line = line.and_then(|mut lines| lines.nth(fault.place.line as usize - 1));
            let at = fault.place.column as usize - 1;
            fault.excerpt = excerpt(line.unwrap_or_default(), at);
        }
        faults
    })
}

fn resolve(items: Vec<Item>, files: &dyn Files) -> Result<RuleSet, Vec<RuleFault>> {
    let mut assembly = Assembly::default();
    for item in items {
        assembly.take(item);
    }
    if let Some(open) = assembly.open.take() {
        let place = open.links.last().map(|link| link.place.clone());
        if let Some(place) = place {
            assembly.fault(place, "nothing follows that could be chained to this rule", None);
        }
    }
    assembly.finish(files)
}

impl Assembly {
    fn fault(&mut self, place: Place, problem: impl Into<String>, help: Option<&str>) {
        if self.faults.len() < FAULTS_MAX {
            let (problem, help) = (problem.into(), help.map(ToOwned::to_owned));
            self.faults.push(RuleFault { place, excerpt: String::new(), problem, help });
        }
    }

    fn take(&mut self, item: Item) {
        let Item { place, directive } = item;
        if self.open.is_some() && !matches!(directive, Directive::Rule(_) | Directive::Action(_)) {
            let problem = "a chain is interrupted here: the rule before it has `chain`";
            self.fault(place.clone(), problem, Some("put the chained rule directly below"));
            self.open = None;
        }
        match directive {
            Directive::Rule(rule) => {
                let operator = Some(rule.operator);
                let (targets, actions) = (rule.targets, rule.actions);
                self.add(Draft { place, targets, operator, actions });
            }
            Directive::Action(actions) => {
                self.add(Draft { place, targets: Vec::new(), operator: None, actions });
            }
            Directive::Marker(name) => self.order.push(Position::Marker(name)),
            Directive::DefaultAction(actions) => {
                let phase = phase_of(&actions).unwrap_or(PHASE_DEFAULT);
                self.defaults.insert(phase, actions);
            }
            Directive::Setting(Setting::UnicodeMap(name, page)) => {
                self.unicode_map = Some((place, name, page));
            }
            Directive::Setting(Setting::GeoLookupDb(name)) => self.places = Some((place, name)),
            Directive::Setting(setting) => self.settings.take(setting),
            update => self.updates.take(place, update),
        }
    }

    fn add(&mut self, draft: Draft) {
        let continues = draft.actions.iter().any(|action| matches!(action, Action::Chain));
        let mut chain = if let Some(open) = self.open.take() {
            open
        } else {
            let about = about(&draft);
            if about.id == 0 {
                let help = Some("give it one, such as `id:100001`");
                self.fault(draft.place.clone(), "the rule has no id", help);
            }
            let phase = about.phase.unwrap_or(PHASE_DEFAULT);
            let defaults = self.defaults.get(&phase).cloned().unwrap_or_default();
            ChainDraft { links: Vec::new(), defaults, about }
        };
        chain.links.push(draft);
        if continues {
            self.open = Some(chain);
        } else {
            self.order.push(Position::Chain(self.chains.len()));
            self.chains.push(chain);
        }
    }

    fn finish(mut self, files: &dyn Files) -> Result<RuleSet, Vec<RuleFault>> {
        self.refuse_twins();
        if self.chains.len() > RULES_MAX
            && let Some(place) = self.chains.last().and_then(|c| c.links.first())
        {
            let problem = format!("more than {RULES_MAX} rules");
            self.fault(place.place.clone(), problem, None);
        }
        let mut chains = std::mem::take(&mut self.chains);
        for (place, problem) in update(&mut chains, &mut self.updates) {
            self.fault(place, problem, Some("name a rule that the files hold"));
        }
        let atlas = self.atlas(files);
        let mut compiler = Compiler::new(files, atlas);
        let mut rules = Vec::new();
        let mut places: Numbers = HashMap::new();
        let mut ctls = Vec::new();
        for (position, chain) in chains.into_iter().enumerate() {
            if is_removed(&chain, &self.updates) {
                continue;
            }
            let head = chain.links.first();
            let skip = head.and_then(|link| Some((skip_after(&link.actions)?, link.place.clone())));
            let index = u32::try_from(rules.len()).unwrap_or(u32::MAX);
            places.insert(position, (index, skip));
            rules.push(compiler.rule(chain, index, &mut ctls));
        }
        compiler.resolve_ctls(&mut rules, ctls);
        let (slots, faults) = compiler.finish(&mut rules);
        self.faults.extend(faults);
        let unicode_map = self.unicode_map(files);
        let mut steps = self.steps(&mut rules, &places);
        if !self.faults.is_empty() {
            self.faults.truncate(FAULTS_MAX);
            return Err(self.faults);
        }
        let sieve = Sieve::build(&mut rules, &steps);
        for step in steps.iter_mut().flatten() {
            let rule = step.rule.and_then(|index| rules.get(index as usize));
            step.quick = rule.map(Quick::of).unwrap_or_default();
        }
        let settings = self.settings;
        Ok(RuleSet { rules: rules.into(), steps, slots, sieve, settings, unicode_map })
    }

    /// Reads the database that `SecGeoLookupDb` names.
    fn atlas(&mut self, files: &dyn Files) -> Option<Arc<Places>> {
        let (place, name) = self.places.take()?;
        let read = files.read_database(&place.file, &name).map_err(|fault| fault.to_string());
        let places = read.and_then(|bytes| {
            let unsound = |why| format!("`{name}` is no sound database: {why}");
            Places::new(bytes).map_err(unsound)
        });
        match places {
            Ok(places) => Some(Arc::new(places)),
            Err(problem) => {
                let help = Some("a file in MaxMind's format, such as `GeoLite2-Country.mmdb`");
                self.fault(place, problem, help);
                None
            }
        }
    }

    /// Reads the map that `SecUnicodeMapFile` names.
    fn unicode_map(&mut self, files: &dyn Files) -> Option<UnicodeMap> {
        let (place, name, page) = self.unicode_map.take()?;
        let bytes = match files.read(&place.file, &name) {
            Ok(bytes) => bytes,
            Err(fault) => {
                let help = Some("a file is looked for beside the file that names it");
                self.fault(place, fault.to_string(), help);
                return None;
            }
        };
        let map = UnicodeMap::parse(&String::from_utf8_lossy(&bytes), page);
        if map.is_none() {
            let problem = format!("`{name}` has no code page {page}");
            self.fault(place, problem, Some("the page of plain ASCII is 20127"));
        }
        map
    }

    fn refuse_twins(&mut self) {
        let mut seen: HashMap<u32, Place> = HashMap::new();
        let mut twins = Vec::new();
        for chain in &self.chains {
            let Some(place) = chain.links.first().map(|link| link.place.clone()) else { continue };
            if let Some(first) = seen.get(&chain.about.id) {
                twins.push((place, chain.about.id, first.clone()));
            } else if chain.about.id != 0 {
                seen.insert(chain.about.id, place);
            }
        }
        for (place, id, first) in twins {
            let help = Some("give each rule an id of its own");
            self.fault(place, format!("the id {id} is used twice; first at {first}"), help);
        }
    }

    /// The steps of each phase, with the rules' skips resolved.
    fn steps(&mut self, rules: &mut [Rule], places: &Numbers) -> [Box<[Step]>; 5] {
        let mut faults = Vec::new();
        let steps = PHASES.map(|phase| {
            let mut steps = Vec::new();
            let mut markers: Vec<(&str, usize)> = Vec::new();
            let mut skips = Vec::new();
            for position in &self.order {
                match position {
                    Position::Marker(name) => {
                        markers.push((name, steps.len()));
                        steps.push(Step::default());
                    }
                    Position::Chain(chain) => {
                        let Some((index, skip)) = places.get(chain) else { continue };
                        let Some(rule) = rules.get(*index as usize) else { continue };
                        if rule.about.phase != Some(phase) {
                            continue;
                        }
                        if let Some((name, place)) = skip {
                            skips.push((*index, name, place, steps.len()));
                        }
                        steps.push(Step { rule: Some(*index), ..Step::default() });
                    }
                }
            }
            for (index, name, place, from) in skips {
                let to = markers.iter().find(|(marker, at)| *at > from && *marker == &**name);
                let Some(rule) = rules.get_mut(index as usize) else { continue };
                if let Some((_, at)) = to {
                    rule.skip_to = u32::try_from(*at).ok();
                } else {
                    faults.push((place.clone(), name.clone()));
                }
            }
            steps.into_boxed_slice()
        });
        for (place, name) in faults {
            let help = Some("write `SecMarker` with this name below the rule");
            self.fault(place, format!("nothing below is marked `{name}`"), help);
        }
        steps
    }
}

const PHASES: [Phase; 5] = [
    Phase::RequestHead,
    Phase::RequestBody,
    Phase::ResponseHead,
    Phase::ResponseBody,
    Phase::Logging,
];

fn phase_of(actions: &[Action]) -> Option<Phase> {
    actions.iter().rev().find_map(|action| match action {
        Action::Phase(phase) => Some(*phase),
        _ => None,
    })
}

fn skip_after(actions: &[Action]) -> Option<Box<str>> {
    actions.iter().rev().find_map(|action| match action {
        Action::SkipAfter(name) => Some(name.clone()),
        _ => None,
    })
}

/// What a rule says of itself.
pub(super) fn about(draft: &Draft) -> About {
    let mut about = About {
        phase: Some(PHASE_DEFAULT),
        file: draft.place.file.clone(),
        line: draft.place.line,
        ..About::default()
    };
    let mut tags = Vec::new();
    for action in &draft.actions {
        match action {
            Action::Id(id) => about.id = *id,
            Action::Phase(phase) => about.phase = Some(*phase),
            Action::Msg(text) => about.msg = Some(text.clone()),
            Action::LogData(text) => about.log_data = Some(text.clone()),
            Action::Tag(text) => tags.push(text.clone()),
            Action::Ver(text) => about.ver = Some(text.clone()),
            Action::Rev(text) => about.rev = Some(text.clone()),
            Action::Severity(level) => about.severity = Some(*level),
            Action::Maturity(level) => about.maturity = *level,
            Action::Accuracy(level) => about.accuracy = *level,
            _ => {}
        }
    }
    about.tags = tags.into();
    about
}
