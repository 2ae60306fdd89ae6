//! The blocks of code of a document.

/// A block, as it is played.
#[derive(Debug)]
pub(crate) enum Block {
    /// A file and what is in it.
    File { name: String, text: String },
    /// Commands, one after the other.
    Console(Vec<Step>),
}

/// A command and what it prints.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) command: String,
    pub(crate) printed: Vec<String>,
    /// The number of the line, from 0, at which `printed` begins in the document.
    pub(crate) at: usize,
}

/// The blocks of a document in their order.
///
/// Panics at a block that is neither a file nor a console.
pub(crate) fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = document.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let inside: Vec<(usize, &str)> =
            lines.by_ref().take_while(|(_, line)| !line.starts_with("```")).collect();
        let name = inside.first().and_then(|(_, line)| line.strip_prefix("# "));
        blocks.push(match (kind, name) {
            ("console", _) => Block::Console(steps(&inside)),
            (_, Some(name)) if !name.contains(' ') && !kind.is_empty() => {
                let lines: Vec<&str> = inside.iter().map(|(_, line)| *line).collect();
                Block::File { name: name.to_owned(), text: lines.join("\n") + "\n" }
            }
            _ => panic!("line {}: a block that is neither file nor console", number + 1),
        });
    }
    blocks
}

fn steps(lines: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut goes_on = false;
    for &(number, line) in lines {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (None, Some(step)) if goes_on => {
                step.command.push('\n');
                step.command.push_str(line);
                step.at = number + 1;
            }
            (Some(command), _) => {
                steps.push(Step {
                    command: command.to_owned(),
                    printed: Vec::new(),
                    at: number + 1,
                });
            }
            (None, Some(step)) => {
                step.printed.push(line.to_owned());
                continue;
            }
            (None, None) => panic!("line {}: a console begins with a command", number + 1),
        }
        goes_on = line.ends_with('\\');
    }
    for step in &mut steps {
        while step.printed.last().is_some_and(String::is_empty) {
            step.printed.pop();
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_names_and_commands_have_what_they_print() {
        let text =
            "a\n```yaml\n# a.yaml\nb: 1\n```\n\n```console\n$ one \\\n    two\nx\n\n$ three\n```\n";
        let blocks = blocks(text);
        let [Block::File { name, text }, Block::Console(steps)] = &blocks[..] else {
            panic!("{blocks:?}")
        };
        assert_eq!((name.as_str(), text.as_str()), ("a.yaml", "# a.yaml\nb: 1\n"));
        assert_eq!(steps[0].command, "one \\\n    two");
        assert_eq!((&steps[0].printed[..], steps[0].at), (&["x".to_owned()][..], 9));
        assert!(steps[1].printed.is_empty());
    }

    #[test]
    #[should_panic(expected = "line 1: a block that is neither file nor console")]
    fn a_block_that_nobody_runs_is_found() {
        blocks("```yaml\na: 1\n```\n");
    }
}
