//! An S3 server of the tests' own, moto, as `scripts/services.sh` installs it, and a reader of its buckets.
//!
//! Must never reach anything but this machine.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
#[expect(clippy::disallowed_types, reason = "the test's own server")]
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use futures::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use tempfile::TempDir;

use super::postgres_server::start;

pub(crate) const BUCKET: &str = "lake";
const MOTO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/moto/bin/moto_server");

pub(crate) struct S3Server {
    process: Child,
    endpoint: String,
}

impl S3Server {
    /// With one bucket. None where moto is not installed.
    pub(crate) fn start() -> Option<Self> {
        if !std::path::Path::new(MOTO).exists() {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = start(MOTO);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { process, endpoint: format!("http://127.0.0.1:{port}") };
        let mut connection = server.connect(port);
        // Without a client of its protocol: those that there are make objects and no buckets.
        write!(connection, "PUT /{BUCKET} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{answer}");
        Some(server)
    }

    #[expect(clippy::disallowed_types, reason = "the test's own server")]
    fn connect(&mut self, port: u16) -> TcpStream {
        loop {
            if let Ok(connection) = TcpStream::connect(("127.0.0.1", port)) {
                return connection;
            }
            assert!(self.process.try_wait().unwrap().is_none(), "moto ended");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// What a user sets.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2-s3"),
            ("AWS_REGION", "us-east-1"),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }
}

/// What lies below a folder of the bucket, on this machine.
pub(crate) fn download(environment: &[(String, String)], folder: &str) -> TempDir {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut store = AmazonS3Builder::new().with_bucket_name(BUCKET);
    for (name, value) in environment {
        // Variables with other purposes are none of the store's.
        if let Ok(key) = name.to_lowercase().parse() {
            store = store.with_config(key, value);
        }
    }
    let (store, copy) = (store.build().unwrap(), tempfile::tempdir().unwrap());
    let fetch = async {
        let objects: Vec<_> = store.list(Some(&Path::parse(folder).unwrap())).try_collect().await.unwrap();
        for object in objects {
            let path = copy.path().join(object.location.as_ref().strip_prefix(folder).unwrap().trim_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, store.get(&object.location).await.unwrap().bytes().await.unwrap()).unwrap();
        }
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(fetch);
    copy
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
