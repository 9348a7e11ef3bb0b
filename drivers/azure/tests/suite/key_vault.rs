//! Key Vault: what is sent, byte by byte, and how refusals and faults are taken.

use std::sync::Arc;
use std::time::Duration;

use azure::{Credential, KeyUrlError, KeyVault, KeyVaultConfig, KeyVaultConfigError, KeyVaultFault};
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Class;

use crate::server::{Act, Reply, Server};
use crate::support::TestClock;

const KID: &str = "keys/k/0a1b";

#[derive(Debug)]
struct Token;

#[async_trait::async_trait]
impl TokenCredential for Token {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        Ok(AccessToken::new("SECRETTOKEN", OffsetDateTime::now_utc() + Duration::from_secs(60)))
    }
}

struct Vault {
    server: Server,
    client: KeyVault,
    clock: Arc<TestClock>,
}

impl Vault {
    /// Plays the script for one client.
    async fn with(script: impl FnOnce(&str) -> Vec<Act>) -> Vault {
        // The answers contain the server's own address, which is known only once it listens.
        let server = Server::start(Vec::new()).await;
        let address = server.address.to_string();
        server.extend(script(&address));
        let clock = TestClock::new();
        let client = KeyVault::new(KeyVaultConfig {
            trusted_hosts: vec![address],
            clock: Arc::clone(&clock) as Arc<dyn azure::Clock>,
            ..KeyVaultConfig::new(Credential::token(Arc::new(Token)))
        });
        Vault { server, client: client.unwrap(), clock }
    }

    fn url(&self, path: &str) -> azure::KeyUrl {
        self.client.parse_url(&format!("http://{}/{path}", self.server.address)).unwrap()
    }

    /// Looks at the key `k` and fails.
    async fn failure(&self) -> azure::KeyVaultError {
        self.client.key(&self.url("keys/k")).await.unwrap_err()
    }
}

/// A key's description, with a modulus of so many bytes.
fn bundle(address: &str, kty: &str, modulus_bytes: usize, enabled: bool) -> Act {
    let modulus = URL_SAFE_NO_PAD.encode(vec![0xc1; modulus_bytes]);
    let body = format!(
        r#"{{"key":{{"kid":"http://{address}/{KID}","kty":"{kty}","key_ops":["wrapKey"],"n":"{modulus}","e":"AQAB"}},"attributes":{{"enabled":{enabled}}}}}"#
    );
    Reply::new(200).body(body.as_bytes()).act()
}

