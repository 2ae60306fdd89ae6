//! Whatever a schema excludes is refused, with its place: every bound of every field is broken in
//! configurations that are otherwise sound, those of the cases.

use std::collections::BTreeMap;
use std::path::Path;

use bartizan_plugins::{CATALOGUE, Entry};
use bartizan_testkit::cases::{Sound, sound_configurations};
use jsonschema::Validator;
use serde_json::Value;

use super::breaches::{Breach, bounds, breaches};
use super::schemas;

/// In how many of the configurations that have the field a bound is broken.
const TIMES: usize = 1;

/// One schema of a plugin.
struct Slot<'e> {
    entry: &'e Entry,
    name: &'static str,
    schema: &'e Value,
    /// Another implementation of JSON Schema, which says whether a bound is really broken.
    oracle: Validator,
    /// The bounds and how often each was broken.
    broken: BTreeMap<String, usize>,
}

impl Slot<'_> {
    fn all() -> Vec<Self> {
        let mut slots = Vec::new();
        for entry in CATALOGUE.iter() {
            for (name, schema) in schemas(entry) {
                let bounds =
                    bounds(schema).into_iter().filter(|bound| !bound.ends_with("(visited)"));
                let oracle = jsonschema::options().offline().build(schema).unwrap();
                let broken = bounds.map(|bound| (bound, 0)).collect();
                slots.push(Self { entry, name, schema, oracle, broken });
            }
        }
        slots
    }

    /// Breaks the bounds of the configuration at `place`; what is wrong with the answers.
    fn try_at(&mut self, sound: &Sound, place: &str, problems: &mut Vec<String>) {
        let Some(mut config) = sound.resources.pointer(place).cloned() else { return };
        let hidden = hidden(&mut config);
        // Fields that fail open are there under another name where the node takes them.
        if !self.oracle.is_valid(&config) {
            return;
        }
        let is_wanted = |bound: &str| self.broken.get(bound).is_some_and(|count| *count < TIMES);
        let mut found = breaches(self.schema, &config, &is_wanted);
        found.retain(|breach| self.is_broken(breach));
        for breach in found {
            if self.broken.get(&breach.bound).is_none_or(|count| *count >= TIMES) {
                continue;
            }
            *self.broken.entry(breach.bound.clone()).or_default() += 1;
            let mut resources = sound.resources.clone();
            let mut changed = breach.config.clone();
            if let (Some(changed), Some(hidden)) = (changed.as_object_mut(), &hidden) {
                changed.extend(hidden.clone());
            }
            *resources.pointer_mut(place).unwrap() = changed;
            if let Err(problem) = Self::judge(sound, &resources, place, &breach) {
                problems.push(format!(
                    "{} {} {} in {}: {problem}",
                    self.entry.name, self.name, breach.bound, sound.case
                ));
            }
        }
    }

    /// Whether the change breaks this bound, and no form of the value takes it all the same.
    fn is_broken(&self, breach: &Breach) -> bool {
        // Formats of our own are annotations elsewhere.
        breach.bound.ends_with("/format") || !self.oracle.is_valid(&breach.config)
    }

    /// The answer has a place in the text, and names the field or what holds it.
    fn judge(sound: &Sound, resources: &Value, place: &str, breach: &Breach) -> Result<(), String> {
        let value = breach.config.pointer(&breach.at);
        let shown =
            || value.map(Value::to_string).unwrap_or_default().chars().take(80).collect::<String>();
        let refusal = sound.refusal(resources).ok_or_else(|| format!("takes {}", shown()))?;
        let path = dotted(&format!("{place}{}", breach.at));
        let owner = dotted(place);
        let names_it = |line: &String| {
            let has_place = line.starts_with("resources.yaml:1:");
            let told = line.rsplit_once("(at ").and_then(|(_, rest)| rest.split_once(')'));
            let told = told.map_or("", |(told, _)| told).replace(['[', ']', '"'], ".");
            let told =
                told.split('.').filter(|step| !step.is_empty()).collect::<Vec<_>>().join(".");
            has_place
                && (told.starts_with(&path) || told.starts_with(&owner) && path.starts_with(&told))
        };
        if refusal.lines().iter().any(names_it) {
            return Ok(());
        }
        Err(format!("{} at {path} is told as {:?}", shown(), refusal.lines()))
    }
}

/// A pointer as places are written, with dots for brackets.
fn dotted(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~")
}

/// Takes out what belongs to no plugin's schema.
fn hidden(config: &mut Value) -> Option<serde_json::Map<String, Value>> {
    let members = config.as_object_mut()?;
    let keys = ["_meta", "id"];
    Some(keys.iter().filter_map(|key| members.remove_entry(*key)).collect())
}

/// Where plugins are configured: pointers, with the plugin and the slot.
fn places(resources: &Value) -> Vec<(String, String, &'static str)> {
    let mut found = Vec::new();
    for (collection, items) in resources.as_object().into_iter().flatten() {
        for (index, item) in items.as_array().into_iter().flatten().enumerate() {
            let here = format!("/{collection}/{index}");
            if collection == "plugin_metadata" {
                let id = item.get("id").and_then(Value::as_str).unwrap_or_default();
                found.push((here, id.to_owned(), "metadata"));
                continue;
            }
            let credentials = item.get("credentials").and_then(Value::as_array);
            let credentials = credentials.into_iter().flatten().enumerate();
            let owners = credentials.map(|(i, owner)| (format!("{here}/credentials/{i}"), owner));
            for (here, owner) in owners.chain([(here.clone(), item)]) {
                let plugins = owner.get("plugins").and_then(Value::as_object);
                for name in plugins.into_iter().flatten().map(|(name, _)| name) {
                    let proves = CATALOGUE.iter().any(|e| e.name == name && e.is_authentication);
                    let slot =
                        if collection == "consumers" && proves { "consumer" } else { "config" };
                    found.push((format!("{here}/plugins/{name}"), name.clone(), slot));
                }
            }
        }
    }
    found
}

#[test]
fn every_value_beyond_a_bound_is_refused_at_its_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut slots = Slot::all();
    let mut problems = Vec::new();
    for sound in sound_configurations(&folder) {
        for (place, plugin, slot) in places(&sound.resources) {
            let slots = slots.iter_mut().filter(|s| s.entry.name == plugin && s.name == slot);
            for slot in slots {
                slot.try_at(&sound, &place, &mut problems);
            }
        }
    }
    let mut count = 0;
    for slot in &slots {
        for (bound, times) in &slot.broken {
            let name = format!("{} {} {bound}", slot.entry.name, slot.name);
            count += 1;
            if *times == 0 {
                problems.push(format!("{name} can be broken in no configuration of a case"));
            }
        }
    }
    println!("{count} bounds");
    assert!(problems.is_empty(), "{} of {count} bounds:\n{}", problems.len(), problems.join("\n"));
}
