//! From files to a script.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::directives::{self, Args, Chain, Kind};
use super::faults::{Faults, quoted};
use super::lines::{Cx, LINE_SIZE_MAX, Line, Lines, Word, excerpt, words};
use super::script::{Directive, Item, Script};
use crate::fault::{Place, RuleFault};
use crate::files::{FileFault, Files};

/// The most files that include each other in a row.
const DEPTH_MAX: usize = 32;

/// The most text that one rule set may have, in bytes.
const TEXT_SIZE_MAX: usize = 64 << 20;

/// The most rules of one rule set.
const RULES_MAX: usize = 100_000;

/// The most directives of one rule set, rules included.
const ITEMS_MAX: usize = 4 * RULES_MAX;

/// Reads rule sets.
pub(super) struct Reader<'f> {
    files: &'f dyn Files,
    script: Script,
    faults: Faults,
    /// The files that are being read, outermost first.
    open: Vec<Arc<str>>,
    text_size: usize,
    rules: usize,
    /// True once a limit was passed: nothing more is read.
    is_full: bool,
}

impl<'f> Reader<'f> {
    /// Reads from `files`.
    pub(super) fn new(files: &'f dyn Files) -> Self {
        Self {
            files,
            script: Script::default(),
            faults: Faults::default(),
            open: Vec::new(),
            text_size: 0,
            rules: 0,
            is_full: false,
        }
    }

    /// What was read, or what is wrong with it.
    pub(super) fn finish(self) -> Result<Script, Vec<RuleFault>> {
        if self.faults.is_empty() { Ok(self.script) } else { Err(self.faults.into_list()) }
    }

