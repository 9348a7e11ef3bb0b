//! The compact form of a signed token (RFC 7515 §7.1), read strictly: what could be read two ways is refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use thiserror::Error;

use super::Algorithm;
use super::strict::Strict;

/// Key ids are short names; a longer one is nobody's.
const KID_BYTES_MAX: usize = 256;

/// Why a text is no token that could be verified.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CompactError {
    /// It has not three parts.
    #[error("it has not exactly three parts")]
    Parts,
    /// A part is not base64url without padding.
    #[error("its {0} is not base64url")]
    Base64(&'static str),
    /// The header is not a JSON object with each name once.
    #[error("its header is not a JSON object with each name once")]
    Header,
    /// The algorithm is none that we know.
    #[error("its algorithm is neither RS256 nor ES256")]
    Algorithm,
    /// It does not say which key signed it.
    #[error("it names no key")]
    NoKey,
    /// It has extensions that a reader must understand (RFC 7515 §4.1.11); we understand none.
    #[error("it has critical extensions")]
    Critical,
    /// It says that it is something else than a JWT.
    #[error("its type is not JWT")]
    Type,
}

/// A token before anything of it may be believed.
#[derive(Debug)]
pub(super) struct Unverified<'a> {
    pub algorithm: Algorithm,
    pub kid: String,
    /// The bytes that the signature is over: header, dot, claims, as they came.
    pub signed: &'a str,
    pub signature: Vec<u8>,
}

impl<'a> Unverified<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, CompactError> {
        let mut parts = text.split('.');
        let (Some(header), Some(_), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(CompactError::Parts);
        };
        let fields = read_header(header)?;
        let signed = text
            .strip_suffix(signature)
            .and_then(|rest| rest.strip_suffix('.'))
            .ok_or(CompactError::Parts)?;
        Ok(Self {
            algorithm: algorithm(&fields)?,
            kid: kid(&fields)?,
            signed,
            signature: decode(signature, "signature")?,
        })
    }
}

fn read_header(header: &str) -> Result<Map<String, Value>, CompactError> {
    let bytes = decode(header, "header")?;
    let Ok(Strict(Value::Object(fields))) = serde_json::from_slice(&bytes) else {
        return Err(CompactError::Header);
    };
    if fields.contains_key("crit") {
        return Err(CompactError::Critical);
    }
    match fields.get("typ") {
        None => Ok(fields),
        Some(Value::String(kind)) if is_jwt(kind) => Ok(fields),
        Some(_) => Err(CompactError::Type),
    }
}

/// `JWT`, or an access token by RFC 9068 (`at+jwt`), with or without `application/`, in any case.
fn is_jwt(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    ["jwt", "at+jwt"].contains(&kind.strip_prefix("application/").unwrap_or(&kind))
}

fn algorithm(fields: &Map<String, Value>) -> Result<Algorithm, CompactError> {
    match fields.get("alg").and_then(Value::as_str) {
        Some("RS256") => Ok(Algorithm::Rs256),
        Some("ES256") => Ok(Algorithm::Es256),
        _ => Err(CompactError::Algorithm),
    }
}

fn kid(fields: &Map<String, Value>) -> Result<String, CompactError> {
    let kid = fields.get("kid").and_then(Value::as_str).ok_or(CompactError::NoKey)?;
    match kid.len() {
        1..=KID_BYTES_MAX => Ok(kid.to_owned()),
        _ => Err(CompactError::NoKey),
    }
}

/// Without padding and with all spare bits zero: one text for one token.
pub(super) fn decode(part: &str, name: &'static str) -> Result<Vec<u8>, CompactError> {
    match URL_SAFE_NO_PAD.decode(part) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(CompactError::Base64(name)),
    }
}
