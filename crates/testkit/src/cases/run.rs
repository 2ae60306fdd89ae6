//! Running one case.

use super::exchange::{Written, answer};
use super::file::{CaseFile, Kind, Section};
use super::outside::{self, Files};
use super::setup::{Setup, Variation};
use super::shown::{self, Shown};
use super::tokens::Stand;
use crate::Connection;
use crate::gateway::Gateway;
use crate::load::Refusal;

/// What a run of a case produced: the sections of the file with the outcomes as they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) sections: Vec<Section>,
    /// The first configuration that was refused although the case does not expect it.
    pub(super) refused: Option<String>,
    /// The field of the variation is nowhere in the case's configurations.
    pub(super) is_unchanged: bool,
}

impl Outcome {
    /// The outcomes alone, to see if two runs differ.
    pub(super) fn essence(&self) -> Vec<&Section> {
        self.sections.iter().filter(|section| section.kind.is_outcome()).collect()
    }
}

/// Runs a case, with a change to its configurations if there is one. Inside [`crate::run`] only.
pub(super) async fn run(case: &CaseFile, variation: Option<&Variation>) -> Outcome {
    let mut runner = Runner {
        setup: Setup::new(case.plugin()),
        stand: Stand::default(),
        gateway: None,
        held: Vec::new(),
        is_stale: false,
        report: String::new(),
        variation,
        found: false,
        files: Files::default(),
        outcome: Outcome::default(),
    };
    let mut sections = case.sections.iter().peekable();
    while let Some(section) = sections.next() {
        let mut expected = Vec::new();
        while let Some(next) = sections.next_if(|next| next.kind.is_outcome()) {
            expected.push(next);
        }
        runner.section(section, &expected).await;
        if runner.outcome.refused.is_some() {
            break;
        }
    }
    runner.outcome.is_unchanged = variation.is_some() && !runner.found;
    runner.outcome
}

struct Runner<'c> {
    setup: Setup,
    stand: Stand,
    gateway: Option<Gateway>,
    /// Connections with requests that are under way.
    held: Vec<Connection>,
    /// The configuration has changed since it was last put into force.
    is_stale: bool,
    report: String,
    variation: Option<&'c Variation>,
    found: bool,
    files: Files,
    outcome: Outcome,
}

