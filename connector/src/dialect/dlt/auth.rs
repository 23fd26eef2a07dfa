//! `auth`: how requests are authenticated.
//!
//! A field that is left out becomes a reference to the secret of its name, as dlt looks missing fields up in its
//! secrets. Must never need a secret's value.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::grants::Grants;
use super::node::{Fields, Node};
use super::python::python_text;
use crate::plan::{ApiKeyLocation, Authentication, OAuth2, OAuth2Grant};

/// None: there is none to speak of; `check` has said why. Grants the origin of a token URL.
///
/// Codes: `missing-key` (a token URL), and those of `Grants::origin`.
pub(super) fn authentication(
    node: &Node<'_>,
    grants: &mut Grants,
    diagnostics: &mut Diagnostics,
) -> Option<Authentication> {
    let fields = node.fields();
    let kind = node.text().or_else(|| fields.text("type")).unwrap_or("bearer");
    let mut token_url = |key: &str| token_url(node, &fields, key, grants, diagnostics);
    Some(match kind {
        "bearer" => Authentication::Bearer { token: secret(&fields, "token") },
        "http_basic" => {
            Authentication::Basic { username: secret(&fields, "username"), password: secret(&fields, "password") }
        }
        "api_key" => Authentication::ApiKey {
            name: fields.text("name").unwrap_or("Authorization").to_owned(),
            value: secret(&fields, "api_key"),
            location: match fields.text("location") {
                Some("query" | "param") => ApiKeyLocation::Query,
                Some("cookie") => ApiKeyLocation::Cookie,
                _ => ApiKeyLocation::Header,
            },
        },
        "oauth2_client_credentials" => {
            Authentication::OAuth2(oauth2(&fields, token_url("access_token_url")?, OAuth2Grant::ClientCredentials))
        }
        "oauth2_refresh_token" => {
            let grant = OAuth2Grant::RefreshToken { refresh_token: secret(&fields, "refresh_token") };
            Authentication::OAuth2(oauth2(&fields, token_url("access_token_url")?, grant))
        }
        "oauth_jwt_bearer" => {
            let token_url = token_url("auth_endpoint")?;
            let grant = OAuth2Grant::JwtBearer {
                private_key: secret(&fields, "private_key"),
                private_key_passphrase: fields.text("private_key_passphrase").map(str::to_owned),
                audience: token_url.clone(),
                scopes: scopes(&fields),
            };
            Authentication::OAuth2(OAuth2 { client_secret: String::new(), ..oauth2(&fields, token_url, grant) })
        }
        _ => return None,
    })
}

fn oauth2(fields: &Fields<'_>, token_url: String, grant: OAuth2Grant) -> OAuth2 {
    let data = fields.fields("access_token_request_data");
    let data = data.entries.iter().filter(|(_, node)| !node.value.is_null());
    let expiration = fields.integer("default_token_expiration").and_then(|seconds| u32::try_from(seconds).ok());
    OAuth2 {
        grant,
        token_url,
        client_id: secret(fields, "client_id"),
        client_secret: secret(fields, "client_secret"),
        access_token: fields.text("access_token").map(str::to_owned),
        request_data: data.map(|(name, node)| ((*name).to_owned(), python_text(node.value))).collect(),
        default_expiration: expiration.unwrap_or(3600),
    }
}

/// What stands there, which is a reference after the host took the secret out; or a reference to the field's name.
fn secret(fields: &Fields<'_>, field: &str) -> String {
    fields.text(field).map_or_else(|| format!("${{secrets.{field}}}"), str::to_owned)
}

fn token_url(
    node: &Node<'_>,
    fields: &Fields<'_>,
    key: &str,
    grants: &mut Grants,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let Some(url) = fields.given(key) else {
        let message = format!("`{key}` is missing");
        let help = "the host must know where tokens come from; this cannot be a secret";
        diagnostics.push(Diagnostic::error("missing-key", &node.at, message).help(help));
        return None;
    };
    let text = url.text()?;
    grants.origin(text, &url.at, diagnostics)?;
    Some(text.to_owned())
}

/// dlt takes a list, or a text in which spaces part the scopes.
fn scopes(fields: &Fields<'_>) -> Vec<String> {
    fields.texts("scopes").iter().flat_map(|text| text.split_whitespace()).map(str::to_owned).collect()
}
