//! What a connector says of a request besides the request itself: four reserved headers, which never leave.
//! `wit/source.wit` documents them.

use http::{HeaderMap, HeaderName, header};

/// The reserved headers, and whatever else begins like them, are between connector and host.
const RESERVED: &str = "airlock-";
/// Names the credential of a request; `none`: nothing is attached.
const CREDENTIAL: &str = "airlock-credential";
/// Statuses that are not retried: the connector knows what to do with them.
const FINAL_STATUSES: &str = "airlock-final-statuses";
/// Statuses that are retried besides the rule's.
const RETRY_STATUSES: &str = "airlock-retry-statuses";
/// The connector asks for the same thing once more, for the N-th time, because of what the answer said.
const ATTEMPT: &str = "airlock-attempt";

/// The credential of a request that takes none.
pub(super) const NO_CREDENTIAL: &str = "none";

#[derive(Debug, Default)]
pub(super) struct Directions {
    pub(super) credential: Option<String>,
    pub(super) final_statuses: Vec<u16>,
    pub(super) retry_statuses: Vec<u16>,
    pub(super) attempt: Option<u32>,
}

impl Directions {
    pub(super) fn take(headers: &mut HeaderMap) -> Self {
        let mut text = |name: &str| headers.remove(name).and_then(|value| value.to_str().map(str::to_owned).ok());
        let statuses = |text: Option<String>| {
            text.iter().flat_map(|text| text.split(',')).filter_map(|status| status.trim().parse().ok()).collect()
        };
        Self {
            credential: text(CREDENTIAL),
            final_statuses: statuses(text(FINAL_STATUSES)),
            retry_statuses: statuses(text(RETRY_STATUSES)),
            attempt: text(ATTEMPT).and_then(|attempt| attempt.trim().parse().ok()).filter(|attempt| *attempt > 0),
        }
    }

    /// No credential, and every status is the caller's.
    pub(super) fn none() -> Self {
        Self { credential: Some(NO_CREDENTIAL.to_owned()), ..Self::default() }
    }
}

/// Headers that nobody but the host sets: they say where a request ends, or are of the connection.
pub(crate) fn forbidden_headers() -> &'static [HeaderName] {
    static NAMES: [HeaderName; 14] = [
        header::HOST,
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        HeaderName::from_static("http2-settings"),
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::EXPECT,
        header::ACCEPT_ENCODING,
        header::CONTENT_LENGTH,
        header::PROXY_AUTHORIZATION,
        header::PROXY_AUTHENTICATE,
    ];
    &NAMES
}

/// The last thing before a request leaves, whoever put a header there.
pub(super) fn strip(headers: &mut HeaderMap) {
    let stays = |name: &HeaderName| !forbidden_headers().contains(name) && !name.as_str().starts_with(RESERVED);
    let stripped: Vec<HeaderName> = headers.keys().filter(|name| !stays(name)).cloned().collect();
    for name in stripped {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_headers_are_taken_and_forbidden_ones_stripped() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("airlock-credential", "main"),
            ("airlock-final-statuses", "404, 500"),
            ("airlock-attempt", "2"),
            ("airlock-else", "x"),
            ("content-length", "90"),
            ("x-mine", "1"),
        ] {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        let directions = Directions::take(&mut headers);
        assert_eq!(directions.credential.as_deref(), Some("main"));
        assert_eq!((directions.final_statuses, directions.attempt), (vec![404, 500], Some(2)));
        strip(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-mine"]);
    }
}
