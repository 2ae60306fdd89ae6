//! XML 1.0 (fifth edition): the text of a document and the values of its attributes.
//!
//! Strict where it matters: one root, tags that match, no document type, and therefore no entities
//! but the five that are predefined and numbers. The encoding is UTF-8 or a part of it. Names are not
//! looked at closely; namespaces are no attributes.

use std::borrow::Cow;

use memchr::memmem;

use super::{BodyLimits, Bytes, Fault, Parsed};

/// Reads a body of XML; an empty one is none.
pub(crate) fn xml<'a>(body: &'a [u8], limits: &BodyLimits) -> Parsed<'a> {
    let mut parsed = Parsed::default();
    if body.is_empty() {
        return parsed;
    }
    let valid = match std::str::from_utf8(body) {
        Ok(_) => body,
        Err(error) => body.get(..error.valid_up_to()).unwrap_or_default(),
    };
    let mut reader = Reader {
        body: valid,
        at: 0,
        limits,
        open: Vec::new(),
        text: Cow::Borrowed(&[]),
        attributes: Vec::new(),
    };
    let fault = reader.document().err();
    parsed.fault = if valid.len() < body.len() {
        let fault = fault.filter(|_| reader.at < valid.len());
        Some(fault.unwrap_or(Fault::NotUtf8("XML", valid.len())))
    } else {
        fault
    };
    parsed.xml_text = Some(reader.text);
    parsed.xml_attributes = reader.attributes;
    parsed
}

struct Reader<'a, 'r> {
    body: &'a [u8],
    at: usize,
    limits: &'r BodyLimits,
    /// The names of the elements that are open.
    open: Vec<&'a [u8]>,
    text: Bytes<'a>,
    attributes: Vec<Bytes<'a>>,
}

