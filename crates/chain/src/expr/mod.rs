//! The expression language of `vars` and `_meta.filter`.
//!
//! An array of conditions that must all hold; a condition is `[variable, operator, value]`, with
//! `!` before the operator for its opposite, or `[variable, value]` for equality. An array may
//! begin with `AND`, `OR`, `!AND` or `!OR`. Patterns run in linear time.

pub(crate) mod law;

use std::borrow::Cow;
use std::cmp::Ordering;

use bartizan_config::{Invalid, PathStep};
use bartizan_core::compile_pattern;
use bartizan_wire::{Fields, QueryFault};
use ipnet::IpNet;
use regex_automata::meta::Regex;
use serde_json::Value;

use crate::context::RequestCx;
use crate::vars::{Reach, Seen, Var};

/// Deepest nesting of an expression.
const DEPTH_MAX: usize = 16;

/// A compiled expression.
#[derive(Debug)]
pub struct Expr {
    node: Node,
    needs: Needs,
}

/// What an expression cannot be decided without.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, asked for by name")]
struct Needs {
    body: bool,
    answer: bool,
    /// What is not known of an exchange that was over before there was an answer. Its status and
    /// its sizes are.
    answer_told: bool,
    answer_fields: bool,
    end: bool,
}

impl Needs {
    fn of(vars: &[&Var]) -> Self {
        let any = |needs: fn(&Var) -> bool| vars.iter().any(|var| needs(var));
        Self {
            body: any(Var::reads_body),
            answer: any(Var::needs_answer),
            answer_told: any(|var| {
                var.needs_answer() && !var.needs_end() && !matches!(var, Var::Status)
            }),
            answer_fields: any(|var| matches!(var, Var::SentHttp(_))),
            end: any(Var::needs_end),
        }
    }
}

type VarValue<'a> = Result<Option<Cow<'a, str>>, QueryFault>;

#[derive(Debug)]
enum Node {
    All(Box<[Node]>),
    Any(Box<[Node]>),
    Not(Box<Node>),
    Test(Var, Test),
}

#[derive(Debug)]
enum Test {
    Equals(String),
    EqualsNumber(f64),
    Greater(f64),
    AtLeast(f64),
    Less(f64),
    AtMost(f64),
    Matches(Box<Regex>),
    In(Box<[String]>),
    Has(String),
    Address(Box<[IpNet]>),
}

impl Expr {
    /// Compiles an expression as written.
    pub fn compile(value: &Value) -> Result<Self, Invalid> {
        Self::compile_within(value, Reach::Request)
    }

    /// Compiles an expression for a reader who can be given so much.
    pub fn compile_within(value: &Value, reach: Reach) -> Result<Self, Invalid> {
        let node = group(value, reach, 0)?;
        let mut vars = Vec::new();
        node.collect(&mut vars);
        let needs = Needs::of(&vars);
        Ok(Self { node, needs })
    }

    /// True if it reads the request's body.
    pub fn reads_body(&self) -> bool {
        self.needs.body
    }

    /// True if it reads the answer: its fields, its status, where it came from or how it ended.
    pub fn reads_answer(&self) -> bool {
        self.needs.answer
    }

    /// True if it reads fields of the answer.
    pub fn reads_answer_fields(&self) -> bool {
        self.needs.answer_fields
    }

    /// True if it can only be decided when the exchange is over.
    pub fn needs_end(&self) -> bool {
        self.needs.end
    }

    /// The variables it reads.
    pub fn vars(&self) -> Vec<&Var> {
        let mut vars = Vec::new();
        self.node.collect(&mut vars);
        vars
    }

    /// Whether it holds for a request. A value that a client repeated has no answer.
    pub fn holds(&self, cx: &RequestCx) -> Result<bool, QueryFault> {
        self.holds_in(Seen { cx, answer: None })
    }

    /// Whether it holds for an exchange that is over, for those who only look on; `answer` are the
    /// fields of its answer. What cannot be decided holds: no client may hide from them, be it by
    /// what it sends twice or by leaving before there is an answer.
    pub fn may_hold(&self, cx: &RequestCx, answer: Option<&Fields>) -> bool {
        let is_blind = (self.needs.answer_fields && answer.is_none())
            || (self.needs.answer_told && !cx.is_answered);
        is_blind || self.holds_in(Seen { cx, answer }).unwrap_or(true)
    }

    /// Whether it holds, for whoever can see more than the request.
    pub(crate) fn holds_in(&self, seen: Seen<'_>) -> Result<bool, QueryFault> {
        self.node.holds(&|var| var.value_in(seen))
    }
}

