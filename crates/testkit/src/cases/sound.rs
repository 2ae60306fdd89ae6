//! The configurations of cases that are accepted, to be changed and tried again.

use std::path::Path;

use bartizan_config::NodeConfig;
use serde_json::Value;

use super::file::{CaseFile, Kind};
use super::setup::Setup;
use super::suite::case_files;
use super::tokens::Stand;
use crate::load::{self, Refusal, Things, yaml_value};

/// A configuration that a case puts into force.
#[derive(Debug)]
pub struct Sound {
    /// The case's file.
    pub case: String,
    /// The resources.
    pub resources: Value,
    node: NodeConfig,
    things: Things,
}

impl Sound {
    /// Why other resources would be refused on the same node, before anything is compiled; `None`
    /// where they would not.
    pub fn refusal(&self, resources: &Value) -> Option<Refusal> {
        load::resources(&self.node, &resources.to_string(), &self.things).err()
    }
}

/// Every configuration that cases under a folder put into force, in the order of their names.
pub fn sound_configurations(folder: &Path) -> Vec<Sound> {
    let mut found = Vec::new();
    for path in case_files(folder) {
        sound_of(&CaseFile::read(&path), &mut found);
    }
    found
}

fn sound_of(case: &CaseFile, found: &mut Vec<Sound>) {
    let (mut setup, mut stand) = (Setup::new(case.plugin()), Stand::default());
    let mut last = String::new();
    for section in &case.sections {
        match section.kind {
            Kind::Token => stand.make(&section.name, &section.text),
            Kind::Forgery => stand.forge(&section.name, &section.text),
            Kind::Signature => stand.sign(&section.name, &section.text),
            Kind::Jwe => stand.encrypt(&section.name, &section.text),
            Kind::Certificate => stand.certify(&section.name, &section.text),
            Kind::Request | Kind::Attack | Kind::Report => {
                let text = setup.assemble().text;
                if text != last {
                    keep(case, &setup, &text, found);
                    last = text;
                }
            }
            kind if kind.is_outcome() || matches!(kind, Kind::Answer | Kind::Remote) => {}
            _ => drop(setup.take(section, stand.fill(&section.text))),
        }
    }
}

fn keep(case: &CaseFile, setup: &Setup, text: &str, found: &mut Vec<Sound>) {
    let Ok(node) = load::node(&setup.node, &setup.things) else { return };
    let sound = Sound {
        case: case.path.display().to_string(),
        resources: yaml_value(text),
        node,
        things: setup.things.clone(),
    };
    // What a case expects to be refused, or what its node refuses, is no start.
    if sound.refusal(&sound.resources).is_none() {
        found.push(sound);
    }
}
