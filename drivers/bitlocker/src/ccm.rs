//! AES-256-CCM as BitLocker wraps its keys (spec §4.1): nonce of 12 bytes, tag of 16 bytes before
//! the ciphertext, no associated data; the plaintext is a whole datum.
//!
//! A plaintext comes out only when the tag is right, so a wrong key is known as such and never
//! gives noise.

use aes::Aes256;
use ccm::Ccm;
use ccm::aead::{AeadInOut, KeyInit};
use ccm::consts::{U12, U16};
use zeroize::Zeroizing;

use crate::bytes::{array_at, u16_at};

type Aes256Ccm = Ccm<Aes256, U16, U12>;

/// 32 secret bytes: a VMK, a stretched key, an external key.
pub(crate) type Key256 = Zeroizing<[u8; 32]>;

/// The body of a datum of type 5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) nonce: [u8; 12],
    pub(crate) tag: [u8; 16],
    pub(crate) ciphertext: Vec<u8>,
}

/// A key datum that was sealed.
pub(crate) struct OpenedKey {
    pub(crate) method: u16,
    pub(crate) key: Zeroizing<Vec<u8>>,
}

/// Why a sealed key did not come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenKeyError {
    /// The key is not the one that sealed it, or the bytes were changed.
    WrongTag,
    /// The tag is right and what it covers is no key datum.
    NoKey,
}

impl Sealed {
    /// Cuts a datum's body into its three parts.
    pub(crate) fn parse(body: &[u8]) -> Option<Sealed> {
        let (nonce, rest) = body.split_first_chunk()?;
        let (tag, ciphertext) = rest.split_first_chunk()?;
        Some(Sealed { nonce: *nonce, tag: *tag, ciphertext: ciphertext.to_vec() })
    }

    /// The body that [`Sealed::parse`] reads.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        [&self.nonce[..], &self.tag[..], &self.ciphertext[..]].concat()
    }

    /// The plaintext, or `None` when the tag does not match.
    pub(crate) fn open(&self, key: &[u8; 32]) -> Option<Zeroizing<Vec<u8>>> {
        let mut plaintext = Zeroizing::new(self.ciphertext.clone());
        Aes256Ccm::new(key.into())
            .decrypt_inout_detached(
                (&self.nonce).into(),
                &[],
                plaintext.as_mut_slice().into(),
                (&self.tag).into(),
            )
            .ok()?;
        Some(plaintext)
    }

    /// Opens and takes the key out of the datum inside: size, role 0, type 1, flags, method, 0, key.
    pub(crate) fn open_key(&self, key: &[u8; 32]) -> Result<OpenedKey, OpenKeyError> {
        let plaintext = self.open(key).ok_or(OpenKeyError::WrongTag)?;
        parse_key_datum(&plaintext).ok_or(OpenKeyError::NoKey)
    }

    /// As [`Sealed::open_key`] where only 256 bits make sense.
    pub(crate) fn open_key_256(&self, key: &[u8; 32]) -> Result<Key256, OpenKeyError> {
        let opened = self.open_key(key)?;
        array_at(&opened.key, 0)
            .filter(|_| opened.key.len() == 32)
            .map(Zeroizing::new)
            .ok_or(OpenKeyError::NoKey)
    }

    /// Seals a plaintext. The nonce must never have been used under this key.
    pub(crate) fn seal(key: &[u8; 32], nonce: [u8; 12], plaintext: &[u8]) -> Sealed {
        let mut ciphertext = plaintext.to_vec();
        let tag = Aes256Ccm::new(key.into()).encrypt_inout_detached(
            (&nonce).into(),
            &[],
            ciphertext.as_mut_slice().into(),
        );
        // CCM with a 3-byte length field fails only from 16 MiB on; a datum is at most 64 KiB.
        let tag = tag.map(Into::into).unwrap_or_default();
        Sealed { nonce, tag, ciphertext }
    }
}

/// Offset of the key in a key datum: datum header 8, method 2, flags 2.
const KEY_AT: usize = 12;

/// Type number of a key datum.
const TYPE_KEY: u16 = 1;

fn parse_key_datum(datum: &[u8]) -> Option<OpenedKey> {
    let size = usize::from(u16_at(datum, 0)?);
    if u16_at(datum, 4)? != TYPE_KEY {
        return None;
    }
    let key = Zeroizing::new(datum.get(KEY_AT..size)?.to_vec());
    Some(OpenedKey { method: u16_at(datum, 8)?, key })
}
