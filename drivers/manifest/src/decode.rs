//! Bytes to text for the small documents: side files, job entries, journals.
//!
//! A byte order mark wins, then UTF-16's shape, then the encoding that an XML prolog names; else
//! UTF-8. azure-import-export.md §9, rows 3 and 29. (Manifests are UTF-8 only: §1.3.)

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// The bytes are not text in the encoding they claim or seem to have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A byte sequence that the encoding does not have.
    #[error("the bytes are not {encoding}")]
    Malformed {
        /// The encoding's name.
        encoding: &'static str,
    },
    /// The prolog names an encoding that nobody knows.
    #[error("the prolog names the encoding {declared:?}, which is not known")]
    Unknown {
        /// The name.
        declared: String,
    },
}

/// Decodes a whole document; a byte order mark is dropped.
pub(crate) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, DecodeError> {
    let (encoding, mark_bytes) = match Encoding::for_bom(bytes) {
        Some(found) => found,
        None => (guess(bytes)?, 0),
    };
    let body = bytes.get(mark_bytes..).unwrap_or_default();
    encoding
        .decode_without_bom_handling_and_without_replacement(body)
        .ok_or(DecodeError::Malformed { encoding: encoding.name() })
}

fn guess(bytes: &[u8]) -> Result<&'static Encoding, DecodeError> {
    match bytes {
        [first, 0, ..] if *first != 0 => Ok(UTF_16LE),
        [0, second, ..] if *second != 0 => Ok(UTF_16BE),
        _ => match declared(bytes) {
            None => Ok(UTF_8),
            Some(label) => Encoding::for_label(label)
                // A document that was readable up to here byte by byte is not UTF-16.
                .map(|encoding| if encoding.is_ascii_compatible() { encoding } else { UTF_8 })
                .ok_or_else(|| DecodeError::Unknown {
                    declared: String::from_utf8_lossy(label).into_owned(),
                }),
        },
    }
}

/// The value of `encoding` in an XML prolog.
fn declared(bytes: &[u8]) -> Option<&[u8]> {
    let prolog = bytes.strip_prefix(b"<?xml")?;
    let prolog = prolog.get(..prolog.len().min(256))?;
    let end = prolog.windows(2).position(|pair| pair == b"?>")?;
    let prolog = prolog.get(..end)?;
    let key = prolog.windows(8).position(|word| word == b"encoding")?;
    let mut parts = prolog.get(key..)?.split(|byte| matches!(byte, b'"' | b'\''));
    let equals = parts.next()?;
    if equals.contains(&b'=') { parts.next() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, unit_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit_bytes).collect()
    }

    #[test]
    fn utf16_is_known_by_its_mark_and_by_its_shape() {
        for unit_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            for text in ["<a>é😀</a>", "\u{feff}<a>é😀</a>"] {
                assert_eq!(decode(&utf16(text, unit_bytes)).unwrap(), "<a>é😀</a>");
            }
        }
        let torn = utf16("<a>😀", u16::to_le_bytes);
        assert_eq!(decode(&torn[..torn.len() - 2]), Err(DecodeError::Malformed { encoding: "UTF-16LE" }));
    }

    #[test]
    fn the_prologs_encoding_is_honoured() {
        let latin = b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe9</a>";
        assert!(decode(latin).unwrap().ends_with("<a>é</a>"));
        let wrong = b"<?xml version='1.0' encoding='utf-8'?><a>\xe9</a>";
        assert_eq!(decode(wrong), Err(DecodeError::Malformed { encoding: "UTF-8" }));
        let unknown = b"<?xml version='1.0' encoding=\"klingon\"?><a/>";
        assert_eq!(decode(unknown), Err(DecodeError::Unknown { declared: "klingon".to_owned() }));
        assert_eq!(decode(b"\xef\xbb\xbf<a/>").unwrap(), "<a/>");
        assert_eq!(decode(b"").unwrap(), "");
    }
}
