//! The law of expressions: what is compiled decides as what is written, read naively.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use bartizan_config::PathStep;
use bartizan_core::compile_pattern;
use ipnet::IpNet;
use serde_json::{Value, json};

use super::Expr;
use crate::vars::Var;

/// Inputs are cut off here: longer ones show nothing that shorter ones do not.
const INPUT_MAX: usize = 4_096;

type Facts = BTreeMap<String, String>;

/// The first line is an expression; those after it are facts, `variable=value`.
///
/// An expression is refused with a place in it, or decides as a naive reading of the same words
/// does; its opposite decides the opposite; and it asks for no variable that it does not name.
pub fn vars(data: &[u8]) {
    let data = data.get(..INPUT_MAX).unwrap_or(data);
    let text = String::from_utf8_lossy(data);
    let mut lines = text.lines();
    let Ok(written) = serde_json::from_str::<Value>(lines.next().unwrap_or_default()) else {
        return;
    };
    let facts: Facts = lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let compiled = match Expr::compile(&written) {
        Ok(compiled) => compiled,
        Err(fault) => {
            assert!(!fault.problem.is_empty(), "a fault without a problem");
            assert!(leads_somewhere(&written, &fault.path), "{:?} is not in it", fault.path);
            return;
        }
    };
    let verdict = decide(&compiled, &facts);
    assert_eq!(Some(verdict), all(&written, &facts), "the naive reading of {written} on {facts:?}");
    if let Ok(opposite) = Expr::compile(&json!(["!AND", written])) {
        assert_eq!(decide(&opposite, &facts), !verdict, "the opposite of {written}");
    }
    if let Ok(twice) = Expr::compile(&json!([written, ["OR", written]])) {
        assert_eq!(decide(&twice, &facts), verdict, "{written} and itself");
    }
}

fn decide(expr: &Expr, facts: &Facts) -> bool {
    let named = expr.vars();
    let value = |var: &Var| {
        assert!(named.contains(&var), "{var:?} is read and not named");
        let known = facts.iter().find(|(name, _)| Var::parse(name).is_ok_and(|fact| fact == *var));
        Ok(known.map(|(_, value)| Cow::Borrowed(value.as_str())))
    };
    expr.node.holds(&value).unwrap_or_default()
}

fn leads_somewhere(value: &Value, path: &[PathStep]) -> bool {
    let Some((step, rest)) = path.split_first() else { return true };
    let inner = match step {
        PathStep::Key(key) => value.get(key),
        PathStep::Index(index) => value.get(index),
    };
    inner.is_some_and(|inner| leads_somewhere(inner, rest))
}

/// What a list comes to; `None` where this reading has no meaning for it.
fn all(written: &Value, facts: &Facts) -> Option<bool> {
    let items = written.as_array()?;
    let group = |skip: usize| -> Option<Vec<bool>> {
        items.iter().skip(skip).map(|item| all(item, facts)).collect()
    };
    match items.first().and_then(Value::as_str) {
        None => Some(group(0)?.into_iter().all(|holds| holds)),
        Some("AND") => Some(group(1)?.into_iter().all(|holds| holds)),
        Some("OR") => Some(group(1)?.into_iter().any(|holds| holds)),
        Some("!AND") => Some(!group(1)?.into_iter().all(|holds| holds)),
        Some("!OR") => Some(!group(1)?.into_iter().any(|holds| holds)),
        Some(name) => {
            let words: Vec<&str> = items.iter().map(|item| item.as_str().unwrap_or(".")).collect();
            let negated = items.len() == 4;
            let operator = match words.as_slice() {
                [_, _] => "==",
                [_, operator, _] | [_, "!", operator, _] => operator,
                _ => return None,
            };
            let value = fact(&Var::parse(name).ok()?, facts);
            Some(test(operator, items.last()?, value.as_deref())? != negated)
        }
    }
}

/// The value of a variable, by any of the names that it has.
fn fact(var: &Var, facts: &Facts) -> Option<String> {
    let found = facts.iter().find(|(name, _)| Var::parse(name).is_ok_and(|fact| fact == *var));
    found.map(|(_, value)| value.clone())
}

fn test(operator: &str, operand: &Value, value: Option<&str>) -> Option<bool> {
    let text = |operand: &Value| match operand {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let is_equal = |operand: &Value| match operand {
        Value::Number(_) => compare(operand, value).is_some_and(std::cmp::Ordering::is_eq),
        _ => value == Some(&text(operand)),
    };
    Some(match operator {
        "==" => is_equal(operand),
        "~=" => !is_equal(operand),
        ">" => compare(operand, value).is_some_and(std::cmp::Ordering::is_gt),
        ">=" => compare(operand, value).is_some_and(std::cmp::Ordering::is_ge),
        "<" => compare(operand, value).is_some_and(std::cmp::Ordering::is_lt),
        "<=" => compare(operand, value).is_some_and(std::cmp::Ordering::is_le),
        "~~" | "~*" => {
            let pattern = compile_pattern(&text(operand), operator == "~*").ok()?;
            value.is_some_and(|value| pattern.is_match(value))
        }
        "in" => operand.as_array()?.iter().any(|item| value == Some(&text(item))),
        "has" => {
            let wanted = text(operand);
            value.is_some_and(|value| value.split(',').any(|item| item.trim() == wanted))
        }
        "ipmatch" => {
            let address = value.and_then(|value| value.parse::<IpAddr>().ok());
            address.is_some_and(|ip| {
                operand.as_array().into_iter().flatten().any(|item| within(&text(item), ip))
            })
        }
        _ => return None,
    })
}

/// How a value stands to a number; `None` where it is none, or none that an operator could write.
fn compare(operand: &Value, value: Option<&str>) -> Option<std::cmp::Ordering> {
    let bound = match operand {
        Value::String(text) => text.parse::<f64>().ok()?,
        other => other.as_f64()?,
    };
    let value = value?.parse::<f64>().ok().filter(|value| value.is_finite())?;
    value.partial_cmp(&bound)
}

/// Whether an address is in a network, by its bits.
fn within(network: &str, ip: IpAddr) -> bool {
    let Ok(network) =
        network.parse::<IpNet>().or_else(|_| network.parse::<IpAddr>().map(IpNet::from))
    else {
        return false;
    };
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()) << 96, false),
        IpAddr::V6(ip) => (ip.to_bits(), true),
    };
    let ((own, is_v6), (ip, asks_v6)) = (bits(network.addr()), bits(ip));
    let shift = 128 - u32::from(network.prefix_len());
    let cut = |bits: u128| bits.checked_shr(shift).unwrap_or_default();
    is_v6 == asks_v6 && cut(own) == cut(ip)
}
