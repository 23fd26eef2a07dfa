//! TLS for real: a server whose authority only the operator knows, and one that asks for a client certificate.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use serde_json::{Value, json};

use super::arena::no_harm;
use crate::support::host_command::{Output, Project};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    roots: RootCertStore,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        Self { pem: certificate.pem(), roots, issuer: Issuer::new(parameters, key) }
    }

    fn issue(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let parameters = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server of this authority; `clients`: whose certificates it asks for.
    fn serve(&self, clients: Option<&Self>) -> SocketAddr {
        let (certificate, key) = self.issue("127.0.0.1");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let roots = Arc::new(clients.roots.clone());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = Arc::new(builder.with_single_cert(vec![certificate.der().clone()], key).unwrap());
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut connection = ServerConnection::new(config.clone()).unwrap();
                let mut tls = rustls::Stream::new(&mut connection, &mut stream);
                // One read brings the whole head of so small a request; a handshake that fails ends here.
                if tls.read(&mut [0; 65536]).is_ok_and(|count| count > 0) {
                    let body = r#"[{"id": 1}]"#;
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
                    let _ = write!(tls, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
                    tls.conn.send_close_notify();
                    let _ = tls.flush();
                }
            }
        });
        address
    }
}

/// A run that reads one page from there, with these settings of TLS.
fn run(address: SocketAddr, tls: &Value, files: &[(&str, &str)]) -> Output {
    let config = json!({
        "host": {"tls": tls, "retry": {"max_retries": 0}},
        "client": {"base_url": format!("https://{address}")},
        "resources": [{"name": "items", "endpoint": {"paginator": "single_page"}}],
    });
    let project = Project::with_base_url("").config(&config.to_string());
    let project = files.iter().fold(project, |project, (name, text)| project.file(name, text));
    let output = project.run().output();
    no_harm("TLS", &output, &project.path(""));
    assert!(!output.stderr.contains("PRIVATE KEY"), "{output}");
    output
}

#[test]
fn an_authority_of_the_operators_own() {
    let authority = Authority::new();
    let address = authority.serve(None);
    let output = run(address, &json!({}), &[]);
    assert_eq!(output.code, Some(1), "nobody knows this authority: {output}");
    assert!(output.stderr.contains("UnknownIssuer") && output.stderr.contains("host.tls.ca_file"), "{output}");
    let files = [("ca.pem", authority.pem.as_str())];
    let output = run(address, &json!({"ca_file": "ca.pem"}), &files);
    assert_eq!(output.code, Some(0), "{output}");
    let output = run(Authority::new().serve(None), &json!({"ca_file": "ca.pem"}), &files);
    assert_eq!(output.code, Some(1), "another authority: {output}");
}

#[test]
fn a_server_that_asks_who_is_there() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let address = servers.serve(Some(&clients));
    let (certificate, key) = clients.issue("airlock");
    let (stranger, strangers_key) = servers.issue("airlock");
    let texts = [servers.pem, certificate.pem(), key.serialize_pem(), stranger.pem(), strangers_key.serialize_pem()];
    let names = ["ca.pem", "client.pem", "client.key", "stranger.pem", "stranger.key"];
    let files: Vec<(&str, &str)> = names.into_iter().zip(texts.iter().map(String::as_str)).collect();
    let own = json!({"ca_file": "ca.pem", "client_certificate": "client.pem", "client_key": "client.key"});
    let with = |key: &str, value: Value| {
        let mut settings = own.clone();
        settings[key] = value;
        settings
    };
    for (name, settings, code, word) in [
        ("its own certificate", own.clone(), 0, ""),
        ("at this origin", with("client_origins", json!([format!("https://{address}")])), 0, ""),
        (
            "at another origin only",
            with("client_origins", json!(["https://api.example.com"])),
            1,
            "CertificateRequired",
        ),
        ("no certificate", json!({"ca_file": "ca.pem"}), 1, "host.tls.client_certificate"),
        (
            "a stranger's",
            json!({"ca_file": "ca.pem", "client_certificate": "stranger.pem", "client_key": "stranger.key"}),
            1,
            "stream: items",
        ),
        ("another key", with("client_key", json!("stranger.key")), 2, "host.tls"),
        ("no key", json!({"ca_file": "ca.pem", "client_certificate": "client.pem"}), 2, "belong together"),
        ("a key that is none", with("client_key", json!("ca.pem")), 2, "no certificate and private key"),
        ("a key that is not there", with("client_key", json!("nowhere.key")), 2, "host.tls.client_key nowhere.key"),
        ("no origin", with("client_origins", json!(["nowhere"])), 2, "host.tls.client_origins"),
    ] {
        let output = run(address, &settings, &files);
        assert_eq!(output.code, Some(code), "{name}: {output}");
        assert!(output.stderr.contains(word), "{name}: {output}");
    }
}
