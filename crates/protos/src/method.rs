//! A method of a service: what it takes and gives, as JSON.

use std::sync::Arc;

use prost_reflect::{FieldDescriptor, MessageDescriptor, MethodDescriptor};
use serde_json::{Map, Value};

use crate::Protos;
use crate::misfit::Misfit;
use crate::outline::Outlines;
use crate::status::Details;
use crate::to_json::{Style, Writer};
use crate::to_wire::{Encoder, of_text};

/// Why there is no method to be called with one message and answered with one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoMethod {
    /// There is no such service; these are there.
    Service(Vec<String>),
    /// The service has no such method; these are there.
    Method(Vec<String>),
    /// More than one message goes, or comes.
    Streams,
}

/// A method that takes one message and gives one.
#[derive(Clone, Debug)]
pub struct Method {
    path: String,
    input: MessageDescriptor,
    output: MessageDescriptor,
    outlines: Arc<Outlines>,
}

impl Protos {
    /// The method of a service, which is named with its package.
    pub fn method(&self, service: &str, method: &str) -> Result<Method, NoMethod> {
        let Some(found) = self.pool.get_service_by_name(service) else {
            return Err(NoMethod::Service(self.services().collect()));
        };
        let named = |this: &MethodDescriptor| this.name() == method;
        let Some(this) = found.methods().find(named) else {
            let names = found.methods().map(|this| this.name().to_owned());
            return Err(NoMethod::Method(names.collect()));
        };
        if this.is_client_streaming() || this.is_server_streaming() {
            return Err(NoMethod::Streams);
        }
        let path = format!("/{}/{}", found.full_name(), this.name());
        let outlines = self.outlines.clone();
        Ok(Method { path, input: this.input(), output: this.output(), outlines })
    }

    /// The type of details that go with errors, by its full name.
    pub fn details(&self, name: &str) -> Option<Details> {
        self.pool.get_message_by_name(name).map(|kind| Details::new(kind, self.outlines.clone()))
    }
}

impl Method {
    /// The path of its calls.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The message that a value describes, as it travels.
    pub fn input(&self, value: &Value) -> Result<Vec<u8>, Misfit> {
        Encoder::new(&self.outlines).message(&self.input, value, 1)
    }

    /// The message that parameters of a query or form describe: each names a field of the message
    /// itself, and what is a list may be named several times.
    pub fn input_of_parameters<'p>(
        &self,
        parameters: impl IntoIterator<Item = (&'p str, &'p str)>,
    ) -> Result<Vec<u8>, Misfit> {
        let mut members = Map::new();
        for (name, text) in parameters {
            let value = self.parameter(name, text).map_err(|misfit| misfit.in_field(name))?;
            match (value, members.get_mut(name)) {
                ((value, true), Some(Value::Array(items))) => items.push(value),
                ((value, true), _) => drop(members.insert(name.to_owned(), vec![value].into())),
                (_, Some(_)) => {
                    return Err(Misfit::new("the parameter is given twice").in_field(name));
                }
                ((value, false), None) => drop(members.insert(name.to_owned(), value)),
            }
        }
        self.input(&Value::Object(members))
    }

    /// The value of a parameter, and whether it is one of a list.
    fn parameter(&self, name: &str, text: &str) -> Result<(Value, bool), Misfit> {
        let field: Option<FieldDescriptor> =
            self.input.get_field_by_name(name).or_else(|| self.input.get_field_by_json_name(name));
        let field = field.ok_or_else(|| Misfit::new("there is no such field"))?;
        Ok((of_text(&field.kind(), text)?, field.is_list()))
    }

    /// The value of a message that came.
    pub fn output(&self, bytes: &[u8], style: Style) -> Result<Value, Misfit> {
        Writer::new(&self.outlines, style).message(&self.output, bytes, 1)
    }
}
