//! The sector ciphers (spec §5): whole sectors in place, each keyed by where it lies on the volume.
//!
//! [`SectorCipher`] holds no state but the expanded keys: any number of threads may share one. No
//! call allocates. Many sectors a call are much cheaper than one: tweaks, IVs and blocks go through
//! AES in batches that fill the processor's vector units.

mod batch;
mod cbc;
mod elephant;
mod xts;

use std::fmt;

use aes::cipher::KeyInit;
use aes::{Aes128, Aes256};

use crate::Method;
use cbc::Cbc;
use elephant::Elephant;
use xts::Xts;

/// Encrypts and decrypts the sectors of one volume. Its keys are zeroed when it is dropped.
pub struct SectorCipher {
    engine: Engine,
    method: Method,
    sector_bytes: u32,
}

/// One expanded key a method. Boxed: an expanded key is about a kilobyte.
enum Engine {
    Xts128(Box<Xts<Aes128>>),
    Xts256(Box<Xts<Aes256>>),
    Cbc128(Box<Cbc<Aes128>>),
    Cbc256(Box<Cbc<Aes256>>),
    Elephant128(Box<Elephant<Aes128>>),
    Elephant256(Box<Elephant<Aes256>>),
}

/// A method, key and sector size that make no cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// No such method, or the key has another length than it needs.
    #[error("{method} with a key of {key_bytes} bytes is no cipher")]
    Key {
        /// The method.
        method: Method,
        /// The key's length.
        key_bytes: usize,
    },
    /// Neither 512 nor 4096.
    #[error("sectors of {sector_bytes} bytes")]
    SectorSize {
        /// The size.
        sector_bytes: u32,
    },
}

/// Data that are not whole sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{length_bytes} bytes at {offset_bytes:#x} are not whole sectors of {sector_bytes} bytes")]
pub struct Unaligned {
    /// Where they lie on the volume.
    pub offset_bytes: u64,
    /// How many they are.
    pub length_bytes: usize,
    /// The cipher's unit.
    pub sector_bytes: u32,
}

impl SectorCipher {
    /// Takes a key as it stands in the FVEK datum.
    ///
    /// # Errors
    /// When method, key length and sector size do not go together.
    pub fn new(method: Method, fvek: &[u8], sector_bytes: u32) -> Result<SectorCipher, CipherError> {
        if !matches!(sector_bytes, 512 | 4096) {
            return Err(CipherError::SectorSize { sector_bytes });
        }
        let wrong = CipherError::Key { method, key_bytes: fvek.len() };
        if method.key_bytes() != Some(fvek.len()) {
            return Err(wrong);
        }
        let engine = Engine::new(method, fvek).ok_or(wrong)?;
        Ok(SectorCipher { engine, method, sector_bytes })
    }

    /// How it encrypts.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Its unit: 512 or 4096.
    pub fn sector_bytes(&self) -> u32 {
        self.sector_bytes
    }

    /// Decrypts whole sectors in place; `physical_offset_bytes` is where they lie on the volume.
    ///
    /// # Errors
    /// When offset or length is not a multiple of the sector size; nothing is changed then.
    pub fn decrypt(&self, physical_offset_bytes: u64, data: &mut [u8]) -> Result<(), Unaligned> {
        let sector_bytes = self.check(physical_offset_bytes, data.len())?;
        match &self.engine {
            Engine::Xts128(engine) => engine.decrypt(physical_offset_bytes, data, sector_bytes),
            Engine::Xts256(engine) => engine.decrypt(physical_offset_bytes, data, sector_bytes),
            Engine::Cbc128(engine) => engine.decrypt(physical_offset_bytes, data, sector_bytes),
            Engine::Cbc256(engine) => engine.decrypt(physical_offset_bytes, data, sector_bytes),
            Engine::Elephant128(engine) => engine.decrypt(physical_offset_bytes, data, sector_bytes),
            Engine::Elephant256(engine) => engine.decrypt(physical_offset_bytes, data, sector_bytes),
        }
        Ok(())
    }

    /// The inverse of [`SectorCipher::decrypt`].
    ///
    /// # Errors
    /// As there.
    pub fn encrypt(&self, physical_offset_bytes: u64, data: &mut [u8]) -> Result<(), Unaligned> {
        let sector_bytes = self.check(physical_offset_bytes, data.len())?;
        match &self.engine {
            Engine::Xts128(engine) => engine.encrypt(physical_offset_bytes, data, sector_bytes),
            Engine::Xts256(engine) => engine.encrypt(physical_offset_bytes, data, sector_bytes),
            Engine::Cbc128(engine) => engine.encrypt(physical_offset_bytes, data, sector_bytes),
            Engine::Cbc256(engine) => engine.encrypt(physical_offset_bytes, data, sector_bytes),
            Engine::Elephant128(engine) => engine.encrypt(physical_offset_bytes, data, sector_bytes),
            Engine::Elephant256(engine) => engine.encrypt(physical_offset_bytes, data, sector_bytes),
        }
        Ok(())
    }

    /// The sector size, when the range is whole sectors.
    fn check(&self, offset_bytes: u64, length_bytes: usize) -> Result<usize, Unaligned> {
        let sector_bytes = if self.sector_bytes == 512 { 512 } else { 4096 };
        if offset_bytes.is_multiple_of(u64::from(self.sector_bytes))
            && length_bytes.is_multiple_of(sector_bytes)
        {
            Ok(sector_bytes)
        } else {
            Err(Unaligned { offset_bytes, length_bytes, sector_bytes: self.sector_bytes })
        }
    }
}

impl fmt::Debug for SectorCipher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SectorCipher({}, {}-byte sectors)", self.method, self.sector_bytes)
    }
}

impl Engine {
    /// Key layouts: spec §5.
    fn new(method: Method, fvek: &[u8]) -> Option<Engine> {
        let aes128 = |range| Aes128::new_from_slice(fvek.get::<std::ops::Range<usize>>(range)?).ok();
        let aes256 = |range| Aes256::new_from_slice(fvek.get::<std::ops::Range<usize>>(range)?).ok();
        Some(match method {
            Method::AesXts128 => Engine::Xts128(Box::new(Xts::new(aes128(0..16)?, aes128(16..32)?))),
            Method::AesXts256 => Engine::Xts256(Box::new(Xts::new(aes256(0..32)?, aes256(32..64)?))),
            Method::AesCbc128 => Engine::Cbc128(Box::new(Cbc::new(aes128(0..16)?))),
            Method::AesCbc256 => Engine::Cbc256(Box::new(Cbc::new(aes256(0..32)?))),
            Method::AesCbc128Elephant => {
                Engine::Elephant128(Box::new(Elephant::new(aes128(0..16)?, aes128(32..48)?)))
            }
            Method::AesCbc256Elephant => {
                Engine::Elephant256(Box::new(Elephant::new(aes256(0..32)?, aes256(32..64)?)))
            }
            Method::None | Method::Unknown(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests;
