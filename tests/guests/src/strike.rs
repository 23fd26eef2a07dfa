//! What a connector can do to the host without a single request.

use std::hint::black_box;

use waki::bindings::wasi::http::types::Fields;

use crate::bindings::airlock::connector::log;
use crate::request;

pub(crate) fn strike(behaviour: &str) {
    match behaviour {
        "loop" => while black_box(true) {},
        "recurse" => {
            black_box(recurse(black_box(0), black_box(u64::MAX)));
        }
        "recurse with frames" => {
            black_box(recurse_with_frames(0));
        }
        "memory" => {
            let mut hoard: Vec<Vec<u8>> = Vec::new();
            loop {
                hoard.push(black_box(vec![1; 1 << 20]));
            }
        }
        "handles" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(Fields::new()));
            }
        }
        "fields" => {
            let fields = Fields::new();
            for number in 0..1_000_000 {
                fields.append(&format!("x-{number}"), &vec![b'x'; 1000]).unwrap();
            }
        }
        // Each of these has the host work, or wait, again and again.
        "random" => loop {
            black_box(random());
        },
        "clock" => loop {
            black_box(std::time::Instant::now());
        },
        "fields for ever" => loop {
            let _ = Fields::new().append(&"x".to_owned(), &vec![b'x'; 60_000]);
        },
        "log for ever" => loop {
            log::write(log::Level::Warning, &"x".repeat(10_000));
        },
        "refused requests" => loop {
            request::refused();
            (0..1_000_000_u32).for_each(|number| _ = black_box(number));
        },
        "panic" => panic!("on purpose \u{1b}[31mred"),
        "unreachable" => std::process::abort(),
        "exit" => std::process::exit(0),
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(100_000)),
        "log" => {
            for number in 0..100_000 {
                log::write(log::Level::Warning, &format!("{number} {}", "x".repeat(10_000)));
            }
        }
        "stderr" => {
            for _ in 0..1000 {
                println!("{}", "x".repeat(1000));
                eprintln!("{}", "x".repeat(1000));
            }
        }
        "stderr and panic" => {
            eprintln!("{}", "x".repeat(100_000));
            panic!("after all that was said");
        }
        "look around" => {
            let found = [
                std::env::vars().map(|(name, value)| format!("{name}={value}")).collect(),
                std::env::args().collect::<String>(),
                std::fs::read_to_string("/etc/passwd").unwrap_or_default(),
                std::fs::read_to_string("pipeline.yaml").unwrap_or_default(),
                std::net::TcpStream::connect("127.0.0.1:22").map_or_else(|_| String::new(), |_| "connected".to_owned()),
                std::net::UdpSocket::bind("0.0.0.0:0").map_or_else(|_| String::new(), |_| "bound".to_owned()),
                std::fs::write("stolen", "x").map_or_else(|_| String::new(), |()| "written".to_owned()),
            ];
            let found = found.concat();
            assert!(found.is_empty(), "LOOKED AROUND AND FOUND: {found}");
        }
        other => panic!("no such behaviour: {other}"),
    }
}

fn random() -> [u8; 256] {
    #![expect(unsafe_code, reason = "libc's: the bytes come from the host")]
    unsafe extern "C" {
        fn getentropy(buffer: *mut u8, length: usize) -> i32;
    }
    let mut bytes = [0; 256];
    // SAFETY: it writes no more than the length that it is given.
    let failed = unsafe { getentropy(bytes.as_mut_ptr(), bytes.len()) };
    assert_eq!(failed, 0);
    bytes
}

/// Takes nothing but the machine's stack.
#[inline(never)]
fn recurse(depth: u64, end: u64) -> u64 {
    if depth == end { 0 } else { recurse(depth + 1, end).wrapping_mul(31) ^ depth }
}

/// Takes the part of the linear memory that is its stack.
fn recurse_with_frames(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    if black_box(depth) == u64::MAX { 0 } else { recurse_with_frames(depth + 1) + black_box(frame)[0] }
}
