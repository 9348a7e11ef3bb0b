//! Master keys: their file, how one is made, how they are rotated.
//!
//! ```text
//! # comments and empty lines
//! master-key  [<id>] <32 bytes in base64>
//! wrapped-key <id> <URL of the Key Vault key's version> <azure::WrappedKey in base64>
//! ```
//! The first key seals; the others only open what was sealed before a rotation. The id is the first half
//! of SHA-256("drayage-master-key-id-v1\0" ‖ key), so a damaged line is noticed and nobody has to keep
//! numbers straight; it may be left out of a line that was written by hand. Rotation without a pause: [`KeyFile::add`] puts a new key in front, the daemon
//! reloads, everything is rewrapped, [`KeyFile::retire`] takes the old one out.
//!
//! Invariant: no error quotes a line, because a line holds a key.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use azure::{KeyUrl, KeyVault, KeyVaultError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::aead::Key;
use crate::private_file::{self, Keeper, PrivateFileError};

const ID_TAG: &[u8] = b"drayage-master-key-id-v1\0";
/// Most keys in a file: each rotation leaves one until everything is rewrapped.
const KEYS_MAX: usize = 16;
const COMMENT: &str = "# Master keys of a Drayage station. The first seals, the others only open.\n\
     # Whoever has this file and the ledger can read every secret in it: see deploy/keys.md.\n";

/// Which master key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub [u8; 16]);

impl KeyId {
    fn of(key: &Key) -> KeyId {
        let digest: [u8; 32] = Sha256::new_with_prefix(ID_TAG).chain_update(key.as_slice()).finalize().into();
        let (first, _) = digest.split_first_chunk().expect("32 bytes have a first half");
        KeyId(*first)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that names no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a master key's id is 32 hexadecimal digits")]
pub struct NoKeyId;

impl FromStr for KeyId {
    type Err = NoKeyId;

    fn from_str(text: &str) -> Result<KeyId, NoKeyId> {
        let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).map_err(|_| NoKeyId)?;
        if is_hex { Ok(KeyId(number.to_be_bytes())) } else { Err(NoKeyId) }
    }
}

/// One master key in memory.
pub(crate) struct MasterKey {
    pub(crate) id: KeyId,
    pub(crate) key: Key,
}

impl MasterKey {
    fn of(key: Key) -> MasterKey {
        MasterKey { id: KeyId::of(&key), key }
    }

    /// A key as Key Vault gave it back.
    pub(crate) fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Option<MasterKey> {
        Key::from_bytes(bytes).map(MasterKey::of)
    }
}

/// The master keys of a station, in memory: the first seals. Never empty.
pub struct MasterKeys(Vec<MasterKey>);

impl MasterKeys {
    /// A single key that lives no longer than the process: for tests and demonstrations.
    pub fn ephemeral() -> MasterKeys {
        MasterKeys(vec![MasterKey::of(Key::random())])
    }

    /// Keys in the order of their file.
    pub(crate) fn of(keys: Vec<MasterKey>) -> Option<MasterKeys> {
        (!keys.is_empty()).then_some(MasterKeys(keys))
    }

    /// The key that seals.
    pub(crate) fn first(&self) -> &MasterKey {
        self.0.first().expect("never empty")
    }

    /// The key with this id.
    pub(crate) fn find(&self, id: KeyId) -> Option<&MasterKey> {
        self.0.iter().find(|key| key.id == id)
    }

    /// The ids, the sealing one first.
    pub fn ids(&self) -> Vec<KeyId> {
        self.0.iter().map(|key| key.id).collect()
    }
}

/// A line of the key file.
pub(crate) enum Line {
    Plain(MasterKey),
    Wrapped { id: KeyId, vault_key: String, value: Vec<u8> },
}

impl Line {
    pub(crate) fn id(&self) -> KeyId {
        match self {
            Line::Plain(key) => key.id,
            Line::Wrapped { id, .. } => *id,
        }
    }

    /// The URL of the key that wrapped it; a plain one has none.
    pub(crate) fn wrapped_by(&self) -> Option<&str> {
        match self {
            Line::Plain(_) => None,
            Line::Wrapped { vault_key, .. } => Some(vault_key),
        }
    }

    fn write(&self, to: &mut Zeroizing<String>) {
        match self {
            Line::Plain(key) => {
                let text = Zeroizing::new(STANDARD.encode(key.key.as_slice()));
                to.push_str(&format!("master-key {} ", key.id));
                to.push_str(&text);
            }
            Line::Wrapped { id, vault_key, value } => {
                to.push_str(&format!("wrapped-key {id} {vault_key} {}", STANDARD.encode(value)));
            }
        }
        to.push('\n');
    }
}

/// Why a text is no key file. The text is never quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// No key in it.
    #[error("there is no key in the key file")]
    Empty,
    /// More keys than any rotation leaves.
    #[error("there are more than {KEYS_MAX} keys in the key file: retire the old ones")]
    TooMany,
    /// Not text.
    #[error("the key file is not text")]
    NotText,
    /// A line that is neither of the two kinds.
    #[error("line {line} of the key file is neither `master-key [ID] KEY` nor `wrapped-key ID URL VALUE`")]
    Line {
        /// Which, from 1.
        line: usize,
    },
    /// A field that cannot be read.
    #[error("{field} in line {line} of the key file is not {expected}")]
    Field {
        /// Which, from 1.
        line: usize,
        /// Which field.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A key that is not the one whose id is beside it.
    #[error(
        "the key in line {line} of the key file does not belong to the id beside it: a digit was changed"
    )]
    Id {
        /// Which, from 1.
        line: usize,
    },
    /// The same key again.
    #[error("line {line} of the key file repeats a key")]
    Twice {
        /// Which, from 1.
        line: usize,
    },
}

