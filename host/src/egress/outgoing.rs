//! A request with the secrets filled in that it names (`headers: {x-key: ${secrets.key}}`, a next link that repeats
//! one): the connector only ever sees and sends their names.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use url::Url;

use super::Request;
use super::grant::Grants;
use super::references::{Known, Place, References};
use crate::error::{Error, ErrorKind, Result};

/// Errors (`Denied`): a secret belongs to one origin and stands in a request to another. Then nothing is sent, not even
/// its name. `LimitExceeded`: what is filled in has more than `most` bytes.
pub(super) fn filled(
    references: &References,
    grants: &Grants,
    request: &Request,
    most: usize,
) -> Result<(Url, HeaderMap, Bytes)> {
    let (mut url, mut headers, mut body) = (request.url.clone(), request.headers.clone(), request.body.clone());
    let origin = url.origin().ascii_serialization();
    let mut expansion = 0_usize;
    let mut allowed = |known: &Known| match known.origins.contains(&origin) {
        true => {
            expansion = expansion.saturating_add(known.bytes());
            if expansion <= most {
                return Ok(());
            }
            let message = format!("the secrets that are filled into one request are larger than {most} bytes");
            Err(Error::new(ErrorKind::LimitExceeded, message).with_help("raise host.limits.request_bytes"))
        }
        false => {
            let message = format!(
                "the connector wanted the secret `{}` sent to {origin}, which it does not belong to",
                known.name
            );
            Err(grants.with_binding_help(Error::new(ErrorKind::Denied, message), &known.name, &origin))
        }
    };
    if let Some(path) = references.fill(request.url.path(), Place::Path, &mut allowed)? {
        url.set_path(&path);
    }
    if let Some(query) = request.url.query()
        && let Some(query) = references.fill(query, Place::Query, &mut allowed)?
    {
        url.set_query(Some(&query));
    }
    for value in headers.values_mut() {
        let Some(text) = value.to_str().ok() else { continue };
        let Some(filled) = references.fill(text, Place::Header, &mut allowed)? else { continue };
        let mut filled = HeaderValue::from_str(&filled).map_err(|_| {
            Error::new(ErrorKind::Config, "a secret has characters that no header may have")
                .with_help("a line break at the end of a file or of a command's output is taken off; others must go")
        })?;
        filled.set_sensitive(true);
        *value = filled;
    }
    if let Ok(text) = std::str::from_utf8(&body) {
        let is_json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| is_json(kind.as_bytes()));
        let place = if is_json { Place::Json } else { Place::Text };
        if let Some(filled) = references.fill(text, place, &mut allowed)? {
            body = filled.into();
        }
    }
    Ok((url, headers, body))
}

/// `application/json`, `application/vnd.api+json; charset=utf-8`.
fn is_json(content_type: &[u8]) -> bool {
    let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    kind.to_ascii_lowercase().ends_with(b"json")
}