impl<'a> Reader<'a, '_> {
    fn document(&mut self) -> Result<(), Fault> {
        if self.body.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
        }
        self.declaration()?;
        let mut has_root = false;
        loop {
            if self.open.is_empty() {
                self.skip_space();
                match self.rest().first() {
                    None if has_root => return Ok(()),
                    Some(b'<') => {}
                    _ => return Err(self.fault("no element")),
                }
            } else {
                self.run()?;
            }
            match self.rest() {
                [] => return Err(self.fault("an element without an end")),
                [b'&', ..] => {
                    let sign = self.reference()?;
                    self.add_text(&sign);
                }
                [b'<', b'!', b'-', b'-', ..] => self.comment()?,
                [b'<', b'!', b'[', b'C', b'D', b'A', b'T', b'A', b'[', ..]
                    if !self.open.is_empty() =>
                {
                    self.at += 9;
                    let run = self.up_to(b"]]>", "a CDATA section without an end")?;
                    self.add_run(run)?;
                }
                [b'<', b'!', ..] => return Err(self.fault("a document type")),
                [b'<', b'?', ..] => self.instruction()?,
                [b'<', b'/', ..] => self.end_tag()?,
                _ if has_root && self.open.is_empty() => {
                    return Err(self.fault("more than one element"));
                }
                _ => {
                    has_root = true;
                    self.start_tag()?;
                }
            }
        }
    }

    /// Refuses encodings in which bytes do not mean what they mean here.
    fn declaration(&mut self) -> Result<(), Fault> {
        let [b'<', b'?', b'x', b'm', b'l', b' ' | b'\t' | b'\r' | b'\n', ..] = self.rest() else {
            return Ok(());
        };
        let start = self.at;
        let declaration = self.up_to(b"?>", "a declaration without an end")?;
        let Some(at) = memmem::find(declaration, b"encoding") else { return Ok(()) };
        let value = declaration.get(at + 8..).unwrap_or_default().trim_ascii_start();
        let value = value.strip_prefix(b"=").unwrap_or_default().trim_ascii_start();
        let name = match value.split_first() {
            Some((quote @ (b'"' | b'\''), rest)) => rest.split(|byte| byte == quote).next(),
            _ => None,
        };
        let is_known = name.is_some_and(|name| {
            name.eq_ignore_ascii_case(b"utf-8") || name.eq_ignore_ascii_case(b"us-ascii")
        });
        if is_known {
            return Ok(());
        }
        self.at = start;
        Err(self.fault("an encoding other than UTF-8"))
    }

    fn rest(&self) -> &'a [u8] {
        self.body.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) -> bool {
        let count = self.rest().iter().take_while(|byte| is_space(**byte)).count();
        self.at += count;
        count > 0
    }

    /// Takes what stands before `end`, and `end`.
    fn up_to(&mut self, end: &[u8], problem: &'static str) -> Result<&'a [u8], Fault> {
        let rest = self.rest();
        let at = memmem::find(rest, end).ok_or_else(|| self.fault(problem))?;
        self.at += at + end.len();
        Ok(rest.get(..at).unwrap_or_default())
    }

    /// Takes the text up to the next tag or reference.
    fn run(&mut self) -> Result<(), Fault> {
        let rest = self.rest();
        let end = memchr::memchr2(b'<', b'&', rest).unwrap_or(rest.len());
        let run = rest.get(..end).unwrap_or_default();
        if memmem::find(run, b"]]>").is_some() {
            return Err(self.fault("`]]>` in text"));
        }
        self.add_run(run)?;
        self.at += end;
        Ok(())
    }

    fn add_run(&mut self, run: &'a [u8]) -> Result<(), Fault> {
        if has_control(run) {
            return Err(self.fault("a control character"));
        }
        if self.text.is_empty() && memchr::memchr(b'\r', run).is_none() {
            self.text = Cow::Borrowed(run);
        } else if !run.is_empty() {
            add_lines(run, self.text.to_mut(), b'\n');
        }
        Ok(())
    }

    fn add_text(&mut self, bytes: &[u8]) {
        self.text.to_mut().extend_from_slice(bytes);
    }

    /// Reads a reference to a character.
    fn reference(&mut self) -> Result<Vec<u8>, Fault> {
        let problem = "an unknown entity";
        let body = self.rest().get(1..).unwrap_or_default();
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'#';
        let end = body.iter().position(|byte| !is_part(byte)).unwrap_or(body.len());
        let (name, tail) = body.split_at_checked(end).unwrap_or_default();
        if tail.first() != Some(&b';') {
            return Err(self.fault(problem));
        }
        let sign = match name {
            b"lt" => '<',
            b"gt" => '>',
            b"amp" => '&',
            b"quot" => '"',
            b"apos" => '\'',
            [b'#', b'x', digits @ ..] => number(digits, 16).ok_or_else(|| self.fault(problem))?,
            [b'#', digits @ ..] => number(digits, 10).ok_or_else(|| self.fault(problem))?,
            _ => return Err(self.fault(problem)),
        };
        self.at += end + 2;
        Ok(sign.encode_utf8(&mut [0; 4]).as_bytes().to_vec())
    }

    fn comment(&mut self) -> Result<(), Fault> {
        self.at += 4;
        let comment = self.up_to(b"--", "a comment without an end")?;
        if has_control(comment) || self.rest().first() != Some(&b'>') {
            return Err(self.fault("`--` in a comment"));
        }
        self.at += 1;
        Ok(())
    }

    fn instruction(&mut self) -> Result<(), Fault> {
        self.at += 2;
        let target = self.name()?;
        if target.eq_ignore_ascii_case(b"xml") {
            return Err(self.fault("a declaration behind the start"));
        }
        self.up_to(b"?>", "an instruction without an end")?;
        Ok(())
    }

    fn name(&mut self) -> Result<&'a [u8], Fault> {
        let rest = self.rest();
        let is_start =
            |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':' | 0x80..);
        if !rest.first().is_some_and(is_start) {
            return Err(self.fault("no name"));
        }
        let is_part = |byte: &u8| is_start(byte) || matches!(byte, b'0'..=b'9' | b'-' | b'.');
        let end = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
        self.at += end;
        Ok(rest.get(..end).unwrap_or_default())
    }

    fn end_tag(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.at += 2;
        let name = self.name()?;
        self.skip_space();
        if self.open.pop() != Some(name) || self.rest().first() != Some(&b'>') {
            self.at = start;
            return Err(self.fault("an end tag that fits no element"));
        }
        self.at += 1;
        Ok(())
    }

    fn start_tag(&mut self) -> Result<(), Fault> {
        if self.open.len() == self.limits.depth {
            return Err(Fault::TooMany("levels of nesting", self.limits.depth));
        }
        self.at += 1;
        let name = self.name()?;
        let mut names = Vec::new();
        loop {
            let is_apart = self.skip_space();
            match self.rest() {
                [b'>', ..] => {
                    self.at += 1;
                    self.open.push(name);
                    break;
                }
                [b'/', b'>', ..] => {
                    self.at += 2;
                    break;
                }
                _ if is_apart => names.push(self.attribute()?),
                _ => return Err(self.fault("a malformed tag")),
            }
        }
        names.sort_unstable();
        if names.is_sorted_by(|one, next| one < next) {
            return Ok(());
        }
        Err(self.fault("an attribute twice"))
    }

    /// Reads an attribute; gives back its name.
    fn attribute(&mut self) -> Result<&'a [u8], Fault> {
        let name = self.name()?;
        self.skip_space();
        if self.rest().first() != Some(&b'=') {
            return Err(self.fault("an attribute without a value"));
        }
        self.at += 1;
        self.skip_space();
        let Some(quote @ (b'"' | b'\'')) = self.rest().first().copied() else {
            return Err(self.fault("a value without quotes"));
        };
        self.at += 1;
        let value = self.attribute_value(quote)?;
        if self.attributes.len() == self.limits.args {
            return Err(Fault::TooMany("attributes", self.limits.args));
        }
        if name != b"xmlns" && !name.starts_with(b"xmlns:") {
            self.attributes.push(value);
        }
        Ok(name)
    }

    fn attribute_value(&mut self, quote: u8) -> Result<Bytes<'a>, Fault> {
        let mut value = Cow::Borrowed(&[] as &[u8]);
        loop {
            let rest = self.rest();
            let Some((run, tail)) =
                memchr::memchr3(quote, b'&', b'<', rest).and_then(|at| rest.split_at_checked(at))
            else {
                return Err(self.fault("a value without an end"));
            };
            if has_control(run) {
                return Err(self.fault("a control character"));
            }
            self.at += run.len();
            let is_plain = memchr::memchr3(b'\t', b'\n', b'\r', run).is_none();
            if value.is_empty() && is_plain {
                value = Cow::Borrowed(run);
            } else if !run.is_empty() {
                add_lines(run, value.to_mut(), b' ');
            }
            match tail.first() {
                Some(b'&') => {
                    let sign = self.reference()?;
                    value.to_mut().extend_from_slice(&sign);
                }
                Some(b'<') => return Err(self.fault("`<` in a value")),
                _ => {
                    self.at += 1;
                    return Ok(value);
                }
            }
        }
    }

    fn fault(&self, problem: &'static str) -> Fault {
        Fault::Malformed { format: "XML", problem, at: self.at }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn has_control(run: &[u8]) -> bool {
    run.iter().any(|byte| *byte < 0x20 && !is_space(*byte))
}

/// Appends `run`; a line end becomes `line_end`, a tab too where that is a space (XML §2.11, §3.3.3).
fn add_lines(run: &[u8], output: &mut Vec<u8>, line_end: u8) {
    let mut bytes = run.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                output.push(line_end);
            }
            b'\n' => output.push(line_end),
            b'\t' if line_end == b' ' => output.push(b' '),
            _ => output.push(byte),
        }
    }
}

