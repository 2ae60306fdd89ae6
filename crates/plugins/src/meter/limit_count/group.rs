//! Limits that several resources share by naming a group.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bartizan_chain::CompileCx;
use bartizan_config::{Invalid, ResourceKind, ResourceRef};

/// Who counts in a group, and how. Members are those of every snapshot that still lives.
#[derive(Default)]
struct Roll {
    members: Mutex<Vec<Member>>,
}

struct Member {
    resource: ResourceRef,
    shape: String,
    is_alive: Weak<()>,
}

/// One resource's membership; it ends when this is dropped.
pub(super) struct Membership {
    _roll: Arc<Roll>,
    _alive: Arc<()>,
}

/// The resource that the counters of a group belong to.
pub(super) fn owner(group: &str) -> ResourceRef {
    ResourceRef {
        kind: ResourceKind::PluginMetadata,
        id: Arc::from(format!("limit-count/groups/{group}")),
    }
}

/// Takes the compiling resource in, unless it counts in another way than the others: then they
/// would have counters of their own, and the group would admit more than any of them says. What is
/// disabled counts nothing, and is neither compared nor taken in.
pub(super) fn join(cx: &CompileCx<'_>, group: &str, shape: &str) -> Result<Membership, Invalid> {
    let roll = cx.node.registry.state(&owner(group), cx.plugin, "roll".into(), Roll::default);
    let alive = Arc::new(());
    if cx.is_disabled {
        return Ok(Membership { _roll: roll, _alive: alive });
    }
    let mut members = roll.members.lock().unwrap_or_else(PoisonError::into_inner);
    members.retain(|member| member.is_alive.strong_count() > 0);
    let other = members.iter().find(|m| m.resource != *cx.resource && m.shape != shape);
    if let Some(other) = other {
        let problem = format!("group conf mismatched: {} counts otherwise", other.resource);
        return Err(Invalid::at("group", problem).with_help(
            "all members of a group have the same window, key and type; to change them, give the \
             group another name",
        ));
    }
    members.push(Member {
        resource: cx.resource.clone(),
        shape: shape.to_owned(),
        is_alive: Arc::downgrade(&alive),
    });
    drop(members);
    Ok(Membership { _roll: roll, _alive: alive })
}
