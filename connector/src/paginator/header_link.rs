//! The next page's URL stands in the response's `Link` header (RFC 8288).

use serde::{Deserialize, Serialize};

use super::json_link::Link;
use super::{Answer, Paginate};
use crate::error::Error;
use crate::http::HttpResponse;
use crate::request::OutgoingRequest;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeaderLink {
    rel: String,
    #[serde(flatten)]
    link: Link,
}

impl HeaderLink {
    pub fn new(rel: String) -> Self {
        Self { rel, link: Link::default() }
    }
}

impl Paginate for HeaderLink {
    fn apply(&self, request: &mut OutgoingRequest) -> Result<(), Error> {
        self.link.apply(request);
        Ok(())
    }

    fn advance(&mut self, answer: &Answer<'_>) -> Result<bool, Error> {
        match link(answer.response, &self.rel) {
            Some(next) => self.link.advance(&next, answer),
            None => Ok(false),
        }
    }
}

/// The first link with this relation, in any `Link` header.
pub fn link(response: &HttpResponse, rel: &str) -> Option<String> {
    let headers = response.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("link"));
    headers.flat_map(|(_, value)| links(value)).find(|link| link.has(rel)).map(|link| link.target.to_owned())
}

struct LinkValue<'a> {
    target: &'a str,
    params: Vec<(&'a str, &'a str)>,
}

impl LinkValue<'_> {
    /// Relations are compared in any case, and several may stand in one parameter.
    fn has(&self, rel: &str) -> bool {
        let relations = self.params.iter().find(|(name, _)| name.eq_ignore_ascii_case("rel"));
        relations.is_some_and(|(_, value)| value.split_ascii_whitespace().any(|one| one.eq_ignore_ascii_case(rel)))
    }
}

/// `<target>; name=value; name="value", <target>…`. What does not fit ends the list.
fn links(mut rest: &str) -> Vec<LinkValue<'_>> {
    let mut links = Vec::new();
    while let Some(start) = rest.find('<') {
        let Some((target, behind)) = rest[start + 1..].split_once('>') else { break };
        let mut params = Vec::new();
        rest = behind.trim_start();
        while let Some(param) = rest.strip_prefix(';') {
            let end = param.find([';', ',', '=']).unwrap_or(param.len());
            let name = param[..end].trim();
            rest = param[end..].trim_start();
            let mut value = "";
            if let Some(behind) = rest.strip_prefix('=') {
                let behind = behind.trim_start();
                (value, rest) = match behind.strip_prefix('"') {
                    Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                    None => behind.split_at(behind.find([';', ',']).unwrap_or(behind.len())),
                };
                rest = rest.trim_start();
            }
            params.push((name, value.trim()));
        }
        links.push(LinkValue { target: target.trim(), params });
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_by_their_relation() {
        let cases = [
            (r#"<http://a/?p=2>; rel="next""#, Some("http://a/?p=2")),
            (r#"<a>; rel=prev, <b;,c>; title="x, <y>; rel=no"; REL=Next"#, Some("b;,c")),
            (r#"<a>; rel="prev last", </b?x=1>;rel="first next""#, Some("/b?x=1")),
            (r#"<a>; rel="nextish""#, None),
            ("<a>", None),
            ("", None),
            ("<a; rel=next", None),
        ];
        for (header, expected) in cases {
            let headers = vec![("link".to_owned(), header.to_owned())];
            let response = HttpResponse { headers, ..HttpResponse::default() };
            assert_eq!(link(&response, "next").as_deref(), expected, "{header}");
        }
    }
}
