//! A plan's request, filled and encoded as it goes on the wire.
//!
//! The query is form-encoded and put behind one that the path already has, lists are repeated, nulls left out; how other
//! values are written is the dialect's. Sets no header that the host owns (Authorization, Cookie, Host, User-Agent, Accept-Encoding) unless the configuration does.

use serde_json::{Map, Value};
use url::Url;

use crate::address;
use crate::error::Error;
use crate::expression::{Context, Expression, Writer};
use crate::http::HttpRequest;
use crate::plan::{Body, Request, ResponseAction, Target};
use crate::response_action;
use crate::selector::{Key, Selector};

/// A request whose values are known, in the shape in which paginators change it.
#[derive(Debug, Clone)]
pub struct OutgoingRequest {
    pub method: String,
    /// Absolute; its query, if it has one, stays in front of the parameters.
    pub url: String,
    pub params: Vec<(String, Value)>,
    /// Of the paginator's parameters those that stand in the URL, as `address::page_marker` writes them.
    pub path_params: Vec<String>,
    pub headers: Vec<(String, String)>,
    pub body: OutgoingBody,
    pub credential: Option<String>,
    pub writer: Writer,
}

#[derive(Debug, Clone, PartialEq)]
pub enum OutgoingBody {
    Empty,
    Json(Value),
    Form(Vec<(String, Value)>),
    Raw(String),
}

/// Evaluates the expressions. Parameters, headers and fields whose value is missing are left out; a URL can't be: then
/// `no_bound` says what to do.
pub fn fill(request: &Request, context: &Context, no_bound: &str) -> Result<OutgoingRequest, Error> {
    let writer = request.writer;
    let value = |expression: &Expression| expression.evaluate(context).map_err(Error::BadData);
    let text = |expression: &Expression| expression.text(context, writer).map_err(Error::BadData);
    let pairs = |expressions: &[(Expression, Expression)]| -> Result<Vec<(String, Value)>, Error> {
        let mut filled = Vec::new();
        for (name, expression) in expressions {
            if let (Some(name), Some(value)) = (text(name)?, value(expression)?)
                && !value.is_null()
            {
                filled.push((name, value));
            }
        }
        Ok(filled)
    };
    let url = address::fill(&request.base_url, &request.path, context, writer).map_err(Error::BadData)?;
    let url = url.ok_or_else(|| Error::Other(no_bound.to_owned()))?;
    let mut headers = Vec::new();
    for (name, value) in &request.headers {
        if let (Some(name), Some(value)) = (text(name)?, text(value)?) {
            headers.push((name, value.trim().to_owned()));
        }
    }
    let body = match &request.body {
        Body::Empty => OutgoingBody::Empty,
        Body::Json(expression) => value(expression)?.map_or(OutgoingBody::Empty, OutgoingBody::Json),
        Body::Form(expressions) => OutgoingBody::Form(pairs(expressions)?),
        Body::Raw(expression) => text(expression)?.map_or(OutgoingBody::Empty, OutgoingBody::Raw),
    };
    let mut filled = OutgoingRequest {
        method: request.method.clone(),
        url,
        params: pairs(&request.params)?,
        path_params: request.path_params(),
        headers,
        body,
        credential: request.credential.clone(),
        writer,
    };
    for (target, expression) in &request.injections {
        if let Some(value) = value(expression)? {
            filled.set(target, value)?;
        }
    }
    Ok(filled)
}

