//! Shared Key: the signature that an account key puts on each request.
//!
//! Owns the string to sign and the pipeline policy that adds the header. Invariant: the signature
//! covers the request as it goes out, so the policy runs once a try (each try has a fresh date),
//! takes the length from the body and not from a header (some requests have none), and the path
//! from the URL exactly as encoded. azure-storage.md §7.5, §2.4 trap 2.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::headers::HeaderName;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::ServiceTime;
use crate::credential::AccountKey;
use crate::encode::decode;

const AUTHORIZATION: HeaderName = HeaderName::from_static_standard("authorization");
const DATE: HeaderName = HeaderName::from_static("x-ms-date");
/// The standard headers that are signed, in this order; the length stands between the second and
/// the third, the (empty) date after the fourth.
const SIGNED_BEFORE_LENGTH: [&str; 2] = ["content-encoding", "content-language"];
const SIGNED_AFTER_LENGTH: [&str; 2] = ["content-md5", "content-type"];
const SIGNED_AFTER_DATE: [&str; 5] =
    ["if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range"];

/// Signs each try.
#[derive(Debug)]
pub(crate) struct SharedKey {
    account: String,
    key: AccountKey,
    time: Arc<ServiceTime>,
}

impl SharedKey {
    pub(crate) fn new(account: &str, key: AccountKey, time: Arc<ServiceTime>) -> SharedKey {
        SharedKey { account: account.to_owned(), key, time }
    }
}

#[async_trait]
impl Policy for SharedKey {
    async fn send(&self, ctx: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        request.insert_header(DATE, httpdate::fmt_http_date(self.time.now()));
        let signature = sign(&self.key, &string_to_sign(&self.account, request));
        request.insert_header(AUTHORIZATION, format!("SharedKey {}:{signature}", self.account));
        crate::authorise::forward(ctx, request, next).await
    }
}

/// HMAC-SHA256 in base64.
pub(crate) fn sign(key: &AccountKey, text: &str) -> String {
    // HMAC takes a key of any length; the error is of the trait, not of this algorithm.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.bytes()) else { return String::new() };
    mac.update(text.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// What is signed: method, standard headers, `x-ms-` headers, resource.
pub(crate) fn string_to_sign(account: &str, request: &Request) -> String {
    let mut text = String::with_capacity(512);
    text.push_str(request.method().as_ref());
    text.push('\n');
    push_headers(&mut text, request, &SIGNED_BEFORE_LENGTH);
    match request.body().len() {
        Some(0) | None => {}
        Some(length) => text.push_str(&length.to_string()),
    }
    text.push('\n');
    push_headers(&mut text, request, &SIGNED_AFTER_LENGTH);
    text.push('\n');
    push_headers(&mut text, request, &SIGNED_AFTER_DATE);
    push_service_headers(&mut text, request);
    push_resource(&mut text, account, request);
    text
}

fn push_headers(text: &mut String, request: &Request, names: &[&'static str]) {
    for name in names {
        text.push_str(header(request, name).unwrap_or_default());
        text.push('\n');
    }
}

fn header<'a>(request: &'a Request, name: &'static str) -> Option<&'a str> {
    let value = |value: &'a azure_core::http::headers::HeaderValue| Ok::<_, std::fmt::Error>(value.as_str());
    request.headers().get_optional_with(&HeaderName::from_static(name), value).ok().flatten()
}

fn push_service_headers(text: &mut String, request: &Request) {
    let mut headers: Vec<(&str, &str)> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| name.starts_with("x-ms-"))
        .collect();
    headers.sort_unstable();
    for (name, value) in headers {
        text.push_str(name);
        text.push(':');
        text.push_str(value.trim());
        text.push('\n');
    }
}

fn push_resource(text: &mut String, account: &str, request: &Request) {
    text.push('/');
    text.push_str(account);
    text.push_str(request.url().path());
    let mut pairs: Vec<(String, String)> = request
        .url()
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key).to_ascii_lowercase(), decode(value)))
        .collect();
    pairs.sort_unstable();
    let mut previous: Option<&str> = None;
    for (key, value) in &pairs {
        if previous == Some(key) {
            text.push(',');
        } else {
            text.push('\n');
            text.push_str(key);
            text.push(':');
        }
        text.push_str(value);
        previous = Some(key);
    }
}

#[cfg(test)]
mod tests;
