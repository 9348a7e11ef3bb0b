//! How a receiver knows that a delivery is ours: the scheme of Standard Webhooks, version 1.
//!
//! `webhook-signature: v1,base64(HMAC-SHA256(secret, "{webhook-id}.{webhook-timestamp}.{body}"))`. A receiver refuses
//! timestamps far from its own clock and ids that it had before, so a recorded delivery cannot be played again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;
use zeroize::Zeroizing;

/// What a secret's text begins with.
const PREFIX: &str = "whsec_";
/// The standard asks for 24 to 64 bytes; ours have as many as the digest.
const SECRET_BYTES: usize = 32;
const SECRET_BYTES_MIN: usize = 24;
const SECRET_BYTES_MAX: usize = 64;

/// The key of one subscription's signatures.
pub struct SigningSecret(Zeroizing<Vec<u8>>);

/// A text that is no signing secret.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SecretText {
    /// It does not begin as one.
    #[error("a signing secret begins with {PREFIX}")]
    Prefix,
    /// Not base64 behind that.
    #[error("a signing secret is base64 behind {PREFIX}")]
    Base64,
    /// Too short to be safe, or too long for the standard.
    #[error(
        "a signing secret has {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes in base64, this one has {found}"
    )]
    Length {
        /// How many it has.
        found: usize,
    },
}

impl SigningSecret {
    /// A fresh one.
    ///
    /// # Panics
    /// When the system has no randomness, which nothing can be done about.
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new(vec![0; SECRET_BYTES]);
        SystemRandom::new().fill(&mut bytes).expect("the system's random source answers");
        Self(bytes)
    }

    /// Reads the text that [`SigningSecret::text`] gives, or that a receiver chose.
    pub fn parse(text: &str) -> Result<Self, SecretText> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretText::Prefix)?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| SecretText::Base64)?);
        match bytes.len() {
            SECRET_BYTES_MIN..=SECRET_BYTES_MAX => Ok(Self(bytes)),
            found => Err(SecretText::Length { found }),
        }
    }

    /// The text that is shown once, to who made the subscription.
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + SECRET_BYTES_MAX * 2));
        text.push_str(PREFIX);
        STANDARD.encode_string(&*self.0, &mut text);
        text
    }

    /// The value of `webhook-signature` for one delivery.
    pub fn sign(&self, id: &str, at_unix_s: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let mut mac = hmac::Context::with_key(&key);
        mac.update(format!("{id}.{at_unix_s}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.sign()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_of_standard_webhooks_is_met() {
        let secret = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_read_as_it_is_shown() {
        let secret = SigningSecret::generate();
        let again = SigningSecret::parse(&secret.text()).unwrap();
        assert_eq!(again.sign("a", 1, b"x"), secret.sign("a", 1, b"x"));
        assert_ne!(SigningSecret::generate().sign("a", 1, b"x"), secret.sign("a", 1, b"x"));
    }

    #[test]
    fn weak_and_foreign_secrets_are_refused() {
        let refused = |text: &str| SigningSecret::parse(text).err();
        assert_eq!(refused("hunter2"), Some(SecretText::Prefix));
        assert_eq!(refused("whsec_***"), Some(SecretText::Base64));
        assert_eq!(refused("whsec_c2hvcnQ="), Some(SecretText::Length { found: 5 }));
    }
}
