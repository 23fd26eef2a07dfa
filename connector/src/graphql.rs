//! GraphQL answers 200 when it fails, too: what went wrong stands in `errors`, and `data` is null or has holes.

use serde_json::Value;

use crate::document::{self, Document, Kind};
use crate::error::{Error, excerpt};
use crate::request::{OutgoingBody, OutgoingRequest};

/// A list of errors in the answer to a GraphQL query, or beside `data: null`, is no data.
pub fn refuse_errors(request: &OutgoingRequest, document: &Document) -> Result<(), Error> {
    let Some(errors) = document.field("errors").filter(|raw| document::kind(raw) == Kind::Array) else {
        return Ok(());
    };
    let has_no_data = document.field("data").is_some_and(|raw| document::kind(raw) == Kind::Null);
    if document::is_empty_array(errors) || !(has_no_data || is_query(request)) {
        return Ok(());
    }
    let items = document::items(errors).unwrap_or_default();
    let first = items.first().copied().unwrap_or_default();
    let message = document::field(first, "message").map(document::value);
    let said = message.as_ref().and_then(Value::as_str).unwrap_or(first);
    let more = if items.len() > 1 { format!(" (and {} more)", items.len() - 1) } else { String::new() };
    let (method, url) = (&request.method, &request.url);
    Err(Error::BadData(format!("{method} {url}: the response has errors: {}{more}", excerpt(said))))
}

/// `query` in the body, or a document in braces among the parameters.
fn is_query(request: &OutgoingRequest) -> bool {
    match &request.body {
        OutgoingBody::Json(body) => body.get("query").is_some_and(Value::is_string),
        OutgoingBody::Raw(text) => document::field(text, "query").is_some_and(|raw| raw.starts_with('"')),
        OutgoingBody::Form(pairs) => pairs.iter().any(|(name, _)| name == "query"),
        OutgoingBody::Empty => request
            .params
            .iter()
            .any(|(name, value)| name == "query" && value.as_str().is_some_and(|t| t.contains('{'))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::expression::tests::PLAIN;

    fn refused(body: OutgoingBody, answer: &Value) -> Option<String> {
        let request = OutgoingRequest {
            method: "POST".to_owned(),
            url: "http://h/graphql".to_owned(),
            params: Vec::new(),
            path_params: Vec::new(),
            headers: Vec::new(),
            body,
            credential: None,
            writer: PLAIN,
        };
        let document = Document::parse(answer.to_string()).unwrap();
        refuse_errors(&request, &document).err().map(|error| error.message().to_owned())
    }

    #[test]
    fn errors_are_no_data() {
        let query = || OutgoingBody::Json(json!({"query": "{ a }"}));
        let errors = json!([{"message": "no such field"}, {}]);
        for (body, answer) in [
            (query(), json!({"errors": errors, "data": null})),
            (query(), json!({"errors": errors, "data": {"a": null, "b": [1]}})),
            (query(), json!({"errors": errors})),
            (OutgoingBody::Empty, json!({"errors": errors, "data": null})),
        ] {
            let said = refused(body, &answer).unwrap();
            assert!(said.contains("no such field (and 1 more)"), "{said}");
        }
        for (body, answer) in [
            (query(), json!({"errors": [], "data": {"a": 1}})),
            (query(), json!({"errors": null, "data": {"a": 1}})),
            (query(), json!({"data": null})),
            (OutgoingBody::Empty, json!({"errors": errors, "data": [1]})),
            (OutgoingBody::Empty, json!([1])),
        ] {
            assert_eq!(refused(body, &answer), None, "{answer}");
        }
    }
}
