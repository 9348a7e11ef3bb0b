//! The encryption methods (spec §3.2, §5).

use std::fmt;

/// How a volume's sectors are encrypted: the numbers of the dataset header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// 0x0000: not encrypted; a volume that was decrypted.
    None,
    /// 0x8000
    AesCbc128Elephant,
    /// 0x8001
    AesCbc256Elephant,
    /// 0x8002
    AesCbc128,
    /// 0x8003
    AesCbc256,
    /// 0x8004
    AesXts128,
    /// 0x8005
    AesXts256,
    /// A number that the specification does not know.
    Unknown(u16),
}

impl Method {
    /// From the number on the disk.
    pub const fn from_number(number: u16) -> Method {
        match number {
            0x0000 => Method::None,
            0x8000 => Method::AesCbc128Elephant,
            0x8001 => Method::AesCbc256Elephant,
            0x8002 => Method::AesCbc128,
            0x8003 => Method::AesCbc256,
            0x8004 => Method::AesXts128,
            0x8005 => Method::AesXts256,
            other => Method::Unknown(other),
        }
    }

    /// The number on the disk.
    pub const fn number(self) -> u16 {
        match self {
            Method::None => 0x0000,
            Method::AesCbc128Elephant => 0x8000,
            Method::AesCbc256Elephant => 0x8001,
            Method::AesCbc128 => 0x8002,
            Method::AesCbc256 => 0x8003,
            Method::AesXts128 => 0x8004,
            Method::AesXts256 => 0x8005,
            Method::Unknown(number) => number,
        }
    }

    /// Length of the key in the FVEK datum; `None` where there is no cipher.
    pub const fn key_bytes(self) -> Option<usize> {
        match self {
            Method::None | Method::Unknown(_) => None,
            Method::AesCbc128 => Some(16),
            Method::AesCbc256 | Method::AesXts128 => Some(32),
            Method::AesCbc128Elephant | Method::AesCbc256Elephant | Method::AesXts256 => Some(64),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Method::None => "none",
            Method::AesCbc128Elephant => "AES-CBC-128 with Elephant diffuser",
            Method::AesCbc256Elephant => "AES-CBC-256 with Elephant diffuser",
            Method::AesCbc128 => "AES-CBC-128",
            Method::AesCbc256 => "AES-CBC-256",
            Method::AesXts128 => "AES-XTS-128",
            Method::AesXts256 => "AES-XTS-256",
            Method::Unknown(number) => return write!(formatter, "unknown method {number:#06x}"),
        })
    }
}