impl Runner<'_> {
    async fn section(&mut self, section: &Section, expected: &[&Section]) {
        let text = self.stand.fill(&section.text);
        match section.kind {
            Kind::Token => self.stand.make(&section.name, &section.text),
            Kind::Forgery => self.stand.forge(&section.name, &section.text),
            Kind::Signature => self.stand.sign(&section.name, &section.text),
            Kind::Jwe => self.stand.encrypt(&section.name, &section.text),
            Kind::Certificate => self.stand.certify(&section.name, &section.text),
            Kind::Answer => {
                self.put_into_force();
                if let Some(gateway) = &self.gateway {
                    gateway.upstream().answer(answer(&text));
                }
            }
            Kind::Remote => {
                self.put_into_force();
                if let Some(gateway) = &self.gateway {
                    outside::direct(gateway.remotes(), &section.name, &text);
                }
            }
            Kind::Request | Kind::Attack => {
                self.put_into_force();
                self.outcome.sections.push(section.clone());
                if self.outcome.refused.is_none() {
                    self.exchange(&text, expected).await;
                }
                self.observe(expected);
                return;
            }
            _ => {
                if section.kind == Kind::Node {
                    self.gateway = None;
                    self.files = Files::default();
                }
                self.is_stale |= self.setup.take(section, text);
            }
        }
        self.outcome.sections.push(section.clone());
        if expected.iter().any(|next| next.kind == Kind::Diagnostic) {
            self.diagnose();
        } else if !expected.is_empty() {
            self.put_into_force();
        }
        self.observe(expected);
    }

    /// Tries the configuration, which is meant to be refused.
    fn diagnose(&mut self) {
        let text = match self.apply() {
            Ok(accepted) => {
                if self.variation.is_none() {
                    self.outcome.refused = Some("it should be, and is accepted".to_owned());
                }
                accepted
            }
            Err(lines) => lines.join("\n"),
        };
        self.push(Kind::Diagnostic, "", &text);
    }

    /// Puts the configuration into force, if it has changed.
    fn put_into_force(&mut self) {
        if self.is_stale
            && let Err(lines) = self.apply()
        {
            self.outcome.refused = Some(lines.join("\n"));
        }
    }

    /// Says that the configuration was accepted, or why not.
    fn apply(&mut self) -> Result<String, Vec<String>> {
        self.is_stale = false;
        let assembled = self.setup.assemble();
        let mut text = assembled.text.clone();
        if let Some(changed) = self.variation.and_then(|variation| variation.apply(&text)) {
            self.found = true;
            text = changed;
        }
        let told = |refusal: Refusal| -> Vec<String> {
            refusal.lines().iter().map(|line| self.stand.hide(&assembled.located(line))).collect()
        };
        let mut gateway = match self.gateway.take() {
            Some(gateway) => Ok(gateway),
            None => Gateway::idle(&self.setup.node, self.setup.things.clone()),
        };
        let applied = match &mut gateway {
            Ok(gateway) => gateway.reload(&text).map_err(told),
            Err(_) => return Err(gateway.map_err(told).err().unwrap_or_default()),
        };
        self.gateway = gateway.ok();
        if let Some(gateway) = self.gateway.as_ref().filter(|_| self.setup.speaks_http2()) {
            gateway.upstream().speak_http2();
        }
        self.report = shown::report(&applied?.report);
        Ok("accepted".to_owned())
    }

    async fn exchange(&mut self, text: &str, expected: &[&Section]) {
        let Some(gateway) = &self.gateway else {
            panic!("a request before there is a configuration");
        };
        let mut written = Written::parse(text);
        written.connect(&self.stand);
        if written.is_held {
            self.held.push(written.hold(gateway).await);
            return;
        }
        let reply = written.send(gateway).await;
        if let Some(nonce) = reply.field("dpop-nonce") {
            self.stand.note("nonce", nonce);
        }
        let mut shown = Shown::new(&written, &reply);
        let asked = expected.iter().find(|section| section.kind == Kind::Event);
        let event = shown.events(asked.map_or("", |section| &section.text));
        let (response, upstream) = (shown.response(), shown.upstream());
        self.push(Kind::Response, "", &response);
        if !event.is_empty() {
            self.push(Kind::Event, "", &event);
        }
        // That nothing of a refused request is forwarded needs no saying.
        if event.is_empty() || !reply.seen().is_empty() {
            self.push(Kind::Upstream, "", &upstream);
        }
        let sent = self.gateway.as_ref().map(|gateway| {
            let sent = outside::shown(&gateway.remotes().take());
            let files = self.files.news(gateway);
            [sent, files].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>()
        });
        let sent = sent.unwrap_or_default().join("\n");
        // Nothing that leaves goes unseen.
        if !sent.is_empty() || expected.iter().any(|section| section.kind == Kind::Sent) {
            let sent = if sent.is_empty() { "nothing" } else { &sent };
            let sent = shown.named(sent);
            self.push(Kind::Sent, "", &sent);
        }
    }

    /// Adds what is only shown where a case asks for it.
    fn observe(&mut self, expected: &[&Section]) {
        for section in expected {
            let text = match (section.kind, &self.gateway) {
                (Kind::Metrics, Some(gateway)) => shown::metrics(&gateway.metrics(), &section.name),
                (Kind::Report, _) => self.report.clone(),
                _ => continue,
            };
            self.push(section.kind, &section.name, &text);
        }
    }

    fn push(&mut self, kind: Kind, name: &str, text: &str) {
        let text = self.stand.hide(text.trim_end());
        self.outcome.sections.push(Section { kind, name: name.to_owned(), text });
    }
}