/// Reads a key file's text.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Line>, KeyFileError> {
    let text = std::str::from_utf8(text).map_err(|_| KeyFileError::NotText)?;
    let mut keys: Vec<Line> = Vec::new();
    for (index, text) in text.lines().map(str::trim).enumerate() {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let line = index + 1;
        let key = parse_line(text, line)?;
        if keys.iter().any(|known| known.id() == key.id()) {
            return Err(KeyFileError::Twice { line });
        }
        if keys.len() == KEYS_MAX {
            return Err(KeyFileError::TooMany);
        }
        keys.push(key);
    }
    if keys.is_empty() { Err(KeyFileError::Empty) } else { Ok(keys) }
}

fn parse_line(text: &str, line: usize) -> Result<Line, KeyFileError> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let id = |text: &str| {
        let expected = "32 hexadecimal digits";
        text.parse::<KeyId>().map_err(|_| KeyFileError::Field { line, field: "the key's id", expected })
    };
    match fields.as_slice() {
        ["master-key", key] => key_of(key, line).map(Line::Plain),
        ["master-key", id_text, key] => {
            let key = key_of(key, line)?;
            if key.id == id(id_text)? { Ok(Line::Plain(key)) } else { Err(KeyFileError::Id { line }) }
        }
        ["wrapped-key", id_text, vault_key, value] => {
            let fault = KeyFileError::Field { line, field: "the wrapped key", expected: "base64" };
            let value = STANDARD.decode(value).map_err(|_| fault)?;
            Ok(Line::Wrapped { id: id(id_text)?, vault_key: (*vault_key).to_owned(), value })
        }
        _ => Err(KeyFileError::Line { line }),
    }
}

fn key_of(text: &str, line: usize) -> Result<MasterKey, KeyFileError> {
    let fault = KeyFileError::Field { line, field: "the key", expected: "32 bytes in base64" };
    let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| fault.clone())?);
    MasterKey::from_bytes(bytes).ok_or(fault)
}

fn text_of(lines: &[Line]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(1 << 14));
    text.push_str(COMMENT);
    lines.iter().for_each(|line| line.write(&mut text));
    text
}

