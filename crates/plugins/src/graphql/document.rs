//! From tokens to what operations ask for (GraphQL, October 2021, §2.2 to §2.8).

use std::collections::{HashMap, HashSet};

use super::lexer::{Lexer, Token, TokenKind};
use super::{Fault, NESTING_MAX};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads.
    Query,
    /// Changes.
    Mutation,
    /// Reads again and again.
    Subscription,
}

/// How much an operation asks for, fragments put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measure {
    /// What it does.
    pub(crate) kind: Kind,
    /// Levels of fields; `{ a { b } }` has two.
    pub(crate) depth: u64,
    /// Fields, each as often as it is asked for, under whatever alias.
    pub(crate) fields: u64,
    /// Whether it asks for the schema.
    pub(crate) introspects: bool,
}

/// What a selection asks for by itself, and the fragments it takes in.
#[derive(Debug, Default)]
struct Sum<'t> {
    depth: u64,
    fields: u64,
    introspects: bool,
    /// The level at which it is taken in, 0 for the top, and its name.
    spreads: Vec<(u64, &'t str)>,
}

/// A document that can be executed.
#[derive(Debug)]
pub(crate) struct Document<'t> {
    operations: Vec<(Option<&'t str>, Kind, Sum<'t>)>,
    fragments: HashMap<&'t str, Total>,
}

/// What a fragment asks for in all.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    depth: u64,
    fields: u64,
    introspects: bool,
}

impl<'t> Document<'t> {
    /// Reads a document.
    pub(crate) fn parse(text: &'t str) -> Result<Self, Fault> {
        let mut parser = Parser::new(text)?;
        let mut operations = Vec::new();
        let mut fragments = HashMap::new();
        while let Some(token) = parser.next {
            if token.kind == TokenKind::Name && token.text == "fragment" {
                let (name, sum) = parser.fragment()?;
                if fragments.insert(name, sum).is_some() {
                    return Err(Fault::Duplicate);
                }
            } else {
                operations.push(parser.operation()?);
            }
        }
        check_names(&operations)?;
        let fragments = totals(&fragments)?;
        let document = Self { operations, fragments };
        for (_, _, sum) in &document.operations {
            document.total(sum)?;
        }
        Ok(document)
    }

    /// The names of its operations.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'t str> {
        self.operations.iter().filter_map(|(name, _, _)| *name)
    }

    /// Measures the operation of this name, or the only one.
    pub(crate) fn measure(&self, name: Option<&str>) -> Result<Measure, Fault> {
        let operation = match (name, self.operations.as_slice()) {
            (Some(name), all) => all.iter().find(|(own, _, _)| *own == Some(name)),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let (_, kind, sum) = operation.ok_or(Fault::NoOperation)?;
        let Total { depth, fields, introspects } = self.total(sum)?;
        Ok(Measure { kind: *kind, depth, fields, introspects })
    }

    fn total(&self, sum: &Sum<'t>) -> Result<Total, Fault> {
        put_in(sum, |name| self.fragments.get(name).copied()).ok_or(Fault::UnknownFragment)
    }
}

/// A name stands for one operation; one without a name is alone.
fn check_names(operations: &[(Option<&str>, Kind, Sum<'_>)]) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    let is_unique = operations.iter().all(|(name, _, _)| match name {
        Some(name) => seen.insert(*name),
        None => operations.len() == 1,
    });
    match (operations.is_empty(), is_unique) {
        (true, _) => Err(Fault::NoOperation),
        (_, false) => Err(Fault::Duplicate),
        _ => Ok(()),
    }
}

/// What a selection asks for with its fragments; `None` where one is not known.
fn put_in<'t>(sum: &Sum<'t>, total: impl Fn(&'t str) -> Option<Total>) -> Option<Total> {
    let Sum { depth, fields, introspects, spreads } = sum;
    let mut whole = Total { depth: *depth, fields: *fields, introspects: *introspects };
    for (level, name) in spreads {
        let inner = total(name)?;
        whole.depth = whole.depth.max(level.saturating_add(inner.depth));
        whole.fields = whole.fields.saturating_add(inner.fields);
        whole.introspects |= inner.introspects;
    }
    Some(whole)
}