impl Node {
    fn collect<'a>(&'a self, out: &mut Vec<&'a Var>) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().for_each(|n| n.collect(out)),
            Self::Not(node) => node.collect(out),
            Self::Test(var, _) => out.push(var),
        }
    }

    fn holds<'a>(&self, value: &dyn Fn(&Var) -> VarValue<'a>) -> Result<bool, QueryFault> {
        match self {
            Self::All(nodes) => {
                for node in nodes {
                    if !node.holds(value)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(nodes) => {
                for node in nodes {
                    if node.holds(value)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Not(node) => node.holds(value).map(|holds| !holds),
            Self::Test(var, test) => Ok(test.holds(value(var)?.as_deref())),
        }
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        // `inf` and `nan` are words, not numbers: no operator could ask for them.
        let number = || value.and_then(|v| v.parse::<f64>().ok()).filter(|n| n.is_finite());
        match self {
            Self::Equals(expected) => value == Some(expected),
            Self::EqualsNumber(expected) => {
                number().and_then(|n| n.partial_cmp(expected)).is_some_and(Ordering::is_eq)
            }
            Self::Greater(bound) => number().is_some_and(|n| n > *bound),
            Self::AtLeast(bound) => number().is_some_and(|n| n >= *bound),
            Self::Less(bound) => number().is_some_and(|n| n < *bound),
            Self::AtMost(bound) => number().is_some_and(|n| n <= *bound),
            Self::Matches(pattern) => value.is_some_and(|v| pattern.is_match(v)),
            Self::In(list) => value.is_some_and(|v| list.iter().any(|item| item == v)),
            Self::Has(item) => value.is_some_and(|v| v.split(',').any(|x| x.trim() == item)),
            Self::Address(nets) => value
                .and_then(|v| v.parse::<std::net::IpAddr>().ok())
                .is_some_and(|ip| nets.iter().any(|net| net.contains(&ip))),
        }
    }
}

fn group(value: &Value, reach: Reach, depth: usize) -> Result<Node, Invalid> {
    let items =
        value.as_array().ok_or_else(|| Invalid::new("an expression is a list of conditions"))?;
    if depth > DEPTH_MAX {
        return Err(Invalid::new("the expression is nested more than 16 deep"));
    }
    let head = items.first().and_then(Value::as_str);
    let (is_any, is_negated, skip) = match head {
        Some("AND") => (false, false, 1),
        Some("OR") => (true, false, 1),
        Some("!AND") => (false, true, 1),
        Some("!OR") => (true, true, 1),
        Some(_) => return condition(items, reach),
        None => (false, false, 0),
    };
    let mut nodes = Vec::new();
    for (index, item) in items.iter().enumerate().skip(skip) {
        nodes.push(group(item, reach, depth + 1).map_err(|e| e.under(PathStep::Index(index)))?);
    }
    if skip == 1 && nodes.is_empty() {
        return Err(Invalid::new("a group needs at least one condition"));
    }
    let nodes = nodes.into_boxed_slice();
    let node = if is_any { Node::Any(nodes) } else { Node::All(nodes) };
    Ok(if is_negated { Node::Not(Box::new(node)) } else { node })
}

fn condition(items: &[Value], reach: Reach) -> Result<Node, Invalid> {
    let (name, operator, is_negated, operand, at) = match items {
        [Value::String(name), operand] => (name, "==", false, operand, 1),
        [Value::String(name), Value::String(op), operand] => (name, op.as_str(), false, operand, 2),
        [Value::String(name), Value::String(bang), Value::String(op), operand] if bang == "!" => {
            (name, op.as_str(), true, operand, 3)
        }
        _ => {
            return Err(Invalid::new("a condition is [variable, operator, value]")
                .with_help("for example [\"arg_version\", \"==\", \"2\"]"));
        }
    };
    let var = Var::parse_within(name, reach)
        .map_err(|error| Invalid::new(error.to_string()).under(PathStep::Index(0)))?;
    let (test, is_opposite) =
        operation(operator, operand).map_err(|error| error.under(PathStep::Index(at)))?;
    let node = Node::Test(var, test);
    Ok(if is_negated == is_opposite { node } else { Node::Not(Box::new(node)) })
}

fn operation(operator: &str, operand: &Value) -> Result<(Test, bool), Invalid> {
    let test = match operator {
        "==" => (equals(operand)?, false),
        "~=" => (equals(operand)?, true),
        ">" => (Test::Greater(number(operand)?), false),
        ">=" => (Test::AtLeast(number(operand)?), false),
        "<" => (Test::Less(number(operand)?), false),
        "<=" => (Test::AtMost(number(operand)?), false),
        "~~" => (pattern(operand, false)?, false),
        "~*" => (pattern(operand, true)?, false),
        "in" => (Test::In(strings(operand)?.into_boxed_slice()), false),
        "has" => (Test::Has(string(operand)?), false),
        "ipmatch" => (Test::Address(networks(operand)?), false),
        other => {
            return Err(Invalid::new(format!("there is no operator `{other}`"))
                .with_help("one of == ~= > >= < <= ~~ ~* in has ipmatch"));
        }
    };
    Ok(test)
}

fn equals(operand: &Value) -> Result<Test, Invalid> {
    match operand {
        Value::Number(_) => number(operand).map(Test::EqualsNumber),
        _ => string(operand).map(Test::Equals),
    }
}

fn string(operand: &Value) -> Result<String, Invalid> {
    match operand {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        _ => Err(Invalid::new("the value is a text or a number here")),
    }
}

fn strings(operand: &Value) -> Result<Vec<String>, Invalid> {
    let items = operand.as_array().ok_or_else(|| Invalid::new("the value is a list here"))?;
    items.iter().map(string).collect()
}

fn number(operand: &Value) -> Result<f64, Invalid> {
    let parsed = match operand {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    parsed.filter(|n| n.is_finite()).ok_or_else(|| Invalid::new("the value is a number here"))
}

fn pattern(operand: &Value, is_case_insensitive: bool) -> Result<Test, Invalid> {
    let text = string(operand)?;
    compile_pattern(&text, is_case_insensitive)
        .map(|regex| Test::Matches(Box::new(regex)))
        .map_err(|error| Invalid::new(format!("`{text}` {error}")))
}

fn networks(operand: &Value) -> Result<Box<[IpNet]>, Invalid> {
    let parse = |text: &String| {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
            .map_err(|_| Invalid::new(format!("`{text}` is neither an address nor a network")))
    };
    strings(operand)?.iter().map(parse).collect()
}

#[cfg(test)]
mod tests;
