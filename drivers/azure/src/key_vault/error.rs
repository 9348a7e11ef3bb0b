//! What a refusal of Key Vault means, and what it leads to.
//!
//! Owns the table from Key Vault's codes to the service's `CmkError…` codes (azure-import-export.md §4.7).
//! Invariant: no error holds a token or a key.

use std::error::Error;

use model::Class;
use serde::Deserialize;

use super::url::KeyUrl;

/// Longest sentence of the service that is repeated.
const MESSAGE_CHARS_MAX: usize = 300;

/// A failed request to Key Vault.
#[derive(Debug, thiserror::Error)]
#[error("{attempted} the key {key}: {what}{}", if message.is_empty() { String::new() } else { format!(": {message}") })]
pub struct KeyVaultError {
    /// What was attempted: `looking at`, `wrapping with`, `unwrapping with`.
    pub(super) attempted: &'static str,
    /// The key's URL.
    pub key: Box<str>,
    /// What it means.
    pub what: KeyVaultFault,
    /// The service's own sentence.
    pub message: Box<str>,
    #[source]
    pub(super) source: Option<Box<dyn Error + Send + Sync>>,
}

/// What a failure of Key Vault means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyVaultFault {
    /// Neither token nor network address may use the key.
    #[error("access is refused (Get, Wrap Key and Unwrap Key are needed)")]
    AccessRevoked,
    /// The key or this version is disabled, expired or not valid yet.
    #[error("the key is disabled")]
    KeyDisabled,
    /// No such key or version, or it is deleted.
    #[error("there is no such key")]
    KeyNotFound,
    /// No such vault.
    #[error("there is no such vault")]
    VaultNotFound,
    /// A key that cannot wrap: too short, or an elliptic curve.
    #[error("the key cannot wrap others: an RSA key of 2048 bits or more is needed")]
    KeyUnsuitable,
    /// The bytes are not what this key once wrapped.
    #[error("what is to be unwrapped was not wrapped by this key")]
    NotWrapped,
    /// The identity provider gives no token.
    #[error("no token could be had for it")]
    NoToken,
    /// The vault's certificate is not trusted.
    #[error("the vault's certificate is not trusted")]
    Trust,
    /// No answer, a busy or broken service, throttling: after all tries.
    #[error("the vault does not answer as it should, after all tries")]
    Unavailable,
}

impl KeyVaultFault {
    /// The code that the Import/Export service has for it, where it has one.
    pub fn code(self) -> Option<&'static str> {
        match self {
            KeyVaultFault::AccessRevoked => Some("CmkErrorAccessRevoked"),
            KeyVaultFault::KeyDisabled => Some("CmkErrorKeyDisabled"),
            KeyVaultFault::KeyNotFound => Some("CmkErrorKeyNotFound"),
            KeyVaultFault::VaultNotFound => Some("CmkErrorVaultNotFound"),
            KeyVaultFault::KeyUnsuitable
            | KeyVaultFault::NotWrapped
            | KeyVaultFault::NoToken
            | KeyVaultFault::Trust
            | KeyVaultFault::Unavailable => None,
        }
    }
}

impl KeyVaultError {
    /// What it leads to. Whose key it is decides who is to mend it: of the station's own master key,
    /// the caller makes more of it.
    pub fn class(&self) -> Class {
        match self.what {
            KeyVaultFault::AccessRevoked
            | KeyVaultFault::KeyDisabled
            | KeyVaultFault::KeyNotFound
            | KeyVaultFault::VaultNotFound
            | KeyVaultFault::KeyUnsuitable
            | KeyVaultFault::NotWrapped
            | KeyVaultFault::NoToken
            | KeyVaultFault::Trust => Class::HoldForCustomer,
            KeyVaultFault::Unavailable => Class::RetryRequest,
        }
    }

