//! AES-256-GCM with a random nonce in front: the one cipher of this crate.
//!
//! `box = nonce (12) ‖ ciphertext ‖ tag (16)`. Invariant: the nonce is fresh random each time. A data key
//! encrypts one secret, so its nonce cannot repeat. A master key encrypts one data key a secret; up to
//! 2^32 of them the chance that any two nonces meet stays below 2^-32 (NIST SP 800-38D §8.3), and no
//! station seals a thousandth of that before its key is rotated.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// What a box has beyond its content.
pub(crate) const OVERHEAD_BYTES: usize = NONCE_BYTES + 16;

/// A key of the cipher. On the heap, because a value on the stack leaves a copy behind each time it is moved.
pub(crate) struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// A fresh key.
    pub(crate) fn random() -> Key {
        let mut bytes = Zeroizing::new(vec![0; KEY_BYTES]);
        fill(&mut bytes);
        Key(bytes)
    }

    /// A key that was kept somewhere, if it has the cipher's length.
    pub(crate) fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Option<Key> {
        (bytes.len() == KEY_BYTES).then_some(Key(bytes))
    }

    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// Fills with random bytes from the system.
///
/// # Panics
/// When the system has none: nothing may then be encrypted.
fn fill(bytes: &mut [u8]) {
    SystemRandom::new().fill(bytes).expect("the system's random source answers");
}

/// Encrypts `content`, bound to `associated`.
pub(crate) fn close(key: &Key, associated: &[u8], content: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_BYTES];
    fill(&mut nonce);
    // Room for the tag from the start: growing would leave the content behind in freed memory.
    let mut text = Zeroizing::new(Vec::with_capacity(content.len() + OVERHEAD_BYTES));
    text.extend_from_slice(content);
    cipher(key)
        .encrypt_in_place(&Nonce::from(nonce), associated, &mut *text)
        .expect("the content is shorter than 64 GiB");
    [nonce.as_slice(), text.as_slice()].concat()
}

/// The content of a box, if key, associated data and every bit of the box are those of [`close`].
pub(crate) fn open(key: &Key, associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let mut text = Zeroizing::new(text.to_vec());
    cipher(key).decrypt_in_place(&Nonce::from(*nonce), associated, &mut *text).ok()?;
    Some(text)
}

fn cipher(key: &Key) -> Aes256Gcm {
    Aes256Gcm::new_from_slice(key.as_slice()).expect("the key has the cipher's length")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_opens_with_its_key_and_associated_data_only() {
        let (key, other) = (Key::random(), Key::random());
        let mut sealed = close(&key, b"for a", b"content");
        assert_eq!(sealed.len(), 7 + OVERHEAD_BYTES);
        assert_eq!(open(&key, b"for a", &sealed).as_deref().map(Vec::as_slice), Some(b"content".as_slice()));
        assert!(open(&other, b"for a", &sealed).is_none());
        assert!(open(&key, b"for b", &sealed).is_none());
        for at in 0..sealed.len() {
            sealed[at] ^= 1;
            assert!(open(&key, b"for a", &sealed).is_none(), "byte {at}");
            sealed[at] ^= 1;
        }
        assert!(open(&key, b"", b"short").is_none() && open(&key, b"", &[0; 12]).is_none());
    }

    #[test]
    fn the_same_content_never_gives_the_same_box() {
        let key = Key::random();
        assert_ne!(close(&key, b"", b"content"), close(&key, b"", b"content"));
    }
}
