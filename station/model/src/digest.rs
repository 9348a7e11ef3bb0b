//! Digests as the manifest and the job entry write them.
//!
//! Base16 text, upper case when written, any case when read, surrounding blanks ignored (some
//! published samples have them). The algorithm is told by the length: azure-import-export.md §1.9.

use std::fmt;
use std::str::FromStr;

/// An MD5 digest: the 16 bytes, not their text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Md5Digest(pub [u8; 16]);

impl fmt::Display for Md5Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_upper_hex(f, &self.0)
    }
}

impl fmt::Debug for Md5Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Md5Digest {
    type Err = HashTextError;

    fn from_str(text: &str) -> Result<Self, HashTextError> {
        match text.parse()? {
            HashText::Md5(digest) => Ok(digest),
            other => Err(HashTextError::NotMd5 { algorithm: other.algorithm() }),
        }
    }
}

/// A hash whose algorithm is known by its length: manifest hashes of all generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashText {
    /// 32 hexadecimal digits.
    Md5(Md5Digest),
    /// 40 hexadecimal digits.
    Sha1([u8; 20]),
    /// 64 hexadecimal digits.
    Sha256([u8; 32]),
    /// 128 hexadecimal digits.
    Sha512([u8; 64]),
}

impl HashText {
    /// The algorithm's usual name, for messages.
    pub fn algorithm(&self) -> &'static str {
        match self {
            HashText::Md5(_) => "MD5",
            HashText::Sha1(_) => "SHA-1",
            HashText::Sha256(_) => "SHA-256",
            HashText::Sha512(_) => "SHA-512",
        }
    }

    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            HashText::Md5(digest) => &digest.0,
            HashText::Sha1(bytes) => bytes,
            HashText::Sha256(bytes) => bytes,
            HashText::Sha512(bytes) => bytes,
        }
    }
}

impl fmt::Display for HashText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_upper_hex(f, self.as_bytes())
    }
}

impl FromStr for HashText {
    type Err = HashTextError;

    fn from_str(text: &str) -> Result<Self, HashTextError> {
        let digits = text.trim().as_bytes();
        match digits.len() {
            32 => decode_hex(digits).map(|bytes| HashText::Md5(Md5Digest(bytes))),
            40 => decode_hex(digits).map(HashText::Sha1),
            64 => decode_hex(digits).map(HashText::Sha256),
            128 => decode_hex(digits).map(HashText::Sha512),
            digit_count => Err(HashTextError::Length { digit_count }),
        }
    }
}

/// Why a text is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashTextError {
    /// No known algorithm has this many digits.
    #[error(
        "a hash of {digit_count} hexadecimal digits is not MD5 (32), SHA-1 (40), SHA-256 (64) or SHA-512 (128)"
    )]
    Length {
        /// How many characters were found.
        digit_count: usize,
    },
    /// A character that is no hexadecimal digit.
    #[error("character {position} of the hash is not a hexadecimal digit")]
    Digit {
        /// Where, counted from 1.
        position: usize,
    },
    /// A well-formed hash of another algorithm where only MD5 is defined.
    #[error("the hash is {algorithm}, where the format defines MD5")]
    NotMd5 {
        /// The algorithm that the length stands for.
        algorithm: &'static str,
    },
}

fn decode_hex<const N: usize>(digits: &[u8]) -> Result<[u8; N], HashTextError> {
    let mut bytes = [0u8; N];
    for (index, (byte, pair)) in bytes.iter_mut().zip(digits.chunks_exact(2)).enumerate() {
        *byte = 0;
        for (nibble, &digit) in pair.iter().enumerate() {
            let value = char::from(digit)
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
                .ok_or(HashTextError::Digit { position: index * 2 + nibble + 1 })?;
            *byte = (*byte << 4) | value;
        }
    }
    Ok(bytes)
}

fn write_upper_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_hash_tells_its_algorithm() {
        for (digits, algorithm) in [(32, "MD5"), (40, "SHA-1"), (64, "SHA-256"), (128, "SHA-512")] {
            let text = "0aF1".repeat(digits / 4);
            let hash: HashText = text.parse().unwrap();
            assert_eq!(hash.algorithm(), algorithm);
            assert_eq!(hash.to_string(), text.to_uppercase());
        }
    }

    #[test]
    fn blanks_around_a_hash_are_ignored_as_published_samples_have_them() {
        let digest: Md5Digest = " D863FE44F861AE0DA4DCEAEEFFCCCE68".parse().unwrap();
        assert_eq!(digest.to_string(), "D863FE44F861AE0DA4DCEAEEFFCCCE68");
    }

    #[test]
    fn a_wrong_digit_is_located() {
        let text = format!("{}g{}", "0".repeat(5), "0".repeat(26));
        assert_eq!(text.parse::<Md5Digest>(), Err(HashTextError::Digit { position: 6 }));
        assert_eq!("é".repeat(16).parse::<Md5Digest>(), Err(HashTextError::Digit { position: 1 }));
        assert_eq!("00".parse::<HashText>(), Err(HashTextError::Length { digit_count: 2 }));
    }
}
