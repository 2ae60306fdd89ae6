//! Where a token is carried: a header field, a query parameter or a cookie.

use std::borrow::Cow;

use bartizan_chain::RequestCx;
use bartizan_wire::{Fields, QueryFault};
use bytes::Bytes;

use crate::authenticate::binding::Scheme;
use crate::authenticate::token::Carried;

/// The only field in which the scheme `DPoP` means something (RFC 9449 §7.1).
const AUTHORIZATION: &str = "authorization";

/// Why what is carried is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CarrierFault {
    #[error("the {0} that carries the token occurs more than once")]
    Repeated(&'static str),
    #[error("the {0} that carries the token is no text")]
    NotText(&'static str),
}

/// The names of the three places.
#[derive(Debug)]
pub(super) struct Carriers {
    pub(super) header: Box<str>,
    pub(super) query: Box<str>,
    pub(super) cookie: Box<str>,
}

impl Carriers {
    /// The token that counts: of the field, else of the parameter, else of the cookie. All three
    /// must be unambiguous, whichever counts.
    pub(super) fn token<'r>(
        &self,
        fields: &'r Fields,
        query: Result<Option<Cow<'r, str>>, QueryFault>,
    ) -> Result<Option<Carried<'r>>, CarrierFault> {
        const FIELD: &str = "field";
        let header = fields.single(&self.header).map_err(|_| CarrierFault::Repeated(FIELD))?;
        let header = header
            .map(|value| std::str::from_utf8(value).map_err(|_| CarrierFault::NotText(FIELD)))
            .transpose()?;
        let query = query.map_err(|fault| match fault {
            QueryFault::Repeated => CarrierFault::Repeated("parameter"),
            QueryFault::NotText | QueryFault::NotScalar => CarrierFault::NotText("parameter"),
        })?;
        let cookie = self.cookie(fields)?;
        if let Some(value) = header {
            let proved = without(value, "dpop ").filter(|_| &*self.header == AUTHORIZATION);
            let scheme = if proved.is_some() { Scheme::Dpop } else { Scheme::Bearer };
            let text = Cow::Borrowed(proved.unwrap_or_else(|| without_scheme(value)));
            return Ok(Some(Carried { text, scheme }));
        }
        let text = query.or(cookie.map(Cow::Borrowed));
        Ok(text.map(|text| Carried { text, scheme: Scheme::Bearer }))
    }

    fn cookie<'r>(&self, fields: &'r Fields) -> Result<Option<&'r str>, CarrierFault> {
        let mut found = None;
        for (name, value) in fields.all("cookie").flat_map(crumbs).map(split) {
            if name == self.cookie.as_bytes() && found.replace(value).is_some() {
                return Err(CarrierFault::Repeated("cookie"));
            }
        }
        found
            .map(|value| std::str::from_utf8(value).map_err(|_| CarrierFault::NotText("cookie")))
            .transpose()
    }

    /// Takes the token out of what the upstream will see, wherever it is.
    pub(super) fn hide(&self, cx: &mut RequestCx) {
        cx.fields.remove(&self.header);
        self.hide_cookie(&mut cx.fields);
        if cx.canonical().query_value(&self.query) != Ok(None) {
            cx.hide_query(&self.query);
        }
    }

    /// Takes one cookie out and leaves the others as they are, in one field.
    fn hide_cookie(&self, fields: &mut Fields) {
        let is_ours = |crumb: &&[u8]| split(crumb).0 == self.cookie.as_bytes();
        if !fields.all("cookie").flat_map(crumbs).any(|crumb| is_ours(&crumb)) {
            return;
        }
        let others = |crumb: &&[u8]| !crumb.is_empty() && !is_ours(crumb);
        let kept: Vec<&[u8]> = fields.all("cookie").flat_map(crumbs).filter(others).collect();
        let kept = kept.join(&b"; "[..]);
        if kept.is_empty() {
            fields.remove("cookie");
        } else {
            fields.set(Bytes::from_static(b"cookie"), kept);
        }
    }
}

/// The cookies of a field (RFC 6265 §4.2.1), without the spaces around them.
fn crumbs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

/// Name and value; a crumb without `=` is a name. Spaces are taken off, as most servers do.
fn split(crumb: &[u8]) -> (&[u8], &[u8]) {
    let at = crumb.iter().position(|byte| *byte == b'=').unwrap_or(crumb.len());
    let (name, value) = crumb.split_at_checked(at).unwrap_or((crumb, &[]));
    (name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii())
}

/// The token without `Bearer` before it, in any case (RFC 9110 §11.1).
fn without_scheme(value: &str) -> &str {
    without(value, "bearer ").unwrap_or(value)
}

