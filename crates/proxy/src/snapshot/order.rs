//! Which of routes with the same path and priority comes first.

use std::collections::HashMap;
use std::sync::Arc;

use bartizan_config::Amendment;

use super::standing::Standing;
use crate::router::Order;

/// What lies between the positions of two routes of a document, for those that come between them.
const STRIDE: u64 = 1 << 24;

/// The order of the route that is written at this position of a document.
pub(super) fn written_at(at: usize) -> Order {
    let at = u64::try_from(at).unwrap_or(u64::MAX).saturating_add(1);
    Order::Position(at.saturating_mul(STRIDE))
}

/// The orders of the routes of a change: each where it was, or between those that it is written
/// between; `None` where there is no room.
pub(super) fn orders<'c>(
    change: &'c Amendment,
    standing: &Standing,
) -> Option<HashMap<&'c str, Order>> {
    let routes = &change.put.routes;
    let mut orders: HashMap<&str, Order> = HashMap::with_capacity(routes.len());
    for id in routes.iter().map(|written| &written.id) {
        if change.put.is_keyed {
            orders.insert(id, Order::Name(id.clone()));
        } else if let Some(known) = standing.routes.get(id) {
            orders.insert(id, known.order.clone());
        }
    }
    for written in routes {
        // Back to one whose place is known: new ones may stand behind new ones.
        let mut waiting = Vec::new();
        let mut at = Some(&written.id);
        while let Some(id) = at.filter(|id| position(id, &orders, standing).is_none()) {
            if orders.contains_key(&**id) {
                break;
            }
            if waiting.len() >= routes.len() {
                return None;
            }
            let [before, after] = change.between.get(id)?;
            waiting.push((id, before, after));
            at = before.as_ref();
        }
        for (id, before, after) in waiting.into_iter().rev() {
            let order = between(before.as_ref(), after.as_ref(), &orders, standing)?;
            orders.insert(id, order);
        }
    }
    Some(orders)
}

/// The order of a route between two others.
fn between(
    before: Option<&Arc<str>>,
    after: Option<&Arc<str>>,
    orders: &HashMap<&str, Order>,
    standing: &Standing,
) -> Option<Order> {
    let position = |id| position(id, orders, standing);
    let least = before.map_or(Some(0), position)?;
    let most = match after {
        Some(after) => position(after)?,
        None => least.checked_add(2 * STRIDE)?,
    };
    let middle = least.midpoint(most);
    (least < middle && middle < most).then_some(Order::Position(middle))
}

/// The position of a route, where it is known.
fn position(id: &Arc<str>, orders: &HashMap<&str, Order>, standing: &Standing) -> Option<u64> {
    let order = orders.get(&**id).or_else(|| Some(&standing.routes.get(id)?.order))?;
    if let Order::Position(at) = order { Some(*at) } else { None }
}
