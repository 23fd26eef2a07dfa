//! The grammar of `auth`. Must mark every field that may hold a secret as `Secret`.

use super::super::shape::{Key, Object, Shape, Tagged, Variant, key};

pub(super) const AUTH: Shape = Shape::Either(&[Shape::Choice(TYPES), Shape::Tagged(&TAGGED)]);

/// A bare type: every field is taken from the secret of its name.
const TYPES: &[&str] =
    &["bearer", "api_key", "http_basic", "oauth2_client_credentials", "oauth2_refresh_token", "oauth_jwt_bearer"];

const TAGGED: Tagged = Tagged {
    name: "auth",
    description: "How requests are authenticated. A field that is left out is taken from the secret of its name, such \
                  as `${secrets.token}`.",
    default: Some("bearer"),
    variants: &[
        Variant {
            tags: &["bearer"],
            object: variant(
                "bearer",
                "`Authorization: Bearer TOKEN`.",
                &[&[key("token", Shape::Secret, "The token.")]],
            ),
        },
        Variant {
            tags: &["api_key"],
            object: variant(
                "api_key",
                "A key in a header, query parameter or cookie, as it stands.",
                &[&[
                    key("name", Shape::Text, "Name of the header, parameter or cookie. Default: `Authorization`."),
                    key("api_key", Shape::Secret, "The key."),
                    key("location", Shape::Choice(LOCATIONS), "Where it goes. Default: `header`."),
                ]],
            ),
        },
        Variant {
            tags: &["http_basic"],
            object: variant(
                "http_basic",
                "A user name and a password (RFC 7617).",
                &[&[key("username", Shape::Secret, "The user name."), key("password", Shape::Secret, "The password.")]],
            ),
        },
        Variant {
            tags: &["oauth2_client_credentials"],
            object: variant(
                "oauth2_client_credentials",
                "OAuth 2.0 with client credentials (RFC 6749, section 4.4).",
                &[TOKEN_KEYS],
            ),
        },
        Variant {
            tags: &["oauth2_refresh_token"],
            object: variant(
                "oauth2_refresh_token",
                "OAuth 2.0 with a refresh token (RFC 6749, section 6). Not in dlt.",
                &[TOKEN_KEYS, &[key("refresh_token", Shape::Secret, "The refresh token.")]],
            ),
        },
        Variant {
            tags: &["oauth_jwt_bearer"],
            object: variant(
                "oauth_jwt_bearer",
                "OAuth 2.0 with a signed assertion (RFC 7523): dlt's class OAuthJWTAuth, with its fields.",
                &[&[
                    key("client_id", Shape::Secret, "Issuer and subject of the assertion."),
                    key("private_key", Shape::Secret, "The key that signs, as PEM."),
                    key("private_key_passphrase", Shape::Secret, "Of an encrypted key."),
                    key("auth_endpoint", Shape::Text, "Where tokens come from; the audience too. Must be written."),
                    key("scopes", Shape::Either(&[Shape::Text, Shape::List(&Shape::Text)]), "Scopes to ask for."),
                    key("default_token_expiration", Shape::Integer(0), EXPIRATION),
                    key("headers", Shape::Python("remove it: the token request's headers are fixed"), "Not supported."),
                    key("session", Shape::Python(SESSION), "Python only."),
                ]],
            ),
        },
    ],
};

const fn variant(name: &'static str, description: &'static str, keys: &'static [&'static [Key]]) -> Object {
    Object { name, description, keys, free_prefix: None }
}

const LOCATIONS: &[&str] = &["header", "query", "param", "cookie"];
const EXPIRATION: &str = "Seconds that a token lives when the answer does not say. Default: 3600.";
const SESSION: &str = "remove it: the host fetches tokens";

const TOKEN_KEYS: &[Key] = &[
    key("access_token_url", Shape::Text, "Where tokens come from. Must be written."),
    key("client_id", Shape::Secret, "The client's id."),
    key("client_secret", Shape::Secret, "The client's secret."),
    key("access_token", Shape::Secret, "A token to begin with."),
    key("access_token_request_data", Shape::Map(&Shape::SecretScalar), "Further fields of the token request."),
    key("default_token_expiration", Shape::Integer(0), EXPIRATION),
    key("session", Shape::Python(SESSION), "Python only."),
];