    /// Reads the first file.
    pub(super) fn read(&mut self, name: &str) {
        match self.files.read("", name) {
            Ok(bytes) => self.bytes(name, &bytes),
            Err(fault) => {
                let place = Place { file: name.into(), line: 1, column: 1 };
                let problem = fault.to_string();
                let excerpt = String::new();
                self.faults.push(RuleFault { place, excerpt, problem, help: None });
            }
        }
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.text(name, text),
            Err(error) => {
                let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let good = str::from_utf8(good).unwrap_or_default();
                let (before, last) = good.rsplit_once('\n').map_or(("", good), |(a, b)| (a, b));
                let lines = if good.contains('\n') { before.matches('\n').count() + 2 } else { 1 };
                let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
                let column = small(last.len() + 1);
                self.faults.push(RuleFault {
                    place: Place { file: name.into(), line: small(lines), column },
                    excerpt: excerpt(last, last.len()),
                    problem: "the file is not UTF-8 from here on".to_owned(),
                    help: Some("write other bytes of a pattern as `\\xHH`".to_owned()),
                });
            }
        }
    }

    /// Reads the text of the file `name`.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        let file: Arc<str> = name.into();
        self.script.sources.insert(Arc::clone(&file), text.into());
        self.open.push(Arc::clone(&file));
        let mut chain = Chain::None;
        for line in Lines::new(&file, text) {
            self.text_size = self.text_size.saturating_add(line.text.len());
            if self.text_size > TEXT_SIZE_MAX {
                self.full(&line, "the rule set is larger than 64 MiB");
            } else if line.text.len() > LINE_SIZE_MAX {
                self.faults.push(line.fault(0, "the line is longer than 1 MiB", None));
                chain = Chain::Unsure;
            } else {
                self.line(&line, &mut chain);
            }
            if self.is_full {
                break;
            }
        }
        self.close(&mut chain);
        self.open.pop();
    }

    fn full(&mut self, line: &Line<'_>, problem: &str) {
        self.faults.push(line.fault(0, problem, None));
        self.is_full = true;
    }

    /// Ends a chain where something else than a rule follows.
    fn close(&mut self, chain: &mut Chain) {
        if let Chain::Open(fault) = std::mem::take(chain) {
            self.faults.push(fault);
        }
    }

    fn line(&mut self, line: &Line<'_>, chain: &mut Chain) {
        let mut cx = Cx { line, faults: &mut self.faults };
        let Some(words) = words(&mut cx) else {
            *chain = Chain::Unsure;
            return;
        };
        let [name, words @ ..] = words.as_slice() else { return };
        let Some(entry) = directives::find(&name.text) else {
            directives::unknown(&mut cx, name);
            *chain = Chain::Unsure;
            return;
        };
        let is_rule = matches!(entry.name, "SecRule" | "SecAction");
        if !is_rule {
            self.close(chain);
        }
        let mut cx = Cx { line, faults: &mut self.faults };
        let mut args = Args { cx: &mut cx, name, words, chain };
        match entry.kind {
            Kind::Include | Kind::IncludeOptional => {
                if args.one().is_some()
                    && let [pattern] = words
                {
                    self.include(line, pattern, matches!(entry.kind, Kind::IncludeOptional));
                }
            }
            _ => {
                let read = directives::read(&mut args, entry);
                self.add(line, name, read, is_rule);
            }
        }
    }

    fn add(&mut self, line: &Line<'_>, name: &Word, read: Option<Directive>, is_rule: bool) {
        self.rules += usize::from(is_rule);
        if self.rules > RULES_MAX {
            return self.full(line, "the rule set has more than 100,000 rules");
        }
        if self.script.items.len() >= ITEMS_MAX {
            return self.full(line, "the rule set has more than 400,000 directives");
        }
        if let Some(directive) = read {
            self.script.items.push(Item { place: line.place(name.start()), directive });
        }
    }

    fn include(&mut self, line: &Line<'_>, pattern: &Word, is_optional: bool) {
        let from = self.open.last().cloned().unwrap_or_default();
        let mut fail = |problem: String, help: Option<&str>| {
            let help = help.map(str::to_owned);
            self.faults.push(line.fault(pattern.start(), problem, help));
        };
        if pattern.text.is_empty() {
            return fail("the file's name is missing".to_owned(), None);
        }
        if self.open.len() >= DEPTH_MAX {
            return fail(format!("files include each other more than {DEPTH_MAX} deep"), None);
        }
        let (folders, last) = pattern.text.rsplit_once('/').unwrap_or(("", &pattern.text));
        if folders.contains(['*', '?']) {
            let help = "name the folders one by one";
            return fail("a `*` or `?` in the name of a folder".to_owned(), Some(help));
        }
        let names = match self.files.list(&from, &pattern.text) {
            Ok(names) => names,
            Err(fault) if is_optional && is_missing(&fault) => return,
            Err(fault) => return fail(fault.to_string(), None),
        };
        if names.is_empty() && !is_optional {
            let help = "write `IncludeOptional` if there may be none";
            return fail(format!("no file fits {}", quoted(last)), Some(help));
        }
        for name in names {
            self.include_one(line, pattern, &name, is_optional);
            if self.is_full {
                break;
            }
        }
    }

    fn include_one(&mut self, line: &Line<'_>, pattern: &Word, name: &str, is_optional: bool) {
        let from = self.open.last().cloned().unwrap_or_default();
        let path = beside(&from, name);
        if self.open.iter().any(|open| tidy(Path::new(&**open)) == path) {
            let problem = format!("{} includes itself", quoted(&path.to_string_lossy()));
            self.faults.push(line.fault(pattern.start(), problem, None));
            return;
        }
        match self.files.read(&from, name) {
            Ok(bytes) => self.bytes(&path.to_string_lossy(), &bytes),
            Err(fault) if is_optional && is_missing(&fault) => {}
            Err(fault) => {
                self.faults.push(line.fault(pattern.start(), fault.to_string(), None));
            }
        }
    }
}

fn is_missing(fault: &FileFault) -> bool {
    matches!(fault, FileFault::Unreadable(_, error) if error.kind() == std::io::ErrorKind::NotFound)
}

/// The path of `name`, seen from the file `from`.
fn beside(from: &str, name: &str) -> PathBuf {
    let folder = Path::new(from).parent().unwrap_or_else(|| Path::new(""));
    tidy(&folder.join(name))
}

/// Without `.`, and without `..` where what it leaves is known.
fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}
