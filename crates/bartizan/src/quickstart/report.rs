//! What the quickstart prints: what to try, and what the self-check found.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use super::client::Answer;
use super::example_api::Seen;
use super::probes::Probe;
use super::templates::OWN_ORIGIN;
use crate::table::table;

/// What became of a request of the self-check.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The request.
    pub(crate) probe: Probe,
    /// The answer, or why there is none.
    pub(crate) answer: Result<Answer, String>,
}

impl Outcome {
    fn fault(&self) -> Option<String> {
        match &self.answer {
            Ok(answer) => self.probe.fault(answer),
            Err(fault) => Some(fault.clone()),
        }
    }

    fn status(&self) -> String {
        self.answer.as_ref().map_or_else(|_| "none".to_owned(), |a| a.status.to_string())
    }
}

/// The result of the self-check.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// The table.
    pub(crate) table: String,
    /// What was not as it must be.
    pub(crate) faults: Vec<String>,
}

/// Judges the answers, and what the example API saw.
pub(crate) fn judge(outcomes: &[Outcome], seen: &[Seen]) -> Verdict {
    let mut faults = Vec::new();
    let mut rows =
        vec![["", "TRIED", "REQUEST", "MUST BE", "ANSWER", "AT THE API"].map(str::to_owned)];
    for outcome in outcomes {
        let probe = &outcome.probe;
        let arrived = seen.iter().filter(|s| s.probe.as_deref() == Some(probe.name)).count();
        let mut own = Vec::from_iter(outcome.fault());
        if arrived != probe.arrivals() {
            own.push(format!("reached the API {arrived} times, not {}", probe.arrivals()));
        }
        let is_another = |seen: &&Seen| {
            seen.probe.as_deref() == Some(probe.name)
                && probe.caller.is_some_and(|caller| seen.consumer.as_deref() != Some(caller))
        };
        own.extend(seen.iter().find(is_another).map(|seen| {
            format!("the API takes it for `{}`", seen.consumer.as_deref().unwrap_or("nobody"))
        }));
        let shown = if probe.before > 0 {
            format!("{} ({} of {})", probe.shown, probe.before + 1, probe.before)
        } else {
            probe.shown.clone()
        };
        let arrival = if arrived > usize::try_from(probe.before).unwrap_or(usize::MAX) {
            "seen"
        } else {
            "not seen"
        };
        rows.push([
            if own.is_empty() { "ok" } else { "FAILED" }.to_owned(),
            probe.name.to_owned(),
            shown,
            format!("{}{}", probe.status, probe.mark.text()),
            outcome.status(),
            arrival.to_owned(),
        ]);
        faults.extend(own.into_iter().map(|fault| format!("{}: {fault}", probe.name)));
    }
    faults.extend(strangers(outcomes, seen));
    faults.extend(leaks(seen));
    Verdict { table: table(&rows), faults }
}

/// Requests at the API that nobody sent.
fn strangers(outcomes: &[Outcome], seen: &[Seen]) -> impl Iterator<Item = String> {
    seen.iter()
        .filter(|seen| {
            !outcomes.iter().any(|outcome| seen.probe.as_deref() == Some(outcome.probe.name))
        })
        .map(|seen| {
            format!("`{} {}` reached the API, and nobody sent it", seen.method, seen.target)
        })
}

/// Credentials that the API should not have got.
fn leaks(seen: &[Seen]) -> impl Iterator<Item = String> {
    seen.iter()
        .filter(|seen| seen.has_credential)
        .map(|seen| format!("the credential of `{} {}` reached the API", seen.method, seen.target))
}

/// What the person at the terminal needs to know of a gateway that serves.
pub(crate) struct Greeting<'a> {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// The certificate of the authority.
    pub(crate) authority: &'a Path,
    /// The node file.
    pub(crate) node_file: &'a Path,
    /// This program.
    pub(crate) program: &'a Path,
    /// What is not where the configuration says.
    pub(crate) moved: &'a [String],
    /// Whether the state was made just now.
    pub(crate) is_new: bool,
}

impl Greeting<'_> {
    /// The text.
    pub(crate) fn text(&self) -> String {
        let url = format!("https://localhost:{}", self.address.port());
        let node = self.node_file.display();
        let program = self.program.display();
        let origin = if self.is_new { "made just now" } else { "as it was found" };
        let mut text = format!("\nBartizan protects an example API at {url}\n");
        for moved in self.moved {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {moved}");
        }
        let _ = write!(
            text,
            "
  configuration  {node} ({origin})
  who            a token for every order; only the price list is open, and says why
  what           each customer sees their own orders; a scope permits it
  how much       limits for each customer, and on the size of a request
  which content  new orders fit a schema; nothing that looks like an attack, by the built-in rules
  from where     reports are for one network; browsers may call from {OWN_ORIGIN} only

Try it in another terminal:

  CA={authority}
  curl --cacert $CA {url}/prices
  curl --cacert $CA {url}/orders/alice/1                        # 401: who are you?

  TOKEN=$({program} token -c {node} --consumer alice --claim scope=orders)
  ALICE=\"Authorization: Bearer $TOKEN\"
  curl --cacert $CA -H \"$ALICE\" {url}/orders/alice/1
  curl --cacert $CA -H \"$ALICE\" {url}/orders/bob/2            # 403: not yours
  curl --cacert $CA -H \"$ALICE\" {url}/orders/alice/new \\
    --json '{{\"item\": \"tea\", \"quantity\": 2}}'
  curl --cacert $CA -H \"$ALICE\" {url}/orders/alice/new \\
    --json '{{\"item\": \"tea\", \"quantity\": \"1; DROP TABLE\"}}'  # 400: no number
  curl --cacert $CA -H \"$ALICE\" \
    \"{url}/orders/alice/1?note=1%27%20OR%20%271%27%3D%271\"     # 403: an injection

Each refusal is a line in {audit}. Ctrl-C ends it.
",
            authority = self.authority.display(),
            audit = self.node_file.with_file_name("audit.jsonl").display(),
        );
        text
    }
}
