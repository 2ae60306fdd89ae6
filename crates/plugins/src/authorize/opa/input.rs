//! What the engine is told.

use bartizan_chain::RequestCx;
use bartizan_wire::decode_form;
use serde_json::{Map, Value, json};

/// What is told besides the request itself.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches of the configuration")]
pub(super) struct Input {
    pub(super) with_route: bool,
    pub(super) with_service: bool,
    pub(super) with_consumer: bool,
    pub(super) with_body: bool,
}

impl Input {
    /// The body of the call.
    pub(super) fn of(self, cx: &RequestCx) -> Vec<u8> {
        let mut input = json!({
            "type": "http",
            "request": request(cx),
            "var": {
                "server_addr": cx.peer.local.ip().to_canonical().to_string(),
                "server_port": cx.peer.local.port(),
                "remote_addr": cx.client().to_string(),
                "remote_port": cx.peer.address.port(),
                "timestamp": cx.received.as_secs(),
            },
        });
        let body = cx.body_value().filter(|_| self.with_body);
        if let (Some(body), Some(request)) = (body, input.get_mut("request")) {
            insert(request, "body", Some(body.clone()));
        }
        if self.with_route {
            insert(&mut input, "route", route(cx));
        }
        if self.with_service {
            insert(&mut input, "service", service(cx));
        }
        if self.with_consumer {
            insert(&mut input, "consumer", consumer(cx));
        }
        json!({ "input": input }).to_string().into_bytes()
    }
}

fn insert(into: &mut Value, key: &str, value: Option<Value>) {
    if let (Some(object), Some(value)) = (into.as_object_mut(), value) {
        object.insert(key.to_owned(), value);
    }
}

fn request(cx: &RequestCx) -> Value {
    // What was taken out of the request, such as a credential in its query, is not told.
    let outgoing = cx.outgoing();
    let headers = cx.fields.iter().map(|field| {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (text(field.name), text(field.value))
    });
    let decoded = |text: &str| decode_form(text).unwrap_or_else(|| text.to_owned());
    let query = outgoing.query_pairs().map(|(name, value)| (decoded(name), decoded(value)));
    json!({
        "scheme": cx.canonical().scheme(),
        "method": cx.canonical().method().as_str(),
        "host": cx.canonical().host(),
        "port": cx.peer.local.port(),
        "path": outgoing.path(),
        "headers": gathered(headers),
        "query": gathered(query),
    })
}

/// Names and values; the values of a name that occurs more than once are a list.
fn gathered(pairs: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in pairs {
        match all.get_mut(&name) {
            None => drop(all.insert(name, value.into())),
            Some(Value::Array(list)) => list.push(value.into()),
            Some(first) => *first = json!([first.take(), value]),
        }
    }
    all
}

fn route(cx: &RequestCx) -> Option<Value> {
    let matched = cx.matched()?;
    let mut route = json!({ "id": &*matched.route.id, "uri": &*matched.uri });
    insert(&mut route, "name", matched.route.name.as_deref().map(Value::from));
    insert(&mut route, "host", matched.host.as_deref().map(Value::from));
    Some(route)
}

fn service(cx: &RequestCx) -> Option<Value> {
    let route = &cx.matched()?.route;
    let mut service = json!({ "id": route.service_id.as_deref()? });
    insert(&mut service, "name", route.service_name.as_deref().map(Value::from));
    Some(service)
}

fn consumer(cx: &RequestCx) -> Option<Value> {
    let identity = cx.identity()?;
    let Some(consumer) = identity.consumer() else {
        return identity.subject().map(|subject| json!({ "subject": subject }));
    };
    let labels: Map<String, Value> =
        consumer.labels().map(|(name, value)| (name.to_owned(), Value::from(value))).collect();
    let mut told = json!({ "username": consumer.username(), "labels": labels });
    insert(&mut told, "group_id", consumer.group_id().map(Value::from));
    Some(told)
}