/// The totals of fragments, each once all that it takes in are known. Those that never are lead
/// into themselves.
fn totals<'t>(fragments: &HashMap<&'t str, Sum<'t>>) -> Result<HashMap<&'t str, Total>, Fault> {
    let mut takers: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut missing: HashMap<&str, usize> = HashMap::new();
    for (name, sum) in fragments {
        missing.insert(name, sum.spreads.len());
        for (_, inner) in &sum.spreads {
            if !fragments.contains_key(inner) {
                return Err(Fault::UnknownFragment);
            }
            takers.entry(inner).or_default().push(name);
        }
    }
    let mut ready: Vec<&'t str> =
        fragments.iter().filter(|(_, sum)| sum.spreads.is_empty()).map(|(name, _)| *name).collect();
    let mut totals = HashMap::new();
    while let Some(name) = ready.pop() {
        let sum = fragments.get(name).ok_or(Fault::UnknownFragment)?;
        let total = put_in(sum, |inner| totals.get(inner).copied()).ok_or(Fault::Cycle)?;
        totals.insert(name, total);
        for taker in takers.get(name).into_iter().flatten() {
            if let (Some(left), Some((taker, _))) =
                (missing.get_mut(taker), fragments.get_key_value(taker))
            {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    ready.push(taker);
                }
            }
        }
    }
    if totals.len() == fragments.len() { Ok(totals) } else { Err(Fault::Cycle) }
}