impl OutgoingRequest {
    /// Writes a value of a paginator or a cursor, over what the configuration says.
    pub fn set(&mut self, target: &Target, value: Value) -> Result<(), Error> {
        match target {
            Target::Param(name) if self.path_params.contains(name) => {
                let marker = address::page_marker(name);
                let behind = self.url.split_once(&marker).map_or("", |(before, _)| before);
                let text = address::value_behind(behind, &self.writer.text(&value)).map_err(Error::BadData)?;
                self.url = self.url.replace(&marker, &text);
            }
            // A cursor of several parts (`{"continue": "-||", "apcontinue": "X"}`): a parameter for each.
            Target::Param(name) => match value {
                Value::Object(parts) => parts.into_iter().for_each(|(name, value)| self.set_param(&name, value)),
                value => self.set_param(name, value),
            },
            Target::Body(path) => match &mut self.body {
                OutgoingBody::Form(pairs) => replace(pairs, path, value),
                OutgoingBody::Raw(_) => {
                    return Err(Error::other(format!("the paginator can't write `{path}` into a body that is a text")));
                }
                OutgoingBody::Empty => {
                    let mut body = Value::Object(Map::new());
                    set_path(&mut body, &body_keys(path).map_err(Error::Other)?, value);
                    self.body = OutgoingBody::Json(body);
                }
                OutgoingBody::Json(body) => set_path(body, &body_keys(path).map_err(Error::Other)?, value),
            },
        }
        Ok(())
    }

    pub fn set_param(&mut self, name: &str, value: Value) {
        replace(&mut self.params, name, value);
    }

    /// Goes to a next link: the parameters are dropped, since the link carries what it needs; the rest stays.
    pub fn follow(&mut self, link: &str) {
        self.url = link.to_owned();
        self.params.clear();
        self.path_params.clear();
    }

    /// The URL with all its parameters, normalized.
    pub fn full_url(&self) -> Result<String, Error> {
        // A cursor has no value in front of the first page.
        let empty = |url: String, param: &String| url.replace(&address::page_marker(param), "");
        let url = self.path_params.iter().fold(self.url.clone(), empty);
        let mut url = Url::parse(&url).map_err(|error| Error::other(format!("{url}: {error}")))?;
        url.set_fragment(None);
        let query = encode(&self.params, self.writer);
        if !query.is_empty() {
            let joined = match url.query() {
                None | Some("") => query,
                Some(present) => format!("{present}&{query}"),
            };
            url.set_query(Some(&joined));
        }
        Ok(url.into())
    }

    /// As it goes to the host, with the reserved headers that say which credential to attach and which statuses to
    /// retry.
    pub fn encode(&self, actions: &[ResponseAction]) -> Result<HttpRequest, Error> {
        let mut headers = self.headers.clone();
        let mut default = |name: &str, value: &str| {
            if !headers.iter().any(|(present, _)| present.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), value.to_owned()));
            }
        };
        default("Accept", "*/*");
        let body = match &self.body {
            OutgoingBody::Json(value) => {
                default("Content-Type", "application/json");
                value.to_string().into_bytes()
            }
            OutgoingBody::Form(pairs) if !pairs.is_empty() => {
                default("Content-Type", "application/x-www-form-urlencoded");
                encode(pairs, self.writer).into_bytes()
            }
            OutgoingBody::Raw(text) => text.clone().into_bytes(),
            OutgoingBody::Empty | OutgoingBody::Form(_) => Vec::new(),
        };
        // Only the connector speaks to the host: a configuration can't ask for another credential by header.
        headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("airlock-"));
        headers.push(("airlock-credential".to_owned(), self.credential.clone().unwrap_or_else(|| "none".to_owned())));
        headers.extend(response_action::reserved_headers(actions));
        Ok(HttpRequest { method: self.method.clone(), url: self.full_url()?, headers, body })
    }
}

fn replace(pairs: &mut Vec<(String, Value)>, name: &str, value: Value) {
    match pairs.iter_mut().find(|(present, _)| present == name) {
        Some((_, present)) => *present = value,
        None => pairs.push((name.to_owned(), value)),
    }
}

/// The keys of a path into a body: `a.b`, `['a.b'].c`, `a[0]`.
pub fn body_keys(path: &str) -> Result<Vec<Key>, String> {
    if !path.contains('[') {
        return Ok(path.split('.').map(|name| Key::Name(name.to_owned())).collect());
    }
    match Selector::parse(path)?.into_keys() {
        Some(keys) => Ok(keys),
        None => Err(format!("`{path}` names more than one place")),
    }
}

