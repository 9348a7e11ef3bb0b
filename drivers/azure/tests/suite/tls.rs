//! Over TLS: which certificates are trusted, and tokens.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use azure::{
    Account, ConfigError, Credential, CredentialError, DEVELOPMENT_KEY, ErrorKind, IdentitySettings,
};
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::{Duration, OffsetDateTime};
use model::Class;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use crate::server::{Reply, Server};
use crate::support::{TestClock, config_with, put};

/// A CA made for one test, and a certificate of its for 127.0.0.1, all in PEM form.
pub struct Authority {
    pub ca_pem: String,
    pub certificate_pem: String,
    pub key_pem: String,
    acceptor: TlsAcceptor,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, "test CA");
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], private)
            .unwrap();
        Authority {
            ca_pem: ca.pem(),
            certificate_pem: leaf.pem(),
            key_pem: key.serialize_pem(),
            acceptor: TlsAcceptor::from(Arc::new(config)),
        }
    }
}

/// An identity provider that gives a new token each time, and can refuse.
#[derive(Debug, Default)]
pub struct Tokens {
    given: AtomicU32,
    scopes: Mutex<Vec<String>>,
    refuse: bool,
}

#[async_trait]
impl TokenCredential for Tokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        if self.refuse {
            let kind = azure_core::error::ErrorKind::Credential;
            return Err(azure_core::Error::with_message(kind, "no such client"));
        }
        self.scopes.lock().unwrap().extend(scopes.iter().map(|scope| (*scope).to_owned()));
        let number = self.given.fetch_add(1, Ordering::SeqCst);
        Ok(AccessToken::new(format!("token-{number}"), OffsetDateTime::now_utc() + Duration::hours(1)))
    }
}

fn https_config(server: &Server, authority: &Authority, credential: Credential) -> azure::AccountConfig {
    let mut config = config_with(server, &TestClock::new(), credential);
    let url = format!("https://{}/devstoreaccount1", server.address);
    config.endpoint = azure::Endpoint::parse(&url).unwrap();
    config.ca_certificates_pem = Some(authority.ca_pem.clone().into_bytes());
    config
}

fn key() -> Credential {
    Credential::from_text(DEVELOPMENT_KEY).unwrap()
}

#[tokio::test]
async fn a_configured_ca_is_trusted() {
    let authority = Authority::new();
    let server = Server::start_tls(Vec::new(), authority.acceptor.clone()).await;
    let account = Account::new(https_config(&server, &authority, key())).unwrap();
    put(&account, "abc/x", b"x").await.unwrap();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn trap_6_a_certificate_of_another_ca_is_reported_at_once() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = Server::start_tls(Vec::new(), authority.acceptor.clone()).await;
    let account = Account::new(https_config(&server, &other, key())).unwrap();
    let error = put(&account, "abc/x", b"x").await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (ErrorKind::TrustFailure, Class::HoldForCustomer));
    assert_eq!((error.attempts, error.ambiguous), (1, false));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_trusted() {
    let authority = Authority::new();
    let server = Server::start_tls(Vec::new(), authority.acceptor.clone()).await;
    let mut config = https_config(&server, &authority, key());
    let url = format!("https://devstoreaccount1.blob.localhost:{}", server.address.port());
    config.endpoint = azure::Endpoint::parse(&url).unwrap();
    let error = put(&Account::new(config).unwrap(), "abc/x", b"x").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::TrustFailure | ErrorKind::Connection), "{error:?}");
}

#[test]
fn what_is_no_certificate_is_refused_at_set_up() {
    let endpoint = azure::Endpoint::parse("https://acct1.blob.core.windows.net").unwrap();
    for pem in ["", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
        let mut config = azure::AccountConfig::new(endpoint.clone(), key());
        config.ca_certificates_pem = Some(pem.as_bytes().to_vec());
        let error = Account::new(config).unwrap_err();
        assert!(matches!(error, ConfigError::Transport(azure::TransportError::Certificates)));
    }
}

#[tokio::test]
async fn a_token_is_kept_and_a_refused_one_is_replaced() {
    let authority = Authority::new();
    let script = vec![
        Reply::new(201).act(),
        Reply::new(201).act(),
        Reply::error(401, "InvalidAuthenticationInfo").act(),
        Reply::new(201).act(),
        Reply::error(403, "AuthenticationFailed").act(),
    ];
    let server = Server::start_tls(script, authority.acceptor.clone()).await;
    let tokens = Arc::new(Tokens::default());
    let credential = Credential::token(Arc::clone(&tokens) as Arc<dyn TokenCredential>);
    let account = Account::new(https_config(&server, &authority, credential)).unwrap();
    for _ in 0..4 {
        put(&account, "abc/x", b"x").await.unwrap();
    }
    let sent: Vec<_> = server.seen().iter().map(|s| s.header("authorization").unwrap().to_owned()).collect();
    let bearer = [0, 0, 0, 1, 1, 2].map(|number| format!("Bearer token-{number}"));
    assert_eq!(sent, bearer);
    assert!(tokens.scopes.lock().unwrap().iter().all(|s| s == "https://storage.azure.com/.default"));
}

#[tokio::test]
async fn a_token_that_cannot_be_had_holds_the_drive() {
    let authority = Authority::new();
    let server = Server::start_tls(Vec::new(), authority.acceptor.clone()).await;
    let credential = Credential::token(Arc::new(Tokens { refuse: true, ..Tokens::default() }));
    let account = Account::new(https_config(&server, &authority, credential)).unwrap();
    let error = put(&account, "abc/x", b"x").await.unwrap_err();
    assert_eq!((error.kind(), error.class()), (ErrorKind::NoToken, Class::HoldForCustomer));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_client_secret_is_exchanged_for_a_token_at_the_configured_authority() {
    let authority = Authority::new();
    let document = br#"{"token_type":"Bearer","expires_in":3600,"access_token":"from-the-provider"}"#;
    let script = vec![Reply::new(200).with("Content-Type", "application/json").body(document).act()];
    let server = Server::start_tls(script, authority.acceptor.clone()).await;
    let settings = IdentitySettings {
        authority: Some(format!("https://{}", server.address)),
        ca_certificates_pem: Some(authority.ca_pem.clone().into_bytes()),
        proxy: None,
    };
    let tenant = "11111111-2222-3333-4444-555555555555";
    let credential = Credential::client_secret(tenant, "client", "hunter2", &settings).unwrap();
    assert!(!format!("{credential:?}").contains("hunter2"));
    let account = Account::new(https_config(&server, &authority, credential)).unwrap();
    put(&account, "abc/x", b"x").await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].target(), format!("/{tenant}/oauth2/v2.0/token"));
    assert!(String::from_utf8_lossy(&seen[0].body).contains("client_secret=hunter2"));
    assert_eq!(seen[1].header("authorization"), Some("Bearer from-the-provider"));
    assert!(Credential::client_secret(tenant, "", "hunter2", &settings).is_err());
}

#[tokio::test]
async fn tokens_are_never_sent_in_the_clear() {
    let server = Server::start(Vec::new()).await;
    let config = config_with(&server, &TestClock::new(), Credential::token(Arc::new(Tokens::default())));
    let error = Account::new(config).unwrap_err();
    assert!(matches!(error, ConfigError::Credential(CredentialError::TokenOverHttp)));
}
