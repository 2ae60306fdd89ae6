//! Variables whose values change while rules run.

use std::borrow::Cow;

use super::Transaction;
use super::tx::write_number;
use crate::rules::{NamePattern, SlotId, Slots};
use crate::variable::Variable;

/// The most values of one chain that are kept for `MATCHED_VARS`; a chain with more is not judged.
const MATCHED_MAX: usize = 8_192;

/// A member of a live variable: its name and value.
pub(super) type Living = (Vec<u8>, Vec<u8>);

/// What matched last, and what matched in this chain.
#[derive(Debug, Default)]
pub(super) struct Matched {
    /// Where it was a `TX` member that is a number, or the count of one: which, and the number.
    ///
    /// PERF: conditions on such members match by the dozen in a request (`bench waf`).
    number: Option<(Option<SlotId>, i64)>,
    /// Whether that is what matched in this chain.
    is_only: bool,
    /// `MATCHED_VAR_NAME`.
    name: Vec<u8>,
    /// `MATCHED_VAR`.
    value: Vec<u8>,
    /// Names and values of this chain, one behind the other, and where each ends.
    all: Vec<u8>,
    ends: Vec<(usize, usize)>,
}

impl Matched {
    pub(super) fn clear(&mut self) {
        self.number = None;
        self.name.clear();
        self.value.clear();
        self.begin();
    }

    /// How many bytes are kept for the next exchange.
    pub(super) fn kept(&self) -> usize {
        let ends = self.ends.capacity() * size_of::<(usize, usize)>();
        self.name.capacity() + self.value.capacity() + self.all.capacity() + ends
    }

    /// Keeps a match. False if there are too many for a chained rule to see all of them.
    #[must_use]
    pub(super) fn push(&mut self, variable: Variable, name: &[u8], value: &[u8]) -> bool {
        (self.number, self.is_only) = (None, false);
        self.name.clear();
        write_name(variable, name, &mut self.name);
        self.value.clear();
        self.value.extend_from_slice(value);
        let has_room = self.ends.len() < MATCHED_MAX;
        if has_room {
            self.all.extend_from_slice(&self.name);
            let end = self.all.len();
            self.all.extend_from_slice(value);
            self.ends.push((end, self.all.len()));
        }
        has_room
    }

    /// Keeps a match of a `TX` member that is a number, or of the count of one, as the only one.
    pub(super) fn set_number(&mut self, slot: Option<SlotId>, number: i64) {
        self.begin();
        self.number = Some((slot, number));
        self.is_only = true;
    }

    /// Begins another chain.
    pub(super) fn begin(&mut self) {
        self.is_only = false;
        self.all.clear();
        self.ends.clear();
    }

    /// `MATCHED_VAR_NAME`.
    pub(super) fn name(&self, slots: &Slots) -> Cow<'_, [u8]> {
        let Some((slot, _)) = self.number else { return Cow::Borrowed(&self.name) };
        let mut name = Vec::new();
        write_name(Variable::Tx, slot.map_or(&[], |slot| slots.name(slot)), &mut name);
        Cow::Owned(name)
    }

    /// `MATCHED_VAR`.
    pub(super) fn value(&self) -> Cow<'_, [u8]> {
        let Some((_, number)) = self.number else { return Cow::Borrowed(&self.value) };
        let mut value = Vec::new();
        write_number(number, &mut value);
        Cow::Owned(value)
    }

    /// `MATCHED_VARS`.
    fn all(&self, slots: &Slots) -> Vec<Living> {
        if self.is_only {
            return vec![(self.name(slots).into_owned(), self.value().into_owned())];
        }
        let mut start = 0;
        let piece = |from, to| self.all.get(from..to).unwrap_or_default().to_vec();
        let ends = self.ends.iter();
        let all = ends.map(|(name, value)| {
            let member = (piece(start, *name), piece(*name, *value));
            start = *value;
            member
        });
        all.collect()
    }
}

/// Appends the name of a value, such as `ARGS:id`.
pub(super) fn write_name(variable: Variable, name: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(variable.name().as_bytes());
    if !name.is_empty() {
        out.push(b':');
        out.extend_from_slice(name);
    }
}

impl Transaction {
    /// The members of a live variable.
    pub(super) fn living(&self, variable: Variable) -> Vec<Living> {
        let single = |value: Vec<u8>| vec![(Vec::new(), value)];
        match variable {
            Variable::Tx => self.living_tx(),
            Variable::MatchedVar => single(self.matched.value().into_owned()),
            Variable::MatchedVarName => single(self.matched.name(&self.rules.slots).into_owned()),
            Variable::MatchedVars => self.matched.all(&self.rules.slots),
            Variable::MatchedVarsNames => {
                let members = self.matched.all(&self.rules.slots).into_iter();
                members.map(|(name, _)| (name.clone(), name)).collect()
            }
            Variable::HighestSeverity => {
                let mut out = Vec::new();
                write_number(self.state.highest_severity.map_or(255, i64::from), &mut out);
                single(out)
            }
            Variable::ReqbodyProcessor => single(self.processor_name().into()),
            Variable::Duration => single(b"0".to_vec()),
            Variable::Ip
            | Variable::Global
            | Variable::Session
            | Variable::User
            | Variable::Resource => self.persistent(variable),
            Variable::SessionId => {
                self.opened_key(Variable::Session).map(single).unwrap_or_default()
            }
            Variable::UserId => self.opened_key(Variable::User).map(single).unwrap_or_default(),
            Variable::Geo => {
                let facts = self.geo.iter().filter(|(_, value)| !value.is_empty());
                facts.map(|(name, value)| ((*name).into(), value.to_vec())).collect()
            }
            Variable::Rule => self.living_rule(),
            _ => Vec::new(),
        }
    }

