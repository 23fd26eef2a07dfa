//! `Link` headers: a link that is found stands in the header.
#![cfg_attr(fuzzing, no_main)]

use connector::http::HttpResponse;
use connector::paginator::header_link::link;

pub(crate) fn run(data: &[u8]) {
    let Ok(header) = std::str::from_utf8(data) else { return };
    let response = HttpResponse { headers: vec![("Link".to_owned(), header.to_owned())], ..HttpResponse::default() };
    if let Some(next) = link(&response, "next") {
        assert!(header.contains(&next));
    }
}

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| run(data));
