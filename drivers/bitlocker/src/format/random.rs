//! Random bytes from the operating system, for keys, salts and ids.

use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use super::FormatError;
use crate::{Guid, Method};

/// Fills a buffer.
pub(super) fn fill(buffer: &mut [u8]) -> Result<(), FormatError> {
    OsRng.try_fill_bytes(buffer).map_err(FormatError::Random)
}

/// `N` public bytes: a salt.
pub(super) fn bytes<const N: usize>() -> Result<[u8; N], FormatError> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// `N` secret bytes.
pub(super) fn secret<const N: usize>() -> Result<Zeroizing<[u8; N]>, FormatError> {
    let mut bytes = Zeroizing::new([0; N]);
    fill(&mut bytes[..])?;
    Ok(bytes)
}

/// A key for the sectors. XTS with two equal halves would be no XTS; chance does not give them, so
/// a generator that does is refused.
pub(super) fn sector_key(method: Method) -> Result<Zeroizing<Vec<u8>>, FormatError> {
    let length = method.key_bytes().ok_or(FormatError::Method { method })?;
    let mut key = Zeroizing::new(vec![0; length]);
    fill(&mut key)?;
    let (first, second) = key.split_at(length / 2);
    if first == second { Err(FormatError::WeakRandom) } else { Ok(key) }
}

/// A random GUID: RFC 9562 version 4, in Microsoft's byte order.
pub(super) fn guid() -> Result<Guid, FormatError> {
    let mut bytes: [u8; 16] = bytes()?;
    let [_, _, _, _, _, _, _, version, variant, ..] = &mut bytes;
    *version = (*version & 0x0F) | 0x40;
    *variant = (*variant & 0x3F) | 0x80;
    Ok(Guid::from_bytes(bytes))
}