    fn living_tx(&self) -> Vec<Living> {
        let slots: Vec<SlotId> = self.tx.present().collect();
        self.some_of_tx(|_| true, &slots)
    }

    /// The members of `TX` whose names a pattern is found in; `slots` are those that have a number.
    pub(super) fn members_of_tx(&self, pattern: &NamePattern, slots: &[SlotId]) -> Vec<Living> {
        self.some_of_tx(|name| pattern.regex.is_match(name), slots)
    }

    fn some_of_tx(&self, is_meant: impl Fn(&[u8]) -> bool, slots: &[SlotId]) -> Vec<Living> {
        let mut members = Vec::new();
        for (number, group) in self.captures.groups().iter().enumerate() {
            let name = number.to_string().into_bytes();
            if is_meant(&name) && self.tx.named(&name).is_none() {
                members.push((name, group.to_vec()));
            }
        }
        for slot in slots.iter().copied().filter(|slot| self.tx.has(*slot)) {
            let mut value = Vec::new();
            self.tx.write(slot, &mut value);
            members.push((self.rules.slots.name(slot).to_vec(), value));
        }
        let named = self.tx.all_named().iter();
        members.extend(named.filter(|(name, _)| is_meant(name)).cloned());
        members
    }

    fn living_rule(&self) -> Vec<Living> {
        let Some(rule) = self.rules.rule(self.state.current) else { return Vec::new() };
        let about = &rule.about;
        let mut members = vec![(b"id".to_vec(), about.id.to_string().into_bytes())];
        if let Some(severity) = about.severity {
            members.push((b"severity".to_vec(), severity.to_string().into_bytes()));
        }
        let texts = [("msg", &about.msg), ("logdata", &about.log_data)];
        for (name, text) in texts {
            if let Some(text) = text.as_ref().and_then(|text| text.as_literal()) {
                members.push((name.into(), text.to_vec()));
            }
        }
        members
    }

    fn processor_name(&self) -> &'static [u8] {
        use crate::seclang::script::BodyProcessor;
        match self.state.processor {
            None => b"",
            Some(BodyProcessor::UrlEncoded) => b"URLENCODED",
            Some(BodyProcessor::Multipart) => b"MULTIPART",
            Some(BodyProcessor::Json) => b"JSON",
            Some(BodyProcessor::Xml) => b"XML",
        }
    }

    fn opened_key(&self, variable: Variable) -> Option<Vec<u8>> {
        let opened = self.opened.iter().find(|(opened, _)| *opened == variable);
        let application = self.rules.settings.web_app_id.len() + 1;
        opened.map(|(_, key)| key.get(application..).unwrap_or_default().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::{Memory, Peer, RequestHead, RuleSet, Transaction, Verdict};

    #[test]
    fn what_a_rule_before_found_is_not_what_a_chain_did_with_shortcuts_or_without() {
        for (last, is_refused) in [
            ("SecRule MATCHED_VARS \"@eq 1\" \"id:3,phase:1,deny\"", false),
            ("SecRule &MATCHED_VARS \"@gt 0\" \"id:3,phase:1,deny\"", false),
            ("SecRule MATCHED_VAR \"@eq 1\" \"id:3,phase:1,deny\"", true),
        ] {
            let text = format!(
                "SecRuleEngine On\nSecAction \"id:1,phase:1,nolog,pass,setvar:tx.a=1\"\n\
                 SecRule TX:a \"@eq 1\" \"id:2,phase:1,nolog,pass\"\n{last}\n"
            );
            for has_shortcuts in [true, false] {
                let mut rules = RuleSet::parse("a.conf", &text, &Memory::default()).unwrap();
                if !has_shortcuts {
                    rules.drop_shortcuts();
                }
                let mut transaction = Transaction::new(Arc::new(rules), None);
                let end = ([192, 0, 2, 1], 1).into();
                let verdict = transaction.request_head(&RequestHead {
                    peer: Peer { client: end, server: end },
                    method: b"GET",
                    target: b"/",
                    protocol: b"HTTP/1.1",
                    fields: &[],
                    id: b"1",
                    now: 0,
                });
                assert_eq!(verdict != Verdict::Pass, is_refused, "{last} {has_shortcuts}");
            }
        }
    }
}