/// The character of a number, if XML may hold it.
fn number(digits: &[u8], radix: u32) -> Option<char> {
    let mut code = 0_u32;
    for digit in digits {
        let digit = char::from(*digit).to_digit(radix)?;
        code = code.checked_mul(radix)?.checked_add(digit)?;
    }
    let is_allowed = matches!(code, 0x09 | 0x0a | 0x0d | 0x20..=0xfffd | 0x1_0000..);
    char::from_u32(code).filter(|_| is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> (String, Vec<String>, Option<String>) {
        let parsed = xml(body.as_bytes(), &BodyLimits::default());
        let text = |bytes: &Bytes<'_>| String::from_utf8_lossy(bytes).into_owned();
        let attributes = parsed.xml_attributes.iter().map(text).collect();
        let fault = parsed.fault.map(|fault| fault.to_string());
        (parsed.xml_text.as_ref().map(text).unwrap_or_default(), attributes, fault)
    }

    #[test]
    fn text_and_attributes_are_found() {
        let body = "<?xml version='1.0' encoding=\"utf-8\"?><!-- c --><a b='1&lt;' \
                    xmlns:q='u'>x<q:c d=\"&#x41;&#66;\n\"/>&amp;\r\n<![CDATA[<z>]]><?p i?></a>\n";
        let expected = (String::from("x&\n<z>"), vec!["1<".to_owned(), "AB ".to_owned()], None);
        assert_eq!(read(body), expected);
        assert!(matches!(
            xml(b"<a>x</a>", &BodyLimits::default()).xml_text,
            Some(Cow::Borrowed(_))
        ));
        assert_eq!(xml(b"", &BodyLimits::default()).xml_text, None);
    }

    #[test]
    fn what_is_no_xml_is_a_fault() {
        for (body, fault) in [
            ("text", "no element at byte 0"),
            ("<a>", "an element without an end at byte 3"),
            ("<a></b>", "an end tag that fits no element at byte 3"),
            ("<a/><b/>", "more than one element at byte 4"),
            ("<a b='1'c='2'/>", "a malformed tag at byte 8"),
            ("<a b='1' b='2'/>", "an attribute twice at byte 16"),
            ("<a b='<'/>", "`<` in a value at byte 6"),
            ("<a b=1/>", "a value without quotes at byte 5"),
            ("<a>&foo;</a>", "an unknown entity at byte 3"),
            ("<a>&#0;</a>", "an unknown entity at byte 3"),
            ("<a>]]></a>", "`]]>` in text at byte 3"),
            ("<a>\u{1}</a>", "a control character at byte 3"),
            ("<a><!-- x -- y --></a>", "`--` in a comment at byte 12"),
            (
                "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///x'>]><a>&e;</a>",
                "a document type at byte 0",
            ),
            (
                "<?xml version='1.0' encoding='utf-7'?><a/>",
                "an encoding other than UTF-8 at byte 0",
            ),
        ] {
            assert_eq!(read(body).2, Some(format!("XML: {fault}")), "{body}");
        }
        let fault = xml(b"<a>x\xff</a>", &BodyLimits::default()).fault;
        assert_eq!(fault, Some(Fault::NotUtf8("XML", 4)));
    }

    #[test]
    fn limits_are_faults() {
        let limits = BodyLimits { args: 1, depth: 2, ..BodyLimits::default() };
        assert_eq!(xml(b"<a><b c='1'/></a>", &limits).fault, None);
        let fault = |body: &[u8]| xml(body, &limits).fault;
        assert_eq!(fault(b"<a><b><c/></b></a>"), Some(Fault::TooMany("levels of nesting", 2)));
        assert_eq!(fault(b"<a b='1' c='2'/>"), Some(Fault::TooMany("attributes", 1)));
    }
}
