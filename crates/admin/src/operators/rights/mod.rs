//! What an operator may do: a role, and for editors the part of the resources that is theirs.

mod confinement;
mod hosts;
mod kept;
mod kinds;
mod paths;
mod reach;
mod references;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use confinement::{Confinement, LIST_MAX, TEXT_MAX, Unfit};
use kinds::Sort;
pub use kinds::{EXPLICIT_KINDS, RESOURCE_KINDS};

/// What kind of operator somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads resources; secrets in them are sealed.
    Viewer,
    /// Reads as a viewer does, and changes the resources that its confinement leaves it.
    Editor,
    /// Reads what happened: revisions, what is in quarantine. No resources, no secrets.
    Auditor,
    /// Does everything, except that reading secrets in clear is a capability of its own.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Editor, Self::Auditor, Self::Admin];

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Editor => "editor",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = Self::ALL.into_iter().find(|role| role.name() == text);
        role.ok_or_else(|| format!("`{text}` is no role: viewer, editor, auditor or admin"))
    }
}

/// What an operator wants to do with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// To see it.
    Read,
    /// To make or change it; the object as it will be is given.
    Write,
    /// To remove it; the object as it is is given.
    Delete,
    /// Anything else that changes nothing, such as to validate a document.
    Other,
}

impl Verb {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::Other => "run",
        }
    }
}

/// An object as it is or will be, with what it takes from others.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// The object, as the Admin API has it.
    pub value: &'a Value,
    /// Of a route that names no host: the hosts of its service. None: it takes every host.
    pub inherited_hosts: &'a [String],
}

impl<'a> Object<'a> {
    /// An object that takes nothing from others.
    pub const fn new(value: &'a Value) -> Self {
        Self { value, inherited_hosts: &[] }
    }
}

/// An object that another one refers to.
#[derive(Clone, Debug)]
pub struct Used {
    /// Its kind, in the words of paths.
    pub kind: &'static str,
    /// Its id.
    pub id: String,
    /// The object as it is.
    pub value: Value,
}

/// One thing that an operator wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// What.
    pub verb: Verb,
    /// With what: a kind of resource in the words of the Admin API's paths (`routes`, …;
    /// `credentials` for those of a consumer, `graphql_cost_decorations` for those of a service), or `schema`, `plugins`, `configs`, `status`,
    /// `quarantine`, `coverage`, `denials`, `revisions`, `events`. Others are the admins' alone.
    pub kind: &'a str,
    /// Which one.
    pub id: Option<&'a str>,
    /// The object as it is; nothing where there is none yet.
    pub before: Option<Object<'a>>,
    /// The object as it will be; nothing where it is removed.
    pub after: Option<Object<'a>>,
    /// What it stands below, whose labels count as well: of a credential its consumer, of what a
    /// field costs its service.
    pub owner: Option<&'a Value>,
    /// What the object as it will be refers to and did not refer to before.
    pub used: &'a [Used],
    /// Secrets in the object as it will be that are sent to servers and stay as they are, without
    /// that whoever writes showed that they know them: as JSON pointers (RFC 6901).
    pub kept: &'a [String],
    /// Those that were sent in clear.
    pub written: &'a [String],
}

impl<'a> Act<'a> {
    /// Reading objects of a kind, or one of them.
    pub const fn read(kind: &'a str, id: Option<&'a str>) -> Self {
        Self {
            verb: Verb::Read,
            kind,
            id,
            before: None,
            after: None,
            owner: None,
            used: &[],
            kept: &[],
            written: &[],
        }
    }
}

impl fmt::Display for Act<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}", self.verb.name(), self.kind)?;
        match self.id {
            Some(id) => write!(f, "/{id}`"),
            None => f.write_str("`"),
        }
    }
}

/// Why an operator may not do something, to be shown to them. Of what belongs to others it tells
/// what every editor may read anyway.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Forbidden(pub(super) String);

impl Forbidden {
    pub(super) const fn new(why: String) -> Self {
        Self(why)
    }
}

/// What an operator may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rights {
    /// The role.
    pub role: Role,
    /// What an editor is confined to.
    #[serde(default, skip_serializing_if = "Confinement::is_none")]
    pub confinement: Confinement,
    /// Whether secrets are read in clear, where the role reads them at all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secrets: bool,
}

