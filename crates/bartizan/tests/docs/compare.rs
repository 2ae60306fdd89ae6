//! Whether what was printed is what a document says.

/// Stands for any text, or alone on a line for any lines.
const ANYTHING: &str = "…";

/// What differs from run to run: `h` is a hexadecimal digit, `d` a digit, `a` a letter.
const FORMS: [&str; 5] = [
    "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh",
    "dddd-dd-ddTdd:dd:dd.dddZ",
    "dddd-dd-ddTdd:dd:dd.ddddddZ",
    "aaa, dd aaa dddd dd:dd:dd GMT",
    "127.0.0.1:ddddd",
];

/// Longest line before JSON goes on in the next one.
const WIDTH: usize = 100;

/// Whether `printed` is what `written` says.
pub(crate) fn is_as_written(written: &[String], printed: &str) -> bool {
    let written: Vec<String> = unfolded(written).iter().map(|line| formless(line)).collect();
    let printed: Vec<String> = lines(printed).iter().map(|line| formless(line)).collect();
    match_lines(&written, &printed)
}

/// What was printed as lines, without the empty ones at its end.
pub(crate) fn lines(printed: &str) -> Vec<String> {
    let mut lines: Vec<String> = printed.lines().map(|line| line.trim_end().to_owned()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// What was printed, as it is written into a document: long JSON in several lines.
pub(crate) fn folded(printed: &str) -> Vec<String> {
    lines(printed).iter().flat_map(|line| fold(line)).collect()
}

fn fold(line: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let (mut rest, mut margin) = (line, "");
    while rest.len() >= WIDTH && line.starts_with('{') {
        let within = &rest[..rest.floor_char_boundary(WIDTH - 1)];
        let Some(cut) = within.rfind(",\"") else { break };
        parts.push(format!("{margin}{}", &rest[..=cut]));
        rest = &rest[cut + 1..];
        margin = " ";
    }
    parts.push(format!("{margin}{rest}"));
    parts
}

/// The lines with JSON that goes on in the next ones put together.
fn unfolded(written: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in written {
        match (all.last_mut(), line.strip_prefix(' ')) {
            (Some(before), Some(more)) if before.starts_with('{') && !before.ends_with('}') => {
                before.push_str(more);
            }
            _ => all.push(line.clone()),
        }
    }
    all
}

/// The text with what differs from run to run replaced by its form.
fn formless(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if let Some(form) = FORMS.iter().find(|form| begins_with(rest, form)) {
            out.push_str(form);
            rest = &rest[form.len()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

fn begins_with(text: &str, form: &str) -> bool {
    let fits = |(have, want): (u8, u8)| match want {
        b'h' => have.is_ascii_hexdigit(),
        b'd' => have.is_ascii_digit(),
        b'a' => have.is_ascii_alphabetic(),
        other => have == other,
    };
    text.len() >= form.len() && text.bytes().zip(form.bytes()).all(fits)
}

fn match_lines(written: &[String], printed: &[String]) -> bool {
    match written.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == ANYTHING => {
            (0..=printed.len()).any(|skip| match_lines(rest, &printed[skip..]))
        }
        Some((first, rest)) => printed
            .split_first()
            .is_some_and(|(line, more)| match_line(first, line) && match_lines(rest, more)),
    }
}

fn match_line(written: &str, printed: &str) -> bool {
    let Some((start, rest)) = written.split_once(ANYTHING) else { return written == printed };
    let Some(mut tail) = printed.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split(ANYTHING).collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = tail.find(part) else { return false };
        tail = &tail[at + part.len()..];
    }
    tail.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(written: &str, printed: &str) -> bool {
        let written: Vec<String> = written.lines().map(str::to_owned).collect();
        is_as_written(&written, printed)
    }

    #[test]
    fn any_text_and_any_lines_are_left_open_and_nothing_else() {
        assert!(fits("a…c…e", "abcde\n\n"));
        assert!(fits("a\n…\nb", "a\nx\ny\nb\n"));
        assert!(fits("a\n…\nb", "a\nb\n"));
        assert!(!fits("a…c", "abd"));
        assert!(!fits("a", "a\nb"));
        assert!(!fits("a\nb", "a"));
        assert!(!fits("", "a"));
    }

    #[test]
    fn ids_times_and_ports_need_only_their_form() {
        let [one, other] = ["01a20a83-3791-7000-8000-b70b6e3dedaa", "ffffffff-3791-7000-8000-0"];
        assert!(fits(&format!("id {one}"), &format!("id {}", one.replace('1', "2"))));
        assert!(!fits(one, other));
        assert!(fits("date: Mon, 23 Nov 2026 22:25:01 GMT", "date: Tue, 24 Dec 2030 00:00:00 GMT"));
        assert!(fits("{\"a\":\"127.0.0.1:40000\"}", "{\"a\":\"127.0.0.1:50123\"}"));
        assert!(!fits("{\"status\":403}", "{\"status\":401}"));
    }

    #[test]
    fn what_is_folded_reads_back() {
        let members: Vec<String> =
            (0..30).map(|n| format!("\"member {n}\":\"value {n}\"")).collect();
        let line = format!("{{{}}}", members.join(","));
        let folded = folded(&format!("before\n{line}\nafter\n"));
        assert!(folded.len() > 5 && folded.iter().all(|line| line.len() <= WIDTH), "{folded:#?}");
        assert!(is_as_written(&folded, &format!("before\n{line}\nafter\n")));
        assert!(!is_as_written(&folded, &format!("before\n{line}x\nafter\n")));
    }
}
