//! External keys: `.BEK` files of 156 bytes, of 180 bytes (Windows 11, with the volume's GUID) and
//! whatever else carries the same datums (spec §4.3), or the bare 32 bytes in base64 as newer job
//! entries have them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::Guid;
use crate::bytes::{array_at, guid_at, u32_at};
use crate::ccm::Key256;
use crate::metadata::datum::{Datum, DatumType, Datums, Role, nested};

/// Files above this are no BEK files.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// Header of a BEK file, laid out as a dataset header.
const HEADER_BYTES: usize = 48;
const HEADER_BYTES_FIELD: u32 = 48;

/// An external key, and which protector it belongs to if that is known. Zeroed when dropped.
pub struct ExternalKey {
    id: Option<Guid>,
    key: Key256,
}

/// Bytes that are no external key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExternalKeyError {
    /// The file is shorter or longer than its own header says, or absurdly long.
    #[error("the BEK file is {found_bytes} bytes long, which does not fit its header")]
    WrongLength {
        /// The file's length.
        found_bytes: usize,
    },
    /// The header or a datum is not as in a BEK file.
    #[error("not a BEK file: {what}")]
    NotABek {
        /// What is wrong.
        what: &'static str,
    },
    /// Text that is not 32 bytes in base64.
    #[error("an external key in text form is 32 bytes in base64")]
    NotBase64,
}

impl ExternalKey {
    /// Reads the contents of a `.BEK` file.
    ///
    /// # Errors
    /// When the datums do not lead to a key of 32 bytes.
    pub fn from_bek(file: &[u8]) -> Result<ExternalKey, ExternalKeyError> {
        let body = bek_body(file)?;
        let external = find(Datums::new(body), DatumType::EXTERNAL)
            .filter(|datum| datum.role == Role::STARTUP_KEY)
            .ok_or(ExternalKeyError::NotABek { what: "no external key datum" })?;
        let id = guid_at(external.body, 0);
        // GUID 16, time 8, then the properties.
        let key = nested(external.body, 24)
            .and_then(|properties| find(properties, DatumType::KEY))
            .ok_or(ExternalKeyError::NotABek { what: "no key datum" })?;
        // Method 2, flags 2, key.
        let bytes = array_at(key.body, 4)
            .filter(|_| key.body.len() == 36)
            .ok_or(ExternalKeyError::NotABek { what: "the key is not 32 bytes long" })?;
        Ok(ExternalKey { id, key: Zeroizing::new(bytes) })
    }

    /// Reads the base64 form.
    ///
    /// # Errors
    /// When it is not base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<ExternalKey, ExternalKeyError> {
        let bytes =
            STANDARD.decode(text.trim()).map(Zeroizing::new).map_err(|_| ExternalKeyError::NotBase64)?;
        let key = array_at(&bytes, 0).filter(|_| bytes.len() == 32).ok_or(ExternalKeyError::NotBase64)?;
        Ok(ExternalKey { id: None, key: Zeroizing::new(key) })
    }

    /// A bare key, with the protector's id where it is known.
    pub fn from_key(id: Option<Guid>, key: Zeroizing<[u8; 32]>) -> ExternalKey {
        ExternalKey { id, key }
    }

    /// The protector that this key was made for.
    pub fn id(&self) -> Option<Guid> {
        self.id
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }
}

impl fmt::Debug for ExternalKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ExternalKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn bek_body(file: &[u8]) -> Result<&[u8], ExternalKeyError> {
    let wrong_length = ExternalKeyError::WrongLength { found_bytes: file.len() };
    if file.len() > FILE_BYTES_MAX {
        return Err(wrong_length);
    }
    let stated = u32_at(file, 0).and_then(|size| usize::try_from(size).ok()).ok_or(wrong_length)?;
    let version = u32_at(file, 4).zip(u32_at(file, 8));
    if version.is_none_or(|fields| fields != (1, HEADER_BYTES_FIELD)) {
        return Err(ExternalKeyError::NotABek { what: "the header is another one" });
    }
    file.get(HEADER_BYTES..stated).ok_or(wrong_length)
}

fn find<'a>(datums: Datums<'a>, kind: DatumType) -> Option<Datum<'a>> {
    datums.map_while(Result::ok).find(|datum| datum.kind == kind)
}
