//! Who may do what: the credential of a request is checked, and turned into a [`Grant`].
//!
//! Owns the order of the checks and the window of the clock. [`shared_key`] and [`sas`] own the two
//! strings that are signed (spec §7.5). Invariant: no operation runs without a grant, and a
//! discarding endpoint, which checks nothing, says so in its documentation.

pub(crate) mod sas;
pub(crate) mod shared_key;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::codes::{self, Refusal};
use super::operation::Operation;
use super::request::Head;
use super::stamp::{Clock, Stamp};
use super::state::Account;

/// Signatures are good for a quarter of an hour around the service's time (spec §7.5).
const SKEW_SECONDS_MAX: u64 = 15 * 60;

/// What the account accepts.
pub(crate) struct Credentials {
    key: Vec<u8>,
    tokens: Vec<String>,
}

/// What a request may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Everything: the account's key, or a token that is accepted.
    Everything,
    /// What the letters of a signature allow.
    Letters(String),
}

impl Credentials {
    /// The account's key in base64, and bearer tokens that are accepted as they are.
    pub(crate) fn new(key: &str, tokens: Vec<String>) -> Option<Credentials> {
        Some(Credentials { key: BASE64.decode(key).ok()?, tokens })
    }

    /// Whether `signature`, in base64, is the HMAC of `text`; compared in constant time.
    pub(crate) fn verifies(&self, text: &str, signature: &str) -> bool {
        let Ok(signature) = BASE64.decode(signature) else { return false };
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        mac.verify_slice(&signature).is_ok()
    }
}

impl Grant {
    /// Whether a letter is allowed.
    pub(crate) fn allows(&self, letter: char) -> bool {
        match self {
            Grant::Everything => true,
            Grant::Letters(letters) => letters.contains(letter),
        }
    }
}

/// Checks the request's credential.
pub(crate) fn authenticate(
    head: &Head,
    account: &Account,
    credentials: &Credentials,
) -> Result<Grant, Refusal> {
    match head.header("authorization") {
        Some(header) => match header.split_once(' ') {
            Some(("SharedKey", value)) => shared_key::check(head, account, credentials, value),
            Some(("Bearer", token)) => check_token(credentials, token),
            _ => Err(codes::AUTHENTICATION_FORMAT.into()),
        },
        None if head.query("sig").is_some() => sas::check(head, account, credentials),
        None => Err(codes::NO_TOKEN.detail("AuthenticationErrorDetail", "no credential").header(
            "www-authenticate",
            "Bearer authorization_uri=https://login.invalid/rig resource_id=https://storage.azure.com",
        )),
    }
}

fn check_token(credentials: &Credentials, token: &str) -> Result<Grant, Refusal> {
    let known = credentials.tokens.iter().any(|accepted| accepted == token);
    if known { Ok(Grant::Everything) } else { Err(codes::TOKEN_REFUSED.into()) }
}

/// A refused signature, and why.
fn failed(detail: impl std::fmt::Display) -> Refusal {
    codes::AUTHENTICATION_FAILED.detail("AuthenticationErrorDetail", detail)
}

/// The time that a Shared Key request was signed at has to be the present.
fn check_skew(head: &Head, clock: &Clock) -> Result<(), Refusal> {
    let name = if head.header("x-ms-date").is_some() { "x-ms-date" } else { "date" };
    let signed = head.header(name).and_then(Stamp::parse_http_date);
    let signed = signed.ok_or_else(|| failed("the request has no date that can be read"))?;
    if signed.seconds_apart(clock.now()) > SKEW_SECONDS_MAX {
        return Err(failed(format!("the request's date is {}", signed.http_date())));
    }
    Ok(())
}

/// Whether the grant covers the operation; a letter too few is a permission mismatch.
pub(crate) fn authorize(grant: &Grant, operation: Operation) -> Result<(), Refusal> {
    let need = operation.need();
    let covered = need.any_of.is_empty() || need.any_of.chars().any(|letter| grant.allows(letter));
    if covered { Ok(()) } else { Err(codes::PERMISSION_MISMATCH.into()) }
}
