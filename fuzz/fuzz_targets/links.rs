//! A `Link` header (RFC 8288) as a server may write it.
#![no_main]

use connector::http::HttpResponse;
use connector::paginator::header_link::link;

libfuzzer_sys::fuzz_target!(|header: &str| {
    let headers = vec![("link".to_owned(), header.to_owned())];
    if let Some(target) = link(&HttpResponse { headers, ..HttpResponse::default() }, "next") {
        assert!(header.contains(&target));
    }
});
