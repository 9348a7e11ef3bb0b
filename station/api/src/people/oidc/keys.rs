//! A provider's public keys (JWK set, RFC 7517), and the verification with one of them.
//!
//! A key that is not for signing, has no id, or is of a kind that we do not verify with, is passed over: providers
//! publish such. A set in which an id stands for two keys of one kind is refused, because which counts would be a
//! guess.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;
use thiserror::Error;

use super::Algorithm;
use super::strict::Strict;

/// Providers publish two or three keys; more than this is not a key set.
const KEYS_MAX: usize = 100;
/// A coordinate of P-256.
const COORDINATE_BYTES: usize = 32;

/// What is wrong with a key set.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum KeySetError {
    /// It is not JSON, or a name stands twice, or it has no `keys`.
    #[error("it is not a JWK set")]
    Form,
    /// It has more keys than any provider.
    #[error("it has {0} keys")]
    TooMany(usize),
    /// Two keys of one kind have the same id.
    #[error("two keys have the id {0:?}")]
    Twice(String),
    /// None of its keys can verify RS256 or ES256.
    #[error("it has no key for RS256 or ES256")]
    None,
}

/// One public key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum PublicKey {
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
    P256 { point: Vec<u8> },
}

/// The keys of a provider.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct KeySet(Vec<(String, PublicKey)>);

impl KeySet {
    pub(super) fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let Ok(Strict(set)) = serde_json::from_slice(json) else { return Err(KeySetError::Form) };
        let listed = set.get("keys").and_then(Value::as_array).ok_or(KeySetError::Form)?;
        if listed.len() > KEYS_MAX {
            return Err(KeySetError::TooMany(listed.len()));
        }
        let mut keys: Vec<(String, PublicKey)> = Vec::new();
        for (kid, key) in listed.iter().filter_map(read) {
            let is_twin =
                |(other, of): &(String, PublicKey)| *other == kid && of.algorithm() == key.algorithm();
            if keys.iter().any(is_twin) {
                return Err(KeySetError::Twice(kid));
            }
            keys.push((kid, key));
        }
        if keys.is_empty() { Err(KeySetError::None) } else { Ok(Self(keys)) }
    }

    /// The key of that id, of the kind that the algorithm needs: a token's header cannot turn one into another.
    pub(super) fn find(&self, kid: &str, algorithm: Algorithm) -> Option<&PublicKey> {
        let is_it = |(of, key): &&(String, PublicKey)| of == kid && key.algorithm() == algorithm;
        self.0.iter().find(is_it).map(|(_, key)| key)
    }
}

impl PublicKey {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::P256 { .. } => Algorithm::Es256,
        }
    }

    /// Gives the signed text back, if the signature is this key's over it. The key's kind chooses the algorithm.
    pub(super) fn verify<'a>(&self, signed: &'a str, signature: &[u8]) -> Result<&'a str, ()> {
        let verified = match self {
            Self::Rsa { modulus, exponent } => RsaPublicKeyComponents { n: modulus, e: exponent }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                signed.as_bytes(),
                signature,
            ),
            Self::P256 { point } => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), signature)
            }
        };
        verified.map(|()| signed).map_err(|_| ())
    }
}

/// One entry of a set, if it is a key that we can verify with.
fn read(key: &Value) -> Option<(String, PublicKey)> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let number = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    let is_for_signing = key.get("use").is_none_or(|usage| usage == "sig");
    let may_verify = key
        .get("key_ops")
        .is_none_or(|ops| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op == "verify")));
    if !is_for_signing || !may_verify {
        return None;
    }
    let (public, algorithm) = match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            (PublicKey::Rsa { modulus: unpadded(number("n")?), exponent: unpadded(number("e")?) }, "RS256")
        }
        ("EC", Some("P-256")) => (PublicKey::P256 { point: point(&number("x")?, &number("y")?)? }, "ES256"),
        _ => return None,
    };
    let is_its_own = key.get("alg").is_none_or(|alg| alg == algorithm);
    is_its_own.then(|| text("kid").map(|kid| (kid.to_owned(), public)))?
}

/// Some providers write a zero byte before a modulus, which `ring` does not take.
fn unpadded(number: Vec<u8>) -> Vec<u8> {
    number.into_iter().skip_while(|byte| *byte == 0).collect()
}

fn point(x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    let is_whole = x.len() == COORDINATE_BYTES && y.len() == COORDINATE_BYTES;
    is_whole.then(|| [&[4u8][..], x, y].concat())
}