    pub(super) fn new(attempted: &'static str, key: &KeyUrl, what: KeyVaultFault, message: &str) -> Self {
        let message: String = message.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect();
        let key = key.to_string().into();
        KeyVaultError { attempted, key, what, message: message.into(), source: None }
    }
}

/// Key Vault's error document: `{"error":{"code":…,"message":…,"innererror":{"code":…}}}`.
#[derive(Deserialize, Default)]
struct Document {
    #[serde(default)]
    error: Refusal,
}

#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    // Written in both ways by the service.
    #[serde(default, alias = "innerError")]
    innererror: Option<Box<Refusal>>,
}

/// What an answer that is not success means, and the service's sentence.
pub(super) fn judge(status: u16, body: &[u8], unwrapping: bool) -> (KeyVaultFault, String) {
    let Document { error } = serde_json::from_slice(body).unwrap_or_default();
    let inner = error.innererror.as_ref().map_or("", |inner| inner.code.as_str());
    let codes = [inner, error.code.as_str()];
    let has = |code: &str| codes.iter().any(|found| found.eq_ignore_ascii_case(code));
    let what = match status {
        _ if has("KeyDisabled") || has("KeyExpired") || has("KeyNotYetValid") => KeyVaultFault::KeyDisabled,
        _ if has("VaultNotFound") => KeyVaultFault::VaultNotFound,
        401 | 403 => KeyVaultFault::AccessRevoked,
        404 | 410 => KeyVaultFault::KeyNotFound,
        // Deleted, and to be restored within the retention time.
        409 => KeyVaultFault::KeyNotFound,
        // A key whose kind does not go with the algorithm, or bytes that are not this key's.
        400 if unwrapping => KeyVaultFault::NotWrapped,
        400 => KeyVaultFault::KeyUnsuitable,
        _ => KeyVaultFault::Unavailable,
    };
    (what, error.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_codes_become_those_of_import_export() {
        let refusal = |code: &str, inner: &str| {
            format!(
                r#"{{"error":{{"code":"{code}","message":"Said so.","innererror":{{"code":"{inner}"}}}}}}"#
            )
        };
        for (status, body, code) in [
            (403, refusal("Forbidden", "KeyDisabled"), "CmkErrorKeyDisabled"),
            (403, refusal("Forbidden", "AccessDenied"), "CmkErrorAccessRevoked"),
            (403, refusal("Forbidden", "ForbiddenByFirewall"), "CmkErrorAccessRevoked"),
            (403, refusal("Forbidden", "ForbiddenByRbac"), "CmkErrorAccessRevoked"),
            (401, String::new(), "CmkErrorAccessRevoked"),
            (404, refusal("KeyNotFound", ""), "CmkErrorKeyNotFound"),
            (409, refusal("Conflict", "ObjectIsDeletedButRecoverable"), "CmkErrorKeyNotFound"),
            (404, refusal("VaultNotFound", ""), "CmkErrorVaultNotFound"),
        ] {
            assert_eq!(judge(status, body.as_bytes(), true).0.code(), Some(code), "{status} {body}");
        }
        let new_spelling = br#"{"error":{"code":"Forbidden","innerError":{"code":"KeyDisabled"}}}"#;
        assert_eq!(judge(403, new_spelling, false).0, KeyVaultFault::KeyDisabled);
    }

    #[test]
    fn what_has_no_code_of_import_export_is_told_apart_all_the_same() {
        assert_eq!(judge(400, b"", true).0, KeyVaultFault::NotWrapped);
        assert_eq!(judge(400, b"", false).0, KeyVaultFault::KeyUnsuitable);
        for status in [429, 500, 503, 302] {
            assert_eq!(judge(status, b"<html>", false).0, KeyVaultFault::Unavailable);
        }
        let deep = format!("{}1{}", r#"{"error":{"innererror":"#.repeat(200), "}}".repeat(200));
        assert_eq!(judge(403, deep.as_bytes(), false).0, KeyVaultFault::AccessRevoked);
    }
}
