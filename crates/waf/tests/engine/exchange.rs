//! An exchange for rules to judge, and the story of it in one line.

use std::net::SocketAddr;
use std::sync::Arc;

use bartizan_waf::{
    Cause, Collections, Kind, Memory, Peer, RequestHead, ResponseHead, RuleMatch, RuleSet,
    Transaction, Verdict,
};

/// The time at which exchanges happen unless told otherwise: Mon, 24 Nov 2025, 16:00 UTC.
pub(crate) const NOW: u64 = 1_764_000_000;

/// Rules that refuse and look at bodies in both directions.
pub(crate) fn rules(text: &str) -> Arc<RuleSet> {
    let access = "SecRequestBodyAccess On\nSecResponseBodyAccess On";
    let text = format!("SecRuleEngine On\n{access}\n{text}\n");
    Arc::new(RuleSet::parse("t.conf", &text, &Memory::default()).unwrap_or_else(|faults| {
        panic!("{text}\n{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }))
}

/// A request and the response to it.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    method: &'static str,
    target: String,
    fields: Vec<(String, String)>,
    body: String,
    client: SocketAddr,
    now: u64,
    status: u16,
    response_fields: Vec<(String, String)>,
    response: String,
}

/// A `GET`.
pub(crate) fn get(target: impl Into<String>) -> Exchange {
    Exchange {
        method: "GET",
        target: target.into(),
        fields: Vec::new(),
        body: String::new(),
        client: ([192, 0, 2, 1], 4_711).into(),
        now: NOW,
        status: 200,
        response_fields: vec![("Content-Type".to_owned(), "text/html".to_owned())],
        response: String::new(),
    }
}

/// A `POST` to `/`.
pub(crate) fn post(content_type: &str, body: impl Into<String>) -> Exchange {
    let exchange = get("/").header("Content-Type", content_type);
    Exchange { method: "POST", body: body.into(), ..exchange }
}

/// A form that is posted.
pub(crate) fn form(body: impl Into<String>) -> Exchange {
    post("application/x-www-form-urlencoded", body)
}

impl Exchange {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn at(mut self, now: u64) -> Self {
        self.now = now;
        self
    }

    pub(crate) fn from(mut self, address: [u8; 4]) -> Self {
        self.client = (address, 4_711).into();
        self
    }

    /// What the response is: its status, its content type and its body.
    pub(crate) fn answered(mut self, status: u16, content_type: &str, body: &str) -> Self {
        self.status = status;
        self.response_fields = vec![("Content-Type".to_owned(), content_type.to_owned())];
        self.response_fields.retain(|(_, value)| !value.is_empty());
        body.clone_into(&mut self.response);
        self
    }

    /// Has it judged; nothing outlives it.
    pub(crate) fn judged(&self, rules: &Arc<RuleSet>) -> Told {
        self.judged_by(&mut Transaction::new(rules.clone(), None))
    }

    /// Has it judged by rules that count across exchanges.
    pub(crate) fn counted(&self, rules: &Arc<RuleSet>, counts: &Arc<Collections>) -> Told {
        self.judged_by(&mut Transaction::new(rules.clone(), Some(counts.clone())))
    }

    /// Has it judged as a gateway does: what is refused goes no further, but is logged.
    pub(crate) fn judged_by(&self, transaction: &mut Transaction) -> Told {
        let verdict = self.walk(transaction);
        transaction.finish();
        Told { verdict, matches: transaction.matches().to_vec() }
    }

    fn walk(&self, transaction: &mut Transaction) -> Verdict {
        let fields = pairs(&self.fields);
        let head = RequestHead {
            peer: Peer { client: self.client, server: ([198, 51, 100, 2], 443).into() },
            method: self.method.as_bytes(),
            target: self.target.as_bytes(),
            protocol: b"HTTP/1.1",
            fields: &fields,
            id: b"exchange-1",
            now: self.now,
        };
        let mut verdict = transaction.request_head(&head);
        if verdict == Verdict::Pass {
            let max = usize::try_from(transaction.request_body_max()).unwrap();
            let body = self.body.as_bytes();
            let seen = &body[..body.len().min(max)];
            verdict = transaction.request_body(seen, seen.len() < body.len());
        }
        if verdict == Verdict::Pass {
            let fields = pairs(&self.response_fields);
            let head = ResponseHead { status: self.status, protocol: b"HTTP/1.1", fields: &fields };
            verdict = transaction.response_head(&head);
        }
        if verdict == Verdict::Pass {
            let max = usize::try_from(transaction.response_body_max()).unwrap();
            let is_seen = transaction.looks_at_response_body();
            let body = if is_seen { self.response.as_bytes() } else { b"" };
            let seen = &body[..body.len().min(max)];
            verdict = transaction.response_body(seen, seen.len() < body.len());
        }
        verdict
    }
}

fn pairs(fields: &[(String, String)]) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect()
}

/// What came of an exchange.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) verdict: Verdict,
    pub(crate) matches: Vec<RuleMatch>,
}

impl Told {
    /// The ids of the rules that matched, in the order in which they did.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.matches.iter().map(|found| found.id).collect()
    }

    /// The first match of a rule.
    pub(crate) fn of(&self, id: u32) -> &RuleMatch {
        self.matches.iter().find(|found| found.id == id).unwrap()
    }

    /// The message of a rule that matched.
    pub(crate) fn msg(&self, id: u32) -> String {
        String::from_utf8_lossy(&self.of(id).msg).into_owned()
    }

    /// `1 2(message) → deny 403 by 2`.
    pub(crate) fn story(&self) -> String {
        let mut words: Vec<String> = self
            .matches
            .iter()
            .map(|found| match String::from_utf8_lossy(&found.msg) {
                msg if msg.is_empty() => found.id.to_string(),
                msg => format!("{}({msg})", found.id),
            })
            .collect();
        words.push("→".to_owned());
        words.push(match &self.verdict {
            Verdict::Pass => "pass".to_owned(),
            Verdict::Interrupt(refused) => {
                let what = match &refused.kind {
                    Kind::Deny(status) => format!("deny {status}"),
                    Kind::Drop => "drop".to_owned(),
                    Kind::Redirect(to, status) => {
                        format!("redirect {status} {}", to.escape_ascii())
                    }
                };
                match refused.cause {
                    Cause::Rule(id) => format!("{what} by {id}"),
                    other => format!("{what} for {other:?}"),
                }
            }
        });
        words.join(" ")
    }
}

/// Judges each row's request by its rules and compares the stories.
pub(crate) fn tell(rows: &[(&str, Exchange, &str)]) {
    let mut wrong = Vec::new();
    for (text, exchange, expected) in rows {
        let story = exchange.judged(&rules(text)).story();
        if story != *expected {
            wrong.push(format!("{text}\n{exchange:?}\n  is {story}\n  not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
