//! The station's own API tokens: what one looks like, and what is kept of it.
//!
//! A token is `drayage_`, 64 hexadecimal digits of the system's randomness (256 bits), and 8 digits that check the
//! others. The prefix is for secret scanners (`drayage_[0-9a-f]{72}`), the check spares the ledger whatever was
//! mistyped or made up.
//!
//! Only its SHA-256 is kept. A slow hash protects what people choose, because that can be guessed; nobody finds 256
//! random bits by trying, however fast each try is, and a slow hash here would only make every request slow.

use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// How every token begins.
pub const PREFIX: &str = "drayage_";
const RANDOM_BYTES: usize = 32;
const RANDOM_DIGITS: usize = 2 * RANDOM_BYTES;
const CHECK_DIGITS: usize = 8;

/// A token as its bearer has it. It is shown once, when it is made; it has no `Debug`, `Clone` or `Serialize`.
pub struct Token(Zeroizing<String>);

/// The system gave no randomness.
#[derive(Debug, Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

impl Token {
    /// A new one.
    pub fn generate() -> Result<Self, NoRandomness> {
        let mut random = Zeroizing::new([0u8; RANDOM_BYTES]);
        SystemRandom::new().fill(random.as_mut_slice()).map_err(|_| NoRandomness)?;
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + RANDOM_DIGITS + CHECK_DIGITS));
        text.push_str(PREFIX);
        push_hex(&mut text, random.as_slice());
        let check = check(&text);
        push_hex(&mut text, &check);
        Ok(Self(text))
    }

    /// What a client sent, if it has a token's form.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if digits.len() != RANDOM_DIGITS + CHECK_DIGITS || !is_hex {
            return None;
        }
        let (body, check_digits) = text.split_at(PREFIX.len() + RANDOM_DIGITS);
        let mut expected = String::with_capacity(CHECK_DIGITS);
        push_hex(&mut expected, &check(body));
        (expected == check_digits).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// What the ledger keeps.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// Whether this is the token of that hash, in a time that does not depend on where they differ.
    pub fn has_hash(&self, kept: &[u8; 32]) -> bool {
        self.hash().ct_eq(kept).into()
    }

    /// The text, for the one answer that shows it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Another hash than the one that is kept: the check digits say nothing about it.
fn check(body: &str) -> [u8; CHECK_DIGITS / 2] {
    let digest = Sha256::new().chain_update(b"drayage token check\0").chain_update(body).finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_has_its_hash() {
        let token = Token::generate().expect("randomness");
        let read = Token::parse(token.expose()).expect("its own form");
        assert!(read.has_hash(&token.hash()));
        assert_eq!(token.expose().len(), PREFIX.len() + 72);
    }

    #[test]
    fn two_tokens_differ() {
        let [one, other] = [Token::generate().expect("one"), Token::generate().expect("other")];
        assert_ne!(one.expose(), other.expose());
        assert!(!one.has_hash(&other.hash()));
    }

    #[test]
    fn no_digit_can_be_mistyped() {
        let token = Token::generate().expect("randomness");
        for place in 0..token.expose().len() {
            let mut bytes = token.expose().as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'a' { b'b' } else { b'a' };
            let typed = String::from_utf8(bytes).expect("ascii");
            assert!(Token::parse(&typed).is_none(), "place {place}");
        }
    }

    #[test]
    fn what_has_another_form_is_no_token() {
        let token = Token::generate().expect("randomness");
        let upper = token.expose().to_uppercase();
        let longer = format!("{}0", token.expose());
        let shorter = &token.expose()[..token.expose().len() - 1];
        for text in ["", PREFIX, "drayage_é", &upper, &longer, shorter, &token.expose()[1..]] {
            assert!(Token::parse(text).is_none(), "{text:?}");
        }
    }
}
