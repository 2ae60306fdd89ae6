//! The text of a case file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What a section is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Keys of the node file; a new gateway.
    Node,
    /// A file beside the configuration, named after the word.
    File,
    /// A database of places, named after the word: records by network.
    Database,
    /// An environment variable, named after the word.
    Variable,
    /// The plugin's configuration on the route.
    Config,
    /// The other plugins of the route.
    Beside,
    /// More keys of the route.
    Route,
    /// The consumers.
    Consumers,
    /// The plugin's metadata.
    Metadata,
    /// More collections of resources.
    More,
    /// All resources, in place of the above.
    Resources,
    /// A token, named after the word.
    Token,
    /// A token that nobody would issue, named after the word.
    Forgery,
    /// A signature, named after the word.
    Signature,
    /// An encrypted token, named after the word.
    Jwe,
    /// The certificate of a client, named after the word.
    Certificate,
    /// What the upstream answers to the next request.
    Answer,
    /// What a server outside, named after the word, does from now on.
    Remote,
    /// A request.
    Request,
    /// A request that must be refused, with the name of the attack after the word.
    Attack,
    /// What the client got.
    Response,
    /// The event about it.
    Event,
    /// What the upstream saw.
    Upstream,
    /// What servers outside were sent, and what was written to files.
    Sent,
    /// Lines of the metrics that begin with what stands after the word.
    Metrics,
    /// What is said of the routes once the configuration is in force.
    Report,
    /// Why the configuration is refused.
    Diagnostic,
}

const KINDS: &[(&str, Kind)] = &[
    ("node", Kind::Node),
    ("file", Kind::File),
    ("database", Kind::Database),
    ("variable", Kind::Variable),
    ("config", Kind::Config),
    ("beside", Kind::Beside),
    ("route", Kind::Route),
    ("consumers", Kind::Consumers),
    ("metadata", Kind::Metadata),
    ("more", Kind::More),
    ("resources", Kind::Resources),
    ("token", Kind::Token),
    ("forgery", Kind::Forgery),
    ("signature", Kind::Signature),
    ("jwe", Kind::Jwe),
    ("certificate", Kind::Certificate),
    ("answer", Kind::Answer),
    ("remote", Kind::Remote),
    ("request", Kind::Request),
    ("attack", Kind::Attack),
    ("response", Kind::Response),
    ("event", Kind::Event),
    ("upstream", Kind::Upstream),
    ("sent", Kind::Sent),
    ("metrics", Kind::Metrics),
    ("report", Kind::Report),
    ("diagnostic", Kind::Diagnostic),
];

impl Kind {
    fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// True for what a run produces.
    pub(super) fn is_outcome(self) -> bool {
        matches!(
            self,
            Self::Response
                | Self::Event
                | Self::Upstream
                | Self::Sent
                | Self::Metrics
                | Self::Report
                | Self::Diagnostic
        )
    }
}

/// A part of a case file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) kind: Kind,
    /// What stands behind the word.
    pub(super) name: String,
    /// Its lines, without empty ones at the end.
    pub(super) text: String,
}

/// A claim that the outcome depends on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// As in `key-auth.header`.
    pub(super) field: String,
    /// Which field is changed to show it, if another, and the YAML that is put there; without it
    /// the field is taken out.
    pub(super) instead: Option<(String, String)>,
    /// The changed configuration is refused.
    pub(super) is_refused: bool,
}

/// A case file.
#[derive(Clone, Debug)]
pub(super) struct CaseFile {
    pub(super) path: PathBuf,
    /// Its lines before the first section.
    head: String,
    pub(super) claims: Vec<Claim>,
    pub(super) sections: Vec<Section>,
}

impl CaseFile {
    /// Reads a file; panics where it is not of the format.
    pub(super) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::parse(path, &text)
    }

    pub(super) fn parse(path: &Path, text: &str) -> Self {
        let mut head = String::new();
        let mut sections: Vec<Section> = Vec::new();
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("--- ") {
                sections.push(section(path, title));
            } else if let Some(last) = sections.last_mut() {
                last.text.push_str(line);
                last.text.push('\n');
            } else {
                head.push_str(line);
                head.push('\n');
            }
        }
        for section in &mut sections {
            section.text.truncate(section.text.trim_end().len());
        }
        let claims = claims(path, &head);
        Self { path: path.to_owned(), head, claims, sections }
    }

    /// The plugin that the file is about: its folder's name.
    pub(super) fn plugin(&self) -> &str {
        let folder = self.path.parent().and_then(Path::file_name);
        folder.and_then(|name| name.to_str()).expect("a case lies in the folder of its plugin")
    }

    /// What it shows: its first line.
    pub(super) fn title(&self) -> &str {
        let first = self.head.lines().next().unwrap_or_default();
        first.trim_start_matches("# ")
    }

    /// The file's text with these sections.
    pub(super) fn text(&self, sections: &[Section]) -> String {
        let mut text = self.head.clone();
        for section in sections {
            let space = if section.name.is_empty() { "" } else { " " };
            let _ = writeln!(text, "--- {}{space}{}", section.kind.name(), section.name);
            if !section.text.is_empty() {
                text.push_str(&section.text);
                text.push('\n');
            }
        }
        text
    }
}

fn section(path: &Path, title: &str) -> Section {
    let (word, name) = title.split_once(' ').unwrap_or((title, ""));
    let known = KINDS.iter().find(|(known, _)| *known == word.trim());
    let Some((_, kind)) = known else { panic!("{}: no section `{word}`", path.display()) };
    Section { kind: *kind, name: name.trim().to_owned(), text: String::new() }
}

fn claims(path: &Path, head: &str) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    for line in head.lines().filter_map(|line| line.strip_prefix("# ")) {
        let fail = || -> ! { panic!("{}: `{line}` follows no `# field:`", path.display()) };
        if let Some(field) = line.strip_prefix("field: ") {
            let field = field.trim().to_owned();
            claims.push(Claim { field, instead: None, is_refused: false });
        } else if let Some(rest) = line.strip_prefix("instead") {
            let Some(claim) = claims.last_mut() else { fail() };
            let (place, value) = rest.split_once(':').unwrap_or(("", rest));
            let place = place.trim();
            let place = if place.is_empty() { claim.field.clone() } else { place.to_owned() };
            claim.instead = Some((place, value.trim().to_owned()));
        } else if line.trim() == "without: refused" {
            let Some(claim) = claims.last_mut() else { fail() };
            claim.is_refused = true;
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# the key is read from another field
# field: key-auth.header
# instead: X-Other
# field: key-auth.query
# without: refused

--- config
header: X-Key
--- token alice
claims: {}
--- request
GET /

body
--- response
200
";

    #[test]
    fn a_file_is_written_as_it_was_read() {
        let file = CaseFile::parse(Path::new("cases/key-auth/a.case"), TEXT);
        assert_eq!(file.plugin(), "key-auth");
        assert_eq!(file.text(&file.sections), TEXT);
        assert_eq!(file.sections[1].name, "alice");
        assert_eq!(file.sections[2].text, "GET /\n\nbody");
    }

    #[test]
    fn claims_stand_in_the_head() {
        let file = CaseFile::parse(Path::new("cases/key-auth/a.case"), TEXT);
        let instead = Some(("key-auth.header".to_owned(), "X-Other".to_owned()));
        assert_eq!(
            file.claims,
            [
                Claim { field: "key-auth.header".into(), instead, is_refused: false },
                Claim { field: "key-auth.query".into(), instead: None, is_refused: true },
            ]
        );
    }
}
