//! Which drives the customer offers, and what may be done to them.

use std::fmt;
use std::path::PathBuf;

use model::DriveId;
use zeroize::Zeroizing;

/// A drive to pack onto: a device or an image file.
#[derive(Debug, PartialEq, Eq)]
pub struct DriveTarget {
    /// The device or image file.
    pub path: PathBuf,
    /// How large an image file is made; a device has its own size.
    pub size_bytes: Option<u64>,
    /// The serial number that the drive must have. A device is not touched before its serial number
    /// was given or typed; an image file takes this one.
    pub serial: Option<DriveId>,
    /// Whether it is made anew.
    pub formatting: Formatting,
    /// Where its BitLocker protection comes from.
    pub encryption: Encryption,
}

/// `FormatOption` and `SilentOrPromptOnFormat` of a driveset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formatting {
    /// Everything on the drive is destroyed.
    Format {
        /// Whether the customer is asked before.
        asks: bool,
    },
    /// The drive has its volume; files are added to it.
    AlreadyFormatted,
}

/// `Encryption` and `ExistingBitLockerKey` of a driveset.
#[derive(Debug, PartialEq, Eq)]
pub enum Encryption {
    /// The volume is encrypted while it is made; keys are made too.
    Encrypt,
    /// The volume is encrypted already.
    AlreadyEncrypted(ExistingKey),
}

/// Where an existing volume's key is.
#[derive(PartialEq, Eq)]
pub enum ExistingKey {
    /// The text of a recovery password (48 digits) or external key (base64), as the customer gave it.
    Text(Zeroizing<String>),
    /// A file that holds it.
    File(PathBuf),
}

impl fmt::Debug for ExistingKey {
    /// Never the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExistingKey::Text(_) => f.write_str("Text(..)"),
            ExistingKey::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}
