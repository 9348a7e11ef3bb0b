//! A password as typed: hashed at once, so the text itself is not kept (spec §4.2).

use std::fmt;

use zeroize::Zeroizing;

use crate::ccm::Key256;
use crate::stretch::sha256;

/// Windows' limit, in UTF-16 units.
const UNITS_MAX: usize = 256;

/// The hash of a password. Zeroed when dropped.
pub struct Password {
    hash: Key256,
}

/// A password that no volume can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password has {units} UTF-16 units, BitLocker allows {UNITS_MAX}")]
pub struct PasswordError {
    /// Its length.
    pub units: usize,
}

impl Password {
    /// Takes the text as it is: no trimming, no normalisation, characters outside the basic plane as
    /// surrogates.
    ///
    /// # Errors
    /// When it is longer than Windows allows.
    pub fn new(text: &str) -> Result<Password, PasswordError> {
        let units = text.encode_utf16().count();
        if units > UNITS_MAX {
            return Err(PasswordError { units });
        }
        let mut utf16 = Zeroizing::new(Vec::with_capacity(units.saturating_mul(2)));
        text.encode_utf16().for_each(|unit| utf16.extend_from_slice(&unit.to_le_bytes()));
        Ok(Password { hash: sha256(&sha256(&utf16)[..]) })
    }

    /// For a reader of the volume that this password was just set on.
    pub(crate) fn duplicate(&self) -> Password {
        Password { hash: self.hash.clone() }
    }

    /// What is stretched with a protector's salt.
    pub(crate) fn hash(&self) -> &[u8; 32] {
        &self.hash
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_length_in_utf16_units_counts() {
        assert!(Password::new(&"\u{1f512}".repeat(128)).is_ok());
        assert_eq!(Password::new(&"\u{1f512}".repeat(129)).unwrap_err(), PasswordError { units: 258 });
    }
}