/// Reads what stands in a document, token by token.
pub(super) struct Parser<'t> {
    tokens: Lexer<'t>,
    pub(super) next: Option<Token<'t>>,
    nesting: usize,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str) -> Result<Self, Fault> {
        let mut tokens = Lexer::new(text);
        let next = tokens.next().transpose()?;
        Ok(Self { tokens, next, nesting: 0 })
    }

    /// Takes the next token.
    pub(super) fn take(&mut self) -> Result<Token<'t>, Fault> {
        let token = self.next.ok_or(Fault::End)?;
        self.next = self.tokens.next().transpose()?;
        Ok(token)
    }

    pub(super) fn at(&self, mark: u8) -> bool {
        self.next.is_some_and(|token| token.kind == TokenKind::Mark(mark))
    }

    /// Takes a mark if it is there.
    pub(super) fn takes(&mut self, mark: u8) -> Result<bool, Fault> {
        let is_there = self.at(mark);
        if is_there {
            self.take()?;
        }
        Ok(is_there)
    }

    pub(super) fn expect(&mut self, mark: u8) -> Result<(), Fault> {
        if self.take()?.kind == TokenKind::Mark(mark) { Ok(()) } else { Err(Fault::Unexpected) }
    }

    pub(super) fn name(&mut self) -> Result<&'t str, Fault> {
        let token = self.take()?;
        if token.kind == TokenKind::Name { Ok(token.text) } else { Err(Fault::Unexpected) }
    }

    /// Reads something that may hold more of its like.
    pub(super) fn nested<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, Fault>,
    ) -> Result<R, Fault> {
        if self.nesting >= NESTING_MAX {
            return Err(Fault::TooDeep);
        }
        self.nesting += 1;
        let result = read(self);
        self.nesting -= 1;
        result
    }

    /// Reads what an operation does.
    pub(super) fn kind(&mut self) -> Result<Kind, Fault> {
        match self.name()? {
            "query" => Ok(Kind::Query),
            "mutation" => Ok(Kind::Mutation),
            "subscription" => Ok(Kind::Subscription),
            _ => Err(Fault::Unexpected),
        }
    }

    fn operation(&mut self) -> Result<(Option<&'t str>, Kind, Sum<'t>), Fault> {
        let mut sum = Sum::default();
        if self.at(b'{') {
            self.selection(0, &mut sum)?;
            return Ok((None, Kind::Query, sum));
        }
        let kind = self.kind()?;
        let is_named = self.next.is_some_and(|token| token.kind == TokenKind::Name);
        let name = if is_named { Some(self.name()?) } else { None };
        if self.takes(b'(')? {
            loop {
                self.expect(b'$')?;
                self.name()?;
                self.expect(b':')?;
                self.type_reference()?;
                if self.takes(b'=')? {
                    self.value()?;
                }
                self.directives()?;
                if self.takes(b')')? {
                    break;
                }
            }
        }
        self.directives()?;
        self.selection(0, &mut sum)?;
        Ok((name, kind, sum))
    }

    fn fragment(&mut self) -> Result<(&'t str, Sum<'t>), Fault> {
        self.name()?;
        let name = self.name()?;
        if name == "on" || self.name()? != "on" {
            return Err(Fault::Unexpected);
        }
        self.name()?;
        self.directives()?;
        let mut sum = Sum::default();
        self.selection(0, &mut sum)?;
        Ok((name, sum))
    }

    /// Reads a selection whose fields are below `level` others.
    fn selection(&mut self, level: u64, sum: &mut Sum<'t>) -> Result<(), Fault> {
        self.nested(|parser| {
            parser.expect(b'{')?;
            loop {
                if parser.next.is_some_and(|token| token.kind == TokenKind::Spread) {
                    parser.take()?;
                    parser.spread(level, sum)?;
                } else {
                    parser.field(level + 1, sum)?;
                }
                if parser.takes(b'}')? {
                    return Ok(());
                }
            }
        })
    }

    fn spread(&mut self, level: u64, sum: &mut Sum<'t>) -> Result<(), Fault> {
        match self.next {
            Some(token) if token.kind == TokenKind::Name && token.text != "on" => {
                sum.spreads.push((level, self.name()?));
                self.directives()
            }
            Some(token) => {
                if token.kind == TokenKind::Name {
                    self.name()?;
                    self.name()?;
                }
                self.directives()?;
                self.selection(level, sum)
            }
            None => Err(Fault::End),
        }
    }

    fn field(&mut self, level: u64, sum: &mut Sum<'t>) -> Result<(), Fault> {
        let mut name = self.name()?;
        if self.takes(b':')? {
            name = self.name()?;
        }
        sum.fields = sum.fields.saturating_add(1);
        sum.depth = sum.depth.max(level);
        sum.introspects |= matches!(name, "__schema" | "__type");
        self.arguments()?;
        self.directives()?;
        if self.at(b'{') { self.selection(level, sum) } else { Ok(()) }
    }

    fn arguments(&mut self) -> Result<(), Fault> {
        if !self.takes(b'(')? {
            return Ok(());
        }
        loop {
            self.name()?;
            self.expect(b':')?;
            self.value()?;
            if self.takes(b')')? {
                return Ok(());
            }
        }
    }

    pub(super) fn directives(&mut self) -> Result<(), Fault> {
        while self.takes(b'@')? {
            self.name()?;
            self.arguments()?;
        }
        Ok(())
    }

    pub(super) fn value(&mut self) -> Result<(), Fault> {
        self.nested(|parser| match parser.take()?.kind {
            TokenKind::Name | TokenKind::Literal => Ok(()),
            TokenKind::Mark(b'$') => parser.name().map(|_| ()),
            TokenKind::Mark(b'[') => {
                while !parser.takes(b']')? {
                    parser.value()?;
                }
                Ok(())
            }
            TokenKind::Mark(b'{') => {
                while !parser.takes(b'}')? {
                    parser.name()?;
                    parser.expect(b':')?;
                    parser.value()?;
                }
                Ok(())
            }
            _ => Err(Fault::Unexpected),
        })
    }

    pub(super) fn type_reference(&mut self) -> Result<(), Fault> {
        self.nested(|parser| {
            if parser.takes(b'[')? {
                parser.type_reference()?;
                parser.expect(b']')?;
            } else {
                parser.name()?;
            }
            parser.takes(b'!').map(|_| ())
        })
    }
}
