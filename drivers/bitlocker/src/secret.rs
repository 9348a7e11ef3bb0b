//! What opens a volume: a recovery password, a password, an external key, or the key that a
//! suspended volume carries in the clear.
//!
//! Everything here that is secret is zeroed when dropped, is never cloned and shows nothing in
//! `Debug`. No key derivation happens here: see `stretch.rs` and `unlock.rs`.

mod external_key;
mod password;
mod recovery_password;

use std::fmt;

pub use external_key::{ExternalKey, ExternalKeyError};
pub use password::{Password, PasswordError};
pub use recovery_password::{RecoveryPassword, RecoveryPasswordError};

use crate::ProtectorKind;

/// A secret and its kind.
pub enum Secret {
    /// 48 digits.
    RecoveryPassword(RecoveryPassword),
    /// What the owner typed.
    Password(Password),
    /// The contents of a `.BEK` file, or the same 32 bytes by another way.
    ExternalKey(ExternalKey),
    /// Nothing: for volumes that are suspended or decrypted.
    ClearKey,
}

impl Secret {
    /// The kind of protector that this secret opens.
    pub fn protector_kind(&self) -> ProtectorKind {
        match self {
            Secret::RecoveryPassword(_) => ProtectorKind::RecoveryPassword,
            Secret::Password(_) => ProtectorKind::Password,
            Secret::ExternalKey(_) => ProtectorKind::ExternalKey,
            Secret::ClearKey => ProtectorKind::ClearKey,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret({})", self.protector_kind())
    }
}
