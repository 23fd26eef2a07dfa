//! A server that writes what it likes to the socket, and keeps every request as it came over the wire.
//!
//! Must never parse more of a request than its path: what a connector smuggles has to stay visible.
#![expect(clippy::disallowed_types, reason = "a server of its own, byte by byte")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use flate2::Compression;
use flate2::write::GzEncoder;

type Requests = Arc<Mutex<Vec<String>>>;

/// On two ports: two origins. Its threads end with the test process.
pub(super) struct HostileApi {
    first: SocketAddr,
    second: SocketAddr,
    requests: Requests,
}

/// What its token endpoint hands out.
pub(super) const ACCESS_TOKEN: &str = "access-token-71be0c/handed+out=";

/// 64 MiB of zeros in Brotli.
const BROTLI_BOMB: &str = "y///P/gnAOKxQCD3/o///3/wTwDEYRGA7v0f////4J8AiMMCAN37P/7//8E/ARCHBQC693/8//+DfwIgDgsAdO//+P//B/8EQBwWAOje//H//w/+CYA4LADQvf/L//8//BMAcVgAoHv/Bw==";

impl HostileApi {
    pub(super) fn start() -> Self {
        let requests = Requests::default();
        let listen = || {
            let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
            let address = listener.local_addr().unwrap();
            let requests = requests.clone();
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let requests = requests.clone();
                    thread::spawn(move || serve(stream, &requests));
                }
            });
            address
        };
        let (first, second) = (listen(), listen());
        Self { first, second, requests }
    }

    pub(super) fn base_url(&self) -> String {
        format!("http://{}", self.first)
    }

    /// Another granted origin.
    pub(super) fn second(&self) -> String {
        format!("http://{}", self.second)
    }

    pub(super) fn authority(&self) -> String {
        self.first.to_string()
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut stream: TcpStream, requests: &Requests) {
    let port = stream.local_addr().unwrap().port();
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    // The head, and what came along with it.
    while !bytes.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
            _ => return,
        }
    }
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..count]);
    }
    let request = String::from_utf8_lossy(&bytes).into_owned();
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(format!("to :{port}\n{request}"));
    // A client that hangs up early is what some attacks are about.
    let _ = answer(&mut stream, &request);
}

fn answer(stream: &mut TcpStream, request: &str) -> std::io::Result<()> {
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let head =
        |more: &str| format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n{more}\r\n");
    let encoded = |name: &str, body: &[u8]| [head(&format!("Content-Encoding: {name}\r\n")).as_bytes(), body].concat();
    match path {
        "/huge" => {
            stream.write_all(head("").as_bytes())?;
            for _ in 0..64 {
                stream.write_all(&vec![b' '; 1 << 20])?;
            }
            Ok(())
        }
        "/lying-length" => stream.write_all(format!("{}[]", head("Content-Length: 99999999999\r\n")).as_bytes()),
        "/gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(&vec![0; 64 << 20])?;
            stream.write_all(&encoded("gzip", &encoder.finish()?))
        }
        "/br" => {
            let bomb = base64::engine::general_purpose::STANDARD.decode(BROTLI_BOMB).unwrap();
            stream.write_all(&encoded("br", &bomb))
        }
        // A frame (RFC 8878, section 3.1.1) of 1024 blocks, each of them 128 KiB of zeros in four bytes.
        "/zstd" => {
            let mut bomb = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
            bomb.extend([0x02, 0x00, 0x10, 0x00].repeat(1024));
            stream.write_all(&encoded("zstd", &bomb))
        }
        "/token" => {
            let token = format!(
                r#"{{"access_token": "{ACCESS_TOKEN}", "expires_in": 3600, "refresh_token": "rotated-{ACCESS_TOKEN}"}}"#
            );
            stream.write_all(format!("{}{token}", head("")).as_bytes())
        }
        "/giant-token" => {
            let token = format!(r#"{{"access_token": "{}", "expires_in": 3600}}"#, "x".repeat(200_000));
            stream.write_all(format!("{}{token}", head("")).as_bytes())
        }
        "/slow" => {
            stream.write_all(head("").as_bytes())?;
            for _ in 0..100 {
                stream.write_all(b" ")?;
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        }
        "/silent" => {
            thread::sleep(Duration::from_secs(10));
            Ok(())
        }
        "/many-headers" => stream.write_all(head(&"X-A: b\r\n".repeat(20_000)).as_bytes()),
        "/long-header" => stream.write_all(head(&format!("X-A: {}\r\n", "b".repeat(4 << 20))).as_bytes()),
        "/no-http" => stream.write_all(b"220 ftp.example.com ready\r\n"),
        "/redirect" => {
            let target = percent_encoding::percent_decode_str(query).decode_utf8_lossy();
            let head =
                format!("HTTP/1.1 307 Moved\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes())
        }
        // What it was told as a credential, as the name of a header.
        "/tells-by-name" => {
            let told = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer ")).unwrap_or("nothing");
            let name: String = told.bytes().map(|byte| format!("{byte:02x}")).collect();
            stream.write_all(format!("{}[]", head(&format!("x-{name}-y: 1\r\nx-plain: 1\r\n"))).as_bytes())
        }
        "/status/500" => stream.write_all(&head("").replacen("200 OK", "500 No", 1).into_bytes()),
        "/status/429" => {
            let head = head("Retry-After: 99999999999\r\n").replacen("200 OK", "429 Later", 1);
            stream.write_all(head.as_bytes())
        }
        // Not even HTTP, and other bytes each time it is asked with another body.
        "/random" => {
            let noise = |index: usize| u8::try_from((index * 31 + request.len() * 17) % 251).unwrap();
            stream.write_all(&(0..10_000).map(noise).collect::<Vec<_>>())
        }
        "/cookie" => stream.write_all(format!("{}[]", head("Set-Cookie: session=1; Path=/\r\n")).as_bytes()),
        "/leads-to-a-secret" => stream.write_all(
            b"HTTP/1.1 302 Found\r\nLocation: /echo?x=${secrets.token}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ),
        // Everything that it was told, in the body and in a header, in every spelling.
        _ => {
            let told = serde_json::Value::from(request).to_string();
            let standard = base64::engine::general_purpose::STANDARD.encode(request);
            let shifted = base64::engine::general_purpose::STANDARD.encode(format!("x{request}"));
            let safe = base64::engine::general_purpose::URL_SAFE.encode(format!("xy{request}"));
            let hexadecimal: String = request.bytes().map(|byte| format!("{byte:02x}")).collect();
            let percent: String = url::form_urlencoded::byte_serialize(request.as_bytes()).collect();
            let field = request.lines().find(|line| line.to_ascii_lowercase().contains("authorization")).unwrap_or("");
            stream.write_all(head(&format!("X-Echo: \u{e9} {field}\r\n")).as_bytes())?;
            let body = format!(
                r#"[{{"told": {told}, "a": "{standard}", "b": "{shifted}", "c": "{safe}", "d": "{hexadecimal}", "e": "{percent}"}}]"#
            );
            stream.write_all(body.as_bytes())
        }
    }
}
