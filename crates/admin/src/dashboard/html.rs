//! Pages as they are written. Markup is only ever a literal of this program, by its type; whatever
//! comes from elsewhere goes through [`Html::text`] or [`Html::param`], and can be nothing but text.

use std::fmt::{Display, Write};

/// A page, or a part of one, being written.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Writes markup. Attributes that are to hold text must be quoted.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Writes text, for an element or between the quotes of an attribute. Characters that are not
    /// seen, or that change how others are read, are replaced: two names that look the same are the
    /// same.
    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(c),
                c if is_unseen(c) => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }

    /// Writes a part that was written before.
    pub(super) fn part(&mut self, part: &Self) -> &mut Self {
        self.0.push_str(&part.0);
        self
    }

    /// Writes a number, or another thing whose text is this program's own.
    pub(super) fn show(&mut self, value: impl Display) -> &mut Self {
        let text = value.to_string();
        self.text(&text)
    }

    /// Writes the value of a parameter of a query (RFC 3986 §2.1).
    pub(super) fn param(&mut self, value: &str) -> &mut Self {
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(self.0, "%{byte:02X}");
            }
        }
        self
    }

    /// Writes each item, and `between` them.
    pub(super) fn joined<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        between: &'static str,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.raw(between);
            }
            write(self, item);
        }
        self
    }

    /// The page.
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// Controls, and the characters by which text runs the other way or is not seen.
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> String {
        let mut html = Html::default();
        html.text(text);
        html.into_string()
    }

    #[test]
    fn text_is_text_wherever_it_stands() {
        assert_eq!(
            text("<script>alert('a' & \"b\")</script>"),
            "&lt;script&gt;alert(&#39;a&#39; &amp; &quot;b&quot;)&lt;/script&gt;"
        );
        assert_eq!(text("a\u{202e}b\u{0}c\u{200b}"), "a\u{fffd}b\u{fffd}c\u{fffd}");
        assert_eq!(text("Grüße, 世界 – 🙂"), "Grüße, 世界 – 🙂");
    }

    #[test]
    fn parameters_are_encoded() {
        let mut html = Html::default();
        html.param("a b&c=\"<é>");
        assert_eq!(html.into_string(), "a%20b%26c%3D%22%3C%C3%A9%3E");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place(any in "\\PC*") {
            let written = text(&any);
            prop_assert!(!written.contains(['<', '>', '"', '\'']));
            let back = written.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
            let back = back.replace("&#39;", "'").replace("&amp;", "&");
            let expected: String =
                any.chars().map(|c| if is_unseen(c) { '\u{fffd}' } else { c }).collect();
            prop_assert_eq!(back, expected);
        }
    }
}
