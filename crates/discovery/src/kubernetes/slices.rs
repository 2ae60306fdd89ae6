//! What the API of Kubernetes says of slices of endpoints (`discovery.k8s.io/v1`).

use std::fmt;
use std::sync::Arc;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::SLICES_MAX;
use crate::fault::Fault;
use crate::found::{FOUND_MAX, Found};
use crate::read::{Host, List, Name, too_many};

/// The most ports of a slice. Kubernetes has 100 at most.
const PORTS_MAX: usize = 256;

/// A list of slices.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) items: List<Slice, SLICES_MAX>,
    pub(super) version: Name,
}

/// What an event of a watch says.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) change: Change,
    /// The version after it.
    pub(super) version: Name,
}

#[derive(Debug)]
pub(super) enum Change {
    Put(Slice),
    Gone(Name),
    Nothing,
}

#[derive(Deserialize)]
struct ListForm {
    metadata: MetaForm,
    // A list without any is written as `null` by some servers.
    items: Option<List<Slice, SLICES_MAX>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetaForm {
    #[serde(default)]
    name: Name,
    #[serde(default)]
    resource_version: Name,
}

/// A slice of the endpoints of a service.
#[derive(Debug, Deserialize)]
pub(super) struct Slice {
    #[serde(default)]
    metadata: MetaForm,
    #[serde(default)]
    endpoints: Option<Ready>,
    #[serde(default)]
    ports: Option<List<PortForm, PORTS_MAX>>,
    /// What an error that is told in place of a slice is called.
    code: Option<u32>,
}

/// The addresses of the endpoints that are ready. Nothing else is kept of endpoints.
#[derive(Debug, Default)]
struct Ready(Vec<Arc<str>>);

#[derive(Debug, Deserialize)]
struct EndpointForm {
    #[serde(default)]
    addresses: First,
    #[serde(default)]
    conditions: ConditionsForm,
}

/// The first of several: any one will do.
#[derive(Debug, Default)]
struct First(Option<Host>);

#[derive(Debug, Default, Deserialize)]
struct ConditionsForm {
    ready: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct PortForm {
    name: Option<Name>,
    port: Option<u16>,
    protocol: Option<Name>,
}

#[derive(Deserialize)]
struct EventForm {
    #[serde(rename = "type")]
    kind: Name,
    object: Slice,
}

/// Reads a list.
pub(super) fn list(body: &[u8]) -> Result<Listed, Fault> {
    let ListForm { metadata, items } = read(body)?;
    if metadata.resource_version.0.is_empty() {
        return Err(Fault::Malformed("the list has no version".to_owned()));
    }
    Ok(Listed { items: items.unwrap_or(List(Vec::new())), version: metadata.resource_version })
}

/// Reads an event of a watch. An error that it tells is a fault.
pub(super) fn event(line: &[u8]) -> Result<Event, Fault> {
    let EventForm { kind, object: slice } = read(line)?;
    if &*kind.0 == "ERROR" {
        let code = slice.code.map_or_else(|| "an error".to_owned(), |code| code.to_string());
        return Err(Fault::Refused(format!("{code} in its watch")));
    }
    let version = slice.metadata.resource_version.clone();
    if version.0.is_empty() {
        return Err(Fault::Malformed("an event has no version".to_owned()));
    }
    let change = match &*kind.0 {
        "ADDED" | "MODIFIED" => Change::Put(slice),
        "DELETED" => Change::Gone(slice.metadata.name),
        "BOOKMARK" => Change::Nothing,
        _ => return Err(Fault::Malformed("an event of an unknown type".to_owned())),
    };
    Ok(Event { change, version })
}

fn read<'a, T: Deserialize<'a>>(text: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(text).map_err(|error| Fault::Malformed(error.to_string()))
}

struct ReadyVisitor;

impl<'de> Visitor<'de> for ReadyVisitor {
    type Value = Ready;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of endpoints")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut endpoints: A) -> Result<Ready, A::Error> {
        let mut ready = Vec::new();
        while let Some(one) = endpoints.next_element::<EndpointForm>()? {
            // Not to say is to be ready.
            let is_ready = one.conditions.ready.unwrap_or(true);
            let Some(Host(host)) = one.addresses.0.filter(|_| is_ready) else { continue };
            if ready.len() >= FOUND_MAX {
                return Err(too_many(FOUND_MAX));
            }
            ready.push(host);
        }
        Ok(Ready(ready))
    }
}

impl<'de> Deserialize<'de> for Ready {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(ReadyVisitor)
    }
}

struct FirstVisitor;

impl<'de> Visitor<'de> for FirstVisitor {
    type Value = First;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of addresses")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut addresses: A) -> Result<First, A::Error> {
        let first = addresses.next_element()?;
        while addresses.next_element::<IgnoredAny>()?.is_some() {}
        Ok(First(first))
    }
}

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(FirstVisitor)
    }
}

impl Slice {
    /// Its name, and the servers in it that are ready, at the port of that name or number.
    pub(super) fn servers(self, port: &str, weight: u32) -> (Name, Vec<Found>) {
        let number = port.parse::<u16>().ok();
        let ports = self.ports.map(|ports| ports.0).unwrap_or_default();
        let fits = |one: &&PortForm| {
            one.protocol.as_ref().is_none_or(|protocol| &*protocol.0 == "TCP")
                && (one.name.as_ref().is_some_and(|name| &*name.0 == port)
                    || number.is_some() && one.port == number)
        };
        let Some(port) = ports.iter().filter(fits).find_map(|one| one.port) else {
            return (self.metadata.name, Vec::new());
        };
        let found = self.endpoints.unwrap_or_default().0.into_iter().map(|host| Found {
            host,
            port: Some(port),
            weight,
            priority: 0,
            name: None,
        });
        (self.metadata.name, found.collect())
    }
}
