//! A stand-in for Azure Key Vault on the loopback interface, because no real one can be reached from a test.
//!
//! It is a fake: it holds its keys in memory and wraps with AES-GCM where a vault would use RSA, so what it
//! proves is that our requests are those of the REST documentation and that what comes back is used rightly.
//! It checks each request: method, path, version of the interface, token, algorithm. Like the real one it
//! goes on wrapping with a disabled key, and refuses to unwrap.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use azure::{Credential, KeyVault, KeyVaultConfig};
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::time::OffsetDateTime;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::aead::{self, Key};

/// What the fake does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    Disabled,
    /// Still described as enabled, but unwrapping is refused.
    DisabledSinceLooked,
    Revoked,
    Deleted,
    /// Unwraps to something else.
    Lying,
}

pub(crate) struct FakeKeyVault {
    pub(crate) address: String,
    state: Arc<Shared>,
}

struct Shared {
    address: String,
    key: Key,
    mood: Mutex<Mood>,
    seen: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Tokens;

#[async_trait]
impl TokenCredential for Tokens {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://vault.azure.net/.default"]);
        Ok(AccessToken::new("fake-token", OffsetDateTime::now_utc() + std::time::Duration::from_secs(600)))
    }
}

impl FakeKeyVault {
    pub(crate) async fn start() -> FakeKeyVault {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (mood, seen) = (Mutex::new(Mood::Well), Mutex::default());
        let state = Arc::new(Shared { address: address.clone(), key: Key::random(), mood, seen });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &shared).await;
            }
        });
        FakeKeyVault { address, state }
    }

    pub(crate) fn client(&self) -> KeyVault {
        let config = KeyVaultConfig::new(Credential::token(Arc::new(Tokens)));
        KeyVault::new(KeyVaultConfig { trusted_hosts: vec![self.address.clone()], ..config }).unwrap()
    }

    pub(crate) fn key_url(&self) -> String {
        format!("http://{}/keys/k", self.address)
    }

    pub(crate) fn is(&self, mood: Mood) {
        *self.state.mood.lock().unwrap() = mood;
    }

    /// The requests since the last look.
    pub(crate) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }
}

async fn serve(mut stream: TcpStream, state: &Shared) {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
                break (head.to_owned(), body.to_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let (status, answer) = answer(state, &head, &body);
    let text = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    );
    stream.write_all(text.as_bytes()).await.unwrap();
}

fn answer(state: &Shared, head: &str, body: &str) -> (u16, String) {
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    assert!(head.contains("authorization: Bearer fake-token"), "{head}");
    state.seen.lock().unwrap().push(line.clone());
    let mood = *state.mood.lock().unwrap();
    let refusal = |status, code: &str, inner: &str| {
        let inner = format!(r#""innererror":{{"code":"{inner}"}}"#);
        (status, format!(r#"{{"error":{{"code":"{code}","message":"Said so.",{inner}}}}}"#))
    };
    let is_unwrap = line.contains("/unwrapkey?");
    match mood {
        Mood::Revoked => return refusal(403, "Forbidden", "ForbiddenByRbac"),
        Mood::Deleted => return refusal(404, "KeyNotFound", ""),
        Mood::Disabled | Mood::DisabledSinceLooked if is_unwrap => {
            return refusal(403, "Forbidden", "KeyDisabled");
        }
        Mood::Disabled | Mood::DisabledSinceLooked | Mood::Well | Mood::Lying => {}
    }
    let kid = format!("http://{}/keys/k/0a1b", state.address);
    match line.as_str() {
        "GET /keys/k?api-version=7.4" | "GET /keys/k/0a1b?api-version=7.4" => {
            let modulus = URL_SAFE_NO_PAD.encode([0xc1; 256]);
            let enabled = mood != Mood::Disabled;
            let key = format!(r#"{{"kid":"{kid}","kty":"RSA","n":"{modulus}","e":"AQAB"}}"#);
            (200, format!(r#"{{"key":{key},"attributes":{{"enabled":{enabled},"created":1}},"tags":{{}}}}"#))
        }
        "POST /keys/k/0a1b/wrapkey?api-version=7.4" => {
            (200, result(&kid, &aead::close(&state.key, b"", &value_of(body))))
        }
        "POST /keys/k/0a1b/unwrapkey?api-version=7.4" if mood == Mood::Lying => (200, result(&kid, &[7; 32])),
        "POST /keys/k/0a1b/unwrapkey?api-version=7.4" => match aead::open(&state.key, b"", &value_of(body)) {
            Some(value) => (200, result(&kid, &value)),
            None => refusal(400, "BadParameter", ""),
        },
        other => panic!("no request of Key Vault: {other}"),
    }
}

fn value_of(body: &str) -> Vec<u8> {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["alg"], "RSA-OAEP-256");
    assert_eq!(body.as_object().unwrap().len(), 2);
    URL_SAFE_NO_PAD.decode(body["value"].as_str().unwrap()).unwrap()
}

fn result(kid: &str, value: &[u8]) -> String {
    format!(r#"{{"kid":"{kid}","value":"{}"}}"#, URL_SAFE_NO_PAD.encode(value))
}
