//! The configurations in `bench/`: `{{name}}` is a value; `#@each name` … `#@end` repeats its
//! lines for each value of a list; `#@if name` … `#@end` keeps them where that value is not empty.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

/// What a template may name.
#[derive(Clone, Default)]
pub(crate) struct Values {
    single: BTreeMap<&'static str, String>,
    lists: BTreeMap<&'static str, Vec<String>>,
}

impl Values {
    /// Sets a value.
    pub(crate) fn set(&mut self, name: &'static str, value: &(impl ToString + ?Sized)) {
        self.single.insert(name, value.to_string());
    }

    /// Sets a list.
    pub(crate) fn set_list(&mut self, name: &'static str, values: Vec<String>) {
        self.lists.insert(name, values);
    }

    fn is_set(&self, name: &str) -> bool {
        self.single.get(name).is_some_and(|value| !value.is_empty())
    }

    /// Fills in a template.
    pub(crate) fn fill(&self, template: &str) -> Result<String> {
        let mut filled = String::with_capacity(template.len() * 2);
        let mut lines = template.lines();
        while let Some(line) = lines.next() {
            let Some(directive) = line.trim().strip_prefix("#@") else {
                self.fill_line(line, None, &mut filled)?;
                continue;
            };
            let block: Vec<&str> =
                lines.by_ref().take_while(|line| line.trim() != "#@end").collect();
            match directive.split_once(' ') {
                Some(("each", name)) => {
                    let values = self.lists.get(name);
                    for value in values.with_context(|| format!("no list is called `{name}`"))? {
                        for line in &block {
                            self.fill_line(line, Some((name, value)), &mut filled)?;
                        }
                    }
                }
                Some(("if", name)) if self.is_set(name) => {
                    for line in &block {
                        self.fill_line(line, None, &mut filled)?;
                    }
                }
                Some(("if", _)) => {}
                _ => bail!("`#@{directive}` is no directive"),
            }
        }
        Ok(filled)
    }

    fn fill_line(&self, line: &str, item: Option<(&str, &str)>, out: &mut String) -> Result<()> {
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").context("`{{` without `}}`")?;
            let value = match item {
                Some((own, value)) if own == name => value,
                _ => self.single.get(name).with_context(|| format!("no value `{name}`"))?,
            };
            out.push_str(before);
            out.push_str(value);
            rest = after;
        }
        out.push_str(rest);
        out.push('\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        let mut values = Values::default();
        values.set("port", &80);
        values.set("open", "");
        values.set_list("route", vec!["a".into(), "b".into()]);
        values
    }

    #[test]
    fn values_lists_and_conditions_are_filled_in() {
        let template = "port {{port}}\n #@each route\n/{{route}}:{{port}}\n #@end\n#@if port\nx\n\
                        #@end\n#@if open\ny\n#@end\nend";
        let filled = values().fill(template).unwrap();
        assert_eq!(filled, "port 80\n/a:80\n/b:80\nx\nend\n");
    }

    #[test]
    fn unknown_names_are_errors() {
        for template in ["{{nothing}}", "#@each nothing\n#@end", "#@unless port\n#@end"] {
            assert!(values().fill(template).is_err(), "{template}");
        }
    }
}