fn result(value: &str) -> Act {
    Reply::new(200).body(format!(r#"{{"kid":"x","value":"{value}"}}"#).as_bytes()).act()
}

fn refusal(status: u16, code: &str, inner: &str) -> Act {
    let body =
        format!(r#"{{"error":{{"code":"{code}","message":"Said\nso.","innererror":{{"code":"{inner}"}}}}}}"#);
    Reply::new(status).body(body.as_bytes()).act()
}

#[tokio::test]
async fn requests_are_those_of_the_rest_documentation() {
    let script = |address: &str| vec![bundle(address, "RSA", 256, true), result("-_8"), result("AQID")];
    let vault = Vault::with(script).await;
    let key = vault.client.key(&vault.url("keys/k")).await.unwrap();
    assert!(key.url().is_versioned());
    let wrapped = vault.client.wrap(&key, &[0xfb, 0xff, 0]).await.unwrap();
    assert_eq!(wrapped.as_bytes(), [1, 0xfb, 0xff]);
    assert_eq!(vault.client.unwrap(key.url(), &wrapped).await.unwrap().as_slice(), [1, 2, 3]);

    let seen = vault.server.seen();
    let lines: Vec<&str> = seen.iter().map(|request| request.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /keys/k?api-version=7.4 HTTP/1.1",
            "POST /keys/k/0a1b/wrapkey?api-version=7.4 HTTP/1.1",
            "POST /keys/k/0a1b/unwrapkey?api-version=7.4 HTTP/1.1",
        ]
    );
    assert_eq!(seen[1].body, br#"{"alg":"RSA-OAEP-256","value":"-_8A"}"#);
    assert_eq!(seen[2].body, br#"{"alg":"RSA-OAEP-256","value":"-_8"}"#);
    for request in &seen {
        assert_eq!(request.header("authorization"), Some("Bearer SECRETTOKEN"));
    }
    assert_eq!(seen[1].header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_symmetric_key_of_a_managed_hsm_wraps_by_its_own_algorithm() {
    let script = |address: &str| vec![bundle(address, "oct-HSM", 0, true), result("AAAA"), result("AQID")];
    let vault = Vault::with(script).await;
    let key = vault.client.key(&vault.url("keys/k/0a1b")).await.unwrap();
    let wrapped = vault.client.wrap(&key, &[1]).await.unwrap();
    vault.client.unwrap(key.url(), &wrapped).await.unwrap();
    let seen = vault.server.seen();
    assert_eq!(seen[1].body, br#"{"alg":"A256KW","value":"AQ"}"#);
    assert_eq!(seen[2].body, br#"{"alg":"A256KW","value":"AAAA"}"#);
}

#[tokio::test]
async fn keys_that_cannot_be_used_are_found_before_they_are() {
    type Script = fn(&str) -> Act;
    let table: [(Script, KeyVaultFault); 8] = [
        (|address| bundle(address, "RSA", 255, true), KeyVaultFault::KeyUnsuitable),
        (|address| bundle(address, "EC", 0, true), KeyVaultFault::KeyUnsuitable),
        (|address| bundle(address, "RSA-HSM", 256, false), KeyVaultFault::KeyDisabled),
        (|_| bundle("v.vault.azure.net", "RSA", 256, true), KeyVaultFault::Unavailable),
        (|_| refusal(403, "Forbidden", "ForbiddenByFirewall"), KeyVaultFault::AccessRevoked),
        (|_| refusal(403, "Forbidden", "KeyDisabled"), KeyVaultFault::KeyDisabled),
        (|_| refusal(404, "KeyNotFound", ""), KeyVaultFault::KeyNotFound),
        (|_| Reply::new(401).act(), KeyVaultFault::AccessRevoked),
    ];
    for (number, (act, expected)) in table.into_iter().enumerate() {
        let vault = Vault::with(|address| vec![act(address)]).await;
        let error = vault.failure().await;
        assert_eq!(error.what, expected, "{number}: {error}");
        assert_eq!(vault.server.seen().len(), 1, "{number}: what cannot get better is not repeated");
    }
}

#[tokio::test]
async fn what_may_get_better_is_repeated_a_few_times_with_pauses() {
    let busy = |_: &str| {
        vec![
            Reply::new(429).with("Retry-After", "3").act(),
            Reply::new(503).act(),
            Act::HangUp,
            refusal(500, "Internal", ""),
        ]
    };
    let vault = Vault::with(busy).await;
    let error = vault.failure().await;
    assert_eq!((error.what, error.class()), (KeyVaultFault::Unavailable, Class::RetryRequest), "{error}");
    assert_eq!(vault.server.seen().len(), 4);
    assert_eq!(vault.clock.pauses()[0], Duration::from_secs(3));
    let recovers = |address: &str| vec![Reply::new(503).act(), bundle(address, "RSA", 256, true)];
    let vault = Vault::with(recovers).await;
    assert!(vault.client.key(&vault.url("keys/k")).await.is_ok());
}

#[tokio::test]
async fn answers_that_are_not_key_vaults_are_refused_and_quoted_nowhere() {
    let page = || Reply::new(200).body(b"<html>SECRETPAGE</html>").act();
    let vault = Vault::with(|_| vec![page()]).await;
    let error = vault.failure().await;
    assert_eq!(error.what, KeyVaultFault::Unavailable);
    assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
    let endless = Vault::with(|_| vec![Act::Endless, Act::Endless, Act::Endless, Act::Endless]).await;
    assert!(endless.failure().await.to_string().contains("far too long"));
    let half = |address: &str| vec![bundle(address, "RSA", 256, true), result("SECRET*VALUE")];
    let vault = Vault::with(half).await;
    let key = vault.client.key(&vault.url("keys/k")).await.unwrap();
    let error = vault.client.wrap(&key, b"x").await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("SECRET"), "{error:?}");
}

#[tokio::test]
async fn errors_and_debug_texts_show_no_token_and_a_sentence_on_one_line() {
    let vault = Vault::with(|_| vec![refusal(403, "Forbidden", "AccessDenied")]).await;
    let error = vault.failure().await;
    let text = format!("{error} {error:?} {:?}", vault.client);
    assert!(!text.contains("SECRETTOKEN"), "{text}");
    assert!(error.to_string().contains("Saidso."), "{error}");
}

#[tokio::test]
async fn what_another_key_wrapped_is_told_apart() {
    let script = |address: &str| vec![bundle(address, "RSA", 256, true), refusal(400, "BadParameter", "")];
    let vault = Vault::with(script).await;
    let key = vault.client.key(&vault.url("keys/k")).await.unwrap();
    let wrapped = azure::WrappedKey::from_bytes(vec![1, 2, 3]);
    let error = vault.client.unwrap(key.url(), &wrapped).await.unwrap_err();
    assert_eq!(error.what, KeyVaultFault::NotWrapped);
    for bytes in [vec![], vec![9, 1]] {
        let error = vault.client.unwrap(key.url(), &azure::WrappedKey::from_bytes(bytes)).await.unwrap_err();
        assert_eq!(error.what, KeyVaultFault::NotWrapped);
    }
    assert_eq!(vault.server.seen().len(), 2, "nonsense is not sent");
}

#[tokio::test]
async fn a_storage_credential_opens_no_vault_and_no_other_host_is_asked() {
    let credential = Credential::from_text(azure::DEVELOPMENT_KEY).unwrap();
    let error = KeyVault::new(KeyVaultConfig::new(credential)).unwrap_err();
    assert!(matches!(error, KeyVaultConfigError::Credential { kind: "account key" }), "{error}");
    let vault = Vault::with(|_| Vec::new()).await;
    let error = vault.client.parse_url("https://evil.example/keys/k").unwrap_err();
    assert!(matches!(error, KeyUrlError::Host { .. }));
}
