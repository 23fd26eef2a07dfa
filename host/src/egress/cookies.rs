//! Cookies that servers set, kept for a run (RFC 6265). They are the host's: a connector sees none of them.
//!
//! Each instance has a jar of its own, so that two lists that a server keeps in two sessions do not get mixed up; it
//! begins with what the run has gathered. A cookie goes back to the host that set it and to no other, whatever its
//! `Domain` says.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cookie_store::{CookieStore, RawCookie};
use http::{HeaderMap, HeaderValue, header};
use url::Url;

/// As RFC 6265, section 6.1, asks for at least.
const LARGEST: usize = 4096;
const MOST: usize = 300;

#[derive(Debug, Default)]
pub(super) struct Jar(Mutex<Option<CookieStore>>);

impl Jar {
    /// Adds the cookies for a URL to what the request has; of two with one name, the server's counts.
    pub(super) fn attach(&self, shared: &Self, url: &Url, headers: &mut HeaderMap) {
        let mut jar = self.lock();
        let jar = jar.get_or_insert_with(|| shared.lock().clone().unwrap_or_default());
        let kept: Vec<(&str, &str)> = jar.get_request_values(url).collect();
        if kept.is_empty() {
            return;
        }
        let own = headers.get(header::COOKIE).and_then(|own| own.to_str().ok()).unwrap_or_default();
        let is_replaced = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            kept.iter().any(|(known, _)| *known == name)
        };
        let own = own.split(';').map(str::trim).filter(|pair| !pair.is_empty() && !is_replaced(pair));
        let pairs: Vec<String> =
            own.map(str::to_owned).chain(kept.iter().map(|(name, value)| format!("{name}={value}"))).collect();
        if let Ok(mut value) = HeaderValue::from_str(&pairs.join("; ")) {
            value.set_sensitive(true);
            headers.insert(header::COOKIE, value);
        }
    }

    /// Keeps what an answer sets, for this jar and for those that begin later.
    pub(super) fn keep(&self, shared: &Self, url: &Url, headers: &HeaderMap) {
        for value in headers.get_all(header::SET_COOKIE) {
            let Some(text) = value.to_str().ok().filter(|text| text.len() <= LARGEST) else { continue };
            let Ok(mut cookie) = RawCookie::parse(text) else { continue };
            cookie.unset_domain();
            for jar in [self, shared] {
                let mut jar = jar.lock();
                let jar = jar.get_or_insert_default();
                let is_known = url.host_str().is_some_and(|host| jar.contains(host, url.path(), cookie.name()));
                if is_known || jar.iter_any().count() < MOST {
                    // Refused when it does not fit its URL.
                    let _ = jar.insert_raw(&cookie, url);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<CookieStore>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn sent(jar: &Jar, shared: &Jar, to: &str, own: Option<&'static str>) -> String {
        let mut headers = HeaderMap::new();
        if let Some(own) = own {
            headers.insert(header::COOKIE, HeaderValue::from_static(own));
        }
        jar.attach(shared, &url(to), &mut headers);
        headers.get(header::COOKIE).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    fn set(jar: &Jar, shared: &Jar, from: &str, cookie: &'static str) {
        let headers = HeaderMap::from_iter([(header::SET_COOKIE, HeaderValue::from_static(cookie))]);
        jar.keep(shared, &url(from), &headers);
    }

    #[test]
    fn cookies_go_back_to_where_they_came_from() {
        let (jar, shared) = (Jar::default(), Jar::default());
        set(&jar, &shared, "https://api.example.com/v1/x", "SESSION=abc; Path=/; HttpOnly; Domain=example.com");
        set(&jar, &shared, "https://api.example.com/v1/x", "deep=1");
        set(&jar, &shared, "https://api.example.com/", "safe=1; Secure; Path=/");
        set(&jar, &shared, "https://api.example.com/", "gone=1; Max-Age=0; Path=/");
        let mut parts: Vec<String> = sent(&jar, &shared, "https://api.example.com/v1/y", Some("own=1; SESSION=old"))
            .split("; ")
            .map(str::to_owned)
            .collect();
        parts.sort();
        assert_eq!(parts, ["SESSION=abc", "deep=1", "own=1", "safe=1"]);
        assert_eq!(sent(&jar, &shared, "http://api.example.com/", None), "SESSION=abc");
        assert_eq!(sent(&jar, &shared, "https://other.example.com/", Some("own=1")), "own=1");
    }

    #[test]
    fn an_instance_begins_with_what_the_run_has_and_goes_its_own_way() {
        let (first, second, shared) = (Jar::default(), Jar::default(), Jar::default());
        set(&first, &shared, "http://a/", "s=1");
        assert_eq!(sent(&second, &shared, "http://a/", None), "s=1");
        set(&second, &shared, "http://a/", "s=2");
        assert_eq!(sent(&first, &shared, "http://a/", None), "s=1");
        assert_eq!(sent(&Jar::default(), &shared, "http://a/", None), "s=2");
    }

    #[test]
    fn a_flood_of_cookies_is_dropped() {
        let jar = Jar::default();
        for number in 0..2 * MOST {
            let cookie = HeaderValue::from_str(&format!("c{number}=1")).unwrap();
            jar.keep(&Jar::default(), &url("http://a/"), &HeaderMap::from_iter([(header::SET_COOKIE, cookie)]));
        }
        assert_eq!(jar.lock().as_ref().unwrap().iter_any().count(), MOST);
    }
}