impl Rights {
    /// Tells rights that contradict themselves.
    pub fn check(&self) -> Result<(), Unfit> {
        if self.role != Role::Editor && !self.confinement.is_none() {
            return Err(Unfit::new(
                format!("only editors are confined, and the role is `{}`", self.role),
                "leave out kinds, labels, hosts, paths and uses, or make the role `editor`",
            ));
        }
        if self.role == Role::Auditor && self.secrets {
            return Err(Unfit::new(
                "auditors read no secrets".to_owned(),
                "make a key of another role for that",
            ));
        }
        Ok(())
    }

    /// Whether they permit something.
    pub fn permit(&self, act: &Act<'_>) -> Result<(), Forbidden> {
        let sort = kinds::sort(act.kind, act.id);
        let is_free = match self.role {
            Role::Admin => true,
            Role::Viewer => views(act.verb, sort),
            Role::Auditor => act.verb == Verb::Read && matches!(sort, Sort::Past | Sort::State),
            Role::Editor => match (act.verb, sort) {
                (Verb::Write | Verb::Delete, Sort::Resource(resource)) => {
                    self.confinement.permit(act, resource)?;
                    return self.refer(act);
                }
                _ => views(act.verb, sort),
            },
        };
        if is_free {
            return Ok(());
        }
        Err(Forbidden(match (self.role, act.verb) {
            // In the words of Apache APISIX, which tools know.
            (Role::Viewer, Verb::Write | Verb::Delete) => {
                "invalid method for role viewer".to_owned()
            }
            (role, _) => format!("a key of role `{role}` may not do that"),
        }))
    }

    /// Whether an editor may write what an object refers to: a secret, objects of others, or a group
    /// whose rights its members get; and what stands beside a secret that stays.
    fn refer(&self, act: &Act<'_>) -> Result<(), Forbidden> {
        let Some(after) = act.after.map(|object| object.value) else { return Ok(()) };
        let before = act.before.map(|object| object.value);
        // What is behind a reference is of no team.
        if !(self.secrets && self.confinement.is_none())
            && let Some(at) = references::new_reference(before, after)
        {
            return Err(Forbidden(format!(
                "a key that is confined, or without the capability to read secrets, may not refer to \
                 one (at {at})"
            )));
        }
        let at = match (self.secrets, self.confinement.is_none()) {
            (false, _) => kept::redirected(before, after, act),
            (true, false) => kept::redirected_reference(before, after, act),
            (true, true) => None,
        };
        if let Some(at) = at {
            return Err(Forbidden(format!(
                "a key that is confined, or without the capability to read secrets, may not change \
                 where one is sent that it cannot read (at {at}): write the secret anew"
            )));
        }
        for used in act.used {
            self.confinement.lends(used)?;
        }
        let group =
            |object: Option<&Value>| object.and_then(|object| object.get("group_id")).cloned();
        if !self.confinement.is_none()
            && group(Some(after)).is_some_and(|group| !group.is_null())
            && group(Some(after)) != group(before)
        {
            return Err(Forbidden("a confined key may not put a consumer into a group".to_owned()));
        }
        Ok(())
    }

    /// Whether an object may be shown with its secrets in clear.
    pub fn reveal(&self, act: &Act<'_>) -> bool {
        if !self.secrets || self.permit(act).is_err() {
            return false;
        }
        let Sort::Resource(resource) = kinds::sort(act.kind, act.id) else {
            // Whole documents and differences hold what is outside of a confinement.
            return self.confinement.is_none();
        };
        self.confinement.is_none() || {
            let is_shown = act.before.is_some() || act.after.is_some();
            is_shown && self.confinement.holds(act, resource).is_ok()
        }
    }
}

/// What viewers may do.
fn views(verb: Verb, sort: Sort) -> bool {
    match verb {
        Verb::Read => !matches!(sort, Sort::Past | Sort::Unknown),
        // Validating changes nothing.
        Verb::Other => sort == Sort::Schema,
        Verb::Write | Verb::Delete => false,
    }
}

#[cfg(test)]
mod product_tests;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;
