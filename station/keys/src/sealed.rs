//! The bytes of a sealed secret.
//!
//! Version 1; integers are big-endian, a *box* is what `aead` makes (nonce 12 ‖ ciphertext ‖ tag 16):
//!
//! ```text
//!  0   4  "DRYS"
//!  4   1  version, 1
//!  5   1  kind: 0 the data key is wrapped by the master key;
//!               1 it is wrapped by a customer's key in Key Vault first, and that by the master key
//!  6  16  id of the master key
//! 22   2  length k of the customer's key id, 0 for kind 0
//! 24   k  the customer's key id: the URL of one version of the key
//!      2  length w
//!      w  box under the master key: the data key, 32 bytes; kind 1: azure::WrappedKey of it
//!      4  length s
//!      s  box under the data key: the secret
//! ```
//! Associated data of the first box: `"drayage-wrapped-key-v1\0"`, all bytes before it, the purpose; of
//! the second: `"drayage-secret-v1\0"`, version, kind, k and the key id, the purpose. So every bit is
//! authenticated, and a rewrap under another master key replaces the first box and leaves the second.
//! The data key is fresh for each secret. Invariant: a [`Sealed`] is well-formed; whether it is *true*
//! only opening it tells. Nothing here is secret; the lengths tell the secret's length.

use std::fmt;

use crate::aead::{KEY_BYTES, OVERHEAD_BYTES};
use crate::master::KeyId;
use crate::purpose::Purpose;

const MAGIC: &[u8; 4] = b"DRYS";
const VERSION: u8 = 1;
const WRAP_TAG: &[u8] = b"drayage-wrapped-key-v1\0";
const SECRET_TAG: &[u8] = b"drayage-secret-v1\0";

/// Longest secret: far beyond any password, key or SAS.
pub const SECRET_BYTES_MAX: usize = 64 << 10;
/// Longest key id: vault host (127 with its domain), key name (127) and version (32) fit twice.
pub const CUSTOMER_KEY_BYTES_MAX: usize = 600;
/// What a Key Vault may make of 32 bytes: 513 with the largest RSA key; twice that for what may come.
const KEY_VAULT_BYTES_MAX: usize = 1024;

/// A secret that only its vault can open, for one purpose only.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    pub(crate) master: KeyId,
    pub(crate) customer_key: Option<String>,
    pub(crate) wrapped_key: Vec<u8>,
    pub(crate) secret: Vec<u8>,
}

/// Why bytes are no sealed secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Something else, or cut off at the front.
    #[error("the bytes do not begin with DRYS: this is no sealed secret")]
    Magic,
    /// Written by something newer.
    #[error("sealed secret of version {0}, known is 1")]
    Version(u8),
    /// Neither kind.
    #[error("sealed secret of kind {0}, known are 0 (master key) and 1 (customer's key)")]
    Kind(u8),
    /// Ends too early.
    #[error("the sealed secret ends inside {field}, at byte {at}")]
    Short {
        /// Which field is cut.
        field: &'static str,
        /// Where the bytes end.
        at: usize,
    },
    /// A length that cannot be.
    #[error("{field} of the sealed secret is {found} bytes long, {min} to {max} are possible")]
    Length {
        /// Which field.
        field: &'static str,
        /// What is there.
        found: usize,
        /// The shortest.
        min: usize,
        /// The longest.
        max: usize,
    },
    /// The customer's key id is no text.
    #[error("the customer's key id of the sealed secret is not printable ASCII")]
    KeyText,
    /// Bytes after the end.
    #[error("{0} bytes follow the end of the sealed secret")]
    Trailing(usize),
}

