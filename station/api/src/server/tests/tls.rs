//! Certificates: TLS in use, exchanged while connections are open, and kept when what replaces them does not fit.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::server::config::{Config, Limits, Listen, Tls};
use crate::server::tls::{TlsError, load};

use super::rig::{DEADLINE, Running, has_status, rest};

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn tls(&self) -> Tls {
        Tls { certificate: self.folder.path().join("chain.pem"), key: self.folder.path().join("key.pem") }
    }

    fn put(&self, made: &CertifiedKey<KeyPair>) {
        self.put_key(made);
        self.put_certificate(made);
    }

    fn put_certificate(&self, made: &CertifiedKey<KeyPair>) {
        std::fs::write(self.tls().certificate, made.cert.pem()).unwrap();
    }

    fn put_key(&self, made: &CertifiedKey<KeyPair>) {
        write_private(&self.tls().key, &made.signing_key.serialize_pem());
    }
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["station.test".to_owned()]).unwrap()
}

async fn running(files: &Files, certificate_check_ms: u64) -> Running {
    let listen = vec![Listen { address: "127.0.0.1:0".parse().unwrap(), tls: Some(files.tls()) }];
    let limits = Limits { certificate_check_ms, ..Limits::default() };
    Running::start(Config { listen, limits, ..Config::default() }).await
}

/// A connection that trusts this certificate alone.
async fn connect(
    server: &Running,
    trusted: &CertificateDer<'static>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("station.test").unwrap(), stream).await
}

async fn connects(server: &Running, made: &CertifiedKey<KeyPair>) -> bool {
    connect(server, made.cert.der(), rustls::ALL_VERSIONS).await.is_ok()
}

async fn wait_for(server: &Running, made: &CertifiedKey<KeyPair>) {
    let seen = async {
        while !connects(server, made).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, seen).await.expect("the certificate is in use in time");
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_hsts_is_said() {
    let files = Files::new();
    let made = certificate();
    files.put(&made);
    let server = running(&files, 60_000).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut stream = connect(&server, made.cert.der(), &[version]).await.expect("a handshake");
        stream.write_all(b"GET /open HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(has_status(&answer, 200), "{answer}");
        assert!(answer.contains("strict-transport-security: max-age=63072000\r\n"), "{answer}");
    }
    server.stop().await;
}

#[tokio::test]
async fn plain_http_on_a_tls_port_gets_no_answer() {
    let files = Files::new();
    files.put(&certificate());
    let server = running(&files, 60_000).await;
    let answer = server.get("/open", None).await;
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_old_ones_go_on() {
    let files = Files::new();
    let [old, new] = [certificate(), certificate()];
    files.put(&old);
    let server = running(&files, 20).await;
    let mut kept = connect(&server, old.cert.der(), rustls::ALL_VERSIONS).await.expect("a handshake");
    files.put(&new);
    wait_for(&server, &new).await;
    assert!(!connects(&server, &old).await, "the old one is no longer shown");
    kept.write_all(b"GET /open HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(has_status(&rest(&mut kept).await, 200), "the old connection goes on");
    server.stop().await;
}

#[tokio::test]
async fn half_a_replacement_changes_nothing_and_the_other_half_does() {
    let files = Files::new();
    let [old, new] = [certificate(), certificate()];
    files.put(&old);
    let held = crate::server::tls::Certificate::open(&files.tls()).unwrap();
    files.put_certificate(&new);
    assert!(matches!(held.refresh(), Err(TlsError::Pair(_))));
    assert!(matches!(held.refresh(), Err(TlsError::Pair(_))), "it is tried again");
    files.put_key(&new);
    assert!(held.refresh().unwrap());
    assert!(!held.refresh().unwrap(), "and then nothing changed");
}

#[tokio::test]
async fn sighup_looks_at_the_certificate_at_once() {
    let files = Files::new();
    let [old, new] = [certificate(), certificate()];
    files.put(&old);
    let server = running(&files, 3_600_000).await;
    assert!(connects(&server, &old).await);
    files.put(&new);
    let hangup = std::process::Command::new("kill").arg("-HUP").arg(std::process::id().to_string()).status();
    assert!(hangup.unwrap().success());
    wait_for(&server, &new).await;
    server.stop().await;
}

#[test]
fn what_cannot_be_used_is_said_with_its_file() {
    let files = Files::new();
    let [one, other] = [certificate(), certificate()];
    let Tls { certificate, key } = files.tls();
    let loaded = || load(&files.tls());
    assert!(matches!(loaded(), Err(TlsError::Read { path, .. }) if path == certificate));
    files.put(&one);
    assert!(loaded().is_ok());
    files.put_key(&other);
    assert!(matches!(loaded(), Err(TlsError::Pair(_))));
    files.put(&one);
    std::fs::write(&certificate, "").unwrap();
    assert!(matches!(loaded(), Err(TlsError::Empty(path)) if path == certificate));
    std::fs::write(&certificate, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").unwrap();
    assert!(matches!(loaded(), Err(TlsError::Pem { .. })));
    files.put(&one);
    write_private(&key, "not a key");
    assert!(matches!(loaded(), Err(TlsError::Pem { path, .. }) if path == key));
    files.put(&one);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(loaded(), Err(TlsError::Open(path, 0o644)) if path == key));
    std::fs::File::create(&certificate).unwrap().set_len(2 << 20).unwrap();
    assert!(matches!(loaded(), Err(TlsError::TooLarge(path)) if path == certificate));
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_given_up() {
    let files = Files::new();
    files.put(&certificate());
    let listen = vec![Listen { address: "127.0.0.1:0".parse().unwrap(), tls: Some(files.tls()) }];
    let limits = Limits { header_ms: 200, ..Limits::default() };
    let server = Running::start(Config { listen, limits, ..Config::default() }).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&[0x16, 3, 1]).await.unwrap();
    let mut said = Vec::new();
    let closed = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut said)).await;
    assert!(closed.is_ok(), "it closes");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_would_speak_http_2_gets_its_answer_over_http_1_1() {
    let files = Files::new();
    let made = certificate();
    files.put(&made);
    let server = running(&files, 60_000).await;
    let port = server.address.port();
    let mut curl = tokio::process::Command::new("curl");
    curl.args(["--silent", "--http2", "--write-out", " over %{http_version}"])
        .arg("--cacert")
        .arg(files.tls().certificate)
        .arg("--resolve")
        .arg(format!("station.test:{port}:127.0.0.1"))
        .arg(format!("https://station.test:{port}/open"));
    match curl.output().await {
        Ok(said) => assert_eq!(String::from_utf8_lossy(&said.stdout), "open over 1.1"),
        Err(error) => {
            println!(
                "skipped: a_client_that_would_speak_http_2_gets_its_answer_over_http_1_1: no curl: {error}"
            )
        }
    }
    server.stop().await;
}
