//! Random bytes from the operating system, for secrets and ids of packed drives.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result};

/// A version 4 GUID in its on-disk byte order.
pub fn guid() -> Result<[u8; 16]> {
    let mut guid = bytes()?;
    // RFC 9562 §5.4; the third field is little-endian on disk.
    guid[7] = guid[7] & 0x0F | 0x40;
    guid[8] = guid[8] & 0x3F | 0x80;
    Ok(guid)
}

/// Eight 16-bit numbers, each times eleven: bitlocker.md §4.2.
pub fn recovery_password() -> Result<String> {
    let words = bytes()?;
    let group = |pair: &[u8]| format!("{:06}", u32::from(u16::from_le_bytes([pair[0], pair[1]])) * 11);
    Ok(words.chunks(2).map(group).collect::<Vec<_>>().join("-"))
}

fn bytes() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .context("drawing random bytes")?;
    Ok(bytes)
}
