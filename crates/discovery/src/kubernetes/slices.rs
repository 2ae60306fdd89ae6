//! What the API of Kubernetes says of slices of endpoints (`discovery.k8s.io/v1`).

use serde::Deserialize;

use crate::fault::Fault;
use crate::found::Found;

/// A list of slices.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) items: Vec<Slice>,
    pub(super) version: String,
}

/// What an event of a watch says.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) change: Change,
    /// The version after it.
    pub(super) version: String,
}

#[derive(Debug)]
pub(super) enum Change {
    Put(Slice),
    Gone(String),
    Nothing,
}

#[derive(Deserialize)]
struct ListForm {
    metadata: MetaForm,
    // A list without any is written as `null` by some servers.
    items: Option<Vec<Slice>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetaForm {
    #[serde(default)]
    name: String,
    #[serde(default)]
    resource_version: String,
}

/// A slice of the endpoints of a service.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Slice {
    metadata: MetaForm,
    #[serde(default)]
    endpoints: Option<Vec<EndpointForm>>,
    #[serde(default)]
    ports: Option<Vec<PortForm>>,
}

#[derive(Debug, Deserialize)]
struct EndpointForm {
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    conditions: ConditionsForm,
}

#[derive(Debug, Default, Deserialize)]
struct ConditionsForm {
    ready: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct PortForm {
    name: Option<String>,
    port: Option<u16>,
    protocol: Option<String>,
}

#[derive(Deserialize)]
struct EventForm {
    #[serde(rename = "type")]
    kind: String,
    object: serde_json::Value,
}

/// Reads a list.
pub(super) fn list(body: &[u8]) -> Result<Listed, Fault> {
    let ListForm { metadata, items } = read(body)?;
    if metadata.resource_version.is_empty() {
        return Err(Fault::Malformed("the list has no version".to_owned()));
    }
    Ok(Listed { items: items.unwrap_or_default(), version: metadata.resource_version })
}

/// Reads an event of a watch. An error that it tells is a fault.
pub(super) fn event(line: &[u8]) -> Result<Event, Fault> {
    let EventForm { kind, object } = read(line)?;
    if kind == "ERROR" {
        let code = object.get("code").and_then(serde_json::Value::as_u64);
        let code = code.map_or_else(|| "an error".to_owned(), |code| code.to_string());
        return Err(Fault::Refused(format!("{code} in its watch")));
    }
    let malformed = |error: serde_json::Error| Fault::Malformed(error.to_string());
    let slice: Slice = serde_json::from_value(object).map_err(malformed)?;
    let version = slice.metadata.resource_version.clone();
    if version.is_empty() {
        return Err(Fault::Malformed("an event has no version".to_owned()));
    }
    let change = match kind.as_str() {
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

impl Slice {
    /// Its name, and the servers in it that are ready, at the port of that name or number.
    pub(super) fn servers(self, port: &str, weight: u32) -> (String, Vec<Found>) {
        let number = port.parse::<u16>().ok();
        let ports = self.ports.unwrap_or_default();
        let fits = |one: &&PortForm| {
            one.protocol.as_deref().is_none_or(|protocol| protocol == "TCP")
                && (one.name.as_deref() == Some(port) || number.is_some() && one.port == number)
        };
        let Some(port) = ports.iter().filter(fits).find_map(|one| one.port) else {
            return (self.metadata.name, Vec::new());
        };
        let endpoints = self.endpoints.unwrap_or_default().into_iter();
        // Not to say is to be ready.
        let ready = endpoints.filter(|one| one.conditions.ready.unwrap_or(true));
        // Of several addresses any one will do, so that the first is enough.
        let addresses = ready.filter_map(|one| one.addresses.into_iter().next());
        let found = addresses.map(|address| Found {
            host: address.into(),
            port: Some(port),
            weight,
            priority: 0,
            name: None,
        });
        (self.metadata.name, found.collect())
    }
}
