//! Block ids: what Put Block and Put Block List call a block.
//!
//! azure-import-export.md §1.5. An id is kept decoded; base64 in its canonical form is the only
//! text taken, so decoding and encoding again gives the same text.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Md5Digest;

use crate::limits::BLOCK_ID_BYTES_MAX;

/// The three bytes that the tool's prefix `MD5/` decodes to.
const TOOL_PREFIX: [u8; 3] = [0x30, 0x3E, 0x7F];

/// A block id of 1 to 64 bytes, written as base64.
#[derive(Clone, Copy)]
pub struct BlockId {
    length: NonZeroU8,
    bytes: [u8; BLOCK_ID_BYTES_MAX],
}

/// Why a text is not a block id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockIdError {
    /// Put Block takes no empty id.
    #[error("the block id is empty")]
    Empty,
    /// Not canonical base64.
    #[error("the block id is not base64")]
    NotBase64,
    /// More than 64 bytes.
    #[error("the block id decodes to {found_bytes} bytes; at most {BLOCK_ID_BYTES_MAX} are allowed")]
    Length {
        /// Bytes it decodes to.
        found_bytes: usize,
    },
}

impl BlockId {
    /// Takes the decoded bytes.
    ///
    /// # Errors
    /// When there are none, or more than 64.
    pub fn new(id: &[u8]) -> Result<BlockId, BlockIdError> {
        let too_long = BlockIdError::Length { found_bytes: id.len() };
        let mut bytes = [0; BLOCK_ID_BYTES_MAX];
        bytes.get_mut(..id.len()).ok_or(too_long)?.copy_from_slice(id);
        let length = u8::try_from(id.len()).map_err(|_| too_long)?;
        Ok(BlockId { length: NonZeroU8::new(length).ok_or(BlockIdError::Empty)?, bytes })
    }

    /// The id that the preparation tool gives a block: the text `MD5/` and the digest in base64,
    /// which as a whole is base64 again. Equal blocks get equal ids.
    pub fn of_md5(digest: &Md5Digest) -> BlockId {
        let mut bytes = [0; BLOCK_ID_BYTES_MAX];
        for (byte, &value) in bytes.iter_mut().zip(TOOL_PREFIX.iter().chain(&digest.0)) {
            *byte = value;
        }
        const TOOL_ID_BYTES: NonZeroU8 = NonZeroU8::new(19).unwrap();
        BlockId { length: TOOL_ID_BYTES, bytes }
    }

    /// The decoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length.get())).unwrap_or(&self.bytes)
    }

    /// The id as requests and lists write it.
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.as_bytes())
    }
}

impl FromStr for BlockId {
    type Err = BlockIdError;

    fn from_str(text: &str) -> Result<BlockId, BlockIdError> {
        // 72 holds what the decoder may touch for the longest allowed text.
        let mut buffer = [0u8; 72];
        if text.len() > 88 {
            let decoded = STANDARD.decode(text).map_err(|_| BlockIdError::NotBase64)?;
            return Err(BlockIdError::Length { found_bytes: decoded.len() });
        }
        let length = STANDARD.decode_slice(text, &mut buffer).map_err(|_| BlockIdError::NotBase64)?;
        BlockId::new(buffer.get(..length).unwrap_or(&buffer))
    }
}

impl PartialEq for BlockId {
    fn eq(&self, other: &BlockId) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for BlockId {}

impl std::hash::Hash for BlockId {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::Debug for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_id_of_a_digest_is_the_published_one() {
        let digest: Md5Digest = "700CE7E21ED55525977FAF7AAA9E546B".parse().unwrap();
        let id = BlockId::of_md5(&digest);
        assert_eq!(id.to_base64(), "MD5/cAzn4h7VVSWXf696qp5Uaw==");
        assert_eq!(id.as_bytes()[..3], TOOL_PREFIX);
        assert_eq!("MD5/cAzn4h7VVSWXf696qp5Uaw==".parse(), Ok(id));
    }

    #[test]
    fn index_ids_of_exports_decode_to_little_endian_numbers() {
        for (text, number) in [("AAAAAA==", 0u32), ("AQAAAA==", 1), ("AgAAAA==", 2)] {
            let id: BlockId = text.parse().unwrap();
            assert_eq!(id.as_bytes(), number.to_le_bytes());
            assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn ids_of_1_to_64_bytes_are_taken_and_no_others() {
        for length in 0..200 {
            let text = STANDARD.encode(vec![7u8; length]);
            let expected = match length {
                0 => Err(BlockIdError::Empty),
                1..=64 => Ok(length),
                found_bytes => Err(BlockIdError::Length { found_bytes }),
            };
            assert_eq!(text.parse::<BlockId>().map(|id| id.as_bytes().len()), expected, "{length}");
        }
        for text in ["A", "AAAA=", "AB==", "====", "a b=", "AAA", "\u{e9}AAA"] {
            assert_eq!(text.parse::<BlockId>(), Err(BlockIdError::NotBase64), "{text}");
        }
    }
}
