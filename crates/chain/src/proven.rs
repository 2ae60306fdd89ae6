//! What schemas have proved of a request, for plugins that look for attacks in values.

use std::ops::Range;

/// Values of a request that a schema leaves no room for harm in: numbers, booleans, null, one of a
/// list, identifiers, dates, addresses.
///
/// Stated by plugins of the Validate stage, of requests that they would have refused otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proven {
    /// The names of parameters of the query, decoded.
    pub query: Vec<Box<str>>,
    /// The names of header fields, in lower case.
    pub fields: Vec<Box<str>>,
    /// The names of cookies, decoded.
    pub cookies: Vec<Box<str>>,
    /// Where values of the JSON body stand in it, in bytes, strings with their quotation marks.
    pub json: Vec<Range<usize>>,
    /// The names of parameters of the query that the schema states, decoded: what clients may choose
    /// of them is which of them they send.
    pub query_names: Vec<Box<str>>,
    /// Where values of the JSON body stand in it of which the schema states the names of all members
    /// on the way.
    pub json_names: Vec<Range<usize>>,
}

impl Proven {
    /// Takes in what another plugin has proved.
    pub(crate) fn add(&mut self, mut other: Self) {
        self.query.append(&mut other.query);
        self.fields.append(&mut other.fields);
        self.cookies.append(&mut other.cookies);
        self.json.append(&mut other.json);
        self.query_names.append(&mut other.query_names);
        self.json_names.append(&mut other.json_names);
    }
}