/// Writes at a path, making objects on the way (and in place of what is none).
fn set_path(body: &mut Value, keys: &[Key], value: Value) {
    let mut place = body;
    for key in keys {
        let item = match key {
            Key::Index(index) => usize::try_from(*index).ok().filter(|index| place.get(index).is_some()),
            Key::Name(_) => None,
        };
        place = match (item, key) {
            (Some(index), _) => &mut place[index],
            (None, key) => {
                if !place.is_object() {
                    *place = Value::Object(Map::new());
                }
                let name = match key {
                    Key::Name(name) => name.clone(),
                    Key::Index(index) => index.to_string(),
                };
                let Value::Object(object) = place else { return };
                object.entry(name).or_insert(Value::Null)
            }
        };
    }
    *place = value;
}

/// Form-encoded pairs.
fn encode(pairs: &[(String, Value)], writer: Writer) -> String {
    let mut encoded: Vec<String> = Vec::new();
    let mut push = |name: &str, value: &Value| {
        if !value.is_null() {
            encoded.push(format!("{}={}", address::form_encoded(name), address::form_encoded(&writer.text(value))));
        }
    };
    for (name, value) in pairs {
        match value {
            Value::Array(values) => values.iter().for_each(|value| push(name, value)),
            value => push(name, value),
        }
    }
    encoded.join("&")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::expression::tests::{PLAIN, of_slice};
    use crate::plan::PathPart;

    fn text(text: &str) -> Expression {
        Expression::constant(text)
    }

    fn request(url: &str, params: &[(&str, Value)], body: Body) -> Request {
        Request {
            method: "GET".to_owned(),
            base_url: String::new(),
            path: vec![PathPart::Literal(url.to_owned())],
            headers: Vec::new(),
            params: params.iter().map(|(key, value)| (text(key), Expression::Constant(value.clone()))).collect(),
            body,
            credential: None,
            injections: Vec::new(),
            writer: PLAIN,
        }
    }

    fn url(request: &Request) -> String {
        fill(request, &Context::default(), "").unwrap().full_url().unwrap()
    }

    #[test]
    fn the_query_is_encoded_as_a_form() {
        let params = [
            ("i", json!(1)),
            ("f", json!(1.5)),
            ("b", json!(true)),
            ("n", json!(null)),
            ("l", json!(["a", "b", null])),
            ("s", json!("a b&c")),
            ("e", json!("")),
            ("braces", json!("{x}")),
            ("u", json!("ü")),
        ];
        let expected = "i=1&f=1.5&b=true&l=a&l=b&s=a+b%26c&e=&braces=%7Bx%7D&u=%C3%BC";
        assert_eq!(url(&request("http://h/p", &params, Body::Empty)), format!("http://h/p?{expected}"));
        assert_eq!(url(&request("http://h/p?q=1#x", &[("a", json!(2))], Body::Empty)), "http://h/p?q=1&a=2");
        assert_eq!(url(&request("http://h/a b", &[], Body::Empty)), "http://h/a%20b");
    }

    #[test]
    fn bodies_and_their_content_types() {
        let form = |pairs: &[(&str, Value)]| {
            Body::Form(pairs.iter().map(|(k, v)| (text(k), Expression::Constant(v.clone()))).collect())
        };
        let cases = [
            (Body::Json(Expression::Constant(json!({}))), "{}", Some("application/json")),
            (form(&[("k", json!("1")), ("k", json!(true))]), "k=1&k=true", Some("application/x-www-form-urlencoded")),
            (form(&[]), "", None),
            (Body::Raw(text("5")), "5", None),
            (Body::Empty, "", None),
        ];
        for (body, sent_text, content_type) in cases {
            let filled = fill(&request("http://h", &[], body), &Context::default(), "").unwrap();
            let sent = filled.encode(&[]).unwrap();
            assert_eq!(String::from_utf8(sent.body).unwrap(), sent_text);
            let found = sent.headers.iter().find(|(name, _)| name == "Content-Type").map(|(_, value)| value.as_str());
            assert_eq!(found, content_type, "{sent_text}");
            assert!(sent.headers.contains(&("Accept".to_owned(), "*/*".to_owned())));
            assert!(sent.headers.contains(&("airlock-credential".to_owned(), "none".to_owned())));
        }
    }

    #[test]
    fn the_configurations_headers_win_except_for_reserved_ones() {
        let mut plan = request("http://h", &[], Body::Json(Expression::Constant(json!([1]))));
        for (name, value) in [("accept", "text/csv"), ("content-type", "x/y"), ("Airlock-Credential", "stolen")] {
            plan.headers.push((text(name), text(value)));
        }
        plan.credential = Some("client".to_owned());
        let sent = fill(&plan, &Context::default(), "").unwrap().encode(&[]).unwrap();
        let headers: Vec<String> = sent.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(headers, ["accept: text/csv", "content-type: x/y", "airlock-credential: client"]);
    }

    #[test]
    fn paginators_write_into_query_and_body() {
        let mut filled =
            fill(&request("http://h", &[("page", json!(9))], Body::Empty), &Context::default(), "").unwrap();
        filled.set(&Target::Param("page".to_owned()), json!(1)).unwrap();
        assert_eq!(filled.full_url().unwrap(), "http://h/?page=1");
        filled.set(&Target::Body("q.page.offset".to_owned()), json!(0)).unwrap();
        filled.set(&Target::Body("q.page.limit".to_owned()), json!(5)).unwrap();
        assert_eq!(filled.body, OutgoingBody::Json(json!({"q": {"page": {"offset": 0, "limit": 5}}})));
        for (path, expected) in [
            ("['page.token']", json!({"page.token": 0})),
            ("a['b.c'].d", json!({"a": {"b.c": {"d": 0}}})),
            ("q[1].after", json!({"q": [{}, {"after": 0}]})),
        ] {
            let q = if path.starts_with('q') { json!({"q": [{}, {}]}) } else { json!({}) };
            filled.body = OutgoingBody::Json(q);
            filled.set(&Target::Body(path.to_owned()), json!(0)).unwrap();
            assert_eq!(filled.body, OutgoingBody::Json(expected), "{path}");
        }
        let cursor = json!({"continue": "-||", "apcontinue": "B"});
        filled.set(&Target::Param("continue".to_owned()), cursor).unwrap();
        assert_eq!(filled.full_url().unwrap(), "http://h/?page=1&continue=-%7C%7C&apcontinue=B");
        filled.body = OutgoingBody::Raw("x".to_owned());
        assert!(filled.set(&Target::Body("a".to_owned()), json!(0)).is_err());
    }

    #[test]
    fn a_paginator_writes_into_the_path() {
        let mut plan = request("http://h/list/", &[("q", json!(1))], Body::Empty);
        plan.path.extend([PathPart::Page("page".to_owned()), PathPart::Literal("/x".to_owned())]);
        let mut filled = fill(&plan, &Context::default(), "").unwrap();
        assert_eq!(filled.full_url().unwrap(), "http://h/list//x?q=1");
        filled.set(&Target::Param("page".to_owned()), json!(3)).unwrap();
        assert_eq!(filled.full_url().unwrap(), "http://h/list/3/x?q=1");
    }

    #[test]
    fn expressions_without_a_value_leave_their_parameter_out() {
        let mut plan = request("http://h/", &[("kept", json!(1))], Body::Json(Expression::List(vec![of_slice("id")])));
        plan.path.push(PathPart::Value(of_slice("id")));
        plan.params.push((text("since"), of_slice("unknown")));
        plan.injections = vec![
            (Target::Param("kept".to_owned()), of_slice("id")),
            (Target::Param("from".to_owned()), of_slice("unknown")),
        ];
        let Value::Object(slice) = json!({"id": 7, "unknown": null}) else { return };
        let mut context = Context { slice, interval: None };
        let filled = fill(&plan, &context, "").unwrap();
        assert_eq!(filled.full_url().unwrap(), "http://h/7?kept=7");
        assert_eq!(filled.body, OutgoingBody::Json(json!([7])));
        context.slice.clear();
        assert!(matches!(fill(&plan, &context, ""), Err(Error::BadData(_))));
        plan.path = vec![PathPart::Value(of_slice("unknown"))];
        context.slice.insert("unknown".to_owned(), Value::Null);
        assert!(matches!(fill(&plan, &context, "give it one"), Err(Error::Other(text)) if text == "give it one"));
    }
}