impl Sealed {
    /// Reads a sealed secret as a ledger stored it.
    ///
    /// # Errors
    /// What is malformed about it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Sealed, Malformed> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Malformed::Magic)?;
        let mut from = Reader { whole: bytes.len(), rest };
        let [version] = from.array("the version")?;
        if version != VERSION {
            return Err(Malformed::Version(version));
        }
        let [kind] = from.array("the kind")?;
        if kind > 1 {
            return Err(Malformed::Kind(kind));
        }
        let master = KeyId(from.array("the master key's id")?);
        let customer_key = from.customer_key(kind == 1)?;
        let length = u16::from_be_bytes(from.array("the wrapped key")?);
        let wrapped_key = from.sized("the wrapped key", length.into(), wrapped_key_bytes(kind == 1))?;
        let length = u32::from_be_bytes(from.array("the secret")?);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let secret = from.sized("the secret", length, (OVERHEAD_BYTES, OVERHEAD_BYTES + SECRET_BYTES_MAX))?;
        match from.rest.len() {
            0 => Ok(Sealed { master, customer_key, wrapped_key: wrapped_key.into(), secret: secret.into() }),
            rest => Err(Malformed::Trailing(rest)),
        }
    }

    /// The bytes for the ledger.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut to = header(self.master, self.customer_key.as_deref());
        to.extend(length16(self.wrapped_key.len()));
        to.extend(&self.wrapped_key);
        let length = u32::try_from(self.secret.len()).expect("limited by SECRET_BYTES_MAX");
        to.extend(length.to_be_bytes());
        to.extend(&self.secret);
        to
    }

    /// The master key that it was sealed under.
    pub fn master_key(&self) -> KeyId {
        self.master
    }

    /// The customer's key that is needed besides, if there is one: its URL with the version.
    pub fn customer_key(&self) -> Option<&str> {
        self.customer_key.as_deref()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed(master key {}, {} bytes)", self.master, self.secret.len())
    }
}

/// Everything in front of the wrapped key's length.
fn header(master: KeyId, customer_key: Option<&str>) -> Vec<u8> {
    let mut to = MAGIC.to_vec();
    to.push(VERSION);
    to.push(u8::from(customer_key.is_some()));
    to.extend(master.0);
    to.extend(length16(customer_key.unwrap_or_default().len()));
    to.extend(customer_key.unwrap_or_default().as_bytes());
    to
}

fn length16(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("limited where it was made").to_be_bytes()
}

/// Associated data of the box under the master key.
pub(crate) fn wrap_data(master: KeyId, customer_key: Option<&str>, purpose: &Purpose) -> Vec<u8> {
    [WRAP_TAG, &header(master, customer_key), &purpose.canonical()].concat()
}

/// Associated data of the box under the data key.
pub(crate) fn secret_data(customer_key: Option<&str>, purpose: &Purpose) -> Vec<u8> {
    let key = customer_key.unwrap_or_default();
    let fixed = [VERSION, u8::from(customer_key.is_some())];
    [SECRET_TAG, &fixed, &length16(key.len()), key.as_bytes(), &purpose.canonical()].concat()
}

/// Shortest and longest box with a wrapped key.
fn wrapped_key_bytes(is_customers: bool) -> (usize, usize) {
    match is_customers {
        false => (OVERHEAD_BYTES + KEY_BYTES, OVERHEAD_BYTES + KEY_BYTES),
        true => (OVERHEAD_BYTES + KEY_BYTES, OVERHEAD_BYTES + KEY_VAULT_BYTES_MAX),
    }
}

struct Reader<'a> {
    whole: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], Malformed> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(Malformed::Short { field, at: self.whole });
        };
        self.rest = rest;
        Ok(*taken)
    }

    fn sized(
        &mut self,
        field: &'static str,
        found: usize,
        (min, max): (usize, usize),
    ) -> Result<&'a [u8], Malformed> {
        if found < min || found > max {
            return Err(Malformed::Length { field, found, min, max });
        }
        let (taken, rest) =
            self.rest.split_at_checked(found).ok_or(Malformed::Short { field, at: self.whole })?;
        self.rest = rest;
        Ok(taken)
    }

    fn customer_key(&mut self, is_there: bool) -> Result<Option<String>, Malformed> {
        let field = "the customer's key id";
        let length = u16::from_be_bytes(self.array(field)?);
        let limits = if is_there { (1, CUSTOMER_KEY_BYTES_MAX) } else { (0, 0) };
        let text = self.sized(field, length.into(), limits)?;
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err(Malformed::KeyText);
        }
        Ok(is_there.then(|| text.iter().copied().map(char::from).collect()))
    }
}

#[cfg(test)]
mod tests;
