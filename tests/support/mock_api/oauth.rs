//! Routes that want a credential, and those that hand out tokens.

use serde_json::{Value, json};

use super::{Answer, Request, posts::posts_by_page};

const USER_AND_PASSWORD: &str = "Basic dXNlcjpwYXNzd29yZA==";
/// HMAC-SHA-256 of `/signed/posts` with the key `signing-secret-1`.
const SIGNATURE: &str = "71272989e4a84d33735377dbcba9afbbe389677b305f582dc69b8660cf8e0917";
const CLIENT_AND_SECRET: &str = "Basic dGVzdC1hY2NvdW50LWlkOnRlc3QtY2xpZW50LXNlY3JldA==";

pub(super) fn route(request: &Request<'_>) -> Option<Answer> {
    let refusal = || Answer::json(&json!({"error": "Unauthorized"})).with_status(401);
    let authorization = request.header("authorization");
    let guard = |granted: bool| if granted { posts_by_page(request).into() } else { refusal() };
    let token = |granted: bool, body: Value| if granted { Answer::from(body) } else { refusal() };
    let answer = match (request.method, request.segments) {
        ("GET", ["protected", "posts", "basic-auth"]) => guard(authorization == Some(USER_AND_PASSWORD)),
        ("GET", ["protected", "posts", "bearer-token"]) => guard(authorization == Some("Bearer test-token")),
        ("GET", ["protected", "posts", "bearer-token-plain-text-error"]) => {
            if authorization == Some("Bearer test-token") {
                posts_by_page(request).into()
            } else {
                Answer::text("text/plain", "Unauthorized").with_status(401)
            }
        }
        ("GET", ["protected", "posts", "api-key"]) => guard(request.header("x-api-key") == Some("test-api-key")),
        ("GET", ["signed", "posts"]) => {
            token(request.header("x-signature") == Some(SIGNATURE), json!([{"id": 1}, {"id": 2}]))
        }
        ("POST", ["oauth", "token"]) => {
            token(knows_client(request), json!({"access_token": "test-token", "expires_in": 3600}))
        }
        ("POST", ["oauth", "token-expires-now"]) => {
            token(knows_client(request), json!({"access_token": "test-token", "expires_in": 0}))
        }
        // Each refresh token is good for once, and brings the next one.
        ("POST", ["oauth", "rotate"]) => {
            let spent = form_value(request, "refresh_token");
            json!({"access_token": "test-token", "refresh_token": format!("{spent}-next")}).into()
        }
        ("POST", ["auth", "refresh"]) => {
            if request.json()["refresh_token"] == "valid-refresh-token" {
                json!({"access_token": "new-valid-token"}).into()
            } else {
                Answer::json(&json!({"error": "Invalid refresh token"})).with_status(401)
            }
        }
        ("POST", ["custom-oauth", "token"]) => {
            let granted = form_value(request, "grant_type") == "account_credentials"
                && form_value(request, "account_id") == "test-account-id"
                && authorization == Some(CLIENT_AND_SECRET);
            token(granted, json!({"access_token": "test-token", "expires_in": 3600}))
        }
        _ => return None,
    };
    Some(answer)
}

fn knows_client(request: &Request<'_>) -> bool {
    let grant = form_value(request, "grant_type");
    grant.contains("jwt-bearer")
        || (grant.contains("client_credentials")
            && form_value(request, "client_id") == "test-client-id"
            && form_value(request, "client_secret") == "test-client-secret")
}

fn form_value(request: &Request<'_>, name: &str) -> String {
    request.form().remove(name).and_then(|values| values.into_iter().next()).unwrap_or_default()
}
