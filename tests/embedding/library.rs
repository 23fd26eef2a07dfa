//! What a program may put in place of ours: a vault, a destination. The tests run in an async runtime of their own, as a
//! service does.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use airlock_host::config::{ConfigFile, Reach};
use airlock_host::connection::{Connection, ConnectionOptions, RunOptions, To};
use airlock_host::destination;
use airlock_host::error::Error;
use airlock_host::host::Host;
use airlock_host::report::Report;
use airlock_host::sandbox::Wasm;
use airlock_host::secret::{ExposeSecret as _, SecretSources, SecretStore, SecretString};
use futures::future::BoxFuture;
use serde_json::{Value, json};

use crate::support::host_command::connector;
use crate::support::mock_api::MockApi;

/// Of one secret, which can be rotated.
struct Vault(Mutex<String>);

impl SecretStore for Vault {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<SecretString>, Error>> {
        Box::pin(async move { Ok((name == "refresh").then(|| self.0.lock().unwrap().clone().into())) })
    }

    fn rotated<'a>(&'a self, name: &'a str, new: SecretString) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            assert_eq!(name, "refresh");
            new.expose_secret().clone_into(&mut self.0.lock().unwrap());
            Ok(())
        })
    }
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn run(host: &Host, wasm: &Wasm, config: &Value, vault: &Arc<Vault>, to: To) -> Report {
    let config = ConfigFile::parse_within(Path::new("p.json"), &config.to_string(), &Reach::tenant()).unwrap();
    let secrets = SecretSources::default().with_store(vault.clone());
    let options = ConnectionOptions { secrets, ..ConnectionOptions::new(wasm.clone(), config) };
    let connection = Connection::open(host, options).await.unwrap();
    connection.run(RunOptions { to: Some(to), ..RunOptions::default() }).await.unwrap().finished().await
}

#[tokio::test]
async fn a_rotated_secret_goes_back_to_the_vault_and_rows_go_where_the_program_wants() {
    let api = MockApi::start();
    let config = json!({
        "client": {"base_url": api.base_url(), "auth": {
            "type": "oauth2_refresh_token", "access_token_url": format!("{}/oauth/rotate", api.base_url()),
            "client_id": "some-client", "client_secret": "", "refresh_token": "${secrets.refresh}",
        }},
        "resources": [{"name": "posts", "endpoint": {"path": "protected/posts/bearer-token", "paginator": "single_page"}}],
    });
    let host = Host::new().unwrap();
    let wasm = Wasm::from_bytes("connector.wasm", std::fs::read(connector()).unwrap());
    let vault = Arc::new(Vault(Mutex::new("given-refresh-token".to_owned())));
    for round in 1..=3 {
        let written = Written::default();
        let to = To::Own(destination::to_writer(Box::new(written.clone())));
        let report = run(&host, &wasm, &config, &vault, to).await;
        assert_eq!(report.exit_code(), 0, "{report:?}");
        let rows = written.0.lock().unwrap().iter().filter(|byte| **byte == b'\n').count();
        assert!(rows > 0, "no rows: {report:?}");
        assert_eq!(*vault.0.lock().unwrap(), format!("given-refresh-token{}", "-next".repeat(round)));
    }
    // Nothing here panics when it is dropped by a task.
    drop(host);
}
