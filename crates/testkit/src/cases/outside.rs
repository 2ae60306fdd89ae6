//! Servers outside: what they do, and what they were sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use bartizan_core::Span;

use super::exchange::answer;
use crate::gateway::Gateway;
use crate::remotes::{Remotes, Sent};
use crate::upstream::{Answer, Seen};

/// Tells a server what it does: `@refuse`, `@accept`, `@slow 2s` to be reached, `@close` in place of an answer, or the next
/// answer, after `@after 2s` if there is that.
pub(super) fn direct(remotes: &Remotes, node: &str, text: &str) {
    let mut wait = None;
    let mut rest = text;
    while let Some(directive) = rest.strip_prefix('@') {
        let (line, after) = directive.split_once('\n').unwrap_or((directive, ""));
        match line.split_once(' ').unwrap_or((line, "")) {
            ("refuse", "") => remotes.refuse(node, true),
            ("accept", "") => remotes.refuse(node, false),
            ("close", "") => remotes.answer(node, Answer::close()),
            ("slow", span) => {
                remotes.slow(node, span.parse::<Span>().expect("a time such as `2s`").0);
            }
            ("after", span) => wait = Some(span.parse::<Span>().expect("a time such as `2s`").0),
            _ => panic!("no directive `@{line}`"),
        }
        rest = after;
    }
    if !rest.is_empty() {
        let answer = answer(rest);
        remotes.answer(node, wait.into_iter().fold(answer, Answer::after));
    }
}

/// What was sent, one thing after the other.
pub(super) fn shown(sent: &[Sent]) -> String {
    let texts: Vec<String> = sent.iter().map(one).collect();
    texts.join("\n")
}

fn one(sent: &Sent) -> String {
    match sent {
        Sent::Request { is_tls, is_kept, seen } => request(*is_tls, *is_kept, seen),
        Sent::Stream { node, tls, bytes } => {
            let tls = tls.as_ref().map(|name| format!(" as {name}")).unwrap_or_default();
            format!("tcp {node}{tls}\n{}", told(bytes))
        }
        Sent::Datagram { node, bytes } => format!("udp {node}\n{}", told(bytes)),
    }
}

fn request(is_tls: bool, is_kept: bool, seen: &Seen) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let mut out = format!("{scheme}://{} {} {}", seen.node, seen.method, seen.target);
    if is_kept {
        out.push_str(" again");
    }
    let length = seen.body.len().to_string();
    let (host, default) = seen.node.rsplit_once(':').unwrap_or((&seen.node, ""));
    let is_usual_port = matches!((is_tls, default), (false, "80") | (true, "443"));
    let usual = [
        ("host", if is_usual_port { host } else { &seen.node }),
        ("content-length", length.as_str()),
    ];
    for (name, value) in &seen.fields {
        if !usual.contains(&(name.as_str(), value.as_str())) {
            let version = concat!("bartizan/", env!("CARGO_PKG_VERSION"));
            let value = value.replace(version, "bartizan/<version>");
            let _ = write!(out, "\n{name}: {value}");
        }
    }
    if !seen.body.is_empty() {
        let _ = write!(out, "\n\n{}", told(&seen.body));
    }
    if !seen.is_complete {
        out.push_str("\n\nin part");
    }
    out
}

/// The text, without the version that changes with each release.
fn told(bytes: &[u8]) -> String {
    let version = concat!("\"version\":\"", env!("CARGO_PKG_VERSION"), "\"");
    let text = String::from_utf8_lossy(bytes);
    text.replace(version, "\"version\":\"<version>\"").trim_end().to_owned()
}

/// What of the files in the folder of the gateway was shown.
#[derive(Debug, Default)]
pub(super) struct Files(BTreeMap<String, usize>);

impl Files {
    /// What was written to files since this was asked last.
    pub(super) fn news(&mut self, gateway: &Gateway) -> String {
        let folder = gateway.folder();
        let mut names = Vec::new();
        collect(folder, folder, &mut names);
        names.retain(|name| !gateway.own_files().any(|own| own == name));
        names.sort();
        let mut out = Vec::new();
        for name in names {
            let content = std::fs::read(folder.join(&name)).unwrap_or_default();
            let shown = self.0.entry(name.clone()).or_default();
            let news = content.get(*shown..).unwrap_or_default();
            if !news.is_empty() {
                out.push(format!("file {name}\n{}", told(news)));
            }
            *shown = content.len();
        }
        out.join("\n")
    }
}

fn collect(root: &Path, folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, names);
        } else if let Ok(name) = path.strip_prefix(root) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
}
