//! What the double answers to one request.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::http::request::Parts;
use serde_json::{Value, json};

use super::{Key, Mood, Shared, TOKEN};

/// A status that no service of Azure has, for what is no request of Key Vault.
const NOT_KEY_VAULT: u16 = 599;
/// As long as RSA of 2048 bits makes it.
const WRAPPED_BYTES: usize = 256;

type Answer = (u16, String);

/// Judges a request, remembers it, and answers it.
pub(super) fn answer(shared: &Shared, head: &Parts, body: &[u8]) -> Answer {
    let line = format!("{} {}", head.method, head.uri);
    let (status, value) = match head.uri.path().trim_start_matches('/').split('/').collect::<Vec<_>>()[..] {
        [_, "oauth2", "v2.0", "token"] => token(body),
        ["keys", ref path @ ..] => with_key(shared, head, path, body),
        _ => unknown("no path of Key Vault"),
    };
    shared.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(match status {
        NOT_KEY_VAULT => format!("{line}: {value}"),
        _ => line,
    });
    (status, value.to_string())
}

fn unknown(why: &str) -> (u16, Value) {
    (NOT_KEY_VAULT, json!({"error": {"code": "NotKeyVault", "message": why}}))
}

fn refusal(status: u16, code: &str, inner: &str) -> (u16, Value) {
    let inner = json!({"code": inner});
    (status, json!({"error": {"code": code, "message": "Said so.", "innererror": inner}}))
}

/// The identity provider: a client's assertion or secret for a token of Key Vault.
fn token(body: &[u8]) -> (u16, Value) {
    let body = String::from_utf8_lossy(body);
    let is_for_vault = body.contains("scope=https%3A%2F%2Fvault.azure.net%2F.default");
    let has_proof = body.contains("client_assertion=") || body.contains("client_secret=");
    if !is_for_vault || !has_proof {
        return unknown("no request for a token of Key Vault");
    }
    (200, json!({"token_type": "Bearer", "expires_in": 3600, "access_token": TOKEN}))
}

fn with_key(shared: &Shared, head: &Parts, path: &[&str], body: &[u8]) -> (u16, Value) {
    let token = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    if head.uri.query() != Some("api-version=7.4") {
        return unknown("another version of the interface");
    }
    if token.and_then(|token| token.strip_prefix("Bearer ")) != Some(TOKEN) {
        return refusal(401, "Unauthorized", "");
    }
    let [name, rest @ ..] = path else { return unknown("no key is named") };
    let mut keys = shared.keys();
    let Some(key) = keys.get_mut(*name) else { return refusal(404, "KeyNotFound", "") };
    let kid = |version: &str| format!("{}/keys/{name}/{version}", shared.origin);
    match (key.mood, head.method.as_str(), rest) {
        (Mood::Busy, ..) => refusal(503, "ServiceUnavailable", ""),
        (Mood::Revoked, ..) => refusal(403, "Forbidden", "ForbiddenByRbac"),
        (Mood::Deleted, ..) => refusal(404, "KeyNotFound", ""),
        (_, _, [version, ..]) if !key.versions.iter().any(|known| known == version) => {
            refusal(404, "KeyNotFound", "")
        }
        (_, "GET", []) => (200, bundle(key, &kid(key.versions.last().map_or("", String::as_str)))),
        (_, "GET", [version]) => (200, bundle(key, &kid(version))),
        (_, "POST", [version, operation]) => match value_of(body) {
            Some(value) => operate(key, (operation, version, &kid(version)), value),
            None => unknown("no body of a key's operation"),
        },
        _ => unknown("no request about a key"),
    }
}

fn bundle(key: &Key, kid: &str) -> Value {
    let attributes = json!({"enabled": key.mood != Mood::Disabled, "created": 1});
    let key = match key.mood {
        Mood::Curve => json!({"kid": kid, "kty": "EC", "crv": "P-256"}),
        _ => json!({"kid": kid, "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xc1; 256]), "e": "AQAB"}),
    };
    json!({"key": key, "attributes": attributes, "tags": {}})
}

fn value_of(body: &[u8]) -> Option<Vec<u8>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let is_whole = body.as_object()?.len() == 2 && body.get("alg")? == "RSA-OAEP-256";
    let value = URL_SAFE_NO_PAD.decode(body.get("value")?.as_str()?).ok()?;
    is_whole.then_some(value)
}

fn operate(key: &mut Key, (operation, version, kid): (&str, &str, &str), value: Vec<u8>) -> (u16, Value) {
    let result = |bytes: &[u8]| (200, json!({"kid": kid, "value": URL_SAFE_NO_PAD.encode(bytes)}));
    match (operation, key.mood) {
        ("wrapkey", _) => {
            let handle = handle_of(version, key.wrapped.len());
            key.wrapped.insert(handle.clone(), value);
            result(&handle)
        }
        ("unwrapkey", Mood::Disabled | Mood::DisabledSinceLooked) => refusal(403, "Forbidden", "KeyDisabled"),
        ("unwrapkey", Mood::Lying) => result(&[7; 32]),
        ("unwrapkey", _) => match key.wrapped.get(&value) {
            Some(secret) if value.starts_with(version.as_bytes()) => result(secret),
            _ => refusal(400, "BadParameter", ""),
        },
        _ => unknown("no operation that is used here"),
    }
}

/// What stands for a wrapped key: the version that wrapped it, and a number; the rest is as an RSA key's.
fn handle_of(version: &str, number: usize) -> Vec<u8> {
    let mut handle = version.as_bytes().to_vec();
    handle.extend_from_slice(&number.to_be_bytes());
    handle.resize(WRAPPED_BYTES, 0xb5);
    handle
}