/// What follows a scheme.
fn without<'v>(value: &'v str, scheme: &str) -> Option<&'v str> {
    let (own, token) = value.split_at_checked(scheme.len())?;
    own.eq_ignore_ascii_case(scheme).then(|| token.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carriers() -> Carriers {
        let (header, query, cookie) = ("authorization".into(), "jwt".into(), "jwt".into());
        Carriers { header, query, cookie }
    }

    fn fields(list: &[(&'static str, &'static str)]) -> Fields {
        let mut fields = Fields::new();
        for &(name, value) in list {
            fields.append(name, value);
        }
        fields
    }

    fn token(
        list: &[(&'static str, &'static str)],
        query: Option<&'static str>,
    ) -> Result<Option<String>, CarrierFault> {
        let fields = fields(list);
        let found = carriers().token(&fields, Ok(query.map(Cow::Borrowed)));
        found.map(|token| token.map(|token| token.text.into_owned()))
    }

    #[test]
    fn the_scheme_is_taken_off_in_any_case() {
        for (value, expected) in [
            ("Bearer a.b.c", "a.b.c"),
            ("bearer a.b.c", "a.b.c"),
            ("BEARER   a.b.c", "a.b.c"),
            ("a.b.c", "a.b.c"),
            ("Bearer", "Bearer"),
            ("Bearera.b.c", "Bearera.b.c"),
            ("Basic YWxpY2U6eA==", "Basic YWxpY2U6eA=="),
            ("é bearer", "é bearer"),
        ] {
            assert_eq!(without_scheme(value), expected, "{value}");
        }
    }

    #[test]
    fn a_token_is_shown_with_dpop_in_authorization_only() {
        let shown = |header: &str, value: &'static str| {
            let carriers = Carriers { header: header.into(), ..carriers() };
            let mut fields = Fields::new();
            fields.append(Bytes::copy_from_slice(header.as_bytes()), value);
            let carried = carriers.token(&fields, Ok(None)).unwrap().unwrap();
            (carried.text.into_owned(), carried.scheme)
        };
        for value in ["DPoP a.b.c", "dpop   a.b.c"] {
            assert_eq!(shown("authorization", value), ("a.b.c".to_owned(), Scheme::Dpop));
            assert_eq!(shown("x-token", value), (value.to_owned(), Scheme::Bearer));
        }
        for value in ["Bearer a.b.c", "a.b.c"] {
            assert_eq!(shown("authorization", value), ("a.b.c".to_owned(), Scheme::Bearer));
        }
    }

    #[test]
    fn the_field_counts_before_the_parameter_before_the_cookie() {
        let (header, cookie) = (("authorization", "Bearer h"), ("cookie", "a=1; jwt=c"));
        for (list, query, expected) in [
            (&[header, cookie][..], Some("q"), Some("h")),
            (&[cookie], Some("q"), Some("q")),
            (&[cookie], None, Some("c")),
            (&[("cookie", "jwtx=c; xjwt=d")], None, None),
        ] {
            assert_eq!(token(list, query).unwrap().as_deref(), expected, "{list:?}");
        }
    }

    #[test]
    fn a_carrier_that_occurs_twice_is_refused_even_where_it_does_not_count() {
        let repeated = |list: &[_]| token(list, None).unwrap_err();
        for list in [
            &[("authorization", "h"), ("cookie", "jwt=a; jwt=b")][..],
            &[("cookie", "jwt=a"), ("cookie", "jwt=b")],
            &[("cookie", "jwt=a; jwt =b")],
            &[("cookie", "jwt; jwt=b")],
        ] {
            assert_eq!(repeated(list), CarrierFault::Repeated("cookie"), "{list:?}");
        }
        let twice = [("authorization", "a"), ("authorization", "b")];
        assert_eq!(repeated(&twice), CarrierFault::Repeated("field"));
        let fields = fields(&[("authorization", "h")]);
        let fault = carriers().token(&fields, Err(QueryFault::Repeated)).unwrap_err();
        assert_eq!(fault, CarrierFault::Repeated("parameter"));
    }

    #[test]
    fn one_cookie_is_taken_out_and_the_others_stay() {
        for (before, after) in [
            (&["a=1; jwt=x; b=2"][..], Some("a=1; b=2")),
            (&["jwt=x"], None),
            (&["jwt =x;;a=1"], Some("a=1")),
            (&["a=1", "jwt=x", "b=2"], Some("a=1; b=2")),
            (&["a=1;b=2"], Some("a=1;b=2")),
            (&["a=jwt; jwtx=1"], Some("a=jwt; jwtx=1")),
        ] {
            let list: Vec<_> = before.iter().map(|&value| ("cookie", value)).collect();
            let mut fields = fields(&list);
            carriers().hide_cookie(&mut fields);
            assert_eq!(fields.single("cookie").unwrap(), after.map(str::as_bytes), "{before:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_was_read_from_a_cookie_is_gone_afterwards(line in "[ajwt=; ]{0,40}") {
            let mut fields = Fields::new();
            fields.append("cookie", line.into_bytes());
            carriers().hide_cookie(&mut fields);
            proptest::prop_assert_eq!(carriers().cookie(&fields), Ok(None));
        }
    }
}