/// Why a key file was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileChangeError {
    /// The file itself.
    #[error("the master key file cannot be used")]
    File(#[source] PrivateFileError),
    /// What is in it.
    #[error("the master key file cannot be read")]
    Content(#[source] KeyFileError),
    /// The key to take out is not in it.
    #[error("the key {0} is not in the file")]
    Unknown(KeyId),
    /// The key to take out is the one that seals.
    #[error("the key {0} is the one that seals: add another in front first")]
    Sealing(KeyId),
    /// Key Vault does not wrap, or does not unwrap what it wrapped.
    #[error("the new master key cannot be wrapped by Key Vault")]
    KeyVault(#[source] KeyVaultError),
    /// Key Vault gave back something else than it was given.
    #[error("Key Vault unwraps the new master key to something else")]
    NotTheSame,
}

/// A key of the file, without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub id: KeyId,
    /// The URL of the Key Vault key that wrapped it; a plain one has none.
    pub wrapped_by: Option<String>,
}

/// The file with the master keys, for those who make and rotate them.
pub struct KeyFile;

impl KeyFile {
    /// Makes a file with one fresh key.
    ///
    /// # Errors
    /// When the file is there already, or cannot be written.
    pub fn generate(path: &Path) -> Result<KeyId, KeyFileChangeError> {
        create(path, Line::Plain(MasterKey::of(Key::random())))
    }

    /// Makes a file with one fresh key that only Key Vault can unwrap; it is never on the disk itself.
    ///
    /// # Errors
    /// When the vault does not wrap and unwrap, the file is there already, or cannot be written.
    pub async fn generate_wrapped(
        path: &Path,
        vault: &KeyVault,
        key: &KeyUrl,
    ) -> Result<KeyId, KeyFileChangeError> {
        create(path, wrapped(vault, key).await?)
    }

    /// What is in the file, the sealing key first. Nothing is unwrapped.
    ///
    /// # Errors
    /// When the file is not private or not a key file.
    pub fn list(path: &Path) -> Result<Vec<Listed>, KeyFileChangeError> {
        let listed = |line: &Line| Listed { id: line.id(), wrapped_by: line.wrapped_by().map(str::to_owned) };
        Ok(lines_of(path)?.iter().map(listed).collect())
    }

    /// Puts a fresh key in front: it seals from the next reload on, the others still open.
    ///
    /// # Errors
    /// When the file is not private, not a key file, full, or cannot be written.
    pub fn add(path: &Path) -> Result<KeyId, KeyFileChangeError> {
        put_in_front(path, Line::Plain(MasterKey::of(Key::random())))
    }

    /// The same with a fresh key that only Key Vault can unwrap.
    ///
    /// # Errors
    /// As [`KeyFile::add`], and when the vault does not wrap and unwrap.
    pub async fn add_wrapped(
        path: &Path,
        vault: &KeyVault,
        key: &KeyUrl,
    ) -> Result<KeyId, KeyFileChangeError> {
        put_in_front(path, wrapped(vault, key).await?)
    }

    /// Puts a fresh key behind the others: it opens, and does not seal. Stations that share a ledger all
    /// need it before one of them seals with it.
    ///
    /// # Errors
    /// As [`KeyFile::add`].
    pub fn add_behind(path: &Path) -> Result<KeyId, KeyFileChangeError> {
        put(path, usize::MAX, Line::Plain(MasterKey::of(Key::random())))
    }

    /// The same with a fresh key that only Key Vault can unwrap.
    ///
    /// # Errors
    /// As [`KeyFile::add_wrapped`].
    pub async fn add_behind_wrapped(
        path: &Path,
        vault: &KeyVault,
        key: &KeyUrl,
    ) -> Result<KeyId, KeyFileChangeError> {
        put(path, usize::MAX, wrapped(vault, key).await?)
    }

    /// Puts a key of the file in front: it seals from the next reload on.
    ///
    /// # Errors
    /// When it is not there, or the file cannot be changed.
    pub fn put_first(path: &Path, id: KeyId) -> Result<(), KeyFileChangeError> {
        let mut lines = lines_of(path)?;
        let index = lines.iter().position(|line| line.id() == id).ok_or(KeyFileChangeError::Unknown(id))?;
        let line = lines.remove(index);
        lines.insert(0, line);
        private_file::replace(path, text_of(&lines).as_bytes()).map_err(KeyFileChangeError::File)
    }

    /// Takes a key out. What is still sealed under it can never be opened again, so look at every
    /// sealed secret first.
    ///
    /// # Errors
    /// When it is not there, or is the one that seals, or the file cannot be changed.
    pub fn retire(path: &Path, id: KeyId) -> Result<(), KeyFileChangeError> {
        let mut lines = lines_of(path)?;
        match lines.iter().position(|line| line.id() == id) {
            None => return Err(KeyFileChangeError::Unknown(id)),
            Some(0) => return Err(KeyFileChangeError::Sealing(id)),
            Some(index) => lines.remove(index),
        };
        private_file::replace(path, text_of(&lines).as_bytes()).map_err(KeyFileChangeError::File)
    }
}

fn create(path: &Path, line: Line) -> Result<KeyId, KeyFileChangeError> {
    let id = line.id();
    private_file::create(path, text_of(&[line]).as_bytes()).map_err(KeyFileChangeError::File)?;
    Ok(id)
}

fn put_in_front(path: &Path, line: Line) -> Result<KeyId, KeyFileChangeError> {
    put(path, 0, line)
}

fn put(path: &Path, index: usize, line: Line) -> Result<KeyId, KeyFileChangeError> {
    let mut lines = lines_of(path)?;
    if lines.len() == KEYS_MAX {
        return Err(KeyFileChangeError::Content(KeyFileError::TooMany));
    }
    let id = line.id();
    lines.insert(index.min(lines.len()), line);
    private_file::replace(path, text_of(&lines).as_bytes()).map_err(KeyFileChangeError::File)?;
    Ok(id)
}

/// A fresh key, wrapped, and seen to unwrap: a key that could not be had back would lose everything.
async fn wrapped(vault: &KeyVault, key: &KeyUrl) -> Result<Line, KeyFileChangeError> {
    let fresh = MasterKey::of(Key::random());
    let with = vault.key(key).await.map_err(KeyFileChangeError::KeyVault)?;
    let value = vault.wrap(&with, fresh.key.as_slice()).await.map_err(KeyFileChangeError::KeyVault)?;
    let back = vault.unwrap(with.url(), &value).await.map_err(KeyFileChangeError::KeyVault)?;
    if !bool::from(back.as_slice().ct_eq(fresh.key.as_slice())) {
        return Err(KeyFileChangeError::NotTheSame);
    }
    Ok(Line::Wrapped { id: fresh.id, vault_key: with.url().to_string(), value: value.as_bytes().to_vec() })
}

fn lines_of(path: &Path) -> Result<Vec<Line>, KeyFileChangeError> {
    let text = private_file::read(path, Keeper::Ourselves).map_err(KeyFileChangeError::File)?;
    parse(&text).map_err(KeyFileChangeError::Content)
}

#[cfg(test)]
mod tests;
