//! Diagnostics as people read them: an excerpt with a caret, or one line for a log.

use std::fmt::Write;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Place};
use crate::sources::{Sources, line_start};

/// Most problems that a report shows.
const SHOWN_MAX: usize = 200;

/// Longest part of a line that is shown on each side of a place, in bytes.
const WINDOW: usize = 100;

/// Shows problems with the text they are about.
pub fn render(sources: &Sources, diagnostics: &[Diagnostic], is_colored: bool) -> String {
    let renderer = if is_colored { Renderer::styled() } else { Renderer::plain() };
    let mut report = String::new();
    for diagnostic in diagnostics.iter().take(SHOWN_MAX) {
        let title = Level::ERROR.primary_title(diagnostic.problem.as_str());
        let mut group = Group::with_title(title);
        let excerpt = diagnostic.place.map(|place| Excerpt::of(sources, place));
        if let Some(excerpt) = &excerpt {
            group = excerpt.show(group);
        }
        if !diagnostic.path.is_empty() {
            group = group.element(Level::NOTE.message(format!("at {}", diagnostic.path)));
        }
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        report.push_str(&renderer.render(&[group]));
        report.push_str("\n\n");
    }
    if diagnostics.len() > SHOWN_MAX {
        // Writing to a string cannot fail.
        let more = diagnostics.len() - SHOWN_MAX;
        let _ = writeln!(report, "and {more} more problem{}", if more == 1 { "" } else { "s" });
    }
    report
}

/// `file:line:column: problem (at path); help`
pub fn one_line(sources: &Sources, diagnostic: &Diagnostic) -> String {
    let mut line = String::new();
    if let Some(place) = diagnostic.place {
        line.push_str(&sources.position_text(place));
        line.push_str(": ");
    }
    line.push_str(&diagnostic.problem);
    if !diagnostic.path.is_empty() {
        let _ = write!(line, " (at {})", diagnostic.path);
    }
    if let Some(help) = &diagnostic.help {
        let _ = write!(line, "; {help}");
    }
    line
}

/// The line that a place starts in, cut around it, with secrets blanked.
struct Excerpt<'s> {
    name: &'s str,
    line: usize,
    column: usize,
    text: String,
    span: Range<usize>,
    /// The line begins before the text.
    is_cut: bool,
}

impl<'s> Excerpt<'s> {
    fn of(sources: &'s Sources, place: Place) -> Self {
        let position = sources.position(place);
        let head = sources.head(place);
        let text = sources.text(place.source);
        let start = head.len();
        let line = line_start(head);
        let line_end = text.get(start..).and_then(|rest| rest.find(['\n', '\r']));
        let line_end = line_end.map_or(text.len(), |length| start + length);
        let end = usize::try_from(place.end).unwrap_or(usize::MAX).clamp(start, line_end);

        let from = on_boundary(text, line.max(start.saturating_sub(WINDOW)));
        let to = on_boundary(text, line_end.min(end.min(start + WINDOW) + WINDOW));
        let blanks: Vec<Range<usize>> = sources
            .concealed(place.source)
            .iter()
            .filter_map(|secret| Some(secret.start.try_into().ok()?..secret.end.try_into().ok()?))
            .filter(|secret: &Range<usize>| secret.start < to && secret.end > from)
            .collect();

        let mut shown = String::new();
        let mut span = 0..0;
        for (i, c) in text.get(from..to).unwrap_or_default().char_indices() {
            let at = from + i;
            if at == start {
                span.start = shown.len();
            }
            let is_secret = blanks.iter().any(|secret| secret.contains(&at));
            shown.push(if is_secret { '*' } else { c });
            if at < end {
                span.end = shown.len();
            }
        }
        if start >= to {
            span = shown.len()..shown.len();
        }
        span.end = span.end.max(span.start);
        Self {
            name: sources.name(place.source),
            line: position.line,
            column: position.column,
            text: shown,
            span,
            is_cut: from > line,
        }
    }

    fn show<'e>(&'e self, group: Group<'e>) -> Group<'e> {
        let snippet = Snippet::source(self.text.as_str())
            .line_start(self.line)
            .fold(false)
            .annotation(AnnotationKind::Primary.span(self.span.clone()));
        if self.is_cut {
            // The column of the place in the excerpt is not its column in the line.
            let origin = Origin::path(self.name).line(self.line).char_column(self.column);
            group.element(origin).element(snippet)
        } else {
            group.element(snippet.path(self.name))
        }
    }
}

fn on_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::diagnostic::SourceId;

    fn diagnostic(start: u32, end: u32) -> Diagnostic {
        Diagnostic {
            place: Some(Place { source: SourceId(0), start, end }),
            path: "routes[0].urii".into(),
            problem: "unknown field `urii`".to_owned(),
            help: Some("did you mean `uri`?".to_owned()),
        }
    }

    fn sources(text: &str) -> Sources {
        let mut sources = Sources::new();
        sources.add("resources.yaml", Path::new(""), text.to_owned());
        sources
    }

    #[test]
    fn a_report_shows_the_line_with_a_caret_and_the_help() {
        let report = render(&sources("routes:\n- urii: /a\n"), &[diagnostic(10, 14)], false);
        assert_eq!(
            report,
            "\
error: unknown field `urii`
 --> resources.yaml:2:3
  |
2 | - urii: /a
  |   ^^^^
  |
  = note: at routes[0].urii
  = help: did you mean `uri`?

"
        );
    }

    #[test]
    fn a_log_line_holds_everything() {
        assert_eq!(
            one_line(&sources("routes:\n- urii: /a\n"), &diagnostic(10, 14)),
            "resources.yaml:2:3: unknown field `urii` (at routes[0].urii); did you mean `uri`?"
        );
    }

    #[test]
    fn secrets_are_blanked() {
        let mut sources = sources("{key: hunter2, urii: x}\n");
        sources.conceal([Place { source: SourceId(0), start: 6, end: 13 }]);
        let report = render(&sources, &[diagnostic(15, 19)], false);
        assert!(report.contains("1 | {key: *******, urii: x}"), "{report}");
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("{}urii{}", " ".repeat(5_000), "x".repeat(5_000));
        let report = render(&sources(&text), &[diagnostic(5_000, 5_004)], false);
        assert!(report.contains("resources.yaml:1:5001"), "{report}");
        assert!(report.len() < 1_000, "{report}");
    }

    #[test]
    fn places_of_any_shape_can_be_shown() {
        let text = "ä\r\n\u{7}\n";
        let sources = sources(text);
        for start in 0..10 {
            for end in 0..10 {
                assert!(!render(&sources, &[diagnostic(start, end)], true).is_empty());
            }
        }
    }

    #[test]
    fn a_flood_of_problems_is_counted() {
        let report = |count| render(&sources("a"), &vec![diagnostic(0, 1); count], false);
        assert!(!report(SHOWN_MAX).contains("more problems"));
        assert!(report(SHOWN_MAX + 1).ends_with("and 1 more problem\n"));
        assert!(report(SHOWN_MAX + 100).ends_with("and 100 more problems\n"));
    }
}
